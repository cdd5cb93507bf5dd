/*
 * collector/profile.h - what is done to the records of a log: the options of its input, the rules
 * that its labels fit, and what its container asks for.
 *
 * Immutable; files with the same answers share one.  Profiles belong to their set and live as long
 * as that.  Loop thread.
 */
#ifndef LOGQ_COLLECTOR_PROFILE_H
#define LOGQ_COLLECTOR_PROFILE_H

#include "collector/config.h"
#include "collector/redact.h"
#include "collector/rules.h"
#include "collector/trace.h"

/* What a container's labels or annotations say of its logs; empty: nothing. */
struct profile_hints {
    struct str exclude; /* logq.io/exclude: "true" */
    struct str redact;  /* logq.io/redact: detectors, or "all", beside those of the configuration */
    struct str multiline; /* logq.io/multiline */
    unsigned types;       /* detectors that it had asked for before: bits as of redact_by_name */
};

struct profile {
    bool excluded;               /* nothing of it is read */
    const struct redact *redact; /* NULL: nothing is taken out */
    unsigned redact_types;
    const struct rules *rules;
    uint64_t of;     /* of these rules; 0: all is kept */
    uint32_t mark;   /* rules_mark of them */
    char *multiline; /* the hint, if it names a format; "": none */
};

struct profiles;

/* ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED: a pattern.  `c` is borrowed. */
int profiles_new(const struct config *c, struct profiles **ret, struct err *err);
void profiles_free(struct profiles **pp);

/* For a log of input `conf` with these labels.  `hints` may be NULL. */
const struct profile *profile_of_log(struct profiles *p, const struct config_source *conf,
                                     const struct labels *labels,
                                     const struct profile_hints *hints);
/* Which of its lines are one record: `of_input` unless its container asks for another format. */
struct trace_rule profile_trace(const struct profile *p, const struct trace_rule *of_input);
/* For what is no log: only secrets are taken out (`redacted`: they are already). */
const struct profile *profile_of_other(struct profiles *p, bool redacted);

#endif
