/*
 * collector/input_events.c - contract: input_events.h.
 *
 * Why since= goes back OVERLAP_S seconds: podman reports some events late with an earlier time (a
 * pull after the create that waited for it), and an overlap that is recognised proves that nothing
 * lies between.
 */
#include "collector/input_events.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/backoff.h"
#include "collector/decode.h"
#include "collector/metrics.h"
#include "collector/notice.h"
#include "wire/http_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 1 << 20, /* of one event */
    KNOWN_MAX = 4096,         /* events remembered */
    ENGINE_KEEPS = 256,       /* Docker's eventsLimit */
    OVERLAP_S = 60,
    BACKOFF_MIN_MS = 500,
    BACKOFF_MAX_MS = 10000,
    SYNC_AGAIN_MS = 250,
};

struct input_events {
    unsigned magic;
#define INPUT_EVENTS_MAGIC 0xe7e27500u
    struct input_events_options opt;
    char *address, *socket;
    struct spool *spool;
    struct decoder decoder;
    struct http_client *client; /* NULL: none under way */
    struct loop_timer *timer;
    struct loop_timer *sync_timer; /* something could not be made durable */
    struct backoff backoff;
    struct buf line, clean;
    struct redact_scratch redacted;
    bool skipping; /* the rest of a line that is too long */
    int status;
    uint64_t known[KNOWN_MAX]; /* a ring of hashes */
    size_t next_known;
    ts_ns opened_at;
    ts_ns newest;              /* time of the newest event in the spool */
    bool had_history;          /* at this connect */
    unsigned unknown_replayed; /* since this connect, before the first known one */
    bool overlap_seen;
    bool stopped, told, failed;
    bool orphan; /* freed, but the client has not said its last word */
};

/* ---- known ones ---- */

static uint64_t add_hash(uint64_t h, struct str s)
{
    return hash_bytes(s.p == NULL ? "" : s.p, s.n, h);
}

/* By (time, type, action, object): the same for one event however often it is told. */
static uint64_t key_of(const struct piece *p)
{
    const struct labels labels = {.n = p->n_labels};
    uint64_t h = hash_bytes(&p->ts, sizeof(p->ts), labels.n);
    static const char *const NAMES[] = {"action_detail", "container_id", "event_type", "object_id"};

    for (size_t i = 0; i < p->n_labels; i++)
        if (str_eq(p->labels[i].name, STR("action")))
            h = add_hash(h, p->labels[i].value);
    for (size_t k = 0; k < sizeof(NAMES) / sizeof(NAMES[0]); k++)
        for (size_t i = 0; i < p->n_attrs; i++)
            if (str_eq(p->attrs[i].name, str_of(NAMES[k])))
                h = add_hash(h, p->attrs[i].value);
    return h;
}

static bool is_known(const struct input_events *in, uint64_t key)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        if (in->known[i] == key)
            return true;
    return false;
}

static void remember(struct input_events *in, const struct piece *p)
{
    in->known[in->next_known++ % KNOWN_MAX] = key_of(p);
    if (p->ts > in->newest)
        in->newest = p->ts;
}

static void replay_line(void *arg, struct str line)
{
    struct input_events *in = arg;
    struct piece p;

    if (decode_docker_event(&in->decoder, line, &p))
        remember(in, &p);
}

/* ---- what comes ---- */

static void report_gap(struct input_events *in)
{
    struct notice_gap gap = {.cause = "events_lost",
                             .path = str_of(in->socket),
                             .text = STR("the engine replayed all "
                                         "it keeps and none was known")};
    struct err err;

    if (notice_gap(in->opt.own, &gap, &err) < 0)
        log_error("gap.not_written", LOG_ERR(&err));
}

static int append(struct input_events *in, struct str text, struct err *err)
{
    buf_clear(&in->clean);
    buf_add_str(&in->clean, text);
    buf_add_char(&in->clean, '\n');
    return buf_err(&in->clean, "event", err) < 0 ? ERR_LIMIT
                                                 : spool_keep(in->spool, buf_str(&in->clean), err);
}

static struct str find(const struct label *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, name))
            return v[i].value;
    return STR_NULL;
}

/* What an engine replays when it is met for the first time may be long ago. */
static void tell_start(struct input_events *in, const struct piece *p)
{
    struct str id = find(p->attrs, p->n_attrs, STR("container_id"));

    if (in->opt.started != NULL && id.n > 0 && (in->had_history || p->ts >= in->opened_at) &&
        str_eq(find(p->labels, p->n_labels, STR("action")), STR("start")))
        in->opt.started(in->opt.arg, in->opt.name, id);
}

/* A whole event with its newline.  false: it could not be written down. */
static bool take_line(struct input_events *in, struct str line)
{
    struct str text = str_sub(line, 0, line.n - 1);
    struct piece p;
    struct err err;
    bool understood;

    if (in->opt.redact != NULL) /* not even the spool has secrets */
        redact_text(in->opt.redact, &text, NULL, &in->redacted);
    understood = decode_docker_event(&in->decoder, text, &p);

    if (str_trim(text).n == 0)
        return true;
    if (understood && is_known(in, key_of(&p))) {
        in->overlap_seen = true;
        metric_add(METRIC_EVENTS_REPEATED, 1);
        return true;
    }
    if (!in->overlap_seen && in->had_history && ++in->unknown_replayed == ENGINE_KEEPS) {
        in->overlap_seen = true; /* say it once */
        report_gap(in);
    }
    if (append(in, text, &err) < 0) {
        log_error("events.not_written", LOG_Z("source", in->opt.name), LOG_ERR(&err));
        return false;
    }
    metric_add(METRIC_EVENTS, 1);
    if (understood) {
        remember(in, &p);
        tell_start(in, &p);
    }
    return true;
}

static void on_head(struct http_client *c, int status, void *arg)
{
    struct input_events *in = arg;

    (void)c;
    in->status = status;
    if (status != 200)
        return;
    if (in->failed || !in->told)
        log_info("events.connected", LOG_Z("source", in->opt.name), LOG_Z("socket", in->socket));
    in->told = true;
    in->failed = false;
    backoff_reset(&in->backoff);
}

/* Up to the end of a line that is over the limit. */
static struct str skip_long(struct input_events *in, struct str bytes)
{
    size_t nl = str_find_char(bytes, '\n');

    in->skipping = nl == SIZE_MAX;
    return in->skipping ? STR_NULL : str_from(bytes, nl + 1);
}

static void make_durable(void *arg)
{
    struct input_events *in = arg;

    if (!spool_retry(in->spool))
        loop_timer_start(in->sync_timer, SYNC_AGAIN_MS, 0);
}

static void on_body(struct http_client *c, struct str bytes, void *arg)
{
    struct input_events *in = arg;
    bool ok = true;

    if (in->status != 200 || in->stopped)
        return;
    if (in->skipping)
        bytes = skip_long(in, bytes);
    while (ok && bytes.n > 0) {
        size_t nl = str_find_char(bytes, '\n');
        buf_add_str(&in->line, str_sub(bytes, 0, nl == SIZE_MAX ? bytes.n : nl + 1));
        if (in->line.over) {
            metric_add(METRIC_EVENTS_DROPPED, 1);
            buf_clear(&in->line);
            bytes = skip_long(in, bytes);
            continue;
        }
        if (nl == SIZE_MAX)
            break;
        ok = take_line(in, buf_str(&in->line));
        buf_clear(&in->line);
        bytes = str_from(bytes, nl + 1);
    }
    make_durable(in);
    if (!ok)
        http_client_cancel(c); /* later again, from the newest that is written down */
}

static void destroy(struct input_events *in)
{
    loop_timer_free(&in->timer);
    loop_timer_free(&in->sync_timer);
    spool_close(&in->spool);
    decoder_fini(&in->decoder);
    buf_fini(&in->line);
    buf_fini(&in->clean);
    redact_scratch_fini(&in->redacted);
    free(in->address);
    free(in->socket);
    in->magic = 0;
    free(in);
}

static void on_done(struct http_client *c, const struct err *err, void *arg)
{
    struct input_events *in = arg;

    (void)c;
    in->client = NULL;
    if (in->orphan) {
        destroy(in);
        return;
    }
    if (in->stopped)
        return;
    metric_add(METRIC_ENGINE_CONNECT_FAILED, 1);
    if (!in->failed)
        log_warn("events.disconnected", LOG_Z("source", in->opt.name), LOG_Z("socket", in->socket),
                 LOG_I64("status", in->status),
                 LOG_Z("error", err->code == 0 ? "end of stream" : err->text));
    in->failed = true;
    loop_timer_start(in->timer, backoff_next_ms(&in->backoff), 0);
}

/* ---- asking ---- */

static void connect_now(void *arg)
{
    static const struct http_client_handler HANDLER = {on_head, on_body, on_done};
    struct input_events *in = arg;
    struct http_client_request req = {.address = in->address, .method = "GET", .host = "localhost"};
    int64_t since = in->newest / NS_PER_S - OVERLAP_S;
    char target[64];
    struct err err;
    int r;

    if (in->stopped || in->client != NULL)
        return;
    (void)snprintf(target, sizeof(target), "/events?since=%" PRId64, since > 0 ? since : 0);
    req.target = target;
    in->status = 0;
    in->skipping = false;
    in->had_history = in->newest > 0;
    in->overlap_seen = false;
    in->unknown_replayed = 0;
    buf_clear(&in->line);
    r = opener_connect(in->opt.opener, in->socket, &req.connected_fd, &err);
    if (r == ERR_GONE) { /* an engine that is not there is no news */
        loop_timer_start(in->timer, backoff_next_ms(&in->backoff), 0);
        return;
    }
    if (r == 0) {
        r = http_client_start(in->opt.loop, &req, &HANDLER, in, &in->client, &err);
        if (r < 0)
            (void)close(req.connected_fd);
    }
    if (r < 0) {
        in->client = NULL;
        on_done(NULL, &err, in);
    }
}

static int start(void *self, struct err *err)
{
    struct input_events *in = self;

    (void)err;
    OBJ_CHECK(in, INPUT_EVENTS_MAGIC);
    in->stopped = false;
    loop_timer_start(in->timer, 0, 0);
    return 0;
}

static void stop(void *self)
{
    struct input_events *in = self;

    OBJ_CHECK(in, INPUT_EVENTS_MAGIC);
    in->stopped = true;
    loop_timer_stop(in->timer);
    if (in->client != NULL)
        http_client_cancel(in->client);
}

struct input input_events_input(struct input_events *in)
{
    static const struct input_ops OPS = {"events", start, stop, NULL, NULL, NULL};

    return (struct input){&OPS, in};
}

int input_events_open(const struct input_events_options *opt, struct input_events **ret,
                      struct err *err)
{
    struct input_events *in = mem_new(sizeof(*in));
    int r;

    in->magic = INPUT_EVENTS_MAGIC;
    in->opt = *opt;
    in->opened_at = time_now();
    in->socket = mem_dup(opt->socket.p, opt->socket.n);
    in->address = mem_new(opt->socket.n + sizeof("unix:"));
    (void)snprintf(in->address, opt->socket.n + sizeof("unix:"), "unix:%s", in->socket);
    in->backoff.min_ms = opt->backoff_min_ms == 0 ? BACKOFF_MIN_MS : opt->backoff_min_ms;
    in->backoff.max_ms = opt->backoff_max_ms == 0 ? BACKOFF_MAX_MS : opt->backoff_max_ms;
    buf_init(&in->line, LINE_MAX_BYTES);
    buf_init(&in->clean, LINE_MAX_BYTES + 1);
    redact_scratch_init(&in->redacted, LINE_MAX_BYTES);
    decoder_init(&in->decoder);
    in->timer = loop_timer_new(opt->loop, connect_now, in);
    in->sync_timer = loop_timer_new(opt->loop, make_durable, in);
    r = spool_open(opt->state_fd, opt->name, &in->spool, err);
    if (r == 0)
        r = spool_replay(in->spool, replay_line, in, err);
    if (r < 0) {
        input_events_free(&in);
        return r;
    }
    *ret = in;
    return 0;
}

void input_events_free(struct input_events **pin)
{
    struct input_events *in = *pin;

    if (in == NULL)
        return;
    stop(in);
    in->orphan = true;
    if (in->client == NULL)
        destroy(in);
    *pin = NULL;
}
