/*
 * tests/unit/collector/decode_world.h - a decoder, for tests of what is made of a line.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_DECODE_WORLD_H
#define LOGQ_TESTS_UNIT_COLLECTOR_DECODE_WORLD_H

#include "collector/decode.h"
#include "tests/lib/check.h"

static struct decoder d;

static inline int decode_setup(void **state)
{
    (void)state;
    decoder_init(&d);
    return 0;
}

static inline int decode_teardown(void **state)
{
    (void)state;
    decoder_fini(&d);
    return 0;
}

#endif
