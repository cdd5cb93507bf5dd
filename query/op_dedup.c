/*
 * query/op_dedup.c - the stage `dedup`, see op.h.
 *
 * An entry passes when it is the first of the run, in the order of the answer, with its values of
 * the labels named, or with its line.  A label that is absent has the empty text for its value.
 */
#include "query/op.h"

#include "query/distinct.h"

#include <string.h>

static char *put(char *to, const void *p, size_t n)
{
    if (n > 0)
        memcpy(to, p, n);
    return to + n;
}

/* The number of the stage, and each value behind its length: no two lists of values are the same
 * bytes.  p == NULL: there is no room. */
static struct str key_of(const struct ast_stage *s, struct entry *e)
{
    size_t n = sizeof(s->dedup.number);
    char *key;
    char *to;

    if (s->dedup.names == NULL)
        n += e->line.n;
    for (const struct ast_name *i = s->dedup.names; i != NULL; i = i->next)
        n += sizeof(size_t) + entry_get(e, i->name).n;
    key = arena_bytes(e->arena, n);
    if (key == NULL)
        return STR_NULL;
    to = put(key, &s->dedup.number, sizeof(s->dedup.number));
    if (s->dedup.names == NULL)
        put(to, e->line.p, e->line.n);
    for (const struct ast_name *i = s->dedup.names; i != NULL; i = i->next) {
        struct str value = entry_get(e, i->name);
        to = put(to, &value.n, sizeof(value.n));
        to = put(to, value.p, value.n);
    }
    return (struct str){key, n};
}

int op_dedup(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct str key = key_of(s, e);

    if (key.p == NULL)
        return arena_err(e->arena, err);
    if (e->dedup == NULL)
        e->dedup = distinct_new(e->budget);
    return distinct_first(e->dedup, key, err);
}
