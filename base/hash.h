/* base/hash.h - non-cryptographic hashes (XXH3).  Never for anything an attacker gains from
 * colliding. */
#ifndef LOGQ_BASE_HASH_H
#define LOGQ_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);

struct hash128 {
    uint64_t lo, hi;
};
struct hash128 hash128_bytes(const void *p, size_t n);

#endif
