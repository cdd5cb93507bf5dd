/*
 * storage/scan_captures.h - what the captures of a pattern are in the lines of one template.
 *
 * A capture ends where the next literal stands first.  The template is walked with all texts that
 * its slots may hold, as far as their stamps tell: where it is certain that the literal stands at
 * one place of the static text and nowhere before it, the capture is what lies between.  Where it
 * is not, this capture and those behind it are UNKNOWN.  Told from plans alone.
 */
#ifndef LOGQ_STORAGE_SCAN_CAPTURES_H
#define LOGQ_STORAGE_SCAN_CAPTURES_H

#include "storage/scan_internal.h"

enum scan_capture_kind {
    CAPTURE_ABSENT, /* in no line */
    CAPTURE_CONST,  /* in all lines `text`, which may be empty */
    CAPTURE_SLOT,   /* the value of a slot, and nothing else */
    CAPTURE_UNKNOWN,
};
struct scan_capture {
    enum scan_capture_kind kind;
    struct str text;
    uint32_t slot;
};

struct scan_captures {
    const struct scan_capture *v; /* of each piece of the pattern; those of literals say nothing */
    size_t n_sure;                /* pieces from the front that surely stand in the lines */
};

/* Of template `t`; everything is in `a`, or points into the plan.  ERR_NOMEM, ERR_LIMIT. */
int scan_captures(const struct scan_pattern *p, const struct lines_plan *plan, size_t t,
                  struct arena *a, struct scan_captures *ret, struct err *err);

#endif
