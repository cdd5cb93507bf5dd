/* tests/unit/server/test_tenant_limits.c */
#include "server/tenant_limits.h"

#include "tests/lib/check.h"

#include <string.h>

static struct server_conf_tenant_limits own[] = {
    {.tenant = STR_INIT("small"),
     .query_timeout = 5 * NS_PER_S,
     .max_query_length = NS_PER_H,
     .max_query_range = 60 * NS_PER_S,
     .max_query_memory = 1 << 20,
     .max_query_bytes_read = 1000,
     .max_query_series = 10,
     .max_entries = 100},
    {.tenant = STR_INIT("large"), .max_query_series = 10000, .max_query_bytes_read = 5000},
};

static void fill(struct server_conf *c)
{
    memset(c, 0, sizeof(*c));
    c->query.time = 60 * NS_PER_S;
    c->query.memory_bytes = 128 << 20;
    c->query.series = 500;
    c->query.entries = 5000;
    c->query.tenant_limits = own;
    c->query.n_tenant_limits = sizeof(own) / sizeof(own[0]);
}

static void a_tenant_has_its_own_or_those_of_all(void **state)
{
    struct str small = STR("small");
    struct str large = STR("large");
    struct str other = STR("other");
    struct tenant_limits l;
    struct server_conf c;

    (void)state;
    fill(&c);
    tenant_limits_of(&c, &small, 1, &l);
    assert_int_equal(l.query.time, 5 * NS_PER_S);
    assert_int_equal(l.query.length, NS_PER_H);
    assert_int_equal(l.query.range, 60 * NS_PER_S);
    assert_int_equal(l.query.memory_bytes, 1 << 20);
    assert_int_equal(l.query.line_bytes, 1000);
    assert_int_equal(l.query.series, 10);
    assert_int_equal(l.entries, 100);
    tenant_limits_of(&c, &large, 1, &l);
    assert_int_equal(l.query.series, 10000);
    assert_int_equal(l.query.time, 60 * NS_PER_S);
    assert_int_equal(l.query.line_bytes, 5000);
    assert_int_equal(l.query.length, 0);
    tenant_limits_of(&c, &other, 1, &l);
    assert_int_equal(l.query.series, 500);
    assert_int_equal(l.query.line_bytes, 0);
    assert_int_equal(l.entries, 5000);
    tenant_limits_of(&c, NULL, 0, &l);
    assert_int_equal(l.query.series, 500);
}

static void of_several_tenants_the_smallest_holds(void **state)
{
    struct str tenants[] = {STR("other"), STR("large"), STR("small")};
    struct tenant_limits l;
    struct server_conf c;

    (void)state;
    fill(&c);
    tenant_limits_of(&c, tenants, 2, &l);
    assert_int_equal(l.query.series, 500);
    assert_int_equal(l.query.line_bytes, 5000); /* one has no limit */
    tenant_limits_of(&c, tenants, 3, &l);
    assert_int_equal(l.query.series, 10);
    assert_int_equal(l.query.line_bytes, 1000);
    assert_int_equal(l.query.length, NS_PER_H);
}

static void too_many_entries_are_refused_in_lokis_words(void **state)
{
    struct tenant_limits l = {.entries = 100};
    struct err err;

    (void)state;
    assert_int_equal(tenant_limits_entries(&l, 100, &err), 0);
    assert_int_equal(tenant_limits_entries(&l, 101, &err), ERR_LIMIT);
    check_str(str_of(err.text),
              "max entries limit per query exceeded, limit > "
              "max_entries_limit_per_query (101 > 100); lower the limit, or raise "
              "query.entries or the tenant's max_entries");
}

CHECK_MAIN(cmocka_unit_test(a_tenant_has_its_own_or_those_of_all),
           cmocka_unit_test(of_several_tenants_the_smallest_holds),
           cmocka_unit_test(too_many_entries_are_refused_in_lokis_words))
