/*
 * wire/forward_pack.h - Fluent Forward v1, encode: entries, messages with our `lq` option, acks.
 *
 * Everything goes to a buf; what did not fit shows there.  No allocation per entry.  One thread per
 * buf.
 */
#ifndef LOGQ_WIRE_FORWARD_PACK_H
#define LOGQ_WIRE_FORWARD_PACK_H

#include "base/buf.h"
#include "wire/codec.h"
#include "wire/forward.h"

/* [EventTime, {k: v, ...}]: time as fixext8 type 0, values as msgpack str.  A time before 1970
 * becomes 0, which means "now" to receivers; one past 2106 the last second there is.  At most
 * UINT32_MAX fields and bytes each. */
void forward_pack_entry(struct buf *b, ts_ns ts, const struct label *fields, size_t n);

struct forward_chunk {
    struct str tag;
    struct str
        payload; /* entries packed by forward_pack_entry, already compressed when codec says so */
    enum codec codec;
    uint64_t n_entries;
    struct str token; /* ack token, text */
    const struct forward_part *parts;
    size_t n_parts;
    uint64_t next; /* with parts: forward_about.h; 0: not said */
};
/* [tag, bin payload, {chunk, size, compressed, lq}]; `compressed` and `lq` only where they say
 * something. */
void forward_pack_chunk(struct buf *b, const struct forward_chunk *c);

/*
 * The same without a copy of the payload: _begin puts a message's head into the empty `b`, entries
 * follow, _end makes it whole.  Not compressed; c->tag is that of _begin, c->payload is not looked
 * at.
 */
void forward_pack_begin(struct buf *b, struct str tag);
void forward_pack_end(struct buf *b, const struct forward_chunk *c);

/* {"ack": token} and {"ack": token, "lq": {"refused": code, "text": text}}.  Each answer is one
 * write. */
void forward_pack_ack(struct buf *b, struct str token);
void forward_pack_refusal(struct buf *b, struct str token, struct str code, struct str text);
/* The same with "parts": [number, ...]: of the chunk's `n` parts only those that `refused` names
 * are; the others are stored.  Takes at most three bytes a part. */
void forward_pack_refused_parts(struct buf *b, struct str token, struct str code, struct str text,
                                const bool *refused, size_t n);

/* base64(first 16 bytes of SHA-256(for each part: file id, a 0 byte, start and end as 8 bytes
 * big-endian)); 24 bytes + NUL.  The same parts give the same token for ever: a resend has the
 * token of the first try. */
void forward_token(const struct forward_part *parts, size_t n, char ret[25]);

#endif
