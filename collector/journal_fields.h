/*
 * collector/journal_fields.h - the fields of a journal's entry that are told (journal_frame.h).
 *
 * An entry names its fields by where they stand in the file, and libsystemd looks at one after the
 * other to find one by its name.  So those of an entry that is wanted are taken as they come, in
 * one pass.  Whether it is, is asked by name: that unpacks no field of others, which may be a core
 * dump.  Where a field cannot be read the pass ends, and what is left is asked for by name, too: of
 * fields whose name can be read it may have been one that is not told.  For one thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_FIELDS_H
#define LOGQ_COLLECTOR_JOURNAL_FIELDS_H

#include "base/conf.h"
#include "collector/journal_frame.h"
#include "collector/module/journal_module.h"

/* Of an entry, beside those that are told: _SOURCE_REALTIME_TIMESTAMP. */
enum { JOURNAL_SOURCE_TIME = JOURNAL_FIELDS, JOURNAL_FIELDS_ALL };
enum { JOURNAL_FIELD_NAME_MAX = 64 }; /* bytes, as journald has it */

struct journal_fields {
    struct buf values;
    struct {
        size_t at, n; /* in `values` */
        size_t total; /* bytes before it was cut */
        bool is;      /* there is one; of several the first in the entry */
    } v[JOURNAL_FIELDS_ALL];
    uint8_t first[JOURNAL_FIELD_NAME_MAX + 2]; /* field with so long a name, '=' counted; 0: none */
    uint8_t next[JOURNAL_FIELDS_ALL];          /* another one */
    bool is_match;   /* the first value of one of the fields in `matches` is what they want */
    bool is_damaged; /* one that is told cannot be read, or nobody can say whether it is there */
};

struct journal_fields_options {
    const struct journal_module *module;
    struct journal *journal;
    struct conf_strs matches; /* FIELD=value */
    size_t max_line;          /* of the message; others are cut at JOURNAL_VALUE_MAX */
};

void journal_fields_init(struct journal_fields *f);
void journal_fields_fini(struct journal_fields *f);

/* Those of the entry the journal has just come to; of one that is not wanted not all. */
void journal_fields_read(struct journal_fields *f, const struct journal_fields_options *opt);

/* Of a container, or a match? */
bool journal_fields_are_wanted(const struct journal_fields *f);

/* A view until the next read; p == NULL: there is none. */
struct str journal_fields_get(const struct journal_fields *f, unsigned field);

#endif
