/*
 * collector/backoff.c - contract: backoff.h.
 *
 * The jitter keeps a thousand collectors from knocking at a server that has just come back in the
 * same millisecond.
 */
#include "collector/backoff.h"

#include "base/hash.h"

#include <sys/random.h>

uint64_t backoff_next_ms(struct backoff *b)
{
    if (b->seed == 0 && getrandom(&b->seed, sizeof(b->seed), GRND_NONBLOCK) != sizeof(b->seed))
        b->seed = (uint64_t)(uintptr_t)b; /* jitter need not be secret */
    b->seed = hash_bytes(&b->seed, sizeof(b->seed), 1);
    b->now_ms = b->now_ms == 0 ? b->min_ms : b->now_ms * 2;
    if (b->now_ms > b->max_ms)
        b->now_ms = b->max_ms;
    return b->now_ms - (b->now_ms < 2 ? 0 : b->seed % (b->now_ms / 2));
}

void backoff_reset(struct backoff *b)
{
    b->now_ms = 0;
}
