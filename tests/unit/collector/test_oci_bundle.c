/* Unit tests of collector/oci_bundle: what containerd, CRI-O and runc write of a container. */
#include "collector/oci_bundle.h"

#include "base/mem.h"
#include "base/record.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static struct arena *a;
static struct oci_bundle b;

static int setup(void **state)
{
    (void)state;
    a = arena_new(NULL, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static const char CONTAINERD[] =
    "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"user\":{\"uid\":0},\"args\":[\"/app\"],\"env\":["
    "\"annotations={\",\"TOKEN=x\"]},\"root\":{\"path\":\"rootfs\"},\"mounts\":[{\"destination\":"
    "\"/proc\",\"options\":null}],\"annotations\":{\"io.kubernetes.cri.container-name\":\"app\","
    "\"io.kubernetes.cri.container-type\":\"container\",\"io.kubernetes.cri.image-name\":"
    "\"docker.io/library/shop:1.2\",\"io.kubernetes.cri.sandbox-id\":\"77aa\","
    "\"io.kubernetes.cri.sandbox-name\":\"web-7d\",\"io.kubernetes.cri.sandbox-namespace\":"
    "\"shop\",\"io.kubernetes.cri.sandbox-uid\":\"0b1c-22\",\"logq.io/multiline\":\"java\","
    "\"logq.io/redact\":\"ip\\u0020card\"},\"linux\":{\"cgroupsPath\":\"/kubepods/x\"}}";

static void containerd_annotates_a_bundle(void **state)
{
    (void)state;
    assert_true(oci_bundle_parse(STR(CONTAINERD), a, &b));
    check_str(b.meta.name, "app");
    check_str(b.meta.namespace, "shop");
    check_str(b.meta.pod, "web-7d");
    check_str(b.meta.pod_uid, "0b1c-22");
    check_str(b.meta.image, "docker.io/library/shop:1.2");
    check_str(b.meta.hints.multiline, "java");
    check_str(b.meta.hints.redact, "ip card");
    assert_true(b.meta.has_hints);
    assert_false(b.is_sandbox);
}

static void runc_keeps_the_same_as_labels(void **state)
{
    (void)state;
    assert_true(oci_bundle_parse(
        STR("{\"id\":\"c1\",\"init_process_pid\":7,\"created\":\"2026-11-22T09:00:00Z\",\"config\":"
            "{\"rootfs\":\"/x\",\"labels\":[\"io.kubernetes.cri.sandbox-uid=0b1c-22\",\"io."
            "kubernetes.cri.sandbox-name=web-7d\",\"io.kubernetes.cri.sandbox-namespace=shop\","
            "\"io.kubernetes.cri.container-type=sandbox\",\"app.kubernetes.io/name=a=b\",\"alone\","
            "\"bundle=/run/x\"],\"cgroups\":{\"path\":\"/x\"}},\"rootless\":false,\"cgroup_paths\":"
            "{\"\":\"/sys/fs/cgroup/x\"}}"),
        a, &b));
    check_str(b.meta.namespace, "shop");
    check_str(b.meta.pod, "web-7d");
    check_str(b.meta.pod_uid, "0b1c-22");
    check_str(b.meta.app, "a=b");
    assert_true(b.is_sandbox);
}

static const char CRIO[] =
    "{\"annotations\":{\"io.kubernetes.container.name\":\"app\",\"io.kubernetes.pod.name\":\"web\","
    "\"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"u1\","
    "\"io.kubernetes.cri-o.ImageName\":\"quay.io/shop:3\",\"io.kubernetes.cri-o.ImageRef\":"
    "\"sha256:ab\",\"io.kubernetes.cri-o.ContainerType\":\"container\","
    "\"io.kubernetes.cri-o.LogPath\":\"/var/log/pods/shop_web_u1/app/2.log\","
    "\"io.kubernetes.cri-o.Annotations\":\"{\\\"logq.io/"
    "exclude\\\":\\\"true\\\",\\\"io.kubernetes.pod.uid\\\":\\\"another\\\"}\","
    "\"io.kubernetes.cri-o.Labels\":\"{\\\"app\\\":\\\"front\\\",\\\"io.kubernetes.pod.name\\\":"
    "\\\"another\\\"}\"}}";

/* What users say of their pods cannot make it another one. */
static void crio_has_objects_in_texts(void **state)
{
    (void)state;
    assert_true(oci_bundle_parse(STR(CRIO), a, &b));
    check_str(b.meta.name, "app");
    check_str(b.meta.pod, "web");
    check_str(b.meta.pod_uid, "u1");
    check_str(b.meta.image, "quay.io/shop:3");
    check_str(b.meta.image_digest, "sha256:ab");
    check_str(b.log_path, "/var/log/pods/shop_web_u1/app/2.log");
    check_str(b.meta.app, "front");
    check_str(b.meta.hints.exclude, "true");
    assert_true(oci_bundle_parse(STR("{\"annotations\":{\"io.kubernetes.cri-o.Labels\":\"{broken\","
                                     "\"io.kubernetes.pod.uid\":\"u1\"}}"),
                                 a, &b));
    check_str(b.meta.pod_uid, "u1"); /* a text that is no object says nothing */
}

static void a_bundle_of_nobody_says_nothing(void **state)
{
    (void)state;
    assert_true(oci_bundle_parse(STR("{}"), a, &b));
    assert_true(
        oci_bundle_parse(STR("{\"annotations\":null,\"config\":{\"labels\":null}}"), a, &b));
    assert_int_equal(b.meta.pod_uid.n, 0);
    assert_false(oci_bundle_parse(STR("[]"), a, &b));
    assert_false(oci_bundle_parse(STR("{\"annotations\":[]}"), a, &b));
    assert_false(oci_bundle_parse(STR("{\"annotations\":{\"logq.io/exclude\":7}}"), a, &b));
    assert_false(oci_bundle_parse(STR("{\"config\":{\"labels\":[7]}}"), a, &b));
    assert_false(oci_bundle_parse(STR(""), a, &b));
}

static void a_file_that_is_being_written_is_none(void **state)
{
    (void)state;
    for (size_t n = 0; n + 1 < sizeof(CONTAINERD); n++) { /* the last } is missing at least */
        if (oci_bundle_parse((struct str){CONTAINERD, n}, a, &b))
            fail_msg("%zu bytes of it", n);
        arena_reset(a);
    }
}

static void only_what_is_wanted_takes_room(void **state)
{
    struct arena *small = arena_new(NULL, 4096);
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_z(&text, "{\"annotations\":{\"other\":\"");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&text, 'x');
    buf_add_z(&text, "\",\"logq.io/redact\":\"card\"}}");
    assert_true(oci_bundle_parse(buf_str(&text), small, &b));
    check_str(b.meta.hints.redact, "card");
    buf_clear(&text);
    buf_add_z(&text, "{\"annotations\":{\"logq.io/redact\":\"");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&text, 'x');
    buf_add_z(&text, "\"}}");
    assert_false(oci_bundle_parse(buf_str(&text), small, &b)); /* no room for it */
    buf_fini(&text);
    arena_free(&small);
}

static void a_copy_outlives_the_text(void **state)
{
    struct oci_bundle copy;
    struct buf text;
    size_t bytes;
    void *block;

    (void)state;
    buf_init(&text, 1 << 16);
    buf_add_z(&text,
              "{\"annotations\":{\"io.kubernetes.cri-o.LogPath\":\"/l\",\"logq.io/redact\":\"");
    for (int i = 0; i < 3000; i++)
        buf_add_char(&text, 'y');
    buf_add_z(&text, "\",\"io.kubernetes.cri.container-name\":\"app\"}}");
    assert_true(oci_bundle_parse(buf_str(&text), a, &b));
    block = oci_bundle_copy(&b, &copy, &bytes);
    arena_reset(a);
    buf_fini(&text);
    check_str(copy.meta.name, "app");
    check_str(copy.log_path, "/l");
    assert_int_equal(copy.meta.hints.redact.n, RECORD_LABEL_VALUE_MAX);
    assert_int_equal(bytes, 1 + 3 + 2 + RECORD_LABEL_VALUE_MAX);
    free(block);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(containerd_annotates_a_bundle), TEST(runc_keeps_the_same_as_labels),
           TEST(crio_has_objects_in_texts), TEST(a_bundle_of_nobody_says_nothing),
           TEST(a_file_that_is_being_written_is_none), TEST(only_what_is_wanted_takes_room),
           TEST(a_copy_outlives_the_text))
