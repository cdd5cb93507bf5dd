/*
 * storage/catalog_summary.h - a partition's labels in short, for meta.db: so that a question that
 * no stream of a day can match does not open its catalog, and listings of many days open few.
 *
 * For each name its values, where they are few.  Sealed under the partition's key as a catalog's
 * blobs are: it ends with the day.  It may say too much (streams that are gone), never too little.
 *
 * Bytes: {u8 version 1, varint names, each {text, varint values: 0 too many to tell, else n, n
 * texts}}; a text is {varint length, bytes}.
 */
#ifndef LOGQ_STORAGE_CATALOG_SUMMARY_H
#define LOGQ_STORAGE_CATALOG_SUMMARY_H

#include "base/match.h"
#include "storage/catalog.h"

/* Append the sealed summary of a catalog; nothing when even the names are too many. */
int catalog_summary(struct catalog *c, struct buf *ret, struct err *err);

/* Open one by the partition's key; *ret lies in `a`.  ERR_CORRUPT. */
int catalog_summary_open(const uint8_t key[CRYPT_KEY], struct str sealed, struct arena *a,
                         struct str *ret, struct err *err);

/* May a stream of that partition match?  Damage means it may. */
bool catalog_summary_may_match(struct str summary, const struct matcher *matchers, size_t n);

/* Tell the names (name.n == 0), or the values of one.  1: it does not know them all, and nothing
 * was told.  Else what fn returns, which ends the walk unless 0. */
typedef int catalog_summary_fn(void *arg, struct str text);
int catalog_summary_each(struct str summary, struct str name, catalog_summary_fn *fn, void *arg);

#endif
