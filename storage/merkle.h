/*
 * storage/merkle.h - Merkle trees as RFC 6962 section 2.1 has them: leaf = SHA-256(0x00 || data),
 * node = SHA-256(0x01 || left || right), the split at the largest power of two below n.
 *
 * Pure functions over arrays of leaf hashes; any thread.
 */
#ifndef LOGQ_STORAGE_MERKLE_H
#define LOGQ_STORAGE_MERKLE_H

#include "base/str.h"

#include <stdint.h>

enum {
    MERKLE_HASH = 32,
    MERKLE_PATH_MAX = 64, /* hashes in the longest proof */
};

struct merkle_hash {
    uint8_t b[MERKLE_HASH];
};

struct merkle_hash merkle_leaf(struct str data);
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right);

/* Root over n leaf hashes; n == 0 gives SHA-256 of nothing. */
struct merkle_hash merkle_root(const struct merkle_hash *leaves, uint64_t n);

/* The audit path of leaf `index` < n, from the leaf upwards; returns how many hashes were put into
 * ret. */
unsigned merkle_path(const struct merkle_hash *leaves, uint64_t n, uint64_t index,
                     struct merkle_hash ret[MERKLE_PATH_MAX]);

/* Whether `path` leads from leaf `index` of n to `root`.  All arguments may be hostile. */
bool merkle_path_ok(const struct merkle_hash *leaf, uint64_t index, uint64_t n,
                    const struct merkle_hash *path, unsigned n_path,
                    const struct merkle_hash *root);

#endif
