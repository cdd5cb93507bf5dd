/*
 * server/alert_body.h - Alertmanager's webhook body, version 4.
 *
 * Keys, their order and all forms are those of Alertmanager, so that whatever takes its webhooks
 * takes ours.
 */
#ifndef LOGQ_SERVER_ALERT_BODY_H
#define LOGQ_SERVER_ALERT_BODY_H

#include "base/buf.h"
#include "base/labels.h"
#include "base/time.h"

enum { ALERT_BODY_ALERTS_MAX = 256, ALERT_BODY_BYTES_MAX = 4 << 20 };

struct alert_body_alert {
    const struct labels *labels, *annotations;
    ts_ns starts_at;
    ts_ns ends_at; /* 0: firing */
    struct str generator_url;
};

struct alert_body {
    struct str receiver;
    struct str alertname; /* groups have one */
    struct str route;     /* of the group key, "{}" for the only one */
    struct str external_url;
    struct alert_body_alert *alerts; /* sorted by alert_body_print */
    size_t n;
    size_t max_alerts; /* shown; at most ALERT_BODY_ALERTS_MAX */
};

/* Append the body.  Over max_alerts it holds the firing ones first and counts the rest as
 * truncated.  Returns how many it holds. */
size_t alert_body_print(struct buf *out, struct alert_body *b);

/* `{}:{alertname="X"}` */
void alert_body_group_key(struct buf *out, struct str route, struct str alertname);

/* Alertmanager's name of a label set: FNV-1a, 64 bits, over name 0xff value 0xff. */
uint64_t alert_body_fingerprint(const struct labels *l);

#endif
