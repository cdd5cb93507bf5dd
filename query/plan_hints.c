/*
 * query/plan_hints.c - see plan_hints.h.
 *
 * A line that has the form of a pattern holds its literals; one with an address of a range holds
 * the bytes in front that all addresses of the range have in common, as they are written: an IPv4
 * address is written in one way only.
 */
#include "query/plan_hints.h"

static struct str longest_literal(const struct pattern *p)
{
    struct str best = STR_NULL;

    for (size_t i = 0; i < p->n; i++)
        if (!p->v[i].is_capture && p->v[i].text.n > best.n)
            best = p->v[i].text;
    return best;
}

/* What a line that `arg` matches holds; n == 0: nothing in particular, or no memory. */
static struct str needed(struct ast *a, const struct ast_line_arg *arg)
{
    char text[IP_PREFIX_MAX];

    if (arg->ip)
        return arena_str(a->arena, ip_range_prefix(arg->ips, text));
    return arg->pattern != NULL ? longest_literal(arg->pattern) : arg->text;
}

int plan_hint(struct ast *a, const struct ast_stage *s, struct scan_filter *ret, struct err *err)
{
    struct str *text;
    size_t n = 0;

    if (s->kind != STAGE_LINE_FILTER || (s->line.op != LINE_PATTERN && s->line.op != LINE_CONTAINS))
        return 0;
    for (const struct ast_line_arg *arg = s->line.args; arg != NULL; arg = arg->next)
        n++;
    text = arena_alloc(a->arena, n * sizeof(*text));
    if (text == NULL)
        return arena_err(a->arena, err);
    n = 0;
    for (const struct ast_line_arg *arg = s->line.args; arg != NULL; arg = arg->next) {
        text[n] = needed(a, arg);
        if (text[n++].n == 0)
            return 0;
    }
    *ret = (struct scan_filter){.op = SCAN_CONTAINS, .text = text, .n = n};
    return 1;
}
