/*
 * tests/fuzz/fuzz_push_proto.c - the body of a push, protobuf, into records.
 *
 * The first byte: bit 1 labels are forced on the sender, bit 2 there is hardly any memory.
 */
#include "tests/fuzz/ingest_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct label forced[] = {{STR("site"), STR("lab")}};
    struct ingest_decided d = {.payload_bytes = 1 << 20};

    if (size == 0)
        return 0;
    if (data[0] & 2)
        d.forced = (struct labels){forced, 1};
    ingest_check(INGEST_PUSH_PROTO, &d, (struct str){(const char *)data + 1, size - 1},
                 data[0] & 4 ? 12000 : 0);
    return 0;
}
