/*
 * query/cli/piece.h - a piece of an export: the lines of a part of the span, into a descriptor.
 *
 * A connection that breaks is taken up behind the last whole line.  What is in the file is a run of
 * whole frames, so that it can be cut back to what piece_mark was told, and gone on with.
 */
#ifndef LOGQ_QUERY_CLI_PIECE_H
#define LOGQ_QUERY_CLI_PIECE_H

#include "query/cli/remote.h"
#include "wire/codec.h"

#include <stdatomic.h>

/* Where a piece is: what lies in the file. */
struct piece_place {
    uint64_t bytes, count; /* of the file; lines in them */
    ts_ns ts;              /* of the last line */
    uint64_t seq;          /* of it; 0: there is none */
    bool done;
};

struct piece {
    struct str query;
    ts_ns from, to;
    int fd; /* at its end */
    enum codec codec;
    struct piece_place at;
    const atomic_bool *stop; /* another piece has failed; may be NULL */
    /* Called now and then when `at` lies in the file, durably; may be NULL.  < 0: it failed. */
    int (*mark)(void *arg, const struct piece_place *at, struct err *err);
    /* Called for each line, may be NULL. */
    void (*step)(void *arg, ts_ns ts, size_t bytes);
    void *arg;
};

/* Until all of it is in the file.  Errors as remote_call, and ERR_IO of the file; ERR_CANCELLED: by
 * `stop`. */
int piece_run(struct piece *p, struct remote *r, struct remote_failure *fail, struct err *err);

#endif
