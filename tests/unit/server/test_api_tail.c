/* Followers, by WebSocket and as an event stream: what they get, once, in order, and in what form.
 */
#include "server/websocket.h"

#include "tests/unit/server/caller.h"

#include <wslay/wslay.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define NOW "1768003200"

/* A client of its own over TLS: raw bytes in, and of a WebSocket the messages. */
struct client {
    struct fixture *f;
    struct stream *s;
    struct buf raw;                    /* all that came */
    size_t at;                         /* behind the head and what was read of it */
    struct buf text;                   /* messages of type TEXT, each with a newline */
    wslay_event_context_ptr websocket; /* owned; NULL: an event stream */
    bool closed;
    unsigned pings, pongs;
    int code; /* of a close frame; 0: none came */
    char reason[128];
    const char *wanted;
};

static void client_data(struct stream *s, struct str bytes, void *arg)
{
    struct client *c = arg;

    (void)s;
    buf_add_str(&c->raw, bytes);
}

static void client_closed(struct stream *s, const struct err *why, void *arg)
{
    struct client *c = arg;

    (void)s;
    (void)why;
    c->s = NULL;
    c->closed = true;
}

static const struct stream_handler CLIENT = {.data = client_data, .closed = client_closed};

static ssize_t give(wslay_event_context_ptr ctx, uint8_t *to, size_t max, int flags, void *arg)
{
    struct client *c = arg;
    struct str piece = str_sub(buf_str(&c->raw), c->at, max);

    (void)flags;
    if (piece.n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, piece.p, piece.n);
    c->at += piece.n;
    return (ssize_t)piece.n;
}

static ssize_t take(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *arg)
{
    struct client *c = arg;

    (void)ctx;
    (void)flags;
    stream_write(c->s, (struct str){(const char *)p, n});
    return (ssize_t)n;
}

static int put_mask(wslay_event_context_ptr ctx, uint8_t *to, size_t n, void *arg)
{
    (void)ctx;
    (void)arg;
    memset(to, 0x5a, n);
    return 0;
}

static void take_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
                         void *arg)
{
    struct client *c = arg;
    struct str payload = {(const char *)m->msg, m->msg_length};

    (void)ctx;
    if (m->opcode == WSLAY_TEXT_FRAME) {
        buf_add_str(&c->text, payload);
        buf_add_char(&c->text, '\n');
    } else if (m->opcode == WSLAY_PING) {
        c->pings++;
    } else if (m->opcode == WSLAY_PONG) {
        c->pongs++;
    } else if (m->opcode == WSLAY_CONNECTION_CLOSE) {
        c->code = m->status_code;
        (void)str_to_z(str_from(payload, 2), c->reason, sizeof(c->reason));
    }
}

static const struct wslay_event_callbacks WEBSOCKET = {.recv_callback = give,
                                                       .send_callback = take,
                                                       .genmask_callback = put_mask,
                                                       .on_msg_recv_callback = take_message};

/* Read messages out of what came, once the head is there. */
static void read_messages(struct client *c)
{
    if (c->at == 0) {
        size_t head = str_find(buf_str(&c->raw), STR("\r\n\r\n"));
        if (head == SIZE_MAX)
            return;
        c->at = head + 4;
    }
    if (c->websocket != NULL && str_starts(buf_str(&c->raw), STR("HTTP/1.1 101 ")))
        assert_int_equal(wslay_event_recv(c->websocket), 0);
}

static bool has_wanted(void *arg)
{
    struct client *c = arg;

    read_messages(c);
    return str_find(buf_str(&c->text), str_of(c->wanted)) != SIZE_MAX ||
           str_find(buf_str(&c->raw), str_of(c->wanted)) != SIZE_MAX;
}

static void expect(struct client *c, const char *text)
{
    c->wanted = text;
    wait_check(c->f->w->loop, has_wanted, c, text);
}

/* `more`: further headers, each with its line end. */
static struct client *ask(struct fixture *f, const char *target, const char *more, bool websocket)
{
    struct stream_options opt = {.tls = f->tls};
    struct client *c = mem_new(sizeof(*c));
    struct buf b;
    struct err err;

    c->f = f;
    buf_init(&c->raw, BODY_MAX);
    buf_init(&c->text, BODY_MAX);
    buf_init(&b, 1 << 16);
    if (websocket)
        assert_int_equal(wslay_event_context_client_init(&c->websocket, &WEBSOCKET, c), 0);
    if (stream_connect(f->w->loop, api_address(f->api), &opt, &CLIENT, c, &c->s, &err) < 0)
        fail_msg("%s", err.text);
    buf_addf(
        &b, "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " ADMIN "\r\n%s%s\r\n",
        target,
        websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: " KEY "\r\n"
                  : "",
        more);
    stream_write(c->s, buf_str(&b));
    buf_fini(&b);
    return c;
}

static void hang_up(struct client *c)
{
    struct fixture *f = c->f;

    if (c->s != NULL)
        stream_close(c->s, NULL);
    WAIT_FOR(f->w->loop, c->closed);
    wslay_event_context_free(c->websocket);
    buf_fini(&c->raw);
    buf_fini(&c->text);
    free(c);
}

static void say(struct client *c, enum wslay_opcode op, struct str payload)
{
    const struct wslay_event_msg m = {(uint8_t)op, (const uint8_t *)payload.p, payload.n};

    assert_int_equal(wslay_event_queue_msg(c->websocket, &m), 0);
    assert_int_equal(wslay_event_send(c->websocket), 0);
}

static void push_line(struct fixture *f, const char *app, unsigned ns, const char *line)
{
    struct request r;
    struct buf b;

    buf_init(&b, 1 << 16);
    buf_addf(&b,
             "{\"streams\":[{\"stream\":{\"app\":\"%s\"},\"values\":[[\"" NOW "%09u\",\"%s\"]]}]}",
             app, ns, line);
    r = push_of(buf_str(&b));
    check(f, &r, 204, NULL);
    buf_fini(&b);
}

static size_t count(const struct buf *b, const char *text)
{
    struct str rest = buf_str(b);
    size_t n = 0, at;

    for (; (at = str_find(rest, str_of(text))) != SIZE_MAX; n++)
        rest = str_from(rest, at + 1);
    return n;
}

#define WEB      "query={app=%22web%22}"
#define TAIL     "/loki/api/v1/tail?start=0&" WEB
#define EVENTS   "/api/v1/tail?start=0&" WEB
#define RFC_SHOW "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* ---- what comes ---- */

static void a_follower_gets_what_is_stored_then_what_comes(void **state)
{
    struct fixture *f = *state;
    struct client *c;

    push_line(f, "web", 2, "second");
    push_line(f, "web", 1, "first");
    push_line(f, "db", 1, "no");
    c = ask(f, TAIL, "", true);
    expect(c, RFC_SHOW);
    expect(c, "{\"streams\":[{\"stream\":{\"app\":\"web\",\"detected_level\":\"unknown\","
              "\"service_name\":\"web\"},\"values\":[[\"1768003200000000001\",\"first\"],"
              "[\"1768003200000000002\",\"second\"]]}]}\n");
    push_line(f, "db", 3, "no");
    push_line(f, "web", 3, "third");
    expect(c, "\"values\":[[\"1768003200000000003\",\"third\"]]}]}\n");
    assert_int_equal(count(&c->text, "\"no\""), 0);
    assert_int_equal(count(&c->text, "\"first\""), 1);
    assert_int_equal(metric_get(METRIC_TAILS_OPEN), 1);
    hang_up(c);
    while (metric_get(METRIC_TAILS_OPEN) > 0)
        check_get(f, "/ready", 200, NULL);
}

static void the_pipeline_of_the_query_is_run(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL "|%3D%22level%22|logfmt|n>1&limit=0",
                           "X-Loki-Response-Encoding-Flags: categorize-labels\r\n", true);

    expect(c, "101");
    push_line(f, "web", 1, "level=info n=1");
    push_line(f, "web", 2, "n=2");
    push_line(f, "web", 3, "level=warn n=3");
    expect(c,
           "{\"streams\":[{\"stream\":{\"app\":\"web\",\"service_name\":\"web\"},\"values\":[[\""
           "1768003200000000003\",\"level=warn n=3\",{\"structuredMetadata\":{\"detected_level\":"
           "\"warn\"},\"parsed\":{\"level\":\"warn\",\"n\":\"3\"}}]]}],\"encodingFlags\":["
           "\"categorize-labels\"]}\n");
    assert_int_equal(count(&c->text, "streams"), 1);
    hang_up(c);
}

/* What becomes durable while the history is being read is told once, whoever finds it. */
static void nothing_is_lost_or_told_twice_at_the_seam(void **state)
{
    enum { LINES = 40 };
    struct fixture *f = *state;
    struct client *c;
    char text[32];

    push_line(f, "web", 1, "line 000");
    block_worker(f, 8); /* where the history is read */
    c = ask(f, TAIL, "", true);
    expect(c, "101");
    for (unsigned i = 1; i < LINES; i++) {
        (void)snprintf(text, sizeof(text), "line %03u", i);
        push_line(f, "web", 1 + i, text);
    }
    unblock(f);
    expect(c, "line 039");
    push_line(f, "web", 100, "the end");
    expect(c, "the end");
    for (unsigned i = 0; i < LINES; i++) {
        (void)snprintf(text, sizeof(text), "line %03u", i);
        assert_int_equal(count(&c->text, text), 1);
    }
    hang_up(c);
    workers_free(&f->w->server.workers);
}

static void a_frame_has_a_hundred_entries_and_limit_is_kept(void **state)
{
    struct fixture *f = *state;
    struct client *c;

    push_lines(f, 0, 250, 10);
    c = ask(f, TAIL "&limit=205", "", true);
    expect(c, "0000249");
    assert_int_equal(count(&c->text, "\n"), 3);
    assert_int_equal(count(&c->text, "0000044x"), 0);
    assert_int_equal(count(&c->text, "0000045x"), 1);
    push_lines(f, 250, 101, 10);
    expect(c, "0000350");
    assert_int_equal(count(&c->text, "\n"), 5);
    hang_up(c);
}

static void delayed_entries_come_in_order(void **state)
{
    struct fixture *f = *state;
    struct client *c;
    dur_ns began;

    push_line(f, "web", 1, "what was there");
    c = ask(f, TAIL "&delay_for=1", "", true);
    expect(c, "what was there"); /* what is stored until then comes at once */
    began = time_mono();
    push_line(f, "web", 9, "late one");
    push_line(f, "web", 5, "early one");
    expect(c, "late one");
    assert_true(time_mono() - began >= NS_PER_S);
    assert_int_equal(count(&c->text, "early one\"],[\"1768003200000000009\",\"late one"), 1);
    hang_up(c);
}

static void tenants_are_followed_apart(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(STR(ONE_LINE));
    struct client *c;

    push_line(f, "web", 1, "ours");
    c = ask(f, TAIL, "", true);
    expect(c, "ours");
    r.token = EVERY;
    r.scope = "other";
    check(f, &r, 204, NULL);
    push_line(f, "web", 8, "ours too");
    expect(c, "ours too");
    assert_int_equal(count(&c->text, "hello"), 0);
    hang_up(c);
}

static void events_are_the_lines_of_an_export(void **state)
{
    struct fixture *f = *state;
    struct client *c;

    push_line(f, "web", 1, "stored");
    c = ask(f, EVENTS, "", false);
    expect(c, "Content-Type: text/event-stream\r\n");
    expect(c, "id: 1\ndata: {\"ts\":\"2026-01-10T00:00:00.000000001Z\",\"ts_ns\":"
              "\"1768003200000000001\",\"seq\":1,\"labels\":{\"app\":\"web\"");
    push_line(f, "web", 2, "fresh");
    expect(c, "\"line\":\"fresh\"}\n\n");
    assert_int_equal(count(&c->raw, "data: "), 2);
    hang_up(c);
}

/* ---- the protocol ---- */

static void pings_are_answered_and_closes_returned(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL, "", true);

    expect(c, "101");
    say(c, WSLAY_PING, STR("are you there"));
    expect(c, "are you there");
    assert_int_equal(c->pongs, 1);
    say(c, WSLAY_TEXT_FRAME, STR("nobody asked")); /* is passed over */
    expect(c, "\x89");                             /* a ping every second */
    say(c, WSLAY_CONNECTION_CLOSE,
        STR("\x03\xe8"
            "enough"));
    WAIT_FOR(f->w->loop, c->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_NORMAL);
    assert_true(c->pings >= 1);
    hang_up(c);
}

static void who_breaks_the_protocol_is_told_and_closed(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL, "", true);
    char big[5000] = {0};

    expect(c, "101");
    stream_write(c->s, STR("\x81\x05plain")); /* not masked */
    WAIT_FOR(f->w->loop, c->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_PROTOCOL_ERROR);
    hang_up(c);
    c = ask(f, TAIL, "", true);
    expect(c, "101");
    say(c, WSLAY_BINARY_FRAME, (struct str){big, sizeof(big)});
    WAIT_FOR(f->w->loop, c->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_TOO_BIG);
    hang_up(c);
}

static void a_history_that_fails_closes_with_its_reason(void **state)
{
    struct fixture *f = *state;
    struct client *c;

    push_lines(f, 0, 1000, 100);
    f->w->server.conf.query.time = 1;
    c = ask(f, TAIL, "", true);
    WAIT_FOR(f->w->loop, c->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_FAILED);
    assert_non_null(strstr(c->reason, "query.time"));
    hang_up(c);
    c = ask(f, EVENTS, "", false);
    expect(c, "event: error\ndata: {\"message\":");
    expect(c, "\r\n0\r\n\r\n");
    hang_up(c);
}

/* How far back a query may reach bounds the beginning of a tail, not the tail. */
static void the_length_of_a_query_bounds_where_a_tail_begins(void **state)
{
    struct fixture *f = *state;
    struct client *c;

    push_lines(f, 0, 1, 20);
    f->w->server.conf.query.length = 40000 * NS_PER_DAY;
    c = ask(f, TAIL, "", true);
    expect(c, "0000000xxxxxxxxxxxxx");
    hang_up(c);
    f->w->server.conf.query.length = NS_PER_H / 2;
    c = ask(f, TAIL, "", true);
    expect(c, "'start' is further back");
    hang_up(c);
    c = ask(f, "/loki/api/v1/tail?" WEB, "", true);
    expect(c, " 101 ");
    push_lines(f, 1, 1, 20);
    expect(c, "0000001xxxxxxxxxxxxx");
    hang_up(c);
}

static void what_cannot_be_followed_is_refused(void **state)
{
    static const struct {
        const char *target, *more;
        bool websocket;
        const char *says;
    } CASES[] = {
        {TAIL, "", false, " 426 "},
        {"/loki/api/v1/tail", "", true, "'query' is missing"},
        {"/loki/api/v1/tail?query=rate({a=%22b%22}[1m])", "", true, "only log queries"},
        {"/loki/api/v1/tail?query={a=", "", true, "parse error at line 1"},
        {TAIL "&delay_for=6", "", true, "delay_for can't be greater than 5"},
        {TAIL "&limit=5001", "", true, "max entries limit"},
        {TAIL "&limit=x", "", true, "'limit': 'x' is no number"},
        {"/loki/api/v1/tail?" WEB "&start=yesterday", "", true, "'start'"},
        {TAIL "&dely_for=1", "", true, "did you mean 'delay_for'"},
    };
    struct fixture *f = *state;
    struct client *c;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        c = ask(f, CASES[i].target, CASES[i].more, CASES[i].websocket);
        expect(c, CASES[i].says);
        assert_int_equal(count(&c->raw, "101"), 0);
        hang_up(c);
    }
    assert_int_equal(metric_get(METRIC_TAILS), 0);
    f->w->server.conf.query.tails = 0;
    c = ask(f, TAIL, "", true);
    expect(c, "max concurrent tail requests limit exceeded, count > limit (1 > 0");
    hang_up(c);
}

/* A body in front of the frames, and a version that has no upgrades. */
static void odd_handshakes_do_no_harm(void **state)
{
    struct fixture *f = *state;
    struct client *c;

    c = ask(f, TAIL "&limit=0", "Content-Length: 4\r\n", true);
    stream_write(c->s, STR("body"));
    expect(c, " 101 ");
    push_line(f, "web", 1, "all the same");
    expect(c, "all the same");
    hang_up(c);
    c = ask(f, TAIL " HTTP/1.0\r\nX:", "", true); /* our own version stands in a header then */
    expect(c, " 426 ");
    hang_up(c);
    check_get(f, "/ready", 200, NULL);
}

/* Under --dev nobody has a token: a page of somebody else must not read along. */
static void foreign_pages_may_not_follow(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL, "Origin: https://evil.example\r\n", true);
    struct auth *auth = f->w->server.auth;
    struct err err;

    expect(c, "101"); /* it has our token: no browser gave it that */
    hang_up(c);
    assert_int_equal(auth_new(&f->w->server.conf, true, &f->w->server.auth, &err), 0);
    auth_free(&auth);
    for (int own = 0; own <= 1; own++) {
        struct client *d = mem_new(sizeof(*d));
        struct stream_options opt = {.tls = f->tls};
        d->f = f;
        buf_init(&d->raw, BODY_MAX);
        buf_init(&d->text, BODY_MAX);
        assert_int_equal(
            stream_connect(f->w->loop, api_address(f->api), &opt, &CLIENT, d, &d->s, &err), 0);
        stream_write(d->s,
                     STR("GET " TAIL " HTTP/1.1\r\nHost: localhost:9\r\nConnection: Upgrade\r\n"
                         "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: " KEY "\r\n"));
        stream_write(d->s, own == 1 ? STR("Origin: https://localhost:9\r\n\r\n")
                                    : STR("Origin: https://evil.example\r\n\r\n"));
        expect(d, own == 1 ? " 101 " : " 403 ");
        hang_up(d);
    }
}

/* A reload takes effect for those who follow already. */
static void a_revoked_token_ends_its_tails(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL "&limit=0", "", true);
    struct client *e = ask(f, EVENTS "&limit=0", "", false);
    struct auth *next;
    struct err err;

    expect(c, "101");
    expect(e, "200 OK");
    assert_int_equal(auth_new(&f->w->server.conf, false, &next, &err), 0);
    api_take_auth(f->api, next); /* as before: they stay */
    push_line(f, "web", 1, "still here");
    expect(c, "still here");
    expect(e, "still here");
    f->w->server.conf.n_tokens = 0;
    assert_int_equal(auth_new(&f->w->server.conf, false, &next, &err), 0);
    api_take_auth(f->api, next);
    WAIT_FOR(f->w->loop, c->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_POLICY);
    assert_string_equal(c->reason, "unknown token");
    expect(e, "event: error\ndata: {\"message\":\"unknown token\"}");
    hang_up(c);
    hang_up(e);
}

/* A token without X-Scope-OrgID means its one tenant: when that becomes another, nobody goes on
 * reading what was the first one's. */
static void a_token_of_another_tenant_ends_its_tails(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL "&limit=0", "", true);
    struct auth *next;
    struct str other[] = {STR("other")};
    struct err err;

    expect(c, "101");
    f->tokens[0].tenants = (struct conf_strs){other, 1};
    assert_int_equal(auth_new(&f->w->server.conf, false, &next, &err), 0);
    api_take_auth(f->api, next);
    WAIT_FOR(f->w->loop, c->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_POLICY);
    assert_string_equal(c->reason, "this token is for another tenant now");
    hang_up(c);
}

/* ---- slow clients, many clients, the end ---- */

static void a_client_that_does_not_read_loses_entries_and_is_told(void **state)
{
    enum { LINE = 200000, LINES = 60 };
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL "&limit=0", "", true);

    expect(c, "101");
    stream_pause(c->s);
    for (size_t i = 0; i < LINES && metric_get(METRIC_TAIL_DROPPED) == 0; i++)
        push_lines(f, i, 4, LINE);
    wait_metric(f, METRIC_TAIL_DROPPED, 1);
    stream_resume(c->s);
    expect(c, "\"dropped_entries\":[{\"labels\":{\"app\":\"web\",\"detected_level\":\"unknown\","
              "\"service_name\":\"web\"},\"timestamp\":\"1768003200");
    push_line(f, "web", 5, "reads again");
    expect(c, "reads again");
    hang_up(c);
}

static void many_follow_at_once(void **state)
{
    enum { MANY = 50 };
    struct fixture *f = *state;
    struct client *c[MANY];

    for (size_t i = 0; i < MANY; i++) {
        c[i] = ask(f, i % 2 == 0 ? TAIL "&limit=0" : EVENTS "&limit=0", "", i % 2 == 0);
        expect(c[i], "HTTP/1.1 ");
    }
    push_line(f, "web", 1, "for all");
    for (size_t i = 0; i < MANY; i++)
        expect(c[i], "for all");
    assert_int_equal(metric_get(METRIC_TAIL_ENTRIES), MANY);
    for (size_t i = 0; i < MANY; i++)
        hang_up(c[i]);
}

/* One encodes for all who ask the same; and still each gets what is his, once. */
static void who_asks_the_same_gets_each_his_own(void **state)
{
    enum { LINES = 30, KINDS = 6, CLIENTS = 3 * KINDS };
    static const char *const targets[KINDS] = {TAIL "&limit=0",
                                               TAIL "&limit=5",
                                               EVENTS "&limit=0",
                                               TAIL
                                               "|~%22%5B02468%5D%24%22&limit=0", /* another query */
                                               TAIL "&limit=0&delay_for=1",
                                               TAIL "|%3D%22nothing%22&limit=0"};
    static const unsigned wanted[KINDS] = {LINES, LINES, LINES, LINES / 2, LINES, 0};
    struct fixture *f = *state;
    struct client *c[CLIENTS];
    char text[32];

    push_line(f, "web", 1, "stored");
    for (size_t i = 0; i < CLIENTS; i++) {
        c[i] = ask(f, targets[i % KINDS], "", i % KINDS != 2);
        expect(c[i], "HTTP/1.1 ");
        if (i % KINDS == 1)
            expect(c[i], "stored");
    }
    for (unsigned k = 0; k < LINES; k++) {
        (void)snprintf(text, sizeof(text), "live %03u", k);
        push_line(f, "web", 100 + k, text);
        if (k == LINES / 2) /* it was the first of its class */
            hang_up(c[0]);
    }
    push_line(f, "web", 1000, "nothing but the end 0");
    for (size_t i = 1; i < CLIENTS; i++) {
        const struct buf *got = i % KINDS == 2 ? &c[i]->raw : &c[i]->text;
        expect(c[i], "the end");
        for (unsigned k = 0; k < LINES; k++) {
            bool is_wanted = wanted[i % KINDS] == LINES || (wanted[i % KINDS] > 0 && k % 2 == 0);
            (void)snprintf(text, sizeof(text), "live %03u", k);
            assert_int_equal(count(got, text), is_wanted ? 1 : 0);
        }
        assert_int_equal(count(got, "stored"), i % KINDS == 1 ? 1 : 0);
        hang_up(c[i]);
    }
}

static void a_drain_says_goodbye(void **state)
{
    struct fixture *f = *state;
    struct client *c = ask(f, TAIL, "", true);
    struct client *e = ask(f, EVENTS, "", false);

    expect(c, "101");
    expect(e, "200 OK");
    api_drain(f->api);
    assert_true(api_is_idle(f->api));
    WAIT_FOR(f->w->loop, c->closed);
    WAIT_FOR(f->w->loop, e->closed);
    read_messages(c);
    assert_int_equal(c->code, WEBSOCKET_GOING_AWAY);
    hang_up(c);
    hang_up(e);
}

/* With tails open, one of them still waiting for its history. */
static void a_stop_in_the_middle_frees_everything(void **state)
{
    struct fixture *f = *state;
    struct client *c, *e;

    push_line(f, "web", 1, "x");
    block_worker(f, 8);
    c = ask(f, TAIL, "", true);
    expect(c, "101");
    e = ask(f, EVENTS "&limit=0", "", false);
    expect(e, "200 OK");
    push_line(f, "web", 2, "y");
    stop(f);
    WAIT_FOR(f->w->loop, c->closed);
    WAIT_FOR(f->w->loop, e->closed);
    hang_up(c);
    hang_up(e);
}

CHECK_MAIN(T(a_follower_gets_what_is_stored_then_what_comes), T(the_pipeline_of_the_query_is_run),
           T(nothing_is_lost_or_told_twice_at_the_seam),
           T(a_frame_has_a_hundred_entries_and_limit_is_kept), T(delayed_entries_come_in_order),
           T(tenants_are_followed_apart), T(events_are_the_lines_of_an_export),
           T(pings_are_answered_and_closes_returned), T(who_breaks_the_protocol_is_told_and_closed),
           T(a_history_that_fails_closes_with_its_reason),
           T(the_length_of_a_query_bounds_where_a_tail_begins),
           T(what_cannot_be_followed_is_refused), T(odd_handshakes_do_no_harm),
           T(foreign_pages_may_not_follow), T(a_revoked_token_ends_its_tails),
           T(a_token_of_another_tenant_ends_its_tails),
           T(a_client_that_does_not_read_loses_entries_and_is_told), T(many_follow_at_once),
           T(who_asks_the_same_gets_each_his_own), T(a_drain_says_goodbye),
           T(a_stop_in_the_middle_frees_everything))
