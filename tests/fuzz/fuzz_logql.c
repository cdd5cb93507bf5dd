/*
 * tests/fuzz/fuzz_logql.c - query texts from anybody.
 *
 * Any bytes parse or fail with a place inside the text.  What parses prints, and what is printed
 * parses and prints the same again; so it is with what may only be formatted.
 */
#include "base/obj.h"
#include "query/format.h"
#include "query/query.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void format(struct str text)
{
    struct err err;
    struct buf first;
    struct buf second;

    buf_init(&first, 16 << 20);
    buf_init(&second, 16 << 20);
    if (query_format(text, &first, NULL, NULL, &err) == 0 && first.n <= QUERY_TEXT_MAX) {
        INVARIANT(query_format(buf_str(&first), &second, NULL, NULL, &err) == 0);
        INVARIANT(str_eq(buf_str(&first), buf_str(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
}

/* However long the text, its place is shown in two lines that a terminal holds. */
static void show(struct str text, unsigned line, unsigned column)
{
    enum { SHOWN_MAX = 700 };
    struct buf out;
    size_t lines = 0;

    buf_init(&out, SHOWN_MAX);
    format_place(&out, text, line, column, false);
    INVARIANT(!out.over && str_ends(buf_str(&out), STR("^\n")));
    for (size_t i = 0; i < out.n; i++) {
        lines += out.p[i] == '\n';
        INVARIANT(out.p[i] == '\n' || (unsigned char)out.p[i] >= ' ');
    }
    INVARIANT(lines == 2);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct query *q = NULL;
    struct query *again = NULL;
    unsigned line = 0;
    unsigned column = 0;
    struct err err;
    struct buf first;
    struct buf second;

    format(text);
    if (query_parse(text, &q, &line, &column, &err) < 0) {
        INVARIANT(line >= 1 && line <= size + 1 && column >= 1 && column <= size + 1);
        show(text, line, column);
        return 0;
    }
    INVARIANT(query_lookback(q) >= 0);
    buf_init(&first, 16 << 20);
    buf_init(&second, 16 << 20);
    query_print(q, &first);
    INVARIANT(!first.over);
    if (first.n <= QUERY_TEXT_MAX) {
        INVARIANT(query_parse(buf_str(&first), &again, NULL, NULL, &err) == 0);
        INVARIANT(query_kind(again) == query_kind(q));
        query_print(again, &second);
        INVARIANT(str_eq(buf_str(&first), buf_str(&second)));
    }
    buf_fini(&first);
    buf_fini(&second);
    query_unref(&again);
    query_unref(&q);
    return 0;
}
