/* collector/patterns.c - contract: patterns.h. */
#include "collector/patterns.h"

#include "base/mem.h"
#include "base/obj.h"
#include "collector/module/patterns_module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

struct pattern {
    unsigned magic;
#define PATTERN_MAGIC 0x9a77e41du
    struct regexp *re; /* the module's */
    size_t captures;
};

static const struct patterns_module *module; /* set once, before there are threads */

static const struct patterns_module *load_from(const char *path, char why[], size_t n)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct patterns_module *found;

    if (lib == NULL) {
        (void)snprintf(why, n, "%s", dlerror()); /* NOLINT(concurrency-mt-unsafe) */
        return NULL;
    }
    found = dlsym(lib, PATTERNS_MODULE_SYMBOL);
    if (found == NULL || found->version != PATTERNS_MODULE_VERSION) {
        (void)snprintf(why, n, "%s is of another version", path);
        (void)dlclose(lib);
        return NULL;
    }
    return found;
}

/* Beside the program, as it was built, or where it was installed to. */
int patterns_load(struct err *err)
{
    char path[PATH_BYTES] = "", why[200] = "";
    ssize_t n;
    char *slash;

    if (module != NULL)
        return 0;
    n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(PATTERNS_MODULE_FILE) - 1);
    slash = n <= 0 ? NULL : strrchr(path, '/');
    if (slash != NULL) {
        memcpy(slash + 1, PATTERNS_MODULE_FILE, sizeof(PATTERNS_MODULE_FILE));
        if (access(path, R_OK) == 0)
            module = load_from(path, why, sizeof(why));
    }
    if (module == NULL)
        module = load_from(LOGQ_MODULE_DIR "/" PATTERNS_MODULE_FILE, why, sizeof(why));
    return module != NULL ? 0 : err_set(err, ERR_UNSUPPORTED, "patterns need a module: %s", why);
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
