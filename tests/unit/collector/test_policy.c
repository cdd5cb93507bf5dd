/* Unit tests of collector/policy: what a process without rights is given, by name and by where the
 * name leads. */
#include "collector/policy.h"

#include "base/file.h"
#include "collector/spool.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int dir;
static char root[TMPDIR_PATH_MAX];
static struct policy *p;
static struct err err;

/* A policy of `inputs`, in which @ is the test's directory. */
static void use(const char *inputs)
{
    struct conf_errors errors;
    struct config *config;
    struct source_set *set;
    struct buf text;

    buf_init(&text, 1 << 16);
    buf_addf(&text,
             "server: {address: '127.0.0.1:1', ca: /tls/ca, cert: /tls/cert, key: /tls/key}\n"
             "state_dir: /state\nprivileges: {follow_into: ['%s/pods']}\ninputs:\n",
             root);
    for (const char *c = inputs; *c != '\0'; c++)
        if (*c == '@')
            buf_add_z(&text, root);
        else
            buf_add_char(&text, *c);
    if (config_parse("c.yaml", STR("/"), buf_str(&text), &config, &errors, &err) < 0)
        fail_msg("%s", err.text);
    set = source_set_new(config, NULL, true);
    policy_add(p, set);
    source_set_unref(&set);
    buf_fini(&text);
}

static int setup(void **state)
{
    (void)state;
    dir = tmpdir_open(root);
    p = policy_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    policy_free(&p);
    tmpdir_close(dir);
    return 0;
}

static bool log_by_name(const char *path)
{
    return policy_may_open(p, OPENER_LOG, path);
}

static void a_glob_and_what_rotation_makes_of_its_names(void **state)
{
    (void)state;
    use("  - {type: cri}\n  - {type: file, paths: [/var/log/app.log, /srv/*/out.txt]}\n");
    assert_true(log_by_name("/var/log/pods/ns_p_u/c/0.log"));
    assert_true(log_by_name("/var/log/pods/ns_p_u/c/0.log.20260101-000000"));
    assert_true(log_by_name("/var/log/pods/ns_p_u/c/0.log.20260101-000000.gz"));
    assert_true(log_by_name("/var/log/app.log"));
    assert_true(log_by_name("/var/log/app.log.1"));
    assert_true(log_by_name("/var/log/app.log-20260101"));
    assert_true(log_by_name("/var/log/app-20260101.log"));
    assert_true(log_by_name("/var/log/app-20260101.log.gz"));
    assert_true(log_by_name("/var/log/app.log.old"));
    assert_false(log_by_name("/var/log/app.log.key")); /* what no rotation makes */
    assert_false(log_by_name("/var/log/app.log-private"));
    assert_false(log_by_name("/var/log/app-secret.log"));
    assert_false(log_by_name("/var/log/app-20260101.key"));
    assert_true(log_by_name("/srv/x/out.txt.2"));
    assert_false(log_by_name("/var/log/application.log"));
    assert_false(log_by_name("/var/log/auth.log"));
    assert_false(log_by_name("/var/log/pods/ns_p_u/c/deeper/0.log"));
    assert_false(log_by_name("/var/log/pods/ns_p_u/0.log"));
    assert_false(log_by_name("/etc/shadow"));
    assert_false(log_by_name("/srv/x/key.pem"));
    assert_false(log_by_name("/var/log/app-secret.key"));
    assert_true(log_by_name("/state/spool/" SPOOL_OWN "/00000001.jsonl")); /* our own records */
}

static void a_path_that_climbs_is_no_path(void **state)
{
    (void)state;
    use("  - {type: file, paths: ['/srv/*/x.log', '/srv/*/*/x.log']}\n");
    assert_true(log_by_name("/srv/a/x.log"));
    assert_false(log_by_name("/srv/../x.log"));
    assert_false(log_by_name("/srv/a/../x.log"));
    assert_false(log_by_name("/srv/./x.log"));
    assert_false(log_by_name("/srv//x.log"));
    assert_false(log_by_name("srv/a/x.log"));
    assert_false(log_by_name(""));
    assert_false(policy_may_list(p, "/srv/.."));
}

static void of_what_is_beside_logs_only_what_is_read(void **state)
{
    (void)state;
    use("  - {type: docker}\n  - {type: podman}\n"
        "  - {type: docker, paths: ['/logs/*/*-json.log'], docker_root: /data/docker}\n");
    assert_true(policy_may_open(p, OPENER_META, "/var/lib/docker/containers/abc/config.v2.json"));
    assert_true(policy_may_open(p, OPENER_META, "/data/docker/abc/config.v2.json"));
    assert_true(policy_may_open(p, OPENER_META,
                                "/var/lib/containers/storage/overlay-containers/containers.json"));
    assert_false(policy_may_open(p, OPENER_META, "/data/docker/abc/hostconfig.json"));
    assert_false(policy_may_open(p, OPENER_META, "/elsewhere/abc/config.v2.json"));
    assert_false(log_by_name("/var/lib/docker/containers/abc/config.v2.json"));
    assert_false(log_by_name("/var/lib/docker/containers/abc/hostconfig.json"));
}

static bool meta_by_name(const char *path)
{
    return policy_may_open(p, OPENER_META, path);
}

static void of_runtimes_state_what_says_whose_a_log_is(void **state)
{
    (void)state;
    use("  - {type: cri, runtime_state: [/run/runc, /run/tasks/]}\n");
    assert_true(meta_by_name("/run/runc/abc/state.json"));
    assert_true(meta_by_name("/run/runc/abc/config.json"));
    assert_true(meta_by_name("/run/tasks/abc/userdata/config.json"));
    assert_true(policy_may_list(p, "/run/runc"));
    assert_true(policy_may_list(p, "/run/tasks"));
    assert_true(policy_may_stat(p, "/run/runc/abc/state.json"));
    assert_false(meta_by_name("/run/runc/state.json"));
    assert_false(meta_by_name("/run/runc/abc/def/state.json"));
    assert_false(meta_by_name("/run/runc/abc/rootfs/config.json"));
    assert_false(meta_by_name("/run/runc/abc/hostconfig.json"));
    assert_false(meta_by_name("/run/runc/abc/config.v2.json"));
    assert_false(meta_by_name("/run/other/abc/state.json"));
    assert_false(log_by_name("/run/runc/abc/state.json"));
    assert_false(policy_may_list(p, "/run"));
    assert_false(policy_may_list(p, "/run/runc/abc"));
    assert_false(policy_may_list(p, "/run/ru"));
}

static void of_containers_that_log_to_the_journal_what_says_whose_they_are(void **state)
{
    (void)state;
    use("  - {type: journald, runtime_state: [/var/docker, /var/podman]}\n");
    assert_true(meta_by_name("/var/docker/abc/config.v2.json"));
    assert_true(meta_by_name("/var/podman/abc/userdata/config.json"));
    assert_true(meta_by_name("/var/podman/containers.json"));
    assert_true(meta_by_name("/var/podman/volatile-containers.json"));
    assert_false(meta_by_name("/var/docker/abc/hostconfig.json"));
    assert_false(meta_by_name("/var/docker/abc/config.json"));
    assert_false(meta_by_name("/var/docker/config.v2.json"));
    assert_false(meta_by_name("/var/docker/abc/def/config.v2.json"));
    assert_false(log_by_name("/var/docker/abc/abc-json.log"));
    assert_false(log_by_name("/var/podman/abc/userdata/ctr.log"));
    use("  - {type: journald}\n");
    assert_true(policy_may_list(p, "/home"));
    assert_true(meta_by_name("/home/joe/.local/share/containers/storage/overlay-containers/abc/"
                             "userdata/config.json"));
    assert_true(meta_by_name(
        "/home/joe/.local/share/containers/storage/overlay-containers/containers.json"));
    assert_false(policy_may_list(p, "/home/joe"));
}

static void runtimes_state_that_nobody_asks_for_is_refused(void **state)
{
    (void)state;
    use("  - {type: cri, runtime_state: none}\n  - {type: docker}\n");
    assert_false(meta_by_name("/run/runc/abc/state.json"));
    assert_false(policy_may_list(p, "/run/runc"));
    use("  - {type: cri}\n");
    assert_true(meta_by_name("/run/runc/abc/state.json"));
    assert_true(policy_may_list(p, "/run/containerd/runc/k8s.io"));
}

static void directories_on_the_way_of_a_glob_are_listed(void **state)
{
    (void)state;
    use("  - {type: cri}\n");
    assert_true(policy_may_list(p, "/"));
    assert_true(policy_may_list(p, "/var/log"));
    assert_true(policy_may_list(p, "/var/log/pods"));
    assert_true(policy_may_list(p, "/var/log/pods/x/y"));
    assert_false(policy_may_list(p, "/var/log/pods/x/y/z"));
    assert_false(policy_may_list(p, "/root"));
    assert_false(policy_may_list(p, "/var/lib"));
    assert_true(policy_may_stat(p, "/var/log/pods/x/y/0.log"));
    assert_false(policy_may_stat(p, "/etc/shadow"));
}

static void certificates_are_the_ones_that_are_named(void **state)
{
    (void)state;
    use("  - {type: cri}\n");
    assert_true(policy_may_open(p, OPENER_CONF, "/tls/key"));
    assert_true(policy_may_pass(p, OPENER_CONF, "/tls/key", "/somewhere/else"));
    assert_false(policy_may_open(p, OPENER_CONF, "/tls/other"));
    assert_false(log_by_name("/tls/key"));
}

/* ---- where names lead ---- */

static char *at(const char *name)
{
    static char text[4][TMPDIR_PATH_MAX + 64];
    static unsigned next;
    char *to = text[next++ % 4];

    (void)snprintf(to, TMPDIR_PATH_MAX + 64, "%s/%s", root, name);
    return to;
}

static void make(const char *name)
{
    const char *slash = strrchr(name, '/');
    char parent[256];

    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
    assert_int_equal(file_make_dirs(dir, parent, 0755, &err), 0);
    assert_int_equal(file_replace(dir, name, 0600, STR("x"), &err), 0);
}

/* Where `name` leads. */
static const char *real_of(const char *name)
{
    static char real[4096];
    char link[64];
    int fd = open(at(name), O_PATH | O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0);
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, real, sizeof(real) - 1);
    assert_true(n > 0);
    real[n] = '\0';
    (void)close(fd);
    return real;
}

static bool passes(const char *name)
{
    return policy_may_pass(p, OPENER_LOG, at(name), real_of(name));
}

static bool meta_passes(const char *name)
{
    return policy_may_pass(p, OPENER_META, at(name), real_of(name));
}

static bool dir_passes(const char *name)
{
    return policy_may_pass_dir(p, at(name), real_of(name));
}

static void a_link_among_logs_leads_to_logs_only(void **state)
{
    (void)state;
    make("c/x/ctr.log");
    make("pods/p/0.log");
    make("pods/p/secret.json");
    make("etc/shadow");
    use("  - {type: file, paths: ['@/c/*/ctr.log']}\n");
    assert_true(passes("c/x/ctr.log"));
    assert_int_equal(file_make_dirs(dir, "c/y", 0755, &err), 0);
    assert_int_equal(symlinkat(at("etc/shadow"), dir, "c/y/ctr.log"), 0);
    assert_false(passes("c/y/ctr.log"));
    assert_int_equal(unlinkat(dir, "c/y/ctr.log", 0), 0);
    assert_int_equal(symlinkat(at("pods/p/0.log"), dir, "c/y/ctr.log"), 0);
    assert_true(passes("c/y/ctr.log"));
    assert_int_equal(unlinkat(dir, "c/y/ctr.log", 0), 0);
    assert_int_equal(symlinkat(at("pods/p/secret.json"), dir, "c/y/ctr.log"), 0);
    assert_false(passes("c/y/ctr.log"));
}

static void runtimes_state_is_no_link(void **state)
{
    (void)state;
    make("data/abc/state.json");
    make("etc/shadow");
    assert_int_equal(symlinkat("data", dir, "run"), 0);
    use("  - {type: cri, runtime_state: ['@/run']}\n");
    assert_true(meta_passes("run/abc/state.json")); /* the administrator's link */
    assert_true(dir_passes("run"));
    assert_int_equal(symlinkat("../../etc/shadow", dir, "data/abc/config.json"), 0);
    assert_false(meta_passes("run/abc/config.json"));
    assert_int_equal(symlinkat("abc", dir, "data/def"), 0);
    assert_false(meta_passes("run/def/state.json"));
    assert_int_equal(unlinkat(dir, "run", 0), 0);
    assert_int_equal(symlinkat("app/way", dir, "run"), 0);
    assert_int_equal(file_make_dirs(dir, "app", 0755, &err), 0);
    assert_int_equal(symlinkat("../data", dir, "app/way"), 0);
    assert_true(dir_passes("run"));
    assert_int_equal(fchmodat(dir, "app", 0777, 0), 0); /* others have put a link on its way */
    assert_false(meta_passes("run/abc/state.json"));
    assert_false(dir_passes("run"));
}

static void a_link_in_a_directory_of_others_leads_nowhere(void **state)
{
    (void)state;
    make("pods/p/0.log");
    use("  - {type: file, paths: ['@/c/*/ctr.log']}\n");
    assert_int_equal(file_make_dirs(dir, "c/y", 0755, &err), 0);
    assert_int_equal(symlinkat(at("pods/p/0.log"), dir, "c/y/ctr.log"), 0);
    assert_true(passes("c/y/ctr.log"));
    assert_int_equal(fchmodat(dir, "c/y", 0777, 0), 0); /* whoever likes has put it there */
    assert_false(passes("c/y/ctr.log"));
}

static void a_directory_that_is_a_link_leads_nowhere(void **state)
{
    (void)state;
    make("etc/ctr.log");
    use("  - {type: file, paths: ['@/c/*/ctr.log']}\n");
    assert_int_equal(file_make_dirs(dir, "c", 0755, &err), 0);
    assert_int_equal(symlinkat(at("etc"), dir, "c/y"), 0);
    assert_false(passes("c/y/ctr.log"));
}

static void a_link_in_the_fixed_part_counts_where_only_we_can_put_one(void **state)
{
    (void)state;
    make("data/x/ctr.log");
    make("app/logs/ctr.log");
    assert_int_equal(symlinkat(at("data"), dir, "c"), 0);
    assert_int_equal(symlinkat("../data/./x", dir, "app/sub"), 0);
    use("  - {type: file, paths: ['@/c/*/ctr.log', '@/app/sub/*.log', '@/app/logs/*.log']}\n");
    assert_true(passes("c/x/ctr.log"));
    assert_true(passes("app/sub/ctr.log"));
    assert_true(passes("app/logs/ctr.log"));
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fchmodat(dir, "app", i == 0 ? 0775 : 0757, 0), 0); /* others' as well */
        assert_false(passes("app/sub/ctr.log"));
        assert_true(passes("app/logs/ctr.log")); /* a plain directory is where it says */
    }
    assert_int_equal(fchmodat(dir, "app", 0755, 0), 0);
    assert_true(passes("app/sub/ctr.log"));
    if (geteuid() == 0) {
        assert_int_equal(fchownat(dir, "app", 1, 1, 0), 0);
        assert_false(passes("app/sub/ctr.log"));
        assert_true(passes("app/logs/ctr.log"));
    }
}

/* The administrator's link leads through a directory in which others have put one. */
static void a_link_that_leads_over_a_link_of_others_leads_nowhere(void **state)
{
    (void)state;
    make("data/x/ctr.log");
    assert_int_equal(file_make_dirs(dir, "app", 0755, &err), 0);
    assert_int_equal(symlinkat("../data", dir, "app/way"), 0);
    assert_int_equal(symlinkat("app/way/x", dir, "c"), 0);
    use("  - {type: file, paths: ['@/c/*.log']}\n");
    assert_true(passes("c/ctr.log"));
    assert_int_equal(fchmodat(dir, "app", 0777, 0), 0);
    assert_false(passes("c/ctr.log"));
}

static void links_in_a_circle_lead_nowhere(void **state)
{
    (void)state;
    assert_int_equal(symlinkat("b", dir, "a"), 0);
    assert_int_equal(symlinkat("a", dir, "b"), 0);
    use("  - {type: file, paths: ['@/a/*.log']}\n");
    assert_false(policy_may_pass(p, OPENER_LOG, at("a/x.log"), at("a/x.log")));
}

static void a_log_that_was_renamed_or_removed_meanwhile_passes(void **state)
{
    (void)state;
    make("c/x/ctr.log");
    use("  - {type: file, paths: ['@/c/*/ctr.log']}\n");
    assert_true(policy_may_pass(p, OPENER_LOG, at("c/x/ctr.log"), at("c/x/ctr.log.1")));
    assert_true(policy_may_pass(p, OPENER_LOG, at("c/x/ctr.log"), at("c/x/ctr.log (deleted)")));
    assert_false(policy_may_pass(p, OPENER_LOG, at("c/x/ctr.log"), at("etc/ctr.log (deleted)")));
    assert_false(policy_may_pass(p, OPENER_LOG, at("c/x/ctr.log"), at("c/x/other")));
}

static void what_is_excluded_is_refused(void **state)
{
    (void)state;
    make("c/a.log");
    use("  - {type: file, paths: ['/var/log/*'], exclude: ['/var/log/auth*', '/var/log/*.gz']}\n"
        "  - {type: file, paths: ['@/c/*.log'], exclude: ['@/c/secret.log']}\n");
    assert_true(log_by_name("/var/log/app"));
    assert_true(log_by_name("/var/log/app.log.1.gz")); /* it is read to its end */
    assert_false(log_by_name("/var/log/auth.log"));
    assert_false(log_by_name("/var/log/auth.log.1"));
    assert_false(log_by_name("/var/log/data.gz"));
    assert_false(policy_may_stat(p, "/var/log/auth.log"));
    assert_true(passes("c/a.log"));
    assert_false(policy_may_pass(p, OPENER_LOG, at("c/a.log"), at("c/secret.log")));
    use("  - {type: file, paths: ['/var/log/*']}\n"); /* another input wants it */
    assert_true(log_by_name("/var/log/auth.log"));
}

static void the_token_is_there_for_who_asks_kubernetes(void **state)
{
    (void)state;
    use("  - {type: cri}\nkubernetes: {node: n, token_file: /t/token, ca_file: /t/ca}\n");
    assert_false(policy_may_open(p, OPENER_CONF, "/t/token"));
    use("  - {type: cri}\nkubernetes: {api: 'https://k', node: n, token_file: /t/token, ca_file: "
        "/t/ca}\n");
    assert_true(policy_may_open(p, OPENER_CONF, "/t/token"));
    assert_true(policy_may_open(p, OPENER_CONF, "/t/ca"));
    assert_false(policy_may_open(p, OPENER_LOG, "/t/token"));
    assert_false(policy_may_open(p, OPENER_CONF, "/t/token2"));
}

static void an_older_configuration_still_counts(void **state)
{
    (void)state;
    use("  - {type: file, paths: [/a/x.log]}\n");
    use("  - {type: file, paths: [/b/x.log]}\n");
    assert_true(log_by_name("/a/x.log"));
    assert_true(log_by_name("/b/x.log"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(a_glob_and_what_rotation_makes_of_its_names), TEST(a_path_that_climbs_is_no_path),
           TEST(what_is_excluded_is_refused), TEST(of_what_is_beside_logs_only_what_is_read),
           TEST(of_runtimes_state_what_says_whose_a_log_is),
           TEST(of_containers_that_log_to_the_journal_what_says_whose_they_are),
           TEST(runtimes_state_that_nobody_asks_for_is_refused), TEST(runtimes_state_is_no_link),
           TEST(directories_on_the_way_of_a_glob_are_listed),
           TEST(certificates_are_the_ones_that_are_named),
           TEST(a_link_among_logs_leads_to_logs_only),
           TEST(a_link_in_a_directory_of_others_leads_nowhere),
           TEST(a_directory_that_is_a_link_leads_nowhere),
           TEST(a_link_in_the_fixed_part_counts_where_only_we_can_put_one),
           TEST(a_link_that_leads_over_a_link_of_others_leads_nowhere),
           TEST(links_in_a_circle_lead_nowhere),
           TEST(a_log_that_was_renamed_or_removed_meanwhile_passes),
           TEST(the_token_is_there_for_who_asks_kubernetes),
           TEST(an_older_configuration_still_counts))
