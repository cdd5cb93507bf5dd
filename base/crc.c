/*
 * base/crc.c - see crc.h.
 *
 * Where the CPU has no crc32 instruction, eight tables take eight bytes a step (T[k][b] is the
 * remainder of byte b followed by k zero bytes).
 */
#include "base/crc.h"

#include <pthread.h>
#include <string.h>

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b;
        for (int bit = 0; bit < 8; bit++)
            r = (r >> 1) ^ ((r & 1) != 0 ? 0x82f63b78u : 0);
        tables[0][b] = r;
    }
    for (uint32_t b = 0; b < 256; b++)
        for (int k = 1; k < 8; k++)
            tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 0xff];
}

static uint32_t crc_tables(uint32_t r, const unsigned char *p, size_t n)
{
    (void)pthread_once(&tables_once, make_tables);
    for (; n >= 8; p += 8, n -= 8) {
        uint32_t lo = r ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                           (uint32_t)p[3] << 24);
        r = tables[7][lo & 0xff] ^ tables[6][lo >> 8 & 0xff] ^ tables[5][lo >> 16 & 0xff] ^
            tables[4][lo >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^
            tables[0][p[7]];
    }
    for (; n > 0; p++, n--)
        r = (r >> 8) ^ tables[0][(r ^ *p) & 0xff];
    return r;
}

#ifdef __x86_64__
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const unsigned char *p,
                                                            size_t n)
{
    uint64_t r = crc;

    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        r = _mm_crc32_u64(r, word);
    }
    for (; n > 0; p++, n--)
        r = _mm_crc32_u8((uint32_t)r, *p);
    return (uint32_t)r;
}

static int has_sse42(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t crc_sse42(uint32_t r, const unsigned char *p, size_t n)
{
    return crc_tables(r, p, n);
}

static int has_sse42(void)
{
    return 0;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return ~(has_sse42() ? crc_sse42(~crc, p, n) : crc_tables(~crc, p, n));
}
