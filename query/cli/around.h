/*
 * query/cli/around.h - hits of a log query with lines of the same stream before and behind each.
 *
 * The server gives all of them, in one order.  Here they are put together by stream; lines of a
 * stream without a gap between them are one group.  Groups stand in order of time, with `--`
 * between them where the form is for people.
 */
#ifndef LOGQ_QUERY_CLI_AROUND_H
#define LOGQ_QUERY_CLI_AROUND_H

#include "query/cli/cmd.h"
#include "query/cli/export.h"

/* Does `q` keep the labels by which a stream is found again?  If not *ret says what changes them.
 */
bool around_is_possible(const struct query *q, const char **ret);

/* Ask `q`, which has a limit, and before or after, and print all.  *hits is how many there are.
 * Errors as export_run and output_entry. */
int around_show(struct cmd *c, const struct export_request *q, uint64_t *hits,
                struct remote_failure *fail, struct err *err);

#endif
