/* Fuzz target: podman_lists.c reads any containers.json; without root it is a user's own. */
#include "collector/podman_lists.h"

#include "base/file.h"
#include "base/obj.h"
#include "base/record.h"
#include "tests/fuzz/scratch.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find(struct podman_lists *l, const char *path, struct str id)
{
    struct arena *a = arena_new(NULL, 1 << 16);
    struct meta m = {.id = id};

    if (podman_lists_find(l, path, id, a, &m)) {
        INVARIANT(m.name.n > 0 && m.name.n <= RECORD_LABEL_VALUE_MAX);
        INVARIANT(m.image.n <= RECORD_LABEL_VALUE_MAX);
        INVARIANT(m.image_digest.n <= RECORD_LABEL_VALUE_MAX);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const IDS[] = {"a", "b", "0123456789abcdef"};
    int dir = scratch_dir();
    struct podman_lists *l = podman_lists_new(NULL, 0);
    char path[256];
    struct err err;

    if (file_replace(dir, "containers.json", 0600, (struct str){(const char *)data, size}, &err) <
        0)
        abort();
    (void)snprintf(path, sizeof(path), "%s/containers.json", scratch_name);
    for (size_t i = 0; i < sizeof(IDS) / sizeof(IDS[0]); i++)
        find(l, path, str_of(IDS[i]));
    podman_lists_free(&l);
    return 0;
}
