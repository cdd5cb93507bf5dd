/*
 * server/ingest.h - bytes as received plus decisions in, record batch out.
 *
 * Pure: no configuration, no clock, no state.  A replay of the WAL calls the same function on the
 * same payload and gets the same records (storage/store.h, store_decode_fn).  Whatever depends on
 * configuration, certificate or time is decided before and travels in payload.decided and
 * payload.received.
 */
#ifndef LOGQ_SERVER_INGEST_H
#define LOGQ_SERVER_INGEST_H

#include "base/buf.h"
#include "storage/store.h"

enum ingest_kind {                     /* store_payload.kind; append only: they are in WAL files */
                   INGEST_FORWARD = 1, /* one Forward message */
                   INGEST_PUSH_JSON = 2,  /* body of Loki's push API, JSON, uncompressed */
                   INGEST_IMPORT = 3,     /* lines of exact.h */
                   INGEST_PUSH_PROTO = 4, /* body of Loki's push API, protobuf, uncompressed */
};

/* What was decided about a payload; encoded as a small versioned JSON object. */
struct ingest_decided {
    struct str host;      /* foreign Forward: label `host` */
    struct labels forced; /* stream labels that overrule what the sender says */
    bool may_have_parts;  /* our collector: option `lq` counts; else it is ignored */
    size_t payload_bytes; /* decompression limit that held */
};
void ingest_decided_pack(const struct ingest_decided *d, struct buf *out);

/* store_decode_fn; `arg` is a struct mem_budget * or NULL.  ERR_CORRUPT (bytes), ERR_LIMIT,
 * ERR_NOMEM. */
int ingest_decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err);

/* What a push brought and is not in the batch, for its labels or its metadata: streams and entries
 * that are sound as bytes, but cannot be stored.  The same of the same payload, as the batch: what
 * is refused in another way one day takes another kind of payload. */
enum { INGEST_REFUSALS_SHOWN = 3 };
struct ingest_refused {
    uint64_t entries;
    uint64_t n_why;                        /* reasons; of a stream once for all its entries */
    struct err why[INGEST_REFUSALS_SHOWN]; /* the first of them */
};
/* In one line: how many of how many, and the first reasons. */
void ingest_refused_print(const struct ingest_refused *r, uint64_t stored, struct buf *out);

/* The same, and what it saw of times and left out (metrics are the caller's: a replay counts
 * nothing).  `refused` may be NULL. */
struct ingest_times;
int ingest_decode_times(void *arg, const struct store_payload *p, struct batch **ret,
                        struct ingest_times *times, struct ingest_refused *refused,
                        struct err *err);

#endif
