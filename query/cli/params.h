/*
 * query/cli/params.h - the parameters of a request, percent-encoded: name=value&name=value.
 *
 * The same text is a URL's query and a form's body.  Overflow shows in the buf.
 */
#ifndef LOGQ_QUERY_CLI_PARAMS_H
#define LOGQ_QUERY_CLI_PARAMS_H

#include "base/buf.h"
#include "base/time.h"

void params_add(struct buf *out, const char *name, struct str value);
void params_add_u64(struct buf *out, const char *name, uint64_t value);
void params_add_ts(struct buf *out, const char *name, ts_ns ts);

#endif
