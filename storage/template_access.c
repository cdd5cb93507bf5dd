/*
 * storage/template_access.c - common and combined access logs: template.h's ACCESS.
 *
 *     host ident user [time] "method target protocol" status size "referrer" "agent" ...
 *
 * The request is one slot when it is not three words.  What follows the size, or the agent, is cut
 * as text.
 */
#include "storage/template_internal.h"

#include <string.h>

/* The end of the word at *i, and *i behind the blank after it; 0: there is none. */
static uint32_t take_word(const struct template_cut *c, uint32_t *i)
{
    const char *p = c->line.p + *i;
    const char *blank = memchr(p, ' ', c->line.n - *i);

    if (blank == NULL || blank == p)
        return 0;
    *i = (uint32_t)(blank - c->line.p) + 1;
    return *i - 1;
}

/* Behind the closing quote of the string at `i`; servers escape in ways of their own, so that only
 * a backslash before the quote counts.  0: none. */
static uint32_t quoted_end(const struct template_cut *c, uint32_t i)
{
    uint32_t n = (uint32_t)c->line.n;

    for (; (i = template_next_one(c->quote, i, n)) < n; i += c->line.p[i] == '\\' ? 2 : 1) {
        if (c->line.p[i] == '"')
            return i + 1;
    }
    return 0;
}

/* A string in quotes at *i as one slot. */
static bool cut_quoted(struct template_cut *c, uint32_t *i)
{
    uint32_t from = *i + 1;

    if (*i >= c->line.n || c->line.p[*i] != '"')
        return false;
    *i = quoted_end(c, from);
    if (*i == 0)
        return false;
    template_add(c, from, *i - 1);
    return true;
}

static bool cut_request(struct template_cut *c, uint32_t *i)
{
    uint32_t from = *i + 1;
    struct str s;
    const char *first;
    const char *last;

    if (*i >= c->line.n || c->line.p[*i] != '"')
        return false;
    *i = quoted_end(c, from);
    if (*i == 0)
        return false;
    s = str_sub(c->line, from, *i - 1 - from);
    first = memchr(s.p, ' ', s.n);
    last = memrchr(s.p, ' ', s.n);
    if (first == NULL || first == last || s.p + s.n - last < 5 || memcmp(last, " HTTP", 5) != 0) {
        template_add(c, from, *i - 1);
        return true;
    }
    template_add(c, from, (uint32_t)(first - c->line.p));
    template_add(c, (uint32_t)(first - c->line.p) + 1, (uint32_t)(last - c->line.p));
    template_add(c, (uint32_t)(last - c->line.p) + 1, *i - 1);
    return true;
}

bool template_cut_access(struct template_cut *c)
{
    uint32_t n = (uint32_t)c->line.n;
    uint32_t i = 0;

    for (unsigned field = 0; field < 3; field++) {
        uint32_t from = i;
        uint32_t end = take_word(c, &i);
        if (end == 0)
            return false;
        if (field == 0 && (i == n || memchr("[\"{(", c->line.p[0], 4) != NULL))
            return false;
        template_add(c, from, end);
    }
    if (i == n || c->line.p[i] != '[')
        return false;
    for (unsigned part = 0; part < 2; part++) {
        uint32_t from = part == 0 ? i + 1 : i;
        uint32_t end = take_word(c, &i);
        if (end == 0 || end == from || (part == 1 && c->line.p[end - 1] != ']'))
            return false;
        template_add(c, from, end - part);
    }
    if (!cut_request(c, &i) || i == n || c->line.p[i] != ' ')
        return false;
    for (unsigned field = 0; field < 2; field++) {
        uint32_t from = ++i;
        while (i < n && ((c->line.p[i] >= '0' && c->line.p[i] <= '9') || c->line.p[i] == '-'))
            i++;
        if (i == from || (i < n && c->line.p[i] != ' ') || (field == 0 && i == n))
            return false;
        template_add(c, from, i);
    }
    while (n - i >= 3 && c->line.p[i] == ' ' && c->line.p[i + 1] == '"') {
        i++;
        if (!cut_quoted(c, &i))
            return false;
    }
    template_cut_text(c, i, n);
    return true;
}
