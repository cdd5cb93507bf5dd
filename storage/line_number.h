/*
 * storage/line_number.h - numbers whose digits hold a literal, found by arithmetic.
 *
 * The k digits from place p up are (x / 10^p) mod 10^k: they are D when x mod 10^(p + k) lies in
 * [D 10^p, (D + 1) 10^p).  For a few values of p that is asked of many numbers at once, with AVX2
 * where the CPU has it: eight at a time in floats, which find all that have a literal and a few
 * more, and these four at a time in doubles, which are exact.  Only places at which a number of the
 * column can have the literal are asked about.  Immutable after init; any thread.
 */
#ifndef LOGQ_STORAGE_LINE_NUMBER_H
#define LOGQ_STORAGE_LINE_NUMBER_H

#include "storage/line_needle.h"
#include "storage/slot.h"

enum { LINE_NUMBER_TESTS = 48 };

struct line_number_test {
    double inverse, center, half; /* x * inverse - center is less than half from a whole number */
    double least;                 /* and x is not below this */
    bool once;                    /* the whole number is 0, and there is no least */
    struct {
        float inverse, center, half, least;
    } rough; /* the same, wide enough for what floats are off by */
};

struct line_number {
    size_t n; /* 0: no number of the column has a literal */
    bool portable;
    bool rough; /* floats let few others pass */
    struct line_number_test test[LINE_NUMBER_TESTS];
};

/* For the numbers of a column with stamp `s`.  false: that cannot be told this way. */
bool line_number_init(struct line_number *m, const struct line_needle *w,
                      const struct slot_stamp *s);

/* Set bit `first` + i of `bits` for each v[i] that has a literal; `first` is a multiple of 64. */
void line_number_mark(const struct line_number *m, const uint64_t *v, size_t n, size_t first,
                      uint64_t *bits);

#endif
