/* Fuzz target: collector/decode_cri and join, a file's bytes as lines of two streams. */
#include "collector/join.h"

#include "base/obj.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = 256};
    struct join_limits limits = {.max_line = 64, .budget = &budget};
    struct str rest = {(const char *)data, size};
    struct decoder d;
    struct join j;
    uint64_t at = 0;

    memset(&j, 0, sizeof(j));
    decoder_init(&d);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        struct join_segment seg = {.start = at, .end = at + line.n + 1};
        struct join_record rec;
        struct piece p;
        at = seg.end;
        if (!decode_cri(&d, line, &p))
            continue;
        INVARIANT(p.text.n == 0 || (p.text.p >= line.p && p.text.p + p.text.n == line.p + line.n));
        if (join_add(&j, &p, &seg, 0, &limits, &rec) == 1)
            continue;
        INVARIANT(rec.text.n <= limits.max_line && rec.text.n <= rec.total);
        join_done(&j, p.stream, &limits);
    }
    join_fini(&j, &limits);
    INVARIANT(budget.used == 0);
    decoder_fini(&d);
    return 0;
}
