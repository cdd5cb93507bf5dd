/* Hostile bytes as a partition's labels in short, as postings, and as a stored delete request. */
#include "storage/catalog_summary.h"
#include "storage/postings.h"
#include "storage/tombstone.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *arg, struct str text)
{
    *(size_t *)arg += text.n;
    return 0;
}

static void read_postings(struct str in)
{
    struct postings_reader r = {.in = in};
    uint32_t last = 0;
    uint32_t from, to;
    bool ok = true;

    while (postings_next(&r, &from, &to, &ok)) {
        if (from < last || to <= from || to > POSTINGS_ID_MAX)
            abort();
        last = to;
    }
}

static void read_summary(struct str in)
{
    struct matcher m;
    struct err err;
    size_t n = 0;

    (void)catalog_summary_each(in, STR(""), count, &n);
    (void)catalog_summary_each(in, STR("app"), count, &n);
    if (n > 2 * in.n)
        abort(); /* more text than there are bytes */
    if (matcher_init(&m, MATCH_EQ, STR("app"), STR("a"), &err) < 0)
        abort();
    (void)catalog_summary_may_match(in, &m, 1);
    matcher_fini(&m);
}

/* What is read is written again as it was, and reads the same. */
static void read_tombstone(struct str in)
{
    struct tombstone *t = NULL;
    struct tombstone *again = NULL;
    struct buf b;
    struct err err;

    if (tombstone_get(1, in, &t, &err) < 0)
        return;
    (void)tombstone_hits_line(t, in);
    buf_init(&b, 64 << 20);
    tombstone_put(t, tombstone_state(t), &b);
    if (tombstone_get(1, buf_str(&b), &again, &err) < 0 ||
        tombstone_seq(again) != tombstone_seq(t) || tombstone_to(again) != tombstone_to(t))
        abort();
    tombstone_unref(&again);
    tombstone_unref(&t);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = {(const char *)data, size};

    read_postings(in);
    read_summary(in);
    read_tombstone(in);
    return 0;
}
