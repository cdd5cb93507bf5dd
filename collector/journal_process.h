/*
 * collector/journal_process.h - the process that reads the journal, and what it may.
 *
 * libsystemd opens the journal's files itself, also those that rotation makes later, and parses
 * what containers have logged.  So it gets a process of its own: it is forked by the parent
 * (priv.h), keeps the right to read files of others where Landlock leaves it the journal's
 * directories alone (else it keeps none, and the files' groups decide), and a list of system calls
 * without network.  What it finds goes to the worker over a socket (journal_reader.h).
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_PROCESS_H
#define LOGQ_COLLECTOR_JOURNAL_PROCESS_H

#include "collector/config.h"

#include <sys/types.h>

/* What the child of `parent` does: read for input `s` until the worker at the other end of
 * `channel` is gone.  Returns its exit code. */
int journal_process_run(const struct config *c, const struct config_source *s, pid_t parent,
                        int channel);

#endif
