/*
 * storage/scan_codebook.c - see scan_codebook.h.
 *
 * A table is at most half full; one that would grow past LAST begins empty once its rows were
 * taken, so that values which come often are soon in it again.  The factor of the hash is drawn
 * anew for each book: who writes logs cannot choose numbers that meet.
 */
#include "storage/scan_codebook.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    BOOKS = 64,
    FIRST = 1 << 9,
    LAST = 1 << 17,
    HELD_MAX = 8 << 20, /* bytes of all books: half of a query's memory is for what it counts */
};

struct scan_codebooks {
    struct mem_budget *budget; /* borrowed; may be NULL */
    struct scan_codebook book[BOOKS];
    size_t n, held; /* held: bytes of the tables */
};

static size_t bytes_of(size_t size)
{
    return size * (sizeof(struct scan_code) + sizeof(uint32_t));
}

static size_t size_of(const struct scan_codebook *book)
{
    return book->v == NULL ? 0 : book->mask + 1;
}

struct scan_codebooks *scan_codebooks_new(struct mem_budget *budget)
{
    struct scan_codebooks *b = mem_new(sizeof(*b));

    b->budget = budget;
    return b;
}

void scan_codebooks_free(struct scan_codebooks **pb)
{
    struct scan_codebooks *b = *pb;

    *pb = NULL;
    for (size_t i = 0; b != NULL && i < b->n; i++) {
        struct scan_codebook *book = &b->book[i];
        mem_budget_give(b->budget, bytes_of(size_of(book)));
        free(book->v);
        free(book->met);
        free(book->shape);
    }
    free(b);
}

/* The free place of a code, or NULL: too many met there. */
static struct scan_code *place_of(const struct scan_codebook *book, uint64_t code)
{
    size_t i = (size_t)(code * book->factor >> book->shift);

    for (unsigned k = 0; k < SCAN_CODE_PROBES; k++)
        if (book->v[(i + k) & book->mask].number == 0)
            return &book->v[(i + k) & book->mask];
    return NULL;
}

/* Into a table of `size`.  Codes that meet too many others there are left out, but those that have
 * rows: false, it stays as it was. */
static bool move(const struct scan_codebook *from, struct scan_codebook *to)
{
    for (size_t i = 0; i < size_of(from); i++) {
        const struct scan_code *c = &from->v[i];
        struct scan_code *at = c->number == 0 ? NULL : place_of(to, c->code);
        if (at == NULL && c->rows > 0)
            return false;
        if (at == NULL)
            continue;
        *at = *c;
        to->n++;
        if (c->rows > 0)
            to->met[to->n_met++] = (uint32_t)(at - to->v);
    }
    return true;
}

static bool resize(struct scan_codebooks *b, struct scan_codebook *book, size_t size)
{
    struct scan_codebook wide = *book;
    struct err ignored;

    if (b->held + bytes_of(size) > HELD_MAX ||
        mem_budget_take(b->budget, bytes_of(size), &ignored) < 0)
        return false;
    wide.v = calloc(size, sizeof(*wide.v));
    wide.met = calloc(size, sizeof(*wide.met));
    wide.mask = size - 1;
    wide.shift = 64 - (unsigned)__builtin_ctzll(size);
    wide.n = wide.n_met = 0;
    if (wide.v == NULL || wide.met == NULL || !move(book, &wide)) {
        free(wide.v);
        free(wide.met);
        mem_budget_give(b->budget, bytes_of(size));
        return false;
    }
    mem_budget_give(b->budget, bytes_of(size_of(book)));
    b->held += bytes_of(size) - bytes_of(size_of(book));
    free(book->v);
    free(book->met);
    *book = wide;
    return true;
}

struct scan_codebook *scan_codebook_get(struct scan_codebooks *b, struct str shape, uint32_t use)
{
    struct scan_codebook *book;

    for (size_t i = 0; i < b->n; i++) {
        book = &b->book[i];
        if (book->use == use && book->shape_n == shape.n &&
            memcmp(book->shape, shape.p, shape.n) == 0)
            return book;
    }
    if (b->n == BOOKS)
        return NULL;
    book = &b->book[b->n];
    *book = (struct scan_codebook){.use = use};
    if (getrandom(&book->factor, sizeof(book->factor), GRND_NONBLOCK) !=
        (ssize_t)sizeof(book->factor))
        book->factor = (uint64_t)(uintptr_t)b * UINT64_C(0x9e3779b97f4a7c15);
    book->factor |= 1;
    if (!resize(b, book, FIRST))
        return NULL;
    book->shape = mem_dup(shape.p, shape.n);
    book->shape_n = shape.n;
    b->n++;
    return book;
}

static bool is_half_full(const struct scan_codebook *book)
{
    return 2 * (book->n + 1) > size_of(book);
}

static void forget(struct scan_codebook *book)
{
    memset(book->v, 0, size_of(book) * sizeof(*book->v));
    book->n = 0;
}

bool scan_codebook_put(struct scan_codebooks *b, struct scan_codebook *book, uint64_t code,
                       uint32_t number)
{
    struct scan_code *at;

    if (is_half_full(book) && (size_of(book) == LAST || !resize(b, book, 2 * size_of(book))))
        return false;
    at = place_of(book, code);
    if (at == NULL)
        return false;
    *at = (struct scan_code){code, number + 1, 0};
    book->n++;
    return true;
}

void scan_codebook_forget_none(struct scan_codebook *book)
{
    size_t to = 0;

    for (size_t i = 0; i < book->n_met; i++)
        if (book->v[book->met[i]].rows > 0)
            book->met[to++] = book->met[i];
    book->n_met = to;
}

bool scan_codebooks_take(struct scan_codebooks *b, uint32_t *number, uint32_t *rows)
{
    for (size_t i = 0; i < b->n; i++) {
        struct scan_codebook *book = &b->book[i];
        struct scan_code *c;
        if (book->n_met == 0)
            continue;
        c = &book->v[book->met[--book->n_met]];
        *number = c->number - 1;
        *rows = c->rows;
        c->rows = 0;
        if (book->n_met == 0 && size_of(book) == LAST && is_half_full(book))
            forget(book);
        return true;
    }
    return false;
}
