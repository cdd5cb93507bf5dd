/*
 * Scans while a flush goes on: one thread appends and flushes, others scan; each scan must see a
 * prefix of what was appended, whole and once.  The mutex here stands for the store's.
 */
#include "storage/keyring.h"
#include "storage/scan_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"
#include "tests/lib/tmpdir.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY = 20261121, BATCHES = 24, RECORDS = 40, FLUSH_EVERY = 4, READERS = 2 };

struct shared {
    struct partition_cache *cache;
    pthread_mutex_t mutex; /* guards the rest */
    struct batch *head[BATCHES];
    size_t flushed, appended; /* batches */
    uint64_t visible;
    bool done;
};

struct reader_result {
    unsigned scans;
    const char *what; /* NULL: all was well */
};

static struct batch *make(size_t i)
{
    struct records_options opt = {.seed = i + 1,
                                  .n = RECORDS,
                                  .n_streams = 6,
                                  .first_seq = 1 + i * RECORDS,
                                  .from = time_of_day(DAY),
                                  .span = 20 * NS_PER_H};

    return records_make(&opt);
}

/* Batches [from, to) into a segment at position `to`, then the one step. */
static const char *flush(struct shared *s, size_t from, size_t to)
{
    struct segment_row rows[FLUSH_EVERY * RECORDS];
    struct batch *gone[FLUSH_EVERY];
    struct partition *p = NULL;
    struct partition_written sum;
    size_t n = 0;
    struct err err;

    for (size_t i = from; i < to; i++)
        for (uint32_t k = 0; k < RECORDS; k++)
            rows[n++] = (struct segment_row){s->head[i], k, 1};
    if (partition_cache_get(s->cache, 1, DAY, true, &p, &err) < 0)
        return "get";
    if (partition_write(p, rows, n, to, &sum, &err) < 0)
        return "write";
    partition_unref(&p);
    (void)pthread_mutex_lock(&s->mutex);
    for (size_t i = from; i < to; i++) {
        gone[i - from] = s->head[i];
        s->head[i] = NULL;
    }
    s->flushed = to;
    s->visible = to;
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < to - from; i++)
        batch_unref(&gone[i]);
    return NULL;
}

static struct store_view take(struct shared *s, size_t *appended)
{
    struct store_view v = {.tenant_id = 1, .partitions = s->cache};

    v.batch = calloc(BATCHES, sizeof(*v.batch));
    v.day = calloc(1, sizeof(*v.day));
    (void)pthread_mutex_lock(&s->mutex);
    for (size_t i = s->flushed; i < s->appended; i++)
        v.batch[v.n_batch++] = batch_ref(s->head[i]);
    if (s->flushed > 0)
        v.day[v.n_day++] = DAY;
    v.visible = s->visible;
    *appended = s->appended;
    (void)pthread_mutex_unlock(&s->mutex);
    return v;
}

static const char *scan_once(struct shared *s, enum scan_order order)
{
    struct scan_request req = {.from = INT64_MIN,
                               .to = INT64_MAX,
                               .order = order,
                               .need_line = true,
                               .need_attrs = true,
                               .batch_records = 100};
    uint8_t *seen = calloc(BATCHES * RECORDS + 1, 1);
    size_t appended = 0;
    size_t n = 0;
    const char *what = NULL;
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct store_view v = take(s, &appended);
    struct err err;
    int r = scan_open_views(&v, 1, &req, &sc, &err);

    while (r == 0 && (r = scan_next(sc, &b, &err)) == 0) {
        for (uint32_t i = 0; i < b->n_records; i++) {
            uint64_t seq = b->records[i].seq;
            if (seq > appended * RECORDS || seen[seq]++ > 0)
                what = "a record that was not appended, or one twice";
        }
        n += b->n_records;
        batch_unref(&b);
    }
    if (r != 1)
        what = "a scan failed";
    else if (n != appended * RECORDS)
        what = "records are missing";
    scan_close(&sc);
    free(seen);
    return what;
}

struct reader {
    struct shared *shared;
    enum scan_order order;
    struct reader_result result;
};

static void *read_on(void *arg)
{
    struct reader *r = arg;
    bool done = false;

    while (!done && r->result.what == NULL) {
        (void)pthread_mutex_lock(&r->shared->mutex);
        done = r->shared->done;
        (void)pthread_mutex_unlock(&r->shared->mutex);
        r->result.what = scan_once(r->shared, r->order);
        r->result.scans++;
    }
    return NULL;
}

static const char *write_on(struct shared *s)
{
    const char *what = NULL;

    for (size_t i = 0; i < BATCHES && what == NULL; i++) {
        struct batch *b = make(i);
        (void)pthread_mutex_lock(&s->mutex);
        s->head[i] = b;
        s->appended = i + 1;
        (void)pthread_mutex_unlock(&s->mutex);
        if ((i + 1) % FLUSH_EVERY == 0)
            what = flush(s, i + 1 - FLUSH_EVERY, i + 1);
    }
    (void)pthread_mutex_lock(&s->mutex);
    s->done = true;
    (void)pthread_mutex_unlock(&s->mutex);
    return what;
}

static void a_scan_sees_each_record_once_while_a_flush_goes_on(void **state)
{
    struct shared s = {.flushed = 0};
    struct reader reader[READERS];
    pthread_t thread[READERS];
    struct keyring *keyring = NULL;
    char dir[TMPDIR_PATH_MAX];
    char path[3][TMPDIR_PATH_MAX + 16];
    int fd = tmpdir_open(dir);
    const char *what;
    struct err err;

    (void)state;
    (void)snprintf(path[0], sizeof(path[0]), "%s/keyring.db", dir);
    (void)snprintf(path[1], sizeof(path[1]), "%s/master", dir);
    (void)snprintf(path[2], sizeof(path[2]), "%s/tenants", dir);
    assert_int_equal(keyring_make_master(path[1], &err), 0);
    assert_int_equal(keyring_open(path[0], path[1], &keyring, &err), 0);
    assert_int_equal(partition_cache_new(path[2], keyring, 1, &s.cache, &err), 0);
    assert_int_equal(pthread_mutex_init(&s.mutex, NULL), 0);
    for (size_t i = 0; i < READERS; i++) {
        reader[i] = (struct reader){.shared = &s, .order = i == 0 ? SCAN_FORWARD : SCAN_ANY};
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &reader[i]), 0);
    }
    what = write_on(&s);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        if (reader[i].result.what != NULL)
            fail_msg("reader %zu: %s", i, reader[i].result.what);
        assert_true(reader[i].result.scans > 0); /* the last one saw everything */
    }
    if (what != NULL)
        fail_msg("writer: %s", what);
    assert_int_equal(pthread_mutex_destroy(&s.mutex), 0);
    partition_cache_free(&s.cache);
    keyring_close(&keyring);
    tmpdir_close(fd);
}

CHECK_MAIN(cmocka_unit_test(a_scan_sees_each_record_once_while_a_flush_goes_on))
