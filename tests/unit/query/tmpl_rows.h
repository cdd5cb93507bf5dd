/* tests/unit/query/tmpl_rows.h - templates and what they make of one record. */
#ifndef LOGQ_TESTS_UNIT_QUERY_TMPL_ROWS_H
#define LOGQ_TESTS_UNIT_QUERY_TMPL_ROWS_H

#include "query/tmpl.h"
#include "tests/lib/check.h"

struct tmpl_row {
    const char *text, *want;
};

/* The labels that the templates see, sorted. */
static struct label tmpl_labels[] = {
    {STR_INIT("arr"), STR_INIT("[3,1,2]")},
    {STR_INIT("e"), STR_INIT("")},
    {STR_INIT("f"), STR_INIT("3.75")},
    {STR_INIT("html"), STR_INIT("<a href='x'>\"&</a>")},
    {STR_INIT("j"),
     STR_INIT("{\"a\":{\"b\":[1,2,{\"c\":\"d\"}]},\"k\":\"v\",\"n\":null,\"t\":true}")},
    {STR_INIT("n"), STR_INIT("42")},
    {STR_INIT("s"), STR_INIT("Hello, World")},
    {STR_INIT("sp"), STR_INIT("  x y z  ")},
    {STR_INIT("uni"), STR_INIT("\xc3\x9c"
                               "FT8 \xe4\xb8\x96\xe7\x95\x8c")},
};

static struct str tmpl_get(void *arg, struct str name)
{
    const struct labels l = {tmpl_labels, sizeof(tmpl_labels) / sizeof(tmpl_labels[0])};

    (void)arg;
    return labels_get(&l, name);
}

static int tmpl_all(void *arg, struct labels *ret, struct err *err)
{
    (void)arg;
    (void)err;
    *ret = (struct labels){tmpl_labels, sizeof(tmpl_labels) / sizeof(tmpl_labels[0])};
    return 0;
}

/* What the template makes of the record, or the message why it is refused or fails; *ret: 0 text, 1
 * it failed, < 0 it is refused. */
static struct str tmpl_run_text(struct tmpl_run *run, struct str text, struct arena *a, int *ret)
{
    static const struct tmpl_env env = {.name = "line", .funcs = tmpl_logql_funcs};
    const struct tmpl_labels labels = {NULL, tmpl_get, tmpl_all};
    const struct tmpl_input in = {.dot = {.kind = TMPL_LABELS, .labels = &labels},
                                  .line = STR("the line"),
                                  .ts = INT64_C(1661518453244672570),
                                  .arena = a};
    const struct tmpl *t = NULL;
    struct str out = STR_NULL;
    struct err err;

    *ret = tmpl_compile(text, &env, a, &t, NULL, &err);
    if (*ret < 0)
        return arena_str(a, str_of(err.text));
    *ret = tmpl_execute(run, t, &in, &out, &err);
    if (*ret < 0)
        fail_msg("%.*s: %s", STR_ARG(text), err.text);
    return out;
}

/* want_ret: as tmpl_run_text has it, with ERR_INVALID for what is refused. */
static void tmpl_check_rows(const struct tmpl_row *rows, size_t n, int want_ret)
{
    struct tmpl_run *run = tmpl_run_new();
    struct arena *a = arena_new(NULL, 0);

    for (size_t i = 0; i < n; i++) {
        int r;
        struct str got = tmpl_run_text(run, str_of(rows[i].text), a, &r);
        if (r != want_ret || !str_eq(got, str_of(rows[i].want)))
            fail_msg("%s:\n  %d '%.*s' is not\n  %d '%s'", rows[i].text, r, STR_ARG(got), want_ret,
                     rows[i].want);
        arena_reset(a);
    }
    arena_free(&a);
    tmpl_run_free(&run);
}

#define TMPL_CHECK(rows, want_ret)                                                                 \
    tmpl_check_rows((rows), sizeof(rows) / sizeof((rows)[0]), (want_ret))

#endif
