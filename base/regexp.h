/*
 * base/regexp.h - regular expressions in linear time, with RE2's syntax and meaning.
 *
 * A compiled regexp is immutable: any number of threads may use it.  Library target logq_regexp,
 * not logq_base: a program that needs no patterns does not carry RE2.
 */
#ifndef LOGQ_BASE_REGEXP_H
#define LOGQ_BASE_REGEXP_H

#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

struct regexp;

enum { REGEXP_MAX_BYTES = 1 << 16, REGEXP_MAX_CAPTURES = 64 };

/* Compile.  `anchored`: the whole text must match, else any part of it (line filters).
 * `.` matches a newline only with (?s); \C is refused.  A byte of the text that is no part of UTF-8
 * matches as one U+FFFD would (in texts up to 4 MiB).  ERR_INVALID with RE2's reason; ERR_LIMIT
 * when pattern or program would be too large (regexp_cost.h). */
int regexp_new(struct str pattern, bool anchored, struct regexp **ret, struct err *err);
/* The same for the values of a label, as matchers ask for them: anchored, and `.` matches a newline
 * without (?s), so that `.*` takes every value. */
int regexp_new_value(struct str pattern, struct regexp **ret, struct err *err);
/* Is its size, in bytes and in regexp_cost, within what either takes?  ERR_LIMIT. */
int regexp_check_size(struct str pattern, struct err *err);
/* What either would fail with but for the size, which is within it, told in microseconds, or 0.  Of
 * some patterns that do not compile it is 0, too; of those that do it always is. */
int regexp_check(struct str pattern, struct err *err);
void regexp_free(struct regexp **pr);

bool regexp_matches(const struct regexp *r, struct str text);

/* The pattern as it was given; lives with r. */
struct str regexp_pattern(const struct regexp *r);

/* Plain text that every match contains, for pruning; "" when nothing can be said.  Lives with r. */
struct str regexp_required(const struct regexp *r);

/* Number of capture groups, and the name of group i (1-based; STR_NULL if unnamed; lives with r).
 */
size_t regexp_captures(const struct regexp *r);
struct str regexp_capture_name(const struct regexp *r, size_t i);

/* Match and fill ret[0..n) with the whole match and the groups (p == NULL: group took no part); `n`
 * <= REGEXP_MAX_CAPTURES.  Search starts at byte `from`.  false: no match. */
bool regexp_capture(const struct regexp *r, struct str text, size_t from, struct str *ret,
                    size_t n);

#ifdef __cplusplus
}
#endif

#endif
