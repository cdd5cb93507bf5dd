/*
 * collector/channel.h - packets with a descriptor, between the processes of one collector.
 *
 * A channel is one end of a SEQPACKET socket pair.  Whoever is at the other end is not trusted with
 * lengths: a packet over the room given is an error, descriptors beyond the first are closed.
 */
#ifndef LOGQ_COLLECTOR_CHANNEL_H
#define LOGQ_COLLECTOR_CHANNEL_H

#include "base/err.h"

#include <stddef.h>

enum { CHANNEL_PACKET_MAX = 32 << 10 };

int channel_pair(int ret[2], struct err *err); /* close-on-exec, blocking */

/* Who does not take what is sent is waited for so long at most. */
void channel_limit_sending(int channel, int seconds);

/* Send `n` bytes, and a copy of `fd` unless it is negative.  ERR_GONE: nobody is there any more. */
int channel_send(int channel, const void *p, size_t n, int fd, struct err *err);

/* Wait for a packet: *n bytes of at most `cap`, and *fd, the caller's, or -1.  1: the other end is
 * closed, or sent a packet of nothing.  ERR_CORRUPT: longer than `cap`. */
int channel_receive(int channel, void *p, size_t cap, size_t *n, int *fd, struct err *err);

#endif
