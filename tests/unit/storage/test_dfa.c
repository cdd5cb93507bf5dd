/* storage/dfa.c and its parser against base/regexp and a plain search. */
#include "storage/dfa.h"

#include "base/obj.h"
#include "base/regexp.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdio.h>

enum { PATTERN_MAX = 400, TEXT_MAX = 60 };

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % n;
}

static unsigned verdict(const struct dfa *d, struct str text)
{
    return dfa_end(d, dfa_run(d, DFA_FIRST, text));
}

static struct dfa *of_pattern(const char *pattern, int *code)
{
    struct regexp *re = NULL;
    struct scan_filter f = {.op = SCAN_MATCHES, .n = 1};
    struct dfa *d = NULL;
    struct err err;

    if (regexp_new(str_of(pattern), false, &re, &err) < 0)
        fail_msg("%s: %s", pattern, err.text);
    f.re = (const struct regexp *const[]){re};
    *code = dfa_new(&f, &d, &err);
    regexp_free(&re);
    return d;
}

/* ---- random patterns ---- */

struct pattern {
    char p[PATTERN_MAX];
    size_t n;
};

static void put(struct pattern *out, const char *z)
{
    size_t n = strlen(z);

    if (n < sizeof(out->p) - out->n) {
        memcpy(out->p + out->n, z, n + 1);
        out->n += n;
    }
}

static void put_any(struct pattern *out, const char *const *from, size_t n)
{
    put(out, from[rnd(n)]);
}

#define PUT_ANY(out, ...)                                                                          \
    put_any(out, (const char *const[]){__VA_ARGS__},                                               \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void put_expression(struct pattern *out, int depth);

static void put_atom(struct pattern *out, int depth)
{
    switch (rnd(depth > 0 ? 12 : 9)) {
    case 0:
    case 1:
    case 2:
    case 3:
        PUT_ANY(out, "a", "b", "k", "S", "7", " ", "_", "ab", "Ks");
        break;
    case 4:
        PUT_ANY(out, ".", "\\d", "\\w", "\\s", "\\W", "\\D", "\\S", "\\.", "\\x61", "\\n", "-",
                "\\x{e9}", "]", "}", "{");
        break;
    case 5:
        PUT_ANY(out, "[ab]", "[^a]", "[a-k7]", "[[:alpha:]]", "[^[:^digit:]]", "[\\d_]", "[^\\w]",
                "[]a]", "[^]k]", "[a-]", "[-k]", "[\\]\\-s]", "[é]", "[^é]", "[[:upper:] ]",
                "[[:word:]]", "[j-lſ]", "[\\x41-\\x{17f}]", "[[:space:]]", "[a[b]", "[\\s\\S]");
        break;
    case 6:
        PUT_ANY(out, "^", "$", "\\b", "\\B", "\\A", "\\z");
        break;
    case 7:
        PUT_ANY(out, "é", "ſ", "\xe2\x84\xaa", "日", "\xef\xbf\xbd", "É");
        break;
    case 8:
        PUT_ANY(out, "(?i)", "(?s)", "(?-i)", "(?U)", "(?-s)");
        break;
    default:
        PUT_ANY(out, "(", "(?:", "(?i:", "(?P<x>", "(?<y>", "(?s:", "(?i-s:");
        put_expression(out, depth - 1);
        put(out, ")");
        break;
    }
}

static void put_expression(struct pattern *out, int depth)
{
    size_t n = rnd(5);

    for (size_t i = 0; i < n; i++) {
        put_atom(out, depth);
        if (rnd(3) == 0)
            PUT_ANY(out, "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??", "{0}",
                    "{,2}", "{1,2}?");
        if (rnd(6) == 0)
            put(out, "|");
    }
}

static struct str random_text(char *buf)
{
    static const char *const PARTS[] = {"a",
                                        "b",
                                        "k",
                                        "K",
                                        "s",
                                        "S",
                                        "7",
                                        " ",
                                        "_",
                                        "-",
                                        "\n",
                                        ".",
                                        "ab",
                                        "aab",
                                        "é",
                                        "ſ",
                                        "\xe2\x84\xaa",
                                        "日",
                                        "É",
                                        "\xff",
                                        "\xe2\x84",
                                        "\x84",
                                        "\xef\xbf\xbd",
                                        "\xc3"};
    size_t n = 0;
    size_t parts = rnd(12);
    size_t kinds = rnd(3) == 0 ? 14 : sizeof(PARTS) / sizeof(PARTS[0]);

    for (size_t i = 0; i < parts; i++) {
        const char *z = PARTS[rnd(kinds)];
        size_t len = strlen(z);
        memcpy(buf + n, z, len);
        n += len;
        if (rnd(40) == 0)
            buf[n++] = '\0';
    }
    return (struct str){buf, n};
}

static void agrees_with_regexp_or_does_not_know(void **state)
{
    uint64_t known = 0;
    uint64_t unknown = 0;
    uint64_t made = 0;
    uint64_t found = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct pattern pt = {.n = 0};
        struct regexp *re[2] = {NULL, NULL};
        struct scan_filter f = {.op = SCAN_MATCHES, .re = (const struct regexp *const *)re};
        struct dfa *d = NULL;
        struct err err;
        size_t want = 1 + (rnd(5) == 0);
        while (f.n < want) {
            pt.n = 0;
            pt.p[0] = '\0';
            put_expression(&pt, 3);
            f.n += regexp_new((struct str){pt.p, pt.n}, false, &re[f.n], &err) == 0;
        }
        if (dfa_new(&f, &d, &err) == 0) {
            made++;
            for (unsigned i = 0; i < 30; i++) {
                char buf[TEXT_MAX];
                struct str text = random_text(buf);
                bool is = regexp_matches(re[0], text) || (f.n > 1 && regexp_matches(re[1], text));
                unsigned v = verdict(d, text);
                if (v == DFA_UNKNOWN) {
                    unknown++;
                } else if ((v == DFA_MATCH) != is) {
                    fail_msg("'%.*s' (of %zu) on '%.*s': %u", STR_ARG(regexp_pattern(re[0])), f.n,
                             STR_ARG(text), v);
                } else {
                    known++;
                    found += is;
                }
            }
        }
        dfa_free(&d);
        regexp_free(&re[0]);
        regexp_free(&re[1]);
    }
    assert_true(made > 15000);
    assert_true(known > 3 * unknown);
    assert_true(found > known / 10);
}

static bool naive(const struct str *needle, size_t n, struct str text)
{
    for (size_t i = 0; i < n; i++)
        if (str_find(text, needle[i]) != SIZE_MAX)
            return true;
    return false;
}

static void literals_are_found_wherever_the_line_is_cut(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5000; round++) {
        char needle_buf[3][TEXT_MAX];
        char buf[TEXT_MAX];
        struct str needle[3];
        struct scan_filter f = {.op = SCAN_CONTAINS, .text = needle, .n = 1 + rnd(3)};
        struct dfa *d = NULL;
        struct err err;
        for (size_t i = 0; i < 3; i++) {
            needle[i] = random_text(needle_buf[i]);
            needle[i].n = needle[i].n < 5 ? needle[i].n : rnd(5);
        }
        assert_int_equal(dfa_new(&f, &d, &err), 0);
        for (unsigned i = 0; i < 20; i++) {
            struct str text = random_text(buf);
            size_t cut = rnd(text.n + 1);
            unsigned s = dfa_run(d, DFA_FIRST, str_sub(text, 0, cut));
            s = dfa_end(d, dfa_run(d, s, str_from(text, cut)));
            assert_int_not_equal(s, DFA_UNKNOWN);
            assert_int_equal(s == DFA_MATCH, naive(needle, f.n, text));
        }
        dfa_free(&d);
    }
}

/* The run over long texts, with and without AVX2 and the wide table, is the run byte by byte. */
static void runs_fast_as_it_runs_slowly(void **state)
{
    static const char *const PATTERNS[] = {
        "(?i)error", "x\\d+y",   "\xc3\xa9$",
        "^ab.*c",    "[^a]{3}x", "\\bab\\b",
        "a|b|c|d|e", "é|\\d$",   "(?:a|b|c|d|e|f){5}z$",
    };
    char raw[300];

    (void)state;
    for (size_t i = 0; i < sizeof(PATTERNS) / sizeof(PATTERNS[0]); i++) {
        int r;
        struct dfa *d = of_pattern(PATTERNS[i], &r);
        assert_int_equal(r, 0);
        for (unsigned round = 0; round < 3000; round++) {
            size_t n = rnd(sizeof(raw));
            uint16_t *wide = d->wide;
            bool avx2 = d->avx2;
            unsigned from = DFA_FIRST + (unsigned)rnd(d->n_states - DFA_FIRST);
            unsigned want = from;
            char *text;
            for (size_t k = 0; k < n; k++)
                raw[k] = (char)(rnd(20) != 0 ? "        qqqq--.,"[rnd(16)] : (char)rnd(256));
            text = bytes_exact((struct str){raw, n});
            for (size_t k = 0; k < n; k++)
                want = dfa_step(d, want, (uint8_t)raw[k]);
            d->avx2 = avx2 && rnd(2) == 0;
            d->wide = rnd(2) == 0 ? wide : NULL;
            assert_int_equal(dfa_run(d, from, (struct str){text, n}), want);
            d->avx2 = avx2;
            d->wide = wide;
            free(text);
        }
        dfa_free(&d);
    }
}

static void dead_states_never_decide(void **state)
{
    int r;
    struct dfa *d = of_pattern("^(?:ab|é.)c$", &r);
    unsigned s;

    (void)state;
    assert_int_equal(r, 0);
    assert_false(d->dead[DFA_FIRST]);
    assert_false(d->dead[dfa_run(d, DFA_FIRST, STR("ab"))]);
    assert_true(d->dead[dfa_run(d, DFA_FIRST, STR("b"))]);
    assert_true(d->dead[dfa_run(d, DFA_FIRST, STR("abcd"))]);
    assert_false(d->dead[DFA_MATCH]);
    assert_false(d->dead[DFA_UNKNOWN]);
    assert_int_equal(verdict(d, STR("abc")), DFA_MATCH);
    assert_int_equal(verdict(d, STR("é\xff")), DFA_UNKNOWN);
    s = dfa_run(d, DFA_FIRST, STR("é"));
    assert_int_equal(dfa_run(d, s, STR("ac")), dfa_run(d, DFA_FIRST, STR("éac")));
    dfa_free(&d);
}

static void what_people_write_is_known(void **state)
{
    static const struct {
        const char *pattern, *yes, *no;
    } CASES[] = {
        {"(?i)exception", "an ExCePtIon", "an Excep tion"},
        {"(?i)task", "no tasK", "no tsak"},
        {"(?i)task", "ta\xc5\xbfk", "ta\xc5\xbek"},
        {".*error.*", "日本 error 日本", "日本 eror 日本"},
        {"^ERR", "ERR x", " ERR"},
        {"status=5\\d\\d", "a status=503 b", "a status=603"},
        {"(GET|POST) /api/v[0-9]+/\\w+ HTTP", "POST /api/v12/x HTTP", "PUT /api/v12/x HTTP"},
        {"took [0-9]{3,}ms", "took 1234ms", "took 12ms"},
        {"\\bid\\b", "an id.", "an idea"},
        {"\\[(?:WARN|ERROR)\\]", "[WARN]", "WARN"},
        {"ошибка", "это ошибка", "это"},
        {"a{,2}", "xa{,2}", "aa"},
        {"failed$", "it failed", "failed it"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        int r;
        struct dfa *d = of_pattern(CASES[i].pattern, &r);
        assert_int_equal(r, 0);
        if (verdict(d, str_of(CASES[i].yes)) != DFA_MATCH)
            fail_msg("%s is not in %s", CASES[i].pattern, CASES[i].yes);
        if (verdict(d, str_of(CASES[i].no)) < DFA_FIRST)
            fail_msg("%s is in %s", CASES[i].pattern, CASES[i].no);
        dfa_free(&d);
    }
}

static void what_is_not_known_is_left_to_regexp(void **state)
{
    static const char *const PATTERNS[] = {
        "\\pL",
        "(?m)^a",
        "a\\Qb\\E",
        "\\012",
        "\\Ba",
        "[[:alpha:]\\pN]",
        "a.{40}b.{40}c.{40}d",
        "\xef\xbf\xbd",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(PATTERNS) / sizeof(PATTERNS[0]); i++) {
        int r;
        struct dfa *d = of_pattern(PATTERNS[i], &r);
        assert_int_equal(r, 1);
        assert_null(d);
    }
}

static void needle_is(const char *pattern, const char *want, bool whole, bool ascii)
{
    int r;
    struct dfa *d = of_pattern(pattern, &r);
    char got[DFA_NEEDLE_MAX];

    assert_int_equal(r, 0);
    for (size_t i = 0; i < d->needle[0].n; i++)
        got[i] = (char)(d->needle[0].byte[i] | d->needle[0].fold[i]);
    check_str(((struct str){got, d->needle[0].n}), want);
    assert_int_equal(d->needle[0].whole, whole);
    assert_int_equal(d->needle[0].ascii, ascii);
    dfa_free(&d);
}

static void a_needle_is_what_every_match_holds(void **state)
{
    (void)state;
    needle_is("abc", "abc", true, false);
    needle_is("(?i)AbX", "abx", true, false);
    needle_is("(?i)task", "task", true, true);
    needle_is("took (\\d+)ms longer", "ms longer", false, false);
    needle_is("x(?:abc)+y", "abc", false, false);
    needle_is("x(?:abc)*yz", "yz", false, false);
    needle_is("abc|abd", "", false, false);
    needle_is(".*abc.*", "abc", false, false);
    needle_is("a(?i)b", "ab", true, false);
    needle_is("^abc", "abc", false, false);
}

CHECK_MAIN(cmocka_unit_test(agrees_with_regexp_or_does_not_know),
           cmocka_unit_test(literals_are_found_wherever_the_line_is_cut),
           cmocka_unit_test(runs_fast_as_it_runs_slowly),
           cmocka_unit_test(dead_states_never_decide), cmocka_unit_test(what_people_write_is_known),
           cmocka_unit_test(what_is_not_known_is_left_to_regexp),
           cmocka_unit_test(a_needle_is_what_every_match_holds))
