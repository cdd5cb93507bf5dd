/*
 * storage/store_internal.h - the inside of a store, for store*.c, flush.c and retain.c.
 *
 * Threads.  The WAL thread takes requests, decides, writes, syncs, completes (store_append.c,
 * store_decide.c, store_commit.c).  The flush thread writes the head into segments and retires
 * partitions (flush.c, retain.c); blocking callers may do its work in its stead, one at a time
 * (flush_mutex).  The replay thread brings back what the WAL held at open, and ends
 * (store_refill.c).  Everything that they share is guarded by `mutex`, which is never held across
 * I/O or a callback.  Order: delete_mutex, flush_mutex, mutex.
 */
#ifndef LOGQ_STORAGE_STORE_INTERNAL_H
#define LOGQ_STORAGE_STORE_INTERNAL_H

#include "base/vec.h"
#include "storage/ballast.h"
#include "storage/clock_guard.h"
#include "storage/crypt.h"
#include "storage/dedup.h"
#include "storage/head.h"
#include "storage/late.h"
#include "storage/meta.h"
#include "storage/ranges.h"
#include "storage/scan.h"
#include "storage/store.h"

#include <pthread.h>

struct compact;
struct frame_cache;
struct held;
struct keyring;
struct hide;
struct map;
struct partition;
struct partition_cache;
struct scan_pool;
struct tombstone;
struct wal;
struct wal_body;

enum {
    STORE_TENANT_MAX = 150,
    STORE_TENANTS_MAX = 1 << 16,
    STORE_GROUP_BYTES = 8 << 20, /* of one group, but at least one request */
    STORE_GROUP_MAX = 1024,      /* requests of one group */
};

/* The kind of the payloads that the store makes itself: one gap record, its line as bytes. */
#define STORE_KIND_GAP UINT32_MAX

struct store_tenant {
    uint64_t id;
    char *name; /* owned */
    bool in_meta;
    struct hide *hide;     /* one reference; NULL: nothing is hidden */
    uint64_t hide_renewed; /* how often it was set */
};

/* What a replay with `recover` passed over. */
struct store_gap {
    uint64_t from, to; /* WAL positions */
    char file[24];
};

struct store {
    unsigned magic;
#define STORE_MAGIC 0x510e4d2bu
    struct store_options opt; /* defaults filled in; dir and master_key owned */
    int dir_fd, wal_fd, lock_fd;
    uint8_t kv_key[CRYPT_KEY]; /* seals the values of kv; store_kv.c */
    struct keyring *keyring;   /* owned, as are the next four */
    struct meta *meta;
    struct wal *wal;
    struct partition_cache *partitions;
    struct compact *compact;    /* owned, as are the next two */
    struct frame_cache *frames; /* for scans, as is the next */
    struct scan_pool *pool;
    struct ballast ballast; /* guarded by flush_mutex */
    _Atomic int64_t last_received;
    struct clock_guard clock;
    struct clock_guard_state clock_saved; /* as it is in meta.db; the flush thread's */
    bool clock_told;                      /* that it is suspect; the flush thread's */

    pthread_mutex_t
        flush_mutex; /* one flush or retirement at a time; held across its I/O on purpose */

    pthread_mutex_t delete_mutex; /* one change of the delete requests at a time; held across I/O */

    pthread_mutex_t mutex;      /* guards everything from here to the next blank line but one */
    pthread_cond_t wal_wake;    /* requests, room in the head, closing */
    pthread_cond_t flush_wake;  /* something to flush, closing */
    pthread_cond_t replay_wake; /* room in `old`, closing; the replay is over */
    struct store_append *first, *last; /* queued requests */
    size_t queued_bytes;
    bool closing;     /* no more requests are committed */
    bool flush_close; /* the flush thread ends */
    bool flush_kick;
    struct head head;        /* what came since the open */
    struct head old;         /* what the replay brought: all of it before `head` */
    struct late late;        /* what a flush left: all of it at or before `visible` */
    bool replaying;          /* `old` lacks what is past replay_pos and was there at the open */
    atomic_bool replay_stop; /* it ends early */
    uint64_t replay_pos;     /* `old` has all up to here; counts while `replaying` */
    uint64_t replay_from;    /* `visible` at the open: up to here only what waits is brought back */
    uint64_t replay_seq;     /* of the last record at or before it */
    dur_ns replay_began;     /* time_mono; counts while `replaying` */
    struct err replay_err;   /* why it will never end; code 0: none */
    struct ranges *ranges;
    struct dedup *dedup;
    struct map *tenants;                /* name -> struct store_tenant (owned) */
    VEC(struct meta_partition) days;    /* by tenant, day; gone ones too */
    uint64_t renewed_seen;              /* catalogs begun anew when days' `summarised` were true */
    unsigned backups;                   /* under way: no day is dropped meanwhile */
    uint64_t durable_pos;               /* the WAL is durable and in the head up to here */
    uint64_t visible;                   /* segments are, up to here: meta.db's position */
    uint64_t last_seq;                  /* of the last durable record */
    uint64_t dedup_saved;               /* entries before this number are in meta.db */
    VEC(struct tombstone *) tombstones; /* all of them, by id; one reference each */
    VEC(struct held *) holds;           /* owned; changed under flush_mutex, too */
    uint64_t last_delete;               /* the largest number that a request had */
    enum store_state state;
    char reason[300];
    struct err flush_err; /* of the last flush; code 0 when it went well */
    dur_ns full_since;    /* time_mono; 0: not full */
    struct store_stats stats;
    pthread_t wal_thread, flush_thread, replay_thread;
    bool has_wal_thread, has_flush_thread, has_replay_thread;

    /* The WAL thread's own (the opener's, before there is one). */
    struct ranges *pending_ranges, *chunk_ranges;
    struct dedup *pending_dedup;
    struct buf entry; /* of the request being written */
    uint64_t next_seq;
    VEC(struct store_gap) gaps;
    VEC(uint64_t) void_bodies; /* ascending positions; what `recover` passed over before the open */
};

/* store_tenant.c: under mutex, or before there are threads. */
struct store_tenant *store_tenant_find(struct store *s, struct str name);
struct store_tenant *store_tenant_of(struct store *s, uint64_t id); /* NULL: none */
/* The tenant of that name, made with a random id when there is none.  ERR_LIMIT. */
int store_tenant_need(struct store *s, struct str name, struct store_tenant **ret, struct err *err);
/* A tenant as it was recorded; ERR_CORRUPT when the name has another id. */
int store_tenant_add(struct store *s, struct str name, uint64_t id, bool in_meta, struct err *err);
/* The row of a day, or where it would stand (then *found is false). */
size_t store_tenant_day(struct store *s, uint64_t tenant_id, int32_t day, bool *found);
void store_tenant_set_day(struct store *s, const struct meta_partition *p);
/* Not under mutex: what was made of its records is to be forgotten (store_forget_fn). */
void store_tenant_forget(struct store *s, uint64_t id);

/* store_decide.c: on the WAL thread.  What becomes of `a` against stored and pending ranges; for
 * STORE_STORED its batch holds only what is new, and seq is given.  err is set for the rest. */
enum store_outcome store_decide(struct store *s, struct store_append *a, struct err *err);
/* What was decided about the pending group becomes stored (true, under mutex), or is forgotten. */
void store_decide_settle(struct store *s, bool stored);
/* Drop the records of dropped parts and number the rest from first_seq. */
void store_decide_compact(struct batch *b);
void store_decide_number(struct batch *b, uint64_t first_seq);

/* store_commit.c: on the WAL thread.  Write a group, make it durable, publish it in the head, tell
 * everybody. */
void store_commit_group(struct store *s, struct store_append *group);

/* store_append.c: the WAL thread. */
void *store_append_main(void *arg);

/* store_replay.c: meta.db's tables, and what was decided by the WAL's bodies, into memory, before
 * there are threads. */
int store_replay_load(struct store *s, struct err *err);
int store_replay_wal(struct store *s, struct err *err);

/* store_refill.c: the records of the WAL back into memory, on a thread of its own. */
void *store_refill_main(void *arg);
/* "replaying: 3 of 12 MB".  Not under mutex. */
void store_refill_text(struct store *s, char *ret, size_t cap);

/* store_gap.c.  What lies between body->from and its position cannot be read: remember it. */
void store_gap_note(struct store *s, const struct wal_body *body);
/* The body failed with `r`.  1: with `recover`, it is a gap now; below zero: it fails the replay. 0
 * when `r` is. */
int store_gap_give_up(struct store *s, const struct wal_body *body, int r, struct err *err);
/* The batch of a payload of STORE_KIND_GAP. */
int store_gap_batch(const struct store_payload *p, struct batch **ret, struct err *err);
/* Append a record about each to every tenant, and forget them. */
void store_gap_tell(struct store *s);

/* store_head.c: all that is in memory, in WAL order.  Under mutex. */
struct head_item *store_head_take(const struct store *s, const uint64_t *tenant_id, uint64_t pos,
                                  size_t *ret_n);
struct head_item *store_head_drop(struct store *s, uint64_t pos, size_t *ret_n);
size_t store_head_bytes(const struct store *s); /* without what waits */
/* Has what waits to be written now? */
bool store_late_is_due(const struct store *s);
/* Is there more that cannot be written than may stay? */
bool store_late_is_over(const struct store *s);
/* Does it hold records of that day, or may the replay still bring some? */
bool store_head_has_day(const struct store *s, uint64_t tenant_id, int32_t day);
/* May more come in (the WAL thread), may the replay go on? */
bool store_head_has_room(const struct store *s);
bool store_head_has_room_for_old(const struct store *s);
/* Has it brought so much that a flush must not wait for its end? */
bool store_old_is_due(const struct store *s);
/* Up to which position segments of that day are seen (and may be compacted).  Not under mutex. */
uint64_t store_visible_of(struct store *s, uint64_t tenant_id, int32_t day);

/* Is the disk full for the WAL, or for the flush?  Under mutex. */
bool store_is_full(const struct store *s);
/* Keep the time that it is; after a change of state or flush_err.  Under mutex. */
void store_count_full(struct store *s);

/* Wake the flush thread now. */
void store_kick_flush(struct store *s);
/* Wait on a condition of `s` for at most `wait`; under mutex. */
void store_wait(struct store *s, pthread_cond_t *cond, dur_ns wait);

/* store_delete.c: the delete requests of meta.db into memory; after the tenants, before there are
 * threads. */
int store_delete_load(struct store *s, struct err *err);
void store_delete_free(struct store *s);
/* Call fn for each stream that a request names in its span; as scan_streams. */
int store_delete_streams(struct store *s, struct str tenant, const struct store_delete *d,
                         scan_stream_fn *fn, void *arg, struct err *err);
/* Move a request on, in meta.db first. */
int store_delete_state(struct store *s, struct tombstone *t, enum store_delete_state state,
                       struct err *err);
/* What may be left out of segments for good: expired streams, and what was deleted and cannot be
 * taken back any more; nothing that is held.  NULL: nothing; the caller has a reference.  Not under
 * mutex. */
struct hide *store_delete_for_good(struct store *s, uint64_t tenant_id, int32_t day);

/* store_hold.c: after the tenants, before there are threads. */
int store_hold_load(struct store *s, struct err *err);
void store_hold_free(struct store *s);
/* What the holds that touch the day name: malloc'ed, a reference each.  Under mutex. */
struct tombstone **store_hold_take(const struct store *s, uint64_t tenant_id, int32_t day,
                                   size_t *ret_n);
void store_hold_drop(struct tombstone ***pv, size_t n);
/* Is everything of the day held, whatever it has?  Under mutex. */
bool store_hold_has_all(const struct store *s, uint64_t tenant_id, int32_t day);
/* 1: the day has a stream that is held, and that `also` names (NULL: any); 0: none.  Blocking;
 * under flush_mutex, or what it says may be over. */
int store_hold_on_day(struct store *s, uint64_t tenant_id, int32_t day,
                      const struct tombstone *also, struct err *err);
/* ERR_DENIED, which names the hold, when one is on what a delete request asks for. */
int store_hold_refuse(struct store *s, struct str tenant, const struct store_delete *d,
                      struct err *err);

/* store_erase.c: what is to be done by now about the bytes of deleted records.  Blocking; any
 * thread. */
int store_erase_run(struct store *s, ts_ns now, struct err *err);
/* meta.db's labels of a partition, after streams of it were swept.  Under flush_mutex. */
int store_erase_labels(struct store *s, struct partition *p, struct err *err);

/* Make the tenant's snapshot of what is hidden again.  Under mutex, or before there are threads. */
void store_delete_renew(struct store *s, struct store_tenant *t);

/* store_clock.c: the guard as the last process left it; the time that is believed; on the flush
 * thread, now and then: tell and keep what there is, and say whether anything may be deleted by
 * age. */
void store_clock_open(struct store *s);
ts_ns store_clock_now(struct store *s);
bool store_clock_look(struct store *s);

/* Make kv_key; after the keyring is open.  store_kv.c. */
int store_kv_open(struct store *s, struct err *err);

#endif
