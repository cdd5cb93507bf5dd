/*
 * server/websocket.c - see websocket.h.
 *
 * Reading is an event context of wslay, which checks masks, lengths, the order of fragments, close
 * codes and UTF-8, and answers by itself; a frame of ours is one use of its frame context.
 *
 * Invariants
 *   (1) wslay gets at most what its buffer holds (4 KiB) before its answers are taken: a flood of
 *       pings is never a queue of more pongs than that;
 *   (2) of a client's data nothing is kept (no buffering): what a connection holds has a fixed
 * size.
 */
#include "server/websocket.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/utf8.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

enum { KEY_CHARS = 24, SHA1_BYTES = 20 };

struct websocket {
    unsigned magic;
#define WEBSOCKET_MAGIC 0x3b50c4e7u
    wslay_event_context_ptr wslay; /* owned */
    struct str in;                 /* of websocket_read: what wslay did not take yet */
    bool given;                    /* keeps (1) */
    struct buf *out;               /* of websocket_read */
};

/* ---- handshake ---- */

static bool has_token(struct str list, struct str token)
{
    while (list.p != NULL)
        if (str_eq_nocase(str_trim(str_cut(&list, ',')), token))
            return true;
    return false;
}

static bool is_key(struct str key)
{
    unsigned char plain[KEY_CHARS];

    return key.n == KEY_CHARS && str_ends(key, STR("==")) && key.p[KEY_CHARS - 3] != '=' &&
           EVP_DecodeBlock(plain, (const unsigned char *)key.p, KEY_CHARS) == 18;
}

int websocket_accept(const struct websocket_offer *o, char accept[WEBSOCKET_ACCEPT],
                     const char **why)
{
    static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[KEY_CHARS + sizeof(GUID)];

    *why = "a WebSocket is opened by Connection: Upgrade and Upgrade: websocket";
    if (!has_token(o->upgrade, STR("websocket")) || !has_token(o->connection, STR("upgrade")))
        return 426;
    *why = "Sec-WebSocket-Version: 13 is spoken here";
    if (!str_eq(o->version, STR("13")))
        return 426;
    *why = "Sec-WebSocket-Key is not 16 bytes in base64";
    if (!is_key(o->key))
        return 400;
    memcpy(text, o->key.p, KEY_CHARS);
    memcpy(text + KEY_CHARS, GUID, sizeof(GUID) - 1);
    *why = "no SHA-1 in this build";
    if (EVP_Digest(text, KEY_CHARS + sizeof(GUID) - 1, digest, NULL, EVP_sha1(), NULL) != 1)
        return 500;
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, SHA1_BYTES);
    *why = NULL;
    return 101;
}

/* ---- reading ---- */

static ssize_t give(wslay_event_context_ptr ctx, uint8_t *to, size_t max, int flags, void *arg)
{
    struct websocket *w = arg;
    struct str piece = str_sub(w->in, 0, max);

    (void)flags;
    if (w->given || piece.n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(to, piece.p, piece.n);
    w->in = str_from(w->in, piece.n);
    w->given = true;
    return (ssize_t)piece.n;
}

static ssize_t take(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *arg)
{
    struct websocket *w = arg;

    (void)ctx;
    (void)flags;
    buf_add(w->out, p, n);
    return (ssize_t)n;
}

struct websocket *websocket_new(size_t frame_bytes)
{
    static const struct wslay_event_callbacks CALLBACKS = {.recv_callback = give,
                                                           .send_callback = take};
    struct websocket *w = mem_new(sizeof(*w));
    int r = wslay_event_context_server_init(&w->wslay, &CALLBACKS, w);

    INVARIANT(r == 0); /* a small fixed size, as with mem_new */
    w->magic = WEBSOCKET_MAGIC;
    wslay_event_config_set_no_buffering(w->wslay, 1); /* keeps (2) */
    wslay_event_config_set_max_recv_msg_length(w->wslay, frame_bytes);
    return w;
}

void websocket_free(struct websocket **pw)
{
    struct websocket *w = *pw;

    *pw = NULL;
    if (w == NULL)
        return;
    OBJ_CHECK(w, WEBSOCKET_MAGIC);
    wslay_event_context_free(w->wslay);
    w->magic = 0;
    free(w);
}

int websocket_read(struct websocket *w, struct str bytes, struct buf *answers)
{
    int r;

    OBJ_CHECK(w, WEBSOCKET_MAGIC);
    INVARIANT(wslay_event_want_read(w->wslay));
    w->in = bytes;
    w->out = answers;
    do {
        w->given = false;
        r = wslay_event_recv(w->wslay);
        if (r == 0)
            r = wslay_event_send(w->wslay);
    } while (r == 0 && w->in.n > 0 && wslay_event_want_read(w->wslay));
    /* What wslay cannot parse it would close without a code. */
    if (r == WSLAY_ERR_NOMEM)
        websocket_put_close(answers, WEBSOCKET_FAILED, STR("no memory"));
    else if (r != 0)
        websocket_put_close(answers, WEBSOCKET_PROTOCOL_ERROR, STR("this is no frame of RFC 6455"));
    w->in = STR_NULL;
    w->out = NULL;
    return r != 0 || answers->over || !wslay_event_want_read(w->wslay) ? 1 : 0;
}

/* ---- writing ---- */

static ssize_t append(const uint8_t *p, size_t n, int flags, void *arg)
{
    (void)flags;
    buf_add(arg, p, n);
    return (ssize_t)n;
}

static void put_frame(struct buf *out, uint8_t op, struct str payload)
{
    static const struct wslay_frame_callbacks CALLBACKS = {.send_callback = append};
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = op,
                                     .payload_length = payload.n,
                                     .data = (const uint8_t *)payload.p,
                                     .data_length = payload.n};
    wslay_frame_context_ptr wslay;
    int r = wslay_frame_context_init(&wslay, &CALLBACKS, out);
    ssize_t n;

    INVARIANT(r == 0); /* a small fixed size, as with mem_new */
    n = wslay_frame_send(wslay, &frame);
    INVARIANT(n >= 0 && (size_t)n == payload.n);
    wslay_frame_context_free(wslay);
}

void websocket_put(struct buf *out, enum websocket_op op, struct str payload)
{
    put_frame(out, (uint8_t)op, payload);
}

void websocket_put_close(struct buf *out, enum websocket_code code, struct str reason)
{
    char payload[2 + WEBSOCKET_REASON_MAX];

    reason = str_sub(reason, 0, WEBSOCKET_REASON_MAX);
    reason = str_sub(reason, 0, utf8_valid(reason)); /* a cut may split a character */
    payload[0] = (char)(unsigned char)((unsigned)code >> 8);
    payload[1] = (char)(unsigned char)((unsigned)code & 0xffu);
    if (reason.n > 0)
        memcpy(payload + 2, reason.p, reason.n);
    put_frame(out, WSLAY_CONNECTION_CLOSE, (struct str){payload, 2 + reason.n});
}
