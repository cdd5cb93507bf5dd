/*
 * storage/scan_block.c - a block on disk, read piece by piece when somebody asks.
 *
 * Plans and small data frames come from the cache where they are there: then neither the segment is
 * opened nor its key unwrapped.
 */
#include "storage/scan_internal.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { SUMS_CACHED = 256 << 10 /* bytes of a block's sums that are worth keeping */ };

/* ---- readers ---- */

void scan_block_close_readers(struct scan_worker *w, const struct scan_part *part)
{
    for (size_t i = 0; i < SCAN_READERS; i++) {
        if (part != NULL && w->reader[i].part != part)
            continue;
        segment_reader_free(&w->reader[i].reader);
        w->reader[i] = (struct scan_reader){.used = 0};
    }
}

/* Opened in place of the one that was not used for the longest. */
int scan_reader_get(struct scan_worker *w, const struct scan_part *part,
                    const struct scan_segment *segment, struct segment_reader **ret,
                    struct err *err)
{
    const struct partition *p = part->partition;
    struct scan_reader *at = &w->reader[0];
    struct segment_reader *fresh = NULL;
    int r;

    for (size_t i = 0; i < SCAN_READERS; i++) {
        struct scan_reader *rd = &w->reader[i];
        if (rd->reader != NULL && rd->segment == segment) {
            rd->used = ++w->clock;
            *ret = rd->reader;
            return 0;
        }
        if (rd->used < at->used)
            at = rd;
    }
    r = segment_reader_open(partition_objects(p), segment->uuid, partition_key(p), &fresh, err);
    if (r < 0)
        return r;
    segment_reader_free(&at->reader);
    *at = (struct scan_reader){segment, part, fresh, ++w->clock};
    *ret = fresh;
    return 0;
}

/* ---- frames ---- */

static int read_directory(struct scan_block *b, struct segment_reader *rd, struct err *err)
{
    struct scan_candidate *c = b->candidate;
    struct segment_reader_block *d;
    int r;

    if (b->directory != NULL)
        return 0;
    d = arena_alloc(b->arena, sizeof(*d));
    if (d == NULL)
        return arena_err(b->arena, err);
    b->worker->stats.blocks_read += !c->was_read;
    c->was_read = true;
    r = segment_reader_block(rd, &c->block, c->index, b->arena, d, err);
    if (r == 0 && d->header.last_stream >= c->segment->n_streams)
        r = err_set(err, ERR_CORRUPT, "block names streams that its segment does not have");
    if (r == 0)
        b->directory = d;
    return r;
}

/* The plain bytes of a frame, from disk.  1: the block has none. */
static int read_frame(struct scan_block *b, enum block_frame_kind kind, uint32_t index,
                      struct str *ret, struct err *err)
{
    struct segment_reader *rd = NULL;
    uint64_t before;
    int r = scan_reader_get(b->worker, b->candidate->part, b->candidate->segment, &rd, err);

    if (r < 0)
        return r;
    before = segment_reader_bytes(rd);
    r = read_directory(b, rd, err);
    if (r == 0)
        r = segment_reader_frame(rd, b->directory, kind, index, b->arena, ret, err);
    b->worker->stats.stored_bytes_read += segment_reader_bytes(rd) - before;
    return r;
}

struct frame_key scan_block_key(const struct scan_block *b, enum frame_kind kind, uint32_t index)
{
    struct frame_key key = {
        .block = b->candidate->index, .kind = (uint16_t)kind, .index = (uint16_t)index};

    memcpy(key.id, b->candidate->segment->uuid, sizeof(key.id));
    return key;
}

struct frame *scan_frame_keep(struct frame_cache *frames, const struct partition *p,
                              const struct frame_key *key, void *value, size_t bytes,
                              frame_free_fn *free_value)
{
    struct frame_owner owner = {partition_tenant(p), partition_day(p)};
    struct frame *f = frame_cache_put(frames, key, &owner, value, bytes, free_value);

    if (partition_is_dropped(p)) /* who dropped it did not see this */
        frame_cache_drop(frames, &owner);
    return f;
}

static struct frame *keep(struct scan_block *b, const struct frame_key *key, void *value,
                          size_t bytes, frame_free_fn *free_value)
{
    return scan_frame_keep(b->sc->frames, b->candidate->part->partition, key, value, bytes,
                           free_value);
}

static void keep_bytes(struct scan_block *b, const struct frame_key *key, struct str bytes)
{
    struct str *copy;
    struct frame *f;

    if (b->sc->frames == NULL || bytes.n > SCAN_FRAME_CACHED)
        return;
    copy = mem_new(sizeof(*copy) + bytes.n + 1);
    if (bytes.n > 0)
        memcpy(copy + 1, bytes.p, bytes.n);
    *copy = (struct str){(char *)(copy + 1), bytes.n};
    f = keep(b, key, copy, sizeof(*copy) + bytes.n, free);
    frame_unref(&f); /* the reader goes on with what is in the arena */
}

/* The same, from the cache if it is there. */
static int get_frame(struct scan_block *b, enum block_frame_kind kind, uint32_t index,
                     struct str *ret, struct err *err)
{
    struct frame_key key = scan_block_key(b, FRAME_BYTES, (uint32_t)kind << 13 | index);
    struct frame *f = frame_cache_get(b->sc->frames, &key);
    int r;

    if (f != NULL) {
        VEC_PUSH(&b->frames, f);
        *ret = *(const struct str *)frame_value(f);
        return 0;
    }
    r = read_frame(b, kind, index, ret, err);
    if (r == 0)
        keep_bytes(b, &key, *ret);
    return r;
}

/* ---- plans ---- */

struct plans {
    struct lines_plan *lines, *attrs;
};

static void free_plans(void *value)
{
    struct plans *p = value;

    lines_plan_free(&p->lines);
    lines_plan_free(&p->attrs);
    free(p);
}

static int load_plans(struct scan_block *b, struct plans *p, struct err *err)
{
    size_t rows = b->candidate->block.rows;
    struct block_plans bytes = {.lines = STR_NULL};
    struct str frame = STR_NULL;
    int r = read_frame(b, BLOCK_PLAN, 0, &frame, err);

    if (r == 1)
        r = err_set(err, ERR_CORRUPT, "block without a plan");
    if (r == 0)
        r = block_plans_split(frame, &bytes, err);
    if (r == 0)
        r = lines_plan_new(bytes.lines, rows, NULL, &p->lines, err);
    if (r == 0 && bytes.attrs.n > 0)
        r = lines_plan_new(bytes.attrs, rows, NULL, &p->attrs, err);
    return r;
}

int scan_block_plans(struct scan_block *b, struct err *err)
{
    struct frame_key key = scan_block_key(b, FRAME_PLANS, 0);
    const struct plans *p;

    if (b->plans != NULL)
        return 0;
    b->plans = frame_cache_get(b->sc->frames, &key);
    if (b->plans == NULL) {
        struct plans *fresh = mem_new(sizeof(*fresh));
        size_t held = sizeof(*fresh);
        int r = load_plans(b, fresh, err);
        if (r < 0) {
            free_plans(fresh);
            return r;
        }
        held += lines_plan_held(fresh->lines);
        held += fresh->attrs == NULL ? 0 : lines_plan_held(fresh->attrs);
        b->plans = keep(b, &key, fresh, held, free_plans);
    }
    p = frame_value(b->plans);
    b->lines_plan = p->lines;
    b->attrs_plan = p->attrs;
    return 0;
}

/* ---- lines and attributes ---- */

static int give_frame(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct scan_side *side = arg;
    int r = get_frame(side->block, BLOCK_DATA, side->first + index, ret, err);

    return r == 1 ? err_set(err, ERR_CORRUPT, "block lacks a data frame") : r;
}

int scan_block_lines(struct scan_block *b, struct err *err)
{
    int r = scan_block_plans(b, err);

    if (r < 0 || b->lines != NULL)
        return r;
    b->lines_side = (struct scan_side){b, 0};
    return lines_open(b->lines_plan, give_frame, &b->lines_side, b->arena, &b->lines, err);
}

int scan_block_attrs(struct scan_block *b, struct err *err)
{
    int r = scan_block_plans(b, err);

    if (r < 0 || b->attrs != NULL || b->attrs_plan == NULL)
        return r;
    b->attrs_side = (struct scan_side){b, (uint32_t)b->lines_plan->n_frames};
    return lines_open(b->attrs_plan, give_frame, &b->attrs_side, b->arena, &b->attrs, err);
}

/* ---- keys ---- */

int scan_block_keys(struct scan_block *b, unsigned wanted, struct block_keys *keys, struct err *err)
{
    const struct segment_block *sb = &b->candidate->block;
    struct block_shape shape = {sb->rows, sb->first_stream, sb->last_stream};
    struct block_keys got = {.ts = NULL};
    int r = 0;

    wanted &= ~((keys->ts != NULL ? (unsigned)BLOCK_WANT_TS : 0) |
                (keys->stream != NULL ? (unsigned)BLOCK_WANT_STREAM : 0) |
                (keys->seq != NULL ? (unsigned)BLOCK_WANT_SEQ : 0) |
                (keys->layout != NULL ? (unsigned)BLOCK_WANT_LAYOUT : 0));
    if (wanted == 0)
        return 0;
    if (b->keys.p == NULL)
        r = read_frame(b, BLOCK_KEYS, 0, &b->keys, err);
    if (r == 1)
        r = err_set(err, ERR_CORRUPT, "block without keys");
    if (r == 0)
        r = block_keys_decode(b->keys, &shape, wanted, b->arena, &got, err);
    if (r < 0)
        return r;
    keys->ts = got.ts != NULL ? got.ts : keys->ts;
    keys->stream = got.stream != NULL ? got.stream : keys->stream;
    keys->seq = got.seq != NULL ? got.seq : keys->seq;
    keys->layout = got.layout != NULL ? got.layout : keys->layout;
    return 0;
}

int scan_block_rollup(struct scan_block *b, struct block_rollup *ret, struct err *err)
{
    const struct segment_block *sb = &b->candidate->block;
    struct block_shape shape = {sb->rows, sb->first_stream, sb->last_stream};
    struct str frame = STR_NULL;
    int r = get_frame(b, BLOCK_ROLLUP, 0, &frame, err);

    return r != 0 ? r : block_rollup_decode(frame, &shape, b->arena, ret, err);
}

static void keep_sums(struct scan_block *b, const struct frame_key *key,
                      const struct block_rollup *ro)
{
    size_t held = sizeof(*ro) + ro->n * sizeof(*ro->entry) + ro->n_levels * sizeof(*ro->level);
    struct block_rollup *copy; /* with all that it points to in one piece */
    struct frame *f;
    char *text;

    for (size_t i = 0; i < ro->n_levels; i++)
        held += ro->level[i].n;
    if (held > SUMS_CACHED || held > frame_cache_value_max(b->sc->frames))
        return;
    copy = mem_new(held);
    *copy = (struct block_rollup){.n_levels = ro->n_levels, .n = ro->n};
    copy->entry = (struct block_rollup_entry *)(copy + 1);
    copy->level = (struct str *)(copy->entry + ro->n);
    text = (char *)(copy->level + ro->n_levels);
    memcpy(copy->entry, ro->entry, ro->n * sizeof(*ro->entry));
    for (size_t i = 0; i < ro->n_levels; i++) {
        struct str l = ro->level[i];
        copy->level[i] = l.p == NULL ? STR_NULL : (struct str){text, l.n};
        if (l.n > 0)
            memcpy(text, l.p, l.n);
        text += l.n;
    }
    f = keep(b, key, copy, held, free);
    frame_unref(&f); /* the reader goes on with what is in the arena */
}

int scan_block_sums(struct scan_block *b, struct block_rollup *ret, struct err *err)
{
    const struct segment_block *sb = &b->candidate->block;
    struct frame_key key = scan_block_key(b, FRAME_SUMS, 0);
    struct frame *f = frame_cache_get(b->sc->frames, &key);
    int r;

    if (f != NULL) {
        VEC_PUSH(&b->frames, f);
        *ret = *(const struct block_rollup *)frame_value(f);
        if (ret->entry[0].stream < sb->first_stream ||
            ret->entry[ret->n - 1].stream > sb->last_stream) /* the catalog says otherwise now */
            return err_set(err, ERR_CORRUPT, "rollup of other streams");
        return 0;
    }
    r = scan_block_rollup(b, ret, err);
    if (r == 0) {
        block_rollup_sum(ret);
        keep_sums(b, &key, ret);
    }
    return r;
}

int scan_block_census(struct scan_block *b, struct block_census *ret, struct err *err)
{
    const struct segment_block *sb = &b->candidate->block;
    struct block_shape shape = {sb->rows, sb->first_stream, sb->last_stream};
    struct str frame = STR_NULL;
    int r = scan_block_plans(b, err);

    if (r == 0)
        r = get_frame(b, BLOCK_CENSUS, 0, &frame, err);
    return r != 0
               ? r
               : block_census_decode(frame, &shape, b->lines_plan->n_templates, b->arena, ret, err);
}

/* ---- life ---- */

void scan_block_init(struct scan_block *b, struct scan *sc, struct scan_worker *w,
                     struct scan_candidate *c, struct arena *a)
{
    *b = (struct scan_block){.sc = sc, .worker = w, .candidate = c, .arena = a};
}

void scan_block_fini(struct scan_block *b)
{
    for (size_t i = 0; i < b->frames.n; i++)
        frame_unref(&b->frames.p[i]);
    VEC_FINI(&b->frames);
    frame_unref(&b->plans);
}

int scan_block_forgive(struct scan_worker *w, const struct scan_candidate *c, int r,
                       struct err *err)
{
    if (r != ERR_CORRUPT && r != ERR_IO && r != ERR_GONE && r != ERR_UNSUPPORTED)
        return r;
    if (!partition_is_dropped(c->part->partition)) /* else it went while we were on our way to it */
        scan_damage(&w->stats, c->part->partition, err);
    return 0;
}
