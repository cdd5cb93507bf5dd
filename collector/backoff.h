/* collector/backoff.h - how long to wait before the next try: doubling, with jitter, up to a limit.
 */
#ifndef LOGQ_COLLECTOR_BACKOFF_H
#define LOGQ_COLLECTOR_BACKOFF_H

#include <stdint.h>

/* Visible so that it can be embedded; set min and max, leave the rest zero. */
struct backoff {
    uint64_t min_ms, max_ms;
    uint64_t now_ms; /* private: the last step, 0 at the start */
    uint64_t seed;   /* private */
};

/* The next delay: within the upper half of min, 2 min, 4 min ... max. */
uint64_t backoff_next_ms(struct backoff *b);
/* It worked: begin at min again. */
void backoff_reset(struct backoff *b);

#endif
