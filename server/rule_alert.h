/*
 * server/rule_alert.h - one alert: what a sample of a rule becomes.
 */
#ifndef LOGQ_SERVER_RULE_ALERT_H
#define LOGQ_SERVER_RULE_ALERT_H

#include "base/mem.h"
#include "server/rules.h"

enum { RULE_LABEL_BYTES = 2048, RULE_ANNOTATION_BYTES = 16384 }; /* longer expansions are errors */

enum rule_alert_state { RULE_PENDING, RULE_FIRING, RULE_INACTIVE };

struct rule_alert {
    struct arena *arena;               /* owns labels and annotations */
    struct labels labels, annotations; /* valid UTF-8 */
    double value;
    enum rule_alert_state state;
    ts_ns active_at;   /* first sample of this run */
    ts_ns fired_at;    /* 0: never */
    ts_ns resolved_at; /* INACTIVE only */
    ts_ns keep_since;  /* firing without a sample since then; 0: it has one */
    bool seen;         /* for rule_state.c: in the samples of this evaluation */
};

/* A copy of labels and annotations, made UTF-8, nothing else set.  ERR_NOMEM: `budget` (may be
 * NULL) is used up. */
int rule_alert_new(const struct labels *labels, const struct labels *annotations,
                   struct mem_budget *budget, struct rule_alert **ret, struct err *err);
void rule_alert_free(struct rule_alert **pa); /* *pa may be NULL; sets it to NULL */

/*
 * What the newest sample of a series (which has one) means: its labels without __name__, under them
 * those of the rule, and `alertname`; the texts expanded.  A text that cannot be is "<error
 * expanding template: ...>", and counted in *failed.  ERR_NOMEM.
 */
int rule_alert_make(const struct rule *rule, const struct query_series *sample,
                    struct mem_budget *budget, unsigned *failed, struct rule_alert **ret,
                    struct err *err);

/* "pending", "firing", "inactive". */
struct str rule_alert_state_name(enum rule_alert_state state);

#endif
