/*
 * collector/checkpoint.h - the journal of what was planned and what was acknowledged.
 *
 * A chunk's parts are in the journal, and the journal is on the disk, before the chunk is sent:
 * after a kill at any instant the same parts with the same borders are sent again and the server
 * knows them.  Files have an id that is drawn once.  Format: docs/formats/checkpoint.md. Everything
 * is kept in memory as well.  All calls on the loop thread; waiting for the disk is done by a
 * thread of its own once checkpoint_attach was called.
 */
#ifndef LOGQ_COLLECTOR_CHECKPOINT_H
#define LOGQ_COLLECTOR_CHECKPOINT_H

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct checkpoint;
struct loop;

enum {
    CHECKPOINT_HEAD_MAX = 1024, /* bytes of a file's beginning that identify it */
    CHECKPOINT_ID_MAX = 48,     /* text of a file id with its NUL */
    CHECKPOINT_PATH_MAX = 4096,
};

/* Flags of a part: what has to happen at its end when it is built again. */
enum checkpoint_flag {
    CHECKPOINT_FLUSH_STDOUT = 1, /* the open record of that stream ends here, partial */
    CHECKPOINT_FLUSH_STDERR = 2,
    CHECKPOINT_FLUSH_LINE = 4,    /* the bytes behind the last newline are a record, partial */
    CHECKPOINT_CARRY = 8,         /* open records go on in the file of the next part */
    CHECKPOINT_STDERR_FIRST = 16, /* both FLUSHes, and stderr's comes first */
    CHECKPOINT_KEY_STDOUT = 32,   /* it begins in the middle of a private key of that stream */
    CHECKPOINT_KEY_STDERR = 64,
    CHECKPOINT_KEY_MAYBE = 128,  /* perhaps it does: nobody knows what was before it */
    CHECKPOINT_CUT_STDOUT = 256, /* the record before it, of that stream, was cut off */
    CHECKPOINT_CUT_STDERR = 512,
    CHECKPOINT_FILL = 1024, /* held bytes of a record that is counted in a part behind it */
};

struct checkpoint_range {
    uint64_t start, end;
};

/* How much of a file the rule `name` has dropped, and how much of that was reported. */
enum { CHECKPOINT_NAME_MAX = 16 };
struct checkpoint_drop {
    char name[CHECKPOINT_NAME_MAX];
    uint64_t count, bytes, told_count, told_bytes;
};

/* A file that was seen.  Owned by the checkpoint until _forget. */
struct checkpoint_file {
    uint64_t no;                /* drawn once, never used again */
    uint32_t salt;              /* random: a journal put back does not draw the same id again */
    char id[CHECKPOINT_ID_MAX]; /* incarnation, no and salt: the server's name for it */
    uint64_t dev, ino;
    uint32_t head_len; /* bytes that head_hash covers */
    uint64_t head_hash;
    char *path;                   /* where it was last seen */
    uint32_t server;              /* that its bytes go to; 0: none yet */
    uint64_t seen;                /* it was at least that long once: see checkpoint_seen */
    struct checkpoint_range kept; /* lies in keep/ (keep.h), durable; end 0: nothing */
    uint64_t lost;                /* bytes reported as gaps since the start; not journalled */
    VEC(struct checkpoint_range) planned; /* sorted, disjoint, coalesced */
    VEC(struct checkpoint_drop) drops;    /* one for each rule that dropped something */
    uint32_t unacked;                     /* parts planned and not acknowledged */
    bool dead;    /* will not be read again: its owner forgets it once unacked is 0 */
    void *user;   /* the reader's; NULL at start */
    size_t index; /* the checkpoint's */
};

struct checkpoint_part {
    struct checkpoint_file *file;
    uint64_t start, end;
    int64_t ts;      /* ns: time of its first lines if these have none */
    uint32_t count;  /* records */
    uint16_t flags;  /* enum checkpoint_flag */
    uint16_t closed; /* rates that are used up in it: rules.h */
    uint32_t rules;  /* rules_mark of those that it was made with, 24 bits */
};

/* A chunk that is planned and not acknowledged. */
struct checkpoint_chunk {
    uint64_t no;
    uint32_t server;  /* it was planned for, or moved to */
    bool maybe_twice; /* another server may have stored it */
    VEC(struct checkpoint_part) parts;
};

/* Load `checkpoint` in directory dir_fd (borrowed until _close), or begin one.  A torn tail is cut
 * off and counted.  One that is damaged is kept as `checkpoint.bad` and a new incarnation begins.
 * ERR_IO, ERR_UNSUPPORTED (another version). */
int checkpoint_open(int dir_fd, struct checkpoint **ret, struct err *err);
/* Waits for a sync under way; what was never synced is not written. */
void checkpoint_close(struct checkpoint **pc);

/* Why the incarnation is a new one, until checkpoint_told: files may be stored twice from the end
 * of what is planned of them.  DAMAGED keeps what is certain: the beginning of each file that was
 * acknowledged without a hole.  OLD: the incarnation is the same, see checkpoint_is_old. */
enum checkpoint_renewal { CHECKPOINT_SAME, CHECKPOINT_LOST, CHECKPOINT_DAMAGED, CHECKPOINT_OLD };
enum checkpoint_renewal checkpoint_renewal(const struct checkpoint *c);
uint64_t checkpoint_incarnation(const struct checkpoint *c);
uint64_t checkpoint_previous(const struct checkpoint *c); /* incarnation before; 0: not known */
/* A server has seen file numbers up to `next` of this incarnation, which we have not: this is an
 * older journal that was put back.  Numbers go on from there; what was drawn before that may be
 * known to the server under other ids.  With the next sync; CHECKPOINT_OLD until _told. */
void checkpoint_is_old(struct checkpoint *c, uint64_t next);
/* The number of the next new file. */
uint64_t checkpoint_next_file(const struct checkpoint *c);
/* It was reported: with the next sync that is in the journal. */
void checkpoint_told(struct checkpoint *c);

/* A new file with a new id; in the journal with the next sync.  `path` is copied. */
struct checkpoint_file *checkpoint_file_new(struct checkpoint *c, uint64_t dev, uint64_t ino,
                                            const char *path);
/* The one that had `no` and `salt` in this incarnation, of which the journal knows nothing: it is
 * an older copy that was put back.  Its id is what it was, so a server knows what it has of it.
 * NULL: another has that number. */
struct checkpoint_file *checkpoint_file_again(struct checkpoint *c, uint64_t no, uint32_t salt,
                                              const char *path);
/* Numbers below `next` were drawn by somebody: none of them is drawn again.  In the journal with
 * the next one that is. */
void checkpoint_pass_numbers(struct checkpoint *c, uint64_t next);
/* Journal what is known about it now, with the next sync. */
void checkpoint_file_changed(struct checkpoint *c, struct checkpoint_file *f);
void checkpoint_file_set_path(struct checkpoint *c, struct checkpoint_file *f, const char *path);
/* The file was `size` bytes long: should it vanish, that much of it is known to be lost. Journalled
 * with the next sync when it is more than before; every few MiB that are not read yet are enough.
 */
void checkpoint_seen(struct checkpoint *c, struct checkpoint_file *f, uint64_t size);
/* [start, end) lies in keep/ and is durable there. Journalled with the next sync. */
void checkpoint_kept(struct checkpoint *c, struct checkpoint_file *f, uint64_t start, uint64_t end);
/* It is gone for good, unacked is 0: frees it. */
void checkpoint_file_forget(struct checkpoint *c, struct checkpoint_file *f);
/* All files in no order; `i` from 0; NULL at the end.  _forget puts the last in the place of the
 * one that goes. */
struct checkpoint_file *checkpoint_file_at(const struct checkpoint *c, size_t i);
struct checkpoint_file *checkpoint_file_find(const struct checkpoint *c, uint64_t no);

/* End of the last planned byte; and its first hole below that: *start >= *end when there is none.
 * Begin with from 0, go on from the last *end. */
uint64_t checkpoint_file_end(const struct checkpoint_file *f);
void checkpoint_file_hole(const struct checkpoint_file *f, uint64_t from, uint64_t *start,
                          uint64_t *end);
/* Bytes from its beginning that are at the server, all of them: nothing before is read again. */
uint64_t checkpoint_file_certain(const struct checkpoint *c, const struct checkpoint_file *f);

/* The number of a server, by which the journal knows it; a new address gets one. */
uint32_t checkpoint_server(struct checkpoint *c, const char *address);
/* Its address, "" for one that is not known; borrowed until checkpoint_close. */
const char *checkpoint_server_address(const struct checkpoint *c, uint32_t server);
/* The file's bytes go to `server` from now on. */
void checkpoint_file_set_server(struct checkpoint *c, struct checkpoint_file *f, uint32_t server);
/* Those of all files of `from` do; 0: nobody's.  Returns how many files. */
size_t checkpoint_leave(struct checkpoint *c, uint32_t from, uint32_t to);
/* A chunk goes to another server, which may be told that it was stored before. */
void checkpoint_move(struct checkpoint *c, uint64_t no, uint32_t server, bool maybe_twice);

/* Plan a chunk for `server`: its parts count as planned from now on, in memory; on disk after
 * checkpoint_sync. Returns its number. */
uint64_t checkpoint_plan(struct checkpoint *c, uint32_t server, const struct checkpoint_part *parts,
                         size_t n);
/* Chunk `no` was built again by other rules: it has these records from now on.  Parts that could
 * not be built are left out of `parts` and stay as they were.  false: it has them already, or these
 * are not its parts in their order; nothing changed. */
bool checkpoint_replan(struct checkpoint *c, uint64_t no, const struct checkpoint_part *parts,
                       size_t n);
/* Rule `name` has dropped `count` records of `bytes` in a chunk that was just planned, or planned
 * again: with its plan on the disk. */
void checkpoint_dropped(struct checkpoint *c, struct checkpoint_file *f, const char *name,
                        uint64_t count, uint64_t bytes);
/* All of `d` was reported: by the next sync. */
void checkpoint_drop_told(struct checkpoint *c, struct checkpoint_file *f,
                          struct checkpoint_drop *d);
/* The drops of rule `name`; NULL: none. */
struct checkpoint_drop *checkpoint_drop_find(struct checkpoint_file *f, const char *name);
/* [start, end) of the file is passed over: acknowledged without having been sent. */
void checkpoint_skip(struct checkpoint *c, struct checkpoint_file *f, uint64_t start, uint64_t end);
/* Write and fdatasync all that waits, here and now.  ERR_IO: nothing is lost, it still waits; try
 * again later. */
int checkpoint_sync(struct checkpoint *c, struct err *err);

/*
 * The same without waiting: checkpoint_sync_begin lets a thread do it, one sync at a time, and
 * `fn` (on the loop) says that one has ended, with its error or NULL.  What is added while one is
 * under way goes with the next, which somebody has to begin.  Not attached, it is checkpoint_sync.
 * ERR_NOMEM: no thread.
 */
typedef void checkpoint_synced_fn(void *arg, const struct err *err);
int checkpoint_attach(struct checkpoint *c, struct loop *l, checkpoint_synced_fn *fn, void *arg,
                      struct err *err);
void checkpoint_sync_begin(struct checkpoint *c);
/* All that was added until now, as a mark; and is all up to a mark on the disk? */
uint64_t checkpoint_mark(const struct checkpoint *c);
bool checkpoint_is_durable(const struct checkpoint *c, uint64_t mark);

/* Chunk `no` is done with.  Written at once if no sync is under way, not synced: should it get
 * lost, the chunk is sent again and the server drops it.  A write that fails waits for the next
 * sync. */
void checkpoint_ack(struct checkpoint *c, uint64_t no);

/* Chunks planned and not acknowledged, oldest first; `i` from 0; NULL at the end.  At start: what
 * to send again. */
struct checkpoint_chunk *checkpoint_chunk_at(const struct checkpoint *c, size_t i);
struct checkpoint_chunk *checkpoint_chunk_find(const struct checkpoint *c, uint64_t no);

#endif
