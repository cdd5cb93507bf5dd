/*
 * query/op_logfmt.c - the stage `logfmt`, see op.h.
 *
 * Pairs stand between bytes up to a blank; a key alone has an empty value; a value in double quotes
 * has JSON's escapes, and a pair may follow it directly.  A `=` or a quote anywhere else breaks a
 * pair.  What is broken is passed over up to the next blank, or with --strict ends the line.
 */
#include "query/op.h"

#include "base/json.h"

struct logfmt {
    struct str line;
    size_t pos;
    struct str key, value; /* of the pair read last; value as it stands */
    bool quoted;
    const char *error; /* of the pair read last, or NULL */
};

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

static bool at_end(const struct logfmt *f)
{
    return f->pos == f->line.n;
}

static char cur(const struct logfmt *f)
{
    return f->line.p[f->pos];
}

static const char *unexpected(char c)
{
    return c == '=' ? "unexpected '='" : "unexpected '\"'";
}

/* Bytes up to a blank or one of `=` and `"`. */
static struct str read_word(struct logfmt *f)
{
    size_t from = f->pos;

    while (!at_end(f) && !is_blank(cur(f)) && cur(f) != '=' && cur(f) != '"')
        f->pos++;
    return str_sub(f->line, from, f->pos - from);
}

static void read_quoted(struct logfmt *f)
{
    size_t from = ++f->pos;

    while (!at_end(f) && cur(f) != '"')
        f->pos += cur(f) == '\\' && f->line.n - f->pos > 1 ? 2 : 1;
    if (at_end(f)) {
        f->error = "unterminated quoted value";
        return;
    }
    f->value = str_sub(f->line, from, f->pos - from);
    f->quoted = true;
    f->pos++;
}

/* The next pair, or error.  false: there is none. */
static bool next_pair(struct logfmt *f)
{
    f->error = NULL;
    f->quoted = false;
    f->value = STR_NULL;
    while (!at_end(f) && is_blank(cur(f)))
        f->pos++;
    if (at_end(f))
        return false;
    f->key = read_word(f);
    if (!at_end(f) && cur(f) == '"')
        f->error = unexpected('"');
    else if (f->key.n == 0)
        f->error = unexpected('=');
    else if (str_find(f->key, STR("\xef\xbf\xbd")) != SIZE_MAX)
        f->error = "invalid key";
    if (f->error != NULL || at_end(f) || cur(f) != '=')
        return true;
    f->pos++;
    if (!at_end(f) && cur(f) == '"') {
        read_quoted(f);
        return true;
    }
    f->value = read_word(f);
    if (!at_end(f) && !is_blank(cur(f)))
        f->error = unexpected(cur(f));
    return true;
}

static void skip_broken(struct logfmt *f)
{
    while (!at_end(f) && !is_blank(cur(f)))
        f->pos++;
}

/* Resolve the escapes of a quoted value.  false: they are wrong, or no memory (then p == NULL). */
static bool unquote(struct logfmt *f, struct entry *e, struct str *ret)
{
    struct json_reader r;
    struct json_token tok;
    struct err ignored;

    *ret = f->value;
    if (!f->quoted || str_find_char(f->value, '\\') == SIZE_MAX)
        return true;
    /* with its quotes around it, it is a JSON string */
    json_reader_init(&r, (struct str){f->value.p - 1, f->value.n + 2});
    if (json_next(&r, &tok, &ignored) < 0)
        return false;
    *ret = json_text(&tok, e->arena);
    return ret->p != NULL;
}

/* Add the pair under the name of its key, or of the extractions that ask for it. */
static int add_pair(const struct ast_stage *s, struct logfmt *f, struct str value, struct entry *e,
                    struct err *err)
{
    struct str name;

    if (s->parser.list == NULL) {
        if (value.n == 0 && !s->parser.keep_empty)
            return 0;
        e->name.n = 0;
        entry_add_name(e, f->key);
        name = entry_name(e);
        if (name.p == NULL)
            return arena_err(e->arena, err);
        return name.n == 0 ? 0 : entry_parsed(e, name, value, err);
    }
    for (const struct ast_extraction *x = s->parser.list; x != NULL; x = x->next) {
        int r = 0;
        if (str_eq(x->path, f->key))
            r = (entry_is_taken(e, x->name) ? entry_parsed : entry_set)(e, x->name, value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run(const struct ast_stage *s, struct logfmt *f, struct entry *e, struct err *err)
{
    while (next_pair(f)) {
        size_t pos = f->pos + 1;
        struct str value = STR_NULL;
        struct str details;
        int r = 0;

        if (f->error == NULL && !unquote(f, e, &value)) {
            if (value.p == NULL)
                return arena_err(e->arena, err);
            f->error = "invalid quoted value";
        }
        if (f->error == NULL) {
            value = value.n == 0 ? STR("") : entry_clean(e, value);
            if (value.p == NULL)
                return arena_err(e->arena, err);
            r = add_pair(s, f, value, e, err);
        } else if (s->parser.strict) {
            details = arena_printf(e->arena, "logfmt syntax error at pos %zu : %s", pos, f->error);
            if (details.p == NULL)
                return arena_err(e->arena, err);
            entry_fail(e, STR("LogfmtParserErr"), details);
            return 0;
        } else {
            skip_broken(f);
        }
        if (r < 0 || (s->parser.list == NULL && entry_is_done(e)))
            return r;
    }
    return 0;
}

int op_logfmt(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct logfmt f = {.line = e->line};
    int r = 0;

    if (entry_is_done(e))
        return 1;
    for (const struct ast_extraction *x = s->parser.list; x != NULL && r == 0; x = x->next)
        r = entry_is_taken(e, x->name) ? 0 : entry_set(e, x->name, STR(""), err);
    if (r == 0)
        r = run(s, &f, e, err);
    return r < 0 ? r : 1;
}
