/*
 * server/descriptors.h - how many file descriptors connections may have.
 *
 * Whoever reaches a port opens connections, and each is a descriptor before anybody knows who it
 * is.  The store needs some for every file it writes: what connections took of those would stop
 * pushes.
 */
#ifndef LOGQ_SERVER_DESCRIPTORS_H
#define LOGQ_SERVER_DESCRIPTORS_H

/* Connections that each of so many listeners may have when the process may have `limit`
 * descriptors: at least one, for the store keeps a quarter (128 to 2,048).  Pure. */
unsigned descriptors_share_of(unsigned long long limit, unsigned listeners);

/* The same for this process, whose limit is raised as far as it may be.  At the start. */
unsigned descriptors_share(unsigned listeners);

#endif
