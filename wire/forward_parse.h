/*
 * wire/forward_parse.h - Fluent Forward v1, bounded decode.
 *
 * Three steps, each safe on hostile bytes: (1) find where a message ends without keeping state per
 * byte (forward_frame, resumable); (2) take its outer array apart (forward_parse); (3) walk its
 * entries (forward_reader), decompressing piece by piece.  msgpack-c only ever sees bytes that step
 * 1 has measured.
 */
#ifndef LOGQ_WIRE_FORWARD_PARSE_H
#define LOGQ_WIRE_FORWARD_PARSE_H

#include "base/arena.h"
#include "wire/codec.h"
#include "wire/forward.h"
#include "wire/forward_about.h"

/* Step 1.  Zero it to begin a message; feed the same, growing bytes again and again. */
struct forward_frame {
    size_t at;    /* private: bytes measured so far; may lie past those given, inside a long body */
    uint64_t due; /* values still to come, at least a byte each */
    uint64_t values; /* values met so far, nested ones too */
    unsigned depth;
    uint64_t left[FORWARD_DEPTH_MAX + 1]; /* values still due per level */
};
/* 0: the first *ret_n bytes are one whole value; 1: more bytes are needed (*ret_n: at least this
 * many in all, as far as known, never over limits->message_bytes); ERR_CORRUPT, ERR_LIMIT (over
 * limits->message_bytes, which a claimed length or count is as soon as its head is here; or depth).
 * Never looks at a byte twice. */
int forward_frame_scan(struct forward_frame *f, struct str bytes,
                       const struct forward_limits *limits, size_t *ret_n, struct err *err);

/* Step 2. */
enum forward_kind {
    FORWARD_EVENTS,    /* a message with entries */
    FORWARD_HEARTBEAT, /* nil, or an empty event stream: nothing to do (but ack a chunk) */
    FORWARD_PING,      /* handshake: ["PING", ...] */
    FORWARD_SIGNAL, /* Fluent Bit metrics or traces (fluent_signal 1, 2): ack and drop, counted */
};
struct forward_message {
    enum forward_kind kind;
    enum forward_mode mode;
    struct str tag;
    struct str
        entries; /* PACKED: the payload; FORWARD: the array's elements; MESSAGE: time and record */
    uint64_t n_entries; /* FORWARD: array length; MESSAGE: 1; PACKED: 0, not known */
    enum codec codec;   /* by option `compressed`, overruled by magic bytes */
    bool has_chunk;
    struct str chunk;           /* ack token, to be echoed byte for byte; at most 256 bytes */
    struct str metadata;        /* MESSAGE: option.metadata as msgpack, may be empty */
    struct forward_part *parts; /* our `lq` option; in the arena with all their texts */
    size_t n_parts;
    struct forward_about about; /* of `lq` too: what the sender says of itself */
    struct str ping[5];         /* PING: hostname, salt, digest, username, password digest */
};
enum {
    FORWARD_PING_HOSTNAME,
    FORWARD_PING_SALT,
    FORWARD_PING_DIGEST,
    FORWARD_PING_USER,
    FORWARD_PING_PASSWORD
};
/* `bytes` is exactly one value from step 1; views point into it, parts and their texts lie in `a`.
 * ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM. */
int forward_parse(struct str bytes, const struct forward_limits *limits, struct arena *a,
                  struct forward_message *ret, struct err *err);

/* Step 3. */
enum forward_value {
    FORWARD_NIL,
    FORWARD_BOOL,
    FORWARD_INT,
    FORWARD_FLOAT,
    FORWARD_STR,
    FORWARD_NESTED,
    FORWARD_TIME
};
struct forward_field {
    struct str key; /* as text; keys that are no string are rendered */
    enum forward_value type;
    struct str text; /* STR: the bytes (bin too, unknown ext in base64); TIME: RFC 3339; all others
                        are JSON: true, -12, 1.5, null, {"a":1} */
};
struct forward_entry {
    ts_ns ts;                     /* 0 or nil time: *now as given to the reader */
    struct forward_field *fields; /* record, in order; duplicates as they come */
    size_t n_fields;
    struct forward_field *meta; /* v1.5 metadata header */
    size_t n_meta;
};
struct forward_reader;
struct forward_reader *
forward_reader_new(void); /* reusable: keeps zone and codec contexts.  One thread */
void forward_reader_free(struct forward_reader **pr);

/* Begin on `msg`.  Field texts are copied into `a` when they would not survive (decompressed
 * payloads), else point into the message: both must outlive the entries. */
int forward_reader_start(struct forward_reader *r, const struct forward_message *msg,
                         const struct forward_limits *limits, ts_ns now, struct arena *a,
                         struct err *err);
/* The next entry (group markers of Fluent Bit are passed over, counted); its `fields` array is
 * valid until the next call, the texts as long as `a` and the message.  1: no more.  ERR_CORRUPT
 * names the entry, ERR_LIMIT, ERR_NOMEM; after an error only _start and _free may follow.  A packed
 * payload that expands takes from `a` at most about twice what it unpacks to. */
int forward_reader_next(struct forward_reader *r, struct forward_entry *ret, struct err *err);
uint64_t
forward_reader_skipped(const struct forward_reader *r); /* group markers passed over since start */

/* An ack as the sender sees it: {"ack": token, "lq": {...}}; same framing.  0, ERR_CORRUPT. */
struct forward_ack {
    struct str token;
    bool refused; /* will never be accepted: */
    struct str code, text;
    bool has_parts;   /* not all of it, but these: */
    struct str parts; /* an array of numbers; for forward_ack_parts */
    bool has_known;   /* the answer to a hello: forward_about_answer */
    uint64_t known_incarnation, known_next;
};
int forward_ack_parse(struct str bytes, struct forward_ack *ret, struct err *err);
/* Which of the chunk's `n` parts a refusal names: ret[i] is set or cleared.  Without `has_parts`,
 * or when that cannot be read, all. */
void forward_ack_parts(const struct forward_ack *ack, size_t n, bool *ret);

#endif
