/*
 * tests/lib/feed.h - a store in a directory of the test's own, fed with readable chunks.
 *
 * A chunk is text.  `P file start end count` begins a part of the next `count` records, `T ...` one
 * that may be stored twice; a record is `R ts stream line`; a stream that begins with ! is evidence
 * (class strict).  Its records are read back through the scan door.  Header only, so that tests of
 * other floors need no storage.
 */
#ifndef LOGQ_TESTS_LIB_FEED_H
#define LOGQ_TESTS_LIB_FEED_H

#include "base/file.h"
#include "storage/keyring.h"
#include "storage/scan.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 2026-01-10T00:00:00Z */
#define FEED_DAY (INT64_C(1768003200) * NS_PER_S)

struct feed {
    int dir;
    char path[TMPDIR_PATH_MAX], data[TMPDIR_PATH_MAX + 8], master[TMPDIR_PATH_MAX + 16];
    struct store_options opt;
    store_decode_fn *make; /* of what is put; NULL: feed_decode */
    struct store *s;
    _Atomic uint64_t observed; /* records */
};

static inline int feed_decode(void *arg, const struct store_payload *p, struct batch **ret,
                              struct err *err)
{
    struct batch *b = batch_new(NULL, 64 << 20);
    struct str text = arena_str(b->arena, p->bytes);
    int r = text.p == NULL ? arena_err(b->arena, err) : 0;

    (void)arg;
    while (r == 0 && text.n != 0) {
        struct str line = str_cut(&text, '\n');
        struct str word = str_cut(&line, ' ');
        if (str_eq(word, STR("P")) || str_eq(word, STR("T"))) {
            struct record_part part = {.file_id = str_cut(&line, ' '),
                                       .first = b->n_records,
                                       .maybe_twice = word.p[0] == 'T'};
            uint64_t count = 0;
            if (!str_to_u64(str_cut(&line, ' '), &part.start) ||
                !str_to_u64(str_cut(&line, ' '), &part.end) || !str_to_u64(line, &count))
                r = err_set(err, ERR_INVALID, "a part that is none");
            part.count = (uint32_t)count;
            if (r == 0)
                r = batch_add_part(b, &part, err);
        } else if (str_eq(word, STR("R"))) {
            struct record rec = {.ts = 0};
            struct label v[2] = {{STR("app"), STR_NULL}, {STR("evidence"), STR("strict")}};
            struct labels l = {v, 1};
            if (!str_to_i64(str_cut(&line, ' '), &rec.ts))
                r = err_set(err, ERR_INVALID, "a record that is none");
            v[0].value = str_cut(&line, ' ');
            l.n = str_starts(v[0].value, STR("!")) ? 2 : 1;
            rec.line = line;
            if (r == 0)
                r = batch_stream(b, &l, &rec.stream, err);
            if (r == 0)
                r = batch_add(b, &rec, err);
        }
    }
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

static inline void feed_observe(void *arg, struct str tenant, struct batch *b)
{
    struct feed *f = arg;

    (void)tenant;
    atomic_fetch_add(&f->observed, b->n_records);
}

/* The directory, with a master key; the store is not open yet: change f->opt before feed_open. */
static inline void feed_init(struct feed *f)
{
    struct err err;

    memset(f, 0, sizeof(*f));
    f->dir = tmpdir_open(f->path);
    (void)snprintf(f->data, sizeof(f->data), "%s/data", f->path);
    (void)snprintf(f->master, sizeof(f->master), "%s/master.key", f->path);
    assert_int_equal(keyring_make_master(f->master, &err), 0);
    f->opt = (struct store_options){
        .dir = f->data,
        .master_key = f->master,
        .decode = feed_decode,
        .observe = feed_observe,
        .observe_arg = f,
        .wal_bytes = 4 << 20, /* small files: quick on any disk */
        .ballast_bytes = 1 << 20,
        .min_free = 1e-9,
    };
}

static inline void feed_open(struct feed *f)
{
    struct err err;

    if (store_open(&f->opt, &f->s, &err) != 0)
        fail_msg("store_open: %s", err.text);
    if (store_wait_replay(f->s, &err) != 0)
        fail_msg("replay: %s", err.text);
}

static inline void feed_reopen(struct feed *f)
{
    store_close(&f->s);
    feed_open(f);
}

static inline void feed_fini(struct feed *f)
{
    store_close(&f->s);
    tmpdir_close(f->dir);
}

struct feed_chunk {
    struct store_append a;
    char *text; /* owned */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool answered;
    enum store_outcome outcome;
    struct err err;
};

static inline void feed_done(struct store_append *a, enum store_outcome outcome,
                             const struct err *err)
{
    struct feed_chunk *c = a->arg;

    (void)pthread_mutex_lock(&c->mutex);
    c->answered = true;
    c->outcome = outcome;
    c->err = *err;
    (void)pthread_cond_signal(&c->cond);
    (void)pthread_mutex_unlock(&c->mutex);
}

/* What feed_send sends. */
static inline struct feed_chunk *feed_prepare(struct feed *f, const char *tenant, const char *peer,
                                              const char *text, const char *dedup)
{
    struct feed_chunk *c = calloc(1, sizeof(*c));
    struct err err;

    assert_non_null(c);
    c->text = strdup(text);
    (void)pthread_mutex_init(&c->mutex, NULL);
    (void)pthread_cond_init(&c->cond, NULL);
    c->a.payload = (struct store_payload){
        .kind = 1,
        .tenant = str_of(tenant),
        .peer = str_of(peer),
        .decided = STR("as it was"),
        .received = store_receive_time(f->s),
        .bytes = str_of(c->text),
    };
    c->a.dedup = str_of(dedup);
    c->a.done = feed_done;
    c->a.arg = c;
    if ((f->make != NULL ? f->make : feed_decode)(NULL, &c->a.payload, &c->a.batch, &err) != 0)
        fail_msg("chunk: %s", err.text);
    return c;
}

/* Send without waiting; feed_answer waits and frees. */
static inline struct feed_chunk *feed_send(struct feed *f, const char *tenant, const char *peer,
                                           const char *text, const char *dedup)
{
    struct feed_chunk *c = feed_prepare(f, tenant, peer, text, dedup);

    store_append(f->s, &c->a);
    return c;
}

static inline bool feed_is_answered(struct feed_chunk *c)
{
    bool answered;

    (void)pthread_mutex_lock(&c->mutex);
    answered = c->answered;
    (void)pthread_mutex_unlock(&c->mutex);
    return answered;
}

static inline enum store_outcome feed_answer(struct feed_chunk *c, struct err *err)
{
    enum store_outcome outcome;

    (void)pthread_mutex_lock(&c->mutex);
    while (!c->answered)
        (void)pthread_cond_wait(&c->cond, &c->mutex);
    outcome = c->outcome;
    if (err != NULL)
        *err = c->err;
    (void)pthread_mutex_unlock(&c->mutex);
    (void)pthread_mutex_destroy(&c->mutex);
    (void)pthread_cond_destroy(&c->cond);
    free(c->text);
    free(c);
    return outcome;
}

static inline enum store_outcome feed_put(struct feed *f, const char *tenant, const char *text)
{
    return feed_answer(feed_send(f, tenant, "peer", text, ""), NULL);
}

/* All lines of a tenant, each with '\n', in order of (ts, seq); returns how many. */
static inline size_t feed_read(struct feed *f, const char *tenant, struct buf *out)
{
    struct str t = str_of(tenant);
    struct scan_request req = {
        .tenants = &t,
        .n_tenants = 1,
        .from = 0,
        .to = INT64_MAX,
        .order = SCAN_FORWARD,
        .need_line = true,
    };
    struct scan_stats st;
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct err err;
    size_t n = 0;
    int r;

    r = scan_open(f->s, &req, &sc, &err);
    while (r == 0) {
        r = scan_next(sc, &b, &err);
        if (r != 0)
            break;
        for (uint32_t i = 0; i < b->n_records; i++) {
            buf_add_str(out, b->records[i].line);
            buf_add_char(out, '\n');
        }
        n += b->n_records;
        batch_unref(&b);
    }
    if (r < 0)
        fail_msg("scan: %s", err.text);
    scan_stats(sc, &st);
    assert_int_equal(st.damaged_blocks, 0);
    scan_close(&sc);
    assert_false(out->over);
    return n;
}

/* The tenant's lines are exactly these. */
static inline void feed_check(struct feed *f, const char *tenant, const char *lines)
{
    struct buf b;

    buf_init(&b, 64 << 20);
    (void)feed_read(f, tenant, &b);
    buf_add_char(&b, '\0');
    assert_string_equal(b.p, lines);
    buf_fini(&b);
}

#endif
