/* storage/scan_tuple.c - see scan_tuple.h. */
#include "storage/scan_tuple.h"

#include "base/intern.h"
#include "storage/scan_codebook.h"

#include <string.h>

enum {
    TEXTS_MAX = 1 << 20,
    TEXTS_BYTES = 8 << 20,
};
#define NONE UINT32_MAX /* of numbers: there is no room */

struct tuple {
    struct scan_block *b;
    struct scan_worker *w;
    size_t template, rows;
    struct scan_reduced *red;
};

/* The number of a text. */
static int number_text(const struct tuple *t, struct str text, uint32_t *ret, struct err *err)
{
    int r = intern_find(t->w->texts, text, ret, err);

    *ret = r == 1 ? NONE : *ret;
    return r < 0 ? r : 0;
}

/* ---- columns ---- */

static int number_entries(const struct tuple *t, const struct slot_view *v, uint32_t *to,
                          struct err *err)
{
    uint32_t *of = arena_room(t->b->arena, v->n_entries, sizeof(*of));
    int r = of == NULL ? arena_err(t->b->arena, err) : 0;

    for (size_t e = 0; r == 0 && e < v->n_entries; e++)
        r = number_text(t, v->entry[e], &of[e], err);
    for (size_t i = 0; r == 0 && i < t->rows; i++)
        to[i] = of[v->id[i]];
    return r;
}

static int number_each(const struct tuple *t, const struct slot_view *v, uint32_t *to,
                       struct err *err)
{
    char room[SLOT_ROOM];
    uint32_t number = 0;
    int r = 0;

    if (v->kind == SLOT_VIEW_CONST) {
        r = number_text(t, v->constant, &number, err);
        for (size_t i = 0; r == 0 && i < t->rows; i++)
            to[i] = number;
        return r;
    }
    for (size_t i = 0; r == 0 && i < t->rows; i++)
        r = number_text(t, slot_value(v, i, room), &to[i], err);
    return r;
}

static int number_codes(const struct tuple *t, const struct scan_coded *coded, uint32_t *to,
                        struct err *err)
{
    const struct slot_codes *c = &coded->codes;
    struct scan_codebook *book = coded->book;
    int r = 0;

    for (size_t i = 0; r == 0 && i < t->rows; i++) {
        const struct scan_code *known = scan_codebook_find(book, c->v[i]);
        char room[SLOT_CODE_ROOM];
        if (known != NULL) {
            to[i] = known->number - 1;
            continue;
        }
        r = number_text(t, slot_codes_text(c, i, room), &to[i], err);
        if (r == 0 && to[i] != NONE)
            (void)scan_codebook_put(t->w->books, book, c->v[i], to[i]);
    }
    return r;
}

static int number_part(const struct tuple *t, uint32_t part, uint32_t **ret, struct err *err)
{
    struct scan_reduced_part *p = &t->red->part[part];
    uint32_t *to = arena_room(t->b->arena, t->rows, sizeof(*to));
    struct scan_coded coded = {.book = NULL};
    int r = to == NULL ? arena_err(t->b->arena, err) : 0;

    if (r == 0 && p->view == NULL)
        r = scan_reduced_codes(t->b, t->template, p, SCAN_USE_TEXT, &coded, err);
    if (r == 0 && coded.book != NULL)
        r = number_codes(t, &coded, to, err);
    if (r < 0 || coded.book != NULL) {
        *ret = to;
        return r;
    }
    r = lines_slot(t->b->lines, t->template, p->slot, &p->view, err);
    if (r == 0)
        r = p->view->kind == SLOT_VIEW_DICT ? number_entries(t, p->view, to, err)
                                            : number_each(t, p->view, to, err);
    *ret = to;
    return r;
}

/* ---- pairs ---- */

/* The number of each pair takes the place of its first. */
static void number_pairs(const struct tuple *t, struct scan_codebook *book, uint32_t *first,
                         const uint32_t *second)
{
    for (size_t i = 0; i < t->rows; i++) {
        uint64_t code = (uint64_t)first[i] << 32 | second[i];
        const struct scan_code *known;
        if (first[i] == NONE || second[i] == NONE) {
            first[i] = NONE;
            continue;
        }
        known = scan_codebook_find(book, code);
        if (known != NULL)
            first[i] = known->number - 1;
        else if (t->w->n_pairs < NONE - 1 &&
                 scan_codebook_put(t->w->books, book, code, t->w->n_pairs))
            first[i] = t->w->n_pairs++;
        else
            first[i] = NONE;
    }
}

static int join(const struct tuple *t, uint32_t **value, uint64_t **ret, struct err *err)
{
    uint32_t last = t->red->n - 1;
    uint64_t *code = arena_room(t->b->arena, t->rows, sizeof(*code));
    uint32_t *first = arena_room(t->b->arena, t->rows, sizeof(*first));

    if (code == NULL || first == NULL)
        return arena_err(t->b->arena, err);
    memcpy(first, value[0], t->rows * sizeof(*first));
    for (uint32_t k = 1; k < last; k++) {
        struct scan_codebook *book = scan_codebook_get(t->w->books, STR("pair"), k);
        if (book != NULL)
            number_pairs(t, book, first, value[k]);
        for (size_t i = 0; book == NULL && i < t->rows; i++)
            first[i] = NONE;
    }
    for (size_t i = 0; i < t->rows; i++)
        code[i] = first[i] == NONE || value[last][i] == NONE
                      ? SCAN_TUPLE_NONE
                      : (uint64_t)first[i] << 32 | value[last][i];
    *ret = code;
    return 0;
}

int scan_tuple_open(struct scan_block *b, size_t template, struct scan_reduced *red,
                    struct scan_tuple *ret, struct err *err)
{
    struct tuple t = {b, b->worker, template, b->lines_plan->template[template].rows, red};
    uint32_t **value = arena_alloc(b->arena, red->n * sizeof(uint32_t *));
    uint64_t *code = NULL;
    int r = value == NULL ? arena_err(b->arena, err) : 0;

    if (t.w->texts == NULL)
        t.w->texts = intern_new(b->sc->req.budget, TEXTS_MAX, TEXTS_BYTES);
    if (t.w->books == NULL)
        t.w->books = scan_codebooks_new(b->sc->req.budget);
    for (uint32_t k = 0; r == 0 && k < red->n; k++)
        r = number_part(&t, k, &value[k], err);
    if (r == 0)
        r = join(&t, value, &code, err);
    *ret = (struct scan_tuple){code, value, t.w->texts};
    return r;
}

struct str scan_tuple_text(const struct scan_tuple *t, size_t part, size_t rank)
{
    return intern_key(t->texts, t->value[part][rank]);
}
