/*
 * wire/codec.h - gzip (zlib) and zstd payloads, both possibly several members one after another,
 * and HTTP's deflate.
 *
 * Decoding streams: the caller pulls pieces, so that a bomb costs a piece and ends as ERR_LIMIT
 * once the total passes max_bytes.  A decoder is one thread's at a time and reusable.
 */
#ifndef LOGQ_WIRE_CODEC_H
#define LOGQ_WIRE_CODEC_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum codec {
    CODEC_NONE,
    CODEC_GZIP,
    CODEC_ZSTD,
    CODEC_DEFLATE, /* one stream, with zlib's header or without; for reading only */
};

/* What the first bytes say (1f 8b, 28 b5 2f fd), else CODEC_NONE. */
enum codec codec_sniff(struct str bytes);

/* What its own header (zstd) or trailer (gzip) says the first member of `bytes` unpacks to; 0: it
 * does not say. A claim of the sender: good for choosing a buffer within limits, for nothing else.
 */
uint64_t codec_size_claim(enum codec c, struct str bytes);

enum {
    CODEC_WINDOW_LOG_MAX = 23
}; /* zstd frames that need more than 8 MiB of history are refused */

struct codec_reader; /* holds no context until the first _start of its kind */
struct codec_reader *codec_reader_new(void);
void codec_reader_free(struct codec_reader **pr);

/* Begin on `bytes` (borrowed until the last pull); at most max_bytes come out.  ERR_NOMEM. */
int codec_reader_start(struct codec_reader *r, enum codec c, struct str bytes, size_t max_bytes,
                       struct err *err);
/* The next piece, at most `cap` > 0 bytes into `dst`; *ret_n > 0.  1: no more.  ERR_CORRUPT,
 * ERR_LIMIT: this and every later call until the next _start; *ret_n is then what came before the
 * damage, perhaps 0. */
int codec_reader_pull(struct codec_reader *r, char *dst, size_t cap, size_t *ret_n,
                      struct err *err);

/* More input than _start was given, once _pull has returned 1 (borrowed as there).  Until `last` is
 * given a 1 of _pull means "feed me"; the end of a member is no end then. */
void codec_reader_feed(struct codec_reader *r, struct str bytes, bool last);

/* All at once into `out`; at most max_bytes more, and no more than `out` takes.  Codes as above;
 * then `out` holds what came before the failure. */
int codec_unpack(enum codec c, struct str bytes, size_t max_bytes, struct buf *out,
                 struct err *err);

struct codec_writer; /* reusable contexts, made when first used; one thread */
struct codec_writer *codec_writer_new(void);
void codec_writer_free(struct codec_writer **pw);
/* Append `bytes` to `out` as one member: zstd level 1..19, gzip level 1..9.  ERR_LIMIT: it does not
 * fit, nothing appended; ERR_NOMEM. */
int codec_pack(struct codec_writer *w, enum codec c, int level, struct str bytes, struct buf *out,
               struct err *err);

#endif
