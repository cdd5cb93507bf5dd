/*
 * storage/lines_encode.c - n strings to a plan and data frames.  Contract: lines.h; bytes:
 * docs/formats/segment.md, "Lines".
 *
 * One pass cuts every row and finds its template in a hash table (exact compare with the first row
 * that had it).  Rows whose template is rare are cut again in coarser ways.  Then templates with
 * support get numbers, rows are grouped by template, and each slot becomes a column.  Values are
 * gathered for a few slots of one template at a time and copied together: the rows lie scattered,
 * and the column encoder passes over its values more than once.
 *
 * Invariants
 *   (1) a row's template is a candidate with support, or RAW; candidates stand in order of their
 *       first rows, so the same rows give the same bytes;
 *   (2) the table never holds more than CANDIDATES_MAX, and a search ends after PROBES_MAX steps:
 *       what finds no place is RAW, so lines made to collide cost size, not time.
 */
#include "storage/lines_internal.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/varint.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROWS_MAX = 1 << 16,
    CANDIDATES_MAX = 1 << 14,
    TABLE = 1 << 15, /* slots of the hash table, a power of two */
    PROBES_MAX = 32,
    LINE_SPLIT_MAX = UINT16_MAX, /* longer lines are RAW: places have 16 bits */
    GATHER = ROWS_MAX,           /* values gathered at once */
    SUPPORT_LEAST = 8,
    SAME_TRIES = 4,
};
static const uint32_t RAW = UINT32_MAX;
_Static_assert(ROWS_MAX / LINES_SUPPORT <= LINES_TEMPLATES_MAX &&
                   LINES_SUPPORT_ROWS / SUPPORT_LEAST <= LINES_TEMPLATES_MAX,
               "support bounds the templates");

struct place {
    uint16_t at, n; /* of a value in its line */
};

/* How a line is cut. */
struct cut {
    uint8_t kind, n_slots;
};

/* A template before it is known whether it has support.  Its pieces stand in its first row. */
struct candidate {
    uint64_t hash;
    uint32_t row, rows, n_slots, number;
    enum template_kind kind;
};

/* A frame on its way: bytes [at, at + n) of `data`. */
struct frame {
    size_t at, n;
    enum lines_content content;
};

/* A frame that takes small columns. */
struct packing {
    struct buf bytes;
    uint32_t frame;
    bool is_open;
};

struct lines_encoder {
    unsigned magic;
#define LINES_ENCODER_MAGIC 0x11e5e4c0u
    bool small;
    struct slot_encoder *slot;         /* owned */
    const struct str *line;            /* of this run; borrowed; NULL: attributes */
    const struct lines_attr_row *attr; /* of this run; borrowed; NULL: lines */
    size_t n;
    uint32_t *of;    /* candidate of each row, or RAW */
    uint32_t *first; /* place of the first value of each row */
    struct cut *cut; /* of each row that has a template */
    uint32_t *map;   /* CANDIDATES_MAX */
    uint32_t *order; /* rows by template */
    VEC(struct place) places;
    VEC(struct candidate) candidates;
    uint32_t *table;   /* candidate + 1; 0: free */
    struct buf packed; /* attributes of RAW rows */
    struct str *value; /* GATHER */
    struct buf gathered;
    uint32_t n_templates, n_columns;
    uint32_t raw_rows, raw_number;
    struct buf data;
    struct packing packing[2];
    VEC(struct frame) frames;
    VEC(struct lines_frame) out;
    struct buf columns; /* stamps and places */
    struct buf plan;
};

struct lines_encoder *lines_encoder_new(bool small)
{
    struct lines_encoder *e = mem_new(sizeof(*e));

    e->magic = LINES_ENCODER_MAGIC;
    e->small = small;
    e->slot = slot_encoder_new();
    e->table = mem_new(TABLE * sizeof(*e->table));
    e->of = mem_grow(NULL, ROWS_MAX * sizeof(*e->of));
    e->first = mem_grow(NULL, ROWS_MAX * sizeof(*e->first));
    e->cut = mem_grow(NULL, ROWS_MAX * sizeof(*e->cut));
    e->map = mem_grow(NULL, CANDIDATES_MAX * sizeof(*e->map));
    e->order = mem_grow(NULL, ROWS_MAX * sizeof(*e->order));
    e->value = mem_grow(NULL, GATHER * sizeof(*e->value));
    buf_init(&e->packed, LINES_FRAME_MAX);
    buf_init(&e->gathered, LINES_FRAME_MAX);
    buf_init(&e->data, LINES_FRAME_MAX);
    buf_init(&e->packing[0].bytes, LINES_FRAME_PACKED);
    buf_init(&e->packing[1].bytes, LINES_FRAME_PACKED);
    buf_init(&e->columns, LINES_FRAME_MAX);
    buf_init(&e->plan, LINES_FRAME_MAX);
    return e;
}

void lines_encoder_free(struct lines_encoder **pe)
{
    struct lines_encoder *e = *pe;

    if (e == NULL)
        return;
    OBJ_CHECK(e, LINES_ENCODER_MAGIC);
    slot_encoder_free(&e->slot);
    free(e->table);
    free(e->of);
    free(e->first);
    free(e->cut);
    free(e->map);
    free(e->order);
    free(e->value);
    VEC_FINI(&e->places);
    VEC_FINI(&e->candidates);
    VEC_FINI(&e->frames);
    VEC_FINI(&e->out);
    buf_fini(&e->packed);
    buf_fini(&e->gathered);
    buf_fini(&e->data);
    buf_fini(&e->packing[0].bytes);
    buf_fini(&e->packing[1].bytes);
    buf_fini(&e->columns);
    buf_fini(&e->plan);
    e->magic = 0;
    free(e);
    *pe = NULL;
}

/* ---- which template a row has ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

/* Eight bytes at a time, the last ones overlapping: pieces are short. */
static uint64_t mix_bytes(uint64_t h, const char *p, size_t n)
{
    uint64_t v = 0;

    h = mix(h, n);
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            memcpy(&v, p + i, 8);
            h = mix(h, v);
        }
        memcpy(&v, p + n - 8, 8);
        return mix(h, v);
    }
    if (n >= 4) {
        uint32_t lo;
        uint32_t hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + n - 4, 4);
        return mix(h, (uint64_t)hi << 32 | lo);
    }
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return n == 0 ? h : mix(h, v);
}

/* str_eq for pieces, most of them short or different at once. */
static inline bool same_bytes(struct str a, struct str b)
{
    uint64_t x[4];

    if (a.n != b.n)
        return false;
    if (a.n < 8 || a.n > 16)
        return a.n == 0 || (a.p[0] == b.p[0] && memcmp(a.p, b.p, a.n) == 0);
    memcpy(&x[0], a.p, 8);
    memcpy(&x[1], b.p, 8);
    memcpy(&x[2], a.p + a.n - 8, 8);
    memcpy(&x[3], b.p + b.n - 8, 8);
    return x[0] == x[1] && x[2] == x[3];
}

/* Piece i of a row that has candidate `c`. */
static struct str piece_of(const struct lines_encoder *e, const struct candidate *c, uint32_t row,
                           uint32_t i)
{
    const struct place *v;
    size_t from;
    size_t to;

    if (e->attr != NULL)
        return i < c->n_slots ? e->attr[row].attr[i].name : STR("");
    v = &e->places.p[e->first[row]];
    from = i == 0 ? 0 : (size_t)v[i - 1].at + v[i - 1].n;
    to = i < c->n_slots ? v[i].at : e->line[row].n;
    return (struct str){e->line[row].p + from, to - from};
}

static uint64_t hash_row(const struct lines_encoder *e, const struct candidate *c)
{
    uint64_t h = mix((uint64_t)c->kind, c->n_slots);

    for (uint32_t i = 0; i <= c->n_slots; i++) {
        struct str s = piece_of(e, c, c->row, i);
        h = mix_bytes(h, s.p, s.n);
    }
    return h;
}

static bool is_same(const struct lines_encoder *e, const struct candidate *c,
                    const struct candidate *want)
{
    if (c->hash != want->hash || c->kind != want->kind || c->n_slots != want->n_slots)
        return false;
    for (uint32_t i = 0; i <= c->n_slots; i++)
        if (!same_bytes(piece_of(e, c, c->row, i), piece_of(e, want, want->row, i)))
            return false;
    return true;
}

/* The candidate that `want` (row, kind and n_slots are set) is; RAW: no room for another.  Keeps
 * (2). */
static uint32_t find_candidate(struct lines_encoder *e, struct candidate *want)
{
    want->hash = hash_row(e, want);
    for (uint32_t i = 0; i < PROBES_MAX; i++) {
        uint32_t *at = &e->table[(want->hash + i) & (TABLE - 1)];
        if (*at == 0) {
            if (e->candidates.n >= CANDIDATES_MAX)
                return RAW;
            VEC_PUSH(&e->candidates, *want);
            *at = (uint32_t)e->candidates.n;
            return *at - 1;
        }
        if (is_same(e, &e->candidates.p[*at - 1], want))
            return *at - 1;
    }
    return RAW;
}

static void enter_row(struct lines_encoder *e, uint32_t row, enum template_kind kind,
                      uint32_t n_slots)
{
    struct candidate want = {.row = row, .kind = kind, .n_slots = n_slots};
    uint32_t c = find_candidate(e, &want);

    e->of[row] = c;
    if (c != RAW)
        e->candidates.p[c].rows++;
}

/* A line that was cut: its slots go behind e->places. */
static void enter_line(struct lines_encoder *e, uint32_t row, const struct template_line *t)
{
    size_t at = e->places.n;

    e->of[row] = RAW;
    e->first[row] = (uint32_t)at;
    if (t->kind == TEMPLATE_RAW)
        return;
    VEC_RESERVE(&e->places, at + t->n_slots);
    for (uint32_t k = 0; k < t->n_slots; k++)
        e->places.p[at + k] = (struct place){(uint16_t)t->slot[k].at, (uint16_t)t->slot[k].n};
    e->places.n = at + t->n_slots;
    e->cut[row] = (struct cut){(uint8_t)t->kind, (uint8_t)t->n_slots};
    enter_row(e, row, t->kind, t->n_slots);
    if (e->of[row] == RAW)
        e->places.n = at;
}

static void split_lines(struct lines_encoder *e)
{
    struct template_line t;

    for (uint32_t i = 0; i < e->n; i++) {
        t.kind = TEMPLATE_RAW;
        if (e->line[i].n <= LINE_SPLIT_MAX)
            template_split(e->line[i], &t);
        enter_line(e, i, &t);
    }
}

static bool same_names(const struct lines_attr_row *x, const struct lines_attr_row *y)
{
    if (x->n != y->n)
        return false;
    for (uint32_t i = 0; i < x->n; i++)
        if (!str_eq(x->attr[i].name, y->attr[i].name))
            return false;
    return true;
}

static void split_attrs(struct lines_encoder *e)
{
    for (uint32_t i = 0; i < e->n; i++) {
        const struct lines_attr_row *row = &e->attr[i];
        if (i > 0 && e->of[i - 1] != RAW && same_names(row - 1, row)) {
            e->of[i] = e->of[i - 1];
            e->candidates.p[e->of[i]].rows++;
        } else if (row->n > TEMPLATE_SLOTS_MAX) {
            e->of[i] = RAW;
        } else {
            enter_row(e, i, TEMPLATE_ATTRS, row->n);
        }
    }
}

/* ---- which templates stay ---- */

/* Rows that a template needs in a block of n.  So there are never more than LINES_TEMPLATES_MAX. */
static uint32_t support_of(size_t n)
{
    size_t support = n * LINES_SUPPORT / LINES_SUPPORT_ROWS;

    if (support < SUPPORT_LEAST)
        support = SUPPORT_LEAST;
    return support > LINES_SUPPORT ? LINES_SUPPORT : (uint32_t)support;
}

/* ---- rows whose template is too rare ---- */

/* Of the candidates from `first` on those without support go, the rows that had them are RAW.
 * rows[0..n) are all rows with such a candidate; those that are RAW now are left in it: how many.
 */
static size_t settle(struct lines_encoder *e, size_t first, uint32_t support, uint32_t *rows,
                     size_t n)
{
    size_t stay = first;
    size_t left = 0;

    for (size_t c = first; c < e->candidates.n; c++) {
        e->map[c] = RAW;
        if (e->candidates.p[c].rows < support)
            continue;
        e->map[c] = (uint32_t)stay;
        e->candidates.p[stay++] = e->candidates.p[c];
    }
    e->candidates.n = stay;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = rows[i];
        if (e->of[row] != RAW)
            e->of[row] = e->map[e->of[row]];
        if (e->of[row] == RAW)
            rows[left++] = row;
    }
    memset(e->table, 0, TABLE * sizeof(*e->table));
    return left;
}

/* Messages of JSON and logfmt in one piece. */
static void enter_whole(struct lines_encoder *e, const uint32_t *rows, size_t n)
{
    struct template_line t;

    for (size_t i = 0; i < n; i++) {
        enum template_kind kind = (enum template_kind)e->cut[rows[i]].kind;
        if (kind != TEMPLATE_JSON && kind != TEMPLATE_LOGFMT)
            continue;
        template_split_whole(e->line[rows[i]], &t);
        enter_line(e, rows[i], &t);
    }
}

/* The first `slots` slots of a line of text, and all that follows as one more. */
static void enter_heads(struct lines_encoder *e, const uint32_t *rows, size_t n, uint32_t slots)
{
    for (size_t i = 0; i < n; i++) {
        const struct cut *cut = &e->cut[rows[i]];
        struct place *v = &e->places.p[e->first[rows[i]]];
        uint32_t from;
        if ((cut->kind != TEMPLATE_TEXT && cut->kind != TEMPLATE_LOGFMT) || cut->n_slots <= slots)
            continue;
        from = (uint32_t)v[slots - 1].at + v[slots - 1].n;
        v[slots] = (struct place){(uint16_t)from, (uint16_t)(e->line[rows[i]].n - from)};
        enter_row(e, rows[i], TEMPLATE_TEXT, slots + 1);
    }
}

/* Rows with rare templates are cut in coarser ways, one after the other, until they have support.
 */
static void split_rare(struct lines_encoder *e)
{
    static const uint8_t heads[] = {16, 12, 8, 6, 4, 3, 2, 1};
    uint32_t support = support_of(e->n);
    uint32_t *rows = e->order; /* not in use yet */
    size_t first;
    size_t n = 0;

    for (uint32_t i = 0; i < e->n; i++)
        if (e->of[i] != RAW)
            rows[n++] = i;
    n = settle(e, 0, support, rows, n);
    if (n < support)
        return;
    first = e->candidates.n;
    enter_whole(e, rows, n);
    n = settle(e, first, support, rows, n);
    for (size_t i = 0; i < sizeof(heads) && n >= support; i++) {
        first = e->candidates.n;
        enter_heads(e, rows, n, heads[i]);
        n = settle(e, first, support, rows, n);
    }
}

static void choose_templates(struct lines_encoder *e)
{
    uint32_t support = support_of(e->n);

    e->n_templates = e->n_columns = 0;
    e->raw_rows = (uint32_t)e->n;
    for (size_t i = 0; i < e->candidates.n; i++) {
        struct candidate *c = &e->candidates.p[i];
        c->number = RAW;
        if (c->rows < support)
            continue;
        c->number = e->n_templates++;
        e->n_columns += c->n_slots;
        e->raw_rows -= c->rows;
    }
    if (e->raw_rows > 0) {
        e->raw_number = e->n_templates++;
        e->n_columns++;
    }
}

static uint32_t number_of(const struct lines_encoder *e, uint32_t row)
{
    uint32_t c = e->of[row];

    if (c == RAW || e->candidates.p[c].number == RAW)
        return e->raw_number;
    return e->candidates.p[c].number;
}

/* Rows of each template together in e->order, RAW last as it has the last number. */
static void group_rows(struct lines_encoder *e)
{
    uint32_t *next = mem_new((e->n_templates + (size_t)1) * sizeof(*next));

    for (uint32_t i = 0; i < e->n; i++)
        next[number_of(e, i) + 1]++;
    for (uint32_t t = 0; t < e->n_templates; t++)
        next[t + 1] += next[t];
    for (uint32_t i = 0; i < e->n; i++)
        e->order[next[number_of(e, i)]++] = i;
    free(next);
}

/* ---- columns ---- */

static uint32_t add_frame(struct lines_encoder *e, enum lines_content content)
{
    struct frame f = {.content = content};

    VEC_PUSH(&e->frames, f);
    return (uint32_t)e->frames.n - 1;
}

static void close_packing(struct lines_encoder *e, struct packing *p)
{
    struct frame *f;

    if (!p->is_open)
        return;
    f = &e->frames.p[p->frame];
    f->at = e->data.n;
    f->n = p->bytes.n;
    buf_add_str(&e->data, buf_str(&p->bytes));
    buf_clear(&p->bytes);
    p->is_open = false;
}

/* Put the bytes of a column, the last of e->data from `at` on, where they belong. */
static enum lines_place place_column(struct lines_encoder *e, const struct slot_stamp *s, size_t at)
{
    enum lines_content content = lines_content_of(s->kind);
    struct packing *p = &e->packing[content == LINES_TEXT];
    size_t n = e->data.n - at;

    if (n >= LINES_FRAME_ALONE) {
        uint32_t frame = add_frame(e, content);
        e->frames.p[frame].at = at;
        e->frames.p[frame].n = n;
        return LINES_PLACE_ALONE;
    }
    if (!p->is_open || n > LINES_FRAME_PACKED - p->bytes.n) {
        char own[LINES_FRAME_ALONE]; /* closing appends behind these bytes */
        memcpy(own, e->data.p + at, n);
        e->data.n = at;
        close_packing(e, p);
        p->frame = add_frame(e, content);
        p->is_open = true;
        buf_add(&p->bytes, own, n);
        return LINES_PLACE_NEW;
    }
    buf_add(&p->bytes, e->data.p + at, n);
    e->data.n = at;
    return LINES_PLACE_NEXT;
}

static void put_column(struct lines_encoder *e, const struct str *v, size_t n)
{
    size_t at = e->data.n;
    uint8_t pairs[SLOT_PAIRS];
    struct slot_stamp s;

    if (e->data.over)
        return;
    slot_encode(e->slot, v, n, e->small, &e->data, &s);
    if (!e->data.over && s.bytes >= LINES_PAIRS_MIN &&
        slot_pairs(&s, str_from(buf_str(&e->data), at), n, pairs))
        s.pairs = pairs;
    slot_stamp_put(&e->columns, &s);
    if (s.kind != SLOT_CONST && !e->data.over)
        buf_add_char(&e->columns, (char)place_column(e, &s, at));
}

/* Values of slots [slot, slot + m) of `rows`, slot after slot, in e->value. */
static bool gather_lines(struct lines_encoder *e, const uint32_t *rows, size_t n, uint32_t slot,
                         uint32_t m)
{
    size_t bytes = 0;
    char *to;

    for (size_t i = 0; i < n; i++) {
        const struct place *v = &e->places.p[e->first[rows[i]] + slot];
        for (uint32_t k = 0; k < m; k++) {
            e->value[k * n + i].n = v[k].n;
            bytes += v[k].n;
        }
    }
    buf_clear(&e->gathered);
    to = buf_room(&e->gathered, bytes + 1);
    if (to == NULL)
        return false;
    for (uint32_t k = 0; k < m; k++)
        for (size_t i = 0; i < n; i++) {
            e->value[k * n + i].p = to;
            to += e->value[k * n + i].n;
        }
    for (size_t i = 0; i < n; i++) {
        const struct place *v = &e->places.p[e->first[rows[i]] + slot];
        const char *line = e->line[rows[i]].p;
        for (uint32_t k = 0; k < m; k++)
            lines_copy((char *)(uintptr_t)e->value[k * n + i].p, line + v[k].at, v[k].n);
    }
    return true;
}

static struct str value_of(const struct lines_encoder *e, uint32_t row, uint32_t slot)
{
    const struct place *v = &e->places.p[e->first[row] + slot];

    return (struct str){e->line[row].p + v->at, v->n};
}

static bool same_values(const struct lines_encoder *e, const uint32_t *rows, size_t n, uint32_t a,
                        uint32_t b)
{
    for (size_t i = 0; i < n; i++)
        if (!str_eq(value_of(e, rows[i], a), value_of(e, rows[i], b)))
            return false;
    return true;
}

/* How many slots before `slot` one has the same value in every row; 0: none has.  A few rows tell
 * most apart; SAME_TRIES bounds what lines made for it can cost. */
static uint32_t find_same(const struct lines_encoder *e, const uint32_t *rows, size_t n,
                          uint32_t slot)
{
    const uint32_t some[] = {rows[n - 1], rows[n / 2], rows[n / 3], rows[n / 7]};
    unsigned tries = 0;

    for (uint32_t k = slot; k-- > 0 && tries < SAME_TRIES;) {
        if (!same_values(e, some, sizeof(some) / sizeof(some[0]), k, slot))
            continue;
        if (same_values(e, rows, n, k, slot))
            return slot - k;
        tries++;
    }
    return 0;
}

static struct str present(struct str s)
{
    return s.p == NULL ? STR("") : s;
}

static void put_slots(struct lines_encoder *e, const struct candidate *c, const uint32_t *rows)
{
    uint32_t at_once = (uint32_t)(GATHER / c->rows);

    if (e->attr != NULL) {
        for (uint32_t k = 0; k < c->n_slots; k++) {
            for (uint32_t i = 0; i < c->rows; i++)
                e->value[i] = present(e->attr[rows[i]].attr[k].value);
            put_column(e, e->value, c->rows);
        }
        return;
    }
    for (uint32_t slot = 0; slot < c->n_slots; slot += at_once) {
        uint32_t m = c->n_slots - slot < at_once ? c->n_slots - slot : at_once;
        if (!gather_lines(e, rows, c->rows, slot, m)) {
            e->data.over = true;
            return;
        }
        for (uint32_t k = 0; k < m; k++) {
            uint32_t back = find_same(e, rows, c->rows, slot + k);
            if (back == 0) {
                put_column(e, e->value + (size_t)k * c->rows, c->rows);
                continue;
            }
            buf_add_char(&e->columns, (char)LINES_SAME);
            varint_put(&e->columns, back);
        }
    }
}

static void put_string(struct buf *b, struct str s)
{
    varint_put(b, s.n);
    buf_add_str(b, s);
}

/* A row of attributes as one string. */
static void pack_attrs(struct buf *b, const struct lines_attr_row *row)
{
    varint_put(b, row->n);
    for (uint32_t k = 0; k < row->n; k++) {
        put_string(b, row->attr[k].name);
        put_string(b, row->attr[k].value);
    }
}

static void put_raw(struct lines_encoder *e, const uint32_t *rows)
{
    if (e->attr == NULL) {
        for (uint32_t i = 0; i < e->raw_rows; i++)
            e->value[i] = present(e->line[rows[i]]);
    } else {
        size_t before = 0;
        buf_clear(&e->packed);
        for (uint32_t i = 0; i < e->raw_rows; i++) {
            pack_attrs(&e->packed, &e->attr[rows[i]]);
            e->value[i].n = e->packed.n - before;
            before = e->packed.n;
        }
        before = 0;
        for (uint32_t i = 0; i < e->raw_rows && !e->packed.over; i++) {
            e->value[i].p = e->packed.p + before;
            before += e->value[i].n;
        }
    }
    if (e->packed.over)
        e->data.over = true;
    else
        put_column(e, e->value, e->raw_rows);
}

static void put_ids(struct lines_encoder *e)
{
    size_t width = lines_id_bytes(e->n_templates);
    char *to;
    uint32_t frame;

    if (width == 0)
        return;
    frame = add_frame(e, LINES_IDS);
    to = buf_room(&e->data, e->n * width);
    INVARIANT(to != NULL); /* the first bytes of the buffer, and few */
    for (uint32_t i = 0; i < e->n; i++) {
        uint32_t t = number_of(e, i);
        to[i * width] = (char)t;
        if (width == 2)
            to[i * 2 + 1] = (char)(t >> 8);
    }
    e->frames.p[frame].n = e->n * width;
    e->data.n += e->n * width;
}

/* ---- plan ---- */

static void put_templates(struct lines_encoder *e)
{
    struct buf *b = &e->plan;

    varint_put(b, e->n_templates);
    varint_put(b, e->n_columns);
    varint_put(b, e->frames.n);
    for (size_t i = 0; i < e->candidates.n; i++) {
        const struct candidate *c = &e->candidates.p[i];
        if (c->number == RAW)
            continue;
        buf_add_char(b, (char)c->kind);
        varint_put(b, c->rows);
        varint_put(b, c->n_slots);
        for (uint32_t k = 0; k <= c->n_slots; k++)
            put_string(b, piece_of(e, c, c->row, k));
    }
    if (e->raw_rows == 0)
        return;
    buf_add_char(b, (char)TEMPLATE_RAW);
    varint_put(b, e->raw_rows);
    varint_put(b, 1);
    put_string(b, STR(""));
    put_string(b, STR(""));
}

static int finish(struct lines_encoder *e, struct lines_encoded *ret, struct err *err)
{
    buf_clear(&e->plan);
    put_templates(e);
    buf_add_str(&e->plan, buf_str(&e->columns));
    if (buf_err(&e->data, "columns of a block", err) < 0 ||
        buf_err(&e->plan, "plan of a block", err) < 0)
        return ERR_LIMIT;
    VEC_RESERVE(&e->out, e->frames.n);
    e->out.n = e->frames.n;
    for (size_t i = 0; i < e->frames.n; i++) {
        const struct frame *f = &e->frames.p[i];
        e->out.p[i] = (struct lines_frame){{e->data.p + f->at, f->n}, f->content};
    }
    *ret = (struct lines_encoded){buf_str(&e->plan), e->out.p, e->out.n, e->raw_rows};
    return 0;
}

static void start(struct lines_encoder *e, const struct str *line,
                  const struct lines_attr_row *attr, size_t n)
{
    INVARIANT(n > 0 && n <= ROWS_MAX);
    e->line = line;
    e->attr = attr;
    e->n = n;
    e->places.n = e->candidates.n = e->frames.n = 0;
    memset(e->table, 0, TABLE * sizeof(*e->table));
    buf_clear(&e->packed);
    buf_clear(&e->data);
    buf_clear(&e->columns);
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&e->packing[i].bytes);
        e->packing[i].is_open = false;
    }
}

/* The rows are cut: number the templates and write everything out. */
static int put_rows(struct lines_encoder *e, struct lines_encoded *ret, struct err *err)
{
    const uint32_t *rows = e->order;

    choose_templates(e);
    group_rows(e);
    put_ids(e);
    for (size_t i = 0; i < e->candidates.n; i++) {
        const struct candidate *c = &e->candidates.p[i];
        if (c->number == RAW)
            continue;
        put_slots(e, c, rows);
        rows += c->rows;
    }
    if (e->raw_rows > 0)
        put_raw(e, rows);
    close_packing(e, &e->packing[0]);
    close_packing(e, &e->packing[1]);
    return finish(e, ret, err);
}

int lines_encode(struct lines_encoder *e, const struct str *line, size_t n,
                 struct lines_encoded *ret, struct err *err)
{
    OBJ_CHECK(e, LINES_ENCODER_MAGIC);
    start(e, line, NULL, n);
    split_lines(e);
    split_rare(e);
    return put_rows(e, ret, err);
}

int lines_encode_raw(struct lines_encoder *e, const struct str *line, size_t n,
                     struct lines_encoded *ret, struct err *err)
{
    OBJ_CHECK(e, LINES_ENCODER_MAGIC);
    start(e, line, NULL, n);
    for (uint32_t i = 0; i < n; i++)
        e->of[i] = RAW;
    return put_rows(e, ret, err);
}

int lines_encode_attrs(struct lines_encoder *e, const struct lines_attr_row *row, size_t n,
                       struct lines_encoded *ret, struct err *err)
{
    bool has = false;

    OBJ_CHECK(e, LINES_ENCODER_MAGIC);
    for (size_t i = 0; i < n && !has; i++)
        has = row[i].n > 0;
    if (!has) {
        *ret = (struct lines_encoded){STR_NULL, NULL, 0, 0};
        return 0;
    }
    start(e, NULL, row, n);
    split_attrs(e);
    return put_rows(e, ret, err);
}
