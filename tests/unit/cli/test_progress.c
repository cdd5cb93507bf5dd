/* query/cli/progress.c: how far, how much, how long. */
#include "query/cli/progress.h"

#include "tests/lib/check.h"

static void check(const struct progress *p, ts_ns at, dur_ns elapsed, const char *want)
{
    struct buf out;

    buf_init(&out, 512);
    progress_print(p, at, elapsed, &out);
    check_str(buf_str(&out), want);
    buf_fini(&out);
}

static void the_share_of_the_span_tells_what_is_left(void **state)
{
    struct progress p = {.to = 100 * NS_PER_S, .entries = 5, .line_bytes = 1500};

    (void)state;
    check(&p, 25 * NS_PER_S, 30 * NS_PER_S, " 25 %, 5 lines, 1.5 kB, 1:30 left");
    p.backward = true;
    check(&p, 25 * NS_PER_S, 30 * NS_PER_S, " 75 %, 5 lines, 1.5 kB, 0:10 left");
}

static void blocks_and_bytes_are_told_when_they_are_known(void **state)
{
    struct progress p = {.to = 100 * NS_PER_S, .blocks = 8, .bytes = 4e6};

    (void)state;
    check(&p, 50 * NS_PER_S, NS_PER_S,
          " 50 %, 0 lines, 0 B, block 4 of 8, 2.0 MB of 4.0 MB read, 0:01 left");
}

static void a_time_outside_of_the_span_is_its_end(void **state)
{
    struct progress p = {.from = NS_PER_S, .to = 2 * NS_PER_S};

    (void)state;
    check(&p, 0, NS_PER_S, "  0 %, 0 lines, 0 B");
    check(&p, 5 * NS_PER_S, NS_PER_S, "100 %, 0 lines, 0 B");
    p.to = p.from;
    check(&p, p.from, NS_PER_S, "100 %, 0 lines, 0 B");
}

CHECK_MAIN(cmocka_unit_test(the_share_of_the_span_tells_what_is_left),
           cmocka_unit_test(blocks_and_bytes_are_told_when_they_are_known),
           cmocka_unit_test(a_time_outside_of_the_span_is_its_end))
