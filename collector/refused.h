/*
 * collector/refused.h - chunks that the server will never take, kept for whoever wants to know why.
 *
 * Files state_dir/refused/<chunk>.fwd, each the message as it was sent, or one of those of its
 * parts that were refused, the oldest removed when there is no room.
 */
#ifndef LOGQ_COLLECTOR_REFUSED_H
#define LOGQ_COLLECTOR_REFUSED_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct refused;

int refused_open(int state_fd, uint64_t max_bytes, struct refused **ret, struct err *err);
/* Keep `message`; what cannot be kept is counted. */
void refused_keep(struct refused *r, uint64_t no, struct str message);
void refused_free(struct refused **pr);

#endif
