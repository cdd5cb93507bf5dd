/*
 * server/api_admin.c - what an operator asks of the store: flush, compact, verify.
 *
 * For the role admin.  All of it blocks on the disk, some for minutes, so it runs on threads of its
 * own: workers for queries stay free.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "server/verify_print.h"

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
