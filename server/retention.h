/*
 * server/retention.h - storage.retention_rules of the configuration as the store wants them.
 */
#ifndef LOGQ_SERVER_RETENTION_H
#define LOGQ_SERVER_RETENTION_H

#include "query/query.h"
#include "server/server_conf.h"
#include "storage/store.h"

struct retention {
    struct store_retention_rule *rules; /* owned; in order */
    struct query **selectors;           /* owned; of each rule, NULL: every stream */
    size_t n;
};

/* Texts stay those of `conf`, which outlives it.  ERR_INVALID: a selector is none. */
int retention_load(const struct server_conf *conf, struct retention *ret, struct err *err);
void retention_fini(struct retention *r);

/* Parse one rule's selector: *ret is NULL when it means every stream.  ERR_INVALID says why not. */
int retention_selector(struct str text, struct query **ret, struct err *err);

#endif
