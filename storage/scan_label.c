/* storage/scan_label.c - see scan_label.h. */
#include "storage/scan_label.h"

#include "base/utf8.h"

#include <string.h>

/* ---- lines that are not the parser's own ---- */

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* JSON: does the line begin with a brace? */
static enum scan_holds holds_object(const struct lines_plan *p, const struct lines_template *t)
{
    const unsigned begins = SLOT_OTHER | SLOT_SPACE | SLOT_CONTROL;
    const struct slot_stamp *s;

    for (size_t i = 0; i < t->piece[0].n; i++)
        if (!is_blank(t->piece[0].p[i]))
            return t->piece[0].p[i] == '{' ? HOLDS_UNKNOWN : HOLDS_NONE;
    if (t->n_slots == 0)
        return HOLDS_NONE;
    s = &p->column[t->first_column].stamp;
    return s->min_len > 0 && (s->classes & begins) == 0 ? HOLDS_NONE : HOLDS_SOME;
}

static bool is_label(const struct scan_fields *f, struct str path)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->names(f->parser, path, f->label[i]))
            return true;
    return false;
}

/* LOGFMT: does a key that is wanted, or that is not known, stand before one of the piece's `=`? */
static bool has_key(const struct scan_fields *f, struct str piece, bool is_first)
{
    size_t from = 0;

    for (size_t i = 0; i < piece.n; i++) {
        char c = piece.p[i];
        if (c == '=' && i > from &&
            ((from == 0 && !is_first) || is_label(f, str_sub(piece, from, i - from))))
            return true;
        if (c == '=' && i == 0 && !is_first)
            return true;
        if (is_blank(c) || c == '=' || c == '"')
            from = i + 1;
    }
    return false;
}

static enum scan_holds holds_pair(const struct lines_plan *p, const struct lines_template *t,
                                  const struct scan_fields *f)
{
    for (uint32_t i = 0; i <= t->n_slots; i++)
        if (has_key(f, t->piece[i], i == 0))
            return HOLDS_UNKNOWN;
    for (uint32_t i = 0; i < t->n_slots; i++)
        if ((p->column[t->first_column + i].stamp.classes & SLOT_EQUALS) != 0)
            return HOLDS_SOME;
    return HOLDS_NONE;
}

enum scan_holds scan_label_holds(const struct scan_block *b, const struct scan_fields *f, size_t t)
{
    const struct lines_template *lt = &b->lines_plan->template[t];

    switch (f->parser) {
    case SCAN_PARSE_NONE:
        return HOLDS_NONE;
    case SCAN_PARSE_JSON:
        return holds_object(b->lines_plan, lt);
    case SCAN_PARSE_LOGFMT:
        return holds_pair(b->lines_plan, lt, f);
    case SCAN_PARSE_PATTERN:
        break; /* captures say */
    }
    return HOLDS_UNKNOWN;
}

/* Is this value of a slot one because of which a line may hold labels? */
static bool is_suspect(enum scan_parser parser, struct str value)
{
    size_t i = 0;

    if (parser == SCAN_PARSE_LOGFMT)
        return str_find_char(value, '=') != SIZE_MAX;
    while (i < value.n && is_blank(value.p[i]))
        i++;
    return i == value.n || value.p[i] == '{';
}

static int mark_suspects(struct scan_block *b, enum scan_parser parser, const struct slot_view *v,
                         uint64_t *bits, struct err *err)
{
    uint8_t *entry = NULL;

    if (v->kind == SLOT_VIEW_DICT) {
        entry = arena_alloc(b->arena, v->n_entries + 1);
        if (entry == NULL)
            return arena_err(b->arena, err);
        for (size_t i = 0; i < v->n_entries; i++)
            entry[i] = is_suspect(parser, v->entry[i]);
    }
    for (size_t i = 0; i < v->n; i++) {
        char room[SLOT_ROOM];
        bool is = entry != NULL ? entry[v->id[i]] : is_suspect(parser, slot_value(v, i, room));
        bits[i / 64] |= (uint64_t)is << (i % 64);
    }
    return 0;
}

/* JSON, of a column that is a pattern: do all its values begin with something that no object begins
 * with? */
static int begins_otherwise(struct scan_block *b, size_t t, uint32_t slot, bool *ret,
                            struct err *err)
{
    const struct lines_template *lt = &b->lines_plan->template[t];
    const struct slot_stamp *s = &b->lines_plan->column[lt->first_column + slot].stamp;
    struct slot_parts parts = {.n = 0};
    struct str bytes = STR_NULL;
    int r = 1;

    *ret = false;
    if (s->kind == SLOT_PATTERN)
        r = lines_slot_bytes(b->lines, t, slot, &bytes, err);
    if (r == 0)
        r = slot_parts_open(s, bytes, &parts, err);
    if (r != 0)
        return r < 0 ? r : 0;
    if (parts.piece[0].n > 0)
        *ret = !is_blank(parts.piece[0].p[0]) && parts.piece[0].p[0] != '{';
    else
        *ret = parts.stamp[0].kind == SLOT_INT;
    return 0;
}

int scan_label_suspects(struct scan_block *b, enum scan_parser parser, size_t t,
                        const uint64_t **ret, struct err *err)
{
    const struct lines_template *lt = &b->lines_plan->template[t];
    uint64_t *bits = arena_alloc(b->arena, ((size_t)lt->rows / 64 + 1) * sizeof(*bits));
    int r = bits == NULL ? arena_err(b->arena, err) : scan_block_lines(b, err);

    for (uint32_t i = 0; r == 0 && i < lt->n_slots; i++) {
        const struct slot_stamp *s = &b->lines_plan->column[lt->first_column + i].stamp;
        const struct slot_view *v = NULL;
        bool none = false;
        if (parser == SCAN_PARSE_JSON ? i > 0 : (s->classes & SLOT_EQUALS) == 0)
            continue;
        if (parser == SCAN_PARSE_JSON)
            r = begins_otherwise(b, t, i, &none, err);
        if (r == 0 && !none)
            r = lines_slot(b->lines, t, i, &v, err);
        if (r == 0 && !none)
            r = mark_suspects(b, parser, v, bits, err);
    }
    *ret = bits;
    return r;
}

/* ---- fields of a template ---- */

static enum template_kind kind_of(enum scan_parser parser)
{
    return parser == SCAN_PARSE_JSON ? TEMPLATE_JSON : TEMPLATE_LOGFMT;
}

static enum scan_text text_of(enum scan_parser parser, enum template_whole whole)
{
    if (parser == SCAN_PARSE_JSON)
        return whole == TEMPLATE_STRING ? SCAN_TEXT_STRING : SCAN_TEXT_JSON;
    return whole == TEMPLATE_STRING ? SCAN_TEXT_LOGFMT_STRING : SCAN_TEXT_LOGFMT;
}

int scan_block_fields(struct scan_block *b, size_t t, const struct template_field **ret,
                      struct err *err)
{
    const struct lines_plan *p = b->lines_plan;
    const struct lines_template *lt = &p->template[t];
    struct template_field *fresh = NULL;
    int r = 0;

    if (b->fields == NULL) {
        b->fields = arena_alloc(b->arena, p->n_templates * sizeof(*b->fields));
        if (b->fields == NULL)
            return arena_err(b->arena, err);
    }
    if (b->fields[t] == NULL) {
        r = template_fields(lt->kind, lt->piece, lt->n_slots, b->arena, &fresh, err);
        b->fields[t] = fresh;
    }
    *ret = b->fields[t];
    return r;
}

int scan_block_captures(struct scan_block *b, size_t t, const struct scan_captures **ret,
                        struct err *err)
{
    const struct lines_plan *p = b->lines_plan;
    struct scan_captures *fresh;
    int r;

    if (b->captures == NULL)
        b->captures = arena_alloc(b->arena, p->n_templates * sizeof(*b->captures));
    if (b->captures == NULL)
        return arena_err(b->arena, err);
    *ret = b->captures[t];
    if (*ret != NULL)
        return 0;
    fresh = arena_alloc(b->arena, sizeof(*fresh));
    if (fresh == NULL)
        return arena_err(b->arena, err);
    r = scan_captures(b->sc->req.pattern, p, t, b->arena, fresh, err);
    if (r == 0)
        *ret = b->captures[t] = fresh;
    return r;
}

/* The capture that is the label. */
static int find_capture(struct scan_block *b, const struct scan_label *l, size_t t,
                        struct scan_stretch *ret, struct err *err)
{
    const struct scan_request *req = &b->sc->req;
    const struct scan_pattern *p = req->pattern;
    const struct scan_captures *c = NULL;
    int r = scan_block_captures(b, t, &c, err);

    for (size_t i = 0; r == 0 && i < p->n; i++) {
        if (!p->v[i].is_capture || !req->names(l->parser, p->v[i].text, l->name))
            continue;
        ret->kind = c->v[i].kind == CAPTURE_SLOT     ? STRETCH_COLUMN
                    : c->v[i].kind == CAPTURE_CONST  ? STRETCH_CONST
                    : c->v[i].kind == CAPTURE_ABSENT ? STRETCH_ABSENT
                                                     : STRETCH_UNKNOWN;
        ret->text = SCAN_TEXT_PATTERN;
        ret->slot = c->v[i].slot;
        ret->constant = c->v[i].text;
        break; /* no two have the same name */
    }
    return r;
}

/* The slot of a template of the parser's kind that is the label. */
static int find_slot(struct scan_block *b, const struct scan_label *l, size_t t,
                     struct scan_stretch *ret, struct err *err)
{
    const struct scan_request *req = &b->sc->req;
    const struct lines_template *lt = &b->lines_plan->template[t];
    const struct template_field *field = NULL;
    int r = scan_block_fields(b, t, &field, err);

    for (uint32_t i = 0; r == 0 && i < lt->n_slots; i++) {
        const struct template_field *f = &field[i];
        bool told;
        if (f->path.p == NULL && l->parser == SCAN_PARSE_LOGFMT)
            continue; /* words */
        told = f->path.p != NULL && str_find_char(f->path, '\\') == SIZE_MAX;
        if (told && (f->whole == TEMPLATE_ARRAY || !req->names(l->parser, f->path, l->name)))
            continue;
        if (!told || ret->kind == STRETCH_COLUMN || f->whole == TEMPLATE_PART) {
            ret->kind = STRETCH_UNKNOWN;
            break;
        }
        ret->kind = STRETCH_COLUMN;
        ret->text = text_of(l->parser, f->whole);
        ret->slot = i;
    }
    return r;
}

static int add_line_template(struct scan_block *b, struct scan_label *l, size_t t, struct err *err)
{
    const struct lines_plan *p = b->lines_plan;
    struct scan_stretch *s = &l->stretch[l->n];
    int r = 0;

    *s = (struct scan_stretch){.kind = STRETCH_ABSENT, .template = (uint32_t)t};
    if (p->template[t].rows == 0)
        return 0;
    if (l->parser == SCAN_PARSE_PATTERN) {
        r = find_capture(b, l, t, s, err);
    } else if (l->parser != SCAN_PARSE_NONE && p->template[t].kind == kind_of(l->parser)) {
        r = find_slot(b, l, t, s, err);
    } else {
        struct scan_fields f = {
            .parser = l->parser, .label = &l->name, .n = 1, .names = b->sc->req.names};
        enum scan_holds holds = scan_label_holds(b, &f, t);
        s->kind = holds == HOLDS_NONE ? STRETCH_ABSENT : STRETCH_UNKNOWN;
        s->in_some = holds == HOLDS_SOME;
    }
    l->n += r == 0;
    return r;
}

/* ---- streams and attributes ---- */

static bool is_in_streams(const struct scan_block *b, struct str name)
{
    const struct scan_candidate *c = b->candidate;

    for (uint32_t i = c->block.first_stream; i <= c->block.last_stream; i++) {
        uint32_t at = c->segment->stream[i];
        if (at != UINT32_MAX && labels_get(&c->part->streams[at].labels, name).p != NULL)
            return true;
    }
    return false;
}

static void add_attrs_template(const struct scan_block *b, struct scan_label *l, size_t t)
{
    const struct lines_template *lt = &b->attrs_plan->template[t];
    struct scan_stretch s = {.of_attrs = true, .template = (uint32_t)t, .kind = STRETCH_UNKNOWN};

    if (lt->rows == 0)
        return;
    for (uint32_t i = 0; lt->kind == TEMPLATE_ATTRS && i < lt->n_slots; i++)
        if (str_eq(lt->piece[i], l->name)) {
            s.kind = STRETCH_COLUMN;
            s.slot = i;
        }
    if (lt->kind == TEMPLATE_ATTRS && s.kind != STRETCH_COLUMN)
        return; /* not here: the lines say */
    l->in_attrs = true;
    l->stretch[l->n++] = s;
}

int scan_label_open(struct scan_block *b, struct str name, enum scan_parser parser,
                    struct scan_label *ret, struct err *err)
{
    size_t n =
        b->lines_plan->n_templates + (b->attrs_plan == NULL ? 0 : b->attrs_plan->n_templates);
    int r = 0;

    *ret = (struct scan_label){.name = name, .parser = parser};
    ret->stretch = arena_alloc(b->arena, n * sizeof(*ret->stretch) + 1);
    if (ret->stretch == NULL)
        return arena_err(b->arena, err);
    ret->in_streams = is_in_streams(b, name);
    for (size_t t = 0; b->attrs_plan != NULL && t < b->attrs_plan->n_templates; t++)
        add_attrs_template(b, ret, t);
    for (size_t t = 0; r == 0 && t < b->lines_plan->n_templates; t++)
        r = add_line_template(b, ret, t, err);
    return r;
}

/* ---- columns ---- */

int scan_label_column(struct scan_block *b, const struct scan_stretch *s,
                      const struct slot_view **ret, struct err *err)
{
    int r = s->of_attrs ? scan_block_attrs(b, err) : scan_block_lines(b, err);

    return r < 0 ? r
                 : lines_slot(s->of_attrs ? b->attrs : b->lines, s->template, s->slot, ret, err);
}

int scan_label_rows(struct scan_block *b, const struct scan_stretch *s, const uint32_t **ret,
                    size_t *n, struct err *err)
{
    int r = s->of_attrs ? scan_block_attrs(b, err) : scan_block_lines(b, err);
    struct lines *l;

    if (r < 0)
        return r;
    l = s->of_attrs ? b->attrs : b->lines;
    *n = lines_plan_of(l)->template[s->template].rows;
    return lines_rows(l, s->template, ret, err);
}

const struct slot_stamp *scan_label_stamp(const struct scan_block *b, const struct scan_stretch *s)
{
    const struct lines_plan *p = s->of_attrs ? b->attrs_plan : b->lines_plan;

    return &p->column[p->template[s->template].first_column + s->slot].stamp;
}

int scan_label_rest(struct scan_selection *s, const struct scan_label *l, uint64_t **rest,
                    struct err *err)
{
    int r = 0;

    *rest = arena_alloc(s->block.arena, s->words * sizeof(**rest));
    if (*rest == NULL)
        return arena_err(s->block.arena, err);
    memcpy(*rest, s->bits, s->words * sizeof(**rest));
    for (size_t i = 0; r == 0 && i < l->n && l->stretch[i].of_attrs; i++) {
        const uint32_t *rows = NULL;
        size_t n = 0;
        r = scan_label_rows(&s->block, &l->stretch[i], &rows, &n, err);
        for (size_t k = 0; r == 0 && k < n; k++) {
            size_t row = rows == NULL ? k : rows[k];
            (*rest)[row / 64] &= ~(UINT64_C(1) << (row % 64));
        }
    }
    return r;
}

/* ---- values ---- */

bool scan_label_is_plain(enum scan_text how, const struct slot_stamp *s)
{
    switch (how) {
    case SCAN_TEXT_AS_IS:
        return true;
    case SCAN_TEXT_STRING:
        return (s->classes & (SLOT_QUOTE | SLOT_HIGH)) == 0;
    case SCAN_TEXT_JSON:
        return s->min_len > 4 || (s->classes & SLOT_LOWER) == 0; /* null */
    case SCAN_TEXT_LOGFMT:
        return s->min_len > 0 && (s->classes & SLOT_HIGH) == 0;
    case SCAN_TEXT_LOGFMT_STRING:
        return s->min_len > 0 && (s->classes & (SLOT_QUOTE | SLOT_HIGH)) == 0;
    case SCAN_TEXT_PATTERN:
        return (s->classes & SLOT_HIGH) == 0;
    }
    return false;
}

/* Without bytes that a parser replaces. */
static bool is_clean(struct str s)
{
    unsigned char all = 0;

    for (size_t i = 0; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return all < 0x80 || (utf8_valid(s) == s.n && str_find(s, STR("\xef\xbf\xbd")) == SIZE_MAX);
}

bool scan_label_value(enum scan_text how, struct str text, struct str *ret)
{
    bool escapes = how == SCAN_TEXT_STRING || how == SCAN_TEXT_LOGFMT_STRING;

    *ret = text.n == 0 ? STR("") : text;
    if (how == SCAN_TEXT_AS_IS)
        return true;
    if (how == SCAN_TEXT_JSON) {
        if (str_eq(text, STR("null")))
            *ret = STR_NULL;
        return true; /* a number or a literal: plain */
    }
    if (text.n == 0 && how != SCAN_TEXT_STRING && how != SCAN_TEXT_PATTERN) {
        *ret = STR_NULL;
        return true;
    }
    return (!escapes || str_find_char(text, '\\') == SIZE_MAX) && is_clean(text);
}
