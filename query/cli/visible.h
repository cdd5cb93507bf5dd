/*
 * query/cli/visible.h - text of anybody's, for a terminal: shown, never obeyed.
 */
#ifndef LOGQ_QUERY_CLI_VISIBLE_H
#define LOGQ_QUERY_CLI_VISIBLE_H

#include "base/buf.h"

/* Append `s` as UTF-8, control characters as \xNN.  What does not fit shows in the buf. */
void visible_add(struct buf *out, struct str s);
#endif
