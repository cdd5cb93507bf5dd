/* base/conf.c, conf_print.c: what a file sets, what is said about a bad one, and printing that
 * loads. */
#include "base/conf.h"

#include "base/labels.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
    struct str path;
    int64_t max;
    struct conf_strs skip;
};

struct settings {
    struct str listen, token;
    int64_t port, size;
    dur_ns age;
    bool on;
    int mode;
    struct conf_strs files;
    struct labels labels;
    struct input *inputs;
    size_t n_inputs;
};

static const char *const MODES[] = {"fast", "small", "both", NULL};

static const struct conf_option INPUT[] = {
    {.path = "path", .type = CONF_STR, .offset = offsetof(struct input, path), .help = "a file"},
    {.path = "limit.max",
     .type = CONF_INT,
     .offset = offsetof(struct input, max),
     .fallback = "7",
     .help = "lines at once"},
    {.path = "limit.skip",
     .type = CONF_STRS,
     .offset = offsetof(struct input, skip),
     .fallback = "[]",
     .help = "not these"},
};

static const struct conf_option OPTIONS[] = {
    {.path = "http.listen",
     .type = CONF_STR,
     .offset = offsetof(struct settings, listen),
     .fallback = "127.0.0.1:3100",
     .help = "address of the API"},
    {.path = "forward.port",
     .type = CONF_INT,
     .offset = offsetof(struct settings, port),
     .fallback = "24224",
     .min = 0,
     .max = 65535,
     .help = "port"},
    {.path = "http.token",
     .type = CONF_SECRET,
     .offset = offsetof(struct settings, token),
     .fallback = "",
     .help = "secret of the API"},
    {.path = "size",
     .type = CONF_BYTES,
     .offset = offsetof(struct settings, size),
     .fallback = "64MiB",
     .min = 1024,
     .max = INT64_C(1) << 40,
     .help = "of the spool"},
    {.path = "age",
     .type = CONF_DUR,
     .offset = offsetof(struct settings, age),
     .fallback = "30d",
     .help = "of the oldest"},
    {.path = "on",
     .type = CONF_BOOL,
     .offset = offsetof(struct settings, on),
     .fallback = "true",
     .help = "or off"},
    {.path = "mode",
     .type = CONF_ENUM,
     .offset = offsetof(struct settings, mode),
     .fallback = "small",
     .choices = MODES,
     .help = "which way"},
    {.path = "files",
     .type = CONF_STRS,
     .offset = offsetof(struct settings, files),
     .fallback = "[/a, /b]",
     .help = "to read"},
    {.path = "labels",
     .type = CONF_LABELS,
     .offset = offsetof(struct settings, labels),
     .fallback = "{}",
     .help = "added"},
    {.path = "inputs",
     .type = CONF_MAPS,
     .offset = offsetof(struct settings, inputs),
     .count_offset = offsetof(struct settings, n_inputs),
     .fallback = "[]",
     .sub = INPUT,
     .n_sub = sizeof(INPUT) / sizeof(INPUT[0]),
     .sub_size = sizeof(struct input),
     .help = "what to read"},
};
enum { N_OPTIONS = sizeof(OPTIONS) / sizeof(OPTIONS[0]) };

static int load(struct str text, struct settings *ret, struct arena *a, struct conf_errors *errors)
{
    struct err err;

    memset(ret, 0, sizeof(*ret));
    return conf_load("t.yaml", text, OPTIONS, N_OPTIONS, ret, a, errors, &err);
}

static void load_good(const char *text, struct settings *ret, struct arena *a)
{
    struct conf_errors errors;

    if (load(str_of(text), ret, a, &errors) < 0)
        fail_msg("%.*s", STR_ARG(errors.v[0]));
    assert_int_equal(errors.n, 0);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    static const char *const EMPTY[] = {"", "http:\n", "http: {token: null}\non: ~\nfiles:\n"};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        struct arena *a = arena_new(NULL, 1 << 20);
        struct settings s;
        load_good(EMPTY[i], &s, a);
        check_str(s.listen, "127.0.0.1:3100");
        assert_int_equal(s.listen.p[s.listen.n], '\0');
        check_str(s.token, "");
        assert_int_equal(s.port, 24224);
        assert_int_equal(s.size, 64 << 20);
        assert_int_equal(s.age, 30 * NS_PER_DAY);
        assert_true(s.on);
        assert_int_equal(s.mode, 1);
        assert_int_equal(s.files.n, 2);
        check_str(s.files.v[1], "/b");
        assert_int_equal(s.labels.n, 0);
        assert_int_equal(s.n_inputs, 0);
        arena_free(&a);
    }
}

static void a_file_sets_every_type(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct settings s;
    (void)state;

    load_good("http: {listen: '0.0.0.0:1', token: hush}\n"
              "forward:\n"
              "  port: 0\n"
              "size: 3KB\n"
              "age: 1h30m\n"
              "on: false\n"
              "mode: both\n"
              "files: /only\n"
              "labels: {b: '2', a: x y}\n"
              "inputs:\n"
              "  - path: /p\n"
              "    limit: {max: -3, skip: [u, v]}\n"
              "  - {path: /q}\n",
              &s, a);
    check_str(s.listen, "0.0.0.0:1");
    check_str(s.token, "hush");
    assert_int_equal(s.port, 0);
    assert_int_equal(s.size, 3000);
    assert_int_equal(s.age, 90 * NS_PER_MIN);
    assert_false(s.on);
    assert_int_equal(s.mode, 2);
    assert_int_equal(s.files.n, 1);
    check_str(s.files.v[0], "/only");
    assert_int_equal(s.labels.n, 2);
    check_str(s.labels.v[0].name, "a");
    check_str(s.labels.v[0].value, "x y");
    assert_int_equal(s.n_inputs, 2);
    check_str(s.inputs[0].path, "/p");
    assert_int_equal(s.inputs[0].max, -3);
    check_str(s.inputs[0].skip.v[1], "v");
    check_str(s.inputs[1].path, "/q");
    assert_int_equal(s.inputs[1].max, 7);
    arena_free(&a);
}

static void each_error_names_its_place(void **state)
{
    static const struct {
        const char *text, *message;
    } BAD[] = {
        {"a: 1\nfowrard: 2\n", "t.yaml:2:1: unknown key 'fowrard', did you mean 'forward'?"},
        {"http:\n  lisen: x\n", "t.yaml:2:3: unknown key 'lisen', did you mean 'listen'?"},
        {"http.listen: x\n", "t.yaml:1:1: unknown key 'http.listen'"},
        {"zzz: 1\n", "t.yaml:1:1: unknown key 'zzz'"},
        {"'': 1\n", "t.yaml:1:1: unknown key ''"},
        {"http: 5\n", "t.yaml:1:7: 'http' must be a map of options"},
        {"- 1\n", "t.yaml:1:1: a map of options must stand here"},
        {"forward:\n  port:   70000\n",
         "t.yaml:2:11: 'forward.port': '70000' is not within 0..65535"},
        {"forward: {port: 8o}\n", "t.yaml:1:17: 'forward.port': '8o' is not a whole number"},
        {"forward: {port: [1]}\n",
         "t.yaml:1:17: 'forward.port' must be a single value, not a list"},
        {"size: 5XB\n", "t.yaml:1:7: 'size': '5XB' is not a size like 500, 64KB or 64MiB"},
        {"size: KB\n", "t.yaml:1:7: 'size': 'KB' is not a size like 500, 64KB or 64MiB"},
        {"size: -1\n", "t.yaml:1:7: 'size': '-1' is not a size like 500, 64KB or 64MiB"},
        {"size: 99999999999TiB\n",
         "t.yaml:1:7: 'size': '99999999999TiB' is not a size like 500, 64KB or 64MiB"},
        {"size: 1023\n", "t.yaml:1:7: 'size': '1023' is not within 1KiB..1TiB"},
        {"size: 1025GiB\n", "t.yaml:1:7: 'size': '1025GiB' is not within 1KiB..1TiB"},
        {"size: 5\n", "t.yaml:1:7: 'size': '5' is not within 1KiB..1TiB"},
        {"age: soon\n", "t.yaml:1:6: 'age': 'soon' is not a duration like 30s, 5m or 1h30m"},
        {"on: yes\n", "t.yaml:1:5: 'on': 'yes' is not true or false"},
        {"mode: slow\n", "t.yaml:1:7: 'mode': 'slow' is not one of fast, small, both"},
        {"files: {a: 1}\n", "t.yaml:1:8: 'files' must be a list of texts, not a map"},
        {"files: [a, [b]]\n", "t.yaml:1:12: 'files' must be a single value, not a list"},
        {"files: [a, ~]\n", "t.yaml:1:12: 'files' has an item without a text"},
        {"labels: [a]\n", "t.yaml:1:9: 'labels' must be a map of label names to values"},
        {"labels: {ok: 1, 9x: 2}\n", "t.yaml:1:17: '9x' is not a label name"},
        {"inputs: {path: a}\n", "t.yaml:1:9: 'inputs' must be a list of maps"},
        {"inputs: [a]\n", "t.yaml:1:10: 'inputs' must be a list of maps"},
        {"inputs:\n  - limit: {max: 1}\n", "t.yaml:2:5: option 'path' is required"},
        {"inputs:\n  - path: x\n    limit: {mex: 1}\n",
         "t.yaml:3:13: unknown key 'mex', did you mean 'max'?"},
        {"on: [\n", "t.yaml:2:1: did not find expected node content"},
        {"on: \"a\\0\"\n", "t.yaml:1:5: 'on' holds a zero byte"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct arena *a = arena_new(NULL, 1 << 20);
        struct conf_errors errors;
        struct settings s;
        bool found = false;
        if (load(str_of(BAD[i].text), &s, a, &errors) != ERR_INVALID)
            fail_msg("accepted: %s", BAD[i].text);
        for (size_t k = 0; k < errors.n; k++) {
            size_t n = strlen(BAD[i].message);
            found = found || (str_starts(errors.v[k], str_of(BAD[i].message)) &&
                              (errors.v[k].n == n || errors.v[k].p[n] == ' '));
        }
        if (!found)
            fail_msg("%s: '%.*s'", BAD[i].text, STR_ARG(errors.v[0]));
        arena_free(&a);
    }
}

static void all_errors_come_at_once_in_the_order_of_the_file(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct conf_errors errors;
    struct settings s;
    struct err err = {.text = ""};
    struct buf many;
    (void)state;

    memset(&s, 0, sizeof(s));
    assert_int_equal(conf_load("t.yaml", STR("on: 1\nsize: x\nnope: 1\nforward: {port: y}\n"),
                               OPTIONS, N_OPTIONS, &s, a, &errors, &err),
                     ERR_INVALID);
    assert_int_equal(errors.n, 4);
    for (unsigned i = 0; i < 4; i++) {
        char start[32];
        (void)snprintf(start, sizeof(start), "t.yaml:%u:", i + 1);
        assert_true(str_starts(errors.v[i], str_of(start)));
    }
    check_str(errors.v[0], err.text);
    buf_init(&many, 1 << 16);
    for (int i = 0; i < 50; i++)
        buf_addf(&many, "nokey%d: 1\n", i);
    assert_int_equal(load(buf_str(&many), &s, a, &errors), ERR_INVALID);
    assert_int_equal(errors.n, 50);
    assert_true(str_starts(errors.v[CONF_ERRORS_MAX - 1], STR("t.yaml:20:1: ")));
    buf_fini(&many);
    arena_free(&a);
}

static void the_environment_fills_in(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct settings s;
    (void)state;

    assert_int_equal(setenv("LOGQ_T_HOST", "h", 1), 0);
    assert_int_equal(setenv("LOGQ_T_PORT", "99", 1), 0);
    assert_int_equal(setenv("LOGQ_T_EMPTY", "", 1), 0);
    assert_int_equal(unsetenv("LOGQ_T_NONE"), 0);
    load_good("http:\n"
              "  listen: ${env:LOGQ_T_HOST}:${env:LOGQ_T_PORT}!\n"
              "  token: '${env:LOGQ_T_NONE:-a:-b}${env:LOGQ_T_EMPTY:-c}${env:LOGQ_T_EMPTY}'\n"
              "forward: {port: \"${env:LOGQ_T_PORT}\"}\n"
              "files: ['$${env:LOGQ_T_HOST}', '$$x $', '${env', '${env:LOGQ_T_NONE:-}']\n"
              "labels: {h: '${env:LOGQ_T_HOST}'}\n",
              &s, a);
    check_str(s.listen, "h:99!");
    check_str(s.token, "a:-bc");
    assert_int_equal(s.port, 99);
    check_str(s.files.v[0], "${env:LOGQ_T_HOST}");
    check_str(s.files.v[1], "$$x $");
    check_str(s.files.v[2], "${env");
    check_str(s.files.v[3], "");
    check_str(s.labels.v[0].value, "h");
    arena_free(&a);
}

static void the_environment_is_checked(void **state)
{
    static const struct {
        const char *text, *message;
    } BAD[] = {
        {"http:\n  listen: a${env:LOGQ_T_NONE}\n",
         "t.yaml:2:11: environment variable LOGQ_T_NONE is not set"},
        {"mode: ${env:LOGQ_T_X\n", "t.yaml:1:7: '${env:' without a '}'"},
        {"mode: '${env:}'\n", "t.yaml:1:7: '${env:}' names no environment variable"},
        {"mode: '${env:1A}'\n", "t.yaml:1:7: '${env:1A}' names no environment variable"},
        {"mode: '${env:A B:-x}'\n", "t.yaml:1:7: '${env:A B:-x}' names no environment variable"},
        {"mode: ${env:LOGQ_T_BYTES}\n", "t.yaml:1:7: 'mode' is not UTF-8"},
        {"mode: ${env:LOGQ_T_LONG}\n", "t.yaml:1:7: 'mode' is longer than 65536 bytes"},
    };
    char *text = malloc(70001);
    (void)state;

    assert_non_null(text);
    memset(text, 'x', 70000);
    text[70000] = '\0';
    assert_int_equal(unsetenv("LOGQ_T_NONE"), 0);
    assert_int_equal(setenv("LOGQ_T_BYTES", "\xff", 1), 0);
    assert_int_equal(setenv("LOGQ_T_LONG", text, 1), 0);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct arena *a = arena_new(NULL, 1 << 20);
        struct conf_errors errors;
        struct settings s;
        assert_int_equal(load(str_of(BAD[i].text), &s, a, &errors), ERR_INVALID);
        assert_int_equal(errors.n, 1);
        check_str(errors.v[0], BAD[i].message);
        arena_free(&a);
    }
    assert_int_equal(unsetenv("LOGQ_T_LONG"), 0);
    free(text);
}

static void secrets_are_neither_printed_nor_taken_from_print(void **state)
{
    static const struct conf_option NEEDED[] = {
        {.path = "token", .type = CONF_SECRET, .help = "x"}};
    struct arena *a = arena_new(NULL, 1 << 20);
    struct conf_errors errors;
    struct settings s;
    struct str token = STR_NULL;
    struct err err;
    struct buf out;
    (void)state;

    buf_init(&out, 1 << 16);
    load_good("http: {token: hush-hush}\n", &s, a);
    conf_print(&out, OPTIONS, N_OPTIONS, &s);
    assert_int_equal(str_find(buf_str(&out), STR("hush")), SIZE_MAX);
    assert_int_not_equal(str_find(buf_str(&out), STR("  token: (set)\n")), SIZE_MAX);
    assert_int_equal(load(buf_str(&out), &s, a, &errors), 0);
    check_str(s.token, "");
    assert_int_equal(errors.n_warnings, 1);
    check_str(errors.warnings[0], "t.yaml:3:10: 'http.token' says (set) and counts as absent");
    assert_int_equal(conf_load("t", STR("token: (set)\n"), NEEDED, 1, &token, a, &errors, &err),
                     ERR_INVALID);
    check_str(errors.v[0], "t:1:8: 'token' says (set), not the secret itself");
    buf_fini(&out);
    arena_free(&a);
}

static void what_is_printed_loads_again_unchanged(void **state)
{
    static const char *const FILES[] = {
        "",
        "http: {listen: \"\"}\nfiles: []\n",
        "size: 1234567\nage: 1h0m3s\non: false\nmode: fast\nforward: {port: 1}\n",
        "files: ['', ' a', '- b', 'c: d', 'null', '~', '#x', 'a #b', '\"', '''', "
        "\"\\n\\t\\x1b\\x7f\","
        " 'é€', '$${env:A}', '$$$${env:A}', '$a', '[', '{', '*a', '&a', '!a', '%a', '@a', '---',"
        " '...', 'a:', ':', '?', '-', 'true', '\\n', '\\', "
        "\"\\u0085\\u2028\\ufeff\\ufffe\\U0001d11e\\u0080\", '1.5', \"a \\u2028 b\\u2029 \"]\n",
        "labels: {null: '1', true: \"x: y\", z: '${env:HOME:-x}'}\n",
        "inputs:\n- path: a\n- path: ' b'\n  limit: {max: 9, skip: [x, '']}\n- {path: c}\n",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
        struct arena *a = arena_new(NULL, 1 << 20);
        struct settings first;
        struct settings again;
        struct conf_errors errors;
        struct buf out1;
        struct buf out2;
        buf_init(&out1, 1 << 16);
        buf_init(&out2, 1 << 16);
        load_good(FILES[i], &first, a);
        conf_print(&out1, OPTIONS, N_OPTIONS, &first);
        if (load(buf_str(&out1), &again, a, &errors) < 0)
            fail_msg("%.*s\n%.*s", STR_ARG(errors.v[0]), STR_ARG(buf_str(&out1)));
        conf_print(&out2, OPTIONS, N_OPTIONS, &again);
        assert_true(str_eq(buf_str(&out1), buf_str(&out2)));
        assert_int_equal(first.size, again.size);
        assert_int_equal(first.age, again.age);
        assert_true(str_eq(first.listen, again.listen));
        assert_int_equal(first.files.n, again.files.n);
        for (size_t k = 0; k < first.files.n; k++)
            if (!str_eq(first.files.v[k], again.files.v[k]))
                fail_msg("'%.*s' came back as '%.*s'", STR_ARG(first.files.v[k]),
                         STR_ARG(again.files.v[k]));
        assert_true(labels_equal(&first.labels, &again.labels));
        assert_int_equal(first.n_inputs, again.n_inputs);
        for (size_t k = 0; k < first.n_inputs; k++) {
            assert_true(str_eq(first.inputs[k].path, again.inputs[k].path));
            assert_int_equal(first.inputs[k].max, again.inputs[k].max);
            assert_int_equal(first.inputs[k].skip.n, again.inputs[k].skip.n);
        }
        buf_fini(&out1);
        buf_fini(&out2);
        arena_free(&a);
    }
}

static void sections_are_printed_once(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct settings s;
    struct buf out;
    (void)state;

    buf_init(&out, 1 << 16);
    load_good("inputs: [{path: /p, limit: {skip: [u]}}]\nlabels: {a: b}\n", &s, a);
    conf_print(&out, OPTIONS, N_OPTIONS, &s);
    check_str(buf_str(&out), "http:\n"
                             "  listen: 127.0.0.1:3100\n"
                             "  token: \"\"\n"
                             "forward:\n"
                             "  port: 24224\n"
                             "size: 64MiB\n"
                             "age: 30d\n"
                             "on: true\n"
                             "mode: small\n"
                             "files:\n"
                             "  - /a\n"
                             "  - /b\n"
                             "labels:\n"
                             "  a: b\n"
                             "inputs:\n"
                             "  - path: /p\n"
                             "    limit:\n"
                             "      max: 7\n"
                             "      skip:\n"
                             "        - u\n");
    buf_fini(&out);
    arena_free(&a);
}

static void the_example_loads_and_gives_the_defaults(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct settings s;
    struct settings defaults;
    struct conf_errors errors;
    struct buf example;
    struct buf out1;
    struct buf out2;
    (void)state;

    buf_init(&example, 1 << 16);
    buf_init(&out1, 1 << 16);
    buf_init(&out2, 1 << 16);
    conf_print_example(&example, OPTIONS, N_OPTIONS);
    for (size_t i = 0; i < N_OPTIONS; i++)
        assert_int_not_equal(str_find(buf_str(&example), str_of(OPTIONS[i].help)), SIZE_MAX);
    assert_int_not_equal(str_find(buf_str(&example), STR("# one of fast, small, both\n")),
                         SIZE_MAX);
    assert_int_not_equal(str_find(buf_str(&example), STR("#  - path:\n")), SIZE_MAX);
    if (load(buf_str(&example), &s, a, &errors) < 0)
        fail_msg("%.*s\n%.*s", STR_ARG(errors.v[0]), STR_ARG(buf_str(&example)));
    load_good("", &defaults, a);
    conf_print(&out1, OPTIONS, N_OPTIONS, &s);
    conf_print(&out2, OPTIONS, N_OPTIONS, &defaults);
    assert_true(str_eq(buf_str(&out1), buf_str(&out2)));
    buf_fini(&example);
    buf_fini(&out1);
    buf_fini(&out2);
    arena_free(&a);
}

static void sizes_read_back_as_they_were(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
    } SIZES[] = {
        {0, "0"},
        {1, "1"},
        {1000, "1KB"},
        {1024, "1KiB"},
        {1025, "1025"},
        {64000000, "64MB"},
        {64 << 20, "64MiB"},
        {1024000, "1000KiB"},
        {1 << 30, "1GiB"},
        {INT64_C(1) << 50, "1024TiB"},
        {INT64_MAX, "9223372036854775807"},
    };
    char text[TIME_TEXT_MAX];
    (void)state;

    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++)
        check_str(conf_format_bytes(SIZES[i].bytes, text), SIZES[i].text);
}

static void a_program_complains_at_the_place_of_the_option(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct conf_errors errors = {.n = 0};
    struct str text = STR("http:\n  listen: x\ninputs:\n  - path: a\n  - path: b\n");
    (void)state;

    conf_complain(&errors, a, "t", text, "http.listen", "no such host");
    conf_complain(&errors, a, "t", text, "inputs.1.path", "no such file");
    conf_complain(&errors, a, "t", text, "inputs.2.path", "too few");
    conf_complain(&errors, a, "t", text, "size", "too small");
    conf_complain(&errors, a, "t", STR("[\n"), "size", "broken");
    assert_int_equal(errors.n, 5);
    check_str(errors.v[0], "t:2:11: no such host");
    check_str(errors.v[1], "t:5:11: no such file");
    check_str(errors.v[2], "t:1:1: too few");
    check_str(errors.v[3], "t:1:1: too small");
    check_str(errors.v[4], "t:1:1: broken");
    errors.n = 0;
    conf_complain(&errors, a, "t", STR("files: [a, b]\n"), "files.1", "gone");
    conf_complain(&errors, a, "t", STR("files: a\n"), "files.0", "gone");
    check_str(errors.v[0], "t:1:12: gone");
    check_str(errors.v[1], "t:1:8: gone");
    errors.n = 5;
    for (int i = 0; i < CONF_ERRORS_MAX; i++)
        conf_complain(&errors, a, "t", text, "size", "again");
    assert_int_equal(errors.n, 5 + CONF_ERRORS_MAX);
    arena_free(&a);
}

/* So that a program can look at the rest, and tell all at once. */
static void what_has_no_value_is_told(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct conf_errors errors;
    struct settings s;
    struct buf many;
    (void)state;

    assert_int_equal(load(STR("forward: {port: y}\nhttp: x\nnope: 1\ninputs:\n  - path: a\n    "
                              "limit: {max: z}\n  - limit: {skip: {}}\n"),
                          &s, a, &errors),
                     ERR_INVALID);
    assert_int_equal(errors.n, 6);
    assert_true(conf_is_wrong(&errors, "forward.port"));
    assert_true(conf_is_wrong(&errors, "forward"));
    assert_true(conf_is_wrong(&errors, "http.listen")); /* the section is */
    assert_true(conf_is_wrong(&errors, "inputs"));
    assert_true(conf_is_wrong(&errors, "inputs.0"));
    assert_true(conf_is_wrong(&errors, "inputs.0.limit.max"));
    assert_true(conf_is_wrong(&errors, "inputs.1.path")); /* it is needed */
    assert_true(conf_is_wrong(&errors, "inputs.1.limit.skip"));
    assert_false(conf_is_wrong(&errors, "inputs.0.path"));
    assert_false(conf_is_wrong(&errors, "inputs.1.limit.max"));
    assert_false(conf_is_wrong(&errors, "inputs.10"));
    assert_false(conf_is_wrong(&errors, "size"));
    check_str(s.inputs[0].path, "a");
    assert_int_equal(load(STR("inputs: [{path: a, pth: b}]\n"), &s, a, &errors), ERR_INVALID);
    assert_false(conf_is_wrong(&errors, "inputs"));
    conf_complain(&errors, a, "t", STR("size: 1\n"), "size", "too small");
    assert_false(conf_is_wrong(&errors, "size")); /* it has a value */
    assert_int_equal(load(STR("inputs: [1, {path: a}]\n"), &s, a, &errors), ERR_INVALID);
    assert_true(conf_is_wrong(&errors, "inputs.0.path"));
    assert_int_equal(load(STR("[\n"), &s, a, &errors), ERR_INVALID);
    assert_true(conf_is_wrong(&errors, "size"));
    assert_int_equal(load(STR("[]\n"), &s, a, &errors), ERR_INVALID);
    assert_true(conf_is_wrong(&errors, "size"));
    buf_init(&many, 1 << 16);
    for (int i = 0; i <= CONF_ERRORS_MAX; i++)
        buf_addf(&many, "nokey%d: 1\n", i);
    assert_int_equal(load(buf_str(&many), &s, a, &errors), ERR_INVALID);
    assert_true(conf_is_wrong(&errors, "size"));
    buf_fini(&many);
    arena_free(&a);
}

static void a_full_arena_is_no_crash(void **state)
{
    unsigned loaded = 0;
    (void)state;

    for (size_t max = 64; max < 20000; max += 128) {
        struct arena *a = arena_new(NULL, max);
        struct conf_errors errors;
        struct settings s;
        int e = load(STR("inputs: [{path: a}, {path: b}]\nlabels: {x: y}\n"), &s, a, &errors);
        assert_true(e == 0 || e == ERR_LIMIT || e == ERR_NOMEM);
        loaded += e == 0;
        arena_free(&a);
    }
    assert_true(loaded > 0);
}

CHECK_MAIN(cmocka_unit_test(an_empty_file_gives_the_defaults),
           cmocka_unit_test(a_file_sets_every_type), cmocka_unit_test(each_error_names_its_place),
           cmocka_unit_test(all_errors_come_at_once_in_the_order_of_the_file),
           cmocka_unit_test(the_environment_fills_in), cmocka_unit_test(the_environment_is_checked),
           cmocka_unit_test(secrets_are_neither_printed_nor_taken_from_print),
           cmocka_unit_test(what_is_printed_loads_again_unchanged),
           cmocka_unit_test(sections_are_printed_once),
           cmocka_unit_test(the_example_loads_and_gives_the_defaults),
           cmocka_unit_test(sizes_read_back_as_they_were),
           cmocka_unit_test(a_program_complains_at_the_place_of_the_option),
           cmocka_unit_test(what_has_no_value_is_told), cmocka_unit_test(a_full_arena_is_no_crash))
