/*
 * storage/backup.h - DOOR: a data directory as of one instant, elsewhere, and back.
 *
 * A backup is a directory like DATA, without keys: meta.db and catalogs as SQLite copies, segments
 * as hard links where that is possible, else copies, the WAL up to what was durable; MANIFEST, made
 * last, names each with its size and hash.  Without it a backup is none.  The keyring is copied
 * only when asked, elsewhere: who destroys keys later destroys them for every backup that has none.
 *
 * It is consistent as a crash would leave it, and opened by replay: first the WAL is kept from
 * being trimmed, replaced segments from being removed and days from being dropped; then come
 * meta.db (true up to M), each catalog (applied A >= M), its segments, and at last the WAL, which
 * holds all past M.  So every record acknowledged before is there once.
 */
#ifndef LOGQ_STORAGE_BACKUP_H
#define LOGQ_STORAGE_BACKUP_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

struct store;
struct verify_result;

struct backup_options {
    const char *to;            /* made if absent, else empty */
    const char *keyring_to;    /* a directory outside of it, for keyring.db; NULL: not copied */
    const atomic_bool *cancel; /* may be NULL */
};

struct backup_result {
    uint64_t files, bytes, linked_bytes; /* of bytes, how many are hard links */
    uint64_t wal_pos;                    /* meta.db's */
};

/* Of a store that goes on working (blocking).  ERR_EXISTS: `to` is not empty; ERR_INVALID: the
 * directories lie in each other, or in DATA; ERR_CANCELLED; ERR_IO (sys ENOSPC).  What a failure
 * leaves has no MANIFEST. */
int backup_store(struct store *s, const struct backup_options *opt, struct backup_result *ret,
                 struct err *err);
/* Of a directory that no server has.  ERR_EXISTS also when one has. */
int backup_dir(const char *dir, const struct backup_options *opt, struct backup_result *ret,
               struct err *err);

/*
 * Make `data` (absent or empty) from the backup `from` and the file `keyring` (NULL: none, then
 * nothing can be read): sizes and hashes of MANIFEST are checked, then the structure of what was
 * copied (verify.h; *verified), then it appears as a whole.  ERR_CORRUPT: the backup is damaged or
 * not complete; ERR_EXISTS; ERR_IO.
 */
struct backup_restore {
    const char *from, *keyring, *data;
};
int backup_restore(const struct backup_restore *opt, struct backup_result *ret,
                   struct verify_result *verified, struct err *err);

#endif
