/* Unit tests of collector/redact: secrets between escapes, and JSON that stays JSON without them.
 */
#include "base/json.h"
#include "tests/unit/collector/redact_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn"

static const struct secret {
    const char *type, *text;
} SECRETS[] = {
    {"jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"},
    {"cloud_key", "AKIAIOSFODNN7EXAMPLE"},
    {"cloud_key", "ghp_0123456789abcdefghijABCDEFGHIJ012345"},
    {"cloud_key", "xoxb-123456789012-abcdefABCDEF"},
    {"cloud_key", "rk_live_0123456789abcdefABCDEFgh"},
    {"cloud_key", "dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
    {"cloud_key", "ya29.c.b0AXv0zTPx-1234567890.abc_d"},
    {"card", "4111111111111111"},
    {"card", "3782 822463 10005"},
    {"card", "5555-5555-5555-4444"},
    {"email", "alice@example.com"},
    {"email", "bob.b+tag@mail.example.org"},
    {"ip", "10.0.0.1"},
    {"ip", "192.168.17.255"},
    {"ip", "2001:db8::ff00:42:8329"},
    {"ip", "fe80::1"},
    {"ip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"},
};
enum { N_SECRETS = sizeof(SECRETS) / sizeof(SECRETS[0]) };

/* ---- what stands in front of a secret ---- */

static void check_behind(const char *escape, const struct secret *s)
{
    char text[512], want[512];
    unsigned type = redact_by_name(str_of(s->type));

    (void)snprintf(text, sizeof(text), "{\"m\":\"a%s%s%s\"}", escape, s->text, escape);
    (void)snprintf(want, sizeof(want), "{\"m\":\"a%s[redacted:%s]%s\"}", escape, s->type, escape);
    check_str(clean_bytes(type, str_of(text)), want);
    check_str(clean_bytes(REDACT_ALL, str_of(text)), want);
}

static void a_secret_behind_an_escape_is_one(void **state)
{
    static const char *const ESCAPES[] = {
        "\\n",         "\\t",        "\\r",     "\\b",     "\\f",     "\\u003d",
        "\\u003E",     "\\u0022",    "\\u0020", "\\u000a", "\\u00e9", "\\r\\n",
        "\\\\n",       "\\\\\\\"",   "\\\"",    "\\/",     "\\x22",   "\\x3D",
        "\\u001b[32m", "\x1b[1;31m", "\x1b[0m", "\\\\r\\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(ESCAPES) / sizeof(ESCAPES[0]); i++)
        for (size_t k = 0; k < N_SECRETS; k++)
            if (strchr(ESCAPES[i], '[') == NULL || strcmp(SECRETS[k].type, "email") != 0)
                check_behind(ESCAPES[i], &SECRETS[k]);
}

/* %20 may be the end of %20, or of 20.1.2.3: what is in doubt goes too. */
static void a_secret_in_an_address_is_one(void **state)
{
    static const char *const ESCAPES[] = {"%20", "%3D", "%0A", "%22"};

    (void)state;
    for (size_t i = 0; i < sizeof(ESCAPES) / sizeof(ESCAPES[0]); i++)
        for (size_t k = 0; k < N_SECRETS; k++) {
            char text[512];
            struct str s;
            (void)snprintf(text, sizeof(text), "/q?a%s%s%s", ESCAPES[i], SECRETS[k].text,
                           ESCAPES[i]);
            s = clean_bytes(redact_by_name(str_of(SECRETS[k].type)), str_of(text));
            if (str_find(s, str_of(SECRETS[k].text)) != SIZE_MAX ||
                str_find(s, STR("[redacted:")) == SIZE_MAX)
                fail_msg("'%s' -> '%.*s'", text, STR_ARG(s));
        }
}

static void what_is_glued_to_a_word_is_none(void **state)
{
    static const char *const WORDS[] = {"n", "x", "003d", "u003d", "\\q0"};

    (void)state;
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        char text[256];
        (void)snprintf(text, sizeof(text), "%sAKIAIOSFODNN7EXAMPLE %s4111111111111111", WORDS[i],
                       WORDS[i]);
        check_str(clean_bytes(REDACT_ALL, str_of(text)), text);
    }
}

/* ---- private keys ---- */

static void check_key(const char *line_end, const char *plus, const char *slash, const char *equal)
{
    char text[1024], want[128];

    (void)snprintf(text, sizeof(text),
                   "{\"k\":\"-----BEGIN PRIVATE KEY-----%s" BODY "%s%s" BODY "%s" BODY
                   "%s%s%s-----END PRIVATE KEY-----%s\",\"n\":1}",
                   line_end, slash, plus, line_end, equal, equal, line_end, line_end);
    (void)snprintf(want, sizeof(want), "{\"k\":\"[redacted:private_key]%s\",\"n\":1}", line_end);
    check_str(clean_bytes(redact_by_name(STR("private_key")), str_of(text)), want);
}

static void a_key_goes_on_behind_the_escapes_of_json(void **state)
{
    static const char *const ENDS[] = {"\\n",      "\\r\\n",     "\\u000A",   "\\u000d\\u000a",
                                       "\\\\n",    "\\\\r\\\\n", "\\\\u000A", "%0A",
                                       "\\\\\\\\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++) {
        check_key(ENDS[i], "+", "/", "=");
        check_key(ENDS[i], "+", "\\/", "=");
        check_key(ENDS[i], "\\u002B", "\\u002F", "\\u003D");
        check_key(ENDS[i], "\\\\u002b", "\\\\\\/", "\\\\u003d");
    }
}

/* Wherever a key's record is cut, nothing of the key is in either half. */
static void a_key_cut_in_an_escape_shows_nothing(void **state)
{
    struct str text = STR("{\"k\":\"-----BEGIN PRIVATE KEY-----\\u000A" BODY "\\/" BODY
                          "\\u002B" BODY "\\n-----END PRIVATE KEY-----\\n\"}");

    (void)state;
    redact = redact_new(REDACT_ALL, NULL);
    for (size_t at = 40; at < text.n; at++) {
        struct str halves[2] = {str_sub(text, 0, at), str_from(text, at)};
        struct redact_flow flow = {.ends_cut = true};
        for (size_t h = 0; h < 2; h++) {
            redact_text(redact, &halves[h], &flow, &scratch);
            for (size_t i = 0; i + 4 < sizeof(BODY); i++)
                if (str_find(halves[h], str_sub(STR(BODY), i, 4)) != SIZE_MAX)
                    fail_msg("cut at %zu: '%.*s'", at, STR_ARG(halves[h]));
            flow = (struct redact_flow){.in_key = flow.in_key, .begins_cut = true};
        }
    }
}

/* ---- JSON stays JSON ---- */

static bool is_json(struct str text)
{
    struct json_reader r;
    struct err err;

    json_reader_init(&r, text);
    return json_skip(&r, NULL, &err) == 0 && json_rest(&r).n == 0;
}

/* A piece of a string: an escape, or something that may look like the end or the beginning of one,
 * or that the detectors ask about. */
static const char *const PIECES[] = {
    "\\n",
    "\\t",
    "\\r",
    "\\b",
    "\\f",
    "\\u003c",
    "\\u003e",
    "\\u003d",
    "\\u0022",
    "\\\"",
    "\\\\",
    "\\/",
    "\\u00e9",
    "\\u002B",
    "%20",
    "%3D",
    "%",
    " ",
    ":",
    "=",
    "<",
    ".",
    ",",
    "-----",
    "-",
    "=\\\\u003c",
    "\\u000A",
    "u",
    "\\\\n",
    "\\\\\\\"",
    "Bearer ",
    "Bearer\\u0020",
    "SecretAccessKey\\\":\\\"",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "\\u002F",
    "AccountKey\\u003d",
    "@",
    "%40",
    "::",
    "a.b",
    "{",
    "[",
    "]",
    "}",
    "4111",
};
enum { N_PIECES = sizeof(PIECES) / sizeof(PIECES[0]) };

static const char *const NUMBERS[] = {
    "4111111111111111",
    "-4111111111111111",
    "1e+4111111111111111",
    "0",
    "4111111111111111.5e-3",
    "12",
    "true",
    "false",
    "null",
    "-52.5200E+17",
    "[52.52,13.40]",
    "[]",
};

/* One of 0..n-1. */
static size_t any(uint64_t *rnd, size_t n)
{
    *rnd = *rnd * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(*rnd >> 33) % n;
}

static void add_string(struct buf *out, uint64_t *rnd)
{
    buf_add_char(out, '"');
    for (size_t n = any(rnd, 8); n > 0; n--) {
        buf_add_z(out, PIECES[any(rnd, N_PIECES)]);
        if (any(rnd, 2) == 0)
            buf_add_z(out, SECRETS[any(rnd, N_SECRETS)].text);
    }
    buf_add_char(out, '"');
}

static void add_document(struct buf *out, uint64_t *rnd)
{
    bool is_array = any(rnd, 4) == 0;

    buf_add_char(out, is_array ? '[' : '{');
    for (size_t n = 1 + any(rnd, 4); n > 0; n--) {
        if (!is_array) {
            add_string(out, rnd);
            buf_add_char(out, ':');
        }
        if (any(rnd, 4) == 0)
            buf_add_z(out, NUMBERS[any(rnd, sizeof(NUMBERS) / sizeof(NUMBERS[0]))]);
        else
            add_string(out, rnd);
        if (n > 1)
            buf_add_char(out, ',');
    }
    buf_add_char(out, is_array ? ']' : '}');
}

/* The pattern finds pieces of numbers, of literals and of escapes. */
static void json_stays_json(void **state)
{
    struct redact_pattern v[1] = {{STR("x"), NULL}};
    struct redact_patterns patterns = {v, 1};
    uint64_t rnd = 20261123;
    struct buf text;
    struct err err;

    (void)state;
    buf_init(&text, 1 << 16);
    assert_int_equal(patterns_new(STR("2\\.?5|,1|-|ru|ul+|u00|\\\\"), &v[0].pattern, &err), 0);
    redact = redact_new(REDACT_ALL, &patterns);
    for (size_t i = 0; i < 100000; i++) {
        struct str s;
        buf_clear(&text);
        add_document(&text, &rnd);
        s = buf_str(&text);
        assert_true(is_json(s));
        redact_text(redact, &s, NULL, &scratch);
        if (!is_json(s))
            fail_msg("'%.*s' -> '%.*s'", STR_ARG(buf_str(&text)), STR_ARG(s));
    }
    redact_free(&redact);
    patterns_free(&v[0].pattern);
    buf_fini(&text);
}

/* Nothing but escapes between them: none is part of a word. */
static const char *const ESCAPES[] = {"\\n",     "\\t",  "\\r",     "\\b",     "\\f",   "\\u003c",
                                      "\\u003e", "\\\"", "\\u0022", "\\\\",    "\\/",   "\\u00e9",
                                      "\\u003d", "%20",  "%3D",     "\\u000A", "\\\\n", "\\u2028"};
enum { N_ESCAPES = sizeof(ESCAPES) / sizeof(ESCAPES[0]) };

static void add_escapes(struct buf *out, uint64_t *rnd)
{
    for (size_t n = 1 + any(rnd, 3); n > 0; n--)
        buf_add_z(out, ESCAPES[any(rnd, N_ESCAPES)]);
}

/* But for a first letter that may be one of an escape in front of it. */
static void no_secret_between_escapes_is_left(void **state)
{
    uint64_t rnd = 42;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 16);
    redact = redact_new(REDACT_ALL, NULL);
    for (size_t i = 0; i < 50000; i++) {
        const char *in[4];
        size_t n = 1 + any(&rnd, 4);
        struct str s;
        buf_clear(&text);
        buf_add_z(&text, "{\"m\":\"");
        for (size_t k = 0; k < n; k++) {
            add_escapes(&text, &rnd);
            in[k] = SECRETS[any(&rnd, N_SECRETS)].text;
            buf_add_z(&text, in[k]);
        }
        add_escapes(&text, &rnd);
        buf_add_z(&text, "\"}");
        s = buf_str(&text);
        assert_true(is_json(s));
        redact_text(redact, &s, NULL, &scratch);
        for (size_t k = 0; k < n; k++)
            if (!is_json(s) || str_find(s, str_of(in[k] + 1)) != SIZE_MAX)
                fail_msg("'%.*s' -> '%.*s'", STR_ARG(buf_str(&text)), STR_ARG(s));
    }
    buf_fini(&text);
}

static void check_number(const char *text, const char *want)
{
    check_str(clean_bytes(REDACT_ALL, str_of(text)), want);
    assert_true(is_json(str_of(want)));
}

static void a_number_becomes_a_string_as_a_whole(void **state)
{
    (void)state;
    check_number("{\"n\":-4111111111111111,\"m\":1}", "{\"n\":\"[redacted:card]\",\"m\":1}");
    check_number("{\"n\":[1e+4111111111111111]}", "{\"n\":[\"[redacted:card]\"]}");
    check_number("[4111111111111111,2]", "[\"[redacted:card]\",2]");
    check_str(clean_bytes(REDACT_ALL, STR("[info] 4111111111111111")), "[info] [redacted:card]");
}

/* A pattern may match anything: what it begins or ends in the middle of goes too. */
static void patterns_take_whole_escapes_of_json(void **state)
{
    static const char *const V[][2] = {
        {"{\"m\":\"\\u003cab@corp\\u003e\"}", "{\"m\":\"[redacted:x]\\u003e\"}"},
        {"{\"m\":\"\\\\nab@corp\"}", "{\"m\":\"\\\\[redacted:x]\"}"},
        {"{\"m\":\"\\\\\\nab@corp\"}", "{\"m\":\"\\\\[redacted:x]\"}"},
        {"{\"m\":\"a #12\\u003d\"}", "{\"m\":\"a [redacted:x]\"}"},
        {"{\"m\":\"a #12\\\"\"}", "{\"m\":\"a [redacted:x]\"}"},
        {"{\"m\":777,\"n\":-17770}", "{\"m\":\"[redacted:x]\",\"n\":\"[redacted:x]\"}"},
        {"C:\\new@corp", "C:\\[redacted:x]"},
    };
    struct redact_pattern v[1] = {{STR("x"), NULL}};
    struct redact_patterns patterns = {v, 1};
    struct err err;

    (void)state;
    assert_int_equal(patterns_new(STR("\\w+@corp|#12\\\\u?|777"), &v[0].pattern, &err), 0);
    redact = redact_new(0, &patterns);
    for (size_t i = 0; i < sizeof(V) / sizeof(V[0]); i++) {
        struct str s = str_of(V[i][0]);
        redact_text(redact, &s, NULL, &scratch);
        check_str(s, V[i][1]);
        assert_true(V[i][0][0] != '{' || is_json(s));
    }
    redact_free(&redact);
    patterns_free(&v[0].pattern);
}

/* `text` without what `pattern` finds. */
static void check_pattern(const char *pattern, const char *text, const char *want)
{
    struct redact_pattern v[1] = {{STR("x"), NULL}};
    struct redact_patterns patterns = {v, 1};
    struct str s = str_of(text);
    struct err err;

    assert_int_equal(patterns_new(str_of(pattern), &v[0].pattern, &err), 0);
    redact = redact_new(0, &patterns);
    redact_text(redact, &s, NULL, &scratch);
    check_str(s, want);
    assert_true(!is_json(str_of(text)) || is_json(s));
    redact_free(&redact);
    patterns_free(&v[0].pattern);
}

#define X "[redacted:x]"

/* Of a number or a literal nothing is left, and what stands for it is a string. */
static void patterns_take_whole_scalars_of_json(void **state)
{
    static const char *const V[][3] = {
        {"\\d+\\.\\d{4}", "{\"lat\":52.5200}", "{\"lat\":\"" X "\"}"},
        {"\\d+\\.\\d{4}", "{\"lat\":-52.5200e-1,\"n\":1}", "{\"lat\":\"" X "\",\"n\":1}"},
        {"-?\\d+", "{\"n\":-17}", "{\"n\":\"" X "\"}"},
        {"-?\\d+", "[-17,{\"n\":[2]}]", "[\"" X "\",{\"n\":[\"" X "\"]}]"},
        {"[eE+]", "{\"n\":1.5e+20,\"m\":1E2}", "{\"n\":\"" X "\",\"m\":\"" X "\"}"},
        {"-|\\.", "{\"n\":-1.5}", "{\"n\":\"" X "\"}"},
        {"true|als|nul", "{\"a\":true,\"b\":false,\"c\":[null]}",
         "{\"a\":\"" X "\",\"b\":\"" X "\",\"c\":[\"" X "\"]}"},
        {"true|nul", "[null,true]", "[\"" X "\",\"" X "\"]"},
        {"[: ]\\d+,?", "{\"a\": 17,\"b\":18}", "{\"a\": \"" X "\",\"b\":\"" X "\"}"},
        {"\"\\d+\"", "{\"a\":\"17\",\"b\":18}", "{\"a\":\"" X "\",\"b\":18}"},
        {"\"Doe[^\"]*\"", "{\"a\":\"Doe, John\",\"b\":18}", "{\"a\":\"" X "\",\"b\":18}"},
        {"\"a,.*,8", "[\"a,\\\",\", 17 ,8]", "[\"" X "\"]"},
        {"-?\\d+", "{\"n\":\"-17.5e\"}",
         "{\"n\":\"" X "." X "e\"}"}, /* all else in a string stays */
        {"17", "{user17 -17 17.x}", "{user" X " \"" X "\" " X ".x}"}, /* it only begins like JSON */
        {"[\\d.,]+", "{\"at\":[52.52,13.40]}", "{\"at\":[\"" X "\"]}"},
        {"17", "n=-17.5", "n=-" X ".5"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(V) / sizeof(V[0]); i++)
        check_pattern(V[i][0], V[i][1], V[i][2]);
}

/* Blanks around it, and what is a program's idea of an end of a line. */
static void json_with_blanks_around_is_json(void **state)
{
    static const char *const V[][2] = {
        {" {\"n\":17}", " {\"n\":\"" X "\"}"},
        {"\t{\"n\":17} ", "\t{\"n\":\"" X "\"} "},
        {"{\"n\":17}\r", "{\"n\":\"" X "\"}\r"},
        {"[17]\r", "[\"" X "\"]\r"},
        {" [ 17] \r\n", " [ \"" X "\"] \r\n"},
        {"[\t17]", "[\t\"" X "\"]"},
        {"[true,17]\n", "[true,\"" X "\"]\n"},
        {"[[],17]", "[[],\"" X "\"]"},
        {"[ info] 17 [a]\r", "[ info] " X " [a]\r"},
        {"[17] [", "[" X "] ["},
        {"  ", "  "},
        {" 17 ", " " X " "},
        {"[", "["},
        {"[]17", "[]" X},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(V) / sizeof(V[0]); i++)
        check_pattern("17", V[i][0], V[i][1]);
    check_str(clean_bytes(REDACT_ALL, STR(" {\"n\":4111111111111111}\r")),
              " {\"n\":\"[redacted:card]\"}\r");
}

/* What only looks like JSON, and is one word from end to end: no match goes through all of it. */
static void a_long_word_in_a_line_of_json_takes_no_longer(void **state)
{
    struct buf text;
    struct str s;

    (void)state;
    buf_init(&text, 1 << 21);
    buf_add_char(&text, '{');
    for (size_t i = 0; i < 60000; i++)
        buf_add_z(&text, "4111111111111111-");
    redact = redact_new(REDACT_ALL, NULL);
    s = buf_str(&text);
    redact_text(redact, &s, NULL, &scratch);
    assert_int_equal(s.n, 1 + 60000 * strlen("[redacted:card]-"));
    buf_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(a_secret_behind_an_escape_is_one), TEST(a_secret_in_an_address_is_one),
           TEST(what_is_glued_to_a_word_is_none), TEST(a_key_goes_on_behind_the_escapes_of_json),
           TEST(a_key_cut_in_an_escape_shows_nothing), TEST(json_stays_json),
           TEST(no_secret_between_escapes_is_left), TEST(a_number_becomes_a_string_as_a_whole),
           TEST(patterns_take_whole_escapes_of_json), TEST(patterns_take_whole_scalars_of_json),
           TEST(json_with_blanks_around_is_json),
           TEST(a_long_word_in_a_line_of_json_takes_no_longer))
