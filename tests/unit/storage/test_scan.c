/*
 * storage/scan_*.c: whatever is asked of head and segments, the answer is that of a naive walk over
 * all records, each once, in the order asked for; within its budget; and with damage named.
 *
 * LOGQ_SWEEP=1 asks three times as much (scripts/sweep).
 */
#include "base/file.h"
#include "storage/id_filter.h"
#include "storage/le.h"
#include "storage/segment_format.h"
#include "tests/unit/storage/scan_world.h"

#include <stdlib.h>

/* ---- comparing ---- */

struct collected {
    struct batch **batch;
    struct answer a;
    size_t n_batches;
};

static void collect(struct scan *sc, const struct scan_request *req, struct collected *c)
{
    struct err err;
    int r = 0;

    memset(c, 0, sizeof(*c));
    c->batch = calloc((size_t)TENANTS * RECORDS_MAX + 1, sizeof(struct batch *));
    c->a.v = calloc((size_t)TENANTS * RECORDS_MAX, sizeof(*c->a.v));
    while ((r = scan_next(sc, &c->batch[c->n_batches], &err)) == 0) {
        struct batch *b = c->batch[c->n_batches++];
        assert_true(b->n_records > 0);
        assert_true(b->n_records <= (req->batch_records == 0 ? 1024 : req->batch_records));
        for (uint32_t i = 0; i < b->n_records; i++)
            c->a.v[c->a.n++] = (struct hit){b, &b->records[i]};
    }
    if (r != 1)
        fail_msg("%s", err.text);
    if (req->order == SCAN_ANY)
        qsort(c->a.v, c->a.n, sizeof(*c->a.v), by_seq);
}

static void free_collected(struct collected *c)
{
    for (size_t i = 0; i < c->n_batches; i++)
        batch_unref(&c->batch[i]);
    free((void *)c->batch);
    free(c->a.v);
}

static void check_hit(const struct scan_request *req, const struct hit *got, const struct hit *want,
                      size_t i)
{
    struct record w = *want->rec;
    const char *what;

    if (!req->need_line)
        w.line = STR_NULL;
    if (!req->need_attrs)
        w.n_attr = 0;
    what = records_differ(got->b, got->rec, want->b, &w);
    if (what != NULL)
        fail_msg("row %zu: %s (seq %llu, want %llu)", i, what, (unsigned long long)got->rec->seq,
                 (unsigned long long)want->rec->seq);
}

static void check_scan(const struct world *w, size_t tenants, const struct scan_request *req)
{
    struct answer want = naive(w, tenants, req);
    struct collected got;
    struct scan *sc = NULL;
    struct scan_stats st = {.lines = 0};
    struct err err;

    if (start(w, tenants, req, &sc, &err) < 0)
        fail_msg("%s", err.text);
    collect(sc, req, &got);
    scan_stats(sc, &st);
    assert_int_equal(got.a.n, want.n);
    for (size_t i = 0; i < want.n; i++)
        check_hit(req, &got.a.v[i], &want.v[i], i);
    assert_int_equal(st.lines_out, want.n);
    assert_int_equal(st.damaged_blocks, 0);
    assert_true(st.blocks_read <= st.blocks && st.lines >= st.lines_out);
    scan_close(&sc);
    free_collected(&got);
    free(want.v);
}

static void any_question_has_the_naive_answer(void **state)
{
    unsigned rounds = getenv("LOGQ_SWEEP") != NULL ? 120 : 40;
    uint64_t rng = 4711;

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct world w = make_world(seed, 40 + 90 * (uint32_t)seed, seed == 1);
        struct err err;
        if (seed > 0) /* so small that things come and go */
            w.frames = frame_cache_new((size_t)128 << 10, NULL);
        if (seed > 1)
            assert_int_equal(scan_pool_new(2, &w.pool, &err), 0);
        for (unsigned round = 0; round < rounds; round++) {
            struct mem_budget budget = {.name = "query"};
            struct question q;
            ask(&q, &rng);
            q.req.budget = &budget;
            check_scan(&w, 1 + records_random(&rng) % TENANTS, &q.req);
            assert_int_equal(budget.used, 0); /* all of it was given back */
            forget(&q);
        }
        free_world(&w);
    }
}

static void small_questions_have_the_naive_answer_however_often(void **state)
{
    struct world w = make_world(7, 700, false);
    uint64_t rng = 815;
    struct err err;

    (void)state;
    w.frames = frame_cache_new((size_t)4 << 20, NULL);
    assert_int_equal(scan_pool_new(2, &w.pool, &err), 0);
    for (unsigned round = 0; round < 60; round++) {
        struct mem_budget budget = {.name = "query"};
        struct question q;
        ask(&q, &rng);
        q.req.budget = &budget;
        q.req.n_filters = 0;
        q.req.order = round % 2 == 0 ? SCAN_FORWARD : SCAN_BACKWARD;
        q.req.expect = 1 + records_random(&rng) % (round % 3 == 0 ? 1000 : 100);
        check_scan(&w, 1 + round % TENANTS, &q.req);
        assert_int_equal(budget.used, 0);
        forget(&q);
    }
    free_world(&w);
}

/* Wherever the flush's one step has got to, head and segments together are the same records. */
static void every_position_shows_each_record_once(void **state)
{
    static const uint64_t positions[] = {0, 20, 40, 60, 70};
    struct world w = make_world(9, 50, false);
    struct scan_request req = {
        .from = INT64_MIN, .to = INT64_MAX, .order = SCAN_BACKWARD, .need_line = true};

    (void)state;
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++) {
        w.visible = positions[i];
        check_scan(&w, TENANTS, &req);
    }
    free_world(&w);
}

/* ---- limits ---- */

static void the_newest_lines_cost_the_newest_day(void **state)
{
    struct world w = make_world(5, 200, false);
    struct scan_request req = {.from = INT64_MIN,
                               .to = INT64_MAX,
                               .order = SCAN_BACKWARD,
                               .need_line = true,
                               .batch_records = 3};
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct scan_stats st = {.lines = 0};
    struct err err;

    (void)state;
    w.visible = 70;
    assert_int_equal(start(&w, 1, &req, &sc, &err), 0);
    assert_int_equal(scan_next(sc, &b, &err), 0);
    assert_int_equal(b->n_records, 3);
    scan_stats(sc, &st);
    assert_int_equal(st.partitions, 1); /* of three: the others were not even opened */
    batch_unref(&b);
    scan_close(&sc);
    free_world(&w);
}

/* Of the first block not many more rows are looked at than fill the window: those of equal times.
 */
static void the_first_rows_do_not_cost_whole_blocks(void **state)
{
    enum { RECORDS = 2000 }; /* of a batch, and of a block */
    struct world w = make_world(5, RECORDS, false);
    struct scan_request req = {.from = INT64_MIN,
                               .to = INT64_MAX,
                               .order = SCAN_FORWARD,
                               .need_line = true,
                               .batch_records = 10,
                               .expect = 10};
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct scan_stats st = {.lines = 0};
    struct err err;

    (void)state;
    assert_int_equal(start(&w, 1, &req, &sc, &err), 0);
    assert_int_equal(scan_next(sc, &b, &err), 0);
    assert_int_equal(b->n_records, 10);
    scan_stats(sc, &st);
    assert_int_equal(st.blocks_read, 1);
    assert_true(st.lines < RECORDS + RECORDS / 2); /* a batch of the head is looked at as a whole */
    batch_unref(&b);
    scan_close(&sc);
    free_world(&w);
}

static int run(const struct world *w, const struct scan_request *req, struct scan_stats *st,
               struct err *err)
{
    struct scan *sc = NULL;
    struct batch *b = NULL;
    int r = start(w, 1, req, &sc, err);

    while (r == 0 && (r = scan_next(sc, &b, err)) == 0)
        batch_unref(&b);
    if (sc != NULL)
        scan_stats(sc, st);
    scan_close(&sc);
    return r;
}

/* The first batch of a question, with statistics. */
static struct batch *first_batch(const struct world *w, const struct scan_request *req,
                                 struct scan_stats *st)
{
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct err err;

    assert_int_equal(start(w, 1, req, &sc, &err), 0);
    assert_int_equal(scan_next(sc, &b, &err), 0);
    scan_stats(sc, st);
    scan_close(&sc);
    return b;
}

static void the_same_few_rows_are_read_once(void **state)
{
    struct world w = make_world(5, 2000, false);
    struct scan_request req = {.from = INT64_MIN,
                               .to = INT64_MAX,
                               .need_line = true,
                               .need_attrs = true,
                               .batch_records = 100,
                               .expect = 100};

    (void)state;
    flush(&w, 0, 70, 90);
    w.visible = 90;
    w.frames = frame_cache_new(0, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct scan_stats once = {.lines = 0};
        struct scan_stats again = {.lines = 0};
        struct batch *a;
        struct batch *b;
        req.order = i == 0 ? SCAN_FORWARD : SCAN_BACKWARD;
        a = first_batch(&w, &req, &once);
        b = first_batch(&w, &req, &again);
        assert_int_equal(a->n_records, 100);
        assert_int_equal(b->n_records, 100);
        for (uint32_t k = 0; k < 100; k++)
            assert_null(records_differ(a, &a->records[k], b, &b->records[k]));
        assert_true(once.blocks_read > 0);
        assert_int_equal(again.blocks_read, 0);
        batch_unref(&a);
        batch_unref(&b);
    }
    free_world(&w);
}

static void a_scan_stays_in_its_budget(void **state)
{
    struct world w = make_world(6, 70, true);
    unsigned refused = 0;
    struct scan_stats st = {.lines = 0};
    struct err err;

    (void)state;
    for (size_t limit = 1 << 12; limit <= (size_t)64 << 20; limit *= 2) {
        struct mem_budget budget = {.name = "query", .limit = limit};
        struct scan_request req = {.from = INT64_MIN,
                                   .to = INT64_MAX,
                                   .order = SCAN_FORWARD,
                                   .need_line = true,
                                   .need_attrs = true,
                                   .budget = &budget};
        int r = run(&w, &req, &st, &err);
        assert_true(r == 1 || r == ERR_NOMEM);
        if (r == ERR_NOMEM)
            assert_non_null(strstr(err.text, "query"));
        assert_int_equal(budget.used, 0);
        assert_true(budget.peak <= limit);
        refused += r == ERR_NOMEM;
    }
    assert_true(refused > 2 && refused < 15);
    free_world(&w);
}

static void a_scan_looks_at_so_many_bytes(void **state)
{
    struct world w = make_world(7, 200, false);
    struct scan_request req = {
        .from = INT64_MIN, .to = INT64_MAX, .need_line = true, .max_line_bytes = 2000};
    struct scan_stats st = {.lines = 0};
    struct err err;

    (void)state;
    assert_int_equal(run(&w, &req, &st, &err), ERR_LIMIT);
    req.max_line_bytes = UINT64_MAX;
    assert_int_equal(run(&w, &req, &st, &err), 1);
    req.max_line_bytes = st.line_bytes;
    assert_int_equal(run(&w, &req, &st, &err), 1);
    req.max_line_bytes--;
    assert_int_equal(run(&w, &req, &st, &err), ERR_LIMIT);
    free_world(&w);
}

static void a_cancelled_scan_ends(void **state)
{
    struct world w = make_world(7, 50, false);
    atomic_bool cancel = false;
    struct scan_request req = {
        .from = INT64_MIN, .to = INT64_MAX, .batch_records = 1, .cancel = &cancel};
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct err err;
    int r = 0;

    (void)state;
    assert_int_equal(start(&w, 1, &req, &sc, &err), 0);
    assert_int_equal(scan_next(sc, &b, &err), 0);
    batch_unref(&b);
    atomic_store(&cancel, true);
    for (unsigned left = 1000; r == 0 && left > 0; left--) {
        r = scan_next(sc, &b, &err);
        if (r == 0)
            batch_unref(&b);
    }
    assert_int_equal(r, ERR_CANCELLED);
    scan_close(&sc);
    free_world(&w);
}

static atomic_bool cancel_now;

/* Called from within a block. */
static enum scan_verdict be_cancelled(const void *arg, struct str value)
{
    (void)arg;
    (void)value;
    atomic_store(&cancel_now, true);
    return SCAN_PASSES;
}

static uint64_t blocks_read(const struct world *w, const struct scan_request *req, int want)
{
    struct scan_stats st = {.lines = 0};
    struct err err;

    assert_int_equal(run(w, req, &st, &err), want);
    return st.blocks_read;
}

static void after_a_cancel_each_thread_ends_its_block_and_begins_none(void **state)
{
    const struct scan_test test = {.label = STR("trace_id"), .judge = be_cancelled};
    const struct scan_condition condition = {&test, 1};
    struct scan_request req = {.from = INT64_MIN,
                               .to = INT64_MAX,
                               .need_line = true,
                               .need_attrs = true,
                               .conditions = &condition,
                               .n_conditions = 1};
    struct err err;

    (void)state;
    for (unsigned threads = 0; threads < 3; threads++) {
        struct world w = open_world();
        make_batches(&w, 7, 200, false);
        for (size_t i = 0; i < BATCHES; i++)
            flush(&w, 0, 10 * i, 10 * (i + 1)); /* each batch in segments of its own */
        w.visible = 10 * BATCHES;
        if (threads > 0)
            assert_int_equal(scan_pool_new(threads, &w.pool, &err), 0);
        for (enum scan_order order = SCAN_ANY; order <= SCAN_BACKWARD; order++) {
            uint64_t n;
            req.order = order;
            req.cancel = NULL;
            assert_true(blocks_read(&w, &req, 1) > 10);
            req.cancel = &cancel_now;
            atomic_store(&cancel_now, false);
            n = blocks_read(&w, &req, ERR_CANCELLED);
            assert_in_range(n, 1, threads + 1);
        }
        free_world(&w);
    }
}

/* ---- damage ---- */

/* Overwrite the middle of one segment of a day; returns the name of the file. */
static void damage_a_segment(const struct world *w, char name[SEGMENT_NAME_MAX])
{
    int dir = openat(w->dir, "tenants/0000000000000001/20261122", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(dup(dir));
    const struct dirent *e;
    int fd;

    while ((e = readdir(d)) != NULL)
        if (strstr(e->d_name, ".lqs") != NULL)
            (void)snprintf(name, SEGMENT_NAME_MAX, "%.36s", e->d_name);
    assert_int_equal(closedir(d), 0);
    fd = openat(dir, name, O_WRONLY);
    assert_true(pwrite(fd, "damage", 6, 700) == 6);
    assert_int_equal(close(fd), 0);
    assert_int_equal(close(dir), 0);
}

static void a_damaged_block_is_named_and_passed_over(void **state)
{
    struct world w = make_world(8, 60, false);
    struct scan_request req = {
        .from = INT64_MIN, .to = INT64_MAX, .order = SCAN_FORWARD, .need_line = true};
    struct partition_cache_stats cs;
    char name[SEGMENT_NAME_MAX] = "";
    struct scan_stats good;
    struct scan_stats st = {.lines = 0};
    struct err err;

    (void)state;
    w.visible = 70;
    assert_int_equal(run(&w, &req, &good, &err), 1);
    damage_a_segment(&w, name);
    assert_int_equal(run(&w, &req, &st, &err), 1);
    assert_int_equal(st.damaged_blocks, 1);
    assert_non_null(strstr(st.damage, name));
    assert_non_null(strstr(st.damage, "block 0"));
    assert_true(st.lines_out > 0 && st.lines_out < good.lines_out);
    partition_cache_stats(w.cache, &cs);
    assert_int_equal(cs.damaged, 1);
    free_world(&w);
}

/* ---- ids ---- */

/* Line i of batch k. */
static struct str id_line(struct arena *a, size_t k, uint32_t i)
{
    uint64_t rng = (1000 * k + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t high = records_random(&rng);

    return arena_printf(a, "GET /cart trace=%016llx%016llx took=%u", (unsigned long long)high,
                        (unsigned long long)records_random(&rng), i);
}

/* Batches of lines with an id each, all of the second day; those of the second tenant are empty. */
static struct world make_id_world(uint32_t records)
{
    struct world w = open_world();
    struct labels l = {NULL, 0};
    struct err err;

    for (size_t t = 0; t < TENANTS; t++)
        for (size_t k = 0; k < BATCHES; k++) {
            struct batch *b = batch_new(NULL, 0);
            struct record rec = {.ts = time_of_day(DAY + 1)};
            assert_int_equal(batch_stream(b, &l, &rec.stream, &err), 0);
            for (uint32_t i = 0; i < (t == 0 ? records : 0); i++) {
                rec.seq = 1000 * k + i + 1;
                rec.ts++;
                rec.line = id_line(b->arena, k, i);
                assert_int_equal(batch_add(b, &rec, &err), 0);
            }
            w.batch[t][k] = b;
            w.pos[t][k] = 10 * (k + 1);
        }
    for (uint64_t k = 0; k < BATCHES - 1; k++) {
        flush(&w, 0, 10 * k, 10 * (k + 1));
        flush(&w, 1, 10 * k, 10 * (k + 1));
    }
    w.visible = 10 * (BATCHES - 1);
    return w;
}

static void ask_id(const struct world *w, struct str text, struct scan_stats *st)
{
    struct scan_filter f = {.op = SCAN_CONTAINS, .text = &text, .n = 1};
    struct scan_request req = {
        .from = INT64_MIN, .to = INT64_MAX, .need_line = true, .filters = &f, .n_filters = 1};
    struct err err;

    assert_int_equal(run(w, &req, st, &err), 1);
}

static void an_id_is_looked_for_where_it_may_be(void **state)
{
    struct world w = make_id_world(200);
    struct arena *a = arena_new(NULL, 0);
    struct scan_stats st = {.lines = 0};

    (void)state;
    w.frames = frame_cache_new(0, NULL);
    for (size_t k = 0; k < BATCHES - 1; k++) {
        struct str line = id_line(a, k, (uint32_t)k * 20);
        ask_id(&w, str_sub(line, 16, 32), &st);
        assert_int_equal(st.lines_out, 1);
        assert_in_range(st.blocks, 1, 2);       /* the second by chance */
        ask_id(&w, str_sub(line, 16, 31), &st); /* too short for an id */
        assert_int_equal(st.lines_out, 1);
        assert_int_equal(st.blocks, BATCHES - 1);
    }
    ask_id(&w, STR("00112233445566778899aabbccddeeff"), &st);
    assert_true(st.lines_out == 0 && st.blocks <= 1 && st.segments == BATCHES - 1);
    arena_free(&a);
    free_world(&w);
}

/* Overwrite the last byte of the ids of each segment; how many there are. */
static size_t damage_ids(const struct world *w)
{
    int dir = openat(w->dir, "tenants/0000000000000001/20261122", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(dup(dir));
    const struct dirent *e;
    size_t n = 0;

    while ((e = readdir(d)) != NULL) {
        uint8_t end[32];
        uint8_t byte;
        off_t at;
        int fd;
        if (strstr(e->d_name, ".lqs") == NULL)
            continue;
        fd = openat(dir, e->d_name, O_RDWR);
        at = lseek(fd, 0, SEEK_END);
        assert_true(pread(fd, end, sizeof(end), at - 32) == 32);
        at = (off_t)(le_get64(end) - le_get32(end + 16)) - 1;
        assert_true(pread(fd, &byte, 1, at) == 1);
        byte ^= 1;
        assert_true(pwrite(fd, &byte, 1, at) == 1);
        assert_int_equal(close(fd), 0);
        n++;
    }
    assert_int_equal(closedir(d), 0);
    assert_int_equal(close(dir), 0);
    return n;
}

static void damaged_ids_are_named_and_hide_nothing(void **state)
{
    struct world w = make_id_world(50);
    struct arena *a = arena_new(NULL, 0);
    struct scan_stats st = {.lines = 0};
    size_t n = damage_ids(&w);

    (void)state;
    assert_int_equal(n, BATCHES - 1);
    ask_id(&w, str_sub(id_line(a, 4, 7), 16, 32), &st);
    assert_int_equal(st.lines_out, 1);
    assert_int_equal(st.blocks, n);
    assert_int_equal(st.damaged_blocks, n);
    assert_non_null(strstr(st.damage, " ids"));
    arena_free(&a);
    free_world(&w);
}

/* Write the file anew with an index that says: whatever is asked for is in no block.  Its checksum
 * fits.  `without_pages`: as of lines without any id. */
static void forge_index(int dir, const char *name, bool without_pages)
{
    struct id_filter *f = NULL;
    uint8_t end[SEGMENT_TRAILER];
    struct segment_trailer t;
    struct str file;
    uint64_t index;
    struct buf b;
    struct buf out;
    struct err err;

    buf_init(&b, 64 << 20);
    buf_init(&out, 64 << 20);
    assert_int_equal(file_read(dir, name, &b, &err), 0);
    file = buf_str(&b);
    assert_int_equal(
        segment_trailer_get((const uint8_t *)file.p + file.n - SEGMENT_TRAILER, file.n, &t, &err),
        0);
    index = t.footer - t.index_bytes;
    assert_int_equal(id_filter_get(str_sub(file, (size_t)index, t.index_bytes), 0, index, &f, &err),
                     0);
    buf_add_str(&out, str_sub(file, 0, (size_t)(without_pages ? f->at[0] : index)));
    memset(&f->group[0].covered, 0xff, sizeof(f->group[0].covered));
    if (without_pages) {
        f->n_groups = 1;
        f->group[0].n_pages = f->n_pages = f->group[0].crc = 0;
    }
    index = out.n;
    id_filter_put(&out, f);
    t.index_bytes = (uint32_t)(out.n - index);
    buf_add_str(&out, str_sub(file, (size_t)t.footer, (size_t)t.footer_bytes));
    t.footer = out.n - t.footer_bytes;
    segment_trailer_put(&t, end);
    buf_add(&out, end, sizeof(end));
    assert_int_equal(file_replace(dir, name, 0600, buf_str(&out), &err), 0);
    id_filter_free(&f);
    buf_fini(&b);
    buf_fini(&out);
}

static void a_forged_index_of_ids_hides_nothing(void **state)
{
    (void)state;
    for (int without_pages = 1; without_pages >= 0; without_pages--) {
        struct world w = make_id_world(50);
        struct arena *a = arena_new(NULL, 0);
        struct scan_stats st = {.lines = 0};
        int dir = openat(w.dir, "tenants/0000000000000001/20261122", O_RDONLY | O_DIRECTORY);
        DIR *d = fdopendir(dup(dir));
        const struct dirent *e;

        while ((e = readdir(d)) != NULL)
            if (strstr(e->d_name, ".lqs") != NULL)
                forge_index(dir, e->d_name, without_pages != 0);
        ask_id(&w, str_sub(id_line(a, 4, 7), 16, 32), &st);
        assert_int_equal(st.lines_out, 1);
        assert_int_equal(st.damaged_blocks, BATCHES - 1);
        assert_int_equal(closedir(d), 0);
        assert_int_equal(close(dir), 0);
        arena_free(&a);
        free_world(&w);
    }
}

static void a_missing_segment_is_damage_but_a_dropped_partition_is_not(void **state)
{
    struct world w = make_world(8, 60, false);
    struct scan_request req = {.from = INT64_MIN,
                               .to = INT64_MAX,
                               .order = SCAN_FORWARD,
                               .need_line = true,
                               .batch_records = 1};
    char name[SEGMENT_NAME_MAX] = "";
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct scan_stats st = {.lines = 0};
    struct err err;
    int dir;
    int r = 0;

    (void)state;
    w.visible = 70;
    damage_a_segment(&w, name);
    dir = openat(w.dir, "tenants/0000000000000001/20261122", O_RDONLY | O_DIRECTORY);
    assert_int_equal(unlinkat(dir, name, 0), 0);
    assert_int_equal(close(dir), 0);
    assert_int_equal(run(&w, &req, &st, &err), 1);
    assert_true(st.damaged_blocks >= 1);
    assert_non_null(strstr(st.damage, name));

    req.from = time_of_day(DAY);
    req.to = time_of_day(DAY) + NS_PER_DAY;
    assert_int_equal(start(&w, 1, &req, &sc, &err), 0);
    assert_int_equal(scan_next(sc, &b, &err), 0); /* it holds the day open */
    batch_unref(&b);
    assert_int_equal(partition_cache_drop(w.cache, 1, DAY, &err), 0);
    while (r == 0) {
        r = scan_next(sc, &b, &err);
        if (r == 0)
            batch_unref(&b);
    }
    assert_int_equal(r, 1);
    scan_stats(sc, &st);
    assert_int_equal(st.damaged_blocks, 0);
    assert_true(st.blocks > 1 && st.lines_out > 0);
    scan_close(&sc);
    free_world(&w);
}

static void a_day_that_was_shredded_is_passed_over_in_silence(void **state)
{
    struct world w = make_world(8, 30, false);
    struct scan_request req = {.from = INT64_MIN, .to = INT64_MAX, .order = SCAN_FORWARD};
    struct scan_stats before;
    struct scan_stats st;
    struct err err;

    (void)state;
    assert_int_equal(run(&w, &req, &before, &err), 1);
    assert_int_equal(keyring_shred_partition(w.keyring, 1, DAY, &err), 0);
    assert_int_equal(partition_cache_drop(w.cache, 1, DAY, &err), 0);
    assert_int_equal(run(&w, &req, &st, &err), 1);
    assert_int_equal(st.damaged_blocks, 0);
    assert_true(st.lines_out > 0 && st.lines_out < before.lines_out);
    free_world(&w);
}

/* ---- streams ---- */

struct listed {
    struct labels v[200];
    struct arena *arena;
    size_t n, stop;
};

static int note_stream(void *arg, const struct labels *l)
{
    struct listed *ls = arg;
    struct err err;

    for (size_t i = 0; i < ls->n; i++)
        assert_false(labels_equal(&ls->v[i], l)); /* each once */
    assert_int_equal(labels_copy(ls->arena, l, &ls->v[ls->n++], &err), 0);
    return ls->n == ls->stop ? 42 : 0;
}

static int list(const struct world *w, const struct scan_request *req, struct listed *ls,
                struct err *err)
{
    struct store_view v[TENANTS];

    memset(ls->v, 0, sizeof(ls->v));
    ls->n = 0;
    for (size_t t = 0; t < TENANTS; t++)
        v[t] = make_view(w, t);
    return scan_streams_views(v, TENANTS, req, note_stream, ls, err);
}

static void streams_are_listed_once(void **state)
{
    struct world w = make_world(3, 60, false);
    struct listed ls = {.arena = arena_new(NULL, 0)};
    struct mem_budget budget = {.name = "query", .limit = 200};
    struct scan_request req = {.from = INT64_MIN, .to = INT64_MAX};
    struct answer all;
    struct matcher m;
    struct err err;
    size_t everything;

    (void)state;
    assert_int_equal(list(&w, &req, &ls, &err), 0);
    all = naive(&w, TENANTS, &req);
    for (size_t i = 0; i < all.n; i++) {
        bool found = false;
        for (size_t k = 0; k < ls.n && !found; k++)
            found = labels_equal(&ls.v[k], &all.v[i].b->streams[all.v[i].rec->stream]);
        assert_true(found);
    }
    free(all.v);
    everything = ls.n;
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("app-1"), &err), 0);
    req.matchers = &m;
    req.n_matchers = 1;
    assert_int_equal(list(&w, &req, &ls, &err), 0);
    assert_true(ls.n > 0 && ls.n < everything);
    req.n_matchers = 0;
    req.to = time_of_day(DAY) - 1; /* before anything */
    assert_int_equal(list(&w, &req, &ls, &err), 0);
    assert_int_equal(ls.n, 0);
    req.to = INT64_MAX;
    ls.stop = 2;
    assert_int_equal(list(&w, &req, &ls, &err), 42);
    ls.stop = 0;
    req.budget = &budget;
    assert_int_equal(list(&w, &req, &ls, &err), ERR_NOMEM);
    assert_int_equal(budget.used, 0);
    matcher_fini(&m);
    arena_free(&ls.arena);
    free_world(&w);
}

struct lister {
    struct scan *sc;
    struct partition *p;
    struct frame *list;
};

static int get_list(void *arg, struct catalog *c, struct err *err)
{
    static const struct catalog_range all = {INT64_MAX, INT64_MIN, INT64_MAX};
    struct lister *ls = arg;

    return scan_list_get(ls->sc, ls->p, c, &all, &ls->list, err);
}

/* One that the cache keeps is not the query's. */
static void a_list_that_is_not_kept_is_charged_to_the_query(void **state)
{
    struct world w = make_world(3, 60, false);
    struct mem_budget little = {.name = "query", .limit = 100};
    struct mem_budget enough = {.name = "query"};
    struct scan sc = {.req = {.budget = &little}};
    struct lister ls = {.sc = &sc};
    struct err err;

    (void)state;
    assert_int_equal(partition_cache_get(w.cache, 1, DAY, false, &ls.p, &err), 0);
    assert_int_equal(partition_read(ls.p, get_list, &ls, &err), ERR_NOMEM);
    assert_int_equal(little.used, 0);
    sc.req.budget = &enough;
    assert_int_equal(partition_read(ls.p, get_list, &ls, &err), 0);
    assert_true(enough.used > sizeof(struct scan_list));
    frame_unref(&ls.list);
    assert_int_equal(enough.used, 0);
    sc.req.budget = &little;
    sc.frames = frame_cache_new(0, NULL);
    assert_int_equal(partition_read(ls.p, get_list, &ls, &err), 0);
    assert_int_equal(little.used, 0);
    frame_unref(&ls.list);
    frame_cache_free(&sc.frames);
    partition_unref(&ls.p);
    free_world(&w);
}

CHECK_MAIN(cmocka_unit_test(any_question_has_the_naive_answer),
           cmocka_unit_test(every_position_shows_each_record_once),
           cmocka_unit_test(the_newest_lines_cost_the_newest_day),
           cmocka_unit_test(the_first_rows_do_not_cost_whole_blocks),
           cmocka_unit_test(the_same_few_rows_are_read_once),
           cmocka_unit_test(small_questions_have_the_naive_answer_however_often),
           cmocka_unit_test(a_scan_stays_in_its_budget),
           cmocka_unit_test(a_list_that_is_not_kept_is_charged_to_the_query),
           cmocka_unit_test(a_scan_looks_at_so_many_bytes), cmocka_unit_test(a_cancelled_scan_ends),
           cmocka_unit_test(after_a_cancel_each_thread_ends_its_block_and_begins_none),
           cmocka_unit_test(a_damaged_block_is_named_and_passed_over),
           cmocka_unit_test(an_id_is_looked_for_where_it_may_be),
           cmocka_unit_test(damaged_ids_are_named_and_hide_nothing),
           cmocka_unit_test(a_forged_index_of_ids_hides_nothing),
           cmocka_unit_test(a_missing_segment_is_damage_but_a_dropped_partition_is_not),
           cmocka_unit_test(a_day_that_was_shredded_is_passed_over_in_silence),
           cmocka_unit_test(streams_are_listed_once))
