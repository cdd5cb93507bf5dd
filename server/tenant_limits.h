/* server/tenant_limits.h - what one query may cost, by tenant. */
#ifndef LOGQ_SERVER_TENANT_LIMITS_H
#define LOGQ_SERVER_TENANT_LIMITS_H

#include "query/query.h"
#include "server/server_conf.h"

struct tenant_limits {
    struct query_limits query;
    uint64_t entries;    /* the largest limit of a query */
    bool empty_selector; /* a query may take all streams; of several tenants' if each says so */
};

/* The limits of a query over these tenants: for each what `query.tenant_limits` says of it, or
 * where that is silent what `query` says of all; of several tenants' the smallest.  Pure. */
void tenant_limits_of(const struct server_conf *c, const struct str *tenants, size_t n,
                      struct tenant_limits *ret);

/* Is `limit` within l->entries?  ERR_LIMIT, in Loki's words. */
int tenant_limits_entries(const struct tenant_limits *l, uint64_t limit, struct err *err);

#endif
