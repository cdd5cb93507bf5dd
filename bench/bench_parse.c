/*
 * bench/bench_parse.c - what it costs to look at a query text of 64 KiB: bench_parse [SHAPE...]
 *
 * Each shape is one thing said again and again until the text is full; those that end badly are
 * refused at their very end.  Prints one JSON object a line: the least CPU microseconds of many
 * runs for query_parse, and the same for query_format.
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
};

static double cpu_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void fill(const struct shape *s, struct buf *text)
{
    size_t ends = strlen(s->head) + strlen(s->tail);
    size_t again = strlen(s->again);

    buf_add_str(text, str_of(s->head));
    for (size_t n = ends; n + again <= TEXT_BYTES; n += again)
        buf_add_str(text, str_of(s->again));
    buf_add_str(text, str_of(s->tail));
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

static double least(int (*once)(struct str text, struct err *err), struct str text, struct err *err)
{
    double best = 1e12;

    for (int i = 0; i < RUNS; i++) {
        double began = cpu_us();
        double took;
        (void)once(text, err);
        took = cpu_us() - began;
        best = took < best ? took : best;
    }
    return best;
}

static void measure(const struct shape *s)
{
    struct err err = {.code = 0};
    struct buf text;
    double parse_us;
    double format_us;

    buf_init(&text, TEXT_BYTES);
    fill(s, &text);
    parse_us = least(parse_once, buf_str(&text), &err);
    format_us = least(format_once, buf_str(&text), &err);
    (void)printf("{\"suite\":\"parse\",\"name\":\"%s\",\"bytes\":%zu,\"parse_us\":%.1f,"
                 "\"format_us\":%.1f,\"refused\":%s}\n",
                 s->name, text.n, parse_us, format_us, err.code < 0 ? "true" : "false");
    if (err.code < 0)
        (void)fprintf(stderr, "  %s: %.100s\n", s->name, err.text);
    buf_fini(&text);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        bool wanted = argc == 1;
        for (int k = 1; k < argc; k++)
            wanted |= strcmp(argv[k], shapes[i].name) == 0;
        if (wanted)
            measure(&shapes[i]);
    }
    return 0;
}
