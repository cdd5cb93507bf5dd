/*
 * storage/store_decide.c - what becomes of a request, before anything is written.  Contract:
 * store_internal.h.
 *
 * A part is measured against three disjoint sets together: what is stored, what earlier requests of
 * the group under way will have stored, and what earlier parts of the same request bring.  Nothing
 * is taken back when a request is refused or a group fails: its own set is just forgotten.
 *
 * Invariants
 *   (1) a byte of a file is in at most one of the three sets;
 *   (2) `stored` changes only when the group that brought a range is durable.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"

enum { OVERLAPS_MAX = 100000 };

static int check_part(const struct store_append *a, const struct record_part *p, uint32_t *next,
                      struct err *err)
{
    const struct batch *b = a->batch;

    if (p->file_id.n > RECORD_FILE_ID_MAX)
        return err_set(err, ERR_INVALID, "a file id has %zu bytes", p->file_id.n);
    if (p->start > p->end || (p->start == p->end && p->count != 0))
        return err_set(err, ERR_INVALID, "records of a part without a range");
    if (p->count == 0)
        return 0;
    if (p->first < *next || p->first > b->n_records || p->count > b->n_records - p->first)
        return err_set(err, ERR_INVALID, "the parts of a chunk do not follow each other");
    *next = p->first + p->count;
    return 0;
}

static int check_request(const struct store_append *a, struct err *err)
{
    const struct store_payload *p = &a->payload;
    uint32_t next = 0;
    int r = 0;

    if (p->tenant.n == 0 || p->tenant.n > STORE_TENANT_MAX)
        return err_set(err, ERR_INVALID, "a tenant's name has %zu bytes", p->tenant.n);
    if (p->peer.n > RANGES_PEER_MAX)
        return err_set(err, ERR_INVALID, "a peer's name has %zu bytes", p->peer.n);
    if (p->decided.n > WAL_ENTRY_DECIDED_MAX)
        return err_set(err, ERR_LIMIT, "decisions of %zu bytes are too long", p->decided.n);
    if (a->batch->n_parts > WAL_ENTRY_PARTS_MAX)
        return err_set(err, ERR_LIMIT, "a chunk of %u parts", (unsigned)a->batch->n_parts);
    if (p->bytes.n > WAL_BODY_MAX - (16 << 20)) /* the rest is decisions and parts */
        return err_set(err, ERR_LIMIT, "a chunk of %zu bytes is too large", p->bytes.n);
    for (uint32_t i = 0; r == 0 && i < a->batch->n_parts; i++)
        r = check_part(a, &a->batch->parts[i], &next, err);
    return r;
}

/* Of [start, end) what none of the sets has, to those of the request; keeps (1). */
static void add_new(struct store *s, struct str key, uint64_t start, uint64_t end)
{
    const struct ranges *sets[] = {s->ranges, s->pending_ranges, s->chunk_ranges};
    uint64_t at = start;

    while (at < end) {
        uint64_t have = at, lack = end;
        for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
            uint64_t until = ranges_have_until(sets[i], key, at, end);
            have = until > have ? until : have;
            until = ranges_lack_until(sets[i], key, at, end);
            lack = until < lack ? until : lack;
        }
        if (have == at)
            ranges_add(s->chunk_ranges, key, at, lack);
        at = have > at ? have : lack;
    }
}

/* Another server may have it, too: it is remembered as long as there is room for that. */
static void note_overlap(struct store *s, struct str peer, const struct record_part *p)
{
    struct ranges_key name;
    struct str key;
    struct err full;

    INVARIANT(ranges_key_overlap(peer, p->file_id, &name)); /* as decide_part */
    key = (struct str){name.bytes, name.n};
    if (ranges_overlap_count(s->ranges) + ranges_overlap_count(s->pending_ranges) +
                ranges_overlap_count(s->chunk_ranges) >=
            OVERLAPS_MAX ||
        ranges_may_add(s->ranges, key, &full) < 0) {
        s->stats.overlaps_dropped++;
        return;
    }
    ranges_add(s->chunk_ranges, key, p->start, p->end);
}

/* Is the part new, stored before (then it is marked), or neither?  One that is neither is refused,
 * because nobody can say which of its records are new; unless its sender takes that upon itself. */
static int decide_part(struct store *s, struct str peer, struct record_part *p, uint64_t *twice,
                       struct err *err)
{
    struct ranges_key name;
    struct str key;
    uint64_t have;
    int r;

    if (p->start == p->end)
        return 0;
    INVARIANT(ranges_key_make(peer, p->file_id, &name)); /* check_request looked at the lengths */
    key = (struct str){name.bytes, name.n};
    have = ranges_covered(s->ranges, key, p->start, p->end) +
           ranges_covered(s->pending_ranges, key, p->start, p->end) +
           ranges_covered(s->chunk_ranges, key, p->start, p->end);
    if (have == p->end - p->start) {
        p->dropped = true;
        return 0;
    }
    if (have != 0 && !p->maybe_twice)
        return err_set(
            err, ERR_EXISTS, "bytes %llu to %llu of a file overlap what is stored by %llu bytes",
            (unsigned long long)p->start, (unsigned long long)p->end, (unsigned long long)have);
    r = ranges_may_add(s->ranges, key, err);
    if (r == 0)
        add_new(s, key, p->start, p->end);
    if (r == 0 && p->maybe_twice)
        note_overlap(s, peer, p);
    if (r == 0)
        *twice += have;
    return r;
}

void store_decide_compact(struct batch *b)
{
    uint32_t from = 0;
    uint32_t to = 0;

    for (uint32_t i = 0; i <= b->n_parts; i++) {
        struct record_part *p = i < b->n_parts ? &b->parts[i] : NULL;
        uint32_t start = p == NULL ? b->n_records : p->first;
        if (p != NULL && p->count == 0)
            continue;
        while (from < start)
            b->records[to++] = b->records[from++];
        if (p == NULL)
            break;
        p->first = to;
        if (p->dropped) {
            from += p->count;
            p->count = 0;
        }
        for (uint32_t n = 0; n < p->count; n++)
            b->records[to++] = b->records[from++];
    }
    b->n_records = to;
    b->line_bytes = 0;
    for (uint32_t i = 0; i < b->n_records; i++) {
        ts_ns ts = b->records[i].ts;
        b->min_ts = i == 0 || ts < b->min_ts ? ts : b->min_ts;
        b->max_ts = i == 0 || ts > b->max_ts ? ts : b->max_ts;
        b->line_bytes += b->records[i].line.n;
    }
}

void store_decide_number(struct batch *b, uint64_t first_seq)
{
    for (uint32_t i = 0; i < b->n_records; i++)
        b->records[i].seq = first_seq + i;
}

/* As decide_part of part `i`, or it is refused alone: then its records do not count, and nothing is
 * remembered of it.  So it is on the disk, too: what is dropped there has no range. */
static int decide_part_of(struct store *s, struct store_append *a, uint32_t i, uint64_t *twice,
                          struct err *err)
{
    struct record_part *p = &a->batch->parts[i];
    int r = 0;

    if (a->refused == NULL || !a->refused[i])
        r = decide_part(s, a->payload.peer, p, twice, err);
    if (a->refused == NULL || (r < 0 && r != ERR_LIMIT))
        return r;
    a->refused[i] = a->refused[i] || r == ERR_LIMIT;
    p->dropped = p->dropped || a->refused[i];
    return 0;
}

/* Under mutex: other threads write ranges out meanwhile. */
static enum store_outcome decide(struct store *s, struct store_append *a, uint8_t *key,
                                 uint32_t *dropped, struct err *err)
{
    struct store_tenant *t;
    uint64_t twice = 0;

    if (a->dedup.n != 0 && (dedup_has(s->dedup, key) || dedup_has(s->pending_dedup, key)))
        return STORE_DUPLICATE;
    for (uint32_t i = 0; i < a->batch->n_parts; i++) {
        if (decide_part_of(s, a, i, &twice, err) < 0)
            return STORE_REFUSED;
        *dropped += a->batch->parts[i].dropped ? 1 : 0;
    }
    if (*dropped != 0 && *dropped == a->batch->n_parts)
        return STORE_DUPLICATE;
    if (store_tenant_need(s, a->payload.tenant, &t, err) < 0)
        return err->code == ERR_LIMIT ? STORE_REFUSED : STORE_FAILED;
    s->stats.twice_bytes += twice;
    return STORE_STORED;
}

/* Under mutex: of `dropped` parts, those that were stored before and those that are refused. */
static void count_parts(struct store *s, const struct store_append *a, enum store_outcome out,
                        uint32_t dropped)
{
    uint32_t refused = 0;

    if (out != STORE_STORED && out != STORE_DUPLICATE)
        return;
    for (uint32_t i = 0; a->refused != NULL && i < a->batch->n_parts; i++)
        refused += a->refused[i] ? 1 : 0;
    s->stats.refused_parts += refused;
    s->stats.duplicate_parts += dropped - refused;
}

enum store_outcome store_decide(struct store *s, struct store_append *a, struct err *err)
{
    struct dedup_entry e = {.when = a->payload.received};
    enum store_outcome out = STORE_REFUSED;
    uint32_t dropped = 0;

    if (a->dedup.n != 0)
        dedup_key(a->dedup, e.key);
    if (check_request(a, err) == 0) {
        (void)pthread_mutex_lock(&s->mutex);
        out = decide(s, a, e.key, &dropped, err);
        count_parts(s, a, out, dropped);
        s->stats.duplicate_chunks += out == STORE_DUPLICATE ? 1 : 0;
        s->stats.refused_chunks += out == STORE_REFUSED ? 1 : 0;
        (void)pthread_mutex_unlock(&s->mutex);
    }
    if (out == STORE_STORED) {
        ranges_merge(s->pending_ranges, s->chunk_ranges, 0);
        if (a->dedup.n != 0)
            dedup_add(s->pending_dedup, &e);
        if (dropped != 0)
            store_decide_compact(a->batch);
        a->first_seq = s->next_seq;
        store_decide_number(a->batch, a->first_seq);
        s->next_seq += a->batch->n_records;
    }
    ranges_clear(s->chunk_ranges);
    return out;
}

void store_decide_settle(struct store *s, bool stored)
{
    size_t n;
    struct dedup_entry *e;

    if (stored) {
        ranges_merge(s->ranges, s->pending_ranges, atomic_load(&s->last_received)); /* keeps (2) */
        e = dedup_since(s->pending_dedup, 0, &n);
        for (size_t i = 0; i < n; i++)
            dedup_add(s->dedup, &e[i]);
        free(e);
    }
    ranges_clear(s->pending_ranges);
    dedup_clear(s->pending_dedup);
}
