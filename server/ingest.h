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

/* Loki's rules (docs/logql.md): the label service_name, and the level of a line. */
struct str ingest_service_name(const struct labels *l);

enum ingest_level {
    LEVEL_UNKNOWN,
    LEVEL_TRACE,
    LEVEL_DEBUG,
    LEVEL_INFO,
    LEVEL_WARN,
    LEVEL_ERROR,
    LEVEL_CRITICAL,
    LEVEL_FATAL,
    INGEST_LEVELS
};
enum ingest_level ingest_level(const struct labels *stream, const struct label *attr, size_t n_attr,
                               struct str line);
/* Its halves: what stream and attributes say, and, if that is LEVEL_UNKNOWN, what the line does. */
enum ingest_level ingest_level_given(const struct labels *stream, const struct label *attr,
                                     size_t n_attr);
enum ingest_level ingest_level_of_line(struct str line);
struct str ingest_level_name(enum ingest_level level);

#endif
