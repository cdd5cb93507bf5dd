/*
 * collector/priv.h - one collector, three processes, and which of them may do what.
 *
 *     parent    signals; restarts the others.  Its user is privileges.user, its capability
 *               CAP_DAC_READ_SEARCH.
 *     files     opens files by policy.h and hands over descriptors, with the parent's rights
 *               (priv_files.h).  Reads nothing of what it opens.
 *     gate      connects to engines' sockets (gate.h).  Only where such are configured.
 *     journal   reads the journal for the worker (journal_process.h).  Only where that is
 * configured. worker    everything else: reads, decodes, ships, listens.  The same user, no
 * capability, a list of system calls, files by descriptor and in state_dir only (sandbox.h).
 *
 * Why the same user: a death signal is delivered only where kill would be, and the worker has to
 * die at once with its parent, or it would go on with a lock that the next one waits for.
 * Why not root without capabilities: root's files would still be its own.
 *
 * Started by somebody who is not root there is less to give up; the processes are the same.
 */
#ifndef LOGQ_COLLECTOR_PRIV_H
#define LOGQ_COLLECTOR_PRIV_H

#include "collector/config.h"
#include "collector/opener.h"

#include <sys/types.h>

/* What the worker finds when it begins. */
struct priv_worker {
    const char *path;      /* of the configuration */
    struct config *config; /* the worker's to free */
    struct opener *opener; /* freed after it returns */
    int orders;            /* a channel: struct priv_order from the parent; its end is the end */
    int state_fd;
    size_t max_fds; /* descriptors that it may have */
    int metrics_fd; /* as in struct collector_rights, as are these: */
    int forward_fds[CONFIG_LISTEN_MAX];
    pid_t parent;
    uint64_t restarts; /* workers that died before this one */
};
/* Everything that needs no rights.  Returns the exit code. */
typedef int priv_worker_fn(const struct priv_worker *w);

enum priv_order_type {
    PRIV_STARTED,       /* worker to parent: it runs; from now on its death is no failed start */
    PRIV_STOP,          /* parent to worker, with the signal; again: at once */
    PRIV_RELOAD,        /* parent to worker, with a descriptor of the new configuration's text */
    PRIV_RELOADED,      /* worker to parent: it works by that now, and so may the next worker */
    PRIV_RELOAD_FAILED, /* either: what was to be loaded was wrong; the worker counts it */
    PRIV_JOURNAL,       /* parent to worker, with a socket to a process that reads the journal */
};
struct priv_order {
    uint32_t type;
    int32_t signal;
};

/* Run `worker` until it ends or a signal ends it.  Takes `config`, which was read from `path`.
 * Returns the program's exit code; in the worker's process it returns too. */
int priv_run(const char *path, struct config *config, priv_worker_fn *worker);

#endif
