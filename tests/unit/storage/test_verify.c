/*
 * storage/verify*.c: a directory as it was written is intact; one flipped bit anywhere in a
 * segment, one changed column of a catalog, is named.
 *
 * Of two small segments here one bit of every byte is flipped (under TSan of fewer bytes); all bits
 * with LOGQ_SWEEP=1 (scripts/sweep).  Each is a verification of its own, which is why this takes
 * its time.
 */
#include "storage/verify.h"

#include "storage/segment.h"
#include "tests/lib/feed.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 64 };

/* What a verification said. */
struct said {
    struct verify_result result;
    size_t n;
    char file[200], text[400]; /* of the first damage */
    int64_t block, offset;
    const char *want; /* some damage must be in this file */
    bool wanted;
};

static void hear(void *arg, const struct verify_finding *f)
{
    struct said *s = arg;

    if (f->kind == VERIFY_NOTE)
        return;
    if (s->want != NULL && strcmp(s->want, f->file) == 0)
        s->wanted = true;
    if (s->n++ > 0)
        return;
    (void)snprintf(s->file, sizeof(s->file), "%s", f->file);
    (void)snprintf(s->text, sizeof(s->text), "%s", f->text);
    s->block = f->block;
    s->offset = f->offset;
}

static struct said look(struct feed *f, bool keys, const char *want)
{
    struct verify_options opt = {.dir = f->data, .master_key = keys ? f->master : NULL};
    struct said s = {.want = want};
    struct err err;

    if (verify_structure(&opt, hear, &s, &s.result, &err) != 0)
        fail_msg("verify: %s", err.text);
    return s;
}

static void check_intact(struct feed *f)
{
    for (int keys = 0; keys < 2; keys++) {
        struct said s = look(f, keys == 1, NULL);
        if (s.n != 0)
            fail_msg("keys %d: %s: %s", keys, s.file, s.text);
        assert_int_equal(s.result.with_keys, keys);
    }
}

/* Some streams on two days, one of them strict, in three flushes. */
static int decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct batch *b = batch_new(NULL, 64 << 20);
    struct str text = arena_str(b->arena, p->bytes);
    uint64_t from = 0;
    uint64_t n = 0;
    int r = 0;

    (void)arg;
    if (!str_to_u64(str_cut(&text, ' '), &from) || !str_to_u64(text, &n))
        r = err_set(err, ERR_INVALID, "a chunk that is none");
    for (uint64_t i = from; r == 0 && i < from + n; i++) {
        struct label v[2] = {{STR("app"), i % 3 == 0 ? STR("a") : STR("b")},
                             {STR("source"), STR("kernel_audit")}};
        struct labels l = {v, i % 4 == 0 ? 2 : 1};
        struct label attr = {STR("detected_level"), i % 5 == 0 ? STR("warn") : STR("info")};
        struct record rec = {.ts = FEED_DAY + (ts_ns)(i % 2) * NS_PER_DAY + (ts_ns)i * NS_PER_S};
        rec.attr = arena_alloc(b->arena, sizeof(attr));
        *(struct label *)(uintptr_t)rec.attr = attr;
        rec.n_attr = 1;
        rec.line = arena_printf(b->arena, "request %" PRIu64 " took %" PRIu64 " ms", i * 7919, i);
        r = batch_stream(b, &l, &rec.stream, err);
        if (r == 0)
            r = batch_add(b, &rec, err);
    }
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

static void fill(struct feed *f, uint64_t from, uint64_t n)
{
    char text[64];
    struct err err;

    (void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, from, n);
    assert_int_equal(feed_put(f, "t", text), STORE_STORED);
    if (store_flush(f->s, &err) != 0)
        fail_msg("flush: %s", err.text);
}

static void make(struct feed *f)
{
    feed_init(f);
    f->make = f->opt.decode = decode;
    f->opt.no_compaction = true;
    feed_open(f);
    fill(f, 0, 60);
    fill(f, 60, 40);
}

/* Files below DATA/tenants whose names end so, relative to DATA. */
struct names {
    char v[NAMES][200];
    size_t n;
};

static void walk(const char *data, const char *at, const char *end, struct names *ret)
{
    char path[400];
    const struct dirent *e;
    DIR *d;

    (void)snprintf(path, sizeof(path), "%s/%s", data, at);
    d = opendir(path);
    if (d == NULL)
        return;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread reads it */
    while ((e = readdir(d)) != NULL) {
        char name[400];
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof(name), "%.100s/%.90s", at, e->d_name);
        if (e->d_type == DT_DIR)
            walk(data, name, end, ret);
        else if (str_ends(str_of(name), str_of(end)) && ret->n < NAMES)
            (void)snprintf(ret->v[ret->n++], sizeof(ret->v[0]), "%.199s", name);
    }
    (void)closedir(d);
}

static int open_in(const struct feed *f, const char *name)
{
    char path[400];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", f->data, name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void flip(int fd, off_t at, unsigned bit)
{
    uint8_t byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= (uint8_t)(1u << bit);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void an_untouched_directory_is_intact(void **state)
{
    struct verify_result *r;
    struct feed f;
    struct said s;
    struct err err;

    (void)state;
    make(&f);
    store_close(&f.s);
    check_intact(&f);
    s = look(&f, true, NULL);
    r = &s.result;
    assert_int_equal(r->partitions, 2);
    assert_int_equal(r->rows, 100);
    assert_true(r->segments >= 4 && r->blocks >= r->segments);
    assert_int_equal(r->bytes.total, r->bytes.time + r->bytes.lines + r->bytes.attrs +
                                         r->bytes.rollup + r->bytes.filters + r->bytes.overhead +
                                         r->bytes.catalog);
    assert_true(r->bytes.time > 0 && r->bytes.lines > 0 && r->bytes.attrs > 0);
    feed_open(&f);
    assert_int_equal(store_compact(f.s, &err), 0);
    store_close(&f.s);
    check_intact(&f);
    feed_open(&f); /* and once more: with what a compaction leaves behind */
    fill(&f, 100, 50);
    assert_int_equal(store_compact(f.s, &err), 0);
    store_close(&f.s);
    check_intact(&f);
    feed_fini(&f);
}

static void beside_a_running_store(void **state)
{
    struct verify_options opt = {.dir = NULL};
    struct said s = {.n = 0};
    struct names names = {.n = 0};
    struct err err;
    struct feed f;
    int fd;

    (void)state;
    make(&f);
    assert_int_equal(feed_put(&f, "t", "200 5"), STORE_STORED); /* in the WAL alone */
    assert_int_equal(verify_store(f.s, &opt, hear, &s, &s.result, &err), 0);
    if (s.n != 0)
        fail_msg("%s: %s", s.file, s.text);
    assert_int_equal(s.result.rows, 100);
    assert_true(s.result.wal_frames > 0);
    walk(f.data, "tenants", ".lqs", &names);
    fd = open_in(&f, names.v[0]);
    flip(fd, 300, 3);
    s = (struct said){.want = names.v[0]};
    assert_int_equal(verify_store(f.s, &opt, hear, &s, &s.result, &err), 0);
    assert_true(s.wanted);
    flip(fd, 300, 3);
    (void)close(fd);
    feed_fini(&f);
}

/* ---- bits ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* How far from the byte at `at` to the next that is flipped. */
static off_t step_at(off_t at, off_t size, bool all)
{
#ifdef __SANITIZE_THREAD__ /* ten times as slow, and looking for other things */
    bool at_ends = at < 600 || at + 600 > size;
    return all ? 1 : at_ends ? 8 : 32;
#else
    (void)at;
    (void)size;
    (void)all;
    return 1;
#endif
}

static void sweep(struct feed *f, const char *name, bool keys, bool all, uint64_t *seed)
{
    int fd = open_in(f, name);
    off_t size = lseek(fd, 0, SEEK_END);

    for (off_t at = 0; at < size; at += step_at(at, size, all)) {
        unsigned first = all ? 0 : (unsigned)(next_random(seed) % 8);
        for (unsigned bit = first; bit < (all ? 8 : first + 1); bit++) {
            struct said s;
            flip(fd, at, bit);
            s = look(f, keys, name);
            flip(fd, at, bit);
            if (!s.wanted)
                fail_msg("%s: bit %u of byte %lld (of %lld) was not missed; said: %s: %s", name,
                         bit, (long long)at, (long long)size, s.file, s.text);
        }
    }
    (void)close(fd);
}

static void every_byte_of_a_segment_counts(void **state)
{
    bool all = getenv("LOGQ_SWEEP") != NULL;
    struct names names = {.n = 0};
    uint64_t seed = 88172645463325252u;
    struct feed f;

    (void)state;
    feed_init(&f);
    f.make = f.opt.decode = decode;
    f.opt.no_compaction = true;
    feed_open(&f);
    fill(&f, 2, 4);
    store_close(&f.s);
    check_intact(&f);
    walk(f.data, "tenants", ".lqs", &names);
    assert_true(names.n >= 2);
    for (size_t i = 0; i < names.n && (all || i < 2); i++)
        sweep(&f, names.v[i], i % 2 == 1, all, &seed);
    feed_fini(&f);
}

static void cut_and_missing_files(void **state)
{
    struct names names = {.n = 0};
    char path[400], away[400];
    struct feed f;
    struct said s;
    int fd;

    (void)state;
    make(&f);
    store_close(&f.s);
    walk(f.data, "tenants", ".lqs", &names);
    fd = open_in(&f, names.v[0]);
    assert_int_equal(ftruncate(fd, lseek(fd, 0, SEEK_END) - 1), 0);
    (void)close(fd);
    s = look(&f, false, names.v[0]);
    assert_true(s.wanted);
    (void)snprintf(path, sizeof(path), "%s/%s", f.data, names.v[1]);
    (void)snprintf(away, sizeof(away), "%s/gone", f.path);
    assert_int_equal(rename(path, away), 0);
    s = look(&f, false, names.v[1]);
    assert_true(s.wanted);
    (void)snprintf(path, sizeof(path), "%s/tenants", f.data);
    (void)snprintf(away, sizeof(away), "%s/tenants-gone", f.path);
    assert_int_equal(rename(path, away), 0);
    s = look(&f, true, "meta.db");
    assert_true(s.wanted);
    feed_fini(&f);
}

/* ---- rows ---- */

static void run_sql(const struct feed *f, const char *db, const char *sql)
{
    sqlite3 *h = NULL;
    char path[400];
    char *text = NULL;

    (void)snprintf(path, sizeof(path), "%s/%s", f->data, db);
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    if (sqlite3_exec(h, "PRAGMA foreign_keys=OFF", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(h, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
    assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

/* What a column of a row is, as SQL that puts it back. */
static void read_value(const struct feed *f, const char *db, const char *sql, char *ret, size_t cap)
{
    sqlite3 *h = NULL;
    sqlite3_stmt *st = NULL;
    char path[400];

    (void)snprintf(path, sizeof(path), "%s/%s", f->data, db);
    assert_int_equal(sqlite3_open(path, &h), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    (void)snprintf(ret, cap, "%s", (const char *)sqlite3_column_text(st, 0));
    (void)sqlite3_finalize(st);
    assert_int_equal(sqlite3_close(h), SQLITE_OK);
}

struct column {
    const char *table, *name;
    bool blob, needs_key;
    const char *to; /* instead of a value beside it */
};

/* All but segments.todo and replaced.leaving between the values that they may have, and root and
 * rows of a replaced segment whose file is gone: nothing else knows them. */
static const struct column CATALOG[] = {
    {"partition", "tenant", false, false, NULL},
    {"partition", "day", false, false, NULL},
    {"partition", "applied", false, false, NULL},
    {"stream_ids", "hash", true, true, NULL},
    {"stream_ids", "id", false, true, NULL},
    {"stream_chunks", "first", false, false, NULL},
    {"stream_chunks", "n", false, true, NULL},
    {"stream_chunks", "body", true, true, NULL},
    {"index_runs", "id", false, false, NULL},
    {"index_runs", "bytes", false, false, NULL},
    {"index_runs", "pages", false, false, NULL},
    {"index_runs", "directory", true, true, NULL},
    {"index_pages", "id", false, false, NULL},
    {"index_pages", "body", true, true, NULL},
    {"segments", "id", false, false, NULL},
    {"segments", "uuid", true, false, NULL},
    {"segments", "class", false, false, NULL},
    {"segments", "level", false, false, NULL},
    {"segments", "todo", false, false, "2"},
    {"segments", "todo", false, false, "3"},
    {"segments", "wal_from", false, false, NULL},
    {"segments", "wal_to", false, false, NULL},
    {"segments", "rows", false, false, NULL},
    {"segments", "line_bytes", false, false, NULL},
    {"segments", "raw_bytes", false, false, NULL},
    {"segments", "stored_bytes", false, false, NULL},
    {"segments", "min_ts", false, false, NULL},
    {"segments", "max_ts", false, false, NULL},
    {"segments", "min_received", false, false, NULL},
    {"segments", "max_received", false, false, NULL},
    {"segments", "min_seq", false, false, NULL},
    {"segments", "max_seq", false, false, NULL},
    {"segments", "root", true, false, NULL},
    {"segments", "footer", false, false, NULL},
    {"segments", "blocks", false, false, NULL},
    {"segments", "streams", true, true, NULL},
    {"blocks", "segment", false, false, NULL},
    {"blocks", "idx", false, false, NULL},
    {"blocks", "offset", false, false, NULL},
    {"blocks", "stored_bytes", false, false, NULL},
    {"blocks", "raw_bytes", false, false, NULL},
    {"blocks", "rows", false, false, NULL},
    {"blocks", "frames", false, false, NULL},
    {"blocks", "first_stream", false, false, NULL},
    {"blocks", "last_stream", false, false, NULL},
    {"blocks", "min_ts", false, false, NULL},
    {"blocks", "max_ts", false, false, NULL},
    {"replaced", "uuid", true, false, NULL},
    {"replaced", "class", false, false, NULL},
    {"replaced", "new_uuid", true, false, NULL},
    {"replaced", "new_root", true, false, NULL},
    {"replaced", "new_rows", false, false, NULL},
    {"replaced", "leaving", false, false, "2"},
};

/* One bit of a blob's last byte, or a number one up.  Every row of the table. */
static void change(struct feed *f, const char *db, const struct column *c)
{
    char sql[600], key[200], value[64 << 10];
    bool rowid = strcmp(c->table, "blocks") != 0 && strcmp(c->table, "stream_ids") != 0 &&
                 strcmp(c->table, "replaced") != 0;
    const char *id = strcmp(c->table, "blocks") == 0     ? "segment * 1000 + idx"
                     : rowid                             ? "rowid"
                     : strcmp(c->table, "replaced") == 0 ? "hex(uuid)"
                                                         : "hex(hash)";
    bool is_id = strcmp(c->name, "id") == 0 || strcmp(c->name, "idx") == 0 ||
                 strcmp(c->name, "first") == 0 || strcmp(c->name, "segment") == 0;
    uint64_t n = 0;

    (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", c->table);
    read_value(f, db, sql, key, sizeof(key));
    assert_true(str_to_u64(str_of(key), &n));
    if (n == 0)
        fail_msg("table %s has no rows to be changed", c->table);
    for (uint64_t i = 0; i < n; i++) {
        struct said s;
        char away[sizeof(value) + 8];
        (void)snprintf(sql, sizeof(sql),
                       "SELECT quote(%s) FROM %s ORDER BY 1 LIMIT 1 OFFSET %" PRIu64, id, c->table,
                       i);
        read_value(f, db, sql, key, sizeof(key));
        (void)snprintf(sql, sizeof(sql), "SELECT quote(%s) FROM %s WHERE %s = %s", c->name,
                       c->table, id, key);
        read_value(f, db, sql, value, sizeof(value));
        if (c->blob) { /* X'...': the last digit */
            size_t at = strlen(value) - 2;
            (void)snprintf(away, sizeof(away), "%s", value);
            away[at] = away[at] == '0' ? '1' : '0';
        } else {
            (void)snprintf(away, sizeof(away), "%s+%d", value, is_id ? 1000 : 1);
        }
        char *update = malloc(sizeof(away) + 400);
        assert_non_null(update);
        /* The row is found again by what it has now: no other has the like. */
        (void)snprintf(update, sizeof(away) + 400,
                       "CREATE TABLE was AS SELECT * FROM %s; UPDATE %s SET %s = %s WHERE %s = %s",
                       c->table, c->table, c->name, c->to != NULL ? c->to : away, id, key);
        run_sql(f, db, update);
        free(update);
        s = look(f, c->needs_key || i % 2 == 0, NULL);
        (void)snprintf(sql, sizeof(sql),
                       "DELETE FROM %s; INSERT INTO %s SELECT * FROM was; DROP TABLE was", c->table,
                       c->table);
        run_sql(f, db, sql);
        if (s.result.damage == 0)
            fail_msg("%s.%s of row %s: %.80s was changed, and nothing said", c->table, c->name, key,
                     value);
    }
}

static void every_column_of_a_catalog_counts(void **state)
{
    struct names names = {.n = 0};
    struct feed f;
    struct err err;

    (void)state;
    make(&f);
    assert_int_equal(store_compact(f.s, &err), 0);
    fill(&f, 100, 10);
    store_close(&f.s);
    check_intact(&f);
    walk(f.data, "tenants", "catalog.db", &names);
    assert_int_equal(names.n, 2);
    for (size_t i = 0; i < sizeof(CATALOG) / sizeof(CATALOG[0]); i++)
        change(&f, names.v[i % 2], &CATALOG[i]);
    check_intact(&f); /* all of it was put back */
    feed_fini(&f);
}

static void meta_and_keys_fit_the_days(void **state)
{
    static const char *const CHANGES[] = {
        "UPDATE partition SET rows = rows + 1",
        "UPDATE partition SET line_bytes = line_bytes + 1",
        "UPDATE partition SET stored_bytes = stored_bytes - 1",
        "UPDATE partition SET segments = segments + 1",
        "UPDATE partition SET min_ts = min_ts - 1",
        "UPDATE partition SET max_ts = max_ts + 1",
        "UPDATE partition SET newest_received = newest_received + 1",
        "UPDATE partition SET state = 2",
        "DELETE FROM partition WHERE day = 20260110",
        "DELETE FROM tenant",
    };
    char sql[300];
    struct feed f;
    struct said s;

    (void)state;
    make(&f);
    store_close(&f.s);
    for (size_t i = 0; i < sizeof(CHANGES) / sizeof(CHANGES[0]); i++) {
        const char *table = i == 9 ? "tenant" : "partition";
        (void)snprintf(sql, sizeof(sql), "CREATE TABLE was AS SELECT * FROM %s; %s", table,
                       CHANGES[i]);
        run_sql(&f, "meta.db", sql);
        s = look(&f, i % 2 == 0, "meta.db");
        if (!s.wanted)
            fail_msg("%s: not told", CHANGES[i]);
        (void)snprintf(sql, sizeof(sql),
                       "DELETE FROM %s; INSERT INTO %s SELECT * FROM was; DROP TABLE was", table,
                       table);
        run_sql(&f, "meta.db", sql);
    }
    check_intact(&f);
    run_sql(&f, "keyring.db", "DELETE FROM partition_key WHERE day = 20260110");
    assert_true(look(&f, false, "keyring.db").wanted);
    assert_true(look(&f, true, "keyring.db").wanted);
    feed_fini(&f);
}

/* What a compaction leaves that dies between the catalog and meta.db. */
static void a_row_that_is_behind_says_so_and_is_mended(void **state)
{
    struct feed f;
    struct said s;
    struct err err;

    (void)state;
    make(&f);
    store_close(&f.s);
    run_sql(&f, "meta.db", "UPDATE partition SET rows = rows + 1, state = 3");
    s = look(&f, true, NULL);
    assert_int_equal(s.n, 0);
    assert_true(s.result.notes > 0);
    feed_open(&f);
    assert_int_equal(store_compact(f.s, &err), 0);
    store_close(&f.s);
    s = look(&f, true, NULL);
    assert_int_equal(s.n, 0);
    assert_int_equal(s.result.notes, 0);
    run_sql(&f, "meta.db", "UPDATE partition SET rows = rows + 1"); /* and this is damage */
    assert_true(look(&f, true, "meta.db").wanted);
    feed_fini(&f);
}

static void make_dir(const struct feed *f, const char *tenant, const char *day)
{
    char path[400];

    (void)snprintf(path, sizeof(path), "%s/tenants/%s/%s", f->data, tenant, day);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void a_day_that_was_being_made_is_no_damage(void **state)
{
    struct feed f;
    char tenant[17] = "", sql[200], path[400];
    struct said s;

    (void)state;
    make(&f);
    store_close(&f.s);
    read_value(&f, "meta.db", "SELECT printf('%016x', tenant) FROM partition LIMIT 1", tenant,
               sizeof(tenant));
    make_dir(&f, tenant, "20260301");
    run_sql(&f, "keyring.db",
            "INSERT INTO partition_key(tenant, day, wrapped)"
            " SELECT tenant, 20260301, wrapped FROM partition_key LIMIT 1");
    s = look(&f, false, NULL);
    assert_int_equal(s.n, 0);
    assert_int_equal(s.result.notes, 1);
    (void)snprintf(path, sizeof(path), "%s/tenants/%s/20260301/catalog.db", f.data, tenant);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    s = look(&f, false, NULL);
    assert_int_equal(s.n, 0);
    assert_true(s.result.notes > 0);
    /* With a row in meta.db it is lost, not begun. */
    (void)snprintf(sql, sizeof(sql),
                   "CREATE TABLE new AS SELECT * FROM partition LIMIT 1; UPDATE new SET day = "
                   "20260301; INSERT INTO partition SELECT * FROM new; DROP TABLE new");
    run_sql(&f, "meta.db", sql);
    assert_true(look(&f, false, NULL).n > 0);
    feed_fini(&f);
}

/* ---- WAL ---- */

static void a_damaged_frame_is_named(void **state)
{
    struct names names = {.n = 0};
    struct feed f;
    char text[64], copy[500];
    struct said s;
    int fd;

    (void)state;
    feed_init(&f);
    f.make = f.opt.decode = decode;
    f.opt.no_compaction = true;
    feed_open(&f);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(text, sizeof(text), "%d 10", i * 10);
        assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    }
    /* As a crash leaves it: a copy of the directory as it is now. */
    (void)snprintf(copy, sizeof(copy), "cp -a %s %s/copy && rm -rf %s/copy/lock", f.data, f.path,
                   f.path);
    /* NOLINTNEXTLINE(cert-env33-c,concurrency-mt-unsafe) */
    assert_int_equal(system(copy), 0);
    store_close(&f.s);
    (void)snprintf(f.data, sizeof(f.data), "%.60s/copy", f.path);
    check_intact(&f);
    s = look(&f, true, NULL);
    assert_int_equal(s.result.wal_frames, 8);
    walk(f.data, "wal", ".wal", &names);
    assert_int_equal(names.n, 1);
    fd = open_in(&f, names.v[0]);
    flip(fd, 128 + 60, 1); /* sealed bytes of the first frame */
    s = look(&f, true, names.v[0]);
    assert_true(s.wanted);
    assert_int_equal(s.offset, 128);
    assert_int_equal(s.result.wal_frames, 7);
    flip(fd, 128 + 60, 1);
    flip(fd, 128 + 9, 1); /* its header: needs no key */
    s = look(&f, false, names.v[0]);
    assert_true(s.wanted);
    flip(fd, 128 + 9, 1);
    flip(fd, 20, 1);
    assert_true(look(&f, false, names.v[0]).wanted);
    (void)close(fd);
    feed_fini(&f);
}

static void a_running_store_is_not_touched(void **state)
{
    struct verify_options opt = {.dir = NULL};
    struct verify_result result;
    struct err err;
    struct feed f;

    (void)state;
    make(&f);
    opt.dir = f.data;
    assert_int_equal(verify_structure(&opt, NULL, NULL, &result, &err), ERR_EXISTS);
    feed_fini(&f);
}

/* ---- crashes ---- */

#ifdef LOGQ_FAULTS
static void victim(const char *data, const char *master)
{
    struct feed f = {.dir = -1, .make = decode};
    struct err err;

    f.opt = (struct store_options){.dir = data,
                                   .master_key = master,
                                   .decode = decode,
                                   .ballast_bytes = UINT64_MAX,
                                   .no_compaction = true,
                                   .min_free = 1e-9};
    feed_open(&f);
    fill(&f, 200, 20);
    assert_int_equal(feed_put(&f, "t", "300 20"), STORE_STORED);
    (void)store_compact(f.s, &err);
    (void)store_flush(f.s, &err);
    (void)store_retire(f.s, time_now() + 400 * NS_PER_DAY, &err);
    _exit(0); /* it was to die before */
}

/* What a crash leaves is no damage: neither before the next start nor after it. */
static void a_crash_is_no_damage(void **state)
{
    static const char *const POINTS[] = {
        "segment.published:kill:1", "segment.published:kill:2", "partition.committed:kill:1",
        "flush.day:kill:1",         "flush.day:kill:3",         "flush.swapped:kill:1",
        "compact.published:kill:1", "compact.committed:kill:1", "compact.committed:kill:2",
        "wal.synced:kill:2",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(POINTS) / sizeof(POINTS[0]); i++) {
        char fault[100];
        char *env[] = {fault, NULL};
        struct feed f;
        struct said s;
        int status = 0;
        pid_t pid;
        make(&f);
        store_close(&f.s);
        (void)snprintf(fault, sizeof(fault), "LOGQ_FAULT=%s", POINTS[i]);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)execle("/proc/self/exe", "test_verify", "victim", f.data, f.master, (char *)NULL,
                         env);
            _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("%s: not hit", POINTS[i]);
        s = look(&f, true, NULL);
        if (s.n != 0)
            fail_msg("%s: %s: %s", POINTS[i], s.file, s.text);
        feed_open(&f);
        store_close(&f.s);
        s = look(&f, true, NULL);
        if (s.n != 0)
            fail_msg("%s, started again: %s: %s", POINTS[i], s.file, s.text);
        feed_fini(&f);
    }
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_directory_is_intact),
        cmocka_unit_test(beside_a_running_store),
        cmocka_unit_test(every_byte_of_a_segment_counts),
        cmocka_unit_test(cut_and_missing_files),
        cmocka_unit_test(every_column_of_a_catalog_counts),
        cmocka_unit_test(meta_and_keys_fit_the_days),
        cmocka_unit_test(a_row_that_is_behind_says_so_and_is_mended),
        cmocka_unit_test(a_day_that_was_being_made_is_no_damage),
        cmocka_unit_test(a_damaged_frame_is_named),
        cmocka_unit_test(a_running_store_is_not_touched),
#ifdef LOGQ_FAULTS
        cmocka_unit_test(a_crash_is_no_damage),
#endif
    };

#ifdef LOGQ_FAULTS
    if (argc == 4 && strcmp(argv[1], "victim") == 0)
        victim(argv[2], argv[3]);
#else
    (void)argc;
    (void)argv;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
