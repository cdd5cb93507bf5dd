/* Unit tests of wire/stream and its listener in the clear: real sockets on the loopback, port 0. */
#include "wire/stream.h"

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SIDES_MAX = 64 };

/* One end of a connection, and what it has seen. */
struct side {
    struct stream *s; /* NULL once closed */
    struct buf in;
    bool opened, closed, drained, has_input, peer_closes;
    unsigned closed_count;
    struct err why;
    size_t received;
    bool echo; /* send back what comes */
    bool close_when_open;
};

struct world {
    struct loop *loop;
    struct listener *listener;
    struct side sides[SIDES_MAX]; /* accepted */
    unsigned accepted;
    bool has_accepted;
    bool echo;
    bool close_at_once;
};

static void on_opened(struct stream *s, void *arg)
{
    struct side *d = arg;

    d->opened = true;
    if (d->close_when_open)
        stream_close(s, NULL);
}

static void on_data(struct stream *s, struct str bytes, void *arg)
{
    struct side *d = arg;

    d->has_input = true;
    d->received += bytes.n;
    if (d->echo)
        stream_write(s, bytes);
    else
        buf_add_str(&d->in, bytes);
}

static void on_drained(struct stream *s, void *arg)
{
    (void)s;
    ((struct side *)arg)->drained = true;
}

static void on_closed(struct stream *s, const struct err *why, void *arg)
{
    struct side *d = arg;

    (void)s;
    d->s = NULL;
    d->closed = true;
    d->closed_count++;
    d->why = *why;
}

static const struct stream_handler HANDLER = {
    .opened = on_opened, .data = on_data, .drained = on_drained, .closed = on_closed};

static void on_accept(struct stream *s, void *arg)
{
    struct world *w = arg;
    struct side *d = &w->sides[w->accepted++ % SIDES_MAX];

    buf_init(&d->in, 1 << 24);
    d->s = s;
    d->echo = w->echo;
    stream_set_handler(s, &HANDLER, d);
    w->has_accepted = true;
    if (w->close_at_once)
        stream_close(s, NULL);
}

static struct world *start(const char *address, const struct listener_options *opt)
{
    static const struct listener_options NONE = {.backlog = 0};
    struct world *w = mem_new(sizeof(*w));
    struct err err;

    assert_int_equal(loop_new(&w->loop, &err), 0);
    if (listener_open(w->loop, address, opt == NULL ? &NONE : opt, on_accept, w, &w->listener,
                      &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static void stop(struct world **pw)
{
    struct world *w = *pw;

    listener_close(&w->listener);
    loop_free(&w->loop);
    for (unsigned i = 0; i < SIDES_MAX; i++)
        buf_fini(&w->sides[i].in);
    free(w);
    *pw = NULL;
}

static void connect_to(struct world *w, const char *address, struct side *d,
                       const struct stream_options *opt)
{
    struct err err;

    memset(d, 0, sizeof(*d));
    buf_init(&d->in, 1 << 26);
    if (stream_connect(w->loop, address, opt, &HANDLER, d, &d->s, &err) < 0)
        fail_msg("%s", err.text);
}

static void bytes_go_both_ways_and_the_end_is_orderly(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct side c;
    struct side *a = &w->sides[0];
    struct stream_peer peer;

    (void)state;
    assert_memory_equal(listener_address(w->listener), "127.0.0.1:", 10);
    assert_string_not_equal(listener_address(w->listener), "127.0.0.1:0");
    connect_to(w, listener_address(w->listener), &c, NULL);
    WAIT_FOR(w->loop, c.opened);
    WAIT_FOR(w->loop, a->opened);
    stream_write(c.s, STR("hello"));
    WAIT_FOR(w->loop, a->has_input);
    check_str(buf_str(&a->in), "hello");
    stream_write(a->s, STR("yes?"));
    WAIT_FOR(w->loop, c.has_input);
    check_str(buf_str(&c.in), "yes?");
    assert_int_equal(stream_bytes_in(c.s), 4);
    assert_int_equal(stream_bytes_out(c.s), 5);
    stream_peer(a->s, &peer);
    assert_true(str_starts(peer.address, STR("127.0.0.1:")));
    assert_false(peer.has_uid);
    assert_int_equal(peer.identity.n, 0);
    stream_close(c.s, NULL);
    assert_false(c.closed); /* never from inside a call */
    WAIT_FOR(w->loop, c.closed);
    WAIT_FOR(w->loop, a->closed);
    assert_int_equal(c.why.code, 0);
    assert_int_equal(a->why.code, 0);
    assert_int_equal(a->closed_count, 1);
    buf_fini(&c.in);
    stop(&w);
}

static void a_socket_that_is_connected_already_is_taken_over(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct stream_options opt = {0};
    struct side c;
    int pair[2];
    char text[8];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    opt.connected_fd = pair[0];
    connect_to(w, "unix:/elsewhere", &c, &opt);
    assert_false(c.opened); /* never from inside a call */
    stream_write(c.s, STR("ping"));
    WAIT_FOR(w->loop, c.opened);
    assert_int_equal(read(pair[1], text, sizeof(text)), 4);
    assert_int_equal(write(pair[1], "pong", 4), 4);
    WAIT_FOR(w->loop, c.has_input);
    check_str(buf_str(&c.in), "pong");
    (void)close(pair[1]);
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(c.why.code, 0);
    buf_fini(&c.in);
    stop(&w);
}

static void what_is_queued_is_flushed_before_the_end(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    enum { BIG = 8 << 20 };
    char *bytes = mem_new(BIG);
    struct side c;

    (void)state;
    connect_to(w, listener_address(w->listener), &c, NULL);
    stream_write(c.s, STR("early ")); /* before it is open */
    WAIT_FOR(w->loop, c.opened);
    memset(bytes, 'x', BIG);
    stream_write(c.s, (struct str){bytes, BIG});
    stream_close(c.s, NULL);
    stream_write(c.s, STR("too late"));
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(w->sides[0].received, 6 + BIG);
    assert_memory_equal(w->sides[0].in.p, "early x", 7);
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(c.why.code, 0);
    free(bytes);
    buf_fini(&c.in);
    stop(&w);
}

static void a_close_with_a_reason_is_at_once_and_tells_it(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct side c;
    struct err why;

    (void)state;
    (void)err_set(&why, ERR_CORRUPT, "nonsense on the line");
    connect_to(w, listener_address(w->listener), &c, NULL);
    WAIT_FOR(w->loop, w->sides[0].opened);
    stream_close(w->sides[0].s, &why);
    stream_close(w->sides[0].s, NULL); /* no effect any more */
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(w->sides[0].why.code, ERR_CORRUPT);
    assert_string_equal(w->sides[0].why.text, "nonsense on the line");
    assert_int_equal(w->sides[0].closed_count, 1);
    WAIT_FOR(w->loop, c.closed);
    buf_fini(&c.in);
    stop(&w);
}

/* Resuming leaves work for the loop, which must not take the stream for ended while its handle is
 * still being closed. */
static void a_close_right_after_resuming_ends_it_once(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct side c;
    struct err why;

    (void)state;
    connect_to(w, listener_address(w->listener), &c, NULL);
    WAIT_FOR(w->loop, c.opened);
    WAIT_FOR(w->loop, w->has_accepted);
    (void)err_set(&why, ERR_LIMIT, "enough");
    stream_pause(c.s);
    stream_resume(c.s);
    stream_close(c.s, &why);
    WAIT_FOR(w->loop, c.closed);
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(c.closed_count, 1);
    assert_int_equal(c.why.code, ERR_LIMIT);
    buf_fini(&c.in);
    stop(&w);
}

static void nobody_listening_is_told(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    char address[128];
    struct side c;

    (void)state;
    (void)snprintf(address, sizeof(address), "%s", listener_address(w->listener));
    listener_close(&w->listener);
    connect_to(w, address, &c, NULL);
    WAIT_FOR(w->loop, c.closed);
    assert_false(c.opened);
    assert_int_equal(c.why.code, ERR_IO);
    assert_non_null(strstr(c.why.text, address));
    assert_non_null(strstr(c.why.text, "connection refused"));
    buf_fini(&c.in);
    stop(&w);
}

/* `localhost` may name ::1 first, where nobody listens. */
static void a_name_is_resolved_and_each_address_tried(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    char address[128];
    struct side c;

    (void)state;
    (void)snprintf(address, sizeof(address), "localhost%s",
                   strchr(listener_address(w->listener), ':'));
    connect_to(w, address, &c, NULL);
    WAIT_FOR(w->loop, c.opened);
    assert_int_equal(c.why.code, 0);
    stream_close(c.s, NULL);
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(c.why.code, 0);
    connect_to(w, "no-such-host.invalid:1", &c, NULL);
    WAIT_FOR(w->loop, c.closed);
    assert_int_equal(c.why.code, ERR_IO);
    buf_fini(&c.in);
    stop(&w);
}

static void bad_addresses_are_refused(void **state)
{
    static const char *const BAD[] = {
        "",      "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", ":1",  "::1:80",
        "unix:", "host:",     "[::1]",       "127.0.0.1:-1",    "[]:1"};
    struct loop *l = NULL;
    struct stream *s = NULL;
    struct err err;

    (void)state;
    assert_int_equal(loop_new(&l, &err), 0);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (stream_connect(l, BAD[i], NULL, &HANDLER, NULL, &s, &err) != ERR_INVALID)
            fail_msg("'%s' was taken for an address", BAD[i]);
    loop_free(&l);
}

/* A full backlog drops what knocks: the connection is neither made nor refused. */
static void a_connect_has_a_deadline(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct stream_options opt = {.connect_ms = 50};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(at);
    char address[32];
    struct side c[4];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    for (int i = 0; i < 4; i++)
        connect_to(w, address, &c[i], &opt);
    WAIT_FOR(w->loop, c[3].closed);
    assert_false(c[3].opened);
    assert_int_equal(c[3].why.code, ERR_TIMEOUT);
    (void)close(fd);
    stop(&w);
}

static void a_stream_is_closed_while_it_connects(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct side c, r;

    (void)state;
    connect_to(w, listener_address(w->listener), &c, NULL);
    connect_to(w, "localhost:1", &r, NULL); /* in the resolver */
    stream_close(c.s, NULL);
    stream_close(r.s, NULL);
    WAIT_FOR(w->loop, c.closed);
    WAIT_FOR(w->loop, r.closed);
    assert_false(c.opened);
    assert_int_equal(c.why.code, 0);
    assert_int_equal(r.why.code, 0);
    stop(&w);
}

static void a_full_stream_says_so_and_drains(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct stream_options opt = {.high_bytes = 100000, .low_bytes = 1000};
    char *bytes = mem_new(1 << 20);
    struct side c;
    size_t sent = 0;

    (void)state;
    connect_to(w, listener_address(w->listener), &c, &opt);
    WAIT_FOR(w->loop, w->sides[0].opened);
    WAIT_FOR(w->loop, c.opened);
    stream_pause(w->sides[0].s);
    while (!stream_is_full(c.s)) {
        assert_in_range(sent, 0, 64 << 20); /* a paused reader must fill it */
        stream_write(c.s, (struct str){bytes, 1 << 20});
        sent += 1 << 20;
    }
    assert_true(stream_pending(c.s) > opt.high_bytes);
    assert_false(c.drained);
    stream_resume(w->sides[0].s);
    WAIT_FOR(w->loop, c.drained);
    assert_true(stream_pending(c.s) <= opt.low_bytes);
    stream_close(c.s, NULL);
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(w->sides[0].received, sent);
    free(bytes);
    buf_fini(&c.in);
    stop(&w);
}

struct not_while_paused {
    struct side *d;
    struct loop_timer *t;
    bool waited;
};

static void waited(void *arg)
{
    ((struct not_while_paused *)arg)->waited = true;
}

static void a_paused_stream_gets_no_data(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct not_while_paused n = {.d = &w->sides[0]};
    struct side c;

    (void)state;
    connect_to(w, listener_address(w->listener), &c, NULL);
    WAIT_FOR(w->loop, n.d->opened);
    stream_pause(n.d->s);
    stream_write(c.s, STR("wait"));
    n.t = loop_timer_new(w->loop, waited, &n);
    loop_timer_start(n.t, 30, 0);
    WAIT_FOR(w->loop, n.waited);
    assert_false(n.d->has_input);
    stream_resume(n.d->s);
    WAIT_FOR(w->loop, n.d->has_input);
    check_str(buf_str(&n.d->in), "wait");
    loop_timer_free(&n.t);
    stop(&w);
    assert_true(c.closed); /* by loop_free */
    assert_int_equal(c.why.code, ERR_CANCELLED);
    buf_fini(&c.in);
}

static void unix_sockets_have_mode_and_peer_and_vanish(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    char address[128];
    int fd = tmpdir_open(dir);
    struct listener_options opt = {.unix_mode = 0660};
    struct world *w;
    struct side c;
    struct stat st;
    struct stream_peer peer;
    mode_t mask;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:%s/sock", dir);
    mask = umask(077);
    w = start(address, &opt);
    (void)umask(mask);
    assert_string_equal(listener_address(w->listener), address);
    assert_int_equal(fstatat(fd, "sock", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    connect_to(w, address, &c, NULL);
    WAIT_FOR(w->loop, w->sides[0].opened);
    stream_peer(w->sides[0].s, &peer);
    check_str(peer.address, "unix");
    assert_true(peer.has_uid);
    assert_int_equal(peer.uid, getuid());
    listener_close(&w->listener);
    assert_false(tmpdir_has(fd, "sock"));
    stream_write(c.s, STR("still there")); /* accepted streams live on */
    WAIT_FOR(w->loop, w->sides[0].has_input);
    stop(&w);
    buf_fini(&c.in);
    tmpdir_close(fd);
}

static void a_stale_socket_is_replaced_a_live_one_is_not(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    char address[128];
    int fd = tmpdir_open(dir);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    static const struct listener_options NONE = {.backlog = 0};
    struct listener *second = NULL;
    struct world *w;
    struct err err;
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:%s/sock", dir);
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", dir);
    assert_int_equal(bind(s, (struct sockaddr *)&un, sizeof(un)), 0);
    (void)close(s); /* as if its program had died */
    assert_true(tmpdir_has(fd, "sock"));
    w = start(address, NULL);
    assert_int_equal(listener_open(w->loop, address, &NONE, on_accept, w, &second, &err),
                     ERR_EXISTS);
    assert_true(tmpdir_has(fd, "sock"));
    stop(&w);
    tmpdir_close(fd);
}

/* As a process does that may make no unix socket itself. */
static void a_listener_takes_a_socket_that_is_bound(void **state)
{
    char dir[TMPDIR_PATH_MAX], address[128];
    struct listener_options opt = {.backlog = 0};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int again, fd = tmpdir_open(dir), s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct world *w;
    struct stat st;
    struct err err;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:%s/sock", dir);
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", dir);
    assert_int_equal(listener_bind_unix("127.0.0.1:0", 0600, &again, &err), ERR_INVALID);
    assert_int_equal(listener_bind_unix(address, 0640, &opt.bound_fd, &err), 0);
    assert_int_equal(fstatat(fd, "sock", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    w = start(address, &opt);
    check_str(str_of(listener_address(w->listener)), address);
    assert_int_equal(connect(s, (struct sockaddr *)&un, sizeof(un)), 0);
    assert_int_equal(listener_bind_unix(address, 0640, &again, &err), ERR_EXISTS);
    (void)close(s);
    stop(&w);
    assert_true(tmpdir_has(fd, "sock")); /* not its own to remove */
    tmpdir_close(fd);
}

/* Whatever else came to lie there keeps its mode. */
static void only_a_socket_of_ours_is_given_a_mode(void **state)
{
    static const char *const NAMES[] = {"sock", "file", "to_sock", "to_file", "linked"};
    char dir[TMPDIR_PATH_MAX], address[128], path[128];
    int plain, s, fd = tmpdir_open(dir);
    mode_t umask_was = umask(077);
    struct stat st;
    struct err err;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:%s/sock", dir);
    assert_int_equal(listener_bind_unix(address, 0660, &s, &err), 0);
    plain = openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(plain >= 0);
    (void)close(plain);
    assert_int_equal(symlinkat("sock", fd, "to_sock"), 0);
    assert_int_equal(symlinkat("file", fd, "to_file"), 0);
    assert_int_equal(fstatat(fd, "sock", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0660); /* whatever the umask is */
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (i == 4)
            assert_int_equal(linkat(fd, "sock", fd, "linked", 0), 0);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, NAMES[i]);
        assert_int_equal(listener_give_unix(path, 0666, getegid(), &err), i == 0 ? 0 : ERR_DENIED);
    }
    (void)umask(umask_was);
    assert_int_equal(fstatat(fd, "sock", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0666);
    assert_int_equal(st.st_gid, getegid());
    assert_int_equal(fstatat(fd, "file", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)close(s);
    tmpdir_close(fd);
}

static void a_file_in_the_way_is_not_removed(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    char address[128];
    int fd = tmpdir_open(dir);
    static const struct listener_options NONE = {.backlog = 0};
    struct listener *ls = NULL;
    struct loop *l = NULL;
    struct err err;
    int plain = openat(fd, "sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    (void)state;
    assert_true(plain >= 0);
    (void)close(plain);
    (void)snprintf(address, sizeof(address), "unix:%s/sock", dir);
    assert_int_equal(loop_new(&l, &err), 0);
    assert_int_equal(listener_open(l, address, &NONE, on_accept, NULL, &ls, &err), ERR_EXISTS);
    assert_true(tmpdir_has(fd, "sock"));
    loop_free(&l);
    tmpdir_close(fd);
}

static bool third_is_closed(void *arg)
{
    struct side *c = arg;

    return c[2].closed;
}

static void connections_over_the_maximum_are_refused_and_counted(void **state)
{
    struct listener_options opt = {.max_streams = 2};
    struct world *w = start("127.0.0.1:0", &opt);
    struct side c[4];

    (void)state;
    for (int i = 0; i < 3; i++) {
        connect_to(w, listener_address(w->listener), &c[i], NULL);
        WAIT_FOR(w->loop, c[i].opened);
    }
    wait_check(w->loop, third_is_closed, c, "the third to be closed");
    assert_int_equal(w->accepted, 2);
    assert_int_equal(listener_refused(w->listener), 1);
    stream_close(c[0].s, NULL);
    WAIT_FOR(w->loop, w->sides[0].closed);
    w->has_accepted = false;
    connect_to(w, listener_address(w->listener), &c[3], NULL);
    WAIT_FOR(w->loop, w->has_accepted); /* there is room again */
    assert_int_equal(listener_refused(w->listener), 1);
    stop(&w);
}

static void two_loops_listen_on_one_port(void **state)
{
    struct listener_options opt = {.reuse_port = true};
    struct world *w = start("127.0.0.1:0", &opt);
    struct listener *second = NULL;
    struct listener *third = NULL;
    static const struct listener_options NONE = {.backlog = 0};
    struct err err;

    (void)state;
    assert_int_equal(
        listener_open(w->loop, listener_address(w->listener), &opt, on_accept, w, &second, &err),
        0);
    assert_string_equal(listener_address(second), listener_address(w->listener));
    assert_int_equal(
        listener_open(w->loop, listener_address(w->listener), &NONE, on_accept, w, &third, &err),
        ERR_IO);
    assert_int_equal(err.sys, EADDRINUSE);
    listener_close(&second);
    stop(&w);
}

static void a_shortage_of_descriptors_pauses_accepting_and_is_counted(void **state)
{
    uint64_t pauses = 0;

    (void)state;
#ifndef LOGQ_FAULTS
    skip();
#endif
    FAULT_EACH("listener.accept") {
        struct world *w = start("127.0.0.1:0", NULL);
        struct side c;

        connect_to(w, listener_address(w->listener), &c, NULL);
        WAIT_FOR(w->loop, w->sides[0].opened); /* at last: the connection waits in the backlog */
        pauses += listener_starved(w->listener);
        stop(&w);
        buf_fini(&c.in);
    }
    assert_true(pauses >= 1);
}

static void a_listener_may_be_closed_by_its_own_callback(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct side c;

    (void)state;
    w->close_at_once = true;
    connect_to(w, listener_address(w->listener), &c, NULL);
    WAIT_FOR(w->loop, c.closed);
    assert_true(w->sides[0].closed);
    assert_false(w->sides[0].opened);
    buf_fini(&c.in);
    stop(&w);
}

static void a_connection_reset_by_the_peer_is_no_orderly_end(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    to.sin_port = htons((uint16_t)atoi(strchr(listener_address(w->listener), ':') + 1));
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    WAIT_FOR(w->loop, w->sides[0].opened);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    (void)close(fd);
    WAIT_FOR(w->loop, w->sides[0].closed);
    assert_int_equal(w->sides[0].why.code, ERR_IO);
    assert_int_equal(w->sides[0].why.sys, ECONNRESET);
    stop(&w);
}

struct sender {
    struct sockaddr_in to;
    int failed; /* errno of a send that did not work */
    size_t got;
    char text[16];
};

/* Sends 8 MB before it reads a byte, as simple HTTP clients do. */
static void *send_then_read(void *arg)
{
    struct sender *p = arg;
    char *bytes = mem_new(1 << 20);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&p->to, sizeof(p->to)) != 0)
        abort();
    for (int i = 0; i < 8 && p->failed == 0; i++)
        if (send(fd, bytes, 1 << 20, MSG_NOSIGNAL) != 1 << 20)
            p->failed = errno;
    for (ssize_t n = 1; n > 0 && p->got < sizeof(p->text); p->got += (size_t)n)
        if ((n = recv(fd, p->text + p->got, sizeof(p->text) - p->got, 0)) < 0)
            break;
    (void)close(fd);
    free(bytes);
    return NULL;
}

/* Without lingering the close would reset the connection under the sender. */
static void last_words_reach_a_peer_that_is_still_sending(void **state)
{
    struct world *w = start("127.0.0.1:0", NULL);
    struct sender p = {.to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    pthread_t thread;

    (void)state;
    p.to.sin_port = htons((uint16_t)atoi(strchr(listener_address(w->listener), ':') + 1));
    assert_int_equal(pthread_create(&thread, NULL, send_then_read, &p), 0);
    WAIT_FOR(w->loop, w->sides[0].has_input);
    stream_write(w->sides[0].s, STR("too much"));
    stream_close(w->sides[0].s, NULL);
    WAIT_FOR(w->loop, w->sides[0].closed);
    (void)pthread_join(thread, NULL);
    assert_int_equal(p.failed, 0);
    check_str(((struct str){p.text, p.got}), "too much");
    assert_int_equal(w->sides[0].why.code, 0);
    assert_true(w->sides[0].received < 8 << 20); /* after the close nothing is delivered */
    stop(&w);
}

CHECK_MAIN(cmocka_unit_test(bytes_go_both_ways_and_the_end_is_orderly),
           cmocka_unit_test(a_socket_that_is_connected_already_is_taken_over),
           cmocka_unit_test(what_is_queued_is_flushed_before_the_end),
           cmocka_unit_test(a_close_with_a_reason_is_at_once_and_tells_it),
           cmocka_unit_test(a_close_right_after_resuming_ends_it_once),
           cmocka_unit_test(nobody_listening_is_told),
           cmocka_unit_test(a_name_is_resolved_and_each_address_tried),
           cmocka_unit_test(bad_addresses_are_refused), cmocka_unit_test(a_connect_has_a_deadline),
           cmocka_unit_test(a_stream_is_closed_while_it_connects),
           cmocka_unit_test(a_full_stream_says_so_and_drains),
           cmocka_unit_test(a_paused_stream_gets_no_data),
           cmocka_unit_test(unix_sockets_have_mode_and_peer_and_vanish),
           cmocka_unit_test(a_stale_socket_is_replaced_a_live_one_is_not),
           cmocka_unit_test(a_listener_takes_a_socket_that_is_bound),
           cmocka_unit_test(only_a_socket_of_ours_is_given_a_mode),
           cmocka_unit_test(a_file_in_the_way_is_not_removed),
           cmocka_unit_test(connections_over_the_maximum_are_refused_and_counted),
           cmocka_unit_test(two_loops_listen_on_one_port),
           cmocka_unit_test(a_shortage_of_descriptors_pauses_accepting_and_is_counted),
           cmocka_unit_test(a_listener_may_be_closed_by_its_own_callback),
           cmocka_unit_test(a_connection_reset_by_the_peer_is_no_orderly_end),
           cmocka_unit_test(last_words_reach_a_peer_that_is_still_sending))
