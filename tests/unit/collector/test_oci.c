/* Unit tests of collector/oci: directories of runtimes as they come, change and go. */
#include "collector/oci.h"

#include "tests/unit/collector/dir_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct str roots_v[2];
static struct conf_strs roots;
static struct oci *x;
static struct oci_found found;

/* The way to directories, which can fail. */
static struct opener_ops ops;
static struct opener opener = {&ops};
static int fails; /* errno; 0: it does not */

static int list(struct opener *o, const char *name, enum opener_stats stats, opener_entry_fn *fn,
                void *arg, struct err *e)
{
    return fails != 0 ? opener_err(e, fails, "list", name)
                      : opener_local.list(o, name, stats, fn, arg, e);
}

static int setup(void **state)
{
    (void)dir_setup(state);
    ops = opener_local;
    ops.list = list;
    fails = 0;
    x = oci_new(&opener, 0);
    roots_v[0] = arena_printf(a, "%s/runc/", root);
    roots_v[1] = arena_printf(a, "%s/tasks", root);
    roots = (struct conf_strs){roots_v, 2};
    return 0;
}

static int teardown(void **state)
{
    oci_free(&x);
    return dir_teardown(state);
}

static void put(const char *path, const char *text)
{
    const char *slash = strrchr(path, '/');
    char folder[256];
    int fd;

    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    assert_int_equal(file_make_dirs(dir, folder, 0700, &err), 0);
    (void)unlinkat(dir, path, 0); /* another file, as runtimes replace them; none is synced */
    fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text), &err), 0);
    (void)close(fd);
}

#define POD                                                                                        \
    "\"io.kubernetes.cri.sandbox-namespace\":\"shop\",\"io.kubernetes.cri.sandbox-name\":\"web\"," \
    "\"io.kubernetes.cri.sandbox-uid\":\"u1\""
#define CONTAINER(image)                                                                           \
    "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-name\":\"app\","                      \
    "\"io.kubernetes.cri.image-name\":\"" image "\"}}"
#define SANDBOX "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-type\":\"sandbox\"}}"

static enum oci_result look_for(const char *restart)
{
    struct meta want = {.namespace = STR("shop"), .pod = STR("web"), .pod_uid = STR("u1")};
    struct str log = arena_printf(a, "/shop_web_u1/app/%s.log", restart);

    want.name = STR("app");
    want.restart = str_of(restart);
    return oci_find(x, &roots, &want, log, a, &found);
}

static void where_there_is_no_runtime_nobody_is_known(void **state)
{
    (void)state;
    assert_int_equal(look_for("0"), OCI_NONE);
    put("tasks/other/config.json", "{}");
    assert_int_equal(look_for("0"), OCI_NONE);
}

static void a_container_comes_after_its_pod(void **state)
{
    (void)state;
    put("tasks/aa/config.json", SANDBOX);
    assert_int_equal(look_for("0"), OCI_LATER);
    put("tasks/bb/config.json", CONTAINER("i:1"));
    assert_int_equal(look_for("0"), OCI_FOUND);
    check_str(found.meta.id, "bb");
    check_str(found.meta.image, "i:1");
    assert_false(found.is_exact);
    assert_int_equal(file_remove_tree(dir, "tasks/bb", &err), 0);
    assert_int_equal(look_for("0"), OCI_LATER);
    assert_int_equal(file_remove_tree(dir, "tasks/aa", &err), 0);
    assert_int_equal(look_for("0"), OCI_NONE);
}

static void a_file_that_comes_late_or_in_parts_is_read_when_it_is_whole(void **state)
{
    (void)state;
    put("tasks/aa/config.json", SANDBOX);
    assert_int_equal(file_make_dirs(dir, "tasks/bb", 0700, &err), 0);
    assert_int_equal(look_for("0"), OCI_LATER);
    put("tasks/bb/config.json", "{\"annotations\":{\"io.kub");
    assert_int_equal(look_for("0"), OCI_LATER);
    assert_int_equal(metric_get(METRIC_STATE_BAD), 1);
    put("tasks/bb/config.json", CONTAINER("i:1"));
    assert_int_equal(look_for("0"), OCI_FOUND);
}

static void a_younger_file_counts_and_an_unchanged_one_is_not_read(void **state)
{
    uint64_t reads;

    (void)state;
    put("tasks/bb/config.json", CONTAINER("i:1"));
    assert_int_equal(look_for("0"), OCI_FOUND);
    reads = metric_get(METRIC_STATE_READS);
    put("tasks/bb/note", "a pid of some exec");
    assert_int_equal(look_for("0"), OCI_FOUND);
    assert_int_equal(metric_get(METRIC_STATE_READS), reads);
    put("tasks/bb/config.json", CONTAINER("i:2"));
    assert_int_equal(look_for("0"), OCI_FOUND);
    assert_int_equal(metric_get(METRIC_STATE_READS), reads + 1);
    check_str(found.meta.image, "i:2");
}

static void state_without_an_environment_goes_first(void **state)
{
    (void)state;
    put("runc/cc/state.json",
        "{\"config\":{\"labels\":[\"io.kubernetes.cri.sandbox-namespace=shop\",\"io.kubernetes.cri."
        "sandbox-name=web\",\"io.kubernetes.cri.sandbox-uid=u1\",\"io.kubernetes.cri.container-"
        "name="
        "app\"]}}");
    put("runc/cc/config.json", CONTAINER("of the other file"));
    assert_int_equal(look_for("0"), OCI_FOUND);
    check_str(found.meta.id, "cc");
    assert_int_equal(found.meta.image.n, 0);
    put("tasks/dd/userdata/config.json", CONTAINER("i:3"));
    assert_int_equal(file_remove_tree(dir, "runc", &err), 0);
    assert_int_equal(look_for("0"), OCI_FOUND);
    check_str(found.meta.id, "dd");
}

#define NUMBERED(n)                                                                                \
    "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-name\":\"app\","                      \
    "\"io.kubernetes.cri-o.LogPath\":\"/var/log/pods/shop_web_u1/app/" n ".log\"}}"

static void one_that_says_its_log_is_no_other(void **state)
{
    (void)state;
    put("tasks/n2/config.json", NUMBERED("2"));
    put("tasks/n1/config.json", NUMBERED("1"));
    assert_int_equal(look_for("2"), OCI_FOUND);
    check_str(found.meta.id, "n2");
    assert_true(found.is_exact);
    assert_int_equal(look_for("1"), OCI_FOUND);
    check_str(found.meta.id, "n1");
    assert_int_equal(look_for("12"), OCI_LATER);
}

static void of_several_the_youngest_is_taken(void **state)
{
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    (void)state;
    put("tasks/b1/config.json", CONTAINER("i:1"));
    put("tasks/b2/config.json", CONTAINER("i:2"));
    assert_int_equal(utimensat(dir, "tasks/b2/config.json", old, 0), 0);
    assert_int_equal(look_for("0"), OCI_FOUND);
    check_str(found.meta.id, "b1");
}

static void a_pod_says_what_its_container_does_not(void **state)
{
    (void)state;
    put("tasks/aa/config.json",
        "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-type\":\"sandbox\","
        "\"app\":\"front\",\"logq.io/redact\":\"ip\",\"logq.io/multiline\":\"java\"}}");
    put("tasks/bb/config.json",
        "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-name\":\"app\","
        "\"logq.io/multiline\":\"go\"}}");
    assert_int_equal(look_for("0"), OCI_FOUND);
    check_str(found.meta.app, "front");
    check_str(found.meta.hints.redact, "ip");
    check_str(found.meta.hints.multiline, "go");
}

static void a_pod_is_told_of_without_its_container(void **state)
{
    (void)state;
    assert_int_equal(look_for("0"), OCI_NONE);
    assert_false(found.pod.has_hints);
    put("tasks/aa/config.json",
        "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-type\":\"sandbox\","
        "\"app\":\"front\",\"logq.io/redact\":\"ip\",\"logq.io/exclude\":\"true\"}}");
    assert_int_equal(look_for("0"), OCI_LATER);
    assert_true(found.pod.has_hints);
    check_str(found.pod.app, "front");
    check_str(found.pod.hints.redact, "ip");
    check_str(found.pod.hints.exclude, "true");
}

static void a_look_that_fails_makes_nobody_forgotten(void **state)
{
    (void)state;
    put("tasks/bb/config.json", CONTAINER("i:1"));
    assert_int_equal(look_for("0"), OCI_FOUND);
    fails = EIO;
    assert_int_equal(look_for("0"), OCI_FOUND);
    check_str(found.meta.id, "bb");
    assert_int_equal(file_remove_tree(dir, "tasks/bb", &err), 0);
    fails = 0;
    assert_int_equal(look_for("0"), OCI_NONE);
    fails = EIO;
    assert_int_equal(look_for("0"), OCI_LATER); /* nobody could see whether it is there */
    fails = EACCES;
    assert_int_equal(look_for("0"), OCI_NONE); /* nobody will */
}

static void what_is_no_container_is_not_looked_into(void **state)
{
    (void)state;
    put("tasks/file", CONTAINER("i:1"));
    put("tasks/.hidden/config.json", CONTAINER("i:1"));
    put("tasks/a b/config.json", CONTAINER("i:1"));
    assert_int_equal(look_for("0"), OCI_NONE);
    assert_int_equal(metric_get(METRIC_STATE_READS), 0);
}

static void one_that_can_never_be_read_is_left_alone(void **state)
{
    (void)state;
    put("tasks/bb/config.json", "no JSON");
    for (int i = 0; i < OCI_TRIES_MAX + 10; i++)
        assert_int_equal(look_for("0"), OCI_NONE);
    assert_int_equal(metric_get(METRIC_STATE_READS), OCI_TRIES_MAX);
    put("tasks/bb/config.json", CONTAINER("i:1")); /* until it changes */
    assert_int_equal(look_for("0"), OCI_FOUND);
}

static void many_are_read_in_several_looks(void **state)
{
    enum { MANY = OCI_READS_MAX + 20 };
    char name[64];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "tasks/c%d/config.json", i);
        put(name, "{}");
    }
    assert_int_equal(look_for("0"), OCI_LATER);
    assert_in_range(metric_get(METRIC_STATE_READS), OCI_READS_MAX - 3, OCI_READS_MAX);
    assert_int_equal(look_for("0"), OCI_NONE);
    assert_int_equal(metric_get(METRIC_STATE_READS), MANY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(where_there_is_no_runtime_nobody_is_known), TEST(a_container_comes_after_its_pod),
           TEST(a_file_that_comes_late_or_in_parts_is_read_when_it_is_whole),
           TEST(a_younger_file_counts_and_an_unchanged_one_is_not_read),
           TEST(state_without_an_environment_goes_first), TEST(one_that_says_its_log_is_no_other),
           TEST(of_several_the_youngest_is_taken), TEST(a_pod_says_what_its_container_does_not),
           TEST(a_pod_is_told_of_without_its_container),
           TEST(a_look_that_fails_makes_nobody_forgotten),
           TEST(what_is_no_container_is_not_looked_into),
           TEST(one_that_can_never_be_read_is_left_alone), TEST(many_are_read_in_several_looks))
