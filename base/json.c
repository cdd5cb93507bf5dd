/*
 * base/json.c - the reader of json.h.
 *
 * Why a pull reader: a query looks at each of millions of log lines once and mostly wants a few of
 * the keys.  Nothing is copied, nothing allocated; the only loops over bytes are those over blanks,
 * numbers and strings, and the last is where the time goes.  It is done 16 or 32 bytes at once, the
 * wider form being chosen at run time, so that one binary fits all machines.
 *
 * Invariants
 *   (1) begin <= p <= end, and no byte at or behind `end` is read, not even to be thrown away;
 *   (2) bit depth-1 of in_object says what the innermost open container is, and depth is at most
 *       JSON_DEPTH_MAX;
 *   (3) an escape in a token that was handed out is well-formed, so json_text cannot fail on it.
 */
#include "base/json.h"

#include "base/hex.h"
#include "base/obj.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum state {
    STATE_VALUE,      /* a value must come: at the top, or behind a colon */
    STATE_FIRST_ITEM, /* behind [ */
    STATE_ITEM,       /* behind a comma in an array */
    STATE_FIRST_KEY,  /* behind { */
    STATE_KEY,        /* behind a comma in an object */
    STATE_AFTER,      /* behind a value */
    STATE_BROKEN,     /* an error was returned */
};

/* ---- finding the end of a string ---- */

#if defined(__x86_64__)

/* Bit i: byte i of the 16 at `p` is a quote or a backslash. */
static inline unsigned stops_16(const char *p)
{
    __m128i x = _mm_loadu_si128((const void *)p);
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(quote, slash));
}

/* The first quote or backslash in the 32-byte steps from p, or where less than one step is left. */
__attribute__((target("avx2"))) static const char *stop_avx2(const char *p, const char *end)
{
    const __m256i quote = _mm256_set1_epi8('"');
    const __m256i slash = _mm256_set1_epi8('\\');

    for (; end - p >= 32; p += 32) {
        __m256i x = _mm256_loadu_si256((const void *)p);
        __m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(x, quote), _mm256_cmpeq_epi8(x, slash));
        unsigned mask = (unsigned)_mm256_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
    return p;
}

/* As find_stop, for what is behind the first 16 bytes of a string. */
static const char *find_stop_far(const char *p, const char *end)
{
    if (end - p >= 64 && __builtin_cpu_supports("avx2"))
        p = stop_avx2(p, end); /* a hit is found again below, at once */
    for (; end - p >= 16; p += 16) {
        unsigned mask = stops_16(p);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

#endif

/* The first quote or backslash in [p, end), or `end`.  Most strings are short: the first step stays
 * inline. */
static inline const char *find_stop(const char *p, const char *end)
{
#if defined(__x86_64__)
    if (end - p >= 16) {
        unsigned mask = stops_16(p);
        if (mask != 0)
            return p + __builtin_ctz(mask);
        return find_stop_far(p + 16, end);
    }
#endif
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Length of the escape at `p`, which is a backslash; 0 if it is none. */
static size_t escape_length(const char *p, const char *end)
{
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ? 2 : 0;
    if (end - p < 6)
        return 0;
    for (int i = 2; i < 6; i++) {
        if (hex_digit(p[i]) < 0)
            return 0;
    }
    return 6;
}

/* ---- tokens ---- */

static int fail(struct json_reader *r, const char *at, const char *what, struct err *err)
{
    r->state = STATE_BROKEN;
    r->p = at;
    return err_set(err, ERR_CORRUPT, "JSON: %s at byte %zu", what, (size_t)(at - r->begin));
}

static inline const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* May not follow a number or literal directly: "truely", "1.5.2". */
static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '.' || c == '+' || c == '-';
}

/* The string that opens at `p`; leaves r->p behind its closing quote. */
static int read_string(struct json_reader *r, const char *p, struct json_token *ret,
                       struct err *err)
{
    const char *text = p + 1;

    ret->offset = (size_t)(p - r->begin);
    ret->escaped = false;
    for (p = find_stop(text, r->end); p < r->end && *p == '\\'; p = find_stop(p, r->end)) {
        size_t n = escape_length(p, r->end); /* keeps (3) */
        if (n == 0)
            return fail(r, p, "bad escape", err);
        ret->escaped = true;
        p += n;
    }
    if (p == r->end)
        return fail(r, text - 1, "string without an end", err);
    ret->raw = (struct str){text, (size_t)(p - text)};
    r->p = p + 1;
    return 0;
}

static int read_key(struct json_reader *r, const char *p, struct json_token *ret, struct err *err)
{
    int e;

    if (*p != '"')
        return fail(r, p, "expected a key in quotes", err);
    e = read_string(r, p, ret, err);
    if (e < 0)
        return e;
    p = skip_blanks(r->p, r->end);
    if (p == r->end || *p != ':')
        return fail(r, p, "expected ':'", err);
    ret->type = JSON_KEY;
    r->p = p + 1;
    r->state = STATE_VALUE;
    return 0;
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* Where the number at `p` ends; NULL: it is none. */
static const char *number_end(const char *p, const char *end)
{
    const char *digits;

    if (p < end && *p == '-')
        p++;
    digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

static const char *literal_end(const char *p, const char *end, struct str word)
{
    if ((size_t)(end - p) < word.n || memcmp(p, word.p, word.n) != 0)
        return NULL;
    return p + word.n;
}

static bool ends_value(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',' || c == '}' || c == ']';
}

/* As number_end, for lenient readers: whatever begins like a number. */
static const char *loose_end(const char *p, const char *end)
{
    if (!is_digit(*p) && *p != '-')
        return NULL;
    while (p < end && !ends_value(*p))
        p++;
    return p;
}

/* A number, true, false or null. */
static int read_scalar(struct json_reader *r, const char *p, struct json_token *ret,
                       struct err *err)
{
    bool is_loose = r->lenient && r->depth > 0;
    const char *stop;

    switch (*p) {
    case 't':
        ret->type = JSON_TRUE;
        stop = literal_end(p, r->end, STR("true"));
        break;
    case 'f':
        ret->type = JSON_FALSE;
        stop = literal_end(p, r->end, STR("false"));
        break;
    case 'n':
        ret->type = JSON_NULL;
        stop = literal_end(p, r->end, STR("null"));
        break;
    default:
        ret->type = JSON_NUMBER;
        stop = is_loose ? loose_end(p, r->end) : number_end(p, r->end);
        break;
    }
    if (stop == NULL || (stop < r->end && (is_loose ? !ends_value(*stop) : is_word(*stop))))
        return fail(r, p, "expected a value", err);
    ret->raw = (struct str){p, (size_t)(stop - p)};
    ret->escaped = false;
    ret->offset = (size_t)(p - r->begin);
    r->p = stop;
    r->state = STATE_AFTER;
    return 0;
}

static int open_container(struct json_reader *r, const char *p, bool object, struct json_token *ret,
                          struct err *err)
{
    uint64_t bit;

    if (r->depth == JSON_DEPTH_MAX)
        return fail(r, p, "nested too deep", err); /* keeps (2) */
    bit = UINT64_C(1) << r->depth;
    r->in_object = object ? r->in_object | bit : r->in_object & ~bit;
    r->depth++;
    *ret = (struct json_token){
        .type = object ? JSON_OBJECT : JSON_ARRAY, .raw = {p, 1}, .offset = (size_t)(p - r->begin)};
    r->state = object ? STATE_FIRST_KEY : STATE_FIRST_ITEM;
    r->p = p + 1;
    return 0;
}

static void close_container(struct json_reader *r, const char *p, struct json_token *ret)
{
    *ret = (struct json_token){.type = *p == '}' ? JSON_OBJECT_END : JSON_ARRAY_END,
                               .raw = {p, 1},
                               .offset = (size_t)(p - r->begin)};
    r->depth--;
    r->state = STATE_AFTER;
    r->p = p + 1;
}

static int read_value(struct json_reader *r, const char *p, struct json_token *ret, struct err *err)
{
    int e;

    switch (*p) {
    case '"':
        e = read_string(r, p, ret, err);
        if (e < 0)
            return e;
        ret->type = JSON_STRING;
        r->state = STATE_AFTER;
        return 0;
    case '{':
        return open_container(r, p, true, ret, err);
    case '[':
        return open_container(r, p, false, ret, err);
    default:
        return read_scalar(r, p, ret, err);
    }
}

static inline bool in_object(const struct json_reader *r)
{
    return (r->in_object >> (r->depth - 1) & 1) != 0;
}

/* Behind a value in a container: past the comma, if one is here, to what must follow it. */
static const char *pass_comma(struct json_reader *r, const char *p)
{
    if (p < r->end && *p == ',') {
        r->state = in_object(r) ? STATE_KEY : STATE_ITEM;
        p = skip_blanks(p + 1, r->end);
    }
    return p;
}

/* May the innermost container end here? */
static bool may_close(const struct json_reader *r)
{
    switch ((enum state)r->state) {
    case STATE_FIRST_ITEM:
    case STATE_FIRST_KEY:
    case STATE_AFTER:
        return true;
    case STATE_ITEM:
    case STATE_KEY:
        return r->lenient;
    case STATE_VALUE:
    case STATE_BROKEN:
        break;
    }
    return false;
}

void json_reader_init(struct json_reader *r, struct str text)
{
    /* NULL + 0 is no pointer arithmetic to rely on */
    const char *p = text.n == 0 ? "" : text.p;

    *r = (struct json_reader){.begin = p, .p = p, .end = p + text.n, .state = STATE_VALUE};
}

void json_reader_init_part(struct json_reader *r, struct str text, struct str part)
{
    INVARIANT(part.p >= text.p && part.n <= text.n - (size_t)(part.p - text.p));
    json_reader_init(r, part);
    r->begin = text.p;
}

void json_reader_lenient(struct json_reader *r)
{
    r->lenient = true;
}

int json_next(struct json_reader *r, struct json_token *ret, struct err *err)
{
    const char *p = skip_blanks(r->p, r->end);

    if (r->state == STATE_BROKEN)
        return fail(r, r->p, "read on behind an error", err);
    if (r->state == STATE_AFTER) {
        if (r->depth == 0) {
            *ret = (struct json_token){.type = JSON_END, .offset = (size_t)(p - r->begin)};
            r->p = p;
            return 0;
        }
        p = pass_comma(r, p);
    }
    if (p == r->end)
        return fail(r, p, "ends too early", err);
    if (r->depth > 0 && *p == (in_object(r) ? '}' : ']') && may_close(r)) {
        close_container(r, p, ret);
        return 0;
    }
    if (r->state == STATE_AFTER)
        return fail(r, p, in_object(r) ? "expected ',' or '}'" : "expected ',' or ']'", err);
    if (r->state == STATE_FIRST_KEY || r->state == STATE_KEY)
        return read_key(r, p, ret, err);
    return read_value(r, p, ret, err);
}

int json_skip(struct json_reader *r, struct str *raw, struct err *err)
{
    unsigned depth = r->depth;
    struct json_token tok = {.type = JSON_END};
    const char *begin;
    int e = json_next(r, &tok, err);

    if (e < 0)
        return e;
    if (tok.type == JSON_END || r->depth < depth)
        return 1;
    begin = r->begin + tok.offset;
    while (r->depth > depth) {
        e = json_next(r, &tok, err);
        if (e < 0)
            return e;
    }
    if (raw != NULL)
        *raw = (struct str){begin, (size_t)(r->p - begin)};
    return 0;
}

/* ---- members ---- */

static int fail_token(struct json_reader *r, const struct json_token *tok, const char *what,
                      struct err *err)
{
    return fail(r, r->begin + tok->offset, what, err);
}

int json_object(struct json_reader *r, struct err *err)
{
    struct json_token tok;
    int e = json_next(r, &tok, err);

    return e < 0 || tok.type == JSON_OBJECT ? e : fail_token(r, &tok, "expected an object", err);
}

int json_reader_init_object(struct json_reader *r, struct str text, struct err *err)
{
    json_reader_init(r, text);
    return json_object(r, err);
}

int json_object_or_null(struct json_reader *r, struct err *err)
{
    struct json_token tok;
    int e = json_next(r, &tok, err);

    if (e < 0 || tok.type == JSON_OBJECT)
        return e;
    return tok.type == JSON_NULL ? 1 : fail_token(r, &tok, "expected an object or null", err);
}

int json_member(struct json_reader *r, struct json_token *key, struct err *err)
{
    int e = 0;

    if (r->state == STATE_VALUE && r->depth > 0) /* behind a key that nobody wanted */
        e = json_skip(r, NULL, err);
    if (e == 0)
        e = json_next(r, key, err);
    if (e < 0 || key->type == JSON_KEY)
        return e;
    return key->type == JSON_OBJECT_END ? 1 : fail_token(r, key, "expected a member", err);
}

struct str json_rest(const struct json_reader *r)
{
    return (struct str){r->p, (size_t)(r->end - r->p)};
}

/* ---- text of a string ---- */

/* Four hex digits, known to be there. */
static uint32_t hex_4(const char *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)hex_digit(p[i]);
    return v;
}

static char *put_utf8(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        *out++ = (char)cp;
    } else if (cp < 0x800) {
        *out++ = (char)(0xc0 | cp >> 6);
        *out++ = (char)(0x80 | (cp & 0x3f));
    } else if (cp < 0x10000) {
        *out++ = (char)(0xe0 | cp >> 12);
        *out++ = (char)(0x80 | (cp >> 6 & 0x3f));
        *out++ = (char)(0x80 | (cp & 0x3f));
    } else {
        *out++ = (char)(0xf0 | cp >> 18);
        *out++ = (char)(0x80 | (cp >> 12 & 0x3f));
        *out++ = (char)(0x80 | (cp >> 6 & 0x3f));
        *out++ = (char)(0x80 | (cp & 0x3f));
    }
    return out;
}

/* The code point of the \u escape at *p (and of the one behind it, if they are a pair); moves *p
 * past. */
static uint32_t unescape_u(const char **p, const char *end)
{
    uint32_t cp = hex_4(*p + 2);

    *p += 6;
    if (cp < 0xd800 || cp > 0xdfff)
        return cp;
    if (cp < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        uint32_t low = hex_4(*p + 2);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *p += 6;
            return 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

static char unescape_letter(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* " \ / */
    }
}

struct str json_text(const struct json_token *tok, struct arena *a)
{
    const char *p = tok->raw.p;
    const char *end;
    char *text;
    char *out;

    if (!tok->escaped)
        return tok->raw;
    end = p + tok->raw.n;
    text = arena_bytes(a, tok->raw.n); /* no escape is shorter than what it stands for */
    if (text == NULL)
        return STR_NULL;
    out = text;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash == NULL ? end : slash) - p);
        memcpy(out, p, n);
        out += n;
        p += n;
        if (p == end)
            break;
        if (p[1] == 'u') { /* (3) */
            out = put_utf8(out, unescape_u(&p, end));
        } else {
            *out++ = unescape_letter(p[1]);
            p += 2;
        }
    }
    return (struct str){text, (size_t)(out - text)};
}

int json_string_or_null(struct json_reader *r, struct arena *a, struct str *ret, struct err *err)
{
    struct json_token tok;
    struct str text;
    int e = json_next(r, &tok, err);

    if (e < 0 || tok.type == JSON_NULL)
        return e;
    if (tok.type != JSON_STRING)
        return fail_token(r, &tok, "expected a string or null", err);
    text = json_text(&tok, a);
    if (text.p == NULL)
        return arena_err(a, err);
    *ret = text;
    return 0;
}
