/* Unit tests of collector/journal_whose: what is beside the logs that containers do not write. */
#include "collector/journal_whose.h"

#include "tests/unit/collector/dir_world.h"
#include "tests/unit/collector/journal_world.h"

#include <unistd.h>

#define ID "47faa53c8566946f30a8fc6281236b74c131ec9aea5e897c36a8fb5a14e97afe"

static struct source_set set; /* without a memory, and all rights */
static struct config_source conf;
static struct str roots[2];
static struct meta m;
static const char *uid; /* of who has written the entry */

static int setup(void **state)
{
    (void)dir_setup(state);
    uid = "";
    memset(&set, 0, sizeof(set));
    memset(&conf, 0, sizeof(conf));
    conf.type = CONFIG_JOURNALD;
    roots[0] = arena_printf(a, "%s/docker", root);
    roots[1] = arena_printf(a, "%s/overlay-containers", root);
    conf.runtime_state = (struct conf_strs){roots, 2};
    return 0;
}

static int find(const char *comm, const char *id)
{
    struct journal_frame f = journal_entry(1, "web", "x");

    f.v[JOURNAL_COMM] = str_of(comm);
    f.v[JOURNAL_ID] = str_of(id);
    f.v[JOURNAL_UID] = str_of(uid);
    return journal_whose_find(&set, &conf, &f, a, &m);
}

static void docker_says_it_beside_the_log_that_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(find("dockerd", ID), 1);
    put_file("docker/" ID "/config.v2.json",
             "{\"ID\":\"" ID "\",\"Name\":\"/web\",\"Config\":{\"Image\":\"bb:1\",\"Labels\":{"
             "\"app\":\"shop\",\"logq.io/redact\":\"ip\"}}}");
    assert_int_equal(find("dockerd", ID), 0);
    check_str(m.app, "shop");
    check_str(m.image, "bb:1");
    check_str(m.hints.redact, "ip");
    assert_int_equal(find("conmon", ID), 1); /* it is not podman's */
    assert_int_equal(find("", ID), 0);       /* who it was is not said */
}

static void podman_says_it_in_its_bundle_and_its_list(void **state)
{
    (void)state;
    put_file("overlay-containers/" ID "/userdata/config.json",
             "{\"ociVersion\":\"1\",\"annotations\":{\"logq.io/exclude\":\"true\"}}");
    assert_int_equal(find("conmon", ID), 1);
    check_str(m.hints.exclude, "true");
    assert_true(m.has_hints);
    put_file("overlay-containers/containers.json",
             "[{\"id\":\"" ID "\",\"names\":[\"web\"],\"image\":\"x\",\"metadata\":"
             "\"{\\\"image-name\\\":\\\"bb:1\\\"}\"}]");
    assert_int_equal(find("conmon", ID), 0);
    check_str(m.image, "bb:1");
    check_str(m.hints.exclude, "true");
}

/* Who makes a directory of that name says nothing of the containers of others. */
static void only_the_owner_says_what_it_is(void **state)
{
    char own[16], other[16];

    (void)state;
    (void)snprintf(own, sizeof(own), "%u", (unsigned)geteuid());
    (void)snprintf(other, sizeof(other), "%u", (unsigned)geteuid() + 1);
    put_file("overlay-containers/" ID "/userdata/config.json",
             "{\"ociVersion\":\"1\",\"annotations\":{\"logq.io/exclude\":\"true\"}}");
    uid = other;
    assert_int_equal(find("conmon", ID), 1);
    assert_int_equal(m.hints.exclude.n, 0);
    uid = own;
    assert_int_equal(find("conmon", ID), 1);
    check_str(m.hints.exclude, "true");
}

/* Each user has containers of his own; root's are elsewhere. */
static void users_have_theirs_at_home(void **state)
{
    char joe[16];

    (void)state;
    (void)snprintf(joe, sizeof(joe), "%u", 4711u);
    roots[0] = arena_printf(a, "%s/home/*/storage", root);
    conf.runtime_state.n = 1;
    put_file("home/ann/storage/other/userdata/config.json", "{}");
    put_file("home/joe/storage/" ID "/userdata/config.json",
             "{\"ociVersion\":\"1\",\"annotations\":{\"logq.io/redact\":\"ip\"}}");
    uid = "0";
    assert_int_equal(find("conmon", ID), 1);
    assert_false(m.has_hints);
    uid = joe;
    assert_int_equal(find("conmon", ID), 1); /* he does not own it */
    assert_false(m.has_hints);
    if (fchownat(dir, "home/joe/storage/" ID "/userdata/config.json", 4711, (gid_t)-1, 0) < 0)
        return; /* only root can give it to him */
    assert_int_equal(find("conmon", ID), 1);
    check_str(m.hints.redact, "ip");
}

/* An entry is written as often as one likes: what is done for it does not grow with the users that
 * there are, and none of them can speak of another's containers between two looks. */
static unsigned stats;

static int counted_stat(struct opener *o, const char *path, struct stat *ret, struct err *e)
{
    (void)o;
    stats++;
    return opener_stat(NULL, path, ret, e);
}

static int real_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                     struct err *e)
{
    (void)o;
    return opener_open(NULL, kind, path, ret, e);
}

static int real_list(struct opener *o, const char *path, enum opener_stats what,
                     opener_entry_fn *fn, void *arg, struct err *e)
{
    (void)o;
    return opener_list(NULL, path, what, fn, arg, e);
}

static void nobody_is_looked_for_in_the_homes_of_others(void **state)
{
    static const struct opener_ops OPS = {
        .open = real_open, .stat = counted_stat, .list = real_list};
    struct opener counting = {&OPS};
    char home[32];

    (void)state;
    if (geteuid() != 0)
        skip(); /* only root can give homes to others */
    set.opener = &counting;
    roots[0] = arena_printf(a, "%s/home/*/storage", root);
    conf.runtime_state.n = 1;
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(home, sizeof(home), "home/%03u", i);
        assert_int_equal(file_make_dirs(dir, home, 0700, &err), 0);
        assert_int_equal(fchownat(dir, home, i < 200 ? 0 : 5000 + i, (gid_t)-1, 0), 0);
    }
    put_file("home/299/storage/" ID "/userdata/config.json",
             "{\"ociVersion\":\"1\",\"annotations\":{\"logq.io/redact\":\"ip\"}}");
    assert_int_equal(
        fchownat(dir, "home/299/storage/" ID "/userdata/config.json", 5299, (gid_t)-1, 0), 0);
    uid = "5299";
    stats = 0;
    assert_int_equal(find("conmon", ID), 1);
    check_str(m.hints.redact, "ip");
    assert_in_range(stats, 1, 100); /* root may have made some, and is believed */
}

static void what_is_no_container_is_not_asked_for(void **state)
{
    static const char *const IDS[] = {"", "../..", "47faa53c8566/..", "47FAA53C8566", "47faa53"};

    (void)state;
    put_file("docker/47FAA53C8566/config.v2.json",
             "{\"Name\":\"/web\",\"Config\":{\"Image\":\"i\"}}");
    for (size_t i = 0; i < sizeof(IDS) / sizeof(IDS[0]); i++) {
        assert_int_equal(find("dockerd", IDS[i]), 0);
        assert_int_equal(m.image.n, 0);
    }
}

static void nobody_is_asked_where_the_configuration_says_so(void **state)
{
    (void)state;
    roots[0] = STR("none");
    conf.runtime_state.n = 1;
    assert_int_equal(find("dockerd", ID), 0);
    assert_int_equal(m.image.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, dir_teardown)
CHECK_MAIN(TEST(docker_says_it_beside_the_log_that_is_not_there),
           TEST(podman_says_it_in_its_bundle_and_its_list), TEST(only_the_owner_says_what_it_is),
           TEST(users_have_theirs_at_home), TEST(nobody_is_looked_for_in_the_homes_of_others),
           TEST(what_is_no_container_is_not_asked_for),
           TEST(nobody_is_asked_where_the_configuration_says_so))
