/*
 * collector/decode_json.c - Docker's json-file: {"log":"text\n","stream":"stdout","time":"..."}.
 *
 * Docker writes its keys in this order, without blanks, so a fixed scan does nearly every line: two
 * memchr and one time, no tree, and no copy for a text whose only escape is the newline at its end.
 * Whatever does not fit that shape goes to base/json, which takes keys in any order.  A text that
 * does not end in a newline goes on in a later line of the same stream.
 */
#include "collector/decode.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

struct scan {
    const char *p, *end;
};

static bool expect(struct scan *s, const char *text, size_t n)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    return true;
}
#define EXPECT(s, literal) expect((s), (literal), sizeof(literal) - 1)

static int hex4(const char *p)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* \uXXXX at s->p (behind the u), with the low half of a pair if there is one; returns the end of
 * what was written to `out`, NULL: it is none. */
static char *unescape_unicode(struct scan *s, char *out)
{
    int high, low;

    if (s->end - s->p < 4 || (high = hex4(s->p)) < 0)
        return NULL;
    s->p += 4;
    if (high >= 0xD800 && high < 0xDC00 && s->end - s->p >= 6 && s->p[0] == '\\' &&
        s->p[1] == 'u') {
        low = hex4(s->p + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            s->p += 6;
            return out + utf8_encode(0x10000u + (((unsigned)high - 0xD800u) << 10) +
                                         ((unsigned)low - 0xDC00u),
                                     out);
        }
    }
    return out + utf8_encode(high >= 0xD800 && high < 0xE000 ? 0xFFFDu : (uint32_t)high, out);
}

/* One escape, s->p behind the backslash; as above.  No escape is shorter than what it stands for.
 */
static char *unescape(struct scan *s, char *out)
{
    static const char TO[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                 ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    char to;

    if (s->p == s->end)
        return NULL;
    if (*s->p == 'u') {
        s->p++;
        return unescape_unicode(s, out);
    }
    to = TO[(unsigned char)*s->p++];
    *out = to;
    return to == '\0' ? NULL : out + 1;
}

/* Bytes of `w` that are `c`: the lowest bit that is set is that of the first. */
static uint64_t bytes_equal(uint64_t w, uint64_t c)
{
    uint64_t x = w ^ (c * UINT64_C(0x0101010101010101));

    return (x - UINT64_C(0x0101010101010101)) & ~x & UINT64_C(0x8080808080808080);
}

/* Copy up to the next quote or backslash; `out` has 8 bytes more than needed. */
static char *copy_plain(struct scan *s, char *out)
{
    const char *p = s->p;

    for (; s->end - p >= 8; p += 8, out += 8) {
        uint64_t w, hit;
        memcpy(&w, p, 8);
        memcpy(out, &w, 8);
        hit = bytes_equal(w, '"') | bytes_equal(w, '\\');
        if (hit != 0) {
            int n = __builtin_ctzll(hit) / 8;
            s->p = p + n;
            return out + n;
        }
    }
    while (p < s->end && *p != '"' && *p != '\\')
        *out++ = *p++;
    s->p = p;
    return out;
}

/* The rest of a string with escapes, s->p at the first backslash, `text` what stood before it.
 * Room is taken once. */
static bool take_escaped(struct scan *s, struct buf *out, struct str text)
{
    char *at;

    buf_clear(out);
    at = buf_room(out, text.n + (size_t)(s->end - s->p) + 8);
    if (at == NULL)
        return false;
    if (text.n > 0)
        memcpy(at, text.p, text.n);
    at += text.n;
    while (s->p < s->end && *s->p == '\\') {
        s->p++;
        at = unescape(s, at);
        if (at == NULL)
            return false;
        at = copy_plain(s, at);
    }
    if (s->p == s->end)
        return false;
    s->p++;
    out->n = (size_t)(at - out->p);
    return true;
}

/* The value of "log" behind its opening quote; *last: it ended in a newline, which is taken off. */
static bool take_log(struct scan *s, struct buf *scratch, struct str *ret, bool *last)
{
    const char *begin = s->p;
    const char *quote = memchr(s->p, '"', (size_t)(s->end - s->p));
    const char *slash;

    if (quote == NULL)
        return false;
    *last = false;
    slash = memchr(begin, '\\', (size_t)(quote - begin));
    if (slash == NULL) {
        *ret = (struct str){begin, (size_t)(quote - begin)};
        s->p = quote + 1;
        return true;
    }
    if (s->end - slash > 2 && slash[1] == 'n' && slash[2] == '"') {
        *ret = (struct str){begin, (size_t)(slash - begin)};
        *last = true;
        s->p = slash + 3;
        return true;
    }
    s->p = slash;
    if (!take_escaped(s, scratch, (struct str){begin, (size_t)(slash - begin)}))
        return false;
    *ret = buf_str(scratch);
    if (ret->n > 0 && ret->p[ret->n - 1] == '\n') {
        ret->n--;
        *last = true;
    }
    return true;
}

static bool fast(struct decoder *d, struct str line, struct piece *ret)
{
    struct scan s = {line.p, line.p + line.n};
    struct piece got = {.stream = DECODE_STDOUT};
    const char *quote;

    if (!EXPECT(&s, "{\"log\":\"") || !take_log(&s, &d->scratch, &got.text, &got.last))
        return false;
    if (EXPECT(&s, ",\"stream\":\"stderr\",\"time\":\""))
        got.stream = DECODE_STDERR;
    else if (!EXPECT(&s, ",\"stream\":\"stdout\",\"time\":\""))
        return false;
    quote = memchr(s.p, '"', (size_t)(s.end - s.p));
    if (quote == NULL || !time_parse_rfc3339((struct str){s.p, (size_t)(quote - s.p)}, &got.ts))
        return false;
    s.p = quote + 1;
    if (!EXPECT(&s, "}") || s.p != s.end)
        return false;
    *ret = got;
    return true;
}

/* "attrs": labels and environment that the log options ask for; strings only, the same in every
 * line. */
static bool take_attrs(struct decoder *d, struct json_reader *r, struct piece *ret)
{
    struct json_token key, value;
    struct err err;
    int e = json_object_or_null(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0) {
        if (json_next(r, &value, &err) < 0 || value.type != JSON_STRING)
            return false;
        if (ret->n_attrs == DECODE_ATTRS_MAX)
            continue;
        d->attrs[ret->n_attrs].name = json_text(&key, d->arena);
        d->attrs[ret->n_attrs].value = json_text(&value, d->arena);
        if (d->attrs[ret->n_attrs].name.n > 0 && d->attrs[ret->n_attrs].value.p != NULL)
            ret->n_attrs++;
    }
    ret->n_attrs = labels_sort(d->attrs, ret->n_attrs);
    ret->attrs = d->attrs;
    return e == 1;
}

struct found {
    bool log, stream, time;
};

static bool take_member(struct decoder *d, struct json_reader *r, const struct json_token *key,
                        struct piece *ret, struct found *found)
{
    struct json_token v;
    struct err err;
    struct str text;

    if (str_eq(key->raw, STR("attrs")))
        return take_attrs(d, r, ret);
    if (!str_eq(key->raw, STR("log")) && !str_eq(key->raw, STR("stream")) &&
        !str_eq(key->raw, STR("time")))
        return true;
    if (json_next(r, &v, &err) < 0 || v.type != JSON_STRING)
        return false;
    text = json_text(&v, d->arena);
    if (text.p == NULL)
        return false;
    if (key->raw.p[0] == 'l') {
        found->log = true;
        ret->last = text.n > 0 && text.p[text.n - 1] == '\n';
        ret->text = str_sub(text, 0, text.n - (ret->last ? 1 : 0));
    } else if (key->raw.p[0] == 's') {
        found->stream = str_eq(text, STR("stdout")) || str_eq(text, STR("stderr"));
        ret->stream = str_eq(text, STR("stderr")) ? DECODE_STDERR : DECODE_STDOUT;
    } else {
        found->time = time_parse_rfc3339(text, &ret->ts);
    }
    return true;
}

bool decode_json(struct decoder *d, struct str line, struct piece *ret)
{
    struct piece got = {0};
    struct found found = {false, false, false};
    struct json_reader r;
    struct json_token t;
    struct err err;
    int e;

    if (fast(d, line, ret))
        return true;
    arena_reset(d->arena);
    e = json_reader_init_object(&r, line, &err);
    while (e == 0 && (e = json_member(&r, &t, &err)) == 0)
        if (!take_member(d, &r, &t, &got, &found))
            return false;
    if (e < 0 || !found.log || !found.stream || !found.time || str_trim(json_rest(&r)).n > 0)
        return false;
    *ret = got;
    return true;
}
