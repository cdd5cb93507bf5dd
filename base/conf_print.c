/*
 * base/conf_print.c - the effective configuration, and the commented example, of a table of
 * options.
 *
 * Both are written by one walk over the table that turns dotted paths back into nested maps.  What
 * is printed loads again to the same struct: a text is left plain only where no reading of YAML,
 * nor the
 * ${env:} of conf.c, can see anything else in it.
 */
#include "base/conf.h"

#include "base/conf_path.h"
#include "base/labels.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct printer {
    struct buf *out;
    const char *target; /* NULL: the example is printed, with help and defaults */
    bool commented;     /* example: every line is a comment */
    bool dash;          /* the next line is the first of a list item */
};

static void print_level(struct printer *pr, const struct conf_option *options, size_t n,
                        struct str prefix, unsigned indent);

/* ---- values ---- */

struct str conf_format_bytes(int64_t bytes, char *dst)
{
    static const struct {
        int64_t factor;
        const char *suffix;
    } UNITS[] = {
        {INT64_C(1) << 40, "TiB"},
        {INT64_C(1000000000000), "TB"},
        {1 << 30, "GiB"},
        {1000000000, "GB"},
        {1 << 20, "MiB"},
        {1000000, "MB"},
        {1 << 10, "KiB"},
        {1000, "KB"},
        {1, ""},
    };
    size_t i = 0;

    while (bytes == 0 ? UNITS[i].factor > 1 : bytes % UNITS[i].factor != 0)
        i++;
    return (struct str){dst, (size_t)snprintf(dst, TIME_TEXT_MAX, "%" PRId64 "%s",
                                              bytes / UNITS[i].factor, UNITS[i].suffix)};
}

static bool is_plain(struct str s)
{
    static const char INSIDE[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-:";

    if (s.n == 0 || str_eq_nocase(s, STR("null")))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || strchr(INSIDE, s.p[i]) == NULL)
            return false;
    }
    return strchr("_.-:", s.p[0]) == NULL && s.p[s.n - 1] != ':';
}

/* The character at the beginning of `s`, and its length; U+FFFD and 1 for what is not UTF-8. */
static uint32_t decode(struct str s, size_t *n)
{
    unsigned char c = (unsigned char)s.p[0];
    uint32_t cp = c < 0x80 ? c : c < 0xe0 ? c & 0x1fu : c < 0xf0 ? c & 0x0fu : c & 0x07u;

    *n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (*n > s.n || utf8_valid(str_sub(s, 0, *n)) < *n) {
        *n = 1;
        return 0xfffd;
    }
    for (size_t i = 1; i < *n; i++)
        cp = cp << 6 | ((unsigned char)s.p[i] & 0x3fu);
    return cp;
}

/* Control codes, and what YAML takes for the end of a line, a byte order mark, or no text at all.
 */
static bool needs_number(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029 || cp == 0xfeff ||
           cp == 0xfffe || cp == 0xffff;
}

static void add_quoted(struct buf *out, struct str s)
{
    size_t n;

    buf_add_char(out, '"');
    for (; s.n > 0; s = str_from(s, n)) {
        uint32_t cp = decode(s, &n);
        if (str_starts(s, STR("${env:")))
            buf_add_char(out, '$');
        if (cp == '"' || cp == '\\')
            buf_add_char(out, '\\');
        if (needs_number(cp))
            buf_addf(out, "\\u%04x", cp);
        else
            utf8_add(out, cp);
    }
    buf_add_char(out, '"');
}

static void add_text(struct buf *out, struct str s)
{
    if (is_plain(s))
        buf_add_str(out, s);
    else
        add_quoted(out, s);
}

static struct str read_str(const char *field)
{
    struct str s;

    memcpy(&s, field, sizeof(s));
    return s;
}

static int64_t read_i64(const char *field)
{
    int64_t v;

    memcpy(&v, field, sizeof(v));
    return v;
}

static void add_enum(struct buf *out, const struct conf_option *o, const char *field)
{
    int i;

    memcpy(&i, field, sizeof(i));
    add_text(out, str_of(o->choices[i]));
}

static void add_scalar(struct buf *out, const struct conf_option *o, const char *field)
{
    char text[TIME_TEXT_MAX];
    bool on;

    switch (o->type) {
    case CONF_STR:
        add_text(out, read_str(field));
        break;
    case CONF_SECRET:
        buf_add_z(out, read_str(field).n == 0 ? "\"\"" : "(set)");
        break;
    case CONF_INT:
        buf_addf(out, "%" PRId64, read_i64(field));
        break;
    case CONF_BYTES:
        buf_add_str(out, conf_format_bytes(read_i64(field), text));
        break;
    case CONF_DUR:
        buf_add_str(out, dur_format(read_i64(field), text));
        break;
    case CONF_BOOL:
        memcpy(&on, field, sizeof(on));
        buf_add_z(out, on ? "true" : "false");
        break;
    case CONF_ENUM:
        add_enum(out, o, field);
        break;
    case CONF_STRS:
    case CONF_LABELS:
    case CONF_MAPS:
        break; /* not scalars: print_value */
    }
}

/* ---- lines ---- */

static void begin_line(struct printer *pr, unsigned indent)
{
    if (pr->commented)
        buf_add_char(pr->out, '#');
    for (unsigned i = pr->dash ? 2 : 0; i < indent; i++)
        buf_add_char(pr->out, ' ');
    if (pr->dash)
        buf_add_z(pr->out, "- ");
    pr->dash = false;
}

static void print_strs(struct printer *pr, const char *field, unsigned indent)
{
    struct conf_strs strs;

    memcpy(&strs, field, sizeof(strs));
    buf_add_z(pr->out, strs.n == 0 ? " []\n" : "\n");
    for (size_t i = 0; i < strs.n; i++) {
        begin_line(pr, indent + 2);
        buf_add_z(pr->out, "- ");
        add_text(pr->out, strs.v[i]);
        buf_add_char(pr->out, '\n');
    }
}

static void print_labels(struct printer *pr, const char *field, unsigned indent)
{
    struct labels labels;

    memcpy(&labels, field, sizeof(labels));
    buf_add_z(pr->out, labels.n == 0 ? " {}\n" : "\n");
    for (size_t i = 0; i < labels.n; i++) {
        begin_line(pr, indent + 2);
        buf_add_str(pr->out, labels.v[i].name);
        buf_add_z(pr->out, ": ");
        add_text(pr->out, labels.v[i].value);
        buf_add_char(pr->out, '\n');
    }
}

static void print_maps(struct printer *pr, const struct conf_option *o, unsigned indent)
{
    const char *outer = pr->target;
    const char *items;
    size_t n;

    memcpy(&items, outer + o->offset, sizeof(items));
    memcpy(&n, outer + o->count_offset, sizeof(n));
    buf_add_z(pr->out, n == 0 ? " []\n" : "\n");
    for (size_t i = 0; i < n; i++) {
        pr->target = items + i * o->sub_size;
        pr->dash = true;
        print_level(pr, o->sub, o->n_sub, STR(""), indent + 4);
    }
    pr->target = outer;
}

static void print_value(struct printer *pr, const struct conf_option *o, unsigned indent)
{
    const char *field = pr->target + o->offset;

    if (o->type == CONF_STRS) {
        print_strs(pr, field, indent);
    } else if (o->type == CONF_LABELS) {
        print_labels(pr, field, indent);
    } else if (o->type == CONF_MAPS) {
        print_maps(pr, o, indent);
    } else {
        buf_add_char(pr->out, ' ');
        add_scalar(pr->out, o, field);
        buf_add_char(pr->out, '\n');
    }
}

/* ---- the example ---- */

static const char *type_name(enum conf_type type)
{
    static const char *const NAMES[] = {
        [CONF_STR] = "text",
        [CONF_SECRET] = "secret text",
        [CONF_INT] = "whole number",
        [CONF_BOOL] = "true or false",
        [CONF_BYTES] = "size (500, 64KB, 64MiB)",
        [CONF_DUR] = "duration (30s, 5m, 1h30m)",
        [CONF_ENUM] = "one of",
        [CONF_STRS] = "list of texts",
        [CONF_LABELS] = "map of label names to values",
        [CONF_MAPS] = "list of maps",
    };

    return NAMES[type];
}

static void print_help(struct printer *pr, const struct conf_option *o, unsigned indent)
{
    bool dash = pr->dash;

    pr->dash = false; /* belongs to the line of the key */
    begin_line(pr, indent);
    buf_addf(pr->out, "# %s\n", o->help == NULL ? o->path : o->help);
    begin_line(pr, indent);
    buf_addf(pr->out, "# %s", type_name(o->type));
    for (size_t i = 0; o->type == CONF_ENUM && o->choices[i] != NULL; i++)
        buf_addf(pr->out, "%s %s", i == 0 ? "" : ",", o->choices[i]);
    buf_add_z(pr->out, o->fallback == NULL ? "; required\n" : "\n");
    pr->dash = dash;
}

/* The option with its default; one that is required stands in a comment, and so do items of a list.
 */
static void print_example(struct printer *pr, const struct conf_option *o, struct str key,
                          unsigned indent)
{
    bool commented = pr->commented;

    print_help(pr, o, indent);
    pr->commented = commented || o->fallback == NULL;
    begin_line(pr, indent);
    buf_addf(pr->out, "%.*s:", STR_ARG(key));
    if (o->fallback != NULL)
        buf_addf(pr->out, " %s", o->fallback[0] == '\0' ? "\"\"" : o->fallback);
    buf_add_char(pr->out, '\n');
    if (o->type == CONF_MAPS) {
        pr->commented = true;
        pr->dash = true;
        print_level(pr, o->sub, o->n_sub, STR(""), indent + 4);
        pr->dash = false;
    }
    pr->commented = commented;
}

/* ---- the walk ---- */

static bool stood_before(const struct conf_option *options, size_t i, struct str prefix,
                         struct str key)
{
    for (size_t j = 0; j < i; j++) {
        if (str_eq(conf_path_component(&options[j], prefix), key))
            return true;
    }
    return false;
}

/* Depth: that of the table, which is ours. */
static void print_level(struct printer *pr, const struct conf_option *options, size_t n,
                        struct str prefix, unsigned indent)
{
    for (size_t i = 0; i < n; i++) {
        const struct conf_option *o = &options[i];
        struct str key = conf_path_component(o, prefix);
        if (key.n == 0 || stood_before(options, i, prefix, key))
            continue;
        if (o->path[prefix.n + key.n] == '.') {
            begin_line(pr, indent);
            buf_addf(pr->out, "%.*s:\n", STR_ARG(key));
            print_level(pr, options, n, (struct str){o->path, prefix.n + key.n + 1}, indent + 2);
        } else if (pr->target == NULL) {
            print_example(pr, o, key, indent);
        } else {
            begin_line(pr, indent);
            buf_addf(pr->out, "%.*s:", STR_ARG(key));
            print_value(pr, o, indent);
        }
    }
}

void conf_print(struct buf *out, const struct conf_option *options, size_t n, const void *target)
{
    struct printer pr = {.out = out, .target = target};

    print_level(&pr, options, n, STR(""), 0);
}

void conf_print_example(struct buf *out, const struct conf_option *options, size_t n)
{
    struct printer pr = {.out = out};

    print_level(&pr, options, n, STR(""), 0);
}
