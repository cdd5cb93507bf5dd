/*
 * server/api_admin.c - what an operator asks of the store: flush, compact, verify, back up.
 *
 * For the role admin.  All of it blocks on the disk, some for minutes, so it runs on threads of its
 * own: workers for queries stay free.  A compaction may take longer than anybody holds a connection
 * open: it goes on in the background, and is asked how far it is.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "server/verify_print.h"
#include "server/workers.h"
#include "storage/backup.h"

#include <pthread.h>
#include <stdlib.h>

static void fail(struct api_call *c, const char *event, const struct err *err)
{
    log_error(event, LOG_ERR(err), LOG_STR("token", c->caller.name));
    api_call_fail(c, err);
}

static void put_seconds(struct json_writer *w, const struct api_call *c)
{
    json_put_key(w, STR("seconds"));
    json_put_f64(w, (double)(time_mono() - c->began) / (double)NS_PER_S);
}

static void work_flush(struct api_call *c)
{
    struct store *store = c->api->server->store;
    struct store_stats before, after;
    struct json_writer w;
    struct err err;

    store_stats(store, &before);
    if (store_flush(store, &err) < 0) {
        fail(c, "admin.flush_failed", &err);
        return;
    }
    store_stats(store, &after);
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_kv_u64(&w, "records", before.head_records);
    json_put_kv_u64(&w, "segments", after.segments);
    json_put_kv_u64(&w, "segment_bytes", after.segment_bytes);
    put_seconds(&w, c);
    json_put_object_end(&w);
    c->status = 200;
    log_info("admin.flush", LOG_STR("token", c->caller.name));
}

/* ---- compaction ---- */

struct api_compaction {
    struct server *server;
    pthread_mutex_t mutex; /* guards the rest */
    unsigned running;      /* asked for, or under way */
    bool any;              /* there was one since the start */
    dur_ns began, ended;   /* time_mono */
    struct store_stats before, after;
    struct err err; /* of the last; code 0: it went well */
};

struct api_compaction *api_compaction_new(struct server *s)
{
    struct api_compaction *m = mem_new(sizeof(*m));

    m->server = s;
    (void)pthread_mutex_init(&m->mutex, NULL); /* cannot fail for a default mutex here */
    return m;
}

void api_compaction_free(struct api_compaction **pm)
{
    if (*pm == NULL)
        return;
    INVARIANT((*pm)->running == 0);
    (void)pthread_mutex_destroy(&(*pm)->mutex);
    free(*pm);
    *pm = NULL;
}

static void begin_compaction(struct api_compaction *m)
{
    (void)pthread_mutex_lock(&m->mutex);
    if (m->running++ == 0) {
        m->any = true;
        m->began = time_mono();
        store_stats(m->server->store, &m->before);
    }
    (void)pthread_mutex_unlock(&m->mutex);
}

static void end_compaction(struct api_compaction *m, const struct err *err)
{
    (void)pthread_mutex_lock(&m->mutex);
    m->running--;
    m->ended = time_mono();
    m->err = *err;
    store_stats(m->server->store, &m->after);
    (void)pthread_mutex_unlock(&m->mutex);
}

/* On an operators' thread; begin_compaction was called. */
static void run_compaction(void *arg)
{
    struct api_compaction *m = arg;
    dur_ns began = time_mono();
    struct err err;

    if (store_compact(m->server->store, &err) == 0)
        err = (struct err){.code = 0};
    end_compaction(m, &err);
    if (err.code != 0)
        log_error("admin.compact_failed", LOG_ERR(&err));
    else
        log_info("admin.compact_done",
                 LOG_U64("seconds", (uint64_t)((time_mono() - began) / NS_PER_S)));
}

static void put_compaction(struct api_compaction *m, struct buf *out)
{
    struct store_stats now;
    const struct store_stats *after = &now;
    struct json_writer w;
    uint64_t done;
    uint64_t total;
    dur_ns end = time_mono();
    const char *state = "idle";

    store_compact_progress(m->server->store, &done, &total);
    store_stats(m->server->store, &now);
    (void)pthread_mutex_lock(&m->mutex);
    if (m->any)
        state = m->running > 0 ? "running" : m->err.code != 0 ? "failed" : "done";
    if (m->running == 0) {
        after = &m->after;
        end = m->ended;
    }
    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "state", str_of(state));
    json_put_kv_u64(&w, "done_bytes", done);
    json_put_kv_u64(&w, "total_bytes", total);
    json_put_kv_u64(&w, "replaced", after->compacted_segments - m->before.compacted_segments);
    json_put_kv_u64(&w, "bytes_in", after->compacted_bytes_in - m->before.compacted_bytes_in);
    json_put_kv_u64(&w, "bytes_out", after->compacted_bytes_out - m->before.compacted_bytes_out);
    json_put_kv_u64(&w, "rows_left_out",
                    after->compacted_rows_left_out - m->before.compacted_rows_left_out);
    json_put_kv_u64(&w, "damaged", after->compact_damaged - m->before.compact_damaged);
    json_put_kv_u64(&w, "segments", now.segments);
    json_put_kv_u64(&w, "segment_bytes", now.segment_bytes);
    json_put_key(&w, STR("seconds"));
    json_put_f64(&w, m->any ? (double)(end - m->began) / (double)NS_PER_S : 0.0);
    if (m->running == 0 && m->err.code != 0)
        json_put_kv_str(&w, "error", str_of(m->err.text));
    json_put_object_end(&w);
    (void)pthread_mutex_unlock(&m->mutex);
}

static void work_compact(struct api_call *c)
{
    struct api_compaction *m = c->api->compaction;
    struct err err;

    begin_compaction(m);
    run_compaction(m);
    (void)pthread_mutex_lock(&m->mutex);
    err = m->err;
    (void)pthread_mutex_unlock(&m->mutex);
    if (err.code != 0) {
        api_call_fail(c, &err);
        return;
    }
    put_compaction(m, &c->body);
    c->status = 200;
}

static void work_compact_status(struct api_call *c)
{
    put_compaction(c->api->compaction, &c->body);
    c->status = 200;
}

static void work_verify(struct api_call *c)
{
    struct verify_options opt = {.budget = &c->api->server->memory, .cancel = &c->cancel};
    struct verify_result result;
    struct verify_print p;
    struct err err;

    verify_print_init(&p);
    if (verify_store(c->api->server->store, &opt, verify_print_add, &p, &result, &err) < 0) {
        fail(c, "admin.verify_failed", &err);
    } else {
        verify_print_json(&p, &result, &c->body);
        c->status = 200;
        if (result.damage > 0)
            log_error("verify.damage", LOG_U64("findings", result.damage),
                      LOG_STR("token", c->caller.name));
        else
            log_info("admin.verify", LOG_STR("token", c->caller.name));
    }
    verify_print_fini(&p);
}

static void work_backup(struct api_call *c)
{
    const struct backup_options opt = {
        .to = c->name.p, .keyring_to = c->second.p, .cancel = &c->cancel};
    struct backup_result result;
    struct json_writer w;
    struct err err;

    if (backup_store(c->api->server->store, &opt, &result, &err) < 0) {
        fail(c, "backup.failed", &err);
        if (err.code == ERR_EXISTS)
            c->status = 409;
        return;
    }
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_kv_u64(&w, "files", result.files);
    json_put_kv_u64(&w, "bytes", result.bytes);
    json_put_kv_u64(&w, "linked_bytes", result.linked_bytes);
    put_seconds(&w, c);
    json_put_object_end(&w);
    c->status = 200;
    log_info("backup.done", LOG_STR("to", c->name), LOG_U64("files", result.files),
             LOG_U64("bytes", result.bytes), LOG_STR("token", c->caller.name));
}

static void start(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                  void (*work)(struct api_call *))
{
    struct api_call *c = api_call_new(a, x, caller);

    if (c == NULL)
        return;
    c->work = work;
    api_call_start_apart(c);
}

void api_admin_flush(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, work_flush);
}

/* One that is asked for while another is under way is that one. */
static void begin_in_background(struct api *a, const struct auth_caller *caller)
{
    struct api_compaction *m = a->compaction;
    struct err err;
    bool is_running;

    (void)pthread_mutex_lock(&m->mutex);
    is_running = m->running > 0;
    (void)pthread_mutex_unlock(&m->mutex);
    if (is_running)
        return;
    begin_compaction(m);
    if (workers_run(a->admin, STR_NULL, run_compaction, m)) {
        log_info("admin.compact", LOG_STR("token", caller->name));
        return;
    }
    (void)err_set(&err, ERR_LIMIT, "too many requests of operators are waiting");
    end_compaction(m, &err);
}

void api_admin_compact(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    bool is_post = str_eq(http_method(x), STR("POST"));
    struct str text = http_param(x, "wait", 0);
    bool wait = str_eq(text, STR("1"));
    struct api_call *c = api_call_new(a, x, caller);
    struct err err;

    if (c == NULL)
        return;
    if (text.n > 0 && !wait && !str_eq(text, STR("0"))) {
        (void)api_bad_param(&err, "wait", text, "answer: 0 or 1");
        api_call_refuse(c, &err);
        return;
    }
    c->work = is_post && wait ? work_compact : work_compact_status;
    if (is_post && !wait)
        begin_in_background(a, caller);
    if (is_post && wait)
        api_call_start_apart(c);
    else
        api_call_start(c);
}

void api_admin_verify(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, work_verify);
}

/* An absolute path on the server's host; a relative one would be anybody's guess. */
static int read_path(struct http_exchange *x, const char *name, struct api_call *c, struct str *ret,
                     struct err *err)
{
    struct str s = http_param(x, name, 0);

    if (s.n == 0)
        return 0;
    if (s.p[0] != '/' || str_find_char(s, '\0') != SIZE_MAX)
        return err_set(err, ERR_INVALID, "parameter '%s' is not an absolute path", name);
    *ret = arena_str(c->arena, s);
    return ret->p == NULL ? arena_err(c->arena, err) : 0;
}

void api_admin_backup(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct api_call *c = api_call_new(a, x, caller);
    struct err err;
    int r;

    if (c == NULL)
        return;
    r = read_path(x, "to", c, &c->name, &err);
    if (r == 0)
        r = read_path(x, "with_keyring", c, &c->second, &err);
    if (r == 0 && c->name.n == 0)
        r = err_set(&err, ERR_INVALID, "parameter 'to' is missing");
    if (r < 0) {
        api_call_refuse(c, &err);
        return;
    }
    c->work = work_backup;
    api_call_start_apart(c);
}
