/* Unit tests of collector/containers: whose log it is while its container runs, when it was made
 * anew, and when it is gone. */
#include "collector/containers.h"

#include "tests/unit/collector/dir_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "47faa53c8566946f30a8fc6281236b74c131ec9aea5e897c36a8fb5a14e97afe"

static int state_fd;
static struct containers *c;
static struct config_source conf;
static struct str roots[1];
static struct meta m;

static int setup(void **state)
{
    (void)dir_setup(state);
    assert_int_equal(file_make_dirs(dir, "state", 0700, &err), 0);
    assert_int_equal(file_open_dir(dir, "state", &state_fd, &err), 0);
    c = containers_open(state_fd, NULL);
    memset(&conf, 0, sizeof(conf));
    conf.type = CONFIG_CRI;
    roots[0] = arena_printf(a, "%s/run", root);
    conf.runtime_state = (struct conf_strs){roots, 1};
    return 0;
}

static int teardown(void **state)
{
    containers_close(&c);
    (void)close(state_fd);
    return dir_teardown(state);
}

/* The collector is started anew; runtimes' state is looked at without a pause then, too. */
static void again(void)
{
    containers_close(&c);
    c = containers_open(state_fd, NULL);
}

static int ask(const char *path, bool last_try)
{
    struct containers_question q = {
        .conf = &conf, .path = arena_printf(a, "%s/%s", root, path), .last_try = last_try};

    return containers_find(c, &q, a, &m);
}

/* ---- pods ---- */

#define POD                                                                                        \
    "\"io.kubernetes.cri.sandbox-namespace\":\"shop\",\"io.kubernetes.cri.sandbox-name\":\"web\"," \
    "\"io.kubernetes.cri.sandbox-uid\":\"u1\""
#define CONTAINER                                                                                  \
    "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-name\":\"app\","                      \
    "\"io.kubernetes.cri.image-name\":\"shop:1\",\"logq.io/multiline\":\"java\"}}"
#define SANDBOX "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-type\":\"sandbox\"}}"

static void log_exists(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "pods/shop_web_u1/app/%s", name);
    put_file(path, "x\n");
}

static int ask_pod(unsigned restart, bool last_try)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "pods/shop_web_u1/app/%u.log", restart);
    return ask(path, last_try);
}

static void a_pods_container_has_the_id_and_image_of_its_bundle(void **state)
{
    (void)state;
    log_exists("0.log");
    put_file("run/" ID "/config.json", CONTAINER);
    assert_int_equal(ask_pod(0, false), 0);
    check_str(m.id, ID);
    check_str(m.image, "shop:1");
    check_str(m.name, "app");
    check_str(m.namespace, "shop");
    check_str(m.pod, "web");
    check_str(m.pod_uid, "u1");
    check_str(m.restart, "0");
    check_str(m.hints.multiline, "java");
}

static void when_it_is_gone_it_is_what_it_was(void **state)
{
    (void)state;
    log_exists("0.log");
    put_file("run/" ID "/config.json", CONTAINER);
    assert_int_equal(ask_pod(0, false), 0);
    assert_int_equal(file_remove_tree(dir, "run", &err), 0);
    again();
    assert_int_equal(ask_pod(0, false), 0);
    check_str(m.id, ID);
    check_str(m.image, "shop:1");
    check_str(m.hints.multiline, "java");
    log_exists("1.log"); /* the next one is another */
    assert_int_equal(ask_pod(1, false), 0);
    assert_int_equal(m.id.n, 0);
}

static void nobody_is_waited_for_where_no_runtime_knows_the_pod(void **state)
{
    (void)state;
    log_exists("0.log");
    assert_int_equal(ask_pod(0, false), 0);
    check_str(m.name, "app");
    assert_int_equal(m.id.n, 0);
    put_file("run/bb/config.json", "{}");
    again();
    assert_int_equal(ask_pod(0, false), 0);
    conf.runtime_state = (struct conf_strs){(struct str[]){STR("none")}, 1};
    put_file("run/cc/config.json", CONTAINER);
    again();
    assert_int_equal(ask_pod(0, false), 0);
    assert_int_equal(m.id.n, 0);
}

static void a_container_is_waited_for_while_its_pod_is_there(void **state)
{
    (void)state;
    log_exists("0.log");
    put_file("run/aa/config.json", SANDBOX);
    assert_int_equal(ask_pod(0, false), 1);
    check_str(m.pod, "web");
    assert_int_equal(ask_pod(0, true), 0); /* it has a name without, too */
    assert_int_equal(m.id.n, 0);
    assert_int_equal(ask_pod(0, false), 0); /* and is not waited for again */
    put_file("run/" ID "/config.json", CONTAINER);
    again();
    assert_int_equal(ask_pod(0, false), 0);
    check_str(m.id, ID); /* but taken when it is there */
}

static void one_that_ended_has_not_the_id_of_the_next(void **state)
{
    (void)state;
    put_file("run/" ID "/config.json", CONTAINER);
    put_file("run/aa/config.json", SANDBOX);
    log_exists("0.log.20261122-090000");
    log_exists("0.log");
    log_exists("1.log");
    assert_int_equal(ask_pod(0, false), 0);
    assert_int_equal(m.id.n, 0);
    assert_int_equal(ask_pod(1, false), 0);
    check_str(m.id, ID);
}

static void one_that_ended_does_what_its_pod_asks_for(void **state)
{
    (void)state;
    put_file("run/" ID "/config.json", CONTAINER);
    put_file("run/aa/config.json",
             "{\"annotations\":{" POD ",\"io.kubernetes.cri.container-type\":\"sandbox\","
             "\"app\":\"front\",\"logq.io/redact\":\"ip\"}}");
    log_exists("0.log");
    log_exists("1.log");
    assert_int_equal(ask_pod(0, false), 0);
    assert_int_equal(m.id.n, 0);
    check_str(m.app, "front");
    check_str(m.hints.redact, "ip");
    assert_int_equal(m.hints.multiline.n, 0); /* the other container's */
    assert_int_equal(file_remove_tree(dir, "run", &err), 0);
    again();
    assert_int_equal(ask_pod(0, false), 0); /* also when its pod is gone */
    check_str(m.app, "front");
    check_str(m.hints.redact, "ip");
}

static void one_that_begins_has_not_the_id_of_the_one_before(void **state)
{
    (void)state;
    put_file("run/" ID "/config.json", CONTAINER);
    log_exists("3.log");
    assert_int_equal(ask_pod(3, false), 0);
    log_exists("4.log");
    again();
    assert_int_equal(ask_pod(4, false), 1);
    assert_int_equal(file_remove_tree(dir, "run/" ID, &err), 0);
    put_file("run/next/config.json", CONTAINER);
    again();
    assert_int_equal(ask_pod(4, false), 0);
    check_str(m.id, "next");
    assert_int_equal(ask_pod(3, false), 0);
    check_str(m.id, ID);
}

static void other_paths_have_no_container(void **state)
{
    (void)state;
    assert_int_equal(ask("logs/writer/0.log", false), 0);
    check_str(m.name, "writer");
    conf.type = CONFIG_FILE;
    assert_int_equal(ask("logs/writer/0.log", false), 0);
    assert_int_equal(m.name.n, 0);
}

/* ---- engines ---- */

#define DOCKER_LOG "docker/" ID "/" ID "-json.log"

static void of_a_docker_container_that_is_gone_hints_stay(void **state)
{
    struct str log = arena_printf(a, "%s/" DOCKER_LOG, root);

    (void)state;
    conf.type = CONFIG_DOCKER;
    put_file("docker/" ID "/config.v2.json",
             "{\"ID\":\"" ID
             "\",\"Name\":\"/web\",\"Config\":{\"Image\":\"i:1\",\"Labels\":{\"logq.io/"
             "redact\":\"ip\"}}}");
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    assert_int_equal(file_remove_tree(dir, "docker", &err), 0);
    again();
    containers_hints(c, &conf, log, a, &m.hints);
    check_str(m.hints.redact, "ip");
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    check_str(m.name, "web");
    check_str(m.image, "i:1");
    check_str(m.hints.redact, "ip");
    assert_int_equal(ask("docker/other/other-json.log", false), 1);
    check_str(m.id, "other");
    containers_hints(NULL, &conf, log, a, &m.hints);
    assert_int_equal(m.hints.redact.n, 0);
}

/* What a server said beside it is not taken for what the container says the next time. */
static void hints_of_others_are_remembered_apart(void **state)
{
    struct str log = arena_printf(a, "%s/" DOCKER_LOG, root);
    struct profile_hints said = {.redact = STR("ip"), .multiline = STR("java")}, got;

    (void)state;
    conf.type = CONFIG_DOCKER;
    put_file("docker/" ID "/config.v2.json",
             "{\"Name\":\"/web\",\"Config\":{\"Labels\":{\"logq.io/redact\":\"ip\"}}}");
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    containers_set_hints(c, &conf, log, &m.hints);
    containers_set_hints(c, &conf, log, &said);
    again();
    containers_hints(c, &conf, log, a, &got);
    check_str(got.redact, "ip");
    check_str(got.multiline, "java");
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    assert_int_equal(m.hints.multiline.n, 0);
    containers_set_hints(c, &conf, log, &m.hints); /* it says so no more */
    again();
    containers_hints(c, &conf, log, a, &got);
    check_str(got.redact, "ip");
    assert_int_equal(got.multiline.n, 0);
}

static void a_container_that_has_another_name_now_is_that(void **state)
{
    (void)state;
    conf.type = CONFIG_DOCKER;
    put_file("docker/" ID "/config.v2.json", "{\"Name\":\"/one\"}");
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    put_file("docker/" ID "/config.v2.json", "{\"Name\":\"/two\"}");
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    check_str(m.name, "two");
    again();
    put_file("docker/" ID "/config.v2.json", "{\"Name\":\"/th"); /* not whole */
    assert_int_equal(ask(DOCKER_LOG, false), 0);
    check_str(m.name, "two");
}

#define PODMAN_LOG "vfs-containers/" ID "/userdata/ctr.log"

static void podmans_hints_outlive_their_file(void **state)
{
    (void)state;
    conf.type = CONFIG_PODMAN;
    put_file("vfs-containers/containers.json", "[{\"id\":\"" ID "\",\"names\":[\"c1\"]}]");
    put_file("vfs-containers/" ID "/userdata/config.json",
             "{\"annotations\":{\"logq.io/exclude\":\"true\"}}");
    assert_int_equal(ask(PODMAN_LOG, false), 0);
    check_str(m.hints.exclude, "true");
    assert_int_equal(file_remove_tree(dir, "vfs-containers/" ID, &err), 0);
    assert_int_equal(ask(PODMAN_LOG, false), 0); /* still in the list */
    check_str(m.name, "c1");
    check_str(m.hints.exclude, "true");
    put_file("vfs-containers/containers.json", "[]");
    again();
    assert_int_equal(ask(PODMAN_LOG, false), 0);
    check_str(m.name, "c1");
    check_str(m.hints.exclude, "true");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(a_pods_container_has_the_id_and_image_of_its_bundle),
           TEST(when_it_is_gone_it_is_what_it_was),
           TEST(nobody_is_waited_for_where_no_runtime_knows_the_pod),
           TEST(a_container_is_waited_for_while_its_pod_is_there),
           TEST(one_that_ended_has_not_the_id_of_the_next),
           TEST(one_that_ended_does_what_its_pod_asks_for),
           TEST(one_that_begins_has_not_the_id_of_the_one_before),
           TEST(other_paths_have_no_container), TEST(of_a_docker_container_that_is_gone_hints_stay),
           TEST(hints_of_others_are_remembered_apart),
           TEST(a_container_that_has_another_name_now_is_that),
           TEST(podmans_hints_outlive_their_file))
