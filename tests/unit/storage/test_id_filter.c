/*
 * storage/id_key.h, id_page.h, id_filter.h: what is looked for is never hidden, and what is not
 * there mostly is.
 */
#include "storage/id_filter.h"

#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 600, KEYS_MAX = 4096 };

/* ---- keys ---- */

static bool is_in_run(char c)
{
    return c != 0 &&
           strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", c) != NULL;
}

static uint64_t number_at(const char *p)
{
    uint64_t v = 0;

    for (unsigned i = 8; i-- > 0;)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

/* The definition of docs/formats/segment.md, word by word. */
static size_t naive_keys(struct str text, uint32_t *ret)
{
    size_t n = 0;

    for (size_t from = 0; from + 32 <= text.n; from++) {
        uint64_t least = UINT64_MAX;
        bool all = true;
        for (size_t i = 0; i < 32; i++)
            all = all && is_in_run(text.p[from + i]);
        for (size_t i = 0; i < 17; i++) {
            uint64_t h = number_at(text.p + from + i) * UINT64_C(0x9e3779b97f4a7c15) +
                         number_at(text.p + from + i + 8) * UINT64_C(0xd6e8feb86659fd93);
            least = h < least ? h : least;
        }
        if (all)
            ret[n++] = (uint32_t)((least ^ least >> 32) * UINT64_C(0xbf58476d1ce4e5b9) >> 32);
    }
    return n;
}

static bool has(const struct id_keys *k, uint32_t key)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->p[i] == key)
            return true;
    return false;
}

/* Words, ids and odd bytes, in an order of their own. */
static struct str make_text(char *room, uint64_t *rng)
{
    static const char chars[] = "0123456789abcdefXYZ-_";
    size_t n = 0;

    while (n < TEXT_MAX - 130 && records_random(rng) % 9 != 0) {
        size_t length = records_random(rng) % 3 == 0   ? 30 + records_random(rng) % 6
                        : records_random(rng) % 5 == 0 ? records_random(rng) % 120
                                                       : records_random(rng) % 9;
        size_t few = records_random(rng) % 6 == 0 ? 1 : sizeof(chars) - 1;
        for (size_t i = 0; i < length; i++)
            room[n++] = chars[records_random(rng) % few];
        room[n++] = " .:/\0\xc3\x5b\x60\x7b\x40\x2f"[records_random(rng) % 11];
    }
    return (struct str){room, n};
}

static void keys_are_as_the_format_says(void **state)
{
    uint64_t rng = 7;
    struct id_keys k;

    (void)state;
    id_keys_init(&k);
    for (unsigned round = 0; round < 3000; round++) {
        uint32_t want[KEYS_MAX];
        char *room = mem_new(TEXT_MAX);
        struct str text = make_text(room, &rng);
        size_t n = naive_keys(text, want);
        id_keys_clear(&k);
        id_keys_add(&k, text);
        id_keys_sort(&k);
        for (size_t i = 0; i < n; i++)
            assert_true(has(&k, want[i]));
        id_sort(want, want + KEYS_MAX / 2, n);
        for (size_t i = 0, at = 0; i < k.n; i++) {
            assert_true(i == 0 || k.p[i - 1] < k.p[i]);
            while (at < n && want[at] < k.p[i])
                at++;
            assert_true(at < n && want[at] == k.p[i]); /* no others */
        }
        free(room);
    }
    id_keys_fini(&k);
}

static void a_part_of_an_id_has_keys_of_the_whole(void **state)
{
    uint64_t rng = 11;
    struct id_keys whole;
    struct id_keys part;
    size_t parts = 0;

    (void)state;
    id_keys_init(&whole);
    id_keys_init(&part);
    for (unsigned round = 0; round < 3000; round++) {
        char room[TEXT_MAX];
        struct str text = make_text(room, &rng);
        size_t from = text.n == 0 ? 0 : records_random(&rng) % text.n;
        id_keys_clear(&whole);
        id_keys_add(&whole, text);
        id_keys_clear(&part);
        id_keys_add(&part, str_sub(text, from, 20 + records_random(&rng) % 80));
        for (size_t i = 0; i < part.n; i++)
            assert_true(has(&whole, part.p[i]));
        parts += part.n > 0;
    }
    assert_true(parts > 300);
    id_keys_fini(&whole);
    id_keys_fini(&part);
}

/* ---- pages ---- */

static bool is_hit(const struct id_blocks *hits, uint32_t block)
{
    return (hits->bits[block / 64] >> block % 64 & 1) != 0;
}

static void check_page(size_t n, unsigned n_blocks, unsigned width, uint64_t *rng)
{
    unsigned odds = 1u << width;
    struct id_pair *pair = mem_grow(NULL, (n + 1) * sizeof(*pair));
    uint32_t *scratch = mem_grow(NULL, (2 * n + 1) * sizeof(*scratch));
    uint64_t pairs = 0;
    size_t wrong = 0;
    struct buf b;
    struct err err;

    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++)
        pair[i] = (struct id_pair){(uint32_t)records_random(rng),
                                   (uint32_t)(records_random(rng) % n_blocks)};
    id_page_put(&b, &(struct id_page){pair, n, n_blocks, width}, scratch);
    assert_int_equal(id_page_check(buf_str(&b), n_blocks, &pairs, &err), 0);
    assert_int_equal(pairs, n);
    for (size_t i = 0; i < n; i++) {
        struct id_blocks hits = {{0}};
        assert_int_equal(id_page_ask(buf_str(&b), n_blocks, pair[i].place, &hits, &err), 0);
        assert_true(is_hit(&hits, pair[i].block));
    }
    for (size_t i = 0; i < 1000; i++) {
        struct id_blocks hits = {{0}};
        assert_int_equal(
            id_page_ask(buf_str(&b), n_blocks, (uint32_t)records_random(rng), &hits, &err), 0);
        for (uint32_t k = 0; k < ID_PAGE_BLOCKS; k++) {
            assert_true(k < n_blocks || !is_hit(&hits, k));
            wrong += is_hit(&hits, k);
        }
    }
    if (n > 0) /* one block in 2^width, and less than a half of the levels are lost by rounding */
        assert_in_range(wrong, 0, 2 * 1000 * n_blocks / odds + 40);
    buf_fini(&b);
    free(pair);
    free(scratch);
}

static void a_page_tells_blocks_with_a_key_from_most_others(void **state)
{
    uint64_t rng = 5;

    (void)state;
    check_page(0, 1, 8, &rng);
    for (size_t n = 1; n < 4000; n = n * 3 + 1)
        for (unsigned width = 8; width <= ID_PAGE_WIDTH_MAX; width++) {
            check_page(n, 1, width, &rng);
            check_page(n, 2, width, &rng);
            check_page(n, 3, width, &rng);
            check_page(n, 125, width, &rng);
            check_page(n, 256, width, &rng);
        }
}

static void keys_that_are_all_alike_make_a_page(void **state)
{
    struct id_pair pair[300];
    uint32_t scratch[600];
    uint64_t pairs = 0;
    struct buf b;
    struct err err;

    (void)state;
    buf_init(&b, 1 << 16);
    for (uint32_t place = 0;; place = UINT32_MAX) {
        struct id_blocks hits = {{0}};
        for (uint32_t i = 0; i < 300; i++)
            pair[i] = (struct id_pair){place, i % 200};
        buf_clear(&b);
        id_page_put(&b, &(struct id_page){pair, 300, 200, 8}, scratch);
        assert_int_equal(id_page_check(buf_str(&b), 200, &pairs, &err), 0);
        assert_int_equal(id_page_ask(buf_str(&b), 200, place, &hits, &err), 0);
        for (uint32_t i = 0; i < 200; i++)
            assert_true(is_hit(&hits, i));
        if (place != 0)
            break;
    }
    buf_fini(&b);
}

/* ---- filters ---- */

/* The line of an id, as a trace has it. */
static struct str id_line(char room[64], uint64_t id)
{
    uint64_t rng = id + 1;
    uint64_t high = records_random(&rng) ^ id << 32;
    int n = snprintf(room, 64, "t=%016llx%016llx.", (unsigned long long)high,
                     (unsigned long long)records_random(&rng));

    return (struct str){room, (size_t)n};
}

static bool may_hold(struct id_builder *b, const struct id_filter *f, uint32_t block,
                     struct str needle)
{
    struct id_keys k;
    bool may = true;
    struct err err;

    id_keys_init(&k);
    id_keys_add(&k, needle);
    assert_true(k.n > 0);
    for (size_t i = 0; i < f->n_groups; i++) {
        const struct id_group *g = &f->group[i];
        uint32_t at = block - g->first_block;
        if (block < g->first_block || at >= g->n_blocks || !is_hit(&g->covered, at))
            continue;
        for (size_t m = 0; m < k.n; m++) {
            struct id_blocks hits = {{0}};
            uint32_t place;
            uint32_t page = id_filter_page(g, k.p[m], &place);
            assert_int_equal(id_page_ask(id_builder_page(b, g->first_page + page), g->n_blocks,
                                         place, &hits, &err),
                             0);
            may = may && is_hit(&hits, at);
        }
    }
    id_keys_fini(&k);
    return may;
}

static void blocks_are_found_by_their_ids(void **state)
{
    enum { BLOCKS = 600, IDS = 40 };
    struct id_builder *b = id_builder_new();
    const struct id_filter *f;
    struct id_keys keys;
    char room[64];
    size_t wrong = 0;

    (void)state;
    id_keys_init(&keys);
    for (uint32_t block = 0; block < BLOCKS; block++) {
        for (uint64_t i = 0; i < IDS; i++) {
            struct str line = id_line(room, block * UINT64_C(1000) + i);
            if (block % 100 != 50) /* those have none */
                id_keys_add(&keys, line);
        }
        id_builder_block(b, &keys, block % 100 == 7 ? 100 : 1 << 20); /* those are too small */
    }
    id_keys_fini(&keys);
    f = id_builder_end(b);
    assert_int_equal(f->n_groups, 3);
    for (uint32_t block = 0; block < BLOCKS; block++) {
        const struct id_group *g = &f->group[block / ID_GROUP_BLOCKS];
        assert_true(is_hit(&g->covered, block % ID_GROUP_BLOCKS) == (block % 100 != 7));
        for (uint64_t i = 0; i < IDS; i += 13)
            assert_true(may_hold(b, f, block, id_line(room, block * UINT64_C(1000) + i)) ||
                        block % 100 == 50);
        wrong += may_hold(b, f, block, id_line(room, 77777777)) && block % 100 != 7;
    }
    assert_in_range(wrong, 0, 30);
    id_builder_free(&b);
}

static void an_index_comes_back(void **state)
{
    struct id_group group[2] = {
        {.first_block = 3, .n_blocks = 2, .n_pages = 2, .first_frame = 9, .crc = 5},
        {.first_block = 9, .n_blocks = 256, .n_pages = 1, .first_frame = 11, .crc = 6},
    };
    uint64_t at[4] = {1000, 1100, 1250, 1300};
    struct id_filter f = {group, 2, at, 3};
    struct id_filter *got = NULL;
    struct buf b;
    struct err err;

    (void)state;
    group[1].covered.bits[3] = 77;
    buf_init(&b, 1 << 16);
    id_filter_put(&b, &f);
    assert_int_equal(id_filter_get(buf_str(&b), 1000, 1300, &got, &err), 0);
    assert_true(got->n_groups == 2 && got->n_pages == 3);
    assert_memory_equal(got->at, at, sizeof(at));
    assert_true(got->group[1].first_block == 9 && got->group[1].n_blocks == 256 &&
                got->group[1].first_page == 2 && got->group[1].first_frame == 11 &&
                got->group[1].crc == 6 && got->group[1].covered.bits[3] == 77);
    id_filter_free(&got);
    assert_int_equal(id_filter_get(buf_str(&b), 1001, 1300, &got, &err), ERR_CORRUPT);
    for (size_t i = 0; i < b.n; i++) {
        assert_int_equal(id_filter_get(str_sub(buf_str(&b), 0, i), 0, 1300, &got, &err),
                         ERR_CORRUPT);
        b.p[i] = (char)(b.p[i] ^ 1);
        assert_int_equal(id_filter_get(buf_str(&b), 0, 1300, &got, &err), ERR_CORRUPT);
        b.p[i] = (char)(b.p[i] ^ 1);
    }
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_as_the_format_says),
        cmocka_unit_test(a_part_of_an_id_has_keys_of_the_whole),
        cmocka_unit_test(a_page_tells_blocks_with_a_key_from_most_others),
        cmocka_unit_test(keys_that_are_all_alike_make_a_page),
        cmocka_unit_test(blocks_are_found_by_their_ids),
        cmocka_unit_test(an_index_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
