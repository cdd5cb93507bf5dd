/*
 * storage/scan_reduce.c - lines with the fields alone that are asked for.
 *
 * A parser that looks for some labels finds in the reduced line what it finds in the whole one:
 * fields stand in their order, under their path, with the bytes of their values.  Where the pieces
 * do not show a wanted value as one slot, the line is given whole; where it has nothing for the
 * parser, it becomes one that has not either.
 *
 * Rows are counted by reduced line (scan_combo.h): where their values come from dictionaries,
 * constants and small numbers, each combination of these is written out once for a block.
 */
#include "storage/scan_codebook.h"
#include "storage/scan_known.h"
#include "storage/scan_reduced.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"

#include <string.h>

enum { REMEMBERED = 1 << 12 /* lines of a block; a power of two */ };

/* Escapes in a key: it may be any. */
static bool is_wanted(const struct scan_fields *f, struct str path)
{
    if (str_find_char(path, '\\') != SIZE_MAX)
        return true;
    for (size_t i = 0; i < f->n; i++)
        if (f->names(f->parser, path, f->label[i]))
            return true;
    return false;
}

/* A line of which the parser makes as little as of those that it cannot read. */
static struct str nothing_of(enum scan_parser parser)
{
    return parser == SCAN_PARSE_JSON ? STR("-") : STR("");
}

/* What stands in front of a value and behind it: `"a":{"b":` and `}` for a path of two keys. */
static void put_before(struct buf *b, enum scan_parser parser, struct str path, bool is_string)
{
    bool first = true;

    while (path.p != NULL && parser == SCAN_PARSE_JSON) {
        struct str key = str_cut(&path, '\0');
        if (!first)
            buf_add_char(b, '{');
        first = false;
        buf_add_char(b, '"');
        buf_add_str(b, key);
        buf_add_z(b, "\":");
    }
    if (parser == SCAN_PARSE_LOGFMT) {
        buf_add_str(b, path);
        buf_add_char(b, '=');
    }
    if (is_string)
        buf_add_char(b, '"');
}

static void put_after(struct buf *b, enum scan_parser parser, struct str path, bool is_string)
{
    if (is_string)
        buf_add_char(b, '"');
    (void)str_cut(&path, '\0');
    while (path.p != NULL && parser == SCAN_PARSE_JSON) {
        (void)str_cut(&path, '\0');
        buf_add_char(b, '}');
    }
}

/* ---- rows of a block ---- */

static int write_around(struct arena *a, enum scan_parser parser, const struct template_field *f,
                        struct scan_reduced_part *ret, struct err *err)
{
    bool is_string = f->whole == TEMPLATE_STRING;
    struct buf text;

    buf_init(&text, 2 * RECORD_LINE_MAX);
    put_before(&text, parser, f->path, is_string);
    ret->before = arena_str(a, buf_str(&text));
    buf_clear(&text);
    put_after(&text, parser, f->path, is_string);
    ret->after = arena_str(a, buf_str(&text));
    buf_fini(&text);
    return ret->before.p == NULL || ret->after.p == NULL ? arena_err(a, err) : 0;
}

/* How many values there can be. */
static int weigh_part(struct scan_block *b, size_t t, struct scan_reduced_part *p, struct err *err)
{
    const struct lines_template *lt = &b->lines_plan->template[t];
    const struct slot_stamp *s = &b->lines_plan->column[lt->first_column + p->slot].stamp;
    int r = 0;

    if (s->kind == SLOT_CONST) {
        p->n = 1;
    } else if (s->kind == SLOT_DICT) {
        r = lines_slot(b->lines, t, p->slot, &p->view, err);
        p->n = r == 0 ? p->view->n_entries : 0;
    } else if (s->kind == SLOT_INT) {
        p->low = s->min;
        if (s->max >= s->min && s->max - s->min < SCAN_TABLE_MAX)
            p->n = (size_t)(s->max - s->min) + 1;
    }
    return r;
}

int scan_reduced_views(struct scan_block *b, size_t t, struct scan_reduced *red, struct err *err)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && !red->has_views && i < red->n; i++)
        r = lines_slot(b->lines, t, red->part[i].slot, &red->part[i].view, err);
    red->has_views |= r == 0;
    return r;
}

static int add_slot(struct scan_block *b, size_t t, uint32_t slot, struct scan_reduced *ret,
                    struct err *err)
{
    struct scan_reduced_part *p = &ret->part[ret->n];
    int r;

    p->slot = slot;
    r = weigh_part(b, t, p, err);
    if (r < 0)
        return r;
    ret->n++;
    ret->size = p->n == 0 || ret->size > SCAN_TABLE_MAX / p->n ? 0 : ret->size * p->n;
    return 0;
}

static int add_part(struct scan_block *b, const struct scan_fields *f, size_t t, uint32_t slot,
                    struct scan_reduced *ret, struct err *err)
{
    const struct template_field *field = &b->fields[t][slot];
    int r = write_around(b->arena, f->parser, field, &ret->part[ret->n], err);

    return r < 0 ? r : add_slot(b, t, slot, ret, err);
}

/* Literals as far as they are sure, and the captures that are wanted between them; the others are
 * empty. */
static int open_pattern(struct scan_block *b, const struct scan_fields *f, size_t t,
                        struct scan_reduced *ret, struct err *err)
{
    const struct scan_pattern *p = f->pattern;
    const struct scan_captures *c = NULL;
    struct buf text;
    int r = scan_block_captures(b, t, &c, err);

    ret->part = arena_alloc(b->arena, p->n * sizeof(*ret->part) + 1);
    if (r == 0 && ret->part == NULL)
        r = arena_err(b->arena, err);
    buf_init(&text, 2 * RECORD_LINE_MAX);
    for (size_t i = 0; r == 0 && i < p->n; i++) {
        bool wanted = p->v[i].is_capture && is_wanted(f, p->v[i].text);
        ret->is_whole |= wanted && c->v[i].kind == CAPTURE_UNKNOWN;
        if (i < c->n_sure && (wanted ? c->v[i].kind == CAPTURE_CONST : !p->v[i].is_capture))
            buf_add_str(&text, wanted ? c->v[i].text : p->v[i].text);
        if (!wanted || c->v[i].kind != CAPTURE_SLOT)
            continue;
        ret->part[ret->n].before = arena_str(b->arena, buf_str(&text));
        buf_clear(&text);
        r = ret->part[ret->n].before.p == NULL ? arena_err(b->arena, err)
                                               : add_slot(b, t, c->v[i].slot, ret, err);
    }
    ret->tail = arena_str(b->arena, buf_str(&text));
    if (r == 0 && (ret->tail.p == NULL || text.over))
        r = ret->tail.p == NULL ? arena_err(b->arena, err) : buf_err(&text, "reduced line", err);
    buf_fini(&text);
    return r;
}

static int open_template(struct scan_block *b, const struct scan_fields *f, size_t t,
                         struct scan_reduced *ret, struct err *err)
{
    const struct lines_template *lt = &b->lines_plan->template[t];
    const struct template_field *field = NULL;
    bool is_json = f->parser == SCAN_PARSE_JSON;
    int r;

    ret->is_open = true;
    ret->size = 1;
    if (f->parser == SCAN_PARSE_PATTERN)
        return open_pattern(b, f, t, ret, err);
    if (lt->kind != (is_json ? TEMPLATE_JSON : TEMPLATE_LOGFMT)) {
        enum scan_holds holds = scan_label_holds(b, f, t);
        ret->is_nothing = holds != HOLDS_UNKNOWN;
        ret->is_whole = !ret->is_nothing;
        return holds == HOLDS_SOME ? scan_label_suspects(b, f->parser, t, &ret->suspect, err) : 0;
    }
    r = scan_block_fields(b, t, &field, err);
    ret->part = arena_alloc(b->arena, lt->n_slots * sizeof(*ret->part) + 1);
    if (r == 0 && ret->part == NULL)
        r = arena_err(b->arena, err);
    for (uint32_t i = 0; r == 0 && !ret->is_whole && i < lt->n_slots; i++) {
        if (field[i].path.p == NULL) {
            ret->is_whole = is_json;
            continue;
        }
        if (field[i].whole == TEMPLATE_ARRAY || !is_wanted(f, field[i].path))
            continue;
        ret->is_whole = field[i].whole == TEMPLATE_PART;
        if (!ret->is_whole)
            r = add_part(b, f, t, i, ret, err);
    }
    return r;
}

int scan_reduced_get(struct scan_block *b, const struct scan_fields *f, size_t t,
                     struct scan_reduced **ret, struct err *err)
{
    struct scan_reduced **v = &b->reduced[f->set];

    if (*v == NULL) {
        *v = arena_alloc(b->arena, b->lines_plan->n_templates * sizeof(**v));
        if (*v == NULL)
            return arena_err(b->arena, err);
    }
    *ret = &(*v)[t];
    return (*ret)->is_open ? 0 : open_template(b, f, t, *ret, err);
}

static void begin_line(enum scan_parser parser, struct buf *out)
{
    buf_clear(out);
    if (parser == SCAN_PARSE_JSON)
        buf_add_char(out, '{');
}

static int end_line(const struct scan_reduced *red, enum scan_parser parser, struct buf *out,
                    struct err *err)
{
    if (parser == SCAN_PARSE_JSON)
        buf_add_char(out, '}');
    buf_add_str(out, red->tail);
    return buf_err(out, "reduced line", err);
}

static void put_part(const struct scan_reduced *red, enum scan_parser parser, uint32_t i,
                     struct str value, struct buf *out)
{
    const struct scan_reduced_part *p = &red->part[i];

    if (i > 0 && parser != SCAN_PARSE_PATTERN)
        buf_add_char(out, parser == SCAN_PARSE_JSON ? ',' : ' ');
    buf_add_str(out, p->before);
    buf_add_str(out, value);
    buf_add_str(out, p->after);
}

int scan_reduced_line(const struct scan_reduced *red, enum scan_parser parser, size_t rank,
                      struct buf *out, struct err *err)
{
    if (red->is_nothing) {
        buf_clear(out);
        buf_add_str(out, nothing_of(parser));
        return 0;
    }
    begin_line(parser, out);
    for (uint32_t i = 0; i < red->n; i++) {
        char room[SLOT_ROOM];
        put_part(red, parser, i, slot_value(red->part[i].view, rank, room), out);
    }
    return end_line(red, parser, out, err);
}

int scan_reduced_line_of(const struct scan_reduced *red, enum scan_parser parser,
                         const struct str *value, struct buf *out, struct err *err)
{
    begin_line(parser, out);
    for (uint32_t i = 0; i < red->n; i++)
        put_part(red, parser, i, value[i], out);
    return end_line(red, parser, out, err);
}

int scan_reduced_codes(struct scan_block *b, size_t t, const struct scan_reduced_part *p,
                       uint32_t use, struct scan_coded *ret, struct err *err)
{
    const struct lines_template *lt = &b->lines_plan->template[t];
    const struct slot_stamp *s = &b->lines_plan->column[lt->first_column + p->slot].stamp;
    struct scan_worker *w = b->worker;
    struct str bytes = STR_NULL;
    int r;

    ret->book = NULL;
    if (s->kind != SLOT_INT && s->kind != SLOT_PATTERN)
        return 0;
    r = lines_slot_bytes(b->lines, t, p->slot, &bytes, err);
    if (r == 0)
        r = slot_codes_open(s, bytes, lt->rows, b->arena, &ret->codes, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (w->books == NULL)
        w->books = scan_codebooks_new(b->sc->req.budget);
    ret->book = scan_codebook_get(w->books, ret->codes.shape, use);
    return 0;
}

/* Where a row is. */
struct place {
    size_t template, rank;
};

static int locate(struct scan_block *b, uint32_t at, struct place *ret, struct err *err)
{
    struct lines_ids ids = {.template = NULL};
    int r = lines_ids(b->lines, &ids, err);

    if (r == 0) {
        ret->template = ids.template == NULL ? 0 : ids.template[at];
        ret->rank = ids.rank == NULL ? at : ids.rank[at];
    }
    return r;
}

int scan_reduce_line(struct scan_block *b, const struct scan_fields *f, uint32_t at,
                     struct buf *out, bool *is_reduced, struct err *err)
{
    struct scan_reduced *red = NULL;
    struct place p = {0, 0};
    int r = locate(b, at, &p, err);

    *is_reduced = false;
    if (r == 0)
        r = scan_reduced_get(b, f, p.template, &red, err);
    if (r < 0 || scan_reduced_is_whole(red, p.rank))
        return r;
    *is_reduced = true;
    r = scan_reduced_views(b, p.template, red, err);
    return r < 0 ? r : scan_reduced_line(red, f->parser, p.rank, out, err);
}

/* ---- rows as numbers ---- */

/* Lines of a block whose number is known. */
struct scan_remembered {
    struct str line; /* in the arena */
    uint64_t hash;
    uint32_t base, number;
    uint32_t set; /* + 1; 0: none */
};

/* The number of combination `base` with the line in `line`, remembered for the block. */
static int number_line(struct scan_combos *cs, struct scan_block *b, const struct scan_fields *f,
                       uint32_t base, struct str line, uint32_t *ret, struct err *err)
{
    uint64_t hash = hash_bytes(line.p, line.n, base);
    struct scan_remembered *m;
    int r;

    if (b->remembered == NULL)
        b->remembered = arena_alloc(b->arena, REMEMBERED * sizeof(*m));
    if (b->remembered == NULL)
        return arena_err(b->arena, err);
    m = &b->remembered[hash & (REMEMBERED - 1)];
    if (m->set == f->set + 1 && m->hash == hash && m->base == base && str_eq(m->line, line)) {
        *ret = m->number;
        return 0;
    }
    r = scan_combos_line(cs, base, line, f->set == SCAN_FIELDS_TESTED, ret, err);
    if (r != 0)
        return r;
    *m = (struct scan_remembered){arena_str(b->arena, line), hash, base, *ret, f->set + 1};
    return m->line.p == NULL ? arena_err(b->arena, err) : 0;
}

/* The table of combination `base`; NULL: there is no room for it. */
static int find_table(struct scan_block *b, struct scan_reduced *red, uint32_t base, uint32_t **ret,
                      struct err *err)
{
    for (size_t i = 0; i < red->n_tables; i++)
        if (red->base[i] == base) {
            *ret = red->number[i];
            return 0;
        }
    if (red->n_tables == SCAN_TABLES)
        return 0;
    red->base[red->n_tables] = base;
    *ret = red->number[red->n_tables] = arena_alloc(b->arena, red->size * sizeof(**ret));
    if (*ret == NULL)
        return arena_err(b->arena, err);
    red->n_tables++;
    return 0;
}

/* What all rows of a block have in common. */
struct numbering {
    struct scan_combos *cs;
    struct scan_block *b;
    const struct scan_fields *f;
    struct lines_ids ids;
};

struct row_place {
    uint32_t at;
    size_t rank;
};

/* Of a row with one part, by the value of that. */
static int number_value(const struct numbering *nb, struct scan_reduced *red,
                        const struct row_place *row, uint32_t *number, struct err *err)
{
    struct scan_worker *w = nb->b->worker;
    char room[SLOT_ROOM];
    const struct scan_known_value v = {.text = slot_value(red->part[0].view, row->rank, room),
                                       .base = *number,
                                       .shape = red->shape};
    int r = 0;

    if (scan_known_get(w->known, &v, number))
        return 0;
    r = scan_reduced_number(nb->cs, nb->b, nb->f, row->at, v.base, number, err);
    if (r == 0)
        scan_known_put(w->known, &v, *number);
    return r;
}

/* Lines of other templates, and of other blocks, may be the same but for the value. */
void scan_reduced_shape(struct scan_block *b, const struct scan_fields *f, struct scan_reduced *red)
{
    struct scan_worker *w = b->worker;
    struct scan_shape shape = {.tail = red->tail, .set = f->set};

    if (red->has_shape)
        return;
    red->has_shape = true;
    if (red->n != 1 || red->is_nothing)
        return;
    shape.before = red->part[0].before;
    shape.after = red->part[0].after;
    if (w->known == NULL)
        w->known = scan_known_new(b->sc->req.budget);
    red->shape = scan_known_shape(w->known, &shape);
}

/* Of a row that has no table, or is the first of its kind there. */
static int number_slowly(const struct numbering *nb, struct scan_reduced *red,
                         const struct row_place *row, uint32_t *number, struct err *err)
{
    scan_reduced_shape(nb->b, nb->f, red);
    if (red->shape != 0 && !scan_reduced_is_whole(red, row->rank))
        return number_value(nb, red, row, number, err);
    return scan_reduced_number(nb->cs, nb->b, nb->f, row->at, *number, number, err);
}

static int number_one(const struct numbering *nb, uint32_t at, uint32_t *number, struct err *err)
{
    size_t t = nb->ids.template == NULL ? 0 : nb->ids.template[at];
    size_t rank = nb->ids.rank == NULL ? at : nb->ids.rank[at];
    const struct row_place row = {at, rank};
    struct scan_reduced *red = NULL;
    uint32_t *table = NULL;
    uint32_t base = *number;
    size_t index;
    int r = scan_reduced_get(nb->b, nb->f, t, &red, err);

    if (r == 0)
        r = scan_reduced_views(nb->b, t, red, err);
    if (r == 0 && red->size > 0 && !scan_reduced_is_whole(red, rank))
        r = find_table(nb->b, red, base, &table, err);
    if (r < 0)
        return r;
    if (table == NULL)
        return number_slowly(nb, red, &row, number, err);
    index = scan_reduced_index(red, rank);
    if (index >= red->size)
        return err_set(err, ERR_CORRUPT, "lines: a number outside of its stamp");
    if (table[index] == 0) {
        r = number_slowly(nb, red, &row, number, err);
        table[index] = r == 0 ? *number + 1 : 0;
        return r;
    }
    *number = table[index] - 1;
    return 0;
}

int scan_reduce_nothing(struct scan_combos *cs, struct scan_block *b, const struct scan_fields *f,
                        uint32_t *ret, struct err *err)
{
    enum template_kind kind = f->parser == SCAN_PARSE_JSON ? TEMPLATE_JSON : TEMPLATE_LOGFMT;
    const struct lines_plan *p;
    int r = scan_block_plans(b, err);

    if (r < 0)
        return r;
    p = b->lines_plan;
    if (f->parser == SCAN_PARSE_PATTERN || (b->attrs_plan != NULL && !scan_combos_lack(cs, b)))
        return 1;
    for (size_t t = 0; t < p->n_templates; t++)
        if (p->template[t].rows > 0 &&
            (p->template[t].kind == kind || scan_label_holds(b, f, t) != HOLDS_NONE))
            return 1;
    return scan_combos_line(cs, 0, nothing_of(f->parser), f->set == SCAN_FIELDS_TESTED, ret, err);
}

int scan_reduce_numbers(struct scan_combos *cs, struct scan_selection *s,
                        const struct scan_fields f[SCAN_FIELD_SETS], const uint64_t *only,
                        uint32_t *number, struct err *err)
{
    size_t n = s->block.candidate->block.rows;
    struct numbering all = {cs, &s->block, &f[SCAN_FIELDS_ALL], {NULL, NULL}};
    struct numbering tested;
    int r = lines_ids(s->block.lines, &all.ids, err);

    tested = all;
    tested.f = &f[SCAN_FIELDS_TESTED];
    for (uint32_t at = 0; r == 0 && at < n; at++)
        if (scan_is_selected(s, at) && (only == NULL || (only[at / 64] >> (at % 64) & 1) != 0))
            r = number_one(scan_is_unsure(s, at) ? &all : &tested, at, &number[at], err);
    return r;
}

int scan_reduced_number(struct scan_combos *cs, struct scan_block *b, const struct scan_fields *f,
                        uint32_t at, uint32_t base, uint32_t *ret, struct err *err)
{
    struct buf *line = &b->worker->line;
    struct str whole = STR_NULL;
    bool is_reduced = false;
    int r = scan_reduce_line(b, f, at, line, &is_reduced, err);

    if (r == 0 && !is_reduced)
        r = lines_render(b->lines, at, b->arena, &whole, err);
    if (r == 0 && !is_reduced)
        is_reduced = scan_reduce_text(f, whole, line);
    return r < 0 ? r : number_line(cs, b, f, base, is_reduced ? buf_str(line) : whole, ret, err);
}

/* ---- one line ---- */

struct walk {
    const struct scan_fields *fields;
    struct buf *out;
    struct buf path; /* keys of the members that are open, joined by NUL, and of this one */
    size_t open[JSON_DEPTH_MAX + 1]; /* bytes of path that belong to the object at a depth */
    unsigned depth;
};

static void put_key(struct walk *w, struct str key)
{
    w->path.n = w->open[w->depth];
    if (w->depth > 0)
        buf_add_char(&w->path, '\0');
    buf_add_str(&w->path, key);
}

static void put_scalar(struct walk *w, const struct json_token *tok)
{
    struct str path = buf_str(&w->path);
    bool is_string = tok->type == JSON_STRING;

    if (!is_wanted(w->fields, path))
        return;
    if (w->out->n > 1)
        buf_add_char(w->out, ',');
    put_before(w->out, SCAN_PARSE_JSON, path, is_string);
    if (tok->type == JSON_TRUE || tok->type == JSON_FALSE)
        buf_add_z(w->out, tok->type == JSON_TRUE ? "true" : "false");
    else if (tok->type == JSON_NULL)
        buf_add_z(w->out, "null");
    else
        buf_add_str(w->out, tok->raw);
    put_after(w->out, SCAN_PARSE_JSON, path, is_string);
}

/* Behind the bracket of an array. */
static bool pass_array(struct json_reader *r)
{
    unsigned depth = 1;
    struct json_token tok;
    struct err ignored;

    while (depth > 0) {
        if (json_next(r, &tok, &ignored) < 0)
            return false;
        if (tok.type == JSON_ARRAY || tok.type == JSON_OBJECT)
            depth++;
        else if (tok.type == JSON_ARRAY_END || tok.type == JSON_OBJECT_END)
            depth--;
    }
    return true;
}

/* false: the line is no object, or broken: then out has what came before. */
static bool walk_object(struct walk *w, struct json_reader *r)
{
    struct json_token tok;
    struct err ignored;

    if (json_next(r, &tok, &ignored) < 0 || tok.type != JSON_OBJECT)
        return false;
    for (;;) {
        if (json_next(r, &tok, &ignored) < 0)
            return false;
        if (tok.type == JSON_OBJECT_END) {
            if (w->depth == 0)
                return true;
            w->depth--;
            continue;
        }
        put_key(w, tok.raw); /* in an object: it is a key */
        if (json_next(r, &tok, &ignored) < 0)
            return false;
        if (tok.type == JSON_OBJECT)
            w->open[++w->depth] = w->path.n;
        else if (tok.type != JSON_ARRAY)
            put_scalar(w, &tok);
        else if (!pass_array(r))
            return false;
    }
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* Of an object that breaks off, or goes wrong, the members before that serve; then the reduced one
 * breaks off too. */
static bool reduce_json(const struct scan_fields *f, struct str line, struct buf *out)
{
    struct walk w = {.fields = f, .out = out};
    struct json_reader r;
    size_t i = 0;
    bool is_whole;

    while (i < line.n && is_blank(line.p[i]))
        i++;
    if (i == line.n || line.p[i] != '{') {
        buf_add_str(out, nothing_of(SCAN_PARSE_JSON));
        return true;
    }
    buf_add_char(out, '{');
    buf_init(&w.path, RECORD_LINE_MAX);
    json_reader_init(&r, line);
    json_reader_lenient(&r);
    is_whole = walk_object(&w, &r);
    if (is_whole)
        buf_add_char(out, '}');
    buf_fini(&w.path);
    return !w.path.over;
}

/* Where the word at `i` ends: a blank, `=` or `"`. */
static size_t word_end(struct str line, size_t i)
{
    while (i < line.n && !is_blank(line.p[i]) && line.p[i] != '=' && line.p[i] != '"')
        i++;
    return i;
}

/* Behind the closing quote of the value whose first is at `i`; 0: there is none. */
static size_t quoted_end(struct str line, size_t i)
{
    for (i++; i < line.n && line.p[i] != '"'; i++)
        i += line.p[i] == '\\' && line.n - i > 1 ? 1 : 0;
    return i < line.n ? i + 1 : 0;
}

/* Are the escapes of the value, which stands in quotes, those of JSON? */
static bool is_good_text(struct str value)
{
    struct json_reader r;
    struct json_token tok;
    struct err ignored;

    if (str_find_char(value, '\\') == SIZE_MAX)
        return true;
    json_reader_init(&r, value);
    return json_next(&r, &tok, &ignored) == 0;
}

/* The pair, or the key alone, at `from`: behind it, and *good unless it is broken; *key_end is from
 * when it has no value. */
static size_t take_pair(struct str line, size_t from, size_t *key_end, bool *good)
{
    size_t key = word_end(line, from);
    size_t i = key + 1;

    *key_end = from;
    *good = true;
    if (key == line.n || is_blank(line.p[key]))
        return key;
    *good = line.p[key] == '=' && key > from &&
            str_find(str_sub(line, from, key - from), STR("\xef\xbf\xbd")) == SIZE_MAX;
    if (!*good)
        return key;
    *key_end = key;
    if (i < line.n && line.p[i] == '"') {
        size_t end = quoted_end(line, i);
        *good = end != 0 && is_good_text(str_sub(line, i, end - i));
        return end == 0 ? line.n : end;
    }
    i = word_end(line, i);
    *good = i == line.n || is_blank(line.p[i]);
    return i;
}

/* The pairs that are wanted, as they stand, between blanks.  What is broken is passed over up to
 * the next blank, as the parser does. */
static void reduce_logfmt(const struct scan_fields *f, struct str line, struct buf *out)
{
    size_t i = 0;

    while (i < line.n) {
        size_t from = i;
        size_t key;
        bool good;
        if (is_blank(line.p[i])) {
            i++;
            continue;
        }
        i = take_pair(line, from, &key, &good);
        while (!good && i < line.n && !is_blank(line.p[i]))
            i++;
        if (!good || key == from || !is_wanted(f, str_sub(line, from, key - from)))
            continue;
        if (out->n > 0)
            buf_add_char(out, ' ');
        buf_add_str(out, str_sub(line, from, i - from));
    }
}

/* As open_pattern, of one line. */
static void reduce_pattern(const struct scan_fields *f, struct str line, struct buf *out)
{
    const struct scan_pattern *p = f->pattern;
    size_t i = 0;

    if (p->n > 0 && !p->v[0].is_capture) {
        if (!str_starts(line, p->v[0].text))
            return;
        buf_add_str(out, p->v[0].text);
        line = str_from(line, p->v[0].text.n);
        i = 1;
    }
    while (i < p->n) {
        size_t end = i + 1 < p->n ? str_find(line, p->v[i + 1].text) : SIZE_MAX;
        if (is_wanted(f, p->v[i].text))
            buf_add_str(out, str_sub(line, 0, end == SIZE_MAX ? line.n : end));
        if (end == SIZE_MAX)
            return;
        buf_add_str(out, p->v[i + 1].text);
        line = str_from(line, end + p->v[i + 1].text.n);
        i += 2;
    }
}

bool scan_reduce_text(const struct scan_fields *f, struct str line, struct buf *out)
{
    bool done = true;

    buf_clear(out);
    if (f->parser == SCAN_PARSE_JSON)
        done = reduce_json(f, line, out);
    else if (f->parser == SCAN_PARSE_LOGFMT)
        reduce_logfmt(f, line, out);
    else
        reduce_pattern(f, line, out);
    return done && !out->over;
}
