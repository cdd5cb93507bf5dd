/* storage/segment_reader.c - see segment_reader.h; bytes in docs/formats/segment.md. */
#include "storage/segment_reader.h"

#include "base/crc.h"
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
    struct crypt *crypt;            /* owned; NULL without a key; seals the stream table */
    struct segment_source *sources; /* owned; of a copy, else one: itself */
    uint32_t n_sources;
    struct crypt **source_crypt; /* owned, made when asked for; seals the blocks of that source */
    uint8_t key[CRYPT_KEY];      /* the partition's */
    uint64_t data_offset;        /* of the first block */
    ZSTD_DCtx *zstd;             /* owned, made when asked for */
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

/* The sources of a copy stand behind the header `p`, with a checksum of their own. */
static int read_sources(struct segment_reader *r, uint8_t *p, struct err *err)
{
    size_t n = r->header.n_sources * (size_t)SEGMENT_SOURCE;
    int rc;

    if (objstore_size(r->object) - SEGMENT_HEADER < n + 4)
        return err_set(err, ERR_CORRUPT, "sources are cut");
    rc = read_at(r, SEGMENT_HEADER, p + SEGMENT_HEADER, n + 4, err);
    if (rc < 0)
        return rc;
    if (le_get32(p + SEGMENT_HEADER + n) != crc32c(0, p + SEGMENT_HEADER, n))
        return err_set(err, ERR_CORRUPT, "sources do not fit their checksum");
    for (uint32_t i = 0; i < r->n_sources; i++) {
        const struct segment_source *before = i == 0 ? NULL : &r->sources[i - 1];
        rc = segment_source_get(p + SEGMENT_HEADER + i * (size_t)SEGMENT_SOURCE, &r->header,
                                &r->sources[i], err);
        if (rc < 0)
            return rc;
        if (before == NULL ? r->sources[i].first_block != 0
                           : r->sources[i].first_block <= before->first_block ||
                                 r->sources[i].first_stream < before->first_stream)
            return err_set(err, ERR_CORRUPT, "sources out of order");
    }
    r->data_offset = SEGMENT_HEADER + n + 4;
    return 0;
}

static int unwrap(struct segment_reader *r, const uint8_t *p, uint32_t n_sources,
                  struct crypt **ret, struct err *err)
{
    struct segment_header h = {.day = 0};
    uint8_t key[CRYPT_KEY];
    struct buf bound;
    int rc = segment_header_get(p, &h, err);

    buf_init(&bound, SEGMENT_HEADER_BOUND + n_sources * (size_t)SEGMENT_SOURCE);
    segment_header_bound(p, n_sources, &bound);
    if (rc == 0)
        rc = buf_err(&bound, "header of a segment", err);
    if (rc == 0)
        rc = crypt_unwrap(r->key, buf_str(&bound), h.wrapped, key, err);
    if (rc == 0)
        *ret = crypt_new(key);
    crypt_wipe(key, sizeof(key));
    buf_fini(&bound);
    return rc;
}

/* Header and sources in `p`. */
static int check_header(struct segment_reader *r, const uint8_t *uuid, const uint8_t *key,
                        uint8_t *p, struct err *err)
{
    int rc = 0;

    r->n_sources = r->header.n_sources == 0 ? 1 : r->header.n_sources;
    r->sources = mem_new(r->n_sources * sizeof(*r->sources));
    r->source_crypt = (struct crypt **)mem_new(r->n_sources * sizeof(struct crypt *));
    r->data_offset = SEGMENT_HEADER;
    if (memcmp(r->header.uuid, uuid, SEGMENT_UUID) != 0)
        return err_set(err, ERR_CORRUPT, "the file holds another segment than its name says");
    if (r->header.n_sources == 0)
        memcpy(r->sources[0].header, p, SEGMENT_HEADER);
    else
        rc = read_sources(r, p, err);
    if (rc < 0 || key == NULL)
        return rc;
    memcpy(r->key, key, CRYPT_KEY);
    return unwrap(r, p, r->header.n_sources, &r->crypt, err);
}

static int open_header(struct segment_reader *r, const uint8_t *uuid, const uint8_t *key,
                       struct err *err)
{
    uint8_t *p = mem_new(SEGMENT_HEADER);
    int rc = read_at(r, 0, p, SEGMENT_HEADER, err);

    if (rc == 0)
        rc = segment_header_get(p, &r->header, err);
    if (rc == 0) { /* their count was checked against its limit */
        p = mem_grow(p, SEGMENT_HEADER + r->header.n_sources * (size_t)SEGMENT_SOURCE + 4);
        rc = check_header(r, uuid, key, p, err);
    }
    free(p);
    return rc;
}

int segment_reader_open(struct objstore *os, const uint8_t uuid[SEGMENT_UUID], const uint8_t *key,
                        struct segment_reader **ret, struct err *err)
{
    struct segment_reader *r = mem_new(sizeof(*r));
    int rc;

    r->magic = SEGMENT_READER_MAGIC;
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
    for (uint32_t i = 0; r->source_crypt != NULL && i < r->n_sources; i++)
        crypt_free(&r->source_crypt[i]);
    free((void *)r->source_crypt);
    free(r->sources);
    crypt_wipe(r->key, sizeof(r->key));
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

const struct segment_source *segment_reader_sources(const struct segment_reader *r, uint32_t *n)
{
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    *n = r->n_sources;
    return r->sources;
}

/* ---- blocks ---- */

/* The source of block `index`: the last that starts at or before it. */
static uint32_t source_of(const struct segment_reader *r, uint32_t index)
{
    uint32_t lo = 0;
    uint32_t hi = r->n_sources;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->sources[mid].first_block <= index)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static int check_place(const struct segment_reader *r, const struct block_header *h,
                       const struct segment_block *b, uint32_t index, struct err *err)
{
    const struct segment_source *s = &r->sources[source_of(r, index)];
    struct segment_header from = {.day = 0};

    if (segment_header_get(s->header, &from, err) < 0)
        return ERR_CORRUPT;
    if (memcmp(h->segment, from.uuid, SEGMENT_UUID) != 0 || h->index != index - s->first_block ||
        h->tenant_id != r->header.tenant_id)
        return err_set(err, ERR_CORRUPT, "block header belongs elsewhere");
    if (h->stored_bytes != b->stored_bytes || h->rows != b->rows || h->frames != b->frames ||
        (uint64_t)h->first_stream + s->first_stream != b->first_stream ||
        (uint64_t)h->last_stream + s->first_stream != b->last_stream || h->min_ts != b->min_ts ||
        h->max_ts != b->max_ts)
        return err_set(err, ERR_CORRUPT, "block header and index disagree");
    return 0;
}

/* Where each frame starts, and which frames each kind has; unknown kinds are passed over. */
static int index_frames(struct segment_reader_block *b, struct arena *a, struct err *err)
{
    uint64_t *start = arena_alloc(a, b->header.frames * sizeof(*start));
    uint64_t sum = (uint64_t)b->header.frames * BLOCK_FRAME_ENTRY;
    unsigned before = 0;

    if (start == NULL)
        return arena_err(a, err);
    memset(b->first, 0, sizeof(b->first));
    memset(b->count, 0, sizeof(b->count));
    for (uint32_t i = 0; i < b->header.frames; i++) {
        struct block_frame_entry e = block_frame_get(b->entry + i * (size_t)BLOCK_FRAME_ENTRY);
        start[i] = sum;
        sum += e.stored_bytes;
        if (e.kind < before)
            return err_set(err, ERR_CORRUPT, "frames are not in order of kind");
        before = e.kind;
        if (e.kind < BLOCK_KINDS && b->count[e.kind]++ == 0)
            b->first[e.kind] = i;
    }
    if (sum != b->header.stored_bytes)
        return err_set(err, ERR_CORRUPT, "frames do not fill their block");
    b->start = start;
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
    ret->source = source_of(r, index);
    ret->header.first_stream = b->first_stream;
    ret->header.last_stream = b->last_stream;
    memcpy(ret->bound, p, BLOCK_HEADER_BOUND);
    ret->entry = (const uint8_t *)p + BLOCK_HEADER_STORED;
    ret->offset = b->offset;
    ret->stored = STR_NULL;
    if (whole)
        ret->stored = (struct str){p + BLOCK_HEADER_STORED, (size_t)b->stored_bytes};
    return index_frames(ret, a, err);
}

int segment_reader_block(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                         struct arena *a, struct segment_reader_block *ret, struct err *err)
{
    int rc;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    rc = read_block(r, b, index, a, ret, err);
    return rc < 0 ? err_wrap(err, "segment '%s' block %u", r->name, index) : 0;
}

static ZSTD_DCtx *zstd_of(struct segment_reader *r)
{
    if (r->zstd == NULL)
        r->zstd = ZSTD_createDCtx();
    INVARIANT(r->zstd != NULL); /* a fixed size, as with mem_new */
    return r->zstd;
}

static int open_frame(struct segment_reader *r, const struct segment_reader_block *b, uint32_t i,
                      struct arena *a, struct str *ret, struct err *err)
{
    const uint8_t *entry = b->entry + i * (size_t)BLOCK_FRAME_ENTRY;
    struct block_frame_entry e = block_frame_get(entry);
    struct block_frame f = {e.kind, e.codec, e.raw_bytes, STR_NULL};
    uint64_t at = b->start[i];
    uint8_t bound[FRAME_BOUND];
    uint8_t nonce[CRYPT_NONCE];
    struct str sealed = {NULL, e.stored_bytes};
    char *plain;
    int rc;

    if (e.stored_bytes < CRYPT_TAG || e.raw_bytes > BLOCK_FRAME_MAX)
        return err_set(err, ERR_CORRUPT, "length of a frame");
    if (b->stored.p != NULL) { /* index_frames saw that the frame is inside */
        sealed.p = b->stored.p + at;
        plain = arena_bytes(a, e.stored_bytes);
        if (plain == NULL)
            return arena_err(a, err);
    } else { /* nobody else sees these bytes: opened where they lie */
        plain = read_new(r, b->offset + BLOCK_HEADER_STORED + at, e.stored_bytes, a, err);
        if (plain == NULL)
            return err->code;
        sealed.p = plain;
    }
    memcpy(bound, b->bound, BLOCK_HEADER_BOUND);
    memcpy(bound + BLOCK_HEADER_BOUND, entry, BLOCK_FRAME_ENTRY);
    le_put32(bound + BLOCK_HEADER_BOUND + BLOCK_FRAME_ENTRY, i);
    crypt_nonce((uint64_t)b->header.first_frame + i, nonce);
    if (r->source_crypt[b->source] == NULL) {
        rc = unwrap(r, r->sources[b->source].header, 0, &r->source_crypt[b->source], err);
        if (rc < 0)
            return rc;
    }
    rc = crypt_open(r->source_crypt[b->source], nonce, (struct str){(char *)bound, sizeof(bound)},
                    sealed, plain, err);
    if (rc < 0)
        return rc;
    f.bytes = (struct str){plain, e.stored_bytes - CRYPT_TAG};
    return block_frame_open(zstd_of(r), &f, a, ret, err);
}

int segment_reader_frame(struct segment_reader *r, const struct segment_reader_block *b,
                         enum block_frame_kind kind, uint32_t index, struct arena *a,
                         struct str *ret, struct err *err)
{
    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    INVARIANT(r->crypt != NULL);
    if (index >= b->count[kind])
        return 1;
    if (open_frame(r, b, b->first[kind] + index, a, ret, err) < 0)
        return err_wrap(err, "segment '%s' block %u", r->name, b->header.index);
    return 0;
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
        rc = block_frame_open(zstd_of(r), &f, info->arena, &plain, err);
    return rc < 0 ? rc : footer_streams_get(plain, info, err);
}

static int read_trailer(struct segment_reader *r, struct segment_trailer *ret, struct err *err)
{
    uint64_t size = objstore_size(r->object);
    uint8_t end[SEGMENT_TRAILER];
    int rc;

    if (size < SEGMENT_HEADER + SEGMENT_TRAILER)
        return err_set(err, ERR_CORRUPT, "too short for a segment");
    rc = read_at(r, size - SEGMENT_TRAILER, end, sizeof(end), err);
    return rc < 0 ? rc : segment_trailer_get(end, size, ret, err);
}

static int read_footer(struct segment_reader *r, struct segment_info *info, struct err *err)
{
    uint64_t size = objstore_size(r->object);
    struct segment_trailer t;
    struct footer_streams s;
    struct str rest;
    char *p;
    int rc = read_trailer(r, &t, err);

    if (rc < 0)
        return rc;
    p = read_new(r, t.footer, t.footer_bytes, info->arena, err);
    if (p == NULL)
        return err->code;
    rc = footer_get((struct str){p, (size_t)t.footer_bytes}, &t, info, &s, &rest, err);
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
    info->data_offset = r->data_offset;
    rc = read_footer(r, info, err);
    if (rc < 0) {
        segment_info_free(&info);
        return err_wrap(err, "segment '%s' footer", r->name);
    }
    *ret = info;
    return 0;
}

/* ---- the id filter ---- */

static int read_filter(struct segment_reader *r, struct mem_budget *budget, size_t *charged,
                       struct id_filter **ret, struct err *err)
{
    struct segment_trailer t = {.footer = 0};
    size_t need;
    char *p;
    int rc = read_trailer(r, &t, err);

    if (rc < 0 || t.index_bytes == 0)
        return rc < 0 ? rc : 1;
    if (t.index_bytes > ID_INDEX_MAX)
        return err_set(err, ERR_CORRUPT, "index of %u bytes", t.index_bytes);
    need = t.index_bytes * (size_t)(1 + ID_INDEX_HELD);
    if (budget != NULL) {
        rc = mem_budget_take(budget, need, err);
        if (rc < 0)
            return rc;
        *charged += need;
    }
    p = mem_grow(NULL, t.index_bytes);
    rc = read_at(r, t.footer - t.index_bytes, p, t.index_bytes, err);
    if (rc == 0)
        rc = id_filter_get((struct str){p, t.index_bytes}, r->data_offset, t.footer - t.index_bytes,
                           ret, err);
    free(p);
    return rc;
}

int segment_reader_filter(struct segment_reader *r, struct mem_budget *budget, size_t *charged,
                          struct id_filter **ret, struct err *err)
{
    int rc;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    rc = read_filter(r, budget, charged, ret, err);
    return rc < 0 ? err_wrap(err, "segment '%s'", r->name) : rc;
}

static int open_page(struct segment_reader *r, const struct id_filter *f, const struct id_group *g,
                     uint32_t page, struct arena *a, struct str *ret, struct err *err)
{
    uint64_t at = f->at[g->first_page + page];
    uint64_t n = f->at[g->first_page + page + 1] - at;
    uint8_t bound[ID_PAGE_BOUND];
    uint8_t nonce[CRYPT_NONCE];
    char *p;
    int rc;

    if (n < CRYPT_TAG || n > ID_PAGE_MAX)
        return err_set(err, ERR_CORRUPT, "length of a page of ids");
    p = read_new(r, at, n, a, err);
    if (p == NULL)
        return err->code;
    segment_page_bound(r->header.uuid, g, page, bound);
    crypt_nonce((uint64_t)g->first_frame + page, nonce);
    rc = crypt_open(r->crypt, nonce, (struct str){(char *)bound, sizeof(bound)},
                    (struct str){p, (size_t)n}, p, err);
    *ret = (struct str){p, (size_t)n - CRYPT_TAG};
    return rc;
}

int segment_reader_page(struct segment_reader *r, const struct id_filter *f, size_t group,
                        uint32_t page, struct arena *a, struct str *ret, struct err *err)
{
    int rc;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    INVARIANT(r->crypt != NULL && group < f->n_groups && page < f->group[group].n_pages);
    rc = open_page(r, f, &f->group[group], page, a, ret, err);
    return rc < 0 ? err_wrap(err, "segment '%s' ids", r->name) : 0;
}

static int verify_group(struct segment_reader *r, const struct id_filter *f,
                        const struct id_group *g, struct arena *a, uint64_t *at, struct err *err)
{
    uint32_t crc = 0;

    for (uint32_t k = 0; k < g->n_pages; k++) {
        uint64_t n = f->at[g->first_page + k + 1] - f->at[g->first_page + k];
        uint64_t pairs;
        struct str page;
        char *p;
        int rc = 0;
        *at = f->at[g->first_page + k];
        arena_reset(a);
        p = read_new(r, *at, n, a, err);
        if (p == NULL)
            return err->code;
        crc = crc32c(crc, p, (size_t)n);
        if (r->crypt != NULL)
            rc = open_page(r, f, g, k, a, &page, err);
        if (rc == 0 && r->crypt != NULL)
            rc = id_page_check(page, g->n_blocks, &pairs, err);
        if (rc < 0)
            return rc;
    }
    *at = f->at[g->first_page];
    return crc == g->crc ? 0 : err_set(err, ERR_CORRUPT, "pages of ids do not fit their checksum");
}

static int verify_filter(struct segment_reader *r, const struct segment_info *info,
                         const struct id_filter *f, uint64_t *at, struct err *err)
{
    const struct id_group *last = &f->group[f->n_groups - 1];
    struct arena *a = arena_new(NULL, 0); /* one page at a time */
    int rc = 0;

    if (f->at[0] != info->data_end || last->first_block >= info->n_blocks ||
        last->n_blocks > info->n_blocks - last->first_block)
        rc = err_set(err, ERR_CORRUPT, "the id filter is not that of these blocks");
    for (size_t i = 0; rc == 0 && i < f->n_groups; i++)
        rc = verify_group(r, f, &f->group[i], a, at, err);
    arena_free(&a);
    return rc;
}

int segment_reader_verify_filter(struct segment_reader *r, const struct segment_info *info,
                                 uint64_t *at, struct err *err)
{
    struct id_filter *f = NULL;
    int rc;

    *at = info->data_end;
    rc = segment_reader_filter(r, NULL, NULL, &f, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = verify_filter(r, info, f, at, err);
    id_filter_free(&f);
    return rc < 0 ? err_wrap(err, "segment '%s'", r->name) : 0;
}

/* ---- proof ---- */

static int read_raw(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                    struct arena *a, struct block_header *h, struct str *ret, struct err *err)
{
    struct merkle_hash digest;
    struct merkle_hash leaf;
    struct str stored;
    const char *p = read_new(r, b->offset, BLOCK_HEADER_STORED + b->stored_bytes, a, err);
    int rc;

    if (p == NULL)
        return err->code;
    rc = block_header_get((const uint8_t *)p, h, err);
    if (rc == 0)
        rc = check_place(r, h, b, index, err);
    if (rc < 0)
        return rc;
    leaf = block_header_leaf((const uint8_t *)p);
    stored = (struct str){p + BLOCK_HEADER_STORED, (size_t)b->stored_bytes};
    crypt_sha256(&stored, 1, digest.b);
    if (memcmp(digest.b, h->digest.b, MERKLE_HASH) != 0)
        return err_set(err, ERR_CORRUPT, "stored bytes do not fit their digest");
    if (memcmp(leaf.b, b->leaf.b, MERKLE_HASH) != 0)
        return err_set(err, ERR_CORRUPT, "leaf hash is not the footer's");
    *ret = (struct str){p, BLOCK_HEADER_STORED + (size_t)b->stored_bytes};
    return 0;
}

int segment_reader_raw(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                       struct arena *a, struct block_header *ret_header, struct str *ret,
                       struct err *err)
{
    int rc;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    rc = read_raw(r, b, index, a, ret_header, ret, err);
    return rc < 0 ? err_wrap(err, "segment '%s' block %u", r->name, index) : 0;
}

int segment_reader_verify(struct segment_reader *r, const struct segment_info *info,
                          struct mem_budget *budget, struct err *err)
{
    struct merkle_hash *leaf = mem_grow(NULL, info->n_blocks * sizeof(*leaf) + 1);
    struct arena *a = arena_new(budget, 0);
    struct merkle_hash root;
    uint64_t at;
    int rc = 0;

    OBJ_CHECK(r, SEGMENT_READER_MAGIC);
    for (uint32_t i = 0; rc == 0 && i < info->n_blocks; i++) {
        struct block_header h;
        struct str bytes;
        rc = segment_reader_raw(r, &info->blocks[i], i, a, &h, &bytes, err);
        leaf[i] = info->blocks[i].leaf;
        arena_reset(a);
    }
    if (rc == 0) {
        root = merkle_root(leaf, info->n_blocks);
        if (memcmp(root.b, info->root.b, MERKLE_HASH) != 0)
            rc = err_set(err, ERR_CORRUPT, "segment '%s': root is not that of its leaves", r->name);
    }
    if (rc == 0)
        rc = segment_reader_verify_filter(r, info, &at, err);
    arena_free(&a);
    free(leaf);
    return rc;
}
