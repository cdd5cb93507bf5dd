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

/* The same, and what it saw of times (metrics are the caller's: a replay counts nothing). */
struct ingest_times;
int ingest_decode_times(void *arg, const struct store_payload *p, struct batch **ret,
                        struct ingest_times *times, struct err *err);

/* Loki's rule for the label service_name (docs/logql.md); the level's is base/level.h. */
struct str ingest_service_name(const struct labels *l);

#endif
