/*
 * storage/line_quick.c - see line_quick.h.
 *
 * Automata of literals idle in the state in which they begin, and forget: what was read matters as
 * far as it is the beginning of a literal.  So behind a piece without a literal the state is told
 * by its last bytes, and most bytes end no beginning at all.
 */
#include "storage/line_quick.h"

static uint16_t class_of(uint8_t byte, uint8_t fold)
{
    return slot_class_of[byte] | slot_class_of[byte ^ fold];
}

void line_quick_init(struct line_quick *q, const struct dfa *d, const struct line_needle *w)
{
    *q = (struct line_quick){.w = w};
    if (w->n == 0 || !w->whole || d->idle != DFA_FIRST || d->n_states > LINE_QUICK_STATES)
        return;
    q->d = d;
    for (unsigned b = 0; b < 256; b++) {
        unsigned idle = dfa_step(d, DFA_FIRST, (uint8_t)b);
        for (unsigned s = DFA_FIRST; s < d->n_states; s++) {
            unsigned next = dfa_step(d, s, (uint8_t)b);
            q->leaves[b] = q->leaves[b] || next > DFA_FIRST;
            q->goes_on[b] = q->goes_on[b] || next != idle;
            if (next != idle || (s == DFA_FIRST && next != DFA_FIRST))
                q->goes_classes[s] |= slot_class_of[b];
        }
    }
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < d->needle[i].n; k++)
            q->needs[i][k] =
                class_of(d->needle[i].byte[k], d->needle[i].fold[k]) | (w->ascii ? SLOT_HIGH : 0);
}

static bool is_ascii(struct str s)
{
    uint8_t all = 0;

    for (size_t i = 0; i < s.n; i++)
        all |= (uint8_t)s.p[i];
    return all < 0x80;
}

bool line_quick_begin(const struct line_quick *q, const struct lines_plan *plan)
{
    const struct lines_template *last = &plan->template[plan->n_templates - 1];
    struct str end = last->piece[last->n_slots];
    struct str all = {plan->template[0].piece[0].p, 0};

    if (q->d == NULL || all.p == NULL || end.p == NULL || end.p < all.p)
        return false;
    all.n = (size_t)(end.p - all.p) + end.n;
    if (q->w->ascii && !is_ascii(all))
        return false;
    for (size_t i = 0; i < q->w->n; i++)
        if (find_next(&q->w->find[i], all, 0) != SIZE_MAX)
            return false;
    return true;
}

/* Where the automaton, idle before the piece, is behind it. */
static unsigned behind(const struct line_quick *q, struct str piece)
{
    size_t tail = q->w->longest - 1;

    if (piece.n == 0 || !q->leaves[(uint8_t)piece.p[piece.n - 1]])
        return DFA_FIRST;
    if (piece.n > tail)
        piece = str_from(piece, piece.n - tail);
    return dfa_run(q->d, DFA_FIRST, piece);
}

/* Whether two bytes of a literal may follow each other in the column, in whatever case they are. */
static bool has_pair(const struct dfa_needle *w, size_t k, const uint8_t *pairs)
{
    uint8_t first[2] = {w->byte[k], w->byte[k] ^ w->fold[k]};
    uint8_t second[2] = {w->byte[k + 1], w->byte[k + 1] ^ w->fold[k + 1]};

    return slot_has_pair(pairs, first[0], second[0]) || slot_has_pair(pairs, first[0], second[1]) ||
           slot_has_pair(pairs, first[1], second[0]) || slot_has_pair(pairs, first[1], second[1]);
}

static bool has_pairs(const struct line_quick *q, size_t needle, const struct slot_stamp *s)
{
    const struct dfa_needle *w = &q->d->needle[needle];

    if (s->pairs == NULL || (q->w->ascii && (s->classes & SLOT_HIGH) != 0))
        return true;
    for (size_t k = 0; k + 1 < w->n; k++)
        if (!has_pair(w, k, s->pairs))
            return false;
    return true;
}

/* Whether a literal fits a slot of these classes. */
static bool may_hold(const struct line_quick *q, const struct slot_stamp *s)
{
    for (size_t i = 0; i < q->w->n; i++) {
        size_t n = q->d->needle[i].n;
        size_t k = 0;
        if (n > s->max_len)
            continue;
        while (k < n && (q->needs[i][k] & s->classes) != 0)
            k++;
        if (k == n && has_pairs(q, i, s))
            return true;
    }
    return false;
}

bool line_quick_never(const struct line_quick *q, const struct lines_plan *plan, size_t template)
{
    const struct lines_template *t = &plan->template[template];
    const struct lines_column *column = plan->column + t->first_column;

    for (uint32_t k = 0; k < t->n_slots; k++) {
        const struct slot_stamp *s = &column[k].stamp;
        unsigned state = behind(q, t->piece[k]);
        struct str next = t->piece[k + 1];
        bool leaves = (s->classes & q->goes_classes[DFA_FIRST]) != 0;
        if (state != DFA_FIRST && (s->min_len == 0 || (s->classes & q->goes_classes[state]) != 0))
            return false;
        if (leaves && s->kind == SLOT_CONST)
            leaves = dfa_run(q->d, DFA_FIRST, s->constant) != DFA_FIRST;
        if (leaves && (may_hold(q, s) || (next.n == 0 && k + 1 < t->n_slots) ||
                       (next.n > 0 && q->goes_on[(uint8_t)next.p[0]])))
            return false;
    }
    return true;
}
