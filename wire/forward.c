/*
 * wire/forward.c - limits of the Forward decoder.  Contract: forward.h.
 */
#include "wire/forward.h"

#include <string.h>

struct forward_limits forward_limits_resolve(const struct forward_limits *limits)
{
    struct forward_limits l;

    memset(&l, 0, sizeof(l));
    if (limits != NULL)
        l = *limits;
    if (l.message_bytes == 0)
        l.message_bytes = (size_t)64 << 20;
    if (l.payload_bytes == 0)
        l.payload_bytes = (size_t)256 << 20;
    if (l.depth == 0)
        l.depth = 16;
    if (l.depth > FORWARD_DEPTH_MAX)
        l.depth = FORWARD_DEPTH_MAX;
    if (l.entries == 0)
        l.entries = 1000000;
    if (l.fields == 0)
        l.fields = 1000;
    return l;
}
