/*
 * server/ingest_build.h - what all inputs share: limits, level, claimed times; a record into a
 * batch.
 *
 * Only for ingest*.c.  One thread.
 */
#ifndef LOGQ_SERVER_INGEST_BUILD_H
#define LOGQ_SERVER_INGEST_BUILD_H

#include "base/level.h"
#include "server/ingest.h"
#include "server/peers.h"

enum {
    INGEST_FUTURE_MAX_S = 600,
    INGEST_LATE_S = 3600, /* before the day of receipt began */
    INGEST_OWN_ATTRS = 4, /* detected_level, attributes_dropped, truncated, ts_claimed */
    INGEST_ATTR_VALUE_MAX = 64 << 10
};

struct ingest_build {
    struct batch *b;
    ts_ns received;
    struct ingest_times times;
    struct ingest_refused refused;
};

/* Index of the stream with these labels (sorted in place): cut to the limits, `forced` put over
 * them, service_name added.  `v` has room for forced->n + 1 more than `n`. */
int ingest_build_stream(struct ingest_build *ib, struct label *v, size_t n,
                        const struct labels *forced, uint32_t *ret, struct err *err);

/* A stream and the attributes that many of its records share.  Records that have only these share
 * one array per level: most of a chunk of our collector does.  Zero it, set the first three. */
struct ingest_shared {
    uint32_t stream;
    const struct label *attr; /* constant attributes; texts live as long as the batch */
    size_t n_attr;
    const struct label *made[LEVEL_COUNT]; /* private, as the rest */
    uint32_t n_made[LEVEL_COUNT];
    bool is_asked;
    enum level given; /* what they say themselves, once they were asked */
};

struct ingest_item {
    ts_ns ts;
    struct str line;          /* lives as long as the batch */
    const struct label *attr; /* of this record alone; any order; texts live as long as the batch */
    size_t n_attr;
};
int ingest_build_add(struct ingest_build *ib, struct ingest_shared *shared,
                     const struct ingest_item *item, struct err *err);

/* A stream or an entry is left out, for this reason; its entries are counted in ib->refused. */
void ingest_build_refuse(struct ingest_build *ib, const struct err *why);

int ingest_forward(struct ingest_build *ib, const struct store_payload *p,
                   const struct ingest_decided *d, struct err *err);
int ingest_push(struct ingest_build *ib, const struct store_payload *p,
                const struct ingest_decided *d, struct err *err);
int ingest_push_proto(struct ingest_build *ib, const struct store_payload *p,
                      const struct ingest_decided *d, struct err *err);
/* Labels of a pushed stream, checked, as ingest_build_stream; `offset` of it in the body.  1: the
 * stream is refused.  l->v is the caller's again afterwards, and has room for ingest_push_labels of
 * them. */
size_t ingest_push_labels(const struct ingest_decided *d);
int ingest_push_stream(struct ingest_build *ib, const struct ingest_decided *d, struct labels *l,
                       size_t offset, uint32_t *ret, struct err *err);
int ingest_import(struct ingest_build *ib, const struct store_payload *p, struct err *err);

#endif
