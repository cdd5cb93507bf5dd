/*
 * wire/forward.h - the nouns of Fluent Forward v1 that decode and encode share.
 *
 * Protocol facts: the Forward Protocol Specification v1 and what senders really do, in
 * docs/formats/forward.md, which also documents our own option key `lq`.
 */
#ifndef LOGQ_WIRE_FORWARD_H
#define LOGQ_WIRE_FORWARD_H

#include "base/labels.h"
#include "base/record.h"
#include "base/time.h"

enum forward_mode { FORWARD_MESSAGE, FORWARD_FORWARD, FORWARD_PACKED };

/* One part of a chunk of ours: option key `lq`, docs/formats/forward.md. */
struct forward_part {
    struct str file_id;
    uint64_t start,
        end;          /* bytes of the file, half-open; or first and last timeNano + 1 of events */
    uint32_t count;   /* entries of this part, in order */
    bool maybe_twice; /* may be stored in part, here or elsewhere */
    struct labels labels; /* constants of the container: stream labels, without `stream` */
    struct labels attrs;  /* constants as attributes (container id, pod uid) */
};

enum {
    FORWARD_DEPTH_MAX = 32,   /* no limit on depth may be higher */
    FORWARD_PARTS_MAX = 4096, /* per message */
    FORWARD_TOKEN_MAX = 256,  /* bytes of an ack token */
    /* No message of our collector is larger, packed or not, and whoever receives takes as much: one
     * that can never be taken would be sent again for ever, and all behind it would wait. */
    FORWARD_CHUNK_MAX = 32 << 20,
    FORWARD_VALUES_PER_FIELD =
        64, /* an entry holds at most limits.fields times this many values, nested ones too */
};

struct forward_limits {
    size_t message_bytes; /* one message on the wire; 0: 64 MiB */
    size_t payload_bytes; /* after decompression; 0: 256 MiB */
    unsigned depth;       /* arrays and maps in each other; 0: 16; at most FORWARD_DEPTH_MAX */
    size_t entries;       /* per message; 0: 1,000,000 */
    size_t fields;        /* per record and per metadata; 0: 1,000 */
};

/* `limits` with its zeros replaced by the defaults; NULL: all defaults. */
struct forward_limits forward_limits_resolve(const struct forward_limits *limits);

#endif
