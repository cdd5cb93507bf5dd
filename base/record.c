/*
 * base/record.c - see record.h.
 *
 * Arrays double inside the arena and leave their old copy behind: a batch lives shortly, and one
 * release frees it whole.
 */
#include "base/record.h"

#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_STREAMS = 4, FIRST_RECORDS = 64, FIRST_PARTS = 4 };

struct batch *batch_new(struct mem_budget *budget, size_t max_bytes)
{
    struct batch *b = mem_new(sizeof(*b));

    b->magic = BATCH_MAGIC;
    b->arena = arena_new(budget, max_bytes);
    atomic_init(&b->refs, 1);
    return b;
}

struct batch *batch_ref(struct batch *b)
{
    OBJ_CHECK(b, BATCH_MAGIC);
    (void)atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void batch_unref(struct batch **pb)
{
    struct batch *b = *pb;

    if (b == NULL)
        return;
    OBJ_CHECK(b, BATCH_MAGIC);
    *pb = NULL;
    if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    arena_free(&b->arena);
    b->magic = 0;
    free(b);
}

/* Room for one more item of `size` bytes behind the `n` at `v`; NULL when the arena is full. */
static void *grown(struct batch *b, void *v, size_t size, uint32_t n, uint32_t *cap)
{
    uint32_t want = *cap * 2;
    void *wider;

    if (*cap > UINT32_MAX / 2)
        want = UINT32_MAX;
    wider = n == UINT32_MAX ? NULL : arena_alloc(b->arena, want * size);
    if (wider == NULL)
        return NULL;
    if (n > 0)
        memcpy(wider, v, n * size);
    *cap = want;
    return wider;
}

static uint32_t first_cap(uint32_t cap, uint32_t first)
{
    return cap == 0 ? first / 2 : cap; /* grown() doubles it */
}

/* ---- streams: found again by hash in `slots` (index + 1; 0 is free), at most half full ---- */

static uint32_t *slot_of(const struct batch *b, const struct labels *l, struct hash128 h)
{
    uint32_t mask = b->n_slots - 1;
    uint32_t i = (uint32_t)h.lo & mask;

    for (; b->slots[i] != 0; i = (i + 1) & mask) {
        uint32_t at = b->slots[i] - 1;
        if (b->hashes[at].lo == h.lo && b->hashes[at].hi == h.hi &&
            labels_equal(&b->streams[at], l))
            break;
    }
    return &b->slots[i];
}

static bool grow_slots(struct batch *b)
{
    uint32_t n = b->n_slots == 0 ? 2 * FIRST_STREAMS : b->n_slots * 2;
    uint32_t *slots = arena_alloc(b->arena, n * sizeof(*slots));

    if (slots == NULL)
        return false;
    b->slots = slots;
    b->n_slots = n;
    for (uint32_t i = 0; i < b->n_streams; i++) {
        uint32_t at = (uint32_t)b->hashes[i].lo & (n - 1);
        while (slots[at] != 0)
            at = (at + 1) & (n - 1);
        slots[at] = i + 1;
    }
    return true;
}

static bool grow_streams(struct batch *b)
{
    uint32_t cap = first_cap(b->cap_streams, FIRST_STREAMS);
    uint32_t same = cap;
    struct labels *streams;
    struct hash128 *hashes;

    if (b->n_streams < b->cap_streams)
        return true;
    if (b->n_streams >= UINT32_MAX / 8)
        return false;
    streams = grown(b, b->streams, sizeof(*streams), b->n_streams, &cap);
    if (streams == NULL)
        return false;
    hashes = grown(b, b->hashes, sizeof(*hashes), b->n_streams, &same);
    if (hashes == NULL)
        return false;
    b->streams = streams;
    b->hashes = hashes;
    b->cap_streams = cap;
    return true;
}

int batch_stream(struct batch *b, const struct labels *l, uint32_t *ret, struct err *err)
{
    struct hash128 h;
    struct labels copy;
    uint32_t *slot;
    int r;

    OBJ_CHECK(b, BATCH_MAGIC);
    h = labels_hash(l);
    if (b->n_slots > 0) {
        slot = slot_of(b, l, h);
        if (*slot != 0) {
            *ret = *slot - 1;
            return 0;
        }
    }
    if (!grow_streams(b) || (b->n_slots < 2 * (b->n_streams + 1) && !grow_slots(b)))
        return arena_err(b->arena, err);
    r = labels_copy(b->arena, l, &copy, err);
    if (r < 0)
        return r;
    slot = slot_of(b, l, h);
    b->streams[b->n_streams] = copy;
    b->hashes[b->n_streams] = h;
    *ret = b->n_streams++;
    *slot = b->n_streams;
    return 0;
}

/* ---- records and parts ---- */

int batch_add(struct batch *b, const struct record *rec, struct err *err)
{
    uint32_t cap;
    struct record *records;

    OBJ_CHECK(b, BATCH_MAGIC);
    INVARIANT(rec->stream < b->n_streams);
    cap = first_cap(b->cap_records, FIRST_RECORDS);
    if (b->n_records == b->cap_records) {
        records = grown(b, b->records, sizeof(*records), b->n_records, &cap);
        if (records == NULL)
            return arena_err(b->arena, err);
        b->records = records;
        b->cap_records = cap;
    }
    if (b->n_records == 0 || rec->ts < b->min_ts)
        b->min_ts = rec->ts;
    if (b->n_records == 0 || rec->ts > b->max_ts)
        b->max_ts = rec->ts;
    b->line_bytes += rec->line.n;
    b->records[b->n_records++] = *rec;
    return 0;
}

int batch_add_part(struct batch *b, const struct record_part *part, struct err *err)
{
    uint32_t cap;
    struct record_part *parts;
    struct str id;

    OBJ_CHECK(b, BATCH_MAGIC);
    if (part->file_id.n > RECORD_FILE_ID_MAX)
        return err_set(err, ERR_LIMIT, "file id of %zu bytes", part->file_id.n);
    if (b->n_parts == b->cap_parts) {
        cap = first_cap(b->cap_parts, FIRST_PARTS);
        parts = grown(b, b->parts, sizeof(*parts), b->n_parts, &cap);
        if (parts == NULL)
            return arena_err(b->arena, err);
        b->parts = parts;
        b->cap_parts = cap;
    }
    id = arena_str(b->arena, part->file_id);
    if (id.p == NULL)
        return arena_err(b->arena, err);
    b->parts[b->n_parts] = *part;
    b->parts[b->n_parts++].file_id = id;
    return 0;
}

size_t batch_held(const struct batch *b)
{
    OBJ_CHECK(b, BATCH_MAGIC);
    return sizeof(*b) + arena_held(b->arena);
}
