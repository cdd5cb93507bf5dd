/* base/crc.h - CRC-32C (Castagnoli), the checksum of every file format here (RFC 3720, appendix
 * B.4). */
#ifndef LOGQ_BASE_CRC_H
#define LOGQ_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (start with 0) over `n` bytes.  Uses SSE4.2 where the CPU has it. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
