/*
 * collector/decode.h - one line of a log file in, one piece of a record out.
 *
 * Pure functions of the line: no clock, no state between lines, bounded memory.  A piece is a whole
 * record or one of several that join.h puts together.  Formats: Docker json-file (decode_json.c),
 * CRI and podman k8s-file (decode_cri.c), engine events (decode_events.c), the spool of fluent
 * clients (forward_line.c), plain lines (decode_plain).
 */
#ifndef LOGQ_COLLECTOR_DECODE_H
#define LOGQ_COLLECTOR_DECODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/labels.h"
#include "base/time.h"

enum decode_stream { DECODE_NONE, DECODE_STDOUT, DECODE_STDERR, DECODE_STREAMS };

enum {
    DECODE_ATTRS_MAX = 64,       /* attributes taken from one line; more are left in the line */
    DECODE_SCRATCH_MAX = 8 << 20 /* bytes of unescaped text of one line */
};

struct piece {
    ts_ns ts; /* 0: the line has none */
    enum decode_stream stream;
    bool last;        /* ends its record */
    bool raw;         /* the line breaks its format: text is the line as it stands */
    bool partial;     /* the record is not whole, and never will be */
    bool none;        /* the line is no record, nor a part of one: what else is here says nothing */
    uint64_t missing; /* bytes behind the text that were not even read (a line over the limit) */
    struct str text;
    /* Where a line brings its own: stream labels and attributes of this one record, sorted. */
    const struct label *labels, *attrs;
    size_t n_labels, n_attrs;
};

/* Where a JSON line has what: names of members, of nested ones joined by '.'; empty: not said. */
struct decode_keys {
    struct str time, level, message;
};

/* What decoders need besides the line; views in a piece are valid until its next use.  One thread.
 */
struct decoder {
    struct buf scratch;             /* unescaped text */
    struct arena *arena;            /* names and values of one event */
    const struct decode_keys *keys; /* of this log; borrowed, may be NULL */
    struct label labels[8], attrs[DECODE_ATTRS_MAX];
};
void decoder_init(struct decoder *d);
void decoder_fini(struct decoder *d);

/* `line` is without its newline.  false: it breaks the format (then *ret is not touched). */
typedef bool decode_fn(struct decoder *d, struct str line, struct piece *ret);
decode_fn decode_json, decode_cri, decode_plain;
decode_fn decode_json_line;    /* any JSON object a line; d->keys */
decode_fn decode_docker_event; /* Docker's and podman's API: Type, Action, Actor, timeNano */
decode_fn
    decode_podman_event; /* podman's events file: ID, Image, Name, Status, Time, Type, Attributes */
decode_fn decode_gap;    /* our own gap records, as spool.h writes them */
decode_fn decode_forward; /* forward_line.h */
decode_fn decode_journal; /* entries of the journal, as input_journal.h writes them */

#endif
