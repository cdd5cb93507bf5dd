/*
 * tests/fuzz/fuzz_id_filter.c - a page of ids, or an index, hostile; and pairs that must be found.
 *
 *     u8 0: u8 blocks - 1, u32 place, the rest is a page
 *     u8 1: an index, its checksum made right
 *     u8 2: u8 blocks - 1, pairs: u32 place, u8 block
 */
#include "storage/id_filter.h"

#include "base/crc.h"
#include "storage/le.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void page(unsigned n_blocks, uint32_t place, struct str in)
{
    struct id_blocks hits = {{0}};
    uint64_t pairs;
    struct err err;
    int asked = id_page_ask(in, n_blocks, place, &hits, &err);
    int r = id_page_check(in, n_blocks, &pairs, &err);

    if (r == 0 && asked < 0)
        abort();
    for (unsigned i = n_blocks; r == 0 && i < ID_PAGE_BLOCKS; i++)
        if ((hits.bits[i / 64] >> i % 64 & 1) != 0)
            abort();
}

static void index_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 4);
    struct id_filter *f = NULL;
    struct err err;

    memcpy(copy, data, size);
    le_put32(copy + size, crc32c(0, copy, size));
    if (id_filter_get((struct str){(char *)copy, size + 4}, 100, 100000, &f, &err) == 0) {
        struct buf b;
        if (f->at[0] < 100 || f->at[f->n_pages] != 100000)
            abort();
        buf_init(&b, ID_INDEX_MAX);
        id_filter_put(&b, f);
        if (b.n != size + 4)
            abort();
        buf_fini(&b);
    }
    id_filter_free(&f);
    free(copy);
}

static void found(unsigned n_blocks, const uint8_t *data, size_t size)
{
    size_t n = size / 5;
    struct id_pair *v = malloc((n + 1) * sizeof(*v));
    uint32_t *scratch = malloc((2 * n + 1) * sizeof(*scratch));
    uint64_t pairs = 0;
    struct buf b;
    struct err err;

    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct id_pair){le_get32(data + 5 * i), data[5 * i + 4] % n_blocks};
    id_page_put(&b, &(struct id_page){v, n, n_blocks, 8 + (unsigned)(n % 3)}, scratch);
    if (id_page_check(buf_str(&b), n_blocks, &pairs, &err) < 0 || pairs != n)
        abort();
    for (size_t i = 0; i < n; i++) {
        struct id_blocks hits = {{0}};
        if (id_page_ask(buf_str(&b), n_blocks, v[i].place, &hits, &err) < 0 ||
            (hits.bits[v[i].block / 64] >> v[i].block % 64 & 1) == 0)
            abort();
    }
    buf_fini(&b);
    free(v);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6 || size > 1 << 16)
        return 0;
    switch (data[0] % 3) {
    case 0:
        page(data[1] + 1u, le_get32(data + 2), (struct str){(const char *)data + 6, size - 6});
        break;
    case 1:
        index_of(data + 1, size - 1);
        break;
    default:
        found(data[1] + 1u, data + 2, size - 2);
        break;
    }
    return 0;
}
