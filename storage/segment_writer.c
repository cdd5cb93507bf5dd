/*
 * storage/segment_writer.c - rows of one partition in, one published segment out.  Contract:
 * segment.h.
 *
 * Why a stream: a flush has its rows in memory and a compaction must not have them, so both give
 * them in the order in which they lie, and what is held is the open block.  Streams are numbered as
 * they come, which is in order of their labels.  What comes behind the blocks is
 * segment_writer_end.c.
 *
 * Why several blocks: encoding is nearly all of the work, and blocks do not depend on each other
 * before they are sealed.  So a writer that was given threads cuts as many blocks as they are,
 * encodes these side by side, then seals and writes them in order: the file is the same.
 *
 * Invariants
 *   (1) every attempt draws a new uuid and a new key, and frame numbers run over the whole file, so
 * no nonce is used twice under one key; a copied block keeps the key that it was sealed under, and
 * nothing is sealed under that again; (2) a frame's associated data holds everything of the block
 * header before the digest, its directory entry and its place, so no frame can be moved, swapped or
 * relabelled; a copy's sources are associated data of its own key; (3) the name appears after all
 * bytes are durable (objstore_publish); (4) what a file holds, but for uuid and key, does not
 * depend on how many blocks were encoded at once.
 */
#include "storage/segment_writer_internal.h"

#include "base/crc.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/scan_pool.h"
#include "storage/segment_format.h"
#include "storage/segment_reader.h"

#include <stdlib.h>

enum { SMALL_LEVEL = 9 }; /* zstd, when size is what counts */

/* ---- blocks ---- */

static void describe_block(const struct segment_writer *w, const struct open_block *b,
                           struct block_header *h)
{
    const struct block_row *v = b->row;

    *h = (struct block_header){
        .index = (uint32_t)w->blocks.n,
        .tenant_id = w->opt->tenant_id,
        .min_ts = v[0].ts,
        .max_ts = v[0].ts,
        .min_received = b->min_received,
        .max_received = b->max_received,
        .min_seq = v[0].seq,
        .max_seq = v[0].seq,
        .rows = (uint32_t)b->n,
        .codec = BLOCK_CODEC_TEMPLATES,
        .first_stream = v[0].stream,
        .last_stream = v[b->n - 1].stream,
        .first_frame = w->next_frame,
    };
    memcpy(h->segment, w->info->uuid, SEGMENT_UUID);
    for (size_t i = 0; i < b->n; i++) {
        h->min_ts = v[i].ts < h->min_ts ? v[i].ts : h->min_ts;
        h->max_ts = v[i].ts > h->max_ts ? v[i].ts : h->max_ts;
        h->min_seq = v[i].seq < h->min_seq ? v[i].seq : h->min_seq;
        h->max_seq = v[i].seq > h->max_seq ? v[i].seq : h->max_seq;
        h->raw_bytes += block_row_bytes(&v[i]);
        w->info->line_bytes += v[i].line.n;
    }
}

/* The header without its digest, the frame directory, the sealed frames: to w->out. */
static int seal_frames(struct segment_writer *w, struct block_header *h,
                       const struct block_frame *f, size_t n, struct err *err)
{
    uint8_t header[BLOCK_HEADER_STORED];
    uint8_t bound[FRAME_BOUND];
    uint8_t nonce[CRYPT_NONCE];

    h->frames = (uint32_t)n;
    h->stored_bytes = n * BLOCK_FRAME_ENTRY;
    for (size_t i = 0; i < n; i++) {
        h->stored_bytes += f[i].bytes.n + CRYPT_TAG;
        if (f[i].kind == BLOCK_ROLLUP)
            h->flags |= BLOCK_FLAG_ROLLUP;
    }
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

/* A block of header `h`, whose stream numbers are higher by `shift` in this segment. */
static void note_block(struct segment_writer *w, const struct block_header *h,
                       const struct merkle_hash *leaf, uint32_t shift)
{
    struct segment_info *info = w->info;
    struct segment_block b = {
        .offset = objstore_put_size(w->put),
        .stored_bytes = h->stored_bytes,
        .raw_bytes = h->raw_bytes,
        .rows = h->rows,
        .frames = h->frames,
        .first_stream = shift + h->first_stream,
        .last_stream = shift + h->last_stream,
        .min_ts = h->min_ts,
        .max_ts = h->max_ts,
        .leaf = *leaf,
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

/* Job `job` of scan_pool_run: that block to frames, and the keys of its ids. */
static int encode_block(void *arg, size_t job, unsigned slot, struct err *err)
{
    struct segment_writer *w = arg;
    struct open_block *b = &w->block[job];
    int r;

    (void)slot;
    if (fault_hit("segment.encode"))
        return err_set(err, ERR_NOMEM, "no memory to encode a block");
    r = block_encoder_run(b->encoder, b->row, b->n, &b->frame, &b->n_frames, err);
    id_keys_clear(&b->keys);
    for (size_t i = 0; r == 0 && i < b->n; i++)
        id_keys_add(&b->keys, b->row[i].line);
    return r;
}

static int write_block(struct segment_writer *w, struct open_block *b, struct err *err)
{
    struct merkle_hash leaf;
    struct block_header h;
    uint8_t *header;
    struct str stored;
    int r;

    describe_block(w, b, &h);
    r = seal_frames(w, &h, b->frame, b->n_frames, err);
    if (r < 0)
        return r;
    stored = str_from(buf_str(&w->out), BLOCK_HEADER_STORED);
    crypt_sha256(&stored, 1, h.digest.b);
    header = (uint8_t *)w->out.p;
    block_header_put(&h, header);
    leaf = block_header_leaf(header);
    note_block(w, &h, &leaf, 0);
    id_builder_block(w->ids, &b->keys, h.stored_bytes);
    b->n = 0;
    arena_reset(b->bytes);
    return objstore_append(w->put, w->out.p, w->out.n, err);
}

/* All that were cut, in order.  keeps (4) */
static int write_blocks(struct segment_writer *w, struct err *err)
{
    size_t n = w->at + (w->at < w->n_blocks && w->block[w->at].n > 0 ? 1 : 0);
    int r = scan_pool_run(w->opt->pool, n, encode_block, w, err);

    for (size_t i = 0; r == 0 && i < n; i++)
        r = write_block(w, &w->block[i], err);
    w->at = 0;
    return r;
}

static void add_block(struct segment_writer *w)
{
    struct open_block *b = &w->block[w->n_blocks++];

    b->row = mem_grow(NULL, BLOCK_ROWS_MAX * sizeof(*b->row));
    b->encoder = block_encoder_new(w->opt->small ? SMALL_LEVEL : 0);
    b->bytes = arena_new(NULL, 0); /* of one block */
    id_keys_init(&b->keys);
}

/* One more, if there are threads and memory for it.  Not before it is needed: most segments of many
 * tenants have one block. */
static bool add_another(struct segment_writer *w)
{
    struct mem_budget *budget = w->opt->budget;
    struct err ignored;

    if (w->n_blocks >= w->most)
        return false;
    if (budget != NULL && mem_budget_take(budget, SEGMENT_BLOCK_MEMORY, &ignored) < 0) {
        w->most = w->n_blocks; /* it takes longer, and that is all */
        return false;
    }
    w->charged += budget == NULL ? 0 : SEGMENT_BLOCK_MEMORY;
    add_block(w);
    return true;
}

/* How many blocks at once: the pool has a thread for each core, and the caller works as well. */
static size_t most_blocks(const struct scan_pool *pool)
{
    size_t n = scan_pool_slots(pool);

    return n > SEGMENT_BLOCKS_MAX ? SEGMENT_BLOCKS_MAX : n > 2 ? n - 1 : n;
}

/* No further row comes into the open block. */
static int cut_block(struct segment_writer *w, struct err *err)
{
    w->at++;
    return w->at < w->n_blocks || add_another(w) ? 0 : write_blocks(w, err);
}

/* ---- the head of the file ---- */

static int write_header(struct segment_writer *w, const struct segment_source *sources, uint32_t n,
                        struct err *err)
{
    struct segment_header h = {.tenant_id = w->opt->tenant_id, .day = w->opt->day, .n_sources = n};
    size_t bytes = SEGMENT_HEADER + n * (size_t)SEGMENT_SOURCE;
    uint8_t *p = mem_new(bytes + 4);
    uint8_t key[CRYPT_KEY];
    struct buf bound;
    int r;

    memcpy(h.uuid, w->info->uuid, SEGMENT_UUID);
    segment_header_put(&h, p);
    for (uint32_t i = 0; i < n; i++)
        segment_source_put(&sources[i], p + SEGMENT_HEADER + i * (size_t)SEGMENT_SOURCE);
    buf_init(&bound, bytes);
    segment_header_bound(p, n, &bound);
    r = buf_err(&bound, "header of a segment", err);
    if (r == 0)
        r = crypt_random(key, sizeof(key), err);
    if (r == 0)
        r = crypt_wrap(w->opt->key, buf_str(&bound), key, h.wrapped, err); /* keeps (2) */
    if (r == 0) {
        w->crypt = crypt_new(key);
        segment_header_put(&h, p);
        le_put32(p + bytes, crc32c(0, p + SEGMENT_HEADER, bytes - SEGMENT_HEADER));
        w->info->data_offset = bytes + (n == 0 ? 0 : 4);
        r = objstore_append(w->put, p, (size_t)w->info->data_offset, err);
    }
    crypt_wipe(key, sizeof(key));
    buf_fini(&bound);
    free(p);
    return r;
}

static struct segment_info *new_info(const struct segment_options *opt)
{
    struct segment_info *info = mem_new(sizeof(*info));

    info->magic = SEGMENT_INFO_MAGIC;
    info->tenant_id = opt->tenant_id;
    info->day = opt->day;
    info->wal_from = opt->wal_from;
    info->wal_to = opt->wal_to;
    info->class = opt->class == 0 ? SEGMENT_ORDINARY : opt->class;
    info->span_classes = opt->span_classes | (unsigned)info->class;
    info->level = opt->level;
    info->n_replaces = opt->n_replaces;
    info->min_ts = info->min_received = INT64_MAX;
    info->max_ts = info->max_received = INT64_MIN;
    info->min_seq = UINT64_MAX;
    info->arena = arena_new(NULL, 0); /* what is copied in is bounded by the rows it comes from */
    return info;
}

static int copy_replaces(struct segment_writer *w, struct err *err)
{
    size_t n = w->opt->n_replaces * (size_t)SEGMENT_UUID;

    if (w->opt->n_replaces > SEGMENT_REPLACES_MAX)
        return err_set(err, ERR_LIMIT, "%u segments are too many to replace at once",
                       w->opt->n_replaces);
    w->info->replaces = arena_alloc(w->info->arena, n + 1);
    if (w->info->replaces == NULL)
        return arena_err(w->info->arena, err);
    if (n > 0)
        memcpy(w->info->replaces, w->opt->replaces, n);
    return 0;
}

static struct segment_writer *new_writer(const struct segment_options *opt)
{
    struct segment_writer *w = mem_new(sizeof(*w));

    w->magic = SEGMENT_WRITER_MAGIC;
    w->opt = opt;
    w->info = new_info(opt);
    buf_init(&w->out, SIZE_MAX / 2);
    return w;
}

static int start(struct segment_writer *w, struct objstore *os,
                 const struct segment_source *sources, uint32_t n, struct err *err)
{
    int r = copy_replaces(w, err);

    if (r == 0)
        r = crypt_random(w->info->uuid, SEGMENT_UUID, err); /* keeps (1) */
    if (r < 0)
        return r;
    segment_name(w->info->uuid, w->name);
    r = objstore_put(os, w->name, &w->put, err);
    return r == 0 ? write_header(w, sources, n, err) : r;
}

static int wrap(const struct segment_writer *w, int r, struct err *err)
{
    return r < 0 ? err_wrap(err, "write segment '%s'", w->name) : r;
}

static void free_blocks(struct segment_writer *w)
{
    for (size_t i = 0; i < w->n_blocks; i++) {
        struct open_block *b = &w->block[i];
        block_encoder_free(&b->encoder);
        arena_free(&b->bytes);
        id_keys_fini(&b->keys);
        free(b->row);
    }
    if (w->charged > 0)
        mem_budget_give(w->opt->budget, w->charged);
}

int segment_writer_open(struct objstore *os, const struct segment_options *opt,
                        struct segment_writer **ret, struct err *err)
{
    struct segment_writer *w = new_writer(opt);
    int r;

    w->most = most_blocks(opt->pool);
    add_block(w);
    w->ids = id_builder_new();
    w->labels = arena_new(NULL, 0); /* of one stream */
    r = wrap(w, start(w, os, NULL, 0, err), err);
    if (r < 0)
        segment_writer_free(&w);
    else
        *ret = w;
    return r;
}

void segment_writer_free(struct segment_writer **pw)
{
    struct segment_writer *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    objstore_discard(&w->put);
    crypt_free(&w->crypt);
    free_blocks(w);
    id_builder_free(&w->ids);
    VEC_FINI(&w->id_groups);
    VEC_FINI(&w->id_at);
    segment_info_free(&w->info);
    buf_fini(&w->out);
    VEC_FINI(&w->blocks);
    VEC_FINI(&w->streams);
    arena_free(&w->labels);
    arena_free(&w->work);
    w->magic = 0;
    free(w);
    *pw = NULL;
}

uint64_t segment_writer_bytes(const struct segment_writer *w)
{
    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    return objstore_put_size(w->put);
}

/* ---- rows ---- */

int segment_writer_stream(struct segment_writer *w, const struct labels *labels, struct err *err)
{
    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    INVARIANT(w->parts == NULL);
    if (w->streams.n > 0 && labels_cmp(&w->streams.p[w->streams.n - 1].labels, labels) >= 0)
        return err_set(err, ERR_INVALID, "streams out of order");
    arena_reset(w->labels);
    w->has_next = true;
    return labels_copy(w->labels, labels, &w->next_labels, err);
}

/* The stream that was begun gets its first row, and with it a number. */
static int enter_stream(struct segment_writer *w, struct err *err)
{
    struct segment_stream s = {.min_ts = INT64_MAX, .max_ts = INT64_MIN};
    int r;

    if (w->streams.n == SEGMENT_STREAMS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d streams in one segment", SEGMENT_STREAMS_MAX);
    r = labels_copy(w->info->arena, &w->next_labels, &s.labels, err);
    if (r < 0)
        return r;
    VEC_PUSH(&w->streams, s);
    w->has_next = false;
    w->last_seq = 0;
    return 0;
}

static int copy_bytes(struct arena *a, struct str *s, struct err *err)
{
    char *p = arena_bytes(a, s->n + 1);

    if (p == NULL)
        return arena_err(a, err);
    if (s->n > 0)
        memcpy(p, s->p, s->n);
    s->p = p;
    return 0;
}

static int copy_row(struct arena *a, struct block_row *row, struct err *err)
{
    struct label *v = arena_alloc(a, row->n_attr * sizeof(*v) + 1);
    int r = v == NULL ? arena_err(a, err) : copy_bytes(a, &row->line, err);

    for (uint32_t i = 0; r == 0 && i < row->n_attr; i++) {
        v[i] = row->attr[i];
        r = copy_bytes(a, &v[i].name, err);
        if (r == 0)
            r = copy_bytes(a, &v[i].value, err);
    }
    row->attr = v;
    return r;
}

static void widen(struct segment_writer *w, struct open_block *b, const struct segment_item *it)
{
    struct segment_stream *s = &w->streams.p[w->streams.n - 1];

    s->rows++;
    s->min_ts = it->ts < s->min_ts ? it->ts : s->min_ts;
    s->max_ts = it->ts > s->max_ts ? it->ts : s->max_ts;
    b->min_received = it->min_received < b->min_received ? it->min_received : b->min_received;
    b->max_received = it->max_received > b->max_received ? it->max_received : b->max_received;
}

static int add_row(struct segment_writer *w, const struct segment_item *it, bool copy,
                   struct err *err)
{
    struct block_row row = {it->ts, it->seq, it->line, it->attr, it->n_attr, 0};
    size_t n = block_row_bytes(&row);
    struct open_block *b = &w->block[w->at];
    bool alone = n > BLOCK_ROW_ALONE;
    int r = w->has_next ? enter_stream(w, err) : 0;

    if (r == 0 && b->n > 0 &&
        (alone || b->n == BLOCK_ROWS_MAX || b->raw_bytes + n > BLOCK_RAW_TARGET)) {
        r = cut_block(w, err);
        b = &w->block[w->at];
    }
    if (r == 0 && copy)
        r = copy_row(b->bytes, &row, err);
    if (r < 0)
        return r;
    INVARIANT(w->streams.n > 0); /* a row belongs to a stream */
    if (it->seq <= w->last_seq && w->last_seq != 0)
        return err_set(err, ERR_INVALID, "seq %llu does not follow %llu",
                       (unsigned long long)it->seq, (unsigned long long)w->last_seq);
    w->last_seq = it->seq;
    if (b->n == 0) {
        b->raw_bytes = 0;
        b->min_received = it->min_received;
        b->max_received = it->max_received;
    }
    row.stream = (uint32_t)w->streams.n - 1;
    widen(w, b, it);
    b->raw_bytes += n;
    b->row[b->n++] = row;
    return alone ? cut_block(w, err) : 0;
}

int segment_writer_add(struct segment_writer *w, const struct segment_item *it, bool copy,
                       struct err *err)
{
    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    INVARIANT(w->parts == NULL);
    return wrap(w, add_row(w, it, copy, err), err);
}

/* ---- copies ---- */

/* The sources of all parts, each with its place in the copy: malloc'ed. */
static int gather_sources(const struct segment_part *parts, size_t n, struct segment_source **ret,
                          uint32_t *ret_n, struct err *err)
{
    struct segment_source *out = mem_new(SEGMENT_SOURCES_MAX * sizeof(*out));
    uint32_t count = 0;
    uint32_t block = 0;
    uint32_t stream = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t n_from;
        const struct segment_source *from = segment_reader_sources(parts[i].from, &n_from);
        if (n_from > SEGMENT_SOURCES_MAX - count ||
            parts[i].info->n_streams > SEGMENT_STREAMS_MAX - stream) {
            free(out);
            return err_set(err, ERR_LIMIT, "%zu segments are too many for one copy", n);
        }
        for (uint32_t k = 0; k < n_from; k++) {
            out[count] = from[k];
            out[count].first_block += block;
            out[count++].first_stream += stream;
        }
        block += parts[i].info->n_blocks;
        stream += parts[i].info->n_streams;
    }
    *ret = out;
    *ret_n = count;
    return 0;
}

static int copy_streams(struct segment_writer *w, const struct segment_info *info, struct err *err)
{
    for (uint32_t i = 0; i < info->n_streams; i++) {
        struct segment_stream s = info->streams[i];
        int r = labels_copy(w->info->arena, &info->streams[i].labels, &s.labels, err);
        if (r < 0)
            return r;
        VEC_PUSH(&w->streams, s);
    }
    w->info->line_bytes += info->line_bytes;
    return 0;
}

int segment_writer_open_copy(struct objstore *os, const struct segment_options *opt,
                             const struct segment_part *parts, size_t n,
                             struct segment_writer **ret, struct err *err)
{
    struct segment_writer *w = new_writer(opt);
    struct segment_source *sources = NULL;
    uint32_t n_sources = 0;
    int r;

    INVARIANT(n > 0);
    w->parts = parts;
    w->n_parts = n;
    w->from = os;
    w->work = arena_new(NULL, 0); /* one block at a time */
    r = gather_sources(parts, n, &sources, &n_sources, err);
    if (r == 0)
        r = start(w, os, sources, n_sources, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = copy_streams(w, parts[i].info, err);
    free(sources);
    if (r < 0) {
        (void)wrap(w, r, err);
        segment_writer_free(&w);
        return r;
    }
    *ret = w;
    return 0;
}

int segment_writer_copy(struct segment_writer *w, struct err *err)
{
    const struct segment_part *part;
    const struct segment_block *b;
    struct block_header h;
    struct str bytes;
    int r;

    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    INVARIANT(w->parts != NULL);
    while (w->part < w->n_parts && w->part_block == w->parts[w->part].info->n_blocks) {
        if (w->part + 1 == w->n_parts)
            return 1;
        w->part_stream += w->parts[w->part++].info->n_streams;
        w->part_block = 0;
    }
    part = &w->parts[w->part];
    arena_reset(w->work);
    b = &part->info->blocks[w->part_block];
    r = segment_reader_raw(part->from, b, w->part_block, w->work, &h, &bytes, err);
    if (r < 0)
        return r;
    note_block(w, &h, &b->leaf, w->part_stream + (b->first_stream - h.first_stream));
    w->part_block++;
    return wrap(w, objstore_append(w->put, bytes.p, bytes.n, err), err);
}

size_t segment_writer_copying(const struct segment_writer *w)
{
    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    return w->part;
}

size_t segment_writer_rebuilt(const struct segment_writer *w, struct err *why)
{
    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    *why = w->rebuilt;
    return w->n_rebuilt;
}

int segment_writer_finish(struct segment_writer *w, struct segment_info **ret, struct err *err)
{
    int r;

    OBJ_CHECK(w, SEGMENT_WRITER_MAGIC);
    r = write_blocks(w, err);
    if (r == 0 && w->blocks.n == 0)
        return 1;
    if (r == 0)
        r = segment_writer_end(w, err);
    if (r == 0)
        r = objstore_publish(w->put, err); /* keeps (3) */
    if (r < 0)
        return wrap(w, r, err);
    w->info->file_bytes = objstore_put_size(w->put);
    *ret = w->info;
    w->info = NULL;
    return 0;
}
