/*
 * storage/backup_files.h - files from one directory to another, with their hashes, and the MANIFEST
 * of what is there.
 *
 * MANIFEST: "logq backup 1", then for each file "{sha256|root} HEX BYTES PATH", then "end COUNT
 * HEX", the SHA-256 of all before that line.  `root` is a segment's Merkle root, which its bytes
 * must give; so backing up does not read what is only linked.
 */
#ifndef LOGQ_STORAGE_BACKUP_FILES_H
#define LOGQ_STORAGE_BACKUP_FILES_H

#include "base/buf.h"
#include "storage/crypt.h"

#include <stdbool.h>

enum { BACKUP_MANIFEST_MAX = 1 << 30, BACKUP_PATH_MAX = 128 };

struct backup_file {
    char path[BACKUP_PATH_MAX];
    uint64_t bytes;
    bool is_root;
    uint8_t hash[CRYPT_SHA256];
};

/* At most `limit` bytes of a file into a new one, durable; *bytes and, unless NULL, the hash of
 * what was copied.  ERR_GONE: there is none. */
struct backup_copy {
    int from_dir, to_dir;
    const char *from, *to;
    uint64_t limit;
};
int backup_files_copy(const struct backup_copy *c, uint64_t *bytes, uint8_t *hash, struct err *err);
int backup_files_hash(int dir, const char *path, uint64_t *bytes, uint8_t ret[CRYPT_SHA256],
                      struct err *err);

void backup_manifest_begin(struct buf *b);
void backup_manifest_add(struct buf *b, const struct backup_file *f);
void backup_manifest_end(struct buf *b, uint64_t count);

/* Each file of a manifest; ERR_CORRUPT when it is none or not whole. */
typedef int backup_file_fn(void *arg, const struct backup_file *f, struct err *err);
int backup_manifest_read(struct str text, backup_file_fn *fn, void *arg, struct err *err);

#endif
