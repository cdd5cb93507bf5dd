/* Fuzz target: meta_docker.c reads any config.v2.json, of which a container's maker writes much. */
#include "base/file.h"
#include "base/obj.h"
#include "collector/meta.h"
#include "tests/fuzz/scratch.h"

#include <stdio.h>

enum { ARENA_BYTES = 1 << 16 }; /* as little as makes it full */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int dir = scratch_dir();
    struct arena *a = arena_new(NULL, ARENA_BYTES);
    char log[256];
    struct meta m;
    struct err err;
    int r;

    if (file_replace(dir, "config.v2.json", 0600, (struct str){(const char *)data, size}, &err) < 0)
        abort();
    (void)snprintf(log, sizeof(log), "%s/x-json.log", scratch_name);
    r = meta_docker(NULL, str_of(log), STR_NULL, a, &m);
    INVARIANT(r == 0 || r == 1);
    INVARIANT(m.has_hints == (r == 0));
    if (r == 0)
        INVARIANT(m.id.n > 0 && m.name.n > 0);
    arena_free(&a);
    return 0;
}
