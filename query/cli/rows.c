/* query/cli/rows.c - see rows.h. */
#include "query/cli/rows.h"

#include "base/json.h"
#include "base/obj.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "base/visible.h"
#include "query/format.h"

#include <math.h>
#include <time.h>

enum { ARENA_MAX = 512 << 20, CELL_MAX = 4 << 20, WIDTH_MAX = 200 };

#define BOLD  "\x1b[1m"
#define RESET "\x1b[0m"
#define GAP   "  "

struct rows {
    unsigned magic;
#define ROWS_MAGIC 0x7ab1e5c2u
    const struct rows_column *columns; /* borrowed */
    size_t n_columns;
    struct arena *arena;
    uint64_t limit;                  /* 0: none */
    size_t widths[ROWS_COLUMNS_MAX]; /* in a table; of rows_stream */
    VEC(const struct rows_cell *) v;
};

struct rows *rows_new(const struct rows_column *columns, size_t n)
{
    struct rows *r = mem_new(sizeof(*r));

    INVARIANT(n > 0 && n <= ROWS_COLUMNS_MAX);
    r->magic = ROWS_MAGIC;
    r->columns = columns;
    r->n_columns = n;
    r->arena = arena_new(NULL, ARENA_MAX);
    return r;
}

void rows_free(struct rows **pr)
{
    struct rows *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, ROWS_MAGIC);
    VEC_FINI(&r->v);
    arena_free(&r->arena);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

struct arena *rows_arena(struct rows *r)
{
    OBJ_CHECK(r, ROWS_MAGIC);
    return r->arena;
}

int rows_add(struct rows *r, const struct rows_cell *cells, struct err *err)
{
    struct rows_cell *copy;

    OBJ_CHECK(r, ROWS_MAGIC);
    if (r->limit > 0 && r->v.n >= r->limit)
        return 0;
    copy = arena_alloc(r->arena, r->n_columns * sizeof(*copy)); /* which bounds the count too */
    if (copy == NULL)
        return arena_err(r->arena, err);
    for (size_t i = 0; i < r->n_columns; i++)
        copy[i] = cells[i];
    VEC_PUSH(&r->v, copy);
    return 0;
}

size_t rows_count(const struct rows *r)
{
    OBJ_CHECK(r, ROWS_MAGIC);
    return r->v.n;
}

const struct rows_cell *rows_cells(const struct rows *r, size_t row)
{
    OBJ_CHECK(r, ROWS_MAGIC);
    INVARIANT(row < r->v.n);
    return r->v.p[row];
}

struct str rows_text(const struct rows *r, size_t row)
{
    OBJ_CHECK(r, ROWS_MAGIC);
    INVARIANT(row < r->v.n && r->columns[0].kind == ROWS_TEXT);
    return r->v.p[row][0].text;
}

void rows_limit(struct rows *r, uint64_t n)
{
    OBJ_CHECK(r, ROWS_MAGIC);
    r->limit = n;
}

/* ---- one cell as text ---- */

/* Free a piece on its way to `to`; what did not fit into it has not reached `to` either. */
static void end_piece(struct buf *piece, struct buf *to)
{
    to->over |= piece->over;
    buf_fini(piece);
}

static void add_local_time(struct buf *out, ts_ns ts)
{
    time_t seconds = (time_t)(ts / NS_PER_S - (ts % NS_PER_S < 0));
    struct tm tm;
    char text[64];

    if (localtime_r(&seconds, &tm) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
        buf_add_z(out, text);
}

static void add_cell(struct buf *out, const struct rows_cell *c, enum rows_kind kind, bool local)
{
    char time[TIME_TEXT_MAX];

    switch (kind) {
    case ROWS_TEXT:
        buf_add_str(out, c->text);
        return;
    case ROWS_TIME:
        if (c->ts == ROWS_NO_TIME)
            return;
        if (local)
            add_local_time(out, c->ts);
        else
            buf_add_str(out, time_format_rfc3339nano(c->ts, time));
        return;
    case ROWS_LABELS:
        labels_format(out, &c->labels);
        return;
    case ROWS_VALUE:
    case ROWS_BYTES:
        format_value(out, c->value);
        return;
    }
}

/* ---- table and raw ---- */

void rows_add_bytes(struct buf *out, double n)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t i = 0;

    while (i + 1 < sizeof(units) / sizeof(units[0]) && fabs(n) >= 1000) {
        n /= 1000;
        i++;
    }
    buf_addf(out, i == 0 ? "%.0f %s" : "%.1f %s", n, units[i]);
}

static void make_visible(const struct rows *r, size_t row, size_t column, bool utc, struct buf *out)
{
    struct buf text;

    buf_init(&text, CELL_MAX);
    if (r->columns[column].kind == ROWS_BYTES)
        rows_add_bytes(&text, r->v.p[row][column].value);
    else
        add_cell(&text, &r->v.p[row][column], r->columns[column].kind, !utc);
    buf_clear(out);
    visible_add(out, buf_str(&text), false);
    end_piece(&text, out);
}

/* The next cell begins behind `width` and a gap; behind a wider one, behind the gap. */
static void add_padded(struct buf *out, struct str s, size_t width)
{
    buf_add_str(out, s);
    for (size_t n = utf8_columns(s); n < width; n++)
        buf_add_char(out, ' ');
    buf_add_z(out, GAP);
}

static void add_line_cell(struct buf *out, struct str s, const size_t *widths, size_t i, size_t n)
{
    if (i + 1 < n)
        add_padded(out, s, widths[i]);
    else
        buf_add_str(out, s);
}

static void add_heading(const struct rows *r, const size_t *widths, struct buf *out, bool color)
{
    if (color)
        buf_add_z(out, BOLD);
    for (size_t i = 0; i < r->n_columns; i++)
        add_line_cell(out, str_of(r->columns[i].name), widths, i, r->n_columns);
    if (color)
        buf_add_z(out, RESET);
    buf_add_char(out, '\n');
}

static int print_table(const struct rows *r, struct output *o, struct err *err)
{
    size_t widths[ROWS_COLUMNS_MAX] = {0};
    struct buf text;
    int e = 0;

    buf_init(&text, 4 * CELL_MAX);
    for (size_t i = 0; i < r->n_columns; i++) {
        widths[i] = utf8_columns(str_of(r->columns[i].name));
        for (size_t row = 0; i + 1 < r->n_columns && row < r->v.n; row++) {
            size_t n;
            make_visible(r, row, i, o->form.utc, &text);
            n = utf8_columns(buf_str(&text));
            if (n > widths[i])
                widths[i] = n < WIDTH_MAX ? n : WIDTH_MAX; /* one monster must not push all away */
        }
    }
    if (r->n_columns > 1 && r->v.n > 0)
        add_heading(r, widths, &o->buf, o->form.color);
    for (size_t row = 0; e == 0 && row < r->v.n; row++) {
        for (size_t i = 0; i < r->n_columns; i++) {
            make_visible(r, row, i, o->form.utc, &text);
            o->buf.over |= text.over;
            add_line_cell(&o->buf, buf_str(&text), widths, i, r->n_columns);
        }
        e = output_text(o, STR("\n"), err);
    }
    buf_fini(&text);
    return e;
}

static void add_raw(struct buf *out, const struct rows *r, size_t row)
{
    bool any = false;

    for (size_t i = 0; i < r->n_columns; i++) {
        const struct rows_cell *c = &r->v.p[row][i];

        if (r->n_columns > 1 && r->columns[i].kind == ROWS_LABELS && c->labels.n == 0)
            continue;
        if (any)
            buf_add_char(out, '\t');
        add_cell(out, c, r->columns[i].kind, false);
        any = true;
    }
    buf_add_char(out, '\n');
}

/* ---- json ---- */

static void write_cell(struct json_writer *w, const struct rows_cell *c, enum rows_kind kind)
{
    struct buf text;

    if (kind == ROWS_TEXT) {
        json_put_string(w, c->text);
        return;
    }
    if (kind == ROWS_LABELS) {
        labels_put_json(w, &c->labels);
        return;
    }
    buf_init(&text, CELL_MAX);
    add_cell(&text, c, kind, false);
    if ((kind == ROWS_VALUE || kind == ROWS_BYTES) && isfinite(c->value))
        json_put_raw(w, buf_str(&text));
    else
        json_put_string(w, buf_str(&text));
    end_piece(&text, w->out);
}

static void add_json(struct buf *out, const struct rows *r, size_t row)
{
    struct json_writer w;

    json_writer_init(&w, out);
    if (r->n_columns == 1) {
        write_cell(&w, &r->v.p[row][0], r->columns[0].kind);
        return;
    }
    json_put_object(&w);
    for (size_t i = 0; i < r->n_columns; i++) {
        json_put_key(&w, str_of(r->columns[i].name));
        write_cell(&w, &r->v.p[row][i], r->columns[i].kind);
    }
    json_put_object_end(&w);
}

/* ---- csv and logfmt ---- */

static void add_csv(struct buf *out, const struct rows *r, size_t row)
{
    struct buf text;

    buf_init(&text, CELL_MAX);
    for (size_t i = 0; i < r->n_columns; i++) {
        buf_clear(&text);
        add_cell(&text, &r->v.p[row][i], r->columns[i].kind, false);
        if (i > 0)
            buf_add_char(out, ',');
        format_csv_text(out, buf_str(&text));
    }
    end_piece(&text, out);
    buf_add_char(out, '\n');
}

static void add_pair(struct buf *out, struct str name, struct str value, bool *any)
{
    bool quote = value.n == 0;

    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        quote |= c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f;
    }
    if (*any)
        buf_add_char(out, ' ');
    *any = true;
    utf8_repair(out, name);
    buf_add_char(out, '=');
    if (quote)
        quote_add(out, value);
    else
        utf8_repair(out, value);
}

static void add_logfmt(struct buf *out, const struct rows *r, size_t row)
{
    struct buf text;
    bool any = false;

    buf_init(&text, CELL_MAX);
    for (size_t i = 0; i < r->n_columns; i++) {
        const struct rows_cell *c = &r->v.p[row][i];

        if (r->columns[i].kind == ROWS_LABELS) {
            for (size_t j = 0; j < c->labels.n; j++)
                add_pair(out, c->labels.v[j].name, c->labels.v[j].value, &any);
            continue;
        }
        buf_clear(&text);
        add_cell(&text, c, r->columns[i].kind, false);
        add_pair(out, str_of(r->columns[i].name), buf_str(&text), &any);
    }
    end_piece(&text, out);
    buf_add_char(out, '\n');
}

/* ---- all of it ---- */

/* All forms but table, which needs to know the widths. */
static void add_row(const struct rows *r, size_t row, bool first, struct buf *out,
                    enum format_kind kind)
{
    switch (kind) {
    case FORMAT_TABLE:
        return;
    case FORMAT_RAW:
        add_raw(out, r, row);
        return;
    case FORMAT_JSON:
        buf_add_z(out, first ? "[\n" : ",\n");
        add_json(out, r, row);
        return;
    case FORMAT_JSONL:
        add_json(out, r, row);
        buf_add_char(out, '\n');
        return;
    case FORMAT_CSV:
        for (size_t i = 0; first && i < r->n_columns; i++)
            buf_addf(out, "%s%s", r->columns[i].name, i + 1 < r->n_columns ? "," : "\n");
        add_csv(out, r, row);
        return;
    case FORMAT_LOGFMT:
        add_logfmt(out, r, row);
        return;
    }
}

void rows_clear(struct rows *r)
{
    OBJ_CHECK(r, ROWS_MAGIC);
    r->v.n = 0;
    arena_reset(r->arena);
}

void rows_stream(struct rows *r, struct buf *out, const struct format_options *form, bool first)
{
    enum { WIDTH_STREAM = 40 };
    struct buf text;

    OBJ_CHECK(r, ROWS_MAGIC);
    INVARIANT(r->v.n == 1);
    if (form->kind != FORMAT_TABLE) {
        add_row(r, 0, first, out, form->kind);
        return;
    }
    buf_init(&text, 4 * CELL_MAX);
    if (first) {
        for (size_t i = 0; i < r->n_columns; i++)
            r->widths[i] = utf8_columns(str_of(r->columns[i].name));
    }
    for (size_t i = 0; i + 1 < r->n_columns; i++) {
        size_t n;

        make_visible(r, 0, i, form->utc, &text);
        n = utf8_columns(buf_str(&text));
        if (n > r->widths[i])
            r->widths[i] = n < WIDTH_STREAM ? n : WIDTH_STREAM;
    }
    if (first && r->n_columns > 1)
        add_heading(r, r->widths, out, form->color);
    for (size_t i = 0; i < r->n_columns; i++) {
        make_visible(r, 0, i, form->utc, &text);
        out->over |= text.over;
        add_line_cell(out, buf_str(&text), r->widths, i, r->n_columns);
    }
    buf_add_char(out, '\n');
    buf_fini(&text);
}

int rows_print(const struct rows *r, struct output *o, struct err *err)
{
    int e = 0;

    OBJ_CHECK(r, ROWS_MAGIC);
    if (o->form.kind == FORMAT_TABLE)
        e = print_table(r, o, err);
    for (size_t row = 0; e == 0 && o->form.kind != FORMAT_TABLE && row < r->v.n; row++) {
        add_row(r, row, row == 0, &o->buf, o->form.kind);
        e = output_text(o, STR(""), err);
    }
    if (e == 0 && o->form.kind == FORMAT_JSON)
        e = output_text(o, r->v.n == 0 ? STR("[]\n") : STR("\n]\n"), err);
    return e < 0 ? e : output_flush(o, err);
}
