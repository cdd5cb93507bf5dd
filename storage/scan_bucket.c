/* storage/scan_bucket.c - times to buckets, see scan_internal.h. */
#include "storage/scan_internal.h"

void scan_buckets_init(struct scan_buckets *b, const ts_ns *edge, size_t n_edges)
{
    uint64_t width = (uint64_t)edge[1] - (uint64_t)edge[0];

    for (size_t i = 2; i < n_edges; i++)
        if ((uint64_t)edge[i] - (uint64_t)edge[i - 1] != width)
            width = 0;
    *b = (struct scan_buckets){edge, n_edges - 1, width > INT64_MAX ? 0 : (ts_ns)width};
}

size_t scan_bucket_search(const struct scan_buckets *b, ts_ns ts)
{
    size_t low = 0;
    size_t high = b->n;

    if (b->width != 0)
        return (size_t)(((uint64_t)ts - (uint64_t)b->edge[0]) / (uint64_t)b->width);
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (b->edge[mid] <= ts)
            low = mid;
        else
            high = mid;
    }
    return low;
}
