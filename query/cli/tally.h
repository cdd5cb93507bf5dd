/*
 * query/cli/tally.h - lines counted by time and level as they come, whatever span they will have in
 * the end.
 */
#ifndef LOGQ_QUERY_CLI_TALLY_H
#define LOGQ_QUERY_CLI_TALLY_H

#include "query/cli/bars.h"

struct tally;

/* `step` 0: it is chosen when all have come. */
struct tally *tally_new(dur_ns step);
void tally_free(struct tally **pt);

/* One line; `level` as a name, empty if it is not known.  ERR_LIMIT: of too many different times.
 */
int tally_add(struct tally *t, ts_ns ts, struct str level, struct err *err);

/* As bars: *ret is the caller's, NULL where nothing was added.  Errors as bars_new. */
int tally_bars(const struct tally *t, struct bars **ret, struct err *err);

#endif
