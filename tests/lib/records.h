/* tests/lib/records.h - batches of records as logs have them, and as nobody wants them; the same
 * for the same seed. */
#ifndef LOGQ_TESTS_LIB_RECORDS_H
#define LOGQ_TESTS_LIB_RECORDS_H

#include "base/record.h"

#include <stdint.h>

struct records_options {
    uint64_t seed;
    uint32_t n;         /* records */
    uint32_t n_streams; /* 0: 1 */
    uint64_t first_seq; /* the next ones follow without a gap */
    ts_ns from;
    dur_ns span; /* ts lies in [from, from + span), loosely ascending */
    bool nasty;  /* NUL, CR, invalid UTF-8, empty and very long lines, keys of one record only */
};

/* xorshift: state must not be 0. */
uint64_t records_random(uint64_t *state);

struct batch *records_make(const struct records_options *opt);

/* 0 when line, ts, seq, labels and attributes are the same, else which differs first, for fail_msg.
 */
const char *records_differ(const struct batch *a, const struct record *x, const struct batch *b,
                           const struct record *y);

#endif
