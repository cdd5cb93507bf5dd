/*
 * server/api_delete.c - delete requests, in Loki's form: make one, list them, take one back.
 *
 * For the role admin, one tenant at a time: what is deleted is gone for everybody.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/log.h"

/* ---- make ---- */

static int add(struct api_call *c, struct store_delete *d, struct err *err)
{
    struct arena *a = arena_new(&c->api->server->memory, 1 << 20);
    struct buf text;
    int r;

    buf_init(&text, QUERY_TEXT_MAX * 2);
    query_print(c->query, &text);
    r = buf_err(&text, "the query", err);
    if (r == 0)
        r = query_delete(c->query, a, d, err);
    if (r == 0) {
        d->query = buf_str(&text);
        d->user = c->caller.name;
        d->from = c->params.start;
        d->to = c->params.end;
        r = store_delete_add(c->api->server->store, c->caller.tenants[0], d, err);
    }
    buf_fini(&text);
    arena_free(&a);
    return r;
}

static void work_add(struct api_call *c)
{
    struct store_delete d = {.state = STORE_DELETE_RECEIVED};
    struct err err;
    int r = add(c, &d, &err);

    if (r < 0) {
        api_call_fail(c, &err);
        if (r == ERR_GONE)
            c->status = 404;
        return;
    }
    log_info("delete.received", LOG_Z("id", d.id), LOG_STR("tenant", c->caller.tenants[0]),
             LOG_STR("token", c->caller.name));
    c->status = 204;
}

/* ---- list ---- */

/* Whole ones: Loki's logcli reads no others, and a list with one is no list to it. */
static void put_seconds(struct json_writer *w, const char *key, ts_ns t)
{
    json_put_key(w, str_of(key));
    json_put_i64(w, api_step_floor(t, NS_PER_S) / NS_PER_S);
}

/* No second of the request lies behind it. */
static ts_ns round_up(ts_ns t)
{
    return t > INT64_MAX - NS_PER_S ? t : t + NS_PER_S - 1;
}

struct lister {
    struct json_writer w;
    struct str tenant;
};

static int print(void *arg, const struct store_delete *d)
{
    struct lister *ls = arg;

    json_put_object(&ls->w);
    json_put_kv_str(&ls->w, "request_id", str_of(d->id));
    put_seconds(&ls->w, "start_time", d->from);
    put_seconds(&ls->w, "end_time", round_up(d->to));
    json_put_kv_str(&ls->w, "query", d->query);
    json_put_kv_str(&ls->w, "status",
                    d->state == STORE_DELETE_PROCESSED ? STR("processed") : STR("received"));
    put_seconds(&ls->w, "created_at", d->created);
    json_put_kv_str(&ls->w, "user_id", ls->tenant);
    json_put_kv_str(&ls->w, "created_by", d->user);
    json_put_object_end(&ls->w);
    return 0;
}

static void work_list(struct api_call *c)
{
    struct lister ls = {.tenant = c->caller.tenants[0]};

    json_writer_init(&ls.w, &c->body);
    json_put_array(&ls.w);
    (void)store_deletes(c->api->server->store, c->caller.tenants[0], print, &ls); /* print is 0 */
    json_put_array_end(&ls.w);
    c->status = 200;
}

/* ---- cancel ---- */

static void work_cancel(struct api_call *c)
{
    struct err err;
    int r =
        store_delete_cancel(c->api->server->store, c->caller.tenants[0], c->name, c->force, &err);

    if (r < 0) {
        api_call_fail(c, &err);
        if (r == ERR_GONE)
            c->status = 404;
        return;
    }
    log_info("delete.cancelled", LOG_STR("id", c->name), LOG_STR("tenant", c->caller.tenants[0]),
             LOG_STR("token", c->caller.name));
    c->status = 204;
}

/* ---- the door ---- */

/* Fill the call by its parameters; the work to do, or NULL with *err set. */
static void (*choose(struct http_exchange *x, struct api_call *c,
                     struct err *err))(struct api_call *)
{
    struct str id = http_param(x, "request_id", 0);
    struct str interval = http_param(x, "max_interval", 0); /* of pieces: we need none */
    dur_ns piece;

    if (str_eq(http_method(x), STR("GET")))
        return work_list;
    if (str_eq(http_method(x), STR("DELETE"))) {
        c->name = arena_str(c->arena, id);
        if (api_parse_flag(x, "force", &c->force, err) < 0)
            return NULL;
        if (id.n > 0 && c->name.p != NULL)
            return work_cancel;
        (void)err_set(err, ERR_INVALID, "parameter 'request_id' is missing");
        return NULL;
    }
    if (interval.n > 0 && (!dur_parse(interval, true, &piece) || piece < NS_PER_S)) {
        (void)api_bad_param(err, "max_interval", interval, "duration of a second or more");
        return NULL;
    }
    if (http_param(x, "start", 0).n == 0) {
        (void)err_set(err, ERR_INVALID, "parameter 'start' is missing");
        return NULL;
    }
    return api_parse_range(x, 0, &c->params, err) < 0 ? NULL : work_add;
}

void api_delete(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    bool makes = str_eq(http_method(x), STR("POST")) || str_eq(http_method(x), STR("PUT"));
    struct query *q = NULL;
    struct api_call *c;
    struct err err;

    if (caller->n_tenants != 1) {
        http_replyf(x, 400, "delete requests are made for one tenant: X-Scope-OrgID names %zu\n",
                    caller->n_tenants);
        return;
    }
    if (makes && api_parse_query(x, "query", &q) < 0)
        return;
    c = api_call_new(a, x, caller);
    if (c == NULL) {
        query_unref(&q);
        return;
    }
    c->query = q;
    c->work = choose(x, c, &err);
    if (c->work != NULL)
        api_call_start(c);
    else
        api_call_refuse(c, &err);
}
