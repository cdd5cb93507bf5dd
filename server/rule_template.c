/*
 * server/rule_template.c - see rule_template.h.
 *
 * A template is a list of pieces: text as it stands, or an operand and the functions it goes
 * through.  Types are checked when it is parsed (a map has no number), so that expanding can fail
 * only on what the labels of one alert hold.
 *
 * Numbers print as Go prints them: rule files and receivers expect Prometheus' texts.
 */
#include "server/rule_template.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FUNCTIONS_MAX = 8,
    PRECISION_MAX = 17,
    NUMBER_MAX = 400 /* "%.17f" of the largest double */
};

enum operand { TEXT, LABEL, LABELS, VALUE };
enum function { HUMANIZE, HUMANIZE_1024, HUMANIZE_PERCENTAGE, HUMANIZE_DURATION, PRINTF };
enum type { TYPE_STRING, TYPE_NUMBER, TYPE_MAP };

static const struct {
    const char *name;
    enum function function;
} FUNCTIONS[] = {
    {"humanize", HUMANIZE},
    {"humanize1024", HUMANIZE_1024},
    {"humanizePercentage", HUMANIZE_PERCENTAGE},
    {"humanizeDuration", HUMANIZE_DURATION},
    {"printf", PRINTF},
};

struct call {
    enum function function;
    struct str before, after; /* printf: what stands around the verb */
    int precision;
};

struct piece {
    struct piece *next;
    enum operand operand;
    struct str text; /* of TEXT; name of LABEL */
    struct call calls[FUNCTIONS_MAX];
    unsigned n_calls;
};

struct rule_template {
    struct piece *first;
};

struct parser {
    struct str text;
    size_t at; /* offset of the next byte */
    struct arena *a;
    size_t *offset; /* where the error is */
    struct err *err;
};

/* ---- parsing ---- */

static int complain(struct parser *p, size_t at, const char *what)
{
    *p->offset = at;
    return err_set(p->err, ERR_INVALID, "template: %s", what);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str rest(const struct parser *p)
{
    return str_from(p->text, p->at);
}

static void skip_blanks(struct parser *p)
{
    while (p->at < p->text.n && is_blank(p->text.p[p->at]))
        p->at++;
}

static bool at_end(const struct parser *p)
{
    return str_starts(rest(p), STR("}}")) ||
           (p->at > 0 && is_blank(p->text.p[p->at - 1]) && str_starts(rest(p), STR("-}}")));
}

static struct str take_word(struct parser *p)
{
    size_t from = p->at;

    while (p->at < p->text.n && is_word(p->text.p[p->at]))
        p->at++;
    return str_sub(p->text, from, p->at - from);
}

static bool unescape(char c, char *ret)
{
    static const char FROM[] = "nt\\\"";
    static const char TO[] = "\n\t\\\"";
    const char *hit = c == '\0' ? NULL : strchr(FROM, c);

    if (hit != NULL)
        *ret = TO[hit - FROM];
    return hit != NULL;
}

/* "..." or `...` at p->at. */
static int take_string(struct parser *p, struct str *ret)
{
    size_t begin = p->at++;
    char quote = p->text.p[begin];
    char *dst = arena_bytes(p->a, p->text.n - begin);
    size_t n = 0;

    if (dst == NULL)
        return arena_err(p->a, p->err);
    for (; p->at < p->text.n && p->text.p[p->at] != quote; p->at++) {
        char c = p->text.p[p->at];
        if (c == '\\' && quote == '"') {
            p->at++;
            if (p->at == p->text.n || !unescape(p->text.p[p->at], &c))
                return complain(p, p->at - 1, "of escapes only \\n \\t \\\\ \\\" are supported");
        }
        dst[n++] = c;
    }
    if (p->at == p->text.n)
        return complain(p, begin, "the quotes are not closed");
    p->at++;
    *ret = (struct str){dst, n};
    return 0;
}

/* Text of a printf format up to the next verb or the end, %% made one; *next is behind it. */
static int take_format_text(struct parser *p, size_t at, struct str format, size_t *next,
                            struct str *ret)
{
    char *dst = arena_bytes(p->a, format.n + 1);
    size_t n = 0;
    size_t i = *next;

    if (dst == NULL)
        return arena_err(p->a, p->err);
    for (; i < format.n; i++) {
        if (format.p[i] == '%') {
            if (i + 1 == format.n)
                return complain(p, at, "printf: the format ends in %");
            if (format.p[i + 1] != '%')
                break;
            i++;
        }
        dst[n++] = format.p[i];
    }
    *next = i;
    *ret = (struct str){dst, n};
    return 0;
}

static int take_verb(struct parser *p, size_t at, struct str format, size_t *next, int *precision)
{
    size_t i = *next + 1;

    *precision = 6;
    if (i < format.n && format.p[i] == '.') {
        *precision = 0;
        for (i++; i < format.n && format.p[i] >= '0' && format.p[i] <= '9'; i++) {
            *precision = *precision * 10 + (format.p[i] - '0');
            if (*precision > PRECISION_MAX)
                return complain(p, at, "printf: at most 17 digits");
        }
    }
    if (i == format.n || format.p[i] != 'f')
        return complain(p, at, "printf: only %f and %.Nf are supported");
    *next = i + 1;
    return 0;
}

static int take_format(struct parser *p, struct call *c)
{
    struct str format;
    size_t next = 0;
    size_t at;
    int r;

    skip_blanks(p);
    at = p->at;
    if (at == p->text.n || (p->text.p[at] != '"' && p->text.p[at] != '`'))
        return complain(p, at, "printf needs a format like \"%.2f\"");
    r = take_string(p, &format);
    if (r == 0)
        r = take_format_text(p, at, format, &next, &c->before);
    if (r == 0 && next == format.n)
        return complain(p, at, "printf: the format has no %.Nf");
    if (r == 0)
        r = take_verb(p, at, format, &next, &c->precision);
    if (r == 0)
        r = take_format_text(p, at, format, &next, &c->after);
    if (r == 0 && next < format.n)
        return complain(p, at, "printf: only one %.Nf is supported");
    return r;
}

static int unsupported(struct parser *p, size_t at, struct str word)
{
    char what[200];

    if (word.n == 0)
        (void)snprintf(what, sizeof(what), "$labels.NAME, $value or a function is expected here");
    else
        (void)snprintf(what, sizeof(what),
                       "'%.*s' is not supported; known are $labels.NAME, $labels, $value, "
                       "humanize, humanize1024, humanizePercentage, humanizeDuration, printf",
                       word.n > 40 ? 40 : (int)word.n, word.p);
    return complain(p, at, what);
}

/* The name of a function, and printf's format. */
static int take_function(struct parser *p, struct piece *piece)
{
    size_t at = p->at;
    struct str word = take_word(p);

    for (size_t i = 0; i < sizeof(FUNCTIONS) / sizeof(FUNCTIONS[0]); i++) {
        struct call *c = &piece->calls[piece->n_calls];
        if (!str_eq(word, str_of(FUNCTIONS[i].name)))
            continue;
        if (piece->n_calls == FUNCTIONS_MAX)
            return complain(p, at, "too many functions");
        piece->n_calls++;
        c->function = FUNCTIONS[i].function;
        return c->function == PRINTF ? take_format(p, c) : 0;
    }
    return unsupported(p, at, word);
}

static bool take(struct parser *p, struct str word)
{
    struct str left = rest(p);

    if (!str_starts(left, word) || (left.n > word.n && is_word(left.p[word.n])))
        return false;
    p->at += word.n;
    return true;
}

static int take_operand(struct parser *p, struct piece *piece)
{
    size_t at = p->at;
    struct str left = rest(p);

    if (take(p, STR("$value")) || take(p, STR(".Value"))) {
        piece->operand = VALUE;
    } else if (take(p, STR("$labels")) || take(p, STR(".Labels"))) {
        piece->operand = LABELS;
        if (str_starts(rest(p), STR("."))) {
            p->at++;
            piece->operand = LABEL;
            piece->text = take_word(p);
            if (!label_name_ok(piece->text))
                return complain(p, at, "a label name is expected behind $labels.");
        }
    } else if (left.n > 0 && (left.p[0] == '"' || left.p[0] == '`')) {
        piece->operand = TEXT;
        return take_string(p, &piece->text);
    } else {
        while (left.n > 0 && p->at < p->text.n &&
               (p->text.p[p->at] == '$' || p->text.p[p->at] == '.'))
            p->at++;
        (void)take_word(p);
        return unsupported(p, at, str_sub(p->text, at, p->at - at));
    }
    if (str_starts(rest(p), STR(".")))
        return complain(p, p->at, "nothing has fields here");
    return 0;
}

/* The type behind each function is text; before it a number, or text that looks like one. */
static int check_types(struct parser *p, size_t at, const struct piece *piece)
{
    enum type type = piece->operand == VALUE    ? TYPE_NUMBER
                     : piece->operand == LABELS ? TYPE_MAP
                                                : TYPE_STRING;

    for (unsigned i = 0; i < piece->n_calls; i++) {
        if (type == TYPE_MAP)
            return complain(p, at, "$labels is no number; $labels.NAME may be one");
        if (piece->calls[i].function == PRINTF && type != TYPE_NUMBER)
            return complain(p, at, "printf \"%.Nf\" needs a number: only $value is one");
        type = TYPE_STRING;
    }
    return 0;
}

/* operand | function | function ..., or function operand | function ... */
static int take_pipeline(struct parser *p, struct piece *piece)
{
    size_t at = p->at;
    int r = 0;

    if (p->at < p->text.n && p->text.p[p->at] >= 'a' && p->text.p[p->at] <= 'z') {
        r = take_function(p, piece);
        skip_blanks(p);
    }
    if (r == 0)
        r = take_operand(p, piece);
    skip_blanks(p);
    while (r == 0 && str_starts(rest(p), STR("|"))) {
        p->at++;
        skip_blanks(p);
        r = take_function(p, piece);
        skip_blanks(p);
    }
    if (r == 0 && !at_end(p))
        return complain(p, p->at, "| or }} is expected here");
    return r < 0 ? r : check_types(p, at, piece);
}

static struct piece *new_piece(struct parser *p, struct piece ***tail)
{
    struct piece *piece = arena_alloc(p->a, sizeof(*piece));

    if (piece != NULL) {
        **tail = piece;
        *tail = &piece->next;
    }
    return piece;
}

/* What stands between two {{ }}; `trim` is set when the {{ before it or after it has a dash. */
static int add_text(struct parser *p, struct piece ***tail, struct str text, bool trim_left,
                    bool trim_right)
{
    struct piece *piece;

    while (trim_left && text.n > 0 && is_blank(text.p[0]))
        text = str_from(text, 1);
    while (trim_right && text.n > 0 && is_blank(text.p[text.n - 1]))
        text.n--;
    if (text.n == 0)
        return 0;
    piece = new_piece(p, tail);
    if (piece == NULL)
        return arena_err(p->a, p->err);
    piece->text = text;
    return 0;
}

/* One {{ ... }}, p->at being behind its {{. */
static int take_action(struct parser *p, struct piece ***tail, bool *trim_after)
{
    size_t open = p->at - 2;
    struct piece *piece = new_piece(p, tail);
    int r;

    if (piece == NULL)
        return arena_err(p->a, p->err);
    if (str_find(rest(p), STR("}}")) == SIZE_MAX)
        return complain(p, open, "{{ is not closed");
    if (p->at + 1 < p->text.n && p->text.p[p->at] == '-' && is_blank(p->text.p[p->at + 1]))
        p->at++;
    skip_blanks(p);
    r = take_pipeline(p, piece);
    if (r < 0)
        return r;
    *trim_after = p->text.p[p->at] == '-';
    p->at += *trim_after ? 3 : 2;
    return 0;
}

int rule_template_parse(struct str text, struct arena *a, const struct rule_template **ret,
                        size_t *offset, struct err *err)
{
    struct parser p = {.text = text, .a = a, .offset = offset, .err = err};
    struct rule_template *t = arena_alloc(a, sizeof(*t));
    struct piece **tail;
    bool trim = false;
    int r = 0;

    *offset = 0;
    if (t == NULL)
        return arena_err(a, err);
    tail = &t->first;
    while (r == 0 && p.at < text.n) {
        size_t open = str_find(rest(&p), STR("{{"));
        struct str between = str_sub(rest(&p), 0, open);
        struct str behind = open == SIZE_MAX ? STR_NULL : str_from(rest(&p), open + 2);
        bool dash = behind.n > 1 && behind.p[0] == '-' && is_blank(behind.p[1]);

        r = add_text(&p, &tail, between, trim, dash);
        if (open == SIZE_MAX)
            break;
        p.at += open + 2;
        if (r == 0)
            r = take_action(&p, &tail, &trim);
    }
    if (r == 0)
        *ret = t;
    return r;
}

bool rule_template_uses_value(const struct rule_template *t)
{
    for (const struct piece *p = t->first; p != NULL; p = p->next) {
        if (p->operand == VALUE)
            return true;
    }
    return false;
}

/* ---- numbers as Go prints them ---- */

static bool print_special(struct buf *out, double v)
{
    if (isnan(v))
        buf_add_z(out, "NaN");
    else if (isinf(v))
        buf_add_z(out, v > 0 ? "+Inf" : "-Inf");
    return !isfinite(v);
}

static void print_digits(struct buf *out, double v) /* %.4g */
{
    if (!print_special(out, v))
        buf_addf(out, "%.4g", v);
}

/* %v: the fewest digits that read back; with an exponent under 1e-04 and from 1e+06 on. */
static void print_shortest(struct buf *out, double v)
{
    char text[40];
    int digits = 0;
    int exponent;

    if (print_special(out, v))
        return;
    do
        (void)snprintf(text, sizeof(text), "%.*e", digits, v);
    while (digits++ < 17 && islessgreater(strtod(text, NULL), v));
    exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent >= -4 && exponent < 6)
        (void)snprintf(text, sizeof(text), "%.*f",
                       digits - 1 > exponent ? digits - 1 - exponent : 0, v);
    buf_add_z(out, text);
}

static void print_scaled(struct buf *out, double v, double step, const char *const *up, size_t n_up,
                         const char *unit)
{
    static const char *const DOWN[] = {"m", "u", "n", "p", "f", "a", "z", "y"};
    const char *prefix = "";

    if (fabs(v) >= 1) {
        for (size_t i = 0; i < n_up && fabs(v) >= step; i++) {
            prefix = up[i];
            v /= step;
        }
    } else {
        for (size_t i = 0; i < 8 && fabs(v) < 1; i++) {
            prefix = DOWN[i];
            v *= 1000;
        }
    }
    buf_addf(out, "%.4g%s%s", v, prefix, unit);
}

static void humanize(struct buf *out, double v)
{
    static const char *const UP[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};

    if (!(fabs(v) > 0) || isinf(v)) /* zero and NaN too */
        print_digits(out, v);
    else
        print_scaled(out, v, 1000, UP, 8, "");
}

static void humanize_1024(struct buf *out, double v)
{
    static const char *const UP[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};

    if (!(fabs(v) > 1) || isinf(v))
        print_digits(out, v);
    else
        print_scaled(out, v, 1024, UP, 8, "");
}

static void humanize_duration(struct buf *out, double v)
{
    const char *sign = v < 0 ? "-" : "";
    double a = fabs(v);
    uint64_t s;

    if (print_special(out, v))
        return;
    if (a < 1) {
        if (a > 0)
            print_scaled(out, v, 1000, NULL, 0, "s");
        else
            buf_add_z(out, "0s");
        return;
    }
    s = a < 9e18 ? (uint64_t)a : UINT64_C(9000000000000000000);
    if (s >= 86400)
        buf_addf(out, "%s%ud %uh %um %us", sign, (unsigned)(s / 86400), (unsigned)(s / 3600 % 24),
                 (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else if (s >= 3600)
        buf_addf(out, "%s%uh %um %us", sign, (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else if (s >= 60)
        buf_addf(out, "%s%um %us", sign, (unsigned)(s / 60), (unsigned)(s % 60));
    else
        buf_addf(out, "%s%.4gs", sign, a);
}

static void print_fixed(struct buf *out, const struct call *c, double v)
{
    buf_add_str(out, c->before);
    if (!print_special(out, v))
        buf_addf(out, "%.*f", c->precision, v);
    buf_add_str(out, c->after);
}

static void print_call(struct buf *out, const struct call *c, double v)
{
    switch (c->function) {
    case HUMANIZE:
        humanize(out, v);
        break;
    case HUMANIZE_1024:
        humanize_1024(out, v);
        break;
    case HUMANIZE_PERCENTAGE:
        print_digits(out, v * 100);
        buf_add_char(out, '%');
        break;
    case HUMANIZE_DURATION:
        humanize_duration(out, v);
        break;
    case PRINTF:
        print_fixed(out, c, v);
        break;
    }
}

/* ---- expanding ---- */

static void print_labels(struct buf *out, const struct labels *l)
{
    buf_add_z(out, "map[");
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        buf_add_str(out, l->v[i].name);
        buf_add_char(out, ':');
        buf_add_str(out, l->v[i].value);
    }
    buf_add_char(out, ']');
}

static void print_operand(const struct piece *p, const struct labels *labels, double value,
                          struct buf *out)
{
    switch (p->operand) {
    case TEXT:
        buf_add_str(out, p->text);
        break;
    case LABEL:
        buf_add_str(out, labels_get(labels, p->text)); /* absent prints nothing */
        break;
    case LABELS:
        print_labels(out, labels);
        break;
    case VALUE:
        print_shortest(out, value);
        break;
    }
}

static int to_number(struct str text, double *ret, struct err *err)
{
    return str_to_f64(text, ret) ? 0
                                 : err_set(err, ERR_INVALID, "\"%.*s\" is no number",
                                           text.n > 60 ? 60 : (int)text.n, text.p);
}

static int expand_piece(const struct piece *p, const struct labels *labels, double value,
                        struct buf *out, struct err *err)
{
    struct str first = p->operand == LABEL ? labels_get(labels, p->text) : p->text;
    char text[2 * NUMBER_MAX];
    double v = value;
    int r = 0;

    if (p->n_calls == 0) {
        print_operand(p, labels, value, out);
        return 0;
    }
    if (p->operand != VALUE)
        r = to_number(first, &v, err);
    for (unsigned i = 0; r == 0 && i < p->n_calls; i++) {
        struct buf step;
        if (i + 1 == p->n_calls) {
            print_call(out, &p->calls[i], v);
            break;
        }
        buf_init(&step, sizeof(text));
        print_call(&step, &p->calls[i], v);
        (void)str_to_z(buf_str(&step), text, sizeof(text));
        buf_fini(&step);
        r = to_number(str_of(text), &v, err);
    }
    return r;
}

int rule_template_expand(const struct rule_template *t, const struct labels *labels, double value,
                         struct buf *out, struct err *err)
{
    int r = 0;

    for (const struct piece *p = t->first; r == 0 && p != NULL; p = p->next)
        r = expand_piece(p, labels, value, out, err);
    return r;
}
