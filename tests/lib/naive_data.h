/*
 * tests/lib/naive_data.h - records as many programs write them and as nobody would, the same for
 * the same seed.
 *
 * A set is a mixture of a few kinds of lines (templates with numbers, JSON, logfmt, access logs,
 * ids, arbitrary bytes, near duplicates, odd numbers, empty and very long lines, letters of many
 * scripts), of 1 to 300 streams, of two tenants, of minutes or of days, nearly in order.
 */
#ifndef LOGQ_TESTS_LIB_NAIVE_DATA_H
#define LOGQ_TESTS_LIB_NAIVE_DATA_H

#include "base/arena.h"
#include "base/labels.h"
#include "base/time.h"

struct naive_record {
    unsigned tenant; /* 0 or 1 */
    uint32_t stream;
    uint32_t n_attr;
    ts_ns ts;
    struct str line;
    const struct label *attr; /* sorted by name */
};

struct naive_data {
    struct arena *arena; /* owns everything */
    struct labels *stream;
    uint32_t n_streams;
    struct naive_record *v; /* in order of arrival */
    size_t n;
    ts_ns from, to; /* all ts lie in [from, to) */
};

/* `n` records.  `text` (may be NULL): lines of it, in order, are taken instead of made ones. */
void naive_data_make(struct naive_data *ret, uint64_t seed, size_t n, const struct str *text,
                     size_t n_text);
void naive_data_fini(struct naive_data *d);

/* A number below `n` (> 0). */
size_t naive_below(uint64_t *rng, size_t n);

#endif
