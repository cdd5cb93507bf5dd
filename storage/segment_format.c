/* storage/segment_format.c - the fixed parts of a segment file, as bytes and back.  See
 * segment_format.h. */
#include "storage/segment_format.h"

#include "base/crc.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/le.h"
#include "storage/stream_blob.h"
#include "storage/varint.h"

#include <stdio.h>
#include <stdlib.h>

static const char HEADER_MAGIC[8] = {'L', 'Q', 'S', 'E', 'G', 0, 0, 1};
static const char FOOTER_MAGIC[8] = {'L', 'Q', 'F', 'T', 'R', 0, 0, 1};
static const char TRAILER_MAGIC[8] = {'L', 'Q', 'E', 'N', 'D', 0, 0, 1};

_Static_assert(SEGMENT_HEADER_BOUND + CRYPT_WRAPPED + 12 == SEGMENT_HEADER, "header layout");

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%s", what);
}

void segment_info_free(struct segment_info **pi)
{
    struct segment_info *info = *pi;

    if (info == NULL)
        return;
    OBJ_CHECK(info, SEGMENT_INFO_MAGIC);
    arena_free(&info->arena);
    info->magic = 0;
    free(info);
    *pi = NULL;
}

void segment_name(const uint8_t uuid[SEGMENT_UUID], char ret[SEGMENT_NAME_MAX])
{
    for (size_t i = 0; i < SEGMENT_UUID; i++)
        (void)snprintf(ret + 2 * i, 3, "%02x", uuid[i]);
    memcpy(ret + 2 * (size_t)SEGMENT_UUID, ".lqs", 5);
}

bool segment_uuid_of(const char *name, uint8_t ret[SEGMENT_UUID])
{
    char again[SEGMENT_NAME_MAX];
    uint8_t uuid[SEGMENT_UUID];

    for (size_t i = 0; i < 2 * (size_t)SEGMENT_UUID; i++) {
        char c = name[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return false;
        uuid[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : uuid[i / 2] | digit);
    }
    segment_name(uuid, again);
    if (strcmp(name, again) != 0)
        return false;
    memcpy(ret, uuid, SEGMENT_UUID);
    return true;
}

enum segment_class segment_class_of(const struct labels *l)
{
    struct str source = labels_get(l, STR("source"));
    struct str evidence = labels_get(l, STR("evidence"));

    if (evidence.p != NULL && str_eq(evidence, STR("strict")))
        return SEGMENT_STRICT;
    if (source.p == NULL || str_eq(source, STR("container")) || str_eq(source, STR("syslog")) ||
        str_eq(source, STR("otlp")))
        return SEGMENT_ORDINARY;
    return SEGMENT_STRICT;
}

/* ---- file header ---- */

void segment_header_put(const struct segment_header *h, uint8_t ret[SEGMENT_HEADER])
{
    memset(ret, 0, SEGMENT_HEADER);
    memcpy(ret, HEADER_MAGIC, 8);
    le_put32(ret + 8, SEGMENT_VERSION);
    le_put32(ret + 12, SEGMENT_HEADER);
    memcpy(ret + 24, h->uuid, SEGMENT_UUID);
    le_put64(ret + 40, h->tenant_id);
    le_put32(ret + 48, (uint32_t)h->day);
    le_put32(ret + 52, h->n_sources);
    memcpy(ret + SEGMENT_HEADER_BOUND, h->wrapped, CRYPT_WRAPPED);
    le_put32(ret + SEGMENT_HEADER - 4, crc32c(0, ret, SEGMENT_HEADER - 4));
}

int segment_header_get(const uint8_t p[SEGMENT_HEADER], struct segment_header *ret, struct err *err)
{
    if (memcmp(p, HEADER_MAGIC, 8) != 0)
        return corrupt("no segment header here", err);
    if (le_get32(p + SEGMENT_HEADER - 4) != crc32c(0, p, SEGMENT_HEADER - 4))
        return corrupt("segment header does not fit its checksum", err);
    if (le_get32(p + 8) != SEGMENT_VERSION || le_get32(p + 20) != 0)
        return err_set(err, ERR_UNSUPPORTED, "segment of version %u with features %x",
                       le_get32(p + 8), le_get32(p + 20));
    memcpy(ret->uuid, p + 24, SEGMENT_UUID);
    ret->tenant_id = le_get64(p + 40);
    ret->day = (int32_t)le_get32(p + 48);
    ret->n_sources = le_get32(p + 52);
    memcpy(ret->wrapped, p + SEGMENT_HEADER_BOUND, CRYPT_WRAPPED);
    if (ret->n_sources > SEGMENT_SOURCES_MAX)
        return corrupt("count of sources", err);
    return 0;
}

void segment_header_bound(const uint8_t *p, uint32_t n, struct buf *ret)
{
    buf_add(ret, p, SEGMENT_HEADER_BOUND);
    buf_add(ret, p + SEGMENT_HEADER, n * (size_t)SEGMENT_SOURCE);
}

/* ---- sources ---- */

void segment_source_put(const struct segment_source *s, uint8_t ret[SEGMENT_SOURCE])
{
    memcpy(ret, s->header, SEGMENT_HEADER);
    le_put32(ret + SEGMENT_HEADER, s->first_block);
    le_put32(ret + SEGMENT_HEADER + 4, s->first_stream);
}

int segment_source_get(const uint8_t p[SEGMENT_SOURCE], const struct segment_header *of,
                       struct segment_source *ret, struct err *err)
{
    struct segment_header h = {.day = 0};
    int r = segment_header_get(p, &h, err);

    if (r < 0)
        return err_wrap(err, "source");
    if (h.tenant_id != of->tenant_id || h.day != of->day || h.n_sources != 0)
        return corrupt("source belongs elsewhere", err);
    memcpy(ret->header, p, SEGMENT_HEADER);
    ret->first_block = le_get32(p + SEGMENT_HEADER);
    ret->first_stream = le_get32(p + SEGMENT_HEADER + 4);
    return 0;
}

/* ---- footer ---- */

void footer_head_put(const struct segment_info *info, const struct footer_streams *s,
                     uint8_t ret[FOOTER_HEAD])
{
    memset(ret, 0, FOOTER_HEAD);
    memcpy(ret, FOOTER_MAGIC, 8);
    memcpy(ret + 8, info->uuid, SEGMENT_UUID);
    le_put64(ret + 24, info->tenant_id);
    le_put32(ret + 32, (uint32_t)info->day);
    le_put32(ret + 40, info->n_blocks);
    le_put32(ret + 44, info->n_streams);
    le_put64(ret + 48, info->rows);
    le_put64(ret + 56, info->raw_bytes);
    le_put64(ret + 64, info->line_bytes);
    le_put64(ret + 72, (uint64_t)info->min_ts);
    le_put64(ret + 80, (uint64_t)info->max_ts);
    le_put64(ret + 88, (uint64_t)info->min_received);
    le_put64(ret + 96, (uint64_t)info->max_received);
    le_put64(ret + 104, info->min_seq);
    le_put64(ret + 112, info->max_seq);
    le_put64(ret + 120, info->wal_from);
    le_put64(ret + 128, info->wal_to);
    le_put32(ret + 136, info->n_replaces);
    le_put32(ret + 140, s->codec);
    le_put64(ret + 144, s->raw_bytes);
    le_put64(ret + 152, s->stored_bytes);
    le_put32(ret + 160, s->frame);
    memcpy(ret + 168, info->root.b, MERKLE_HASH);
    le_put32(ret + 200, (uint32_t)info->class);
    le_put32(ret + 204, info->span_classes);
    le_put32(ret + 208, info->level);
}

void footer_block_put(const struct segment_block *b, uint8_t ret[FOOTER_BLOCK])
{
    le_put64(ret, b->offset);
    le_put64(ret + 8, b->stored_bytes);
    le_put64(ret + 16, b->raw_bytes);
    le_put32(ret + 24, b->rows);
    le_put32(ret + 28, b->frames);
    le_put32(ret + 32, b->first_stream);
    le_put32(ret + 36, b->last_stream);
    le_put64(ret + 40, (uint64_t)b->min_ts);
    le_put64(ret + 48, (uint64_t)b->max_ts);
    memcpy(ret + 56, b->leaf.b, MERKLE_HASH);
}

static void footer_block_get(const uint8_t *p, struct segment_block *ret)
{
    ret->offset = le_get64(p);
    ret->stored_bytes = le_get64(p + 8);
    ret->raw_bytes = le_get64(p + 16);
    ret->rows = le_get32(p + 24);
    ret->frames = le_get32(p + 28);
    ret->first_stream = le_get32(p + 32);
    ret->last_stream = le_get32(p + 36);
    ret->min_ts = (ts_ns)le_get64(p + 40);
    ret->max_ts = (ts_ns)le_get64(p + 48);
    memcpy(ret->leaf.b, p + 56, MERKLE_HASH);
}

void segment_page_bound(const uint8_t uuid[SEGMENT_UUID], const struct id_group *g, uint32_t page,
                        uint8_t ret[ID_PAGE_BOUND])
{
    memcpy(ret, uuid, SEGMENT_UUID);
    le_put32(ret + SEGMENT_UUID, g->first_block);
    le_put32(ret + SEGMENT_UUID + 4, g->n_blocks);
    le_put32(ret + SEGMENT_UUID + 8, g->n_pages);
    le_put32(ret + SEGMENT_UUID + 12, page);
    for (size_t i = 0; i < ID_PAGE_BLOCKS / 64; i++)
        le_put64(ret + SEGMENT_UUID + 16 + 8 * i, g->covered.bits[i]);
}

void segment_trailer_put(const struct segment_trailer *t, uint8_t ret[SEGMENT_TRAILER])
{
    le_put64(ret, t->footer);
    le_put64(ret + 8, t->footer_bytes);
    le_put32(ret + 16, t->index_bytes);
    le_put32(ret + 20, crc32c(0, ret, 20));
    memcpy(ret + 24, TRAILER_MAGIC, 8);
}

int segment_trailer_get(const uint8_t p[SEGMENT_TRAILER], uint64_t size,
                        struct segment_trailer *ret, struct err *err)
{
    uint64_t at = le_get64(p);
    uint64_t n = le_get64(p + 8);
    uint32_t index = le_get32(p + 16);

    if (memcmp(p + 24, TRAILER_MAGIC, 8) != 0)
        return corrupt("the file does not end as a segment does", err);
    if (le_get32(p + 20) != crc32c(0, p, 20))
        return corrupt("trailer does not fit its checksum", err);
    if (size < SEGMENT_HEADER + SEGMENT_TRAILER || n < FOOTER_HEAD + 4 || n > FOOTER_MAX ||
        n > size - SEGMENT_HEADER - SEGMENT_TRAILER || at != size - SEGMENT_TRAILER - n)
        return corrupt("trailer names no place for a footer", err);
    if (index > at - SEGMENT_HEADER)
        return corrupt("trailer names no place for an index", err);
    *ret = (struct segment_trailer){at, n, index};
    return 0;
}

static int footer_head_get(const uint8_t *p, struct segment_info *info, struct footer_streams *s,
                           struct err *err)
{
    uint32_t class = le_get32(p + 200);

    memcpy(info->uuid, p + 8, SEGMENT_UUID);
    info->tenant_id = le_get64(p + 24);
    info->day = (int32_t)le_get32(p + 32);
    info->n_blocks = le_get32(p + 40);
    info->n_streams = le_get32(p + 44);
    info->rows = le_get64(p + 48);
    info->raw_bytes = le_get64(p + 56);
    info->line_bytes = le_get64(p + 64);
    info->min_ts = (ts_ns)le_get64(p + 72);
    info->max_ts = (ts_ns)le_get64(p + 80);
    info->min_received = (ts_ns)le_get64(p + 88);
    info->max_received = (ts_ns)le_get64(p + 96);
    info->min_seq = le_get64(p + 104);
    info->max_seq = le_get64(p + 112);
    info->wal_from = le_get64(p + 120);
    info->wal_to = le_get64(p + 128);
    info->n_replaces = le_get32(p + 136);
    s->codec = le_get32(p + 140);
    s->raw_bytes = le_get64(p + 144);
    s->stored_bytes = le_get64(p + 152);
    s->frame = le_get32(p + 160);
    memcpy(info->root.b, p + 168, MERKLE_HASH);
    info->span_classes = le_get32(p + 204);
    info->level = le_get32(p + 208);
    if ((class != SEGMENT_ORDINARY && class != SEGMENT_STRICT) ||
        (info->span_classes & ~(unsigned)SEGMENT_CLASSES) != 0 ||
        (info->span_classes & class) == 0 || info->n_replaces > SEGMENT_REPLACES_MAX)
        return corrupt("class of a segment", err);
    info->class = class == SEGMENT_STRICT ? SEGMENT_STRICT : SEGMENT_ORDINARY;
    return 0;
}

/* Blocks follow each other from the header on, without a hole where bytes could hide. */
static int check_block(const struct segment_info *info, const struct segment_block *b, uint64_t at,
                       struct err *err)
{
    if (b->offset != at || at > info->footer_offset ||
        BLOCK_HEADER_STORED > info->footer_offset - at ||
        b->stored_bytes > info->footer_offset - at - BLOCK_HEADER_STORED)
        return corrupt("block index names a place outside of the file", err);
    if (b->rows == 0 || b->rows > BLOCK_ROWS_MAX || b->frames == 0 ||
        b->frames > BLOCK_FRAMES_MAX || b->last_stream < b->first_stream ||
        b->last_stream >= info->n_streams)
        return corrupt("block index holds an impossible block", err);
    return 0;
}

int footer_get(struct str footer, const struct segment_trailer *t, struct segment_info *info,
               struct footer_streams *s, struct str *rest, struct err *err)
{
    const uint8_t *p = (const uint8_t *)footer.p;
    uint64_t at = info->data_offset;
    size_t ids;
    size_t body;
    int r;

    if (footer.n < FOOTER_HEAD + 4 || memcmp(p, FOOTER_MAGIC, 8) != 0)
        return corrupt("no footer where the trailer says", err);
    body = footer.n - 4;
    if (le_get32(p + body) != crc32c(0, p, body))
        return corrupt("footer does not fit its checksum", err);
    r = footer_head_get(p, info, s, err);
    if (r < 0)
        return r;
    info->footer_offset = t->footer;
    body -= FOOTER_HEAD;
    ids = info->n_replaces * (size_t)SEGMENT_UUID;
    if (ids > body)
        return corrupt("footer lists more segments than it holds", err);
    body -= ids;
    if (info->n_blocks > body / FOOTER_BLOCK || info->n_streams > SEGMENT_STREAMS_MAX)
        return corrupt("counts in the footer", err);
    body -= info->n_blocks * (size_t)FOOTER_BLOCK;
    if (s->stored_bytes != body || s->raw_bytes > STREAMS_RAW_MAX)
        return corrupt("length of the stream table", err);
    info->blocks = arena_alloc(info->arena, info->n_blocks * sizeof(*info->blocks) + 1);
    info->replaces = arena_alloc(info->arena, ids + 1);
    if (info->blocks == NULL || info->replaces == NULL)
        return arena_err(info->arena, err);
    p += FOOTER_HEAD;
    memcpy(info->replaces, p, ids);
    p += ids;
    for (uint32_t i = 0; i < info->n_blocks; i++) {
        struct segment_block *b = &info->blocks[i];
        footer_block_get(p + i * (size_t)FOOTER_BLOCK, b);
        if (check_block(info, b, at, err) < 0)
            return ERR_CORRUPT;
        at += BLOCK_HEADER_STORED + b->stored_bytes;
    }
    info->data_end = at;
    if (t->index_bytes == 0 ? at != t->footer : t->index_bytes > t->footer - at)
        return corrupt("bytes between the last block and the footer", err);
    *rest = (struct str){(const char *)p + info->n_blocks * (size_t)FOOTER_BLOCK, body};
    return 0;
}

/* ---- stream table ---- */

void footer_streams_put(struct buf *b, const struct segment_info *info)
{
    for (uint32_t i = 0; i < info->n_streams; i++) {
        const struct segment_stream *s = &info->streams[i];
        stream_blob_put(b, &s->labels);
        varint_put(b, s->rows);
        varint_put(b, zigzag((uint64_t)s->min_ts));
        varint_put(b, (uint64_t)s->max_ts - (uint64_t)s->min_ts);
    }
}

int footer_streams_get(struct str plain, struct segment_info *info, struct err *err)
{
    struct segment_stream *v;

    if (info->n_streams > plain.n) /* each takes a few bytes: asked before they are allocated */
        return corrupt("count of streams", err);
    v = arena_alloc(info->arena, info->n_streams * sizeof(*v) + 1);
    if (v == NULL)
        return arena_err(info->arena, err);
    for (uint32_t i = 0; i < info->n_streams; i++) {
        uint64_t min;
        uint64_t span;
        int r = stream_blob_get(&plain, info->arena, &v[i].labels, err);
        if (r < 0)
            return r;
        if (!varint_get(&plain, &v[i].rows) || !varint_get(&plain, &min) ||
            !varint_get(&plain, &span))
            return corrupt("stream table is cut", err);
        v[i].min_ts = (ts_ns)unzigzag(min);
        v[i].max_ts = (ts_ns)(unzigzag(min) + span);
    }
    if (plain.n != 0)
        return corrupt("bytes behind the stream table", err);
    info->streams = v;
    return 0;
}
