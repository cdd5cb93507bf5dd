/*
 * query/cli/events.h - a text/event-stream, as the server's /api/v1/tail sends it: pieces of bytes
 * in, events out.
 */
#ifndef LOGQ_QUERY_CLI_EVENTS_H
#define LOGQ_QUERY_CLI_EVENTS_H

#include "base/buf.h"

/* One event: its name (empty: none was given) and its data; both valid during the call.  < 0 (with
 * *err set) is an error; 1: no more of them now. */
typedef int events_fn(void *arg, struct str name, struct str data, struct err *err);

/* Visible so that it can be embedded; private. */
struct events {
    struct buf kept; /* bytes that were not looked at yet, behind `at` */
    size_t at;
    struct buf name, data; /* of the event that is not over */
    bool has_data;
};

void events_init(struct events *e);
void events_fini(struct events *e);

/* Hand out what `bytes` complete, behind what was kept back.  What `fn` returned, if that was not
 * 0; ERR_LIMIT: an event is too long. */
int events_take(struct events *e, struct str bytes, events_fn *fn, void *arg, struct err *err);

#endif
