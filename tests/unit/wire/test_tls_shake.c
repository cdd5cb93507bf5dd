/* Unit tests of wire/tls_shake: a server's steps on another thread, and giving them up. */
#include "wire/tls_shake.h"

#include "tests/lib/certs.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

#include <stdio.h>
#include <string.h>

struct pair {
    struct loop *loop;
    char dir[TMPDIR_PATH_MAX];
    int dir_fd;
    struct tls_ctx *server_ctx, *client_ctx;
    struct tls *server, *client;
    struct buf hello; /* fed to the server */
    bool done;
};

static struct tls_ctx *context(const char *dir, bool server)
{
    char cert[96], key[96], ca[96];
    struct tls_files f = {.cert = cert, .key = key, .ca = ca, .server = server};
    const char *name = server ? "server" : "client";
    struct tls_ctx *c = NULL;
    struct err err;

    (void)snprintf(cert, sizeof(cert), "%s/%s.crt", dir, name);
    (void)snprintf(key, sizeof(key), "%s/%s.key", dir, name);
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", dir);
    assert_int_equal(tls_ctx_new(&f, &c, &err), 0);
    return c;
}

static void feed(struct tls *t, struct buf *bytes)
{
    tls_feed(t, buf_str(bytes));
    tls_keep(t);
}

/* A server that has a client's hello before it. */
static void start(struct pair *p)
{
    struct err err;

    memset(p, 0, sizeof(*p));
    p->dir_fd = tmpdir_open(p->dir);
    certs_standard(p->dir);
    assert_int_equal(loop_new(&p->loop, &err), 0);
    p->server_ctx = context(p->dir, true);
    p->client_ctx = context(p->dir, false);
    assert_int_equal(tls_new(p->server_ctx, NULL, &p->server, &err), 0);
    assert_int_equal(tls_new(p->client_ctx, "localhost", &p->client, &err), 0);
    assert_int_equal(tls_handshake(p->client, &err), 1);
    assert_true(tls_take(p->client, &p->hello));
}

static void stop(struct pair *p)
{
    loop_free(&p->loop);
    tls_free(&p->server);
    tls_free(&p->client);
    tls_ctx_unref(&p->server_ctx);
    tls_ctx_unref(&p->client_ctx);
    buf_fini(&p->hello);
    tmpdir_close(p->dir_fd);
}

static void note_done(void *arg)
{
    *(bool *)arg = true;
}

static int step(struct pair *p, struct err *err)
{
    struct tls_shake *s;

    p->done = false;
    s = tls_shake_begin(p->loop, p->server, note_done, &p->done);
    WAIT_FOR(p->loop, p->done);
    return tls_shake_end(&s, err);
}

static void a_handshake_is_made_of_steps_elsewhere(void **state)
{
    struct pair p;
    struct buf answer;
    struct err err;

    (void)state;
    start(&p);
    feed(p.server, &p.hello);
    assert_int_equal(step(&p, &err), 1);
    assert_true(tls_take(p.server, &answer));
    feed(p.client, &answer);
    buf_fini(&answer);
    assert_int_equal(tls_handshake(p.client, &err), 0);
    assert_true(tls_take(p.client, &answer));
    feed(p.server, &answer);
    buf_fini(&answer);
    assert_int_equal(step(&p, &err), 0);
    stop(&p);
}

static void a_step_that_fails_says_why(void **state)
{
    struct pair p;
    struct err err;

    (void)state;
    start(&p);
    buf_clear(&p.hello);
    buf_add_z(&p.hello, "GET / HTTP/1.1\r\n\r\n");
    feed(p.server, &p.hello);
    assert_int_equal(step(&p, &err), ERR_IO);
    assert_non_null(strstr(err.text, "plain HTTP"));
    stop(&p);
}

static void a_step_may_be_given_up_before_it_is_done(void **state)
{
    struct pair p;
    struct tls_shake *s;

    (void)state;
    start(&p);
    feed(p.server, &p.hello);
    s = tls_shake_begin(p.loop, p.server, note_done, &p.done);
    tls_shake_abandon(&s, &p.server);
    assert_null(s);
    assert_null(p.server);
    stop(&p); /* waits for the thread: what it works on is freed after it */
    assert_false(p.done);
}

static void a_step_may_be_given_up_after_it_is_done(void **state)
{
    struct pair p;
    struct tls_shake *s;

    (void)state;
    start(&p);
    feed(p.server, &p.hello);
    s = tls_shake_begin(p.loop, p.server, note_done, &p.done);
    WAIT_FOR(p.loop, p.done);
    tls_shake_abandon(&s, &p.server);
    assert_null(p.server);
    stop(&p);
}

/* More steps than threads: most wait, and what is given up among them takes nobody else along. */
static void the_others_go_on_when_some_are_given_up(void **state)
{
    enum { MANY = 60 };
    struct tls *server[MANY];
    struct tls_shake *s[MANY];
    bool done[MANY] = {false};
    struct pair p;
    struct err err;

    (void)state;
    start(&p);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(tls_new(p.server_ctx, NULL, &server[i], &err), 0);
        feed(server[i], &p.hello);
        s[i] = tls_shake_begin(p.loop, server[i], note_done, &done[i]);
    }
    for (size_t i = MANY; i-- > 0;)
        if (i % 3 != 0 || i == MANY - 1)
            tls_shake_abandon(&s[i], &server[i]);
    for (size_t i = 0; i < MANY - 1; i += 3) {
        WAIT_FOR(p.loop, done[i]);
        assert_int_equal(tls_shake_end(&s[i], &err), 1);
        tls_free(&server[i]);
    }
    stop(&p);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(done[i], i % 3 == 0 && i < MANY - 1);
}

CHECK_MAIN(cmocka_unit_test(the_others_go_on_when_some_are_given_up),
           cmocka_unit_test(a_handshake_is_made_of_steps_elsewhere),
           cmocka_unit_test(a_step_that_fails_says_why),
           cmocka_unit_test(a_step_may_be_given_up_before_it_is_done),
           cmocka_unit_test(a_step_may_be_given_up_after_it_is_done))
