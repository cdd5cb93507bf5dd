/*
 * query/op_json.c - the stage `json`, see op.h.
 *
 * Without extractions an object is flattened: names of nested members are joined with `_`; null and
 * arrays are passed over.  A line that breaks off, or is no object, keeps what came before and is
 * marked.  With `--arrays` (an extension) elements of arrays become labels, too, and so does their
 * number.  With extractions each path is looked up on its own, so that of a broken line the part
 * before the break serves; the line is marked only where the value of a path itself is broken.
 */
#include "query/op.h"

#include "base/json.h"

#include <inttypes.h>
#include <string.h>

static int fail_json(struct entry *e, const char *details)
{
    entry_fail(e, STR("JSONParserErr"), str_of(details));
    return 1;
}

/* ---- flattening ---- */

/* Pass the rest of the array that `r` has just entered. */
static int skip_array(struct json_reader *r, struct err *err)
{
    unsigned depth = 1;
    struct json_token tok;

    while (depth > 0) {
        int e = json_next(r, &tok, err);
        if (e < 0)
            return e;
        if (tok.type == JSON_ARRAY || tok.type == JSON_OBJECT)
            depth++;
        else if (tok.type == JSON_ARRAY_END || tok.type == JSON_OBJECT_END)
            depth--;
    }
    return 0;
}

/* The code unit of the escape at raw.p[at], or 0 where there is none; escapes are well-formed. */
static unsigned unit_at(struct str raw, size_t at)
{
    unsigned unit = 0;

    if (raw.n < 6 || at > raw.n - 6 || raw.p[at] != '\\' || raw.p[at + 1] != 'u')
        return 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        unit = unit * 16 + (c <= '9' ? c - 0x30U : (c | 0x20U) - 0x61U + 10U);
    }
    return unit;
}

static bool has_half_pair(struct str raw)
{
    for (size_t i = 0; i < raw.n; i++) {
        unsigned unit = unit_at(raw, i);
        unsigned next = unit >> 10 == 0xd800 >> 10 ? unit_at(raw, i + 6) : 0;
        if (unit >> 11 == 0xd800 >> 11 && next >> 10 != 0xdc00 >> 10)
            return true;
        if (raw.p[i] == '\\')
            i += next != 0 ? 11 : 1;
    }
    return false;
}

struct str op_json_text(const struct json_token *tok, struct entry *e)
{
    struct str text;

    if (tok->escaped && has_half_pair(tok->raw))
        return STR("");
    text = json_text(tok, e->arena);
    return text.p == NULL ? text : entry_clean(e, text);
}

/* Text of a scalar; STR_NULL for null or when the arena is full. */
static struct str scalar_text(const struct json_token *tok, struct entry *e)
{
    switch (tok->type) {
    case JSON_STRING:
        return op_json_text(tok, e);
    case JSON_NUMBER:
        return entry_clean(e, tok->raw); /* of a lenient reader */
    case JSON_TRUE:
        return STR("true");
    case JSON_FALSE:
        return STR("false");
    case JSON_NULL:
    case JSON_KEY:
    case JSON_END:
    case JSON_OBJECT:
    case JSON_OBJECT_END:
    case JSON_ARRAY:
    case JSON_ARRAY_END:
        break;
    }
    return STR_NULL;
}

/* A label called as e->name says. */
static int add_scalar(const struct json_token *tok, struct entry *e, struct err *err)
{
    struct str value;
    struct str name;

    if (tok->type == JSON_NULL || e->name.n == 0)
        return 0;
    value = scalar_text(tok, e);
    name = entry_name(e);
    if (value.p == NULL || name.p == NULL)
        return arena_err(e->arena, err);
    return entry_parsed(e, name, value, err);
}

/* Put the name of member `tok` behind the first `prefix` bytes of e->name. */
static int add_key(const struct json_token *tok, size_t prefix, struct entry *e, struct err *err)
{
    struct str key = json_text(tok, e->arena);

    if (key.p == NULL)
        return arena_err(e->arena, err);
    e->name.n = prefix;
    key = str_trim(key);
    if (key.n > 0 && prefix > 0)
        buf_add_char(&e->name, '_');
    entry_add_name(e, key);
    return buf_err(&e->name, "label name", err);
}

enum { ELEMENTS_MAX = 1000 }; /* of one array that become labels */

struct level {
    size_t prefix; /* bytes of e->name that name it */
    bool is_array;
    uint64_t n; /* elements so far */
};

/* How many elements the array has, as `<its name>_len`. */
static int add_length(const struct level *l, struct entry *e, struct err *err)
{
    struct str value = arena_printf(e->arena, "%" PRIu64, l->n);
    struct str name;

    e->name.n = l->prefix;
    buf_add_z(&e->name, "_len");
    name = entry_name(e);
    if (value.p == NULL || name.p == NULL)
        return arena_err(e->arena, err);
    return entry_parsed(e, name, value, err);
}

/* Pass the rest of a long array, the reader before one of its elements, and leave it. */
static int end_array(struct json_reader *r, struct level *l, struct entry *e, struct err *err)
{
    struct err ignored;
    int x;

    while ((x = json_skip(r, NULL, &ignored)) == 0)
        l->n++;
    return x < 0 ? 1 : add_length(l, e, err);
}

/* Put the name of what comes next into e->name, and its first token into *tok. */
static int next_member(struct json_reader *r, struct level *l, struct json_token *tok,
                       struct entry *e, struct err *err)
{
    struct err ignored;
    int x;

    if (l->is_array) {
        e->name.n = l->prefix;
        buf_addf(&e->name, "_%" PRIu64, l->n++);
        return buf_err(&e->name, "label name", err);
    }
    x = add_key(tok, l->prefix, e, err);
    return x < 0 ? x : json_next(r, tok, &ignored) < 0;
}

/* 0: done; 1: the text is broken; < 0: no memory.  With `arrays` elements of an array `a` become
 * `a_0`, `a_1` ..., their number `a_len`. */
static int flatten(struct json_reader *r, bool arrays, struct entry *e, struct err *err)
{
    struct level levels[JSON_DEPTH_MAX + 1];
    struct level *l = levels;
    struct json_token tok;
    struct err ignored;
    int x;

    levels[0] = (struct level){.prefix = 0};
    if (json_next(r, &tok, &ignored) < 0 || tok.type != JSON_OBJECT)
        return 1;
    for (;;) {
        if (l->is_array && l->n == ELEMENTS_MAX) {
            x = end_array(r, l--, e, err);
            if (x != 0)
                return x;
            continue;
        }
        if (json_next(r, &tok, &ignored) < 0)
            return 1;
        if (tok.type == JSON_OBJECT_END || tok.type == JSON_ARRAY_END) {
            x = l->is_array ? add_length(l, e, err) : 0;
            if (x < 0 || l == levels)
                return x;
            l--;
            continue;
        }
        x = next_member(r, l, &tok, e, err);
        if (x == 0 && tok.type == JSON_ARRAY && !arrays)
            x = skip_array(r, &ignored) < 0;
        else if (x == 0 && (tok.type == JSON_OBJECT || tok.type == JSON_ARRAY))
            *++l = (struct level){.prefix = e->name.n, .is_array = tok.type == JSON_ARRAY};
        else if (x == 0)
            x = add_scalar(&tok, e, err);
        if (x != 0 || entry_is_done(e))
            return x;
    }
}

/* ---- extractions ---- */

/* The object or array that `text` begins with, up to its closing bracket, whatever is in it; n ==
 * 0: there is none. */
static struct str block_of(struct str text)
{
    char open = text.n > 0 ? text.p[0] : '\0';
    char close = open == '{' ? '}' : ']';
    size_t depth = 0;
    bool quoted = false;

    if (open != '{' && open != '[')
        return STR("");
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == open)
            depth++;
        else if (!quoted && c == close && --depth == 0)
            return str_sub(text, 0, i + 1);
    }
    return STR("");
}

/* Move *value, in which the object begins that `r` has entered, to its member `step`.  Of the last
 * step it is the value alone, else all from there on. */
static bool find_member(struct json_reader *r, struct str *value, const struct ast_step *step,
                        bool is_last, struct entry *e, bool *broken)
{
    struct json_token tok;
    struct str member;
    struct err ignored;

    while (json_next(r, &tok, &ignored) == 0 && tok.type == JSON_KEY) {
        if (!(tok.escaped ? str_eq(json_text(&tok, e->arena), step->key)
                          : str_eq(tok.raw, step->key))) {
            if (json_skip(r, NULL, &ignored) != 0)
                return false;
            continue;
        }
        member = str_from(*value, tok.offset + tok.raw.n + 2); /* and its quotes */
        (void)str_cut(&member, ':');
        *value = str_trim(member);
        if (!is_last || json_skip(r, value, &ignored) == 0)
            return true;
        *value = block_of(*value);
        *broken = value->n == 0;
        return !*broken;
    }
    return false;
}

/* Move *value from an object or array to what `step` names in it.  false: it is not there, or
 * (*broken) is no value. */
static bool descend(struct str *value, const struct ast_step *step, bool is_last, struct entry *e,
                    bool *broken)
{
    struct json_reader r;
    struct json_token tok;
    struct err ignored;
    size_t at = 0;

    json_reader_init(&r, *value);
    json_reader_lenient(&r);
    if (json_next(&r, &tok, &ignored) < 0 ||
        tok.type != (step->is_index ? JSON_ARRAY : JSON_OBJECT))
        return false;
    if (!step->is_index)
        return find_member(&r, value, step, is_last, e, broken);
    while (json_skip(&r, value, &ignored) == 0)
        if (at++ == step->index)
            return true;
    return false;
}

/* The text that label `x` gets from the value `raw`. */
static struct str value_text(struct str raw, struct entry *e)
{
    struct json_reader r;
    struct json_token tok;
    struct err ignored;

    if (raw.n > 0 && raw.p[0] == '"') {
        json_reader_init(&r, raw);
        if (json_next(&r, &tok, &ignored) == 0)
            return scalar_text(&tok, e);
    }
    return str_eq(raw, STR("null")) ? STR("") : raw;
}

static int extract(const struct ast_extraction *x, struct entry *e, struct err *err)
{
    struct str value = e->line;
    bool found = true;
    bool broken = false;

    for (size_t i = 0; i < x->n_steps && found; i++)
        found = descend(&value, &x->steps[i], i + 1 == x->n_steps, e, &broken);
    if (broken)
        (void)fail_json(e, "a value is no JSON"); /* the entry passes */
    if (!found)
        return entry_find(e, x->name) != NULL ? 0 : entry_set(e, x->name, STR(""), err);
    value = value_text(value, e);
    return value.p == NULL ? arena_err(e->arena, err) : entry_named(e, x->name, value, err);
}

int op_json(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct json_reader r;
    int x = 0;

    if (entry_is_done(e))
        return 1;
    if (s->parser.list == NULL) {
        json_reader_init(&r, e->line);
        json_reader_lenient(&r);
        x = flatten(&r, s->parser.arrays, e, err);
        return x == 1 ? fail_json(e, "the line is no complete JSON object") : (x < 0 ? x : 1);
    }
    if (e->line.n == 0)
        return 1;
    if (e->line.p[0] != '{' && e->line.p[0] != '[' && e->line.p[0] != '"')
        return fail_json(e, "the line is no JSON");
    for (const struct ast_extraction *i = s->parser.list; i != NULL && x == 0; i = i->next)
        x = extract(i, e, err);
    return x < 0 ? x : 1;
}
