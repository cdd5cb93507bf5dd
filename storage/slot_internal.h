/* storage/slot_internal.h - what the files of slot share. */
#ifndef LOGQ_STORAGE_SLOT_INTERNAL_H
#define LOGQ_STORAGE_SLOT_INTERNAL_H

#include "storage/slot.h"
#include "storage/slot_number.h"

enum {
    SLOT_TEXT_MAX = 256 << 20, /* bytes of all values of a column, written out */
    SLOT_DICT_MAX = 1 << 16,   /* values of a dictionary */
    SLOT_DIGITS_MAX = 20,      /* of a number of 64 bits */
};

/* The classes of all bytes of `s`. */
uint16_t slot_classes(struct str s);

/* Decimal digits of `v`, 1..20. */
uint32_t slot_digits(uint64_t v);

/* Print `v` with at least `width` <= 20 digits; how many.  `to` has room for 20. */
uint32_t slot_print(uint64_t v, uint32_t width, char *to);

#endif
