/*
 * What the tests of collector/tail share: a real file, a real journal, and a server of four lines
 * that keeps sets of ranges.  Functions are inline because no test needs all of them.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_TAIL_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_TAIL_WORLD_H

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

#define NEWLINE '\x01' /* stands for one inside of a record */

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

static inline unsigned rnd(unsigned n)
{
    w.seed = w.seed * 1664525u + 1013904223u;
    return (w.seed >> 8) % n;
}

/* ---- the server ---- */

/* 0: new; 1: known; fails the test when it overlaps in part. */
static inline int known(const struct forward_part *p)
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

static inline void store_entry(const struct forward_entry *e)
{
    static const char *const KEYS[] = {"stream", "log", "partial", "truncated", "undecoded"};

    for (size_t k = 0; k < sizeof(KEYS) / sizeof(KEYS[0]); k++)
        for (size_t i = 0; i < e->n_fields; i++)
            if (str_eq(e->fields[i].key, str_of(KEYS[k]))) {
                if (k > 1)
                    buf_addf(&w.lines, " %s=", KEYS[k]);
                for (size_t c = 0; c < e->fields[i].text.n; c++) /* a record is a line here */
                    buf_add_char(&w.lines,
                                 e->fields[i].text.p[c] == '\n' ? NEWLINE : e->fields[i].text.p[c]);
                if (k == 0)
                    buf_add_char(&w.lines, '|');
            }
    buf_add_char(&w.lines, '\n');
    w.stored++;
}

static inline void server_take(struct str message)
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

static inline void open_tail(void)
{
    struct reader from;

    reader_open(&from, open(w.log, O_RDONLY | O_CLOEXEC), false);
    assert_true(from.fd >= 0);
    assert_int_equal(tail_open(&from, w.log, &w.set->v[0], &w.t, &err), 0);
    assert_true(tail_describe(w.t));
}

static inline void start(void)
{
    struct chunk_options opt = {.bytes = w.chunk_bytes, .codec = CODEC_NONE};

    assert_int_equal(checkpoint_open(w.dir, &w.cp, &err), 0);
    tail_reader_init(&w.rd, w.cp, w.max_line, w.partial_timeout);
    w.c = chunk_new(&opt);
    open_tail();
}

static inline void stop(void)
{
    tail_free(&w.t, &w.rd);
    chunk_free(&w.c);
    tail_reader_fini(&w.rd);
    checkpoint_close(&w.cp);
}

static inline void ack(size_t i)
{
    checkpoint_ack(w.cp, w.sent.p[i].no);
    buf_fini(&w.sent.p[i].message);
    VEC_REMOVE(&w.sent, i);
}

static inline void seal(void)
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

/* What was built again is the i-th message that was sent, to the byte, under the same token. */
static inline void check_rebuilt(size_t i)
{
    struct buf message;
    char token[CHUNK_TOKEN_BYTES];

    buf_init(&message, 16 << 20);
    assert_int_equal(chunk_pack(w.c, &message, token, &err), 0);
    assert_string_equal(token, w.sent.p[i].token);
    assert_int_equal(message.n, w.sent.p[i].message.n);
    assert_memory_equal(message.p, w.sent.p[i].message.p, message.n);
    buf_fini(&message);
    chunk_clear(w.c);
}

/* Die, and build again what the journal says. */
static inline void die_and_return(void)
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
        assert_true(i < w.sent.n && w.sent.p[i].no == plan->no);
        for (size_t p = 0; p < plan->parts.n; p++)
            if (tail_rebuild(w.t, &w.rd, w.c, &plan->parts.p[p], NULL, &err) < 0)
                fail_msg("%s", err.text);
        assert_false(join_is_open(&w.t->join)); /* a chunk needs nothing outside of it */
        check_rebuilt(i);
    }
    if (tail_resume(w.t, &w.rd, &err) < 0)
        fail_msg("%s", err.text);
}

static inline enum tail_result read_some(size_t quantum)
{
    enum tail_result r = tail_read(w.t, &w.rd, w.c, quantum, &err);

    assert_int_not_equal(r, TAIL_FAILED);
    return r;
}

static inline void deliver_everything(void)
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

/* w.set is that of a configuration with `more`. */
static inline void configure(const char *more)
{
    struct config *config;
    struct conf_errors errors;
    char yaml[TMPDIR_PATH_MAX + 16];
    struct buf text;

    (void)snprintf(yaml, sizeof(yaml), "%s/c.yaml", w.path);
    buf_init(&text, 4096);
    buf_addf(&text,
             "server: {address: '127.0.0.1:1', tls: false}\nstate_dir: %s\nhost: h\ninputs: "
             "[{type: cri, paths: ['%s']}]\n%s",
             w.path, w.log, more);
    assert_int_equal(file_replace(w.dir, "c.yaml", 0600, buf_str(&text), &err), 0);
    buf_fini(&text);
    assert_int_equal(config_load(yaml, &config, &errors, &err), 0);
    source_set_unref(&w.set);
    w.set = source_set_new(config, NULL, false);
}

static inline void set_up(const char *more)
{
    memset(&w, 0, sizeof(w));
    metrics_setup();
    w.dir = tmpdir_open(w.path);
    (void)snprintf(w.log, sizeof(w.log), "%s/0.log", w.path);
    assert_int_equal(file_replace(w.dir, "0.log", 0600, STR(""), &err), 0);
    configure(more);
    buf_init(&w.lines, 256 << 20);
    w.chunk_bytes = 4096;
    w.max_line = 2000;
    w.partial_timeout = NS_PER_H;
    start();
}

static inline int setup(void **state)
{
    (void)state;
    set_up("");
    return 0;
}

static inline int teardown(void **state)
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

static inline void append(struct str text)
{
    int fd = open(w.log, O_WRONLY | O_APPEND | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text.p, text.n, &err), 0);
    (void)close(fd);
}

static inline void expect_lines(const char *expected)
{
    check_str(buf_str(&w.lines), expected);
}

#define T "2026-11-21T19:14:38Z "

static inline int by_text(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

/* Chunks may be stored in any order, so the lines are compared as multisets. */
static inline void compare_sorted(struct str a, struct str b)
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
static inline void live(const struct buf *file)
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

#endif
