/* storage/wal_internal.h - what wal_write.c and wal_replay.c share of a WAL. */
#ifndef LOGQ_STORAGE_WAL_INTERNAL_H
#define LOGQ_STORAGE_WAL_INTERNAL_H

#include "base/buf.h"
#include "base/vec.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

#include <pthread.h>
#include <stdatomic.h>

/* A file that exists, in order of number. */
struct wal_file {
    struct wal_header header;
    uint64_t end; /* no byte of it has a position at or past this */
    bool damaged; /* recover: its header cannot be read, its frames are lost */
    bool hole;    /* recover: files before it are missing */
};

struct wal {
    unsigned magic;
#define WAL_MAGIC 0x3a1e90b5u
    int dir_fd;
    uint8_t key[CRYPT_KEY];
    uint64_t file_bytes, floor;
    bool recover;

    /* The file that is written; fd < 0: none, the next append makes one. */
    int fd;
    struct crypt *crypt;  /* owned; of that file */
    uint64_t base, size;  /* position of its first byte; bytes preallocated */
    uint64_t offset;      /* where the next frame goes, counting what is in `out` */
    uint64_t file_synced; /* offset up to which an fdatasync of the file succeeded */
    uint64_t written;     /* up to it the file has been written, zeros ahead of `offset` included */
    uint64_t frames;
    struct buf out;   /* frames not yet written */
    struct buf plain; /* one frame's plain bytes */

    uint64_t next_number, next_base;
    uint64_t next_after;        /* `after` of the next file: see (3) in wal_write.c */
    _Atomic uint64_t committed; /* position of the last good wal_sync */

    pthread_mutex_t mutex; /* guards files and holds */
    unsigned holds;
    VEC(struct wal_file) files;
    _Atomic uint64_t syncs, replayed_bodies, torn_bytes, skipped_frames;

    VEC(struct wal_file) past; /* for wal_replay_again: the files that wal_replay read */
    uint64_t past_end;         /* and the position where it ended; both set by it once */
    _Atomic uint64_t trimmed;  /* files that end at or before it are gone, or go now */
    _Atomic uint64_t past_bytes, again_bytes;
};

#endif
