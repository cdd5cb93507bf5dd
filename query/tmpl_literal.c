/* query/tmpl_literal.c - numbers and characters of a template's text, see tmpl_internal.h. */
#include "query/tmpl_internal.h"

#include "query/lex.h"
#include "query/units.h"

enum { INT_DIGITS = 18 }; /* fewer fit any integer */

/* 'x': the inside is one character, or one escape. */
static bool rune_value(struct arena *a, struct str quoted, int64_t *ret)
{
    struct str inside = str_sub(quoted, 1, quoted.n - 2);
    struct str text;
    size_t n;

    if (str_eq(inside, STR("\\'"))) {
        *ret = '\'';
        return true;
    }
    if (inside.n == 0 || str_eq(inside, STR("\\\"")) || !lex_unescape(inside, a, &text) ||
        text.n == 0)
        return false;
    *ret = tmpl_rune(text, &n);
    if (n == 1 && (unsigned char)text.p[0] >= 0x80)
        *ret = (unsigned char)text.p[0]; /* '\xff' */
    return n == text.n;
}

bool tmpl_parse_int(struct str s, int64_t *ret)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    unsigned base = 10;
    uint64_t v = 0;
    size_t digits = 0;

    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    if (s.n > 1 && s.p[0] == '0') {
        char c = (char)(s.p[1] | 0x20);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        s = str_from(s, c == 'x' || c == 'b' || c == 'o' ? 2 : 1);
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        unsigned d = c >= '0' && c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10u;
        if (c == '_' && i > 0 && i + 1 < s.n && s.p[i - 1] != '_')
            continue;
        if (c == '_' || d >= base || __builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, d, &v))
            return false;
        digits++;
    }
    if (digits == 0 || v > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

static bool looks_like_float(struct str s)
{
    bool hex = str_find(s, STR("0x")) != SIZE_MAX || str_find(s, STR("0X")) != SIZE_MAX;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' || c == 'p' || c == 'P' || (!hex && (c == 'e' || c == 'E')))
            return true;
    }
    return false;
}

const char *tmpl_number(struct tmpl_token t, struct arena *a, struct tmpl_node *ret)
{
    bool is_float = t.kind == TMPL_T_NUMBER && looks_like_float(t.text);
    int64_t i = 0;
    double f;

    if (t.kind == TMPL_T_RUNE && !rune_value(a, t.text, &i))
        return "malformed character constant";
    ret->number.is_int = t.kind == TMPL_T_RUNE || tmpl_parse_int(t.text, &i);
    f = (double)i;
    if (!ret->number.is_int) {
        if (!is_float || !units_parse_float(t.text, &f))
            return is_float || t.text.n < INT_DIGITS ? "illegal number syntax" : "integer overflow";
        ret->number.is_int = f >= -0x1p63 && f < 0x1p63 && (double)(int64_t)f == f;
        i = ret->number.is_int ? (int64_t)f : 0;
    }
    ret->number.i = i;
    ret->number.f = f;
    ret->number.is_float = is_float;
    return NULL;
}
