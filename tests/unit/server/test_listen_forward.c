/* server/listen_forward.c: who may connect, the listener of this host, drain and close. */
#include "tests/unit/server/sender.h"

#include <openssl/evp.h>
#include <sys/stat.h>

static void one_connection_too_many_is_turned_away(void **state)
{
    struct fixture *f = *state;
    struct peer *first, *second;

    f->w->server.conf.forward.max_connections = 1;
    serve(f, false);
    first = connect_peer(f);
    post(first, heartbeat(f, STR("here"))); /* else it is a stranger still */
    wait_answers(first, 1);
    second = peer_start(f, listen_forward_address(f->l), f->tls);
    wait_metric(f->w, METRIC_FORWARD_TURNED_AWAY, 1);
    WAIT_FOR(f->w->loop, second->closed);
    post(first, heartbeat(f, STR("still here")));
    wait_answers(first, 2);
    peer_free(first);
    peer_free(second);
}

/* Who only connects keeps nobody out. */
static void strangers_give_way_the_first_first(void **state)
{
    enum { PLACES = 3 };
    struct fixture *f = *state;
    struct peer *strangers[PLACES], *known[PLACES], *late;

    f->w->server.conf.forward.max_connections = PLACES;
    f->w->server.conf.forward.threads = 1;
    serve(f, false);
    for (size_t i = 0; i < PLACES; i++)
        strangers[i] = peer_start(f, listen_forward_address(f->l), NULL); /* they say nothing */
    wait_metric(f->w, METRIC_FORWARD_OPEN, PLACES);
    for (size_t i = 0; i < PLACES; i++) {
        known[i] = connect_peer(f);
        post(known[i], heartbeat(f, STR("here")));
        wait_answers(known[i], 1);
        WAIT_FOR(f->w->loop, strangers[i]->closed);
        assert_true(i + 1 == PLACES || !strangers[i + 1]->closed);
    }
    assert_int_equal(metric_get(METRIC_FORWARD_TURNED_AWAY), PLACES);
    assert_int_equal(metric_get(METRIC_FORWARD_TLS_FAILED), 0);
    late = peer_start(f, listen_forward_address(f->l), f->tls);
    WAIT_FOR(f->w->loop, late->closed);
    peer_free(late);
    for (size_t i = 0; i < PLACES; i++) {
        post(known[i], heartbeat(f, STR("still here")));
        wait_answers(known[i], 2);
        peer_free(known[i]);
        peer_free(strangers[i]);
    }
}

/* ---- the listener of this host ---- */

static void a_unix_socket_knows_the_user_and_forces_labels(void **state)
{
    struct fixture *f = *state;
    struct label forced[] = {{STR("site"), STR("lab")}};
    struct store_range range;
    char address[128];
    struct stat st;
    struct peer *p;

    (void)snprintf(address, sizeof(address), "unix:%s/forward.sock", f->w->feed.path);
    f->w->server.conf.forward_local = str_of(address);
    f->w->server.conf.forward_local_labels = (struct labels){forced, 1};
    f->w->server.conf.forward_local_tenant = STR("here");
    serve(f, true);
    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    p = peer_start(f, address, NULL);
    post(p, part_message(f, "file", 0, 1, "t1")); /* parts of a stranger do not count */
    post(p, part_message(f, "file", 0, 2, "t2"));
    wait_answers(p, 2);
    assert_int_equal(p->refusals, 0);
    assert_int_equal(store_ranges(f->w->server.store, STR("local:uid=0"), STR("file"), &range, 1),
                     0);
    feed_check(&f->w->feed, "here", "line 0000\nline 0000\nline 0001\n");
    peer_free(p);
}

/* hex(SHA-512(salt host nonce key)) as the protocol wants it from a sender. */
static struct str ping(struct fixture *f, struct str helo, const char *key)
{
    enum { NONCE_AT = 16, NONCE = 16, SHA512 = 64 }; /* 92 a4 HELO 83 a5 nonce c4 10 ... */
    unsigned char digest[SHA512];
    struct buf text;
    unsigned n = 0;

    assert_true(helo.n > NONCE_AT + NONCE);
    assert_memory_equal(helo.p, "\x92\xa4HELO\x83\xa5nonce\xc4\x10", NONCE_AT - 1);
    buf_init(&text, 4096);
    buf_add_z(&text, "pepper"
                     "me");
    buf_add(&text, helo.p + NONCE_AT - 1, NONCE);
    buf_add_z(&text, key);
    assert_int_equal(EVP_Digest(text.p, text.n, digest, &n, EVP_sha512(), NULL), 1);
    buf_fini(&text);
    buf_clear(&f->message);
    buf_add_z(&f->message, "\x96\xa4PING\xa2me\xa6pepper\xd9\x80");
    for (unsigned i = 0; i < n; i++)
        buf_addf(&f->message, "%02x", digest[i]);
    buf_add_z(&f->message, "\xa0\xa0");
    return buf_str(&f->message);
}

static bool has_input(void *arg)
{
    return ((struct peer *)arg)->in.n > 0;
}

static struct peer *greeted_peer(struct fixture *f)
{
    struct peer *p = peer_start(f, listen_forward_address(f->l), NULL);

    wait_check(f->w->loop, has_input, p, "HELO");
    return p;
}

static void the_shared_key_opens_and_a_wrong_one_does_not(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    f->w->server.conf.forward_local = STR("127.0.0.1:0");
    f->w->server.conf.forward_local_shared_key = STR("secret");
    serve(f, true);
    p = greeted_peer(f);
    post(p, ping(f, buf_str(&p->in), "secret"));
    buf_clear(&p->in);
    wait_check(f->w->loop, has_input, p, "PONG");
    assert_true(str_starts(buf_str(&p->in), STR("\x95\xa4PONG\xc3")));
    buf_clear(&p->in);
    post(p, foreign_message(f, STR("let in"), "t1"));
    wait_answers(p, 1);
    peer_free(p);

    p = greeted_peer(f);
    post(p, ping(f, buf_str(&p->in), "wrong"));
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(metric_get(METRIC_FORWARD_TLS_FAILED), 1);
    peer_free(p);

    p = greeted_peer(f);
    post(p, foreign_message(f, STR("pushy"), "t2")); /* without a PING */
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(p->acks, 0);
    peer_free(p);
    feed_check(&f->w->feed, "default", "let in\n");
}

static void who_says_nothing_to_a_helo_is_cut(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    f->w->server.conf.forward_local = STR("127.0.0.1:0");
    f->w->server.conf.forward_local_shared_key = STR("secret");
    f->w->server.conf.forward.message_time = 50 * NS_PER_MS;
    serve(f, true);
    p = greeted_peer(f);
    WAIT_FOR(f->w->loop, p->closed);
    assert_int_equal(metric_get(METRIC_FORWARD_REJECT_SLOW), 1);
    peer_free(p);
}

/* ---- the end ---- */

static void a_drain_answers_what_is_under_way_and_then_ends(void **state)
{
    struct fixture *f = *state;
    struct peer *busy, *idle;

    serve(f, false);
    busy = connect_peer(f);
    idle = connect_peer(f);
    post(idle, heartbeat(f, STR("here"))); /* its own handshake ends before the server's */
    wait_answers(idle, 1);
    world_shut(f->w, true);
    post(busy, part_message(f, "file", 0, 1, "t1"));
    wait_check(f->w->loop, world_is_waiting, f->w, "the chunk to be durable");
    listen_forward_drain(f->l);
    WAIT_FOR(f->w->loop, idle->closed);
    assert_int_equal(idle->why.code, 0);
    assert_false(listen_forward_is_idle(f->l));
    assert_int_equal(busy->acks, 0);
    world_shut(f->w, false);
    WAIT_FOR(f->w->loop, busy->closed);
    assert_int_equal(busy->acks, 1);
    assert_int_equal(busy->why.code, 0);
    peer_free(busy);
    peer_free(idle);
}

static void a_close_with_work_under_way_frees_everything(void **state)
{
    struct fixture *f = *state;
    struct peer *p;

    serve(f, false);
    p = connect_peer(f);
    world_shut(f->w, true);
    for (unsigned i = 0; i < 20; i++)
        post(p, part_message(f, "file", i, i + 1, "t"));
    wait_metric(f->w, METRIC_FORWARD_MESSAGES, 20);
    world_shut(f->w, false);
    store_stop(f->w->server.store); /* some are durable, the rest has failed */
    listen_forward_close(&f->l);
    WAIT_FOR(f->w->loop, p->closed);
    peer_free(p);
}

static void an_address_in_use_is_an_error_not_a_leak(void **state)
{
    struct fixture *f = *state;
    struct listen_forward *second = NULL;
    char address[64];
    struct err err;

    f->w->server.conf.forward.threads = 1; /* with more the kernel would share the port */
    serve(f, false);
    (void)snprintf(address, sizeof(address), "%s", listen_forward_address(f->l));
    f->w->server.conf.forward.listen = str_of(address);
    assert_int_equal(listen_forward_open(&f->w->server, false, &second, &err), ERR_IO);
    assert_non_null(strstr(err.text, "forward.listen"));
    assert_null(second);
    f->w->server.conf.forward.cert = STR("nowhere.crt");
    assert_int_equal(listen_forward_open(&f->w->server, false, &second, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "nowhere.crt"));
}

CHECK_MAIN(T(one_connection_too_many_is_turned_away), T(strangers_give_way_the_first_first),
           T(a_unix_socket_knows_the_user_and_forces_labels),
           T(the_shared_key_opens_and_a_wrong_one_does_not), T(who_says_nothing_to_a_helo_is_cut),
           T(a_drain_answers_what_is_under_way_and_then_ends),
           T(a_close_with_work_under_way_frees_everything),
           T(an_address_in_use_is_an_error_not_a_leak))
