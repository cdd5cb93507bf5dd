/* Unit tests of collector/opener_remote, opener_serve and gate: a process without rights asks one
 * that has them, here two threads. */
#include "collector/opener_remote.h"

#include "base/file.h"
#include "base/time.h"
#include "collector/channel.h"
#include "collector/gate.h"
#include "collector/metrics.h"
#include "collector/opener_ask.h"
#include "collector/opener_serve.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int dir, files[2], gate[2];
static char root[TMPDIR_PATH_MAX], path[TMPDIR_PATH_MAX + 64];
static struct policy *policy;
static struct opener_serve *serve;
static struct opener *o;
static struct gate_sockets sockets;
static pthread_t opens, connects;
static struct err err;

static void *serve_files(void *arg)
{
    struct err why;

    (void)arg;
    while (opener_serve_one(serve, files[0], &why) == 0) {
    }
    (void)close(files[0]); /* as the process would */
    return NULL;
}

static void *serve_gate(void *arg)
{
    (void)arg;
    (void)gate_run(&sockets, gate[0]);
    (void)close(gate[0]);
    return NULL;
}

static const char *at(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static int setup(void **state)
{
    struct conf_errors errors;
    struct config *config;
    struct source_set *set;
    struct buf text;
    static char socket_path[TMPDIR_PATH_MAX + 16];

    (void)state;
    metrics_setup();
    dir = tmpdir_open(root);
    assert_int_equal(file_replace(dir, "a.log", 0600, STR("one\n"), &err), 0);
    assert_int_equal(file_replace(dir, "key", 0600, STR("secret"), &err), 0);
    buf_init(&text, 4096);
    buf_addf(&text,
             "server: {address: '127.0.0.1:1', tls: false}\ninputs: [{type: file, paths: "
             "['%s/*.log', '%s/logs/*/*.log']}]\n",
             root, root);
    assert_int_equal(config_parse("c", STR("/"), buf_str(&text), &config, &errors, &err), 0);
    buf_fini(&text);
    set = source_set_new(config, NULL, false);
    policy = policy_new();
    policy_add(policy, set);
    source_set_unref(&set);
    serve = opener_serve_new(policy);
    (void)snprintf(socket_path, sizeof(socket_path), "%s/d.sock", root);
    sockets = (struct gate_sockets){.engines = {str_of(socket_path)}, .n = 1};
    assert_int_equal(channel_pair(files, &err), 0);
    assert_int_equal(channel_pair(gate, &err), 0);
    assert_int_equal(pthread_create(&opens, NULL, serve_files, NULL), 0);
    assert_int_equal(pthread_create(&connects, NULL, serve_gate, NULL), 0);
    o = opener_remote(files[1], -1, gate[1], 60000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    opener_free(&o);
    (void)close(files[1]);
    (void)close(gate[1]);
    (void)pthread_join(opens, NULL);
    (void)pthread_join(connects, NULL);
    opener_serve_free(&serve);
    policy_free(&policy);
    tmpdir_close(dir);
    return 0;
}

static void a_log_comes_as_a_descriptor(void **state)
{
    struct buf b;
    struct stat st;
    int fd;

    (void)state;
    buf_init(&b, 100);
    assert_int_equal(opener_read(o, OPENER_LOG, at("a.log"), &b, &err), 0);
    check_str(buf_str(&b), "one\n");
    buf_fini(&b);
    assert_int_equal(opener_stat(o, path, &st, &err), 0);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(opener_open(o, OPENER_LOG, at("b.log"), &fd, &err), ERR_GONE);
    assert_int_equal(err.sys, ENOENT);
}

static void what_nobody_asked_for_is_refused_and_counted(void **state)
{
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(opener_open(o, OPENER_LOG, at("key"), &fd, &err), ERR_DENIED);
    assert_int_equal(opener_stat(o, "/etc/shadow", &st, &err), ERR_DENIED);
    assert_int_equal(symlinkat("key", dir, "evil.log"), 0);
    assert_int_equal(opener_open(o, OPENER_LOG, at("evil.log"), &fd, &err), ERR_DENIED);
    assert_int_equal(opener_open(o, OPENER_CONF, at("a.log"), &fd, &err), ERR_DENIED);
    assert_int_equal(metric_get(METRIC_OPENS_REFUSED), 4);
    assert_int_equal(mkfifoat(dir, "fifo.log", 0600), 0); /* nobody waits for a writer */
    assert_int_equal(opener_open(o, OPENER_LOG, at("fifo.log"), &fd, &err), ERR_DENIED);
}

static void count(void *arg, const char *name, const struct stat *st)
{
    (void)name;
    if (st == NULL || S_ISREG(st->st_mode))
        ++*(unsigned *)arg;
}

static void directories_behind_links_of_others_are_not_looked_into(void **state)
{
    struct err why;
    struct stat st;
    unsigned n = 0;
    int inotify, wd;

    (void)state;
    assert_int_equal(file_make_dirs(dir, "logs/plain", 0755, &err), 0);
    assert_int_equal(file_make_dirs(dir, "private", 0755, &err), 0);
    assert_int_equal(symlinkat("../private", dir, "logs/link"), 0);
    assert_int_equal(symlinkat("key", dir, "evil.log"), 0);
    assert_int_equal(opener_inotify(o, &inotify, &err), 0);
    assert_int_equal(opener_list(o, at("logs/plain"), OPENER_STATS, count, &n, &why), 0);
    assert_int_equal(opener_watch_dir(o, inotify, path, &wd, &why), 0);
    assert_int_equal(opener_stat(o, path, &st, &why), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(opener_list(o, at("logs/link"), OPENER_STATS, count, &n, &why), ERR_DENIED);
    assert_int_equal(opener_watch_dir(o, inotify, path, &wd, &why), ERR_DENIED);
    assert_int_equal(opener_stat(o, path, &st, &why), ERR_DENIED);
    assert_int_equal(opener_stat(o, at("evil.log"), &st, &why), ERR_DENIED);
    assert_int_equal(opener_list(o, at("logs/none"), OPENER_STATS, count, &n, &why), ERR_GONE);
    (void)close(inotify);
}

static void a_long_listing_comes_in_many_packets(void **state)
{
    unsigned names = 0, stats = 0;
    char name[64];

    (void)state;
    for (unsigned i = 0; i < 1500; i++) {
        (void)snprintf(name, sizeof(name), "a-name-that-is-not-short-at-all-%06u.log", i);
        (void)close(openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    assert_int_equal(opener_list(o, root, OPENER_NO_STATS, count, &names, &err), 0);
    assert_int_equal(names, 1502);
    assert_int_equal(opener_list(o, root, OPENER_STATS, count, &stats, &err), 0);
    assert_int_equal(stats, 1502);
    assert_int_equal(opener_list(o, "/etc", OPENER_NO_STATS, count, &names, &err), ERR_DENIED);
    assert_int_equal(opener_list(o, at("a.log"), OPENER_NO_STATS, count, &names, &err), ERR_DENIED);
}

static void watches_are_added_there_and_heard_here(void **state)
{
    char text[4096];
    struct inotify_event e;
    int inotify, fd, wd, dir_wd;

    (void)state;
    assert_int_equal(opener_inotify(o, &inotify, &err), 0);
    assert_int_equal(opener_open(o, OPENER_LOG, at("a.log"), &fd, &err), 0);
    assert_int_equal(opener_watch_file(o, inotify, fd, &wd, &err), 0);
    assert_int_equal(opener_watch_dir(o, inotify, "/etc", &dir_wd, &err), ERR_DENIED);
    assert_int_equal(opener_watch_dir(o, inotify, root, &dir_wd, &err), 0);
    (void)close(fd);
    fd = openat(dir, "a.log", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(file_write_all(fd, "x", 1, &err), 0);
    assert_true(read(inotify, text, sizeof(text)) > 0);
    memcpy(&e, text, sizeof(e));
    assert_int_equal(e.wd, wd);
    assert_int_not_equal(dir_wd, wd);
    (void)close(fd);
    (void)close(inotify);
}

/* Bytes that are no question, with a descriptor, end the service and harm nobody. */
static void whoever_does_not_ask_properly_is_not_answered(void **state)
{
    struct opener_ask ask = {.op = OPENER_OP_OPEN, .path_bytes = 5};
    int fd;

    (void)state;
    memcpy(ask.path, "/abcd", 5); /* without its end */
    assert_int_equal(channel_send(files[1], &ask, OPENER_ASK_HEAD + 5, dir, &err), 0);
    assert_int_equal(opener_open(o, OPENER_LOG, at("a.log"), &fd, &err), ERR_IO);
    assert_int_equal(err.sys, EPIPE);
}

static void count_each(void *arg, const char *name, const struct stat *st)
{
    (void)name;
    (void)st;
    ++*(size_t *)arg;
}

static size_t count_fds(void)
{
    size_t n = 0;

    assert_int_equal(opener_list(NULL, "/proc/self/fd", OPENER_NO_STATS, count_each, &n, &err), 0);
    return n;
}

/* A packet of nothing is the end, whatever descriptor comes with it. */
static void a_packet_of_nothing_leaves_no_descriptor(void **state)
{
    size_t before, n = 0;
    char got;
    int pair[2], fd;

    (void)state;
    assert_int_equal(channel_pair(pair, &err), 0);
    before = count_fds();
    assert_int_equal(channel_send(pair[0], "", 0, dir, &err), 0);
    assert_int_equal(channel_receive(pair[1], &got, 1, &n, &fd, &err), 1);
    assert_int_equal(fd, -1);
    assert_int_equal(count_fds(), before);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* ---- the gate ---- */

static int check_head(const char *text)
{
    return gate_check(str_of(text), &err);
}

#define REST " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

static void one_request_passes_the_gate(void **state)
{
    static const char GOOD[] = "GET /events?since=1700000000" REST;

    (void)state;
    for (size_t n = 0; n < sizeof(GOOD) - 1; n++)
        assert_int_equal(gate_check((struct str){GOOD, n}, &err), 0);
    assert_int_equal(check_head(GOOD), 1);
    assert_int_equal(check_head("GET /events?since=0" REST "x"), ERR_DENIED);
    assert_int_equal(check_head("GET /events?since=" REST), ERR_DENIED);
    assert_int_equal(check_head("GET /events?since=123456789012345678901" REST), ERR_DENIED);
    assert_int_equal(check_head("GET /events?since=1&until=2" REST), ERR_DENIED);
    assert_int_equal(check_head("GET /containers/json"), ERR_DENIED);
    assert_int_equal(check_head("POST"), ERR_DENIED);
}

static int engine_listen(void)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    int ls = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(here.sun_path, sizeof(here.sun_path), "%.100s", at("d.sock"));
    assert_int_equal(bind(ls, (const struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(listen(ls, 4), 0);
    return ls;
}

/* Read until `n` bytes are there or the end; the descriptor may not block. */
static size_t read_up_to(int fd, char *to, size_t n)
{
    size_t got = 0;

    while (got < n) {
        struct pollfd f = {.fd = fd, .events = POLLIN};
        ssize_t r;
        if (poll(&f, 1, 20000) <= 0)
            break;
        r = read(fd, to + got, n - got);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    return got;
}

static void an_engines_answer_is_passed_on_and_nothing_else(void **state)
{
    static const char ASK[] = "GET /events?since=5" REST;
    enum { BIG = 1 << 20 };
    char *text = malloc(BIG);
    int ls = engine_listen(), fd, engine;

    (void)state;
    assert_non_null(text);
    assert_int_equal(opener_connect(o, "/run/other.sock", &fd, &err), ERR_DENIED);
    assert_int_equal(opener_connect(o, at("d.sock"), &fd, &err), 0);
    engine = accept(ls, NULL, NULL);
    assert_int_equal(write(fd, ASK, 10), 10);
    assert_int_equal(write(fd, ASK + 10, sizeof(ASK) - 11), (ssize_t)sizeof(ASK) - 11);
    assert_int_equal(read_up_to(engine, text, sizeof(ASK) - 1), sizeof(ASK) - 1);
    assert_memory_equal(text, ASK, sizeof(ASK) - 1);
    memset(text, 'e', BIG); /* more than any buffer on the way */
    for (size_t at_byte = 0, back = 0; back < BIG;) {
        ssize_t n = at_byte < BIG ? send(engine, text + at_byte, BIG - at_byte, MSG_DONTWAIT) : 0;
        char got[65536];
        if (n > 0)
            at_byte += (size_t)n;
        back += read_up_to(fd, got, BIG - back < sizeof(got) ? BIG - back : sizeof(got));
        if (at_byte < BIG)
            continue;
        assert_true(back <= BIG);
    }
    assert_int_equal(write(fd, "GET /x", 6), 6); /* a second request: the end */
    assert_int_equal(read_up_to(fd, text, 1), 0);
    assert_int_equal(read_up_to(engine, text, 1), 0);
    (void)close(fd);
    (void)close(engine);
    (void)close(ls);
    free(text);
}

static void a_bad_request_never_reaches_the_engine(void **state)
{
    static const char ASK[] = "POST /containers/create HTTP/1.1\r\n\r\n";
    char text[64];
    int ls = engine_listen(), fd, engine;

    (void)state;
    assert_int_equal(opener_connect(o, at("d.sock"), &fd, &err), 0);
    engine = accept(ls, NULL, NULL);
    assert_int_equal(write(fd, ASK, sizeof(ASK) - 1), (ssize_t)sizeof(ASK) - 1);
    assert_int_equal(read_up_to(engine, text, sizeof(text)), 0); /* closed, without a byte */
    (void)close(fd);
    (void)close(engine);
    (void)close(ls);
}

static void *serve_late(void *arg)
{
    struct err why;

    while (opener_serve_one(serve, *(int *)arg, &why) == 0) {
    }
    return NULL;
}

/* The other process hangs in a file system that is gone. */
static void a_question_that_is_not_answered_is_given_up(void **state)
{
    dur_ns deadline = time_mono() + 10 * NS_PER_S;
    struct opener *late;
    struct stat st;
    pthread_t thread;
    int pair[2];

    (void)state;
    assert_int_equal(channel_pair(pair, &err), 0);
    late = opener_remote(pair[1], -1, -1, 20);
    for (int i = 0; i < 3; i++) { /* asked once, and not again meanwhile */
        assert_int_equal(opener_stat(late, at("a.log"), &st, &err), ERR_IO);
        assert_int_equal(err.sys, ETIMEDOUT);
    }
    assert_int_equal(metric_get(METRIC_OPENS_LATE), 1);
    assert_int_equal(opener_serve_one(serve, pair[0], &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_late, &pair[0]), 0);
    memset(&st, 0, sizeof(st));
    while (opener_stat(late, root, &st, &err) < 0) /* as soon as it does not hang any more */
        assert_true(time_mono() < deadline);
    assert_true(S_ISDIR(st.st_mode)); /* by its own answer, not the late one */
    opener_free(&late);
    (void)close(pair[1]);
    (void)pthread_join(thread, NULL);
    (void)close(pair[0]);
}

/* ---- more of them ---- */

enum { HELPERS = 4, FIRST_ANSWERS = 2 };

static struct {
    int more[2], channels[HELPERS];
    struct opener_serve *serves[HELPERS];
    pthread_t threads[HELPERS], giver;
    unsigned n;
} given;

/* The first answers so many questions, and hangs in the next. */
static void *serve_given(void *arg)
{
    size_t i = (size_t)(uintptr_t)arg;
    struct err why;

    for (unsigned n = 0; i > 0 || n < FIRST_ANSWERS; n++)
        if (opener_serve_one(given.serves[i], given.channels[i], &why) != 0)
            break;
    return NULL;
}

/* What priv_files does, with threads. */
static void *give(void *arg)
{
    struct err why;
    char want;
    size_t n;
    int pair[2], fd;

    (void)arg;
    while (channel_receive(given.more[0], &want, 1, &n, &fd, &why) == 0 && given.n < HELPERS &&
           channel_pair(pair, &why) == 0) {
        int32_t sys = 0;
        given.channels[given.n] = pair[0];
        given.serves[given.n] = opener_serve_new(policy);
        (void)pthread_create(&given.threads[given.n], NULL, serve_given,
                             (void *)(uintptr_t)given.n);
        given.n++;
        (void)channel_send(given.more[0], &sys, sizeof(sys), pair[1], &why);
        (void)close(pair[1]);
    }
    return NULL;
}

static void end_given(struct opener **po)
{
    opener_free(po);
    (void)close(given.more[1]);
    (void)pthread_join(given.giver, NULL);
    (void)close(given.more[0]);
    for (unsigned i = 0; i < given.n; i++) {
        (void)pthread_join(given.threads[i], NULL);
        (void)close(given.channels[i]);
        opener_serve_free(&given.serves[i]);
    }
}

/* Others answer for it, with what is watched; not about what lies where it hangs. */
static void one_that_hangs_holds_up_its_directory_alone(void **state)
{
    struct opener *r;
    struct stat st;
    char text[4096];
    int fd, wd, inotify;

    (void)state;
    memset(&given, 0, sizeof(given));
    assert_int_equal(file_make_dirs(dir, "logs/x", 0755, &err), 0);
    assert_int_equal(channel_pair(given.more, &err), 0);
    assert_int_equal(pthread_create(&given.giver, NULL, give, NULL), 0);
    r = opener_remote(-1, given.more[1], -1, 1000);
    assert_int_equal(opener_inotify(r, &inotify, &err), 0);
    assert_int_equal(opener_watch_dir(r, inotify, root, &wd, &err), 0);
    assert_null(opener_remote_hanging(r, 0));
    assert_int_equal(opener_open(r, OPENER_LOG, at("logs/x/a.log"), &fd, &err), ERR_IO);
    assert_int_equal(err.sys, ETIMEDOUT);
    assert_string_equal(opener_remote_hanging(r, 0), at("logs/x"));
    assert_int_equal(opener_stat(r, at("logs/x/b.log"), &st, &err), ERR_IO); /* at once */
    assert_int_equal(opener_stat(r, at("logs/x"), &st, &err), ERR_IO);
    assert_int_equal(metric_get(METRIC_OPENS_LATE), 1);
    assert_int_equal(metric_get(METRIC_OPENS_HANGING), 1);
    assert_int_equal(opener_open(r, OPENER_LOG, at("a.log"), &fd, &err), 0);
    assert_int_equal(opener_watch_file(r, inotify, fd, &wd, &err), 0);
    (void)close(fd);
    fd = openat(dir, "a.log", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(file_write_all(fd, "x", 1, &err), 0);
    assert_true(read(inotify, text, sizeof(text)) > 0); /* the same inotify */
    (void)close(fd);
    assert_int_equal(opener_serve_one(given.serves[0], given.channels[0], &err), 0);
    assert_int_equal(opener_stat(r, at("logs/x"), &st, &err), 0);
    assert_null(opener_remote_hanging(r, 0));
    (void)shutdown(given.channels[1], SHUT_RDWR); /* as when it is killed */
    assert_int_equal(opener_stat(r, at("a.log"), &st, &err), 0);
    assert_int_equal(given.n, 3);
    (void)close(inotify);
    end_given(&r);
}

/* One of the names in it hangs, and nobody knows which: all but that question is asked. */
static void a_listing_that_hangs_holds_up_no_other_question(void **state)
{
    struct opener *r;
    struct stat st;
    size_t n = 0;
    int wd, inotify;

    (void)state;
    memset(&given, 0, sizeof(given));
    assert_int_equal(file_make_dirs(dir, "logs/x", 0755, &err), 0);
    assert_int_equal(channel_pair(given.more, &err), 0);
    assert_int_equal(pthread_create(&given.giver, NULL, give, NULL), 0);
    r = opener_remote(-1, given.more[1], -1, 1000);
    assert_int_equal(opener_inotify(r, &inotify, &err), 0);
    assert_int_equal(opener_watch_dir(r, inotify, root, &wd, &err), 0);
    for (int i = 0; i < 2; i++) { /* asked once */
        assert_int_equal(opener_list(r, at("logs"), OPENER_STATS_ALL, count, &n, &err), ERR_IO);
        assert_int_equal(err.sys, ETIMEDOUT);
    }
    assert_int_equal(metric_get(METRIC_OPENS_HANGING), 1);
    assert_int_equal(opener_list(r, at("logs"), OPENER_NO_STATS, count, &n, &err), 0);
    assert_true(n > 0);
    assert_int_equal(opener_stat(r, at("logs/x"), &st, &err), 0);
    assert_int_equal(opener_serve_one(given.serves[0], given.channels[0], &err), 0);
    assert_int_equal(opener_list(r, at("logs"), OPENER_STATS_ALL, count, &n, &err), 0);
    (void)close(inotify);
    end_given(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(a_listing_that_hangs_holds_up_no_other_question),
           TEST(one_that_hangs_holds_up_its_directory_alone), TEST(a_log_comes_as_a_descriptor),
           TEST(what_nobody_asked_for_is_refused_and_counted),
           TEST(directories_behind_links_of_others_are_not_looked_into),
           TEST(a_long_listing_comes_in_many_packets), TEST(watches_are_added_there_and_heard_here),
           TEST(whoever_does_not_ask_properly_is_not_answered),
           TEST(a_packet_of_nothing_leaves_no_descriptor),
           TEST(a_question_that_is_not_answered_is_given_up), TEST(one_request_passes_the_gate),
           TEST(an_engines_answer_is_passed_on_and_nothing_else),
           TEST(a_bad_request_never_reaches_the_engine))
