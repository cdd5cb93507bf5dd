/*
 * Unit tests of collector/tail with a real file and a real journal, and a server of four lines that
 * keeps sets of ranges.  The property: however the writing, reading, sealing, acknowledging and
 * dying fall, every record arrives exactly once, and a chunk that is built again is the same to the
 * byte.
 */
#include "base/fault.h"
#include "collector/tail_turn.h"
#include "tests/unit/collector/tail_world.h"

/* ---- the property ---- */

/* A file of `n` records, cut into pieces, two streams interleaved.  `expected`: the records in
 * order of their ends. */
static void make_file(unsigned n, struct buf *file, struct buf *expected)
{
    static const char *const NAMES[2] = {"stdout", "stderr"};
    char open_text[2][4096];
    unsigned left[2] = {0, 0}, no = 0;

    while (no < n || left[0] > 0 || left[1] > 0) {
        unsigned s = rnd(2);
        char piece[128];
        if (left[s] == 0 && no == n)
            continue;
        if (rnd(15) == 0) { /* a record of its own, in the middle of others too */
            unsigned number = rnd(1000000);
            buf_addf(file, "garbage %u\n", number);
            buf_addf(expected, "garbage %u undecoded=true\n", number);
        }
        if (left[s] == 0) {
            left[s] = rnd(4) == 0 ? 1 + rnd(12) : 1;
            open_text[s][0] = '\0';
            (void)snprintf(piece, sizeof(piece), "record=%u;%.*s", no++, (int)rnd(60),
                           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        } else {
            (void)snprintf(piece, sizeof(piece), "+%u", rnd(1000));
        }
        (void)strcat(open_text[s], piece); /* 13 pieces of 128 at most */
        left[s]--;
        buf_addf(file, T "%s %s %s\n", NAMES[s], left[s] == 0 ? "F" : "P", piece);
        if (left[s] == 0)
            buf_addf(expected, "%s|%s\n", NAMES[s], open_text[s]);
    }
}

static void one_life(unsigned seed)
{
    struct buf file, expected;

    w.seed = seed;
    w.chunk_bytes = 200 + rnd(3000);
    buf_init(&file, 1 << 20);
    buf_init(&expected, 1 << 20);
    make_file(120, &file, &expected);
    live(&file);
    compare_sorted(buf_str(&w.lines), buf_str(&expected));
    buf_fini(&file);
    buf_fini(&expected);
}

static void every_record_arrives_once_however_it_is_cut(void **state)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        one_life(seed);
        (void)teardown(state);
        (void)setup(state);
    }
}

#define PROCESSED_BY(rate)                                                                         \
    "redact: {detectors: [card, private_key]}\nrules:\n"                                           \
    "- {name: noise, if: {line: noise}, then: drop}\n"                                             \
    "- {name: thin, if: {line: thin}, sample: 0.5}\n"                                              \
    "- {name: slow, if: {line: flood}, " rate "}\n"
#define PROCESSED PROCESSED_BY("rate: 5, burst: 3")

static unsigned put_record(struct buf *file, unsigned ms, unsigned s, const char *text)
{
    static const char *const NAMES[2] = {"stdout", "stderr"};
    size_t n = strlen(text), cut = rnd(5) == 0 ? rnd((unsigned)n) : 0;
    char time[40];

    (void)snprintf(time, sizeof(time), "2026-11-21T19:%02u:%02u.%03uZ", ms / 60000, ms / 1000 % 60,
                   ms % 1000);
    if (cut > 0)
        buf_addf(file, "%s %s P %.*s\n", time, NAMES[s], (int)cut, text);
    buf_addf(file, "%s %s F %s\n", time, NAMES[s], text + cut);
    return 1;
}

/* `n` turns of two streams: keys over several records, card numbers, and what rules are about.
 * Returns the number of records. */
static unsigned make_noisy_file(unsigned n, struct buf *file)
{
    static const char *const TEXTS[] = {"noise of", "some thin text", "a flood",
                                        "paid with 4111 1111 1111 1111 by", "plain"};
    unsigned records = 0, ms = 0;

    for (unsigned i = 0; i < n; i++) {
        unsigned s = rnd(2), kind = rnd(6);
        char text[128];
        ms += rnd(300);
        if (kind < 5) {
            (void)snprintf(text, sizeof(text), "%s %u", TEXTS[kind], i);
            records += put_record(file, ms, s, text);
            continue;
        }
        records += put_record(file, ms, s, "key -----BEGIN PRIVATE KEY-----");
        for (unsigned k = rnd(4); k > 0; k--)
            records += put_record(file, ms, s, "MIIsecretsecretsecretsecretsecretsecret");
        records += put_record(file, ms, s, "-----END PRIVATE KEY-----");
    }
    return records;
}

static uint64_t dropped(const char *rule)
{
    const struct checkpoint_drop *d = checkpoint_drop_find(w.t->file, rule);

    return d == NULL ? 0 : d->count;
}

static void processing_is_the_same_again(void **state)
{
    static const char *const RULES[] = {/* used up and open again, often and not so often */
                                        PROCESSED_BY("rate: 1"), PROCESSED_BY("rate: 2, burst: 1"),
                                        PROCESSED_BY("rate: 1, burst: 3"), PROCESSED};
    uint64_t slow = 0;

    for (unsigned seed = 1; seed <= 60; seed++) {
        struct buf file;
        unsigned records;
        (void)teardown(state);
        set_up(RULES[seed % 4]);
        w.seed = seed;
        w.chunk_bytes = 200 + rnd(3000);
        buf_init(&file, 1 << 20);
        records = make_noisy_file(150, &file);
        live(&file);
        assert_int_equal(w.stored + dropped("noise") + dropped("thin") + dropped("slow"), records);
        assert_int_equal(str_find(buf_str(&w.lines), STR("noise")), SIZE_MAX);
        assert_int_equal(str_find(buf_str(&w.lines), STR("4111")), SIZE_MAX);
        assert_int_equal(str_find(buf_str(&w.lines), STR("secret")), SIZE_MAX);
        assert_true(str_find(buf_str(&w.lines), STR("some thin text")) != SIZE_MAX);
        assert_true(str_find(buf_str(&w.lines), STR("[redacted:card] by")) != SIZE_MAX);
        assert_true(dropped("noise") > 0 && dropped("thin") > 0);
        slow += dropped("slow");
        buf_fini(&file);
    }
    assert_true(slow > 0);
}

/* ---- single stories ---- */

/* Each line opens the rate that the one before has used up, and what is held stays held: `more` is
 * a line in between, or none. */
static void write_sparse(unsigned n, const char *more)
{
    for (unsigned i = 0; i < n; i++) {
        char text[160];
        (void)snprintf(text, sizeof(text), "2026-11-21T19:%02u:%02u.000Z stdout F slow %u\n%s",
                       i * 2 / 60, i * 2 % 60, i, more);
        append(str_of(text));
        if (i % 5 == 4)
            (void)read_some(1 << 20);
    }
}

static void lines_that_come_slower_than_their_rate_are_all_kept(void **state)
{
    uint64_t dropped_before = metric_get(METRIC_DROPPED_RATE);

    (void)teardown(state);
    set_up("rules: [{name: slow, rate: 1}]\n");
    write_sparse(20, "");
    assert_int_equal(w.c->parts.n, 20); /* no two of them share the bit */
    seal();
    die_and_return();
    deliver_everything();
    assert_int_equal(w.stored, 20);
    assert_int_equal(metric_get(METRIC_DROPPED_RATE), dropped_before);
}

static void a_rate_opens_in_front_of_a_line_while_another_is_held(void **state)
{
    (void)teardown(state);
    set_up("rules: [{name: slow, if: {stream: stdout}, rate: 1}]\n");
    append(STR("2026-11-21T19:00:00Z stderr P held\n"));
    write_sparse(10, "2026-11-21T19:00:00Z stderr P +\n");
    append(STR("2026-11-21T19:00:30Z stdout P of two\n2026-11-21T19:00:30Z stderr F .\n"
               "2026-11-21T19:00:32Z stdout F pieces\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    seal();
    die_and_return();
    deliver_everything();
    assert_int_equal(w.stored, 12);
    assert_true(str_ends(buf_str(&w.lines), STR("stderr|held++++++++++.\nstdout|of twopieces\n")));
    assert_int_equal(w.t->file->planned.n, 1);
}

#define BODY "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpI"

static void a_file_may_begin_inside_a_key(void **state)
{
    (void)teardown(state);
    set_up(PROCESSED);
    append(STR(T "stderr F " BODY "\n" T "stdout F " BODY "\n" T "stderr F short\n"));
    deliver_everything();
    expect_lines("stderr|[redacted:private_key]\nstdout|" BODY "\n"
                 "stderr|[redacted:private_key]\n");
    die_and_return();
    append(STR(T "stderr F AQAB\n" T "stderr F -----END PRIVATE KEY-----\n" T "stderr F AQAB\n"));
    w.lines.n = 0;
    deliver_everything();
    expect_lines("stderr|[redacted:private_key]\nstderr|[redacted:private_key]\nstderr|AQAB\n");
}

/* What was cut off is told by the journal when the record is built again, and by the file itself
 * when that was acknowledged. */
static void the_halves_of_a_record_show_no_half_of_a_secret(void **state)
{
    for (int acked = 0; acked < 2; acked++) {
        (void)teardown(state);
        set_up("redact: {detectors: [bearer, private_key]}\n");
        append(STR(T "stdout P auth: Bearer abc\n" T "stderr P -----BEGIN PRIV\n"));
        assert_int_equal(read_some(1 << 20), TAIL_END);
        tail_expire(w.t, &w.rd, w.c, time_mono() + 2 * w.partial_timeout);
        if (acked)
            deliver_everything();
        seal();
        die_and_return();
        append(STR(T "stdout F defgh123456 for joe\n" T "stdout F done: well\n" T
                     "stderr F ATE KEY-----\\n" BODY "\n" T "stderr F " BODY "\n"));
        deliver_everything();
        expect_lines("stdout|auth: Bearer [redacted:cut] partial=true\n"
                     "stderr|[redacted:cut] partial=true\n"
                     "stdout|[redacted:cut] joe\nstdout|done: well\n"
                     "stderr|[redacted:private_key]\nstderr|[redacted:private_key]\n");
    }
}

/* The end of a record that is longer than it may be is nowhere. */
static void what_is_cut_at_max_line_shows_no_half_of_a_secret(void **state)
{
    (void)teardown(state);
    set_up("redact: {detectors: [bearer]}\n");
    w.rd.limits.max_line = 28;
    append(STR(T "stdout F auth: Bearer abcdefghijklmno12345678\n" T "stdout F next line\n"));
    deliver_everything();
    expect_lines("stdout|auth: Bearer [redacted:cut] truncated=36\nstdout|next line\n");
}

/* The bytes are acknowledged all the same, with no record. */
static void what_is_given_up_can_be_dropped(void **state)
{
    (void)teardown(state);
    set_up(PROCESSED);
    append(STR(T "stdout P noise\n" T "stderr F plain\n"
                 "noise"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    tail_expire(w.t, &w.rd, w.c, time_mono() + 2 * w.partial_timeout);
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("stderr|plain\n");
    assert_int_equal(dropped("noise"), 2);
    assert_true(tail_is_settled(w.t));
}

/* Start again with other rules, and build the one chunk again that there is. */
static void rebuild_by(const char *rules)
{
    struct checkpoint_chunk *plan;

    stop();
    configure(rules);
    start();
    tail_adopt(w.t, checkpoint_file_at(w.cp, 0));
    plan = checkpoint_chunk_at(w.cp, 0);
    for (size_t i = 0; i < plan->parts.n; i++)
        assert_int_equal(tail_rebuild(w.t, &w.rd, w.c, &plan->parts.p[i], NULL, &err), 0);
}

/* What was built is what is sent from now on. */
static void send_rebuilt(void)
{
    struct sent *s = &w.sent.p[0];

    buf_clear(&s->message);
    assert_int_equal(chunk_pack(w.c, &s->message, s->token, &err), 0);
    for (size_t i = 0; i < w.c->drops.n; i++)
        checkpoint_dropped(w.cp, w.c->drops.p[i].file, w.c->drops.p[i].rule, w.c->drops.p[i].count,
                           w.c->drops.p[i].bytes);
    assert_int_equal(checkpoint_sync(w.cp, &err), 0);
    chunk_clear(w.c);
}

#define LOUD "rules: [{name: loud, if: {line: loud}, then: drop}]\n"

static void what_other_rules_drop_after_a_restart_is_counted(void **state)
{
    uint64_t otherwise;

    (void)teardown(state);
    set_up(PROCESSED);
    otherwise = metric_get(METRIC_REBUILT_OTHERWISE);
    append(STR(T "stdout F plain\n" T "stdout F loud 1\n" T "stdout F loud 2\n" T
                 "stdout F noise\n" T "stdout F end\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    seal();
    rebuild_by(LOUD);
    assert_int_equal(w.c->entries, 3); /* four were planned */
    assert_int_equal(w.c->drops.n, 1);
    assert_string_equal(w.c->drops.p[0].rule, "rules_changed");
    assert_int_equal(w.c->drops.p[0].count, 1);
    assert_int_equal(w.c->drops.p[0].bytes, 6);
    assert_int_equal(metric_get(METRIC_REBUILT_OTHERWISE), otherwise + 1);
    assert_true(checkpoint_replan(w.cp, w.sent.p[0].no, w.c->parts.p, w.c->parts.n));
    assert_false(checkpoint_replan(w.cp, w.sent.p[0].no, w.c->parts.p, w.c->parts.n));
    send_rebuilt();
    die_and_return(); /* again the same, and nothing is counted twice */
    assert_int_equal(dropped("rules_changed"), 1);
    assert_int_equal(metric_get(METRIC_REBUILT_OTHERWISE), otherwise + 1);
    deliver_everything();
    expect_lines("stdout|plain\nstdout|noise\nstdout|end\n");
}

/* A rate that is used up is a bit: with other rules it would be another's. */
static void a_rate_of_other_rules_drops_nothing_after_a_restart(void **state)
{
    (void)teardown(state);
    set_up(PROCESSED);
    for (int i = 0; i < 5; i++)
        append(STR(T "stdout F flood\n"));
    append(STR(T "stdout F plain\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    seal();
    assert_int_equal(dropped("slow"), 2);
    rebuild_by("rules: [{name: quick, if: {line: plain}, rate: 1}]\n");
    assert_int_equal(w.c->entries, 6);
    assert_int_equal(w.c->drops.n, 0);
    assert_true(checkpoint_replan(w.cp, w.sent.p[0].no, w.c->parts.p, w.c->parts.n));
    send_rebuilt();
    die_and_return();
    assert_int_equal(w.t->rates.closed, 0);
}

static void words_at_the_beginning_are_no_key(void **state)
{
    (void)teardown(state);
    set_up(PROCESSED);
    append(STR(T "stdout F starting\n" T "stdout F " BODY "\n"));
    deliver_everything();
    expect_lines("stdout|starting\nstdout|" BODY "\n");
}

static void held_bytes_are_inside_no_range(void **state)
{
    (void)state;
    append(STR(T "stdout P ab\n" T "stderr F x\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_int_equal(w.c->parts.n, 1); /* the other stream does not wait */
    assert_int_equal(w.c->parts.p[0].start, 33);
    assert_int_equal(w.c->parts.p[0].count, 1);
    seal();
    append(STR(T "stdout F cd\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_int_equal(w.c->parts.n, 2); /* the hole goes with the line that ends it */
    assert_int_equal(w.c->parts.p[0].start, 0);
    assert_int_equal(w.c->parts.p[0].end, 33);
    assert_int_equal(w.c->parts.p[0].count, 0);
    assert_int_equal(w.c->parts.p[1].count, 1);
    deliver_everything();
    expect_lines("stderr|x\nstdout|abcd\n");
}

static void an_unfinished_record_is_sent_partial_when_it_is_due(void **state)
{
    (void)state;
    append(STR(T "stdout P ab\n" T "stderr F x\n" T "stdout P cd\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_false(tail_is_due(w.t, &w.rd, time_mono()));
    w.rd.partial_timeout = 0;
    assert_true(tail_is_due(w.t, &w.rd, time_mono()));
    tail_expire(w.t, &w.rd, w.c, time_mono());
    assert_false(tail_is_due(w.t, &w.rd, time_mono()));
    seal();
    die_and_return(); /* and it is the same chunk again */
    append(STR(T "stdout F ef\n"));
    deliver_everything();
    expect_lines("stderr|x\nstdout|abcd partial=true\nstdout|ef\n");
    assert_int_equal(w.t->file->planned.n, 1);
}

static void a_line_without_its_newline_waits(void **state)
{
    (void)state;
    append(STR(T "stdout F ab\n" T "stdout F c"));
    deliver_everything();
    expect_lines("stdout|ab\n");
    append(STR("d\n"));
    deliver_everything();
    expect_lines("stdout|ab\nstdout|cd\n");
}

static void a_torn_line_is_sent_as_it_stands(void **state)
{
    (void)state;
    append(STR(T "stdout F ab\n" T "stdout F c"));
    deliver_everything();
    w.rd.partial_timeout = 0;
    tail_expire(w.t, &w.rd, w.c, time_mono());
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("stdout|ab\n" T "stdout F c partial=true undecoded=true\n");
    assert_true(tail_is_settled(w.t));
}

static void a_line_that_breaks_the_format_is_kept(void **state)
{
    (void)state;
    append(STR("garbage\n" T "stdout F ab\n\n" T "stdout F cd\n"));
    deliver_everything();
    expect_lines("garbage undecoded=true\nstdout|ab\nstdout|cd\n");
    assert_int_equal(metric_get(METRIC_RECORDS_UNDECODED), 1);
}

static void a_giant_line_is_cut_in_bounded_memory(void **state)
{
    struct buf line;

    (void)state;
    buf_init(&line, 8 << 20);
    buf_add_z(&line, T "stdout F ");
    while (line.n < 3 << 20)
        buf_add_z(&line, "0123456789");
    append(buf_str(&line));
    assert_int_equal(read_some(1 << 20), TAIL_END); /* no newline yet */
    append(STR("!\n" T "stdout F next\n"));
    deliver_everything();
    assert_int_equal(w.stored, 2);
    assert_true(w.rd.cap < 1 << 20);
    assert_true(str_find(buf_str(&w.lines), STR(" truncated=31")) != SIZE_MAX);
    assert_true(str_ends(buf_str(&w.lines), STR("stdout|next\n")));
    die_and_return();
    buf_fini(&line);
}

static void a_giant_line_is_built_again_after_a_death(void **state)
{
    struct buf line;

    (void)state;
    stop();
    w.max_line = 100000; /* sixteen of them may be held */
    start();
    buf_init(&line, 8 << 20);
    buf_add_z(&line, T "stdout P ");
    while (line.n < 1 << 20)
        buf_add_z(&line, "0123456789");
    buf_add_z(&line, "\n");
    append(buf_str(&line)); /* a piece of a record: held, so the reader comes back to it, too */
    buf_clear(&line);
    buf_add_z(&line, T "stderr F ");
    while (line.n < 1 << 20)
        buf_add_z(&line, "abcdefghij");
    buf_add_z(&line, "\n");
    append(buf_str(&line));
    buf_fini(&line);
    (void)read_some(4 << 20);
    seal();
    die_and_return(); /* the plan has the second line; the first is a hole in front of it */
    append(STR(T "stdout F end\n"));
    (void)read_some(4 << 20);
    seal();
    die_and_return();
    assert_int_equal(w.sent.n, 2);
    deliver_everything();
    assert_int_equal(w.stored, 2);
    assert_true(str_find(buf_str(&w.lines), STR("stderr|abcdefghij")) != SIZE_MAX);
    assert_true(str_find(buf_str(&w.lines), STR("stdout|0123456789")) != SIZE_MAX);
}

static void giant_lines_in_a_row_take_turns(void **state)
{
    struct buf line;

    (void)state;
    buf_init(&line, 1 << 20);
    buf_add_z(&line, T "stdout F ");
    while (line.n < 300 << 10)
        buf_add_z(&line, "0123456789");
    buf_add_z(&line, "\n");
    for (unsigned i = 0; i < 8; i++)
        append(buf_str(&line));
    buf_fini(&line);
    assert_int_equal(read_some(0), TAIL_MORE);
    seal();
    assert_int_equal(w.t->pos, w.t->seen / 8);
    deliver_everything();
    assert_int_equal(w.t->pos, w.t->seen); /* none of them is taken for an unfinished one */
    assert_int_equal(w.stored, 8);
}

/* Others want to be read, too. */
static void a_line_without_end_is_gone_through_in_turns(void **state)
{
    enum { BYTES = 48 << 20, TURN = 10 << 20 };
    uint64_t before = 0;
    struct buf line;
    int turns = 0;

    (void)state;
    buf_init(&line, BYTES + 64);
    buf_add_z(&line, T "stdout F ");
    memset(buf_room(&line, BYTES), 'x', BYTES);
    line.n += BYTES;
    append(buf_str(&line));
    while (read_some(0) == TAIL_MORE) {
        assert_in_range(w.t->scanned - before, 1, TURN);
        assert_false(w.t->caught_up); /* else it would be taken for one that nobody ends */
        before = w.t->scanned;
        turns++;
    }
    assert_in_range(turns, BYTES / TURN, BYTES / (1 << 20));
    assert_int_equal(w.t->scanned, w.t->seen);
    append(STR("\n" T "stdout F next\n"));
    deliver_everything();
    assert_int_equal(w.stored, 2);
    assert_true(str_find(buf_str(&w.lines), STR(" truncated=50331648\n")) != SIZE_MAX);
    assert_true(str_ends(buf_str(&w.lines), STR("stdout|next\n")));
    die_and_return();
    buf_fini(&line);
}

static void read_on(void)
{
    while (tail_read(w.t, &w.rd, w.c, 1 << 20, &err) != TAIL_END)
        seal();
    seal();
}

/* What could not be read for a moment is read later: the end of a line may be there. */
static void a_read_that_fails_in_a_giant_line_hides_nothing(void **state)
{
    struct buf line;

    buf_init(&line, 1 << 20);
    buf_add_z(&line, T "stdout F ");
    while (line.n < 600 << 10)
        buf_add_z(&line, "0123456789");
    buf_add_z(&line, "\n" T "stdout F next\n");
    FAULT_EACH("reader.read") {
        (void)teardown(state);
        (void)setup(state);
        append(buf_str(&line));
        read_on();
        append(STR(T "stdout F last\n"));
        read_on();
        for (; w.sent.n > 0; ack(0))
            server_take(buf_str(&w.sent.p[0].message));
        assert_int_equal(w.stored, 3);
        assert_true(str_ends(buf_str(&w.lines), STR("stdout|next\nstdout|last\n")));
    }
    buf_fini(&line);
}

/* Nor is anything held twice when what was held cannot be read for a moment after a death. */
static void a_read_that_fails_when_it_is_resumed_doubles_nothing(void **state)
{
    FAULT_EACH("reader.read") {
        (void)teardown(state);
        (void)setup(state);
        append(STR(T "stdout P ab\n" T "stderr P 12\n" T "stdout P cd\n" T "stderr F x\n" T
                     "stdout P ef\n" T "stderr F y\n"));
        while (tail_read(w.t, &w.rd, w.c, 1 << 20, &err) != TAIL_END)
            ;
        seal();
        stop();
        start();
        while (tail_is_file(&w.t->from, checkpoint_file_at(w.cp, 0)) < 0)
            ;
        tail_adopt(w.t, checkpoint_file_at(w.cp, 0));
        while (tail_resume(w.t, &w.rd, &err) < 0)
            ;
        append(STR(T "stdout F gh\n"));
        read_on();
        for (; w.sent.n > 0; ack(0))
            server_take(buf_str(&w.sent.p[0].message));
        expect_lines("stderr|12x\nstderr|y\nstdout|abcdefgh\n");
    }
}

/* A file may be longer than anybody could read, and take no room. */
static void a_hole_holds_up_nobody(void **state)
{
    const off_t size = (off_t)8 << 40;

    (void)state;
    append(STR(T "stdout F one\n" T "stdout F hole"));
    assert_int_equal(truncate(w.log, size), 0);
    while (read_some(1 << 20) == TAIL_MORE)
        ;
    assert_int_equal(w.t->room_end, size);
    append(STR("\n" T "stdout F next\n"));
    while (read_some(1 << 20) == TAIL_MORE)
        ;
    seal();
    die_and_return();
    deliver_everything();
    assert_int_equal(w.stored, 3);
    assert_true(str_find(buf_str(&w.lines), STR(" truncated=8796093022")) != SIZE_MAX);
    assert_true(str_ends(buf_str(&w.lines), STR("stdout|next\n")));
}

static void what_is_passed_over_is_not_gone_through(void **state)
{
    const off_t size = (off_t)8 << 40;

    (void)state;
    append(STR(T "stdout F one\n"));
    assert_int_equal(tail_pass(w.t, &w.rd, &err), TAIL_END);
    assert_int_equal(w.t->pos, w.t->seen);
    assert_int_equal(truncate(w.log, size), 0);
    assert_int_equal(tail_pass(w.t, &w.rd, &err), TAIL_END);
    append(STR("\n" T "stdout F next\n"));
    assert_int_equal(tail_pass(w.t, &w.rd, &err), TAIL_END);
    append(STR(T "stdout F read\n"));
    deliver_everything();
    expect_lines("stdout|read\n");
}

/* What the file was is nowhere any more. */
static void forget_old(void)
{
    struct tail *old = tail_split(w.t);

    tail_flush(old, &w.rd, w.c);
    seal();
    tail_free(&old, &w.rd);
}

/* An open record moves with the old content to where that was copied. */
static void a_copy_is_read_on_under_the_old_id(void **state)
{
    char copy[sizeof(w.log) + 4];
    struct reader from, other;
    struct tail *old;
    struct buf text;

    (void)state;
    append(STR(T "stdout F one\n" T "stdout P tw"));
    deliver_everything();
    append(STR("o and \n" T "stdout P more\n"));
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    assert_int_equal(read_some(1 << 20), TAIL_END);
    append(STR(T "stdout F .\n" T "stdout F three\n"));
    buf_init(&text, 4096);
    assert_int_equal(file_read(w.dir, "0.log", &text, &err), 0);
    assert_int_equal(file_replace(w.dir, "0.log.1", 0600, buf_str(&text), &err), 0);
    text.p[text.n / 2] ^= 1; /* another file with the same head */
    assert_int_equal(file_replace(w.dir, "0.log.2", 0600, str_sub(buf_str(&text), 0, 90), &err), 0);
    buf_fini(&text);
    assert_int_equal(truncate(w.log, 0), 0);
    append(STR(T "stdout F new\n"));
    assert_int_equal(tail_look(w.t), TAIL_REPLACED);
    (void)snprintf(copy, sizeof(copy), "%s.2", w.log);
    reader_open(&other, open(copy, O_RDONLY | O_CLOEXEC), false);
    assert_false(tail_is_copy(w.t, &other));
    reader_close(&other);
    (void)snprintf(copy, sizeof(copy), "%s.1", w.log);
    reader_open(&from, open(copy, O_RDONLY | O_CLOEXEC), false);
    assert_true(tail_is_copy(w.t, &from));
    old = tail_split(w.t);
    old->from = from;
    assert_int_equal(tail_read(old, &w.rd, w.c, 1 << 20, &err), TAIL_END);
    deliver_everything();
    tail_free(&old, &w.rd);
    expect_lines("stdout|one\nstdout|two and more.\nstdout|three\nstdout|new\n");
    assert_false(join_is_open(&w.t->join));
}

/* Cut, and something longer written: whoever reads on at the old place is in the middle of it. */
static void rewrite(const char *beginning)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    buf_add_z(&text, beginning);
    for (unsigned i = 0; i < 100; i++)
        buf_addf(&text, T "stdout F new %u\n", i);
    assert_int_equal(truncate(w.log, 0), 0);
    append(buf_str(&text));
    buf_fini(&text);
}

static void expect_only_new(void)
{
    assert_int_equal(w.stored, 1 + 100);
    for (unsigned i = 0; i < 100; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "stdout|new %u\n", i);
        assert_true(str_find(buf_str(&w.lines), str_of(line)) != SIZE_MAX);
    }
}

/* After it was looked at and before it is read. */
static void a_file_rewritten_right_before_it_is_read_is_a_new_one(void **state)
{
    struct turn u;
    bool stopped;

    (void)state;
    append(STR(T "stdout F old\n"));
    deliver_everything();
    append(STR(T "stdout F gone\n"));
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    u = turn_begin(w.t, &w.rd, w.c, w.t->pos);
    rewrite("");
    assert_int_equal(turn_lines(&u, &w.t->pos, 1000, UINT64_MAX, &stopped, &err), ERR_CORRUPT);
    assert_true(u.changed);
    turn_end_run(&u, w.t->pos);
    assert_true(chunk_is_empty(w.c));
    assert_int_equal(read_some(1 << 20), TAIL_CHANGED);
    forget_old();
    deliver_everything();
    expect_only_new();
}

/* A program that begins with the same words whenever it is started. */
static void a_file_rewritten_with_the_same_beginning_is_a_new_one(void **state)
{
    char beginning[2 * CHECKPOINT_HEAD_MAX];

    (void)state;
    memset(beginning, '.', sizeof(beginning));
    memcpy(beginning, T "stdout P ", strlen(T "stdout P "));
    beginning[sizeof(beginning) - 2] = '\n';
    beginning[sizeof(beginning) - 1] = '\0';
    append(str_of(beginning));
    append(STR(T "stdout F old\n"));
    deliver_everything();
    rewrite(beginning);
    assert_int_equal(tail_look(w.t), TAIL_REPLACED);
    assert_int_equal(read_some(1 << 20), TAIL_CHANGED);
    forget_old();
    deliver_everything();
    assert_int_equal(w.stored, 1 + 100);
}

static decode_fn *real_decode;
static unsigned lines_decoded;
static char first_new[300 << 10];

static bool decode_and_rewrite(struct decoder *d, struct str line, struct piece *ret)
{
    bool r = real_decode(d, line, ret);

    if (++lines_decoded == 2)
        rewrite(first_new);
    return r;
}

/* Between two reads of a turn: what the first brought stays, what the second brings is nobody's. */
static void a_file_rewritten_in_the_midst_of_a_turn_is_a_new_one(void **state)
{
    struct buf line;

    (void)state;
    buf_init(&line, 1 << 20);
    buf_add_z(&line, T "stdout F ");
    while (line.n < 200 << 10)
        buf_add_z(&line, "0123456789");
    buf_add_char(&line, '\n');
    append(STR(T "stdout F old\n"));
    append(buf_str(&line));
    append(buf_str(&line));
    buf_fini(&line);
    memset(first_new, '.', sizeof(first_new) - 1);
    memcpy(first_new, T "stdout F ", strlen(T "stdout F "));
    first_new[sizeof(first_new) - 2] = '\n';
    real_decode = w.set->v[0].decode;
    w.set->v[0].decode = decode_and_rewrite;
    lines_decoded = 0;
    assert_int_equal(read_some(1 << 20), TAIL_CHANGED);
    seal();
    forget_old();
    deliver_everything();
    assert_int_equal(w.stored, 2 + 1 + 100);
}

static void a_shrunken_file_is_a_new_one(void **state)
{
    (void)state;
    append(STR(T "stdout F old one\n"));
    deliver_everything();
    append(STR(T "stdout F unre"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_int_equal(truncate(w.log, 0), 0);
    append(STR(T "stdout F new\n"));
    assert_int_equal(read_some(1 << 20), TAIL_CHANGED);
    forget_old();
    deliver_everything();
    expect_lines("stdout|old one\nstdout|new\n");
    assert_int_equal(metric_get(METRIC_FILES_TRUNCATED), 1);
}

static void a_file_rewritten_in_place_is_a_new_one(void **state)
{
    (void)state;
    append(STR(T "stdout F old\n"));
    deliver_everything();
    assert_int_equal(truncate(w.log, 0), 0);
    append(STR("2027"
               "-11-21T19:14:38Z stdout F quite another content, and longer too\n"));
    assert_int_equal(read_some(1 << 20), TAIL_CHANGED);
    forget_old();
    deliver_everything();
    expect_lines("stdout|old\nstdout|quite another content, and longer too\n");
}

static void a_file_that_lost_what_was_planned_is_not_rebuilt(void **state)
{
    struct checkpoint_chunk *plan;

    (void)state;
    append(STR(T "stdout F one\n" T "stdout F two\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    seal();
    plan = checkpoint_chunk_at(w.cp, 0);
    assert_int_equal(truncate(w.log, 40), 0);
    assert_int_equal(tail_rebuild(w.t, &w.rd, w.c, &plan->parts.p[0], NULL, &err), ERR_CORRUPT);
    assert_true(chunk_is_empty(w.c));
    assert_int_equal(w.c->entries, 0); /* nothing half is left in the chunk */
    assert_int_equal(w.c->message.n, w.c->head);
}

/* Nothing of it was planned, and it was not looked at since. */
static void what_was_cut_just_after_a_start_is_noticed(void **state)
{
    (void)state;
    append(STR(T "stdout F one\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_int_equal(checkpoint_sync(w.cp, &err), 0);
    die_and_return();
    assert_int_equal(w.t->pos, 0);
    assert_int_equal(truncate(w.log, 0), 0);
    assert_int_equal(tail_look(w.t), TAIL_REPLACED);
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(every_record_arrives_once_however_it_is_cut, setup, teardown),
    cmocka_unit_test_setup_teardown(processing_is_the_same_again, setup, teardown),
    cmocka_unit_test_setup_teardown(lines_that_come_slower_than_their_rate_are_all_kept, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_rate_opens_in_front_of_a_line_while_another_is_held, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_file_may_begin_inside_a_key, setup, teardown),
    cmocka_unit_test_setup_teardown(words_at_the_beginning_are_no_key, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_given_up_can_be_dropped, setup, teardown),
    cmocka_unit_test_setup_teardown(what_other_rules_drop_after_a_restart_is_counted, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_rate_of_other_rules_drops_nothing_after_a_restart, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(the_halves_of_a_record_show_no_half_of_a_secret, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(what_is_cut_at_max_line_shows_no_half_of_a_secret, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(held_bytes_are_inside_no_range, setup, teardown),
    cmocka_unit_test_setup_teardown(an_unfinished_record_is_sent_partial_when_it_is_due, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_line_without_its_newline_waits, setup, teardown),
    cmocka_unit_test_setup_teardown(a_torn_line_is_sent_as_it_stands, setup, teardown),
    cmocka_unit_test_setup_teardown(a_line_that_breaks_the_format_is_kept, setup, teardown),
    cmocka_unit_test_setup_teardown(a_giant_line_is_cut_in_bounded_memory, setup, teardown),
    cmocka_unit_test_setup_teardown(a_giant_line_is_built_again_after_a_death, setup, teardown),
    cmocka_unit_test_setup_teardown(giant_lines_in_a_row_take_turns, setup, teardown),
    cmocka_unit_test_setup_teardown(a_line_without_end_is_gone_through_in_turns, setup, teardown),
    cmocka_unit_test_setup_teardown(a_read_that_fails_in_a_giant_line_hides_nothing, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_read_that_fails_when_it_is_resumed_doubles_nothing, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_hole_holds_up_nobody, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_passed_over_is_not_gone_through, setup, teardown),
    cmocka_unit_test_setup_teardown(a_copy_is_read_on_under_the_old_id, setup, teardown),
    cmocka_unit_test_setup_teardown(a_shrunken_file_is_a_new_one, setup, teardown),
    cmocka_unit_test_setup_teardown(a_file_rewritten_right_before_it_is_read_is_a_new_one, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_file_rewritten_with_the_same_beginning_is_a_new_one, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_file_rewritten_in_the_midst_of_a_turn_is_a_new_one, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_file_rewritten_in_place_is_a_new_one, setup, teardown),
    cmocka_unit_test_setup_teardown(a_file_that_lost_what_was_planned_is_not_rebuilt, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(what_was_cut_just_after_a_start_is_noticed, setup, teardown))
