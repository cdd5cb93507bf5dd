/*
 * wire/forward.h - the nouns of Fluent Forward v1 that decode and encode share.
 *
 * Protocol facts: the Forward Protocol Specification v1 and what senders really do, in docs/formats/forward.md,
 * which also documents our own option key `lq`.
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
    uint64_t start, end;  /* bytes of the file, half-open; or first and last timeNano + 1 of events */
    uint32_t count;       /* entries of this part, in order */
    bool maybe_twice;     /* went to another server before */
    struct labels labels; /* constants of the container: stream labels, without `stream` */
    struct labels attrs;  /* constants as attributes (container id, pod uid) */
};

struct forward_limits {
    size_t message_bytes; /* one message on the wire; 0: 64 MiB */
    size_t payload_bytes; /* after decompression; 0: 256 MiB */
    unsigned depth;       /* 0: 16 */
    size_t entries;       /* per message; 0: 1,000,000 */
    size_t fields;        /* per record; 0: 1,000 */
};

#endif
