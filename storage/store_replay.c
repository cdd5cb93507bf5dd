/*
 * storage/store_replay.c - what a store knew, made again from meta.db and from what was decided
 * about the bodies of the WAL, before it is open.  Contract: store_internal.h.
 *
 * From then on new chunks are decided right and taken; the records come back behind it
 * (store_refill.c).
 *
 * Invariants
 *   (1) nothing at or before meta.db's position is taken from the WAL, everything behind it is:
 *       ranges and chunk identities are as they were at the end of the WAL when the store is open;
 *   (2) numbers only grow: a body whose records have numbers seen before is void.
 */
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"

#include <inttypes.h>
#include <string.h>

/* ---- meta.db ---- */

static int load_tenant(void *arg, const struct meta_tenant *t, struct err *err)
{
    return store_tenant_add(arg, t->name, t->id, true, err);
}

static int load_partition(void *arg, const struct meta_partition *p, struct err *err)
{
    (void)err;
    store_tenant_set_day(arg, p);
    return 0;
}

static int load_ranges(void *arg, const struct ranges_row *row, struct err *err)
{
    struct store *s = arg;

    return ranges_load(s->ranges, row, err);
}

static int load_dedup(void *arg, uint64_t number, const struct dedup_entry *e, struct err *err)
{
    struct store *s = arg;

    if (dedup_first(s->dedup) == dedup_next(s->dedup))
        dedup_start_at(s->dedup, number);
    if (number != dedup_next(s->dedup))
        return err_set(err, ERR_CORRUPT, "chunk identity %" PRIu64 " is out of order", number);
    dedup_add(s->dedup, e);
    return 0;
}

static int load_late(void *arg, const struct meta_late *l, struct err *err)
{
    struct store *s = arg;

    (void)err;
    late_add_day(&s->late, l->tenant_id, l->day, l->pos);
    return 0;
}

static void saw_received(struct store *s, ts_ns t)
{
    if (t > atomic_load(&s->last_received))
        atomic_store(&s->last_received, t);
}

int store_replay_load(struct store *s, struct err *err)
{
    const struct meta_loader loader = {s,           load_tenant, load_partition,
                                       load_ranges, load_dedup,  load_late};
    struct meta_progress p;
    int r;

    r = meta_load(s->meta, &loader, &p, err);
    if (r < 0)
        return r;
    s->dedup_saved = dedup_next(s->dedup);
    s->durable_pos = s->visible = p.wal_pos;
    s->last_seq = p.last_seq;
    saw_received(s, p.last_received);
    return 0;
}

/* ---- the WAL ---- */

/* Ranges and identity of an entry. */
static void take_decisions(struct store *s, const struct wal_entry *e)
{
    struct str rest = e->parts;
    struct record_part part;

    while (wal_entry_part(&rest, &part) == 0) {
        struct ranges_key key;
        if (part.dropped || part.start >= part.end ||
            !ranges_key_make(e->payload.peer, part.file_id, &key))
            continue;
        ranges_add(s->ranges, (struct str){key.bytes, key.n}, part.start, part.end);
        ranges_touch(s->ranges, (struct str){key.bytes, key.n}, e->payload.received);
        if (!part.maybe_twice || !ranges_key_overlap(e->payload.peer, part.file_id, &key))
            continue;
        ranges_add(s->ranges, (struct str){key.bytes, key.n}, part.start, part.end);
        ranges_touch(s->ranges, (struct str){key.bytes, key.n}, e->payload.received);
    }
    if (e->has_dedup) {
        struct dedup_entry d = {.when = e->payload.received};
        memcpy(d.key, e->dedup, DEDUP_KEY);
        dedup_add(s->dedup, &d);
    }
}

/* First pass: what was decided about a body. */
static int decide_entry(struct store *s, const struct wal_body *body, struct err *err)
{
    struct wal_entry e;
    int r = wal_entry_read(body->bytes, &e, err);

    if (r < 0)
        return r;
    if (body->position <= s->visible || (e.n_records != 0 && e.first_seq <= s->last_seq))
        return 0; /* keeps (1), (2) */
    r = store_tenant_add(s, e.payload.tenant, e.tenant_id, false, err);
    if (r < 0)
        return r;
    take_decisions(s, &e);
    saw_received(s, e.payload.received);
    if (e.n_records != 0)
        s->last_seq = e.first_seq + e.n_records - 1;
    return 0;
}

static int decide_body(void *arg, const struct wal_body *body, struct err *err)
{
    struct store *s = arg;

    int r;

    if (body->gap) {
        store_gap_note(s, body);
        return 0;
    }
    r = store_gap_give_up(s, body, decide_entry(s, body, err), err);
    if (r == 1)
        VEC_PUSH(&s->void_bodies, body->position); /* its records do not come back either */
    return r < 0 ? r : 0;
}

int store_replay_wal(struct store *s, struct err *err)
{
    struct wal_stats st;
    int r;

    s->replay_began = time_mono();
    s->replay_seq = s->last_seq;
    s->replay_from = s->visible;
    s->replay_pos = late_floor(&s->late, s->visible);
    r = wal_replay(s->wal, decide_body, s, err);
    if (r < 0)
        return r;
    wal_stats(s->wal, &st);
    s->replaying = st.past_bytes != 0;
    if (wal_position(s->wal) > s->durable_pos)
        s->durable_pos = wal_position(s->wal);
    s->next_seq = s->last_seq + 1;
    return 0;
}
