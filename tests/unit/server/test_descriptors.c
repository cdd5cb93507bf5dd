/* server/descriptors.c: what connections may take, and what is left. */
#include "server/descriptors.h"

#include "tests/lib/check.h"

#include <limits.h>
#include <sys/resource.h>

static void the_store_keeps_its_part(void **state)
{
    (void)state;
    assert_int_equal(descriptors_share_of(0, 2), 1);
    assert_int_equal(descriptors_share_of(128, 2), 1);
    assert_int_equal(descriptors_share_of(256, 2), 64);
    assert_int_equal(descriptors_share_of(1024, 3), 256);
    assert_int_equal(descriptors_share_of(524288, 2), (524288 - 2048) / 2);
    assert_int_equal(descriptors_share_of(RLIM_INFINITY, 1), INT_MAX);
}

static void the_limit_is_raised(void **state)
{
    struct rlimit before, low, after;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){64, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(descriptors_share(2), descriptors_share_of(before.rlim_max, 2));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur == before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

CHECK_MAIN(cmocka_unit_test(the_store_keeps_its_part), cmocka_unit_test(the_limit_is_raised))
