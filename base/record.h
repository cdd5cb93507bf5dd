/*
 * base/record.h - THE noun: one log record, and a batch of them.
 *
 * A batch owns its streams, records and their bytes in one arena, and is counted: it is filled by
 * one thread and from its first batch_ref on it is read-only, so many threads may read it (the
 * head, a scan and a rule share one copy).
 */
#ifndef LOGQ_BASE_RECORD_H
#define LOGQ_BASE_RECORD_H

#include "base/arena.h"
#include "base/labels.h"
#include "base/time.h"

struct record {
    ts_ns ts;
    uint64_t seq;             /* 0 until the store has given one */
    struct str line;          /* bytes as the program wrote them */
    const struct label *attr; /* structured metadata, sorted by name; in the batch's arena */
    uint32_t n_attr;
    uint32_t stream; /* index into batch.streams */
};

/* A run of records in a batch that came from bytes [start, end) of one file of the sender: the unit
 * of exactly-once.  A record belongs to the position of its last byte. */
struct record_part {
    struct str file_id; /* drawn once by the sender, at most RECORD_FILE_ID_MAX bytes */
    uint64_t start, end;
    uint32_t first, count; /* records [first, first + count) of the batch; count may be 0 */
    bool maybe_twice;      /* the sender would rather have some of it twice than none of it */
    bool dropped; /* stored before, or refused: these records do not count (set by the store) */
};

enum {
    RECORD_FILE_ID_MAX = 64,
    RECORD_LINE_MAX = 1 << 20, /* longer lines are cut and marked by whoever makes the record */
    RECORD_ATTRS_MAX = 128,    /* per record */
    RECORD_LABELS_MAX = 32,    /* per stream */
    RECORD_LABEL_VALUE_MAX = 2048,
    RECORD_LABEL_NAME_MAX = 1024,
};

struct batch {
    unsigned magic;
#define BATCH_MAGIC 0xba7c41e5u
    struct arena *arena;    /* owned */
    struct labels *streams; /* in the arena */
    uint32_t n_streams, cap_streams;
    struct record *records; /* in the arena */
    uint32_t n_records, cap_records;
    struct record_part *parts; /* in the arena; may be none */
    uint32_t n_parts, cap_parts;
    ts_ns min_ts, max_ts; /* of records; meaningless while there are none */
    size_t line_bytes;    /* sum of line lengths */
    _Atomic unsigned refs;
    /* Private to record.c: how batch_stream finds a stream again. */
    struct hash128 *hashes; /* of streams; in the arena */
    uint32_t *slots;        /* hash table of stream index + 1; in the arena */
    uint32_t n_slots;
};

/* An empty batch with one reference; everything in it is charged to `budget` (may be NULL),
 * `max_bytes` as in arena_new. */
struct batch *batch_new(struct mem_budget *budget, size_t max_bytes);
struct batch *batch_ref(struct batch *b);
void batch_unref(struct batch **pb); /* the last one frees; *pb may be NULL; sets it to NULL */

/* Index of the stream with these labels (sorted, copied in), found again if it is there already.
 * ERR_LIMIT or ERR_NOMEM. */
int batch_stream(struct batch *b, const struct labels *l, uint32_t *ret, struct err *err);

/* Append a record.  `line` and `attr` are NOT copied: they must lie in b->arena or outlive the
 * batch. Sort attributes first (labels_sort).  ERR_LIMIT or ERR_NOMEM. */
int batch_add(struct batch *b, const struct record *rec, struct err *err);

/* Append a part; file_id is copied. */
int batch_add_part(struct batch *b, const struct record_part *part, struct err *err);

/* Bytes the batch holds in memory, for head accounting. */
size_t batch_held(const struct batch *b);

#endif
