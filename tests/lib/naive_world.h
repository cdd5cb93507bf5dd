/*
 * tests/lib/naive_world.h - a store with a history: appends in batches, flushes, compactions,
 * deletes, restarts, and questions between them, whose answers a list of records in memory knows.
 *
 * A world is made from a seed, and run in a process of its own, so that a crash is an answer like
 * any other.  One that fails is made smaller: questions, records, steps and filters go as long as
 * what is left still fails; then it is run once more and prints what is left.  Who asks gives an
 * `ask` function.
 */
#ifndef LOGQ_TESTS_LIB_NAIVE_WORLD_H
#define LOGQ_TESTS_LIB_NAIVE_WORLD_H

#include "storage/keyring.h"
#include "storage/store.h"
#include "tests/lib/naive_select.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum naive_kind {
    NAIVE_APPEND,
    NAIVE_FLUSH,
    NAIVE_COMPACT,
    NAIVE_DELETE,
    NAIVE_CANCEL, /* the latest delete */
    NAIVE_RETIRE, /* half a day later */
    NAIVE_REOPEN,
    NAIVE_ASK,
};

struct naive_step {
    enum naive_kind kind;
    bool off;              /* by the shrinker */
    size_t first, n;       /* APPEND: records */
    uint64_t seed;         /* ASK: of what else is asked */
    struct naive_select s; /* DELETE, ASK */
};

struct naive_world {
    uint64_t seed;
    struct naive_data d;
    struct naive_step *step;
    size_t n_steps;
    bool *gone; /* records that the shrinker took away */
    struct store_options opt;
};

struct naive_delete {
    char id[STORE_DELETE_ID];
    ts_ns created;
    unsigned tenant;
};

enum { NAIVE_DELETES = 32, NAIVE_FAILED = 3 };

/* One run of a world. */
struct naive_run {
    struct naive_world *w;
    struct store *s;
    uint64_t *seq;    /* of each record; 0: not appended yet */
    uint32_t *hidden; /* bits: by which deletes */
    struct naive_delete del[NAIVE_DELETES];
    size_t n_del;
    ts_ns now;
    struct buf *out; /* NULL, or where to tell what is wrong */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool answered; /* under the mutex */
    enum store_outcome outcome;
    struct err err;
};

/* 0: right.  Below zero: it is not, r->out has been told why. */
typedef int naive_ask_fn(struct naive_run *r, struct naive_step *step);

static inline const struct str *naive_tenant(unsigned i)
{
    static const struct str NAME[] = {STR_INIT("a"), STR_INIT("b")};

    return &NAME[i];
}

static inline int PRINTF_LIKE(2, 3) naive_wrong(struct naive_run *r, const char *fmt, ...)
{
    va_list ap;

    if (r->out != NULL) {
        va_start(ap, fmt);
        buf_addv(r->out, fmt, ap);
        va_end(ap);
        buf_add_char(r->out, '\n');
    }
    return -1;
}

static inline bool naive_alive(const struct naive_run *r, size_t i)
{
    return r->seq[i] != 0 && r->hidden[i] == 0;
}

/* ---- the store ---- */

/* A payload is the tenant's number and the numbers of records. */
static inline int naive_decode(void *arg, const struct store_payload *p, struct batch **ret,
                               struct err *err)
{
    const struct naive_world *w = arg;
    struct batch *b = batch_new(NULL, 0);
    int r = 0;

    for (size_t at = 0; r == 0 && at + 4 <= p->bytes.n; at += 4) {
        const struct naive_record *from;
        struct record rec;
        uint32_t i;
        memcpy(&i, p->bytes.p + at, 4);
        from = &w->d.v[i];
        rec = (struct record){
            .ts = from->ts, .line = from->line, .attr = from->attr, .n_attr = from->n_attr};
        r = batch_stream(b, &w->d.stream[from->stream], &rec.stream, err);
        if (r == 0)
            r = batch_add(b, &rec, err);
    }
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

static inline void naive_done(struct store_append *a, enum store_outcome outcome,
                              const struct err *err)
{
    struct naive_run *r = a->arg;

    (void)pthread_mutex_lock(&r->mutex);
    r->answered = true;
    r->outcome = outcome;
    if (outcome == STORE_REFUSED || outcome == STORE_FAILED)
        r->err = *err;
    (void)pthread_cond_signal(&r->cond);
    (void)pthread_mutex_unlock(&r->mutex);
}

/* The numbers `id` of one tenant's records. */
static inline int naive_put(struct naive_run *r, unsigned tenant, const uint32_t *id, size_t n)
{
    struct store_append a = {
        .payload = {.kind = 1,
                    .tenant = *naive_tenant(tenant),
                    .peer = STR("peer"),
                    .received = store_receive_time(r->s),
                    .bytes = {(const char *)id, n * sizeof(*id)}},
        .done = naive_done,
        .arg = r,
    };
    struct batch *b;

    if (n == 0)
        return 0;
    if (naive_decode(r->w, &a.payload, &a.batch, &r->err) < 0)
        return naive_wrong(r, "decode: %s", r->err.text);
    b = batch_ref(a.batch);
    r->answered = false;
    store_append(r->s, &a);
    (void)pthread_mutex_lock(&r->mutex);
    while (!r->answered)
        (void)pthread_cond_wait(&r->cond, &r->mutex);
    (void)pthread_mutex_unlock(&r->mutex);
    for (size_t i = 0; i < n; i++)
        r->seq[id[i]] = b->records[i].seq;
    batch_unref(&b);
    if (r->outcome != STORE_STORED)
        return naive_wrong(r, "append: outcome %d, %s", (int)r->outcome, r->err.text);
    return 0;
}

static inline int naive_append(struct naive_run *r, const struct naive_step *st)
{
    uint32_t *id = calloc(st->n + 1, sizeof(*id));
    int ret = 0;

    for (unsigned t = 0; ret == 0 && t < 2; t++) {
        size_t n = 0;
        for (size_t i = st->first; i < st->first + st->n; i++)
            if (r->w->d.v[i].tenant == t && !r->w->gone[i])
                id[n++] = (uint32_t)i;
        ret = naive_put(r, t, id, n);
    }
    free(id);
    return ret;
}

static inline int naive_delete(struct naive_run *r, const struct naive_step *st)
{
    unsigned tenant = st->s.tenants == 2 ? 1 : 0;
    struct store_delete_filter f[NAIVE_FILTERS];
    struct store_delete d = {.query = STR("as written"),
                             .user = STR("admin"),
                             .matchers = st->s.m,
                             .n_matchers = st->s.n_m,
                             .filters = f,
                             .n_filters = st->s.n_f,
                             .from = st->s.from,
                             .to = st->s.to};
    bool known = false;
    int e;

    if (r->n_del == NAIVE_DELETES || st->s.n_m == 0 || st->s.from >= st->s.to)
        return 0;
    for (size_t i = 0; i < st->s.n_f; i++)
        f[i] = (struct store_delete_filter){.regexp = st->s.f[i].op >= SCAN_MATCHES,
                                            .negative = st->s.f[i].op == SCAN_CONTAINS_NOT ||
                                                        st->s.f[i].op == SCAN_MATCHES_NOT,
                                            .text = st->s.f[i].text,
                                            .n = st->s.f[i].n};
    for (size_t i = 0; i < r->w->d.n; i++)
        known = known || (r->seq[i] != 0 && r->w->d.v[i].tenant == tenant);
    e = store_delete_add(r->s, *naive_tenant(tenant), &d, &r->err);
    if (e == ERR_GONE && !known)
        return 0;
    if (e < 0)
        return naive_wrong(r, "delete: %s", r->err.text);
    for (size_t i = 0; i < r->w->d.n; i++) {
        struct naive_select s = st->s;
        s.tenants = 1u << tenant;
        if (r->seq[i] != 0 && naive_selects(&s, &r->w->d, &r->w->d.v[i]))
            r->hidden[i] |= 1u << r->n_del;
    }
    r->del[r->n_del].tenant = tenant;
    r->del[r->n_del].created = d.created;
    memcpy(r->del[r->n_del++].id, d.id, sizeof(d.id));
    return 0;
}

static inline int naive_cancel(struct naive_run *r)
{
    struct naive_delete *d = r->n_del == 0 ? NULL : &r->del[r->n_del - 1];

    if (d == NULL || d->id[0] == '\0' || r->now - d->created > STORE_DELETE_GRACE / 2)
        return 0;
    if (store_delete_cancel(r->s, *naive_tenant(d->tenant), str_of(d->id), false, &r->err) < 0)
        return naive_wrong(r, "cancel: %s", r->err.text);
    for (size_t i = 0; i < r->w->d.n; i++)
        r->hidden[i] &= ~(1u << (r->n_del - 1));
    d->id[0] = '\0';
    return 0;
}

static inline int naive_open(struct naive_run *r)
{
    if (store_open(&r->w->opt, &r->s, &r->err) < 0)
        return naive_wrong(r, "open: %s", r->err.text);
    if (store_wait_replay(r->s, &r->err) < 0)
        return naive_wrong(r, "replay: %s", r->err.text);
    return 0;
}

static inline int naive_step_run(struct naive_run *r, struct naive_step *st, naive_ask_fn *ask)
{
    switch (st->kind) {
    case NAIVE_APPEND:
        return naive_append(r, st);
    case NAIVE_FLUSH:
        return store_flush(r->s, &r->err) < 0 ? naive_wrong(r, "flush: %s", r->err.text) : 0;
    case NAIVE_COMPACT:
        return store_compact(r->s, &r->err) < 0 ? naive_wrong(r, "compact: %s", r->err.text) : 0;
    case NAIVE_DELETE:
        return naive_delete(r, st);
    case NAIVE_CANCEL:
        return naive_cancel(r);
    case NAIVE_RETIRE:
        time_set(r->now += 13 * NS_PER_H);
        return store_retire(r->s, r->now, &r->err) < 0 ? naive_wrong(r, "retire: %s", r->err.text)
                                                       : 0;
    case NAIVE_REOPEN:
        store_close(&r->s);
        return naive_open(r);
    case NAIVE_ASK:
    default:
        return ask(r, st);
    }
}

static inline const char *naive_step_name(const struct naive_step *st)
{
    static const char *const NAME[] = {"append", "flush",  "compact", "delete",
                                       "cancel", "retire", "reopen",  "ask"};

    return NAME[st->kind];
}

/* All steps; `at` is told the step that begins. */
static inline int naive_run_steps(struct naive_run *r, naive_ask_fn *ask, int at)
{
    struct naive_world *w = r->w;
    int e = naive_open(r);

    for (size_t i = 0; e == 0 && i < w->n_steps; i++) {
        if (w->step[i].off)
            continue;
        if (pwrite(at, &i, sizeof(i), 0) != (ssize_t)sizeof(i))
            return naive_wrong(r, "cannot tell the step");
        e = naive_step_run(r, &w->step[i], ask);
        if (e < 0)
            (void)naive_wrong(r, "in step %zu: %s", i, naive_step_name(&w->step[i]));
    }
    store_close(&r->s);
    return e;
}

/* ---- a process for each run ---- */

static inline _Noreturn void naive_child(struct naive_world *w, naive_ask_fn *ask, const char *path,
                                         int at, bool loud)
{
    struct naive_run r = {.w = w,
                          .seq = calloc(w->d.n + 1, sizeof(*r.seq)),
                          .hidden = calloc(w->d.n + 1, sizeof(*r.hidden)),
                          .mutex = PTHREAD_MUTEX_INITIALIZER,
                          .cond = PTHREAD_COND_INITIALIZER,
                          .now = w->d.from + 10 * NS_PER_DAY};
    char data[TMPDIR_PATH_MAX + 8], master[TMPDIR_PATH_MAX + 16];
    struct buf out;
    int e;

    if (!loud)
        (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    buf_init(&out, 1 << 20);
    r.out = loud ? &out : NULL;
    (void)snprintf(data, sizeof(data), "%s/data", path);
    (void)snprintf(master, sizeof(master), "%s/master.key", path);
    if (keyring_make_master(master, &r.err) < 0)
        exit(NAIVE_FAILED);
    w->opt.dir = data;
    w->opt.master_key = master;
    w->opt.decode = naive_decode;
    w->opt.decode_arg = w;
    time_set(r.now);
    e = naive_run_steps(&r, ask, at);
    if (out.n != 0)
        (void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&out)));
    buf_fini(&out);
    free(r.seq);
    free(r.hidden);
    exit(e < 0 ? NAIVE_FAILED : 0);
}

/* What is asked here does not depend on a disk: use memory, where there is some. */
static inline void naive_off_disk(void)
{
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK | X_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 1);
}

/* false: it fails, in step *step.  Fatal signals and sanitizers' findings count as failing. */
static inline bool naive_try(struct naive_world *w, naive_ask_fn *ask, bool loud, size_t *step)
{
    char path[TMPDIR_PATH_MAX];
    int dir = tmpdir_open(path);
    int at = openat(dir, "at", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int status = -1;
    pid_t pid;

    *step = 0;
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0)
        naive_child(w, ask, path, at, loud);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || pread(at, step, sizeof(*step), 0) < 0)
        abort();
    if (loud && WIFSIGNALED(status))
        (void)fprintf(stderr, "ended by signal %d\n", WTERMSIG(status));
    (void)close(at);
    tmpdir_close(dir);
    return status == 0;
}

/* ---- smaller ---- */

struct naive_shrink {
    struct naive_world *w;
    naive_ask_fn *ask;
    unsigned tries;  /* left */
    dur_ns deadline; /* time_mono */
};

static inline bool naive_still_fails(struct naive_shrink *k)
{
    size_t step;

    if (k->tries == 0 || time_mono() > k->deadline)
        return false;
    k->tries--;
    return !naive_try(k->w, k->ask, false, &step);
}

/* Records, by halves, quarters ... */
static inline void naive_shrink_records(struct naive_shrink *k)
{
    struct naive_world *w = k->w;
    bool *before = calloc(w->d.n + 1, 1);
    size_t left;

    for (size_t part = w->d.n; part >= 1; part /= 2) {
        for (size_t from = 0; from < w->d.n; from += part) {
            size_t to = w->d.n - from < part ? w->d.n : from + part;
            left = 0;
            memcpy(before, w->gone, w->d.n);
            for (size_t i = from; i < to; i++) {
                left += !w->gone[i];
                w->gone[i] = true;
            }
            if (left != 0 && !naive_still_fails(k))
                memcpy(w->gone, before, w->d.n);
        }
    }
    free(before);
}

static inline void naive_shrink_select(struct naive_shrink *k, struct naive_select *s)
{
    struct naive_select was;

    for (size_t i = s->n_f; i-- > 0;) {
        was = *s;
        naive_drop_filter(s, i);
        if (!naive_still_fails(k))
            *s = was;
    }
    for (size_t i = s->n_m; i-- > 0;) {
        was = *s;
        naive_drop_matcher(s, i);
        if (!naive_still_fails(k))
            *s = was;
    }
    for (size_t i = 0; i < s->n_f; i++) {
        while (s->f[i].n > 1) {
            s->f[i].n--;
            if (naive_still_fails(k))
                continue;
            s->f[i].n++;
            break;
        }
    }
}

static inline void naive_shrink(struct naive_world *w, naive_ask_fn *ask, size_t failed)
{
    struct naive_shrink k = {w, ask, 400, time_mono() + 60 * NS_PER_S};

    w->n_steps = failed + 1 < w->n_steps ? failed + 1 : w->n_steps;
    for (size_t i = 0; i < failed; i++)
        w->step[i].off = w->step[i].kind == NAIVE_ASK;
    if (!naive_still_fails(&k)) /* an earlier question took part */
        for (size_t i = 0; i < failed; i++)
            w->step[i].off = false;
    naive_shrink_records(&k);
    for (size_t i = failed; i-- > 0;) {
        bool off = w->step[i].off;
        w->step[i].off = true;
        if (!off && !naive_still_fails(&k))
            w->step[i].off = false;
    }
    if (failed < w->n_steps && w->step[failed].kind >= NAIVE_DELETE)
        naive_shrink_select(&k, &w->step[failed].s);
    naive_shrink_records(&k);
}

static inline void naive_world_show(const struct naive_world *w, struct buf *b)
{
    buf_addf(b, "seed %" PRIu64 ": head_bytes %zu, late %zu/%zu, cache %zu, %u threads\n", w->seed,
             w->opt.head_bytes, w->opt.late_bytes, w->opt.late_partitions, w->opt.cache_bytes,
             w->opt.query_threads);
    for (size_t i = 0; i < w->n_steps; i++) {
        const struct naive_step *st = &w->step[i];
        if (st->off)
            continue;
        buf_addf(b, "step %zu: %s ", i, naive_step_name(st));
        if (st->kind == NAIVE_ASK || st->kind == NAIVE_DELETE)
            naive_select_show(b, &st->s);
        buf_add_char(b, '\n');
        for (size_t k = st->first; st->kind == NAIVE_APPEND && k < st->first + st->n; k++) {
            const struct naive_record *rec = &w->d.v[k];
            if (w->gone[k])
                continue;
            buf_addf(b, "  #%zu tenant %u ts %lld ", k, rec->tenant, (long long)rec->ts);
            labels_format(b, &w->d.stream[rec->stream]);
            for (uint32_t a = 0; a < rec->n_attr; a++) {
                buf_addf(b, " %.*s=", STR_ARG(rec->attr[a].name));
                naive_show(b, rec->attr[a].value);
            }
            buf_add_char(b, ' ');
            naive_show(b, rec->line);
            buf_add_char(b, '\n');
        }
    }
}

/* ---- making one ---- */

struct naive_plan {
    size_t records, asks;
    const struct str *text; /* may be NULL: lines of which to make records */
    size_t n_text;
};

static inline void naive_world_options(struct naive_world *w, uint64_t *rng)
{
    w->opt = (struct store_options){
        .wal_bytes = 4 << 20,
        .ballast_bytes = UINT64_MAX,
        .min_free = 1e-9,
        .head_bytes = naive_below(rng, 3) == 0 ? (size_t)64 << 10 << naive_below(rng, 5) : 0,
        .late_bytes = naive_below(rng, 3) == 0 ? (size_t)1 << (10 + naive_below(rng, 10)) : 0,
        .late_partitions = naive_below(rng, 3) == 0 ? 1 + naive_below(rng, 3) : 0,
        .cache_bytes = naive_below(rng, 3) == 0 ? (size_t)1 << (12 + naive_below(rng, 8)) : 0,
        .query_threads = 1 + (unsigned)naive_below(rng, 3),
        .no_compaction = naive_below(rng, 3) != 0,
    };
}

static inline struct naive_step *naive_world_step(struct naive_world *w, enum naive_kind kind)
{
    struct naive_step *st = &w->step[w->n_steps++];

    *st = (struct naive_step){.kind = kind};
    return st;
}

static inline void naive_world_make(struct naive_world *w, uint64_t seed,
                                    const struct naive_plan *plan)
{
    uint64_t rng = seed * 0xd1342543de82ef95u + 0x2545f4914f6cdd1du;
    size_t done = 0;
    size_t batches = 4 + naive_below(&rng, 28);
    bool deletes = naive_below(&rng, 3) == 0;

    *w = (struct naive_world){.seed = seed};
    naive_data_make(&w->d, seed, plan->records, plan->text, plan->n_text);
    naive_world_options(w, &rng);
    w->gone = calloc(w->d.n + 1, 1);
    w->step = calloc(6 * batches + plan->asks + 8, sizeof(*w->step));
    for (size_t i = 0; i < batches; i++) {
        struct naive_step *st = naive_world_step(w, NAIVE_APPEND);
        size_t what = naive_below(&rng, 12);
        st->first = done;
        st->n = i + 1 == batches ? w->d.n - done : naive_below(&rng, 2 * (w->d.n / batches) + 1);
        st->n = st->n < w->d.n - done ? st->n : w->d.n - done;
        done += st->n;
        if (what < 5)
            (void)naive_world_step(w, NAIVE_FLUSH);
        else if (what == 5)
            (void)naive_world_step(w, NAIVE_COMPACT);
        else if (what == 6)
            (void)naive_world_step(w, NAIVE_REOPEN);
        else if (what < 10 && deletes) {
            st = naive_world_step(w, NAIVE_DELETE);
            naive_select_draw(&w->d, &st->s, &rng);
            if (st->s.n_m == 0)
                naive_matcher_draw(&w->d, &st->s.m[st->s.n_m++], &rng);
        } else if (what < 12 && deletes)
            (void)naive_world_step(w, what == 10 ? NAIVE_CANCEL : NAIVE_RETIRE);
        for (size_t k = i * plan->asks / batches; k < (i + 1) * plan->asks / batches; k++) {
            st = naive_world_step(w, NAIVE_ASK);
            st->seed = records_random(&rng);
            naive_select_draw(&w->d, &st->s, &rng);
        }
    }
}

static inline void naive_world_fini(struct naive_world *w)
{
    for (size_t i = 0; i < w->n_steps; i++)
        naive_select_fini(&w->step[i].s);
    free(w->step);
    free(w->gone);
    naive_data_fini(&w->d);
}

/* Make and run the world of `seed`; false: it fails, and stderr has a smaller one that does. */
static inline bool naive_check(uint64_t seed, const struct naive_plan *plan, naive_ask_fn *ask)
{
    struct naive_world w;
    size_t failed = 0;
    bool ok;

    naive_world_make(&w, seed, plan);
    ok = naive_try(&w, ask, false, &failed);
    if (!ok) {
        struct buf b;
        size_t n_steps = w.n_steps;
        buf_init(&b, 1 << 24);
        (void)fprintf(stderr, "seed %" PRIu64 " fails in step %zu (%s); making it smaller\n", seed,
                      failed, naive_step_name(&w.step[failed]));
        naive_shrink(&w, ask, failed);
        naive_world_show(&w, &b);
        (void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&b)));
        buf_fini(&b);
        (void)naive_try(&w, ask, true, &failed);
        w.n_steps = n_steps;
    }
    naive_world_fini(&w);
    return ok;
}

#endif
