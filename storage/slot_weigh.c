/* storage/slot_weigh.c - see slot_weigh.h. */
#include "storage/slot_weigh.h"

#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 3 };

void slot_scale_fini(struct slot_scale *s)
{
    (void)ZSTD_freeCCtx(s->zstd);
    free(s->room);
    *s = (struct slot_scale){0};
}

size_t slot_weigh(struct slot_scale *s, struct str bytes)
{
    size_t bound = ZSTD_compressBound(bytes.n);
    size_t n;

    if (s->zstd == NULL) {
        s->zstd = ZSTD_createCCtx();
        INVARIANT(s->zstd != NULL);
    }
    if (bound > s->cap) {
        s->room = mem_grow(s->room, bound);
        s->cap = bound;
    }
    n = ZSTD_compressCCtx(s->zstd, s->room, s->cap, bytes.p, bytes.n, LEVEL);
    return ZSTD_isError(n) ? bytes.n : n;
}
