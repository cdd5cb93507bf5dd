/*
 * storage/line_graph.c - see line_graph.h.
 *
 * From each (slot, state) that a line may be in, the states behind the slot are found from the
 * slot's stamp: all that the automaton can be in after min_len..max_len bytes of the stamp's
 * classes; for numbers of one length, after the numbers from min to max.  When all of them have one
 * target, that is the target here too, and the slot need not be read.
 *
 * The set may hold too much (lengths without end are closed over), never too little.
 */
#include "storage/line_graph.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NODES_PER_SLOT = 64,
    WORK_MAX = 1 << 20,    /* steps spent on one template */
    LENGTHS_MAX = 64,      /* looked at one by one */
    TARGETS_MAX = 1 << 22, /* slots times states */
};

static void *take(struct line_graph *g, size_t bytes)
{
    void *p = arena_alloc(g->a, bytes);

    g->full = g->full || p == NULL;
    return p;
}

void line_eats_init(struct line_eats *e, const struct dfa *d)
{
    *e = (struct line_eats){.n = {0}};
    for (size_t c = 0; c < LINE_CLASSES; c++) {
        bool seen[256] = {false};
        for (unsigned b = 0; b < 256; b++) {
            uint8_t class = d->class_of[b];
            if (slot_class_of[b] != 1u << c || seen[class])
                continue;
            seen[class] = true;
            e->eats[c][e->n[c]++] = class;
        }
    }
}

int line_graph_init(struct line_graph *g, const struct dfa *d, const struct line_eats *eats,
                    struct arena *a, struct err *err)
{
    *g = (struct line_graph){.d = d, .eats = eats, .a = a, .words = (d->n_states + 63u) / 64};
    g->reach = take(g, LINE_REACHES * sizeof(*g->reach));
    for (size_t i = 0; i < 3; i++)
        g->set[i] = take(g, g->words * sizeof(*g->set[i]));
    if (g->full)
        return arena_err(a, err);
    return 0;
}

void line_graph_fini(struct line_graph *g)
{
    VEC_FINI(&g->node);
}

/* ---- states behind a slot ---- */

static void set_bit(uint64_t *set, unsigned i)
{
    set[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Where the states of `from` lead on one byte of these classes, added to `to`. */
static void step_set(struct line_graph *g, const uint64_t *from, const uint8_t *eats, size_t n,
                     uint64_t *to)
{
    for (size_t w = 0; w < g->words; w++)
        for (uint64_t left = from[w]; left != 0; left &= left - 1) {
            size_t s = w * 64 + (unsigned)__builtin_ctzll(left);
            const uint16_t *row = g->d->next + s * g->d->n_classes;
            for (size_t i = 0; i < n; i++)
                set_bit(to, row[eats[i]]);
            g->work += n;
        }
}

static bool join(uint64_t *to, const uint64_t *from, size_t words)
{
    bool grew = false;

    for (size_t i = 0; i < words; i++) {
        grew = grew || (from[i] & ~to[i]) != 0;
        to[i] |= from[i];
    }
    return grew;
}

/* The classes of bytes that the stamp allows, each once. */
static size_t join_eats(const struct line_graph *g, uint16_t classes, uint8_t *ret)
{
    bool seen[256] = {false};
    size_t n = 0;

    for (unsigned left = classes; left != 0; left &= left - 1) {
        unsigned c = (unsigned)__builtin_ctz(left);
        const uint8_t *eats = g->eats->eats[c];
        for (size_t i = 0; i < g->eats->n[c]; i++)
            if (!seen[eats[i]]) {
                seen[eats[i]] = true;
                ret[n++] = eats[i];
            }
    }
    return n;
}

/* States after min..max bytes from the set `cur`, into `all`; both and `next` are scratch. */
static void walk_lengths(struct line_graph *g, const uint8_t *eats, size_t n_eats, uint64_t min,
                         uint64_t max)
{
    uint64_t *cur = g->set[0];
    uint64_t *next = g->set[1];
    uint64_t *all = g->set[2];
    size_t bytes = g->words * sizeof(*cur);

    memset(all, 0, bytes);
    for (uint64_t len = 0;; len++) {
        if (len >= min)
            (void)join(all, cur, g->words);
        if (len >= max || g->work > WORK_MAX)
            break;
        memset(next, 0, bytes);
        step_set(g, cur, eats, n_eats, next);
        if (memcmp(cur, next, bytes) == 0) { /* it stays like this */
            (void)join(all, cur, g->words);
            break;
        }
        memcpy(cur, next, bytes);
        if (len < LENGTHS_MAX)
            continue;
        do { /* close over the rest, whatever the lengths */
            (void)join(all, cur, g->words);
            memcpy(cur, all, bytes);
            step_set(g, all, eats, n_eats, cur);
        } while (join(all, cur, g->words) && g->work <= WORK_MAX);
        break;
    }
}

static void list_set(struct line_graph *g, const uint64_t *set, struct line_reach *ret)
{
    size_t n = 0;
    size_t at = 0;
    uint16_t *list;

    for (size_t w = 0; w < g->words; w++)
        n += (size_t)__builtin_popcountll(set[w]);
    list = take(g, n * sizeof(*list) + 1);
    if (list == NULL)
        return;
    for (size_t w = 0; w < g->words; w++)
        for (uint64_t left = set[w]; left != 0; left &= left - 1)
            list[at++] = (uint16_t)(w * 64 + (unsigned)__builtin_ctzll(left));
    ret->list = list;
    ret->n = (uint32_t)n;
}

static const struct line_reach *reach_lengths(struct line_graph *g, const struct slot_stamp *s,
                                              unsigned state)
{
    uint64_t key[2] = {(uint64_t)s->classes << 16 | state | UINT64_C(1) << 40,
                       (uint64_t)s->min_len << 32 | s->max_len};
    uint64_t hash =
        (key[0] * UINT64_C(0x9e3779b97f4a7c15)) ^ (key[1] * UINT64_C(0xd1b54a32d192ed03));
    struct line_reach *slot = &g->reach[(hash >> 40) % LINE_REACHES];
    uint8_t eats[256];
    size_t n;

    if (slot->key[0] == key[0] && slot->key[1] == key[1])
        return slot;
    n = join_eats(g, s->classes, eats);
    memset(g->set[0], 0, g->words * sizeof(uint64_t));
    set_bit(g->set[0], state);
    walk_lengths(g, eats, n, s->min_len, n == 0 ? 0 : s->max_len);
    slot->key[0] = g->work > WORK_MAX ? 0 : key[0]; /* it was left half-way: not to be kept */
    slot->key[1] = key[1];
    list_set(g, g->set[2], slot);
    return slot;
}

/* The states behind the numbers from min to max, all of `digits` digits: two of them follow the
 * bounds, the rest are free.  false: not so many digits. */
static bool reach_numbers(struct line_graph *g, const struct slot_stamp *s, unsigned state,
                          struct line_reach *ret)
{
    uint64_t *free_set = g->set[0];
    uint64_t *next = g->set[1];
    size_t bytes = g->words * sizeof(*next);
    char low[24];
    char high[24];
    unsigned at_low = state;
    unsigned at_high = state;
    bool apart = false;
    uint8_t eats[256];
    size_t n_eats = join_eats(g, SLOT_DIGIT, eats);
    int width = (int)s->max_len;

    if (s->min_len != s->max_len || width > 20 || s->min > s->max)
        return false;
    (void)snprintf(low, sizeof(low), "%0*" PRIu64, width, s->min);
    (void)snprintf(high, sizeof(high), "%0*" PRIu64, width, s->max);
    if (low[width] != '\0' || high[width] != '\0')
        return false;
    memset(free_set, 0, bytes);
    for (int i = 0; i < width; i++) {
        memset(next, 0, bytes);
        step_set(g, free_set, eats, n_eats, next);
        for (int c = low[i] + 1; c <= (apart ? '9' : high[i] - 1); c++)
            set_bit(next, dfa_step(g->d, at_low, (uint8_t)c));
        for (int c = '0'; apart && c < high[i]; c++)
            set_bit(next, dfa_step(g->d, at_high, (uint8_t)c));
        apart = apart || low[i] != high[i];
        at_low = dfa_step(g->d, at_low, (uint8_t)low[i]);
        at_high = dfa_step(g->d, at_high, (uint8_t)high[i]);
        memcpy(free_set, next, bytes);
    }
    set_bit(free_set, at_low);
    set_bit(free_set, at_high);
    list_set(g, free_set, ret);
    return true;
}

bool line_graph_reach(struct line_graph *g, const struct slot_stamp *s, unsigned state,
                      struct line_reach *ret)
{
    g->work = 0;
    *ret = *reach_lengths(g, s, state);
    if (ret->n > 1 && s->kind == SLOT_INT && g->work <= WORK_MAX)
        (void)reach_numbers(g, s, state, ret);
    return g->work <= WORK_MAX && !g->full;
}

/* ---- targets ---- */

static unsigned target_before(struct line_graph *g, size_t k, unsigned state);

static unsigned target_after(struct line_graph *g, size_t k, unsigned state)
{
    uint16_t *known = &g->after[k * g->d->n_states + state];

    if (*known == LINE_NOT_YET) {
        struct str piece = g->t->piece[k + 1];
        g->work += 8 + piece.n / 4;
        *known = (uint16_t)target_before(g, k + 1, dfa_run(g->d, state, piece));
    }
    return *known;
}

static unsigned new_node(struct line_graph *g, size_t k, unsigned state)
{
    struct line_node n = {.slot = (uint16_t)k, .state = (uint16_t)state};

    if (g->node.n >= (size_t)g->t->n_slots * NODES_PER_SLOT) {
        g->over = true;
        return LINE_ASK;
    }
    VEC_PUSH(&g->node, n);
    return (unsigned)(LINE_NODE + g->node.n - 1);
}

/* The one target of all these states; LINE_NOT_YET when they differ. */
static unsigned common_target(struct line_graph *g, size_t k, const struct line_reach *r)
{
    unsigned common = LINE_NOT_YET;
    bool differ = false;

    for (uint32_t i = 0; i < r->n && !g->over && !g->full; i++) {
        unsigned t = target_after(g, k, r->list[i]);
        differ = differ || (i > 0 && t != common);
        common = t;
    }
    return differ ? LINE_NOT_YET : common;
}

static unsigned target_of_slot(struct line_graph *g, size_t k, unsigned state)
{
    const struct slot_stamp *s = &g->column[k].stamp;
    struct line_reach r = {.n = 0};
    unsigned t;

    if (s->kind == SLOT_CONST)
        return target_after(g, k, dfa_run(g->d, state, s->constant));
    r = *reach_lengths(g, s, state); /* a copy: others may take its place */
    t = common_target(g, k, &r);
    if (t == LINE_NOT_YET && s->kind == SLOT_INT && !g->over && reach_numbers(g, s, state, &r))
        t = common_target(g, k, &r);
    if (g->over || g->full || g->work > WORK_MAX) {
        g->over = true;
        return LINE_ASK;
    }
    return t != LINE_NOT_YET ? t : new_node(g, k, state);
}

/* Recursion is as deep as the template has slots. */
static unsigned target_before(struct line_graph *g, size_t k, unsigned state)
{
    uint16_t *known;

    if (k == g->t->n_slots)
        state = dfa_end(g->d, state);
    if (state == DFA_MATCH)
        return LINE_ALWAYS;
    if (state == DFA_UNKNOWN)
        return LINE_ASK;
    if (k == g->t->n_slots || g->d->dead[state])
        return LINE_NEVER;
    known = &g->before[k * g->d->n_states + state];
    if (*known == LINE_NOT_YET)
        *known = (uint16_t)target_of_slot(g, k, state);
    return *known;
}

static int make_room(struct line_graph *g, struct err *err)
{
    size_t targets = (size_t)g->t->n_slots * g->d->n_states;

    if (g->t->n_slots > g->cap) {
        g->before = take(g, targets * sizeof(*g->before));
        g->after = take(g, targets * sizeof(*g->after));
        g->cap = g->full ? 0 : g->t->n_slots;
    } else if (targets > 0) {
        memset(g->before, 0, targets * sizeof(*g->before));
        memset(g->after, 0, targets * sizeof(*g->after));
    }
    return g->full ? arena_err(g->a, err) : 0;
}

int line_graph_make(struct line_graph *g, const struct lines_plan *plan, size_t template,
                    unsigned *ret, struct err *err)
{
    int r;

    g->t = &plan->template[template];
    g->column = plan->column + g->t->first_column;
    g->node.n = 0;
    g->work = 0;
    g->over = false;
    if ((size_t)g->t->n_slots * g->d->n_states > TARGETS_MAX) {
        *ret = LINE_ASK;
        return 0;
    }
    r = make_room(g, err);
    if (r < 0)
        return r;
    *ret = target_before(g, 0, dfa_run(g->d, DFA_FIRST, g->t->piece[0]));
    if (g->full)
        return arena_err(g->a, err);
    if (g->over)
        *ret = LINE_ASK;
    return 0;
}
