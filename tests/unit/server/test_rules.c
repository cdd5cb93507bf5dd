/* server/rules.c and rule_place.c: rule files, good and bad, with the place of each complaint. */
#include "server/rules.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1 << 16 };

static struct rules *parse(const char *text)
{
    struct rules *rules = NULL;
    struct buf errors;
    struct buf warnings;
    struct err err;

    buf_init(&errors, TEXT_MAX);
    buf_init(&warnings, TEXT_MAX);
    if (rules_parse("f.yaml", str_of(text), &errors, &warnings, &rules, &err) < 0)
        fail_msg("%.*s", STR_ARG(buf_str(&errors)));
    buf_fini(&errors);
    buf_fini(&warnings);
    return rules;
}

static void a_file_in_full(void **state)
{
    struct rules *rules =
        parse("tenant: acme\n"
              "groups:\n"
              "  - name: web\n"
              "    interval: 30s\n"
              "    limit: 5\n"
              "    query_offset: 2s\n"
              "    labels: {team: t1, severity: low}\n"
              "    rules:\n"
              "      - alert: Errors\n"
              "        expr: sum(count_over_time({app=\"a\"} |= \"e\" [1m])) > 0\n"
              "        for: 1m30s\n"
              "        keep_firing_for: 5m\n"
              "        labels: {severity: \"high\"}\n"
              "        annotations:\n"
              "          summary: \"{{ $value }} errors\"\n"
              "      - alert: Errors\n"
              "        expr: 'count_over_time({app=\"b\"}[1m]) > 1'\n"
              "  - name: empty\n");
    const struct rule_group *g = &rules->groups[0];
    const struct rule *r = &g->rules[0];

    (void)state;
    assert_int_equal(rules->n_groups, 2);
    assert_int_equal(rules->n_rules, 2);
    check_str(g->tenant, "acme");
    check_str(g->file, "f.yaml");
    check_str(g->name, "web");
    assert_int_equal(g->interval, 30 * NS_PER_S);
    assert_int_equal(g->query_offset, 2 * NS_PER_S);
    assert_int_equal(g->n_rules, 2);
    check_str(r->alert, "Errors");
    assert_int_equal(r->hold, 90 * NS_PER_S);
    assert_int_equal(r->keep_firing, 5 * NS_PER_MIN);
    assert_int_equal(r->limit, 5);
    assert_int_equal(r->n_labels, 2);
    check_str(r->labels[0].name, "severity");
    check_str(r->labels[0].source, "high");
    check_str(r->labels[1].name, "team");
    assert_int_equal(r->n_annotations, 1);
    assert_int_equal(r->ordinal, 0);
    assert_int_equal(g->rules[1].ordinal, 1);
    assert_int_equal(g->rules[1].n_labels, 2);
    assert_int_equal(rules->groups[1].interval, NS_PER_MIN);
    rules_unref(&rules);
}

static void nothing_is_no_rules(void **state)
{
    struct rules *rules = parse("");

    (void)state;
    assert_int_equal(rules->n_rules, 0);
    rules_unref(&rules);
    rules = parse("groups:\n");
    assert_int_equal(rules->n_groups, 0);
    rules_unref(&rules);
}

/* `want`: the complaints, each beginning with its place and holding what stands behind the blank.
 */
static void check_refused(const char *text, const char *const *want)
{
    struct rules *rules = NULL;
    struct buf errors;
    struct buf warnings;
    struct err err;
    struct str rest;

    buf_init(&errors, TEXT_MAX);
    buf_init(&warnings, TEXT_MAX);
    assert_int_equal(rules_parse("f", str_of(text), &errors, &warnings, &rules, &err), ERR_INVALID);
    rest = buf_str(&errors);
    for (; *want != NULL; want++) {
        struct str line = str_cut(&rest, '\n');
        struct str say = str_of(*want);
        struct str place = str_cut(&say, ' ');
        if (!str_starts(line, place) || str_find(line, say) == SIZE_MAX)
            fail_msg("'%.*s' is not '%s'", STR_ARG(line), *want);
    }
    if (rest.n > 0)
        fail_msg("one too many: %.*s", STR_ARG(rest));
    buf_fini(&errors);
    buf_fini(&warnings);
}

#define REFUSED(text, ...) check_refused((text), (const char *const[]){__VA_ARGS__, NULL})

static void complaints_have_places(void **state)
{
    (void)state;
    REFUSED("groups: 3\n", "f:1:9: must be a list");
    REFUSED("group: []\n", "f:1:1: did you mean 'groups'?");
    REFUSED("[]\n", "f:1:1: must be a map");
    REFUSED("a: b: c\n", "f:1:5: not allowed");
    REFUSED("tenant: ../x\n", "f:1:9: no name of a tenant");
    REFUSED("groups:\n- name: a\n- name: a\n", "f:3:9: another group");
    REFUSED("groups:\n- interval: 0s\n", "f:2:13: more than 0", "f:2:3: no 'name'");
    REFUSED("groups:\n- name: a\n  limit: -1\n  interval: fast\n  query_offset: [1]\n",
            "f:3:10: a number", "f:4:13: no duration", "f:5:17: a single value");
}

static void everything_wrong_with_a_rule_is_told_at_once(void **state)
{
    (void)state;
    REFUSED("groups:\n"
            "- name: a\n"
            "  rules:\n"
            "  - record: x\n"
            "    expr: count_over_time({a=\"b\"}[1m])\n"
            "  - alert: ''\n"
            "    fro: 1m\n"
            "  - alert: B\n"
            "    expr: '{a=\"b\"}'\n"
            "    for: -1m\n"
            "    labels: {1x: a, __name__: b}\n"
            "    annotations: {summary: '{{ $value | nope }}'}\n",
            "f:4:5: not supported yet", "f:6:12: 1 to 512", "f:7:5: did you mean 'for'?",
            "f:6:5: no 'expr'", "f:9:11: metric query", "f:10:10: no duration", "f:11:14: no name",
            "f:11:21: no name", "f:12:41: template: text:1: function \"nope\" not defined");
}

/* The same fault, an aggregation nobody knows at "x", in all the ways YAML has of writing text. */
static void a_fault_in_a_query_is_shown_where_it_stands_in_the_file(void **state)
{
    (void)state;
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: vector(1) > }\n", "f:5:23: }");
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: 'vector(1) > }'\n", "f:5:24: }");
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: \"vector(1) > }\"\n",
            "f:5:24: }");
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      vector(1)\n      > }\n",
            "f:7:9: }");
    REFUSED(
        "groups:\n- name: a\n  rules:\n  - alert: A\n    expr: >-\n      vector(1)\n      > }\n",
        "f:7:9: }");
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: vector(1)\n      > }\n",
            "f:6:9: }");
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: |\n      vector(1)\n\n\n        "
            " > }\n",
            "f:9:12: }");
    /* escapes: the place of the value */
    REFUSED("groups:\n- name: a\n  rules:\n  - alert: A\n    expr: \"vector(1)\\t> }\"\n",
            "f:5:11: }");
}

static void at_most_twenty_complaints_are_shown(void **state)
{
    struct rules *rules = NULL;
    struct buf text;
    struct buf errors;
    struct buf warnings;
    struct err err;
    size_t lines = 0;

    (void)state;
    buf_init(&text, TEXT_MAX);
    buf_init(&errors, TEXT_MAX);
    buf_init(&warnings, TEXT_MAX);
    for (int i = 0; i < 100; i++)
        buf_addf(&text, "bad%d: 1\n", i);
    assert_int_equal(rules_parse("f", buf_str(&text), &errors, &warnings, &rules, &err),
                     ERR_INVALID);
    for (size_t i = 0; i < errors.n; i++)
        lines += errors.p[i] == '\n';
    assert_int_equal(lines, RULES_ERRORS_MAX + 1);
    buf_fini(&text);
    buf_fini(&errors);
    buf_fini(&warnings);
}

static void the_value_in_a_label_is_warned_of(void **state)
{
    struct rules *rules = NULL;
    struct buf errors;
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&errors, TEXT_MAX);
    buf_init(&warnings, TEXT_MAX);
    assert_int_equal(rules_parse("f",
                                 STR("groups:\n"
                                     "- name: a\n"
                                     "  rules:\n"
                                     "  - alert: A\n"
                                     "    expr: vector(1) > 0\n"
                                     "    labels: {v: '{{ $value }}'}\n"),
                                 &errors, &warnings, &rules, &err),
                     0);
    assert_true(str_starts(buf_str(&warnings), STR("f:6:17: $value in a label")));
    rules_unref(&rules);
    buf_fini(&errors);
    buf_fini(&warnings);
}

static void write_file(int dir, const char *name, const char *text)
{
    struct err err;

    assert_int_equal(file_replace(dir, name, 0600, str_of(text), &err), 0);
}

static void a_directory_is_loaded_in_order_or_not_at_all(void **state)
{
    static const char GOOD[] =
        "groups:\n- name: a\n  rules:\n  - {alert: A, expr: vector(1) > 0}\n";
    char path[TMPDIR_PATH_MAX];
    int dir = tmpdir_open(path);
    struct rules *rules = NULL;
    struct buf errors;
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&errors, TEXT_MAX);
    buf_init(&warnings, TEXT_MAX);
    write_file(dir, "b.yaml", GOOD);
    write_file(dir, "a.yml", GOOD);
    write_file(dir, ".hidden.yaml", "not: rules\n");
    write_file(dir, "notes.txt", "not: rules\n");
    assert_int_equal(rules_load(path, &errors, &warnings, &rules, &err), 0);
    assert_int_equal(rules->n_groups, 2);
    check_str(rules->groups[0].file, "a.yml");
    rules_unref(&rules);
    write_file(dir, "c.yaml", "x: 1\n");
    write_file(dir, "d.yaml", "y: 1\n");
    assert_int_equal(rules_load(path, &errors, &warnings, &rules, &err), ERR_INVALID);
    assert_null(rules);
    assert_true(str_starts(buf_str(&errors), str_of(path)));
    assert_true(str_find(buf_str(&errors), STR("/c.yaml:1:1: unknown field 'x'")) != SIZE_MAX);
    assert_true(str_find(buf_str(&errors), STR("/d.yaml:1:1: unknown field 'y'")) != SIZE_MAX);
    tmpdir_close(dir);
    buf_clear(&errors);
    assert_int_equal(rules_load(path, &errors, &warnings, &rules, &err), 0); /* it is gone */
    assert_int_equal(rules->n_rules, 0);
    rules_unref(&rules);
    buf_fini(&errors);
    buf_fini(&warnings);
}

/* What we give people to start from. */
static void the_example_loads(void **state)
{
    struct rules *rules = NULL;
    struct buf errors;
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&errors, TEXT_MAX);
    buf_init(&warnings, TEXT_MAX);
    if (rules_load("config/rules", &errors, &warnings, &rules, &err) < 0)
        fail_msg("%s %.*s", err.text, STR_ARG(buf_str(&errors)));
    assert_true(rules->n_rules > 0);
    assert_int_equal(warnings.n, 0);
    rules_unref(&rules);
    buf_fini(&errors);
    buf_fini(&warnings);
}

CHECK_MAIN(cmocka_unit_test(the_example_loads), cmocka_unit_test(a_file_in_full),
           cmocka_unit_test(nothing_is_no_rules), cmocka_unit_test(complaints_have_places),
           cmocka_unit_test(everything_wrong_with_a_rule_is_told_at_once),
           cmocka_unit_test(a_fault_in_a_query_is_shown_where_it_stands_in_the_file),
           cmocka_unit_test(at_most_twenty_complaints_are_shown),
           cmocka_unit_test(the_value_in_a_label_is_warned_of),
           cmocka_unit_test(a_directory_is_loaded_in_order_or_not_at_all))
