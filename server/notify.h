/*
 * server/notify.h - which notification is due, and what it says.
 *
 * Alerts of one tenant and alertname are one group; a group makes one notification per webhook: at
 * once when an alert starts firing or (send_resolved) is over, and again every four hours while any
 * fires.  What each webhook was told is durable (kv space "alerts", keys "told ..."), so a restart
 * repeats nothing.  The alert thread's own.
 */
#ifndef LOGQ_SERVER_NOTIFY_H
#define LOGQ_SERVER_NOTIFY_H

#include "server/delivery.h"
#include "server/rule_alert.h"

#define NOTIFY_REPEAT    (4 * NS_PER_H)
#define NOTIFY_GROUP_GAP NS_PER_S /* between two notifications of a group */

struct notify;

struct notify_webhook {
    struct str url;
    bool send_resolved;
};

struct notify_options {
    struct store *store; /* borrowed, like all of it */
    struct delivery *delivery;
    const struct notify_webhook *webhooks; /* index = that of the delivery's target */
    size_t n_webhooks;
    struct str external_url; /* may be empty */
};

struct notify_alert {
    const struct rule_alert *alert; /* pending ones are passed over */
    struct str expr;                /* of the rule, for a link */
};

/* Blocking: reads what was told. */
int notify_new(const struct notify_options *opt, struct notify **ret, struct err *err);
void notify_free(struct notify **pn);

/*
 * One round over all groups: begin, each group that has alerts, end.  A group not named in a round
 * is forgotten.  notify_group queues what is due at `now` and returns when to look again.  Blocks
 * for the store; what it cannot save is logged.
 */
void notify_begin(struct notify *n);
ts_ns notify_group(struct notify *n, struct str tenant, struct str alertname,
                   const struct notify_alert *alerts, size_t count, ts_ns now);
void notify_end(struct notify *n);

#endif
