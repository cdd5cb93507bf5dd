/*
 * collector/input_journal.h - what containers have logged to the journal, into a spool.
 *
 * A process of its own follows the journal and tells its entries (journal_process.h); here they are
 * chosen, joined, rid of secrets and written down, each with its cursor: so after a kill reading
 * goes on behind the last one that is written.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_INPUT_JOURNAL_H
#define LOGQ_COLLECTOR_INPUT_JOURNAL_H

#include "collector/source.h"
#include "collector/spool.h"
#include "wire/loop.h"

struct input_journal;

enum { INPUT_JOURNAL_SPOOL_MAX = 64 << 20 }; /* bytes that are not acknowledged; then it waits */

struct input_journal_options {
    struct loop *loop;
    struct source_set *set; /* borrowed: labels and what is done to lines */
    const struct config_source *conf;
    struct spool *own; /* gap records */
    int state_fd;
};

/* Open the spool and find the place in it.  Nothing is read before input_journal_attach. */
int input_journal_open(const struct input_journal_options *opt, struct input_journal **ret,
                       struct err *err);
/* `fd`, which it takes, is a stream socket to a process that reads the journal; one that was there
 * before is left. */
void input_journal_attach(struct input_journal *in, int fd);
void input_journal_free(struct input_journal **pin);

#endif
