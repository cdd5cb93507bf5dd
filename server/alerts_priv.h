/*
 * server/alerts_priv.h - what alerts.c (the thread), alerts_track.c (rules and their saved states)
 * and alerts_print.c (the API) share.
 */
#ifndef LOGQ_SERVER_ALERTS_PRIV_H
#define LOGQ_SERVER_ALERTS_PRIV_H

#include "base/queue.h"
#include "base/vec.h"
#include "server/alerts.h"
#include "server/delivery.h"
#include "server/notify.h"
#include "server/rule_state.h"

#include <pthread.h>
#include <stdatomic.h>

/* A rule and its alerts; or the alerts of a rule that is gone, until they are too. */
struct tracked {
    char *key;                      /* in the store; owned */
    struct str tenant, alertname;   /* in `key` */
    const struct rule_group *group; /* NULL, like rule: the rule is gone */
    const struct rule *rule;
    struct rule_state *state; /* owned */
    ts_ns due;                /* evaluate then; INT64_MAX: at the group's next tick */
    ts_ns ahead;              /* newest timestamp of matching records, where it is in the future */
    ts_ns not_before;         /* a slow rule is not touched off all the time */
    bool unsaved;             /* the store refused the last change */
    char error[200];          /* of the last evaluation; "" */
    ts_ns evaluated_at;
    double seconds; /* that it took */
};

struct alerts {
    unsigned magic;
#define ALERTS_MAGIC 0xa1e47501u
    struct server *server;
    struct mem_budget budget;       /* of all alert states */
    struct webhook_target *targets; /* strings in `arena` */
    struct notify_webhook *webhooks;
    struct arena *arena;
    struct delivery *delivery;
    struct notify *notify;
    struct queue *touched;  /* of struct touch */
    _Atomic size_t n_rules; /* none: nothing to observe */
    atomic_bool overflow;   /* the queue was full */
    atomic_bool closing;
    pthread_t thread;
    bool started;

    /* The alert thread's. */
    ts_ns look_again; /* when some notification becomes due by time alone */
    ts_ns clock_saved;
    ts_ns *slots; /* per group: the tick that was evaluated last */

    pthread_mutex_t lock; /* guards what follows: the thread writes, others read */
    struct rules *next;   /* of a reload, not taken yet; may be NULL */
    struct rules *rules;
    VEC(struct tracked *) tracked; /* by tenant and alertname; owned */
};

/* "rule TENANT FILE GROUP ORDINAL ALERT", from malloc: where the state of a rule is kept. */
char *alerts_key(const struct rule_group *g, const struct rule *rule);

/* Read the saved states into a->tracked, as of rules that are gone; blocking. */
int alerts_restore(struct alerts *a, struct err *err);

/* Make a->rules `rules` (taken over) and match states to them.  Alert thread, or before it runs. */
void alerts_adopt(struct alerts *a, struct rules *rules);

/* Write the state of `t`, or delete what was saved when it is empty. */
void alerts_save(struct alerts *a, struct tracked *t);
void alerts_save_clock(struct alerts *a, ts_ns now);

void alerts_tracked_free(struct tracked **pt);

#endif
