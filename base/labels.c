/*
 * base/labels.c - see labels.h.
 *
 * labels_hash is XXH3-128 over (length of name, name, length of value, value) of each label in
 * order, lengths as 32-bit little-endian: no two different sets give the same bytes.
 */
#include "base/labels.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { INSERTION_MAX = 24, HASH_STACK = 1024 };

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool label_name_ok(struct str name)
{
    if (name.n == 0 || !is_alpha(name.p[0]))
        return false;
    for (size_t i = 1; i < name.n; i++)
        if (!is_alpha(name.p[i]) && !is_digit(name.p[i]))
            return false;
    return true;
}

/* ---- sorting: stable, by name ---- */

static void insertion_sort(struct label *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct label x = v[i];
        size_t j = i;
        while (j > 0 && str_cmp(v[j - 1].name, x.name) > 0) {
            v[j] = v[j - 1];
            j--;
        }
        v[j] = x;
    }
}

/* Merge the sorted runs [0, mid) and [mid, n) of `from` into `to`. */
static void merge(const struct label *from, size_t mid, size_t n, struct label *to)
{
    size_t a = 0;
    size_t b = mid;

    for (size_t i = 0; i < n; i++) {
        if (a < mid && (b == n || str_cmp(from[a].name, from[b].name) <= 0))
            to[i] = from[a++];
        else
            to[i] = from[b++];
    }
}

static void sort_stable(struct label *v, size_t n)
{
    struct label *spare = n > INSERTION_MAX ? malloc(n * sizeof(*v)) : NULL;
    struct label *from = v;
    struct label *to = spare;

    if (spare == NULL) { /* small, or out of memory: slow but right */
        insertion_sort(v, n);
        return;
    }
    for (size_t at = 0; at < n; at += INSERTION_MAX)
        insertion_sort(v + at, n - at < INSERTION_MAX ? n - at : INSERTION_MAX);
    for (size_t run = INSERTION_MAX; run < n; run *= 2) {
        struct label *was = from;
        for (size_t at = 0; at < n; at += 2 * run) {
            size_t left = n - at;
            merge(from + at, left < run ? left : run, left < 2 * run ? left : 2 * run, to + at);
        }
        from = to;
        to = was;
    }
    if (from != v)
        memcpy(v, from, n * sizeof(*v));
    free(spare);
}

static bool is_sorted(const struct label *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (str_cmp(v[i - 1].name, v[i].name) > 0)
            return false;
    return true;
}

size_t labels_sort(struct label *v, size_t n)
{
    size_t kept = 0;

    if (!is_sorted(v, n))
        sort_stable(v, n);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && str_eq(v[i].name, v[i + 1].name))
            continue; /* the later one wins, also with an empty value */
        if (v[i].value.n > 0)
            v[kept++] = v[i];
    }
    return kept;
}

/* ---- sets ---- */

struct str labels_get(const struct labels *l, struct str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].name, name))
            return l->v[i].value;
    return STR_NULL;
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!str_eq(a->v[i].value, b->v[i].value) || !str_eq(a->v[i].name, b->v[i].name))
            return false;
    return true;
}

int labels_cmp(const struct labels *a, const struct labels *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        int r = str_cmp(a->v[i].name, b->v[i].name);
        if (r == 0)
            r = str_cmp(a->v[i].value, b->v[i].value);
        if (r != 0)
            return r;
    }
    return (a->n > b->n) - (a->n < b->n);
}

static void put_length(unsigned char *p, size_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(n >> (8 * i));
}

static char *put_piece(char *p, struct str s)
{
    put_length((unsigned char *)p, s.n);
    if (s.n > 0)
        memcpy(p + 4, s.p, s.n);
    return p + 4 + s.n;
}

static void hash_piece(XXH3_state_t *state, struct str s)
{
    unsigned char length[4];

    put_length(length, s.n);
    (void)XXH3_128bits_update(state, length, sizeof(length));
    if (s.n > 0)
        (void)XXH3_128bits_update(state, s.p, s.n);
}

struct hash128 labels_hash(const struct labels *l)
{
    char flat[HASH_STACK];
    char *p = flat;
    XXH3_state_t state;
    XXH128_hash_t h;
    size_t total = 0;

    for (size_t i = 0; i < l->n && total <= sizeof(flat); i++)
        total += 8 + l->v[i].name.n + l->v[i].value.n;
    if (total <= sizeof(flat)) {
        for (size_t i = 0; i < l->n; i++)
            p = put_piece(put_piece(p, l->v[i].name), l->v[i].value);
        return hash128_bytes(flat, total);
    }
    XXH3_INITSTATE(&state);
    (void)XXH3_128bits_reset(&state);
    for (size_t i = 0; i < l->n; i++) {
        hash_piece(&state, l->v[i].name);
        hash_piece(&state, l->v[i].value);
    }
    h = XXH3_128bits_digest(&state);
    return (struct hash128){h.low64, h.high64};
}

int labels_copy(struct arena *a, const struct labels *from, struct labels *ret, struct err *err)
{
    struct label *v = arena_alloc(a, from->n * sizeof(*v));

    if (v == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < from->n; i++) {
        v[i].name = arena_str(a, from->v[i].name);
        v[i].value = v[i].name.p == NULL ? STR_NULL : arena_str(a, from->v[i].value);
        if (v[i].value.p == NULL)
            return arena_err(a, err);
    }
    *ret = (struct labels){v, from->n};
    return 0;
}

/* ---- text out ---- */

void labels_format(struct buf *b, const struct labels *l)
{
    buf_add_char(b, '{');
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            buf_add(b, ", ", 2);
        buf_add_str(b, l->v[i].name);
        buf_add_char(b, '=');
        quote_add(b, l->v[i].value);
    }
    buf_add_char(b, '}');
}

void labels_put_json(struct json_writer *w, const struct labels *l)
{
    json_put_object(w);
    for (size_t i = 0; i < l->n; i++) {
        json_put_key(w, l->v[i].name);
        json_put_string(w, l->v[i].value);
    }
    json_put_object_end(w);
}

/* Ranges of code points above ASCII that have no visible form: controls, spaces but U+0020, format
 * and private characters, and noncharacters.  Code points that Unicode has not assigned count as
 * visible. */
static bool is_hidden(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {{0x80, 0xa0},       {0xad, 0xad},       {0x600, 0x605},   {0x61c, 0x61c},
                  {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x1680, 0x1680}, {0x180e, 0x180e},
                  {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x206f}, {0x3000, 0x3000},
                  {0xe000, 0xf8ff},   {0xfdd0, 0xfdef},   {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
                  {0xe0000, 0xe00ff}, {0xe01f0, 0x10ffff}};

    if ((cp & 0xfffe) == 0xfffe)
        return true;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (cp >= hidden[i].first && cp <= hidden[i].last)
            return true;
    return false;
}

static void quote_ascii(struct buf *b, unsigned char c)
{
    static const char codes[] = "abtnvfr"; /* of 7 .. 13 */

    if (c == '"' || c == '\\')
        buf_addf(b, "\\%c", c);
    else if (c >= 7 && c <= 13)
        buf_addf(b, "\\%c", codes[c - 7]);
    else if (c < ' ' || c == 0x7f)
        buf_addf(b, "\\x%02x", (unsigned)c);
    else
        buf_add_char(b, (char)c);
}

/* The code point of a well-formed sequence of 2..4 bytes. */
static uint32_t decode(const char *p, size_t len)
{
    uint32_t cp = (unsigned char)p[0] & (0xffu >> (len + 1));

    for (size_t i = 1; i < len; i++)
        cp = cp << 6 | ((unsigned char)p[i] & 0x3fu);
    return cp;
}

static void quote_wide(struct buf *b, const char *p, size_t len)
{
    uint32_t cp = decode(p, len);

    if (!is_hidden(cp))
        buf_add(b, p, len);
    else if (cp < 0x10000)
        buf_addf(b, "\\u%04x", cp);
    else
        buf_addf(b, "\\U%08x", cp);
}

static size_t plain_run(struct str s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] >= ' ' && s.p[n] < 0x7f && s.p[n] != '"' && s.p[n] != '\\')
        n++;
    return n;
}

void quote_add(struct buf *b, struct str s)
{
    buf_add_char(b, '"');
    while (s.n > 0 && !b->over) {
        size_t n = plain_run(s);
        unsigned char c;
        buf_add(b, s.p, n);
        s = str_from(s, n);
        if (s.n == 0)
            break;
        c = (unsigned char)s.p[0];
        n = 1;
        if (c < 0x80) {
            quote_ascii(b, c);
        } else {
            size_t len = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
            if (len <= s.n && utf8_valid(str_sub(s, 0, len)) == len) {
                quote_wide(b, s.p, len);
                n = len;
            } else {
                buf_addf(b, "\\x%02x", (unsigned)c);
            }
        }
        s = str_from(s, n);
    }
    buf_add_char(b, '"');
}

/* ---- text in ---- */

struct parser {
    struct arena *arena;
    const char *begin, *p, *end;
    struct label *v; /* in the arena */
    size_t n, cap;
};

static int complain(const struct parser *ps, const char *at, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "column %zu: %s", (size_t)(at - ps->begin) + 1, what);
}

static bool skip_to(struct parser *ps, char c)
{
    while (ps->p < ps->end && strchr(" \t\r\n", *ps->p) != NULL && *ps->p != '\0')
        ps->p++;
    return ps->p < ps->end && *ps->p == c;
}

static int hex_value(const char *p, size_t n, uint32_t *ret)
{
    uint32_t v = 0;

    for (size_t i = 0; i < n; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | (unsigned)digit;
    }
    *ret = v;
    return 0;
}

/* \xNN, \uNNNN, \UNNNNNNNN or \NNN (octal); ps->p is on the character behind the backslash. */
static int unescape_number(struct parser *ps, struct buf *out, struct err *err)
{
    const char *at = ps->p - 1;
    char kind = *ps->p;
    size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3;
    size_t left = (size_t)(ps->end - ps->p);
    uint32_t v = 0;

    if (digits == 3) {
        for (size_t i = 0; i < 3; i++) {
            if (i >= left || ps->p[i] < '0' || ps->p[i] > '7')
                return complain(ps, at, "unknown escape", err);
            v = v << 3 | (uint32_t)(ps->p[i] - '0');
        }
    } else {
        if (left - 1 < digits || hex_value(ps->p + 1, digits, &v) < 0)
            return complain(ps, at, "escape without its digits", err);
        digits++;
    }
    ps->p += digits;
    if (kind == 'u' || kind == 'U') {
        if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
            return complain(ps, at, "escape is no character", err);
        utf8_add(out, v);
        return 0;
    }
    if (v > 0xff)
        return complain(ps, at, "escape is no byte", err);
    buf_add_char(out, (char)v);
    return 0;
}

static int unescape(struct parser *ps, struct buf *out, struct err *err)
{
    static const char names[] = "abfnrtv\\\"";
    static const char bytes[] = "\a\b\f\n\r\t\v\\\"";
    const char *hit;

    ps->p++; /* the backslash */
    if (ps->p == ps->end)
        return complain(ps, ps->p, "string does not end", err);
    hit = *ps->p == '\0' ? NULL : strchr(names, *ps->p);
    if (hit == NULL)
        return unescape_number(ps, out, err);
    buf_add_char(out, bytes[hit - names]);
    ps->p++;
    return 0;
}

static int parse_quoted(struct parser *ps, struct buf *out, struct err *err)
{
    const char *open = ps->p++;

    while (ps->p < ps->end && *ps->p != '"') {
        int r = 0;
        if (*ps->p == '\\')
            r = unescape(ps, out, err);
        else if (*ps->p == '\n')
            r = complain(ps, ps->p, "line break in a string", err);
        else
            buf_add_char(out, *ps->p++);
        if (r < 0)
            return r;
    }
    if (ps->p == ps->end)
        return complain(ps, open, "string does not end", err);
    ps->p++;
    return 0;
}

static int parse_value(struct parser *ps, struct str *ret, struct err *err)
{
    struct buf out;
    int r = 0;

    if (skip_to(ps, '`')) {
        struct str raw = {ps->p + 1, (size_t)(ps->end - ps->p) - 1};
        size_t n = str_find_char(raw, '`');
        if (n == SIZE_MAX)
            return complain(ps, ps->p, "string does not end", err);
        ps->p += n + 2;
        *ret = arena_str(ps->arena, str_sub(raw, 0, n));
        return ret->p == NULL ? arena_err(ps->arena, err) : 0;
    }
    if (ps->p == ps->end || *ps->p != '"')
        return complain(ps, ps->p, "a quoted value is wanted here", err);
    buf_init(&out, (size_t)(ps->end - ps->p));
    r = parse_quoted(ps, &out, err);
    if (r == 0)
        r = buf_err(&out, "value", err);
    if (r == 0) {
        *ret = arena_str(ps->arena, buf_str(&out));
        if (ret->p == NULL)
            r = arena_err(ps->arena, err);
    }
    buf_fini(&out);
    return r;
}

static int add_label(struct parser *ps, struct label l, struct err *err)
{
    if (ps->n == ps->cap) {
        size_t cap = ps->cap == 0 ? 16 : ps->cap * 2;
        struct label *v = arena_alloc(ps->arena, cap * sizeof(*v));
        if (v == NULL)
            return arena_err(ps->arena, err);
        if (ps->n > 0)
            memcpy(v, ps->v, ps->n * sizeof(*v));
        ps->v = v;
        ps->cap = cap;
    }
    ps->v[ps->n++] = l;
    return 0;
}

/* name = "value" */
static int parse_pair(struct parser *ps, struct err *err)
{
    const char *name = ps->p;
    struct label l;
    int r;

    while (ps->p < ps->end && (is_alpha(*ps->p) || is_digit(*ps->p)))
        ps->p++;
    l.name = (struct str){name, (size_t)(ps->p - name)};
    if (!label_name_ok(l.name))
        return complain(ps, name, "a label name is wanted here", err);
    l.name = arena_str(ps->arena, l.name);
    if (l.name.p == NULL)
        return arena_err(ps->arena, err);
    if (!skip_to(ps, '='))
        return complain(ps, ps->p, "'=' is wanted here", err);
    ps->p++;
    r = parse_value(ps, &l.value, err);
    return r < 0 ? r : add_label(ps, l, err);
}

int labels_parse(struct arena *a, struct str text, struct labels *ret, struct err *err)
{
    const char *begin = text.n == 0 ? "" : text.p;
    struct parser ps = {.arena = a, .begin = begin, .p = begin, .end = begin + text.n};

    if (!skip_to(&ps, '{'))
        return complain(&ps, ps.p, "'{' is wanted here", err);
    ps.p++;
    while (!skip_to(&ps, '}')) {
        int r = parse_pair(&ps, err);
        if (r < 0)
            return r;
        if (skip_to(&ps, ','))
            ps.p++;
        else if (!skip_to(&ps, '}'))
            return complain(&ps, ps.p, "',' or '}' is wanted here", err);
    }
    ps.p++;
    (void)skip_to(&ps, '\0');
    if (ps.p != ps.end)
        return complain(&ps, ps.p, "something stands behind the labels", err);
    sort_stable(ps.v, ps.n);
    for (size_t i = 1; i < ps.n; i++)
        if (str_eq(ps.v[i - 1].name, ps.v[i].name))
            return err_set(err, ERR_INVALID, "column 1: label '%.*s' is given twice",
                           (int)(ps.v[i].name.n < 100 ? ps.v[i].name.n : 100), ps.v[i].name.p);
    *ret = (struct labels){ps.v, labels_sort(ps.v, ps.n)};
    return 0;
}
