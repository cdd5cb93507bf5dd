/* Unit tests of collector/kube_pods: what is remembered, for how long, and through its file. */
#include "collector/kube_pods.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1800000000) * NS_PER_S)

static struct arena *a;
static struct kube_pods *p;
static struct err err;

static int setup(void **state)
{
    (void)state;
    a = arena_new(NULL, 1 << 20);
    p = kube_pods_new();
    time_set(NOW);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    time_unset();
    kube_pods_free(&p);
    arena_free(&a);
    return 0;
}

/* Pod `uid` in `namespace`, called p-<name>, with label team. */
static struct kube_pod made(const char *uid, const char *namespace, const char *name,
                            const char *team)
{
    struct kube_pod pod;
    struct str object = arena_printf(
        a,
        "{\"metadata\":{\"uid\":\"%s\",\"namespace\":\"%s\",\"name\":\"p-%s\",\"labels\":{"
        "\"team\":\"%s\"}}}",
        uid, namespace, name, team);

    assert_int_equal(kube_pod_parse(object, a, &pod, &err), 0);
    return pod;
}

/* Put pod `uid`, called p-<uid>. */
static int put(const char *uid, const char *team)
{
    struct kube_pod pod = made(uid, "ns", uid, team);

    return kube_pods_put(p, &pod, &err);
}

static void gone(const char *uid)
{
    struct kube_pod pod = made(uid, "ns", uid, "x");

    kube_pods_remove(p, &pod);
}

static bool has(const char *uid, const char *team)
{
    struct str name = arena_printf(a, "p-%s", uid);
    struct kube_pod pod;

    return kube_pods_find(p, str_of(uid), STR("ns"), name, a, &pod) &&
           str_eq(kube_pod_label(&pod, STR("team")), str_of(team));
}

static void a_pod_is_found_by_its_uid_and_names(void **state)
{
    struct kube_pod pod;

    (void)state;
    assert_int_equal(put("a", "x"), 0);
    assert_true(has("a", "x"));
    assert_false(has("b", "x"));
    assert_false(kube_pods_find(p, STR("a"), STR("other"), STR("p-a"), a, &pod));
    assert_false(kube_pods_find(p, STR("a"), STR("ns"), STR("p-b"), a, &pod));
    memset(&pod, 0, sizeof(pod));
    assert_int_equal(kube_pods_put(p, &pod, &err), ERR_INVALID);
    assert_int_equal(kube_pods_count(p), 1);
}

/* An annotation may say any uid. */
static void a_pod_with_the_uid_of_another_is_not_that(void **state)
{
    struct kube_pod other = made("a", "ns", "other", "evil"), far = made("a", "far", "a", "evil");
    struct buf text;

    (void)state;
    assert_int_equal(put("a", "x"), 0);
    assert_int_equal(kube_pods_put(p, &other, &err), 0);
    assert_int_equal(kube_pods_put(p, &far, &err), 0);
    assert_true(has("a", "x"));
    buf_init(&text, KUBE_PODS_FILE_MAX);
    kube_pods_save(p, &text);
    kube_pods_free(&p);
    p = kube_pods_new();
    assert_int_equal(kube_pods_load(p, buf_str(&text), &err), 0);
    buf_fini(&text);
    assert_int_equal(kube_pods_count(p), 3);
    kube_pods_remove(p, &other);
    kube_pods_remove(p, &far);
    time_set(NOW + KUBE_PODS_KEEP_S * NS_PER_S);
    kube_pods_expire(p);
    assert_int_equal(kube_pods_count(p), 1);
    assert_true(has("a", "x"));
}

static void only_what_differs_is_a_change(void **state)
{
    uint64_t before;

    (void)state;
    assert_int_equal(put("a", "x"), 0);
    before = kube_pods_changes(p);
    assert_int_equal(put("a", "x"), 1);
    assert_int_equal(kube_pods_changes(p), before);
    assert_int_equal(put("a", "y"), 0);
    assert_true(kube_pods_changes(p) > before);
    assert_true(has("a", "y"));
}

static void a_pod_that_is_gone_stays_for_its_last_lines(void **state)
{
    (void)state;
    (void)put("a", "x");
    (void)put("b", "x");
    gone("a");
    gone("never");
    time_set(NOW + (KUBE_PODS_KEEP_S - 1) * NS_PER_S);
    gone("a"); /* once is enough */
    kube_pods_expire(p);
    assert_true(has("a", "x"));
    time_set(NOW + KUBE_PODS_KEEP_S * NS_PER_S);
    kube_pods_expire(p);
    assert_false(has("a", "x"));
    assert_true(has("b", "x"));
}

static void a_pod_that_is_back_is_not_gone(void **state)
{
    (void)state;
    (void)put("a", "x");
    gone("a");
    assert_int_equal(put("a", "x"), 1);
    time_set(NOW + 2 * KUBE_PODS_KEEP_S * NS_PER_S);
    kube_pods_expire(p);
    assert_true(has("a", "x"));
}

static void a_clock_that_is_set_back_keeps_nobody_for_ever(void **state)
{
    (void)state;
    (void)put("a", "x");
    gone("a");
    time_set(NOW - 1000 * NS_PER_DAY);
    kube_pods_expire(p);
    assert_true(has("a", "x"));
    time_set(NOW - 999 * NS_PER_DAY);
    kube_pods_expire(p);
    assert_false(has("a", "x"));
}

static void what_is_not_in_a_list_is_gone(void **state)
{
    (void)state;
    (void)put("a", "x");
    (void)put("b", "x");
    kube_pods_begin_list(p);
    (void)put("b", "x");
    kube_pods_begin_list(p); /* the list broke off: once more */
    (void)put("b", "x");
    (void)put("c", "x");
    kube_pods_end_list(p);
    time_set(NOW + KUBE_PODS_KEEP_S * NS_PER_S);
    kube_pods_expire(p);
    assert_false(has("a", "x"));
    assert_true(has("b", "x"));
    assert_true(has("c", "x"));
}

static void those_that_are_gone_make_room(void **state)
{
    char uid[32];

    (void)state;
    for (int i = 0; i < KUBE_PODS_MAX; i++) {
        (void)snprintf(uid, sizeof(uid), "u%d", i);
        assert_int_equal(put(uid, "x"), 0);
        arena_reset(a);
    }
    assert_int_equal(put("more", "x"), ERR_LIMIT);
    assert_int_equal(put("u7", "y"), 0); /* it has its place */
    gone("u9");
    time_set(NOW + NS_PER_S);
    gone("u8");
    assert_int_equal(put("more", "x"), 0);
    assert_false(has("u9", "x"));
    assert_true(has("u8", "x"));
    assert_int_equal(kube_pods_count(p), KUBE_PODS_MAX);
}

static void large_ones_are_bounded_together(void **state)
{
    static char value[200 << 10];
    struct kube_pod pod = {.namespace = STR("ns"), .name = STR("p"), .n_labels = 1};
    char uid[32];
    int r = 0, n;

    (void)state;
    memset(value, 'v', sizeof(value));
    pod.labels[0] = (struct label){STR("l"), {value, sizeof(value)}};
    for (n = 0; r == 0 && n < 1000; n++) {
        (void)snprintf(uid, sizeof(uid), "u%d", n);
        pod.uid = str_of(uid);
        r = kube_pods_put(p, &pod, &err);
    }
    assert_int_equal(r, ERR_LIMIT);
    assert_in_range(n, 30, 50);
    pod.labels[1] = pod.labels[0];
    pod.n_labels = 2;
    assert_int_equal(kube_pods_put(p, &pod, &err), ERR_LIMIT); /* one of them alone */
}

static void the_file_brings_them_back(void **state)
{
    struct buf text;

    (void)state;
    (void)put("a", "x");
    (void)put("gone", "y\\n");
    gone("gone");
    buf_init(&text, KUBE_PODS_FILE_MAX);
    kube_pods_save(p, &text);
    kube_pods_free(&p);
    p = kube_pods_new();
    assert_int_equal(kube_pods_load(p, buf_str(&text), &err), 0);
    assert_true(has("a", "x"));
    assert_true(has("gone", "y\n"));
    time_set(NOW + KUBE_PODS_KEEP_S * NS_PER_S);
    kube_pods_expire(p);
    assert_true(has("a", "x"));
    assert_false(has("gone", "y\n"));
    buf_fini(&text);
}

static void a_damaged_file_brings_nothing(void **state)
{
    struct buf text;

    (void)state;
    (void)put("a", "x");
    (void)put("b", "x");
    buf_init(&text, KUBE_PODS_FILE_MAX);
    kube_pods_save(p, &text);
    kube_pods_free(&p);
    p = kube_pods_new();
    for (size_t i = 0; i < text.n; i++) {
        text.p[i] ^= 1;
        assert_int_equal(kube_pods_load(p, buf_str(&text), &err), ERR_CORRUPT);
        assert_int_equal(kube_pods_count(p), 0);
        text.p[i] ^= 1;
        assert_int_equal(kube_pods_load(p, str_sub(buf_str(&text), 0, i), &err), ERR_CORRUPT);
        assert_int_equal(kube_pods_count(p), 0);
    }
    assert_int_equal(kube_pods_load(p, buf_str(&text), &err), 0);
    assert_int_equal(kube_pods_count(p), 2);
    buf_fini(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(a_pod_is_found_by_its_uid_and_names),
           TEST(a_pod_with_the_uid_of_another_is_not_that), TEST(only_what_differs_is_a_change),
           TEST(a_pod_that_is_gone_stays_for_its_last_lines), TEST(a_pod_that_is_back_is_not_gone),
           TEST(a_clock_that_is_set_back_keeps_nobody_for_ever),
           TEST(what_is_not_in_a_list_is_gone), TEST(those_that_are_gone_make_room),
           TEST(large_ones_are_bounded_together), TEST(the_file_brings_them_back),
           TEST(a_damaged_file_brings_nothing))
