/*
 * base/level.c - contract: level.h.
 *
 * The level is looked for where Loki looks (grafana/loki, field detection; docs/logql.md): the
 * attribute detected_level itself, a level-like label, then such an attribute, the number of
 * OpenTelemetry, the same keys in a JSON (depth 2) or logfmt line, the first level word in the
 * text, else "unknown".  On the hot path: three passes over the line at most, nothing allocated.
 */
#include "base/level.h"

#include "base/json.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { JSON_LEVEL_DEPTH = 2, LEVEL_KEY_MIN = 3, LEVEL_KEY_MAX = 13, WORD_MIN = 3, WORD_MAX = 11 };

/* Of several the one that comes first here counts. */
static const struct str LEVEL_KEYS[] = {
    STR_INIT("level"),         STR_INIT("LEVEL"),         STR_INIT("Level"),
    STR_INIT("log.level"),     STR_INIT("severity"),      STR_INIT("SEVERITY"),
    STR_INIT("Severity"),      STR_INIT("SeverityText"),  STR_INIT("lvl"),
    STR_INIT("LVL"),           STR_INIT("Lvl"),           STR_INIT("severity_text"),
    STR_INIT("Severity_Text"), STR_INIT("SEVERITY_TEXT"),
};

/* What programs write, and the level it means; and whether it does in the middle of a text. */
static const struct word {
    struct str word;
    enum level level;
    bool in_text;
} WORDS[] = {
    {STR_INIT("trace"), LEVEL_TRACE, true},       {STR_INIT("trc"), LEVEL_TRACE, false},
    {STR_INIT("debug"), LEVEL_DEBUG, true},       {STR_INIT("dbg"), LEVEL_DEBUG, false},
    {STR_INIT("info"), LEVEL_INFO, true},         {STR_INIT("inf"), LEVEL_INFO, false},
    {STR_INIT("information"), LEVEL_INFO, false}, {STR_INIT("warn"), LEVEL_WARN, true},
    {STR_INIT("wrn"), LEVEL_WARN, false},         {STR_INIT("warning"), LEVEL_WARN, true},
    {STR_INIT("error"), LEVEL_ERROR, true},       {STR_INIT("err"), LEVEL_ERROR, true},
    {STR_INIT("critical"), LEVEL_CRITICAL, true}, {STR_INIT("fatal"), LEVEL_FATAL, true},
};

/* What these words begin with. */
static const char BEGINS[] = {'t', 'd', 'i', 'w', 'e', 'c', 'f'};

/* Where in LEVEL_KEYS those of a length begin; they differ in case alone. */
enum { NO_KEY = sizeof(LEVEL_KEYS) / sizeof(LEVEL_KEYS[0]) };
static const unsigned char KEYS_OF_LENGTH[LEVEL_KEY_MAX + 1] = {
    NO_KEY, NO_KEY, NO_KEY, 8, NO_KEY, 0, NO_KEY, NO_KEY, 4, 3, NO_KEY, NO_KEY, 7, 11};

/* The first that is `key` in whatever case, NO_KEY if none is. */
static size_t key_rank_nocase(struct str key)
{
    size_t i = key.n <= LEVEL_KEY_MAX ? KEYS_OF_LENGTH[key.n] : NO_KEY;
    char first = i == NO_KEY ? '\0' : (char)(key.p[0] | 0x20);

    if (first != 'l' && first != 's') /* as almost all are: each label of each record is asked */
        return NO_KEY;
    return str_eq(key, LEVEL_KEYS[i]) || str_eq_nocase(key, LEVEL_KEYS[i]) ? i : NO_KEY;
}

static size_t key_rank(struct str key)
{
    for (size_t i = key_rank_nocase(key); i < NO_KEY && LEVEL_KEYS[i].n == key.n; i++)
        if (memcmp(key.p, LEVEL_KEYS[i].p, key.n) == 0)
            return i;
    return NO_KEY;
}

static const struct word *find_word(struct str word)
{
    if (word.n < WORD_MIN || word.n > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (word.n == WORDS[i].word.n && (word.p[0] | 0x20) == WORDS[i].word.p[0] &&
            str_eq_nocase(word, WORDS[i].word))
            return &WORDS[i];
    return NULL;
}

/* LEVEL_UNKNOWN: no level we know. */
static enum level normalise(struct str word)
{
    const struct word *w = find_word(word);

    return w == NULL ? LEVEL_UNKNOWN : w->level;
}

/* ---- lines with keys ---- */

/* The first of the keys with a text decides, be it a level or not. */
static enum level level_in_json(struct str line)
{
    bool is_wanted = false; /* the last token was a level key */
    struct json_reader r;
    struct json_token t;
    struct err err;
    unsigned depth = 0;

    json_reader_init(&r, line);
    while (json_next(&r, &t, &err) == 0 && t.type != JSON_END) {
        if (t.type == JSON_KEY) {
            is_wanted = depth <= JSON_LEVEL_DEPTH && key_rank(t.raw) != NO_KEY;
            if (!is_wanted && depth >= JSON_LEVEL_DEPTH && json_skip(&r, NULL, &err) < 0)
                break;
            continue;
        }
        if (is_wanted && t.type == JSON_STRING)
            return t.escaped ? LEVEL_UNKNOWN : normalise(t.raw);
        is_wanted = false;
        if (t.type == JSON_OBJECT || t.type == JSON_ARRAY)
            depth++;
        else if (t.type == JSON_OBJECT_END || t.type == JSON_ARRAY_END)
            depth--;
    }
    return LEVEL_UNKNOWN;
}

/* Letters, digits, the underscore, and all that is not ASCII: a bit for each byte. */
static bool is_word(char c)
{
    static const uint64_t BITS[4] = {0x03ff000000000000, 0x07fffffe87fffffe, UINT64_MAX,
                                     UINT64_MAX};
    unsigned char b = (unsigned char)c;

    return (BITS[b >> 6] >> (b & 63) & 1) != 0;
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ';
}

/* May what ends at `end` be a level key?  It is one where a pair begins. */
static bool is_key_before(struct str line, const char *end)
{
    const char *key = end;
    char last = end > line.p ? (char)(end[-1] | 0x20) : '\0';

    if (last != 'l' && last != 'y' && last != 't') /* every level key ends so */
        return false;
    while (key > line.p && end - key <= LEVEL_KEY_MAX && (is_word(key[-1]) || key[-1] == '.'))
        key--;
    if (key > line.p && !is_blank(key[-1]) && key[-1] != '"')
        return false;
    return key_rank_nocase((struct str){key, (size_t)(end - key)}) != NO_KEY;
}

/* Most lines have no level key at all: that is found out first, by what stands before each '='. */
static bool has_key(struct str line)
{
    const char *end = line.p + line.n;

    for (const char *p = line.p; p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL; p++)
        if (is_key_before(line, p))
            return true;
    return false;
}

/* Behind '=': up to the next blank, or quote.  False: it is none, and nothing behind it counts. */
static bool take_value(struct str *rest, struct str *ret)
{
    bool is_quoted = rest->n > 0 && rest->p[0] == '"';
    const char *end = rest->p + rest->n;
    const char *from = rest->p + is_quoted;
    const char *p = from;

    if (is_quoted) {
        while (p < end && *p != '"')
            p += *p == '\\' ? 2 : 1;
        if (p >= end)
            return false;
    } else {
        for (; p < end && !is_blank(*p); p++)
            if (*p == '=' || *p == '"')
                return false;
    }
    *ret = (struct str){from, (size_t)(p - from)};
    *rest = str_from(*rest, (size_t)(p - rest->p) + is_quoted);
    return true;
}

/* The next pair; false: there is none, or what is none. */
static bool take_pair(struct str *rest, struct str *ret_key, struct str *ret_value)
{
    const char *end = rest->p + rest->n;
    const char *from = rest->p;
    const char *p;

    while (from < end && is_blank(*from))
        from++;
    for (p = from; p < end && !is_blank(*p) && *p != '=' && *p != '"'; p++)
        ;
    if (p == from || (p < end && *p == '"'))
        return false;
    *ret_key = (struct str){from, (size_t)(p - from)};
    *ret_value = STR_NULL;
    *rest = str_from(*rest, (size_t)(p - rest->p));
    if (p == end || *p != '=')
        return true;
    *rest = str_from(*rest, 1);
    return take_value(rest, ret_value);
}

static enum level level_in_logfmt(struct str line)
{
    size_t best = NO_KEY;
    struct str level = STR_NULL;
    struct str key;
    struct str value;

    if (!has_key(line))
        return LEVEL_UNKNOWN;
    while (best > 0 && take_pair(&line, &key, &value)) {
        size_t rank = key_rank_nocase(key);
        if (rank < best) {
            best = rank;
            level = value;
        }
    }
    return normalise(level);
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

/* What may stand before a level word and what behind it.  A colon only behind: that of "misc:error"
 * makes one word of two. */
static bool is_left_bound(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '[' || c == '(' || c == '{' || c == '"' ||
           c == '\'' || c == '=' || c == '|';
}

static bool is_right_bound(char c)
{
    return is_left_bound(c) || c == ']' || c == ')' || c == '}' || c == ':' || c == ',' || c == '!';
}

/* The word that begins at p. */
static enum level level_of_word(struct str text, const char *p)
{
    const char *end = text.p + text.n;
    const char *to = p;
    const struct word *w;

    while (to < end && to - p <= WORD_MAX && is_word(*to))
        to++;
    w = find_word((struct str){p, (size_t)(to - p)});
    if (w == NULL || !w->in_text || (p > text.p && !is_left_bound(p[-1])) ||
        (to < end && !is_right_bound(*to)))
        return LEVEL_UNKNOWN;
    return w->level;
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
            level = level_of_word(line, p + __builtin_ctz(m));
        inside = words >> (STEP - 1) & 1;
        p += n;
    }
    return level;
}

static enum level level_in_line(struct str text)
{
    if (text.p[0] == '{' && text.p[text.n - 1] == '}')
        return level_in_json(text);
    return level_in_logfmt(text);
}

enum level level_of_line(struct str line)
{
    struct str text = str_trim(line);
    enum level level = text.n == 0 ? LEVEL_UNKNOWN : level_in_line(text);

    return level == LEVEL_UNKNOWN ? level_in_text(text) : level;
}

/* ---- labels and attributes ---- */

static bool is_given(struct str value)
{
    return value.n > 0 && value.n <= LEVEL_OTHER_MAX;
}

/* Of several with one name the last is the one that is stored. */
static size_t look_for_key(const struct label *l, size_t best, struct str *level)
{
    size_t rank = key_rank(l->name);

    if (rank > best || rank == NO_KEY || !is_given(l->value))
        return best;
    *level = l->value;
    return rank;
}

/* SeverityNumber: four of each from 1 to 24. */
static enum level level_of_severity(struct str number)
{
    static const enum level LEVELS[] = {LEVEL_TRACE, LEVEL_DEBUG, LEVEL_INFO,
                                        LEVEL_WARN,  LEVEL_ERROR, LEVEL_FATAL};
    int64_t n;

    return str_to_i64(number, &n) && n > 0 && n <= 24 ? LEVELS[(n - 1) / 4] : LEVEL_UNKNOWN;
}

static enum level level_as_given(struct str value, struct str *ret_other)
{
    enum level level = normalise(value);

    if (level != LEVEL_UNKNOWN)
        return level;
    *ret_other = value;
    return LEVEL_OTHER;
}

enum level level_given(const struct labels *stream, const struct label *attr, size_t n_attr,
                       struct str *ret_other)
{
    struct str own = STR_NULL;
    struct str of_stream = STR_NULL;
    struct str of_attr = STR_NULL;
    struct str number = STR_NULL;
    size_t best = NO_KEY;

    for (size_t i = 0; i < n_attr; i++) {
        char first = attr[i].name.n == 0 ? '\0' : (char)(attr[i].name.p[0] | 0x20);
        if (first != 'l' && first != 's' && first != 'd')
            continue;
        best = look_for_key(&attr[i], best, &of_attr);
        if (str_eq(attr[i].name, STR("severity_number")))
            number = attr[i].value;
        else if (str_eq(attr[i].name, STR("detected_level")) && is_given(attr[i].value))
            own = attr[i].value;
    }
    if (own.n > 0)
        return level_as_given(own, ret_other);
    best = NO_KEY;
    for (size_t i = 0; i < stream->n; i++)
        best = look_for_key(&stream->v[i], best, &of_stream);
    if (of_stream.n > 0)
        return level_as_given(of_stream, ret_other);
    if (of_attr.n > 0)
        return level_as_given(of_attr, ret_other);
    return level_of_severity(number);
}

/* ---- both together ---- */

enum level level_of(const struct labels *stream, const struct label *attr, size_t n_attr,
                    struct str line, struct str *ret_other)
{
    enum level level = level_given(stream, attr, n_attr, ret_other);

    if (level == LEVEL_OTHER && str_eq(*ret_other, level_name(LEVEL_UNKNOWN)))
        return LEVEL_UNKNOWN;
    return level == LEVEL_UNKNOWN ? level_of_line(line) : level;
}

struct str level_name(enum level level)
{
    static const struct str NAMES[] = {STR_INIT("unknown"),  STR_INIT("trace"), STR_INIT("debug"),
                                       STR_INIT("info"),     STR_INIT("warn"),  STR_INIT("error"),
                                       STR_INIT("critical"), STR_INIT("fatal"), STR_INIT("")};

    return NAMES[level];
}

bool level_by_name(struct str name, enum level *ret)
{
    for (int i = 0; i < LEVEL_OTHER; i++) {
        if (str_eq(name, level_name((enum level)i))) {
            *ret = (enum level)i;
            return true;
        }
    }
    return false;
}
