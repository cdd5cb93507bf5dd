/* query/layout_item.h - the pieces of a layout: shared by layout_print and layout_parse. */
#ifndef LOGQ_QUERY_LAYOUT_ITEM_H
#define LOGQ_QUERY_LAYOUT_ITEM_H

#include "base/str.h"

/* X(name, text).  Of two that fit at a place the first in this list counts. */
#define LAYOUT_ITEMS(X)                                                                            \
    X(LONG_MONTH, "January")                                                                       \
    X(MONTH, "Jan")                                                                                \
    X(LONG_WEEKDAY, "Monday")                                                                      \
    X(WEEKDAY, "Mon")                                                                              \
    X(ABBREV, "MST")                                                                               \
    X(ZERO_YEARDAY, "002")                                                                         \
    X(ZERO_MONTH, "01")                                                                            \
    X(ZERO_DAY, "02")                                                                              \
    X(ZERO_HOUR12, "03")                                                                           \
    X(ZERO_MINUTE, "04")                                                                           \
    X(ZERO_SECOND, "05")                                                                           \
    X(YEAR, "06")                                                                                  \
    X(HOUR, "15")                                                                                  \
    X(NUM_MONTH, "1")                                                                              \
    X(LONG_YEAR, "2006")                                                                           \
    X(DAY, "2")                                                                                    \
    X(UNDER_YEARDAY, "__2")                                                                        \
    X(UNDER_DAY, "_2")                                                                             \
    X(HOUR12, "3")                                                                                 \
    X(MINUTE, "4")                                                                                 \
    X(SECOND, "5")                                                                                 \
    X(PM_UPPER, "PM")                                                                              \
    X(PM_LOWER, "pm")                                                                              \
    X(ZONE_SECONDS, "-070000")                                                                     \
    X(ZONE_COLON_SECONDS, "-07:00:00")                                                             \
    X(ZONE, "-0700")                                                                               \
    X(ZONE_COLON, "-07:00")                                                                        \
    X(ZONE_SHORT, "-07")                                                                           \
    X(ISO_SECONDS, "Z070000")                                                                      \
    X(ISO_COLON_SECONDS, "Z07:00:00")                                                              \
    X(ISO, "Z0700")                                                                                \
    X(ISO_COLON, "Z07:00")                                                                         \
    X(ISO_SHORT, "Z07")

enum layout_item {
    LAYOUT_END,
#define X(name, text) LAYOUT_##name,
    LAYOUT_ITEMS(X)
#undef X
        LAYOUT_FRACTION_0, /* .000 */
    LAYOUT_FRACTION_9      /* .999: without zeros at its end */
};

struct layout_piece {
    struct str before; /* stands for itself */
    enum layout_item item;
    struct str text; /* of the item */
};

/* Take text and an item from the beginning of *layout; at its end the item is LAYOUT_END. */
void layout_next(struct str *layout, struct layout_piece *ret);

static inline bool layout_is_iso(enum layout_item i)
{
    return i >= LAYOUT_ISO_SECONDS && i <= LAYOUT_ISO_SHORT;
}

static inline bool layout_is_zone(enum layout_item i)
{
    return i >= LAYOUT_ZONE_SECONDS && i <= LAYOUT_ISO_SHORT;
}

#endif
