/*
 * storage/scan_captures.c - see scan_captures.h.
 *
 * The search for a literal keeps, as a set of bits, how many of its bytes may just have been
 * passed: bit k is set when in some line the first k bytes of it stand directly before this place.
 */
#include "storage/scan_captures.h"

#include <string.h>

enum { LITERAL_MAX = 62 }; /* bytes; of longer ones nothing is told */

/* A run of static text, or a slot whose values differ. */
struct part {
    const struct slot_stamp *slot; /* NULL: text */
    uint32_t number;
    struct str text;
};

/* A template, and where in it the walk is. */
struct walk {
    struct part *part;
    size_t n;
    size_t at, from; /* part, byte of its text */
};

enum found { FOUND, MISSING, UNSURE };

/* ---- templates ---- */

static void add_text(struct walk *w, char *to, struct str s)
{
    struct part *last = w->n == 0 ? NULL : &w->part[w->n - 1];

    if (s.n == 0)
        return;
    memcpy(to, s.p, s.n);
    if (last != NULL && last->slot == NULL)
        last->text.n += s.n;
    else
        w->part[w->n++] = (struct part){.text = {to, s.n}};
}

static int open_walk(const struct lines_plan *plan, size_t t, struct arena *a, struct walk *w,
                     struct err *err)
{
    const struct lines_template *lt = &plan->template[t];
    const struct lines_column *column = &plan->column[lt->first_column];
    size_t bytes = 1;
    char *to;

    for (uint32_t i = 0; i <= lt->n_slots; i++)
        bytes += lt->piece[i].n + (i < lt->n_slots ? column[i].stamp.constant.n : 0);
    *w = (struct walk){.part = arena_alloc(a, (2 * (size_t)lt->n_slots + 1) * sizeof(*w->part))};
    to = arena_bytes(a, bytes);
    if (w->part == NULL || to == NULL)
        return arena_err(a, err);
    for (uint32_t i = 0; i <= lt->n_slots; i++) {
        const struct slot_stamp *s = i < lt->n_slots ? &column[i].stamp : NULL;
        add_text(w, to, lt->piece[i]);
        to += lt->piece[i].n;
        if (s != NULL && s->kind == SLOT_CONST) {
            add_text(w, to, s->constant);
            to += s->constant.n;
        } else if (s != NULL) {
            w->part[w->n++] = (struct part){.slot = s, .number = i};
        }
    }
    return 0;
}

static bool may_be_empty(const struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->part[i].slot == NULL || w->part[i].slot->min_len > 0)
            return false;
    return true;
}

static bool may_hold(const struct slot_stamp *s, char c)
{
    return (s->classes & slot_class_of[(unsigned char)c]) != 0;
}

/* ---- literals ---- */

static uint64_t pass_byte(uint64_t set, struct str literal, char c)
{
    uint64_t next = 1;

    if (set == 1)
        return literal.p[0] == c ? 3 : 1;
    for (size_t k = 0; k < literal.n; k++)
        if ((set >> k & 1) != 0 && literal.p[k] == c)
            next |= UINT64_C(1) << (k + 1);
    return next;
}

/* Any value of the slot; false: the literal may be over within one. */
static bool pass_slot(uint64_t *set, struct str literal, const struct slot_stamp *s)
{
    uint64_t in = 0;   /* bytes of the literal that the slot may hold */
    uint64_t pair = 1; /* and that may stand there behind the one before */
    uint64_t here = *set;
    uint64_t sum = s->min_len == 0 ? here : 1;

    for (size_t k = 0; k < literal.n; k++) {
        in |= (uint64_t)may_hold(s, literal.p[k]) << k;
        if (k > 0 && (s->pairs == NULL ||
                      slot_has_pair(s->pairs, (uint8_t)literal.p[k - 1], (uint8_t)literal.p[k])))
            pair |= UINT64_C(1) << k;
    }
    /* Longer values than the literal end no other way than one a byte longer. */
    for (size_t i = 1; i <= s->max_len && i <= literal.n + 1; i++) {
        here = 1 | (here & in & (i > 1 ? pair : UINT64_MAX)) << 1;
        if ((here >> literal.n & 1) != 0)
            return false;
        if (i >= s->min_len || i == literal.n + 1)
            sum |= here;
    }
    *set = sum;
    return true;
}

/* Where the literal ends for the first time: *w goes behind it. */
static enum found find(struct walk *w, struct str literal)
{
    uint64_t set = 1;
    size_t from = w->from;

    if (literal.n > LITERAL_MAX)
        return UNSURE;
    for (size_t at = w->at; at < w->n; at++, from = 0) {
        const struct part *p = &w->part[at];
        if (p->slot != NULL && !pass_slot(&set, literal, p->slot))
            return UNSURE;
        for (size_t i = from; p->slot == NULL && i < p->text.n; i++) {
            set = pass_byte(set, literal, p->text.p[i]);
            if ((set >> literal.n & 1) == 0)
                continue;
            if (i + 1 - from < literal.n ||
                memcmp(p->text.p + (i + 1 - literal.n), literal.p, literal.n) != 0)
                return UNSURE; /* it began in a slot, or before an empty one */
            w->at = at;
            w->from = i + 1;
            return FOUND;
        }
    }
    return MISSING;
}

/* Do the lines begin with the literal? */
static enum found begins(struct walk *w, struct str literal)
{
    const struct part *p = w->part;
    size_t n;

    if (w->n == 0)
        return MISSING;
    if (p->slot != NULL)
        return p->slot->min_len > 0 && !may_hold(p->slot, literal.p[0]) ? MISSING : UNSURE;
    n = literal.n < p->text.n ? literal.n : p->text.n;
    if (memcmp(p->text.p, literal.p, n) != 0 || (n < literal.n && w->n == 1))
        return MISSING;
    if (n < literal.n) {
        const struct slot_stamp *s = p[1].slot; /* behind text comes a slot */
        return s->min_len > 0 && !may_hold(s, literal.p[n]) ? MISSING : UNSURE;
    }
    w->from = n;
    return FOUND;
}

/* ---- captures ---- */

/* What lies between two places; `to` is in text, or at the end. */
static struct scan_capture between(const struct walk *from, const struct walk *to, size_t end)
{
    struct scan_capture c = {.kind = CAPTURE_CONST, .text = STR("")};
    size_t n = 0;

    for (size_t at = from->at; at <= to->at && at < from->n; at++) {
        const struct part *p = &from->part[at];
        size_t first = at == from->at ? from->from : 0;
        size_t last = at == to->at ? end : p->text.n;
        if (p->slot != NULL) {
            c = (struct scan_capture){.kind = CAPTURE_SLOT, .slot = p->number};
            n++;
        } else if (last > first) {
            c.text = str_sub(p->text, first, last - first);
            n++;
        }
    }
    if (n > 1)
        c.kind = CAPTURE_UNKNOWN;
    return c;
}

static void set_all(struct scan_capture *v, size_t from, size_t n, enum scan_capture_kind kind)
{
    for (size_t i = from; i < n; i++)
        v[i].kind = kind;
}

/* Captures from piece `i` on; the pieces that are sure. */
static size_t walk_pieces(const struct scan_pattern *p, struct walk *w, size_t i,
                          struct scan_capture *v)
{
    while (i < p->n) {
        struct walk here = *w;
        struct walk last = *w;
        enum found f = i + 1 < p->n ? find(w, p->v[i + 1].text) : MISSING;
        if (f == UNSURE) {
            set_all(v, i, p->n, CAPTURE_UNKNOWN);
            return i;
        }
        last.at = w->n;
        if (f == MISSING) {
            v[i] = between(&here, &last, 0);
            return i + 1;
        }
        v[i] = between(&here, w, w->from - p->v[i + 1].text.n);
        i += 2;
    }
    return p->n;
}

int scan_captures(const struct scan_pattern *p, const struct lines_plan *plan, size_t t,
                  struct arena *a, struct scan_captures *ret, struct err *err)
{
    struct scan_capture *v = arena_alloc(a, p->n * sizeof(*v) + 1);
    enum found f = FOUND;
    struct walk w;
    int r = v == NULL ? arena_err(a, err) : open_walk(plan, t, a, &w, err);

    if (r < 0)
        return r;
    set_all(v, 0, p->n, CAPTURE_ABSENT);
    *ret = (struct scan_captures){v, 0};
    if (p->n == 0 || w.n == 0)
        return 0; /* empty lines have none */
    if (!p->v[0].is_capture)
        f = begins(&w, p->v[0].text);
    else if (may_be_empty(&w))
        f = UNSURE;
    if (f == UNSURE)
        set_all(v, 0, p->n, CAPTURE_UNKNOWN);
    if (f == FOUND)
        ret->n_sure = walk_pieces(p, &w, p->v[0].is_capture ? 0 : 1, v);
    return 0;
}
