/*
 * storage/compact*.c: the same records before and after, in the same order, whoever reads meanwhile
 * and whatever fails or dies; strict blocks keep their leaves.
 *
 * A process of its own dies at each fault point; on a slow disk its many fsyncs may take longer
 * than 20 s.
 */
#include "storage/compact.h"

#include "base/fault.h"
#include "storage/objstore.h"
#include "storage/partition_cache.h"
#include "storage/segment_reader.h"
#include "storage/store_internal.h"
#include "tests/lib/feed.h"
#include "tests/lib/records.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STREAMS = 9, NAME = 64 };

/* "SEED COUNT KIND": records of nine streams; of kind s every third of those is strict. */
static int decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct str text = p->bytes;
    struct records_options opt = {.n_streams = STREAMS, .from = FEED_DAY, .span = NS_PER_H};
    struct batch *made;
    struct batch *b;
    uint64_t n = 0;
    int r = 0;

    (void)arg;
    if (!str_to_u64(str_cut(&text, ' '), &opt.seed) || !str_to_u64(str_cut(&text, ' '), &n))
        return err_set(err, ERR_INVALID, "a chunk that is none");
    opt.n = (uint32_t)n;
    opt.nasty = opt.seed % 4 == 3;
    made = records_make(&opt);
    b = batch_new(NULL, 0);
    for (uint32_t i = 0; r == 0 && i < made->n_records; i++) {
        struct record rec = made->records[i];
        struct labels l = made->streams[rec.stream];
        struct label v[8];
        memcpy(v, l.v, l.n * sizeof(*v));
        if (str_starts(text, STR("s")) && rec.stream % 3 == 0)
            v[l.n++] = (struct label){STR("source"), STR("kernel_audit")};
        l.v = v;
        l.n = labels_sort(v, l.n);
        r = batch_stream(b, &l, &rec.stream, err);
        rec.line = arena_str(b->arena, rec.line);
        if (r == 0 && rec.n_attr > 0) {
            struct label *at = arena_alloc(b->arena, rec.n_attr * sizeof(*at));
            for (uint32_t k = 0; k < rec.n_attr; k++)
                at[k] = (struct label){arena_str(b->arena, rec.attr[k].name),
                                       arena_str(b->arena, rec.attr[k].value)};
            rec.attr = at;
        }
        if (r == 0)
            r = batch_add(b, &rec, err);
    }
    batch_unref(&made);
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

static void init(struct feed *f)
{
    feed_init(f);
    f->opt.decode = f->make = decode;
    f->opt.no_compaction = true;
    f->opt.ballast_bytes = UINT64_MAX;
}

static void put(struct feed *f, unsigned seed, unsigned n, const char *kind)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%u %u %s", seed, n, kind);
    assert_int_equal(feed_put(f, "t", text), STORE_STORED);
}

static void flush(struct feed *f)
{
    struct err err;

    if (store_flush(f->s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

/* `n` segments (of each class that `kind` brings). */
static void fill(struct feed *f, unsigned first, unsigned n, const char *kind)
{
    for (unsigned i = first; i < first + n; i++) {
        put(f, i, 40 + 30 * (i % 5), kind);
        flush(f);
    }
}

static void compact(struct feed *f)
{
    struct err err;

    if (store_compact(f->s, &err) != 0)
        fail_msg("compact: %s", err.text);
}

static struct store_stats stats_of(struct feed *f)
{
    struct store_stats st;

    store_stats(f->s, &st);
    return st;
}

/* ---- what is there ---- */

/* Everything about a record in one text. */
static void describe(struct buf *out, const struct batch *b, const struct record *rec)
{
    char head[64];

    (void)snprintf(head, sizeof(head), "%" PRId64 " %" PRIu64 " ", rec->ts, rec->seq);
    buf_add_str(out, str_of(head));
    labels_format(out, &b->streams[rec->stream]);
    for (uint32_t i = 0; i < rec->n_attr; i++) {
        quote_add(out, rec->attr[i].name);
        quote_add(out, rec->attr[i].value);
    }
    (void)snprintf(head, sizeof(head), " %zu ", rec->line.n);
    buf_add_str(out, str_of(head));
    quote_add(out, rec->line.n > 300 ? str_sub(rec->line, rec->line.n - 300, 300) : rec->line);
    buf_add_char(out, '\n');
}

static struct scan *open_scan(struct feed *f, size_t batch_records)
{
    static const struct str tenant = {"t", 1};
    static struct scan_request req;
    struct scan *sc = NULL;
    struct err err;

    req = (struct scan_request){.tenants = &tenant,
                                .n_tenants = 1,
                                .from = INT64_MIN,
                                .to = INT64_MAX,
                                .order = SCAN_FORWARD,
                                .need_line = true,
                                .need_attrs = true,
                                .batch_records = batch_records};
    if (scan_open(f->s, &req, &sc, &err) != 0)
        fail_msg("scan: %s", err.text);
    return sc;
}

/* The next batch of the scan to `out` (may be NULL); its records, 0 at the end. */
static size_t read_some(struct scan *sc, struct buf *out)
{
    struct batch *b = NULL;
    struct err err;
    size_t n;
    int r = scan_next(sc, &b, &err);

    if (r == 1)
        return 0;
    if (r < 0)
        fail_msg("scan: %s", err.text);
    n = b->n_records;
    for (size_t i = 0; out != NULL && i < n; i++)
        describe(out, b, &b->records[i]);
    batch_unref(&b);
    return n;
}

static size_t close_scan(struct scan *sc, struct buf *out)
{
    struct scan_stats st;
    size_t total = 0;

    for (size_t n; (n = read_some(sc, out)) > 0;)
        total += n;
    scan_stats(sc, &st);
    if (st.damaged_blocks > 0)
        fail_msg("damage: %s", st.damage);
    scan_close(&sc);
    return total;
}

static size_t dump(struct feed *f, struct buf *out)
{
    buf_clear(out);
    return close_scan(open_scan(f, 0), out);
}

static void same(struct str a, struct str b, const char *when)
{
    if (str_eq(a, b))
        return;
    for (unsigned line = 1;; line++) {
        struct str x = str_cut(&a, '\n');
        struct str y = str_cut(&b, '\n');
        if (!str_eq(x, y))
            fail_msg("%s: record %u was %.*s and is %.*s", when, line, STR_ARG(x), STR_ARG(y));
    }
}

static void expect_same(struct feed *f, struct str want, const char *when)
{
    struct buf got;

    buf_init(&got, 256 << 20);
    (void)dump(f, &got);
    same(want, buf_str(&got), when);
    buf_fini(&got);
}

/* ---- files ---- */

struct files {
    struct feed *f;
    char dir[NAME]; /* of the only partition, below the data directory */
    unsigned n;
    struct merkle_hash leaf[4096]; /* of strict blocks */
    size_t n_leaf;
    struct objstore *os;
    char last[SEGMENT_NAME_MAX];
};

static int see_dir(void *arg, int dir_fd, const char *name, struct err *err)
{
    char *dir = arg;

    (void)dir_fd;
    (void)err;
    (void)snprintf(dir + strlen(dir), NAME - strlen(dir), "/%.30s", name);
    return 1;
}

static int see_file(void *arg, const char *name, struct err *err)
{
    struct files *l = arg;
    struct segment_reader *r = NULL;
    struct segment_info *info = NULL;
    uint8_t uuid[SEGMENT_UUID];

    if (!segment_uuid_of(name, uuid))
        return 0;
    l->n++;
    memcpy(l->last, name, SEGMENT_NAME_MAX);
    assert_int_equal(segment_reader_open(l->os, uuid, NULL, &r, err), 0);
    assert_int_equal(segment_reader_info(r, NULL, &info, err), 0);
    assert_int_equal(segment_reader_verify(r, info, NULL, err), 0);
    for (uint32_t i = 0; info->class == SEGMENT_STRICT && i < info->n_blocks; i++)
        l->leaf[l->n_leaf++] = info->blocks[i].leaf;
    segment_info_free(&info);
    segment_reader_free(&r);
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, MERKLE_HASH);
}

/* All segment files of the only day of the only tenant. */
static struct files *files_of(struct feed *f)
{
    struct files *l = calloc(1, sizeof(*l));
    struct err err;
    int fd;

    l->f = f;
    (void)snprintf(l->dir, sizeof(l->dir), "data/tenants");
    for (int i = 0; i < 2; i++) {
        fd = openat(f->dir, l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(file_walk(fd, see_dir, l->dir, &err), 1);
        assert_int_equal(close(fd), 0);
    }
    fd = openat(f->dir, l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(objstore_fs_open(fd, &l->os, &err), 0);
    assert_int_equal(objstore_list(l->os, see_file, l, &err), 0);
    objstore_free(&l->os);
    assert_int_equal(close(fd), 0);
    qsort(l->leaf, l->n_leaf, sizeof(*l->leaf), by_bytes);
    return l;
}

static unsigned count_files(struct feed *f)
{
    struct files *l = files_of(f);
    unsigned n = l->n;

    free(l);
    return n;
}

static uint64_t catalogued(struct feed *f)
{
    struct meta_partition *d = &f->s->days.p[0];
    struct partition *p = NULL;
    struct partition_written sum;
    struct err err;

    assert_int_equal(partition_cache_get(f->s->partitions, d->tenant_id, d->day, false, &p, &err),
                     0);
    assert_int_equal(partition_totals(p, &sum, &err), 0);
    partition_unref(&p);
    return sum.segments;
}

/* ---- tests ---- */

/* Else every question would open every day that was ever compacted. */
static void labels_in_short_stay(void **state)
{
    const struct meta_partition *d;
    struct feed f;
    struct buf b;
    struct err err;

    (void)state;
    init(&f);
    feed_open(&f);
    buf_init(&b, 1 << 20);
    fill(&f, 0, 3, "s");
    d = &f.s->days.p[0];
    assert_int_equal(meta_labels_get(f.s->meta, d->tenant_id, d->day, &b, &err), 0);
    compact(&f);
    assert_true(stats_of(&f).compacted_segments > 0);
    assert_int_equal(meta_labels_get(f.s->meta, d->tenant_id, d->day, &b, &err), 0);
    buf_fini(&b);
    feed_fini(&f);
}

static void every_record_is_there_before_and_after(void **state)
{
    struct feed f;
    struct files *before;
    struct files *after;
    struct store_stats st;
    struct buf want;
    char path[NAME + 16];

    (void)state;
    init(&f);
    feed_open(&f);
    buf_init(&want, 256 << 20);
    fill(&f, 0, 13, "s");
    (void)dump(&f, &want);
    before = files_of(&f);
    assert_int_equal(before->n, 26);
    compact(&f);
    st = stats_of(&f);
    assert_int_equal(st.segments, 2); /* one of each class */
    assert_true(st.compacted_segments == 26 && st.compact_failures == 0);
    assert_true(st.compacted_bytes_out > 0 && st.compacted_bytes_out < st.compacted_bytes_in);
    expect_same(&f, buf_str(&want), "compacted");
    after = files_of(&f);
    assert_int_equal(after->n, 2); /* nobody reads the old ones */
    assert_true(before->n_leaf > 10);
    assert_int_equal(after->n_leaf, before->n_leaf);
    assert_memory_equal(after->leaf, before->leaf, before->n_leaf * sizeof(*before->leaf));
    compact(&f);
    assert_int_equal(stats_of(&f).compacted_segments, 26); /* nothing is done twice */

    fill(&f, 20, 5, "s"); /* and again, with what is there */
    (void)dump(&f, &want);
    compact(&f);
    assert_true(stats_of(&f).segments < 6);
    expect_same(&f, buf_str(&want), "compacted again");
    feed_reopen(&f);
    expect_same(&f, buf_str(&want), "opened again");
    store_close(&f.s);
    (void)snprintf(path, sizeof(path), "%s/catalog.db", after->dir);
    assert_int_equal(unlinkat(f.dir, path, 0), 0);
    feed_open(&f);
    expect_same(&f, buf_str(&want), "without a catalog");
    free(before);
    free(after);
    buf_fini(&want);
    feed_fini(&f);
}

/* A scan that began before reads on, from files that go when it ends; one that was opened before
 * but looks only then finds everything, too. */
static void who_began_before_reads_on(void **state)
{
    struct feed f;
    struct scan *early;
    struct scan *late;
    struct buf want;
    struct buf got;
    size_t total;

    (void)state;
    init(&f);
    feed_open(&f);
    buf_init(&want, 256 << 20);
    buf_init(&got, 256 << 20);
    fill(&f, 0, 10, "s");
    total = dump(&f, &want);
    early = open_scan(&f, 10);
    late = open_scan(&f, 10);
    assert_int_equal(read_some(early, &got), 10);
    compact(&f);
    assert_int_equal(stats_of(&f).segments, 2);
    assert_int_equal(stats_of(&f).segments_retired, 20);
    assert_int_equal(count_files(&f), 22);
    assert_int_equal(close_scan(early, &got) + 10, total);
    same(buf_str(&want), buf_str(&got), "read on");
    compact(&f);
    assert_int_equal(count_files(&f), 22); /* the other one may still come */
    buf_clear(&got);
    assert_int_equal(close_scan(late, &got), total);
    same(buf_str(&want), buf_str(&got), "came late");
    compact(&f);
    fill(&f, 30, 2, "o"); /* an exchange, and with it what waits */
    compact(&f);
    assert_true(stats_of(&f).segments_retired == 0);
    assert_int_equal(count_files(&f), stats_of(&f).segments);
    buf_fini(&want);
    buf_fini(&got);
    feed_fini(&f);
}

/* A view is as old as its head: what was flushed after it, and merged with older segments, would be
 * seen twice or not at all. */
static void nothing_is_merged_past_what_a_reader_sees(void **state)
{
    struct feed f;
    struct scan *sc;
    struct buf want;
    struct buf got;
    size_t total;

    (void)state;
    init(&f);
    feed_open(&f);
    buf_init(&want, 256 << 20);
    buf_init(&got, 256 << 20);
    fill(&f, 0, 4, "o");
    put(&f, 7, 50, "o"); /* in the head */
    total = dump(&f, &want);
    sc = open_scan(&f, 0);
    flush(&f);
    compact(&f);
    assert_int_equal(stats_of(&f).segments, 2);
    assert_int_equal(close_scan(sc, &got), total);
    same(buf_str(&want), buf_str(&got), "with an old head");
    compact(&f);
    assert_true(stats_of(&f).segments <= 2);
    expect_same(&f, buf_str(&want), "without it");
    buf_fini(&want);
    buf_fini(&got);
    feed_fini(&f);
}

struct racing {
    struct feed *f;
    atomic_bool stop;
    _Atomic size_t stored; /* records that are acknowledged */
    _Atomic unsigned scans;
};

static void *scan_on(void *arg)
{
    struct racing *r = arg;

    while (!atomic_load(&r->stop)) {
        size_t least = atomic_load(&r->stored);
        size_t n = 0;
        uint64_t last_seq = 0;
        ts_ns last_ts = INT64_MIN;
        struct scan *sc = open_scan(r->f, 100);
        struct batch *b = NULL;
        struct err err;
        while (scan_next(sc, &b, &err) == 0) {
            for (uint32_t i = 0; i < b->n_records; i++) { /* each once, in order */
                const struct record *rec = &b->records[i];
                assert_true(rec->ts > last_ts || (rec->ts == last_ts && rec->seq > last_seq));
                last_ts = rec->ts;
                last_seq = rec->seq;
            }
            n += b->n_records;
            batch_unref(&b);
        }
        assert_true(n >= least);
        assert_int_equal(close_scan(sc, NULL), 0);
        atomic_fetch_add(&r->scans, 1);
    }
    return NULL;
}

static void *compact_on(void *arg)
{
    struct racing *r = arg;

    while (!atomic_load(&r->stop))
        compact(r->f);
    return NULL;
}

static void scans_flushes_and_compaction_do_not_disturb_each_other(void **state)
{
    struct feed f;
    struct racing r = {.f = &f};
    struct store_stats st;
    pthread_t t[2];

    (void)state;
    init(&f);
    feed_open(&f);
    assert_int_equal(pthread_create(&t[0], NULL, scan_on, &r), 0);
    assert_int_equal(pthread_create(&t[1], NULL, compact_on, &r), 0);
    for (unsigned i = 0; i < 40 || atomic_load(&r.scans) < 5; i++) {
        put(&f, 4 * i, 30, i % 2 == 0 ? "s" : "o");
        atomic_fetch_add(&r.stored, 30);
        if (i % 3 == 0)
            flush(&f);
        assert_true(i < 100000); /* the threads get nowhere */
    }
    atomic_store(&r.stop, true);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    st = stats_of(&f);
    assert_true(st.compacted_segments > 10 && st.compact_failures == 0 && st.segment_errors == 0);
    assert_int_equal(close_scan(open_scan(&f, 0), NULL), atomic_load(&r.stored));
    feed_fini(&f);
}

static void failing_anywhere_it_changes_nothing(void **state)
{
    static const char *const points[] = {"file", "catalog.commit", "db.commit", "compact"};
    struct feed f;
    struct buf want;
    struct err err;
    unsigned failed = 0;

    (void)state;
    buf_init(&want, 256 << 20);
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        init(&f);
        feed_open(&f);
        fill(&f, 0, 3, "o");
        (void)dump(&f, &want);
        FAULT_EACH(points[i]) {
            int r = store_compact(f.s, &err);
            assert_true(r == 0 || r == ERR_IO);
            failed += r != 0;
        }
        expect_same(&f, buf_str(&want), points[i]);
        compact(&f);
        assert_int_equal(stats_of(&f).segments, 1);
        expect_same(&f, buf_str(&want), points[i]);
        feed_reopen(&f);
        expect_same(&f, buf_str(&want), points[i]);
        assert_int_equal(count_files(&f), 1);
        feed_fini(&f);
    }
    assert_true(failed > 10);
    buf_fini(&want);
}

static void a_damaged_segment_is_left_alone(void **state)
{
    struct feed f;
    struct files *l;
    struct err err;
    char path[2 * NAME + 16];
    int fd;

    (void)state;
    init(&f);
    feed_open(&f);
    fill(&f, 0, 3, "o");
    l = files_of(&f);
    fill(&f, 5, 3, "o");
    (void)snprintf(path, sizeof(path), "%s/%s", l->dir, l->last);
    fd = openat(f.dir, path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && pwrite(fd, "????????", 8, 1500) == 8);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_compact(f.s, &err), 0);
        assert_int_equal(stats_of(&f).compact_damaged, 1); /* counted once */
        assert_int_equal(stats_of(&f).compact_failures, 0);
    }
    assert_in_range(stats_of(&f).segments, 2, 3); /* it, and those before and behind it */
    free(l);
    feed_fini(&f);
}

static void deleted_rows_leave_the_disk(void **state)
{
    struct feed f;
    struct matcher m;
    struct store_delete d = {.query = str_of("{app=\"app-1\"}"),
                             .user = str_of("admin"),
                             .matchers = &m,
                             .n_matchers = 1,
                             .from = FEED_DAY,
                             .to = FEED_DAY + NS_PER_DAY};
    struct buf want;
    struct err err;
    size_t before;
    size_t after;

    (void)state;
    init(&f);
    feed_open(&f);
    buf_init(&want, 256 << 20);
    fill(&f, 0, 3, "o");
    before = dump(&f, &want);
    compact(&f);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("app-1"), &err), 0);
    assert_int_equal(store_delete_add(f.s, STR("t"), &d, &err), 0);
    after = dump(&f, &want);
    assert_true(after < before);
    /* It cannot be taken back any more: its segments are due. */
    assert_int_equal(store_retire(f.s, d.created + STORE_DELETE_GRACE, &err), 0);
    compact(&f);
    assert_int_equal(stats_of(&f).compacted_rows_left_out, before - after);
    assert_int_equal(f.s->days.p[0].rows, after);
    expect_same(&f, buf_str(&want), "rewritten");
    matcher_fini(&m);
    buf_fini(&want);
    feed_fini(&f);
}

/* ---- dying ---- */

static int victim(const char *data, const char *master)
{
    struct feed f = {.opt = {.dir = data,
                             .master_key = master,
                             .decode = decode,
                             .no_compaction = true,
                             .ballast_bytes = UINT64_MAX}};
    struct err err;

    if (store_open(&f.opt, &f.s, &err) != 0 || store_wait_replay(f.s, &err) != 0 ||
        store_compact(f.s, &err) != 0)
        return 1;
    store_close(&f.s);
    return 0;
}

static bool run_victim(const struct feed *f, const char *fault)
{
    char variable[80];
    char *const env[] = {variable, NULL};
    int status = 0;
    pid_t pid;

    (void)snprintf(variable, sizeof(variable), "LOGQ_FAULT=%s", fault);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execle("/proc/self/exe", "test_compact", "victim", f->data, f->master, (char *)NULL,
                     env);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return !WIFEXITED(status);
}

static void killed_anywhere_every_record_is_there_once(void **state)
{
    static const char *const points[] = {
        "file.write:kill:1",        "file.rename:kill:1",    "file.rename:kill:2",
        "compact.published:kill:1", "catalog.commit:kill:1", "compact.committed:kill:1",
        "compact.published:kill:2", "db.commit:kill:1",      "compact.committed:kill:2",
    };
    struct buf want;
    unsigned died = 0;

    (void)state;
    buf_init(&want, 256 << 20);
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        struct feed f;
        init(&f);
        feed_open(&f);
        fill(&f, 0, 3, "s");
        (void)dump(&f, &want);
        store_close(&f.s);
        died += run_victim(&f, points[i]);
        feed_open(&f);
        expect_same(&f, buf_str(&want), points[i]);
        assert_int_equal(count_files(&f), catalogued(&f)); /* no leftovers either */
        compact(&f);
        expect_same(&f, buf_str(&want), points[i]);
        assert_int_equal(count_files(&f), 2);
        assert_int_equal(stats_of(&f).segments, 2);
        feed_fini(&f);
    }
    assert_true(died >= sizeof(points) / sizeof(*points) - 2);
    buf_fini(&want);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_in_short_stay),
        cmocka_unit_test(every_record_is_there_before_and_after),
        cmocka_unit_test(who_began_before_reads_on),
        cmocka_unit_test(nothing_is_merged_past_what_a_reader_sees),
        cmocka_unit_test(scans_flushes_and_compaction_do_not_disturb_each_other),
        cmocka_unit_test(failing_anywhere_it_changes_nothing),
        cmocka_unit_test(a_damaged_segment_is_left_alone),
        cmocka_unit_test(deleted_rows_leave_the_disk),
        cmocka_unit_test(killed_anywhere_every_record_is_there_once),
    };

    if (argc == 4 && strcmp(argv[1], "victim") == 0)
        return victim(argv[2], argv[3]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
