/*
 * storage/verify.h - DOOR: is everything in a data directory as it was written?
 *
 * Every byte of every segment is covered by a hash that is computed again, every row of a catalog
 * is compared with the segment that it speaks of, every day's totals in meta.db with its catalog,
 * every frame of the WAL with its checksum.  With the keys the contents are opened, too: frames,
 * plans, times, sequence numbers, labels and their index.  Without them whatever needs none is
 * checked, also after retention has destroyed them.
 *
 * Nothing is repaired.  What is found is told one by one; the result counts.  Which marks carry no
 * evidence (what compaction plans for a segment) stands in docs/formats/catalog.md.
 */
#ifndef LOGQ_STORAGE_VERIFY_H
#define LOGQ_STORAGE_VERIFY_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mem_budget;
struct store;

enum verify_kind {
    VERIFY_DAMAGE,    /* bytes or rows are not what they were: damage, or somebody's hand */
    VERIFY_UNCHECKED, /* could not be read or decided now */
    VERIFY_NOTE,      /* what a crash leaves and the next start clears */
};

struct verify_finding {
    enum verify_kind kind;
    const char *file; /* relative to the data directory */
    int64_t block;    /* index; -1: about none */
    int64_t offset;   /* of the byte in the file where the damaged part begins; -1: about none */
    const char *text;
};
/* What it points to is valid during the call. */
typedef void verify_report_fn(void *arg, const struct verify_finding *f);

/* Stored bytes by what they are for; all but the total add up to it.  Frames count with their
 * entry in the directory and their tag. */
struct verify_bytes {
    uint64_t total;
    uint64_t time;     /* KEYS frames: times, seqs, streams in order */
    uint64_t lines;    /* plans and data of lines; without keys those of attributes, too */
    uint64_t attrs;    /* the same of attributes */
    uint64_t rollup;   /* counts by stream, minute and level, and by template */
    uint64_t filters;  /* which blocks an id may be in */
    uint64_t overhead; /* headers, footers, trailers */
    uint64_t catalog;  /* catalog.db and its journal */
};

struct verify_result {
    bool with_keys;
    uint64_t damage, unchecked, notes; /* findings */
    uint64_t partitions, segments, blocks, frames, rows;
    uint64_t wal_files, wal_frames, wal_torn_bytes;
    struct verify_bytes bytes;
};

struct verify_options {
    const char *dir;           /* DATA of a stopped server */
    const char *master_key;    /* path of its file; NULL: without keys */
    struct mem_budget *budget; /* may be NULL */
    const atomic_bool *cancel; /* may be NULL */
};

/*
 * Check a directory that nobody writes to (blocking); its lock is held meanwhile, if it can be
 * taken at all.  0: it was looked through, *ret says what came of it.  ERR_EXISTS: a server has it;
 * ERR_GONE: no such directory; ERR_DENIED, ERR_INVALID: the master key; ERR_CANCELLED.
 */
int verify_structure(const struct verify_options *opt, verify_report_fn *fn, void *arg,
                     struct verify_result *ret, struct err *err);

/* The same of a store that goes on working (blocking): what was in segments when it began, and what
 * was durable in the WAL.  opt->dir and master_key are not used. */
int verify_store(struct store *s, const struct verify_options *opt, verify_report_fn *fn, void *arg,
                 struct verify_result *ret, struct err *err);

#endif
