/*
 * query/cli/remote.c - see remote.h.
 *
 * Small requests are GET, so that they read well in a proxy's log; what could be too long for a
 * request line is the same text as the body of a POST.
 */
#include "query/cli/remote.h"

#include "base/json.h"
#include "base/obj.h"
#include "query/cli/cmd.h"
#include "wire/http_client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { GET_MAX = 4096, ERROR_MAX = 64 << 10, HEADERS = 4, WATCH_MS = 100 };

/* One request under way; on the stack of remote_call, or of a stream. */
struct call {
    struct remote *remote;
    const struct remote_request *req;
    struct http_client *client; /* NULL: not running */
    int status;
    bool is_stream;
    bool is_partial;
    struct buf refusal; /* body of any answer but 200 */
    int stopped;        /* what the body function said, if it was not 0 */
    struct err why;     /* of that */
    struct err end;     /* of the transport; code 0: the answer is complete */
    bool done;
};

struct remote {
    unsigned magic;
#define REMOTE_MAGIC 0x4e307e51u
    const struct context *ctx; /* borrowed */
    struct loop *loop;
    struct tls_ctx *tls; /* NULL: http */
    struct buf bearer;
    struct call *call; /* NULL: none */
    bool interrupted;
    const atomic_bool *stop; /* borrowed; NULL: nobody says so */
};

int remote_open(const struct context *ctx, struct remote **ret, struct err *err)
{
    struct remote *r = mem_new(sizeof(*r));
    struct tls_files files = {.ca = ctx->ca};
    int e;

    r->magic = REMOTE_MAGIC;
    r->ctx = ctx;
    buf_init(&r->bearer, ERROR_MAX);
    if (ctx->token != NULL)
        buf_addf(&r->bearer, "Bearer %s", ctx->token);
    e = loop_new(&r->loop, err);
    if (e == 0 && ctx->tls)
        e = tls_ctx_new(&files, &r->tls, err);
    if (e < 0) {
        remote_free(&r);
        return e;
    }
    *ret = r;
    return 0;
}

void remote_free(struct remote **pr)
{
    struct remote *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, REMOTE_MAGIC);
    INVARIANT(r->call == NULL);
    loop_free(&r->loop);
    tls_ctx_unref(&r->tls);
    if (r->bearer.n > 0)
        explicit_bzero(r->bearer.p, r->bearer.n);
    buf_fini(&r->bearer);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

static void interrupt(struct remote *r)
{
    r->interrupted = true;
    if (r->call != NULL && r->call->client != NULL)
        http_client_cancel(r->call->client);
}

static void on_signal(void *arg, int signum)
{
    (void)signum;
    interrupt(arg);
}

static void on_watch(void *arg)
{
    struct remote *r = arg;

    if (*r->stop)
        interrupt(r);
}

void remote_watch(struct remote *r, const atomic_bool *stop)
{
    OBJ_CHECK(r, REMOTE_MAGIC);
    INVARIANT(r->stop == NULL);
    r->stop = stop;
    loop_timer_start(loop_timer_new(r->loop, on_watch, r), WATCH_MS, WATCH_MS); /* the loop's */
}

int remote_catch_signals(struct remote *r, struct err *err)
{
    int e;

    OBJ_CHECK(r, REMOTE_MAGIC);
    e = loop_on_signal(r->loop, SIGINT, on_signal, r, err);
    return e < 0 ? e : loop_on_signal(r->loop, SIGTERM, on_signal, r, err);
}

bool remote_is_interrupted(const struct remote *r)
{
    OBJ_CHECK(r, REMOTE_MAGIC);
    return r->interrupted;
}

/* ---- the answer ---- */

static void on_head(struct http_client *c, int status, void *arg)
{
    struct call *call = arg;
    struct str warning = http_client_header(c, "X-Logq-Warning");

    call->status = status;
    call->is_partial = warning.n > 0;
    if (call->is_stream && status == 200)
        http_client_pause(c); /* until it is read */
    if (warning.n > 0 && !call->req->asks_again)
        cmd_say("%.*s", STR_ARG(warning));
}

static void on_body(struct http_client *c, struct str bytes, void *arg)
{
    struct call *call = arg;

    if (call->status != 200) {
        buf_add_str(&call->refusal, bytes); /* what does not fit is not needed */
        return;
    }
    if (call->stopped < 0)
        return;
    if (call->is_stream)
        http_client_pause(c); /* it is not the server's silence when nobody reads our output */
    call->stopped = call->req->body(call->req->arg, bytes, &call->why);
    if (call->stopped < 0)
        http_client_cancel(c);
    else if (call->is_stream && call->stopped == 0)
        http_client_resume(c);
}

static void on_done(struct http_client *c, const struct err *err, void *arg)
{
    struct call *call = arg;

    (void)c;
    call->client = NULL;
    call->end = *err;
    call->done = true;
}

static const struct http_client_handler HANDLER = {on_head, on_body, on_done};

/* ---- what a refusal says ---- */

static unsigned to_unsigned(struct str s)
{
    uint64_t v;

    return str_to_u64(s, &v) && v <= UINT32_MAX ? (unsigned)v : 0;
}

/* {"message":"...","line":L,"column":C}; false: it is something else. */
static bool read_json(struct str body, struct arena *a, struct str *message,
                      struct remote_failure *fail)
{
    struct json_reader r;
    struct json_token key, value;
    struct err err;

    json_reader_init(&r, body);
    if (json_next(&r, &key, &err) < 0 || key.type != JSON_OBJECT)
        return false;
    while (json_next(&r, &key, &err) == 0 && key.type == JSON_KEY) {
        if (!str_eq(key.raw, STR("message")) && !str_eq(key.raw, STR("line")) &&
            !str_eq(key.raw, STR("column"))) {
            if (json_skip(&r, NULL, &err) < 0)
                break;
            continue;
        }
        if (json_next(&r, &value, &err) < 0)
            break;
        if (value.type == JSON_STRING && str_eq(key.raw, STR("message")))
            *message = json_text(&value, a);
        else if (value.type == JSON_NUMBER && str_eq(key.raw, STR("line")))
            fail->line = to_unsigned(value.raw);
        else if (value.type == JSON_NUMBER)
            fail->column = to_unsigned(value.raw);
    }
    return message->p != NULL;
}

/* The place in Loki's "parse error at line L, col C: ...", if it is one. */
static void read_place(struct str message, struct remote_failure *fail)
{
    static const struct str line = STR_INIT("parse error at line "), column = STR_INIT(" col ");
    struct str rest = str_from(message, line.n);

    if (!str_starts(message, line))
        return;
    fail->line = to_unsigned(str_cut(&rest, ','));
    if (rest.p != NULL && str_starts(rest, column)) {
        rest = str_from(rest, column.n);
        fail->column = to_unsigned(str_cut(&rest, ':'));
    }
}

static int code_of(int status)
{
    switch (status) {
    case 400:
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_GONE;
    case 409:
        return ERR_EXISTS;
    case 429:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}

/* The first line, behind which a place is drawn; or two, of which the second says what helps. */
static struct str read_message(struct str body, struct arena *a)
{
    struct str message = str_trim(str_cut(&body, '\n'));
    struct str helps = str_cut(&body, '\n');

    if (!str_starts(message, STR("pipeline error: ")) || helps.n == 0)
        return message;
    return arena_printf(a, "%.*s %.*s", STR_ARG(message), STR_ARG(helps));
}

static int explain_refusal(const struct call *call, struct remote_failure *fail, struct err *err)
{
    struct arena *a = arena_new(NULL, 2 * ERROR_MAX);
    struct str body = str_trim(buf_str(&call->refusal)), message = STR_NULL;
    int code = code_of(call->status);

    if (!read_json(body, a, &message, fail)) {
        message = read_message(body, a);
        read_place(message, fail);
    }
    if (message.n == 0)
        (void)err_set(err, code, "the server answered with status %d", call->status);
    else if (code == ERR_IO || message.p[0] == '<') /* a page of something in between */
        (void)err_set(err, code, "the server answered with status %d: %.*s", call->status,
                      STR_ARG(message));
    else
        (void)err_set(err, code, "%.*s", STR_ARG(message));
    arena_free(&a);
    return code;
}

/* ---- the call ---- */

static int start(struct remote *r, struct call *call, struct err *err)
{
    const struct remote_request *req = call->req;
    bool post = req->method == NULL ? req->params.n > GET_MAX : strcmp(req->method, "POST") == 0;
    struct label headers[HEADERS];
    struct http_client_request q = {.address = r->ctx->address,
                                    .tls = r->tls,
                                    .method = req->method != NULL ? req->method
                                              : post              ? "POST"
                                                                  : "GET",
                                    .headers = headers,
                                    .idle_ms = req->idle_ms};
    struct buf target;
    int e;

    headers[q.n_headers++] = (struct label){STR("User-Agent"), STR("logq/" LOGQ_VERSION)};
    if (r->bearer.n > 0)
        headers[q.n_headers++] = (struct label){STR("Authorization"), buf_str(&r->bearer)};
    if (r->ctx->tenant != NULL)
        headers[q.n_headers++] = (struct label){STR("X-Scope-OrgID"), str_of(r->ctx->tenant)};
    if (req->upload.n > 0) {
        headers[q.n_headers++] = (struct label){STR("Content-Type"), STR("application/x-ndjson")};
        q.body = req->upload;
        post = false;
    } else if (post) {
        headers[q.n_headers++] =
            (struct label){STR("Content-Type"), STR("application/x-www-form-urlencoded")};
        q.body = req->params;
    }
    buf_init(&target, SIZE_MAX);
    buf_addf(&target, "%s%s", r->ctx->prefix, req->path);
    if (!post && req->params.n > 0) {
        buf_add_char(&target, '?');
        buf_add_str(&target, req->params);
    }
    buf_add_char(&target, '\0');
    q.target = target.p;
    e = http_client_start(r->loop, &q, &HANDLER, call, &call->client, err);
    buf_fini(&target);
    return e;
}

static void turn(struct remote *r)
{
    (void)uv_run(loop_uv(r->loop), UV_RUN_ONCE);
}

/* How a call went that is done. */
static int explain_end(const struct call *call, struct remote_failure *fail, struct err *err)
{
    const struct remote *r = call->remote;

    fail->status = call->status;
    fail->is_partial = call->is_partial;
    fail->is_cut = call->stopped >= 0 && call->end.code < 0;
    if (r->interrupted)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (call->stopped < 0) {
        *err = call->why;
        return call->stopped;
    }
    if (call->end.code < 0)
        return err_set(err, call->end.code, "%s: %s", r->ctx->url, call->end.text);
    if (call->status != 200 && call->status != 204)
        return explain_refusal(call, fail, err);
    return 0;
}

int remote_call(struct remote *r, const struct remote_request *req, struct remote_failure *fail,
                struct err *err)
{
    struct call call = {.remote = r, .req = req};
    int e;

    OBJ_CHECK(r, REMOTE_MAGIC);
    INVARIANT(r->call == NULL);
    *fail = (struct remote_failure){0};
    if (r->interrupted)
        return err_set(err, ERR_CANCELLED, "interrupted");
    buf_init(&call.refusal, ERROR_MAX);
    e = start(r, &call, err);
    if (e == 0) {
        r->call = &call;
        while (!call.done)
            turn(r);
        r->call = NULL;
        e = explain_end(&call, fail, err);
    } else {
        e = err_wrap(err, "%s", r->ctx->url);
    }
    buf_fini(&call.refusal);
    return e;
}

const char *remote_advice(const struct remote *r, const struct remote_failure *fail, int code)
{
    OBJ_CHECK(r, REMOTE_MAGIC);
    if (fail->status == 401 && r->ctx->token == NULL)
        return "give one with LOGQ_TOKEN, --token-file, or token_file in config.yaml";
    if (fail->status == 401 && r->ctx->tenant == NULL)
        return "name the tenant with --tenant or LOGQ_TENANT";
    if (fail->status == 403 && r->ctx->tenant != NULL)
        return "the tenant is from --tenant, LOGQ_TENANT or config.yaml";
    if (fail->status != 0)
        return NULL;
    if (code == ERR_DENIED && r->ctx->tls && r->ctx->ca == NULL)
        return "a server with certificates of its own needs its authority's (tls/ca.crt) in "
               "LOGQ_CA_FILE or --ca";
    if (code == ERR_CORRUPT && !r->ctx->tls)
        return "does this port want https://?";
    return NULL;
}

static int keep(void *arg, struct str bytes, struct err *err)
{
    struct buf *out = arg;

    buf_add_str(out, bytes);
    return buf_err(out, "answer", err);
}

int remote_fetch(struct remote *r, const struct remote_request *req, struct buf *out,
                 struct remote_failure *fail, struct err *err)
{
    struct remote_request whole = *req;

    whole.body = keep;
    whole.arg = out;
    return remote_call(r, &whole, fail, err);
}

static void on_time(void *arg)
{
    bool *over = arg;

    *over = true;
}

int remote_wait(struct remote *r, uint64_t ms, struct err *err)
{
    bool over = false;
    struct loop_timer *t;

    OBJ_CHECK(r, REMOTE_MAGIC);
    t = loop_timer_new(r->loop, on_time, &over);
    loop_timer_start(t, ms, 0);
    while (!over && !r->interrupted)
        turn(r);
    loop_timer_free(&t);
    return r->interrupted ? err_set(err, ERR_CANCELLED, "interrupted") : 0;
}

/* ---- streams ---- */

struct remote_stream {
    unsigned magic;
#define REMOTE_STREAM_MAGIC 0x57e3a001u
    struct remote_request req; /* but what it points to */
    struct call call;
};

int remote_stream_open(struct remote *r, const struct remote_request *req,
                       struct remote_stream **ret, struct remote_failure *fail, struct err *err)
{
    struct remote_stream *s;
    int e;

    OBJ_CHECK(r, REMOTE_MAGIC);
    *fail = (struct remote_failure){0};
    if (r->interrupted)
        return err_set(err, ERR_CANCELLED, "interrupted");
    s = mem_new(sizeof(*s));
    s->magic = REMOTE_STREAM_MAGIC;
    s->req = *req;
    s->call = (struct call){.remote = r, .req = &s->req, .is_stream = true};
    buf_init(&s->call.refusal, ERROR_MAX);
    e = start(r, &s->call, err);
    if (e == 0) {
        while (!s->call.done && s->call.status != 200 && !r->interrupted)
            turn(r);
        s->req.params = s->req.upload = STR_NULL; /* they were sent */
        if (s->call.done || r->interrupted)
            e = explain_end(&s->call, fail, err);
        if (s->call.done && e == 0)
            e = err_set(err, ERR_IO, "%s: the answer ended at once", r->ctx->url);
    } else {
        e = err_wrap(err, "%s", r->ctx->url);
    }
    if (e < 0)
        remote_stream_close(&s);
    else
        *ret = s;
    return e;
}

int remote_stream_read(struct remote_stream *s, uint64_t ms, struct remote_failure *fail,
                       struct err *err)
{
    struct remote *r;
    struct loop_timer *t;
    bool over = false;
    int e = 0;

    OBJ_CHECK(s, REMOTE_STREAM_MAGIC);
    r = s->call.remote;
    INVARIANT(s->call.stopped >= 0);
    *fail = (struct remote_failure){.status = s->call.status};
    s->call.stopped = 0;
    if (!s->call.done)
        http_client_resume(s->call.client);
    t = loop_timer_new(r->loop, on_time, &over);
    loop_timer_start(t, ms, 0);
    while (!over && !s->call.done && s->call.stopped == 0 && !r->interrupted)
        turn(r);
    loop_timer_free(&t);
    if (s->call.done || s->call.stopped < 0 || r->interrupted)
        e = explain_end(&s->call, fail, err);
    else
        http_client_pause(s->call.client);
    if (s->call.done && e == 0)
        e = err_set(err, ERR_IO, "%s: the server has ended its answer", r->ctx->url);
    return e;
}

void remote_stream_close(struct remote_stream **ps)
{
    struct remote_stream *s = *ps;

    *ps = NULL;
    if (s == NULL)
        return;
    OBJ_CHECK(s, REMOTE_STREAM_MAGIC);
    if (s->call.client != NULL)
        http_client_cancel(s->call.client);
    while (s->call.client != NULL)
        turn(s->call.remote);
    buf_fini(&s->call.refusal);
    s->magic = 0;
    free(s);
}
