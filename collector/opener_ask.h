/*
 * collector/opener_ask.h - what the opener of the worker asks, and what it is answered.
 *
 * Packets of channel.h between two processes of one program: the layouts are the compiler's.  Each
 * question has one answer, but a listing, which has several.
 */
#ifndef LOGQ_COLLECTOR_OPENER_ASK_H
#define LOGQ_COLLECTOR_OPENER_ASK_H

#include "collector/channel.h"

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>

enum opener_op {
    OPENER_OP_OPEN,
    OPENER_OP_STAT,
    OPENER_OP_LIST,
    OPENER_OP_INOTIFY, /* with one that was made before: go on with that */
    OPENER_OP_WATCH_DIR,
    OPENER_OP_WATCH_FILE, /* with the file's descriptor */
    OPENER_OP_CONNECT,    /* to the gate, not to the one that opens files */
};

struct opener_ask {
    uint64_t tag; /* an answer has the same: what was meant for a worker that died is passed over */
    uint32_t op;
    uint32_t kind;       /* enum opener_kind */
    uint32_t stats;      /* enum opener_stats */
    uint32_t path_bytes; /* with the NUL */
    char path[PATH_MAX]; /* only path_bytes of it are sent */
};

enum {
    OPENER_ASK_HEAD = offsetof(struct opener_ask, path),
    OPENER_NAMES_MAX = CHANNEL_PACKET_MAX - 512,
};

struct opener_answer {
    uint64_t tag;
    int32_t sys; /* errno; 0: done */
    int32_t wd;
    uint32_t more; /* of a listing: another packet follows */
    uint32_t names_bytes;
    struct stat st;
    /* Of a listing: for each name a struct stat, if asked for, and the name with its NUL. */
    char names[OPENER_NAMES_MAX];
};
enum { OPENER_ANSWER_HEAD = offsetof(struct opener_answer, names) };

#endif
