/*
 * server/api_admin.c - what an operator asks of the store: flush, compact, verify, back up.
 *
 * For the role admin.  All of it blocks on the disk, some for minutes, so it runs on threads of its
 * own: workers for queries stay free.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "server/verify_print.h"
#include "storage/backup.h"

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

static void work_compact(struct api_call *c)
{
    struct store *store = c->api->server->store;
    struct store_stats before, after;
    struct json_writer w;
    struct err err;

    store_stats(store, &before);
    if (store_compact(store, &err) < 0) {
        fail(c, "admin.compact_failed", &err);
        return;
    }
    store_stats(store, &after);
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_kv_u64(&w, "replaced", after.compacted_segments - before.compacted_segments);
    json_put_kv_u64(&w, "bytes_in", after.compacted_bytes_in - before.compacted_bytes_in);
    json_put_kv_u64(&w, "bytes_out", after.compacted_bytes_out - before.compacted_bytes_out);
    json_put_kv_u64(&w, "rows_left_out",
                    after.compacted_rows_left_out - before.compacted_rows_left_out);
    json_put_kv_u64(&w, "damaged", after.compact_damaged - before.compact_damaged);
    json_put_kv_u64(&w, "segments", after.segments);
    json_put_kv_u64(&w, "segment_bytes", after.segment_bytes);
    put_seconds(&w, c);
    json_put_object_end(&w);
    c->status = 200;
    log_info("admin.compact", LOG_STR("token", c->caller.name));
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

void api_admin_compact(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, work_compact);
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
