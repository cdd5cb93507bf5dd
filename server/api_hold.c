/*
 * server/api_hold.c - legal holds: put one on streams and a span of a tenant's time, list them,
 * release one.
 *
 * For the role admin, one tenant at a time, as delete requests.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "base/time.h"

static void put_time(struct json_writer *w, const char *key, ts_ns t)
{
    char text[TIME_TEXT_MAX];

    json_put_kv_str(w, key, time_format_rfc3339(t, text));
}

static void work_add(struct api_call *c)
{
    struct store_hold h = {
        .from = c->params.start, .to = c->params.end, .user = c->caller.name, .reason = c->name};
    struct json_writer w;
    struct buf text;
    struct err err;
    int r = 0;

    buf_init(&text, QUERY_TEXT_MAX * 2);
    if (c->query != NULL) {
        query_print(c->query, &text);
        h.query = buf_str(&text);
        r = buf_err(&text, "the query", &err);
    }
    if (c->query != NULL && r == 0 && !query_selector(c->query, &h.matchers, &h.n_matchers))
        r = err_set(&err, ERR_INVALID, "parameter 'query': a hold takes a stream selector alone");
    if (r == 0)
        r = store_hold_add(c->api->server->store, c->caller.tenants[0], &h, &err);
    buf_fini(&text);
    if (r < 0) {
        api_call_fail(c, &err);
        c->status = r == ERR_GONE ? 404 : c->status;
        return;
    }
    log_info("hold.added", LOG_Z("id", h.id), LOG_STR("tenant", c->caller.tenants[0]),
             LOG_STR("token", c->caller.name));
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_kv_str(&w, "id", str_of(h.id));
    json_put_object_end(&w);
    c->status = 200;
}

static int print(void *arg, const struct store_hold *h)
{
    struct json_writer *w = arg;

    json_put_object(w);
    json_put_kv_str(w, "id", str_of(h->id));
    if (h->n_matchers > 0)
        json_put_kv_str(w, "query", h->query);
    put_time(w, "start", h->from);
    put_time(w, "end", h->to);
    put_time(w, "created_at", h->created);
    json_put_kv_str(w, "created_by", h->user);
    json_put_kv_str(w, "reason", h->reason);
    json_put_object_end(w);
    return 0;
}

static void work_list(struct api_call *c)
{
    struct json_writer w;

    json_writer_init(&w, &c->body);
    json_put_array(&w);
    (void)store_holds(c->api->server->store, c->caller.tenants[0], print, &w); /* print is 0 */
    json_put_array_end(&w);
    c->status = 200;
}

static void work_release(struct api_call *c)
{
    struct err err;
    int r = store_hold_release(c->api->server->store, c->caller.tenants[0], c->name, &err);

    if (r < 0) {
        api_call_fail(c, &err);
        c->status = r == ERR_GONE ? 404 : c->status;
        return;
    }
    log_info("hold.released", LOG_STR("id", c->name), LOG_STR("tenant", c->caller.tenants[0]),
             LOG_STR("token", c->caller.name));
    c->status = 204;
}

/* Fill the call by its parameters. */
static int choose(struct http_exchange *x, struct api_call *c, struct err *err)
{
    bool is_post = str_eq(http_method(x), STR("POST"));
    const char *name = is_post ? "reason" : "id";
    int r = 0;

    if (str_eq(http_method(x), STR("GET"))) {
        c->work = work_list;
        return 0;
    }
    c->work = is_post ? work_add : work_release;
    if (http_param(x, name, 0).n == 0)
        return err_set(err, ERR_INVALID, "parameter '%s' is missing", name);
    if (is_post && (http_param(x, "start", 0).n == 0 || http_param(x, "end", 0).n == 0))
        return err_set(err, ERR_INVALID, "a hold needs 'start' and 'end'");
    if (is_post)
        r = api_parse_range(x, 0, &c->params, err);
    c->name = arena_str(c->arena, http_param(x, name, 0));
    return r < 0 || c->name.p != NULL ? r : arena_err(c->arena, err);
}

void api_hold(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    bool makes = str_eq(http_method(x), STR("POST"));
    struct query *q = NULL;
    struct api_call *c;
    struct err err;

    if (caller->n_tenants != 1) {
        http_replyf(x, 400, "holds are one tenant's: X-Scope-OrgID names %zu\n", caller->n_tenants);
        return;
    }
    if (makes && http_param(x, "query", 0).n > 0 && api_parse_query(x, "query", &q) < 0)
        return;
    c = api_call_new(a, x, caller);
    if (c == NULL) {
        query_unref(&q);
        return;
    }
    c->query = q;
    if (choose(x, c, &err) == 0)
        api_call_start(c);
    else
        api_call_refuse(c, &err);
}
