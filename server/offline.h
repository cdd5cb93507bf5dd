/*
 * server/offline.h - `logq-server verify`, `backup`, `restore`: work on the data directory of a
 * server that does not run.
 *
 * Blocking; results on stdout, what went wrong on stderr.  Each returns the program's exit code.
 */
#ifndef LOGQ_SERVER_OFFLINE_H
#define LOGQ_SERVER_OFFLINE_H

#include <stdbool.h>

struct offline_verify {
    const char *config;
    bool json;
    bool no_keys; /* check only what needs no key */
};
/* 0 intact, 1 damage, 2 usage or configuration, 5 it could not be looked through. */
int offline_verify(const struct offline_verify *o);

/* 0, 1 it failed, 2 usage or configuration. */
struct offline_backup {
    const char *config, *to, *keyring_to; /* keyring_to: NULL for no copy of the keyring */
};
int offline_backup(const struct offline_backup *o);

struct offline_restore {
    const char *from, *keyring, *data;
};
int offline_restore(const struct offline_restore *o);

#endif
