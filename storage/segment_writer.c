/*
 * storage/segment_writer.c - rows of one partition in, one published segment out.  Contract:
 * segment.h.
 *
 * Why all at once: the flush has all rows in memory anyway, so the layout (streams sorted by
 * labels, each stream's rows together) costs a counting sort and no merge, and a half-written
 * segment is never anybody's.
 *
 * Invariants
 *   (1) every attempt draws a new uuid and a new key, and frame numbers run over the whole file, so
 * no nonce is used twice under one key; (2) a frame's associated data holds everything of the block
 * header before the digest, its directory entry and its place, so no frame can be moved, swapped or
 * relabelled; (3) the name appears after all bytes are durable (objstore_publish).
 */
#include "base/crc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/block.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/segment_format.h"
#include "storage/stream_blob.h"

#include <zstd.h>

#include <stdlib.h>

struct writer {
    const struct segment_options *opt; /* borrowed */
    const struct segment_row *rows;    /* borrowed; ascending seq */
    size_t n;
    uint32_t *stream; /* of row i; owned */
    uint32_t *order;  /* rows in layout order; owned */
    struct segment_info *info;
    VEC(struct segment_block) blocks;
    VEC(struct segment_stream) streams;
    struct objstore_put *put;
    struct crypt *crypt;
    struct block_encoder *encoder;
    struct block_row *block; /* the open block's rows; BLOCK_ROWS_MAX */
    size_t n_block;
    ts_ns min_received, max_received; /* of the open block */
    struct buf out;                   /* a block as it goes to the file */
    uint32_t next_frame;
};

static const struct record *record_of(const struct segment_row *row)
{
    return &row->batch->records[row->record];
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = record_of(a)->seq;
    uint64_t y = record_of(b)->seq;

    return (x > y) - (x < y);
}

static int sort_rows(struct segment_row *rows, size_t n, struct err *err)
{
    bool sorted = true;

    for (size_t i = 1; i < n && sorted; i++)
        sorted = record_of(&rows[i - 1])->seq < record_of(&rows[i])->seq;
    if (sorted)
        return 0;
    qsort(rows, n, sizeof(*rows), by_seq);
    for (size_t i = 1; i < n; i++)
        if (record_of(&rows[i - 1])->seq == record_of(&rows[i])->seq)
            return err_set(err, ERR_INVALID, "two records have seq %llu",
                           (unsigned long long)record_of(&rows[i])->seq);
    return 0;
}

/* ---- streams ---- */

struct numbering {
    struct map *index; /* blob of labels -> number + 1 */
    struct buf blob;
    const struct batch *batch; /* whose streams `memo` is about */
    VEC(uint32_t) memo;        /* number + 1 of each stream of the batch; 0: not asked yet */
};

static int number_stream(struct writer *w, struct numbering *nb, const struct labels *labels,
                         uint32_t *ret, struct err *err)
{
    struct segment_stream s = {.min_ts = INT64_MAX, .max_ts = INT64_MIN};
    uintptr_t known;
    int r;

    buf_clear(&nb->blob);
    stream_blob_put(&nb->blob, labels);
    r = buf_err(&nb->blob, "labels of a stream", err);
    if (r < 0)
        return r;
    known = (uintptr_t)map_get(nb->index, buf_str(&nb->blob));
    *ret = (uint32_t)known;
    if (known != 0)
        return 0;
    known = w->streams.n + 1;
    if (!map_put(nb->index, buf_str(&nb->blob), (void *)known))
        return err_set(err, ERR_LIMIT, "more than %d streams in one segment", SEGMENT_STREAMS_MAX);
    r = labels_copy(w->info->arena, labels, &s.labels, err);
    if (r < 0)
        return r;
    VEC_PUSH(&w->streams, s);
    *ret = (uint32_t)known;
    return 0;
}

static void enter_batch(struct numbering *nb, const struct batch *b)
{
    nb->batch = b;
    VEC_RESERVE(&nb->memo, b->n_streams);
    nb->memo.n = b->n_streams;
    memset(nb->memo.p, 0, b->n_streams * sizeof(*nb->memo.p));
}

static int number_rows(struct writer *w, struct numbering *nb, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct batch *b = w->rows[i].batch;
        const struct record *rec = record_of(&w->rows[i]);
        struct segment_stream *s;
        uint32_t *number;
        if (b != nb->batch) /* rows of one batch mostly stand together */
            enter_batch(nb, b);
        INVARIANT(rec->stream < b->n_streams);
        number = &nb->memo.p[rec->stream];
        if (*number == 0) {
            int r = number_stream(w, nb, &b->streams[rec->stream], number, err);
            if (r < 0)
                return r;
        }
        w->stream[i] = *number - 1;
        s = &w->streams.p[*number - 1];
        s->rows++;
        s->min_ts = rec->ts < s->min_ts ? rec->ts : s->min_ts;
        s->max_ts = rec->ts > s->max_ts ? rec->ts : s->max_ts;
    }
    return 0;
}

static int by_labels(const void *a, const void *b)
{
    const struct segment_stream *x = *(const struct segment_stream *const *)a;
    const struct segment_stream *y = *(const struct segment_stream *const *)b;

    return labels_cmp(&x->labels, &y->labels);
}

/* Renumber by labels, so that streams of one program stand beside each other, and lay the rows out.
 */
static int lay_out(struct writer *w, struct err *err)
{
    size_t n = w->streams.n;
    struct segment_stream **sorted = mem_grow(NULL, n * sizeof(struct segment_stream *));
    uint32_t *renumber = mem_grow(NULL, n * sizeof(*renumber));
    size_t *next = mem_new(n * sizeof(*next));
    struct segment_stream *v = arena_alloc(w->info->arena, n * sizeof(*v));
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        sorted[i] = &w->streams.p[i];
    qsort((void *)sorted, n, sizeof(*sorted), by_labels);
    for (size_t i = 0; i < n && v != NULL; i++) {
        renumber[sorted[i] - w->streams.p] = (uint32_t)i;
        v[i] = *sorted[i];
        next[i] = at;
        at += v[i].rows;
    }
    for (size_t i = 0; i < w->n && v != NULL; i++) {
        w->stream[i] = renumber[w->stream[i]];
        w->order[next[w->stream[i]]++] = (uint32_t)i;
    }
    w->info->streams = v;
    w->info->n_streams = (uint32_t)n;
    free((void *)sorted);
    free(renumber);
    free(next);
    return v == NULL ? arena_err(w->info->arena, err) : 0;
}

static int place_rows(struct writer *w, struct err *err)
{
    struct numbering nb = {.index = map_new(SEGMENT_STREAMS_MAX, NULL)};
    int r;

    buf_init(&nb.blob, STREAMS_RAW_MAX);
    r = number_rows(w, &nb, err);
    if (r == 0)
        r = lay_out(w, err);
    map_free(&nb.index);
    buf_fini(&nb.blob);
    VEC_FINI(&nb.memo);
    return r;
}

/* ---- blocks ---- */

static void describe_block(const struct writer *w, struct block_header *h)
{
    const struct block_row *v = w->block;

    *h = (struct block_header){
        .index = (uint32_t)w->blocks.n,
        .tenant_id = w->opt->tenant_id,
        .min_ts = v[0].ts,
        .max_ts = v[0].ts,
        .min_received = w->min_received,
        .max_received = w->max_received,
        .min_seq = v[0].seq,
        .max_seq = v[0].seq,
        .rows = (uint32_t)w->n_block,
        .codec = BLOCK_CODEC_COLUMNS,
        .first_stream = v[0].stream,
        .last_stream = v[w->n_block - 1].stream,
        .first_frame = w->next_frame,
    };
    memcpy(h->segment, w->info->uuid, SEGMENT_UUID);
    for (size_t i = 0; i < w->n_block; i++) {
        h->min_ts = v[i].ts < h->min_ts ? v[i].ts : h->min_ts;
        h->max_ts = v[i].ts > h->max_ts ? v[i].ts : h->max_ts;
        h->min_seq = v[i].seq < h->min_seq ? v[i].seq : h->min_seq;
        h->max_seq = v[i].seq > h->max_seq ? v[i].seq : h->max_seq;
        h->raw_bytes += block_row_bytes(&v[i]);
        w->info->line_bytes += v[i].line.n;
    }
}

/* The header without its digest, the frame directory, the sealed frames: to w->out. */
static int seal_frames(struct writer *w, struct block_header *h, const struct block_frame *f,
                       size_t n, struct err *err)
{
    uint8_t header[BLOCK_HEADER_STORED];
    uint8_t bound[FRAME_BOUND];
    uint8_t nonce[CRYPT_NONCE];

    h->frames = (uint32_t)n;
    h->stored_bytes = n * BLOCK_FRAME_ENTRY;
    for (size_t i = 0; i < n; i++)
        h->stored_bytes += f[i].bytes.n + CRYPT_TAG;
    block_header_put(h, header);
    buf_clear(&w->out);
    buf_add(&w->out, header, sizeof(header));
    for (size_t i = 0; i < n; i++) {
        struct block_frame_entry e = {f[i].kind, f[i].codec, f[i].raw_bytes,
                                      (uint32_t)(f[i].bytes.n + CRYPT_TAG)};
        block_frame_put(&e, bound);
        buf_add(&w->out, bound, BLOCK_FRAME_ENTRY);
    }
    memcpy(bound, header, BLOCK_HEADER_BOUND);
    for (size_t i = 0; i < n; i++) {
        char *room = buf_room(&w->out, f[i].bytes.n + CRYPT_TAG);
        int r;
        if (room == NULL)
            return err_set(err, ERR_LIMIT, "block of %zu bytes", w->out.n);
        memcpy(bound + BLOCK_HEADER_BOUND, w->out.p + sizeof(header) + i * BLOCK_FRAME_ENTRY,
               BLOCK_FRAME_ENTRY);
        le_put32(bound + BLOCK_HEADER_BOUND + BLOCK_FRAME_ENTRY, (uint32_t)i);
        crypt_nonce(w->next_frame++, nonce); /* keeps (1) */
        r = crypt_seal(w->crypt, nonce, (struct str){(char *)bound, sizeof(bound)}, f[i].bytes,
                       room, err); /* keeps (2) */
        if (r < 0)
            return r;
        w->out.n += f[i].bytes.n + CRYPT_TAG;
    }
    return buf_err(&w->out, "block", err);
}

static void note_block(struct writer *w, const struct block_header *h, const uint8_t *header)
{
    struct segment_info *info = w->info;
    struct segment_block b = {
        .offset = objstore_put_size(w->put),
        .stored_bytes = h->stored_bytes,
        .raw_bytes = h->raw_bytes,
        .rows = h->rows,
        .frames = h->frames,
        .first_stream = h->first_stream,
        .last_stream = h->last_stream,
        .min_ts = h->min_ts,
        .max_ts = h->max_ts,
        .leaf = block_header_leaf(header),
    };

    VEC_PUSH(&w->blocks, b);
    info->rows += h->rows;
    info->raw_bytes += h->raw_bytes;
    info->min_ts = h->min_ts < info->min_ts ? h->min_ts : info->min_ts;
    info->max_ts = h->max_ts > info->max_ts ? h->max_ts : info->max_ts;
    info->min_seq = h->min_seq < info->min_seq ? h->min_seq : info->min_seq;
    info->max_seq = h->max_seq > info->max_seq ? h->max_seq : info->max_seq;
    if (h->min_received < info->min_received)
        info->min_received = h->min_received;
    if (h->max_received > info->max_received)
        info->max_received = h->max_received;
}

static int write_block(struct writer *w, struct err *err)
{
    const struct block_frame *frames = NULL;
    struct block_header h;
    uint8_t *header;
    struct str stored;
    size_t n = 0;
    int r;

    if (w->n_block == 0)
        return 0;
    describe_block(w, &h);
    r = block_encoder_run(w->encoder, w->block, w->n_block, &frames, &n, err);
    if (r == 0)
        r = seal_frames(w, &h, frames, n, err);
    if (r < 0)
        return r;
    stored = str_from(buf_str(&w->out), BLOCK_HEADER_STORED);
    crypt_sha256(&stored, 1, h.digest.b);
    header = (uint8_t *)w->out.p;
    block_header_put(&h, header);
    note_block(w, &h, header);
    w->n_block = 0;
    return objstore_append(w->put, w->out.p, w->out.n, err);
}

static int write_blocks(struct writer *w, struct err *err)
{
    size_t bytes = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < w->n; i++) {
        const struct segment_row *row = &w->rows[w->order[i]];
        const struct record *rec = record_of(row);
        struct block_row br = {rec->ts,   rec->seq,    rec->line,
                               rec->attr, rec->n_attr, w->stream[w->order[i]]};
        size_t n = block_row_bytes(&br);
        bool alone = n > BLOCK_ROW_ALONE;
        if (w->n_block > 0 &&
            (alone || w->n_block == BLOCK_ROWS_MAX || bytes + n > BLOCK_RAW_TARGET))
            r = write_block(w, err);
        if (w->n_block == 0) {
            bytes = 0;
            w->min_received = w->max_received = row->received;
        }
        bytes += n;
        w->min_received = row->received < w->min_received ? row->received : w->min_received;
        w->max_received = row->received > w->max_received ? row->received : w->max_received;
        w->block[w->n_block++] = br;
        if (r == 0 && alone)
            r = write_block(w, err);
    }
    return r < 0 ? r : write_block(w, err);
}

/* ---- the file ---- */

static int write_header(struct writer *w, struct err *err)
{
    struct segment_header h = {.tenant_id = w->opt->tenant_id, .day = w->opt->day};
    uint8_t bytes[SEGMENT_HEADER];
    uint8_t key[CRYPT_KEY];
    int r;

    memcpy(h.uuid, w->info->uuid, SEGMENT_UUID);
    r = crypt_random(key, sizeof(key), err);
    if (r < 0)
        return r;
    segment_header_put(&h, bytes);
    r = crypt_wrap(w->opt->key, (struct str){(char *)bytes, SEGMENT_HEADER_BOUND}, key, h.wrapped,
                   err);
    if (r == 0) {
        w->crypt = crypt_new(key);
        segment_header_put(&h, bytes);
        r = objstore_append(w->put, bytes, sizeof(bytes), err);
    }
    crypt_wipe(key, sizeof(key));
    return r;
}

/* The stream table, compressed where that helps, sealed, behind what is in w->out. */
static int seal_streams(struct writer *w, struct footer_streams *s, struct str head,
                        struct str table, struct err *err)
{
    uint8_t nonce[CRYPT_NONCE];
    char *room = buf_room(&w->out, table.n + CRYPT_TAG);
    int r;

    if (room == NULL)
        return err_set(err, ERR_LIMIT, "stream table of %zu bytes", table.n);
    crypt_nonce(s->frame, nonce);
    r = crypt_seal(w->crypt, nonce, head, table, room, err);
    if (r == 0)
        w->out.n += table.n + CRYPT_TAG;
    return r;
}

static int put_footer(struct writer *w, struct str table, struct footer_streams *s, struct err *err)
{
    uint8_t head[FOOTER_HEAD];
    uint8_t entry[FOOTER_BLOCK];
    uint8_t end[SEGMENT_TRAILER];
    int r;

    footer_head_put(w->info, s, head);
    buf_clear(&w->out);
    buf_add(&w->out, head, sizeof(head));
    for (size_t i = 0; i < w->blocks.n; i++) {
        footer_block_put(&w->blocks.p[i], entry);
        buf_add(&w->out, entry, sizeof(entry));
    }
    r = seal_streams(w, s, (struct str){(char *)head, sizeof(head)}, table, err);
    if (r < 0)
        return r;
    if (w->out.n > FOOTER_MAX - 4)
        return err_set(err, ERR_LIMIT, "footer of %zu bytes", w->out.n);
    le_put32(end, crc32c(0, w->out.p, w->out.n));
    buf_add(&w->out, end, 4);
    segment_trailer_put(w->info->footer_offset, w->out.n, end);
    buf_add(&w->out, end, sizeof(end));
    r = buf_err(&w->out, "footer", err);
    return r < 0 ? r : objstore_append(w->put, w->out.p, w->out.n, err);
}

static struct merkle_hash root_of(const struct writer *w)
{
    struct merkle_hash *leaf = mem_grow(NULL, w->blocks.n * sizeof(*leaf));
    struct merkle_hash root;

    for (size_t i = 0; i < w->blocks.n; i++)
        leaf[i] = w->blocks.p[i].leaf;
    root = merkle_root(leaf, w->blocks.n);
    free(leaf);
    return root;
}

static int write_footer(struct writer *w, struct err *err)
{
    struct footer_streams s = {.codec = BLOCK_ZSTD, .frame = w->next_frame};
    struct segment_info *info = w->info;
    struct buf plain;
    struct buf packed;
    int r;

    info->n_blocks = (uint32_t)w->blocks.n;
    info->root = root_of(w);
    info->footer_offset = objstore_put_size(w->put);
    buf_init(&plain, STREAMS_RAW_MAX);
    buf_init(&packed, ZSTD_compressBound(STREAMS_RAW_MAX));
    footer_streams_put(&plain, info);
    r = buf_err(&plain, "stream table", err);
    if (r == 0) {
        size_t bound = ZSTD_compressBound(plain.n);
        char *room = buf_room(&packed, bound);
        size_t n = room == NULL ? 0 : ZSTD_compress(room, bound, plain.p, plain.n, 1);
        if (room == NULL || ZSTD_isError(n)) {
            s.codec = BLOCK_PLAIN;
            packed.n = 0;
        } else {
            packed.n = n;
        }
        s.raw_bytes = plain.n;
        s.stored_bytes = (s.codec == BLOCK_PLAIN ? plain.n : packed.n) + CRYPT_TAG;
        r = put_footer(w, buf_str(s.codec == BLOCK_PLAIN ? &plain : &packed), &s, err);
    }
    buf_fini(&plain);
    buf_fini(&packed);
    return r;
}

static int keep_blocks(struct writer *w, struct err *err)
{
    struct segment_info *info = w->info;

    info->blocks = arena_alloc(info->arena, w->blocks.n * sizeof(*info->blocks));
    if (info->blocks == NULL)
        return arena_err(info->arena, err);
    memcpy(info->blocks, w->blocks.p, w->blocks.n * sizeof(*info->blocks));
    info->file_bytes = objstore_put_size(w->put);
    return 0;
}

static int write_all(struct writer *w, struct objstore *os, struct err *err)
{
    char name[SEGMENT_NAME_MAX];
    int r;

    r = crypt_random(w->info->uuid, SEGMENT_UUID, err); /* keeps (1) */
    if (r == 0)
        r = place_rows(w, err);
    if (r < 0)
        return r;
    segment_name(w->info->uuid, name);
    r = objstore_put(os, name, &w->put, err);
    if (r == 0)
        r = write_header(w, err);
    if (r == 0)
        r = write_blocks(w, err);
    if (r == 0)
        r = write_footer(w, err);
    if (r == 0)
        r = keep_blocks(w, err);
    if (r == 0)
        r = objstore_publish(w->put, err); /* keeps (3) */
    return r < 0 ? err_wrap(err, "write segment '%s'", name) : 0;
}

static struct segment_info *new_info(const struct segment_options *opt)
{
    struct segment_info *info = mem_new(sizeof(*info));

    info->magic = SEGMENT_INFO_MAGIC;
    info->tenant_id = opt->tenant_id;
    info->day = opt->day;
    info->wal_from = opt->wal_from;
    info->wal_to = opt->wal_to;
    info->min_ts = info->min_received = INT64_MAX;
    info->max_ts = info->max_received = INT64_MIN;
    info->min_seq = UINT64_MAX;
    info->arena = arena_new(NULL, 0); /* what is copied in is bounded by the rows it comes from */
    return info;
}

int segment_writer_write(struct objstore *os, const struct segment_options *opt,
                         struct segment_row *rows, size_t n, struct segment_info **ret,
                         struct err *err)
{
    struct writer w = {.opt = opt, .rows = rows, .n = n};
    int r;

    INVARIANT(n > 0);
    if (n > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "%zu rows in one segment", n);
    r = sort_rows(rows, n, err);
    if (r < 0)
        return r;
    w.info = new_info(opt);
    w.stream = mem_grow(NULL, n * sizeof(*w.stream));
    w.order = mem_grow(NULL, n * sizeof(*w.order));
    w.block = mem_grow(NULL, BLOCK_ROWS_MAX * sizeof(*w.block));
    w.encoder = block_encoder_new(opt->zstd_level);
    buf_init(&w.out, SIZE_MAX / 2);
    r = write_all(&w, os, err);
    objstore_discard(&w.put);
    crypt_free(&w.crypt);
    block_encoder_free(&w.encoder);
    buf_fini(&w.out);
    VEC_FINI(&w.blocks);
    VEC_FINI(&w.streams);
    free(w.stream);
    free(w.order);
    free(w.block);
    if (r == 0)
        *ret = w.info;
    else
        segment_info_free(&w.info);
    return r;
}
