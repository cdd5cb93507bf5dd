/*
 * server/api_export.c - GET /api/v1/export: a log query without a cap, streamed as JSON lines.
 *
 * A worker runs the query and hands over pieces; the loop writes them.  The worker waits while
 * EXPORT_QUEUED bytes are under way, and the loop counts a piece as gone only when the client takes
 * them, so a slow client slows the query and costs no memory.  These workers are the exports' own:
 * clients that do not read keep no other query waiting.  What fails after the first byte ends
 * in a line {"error": ...} and a cut connection.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/obj.h"
#include "query/format.h"
#include "server/exact.h"
#include "server/metrics.h"
#include "server/tenant_limits.h"
#include "server/workers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_BYTES = 64 << 10,
    EXPORT_QUEUED = 1 << 20,
    LINE_ROOM = 64 << 20, /* holds the longest stored record, whatever must be escaped in it */
    WAIT_MS = 200,
    JSON_ERR_MAX = 4096
};

struct export
{
    unsigned magic;
#define EXPORT_MAGIC 0xe8907a5du
    struct api *api;
    struct loop *loop;
    struct arena *arena;
    struct auth_caller caller;
    struct query *query;
    struct query_params params;
    atomic_bool cancel;
    bool exact;        /* form=exact */
    bool wants_cursor; /* and the place where the limit ended it */
    dur_ns began;
    struct buf out;    /* the worker's */
    struct err failed; /* the worker's: why put_entry ended the run */
    /* loop thread */
    struct http_exchange *x;
    size_t held; /* bytes written while the connection was full */
    bool started;
    /* guards queued: bytes handed over and not yet taken by the client */
    pthread_mutex_t mutex;
    pthread_cond_t room;
    size_t queued;
};

struct piece {
    struct export *e;
    size_t n;
    int last; /* 1: the answer is complete, < 0: it failed */
    struct err err;
    char bytes[];
};

static void export_free(struct export *e)
{
    OBJ_CHECK(e, EXPORT_MAGIC);
    query_unref(&e->query);
    buf_fini(&e->out);
    arena_free(&e->arena);
    (void)pthread_mutex_destroy(&e->mutex);
    (void)pthread_cond_destroy(&e->room);
    e->magic = 0;
    free(e);
}

/* ---- loop ---- */

static void give_room(struct export *e, size_t n)
{
    (void)pthread_mutex_lock(&e->mutex);
    e->queued -= n;
    (void)pthread_cond_signal(&e->room);
    (void)pthread_mutex_unlock(&e->mutex);
}

static void on_drained(void *arg)
{
    struct export *e = arg;

    OBJ_CHECK(e, EXPORT_MAGIC);
    give_room(e, e->held);
    e->held = 0;
}

static void on_aborted(void *arg)
{
    struct export *e = arg;

    OBJ_CHECK(e, EXPORT_MAGIC);
    e->x = NULL;
    e->cancel = true;
    give_room(e, e->held);
    e->held = 0;
}

/* As Prometheus and Loki name errors in JSON. */
static struct str error_type(int status)
{
    switch (status) {
    case 400:
        return STR("bad_data");
    case 499:
        return STR("canceled");
    case 500:
        return STR("internal");
    case 504:
        return STR("timeout");
    default:
        return STR("unavailable");
    }
}

static void reply_error(struct export *e, const struct err *err)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, JSON_ERR_MAX);
    json_writer_init(&w, &out);
    json_put_object(&w);
    if (e->started) {
        json_put_kv_str(&w, "error", str_of(err->text));
    } else {
        json_put_kv_str(&w, "status", STR("error"));
        json_put_kv_str(&w, "errorType", error_type(api_status_of(err)));
        json_put_kv_str(&w, "message", str_of(err->text));
    }
    json_put_object_end(&w);
    buf_add_char(&out, '\n');
    if (e->started) {
        http_reply_write(e->x, buf_str(&out));
        http_reply_abort(e->x);
    } else {
        http_reply(e->x, api_status_of(err), "application/json", buf_str(&out));
    }
    buf_fini(&out);
}

static void write_piece(struct export *e, const struct piece *p)
{
    if (!e->started && (p->last >= 0 || p->n > 0)) {
        http_reply_start(e->x, 200, "application/x-ndjson");
        e->started = true;
    }
    if (p->n > 0)
        http_reply_write(e->x, (struct str){p->bytes, p->n});
    if (p->last > 0)
        http_reply_end(e->x);
    else if (p->last < 0)
        reply_error(e, &p->err);
}

static void on_piece(void *arg)
{
    struct piece *p = arg;
    struct export *e = p->e;
    bool over = p->last != 0;

    if (e->x != NULL)
        write_piece(e, p);
    if (!over) {
        if (e->x != NULL && http_is_full(e->x))
            e->held += p->n;
        else
            give_room(e, p->n);
    }
    free(p);
    if (over)
        export_free(e);
}

/* ---- worker ---- */

static int wait_room(struct export *e, struct err *err)
{
    struct timespec until;

    (void)pthread_mutex_lock(&e->mutex);
    while (e->queued > EXPORT_QUEUED && !e->cancel) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAIT_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000L;
        }
        (void)pthread_cond_timedwait(&e->room, &e->mutex,
                                     &until); /* a look at `cancel` now and then */
    }
    (void)pthread_mutex_unlock(&e->mutex);
    return e->cancel ? err_set(err, ERR_CANCELLED, "the client went away") : 0;
}

/* Hand over what `out` holds.  After the piece with `last` set, `e` is the loop's. */
static void hand_over(struct export *e, int last, const struct err *err)
{
    struct piece *p = mem_new(sizeof(*p) + e->out.n);

    p->e = e;
    p->n = e->out.n;
    p->last = last;
    if (last < 0)
        p->err = *err;
    if (p->n > 0)
        memcpy(p->bytes, e->out.p, p->n);
    buf_clear(&e->out);
    (void)pthread_mutex_lock(&e->mutex);
    e->queued += p->n;
    (void)pthread_mutex_unlock(&e->mutex);
    if (!loop_post_patient(e->loop, on_piece, p)) { /* api_priv.h (1): the server stops */
        free(p);
        e->cancel = true;
        if (last != 0)
            export_free(e);
    }
}

static int put_entry(void *arg, const struct query_entry *entry)
{
    struct export *e = arg;
    size_t before = e->out.n;

    if (e->exact) {
        exact_put(&e->out, entry);
    } else {
        format_entry_json(&e->out, entry);
        buf_add_char(&e->out, '\n');
    }
    if (buf_err(&e->out, "an entry of the export", &e->failed) < 0) {
        e->out.n = before; /* what the pipeline made of it; no half of it */
        return e->failed.code;
    }
    if (e->out.n < PIECE_BYTES)
        return 0;
    hand_over(e, 0, NULL);
    return wait_room(e, &e->failed);
}

/* The last line of a page. */
static void put_cursor(struct export *e, const struct query_cursor *next)
{
    enum { CURSOR_ROOM = 256 };
    struct json_writer w;
    struct buf text;

    buf_init(&text, CURSOR_ROOM);
    format_cursor(&text, next);
    json_writer_init(&w, &e->out);
    json_put_object(&w);
    json_put_kv_str(&w, "cursor", buf_str(&text));
    json_put_object_end(&w);
    buf_add_char(&e->out, '\n');
    buf_fini(&text);
}

static void run(void *arg)
{
    struct export *e = arg;
    struct query_stats stats = {0};
    struct err err;
    int r = query_run_log(e->query, e->api->server->store, &e->params, put_entry, e, &stats, &err);

    if (r == 0 && e->wants_cursor && stats.next.set)
        put_cursor(e, &stats.next);
    if (e->failed.code != 0)
        err = e->failed;
    metric_observe(METRIC_QUERY_SECONDS, (double)(time_mono() - e->began) / 1e9);
    if (r < 0)
        metric_add(r == ERR_CANCELLED ? METRIC_QUERY_CANCELLED : METRIC_QUERY_FAILED, 1);
    hand_over(e, r < 0 ? r : 1, &err);
}

/* ---- request ---- */

static void fail(struct http_exchange *x, int status, const struct err *err, unsigned line,
                 unsigned column)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, JSON_ERR_MAX);
    json_writer_init(&w, &out);
    json_put_object(&w);
    json_put_kv_str(&w, "status", STR("error"));
    json_put_kv_str(&w, "errorType", error_type(status));
    json_put_kv_str(&w, "message", str_of(err->text));
    if (line > 0) {
        json_put_kv_u64(&w, "line", line);
        json_put_kv_u64(&w, "column", column);
    }
    json_put_object_end(&w);
    http_reply(x, status, "application/json", buf_str(&out));
    buf_fini(&out);
}

static int parse_number(struct http_exchange *x, const char *name, uint64_t *ret, struct err *err)
{
    struct str s = http_param(x, name, 0);

    if (s.n == 0 || str_to_u64(s, ret))
        return 0;
    return err_set(err, ERR_INVALID, "parameter '%s': '%.*s' is no number", name,
                   (int)(s.n < 64 ? s.n : 64), s.p);
}

/* The query, for which `all` says whether it may take all streams.  400 was answered: < 0. */
static int parse_text(struct http_exchange *x, bool all, struct query **q)
{
    struct str text = http_param(x, "query", 0);
    unsigned line = 0, column = 0;
    struct err err;
    int r;

    if (text.p == NULL)
        r = err_set(&err, ERR_INVALID, "parameter 'query' is missing");
    else
        r = all ? query_parse_all(text, q, &line, &column, &err)
                : query_parse(text, q, &line, &column, &err);
    if (r == 0 && query_kind(*q) != QUERY_LOG)
        r = err_set(&err, ERR_INVALID,
                    "export takes log queries; a metric query goes to /loki/api/v1/query_range");
    if (r < 0) {
        query_unref(q);
        fail(x, api_status_of(&err), &err, line, column);
    }
    return r;
}

static int parse_form(struct http_exchange *x, const struct query_params *p, struct err *err)
{
    struct str form = http_param(x, "form", 0);

    if (form.n == 0)
        return 0;
    if (!str_eq(form, STR("exact")))
        return api_bad_param(err, "form", form, "form of lines: exact");
    if (p->before + p->after > 0)
        return err_set(err, ERR_INVALID, "before and after do not go with form=exact");
    return 0;
}

static int parse_params(struct http_exchange *x, const struct query *q, struct query_params *p,
                        bool *wants_cursor, struct err *err)
{
    struct str direction = http_param(x, "direction", 0);
    int r = api_parse_range(x, NS_PER_H, p, err);

    p->direction = str_eq_nocase(direction, STR("forward")) ? QUERY_FORWARD : QUERY_BACKWARD;
    if (r == 0 && direction.n > 0 && p->direction == QUERY_BACKWARD &&
        !str_eq_nocase(direction, STR("backward")))
        r = err_set(err, ERR_INVALID, "parameter 'direction': forward or backward");
    if (r == 0)
        r = parse_number(x, "limit", &p->limit, err);
    if (r == 0)
        r = parse_number(x, "after_seq", &p->after_seq, err);
    if (r == 0 && p->after_seq > 0 && p->direction != QUERY_FORWARD)
        r = err_set(err, ERR_INVALID, "parameter 'after_seq' goes with direction=forward");
    if (r == 0)
        r = api_parse_cursor(x, q, p, wants_cursor, err);
    if (r == 0)
        r = api_parse_context(x, q, p, err);
    return r < 0 ? r : parse_form(x, p, err);
}

/* NULL: no memory. */
static struct export *export_new(struct api *a, const struct auth_caller *caller,
                                 const struct tenant_limits *limits, const struct query_params *p)
{
    struct export *e = mem_new(sizeof(*e));
    pthread_condattr_t attr;
    bool ok = true;

    e->magic = EXPORT_MAGIC;
    e->api = a;
    e->arena = arena_new(NULL, PIECE_BYTES);
    e->caller.n_tenants = caller->n_tenants;
    for (size_t i = 0; i < caller->n_tenants; i++) {
        e->caller.tenants[i] = arena_str(e->arena, caller->tenants[i]);
        ok = ok && e->caller.tenants[i].p != NULL;
    }
    e->params = *p;
    e->params.tenants = e->caller.tenants;
    e->params.n_tenants = e->caller.n_tenants;
    e->params.limits = limits->query;
    e->params.limits.time = NS_PER_DAY; /* a client may take its time */
    e->params.budget = &a->server->memory;
    e->params.cancel = &e->cancel;
    e->began = time_mono();
    buf_init(&e->out, LINE_ROOM);
    (void)pthread_mutex_init(&e->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&e->room, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (!ok) {
        export_free(e);
        return NULL;
    }
    return e;
}

/* JSON lines have no place for it. */
static void warn_partial(const struct api *a, struct http_exchange *x)
{
    char reason[200];
    char text[256];

    if (store_state(a->server->store, reason, sizeof(reason)) != STORE_REPLAYING)
        return;
    (void)snprintf(text, sizeof(text), "the answer is incomplete: %s", reason);
    http_reply_header(x, "X-Logq-Warning", str_of(text));
}

void api_export(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct query_params p = {0};
    struct query *q = NULL;
    bool wants_cursor = false;
    struct tenant_limits limits;
    struct export *e;
    struct err err;

    tenant_limits_of(&a->server->conf, caller->tenants, caller->n_tenants, &limits);
    if (parse_text(x, limits.empty_selector, &q) < 0)
        return;
    if (parse_params(x, q, &p, &wants_cursor, &err) < 0) {
        query_unref(&q);
        fail(x, api_status_of(&err), &err, 0, 0);
        return;
    }
    metric_add(METRIC_QUERIES, 1);
    e = export_new(a, caller, &limits, &p);
    if (e == NULL) {
        query_unref(&q);
        (void)err_set(&err, ERR_NOMEM, "no memory for this request now");
        fail(x, 503, &err, 0, 0);
        return;
    }
    e->query = q;
    e->wants_cursor = wants_cursor;
    e->exact = str_eq(http_param(x, "form", 0), STR("exact"));
    e->x = x;
    e->loop = http_loop(x);
    warn_partial(a, x);
    if (workers_run(a->exports, auth_lane(&e->caller), run, e)) {
        http_watch(x, on_aborted, on_drained, e);
        return;
    }
    metric_add(METRIC_QUERY_BUSY, 1);
    (void)err_set(&err, ERR_LIMIT, "too many queries are waiting (query.concurrent)");
    fail(x, 429, &err, 0, 0);
    export_free(e);
}
