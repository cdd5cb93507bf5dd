/* query/ast_pretty.c: what is long is broken into its parts, and means the same. */
#include "query/ast_pretty.h"

#include "base/mem.h"
#include "query/parse.h"
#include "query/query.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20 };

/* With or without a layout. */
static struct str text_of(struct str text, bool pretty, struct buf *out)
{
    struct place at;
    struct err err;
    struct ast a;

    buf_clear(out);
    if (parse_query(text, &a, &at, &err) != 0)
        fail_msg("%.*s: %s", STR_ARG(text), err.text);
    if (pretty)
        ast_pretty(a.root, out);
    else
        ast_print(a.root, out);
    ast_fini(&a);
    return buf_str(out);
}

/* `text` is laid out as `want`, which means the same and stays as it is. */
static void check_layout(const char *text, const char *want)
{
    struct buf one, again, laid;

    buf_init(&laid, TEXT_MAX);
    buf_init(&one, TEXT_MAX);
    buf_init(&again, TEXT_MAX);
    check_str(text_of(str_of(text), true, &laid), want);
    check_str(text_of(str_of(want), true, &again), want);
    assert_true(str_eq(text_of(str_of(text), false, &one), text_of(str_of(want), false, &again)));
    buf_fini(&laid);
    buf_fini(&one);
    buf_fini(&again);
}

#define SELECTOR "{app=\"shop\", env=\"production\", region=\"eu-central-1\"}"
#define STAGES   " |= \"payment\" | json | status>=500 | line_format \"{{.method}} {{.path}}\""

static void what_fits_stands_in_one_line(void **state)
{
    (void)state;
    check_layout("{ app = \"shop\" } |= `x`|json", "{app=\"shop\"} |= \"x\" | json");
    check_layout("sum by(a, b)(rate({app=\"shop\"}|json[5m]))",
                 "sum by (a,b)(rate({app=\"shop\"} | json[5m]))");
    check_layout(SELECTOR " | label=\"123456789-123456789-123456789-123456\"",
                 SELECTOR " | label=\"123456789-123456789-123456789-123456\""); /* 100 bytes */
}

static void a_stage_has_a_line(void **state)
{
    (void)state;
    check_layout(SELECTOR STAGES " | decolorize",
                 SELECTOR "\n"
                          "  |= \"payment\"\n"
                          "  | json\n"
                          "  | status>=500\n"
                          "  | line_format \"{{.method}} {{.path}}\"\n"
                          "  | decolorize");
    check_layout(SELECTOR " | label=\"123456789-123456789-123456789-1234567\"",
                 SELECTOR "\n"
                          "  | label=\"123456789-123456789-123456789-1234567\"");
}

static void line_filters_share_a_line_as_long_as_it_holds_them(void **state)
{
    (void)state;
    check_layout(SELECTOR " |= `one` |= \"two\" or \"three\" != `four` or `five` | json | a=`b`",
                 SELECTOR "\n"
                          "  |= \"one\" |= \"two\" or \"three\" != \"four\" != \"five\"\n"
                          "  | json\n"
                          "  | a=\"b\"");
    check_layout(SELECTOR " |= \"123456789-123456789-123456789-\" != \"123456789-123456789-\" or "
                          "\"123456789-123456789-12345678\" or \"9\" |~ \"ten\"",
                 SELECTOR "\n"
                          "  |= \"123456789-123456789-123456789-\" != \"123456789-123456789-\" != "
                          "\"123456789-123456789-12345678\"\n"
                          "  != \"9\"\n"
                          "  |~ \"ten\"");
}

static void arguments_stand_below_their_function(void **state)
{
    (void)state;
    check_layout("topk by (status, path) (10, sum without (pod) (rate(" SELECTOR " | json [5m])))",
                 "topk by (status, path)(\n"
                 "  10,\n"
                 "  sum without (pod)(rate(" SELECTOR " | json[5m]))\n"
                 ")");
    check_layout("quantile_over_time(0.990, " SELECTOR STAGES
                 " | unwrap duration(took) | took>1 [8d] offset 90m) by (status, path)",
                 "quantile_over_time(\n"
                 "  0.99,\n"
                 "  " SELECTOR "\n"
                 "    |= \"payment\"\n"
                 "    | json\n"
                 "    | status>=500\n"
                 "    | line_format \"{{.method}} {{.path}}\"\n"
                 "    | unwrap duration(took)\n"
                 "    | took>1 [8d] offset 1h30m\n"
                 ") by (status, path)");
    check_layout("label_replace(sum(rate(" SELECTOR " | json [5m])), \"a\", \"$1\", \"b\", "
                 "\"(.*) and something else\")",
                 "label_replace(\n"
                 "  sum(rate(" SELECTOR " | json[5m])),\n"
                 "  \"a\",\n"
                 "  \"$1\",\n"
                 "  \"b\",\n"
                 "  \"(.*) and something else\"\n"
                 ")");
}

#define RATE(x) "sum(rate({app=\"" x "\", env=\"production\", region=\"eu-central-1\"}[5m]))"

static void operands_have_parentheses_where_they_need_them(void **state)
{
    (void)state;
    check_layout(RATE("a") "/on(x,y)group_left(z)" RATE("b"),
                 "  " RATE("a") "\n"
                                "/ on (x, y) group_left (z)\n"
                                "  " RATE("b"));
    check_layout(RATE("a") " - " RATE("b") " - " RATE("c"),
                 "    " RATE("a") "\n"
                                  "  -\n"
                                  "    " RATE("b") "\n"
                                                   "-\n"
                                                   "  " RATE("c"));
    check_layout(RATE("a") " - (" RATE("b") " - " RATE("c") ") * 2",
                 "  " RATE("a") "\n"
                                "-\n"
                                "    (\n"
                                "        " RATE("b") "\n"
                                                     "      -\n"
                                                     "        " RATE("c") "\n"
                                                                          "    )\n"
                                                                          "  *\n"
                                                                          "    2");
    check_layout("(" RATE("a") " ^ " RATE("b") ") ^ (1 + vector(2)) > bool 1",
                 "    (\n"
                 "        " RATE("a") "\n"
                                      "      ^\n"
                                      "        " RATE("b") "\n"
                                                           "    )\n"
                                                           "  ^\n"
                                                           "    (1 + vector(2.000000))\n"
                                                           "> bool\n"
                                                           "  1");
}

/* What would need too much room for its indents is in one line. */
static void the_text_stays_bounded(void **state)
{
    enum {
        DEPTH = 90,
        OUT_MAX = 4 * QUERY_TEXT_MAX,
        SHORT_STAGES = QUERY_TOKENS_MAX / 2 - 2 * DEPTH
    };
    char *text = mem_new(QUERY_TEXT_MAX + 1);
    size_t n = 0;
    struct err err;
    struct buf out;
    (void)state;

    for (int i = 0; i < DEPTH; i++, n += 4)
        memcpy(text + n, "sum(", 4);
    memcpy(text + n, "rate({a=\"b\"}", 12);
    n += 12;
    for (int i = 0; i < SHORT_STAGES; i++, n += 5)
        memcpy(text + n, "|json", 5);
    memcpy(text + n, "[5m])", 5);
    memset(text + n + 5, ')', DEPTH);
    n += 5 + DEPTH;
    buf_init(&out, OUT_MAX);
    assert_int_equal(query_format((struct str){text, n}, &out, NULL, NULL, &err), 0);
    assert_true(str_find(buf_str(&out), STR("\n")) == SIZE_MAX);
    assert_true(str_find(buf_str(&out), STR(" | json[5m])))))")) != SIZE_MAX);
    buf_fini(&out);
    free(text);
}

CHECK_MAIN(cmocka_unit_test(what_fits_stands_in_one_line), cmocka_unit_test(a_stage_has_a_line),
           cmocka_unit_test(line_filters_share_a_line_as_long_as_it_holds_them),
           cmocka_unit_test(arguments_stand_below_their_function),
           cmocka_unit_test(operands_have_parentheses_where_they_need_them),
           cmocka_unit_test(the_text_stays_bounded))
