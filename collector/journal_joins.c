/* collector/journal_joins.c - contract: journal_joins.h. */
#include "collector/journal_joins.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/join.h"

#include <stdlib.h>
#include <string.h>

enum { ID_MAX = 70, UID_MAX = 10 };
_Static_assert(2 * ID_MAX + UID_MAX + sizeof("/e//") <= JOURNAL_KEY_MAX, "a key fits");

struct open {
    struct buf head; /* the first piece as a frame, without its message */
    struct buf text;
    char key[JOURNAL_KEY_MAX];
    uint64_t total;
    unsigned pieces;
    dur_ns grown;
};

struct journal_joins {
    unsigned magic;
#define JOURNAL_JOINS_MAGIC 0x10140e5cu
    size_t max_line;
    size_t bytes;            /* of text that is held */
    VEC(struct open *) open; /* the oldest first */
    struct open *told;       /* what was given to the caller last; NULL: nothing */
};

struct journal_joins *journal_joins_new(size_t max_line)
{
    struct journal_joins *j = mem_new(sizeof(*j));

    j->magic = JOURNAL_JOINS_MAGIC;
    j->max_line = max_line;
    return j;
}

static void open_free(struct open **po)
{
    struct open *o = *po;

    *po = NULL;
    if (o == NULL)
        return;
    buf_fini(&o->head);
    buf_fini(&o->text);
    free(o);
}

void journal_joins_free(struct journal_joins **pj)
{
    struct journal_joins *j = *pj;

    if (j == NULL)
        return;
    OBJ_CHECK(j, JOURNAL_JOINS_MAGIC);
    for (size_t i = 0; i < j->open.n; i++)
        open_free(&j->open.p[i]);
    VEC_FINI(&j->open);
    open_free(&j->told);
    j->magic = 0;
    free(j);
    *pj = NULL;
}

bool journal_joins_is_piece(const struct journal_frame *f)
{
    return str_eq(f->v[JOURNAL_PARTIAL], STR("true"));
}

/* It comes back from JSON as it went in. */
static char *add_to_key(char *to, struct str s, size_t max)
{
    s = str_sub(s, 0, max);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        *to++ = c <= ' ' || c > '~' || c == '"' || c == '\\' ? '_' : c;
    }
    return to;
}

struct str journal_joins_key(const struct journal_frame *f, char key[JOURNAL_KEY_MAX])
{
    char *to =
        add_to_key(key, f->v[JOURNAL_ID].n > 0 ? f->v[JOURNAL_ID] : f->v[JOURNAL_NAME], ID_MAX);

    *to++ = '/';
    *to++ = str_eq(f->v[JOURNAL_PRIORITY], STR("3")) ? 'e' : 'o';
    *to++ = '/';
    to = add_to_key(to, f->v[JOURNAL_UID], UID_MAX);
    *to++ = '/';
    to = add_to_key(to, f->v[JOURNAL_PARTIAL_ID], ID_MAX);
    *to = '\0';
    return (struct str){key, (size_t)(to - key)};
}

/* SIZE_MAX: none is open. */
static size_t find(const struct journal_joins *j, const struct journal_frame *f)
{
    char key[JOURNAL_KEY_MAX];

    if (j->open.n == 0)
        return SIZE_MAX;
    (void)journal_joins_key(f, key);
    for (size_t i = 0; i < j->open.n; i++)
        if (strcmp(j->open.p[i]->key, key) == 0)
            return i;
    return SIZE_MAX;
}

/* The number of a piece, from 1; 0: it has none. */
static uint64_t ordinal_of(const struct journal_frame *f)
{
    uint64_t n = 0;

    return str_to_u64(f->v[JOURNAL_ORDINAL], &n) ? n : 0;
}

/* Out of the list; the caller is told of it until the next call. */
static void tell(struct journal_joins *j, size_t i, bool partial, struct journal_record *ret)
{
    struct open *o = j->open.p[i];
    struct err err;
    size_t used;

    open_free(&j->told);
    j->told = o;
    j->bytes -= o->text.n;
    VEC_REMOVE(&j->open, i);
    *ret =
        (struct journal_record){.text = buf_str(&o->text), .total = o->total, .partial = partial};
    INVARIANT(journal_frame_take(buf_str(&o->head), &ret->head, &used, &err) == 0);
}

bool journal_joins_give_up(struct journal_joins *j, const struct journal_frame *f,
                           struct journal_record *ret)
{
    uint64_t ordinal = ordinal_of(f);
    size_t i;

    OBJ_CHECK(j, JOURNAL_JOINS_MAGIC);
    i = find(j, f);
    if (i != SIZE_MAX && ordinal != 0 && ordinal != j->open.p[i]->pieces + 1) {
        tell(j, i, true, ret); /* a piece between is lost */
        return true;
    }
    if (journal_joins_is_piece(f) &&
        ((i == SIZE_MAX && j->open.n >= JOURNAL_JOINS_MAX) ||
         (j->open.n > 0 && j->bytes + f->v[JOURNAL_MESSAGE].n > JOURNAL_JOINS_BYTES))) {
        tell(j, 0, true, ret);
        return true;
    }
    return false;
}

static size_t begin(struct journal_joins *j, const struct journal_frame *f)
{
    struct open *o = mem_new(sizeof(*o));
    struct journal_frame head = *f;

    head.v[JOURNAL_MESSAGE] = STR_NULL;
    buf_init(&o->head, JOURNAL_FRAME_MAX);
    journal_frame_put(&o->head, &head);
    buf_init(&o->text, j->max_line);
    (void)journal_joins_key(f, o->key);
    VEC_PUSH(&j->open, o);
    return j->open.n - 1;
}

int journal_joins_add(struct journal_joins *j, const struct journal_frame *f, dur_ns now,
                      struct journal_record *ret)
{
    bool is_piece = journal_joins_is_piece(f);
    struct str text = f->v[JOURNAL_MESSAGE];
    uint64_t total = f->total < text.n ? text.n : f->total;
    struct open *o;
    size_t i;

    OBJ_CHECK(j, JOURNAL_JOINS_MAGIC);
    i = find(j, f);
    if (i == SIZE_MAX && !is_piece) { /* one with a number behind the first has lost its head */
        text = str_sub(text, 0, j->max_line);
        *ret = (struct journal_record){
            .head = *f, .text = text, .total = total, .partial = ordinal_of(f) > 1};
        return 0;
    }
    if (i == SIZE_MAX)
        i = begin(j, f);
    o = j->open.p[i];
    text = o->total > o->text.n ? STR_NULL : str_sub(text, 0, j->max_line - o->text.n);
    buf_add_str(&o->text, text);
    j->bytes += text.n;
    o->total += total;
    o->pieces++;
    o->grown = now;
    if (is_piece && o->pieces < JOIN_PIECES_MAX && o->total < (uint64_t)j->max_line * JOIN_FACTOR)
        return 1;
    tell(j, i, is_piece, ret);
    return 0;
}

bool journal_joins_stale(struct journal_joins *j, dur_ns before, struct journal_record *ret)
{
    OBJ_CHECK(j, JOURNAL_JOINS_MAGIC);
    for (size_t i = 0; i < j->open.n; i++)
        if (j->open.p[i]->grown <= before) {
            tell(j, i, true, ret);
            return true;
        }
    return false;
}

size_t journal_joins_count(const struct journal_joins *j)
{
    OBJ_CHECK(j, JOURNAL_JOINS_MAGIC);
    return j->open.n;
}

void journal_joins_at(const struct journal_joins *j, size_t i, struct str *key, struct str *cursor)
{
    struct journal_frame head;
    struct err err;
    size_t used;

    OBJ_CHECK(j, JOURNAL_JOINS_MAGIC);
    INVARIANT(i < j->open.n &&
              journal_frame_take(buf_str(&j->open.p[i]->head), &head, &used, &err) == 0);
    *key = str_of(j->open.p[i]->key);
    *cursor = head.v[JOURNAL_CURSOR];
}
