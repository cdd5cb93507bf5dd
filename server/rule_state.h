/*
 * server/rule_state.h - the alerts of one rule: pending, firing, over.
 *
 *     absent --sample--> PENDING --held for `for`--> FIRING --no sample--> INACTIVE --15 min-->
 * gone |                           ^  |                    |
 *                          +--no sample--> gone        +--+ keep_firing_for    +--sample--> PENDING
 *
 * Semantics are those of Prometheus' alerting rules.  Here is no clock, no query and no storage:
 * the caller hands in the samples and the time.  One thread.
 */
#ifndef LOGQ_SERVER_RULE_STATE_H
#define LOGQ_SERVER_RULE_STATE_H

#include "server/rule_alert.h"

enum { RULE_ALERTS_MAX = 2000 }; /* alerts of one rule, inactive ones included */

#define RULE_RESOLVED_RETENTION (15 * NS_PER_MIN)

struct rule_state;

/* What an evaluation did. */
struct rule_state_change {
    bool changed;     /* some alert came, went, or changed its state */
    unsigned evicted; /* inactive ones that went early because of RULE_ALERTS_MAX */
    unsigned failed;  /* templates that could not be expanded: "<error expanding template: ...>" */
};

/* `budget` (may be NULL) is charged with what alerts hold and must outlive the state. */
struct rule_state *rule_state_new(struct mem_budget *budget);
void rule_state_free(struct rule_state **ps);

/*
 * Take the samples of `rule` at `now`, which never steps back.  ERR_INVALID: two samples have the
 * same labels, nothing changed; ERR_LIMIT: more alerts than the group's limit, all are over now;
 * ERR_NOMEM, nothing changed.  *ret is set in each case.
 */
int rule_state_eval(struct rule_state *s, const struct rule *rule,
                    const struct query_result *samples, ts_ns now, struct rule_state_change *ret,
                    struct err *err);

/* The rule is gone: what is pending goes, what fires is over. */
void rule_state_end(struct rule_state *s, ts_ns now, struct rule_state_change *ret);

/* When a pending alert has been held long enough, earliest; INT64_MAX: none is pending. */
ts_ns rule_state_due(const struct rule_state *s, const struct rule *rule);

size_t rule_state_count(const struct rule_state *s);
const struct rule_alert *rule_state_at(const struct rule_state *s, size_t i); /* no order */
size_t rule_state_firing(const struct rule_state *s);
size_t rule_state_pending(const struct rule_state *s);

/* All of it as one JSON object, and back.  `outage` is how long nobody evaluated: over an hour,
 * pending alerts start anew.  ERR_CORRUPT, ERR_NOMEM: nothing restored. */
void rule_state_save(const struct rule_state *s, struct buf *out);
int rule_state_restore(struct str json, dur_ns outage, struct mem_budget *budget,
                       struct rule_state **ret, struct err *err);

#endif
