/* server/retention.c - see retention.h. */
#include "server/retention.h"

#include "base/mem.h"

#include <stdlib.h>

int retention_selector(struct str text, struct query **ret, struct err *err)
{
    const struct matcher *matchers;
    size_t n;
    int r;

    *ret = NULL;
    text = str_trim(text);
    if (text.n == 0 || str_eq(text, STR("{}")))
        return 0;
    r = query_parse(text, ret, NULL, NULL, err);
    if (r == 0 && !query_selector(*ret, &matchers, &n)) {
        query_unref(ret);
        r = err_set(err, ERR_INVALID,
                    "a stream selector is needed, {name=\"value\", ...} and nothing more");
    }
    return r;
}

static int load_one(const struct server_conf_retention *from, struct store_retention_rule *rule,
                    struct query **selector, struct err *err)
{
    int r = retention_selector(from->selector, selector, err);

    if (r < 0)
        return r;
    *rule = (struct store_retention_rule){
        .tenant = from->tenant,
        .period = from->period,
        .max_bytes = (uint64_t)from->max_bytes,
    };
    if (*selector != NULL)
        (void)query_selector(*selector, &rule->matchers, &rule->n_matchers); /* it is one */
    return 0;
}

int retention_load(const struct server_conf *conf, struct retention *ret, struct err *err)
{
    size_t n = conf->storage.n_retention_rules;
    int r = 0;

    *ret = (struct retention){.rules = mem_new(n * sizeof(*ret->rules) + 1),
                              .selectors = mem_new(n * sizeof(*ret->selectors) + 1)};
    while (r == 0 && ret->n < n) {
        r = load_one(&conf->storage.retention_rules[ret->n], &ret->rules[ret->n],
                     &ret->selectors[ret->n], err);
        ret->n += r == 0;
    }
    if (r < 0)
        retention_fini(ret);
    return r < 0 ? err_wrap(err, "storage.retention_rules") : 0;
}

void retention_fini(struct retention *r)
{
    for (size_t i = 0; i < r->n; i++)
        query_unref(&r->selectors[i]);
    free(r->selectors);
    free(r->rules);
    *r = (struct retention){0};
}
