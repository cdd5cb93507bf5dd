/*
 * collector/chunk.h - records of many files on their way into one Forward message.
 *
 * Entries are packed straight into the payload as they are decoded; parts say which bytes of which
 * file they came from.  The same parts and records make the same message and the same token, after
 * a restart too.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_CHUNK_H
#define LOGQ_COLLECTOR_CHUNK_H

#include "base/arena.h"
#include "collector/checkpoint.h"
#include "wire/codec.h"
#include "wire/forward.h"
#include "wire/forward_parse.h"

enum {
    CHUNK_PARTS_MAX = 500, /* full from there on: one turn more stays below FORWARD_PARTS_MAX */
    CHUNK_SLACK = 8 << 20, /* one record beyond the wanted size */
    CHUNK_TOKEN_BYTES = 25,
};

struct chunk_options {
    size_t bytes;      /* of payload: worth sending from there on */
    size_t bytes_busy; /* full from there on; 0: as `bytes` */
    enum codec codec;
    int level;
};

/* Records of a file that a rule dropped. */
struct chunk_drop {
    struct checkpoint_file *file;
    char rule[CHECKPOINT_NAME_MAX];
    uint64_t count, bytes;
};

/* Labels and attributes of a file, in one block, counted: a chunk that is being filled may outlive
 * what its file is called. */
struct chunk_names {
    unsigned refs;
    struct labels labels, attrs;
};
void chunk_names_unref(struct chunk_names **pn); /* the last one frees; *pn may be NULL */

struct chunk {
    unsigned magic;
#define CHUNK_FILLING_MAGIC 0x9a7cc4b2u
    struct chunk_options opt;
    struct buf message; /* head, then the payload: what is sent uncompressed is never copied */
    size_t head;
    uint64_t entries;
    uint64_t dropped;    /* bytes that it would have more without rules */
    uint64_t named;      /* bytes of labels and attributes of all parts, rather more than less */
    struct arena *arena; /* labels of single records */
    VEC(struct checkpoint_part) parts;
    VEC(struct forward_part) wire; /* the same parts as they are sent */
    VEC(struct chunk_drop) drops;
    VEC(struct chunk_names *) names; /* that `wire` refers to */
    struct codec_writer *codec;
    struct buf packed;
    uint64_t next;    /* the pipeline's, for chunk_pack: forward_about.h; 0: not said */
    bool maybe_twice; /* as well: another server may have stored it */
};

struct chunk *chunk_new(const struct chunk_options *opt);
void chunk_free(struct chunk **pc);

void chunk_clear(struct chunk *c);
bool chunk_is_empty(const struct chunk *c); /* no part yet */
/* Labels and attributes count in both: who names a log must not make a message that is too large.
 */
bool chunk_is_worth(const struct chunk *c); /* need not wait for more */
bool chunk_is_full(const struct chunk *c);  /* what rules dropped counts: see chunk_add_drop */
bool chunk_is_over(const struct chunk *c);

/* Append an entry; it belongs to the part that is added next.  Nothing is kept of `fields`.  Beyond
 * all bounds (only a chunk that is built again with other options can grow so) nothing is added any
 * more: chunk_is_over, until chunk_back or _clear. */
void chunk_add_entry(struct chunk *c, ts_ns ts, const struct label *fields, size_t n);
/* A record of `bytes` of text, with attributes `packed`, that is not in the payload because of
 * `rule`.  It fills the chunk all the same: built again without that rule it must not be larger
 * than any other. */
void chunk_add_drop(struct chunk *c, struct checkpoint_file *file, const char *rule, uint64_t bytes,
                    uint64_t packed);
/* `count` records of together `bytes` are missing because of `rule`. */
void chunk_add_drops(struct chunk *c, struct checkpoint_file *file, const char *rule,
                     uint64_t count, uint64_t bytes);
/* The entries since the last part are those of `part` (part->count is their number).  `labels` and
 * `attrs` (may be NULL) must live until chunk_clear: in c->arena, or by chunk_hold. */
void chunk_add_part(struct chunk *c, const struct checkpoint_part *part,
                    const struct labels *labels, const struct labels *attrs);

/* Keep `names` (NULL: none) until chunk_clear. */
void chunk_hold(struct chunk *c, struct chunk_names *names);

/* Take back the entries that were added since `mark`; no part may have been added in between. */
struct chunk_mark {
    size_t bytes;
    uint64_t entries;
};
struct chunk_mark chunk_mark(const struct chunk *c);
void chunk_back(struct chunk *c, struct chunk_mark mark);

/* Which of the `n` parts of a plan are in `message`, which chunk_pack made of some of them, in
 * their order, and are refused by `why`; all, if it cannot be read. */
void chunk_refused(struct str message, const struct forward_ack *why,
                   const struct checkpoint_part *parts, size_t n, bool *ret);

/* Append to `ret` a message of those parts of `message` alone that `why` refuses, not compressed,
 * with a token of its own.  ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM. */
int chunk_only_refused(struct str message, const struct forward_ack *why, struct buf *ret,
                       struct err *err);

/* Append to `ret` what chunk_pack once made, `message`, with all of its parts marked as maybe
 * stored in part already; `token` is its own.  ERR_EXISTS: they are; ERR_CORRUPT, ERR_LIMIT. */
int chunk_mark_twice(struct str message, char token[CHUNK_TOKEN_BYTES], struct buf *ret,
                     struct err *err);

/* Put the whole message into `message`, which is empty and may become as large as it was made for
 * and the names beside that, and write its token; then the chunk is good for chunk_clear only.
 * ERR_LIMIT: it is too large. */
int chunk_pack(struct chunk *c, struct buf *message, char token[CHUNK_TOKEN_BYTES],
               struct err *err);

#endif
