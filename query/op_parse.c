/* query/op_parse.c - the stages `regexp` and `pattern`, see op.h. */
#include "query/op.h"

static int add(struct entry *e, struct str name, struct str value, struct err *err)
{
    value = value.p == NULL ? STR("") : entry_clean(e, value);
    return value.p == NULL ? arena_err(e->arena, err) : entry_parsed(e, name, value, err);
}

int op_regexp(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct str groups[REGEXP_MAX_CAPTURES];
    size_t n = regexp_captures(s->text.re) + 1; /* check bounds it */
    int r = 0;

    if (entry_is_done(e) || !regexp_capture(s->text.re, e->line, 0, groups, n))
        return 1;
    for (size_t i = 1; i < n && r == 0; i++) {
        struct str name = regexp_capture_name(s->text.re, i);
        if (name.p != NULL)
            r = add(e, name, groups[i], err);
    }
    return r < 0 ? r : 1;
}

int op_pattern(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct pattern_walk w;
    struct str name;
    struct str value;
    int r = 0;

    if (entry_is_done(e))
        return 1;
    pattern_walk_init(&w, s->text.pattern, e->line);
    while (r == 0 && pattern_next(&w, &name, &value))
        r = add(e, name, value, err);
    return r < 0 ? r : 1;
}
