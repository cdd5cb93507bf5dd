/*
 * storage/dfa_nfa.c - see dfa_nfa.h.
 *
 * Nodes are made from the end to the beginning, so each knows where to go on.  A search may begin
 * anywhere, so what is optional at the front of a tree says nothing and is left out: `.*x` is `x`,
 * and no longer needs to know what characters are.
 */
#include "storage/dfa_nfa.h"

static uint32_t add_node(struct dfa_nfa *n, enum dfa_node_op op, uint32_t arg, uint32_t out,
                         uint32_t out2)
{
    struct dfa_node node = {.op = op, .arg = arg, .out = out, .out2 = out2};

    if (n->node.n >= DFA_NODES_MAX) {
        n->over = true;
        return 0;
    }
    VEC_PUSH(&n->node, node);
    return (uint32_t)n->node.n - 1;
}

static uint32_t add_set(struct dfa_nfa *n, const struct dfa_set *set)
{
    for (size_t i = n->set.n; i > 0; i--)
        if (memcmp(&n->set.p[i - 1], set, sizeof(*set)) == 0)
            return (uint32_t)i - 1;
    if (n->set.n >= DFA_SETS_MAX) {
        n->over = true;
        return 0;
    }
    VEC_PUSH(&n->set, *set);
    return (uint32_t)n->set.n - 1;
}

static uint32_t add_byte(struct dfa_nfa *n, uint8_t byte, uint32_t next)
{
    struct dfa_set set = {.yes = {0}};

    dfa_set_add(set.yes, byte);
    return add_node(n, DFA_NODE_BYTES, add_set(n, &set), next, 0);
}

static uint32_t add_tree(struct dfa_nfa *n, const struct dfa_tree *t, uint32_t next);

static uint32_t add_char(struct dfa_nfa *n, const struct dfa_tree *t, uint32_t next)
{
    uint32_t at = add_node(n, DFA_NODE_BYTES, add_set(n, &t->set), next, 0);
    uint32_t other = next;

    if (t->extra.n == 0)
        return at;
    for (size_t i = t->extra.n; i > 0; i--)
        other = add_byte(n, (uint8_t)t->extra.p[i - 1], other);
    return add_node(n, DFA_NODE_FORK, 0, at, other);
}

static uint32_t add_repeat(struct dfa_nfa *n, const struct dfa_tree *t, uint32_t next)
{
    uint32_t at = next;

    if (t->max == DFA_MANY) {
        uint32_t again = add_node(n, DFA_NODE_FORK, 0, next, next);
        uint32_t body = add_tree(n, t->last, again);
        if (!n->over)
            n->node.p[again].out2 = body;
        at = again;
    }
    for (int i = t->max == DFA_MANY ? t->min : t->max; i > 0 && !n->over; i--) {
        at = add_tree(n, t->last, at);
        if (i > t->min)
            at = add_node(n, DFA_NODE_FORK, 0, next, at);
    }
    return at;
}

/* Nodes for `t` and then `next`; recursion is as deep as groups are nested (dfa_parse.c). */
static uint32_t add_tree(struct dfa_nfa *n, const struct dfa_tree *t, uint32_t next)
{
    uint32_t at = next;

    if (n->over)
        return 0;
    switch (t->kind) {
    case DFA_TREE_EMPTY:
        break;
    case DFA_TREE_CHAR:
        at = add_char(n, t, next);
        break;
    case DFA_TREE_LOOK:
        n->words = n->words || t->look == DFA_LOOK_WORD;
        at = add_node(n, DFA_NODE_LOOK, t->look, next, 0);
        break;
    case DFA_TREE_CAT:
        for (const struct dfa_tree *c = t->last; c != NULL; c = c->before)
            at = add_tree(n, c, at);
        break;
    case DFA_TREE_ALT:
        at = add_tree(n, t->last, next);
        for (const struct dfa_tree *c = t->last->before; c != NULL; c = c->before) {
            uint32_t other = add_tree(n, c, next);
            at = add_node(n, DFA_NODE_FORK, 0, at, other);
        }
        break;
    case DFA_TREE_REPEAT:
        at = add_repeat(n, t, next);
        break;
    }
    return at;
}

/* Leave out what is optional at the front; true: nothing is left. */
static bool strip(struct dfa_tree *t)
{
    struct dfa_tree *first;

    switch (t->kind) {
    case DFA_TREE_EMPTY:
        return true;
    case DFA_TREE_REPEAT:
        t->max = t->min;
        if (t->min > 1)
            return false;
        t->kind = t->min == 0 ? DFA_TREE_EMPTY : DFA_TREE_CAT;
        return strip(t);
    case DFA_TREE_CAT:
        for (;;) {
            first = NULL;
            for (struct dfa_tree *c = t->last; c != NULL; c = c->before)
                if (c->kind != DFA_TREE_EMPTY)
                    first = c;
            if (first == NULL || !strip(first))
                return first == NULL;
            first->kind = DFA_TREE_EMPTY;
        }
    case DFA_TREE_ALT:
        for (struct dfa_tree *c = t->last; c != NULL; c = c->before)
            (void)strip(c);
        return false;
    case DFA_TREE_CHAR:
    case DFA_TREE_LOOK:
        break;
    }
    return false;
}

void dfa_nfa_init(struct dfa_nfa *n, struct dfa_tree *const *tree, size_t n_trees)
{
    uint32_t found;

    *n = (struct dfa_nfa){.words = false};
    found = add_node(n, DFA_NODE_FOUND, 0, 0, 0);
    for (size_t i = 0; i < n_trees && !n->over; i++) {
        uint32_t at;
        (void)strip(tree[i]);
        at = add_tree(n, tree[i], found);
        n->start = i == 0 ? at : add_node(n, DFA_NODE_FORK, 0, n->start, at);
    }
}

void dfa_nfa_fini(struct dfa_nfa *n)
{
    VEC_FINI(&n->node);
    VEC_FINI(&n->set);
}

/* ---- needle ---- */

/* The reading of a tree from its end to its beginning; the run under way is reversed. */
struct needle_reader {
    struct dfa_needle run, best;
    bool broken; /* something other than the run was seen */
};

static void end_run(struct needle_reader *r)
{
    if (r->run.n > r->best.n)
        r->best = r->run;
    r->run.n = 0;
    r->run.ascii = false;
    r->broken = true;
}

/* One byte, or a letter in both cases; false: more than that. */
static bool as_byte(const struct dfa_set *s, uint8_t *byte, uint8_t *fold)
{
    unsigned lowest = 256;
    unsigned count = 0;

    for (unsigned w = 0; w < 4; w++) {
        if (s->unknown[w] != 0)
            return false;
        count += (unsigned)__builtin_popcountll(s->yes[w]);
        if (s->yes[w] != 0 && lowest == 256)
            lowest = w * 64 + (unsigned)__builtin_ctzll(s->yes[w]);
    }
    if (count == 0 || count > 2 || (count == 2 && !dfa_set_has(s->yes, lowest ^ 0x20)))
        return false;
    *byte = (uint8_t)lowest;
    *fold = count == 2 ? 0x20 : 0;
    return true;
}

static void read_needle(struct needle_reader *r, const struct dfa_tree *t)
{
    uint8_t byte = 0;
    uint8_t fold = 0;

    if (t->kind == DFA_TREE_EMPTY)
        return;
    if (t->kind == DFA_TREE_CAT) {
        for (const struct dfa_tree *c = t->last; c != NULL; c = c->before)
            read_needle(r, c);
        return;
    }
    if (t->kind == DFA_TREE_REPEAT && t->min > 0) {
        end_run(r); /* what repeats is there once, next to neither side */
        read_needle(r, t->last);
        end_run(r);
        return;
    }
    if (t->kind != DFA_TREE_CHAR || !as_byte(&t->set, &byte, &fold)) {
        end_run(r);
        return;
    }
    if (r->run.n == DFA_NEEDLE_MAX)
        end_run(r);
    r->run.byte[r->run.n] = byte;
    r->run.fold[r->run.n++] = fold;
    r->run.ascii = r->run.ascii || t->extra.n > 0;
}

void dfa_nfa_needle(const struct dfa_tree *t, struct dfa_needle *ret)
{
    struct needle_reader r = {.broken = false};

    read_needle(&r, t);
    r.run.whole = !r.broken;
    if (r.run.n > r.best.n)
        r.best = r.run;
    *ret = r.best;
    for (size_t i = 0; i < ret->n / 2; i++) {
        size_t k = ret->n - 1 - i;
        uint8_t byte = ret->byte[i];
        uint8_t fold = ret->fold[i];
        ret->byte[i] = ret->byte[k];
        ret->fold[i] = ret->fold[k];
        ret->byte[k] = byte;
        ret->fold[k] = fold;
    }
}
