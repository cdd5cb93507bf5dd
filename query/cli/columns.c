/* query/cli/columns.c - see columns.h. */
#include "query/cli/columns.h"

#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 64 << 10 };

struct columns {
    unsigned magic;
#define COLUMNS_MAGIC 0xc0105e15u
    struct arena *arena; /* of names */
    struct rows_column column[ROWS_COLUMNS_MAX];
    size_t n;
    struct rows *rows; /* one at a time */
};

int columns_new(const char *list, struct columns **ret, struct err *err)
{
    struct columns *c = mem_new(sizeof(*c));
    struct str rest = str_of(list);
    int r = 0;

    c->magic = COLUMNS_MAGIC;
    c->arena = arena_new(NULL, NAMES_MAX);
    while (r == 0 && rest.p != NULL) {
        struct str name = str_trim(str_cut(&rest, ','));

        if (!label_name_ok(name))
            r = err_set(err, ERR_INVALID, "--columns: '%.*s' is no name of a column or label",
                        (int)(name.n < 60 ? name.n : 60), name.p == NULL ? "" : name.p);
        else if (c->n == ROWS_COLUMNS_MAX)
            r = err_set(err, ERR_INVALID, "--columns takes at most %d names", ROWS_COLUMNS_MAX);
        else
            c->column[c->n++] = (struct rows_column){arena_str(c->arena, name).p,
                                                     str_eq(name, STR("time"))     ? ROWS_TIME
                                                     : str_eq(name, STR("labels")) ? ROWS_LABELS
                                                                                   : ROWS_TEXT};
        if (r == 0 && c->column[c->n - 1].name == NULL)
            r = arena_err(c->arena, err);
    }
    if (r == 0) {
        c->rows = rows_new(c->column, c->n);
        *ret = c;
        return 0;
    }
    columns_free(&c);
    return r;
}

void columns_free(struct columns **pc)
{
    struct columns *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, COLUMNS_MAGIC);
    rows_free(&c->rows);
    arena_free(&c->arena);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

static struct str label_of(const struct query_entry *e, struct str name)
{
    const struct labels *kinds[] = {&e->parsed, &e->meta, &e->stream};
    struct str v = STR_NULL;

    for (size_t i = 0; v.p == NULL && i < 3; i++)
        v = labels_get(kinds[i], name);
    return v.p == NULL ? STR("") : v;
}

/* All labels of an entry, sorted; views. */
static struct labels all_labels(struct arena *a, const struct query_entry *e)
{
    const struct labels *kinds[] = {&e->stream, &e->meta, &e->parsed};
    size_t n = e->stream.n + e->meta.n + e->parsed.n;
    struct labels all = {arena_alloc(a, (n + 1) * sizeof(*all.v)), 0};

    for (size_t i = 0; all.v != NULL && i < 3; i++)
        for (size_t k = 0; k < kinds[i]->n; k++)
            all.v[all.n++] = kinds[i]->v[k];
    all.n = labels_sort(all.v, all.n);
    return all;
}

int columns_add(struct columns *c, struct buf *out, const struct query_entry *e,
                const struct format_options *form, bool first, struct err *err)
{
    struct rows_cell cells[ROWS_COLUMNS_MAX] = {{.ts = 0}};
    int r;

    OBJ_CHECK(c, COLUMNS_MAGIC);
    rows_clear(c->rows);
    for (size_t i = 0; i < c->n; i++) {
        struct str name = str_of(c->column[i].name);

        if (c->column[i].kind == ROWS_TIME)
            cells[i].ts = e->ts;
        else if (c->column[i].kind == ROWS_LABELS)
            cells[i].labels = all_labels(rows_arena(c->rows), e);
        else if (str_eq(name, STR("line")))
            cells[i].text = e->line;
        else if (str_eq(name, STR("level")))
            cells[i].text = format_level(e);
        else if (str_eq(name, STR("origin")))
            cells[i].text = format_origin(e);
        else
            cells[i].text = label_of(e, name);
    }
    r = rows_add(c->rows, cells, err);
    if (r == 0)
        rows_stream(c->rows, out, form, first);
    return r;
}
