/*
 * wire/mp_pack.h - messages of a few values written by msgpack-c into a buf.
 *
 * Nothing here fails: what does not fit shows in the buf, so the results of msgpack_pack_* are
 * ignored wherever a packer was begun here.
 */
#ifndef LOGQ_WIRE_MP_PACK_H
#define LOGQ_WIRE_MP_PACK_H

#include "base/buf.h"
#include "base/str.h"

#include <msgpack.h>
#include <stdbool.h>

/* From now on `pk` appends to `out`, which is borrowed. */
void mp_pack_init(msgpack_packer *pk, struct buf *out);

void mp_pack_text(msgpack_packer *pk, struct str s);

/* {"ack": token}; `more`: {"ack": token, "lq": and its value is to follow. */
void mp_pack_ack(msgpack_packer *pk, struct str token, bool more);

#endif
