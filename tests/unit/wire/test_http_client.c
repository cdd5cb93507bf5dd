/* Unit tests of wire/http_client: against our own server, and against one that says what the test
 * wants. */
#include "wire/http_client.h"

#include "base/buf.h"
#include "tests/lib/certs.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"
#include "wire/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that reads up to an empty line, says its text, and perhaps hangs up. */
struct script {
    struct loop *loop;
    struct listener *listener;
    const char *text;
    bool hang_up;
    struct buf in;
    struct stream *s; /* the last one */
    bool said;
};

struct caller {
    struct http_client *c; /* NULL once done */
    int status;
    unsigned heads, dones;
    struct buf body;
    char type_text[64];
    bool has_head, has_body, done;
    struct err err;
    bool pause_at_body, cancel_at_body;
};

static void script_data(struct stream *s, struct str bytes, void *arg)
{
    struct script *p = arg;

    buf_add_str(&p->in, bytes);
    if (p->said || str_find(buf_str(&p->in), STR("\r\n\r\n")) == SIZE_MAX)
        return;
    p->said = true;
    stream_write(s, str_of(p->text));
    if (p->hang_up)
        stream_close(s, NULL);
}

static void script_closed(struct stream *s, const struct err *why, void *arg)
{
    (void)s;
    (void)why;
    ((struct script *)arg)->s = NULL;
}

static const struct stream_handler SCRIPT = {.data = script_data, .closed = script_closed};

static void script_accept(struct stream *s, void *arg)
{
    struct script *p = arg;

    p->s = s;
    p->said = false;
    buf_clear(&p->in);
    stream_set_handler(s, &SCRIPT, p);
}

static void start(struct script *p, const char *address, const char *text, bool hang_up)
{
    static const struct listener_options NONE = {.backlog = 0};
    struct err err;

    memset(p, 0, sizeof(*p));
    buf_init(&p->in, 1 << 20);
    p->text = text;
    p->hang_up = hang_up;
    assert_int_equal(loop_new(&p->loop, &err), 0);
    if (listener_open(p->loop, address, &NONE, script_accept, p, &p->listener, &err) < 0)
        fail_msg("%s", err.text);
}

static void stop(struct script *p)
{
    listener_close(&p->listener);
    loop_free(&p->loop);
    buf_fini(&p->in);
}

static void on_head(struct http_client *c, int status, void *arg)
{
    struct caller *d = arg;

    d->status = status;
    d->heads++;
    d->has_head = true;
    (void)str_to_z(http_client_header(c, "content-TYPE"), d->type_text, sizeof(d->type_text));
}

static void on_body(struct http_client *c, struct str bytes, void *arg)
{
    struct caller *d = arg;

    d->has_body = true;
    buf_add_str(&d->body, bytes);
    if (d->pause_at_body)
        http_client_pause(c);
    if (d->cancel_at_body)
        http_client_cancel(c);
}

static void on_done(struct http_client *c, const struct err *err, void *arg)
{
    struct caller *d = arg;

    (void)c;
    d->c = NULL;
    d->done = true;
    d->dones++;
    d->err = *err;
}

static const struct http_client_handler CALLER = {
    .head = on_head, .body = on_body, .done = on_done};

static void call(struct loop *l, struct caller *d, const struct http_client_request *q)
{
    struct err err;

    memset(d, 0, sizeof(*d));
    buf_init(&d->body, 64 << 20);
    if (http_client_start(l, q, &CALLER, d, &d->c, &err) < 0)
        fail_msg("%s", err.text);
}

/* Call the script's server and wait for the end. */
static void ask(struct script *p, struct caller *d, const char *method)
{
    struct http_client_request q = {.address = listener_address(p->listener),
                                    .method = method,
                                    .target = "/x?y=1",
                                    .idle_ms = 20000};

    call(p->loop, d, &q);
    WAIT_FOR(p->loop, d->done);
    assert_int_equal(d->dones, 1);
}

static void an_answer_with_a_length(void **state)
{
    struct script p;
    struct caller d;

    (void)state;
    start(&p, "127.0.0.1:0",
          "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello, and more",
          false);
    ask(&p, &d, "GET");
    assert_int_equal(d.err.code, 0);
    assert_int_equal(d.status, 200);
    assert_int_equal(d.heads, 1);
    assert_string_equal(d.type_text, "a/b");
    check_str(buf_str(&d.body), "hello");
    assert_true(str_starts(buf_str(&p.in), STR("GET /x?y=1 HTTP/1.1\r\nHost: 127.0.0.1:")));
    assert_true(str_find(buf_str(&p.in), STR("\r\nConnection: close\r\n")) != SIZE_MAX);
    assert_int_equal(str_find(buf_str(&p.in), STR("Content-Length")), SIZE_MAX);
    buf_fini(&d.body);
    stop(&p);
}

static void answers_of_other_shapes(void **state)
{
    static const struct {
        const char *method, *text;
        bool hang_up;
        int status;
        const char *body; /* NULL: an error is due */
    } CASES[] = {
        {"GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
         "r\r\n\r\n",
         false, 200, "abcde"},
        {"GET", "HTTP/1.0 404 No\r\n\r\nuntil the end", true, 404, "until the end"},
        {"GET",
         "HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\nz",
         false, 201, "z"},
        {"GET", "HTTP/1.1 204 Nothing\r\n\r\n", false, 204, ""},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n", false, 200, ""},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", true, 200, NULL},
        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, 200,
         NULL},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Le", true, 0, NULL},
        {"GET", "", true, 0, NULL},
        {"GET", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false, 0,
         NULL},
        {"GET", "+OK POP3 ready\r\n", false, 0, NULL},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na", false, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct script p;
        struct caller d;

        start(&p, "127.0.0.1:0", CASES[i].text, CASES[i].hang_up);
        ask(&p, &d, CASES[i].method);
        assert_int_equal(d.status, CASES[i].status);
        if (CASES[i].body == NULL) {
            if (d.err.code != ERR_CORRUPT)
                fail_msg("%s: %s", CASES[i].text, d.err.text);
        } else {
            if (d.err.code != 0)
                fail_msg("%s: %s", CASES[i].text, d.err.text);
            check_str(buf_str(&d.body), CASES[i].body);
        }
        buf_fini(&d.body);
        stop(&p);
    }
}

static void requests_carry_headers_and_body_over_unix_sockets(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    char address[96];
    int fd = tmpdir_open(dir);
    struct script p;
    struct caller d;
    struct label headers[] = {{STR("Authorization"), STR("Bearer x y")},
                              {STR("X-Empty"), STR_NULL}};
    struct http_client_request q = {.address = address,
                                    .method = "POST",
                                    .target = "/events",
                                    .host = "docker",
                                    .headers = headers};
    struct err err;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:%s/engine.sock", dir);
    start(&p, address, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    q.n_headers = 2;
    q.body = STR("{}");
    call(p.loop, &d, &q);
    WAIT_FOR(p.loop, d.done);
    assert_int_equal(d.err.code, 0);
    check_str(buf_str(&p.in), "POST /events HTTP/1.1\r\nHost: docker\r\nConnection: "
                              "close\r\nAuthorization: Bearer x y\r\n"
                              "X-Empty: \r\nContent-Length: 2\r\n\r\n{}");
    headers[0].value = STR("x\r\nEvil: 1");
    assert_int_equal(http_client_start(p.loop, &q, &CALLER, &d, &d.c, &err), ERR_INVALID);
    headers[0].value = STR("x");
    q.target = "/a b";
    assert_int_equal(http_client_start(p.loop, &q, &CALLER, &d, &d.c, &err), ERR_INVALID);
    buf_fini(&d.body);
    stop(&p);
    tmpdir_close(fd);
}

static void nobody_there_is_told_by_done(void **state)
{
    struct script p;
    struct caller d;
    char address[64];
    struct http_client_request q = {.address = address};

    (void)state;
    start(&p, "127.0.0.1:0", "", false);
    (void)snprintf(address, sizeof(address), "%s", listener_address(p.listener));
    listener_close(&p.listener);
    call(p.loop, &d, &q);
    WAIT_FOR(p.loop, d.done);
    assert_int_equal(d.err.code, ERR_IO);
    assert_int_equal(d.heads, 0);
    stop(&p);
}

static void a_cancelled_request_is_done_as_cancelled(void **state)
{
    struct script p;
    struct caller d;
    struct http_client_request q = {.idle_ms = 0};

    (void)state;
    start(&p, "127.0.0.1:0", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", false);
    q.address = listener_address(p.listener);
    for (int when = 0; when < 3;
         when++) { /* at once, between, in a callback with the answer complete */
        p.text = when == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"
                           : "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef";
        call(p.loop, &d, &q);
        d.cancel_at_body = when == 2;
        if (when == 1)
            WAIT_FOR(p.loop, d.has_body);
        if (when < 2) {
            http_client_cancel(d.c);
            assert_false(d.done); /* never from inside the call */
        }
        WAIT_FOR(p.loop, d.done);
        assert_int_equal(d.err.code, ERR_CANCELLED);
        assert_int_equal(d.dones, 1);
        buf_fini(&d.body);
    }
    stop(&p);
}

static void silence_has_a_deadline(void **state)
{
    struct script p;
    struct caller d;
    struct http_client_request q = {.idle_ms = 300};

    (void)state;
    start(&p, "127.0.0.1:0", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc", false);
    q.address = listener_address(p.listener);
    call(p.loop, &d, &q);
    WAIT_FOR(p.loop, d.done);
    assert_int_equal(d.err.code, ERR_TIMEOUT);
    check_str(buf_str(&d.body), "abc");
    buf_fini(&d.body);
    stop(&p);
}

/* All of a short answer is read before the user says pause: body and end wait for resume. */
static void a_paused_answer_waits_even_when_it_was_read(void **state)
{
    struct script p;
    struct caller d;
    struct http_client_request q = {.idle_ms = 0};

    (void)state;
    start(&p, "127.0.0.1:0",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
          false);
    q.address = listener_address(p.listener);
    call(p.loop, &d, &q);
    d.pause_at_body = true;
    WAIT_FOR(p.loop, d.has_body);
    check_str(buf_str(&d.body), "abc");
    assert_false(d.done);
    d.has_body = false;
    http_client_resume(d.c);
    assert_false(d.has_body);
    WAIT_FOR(p.loop, d.has_body);
    check_str(buf_str(&d.body), "abcde");
    assert_false(d.done); /* paused again */
    http_client_resume(d.c);
    WAIT_FOR(p.loop, d.done);
    assert_int_equal(d.err.code, 0);
    buf_fini(&d.body);
    stop(&p);
}

static void serve(struct http_exchange *x, void *arg)
{
    const struct buf *b = arg;

    http_reply(x, 200, "application/octet-stream", buf_str(b));
}

/* 20 MB over TLS from our own server, with the reader pausing at every piece. */
static void a_large_answer_over_tls_with_pauses(void **state)
{
    char dir[TMPDIR_PATH_MAX];
    int fd = tmpdir_open(dir);
    struct listener_options lo = {.backlog = 0};
    struct tls_files sf = {.server = true}, cf = {.server = false};
    struct tls_ctx *server = NULL, *client = NULL;
    struct http_server *s = NULL;
    struct loop *l = NULL;
    struct buf big;
    struct caller d;
    struct http_client_request q = {.target = "/"};
    struct err err;
    unsigned pieces = 0;

    (void)state;
    certs_standard(dir);
    sf.cert = certs_path(dir, "server.crt");
    sf.key = certs_path(dir, "server.key");
    cf.ca = certs_path(dir, "ca.crt");
    assert_int_equal(tls_ctx_new(&sf, &server, &err), 0);
    assert_int_equal(tls_ctx_new(&cf, &client, &err), 0);
    assert_int_equal(loop_new(&l, &err), 0);
    buf_init(&big, 32 << 20);
    for (uint32_t i = 0; i < 5 * 1000 * 1000; i++)
        buf_add(&big, &i, sizeof(i));
    lo.stream.tls = server;
    assert_int_equal(http_server_open(l, "127.0.0.1:0", &lo, NULL, serve, &big, &s, &err), 0);
    q.address = http_server_address(s);
    q.tls = client;
    call(l, &d, &q);
    d.pause_at_body = true;
    while (!d.done) {
        (void)uv_run(loop_uv(l), UV_RUN_ONCE);
        if (!d.has_body)
            continue;
        d.has_body = false;
        pieces++;
        if (d.c != NULL)
            http_client_resume(d.c);
    }
    assert_int_equal(d.err.code, 0);
    assert_int_equal(d.body.n, big.n);
    assert_memory_equal(d.body.p, big.p, big.n);
    assert_true(pieces > 100);
    buf_fini(&big);
    buf_fini(&d.body);
    http_server_close(&s);
    loop_free(&l);
    tls_ctx_unref(&server);
    tls_ctx_unref(&client);
    tmpdir_close(fd);
}

/* The server on a thread of its own, answers made on yet another one, the client here. */
struct apart {
    struct loop *loop;
    struct http_server *server;
    unsigned answered; /* the server's thread; read after the join */
};

struct job {
    struct http_exchange *x;
    struct apart *a;
    pthread_t thread;
};

static void deliver(void *arg)
{
    struct job *j = arg;

    (void)pthread_join(j->thread, NULL);
    j->a->answered++;
    http_replyf(j->x, 200, "from afar\n");
    free(j);
}

static void *work(void *arg)
{
    struct job *j = arg;

    if (!loop_post(http_loop(j->x), deliver, j))
        abort();
    return NULL;
}

static void hand_over(struct http_exchange *x, void *arg)
{
    struct job *j = mem_new(sizeof(*j));

    j->x = x;
    j->a = arg;
    if (pthread_create(&j->thread, NULL, work, j) != 0)
        abort();
}

static void close_apart(void *arg)
{
    struct apart *a = arg;

    http_server_close(&a->server);
    loop_stop(a->loop);
}

static void an_exchange_is_answered_from_another_thread(void **state)
{
    struct apart a = {.answered = 0};
    struct loop *l = NULL;
    char address[64];
    struct http_client_request q = {.address = address};
    struct caller d;
    struct err err;

    (void)state;
    assert_int_equal(loop_new(&a.loop, &err), 0);
    assert_int_equal(loop_new(&l, &err), 0);
    assert_int_equal(
        http_server_open(a.loop, "127.0.0.1:0", NULL, NULL, hand_over, &a, &a.server, &err), 0);
    (void)snprintf(address, sizeof(address), "%s", http_server_address(a.server));
    assert_int_equal(loop_start(a.loop, "http", &err), 0);
    for (int i = 0; i < 20; i++) {
        call(l, &d, &q);
        WAIT_FOR(l, d.done);
        assert_int_equal(d.err.code, 0);
        check_str(buf_str(&d.body), "from afar\n");
        buf_fini(&d.body);
    }
    assert_true(loop_post(a.loop, close_apart, &a));
    loop_join(a.loop);
    assert_int_equal(a.answered, 20);
    loop_free(&a.loop);
    loop_free(&l);
}

CHECK_MAIN(cmocka_unit_test(an_answer_with_a_length), cmocka_unit_test(answers_of_other_shapes),
           cmocka_unit_test(requests_carry_headers_and_body_over_unix_sockets),
           cmocka_unit_test(nobody_there_is_told_by_done),
           cmocka_unit_test(a_cancelled_request_is_done_as_cancelled),
           cmocka_unit_test(silence_has_a_deadline),
           cmocka_unit_test(a_paused_answer_waits_even_when_it_was_read),
           cmocka_unit_test(a_large_answer_over_tls_with_pauses),
           cmocka_unit_test(an_exchange_is_answered_from_another_thread))
