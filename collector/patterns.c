/* collector/patterns.c - contract: patterns.h. */
#include "collector/patterns.h"

#include "base/mem.h"
#include "base/obj.h"
#include "collector/module/patterns_module.h"
#include "collector/modules.h"

#include <stdlib.h>

struct pattern {
    unsigned magic;
#define PATTERN_MAGIC 0x9a77e41du
    struct regexp *re; /* the module's */
    size_t captures;
};

static const struct patterns_module *module; /* set once, before there are threads */

int patterns_load(struct err *err)
{
    const struct patterns_module *found;
    const void *symbol;

    if (module != NULL)
        return 0;
    if (modules_load(PATTERNS_MODULE_FILE, PATTERNS_MODULE_SYMBOL, &symbol, err) < 0)
        return err_wrap(err, "patterns need a module");
    found = symbol;
    if (found->version != PATTERNS_MODULE_VERSION)
        return err_set(err, ERR_UNSUPPORTED, PATTERNS_MODULE_FILE " is of another version");
    module = found;
    return 0;
}

int patterns_new(struct str text, struct pattern **ret, struct err *err)
{
    struct pattern *p;
    struct regexp *re;
    int r = patterns_load(err);

    if (r == 0)
        r = module->compile(text, &re, err);
    if (r < 0)
        return r;
    p = mem_new(sizeof(*p));
    p->magic = PATTERN_MAGIC;
    p->re = re;
    p->captures = module->captures(re);
    *ret = p;
    return 0;
}

void patterns_free(struct pattern **pp)
{
    struct pattern *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, PATTERN_MAGIC);
    module->free(&p->re);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

bool patterns_matches(const struct pattern *p, struct str text)
{
    OBJ_CHECK(p, PATTERN_MAGIC);
    return module->matches(p->re, text);
}

bool patterns_find(const struct pattern *p, struct str text, size_t from, struct str *ret)
{
    struct str found[2] = {STR_NULL, STR_NULL};

    OBJ_CHECK(p, PATTERN_MAGIC);
    if (!module->capture(p->re, text, from, found, p->captures > 0 ? 2 : 1))
        return false;
    *ret = found[1].p != NULL ? found[1] : found[0];
    return true;
}
