/*
 * query/cli/surround.h - hits among lines that come one behind the other, each with the lines
 * before and behind it; the last lines are kept for the hits to come.
 *
 * A line is shown once.  `--` stands between groups where the form is for people.
 */
#ifndef LOGQ_QUERY_CLI_SURROUND_H
#define LOGQ_QUERY_CLI_SURROUND_H

#include "query/cli/output.h"

struct surround;

struct surround *surround_new(struct output *out, uint64_t before, uint64_t after);
void surround_free(struct surround **ps);

/* The next lines: `b` has some, their seq goes up by one from line to line, from 1 and from batch
 * to batch. */
void surround_lines(struct surround *s, struct batch *b);
/* A hit among them, as the query gives it; in order.  Errors as output_entry. */
int surround_hit(struct surround *s, const struct query_entry *e, struct err *err);
/* There are no more hits among them: show what belongs to the last one. */
int surround_rest(struct surround *s, struct err *err);

/* Do lines that are still to come belong to the last hit? */
bool surround_wants_more(const struct surround *s);

#endif
