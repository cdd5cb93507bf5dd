/*
 * collector/redact_detect.h - the detectors: is what lies at a hint a secret, and how far does it
 * reach?
 *
 * Pure functions of the text, linear in it however hostile it is.  None takes a quote or anything
 * behind one, so that a line of JSON stays one.
 */
#ifndef LOGQ_COLLECTOR_REDACT_DETECT_H
#define LOGQ_COLLECTOR_REDACT_DETECT_H

#include "collector/redact.h"
#include "collector/redact_scan.h"

struct redact_span {
    size_t start, end; /* of the text; start == end: nothing */
    enum redact_type type;
};

/* What the detectors of `types` (bits 1 << enum redact_type) have to be told about. */
void redact_detect_needles(unsigned types, struct redact_needles *ret);

/* A byte with hints, and what is left to be asked about it. */
struct redact_place {
    size_t at;
    unsigned
        hints;  /* enum redact_hint: each is asked once, but REDACT_GROUPS as long as it finds */
    size_t run; /* REDACT_GROUPS: from `at` to there all is of the run; at first `at` */
};

/* The first secret of one of `types` that a hint at this place stands for and that does not end
 * before `from`.  false: none.  Ask again with from = its end. */
bool redact_detect(unsigned types, struct str text, struct redact_place *place, size_t from,
                   struct redact_span *ret);

/* ---- private keys that lie in several lines ---- */

/* Does the private key that was found go on behind the text? */
bool redact_detect_is_open(struct str text, struct redact_span key);
/* A whole line of base64, as long as they are in keys. */
bool redact_detect_is_key_line(struct str text);
/* In the middle of a key: how many bytes of `text` still belong to it, and does it go on behind?
 * `cut`: it is certain that the text goes on where the one before ended, be it in a line. */
size_t redact_detect_go_on(struct str text, bool cut, bool *is_open);

/* ---- texts that were cut off ---- */

/* How many bytes at the beginning of `text` may be the rest of a secret that was cut in two. */
size_t redact_detect_cut_head(struct str text);
/* And where one may begin that is cut by its end; text.n: nowhere. */
size_t redact_detect_cut_tail(struct str text);
/* Where the line that begins a private key does, if it is cut itself; text.n: nowhere. */
size_t redact_detect_cut_key(struct str text);
/* Is the beginning of `text` the rest of that line, but for dashes that stood before the cut? */
bool redact_detect_is_cut_key(struct str text);

#endif
