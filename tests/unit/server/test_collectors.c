/* server/collectors.c: who said hello, across a restart, within bounds. */
#include "server/collectors.h"

#include "server/metrics.h"
#include "tests/unit/server/world.h"

#include <stdio.h>
#include <string.h>

static const struct str TENANTS[] = {{"default", 7}, {"team", 4}};

static struct forward_about hello(const char *host, uint64_t started, uint64_t incarnation,
                                  uint64_t next)
{
    return (struct forward_about){.has_hello = true,
                                  .hello = {.version = STR("1.0"),
                                            .host = str_of(host),
                                            .started_ns = started,
                                            .incarnation = incarnation},
                                  .next = next};
}

static struct collectors_entry *enter(struct collectors *c, const char *name,
                                      const struct forward_about *about, uint64_t *known)
{
    struct collectors_peer peer = {.tenant = STR("default"),
                                   .identity = str_of(name),
                                   .address = STR("10.0.0.1:5"),
                                   .not_after = 1800000000 * NS_PER_S};

    return collectors_enter(c, &peer, about, known);
}

/* What collectors_print says of tenant `default`; the caller frees. */
static char *print(struct collectors *c)
{
    struct buf out;

    buf_init(&out, 16 << 20);
    collectors_print(c, TENANTS, 1, &out);
    buf_add_char(&out, '\0');
    return out.p;
}

static void check_print(struct collectors *c, const char *const *wanted, size_t n)
{
    char *text = print(c);

    for (size_t i = 0; i < n; i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("no %s in %s", wanted[i], text);
    free(text);
}
#define CHECK(c, ...)                                                                              \
    check_print(c, (const char *const[]){__VA_ARGS__},                                             \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void what_they_say_is_shown(void **state)
{
    struct collectors *c = collectors_new();
    struct forward_about h = hello("n1", 1000, 7, 5);
    struct forward_about how = {.has_status = true,
                                .status = {.files = 3, .lag_bytes = 9, .lag_s = 4, .gaps = 2}};
    struct collectors_entry *e;
    uint64_t known;
    char *text;

    (void)state;
    metrics_setup();
    text = print(c);
    assert_string_equal(text, "[]");
    free(text);
    e = enter(c, "logq://default/collector/web", &h, &known);
    assert_int_equal(known, 0);
    collectors_note(c, e, 0, &how);
    collectors_count(c, e, STORE_STORED);
    collectors_count(c, e, STORE_DUPLICATE);
    collectors_count(c, e, STORE_REFUSED);
    CHECK(c, "\"name\":\"web\"", "\"host\":\"n1\"", "\"version\":\"1.0\"", "\"connections\":1",
          "\"lag_bytes\":9", "\"lag_s\":4", "\"gaps\":2", "\"expires\":\"2027-01-15T08:00:00",
          "\"chunks\":3", "\"duplicates\":1", "\"refused\":1",
          "\"incarnation\":\"0000000000000007\"", "\"address\":\"10.0.0.1:5\"");
    collectors_leave(c, &e);
    assert_null(e);
    CHECK(c, "\"connections\":0", "\"lag_bytes\":9");
    collectors_free(&c);
}

static void losses_do_not_vanish_with_a_restart(void **state)
{
    struct collectors *c = collectors_new();
    struct forward_about h = hello("n1", 1000, 7, 5);
    struct forward_about how = {.has_status = true,
                                .status = {.gaps = 2, .gap_bytes = 20, .twice_bytes = 200}};
    struct collectors_entry *e;
    uint64_t known;

    (void)state;
    e = enter(c, "a", &h, &known);
    collectors_note(c, e, 0, &how);
    collectors_note(c, e, 0, &how);
    collectors_leave(c, &e);
    e = enter(c, "a", &h, &known); /* only the connection is new */
    CHECK(c, "\"gaps\":2,");
    collectors_leave(c, &e);
    h.hello.started_ns = 2000;
    e = enter(c, "a", &h, &known);
    CHECK(c, "\"gaps\":2,", "\"gap_bytes\":20,");
    collectors_note(c, e, 0, &how);
    CHECK(c, "\"gaps\":4,", "\"gap_bytes\":40,", "\"twice_bytes\":400,");
    collectors_leave(c, &e);
    collectors_free(&c);
}

static void what_an_incarnation_said_is_known(void **state)
{
    struct collectors *c = collectors_new();
    struct forward_about old = hello("n1", 1, 7, 5), young = hello("n1", 2, 8, 3);
    struct collectors_entry *e;
    uint64_t known;

    (void)state;
    e = enter(c, "a", &old, &known);
    collectors_note(c, e, 7, &(struct forward_about){.next = 40});
    collectors_note(c, e, 7, &(struct forward_about){.next = 30});
    collectors_leave(c, &e);
    e = enter(c, "a", &young, &known);
    assert_int_equal(known, 0);
    collectors_leave(c, &e);
    e = enter(c, "a", &old, &known);
    assert_int_equal(known, 40);
    collectors_note(c, e, 7, &(struct forward_about){.next = 50});
    collectors_leave(c, &e);
    e = enter(c, "a", &young, &known);
    assert_int_equal(known, 3);
    collectors_note(c, e, 7, &(struct forward_about){.next = 60}); /* the other is still there */
    collectors_leave(c, &e);
    e = enter(c, "a", &young, &known);
    assert_int_equal(known, 3);
    collectors_leave(c, &e);
    for (uint64_t i = 0; i < 20; i++) { /* a bounded memory */
        struct forward_about next = hello("n1", 3 + i, 100 + i, 1);
        e = enter(c, "a", &next, &known);
        assert_int_equal(known, 0);
        collectors_leave(c, &e);
    }
    e = enter(c, "a", &old, &known);
    assert_int_equal(known, 0);
    collectors_leave(c, &e);
    collectors_free(&c);
}

static void they_are_kept_across_a_restart(void **state)
{
    struct world *w = world_new();
    struct collectors *c = collectors_new(), *again = collectors_new();
    struct forward_about h = hello("n \"1\"\n", 1000, UINT64_MAX, 5);
    struct collectors_entry *e;
    uint64_t known;
    size_t lost;
    struct err err;
    char *before, *after;

    (void)state;
    for (int i = 0; i < 300; i++) { /* more than a page */
        char name[32];
        (void)snprintf(name, sizeof(name), "c%03d", i);
        e = enter(c, name, &h, &known);
        collectors_count(c, e, STORE_STORED);
        collectors_leave(c, &e);
    }
    assert_int_equal(collectors_save(c, w->server.store, &err), 0);
    e = enter(c, "c299", &h, &known);
    collectors_count(c, e, STORE_STORED);
    collectors_leave(c, &e);
    assert_int_equal(collectors_save(c, w->server.store, &err), 0);
    assert_int_equal(store_kv_put(w->server.store, "collectors", STR("9998"), STR("[1]"), &err), 0);
    assert_int_equal(
        store_kv_put(w->server.store, "collectors", STR("9999"), STR("{\"colle"), &err), 0);
    assert_int_equal(collectors_load(again, w->server.store, &lost, &err), 0);
    assert_int_equal(lost, 2);
    before = print(c);
    after = print(again);
    assert_string_equal(before, after);
    e = enter(again, "c299", &h, &known);
    assert_int_equal(known, 5);
    collectors_leave(again, &e);
    free(before);
    free(after);
    collectors_free(&c);
    collectors_free(&again);
    world_free(w);
}

static void the_one_that_was_away_longest_makes_room(void **state)
{
    struct collectors *c = collectors_new();
    struct forward_about h = hello("n1", 1, 0, 0);
    struct collectors_peer other = {.tenant = STR("team"), .identity = STR("other")};
    struct collectors_entry *first, *e;
    uint64_t known;
    char name[32], *text;

    (void)state;
    metrics_setup();
    first = enter(c, "stays", &h, &known);
    for (int i = 1; i < COLLECTORS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "c%d", i);
        e = enter(c, name, &h, &known);
        collectors_leave(c, &e);
    }
    assert_int_equal(metric_get(METRIC_COLLECTORS_FORGOTTEN), 0);
    e = collectors_enter(c, &other, &h, &known);
    assert_non_null(e);
    collectors_leave(c, &e);
    assert_int_equal(collectors_n(c), COLLECTORS_MAX);
    assert_int_equal(metric_get(METRIC_COLLECTORS_FORGOTTEN), 1);
    text = print(c);
    assert_non_null(strstr(text, "\"stays\""));
    assert_null(strstr(text, "\"c1\""));
    assert_non_null(strstr(text, "\"c2\""));
    assert_null(strstr(text, "\"other\"")); /* another tenant's */
    free(text);
    collectors_leave(c, &first);
    collectors_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_they_say_is_shown),
        cmocka_unit_test(losses_do_not_vanish_with_a_restart),
        cmocka_unit_test(what_an_incarnation_said_is_known),
        cmocka_unit_test(they_are_kept_across_a_restart),
        cmocka_unit_test(the_one_that_was_away_longest_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
