/* query/format_table.c - entries for the command line, see format.h. */
#include "query/format.h"

#include "base/utf8.h"
#include "base/visible.h"

#include <time.h>

#define DIM   "\x1b[2m"
#define RESET "\x1b[0m"

/* First of the names that a label of any kind has; "" if none. */
static struct str first_of(const struct query_entry *e, const char *const *names)
{
    const struct labels *kinds[] = {&e->stream, &e->meta, &e->parsed};

    for (; *names != NULL; names++) {
        for (size_t i = 0; i < 3; i++) {
            struct str v = labels_get(kinds[i], str_of(*names));
            if (v.n > 0 && !str_eq(v, STR("unknown_service"))) /* which tells nothing */
                return v;
        }
    }
    return STR("");
}

struct str format_level(const struct query_entry *e)
{
    static const char *const names[] = {"detected_level", "level", NULL};

    return first_of(e, names);
}

struct str format_origin(const struct query_entry *e)
{
    static const char *const names[] = {"container", "service_name", "app", "source", "host", NULL};

    return first_of(e, names);
}

/* ---- table ---- */

static const char *level_color(struct str level)
{
    static const struct {
        const char *level, *color;
    } colors[] = {
        {"fatal", "\x1b[1;31m"}, {"critical", "\x1b[1;31m"}, {"error", "\x1b[31m"},
        {"warn", "\x1b[33m"},    {"info", "\x1b[32m"},       {"debug", "\x1b[36m"},
        {"trace", "\x1b[36m"},
    };

    for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
        if (str_eq_nocase(level, str_of(colors[i].level)))
            return colors[i].color;
    return "";
}

/* One of a few quiet colours, the same for the same origin. */
static const char *origin_color(struct str origin)
{
    static const char *const colors[] = {"\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[32m",
                                         "\x1b[94m", "\x1b[95m", "\x1b[96m", "\x1b[92m"};
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < origin.n; i++)
        h = (h ^ (unsigned char)origin.p[i]) * 16777619u;
    return colors[(h ^ h >> 16) % (sizeof(colors) / sizeof(colors[0]))];
}

static void add_time(struct buf *out, ts_ns ts, bool utc)
{
    int64_t ms = ts / NS_PER_MS - (ts % NS_PER_MS < 0);
    int64_t part = ms % 1000 + (ms % 1000 < 0 ? 1000 : 0);
    time_t seconds = (time_t)((ms - part) / 1000);
    struct tm tm;
    char text[64];

    if ((utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm)) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        return;
    buf_addf(out, "%s.%03d%s", text, (int)part, utc ? "Z" : "");
}

static void add_padded(struct buf *out, struct str s, size_t width)
{
    size_t before = out->n;

    visible_add(out, s, true);
    for (size_t i = utf8_columns(str_from(buf_str(out), before)); i < width; i++)
        buf_add_char(out, ' ');
}

static void add_row(struct buf *out, const struct query_entry *e, const struct format_options *opt)
{
    enum { LEVEL_WIDTH = 5, ORIGIN_WIDTH = 16 };
    struct str known = format_level(e);
    struct str level = str_eq(known, STR("unknown")) ? STR("") : known;
    const char *color = opt->color ? level_color(level) : "";

    if (opt->color)
        buf_add_z(out, DIM);
    add_time(out, e->ts, opt->utc);
    if (opt->color)
        buf_add_z(out, RESET);
    buf_add_char(out, ' ');
    buf_add_z(out, color);
    add_padded(out, level, LEVEL_WIDTH);
    if (*color != '\0')
        buf_add_z(out, RESET);
    buf_add_char(out, ' ');
    if (opt->color)
        buf_add_z(out, origin_color(format_origin(e)));
    add_padded(out, format_origin(e), ORIGIN_WIDTH);
    if (opt->color)
        buf_add_z(out, RESET);
    buf_add_char(out, ' ');
    visible_add(out, e->line, true);
    buf_add_char(out, '\n');
}

/* ---- csv ---- */

void format_csv_text(struct buf *out, struct str s)
{
    bool quote = false;

    for (size_t i = 0; i < s.n; i++)
        quote |= s.p[i] == '"' || s.p[i] == ',' || s.p[i] == '\n' || s.p[i] == '\r';
    if (!quote) {
        utf8_repair(out, s);
        return;
    }
    buf_add_char(out, '"');
    while (s.n > 0) {
        size_t n = str_find_char(s, '"');
        utf8_repair(out, str_sub(s, 0, n));
        if (n == SIZE_MAX)
            break;
        buf_add_z(out, "\"\"");
        s = str_from(s, n + 1);
    }
    buf_add_char(out, '"');
}

static void add_csv_row(struct buf *out, const struct query_entry *e, bool first)
{
    char time[TIME_TEXT_MAX];
    struct buf labels;
    enum { LABELS_MAX = 4 << 20 };

    if (first)
        buf_add_z(out, "time,level,origin,labels,line\n");
    buf_init(&labels, LABELS_MAX);
    labels_format(&labels, &e->stream);
    buf_add_str(out, time_format_rfc3339(e->ts, time));
    buf_add_char(out, ',');
    format_csv_text(out, format_level(e));
    buf_add_char(out, ',');
    format_csv_text(out, format_origin(e));
    buf_add_char(out, ',');
    format_csv_text(out, buf_str(&labels));
    buf_add_char(out, ',');
    format_csv_text(out, e->line);
    buf_add_char(out, '\n');
    buf_fini(&labels);
}

/* ---- logfmt ---- */

static void add_pair(struct buf *out, struct str key, struct str value)
{
    bool quote = value.n == 0;

    for (size_t i = 0; i < value.n; i++)
        quote |= (unsigned char)value.p[i] <= ' ' || value.p[i] == '"' || value.p[i] == '=' ||
                 value.p[i] == '\\';
    buf_add_char(out, ' ');
    utf8_repair(out, key);
    buf_add_char(out, '=');
    if (quote)
        quote_add(out, value);
    else
        utf8_repair(out, value);
}

static void add_logfmt(struct buf *out, const struct query_entry *e)
{
    const struct labels *kinds[] = {&e->stream, &e->meta, &e->parsed};
    char time[TIME_TEXT_MAX];

    buf_add_z(out, "ts=");
    buf_add_str(out, time_format_rfc3339(e->ts, time));
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < kinds[i]->n; j++)
            add_pair(out, kinds[i]->v[j].name, kinds[i]->v[j].value);
    add_pair(out, STR("line"), e->line);
    buf_add_char(out, '\n');
}

void format_entry(struct buf *out, const struct query_entry *e, const struct format_options *opt,
                  bool first)
{
    switch (opt->kind) {
    case FORMAT_TABLE:
        add_row(out, e, opt);
        return;
    case FORMAT_RAW:
        buf_add_str(out, e->line);
        buf_add_char(out, '\n');
        return;
    case FORMAT_JSONL:
        format_entry_json(out, e);
        buf_add_char(out, '\n');
        return;
    case FORMAT_JSON:
        buf_add_z(out, first ? "[\n" : ",\n");
        format_entry_json(out, e);
        return;
    case FORMAT_CSV:
        add_csv_row(out, e, first);
        return;
    case FORMAT_LOGFMT:
        add_logfmt(out, e);
        return;
    }
}

void format_finish(struct buf *out, const struct format_options *opt, bool any)
{
    if (opt->kind == FORMAT_JSON)
        buf_add_z(out, any ? "\n]\n" : "[]\n");
}
