/*
 * storage/merkle.c - RFC 6962 tree hashes and audit paths.  Contract: merkle.h.
 *
 * The root is made with a stack of complete subtrees, one for each bit of the count, so a tree of
 * any size costs n hashes and 64 places.  A path needs the roots of the siblings on the way down,
 * which are ranges of leaves.
 */
#include "storage/merkle.h"

#include "base/obj.h"
#include "storage/crypt.h"

struct merkle_hash merkle_leaf(struct str data)
{
    static const char zero = 0x00;
    const struct str pieces[] = {{&zero, 1}, data};
    struct merkle_hash h;

    crypt_sha256(pieces, 2, h.b);
    return h;
}

struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
    static const char one = 0x01;
    const struct str pieces[] = {
        {&one, 1}, {(const char *)left->b, MERKLE_HASH}, {(const char *)right->b, MERKLE_HASH}};
    struct merkle_hash h;

    crypt_sha256(pieces, 3, h.b);
    return h;
}

struct merkle_hash merkle_root(const struct merkle_hash *leaves, uint64_t n)
{
    struct merkle_hash stack[MERKLE_PATH_MAX];
    unsigned depth = 0;
    struct merkle_hash h;

    if (n == 0) {
        crypt_sha256(NULL, 0, h.b);
        return h;
    }
    for (uint64_t i = 0; i < n; i++) {
        h = leaves[i];
        for (uint64_t full = i; full & 1; full >>= 1)
            h = merkle_node(&stack[--depth], &h);
        stack[depth++] = h;
    }
    h = stack[--depth];
    while (depth > 0)
        h = merkle_node(&stack[--depth], &h);
    return h;
}

/* The largest power of two below n, n > 1. */
static uint64_t split_of(uint64_t n)
{
    return UINT64_C(1) << (63 - __builtin_clzll(n - 1));
}

unsigned merkle_path(const struct merkle_hash *leaves, uint64_t n, uint64_t index,
                     struct merkle_hash ret[MERKLE_PATH_MAX])
{
    struct merkle_hash down[MERKLE_PATH_MAX];
    unsigned depth = 0;

    INVARIANT(index < n);
    while (n > 1) {
        uint64_t left = split_of(n);
        if (index < left) {
            down[depth++] = merkle_root(leaves + left, n - left);
            n = left;
        } else {
            down[depth++] = merkle_root(leaves, left);
            leaves += left;
            index -= left;
            n -= left;
        }
    }
    for (unsigned i = 0; i < depth; i++)
        ret[i] = down[depth - 1 - i];
    return depth;
}

bool merkle_path_ok(const struct merkle_hash *leaf, uint64_t index, uint64_t n,
                    const struct merkle_hash *path, unsigned n_path, const struct merkle_hash *root)
{
    struct merkle_hash h = *leaf;
    uint64_t last;

    if (index >= n)
        return false;
    last = n - 1;
    /* `index` and `last` climb together; where they meet, levels in which we have no right sibling
     * are skipped. */
    for (unsigned i = 0; i < n_path; i++) {
        if (last == 0)
            return false;
        if ((index & 1) != 0 || index == last) {
            h = merkle_node(&path[i], &h);
            while ((index & 1) == 0 && index != 0) {
                index >>= 1;
                last >>= 1;
            }
        } else {
            h = merkle_node(&h, &path[i]);
        }
        index >>= 1;
        last >>= 1;
    }
    return last == 0 && __builtin_memcmp(h.b, root->b, MERKLE_HASH) == 0;
}
