/* Unit tests of collector/kube_pod: objects as the API server of Kubernetes 1.31 gives them, cut
 * short, and such as it never would. */
#include "collector/kube_pod.h"

#include "tests/lib/check.h"

#include <string.h>

#define POD                                                                                        \
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web-7d4b9c6f5d-x2x9k\","     \
    "\"generateName\":\"web-7d4b9c6f5d-\",\"namespace\":\"shop\",\"uid\":\"0b1c-22\","             \
    "\"resourceVersion\":\"8123\",\"creationTimestamp\":\"2026-11-22T10:00:00Z\",\"labels\":{"     \
    "\"app.kubernetes.io/name\":\"web\",\"pod-template-hash\":\"7d4b9c6f5d\",\"team\":\"pay\"},"   \
    "\"annotations\":{\"logq.io/redact\":\"card\",\"x/y\":\"{\\\"a\\\":[1,2]}\","                  \
    "\"logq.io/multiline\":\"ja\\u0076a\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\","      \
    "\"kind\":\"ReplicaSet\",\"name\":\"web-7d4b9c6f5d\",\"uid\":\"u\",\"controller\":true,"       \
    "\"blockOwnerDeletion\":true}],\"managedFields\":[{\"manager\":\"k\",\"fieldsV1\":{\"f:m\":"   \
    "{}}}]},\"spec\":{\"volumes\":[],\"containers\":[{\"name\":\"app\",\"image\":\"reg/web:1.2\"," \
    "\"ports\":[{\"containerPort\":80}]},{\"name\":\"side\",\"image\":\"reg/side:3\"}],"           \
    "\"initContainers\":[{\"name\":\"init\",\"image\":\"busybox\"}],\"nodeName\":\"node-1\"},"     \
    "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.7\"}}"

static struct arena *a;
static struct buf text;
static struct kube_pod pod;
static struct err err;

static int setup(void **state)
{
    (void)state;
    a = arena_new(NULL, 1 << 20);
    buf_init(&text, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&text);
    arena_free(&a);
    return 0;
}

static void read_pod(const char *object)
{
    if (kube_pod_parse(str_of(object), a, &pod, &err) < 0)
        fail_msg("%s: %s", object, err.text);
}

static void what_matters_is_taken(void **state)
{
    (void)state;
    read_pod(POD);
    check_str(pod.uid, "0b1c-22");
    check_str(pod.namespace, "shop");
    check_str(pod.name, "web-7d4b9c6f5d-x2x9k");
    check_str(pod.version, "8123");
    check_str(pod.node, "node-1");
    assert_int_equal(pod.n_labels, 3);
    check_str(kube_pod_label(&pod, STR("team")), "pay");
    assert_null(kube_pod_label(&pod, STR("tea")).p);
    check_str(kube_pod_image(&pod, STR("app")), "reg/web:1.2");
    check_str(kube_pod_image(&pod, STR("init")), "busybox");
    check_str(pod.hints.redact, "card");
    check_str(pod.hints.multiline, "java");
    assert_int_equal(pod.hints.exclude.n, 0);
    assert_false(pod.cut);
}

static void the_owner_is_what_a_person_has_made(void **state)
{
    (void)state;
    read_pod(POD);
    check_str(pod.owner_kind, "deployment");
    check_str(pod.owner, "web");
    read_pod("{\"metadata\":{\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"o\"},{\"kind\":"
             "\"DaemonSet\",\"name\":\"d\",\"controller\":true}]}}");
    check_str(pod.owner_kind, "daemonset");
    check_str(pod.owner, "d");
    read_pod("{\"metadata\":{\"labels\":{\"pod-template-hash\":\"h\"},\"ownerReferences\":[{"
             "\"kind\":\"ReplicaSet\",\"name\":\"-h\",\"controller\":true}]}}");
    check_str(pod.owner_kind, "replicaset"); /* nothing is left in front of the hash */
    check_str(pod.owner, "-h");
}

/* A pod of `job`, created then: who owns it. */
static void check_job(const char *job, const char *created, const char *kind, const char *owner)
{
    struct buf object;

    buf_init(&object, 4096);
    buf_addf(&object,
             "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\","
             "\"name\":\"%s\",\"controller\":true}]%s%s%s}}",
             job, created[0] == '\0' ? "" : ",\"creationTimestamp\":\"", created,
             created[0] == '\0' ? "" : "\"");
    assert_int_equal(kube_pod_parse(buf_str(&object), a, &pod, &err), 0);
    check_str(pod.owner_kind, kind);
    check_str(pod.owner, owner);
    buf_fini(&object);
}

/* 29922951 minutes after 1970 it is 2026-11-22T19:51Z. */
static void a_job_that_is_called_by_its_minute_is_a_cron_jobs(void **state)
{
    (void)state;
    check_job("night-backup-29922951", "2026-11-22T19:51:00Z", "cronjob", "night-backup");
    check_job("night-backup-29922951", "2026-11-22T19:50:01Z", "cronjob", "night-backup");
    check_job("night-backup-29922951", "2026-11-28T20:00:00Z", "cronjob", "night-backup");
    check_job("night-backup-29922951", "2026-11-29T20:00:00Z", "job", "night-backup-29922951");
    check_job("night-backup-29922951", "2026-11-22T19:40:00Z", "job", "night-backup-29922951");
    check_job("night-backup-29922951", "", "job", "night-backup-29922951");
    check_job("night-backup-29922951", "today", "job", "night-backup-29922951");
    check_job("report-20261122", "2026-11-22T19:51:00Z", "job", "report-20261122");
    check_job("x-029922951", "2026-11-22T19:51:00Z", "job", "x-029922951");
    check_job("x-99999999999999999999", "2026-11-22T19:51:00Z", "job", "x-99999999999999999999");
    check_job("-29922951", "2026-11-22T19:51:00Z", "job", "-29922951");
    check_job("29922951", "2026-11-22T19:51:00Z", "job", "29922951");
    check_job("by-hand", "2026-11-22T19:51:00Z", "job", "by-hand");
    check_job("by-", "2026-11-22T19:51:00Z", "job", "by-");
}

static void a_static_pod_has_the_uid_of_its_directory(void **state)
{
    (void)state;
    read_pod("{\"metadata\":{\"annotations\":{\"kubernetes.io/config.mirror\":\"f00d\"},\"uid\":"
             "\"api\",\"name\":\"etcd-n\",\"namespace\":\"kube-system\"}}");
    check_str(pod.uid, "f00d");
}

static void an_annotation_goes_before_a_label(void **state)
{
    (void)state;
    read_pod("{\"metadata\":{\"annotations\":{\"logq.io/exclude\":\"false\"},\"labels\":{"
             "\"logq.io/exclude\":\"true\",\"logq.io/redact\":\"ip\"}}}");
    check_str(pod.hints.exclude, "false");
    check_str(pod.hints.redact, "ip");
}

static void check_hints(const char *container, const char *exclude, const char *redact)
{
    struct profile_hints hints;

    kube_pod_hints(&pod, str_of(container), &hints);
    check_str(hints.exclude, exclude);
    check_str(hints.redact, redact);
}

static void a_hint_may_be_for_one_container(void **state)
{
    (void)state;
    read_pod("{\"metadata\":{\"annotations\":{\"app.logq.io/redact\":\"card\",\"logq.io/redact\":"
             "\"ip\",\"proxy.logq.io/exclude\":\"true\",\"proxy.logq.io/other\":\"x\","
             "\".logq.io/exclude\":\"true\",\"a.b.logq.io/exclude\":\"true\",\"app.logq.io/"
             "exclude\":7,\"app.example.com/exclude\":\"true\"},\"labels\":{"
             "\"app.logq.io/exclude\":\"true\"}}}");
    assert_int_equal(pod.n_own, 2);
    check_hints("app", "", "card");
    check_hints("proxy", "true", "ip");
    check_hints("b", "", "ip");
    check_hints("", "", "ip");
    buf_add_z(&text, "{\"metadata\":{\"annotations\":{\"x\":\"y\"");
    for (int i = 0; i <= KUBE_POD_OWN_MAX; i++)
        buf_addf(&text, ",\"c%d.logq.io/exclude\":\"true\"", i);
    buf_add_z(&text, "}}}");
    assert_int_equal(kube_pod_parse(buf_str(&text), a, &pod, &err), 0);
    assert_int_equal(pod.n_own, KUBE_POD_OWN_MAX);
    assert_true(pod.cut);
}

static void what_is_written_says_the_same(void **state)
{
    static const char *const PODS[] = {
        POD, "{}", "null",
        ("{\"metadata\":{\"annotations\":{\"side.logq.io/redact\":\"ip\","
         "\"app.logq.io/exclude\":\"true\"}}}"),
        "{\"metadata\":{\"uid\":\"\\u0000\\\"\\\\\\ud800\",\"labels\":{\"a\\nb\":\"\xff\"}}}"};
    struct buf again;

    (void)state;
    buf_init(&again, 1 << 20);
    for (size_t i = 0; i < sizeof(PODS) / sizeof(PODS[0]); i++) {
        struct kube_pod copy;
        read_pod(PODS[i]);
        buf_clear(&text);
        kube_pod_write(&pod, &text);
        assert_null(memchr(text.p, '\n', text.n));
        assert_int_equal(kube_pod_parse(buf_str(&text), a, &copy, &err), 0);
        buf_clear(&again);
        kube_pod_write(&copy, &again);
        assert_true(str_eq(buf_str(&text), buf_str(&again)));
        assert_int_equal(copy.n_labels, pod.n_labels);
        assert_int_equal(copy.n_images, pod.n_images);
    }
    buf_fini(&again);
}

static void what_no_log_shows_makes_no_other_text(void **state)
{
    struct buf other;

    (void)state;
    buf_init(&other, 1 << 20);
    read_pod(
        "{\"status\":{\"phase\":\"Failed\"},\"spec\":{\"nodeName\":\"n\",\"containers\":[]},"
        "\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"1\",\"annotations\":{\"z\":\"1\"}}}");
    kube_pod_write(&pod, &text);
    read_pod(
        "{\"metadata\":{\"annotations\":{\"z\":\"2\"},\"uid\":\"u\",\"resourceVersion\":\"2\"},"
        "\"spec\":{\"nodeName\":\"n\"}}");
    kube_pod_write(&pod, &other);
    assert_true(str_eq(buf_str(&text), buf_str(&other)));
    buf_fini(&other);
}

static void hostile_objects_are_refused_or_cut(void **state)
{
    static const char *const BAD[] = {"",
                                      "x",
                                      "[]",
                                      "\"\"",
                                      "{",
                                      "{\"metadata\":[]}",
                                      "{\"metadata\":{\"labels\":7}}",
                                      "{\"metadata\":{\"ownerReferences\":{}}}",
                                      "{\"metadata\":{\"ownerReferences\":[7]}}",
                                      "{\"spec\":{\"containers\":[[]]}}",
                                      "{} {}",
                                      "{\"metadata\":{\"uid\":\"a}"};
    struct arena *small = arena_new(NULL, 64);

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(kube_pod_parse(str_of(BAD[i]), a, &pod, &err), ERR_CORRUPT);
    read_pod("{\"metadata\":{\"uid\":7,\"name\":{\"a\":1},\"labels\":{\"a\":[],\"b\":null}}}");
    assert_int_equal(pod.uid.n + pod.name.n + pod.n_labels, 0);

    buf_add_z(&text, "{\"metadata\":{\"labels\":{\"\\u0061");
    for (int i = 0; i < 400; i++)
        buf_add_char(&text, 'k');
    buf_add_z(&text, "\":\"v\"");
    for (int i = 0; i < 200; i++)
        buf_addf(&text, ",\"l%d\":\"v\"", i);
    buf_add_z(&text, "}}}");
    assert_int_equal(kube_pod_parse(buf_str(&text), a, &pod, &err), 0);
    assert_true(pod.cut);
    assert_int_equal(pod.n_labels, KUBE_POD_LABELS_MAX);
    check_str(pod.labels[0].name, "l0");
    assert_true(kube_pod_parse(buf_str(&text), small, &pod, &err) < 0); /* no room for a name */
    arena_free(&small);
}

static void names_of_labels_are_made_ours(void **state)
{
    (void)state;
    kube_pod_label_name(STR("app.kubernetes.io/part-of"), &text);
    check_str(buf_str(&text), "app_kubernetes_io_part_of");
    assert_true(label_name_ok(buf_str(&text)));
    buf_clear(&text);
    kube_pod_label_name(STR("3d"), &text);
    check_str(buf_str(&text), "_3d");
    assert_true(label_name_ok(buf_str(&text)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(what_matters_is_taken), TEST(the_owner_is_what_a_person_has_made),
           TEST(a_job_that_is_called_by_its_minute_is_a_cron_jobs),
           TEST(a_static_pod_has_the_uid_of_its_directory), TEST(an_annotation_goes_before_a_label),
           TEST(a_hint_may_be_for_one_container), TEST(what_is_written_says_the_same),
           TEST(what_no_log_shows_makes_no_other_text), TEST(hostile_objects_are_refused_or_cut),
           TEST(names_of_labels_are_made_ours))
