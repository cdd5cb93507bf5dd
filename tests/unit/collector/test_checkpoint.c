/* Unit tests of collector/checkpoint: what is planned survives a kill at any byte, and failing
 * disks. */
#include "collector/checkpoint.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "collector/metrics.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

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

    return checkpoint_plan(c, &part, 1);
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
    no = checkpoint_plan(c, parts, 2);
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
    buf_init(&whole, 1 << 20);
    assert_int_equal(file_read(dir, "checkpoint", &whole, &err), 0);
    before = whole.n;
    (void)checkpoint_plan(c, parts, 3);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    buf_clear(&whole);
    assert_int_equal(file_read(dir, "checkpoint", &whole, &err), 0);
    checkpoint_close(&c);
    for (size_t n = before; n <= whole.n; n++) {
        assert_int_equal(file_replace(dir, "checkpoint", 0600, (struct str){whole.p, n}, &err), 0);
        assert_int_equal(checkpoint_open(dir, &c, &err), 0);
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

static void a_flipped_bit_ends_the_journal_there(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
    struct buf whole;

    (void)state;
    buf_init(&whole, 1 << 20);
    (void)plan(f, 0, 10);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    (void)plan(f, 10, 20);
    assert_int_equal(checkpoint_sync(c, &err), 0);
    assert_int_equal(file_read(dir, "checkpoint", &whole, &err), 0);
    checkpoint_close(&c);
    whole.p[whole.n - 30] ^= 1;
    assert_int_equal(file_replace(dir, "checkpoint", 0600, buf_str(&whole), &err), 0);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    assert_int_equal(checkpoint_file_end(find(42)), 10);
    assert_int_equal(metric_get(METRIC_CHECKPOINT_CUT), 64);
    whole.p[8] ^= 1;
    checkpoint_close(&c);
    assert_int_equal(file_replace(dir, "checkpoint", 0600, buf_str(&whole), &err), 0);
    assert_int_equal(checkpoint_open(dir, &c, &err),
                     ERR_CORRUPT); /* not even the head: not to be thrown away */
    (void)unlinkat(dir, "checkpoint", 0);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    buf_fini(&whole);
}

static void a_long_journal_is_rewritten_short(void **state)
{
    struct checkpoint_file *f = new_file(42, "/x");
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
    assert_true(st.st_size < 1 << 16);
    reopen();
    assert_int_equal(checkpoint_file_end(find(42)), at);
    assert_int_equal(find(42)->planned.n, 1);
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
        (void)live(&planned);
        checkpoint_close(&c);
        if (planned > 0) {
            if (checkpoint_open(dir, &c, &err) < 0) /* the fault may come as late as here: once */
                assert_int_equal(checkpoint_open(dir, &c, &err), 0);
            assert_non_null(find(42));
            assert_true(checkpoint_file_end(find(42)) >= planned);
            checkpoint_close(&c);
        }
        assert_false(tmpdir_has(dir, "checkpoint.tmp"));
    }
    (void)unlinkat(dir, "checkpoint", 0);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(a_plan_is_found_again_as_it_was, setup, teardown),
           cmocka_unit_test_setup_teardown(an_ack_ends_a_chunk_and_keeps_its_range, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(a_file_is_known_before_anything_of_it_is_planned, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(numbers_are_never_used_again, setup, teardown),
           cmocka_unit_test_setup_teardown(holes_are_what_was_never_planned, setup, teardown),
           cmocka_unit_test_setup_teardown(cut_at_any_byte_whole_groups_remain, setup, teardown),
           cmocka_unit_test_setup_teardown(a_flipped_bit_ends_the_journal_there, setup, teardown),
           cmocka_unit_test_setup_teardown(a_long_journal_is_rewritten_short, setup, teardown),
           cmocka_unit_test_setup_teardown(what_was_synced_is_there_wherever_the_disk_fails, setup,
                                           teardown))
