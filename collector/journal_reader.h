/*
 * collector/journal_reader.h - follows the journal and tells its entries to the worker: the work of
 * a process of its own (journal_process.h).
 *
 * The worker says where to begin; then entries go one way only, and whoever cannot take them does
 * not read: the journal is the buffer.  Entries are told with their cursors, the first one again
 * where it began; which of them it has already is the worker's to know.
 *
 * Entries of containers are told, those with CONTAINER_ID_FULL or CONTAINER_NAME, and those that
 * have one of `matches`.  All entries are looked at, so the place in the journal is known also
 * where nothing was told for a long time.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_READER_H
#define LOGQ_COLLECTOR_JOURNAL_READER_H

#include "base/conf.h"
#include "collector/journal_pages.h"
#include "collector/module/journal_module.h"

enum journal_since { JOURNAL_SINCE_NOW, JOURNAL_SINCE_BOOT, JOURNAL_SINCE_ALL };

struct journal_reader_options {
    const struct journal_module *module;
    struct journal *journal;  /* open */
    int channel;              /* a stream socket to the worker, blocking */
    int since;                /* enum journal_since: where to begin when the worker does not say */
    struct conf_strs matches; /* FIELD=value */
    size_t max_line;
    struct journal_pages *pages; /* NULL: all stays mapped that was read */
};

/* Until the worker is gone or says anything more (0), or the journal cannot be read (ERR_IO ...).
 * ERR_CORRUPT: what the worker said is no beginning. */
int journal_reader_run(const struct journal_reader_options *opt, struct err *err);

/* Can something be a match: FIELD=value? */
bool journal_reader_is_match(struct str s);

#endif
