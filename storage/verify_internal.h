/*
 * storage/verify_internal.h - what the parts of a verification share.
 *
 *     verify.c           the directory: tenants, days, files; offline and beside a running store
 *     verify_segment.c   one segment file
 *     verify_catalog.c   one catalog: rows against segments, spans
 *     verify_streams.c   its streams: ids, labels, index
 *     verify_meta.c      meta.db and keyring.db against the days
 *     verify_wal.c       frames of the WAL
 *
 * What is wrong with the data is told and counted; the functions return below zero only for what
 * ends the whole verification (cancelled, no memory).  One thread.
 */
#ifndef LOGQ_STORAGE_VERIFY_INTERNAL_H
#define LOGQ_STORAGE_VERIFY_INTERNAL_H

#include "storage/catalog.h"
#include "storage/verify.h"

struct arena;
struct db;
struct keyring;
struct map;
struct objstore;
struct sqlite3_stmt;

enum { VERIFY_NAME = 128, VERIFY_PATH = 4096 };

struct verify {
    const struct verify_options *opt;
    verify_report_fn *fn;
    void *arg;
    struct verify_result *ret;
    const char *dir; /* path of DATA */
    int dir_fd;
    struct store *store;     /* NULL: nobody else is there */
    struct keyring *keyring; /* NULL: without keys */
    struct db *keys;         /* keyring.db for reading, when there is one */
    struct db *meta;         /* meta.db for reading, in one transaction; NULL: it cannot be read */
    uint64_t wal_pos;        /* up to which meta.db is true */
    uint64_t wal_end;        /* behind the last good frame of the WAL */
};

/* Tell and count.  block, offset: -1 for none. */
void verify_tell(struct verify *v, enum verify_kind kind, const struct verify_finding *where,
                 const char *fmt, ...) PRINTF_LIKE(4, 5);
/* An error as a finding: ERR_CORRUPT and the like are damage, others could not be checked.
 * Returns `err`'s code when it ends everything, else 0. */
int verify_note(struct verify *v, const struct verify_finding *where, const struct err *err);
int verify_is_cancelled(const struct verify *v, struct err *err);

/* What meta.db says of a day. */
struct verify_meta_row {
    bool found;
    uint64_t state, rows, line_bytes, stored_bytes, segments;
    int64_t min_ts, max_ts, newest_received;
    uint64_t wal_pos; /* for which it is true */
};

/* A day under examination. */
struct verify_seqs;
struct verify_day {
    struct verify *v;
    uint64_t tenant_id;
    int32_t day;
    char dir[64];             /* "tenants/<id>/<day>" */
    char catalog_file[96];    /* relative to DATA */
    struct objstore *objects; /* of its segments */
    bool has_key;
    uint8_t key[CRYPT_KEY];
    struct catalog *catalog;  /* for reading; NULL: there is none that can be read */
    struct verify_seqs *seqs; /* seen so far */
    bool is_stray; /* the segment at hand is not in the catalog: its seqs may be others' */
    uint64_t rows, line_bytes, stored_bytes, segments, applied; /* sums over the catalog */
    int64_t min_ts, max_ts, newest_received;
    bool is_begun;   /* nobody knows of it, and it has no segment: it was being made */
    bool unsure;     /* its catalog is not whole: sums say nothing */
    bool exchanging; /* files of a compaction are still to go: meta.db may not know of it yet */
    struct verify_meta_row row;
};

/* "tenants/.../<uuid>.lqs" */
void verify_segment_file(const struct verify_day *d, const uint8_t *uuid, char ret[VERIFY_NAME]);

/* verify_segment.c: the whole file.  *ret: its footer, with streams when the day has its key; NULL
 * when that cannot be read, which was told. */
int verify_segment(struct verify_day *d, const uint8_t *uuid, struct segment_info **ret,
                   struct err *err);
void verify_seqs_free(struct verify_seqs **ps);

/* A statement without parameters: fn for each row. */
typedef int verify_row_fn(void *arg, struct sqlite3_stmt *st, struct err *err);
int verify_each(struct db *db, const char *sql, verify_row_fn *fn, void *arg, struct err *err);

/* verify_catalog.c: d->catalog, and every segment it has or that lies there. */
int verify_catalog(struct verify_day *d, struct err *err);

/* verify_streams.c.  Labels by id, for comparing with segments: the hash of the labels of each id,
 * 0 for none.  NULL without key, or when they cannot be read. */
struct verify_streams {
    uint64_t *hash; /* owned */
    size_t n;       /* ids are below it */
};
int verify_streams(struct verify_day *d, struct verify_streams *ret, struct err *err);
uint64_t verify_labels_hash(const struct labels *l);

/* verify_meta.c */
int verify_meta_open(struct verify *v, struct err *err);
void verify_meta_close(struct verify *v);
/* d->row, as of now. */
int verify_meta_row(struct verify_day *d, struct err *err);
/* It against what its catalog adds up to. */
void verify_meta_day(struct verify_day *d);
/* Does keyring.db have a key of the day, whether or not it can be unwrapped? */
int verify_meta_key(struct verify *v, uint64_t tenant_id, int32_t day, bool *ret, struct err *err);
/* Rows whose day is not there, and keys of days that were dropped. */
int verify_meta(struct verify *v, struct err *err);

/* verify_wal.c: also sets v->wal_end. */
int verify_wal(struct verify *v, struct err *err);

#endif
