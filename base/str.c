/* base/str.c - see str.h. */
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *z)
{
    return z == NULL ? STR_NULL : (struct str){z, strlen(z)};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + ('a' - 'A')) : u;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return prefix.n <= s.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return suffix.n <= s.n &&
           (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

size_t str_find(struct str s, struct str needle)
{
    const char *hit;

    if (needle.n == 0)
        return 0;
    if (needle.n > s.n)
        return SIZE_MAX;
    hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit == NULL ? SIZE_MAX : (size_t)(hit - s.p);
}

size_t str_find_char(struct str s, char c)
{
    const char *hit = s.n == 0 ? NULL : memchr(s.p, c, s.n);

    return hit == NULL ? SIZE_MAX : (size_t)(hit - s.p);
}

struct str str_sub(struct str s, size_t from, size_t n)
{
    struct str rest = str_from(s, from);

    if (rest.n > n)
        rest.n = n;
    return rest;
}

struct str str_from(struct str s, size_t from)
{
    if (from > s.n)
        from = s.n;
    return s.p == NULL ? s : (struct str){s.p + from, s.n - from};
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    return s;
}

struct str str_cut(struct str *rest, char sep)
{
    struct str head = *rest;
    size_t at = str_find_char(head, sep);

    if (at == SIZE_MAX) {
        *rest = STR_NULL;
        return head;
    }
    *rest = str_from(head, at + 1);
    head.n = at;
    return head;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    bool sign = minus || (s.n > 0 && s.p[0] == '+');
    uint64_t v;

    if (!str_to_u64(sign ? str_from(s, 1) : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    if (!minus)
        *ret = (int64_t)v;
    else
        *ret = v == 0 ? 0 : -(int64_t)(v - 1) - 1;
    return true;
}

bool str_to_f64(struct str s, double *ret)
{
    char z[64];
    char *end;
    double v;
    int saved = errno;
    bool fits;

    if (s.n == 0 || s.n >= sizeof(z) || is_blank(s.p[0]) || s.p[0] == '\v' || s.p[0] == '\f')
        return false;
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    errno = 0;
    v = strtod(z, &end);
    fits =
        errno != ERANGE || fabs(v) < 1; /* too small is zero or nearly so, too large is refused */
    errno = saved;
    if (end != z + s.n || !fits)
        return false;
    *ret = v;
    return true;
}

char *str_to_z(struct str s, char *dst, size_t cap)
{
    size_t n = s.n < cap - 1 ? s.n : cap - 1;

    if (n > 0)
        memcpy(dst, s.p, n);
    dst[n] = '\0';
    return dst;
}
