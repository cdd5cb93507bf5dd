/* tests/unit/query/test_plan_hints.c - what the scan is asked for filters that it cannot do. */
#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

/* The filters that are pushed, each as its texts with `/` between and `;` behind; `+` marks stages
 * that are left. */
static void check_hints(const char *stages, const char *want)
{
    char query[500];
    struct buf out;
    struct err err;
    struct ast a;
    const struct plan_scan *p;

    buf_init(&out, 10000);
    (void)snprintf(query, sizeof(query), "{a=\"b\"} %s", stages);
    assert_int_equal(fake_query(query, &a, &err), 0);
    p = a.root->log->plan;
    for (size_t i = 0; i < p->n_filters; i++) {
        for (size_t k = 0; k < p->filters[i].n; k++)
            buf_addf(&out, "%s%.*s", k > 0 ? "/" : "", STR_ARG(p->filters[i].text[k]));
        buf_add_z(&out, p->filters[i].op == SCAN_CONTAINS ? ";" : "?;");
    }
    if (p->stages_left)
        buf_add_char(&out, '+');
    if (!str_eq(buf_str(&out), str_of(want)))
        fail_msg("%s: %.*s", stages, STR_ARG(buf_str(&out)));
    buf_fini(&out);
    ast_fini(&a);
}

static void lines_without_the_text_need_not_be_read(void **state)
{
    (void)state;
    check_hints("|> `<_> level=error <_> x`", " level=error ;+");
    check_hints("|> `a<_>` or `bc<_>`", "a/bc;+");
    check_hints("|= ip(\"10.0.0.1\")", "10.0.0.1;+");
    check_hints("|= ip(\"10.0.0.0/8\")", "10.;+");
    check_hints("|= ip(\"192.168.0.0-192.168.0.9\")", "192.168.0.;+");
    check_hints("|= ip(\"10.0.0.0/16\") or \"foo\"", "10.0./foo;+");
    check_hints("|= \"x\" |> `<_>y`", "x;y;+");
    check_hints("| logfmt |> `y<_>`", "y;+");
}

static void where_nothing_can_be_said_nothing_is_asked(void **state)
{
    (void)state;
    check_hints("|> `<_>`", "+");
    check_hints("|> ``", "+");
    check_hints("!> `a<_>`", "+");
    check_hints("|> `a<_>` or `<_>`", "+");
    check_hints("!= ip(\"10.0.0.1\")", "+");
    check_hints("|= ip(\"::1\")", "+");
    check_hints("|= ip(\"0.0.0.0/0\")", "+");
    check_hints("|= ip(\"9.0.0.0-10.0.0.0\")", "+");
    check_hints("|= ip(\"10.0.0.1\") or \"\"", "+");
    check_hints("| decolorize |> `y<_>`", "+"); /* another line than the scan's */
    check_hints("| x=ip(\"10.0.0.1\")", "+");
}

CHECK_MAIN(cmocka_unit_test(lines_without_the_text_need_not_be_read),
           cmocka_unit_test(where_nothing_can_be_said_nothing_is_asked))
