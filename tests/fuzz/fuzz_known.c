/*
 * Fuzz target: collector/known loads any bytes, and goes on with what it found.  The checksums of
 * lines that have room for one are set right first, else nothing behind them would ever be reached.
 */
#include "collector/known.h"

#include "base/crc.h"
#include "base/file.h"
#include "base/obj.h"
#include "tests/fuzz/scratch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX = 64 << 10, SUM = 9 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set_sums(char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        const char *nl = memchr(bytes + at, '\n', size - at);
        size_t end = nl == NULL ? size : (size_t)(nl - bytes);
        char sum[SUM + 1];
        if (end - at > SUM) {
            (void)snprintf(sum, sizeof(sum), "%08" PRIx32 " ",
                           crc32c(0, bytes + at + SUM, end - at - SUM));
            memcpy(bytes + at, sum, SUM);
        }
        at = end + 1;
    }
}

static void use(struct known *k)
{
    static const char *const KEYS[] = {"a", "b", "/var/log/x.log"};
    struct meta m = {.name = STR("web"), .image = STR("nginx"), .has_hints = true}, found;
    struct arena *a = arena_new(NULL, 1 << 17);

    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
        if (known_get(k, str_of(KEYS[i]), a, &found))
            INVARIANT(found.has_hints);
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++)
        known_put(k, str_of(KEYS[i]), &m);
    INVARIANT(known_get(k, STR("b"), a, &found) && str_eq(found.name, STR("web")));
    INVARIANT(known_count(k) >= 3 && known_count(k) <= KNOWN_MAX);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int dir = scratch_dir();
    struct known *k;
    size_t n;
    struct err err;
    char *bytes;

    if (size > MAX)
        return 0;
    bytes = malloc(size + 1);
    if (bytes == NULL)
        return 0;
    memcpy(bytes, data, size);
    set_sums(bytes, size);
    if (file_replace(dir, KNOWN_FILE, 0600, (struct str){bytes, size}, &err) < 0)
        abort();
    k = known_open(dir);
    use(k);
    n = known_count(k);
    known_close(&k);
    k = known_open(dir); /* what we wrote ourselves */
    INVARIANT(known_count(k) == n);
    known_close(&k);
    free(bytes);
    return 0;
}
