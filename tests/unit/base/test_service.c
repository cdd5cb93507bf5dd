/* base/service.c: Loki's rule for service_name. */
#include "base/service.h"

#include "tests/lib/check.h"

static void service_name_takes_the_first_label_that_tells(void **state)
{
    struct label v[] = {
        {STR("app"), STR("shop")}, {STR("container"), STR("web")}, {STR("job"), STR("j")}};
    struct labels l = {v, 3};
    (void)state;

    check_str(service_name(&l), "shop");
    l.v = v + 1;
    l.n = 2;
    check_str(service_name(&l), "web");
    l.n = 0;
    check_str(service_name(&l), "unknown_service");
}

CHECK_MAIN(cmocka_unit_test(service_name_takes_the_first_label_that_tells))
