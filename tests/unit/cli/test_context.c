/* query/cli/context.c: flag before environment before file, addresses, and where a token may go. */
#include "query/cli/context.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    int dir;
    char home[TMPDIR_PATH_MAX];
    struct args args;
    struct context_env env;
    struct context ctx;
    struct err err;
};

static void write_file(struct place *p, const char *name, const char *text)
{
    assert_int_equal(file_replace(p->dir, name, 0600, str_of(text), &p->err), 0);
}

static int setup(void **state)
{
    struct place *p = mem_new(sizeof(*p));

    p->dir = tmpdir_open(p->home);
    p->env.home = p->home;
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    context_fini(&p->ctx);
    tmpdir_close(p->dir);
    free(p);
    return 0;
}

static int load(struct place *p)
{
    context_fini(&p->ctx);
    return context_load(&p->args, &p->env, &p->ctx, &p->err);
}

static void check_load(struct place *p)
{
    if (load(p) < 0)
        fail_msg("%s", p->err.text);
}

static void without_anything_it_is_the_dev_server(void **state)
{
    struct place *p = *state;

    check_load(p);
    assert_string_equal(p->ctx.address, "127.0.0.1:3100");
    assert_string_equal(p->ctx.prefix, "");
    assert_false(p->ctx.tls);
    assert_null(p->ctx.token);
    assert_null(p->ctx.ca);
    assert_null(p->ctx.tenant);
}

static void a_flag_goes_before_the_environment_before_the_file(void **state)
{
    struct place *p = *state;

    assert_int_equal(file_make_dirs(p->dir, ".config/logq", 0700, &p->err), 0);
    write_file(p, ".config/logq/config.yaml",
               "addr: https://file:1\nca: ca.pem\ntoken_file: token\ntenant: file\n");
    write_file(p, ".config/logq/token", "lq_file\n");
    write_file(p, "flag.token", "lq_flag\n");
    check_load(p);
    assert_string_equal(p->ctx.address, "file:1");
    assert_true(p->ctx.tls);
    assert_string_equal(p->ctx.token, "lq_file");
    assert_string_equal(p->ctx.tenant, "file");
    check_str(str_from(str_of(p->ctx.ca), strlen(p->home)), "/.config/logq/ca.pem");

    p->env.addr = "https://env:2";
    p->env.token = "lq_env";
    p->env.ca_file = "/env/ca.pem";
    p->env.tenant = ""; /* as if not set */
    check_load(p);
    assert_string_equal(p->ctx.address, "env:2");
    assert_string_equal(p->ctx.token, "lq_env");
    assert_string_equal(p->ctx.ca, "/env/ca.pem");
    assert_string_equal(p->ctx.tenant, "file");

    char token_file[TMPDIR_PATH_MAX + 16];
    (void)snprintf(token_file, sizeof(token_file), "%s/flag.token", p->home);
    p->args = (struct args){
        .addr = "https://flag:3", .token_file = token_file, .ca = "flag.pem", .tenant = "flag"};
    check_load(p);
    assert_string_equal(p->ctx.address, "flag:3");
    assert_string_equal(p->ctx.token, "lq_flag");
    assert_string_equal(p->ctx.ca, "flag.pem");
    assert_string_equal(p->ctx.tenant, "flag");
}

static void xdg_config_home_replaces_home(void **state)
{
    struct place *p = *state;
    char other[TMPDIR_PATH_MAX + 8];

    (void)snprintf(other, sizeof(other), "%s/xdg", p->home);
    assert_int_equal(file_make_dirs(p->dir, "xdg/logq", 0700, &p->err), 0);
    write_file(p, "xdg/logq/config.yaml", "tenant: xdg\n");
    p->env.config_home = other;
    check_load(p);
    assert_string_equal(p->ctx.tenant, "xdg");
    p->env.config_home = "relative";
    check_load(p);
    assert_null(p->ctx.tenant);
}

static void a_mistake_in_the_file_has_its_place(void **state)
{
    struct place *p = *state;
    char want[256];

    assert_int_equal(file_make_dirs(p->dir, ".config/logq", 0700, &p->err), 0);
    write_file(p, ".config/logq/config.yaml", "addr: https://a\ntenat: b\n");
    assert_int_equal(load(p), ERR_INVALID);
    (void)snprintf(want, sizeof(want), "%s/.config/logq/config.yaml:2:1: ", p->home);
    if (!str_starts(str_of(p->err.text), str_of(want)))
        fail_msg("%s", p->err.text);
}

static void an_address_is_a_url(void **state)
{
    static const struct {
        const char *url, *address, *prefix;
        bool tls;
    } good[] = {
        {"https://logs.example.com", "logs.example.com:443", "", true},
        {"http://localhost/", "localhost:80", "", false},
        {"https://h:3100/logq//", "h:3100", "/logq", true},
        {"https://[::1]:3100", "[::1]:3100", "", true},
        {"https://[2001:db8::1]/a/b", "[2001:db8::1]:443", "/a/b", true},
    };
    static const char *const bad[] = {
        "logs:3100",       "ftp://h",     "https://",      "https://:3100",  "https://h:0",
        "https://h:65536", "https://h:x", "https://h:",    "https://[::1",   "https://[]:1",
        "https://u@h",     "https://h?q", "https://h/a b", "https://[::1]x", "https://h\r\nX: y",
    };
    struct place *p = *state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        p->args.addr = good[i].url;
        check_load(p);
        assert_string_equal(p->ctx.address, good[i].address);
        assert_string_equal(p->ctx.prefix, good[i].prefix);
        assert_int_equal(p->ctx.tls, good[i].tls);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p->args.addr = bad[i];
        if (load(p) != ERR_INVALID)
            fail_msg("%s was taken", bad[i]);
    }
}

static void a_token_stays_on_this_host_without_tls(void **state)
{
    static const char *const near[] = {"http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:1",
                                       "http://localhost:1", "https://far.example"};
    static const char *const far[] = {"http://10.0.0.1:1", "http://127.evil.example",
                                      "http://localhost.evil.example", "http://[::2]"};
    struct place *p = *state;

    p->env.token = "lq_x";
    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        p->args.addr = near[i];
        check_load(p);
    }
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        p->args.addr = far[i];
        if (load(p) != ERR_INVALID)
            fail_msg("the token would go to %s", far[i]);
    }
    p->env.token = NULL;
    check_load(p); /* nothing to lose */
}

static void a_token_is_one_word(void **state)
{
    struct place *p = *state;
    char path[TMPDIR_PATH_MAX + 16];

    (void)snprintf(path, sizeof(path), "%s/t", p->home);
    p->args.token_file = path;
    assert_int_equal(load(p), ERR_GONE);
    write_file(p, "t", " \n");
    assert_int_equal(load(p), ERR_INVALID);
    write_file(p, "t", "lq_a\nlq_b\n");
    assert_int_equal(load(p), ERR_INVALID);
    write_file(p, "t", "  lq_a\r\n");
    check_load(p);
    assert_string_equal(p->ctx.token, "lq_a");
    p->args.token_file = NULL;
    p->env.token = "lq a";
    assert_int_equal(load(p), ERR_INVALID);
}

static void servers_have_names(void **state)
{
    struct place *p = *state;

    assert_int_equal(file_make_dirs(p->dir, ".config/logq", 0700, &p->err), 0);
    write_file(p, ".config/logq/config.yaml",
               "addr: https://top:1\ntoken: lq_top\nservers:\n"
               "  - {name: prod, addr: \"https://prod:2\", tenant: t}\n"
               "  - {name: lab, addr: \"https://lab:3\", token: lq_lab}\n");
    p->env.addr = "https://env:4";
    p->env.token = "lq_env";
    p->args.server = "prod";
    check_load(p);
    assert_string_equal(p->ctx.address, "prod:2");
    assert_string_equal(p->ctx.tenant, "t");
    assert_null(p->ctx.token); /* neither the environment's nor that of the server without a name */
    p->args.server = NULL;
    p->env.server = "lab";
    check_load(p);
    assert_string_equal(p->ctx.address, "env:4");
    p->env.addr = p->env.token = NULL;
    check_load(p);
    assert_string_equal(p->ctx.address, "lab:3");
    assert_string_equal(p->ctx.token, "lq_lab");
    p->env.server = "lob";
    assert_int_equal(load(p), ERR_INVALID);
    assert_string_equal(p->err.text, "config.yaml has no server 'lob', did you mean 'lab'?");
    p->env.server = NULL;
    check_load(p);
    assert_string_equal(p->ctx.address, "top:1");
    assert_int_equal(p->ctx.n_servers, 2);
}

static void queries_are_saved(void **state)
{
    struct place *p = *state;
    const char *text = NULL;

    assert_int_equal(file_make_dirs(p->dir, ".config/logq", 0700, &p->err), 0);
    write_file(p, ".config/logq/config.yaml",
               "queries:\n  - name: errors\n    query: '{app=\"web\"} |= \"x\"'\n");
    check_load(p);
    assert_int_equal(context_query(&p->ctx, STR("errors"), &text, &p->err), 0);
    assert_string_equal(text, "{app=\"web\"} |= \"x\"");
    assert_int_equal(context_query(&p->ctx, STR("error"), &text, &p->err), ERR_INVALID);
    assert_string_equal(p->err.text, "no query is saved as @error, did you mean @errors?");
    write_file(p, ".config/logq/config.yaml", "queries:\n  - name: errors\n");
    assert_int_equal(load(p), ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(without_anything_it_is_the_dev_server),
           TEST(a_flag_goes_before_the_environment_before_the_file),
           TEST(xdg_config_home_replaces_home), TEST(a_mistake_in_the_file_has_its_place),
           TEST(an_address_is_a_url), TEST(a_token_stays_on_this_host_without_tls),
           TEST(a_token_is_one_word), TEST(servers_have_names), TEST(queries_are_saved))
