/* Fuzz target: oci_bundle_parse, and what is done with what it finds. */
#include "collector/oci_bundle.h"

#include "base/obj.h"
#include "base/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(NULL, 1 << 16);
    struct oci_bundle b, copy;

    if (oci_bundle_parse((struct str){(const char *)data, size}, a, &b)) {
        size_t bytes;
        void *block = oci_bundle_copy(&b, &copy, &bytes);
        INVARIANT(bytes <= 1 + 12 * RECORD_LABEL_VALUE_MAX);
        INVARIANT(str_eq(copy.meta.pod_uid, str_sub(b.meta.pod_uid, 0, RECORD_LABEL_VALUE_MAX)));
        INVARIANT(copy.is_sandbox == b.is_sandbox);
        free(block);
    }
    arena_free(&a);
    return 0;
}
