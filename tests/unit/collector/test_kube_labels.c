/* Unit tests of collector/kube_labels: which of a pod's labels become ours. */
#include "collector/kube_labels.h"

#include "collector/metrics.h"
#include "tests/lib/check.h"

#include <string.h>

static struct arena *a;
static struct kube_pods *pods;
static struct kube_labels got;
static struct meta m;
static struct err err;

static int setup(void **state)
{
    (void)state;
    metrics_setup();
    a = arena_new(NULL, 1 << 20);
    pods = kube_pods_new();
    m = (struct meta){
        .pod_uid = STR("u"), .namespace = STR("ns"), .pod = STR("p"), .name = STR("c")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kube_pods_free(&pods);
    arena_free(&a);
    return 0;
}

/* Pod u with `labels` and `annotations`, members of JSON objects. */
static void put(const char *labels, const char *annotations)
{
    struct kube_pod pod;
    struct str object = arena_printf(
        a,
        "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"ns\",\"name\":\"p\",\"labels\":{%s},"
        "\"annotations\":{%s},\"ownerReferences\":[{\"kind\":\"Job\",\"name\":\"j\","
        "\"controller\":true}]},\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\","
        "\"image\":\"i:1\"}]}}",
        labels, annotations);

    assert_int_equal(kube_pod_parse(object, a, &pod, &err), 0);
    assert_int_equal(kube_pods_put(pods, &pod, &err), 0);
}

static int find(const char *label_glob, const char *attribute_glob)
{
    struct str labels = str_of(label_glob), attributes = str_of(attribute_glob);
    struct config_kube config = {.labels = {&labels, 1}, .attributes = {&attributes, 1}};

    return kube_labels_find(pods, &config, &m, a, &got);
}

static struct str value_of(const struct labels *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].name, str_of(name)))
            return l->v[i].value;
    return STR_NULL;
}

static void globs_say_what_becomes_of_a_label(void **state)
{
    (void)state;
    put("\"team\":\"pay\",\"x.io/tier\":\"db\",\"x.io/zone\":\"a\"", "");
    assert_int_equal(find("x.io/*", "t*"), 0);
    assert_int_equal(got.labels.n, 2);
    check_str(value_of(&got.labels, "x_io_tier"), "db");
    check_str(value_of(&got.labels, "x_io_zone"), "a");
    check_str(value_of(&got.attrs, "label_team"), "pay");
    check_str(value_of(&got.attrs, "node"), "n");
    check_str(value_of(&got.attrs, "owner"), "j");
    check_str(value_of(&got.attrs, "owner_kind"), "job");
    assert_int_equal(got.attrs.n, 4);
    check_str(m.image, "i:1");
}

static void a_pod_cannot_say_whose_log_it_is(void **state)
{
    (void)state;
    put("\"host\":\"evil\",\"namespace\":\"kube-system\",\"source\":\"logq\",\"ok\":\"1\"", "");
    assert_int_equal(find("*", "none"), 0);
    assert_int_equal(got.labels.n, 1);
    check_str(value_of(&got.labels, "ok"), "1");
}

static void the_app_is_what_the_pod_calls_it(void **state)
{
    (void)state;
    put("\"app\":\"short\"", "");
    assert_int_equal(find("none", "none"), 0);
    check_str(m.app, "short");
    put("\"app\":\"short\",\"app.kubernetes.io/name\":\"long\"", "");
    assert_int_equal(find("none", "none"), 0);
    check_str(m.app, "long");
}

static void a_container_has_the_last_word_on_its_hints(void **state)
{
    (void)state;
    put("", "\"logq.io/exclude\":\"true\",\"logq.io/redact\":\"card\","
            "\"c.logq.io/exclude\":\"false\",\"side.logq.io/redact\":\"all\","
            "\"c.logq.io/multiline\":\"java\"");
    assert_int_equal(find("", ""), 0);
    check_str(m.hints.exclude, "false");
    check_str(m.hints.redact, "card");
    check_str(m.hints.multiline, "java");
    m.name = STR("side");
    m.hints = (struct profile_hints){.types = 0};
    assert_int_equal(find("", ""), 0);
    check_str(m.hints.exclude, "true");
    check_str(m.hints.redact, "all");
    assert_int_equal(m.hints.multiline.n, 0);
}

static void hints_and_image_of_the_runtime_stay_where_the_pod_has_none(void **state)
{
    (void)state;
    m.image = STR("runtime:1");
    m.hints.redact = STR("ip");
    m.hints.exclude = STR("false");
    put("", "\"logq.io/exclude\":\"true\"");
    assert_int_equal(find("none", "none"), 0);
    check_str(m.image, "runtime:1");
    check_str(m.hints.redact, "ip");
    check_str(m.hints.exclude, "true");
}

static void there_is_room_for_our_own_labels(void **state)
{
    struct buf labels;

    (void)state;
    buf_init(&labels, 1 << 16);
    for (int i = 0; i < 40; i++)
        buf_addf(&labels, "%s\"l%d\":\"v\"", i == 0 ? "" : ",", i);
    buf_add_char(&labels, '\0');
    put(labels.p, "");
    buf_fini(&labels);
    assert_int_equal(find("*", "*"), 0);
    assert_int_equal(got.labels.n, KUBE_LABELS_MAX);
    assert_int_equal(metric_get(METRIC_KUBE_REFUSED), 40 - KUBE_LABELS_MAX);
    assert_int_equal(find("none", "*"), 0);
    assert_int_equal(got.attrs.n, KUBE_LABELS_ATTRS_MAX + 3);
}

static size_t bytes_of(const struct labels *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        n += l->v[i].name.n + l->v[i].value.n;
    return n;
}

static void long_ones_are_bounded_together(void **state)
{
    struct buf labels;
    char value[191];

    (void)state;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    buf_init(&labels, 1 << 16);
    for (int i = 0; i < 20; i++)
        buf_addf(&labels, "%s\"l%d\":\"%s\"", i == 0 ? "" : ",", i, value);
    buf_add_z(&labels, ",\"short\":\"fits\"");
    buf_add_char(&labels, '\0');
    put(labels.p, "");
    buf_fini(&labels);
    assert_int_equal(find("*", "*"), 0);
    assert_int_equal(got.labels.n, 11); /* ten of them, and the short one */
    check_str(value_of(&got.labels, "short"), "fits");
    assert_int_equal(got.attrs.n, 3); /* ours have their place */
    assert_int_equal(metric_get(METRIC_KUBE_REFUSED), 10);
    assert_in_range(bytes_of(&got.labels) + bytes_of(&got.attrs), 1900, KUBE_LABELS_BYTES_MAX);
    assert_int_equal(find("none", "*"), 0);
    check_str(value_of(&got.attrs, "label_short"), "fits");
    assert_in_range(bytes_of(&got.attrs), 1900, KUBE_LABELS_BYTES_MAX);
}

static void what_is_no_pod_is_not_looked_for(void **state)
{
    (void)state;
    assert_int_equal(find("*", "*"), 1);
    assert_int_equal(kube_labels_find(NULL, NULL, &m, a, &got), 0);
    m.pod_uid = STR_NULL;
    assert_int_equal(find("*", "*"), 0);
    assert_int_equal(got.labels.n + got.attrs.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(globs_say_what_becomes_of_a_label), TEST(a_pod_cannot_say_whose_log_it_is),
           TEST(the_app_is_what_the_pod_calls_it), TEST(a_container_has_the_last_word_on_its_hints),
           TEST(hints_and_image_of_the_runtime_stay_where_the_pod_has_none),
           TEST(there_is_room_for_our_own_labels), TEST(long_ones_are_bounded_together),
           TEST(what_is_no_pod_is_not_looked_for))
