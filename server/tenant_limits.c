/* server/tenant_limits.c - see tenant_limits.h. */
#include "server/tenant_limits.h"

#include <string.h>

/* In these 0 means that there is no limit. */
static void set_smaller(int64_t *to, int64_t own, int64_t general, bool first)
{
    int64_t v = own != 0 ? own : general;

    if (first || *to == 0 || (v != 0 && v < *to))
        *to = v;
}

static const struct server_conf_tenant_limits *find(const struct server_conf *c, struct str tenant)
{
    static const struct server_conf_tenant_limits none;

    for (size_t i = 0; i < c->query.n_tenant_limits; i++)
        if (str_eq(c->query.tenant_limits[i].tenant, tenant))
            return &c->query.tenant_limits[i];
    return &none;
}

void tenant_limits_of(const struct server_conf *c, const struct str *tenants, size_t n,
                      struct tenant_limits *ret)
{
    struct server_conf_tenant_limits sum;
    bool all = true;

    memset(&sum, 0, sizeof(sum));
    for (size_t i = 0; i < (n == 0 ? 1 : n); i++) {
        const struct server_conf_tenant_limits *own = find(c, n == 0 ? STR_NULL : tenants[i]);
        bool first = i == 0;
        all = all && (own->empty_selector == SERVER_CONF_INHERIT
                          ? c->query.empty_selector
                          : own->empty_selector == SERVER_CONF_TRUE);
        set_smaller(&sum.query_timeout, own->query_timeout, c->query.time, first);
        set_smaller(&sum.max_query_memory, own->max_query_memory, c->query.memory_bytes, first);
        set_smaller(&sum.max_query_bytes_read, own->max_query_bytes_read, c->query.line_bytes,
                    first);
        set_smaller(&sum.max_query_series, own->max_query_series, c->query.series, first);
        set_smaller(&sum.max_entries, own->max_entries, c->query.entries, first);
        set_smaller(&sum.max_query_length, own->max_query_length, c->query.length, first);
        set_smaller(&sum.max_query_range, own->max_query_range, c->query.range, first);
    }
    *ret = (struct tenant_limits){
        .query = {.time = sum.query_timeout,
                  .memory_bytes = (size_t)sum.max_query_memory,
                  .line_bytes = (uint64_t)sum.max_query_bytes_read,
                  .series = (size_t)sum.max_query_series,
                  .length = sum.max_query_length,
                  .range = sum.max_query_range},
        .entries = (uint64_t)sum.max_entries,
        .empty_selector = all,
    };
}

int tenant_limits_entries(const struct tenant_limits *l, uint64_t limit, struct err *err)
{
    if (limit <= l->entries)
        return 0;
    return err_set(err, ERR_LIMIT,
                   "max entries limit per query exceeded, limit > max_entries_limit_per_query "
                   "(%llu > %llu); lower the limit, or raise query.entries or the tenant's "
                   "max_entries",
                   (unsigned long long)limit, (unsigned long long)l->entries);
}
