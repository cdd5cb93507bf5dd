/*
 * Unit tests of records of several lines in collector/tail.  The property: wherever the file is cut
 * for reading, rotated, sealed into chunks and the collector killed, the records are those of a
 * joiner that sees the whole text at once, each arrives exactly once, and a chunk that is built
 * again is the same to the byte.
 */
#include "tests/unit/collector/tail_world.h"

enum { FILES = 6, LINES = 150 };

static struct tail *tails[FILES]; /* of the files so far; the last is w.t */
static unsigned n_files;

/* ---- many files ---- */

static bool begins_with_s(const void *arg, struct str line)
{
    (void)arg;
    return line.n > 0 && line.p[0] == 'S';
}

static const struct trace_rule AUTO = {.format = TRACE_AUTO};
static const struct trace_rule START = {.format = TRACE_START, .starts = begins_with_s};

static void name_log(unsigned i)
{
    (void)snprintf(w.log, sizeof(w.log), "%s/%u.log", w.path, i);
}

static void rotate(void)
{
    char name[16];

    (void)snprintf(name, sizeof(name), "%u.log", n_files);
    assert_int_equal(file_replace(w.dir, name, 0600, STR(""), &err), 0);
    name_log(n_files);
    open_tail();
    tails[n_files++] = w.t;
}

static struct checkpoint_file *journal_file(const char *path)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(w.cp, i)) != NULL; i++)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

static void close_all(void)
{
    for (unsigned i = 0; i < n_files; i++)
        tail_free(&tails[i], &w.rd);
    w.t = NULL;
    stop();
}

static struct tail *tail_of(const struct checkpoint_chunk *plan, size_t i)
{
    return i < plan->parts.n ? plan->parts.p[i].file->user : NULL;
}

static void rebuild_all(void)
{
    struct checkpoint_chunk *plan;

    for (size_t i = 0; (plan = checkpoint_chunk_at(w.cp, i)) != NULL; i++) {
        assert_true(i < w.sent.n && w.sent.p[i].no == plan->no);
        for (size_t p = 0; p < plan->parts.n; p++)
            if (tail_rebuild(tail_of(plan, p), &w.rd, w.c, &plan->parts.p[p], tail_of(plan, p + 1),
                             &err) < 0)
                fail_msg("%s", err.text);
        for (unsigned f = 0; f < n_files; f++) { /* a chunk needs nothing outside of it */
            assert_false(join_is_open(&tails[f]->join));
            assert_false(multiline_is_open(tails[f]->multi));
        }
        check_rebuilt(i);
    }
}

static void resume_one(struct tail *t)
{
    if (t->holes_due && tail_resume(t, &w.rd, &err) < 0)
        fail_msg("%s", err.text);
}

/* Each file in its turn: held bytes are fed again; one that is not the last is read to its end,
 * then what it holds goes on in the next. */
static void resume_all(void)
{
    for (unsigned i = 0; i + 1 < n_files; i++) {
        resume_one(tails[i]);
        while (tail_read(tails[i], &w.rd, w.c, 1 << 20, &err) == TAIL_MORE)
            seal();
        tail_hand_over(tails[i], tails[i + 1], &w.rd);
    }
    resume_one(w.t);
}

static void die_and_return_all(void)
{
    unsigned n = n_files;

    close_all();
    w.t = NULL;
    assert_int_equal(checkpoint_open(w.dir, &w.cp, &err), 0);
    tail_reader_init(&w.rd, w.cp, w.max_line, w.partial_timeout);
    w.c = chunk_new(&(struct chunk_options){.bytes = w.chunk_bytes, .codec = CODEC_NONE});
    for (n_files = 0; n_files < n; n_files++) {
        struct checkpoint_file *f;
        name_log(n_files);
        open_tail();
        tails[n_files] = w.t;
        f = journal_file(w.log);
        if (f != NULL)
            tail_adopt(w.t, f);
    }
    rebuild_all();
    resume_all();
}

static int setup_with(const struct trace_rule *rule, const char *more)
{
    n_files = 0;
    set_up(more);
    w.set->v[0].trace = *rule;
    w.t->trace = *rule;
    tails[n_files++] = w.t;
    return 0;
}

static int setup_multi(const struct trace_rule *rule)
{
    return setup_with(rule, "");
}

static int setup_redacted(void **state)
{
    (void)state;
    return setup_with(&AUTO, "redact: {detectors: [private_key]}\n");
}

static int setup_start(void **state)
{
    (void)state;
    return setup_multi(&START);
}

static int setup_auto(void **state)
{
    (void)state;
    return setup_multi(&AUTO);
}

static int teardown_multi(void **state)
{
    for (unsigned i = 0; i + 1 < n_files; i++)
        tail_free(&tails[i], &w.rd);
    n_files = 0;
    return teardown(state);
}

/* ---- the text, and what it says ---- */

/* Of at most 127 bytes; # is a number. */
static void random_line(const struct trace_rule *rule, char dst[128])
{
    static const char *const AUTOS[] = {
        "plain #",
        "plain #",
        "java.lang.IllegalStateException: boom #",
        "\tat com.acme.Order.handle(Order.java:#)",
        "\tat com.acme.Order.go(Order.java:#)",
        "Caused by: java.io.IOException: #",
        "\t... # more",
        "Traceback (most recent call last):",
        "  File \"x.py\", line #, in f",
        "ValueError: #",
        "",
        "panic: #",
        "goroutine # [running]:",
        "main.f(0x#)",
        "thread 'main' panicked at src/main.rs:#:5:",
        "x.rb:#:in `f': no (RuntimeError)",
        "\tfrom x.rb:#:in `g'",
    };
    static const char *const STARTS[] = {"Start #", " goes on #", " and on #"};
    const char *from =
        rule->format == TRACE_START ? STARTS[rnd(3)] : AUTOS[rnd(sizeof(AUTOS) / sizeof(AUTOS[0]))];
    struct buf text;

    buf_init(&text, 128);
    for (; *from != '\0'; from++)
        if (*from == '#')
            buf_addf(&text, "%u", rnd(1000000));
        else
            buf_add_char(&text, *from);
    (void)str_to_z(buf_str(&text), dst, 128);
    buf_fini(&text);
}

struct naive { /* one stream of a joiner that sees everything */
    struct buf open;
    bool is_open;
    unsigned state, lines;
};

static void naive_end(struct naive *v, const char *stream, struct buf *expected)
{
    struct str text = buf_str(&v->open);

    if (!v->is_open)
        return;
    while (text.n > 0 && text.p[text.n - 1] == NEWLINE)
        text.n--;
    buf_addf(expected, "%s|%.*s\n", stream, STR_ARG(text));
    buf_clear(&v->open);
    v->is_open = false;
}

static void naive_line(struct naive *v, const struct trace_rule *rule, const char *stream,
                       const char *line, struct buf *expected)
{
    enum trace_step step;

    if (!v->is_open)
        v->state = 0;
    step = trace_step(rule, &v->state, str_of(line));
    if (step != TRACE_GOES_ON || v->open.n + 1 + strlen(line) > w.max_line)
        naive_end(v, stream, expected);
    if (step == TRACE_ALONE) {
        buf_addf(expected, "%s|%s\n", stream, line);
        return;
    }
    if (v->is_open)
        buf_add_char(&v->open, NEWLINE);
    v->is_open = true;
    buf_add_z(&v->open, line);
}

/* A log of two streams, lines in pieces, garbage between them; `ends`: where a file may end. */
static void make_log(const struct trace_rule *rule, struct buf *log, struct buf *expected)
{
    static const char *const NAMES[2] = {"stdout", "stderr"};
    struct naive v[2];
    char line[2][128] = {"", ""};
    size_t done[2] = {0, 0};
    bool in_line[2] = {false, false};

    for (int s = 0; s < 2; s++) {
        memset(&v[s], 0, sizeof(v[s]));
        buf_init(&v[s].open, 1 << 20);
    }
    for (unsigned no = 0; no < LINES || in_line[0] || in_line[1];) {
        unsigned s = rnd(3) == 0, ms;
        struct str rest;
        bool last;
        if (!in_line[s] && no >= LINES)
            continue;
        if (rnd(12) == 0) {
            unsigned number = rnd(1000000);
            buf_addf(log, "garbage %u\n", number);
            buf_addf(expected, "garbage %u undecoded=true\n", number);
        }
        if (!in_line[s]) {
            random_line(rule, line[s]);
            done[s] = 0;
            no++;
        }
        rest = str_from(str_of(line[s]), done[s]);
        if (rnd(4) == 0 && rest.n > 1)
            rest.n = 1 + rnd((unsigned)rest.n - 1);
        done[s] += rest.n;
        last = line[s][done[s]] == '\0';
        in_line[s] = !last;
        ms = (unsigned)log->n * 3;
        buf_addf(log, "2026-11-21T19:%02u:%02u.%03uZ %s %s %.*s\n", ms / 60000, ms / 1000 % 60,
                 ms % 1000, NAMES[s], last ? "F" : "P", STR_ARG(rest));
        if (last)
            naive_line(&v[s], rule, NAMES[s], line[s], expected);
    }
    for (int s = 0; s < 2; s++) {
        naive_end(&v[s], NAMES[s], expected);
        buf_fini(&v[s].open);
    }
}

/* ---- the property ---- */

static void some_arrive(void)
{
    for (size_t i = 0; i < w.sent.n; i++)
        if (rnd(2) == 0)
            server_take(buf_str(&w.sent.p[i].message));
    if (w.sent.n > 0 && rnd(3) == 0) {
        size_t i = rnd((unsigned)w.sent.n);
        server_take(buf_str(&w.sent.p[i].message));
        ack(i);
    }
}

/* Where the file that begins at `from` ends: behind a line. */
static size_t end_of_file(struct str log, size_t from)
{
    size_t at = n_files == FILES ? log.n : from + 1 + rnd((unsigned)log.n / 3);

    if (at >= log.n)
        return log.n;
    return at + str_find_char(str_from(log, at), '\n') + 1;
}

/* Some more of the log, up to `end`, is written, read, sent, or the last thing we did.  Returns how
 * much is written then. */
static size_t live_a_little(const struct buf *log, size_t written, size_t end)
{
    size_t n = 1 + rnd(900);

    if (n > end - written)
        n = end - written;
    append((struct str){log->p + written, n});
    (void)read_some(1 + rnd(1500));
    if (chunk_is_full(w.c) || rnd(3) == 0)
        seal();
    some_arrive();
    if (rnd(8) == 0)
        die_and_return_all();
    return written + n;
}

/* All of it is written: what is held is not waited for. */
static void live_to_the_end(void)
{
    deliver_everything();
    w.rd.multiline_timeout = 0;
    if (tail_is_due(w.t, &w.rd, time_mono()))
        tail_expire(w.t, &w.rd, w.c, time_mono());
    deliver_everything();
}

static void one_life(const struct trace_rule *rule, unsigned seed)
{
    struct buf log, expected;
    size_t written = 0, end;

    w.seed = seed;
    w.chunk_bytes = 200 + rnd(3000);
    buf_init(&log, 1 << 20);
    buf_init(&expected, 1 << 20);
    make_log(rule, &log, &expected);
    end = end_of_file(buf_str(&log), 0);
    while (written < log.n) {
        written = live_a_little(&log, written, end);
        if (written == end && end < log.n) {
            while (read_some(1 << 20) == TAIL_MORE)
                seal();
            rotate();
            tail_hand_over(tails[n_files - 2], w.t, &w.rd);
            end = end_of_file(buf_str(&log), written);
        }
    }
    live_to_the_end();
    compare_sorted(buf_str(&w.lines), buf_str(&expected));
    for (unsigned i = 0; i < n_files; i++) {
        assert_true(tail_is_settled(tails[i]));
        assert_int_equal(tails[i]->file->planned.n, 1); /* every byte was shipped */
        assert_int_equal(tails[i]->file->planned.p[0].end, tails[i]->pos);
    }
    buf_fini(&log);
    buf_fini(&expected);
}

static void lives(const struct trace_rule *rule, void **state)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        one_life(rule, seed);
        (void)teardown_multi(state);
        (void)setup_multi(rule);
    }
}

static void records_of_a_start_pattern_arrive_once_however_they_are_cut(void **state)
{
    lives(&START, state);
}

static void traces_arrive_once_however_they_are_cut(void **state)
{
    lives(&AUTO, state);
}

/* Rules count records, not lines, and the line that ends one may be counted itself; the state is
 * written into the parts all the same: die_and_return_all compares every byte. */
static void rates_of_records_of_several_lines_are_the_same_again(void **state)
{
    uint64_t rate = metric_get(METRIC_DROPPED_RATE);

    for (unsigned seed = 1; seed <= 60; seed++) {
        struct buf log, expected;
        size_t written = 0;
        (void)teardown_multi(state);
        (void)setup_with(&AUTO, seed % 2 == 0
                                    ? "redact: {detectors: [private_key]}\nrules:\n"
                                      "- {name: slow, if: {stream: stdout}, rate: 3, burst: 2}\n"
                                      "- {name: slower, rate: 1, burst: 2}\n"
                                    : "rules: [{name: one, rate: 1}]\n");
        w.seed = seed;
        w.chunk_bytes = 200 + rnd(3000);
        buf_init(&log, 1 << 20);
        buf_init(&expected, 1 << 20);
        make_log(&AUTO, &log, &expected);
        while (written < log.n)
            written = live_a_little(&log, written, log.n);
        live_to_the_end();
        assert_true(tail_is_settled(w.t));
        buf_fini(&log);
        buf_fini(&expected);
    }
    assert_true(metric_get(METRIC_DROPPED_RATE) > rate);
}

/* Nobody comes behind the last one who would open the rate for it. */
static void a_rate_opens_for_a_record_that_does_not_grow(void **state)
{
    (void)teardown_multi(state);
    (void)setup_with(&START, "rules: [{rate: 1}]\n");
    append(STR("2026-11-21T19:00:00Z stdout F Start 1\n2026-11-21T19:00:10Z stdout F Start 2\n"
               "2026-11-21T19:00:20Z stdout F Start 3\n2026-11-21T19:00:30Z stdout F Start 4\n"));
    live_to_the_end();
    expect_lines("stdout|Start 1\nstdout|Start 2\nstdout|Start 3\nstdout|Start 4\n");
}

/* ---- single stories ---- */

static void a_record_that_does_not_grow_is_whole(void **state)
{
    (void)state;
    append(STR(T "stderr F Start 1\n" T "stdout F Start 2\n" T "stderr F and\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_true(chunk_is_empty(w.c)); /* who knows */
    assert_false(tail_is_due(w.t, &w.rd, time_mono()));
    assert_true(tail_is_due(w.t, &w.rd, time_mono() + w.rd.multiline_timeout));
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    seal();
    die_and_return_all();
    assert_true(tail_is_settled(w.t) || w.t->file->unacked > 0);
    append(STR(T "stderr F too late\n"));
    deliver_everything();
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    deliver_everything();
    compare_sorted(buf_str(&w.lines), STR("stderr|Start 1\x01"
                                          "and\nstdout|Start 2\nstderr|too late\n"));
}

/* The line that ends a record is the next one of a key that begins in it. */
static void a_key_goes_on_behind_a_record_that_was_held(void **state)
{
    (void)state;
    append(STR(T "stdout F java.lang.IllegalStateException: -----BEGIN PRIVATE KEY-----\n" T
                 "stdout F MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MB\n" T
                 "stdout F -----END PRIVATE KEY-----\n" T "stdout F done: well\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    seal();
    die_and_return_all();
    deliver_everything();
    expect_lines("stdout|java.lang.IllegalStateException: [redacted:private_key]\n"
                 "stdout|[redacted:private_key]\nstdout|[redacted:private_key]\n"
                 "stdout|done: well\n");
}

/* An unfinished line may be the next of the record: so it is waited for as long as for a line. */
static void a_piece_is_waited_for(void **state)
{
    dur_ns later;

    (void)state;
    append(STR(T "stdout F Start 1\n" T "stdout P an\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    later = time_mono() + w.rd.multiline_timeout;
    assert_false(tail_is_due(w.t, &w.rd, later));
    append(STR(T "stdout F d\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    deliver_everything();
    expect_lines("stdout|Start 1\x01"
                 "and\n");
}

static void a_record_has_a_thousand_lines_at_most(void **state)
{
    (void)state;
    w.rd.limits.max_line = w.max_line = 1 << 20;
    w.chunk_bytes = 1 << 20;
    append(STR(T "stdout F Start\n"));
    for (int i = 0; i < MULTILINE_LINES_MAX; i++)
        append(STR(T "stdout F x\n"));
    while (read_some(1 << 20) == TAIL_MORE)
        seal();
    seal();
    die_and_return_all();
    assert_int_equal(read_some(1 << 20), TAIL_END);
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    deliver_everything();
    assert_int_equal(w.stored, 2);
    assert_int_equal(w.lines.n,
                     sizeof("stdout|Start") + 2 * (MULTILINE_LINES_MAX - 1) + sizeof("stdout|x"));
}

/* Whoever writes a log decides how its lines are cut, and what stands between. */
static void a_record_of_many_pieces_fits_a_message(void **state)
{
    enum { LINES_OF_IT = 600, PIECES = 9 };

    (void)state;
    w.rd.limits.max_line = w.max_line = 1 << 20;
    w.chunk_bytes = 1 << 20;
    append(STR(T "stdout F Start\n"));
    for (int i = 0; i < LINES_OF_IT; i++) {
        for (int k = 0; k < PIECES; k++)
            append(STR(T "stdout P x\n" T "stderr F Sy\n"));
        append(STR(T "stdout F x\n"));
        if (i == LINES_OF_IT / 2) {
            deliver_everything();
            die_and_return_all();
        }
        if (i % 100 == 0)
            deliver_everything(); /* the other stream does not wait */
    }
    append(STR(T "stdout F Start\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    seal();
    die_and_return_all(); /* it is the same again */
    deliver_everything(); /* and is understood */
    assert_int_equal(w.t->file->planned.n, 1);
    assert_true(w.stored >= LINES_OF_IT * PIECES + 2);
}

static void what_stands_between_pieces_fits_a_message_too(void **state)
{
    (void)state;
    w.rd.limits.max_line = w.max_line = 1 << 20;
    w.chunk_bytes = 1 << 20;
    die_and_return_all();
    for (int i = 0; i < 3; i++) {
        append(STR(T "stdout F Start\n" T "stderr F Start\n"));
        for (int k = 0; k < MULTILINE_LINES_MAX - 10; k++)
            append(STR(T "stdout F x\ng\n" T "stderr F x\ng\n"));
        deliver_everything(); /* but for these two */
        for (int k = 0; k < 300; k++)
            append(STR(T "stdout P x\ng\n"));
        (void)read_some(1 << 20);
        append(STR(T "stdout F x\n" T "stderr F x\n"));
    }
    deliver_everything();
    while (tail_is_due(w.t, &w.rd, time_mono() + w.partial_timeout)) {
        tail_expire(w.t, &w.rd, w.c, time_mono() + w.partial_timeout);
        deliver_everything();
    }
    assert_int_equal(w.t->file->planned.n, 1);
}

static void attributes_that_are_held_count_in_the_budget(void **state)
{
    struct mem_budget budget = {.name = "test", .limit = 1500};
    struct join_limits limits = {.max_line = 100, .budget = &budget};
    struct multiline_stream s[2];
    char value[1000];
    struct label attr = {STR("a"), {value, sizeof(value)}};
    struct piece p = {.attrs = &attr, .n_attrs = 1};
    struct join_record rec = {.text = STR("x"), .total = 1, .pieces = 1};
    struct join_segment seg = {.end = 2};

    (void)state;
    memset(value, 'v', sizeof(value));
    memset(s, 0, sizeof(s));
    for (int i = 0; i < 2; i++)
        assert_int_equal(multiline_hold(&s[i], &rec, &seg, &p, 1, &limits), 1);
    assert_int_equal(s[0].n_attrs, 1);
    assert_int_equal(s[1].n_attrs, 0); /* it goes without */
    assert_true(budget.used >= sizeof(value));
    for (int i = 0; i < 2; i++) {
        multiline_done(&s[i], &limits);
        VEC_FINI(&s[i].held);
        buf_fini(&s[i].text);
    }
    assert_int_equal(budget.used, 0);
}

static void a_line_that_does_not_fit_begins_a_record(void **state)
{
    (void)state;
    w.rd.limits.max_line = w.max_line = 10;
    append(STR(T "stdout F Start\n" T "stdout F abcd\n" T "stdout F e\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    deliver_everything();
    expect_lines("stdout|Start\x01"
                 "abcd\nstdout|e\n");
}

/* What was held when it was killed is sent although nobody asks for such records any more. */
static void held_lines_survive_another_configuration(void **state)
{
    (void)state;
    append(STR(T "stdout F Start 1\n" T "stderr F Start\n" T "stderr F Start\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    seal(); /* stdout's line is a hole */
    w.set->v[0].trace = (struct trace_rule){.format = TRACE_NONE};
    die_and_return_all();
    append(STR(T "stdout F Start 2\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    deliver_everything();
    compare_sorted(buf_str(&w.lines),
                   STR("stdout|Start 1\nstdout|Start 2\nstderr|Start\nstderr|Start\n"));
}

/* Lines of a plain file have the time when they were read: the first one's is the record's. */
static void nothing_is_held_of_a_log_that_is_excluded(void **state)
{
    (void)state;
    append(STR(T "stdout F Start 1\n" T "stderr F Start 2\n"));
    assert_int_equal(read_some(1 << 20), TAIL_END);
    assert_false(tail_is_settled(w.t));
    assert_int_equal(tail_pass(w.t, &w.rd, &err), TAIL_END);
    assert_false(tail_is_due(w.t, &w.rd, time_mono() + w.rd.multiline_timeout));
    assert_true(tail_is_settled(w.t));
}

static void a_plain_file_is_built_again_with_its_times(void **state)
{
    (void)state;
    tail_free(&w.t, &w.rd);
    w.set->v[0].kind = SOURCE_FILE;
    w.set->v[0].decode = decode_plain;
    open_tail();
    tails[0] = w.t;
    for (int i = 0; i < 6; i++) {
        time_set((i + 1) * NS_PER_S);
        append(i % 3 == 0 ? STR("Start\n") : STR("and\n"));
        assert_int_equal(read_some(1 << 20), TAIL_END);
        if (i == 4)
            seal();
    }
    tail_expire(w.t, &w.rd, w.c, time_mono() + w.rd.multiline_timeout);
    seal();
    time_set(100 * NS_PER_S);
    die_and_return_all(); /* compares every byte, times too */
    deliver_everything();
    time_unset();
    expect_lines("Start\x01"
                 "and\x01"
                 "and\nStart\x01"
                 "and\x01"
                 "and\n");
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(records_of_a_start_pattern_arrive_once_however_they_are_cut,
                                    setup_start, teardown_multi),
    cmocka_unit_test_setup_teardown(traces_arrive_once_however_they_are_cut, setup_auto,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(a_rate_opens_for_a_record_that_does_not_grow, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(rates_of_records_of_several_lines_are_the_same_again,
                                    setup_auto, teardown_multi),
    cmocka_unit_test_setup_teardown(a_record_that_does_not_grow_is_whole, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(a_key_goes_on_behind_a_record_that_was_held, setup_redacted,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(a_piece_is_waited_for, setup_start, teardown_multi),
    cmocka_unit_test_setup_teardown(a_record_has_a_thousand_lines_at_most, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(a_record_of_many_pieces_fits_a_message, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(what_stands_between_pieces_fits_a_message_too, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(attributes_that_are_held_count_in_the_budget, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(a_line_that_does_not_fit_begins_a_record, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(held_lines_survive_another_configuration, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(nothing_is_held_of_a_log_that_is_excluded, setup_start,
                                    teardown_multi),
    cmocka_unit_test_setup_teardown(a_plain_file_is_built_again_with_its_times, setup_start,
                                    teardown_multi))
