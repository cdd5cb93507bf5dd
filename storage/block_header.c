/* storage/block_header.c - see block_header.h; offsets as in docs/formats/segment.md. */
#include "storage/block_header.h"

#include "base/crc.h"
#include "storage/le.h"

static const char MAGIC[8] = {'L', 'Q', 'B', 'L', 'K', 0, 0, 1};

void block_header_put(const struct block_header *h, uint8_t ret[BLOCK_HEADER_STORED])
{
    memset(ret, 0, BLOCK_HEADER_STORED);
    memcpy(ret, MAGIC, 8);
    memcpy(ret + 8, h->segment, 16);
    le_put32(ret + 24, h->index);
    le_put32(ret + 28, h->flags);
    le_put64(ret + 32, h->tenant_id);
    le_put64(ret + 40, h->key_id);
    le_put64(ret + 48, (uint64_t)h->min_ts);
    le_put64(ret + 56, (uint64_t)h->max_ts);
    le_put64(ret + 64, h->min_seq);
    le_put64(ret + 72, h->max_seq);
    le_put64(ret + 80, (uint64_t)h->min_received);
    le_put64(ret + 88, (uint64_t)h->max_received);
    le_put32(ret + 96, h->rows);
    le_put32(ret + 100, h->codec);
    le_put64(ret + 104, h->raw_bytes);
    le_put64(ret + 112, h->stored_bytes);
    le_put32(ret + 120, h->first_stream);
    le_put32(ret + 124, h->last_stream);
    le_put32(ret + 128, h->frames);
    le_put32(ret + 132, h->first_frame);
    memcpy(ret + 144, h->record_root.b, MERKLE_HASH);
    memcpy(ret + BLOCK_HEADER_BOUND, h->digest.b, MERKLE_HASH);
    le_put32(ret + BLOCK_HEADER_BYTES, crc32c(0, ret, BLOCK_HEADER_BYTES));
}

static const char *wrong_field(const struct block_header *h)
{
    if (h->codec != BLOCK_CODEC_TEMPLATES)
        return "unknown codec";
    if ((h->flags & ~(uint32_t)(BLOCK_FLAG_ROLLUP | BLOCK_FLAG_RECORD_ROOT)) != 0)
        return "unknown flags";
    if (h->rows == 0 || h->rows > BLOCK_ROWS_MAX)
        return "count of rows";
    if (h->last_stream < h->first_stream || h->last_stream - h->first_stream >= h->rows)
        return "interval of streams";
    if (h->frames == 0 || h->frames > BLOCK_FRAMES_MAX ||
        h->stored_bytes < (uint64_t)h->frames * BLOCK_FRAME_ENTRY)
        return "count of frames";
    if (h->max_ts < h->min_ts || h->max_seq < h->min_seq)
        return "order of its bounds";
    return NULL;
}

int block_header_get(const uint8_t p[BLOCK_HEADER_STORED], struct block_header *ret,
                     struct err *err)
{
    struct block_header h = {0};
    const char *wrong;

    if (memcmp(p, MAGIC, 8) != 0)
        return err_set(err, ERR_CORRUPT, "no block header here");
    if (le_get32(p + BLOCK_HEADER_BYTES) != crc32c(0, p, BLOCK_HEADER_BYTES))
        return err_set(err, ERR_CORRUPT, "block header does not fit its checksum");
    memcpy(h.segment, p + 8, 16);
    h.index = le_get32(p + 24);
    h.flags = le_get32(p + 28);
    h.tenant_id = le_get64(p + 32);
    h.key_id = le_get64(p + 40);
    h.min_ts = (ts_ns)le_get64(p + 48);
    h.max_ts = (ts_ns)le_get64(p + 56);
    h.min_seq = le_get64(p + 64);
    h.max_seq = le_get64(p + 72);
    h.min_received = (ts_ns)le_get64(p + 80);
    h.max_received = (ts_ns)le_get64(p + 88);
    h.rows = le_get32(p + 96);
    h.codec = le_get32(p + 100);
    h.raw_bytes = le_get64(p + 104);
    h.stored_bytes = le_get64(p + 112);
    h.first_stream = le_get32(p + 120);
    h.last_stream = le_get32(p + 124);
    h.frames = le_get32(p + 128);
    h.first_frame = le_get32(p + 132);
    memcpy(h.record_root.b, p + 144, MERKLE_HASH);
    memcpy(h.digest.b, p + BLOCK_HEADER_BOUND, MERKLE_HASH);
    wrong = wrong_field(&h);
    if (wrong != NULL)
        return err_set(err, ERR_CORRUPT, "block header: %s", wrong);
    *ret = h;
    return 0;
}

struct merkle_hash block_header_leaf(const uint8_t p[BLOCK_HEADER_BYTES])
{
    return merkle_leaf((struct str){(const char *)p, BLOCK_HEADER_BYTES});
}

void block_frame_put(const struct block_frame_entry *e, uint8_t ret[BLOCK_FRAME_ENTRY])
{
    le_put16(ret, e->kind);
    le_put16(ret + 2, e->codec);
    le_put32(ret + 4, 0);
    le_put32(ret + 8, e->raw_bytes);
    le_put32(ret + 12, e->stored_bytes);
}

struct block_frame_entry block_frame_get(const uint8_t p[BLOCK_FRAME_ENTRY])
{
    return (struct block_frame_entry){
        .kind = le_get16(p),
        .codec = le_get16(p + 2),
        .raw_bytes = le_get32(p + 8),
        .stored_bytes = le_get32(p + 12),
    };
}
