/*
 * server/api_push.c - POST /loki/api/v1/push, JSON or protobuf, and /api/v1/import, lines of an
 * export.
 *
 * 204 only when the store has said durable; what of a push cannot be is left out, and named with a
 * 400 when the rest is durable.  Parsed on the loop (a push of 1 MB takes about 2 ms);
 * the wait is the store's. Each push is stored: two equal lines are two records (only Forward
 * chunks are deduplicated, and batches of an import, by their number and hash).
 */
#include "server/api_priv.h"

#include "base/obj.h"
#include "server/ingest.h"
#include "server/metrics.h"
#include "server/peers.h"
#include "server/stream_limit.h"
#include "wire/codec.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECIDED_MAX = 4096, REFUSAL_MAX = 8192 };

struct push {
    unsigned magic;
#define PUSH_MAGIC 0x9057ad13u
    struct store_append append;
    struct api *api;
    struct loop *loop;
    struct http_exchange *x; /* loop thread; NULL once the client is gone */
    struct buf body;         /* owned, decompressed */
    size_t charged;
    struct buf decided;
    char tenant[160];
    char dedup[256]; /* identity of a batch of an import */
    enum store_outcome outcome;
    struct err err;
    uint64_t taken; /* entries; and what was left out of it: */
    struct ingest_refused refused;
};

static void push_free(struct push *p)
{
    OBJ_CHECK(p, PUSH_MAGIC);
    mem_budget_give(&p->api->server->memory, p->charged);
    buf_fini(&p->body);
    buf_fini(&p->decided);
    p->magic = 0;
    free(p);
}

static void refuse(struct http_exchange *x, int status, const struct err *err)
{
    metric_add(METRIC_PUSH_REJECTED, 1);
    if (status == 503)
        http_reply_header(x, "Retry-After", STR("5"));
    http_replyf(x, status, "%s\n", err->text);
}

/* Stored is what could be; Loki's clients do not try again after a 400. */
static void reply_stored(struct http_exchange *x, const struct push *p)
{
    struct buf text;

    if (p->refused.entries == 0) {
        http_reply(x, 204, NULL, STR_NULL);
        return;
    }
    metric_add(METRIC_PUSH_REJECTED, 1);
    buf_init(&text, REFUSAL_MAX);
    ingest_refused_print(&p->refused, p->taken, &text);
    http_replyf(x, 400, "%.*s\n", STR_ARG(buf_str(&text)));
    buf_fini(&text);
}

static void finish(void *arg)
{
    struct push *p = arg;

    if (p->outcome == STORE_STORED)
        metric_add(METRIC_PUSH_REFUSED_RECORDS, p->refused.entries);
    if (p->x != NULL) {
        if (p->outcome == STORE_STORED || p->outcome == STORE_DUPLICATE)
            reply_stored(p->x, p);
        else
            refuse(p->x, p->outcome == STORE_REFUSED ? 400 : 503, &p->err);
    }
    push_free(p);
}

/* WAL thread. */
static void on_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct push *p = a->arg;

    p->outcome = outcome;
    if (outcome == STORE_REFUSED || outcome == STORE_FAILED)
        p->err = *err;
    if (!loop_post(p->loop, finish, p))
        push_free(p); /* api_priv.h (1): the server stops, nobody is left to be answered */
}

static void on_aborted(void *arg)
{
    struct push *p = arg;

    OBJ_CHECK(p, PUSH_MAGIC);
    p->x = NULL;
}

/* Snappy's block form; what it says it unpacks to is bounded before it is believed. */
static int unpack_snappy(struct str in, size_t max, struct buf *out, struct err *err)
{
    enum { RATIO = 64 }; /* a copy of 64 bytes takes 2 */
    size_t n = 0;
    char *dst;

    if (snappy_uncompressed_length(in.p, in.n, &n) != SNAPPY_OK)
        return err_set(err, ERR_CORRUPT, "the body is not snappy-compressed");
    if (n > max)
        return err_set(err, ERR_LIMIT, "unpacks to more than %zu bytes", max);
    if (n / RATIO > in.n)
        return err_set(err, ERR_CORRUPT, "snappy: more bytes announced than there can be");
    dst = buf_room(out, n);
    if (n > 0 && dst == NULL)
        return buf_err(out, "the body", err);
    if (n > 0 && snappy_uncompress(in.p, in.n, dst, &n) != SNAPPY_OK)
        return err_set(err, ERR_CORRUPT, "the body is not snappy-compressed");
    out->n += n;
    return 0;
}

static bool is_proto(const struct http_exchange *x)
{
    return str_find(http_header(x, "Content-Type"), STR("protobuf")) != SIZE_MAX;
}

/* The body as its headers say it is packed; protobuf is always snappy, said or not. */
static int unpack(struct http_exchange *x, bool proto, size_t max, struct buf *out, struct err *err)
{
    struct str encoding = http_header(x, "Content-Encoding");
    struct str body = http_body(x);

    if (str_eq_nocase(encoding, STR("snappy")) || (proto && encoding.n == 0))
        return unpack_snappy(body, max, out, err);
    if (str_eq_nocase(encoding, STR("gzip")))
        return codec_unpack(CODEC_GZIP, body, max, out, err);
    if (str_eq_nocase(encoding, STR("deflate")))
        return codec_unpack(CODEC_DEFLATE, body, max, out, err);
    if (encoding.n > 0 && !str_eq_nocase(encoding, STR("identity")))
        return err_set(err, ERR_UNSUPPORTED,
                       "Content-Encoding '%.*s' is not supported; gzip, deflate and snappy are",
                       (int)(encoding.n < 32 ? encoding.n : 32), encoding.p);
    buf_add_str(out, body);
    return 0;
}

/* `status` gets what to refuse with. */
static int read_body(struct http_exchange *x, struct push *p, bool proto, int *status,
                     struct err *err)
{
    size_t max = (size_t)p->api->server->conf.http.max_body_bytes;
    int r;

    buf_init(&p->body, max);
    r = unpack(x, proto, max, &p->body, err);
    *status = r == ERR_UNSUPPORTED ? 415 : r == ERR_LIMIT ? 413 : 400;
    if (r < 0)
        return r;
    *status = 503;
    r = buf_err(&p->body, "the body", err);
    if (r == 0)
        r = mem_budget_take(&p->api->server->memory, p->body.cap, err);
    if (r == 0)
        p->charged = p->body.cap;
    return r;
}

static int check_store(struct api *a, struct err *err)
{
    char reason[200];
    enum store_state state = store_state(a->server->store, reason, sizeof(reason));

    if (state == STORE_READY || state == STORE_REPLAYING)
        return 0;
    return err_set(err, ERR_IO, "not accepting: %s", reason);
}

/* The same batch again, of the same import, is stored once; who gives no number wants each stored.
 */
static int identify(struct http_exchange *x, struct push *p, struct err *err)
{
    struct str number = http_param(x, "batch", 0);
    uint8_t hash[32] = {0};
    char hex[2 * sizeof(hash) + 1];
    unsigned n = 0;
    uint64_t batch;

    if (number.n == 0)
        return 0;
    if (!str_to_u64(number, &batch))
        return api_bad_param(err, "batch", number, "number");
    if (EVP_Digest(p->body.p, p->body.n, hash, &n, EVP_sha256(), NULL) != 1)
        return err_set(err, ERR_NOMEM, "no memory for this request now");
    for (size_t i = 0; i < sizeof(hash); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    /* Of a bounded length: what is cut off here would make two batches one. */
    (void)snprintf(p->dedup, sizeof(p->dedup), "import %" PRIu64 " %s %s", batch, hex, p->tenant);
    p->append.dedup = str_of(p->dedup);
    return 0;
}

static void decide(struct push *p, const struct auth_caller *caller, enum ingest_kind kind)
{
    struct ingest_decided d = {.payload_bytes = p->body.max};

    buf_init(&p->decided, DECIDED_MAX);
    ingest_decided_pack(&d, &p->decided);
    (void)str_to_z(caller->tenants[0], p->tenant, sizeof(p->tenant));
    p->append.payload =
        (struct store_payload){.kind = (uint32_t)kind,
                               .tenant = str_of(p->tenant),
                               .peer = kind == INGEST_IMPORT ? STR("import") : STR("push"),
                               .decided = buf_str(&p->decided),
                               .received = store_receive_time(p->api->server->store),
                               .bytes = buf_str(&p->body)};
}

static void take(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                 enum ingest_kind kind)
{
    struct push *p = mem_new(sizeof(*p));
    struct ingest_times times = {0, 0};
    struct batch *b = NULL;
    struct err err;
    int status = 503;
    int r;

    metric_add(METRIC_PUSH_REQUESTS, 1);
    p->magic = PUSH_MAGIC;
    p->api = a;
    p->loop = http_loop(x);
    p->x = x;
    r = check_store(a, &err);
    if (r == 0)
        r = read_body(x, p, kind == INGEST_PUSH_PROTO, &status, &err);
    if (r == 0) {
        decide(p, caller, kind);
        if (kind == INGEST_IMPORT)
            r = identify(x, p, &err);
        if (r == 0)
            r = ingest_decode_times(&a->server->memory, &p->append.payload, &b, &times, &p->refused,
                                    &err);
        status = r == ERR_NOMEM ? 503 : 400;
    }
    if (r == 0 && b != NULL) {
        r = stream_limit_admit(a->server->streams, p->append.payload.tenant, b,
                               p->append.payload.received, &err);
        if (r < 0) {
            metric_add(METRIC_INGEST_STREAMS_REFUSED, r == ERR_LIMIT);
            batch_unref(&b);
            status = r == ERR_LIMIT ? 429 : 503;
        }
    }
    if (r < 0 || b == NULL) {
        refuse(x, status, &err);
        push_free(p);
        return;
    }
    if (b->n_records == 0) {
        metric_add(METRIC_PUSH_REFUSED_RECORDS, p->refused.entries);
        reply_stored(x, p);
        batch_unref(&b);
        push_free(p);
        return;
    }
    peers_note(a->server->peers, p->append.payload.peer, &times);
    p->append.batch = b;
    p->taken = b->n_records;
    p->append.done = on_done;
    p->append.arg = p;
    http_watch(x, on_aborted, NULL, p);
    store_append(a->server->store, &p->append);
}

void api_push(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    take(a, x, caller, is_proto(x) ? INGEST_PUSH_PROTO : INGEST_PUSH_JSON);
}

void api_import(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    take(a, x, caller, INGEST_IMPORT);
}
