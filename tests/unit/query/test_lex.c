/* tests/unit/query/test_lex.c */
#include "query/lex.h"

#include "base/buf.h"
#include "tests/lib/check.h"

#include <string.h>

/* Names of all tokens of `text`, with a blank between; or "! message @ line:column". */
static struct str tokens_of(struct str text, struct arena *a, struct buf *out)
{
    struct lexer l;
    struct token t;
    struct err err;

    buf_clear(out);
    lex_init(&l, text, a);
    for (;;) {
        if (lex_next(&l, &t, &err) < 0) {
            buf_clear(out);
            buf_addf(out, "! %s @ %u:%u", err.text, t.at.line, t.at.column);
            break;
        }
        if (t.kind == TOKEN_END)
            break;
        if (out->n > 0)
            buf_add_char(out, ' ');
        buf_add_z(out, lex_kind_name(t.kind));
    }
    return buf_str(out);
}

static void texts_become_tokens(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"{foo=\"bar\"} |= `x` # rest |= \"y\"", "{ IDENTIFIER = STRING } |= STRING"},
        {"a!=b!~c=~d|~e|>f!>g==h>=i<=j<k>l", "IDENTIFIER != IDENTIFIER !~ IDENTIFIER =~ "
                                             "IDENTIFIER |~ IDENTIFIER |> IDENTIFIER !> "
                                             "IDENTIFIER == IDENTIFIER >= IDENTIFIER <= "
                                             "IDENTIFIER < IDENTIFIER > IDENTIFIER"},
        {"+ - * / % ^ , ( )", "+ - * / % ^ , ( )"},
        {"/* a */ x/**/y /* # \" \n // */ z/ / *", "IDENTIFIER IDENTIFIER IDENTIFIER / / *"},
        {"# /* a\nx // /* b\ny /* *//* **/z", "IDENTIFIER IDENTIFIER IDENTIFIER"},
        {"x\n /* y /*", "! comment not terminated @ 2:2"},
        {"/*/ x", "! comment not terminated @ 1:1"},
        {"\xef\xbb\xbf{a", "{ IDENTIFIER"}, /* a byte order mark */
        {"a\xef\xbb\xbf", "! syntax error: unexpected character @ 1:2"},
        {"BY Without bOOl json UNWRAP", "by without bool json unwrap"},
        /* a function only where a call follows */
        {"rate(sum by (ip) count", "rate ( sum by ( IDENTIFIER ) IDENTIFIER"},
        {"SUM\n\t(x) Rate without(a) rate bytes(x)",
         "sum ( IDENTIFIER ) rate without ( IDENTIFIER ) IDENTIFIER bytes ( IDENTIFIER )"},
        {"sum by a", "IDENTIFIER by IDENTIFIER"},
        {"1 1.5 .5 5. 1e-3 1_000 0x1p3", "NUMBER NUMBER NUMBER NUMBER NUMBER NUMBER NUMBER"},
        {"5m 1h30m 1.5h 100us 1h15m30.918273645s 2w 1y -5m",
         "DURATION DURATION DURATION DURATION DURATION DURATION DURATION DURATION"},
        {"1 -1 -0 1.5d", "NUMBER - NUMBER - NUMBER NUMBER IDENTIFIER"},
        {"1B 2.5KiB 10GB 42PB 5k", "BYTES BYTES BYTES BYTES BYTES"},
        {"[5m][0] [1h30m]", "RANGE RANGE RANGE"},
        {"--strict --keep-empty --strictly - -", "PARSER_FLAG PARSER_FLAG - - IDENTIFIER - -"},
        {"{\xc3\xa9=\"b\"} \xe4\xb8\x96", "{ IDENTIFIER = STRING } IDENTIFIER"},
        {"\"abc", "! literal not terminated @ 1:1"},
        {" \n `abc", "! literal not terminated @ 2:2"},
        {"\"a\nb\"", "! literal not terminated @ 1:1"},
        {"\xc3\xa9 \"\\q\"", "! invalid char escape @ 1:3"},
        {"\"\\x4\"", "! invalid char escape @ 1:1"},
        {"\"\\ud800\"", "! invalid char escape @ 1:1"},
        {"\"\\777\"", "! invalid char escape @ 1:1"},
        {"'a'", "! syntax error: unexpected ''' @ 1:1"},
        {"a @", "! syntax error: unexpected '@' @ 1:3"},
        {"\xf0\x9f\x98\x80", "! syntax error: unexpected character @ 1:1"},
        {"\xff", "! syntax error: unexpected character @ 1:1"},
        {"0x10", "! unable to parse literal as a float: \"0x10\" @ 1:1"},
        {"0b10", "! unable to parse literal as a float: \"0b10\" @ 1:1"},
        {"[5m", "! missing closing ']' in duration @ 1:1"},
        {"x[1.5m]", "! not a valid duration string: \"1.5m\" @ 1:2"},
    };
    struct arena *a = arena_new(NULL, 0);
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_str(tokens_of(str_of(cases[i][0]), a, &out), cases[i][1]);
    check_str(tokens_of(STR("\"a\xff\""), a, &out), "! invalid UTF-8 rune @ 1:1");
    check_str(tokens_of(STR("a\0b"), a, &out), "! syntax error: unexpected character @ 1:2");
    buf_fini(&out);
    arena_free(&a);
}

static void strings_have_gos_escapes(void **state)
{
    static const char *const cases[][2] = {
        {"\"plain\"", "plain"},
        {"`a\\n\"b`", "a\\n\"b"},
        {"\"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\"", "\a\b\f\n\r\t\v\\\""},
        {"\"\\x41\\101\\u00e9\\U0001F600\"", "AA\xc3\xa9\xf0\x9f\x98\x80"},
        {"\"\"", ""},
    };
    struct arena *a = arena_new(NULL, 0);
    struct lexer l;
    struct token t;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lex_init(&l, str_of(cases[i][0]), a);
        assert_int_equal(lex_next(&l, &t, &err), 0);
        assert_int_equal(t.kind, TOKEN_STRING);
        check_str(t.string, cases[i][1]);
    }
    arena_free(&a);
}

static void places_count_lines_and_characters(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct lexer l;
    struct token t;
    struct err err;

    (void)state;
    lex_init(&l, STR("a\n  \"\xc3\xa9\xc3\xa9\" b # c\n/* \n*/d"), a);
    assert_int_equal(lex_next(&l, &t, &err), 0);
    assert_true(t.at.line == 1 && t.at.column == 1);
    assert_int_equal(lex_next(&l, &t, &err), 0);
    assert_true(t.at.line == 2 && t.at.column == 3);
    assert_int_equal(lex_next(&l, &t, &err), 0);
    assert_true(t.at.line == 2 && t.at.column == 8);
    assert_int_equal(lex_next(&l, &t, &err), 0);
    assert_true(t.at.line == 4 && t.at.column == 3);
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(texts_become_tokens), cmocka_unit_test(strings_have_gos_escapes),
           cmocka_unit_test(places_count_lines_and_characters))
