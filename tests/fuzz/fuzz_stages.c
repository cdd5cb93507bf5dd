/*
 * tests/fuzz/fuzz_stages.c - log lines through the stages that read them.
 *
 * The first byte chooses the pipeline, the rest is the line.  Whatever the line, each stage ends,
 * labels come out sorted and each name once.
 */
#include "base/obj.h"
#include "query/check.h"
#include "query/op.h"
#include "query/parse.h"
#include "query/plan.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const queries[] = {
    "{a=\"b\"} | json",
    "{a=\"b\"} | logfmt",
    "{a=\"b\"} | logfmt --strict --keep-empty",
    "{a=\"b\"} | json x=\"a.b[1]\", y=`[\"k k\"]`, a | x>1 or y<1s or a>1kB",
    "{a=\"b\"} | logfmt x=\"y\", a | keep x",
    "{a=\"b\"} | logfmt | json | drop a | regexp `(?P<x>\\w+)(?P<y>.*)`",
    "{a=\"b\"} | json | x>1 and y<1h and z>=1KiB",
    "{a=\"b\"} | unpack | json | y=ip(\"10.0.0.0/8\")",
    "{a=\"b\"} | pattern `<x> - <_> [<y>] <a>` | x!=ip(\"fe80::/10\")",
    "{a=\"b\"} | decolorize | pattern `<x>=<y>`",
    "{a=\"b\"} |> `<_> a<_>` != ip(\"::1\") or \"x\" | logfmt",
    "{a=\"b\"} | json --arrays | any(x)>1 or any(x_y)=~`a+` or any(x)=ip(\"::/0\") or any(y)<1s",
    "{a=\"b\"} | json --arrays | dedup by (x_0, x_len) | dedup",
};

static void check_labels(const struct labels *l)
{
    for (size_t i = 0; i < l->n; i++)
        INVARIANT(i == 0 || str_cmp(l->v[i - 1].name, l->v[i].name) < 0);
}

static void run(const char *text, struct str line)
{
    struct label stream = {STR("a"), STR("b")};
    struct labels streams = {&stream, 1};
    struct batch *b = batch_new(NULL, 0);
    struct record rec = {.ts = 1, .line = line};
    struct mem_budget budget = {.name = "fuzz", .limit = 256 << 20};
    struct entry e;
    struct labels l;
    struct place at;
    struct err err;
    struct ast a;

    INVARIANT(parse_query(str_of(text), &a, &at, &err) == 0);
    INVARIANT(check_query(&a, &at, &err) == 0 && plan_query(&a, &err) == 0);
    INVARIANT(batch_stream(b, &streams, &rec.stream, &err) == 0);
    entry_init(&e, &budget);
    INVARIANT(entry_begin(&e, b, &rec, &err) == 0);
    if (op_pipeline(a.root->log->stages, &e, &err) == 1 &&
        entry_labels(&e, LABEL_KINDS, &l, &err) == 0)
        check_labels(&l);
    entry_fini(&e);
    INVARIANT(budget.used == 0);
    batch_unref(&b);
    ast_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > RECORD_LINE_MAX)
        return 0;
    run(queries[data[0] % (sizeof(queries) / sizeof(queries[0]))],
        (struct str){(const char *)data + 1, size - 1});
    return 0;
}
