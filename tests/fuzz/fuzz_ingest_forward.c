/*
 * tests/fuzz/fuzz_ingest_forward.c - one Forward message into records.
 *
 * The first byte says who sends: bit 0 our collector (parts count), bit 1 labels are forced on him,
 * bit 2 there is hardly any memory.  Found: a Docker-like record that names `source` many times
 * wrote past the labels (docker_many_sources).
 */
#include "tests/fuzz/ingest_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct label forced[] = {{STR("host"), STR("forced")}, {STR("site"), STR("lab")}};
    struct ingest_decided d = {.host = STR("node1"), .payload_bytes = 1 << 20};

    if (size == 0)
        return 0;
    d.may_have_parts = (data[0] & 1) != 0;
    if (data[0] & 2)
        d.forced = (struct labels){forced, 2};
    ingest_check(INGEST_FORWARD, &d, (struct str){(const char *)data + 1, size - 1},
                 data[0] & 4 ? 20000 : 0);
    return 0;
}
