/*
 * base/level.c - contract: level.h.
 *
 * The level is looked for where Loki looks (grafana/loki, field detection; docs/logql.md): a
 * level-like label or attribute, the same keys in a JSON (depth 2) or logfmt line, the first level
 * word in the text, else "unknown".  On the hot path: one pass over the line at most, nothing
 * allocated.
 */
#include "base/level.h"

#include "base/json.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { JSON_LEVEL_DEPTH = 2, LEVEL_KEY_MIN = 3, LEVEL_KEY_MAX = 13, WORD_MAX = 13 };

static const struct str LEVEL_KEYS[] = {
    STR_INIT("level"),         STR_INIT("LEVEL"),         STR_INIT("Level"),
    STR_INIT("log.level"),     STR_INIT("severity"),      STR_INIT("SEVERITY"),
    STR_INIT("Severity"),      STR_INIT("SeverityText"),  STR_INIT("lvl"),
    STR_INIT("LVL"),           STR_INIT("Lvl"),           STR_INIT("severity_text"),
    STR_INIT("Severity_Text"), STR_INIT("SEVERITY_TEXT"),
};

/* What programs write, and the level it means. */
static const struct {
    struct str word;
    enum level level;
} WORDS[] = {
    {STR_INIT("trace"), LEVEL_TRACE},      {STR_INIT("trc"), LEVEL_TRACE},
    {STR_INIT("debug"), LEVEL_DEBUG},      {STR_INIT("dbg"), LEVEL_DEBUG},
    {STR_INIT("info"), LEVEL_INFO},        {STR_INIT("inf"), LEVEL_INFO},
    {STR_INIT("information"), LEVEL_INFO}, {STR_INIT("informational"), LEVEL_INFO},
    {STR_INIT("warn"), LEVEL_WARN},        {STR_INIT("wrn"), LEVEL_WARN},
    {STR_INIT("warning"), LEVEL_WARN},     {STR_INIT("error"), LEVEL_ERROR},
    {STR_INIT("err"), LEVEL_ERROR},        {STR_INIT("critical"), LEVEL_CRITICAL},
    {STR_INIT("fatal"), LEVEL_FATAL},
};

/* What these words begin with. */
static const char BEGINS[] = {'t', 'd', 'i', 'w', 'e', 'c', 'f'};

static bool is_level_key(struct str key)
{
    char first = key.n >= LEVEL_KEY_MIN && key.n <= LEVEL_KEY_MAX ? (char)(key.p[0] | 0x20) : '\0';

    if (first != 'l' && first != 's') /* as almost all are: each label of each record is asked */
        return false;
    for (size_t i = 0; i < sizeof(LEVEL_KEYS) / sizeof(LEVEL_KEYS[0]); i++)
        if (str_eq(key, LEVEL_KEYS[i]))
            return true;
    return false;
}

/* LEVEL_UNKNOWN: no level we know. */
static enum level normalise(struct str word)
{
    word = str_trim(word);
    if (word.n < 3 || word.n > WORD_MAX)
        return LEVEL_UNKNOWN;
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (word.n == WORDS[i].word.n && (word.p[0] | 0x20) == WORDS[i].word.p[0] &&
            str_eq_nocase(word, WORDS[i].word))
            return WORDS[i].level;
    return LEVEL_UNKNOWN;
}

static enum level level_in_labels(const struct label *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_level_key(v[i].name)) {
            enum level level = normalise(v[i].value);
            if (level != LEVEL_UNKNOWN)
                return level;
        }
    }
    return LEVEL_UNKNOWN;
}

static enum level level_in_json(struct str line)
{
    enum level level = LEVEL_UNKNOWN;
    bool is_wanted = false; /* the last token was a level key */
    struct json_reader r;
    struct json_token t;
    struct err err;
    unsigned depth = 0;

    json_reader_init(&r, line);
    while (level == LEVEL_UNKNOWN && json_next(&r, &t, &err) == 0 && t.type != JSON_END) {
        if (t.type == JSON_KEY) {
            is_wanted = depth <= JSON_LEVEL_DEPTH && is_level_key(t.raw);
            if (!is_wanted && depth >= JSON_LEVEL_DEPTH && json_skip(&r, NULL, &err) < 0)
                break;
            continue;
        }
        if (is_wanted && t.type == JSON_STRING && !t.escaped)
            level = normalise(t.raw);
        is_wanted = false;
        if (t.type == JSON_OBJECT || t.type == JSON_ARRAY)
            depth++;
        else if (t.type == JSON_OBJECT_END || t.type == JSON_ARRAY_END)
            depth--;
    }
    return level;
}

/* Letters, digits, the underscore, and all that is not ASCII: a bit for each byte. */
static bool is_word(char c)
{
    static const uint64_t BITS[4] = {0x03ff000000000000, 0x07fffffe87fffffe, UINT64_MAX,
                                     UINT64_MAX};
    unsigned char b = (unsigned char)c;

    return (BITS[b >> 6] >> (b & 63) & 1) != 0;
}

/* Is what ends at `end` a level key, at the line's begin or behind a space? */
static bool is_key_before(struct str line, const char *end)
{
    const char *key = end;
    char last = end > line.p ? (char)(end[-1] | 0x20) : '\0';

    if (last != 'l' && last != 'y' && last != 't') /* every level key ends so */
        return false;
    while (key > line.p && end - key <= LEVEL_KEY_MAX && (is_word(key[-1]) || key[-1] == '.'))
        key--;
    if (key > line.p && key[-1] != ' ')
        return false;
    return is_level_key((struct str){key, (size_t)(end - key)});
}

static enum level level_in_logfmt(struct str line)
{
    const char *end = line.p + line.n;
    const char *p = line.p;

    while (p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL) {
        bool is_key = is_key_before(line, p);
        const char *from;
        const char *to;
        enum level level;
        p++;
        if (!is_key)
            continue;
        from = p < end && *p == '"' ? p + 1 : p;
        for (to = from; to < end && is_word(*to); to++)
            ;
        level = normalise((struct str){from, (size_t)(to - from)});
        if (level != LEVEL_UNKNOWN)
            return level;
    }
    return LEVEL_UNKNOWN;
}

/* ---- words of a text ---- */

enum { STEP = 16 };

/* Of 16 bytes those of a word, and those that a level word could begin with: bit i for p[i]. */
static void look(const char *p, unsigned *words, unsigned *begins)
{
#if defined(__SSE2__)
    __m128i v = _mm_loadu_si128((const void *)p);
    __m128i low = _mm_or_si128(v, _mm_set1_epi8(0x20));
    __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(low, _mm_set1_epi8('a' - 1)),
                                   _mm_cmplt_epi8(low, _mm_set1_epi8('z' + 1)));
    __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)),
                                  _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1)));
    __m128i word = _mm_or_si128(_mm_or_si128(letter, digit),
                                _mm_or_si128(v, _mm_cmpeq_epi8(v, _mm_set1_epi8('_'))));
    __m128i begin = _mm_cmpeq_epi8(low, _mm_set1_epi8(BEGINS[0]));

    for (size_t i = 1; i < sizeof(BEGINS); i++)
        begin = _mm_or_si128(begin, _mm_cmpeq_epi8(low, _mm_set1_epi8(BEGINS[i])));
    *words = (unsigned)_mm_movemask_epi8(word); /* the highest bit: not ASCII, or a comparison */
    *begins = (unsigned)_mm_movemask_epi8(begin);
#else
    *words = *begins = 0;
    for (unsigned i = 0; i < STEP; i++) {
        *words |= (unsigned)is_word(p[i]) << i;
        *begins |= (unsigned)(memchr(BEGINS, p[i] | 0x20, sizeof(BEGINS)) != NULL) << i;
    }
#endif
}

/* The word that begins at p. */
static enum level level_of_word(const char *p, const char *end)
{
    const char *to = p;

    while (to < end && to - p <= WORD_MAX && is_word(*to))
        to++;
    return normalise((struct str){p, (size_t)(to - p)});
}

static enum level level_in_text(struct str line)
{
    const char *end = line.p + line.n;
    enum level level = LEVEL_UNKNOWN;
    unsigned inside = 0; /* 1: the byte before is of a word */

    for (const char *p = line.p; level == LEVEL_UNKNOWN && p < end;) {
        char rest[STEP] = {0};
        size_t n = (size_t)(end - p) < STEP ? (size_t)(end - p) : STEP;
        unsigned words;
        unsigned begins;
        if (n < STEP)
            memcpy(rest, p, n);
        look(n < STEP ? rest : p, &words, &begins);
        for (unsigned m = words & ~(words << 1 | inside) & begins; m != 0 && level == LEVEL_UNKNOWN;
             m &= m - 1)
            level = level_of_word(p + __builtin_ctz(m), end);
        inside = words >> (STEP - 1) & 1;
        p += n;
    }
    return level;
}

/* ---- both together ---- */

enum level level_given(const struct labels *stream, const struct label *attr, size_t n_attr)
{
    enum level level = level_in_labels(stream->v, stream->n);

    return level == LEVEL_UNKNOWN ? level_in_labels(attr, n_attr) : level;
}

enum level level_of_line(struct str line)
{
    struct str text = str_trim(line);
    enum level level;

    if (text.n == 0)
        return LEVEL_UNKNOWN;
    level = text.p[0] == '{' ? level_in_json(text) : level_in_logfmt(text);
    return level == LEVEL_UNKNOWN ? level_in_text(text) : level;
}

enum level level_of(const struct labels *stream, const struct label *attr, size_t n_attr,
                    struct str line)
{
    enum level level = level_given(stream, attr, n_attr);

    return level == LEVEL_UNKNOWN ? level_of_line(line) : level;
}

struct str level_name(enum level level)
{
    static const struct str NAMES[] = {STR_INIT("unknown"),  STR_INIT("trace"), STR_INIT("debug"),
                                       STR_INIT("info"),     STR_INIT("warn"),  STR_INIT("error"),
                                       STR_INIT("critical"), STR_INIT("fatal")};

    return NAMES[level];
}

bool level_by_name(struct str name, enum level *ret)
{
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (str_eq(name, level_name((enum level)i))) {
            *ret = (enum level)i;
            return true;
        }
    }
    return false;
}
