/* query/ip.c - see ip.h. */
#include "query/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool parse_ip(struct str s, struct ip *ret)
{
    char text[INET6_ADDRSTRLEN];

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    memset(ret, 0, sizeof(*ret));
    ret->n = str_find_char(s, ':') == SIZE_MAX ? 4 : 16;
    return inet_pton(ret->n == 4 ? AF_INET : AF_INET6, text, ret->b) == 1;
}

/* first..last: the addresses that have the first `bits` bits of `ip`. */
static bool set_prefix(struct ip_range *r, const struct ip *ip, struct str bits)
{
    uint64_t n;

    if (bits.n > 3 || !str_to_u64(bits, &n) || n > 8 * ip->n)
        return false;
    r->first = r->last = *ip;
    for (unsigned i = (unsigned)n; i < 8 * ip->n; i++) {
        uint8_t bit = (uint8_t)(0x80u >> (i % 8));
        r->first.b[i / 8] = (uint8_t)(r->first.b[i / 8] & ~bit);
        r->last.b[i / 8] = (uint8_t)(r->last.b[i / 8] | bit);
    }
    return true;
}

bool ip_range_parse(struct str s, struct ip_range *ret)
{
    size_t slash = str_find_char(s, '/');
    size_t dash = str_find_char(s, '-');
    struct ip ip;

    if (slash != SIZE_MAX)
        return parse_ip(str_sub(s, 0, slash), &ip) && set_prefix(ret, &ip, str_from(s, slash + 1));
    if (dash == SIZE_MAX) {
        if (!parse_ip(s, &ret->first))
            return false;
        ret->last = ret->first;
        return true;
    }
    return parse_ip(str_sub(s, 0, dash), &ret->first) &&
           parse_ip(str_from(s, dash + 1), &ret->last) && ret->first.n == ret->last.n &&
           memcmp(ret->first.b, ret->last.b, ret->first.n) <= 0;
}

struct str ip_range_prefix(const struct ip_range *r, char text[IP_PREFIX_MAX])
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; r->first.n == 4 && i < 4 && r->first.b[i] == r->last.b[i]; i++)
        n += (size_t)snprintf(text + n, IP_PREFIX_MAX - n, i < 3 ? "%d." : "%d", r->first.b[i]);
    return (struct str){text, n};
}

static bool contains(const struct ip_range *r, const struct ip *ip)
{
    return ip->n == r->first.n && memcmp(r->first.b, ip->b, ip->n) <= 0 &&
           memcmp(ip->b, r->last.b, ip->n) <= 0;
}

/* ---- in text ---- */

static bool is_v4(char c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

static bool is_v6(char c)
{
    return is_v4(c) || c == ':' || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static struct str run_of(struct str s, bool (*is)(char))
{
    size_t n = 0;

    while (n < s.n && is(s.p[n]))
        n++;
    return str_sub(s, 0, n);
}

/* The address that is all of `s` but for a full stop or colon behind it. */
static bool address(struct str s, struct ip *ret)
{
    char end = s.n > 0 ? s.p[s.n - 1] : '\0';

    return parse_ip(s, ret) ||
           ((end == '.' || end == ':') && parse_ip(str_sub(s, 0, s.n - 1), ret));
}

/* In a run of digits, letters of hexadecimal, dots and colons, which is no IPv6 address. */
static bool in_run(const struct ip_range *r, struct str run)
{
    while (run.n > 0) {
        struct str s = run_of(run, is_v4);
        struct ip ip;
        if (address(s, &ip) && contains(r, &ip))
            return true;
        run = str_from(run, s.n > 0 ? s.n : 1);
    }
    return false;
}

bool ip_range_in(const struct ip_range *r, struct str text)
{
    while (text.n > 0) {
        struct str run = run_of(text, is_v6);
        struct ip ip;
        if (run.n >= 2) { /* "::" is the shortest */
            if (str_find_char(run, ':') != SIZE_MAX && address(run, &ip)) {
                if (contains(r, &ip))
                    return true;
            } else if (in_run(r, run)) {
                return true;
            }
        }
        text = str_from(text, run.n > 0 ? run.n : 1);
    }
    return false;
}
