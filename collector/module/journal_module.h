/*
 * collector/module/journal_module.h - what logq-collector-journal.so has to offer: libsystemd's
 * sd-journal behind pointers.
 *
 * Program and module are built together and installed together; the version is there to say so
 * when they are not.  For one thread of the process that reads the journal.
 */
#ifndef LOGQ_COLLECTOR_MODULE_JOURNAL_MODULE_H
#define LOGQ_COLLECTOR_MODULE_JOURNAL_MODULE_H

#include "base/err.h"
#include "base/str.h"

#define JOURNAL_MODULE_FILE   "logq-collector-journal.so"
#define JOURNAL_MODULE_SYMBOL "logq_journal_module"
enum { JOURNAL_MODULE_VERSION = 3 };

struct journal;

enum journal_seek {
    JOURNAL_SEEK_HEAD, /* in front of the first entry */
    JOURNAL_SEEK_BOOT, /* in front of the first entry of the boot that the last one is of */
    JOURNAL_SEEK_LAST, /* at the last entry; where there is none, as HEAD */
};

/* All but `open` and `next`: 0 or an error, ERR_IO unless it is said. */
struct journal_module {
    unsigned version;
    /* The files in `directory` and the directories in it; NULL: those of this host.  Of an entry's
     * field at least `threshold` bytes can be had.  ERR_GONE: there is no such directory. */
    int (*open)(const char *directory, size_t threshold, struct journal **ret, struct err *err);
    void (*close)(struct journal **pj);
    int (*fd)(struct journal *j, struct err *err); /* readable: call process */
    /* What happened to the files.  1: some came or went. */
    int (*process)(struct journal *j, struct err *err);
    /* LAST: 1 where there is no entry. */
    int (*seek)(struct journal *j, enum journal_seek to, struct err *err);
    /* In front of the entry with this cursor, or, where it is gone, of what comes behind it. */
    int (*seek_cursor)(struct journal *j, const char *cursor, struct err *err);
    /* To the next entry.  1: there is none. */
    int (*next)(struct journal *j, struct err *err);
    /* Of the entry that it is at.  `ret` has `cap` bytes and a NUL at its end. */
    int (*cursor)(struct journal *j, char *ret, size_t cap, struct err *err);
    int (*realtime)(struct journal *j, uint64_t *us, struct err *err);
    /* Its next field as FIELD=value, since `next` from the first on; valid until the next call of
     * anything.  1: there are no more; ERR_IO: it cannot be read, and what follows is not known. */
    int (*field)(struct journal *j, struct str *ret);
    /* The value of its field of that name, valid until the next call of anything.  1: there is
     * none; ERR_IO: nobody can say, for it is damaged, or packed in a way that libsystemd does not
     * know. */
    int (*get)(struct journal *j, const char *field, struct str *ret);
};

/* The one symbol that the module exports. */
extern const struct journal_module logq_journal_module;

#endif
