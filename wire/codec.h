/*
 * wire/codec.h - gzip (zlib) and zstd payloads, both possibly several members one after another.
 *
 * Decoding streams: the caller pulls pieces, so that a bomb costs a piece and ends as ERR_LIMIT once the total
 * passes max_bytes.  A decoder is one thread's at a time and reusable.
 */
#ifndef LOGQ_WIRE_CODEC_H
#define LOGQ_WIRE_CODEC_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_ZSTD };

/* What the first bytes say (1f 8b, 28 b5 2f fd), else CODEC_NONE. */
enum codec codec_sniff(struct str bytes);

struct codec_reader;
struct codec_reader *codec_reader_new(void);
void codec_reader_free(struct codec_reader **pr);

/* Begin on `bytes` (borrowed until the last pull); at most max_bytes come out. */
int codec_reader_start(struct codec_reader *r, enum codec c, struct str bytes, size_t max_bytes, struct err *err);
/* The next piece, at most `cap` bytes into `dst`; *ret_n > 0.  1: no more.  ERR_CORRUPT, ERR_LIMIT. */
int codec_reader_pull(struct codec_reader *r, char *dst, size_t cap, size_t *ret_n, struct err *err);

/* All at once into `out`; at most max_bytes more. */
int codec_unpack(enum codec c, struct str bytes, size_t max_bytes, struct buf *out, struct err *err);
/* Append `bytes` as one member.  zstd level 1.., gzip level 1..9. */
struct codec_writer; /* reusable contexts; one thread */
struct codec_writer *codec_writer_new(void);
void codec_writer_free(struct codec_writer **pw);
int codec_pack(struct codec_writer *w, enum codec c, int level, struct str bytes, struct buf *out, struct err *err);

#endif
