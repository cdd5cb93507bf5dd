/* storage/segment_reader.c - see segment_reader.h; bytes in docs/formats/segment.md. */
#include "storage/segment_reader.h"

#include "base/mem.h"
#include "base/obj.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/segment_format.h"

#include <zstd.h>

#include <inttypes.h>
#include <stdlib.h>

enum { READ_WHOLE = 64 << 10 }; /* a block of so few bytes is read at once */

struct segment_reader {
    unsigned magic;
#define SEGMENT_READER_MAGIC 0x5e93ead1u
    struct objstore_object *object; /* owned */
    struct crypt *crypt;            /* owned; NULL without a key */
    ZSTD_DCtx *zstd;                /* owned */
    struct segment_header header;
    char name[SEGMENT_NAME_MAX];
    uint64_t bytes;
};

static int read_at(struct segment_reader *r, uint64_t offset, void *dst, size_t n, struct err *err)
{
    int rc = objstore_read(r->object, offset, dst, n, err);

    if (rc == 0)
        r->bytes += n;
    return rc;
}

/* `n` bytes at `offset`, in `a`; that they are there is asked before they are allocated. */
static char *read_new(struct segment_reader *r, uint64_t offset, uint64_t n, struct arena *a,
                      struct err *err)
{
    uint64_t size = objstore_size(r->object);
    char *p;

    if (offset > size || n > size - offset) {
        (void)err_set(err, ERR_CORRUPT, "%" PRIu64 " bytes at %" PRIu64 " are past the end", n,
                      offset);
        return NULL;
    }
    p = arena_bytes(a, (size_t)n + 1);
    if (p == NULL)
        (void)arena_err(a, err);
    else if (read_at(r, offset, p, (size_t)n, err) < 0)
        p = NULL;
    return p;
}

static int open_header(struct segment_reader *r, const uint8_t *uuid, const uint8_t *key,
                       struct err *err)
{
    uint8_t bytes[SEGMENT_HEADER];
    uint8_t segment_key[CRYPT_KEY];
    int rc = read_at(r, 0, bytes, sizeof(bytes), err);

    if (rc == 0)
        rc = segment_header_get(bytes, &r->header, err);
    if (rc == 0 && memcmp(r->header.uuid, uuid, SEGMENT_UUID) != 0)
        rc = err_set(err, ERR_CORRUPT, "the file holds another segment than its name says");
    if (rc < 0 || key == NULL)
        return rc;
    rc = crypt_unwrap(key, (struct str){(char *)bytes, SEGMENT_HEADER_BOUND}, r->header.wrapped,
                      segment_key, err);
    if (rc == 0)
        r->crypt = crypt_new(segment_key);
    crypt_wipe(segment_key, sizeof(segment_key));
    return rc;
}

int segment_reader_open(struct objstore *os, const uint8_t uuid[SEGMENT_UUID], const uint8_t *key,
                        struct segment_reader **ret, struct err *err)
{
    struct segment_reader *r = mem_new(sizeof(*r));
    int rc;

    r->magic = SEGMENT_READER_MAGIC;
    r->zstd = ZSTD_createDCtx();
    INVARIANT(r->zstd != NULL); /* a fixed size, as with mem_new */
    segment_name(uuid, r->name);
    rc = objstore_open(os, r->name, &r->object, err);
    if (rc == 0)
        rc = open_header(r, uuid, key, err);
    if (rc < 0) {
        (void)err_wrap(err, "segment '%s'", r->name);
        segment_reader_free(&r);
        return rc;
    }
    *ret = r;
    return 0;
}

void segment_reader_free(struct segment_reader **pr)
{
    struct segment_reader *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    objstore_close(&r->object);
    crypt_free(&r->crypt);
    (void)ZSTD_freeDCtx(r->zstd);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

uint64_t segment_reader_tenant(const struct segment_reader *r)
{
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    return r->header.tenant_id;
}

int32_t segment_reader_day(const struct segment_reader *r)
{
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    return r->header.day;
}

uint64_t segment_reader_bytes(const struct segment_reader *r)
{
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    return r->bytes;
}

/* ---- blocks ---- */

static int check_place(const struct segment_reader *r, const struct block_header *h,
                       const struct segment_block *b, uint32_t index, struct err *err)
{
    if (memcmp(h->segment, r->header.uuid, SEGMENT_UUID) != 0 || h->index != index ||
        h->tenant_id != r->header.tenant_id)
        return err_set(err, ERR_CORRUPT, "block header belongs elsewhere");
    if (h->stored_bytes != b->stored_bytes || h->rows != b->rows || h->frames != b->frames ||
        h->first_stream != b->first_stream || h->last_stream != b->last_stream ||
        h->min_ts != b->min_ts || h->max_ts != b->max_ts)
        return err_set(err, ERR_CORRUPT, "block header and index disagree");
    return 0;
}

static int check_entries(const struct segment_reader_block *b, struct err *err)
{
    uint64_t sum = (uint64_t)b->header.frames * BLOCK_FRAME_ENTRY;

    for (uint32_t i = 0; i < b->header.frames; i++)
        sum += block_frame_get(b->entry[i]).stored_bytes;
    if (sum != b->header.stored_bytes)
        return err_set(err, ERR_CORRUPT, "frames do not fill their block");
    return 0;
}

static int read_block(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                      struct arena *a, struct segment_reader_block *ret, struct err *err)
{
    size_t directory = (size_t)b->frames * BLOCK_FRAME_ENTRY;
    uint64_t n = BLOCK_HEADER_STORED + (uint64_t)directory;
    bool whole = b->stored_bytes <= READ_WHOLE;
    const char *p;
    int rc;

    if (b->frames == 0 || b->frames > BLOCK_FRAMES_MAX || b->stored_bytes < directory)
        return err_set(err, ERR_CORRUPT, "index holds an impossible block");
    if (whole)
        n = BLOCK_HEADER_STORED + b->stored_bytes;
    p = read_new(r, b->offset, n, a, err);
    if (p == NULL)
        return err->code;
    rc = block_header_get((const uint8_t *)p, &ret->header, err);
    if (rc == 0)
        rc = check_place(r, &ret->header, b, index, err);
    if (rc < 0)
        return rc;
    memcpy(ret->bound, p, BLOCK_HEADER_BOUND);
    memcpy(ret->entry, p + BLOCK_HEADER_STORED, directory);
    ret->offset = b->offset;
    ret->stored = STR_NULL;
    if (whole)
        ret->stored = (struct str){p + BLOCK_HEADER_STORED, (size_t)b->stored_bytes};
    return check_entries(ret, err);
}

int segment_reader_block(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                         struct arena *a, struct segment_reader_block *ret, struct err *err)
{
    int rc;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    rc = read_block(r, b, index, a, ret, err);
    return rc < 0 ? err_wrap(err, "segment '%s' block %u", r->name, index) : 0;
}

/* Where frame `i` starts, behind the block header. */
static uint64_t frame_offset(const struct segment_reader_block *b, uint32_t i)
{
    uint64_t at = (uint64_t)b->header.frames * BLOCK_FRAME_ENTRY;

    while (i > 0)
        at += block_frame_get(b->entry[--i]).stored_bytes;
    return at;
}

static int open_frame(struct segment_reader *r, const struct segment_reader_block *b, uint32_t i,
                      struct arena *a, struct str *ret, struct err *err)
{
    struct block_frame_entry e = block_frame_get(b->entry[i]);
    struct block_frame f = {e.kind, e.codec, e.raw_bytes, STR_NULL};
    uint64_t at = frame_offset(b, i);
    uint8_t bound[FRAME_BOUND];
    uint8_t nonce[CRYPT_NONCE];
    struct str sealed;
    char *plain;
    int rc;

    if (e.stored_bytes < CRYPT_TAG || e.raw_bytes > BLOCK_FRAME_MAX)
        return err_set(err, ERR_CORRUPT, "length of a frame");
    if (b->stored.p != NULL) /* check_entries saw that the frame is inside */
        sealed = str_sub(b->stored, (size_t)at, e.stored_bytes);
    else
        sealed =
            (struct str){read_new(r, b->offset + BLOCK_HEADER_STORED + at, e.stored_bytes, a, err),
                         e.stored_bytes};
    plain = sealed.p == NULL ? NULL : arena_bytes(a, e.stored_bytes);
    if (plain == NULL)
        return sealed.p == NULL ? err->code : arena_err(a, err);
    memcpy(bound, b->bound, BLOCK_HEADER_BOUND);
    memcpy(bound + BLOCK_HEADER_BOUND, b->entry[i], BLOCK_FRAME_ENTRY);
    le_put32(bound + BLOCK_HEADER_BOUND + BLOCK_FRAME_ENTRY, i);
    crypt_nonce((uint64_t)b->header.first_frame + i, nonce);
    rc =
        crypt_open(r->crypt, nonce, (struct str){(char *)bound, sizeof(bound)}, sealed, plain, err);
    if (rc < 0)
        return rc;
    f.bytes = (struct str){plain, e.stored_bytes - CRYPT_TAG};
    return block_frame_open(r->zstd, &f, a, ret, err);
}

int segment_reader_frame(struct segment_reader *r, struct segment_reader_block *b, unsigned kind,
                         struct arena *a, struct str *ret, struct err *err)
{
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    INVARIANT(r->crypt != NULL);
    for (uint32_t i = 0; i < b->header.frames; i++) {
        if (block_frame_get(b->entry[i]).kind != kind)
            continue;
        if (open_frame(r, b, i, a, ret, err) < 0)
            return err_wrap(err, "segment '%s' block %u", r->name, b->header.index);
        return 0;
    }
    return 1;
}

/* ---- footer ---- */

static int open_streams(struct segment_reader *r, struct segment_info *info,
                        const struct footer_streams *s, struct str head, struct str sealed,
                        struct err *err)
{
    uint8_t nonce[CRYPT_NONCE];
    struct block_frame f = {0, (uint16_t)s->codec, (uint32_t)s->raw_bytes, STR_NULL};
    struct str plain = STR_NULL;
    char *p;
    int rc;

    if (sealed.n < CRYPT_TAG || s->codec > BLOCK_ZSTD)
        return err_set(err, ERR_CORRUPT, "no stream table");
    p = arena_bytes(info->arena, sealed.n);
    if (p == NULL)
        return arena_err(info->arena, err);
    crypt_nonce(s->frame, nonce);
    rc = crypt_open(r->crypt, nonce, head, sealed, p, err);
    f.bytes = (struct str){p, sealed.n - CRYPT_TAG};
    if (rc == 0)
        rc = block_frame_open(r->zstd, &f, info->arena, &plain, err);
    return rc < 0 ? rc : footer_streams_get(plain, info, err);
}

static int read_footer(struct segment_reader *r, struct segment_info *info, struct err *err)
{
    uint64_t size = objstore_size(r->object);
    uint8_t end[SEGMENT_TRAILER];
    struct footer_streams s;
    struct str rest;
    uint64_t offset = 0;
    uint64_t n = 0;
    char *p;
    int rc;

    if (size < SEGMENT_HEADER + SEGMENT_TRAILER)
        return err_set(err, ERR_CORRUPT, "too short for a segment");
    rc = read_at(r, size - SEGMENT_TRAILER, end, sizeof(end), err);
    if (rc == 0)
        rc = segment_trailer_get(end, size, &offset, &n, err);
    if (rc < 0)
        return rc;
    p = read_new(r, offset, n, info->arena, err);
    if (p == NULL)
        return err->code;
    rc = footer_get((struct str){p, (size_t)n}, offset, info, &s, &rest, err);
    if (rc < 0)
        return rc;
    if (memcmp(info->uuid, r->header.uuid, SEGMENT_UUID) != 0 ||
        info->tenant_id != r->header.tenant_id || info->day != r->header.day)
        return err_set(err, ERR_CORRUPT, "footer belongs to another segment");
    info->file_bytes = size;
    if (r->crypt == NULL)
        return 0;
    return open_streams(r, info, &s, (struct str){p, FOOTER_HEAD}, rest, err);
}

int segment_reader_info(struct segment_reader *r, struct mem_budget *budget,
                        struct segment_info **ret, struct err *err)
{
    struct segment_info *info = mem_new(sizeof(*info));
    int rc;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    info->magic = SEGMENT_INFO_MAGIC;
    info->arena = arena_new(budget, 0);
    rc = read_footer(r, info, err);
    if (rc < 0) {
        segment_info_free(&info);
        return err_wrap(err, "segment '%s' footer", r->name);
    }
    *ret = info;
    return 0;
}

/* ---- proof ---- */

static int verify_block(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                        struct arena *a, struct err *err)
{
    struct block_header h;
    struct merkle_hash digest;
    struct merkle_hash leaf;
    struct str stored;
    const char *p = read_new(r, b->offset, BLOCK_HEADER_STORED + b->stored_bytes, a, err);
    int rc;

    if (p == NULL)
        return err->code;
    rc = block_header_get((const uint8_t *)p, &h, err);
    if (rc == 0)
        rc = check_place(r, &h, b, index, err);
    if (rc < 0)
        return rc;
    leaf = block_header_leaf((const uint8_t *)p);
    stored = (struct str){p + BLOCK_HEADER_STORED, (size_t)b->stored_bytes};
    crypt_sha256(&stored, 1, digest.b);
    if (memcmp(digest.b, h.digest.b, MERKLE_HASH) != 0)
        return err_set(err, ERR_CORRUPT, "stored bytes do not fit their digest");
    if (memcmp(leaf.b, b->leaf.b, MERKLE_HASH) != 0)
        return err_set(err, ERR_CORRUPT, "leaf hash is not the footer's");
    return 0;
}

int segment_reader_verify(struct segment_reader *r, const struct segment_info *info,
                          struct mem_budget *budget, struct err *err)
{
    struct merkle_hash *leaf = mem_grow(NULL, info->n_blocks * sizeof(*leaf) + 1);
    struct arena *a = arena_new(budget, 0);
    struct merkle_hash root;
    int rc = 0;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    for (uint32_t i = 0; rc == 0 && i < info->n_blocks; i++) {
        rc = verify_block(r, &info->blocks[i], i, a, err);
        if (rc < 0)
            (void)err_wrap(err, "segment '%s' block %u", r->name, i);
        leaf[i] = info->blocks[i].leaf;
        arena_reset(a);
    }
    if (rc == 0) {
        root = merkle_root(leaf, info->n_blocks);
        if (memcmp(root.b, info->root.b, MERKLE_HASH) != 0)
            rc = err_set(err, ERR_CORRUPT, "segment '%s': root is not that of its leaves", r->name);
    }
    arena_free(&a);
    free(leaf);
    return rc;
}
