/* wire/http_exchange.c - what a handler may ask of a request.  Contract: http.h. */
#include "base/obj.h"
#include "wire/http_priv.h"

static struct http_exchange *check(struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return x;
}

bool http_exchange_has_form(const struct http_exchange *x)
{
    struct str type = http_request_header(x->req, STR("content-type"));
    struct str rest = type;
    struct str method = http_request_method(x->req);

    return (str_eq(method, STR("POST")) || str_eq(method, STR("PUT"))) &&
           str_eq_nocase(str_trim(str_cut(&rest, ';')), STR("application/x-www-form-urlencoded")) &&
           http_request_header(x->req, STR("content-encoding")).p == NULL;
}

struct loop *http_loop(const struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return x->loop;
}

struct arena *http_arena(struct http_exchange *x)
{
    return check(x)->arena;
}

struct str http_method(const struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return http_request_method(x->req);
}

struct str http_path(const struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return http_request_path(x->req);
}

struct str http_header(const struct http_exchange *x, const char *name)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return http_request_header(x->req, str_of(name));
}

struct str http_body(const struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return http_request_body(x->req);
}

struct str http_param(struct http_exchange *x, const char *name, size_t i)
{
    const struct http_params *p = &check(x)->params;

    for (size_t k = 0; k < p->n; k++)
        if (str_eq(p->v[k].name, str_of(name)) && i-- == 0)
            return p->v[k].value;
    return STR_NULL;
}

bool http_param_next(struct http_exchange *x, size_t *pos, struct str *name, struct str *value)
{
    const struct http_params *p = &check(x)->params;

    if (*pos >= p->n)
        return false;
    *name = p->v[*pos].name;
    *value = p->v[*pos].value;
    (*pos)++;
    return true;
}

void http_peer(const struct http_exchange *x, struct stream_peer *ret)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    *ret = x->peer;
}

void http_set_urgent(struct http_exchange *x, bool urgent)
{
    struct stream *s;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    s = http_conn_stream(x->conn);
    if (s != NULL)
        stream_set_patient(s, !urgent);
}

void http_watch(struct http_exchange *x, loop_fn *aborted, loop_fn *drained, void *arg)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    x->aborted = aborted;
    x->drained = drained;
    x->watcher = arg;
}
