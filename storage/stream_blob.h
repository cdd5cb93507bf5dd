/*
 * storage/stream_blob.h - the labels of a stream as bytes: {varint count, then each: varint length
 * of the name, name, varint length of the value, value}.  One set of labels has one form.  Pure
 * functions.
 */
#ifndef LOGQ_STORAGE_STREAM_BLOB_H
#define LOGQ_STORAGE_STREAM_BLOB_H

#include "base/labels.h"

void stream_blob_put(struct buf *b, const struct labels *l);

/* Take one off the front of *in; the array is in `a`, names and values stay in the bytes.
 * ERR_CORRUPT, ERR_LIMIT or ERR_NOMEM (arena). */
int stream_blob_get(struct str *in, struct arena *a, struct labels *ret, struct err *err);

#endif
