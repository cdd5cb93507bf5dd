/* base/utf8.c - see utf8.h.  The table of well-formed sequences is RFC 3629, section 4. */
#include "base/utf8.h"

#include <string.h>

/* Length of the well-formed sequence at p, or 0 and *bad = length of its maximal ill-formed part
 * (>= 1). */
static size_t sequence(const unsigned char *p, size_t n, size_t *bad)
{
    unsigned char first = p[0];
    unsigned char lo = 0x80;
    unsigned char hi = 0xbf;
    size_t len;

    *bad = 1;
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0xe0)
        lo = 0xa0; /* below: overlong */
    else if (first == 0xed)
        hi = 0x9f; /* above: surrogates */
    else if (first == 0xf0)
        lo = 0x90; /* below: overlong */
    else if (first == 0xf4)
        hi = 0x8f; /* above: past U+10FFFF */
    for (size_t i = 1; i < len; i++) {
        if (i >= n || p[i] < lo || p[i] > hi) {
            *bad = i;
            return 0;
        }
        lo = 0x80;
        hi = 0xbf;
    }
    return len;
}

/* Bytes of pure ASCII at the start, in steps of 32. */
static size_t ascii_run(const unsigned char *p, size_t n)
{
    size_t i = 0;

    while (n - i >= 32) {
        uint64_t w[4];
        memcpy(w, p + i, sizeof(w));
        if (((w[0] | w[1] | w[2] | w[3]) & UINT64_C(0x8080808080808080)) != 0)
            break;
        i += 32;
    }
    return i;
}

size_t utf8_valid(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;

    while (i < s.n) {
        size_t stop;
        i += ascii_run(p + i, s.n - i);
        stop = s.n - i < 64 ? s.n : i + 64; /* then a stretch bytewise */
        while (i < stop) {
            size_t bad;
            size_t len = sequence(p + i, s.n - i, &bad);
            if (len == 0)
                return i;
            i += len;
        }
    }
    return s.n;
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

struct str utf8_cut(struct str s, size_t n)
{
    size_t at = n;

    if (s.n <= n)
        return s;
    while (at > 0 && n - at < 3 && continues(s.p[at]))
        at--;
    return str_sub(s, 0, continues(s.p[at]) ? n : at);
}

void utf8_repair(struct buf *b, struct str s)
{
    while (s.n > 0) {
        size_t ok = utf8_valid(s);
        size_t bad;
        buf_add(b, s.p, ok);
        s = str_from(s, ok);
        if (s.n == 0)
            break;
        (void)sequence((const unsigned char *)s.p, s.n, &bad);
        buf_add(b, "\xef\xbf\xbd", 3);
        s = str_from(s, bad);
    }
}

/* Ranges of code points, both ends included, in order; from Unicode 15, gaps of a few unassigned
 * ones closed. */
struct range {
    uint32_t first, last;
};

static const struct range NO_WIDTH[] = {
    {0x0300, 0x036f},   {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x0610, 0x061a}, {0x064b, 0x065f},
    {0x06d6, 0x06dc},   {0x0900, 0x0902}, {0x093c, 0x093c}, {0x0941, 0x0948}, {0x094d, 0x094d},
    {0x0e31, 0x0e31},   {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e}, {0x1160, 0x11ff}, {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff},   {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2069}, {0x20d0, 0x20f0},
    {0x302a, 0x302d},   {0x3099, 0x309a}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff},
    {0xe0000, 0xe01ef},
};

static const struct range WIDE[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x25fd, 0x25fe},
    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x26a1, 0x26a1},   {0x26bd, 0x26be},
    {0x26d4, 0x26d4},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},
    {0x274c, 0x274c},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},
    {0x3041, 0x4dbf},   {0x4e00, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},
    {0x17000, 0x18dff}, {0x1b000, 0x1b2ff}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a},
    {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f393}, {0x1f3a0, 0x1f3ca},
    {0x1f3e0, 0x1f3f0}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f4fc}, {0x1f4ff, 0x1f53d},
    {0x1f550, 0x1f567}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f6d0, 0x1f6d7},
    {0x1f7e0, 0x1f7eb}, {0x1f90c, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

static bool is_in(uint32_t cp, const struct range *ranges, size_t n)
{
    size_t low = 0;

    while (low < n) { /* the first range that does not end before cp is within [low, n] */
        size_t middle = low + (n - low) / 2;

        if (ranges[middle].last < cp)
            low = middle + 1;
        else if (ranges[middle].first <= cp)
            return true;
        else
            n = middle;
    }
    return false;
}

size_t utf8_columns(struct str s)
{
    size_t columns = 0;

    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i++];
        uint32_t cp = c < 0x80 ? c : c < 0xe0 ? c & 0x1fu : c < 0xf0 ? c & 0x0fu : c & 0x07u;

        for (; i < s.n && continues(s.p[i]); i++)
            cp = cp << 6 | ((unsigned char)s.p[i] & 0x3fu);
        if (cp < NO_WIDTH[0].first)
            columns++;
        else if (!is_in(cp, NO_WIDTH, sizeof(NO_WIDTH) / sizeof(NO_WIDTH[0])))
            columns += is_in(cp, WIDE, sizeof(WIDE) / sizeof(WIDE[0])) ? 2 : 1;
    }
    return columns;
}

size_t utf8_encode(uint32_t cp, char *c)
{
    size_t n;

    if (cp < 0x80) {
        c[0] = (char)cp;
        n = 1;
    } else if (cp < 0x800) {
        c[0] = (char)(0xc0 | cp >> 6);
        n = 2;
    } else if (cp < 0x10000) {
        c[0] = (char)(0xe0 | cp >> 12);
        n = 3;
    } else {
        c[0] = (char)(0xf0 | (cp >> 18 & 7));
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        c[i] = (char)(0x80 | (cp >> (6 * (n - 1 - i)) & 0x3f));
    return n;
}

void utf8_add(struct buf *b, uint32_t cp)
{
    char c[4];

    buf_add(b, c, utf8_encode(cp, c));
}
