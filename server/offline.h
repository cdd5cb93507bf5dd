/*
 * server/offline.h - `logq-server verify`: work on the data directory of a server that does not
 * run.
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

#endif
