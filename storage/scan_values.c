/*
 * storage/scan_values.c - values of rows added up, without records.  Contract: scan.h, scan_value.
 *
 * Numbers and combinations of a block's rows, and records of those that cannot be judged by
 * columns, are worked out first, for any of it may be damaged; then the records are given out and
 * the numbers added to the cells, under the mutex.
 */
#include "storage/scan_sum.h"
#include "storage/scan_tally.h"

#include <string.h>

/* Records of one block. */
struct records {
    struct record *v; /* in its arena; stream: the number in the segment */
    size_t n;
};

static int read_record(struct scan_selection *s, size_t i, struct record *ret, struct err *err)
{
    struct scan_block *b = &s->block;
    const struct block_keys *keys = &s->keys;
    int r;

    *ret = (struct record){.ts = keys->ts[i], .seq = keys->seq[i], .stream = keys->stream[i]};
    r = lines_render(b->lines, keys->layout[i], b->arena, &ret->line, err);
    if (r == 0 && b->attrs != NULL)
        r = lines_attrs(b->attrs, keys->layout[i], b->arena, &ret->attr, &ret->n_attr, err);
    return r;
}

/* Rows whose columns do not tell. */
static int read_records(struct scan_selection *s, const uint64_t *unsure, struct records *ret,
                        struct err *err)
{
    size_t n = s->block.candidate->block.rows;
    size_t room = 0;
    int r = scan_block_lines(&s->block, err);

    if (r == 0)
        r = scan_block_attrs(&s->block, err);
    if (r == 0)
        r = scan_block_keys(&s->block, BLOCK_WANT_KEYS, &s->keys, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < s->words; i++)
        room += (size_t)__builtin_popcountll(unsure[i]);
    ret->v = arena_alloc(s->block.arena, room * sizeof(*ret->v) + 1);
    if (ret->v == NULL)
        return arena_err(s->block.arena, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (scan_bit(unsure, s->keys.layout[i]))
            r = read_record(s, i, &ret->v[ret->n++], err);
    return r;
}

static int give_records(struct scan_counter *k, const struct scan_candidate *c,
                        const struct records *recs, struct err *err)
{
    const struct scan_value *value = k->c->value;
    int r = 0;

    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = 0; r == 0 && i < recs->n; i++)
        r = value->record(value->arg_record, &scan_count_stream(c, recs->v[i].stream)->labels,
                          &recs->v[i], err);
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

static int add_numbers(struct scan_counter *k, struct scan_selection *s,
                       const struct scan_numbers *x, const uint32_t *combo, struct err *err)
{
    const struct scan_candidate *c = s->block.candidate;
    const struct block_keys *keys = &s->keys;
    size_t b = scan_bucket_of(&k->buckets, c->min_ts < s->lo ? s->lo : c->min_ts, 0);
    bool by_seq = k->c->value->by_seq;
    int r = 0;

    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = 0; r == 0 && i < c->block.rows; i++) {
        uint32_t at = keys->layout[i];
        struct scan_tally_key key = {.combo = combo == NULL ? 0 : combo[at]};
        struct scan_sample sample;
        if (!scan_bit(x->has, at))
            continue;
        b = scan_bucket_of(&k->buckets, keys->ts[i], b);
        key.stream = scan_count_stream(c, keys->stream[i]);
        key.bucket = b;
        sample = (struct scan_sample){keys->ts[i], by_seq ? keys->seq[i] : 0, x->v[at]};
        r = scan_tally_number(k, &key, &sample, err);
    }
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

/* Rows that are unsure for one reason or another have no number here.  Are there any? */
static bool set_apart(const struct scan_selection *s, struct scan_numbers *x)
{
    uint64_t any = 0;

    for (size_t i = 0; i < s->words; i++) {
        uint64_t doubt = s->unsure == NULL ? 0 : s->unsure[i] & (x->has[i] | x->unsure[i]);
        x->unsure[i] |= doubt;
        x->has[i] &= ~doubt;
        any |= x->unsure[i];
    }
    return any != 0;
}

int scan_values_block(struct scan_counter *k, struct scan_selection *s, struct err *err)
{
    struct scan_numbers x = {.v = NULL};
    struct records recs = {.n = 0};
    uint32_t *combo = NULL;
    int r = scan_numbers_read(s, k->c->value, &x, err);

    if (r == 0 && set_apart(s, &x))
        r = read_records(s, x.unsure, &recs, err);
    if (r == 0)
        r = scan_block_keys(&s->block,
                            BLOCK_WANT_LAYOUT | BLOCK_WANT_TS | (unsigned)BLOCK_WANT_STREAM |
                                (k->c->value->by_seq ? (unsigned)BLOCK_WANT_SEQ : 0),
                            &s->keys, err);
    if (r == 0)
        r = scan_count_combos(k, s, x.has, &combo, err);
    if (r == 0)
        r = give_records(k, s->block.candidate, &recs, err);
    return r != 0 ? r : add_numbers(k, s, &x, combo, err);
}

int scan_values_head(struct scan_counter *k, struct scan_candidate *c, const struct record *rec,
                     struct err *err)
{
    return k->c->value->record(k->c->value->arg_record, &c->streams[rec->stream].labels, rec, err);
}
