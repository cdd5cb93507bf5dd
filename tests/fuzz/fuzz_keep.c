/*
 * Fuzz target: collector/keep_format, and collector/keep reading a file of any bytes.  Checksums of
 * heads are set right first, else nothing behind them would ever be reached.
 */
#include "collector/keep.h"

#include "base/crc.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/le.h"
#include "tests/fuzz/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX = 64 << 10, INCARNATION = 1, NO = 1 };
#define FILE_NAME "keep/0000000000000001-0000000000000001.lqk"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void seal(uint8_t *p, size_t n)
{
    le_put(p, crc32c(0, p + 4, n - 4), 4);
}

/* Right checksums along the lengths that the frames state; every other frame's content stays as it
 * is. */
static void mend(uint8_t *p, size_t size)
{
    size_t at = KEEP_HEAD_BYTES;

    if (size < KEEP_HEAD_BYTES)
        return;
    le_put(p + 16, INCARNATION, 8);
    le_put(p + 24, NO, 8);
    seal(p, KEEP_HEAD_BYTES);
    for (unsigned i = 0; size - at >= KEEP_FRAME_BYTES; i++) {
        uint64_t stored = le_get(p + at + 12, 4);
        if (stored > size - at - KEEP_FRAME_BYTES)
            stored = size - at - KEEP_FRAME_BYTES;
        if (i % 2 == 0)
            le_put(p + at + 24, crc32c(0, p + at + KEEP_FRAME_BYTES, stored), 4);
        seal(p + at, KEEP_FRAME_BYTES);
        at += KEEP_FRAME_BYTES + stored;
    }
}

static void take(void *arg, const struct keep_head *head, const struct keep_names *names)
{
    size_t *n = arg;

    *n += head->start + names->path.n;
    for (size_t i = 0; i < names->labels.n; i++)
        *n += names->labels.v[i].value.n;
}

static void use(struct keep *k)
{
    struct keep_reader *r;
    struct err err;
    size_t n = 0;
    char *p;

    (void)keep_each(k, take, &n, &err);
    if (keep_read(k, NO, n % 3 == 0 ? UINT64_MAX : 0, &r, &err) < 0)
        return;
    p = mem_new(KEEP_RAW_MAX);
    INVARIANT(keep_reader_start(r) <= keep_reader_end(r));
    for (uint64_t at = keep_reader_start(r); at < keep_reader_end(r);) {
        ssize_t got = keep_reader_read(r, p, KEEP_RAW_MAX, at);
        if (got <= 0)
            break;
        at += (uint64_t)got;
    }
    free(p);
    keep_reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int dir = scratch_dir();
    struct keep *k = NULL;
    struct arena *a;
    struct keep_names names;
    struct err err;
    uint8_t *bytes;

    if (size > MAX)
        return 0;
    bytes = mem_new(size + 1);
    if (size > 0)
        memcpy(bytes, data, size);
    a = arena_new(NULL, 1 << 20);
    (void)keep_parse_names((struct str){(const char *)bytes, size}, a, &names, &err);
    arena_free(&a);
    mend(bytes, size);
    if (keep_open(dir, INCARNATION, &k, &err) < 0 ||
        file_replace(dir, FILE_NAME, 0600, (struct str){(const char *)bytes, size}, &err) < 0)
        abort();
    use(k);
    keep_close(&k);
    free(bytes);
    return 0;
}
