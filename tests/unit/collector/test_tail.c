/*
 * Unit tests of collector/tail with a real file and a real journal, and a server of four lines that
 * keeps sets of ranges.  The property: however the writing, reading, sealing, acknowledging and
 * dying fall, every record arrives exactly once, and a chunk that is built again is the same to the
 * byte.
 */
#include "collector/tail.h"

#include "base/file.h"
#include "base/mem.h"
#include "collector/metrics.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct range {
    char id[CHECKPOINT_ID_MAX];
    uint64_t start, end;
};

struct sent { /* a chunk that was planned and sent, and not acknowledged */
    uint64_t no;
    char token[CHUNK_TOKEN_BYTES];
    struct buf message;
};

struct world {
    int dir;
    char path[TMPDIR_PATH_MAX], log[TMPDIR_PATH_MAX + 16];
    struct source_set *set;
    struct checkpoint *cp;
    struct tail_reader rd;
    struct tail *t;
    struct chunk *c;
    size_t chunk_bytes, max_line;
    dur_ns partial_timeout;
    VEC(struct range) ranges; /* the server's */
    struct buf lines;         /* records the server stored: "stream|text|marks\n" */
    size_t stored;
    VEC(struct sent) sent;
    unsigned seed;
};

static struct world w;
static struct err err;

static unsigned rnd(unsigned n)
{
    w.seed = w.seed * 1664525u + 1013904223u;
    return (w.seed >> 8) % n;
}

/* ---- the server ---- */

/* 0: new; 1: known; fails the test when it overlaps in part. */
static int known(const struct forward_part *p)
{
    for (size_t i = 0; i < w.ranges.n; i++) {
        const struct range *r = &w.ranges.p[i];
        if (!str_eq(p->file_id, str_of(r->id)) || p->end <= r->start || p->start >= r->end)
            continue;
        if (p->start < r->start || p->end > r->end)
            fail_msg("part [%llu,%llu) overlaps [%llu,%llu)", (unsigned long long)p->start,
                     (unsigned long long)p->end, (unsigned long long)r->start,
                     (unsigned long long)r->end);
        return 1;
    }
    return 0;
}

static void store_entry(const struct forward_entry *e)
{
    static const char *const KEYS[] = {"stream", "log", "partial", "truncated", "undecoded"};

    for (size_t k = 0; k < sizeof(KEYS) / sizeof(KEYS[0]); k++)
        for (size_t i = 0; i < e->n_fields; i++)
            if (str_eq(e->fields[i].key, str_of(KEYS[k]))) {
                if (k > 1)
                    buf_addf(&w.lines, " %s=", KEYS[k]);
                buf_add_str(&w.lines, e->fields[i].text);
                if (k == 0)
                    buf_add_char(&w.lines, '|');
            }
    buf_add_char(&w.lines, '\n');
    w.stored++;
}

static void server_take(struct str message)
{
    static const struct forward_limits LIMITS = {0};
    struct arena *a = arena_new(NULL, 64 << 20);
    struct forward_frame frame;
    struct forward_message m;
    struct forward_entry e;
    struct forward_reader *r = forward_reader_new();
    size_t n;

    memset(&frame, 0, sizeof(frame));
    assert_int_equal(forward_frame_scan(&frame, message, &LIMITS, &n, &err), 0);
    assert_int_equal(n, message.n);
    if (forward_parse(message, &LIMITS, a, &m, &err) < 0 ||
        forward_reader_start(r, &m, &LIMITS, 1, a, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < m.n_parts; i++) {
        int is_known = m.parts[i].end == m.parts[i].start ? 0 : known(&m.parts[i]);
        for (uint32_t k = 0; k < m.parts[i].count; k++) {
            assert_int_equal(forward_reader_next(r, &e, &err), 0);
            if (is_known == 0)
                store_entry(&e);
        }
        if (is_known == 0) {
            struct range range = {.start = m.parts[i].start, .end = m.parts[i].end};
            (void)str_to_z(m.parts[i].file_id, range.id, sizeof(range.id));
            VEC_PUSH(&w.ranges, range);
        }
    }
    assert_int_equal(forward_reader_next(r, &e, &err), 1); /* the counts add up */
    forward_reader_free(&r);
    arena_free(&a);
}

/* ---- the collector ---- */

static void open_tail(void)
{
    struct reader from;

    reader_open(&from, open(w.log, O_RDONLY | O_CLOEXEC), false);
    assert_true(from.fd >= 0);
    assert_int_equal(tail_open(&from, w.log, &w.set->v[0], &w.t, &err), 0);
    assert_true(tail_describe(w.t));
}

static void start(void)
{
    struct chunk_options opt = {.bytes = w.chunk_bytes, .codec = CODEC_NONE};

    assert_int_equal(checkpoint_open(w.dir, &w.cp, &err), 0);
    tail_reader_init(&w.rd, w.cp, w.max_line, w.partial_timeout);
    w.c = chunk_new(&opt);
    open_tail();
}

static void stop(void)
{
    tail_free(&w.t, &w.rd);
    chunk_free(&w.c);
    tail_reader_fini(&w.rd);
    checkpoint_close(&w.cp);
}

static void ack(size_t i)
{
    checkpoint_ack(w.cp, w.sent.p[i].no);
    buf_fini(&w.sent.p[i].message);
    VEC_REMOVE(&w.sent, i);
}

static void seal(void)
{
    struct sent s;

    if (chunk_is_empty(w.c))
        return;
    buf_init(&s.message, 16 << 20);
    assert_int_equal(chunk_pack(w.c, &s.message, s.token, &err), 0);
    s.no = checkpoint_plan(w.cp, 0, w.c->parts.p, w.c->parts.n);
    for (size_t i = 0; i < w.c->drops.n; i++)
        checkpoint_dropped(w.cp, w.c->drops.p[i].file, w.c->drops.p[i].rule, w.c->drops.p[i].count,
                           w.c->drops.p[i].bytes);
    assert_int_equal(checkpoint_sync(w.cp, &err), 0);
    chunk_clear(w.c);
    VEC_PUSH(&w.sent, s);
}

/* Die, and build again what the journal says: the same bytes under the same token. */
static void die_and_return(void)
{
    struct checkpoint_chunk *plan;
    struct checkpoint_file *f;

    stop();
    start();
    f = checkpoint_file_at(w.cp, 0);
    if (f == NULL)
        return;
    assert_true(tail_is_file(&w.t->from, f));
    tail_adopt(w.t, f);
    for (size_t i = 0; (plan = checkpoint_chunk_at(w.cp, i)) != NULL; i++) {
        struct buf message;
        char token[CHUNK_TOKEN_BYTES];
        assert_true(i < w.sent.n && w.sent.p[i].no == plan->no);
        for (size_t p = 0; p < plan->parts.n; p++)
            if (tail_rebuild(w.t, &w.rd, w.c, &plan->parts.p[p], NULL, &err) < 0)
                fail_msg("%s", err.text);
        assert_false(join_is_open(&w.t->join)); /* a chunk needs nothing outside of it */
        buf_init(&message, 16 << 20);
        assert_int_equal(chunk_pack(w.c, &message, token, &err), 0);
        assert_string_equal(token, w.sent.p[i].token);
        assert_int_equal(message.n, w.sent.p[i].message.n);
        assert_memory_equal(message.p, w.sent.p[i].message.p, message.n);
        buf_fini(&message);
        chunk_clear(w.c);
    }
    if (tail_resume(w.t, &w.rd, &err) < 0)
        fail_msg("%s", err.text);
}

static enum tail_result read_some(size_t quantum)
{
    enum tail_result r = tail_read(w.t, &w.rd, w.c, quantum, &err);

    assert_int_not_equal(r, TAIL_FAILED);
    return r;
}

static void deliver_everything(void)
{
    while (read_some(1 << 20) == TAIL_MORE)
        seal();
    seal();
    while (w.sent.n > 0) {
        server_take(buf_str(&w.sent.p[0].message));
        ack(0);
    }
}

/* ---- fixture ---- */

static void set_up(const char *more)
{
    struct config *config;
    struct conf_errors errors;
    char yaml[TMPDIR_PATH_MAX + 16];
    struct buf text;

    memset(&w, 0, sizeof(w));
    metrics_setup();
    w.dir = tmpdir_open(w.path);
    (void)snprintf(w.log, sizeof(w.log), "%s/0.log", w.path);
    (void)snprintf(yaml, sizeof(yaml), "%s/c.yaml", w.path);
    buf_init(&text, 4096);
    buf_addf(&text,
             "server: {address: '127.0.0.1:1', tls: false}\nstate_dir: %s\nhost: h\ninputs: "
             "[{type: cri, paths: ['%s']}]\n%s",
             w.path, w.log, more);
    assert_int_equal(file_replace(w.dir, "c.yaml", 0600, buf_str(&text), &err), 0);
    assert_int_equal(file_replace(w.dir, "0.log", 0600, STR(""), &err), 0);
    buf_fini(&text);
    assert_int_equal(config_load(yaml, &config, &errors, &err), 0);
    w.set = source_set_new(config, NULL, false);
    buf_init(&w.lines, 256 << 20);
    w.chunk_bytes = 4096;
    w.max_line = 2000;
    w.partial_timeout = NS_PER_H;
    start();
}

static int setup(void **state)
{
    (void)state;
    set_up("");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop();
    for (size_t i = 0; i < w.sent.n; i++)
        buf_fini(&w.sent.p[i].message);
    VEC_FINI(&w.sent);
    VEC_FINI(&w.ranges);
    buf_fini(&w.lines);
    source_set_unref(&w.set);
    tmpdir_close(w.dir);
    return 0;
}

static void append(struct str text)
{
    int fd = open(w.log, O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text.p, text.n, &err), 0);
    (void)close(fd);
}

static void expect_lines(const char *expected)
{
    check_str(buf_str(&w.lines), expected);
}

#define T "2026-11-21T19:14:38Z "

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

static int by_text(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

/* Chunks may be stored in any order, so the lines are compared as multisets. */
static void compare_sorted(struct str a, struct str b)
{
    struct str *v[2];
    size_t n[2] = {0, 0};
    struct str both[2] = {a, b};

    for (int k = 0; k < 2; k++) {
        v[k] = mem_new((both[k].n + 1) * sizeof(struct str) / 4 + sizeof(struct str));
        while (both[k].n > 0)
            v[k][n[k]++] = str_cut(&both[k], '\n');
        qsort(v[k], n[k], sizeof(struct str), by_text);
    }
    for (size_t i = 0; i < n[0] && i < n[1]; i++)
        if (!str_eq(v[0][i], v[1][i]))
            fail_msg("stored '%.*s', expected '%.*s'", STR_ARG(v[0][i]), STR_ARG(v[1][i]));
    assert_int_equal(n[0], n[1]);
    free(v[0]);
    free(v[1]);
}

/* Write it, read it, send it, die and return, in any order. */
static void live(const struct buf *file)
{
    size_t written = 0;

    while (written < file->n) {
        size_t n = 1 + rnd(600);
        if (n > file->n - written)
            n = file->n - written;
        append((struct str){file->p + written, n}); /* at any byte */
        written += n;
        (void)read_some(1 + rnd(1000));
        if (chunk_is_full(w.c) || rnd(3) == 0)
            seal();
        for (size_t i = 0; i < w.sent.n; i++) /* any of them may arrive, again too, in any order */
            if (rnd(2) == 0)
                server_take(buf_str(&w.sent.p[i].message));
        if (w.sent.n > 0 && rnd(3) == 0) {
            size_t i = rnd((unsigned)w.sent.n);
            server_take(buf_str(&w.sent.p[i].message));
            ack(i);
        }
        if (rnd(8) == 0)
            die_and_return();
    }
    deliver_everything();
    assert_int_equal(w.t->file->planned.n, 1); /* every byte was shipped, no hole is left */
    assert_int_equal(w.t->file->planned.p[0].end, file->n);
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

#define PROCESSED                                                                                  \
    "redact: {detectors: [card, private_key]}\nrules:\n"                                           \
    "- {name: noise, if: {line: noise}, then: drop}\n"                                             \
    "- {name: thin, if: {line: thin}, sample: 0.5}\n"                                              \
    "- {name: slow, if: {line: flood}, rate: 5, burst: 3}\n"

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
    uint64_t slow = 0;

    for (unsigned seed = 1; seed <= 60; seed++) {
        struct buf file;
        unsigned records;
        (void)teardown(state);
        set_up(PROCESSED);
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

/* What the file was is nowhere any more. */
static void forget_old(void)
{
    struct tail *old = tail_split(w.t, NULL);

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
    old = tail_split(w.t, &from);
    assert_int_equal(tail_read(old, &w.rd, w.c, 1 << 20, &err), TAIL_END);
    deliver_everything();
    tail_free(&old, &w.rd);
    expect_lines("stdout|one\nstdout|two and more.\nstdout|three\nstdout|new\n");
    assert_false(join_is_open(&w.t->join));
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

CHECK_MAIN(cmocka_unit_test_setup_teardown(every_record_arrives_once_however_it_is_cut, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(processing_is_the_same_again, setup, teardown),
           cmocka_unit_test_setup_teardown(a_file_may_begin_inside_a_key, setup, teardown),
           cmocka_unit_test_setup_teardown(words_at_the_beginning_are_no_key, setup, teardown),
           cmocka_unit_test_setup_teardown(held_bytes_are_inside_no_range, setup, teardown),
           cmocka_unit_test_setup_teardown(an_unfinished_record_is_sent_partial_when_it_is_due,
                                           setup, teardown),
           cmocka_unit_test_setup_teardown(a_line_without_its_newline_waits, setup, teardown),
           cmocka_unit_test_setup_teardown(a_torn_line_is_sent_as_it_stands, setup, teardown),
           cmocka_unit_test_setup_teardown(a_line_that_breaks_the_format_is_kept, setup, teardown),
           cmocka_unit_test_setup_teardown(a_giant_line_is_cut_in_bounded_memory, setup, teardown),
           cmocka_unit_test_setup_teardown(a_giant_line_is_built_again_after_a_death, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(giant_lines_in_a_row_take_turns, setup, teardown),
           cmocka_unit_test_setup_teardown(a_copy_is_read_on_under_the_old_id, setup, teardown),
           cmocka_unit_test_setup_teardown(a_shrunken_file_is_a_new_one, setup, teardown),
           cmocka_unit_test_setup_teardown(a_file_rewritten_in_place_is_a_new_one, setup, teardown),
           cmocka_unit_test_setup_teardown(a_file_that_lost_what_was_planned_is_not_rebuilt, setup,
                                           teardown))
