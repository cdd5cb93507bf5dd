/* storage/find.c against a naive search, with and without AVX2. */
#include "storage/find.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 700, LINES_MAX = 64 };

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t naive(struct str text, struct str needle, size_t from)
{
    for (size_t i = from; i <= text.n && needle.n <= text.n - i; i++)
        if (needle.n == 0 || memcmp(text.p + i, needle.p, needle.n) == 0)
            return i;
    return SIZE_MAX;
}

/* A text of few letters, so that hits and near hits are common, in a block of exactly its size. */
static char *make_text(size_t n)
{
    char raw[TEXT_MAX];

    for (size_t i = 0; i < n; i++)
        raw[i] = "ab\0\xff\n"[rnd() % (rnd() % 4 == 0 ? 5 : 2)];
    return bytes_exact((struct str){raw, n});
}

static struct str pick_needle(struct str text, char *buf)
{
    size_t n = rnd() % 40;

    if (n > text.n || rnd() % 4 == 0) {
        n = rnd() % 6;
        for (size_t i = 0; i < n; i++)
            buf[i] = "ab"[rnd() % 2];
    } else {
        memcpy(buf, text.p + rnd() % (text.n - n + 1), n);
    }
    return (struct str){buf, n};
}

static void finds_what_a_naive_search_finds(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        size_t n = rnd() % TEXT_MAX;
        char *p = make_text(n);
        struct str text = {p, n};
        char buf[64];
        struct find f;
        find_init(&f, pick_needle(text, buf));
        f.portable = f.portable || rnd() % 4 == 0;
        for (size_t from = 0; from <= n + 1; from += 1 + rnd() % 50)
            assert_int_equal(find_next(&f, text, from), naive(text, f.needle, from));
        free(p);
    }
}

static size_t naive_folded(struct str text, struct str needle, const uint8_t *fold)
{
    for (size_t i = 0; i + needle.n <= text.n; i++) {
        size_t k = 0;
        while (k < needle.n && (text.p[i + k] == needle.p[k] ||
                                (uint8_t)text.p[i + k] == ((uint8_t)needle.p[k] ^ fold[k])))
            k++;
        if (k == needle.n)
            return i;
    }
    return SIZE_MAX;
}

static void finds_letters_in_either_case(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        size_t n = rnd() % TEXT_MAX;
        char *p = make_text(n);
        struct str text = {p, n};
        uint8_t fold[64];
        char buf[64];
        struct str needle;
        struct find f;
        for (size_t i = 0; i < n; i++)
            if (p[i] == 'a' && rnd() % 2 == 0)
                p[i] = 'A';
        needle = pick_needle(text, buf);
        if (needle.n == 0)
            needle = STR("b");
        for (size_t i = 0; i < needle.n; i++)
            fold[i] = (needle.p[i] | 0x20) == 'a' && rnd() % 4 != 0 ? 0x20 : 0;
        find_init_fold(&f, needle, fold);
        f.portable = f.portable || rnd() % 4 == 0;
        assert_int_equal(find_next(&f, text, 0), naive_folded(text, needle, fold));
        free(p);
    }
}

static void marks_the_lines_that_hold_the_needle(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        size_t n = rnd() % TEXT_MAX;
        size_t lines = 1 + rnd() % LINES_MAX;
        char *p = make_text(n);
        struct str text = {p, n};
        uint32_t end[LINES_MAX];
        uint64_t bits[1] = {0};
        char buf[64];
        struct find f;
        size_t at = 0;
        for (size_t i = 0; i < lines; i++) { /* many are empty, the last takes the rest */
            size_t take = rnd() % 3 == 0 ? 0 : rnd() % 40;
            at = i + 1 == lines || take > n - at ? n : at + take;
            end[i] = (uint32_t)at;
        }
        find_init(&f, pick_needle(text, buf));
        f.portable = f.portable || rnd() % 4 == 0;
        find_lines(&f, text, end, lines, bits);
        for (size_t i = 0; i < lines; i++) {
            size_t start = i == 0 ? 0 : end[i - 1];
            struct str line = {p + start, end[i] - start};
            bool want = naive(line, f.needle, 0) != SIZE_MAX;
            assert_int_equal((bits[0] >> i & 1) != 0, want);
        }
        free(p);
    }
}

static void no_text_is_no_trouble(void **state)
{
    struct find f;
    uint32_t end[1] = {0};
    uint64_t bits[1] = {0};

    (void)state;
    find_init(&f, STR("x"));
    assert_int_equal(find_next(&f, STR_NULL, 0), SIZE_MAX);
    find_lines(&f, STR_NULL, end, 1, bits);
    assert_int_equal(bits[0], 0);
    find_init(&f, STR(""));
    assert_int_equal(find_next(&f, STR_NULL, 0), 0);
    find_lines(&f, STR_NULL, end, 1, bits);
    assert_int_equal(bits[0], 1);
}

static void ended_lines_are_those_of_a_naive_search(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4000; round++) {
        size_t n = rnd() % TEXT_MAX + 1;
        char *p = make_text(n);
        struct str text = {p, n};
        uint64_t got[TEXT_MAX / 64 + 1] = {0};
        uint64_t want[TEXT_MAX / 64 + 1] = {0};
        size_t lines = 0;
        char buf[64];
        struct find f;
        p[n - 1] = '\n';
        find_init(&f, pick_needle(text, buf));
        f.portable = f.portable || rnd() % 4 == 0;
        for (size_t from = 0; from < n; lines++) {
            size_t to = (size_t)((char *)memchr(p + from, '\n', n - from) - p);
            struct str line = {p + from, to - from};
            if (f.needle.n > 0 && naive(line, f.needle, 0) != SIZE_MAX)
                want[lines / 64] |= UINT64_C(1) << (lines % 64);
            from = to + 1;
        }
        find_ended(&f, text, lines, got);
        assert_memory_equal(got, want, sizeof(got));
        free(p);
    }
}

CHECK_MAIN(cmocka_unit_test(ended_lines_are_those_of_a_naive_search),
           cmocka_unit_test(finds_what_a_naive_search_finds),
           cmocka_unit_test(finds_letters_in_either_case),
           cmocka_unit_test(marks_the_lines_that_hold_the_needle),
           cmocka_unit_test(no_text_is_no_trouble))
