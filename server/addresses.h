/*
 * server/addresses.h - DIR/run: the lock of a running server, and where it listens.
 *
 * addresses.json is what scripts and tests wait for: it appears (by rename) after every listener is
 * bound and goes at exit; its pid tells a stale one.  Blocking; main thread.
 */
#ifndef LOGQ_SERVER_ADDRESSES_H
#define LOGQ_SERVER_ADDRESSES_H

#include "base/err.h"

struct addresses;

/* Make DIR/run, lock it, and remove what a server that died left there.  ERR_EXISTS names the pid
 * of the server that has it; ERR_IO. */
int addresses_lock(const char *dir, struct addresses **ret, struct err *err);
/* Write addresses.json; `local` may be NULL.  ERR_IO. */
int addresses_publish(struct addresses *a, const char *https, const char *forward,
                      const char *local, struct err *err);
/* Remove addresses.json, release the lock. */
void addresses_free(struct addresses **pa);

#endif
