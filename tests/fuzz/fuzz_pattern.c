/*
 * tests/fuzz/fuzz_pattern.c - line patterns and addresses from anybody, on lines from anybody.
 *
 * The first byte is the length of the pattern, what follows it is the line.  Captures lie in the
 * line, in order, and do not overlap.
 */
#include "base/obj.h"
#include "query/ip.h"
#include "query/pattern.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run_pattern(struct str text, struct str line)
{
    struct arena *a = arena_new(NULL, 0);
    const char *from = line.p;
    struct pattern_walk w;
    struct pattern p;
    struct str name;
    struct str value;
    struct err err;

    if (pattern_parse(text, true, a, &p, &err) == 0) {
        pattern_walk_init(&w, &p, line);
        while (pattern_next(&w, &name, &value)) {
            INVARIANT(name.n > 0 && value.p >= from && value.p + value.n <= line.p + line.n);
            from = value.p + value.n;
        }
    }
    if (pattern_parse(text, false, a, &p, &err) == 0 && pattern_matches(&p, line))
        INVARIANT((p.n == 0) == (line.n == 0));
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_range r;
    struct str text;
    struct str line;

    if (size < 2)
        return 0;
    text = str_sub((struct str){(const char *)data + 1, size - 1}, 0, data[0]);
    line = str_from((struct str){(const char *)data + 1, size - 1}, text.n);
    run_pattern(text, line);
    if (ip_range_parse(text, &r))
        (void)ip_range_in(&r, line);
    return 0;
}
