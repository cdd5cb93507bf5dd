/*
 * storage/catalog_index.h - the streams of a catalog: their ids, their labels, and which of them a
 * selector means.
 *
 *     catalog_streams.c   ids by hash of the labels; labels in chunks of consecutive ids
 *     catalog_index.c     label pairs -> ids (catalog_run.h), and what is asked of them
 *
 * An exact stream or one label's values cost a few pages, however many streams there are; only the
 * labels of ids that are left are opened.  Patterns and negations run over a label's values.
 */
#ifndef LOGQ_STORAGE_CATALOG_INDEX_H
#define LOGQ_STORAGE_CATALOG_INDEX_H

#include "base/match.h"
#include "storage/catalog.h"
#include "storage/idset.h"

#define CATALOG_INDEX_SCHEMA                                                                       \
    "CREATE TABLE IF NOT EXISTS stream_ids("                                                       \
    " hash BLOB PRIMARY KEY, id INTEGER NOT NULL) STRICT, WITHOUT ROWID;"                          \
    "CREATE TABLE IF NOT EXISTS stream_chunks("                                                    \
    " first INTEGER PRIMARY KEY, n INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"                  \
    "CREATE TABLE IF NOT EXISTS index_runs("                                                       \
    " id INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, pages INTEGER NOT NULL,"                     \
    " directory BLOB NOT NULL) STRICT;"                                                            \
    "CREATE TABLE IF NOT EXISTS index_pages("                                                      \
    " id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;"

/* ---- writing; in a transaction ---- */

/* Append the ids of these streams, 32-bit little-endian, in their order; new ones get one, and come
 * into the index.  ERR_LIMIT. */
int catalog_streams_add(struct catalog *c, const struct segment_stream *streams, size_t n,
                        struct buf *ids, struct err *err);
/* Streams of consecutive ids from `first` on come into the index; NULL: none has that id. */
int catalog_index_add(struct catalog *c, const struct segment_stream *const *streams, size_t n,
                      uint32_t first, struct err *err);

/* Forget the streams that no segment holds any more, labels and index with them (a transaction of
 * its own; blocking).  *ret: how many. */
int catalog_streams_sweep(struct catalog *c, size_t *ret, struct err *err);

/* ---- reading ---- */

/* Ids are below it. */
int catalog_streams_end(struct catalog *c, uint32_t *ret, struct err *err);
/* Each stream of `ids`, ascending; as catalog_streams. */
int catalog_streams_of(struct catalog *c, const struct idset *ids, catalog_stream_fn *fn, void *arg,
                       struct err *err);

struct catalog_selector {
    const struct matcher *matchers;
    size_t n_matchers;
    const struct idset *within; /* no others; NULL: all */
};

/* The streams that match; as catalog_streams. */
int catalog_select(struct catalog *c, const struct catalog_selector *sel, catalog_stream_fn *fn,
                   void *arg, struct err *err);

/* The names of labels (name.n == 0), or the values of one, that streams of the selector have:
 * ascending, each once.  Non-zero from fn ends the walk and is returned. */
typedef int catalog_text_fn(void *arg, struct str text, struct err *err);
int catalog_labels(struct catalog *c, const struct catalog_selector *sel, struct str name,
                   catalog_text_fn *fn, void *arg, struct err *err);

#endif
