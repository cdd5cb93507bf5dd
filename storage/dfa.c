/*
 * storage/dfa.c - see dfa.h.  Sets of nodes become states, all at once and within a bound.
 *
 * A state is the set of nodes that the text so far has led to, and what they may have to know of
 * the byte before.  Nodes that look ahead (`$`, `\b`) wait in the set until the next byte, or the
 * end of the line, is known.  A set that holds DFA_NODE_FOUND is DFA_MATCH; one that does not, on a
 * byte that a node cannot judge, leads to DFA_UNKNOWN.
 */
#include "storage/dfa.h"

#include "base/map.h"
#include "base/obj.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    WORK_MAX = 1 << 21,   /* nodes looked at while states are made */
    TREE_BYTES = 8 << 20, /* of a filter's trees */
    WIDE_STATES = 512,    /* that may have a table by byte */
    END_OF_LINE = -1,
    AT_BEGIN = 1 << 0, /* context of a set */
    AFTER_WORD = 1 << 1,
};

/* A set of nodes that is filled and walked. */
struct nodes {
    uint32_t *list, *place;
    size_t n;
    bool found;
};

struct maker {
    struct dfa_nfa nfa;
    struct dfa *d;
    struct nodes from, to;
    struct map *ids;       /* key of a set -> state + 1 */
    VEC(struct str) keys;  /* of states from DFA_FIRST on; owned */
    uint8_t of_class[257]; /* a byte of each class */
    size_t work;
    bool over;
};

/* ---- sets ---- */

static void push(struct nodes *s, uint32_t node)
{
    if (s->place[node] < s->n && s->list[s->place[node]] == node)
        return;
    s->place[node] = (uint32_t)s->n;
    s->list[s->n++] = node;
}

/* The node, and where it leads without a byte.  Forks stay in the list: they are passed once. */
static void add(struct maker *m, struct nodes *s, uint32_t node, bool at_begin)
{
    size_t i = s->n;

    push(s, node);
    for (; i < s->n; i++) {
        const struct dfa_node *n = &m->nfa.node.p[s->list[i]];
        m->work++;
        if (n->op == DFA_NODE_FOUND)
            s->found = true;
        if (n->op == DFA_NODE_FORK)
            push(s, n->out2);
        if (n->op == DFA_NODE_FORK ||
            (n->op == DFA_NODE_LOOK && n->arg == DFA_LOOK_BEGIN && at_begin))
            push(s, n->out);
    }
}

static bool is_word(int byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '_';
}

/* Let the nodes go on that wait for the next byte, or for the line's end. */
static void look(struct maker *m, struct nodes *s, unsigned context, int byte)
{
    bool at_edge = is_word(byte) != ((context & AFTER_WORD) != 0);

    for (size_t i = 0; i < s->n; i++) {
        const struct dfa_node *n = &m->nfa.node.p[s->list[i]];
        bool holds_here = false;
        if (n->op != DFA_NODE_LOOK)
            continue;
        if (n->arg == DFA_LOOK_END)
            holds_here = byte == END_OF_LINE;
        else if (n->arg == DFA_LOOK_WORD)
            holds_here = at_edge;
        if (holds_here)
            add(m, s, n->out, (context & AT_BEGIN) != 0);
    }
}

/* ---- states ---- */

static int compare_u32(const void *a, const void *b)
{
    uint32_t x;
    uint32_t y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

/* The state of a set; a new one when it has none. */
static unsigned state_of(struct maker *m, const struct nodes *s, unsigned context)
{
    uint32_t *key;
    size_t n = 0;
    bool waits = false; /* some node does, so what was before counts */
    struct str bytes;
    void *known;

    if (s->found)
        return DFA_MATCH;
    key = mem_new((s->n + 1) * sizeof(*key));
    for (size_t i = 0; i < s->n; i++) {
        const struct dfa_node *node = &m->nfa.node.p[s->list[i]];
        bool looks = node->op == DFA_NODE_LOOK && node->arg != DFA_LOOK_BEGIN;
        if (node->op == DFA_NODE_BYTES || looks)
            key[n++] = s->list[i];
        waits = waits || looks;
    }
    m->work += n;
    qsort(key, n, sizeof(*key), compare_u32);
    key[n++] = waits ? context : 0;
    bytes = (struct str){(const char *)key, n * sizeof(*key)};
    known = map_get(m->ids, bytes);
    if (known != NULL || m->keys.n + DFA_FIRST >= DFA_STATES_MAX) {
        m->over = m->over || known == NULL;
        free(key);
        return known == NULL ? DFA_UNKNOWN : (unsigned)((uintptr_t)known - 1);
    }
    VEC_PUSH(&m->keys, bytes);
    (void)map_put(m->ids, bytes, (void *)(uintptr_t)(m->keys.n + DFA_FIRST));
    return (unsigned)(m->keys.n + DFA_FIRST - 1);
}

static void load(struct maker *m, struct str bytes, unsigned *context)
{
    size_t n = bytes.n / sizeof(uint32_t) - 1;
    uint32_t last;

    m->from.n = 0;
    m->from.found = false;
    for (size_t i = 0; i < n; i++) {
        uint32_t node;
        memcpy(&node, bytes.p + i * sizeof(node), sizeof(node));
        m->from.place[node] = (uint32_t)m->from.n;
        m->from.list[m->from.n++] = node;
    }
    memcpy(&last, bytes.p + n * sizeof(last), sizeof(last));
    *context = last;
}

/* Where the set in `from` goes on a byte, its looking nodes already let go. */
static unsigned after_byte(struct maker *m, uint8_t byte)
{
    bool unknown = false;

    m->to.n = 0;
    m->to.found = false;
    for (size_t i = 0; i < m->from.n; i++) {
        const struct dfa_node *n = &m->nfa.node.p[m->from.list[i]];
        const struct dfa_set *set;
        m->work++;
        if (n->op != DFA_NODE_BYTES)
            continue;
        set = &m->nfa.set.p[n->arg];
        if (dfa_set_has(set->yes, byte))
            add(m, &m->to, n->out, false);
        else if (dfa_set_has(set->unknown, byte))
            unknown = true;
    }
    add(m, &m->to, m->nfa.start, false);
    if (unknown && !m->to.found)
        return DFA_UNKNOWN;
    return state_of(m, &m->to, is_word(byte) ? AFTER_WORD : 0);
}

/* All ways out of state `s`. */
static void make_ways(struct maker *m, size_t s, uint16_t *next)
{
    size_t bytes = m->d->n_classes - 1u;
    struct str key = m->keys.p[s - DFA_FIRST];
    size_t held = 0;
    unsigned context;

    load(m, key, &context);
    held = m->from.n;
    for (size_t c = 0; c <= bytes && !m->over; c++) {
        int byte = c == bytes ? END_OF_LINE : m->of_class[c];
        m->from.n = held; /* without what the byte before let in */
        m->from.found = false;
        look(m, &m->from, context, byte);
        if (m->from.found)
            next[c] = DFA_MATCH;
        else if (byte == END_OF_LINE)
            next[c] = (uint16_t)s;
        else
            next[c] = (uint16_t)after_byte(m, (uint8_t)byte);
        m->over = m->over || m->work > WORK_MAX;
    }
}

/* States one after the other, each making the ones it leads to. */
static int make_states(struct maker *m, struct err *err)
{
    struct dfa *d = m->d;
    size_t row = d->n_classes;
    size_t cap = 0;

    m->to.n = 0;
    m->to.found = false;
    add(m, &m->to, m->nfa.start, true);
    m->over = m->over || m->work > WORK_MAX;
    if (m->to.found) /* nothing is looked for: it is everywhere */
        VEC_PUSH(&m->keys, STR_NULL);
    else
        (void)state_of(m, &m->to, AT_BEGIN);
    for (size_t s = 0; s < m->keys.n + DFA_FIRST && !m->over; s++) {
        if (s >= cap) {
            cap = cap == 0 ? 16 : 2 * cap;
            uint16_t *wider = realloc(d->next, cap * row * sizeof(*wider));
            if (wider == NULL)
                return err_set(err, ERR_NOMEM, "out of memory for a filter's automaton");
            d->next = wider;
        }
        if (s >= DFA_FIRST && m->keys.p[s - DFA_FIRST].n > 0)
            make_ways(m, s, d->next + s * row);
        else
            for (size_t c = 0; c < row; c++)
                d->next[s * row + c] = s < DFA_FIRST ? (uint16_t)s : DFA_MATCH;
    }
    d->n_states = (uint16_t)(m->keys.n + DFA_FIRST);
    return 0;
}

/* ---- classes of bytes ---- */

static void split(struct dfa *d, const uint64_t bits[4])
{
    int renamed[256][2];
    uint16_t n = 0;

    memset(renamed, -1, sizeof(renamed));
    for (unsigned b = 0; b < 256; b++) {
        int *to = &renamed[d->class_of[b]][dfa_set_has(bits, b)];
        if (*to < 0)
            *to = n++;
        d->class_of[b] = (uint8_t)*to;
    }
    d->n_classes = (uint16_t)(n + 1u); /* and the end of the line */
}

static void make_classes(struct maker *m)
{
    static const uint64_t NONE[4];
    uint64_t words[4] = {0};

    split(m->d, NONE);
    for (size_t i = 0; i < m->nfa.set.n; i++) {
        split(m->d, m->nfa.set.p[i].yes);
        split(m->d, m->nfa.set.p[i].unknown);
    }
    for (int b = 0; b < 256 && m->nfa.words; b++)
        if (is_word(b))
            dfa_set_add(words, (unsigned)b);
    split(m->d, words);
    for (unsigned b = 256; b-- > 0;)
        m->of_class[m->d->class_of[b]] = (uint8_t)b;
}

/* ---- what can be said of states ---- */

/* From states that decide, backwards. */
static int find_dead(struct dfa *d, struct err *err)
{
    size_t n = d->n_states;
    size_t row = d->n_classes;
    uint32_t *start = calloc(n + 2, sizeof(*start));
    uint16_t *source = malloc(n * row * sizeof(*source));
    uint16_t *todo = malloc(n * sizeof(*todo));
    size_t left = 0;

    d->dead = malloc(n * sizeof(*d->dead));
    if (start != NULL && source != NULL && todo != NULL && d->dead != NULL) {
        for (size_t i = 0; i < n * row; i++)
            start[d->next[i] + 2]++;
        for (size_t s = 0; s < n; s++)
            start[s + 2] += start[s + 1];
        for (size_t i = 0; i < n * row; i++)
            source[start[d->next[i] + 1]++] = (uint16_t)(i / row);
        memset(d->dead, true, n * sizeof(*d->dead));
        todo[left++] = DFA_MATCH;
        todo[left++] = DFA_UNKNOWN;
        d->dead[DFA_MATCH] = d->dead[DFA_UNKNOWN] = false;
        while (left > 0) {
            uint16_t s = todo[--left];
            for (uint32_t i = start[s]; i < start[s + 1]; i++)
                if (d->dead[source[i]]) {
                    d->dead[source[i]] = false;
                    todo[left++] = source[i];
                }
        }
    }
    free(start);
    free(source);
    free(todo);
    return d->dead != NULL && start != NULL && source != NULL && todo != NULL
               ? 0
               : err_set(err, ERR_NOMEM, "out of memory for a filter's automaton");
}

static void find_idle(struct dfa *d)
{
    unsigned best = 0;

    d->idle = DFA_FIRST;
    for (unsigned s = DFA_FIRST; s < d->n_states; s++) {
        unsigned stays = 0;
        for (unsigned b = 0; b < 256; b++)
            stays += dfa_step(d, s, (uint8_t)b) == s;
        if (stays > best && !d->dead[s]) {
            best = stays;
            d->idle = (uint16_t)s;
        }
    }
    for (unsigned b = 0; b < 256; b++) {
        uint8_t *table = b < 128 ? d->leave_low : d->leave_high;
        d->leave[b] = dfa_step(d, d->idle, (uint8_t)b) != d->idle;
        if (d->leave[b])
            table[b & 15] |= (uint8_t)(1u << (b >> 4 & 7));
    }
#if defined(__x86_64__)
    d->avx2 = __builtin_cpu_supports("avx2") != 0;
#endif
}

static int make_wide(struct dfa *d, struct err *err)
{
    if (d->n_states > WIDE_STATES)
        return 0;
    d->wide = malloc((size_t)d->n_states * 256 * sizeof(*d->wide));
    if (d->wide == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a filter's automaton");
    for (unsigned s = 0; s < d->n_states; s++)
        for (unsigned b = 0; b < 256; b++)
            d->wide[s << 8 | b] = (uint16_t)dfa_step(d, s, (uint8_t)b);
    return 0;
}

/* ---- new, free ---- */

static void nodes_init(struct nodes *s, size_t n)
{
    *s = (struct nodes){.list = mem_new(n * sizeof(*s->list)),
                        .place = mem_new(n * sizeof(*s->place))};
}

static void nodes_fini(struct nodes *s)
{
    free(s->list);
    free(s->place);
}

static int make(struct dfa *d, struct dfa_tree *const *tree, size_t n, struct err *err)
{
    struct maker m = {.d = d};
    int r = 1;

    dfa_nfa_init(&m.nfa, tree, n);
    d->needle = mem_new(n * sizeof(*d->needle) + 1);
    for (size_t i = 0; i < n; i++)
        dfa_nfa_needle(tree[i], &d->needle[i]);
    d->n_needles = n;
    if (!m.nfa.over) {
        nodes_init(&m.from, m.nfa.node.n);
        nodes_init(&m.to, m.nfa.node.n);
        m.ids = map_new(DFA_STATES_MAX, NULL);
        make_classes(&m);
        r = make_states(&m, err);
        if (r == 0 && m.over)
            r = 1;
        if (r == 0)
            r = find_dead(d, err);
        if (r == 0)
            r = make_wide(d, err);
        if (r == 0)
            find_idle(d);
    }
    for (size_t i = 0; i < m.keys.n; i++)
        free((void *)(uintptr_t)m.keys.p[i].p);
    VEC_FINI(&m.keys);
    map_free(&m.ids);
    nodes_fini(&m.from);
    nodes_fini(&m.to);
    dfa_nfa_fini(&m.nfa);
    return r;
}

static int parse(const struct scan_filter *f, struct arena *a, struct dfa_tree **tree,
                 struct err *err)
{
    bool literal = f->op == SCAN_CONTAINS || f->op == SCAN_CONTAINS_NOT;
    int r = 0;

    for (size_t i = 0; i < f->n && r == 0; i++)
        r = literal ? dfa_parse_literal(f->text[i], a, &tree[i], err)
                    : dfa_parse_regexp(regexp_pattern(f->re[i]), a, &tree[i], err);
    return r == ERR_LIMIT ? 1 : r; /* trees over TREE_BYTES */
}

int dfa_new(const struct scan_filter *f, struct dfa **ret, struct err *err)
{
    struct arena *a;
    struct dfa_tree **tree;
    struct dfa *d;
    int r = 1;

    *ret = NULL;
    if (f->n == 0 || f->n >= DFA_STATES_MAX)
        return 1;
    d = mem_new(sizeof(*d));
    d->magic = DFA_MAGIC;
    a = arena_new(NULL, TREE_BYTES);
    tree = arena_alloc(a, f->n * sizeof(*tree));
    if (tree != NULL)
        r = parse(f, a, tree, err);
    if (r == 0)
        r = make(d, tree, f->n, err);
    arena_free(&a);
    if (r != 0)
        dfa_free(&d);
    *ret = d;
    return r;
}

void dfa_free(struct dfa **pd)
{
    struct dfa *d = *pd;

    if (d == NULL)
        return;
    OBJ_CHECK(d, DFA_MAGIC);
    d->magic = 0;
    free(d->next);
    free(d->dead);
    free(d->wide);
    free(d->needle);
    free(d);
    *pd = NULL;
}

/* ---- run ---- */

#if defined(__x86_64__)
/* How many bytes from p do not leave the idle state: steps of 32, a multiple of them or exact. */
__attribute__((target("avx2"))) static size_t skip_avx2(const struct dfa *d, const uint8_t *p,
                                                        size_t n)
{
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)d->leave_low));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)d->leave_high));
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i top = _mm256_set1_epi8((char)0x80);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i zero = _mm256_setzero_si256();
    size_t i = 0;

    for (; n - i >= 32; i += 32) {
        __m256i b = _mm256_loadu_si256((const void *)(p + i));
        __m256i set = _mm256_or_si256(_mm256_shuffle_epi8(low, b),
                                      _mm256_shuffle_epi8(high, _mm256_xor_si256(b, top)));
        __m256i which = _mm256_shuffle_epi8(bit, _mm256_and_si256(_mm256_srli_epi16(b, 4), nibble));
        __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(set, which), zero);
        unsigned hit = ~(unsigned)_mm256_movemask_epi8(none);
        if (hit != 0)
            return i + (unsigned)__builtin_ctz(hit);
    }
    return i;
}
#endif

static size_t skip(const struct dfa *d, const uint8_t *p, size_t n)
{
    size_t i = 0;

#if defined(__x86_64__)
    if (d->avx2 && n >= 32)
        i = skip_avx2(d, p, n);
#endif
    while (i < n && !d->leave[p[i]])
        i++;
    return i;
}

unsigned dfa_run(const struct dfa *d, unsigned state, struct str piece)
{
    const uint8_t *p = (const uint8_t *)piece.p;
    size_t left = piece.n;

    while (left > 0 && state >= DFA_FIRST) {
        size_t n;
        if (state == d->idle && left >= 16) {
            n = skip(d, p, left);
            p += n;
            left -= n;
        }
        n = left < 16 ? left : 16;
        left -= n;
        if (d->wide != NULL)
            for (; n > 0; n--)
                state = d->wide[state << 8 | *p++];
        else
            for (; n > 0; n--)
                state = dfa_step(d, state, *p++);
    }
    return state;
}

unsigned dfa_end(const struct dfa *d, unsigned state)
{
    return d->next[(size_t)state * d->n_classes + d->n_classes - 1u];
}
