/*
 * collector/patterns.h - RE2 patterns, for who asks for some.
 *
 * RE2 is larger than this program, and few configurations have a pattern; so it is a module of its
 * own, logq-collector-patterns.so, which is loaded when the first pattern is compiled.  That must
 * be before the process is confined: there is no way to it afterwards, and patterns_new fails.
 * Compiled patterns are immutable.
 */
#ifndef LOGQ_COLLECTOR_PATTERNS_H
#define LOGQ_COLLECTOR_PATTERNS_H

#include "base/err.h"
#include "base/str.h"

struct pattern;

/* ERR_INVALID: RE2's reason; ERR_LIMIT: too large; ERR_UNSUPPORTED: the module cannot be loaded. */
int patterns_new(struct str text, struct pattern **ret, struct err *err);
void patterns_free(struct pattern **pp);

bool patterns_matches(const struct pattern *p, struct str text);
/* The first match at or behind byte `from`: of the first group if there is one that took part, else
 * of all of it. */
bool patterns_find(const struct pattern *p, struct str text, size_t from, struct str *ret);

/* Load the module now.  ERR_UNSUPPORTED. */
int patterns_load(struct err *err);

#endif
