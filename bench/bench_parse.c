/*
 * bench/bench_parse.c - what it costs to look at a query text of 64 KiB: bench_parse [SHAPE...]
 *
 * Each shape is one thing said again and again until the text is full, or until it is too much for
 * a limit; those that end badly are refused at their very end.  Prints one JSON object a line: the
 * least CPU microseconds of many runs for query_parse, and the same for query_format, which takes
 * some texts that are no query; and which of them refused the text.
 */
#include "base/buf.h"
#include "query/query.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 64 << 10, RUNS = 40 };

struct shape {
    const char *name, *head, *again, *tail;
};

static const struct shape shapes[] = {
    {"matchers", "{a=\"b\"", ",name=~\"some|thing\"", "}"},
    {"matchers_equal", "{a=\"b\"", ",name=\"something\"", "}"},
    {"line_filters", "{a=\"b\"}", " |= \"some text\"", ""},
    {"line_regexps", "{a=\"b\"}", " |~ \"some.*text\"", ""},
    {"line_patterns", "{a=\"b\"}", " |> \"<_>some text<_>\"", ""},
    {"alternatives", "{a=\"b\"} |= \"x\"", " or \"some text\"", ""},
    {"label_filters", "{a=\"b\"} | json", " | status >= 500", ""},
    {"filter_words", "{a=\"b\"} | json | x=\"1\"", " or y=\"2\" and z=\"3\"", ""},
    {"filter_commas", "{a=\"b\"} | json | x=\"1\"", ", y=\"2\"", ""},
    {"json_fields", "{a=\"b\"} | json a=\"b\"", ", name=\"some.field[0].path\"", ""},
    {"label_formats", "{a=\"b\"} | label_format a=b", ", name=`{{.some}}`", ""},
    {"drops", "{a=\"b\"} | drop a", ", name", ""},
    {"stages", "{a=\"b\"}", " | json | drop __error__", ""},
    {"sum", "1", " + 1", ""},
    {"binary", "rate({a=\"b\"}[1m])", " + rate({a=\"b\"}[1m])", ""},
    {"grouping", "sum by (a", ", label", ") (rate({a=\"b\"}[1m]))"},
    {"template_fields", "{a=\"b\"} | line_format `", "{{.field}} text ", "`"},
    {"template_calls", "{a=\"b\"} | line_format `", "{{ .x | upper | trunc 5 }}", "`"},
    {"template_ifs", "{a=\"b\"} | line_format `", "{{if eq .x \"y\"}}a{{else}}b{{end}}", "`"},
    {"template_text", "{a=\"b\"} | line_format `", "nothing but text ", "`"},
    {"pattern", "{a=\"b\"} | pattern `<x> ", "<_> - ", "<y>`"},
    {"regexp", "{a=\"b\"} |~ `x", "some.text|", "y`"},
    {"long_text", "{a=\"b\"} |= `", "some text ", "`"},
    {"escapes", "{a=\"b\"} |= \"", "\\n\\u00e9\\\"", "\""},
    {"comments", "{a=\"b\"}", " # why\n", ""},
    {"bad_end_filters", "{a=\"b\"}", " |= \"some text\"", " ?"},
    {"bad_end_words", "{a=\"b\"} | json | x=\"1\"", " or y=\"2\" and z=\"3\"", " or"},
    {"bad_end_binary", "rate({a=\"b\"}[1m])", " + rate({a=\"b\"}[1m])", " +"},
    {"bad_parens", "", "(", ""},
    {"bad_braces", "", "{", ""},
    {"bad_blanks", "", " ", "?"},
    {"bad_word", "", "word", ""},
    {"bad_digits", "", "1", ""},
    {"bad_string", "{a=\"", "x", ""},
    {"bad_brackets", "rate({a=\"b\"}[", "1m", ""},
    {"bad_bytes", "", "\xff\xfe", ""},
    {"bad_template", "{a=\"b\"} | line_format `", "{{", "`"},
    {"bad_template_end", "{a=\"b\"} | line_format `", "{{.field}} text ", "{{`"},
    {"bad_regexp", "{a=\"b\"} |~ `", "(", "`"},
    {"bad_end_calls", "{a=\"b\"} | line_format `", "{{ .x | upper | trunc 5 }}", "{{`"},
    {"bad_end_ifs", "{a=\"b\"} | line_format `", "{{if eq .x \"y\"}}a{{else}}b{{end}}", "{{`"},
    {"bad_end_words_of_template", "{a=\"b\"} | line_format `{{printf \"\"", " .x 1", " `"},
    {"bad_end_parens_of_template", "{a=\"b\"} | line_format `{{printf \"\"", " (len .x)", " `"},
    {"bad_end_variables", "{a=\"b\"} | line_format `", "{{$x:=1}}{{$x}}", "{{`"},
    {"bad_end_blanks_of_template", "{a=\"b\"} | line_format `", "{{- 1 -}} ", "{{`"},
    {"bad_end_comments", "{a=\"b\"}", " # why\n", "?"},
    {"bad_end_commas", "{a=\"b\"} | json | x=\"1\"", ", y=\"2\"", ", ?"},
    {"bad_end_label_filters", "{a=\"b\"} | json", " | status >= 500", " ?"},
    {"bad_end_sum", "1", " + 1", " ?"},
    {"bad_end_power", "1", "^1", " ?"},
    {"bad_end_minus", "1", "--1", " ?"},
    {"bad_end_stages", "{a=\"b\"}", "|json", " ?"},
    {"bad_end_logfmt", "{a=\"b\"}", "|logfmt", " ?"},
    {"bad_end_unpack", "{a=\"b\"}", "|unpack", " ?"},
    {"bad_end_decolorize", "{a=\"b\"}", "|decolorize", " ?"},
    {"bad_end_drops", "{a=\"b\"} | drop a", ",b", " ?"},
    {"bad_end_grouping", "sum by (a", ",b", ") ?"},
    {"bad_end_json_fields", "{a=\"b\"} | json a=\"b\"", ",c=\"d\"", " ?"},
    {"bad_end_short_filters", "{a=\"b\"}", "|=``", " ?"},
    {"bad_end_patterns", "{a=\"b\"}", "|>`<_>a`", " ?"},
    {"bad_end_alternatives", "{a=\"b\"}|=``", "or``", " ?"},
    {"bad_end_matchers", "{a=``", ",b=``", "} ?"},
    {"bad_end_numbers", "{a=\"b\"}|a>1", "|a>1", " ?"},
    {"bad_end_durations", "{a=\"b\"}|a>1s", "|a>1s", " ?"},
    {"bad_end_ors", "{a=\"b\"}|a>1", " or a>1", " ?"},
    {"bad_end_ips", "{a=\"b\"}", "|=ip(`::`)", " ?"},
    {"bad_end_pattern", "{a=\"b\"} | pattern `<x> ", "<_>-", "<x>`"},
    {"bad_end_short_pattern", "{a=\"b\"}", "|pattern`<a>`", " ?"},
    {"bad_end_label_formats", "{a=\"b\"}", "|label_format a=b", " ?"},
    {"bad_end_line_formats", "{a=\"b\"}", "|line_format``", " ?"},
    {"bad_end_json_paths", "{a=\"b\"}|json a=`a", ".a", "?`"},
    {"bad_last_template", "{a=\"b\"}", "|line_format`{{1}}`", "|line_format`{{`"},
    {"bad_last_label_format", "{a=\"b\"}|label_format a=`x`", ",a=`{{.b}}`", "|line_format`{{`"},
    {"bad_last_json_path", "{a=\"b\"}", "|json a=`b.c`", "|json a=`?`"},
    {"bad_last_pattern", "{a=\"b\"}", "|pattern`<a>`", "|pattern`<a><b>`"},
    {"bad_last_line_pattern", "{a=\"b\"}", "|>`<_>a`", "|>`<_><_>`"},
    {"bad_last_ip", "{a=\"b\"}", "|=ip(`::`)", "|=ip(`x`)"},
    {"bad_last_label_ip", "{a=\"b\"}", "|a=ip(`::`)", "|a=ip(`x`)"},
    {"bad_last_regexp", "{a=\"b\"}", "|=`a`", "|~`(`"},
    {"bad_last_logfmt", "{a=\"b\"}", "|logfmt a=`b`", "|~`(`"},
    {"bad_escape", "{a=\"b\"} |= \"", "\\n", "\\q\""},
    {"bad_quotes", "", "\"\"", ""},
    {"bad_many_groups", "{a=\"b\"} | regexp `", "(a)", "`"},
    {"bad_many_names", "{a=\"b\"} | regexp `", "(?P<a>b)", "`"},
    {"bad_many_empty_groups", "{a=\"b\"} | regexp `", "()", "`"},
    {"bad_many_replace_groups", "label_replace(rate({a=\"b\"}[1m]),\"x\",\"$1\",\"y\",\"", "()",
     "\")"},
    {"bad_replaces", "", "label_replace(", ""},
    {"bad_repeats", "{a=\"b\"} |~ `", "x{1000}", "`"},
    {"bad_nested_repeats", "{a=\"b\"} |~ `", "(x{30}){30}", "`"},
    {"bad_stars", "{a=\"b\"} |~ `x", "*", "`"},
    {"bad_captures", "{a=\"b\"} | pattern `", "<a> ", "`"},
    {"bad_line_captures", "{a=\"b\"} |> `", "<_> ", "<a>`"},
    {"bad_duration", "rate({a=\"b\"}[", "1s", "x])"},
    {"bad_filter_duration", "{a=\"b\"} | x > ", "1h1m", " ?"},
    {"bad_end_offset", "rate({a=\"b\"}[1m])", " + rate({a=\"b\"}[1m] offset 1m)", " ?"},
    {"bad_sums", "", "sum(", ""},
    {"bad_parens_of_sum", "rate({a=\"b\"}[1m])", "+(1)", " ?"},
    {"bad_label_parens", "{a=\"b\"} | ", "(", ""},
    {"bad_ip", "{a=\"b\"} |= ip(`", "1.", "`)"},
    {"bad_last_name", "{a=\"b\"}|label_format a=b", ",a=b", ""},
    {"bad_names", "{", "\xc3\xa9", "=\"x\"}"},
    {"bad_template_parens", "{a=\"b\"} | line_format `{{", "(", "`"},
    {"bad_template_pipes", "{a=\"b\"} | line_format `{{.x", "|upper", "|upperr}}`"},
    {"bad_template_defines", "{a=\"b\"} | line_format `", "{{define \"a\"}}{{end}}", "{{`"},
    {"bad_template_numbers", "{a=\"b\"} | line_format `{{", "1", "x}}`"},
    {"bad_template_string", "{a=\"b\"} | line_format `{{\"", "\\n", "`"},
    {"bad_json_brackets", "{a=\"b\"} | json x=`a", "[1]", "?`"},
    {"bad_ticks", "{a=``} ", "``", ""},
};

/* What is said again is part of a regular expression, or is one: so often as is not too much. */
static const struct shape costly[] = {
    {"regexp_words", "{a=\"b\"} |~ `", "text|", "x`"},
    {"regexp_unicode", "{a=\"b\"} |~ `", "\\pL", "`"},
    {"regexp_folded", "{a=\"b\"} |~ `(?i)", "k", "`"},
    {"regexp_any", "{a=\"b\"} |~ `", ".*", "`"},
    {"regexp_not", "{a=\"b\"} |~ `", "[^x]", "`"},
    {"regexp_repeats", "{a=\"b\"} |~ `", "x{1000}", "`"},
    {"regexp_groups", "{a=\"b\"} |~ `", "(a)", "`"},
    {"regexp_stars", "{a=\"b\"} |~ `", "(a|b)*", "`"},
    {"regexp_class", "{a=\"b\"} |~ `[x", "\xc3\xa9g", "]`"},
    {"regexp_ranges", "{a=\"b\"} |~ `[", "+-[:", "x]`"},
    {"regexp_ranges_named", "{a=\"b\"} |~ `(?<n>x)[", "+-[:", "x]`"},
    {"many_regexps", "{a=\"b\"}", "|~`a.b`", ""},
    {"many_values", "{a=\"b\"}", "|a=~`a.b`", ""},
    {"many_matchers", "{a=\"b\"", ",a=~`a.b`", "}"},
    {"many_classes", "{a=\"b\"}", "|~`[a-c]+x\\d`", ""},
    {"bad_behind_words", "{a=\"b\"} |~ `", "text|", "x` | line_format `{{`"},
    {"bad_behind_groups", "{a=\"b\"} |~ `", "(a)", "` | line_format `{{`"},
    {"bad_behind_matchers", "{a=\"b\"", ",a=~`a.b`", "} | line_format `{{`"},
    {"bad_behind_filters", "{a=\"b\"}", "|a=~`a.b`", "|line_format`{{`"},
    {"bad_behind_regexps", "{a=\"b\"}", "|~`a.b`", "|line_format`{{`"},
    {"bad_behind_selector", "rate({a=\"b\"}", "|~`a.b`", "[1m]) + rate({a=\"\"}[1m])"},
    {"bad_last_of_regexps", "{a=\"b\"}", "|~`a.b`", "|~`(`"},
    {"bad_after_regexp", "{a=\"b\"} |~ `", "text|", "x` |~ `(`"},
    {"bad_regexp_words", "{a=\"b\"} |~ `", "text|", "(`"},
    {"bad_regexp_groups", "{a=\"b\"} |~ `", "(a)", "(`"},
    {"bad_regexp_folded", "{a=\"b\"} |~ `(?i)", "k", "(`"},
    {"bad_regexp_any", "{a=\"b\"} |~ `", ".*", "(`"},
    {"bad_regexp_class", "{a=\"b\"} |~ `[", "a\xc3\xa9", "`"},
    {"bad_regexp_posix", "{a=\"b\"} |~ `[", "[:", "`"},
    {"bad_regexp_posix_named", "{a=\"b\"} |~ `(?<n>x)[", "[:", "`"},
    {"bad_regexp_unicode", "{a=\"b\"} |~ `", "\\pL", "(`"},
    {"bad_regexp_escape", "{a=\"b\"} |~ `", "text|", "\\8`"},
    {"bad_regexp_range", "{a=\"b\"} |~ `", "text|", "[z-a]`"},
    {"bad_regexp_repeat", "{a=\"b\"} |~ `", "text|", "**`"},
    {"bad_regexp_flag", "{a=\"b\"} |~ `", "text|", "(?k)`"},
    {"bad_regexp_bytes", "{a=\"b\"} |~ `", "text|", "\xff`"},
    {"bad_no_name", "{a=\"b\"} | regexp `", "text|", "x`"},
    {"bad_name", "{a=\"b\"} | regexp `", "text|", "(?P<1>x)`"},
    {"bad_same_names", "{a=\"b\"} | regexp `", "text|", "(?P<x>a)(?P<x>b)`"},
    {"bad_selector", "{a=~`", "text|", "`}"},
};

static double cpu_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void fill(const struct shape *s, size_t times, struct buf *text)
{
    buf_clear(text);
    buf_add_z(text, s->head);
    while (times-- > 0)
        buf_add_z(text, s->again);
    buf_add_z(text, s->tail);
}

static size_t times_at_most(const struct shape *s)
{
    return (TEXT_BYTES - strlen(s->head) - strlen(s->tail)) / strlen(s->again);
}

static int parse_once(struct str text, struct err *err)
{
    struct query *q = NULL;
    int r = query_parse(text, &q, NULL, NULL, err);

    query_unref(&q);
    return r;
}

static int format_once(struct str text, struct err *err)
{
    struct buf out;
    int r;

    buf_init(&out, 1 << 20);
    r = query_format(text, &out, NULL, NULL, err);
    buf_fini(&out);
    return r;
}

/* err->code is 0 behind it if the text is right. */
static double least(int (*once)(struct str text, struct err *err), struct str text, struct err *err)
{
    double best = 1e12;

    for (int i = 0; i < RUNS; i++) {
        double began = cpu_us();
        double took;
        if (once(text, err) == 0)
            err->code = 0;
        took = cpu_us() - began;
        best = took < best ? took : best;
    }
    return best;
}

/* How often the shape can be said before it is too much for the limits. */
static size_t times_allowed(const struct shape *s, struct buf *text)
{
    size_t least = 0;
    size_t most = times_at_most(s);

    while (least < most) {
        size_t n = (least + most + 1) / 2;
        struct err err = {.code = 0};
        fill(s, n, text);
        (void)parse_once(buf_str(text), &err);
        if (strstr(err.text, "too large") != NULL)
            most = n - 1;
        else
            least = n;
    }
    return least;
}

static void measure(const struct shape *s, bool is_costly)
{
    struct err err = {.code = 0};
    struct err format_err = {.code = 0};
    struct buf text;
    double parse_us;
    double format_us;

    buf_init(&text, TEXT_BYTES);
    fill(s, is_costly ? times_allowed(s, &text) : times_at_most(s), &text);
    parse_us = least(parse_once, buf_str(&text), &err);
    format_us = least(format_once, buf_str(&text), &format_err);
    (void)printf("{\"suite\":\"parse\",\"name\":\"%s\",\"bytes\":%zu,\"parse_us\":%.1f,"
                 "\"format_us\":%.1f,\"refused\":%s,\"format_refused\":%s}\n",
                 s->name, text.n, parse_us, format_us, err.code < 0 ? "true" : "false",
                 format_err.code < 0 ? "true" : "false");
    if (err.code < 0)
        (void)fprintf(stderr, "  %s: %.100s\n", s->name, err.text);
    buf_fini(&text);
}

static void measure_wanted(const struct shape *v, size_t n, bool are_costly, int argc, char **argv)
{
    for (size_t i = 0; i < n; i++) {
        bool wanted = argc == 1;
        for (int k = 1; k < argc; k++)
            wanted |= strcmp(argv[k], v[i].name) == 0;
        if (wanted)
            measure(&v[i], are_costly);
    }
}

int main(int argc, char **argv)
{
    measure_wanted(shapes, sizeof(shapes) / sizeof(shapes[0]), false, argc, argv);
    measure_wanted(costly, sizeof(costly) / sizeof(costly[0]), true, argc, argv);
    return 0;
}
