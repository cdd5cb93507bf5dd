/* storage/wal_format.c - put and get of the WAL's two headers.  Contract: wal_format.h. */
#include "storage/wal_format.h"

#include "base/crc.h"
#include "storage/le.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 1 };

#define HEADER_MAGIC UINT32_C(0x4157514c) /* "LQWA" */

_Static_assert(56 + CRYPT_WRAPPED + 8 + 4 == WAL_HEADER, "docs/formats/wal.md");

void wal_format_header(const struct wal_header *h, char ret[WAL_HEADER])
{
    memset(ret, 0, WAL_HEADER);
    le_put32(ret, HEADER_MAGIC);
    le_put16(ret + 4, VERSION);
    le_put16(ret + 6, WAL_HEADER);
    /* 8: compatible, 12: incompatible features; none yet */
    memcpy(ret + 16, h->uuid, WAL_UUID);
    le_put64(ret + 32, h->number);
    le_put64(ret + 40, h->base);
    le_put64(ret + 48, h->after);
    memcpy(ret + 56, h->wrapped, CRYPT_WRAPPED);
    le_put32(ret + WAL_HEADER - 4, crc32c(0, ret, WAL_HEADER - 4));
}

int wal_format_parse_header(const char p[WAL_HEADER], struct wal_header *ret, struct err *err)
{
    if (le_get32(p) != HEADER_MAGIC || crc32c(0, p, WAL_HEADER - 4) != le_get32(p + WAL_HEADER - 4))
        return err_set(err, ERR_CORRUPT, "the file header is damaged");
    if (le_get16(p + 4) != VERSION || le_get16(p + 6) != WAL_HEADER || le_get32(p + 12) != 0)
        return err_set(err, ERR_INVALID, "version %u, features %x: made by another program",
                       (unsigned)le_get16(p + 4), (unsigned)le_get32(p + 12));
    memcpy(ret->uuid, p + 16, WAL_UUID);
    ret->number = le_get64(p + 32);
    ret->base = le_get64(p + 40);
    ret->after = le_get64(p + 48);
    memcpy(ret->wrapped, p + 56, CRYPT_WRAPPED);
    if (ret->after > ret->base || ret->base > UINT64_MAX / 2)
        return err_set(err, ERR_CORRUPT, "the file header has impossible positions");
    return 0;
}

void wal_format_frame(const struct wal_frame *f, char ret[WAL_FRAME])
{
    memset(ret, 0, WAL_FRAME);
    le_put32(ret, WAL_FRAME_MAGIC);
    le_put32(ret + 4, f->length);
    le_put64(ret + 8, f->number);
    le_put64(ret + 16, f->position);
    le_put64(ret + 24, f->synced);
    ret[32] = (char)f->flags;
    le_put32(ret + WAL_FRAME - 4, crc32c(0, ret, WAL_FRAME - 4));
}

bool wal_format_parse_frame(const char p[WAL_FRAME], struct wal_frame *ret)
{
    if (le_get32(p) != WAL_FRAME_MAGIC ||
        crc32c(0, p, WAL_FRAME - 4) != le_get32(p + WAL_FRAME - 4))
        return false;
    ret->length = le_get32(p + 4);
    ret->number = le_get64(p + 8);
    ret->position = le_get64(p + 16);
    ret->synced = le_get64(p + 24);
    ret->flags = (uint8_t)p[32];
    return ret->length >= CRYPT_TAG && ret->length <= WAL_CHUNK + CRYPT_TAG &&
           (ret->flags & ~(WAL_FIRST | WAL_LAST)) == 0;
}

void wal_format_name(uint64_t number, char ret[WAL_NAME + 1])
{
    (void)snprintf(ret, WAL_NAME + 1, "%016" PRIx64 ".wal", number);
}

bool wal_format_parse_name(const char *name, uint64_t *ret)
{
    uint64_t v = 0;

    if (strlen(name) != WAL_NAME || strcmp(name + 16, ".wal") != 0)
        return false;
    for (unsigned i = 0; i < 16; i++) {
        static const char DIGITS[] = "0123456789abcdef";
        const char *d = strchr(DIGITS, name[i]);
        if (d == NULL)
            return false;
        v = v << 4 | (uint64_t)(d - DIGITS);
    }
    *ret = v;
    return true;
}
