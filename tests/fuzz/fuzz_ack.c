/*
 * tests/fuzz/fuzz_ack.c - what a server answers, as the collector reads it.
 */
#include "base/obj.h"
#include "wire/forward_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A view that points into the input, or nowhere. */
static void check_view(struct str s, struct str in)
{
    INVARIANT(s.n == 0 || (s.p >= in.p && s.n <= in.n && s.p <= in.p + in.n - s.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    struct forward_frame f = {0};
    struct forward_ack ack;
    bool refused[16];
    struct err err;
    size_t n = 0;

    if (forward_frame_scan(&f, s, NULL, &n, &err) != 0)
        n = size;
    s.n = n;
    if (forward_ack_parse(s, &ack, &err) == 0) {
        check_view(ack.token, s);
        check_view(ack.code, s);
        check_view(ack.text, s);
        forward_ack_parts(&ack, sizeof(refused) / sizeof(refused[0]), refused);
    }
    return 0;
}
