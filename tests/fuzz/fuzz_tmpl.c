/*
 * Any bytes as a template: it is refused, or it fails with a message, or it makes a text, each in
 * bounds; and twice the same.  A NUL separates it from a line, which is also label `x`.
 */
#include "query/tmpl.h"

#include "base/time.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct label the_labels[] = {{STR_INIT("a"), STR_INIT("{\"k\":[1,\"v\"]}")},
                                    {STR_INIT("x"), {NULL, 0}}};

static struct str get(void *arg, struct str name)
{
    const struct labels l = {the_labels, 2};

    (void)arg;
    return labels_get(&l, name);
}

static int all(void *arg, struct labels *ret, struct err *err)
{
    (void)arg;
    (void)err;
    *ret = (struct labels){the_labels, 2};
    return 0;
}

static int execute(struct tmpl_run *run, const struct tmpl *t, struct str line, struct arena *a,
                   struct str *ret)
{
    const struct tmpl_labels labels = {NULL, get, all};
    const struct tmpl_input in = {.dot = {.kind = TMPL_LABELS, .labels = &labels},
                                  .line = line,
                                  .ts = INT64_C(1661518453244672570),
                                  .arena = a};
    struct err err;
    int r;

    the_labels[1].value = line;
    r = tmpl_execute(run, t, &in, ret, &err);
    if ((r < 0 && r != ERR_LIMIT) || (r >= 0 && ret->n > TMPL_OUT_MAX) ||
        (r == 1 && !str_starts(*ret, STR("template: "))))
        abort();
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tmpl_env env = {.name = "line", .funcs = tmpl_logql_funcs};
    struct str line = {(const char *)data, size};
    struct str text = str_cut(&line, '\0');
    struct arena *a = arena_new(NULL, 64 << 20);
    const struct tmpl *t = NULL;
    size_t offset = 0;
    struct err err;

    line = line.p == NULL ? STR("") : line;
    time_set(NS_PER_DAY);
    if (tmpl_compile(text, &env, a, &t, &offset, &err) == 0) {
        struct tmpl_run *run = tmpl_run_new();
        struct str first = STR("");
        struct str second = STR("");
        int r = execute(run, t, line, a, &first);
        if (execute(run, t, line, a, &second) != r && arena_used(a) < (32 << 20))
            abort();
        if (r >= 0 && second.p != NULL && first.n == second.n && !str_eq(first, second))
            abort();
        tmpl_run_free(&run);
    } else if (offset > text.n) {
        abort();
    }
    arena_free(&a);
    return 0;
}
