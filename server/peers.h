/*
 * server/peers.h - whose clocks are wrong: records ahead of and far behind their receipt, by
 * sender.
 *
 * At most PEERS_MAX senders are kept apart, in the order in which they were noticed; all further
 * ones are one.  Thread-safe.
 */
#ifndef LOGQ_SERVER_PEERS_H
#define LOGQ_SERVER_PEERS_H

#include "base/buf.h"

#include <stdint.h>

enum { PEERS_MAX = 64 };

/* What ingest_decode saw of times. */
struct ingest_times {
    uint64_t ahead; /* more than 10 min ahead: stored at receive time */
    uint64_t late;  /* more than an hour before the day of their receipt began */
};

struct peers;

struct peers *peers_new(void);
void peers_free(struct peers **pp);

/* `p` may be NULL. */
void peers_note(struct peers *p, struct str peer, const struct ingest_times *t);
/* Append them as Prometheus text: counters logq_ingest_peer_records_{ahead,late}_total{peer}. */
void peers_write(struct peers *p, struct buf *out);

#endif
