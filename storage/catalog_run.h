/*
 * storage/catalog_run.h - sorted runs: label pairs with the ids of the streams that have them.
 *
 * The index of a catalog is a few runs, each written once, in the transaction of the segment that
 * brought new streams, and merged into larger ones as they become many: the newest ones, so that
 * the ids of a run all lie behind those of the runs before it.  A run is pages of some 16 KiB, each
 * compressed and sealed, and a directory of their first keys.  A key is {name, NUL, value}, so a
 * label's values stand together, sorted: the postings are also the dictionary.
 */
#ifndef LOGQ_STORAGE_CATALOG_RUN_H
#define LOGQ_STORAGE_CATALOG_RUN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"

#include <stdint.h>

struct catalog;
struct sqlite3_stmt;

enum { CATALOG_RUNS_MAX = 64 };

struct catalog_run {
    uint64_t id, bytes, pages;
};

/* The runs there are, oldest first; at most CATALOG_RUNS_MAX. */
int catalog_run_list(struct catalog *c, struct catalog_run ret[CATALOG_RUNS_MAX], size_t *n,
                     struct err *err);
int catalog_run_drop(struct catalog *c, const struct catalog_run *run, struct err *err);

/* ---- writing; in a transaction ---- */

struct catalog_run_writer {
    struct catalog *c;
    uint64_t id;
    struct buf page, directory, last, sealed;
    uint64_t n_pages, bytes;
};
void catalog_run_begin(struct catalog_run_writer *w, struct catalog *c, uint64_t id);
/* Keys ascend. */
int catalog_run_put(struct catalog_run_writer *w, struct str key, struct str postings,
                    struct err *err);
/* Frees, also after a failure (r < 0, which is then returned). */
int catalog_run_end(struct catalog_run_writer *w, int r, struct err *err);

/* ---- reading ---- */

struct catalog_run_cursor {
    struct catalog *c;
    struct catalog_run run;
    struct arena *directory_arena, *page_arena; /* owned */
    VEC(struct str) first;                      /* key of each page */
    uint64_t page;                              /* the next to be opened */
    struct str left;                            /* of the open page */
    struct buf key_buf;
    struct str key, postings; /* where it stands; valid until it moves */
    bool done;
};
/* Stands at the first key after catalog_run_seek.  catalog_run_close whatever the outcome. */
int catalog_run_open(struct catalog_run_cursor *cur, struct catalog *c,
                     const struct catalog_run *run, struct err *err);
void catalog_run_close(struct catalog_run_cursor *cur);
/* Go to the first key at or behind `key`; cur->done when there is none. */
int catalog_run_seek(struct catalog_run_cursor *cur, struct str key, struct err *err);
int catalog_run_next(struct catalog_run_cursor *cur, struct err *err);

/* All runs as one: keys ascend, equal ones of several runs come one after the other, oldest first.
 */
struct catalog_runs {
    struct catalog_run_cursor cur[CATALOG_RUNS_MAX];
    size_t n;
    size_t at; /* the cursor that stands lowest; SIZE_MAX: the end */
};
int catalog_runs_open(struct catalog_runs *rs, struct catalog *c, const struct catalog_run *runs,
                      size_t n, struct err *err);
void catalog_runs_close(struct catalog_runs *rs);
int catalog_runs_seek(struct catalog_runs *rs, struct str key, struct err *err);
int catalog_runs_next(struct catalog_runs *rs, struct err *err);

#endif
