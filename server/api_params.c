/*
 * server/api_params.c - what the endpoints have in common in their parameters.  Contract:
 * api_priv.h.
 */
#include "server/api_priv.h"

#include "query/format.h"
#include "server/tenant_limits.h"

static int parse_query(struct http_exchange *x, const char *name, bool all, struct query **ret)
{
    struct str text = http_param(x, name, 0);
    unsigned line = 0, column = 0;
    struct err err;
    int r;

    if (text.p == NULL && str_starts(http_header(x, "Content-Type"), STR("application/json")))
        r = err_set(&err, ERR_INVALID,
                    "parameter '%s' is missing: a body is a form, as "
                    "application/x-www-form-urlencoded",
                    name);
    else if (text.p == NULL)
        r = err_set(&err, ERR_INVALID, "parameter '%s' is missing", name);
    else
        r = all ? query_parse_all(text, ret, &line, &column, &err)
                : query_parse(text, ret, &line, &column, &err);
    if (r < 0)
        api_fail_at(x, &err, text, line, column);
    return r;
}

int api_parse_query(struct http_exchange *x, const char *name, struct query **ret)
{
    return parse_query(x, name, false, ret);
}

int api_parse_read(const struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                   struct query **ret)
{
    struct tenant_limits limits;

    tenant_limits_of(&a->server->conf, caller->tenants, caller->n_tenants, &limits);
    return parse_query(x, "query", limits.empty_selector, ret);
}

int api_bad_param(struct err *err, const char *name, struct str value, const char *what)
{
    return err_set(err, ERR_INVALID, "parameter '%s': '%.*s' is no %s", name,
                   (int)(value.n < 64 ? value.n : 64), value.p, what);
}

static int parse_time(struct http_exchange *x, const char *name, ts_ns *ret, struct err *err)
{
    struct str s = http_param(x, name, 0);

    if (s.n == 0 || loki_time_parse(s, ret))
        return 0;
    return api_bad_param(err, name, s, "time: seconds, nanoseconds or RFC 3339");
}

int api_parse_range(struct http_exchange *x, dur_ns fallback, struct query_params *p,
                    struct err *err)
{
    struct str since = http_param(x, "since", 0);
    const ts_ns now = time_now();
    ts_ns last; /* what `since` counts from */
    int r;

    p->end = now;
    r = parse_time(x, "end", &p->end, err);
    if (r == 0 && since.n > 0 && (!loki_duration_parse(since, &fallback) || fallback < 0))
        r = api_bad_param(err, "since", since, "duration");
    if (r < 0)
        return r;
    last = p->end < now ? p->end : now; /* an end ahead of us leaves the past in view */
    p->start = last < INT64_MIN + fallback ? INT64_MIN : last - fallback;
    r = parse_time(x, "start", &p->start, err);
    if (r == 0 && p->end < p->start)
        r = err_set(err, ERR_INVALID, "end timestamp must not be before or equal to start time");
    return r;
}

int api_parse_selector(struct http_exchange *x, const char *name, size_t nth, bool all,
                       struct query **ret)
{
    struct str text = str_trim(http_param(x, name, nth));
    const struct matcher *matchers;
    unsigned line = 0, column = 0;
    struct err err;
    size_t n;
    int r;

    *ret = NULL;
    if (text.n == 0 || str_eq(text, STR("{}")))
        return 0;
    r = all ? query_parse_all(text, ret, &line, &column, &err)
            : query_parse(text, ret, &line, &column, &err);
    if (r == 0 && !query_selector(*ret, &matchers, &n)) {
        query_unref(ret);
        r = err_set(&err, ERR_INVALID, "parameter '%s': only label matchers are supported", name);
    }
    if (r < 0)
        api_fail_at(x, &err, text, line, column);
    return r;
}

static int parse_side(struct http_exchange *x, const struct query *q, const char *name,
                      uint64_t *ret, struct err *err)
{
    struct str s = http_param(x, name, 0);

    if (s.n > 0 && query_kind(q) != QUERY_LOG)
        return err_set(err, ERR_INVALID, "parameter '%s' goes with log queries", name);
    if (s.n > 0 && (!str_to_u64(s, ret) || *ret > QUERY_CONTEXT_MAX))
        return api_bad_param(err, name, s, "number from 0 to 100");
    return 0;
}

int api_parse_context(struct http_exchange *x, const struct query *q, struct query_params *p,
                      struct err *err)
{
    int r = parse_side(x, q, "before", &p->before, err);

    return r < 0 ? r : parse_side(x, q, "after", &p->after, err);
}

int api_parse_cursor(struct http_exchange *x, const struct query *q, struct query_params *p,
                     bool *wanted, struct err *err)
{
    struct str s = http_param(x, "cursor", 0);

    *wanted = s.p != NULL;
    if (*wanted && query_kind(q) != QUERY_LOG)
        return err_set(err, ERR_INVALID, "parameter 'cursor' goes with log queries");
    if (*wanted && !query_may_follow(q)) /* no page has one, so the first would pass for the last */
        return err_set(err, ERR_INVALID,
                       "parameter 'cursor' does not go with dedup: what came before it would come "
                       "again");
    if (s.n > 0 && !format_cursor_parse(s, &p->cursor))
        return api_bad_param(err, "cursor", s, "cursor of an answer");
    return 0;
}

int api_parse_flag(struct http_exchange *x, const char *name, bool *ret, struct err *err)
{
    struct str s = http_param(x, name, 0);

    *ret = str_eq(s, STR("true"));
    if (s.n > 0 && !*ret && !str_eq(s, STR("false")))
        return api_bad_param(err, name, s, "answer: true or false");
    return 0;
}

int api_parse_count(struct http_exchange *x, const char *name, uint64_t max, uint64_t *ret,
                    struct err *err)
{
    struct str s = http_param(x, name, 0);

    if (s.n == 0)
        return 0;
    if (!str_to_u64(s, ret) || *ret == 0)
        return api_bad_param(err, name, s, "positive number");
    if (*ret > max)
        return err_set(err, ERR_LIMIT, "parameter '%s': %llu is over %llu", name,
                       (unsigned long long)*ret, (unsigned long long)max);
    return 0;
}

int api_parse_step(struct http_exchange *x, struct query_params *p, size_t max, struct err *err)
{
    struct str s = http_param(x, "step", 0);

    p->step = loki_default_step(p->start, p->end);
    if (s.n > 0 && (!loki_duration_parse(s, &p->step) || p->step <= 0))
        return api_bad_param(err, "step", s, "duration above 0");
    if (p->start < p->end && ((uint64_t)p->end - (uint64_t)p->start) / (uint64_t)p->step > max)
        return err_set(err, ERR_LIMIT, "more than %zu steps: raise 'step'", max);
    return 0;
}

ts_ns api_step_floor(ts_ns t, dur_ns step)
{
    ts_ns rest = t % step;

    if (rest < 0)
        rest += step;
    return t < INT64_MIN + rest ? INT64_MIN : t - rest;
}

size_t api_step_edges(const struct query_params *p, ts_ns *edge)
{
    size_t n = 0;

    for (ts_ns t = p->start; t < p->end; n++) {
        edge[n] = t;
        t = api_step_floor(t, p->step);
        t = t > INT64_MAX - p->step ? p->end : t + p->step;
    }
    edge[n++] = p->end;
    return n;
}

bool api_wants_categories(const struct http_exchange *x)
{
    return str_find(http_header(x, "X-Loki-Response-Encoding-Flags"), STR("categorize-labels")) !=
           SIZE_MAX;
}
