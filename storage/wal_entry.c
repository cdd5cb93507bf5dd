/* storage/wal_entry.c - put and get of a WAL body.  Contract: wal_entry.h. */
#include "storage/wal_entry.h"

#include "storage/le.h"

#include <string.h>

enum { FIXED = 72, PART = 18, FLAG_DEDUP = 1, PART_DROPPED = 1, PART_MAYBE_TWICE = 2 };

void wal_entry_write(struct buf *b, const struct wal_entry *e)
{
    char *p = buf_room(b, FIXED);

    if (p == NULL)
        return; /* b->over says so */
    memset(p, 0, FIXED);
    le_put32(p, e->payload.kind);
    p[4] = e->has_dedup ? FLAG_DEDUP : 0;
    le_put16(p + 6, (uint16_t)e->payload.tenant.n);
    le_put64(p + 8, (uint64_t)e->payload.received);
    le_put64(p + 16, e->tenant_id);
    le_put64(p + 24, e->first_seq);
    le_put32(p + 32, e->n_records);
    le_put32(p + 36, e->n_parts);
    le_put32(p + 40, (uint32_t)e->payload.peer.n);
    le_put32(p + 44, (uint32_t)e->payload.decided.n);
    le_put64(p + 48, e->payload.bytes.n);
    memcpy(p + 56, e->dedup, DEDUP_KEY);
    b->n += FIXED;
    buf_add_str(b, e->payload.tenant);
    buf_add_str(b, e->payload.peer);
    buf_add_str(b, e->payload.decided);
}

void wal_entry_write_part(struct buf *b, const struct record_part *part)
{
    char p[PART];

    p[0] = (char)((part->dropped ? PART_DROPPED : 0) | (part->maybe_twice ? PART_MAYBE_TWICE : 0));
    p[1] = (char)part->file_id.n;
    le_put64(p + 2, part->start);
    le_put64(p + 10, part->end);
    buf_add(b, p, sizeof(p));
    buf_add_str(b, part->file_id);
}

/* Cut `n` bytes off the front of *rest; false: they are not there. */
static bool take(struct str *rest, uint64_t n, struct str *ret)
{
    if (n > rest->n)
        return false;
    *ret = str_sub(*rest, 0, (size_t)n);
    *rest = str_from(*rest, (size_t)n);
    return true;
}

int wal_entry_part(struct str *rest, struct record_part *ret)
{
    struct str fixed;

    if (rest->n == 0 || !take(rest, PART, &fixed))
        return 1;
    *ret = (struct record_part){
        .dropped = (fixed.p[0] & PART_DROPPED) != 0,
        .maybe_twice = (fixed.p[0] & PART_MAYBE_TWICE) != 0,
        .start = le_get64(fixed.p + 2),
        .end = le_get64(fixed.p + 10),
    };
    return take(rest, (uint8_t)fixed.p[1], &ret->file_id) ? 0 : 1;
}

/* The parts' bytes: cut off the front of *rest, each looked at. */
static bool take_parts(struct str *rest, uint32_t n, struct str *ret)
{
    struct str start = *rest;

    for (uint32_t i = 0; i < n; i++) {
        struct record_part part;
        if (wal_entry_part(rest, &part) != 0 || part.file_id.n > RECORD_FILE_ID_MAX ||
            part.start > part.end)
            return false;
    }
    *ret = str_sub(start, 0, start.n - rest->n);
    return true;
}

int wal_entry_read(struct str body, struct wal_entry *ret, struct err *err)
{
    struct wal_entry e = {0};
    struct str rest = body;
    struct str fixed;
    const char *p;

    if (!take(&rest, FIXED, &fixed))
        return err_set(err, ERR_CORRUPT, "a WAL body of %zu bytes is too short", body.n);
    p = fixed.p;
    e.payload.kind = le_get32(p);
    e.has_dedup = (p[4] & FLAG_DEDUP) != 0;
    e.payload.received = (ts_ns)le_get64(p + 8);
    e.tenant_id = le_get64(p + 16);
    e.first_seq = le_get64(p + 24);
    e.n_records = le_get32(p + 32);
    e.n_parts = le_get32(p + 36);
    memcpy(e.dedup, p + 56, DEDUP_KEY);
    if (!take(&rest, le_get16(p + 6), &e.payload.tenant) ||
        !take(&rest, le_get32(p + 40), &e.payload.peer) ||
        !take(&rest, le_get32(p + 44), &e.payload.decided) ||
        !take_parts(&rest, e.n_parts, &e.parts) ||
        !take(&rest, le_get64(p + 48), &e.payload.bytes) || rest.n != 0)
        return err_set(err, ERR_CORRUPT, "the lengths in a WAL body do not add up");
    *ret = e;
    return 0;
}
