/* query/format.c - values, and entries as JSON lines; see format.h. */
#include "query/format.h"

#include "base/json.h"
#include "base/vec.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

__extension__ typedef unsigned __int128 wide;

enum {
    SURE_DIGITS = 15, /* a decimal of so many is what its double reads back as */
    MOST_DIGITS = 17,
    SMALL_ZEROS = 4, /* of 10^-5 behind the point */
    PLACES_MAX = MOST_DIGITS + SMALL_ZEROS,
};

static wide power_of_ten(int n)
{
    wide p = 1;

    while (n-- > 0)
        p *= 10;
    return p;
}

/* Digits before the point; of less than 0.1 minus the zeros behind it. */
static int point_of(double v)
{
    static const double SMALL[SMALL_ZEROS + 1] = {1e-1, 1e-2, 1e-3, 1e-4, 1e-5};
    double bound = 1;
    int n = 0;

    if (v >= 1)
        for (; v >= bound; bound *= 10)
            n++;
    else
        while (v < SMALL[-n])
            n--;
    return n;
}

/*
 * v * 10^places, rounded half to even; true if it tells v from its neighbours.
 *
 * v = m * 2^-shift, so v * 10^places = scaled / 2^shift.  As 10^-5 <= v < 10^15, m < 2^53, places
 * <= 21 and shift <= 69, what is computed stays below 2^124 and is exact.  Half way between two
 * neighbours lies nothing of 17 digits there, and that the one below a power of two is closer than
 * others decides about none of these powers (tried one by one in the test).
 */
static bool round_to(uint64_t m, int shift, int places, uint64_t *ret)
{
    wide ten = power_of_ten(places);
    wide scaled = ten * m;
    wide one = (wide)1 << shift;
    wide rest = scaled & (one - 1);
    uint64_t whole = (uint64_t)(scaled >> shift);
    bool is_up = rest > one / 2 || (rest == one / 2 && whole % 2 != 0);

    *ret = whole + is_up;
    return (is_up ? one - rest : rest) * 2 < ten;
}

/* v >= 10^-5, < 10^15 and no whole number: without printf, which takes microseconds. */
static void add_usual(struct buf *out, double v)
{
    char text[PLACES_MAX];
    int exponent;
    uint64_t m = (uint64_t)ldexp(frexp(v, &exponent), 53);
    int point = point_of(v);
    int places = SURE_DIGITS - point;
    uint64_t n = 0;
    int used;

    while (!round_to(m, 53 - exponent, places, &n) && places < MOST_DIGITS - point)
        places++;
    for (int i = places; i-- > 0; n /= 10)
        text[i] = (char)('0' + (int)(n % 10));
    for (used = places; used > 1 && text[used - 1] == '0';)
        used--;
    buf_addf(out, "%" PRIu64 ".", n);
    buf_add(out, text, (size_t)used);
}

/* The fewest significant digits that read back as `v`, as d.ddde+xx in `text`. */
static void shortest(double v, char *text, size_t cap)
{
    int digits = fabs(v) < 0x1p-1000 ? 0 : SURE_DIGITS - 1; /* behind the point */

    do
        (void)snprintf(text, cap, "%.*e", digits, v);
    while (digits++ < MOST_DIGITS - 1 && strtod(text, NULL) != v);
}

/* Very large or very small. */
static void add_unusual(struct buf *out, double v)
{
    char text[40];
    char digits[40];
    size_t n = 0;
    const char *e;
    long exponent;

    shortest(v, text, sizeof(text));
    e = strchr(text, 'e');
    exponent = strtol(e + 1, NULL, 10);
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (exponent < 0)
        buf_add_z(out, "0.");
    for (long i = exponent + 1; i < 0; i++)
        buf_add_char(out, '0');
    for (size_t i = 0; i < n; i++) {
        if (exponent >= 0 && (long)i == exponent + 1)
            buf_add_char(out, '.');
        buf_add_char(out, digits[i]);
    }
    for (long i = (long)n; i <= exponent; i++)
        buf_add_char(out, '0');
}

void format_value(struct buf *out, double v)
{
    double size = fabs(v);

    if (isnan(v) || isinf(v)) {
        buf_add_z(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (signbit(v) != 0) /* "-0" too */
        buf_add_char(out, '-');
    if (size < 1e15 && size == floor(size)) { /* most are counts */
        buf_add_i64(out, (int64_t)size);
        return;
    }
    if (size >= 1e-5 && size < 1e15)
        add_usual(out, size);
    else
        add_unusual(out, size);
}

/* ---- JSON lines ---- */

static void write_labels(struct json_writer *w, const char *key, const struct labels *l)
{
    json_put_key(w, str_of(key));
    labels_put_json(w, l);
}

void format_entry_json(struct buf *out, const struct query_entry *e)
{
    struct json_writer w;
    char text[TIME_TEXT_MAX];

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "ts", time_format_rfc3339(e->ts, text));
    (void)snprintf(text, sizeof(text), "%" PRId64, e->ts);
    json_put_kv_str(&w, "ts_ns", str_of(text));
    json_put_kv_u64(&w, "seq", e->seq);
    write_labels(&w, "labels", &e->stream);
    write_labels(&w, "attributes", &e->meta);
    write_labels(&w, "parsed", &e->parsed);
    json_put_kv_str(&w, "line", e->line);
    if (e->is_context) {
        json_put_key(&w, STR("context"));
        json_put_bool(&w, true);
    }
    json_put_object_end(&w);
}

static int no_entry(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "not an entry: %s", what);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* The next token, which must be of `type`, as text in `a`. */
static int read_text(struct json_reader *r, enum json_type type, struct arena *a, struct str *ret,
                     struct err *err)
{
    struct json_token tok;
    int x = json_next(r, &tok, err);

    if (x < 0)
        return x;
    if (tok.type != type)
        return no_entry("a value has the wrong type", err);
    *ret = json_text(&tok, a);
    if (ret->p == NULL)
        return arena_err(a, err);
    return 0;
}

typedef VEC(struct label) label_list;

static void add_label(label_list *to, struct label l)
{
    VEC_PUSH(to, l);
}

/* The members of an object of strings, up to its end. */
static int read_pairs(struct json_reader *r, struct arena *a, label_list *ret, struct err *err)
{
    enum { LABELS_MAX = 4096 };
    struct json_token tok;
    struct label l;
    int x = json_next(r, &tok, err);

    while (x == 0 && tok.type == JSON_KEY) {
        l = (struct label){json_text(&tok, a), STR_NULL};
        if (l.name.p == NULL)
            return arena_err(a, err);
        if (ret->n == LABELS_MAX)
            return no_entry("too many labels", err);
        x = read_text(r, JSON_STRING, a, &l.value, err);
        if (x != 0)
            return x;
        add_label(ret, l);
        x = json_next(r, &tok, err);
    }
    return x;
}

static int read_labels(struct json_reader *r, struct arena *a, struct labels *ret, struct err *err)
{
    label_list list = {0};
    struct json_token tok;
    int x = json_next(r, &tok, err);

    if (x == 0 && tok.type != JSON_OBJECT)
        x = no_entry("labels are no object", err);
    if (x == 0)
        x = read_pairs(r, a, &list, err);
    if (x == 0 && list.n > 0) {
        ret->v = arena_alloc(a, list.n * sizeof(*list.p));
        if (ret->v == NULL) {
            x = arena_err(a, err);
        } else {
            memcpy(ret->v, list.p, list.n * sizeof(*list.p));
            ret->n = list.n;
            qsort(ret->v, ret->n, sizeof(*ret->v), by_name);
        }
    }
    VEC_FINI(&list);
    return x;
}

static int read_member(struct json_reader *r, struct str key, struct arena *a,
                       struct query_entry *ret, struct err *err)
{
    struct json_token tok;
    struct str text = STR_NULL;
    int x;

    if (str_eq(key, STR("labels")))
        return read_labels(r, a, &ret->stream, err);
    if (str_eq(key, STR("attributes")))
        return read_labels(r, a, &ret->meta, err);
    if (str_eq(key, STR("parsed")))
        return read_labels(r, a, &ret->parsed, err);
    if (str_eq(key, STR("line")))
        return read_text(r, JSON_STRING, a, &ret->line, err);
    if (str_eq(key, STR("ts_ns"))) {
        x = read_text(r, JSON_STRING, a, &text, err);
        if (x == 0 && !str_to_i64(text, &ret->ts))
            x = no_entry("bad ts_ns", err);
        return x;
    }
    if (str_eq(key, STR("seq"))) {
        x = json_next(r, &tok, err);
        if (x == 0 && (tok.type != JSON_NUMBER || !str_to_u64(tok.raw, &ret->seq)))
            x = no_entry("bad seq", err);
        return x;
    }
    if (str_eq(key, STR("context"))) {
        x = json_next(r, &tok, err);
        if (x == 0 && tok.type != JSON_TRUE)
            x = no_entry("bad context", err);
        ret->is_context = true;
        return x;
    }
    return json_skip(r, NULL, err);
}

int format_entry_parse(struct str json, struct arena *a, struct query_entry *ret, struct err *err)
{
    struct json_reader r;
    struct json_token tok;
    bool has_time = false;
    int x;

    *ret = (struct query_entry){.line = STR("")};
    json_reader_init(&r, json);
    x = json_next(&r, &tok, err);
    if (x == 0 && tok.type != JSON_OBJECT)
        x = no_entry("no JSON object", err);
    while (x == 0) {
        struct str key;
        x = json_next(&r, &tok, err);
        if (x < 0 || tok.type == JSON_OBJECT_END)
            break;
        key = json_text(&tok, a);
        if (key.p == NULL)
            return arena_err(a, err);
        has_time |= str_eq(key, STR("ts_ns"));
        x = read_member(&r, key, a, ret, err);
    }
    if (x == 0 && !has_time)
        return no_entry("no ts_ns", err);
    return x;
}
