/*
 * wire/websocket.c - see websocket.h.
 *
 *     byte 0: FIN, three reserved bits, opcode   byte 1: MASK, length (126: 2 bytes follow, 127: 8)
 *     then the mask (4 bytes, from clients), then the payload
 *
 * Invariants
 *   (1) head_n bytes of the current frame's head are there, and `left` bytes of its payload are
 *       still to come once it is complete;
 *   (2) message.n never passes max_bytes, control.n never WEBSOCKET_CONTROL_MAX: a length is
 *       checked before a byte of it is kept;
 *   (3) broken is final.
 */
#include "wire/websocket.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/utf8.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_MAX = 14, KEY_CHARS = 24, SHA1_BYTES = 20 };

struct websocket_reader {
    unsigned magic;
#define WEBSOCKET_READER_MAGIC 0x3b50c4e7u
    bool masked;
    bool in_message; /* a fragment without FIN came */
    bool in_payload;
    bool broken;
    enum websocket_op message_op;
    enum websocket_code code;
    uint8_t head[HEAD_MAX];
    size_t head_n;
    uint64_t left;
    size_t at; /* bytes of the payload so far, for the mask */
    struct buf message, control;
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

struct websocket_reader *websocket_reader_new(bool masked, size_t max_bytes)
{
    struct websocket_reader *r = mem_new(sizeof(*r));

    r->magic = WEBSOCKET_READER_MAGIC;
    r->masked = masked;
    buf_init(&r->message, max_bytes);
    buf_init(&r->control, WEBSOCKET_CONTROL_MAX);
    return r;
}

void websocket_reader_free(struct websocket_reader **pr)
{
    struct websocket_reader *r = *pr;

    *pr = NULL;
    if (r == NULL)
        return;
    OBJ_CHECK(r, WEBSOCKET_READER_MAGIC);
    buf_fini(&r->message);
    buf_fini(&r->control);
    r->magic = 0;
    free(r);
}

enum websocket_code websocket_reader_code(const struct websocket_reader *r)
{
    OBJ_CHECK(r, WEBSOCKET_READER_MAGIC);
    return r->code;
}

static int fail(struct websocket_reader *r, enum websocket_code code, const char *text,
                struct err *err)
{
    r->broken = true;
    r->code = code;
    return err_set(err, code == WEBSOCKET_TOO_BIG ? ERR_LIMIT : ERR_CORRUPT, "WebSocket: %s", text);
}

static bool is_control(unsigned op)
{
    return (op & 8) != 0;
}

static unsigned op_of(const struct websocket_reader *r)
{
    return r->head[0] & 0x0fu;
}

static size_t length_bytes(const struct websocket_reader *r)
{
    unsigned n = r->head[1] & 0x7fu;

    if (n < 126)
        return 0;
    return n == 126 ? 2 : 8;
}

/* The first two bytes of a head. */
static int check_start(struct websocket_reader *r, struct err *err)
{
    unsigned op = op_of(r);
    bool fin = (r->head[0] & 0x80) != 0;

    if ((r->head[0] & 0x70) != 0)
        return fail(r, WEBSOCKET_PROTOCOL_ERROR, "reserved bits are set", err);
    if (((r->head[1] & 0x80) != 0) != r->masked)
        return fail(r, WEBSOCKET_PROTOCOL_ERROR,
                    r->masked ? "a client masks its frames" : "a server masks nothing", err);
    if ((op > WEBSOCKET_BINARY && op < WEBSOCKET_CLOSE) || op > WEBSOCKET_PONG)
        return fail(r, WEBSOCKET_PROTOCOL_ERROR, "there is no such opcode", err);
    if (is_control(op) && (!fin || length_bytes(r) > 0))
        return fail(r, WEBSOCKET_PROTOCOL_ERROR, "a control frame is whole and at most 125 bytes",
                    err);
    if (!is_control(op) && (op == WEBSOCKET_CONTINUATION) != r->in_message)
        return fail(r, WEBSOCKET_PROTOCOL_ERROR,
                    r->in_message ? "a message begins inside of another"
                                  : "a continuation of nothing",
                    err);
    return 0;
}

/* The head is complete. */
static int begin_payload(struct websocket_reader *r, struct err *err)
{
    size_t more = length_bytes(r);
    uint64_t n = r->head[1] & 0x7fu;

    if (more > 0) {
        n = 0;
        for (size_t i = 0; i < more; i++)
            n = n << 8 | r->head[2 + i];
        if (n >> 63 != 0 || n < (more == 2 ? 126u : 65536u))
            return fail(r, WEBSOCKET_PROTOCOL_ERROR, "a length is not written in its short form",
                        err);
    }
    if (!is_control(op_of(r))) {
        if (op_of(r) != WEBSOCKET_CONTINUATION) {
            buf_clear(&r->message);
            r->message_op = (enum websocket_op)op_of(r);
        }
        r->in_message = true;
        if (n > r->message.max - r->message.n) /* keeps (2) */
            return fail(r, WEBSOCKET_TOO_BIG, "the message is too large", err);
    } else {
        buf_clear(&r->control);
    }
    r->left = n;
    r->at = 0;
    r->in_payload = true;
    return 0;
}

static int read_head(struct websocket_reader *r, struct str *bytes, struct err *err)
{
    int e = 0;

    while (bytes->n > 0 && !r->in_payload && e == 0) {
        r->head[r->head_n++] = (uint8_t)bytes->p[0];
        *bytes = str_from(*bytes, 1);
        if (r->head_n == 2)
            e = check_start(r, err);
        if (e == 0 && r->head_n >= 2 &&
            r->head_n == 2 + length_bytes(r) + (r->masked ? 4u : 0u)) /* keeps (1) */
            e = begin_payload(r, err);
    }
    return e;
}

static int read_payload(struct websocket_reader *r, struct str *bytes, struct err *err)
{
    const uint8_t *mask = r->head + 2 + length_bytes(r);
    struct buf *b = is_control(op_of(r)) ? &r->control : &r->message;
    size_t n = bytes->n < r->left ? bytes->n : (size_t)r->left;
    size_t from = b->n;

    buf_add(b, bytes->p, n);
    if (b->over)
        return fail(r, WEBSOCKET_TOO_BIG, "no memory for the message", err);
    for (size_t i = 0; i < n && r->masked; i++)
        b->p[from + i] = (char)((uint8_t)b->p[from + i] ^ mask[(r->at + i) & 3]);
    r->at += n;
    r->left -= n;
    *bytes = str_from(*bytes, n);
    return 0;
}

static bool code_ok(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static int take_close(struct websocket_reader *r, struct websocket_message *ret, struct err *err)
{
    struct str p = buf_str(&r->control);
    unsigned code = WEBSOCKET_NO_CODE;

    if (p.n == 1)
        return fail(r, WEBSOCKET_PROTOCOL_ERROR, "half a close code", err);
    if (p.n >= 2) {
        code = (unsigned)(uint8_t)p.p[0] << 8 | (uint8_t)p.p[1];
        if (!code_ok(code))
            return fail(r, WEBSOCKET_PROTOCOL_ERROR, "there is no such close code", err);
    }
    ret->code = (enum websocket_code)code;
    ret->payload = str_from(p, 2);
    if (utf8_valid(ret->payload) != ret->payload.n)
        return fail(r, WEBSOCKET_BAD_TEXT, "the reason is no UTF-8", err);
    return 0;
}

/* A frame is complete.  0: and with it a message; 1: it goes on. */
static int take_frame(struct websocket_reader *r, struct websocket_message *ret, struct err *err)
{
    r->in_payload = false;
    r->head_n = 0;
    *ret = (struct websocket_message){.op = (enum websocket_op)op_of(r)};
    if (ret->op == WEBSOCKET_CLOSE)
        return take_close(r, ret, err);
    if (is_control(op_of(r))) {
        ret->payload = buf_str(&r->control);
        return 0;
    }
    if ((r->head[0] & 0x80) == 0)
        return 1;
    r->in_message = false;
    ret->op = r->message_op;
    ret->payload = buf_str(&r->message);
    if (ret->op == WEBSOCKET_TEXT && utf8_valid(ret->payload) != ret->payload.n)
        return fail(r, WEBSOCKET_BAD_TEXT, "a text that is no UTF-8", err);
    return 0;
}

int websocket_reader_next(struct websocket_reader *r, struct str *bytes,
                          struct websocket_message *ret, struct err *err)
{
    int e;

    OBJ_CHECK(r, WEBSOCKET_READER_MAGIC);
    INVARIANT(!r->broken);
    for (;;) {
        e = r->in_payload ? 0 : read_head(r, bytes, err);
        if (e == 0 && r->in_payload && r->left > 0)
            e = read_payload(r, bytes, err);
        if (e < 0)
            return e;
        if (!r->in_payload || r->left > 0)
            return 1;
        e = take_frame(r, ret, err);
        if (e <= 0)
            return e;
    }
}

/* ---- writing ---- */

void websocket_put(struct buf *out, enum websocket_op op, struct str payload, const uint8_t *mask)
{
    uint8_t head[HEAD_MAX] = {(uint8_t)(0x80u | (unsigned)op), 0};
    size_t n = 2;
    size_t from;
    unsigned more = 0;

    if (payload.n < 126) {
        head[1] = (uint8_t)payload.n;
    } else {
        more = payload.n < 65536 ? 2 : 8;
        head[1] = more == 2 ? 126 : 127;
    }
    for (unsigned i = more; i > 0; i--)
        head[n++] = (uint8_t)((uint64_t)payload.n >> (8 * (i - 1)));
    if (mask != NULL) {
        head[1] |= 0x80;
        memcpy(head + n, mask, 4);
        n += 4;
    }
    buf_add(out, head, n);
    from = out->n;
    buf_add_str(out, payload);
    if (mask == NULL || out->over)
        return;
    for (size_t i = 0; i < payload.n; i++)
        out->p[from + i] = (char)((uint8_t)out->p[from + i] ^ mask[i & 3]);
}

void websocket_put_close(struct buf *out, enum websocket_code code, struct str reason,
                         const uint8_t *mask)
{
    char payload[2 + WEBSOCKET_REASON_MAX];

    reason = str_sub(reason, 0, WEBSOCKET_REASON_MAX);
    reason = str_sub(reason, 0, utf8_valid(reason)); /* a cut may split a character */
    payload[0] = (char)(unsigned char)((unsigned)code >> 8);
    payload[1] = (char)(unsigned char)((unsigned)code & 0xffu);
    if (reason.n > 0)
        memcpy(payload + 2, reason.p, reason.n);
    websocket_put(out, WEBSOCKET_CLOSE, (struct str){payload, 2 + reason.n}, mask);
}
