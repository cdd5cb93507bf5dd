/*
 * query/cli/cmd_collectors.c - `logq collectors`: who sends here, and how far behind; with
 * --overlap what of theirs may lie on two servers, with --also what does.
 */
#include "base/vec.h"
#include "query/cli/cmd.h"
#include "query/cli/params.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MAX = 64 << 20,
    PARAMS_MAX = 1 << 20,
    RANGES_MAX = 1 << 20,
    FILES_AT_ONCE = 100,
};

static int not_understood(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
}

/* A member that may be missing. */
static int take_text(json_t *item, const char *name, struct arena *a, struct str *ret,
                     struct err *err)
{
    json_t *v = json_object_get(item, name);

    *ret = STR("");
    if (!json_is_string(v))
        return 0;
    *ret = arena_str(a, (struct str){json_string_value(v), json_string_length(v)});
    return ret->p == NULL ? arena_err(a, err) : 0;
}

static double take_number(json_t *item, const char *name)
{
    return json_number_value(json_object_get(item, name)); /* 0 for what is none */
}

static int add_collector(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cells[7] = {{.ts = 0}};
    struct arena *a = rows_arena(rows);
    const char *expires = json_string_value(json_object_get(item, "expires"));
    int r = take_text(item, "host", a, &cells[0].text, err);

    if (r == 0)
        r = take_text(item, "version", a, &cells[1].text, err);
    if (r == 0 &&
        !time_parse_rfc3339(str_of(json_string_value(json_object_get(item, "seen"))), &cells[2].ts))
        r = not_understood(err);
    cells[3].value = take_number(item, "lag_bytes");
    cells[4].value = take_number(item, "lag_s");
    cells[5].value = take_number(item, "gaps");
    cells[6].ts = ROWS_NO_TIME; /* it shows no certificate */
    if (r == 0 && expires != NULL && !time_parse_rfc3339(str_of(expires), &cells[6].ts))
        r = not_understood(err);
    return r < 0 ? r : rows_add(rows, cells, err);
}

static int read_collectors(struct str body, struct rows *rows, struct err *err)
{
    json_t *root = json_loadb(body.p, body.n, 0, NULL), *item;
    int r = json_is_array(root) ? 0 : not_understood(err);
    size_t i;

    json_array_foreach(root, i, item)
    {
        if (r == 0)
            r = add_collector(item, rows, err);
    }
    json_decref(root);
    return r;
}

static int list(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"host", ROWS_TEXT},       {"version", ROWS_TEXT}, {"seen", ROWS_TIME},
        {"lag_bytes", ROWS_BYTES}, {"lag_s", ROWS_VALUE},  {"gaps", ROWS_VALUE},
        {"expires", ROWS_TIME},
    };
    const struct remote_request req = {.path = "/api/v1/collectors", .idle_ms = CMD_IDLE_MS};
    struct rows *rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    struct remote_failure fail = {0};
    struct buf body;
    struct err err;
    int r;

    buf_init(&body, ANSWER_MAX);
    r = remote_fetch(c->remote, &req, &body, &fail, &err);
    if (r == 0)
        r = read_collectors(buf_str(&body), rows, &err);
    r = cmd_print_rows(c, &rows, r, STR_NULL, &fail, &err);
    buf_fini(&body);
    return r;
}

/* ---- what may lie on two servers ---- */

struct range {
    struct str name, identity, file; /* in an arena */
    uint64_t start, end;
};

struct ranges {
    struct arena *a;
    struct range *p; /* as VEC of base/vec.h */
    size_t n, cap;
};

static void ranges_init(struct ranges *r)
{
    *r = (struct ranges){.a = arena_new(NULL, ANSWER_MAX)};
}

static void ranges_fini(struct ranges *r)
{
    arena_free(&r->a);
    VEC_FINI(r);
}

static int add_range(json_t *item, struct ranges *to, struct err *err)
{
    json_t *start = json_object_get(item, "start"), *end = json_object_get(item, "end");
    struct range range = {.start = (uint64_t)json_integer_value(start),
                          .end = (uint64_t)json_integer_value(end)};
    int r = 0;

    if (!json_is_integer(start) || !json_is_integer(end) || range.start >= range.end)
        return not_understood(err);
    if (to->n >= RANGES_MAX)
        return err_set(err, ERR_LIMIT, "over %d ranges", RANGES_MAX);
    r = take_text(item, "name", to->a, &range.name, err);
    if (r == 0)
        r = take_text(item, "identity", to->a, &range.identity, err);
    if (r == 0)
        r = take_text(item, "file", to->a, &range.file, err);
    if (r == 0)
        VEC_PUSH(to, range);
    return r;
}

static int fetch_ranges(struct remote *remote, const struct remote_request *req, struct ranges *to,
                        struct remote_failure *fail, struct err *err)
{
    struct buf body;
    json_t *root = NULL, *item;
    size_t i;
    int r;

    buf_init(&body, ANSWER_MAX);
    r = remote_fetch(remote, req, &body, fail, err);
    if (r == 0) {
        root = json_loadb(body.p, body.n, 0, NULL);
        r = json_is_array(root) ? 0 : not_understood(err);
    }
    json_array_foreach(root, i, item)
    {
        if (r == 0)
            r = add_range(item, to, err);
    }
    json_decref(root);
    buf_fini(&body);
    return r;
}

static int by_file(const struct range *x, const struct range *y)
{
    int r = str_cmp(x->identity, y->identity);

    return r != 0 ? r : str_cmp(x->file, y->file);
}

static int by_place(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    int r = by_file(x, y);

    if (r != 0)
        return r;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void sort(struct ranges *r)
{
    if (r->n > 1)
        qsort(r->p, r->n, sizeof(*r->p), by_place);
}

/* Where the ranges of another file than that of range `i` begin. */
static size_t behind_file(const struct ranges *of, size_t i)
{
    size_t end = i + 1;

    while (end < of->n && by_file(&of->p[end], &of->p[i]) == 0)
        end++;
    return end;
}

/* What a server has of the files in `of`, which is sorted; of each once. */
static int fetch_stored(struct remote *remote, const struct ranges *of, struct ranges *to,
                        struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {.path = "/api/v1/collectors/ranges", .idle_ms = CMD_IDLE_MS};
    struct buf params, files;
    int r = 0;

    buf_init(&params, PARAMS_MAX);
    buf_init(&files, PARAMS_MAX);
    for (size_t i = 0; r == 0 && i < of->n;) {
        size_t first = i, n = 0;
        buf_clear(&files);
        for (; i < of->n && n < FILES_AT_ONCE && str_eq(of->p[i].identity, of->p[first].identity);
             i = behind_file(of, i))
            buf_addf(&files, "%s%.*s", n++ > 0 ? "," : "", STR_ARG(of->p[i].file));
        buf_clear(&params);
        params_add(&params, "identity", of->p[first].identity);
        params_add(&params, "files", buf_str(&files));
        req.params = buf_str(&params);
        r = fetch_ranges(remote, &req, to, fail, err);
    }
    buf_fini(&params);
    buf_fini(&files);
    return r;
}

/* Of `marked` what is in `stored` as well; both are sorted, the ranges of a file disjoint. */
static void intersect(const struct ranges *marked, const struct ranges *stored, struct ranges *ret)
{
    size_t k = 0;

    for (size_t i = 0; i < marked->n; i++) {
        const struct range *m = &marked->p[i];
        while (k < stored->n && (by_file(&stored->p[k], m) < 0 ||
                                 (by_file(&stored->p[k], m) == 0 && stored->p[k].end <= m->start)))
            k++;
        for (size_t x = k;
             x < stored->n && by_file(&stored->p[x], m) == 0 && stored->p[x].start < m->end; x++) {
            struct range both = *m;
            if (stored->p[x].start > both.start)
                both.start = stored->p[x].start;
            if (stored->p[x].end < both.end)
                both.end = stored->p[x].end;
            VEC_PUSH(ret, both);
        }
    }
}

/* Connect to the second server: as this one, but for where it is. */
static int open_other(struct cmd *c, struct context *ctx, struct remote **ret, struct err *err)
{
    struct args args = *c->args;
    bool is_url = strstr(args.also, "://") != NULL;
    int r;

    args.server = is_url ? NULL : args.also;
    args.addr = is_url ? args.also : NULL;
    r = context_load(&args, c->env, ctx, err);
    return r < 0 ? r : remote_open(ctx, ret, err);
}

/* Leave of `marked` what the other server has, too. */
static int look_at_other(struct cmd *c, struct ranges *marked, struct remote_failure *fail,
                         struct err *err)
{
    struct ranges stored, both = {0};
    struct remote *other = NULL;
    struct context ctx = {0};
    int r;

    ranges_init(&stored);
    r = open_other(c, &ctx, &other, err);
    if (r == 0)
        r = fetch_stored(other, marked, &stored, fail, err);
    if (r == 0) {
        sort(&stored);
        intersect(marked, &stored, &both);
        free(marked->p);
        marked->p = both.p;
        marked->n = both.n;
        marked->cap = both.cap;
    }
    remote_free(&other);
    context_fini(&ctx);
    ranges_fini(&stored);
    return r;
}

static int put_ranges(struct rows *rows, const struct ranges *from, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < from->n; i++) {
        const struct range *range = &from->p[i];
        struct rows_cell cells[5] = {{.text = arena_str(rows_arena(rows), range->name)},
                                     {.text = arena_str(rows_arena(rows), range->file)},
                                     {.value = (double)range->start},
                                     {.value = (double)range->end},
                                     {.value = (double)(range->end - range->start)}};
        r = cells[0].text.p == NULL || cells[1].text.p == NULL ? arena_err(rows_arena(rows), err)
                                                               : rows_add(rows, cells, err);
    }
    return r;
}

static int overlap(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"name", ROWS_TEXT}, {"file", ROWS_TEXT},   {"start", ROWS_VALUE},
        {"end", ROWS_VALUE}, {"bytes", ROWS_BYTES},
    };
    const struct remote_request req = {.path = "/api/v1/collectors/overlap",
                                       .idle_ms = CMD_IDLE_MS};
    struct rows *rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    struct remote_failure fail = {0};
    struct ranges marked;
    struct err err;
    int r;

    ranges_init(&marked);
    r = fetch_ranges(c->remote, &req, &marked, &fail, &err);
    sort(&marked);
    if (r == 0 && c->args->also != NULL)
        r = look_at_other(c, &marked, &fail, &err);
    if (r == 0)
        r = put_ranges(rows, &marked, &err);
    r = cmd_print_rows(c, &rows, r, STR_NULL, &fail, &err);
    ranges_fini(&marked);
    return r;
}

int cmd_collectors(struct cmd *c)
{
    if (c->args->also != NULL && !c->args->overlap) {
        cmd_say("--also goes with --overlap");
        return CMD_USAGE;
    }
    return c->args->overlap ? overlap(c) : list(c);
}
