/*
 * Frames of a block as they come out of the seal, but from a stranger: each decoder must end in
 * rows or in an error, within its budget.  Input: u8 which (and 4: compressed, 8: a census with as
 * many templates as the high 4 bits say), u16 rows, u8 streams, then the frame.  Plans and data
 * frames: fuzz_lines.c.
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

static void try_keys(struct str frame, const struct block_shape *shape, unsigned wanted,
                     struct arena *a)
{
    struct block_keys k;
    struct err err;

    if (block_keys_decode(frame, shape, wanted, a, &k, &err) < 0)
        return;
    for (size_t i = 0; k.layout != NULL && i < shape->rows; i++)
        if (k.layout[i] >= shape->rows || k.stream[i] < shape->first_stream ||
            k.stream[i] > shape->last_stream)
            abort();
}

static void try_rollup(struct str frame, const struct block_shape *shape, struct arena *a)
{
    struct block_rollup u;
    struct err err;
    uint64_t rows = 0;

    if (block_rollup_decode(frame, shape, a, &u, &err) < 0)
        return;
    for (size_t i = 0; i < u.n; i++) {
        if (u.entry[i].level >= u.n_levels || u.entry[i].stream > shape->last_stream)
            abort();
        use(u.level[u.entry[i].level]);
        rows += u.entry[i].rows;
    }
    if (rows != shape->rows)
        abort();
}

static void try_census(struct str frame, const struct block_shape *shape, size_t n_templates,
                       struct arena *a)
{
    struct block_census u;
    struct err err;
    uint64_t rows = 0;

    if (block_census_decode(frame, shape, n_templates, a, &u, &err) < 0)
        return;
    for (size_t i = 0; i < u.n_runs; i++) {
        const struct block_census_run *run = &u.run[i];
        if (run->level >= u.n_levels || run->stream > shape->last_stream ||
            run->template >= n_templates || run->n == 0)
            abort();
        use(u.level[run->level]);
        for (uint32_t k = run->first; k < run->first + run->n; k++) {
            rows += u.entry[k].rows;
            if (k > run->first && u.entry[k].minute <= u.entry[k - 1].minute)
                abort();
        }
    }
    if (rows != shape->rows)
        abort();
}

static void try_plans(struct str frame)
{
    struct block_plans p;
    struct err err;

    if (block_plans_split(frame, &p, &err) < 0)
        return;
    use(p.lines);
    use(p.attrs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = (size_t)64 << 20};
    struct arena *a = arena_new(&budget, 0);
    struct block_shape shape = {.first_stream = 3};
    struct str frame = STR_NULL;
    uint8_t header[BLOCK_HEADER_STORED];
    struct block_header h;
    struct err err;

    if (size >= 4) {
        frame = (struct str){(const char *)data + 4, size - 4};
        shape.rows = 1 + (size_t)(data[1] | data[2] << 8);
        shape.last_stream = 3 + (data[3] < shape.rows ? data[3] : (uint32_t)shape.rows - 1);
        if ((data[0] & 4) != 0) {
            ZSTD_DCtx *zstd = ZSTD_createDCtx();
            struct block_frame f = {.codec = BLOCK_ZSTD, .bytes = frame};
            f.raw_bytes = (uint32_t)ZSTD_getFrameContentSize(frame.p, frame.n);
            if (block_frame_open(zstd, &f, a, &frame, &err) < 0)
                frame.n = 0;
            (void)ZSTD_freeDCtx(zstd);
        }
        if ((data[0] & 3) <= 1)
            try_keys(frame, &shape, (data[0] & 3) == 0 ? BLOCK_WANT_KEYS : data[0] >> 4, a);
        else if ((data[0] & 3) == 2 && (data[0] & 8) != 0)
            try_census(frame, &shape, 1 + (size_t)(data[0] >> 4), a);
        else if ((data[0] & 3) == 2)
            try_rollup(frame, &shape, a);
        else
            try_plans(frame);
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
