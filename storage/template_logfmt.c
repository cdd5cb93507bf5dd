/*
 * storage/template_logfmt.c - pairs of key and value: template.h's LOGFMT.
 *
 * Pairs are what `| logfmt` reads as such, without one error in the line: a value stands up to a
 * blank and holds no `=` and no quote, or in quotes with JSON's escapes and a blank behind it. What
 * stands between pairs holds no `=` and no quote either, so for the query it is words without
 * values, and here it is text.
 */
#include "storage/template_internal.h"

#include <string.h>

enum { PAIRS_MIN = 3 };

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* Of keys: letters, digits and - . / @ _, beginning with a letter or `_`. */
static bool is_key_char(const struct template_cut *c, uint32_t i)
{
    return (c->word[i / 64] >> (i % 64) & 1) != 0 || memchr("_.-/@", c->line.p[i], 5) != NULL;
}

static bool is_key_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The value at *i, behind the `=`. */
static bool cut_value(struct template_cut *c, struct str key, uint32_t *i)
{
    uint32_t n = (uint32_t)c->line.n;
    uint32_t from = *i;

    if (from < n && c->line.p[from] == '"') {
        *i = template_string_end(c, from + 1, n);
        if (*i == 0 || (*i < n && !is_blank(c->line.p[*i])))
            return false;
        if (template_key_is_message(key))
            template_cut_message(c, from + 1, *i - 1);
        else
            template_add(c, from + 1, *i - 1);
        return true;
    }
    while (*i < n && !is_blank(c->line.p[*i])) {
        if (c->line.p[*i] == '=' || c->line.p[*i] == '"')
            return false;
        (*i)++;
    }
    if (*i > from && memchr(",;", c->line.p[*i - 1], 2) != NULL)
        return false; /* text with `a=1, b=2` in it: the comma would spoil the numbers */
    template_add(c, from, *i);
    return true;
}

/* The end of the key at `i` if a `=` stands there; 0: it is another word, which ends at *end; false
 * in *good: no line of pairs. */
static uint32_t key_end(const struct template_cut *c, uint32_t i, uint32_t *end, bool *good)
{
    uint32_t n = (uint32_t)c->line.n;
    uint32_t at = i;

    *good = true;
    while (at < n && is_key_char(c, at))
        at++;
    if (at > i && at < n && c->line.p[at] == '=' && is_key_start(c->line.p[i]))
        return at;
    for (; at < n && !is_blank(c->line.p[at]); at++) {
        if (c->line.p[at] == '=' || c->line.p[at] == '"') {
            *good = false;
            return 0;
        }
    }
    *end = at;
    return 0;
}

bool template_cut_logfmt(struct template_cut *c)
{
    uint32_t n = (uint32_t)c->line.n;
    uint32_t text = 0;   /* where the text that has not been cut begins */
    uint32_t paired = 0; /* bytes in pairs */
    unsigned pairs = 0;

    for (uint32_t i = 0; i < n;) {
        uint32_t from = i;
        uint32_t end = i;
        bool good;

        if (is_blank(c->line.p[i])) {
            i++;
            continue;
        }
        end = key_end(c, i, &end, &good);
        if (!good)
            return false;
        if (end == 0) {
            while (i < n && !is_blank(c->line.p[i]))
                i++;
            continue;
        }
        template_cut_text(c, text, from);
        i = end + 1;
        if (!cut_value(c, str_sub(c->line, from, end - from), &i))
            return false;
        text = i;
        paired += i - from + 1;
        pairs++;
    }
    template_cut_text(c, text, n);
    return pairs >= PAIRS_MIN && paired >= n / 2;
}
