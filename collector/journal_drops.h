/*
 * collector/journal_drops.h - what rules have dropped of the journal, and was not told yet.
 *
 * Counted for each rule and container, and written beside the place in the journal that it goes up
 * to (journal_state.h): so a kill loses none and makes none twice.  Bounded: what is dropped of
 * containers when there are JOURNAL_DROPS_MAX is counted for the rule alone.  One thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_DROPS_H
#define LOGQ_COLLECTOR_JOURNAL_DROPS_H

#include "base/json.h"
#include "collector/config.h"
#include "collector/journal_frame.h"

#define JOURNAL_DROP_BEGIN "{\"drop\":"

enum { JOURNAL_DROPS_MAX = 64, JOURNAL_DROPS_ID_MAX = 72, JOURNAL_DROPS_NAME_MAX = 128 };

struct journal_drop {
    char rule[CONFIG_RULE_NAME_MAX];
    char id[JOURNAL_DROPS_ID_MAX], name[JOURNAL_DROPS_NAME_MAX]; /* of a container; "": of none */
    uint64_t count, bytes;
};

struct journal_drops {
    struct journal_drop *p; /* as VEC of base/vec.h; zeroed memory is none */
    size_t n, cap;
};

void journal_drops_fini(struct journal_drops *d);

/* Rule `rule` has dropped `bytes` of text: a record of the container of `f`. */
void journal_drops_add(struct journal_drops *d, const char *rule, const struct journal_frame *f,
                       uint64_t bytes);

/* As a JSON array, and back: the array comes next in `r`.  false: it is not one. */
void journal_drops_put(const struct journal_drops *d, struct json_writer *w);
bool journal_drops_take(struct journal_drops *d, struct json_reader *r, struct arena *a);

/* A line for each (decode_journal.c) behind `out`; there are none any more.  `journal`: where they
 * were dropped of. */
void journal_drops_tell(struct journal_drops *d, struct str journal, struct buf *out);

#endif
