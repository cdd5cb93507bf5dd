/*
 * Frames of a block as they come out of the seal, but from a stranger: each decoder must end in
 * rows or in an error, within its budget.  Input: u8 which, u16 rows, u8 streams, then the frame.
 */
#include "storage/block.h"
#include "storage/block_header.h"

#include <zstd.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sink; /* what was read must have been readable */

static void use(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += (uint8_t)s.p[i];
}

static void try_lines(struct str frame, size_t n, struct arena *a)
{
    struct block_lines l;
    struct err err;

    if (block_lines_decode(frame, n, a, &l, &err) == 0)
        for (size_t i = 0; i < n; i++)
            use(block_line(&l, i));
}

static void try_keys(struct str frame, size_t n, uint32_t last, struct arena *a)
{
    const struct block_shape shape = {n, 3, 3 + last};
    struct block_keys k;
    struct err err;

    if (block_keys_decode(frame, &shape, a, &k, &err) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (k.layout[i] >= n || k.stream[i] < 3 || k.stream[i] > 3 + last)
            abort();
}

static void try_attrs(struct str frame, size_t n, struct arena *a)
{
    struct block_attrs at;
    struct err err;

    if (block_attrs_decode(frame, n, a, &at, &err) < 0)
        return;
    for (size_t i = 0; i < n; i++) {
        const struct label *v = NULL;
        uint32_t count = 0;
        if (block_attrs_row(&at, i, a, &v, &count, &err) < 0)
            return;
        for (uint32_t k = 0; k < count; k++) {
            use(v[k].name);
            use(v[k].value);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = (size_t)64 << 20};
    struct arena *a = arena_new(&budget, 0);
    struct str frame = STR_NULL;
    uint8_t header[BLOCK_HEADER_STORED];
    struct block_header h;
    struct err err;
    uint32_t last;
    size_t n;

    if (size >= 4) {
        frame = (struct str){(const char *)data + 4, size - 4};
        n = 1 + (size_t)(data[1] | data[2] << 8);
        last = data[3] < n ? data[3] : (uint32_t)n - 1;
        if ((data[0] & 4) != 0) {
            ZSTD_DCtx *zstd = ZSTD_createDCtx();
            struct block_frame f = {.codec = BLOCK_ZSTD, .bytes = frame};
            f.raw_bytes = (uint32_t)ZSTD_getFrameContentSize(frame.p, frame.n);
            if (block_frame_open(zstd, &f, a, &frame, &err) < 0)
                frame.n = 0;
            (void)ZSTD_freeDCtx(zstd);
        }
        if ((data[0] & 3) == 0)
            try_keys(frame, n, last, a);
        else if ((data[0] & 3) == 1)
            try_lines(frame, n, a);
        else
            try_attrs(frame, n, a);
        if (size >= sizeof(header)) {
            memcpy(header, data, sizeof(header));
            (void)block_header_get(header, &h, &err);
        }
    }
    arena_free(&a);
    if (budget.used != 0 || budget.peak > budget.limit)
        abort();
    return 0;
}
