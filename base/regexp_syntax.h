/* base/regexp_syntax.h - what is wrong in a regular expression, and what is in it, without RE2. */
#ifndef LOGQ_BASE_REGEXP_SYNTAX_H
#define LOGQ_BASE_REGEXP_SYNTAX_H

#include "base/str.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum regexp_fault_kind {
    REGEXP_FAULT_NONE,
    REGEXP_FAULT_OPEN,     /* a group is not closed */
    REGEXP_FAULT_CLOSE,    /* a ) too many */
    REGEXP_FAULT_CLASS,    /* a class is not closed: it is `piece` and all behind it */
    REGEXP_FAULT_PIECE,    /* `piece` is wrong wherever it stands */
    REGEXP_FAULT_GROUP,    /* with a ) behind it */
    REGEXP_FAULT_IN_CLASS, /* in a class */
    REGEXP_FAULT_REPEATED, /* behind a character */
};

struct regexp_fault {
    enum regexp_fault_kind kind;
    struct str piece; /* of the pattern; STR_NULL: of OPEN and CLOSE */
};

/* The first fault of a pattern in RE2's syntax.  NONE also when it cannot be told here: bytes that
 * are no UTF-8, names of Unicode classes.  Pure, linear. */
struct regexp_fault regexp_syntax(struct str pattern);

enum regexp_empty { REGEXP_EMPTY_UNKNOWN, REGEXP_EMPTY_NO, REGEXP_EMPTY_YES };

/* Does the pattern match the empty text?  UNKNOWN also of what is no pattern.  Pure, linear. */
enum regexp_empty regexp_takes_empty(struct str pattern);

/* The names of the groups that keep what they match, in their order, in ret[0..max): STR_NULL for
 * one without.  They live as long as `pattern`.  Returns how many groups there are, or SIZE_MAX: it
 * cannot be told, or they are more than `max`.  Pure, linear. */
size_t regexp_names(struct str pattern, struct str *ret, size_t max);

#ifdef __cplusplus
}
#endif

#endif
