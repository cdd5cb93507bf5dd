/*
 * A segment file from a stranger who even knows the key's place but not the key: reading ends in
 * rows or in an error, within its budget.  Checksums are mended first, where there is room for
 * them, so that the fields behind them are what is tested.  The corpus holds segments that were
 * written with KEY.
 */
#include "storage/segment_reader.h"

#include "base/crc.h"
#include "base/mem.h"
#include "storage/le.h"
#include "storage/objstore.h"
#include "storage/segment_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t KEY[CRYPT_KEY] = "the key of the segment's corpus";

/* A store of one object, in memory. */
struct memory {
    struct objstore head;
    struct str bytes;
};

static int memory_open(struct objstore *os, const char *name, struct objstore_object **ret,
                       struct err *err)
{
    struct objstore_object *o = mem_new(sizeof(*o));

    (void)name;
    (void)err;
    *o = (struct objstore_object){
        .magic = OBJSTORE_OBJECT_MAGIC, .store = os, .size = ((struct memory *)os)->bytes.n};
    *ret = o;
    return 0;
}

static int memory_read(struct objstore_object *o, uint64_t offset, void *dst, size_t n,
                       struct err *err)
{
    (void)err;
    memcpy(dst, ((struct memory *)o->store)->bytes.p + offset, n);
    return 0;
}

static void memory_close(struct objstore_object *o)
{
    free(o);
}

static const struct objstore_ops MEMORY_OPS = {
    .open = memory_open, .read = memory_read, .close = memory_close};

static void mend(uint8_t *p, size_t n)
{
    uint32_t sources;
    uint64_t at;
    uint64_t footer;
    size_t data;

    if (n < SEGMENT_HEADER + SEGMENT_TRAILER)
        return;
    le_put32(p + SEGMENT_HEADER - 4, crc32c(0, p, SEGMENT_HEADER - 4));
    le_put32(p + n - SEGMENT_TRAILER + 20, crc32c(0, p + n - SEGMENT_TRAILER, 20));
    at = le_get64(p + n - SEGMENT_TRAILER);
    footer = le_get64(p + n - SEGMENT_TRAILER + 8);
    if (at <= n && footer <= n - at && footer >= 4)
        le_put32(p + at + footer - 4, crc32c(0, p + at, (size_t)footer - 4));
    data = SEGMENT_HEADER;
    sources = le_get32(p + 52);
    if (sources > 0 && sources <= SEGMENT_SOURCES_MAX &&
        n - SEGMENT_HEADER >= sources * (size_t)SEGMENT_SOURCE + 4) {
        size_t table = sources * (size_t)SEGMENT_SOURCE;
        for (uint32_t i = 0; i < sources; i++) {
            uint8_t *header = p + SEGMENT_HEADER + i * (size_t)SEGMENT_SOURCE;
            le_put32(header + SEGMENT_HEADER - 4, crc32c(0, header, SEGMENT_HEADER - 4));
        }
        le_put32(p + SEGMENT_HEADER + table, crc32c(0, p + SEGMENT_HEADER, table));
        data += table + 4;
    }
    if (n >= data + BLOCK_HEADER_STORED)
        le_put32(p + data + BLOCK_HEADER_BYTES, crc32c(0, p + data, BLOCK_HEADER_BYTES));
}

static void read_blocks(struct segment_reader *r, const struct segment_info *info, struct arena *a)
{
    for (uint32_t i = 0; i < info->n_blocks; i++) {
        struct segment_reader_block b;
        struct block_keys keys;
        struct str frame;
        struct err err;
        int rc = segment_reader_block(r, &info->blocks[i], i, a, &b, &err);
        for (unsigned kind = BLOCK_KEYS; rc == 0 && kind < BLOCK_KINDS; kind++) {
            struct block_shape shape = {b.header.rows, b.header.first_stream, b.header.last_stream};
            uint32_t k = 0;
            while (segment_reader_frame(r, &b, (enum block_frame_kind)kind, k, a, &frame, &err) ==
                   0) {
                if (k++ == 0 && kind == BLOCK_KEYS)
                    (void)block_keys_decode(frame, &shape, BLOCK_WANT_KEYS, a, &keys, &err);
            }
        }
        arena_reset(a);
    }
}

static void read_all(struct objstore *os, const uint8_t *uuid, const uint8_t *key,
                     struct mem_budget *budget)
{
    struct segment_reader *r = NULL;
    struct segment_info *info = NULL;
    struct arena *a = arena_new(budget, 0);
    struct err err;

    if (segment_reader_open(os, uuid, key, &r, &err) == 0 &&
        segment_reader_info(r, budget, &info, &err) == 0) {
        (void)segment_reader_verify(r, info, budget, &err);
        if (key != NULL)
            read_blocks(r, info, a);
    }
    segment_info_free(&info);
    segment_reader_free(&r);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = (size_t)64 << 20};
    struct memory m = {.head = {.magic = OBJSTORE_MAGIC, .ops = &MEMORY_OPS}};
    uint8_t *copy = malloc(size + 1);
    uint8_t uuid[SEGMENT_UUID] = {0};

    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    mend(copy, size);
    if (size >= SEGMENT_HEADER)
        memcpy(uuid, copy + 24, SEGMENT_UUID);
    m.bytes = (struct str){(const char *)copy, size};
    read_all(&m.head, uuid, KEY, &budget);
    read_all(&m.head, uuid, NULL, &budget);
    free(copy);
    if (budget.used != 0 || budget.peak > budget.limit)
        abort();
    return 0;
}
