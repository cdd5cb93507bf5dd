/*
 * collector/redact_detect.c - contract: redact_detect.h.
 *
 * Each detector looks to both sides of its hint as far as its alphabet reaches, and decides by
 * length, neighbours and, where there is one, a checksum.  What looks like a secret and is none
 * costs a word of a log; so detectors want what the makers of secrets promise, not only a length.
 */
#include "collector/redact_detect.h"

#include "collector/chars.h"
#include "collector/redact_address.h"

#include <stdlib.h>
#include <string.h>

enum {
    CARD_MIN = 13,
    CARD_MAX = 19,
    BEARER_MIN = 8,
    BEARER_SURE = 20, /* from here on a word without a digit is a token too */
    JWT_PART_MIN = 8,
    TOKEN_AGAIN_MAX = 512, /* of one in what was taken out: each hint there costs that much */
    NAME_GAP_MAX = 6,      /* between a name and its value */
    ESCAPE_CUT_MAX = 14,   /* of an escape that a cut leaves at the end */
    KEY_HEADER_MAX = 64,   /* -----BEGIN ENCRYPTED PRIVATE KEY----- */
    KEY_LINE_MIN = 60,     /* of a key that is spread over lines: most are 64 or 70 */
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

/* The end of the token of `classes` at `at`, and in *n how long it is.  What is in front of `from`
 * is taken out already: there hints may be as close to each other as they like. */
static size_t token_end(struct str text, size_t at, size_t from, unsigned classes, size_t *n)
{
    return chars_escaped_run(text, at, classes, at < from ? TOKEN_AGAIN_MAX : SIZE_MAX, n);
}

/* Does what begins at `at` surely end in front of `from`, where all is taken out already? */
static bool is_gone(struct str text, size_t at, size_t from)
{
    return at < from &&
           (from >= text.n || (text.p[from] != '\\' && text.p[from] != '%' &&
                               !chars_at(text, from, CHARS_ALNUM | CHARS_TOKEN | CHARS_EQUAL)));
}

/* "Bearer" was found: is what follows a token?  Forms have a + for the blank. */
static bool find_bearer(struct str text, size_t start, size_t end, size_t from,
                        struct redact_span *ret)
{
    size_t at = chars_gap(text, end, " \t+", SIZE_MAX), to, n, padding = 0;
    bool has_digit = false;

    (void)start;
    if (at == end || is_gone(text, at, from))
        return false;
    to = token_end(text, at, from, CHARS_ALNUM | CHARS_TOKEN, &n);
    for (size_t i = at; i < to && !has_digit; i++)
        has_digit = chars_is(text.p[i], CHARS_DIGIT);
    if (n > 0)
        to = token_end(text, to, from, CHARS_EQUAL, &padding);
    if (n + padding < (has_digit ? BEARER_MIN : BEARER_SURE))
        return false;
    return found(ret, REDACT_BEARER, at, to);
}

/* header.payload.signature, each base64url; the first is JSON and so begins with eyJ. */
static bool find_jwt(struct str text, size_t start, size_t end, size_t from,
                     struct redact_span *ret)
{
    size_t at, dots = 0;

    (void)from;
    if (chars_glued(text, start, CHARS_WORD | CHARS_DASH))
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
    unsigned min, max; /* behind the prefix; max 0: any */
    bool parts;        /* with dots or escapes between them */
};

static const struct key_form KEY_FORMS[] = {
    {STR_INIT("AKIA"), CHARS_DIGIT | CHARS_UPPER, 16, 16, false},
    {STR_INIT("ASIA"), CHARS_DIGIT | CHARS_UPPER, 16, 16, false},
    {STR_INIT("ABIA"), CHARS_DIGIT | CHARS_UPPER, 16, 16, false},
    {STR_INIT("ACCA"), CHARS_DIGIT | CHARS_UPPER, 16, 16, false},
    {STR_INIT("AIza"), CHARS_WORD | CHARS_DASH, 35, 35, false},
    {STR_INIT("ya29."), CHARS_WORD | CHARS_DASH, 20, 0, true},
    {STR_INIT("ghp_"), CHARS_ALNUM, 36, 0, false},
    {STR_INIT("gho_"), CHARS_ALNUM, 36, 0, false},
    {STR_INIT("ghu_"), CHARS_ALNUM, 36, 0, false},
    {STR_INIT("ghs_"), CHARS_ALNUM, 36, 0, false},
    {STR_INIT("ghr_"), CHARS_ALNUM, 36, 0, false},
    {STR_INIT("github_pat_"), CHARS_WORD, 22, 0, false},
    {STR_INIT("glpat-"), CHARS_WORD | CHARS_DASH, 20, 0, true},
    {STR_INIT("xoxb-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxp-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxa-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxr-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxs-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxc-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxd-"), CHARS_ALNUM | CHARS_DASH | CHARS_BASE64 | CHARS_EQUAL, 20, 0, true},
    {STR_INIT("xoxe-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("xoxe."), CHARS_ALNUM | CHARS_DASH, 20, 0, false}, /* xoxe.xoxp-... */
    {STR_INIT("xapp-"), CHARS_ALNUM | CHARS_DASH, 20, 0, false},
    {STR_INIT("sk_live_"), CHARS_ALNUM, 24, 0, false},
    {STR_INIT("rk_live_"), CHARS_ALNUM, 24, 0, false},
    {STR_INIT("dop_v1_"), CHARS_DIGIT | CHARS_LOWER, 64, 64, false},
};

/* The end of a key of any length.  A dot with nothing behind it ends a sentence. */
static size_t key_parts_end(struct str text, size_t at, size_t from, const struct key_form *f)
{
    unsigned classes = f->classes | CHARS_UNDER;
    size_t n, sum = 0, to = at;

    for (;;) {
        to = token_end(text, to, from, classes, &n);
        sum += n + 1;
        if (!f->parts || to >= text.n || text.p[to] != '.' || !chars_at(text, to + 1, classes) ||
            (at < from && sum > TOKEN_AGAIN_MAX))
            return to;
        to++;
    }
}

/* Where a key of this form that begins behind its prefix, at `at`, ends; `at`: it is none. */
static size_t key_form_end(struct str text, size_t at, size_t from, const struct key_form *f)
{
    size_t most = f->max == 0 ? f->min : f->max + 1, n = 0, to = at;

    for (; n < most && chars_at(text, to, f->classes); n++)
        to++;
    if (f->parts && n < f->min) {
        to = key_parts_end(text, at, from, f);
        return to - at < f->min ? at : to;
    }
    if (f->max == 0 && n == f->min)
        return key_parts_end(text, to, from, f);
    return n < f->min || n > f->max || chars_at(text, to, CHARS_WORD) ? at : to;
}

static bool find_cloud_key(struct str text, size_t start, size_t end, size_t from,
                           struct redact_span *ret)
{
    struct str rest = str_from(text, start);

    if (chars_glued(text, start, CHARS_WORD) || is_gone(text, end, from))
        return false;
    for (size_t i = 0; i < sizeof(KEY_FORMS) / sizeof(KEY_FORMS[0]); i++) {
        const struct key_form *f = &KEY_FORMS[i];
        size_t at = start + f->prefix.n, to;
        if (!str_starts(rest, f->prefix))
            continue;
        to = key_form_end(text, at, from, f);
        if (to > at)
            return found(ret, REDACT_CLOUD_KEY, start, to);
    }
    return false;
}

/* The value behind a name: = or : or a tag's end, with quotes and blanks around, then `min`..`max`
 * of base64. */
static bool find_value(struct str text, size_t end, size_t min, size_t max, struct redact_span *ret)
{
    size_t at = chars_gap(text, end, "\"'=:> ", NAME_GAP_MAX), to, n, padding = 0;

    to = chars_escaped_run(text, at, CHARS_ALNUM | CHARS_BASE64, max + 1, &n);
    if (n > 0)
        to = chars_escaped_run(text, to, CHARS_EQUAL, max, &padding);
    n += padding;
    if (at == end || n < min || n > max || chars_at(text, to, CHARS_WORD | CHARS_DASH))
        return false;
    return found(ret, REDACT_CLOUD_KEY, at, to);
}

/* aws_secret_access_key, SecretAccessKey: the key itself has nothing to tell it by. */
static bool find_secret_key(struct str text, size_t start, size_t end, size_t from,
                            struct redact_span *ret)
{
    (void)start;
    (void)from;
    return find_value(text, end, 40, 40, ret);
}

/* Azure's AccountKey=, 64 bytes. */
static bool find_account_key(struct str text, size_t start, size_t end, size_t from,
                             struct redact_span *ret)
{
    (void)start;
    (void)from;
    return find_value(text, end, 86, 88, ret);
}

/* ---- private keys ---- */

static const struct str BEGIN_OF_KEY = STR_INIT("-----BEGIN ");
static const struct str END_OF_KEY = STR_INIT("-----END ");
static const struct str DASHES = STR_INIT("-----");

/* Is what is left behind `at` the beginning of an escape? */
static bool is_cut_escape(struct str text, size_t at)
{
    size_t i = at;

    while (i < text.n && i - at < ESCAPE_CUT_MAX && (text.p[i] == '\\' || text.p[i] == '%'))
        i++;
    if (i > at && i < text.n && (text.p[i] == 'u' || text.p[i] == 'x'))
        i++;
    while (i < text.n && i - at < ESCAPE_CUT_MAX && chars_is_hex(text.p[i]))
        i++;
    return i == text.n;
}

/* The bytes at `at` that are one character of a key in PEM, or of a line Proc-Type: 4,ENCRYPTED; 0:
 * they are none. */
static size_t key_char(struct str text, size_t at)
{
    size_t bytes = 1;
    char c = text.p[at];

    if (c == '\\' || c == '%')
        bytes = chars_escape(text, at, &c);
    if (bytes == 0 && is_cut_escape(text, at))
        return text.n - at;
    if (bytes == 0 && str_starts(str_from(text, at), STR("\\\\")))
        return 2;
    if (chars_is(c, CHARS_ALNUM | CHARS_BASE64 | CHARS_EQUAL) ||
        (c != '\0' && strchr(" \t\r\n:,", c) != NULL))
        return bytes;
    return c == '-' && !str_starts(str_from(text, at), DASHES) ? bytes : 0;
}

/* The end of what may belong to a key in PEM, be it in a string of JSON. */
static size_t key_body(struct str text, size_t at)
{
    size_t n;

    while (at < text.n && (n = key_char(text, at)) > 0)
        at += n;
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

static bool find_private_key(struct str text, size_t start, size_t end, size_t from,
                             struct redact_span *ret)
{
    size_t words = end, at;

    (void)from;
    while (words < text.n && words - end < 40 &&
           (chars_is(text.p[words], CHARS_UPPER | CHARS_DIGIT) || text.p[words] == ' '))
        words++;
    if (str_find(str_sub(text, end, words - end), STR("PRIVATE KEY")) == SIZE_MAX ||
        !str_starts(str_from(text, words), DASHES))
        return false;
    at = key_body(text, words + DASHES.n);
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
    size_t at = key_body(text, 0), end;

    if (cut && at <= KEY_HEADER_MAX && str_starts(str_from(text, at), DASHES) &&
        !str_starts(str_from(text, at), END_OF_KEY)) /* the rest of the line that began it */
        at = key_body(text, at + DASHES.n);
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
    return chars_is(c, CHARS_ALNUM | CHARS_TOKEN) || (c != '\0' && strchr("=@:%\\", c) != NULL);
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

static bool is_maestro(int four)
{
    static const int FIRST[] = {5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763};

    for (size_t i = 0; i < sizeof(FIRST) / sizeof(FIRST[0]); i++)
        if (four == FIRST[i])
            return true;
    return false;
}

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
             (four >= 3528 && four <= 3589) || (four >= 2200 && four <= 2204))
        lengths = 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19;
    else if (is_maestro(four))
        lengths = 127u << 13;
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

    if (!chars_is(text.p[start], CHARS_DIGIT) || chars_glued(text, start, CHARS_WORD) ||
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

static bool is_in_groups(struct str text, size_t at)
{
    return at < text.n && (chars_is(text.p[at], CHARS_DIGIT | CHARS_DASH) || text.p[at] == ' ');
}

/* The first number that begins at `from` or later in a run of digits, blanks and dashes, the 16th
 * of which is the place.  No look ahead: a run may hold a hundred thousand of them.  `from` may be
 * far behind it, for what has been taken out began in the run. */
static bool find_cards(struct str text, struct redact_place *place, size_t from,
                       struct redact_span *ret)
{
    size_t start = place->at < REDACT_GROUPS_MIN ? 0 : place->at + 1 - REDACT_GROUPS_MIN;

    while (place->run < from && is_in_groups(text, place->run))
        place->run++;
    if (place->run < from)
        return false;
    for (start = start > from ? start : from; is_in_groups(text, start); start++)
        if (is_card_at(text, start, ret))
            return true;
    return false;
}

/* ---- literals ---- */

typedef bool literal_fn(struct str text, size_t start, size_t end, size_t from,
                        struct redact_span *ret);

/* `literal` is looked for; the whole of it is `before` + literal, and that begins at start. */
static const struct literal {
    struct str before, literal;
    literal_fn *find;
    enum redact_type type;
    uint8_t set;
    bool any_case;
} LITERALS[] = {
    {STR_INIT("bea"), STR_INIT("rer"), find_bearer, REDACT_BEARER, 0, true},
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
    {STR_INIT("xa"), STR_INIT("pp-"), find_cloud_key, REDACT_CLOUD_KEY, 2, false},
    {STR_INIT("s"), STR_INIT("k_live_"), find_cloud_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT("r"), STR_INIT("k_live_"), find_cloud_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT(""), STR_INIT("dop_v1_"), find_cloud_key, REDACT_CLOUD_KEY, 6, false},
    {STR_INIT("secret_acces"), STR_INIT("s_key"), find_secret_key, REDACT_CLOUD_KEY, 7, true},
    {STR_INIT("SecretAcces"), STR_INIT("sKey"), find_secret_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT("secretAcces"), STR_INIT("sKey"), find_secret_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT("Accoun"), STR_INIT("tKey"), find_account_key, REDACT_CLOUD_KEY, 7, false},
    {STR_INIT("accoun"), STR_INIT("tKey"), find_account_key, REDACT_CLOUD_KEY, 7, false},
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

/* Where it begins with what may be the letter of an escape, it begins behind that: \rk_live_. */
static bool find_literal(unsigned types, struct str text, size_t at, size_t from,
                         struct redact_span *ret)
{
    unsigned char first = (unsigned char)text.p[at] & 0xdf;

    for (size_t i = 0; i < N_LITERALS; i++) {
        const struct literal *l = &LITERALS[i];
        if (((unsigned char)l->literal.p[0] & 0xdf) != first || (types >> l->type & 1) == 0 ||
            !has_literal(l, text, at) ||
            !l->find(text, at - l->before.n, at + l->literal.n, from, ret))
            continue;
        if (l->type == REDACT_CLOUD_KEY && ret->start == at - l->before.n)
            ret->start = chars_behind_escape(text, ret->start);
        return true;
    }
    return false;
}

/* What a hint at byte `at` stands for, but for groups of digits: those may be many. */
static bool find_one(unsigned types, struct str text, size_t at, unsigned hint, size_t from,
                     struct redact_span *ret)
{
    switch (hint) {
    case REDACT_LITERAL:
        return find_literal(types, text, at, from, ret);
    case REDACT_AT:
        return redact_address_email(text, at, ret);
    case REDACT_DIGITS:
        return at + 1 >= REDACT_DIGITS_MIN && find_card(text, at + 1 - REDACT_DIGITS_MIN, at, ret);
    case REDACT_QUAD:
        return redact_address_ipv4(text, at, ret);
    case REDACT_COLON:
        return redact_address_ipv6(text, at, ret);
    default:
        return false;
    }
}

bool redact_detect(unsigned types, struct str text, struct redact_place *place, size_t from,
                   struct redact_span *ret)
{
    while (place->hints != 0) {
        unsigned hint = place->hints & -place->hints;
        if (hint == REDACT_GROUPS && find_cards(text, place, from, ret))
            return true;
        place->hints &= ~hint;
        if (find_one(types, text, place->at, hint, from, ret) && ret->end > from)
            return true;
    }
    return false;
}
