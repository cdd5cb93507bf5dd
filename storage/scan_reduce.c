/*
 * storage/scan_reduce.c - lines that are one JSON object, with the members alone that are asked
 * for.
 *
 * A parser that looks at some members of an object finds in the reduced line what it finds in the
 * whole one: members stand in their order, under their path, with the bytes of their values.  Where
 * the pieces do not show a wanted value as one slot, the line is given whole.
 */
#include "storage/scan_internal.h"

#include "base/buf.h"
#include "base/json.h"

#include <string.h>

/* What to do with the lines of a template. */
struct scan_reduced {
    bool is_open, is_whole;
    uint32_t n;
    struct part {
        uint32_t slot;
        struct str before, after; /* with the quotes of a string */
    } * part;
};

/* What stands in front of a value and behind it: `"a":{"b":` and `}` for a path of two keys. */
static void put_before(struct buf *b, struct str path, bool is_string)
{
    bool first = true;

    while (path.p != NULL) {
        struct str key = str_cut(&path, '\0');
        if (!first)
            buf_add_char(b, '{');
        first = false;
        buf_add_char(b, '"');
        buf_add_str(b, key);
        buf_add_z(b, "\":");
    }
    if (is_string)
        buf_add_char(b, '"');
}

static void put_after(struct buf *b, struct str path, bool is_string)
{
    if (is_string)
        buf_add_char(b, '"');
    (void)str_cut(&path, '\0');
    while (path.p != NULL) {
        (void)str_cut(&path, '\0');
        buf_add_char(b, '}');
    }
}

/* ---- rows of a block ---- */

static int write_around(struct arena *a, struct str path, bool is_string, struct part *ret,
                        struct err *err)
{
    struct buf text;

    buf_init(&text, 2 * RECORD_LINE_MAX);
    put_before(&text, path, is_string);
    ret->before = arena_str(a, buf_str(&text));
    buf_clear(&text);
    put_after(&text, path, is_string);
    ret->after = arena_str(a, buf_str(&text));
    buf_fini(&text);
    return ret->before.p == NULL || ret->after.p == NULL ? arena_err(a, err) : 0;
}

static int open_template(struct scan_block *b, size_t t, struct scan_reduced *ret, struct err *err)
{
    const struct scan_request *req = &b->sc->req;
    const struct lines_template *lt = &b->lines_plan->template[t];
    struct template_field *field = NULL;
    int r = 0;

    ret->is_open = true;
    ret->is_whole = lt->kind != TEMPLATE_JSON;
    if (ret->is_whole)
        return 0;
    r = template_fields(lt->kind, lt->piece, lt->n_slots, b->arena, &field, err);
    ret->part = arena_alloc(b->arena, lt->n_slots * sizeof(*ret->part) + 1);
    if (r == 0 && ret->part == NULL)
        r = arena_err(b->arena, err);
    for (uint32_t i = 0; r == 0 && i < lt->n_slots; i++) {
        struct part *p = &ret->part[ret->n];
        if (field[i].whole == TEMPLATE_ARRAY || !req->want_field(req->field_arg, field[i].path))
            continue;
        ret->is_whole = ret->is_whole || field[i].whole == TEMPLATE_PART;
        p->slot = i;
        r = write_around(b->arena, field[i].path, field[i].whole == TEMPLATE_STRING, p, err);
        ret->n++;
    }
    return r;
}

static int get_template(struct scan_block *b, size_t t, struct scan_reduced **ret, struct err *err)
{
    if (b->reduced == NULL) {
        b->reduced = arena_alloc(b->arena, b->lines_plan->n_templates * sizeof(*b->reduced));
        if (b->reduced == NULL)
            return arena_err(b->arena, err);
    }
    *ret = &b->reduced[t];
    return (*ret)->is_open ? 0 : open_template(b, t, *ret, err);
}

static int join(struct scan_block *b, const struct scan_reduced *red, size_t t, size_t rank,
                struct buf *out, struct err *err)
{
    int r = 0;

    buf_clear(out);
    buf_add_char(out, '{');
    for (uint32_t i = 0; r == 0 && i < red->n; i++) {
        const struct slot_view *v = NULL;
        char room[SLOT_ROOM];
        r = lines_slot(b->lines, t, red->part[i].slot, &v, err);
        if (r < 0)
            return r;
        if (i > 0)
            buf_add_char(out, ',');
        buf_add_str(out, red->part[i].before);
        buf_add_str(out, slot_value(v, rank, room));
        buf_add_str(out, red->part[i].after);
    }
    buf_add_char(out, '}');
    return buf_err(out, "reduced line", err);
}

int scan_reduce_line(struct scan_block *b, uint32_t at, struct buf *out, bool *is_reduced,
                     struct err *err)
{
    struct scan_reduced *red = NULL;
    struct lines_ids ids = {.template = NULL};
    size_t t;
    int r = lines_ids(b->lines, &ids, err);

    *is_reduced = false;
    if (r < 0)
        return r;
    t = ids.template == NULL ? 0 : ids.template[at];
    r = get_template(b, t, &red, err);
    if (r < 0 || red->is_whole)
        return r;
    *is_reduced = true;
    return join(b, red, t, ids.rank == NULL ? at : ids.rank[at], out, err);
}

/* ---- one line ---- */

struct walk {
    const struct scan_request *req;
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

    if (!w->req->want_field(w->req->field_arg, path))
        return;
    if (w->out->n > 1)
        buf_add_char(w->out, ',');
    put_before(w->out, path, is_string);
    if (tok->type == JSON_TRUE || tok->type == JSON_FALSE)
        buf_add_z(w->out, tok->type == JSON_TRUE ? "true" : "false");
    else if (tok->type == JSON_NULL)
        buf_add_z(w->out, "null");
    else
        buf_add_str(w->out, tok->raw);
    put_after(w->out, path, is_string);
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

/* false: the line is no object, or broken. */
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

bool scan_reduce_text(const struct scan_request *req, struct str line, struct buf *out)
{
    struct walk w = {.req = req, .out = out};
    struct json_reader r;
    bool done;

    buf_clear(out);
    buf_add_char(out, '{');
    buf_init(&w.path, RECORD_LINE_MAX);
    json_reader_init(&r, line);
    json_reader_lenient(&r);
    done = walk_object(&w, &r) && !w.path.over;
    buf_fini(&w.path);
    buf_add_char(out, '}');
    return done && !out->over;
}
