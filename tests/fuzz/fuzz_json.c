/*
 * tests/fuzz/fuzz_json.c - any bytes through the reader of base/json.h.
 *
 * Tokens lie inside the input; texts, quoted again, read back as themselves if they are UTF-8;
 * skipping a value and reading it agree on whether it is one, and where it ends; so do walking an
 * object's members, read or not, and how many there are.
 */
#include "base/json.h"
#include "base/obj.h"
#include "base/utf8.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str text, struct arena *a)
{
    struct json_reader r;
    struct json_token tok;
    struct err err;
    struct buf out;
    struct str back;

    buf_init(&out, 8 * text.n + 2);
    json_quote(&out, text);
    INVARIANT(!out.over && utf8_valid(buf_str(&out)) == out.n);
    json_reader_init(&r, buf_str(&out));
    INVARIANT(json_next(&r, &tok, &err) == 0 && tok.type == JSON_STRING);
    INVARIANT(json_rest(&r).n == 0);
    back = json_text(&tok, a);
    INVARIANT(back.p != NULL);
    if (utf8_valid(text) == text.n)
        INVARIANT(str_eq(text, back));
    buf_fini(&out);
}

/* 0, or the error; *rest is what is left behind the top-level value. */
static int read_all(struct str input, bool lenient, struct arena *a, struct str *rest)
{
    struct json_reader r;
    struct json_token tok;
    struct err err;
    size_t tokens = 0;

    json_reader_init(&r, input);
    if (lenient)
        json_reader_lenient(&r);
    do {
        if (json_next(&r, &tok, &err) < 0)
            return err.code;
        INVARIANT(tok.offset <= input.n && tokens++ <= input.n);
        if (tok.type == JSON_KEY || tok.type == JSON_STRING) {
            INVARIANT(tok.raw.p > input.p && tok.raw.n < input.n);
            check_text(json_text(&tok, a), a);
            arena_reset(a);
        }
    } while (tok.type != JSON_END);
    *rest = json_rest(&r);
    return 0;
}

/* The members of the object that `r` is to read; every other value is left to the walk to skip. */
static int walk(struct json_reader *r, size_t *count)
{
    struct json_token key;
    struct err err;
    int e = json_object(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0) {
        INVARIANT(key.type == JSON_KEY);
        if ((*count)++ % 2 == 0)
            e = json_skip(r, NULL, &err);
    }
    INVARIANT(e == 1 || err.code == ERR_CORRUPT);
    return e;
}

/* As many as walk finds in an object that is one, token by token. */
static size_t count_members(struct str input)
{
    struct json_reader r;
    struct json_token tok;
    struct err err;
    size_t n = 0;

    json_reader_init(&r, input);
    while (json_next(&r, &tok, &err) == 0 && tok.type != JSON_END)
        n += tok.type == JSON_KEY && r.depth == 1;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct str rest = STR_NULL;
    struct str raw;
    struct json_reader r;
    struct err err;
    struct arena *a = arena_new(NULL, 16 * size + 4096);
    size_t members = 0;
    int walked, e = read_all(input, false, a, &rest);

    INVARIANT(e == 0 || e == ERR_CORRUPT);
    json_reader_init(&r, input);
    INVARIANT(json_skip(&r, &raw, &err) == e);
    if (e == 0) {
        struct str again = json_rest(&r);
        INVARIANT(again.n >= rest.n && raw.p + raw.n == again.p);
        INVARIANT(read_all(input, true, a, &again) == 0 && again.n == rest.n);
    } else {
        (void)read_all(input, true, a, &rest);
    }
    json_reader_init(&r, input);
    walked = walk(&r, &members);
    INVARIANT((walked == 1) == (e == 0 && raw.p[0] == '{'));
    INVARIANT(walked != 1 || (json_rest(&r).p == raw.p + raw.n && members == count_members(input)));
    arena_free(&a);
    return 0;
}
