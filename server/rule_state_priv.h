/* server/rule_state_priv.h - what rule_state.c and rule_state_save.c share. */
#ifndef LOGQ_SERVER_RULE_STATE_PRIV_H
#define LOGQ_SERVER_RULE_STATE_PRIV_H

#include "base/map.h"
#include "base/vec.h"
#include "server/rule_state.h"

struct rule_state {
    unsigned magic;
#define RULE_STATE_MAGIC 0x5a7e4a11u
    struct mem_budget *budget;
    VEC(struct rule_alert *) alerts; /* owned */
    struct map *index;               /* hash of labels -> struct rule_alert */
};

/* Take `alert` over; no other has its labels. */
void rule_state_add(struct rule_state *s, struct rule_alert *alert);

/* The alert with the labels of `like`; NULL: none. */
struct rule_alert *rule_state_find(const struct rule_state *s, const struct rule_alert *like);

#endif
