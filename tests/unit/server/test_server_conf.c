/* server/server_conf.c: defaults, mistakes with their places, and config/server.yaml in step. */
#include "server/server_conf.h"

#include "server/retention.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20, PATH_BYTES = TMPDIR_PATH_MAX + 16 };

struct fixture {
    int dir;
    char path[TMPDIR_PATH_MAX], file[PATH_BYTES];
    struct server_conf conf;
    struct conf_errors errors;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->dir = tmpdir_open(f->path);
    (void)snprintf(f->file, sizeof(f->file), "%s/server.yaml", f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    server_conf_free(&f->conf);
    tmpdir_close(f->dir);
    free(f);
    return 0;
}

static int load(struct fixture *f, const char *text)
{
    assert_int_equal(file_replace(f->dir, "server.yaml", 0600, str_of(text), &f->err), 0);
    server_conf_free(&f->conf);
    return server_conf_load(f->file, &f->conf, &f->errors, &f->err);
}

static void print(const struct server_conf *c, struct buf *out)
{
    buf_init(out, TEXT_MAX);
    server_conf_print(c, out);
    buf_add_char(out, '\0');
    assert_false(out->over);
}

static void an_empty_file_means_the_defaults(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f, ""), 0);
    check_str(f->conf.dir, f->path);
    check_str(f->conf.http.listen, "127.0.0.1:3100");
    check_str(f->conf.forward.listen, "127.0.0.1:24224");
    check_str(f->conf.forward.tenant, "default");
    assert_int_equal(f->conf.forward.window_bytes, 8 << 20);
    assert_int_equal(f->conf.forward_local.n, 0);
    assert_int_equal(f->conf.storage.retention, 30 * NS_PER_DAY);
    assert_int_equal(f->conf.query.entries, 5000);
    assert_int_equal(f->conf.memory_bytes, 1 << 30);
    assert_int_equal(f->conf.n_tokens, 0);
    assert_false(f->conf.http.metrics_public);
}

/* Each mistake is named with the place where it stands. */
static void mistakes_are_named_with_their_place(void **state)
{
    static const struct {
        const char *text, *place, *says;
    } CASES[] = {
        {"htpp:\n  listen: x\n", ":1:1: ", "htpp"},
        {"http:\n  metrics_public: maybe\n", ":2:19: ", "metrics_public"},
        {"http:\n  max_body: 1GiB\n", ":2:13: ", "max_body"},
        {"http:\n  listen: nowhere\n", ":2:11: ", "no address"},
        {"forward:\n  listen: 127.0.0.1:99999\n", ":2:11: ", "port"},
        {"forward:\n  threads: 65\n", ":2:12: ", "threads"},
        {"forward:\n  max_message: 16MiB\n", ":2:16: ", "max_message"},
        {"forward:\n  max_payload: 16MiB\n", ":2:16: ", "max_payload"},
        {"forward:\n  tenant: a/b\n", ":2:11: ", "no tenant name"},
        {"forward_local_tenant: ..\n", ":1:23: ", "no tenant name"},
        {"forward_local: 0.0.0.0:24225\n", ":1:16: ", "loopback"},
        {"forward_local: 127.example.org:24225\n", ":1:16: ", "loopback"},
        {"tokens:\n  - name: a\n", ":2:5: ", "token_file"},
        {"tokens:\n  - name: a\n    token_file: t\n    tenants: [ok, 'a b']\n",
         ":4:14: ", "no tenant name"},
        {"tokens:\n  - name: a\n    token_file: t\n    role: root\n", ":4:11: ", "role"},
        {"storage:\n  head: 64MiB\nmemory: 100MiB\n", ":3:9: ", "twice storage.head"},
        {"alerting:\n  webhooks: [{url: 'ftp://x'}]\n", ":2:20: ", "https://"},
        {"alerting:\n  webhooks: [{url: 'http://h/'}, {url: 'http:///x'}]\n",
         ":2:40: ", "https://"},
        {"alerting:\n  webhooks: [{url: 'http://h/a b'}]\n", ":2:20: ", "https://"},
        {"alerting:\n  external_url: logs\n", ":2:17: ", "https://"},
        {"data_dir: [1\n", ":", "server.yaml"},
    };

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture *f = *state;
        struct str text;
        if (load(f, CASES[i].text) != ERR_INVALID)
            fail_msg("accepted: %s", CASES[i].text);
        assert_true(f->errors.n > 0);
        text = f->errors.v[0];
        assert_true(str_starts(text, str_of(f->file)));
        if (!str_starts(str_from(text, strlen(f->file)), str_of(CASES[i].place)) ||
            str_find(text, str_of(CASES[i].says)) == SIZE_MAX)
            fail_msg("%s\n'%.*s' does not say '%s' at '%s'", CASES[i].text, STR_ARG(text),
                     CASES[i].says, CASES[i].place);
        check_str(text, f->err.text);
    }
}

static void all_mistakes_of_a_file_come_at_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(load(f, "forward_local: 10.0.0.1:1\nforward_local_tenant: ''\n"
                             "forward:\n  tenant: a b\n"),
                     ERR_INVALID);
    assert_int_equal(f->errors.n, 3);
}

static void forced_labels_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    buf_add_z(&text, "forward_local_labels:\n");
    for (int i = 0; i < SERVER_CONF_FORCED_MAX; i++)
        buf_addf(&text, "  l%d: x\n", i);
    buf_add_char(&text, '\0');
    assert_int_equal(load(f, text.p), 0);
    text.n--;
    buf_add_z(&text, "  one_more: x\n");
    buf_add_char(&text, '\0');
    assert_int_equal(load(f, text.p), ERR_INVALID);
    buf_fini(&text);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(server_conf_load(f->file, &f->conf, &f->errors, &f->err), ERR_GONE);
    assert_int_equal(f->errors.n, 0);
    assert_non_null(strstr(f->err.text, "server.yaml"));
}

/* What `check` prints is a configuration of the same meaning. */
static void what_is_printed_loads_again_unchanged(void **state)
{
    struct fixture *f = *state;
    struct buf once, twice;

    assert_int_equal(
        load(f, "http: {listen: '[::1]:0', max_body: 1000KB}\nstorage: {retention: 0}\n"
                "forward_local: unix:/run/x.sock\nforward_local_labels: {site: 'a: b', n: '1'}\n"
                "tokens:\n  - {name: 'x #y', token_file: t, tenants: ['*'], role: writer}\n"
                "  - {name: z, token_file: u}\n"
                "alerting: {webhooks: [{url: 'http://h/?a=b'}], external_url: https://e}\n"),
        0);
    print(&f->conf, &once);
    if (load(f, once.p) < 0)
        fail_msg("%s:\n%s", f->err.text, once.p);
    print(&f->conf, &twice);
    assert_string_equal(once.p, twice.p);
    assert_int_equal(f->conf.n_tokens, 2);
    check_str(f->conf.tokens[0].name, "x #y");
    assert_int_equal(f->conf.tokens[0].role, ROLE_WRITER);
    check_str(labels_get(&f->conf.forward_local_labels, STR("site")), "a: b");
    buf_fini(&once);
    buf_fini(&twice);
}

static void secrets_are_not_printed(void **state)
{
    struct fixture *f = *state;
    struct buf out;

    assert_int_equal(load(f, "forward_local_shared_key: hush-hush\n"), 0);
    check_str(f->conf.forward_local_shared_key, "hush-hush");
    print(&f->conf, &out);
    assert_null(strstr(out.p, "hush"));
    assert_non_null(strstr(out.p, "(set)"));
    buf_fini(&out);
}

static void what_waits_for_a_restart_is_named(void **state)
{
    struct fixture *f = *state;
    struct server_conf running;
    struct buf out;

    buf_init(&out, TEXT_MAX);
    assert_int_equal(load(f, "forward_local_shared_key: a\n"), 0);
    running = f->conf;
    memset(&f->conf, 0, sizeof(f->conf));
    assert_int_equal(load(f, "log_level: debug\nhttp: {cert: other.crt}\n"
                             "tokens: [{name: a, token_file: t}]\nforward_local_shared_key: a\n"),
                     0);
    server_conf_waiting(&running, &f->conf, &out);
    check_str(buf_str(&out), ""); /* all of these a reload takes over */
    assert_int_equal(load(f, "http: {listen: '[::1]:0'}\nstorage: {retention: 1d}\n"
                             "alerting: {webhooks: [{url: 'http://h/'}]}\n"
                             "forward_local_shared_key: b\n"),
                     0);
    server_conf_waiting(&running, &f->conf, &out);
    check_str(buf_str(&out), "http.listen, forward_local_shared_key, storage.retention, "
                             "alerting.webhooks");
    buf_fini(&out);
    server_conf_free(&running);
}

/* Run where the sources are. */
static void the_example_in_config_is_the_tables(void **state)
{
    struct buf file, example;
    struct err err;
    (void)state;

    buf_init(&file, TEXT_MAX);
    buf_init(&example, TEXT_MAX);
    assert_int_equal(file_read(AT_FDCWD, "config/server.yaml", &file, &err), 0);
    server_conf_print_example(&example);
    buf_add_char(&file, '\0');
    buf_add_char(&example, '\0');
    assert_string_equal(file.p, example.p);
    buf_fini(&file);
    buf_fini(&example);
}

static void the_example_says_the_defaults(void **state)
{
    struct fixture *f = *state;
    struct buf example, defaults;

    assert_int_equal(load(f, ""), 0);
    print(&f->conf, &defaults);
    server_conf_free(&f->conf);
    if (server_conf_load("config/server.yaml", &f->conf, &f->errors, &f->err) < 0)
        fail_msg("%s", f->err.text);
    print(&f->conf, &example);
    assert_string_equal(example.p, defaults.p);
    buf_fini(&example);
    buf_fini(&defaults);
}

static void dev_needs_no_file(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(server_conf_dev("/somewhere", &f->conf, &f->err), 0);
    check_str(f->conf.http.listen, "127.0.0.1:3100");
    assert_string_equal(server_conf_path(&f->conf, STR("rules"), f->conf.arena),
                        "/somewhere/rules");
    assert_string_equal(server_conf_path(&f->conf, STR("/etc/x"), f->conf.arena), "/etc/x");
}

static void retention_rules_are_checked(void **state)
{
    struct fixture *f = *state;
    struct retention r;

    assert_int_equal(
        load(f,
             "storage:\n  retention_rules:\n  - {tenant: t, selector: '{app=\"x\"}', period: 7d}\n"
             "  - {period: 1d, max_bytes: 1GB}\n"),
        0);
    assert_int_equal(retention_load(&f->conf, &r, &f->err), 0);
    assert_int_equal(r.n, 2);
    check_str(r.rules[0].tenant, "t");
    assert_int_equal(r.rules[0].n_matchers, 1);
    assert_int_equal(r.rules[0].period, 7 * NS_PER_DAY);
    assert_int_equal(r.rules[1].n_matchers, 0);
    assert_int_equal(r.rules[1].max_bytes, 1000000000);
    retention_fini(&r);
}

static void retention_rules_that_mean_nothing_are_refused(void **state)
{
    static const struct {
        const char *rule, *says;
    } CASES[] = {
        {"{period: 1d, selector: '{a=}'}", "parse error"},
        {"{period: 1d, selector: '{a=\"b\"} |= \"x\"'}", "a stream selector is needed"},
        {"{period: 1d, selector: '{a=\"b\"}', max_bytes: 1}", "of a whole tenant"},
        {"{period: 1d, tenant: 'a b'}", "no tenant name"},
        {"{tenant: t}", "period"},
    };
    char text[200];

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct fixture *f = *state;
        (void)snprintf(text, sizeof(text), "storage:\n  retention_rules:\n  - %s\n", CASES[i].rule);
        assert_int_equal(load(f, text), ERR_INVALID);
        if (strstr(f->err.text, CASES[i].says) == NULL)
            fail_msg("'%s': %s", CASES[i].rule, f->err.text);
    }
}

static void loopback_is_told_from_what_looks_like_it(void **state)
{
    static const char *const YES[] = {"127.0.0.1:1", "127.9.9.9:0", "[::1]:24224", "localhost:3100",
                                      "unix:/run/x"};
    static const char *const NO[] = {"0.0.0.0:1",     "[::]:1", "10.0.0.1:1", "127.0.0.1.example:1",
                                     "localhost.x:1", "::1",    "",           "128.0.0.1:1"};
    (void)state;

    for (size_t i = 0; i < sizeof(YES) / sizeof(YES[0]); i++)
        if (!server_conf_is_loopback(str_of(YES[i])))
            fail_msg("%s is loopback", YES[i]);
    for (size_t i = 0; i < sizeof(NO) / sizeof(NO[0]); i++)
        if (server_conf_is_loopback(str_of(NO[i])))
            fail_msg("%s is not loopback", NO[i]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(an_empty_file_means_the_defaults), T(mistakes_are_named_with_their_place),
           T(all_mistakes_of_a_file_come_at_once), T(forced_labels_are_bounded),
           T(a_file_that_is_not_there_is_named), T(what_is_printed_loads_again_unchanged),
           T(secrets_are_not_printed), T(what_waits_for_a_restart_is_named),
           T(the_example_in_config_is_the_tables), T(the_example_says_the_defaults),
           T(dev_needs_no_file), T(retention_rules_are_checked),
           T(retention_rules_that_mean_nothing_are_refused),
           T(loopback_is_told_from_what_looks_like_it))
