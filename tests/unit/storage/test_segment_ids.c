/* storage/segment_writer_end.c, segment_reader.c: the id filter behind the blocks of a segment. */
#include "base/mem.h"
#include "tests/unit/storage/segment_source.h"

#include <fcntl.h>
#include <unistd.h>

/* All pages of a segment's id filter, one after the other. */
static struct str filter_of(struct objstore *os, const uint8_t *uuid, struct arena *a)
{
    struct segment_reader *r = NULL;
    struct segment_info *info = NULL;
    struct id_filter *f = NULL;
    struct buf all;
    struct str ret;
    uint64_t at;
    struct err err;

    buf_init(&all, 1 << 24);
    assert_int_equal(segment_reader_open(os, uuid, KEY, &r, &err), 0);
    assert_int_equal(segment_reader_info(r, NULL, &info, &err), 0);
    if (segment_reader_verify_filter(r, info, &at, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(segment_reader_filter(r, NULL, NULL, &f, &err), 0);
    for (size_t i = 0; i < f->n_groups; i++) {
        buf_addf(&all, "%u+%u ", f->group[i].first_block, f->group[i].n_blocks);
        for (uint32_t k = 0; k < f->group[i].n_pages; k++) {
            struct str page;
            assert_int_equal(segment_reader_page(r, f, i, k, a, &page, &err), 0);
            buf_add_str(&all, page);
        }
    }
    ret = arena_str(a, buf_str(&all));
    buf_fini(&all);
    id_filter_free(&f);
    segment_info_free(&info);
    segment_reader_free(&r);
    return ret;
}

static void damage(int dir, const char *name, uint64_t at)
{
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0 && pwrite(fd, "??", 2, (off_t)at) == 2);
    assert_int_equal(close(fd), 0);
}

static void the_index_of_ids_is_charged_before_it_is_read(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(21, 700, 9, true);
    struct mem_budget little = {.name = "query", .limit = 64};
    struct mem_budget enough = {.name = "query"};
    struct segment_info *info;
    struct segment_reader *r = NULL;
    struct id_filter *f = NULL;
    struct objstore *os = NULL;
    size_t charged = 0;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    info = write_source(os, &s);
    assert_int_equal(segment_reader_open(os, info->uuid, KEY, &r, &err), 0);
    assert_int_equal(segment_reader_filter(r, &little, &charged, &f, &err), ERR_NOMEM);
    assert_true(f == NULL && charged == 0 && little.used == 0);
    assert_int_equal(segment_reader_filter(r, &enough, &charged, &f, &err), 0);
    assert_true(charged == enough.used && charged > id_filter_held(f) / 2);
    mem_budget_give(&enough, charged);
    id_filter_free(&f);
    segment_reader_free(&r);
    segment_info_free(&info);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

/* In a page of it, or in its index. */
static void a_copy_makes_a_damaged_id_filter_anew(void **state)
{
    int dir = tmpdir_open(NULL);
    struct source s = make_source(21, 700, 9, true);
    struct arena *a = arena_new(NULL, 0);
    struct segment_info *one[2] = {NULL};
    struct segment_info *copy = NULL;
    struct objstore *os = NULL;
    uint8_t uuid[2][SEGMENT_UUID];
    char name[SEGMENT_NAME_MAX];
    size_t rebuilt = 0;
    struct str want;
    struct err err;

    (void)state;
    assert_int_equal(objstore_fs_open(dir, &os, &err), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(segment_writer_write(os, &OPT, s.rows + i * 700, 700, &one[i], &err), 0);
        memcpy(uuid[i], one[i]->uuid, SEGMENT_UUID);
    }
    assert_int_equal(copy_all(os, uuid, 2, &rebuilt, &copy, &err), 0);
    assert_int_equal(rebuilt, 0);
    want = filter_of(os, copy->uuid, a);
    segment_info_free(&copy);
    segment_name(uuid[1], name);
    for (unsigned k = 0; k < 2; k++) {
        uint64_t at = k == 0 ? one[1]->data_end + 3 : one[1]->footer_offset - 12;
        struct str got;
        damage(dir, name, at);
        if (copy_all(os, uuid, 2, &rebuilt, &copy, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(rebuilt, 1);
        got = filter_of(os, copy->uuid, a);
        assert_true(str_eq(got, want));
        segment_info_free(&copy);
    }
    segment_info_free(&one[0]);
    segment_info_free(&one[1]);
    arena_free(&a);
    free_source(&s);
    objstore_free(&os);
    tmpdir_close(dir);
}

CHECK_MAIN(cmocka_unit_test(the_index_of_ids_is_charged_before_it_is_read),
           cmocka_unit_test(a_copy_makes_a_damaged_id_filter_anew))
