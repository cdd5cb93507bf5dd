/* tests/unit/query/test_stages.c - stages that read patterns or change the line. */
#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

struct stage_case {
    const char *stages, *line;
    const char *want; /* labels as fake_log_entry writes them; NULL: dropped */
    const char *out;  /* the line that comes out; NULL: the same */
};

static void run_cases(const struct stage_case *cases, size_t n)
{
    struct query_params p = {.start = 0, .end = 10};
    struct buf out;

    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct stage_case *c = &cases[i];
        struct fake f;
        char query[500];
        char want[2000] = "";
        fake_init(&f);
        fake_add(&f, "{s=\"1\"}", NULL, 5, str_of(c->line));
        (void)snprintf(query, sizeof(query), "{s=\"1\"} %s", c->stages);
        if (c->want != NULL)
            (void)snprintf(want, sizeof(want), "%s %s\n", c->want,
                           c->out == NULL ? c->line : c->out);
        if (fake_run(&f, query, &p, &out) < 0 || !str_eq(buf_str(&out), str_of(want)))
            fail_msg("%s on %s: %.*s", query, c->line, STR_ARG(buf_str(&out)));
        fake_fini(&f);
    }
    buf_fini(&out);
}
#define RUN(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))

#define S   "{s=\"1\"}"
#define BAD "__error__=\"JSONParserErr\", __error_details__=\"the line is no complete JSON object\""

static void pattern_captures_become_labels(void **state)
{
    static const struct stage_case cases[] = {
        {"| pattern `<ip> - <_> <code>`", "1.2.3.4 - x 200", S "+{code=\"200\", ip=\"1.2.3.4\"}",
         NULL},
        {"| pattern `<a>=<b>`", "none", S "+{a=\"none\"}", NULL},
        {"| pattern `x<a>`", "none", S, NULL},
        {"| pattern `<s> <x>`", "1 2", S "+{s_extracted=\"1\", x=\"2\"}", NULL},
        {"| pattern `<a> <b>`", "\xff b", S "+{a=\" \", b=\"b\"}", NULL},
        {"| pattern `<a> <b>` | pattern `<b>x`", "1 2", S "+{a=\"1\", b=\"2\"}", NULL},
    };

    (void)state;
    RUN(cases);
}

static void arrays_become_labels_when_asked_for(void **state)
{
    static const struct stage_case cases[] = {
        {"| json", "{\"a\":[1,2],\"b\":3}", S "+{b=\"3\"}", NULL},
        {"| json --arrays", "{\"a\":[1,\"x\",null],\"b\":3}",
         S "+{a_0=\"1\", a_1=\"x\", a_len=\"3\", b=\"3\"}", NULL},
        {"| json --arrays", "{\"a\":[],\"b\":{\"c\":[{\"d\":1},[true]]}}",
         S "+{a_len=\"0\", b_c_0_d=\"1\", b_c_1_0=\"true\", b_c_1_len=\"1\", b_c_len=\"2\"}", NULL},
        {"| json --arrays | a_len > 1 | a_1=\"y\" | keep a_1", "{\"a\":[\"x\",\"y\",],}",
         "{}+{a_1=\"y\"}", NULL},
        {"| json --arrays | a_len > 1", "{\"a\":[1]}", NULL, NULL},
        {"| json --arrays", "{\"a\":[1,2", S "+{" BAD ", a_0=\"1\", a_1=\"2\"}", NULL},
        {"| json --arrays", "[1]", S "+{" BAD "}", NULL},
    };

    (void)state;
    RUN(cases);
}

static void of_a_long_array_the_first_elements_become_labels(void **state)
{
    struct query_params p = {.start = 0, .end = 10};
    struct buf line, out;
    struct fake f;

    (void)state;
    buf_init(&line, 1 << 20);
    buf_init(&out, 1 << 20);
    buf_add_z(&line, "{\"a\":[0");
    for (int i = 1; i < 1500; i++)
        buf_addf(&line, ",%d", i);
    buf_add_z(&line, "],\"b\":1}");
    fake_init(&f);
    fake_add(&f, S, NULL, 5, buf_str(&line));
    assert_int_equal(fake_run(&f,
                              "{s=\"1\"} | json --arrays | a_999=\"999\" | a_1000=\"\" | keep "
                              "a_len, b | line_format \"\"",
                              &p, &out),
                     0);
    check_str(buf_str(&out), "{}+{a_len=\"1500\", b=\"1\"} \n");
    fake_fini(&f);
    buf_fini(&line);
    buf_fini(&out);
}

static void packed_lines_are_unpacked(void **state)
{
    static const struct stage_case cases[] = {
        {"| unpack", "{\"_entry\":\"a\\nb\",\"pod\":\"p\",\"n\":1}", S "+{pod=\"p\"}", "a\nb"},
        {"| unpack", "{\"pod\":\"p\",\"_entry\":\"e\"}", S "+{pod=\"p\"}", "e"},
        {"| unpack", "{\"pod\":\"p\"}", S, NULL},
        {"| unpack", "{\"pod\":\"p\",\"_entry\":1}", S, NULL},
        {"| unpack", "{\"a.b\":\"c\",\"s\":\"x\",\"_entry\":\"e\"}",
         S "+{a_b=\"c\", s_extracted=\"x\"}", "e"},
        {"| unpack", "{\"o\":{\"x\":\"y\"},\"l\":[\"z\"],\"_entry\":\"e\"}", S, "e"},
        {"| unpack", "", S, NULL},
        {"| unpack | json", "{\"_entry\":\"{\\\"z\\\":1}\"}", S "+{z=\"1\"}", "{\"z\":1}"},
        /* filters behind it see the new line */
        {"| unpack |= \"pod\"", "{\"pod\":\"p\",\"_entry\":\"e\"}", NULL, NULL},
        /* a broken one changes nothing */
        {"| unpack", "{\"_entry\":\"e\",\"q\":\"1\"", S "+{" BAD "}", NULL},
        {"| unpack", "none", S "+{" BAD "}", NULL},
        {"| unpack", "[\"_entry\"]", S "+{" BAD "}", NULL},
    };

    (void)state;
    RUN(cases);
}

static void escape_sequences_are_taken_out(void **state)
{
    static const struct stage_case cases[] = {
        {"| decolorize", "\x1b[0;32mgreen\x1b[0m \x1b[31mred\x1b[m", S, "green red"},
        {"| decolorize", "plain", S, NULL},
        {"| decolorize", "\x1b]0;title\ax\x1b]8;;u\x1b\\y", S, "xy"},
        {"| decolorize",
         "\xc2\x9b"
         "1mx",
         S, "x"},
        {"| decolorize", "a\x1b(Bb\x1b=c", S, "abc"},
        {"| decolorize", "\x1b[?25hx\x1b[1 qy", S, "xy"},
        {"| decolorize", "cut off \x1b[0;3", S, NULL},
        {"| decolorize", "\x1b", S, NULL},
        {"| decolorize", "\x1b]0;never ends", S, NULL},
        {"| decolorize |= \"ab\"", "a\x1b[1mb", S, "ab"},
    };

    (void)state;
    RUN(cases);
}

CHECK_MAIN(cmocka_unit_test(pattern_captures_become_labels),
           cmocka_unit_test(arrays_become_labels_when_asked_for),
           cmocka_unit_test(of_a_long_array_the_first_elements_become_labels),
           cmocka_unit_test(packed_lines_are_unpacked),
           cmocka_unit_test(escape_sequences_are_taken_out))
