/*
 * What the tests of collector/redact share: detectors, made anew for each text, and what they write
 * into.  Functions are inline because no test needs all of them.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_REDACT_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_REDACT_WORLD_H

#include "collector/metrics.h"
#include "collector/redact.h"
#include "tests/lib/check.h"

static struct redact_scratch scratch;
static struct redact *redact;

static inline int setup(void **state)
{
    (void)state;
    metrics_setup();
    redact_scratch_init(&scratch, 1 << 20);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    redact_free(&redact);
    redact_scratch_fini(&scratch);
    return 0;
}

/* `text` without what detectors `types` take out: valid until the next. */
static inline struct str clean_bytes(unsigned types, struct str text)
{
    struct redact_flow flow = {.in_key = false};

    redact_free(&redact);
    redact = redact_new(types, NULL);
    redact_text(redact, &text, &flow, &scratch);
    return text;
}

#endif
