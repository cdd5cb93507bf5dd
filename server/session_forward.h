/*
 * server/session_forward.h - one Forward connection: bytes, messages, appends, acks in order.
 *
 * All on the loop of its stream but for the store's done callback, which posts back.  A session
 * owns its stream and lives until that is closed and its last append is done.
 */
#ifndef LOGQ_SERVER_SESSION_FORWARD_H
#define LOGQ_SERVER_SESSION_FORWARD_H

#include "server/server.h"
#include "wire/stream.h"

struct session_forward;

/* What the sessions of one loop share; the listener's, outlives them. */
struct session_group {
    struct server *server;
    struct loop *loop;
    bool local;                                         /* forward_local */
    struct session_forward *first;                      /* all sessions of this loop */
    struct session_forward *strangers, **strangers_end; /* of these: who nobody knows yet */
    _Atomic unsigned *open;                             /* sessions of the listener, all loops */
    bool draining;
};

/* Once, before the first session. */
void session_forward_begin(struct session_group *g);
/* End the session that has been a stranger's longest; false: there is none on this loop. */
bool session_forward_make_room(struct session_group *g);
/* Take over an accepted stream. */
void session_forward_new(struct session_group *g, struct stream *s);
/* Stop reading in all sessions; each ends when its appends are done. */
void session_forward_drain(struct session_group *g);
/* Close all connections now; sessions live on until their appends are done. */
void session_forward_cut(struct session_group *g);

#endif
