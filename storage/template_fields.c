/*
 * storage/template_fields.c - from the pieces of a template to the names of its slots, see
 * template.h.
 *
 * Pieces are read as the line they come from, slots being gaps in it.  They come from stored bytes,
 * so they may be anything: what cannot be told stays PART without a path.
 */
#include "storage/template.h"

#include "base/buf.h"
#include "base/err.h"

enum { DEPTH_MAX = 64 };

/* The pieces as one text with gaps. */
struct gaps {
    const struct str *piece;
    size_t n_slots;
    size_t at;    /* which piece */
    size_t i;     /* which byte of it */
    size_t bytes; /* of all pieces: no path is longer */
};

enum { GAP = 256, END = 257 };

/* The next byte, GAP or END. */
static int next(struct gaps *g)
{
    if (g->i < g->piece[g->at].n)
        return (unsigned char)g->piece[g->at].p[g->i++];
    if (g->at == g->n_slots)
        return END;
    g->at++;
    g->i = 0;
    return GAP;
}

/* Fields of the slots [first, g->at) get this path. */
static int set_fields(const struct gaps *g, size_t first, struct str path,
                      enum template_whole whole, struct arena *a, struct template_field *fields,
                      struct err *err)
{
    struct str copy;

    if (first == g->at)
        return 0;
    copy = arena_str(a, path);
    if (copy.p == NULL)
        return arena_err(a, err);
    for (size_t s = first; s < g->at; s++)
        fields[s] = (struct template_field){copy, whole};
    return 0;
}

/* The rest of a string whose quote was just read: whether it is one gap and nothing else.  false:
 * it does not end. */
static bool pass_string(struct gaps *g, enum template_whole *whole)
{
    size_t first = g->at;
    bool text = false;

    for (;;) {
        int x = next(g);
        if (x == END)
            return false;
        if (x == '"')
            break;
        text = text || x != GAP;
        if (x == '\\' && next(g) == END)
            return false;
    }
    *whole = !text && g->at == first + 1 ? TEMPLATE_STRING : TEMPLATE_PART;
    return true;
}

/* ---- JSON ---- */

struct json_walk {
    struct gaps g;
    struct buf path;
    size_t prefix[DEPTH_MAX + 1]; /* bytes of path before the keys of an object at this depth */
    unsigned depth;
    bool key; /* a string that comes is a key */
};

/* A key, whose quote was just read, goes behind the path of its object.  1: it is no plain text. */
static int take_key(struct json_walk *w)
{
    const struct str *piece = &w->g.piece[w->g.at];
    size_t from = w->g.i;
    size_t at = w->g.at;
    enum template_whole ignored;

    if (!pass_string(&w->g, &ignored) || w->g.at != at)
        return 1;
    w->path.n = w->prefix[w->depth];
    if (w->depth > 1)
        buf_add_char(&w->path, '\0');
    buf_add_str(&w->path, str_sub(*piece, from, w->g.i - 1 - from));
    w->key = false;
    return 0;
}

static int take_byte(struct json_walk *w, int x, struct arena *a, struct template_field *fields,
                     struct err *err)
{
    size_t first = w->g.at;
    enum template_whole whole = TEMPLATE_SCALAR;

    switch (x) {
    case '{':
        if (w->depth == DEPTH_MAX)
            return 1;
        w->prefix[++w->depth] = w->path.n;
        w->key = true;
        return 0;
    case '}':
        if (w->depth == 0)
            return 1;
        w->path.n = w->prefix[w->depth--];
        return 0;
    case ',':
        w->key = true;
        return 0;
    case '[':
        if (next(&w->g) != GAP)
            return 1;
        return set_fields(&w->g, first, (struct str){w->path.p, w->path.n}, TEMPLATE_ARRAY, a,
                          fields, err);
    case '"':
        if (w->key)
            return take_key(w);
        if (!pass_string(&w->g, &whole))
            return 1;
        break;
    case GAP:
        first--;
        break;
    default:
        return 0;
    }
    return set_fields(&w->g, first, (struct str){w->path.p, w->path.n}, whole, a, fields, err);
}

static int json_fields(const struct gaps *g, struct arena *a, struct template_field *fields,
                       struct err *err)
{
    struct json_walk w = {.g = *g};
    int r = 0;
    int x;

    buf_init(&w.path, g->bytes + DEPTH_MAX);
    while (r == 0 && (x = next(&w.g)) != END)
        r = take_byte(&w, x, a, fields, err);
    if (r >= 0 && buf_err(&w.path, "path of a field", err) < 0)
        r = ERR_LIMIT;
    buf_fini(&w.path);
    return r < 0 ? r : 0;
}

/* ---- logfmt ---- */

static bool is_blank(int x)
{
    return x <= ' ';
}

/* Behind a `=`: the value.  1: it is none. */
static int take_value(struct gaps *g, struct str key, struct arena *a,
                      struct template_field *fields, struct err *err)
{
    size_t first = g->at;
    enum template_whole whole = TEMPLATE_SCALAR;
    int x = next(g);

    if (x == '"' && !pass_string(g, &whole))
        return 1;
    if (x != '"' && x != GAP)
        return 1;
    return set_fields(g, first, key, whole, a, fields, err);
}

static int logfmt_fields(const struct gaps *from, struct arena *a, struct template_field *fields,
                         struct err *err)
{
    struct gaps g = *from;
    size_t word = 0; /* where in its piece the word begins */
    int r = 0;
    int x;

    while (r == 0 && (x = next(&g)) != END) {
        if (x == GAP) {
            word = SIZE_MAX; /* no key, whatever comes before the next blank */
        } else if (is_blank(x)) {
            word = g.i;
        } else if (x == '=' && word == SIZE_MAX) {
            r = 1;
        } else if (x == '=') {
            r = take_value(&g, str_sub(g.piece[g.at], word, g.i - 1 - word), a, fields, err);
            word = SIZE_MAX;
        }
    }
    return r < 0 ? r : 0;
}

int template_fields(enum template_kind kind, const struct str *piece, size_t n_slots,
                    struct arena *a, struct template_field **ret, struct err *err)
{
    struct gaps g = {.piece = piece, .n_slots = n_slots};
    struct template_field *fields;
    int r = 0;

    if (n_slots > SIZE_MAX / sizeof(*fields) - 1)
        return err_set(err, ERR_LIMIT, "a template of %zu slots", n_slots);
    fields = arena_alloc(a, (n_slots + 1) * sizeof(*fields));
    if (fields == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i <= n_slots; i++)
        g.bytes += piece[i].n;
    if (kind == TEMPLATE_JSON)
        r = json_fields(&g, a, fields, err);
    else if (kind == TEMPLATE_LOGFMT)
        r = logfmt_fields(&g, a, fields, err);
    if (r == 0)
        *ret = fields;
    return r;
}
