/* query/op_parse.c - the stage `regexp`, see op.h. */
#include "query/op.h"

int op_regexp(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct str groups[REGEXP_MAX_CAPTURES];
    size_t n = regexp_captures(s->text.re) + 1; /* check bounds it */
    int r = 0;

    entry_round(e);
    if (!regexp_capture(s->text.re, e->line, 0, groups, n))
        return 1;
    for (size_t i = 1; i < n && r == 0; i++) {
        struct str name = regexp_capture_name(s->text.re, i);
        struct str value = groups[i].p == NULL ? STR("") : entry_clean(e, groups[i]);
        if (name.p == NULL)
            continue;
        if (value.p == NULL)
            return arena_err(e->arena, err);
        r = entry_parsed(e, name, value, err);
    }
    return r < 0 ? r : 1;
}
