/*
 * collector/redact.h - takes secrets out of texts before they leave the host.
 *
 * Typed detectors (redact_detect.h) behind one pass that looks for hints (redact_scan.h), and
 * patterns of the configuration.  What is found is replaced by [redacted:<type>] and counted; a
 * text without a hint costs that pass and no copy.  Immutable, one thread at a time.
 */
#ifndef LOGQ_COLLECTOR_REDACT_H
#define LOGQ_COLLECTOR_REDACT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "collector/patterns.h"

enum redact_type {
    REDACT_BEARER,
    REDACT_CLOUD_KEY,
    REDACT_JWT,
    REDACT_CARD,
    REDACT_EMAIL,
    REDACT_IP,
    REDACT_PRIVATE_KEY,
    REDACT_PATTERN,
    REDACT_TYPES
};
enum { REDACT_ALL = (1 << REDACT_PATTERN) - 1 }; /* every detector */

/* Bit of the detector called `name`; 0: there is none. */
unsigned redact_by_name(struct str name);

/* Patterns of the configuration: what they match becomes [redacted:<name>]. */
struct redact_pattern {
    struct str name;
    struct pattern *pattern;
};
struct redact_patterns {
    struct redact_pattern *v;
    size_t n;
};

/* Where texts without their secrets are put: not used elsewhere while such a text is. */
struct redact_scratch {
    struct buf v[2];
};
void redact_scratch_init(struct redact_scratch *s, size_t max);
void redact_scratch_fini(struct redact_scratch *s);

struct redact;

/* Detectors `types` (bits) and `patterns` (borrowed, may be NULL).  NULL: there is nothing to do.
 * Free with redact_free. */
struct redact *redact_new(unsigned types, const struct redact_patterns *patterns);
void redact_free(struct redact **pr);

/* Is it surely a line out of the middle of a private key? */
bool redact_is_key_line(struct str text);

/* How a text hangs together with those before and behind it in its stream. */
struct redact_flow {
    bool in_key;     /* it begins inside a private key; redact_text: the next one does */
    bool begins_cut; /* the text before was cut off, and this is the rest of it */
    bool ends_cut;   /* there was more of it than is here */
};

/* *text without secrets, in `scratch` if there were any, until its next use.  With `flow` (may be
 * NULL) also what may be a piece of one, as [redacted:cut]: the word that a cut goes through, and
 * the one behind it. */
void redact_text(const struct redact *r, struct str *text, struct redact_flow *flow,
                 struct redact_scratch *scratch);

#endif
