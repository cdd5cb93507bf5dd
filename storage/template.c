/*
 * storage/template.c - choosing how to cut a line, and cutting text.  Contract: template.h.
 *
 * What is variable in text is guessed from looks alone: a word that holds a digit.  Guessing wrong
 * costs bytes, never correctness.  Two wishes pull against each other: few templates (so whatever
 * comes in many forms must be one slot: an id of hex digits, some of whose runs happen to be
 * letters only) and slots that are plain numbers (so `core123` is `core` and a number).  Addresses
 * and times are one slot each: their parts go together, a column of whole addresses makes a
 * dictionary, and a slot costs time for every row.
 */
#include "storage/template.h"

#include "storage/template_internal.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- classes of bytes ---- */

enum { WORD = 1, DIGIT = 2, HEX = 4, QUOTE = 8, EQUALS = 16 };

#define D10(c, v)                                                                                  \
    [c] = (v), [(c) + 1] = (v), [(c) + 2] = (v), [(c) + 3] = (v), [(c) + 4] = (v),                 \
    [(c) + 5] = (v), [(c) + 6] = (v), [(c) + 7] = (v), [(c) + 8] = (v), [(c) + 9] = (v)
#define D20(c, v) D10(c, v), D10((c) + 10, v)
#define D6(c, v)                                                                                   \
    [c] = (v), [(c) + 1] = (v), [(c) + 2] = (v), [(c) + 3] = (v), [(c) + 4] = (v), [(c) + 5] = (v)

static const uint8_t class_of[256] = {
    D10('0', WORD | DIGIT | HEX),
    D6('a', WORD | HEX),
    D20('g', WORD),
    D6('A', WORD | HEX),
    D20('G', WORD),
    ['"'] = QUOTE,
    ['\\'] = QUOTE,
    ['='] = EQUALS,
};

static bool is(const struct template_cut *c, uint32_t i, unsigned class)
{
    return (class_of[(unsigned char)c->line.p[i]] & class) != 0;
}

static bool is_char(const struct template_cut *c, uint32_t i, uint32_t end, char x)
{
    return i < end && c->line.p[i] == x;
}

static void classify_portable(struct template_cut *c, uint32_t from)
{
    for (uint32_t i = from; i < c->line.n; i += 64) {
        uint32_t n = (uint32_t)c->line.n - i < 64 ? (uint32_t)c->line.n - i : 64;
        uint64_t word = 0;
        uint64_t digit = 0;
        uint64_t quote = 0;

        for (uint32_t j = 0; j < n; j++) {
            uint64_t x = class_of[(unsigned char)c->line.p[i + j]];
            word |= (x & 1) << j;
            digit |= (x >> 1 & 1) << j;
            quote |= (x >> 3 & 1) << j;
            c->equals += (uint32_t)(x >> 4);
        }
        c->word[i / 64] = word;
        c->digit[i / 64] = digit;
        c->quote[i / 64] = quote;
    }
}

#if defined(__x86_64__)

struct masks {
    uint32_t word, digit, quote, equals;
};

__attribute__((target("avx2"))) static inline struct masks classify_32(__m256i x)
{
    const __m256i lower = _mm256_or_si256(x, _mm256_set1_epi8(0x20));
    const __m256i letter = _mm256_sub_epi8(lower, _mm256_set1_epi8('a'));
    const __m256i number = _mm256_sub_epi8(x, _mm256_set1_epi8('0'));
    const __m256i digit = _mm256_cmpeq_epi8(_mm256_min_epu8(number, _mm256_set1_epi8(9)), number);
    const __m256i word = _mm256_or_si256(
        digit, _mm256_cmpeq_epi8(_mm256_min_epu8(letter, _mm256_set1_epi8(25)), letter));
    const __m256i quote = _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('"')),
                                          _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')));

    return (struct masks){
        .word = (uint32_t)_mm256_movemask_epi8(word),
        .digit = (uint32_t)_mm256_movemask_epi8(digit),
        .quote = (uint32_t)_mm256_movemask_epi8(quote),
        .equals = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('='))),
    };
}

__attribute__((target("avx2,popcnt"))) static void classify_64(struct template_cut *c, uint32_t at,
                                                               const char *p)
{
    struct masks a = classify_32(_mm256_loadu_si256((const void *)p));
    struct masks b = classify_32(_mm256_loadu_si256((const void *)(p + 32)));

    c->word[at] = a.word | (uint64_t)b.word << 32;
    c->digit[at] = a.digit | (uint64_t)b.digit << 32;
    c->quote[at] = a.quote | (uint64_t)b.quote << 32;
    c->equals += (uint32_t)__builtin_popcountll(a.equals | (uint64_t)b.equals << 32);
}

__attribute__((target("avx2,popcnt"))) static void classify_avx2(struct template_cut *c)
{
    uint32_t n = (uint32_t)c->line.n;
    uint32_t i = 0;

    for (; n - i >= 64; i += 64)
        classify_64(c, i / 64, c->line.p + i);
    if (i < n) {
        char rest[64] = {0};
        memcpy(rest, c->line.p + i, n - i);
        classify_64(c, i / 64, rest);
    }
}

#endif

static void classify(struct template_cut *c)
{
    size_t last = c->line.n / 64;

    c->equals = 0;
    c->word[last] = c->digit[last] = c->quote[last] = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        classify_avx2(c);
        return;
    }
#endif
    classify_portable(c, 0);
}

/* ---- numbers that belong together ---- */

/* Exactly `n` digits at i, and no digit behind them. */
static bool is_number(const struct template_cut *c, uint32_t i, uint32_t n, uint32_t to)
{
    return n <= to - i && template_next_zero(c->digit, i, to) == i + n;
}

/* Behind hh:mm:ss and its fraction, at `i`; 0: it is none.  Four parts are no time: programs that
 * write such do not pad them, and parts of all widths must be cut the same way. */
static uint32_t time_end(const struct template_cut *c, uint32_t i, uint32_t to)
{
    uint32_t end = i + 8;

    if (to - i < 8 || !is_number(c, i, 2, to) || c->line.p[i + 2] != ':' ||
        !is_number(c, i + 3, 2, to) || c->line.p[i + 5] != ':' || !is_number(c, i + 6, 2, to))
        return 0;
    if (is_char(c, end, to, ':'))
        return 0;
    if ((is_char(c, end, to, '.') || is_char(c, end, to, ',')) && end + 1 < to &&
        is(c, end + 1, DIGIT))
        end = template_next_zero(c->digit, end + 1, to);
    return end;
}

/* Behind `Z`, `+hh:mm` or `+hhmm` at `i`, or i. */
static uint32_t zone_end(const struct template_cut *c, uint32_t i, uint32_t to)
{
    if (is_char(c, i, to, 'Z'))
        return i + 1;
    if (!is_char(c, i, to, '+') && !is_char(c, i, to, '-'))
        return i;
    if (to - i >= 6 && is_number(c, i + 1, 2, to) && c->line.p[i + 3] == ':' &&
        is_number(c, i + 4, 2, to))
        return i + 6;
    return to - i >= 5 && is_number(c, i + 1, 4, to) ? i + 5 : i;
}

/* Behind yyyy-mm-dd (or with / or .) and the time that follows it; 0: it is none. */
static uint32_t date_end(const struct template_cut *c, uint32_t i, uint32_t to)
{
    uint32_t end = i + 10;
    uint32_t time;
    char sep;

    if (to - i < 10)
        return 0;
    sep = c->line.p[i + 4];
    if ((sep != '-' && sep != '/' && sep != '.') || c->line.p[i + 7] != sep ||
        !is_number(c, i + 5, 2, to) || !is(c, i + 8, DIGIT) || !is(c, i + 9, DIGIT))
        return 0;
    if (end < to && is(c, end, DIGIT))
        return 0;
    if (is_char(c, end, to, 'T') || is_char(c, end, to, ' ')) {
        time = time_end(c, end + 1, to);
        if (time != 0)
            end = zone_end(c, time, to);
    }
    return end < to && is(c, end, WORD) ? 0 : end;
}

/* Behind four numbers of up to three digits with dots between; 0: it is none. */
static uint32_t address_end(const struct template_cut *c, uint32_t i, uint32_t to)
{
    for (unsigned part = 0;; part++) {
        uint32_t end = template_next_zero(c->digit, i, to);

        if (end == i || end - i > 3)
            return 0;
        if (part == 3)
            return (end < to && is(c, end, WORD)) ||
                           (is_char(c, end, to, '.') && end + 1 < to && is(c, end + 1, WORD))
                       ? 0
                       : end;
        if (!is_char(c, end, to, '.'))
            return 0;
        i = end + 1;
    }
}

/* Whether 8-4-4-4-12 hex digits stand at i. */
static bool is_uuid(const struct template_cut *c, uint32_t i, uint32_t to)
{
    if (to - i < 36)
        return false;
    for (uint32_t j = 0; j < 36; j++) {
        if (j == 8 || j == 13 || j == 18 || j == 23 ? c->line.p[i + j] != '-' : !is(c, i + j, HEX))
            return false;
    }
    return i + 36 == to || !is(c, i + 36, WORD);
}

/* If the word [s, e), which holds a digit, lies in a UUID that begins at `low` or behind it: where
 * that begins; else UINT32_MAX. */
static uint32_t uuid_start(const struct template_cut *c, uint32_t s, uint32_t e, uint32_t low,
                           uint32_t to)
{
    static const uint8_t back[] = {9, 14, 19, 24};

    if (e - s == 8)
        return is_char(c, e, to, '-') && is_uuid(c, s, to) ? s : UINT32_MAX;
    if (s - low < 9 || c->line.p[s - 1] != '-')
        return UINT32_MAX;
    for (size_t i = 0; i < sizeof(back) && back[i] <= s - low; i++) {
        uint32_t at = s - back[i];
        if (is_uuid(c, at, to) && (at == low || !is(c, at - 1, WORD)))
            return at;
    }
    return UINT32_MAX;
}

/* A word of one to four hex digits at [s, e)? */
static bool is_group(const struct template_cut *c, uint32_t s, uint32_t e)
{
    if (s == e || e - s > 4)
        return false;
    for (uint32_t i = s; i < e; i++) {
        if (!is(c, i, HEX))
            return false;
    }
    return true;
}

/* Widen [*s, *e), a group, over its neighbours joined by colons: hardware addresses and IPv6. */
static bool widen_groups(const struct template_cut *c, uint32_t low, uint32_t to, uint32_t *s,
                         uint32_t *e)
{
    uint32_t from = *s;
    uint32_t end = *e;
    unsigned colons = 0;
    bool gap = false;

    while (from > low && c->line.p[from - 1] == ':') {
        uint32_t start = template_run_start(c->word, from - 1, low);
        if (!is_group(c, start, from - 1))
            break;
        from = start;
        colons++;
    }
    while (is_char(c, end, to, ':')) {
        uint32_t next = end + 1;
        uint32_t stop;
        if (!gap && is_char(c, next, to, ':')) {
            gap = true;
            next++;
        }
        stop = template_next_zero(c->word, next, to);
        if (!is_group(c, next, stop))
            break;
        end = stop;
        colons++;
    }
    if (colons < 5 && !(gap && colons >= 2))
        return false;
    *s = from;
    *e = end;
    return true;
}

/* ---- words ---- */

/* Letters that are no hex digit, one to three of them: `ms`, `KB`, `th`. */
static bool is_unit(const struct template_cut *c, uint32_t i, uint32_t end)
{
    return end - i <= 3 && !is(c, i, HEX) && template_next_one(c->digit, i, end) == end;
}

/* A name before a number, rather than hex digits. */
static bool is_name(const struct template_cut *c, uint32_t i, uint32_t end)
{
    for (; i < end; i++) {
        if (!is(c, i, HEX))
            return true;
    }
    return false;
}

/* Behind `-` and five letters and digits that are no vowels, as the last part of the name of a
 * Kubernetes pod, or `e`. */
static uint32_t pod_end(const struct template_cut *c, uint32_t s, uint32_t e, uint32_t to)
{
    if (e - s < 7 || e - s > 10 || to - e < 6 || c->line.p[e] != '-' ||
        template_next_zero(c->word, e + 1, to) != e + 6)
        return e;
    for (uint32_t i = e + 1; i < e + 6; i++) {
        if (memchr("bcdfghjklmnpqrstvwxz2456789", c->line.p[i], 27) == NULL)
            return e;
    }
    return e + 6;
}

/* The slot of a number at [s, e): all that belongs to it. */
static uint32_t number_end(const struct template_cut *c, uint32_t s, uint32_t e, uint32_t to)
{
    uint32_t end = 0;

    if (e == to)
        return e;
    switch (c->line.p[e]) {
    case ':':
        end = e - s == 2 ? time_end(c, s, to) : 0;
        break;
    case '-':
    case '/':
        end = e - s == 4 ? date_end(c, s, to) : 0;
        break;
    case '.':
        if (s >= 2 && c->line.p[s - 1] == '.' && is(c, s - 2, DIGIT))
            break; /* a later part of a version */
        end = e - s <= 3 ? address_end(c, s, to) : e - s == 4 ? date_end(c, s, to) : 0;
        if (end != 0 || e + 1 == to || !is(c, e + 1, DIGIT))
            break;
        end = template_next_zero(c->digit, e + 1, to);
        if (end < to && ((is(c, end, WORD) && is(c, end, HEX)) ||
                         (c->line.p[end] == '.' && end + 1 < to && is(c, end + 1, DIGIT))))
            end = 0; /* a version, or an id */
        break;
    default:
        break;
    }
    return end == 0 ? e : end;
}

/* The word [s, e), which holds a digit first at p, as a slot.  Returns where the slot ends. */
static uint32_t cut_word(struct template_cut *c, uint32_t s, uint32_t p, uint32_t to, uint32_t low)
{
    uint32_t digits = template_next_zero(c->digit, p, to);
    uint32_t e = template_next_zero(c->word, digits, to);
    uint32_t uuid = UINT32_MAX;

    if (e - s <= 12 && ((e < to && c->line.p[e] == '-') || (s > low && c->line.p[s - 1] == '-')))
        uuid = uuid_start(c, s, e, low, to);
    if (uuid != UINT32_MAX) {
        s = uuid;
        e = uuid + 36;
    } else if (s == p && digits == e) {
        e = number_end(c, s, e, to);
        if (e == digits && e - s <= 4 &&
            (is_char(c, e, to, ':') || (s > low && c->line.p[s - 1] == ':')))
            (void)widen_groups(c, low, to, &s, &e);
    } else if (s == p && is_unit(c, digits, e)) {
        e = digits;
    } else if (digits == e && is_name(c, s, p)) {
        s = p;
        e = digits;
    } else if (digits == s + 1 && c->line.p[s] == '0' && c->line.p[digits] == 'x' && e - s > 2) {
        s += 2;
    } else if (e - s <= 4 && (is_char(c, e, to, ':') || (s > low && c->line.p[s - 1] == ':'))) {
        if (is_group(c, s, e))
            (void)widen_groups(c, low, to, &s, &e);
    } else {
        e = pod_end(c, s, e, to);
    }
    template_add(c, s, e);
    return e;
}

void template_cut_text(struct template_cut *c, uint32_t from, uint32_t to)
{
    uint32_t low = from;

    while (!c->overflow) {
        uint32_t p = template_next_one(c->digit, low, to);
        if (p == to)
            return;
        low = cut_word(c, template_run_start(c->word, p, low), p, to, low);
    }
}

void template_cut_message(struct template_cut *c, uint32_t from, uint32_t to)
{
    if (c->whole || template_next_one(c->digit, from, to) == to)
        template_add(c, from, to);
    else
        template_cut_text(c, from, to);
}

bool template_key_is_message(struct str key)
{
    static const struct str names[] = {
        STR_INIT("msg"),     STR_INIT("message"), STR_INIT("log"),
        STR_INIT("body"),    STR_INIT("error"),   STR_INIT("err"),
        STR_INIT("MESSAGE"), STR_INIT("Message"), STR_INIT("@message"),
    };

    if (key.n < 3 || key.n > 8 || memchr("mlbeM@", key.p[0], 6) == NULL)
        return false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq(key, names[i]))
            return true;
    }
    return false;
}

/* ---- strings ---- */

/* Length of the escape at `i`, which is a backslash; 0: JSON does not know it. */
static uint32_t escape_length(const struct template_cut *c, uint32_t i, uint32_t end)
{
    if (end - i < 2)
        return 0;
    if (c->line.p[i + 1] != 'u')
        return memchr("\"\\/bfnrt", c->line.p[i + 1], 8) != NULL ? 2 : 0;
    if (end - i < 6)
        return 0;
    for (uint32_t j = i + 2; j < i + 6; j++) {
        if (!is(c, j, HEX))
            return 0;
    }
    return 6;
}

uint32_t template_string_end(const struct template_cut *c, uint32_t i, uint32_t end)
{
    for (;;) {
        uint32_t escape;

        i = template_next_one(c->quote, i, end);
        if (i == end)
            return 0;
        if (c->line.p[i] == '"')
            return i + 1;
        escape = escape_length(c, i, end);
        if (escape == 0)
            return 0;
        i += escape;
    }
}

/* ---- the line ---- */

static void make_raw(struct str line, struct template_line *ret)
{
    ret->kind = TEMPLATE_RAW;
    ret->n_slots = 1;
    ret->slot[0] = (struct template_slot){0, (uint32_t)line.n};
}

static bool cut_text(struct template_cut *c)
{
    template_cut_text(c, 0, (uint32_t)c->line.n);
    return true;
}

/* Try one way to cut. */
static bool try(struct template_cut *c, bool (*cut)(struct template_cut *c),
                enum template_kind kind)
{
    c->overflow = false;
    c->ret->n_slots = 0;
    c->ret->kind = kind;
    return cut(c) && !c->overflow;
}

static void split(struct str line, bool whole, struct template_line *ret)
{
    struct template_cut c;

    if (line.n > TEMPLATE_LINE_MAX - 1) {
        make_raw(line, ret);
        return;
    }
    c.line = line;
    c.ret = ret;
    c.whole = whole;
    classify(&c);
    if (line.n > 0 && line.p[0] == '{' && try(&c, template_cut_json, TEMPLATE_JSON))
        return;
    if (c.equals >= 3 && try(&c, template_cut_logfmt, TEMPLATE_LOGFMT))
        return;
    if (try(&c, template_cut_access, TEMPLATE_ACCESS))
        return;
    if (!try(&c, cut_text, TEMPLATE_TEXT))
        make_raw(line, ret);
}

void template_split(struct str line, struct template_line *ret)
{
    split(line, false, ret);
}

void template_split_whole(struct str line, struct template_line *ret)
{
    split(line, true, ret);
}
