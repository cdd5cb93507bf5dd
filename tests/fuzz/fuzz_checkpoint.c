/*
 * Fuzz target: collector/checkpoint loads any bytes.  The checksums of whole records are set right
 * first, else nothing behind them would ever be reached.
 */
#include "collector/checkpoint.h"

#include "base/crc.h"
#include "base/file.h"
#include "base/obj.h"
#include "tests/fuzz/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_BYTES = 64, MAX = 64 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct checkpoint *c)
{
    struct checkpoint_chunk *chunk;
    struct checkpoint_file *f;
    struct err err;

    for (size_t i = 0; (f = checkpoint_file_at(c, i)) != NULL; i++) {
        uint64_t start, end = 0;
        INVARIANT(checkpoint_file_find(c, f->no) == f);
        for (;;) {
            checkpoint_file_hole(f, end, &start, &end);
            if (start >= end)
                break;
        }
        INVARIANT(f->planned.n == 0 || checkpoint_file_end(f) > 0);
    }
    while ((chunk = checkpoint_chunk_at(c, 0)) != NULL) {
        INVARIANT(chunk->parts.n > 0);
        checkpoint_ack(c, chunk->no);
    }
    while ((f = checkpoint_file_at(c, 0)) != NULL)
        checkpoint_file_forget(c, f); /* nothing is left unacknowledged */
    checkpoint_told(c);
    if (checkpoint_sync(c, &err) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int dir = scratch_dir();
    struct checkpoint *c = NULL;
    struct err err;
    uint8_t *bytes;

    if (size > MAX)
        return 0;
    bytes = malloc(size + 1);
    if (bytes == NULL)
        return 0;
    memcpy(bytes, data, size);
    for (size_t at = 0; at + RECORD_BYTES <= size; at += RECORD_BYTES) {
        uint32_t crc = crc32c(0, bytes + at + 4, RECORD_BYTES - 4);
        for (int i = 0; i < 4; i++)
            bytes[at + (size_t)i] = (uint8_t)(crc >> (8 * i));
    }
    if (file_replace(dir, "checkpoint", 0600, (struct str){(const char *)bytes, size}, &err) < 0)
        abort();
    if (checkpoint_open(dir, &c, &err) == 0) {
        use(c);
        checkpoint_close(&c);
        if (checkpoint_open(dir, &c, &err) < 0) /* what we wrote ourselves */
            abort();
        INVARIANT(checkpoint_renewal(c) == CHECKPOINT_SAME && checkpoint_file_at(c, 0) == NULL);
    }
    checkpoint_close(&c);
    free(bytes);
    return 0;
}
