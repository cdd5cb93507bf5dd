/*
 * collector/bound.h - unix sockets that one process binds and others listen on, one after another.
 *
 * Whoever has bound them keeps them: clients that connect while nobody listens wait.  One thread.
 */
#ifndef LOGQ_COLLECTOR_BOUND_H
#define LOGQ_COLLECTOR_BOUND_H

#include "base/conf.h"

#include <sys/un.h>

/* Its file is ours to remove. */
struct bound {
    struct sockaddr_un at;
    int fd; /* -1: there is none */
};

/* Is it bound to `address`, which may be none of a unix socket? */
bool bound_is(const struct bound *b, struct str address);
/* Close it and remove its file, as far as we may: the next who binds there finds it stale. */
void bound_remove(struct bound *b);
/* v[i] becomes the one that is bound to want.v[i], wherever among the `n` it was, or none; what is
 * not wanted any more is removed.  want.n may be beyond n. */
void bound_arrange(struct bound *v, size_t n, struct conf_strs want);

#endif
