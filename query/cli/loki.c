/*
 * query/cli/loki.c - see loki.h.
 *
 * Values come as text ("NaN", "+Inf", "0.5"), times as seconds with at most three decimals.
 */
#include "query/cli/loki.h"

#include <jansson.h>
#include <math.h>

/* Where answers with values go. */
struct result {
    bool timed;
    struct rows *rows;
};

static struct str text_of(const json_t *j)
{
    return (struct str){json_string_value(j), json_string_length(j)};
}

static int not_loki(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the server's answer is not understood: %s", what);
}

/* On success the caller owns *ret. */
static int load(struct str json, json_t **ret, struct err *err)
{
    json_error_t why;

    *ret = json_loadb(json.p == NULL ? "" : json.p, json.n, JSON_ALLOW_NUL, &why);
    return *ret == NULL ? not_loki(err, why.text) : 0;
}

static int read_labels(json_t *j, struct arena *a, struct labels *ret, struct err *err)
{
    size_t n = json_object_size(j);
    const char *name;
    json_t *value;

    if (!json_is_object(j))
        return not_loki(err, "labels are no object");
    ret->n = 0;
    ret->v = arena_alloc(a, (n == 0 ? 1 : n) * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(a, err);
    json_object_foreach(j, name, value)
    {
        struct label *l = &ret->v[ret->n++];

        if (!json_is_string(value))
            return not_loki(err, "a label's value is no text");
        l->name = arena_str(a, str_of(name));
        l->value = arena_str(a, text_of(value));
        if (l->name.p == NULL || l->value.p == NULL)
            return arena_err(a, err);
    }
    ret->n = labels_sort(ret->v, ret->n);
    return 0;
}

/* ---- lists ---- */

/* An item as a row. */
typedef int item_fn(json_t *item, struct rows *rows, struct err *err);

static int read_text(json_t *j, struct arena *a, struct rows_cell *ret, struct err *err)
{
    if (!json_is_string(j))
        return not_loki(err, "an item is no text");
    ret->text = arena_str(a, text_of(j));
    return ret->text.p == NULL ? arena_err(a, err) : 0;
}

static int add_text(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cell = {0};
    int r = read_text(item, rows_arena(rows), &cell, err);

    return r < 0 ? r : rows_add(rows, &cell, err);
}

static int add_stream(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cell = {0};
    int r = read_labels(item, rows_arena(rows), &cell.labels, err);

    return r < 0 ? r : rows_add(rows, &cell, err);
}

/* The list that is the answer's member `name`, or NULL: the answer itself. */
static int read_list(struct str json, const char *name, item_fn *add, struct rows *rows,
                     struct err *err)
{
    json_t *j = NULL, *list, *item;
    size_t i;
    int r = load(json, &j, err);

    if (r < 0)
        return r;
    list = name == NULL ? j : json_object_get(j, name);
    if (!json_is_array(list) && !json_is_null(list)) /* for none there may be null */
        r = not_loki(err, "it has no list");
    json_array_foreach(list, i, item)
    {
        if (r == 0)
            r = add(item, rows, err);
    }
    json_decref(j);
    return r;
}

int loki_strings(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, "data", add_text, rows, err);
}

int loki_series(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, "data", add_stream, rows, err);
}

/* ---- delete requests ---- */

static int get_text(json_t *item, const char *name, struct arena *a, struct rows_cell *ret,
                    struct err *err)
{
    json_t *v = json_object_get(item, name);

    return json_is_string(v) ? read_text(v, a, ret, err) : not_loki(err, "a text is missing");
}

static int get_seconds(json_t *item, const char *name, struct rows_cell *ret, struct err *err)
{
    json_t *v = json_object_get(item, name);
    double s = json_number_value(v);

    if (!json_is_number(v) || !(s > -9e9 && s < 9e9))
        return not_loki(err, "a delete request lacks a time");
    ret->ts = (ts_ns)(s * 1e3) * NS_PER_MS;
    return 0;
}

static int add_delete(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cells[6] = {{.ts = 0}};
    struct arena *a = rows_arena(rows);
    int r = get_text(item, "request_id", a, &cells[0], err);

    if (r == 0)
        r = get_text(item, "status", a, &cells[1], err);
    if (r == 0)
        r = get_seconds(item, "created_at", &cells[2], err);
    if (r == 0)
        r = get_seconds(item, "start_time", &cells[3], err);
    if (r == 0)
        r = get_seconds(item, "end_time", &cells[4], err);
    if (r == 0)
        r = get_text(item, "query", a, &cells[5], err);
    return r < 0 ? r : rows_add(rows, cells, err);
}

int loki_deletes(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, NULL, add_delete, rows, err);
}

static int get_time(json_t *item, const char *name, struct rows_cell *ret, struct err *err)
{
    json_t *v = json_object_get(item, name);

    return json_is_string(v) && time_parse_rfc3339(text_of(v), &ret->ts)
               ? 0
               : not_loki(err, "a hold lacks a time");
}

static int add_hold(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cells[7] = {{.ts = 0}};
    struct arena *a = rows_arena(rows);
    int r = get_text(item, "id", a, &cells[0], err);

    if (r == 0)
        r = get_time(item, "created_at", &cells[1], err);
    if (r == 0)
        r = get_text(item, "created_by", a, &cells[2], err);
    if (r == 0)
        r = get_time(item, "start", &cells[3], err);
    if (r == 0)
        r = get_time(item, "end", &cells[4], err);
    if (r == 0)
        r = get_text(item, "reason", a, &cells[5], err);
    if (r == 0 && json_object_get(item, "query") != NULL) /* without it: all streams */
        r = get_text(item, "query", a, &cells[6], err);
    return r < 0 ? r : rows_add(rows, cells, err);
}

int loki_holds(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, NULL, add_hold, rows, err);
}

/* ---- values ---- */

static bool read_value(json_t *j, double *ret)
{
    struct str s = text_of(j);

    return s.p != NULL && str_to_f64(s, ret); /* strtod knows NaN and +Inf too */
}

/* [seconds, "value"] */
static int add_point(struct result *to, const struct labels *labels, json_t *point, struct err *err)
{
    json_t *time = json_array_get(point, 0);
    struct rows_cell cells[3] = {0};
    size_t first = to->timed ? 0 : 1;
    double seconds = json_number_value(time);
    bool ok = json_is_number(time) && fabs(seconds) < 9.2e9 &&
              read_value(json_array_get(point, 1), &cells[2].value);

    if (!ok)
        return not_loki(err, "a point is not [seconds, \"value\"]");
    cells[0].ts = (ts_ns)llround(seconds * 1e3) * NS_PER_MS;
    cells[1].labels = *labels;
    return rows_add(to->rows, cells + first, err);
}

static int add_series(struct result *to, json_t *series, struct err *err)
{
    json_t *points = json_object_get(series, "values"), *point;
    struct labels labels = {0};
    size_t i;
    int r = read_labels(json_object_get(series, "metric"), rows_arena(to->rows), &labels, err);

    if (r < 0)
        return r;
    if (points == NULL)
        return add_point(to, &labels, json_object_get(series, "value"), err);
    json_array_foreach(points, i, point)
    {
        r = add_point(to, &labels, point, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_result(struct result *to, json_t *data, struct err *err)
{
    static const struct labels none = {0};
    struct str type = text_of(json_object_get(data, "resultType"));
    json_t *list = json_object_get(data, "result"), *series;
    size_t i;
    int r = 0;

    if (!json_is_array(list))
        return not_loki(err, "result is no list");
    if (str_eq(type, STR("scalar")))
        return add_point(to, &none, list, err);
    if (!str_eq(type, STR("vector")) && !str_eq(type, STR("matrix")))
        return not_loki(err, "resultType is none of scalar, vector and matrix");
    json_array_foreach(list, i, series)
    {
        r = add_series(to, series, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- what there is ---- */

int loki_stats(struct str json, struct rows *rows, struct err *err)
{
    static const char *const names[] = {"streams", "chunks", "entries", "bytes"};
    struct rows_cell cells[4] = {{.value = 0}};
    json_t *j = NULL;
    int r = load(json, &j, err);

    for (size_t i = 0; r == 0 && i < 4; i++) {
        json_t *v = json_object_get(j, names[i]);

        if (!json_is_number(v))
            r = not_loki(err, "a number is missing");
        else
            cells[i].value = json_number_value(v);
    }
    if (r == 0 && cells[0].value > 0)
        r = rows_add(rows, cells, err);
    json_decref(j);
    return r;
}

static int add_pattern(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cells[3] = {{.value = 0}};
    struct arena *a = rows_arena(rows);
    json_t *samples = json_object_get(item, "samples"), *sample;
    size_t i;
    int r = get_text(item, "level", a, &cells[1], err);

    if (r == 0)
        r = get_text(item, "pattern", a, &cells[2], err);
    json_array_foreach(samples, i, sample) cells[0].value +=
        json_number_value(json_array_get(sample, 1));
    return r < 0 ? r : rows_add(rows, cells, err);
}

int loki_patterns(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, "data", add_pattern, rows, err);
}

/* "json (http.took)", "logfmt", "attribute" */
static struct str found_in(json_t *field, struct arena *a)
{
    enum { WHERE_MAX = 4096 };
    json_t *parsers = json_object_get(field, "parsers"), *path = json_object_get(field, "jsonPath");
    struct buf text;
    struct str ret;
    json_t *item;
    size_t i;

    buf_init(&text, WHERE_MAX);
    json_array_foreach(parsers, i, item)
    {
        buf_add_z(&text, i > 0 ? ", " : "");
        buf_add_str(&text, text_of(item));
    }
    if (json_array_size(parsers) == 0)
        buf_add_z(&text, "attribute");
    json_array_foreach(path, i, item)
    {
        buf_add_z(&text, i > 0 ? "." : " (");
        buf_add_str(&text, text_of(item));
    }
    if (json_array_size(path) > 0)
        buf_add_char(&text, ')');
    ret = arena_str(a, buf_str(&text));
    buf_fini(&text);
    return ret;
}

static int add_field(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cells[4] = {{.value = 0}};
    struct arena *a = rows_arena(rows);
    int r = get_text(item, "label", a, &cells[0], err);

    if (r == 0)
        r = get_text(item, "type", a, &cells[1], err);
    cells[2].value = json_number_value(json_object_get(item, "cardinality"));
    cells[3].text = found_in(item, a);
    if (r == 0 && cells[3].text.p == NULL)
        r = arena_err(a, err);
    return r < 0 ? r : rows_add(rows, cells, err);
}

int loki_fields(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, "fields", add_field, rows, err);
}

int loki_field_values(struct str json, struct rows *rows, struct err *err)
{
    return read_list(json, "values", add_text, rows, err);
}

static void add_warnings(json_t *j, struct buf *warnings)
{
    json_t *warning;
    size_t i;

    json_array_foreach(json_object_get(j, "warnings"), i, warning)
    {
        buf_add_str(warnings, text_of(warning));
        buf_add_char(warnings, '\n');
    }
}

void loki_warnings(struct str json, struct buf *warnings)
{
    json_t *j = NULL;
    struct err ignored;

    if (str_find(json, STR("\"warnings\":[")) == SIZE_MAX || load(json, &j, &ignored) < 0)
        return; /* who reads the answer says what is wrong with it */
    add_warnings(j, warnings);
    json_decref(j);
}

int loki_result(struct str json, bool timed, struct rows *rows, struct buf *warnings,
                struct err *err)
{
    struct result to = {timed, rows};
    json_t *j = NULL;
    int r = load(json, &j, err);

    if (r < 0)
        return r;
    r = add_result(&to, json_object_get(j, "data"), err);
    if (warnings != NULL)
        add_warnings(j, warnings);
    json_decref(j);
    return r;
}
