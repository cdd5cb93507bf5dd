/* Unit tests of collector/config: the table, its checks, and the example that the repository
 * carries. */
#include "collector/config.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int dir;
static char path[TMPDIR_PATH_MAX], file[TMPDIR_PATH_MAX + 16];
static struct config *c;
static struct conf_errors errors;
static struct err err;

static int setup(void **state)
{
    (void)state;
    dir = tmpdir_open(path);
    (void)snprintf(file, sizeof(file), "%s/c.yaml", path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(&c);
    tmpdir_close(dir);
    return 0;
}

static int load(const char *text)
{
    config_free(&c);
    return config_parse(file, STR_NULL, str_of(text), &c, &errors, &err);
}

/* The same, from its file, with the files that it names. */
static int load_file(const char *text)
{
    config_free(&c);
    assert_int_equal(file_replace(dir, "c.yaml", 0600, str_of(text), &err), 0);
    return config_load(file, &c, &errors, &err);
}

#define SERVER "server: {address: 'h:1', ca: ca.crt, cert: a.crt, key: /k}\n"

static void defaults_are_those_of_the_manual(void **state)
{
    char expected[TMPDIR_PATH_MAX + 16];

    (void)state;
    if (load(SERVER "inputs: [{type: cri}]\n") < 0)
        fail_msg("%.*s", STR_ARG(errors.v[0]));
    assert_int_equal(c->chunk_bytes, 256 << 10);
    assert_int_equal(c->chunk_delay, 200 * NS_PER_MS);
    assert_int_equal(c->window_chunks, 8);
    assert_int_equal(c->window_bytes, 8000000);
    assert_int_equal(c->max_line, 1 << 20);
    assert_int_equal(c->partial_timeout, 5 * NS_PER_S);
    assert_int_equal(c->ack_timeout, 30 * NS_PER_S);
    assert_int_equal(c->compress, CONFIG_COMPRESS_ZSTD);
    check_str(c->state_dir, "/var/lib/logq-collector");
    assert_true(c->host.n > 0);
    assert_int_equal(config_default_paths(c->sources[0].type).n, 1);
    (void)snprintf(expected, sizeof(expected), "%s/ca.crt", path);
    check_str(c->ca, expected); /* from the file's directory */
    check_str(c->key, "/k");
}

static void runtimes_state_is_where_it_is_usually_unless_it_is_named(void **state)
{
    struct conf_strs v;

    (void)state;
    assert_int_equal(load(SERVER
                          "inputs: [{type: cri}, {type: cri, runtime_state: /x}, {type: cri, "
                          "runtime_state: none}, {type: docker}, {type: journald}]\n"),
                     0);
    v = config_runtime_state(&c->sources[0]);
    assert_true(v.n > 2);
    check_str(v.v[0], "/run/containerd/runc/k8s.io");
    v = config_runtime_state(&c->sources[1]);
    assert_int_equal(v.n, 1);
    check_str(v.v[0], "/x");
    assert_int_equal(config_runtime_state(&c->sources[2]).n, 0);
    assert_int_equal(config_runtime_state(&c->sources[3]).n, 0);
    v = config_runtime_state(&c->sources[4]);
    assert_true(v.n > 1);
    check_str(v.v[0], "/var/lib/docker/containers");
}

static void what_is_printed_loads_again(void **state)
{
    struct buf first, second;
    char *text;

    (void)state;
    buf_init(&first, 1 << 16);
    buf_init(&second, 1 << 16);
    assert_int_equal(load(SERVER "labels: {env: prod}\ninputs: [{type: docker, exclude: [/x/*]}, "
                                 "{type: docker_events}]\n"),
                     0);
    config_print(&first, c);
    buf_add_char(&first, '\0');
    text = first.p;
    assert_int_equal(load(text), 0);
    config_print(&second, c);
    check_str(buf_str(&second), first.p);
    buf_fini(&first);
    buf_fini(&second);
}

static void expect_error(const char *text, const char *part)
{
    assert_int_equal(load(text), ERR_INVALID);
    for (size_t i = 0; i < errors.n; i++)
        if (str_find(errors.v[i], str_of(part)) != SIZE_MAX)
            return;
    fail_msg("no error says '%s', the first is '%.*s'", part, STR_ARG(errors.v[0]));
}

static void what_does_not_fit_together_is_said(void **state)
{
    (void)state;
    expect_error("server: {address: 'h:1'}\ninputs: [{type: cri}]\n", ":1:19: mutual TLS needs");
    expect_error("server: {address: 'h:1', tls: false}\ninputs: [{type: cri}]\n",
                 "must be on this host");
    expect_error(SERVER, "at least one input");
    expect_error(SERVER "inputs:\n  - type: file\n",
                 ":3:11: an input of type file or json needs paths");
    expect_error(SERVER "inputs: [{type: cri, paths: [x]}]\n", "must begin with /");
    expect_error(SERVER "inputs: [{type: docker, runtime_state: [/x]}]\n",
                 "for types cri and journald");
    expect_error(SERVER "inputs: [{type: cri, runtime_state: [/run/*]}]\n", "beginning with /");
    expect_error(SERVER "inputs: [{type: cri, runtime_state: [/x, none]}]\n", "beginning with /");
    expect_error(SERVER "inputs: [{type: docker_events, paths: [/x]}]\n", "not from paths");
    expect_error(SERVER "inputs: [{type: docker_events}, {type: docker_events}]\n",
                 "one input of events per engine");
    expect_error(SERVER "inputs: [{type: journald, directory: x}]\n", "must begin with /");
    expect_error(SERVER "inputs: [{type: journald, matches: [unit=x]}]\n", "a match is FIELD");
    expect_error(SERVER "inputs: [{type: journald, paths: [/x]}]\n", "in a directory");
    expect_error(SERVER "inputs: [{type: journald, since: never}]\n", "never");
    expect_error(SERVER "inputs: [{type: journald}, {type: journald}]\n",
                 "one input of type journald");
    expect_error(SERVER "inputs: [{type: cri, directory: /x}]\n", "for type journald");
    expect_error(SERVER "metrics: {listen: '0.0.0.0:1'}\ninputs: [{type: cri}]\n", "asks nobody");
    expect_error(SERVER "max_line: 2MiB\ninputs: [{type: cri}]\n", "max_line");
    expect_error(SERVER "maxline: 1MiB\ninputs: [{type: cri}]\n", "maxline");
}

/* What could never work is no start that is tried for ever. */
static void an_address_that_nobody_can_have_is_a_mistake(void **state)
{
#define LOCAL "inputs: [{type: cri}]\n"
    (void)state;
    assert_int_equal(load(LOCAL "server: {address: 'localhost:1', tls: false}\n"), 0);
    assert_int_equal(load(LOCAL "server: {address: '[::1]:1', tls: false}\n"), 0);
    expect_error(LOCAL "server: {address: '127.0.0.1', tls: false}\n",
                 ":2:19: '127.0.0.1' is no address: want host:port");
    expect_error(LOCAL "server: {address: ':99999', tls: false}\n", ":2:19: ':99999' is no");
    expect_error(LOCAL "server: {address: 'h:99999', tls: false}\n", "between 0 and 65535");
    expect_error(LOCAL "server: {address: 'h:0', tls: false}\n", "port 0");
    expect_error(LOCAL "server: {address: 'unix:x', tls: false}\n", "must begin with /");
    expect_error(LOCAL "server: {address: '127.evil.example:1', tls: false}\n", ":2:46: without");
    expect_error(LOCAL "server: {tls: false}\nservers: ['[::1]:1', bad]\n",
                 ":3:22: 'bad' is no address");
    expect_error(LOCAL "server: {tls: false}\nservers: bad\n", ":3:10: 'bad' is no address");
    expect_error(LOCAL "server: {tls: false}\nservers: ['[::1]:1', '[::1]:1']\n", ":3:22: an");
    assert_int_equal(load(SERVER LOCAL "metrics: {listen: '127.0.0.1:0'}\n"), 0);
    expect_error(SERVER LOCAL "metrics: {listen: 127.0.0.1}\n", ":3:19: '127.0.0.1' is no");
    expect_error(SERVER LOCAL "metrics: {listen: 'unix:x'}\n", "must begin with /");
}

/* None of these would ever leave out a file, or be looked at. */
static void paths_are_whole(void **state)
{
    (void)state;
    expect_error(SERVER "inputs: [{type: cri, exclude: [/x/*, '*.log']}]\n",
                 ":2:38: it is for whole paths");
    expect_error(SERVER "inputs: [{type: cri, paths: [/x/*, x]}]\n", ":2:36: a path must");
    expect_error(SERVER "inputs: [{type: docker, docker_root: x}]\n", "a path must begin");
    expect_error(SERVER LOCAL "privileges: {follow_into: [/x, rel]}\n", ":3:32: a path must");
}

static void files_of_tls_can_be_opened(void **state)
{
#define TLS(ca, cert, key)                                                                         \
    "server: {address: 'h:1', ca: " ca ", cert: " cert ", key: " key "}\ninputs: [{type: cri}]\n"
    (void)state;
    assert_int_equal(file_replace(dir, "a", 0600, STR("x"), &err), 0);
    assert_int_equal(load_file(TLS("a", "a", "a")), 0);
    assert_int_equal(load_file(TLS("a", "b", "/")), ERR_INVALID);
    assert_int_equal(errors.n, 2);
    assert_true(str_find(errors.v[0], STR("c.yaml:1:39: /")) != SIZE_MAX);
    assert_true(str_ends(errors.v[0], STR("/b: No such file or directory")));
    assert_true(str_ends(errors.v[1], STR(":1:47: /: Is a directory")));
    assert_int_equal(load_file("server: {address: '[::1]:1', tls: false}\n" LOCAL), 0);
    assert_int_equal(load_file(TLS("a", "b", "x/../a") "max_line: x\n"), ERR_INVALID);
    assert_int_equal(errors.n, 3); /* whatever else is wrong */
    expect_error(TLS("../a", "a", "a"), ":1:30: a path may not have . or ..");
    expect_error(TLS("a", "./a", "a"), "a path may not have . or ..");
    expect_error(TLS("a", "a", "/x//a"), "a path may not have . or ..");
    expect_error(SERVER LOCAL "kubernetes: {api: 'https://k', node: n, ca_file: ../x}\n",
                 ":3:50: a path may not have . or ..");
}

/* Not one after the other, and none that is but another's consequence. */
static void all_mistakes_are_told_at_once(void **state)
{
    (void)state;
    assert_int_equal(load(SERVER "max_line: x\n"
                                 "inputs:\n"
                                 "  - {type: cry, listen: ['[::1]:1'], paths: [y]}\n"
                                 "  - {type: forward, listen: {}}\n"
                                 "  - {type: file, paths: ['/var/lib/logq-collector/*']}\n"
                                 "rules:\n"
                                 "  - {sample: 1.5, rate: z, burst: 1}\n"),
                     ERR_INVALID);
    assert_int_equal(errors.n, 7);
    for (size_t i = 0; i < errors.n; i++) {
        static const char *const WANT[] = {
            ":2:11: 'max_line': 'x' is not a size", ":4:12: 'type': 'cry' is not one of",
            ":5:29: 'listen' must be a list",       ":8:25: 'rate': 'z' is not a whole number",
            ":4:46: a path must begin with /",      ":8:14: a part is a number from 0 to 1",
            ":6:25: it would read what is written"};
        if (str_find(errors.v[i], str_of(WANT[i])) == SIZE_MAX)
            fail_msg("'%.*s' is not '%s'", STR_ARG(errors.v[i]), WANT[i]);
    }
    assert_int_equal(load("server: {address: {}, ca: {}, tls: maybe}\n"), ERR_INVALID);
    assert_int_equal(errors.n, 4);
    assert_int_equal(load("servers: {}\ninputs: 5\n"), ERR_INVALID);
    assert_int_equal(errors.n, 3); /* certificates are missing, too */
    assert_int_equal(load("state_dir: {}\ninputs: [{type: file, paths: ['/*/*/*/*']}]\n" SERVER),
                     ERR_INVALID);
    assert_int_equal(errors.n, 1);
    assert_int_equal(load("}"), ERR_INVALID);
    assert_int_equal(errors.n, 1);
    assert_int_equal(load("[]"), ERR_INVALID);
    assert_int_equal(errors.n, 1);
}

/* A notice about what was read would be read, and so on. */
static void no_input_reads_what_is_written_to_state_dir(void **state)
{
    static const struct {
        const char *input;
        bool is_refused;
    } V[] = {
        {"{type: file, paths: ['/var/lib/*/*']}", true},
        {"{type: json, paths: ['/var/lib/lq/spool/*/*.jsonl']}", true},
        {"{type: file, paths: ['/x', '/var/lib/lq/[a-z]*']}", true},
        {"{type: json, paths: ['/var/lib/lq/spool/journald/*.jsonl']}", true},
        {"{type: file, paths: ['/var/lib/lq/journald.position']}", true},
        {"{type: file, paths: ['/var/lib/*/*'], exclude: ['/var/lib/lq/*']}", false},
        {"{type: file, paths: ['/var/lib/*/*.log']}", false},
        {"{type: file, paths: ['/var/lib/lq.log', '/var/lib/lq2/*']}", false},
        {"{type: docker}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(V) / sizeof(V[0]); i++) {
        char text[512];
        int r;
        (void)snprintf(text, sizeof(text), SERVER "state_dir: /var/lib/lq\ninputs: [%s]\n",
                       V[i].input);
        r = load(text);
        if ((r == ERR_INVALID) != V[i].is_refused || (r != 0 && r != ERR_INVALID))
            fail_msg("%s: %d", V[i].input, r);
    }
    expect_error(SERVER "state_dir: st\ninputs: [{type: file, paths: ['/*/*/st/*', '/*/*/*/st/*', "
                        "'/*/st/*', '/*/*/*/*/st/*']}]\n",
                 "written to state_dir");
}

static void rules_are_checked(void **state)
{
    (void)state;
    assert_int_equal(load(SERVER "inputs: [{type: cri, select: {exclude: {namespace: 'kube-*'}}}]\n"
                                 "rules:\n"
                                 "- {if: {line: x, level: debug, labels: {app: w}}, then: drop}\n"
                                 "- {name: thin, sample: 0.25, rate: 10}\n"),
                     0);
    assert_int_equal(c->n_rules, 2);
    check_str(c->rules[0].name, "rule1");
    check_str(c->rules[0].line, "x");
    assert_int_equal(c->rules[0].then, CONFIG_DROP);
    check_str(c->rules[1].name, "thin");
    assert_true(c->rules[1].sample > 0.24 && c->rules[1].sample < 0.26);
    assert_int_equal(c->rules[1].burst, 10);
    check_str(labels_get(&c->sources[0].select.exclude, STR("namespace")), "kube-*");
    assert_true(c->sources[0].hints);

#define RULES(text) SERVER "inputs: [{type: cri}]\nrules: [" text "]\n"
    expect_error(RULES("{name: a B}"), "a name is 1 to 15");
    expect_error(SERVER "inputs: [{type: cri, multiline: {format: cobol}}]\n", "cobol");
    expect_error(SERVER "inputs: [{type: cri, multiline: {format: go, start: '^x'}}]\n",
                 "in the place of a format");
    expect_error(SERVER "inputs: [{type: cri, multiline: {start: '(x'}}]\n", "missing");
    expect_error(SERVER "inputs: [{type: json}]\n", "needs paths");
    expect_error(SERVER "inputs: [{type: cri, message_key: msg}]\n", "type json");
    expect_error(SERVER "inputs: [{type: docker_events, multiline: {format: go}}]\n", "one line");
    expect_error(RULES("{name: x}, {name: x}"), "another rule");
    expect_error(RULES("{if: {level: loud}}"), "no such level");
    expect_error(RULES("{if: {stream: both}}"), "stdout or stderr");
    expect_error(RULES("{sample: 1.5}"), "from 0 to 1");
    expect_error(RULES("{sample: nan}"), "from 0 to 1");
    expect_error(RULES("{burst: 5}"), "needs a rate");
    expect_error(RULES("{if: {pattern: '(open'}}"), "missing");
    expect_error(SERVER "inputs: [{type: cri}]\nredact: {detectors: [jwt, ssn]}\n",
                 "a detector is");
    expect_error(SERVER "inputs: [{type: cri}]\nredact: {patterns: [{name: A, pattern: x}]}\n",
                 "a name is 1 to 15");
    expect_error(SERVER "inputs: [{type: cri}]\nredact: {patterns: [{name: a, pattern: '[x'}]}\n",
                 "missing");
}

static void kubernetes_needs_an_address_and_a_node(void **state)
{
#define KUBE(text) SERVER "inputs: [{type: cri}]\nkubernetes: {" text "}\n"
    (void)state;
    assert_int_equal(
        load(KUBE("api: 'https://[::1]:6443/x/', node: n, ca_file: k.crt, labels: team")), 0);
    check_str(c->kube.token_file, "/var/run/secrets/kubernetes.io/serviceaccount/token");
    assert_true(str_starts(c->kube.ca_file, str_of(path)));
    assert_int_equal(c->kube.labels.n, 1);
    check_str(c->kube.attributes.v[0], "*");
    assert_int_equal(load(KUBE("labels: []")), 0);
    assert_int_equal(c->kube.api.n, 0);
    expect_error(KUBE("api: 'https://k'"), "name of this node");
    expect_error(KUBE("api: 'http://k', node: n"), "this is https://");
    expect_error(KUBE("api: 'https://', node: n"), "this is https://");
    expect_error(KUBE("api: 'https:///x', node: n"), "this is https://");
    expect_error(KUBE("api: 'https://u@k', node: n"), "this is https://");
}

static void fluent_clients_are_on_this_host(void **state)
{
#define FORWARD(text) SERVER "inputs: [{type: forward, " text "}]\n"
    (void)state;
    assert_int_equal(load(FORWARD("listen: ['unix:/f.sock', '127.0.0.1:24224', '[::1]:1'], "
                                  "listen_mode: '622', listen_group: app")),
                     0);
    assert_int_equal(c->sources[0].forward.listen.n, 3);
    assert_int_equal(c->sources[0].forward.mode, 0622);
    assert_int_equal(c->sources[0].forward.spool_bytes, 256 << 20);
    assert_ptr_equal(config_find_source(c, CONFIG_FORWARD), &c->sources[0]);
    assert_null(config_find_source(c, CONFIG_DOCKER_EVENTS));
    assert_int_equal(load(FORWARD("listen: ['unix:/f.sock']")), 0);
    assert_int_equal(c->sources[0].forward.mode, 0660);
    expect_error(SERVER "inputs: [{type: forward}]\n", "needs listen");
    expect_error(FORWARD("listen: ['0.0.0.0:24224']"), "clients are on this host");
    expect_error(FORWARD("listen: ['localhost:24224']"), "clients are on this host");
    expect_error(FORWARD("listen: ['127.0.0.1:x']"), "no address");
    expect_error(FORWARD("listen: ['unix:f.sock']"), "must begin with /");
    expect_error(FORWARD("listen: ['[::1]:1', '[::1]:1']"), "there twice");
    expect_error(FORWARD("listen: ['[::1]:1', '[::1]:2', '[::1]:3', '[::1]:4', '[::1]:5']"),
                 "4 addresses");
    expect_error(FORWARD("listen: ['[::1]:1'], listen_mode: '888'"), "octal");
    expect_error(FORWARD("listen: ['[::1]:1'], listen_mode: '4755'"), "octal");
    expect_error(FORWARD("listen: ['[::1]:1'], paths: [/x]"), "reads no files");
    expect_error(FORWARD("listen: ['[::1]:1'], multiline: {format: go}"), "a record of its own");
    expect_error(SERVER "inputs: [{type: cri, listen: ['[::1]:1']}]\n", "only an input of type");
    expect_error(SERVER "inputs: [{type: forward, listen: ['[::1]:1']}, {type: forward, listen: "
                        "['[::1]:2']}]\n",
                 "one input of type forward");
}

static void the_example_is_what_the_table_says(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    assert_int_equal(file_read(AT_FDCWD, "config/collector.yaml", &text, &err), 0);
    assert_int_equal(
        config_parse("config/collector.yaml", STR_NULL, buf_str(&text), &c, &errors, &err), 0);
    for (const char *const *key = (const char *const[]){"server_name:",
                                                        "state_dir:",
                                                        "host:",
                                                        "labels:",
                                                        "window:",
                                                        "window_bytes:",
                                                        "delay:",
                                                        "compress:",
                                                        "compress_level:",
                                                        "ack_timeout:",
                                                        "max_line:",
                                                        "partial_timeout:",
                                                        "refused_bytes:",
                                                        "listen:",
                                                        "log_level:",
                                                        "paths:",
                                                        "exclude:",
                                                        "read_from:",
                                                        "docker_root:",
                                                        "runtime:",
                                                        "socket:",
                                                        "events_file:",
                                                        "tls:",
                                                        "detectors:",
                                                        "patterns:",
                                                        "rules:",
                                                        "select:",
                                                        "hints:",
                                                        "multiline:",
                                                        "multiline_timeout:",
                                                        "start:",
                                                        "message_key:",
                                                        "kubernetes:",
                                                        "token_file:",
                                                        "ca_file:",
                                                        "attributes:",
                                                        "runtime_state:",
                                                        "listen_mode:",
                                                        "listen_group:",
                                                        "spool_bytes:",
                                                        "directory:",
                                                        "since:",
                                                        "matches:",
                                                        NULL};
         *key != NULL; key++)
        if (str_find(buf_str(&text), str_of(*key)) == SIZE_MAX)
            fail_msg("config/collector.yaml does not show '%s'", *key);
    buf_fini(&text);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(defaults_are_those_of_the_manual, setup, teardown),
           cmocka_unit_test_setup_teardown(runtimes_state_is_where_it_is_usually_unless_it_is_named,
                                           setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_printed_loads_again, setup, teardown),
           cmocka_unit_test_setup_teardown(what_does_not_fit_together_is_said, setup, teardown),
           cmocka_unit_test_setup_teardown(an_address_that_nobody_can_have_is_a_mistake, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(paths_are_whole, setup, teardown),
           cmocka_unit_test_setup_teardown(files_of_tls_can_be_opened, setup, teardown),
           cmocka_unit_test_setup_teardown(all_mistakes_are_told_at_once, setup, teardown),
           cmocka_unit_test_setup_teardown(no_input_reads_what_is_written_to_state_dir, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(rules_are_checked, setup, teardown),
           cmocka_unit_test_setup_teardown(kubernetes_needs_an_address_and_a_node, setup, teardown),
           cmocka_unit_test_setup_teardown(fluent_clients_are_on_this_host, setup, teardown),
           cmocka_unit_test_setup_teardown(the_example_is_what_the_table_says, setup, teardown))
