/*
 * server/delivery.h - notifications on their way: durable, in order, tried until they arrive.
 *
 * A notification is in the store (kv space "deliveries") before its first attempt and leaves it
 * when the receiver said 2xx, refused it for good, or 24 hours have passed.  A thread of its own
 * sends them; notifications of one lane (receiver and group) go one after another, lanes do not
 * wait for each other.
 */
#ifndef LOGQ_SERVER_DELIVERY_H
#define LOGQ_SERVER_DELIVERY_H

#include "server/webhook.h"
#include "storage/store.h"

struct delivery;

struct delivery_options {
    struct store *store;                  /* borrowed; outlives the delivery */
    const struct webhook_target *targets; /* borrowed likewise */
    size_t n_targets;
    size_t max_queued; /* 0: 1,000; over it the oldest is dropped, and counted */
    dur_ns retry_unit; /* for tests: of the delays 1, 2, 5, 15, 30 ...; 0: 1 s */
};

struct delivery_item {
    size_t target;  /* index */
    const char *id; /* the same notification has the same id; at most 100 bytes */
    struct str lane;
    struct str body;
};

/* Read what is left from before (blocking); nothing is sent before delivery_start.  ERR_IO;
 * ERR_INVALID: a token file cannot be read. */
int delivery_open(const struct delivery_options *opt, struct delivery **ret, struct err *err);
void delivery_start(struct delivery *d);
/* Give attempts under way 2 s to end, then stop; what has not arrived stays in the store. */
void delivery_close(struct delivery **pd);

/* Queue a notification.  Blocks for the store, never for a receiver.  An error means that it is
 * queued but would not survive a restart.  An id that is queued already is not queued again. */
int delivery_add(struct delivery *d, const struct delivery_item *item, struct err *err);

size_t delivery_queued(struct delivery *d); /* any thread */

#endif
