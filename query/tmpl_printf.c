/*
 * query/tmpl_printf.c - Go's fmt.Sprintf over values of a template, see tmpl_internal.h.
 *
 * A format never fails: what is wrong with it stands in the output, as %!verb(type=value).
 */
#include "query/tmpl_internal.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    NUMBER_MAX = 1000000, /* widths and precisions over it are none */
    INTEGER_MAX = 80,     /* bytes of an integer without its padding */
    NAMED_MAX = 128       /* bytes of a time */
};

struct format {
    struct tmpl_run *r;
    struct buf *out;
    const struct tmpl_value *arg;
    size_t n_args, next;
    bool good_index, reordered;
    bool minus, plus, sharp, space, zero;
    bool plus_v, sharp_v;
    bool has_width, has_precision;
    int width, precision;
    struct str verb; /* as it is written */
    unsigned inside; /* of how many lists and maps */
};

static int print_value(struct format *f, const struct tmpl_value *v, char verb);

/* ---- padding ---- */

static void add_many(struct format *f, char c, size_t n)
{
    char *p = n == 0 ? NULL : buf_room(f->out, n);

    if (p == NULL)
        return;
    memset(p, c, n);
    f->out->n += n;
}

static void pad(struct format *f, struct str s)
{
    size_t have = f->has_width ? tmpl_count_runes(s) : 0;
    size_t width = f->has_width ? (size_t)f->width : 0;
    size_t n = width > have ? width - have : 0;

    if (!f->minus)
        add_many(f, f->zero ? '0' : ' ', n);
    buf_add_str(f->out, s);
    if (f->minus)
        add_many(f, ' ', n);
}

/* The text of f->r->text from byte `from` on, padded; it leaves there. */
static void pad_text(struct format *f, size_t from)
{
    pad(f, str_from(buf_str(&f->r->text), from));
    f->out->over |= f->r->text.over;
    f->r->text.n = from;
}

static void bad_verb(struct format *f, const struct tmpl_value *v, char verb)
{
    struct format plain = *f;

    plain.sharp_v = plain.plus_v = false;
    buf_add_z(f->out, "%!");
    if ((unsigned char)verb < 0x80)
        buf_add_char(f->out, verb);
    else
        buf_add_str(f->out, f->verb);
    buf_add_char(f->out, '(');
    if (v->kind == TMPL_NONE) {
        buf_add_z(f->out, "<nil>");
    } else {
        buf_add_z(f->out, tmpl_type_name(v));
        buf_add_char(f->out, '=');
        (void)print_value(&plain, v, 'v');
    }
    buf_add_char(f->out, ')');
}

/* ---- integers ---- */

/* Digits of `u` from the end of `text` on backwards; returns where they begin. */
static size_t put_digits(char *text, uint64_t u, unsigned base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    size_t at = INTEGER_MAX;

    do {
        text[--at] = digits[u % base];
        u /= base;
    } while (u > 0);
    return at;
}

static void add_integer(struct format *f, int64_t i, unsigned base, char verb)
{
    char digits[INTEGER_MAX];
    bool negative = i < 0;
    uint64_t u = negative ? 0 - (uint64_t)i : (uint64_t)i;
    size_t at = put_digits(digits, u, base, verb == 'X');
    struct str text = {digits + at, INTEGER_MAX - at};
    size_t least = 0;
    size_t from = f->r->text.n;
    bool zero = f->zero;

    if (f->has_precision) {
        least = (size_t)f->precision;
        if (least == 0 && u == 0) {
            f->zero = false;
            pad(f, STR(""));
            f->zero = zero;
            return;
        }
    } else if (f->zero && f->has_width) {
        least = (size_t)f->width;
        least -= least > 0 && (negative || f->plus || f->space);
    }
    if (negative || f->plus || f->space)
        buf_add_char(&f->r->text, negative ? '-' : f->plus ? '+' : ' ');
    if (verb == 'O')
        buf_add_z(&f->r->text, "0o");
    if (f->sharp && base == 2)
        buf_add_z(&f->r->text, "0b");
    if (f->sharp && base == 16)
        buf_add_z(&f->r->text, verb == 'X' ? "0X" : "0x");
    if (f->sharp && base == 8 && text.p[0] != '0' && least <= text.n)
        buf_add_char(&f->r->text, '0');
    for (size_t n = text.n; n < least && !f->r->text.over; n++)
        buf_add_char(&f->r->text, '0');
    buf_add_str(&f->r->text, text);
    f->zero = false;
    pad_text(f, from);
    f->zero = zero;
}

static void add_unicode(struct format *f, int64_t i)
{
    size_t from = f->r->text.n;
    int least = f->has_precision && f->precision > 4 ? f->precision : 4;
    bool zero = f->zero;

    buf_addf(&f->r->text, "U+%0*" PRIX64, least < 64 ? least : 64, (uint64_t)i);
    if (f->sharp && i >= 0 && i <= 0x10ffff && tmpl_is_print((uint32_t)i)) {
        buf_add_z(&f->r->text, " '");
        utf8_add(&f->r->text, (uint32_t)i);
        buf_add_char(&f->r->text, '\'');
    }
    f->zero = false;
    pad_text(f, from);
    f->zero = zero;
}

static void print_rune(struct format *f, int64_t i, char verb)
{
    size_t from = f->r->text.n;
    uint32_t c = i < 0 || i > 0x10ffff || (i >= 0xd800 && i <= 0xdfff) ? 0xfffd : (uint32_t)i;

    if (verb == 'q')
        tmpl_quote_rune(&f->r->text, c, f->plus);
    else
        utf8_add(&f->r->text, c);
    pad_text(f, from);
}

static void print_integer(struct format *f, const struct tmpl_value *v, char verb)
{
    switch (verb) {
    case 'v':
        if (f->sharp_v && v->kind == TMPL_UINT8) {
            bool sharp = f->sharp;
            f->sharp = true;
            add_integer(f, v->i, 16, 'v');
            f->sharp = sharp;
            return;
        }
        add_integer(f, v->i, 10, verb);
        return;
    case 'd':
        add_integer(f, v->i, 10, verb);
        return;
    case 'b':
        add_integer(f, v->i, 2, verb);
        return;
    case 'o':
    case 'O':
        add_integer(f, v->i, 8, verb);
        return;
    case 'x':
    case 'X':
        add_integer(f, v->i, 16, verb);
        return;
    case 'c':
    case 'q':
        print_rune(f, v->i, verb);
        return;
    case 'U':
        add_unicode(f, v->i);
        return;
    default:
        bad_verb(f, v, verb);
    }
}

/* ---- floats ---- */

/* '#': a decimal point always, and for %g zeros up to the precision. */
static void sharpen(struct format *f, size_t from, char verb, int precision)
{
    struct buf *b = &f->r->text;
    struct str num = str_from(buf_str(b), from + 1); /* behind the sign */
    int digits = strchr("eEfX", verb) != NULL ? 0 : precision < 0 ? 6 : precision;
    bool point = false;
    bool nonzero = false;
    char tail[16];
    size_t n_tail;
    size_t i = 0;

    for (; i < num.n; i++) {
        char c = num.p[i];
        if (c == 'p' || c == 'P' || ((c == 'e' || c == 'E') && verb != 'x' && verb != 'X'))
            break;
        point |= c == '.';
        if (c == '.')
            continue;
        nonzero |= c != '0';
        digits -= nonzero;
    }
    n_tail = num.n - i < sizeof(tail) ? num.n - i : sizeof(tail);
    memcpy(tail, num.p + i, n_tail);
    b->n -= num.n - i;
    if (!point) {
        digits -= i == 1 && num.p[0] == '0';
        buf_add_char(b, '.');
    }
    for (; digits > 0 && !b->over; digits--)
        buf_add_char(b, '0');
    buf_add(b, tail, n_tail);
}

static void add_float(struct format *f, double v, char verb, int precision)
{
    struct buf *b = &f->r->text;
    size_t from = b->n;
    bool zero = f->zero;
    bool special = isnan(v) || isinf(v);
    struct str text;

    precision = f->has_precision ? f->precision : precision;
    if (isnan(v) || !signbit(v))
        buf_add_char(b, '+');
    tmpl_float(v, verb, precision, b);
    text = str_from(buf_str(b), from);
    if (text.n > 1 && text.p[1] == '+') { /* +Inf has its own */
        memmove(b->p + from, b->p + from + 1, text.n - 1);
        b->n--;
    }
    if (b->over || b->n == from) {
        f->out->over = true;
        return;
    }
    if (f->sharp && verb != 'b' && !special)
        sharpen(f, from, verb, precision);
    if (f->space && b->p[from] == '+' && !f->plus)
        b->p[from] = ' ';
    text = str_from(buf_str(b), from);
    if (special) {
        f->zero = false;
        pad(f, str_from(text, isnan(v) && !f->space && !f->plus));
        if (isinf(v))
            f->zero = zero;
    } else if (f->plus || text.p[0] != '+') {
        if (f->zero && f->has_width && (size_t)f->width > text.n) {
            buf_add_char(f->out, text.p[0]);
            add_many(f, '0', (size_t)f->width - text.n);
            buf_add_str(f->out, str_from(text, 1));
        } else {
            pad(f, text);
        }
    } else {
        pad(f, str_from(text, 1));
    }
    f->zero = zero;
    b->n = from;
}

static void print_float(struct format *f, const struct tmpl_value *v, char verb)
{
    if (verb == 'v')
        add_float(f, v->f, 'g', -1);
    else if (memchr("bgGxX", verb, 5) != NULL)
        add_float(f, v->f, verb, -1);
    else if (verb == 'f' || verb == 'F')
        add_float(f, v->f, 'f', 6);
    else if (verb == 'e' || verb == 'E')
        add_float(f, v->f, verb, 6);
    else
        bad_verb(f, v, verb);
}

/* ---- strings ---- */

static struct str truncated(const struct format *f, struct str s)
{
    size_t at = 0;

    for (int i = 0; f->has_precision && at < s.n; i++) {
        size_t n;
        if (i == f->precision)
            return str_sub(s, 0, at);
        (void)tmpl_rune(str_from(s, at), &n);
        at += n;
    }
    return s;
}

static void add_hex(struct format *f, struct str s, char verb)
{
    const char *digits = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    struct buf *b = &f->r->text;
    size_t from = b->n;

    if (f->has_precision && (size_t)f->precision < s.n)
        s.n = (size_t)f->precision;
    for (size_t i = 0; i < s.n && !b->over; i++) {
        if (f->space && i > 0)
            buf_add_char(b, ' ');
        if (f->sharp && (f->space || i == 0)) {
            buf_add_char(b, '0');
            buf_add_char(b, verb);
        }
        buf_add_char(b, digits[(unsigned char)s.p[i] >> 4]);
        buf_add_char(b, digits[(unsigned char)s.p[i] & 15]);
    }
    pad_text(f, from);
}

/* May it stand between back quotes? */
static bool can_backquote(struct str s)
{
    return utf8_valid(s) == s.n && str_find(s, STR("`")) == SIZE_MAX &&
           str_find(s, STR("\x7f")) == SIZE_MAX && str_find(s, STR("\xef\xbb\xbf")) == SIZE_MAX &&
           str_find(s, STR("\n")) == SIZE_MAX && str_find(s, STR("\r")) == SIZE_MAX;
}

static void add_quoted(struct format *f, struct str s)
{
    size_t from = f->r->text.n;

    s = truncated(f, s);
    if (f->sharp && can_backquote(s)) {
        buf_add_char(&f->r->text, '`');
        buf_add_str(&f->r->text, s);
        buf_add_char(&f->r->text, '`');
    } else {
        tmpl_quote(&f->r->text, s, f->plus);
    }
    pad_text(f, from);
}

static void print_string(struct format *f, const struct tmpl_value *v, struct str s, char verb)
{
    if (verb == 'v' && f->sharp_v)
        add_quoted(f, s);
    else if (verb == 'v' || verb == 's')
        pad(f, truncated(f, s));
    else if (verb == 'x' || verb == 'X')
        add_hex(f, s, verb);
    else if (verb == 'q')
        add_quoted(f, s);
    else
        bad_verb(f, v, verb);
}

/* ---- what is made of values ---- */

static int print_list(struct format *f, const struct tmpl_value *v, char verb)
{
    int x = 0;

    buf_add_z(f->out, f->sharp_v ? "[]interface {}{" : "[");
    for (size_t i = 0; i < v->list->n && x == 0 && !f->out->over; i++) {
        buf_add_z(f->out, i == 0 ? "" : f->sharp_v ? ", " : " ");
        x = print_value(f, &v->list->v[i], verb);
    }
    buf_add_char(f->out, f->sharp_v ? '}' : ']');
    return x;
}

static int print_pair(struct format *f, bool first, struct str key, const struct tmpl_value *value,
                      char verb)
{
    struct tmpl_value k = tmpl_of_str(key);
    int x;

    buf_add_z(f->out, first ? "" : f->sharp_v ? ", " : " ");
    x = print_value(f, &k, verb);
    buf_add_char(f->out, ':');
    return x < 0 ? x : print_value(f, value, verb);
}

static int print_map(struct format *f, const struct tmpl_value *v, char verb)
{
    struct labels all = {NULL, 0};
    int x = v->kind == TMPL_LABELS ? tmpl_labels_map(f->r, v, &all) : 0;

    buf_add_z(f->out, f->sharp_v ? tmpl_type_name(v) : "map");
    buf_add_char(f->out, f->sharp_v ? '{' : '[');
    if (v->kind == TMPL_MAP) {
        for (size_t i = 0; i < v->map->n && x == 0 && !f->out->over; i++)
            x = print_pair(f, i == 0, v->map->v[i].key, &v->map->v[i].value, verb);
    } else {
        for (size_t i = 0; i < all.n && x == 0 && !f->out->over; i++) {
            struct tmpl_value value = tmpl_of_str(all.v[i].value);
            x = print_pair(f, i == 0, all.v[i].name, &value, verb);
        }
    }
    buf_add_char(f->out, f->sharp_v ? '}' : ']');
    return x;
}

static void print_named(struct format *f, const struct tmpl_value *v, char verb)
{
    char copy[NAMED_MAX]; /* formatting uses the buffer */
    struct buf *b = &f->r->text;
    size_t from = b->n;
    struct str text;

    if (memchr("vsxXq", verb, 5) == NULL) {
        if (v->kind == TMPL_TIME)
            bad_verb(f, v, verb);
        else
            print_integer(f, v, verb);
        return;
    }
    tmpl_time_print(v, b);
    text = str_sub(buf_str(b), from, sizeof(copy));
    memcpy(copy, text.p, text.n);
    b->n = from;
    print_string(f, v, (struct str){copy, text.n}, verb);
}

static int print_value(struct format *f, const struct tmpl_value *v, char verb)
{
    int x = 0;

    if (tmpl_step(f->r, 1) < 0)
        return ERR_INVALID;
    if (verb == 'T') {
        pad(f, truncated(f, str_of(tmpl_type_name(v))));
        return 0;
    }
    switch (v->kind) {
    case TMPL_NONE:
        if (verb == 'v' && f->sharp_v && f->inside > 0)
            buf_add_z(f->out, "interface {}(nil)");
        else if (verb == 'v')
            pad(f, STR("<nil>"));
        else
            bad_verb(f, v, verb);
        return 0;
    case TMPL_BOOL:
        if (verb == 't' || verb == 'v')
            pad(f, v->b ? STR("true") : STR("false"));
        else
            bad_verb(f, v, verb);
        return 0;
    case TMPL_INT:
    case TMPL_INT64:
    case TMPL_UINT8:
        print_integer(f, v, verb);
        return 0;
    case TMPL_MONTH:
    case TMPL_WEEKDAY:
    case TMPL_DURATION:
    case TMPL_TIME:
        print_named(f, v, verb);
        return 0;
    case TMPL_FLOAT:
        print_float(f, v, verb);
        return 0;
    case TMPL_STRING:
        print_string(f, v, v->s, verb);
        return 0;
    case TMPL_LIST:
    case TMPL_MAP:
    case TMPL_LABELS:
        f->inside++;
        x = v->kind == TMPL_LIST ? print_list(f, v, verb) : print_map(f, v, verb);
        f->inside--;
        break;
    }
    return x;
}

/* ---- the format ---- */

/* Digits at *at; false: there are none, or the number is too large. */
static bool parse_number(struct str s, size_t *at, int *ret)
{
    size_t from = *at;
    int v = 0;

    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at) {
        if (v > NUMBER_MAX)
            continue;
        v = v * 10 + (s.p[*at] - '0');
    }
    *ret = v;
    if (v > NUMBER_MAX)
        *at = s.n;
    return *at > from && v <= NUMBER_MAX;
}

/* [n] at *at: the next argument is the nth.  true: it stood there. */
static bool parse_index(struct format *f, struct str s, size_t *at)
{
    size_t close;
    size_t digits;
    bool ok;
    int n;

    if (*at >= s.n || s.p[*at] != '[')
        return false;
    f->reordered = true;
    close = str_find_char(str_from(s, *at), ']');
    if (close == SIZE_MAX) {
        f->good_index = false;
        ++*at;
        return false;
    }
    digits = *at + 1;
    ok = parse_number(s, &digits, &n) && digits == *at + close;
    if (ok && n >= 1 && (size_t)n <= f->n_args)
        f->next = (size_t)n - 1;
    else
        f->good_index = false;
    *at += close + 1;
    return ok;
}

/* `*`: the next argument is a width or a precision. */
static bool star(struct format *f, int *ret)
{
    const struct tmpl_value *v = f->next < f->n_args ? &f->arg[f->next] : NULL;

    f->next += v != NULL;
    if (v == NULL || !tmpl_is_int(v) || v->i > NUMBER_MAX || v->i < -NUMBER_MAX)
        return false;
    *ret = (int)v->i;
    return true;
}

static void parse_flags(struct format *f, struct str s, size_t *at)
{
    f->minus = f->plus = f->sharp = f->space = f->zero = f->plus_v = f->sharp_v = false;
    f->has_width = f->has_precision = false;
    for (; *at < s.n; ++*at) {
        switch (s.p[*at]) {
        case '#':
            f->sharp = true;
            break;
        case '0':
            f->zero = !f->minus;
            break;
        case '+':
            f->plus = true;
            break;
        case '-':
            f->minus = true;
            f->zero = false;
            break;
        case ' ':
            f->space = true;
            break;
        default:
            return;
        }
    }
}

static void parse_width(struct format *f, struct str s, size_t *at, bool *indexed)
{
    *indexed = parse_index(f, s, at);
    if (*at < s.n && s.p[*at] == '*') {
        ++*at;
        f->has_width = star(f, &f->width);
        if (!f->has_width)
            buf_add_z(f->out, "%!(BADWIDTH)");
        else if (f->width < 0) {
            f->width = -f->width;
            f->minus = true;
            f->zero = false;
        }
        *indexed = false;
        return;
    }
    f->has_width = parse_number(s, at, &f->width);
    if (*indexed && f->has_width)
        f->good_index = false; /* %[3]2d */
}

static void parse_precision(struct format *f, struct str s, size_t *at, bool *indexed)
{
    if (*at + 1 > s.n || s.p[*at] != '.')
        return;
    ++*at;
    if (*indexed)
        f->good_index = false; /* %[3].2d */
    *indexed = parse_index(f, s, at);
    if (*at < s.n && s.p[*at] == '*') {
        ++*at;
        f->has_precision = star(f, &f->precision) && f->precision >= 0;
        if (!f->has_precision)
            buf_add_z(f->out, "%!(BADPREC)");
        *indexed = false;
        return;
    }
    f->has_precision = parse_number(s, at, &f->precision);
    if (!f->has_precision) {
        f->precision = 0;
        f->has_precision = true;
    }
}

/* The verb at s.p[*at], with flags and numbers parsed. */
static int print_verb(struct format *f, struct str s, size_t *at)
{
    char verb = s.p[*at];
    size_t n;

    (void)tmpl_rune(str_from(s, *at), &n);
    f->verb = str_sub(s, *at, n);
    *at += n;
    if (verb == '%') {
        buf_add_char(f->out, '%');
        return 0;
    }
    if (!f->good_index || f->next >= f->n_args) {
        buf_add_z(f->out, "%!");
        buf_add_str(f->out, f->verb);
        buf_add_z(f->out, f->good_index ? "(MISSING)" : "(BADINDEX)");
        return 0;
    }
    if (verb == 'v') {
        f->sharp_v = f->sharp;
        f->plus_v = f->plus;
        f->sharp = f->plus = false;
    }
    return print_value(f, &f->arg[f->next++], verb);
}

static void print_extra(struct format *f)
{
    struct str none = STR("");
    size_t at = 0;

    parse_flags(f, none, &at);
    buf_add_z(f->out, "%!(EXTRA ");
    for (size_t i = f->next; i < f->n_args && !f->out->over; i++) {
        buf_add_z(f->out, i == f->next ? "" : ", ");
        if (f->arg[i].kind != TMPL_NONE) {
            buf_add_z(f->out, tmpl_type_name(&f->arg[i]));
            buf_add_char(f->out, '=');
        }
        (void)print_value(f, &f->arg[i], 'v');
    }
    buf_add_char(f->out, ')');
}

int tmpl_sprintf(struct tmpl_run *r, struct str s, const struct tmpl_value *arg, size_t n,
                 struct buf *out)
{
    struct format f = {.r = r, .out = out, .arg = arg, .n_args = n};
    size_t at = 0;
    int x = 0;

    while (at < s.n && x == 0 && !out->over) {
        size_t text = str_find_char(str_from(s, at), '%');
        bool indexed;
        buf_add_str(out, str_sub(s, at, text));
        if (text == SIZE_MAX)
            break;
        at += text + 1;
        f.good_index = true;
        parse_flags(&f, s, &at);
        parse_width(&f, s, &at, &indexed);
        parse_precision(&f, s, &at, &indexed);
        if (!indexed)
            (void)parse_index(&f, s, &at);
        if (at >= s.n) {
            buf_add_z(out, "%!(NOVERB)");
            break;
        }
        x = print_verb(&f, s, &at);
    }
    if (x == 0 && !f.reordered && f.next < n)
        print_extra(&f);
    return x;
}
