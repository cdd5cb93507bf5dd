/* storage/merkle.c against the tree hashes that RFC 6962 implementations share, and against a naive
 * tree. */
#include "storage/merkle.h"

#include "storage/crypt.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

enum { VECTORS = 8, MAX_LEAVES = 64 };

/* The eight leaves and the roots of trees over the first 1..8 of them, as published with the
 * reference implementation of certificate transparency. */
static const struct {
    const char *data;
    size_t n;
    const char *root;
} VECTOR[VECTORS] = {
    {"", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"\x00", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"\x30\x31", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"\x40\x41\x42\x43", 4, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"\x50\x51\x52\x53\x54\x55\x56\x57", 8,
     "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16,
     "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static void check_hash(const struct merkle_hash *h, const char *hex)
{
    char text[2 * MERKLE_HASH + 1];

    for (size_t i = 0; i < MERKLE_HASH; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", h->b[i]);
    assert_string_equal(text, hex);
}

static void roots_are_those_of_rfc_6962(void **state)
{
    struct merkle_hash leaf[VECTORS] = {0};
    struct merkle_hash root = merkle_root(leaf, 0);

    (void)state;
    check_hash(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < VECTORS; i++) {
        leaf[i] = merkle_leaf((struct str){VECTOR[i].data, VECTOR[i].n});
        root = merkle_root(leaf, i + 1);
        check_hash(&root, VECTOR[i].root);
    }
}

/* The definition, word for word. */
static struct merkle_hash naive_root(const struct merkle_hash *leaf, size_t n)
{
    struct merkle_hash left;
    struct merkle_hash right;
    size_t k = 1;

    if (n == 1)
        return leaf[0];
    while (2 * k < n)
        k *= 2;
    left = naive_root(leaf, k);
    right = naive_root(leaf + k, n - k);
    return merkle_node(&left, &right);
}

static void fill(struct merkle_hash *leaf, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char text[16];
        int len = snprintf(text, sizeof(text), "leaf %zu", i);
        leaf[i] = merkle_leaf((struct str){text, (size_t)len});
    }
}

static void every_leaf_of_every_tree_has_a_path(void **state)
{
    struct merkle_hash leaf[MAX_LEAVES];
    struct merkle_hash path[MERKLE_PATH_MAX];

    (void)state;
    fill(leaf, MAX_LEAVES);
    for (size_t n = 1; n <= MAX_LEAVES; n++) {
        struct merkle_hash root = naive_root(leaf, n);
        struct merkle_hash made = merkle_root(leaf, n);
        assert_memory_equal(made.b, root.b, MERKLE_HASH);
        for (size_t i = 0; i < n; i++) {
            unsigned len = merkle_path(leaf, n, i, path);
            assert_true(merkle_path_ok(&leaf[i], i, n, path, len, &root));
            for (size_t j = 0; j <= n; j++) /* and proves no other place */
                assert_int_equal(merkle_path_ok(&leaf[i], j, n, path, len, &root), j == i);
        }
    }
}

static void a_wrong_path_proves_nothing(void **state)
{
    struct merkle_hash leaf[MAX_LEAVES];
    struct merkle_hash path[MERKLE_PATH_MAX + 1] = {0};

    (void)state;
    fill(leaf, MAX_LEAVES);
    for (size_t n = 2; n <= MAX_LEAVES; n += 7) {
        struct merkle_hash root = merkle_root(leaf, n);
        size_t i = n / 3;
        unsigned len = merkle_path(leaf, n, i, path);
        assert_false(merkle_path_ok(&leaf[i], i, n, path, len - 1, &root));
        assert_false(merkle_path_ok(&leaf[i], i, n, path, len + 1, &root));
        assert_false(merkle_path_ok(&leaf[i], i, 0, path, len, &root));
        assert_false(merkle_path_ok(&leaf[i], i, UINT64_MAX, path, len, &root));
        for (unsigned k = 0; k < len; k++) {
            path[k].b[k % MERKLE_HASH] ^= 1;
            assert_false(merkle_path_ok(&leaf[i], i, n, path, len, &root));
            path[k].b[k % MERKLE_HASH] ^= 1;
        }
        root.b[31] ^= 0x80;
        assert_false(merkle_path_ok(&leaf[i], i, n, path, len, &root));
    }
}

CHECK_MAIN(cmocka_unit_test(roots_are_those_of_rfc_6962),
           cmocka_unit_test(every_leaf_of_every_tree_has_a_path),
           cmocka_unit_test(a_wrong_path_proves_nothing))
