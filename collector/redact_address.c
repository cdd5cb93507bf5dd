/* collector/redact_address.c - contract: redact_address.h. */
#include "collector/redact_address.h"

#include "collector/chars.h"

#include <arpa/inet.h>

enum { LOCAL_MAX = 64, DOMAIN_MAX = 253, IP_MAX = 45 };

static bool found(struct redact_span *ret, enum redact_type type, size_t start, size_t end)
{
    *ret = (struct redact_span){start, end, type};
    return true;
}

/* ---- mail ---- */

/* Names that systemd puts behind an @. */
static bool is_unit(struct str last)
{
    static const struct str UNITS[] = {
        STR_INIT("service"), STR_INIT("socket"), STR_INIT("timer"),  STR_INIT("slice"),
        STR_INIT("mount"),   STR_INIT("target"), STR_INIT("scope"),  STR_INIT("automount"),
        STR_INIT("swap"),    STR_INIT("path"),   STR_INIT("device"),
    };

    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
        if (str_eq(last, UNITS[i]))
            return true;
    return false;
}

static bool is_local(char c)
{
    return chars_is(c, CHARS_WORD | CHARS_DASH) || c == '.' || c == '+' || c == '%' || c == '\'';
}

static size_t letters_end(struct str text, size_t label)
{
    return chars_run(text, label, CHARS_UPPER | CHARS_LOWER);
}

/* How much of text[label..end) is a last label: letters, be they in front of a dash, or punycode;
 * `label`: nothing. */
static size_t last_label_end(struct str text, size_t label, size_t end)
{
    size_t letters = letters_end(text, label);

    if (str_eq_nocase(str_sub(text, label, 4), STR("xn--")) && end - label > 4)
        return end;
    if (letters > end)
        letters = end;
    if (letters - label < 2 || (letters < end && text.p[letters] != '-') ||
        is_unit(str_sub(text, label, letters - label)))
        return label;
    return letters;
}

/* The end of the domain at `at`: labels, at least two; `at` if it is none. */
static size_t domain_end(struct str text, size_t at)
{
    size_t end = at, label = at, good = at,
           max = text.n - at < DOMAIN_MAX ? text.n : at + DOMAIN_MAX;

    for (; end <= max; end++) {
        bool dot = end < max && text.p[end] == '.';
        size_t last;
        if (end < max && !dot && chars_is(text.p[end], CHARS_ALNUM | CHARS_DASH))
            continue;
        if (end == label || text.p[label] == '-')
            break;
        last = label > at ? last_label_end(text, label, end) : label;
        if (last > label)
            good = last;
        if (!dot || text.p[end - 1] == '-')
            break;
        label = end + 1;
    }
    return good;
}

/* What stands for an @ at `at`; 0: nothing. */
static size_t at_sign(struct str text, size_t at)
{
    struct str rest = str_from(text, at);

    if (text.p[at] == '@')
        return 1;
    if (str_starts(rest, STR("%40")))
        return 3;
    return str_starts(rest, STR("%2540")) ? 5 : 0;
}

/* In the middle of an address's local part, at a backslash (or a % that begins an escape, in an
 * address that has one for its @): where it goes on in front of that.  `at`: nowhere, and then
 * *begin is where it begins. */
static size_t local_escape(struct str text, size_t at, size_t *begin)
{
    size_t n, lead = at - 1;
    char c;

    while (text.p[lead] == '\\' && lead > 0 && at - lead < LOCAL_MAX && text.p[lead - 1] == '\\')
        lead--;
    n = chars_escape(text, lead, &c);
    *begin = n == 0 ? at : lead + n;
    return n > 0 && c != '%' && is_local(c) ? lead : at;
}

/* Where the local part in front of the @ at `at` begins. */
static size_t local_start(struct str text, size_t at)
{
    bool encoded = text.p[at] == '%';
    size_t start = at, begin = 0;

    while (start > 0 && at - start < LOCAL_MAX) {
        char c = text.p[start - 1];
        if (c == '\\' || (c == '%' && encoded)) {
            size_t lead = local_escape(text, start, &begin);
            if (lead == start && (c == '\\' || begin > start)) {
                start = begin;
                break;
            }
            start = lead < start ? lead : start - 1;
        } else if (is_local(c)) {
            start--;
        } else {
            break;
        }
    }
    start = chars_behind_escape(text, start);
    return start < at ? start : at;
}

bool redact_address_email(struct str text, size_t at, struct redact_span *ret)
{
    size_t sign = at_sign(text, at), start, end;

    if (sign == 0)
        return false;
    start = chars_gap(text, local_start(text, at), ".'-", LOCAL_MAX);
    if (start >= at || text.p[at - 1] == '.')
        return false;
    end = domain_end(text, at + sign);
    if (end == at + sign || chars_at(text, end, CHARS_WORD))
        return false;
    return found(ret, REDACT_EMAIL, start, end);
}

/* ---- IP ---- */

/* Four numbers up to 255, without leading zeros. */
static bool is_quad(struct str s)
{
    unsigned parts = 0;

    while (s.n > 0 || parts == 0) {
        struct str part = str_cut(&s, '.');
        uint64_t v;
        if (part.n == 0 || part.n > 3 || (part.n > 1 && part.p[0] == '0') ||
            !str_to_u64(part, &v) || v > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

/* Is text[start..end) an address, or what is left of it if the escape %HH ends in it?  *start is
 * moved there. */
static bool is_address(struct str text, size_t *start, size_t end, unsigned glue,
                       bool (*is_one)(struct str))
{
    char c;

    if (*start >= end || chars_at(text, end, glue))
        return false;
    if (!chars_glued(text, *start, glue) && is_one(str_sub(text, *start, end - *start)))
        return true;
    for (size_t back = 1; back <= 2 && back <= *start; back++)
        if (text.p[*start - back] == '%' && chars_escape(text, *start - back, &c) > 0) {
            *start += 3 - back;
            return *start < end && is_one(str_sub(text, *start, end - *start));
        }
    return false;
}

/* Digits, and a dot with some on both sides of it. */
static bool is_of_quad(struct str text, size_t at)
{
    if (text.p[at] == '.')
        return chars_before(text, at, CHARS_DIGIT) && chars_at(text, at + 1, CHARS_DIGIT);
    return chars_is(text.p[at], CHARS_DIGIT);
}

/* What is next to it may be an underscore, but no letter and no digit. */
bool redact_address_ipv4(struct str text, size_t at, struct redact_span *ret)
{
    size_t start = at, end = at + 1;

    while (start > 0 && at - start < IP_MAX && is_of_quad(text, start - 1))
        start--;
    while (end < text.n && end - start < IP_MAX && is_of_quad(text, end))
        end++;
    start = chars_behind_escape(text, start);
    return is_address(text, &start, end, CHARS_ALNUM, is_quad) && found(ret, REDACT_IP, start, end);
}

static bool is_ipv6(struct str s)
{
    unsigned char address[16];
    char z[IP_MAX + 1];

    return s.n >= 3 && s.n <= IP_MAX &&
           inet_pton(AF_INET6, str_to_z(s, z, sizeof(z)), address) == 1;
}

/* Hex digits that belong to a word, and a colon: "source:2001:db8::1" is an address with a name in
 * front of it, "source::db8" is no address. */
static size_t behind_name(struct str text, size_t start, size_t end)
{
    size_t colon = start;

    while (colon < end && text.p[colon] != ':')
        colon++;
    if (colon + 2 >= end || (text.p[colon + 1] == ':' && text.p[colon + 2] != ':'))
        return start;
    return colon + 1;
}

bool redact_address_ipv6(struct str text, size_t at, struct redact_span *ret)
{
    size_t start = at, end = at + 1;

    while (start > 0 && at - start < IP_MAX &&
           (chars_is_hex(text.p[start - 1]) || text.p[start - 1] == ':'))
        start--;
    while (end < text.n && end - at <= IP_MAX &&
           (chars_is_hex(text.p[end]) || text.p[end] == ':' || text.p[end] == '.'))
        end++;
    start = chars_behind_escape(text, start);
    if (chars_glued(text, start, CHARS_WORD))
        start = behind_name(text, start, end);
    if (start + 1 < end && text.p[start] == ':' && text.p[start + 1] != ':')
        start++;
    while (end > start && (text.p[end - 1] == '.' ||
                           (text.p[end - 1] == ':' && end - start > 1 && text.p[end - 2] != ':')))
        end--;
    return is_address(text, &start, end, CHARS_WORD, is_ipv6) && found(ret, REDACT_IP, start, end);
}
