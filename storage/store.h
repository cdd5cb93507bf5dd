/*
 * storage/store.h - DOOR, write side: durable before acknowledged, then searchable, then sealed.
 *
 * The way of a batch:  store_append -> ranges decided -> WAL frame -> fdatasync of the group ->
 * head (searchable)
 * -> done callback (the ack goes home) -> flush into segments -> catalog and meta commit -> WAL
 * trimmed. docs/formats/{wal,segment,catalog}.md hold the bytes, docs/architecture.md the life
 * cycle.
 *
 * Storage knows no event loop: it has threads of its own (one writes the WAL, one flushes and
 * retires, one compacts).  Calls are thread-safe unless said otherwise; those marked "blocking"
 * must not be made on a loop thread.
 */
#ifndef LOGQ_STORAGE_STORE_H
#define LOGQ_STORAGE_STORE_H

#include "base/match.h"
#include "base/record.h"

#include <stdatomic.h>

struct store;

/* What a WAL frame holds: the bytes as received, and everything that was decided about them, so
 * that a replay needs no configuration and makes the same records again. */
struct store_payload {
    uint32_t kind;      /* the program's word for the format of `bytes`; opaque here */
    struct str tenant;  /* 1..150 bytes */
    struct str peer;    /* identity of the sender; at most 256 bytes */
    struct str decided; /* the program's decisions (forced labels ...), opaque, at most 64 KiB */
    ts_ns received;     /* from store_receive_time */
    struct str bytes;
};

/* Make the records of a payload again.  Must give the same records, streams and parts for the same
 * payload for ever.  Called during replay, on threads of the store's, several at a time, beside
 * everything else. */
typedef int store_decode_fn(void *arg, const struct store_payload *p, struct batch **ret,
                            struct err *err);

/* Called for each batch that became durable, on the WAL thread, in seq order: take a batch_ref and
 * leave. Not during replay. */
typedef void store_observe_fn(void *arg, struct str tenant, struct batch *b);

/* Records of a tenant are gone, hidden or back (delete requests, retention): what was made of its
 * records before is to be forgotten.  On any thread; must not block, nor call the store. */
typedef void store_forget_fn(void *arg, struct str tenant);

/* Something that an operator should read about: a stable dotted event and one sentence.  On any
 * thread; must not block.  Libraries do not log: this is what a program does it from. */
typedef void store_notice_fn(void *arg, const char *event, const char *text);

struct objstore;
/* Where the segments of a partition lie (objstore.h): for each opening, whose owner frees it. */
typedef int store_objects_fn(void *arg, uint64_t tenant_id, int32_t day, struct objstore **ret,
                             struct err *err);

/* How long the streams of a tenant are kept.  The first rule that speaks of a stream decides. */
struct store_retention_rule {
    struct str tenant;              /* empty: every tenant */
    const struct matcher *matchers; /* none: every stream */
    size_t n_matchers;
    dur_ns period;      /* 0: for ever */
    uint64_t max_bytes; /* of such a tenant, stored; over it its oldest days go; 0: no bound. Counts
                           in a rule without matchers, the first that speaks of the tenant */
};

struct store_options {
    const char *dir;        /* DATA; made if absent */
    const char *master_key; /* path of the master key file */
    store_decode_fn *decode;
    void *decode_arg;
    store_observe_fn *observe; /* may be NULL */
    void *observe_arg;
    store_forget_fn *forget; /* may be NULL */
    void *forget_arg;
    store_notice_fn *notice; /* may be NULL */
    void *notice_arg;
    store_objects_fn *objects; /* NULL: files beside the catalogs */
    void *objects_arg;
    size_t head_bytes;      /* 0: 64 MiB; over it a flush starts, at twice it appends wait */
    dur_ns flush_age;       /* 0: 60 s */
    uint64_t wal_bytes;     /* 0: 256 MB; a longer WAL starts a flush */
    size_t late_bytes;      /* 0: half of head_bytes; of records that wait for more of their day */
    dur_ns late_age;        /* 0: 10 min; they wait no longer */
    size_t late_partitions; /* 0: 8; days of a tenant that one flush writes, others wait */
    dur_ns group_delay;     /* 0: none beyond what is queued while the last fdatasync ran */
    dur_ns retention;       /* of streams that no rule speaks of; 0: keep */
    uint64_t max_bytes;     /* of all tenants, stored; over it the oldest days go; 0: no bound */
    const struct store_retention_rule *retention_rules; /* borrowed until store_close */
    size_t n_retention_rules;
    uint64_t ballast_bytes; /* 0: 64 MB; UINT64_MAX: none */
    dur_ns clock_jump;   /* a step forward of the wall clock by more is not believed; 0: any is */
    dur_ns clock_settle; /* 0: 24 h; until it has stayed there so long */
    bool
        drop_oldest; /* a full disk: the oldest days go, but none with audit data; else acks stop */
    double min_free; /* resume after a full disk when this share is free; 0: 0.10 */
    bool recover;    /* skip bad WAL frames and write a gap record instead of refusing to start */
    size_t cache_bytes;        /* decoded pieces of segments, for queries; 0: 32 MiB */
    unsigned query_threads;    /* that help queries; 0: as many as cores */
    struct mem_budget *budget; /* may be NULL */
    bool no_compaction;        /* in the background; store_compact works all the same */
};

/*
 * Open DATA (blocking): lock it, open keyring and meta.db, read the WAL's frames for what was
 * decided.  From then on appends are taken and decided right; the records of the WAL come back into
 * memory in the background (STORE_REPLAYING), and until then answers lack them and say so.
 * ERR_EXISTS: another process has it (names the pid); ERR_CORRUPT: a WAL frame is bad and good ones
 * follow (names file and offset).
 */
int store_open(const struct store_options *opt, struct store **ret, struct err *err);
/* Blocking: until the records of the WAL are back.  Below zero: they will not come, store_state has
 * the reason; or nobody waits for them any more, after store_stop. */
int store_wait_replay(struct store *s, struct err *err);
/* Stop accepting (blocking): when it returns every append is done, what was not durable yet as
 * STORE_FAILED; further ones are done so at once.  Compaction ends, too, at its next block. Reading
 * goes on until store_close. */
void store_stop(struct store *s);
/* store_stop, flush everything, close (blocking). */
void store_close(struct store **ps);

/* Wall clock that never steps back, nor far forward: max(what is believed, last). */
ts_ns store_receive_time(struct store *s);

enum store_outcome {
    STORE_STORED,    /* durable and searchable: acknowledge */
    STORE_DUPLICATE, /* all of it was stored before, less its refused parts: acknowledge */
    STORE_REFUSED,   /* will never be accepted, err says why (a part overlaps what is stored only
                        partly) */
    STORE_FAILED,    /* the store is closing or broken: no acknowledgement */
};

struct store_append {
    struct store_payload payload; /* borrowed until done */
    struct batch *batch; /* one reference, taken over; store gives seq, drops records of parts
                            stored before */
    struct str dedup; /* foreign senders: identity of this chunk (peer, tag, token, hash, length);
                         empty: none */
    /* One for each part, the caller's until done: nothing is stored of those that are set, nor
     * remembered, and the others are stored all the same.  The store sets those whose range it has
     * no room to remember, and tells the reason with the outcome.  NULL: one part that is refused
     * refuses the chunk. */
    bool *refused;
    /* On the WAL thread, in order of commit; must not block.  `a` is the caller's again.  While the
     * disk is full it just does not come: nothing is lost, nothing is acknowledged. */
    void (*done)(struct store_append *a, enum store_outcome outcome, const struct err *err);
    void *arg; /* the caller's */
    /* private to the store */
    struct store_append *next;
    uint64_t first_seq;
    uint64_t wal_pos;
    int decided;
    struct err *why;
};
/* Never blocks.  Several may be under way; each partially stored chunk is impossible: a chunk is
 * stored whole (less its duplicate and its refused parts) or not at all. */
void store_append(struct store *s, struct store_append *a);

enum store_state {
    STORE_READY,
    STORE_FULL,      /* the disk: nothing is acknowledged until there is room */
    STORE_BROKEN,    /* nothing more is accepted */
    STORE_REPLAYING, /* accepts and acknowledges; answers are not complete yet */
};
/* `reason` (may be NULL) of `cap` bytes gets a sentence when not ready. */
enum store_state store_state(struct store *s, char *reason, size_t cap);

struct store_stats {
    uint64_t records, line_bytes; /* appended since start */
    uint64_t duplicate_parts, duplicate_chunks, refused_chunks;
    uint64_t refused_parts;    /* of chunks that were taken */
    uint64_t overlaps;         /* ranges that store_overlaps knows now */
    uint64_t overlaps_dropped; /* since start: it does not, there was no room */
    uint64_t twice_bytes;      /* of senders' files, stored again because a part said maybe_twice */
    uint64_t wal_bytes, wal_syncs, wal_files, wal_replayed_frames, wal_torn_bytes,
        wal_skipped_frames;
    uint64_t replay_bytes, replay_done_bytes;   /* of the WAL at open; of them, back in memory */
    uint64_t replay_records, replay_line_bytes; /* back in memory */
    uint64_t replay_ns;                         /* since the WAL was opened, until all are */
    uint64_t head_bytes, head_records;
    uint64_t flushes, segments, segment_bytes, partitions, partitions_dropped;
    uint64_t partitions_dropped_size; /* of them, to keep within max_bytes */
    uint64_t deletes;                 /* delete requests that are not processed yet */
    uint64_t segment_errors;          /* segments or blocks that failed their checks when read */
    uint64_t catalogs_rebuilt;        /* damaged or lost ones, made again from their segments */
    uint64_t flush_failures;
    uint64_t compacted_segments, compacted_bytes_in, compacted_bytes_out; /* read, and written */
    uint64_t compacted_rows_left_out;              /* deleted or expired ones */
    uint64_t compact_cpu_ns, compact_throttled_ns; /* spent; waited for ingest's sake */
    uint64_t compact_failures;
    uint64_t compact_damaged;  /* segments that compaction cannot read and leaves alone */
    uint64_t compact_rebuilt;  /* damaged id filters that it made anew */
    uint64_t segments_retired; /* replaced, their files wait for the last reader */
    uint64_t late_bytes, late_records, late_days; /* that wait for more of their day */
    uint64_t stuck_bytes, stuck_days;             /* whose partition cannot be written */
    uint64_t last_seq;
    uint64_t cache_hits, cache_misses, cache_evictions; /* of decoded pieces of segments */
    uint64_t cache_entries, cache_bytes;                /* now */
    uint64_t clock_ahead_seconds;     /* of a wall clock that is not believed; 0: it is */
    uint64_t partitions_dropped_full; /* because the disk was full */
    uint64_t full_seconds;            /* spent refusing because of a full disk */
};
void store_stats(struct store *s, struct store_stats *ret);

/* Blocking: write all that is in the head into segments now; waits for a replay to end. */
int store_flush(struct store *s, struct err *err);
/* Blocking: compact every day of every tenant now, whatever the time, without regard to ingest. */
int store_compact(struct store *s, struct err *err);
/* How far a store_compact on another thread is, in stored bytes; both 0: none runs. */
void store_compact_progress(struct store *s, uint64_t *done, uint64_t *total);
/* Blocking: drop the partitions whose day and newest receive time are past the longest retention of
 * any of their streams at `now`; then the oldest ones of whoever holds more than max_bytes; and
 * take the next step of delete requests. */
int store_retire(struct store *s, ts_ns now, struct err *err);

/* ---- delete requests ---- */

enum { STORE_DELETE_ID = 17 }; /* 16 hex digits and NUL */
/* So long a request only hides, and can be taken back; then its bytes go, within 24 h of it. */
#define STORE_DELETE_GRACE (12 * NS_PER_H)

enum store_delete_state {
    STORE_DELETE_RECEIVED,  /* hides; the bytes are still there */
    STORE_DELETE_STARTED,   /* hides; the bytes are going */
    STORE_DELETE_PROCESSED, /* the bytes are gone, from memory too */
};

/* Passes when one of the texts (regexp: patterns) is in the line; negative: when none is. */
struct store_delete_filter {
    bool regexp, negative;
    const struct str *text;
    size_t n;
};

struct store_delete {
    char id[STORE_DELETE_ID]; /* set by store_delete_add */
    struct str query;         /* as people wrote it, for showing */
    struct str user;          /* who asked */
    const struct matcher *matchers;
    size_t n_matchers;
    const struct store_delete_filter *filters; /* all must pass; not filled in by store_deletes */
    size_t n_filters;
    ts_ns from, to; /* half-open */
    ts_ns created;  /* set by store_delete_add */
    enum store_delete_state state;
};

/*
 * Delete (blocking) what the tenant holds now and the request names: hidden from readers on return,
 * gone from the disk within a day.  What arrives later is not touched.  d->id, created and state
 * are set.  ERR_DENIED: it names streams that are evidence, or held; ERR_GONE: no such tenant;
 * ERR_LIMIT.
 */
int store_delete_add(struct store *s, struct str tenant, struct store_delete *d, struct err *err);
/* Take a request back (blocking): what it hid is there again as far as its bytes are.  Once some
 * may be gone, only with `force`.  ERR_GONE: no such request; ERR_INVALID: too late. */
int store_delete_cancel(struct store *s, struct str tenant, struct str id, bool force,
                        struct err *err);
/* All of a tenant, oldest first.  Non-zero from fn ends the walk and is returned; *d is valid
 * during the call. */
typedef int store_delete_fn(void *arg, const struct store_delete *d);
int store_deletes(struct store *s, struct str tenant, store_delete_fn *fn, void *arg);

/* ---- legal holds ---- */

/* Nothing of these streams is destroyed in a tenant's days that the span touches: not by age, size
 * or want of room, not by a delete request, nor by compaction. */
struct store_hold {
    char id[STORE_DELETE_ID]; /* set by store_hold_add */
    struct str query;         /* as people wrote it, for showing */
    const struct matcher *matchers;
    size_t n_matchers; /* 0: all streams */
    ts_ns from, to;    /* half-open */
    ts_ns created;     /* set by store_hold_add */
    struct str user, reason;
};
/* Blocking; durable, and respected, on return.  Delete requests for held streams in the span are
 * refused from then on, those that were made go on hiding, and destroy when it is released.
 * ERR_GONE: no such tenant; ERR_INVALID; ERR_LIMIT. */
int store_hold_add(struct store *s, struct str tenant, struct store_hold *d, struct err *err);
/* Blocking.  ERR_GONE: no such hold. */
int store_hold_release(struct store *s, struct str tenant, struct str id, struct err *err);
/* All of a tenant, oldest first; as store_deletes. */
typedef int store_hold_fn(void *arg, const struct store_hold *d);
int store_holds(struct store *s, struct str tenant, store_hold_fn *fn, void *arg);

/* Small durable values of the server (tokens, alert states, deliveries), in meta.db.  Blocking. */
int store_kv_put(struct store *s, const char *space, struct str key, struct str value,
                 struct err *err);
int store_kv_get(struct store *s, const char *space, struct str key, struct buf *ret,
                 struct err *err); /* 1: absent */
int store_kv_delete(struct store *s, const char *space, struct str key, struct err *err);
typedef int store_kv_fn(void *arg, struct str key, struct str value); /* non-zero ends the walk */
int store_kv_each(struct store *s, const char *space, store_kv_fn *fn, void *arg,
                  struct err *err); /* in key order */

/* Stored ranges of a peer's file, coalesced, for tests and the API: fills up to `n`, returns the
 * count there is. */
struct store_range {
    uint64_t start, end;
};
size_t store_ranges(struct store *s, struct str peer, struct str file_id, struct store_range *ret,
                    size_t n);

/* Is all of [start, end) of a peer's file stored? */
bool store_has_range(struct store *s, struct str peer, struct str file_id, uint64_t start,
                     uint64_t end);

/* The names of all tenants, in no order; non-zero from fn ends the walk and is returned. */
typedef int store_tenant_fn(void *arg, struct str tenant);
int store_tenants(struct store *s, store_tenant_fn *fn, void *arg);

/* All ranges of parts that said maybe_twice and were stored: another server may have them, or some
 * of them were here before.  In no order; non-zero from fn ends the walk and is returned. */
typedef int store_overlap_fn(void *arg, struct str peer, struct str file_id,
                             const struct store_range *range);
int store_overlaps(struct store *s, store_overlap_fn *fn, void *arg);

#endif
