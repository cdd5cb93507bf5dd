/*
 * storage/segment_writer_end.c - what comes behind the blocks of a segment: the pages of its id
 * filter, their index, the footer and the trailer that says where these begin.  Contract:
 * segment_writer_internal.h; bytes: docs/formats/segment.md.
 *
 * Invariants are those of segment_writer.c: (1) no nonce is used twice, (2) nothing that is sealed
 * can be moved.
 */
#include "storage/segment_writer_internal.h"

#include "base/crc.h"
#include "base/mem.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/segment_cursor.h"
#include "storage/segment_format.h"
#include "storage/segment_reader.h"

#include <zstd.h>

#include <stdlib.h>

/* ---- the id filter ---- */

/* Seal the next page of the last group, and write it. */
static int write_page(struct segment_writer *w, struct str plain, struct err *err)
{
    struct id_group *g = &w->id_groups.p[w->id_groups.n - 1];
    uint8_t bound[ID_PAGE_BOUND];
    uint8_t nonce[CRYPT_NONCE];
    char *room;
    int r;

    buf_clear(&w->out);
    room = buf_room(&w->out, plain.n + CRYPT_TAG);
    if (room == NULL || plain.n > ID_PAGE_MAX - CRYPT_TAG)
        return err_set(err, ERR_LIMIT, "page of ids of %zu bytes", plain.n);
    segment_page_bound(w->info->uuid, g, (uint32_t)w->id_at.n - 1 - g->first_page, bound);
    crypt_nonce(w->next_frame++, nonce); /* keeps (1) */
    r = crypt_seal(w->crypt, nonce, (struct str){(char *)bound, sizeof(bound)}, plain, room, err);
    if (r < 0)
        return r;
    w->out.n = plain.n + CRYPT_TAG;
    g->crc = crc32c(g->crc, w->out.p, w->out.n);
    r = objstore_append(w->put, w->out.p, w->out.n, err);
    VEC_PUSH(&w->id_at, objstore_put_size(w->put));
    return r;
}

/* A group as it is in another file, or in none yet, whose blocks come `shift` later here. */
static void begin_group(struct segment_writer *w, const struct id_group *from, uint32_t shift)
{
    struct id_group g = *from;

    g.first_block += shift;
    g.first_frame = w->next_frame;
    g.crc = 0;
    g.first_page = (uint32_t)w->id_at.n - 1;
    VEC_PUSH(&w->id_groups, g);
}

/* What `ids` has of blocks that come `shift` later here. */
static int write_groups(struct segment_writer *w, struct id_builder *ids, uint32_t shift,
                        struct err *err)
{
    const struct id_filter *f = id_builder_end(ids);
    int r = 0;

    for (size_t i = 0; r == 0 && i < f->n_groups; i++) {
        const struct id_group *g = &f->group[i];
        begin_group(w, g, shift);
        for (uint32_t k = 0; r == 0 && k < g->n_pages; k++)
            r = write_page(w, id_builder_page(ids, g->first_page + k), err);
    }
    return r;
}

/* The ids of all rows, block by block. */
static int gather_ids(struct segment_cursor *c, struct id_keys *keys, struct id_builder *ids,
                      struct err *err)
{
    const struct segment_info *info = segment_cursor_info(c);
    uint32_t block = 0;

    for (;;) {
        struct segment_cursor_key key;
        struct segment_item it;
        int r = segment_cursor_at(c, &key, err);
        uint32_t end = r == 0 ? segment_cursor_block(c) : r == 1 ? info->n_blocks : block;
        for (; block < end; block++)
            id_builder_block(ids, keys, info->blocks[block].stored_bytes);
        if (r != 0)
            return r < 0 ? r : 0;
        r = segment_cursor_row(c, &it, err);
        if (r < 0)
            return r;
        id_keys_add(keys, it.line);
        segment_cursor_step(c);
    }
}

/* The groups of a part, made anew from its lines. */
static int rebuild_groups(struct segment_writer *w, const struct segment_part *part, uint32_t shift,
                          struct err *err)
{
    struct id_builder *ids = id_builder_new();
    struct segment_cursor *c = NULL;
    struct id_keys keys;
    int r = segment_cursor_open(w->from, part->info->uuid, w->opt->key, NULL, &c, err);

    id_keys_init(&keys);
    if (r == 0)
        r = gather_ids(c, &keys, ids, err);
    if (r == 0)
        r = write_groups(w, ids, shift, err);
    id_keys_fini(&keys);
    id_builder_free(&ids);
    segment_cursor_free(&c);
    return r;
}

/* Those of a part, whose blocks come `shift` later here, sealed anew. */
static int copy_groups(struct segment_writer *w, struct segment_reader *from, uint32_t shift,
                       struct err *err)
{
    struct id_filter *f = NULL;
    int r = segment_reader_filter(from, NULL, NULL, &f, err);

    if (r != 0)
        return r < 0 ? r : 0;
    for (size_t i = 0; r == 0 && i < f->n_groups; i++) {
        begin_group(w, &f->group[i], shift);
        for (uint32_t k = 0; r == 0 && k < f->group[i].n_pages; k++) {
            struct str page = STR_NULL;
            arena_reset(w->work);
            r = segment_reader_page(from, f, i, k, w->work, &page, err);
            if (r == 0)
                r = write_page(w, page, err);
        }
    }
    id_filter_free(&f);
    return r;
}

/* A part's groups: copied when all are good, since a page that was written stays; else made anew.
 */
static int put_part(struct segment_writer *w, const struct segment_part *part, uint32_t shift,
                    struct err *err)
{
    struct err why;
    uint64_t at;
    int r = segment_reader_verify_filter(part->from, part->info, &at, &why);

    if (r == 0)
        return copy_groups(w, part->from, shift, err);
    if (r != ERR_CORRUPT && r != ERR_UNSUPPORTED) {
        *err = why;
        return r;
    }
    if (w->n_rebuilt++ == 0)
        w->rebuilt = why;
    return rebuild_groups(w, part, shift, err);
}

/* Pages, then their index.  How long that is: *ret. */
static int write_filter(struct segment_writer *w, uint32_t *ret, struct err *err)
{
    struct id_filter f;
    uint32_t shift = 0;
    int r = 0;

    VEC_PUSH(&w->id_at, objstore_put_size(w->put));
    if (w->ids != NULL)
        r = write_groups(w, w->ids, 0, err);
    for (w->part = 0; r == 0 && w->part < w->n_parts; w->part++) {
        r = put_part(w, &w->parts[w->part], shift, err);
        if (r < 0)
            return r;
        shift += w->parts[w->part].info->n_blocks;
    }
    *ret = 0;
    if (r < 0 || w->id_groups.n == 0)
        return r;
    f = (struct id_filter){w->id_groups.p, w->id_groups.n, w->id_at.p, (uint32_t)w->id_at.n - 1};
    buf_clear(&w->out);
    id_filter_put(&w->out, &f);
    r = buf_err(&w->out, "index of the id filter", err);
    *ret = (uint32_t)w->out.n;
    return r < 0 ? r : objstore_append(w->put, w->out.p, w->out.n, err);
}

/* ---- the end of the file ---- */

/* The stream table, compressed where that helps, sealed, behind what is in w->out. */
static int seal_streams(struct segment_writer *w, struct footer_streams *s, struct str head,
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

static int put_footer(struct segment_writer *w, struct str table, struct footer_streams *s,
                      uint32_t index_bytes, struct err *err)
{
    struct segment_trailer t = {.footer = w->info->footer_offset, .index_bytes = index_bytes};
    uint8_t head[FOOTER_HEAD];
    uint8_t entry[FOOTER_BLOCK];
    uint8_t end[SEGMENT_TRAILER];
    int r;

    footer_head_put(w->info, s, head);
    buf_clear(&w->out);
    buf_add(&w->out, head, sizeof(head));
    buf_add(&w->out, w->info->replaces, w->info->n_replaces * (size_t)SEGMENT_UUID);
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
    t.footer_bytes = w->out.n;
    segment_trailer_put(&t, end);
    buf_add(&w->out, end, sizeof(end));
    r = buf_err(&w->out, "footer", err);
    return r < 0 ? r : objstore_append(w->put, w->out.p, w->out.n, err);
}

static struct merkle_hash root_of(const struct segment_writer *w)
{
    struct merkle_hash *leaf = mem_grow(NULL, w->blocks.n * sizeof(*leaf));
    struct merkle_hash root;

    for (size_t i = 0; i < w->blocks.n; i++)
        leaf[i] = w->blocks.p[i].leaf;
    root = merkle_root(leaf, w->blocks.n);
    free(leaf);
    return root;
}

static int write_footer(struct segment_writer *w, struct err *err)
{
    struct footer_streams s = {.codec = BLOCK_ZSTD};
    struct segment_info *info = w->info;
    uint32_t index_bytes = 0;
    struct buf plain;
    struct buf packed;
    int r;

    info->data_end = objstore_put_size(w->put);
    r = write_filter(w, &index_bytes, err);
    if (r < 0)
        return r;
    s.frame = w->next_frame;
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
        r = put_footer(w, buf_str(s.codec == BLOCK_PLAIN ? &plain : &packed), &s, index_bytes, err);
    }
    buf_fini(&plain);
    buf_fini(&packed);
    return r;
}

static int keep_tables(struct segment_writer *w, struct err *err)
{
    struct segment_info *info = w->info;

    info->n_blocks = (uint32_t)w->blocks.n;
    info->n_streams = (uint32_t)w->streams.n;
    info->blocks = arena_alloc(info->arena, w->blocks.n * sizeof(*info->blocks));
    info->streams = arena_alloc(info->arena, w->streams.n * sizeof(*info->streams));
    if (info->blocks == NULL || info->streams == NULL)
        return arena_err(info->arena, err);
    memcpy(info->blocks, w->blocks.p, w->blocks.n * sizeof(*info->blocks));
    memcpy(info->streams, w->streams.p, w->streams.n * sizeof(*info->streams));
    return 0;
}

int segment_writer_end(struct segment_writer *w, struct err *err)
{
    int r = keep_tables(w, err);

    return r == 0 ? write_footer(w, err) : r;
}
