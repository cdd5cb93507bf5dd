/*
 * storage/store.c - opening and closing a store, and looking at it.  Contract: store.h; the inside:
 * store_internal.h.
 *
 * Invariants
 *   (1) the lock on DATA/lock is taken before anything else of DATA is touched, and given back
 *       last;
 *   (2) no thread runs before all that the WAL's bodies decided is in memory.
 */
#include "storage/store.h"

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/compact.h"
#include "storage/flush.h"
#include "storage/frame_cache.h"
#include "storage/hide.h"
#include "storage/keyring.h"
#include "storage/partition_cache.h"
#include "storage/retain.h"
#include "storage/scan_pool.h"
#include "storage/store_internal.h"
#include "storage/tombstone.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Fixed fields, names, decisions, and the parts with their file ids. */
    ENTRY_MAX = 1024 + WAL_ENTRY_DECIDED_MAX + WAL_ENTRY_PARTS_MAX * (18 + RECORD_FILE_ID_MAX),
    PATH_BYTES = 4096,
};

#define WAL_FILE_MAX (UINT64_C(64) << 20)
#define WAL_FILE_MIN (UINT64_C(1) << 20)
#define WAL_BYTES    UINT64_C(256000000)
#define BALLAST      (UINT64_C(64) << 20)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void fill_options(struct store *s, const struct store_options *opt)
{
    s->opt = *opt;
    s->opt.dir = mem_dup(opt->dir, strlen(opt->dir));
    s->opt.master_key = mem_dup(opt->master_key, strlen(opt->master_key));
    if (s->opt.head_bytes == 0)
        s->opt.head_bytes = 64 << 20;
    if (s->opt.flush_age == 0)
        s->opt.flush_age = 60 * NS_PER_S;
    if (s->opt.clock_settle == 0)
        s->opt.clock_settle = NS_PER_DAY;
    if (s->opt.late_bytes == 0)
        s->opt.late_bytes = s->opt.head_bytes / 2;
    if (s->opt.late_age == 0)
        s->opt.late_age = 10 * NS_PER_MIN;
    if (s->opt.late_partitions == 0)
        s->opt.late_partitions = 8;
    if (s->opt.min_free <= 0.0)
        s->opt.min_free = 0.10;
}

/* On a small file system WAL and ballast take a share of it, not their usual size. */
static uint64_t fit_to_disk(struct store *s)
{
    uint64_t total;
    uint64_t room;

    (void)ballast_free(s->dir_fd, &total, &room); /* the size is what counts here */
    if (s->opt.wal_bytes == 0)
        s->opt.wal_bytes = least(WAL_BYTES, total / 4);
    if (s->opt.ballast_bytes == 0)
        s->opt.ballast_bytes = least(BALLAST, total / 16);
    else if (s->opt.ballast_bytes == UINT64_MAX)
        s->opt.ballast_bytes = 0;
    return most(least(least(WAL_FILE_MAX, total / 16), s->opt.wal_bytes / 2), WAL_FILE_MIN);
}

static struct store *new_store(const struct store_options *opt)
{
    struct store *s = mem_new(sizeof(*s));
    pthread_condattr_t attr;

    s->magic = STORE_MAGIC;
    s->dir_fd = s->wal_fd = s->lock_fd = -1;
    fill_options(s, opt);
    /* None of these can fail with these attributes here. */
    (void)pthread_mutex_init(&s->mutex, NULL);
    (void)pthread_mutex_init(&s->flush_mutex, NULL);
    (void)pthread_mutex_init(&s->delete_mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->wal_wake, &attr);
    (void)pthread_cond_init(&s->flush_wake, &attr);
    (void)pthread_cond_init(&s->replay_wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    clock_guard_init(&s->clock, s->opt.clock_jump, s->opt.clock_settle, NULL);
    head_init(&s->head);
    head_init(&s->old);
    late_init(&s->late);
    buf_init(&s->entry, ENTRY_MAX);
    s->ranges = ranges_new();
    s->pending_ranges = ranges_new();
    s->chunk_ranges = ranges_new();
    s->dedup = dedup_new(0);
    s->pending_dedup = dedup_new(0);
    s->compact = compact_new(s);
    return s;
}

static void free_tenant(void *value)
{
    struct store_tenant *t = value;

    hide_unref(&t->hide);
    free(t->name);
    free(t);
}

/* Release everything; threads have ended. */
static void free_store(struct store **ps)
{
    struct store *s = *ps;

    compact_free(&s->compact);
    wal_close(&s->wal);
    clock_guard_fini(&s->clock);
    head_fini(&s->head);
    head_fini(&s->old);
    late_fini(&s->late);
    partition_cache_free(&s->partitions);
    frame_cache_free(&s->frames);
    scan_pool_free(&s->pool);
    meta_close(&s->meta);
    keyring_close(&s->keyring);
    crypt_wipe(s->kv_key, sizeof(s->kv_key));
    ranges_free(&s->ranges);
    ranges_free(&s->pending_ranges);
    ranges_free(&s->chunk_ranges);
    dedup_free(&s->dedup);
    dedup_free(&s->pending_dedup);
    map_free(&s->tenants);
    store_delete_free(s);
    store_hold_free(s);
    VEC_FINI(&s->days);
    VEC_FINI(&s->gaps);
    VEC_FINI(&s->void_bodies);
    buf_fini(&s->entry);
    (void)pthread_cond_destroy(&s->wal_wake);
    (void)pthread_cond_destroy(&s->flush_wake);
    (void)pthread_cond_destroy(&s->replay_wake);
    (void)pthread_mutex_destroy(&s->mutex);
    (void)pthread_mutex_destroy(&s->flush_mutex);
    (void)pthread_mutex_destroy(&s->delete_mutex);
    free((void *)(uintptr_t)s->opt.dir); /* our own copies */
    free((void *)(uintptr_t)s->opt.master_key);
    if (s->wal_fd >= 0)
        (void)close(s->wal_fd); /* directories: nothing to lose */
    if (s->dir_fd >= 0)
        (void)close(s->dir_fd);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd); /* keeps (1) */
    s->magic = 0;
    free(s);
    *ps = NULL;
}

static int path_in(const struct store *s, const char *name, char ret[PATH_BYTES], struct err *err)
{
    int n = snprintf(ret, PATH_BYTES, "%s/%s", s->opt.dir, name);

    if (n < 0 || n >= PATH_BYTES)
        return err_set(err, ERR_INVALID, "the path of the data directory is too long");
    return 0;
}

static int open_dir(struct store *s, struct err *err)
{
    int r;

    r = file_make_dirs(AT_FDCWD, s->opt.dir, 0700, err);
    if (r == 0)
        r = file_open_dir(AT_FDCWD, s->opt.dir, &s->dir_fd, err);
    if (r == 0)
        r = file_lock(s->dir_fd, "lock", &s->lock_fd, err);
    if (r == 0)
        r = file_make_dirs(s->dir_fd, "wal", 0700, err);
    if (r == 0)
        r = file_open_dir(s->dir_fd, "wal", &s->wal_fd, err);
    return r;
}

static int labels_of(void *arg, uint64_t tenant_id, int32_t day, struct buf *ret, struct err *err)
{
    struct store *s = arg;

    return meta_labels_get(s->meta, tenant_id, day, ret, err);
}

static uint64_t position_of(void *arg, uint64_t tenant_id, int32_t day)
{
    return store_visible_of(arg, tenant_id, day);
}

static void prepare_partitions(struct store *s)
{
    partition_cache_ask_position(s->partitions, position_of, s);
    partition_cache_tell(s->partitions, s->opt.notice, s->opt.notice_arg);
    partition_cache_ask_labels(s->partitions, labels_of, s);
    partition_cache_put_objects(s->partitions, s->opt.objects, s->opt.objects_arg);
}

/* One that cannot be finished now is tried again each minute, and nobody sees it meanwhile. */
static void finish_half_gone_days(struct store *s)
{
    struct err err;

    if (retain_resume(s, &err) < 0 && s->opt.notice != NULL)
        s->opt.notice(s->opt.notice_arg, "retain.failed", err.text);
}

static int open_tables(struct store *s, struct err *err)
{
    char path[PATH_BYTES];
    int r;

    r = path_in(s, "keyring.db", path, err);
    if (r == 0)
        r = keyring_open(path, s->opt.master_key, &s->keyring, err);
    if (r == 0)
        r = store_kv_open(s, err);
    if (r == 0)
        r = path_in(s, "meta.db", path, err);
    if (r == 0)
        r = meta_open(path, &s->meta, err);
    if (r == 0)
        r = store_replay_load(s, err);
    if (r == 0)
        store_clock_open(s);
    if (r == 0)
        r = store_delete_load(s, err);
    if (r == 0)
        r = store_hold_load(s, err);
    if (r == 0)
        r = path_in(s, "tenants", path, err);
    if (r == 0)
        r = partition_cache_new(path, s->keyring, 0, &s->partitions, err);
    if (r == 0)
        r = scan_pool_new(s->opt.query_threads, &s->pool, err);
    if (r == 0)
        s->frames = frame_cache_new(s->opt.cache_bytes, s->opt.budget);
    if (r == 0)
        prepare_partitions(s);
    if (r == 0)
        finish_half_gone_days(s);
    return r;
}

static int open_wal(struct store *s, uint64_t file_bytes, struct err *err)
{
    uint8_t key[KEY_BYTES];
    struct wal_options opt = {
        .dir_fd = s->wal_fd,
        .key = key,
        .file_bytes = file_bytes,
        .floor = late_floor(&s->late, s->visible),
        .known = s->visible,
        .recover = s->opt.recover,
    };
    int r;

    r = keyring_wal(s->keyring, key, err);
    if (r == 0)
        r = wal_open(&opt, &s->wal, err);
    crypt_wipe(key, sizeof(key));
    return r == 0 ? store_replay_wal(s, err) : r;
}

/* With every signal blocked: they are the program's main thread's business. */
static int start_thread(struct store *s, pthread_t *thread, void *(*run)(void *), bool *ret,
                        struct err *err)
{
    sigset_t all;
    sigset_t old;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(thread, NULL, run, s);
    *ret = errno == 0;
    if (!*ret)
        (void)err_sys(err, "start a thread");
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return *ret ? 0 : ERR_IO;
}

static int start_threads(struct store *s, struct err *err)
{
    int r = start_thread(s, &s->wal_thread, store_append_main, &s->has_wal_thread, err);

    if (r == 0)
        r = start_thread(s, &s->flush_thread, flush_main, &s->has_flush_thread, err);
    if (r == 0)
        store_gap_tell(s); /* before the replay may find more of them */
    if (r == 0 && s->replaying)
        r = start_thread(s, &s->replay_thread, store_refill_main, &s->has_replay_thread, err);
    if (r == 0 && !s->opt.no_compaction)
        r = compact_start(s->compact, err);
    return r;
}

void store_stop(struct store *s)
{
    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->mutex);
    s->closing = true;
    (void)pthread_cond_broadcast(&s->wal_wake);
    (void)pthread_cond_broadcast(&s->replay_wake); /* who waits for the replay */
    (void)pthread_mutex_unlock(&s->mutex);
    if (s->has_wal_thread)
        (void)pthread_join(s->wal_thread, NULL); /* joined once, by (2) it exists */
    s->has_wal_thread = false;
    compact_stop(s->compact);
}

static void stop_threads(struct store *s)
{
    store_stop(s);
    (void)pthread_mutex_lock(&s->mutex);
    s->flush_close = true;
    s->replay_stop = true;
    (void)pthread_cond_broadcast(&s->flush_wake);
    (void)pthread_cond_broadcast(&s->replay_wake);
    (void)pthread_mutex_unlock(&s->mutex);
    if (s->has_replay_thread)
        (void)pthread_join(s->replay_thread, NULL);
    if (s->has_flush_thread)
        (void)pthread_join(s->flush_thread, NULL);
}

static int open_all(struct store *s, struct err *err)
{
    uint64_t file_bytes;
    int r;

    s->tenants = map_new(0, free_tenant); /* STORE_TENANTS_MAX bounds it */
    r = open_dir(s, err);
    if (r < 0)
        return r;
    file_bytes = fit_to_disk(s);
    s->ballast = (struct ballast){.dir_fd = s->dir_fd, .bytes = s->opt.ballast_bytes, .held = true};
    r = open_tables(s, err);
    if (r == 0)
        r = open_wal(s, file_bytes, err);
    if (r == ERR_IO && err->sys == ENOSPC)
        (void)ballast_release(&s->ballast); /* for the next try: see store_open */
    return r;
}

int store_open(const struct store_options *opt, struct store **ret, struct err *err)
{
    struct store *s = new_store(opt);
    int r;

    r = open_all(s, err);
    if (r == ERR_IO && err->sys == ENOSPC) { /* a full disk must not keep readers out */
        free_store(&s);
        s = new_store(opt);
        r = open_all(s, err);
    }
    if (r == 0) {
        ballast_init(&s->ballast, s->dir_fd, s->opt.ballast_bytes);
        r = start_threads(s, err); /* keeps (2) */
        if (r < 0)
            stop_threads(s);
    }
    if (r < 0) {
        (void)err_wrap(err, "open store '%s'", opt->dir);
        free_store(&s);
        return r;
    }
    *ret = s;
    return 0;
}

void store_close(struct store **ps)
{
    struct store *s = *ps;
    struct err err;

    if (s == NULL)
        return;
    OBJ_CHECK(s, STORE_MAGIC);
    stop_threads(s);
    /* What cannot be flushed now is in the WAL, and in the head again at the next open. */
    if (flush_run(s, true, &err) == 0) {
        wal_fail(s->wal); /* everything in it is synced: it only ends the file */
        (void)wal_trim(s->wal, late_floor(&s->late, s->visible), &err);
    }
    free_store(ps);
}

ts_ns store_receive_time(struct store *s)
{
    ts_ns now = store_clock_now(s);
    ts_ns last = atomic_load(&s->last_received);

    OBJ_CHECK(s, STORE_MAGIC);
    while (last < now && !atomic_compare_exchange_weak(&s->last_received, &last, now))
        ; /* `last` was loaded anew */
    return last < now ? now : last;
}

bool store_is_full(const struct store *s)
{
    return s->state == STORE_FULL || (s->flush_err.code != 0 && s->flush_err.sys == ENOSPC);
}

void store_count_full(struct store *s)
{
    bool full = store_is_full(s);

    if (full && s->full_since == 0)
        s->full_since = time_mono();
    if (!full && s->full_since != 0) {
        s->stats.full_seconds += (uint64_t)((time_mono() - s->full_since) / NS_PER_S);
        s->full_since = 0;
    }
}

enum store_state store_state(struct store *s, char *reason, size_t cap)
{
    const char *what = "";
    const char *why = "";
    char text[64];
    enum store_state state;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->mutex);
    state = s->state;
    if (state != STORE_READY) {
        why = s->reason;
    } else if (store_is_full(s)) {
        state = STORE_FULL;
        what = "disk full: ";
        why = s->flush_err.text;
    } else if (s->replay_err.code != 0) {
        state = STORE_BROKEN;
        why = s->replay_err.text;
    } else if (s->flush_err.code != 0 && store_head_bytes(s) > 2 * s->opt.head_bytes) {
        state = STORE_BROKEN; /* appends wait for a flush, and none goes well */
        what = "the head cannot be flushed: ";
        why = s->flush_err.text;
    } else if (store_late_is_over(s)) {
        state = STORE_BROKEN;
        what = "too much waits for days that cannot be written: ";
        why = s->late.why;
    } else if (s->replaying) {
        state = STORE_REPLAYING;
    }
    if (state == STORE_REPLAYING) {
        store_refill_text(s, text, sizeof(text));
        why = text;
    }
    if (reason != NULL && cap != 0)
        (void)snprintf(reason, cap, "%s%s", what, why);
    (void)pthread_mutex_unlock(&s->mutex);
    return state;
}

void store_stats(struct store *s, struct store_stats *ret)
{
    struct partition_cache_stats cache;
    struct frame_cache_stats frames;
    const struct meta_partition *p;
    struct compact_stats compact;
    struct wal_stats w;

    OBJ_CHECK(s, STORE_MAGIC);
    wal_stats(s->wal, &w);
    partition_cache_stats(s->partitions, &cache);
    compact_stats(s->compact, &compact);
    (void)pthread_mutex_lock(&s->mutex);
    *ret = s->stats;
    ret->head_bytes = store_head_bytes(s);
    ret->head_records = s->old.records + s->head.records;
    ret->late_bytes = s->late.bytes;
    ret->late_records = s->late.list.records;
    ret->late_days = s->late.days.n - s->late.stuck.n;
    ret->stuck_bytes = s->late.stuck_bytes;
    ret->stuck_days = s->late.stuck.n;
    ret->last_seq = s->last_seq;
    ret->overlaps = ranges_overlap_count(s->ranges);
    ret->clock_ahead_seconds = (uint64_t)(clock_guard_ahead(&s->clock) / NS_PER_S);
    if (s->replaying && s->replay_err.code == 0)
        ret->replay_ns = (uint64_t)(time_mono() - s->replay_began);
    if (s->full_since != 0)
        ret->full_seconds += (uint64_t)((time_mono() - s->full_since) / NS_PER_S);
    for (size_t i = 0; i < s->tombstones.n; i++)
        ret->deletes += tombstone_state(s->tombstones.p[i]) != STORE_DELETE_PROCESSED;
    VEC_EACH(&s->days, p) {
        if (p->state != META_LIVE)
            continue;
        ret->partitions++;
        ret->segments += p->segments;
        ret->segment_bytes += p->stored_bytes;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    ret->wal_bytes = w.bytes;
    ret->wal_syncs = w.syncs;
    ret->wal_files = w.files;
    ret->wal_replayed_frames = w.replayed_bodies;
    ret->wal_torn_bytes = w.torn_bytes;
    ret->wal_skipped_frames = w.skipped_frames;
    frame_cache_stats(s->frames, &frames);
    ret->cache_hits = frames.hits;
    ret->cache_misses = frames.misses;
    ret->cache_evictions = frames.evictions;
    ret->cache_entries = frames.entries;
    ret->cache_bytes = frames.bytes;
    ret->replay_bytes = w.past_bytes;
    ret->replay_done_bytes = w.again_bytes;
    ret->segment_errors = cache.damaged;
    ret->catalogs_rebuilt = cache.rebuilt_catalogs;
    ret->compacted_segments = compact.segments_in;
    ret->compacted_bytes_in = compact.bytes_in;
    ret->compacted_bytes_out = compact.bytes_out;
    ret->compacted_rows_left_out = compact.rows_left_out;
    ret->compact_cpu_ns = compact.busy_ns;
    ret->compact_throttled_ns = compact.throttled_ns;
    ret->compact_failures = compact.failures;
    ret->compact_damaged = compact.damaged;
    ret->compact_rebuilt = compact.filters_rebuilt;
    ret->segments_retired = cache.retired;
}

int store_flush(struct store *s, struct err *err)
{
    int r = store_wait_replay(s, err);

    return r == 0 ? flush_run(s, true, err) : r;
}

int store_compact(struct store *s, struct err *err)
{
    OBJ_CHECK(s, STORE_MAGIC);
    return compact_all(s->compact, err);
}

void store_compact_progress(struct store *s, uint64_t *done, uint64_t *total)
{
    OBJ_CHECK(s, STORE_MAGIC);
    compact_progress(s->compact, done, total);
}

int store_retire(struct store *s, ts_ns now, struct err *err)
{
    int r = store_wait_replay(s, err);

    if (r == 0)
        r = retain_run(s, now, err);
    return r == 0 ? store_erase_run(s, now, err) : r;
}

size_t store_ranges(struct store *s, struct str peer, struct str file_id, struct store_range *ret,
                    size_t n)
{
    struct ranges_key key;
    size_t count = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    if (!ranges_key_make(peer, file_id, &key))
        return 0;
    (void)pthread_mutex_lock(&s->mutex);
    count = ranges_list(s->ranges, (struct str){key.bytes, key.n}, ret, n);
    (void)pthread_mutex_unlock(&s->mutex);
    return count;
}

bool store_has_range(struct store *s, struct str peer, struct str file_id, uint64_t start,
                     uint64_t end)
{
    struct ranges_key key;
    uint64_t have;

    OBJ_CHECK(s, STORE_MAGIC);
    if (start >= end || !ranges_key_make(peer, file_id, &key))
        return false;
    (void)pthread_mutex_lock(&s->mutex);
    have = ranges_covered(s->ranges, (struct str){key.bytes, key.n}, start, end);
    (void)pthread_mutex_unlock(&s->mutex);
    return have == end - start;
}

int store_overlaps(struct store *s, store_overlap_fn *fn, void *arg)
{
    struct ranges_row *rows;
    struct str peer, file;
    size_t n;
    int r = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->mutex);
    rows = ranges_overlaps(s->ranges, &n);
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; r == 0 && i < n; i++)
        for (size_t k = 0; r == 0 && k < rows[i].encoded.n / 16; k++) {
            struct store_range range = ranges_row_at(&rows[i], k);
            if (ranges_key_split(rows[i].key, &peer, &file))
                r = fn(arg, peer, file, &range);
        }
    ranges_rows_free(&rows, n);
    return r;
}

void store_kick_flush(struct store *s)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->flush_kick = true;
    (void)pthread_cond_signal(&s->flush_wake);
    (void)pthread_mutex_unlock(&s->mutex);
}

void store_wait(struct store *s, pthread_cond_t *cond, dur_ns wait)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* always there */
    until.tv_sec += wait / NS_PER_S;
    until.tv_nsec += wait % NS_PER_S;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    (void)pthread_cond_timedwait(cond, &s->mutex, &until); /* a timeout is as good as a wake-up */
}
