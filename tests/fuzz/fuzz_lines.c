/*
 * The plan of a block's lines or attributes, and its data frames, from a stranger: whatever is read
 * ends in rows or in an error, within its budget.  Input: u8 (1: attributes, 2: lengths alone
 * first), u16 rows, u24 bytes of the plan, the plan, then for each data frame u24 bytes and the
 * frame.
 */
#include "storage/lines.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_READ = 64 };

static uint64_t sink; /* what was read must have been readable */

static void use(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += (uint8_t)s.p[i];
}

/* Three bytes of length and so many bytes, or what is left. */
static struct str take(struct str *in)
{
    struct str ret = STR_NULL;
    size_t n;

    if (in->n < 3)
        return ret;
    n = (size_t)(uint8_t)in->p[0] | (size_t)(uint8_t)in->p[1] << 8 |
        (size_t)(uint8_t)in->p[2] << 16;
    ret = str_sub(*in, 3, n);
    *in = str_from(*in, 3 + ret.n);
    return ret;
}

static int give_frame(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct str in = *(const struct str *)arg;

    for (uint32_t i = 0; i < index; i++)
        (void)take(&in);
    if (in.n < 3)
        return err_set(err, ERR_CORRUPT, "no such frame");
    *ret = take(&in);
    return 0;
}

static void read_rows(struct lines *l, size_t rows, bool attrs, struct arena *out)
{
    struct err err;

    for (size_t i = 0; i < rows && i < ROWS_READ; i++) {
        const struct label *v = NULL;
        struct str line = STR_NULL;
        uint32_t n = 0;
        if (attrs && lines_attrs(l, i, out, &v, &n, &err) == 0)
            for (uint32_t k = 0; k < n; k++) {
                use(v[k].name);
                use(v[k].value);
            }
        if (lines_render(l, i, out, &line, &err) == 0)
            use(line);
        arena_reset(out);
    }
}

/* Lengths are those of the rows, where there are rows. */
static void check_lengths(struct lines *l, size_t rows, const uint32_t *end)
{
    struct lines_ids ids;
    struct err err;

    if (lines_ids(l, &ids, &err) < 0)
        abort();
    for (size_t i = 0; i < rows; i++) {
        const uint32_t *length;
        int r = lines_lengths(l, ids.template == NULL ? 0 : ids.template[i], &length, &err);
        if (r == ERR_NOMEM)
            return;
        if (r < 0 ||
            length[ids.rank == NULL ? i : ids.rank[i]] != end[i] - (i == 0 ? 0 : end[i - 1]))
            abort();
    }
}

static void read_all(struct lines *l, size_t rows, bool lengths_first)
{
    const uint32_t *end;
    const uint32_t *length;
    struct str text;
    struct err err;

    for (size_t t = 0; lengths_first && t < lines_plan_of(l)->n_templates; t++)
        (void)lines_lengths(l, t, &length, &err); /* without columns that are open */
    if (lines_text(l, &text, &end, &err) < 0)
        return;
    use(text);
    if (end[rows - 1] != text.n)
        abort();
    check_lengths(l, rows, end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = (size_t)64 << 20};
    struct arena *a = arena_new(&budget, 0);
    struct arena *out = arena_new(&budget, 0);
    struct lines_plan *plan = NULL;
    struct lines *l = NULL;
    struct err err;

    if (size >= 3) {
        struct str in = {(const char *)data + 3, size - 3};
        size_t rows = 1 + (size_t)(data[1] | data[2] << 8);
        struct str bytes = take(&in);
        if (lines_plan_new(bytes, rows, &budget, &plan, &err) == 0 &&
            lines_open(plan, give_frame, &in, a, &l, &err) == 0) {
            if ((data[0] & 2) == 0)
                read_rows(l, rows, (data[0] & 1) != 0, out);
            read_all(l, rows, (data[0] & 2) != 0);
        }
    }
    lines_plan_free(&plan);
    arena_free(&out);
    arena_free(&a);
    if (budget.used != 0 || budget.peak > budget.limit)
        abort();
    return 0;
}
