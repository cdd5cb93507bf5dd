/*
 * query/cli/cmd_series.c - `logq series SELECTOR...`: the streams that match any of them; with
 * --labels what makes them many: each label, with how many values it has in how many streams.
 */
#include "query/cli/cmd.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

#include <stdlib.h>

static const struct rows_column SERIES[] = {{"series", ROWS_LABELS}};

/* ---- labels of streams ---- */

struct counted {
    struct str name; /* in the streams that are counted */
    uint64_t streams;
    struct map *values; /* owned; of nothing but keys */
};

static void free_counted(void *value)
{
    struct counted *c = value;

    map_free(&c->values);
    free(c);
}

static void count_stream(struct map *names, const struct labels *stream)
{
    for (size_t i = 0; i < stream->n; i++) {
        struct counted *c = map_get(names, stream->v[i].name);

        if (c == NULL) {
            c = mem_new(sizeof(*c));
            c->name = stream->v[i].name;
            c->values = map_new(0, NULL);
            (void)map_put(names, c->name, c); /* without a limit it is never full */
        }
        c->streams++;
        (void)map_put(c->values, stream->v[i].value, c);
    }
}

/* Those with most values first. */
static int compare(const void *x, const void *y)
{
    const struct counted *a = *(struct counted *const *)x, *b = *(struct counted *const *)y;
    size_t n = map_count(a->values), m = map_count(b->values);

    return n != m ? (n < m) - (n > m) : str_cmp(a->name, b->name);
}

static int add_row(const struct counted *c, struct rows *rows, struct err *err)
{
    const struct rows_cell cells[3] = {
        {.text = arena_str(rows_arena(rows), c->name)},
        {.value = (double)map_count(c->values)},
        {.value = (double)c->streams},
    };

    return cells[0].text.p == NULL ? arena_err(rows_arena(rows), err) : rows_add(rows, cells, err);
}

static int add_counted(const struct map *names, struct rows *rows, struct err *err)
{
    VEC(struct counted *) all = {0};
    struct str name;
    void *value;
    int r = 0;

    for (size_t pos = 0; map_next(names, &pos, &name, &value);)
        VEC_PUSH(&all, (struct counted *)value);
    if (all.n > 0)
        qsort(all.p, all.n, sizeof(struct counted *), compare);
    for (size_t i = 0; r == 0 && i < all.n; i++)
        r = add_row(all.p[i], rows, err);
    VEC_FINI(&all);
    return r;
}

static int read_labels(struct str json, struct rows *rows, struct err *err)
{
    struct rows *streams = rows_new(SERIES, 1);
    struct map *names = map_new(0, free_counted);
    int r = loki_series(json, streams, err);

    for (size_t i = 0; r == 0 && i < rows_count(streams); i++)
        count_stream(names, &rows_cells(streams, i)->labels);
    if (r == 0)
        r = add_counted(names, rows, err);
    map_free(&names);
    rows_free(&streams);
    return r;
}

/* ---- the command ---- */

int cmd_series(struct cmd *c)
{
    static const struct rows_column LABELS[] = {
        {"label", ROWS_TEXT}, {"values", ROWS_VALUE}, {"streams", ROWS_VALUE}};
    static const struct cmd_question by_stream = {
        .path = "/loki/api/v1/series", .read = loki_series, .columns = SERIES, .n_columns = 1};
    static const struct cmd_question by_label = {
        .path = "/loki/api/v1/series", .read = read_labels, .columns = LABELS, .n_columns = 3};
    struct buf params;

    buf_init(&params, CMD_PARAMS_MAX);
    for (size_t i = 0; i < c->args->n_words; i++) {
        struct str selector;
        if (cmd_selector(c, i, &selector) < 0) {
            buf_fini(&params);
            return CMD_USAGE;
        }
        params_add(&params, "match[]", selector);
    }
    return cmd_list(c, c->args->by_label ? &by_label : &by_stream, &params);
}
