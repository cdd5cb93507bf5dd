/*
 * query/cli/lines.h - from an export to stdout: as they come, or the newest few oldest first.
 */
#ifndef LOGQ_QUERY_CLI_LINES_H
#define LOGQ_QUERY_CLI_LINES_H

#include "query/cli/export.h"
#include "query/cli/follow.h"
#include "query/cli/output.h"

struct progress;

struct lines_request {
    struct export_request export;
    bool newest_last; /* with export.backward: hold all (export.limit bounds them), print the
                         oldest first */
    struct progress *progress; /* told of each entry; NULL: nobody is */
    struct follow *follow;     /* print what is new to it, and mark it; NULL: print all */
};

/* Without `follow` a broken connection is taken up again (export_resume).  Errors as export_run and
 * output_entry.  What came before an error is printed. */
int lines_show(struct remote *r, struct output *out, const struct lines_request *q,
               struct remote_failure *fail, struct err *err);

#endif
