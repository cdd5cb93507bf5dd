/*
 * storage/store_commit.c - one group of requests: written, synced, published, answered.  Contract:
 * store_internal.h.
 *
 * Invariants
 *   (1) a request is answered STORED or DUPLICATE only after the fdatasync that made it, or what it
 *       repeats, durable: a whole group is decided first and answered last;
 *   (2) durable_pos, ranges, chunk identities and head move in one step under the mutex, so a flush
 *       always sees all of them at one position;
 *   (3) a group is durable in one WAL file chain exactly once: after a failure wal_fail makes void
 *       what the failed attempt left, then the whole group is written again.
 */
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"

#include <errno.h>
#include <stdio.h>

#define RETRY_WAIT (250 * NS_PER_MS)

/* One request into the WAL. */
static int write_one(struct store *s, struct store_append *a, struct err *err)
{
    const struct batch *b = a->batch;
    struct wal_entry e = {
        .payload = a->payload,
        .first_seq = a->first_seq,
        .n_records = b->n_records,
        .n_parts = b->n_parts,
        .has_dedup = a->dedup.n != 0,
    };
    struct str pieces[2];

    (void)pthread_mutex_lock(&s->mutex);
    e.tenant_id = store_tenant_find(s, a->payload.tenant)->id; /* store_decide made it */
    (void)pthread_mutex_unlock(&s->mutex);
    if (e.has_dedup)
        dedup_key(a->dedup, e.dedup);
    buf_clear(&s->entry);
    wal_entry_write(&s->entry, &e);
    for (uint32_t i = 0; i < b->n_parts; i++)
        wal_entry_write_part(&s->entry, &b->parts[i]);
    INVARIANT(!s->entry.over); /* its maximum follows from what store_decide lets pass */
    pieces[0] = buf_str(&s->entry);
    pieces[1] = a->payload.bytes;
    return wal_append(s->wal, pieces, 2, &a->wal_pos, err);
}

static int write_group(struct store *s, struct store_append *group, struct err *err)
{
    int r = 0;

    for (struct store_append *a = group; r == 0 && a != NULL; a = a->next)
        if (a->decided == STORE_STORED)
            r = write_one(s, a, err);
    return r == 0 ? wal_sync(s->wal, err) : r;
}

static void set_state(struct store *s, enum store_state state, const struct err *err)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->state = state;
    if (err != NULL)
        (void)snprintf(s->reason, sizeof(s->reason), "%s: %s",
                       state == STORE_FULL ? "disk full" : "the WAL cannot be written", err->text);
    store_count_full(s);
    (void)pthread_mutex_unlock(&s->mutex);
}

/* Wait until enough of the file system is free; false: the store is closing. */
static bool wait_for_room(struct store *s)
{
    bool closing = false;
    uint64_t total;
    uint64_t room;

    store_kick_flush(s); /* segments are smaller than the WAL that they let go */
    do {
        (void)pthread_mutex_lock(&s->mutex);
        if (!s->closing)
            store_wait(s, &s->wal_wake, RETRY_WAIT);
        closing = s->closing;
        (void)pthread_mutex_unlock(&s->mutex);
    } while (!closing && ballast_free(s->dir_fd, &total, &room) < s->opt.min_free);
    return !closing;
}

/* Get the group durable, however long it takes; below zero: never. */
static int make_durable(struct store *s, struct store_append *group, struct err *err)
{
    int failures = 0;
    int r;

    for (;;) {
        r = write_group(s, group, err);
        if (r == 0)
            break;
        wal_fail(s->wal); /* keeps (3) */
        if (r == ERR_IO && (err->sys == ENOSPC || err->sys == EDQUOT)) {
            set_state(s, STORE_FULL, err);
            if (!wait_for_room(s))
                return err_set(err, ERR_CANCELLED, "the store closes, its disk is full");
            failures = 0;
        } else if (++failures == 2) {
            set_state(s, STORE_BROKEN, err);
            return r;
        }
    }
    set_state(s, STORE_READY, NULL);
    return 0;
}

/* Under mutex; keeps (2). */
static void publish(struct store *s, struct store_append *group)
{
    store_decide_settle(s, true);
    for (struct store_append *a = group; a != NULL; a = a->next) {
        const struct store_tenant *t;
        if (a->decided != STORE_STORED)
            continue;
        t = store_tenant_find(s, a->payload.tenant);
        s->durable_pos = a->wal_pos;
        s->stats.records += a->batch->n_records;
        s->stats.line_bytes += a->batch->line_bytes;
        if (a->batch->n_records == 0)
            continue;
        s->last_seq = a->first_seq + a->batch->n_records - 1;
        if (s->head.n == 0) /* from now on there is something that gets old */
            (void)pthread_cond_signal(&s->flush_wake);
        head_add(&s->head, batch_ref(a->batch), t->id, a->wal_pos, a->payload.received);
    }
}

static void answer(struct store *s, struct store_append *group, const struct err *failure)
{
    struct store_append *next;

    for (struct store_append *a = group; a != NULL; a = next) {
        enum store_outcome out = (enum store_outcome)a->decided;
        struct err why = {.code = 0};

        next = a->next;
        if (a->why != NULL)
            why = *a->why;
        free(a->why);
        a->why = NULL;
        if (failure != NULL && out != STORE_REFUSED) {
            out = STORE_FAILED;
            why = *failure;
        }
        if (out == STORE_STORED && a->batch->n_records != 0 && s->opt.observe != NULL)
            s->opt.observe(s->opt.observe_arg, a->payload.tenant, a->batch);
        batch_unref(&a->batch);
        a->done(a, out, &why); /* from here on `a` is the caller's */
    }
}

static void decide_group(struct store *s, struct store_append *group)
{
    for (struct store_append *a = group; a != NULL; a = a->next) {
        struct err why = {.code = 0};
        a->decided = (int)store_decide(s, a, &why);
        if (why.code != 0) {
            a->why = mem_new(sizeof(*a->why));
            *a->why = why;
        }
    }
}

static bool is_broken(struct store *s, struct err *err)
{
    bool broken = s->state == STORE_BROKEN; /* only this thread sets it */

    if (broken) {
        (void)err_set(err, ERR_IO, "the store is broken: %.200s", s->reason);
        return true;
    }
    (void)pthread_mutex_lock(&s->mutex);
    broken = s->replay_err.code != 0;
    if (broken)
        *err = s->replay_err;
    (void)pthread_mutex_unlock(&s->mutex);
    return broken;
}

void store_commit_group(struct store *s, struct store_append *group)
{
    struct err err;
    bool full;
    int r;

    if (is_broken(s, &err)) {
        answer(s, group, &err);
        return;
    }
    decide_group(s, group);
    r = make_durable(s, group, &err);
    (void)fault_hit("wal.synced"); /* a place to be killed at, not to fail */
    (void)pthread_mutex_lock(&s->mutex);
    if (r == 0)
        publish(s, group);
    else
        store_decide_settle(s, false);
    full = store_head_bytes(s) > s->opt.head_bytes ||
           wal_behind(s->wal, s->visible) > s->opt.wal_bytes;
    (void)pthread_mutex_unlock(&s->mutex);
    if (full)
        store_kick_flush(s);
    answer(s, group, r == 0 ? NULL : &err);
}
