/* Unit tests of collector/meta_*: files as Docker 20.10 and podman 4.3 leave them, and paths of
 * Kubernetes. */
#include "collector/meta.h"

#include "tests/unit/collector/dir_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ID "47faa53c8566946f30a8fc6281236b74c131ec9aea5e897c36a8fb5a14e97afe"

static struct str at(const char *path)
{
    return arena_printf(a, "%s/%s", root, path);
}

static void docker_names_come_from_config_v2(void **state)
{
    struct meta m;

    (void)state;
    put_file(
        ID "/config.v2.json",
        "{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Pid\":7},\"ID\":\"" ID
        "\",\"Created\":\"2026-11-21T21:47:29Z\",\"Args\":[\"-c\",\"x\"],\"Config\":{\"Hostname\":"
        "\"h\",\"Env\":[\"PASSWORD="
        "x\"],\"Image\":\"nginx:1.27\",\"Labels\":{\"com.docker.compose.service\":\"front\","
        "\"app\":\"shop\",\"z\":\"1\"}},"
        "\"Image\":\"sha256:abcd\",\"Name\":\"/web\",\"LogPath\":\"/x\"}");
    assert_int_equal(meta_docker(NULL, at(ID "/" ID "-json.log"), STR_NULL, a, &m), 0);
    check_str(m.id, ID);
    check_str(m.name, "web");
    check_str(m.image, "nginx:1.27");
    check_str(m.image_digest, "sha256:abcd");
    check_str(m.app, "shop"); /* before the compose service */
    assert_int_equal(m.pod.n, 0);
}

static void docker_under_kubernetes_has_the_pods_names(void **state)
{
    struct meta m;

    (void)state;
    put_file(
        "r/" ID "/config.v2.json",
        "{\"ID\":\"" ID "\",\"Name\":\"/"
        "k8s_app_p_ns_uid_0\",\"Config\":{\"Image\":\"i\",\"Labels\":{\"io.kubernetes."
        "container.name\":\"app\",\"io.kubernetes.pod.name\":\"p\",\"io.kubernetes.pod.namespace\":"
        "\"ns\",\"app.kubernetes."
        "io/name\":\"shop\",\"app\":\"other\"}}}");
    assert_int_equal(meta_docker(NULL, STR("/elsewhere/" ID "/" ID "-json.log"), at("r"), a, &m),
                     0); /* docker_root */
    check_str(m.name, "app");
    check_str(m.pod, "p");
    check_str(m.namespace, "ns");
    check_str(m.app, "shop");
}

static void docker_without_its_file_is_not_known_yet(void **state)
{
    struct meta m;

    (void)state;
    assert_int_equal(meta_docker(NULL, at(ID "/" ID "-json.log"), STR_NULL, a, &m), 1);
    check_str(m.id, ID);
    put_file(ID "/config.v2.json", "{\"ID\":\"x\",\"Name\":");
    assert_int_equal(meta_docker(NULL, at(ID "/" ID "-json.log"), STR_NULL, a, &m), 1);
    check_str(m.id, ID);
}

static const char CONTAINERS[] =
    "[{\"id\":\"aaaa\",\"names\":[\"other\"],\"image\":\"x\",\"metadata\":\"{\\\"name\\\":"
    "\\\"other\\\"}\"},"
    "{\"id\":\"" ID "\",\"names\":[\"c1\"],\"image\":\"2e8c\",\"layer\":\"7f1b\",\"metadata\":\"{"
    "\\\"image-name\\\":"
    "\\\"localhost/"
    "bb:1\\\",\\\"image-id\\\":\\\"2e8c\\\",\\\"name\\\":\\\"c1\\\",\\\"created-at\\\":1795297649}"
    "\","
    "\"created\":\"2026-11-21T21:47:29.12841604Z\",\"flags\":{\"MountLabel\":\"\",\"ProcessLabel\":"
    "\"\"}}]";

static void podman_names_come_from_the_storage(void **state)
{
    struct meta m;

    (void)state;
    put_file("vfs-containers/containers.json", CONTAINERS);
    assert_int_equal(meta_podman(NULL, NULL, at("vfs-containers/" ID "/userdata/ctr.log"), a, &m),
                     0);
    check_str(m.id, ID);
    check_str(m.name, "c1");
    check_str(m.image, "localhost/bb:1");
    check_str(m.image_digest, "2e8c");
}

static void podman_containers_that_go_at_exit_are_in_another_list(void **state)
{
    struct meta m;

    (void)state;
    put_file("overlay-containers/containers.json", "[]");
    put_file("overlay-containers/volatile-containers.json", CONTAINERS);
    assert_int_equal(
        meta_podman(NULL, NULL, at("overlay-containers/" ID "/userdata/ctr.log"), a, &m), 0);
    check_str(m.name, "c1");
    assert_int_equal(meta_podman(NULL, NULL, at("overlay-containers/bbbb/userdata/ctr.log"), a, &m),
                     1);
    check_str(m.id, "bbbb");
}

static void a_pods_path_says_it_all(void **state)
{
    struct meta m;

    (void)state;
    assert_int_equal(
        meta_cri(STR("/var/log/pods/kube-system_dns-7d_0b1c-22/resolver/3.log"), a, &m), 0);
    check_str(m.namespace, "kube-system");
    check_str(m.pod, "dns-7d");
    check_str(m.pod_uid, "0b1c-22");
    check_str(m.name, "resolver");
    check_str(m.restart, "3");
}

static void other_paths_name_the_file_or_its_directory(void **state)
{
    struct meta m;

    (void)state;
    assert_int_equal(meta_cri(STR("/logs/writer/0.log"), a, &m), 0);
    check_str(m.name, "writer");
    assert_int_equal(m.pod.n, 0);
    assert_int_equal(meta_cri(STR("/logs/shop.log"), a, &m), 0);
    check_str(m.name, "shop");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dir_setup, dir_teardown)

CHECK_MAIN(TEST(docker_names_come_from_config_v2), TEST(docker_under_kubernetes_has_the_pods_names),
           TEST(docker_without_its_file_is_not_known_yet), TEST(podman_names_come_from_the_storage),
           TEST(podman_containers_that_go_at_exit_are_in_another_list),
           TEST(a_pods_path_says_it_all), TEST(other_paths_name_the_file_or_its_directory))
