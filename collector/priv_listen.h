/*
 * collector/priv_listen.h - unix sockets that the parent binds and every worker listens on.
 *
 * A worker that could make unix sockets could connect to engines, past the gate.  So the parent
 * binds what metrics.listen and the input forward name, keeps it while one worker follows another,
 * and hands it over; addresses of TCP the worker binds itself.  The parent's process only.
 */
#ifndef LOGQ_COLLECTOR_PRIV_LISTEN_H
#define LOGQ_COLLECTOR_PRIV_LISTEN_H

#include "collector/bound.h"
#include "collector/config.h"

#include <stdbool.h>

struct priv_listen {
    struct bound metrics, forward[CONFIG_LISTEN_MAX];
    int signals; /* borrowed: readable when a signal has come, then nothing is waited for */
    bool
        had_worker; /* then what cannot be bound is done without, and said: a reload has named it */
};

void priv_listen_init(struct priv_listen *l);
/* Close them and remove their files. */
void priv_listen_fini(struct priv_listen *l);

/* Bind what `c` names and is not bound, remove what it does not name any more.  May wait for the
 * worker of a collector that was killed, at the start.  ERR_EXISTS: somebody else listens there;
 * ERR_INVALID, ERR_IO; none of these once there was a worker. */
int priv_listen_metrics(struct priv_listen *l, const struct config *c, struct err *err);
int priv_listen_forward(struct priv_listen *l, const struct config *c, struct err *err);

/* In a worker: its sockets, as struct priv_worker has them, and ours no more. */
void priv_listen_take(struct priv_listen *l, const struct config *c, int *metrics, int *forward);
/* In a process that has no business with them. */
void priv_listen_close(struct priv_listen *l);

#endif
