/*
 * base/match.h - label matchers: name, operator, value.  Library target logq_regexp.
 *
 * A label that is absent counts as "".  Regular expressions are anchored at both ends (LogQL,
 * Prometheus).
 */
#ifndef LOGQ_BASE_MATCH_H
#define LOGQ_BASE_MATCH_H

#include "base/labels.h"
#include "base/regexp.h"

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

struct matcher {
    enum match_op op;
    struct str name, value; /* borrowed from whoever made it */
    struct regexp *re;      /* owned for MATCH_RE and MATCH_NRE, else NULL */
};

/* Fill *ret; name and value stay borrowed.  ERR_INVALID when a pattern does not compile. */
int matcher_init(struct matcher *ret, enum match_op op, struct str name, struct str value,
                 struct err *err);
void matcher_fini(struct matcher *m);

bool matcher_matches(const struct matcher *m, struct str value);
bool matchers_match(const struct matcher *v, size_t n, const struct labels *l); /* all of them */

#endif
