/* Unit tests of collector/checkpoint: what is planned survives a kill at any byte, and failing
 * disks. */
#include "collector/checkpoint.h"

#include "base/crc.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "collector/metrics.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int dir;
static struct checkpoint *c;
static struct err err;

static int setup(void **state)
{
    (void)state;
    metrics_setup();
    dir = tmpdir_open(NULL);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    checkpoint_close(&c);
    tmpdir_close(dir);
    return 0;
}

static void reopen(void)
{
    checkpoint_close(&c);
    if (checkpoint_open(dir, &c, &err) < 0)
        fail_msg("%s", err.text);
}

static struct checkpoint_file *new_file(uint64_t ino, const char *path)
{
    struct checkpoint_file *f = checkpoint_file_new(c, 1, ino, path);

    f->head_len = 3;
    f->head_hash = ino * 7;
    checkpoint_file_changed(c, f);
    return f;
}

static uint64_t plan(struct checkpoint_file *f, uint64_t start, uint64_t end)
{
    struct checkpoint_part part = {.file = f, .start = start, .end = end, .count = 2, .flags = 5};

    return checkpoint_plan(c, 0, &part, 1);
}

/* The journal's bytes without the room behind its last record. */
static void read_journal(struct buf *ret)
{
    buf_init(ret, 64 << 20);
    assert_int_equal(file_read(dir, "checkpoint", ret, &err), 0);
    while (ret->n > 0 && ret->p[ret->n - 1] == '\0')
        ret->n--;
    ret->n = (ret->n + 63) / 64 * 64;
}

static void write_journal(struct str bytes)
{
    assert_int_equal(file_replace(dir, "checkpoint", 0600, bytes, &err), 0);
}

static struct checkpoint_file *find(uint64_t ino)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(c, i)) != NULL; i++)
        if (f->ino == ino)
            return f;
    return NULL;
}

static void a_plan_is_found_again_as_it_was(void **state)
{
    char path[200];
    char id[CHECKPOINT_ID_MAX];
    struct checkpoint_chunk *chunk;
    struct checkpoint_part parts[2] = {{.start = 5, .end = 9, .count = 3, .flags = 1},
                                       {.start = 9, .end = 30, .count = 4}};
    uint64_t no;

    (void)state;
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    parts[0].file = parts[1].file = new_file(42, path);
    memcpy(id, parts[0].file->id, sizeof(id));
    no = checkpoint_plan(c, 0, parts, 2);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    chunk = checkpoint_chunk_at(c, 0);
    assert_non_null(chunk);
    assert_int_equal(chunk->no, no);
    assert_int_equal(chunk->parts.n, 2);
    assert_int_equal(chunk->parts.p[0].start, 5);
    assert_int_equal(chunk->parts.p[0].end, 9);
    assert_int_equal(chunk->parts.p[0].count, 3);
    assert_int_equal(chunk->parts.p[0].flags, 1);
    assert_int_equal(chunk->parts.p[1].end, 30);
    assert_string_equal(chunk->parts.p[0].file->path, path);
    assert_string_equal(chunk->parts.p[0].file->id, id);
    assert_int_equal(chunk->parts.p[0].file->head_hash, 42 * 7);
    assert_int_equal(chunk->parts.p[0].file->unacked, 2);
    assert_null(checkpoint_chunk_at(c, 1));
}

static void an_ack_ends_a_chunk_and_keeps_its_range(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    uint64_t first = plan(f, 0, 10), second = plan(f, 10, 20);

    (void)state;
    assert_int_equal(checkpoint_sync(c, &err), 0);
    checkpoint_ack(c, first); /* written at once */
    reopen();
    f = find(42);
    assert_int_equal(f->unacked, 1);
    assert_int_equal(checkpoint_chunk_at(c, 0)->no, second);
    assert_int_equal(checkpoint_file_end(f), 20);
    checkpoint_ack(c, second);
    checkpoint_ack(c, second); /* twice does no harm */
    reopen();
    assert_null(checkpoint_chunk_at(c, 0));
    assert_int_equal(checkpoint_file_end(find(42)), 20);
}

static void a_file_is_known_before_anything_of_it_is_planned(void **state)
{
    (void)state;
    (void)new_file(42, "/x");
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_non_null(find(42));
    assert_int_equal(find(42)->head_len, 3);
    assert_int_equal(checkpoint_file_end(find(42)), 0);
}

static void numbers_are_never_used_again(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    uint64_t no = f->no, chunk = plan(f, 0, 1);

    (void)state;
    assert_int_equal(checkpoint_sync(c, &err), 0);
    checkpoint_ack(c, chunk);
    checkpoint_file_forget(c, f);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    reopen();
    assert_null(find(42));
    f = new_file(42, "/x");
    assert_true(f->no > no);
    assert_true(plan(f, 0, 1) > chunk);
}

static void holes_are_what_was_never_planned(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    uint64_t start, end;

    (void)state;
    (void)plan(f, 20, 30);
    (void)plan(f, 0, 10);
    (void)plan(f, 40, 50);
    checkpoint_file_hole(f, 0, &start, &end);
    assert_int_equal(start, 10);
    assert_int_equal(end, 20);
    checkpoint_file_hole(f, end, &start, &end);
    assert_int_equal(start, 30);
    assert_int_equal(end, 40);
    checkpoint_file_hole(f, end, &start, &end);
    assert_true(start >= end);
    assert_int_equal(checkpoint_file_end(f), 50);
    (void)plan(f, 10, 20);
    (void)plan(f, 30, 40);
    assert_int_equal(f->planned.n, 1);
    checkpoint_file_hole(f, 0, &start, &end);
    assert_true(start >= end);
}

static void cut_at_any_byte_whole_groups_remain(void **state)
{
    struct checkpoint_file *f =
        new_file(42, "/a/path/that/is/longer/than/one/record/of/the/journal/can/hold");
    struct checkpoint_part parts[3] = {{.file = f, .start = 0, .end = 1},
                                       {.file = f, .start = 1, .end = 2},
                                       {.file = f, .start = 2, .end = 3}};
    struct buf whole;
    size_t before;

    (void)state;
    read_journal(&whole);
    before = whole.n;
    buf_fini(&whole);
    (void)checkpoint_plan(c, 0, parts, 3);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    read_journal(&whole);
    checkpoint_close(&c);
    for (size_t n = before; n <= whole.n; n++) {
        write_journal((struct str){whole.p, n});
        assert_int_equal(checkpoint_open(dir, &c, &err), 0);
        assert_int_equal(checkpoint_renewal(c), CHECKPOINT_SAME);
        if (n == whole.n)
            assert_int_equal(checkpoint_chunk_at(c, 0)->parts.n, 3);
        else
            assert_null(checkpoint_chunk_at(c, 0));
        assert_true(find(42) == NULL ||
                    n >= before + 3 * 64); /* the file with both of its path records */
        checkpoint_close(&c);
    }
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    buf_fini(&whole);
}

static void a_flipped_bit_in_the_last_write_ends_the_journal_there(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    struct buf whole;

    (void)state;
    (void)plan(f, 0, 10);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    (void)plan(f, 10, 20);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    read_journal(&whole);
    checkpoint_close(&c);
    whole.p[whole.n - 30] ^= 1;
    write_journal(buf_str(&whole));
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_SAME);
    assert_int_equal(checkpoint_file_end(find(42)), 10);
    assert_in_range(metric_get(METRIC_CHECKPOINT_CUT), 1, 64);
    f = new_file(43, "/y"); /* written over the torn end, which is gone for good */
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_non_null(find(43));
    assert_int_equal(checkpoint_file_end(find(42)), 10);
    assert_in_range(metric_get(METRIC_CHECKPOINT_CUT), 1, 64);
    buf_fini(&whole);
}

/* Two files, one with a range that is certain, [0, 10), one that is not, [10, 20); then the byte
 * at `at` is flipped. */
static void damage(size_t at, char id[CHECKPOINT_ID_MAX])
{
    struct checkpoint_file *f = new_file(42, "/x");
    struct buf whole;

    memcpy(id, f->id, sizeof(f->id));
    checkpoint_ack(c, plan(f, 0, 10));
    assert_int_equal(checkpoint_sync(c, &err), 0);
    (void)plan(f, 10, 20);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    (void)new_file(43, "/y");
    assert_int_equal(checkpoint_sync(c, &err), 0);
    read_journal(&whole);
    checkpoint_close(&c);
    whole.p[at] ^= 1;
    write_journal(buf_str(&whole));
    buf_fini(&whole);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
}

static void damage_in_the_middle_begins_a_new_incarnation(void **state)
{
    char id[CHECKPOINT_ID_MAX];
    uint64_t before = checkpoint_incarnation(c);

    (void)state;
    damage((size_t)8 * 64 + 20, id); /* the mark of the second sync is behind it */
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_DAMAGED);
    assert_int_equal(checkpoint_previous(c), before);
    assert_true(checkpoint_incarnation(c) != before);
    assert_int_equal(metric_get(METRIC_INCARNATIONS), 1);
    assert_true(tmpdir_has(dir, "checkpoint.bad"));
    assert_null(checkpoint_chunk_at(c, 0));
    assert_null(find(43)); /* behind the damage */
    assert_int_equal(checkpoint_file_end(find(42)), 10);
    assert_int_equal(find(42)->unacked, 0);
    assert_string_not_equal(find(42)->id, id);
    reopen(); /* until it was told */
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_DAMAGED);
    checkpoint_told(c);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_SAME);
    assert_int_equal(checkpoint_file_end(find(42)), 10);
    assert_int_equal(metric_get(METRIC_INCARNATIONS), 1);
}

static void a_damaged_header_loses_no_certain_position(void **state)
{
    char id[CHECKPOINT_ID_MAX];

    (void)state;
    damage(8, id);
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_DAMAGED);
    assert_int_equal(checkpoint_file_end(find(42)), 10);
    assert_non_null(find(43));
    assert_string_not_equal(find(42)->id, id);
}

static void a_lost_journal_begins_a_new_incarnation(void **state)
{
    uint64_t before = checkpoint_incarnation(c);

    (void)state;
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_SAME); /* the very first is none */
    checkpoint_close(&c);
    assert_int_equal(unlinkat(dir, "checkpoint", 0), 0);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_LOST);
    assert_true(checkpoint_incarnation(c) != before);
    assert_false(tmpdir_has(dir, "checkpoint.bad"));
}

static void another_version_is_left_alone(void **state)
{
    struct buf whole;
    uint32_t crc;

    (void)state;
    read_journal(&whole);
    whole.p[12] = 9;
    crc = crc32c(0, whole.p + 4, 60);
    for (int i = 0; i < 4; i++)
        whole.p[i] = (char)(crc >> (8 * i));
    checkpoint_close(&c);
    write_journal(buf_str(&whole));
    assert_int_equal(checkpoint_open(dir, &c, &err), ERR_UNSUPPORTED);
    assert_false(tmpdir_has(dir, "checkpoint.bad"));
    buf_fini(&whole);
}

static void a_journal_put_back_does_not_draw_an_id_again(void **state)
{
    char id[CHECKPOINT_ID_MAX];
    struct buf copy;

    (void)state;
    (void)new_file(42, "/x");
    assert_int_equal(checkpoint_sync(c, &err), 0);
    read_journal(&copy);
    memcpy(id, new_file(43, "/y")->id, sizeof(id));
    assert_int_equal(checkpoint_sync(c, &err), 0);
    checkpoint_close(&c);
    write_journal(buf_str(&copy));
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    assert_string_not_equal(new_file(44, "/z")->id, id);
    buf_fini(&copy);
}

static void what_an_older_journal_does_not_know_has_its_id_again(void **state)
{
    char id[CHECKPOINT_ID_MAX];
    struct checkpoint_file *f;

    (void)state;
    checkpoint_pass_numbers(c, 10);
    f = checkpoint_file_again(c, 5, 77, "/a");
    assert_non_null(f);
    assert_true(str_ends(str_of(f->id), STR("-5-0000004d")));
    assert_string_equal(f->path, "/a");
    (void)str_to_z(str_of(f->id), id, sizeof(id));
    assert_null(checkpoint_file_again(c, 5, 78, "/a")); /* it is another's now */
    assert_int_equal(new_file(1, "/b")->no, 10);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_string_equal(checkpoint_file_find(c, 5)->id, id);
    assert_int_equal(checkpoint_next_file(c), 11);
}

static void what_was_seen_of_a_file_is_remembered(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");

    (void)state;
    checkpoint_seen(c, f, 100);
    checkpoint_seen(c, f, 70);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_int_equal(find(42)->seen, 100);
}

static void a_chunk_can_be_planned_again(void **state)
{
    struct checkpoint_part parts[2] = {{.start = 0, .end = 5, .count = 3, .rules = 0xabcdef},
                                       {.start = 7, .end = 9, .count = 1, .rules = 0xabcdef}};
    uint64_t no;

    (void)state;
    parts[0].file = parts[1].file = new_file(42, "/log/a");
    no = checkpoint_plan(c, 0, parts, 2);
    assert_false(checkpoint_replan(c, no, parts, 2));
    assert_false(checkpoint_replan(c, no, parts, 1));
    assert_false(checkpoint_replan(c, no + 1, parts, 2));
    parts[1].end = 8;
    parts[1].count = 9;
    assert_false(checkpoint_replan(c, no, parts, 2));
    parts[1].end = 9;
    parts[1].rules = 0x123456;
    assert_true(checkpoint_replan(c, no, parts, 2));
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_int_equal(checkpoint_chunk_at(c, 0)->no, no);
    assert_null(checkpoint_chunk_at(c, 1));
    assert_int_equal(checkpoint_chunk_at(c, 0)->parts.p[0].count, 3);
    assert_int_equal(checkpoint_chunk_at(c, 0)->parts.p[0].rules, 0xabcdef);
    assert_int_equal(checkpoint_chunk_at(c, 0)->parts.p[1].count, 9);
    assert_int_equal(checkpoint_chunk_at(c, 0)->parts.p[1].rules, 0x123456);
    assert_int_equal(find(42)->unacked, 2);
    checkpoint_ack(c, no);
    assert_int_equal(find(42)->unacked, 0);
}

/* Its file is gone, or changed. */
static void a_part_that_could_not_be_built_stays_as_it_was(void **state)
{
    struct checkpoint_part parts[3] = {
        {.start = 0, .end = 5, .count = 3, .rules = 1},
        {.start = 5, .end = 9, .count = 4, .rules = 1},
        {.start = 9, .end = 12, .count = 5, .rules = 1},
    };
    const struct checkpoint_part *got;
    uint64_t no;

    (void)state;
    parts[0].file = parts[1].file = parts[2].file = new_file(42, "/log/a");
    no = checkpoint_plan(c, 0, parts, 3);
    assert_false(checkpoint_replan(c, no, parts + 1, 2));
    parts[0] = parts[2]; /* that of the middle is missing, and the order is another */
    parts[0].count = 1;
    assert_false(checkpoint_replan(c, no, parts, 2));
    parts[1].count = 2;
    parts[2].rules = 2;
    assert_true(checkpoint_replan(c, no, parts + 1, 2));
    assert_false(checkpoint_replan(c, no, parts + 1, 2)); /* once: so it is counted once */
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    got = checkpoint_chunk_at(c, 0)->parts.p;
    assert_int_equal(checkpoint_chunk_at(c, 0)->parts.n, 3);
    assert_int_equal(got[0].end, 5);
    assert_int_equal(got[0].count, 3);
    assert_int_equal(got[0].rules, 1);
    assert_int_equal(got[1].count, 2);
    assert_int_equal(got[2].count, 5);
    assert_int_equal(got[2].rules, 2);
    checkpoint_ack(c, no);
    assert_int_equal(find(42)->unacked, 0);
}

static void what_rules_dropped_is_remembered(void **state)
{
    struct checkpoint_part part = {
        .flags = CHECKPOINT_KEY_STDERR | CHECKPOINT_CUT_STDOUT, .closed = 0x8001, .end = 5};
    struct checkpoint_drop *d;

    (void)state;
    part.file = new_file(42, "/log/a");
    (void)checkpoint_plan(c, 0, &part, 1);
    checkpoint_dropped(c, part.file, "noise", 3, 300);
    checkpoint_dropped(c, part.file, "a-15-byte-name-", 1, 10);
    checkpoint_dropped(c, part.file, "noise", 2, 20);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    for (int i = 0; i < 3; i++) {
        reopen();
        d = checkpoint_drop_find(find(42), "noise");
        assert_non_null(d);
        assert_int_equal(d->count, 5);
        assert_int_equal(d->bytes, 320);
        assert_int_equal(d->told_count, i == 0 ? 0 : 5);
        assert_int_equal(d->told_bytes, i == 0 ? 0 : 320);
        assert_int_equal(checkpoint_drop_find(find(42), "a-15-byte-name-")->count, 1);
        assert_null(checkpoint_drop_find(find(42), "other"));
        assert_int_equal(checkpoint_chunk_at(c, 0)->parts.p[0].closed, 0x8001);
        assert_int_equal(checkpoint_chunk_at(c, 0)->parts.p[0].flags, part.flags);
        if (i == 0)
            checkpoint_drop_told(c, find(42), d);
        if (i == 1) /* written anew it is the same */
            for (int k = 0; k < 40000; k++)
                checkpoint_file_changed(c, find(42));
        assert_int_equal(checkpoint_sync(c, &err), 0);
    }
}

static void many_files_are_found_and_forgotten(void **state)
{
    uint64_t no[1000];

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        no[i] = new_file(1000 + i, "/many")->no;
    assert_int_equal(checkpoint_sync(c, &err), 0);
    for (size_t i = 0; i < 1000; i += 2)
        checkpoint_file_forget(c, checkpoint_file_find(c, no[i]));
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    for (size_t i = 0; i < 1000; i++) {
        struct checkpoint_file *f = checkpoint_file_find(c, no[i]);
        assert_true((f == NULL) == (i % 2 == 0));
        assert_true(f == NULL || f->ino == 1000 + i);
    }
    assert_non_null(checkpoint_file_at(c, 499));
    assert_null(checkpoint_file_at(c, 500));
}

static void a_long_journal_is_rewritten_short(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    struct buf whole;
    struct stat st;
    uint64_t at = 0;

    (void)state;
    while (metric_get(METRIC_CHECKPOINT_COMPACTIONS) < 2 &&
           at < 100000) { /* the first was at open */
        for (int i = 0; i < 500; i++, at++)
            checkpoint_ack(c, plan(f, at, at + 1));
        (void)plan(f, at, at + 1);
        at++;
        assert_int_equal(checkpoint_sync(c, &err), 0);
        checkpoint_ack(c, checkpoint_chunk_at(c, 0)->no);
    }
    assert_true(at < 100000);
    assert_int_equal(fstatat(dir, "checkpoint", &st, 0), 0);
    assert_int_equal(st.st_size, 1 << 20);
    read_journal(&whole);
    assert_true(whole.n < 1 << 16);
    buf_fini(&whole);
    assert_int_equal(fstatat(dir, "checkpoint.spare", &st, 0), 0);
    assert_int_equal(st.st_size, 1 << 20);
    reopen();
    assert_int_equal(checkpoint_file_end(find(42)), at);
    assert_int_equal(find(42)->planned.n, 1);
}

static void a_journal_grows_with_what_is_live(void **state)
{
    char path[1000];
    struct stat st;

    (void)state;
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    for (uint64_t i = 0; i < 2000; i++) /* 20 records each */
        (void)new_file(100 + i, path);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    assert_int_equal(fstatat(dir, "checkpoint", &st, 0), 0);
    assert_true(st.st_size > 2000 * 20 * 64);
    reopen();
    assert_non_null(find(100));
    assert_non_null(find(2099));
}

/* ---- with a thread ---- */

static struct loop *loop;
static size_t synced, failed;

static void on_synced(void *arg, const struct err *e)
{
    (void)arg;
    if (e == NULL)
        synced++;
    else
        failed++;
}

static bool is_synced(void *arg)
{
    return synced + failed >= *(size_t *)arg;
}

static void wait_synced(size_t n)
{
    wait_check(loop, is_synced, &n, "a sync");
}

static int setup_thread(void **state)
{
    (void)setup(state);
    synced = failed = 0;
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(checkpoint_attach(c, loop, on_synced, NULL, &err), 0);
    return 0;
}

static int teardown_thread(void **state)
{
    checkpoint_close(&c);
    loop_free(&loop);
    return teardown(state);
}

static void a_thread_makes_plans_durable(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    uint64_t first, second;

    (void)state;
    (void)plan(f, 0, 10);
    first = checkpoint_mark(c);
    assert_false(checkpoint_is_durable(c, first));
    checkpoint_sync_begin(c);
    checkpoint_ack(c, plan(f, 10, 20)); /* while it is under way */
    second = checkpoint_mark(c);
    checkpoint_sync_begin(c); /* one at a time */
    wait_synced(1);
    assert_true(checkpoint_is_durable(c, first));
    assert_false(checkpoint_is_durable(c, second));
    checkpoint_sync_begin(c);
    wait_synced(2);
    assert_true(checkpoint_is_durable(c, second));
    assert_int_equal(failed, 0);
    checkpoint_close(&c);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    assert_int_equal(checkpoint_file_end(find(42)), 20);
    assert_int_equal(find(42)->unacked, 1);
}

static void who_waits_waits_for_the_thread_too(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");

    (void)state;
    (void)plan(f, 0, 10);
    checkpoint_sync_begin(c);
    (void)plan(f, 10, 20);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    assert_true(checkpoint_is_durable(c, checkpoint_mark(c)));
    checkpoint_close(&c); /* with the call to the loop under way */
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    assert_int_equal(checkpoint_file_end(find(42)), 20);
}

static void a_sync_that_failed_is_told_and_mended_by_the_next(void **state)
{
    uint64_t mark;

    (void)state;
    (void)plan(new_file(42, "/x"), 0, 10);
    mark = checkpoint_mark(c);
    fault_start("file.fdatasync");
    assert_true(fault_next());
    checkpoint_sync_begin(c);
    wait_synced(1);
    while (fault_next())
        ;
    assert_int_equal(failed, 1);
    assert_false(checkpoint_is_durable(c, mark));
    checkpoint_sync_begin(c);
    wait_synced(2);
    assert_int_equal(failed, 1);
    assert_true(checkpoint_is_durable(c, mark));
    assert_int_equal(metric_get(METRIC_CHECKPOINT_FAILED), 1);
}

/* One life: two chunks planned, one acknowledged.  *planned: how much was made durable. */
static int live(uint64_t *planned)
{
    struct checkpoint_file *f;
    uint64_t no;
    int r = checkpoint_open(dir, &c, &err);

    *planned = 0;
    if (r < 0)
        return r;
    f = new_file(42, "/x");
    no = plan(f, 0, 10);
    r = checkpoint_sync(c, &err);
    if (r == 0)
        *planned = 10;
    (void)plan(f, 10, 20);
    if (checkpoint_sync(c, &err) == 0)
        *planned = 20;
    else if (checkpoint_sync(c, &err) == 0) /* what failed is mended by the next */
        *planned = 20;
    checkpoint_ack(c, no);
    return r;
}

static void what_was_synced_is_there_wherever_the_disk_fails(void **state)
{
    (void)state;
    checkpoint_close(&c);
    FAULT_EACH("file") {
        uint64_t planned;
        (void)unlinkat(dir, "checkpoint", 0);
        (void)unlinkat(dir, "checkpoint.spare", 0);
        (void)live(&planned);
        checkpoint_close(&c);
        if (planned > 0) {
            if (checkpoint_open(dir, &c, &err) < 0) /* the fault may come as late as here: once */
                assert_int_equal(checkpoint_open(dir, &c, &err), 0);
            assert_non_null(find(42));
            assert_true(checkpoint_file_end(find(42)) >= planned);
            checkpoint_close(&c);
        }
        assert_false(tmpdir_has(dir, "checkpoint.bad"));
    }
    (void)unlinkat(dir, "checkpoint", 0);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
}

static void a_server_that_knows_more_makes_it_an_old_one(void **state)
{
    uint64_t no;

    (void)state;
    (void)new_file(42, "/x");
    checkpoint_is_old(c, 77);
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_OLD);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_OLD); /* nobody was told yet */
    no = new_file(43, "/y")->no;
    assert_int_equal(no, 77);
    checkpoint_told(c);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    assert_int_equal(checkpoint_renewal(c), CHECKPOINT_SAME);
    assert_int_equal(checkpoint_next_file(c), 78);
}

static void check_servers(uint64_t stays, uint64_t moved, const char *one, const char *two)
{
    struct checkpoint_chunk *a = checkpoint_chunk_find(c, stays);
    struct checkpoint_chunk *b = checkpoint_chunk_find(c, moved);

    assert_string_equal(checkpoint_server_address(c, a->server), one);
    assert_false(a->maybe_twice);
    assert_string_equal(checkpoint_server_address(c, b->server), two);
    assert_true(b->maybe_twice);
    assert_string_equal(checkpoint_server_address(c, find(42)->server), two);
    assert_string_equal(checkpoint_server_address(c, find(43)->server), "");
}

static void the_server_of_a_range_is_known_wherever_it_went(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x"), *g = new_file(43, "/y");
    struct checkpoint_part part = {.file = f, .start = 0, .end = 10, .count = 2};
    char long_name[150];
    uint32_t one = checkpoint_server(c, "one:24224"), two;
    uint64_t stays, moved;

    (void)state;
    memset(long_name, 'l', sizeof(long_name) - 1); /* more than a record holds */
    long_name[sizeof(long_name) - 1] = '\0';
    two = checkpoint_server(c, long_name);
    assert_int_not_equal(one, two);
    assert_int_equal(checkpoint_server(c, "one:24224"), one);
    checkpoint_file_set_server(c, f, one);
    stays = checkpoint_plan(c, one, &part, 1);
    part.start = 10;
    part.end = 20;
    moved = checkpoint_plan(c, one, &part, 1);
    checkpoint_move(c, moved, two, true);
    assert_int_equal(checkpoint_leave(c, one, two), 1);
    assert_int_equal(checkpoint_leave(c, one, two), 0);
    assert_int_equal(g->server, 0);
    check_servers(stays, moved, "one:24224", long_name);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    reopen();
    check_servers(stays, moved, "one:24224", long_name);
    (void)checkpoint_server(c, "nobody:1");
    (void)checkpoint_server(c, long_name);
    for (int i = 0; i < 30000; i++) /* until it is written anew */
        checkpoint_file_changed(c, find(43));
    assert_int_equal(checkpoint_sync(c, &err), 0);
    assert_true(metric_get(METRIC_CHECKPOINT_COMPACTIONS) > 0);
    reopen();
    check_servers(stays, moved, "one:24224", long_name);
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(a_server_that_knows_more_makes_it_an_old_one, setup, teardown),
    cmocka_unit_test_setup_teardown(the_server_of_a_range_is_known_wherever_it_went, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(a_plan_is_found_again_as_it_was, setup, teardown),
    cmocka_unit_test_setup_teardown(an_ack_ends_a_chunk_and_keeps_its_range, setup, teardown),
    cmocka_unit_test_setup_teardown(a_file_is_known_before_anything_of_it_is_planned, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(numbers_are_never_used_again, setup, teardown),
    cmocka_unit_test_setup_teardown(holes_are_what_was_never_planned, setup, teardown),
    cmocka_unit_test_setup_teardown(cut_at_any_byte_whole_groups_remain, setup, teardown),
    cmocka_unit_test_setup_teardown(a_flipped_bit_in_the_last_write_ends_the_journal_there, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(damage_in_the_middle_begins_a_new_incarnation, setup, teardown),
    cmocka_unit_test_setup_teardown(a_damaged_header_loses_no_certain_position, setup, teardown),
    cmocka_unit_test_setup_teardown(a_lost_journal_begins_a_new_incarnation, setup, teardown),
    cmocka_unit_test_setup_teardown(another_version_is_left_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(a_journal_put_back_does_not_draw_an_id_again, setup, teardown),
    cmocka_unit_test_setup_teardown(what_an_older_journal_does_not_know_has_its_id_again, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(what_was_seen_of_a_file_is_remembered, setup, teardown),
    cmocka_unit_test_setup_teardown(a_chunk_can_be_planned_again, setup, teardown),
    cmocka_unit_test_setup_teardown(a_part_that_could_not_be_built_stays_as_it_was, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(what_rules_dropped_is_remembered, setup, teardown),
    cmocka_unit_test_setup_teardown(many_files_are_found_and_forgotten, setup, teardown),
    cmocka_unit_test_setup_teardown(a_long_journal_is_rewritten_short, setup, teardown),
    cmocka_unit_test_setup_teardown(a_journal_grows_with_what_is_live, setup, teardown),
    cmocka_unit_test_setup_teardown(a_thread_makes_plans_durable, setup_thread, teardown_thread),
    cmocka_unit_test_setup_teardown(who_waits_waits_for_the_thread_too, setup_thread,
                                    teardown_thread),
    cmocka_unit_test_setup_teardown(a_sync_that_failed_is_told_and_mended_by_the_next, setup_thread,
                                    teardown_thread),
    cmocka_unit_test_setup_teardown(what_was_synced_is_there_wherever_the_disk_fails, setup,
                                    teardown))
