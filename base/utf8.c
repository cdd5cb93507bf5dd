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
