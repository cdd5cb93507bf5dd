/* Unit tests of collector/source: what a log's hints are when those who knew its container and its
 * pod do not know them any more. */
#include "collector/source.h"

#include "base/record.h"
#include "collector/containers.h"
#include "collector/kube_pods.h"
#include "tests/unit/collector/dir_world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOG_PATH "/pods/ns_p_u/app/0.log"

static struct source_set *set;
static struct containers *containers;
static struct kube_pods *pods;
static struct source_description is;

static int setup(void **state)
{
    static const char YAML[] =
        "server: {address: '127.0.0.1:1', tls: false}\nstate_dir: /state\nhost: h\n"
        "inputs: [{type: cri, paths: ['/pods/*/*/*.log'], runtime_state: none}]\n";
    struct conf_errors errors;
    struct config *config;

    (void)dir_setup(state);
    if (config_parse("c.yaml", STR("/"), str_of(YAML), &config, &errors, &err) < 0)
        fail_msg("%s", err.text);
    set = source_set_new(config, NULL, true);
    pods = kube_pods_new();
    source_set_pods(set, pods);
    set->containers = containers = containers_open(dir, NULL);
    return 0;
}

static int teardown(void **state)
{
    source_set_unref(&set);
    containers_close(&containers);
    kube_pods_free(&pods);
    return dir_teardown(state);
}

/* The API server says so of pod u. */
static void annotate(const char *annotations)
{
    struct str object = arena_printf(a,
                                     "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"ns\",\"name\":"
                                     "\"p\",\"annotations\":{%s}},\"spec\":{\"nodeName\":\"n\","
                                     "\"containers\":[]}}",
                                     annotations);
    struct kube_pod pod;

    assert_int_equal(kube_pod_parse(object, a, &pod, &err), 0);
    assert_true(kube_pods_put(pods, &pod, &err) >= 0);
}

/* The collector was away for longer than pods are remembered. */
static void forget(void)
{
    containers_close(&containers);
    kube_pods_free(&pods);
    set->containers = containers = containers_open(dir, NULL);
    pods = kube_pods_new();
    source_set_pods(set, pods);
}

static int describe(bool last_try)
{
    memset(&is, 0, sizeof(is));
    return source_describe(&set->v[0], STR(LOG_PATH), last_try, a, &is);
}

static void what_a_pod_asked_for_is_done_when_nobody_knows_it_any_more(void **state)
{
    const struct profile *p;

    (void)state;
    annotate("\"logq.io/multiline\":\"java\",\"logq.io/redact\":\"ip\"");
    assert_int_equal(describe(false), 0);
    assert_string_equal(is.profile->multiline, "java");
    forget();
    p = source_profile(&set->v[0], STR(LOG_PATH), &is.labels, 0); /* of a kept log */
    assert_string_equal(p->multiline, "java");
    assert_int_equal(p->redact_types, is.profile->redact_types);
    assert_int_equal(describe(false), 1); /* its labels may come */
    assert_int_equal(describe(true), 0);
    assert_string_equal(is.profile->multiline, "java");
    assert_true(is.is_unresolved); /* it goes without its pod's labels */
}

static void what_it_asks_for_no_more_is_not(void **state)
{
    const struct profile *p;

    (void)state;
    annotate("\"logq.io/multiline\":\"java\"");
    assert_int_equal(describe(false), 0);
    annotate("");
    assert_int_equal(describe(false), 0);
    assert_string_equal(is.profile->multiline, "");
    forget();
    p = source_profile(&set->v[0], STR(LOG_PATH), &is.labels, 0);
    assert_string_equal(p->multiline, "");
    p = source_profile(&set->v[0], STR("/pods/ns_p_u/app/1.log"), &is.labels, 0);
    assert_string_equal(p->multiline, "");
}

static int crio_answer; /* errno; 0: it is there */
static unsigned crio_asked;

static int fake_stat(struct opener *o, const char *path, struct stat *ret, struct err *e)
{
    (void)o;
    if (strcmp(path, SOURCE_CRIO_SOCKET) != 0)
        return opener_local.stat(o, path, ret, e);
    crio_asked++;
    memset(ret, 0, sizeof(*ret));
    return crio_answer == 0 ? 0 : opener_err(e, crio_answer, "look at", path);
}

static void check_runtime(const char *want)
{
    assert_int_equal(describe(true), 0);
    for (size_t i = 0; i < is.labels.n; i++)
        if (str_eq(is.labels.v[i].name, STR("runtime"))) {
            check_str(is.labels.v[i].value, want);
            return;
        }
    fail_msg("no runtime");
}

/* The first question after the socket is answered so: then it is containerd's. */
static void begin_without_socket(int answer)
{
    static struct opener_ops ops;
    static struct opener fake = {&ops};

    ops = opener_local;
    ops.stat = fake_stat;
    set->opener = &fake;
    annotate("");
    crio_asked = 0;
    crio_answer = answer;
    check_runtime("containerd");
}

static void a_question_without_an_answer_is_asked_again(void **state)
{
    (void)state;
    begin_without_socket(ETIMEDOUT);
    crio_answer = 0;
    check_runtime("cri-o");
    crio_answer = ENOENT;
    check_runtime("cri-o"); /* and an answer is not */
    assert_int_equal(crio_asked, 2);
}

static void no_socket_is_an_answer(void **state)
{
    (void)state;
    begin_without_socket(ENOENT);
    crio_answer = 0;
    check_runtime("containerd");
    assert_int_equal(crio_asked, 1);
}

/* Any number of these may be made up. */
static void a_format_that_nobody_knows_makes_no_profile(void **state)
{
    const struct profile *p;

    (void)state;
    annotate("");
    assert_int_equal(describe(false), 0);
    assert_false(is.is_unresolved);
    p = is.profile;
    annotate("\"logq.io/multiline\":\"x1\"");
    assert_int_equal(describe(false), 0);
    assert_ptr_equal(is.profile, p);
    annotate("\"logq.io/multiline\":\"x2\"");
    assert_int_equal(describe(false), 0);
    assert_ptr_equal(is.profile, p);
}

static void a_configured_label_is_cut_as_any_other(void **state)
{
    struct labels *l = &set->config->labels;
    char *value = arena_alloc(a, 2 * RECORD_LABEL_VALUE_MAX);

    (void)state;
    annotate("");
    memset(value, 'x', 2 * RECORD_LABEL_VALUE_MAX);
    l->v = arena_alloc(a, 2 * sizeof(*l->v));
    l->v[0] = (struct label){STR("long"), {value, 2 * RECORD_LABEL_VALUE_MAX}};
    l->v[1] = (struct label){STR("pod"), STR("")}; /* is not wanted */
    l->n = 2;
    assert_int_equal(describe(false), 0);
    assert_int_equal(labels_get(&is.labels, STR("long")).n, RECORD_LABEL_VALUE_MAX);
    assert_int_equal(labels_get(&is.labels, STR("pod")).n, 0);
    assert_true(labels_get(&is.labels, STR("namespace")).n > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(what_a_pod_asked_for_is_done_when_nobody_knows_it_any_more),
           TEST(what_it_asks_for_no_more_is_not), TEST(a_question_without_an_answer_is_asked_again),
           TEST(no_socket_is_an_answer), TEST(a_format_that_nobody_knows_makes_no_profile),
           TEST(a_configured_label_is_cut_as_any_other))
