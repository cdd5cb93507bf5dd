/*
 * wire/forward_pack.c - contract: forward_pack.h.
 *
 * Entries are the collector's hot path: their exact size is known before, room is taken once and
 * heads are written by hand.  What comes once per message goes through msgpack-c.
 */
#include "wire/forward_pack.h"

#include "base/obj.h"
#include "wire/forward_time.h"
#include "wire/mp_pack.h"

#include <string.h>

#include <openssl/evp.h>

enum { TOKEN_HASH_BYTES = 16, PART_ELEMENTS = 7, PART_MAYBE_TWICE = 1 };

static size_t str_head_size(size_t n)
{
    return n < 32 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5;
}

static size_t map_head_size(size_t n)
{
    return n < 16 ? 1 : n < 65536 ? 3 : 5;
}

static char *put_big_endian(char *p, uint64_t v, size_t n)
{
    size_t i;

    for (i = n; i > 0; i--) {
        p[i - 1] = (char)(v & 0xff);
        v >>= 8;
    }
    return p + n;
}

static char *put_head(char *p, unsigned char first, size_t n, size_t width)
{
    *p++ = (char)first;
    return put_big_endian(p, n, width);
}

static char *put_map_head(char *p, size_t n)
{
    if (n < 16)
        return put_head(p, (unsigned char)(0x80u | n), 0, 0);
    return n < 65536 ? put_head(p, 0xde, n, 2) : put_head(p, 0xdf, n, 4);
}

static char *put_str(char *p, struct str s)
{
    if (s.n < 32)
        p = put_head(p, (unsigned char)(0xa0u | s.n), 0, 0);
    else if (s.n < 256)
        p = put_head(p, 0xd9, s.n, 1);
    else if (s.n < 65536)
        p = put_head(p, 0xda, s.n, 2);
    else
        p = put_head(p, 0xdb, s.n, 4);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *put_event_time(char *p, ts_ns ts)
{
    uint64_t seconds = ts < 0 ? 0 : (uint64_t)(ts / NS_PER_S);
    uint64_t ns = ts < 0 ? 0 : (uint64_t)(ts % NS_PER_S);

    if (seconds > FORWARD_SECONDS_MAX) {
        seconds = FORWARD_SECONDS_MAX;
        ns = NS_PER_S - 1;
    }
    *p++ = (char)0xd7;
    *p++ = FORWARD_EVENT_TIME;
    p = put_big_endian(p, seconds, 4);
    return put_big_endian(p, ns, 4);
}

void forward_pack_entry(struct buf *b, ts_ns ts, const struct label *fields, size_t n)
{
    size_t size = 1 + 10 + map_head_size(n), i;
    char *p;

    INVARIANT(n <= UINT32_MAX);
    for (i = 0; i < n; i++) {
        INVARIANT(fields[i].name.n <= UINT32_MAX && fields[i].value.n <= UINT32_MAX);
        size += str_head_size(fields[i].name.n) + fields[i].name.n;
        size += str_head_size(fields[i].value.n) + fields[i].value.n;
    }
    p = buf_room(b, size);
    if (p == NULL)
        return;
    *p++ = (char)0x92;
    p = put_event_time(p, ts);
    p = put_map_head(p, n);
    for (i = 0; i < n; i++) {
        p = put_str(p, fields[i].name);
        p = put_str(p, fields[i].value);
    }
    b->n += size;
}

static void pack_labels(msgpack_packer *pk, const struct labels *l)
{
    size_t i;

    (void)msgpack_pack_map(pk, l->n);
    for (i = 0; i < l->n; i++) {
        mp_pack_text(pk, l->v[i].name);
        mp_pack_text(pk, l->v[i].value);
    }
}

static void pack_parts(msgpack_packer *pk, const struct forward_part *parts, size_t n,
                       uint64_t next)
{
    size_t i;

    (void)msgpack_pack_map(pk, next != 0 ? 3 : 2);
    mp_pack_text(pk, STR("v"));
    (void)msgpack_pack_uint8(pk, 1);
    mp_pack_text(pk, STR("p"));
    (void)msgpack_pack_array(pk, n);
    for (i = 0; i < n; i++) {
        const struct forward_part *part = &parts[i];
        (void)msgpack_pack_array(pk, PART_ELEMENTS);
        mp_pack_text(pk, part->file_id);
        (void)msgpack_pack_uint64(pk, part->start);
        (void)msgpack_pack_uint64(pk, part->end);
        (void)msgpack_pack_uint32(pk, part->count);
        pack_labels(pk, &part->labels);
        pack_labels(pk, &part->attrs);
        (void)msgpack_pack_uint8(pk, part->maybe_twice ? PART_MAYBE_TWICE : 0);
    }
    if (next != 0) {
        mp_pack_text(pk, STR("next"));
        (void)msgpack_pack_uint64(pk, next);
    }
}

static void pack_option(msgpack_packer *pk, const struct forward_chunk *c)
{
    bool packed = c->codec != CODEC_NONE;

    (void)msgpack_pack_map(pk, 2u + packed + (c->n_parts > 0));
    mp_pack_text(pk, STR("chunk"));
    mp_pack_text(pk, c->token);
    mp_pack_text(pk, STR("size"));
    (void)msgpack_pack_uint64(pk, c->n_entries);
    if (packed) {
        mp_pack_text(pk, STR("compressed"));
        mp_pack_text(pk, c->codec == CODEC_GZIP ? STR("gzip") : STR("zstd"));
    }
    if (c->n_parts > 0) {
        mp_pack_text(pk, STR("lq"));
        pack_parts(pk, c->parts, c->n_parts, c->next);
    }
}

void forward_pack_chunk(struct buf *b, const struct forward_chunk *c)
{
    msgpack_packer pk;

    mp_pack_init(&pk, b);
    (void)msgpack_pack_array(&pk, 3);
    mp_pack_text(&pk, c->tag);
    (void)msgpack_pack_bin_with_body(&pk, c->payload.p, c->payload.n);
    pack_option(&pk, c);
}

/* The payload's length takes four bytes, whatever it will be. */
enum { BIN_HEAD = 5 };

static size_t begin_size(struct str tag)
{
    return 1 + str_head_size(tag.n) + tag.n + BIN_HEAD;
}

void forward_pack_begin(struct buf *b, struct str tag)
{
    size_t n = begin_size(tag);
    char *p = buf_room(b, n);

    INVARIANT(b->n == 0);
    if (p == NULL)
        return;
    *p++ = (char)0x93;
    (void)put_head(put_str(p, tag), 0xc6, 0, BIN_HEAD - 1);
    b->n = n;
}

void forward_pack_end(struct buf *b, const struct forward_chunk *c)
{
    size_t head = begin_size(c->tag);
    msgpack_packer pk;

    INVARIANT(c->codec == CODEC_NONE);
    if (b->over)
        return;
    INVARIANT(b->n >= head && b->n - head <= UINT32_MAX);
    (void)put_big_endian(b->p + head - (BIN_HEAD - 1), b->n - head, BIN_HEAD - 1);
    mp_pack_init(&pk, b);
    pack_option(&pk, c);
}

void forward_pack_ack(struct buf *b, struct str token)
{
    msgpack_packer pk;

    mp_pack_init(&pk, b);
    mp_pack_ack(&pk, token, false);
}

static void pack_refusal(msgpack_packer *pk, struct str token, struct str code, struct str text,
                         bool more)
{
    mp_pack_ack(pk, token, true);
    (void)msgpack_pack_map(pk, more ? 3 : 2);
    mp_pack_text(pk, STR("refused"));
    mp_pack_text(pk, code);
    mp_pack_text(pk, STR("text"));
    mp_pack_text(pk, text);
}

void forward_pack_refusal(struct buf *b, struct str token, struct str code, struct str text)
{
    msgpack_packer pk;

    mp_pack_init(&pk, b);
    pack_refusal(&pk, token, code, text, false);
}

void forward_pack_refused_parts(struct buf *b, struct str token, struct str code, struct str text,
                                const bool *refused, size_t n)
{
    msgpack_packer pk;
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += refused[i];
    mp_pack_init(&pk, b);
    pack_refusal(&pk, token, code, text, true);
    mp_pack_text(&pk, STR("parts"));
    (void)msgpack_pack_array(&pk, count);
    for (size_t i = 0; i < n; i++)
        if (refused[i])
            (void)msgpack_pack_uint32(&pk, (uint32_t)i);
}

void forward_token(const struct forward_part *parts, size_t n, char ret[25])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    char range[17] = {0}; /* a 0 byte, start, end */
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    size_t i;

    for (i = 0; i < n; i++) {
        put_big_endian(put_big_endian(range + 1, parts[i].start, 8), parts[i].end, 8);
        ok = ok && EVP_DigestUpdate(md, parts[i].file_id.p, parts[i].file_id.n) == 1 &&
             EVP_DigestUpdate(md, range, sizeof(range)) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    INVARIANT(ok); /* SHA-256 fails only where memory is out or the library is not whole */
    (void)EVP_EncodeBlock((unsigned char *)ret, digest, TOKEN_HASH_BYTES);
}
