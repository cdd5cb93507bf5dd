/* server/rule_template.c: what it prints, compared with promtool 2.42, and what it refuses. */
#include "server/rule_template.h"

#include "tests/lib/check.h"

#include <math.h>
#include <stdlib.h>

static struct label LABELS[] = {{STR_INIT("container"), STR_INIT("web")},
                                {STR_INIT("n"), STR_INIT("12")},
                                {STR_INIT("pod"), STR_INIT("p2")}};

static void expand(const char *text, double value, struct buf *out)
{
    const struct labels labels = {LABELS, 3};
    struct arena *a = arena_new(NULL, 0);
    const struct rule_template *t = NULL;
    struct err err;
    size_t offset;

    buf_clear(out);
    if (rule_template_parse(str_of(text), a, &t, &offset, &err) < 0)
        fail_msg("'%s' at %zu: %s", text, offset, err.text);
    if (rule_template_expand(t, &labels, value, out, &err) < 0)
        buf_addf(out, "ERROR %s", err.text);
    arena_free(&a);
}

static void check_expands(const char *text, double value, const char *want)
{
    struct buf out;

    buf_init(&out, 4096);
    expand(text, value, &out);
    if (!str_eq(buf_str(&out), str_of(want)))
        fail_msg("'%s' of %g: '%.*s' is not '%s'", text, value, STR_ARG(buf_str(&out)), want);
    buf_fini(&out);
}

static void labels_and_values_stand_in_text(void **state)
{
    (void)state;
    check_expands("", 1, "");
    check_expands("plain }} text", 1, "plain }} text");
    check_expands("{{ $labels.container }}/{{$labels.pod}}: {{ $value }}!", 3, "web/p2: 3!");
    check_expands("{{ .Labels.container }} {{ .Value }}", 0.5, "web 0.5");
    check_expands("[{{ $labels.nope }}]", 1, "[]");
    check_expands("{{ $labels }}", 1, "map[container:web n:12 pod:p2]");
    check_expands("{{ \"a\\\"\\n\" }}{{ `b\\` }}", 1, "a\"\nb\\");
}

static void dashes_trim_blanks(void **state)
{
    (void)state;
    check_expands("a {{- $value }} b", 1, "a1 b");
    check_expands("a {{ $value -}} \n b", 1, "a 1b");
    check_expands("a\t{{- $value -}} {{- $value -}}  b", 1, "a11b");
}

/* Each row as `promtool test rules` printed it: value, $value, humanize, humanize1024,
 * humanizePercentage, humanizeDuration, printf "a%%b%.2fc". */
static const struct {
    double value;
    const char *plain, *si, *binary, *percent, *duration, *fixed;
} ROWS[] = {
    {1, "1", "1", "1", "100%", "1s", "a%b1.00c"},
    {1e6, "1e+06", "1M", "976.6ki", "1e+08%", "11d 13h 46m 40s", "a%b1000000.00c"},
    {90061, "90061", "90.06k", "87.95ki", "9.006e+06%", "1d 1h 1m 1s", "a%b90061.00c"},
    {59.99999, "59.99999", "60", "60", "6000%", "60s", "a%b60.00c"},
    {1e-7, "1e-07", "100n", "1e-07", "1e-05%", "100ns", "a%b0.00c"},
    {100000, "100000", "100k", "97.66ki", "1e+07%", "1d 3h 46m 40s", "a%b100000.00c"},
    {999999, "999999", "1000k", "976.6ki", "1e+08%", "11d 13h 46m 39s", "a%b999999.00c"},
    {0, "0", "0", "0", "0%", "0s", "a%b0.00c"},
    {123456789, "1.23456789e+08", "123.5M", "117.7Mi", "1.235e+10%", "1428d 21h 33m 9s",
     "a%b123456789.00c"},
    {1048576, "1.048576e+06", "1.049M", "1Mi", "1.049e+08%", "12d 3h 16m 16s", "a%b1048576.00c"},
    {1234567.891, "1.234567891e+06", "1.235M", "1.177Mi", "1.235e+08%", "14d 6h 56m 7s",
     "a%b1234567.89c"},
    {0.000012, "1.2e-05", "12u", "1.2e-05", "0.0012%", "12us", "a%b0.00c"},
    {0.1, "0.1", "100m", "0.1", "10%", "100ms", "a%b0.10c"},
    {-3725.5, "-3725.5", "-3.725k", "-3.638ki", "-3.726e+05%", "-1h 2m 5s", "a%b-3725.50c"},
    {12, "12", "12", "12", "1200%", "12s", "a%b12.00c"},
};

static void numbers_print_as_prometheus_prints_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        double v = ROWS[i].value;
        check_expands("{{ $value }}", v, ROWS[i].plain);
        check_expands("{{ $value | humanize }}", v, ROWS[i].si);
        check_expands("{{ humanize1024 $value }}", v, ROWS[i].binary);
        check_expands("{{ humanizePercentage $value }}", v, ROWS[i].percent);
        check_expands("{{ $value|humanizeDuration }}", v, ROWS[i].duration);
        check_expands("{{ printf \"a%%b%.2fc\" $value }}", v, ROWS[i].fixed);
        check_expands("{{ $value | printf `a%%b%.2fc` }}", v, ROWS[i].fixed);
    }
    check_expands("{{ $value | printf \"%f\" }}", 0.5, "0.500000");
    check_expands("{{ $value | printf \"%.0f\" }}", 1e30, "1000000000000000019884624838656");
}

static void what_is_no_number_prints_too(void **state)
{
    (void)state;
    check_expands("{{ $value }} {{ $value | humanize }}", (double)NAN, "NaN NaN");
    check_expands("{{ $value }} {{ humanize1024 $value }}", (double)INFINITY, "+Inf +Inf");
    check_expands("{{ humanizeDuration $value }} {{ printf \"%.1f\" $value }}", -(double)INFINITY,
                  "-Inf -Inf");
}

static void labels_may_be_numbers(void **state)
{
    (void)state;
    check_expands("{{ $labels.n | humanizeDuration }}", 1, "12s");
    check_expands("{{ $labels.pod | humanize }}", 1,
                  "ERROR text:1:17: executing \"text\" at <humanize>: error calling "
                  "humanize: \"p2\" is no number");
    check_expands("{{ humanize $labels.nope }}", 1,
                  "ERROR text:1:3: executing \"text\" at <humanize $labels.nope>: error "
                  "calling humanize: \"\" is no number");
    check_expands("{{ $labels | humanize }}", 1,
                  "ERROR text:1:13: executing \"text\" at <humanize>: error calling "
                  "humanize: a value of type map[string]string is no number");
}

static void the_language_is_whole(void **state)
{
    (void)state;
    check_expands("{{ if gt $value 1.0 }}high{{ else }}low{{ end }}", 2, "high");
    check_expands("{{ range $k, $v := $labels }}{{ $k }}={{ $v }} {{ end }}", 1,
                  "container=web n=12 pod=p2 ");
    check_expands("{{ with $labels.nope }}{{ . }}{{ else }}none{{ end }}", 1, "none");
    check_expands("{{ printf \"%d %.1f %s\" 3 $value $labels.pod }}", 0.25, "3 0.2 p2");
    check_expands("{{ $labels.pod | toUpper }} {{ title \"a b\" }} {{ toLower \"X\" }}", 1,
                  "P2 A B x");
    check_expands(
        "{{ reReplaceAll \"(.)2\" \"$1-\" $labels.pod }} {{ match \"^w\" $labels.container "
        "}}",
        1, "p- true");
    check_expands("{{ humanizeTimestamp $value }}", 1.5, "1970-01-01 00:00:01.5 +0000 UTC");
    check_expands("{{ (toTime $value).Year }} {{ parseDuration \"1h\" }}", 86400, "1970 3600");
    check_expands("{{ .Nope }}", 1,
                  "ERROR text:1:3: executing \"text\" at <.Nope>: can't evaluate field "
                  "Nope in type struct");
}

static void check_refused(const char *text, size_t want_offset, const char *want)
{
    struct arena *a = arena_new(NULL, 0);
    const struct rule_template *t = NULL;
    size_t offset = 0;
    struct err err = {.code = 0};

    assert_int_equal(rule_template_parse(str_of(text), a, &t, &offset, &err), ERR_INVALID);
    if (str_find(str_of(err.text), str_of(want)) == SIZE_MAX)
        fail_msg("'%s': '%s' does not say '%s'", text, err.text, want);
    if (offset != want_offset)
        fail_msg("'%s': place %zu, not %zu", text, offset, want_offset);
    arena_free(&a);
}

static void what_is_not_supported_is_refused_with_its_place(void **state)
{
    (void)state;
    check_refused("ab {{ $value", 12, "unclosed action");
    check_refused("{{ if gt $value 1.0 }}x", 23, "unexpected EOF");
    check_refused("{{ range query \"up\" }}", 9, "function \"query\" not defined");
    check_refused("{{ $value | toUper }}", 12, "did you mean \"toUpper\"?");
    check_refused("{{ $x }}", 3, "undefined variable \"$x\"");
    check_refused("{{ $valued }}", 3, "undefined variable \"$valued\"");
    check_refused("{{ $labels. }}", 10, "unexpected <.> in operand");
    check_refused("{{ }}", 3, "missing value for command");
    check_refused("{{ \"abc }}", 3, "unterminated quoted string");
    check_refused("{{ \"\\q\" }}", 3, "invalid syntax");
}

static void a_template_knows_whether_it_uses_the_value(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    const struct rule_template *t = NULL;
    struct err err;
    size_t offset;

    (void)state;
    assert_int_equal(rule_template_parse(STR("a {{ $labels.pod }}"), a, &t, &offset, &err), 0);
    assert_false(rule_template_uses_value(t));
    assert_int_equal(rule_template_parse(STR("a {{ humanize .Value }}"), a, &t, &offset, &err), 0);
    assert_true(rule_template_uses_value(t));
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(labels_and_values_stand_in_text), cmocka_unit_test(dashes_trim_blanks),
           cmocka_unit_test(numbers_print_as_prometheus_prints_them),
           cmocka_unit_test(what_is_no_number_prints_too), cmocka_unit_test(labels_may_be_numbers),
           cmocka_unit_test(what_is_not_supported_is_refused_with_its_place),
           cmocka_unit_test(a_template_knows_whether_it_uses_the_value),
           cmocka_unit_test(the_language_is_whole))
