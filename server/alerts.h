/*
 * server/alerts.h - rules, their state machine, and the webhooks they fire.
 *
 * A thread of its own evaluates groups: at their interval, and at once (coalesced to 250 ms) when a
 * batch arrives that could change one of their expressions (query_touches).  States live in the
 * store (kv spaces "alerts" and "deliveries") and survive restarts.  Semantics: Prometheus' rule
 * manager and Alertmanager's v4 webhook body.
 */
#ifndef LOGQ_SERVER_ALERTS_H
#define LOGQ_SERVER_ALERTS_H

#include "base/buf.h"
#include "base/record.h"
#include "server/server.h"

/* Load every .yaml file in conf.rules_dir.  ERR_INVALID: all errors, one "file:line:column:
 * message" per line, in `errors`. */
int alerts_open(struct server *s, struct buf *errors, struct alerts **ret, struct err *err);
void alerts_start(struct alerts *a); /* after the store is open */
void alerts_close(struct alerts **pa);

/* SIGHUP: parse all first; on error the old rules stay. */
int alerts_reload(struct alerts *a, struct buf *errors, struct err *err);

/* store_observe_fn target: any thread, must not block. */
void alerts_observe(struct alerts *a, struct str tenant, struct batch *b);

/* Whose rules are shown, and which of them; an empty text is no condition. */
struct alerts_filter {
    const struct str *tenants;
    size_t n_tenants;
    struct str file, group, name;
    bool records; /* recording rules alone: there are none */
};

/* The answers to GET /prometheus/api/v1/rules and /alerts.  Any thread. */
void alerts_print_rules(struct alerts *a, const struct alerts_filter *f, struct buf *out);
void alerts_print_alerts(struct alerts *a, const struct alerts_filter *f, struct buf *out);
/* Rules as Loki's ruler prints them: YAML by file, or one group.  How many groups were printed. */
size_t alerts_print_loki(struct alerts *a, const struct alerts_filter *f, struct buf *out);

#endif
