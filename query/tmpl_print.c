/*
 * query/tmpl_print.c - values as Go's fmt prints them without a format, and quoting.
 */
#include "query/tmpl_internal.h"

#include "base/utf8.h"

#include <inttypes.h>

/* ---- quoting ---- */

/* Blocks that hold no visible character, or may not stand for themselves in quotes. */
bool tmpl_is_print(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } hidden[] = {{0, 0x1f},        {0x7f, 0xa0},     {0xad, 0xad},       {0x378, 0x379},
                  {0x600, 0x605},   {0x61c, 0x61c},   {0x6dd, 0x6dd},     {0x70f, 0x70f},
                  {0x1680, 0x1680}, {0x180e, 0x180e}, {0x2000, 0x200f},   {0x2028, 0x202f},
                  {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff},   {0xfeff, 0xfeff},
                  {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff}};

    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (c >= hidden[i].from && c <= hidden[i].to)
            return false;
    return true;
}

static void quote_rune(struct buf *out, uint32_t c, char quote, bool ascii)
{
    static const char letters[] = "\a\b\f\n\r\t\v";
    static const char names[] = "abfnrtv";

    if (c == (unsigned char)quote || c == '\\') {
        buf_add_char(out, '\\');
        buf_add_char(out, (char)c);
        return;
    }
    if (tmpl_is_print(c) && (c < 0x80 || !ascii)) {
        utf8_add(out, c);
        return;
    }
    for (size_t i = 0; i < sizeof(names) - 1; i++) {
        if (c == (unsigned char)letters[i]) {
            buf_add_char(out, '\\');
            buf_add_char(out, names[i]);
            return;
        }
    }
    buf_addf(out, c < ' ' || c == 0x7f ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

void tmpl_quote(struct buf *out, struct str s, bool ascii)
{
    size_t n;

    buf_add_char(out, '"');
    for (; s.n > 0; s = str_from(s, n)) {
        uint32_t c = tmpl_rune(s, &n);
        if (n == 1 && (unsigned char)s.p[0] >= 0x80)
            buf_addf(out, "\\x%02x", (unsigned char)s.p[0]);
        else
            quote_rune(out, c, '"', ascii);
    }
    buf_add_char(out, '"');
}

void tmpl_quote_rune(struct buf *out, uint32_t c, bool ascii)
{
    buf_add_char(out, '\'');
    quote_rune(out, c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? c : 0xfffd, '\'', ascii);
    buf_add_char(out, '\'');
}

/* ---- values ---- */

static int print_labels(struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    struct labels all = {NULL, 0};
    int x = tmpl_labels_map(r, v, &all);

    buf_add_z(out, "map[");
    for (size_t i = 0; i < all.n; i++) {
        buf_add_z(out, i == 0 ? "" : " ");
        buf_add_str(out, all.v[i].name);
        buf_add_char(out, ':');
        buf_add_str(out, all.v[i].value);
    }
    buf_add_char(out, ']');
    return x;
}

static int print_list(struct tmpl_run *r, const struct tmpl_list *l, struct buf *out)
{
    int x = 0;

    buf_add_char(out, '[');
    for (size_t i = 0; i < l->n && x == 0 && !out->over; i++) {
        buf_add_z(out, i == 0 ? "" : " ");
        x = tmpl_print_value(r, &l->v[i], out);
    }
    buf_add_char(out, ']');
    return x;
}

static int print_map(struct tmpl_run *r, const struct tmpl_map *m, struct buf *out)
{
    int x = 0;

    buf_add_z(out, m->type == NULL ? "map[" : "{");
    for (size_t i = 0; i < m->n && x == 0 && !out->over; i++) {
        buf_add_z(out, i == 0 ? "" : " ");
        if (m->type == NULL) {
            buf_add_str(out, m->v[i].key);
            buf_add_char(out, ':');
        }
        x = tmpl_print_value(r, &m->v[i].value, out);
    }
    buf_add_z(out, m->type == NULL ? "]" : "}");
    return x;
}

int tmpl_print_value(struct tmpl_run *r, const struct tmpl_value *v, struct buf *out)
{
    switch (v->kind) {
    case TMPL_NONE:
        buf_add_z(out, "<nil>");
        return 0;
    case TMPL_BOOL:
        buf_add_z(out, v->b ? "true" : "false");
        return 0;
    case TMPL_INT:
    case TMPL_INT64:
    case TMPL_UINT8:
        buf_addf(out, "%" PRId64, v->i);
        return 0;
    case TMPL_MONTH:
    case TMPL_WEEKDAY:
    case TMPL_DURATION:
    case TMPL_TIME:
        tmpl_time_print(v, out);
        return 0;
    case TMPL_FLOAT:
        tmpl_float(v->f, 'g', -1, out);
        return 0;
    case TMPL_STRING:
        buf_add_str(out, v->s);
        return 0;
    case TMPL_LIST:
        return print_list(r, v->list, out);
    case TMPL_MAP:
        return print_map(r, v->map, out);
    case TMPL_LABELS:
        return print_labels(r, v, out);
    }
    return 0;
}

int tmpl_sprint(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct buf *out)
{
    int x = 0;

    for (size_t i = 0; i < n && x == 0; i++) {
        if (i > 0 && arg[i].kind != TMPL_STRING && arg[i - 1].kind != TMPL_STRING)
            buf_add_char(out, ' ');
        x = tmpl_print_value(r, &arg[i], out);
    }
    return x;
}
