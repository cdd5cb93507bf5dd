/*
 * base/visible.h - text of anybody's, for a terminal: shown, never obeyed.
 */
#ifndef LOGQ_BASE_VISIBLE_H
#define LOGQ_BASE_VISIBLE_H

#include "base/buf.h"

#include <stdbool.h>

/* Append `s` as UTF-8, control characters as \xNN, those that turn or hide what stands around them
 * as \uNNNN; `tabs`: but tabs as they are.  What does not fit shows in the buf. */
void visible_add(struct buf *out, struct str s, bool tabs);

#endif
