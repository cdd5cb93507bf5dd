/*
 * collector/redact_detect.c - contract: redact_detect.h.
 *
 * Each detector looks to both sides of its hint as far as its alphabet reaches, and decides by
 * length, neighbours and, where there is one, a checksum.  What looks like a secret and is none
 * costs a word of a log; so detectors want what the makers of secrets promise, not only a length.
 */
#include "collector/redact_detect.h"

#include "collector/chars.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum {
    CARD_MIN = 13,
    CARD_MAX = 19,
    LOCAL_MAX = 64,
    DOMAIN_MAX = 253,
    IP_MAX = 45,
    BEARER_MIN = 8,
    BEARER_SURE = 20, /* from here on a word without a digit is a token too */
    JWT_PART_MIN = 8,
    CLOUD_KEY_MAX = 512, /* behind its prefix: none is longer, and each hint costs that much */
    KEY_HEADER_MAX = 64, /* -----BEGIN ENCRYPTED PRIVATE KEY----- */
    KEY_LINE_MIN = 60,   /* of a key that is spread over lines: most are 64 or 70 */
    KEY_LINE_MAX = 128,
    CUT_KEY_MIN = 6,    /* -----B: less is only a line of dashes */
    CUT_BEFORE_MAX = 8, /* between a name and its value, where a text was cut */
    CUT_CARD_MAX = 24,  /* a card's number, with its separators */
};

static bool found(struct redact_span *ret, enum redact_type type, size_t start, size_t end)
{
    *ret = (struct redact_span){start, end, type};
    return true;
}

/* ---- tokens that say what they are ---- */

/* "Bearer " was found: is what follows a token? */
static bool find_bearer(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    size_t to;
    bool has_digit = false;

    (void)start;
    while (end < text.n && text.p[end] == ' ')
        end++;
    to = chars_run(text, end, CHARS_ALNUM | CHARS_TOKEN);
    for (size_t i = end; i < to && !has_digit; i++)
        has_digit = chars_is(text.p[i], CHARS_DIGIT);
    while (to < text.n && to > end && text.p[to] == '=')
        to++;
    if (to - end < (has_digit ? BEARER_MIN : BEARER_SURE))
        return false;
    return found(ret, REDACT_BEARER, end, to);
}

/* header.payload.signature, each base64url; the first is JSON and so begins with eyJ. */
static bool find_jwt(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    size_t at, dots = 0;

    if (chars_before(text, start, CHARS_WORD | CHARS_DASH))
        return false;
    at = chars_run(text, end, CHARS_WORD | CHARS_DASH);
    if (at - start < JWT_PART_MIN)
        return false;
    while (at < text.n && text.p[at] == '.' && dots < 4) {
        size_t to = chars_run(text, at + 1, CHARS_WORD | CHARS_DASH);
        if (dots == 0 && to - at - 1 < JWT_PART_MIN)
            return false;
        if (dots > 0 && to == at + 1 && dots != 1) /* an empty signature; no empty fourth part */
            break;
        at = to;
        dots++;
    }
    return dots >= 2 && found(ret, REDACT_JWT, start, at);
}

/* ---- keys of clouds ---- */

struct key_form {
    struct str prefix; /* all of it, the literal within */
    unsigned classes;
    size_t min, max; /* behind the prefix; max 0: any */
};

static const struct key_form KEY_FORMS[] = {
    {STR_INIT("AKIA"), CHARS_DIGIT | CHARS_UPPER, 16, 16},
    {STR_INIT("ASIA"), CHARS_DIGIT | CHARS_UPPER, 16, 16},
    {STR_INIT("ABIA"), CHARS_DIGIT | CHARS_UPPER, 16, 16},
    {STR_INIT("ACCA"), CHARS_DIGIT | CHARS_UPPER, 16, 16},
    {STR_INIT("AIza"), CHARS_WORD | CHARS_DASH, 35, 35},
    {STR_INIT("ya29."), CHARS_WORD | CHARS_DASH, 20, 0},
    {STR_INIT("ghp_"), CHARS_ALNUM, 36, 0},
    {STR_INIT("gho_"), CHARS_ALNUM, 36, 0},
    {STR_INIT("ghu_"), CHARS_ALNUM, 36, 0},
    {STR_INIT("ghs_"), CHARS_ALNUM, 36, 0},
    {STR_INIT("ghr_"), CHARS_ALNUM, 36, 0},
    {STR_INIT("github_pat_"), CHARS_WORD, 22, 0},
    {STR_INIT("glpat-"), CHARS_WORD | CHARS_DASH, 20, 0},
    {STR_INIT("xoxb-"), CHARS_ALNUM | CHARS_DASH, 20, 0},
    {STR_INIT("xoxp-"), CHARS_ALNUM | CHARS_DASH, 20, 0},
    {STR_INIT("xoxa-"), CHARS_ALNUM | CHARS_DASH, 20, 0},
    {STR_INIT("xoxr-"), CHARS_ALNUM | CHARS_DASH, 20, 0},
    {STR_INIT("xoxs-"), CHARS_ALNUM | CHARS_DASH, 20, 0},
    {STR_INIT("sk_live_"), CHARS_ALNUM, 24, 0},
    {STR_INIT("rk_live_"), CHARS_ALNUM, 24, 0},
    {STR_INIT("dop_v1_"), CHARS_DIGIT | CHARS_LOWER, 64, 64},
};

static bool find_cloud_key(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    struct str rest = str_from(text, start);

    (void)end;
    if (chars_before(text, start, CHARS_WORD))
        return false;
    for (size_t i = 0; i < sizeof(KEY_FORMS) / sizeof(KEY_FORMS[0]); i++) {
        const struct key_form *f = &KEY_FORMS[i];
        size_t to, n;
        if (!str_starts(rest, f->prefix))
            continue;
        to = chars_run(str_sub(text, 0, start + f->prefix.n + CLOUD_KEY_MAX), start + f->prefix.n,
                       f->classes);
        n = to - start - f->prefix.n;
        if (n >= f->min && (f->max == 0 || n <= f->max) && !chars_at(text, to, CHARS_WORD))
            return found(ret, REDACT_CLOUD_KEY, start, to);
    }
    return false;
}

/* The value behind a name: = or :, with quotes and blanks around, then `min`..`max` of base64. */
static bool find_value(struct str text, size_t end, size_t min, size_t max, struct redact_span *ret)
{
    size_t at = end, to;

    while (at < text.n && at - end < 6 && strchr("\"'\\=: ", text.p[at]) != NULL && text.p[at] != 0)
        at++;
    to = chars_run(str_sub(text, 0, at + max + 1), at, CHARS_ALNUM | CHARS_BASE64);
    while (to < text.n && to > at && text.p[to] == '=')
        to++;
    if (at == end || to - at < min || to - at > max || chars_at(text, to, CHARS_WORD | CHARS_DASH))
        return false;
    return found(ret, REDACT_CLOUD_KEY, at, to);
}

/* aws_secret_access_key, SecretAccessKey: the key itself has nothing to tell it by. */
static bool find_secret_key(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    (void)start;
    return find_value(text, end, 40, 40, ret);
}

/* Azure's AccountKey=, 64 bytes. */
static bool find_account_key(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    (void)start;
    return find_value(text, end - 1, 86, 88, ret); /* its = is what find_value wants to see */
}

/* ---- private keys ---- */

static const struct str BEGIN_OF_KEY = STR_INIT("-----BEGIN ");
static const struct str END_OF_KEY = STR_INIT("-----END ");
static const struct str DASHES = STR_INIT("-----");

/* Bytes of text[at..) that a key in PEM may consist of, line ends that are written as \n too. */
static size_t key_body(struct str text, size_t at, size_t max)
{
    while (at < max) {
        char c = text.p[at];
        if (chars_is(c, CHARS_ALNUM | CHARS_BASE64) || strchr("= \t\r\n", c) != NULL) {
            if (c == '\0')
                return at;
            at++;
        } else if (c == '\\' && at + 1 < max && strchr("nrt\\", text.p[at + 1]) != NULL &&
                   text.p[at + 1] != '\0') {
            at += 2;
        } else if (c == '\\' && at + 1 == max) { /* the rest of it was cut off */
            at++;
        } else if (c == ':' || c == ',') { /* Proc-Type: 4,ENCRYPTED */
            at++;
        } else if (c == '-' && !str_starts(str_from(text, at), DASHES)) {
            at++;
        } else {
            return at;
        }
    }
    return at;
}

/* Behind "-----END RSA PRIVATE KEY-----" at `at`; `at` itself if there is none. */
static size_t key_end(struct str text, size_t at)
{
    size_t dashes;

    if (!str_starts(str_from(text, at), END_OF_KEY))
        return at;
    dashes = chars_run(text, at + END_OF_KEY.n, CHARS_ALNUM);
    while (dashes < text.n && text.p[dashes] == ' ')
        dashes = chars_run(text, dashes + 1, CHARS_ALNUM);
    return str_starts(str_from(text, dashes), DASHES) ? dashes + DASHES.n : dashes;
}

static bool find_private_key(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    size_t words = end, at;

    while (words < text.n && words - end < 40 &&
           (chars_is(text.p[words], CHARS_UPPER | CHARS_DIGIT) || text.p[words] == ' '))
        words++;
    if (str_find(str_sub(text, end, words - end), STR("PRIVATE KEY")) == SIZE_MAX ||
        !str_starts(str_from(text, words), DASHES))
        return false;
    at = key_body(text, words + DASHES.n, text.n);
    return found(ret, REDACT_PRIVATE_KEY, start, key_end(text, at));
}

bool redact_detect_is_open(struct str text, struct redact_span key)
{
    struct str last = str_sub(text, key.start, key.end - key.start);

    if (key.end < text.n)
        return false;
    return str_find(last, END_OF_KEY) == SIZE_MAX;
}

bool redact_detect_is_key_line(struct str text)
{
    unsigned seen = 0;

    for (size_t i = 0; i < text.n; i++)
        seen |= chars_class(text.p[i]);
    return text.n >= KEY_LINE_MIN && text.n <= KEY_LINE_MAX &&
           (seen & CHARS_ALNUM) == CHARS_ALNUM &&
           chars_run(text, 0, CHARS_ALNUM | CHARS_BASE64) == text.n;
}

/* Might all of `text` be a line of a key?  One without a blank may be all lines in one. */
static bool is_in_key(struct str text)
{
    return str_find_char(text, ' ') == SIZE_MAX ||
           (text.n <= KEY_LINE_MAX &&
            str_find(text, STR(": ")) != SIZE_MAX); /* Proc-Type: 4,ENCRYPTED */
}

size_t redact_detect_go_on(struct str text, bool cut, bool *is_open)
{
    size_t at = key_body(text, 0, text.n), end;

    if (cut && at <= KEY_HEADER_MAX && str_starts(str_from(text, at), DASHES) &&
        !str_starts(str_from(text, at), END_OF_KEY)) /* the rest of the line that began it */
        at = key_body(text, at + DASHES.n, text.n);
    end = key_end(text, at);
    *is_open = end == text.n && end == at && (cut || is_in_key(text));
    if (end > at || *is_open || cut)
        return end;
    return 0; /* it is no key's line: the key was cut off */
}

/* ---- texts that were cut off ---- */

/* Can it stand in a secret of any kind? */
static bool is_in_secret(char c)
{
    return chars_is(c, CHARS_ALNUM | CHARS_TOKEN) || c == '=' || c == '@' || c == ':' || c == '%';
}

/* The end of the word at `at`, or of the one behind what separates a name from its value. */
static size_t word_end(struct str text, size_t at)
{
    size_t from = at, word;

    while (at < text.n && at - from < CUT_BEFORE_MAX && text.p[at] != '\0' &&
           strchr(" \t\"'\\=:", text.p[at]) != NULL)
        at++;
    for (word = at; at < text.n && is_in_secret(text.p[at]);)
        at++;
    return at == word ? from : at;
}

/* Two words, for the first may be a half of the name of what follows. */
size_t redact_detect_cut_head(struct str text)
{
    size_t at = word_end(text, word_end(text, 0));

    while (at > 0 && at + 1 < text.n && at < CUT_CARD_MAX && text.p[at] == ' ' &&
           chars_is(text.p[at - 1], CHARS_DIGIT) && chars_is(text.p[at + 1], CHARS_DIGIT))
        at = chars_run(text, at + 1, CHARS_DIGIT); /* the groups of a card's number */
    return at;
}

size_t redact_detect_cut_tail(struct str text)
{
    size_t at = text.n;

    while (at > 0 && is_in_secret(text.p[at - 1]))
        at--;
    while (at > 1 && text.n - at < CUT_CARD_MAX && text.p[at - 1] == ' ' &&
           chars_is(text.p[at - 2], CHARS_DIGIT) &&
           (at == text.n || chars_is(text.p[at], CHARS_DIGIT)))
        for (at--; at > 0 && chars_is(text.p[at - 1], CHARS_DIGIT);)
            at--;
    return at;
}

bool redact_detect_is_cut_key(struct str text)
{
    size_t at = 0;

    while (at + 1 < DASHES.n && at < text.n && text.p[at] == '-')
        at++;
    return str_starts(str_from(text, at), STR("BEGIN ")) &&
           str_find(str_sub(text, at, KEY_HEADER_MAX), STR("PRIVATE KEY-----")) != SIZE_MAX;
}

size_t redact_detect_cut_key(struct str text)
{
    size_t at = text.n < KEY_HEADER_MAX ? 0 : text.n - KEY_HEADER_MAX;

    for (; text.n - at >= CUT_KEY_MIN; at++) {
        struct str rest = str_from(text, at);
        size_t n = rest.n < BEGIN_OF_KEY.n ? rest.n : BEGIN_OF_KEY.n;
        if (!str_eq(str_sub(rest, 0, n), str_sub(BEGIN_OF_KEY, 0, n)))
            continue;
        while (n < rest.n && (chars_is(rest.p[n], CHARS_UPPER | CHARS_DIGIT) || rest.p[n] == ' '))
            n++;
        if (str_eq(str_from(rest, n), str_sub(DASHES, 0, rest.n - n)) && rest.n - n < DASHES.n)
            return at;
    }
    return text.n;
}

/* ---- card numbers ---- */

/* Issuers' first digits and how long their numbers are; bit n: n digits. */
static bool is_issued(const char *d, size_t n)
{
    int two = (d[0] - '0') * 10 + d[1] - '0';
    int four = two * 100 + (d[2] - '0') * 10 + d[3] - '0';
    unsigned lengths = 0;

    if (d[0] == '4')
        lengths = 1u << 13 | 1u << 16 | 1u << 19;
    else if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))
        lengths = 1u << 16;
    else if (two == 34 || two == 37)
        lengths = 1u << 15;
    else if (two == 36 || two == 38 || two == 39 || (four >= 3000 && four <= 3059))
        lengths = 1u << 14;
    else if (four == 6011 || two == 65 || (four >= 6440 && four <= 6499) || two == 62 ||
             (four >= 3528 && four <= 3589))
        lengths = 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19;
    return (lengths >> n & 1) != 0;
}

static bool is_luhn(const char *d, size_t n)
{
    int sum = 0;

    for (size_t i = 0; i < n; i++) {
        int v = d[n - 1 - i] - '0';
        if ((i & 1) != 0)
            v = v > 4 ? 2 * v - 9 : 2 * v;
        sum += v;
    }
    return sum % 10 == 0;
}

/* A number that begins at `at`: digits, all in one or in groups of three to six, with one kind of
 * separator. */
static size_t card_end(struct str text, size_t at)
{
    char digits[CARD_MAX], separator = '\0';
    size_t n = 0, group = 0;

    for (; at < text.n && n <= CARD_MAX; at++) {
        char c = text.p[at];
        if (chars_is(c, CHARS_DIGIT)) {
            if (n == CARD_MAX)
                return 0;
            digits[n++] = c;
            group++;
        } else if ((c == ' ' || c == '-') && (separator == '\0' || separator == c) && group >= 3 &&
                   group <= 6 && n < CARD_MAX && at + 1 < text.n &&
                   chars_is(text.p[at + 1], CHARS_DIGIT)) {
            separator = c;
            group = 0;
            if (n >= CARD_MIN && is_issued(digits, n) && is_luhn(digits, n))
                break; /* and another number behind it */
        } else {
            break;
        }
    }
    if (n < CARD_MIN || chars_at(text, at, CHARS_WORD) ||
        (at + 1 < text.n && text.p[at] == '.' && chars_is(text.p[at + 1], CHARS_DIGIT)))
        return 0;
    return is_issued(digits, n) && is_luhn(digits, n) ? at : 0;
}

/* Is there one at `start`? */
static bool is_card_at(struct str text, size_t start, struct redact_span *ret)
{
    size_t to;

    if (!chars_is(text.p[start], CHARS_DIGIT) || chars_before(text, start, CHARS_WORD) ||
        (start > 1 && text.p[start - 1] == '.' && chars_is(text.p[start - 2], CHARS_DIGIT)))
        return false;
    to = card_end(text, start);
    return to > 0 && found(ret, REDACT_CARD, start, to);
}

/* The first number of text[start..end). */
static bool find_card(struct str text, size_t start, size_t end, struct redact_span *ret)
{
    for (; start < end; start++)
        if (is_card_at(text, start, ret))
            return true;
    return false;
}

/* The first number that begins at `from` or later in a run of digits, blanks and dashes, the 16th
 * of which is at `at`.  No look ahead: a run may hold a hundred thousand of them. */
static bool find_cards(struct str text, size_t at, size_t from, struct redact_span *ret)
{
    size_t start = at < REDACT_GROUPS_MIN ? 0 : at + 1 - REDACT_GROUPS_MIN;

    for (start = start > from ? start : from;
         start < text.n &&
         (chars_is(text.p[start], CHARS_DIGIT | CHARS_DASH) || text.p[start] == ' ');
         start++)
        if (is_card_at(text, start, ret))
            return true;
    return false;
}

/* ---- addresses ---- */

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

/* The end of the domain at `at`: labels, at least two, the last of letters; `at` if it is none. */
static size_t domain_end(struct str text, size_t at)
{
    size_t end = at, label = at, good = at,
           max = text.n - at < DOMAIN_MAX ? text.n : at + DOMAIN_MAX;

    for (; end <= max; end++) {
        bool dot = end < max && text.p[end] == '.';
        if (end < max && !dot && chars_is(text.p[end], CHARS_ALNUM | CHARS_DASH))
            continue;
        if (end == label || text.p[label] == '-' || text.p[end - 1] == '-')
            break;
        if (label > at && end - label >= 2 &&
            chars_run(text, label, CHARS_UPPER | CHARS_LOWER) >= end &&
            !is_unit(str_sub(text, label, end - label)))
            good = end;
        if (!dot)
            break;
        label = end + 1;
    }
    return good;
}

static bool find_email(struct str text, size_t at, struct redact_span *ret)
{
    size_t start = at, end;

    while (start > 0 && at - start < LOCAL_MAX && is_local(text.p[start - 1]))
        start--;
    while (start < at && (text.p[start] == '.' || text.p[start] == '\'' || text.p[start] == '-'))
        start++;
    if (start == at || text.p[at - 1] == '.')
        return false;
    end = domain_end(text, at + 1);
    if (end == at + 1 || chars_at(text, end, CHARS_WORD))
        return false;
    return found(ret, REDACT_EMAIL, start, end);
}

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

static bool find_ipv4(struct str text, size_t at, struct redact_span *ret)
{
    size_t start = at, end = at + 1;

    while (start > 0 && at - start < IP_MAX &&
           (chars_is(text.p[start - 1], CHARS_DIGIT) || text.p[start - 1] == '.'))
        start--;
    while (end < text.n && end - start < IP_MAX &&
           (chars_is(text.p[end], CHARS_DIGIT) || text.p[end] == '.'))
        end++;
    while (start < end && text.p[start] == '.')
        start++;
    while (end > start && text.p[end - 1] == '.')
        end--;
    if (chars_before(text, start, CHARS_WORD) || chars_at(text, end, CHARS_WORD) ||
        !is_quad(str_sub(text, start, end - start)))
        return false;
    return found(ret, REDACT_IP, start, end);
}

static bool is_ipv6(struct str s)
{
    unsigned char address[16];
    char z[IP_MAX + 1];

    return s.n >= 3 && s.n <= IP_MAX &&
           inet_pton(AF_INET6, str_to_z(s, z, sizeof(z)), address) == 1;
}

static bool find_ipv6(struct str text, size_t at, struct redact_span *ret)
{
    size_t start = at, end = at + 1;

    while (start > 0 && at - start < IP_MAX &&
           (chars_is_hex(text.p[start - 1]) || text.p[start - 1] == ':'))
        start--;
    while (end < text.n && end - start <= IP_MAX &&
           (chars_is_hex(text.p[end]) || text.p[end] == ':' || text.p[end] == '.'))
        end++;
    if (start + 1 < end && text.p[start] == ':' && text.p[start + 1] != ':')
        start++;
    while (end > start && (text.p[end - 1] == '.' ||
                           (text.p[end - 1] == ':' && end - start > 1 && text.p[end - 2] != ':')))
        end--;
    if (chars_before(text, start, CHARS_WORD) || chars_at(text, end, CHARS_WORD) ||
        !is_ipv6(str_sub(text, start, end - start)))
        return false;
    return found(ret, REDACT_IP, start, end);
}

/* ---- literals ---- */

typedef bool literal_fn(struct str text, size_t start, size_t end, struct redact_span *ret);

/* `literal` is looked for; the whole of it is `before` + literal, and that begins at start. */
static const struct literal {
    struct str before, literal;
    literal_fn *find;
    enum redact_type type;
    uint8_t set;
    bool any_case;
} LITERALS[] = {
    {STR_INIT("bea"), STR_INIT("rer "), find_bearer, REDACT_BEARER, 0, true},
    {STR_INIT(""), STR_INIT("eyJ"), find_jwt, REDACT_JWT, 1, false},
    {STR_INIT("----"), STR_INIT("-BEGIN "), find_private_key, REDACT_PRIVATE_KEY, 2, false},
    {STR_INIT(""), STR_INIT("AKIA"), find_cloud_key, REDACT_CLOUD_KEY, 3, false},
    {STR_INIT(""), STR_INIT("ASIA"), find_cloud_key, REDACT_CLOUD_KEY, 3, false},
    {STR_INIT(""), STR_INIT("ABIA"), find_cloud_key, REDACT_CLOUD_KEY, 3, false},
    {STR_INIT(""), STR_INIT("ACCA"), find_cloud_key, REDACT_CLOUD_KEY, 3, false},
    {STR_INIT(""), STR_INIT("AIza"), find_cloud_key, REDACT_CLOUD_KEY, 3, false},
    {STR_INIT(""), STR_INIT("ya29."), find_cloud_key, REDACT_CLOUD_KEY, 4, false},
    {STR_INIT(""), STR_INIT("ghp_"), find_cloud_key, REDACT_CLOUD_KEY, 5, false},
    {STR_INIT(""), STR_INIT("gho_"), find_cloud_key, REDACT_CLOUD_KEY, 5, false},
    {STR_INIT(""), STR_INIT("ghu_"), find_cloud_key, REDACT_CLOUD_KEY, 5, false},
    {STR_INIT(""), STR_INIT("ghs_"), find_cloud_key, REDACT_CLOUD_KEY, 5, false},
    {STR_INIT(""), STR_INIT("ghr_"), find_cloud_key, REDACT_CLOUD_KEY, 5, false},
    {STR_INIT("githu"), STR_INIT("b_pat_"), find_cloud_key, REDACT_CLOUD_KEY, 4, false},
    {STR_INIT(""), STR_INIT("glpat-"), find_cloud_key, REDACT_CLOUD_KEY, 5, false},
    {STR_INIT(""), STR_INIT("xox"), find_cloud_key, REDACT_CLOUD_KEY, 6, false},
    {STR_INIT("s"), STR_INIT("k_live_"), find_cloud_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT("r"), STR_INIT("k_live_"), find_cloud_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT(""), STR_INIT("dop_v1_"), find_cloud_key, REDACT_CLOUD_KEY, 6, false},
    {STR_INIT("secret_acces"), STR_INIT("s_key"), find_secret_key, REDACT_CLOUD_KEY, 7, true},
    {STR_INIT("SecretAcces"), STR_INIT("sKey"), find_secret_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT("Accoun"), STR_INIT("tKey="), find_account_key, REDACT_CLOUD_KEY, 7, false},
};
enum { N_LITERALS = sizeof(LITERALS) / sizeof(LITERALS[0]) };

void redact_detect_needles(unsigned types, struct redact_needles *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < N_LITERALS; i++)
        if ((types >> LITERALS[i].type & 1) != 0)
            redact_needles_add(ret, LITERALS[i].set, LITERALS[i].literal, LITERALS[i].any_case);
    if ((types >> REDACT_EMAIL & 1) != 0)
        ret->hints |= REDACT_AT;
    if ((types >> REDACT_CARD & 1) != 0)
        ret->hints |= REDACT_DIGITS | REDACT_GROUPS;
    if ((types >> REDACT_IP & 1) != 0)
        ret->hints |= REDACT_QUAD | REDACT_COLON;
}

static bool has_literal(const struct literal *l, struct str text, size_t at)
{
    struct str here = str_sub(text, at, l->literal.n), before;

    if (at < l->before.n)
        return false;
    before = str_sub(text, at - l->before.n, l->before.n);
    return l->any_case ? str_eq_nocase(here, l->literal) && str_eq_nocase(before, l->before)
                       : str_eq(here, l->literal) && str_eq(before, l->before);
}

static bool find_literal(unsigned types, struct str text, size_t at, struct redact_span *ret)
{
    for (size_t i = 0; i < N_LITERALS; i++) {
        const struct literal *l = &LITERALS[i];
        if ((types >> l->type & 1) != 0 && has_literal(l, text, at) &&
            l->find(text, at - l->before.n, at + l->literal.n, ret))
            return true;
    }
    return false;
}

bool redact_detect(unsigned types, struct str text, size_t at, unsigned hints, size_t from,
                   struct redact_span *ret)
{
    if ((hints & REDACT_LITERAL) != 0 && find_literal(types, text, at, ret) && ret->end > from)
        return true;
    if ((hints & REDACT_AT) != 0 && find_email(text, at, ret) && ret->end > from)
        return true;
    if ((hints & REDACT_DIGITS) != 0 && at + 1 >= REDACT_DIGITS_MIN &&
        find_card(text, at + 1 - REDACT_DIGITS_MIN, at, ret) && ret->end > from)
        return true;
    if ((hints & REDACT_GROUPS) != 0 && find_cards(text, at, from, ret) && ret->end > from)
        return true;
    if ((hints & REDACT_QUAD) != 0 && find_ipv4(text, at, ret) && ret->end > from)
        return true;
    return (hints & REDACT_COLON) != 0 && find_ipv6(text, at, ret) && ret->end > from;
}
