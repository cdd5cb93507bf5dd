/*
 * storage/catalog_blob.h - a catalog's own blobs: compressed, then sealed.
 *
 * {12 bytes random nonce, AES-256-GCM of {u8 codec (0 plain, 1 zstd), bytes}}, with {u8 kind,
 * number u64 le} as associated data, so that no blob opens in another's place.
 */
#ifndef LOGQ_STORAGE_CATALOG_BLOB_H
#define LOGQ_STORAGE_CATALOG_BLOB_H

#include "base/arena.h"
#include "base/buf.h"
#include "storage/crypt.h"

enum catalog_blob_kind {
    CATALOG_CHUNK = 1,
    CATALOG_PAGE = 2,
    CATALOG_DIRECTORY = 3,
    CATALOG_SUMMARY = 4
};
enum { CATALOG_BLOB_MAX = 64 << 20 }; /* of plain bytes */

struct catalog_blob_id {
    enum catalog_blob_kind kind;
    uint64_t number;
};

/* Replace what `ret` holds. */
int catalog_blob_seal(struct crypt *c, struct catalog_blob_id id, struct str plain, struct buf *ret,
                      struct err *err);
/* *ret lies in `a`.  ERR_CORRUPT. */
int catalog_blob_open(struct crypt *c, struct catalog_blob_id id, struct str sealed,
                      struct arena *a, struct str *ret, struct err *err);

#endif
