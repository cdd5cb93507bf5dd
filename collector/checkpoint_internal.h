/*
 * collector/checkpoint_internal.h - what the three files of the checkpoint share: checkpoint.c
 * (what is known), checkpoint_records.c (its bytes) and checkpoint_disk.c (getting them to the
 * disk).
 */
#ifndef LOGQ_COLLECTOR_CHECKPOINT_INTERNAL_H
#define LOGQ_COLLECTOR_CHECKPOINT_INTERNAL_H

#include "collector/checkpoint.h"

#include "base/map.h"

enum {
    CHECKPOINT_RECORD_BYTES = 64,
    CHECKPOINT_PARTS_MAX = 1 << 16,
};

struct checkpoint_server {
    uint32_t id;
    bool asked_for; /* by checkpoint_server: to be kept */
    char *address;
};

struct checkpoint_disk; /* the file and the thread that writes it */

struct checkpoint {
    unsigned magic;
#define CHECKPOINT_MAGIC 0xc4ec9017u
    int dir_fd;
    uint64_t incarnation, previous;
    enum checkpoint_renewal renewal;
    uint64_t next_file, next_chunk;
    uint64_t added; /* records ever added to `waiting`: the mark */
    VEC(struct checkpoint_file *) files;
    struct map *by_no; /* number of a file, 8 bytes -> the file */
    VEC(struct checkpoint_chunk *) chunks;
    VEC(struct checkpoint_server) servers;
    VEC(uint8_t) waiting; /* records for the next write */
    struct checkpoint_disk *disk;
};

/* ---- checkpoint.c ---- */

struct checkpoint_file *checkpoint_add_file(struct checkpoint *c, uint64_t no, uint32_t salt);
void checkpoint_remove_file(struct checkpoint *c, struct checkpoint_file *f);
void checkpoint_add_range(struct checkpoint_file *f, uint64_t start, uint64_t end);
struct checkpoint_drop *checkpoint_add_drop(struct checkpoint_file *f, const char *name);
struct checkpoint_chunk *checkpoint_add_chunk(struct checkpoint *c, uint64_t no);
void checkpoint_take_part(struct checkpoint_chunk *chunk, struct checkpoint_part part);
/* Takes `address`. */
void checkpoint_add_server(struct checkpoint *c, uint32_t id, char *address);
/* Does a file or a chunk go to it? */
bool checkpoint_has_use(const struct checkpoint *c, const struct checkpoint_server *s);
/* false: there is none of that number. */
bool checkpoint_remove_chunk(struct checkpoint *c, uint64_t no);

/* ---- checkpoint_records.c: records to c->waiting ---- */

void checkpoint_put_file(struct checkpoint *c, const struct checkpoint_file *f);
/* Are they the same bytes? */
bool checkpoint_is_part(const struct checkpoint_part *a, const struct checkpoint_part *b);
void checkpoint_put_plan(struct checkpoint *c, const struct checkpoint_chunk *chunk);
void checkpoint_put_range(struct checkpoint *c, const struct checkpoint_file *f,
                          struct checkpoint_range range);
void checkpoint_put_seen(struct checkpoint *c, const struct checkpoint_file *f);
void checkpoint_put_kept(struct checkpoint *c, const struct checkpoint_file *f);
void checkpoint_put_drop(struct checkpoint *c, const struct checkpoint_file *f,
                         const struct checkpoint_drop *d);
void checkpoint_put_server(struct checkpoint *c, const struct checkpoint_server *s);
void checkpoint_put_move(struct checkpoint *c, const struct checkpoint_chunk *chunk);
void checkpoint_put_leave(struct checkpoint *c, uint32_t from, uint32_t to);
void checkpoint_put_ack(struct checkpoint *c, uint64_t chunk);
void checkpoint_put_forget(struct checkpoint *c, uint64_t file);
void checkpoint_put_old(struct checkpoint *c);
void checkpoint_put_told(struct checkpoint *c);
/* What is in the file up to `offset` was synced before this was written. */
void checkpoint_make_synced(uint8_t rec[CHECKPOINT_RECORD_BYTES], uint64_t offset);
/* `bytes`: of the header and what was written with it. */
void checkpoint_make_header(const struct checkpoint *c, uint64_t bytes,
                            uint8_t rec[CHECKPOINT_RECORD_BYTES]);
/* All that is known, in place of what waits; and how much that would be. */
void checkpoint_put_everything(struct checkpoint *c);
uint64_t checkpoint_live_bytes(const struct checkpoint *c);

struct checkpoint_loaded {
    uint64_t used; /* bytes of records */
    bool torn;     /* there is something behind them */
    bool damaged;  /* records are missing that were on the disk once: the header, or some before
                    * the mark of a sync */
};
/* Take in a journal as far as it can be read.  ERR_UNSUPPORTED. */
int checkpoint_records_load(struct checkpoint *c, struct str bytes, struct checkpoint_loaded *ret,
                            struct err *err);

/* ---- checkpoint_disk.c ---- */

/* Open the journal that was read: `used` of its `room` bytes are records, what is behind is made
 * zeros if it is `torn`, and all of it durable. */
int checkpoint_disk_open(struct checkpoint *c, uint64_t used, uint64_t room, bool torn,
                         struct err *err);
/* Write everything as a new journal; the one that is there, if any, is kept as `checkpoint.bad`. */
int checkpoint_disk_begin(struct checkpoint *c, struct err *err);
void checkpoint_disk_close(struct checkpoint *c);
/* Write what waits if that is possible without waiting for the disk. */
void checkpoint_disk_write(struct checkpoint *c);
/* Is there a sign that a journal was here before? */
bool checkpoint_disk_has_past(const struct checkpoint *c);

#endif
