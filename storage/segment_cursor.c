/* storage/segment_cursor.c - see segment_cursor.h. */
#include "storage/segment_cursor.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/segment_reader.h"

#include <stdlib.h>

struct segment_cursor {
    unsigned magic;
#define SEGMENT_CURSOR_MAGIC 0x5e9c0250u
    struct segment_reader *reader; /* owned, as is all that follows */
    struct segment_info *info;
    struct mem_budget *budget; /* borrowed */
    struct arena *block;       /* of the open block */
    struct arena *row;         /* of the row handed out */
    uint32_t next_block;
    bool is_open; /* a block is, and `at` is inside */

    struct segment_reader_block b;
    struct block_keys keys;
    uint32_t *arrival; /* of each row in layout order: its place in keys */
    size_t at;         /* in layout order */
    struct lines_plan *lines_plan, *attrs_plan;
    struct lines *lines, *attrs; /* attrs NULL: no row has any */
};

int segment_cursor_open(struct objstore *os, const uint8_t uuid[SEGMENT_UUID], const uint8_t *key,
                        struct mem_budget *budget, struct segment_cursor **ret, struct err *err)
{
    struct segment_cursor *c = mem_new(sizeof(*c));
    int r;

    c->magic = SEGMENT_CURSOR_MAGIC;
    c->budget = budget;
    c->block = arena_new(budget, 0);
    c->row = arena_new(budget, 0);
    r = segment_reader_open(os, uuid, key, &c->reader, err);
    if (r == 0)
        r = segment_reader_info(c->reader, budget, &c->info, err);
    if (r < 0)
        segment_cursor_free(&c);
    else
        *ret = c;
    return r;
}

static void close_block(struct segment_cursor *c)
{
    lines_plan_free(&c->lines_plan);
    lines_plan_free(&c->attrs_plan);
    c->lines = c->attrs = NULL;
    c->is_open = false;
    arena_reset(c->block);
}

void segment_cursor_free(struct segment_cursor **pc)
{
    struct segment_cursor *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, SEGMENT_CURSOR_MAGIC);
    close_block(c);
    segment_info_free(&c->info);
    segment_reader_free(&c->reader);
    arena_free(&c->block);
    arena_free(&c->row);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

const struct segment_info *segment_cursor_info(const struct segment_cursor *c)
{
    OBJ_CHECK(c, SEGMENT_CURSOR_MAGIC);
    return c->info;
}

/* ---- a block ---- */

static int read_frame(struct segment_cursor *c, enum block_frame_kind kind, uint32_t index,
                      struct str *ret, struct err *err)
{
    int r = segment_reader_frame(c->reader, &c->b, kind, index, c->block, ret, err);

    return r == 1 ? err_set(err, ERR_CORRUPT, "a block lacks a frame") : r;
}

static int read_lines(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    return read_frame(arg, BLOCK_DATA, index, ret, err);
}

static int read_attrs(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct segment_cursor *c = arg;

    return read_frame(c, BLOCK_DATA, (uint32_t)c->lines_plan->n_frames + index, ret, err);
}

static int open_keys(struct segment_cursor *c, struct err *err)
{
    const struct block_header *h = &c->b.header;
    struct block_shape shape = {h->rows, h->first_stream, h->last_stream};
    struct str frame = STR_NULL;
    int r = read_frame(c, BLOCK_KEYS, 0, &frame, err);

    if (r == 0)
        r = block_keys_decode(frame, &shape, BLOCK_WANT_KEYS, c->block, &c->keys, err);
    if (r < 0)
        return r;
    c->arrival = arena_alloc(c->block, h->rows * sizeof(*c->arrival));
    if (c->arrival == NULL)
        return arena_err(c->block, err);
    for (uint32_t i = 0; i < h->rows; i++)
        c->arrival[c->keys.layout[i]] = i;
    return 0;
}

static int open_plans(struct segment_cursor *c, struct err *err)
{
    size_t rows = c->b.header.rows;
    struct block_plans plans = {STR_NULL, STR_NULL};
    struct str frame = STR_NULL;
    int r = read_frame(c, BLOCK_PLAN, 0, &frame, err);

    if (r == 0)
        r = block_plans_split(frame, &plans, err);
    if (r == 0)
        r = lines_plan_new(plans.lines, rows, c->budget, &c->lines_plan, err);
    if (r == 0)
        r = lines_open(c->lines_plan, read_lines, c, c->block, &c->lines, err);
    if (r == 0 && plans.attrs.n > 0) {
        r = lines_plan_new(plans.attrs, rows, c->budget, &c->attrs_plan, err);
        if (r == 0)
            r = lines_open(c->attrs_plan, read_attrs, c, c->block, &c->attrs, err);
    }
    return r;
}

static int open_block(struct segment_cursor *c, struct err *err)
{
    int r = segment_reader_block(c->reader, &c->info->blocks[c->next_block], c->next_block,
                                 c->block, &c->b, err);

    if (r == 0)
        r = open_keys(c, err);
    if (r == 0)
        r = open_plans(c, err);
    if (r < 0)
        return err_wrap(err, "block %u", c->next_block);
    c->next_block++;
    c->at = 0;
    c->is_open = true;
    return 0;
}

/* ---- rows ---- */

int segment_cursor_at(struct segment_cursor *c, struct segment_cursor_key *ret, struct err *err)
{
    int r = 0;

    OBJ_CHECK(c, SEGMENT_CURSOR_MAGIC);
    if (!c->is_open) {
        close_block(c); /* also what a failure has left half open */
        if (c->next_block == c->info->n_blocks)
            return 1;
        r = open_block(c, err);
    }
    if (r == 0)
        *ret = (struct segment_cursor_key){c->keys.stream[c->arrival[c->at]],
                                           c->keys.seq[c->arrival[c->at]]};
    return r;
}

int segment_cursor_row(struct segment_cursor *c, struct segment_item *ret, struct err *err)
{
    uint32_t arrival;
    int r;

    OBJ_CHECK(c, SEGMENT_CURSOR_MAGIC);
    INVARIANT(c->is_open);
    arrival = c->arrival[c->at];
    *ret = (struct segment_item){
        .ts = c->keys.ts[arrival],
        .seq = c->keys.seq[arrival],
        .min_received = c->b.header.min_received,
        .max_received = c->b.header.max_received,
    };
    arena_reset(c->row);
    r = lines_render(c->lines, c->at, c->row, &ret->line, err);
    if (r == 0 && c->attrs != NULL)
        r = lines_attrs(c->attrs, c->at, c->row, &ret->attr, &ret->n_attr, err);
    return r;
}

void segment_cursor_step(struct segment_cursor *c)
{
    OBJ_CHECK(c, SEGMENT_CURSOR_MAGIC);
    INVARIANT(c->is_open);
    if (++c->at == c->b.header.rows)
        c->is_open = false;
}

uint32_t segment_cursor_block(const struct segment_cursor *c)
{
    OBJ_CHECK(c, SEGMENT_CURSOR_MAGIC);
    INVARIANT(c->next_block > 0);
    return c->next_block - 1;
}
