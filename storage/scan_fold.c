/*
 * storage/scan_fold.c - see scan_fold.h.
 *
 * A template whose lines have none of the fields is one number of rows.  Where they have one, a
 * constant or an entry of a dictionary gets its number once for the block and is counted in an
 * array; numbers, and patterns of them, are counted by code (scan_codebook.h); texts are looked up
 * one by one (scan_known.h), some at a time, since what is looked at is seldom in the processor's
 * cache.  Several fields are counted by the place of their values in a table, where that is small,
 * else by the code of all (scan_tuple.h).
 *
 * Templates are counted one after the other while their columns are read, and any of these may be
 * damaged.  So it is noted what was counted, and taken back then: what went into the pile number by
 * number, rows that a book counts as a whole, since their codes are still there.
 */
#include "storage/scan_fold.h"

#include "storage/scan_codebook.h"
#include "storage/scan_known.h"
#include "storage/scan_tuple.h"

#include <string.h>

enum {
    AHEAD = 16,             /* texts that are looked up together */
    TOGETHER_MAX = 4 << 10, /* bytes of a line that is */
    SHAPE_MAX = 16 << 20,   /* all that stands around the fields of a line */
    FIRST_ADDED = 1 << 9,
};
#define SEVERAL UINT32_MAX /* use of a book: tuples */

/* Rows that were added to the pile. */
struct added {
    uint32_t number, rows;
};

/* Rows of a template that a book has counted, the first n of those that are meant. */
struct booked {
    struct booked *before;
    struct scan_codebook *book;
    const uint64_t *code; /* by rank */
    const uint64_t *mask; /* as those of a fold */
    const uint32_t *place;
    uint64_t *apart; /* by rank: these it has not counted */
    size_t n;
};

struct fold {
    struct scan_counter *k;
    struct scan_block *b;
    struct scan_worker *w;
    const struct scan_fields *f;
    const uint64_t *mask;     /* the rows that are meant, by place; NULL: all */
    struct scan_reduced *red; /* of the template at hand, as the next */
    size_t template, rows;
    const uint32_t *place; /* of its rows; NULL: row i is i */
    struct added *added;   /* of this block, in its arena, as the next */
    size_t n_added, cap_added;
    struct booked *booked; /* the last one */
};

static bool is_in(const uint64_t *mask, const uint32_t *place, size_t rank)
{
    size_t at = place == NULL ? rank : place[rank];

    return mask == NULL || (mask[at / 64] >> (at % 64) & 1) != 0;
}

static bool is_meant(const struct fold *f, size_t rank)
{
    return is_in(f->mask, f->place, rank);
}

static uint32_t count_meant(const struct fold *f)
{
    uint32_t n = 0;

    if (f->mask == NULL)
        return (uint32_t)f->rows;
    for (size_t i = 0; i < f->rows; i++)
        n += is_meant(f, i);
    return n;
}

static int widen_added(struct fold *f, struct err *err)
{
    size_t cap = f->cap_added == 0 ? FIRST_ADDED : 2 * f->cap_added;
    struct added *v = arena_room(f->b->arena, cap, sizeof(*v));

    if (v == NULL)
        return arena_err(f->b->arena, err);
    if (f->n_added > 0)
        memcpy(v, f->added, f->n_added * sizeof(*v));
    f->added = v;
    f->cap_added = cap;
    return 0;
}

static int put(struct fold *f, uint32_t number, uint32_t rows, struct err *err)
{
    int r = f->n_added == f->cap_added ? widen_added(f, err) : 0;

    if (r == 0)
        r = scan_pile_put(f->k, f->w, number, rows, err);
    if (r == 0)
        f->added[f->n_added++] = (struct added){number, rows};
    return r;
}

/* The rows at hand are about to be counted in `book`. */
static int begin_book(struct fold *f, struct scan_codebook *book, const uint64_t *code,
                      struct booked **ret, struct err *err)
{
    struct booked *bk = arena_alloc(f->b->arena, sizeof(*bk));
    uint64_t *apart = arena_alloc(f->b->arena, (f->rows / 64 + 1) * sizeof(*apart));

    if (bk == NULL || apart == NULL)
        return arena_err(f->b->arena, err);
    *bk = (struct booked){f->booked, book, code, f->mask, f->place, apart, 0};
    f->booked = *ret = bk;
    return 0;
}

static void set_apart(struct booked *bk, size_t rank)
{
    bk->apart[rank / 64] |= UINT64_C(1) << (rank % 64);
}

static void take_back_booked(const struct booked *bk)
{
    for (size_t i = 0; i < bk->n; i++) {
        bool is = is_in(bk->mask, bk->place, i) && (bk->apart[i / 64] >> (i % 64) & 1) == 0;
        struct scan_code *c = is ? scan_codebook_find(bk->book, bk->code[i]) : NULL;
        if (c != NULL)
            c->rows--;
    }
}

/* All rows of this block. */
static void take_back(struct fold *f)
{
    for (size_t i = 0; i < f->n_added; i++)
        f->w->pile.rows[f->added[i].number] -= f->added[i].rows;
    for (const struct booked *bk = f->booked; bk != NULL; bk = bk->before)
        take_back_booked(bk);
    for (const struct booked *bk = f->booked; bk != NULL; bk = bk->before)
        scan_codebook_forget_none(bk->book);
    scan_pile_forget_none(&f->w->pile);
}

static int number_line(const struct fold *f, struct str line, uint32_t *ret, struct err *err)
{
    return scan_combos_line(&f->k->combos, 0, line, f->f->set == SCAN_FIELDS_TESTED, ret, err);
}

/* ---- lines that are not taken apart ---- */

/* Rows whose line must be looked at as it is. */
static int fold_whole(struct fold *f, const uint64_t *only, struct err *err)
{
    int r = 0;

    if (f->place == NULL)
        r = lines_rows(f->b->lines, f->template, &f->place, err);
    for (size_t i = 0; r == 0 && i < f->rows; i++) {
        uint32_t at = f->place == NULL ? (uint32_t)i : f->place[i];
        uint32_t number = 0;
        if (!is_meant(f, i) || (only != NULL && (only[i / 64] >> (i % 64) & 1) == 0))
            continue;
        r = scan_reduced_number(&f->k->combos, f->b, f->f, at, 0, &number, err);
        if (r == 0)
            r = put(f, number, 1, err);
    }
    return r;
}

/* All rows have the same line, but for those that may be anything. */
static int fold_alike(struct fold *f, struct err *err)
{
    const uint64_t *suspect = f->red->suspect;
    uint32_t rows = count_meant(f);
    uint32_t number = 0;
    int r = 0;

    for (size_t i = 0; suspect != NULL && i < f->rows; i++)
        rows -= (suspect[i / 64] >> (i % 64) & 1) != 0 && is_meant(f, i);
    if (rows > 0) {
        r = scan_reduced_line(f->red, f->f->parser, 0, &f->w->line, err);
        if (r == 0)
            r = number_line(f, buf_str(&f->w->line), &number, err);
        if (r == 0)
            r = put(f, number, rows, err);
    }
    return r == 0 && suspect != NULL ? fold_whole(f, suspect, err) : r;
}

/* ---- one field ---- */

static struct scan_known_value known_of(const struct fold *f, struct str text)
{
    return (struct scan_known_value){.text = text, .base = 0, .shape = f->red->shape};
}

/* The number of the line with these values. */
static int learn_values(const struct fold *f, const struct str *value, uint32_t *ret,
                        struct err *err)
{
    int r = scan_reduced_line_of(f->red, f->f->parser, value, &f->w->line, err);

    return r < 0 ? r : number_line(f, buf_str(&f->w->line), ret, err);
}

static int put_value(struct fold *f, struct str text, uint32_t rows, struct err *err)
{
    const struct scan_known_value v = known_of(f, text);
    uint32_t number = 0;
    int r = 0;

    if (f->red->shape == 0 || !scan_known_get(f->w->known, &v, &number)) {
        r = learn_values(f, &text, &number, err);
        if (r == 0 && f->red->shape != 0)
            scan_known_put(f->w->known, &v, number);
    }
    return r == 0 ? put(f, number, rows, err) : r;
}

static int fold_entries(struct fold *f, const struct slot_view *v, struct err *err)
{
    uint32_t *rows = arena_alloc(f->b->arena, v->n_entries * sizeof(*rows));
    int r = 0;

    if (rows == NULL)
        return arena_err(f->b->arena, err);
    for (size_t i = 0; i < f->rows; i++)
        rows[v->id[i]] += is_meant(f, i);
    for (size_t e = 0; r == 0 && e < v->n_entries; e++)
        if (rows[e] > 0)
            r = put_value(f, v->entry[e], rows[e], err);
    return r;
}

/* The code of row i, which is not in the book, of a line with these values. */
static int learn_code(struct fold *f, struct booked *bk, size_t i, const struct str *value,
                      struct err *err)
{
    uint32_t number = 0;
    int r = learn_values(f, value, &number, err);

    set_apart(bk, i);
    if (r != 0)
        return r;
    (void)scan_codebook_put(f->w->books, bk->book, bk->code[i], number); /* no room: again */
    return put(f, number, 1, err);
}

static int count_codes(struct fold *f, const struct scan_coded *coded, struct err *err)
{
    const struct slot_codes *c = &coded->codes;
    struct booked *bk = NULL;
    size_t i;
    int r = begin_book(f, coded->book, c->v, &bk, err);

    if (bk == NULL)
        return r;
    for (i = 0; r == 0 && i < f->rows; i++) {
        struct scan_code *known;
        if (!is_meant(f, i))
            continue;
        known = scan_codebook_find(coded->book, c->v[i]);
        if (known != NULL) {
            scan_codebook_count(coded->book, known);
        } else {
            char room[SLOT_CODE_ROOM];
            struct str text = slot_codes_text(c, i, room);
            r = learn_code(f, bk, i, &text, err);
        }
    }
    bk->n = i;
    return r;
}

/* Texts of a column that are looked up together. */
struct texts {
    struct str v[AHEAD];
    char room[AHEAD][SLOT_ROOM];
    size_t n;
    struct buf keys; /* of those that are not known */
};

/* The next ones of the column from row *i on. */
static void take_texts(const struct fold *f, const struct slot_view *v, size_t *i,
                       struct texts *ret)
{
    for (ret->n = 0; ret->n < AHEAD && *i < f->rows; (*i)++) {
        if (!is_meant(f, *i))
            continue;
        ret->v[ret->n] = slot_value(v, *i, ret->room[ret->n]);
        if (f->red->shape != 0) {
            const struct scan_known_value value = known_of(f, ret->v[ret->n]);
            scan_known_fetch(f->w->known, &value);
        }
        ret->n++;
    }
}

/* Those of the texts whose numbers are not known: of[0..*n), and where the key of each ends. */
static int find_unknown(struct fold *f, struct texts *t, size_t of[AHEAD], size_t end[AHEAD],
                        size_t *n, struct err *err)
{
    int r = 0;

    *n = 0;
    buf_clear(&t->keys);
    for (size_t i = 0; r == 0 && i < t->n; i++) {
        const struct scan_known_value v = known_of(f, t->v[i]);
        uint32_t number = 0;
        if (f->red->shape != 0 && scan_known_get(f->w->known, &v, &number)) {
            r = put(f, number, 1, err);
            continue;
        }
        r = scan_reduced_line_of(f->red, f->f->parser, &t->v[i], &f->w->line, err);
        if (r == 0 && f->w->line.n > TOGETHER_MAX) {
            r = number_line(f, buf_str(&f->w->line), &number, err);
            r = r == 0 ? put(f, number, 1, err) : r;
            continue;
        }
        scan_combos_key(&t->keys, buf_str(&f->w->line), f->f->set == SCAN_FIELDS_TESTED);
        of[*n] = i;
        end[(*n)++] = t->keys.n;
    }
    return r == 0 ? buf_err(&t->keys, "lines", err) : r;
}

static int put_texts(struct fold *f, struct texts *t, struct err *err)
{
    struct str key[AHEAD];
    uint32_t number[AHEAD];
    size_t of[AHEAD];
    size_t end[AHEAD];
    size_t n = 0;
    int r = find_unknown(f, t, of, end, &n, err);

    for (size_t k = 0; r == 0 && k < n; k++) {
        size_t from = k == 0 ? 0 : end[k - 1];
        key[k] = str_sub(buf_str(&t->keys), from, end[k] - from);
    }
    if (r == 0)
        r = scan_combos_lines(&f->k->combos, key, n, number, err);
    for (size_t k = 0; r == 0 && k < n; k++) {
        const struct scan_known_value v = known_of(f, t->v[of[k]]);
        if (f->red->shape != 0)
            scan_known_put(f->w->known, &v, number[k]);
        r = put(f, number[k], 1, err);
    }
    return r;
}

static int fold_texts(struct fold *f, const struct slot_view *v, struct err *err)
{
    struct texts t = {.n = 0};
    size_t i = 0;
    int r = 0;

    buf_init(&t.keys, AHEAD * 2 * TOGETHER_MAX);
    while (r == 0 && i < f->rows) {
        take_texts(f, v, &i, &t);
        r = put_texts(f, &t, err);
    }
    buf_fini(&t.keys);
    return r;
}

static int fold_column(struct fold *f, struct err *err)
{
    const struct scan_reduced_part *p = &f->red->part[0];
    struct scan_coded coded = {.book = NULL};
    int r = 0;

    scan_reduced_shape(f->b, f->f, f->red);
    if (p->n == 0 && f->red->shape != 0)
        r = scan_reduced_codes(f->b, f->template, p, f->red->shape, &coded, err);
    if (r == 0 && coded.book != NULL)
        return count_codes(f, &coded, err);
    if (r == 0)
        r = scan_reduced_views(f->b, f->template, f->red, err);
    if (r < 0)
        return r;
    return p->view->kind == SLOT_VIEW_DICT ? fold_entries(f, p->view, err)
                                           : fold_texts(f, p->view, err);
}

/* ---- several fields ---- */

/* The book of lines that are the same but for their values; NULL: none. */
static int find_book(struct fold *f, struct scan_codebook **ret, struct err *err)
{
    const struct scan_reduced *red = f->red;
    struct buf shape;
    int r;

    buf_init(&shape, SHAPE_MAX);
    buf_add(&shape, &f->f->set, sizeof(f->f->set));
    for (uint32_t i = 0; i < red->n; i++) {
        const struct str around[] = {red->part[i].before, red->part[i].after};
        for (size_t k = 0; k < 2; k++) {
            buf_add(&shape, &around[k].n, sizeof(around[k].n));
            buf_add_str(&shape, around[k]);
        }
    }
    buf_add_str(&shape, red->tail);
    r = buf_err(&shape, "fields of a line", err);
    if (r == 0)
        *ret = scan_codebook_get(f->w->books, buf_str(&shape), SEVERAL);
    buf_fini(&shape);
    return r;
}

static int count_tuples(struct fold *f, const struct scan_tuple *t, struct scan_codebook *book,
                        struct err *err)
{
    struct str *value = arena_alloc(f->b->arena, f->red->n * sizeof(*value));
    struct booked *bk = NULL;
    size_t i;
    int r = value == NULL ? arena_err(f->b->arena, err) : begin_book(f, book, t->code, &bk, err);

    if (bk == NULL)
        return r;
    for (i = 0; r == 0 && i < f->rows; i++) {
        struct scan_code *known;
        if (!is_meant(f, i))
            continue;
        if (t->code[i] == SCAN_TUPLE_NONE) {
            set_apart(bk, i);
            continue;
        }
        known = scan_codebook_find(book, t->code[i]);
        if (known != NULL) {
            scan_codebook_count(book, known);
            continue;
        }
        for (uint32_t k = 0; k < f->red->n; k++)
            value[k] = scan_tuple_text(t, k, i);
        r = learn_code(f, bk, i, value, err);
    }
    bk->n = i;
    return r;
}

static int fold_tuples(struct fold *f, struct err *err)
{
    uint64_t *left = arena_alloc(f->b->arena, (f->rows / 64 + 1) * sizeof(*left));
    struct scan_codebook *book = NULL;
    struct scan_tuple t = {.code = NULL};
    uint64_t any = 0;
    int r = left == NULL ? arena_err(f->b->arena, err)
                         : scan_tuple_open(f->b, f->template, f->red, &t, err);

    if (r == 0)
        r = find_book(f, &book, err);
    if (r == 0 && book == NULL)
        return fold_whole(f, NULL, err);
    if (r == 0)
        r = count_tuples(f, &t, book, err);
    for (size_t i = 0; r == 0 && i < f->rows; i++) {
        uint64_t is_left = t.code[i] == SCAN_TUPLE_NONE;
        left[i / 64] |= is_left << (i % 64);
        any |= is_left;
    }
    return r == 0 && any != 0 ? fold_whole(f, left, err) : r;
}

/* ---- fields whose values have a place in a table ---- */

static int fold_table(struct fold *f, struct err *err)
{
    struct arena *a = f->b->arena;
    size_t size = f->red->size;
    uint32_t *rows = arena_alloc(a, size * sizeof(*rows));
    uint32_t *last = arena_room(a, size, sizeof(*last)); /* a row that has these values */
    int r = rows == NULL || last == NULL ? arena_err(a, err)
                                         : scan_reduced_views(f->b, f->template, f->red, err);

    for (size_t i = 0; r == 0 && i < f->rows; i++) {
        size_t at = scan_reduced_index(f->red, i);
        if (at >= size)
            return err_set(err, ERR_CORRUPT, "lines: a number outside of its stamp");
        rows[at] += is_meant(f, i);
        last[at] = (uint32_t)i;
    }
    for (size_t at = 0; r == 0 && at < size; at++) {
        uint32_t number = 0;
        if (rows[at] == 0)
            continue;
        r = scan_reduced_line(f->red, f->f->parser, last[at], &f->w->line, err);
        if (r == 0)
            r = number_line(f, buf_str(&f->w->line), &number, err);
        if (r == 0)
            r = put(f, number, rows[at], err);
    }
    return r;
}

/* ---- the whole ---- */

static int fold_template(struct fold *f, struct err *err)
{
    struct scan_reduced *red = NULL;
    int r = scan_reduced_get(f->b, f->f, f->template, &red, err);

    f->place = NULL;
    f->rows = f->b->lines_plan->template[f->template].rows;
    if (r == 0 && f->mask != NULL)
        r = lines_rows(f->b->lines, f->template, &f->place, err);
    if (r < 0)
        return r;
    f->red = red;
    if (red->is_whole)
        return fold_whole(f, NULL, err);
    if (red->is_nothing || red->n == 0)
        return fold_alike(f, err);
    if (red->n == 1 && (red->size == 0 || red->part[0].view != NULL))
        return fold_column(f, err);
    return red->size > 0 ? fold_table(f, err) : fold_tuples(f, err);
}

static int fold_rows(struct fold *f, struct err *err)
{
    const struct lines_plan *p = f->b->lines_plan;
    int r = 0;

    for (f->template = 0; r == 0 && f->template <p->n_templates; f->template ++)
        if (p->template[f->template].rows > 0)
            r = fold_template(f, err);
    return r;
}

/* The selected rows of which it is sure, or not sure, that all conditions hold; NULL: all of the
 * block.  *any: there are some. */
static int make_mask(const struct scan_selection *s, unsigned set, const uint64_t **ret, bool *any,
                     struct err *err)
{
    bool unsure = set == SCAN_FIELDS_ALL;
    uint64_t *mask = NULL;
    uint64_t sum = 0;

    *any = s->n > 0 && !unsure;
    *ret = s->bits;
    if (s->unsure == NULL)
        return 0;
    mask = arena_alloc(s->block.arena, s->words * sizeof(*mask));
    if (mask == NULL)
        return arena_err(s->block.arena, err);
    for (size_t i = 0; i < s->words; i++)
        sum |= mask[i] = s->bits[i] & (unsure ? s->unsure[i] : ~s->unsure[i]);
    *any = sum != 0;
    *ret = mask;
    return 0;
}

int scan_fold_block(struct scan_counter *k, struct scan_selection *s,
                    const struct scan_fields fields[SCAN_FIELD_SETS],
                    const struct scan_tally_key *key, struct err *err)
{
    struct scan_block *b = &s->block;
    struct fold f = {.k = k, .b = b, .w = b->worker};
    size_t from;
    int r = scan_block_lines(b, err);

    if (r == 0)
        r = scan_pile_begin(k, f.w, key, b->candidate->block.rows, err);
    from = f.w->pile.n;
    for (unsigned set = 0; r == 0 && set < SCAN_FIELD_SETS; set++) {
        bool any = false;
        f.f = &fields[set];
        r = make_mask(s, set, &f.mask, &any, err);
        if (r == 0 && any)
            r = fold_rows(&f, err);
    }
    if (r < 0)
        take_back(&f);
    return r == 0 ? scan_pile_ask(k, f.w, from, err) : r;
}

int scan_fold_may(const struct scan_counter *k, struct scan_block *b, bool *ret, struct err *err)
{
    int r = k->c->by_line && !k->c->bytes ? scan_block_plans(b, err) : 1;

    *ret = r == 0 && (b->attrs_plan == NULL || scan_combos_lack(&k->combos, b));
    return r < 0 ? r : 0;
}
