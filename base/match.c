/* base/match.c - see match.h. */
#include "base/match.h"

#include "base/obj.h"

int matcher_init(struct matcher *ret, enum match_op op, struct str name, struct str value,
                 struct err *err)
{
    struct regexp *re = NULL;

    if (op == MATCH_RE || op == MATCH_NRE) {
        int r = regexp_new_value(value, &re, err);
        if (r < 0)
            return r;
    }
    *ret = (struct matcher){.op = op, .name = name, .value = value, .re = re};
    return 0;
}

void matcher_fini(struct matcher *m)
{
    regexp_free(&m->re);
}

bool matcher_matches(const struct matcher *m, struct str value)
{
    switch (m->op) {
    case MATCH_EQ:
        return str_eq(m->value, value);
    case MATCH_NE:
        return !str_eq(m->value, value);
    case MATCH_RE:
        return regexp_matches(m->re, value);
    case MATCH_NRE:
        return !regexp_matches(m->re, value);
    }
    INVARIANT(!"matcher operator");
    return false;
}

bool matchers_match(const struct matcher *v, size_t n, const struct labels *l)
{
    for (size_t i = 0; i < n; i++)
        if (!matcher_matches(&v[i], labels_get(l, v[i].name)))
            return false;
    return true;
}
