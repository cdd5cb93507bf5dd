/* base/hash.c - see hash.h. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(n == 0 ? "" : p, n, seed);
}

struct hash128 hash128_bytes(const void *p, size_t n)
{
    XXH128_hash_t h = XXH3_128bits(n == 0 ? "" : p, n);

    return (struct hash128){h.low64, h.high64};
}
