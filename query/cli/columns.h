/*
 * query/cli/columns.h - chosen parts of an entry, `--columns time,level,status,line`, in each form
 * of `-o`.
 *
 * time, level, origin, line and labels are parts of every entry; any other name is a label's, of
 * whatever kind.  Entries stream: in a table a column is as wide as its widest cell so far.
 */
#ifndef LOGQ_QUERY_CLI_COLUMNS_H
#define LOGQ_QUERY_CLI_COLUMNS_H

#include "query/cli/rows.h"

struct columns;

/* ERR_INVALID: a sentence about `list`. */
int columns_new(const char *list, struct columns **ret, struct err *err);
void columns_free(struct columns **pc);

/* Append one entry; `first`: with a heading where the form has one.  ERR_LIMIT. */
int columns_add(struct columns *c, struct buf *out, const struct query_entry *e,
                const struct format_options *form, bool first, struct err *err);

#endif
