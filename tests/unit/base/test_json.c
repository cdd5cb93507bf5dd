/* base/json.c: what is JSON, what is not, and where it says so. */
#include "base/json.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Read all of `text` from a block of exactly its size, so that a byte too many is found. */
static int read_all(struct str text, bool lenient, struct buf *out, struct err *err)
{
    static const char *const MARKS[] = {
        [JSON_END] = ".",       [JSON_OBJECT] = "{", [JSON_OBJECT_END] = "}", [JSON_ARRAY] = "[",
        [JSON_ARRAY_END] = "]", [JSON_KEY] = "k",    [JSON_STRING] = "s",     [JSON_NUMBER] = "n",
        [JSON_TRUE] = "t",      [JSON_FALSE] = "f",  [JSON_NULL] = "z",
    };
    char *block = malloc(text.n == 0 ? 1 : text.n);
    struct json_reader r;
    struct json_token tok = {.type = JSON_NULL};
    int e = 0;

    assert_non_null(block);
    if (text.n > 0)
        memcpy(block, text.p, text.n);
    json_reader_init(&r, (struct str){block, text.n});
    if (lenient)
        json_reader_lenient(&r);
    while (e == 0) {
        e = json_next(&r, &tok, err);
        if (e < 0)
            break;
        buf_add_z(out, MARKS[tok.type]);
        if (tok.type == JSON_KEY || tok.type == JSON_STRING || tok.type == JSON_NUMBER) {
            buf_add_char(out, '(');
            buf_add_str(out, tok.raw);
            buf_add_char(out, ')');
        }
        if (tok.type == JSON_END) {
            assert_int_equal(json_rest(&r).n, 0);
            break;
        }
    }
    free(block);
    return e;
}

static void good_documents_give_their_tokens(void **state)
{
    static const struct {
        const char *text, *tokens;
    } GOOD[] = {
        {"{}", "{}."},
        {"[]", "[]."},
        {" { } ", "{}."},
        {"\t\r\n[ ]\n", "[]."},
        {"null", "z."},
        {"true", "t."},
        {"false", "f."},
        {"\"\"", "s()."},
        {"\"a b\"", "s(a b)."},
        {"0", "n(0)."},
        {"-0", "n(-0)."},
        {"10", "n(10)."},
        {"-12.50", "n(-12.50)."},
        {"1e5", "n(1e5)."},
        {"1E+5", "n(1E+5)."},
        {"0.1e-7", "n(0.1e-7)."},
        {"123456789012345678901234567890", "n(123456789012345678901234567890)."},
        {"[1,2]", "[n(1)n(2)]."},
        {"[ 1 , [ ] , { } ]", "[n(1)[]{}]."},
        {"{\"a\":1}", "{k(a)n(1)}."},
        {"{ \"a\" : true , \"b\" : [ null ] }", "{k(a)tk(b)[z]}."},
        {"{\"a\":{\"b\":{\"c\":\"d\"}},\"a\":2}", "{k(a){k(b){k(c)s(d)}}k(a)n(2)}."},
        {"{\"\":\"\"}", "{k()s()}."},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD834\\udd1e\"",
         "s(\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD834\\udd1e)."},
        {"\"\\udc00 alone\"", "s(\\udc00 alone)."},
        {"\"raw \x01\x1f\n\t and \xff\xc0 bytes\"", "s(raw \x01\x1f\n\t and \xff\xc0 bytes)."},
        {"\"\x7f\xe2\x82\xac\"", "s(\x7f\xe2\x82\xac)."},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct buf out;
        struct err err = {.text = ""};
        buf_init(&out, 1000);
        if (read_all(str_of(GOOD[i].text), false, &out, &err) < 0)
            fail_msg("%s: %s", GOOD[i].text, err.text);
        check_str(buf_str(&out), GOOD[i].tokens);
        buf_fini(&out);
    }
}

static void bad_documents_are_refused_at_their_byte(void **state)
{
    static const struct {
        const char *text;
        unsigned at;
    } BAD[] = {
        {"", 0},
        {"  ", 2},
        {"{", 1},
        {"[", 1},
        {"[1", 2},
        {"[1,", 3},
        {"[1,]", 3},
        {"[,1]", 1},
        {"[1 2]", 3},
        {"[1}", 2},
        {"{]", 1},
        {"{\"a\"", 4},
        {"{\"a\":", 5},
        {"{\"a\":1", 6},
        {"{\"a\":1,", 7},
        {"{\"a\":1,}", 7},
        {"{\"a\" 1}", 5},
        {"{\"a\":1 \"b\":2}", 7},
        {"{\"a\":}", 5},
        {"{a:1}", 1},
        {"{1:1}", 1},
        {"{,}", 1},
        {"{\"a\"::1}", 5},
        {"]", 0},
        {"}", 0},
        {"\"abc", 0},
        {"[\"abc]", 1},
        {"\"a\\", 2},
        {"\"a\\\"", 0},
        {"\"\\x41\"", 1},
        {"\"\\u12g4\"", 1},
        {"\"\\u12", 1},
        {"\"\\'\"", 1},
        {"'a'", 0},
        {"tru", 0},
        {"truely", 0},
        {"nul", 0},
        {"nil", 0},
        {"True", 0},
        {"NaN", 0},
        {"Infinity", 0},
        {"-", 0},
        {"+1", 0},
        {".5", 0},
        {"1.", 0},
        {"01", 0},
        {"-01", 0},
        {"1e", 0},
        {"1e+", 0},
        {"1.e5", 0},
        {"0x10", 0},
        {"1.2.3", 0},
        {"[1_000]", 1},
        {"/* c */1", 0},
        {"\xef\xbb\xbf{}", 0},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct buf out;
        struct err err = {.text = ""};
        char where[32];
        size_t n = (size_t)snprintf(where, sizeof(where), " at byte %u", BAD[i].at);
        buf_init(&out, 1000);
        if (read_all(str_of(BAD[i].text), false, &out, &err) != ERR_CORRUPT)
            fail_msg("accepted: %s", BAD[i].text);
        if (!str_ends(str_of(err.text), (struct str){where, n}))
            fail_msg("%s: '%s' does not end in '%s'", BAD[i].text, err.text, where);
        buf_fini(&out);
    }
}

static void a_last_comma_must_be_asked_for(void **state)
{
    static const char *const STILL_BAD[] = {"{,}", "[,]", "[1,,]", "{\"a\":1,,}", "{\"a\":,}"};
    struct buf out;
    struct err err;
    (void)state;

    buf_init(&out, 1000);
    assert_int_equal(read_all(STR("{\"a\":[1,],}"), true, &out, &err), 0);
    check_str(buf_str(&out), "{k(a)[n(1)]}.");
    for (size_t i = 0; i < sizeof(STILL_BAD) / sizeof(STILL_BAD[0]); i++)
        assert_int_equal(read_all(str_of(STILL_BAD[i]), true, &out, &err), ERR_CORRUPT);
    buf_fini(&out);
}

static void what_begins_like_a_number_must_be_asked_for(void **state)
{
    static const struct {
        const char *text, *tokens; /* NULL: it is bad for lenient readers, too */
    } cases[] = {
        {"{\"a\":12.}", "{k(a)n(12.)}."},
        {"{\"a\":0x1g,\"b\":-}", "{k(a)n(0x1g)k(b)n(-)}."},
        {"[01 ,1:2]", "[n(01)n(1:2)]."},
        {"{\"a\":1 2}", NULL},
        {"{\"a\":12.", NULL},
        {"{\"a\":.5}", NULL},
        {"{\"a\":true\"}", NULL},
        {"12.", NULL}, /* not in an object or array */
    };
    struct buf out;
    struct err err;
    (void)state;

    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_clear(&out);
        assert_int_equal(read_all(str_of(cases[i].text), false, &out, &err), ERR_CORRUPT);
        buf_clear(&out);
        assert_int_equal(read_all(str_of(cases[i].text), true, &out, &err),
                         cases[i].tokens == NULL ? ERR_CORRUPT : 0);
        if (cases[i].tokens != NULL)
            check_str(buf_str(&out), cases[i].tokens);
    }
    buf_fini(&out);
}

static void depth_is_bounded(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    struct buf out;
    struct err err;
    (void)state;

    buf_init(&out, 1000);
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(read_all((struct str){text, 2 * JSON_DEPTH_MAX}, false, &out, &err), 0);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(read_all((struct str){text, sizeof(text)}, false, &out, &err), ERR_CORRUPT);
    buf_fini(&out);
}

/* Every length around the 16- and 32-byte steps, with the odd byte at every place. */
static void strings_of_any_length_end_where_they_do(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    (void)state;

    for (size_t n = 0; n < 200; n++) {
        for (size_t odd = 0; odd <= n; odd += n < 70 ? 1 : 7) {
            struct json_reader r;
            struct json_token tok;
            struct err err;
            bool escape = odd + 1 < n;
            char *block = malloc(n + 2);
            assert_non_null(block);
            memset(block, 'x', n + 2);
            block[0] = block[n + 1] = '"';
            if (escape) {
                block[1 + odd] = '\\';
                block[2 + odd] = '"';
            }
            json_reader_init(&r, (struct str){block, n + 2});
            assert_int_equal(json_next(&r, &tok, &err), 0);
            assert_int_equal(tok.type, JSON_STRING);
            assert_int_equal(tok.raw.n, n);
            assert_int_equal(tok.escaped, escape);
            assert_int_equal(json_rest(&r).n, 0);
            assert_int_equal(json_text(&tok, a).n, escape ? n - 1 : n);
            json_reader_init(&r, (struct str){block, n + 1}); /* without its end */
            assert_int_equal(json_next(&r, &tok, &err), ERR_CORRUPT);
            free(block);
            arena_reset(a);
        }
    }
    arena_free(&a);
}

static struct str text_of(const char *json, struct arena *a)
{
    struct json_reader r;
    struct json_token tok;
    struct err err;

    json_reader_init(&r, str_of(json));
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(tok.type, JSON_STRING);
    return json_text(&tok, a);
}

static void escapes_are_resolved(void **state)
{
    struct arena *a = arena_new(NULL, 1 << 16);
    struct str nul = text_of("\"a\\u0000b\"", a);
    (void)state;

    check_str(text_of("\"plain\"", a), "plain");
    check_str(text_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", a), "\"\\/\b\f\n\r\t");
    check_str(text_of("\"x\\u0041\\u00e9\\u20AC.\"", a), "xA\xc3\xa9\xe2\x82\xac.");
    check_str(text_of("\"\\ud834\\udd1e\"", a), "\xf0\x9d\x84\x9e");
    check_str(text_of("\"\\uDBFF\\uDFFF\"", a), "\xf4\x8f\xbf\xbf");
    check_str(text_of("\"\\ud834\"", a), "\xef\xbf\xbd");
    check_str(text_of("\"\\udd1e\\ud834x\"", a), "\xef\xbf\xbd\xef\xbf\xbdx");
    check_str(text_of("\"\\ud834\\ud834\\udd1e\"", a), "\xef\xbf\xbd\xf0\x9d\x84\x9e");
    check_str(text_of("\"\\udd1e\\udd1e\"", a), "\xef\xbf\xbd\xef\xbf\xbd");
    check_str(text_of("\"\\ud834\\n\"", a), "\xef\xbf\xbd\n");
    assert_int_equal(nul.n, 3);
    assert_memory_equal(nul.p, "a\0b", 3);
    arena_free(&a);
}

static void a_full_arena_gives_no_text(void **state)
{
    struct arena *a = arena_new(NULL, 8);
    (void)state;

    assert_null(text_of("\"much longer than eight \\n bytes\"", a).p);
    arena_free(&a);
}

static void skipping_takes_whole_values(void **state)
{
    struct json_reader r;
    struct json_token tok;
    struct err err;
    struct str raw;
    (void)state;

    json_reader_init(&r, STR("{\"a\": {\"x\":[1,{}]} ,\"b\":\"s\\\"\",\"c\":[ 1, [2] ]} tail"));
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(json_skip(&r, &raw, &err), 0);
    check_str(raw, "{\"x\":[1,{}]}");
    assert_int_equal(json_next(&r, &tok, &err), 0);
    check_str(tok.raw, "b");
    assert_int_equal(json_skip(&r, &raw, &err), 0);
    check_str(raw, "\"s\\\"\"");
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(tok.type, JSON_ARRAY);
    assert_int_equal(json_skip(&r, &raw, &err), 0);
    check_str(raw, "1");
    assert_int_equal(json_skip(&r, NULL, &err), 0);
    assert_int_equal(json_skip(&r, &raw, &err), 1); /* the array ends */
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(tok.type, JSON_OBJECT_END);
    check_str(json_rest(&r), " tail");
    assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(tok.type, JSON_END);
    check_str(json_rest(&r), "tail");
    json_reader_init(&r, STR("[[1,[2,]]"));
    assert_int_equal(json_skip(&r, &raw, &err), ERR_CORRUPT);
}

static void after_the_end_there_is_only_the_end(void **state)
{
    struct json_reader r;
    struct json_token tok;
    struct err err;
    (void)state;

    json_reader_init(&r, STR("1"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(json_next(&r, &tok, &err), 0);
    assert_int_equal(tok.type, JSON_END);
    json_reader_init(&r, STR("[}"));
    assert_int_equal(json_next(&r, &tok, &err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(json_next(&r, &tok, &err), ERR_CORRUPT);
}

static void offsets_name_the_first_byte(void **state)
{
    static const size_t OFFSETS[] = {1, 2, 7, 8, 10, 11, 12};
    struct json_reader r;
    struct json_token tok;
    struct err err;
    (void)state;

    json_reader_init(&r, STR(" {\"ab\":[1 ]} "));
    for (size_t i = 0; i < sizeof(OFFSETS) / sizeof(OFFSETS[0]); i++) {
        assert_int_equal(json_next(&r, &tok, &err), 0);
        if (tok.type != JSON_END)
            assert_int_equal(tok.offset, OFFSETS[i]);
    }
    assert_int_equal(tok.type, JSON_END);
}

/* ---- members ---- */

/* Walk the members of the object that comes next; `keys` gets their names.  `deep`: into each value
 * that is an object, too; else no value is read. */
static int walk(struct json_reader *r, bool deep, struct buf *keys, struct err *err)
{
    struct json_token key;
    int e = json_object_or_null(r, err);

    while (e == 0 && (e = json_member(r, &key, err)) == 0) {
        struct json_reader ahead = *r;
        struct json_token value;
        buf_add_str(keys, key.raw);
        buf_add_char(keys, ';');
        if (deep && json_next(&ahead, &value, err) == 0 && value.type == JSON_OBJECT) {
            e = walk(r, true, keys, err);
            if (e < 0)
                break;
            buf_add_z(keys, "};");
            e = 0;
        }
    }
    return e;
}

/* `text` in a block of exactly its size, so that a byte too many is found. */
static int walk_text(struct str text, bool deep, struct buf *keys, struct err *err)
{
    char *block = malloc(text.n == 0 ? 1 : text.n);
    struct json_reader r;
    int e;

    assert_non_null(block);
    if (text.n > 0)
        memcpy(block, text.p, text.n);
    json_reader_init(&r, (struct str){block, text.n});
    buf_clear(keys);
    e = walk(&r, deep, keys, err);
    free(block);
    return e;
}

/* Escapes, doubles, empty names, each type of value, nested ones. */
#define MEMBERS                                                                                    \
    "{\"a\":1,\"b\" : {\"x\":[1,{\"y\":\"}\"}],\"z\":{}} ,\"a\":\"s\\\"\",\"\":null,"              \
    "\"\\u0061\":true,\"e\":[{\"n\":[]}],\"o\":{\"k\":-1.5e3}}"

static void members_come_in_order_and_as_often_as_they_stand(void **state)
{
    struct json_reader r;
    struct json_token key;
    struct err err;
    struct buf keys;
    (void)state;

    buf_init(&keys, 1000);
    assert_int_equal(walk_text(STR(MEMBERS), false, &keys, &err), 1);
    check_str(buf_str(&keys), "a;b;a;;\\u0061;e;o;");
    assert_int_equal(walk_text(STR(MEMBERS), true, &keys, &err), 1);
    check_str(buf_str(&keys), "a;b;x;z;};};a;;\\u0061;e;o;k;};");
    assert_int_equal(walk_text(STR("{ }"), false, &keys, &err), 1);
    check_str(buf_str(&keys), "");
    buf_fini(&keys);

    assert_int_equal(json_reader_init_object(&r, STR(" {\"\\u0061\":{}} tail"), &err), 0);
    assert_int_equal(json_member(&r, &key, &err), 0);
    assert_true(key.escaped);
    assert_int_equal(key.offset, 2);
    assert_int_equal(json_member(&r, &key, &err), 1);
    check_str(json_rest(&r), " tail");
}

static void a_value_may_be_read_or_not(void **state)
{
    struct json_reader r;
    struct json_token key, value;
    struct err err;
    struct str raw;
    (void)state;

    json_reader_init(&r, STR("{\"a\":[1,2],\"b\":\"t\",\"c\":{\"d\":[]},\"e\":5}"));
    assert_int_equal(json_object(&r, &err), 0);
    assert_int_equal(json_member(&r, &key, &err), 0);
    assert_int_equal(json_skip(&r, &raw, &err), 0);
    check_str(raw, "[1,2]");
    assert_int_equal(json_member(&r, &key, &err), 0);
    assert_int_equal(json_next(&r, &value, &err), 0);
    check_str(value.raw, "t");
    assert_int_equal(json_member(&r, &key, &err), 0);
    check_str(key.raw, "c");
    assert_int_equal(json_member(&r, &key, &err), 0);
    check_str(key.raw, "e");
    assert_int_equal(json_member(&r, &key, &err), 1);
}

static void a_value_that_is_skipped_is_checked(void **state)
{
    static const struct {
        const char *text;
        unsigned at;
    } BAD[] = {
        {"{\"a\":[1,],\"b\":2}", 8},
        {"{\"a\":{\"b\":tru},\"b\":2}", 10},
        {"{\"a\":1,\"b\":\"\\x\"}", 12},
        {"{\"a\":1,}", 7},
        {"{\"a\" 1}", 5},
        {"{\"a\":}", 5},
        {"{\"a\":1]", 6},
        {"{1:1}", 1},
        {"", 0},
        {"[]", 0},
        {"{\"a\":[{\"b\":1]}", 12},
        {" 1", 1},
        {"\"a\"", 0},
        {"true", 0},
    };
    struct buf keys;
    (void)state;

    buf_init(&keys, 1000);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        for (int deep = 0; deep < 2; deep++) {
            struct err err = {.text = ""};
            char where[32];
            size_t n = (size_t)snprintf(where, sizeof(where), " at byte %u", BAD[i].at);
            if (walk_text(str_of(BAD[i].text), deep != 0, &keys, &err) != ERR_CORRUPT)
                fail_msg("accepted: %s", BAD[i].text);
            if (!str_ends(str_of(err.text), (struct str){where, n}))
                fail_msg("%s: '%s' does not end in '%s'", BAD[i].text, err.text, where);
        }
    }
    buf_fini(&keys);
}

static void an_object_cut_anywhere_is_none(void **state)
{
    static const char TEXT[] = MEMBERS;
    struct buf keys;
    struct err err;
    (void)state;

    buf_init(&keys, 1000);
    for (size_t n = 0; n + 1 < sizeof(TEXT); n++) {
        assert_int_equal(walk_text((struct str){TEXT, n}, false, &keys, &err), ERR_CORRUPT);
        assert_int_equal(walk_text((struct str){TEXT, n}, true, &keys, &err), ERR_CORRUPT);
    }
    buf_fini(&keys);
}

/* Whatever stands at any place: both walks and json_skip agree on what is an object. */
static void an_object_with_a_wrong_byte_is_judged_as_by_skipping(void **state)
{
    static const char ODD[] = "\"\\{}[],:0-x \t";
    char text[] = MEMBERS;
    struct buf keys;
    (void)state;

    buf_init(&keys, 1000);
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        char was = text[i];
        for (size_t k = 0; k < sizeof(ODD); k++) { /* its NUL, too */
            struct str s = {text, sizeof(text) - 1};
            struct json_reader r;
            struct err err;
            int e;
            text[i] = ODD[k];
            json_reader_init(&r, s);
            e = json_skip(&r, NULL, &err);
            if (e == 0)
                e = text[0] == '{' ? 1 : ERR_CORRUPT;
            if (walk_text(s, false, &keys, &err) != e || walk_text(s, true, &keys, &err) != e)
                fail_msg("walking and skipping do not agree on %s", text);
        }
        text[i] = was;
    }
    buf_fini(&keys);
}

static void members_are_as_deep_as_the_reader_allows(void **state)
{
    struct buf text, keys;
    (void)state;

    buf_init(&keys, 1000);
    for (unsigned depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        int e = depth > JSON_DEPTH_MAX ? ERR_CORRUPT : 1;
        struct err err;
        buf_init(&text, 1000);
        for (unsigned i = 0; i < depth - 1; i++)
            buf_add_z(&text, "{\"k\":");
        buf_add_z(&text, "{}");
        for (unsigned i = 0; i < depth - 1; i++)
            buf_add_char(&text, '}');
        assert_int_equal(walk_text(buf_str(&text), false, &keys, &err), e);
        assert_int_equal(walk_text(buf_str(&text), true, &keys, &err), e);
        buf_fini(&text);
    }
    buf_fini(&keys);
}

static void many_and_long_members_are_walked(void **state)
{
    enum { MANY = 50000, LONG = 1 << 20 };
    struct json_token key = {.type = JSON_END};
    struct json_reader r;
    struct buf text;
    struct err err;
    size_t n = 0;
    int e;
    (void)state;

    buf_init(&text, 4 * LONG);
    buf_add_char(&text, '{');
    for (size_t i = 0; i < MANY; i++)
        buf_addf(&text, "\"k\":[%zu],", i);
    buf_add_char(&text, '"');
    memset(buf_room(&text, LONG), 'x', LONG);
    text.n += LONG;
    buf_add_z(&text, "\":0}");
    assert_false(text.over);
    json_reader_init(&r, buf_str(&text));
    e = json_object(&r, &err);
    while (e == 0 && (e = json_member(&r, &key, &err)) == 0) {
        assert_int_equal(key.raw.n, n < MANY ? 1 : LONG);
        n++;
    }
    assert_int_equal(e, 1);
    assert_int_equal(n, MANY + 1);
    buf_fini(&text);
}

static void null_passes_for_no_members_where_it_may(void **state)
{
    struct json_reader r;
    struct json_token key;
    struct err err;
    (void)state;

    json_reader_init(&r, STR("{\"a\":null,\"b\":{},\"c\":null}"));
    assert_int_equal(json_object_or_null(&r, &err), 0);
    assert_int_equal(json_member(&r, &key, &err), 0);
    assert_int_equal(json_object_or_null(&r, &err), 1);
    assert_int_equal(json_member(&r, &key, &err), 0);
    assert_int_equal(json_object_or_null(&r, &err), 0);
    assert_int_equal(json_member(&r, &key, &err), 1);
    assert_int_equal(json_member(&r, &key, &err), 0);
    check_str(key.raw, "c");
    assert_int_equal(json_object(&r, &err), ERR_CORRUPT);
    assert_string_equal(err.text, "JSON: expected an object at byte 21");
    assert_int_equal(json_member(&r, &key, &err), ERR_CORRUPT); /* there are only errors now */
    json_reader_init(&r, STR("[1]"));
    assert_int_equal(json_object_or_null(&r, &err), ERR_CORRUPT);
    assert_int_equal(json_reader_init_object(&r, STR("null"), &err), ERR_CORRUPT);
}

static void members_are_an_objects(void **state)
{
    struct json_reader r;
    struct json_token key;
    struct err err;
    (void)state;

    json_reader_init(&r, STR("[\"a\"]"));
    assert_int_equal(json_next(&r, &key, &err), 0);
    assert_int_equal(json_member(&r, &key, &err), ERR_CORRUPT);
    json_reader_init(&r, STR("{}"));
    assert_int_equal(json_object(&r, &err), 0);
    assert_int_equal(json_member(&r, &key, &err), 1);
    assert_int_equal(json_member(&r, &key, &err), ERR_CORRUPT); /* it was left */
}

static void a_string_or_null_is_taken(void **state)
{
    static const char *const BAD[] = {"1", "true", "[]", "{}", "]", "\"cut", "nul", ""};
    struct arena *a = arena_new(NULL, 64);
    struct json_reader r;
    struct str text = STR("as it was");
    struct err err;
    (void)state;

    json_reader_init(&r, STR("null"));
    assert_int_equal(json_string_or_null(&r, a, &text, &err), 0);
    check_str(text, "as it was");
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        json_reader_init(&r, str_of(BAD[i]));
        assert_int_equal(json_string_or_null(&r, a, &text, &err), ERR_CORRUPT);
        check_str(text, "as it was");
    }
    json_reader_init(&r, STR("\"a\\u0041\""));
    assert_int_equal(json_string_or_null(&r, a, &text, &err), 0);
    check_str(text, "aA");
    json_reader_init(&r, STR("\"\""));
    assert_int_equal(json_string_or_null(&r, a, &text, &err), 0);
    assert_true(text.p != NULL && text.n == 0);
    json_reader_init(&r, STR("\"far more than the sixty-four bytes that the arena has,\\nand an "
                             "escape that makes it a copy\""));
    assert_int_equal(json_string_or_null(&r, a, &text, &err), ERR_LIMIT);
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(good_documents_give_their_tokens),
           cmocka_unit_test(bad_documents_are_refused_at_their_byte),
           cmocka_unit_test(a_last_comma_must_be_asked_for),
           cmocka_unit_test(what_begins_like_a_number_must_be_asked_for),
           cmocka_unit_test(depth_is_bounded),
           cmocka_unit_test(strings_of_any_length_end_where_they_do),
           cmocka_unit_test(escapes_are_resolved), cmocka_unit_test(a_full_arena_gives_no_text),
           cmocka_unit_test(skipping_takes_whole_values),
           cmocka_unit_test(after_the_end_there_is_only_the_end),
           cmocka_unit_test(offsets_name_the_first_byte),
           cmocka_unit_test(members_come_in_order_and_as_often_as_they_stand),
           cmocka_unit_test(a_value_may_be_read_or_not),
           cmocka_unit_test(a_value_that_is_skipped_is_checked),
           cmocka_unit_test(an_object_cut_anywhere_is_none),
           cmocka_unit_test(an_object_with_a_wrong_byte_is_judged_as_by_skipping),
           cmocka_unit_test(members_are_as_deep_as_the_reader_allows),
           cmocka_unit_test(many_and_long_members_are_walked),
           cmocka_unit_test(null_passes_for_no_members_where_it_may),
           cmocka_unit_test(members_are_an_objects), cmocka_unit_test(a_string_or_null_is_taken))
