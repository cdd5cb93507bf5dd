/*
 * query/layout.h - instants written and read by a layout, which is how one moment would look: "Mon
 * Jan 2 15:04:05 MST 2006" (Go's package time).
 */
#ifndef LOGQ_QUERY_LAYOUT_H
#define LOGQ_QUERY_LAYOUT_H

#include "base/buf.h"
#include "query/zone.h"

struct instant {
    int64_t unix_s;
    int32_t nsec; /* 0..999999999 */
    const struct zone *zone;
};

void layout_print(struct str layout, const struct instant *t, struct buf *out);

/* The whole of `text`, read in `zone` where it names none.  A zone that it names and that is not
 * `zone` is filled into *made, which ret->zone then points to.  false: the text does not fit. */
bool layout_parse(struct str layout, struct str text, const struct zone *zone, struct zone *made,
                  struct instant *ret);

/* 1..12, 0..6 */
const char *layout_month(unsigned month);
const char *layout_weekday(unsigned day);

#endif
