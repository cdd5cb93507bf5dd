/*
 * collector/taken.h - which chunks have been taken: a set of hashes that forgets the oldest.
 *
 * Whoever sends a chunk again, because an ack was lost, is answered and nothing is taken twice.
 * The set is bounded, and can be written to a file that appears whole or not at all
 * (docs/formats/forward_spool.md).  One thread.
 */
#ifndef LOGQ_COLLECTOR_TAKEN_H
#define LOGQ_COLLECTOR_TAKEN_H

#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>

#define TAKEN_FILE "taken"

struct taken;

/* The newest `max` are remembered, at most 2^20; memory grows with what is added. */
struct taken *taken_new(size_t max);
void taken_free(struct taken **pk);

bool taken_has(const struct taken *k, const struct hash128 *id);
/* Add it as the newest; one that is there stays where it is. */
void taken_add(struct taken *k, const struct hash128 *id);
size_t taken_count(const struct taken *k);

/* Write all to TAKEN_FILE in dir_fd, durably.  ERR_IO. */
int taken_save(const struct taken *k, int dir_fd, struct err *err);
/* Add what stands there, as far as it has room.  ERR_GONE: no such file; ERR_CORRUPT, ERR_IO:
 * nothing was added. */
int taken_load(struct taken *k, int dir_fd, struct err *err);

#endif
