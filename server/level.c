/*
 * server/level.c - Loki's two rules for records as they come in: service_name and detected_level.
 *
 * The level is looked for where Loki looks (grafana/loki, field detection; docs/logql.md): a
 * level-like label or attribute, the same keys in a JSON (depth 2) or logfmt line, the first level
 * word in the text, else "unknown".  On the hot path: one pass over the line at most, nothing
 * allocated.
 */
#include "server/ingest.h"

#include "base/json.h"

#include <string.h>

enum { JSON_LEVEL_DEPTH = 2, LEVEL_KEY_MIN = 3, LEVEL_KEY_MAX = 13 };

static const struct str LEVEL_KEYS[] = {
    STR_INIT("level"),         STR_INIT("LEVEL"),         STR_INIT("Level"),
    STR_INIT("log.level"),     STR_INIT("severity"),      STR_INIT("SEVERITY"),
    STR_INIT("Severity"),      STR_INIT("SeverityText"),  STR_INIT("lvl"),
    STR_INIT("LVL"),           STR_INIT("Lvl"),           STR_INIT("severity_text"),
    STR_INIT("Severity_Text"), STR_INIT("SEVERITY_TEXT"),
};

static const struct str SERVICE_KEYS[] = {
    STR_INIT("service"),
    STR_INIT("app"),
    STR_INIT("application"),
    STR_INIT("app_name"),
    STR_INIT("name"),
    STR_INIT("app_kubernetes_io_name"),
    STR_INIT("container"),
    STR_INIT("container_name"),
    STR_INIT("k8s_container_name"),
    STR_INIT("component"),
    STR_INIT("workload"),
    STR_INIT("job"),
    STR_INIT("k8s_job_name"),
};

/* What programs write, and the level it means. */
static const struct {
    struct str word;
    enum ingest_level level;
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
static enum ingest_level normalise(struct str word)
{
    word = str_trim(word);
    if (word.n < 3 || word.n > 13)
        return LEVEL_UNKNOWN;
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++)
        if (word.n == WORDS[i].word.n && (word.p[0] | 0x20) == WORDS[i].word.p[0] &&
            str_eq_nocase(word, WORDS[i].word))
            return WORDS[i].level;
    return LEVEL_UNKNOWN;
}

struct str ingest_service_name(const struct labels *l)
{
    for (size_t i = 0; i < sizeof(SERVICE_KEYS) / sizeof(SERVICE_KEYS[0]); i++) {
        struct str v = labels_get(l, SERVICE_KEYS[i]);
        if (v.n > 0)
            return v;
    }
    return STR("unknown_service");
}

static enum ingest_level level_in_labels(const struct label *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_level_key(v[i].name)) {
            enum ingest_level level = normalise(v[i].value);
            if (level != LEVEL_UNKNOWN)
                return level;
        }
    }
    return LEVEL_UNKNOWN;
}

static enum ingest_level level_in_json(struct str line)
{
    enum ingest_level level = LEVEL_UNKNOWN;
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

static enum ingest_level level_in_logfmt(struct str line)
{
    const char *end = line.p + line.n;
    const char *p = line.p;

    while (p < end && (p = memchr(p, '=', (size_t)(end - p))) != NULL) {
        bool is_key = is_key_before(line, p);
        const char *from;
        const char *to;
        enum ingest_level level;
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

/* Could a level word begin with `c`? */
static bool begins_level(char c)
{
    switch (c | 0x20) {
    case 't':
    case 'd':
    case 'i':
    case 'w':
    case 'e':
    case 'c':
    case 'f':
        return true;
    default:
        return false;
    }
}

static enum ingest_level level_in_text(struct str line)
{
    const char *end = line.p + line.n;
    const char *p = line.p;

    while (p < end) {
        const char *from;
        while (p < end && !is_word(*p))
            p++;
        from = p;
        while (p < end && is_word(*p))
            p++;
        if (p > from && begins_level(*from)) {
            enum ingest_level level = normalise((struct str){from, (size_t)(p - from)});
            if (level != LEVEL_UNKNOWN)
                return level;
        }
    }
    return LEVEL_UNKNOWN;
}

enum ingest_level ingest_level(const struct labels *stream, const struct label *attr, size_t n_attr,
                               struct str line)
{
    enum ingest_level level = level_in_labels(stream->v, stream->n);
    struct str text = str_trim(line);

    if (level == LEVEL_UNKNOWN)
        level = level_in_labels(attr, n_attr);
    if (level != LEVEL_UNKNOWN || text.n == 0)
        return level;
    level = text.p[0] == '{' ? level_in_json(text) : level_in_logfmt(text);
    return level == LEVEL_UNKNOWN ? level_in_text(text) : level;
}

struct str ingest_level_name(enum ingest_level level)
{
    static const struct str NAMES[] = {STR_INIT("unknown"),  STR_INIT("trace"), STR_INIT("debug"),
                                       STR_INIT("info"),     STR_INIT("warn"),  STR_INIT("error"),
                                       STR_INIT("critical"), STR_INIT("fatal")};

    return NAMES[level];
}
