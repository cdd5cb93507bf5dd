/*
 * server/api_labels.c - labels, label values, series, detected_labels: what streams there are.
 *
 * Answers come from the catalogs (scan_streams); matchers may restrict them.  Sorted, each once.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_WINDOW_H = 6, NAMES_MAX = 1000000, SERIES_MAX = 100000, SELECTORS_MAX = 64 };

/* A set of texts, and what put them there. */
struct texts {
    struct map *seen;
    struct arena *arena;
    VEC(struct str) v;
    struct str name; /* label whose values are wanted; empty: names */
    size_t max;
    struct err *err;
};

static void texts_init(struct texts *t, struct api_call *c, size_t max, struct err *err)
{
    *t = (struct texts){
        .seen = map_new(0, NULL), .arena = arena_new(&c->budget, 0), .max = max, .err = err};
}

static void texts_fini(struct texts *t)
{
    VEC_FINI(&t->v);
    map_free(&t->seen);
    arena_free(&t->arena);
}

static int add_text(struct texts *t, struct str s)
{
    static char present; /* the map wants a value */
    struct str copy;

    if (map_get(t->seen, s) != NULL)
        return 0;
    if (t->v.n == t->max)
        return err_set(t->err, ERR_LIMIT, "more than %zu answers: narrow the query", t->max);
    copy = arena_str(t->arena, s);
    if (copy.p == NULL)
        return arena_err(t->arena, t->err);
    (void)map_put(t->seen, copy, &present);
    VEC_PUSH(&t->v, copy);
    return 0;
}

static int add_label(void *arg, struct str text)
{
    return add_text(arg, text);
}

static void print_labels(struct buf *out, const struct labels *l)
{
    struct json_writer w;

    json_writer_init(&w, out);
    labels_put_json(&w, l);
}

static int add_series(void *arg, const struct labels *l)
{
    struct texts *t = arg;
    struct buf text;
    int r;

    buf_init(&text, 1 << 20);
    print_labels(&text, l);
    r = buf_err(&text, "labels of a stream", t->err);
    if (r == 0)
        r = add_text(t, buf_str(&text));
    buf_fini(&text);
    return r;
}

static int compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* fn == NULL: texts of labels; else streams. */
static int scan_all(struct api_call *c, scan_stream_fn *fn, struct texts *t)
{
    size_t times = c->n_selectors == 0 ? 1 : c->n_selectors;
    int r = 0;

    for (size_t i = 0; r == 0 && i < times; i++) {
        struct scan_request req = {.from = c->params.start, .to = c->params.end};
        api_fill_scan(c, &req);
        if (c->n_selectors > 0)
            (void)query_selector(c->selectors[i], &req.matchers,
                                 &req.n_matchers); /* checked when parsed */
        r = fn == NULL ? scan_labels(c->api->server->store, &req, t->name, add_label, t, t->err)
                       : scan_streams(c->api->server->store, &req, fn, t, t->err);
    }
    return api_explain_scan(c, r, t->err);
}

static void answer(struct api_call *c, scan_stream_fn *fn, size_t max, bool raw)
{
    struct err err;
    struct texts t;
    struct json_writer w;
    int r;

    texts_init(&t, c, max, &err);
    t.name = c->name;
    r = scan_all(c, fn, &t);
    c->status = 200;
    if (r < 0) {
        api_call_fail(c, &err);
    } else {
        if (t.v.n > 0)
            qsort(t.v.p, t.v.n, sizeof(*t.v.p), compare);
        json_writer_init(&w, &c->body);
        json_put_object(&w);
        json_put_kv_str(&w, "status", STR("success"));
        json_put_key(&w, STR("data"));
        json_put_array(&w);
        for (size_t i = 0; i < t.v.n; i++) {
            if (raw)
                json_put_raw(&w, t.v.p[i]);
            else
                json_put_string(&w, t.v.p[i]);
        }
        json_put_array_end(&w);
        json_put_object_end(&w);
    }
    texts_fini(&t);
}

/* ---- detected labels ---- */

static bool is_uuid(struct str s)
{
    static const char SHAPE[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (s.n != sizeof(SHAPE) - 1)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (SHAPE[i] == '-' ? s.p[i] != '-' : !isxdigit((unsigned char)s.p[i]))
            return false;
    return true;
}

/* Only numbers and UUIDs: nothing that anybody would choose from a list. */
static bool are_ids(const struct texts *values)
{
    double ignored;

    for (size_t i = 0; i < values->v.n; i++)
        if (!is_uuid(values->v.p[i]) && !str_to_f64(values->v.p[i], &ignored))
            return false;
    return true;
}

static bool is_static_label(struct str name)
{
    static const char *const NAMES[] = {"cluster", "namespace", "instance", "pod"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (str_eq(name, str_of(NAMES[i])))
            return true;
    return false;
}

static int put_detected(struct api_call *c, struct json_writer *w, struct str name, struct err *err)
{
    struct texts values;
    int r;

    texts_init(&values, c, NAMES_MAX, err);
    values.name = name;
    r = scan_all(c, NULL, &values);
    if (r == 0 && values.v.n > 0 && (is_static_label(name) || !are_ids(&values))) {
        json_put_object(w);
        json_put_kv_str(w, "label", name);
        json_put_kv_u64(w, "cardinality", values.v.n);
        json_put_object_end(w);
    }
    texts_fini(&values);
    return r;
}

static void work_detected(struct api_call *c)
{
    struct json_writer w;
    struct texts names;
    struct err err;
    int r;

    texts_init(&names, c, NAMES_MAX, &err);
    names.name = STR("");
    r = scan_all(c, NULL, &names);
    if (names.v.n > 0)
        qsort(names.v.p, names.v.n, sizeof(*names.v.p), compare);
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_key(&w, STR("detectedLabels"));
    json_put_array(&w);
    for (size_t i = 0; r == 0 && i < names.v.n; i++)
        r = put_detected(c, &w, names.v.p[i], &err);
    json_put_array_end(&w);
    json_put_object_end(&w);
    c->status = 200;
    if (r < 0)
        api_call_fail(c, &err);
    texts_fini(&names);
}

/* ---- requests ---- */

static void work_labels(struct api_call *c)
{
    answer(c, NULL, NAMES_MAX, false);
}

static void work_series(struct api_call *c)
{
    answer(c, add_series, SERIES_MAX, true);
}

/* One selector per value of `name`; nothing means all streams, and `{}` sets *all: whatever else is
 * named, all of them match one.  As in Loki only those of series may take all streams otherwise.
 * < 0: 400 was answered. */
static int parse_selectors(struct http_exchange *x, const char *name, struct query ***ret,
                           size_t *n, bool *all)
{
    for (size_t i = 0; http_param(x, name, i).p != NULL; i++) {
        struct query *q = NULL;
        int r = api_parse_selector(x, name, i, strcmp(name, "query") != 0, &q);
        if (r < 0)
            return r;
        *all |= q == NULL && http_param(x, name, i).n > 0;
        if (q == NULL)
            continue;
        if (*n == SELECTORS_MAX) {
            query_unref(&q);
            http_replyf(x, 400, "more than %d selectors\n", (int)SELECTORS_MAX);
            return ERR_LIMIT;
        }
        *ret = mem_grow(*ret, (*n + 1) * sizeof(**ret));
        (*ret)[(*n)++] = q;
    }
    return 0;
}

static void free_selectors(struct query **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        query_unref(&v[i]);
    free(v);
}

static void start(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                  const char *const *params, struct str name, void (*work)(struct api_call *c))
{
    struct query **selectors = NULL;
    struct query_params p = {0};
    struct api_call *c;
    struct err err;
    size_t n = 0;
    bool all = false;
    int r = api_parse_range(x, SERIES_WINDOW_H * NS_PER_H, &p, &err);

    if (r < 0)
        api_fail(x, &err);
    for (; r == 0 && *params != NULL; params++)
        r = parse_selectors(x, *params, &selectors, &n, &all);
    if (all) {
        free_selectors(selectors, n);
        selectors = NULL;
        n = 0;
    }
    if (r < 0) {
        free_selectors(selectors, n);
        return;
    }
    c = api_call_new(a, x, caller);
    if (c == NULL) {
        free_selectors(selectors, n);
        return;
    }
    c->params = p;
    api_fill_params(c);
    c->selectors = selectors;
    c->n_selectors = n;
    c->work = work;
    c->name = arena_str(c->arena, name);
    if (c->name.p != NULL) {
        api_call_start(c);
    } else {
        (void)arena_err(c->arena, &err);
        api_call_refuse(c, &err);
    }
}

static const char *const BY_QUERY[] = {"query", NULL};

void api_labels(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, BY_QUERY, STR(""), work_labels);
}

void api_label_values(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct str rest = str_from(http_path(x), sizeof("/loki/api/v1/label/") - 1);
    struct str name = str_cut(&rest, '/');

    if (!label_name_ok(name) || name.n > RECORD_LABEL_NAME_MAX) {
        http_replyf(x, 400, "'%.*s' is no label name\n", (int)(name.n < 64 ? name.n : 64), name.p);
        return;
    }
    start(a, x, caller, BY_QUERY, name, work_labels);
}

void api_detected_labels(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, BY_QUERY, STR(""), work_detected);
}

void api_series(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    static const char *const BY_MATCH[] = {"match[]", "match", NULL};

    start(a, x, caller, BY_MATCH, STR(""), work_series);
}
