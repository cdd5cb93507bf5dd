/*
 * storage/template_json.c - one object a line: template.h's JSON.
 *
 * Nothing is let through that base/json.h would call broken, so that a reader of columns sees what
 * a reader of lines would: structure, numbers and escapes are checked, a comma before a bracket is
 * not taken, and nothing but blanks may stand around the object.  Brackets of arrays are static, so
 * that pieces alone tell an array from a number.
 */
#include "storage/template_internal.h"

#include <string.h>

enum { DEPTH_MAX = 32 }; /* below JSON_DEPTH_MAX */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint32_t skip_blanks(const struct template_cut *c, uint32_t i)
{
    while (i < c->line.n && (c->line.p[i] == ' ' || c->line.p[i] == '\n' || c->line.p[i] == '\t' ||
                             c->line.p[i] == '\r'))
        i++;
    return i;
}

/* Behind the digits at `i`; 0: there is none. */
static uint32_t digits_end(const struct template_cut *c, uint32_t i)
{
    uint32_t end = i;

    while (end < c->line.n && is_digit(c->line.p[end]))
        end++;
    return end == i ? 0 : end;
}

static uint32_t number_end(const struct template_cut *c, uint32_t i)
{
    const char *p = c->line.p;
    uint32_t n = (uint32_t)c->line.n;
    uint32_t from;

    if (p[i] == '-')
        i++;
    from = i;
    i = digits_end(c, i);
    if (i == 0 || (p[from] == '0' && i - from > 1))
        return 0;
    if (i < n && p[i] == '.') {
        i = digits_end(c, i + 1);
        if (i == 0)
            return 0;
    }
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-'))
            i++;
        i = digits_end(c, i);
    }
    return i;
}

static uint32_t literal_end(const struct template_cut *c, uint32_t i, struct str literal)
{
    return str_starts(str_from(c->line, i), literal) ? i + (uint32_t)literal.n : 0;
}

/* Behind the number or literal at `i`; 0: there is none. */
static uint32_t scalar_end(const struct template_cut *c, uint32_t i)
{
    switch (c->line.p[i]) {
    case 't':
        return literal_end(c, i, STR("true"));
    case 'f':
        return literal_end(c, i, STR("false"));
    case 'n':
        return literal_end(c, i, STR("null"));
    default:
        return number_end(c, i);
    }
}

struct walk {
    struct template_cut *c;
    uint32_t i;         /* the next byte */
    unsigned depth;     /* open brackets */
    uint64_t in_object; /* bit depth - 1: the innermost is an object */
    unsigned array;     /* depth of the array that is one slot; 0: in none */
    uint32_t array_at;  /* behind its bracket */
    struct str key;     /* of the value that comes */
};

static bool at_object(const struct walk *w)
{
    return (w->in_object >> (w->depth - 1) & 1) != 0;
}

/* In an object, or behind one of its commas: "key": */
static bool take_key(struct walk *w)
{
    struct template_cut *c = w->c;
    uint32_t from = w->i + 1;

    if (w->i >= c->line.n || c->line.p[w->i] != '"')
        return false;
    w->i = template_string_end(c, from, (uint32_t)c->line.n);
    if (w->i == 0)
        return false;
    w->key = (struct str){c->line.p + from, w->i - 1 - from};
    w->i = skip_blanks(c, w->i);
    if (w->i >= c->line.n || c->line.p[w->i] != ':')
        return false;
    w->i = skip_blanks(c, w->i + 1);
    return true;
}

static bool take_string(struct walk *w)
{
    struct template_cut *c = w->c;
    uint32_t from = w->i + 1;

    w->i = template_string_end(c, from, (uint32_t)c->line.n);
    if (w->i == 0)
        return false;
    if (w->array == 0) {
        if (template_key_is_message(w->key))
            template_cut_message(c, from, w->i - 1);
        else
            template_add(c, from, w->i - 1);
    }
    return true;
}

/* Go into the object or array at w->i.  *value: a value comes next, rather than what follows one.
 */
static bool open_bracket(struct walk *w, bool *value)
{
    struct template_cut *c = w->c;
    bool object = c->line.p[w->i] == '{';

    if (w->depth == DEPTH_MAX)
        return false;
    w->in_object &= ~(UINT64_C(1) << w->depth);
    w->in_object |= (uint64_t)object << w->depth;
    w->depth++;
    w->i++;
    if (!object && w->array == 0) {
        w->array = w->depth;
        w->array_at = w->i;
    }
    w->i = skip_blanks(c, w->i);
    if (w->i >= c->line.n)
        return false;
    *value = c->line.p[w->i] != (object ? '}' : ']');
    return !object || !*value || take_key(w);
}

/* The value at w->i. */
static bool take_value(struct walk *w, bool *value)
{
    uint32_t from = w->i;

    *value = false;
    if (from >= w->c->line.n)
        return false;
    switch (w->c->line.p[from]) {
    case '"':
        return take_string(w);
    case '{':
    case '[':
        return open_bracket(w, value);
    default:
        w->i = scalar_end(w->c, from);
        if (w->i != 0 && w->array == 0)
            template_add(w->c, from, w->i);
        return w->i != 0;
    }
}

/* What follows a value: a comma, after which *value, or a closing bracket. */
static bool take_after(struct walk *w, bool *value)
{
    struct template_cut *c = w->c;
    char x;

    w->i = skip_blanks(c, w->i);
    if (w->i >= c->line.n)
        return false;
    x = c->line.p[w->i];
    if (x == ',') {
        w->i = skip_blanks(c, w->i + 1);
        *value = true;
        return !at_object(w) || take_key(w);
    }
    if (x != (at_object(w) ? '}' : ']'))
        return false;
    if (w->array == w->depth) {
        template_add(c, w->array_at, w->i);
        w->array = 0;
    }
    w->depth--;
    w->i++;
    return true;
}

bool template_cut_json(struct template_cut *c)
{
    struct walk w = {.c = c};
    bool value;

    if (!open_bracket(&w, &value))
        return false;
    while (w.depth > 0) {
        if (!(value ? take_value(&w, &value) : take_after(&w, &value)))
            return false;
    }
    return skip_blanks(c, w.i) == c->line.n;
}
