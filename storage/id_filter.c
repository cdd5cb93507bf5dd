/* storage/id_filter.c - see id_filter.h. */
#include "storage/id_filter.h"

#include "base/crc.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/le.h"

enum { PAGE_KEYS = 3000, INDEX_HEAD = 4, WIDTH = 8, WIDTH_WIDE = ID_PAGE_WIDTH_MAX };

#define PAGES_BYTES ((size_t)1 << 30)

void id_filter_free(struct id_filter **pf)
{
    struct id_filter *f = *pf;

    *pf = NULL;
    if (f == NULL)
        return;
    free(f->group);
    free(f->at);
    free(f);
}

size_t id_filter_held(const struct id_filter *f)
{
    return sizeof(*f) + f->n_groups * sizeof(*f->group) + (f->n_pages + (size_t)1) * sizeof(*f->at);
}

uint32_t id_filter_page(const struct id_group *g, uint32_t key, uint32_t *place)
{
    uint64_t wide = (uint64_t)key * g->n_pages;

    *place = (uint32_t)wide;
    return (uint32_t)(wide >> 32);
}

/* ---- the index ---- */

static void put_group(struct buf *b, const struct id_group *g)
{
    uint8_t p[ID_GROUP_ENTRY] = {0};

    le_put32(p, g->first_block);
    le_put32(p + 4, g->n_blocks);
    le_put32(p + 8, g->n_pages);
    le_put32(p + 12, g->first_frame);
    le_put32(p + 16, g->crc);
    for (size_t i = 0; i < ID_PAGE_BLOCKS / 64; i++)
        le_put64(p + 24 + 8 * i, g->covered.bits[i]);
    buf_add(b, p, sizeof(p));
}

void id_filter_put(struct buf *b, const struct id_filter *f)
{
    size_t from = b->n;
    uint8_t n[4];

    le_put32(n, (uint32_t)f->n_groups);
    buf_add(b, n, sizeof(n));
    for (size_t i = 0; i < f->n_groups; i++)
        put_group(b, &f->group[i]);
    for (uint32_t i = 0; i < f->n_pages; i++) {
        le_put32(n, (uint32_t)(f->at[i + 1] - f->at[i]));
        buf_add(b, n, sizeof(n));
    }
    if (b->over)
        return;
    le_put32(n, crc32c(0, b->p + from, b->n - from));
    buf_add(b, n, sizeof(n));
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "index of the id filter: %s", what);
}

static void get_group(const uint8_t *p, struct id_group *g)
{
    g->first_block = le_get32(p);
    g->n_blocks = le_get32(p + 4);
    g->n_pages = le_get32(p + 8);
    g->first_frame = le_get32(p + 12);
    g->crc = le_get32(p + 16);
    for (size_t i = 0; i < ID_PAGE_BLOCKS / 64; i++)
        g->covered.bits[i] = le_get64(p + 24 + 8 * i);
}

/* Groups in order, each with its pages: one at least, since that is what nobody can forge. */
static int check_groups(struct id_filter *f, struct err *err)
{
    uint64_t block = 0;
    uint32_t page = 0;

    for (size_t i = 0; i < f->n_groups; i++) {
        struct id_group *g = &f->group[i];
        if (g->first_block < block || g->n_blocks == 0 || g->n_blocks > ID_GROUP_BLOCKS ||
            g->n_blocks > UINT32_MAX - g->first_block)
            return corrupt("blocks of a group", err);
        block = (uint64_t)g->first_block + g->n_blocks;
        if (g->n_pages == 0 || g->n_pages > f->n_pages - page)
            return corrupt("pages of a group", err);
        g->first_page = page;
        page += g->n_pages;
    }
    return page == f->n_pages ? 0 : corrupt("pages of no group", err);
}

/* From their lengths at p to their places: the last one ends at `end`. */
static int place_pages(struct id_filter *f, const uint8_t *p, uint64_t begin, uint64_t end,
                       struct err *err)
{
    uint64_t at = end;

    f->at[f->n_pages] = end;
    for (uint32_t i = f->n_pages; i-- > 0;) {
        uint32_t n = le_get32(p + 4 * (size_t)i);
        if (n > at - begin)
            return corrupt("length of a page", err);
        at -= n;
        f->at[i] = at;
    }
    return 0;
}

int id_filter_get(struct str index, uint64_t begin, uint64_t end, struct id_filter **ret,
                  struct err *err)
{
    const uint8_t *p = (const uint8_t *)index.p;
    struct id_filter *f;
    size_t rest;
    uint32_t n;
    int r;

    if (index.n < INDEX_HEAD + ID_GROUP_ENTRY + 4 || index.n % 4 != 0 || index.n > ID_INDEX_MAX ||
        begin > end)
        return corrupt("its length", err);
    if (le_get32(p + index.n - 4) != crc32c(0, p, index.n - 4))
        return corrupt("it does not fit its checksum", err);
    n = le_get32(p);
    rest = index.n - INDEX_HEAD - 4;
    if (n == 0 || n > rest / ID_GROUP_ENTRY)
        return corrupt("count of groups", err);
    rest -= n * (size_t)ID_GROUP_ENTRY;
    f = mem_new(sizeof(*f));
    f->n_groups = n;
    f->n_pages = (uint32_t)(rest / 4);
    f->group = mem_grow(NULL, f->n_groups * sizeof(*f->group));
    f->at = mem_grow(NULL, (f->n_pages + (size_t)1) * sizeof(*f->at));
    p += INDEX_HEAD;
    for (size_t i = 0; i < n; i++, p += ID_GROUP_ENTRY)
        get_group(p, &f->group[i]);
    r = check_groups(f, err);
    if (r == 0)
        r = place_pages(f, p, begin, end, err);
    if (r < 0)
        id_filter_free(&f);
    else
        *ret = f;
    return r;
}

/* ---- making ---- */

struct id_builder {
    unsigned magic;
#define ID_BUILDER_MAGIC 0x1db01de2u
    VEC(uint32_t) group; /* of the open group, block by block, ascending in each */
    VEC(size_t) begin;   /* of each of its blocks in there */
    struct id_blocks covered;
    uint64_t stored_bytes; /* of the blocks that it covers */
    uint32_t n_blocks;     /* of the segment so far */
    VEC(struct id_group) groups;
    struct buf pages; /* plain, of closed groups */
    VEC(uint64_t) at; /* of each of them, and the end */
    VEC(struct id_pair) pairs;
    VEC(uint32_t) scratch;
    struct id_filter done;
};

struct id_builder *id_builder_new(void)
{
    struct id_builder *b = mem_new(sizeof(*b));

    b->magic = ID_BUILDER_MAGIC;
    buf_init(&b->pages, PAGES_BYTES);
    VEC_PUSH(&b->at, 0);
    return b;
}

void id_builder_free(struct id_builder **pb)
{
    struct id_builder *b = *pb;

    *pb = NULL;
    if (b == NULL)
        return;
    OBJ_CHECK(b, ID_BUILDER_MAGIC);
    buf_fini(&b->pages);
    VEC_FINI(&b->group);
    VEC_FINI(&b->begin);
    VEC_FINI(&b->groups);
    VEC_FINI(&b->at);
    VEC_FINI(&b->pairs);
    VEC_FINI(&b->scratch);
    b->magic = 0;
    free(b);
}

/* What so many keys take. */
static uint64_t bytes_of(size_t keys, unsigned width)
{
    return keys * (uint64_t)(2 + width) / 8;
}

/* Page `page` of g; next[i] is the first key of block i that is not in a page yet. */
static void put_page(struct id_builder *b, const struct id_group *g, uint32_t page, size_t *next)
{
    bool is_wide = bytes_of(b->group.n, WIDTH_WIDE) <= b->stored_bytes / ID_SHARE_WIDE;
    struct id_page p = {.n_blocks = g->n_blocks, .width = is_wide ? WIDTH_WIDE : WIDTH};

    b->pairs.n = 0;
    for (uint32_t i = 0; i < g->n_blocks; i++) {
        size_t end = i + 1 < g->n_blocks ? b->begin.p[i + 1] : b->group.n;
        for (; next[i] < end; next[i]++) {
            struct id_pair pair = {.block = i};
            if (id_filter_page(g, b->group.p[next[i]], &pair.place) != page)
                break;
            VEC_PUSH(&b->pairs, pair);
        }
    }
    VEC_RESERVE(&b->scratch, 2 * b->pairs.n + 1);
    p.pairs = b->pairs.p;
    p.n = b->pairs.n;
    id_page_put(&b->pages, &p, b->scratch.p);
    VEC_PUSH(&b->at, b->pages.n);
}

static void close_group(struct id_builder *b)
{
    struct id_group g = {
        .n_blocks = (uint32_t)b->begin.n,
        .n_pages = (uint32_t)(b->group.n == 0 ? 1 : (b->group.n + PAGE_KEYS - 1) / PAGE_KEYS),
        .covered = b->covered,
        .first_page = (uint32_t)b->at.n - 1,
    };
    size_t next[ID_GROUP_BLOCKS];

    if (g.n_blocks == 0)
        return;
    g.first_block = b->n_blocks - g.n_blocks;
    memcpy(next, b->begin.p, g.n_blocks * sizeof(*next));
    for (uint32_t i = 0; i < g.n_pages; i++)
        put_page(b, &g, i, next);
    VEC_PUSH(&b->groups, g);
    b->group.n = b->begin.n = 0;
    b->covered = (struct id_blocks){{0}};
    b->stored_bytes = 0;
}

void id_builder_block(struct id_builder *b, struct id_keys *k, uint64_t stored_bytes)
{
    size_t at = b->begin.n;

    OBJ_CHECK(b, ID_BUILDER_MAGIC);
    id_keys_sort(k);
    VEC_PUSH(&b->begin, b->group.n);
    b->n_blocks++;
    if (bytes_of(k->n, WIDTH) <= stored_bytes / ID_SHARE) {
        b->stored_bytes += stored_bytes;
        b->covered.bits[at / 64] |= UINT64_C(1) << at % 64;
        VEC_RESERVE(&b->group, b->group.n + k->n);
        if (k->n > 0)
            memcpy(b->group.p + b->group.n, k->p, k->n * sizeof(*k->p));
        b->group.n += k->n;
    }
    id_keys_clear(k);
    if (b->begin.n == ID_GROUP_BLOCKS || b->group.n >= ID_GROUP_KEYS)
        close_group(b);
}

const struct id_filter *id_builder_end(struct id_builder *b)
{
    OBJ_CHECK(b, ID_BUILDER_MAGIC);
    close_group(b);
    if (!b->pages.over) /* else: none */
        b->done = (struct id_filter){b->groups.p, b->groups.n, b->at.p, (uint32_t)b->at.n - 1};
    return &b->done;
}

struct str id_builder_page(const struct id_builder *b, uint32_t i)
{
    OBJ_CHECK(b, ID_BUILDER_MAGIC);
    INVARIANT(i < b->done.n_pages);
    return (struct str){b->pages.p + b->at.p[i], (size_t)(b->at.p[i + 1] - b->at.p[i])};
}
