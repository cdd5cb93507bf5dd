/*
 * storage/wal_entry.h - what a body of the WAL says: a payload, and all that was decided about it.
 *
 * Bytes: docs/formats/wal.md.  Reading is a pure function of the bytes.
 */
#ifndef LOGQ_STORAGE_WAL_ENTRY_H
#define LOGQ_STORAGE_WAL_ENTRY_H

#include "base/buf.h"
#include "storage/dedup.h"
#include "storage/store.h"

enum { WAL_ENTRY_DECIDED_MAX = 64 << 10, WAL_ENTRY_PARTS_MAX = 1 << 16 };

struct wal_entry {
    struct store_payload payload; /* borrowed from the body */
    uint64_t tenant_id;
    uint64_t first_seq;
    uint32_t n_records; /* after the records of dropped parts are gone */
    uint32_t n_parts;   /* of the payload, dropped ones too */
    bool has_dedup;
    uint8_t dedup[DEDUP_KEY];
    struct str parts; /* for wal_entry_part */
};

/* Append everything but payload.bytes and the parts; then each part; then the payload's bytes
 * follow. */
void wal_entry_write(struct buf *b, const struct wal_entry *e);
void wal_entry_write_part(struct buf *b, const struct record_part *part);

/* ERR_CORRUPT when the bytes are no entry. */
int wal_entry_read(struct str body, struct wal_entry *ret, struct err *err);
/* The next part of e->parts (start with a copy of it): file id (borrowed), start, end, dropped,
 * maybe_twice.  1: no more. */
int wal_entry_part(struct str *rest, struct record_part *ret);

#endif
