/*
 * collector/collector.h - the program as an object: everything wired up on one loop.
 *
 *     collector_open -> loop_run -> collector_drain (on a signal) -> loop stops -> collector_free
 */
#ifndef LOGQ_COLLECTOR_COLLECTOR_H
#define LOGQ_COLLECTOR_COLLECTOR_H

#include "collector/config.h"
#include "collector/opener.h"
#include "wire/loop.h"

#include <sys/types.h>

struct collector;

/* For a process that has none of its own. */
struct collector_rights {
    struct opener *opener;  /* borrowed; NULL: what we may ourselves */
    int state_fd;           /* borrowed: state_dir, which need not be within reach by its name */
    dur_ns lock_wait;       /* for a collector that is dying */
    pid_t pid;              /* that the world knows us by */
    size_t max_fds;         /* descriptors that we may have */
    bool go_on;             /* for a worker that died: where we cannot listen we do not */
    int metrics_fd;         /* taken: a unix socket that is bound to metrics.listen; 0: bind it;
                               -1: that cannot be */
    const int *forward_fds; /* taken: for each address of the input forward the same; NULL: none */
};

/* Takes `config` in either case.  Opens the state directory (one collector at a time),
 * the journal, all inputs, and begins to connect.  Without `rights` all is done by this process.
 * Loop thread only. */
int collector_open(struct loop *l, const struct collector_rights *rights, struct config *config,
                   struct collector **ret, struct err *err);

/* Use a new configuration, which it takes in either case: globs, events, TLS files, labels of files
 * found from now on. What concerns the journal, the window and the listeners stays until a restart,
 * and the log says so.  An error changes nothing. */
int collector_reload(struct collector *c, struct config *config, struct err *err);

/* `fd`, which it takes, is a socket to a process that reads the journal (input_journal.h). */
void collector_set_journal(struct collector *c, int fd);

/* Read what is there, for half of `timeout` at most and only while there is a server to take it;
 * then `done(arg)` when all is acknowledged, or at the end of `timeout`. */
void collector_drain(struct collector *c, dur_ns timeout, loop_fn *done, void *arg);

/* "127.0.0.1:41873"; NULL when metrics.listen is empty. */
const char *collector_metrics_address(const struct collector *c);

void collector_free(struct collector **pc);

#endif
