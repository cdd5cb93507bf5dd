/*
 * server/ingest_import.c - lines of an export, as they were: nothing is added, cut or judged.
 *
 * Only a time too far ahead is treated as everywhere else.
 */
#include "server/exact.h"
#include "server/ingest_build.h"

static int check(const struct exact_record *x, struct err *err)
{
    if (x->line.n > RECORD_LINE_MAX)
        return err_set(err, ERR_LIMIT, "a line of %zu bytes", x->line.n);
    if (x->labels.n == 0)
        return err_set(err, ERR_INVALID, "a record without labels");
    for (size_t i = 0; i < x->labels.n; i++)
        if (!label_name_ok(x->labels.v[i].name) || x->labels.v[i].name.n > RECORD_LABEL_NAME_MAX ||
            x->labels.v[i].value.n > RECORD_LABEL_VALUE_MAX)
            return err_set(err, ERR_INVALID, "a label is none, or too long");
    for (size_t i = 0; i < x->attrs.n; i++)
        if (x->attrs.v[i].name.n == 0 || x->attrs.v[i].name.n > RECORD_LABEL_NAME_MAX)
            return err_set(err, ERR_INVALID, "the name of an attribute");
    return 0;
}

static int add(struct ingest_build *ib, const struct exact_record *x, struct err *err)
{
    struct record rec = {
        .ts = x->ts, .line = x->line, .attr = x->attrs.v, .n_attr = (uint32_t)x->attrs.n};
    int r = batch_stream(ib->b, &x->labels, &rec.stream, err);

    if (r == 0 && x->ts > ib->received && x->ts - ib->received > INGEST_FUTURE_MAX_S * NS_PER_S) {
        struct ingest_shared shared = {.stream = rec.stream};
        struct ingest_item item = {
            .ts = x->ts, .line = x->line, .attr = x->attrs.v, .n_attr = x->attrs.n};
        return ingest_build_add(ib, &shared, &item, err);
    }
    return r < 0 ? r : batch_add(ib->b, &rec, err);
}

int ingest_import(struct ingest_build *ib, const struct store_payload *p, struct err *err)
{
    struct str rest = arena_str(ib->b->arena, p->bytes); /* records point into it */
    size_t number = 0;

    if (rest.p == NULL)
        return arena_err(ib->b->arena, err);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        struct exact_record x = {.ts = 0};
        int r;
        number++;
        if (line.n == 0)
            continue;
        r = exact_get(line, ib->b->arena, &x, err);
        if (r == 0)
            r = check(&x, err);
        if (r == 0)
            r = add(ib, &x, err);
        if (r < 0)
            return err_wrap(err, "line %zu", number);
    }
    return 0;
}
