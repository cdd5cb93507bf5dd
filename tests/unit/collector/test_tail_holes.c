/*
 * Unit tests of collector/tail where a log was cut under a writer that has no O_APPEND: he goes on
 * at his old place, so the next line stands behind a hole.  The line is whole, whatever the hole's
 * length; what is built again is the same.
 */
#include "tests/unit/collector/tail_world.h"

enum { LINE_MAX = 256 << 10 }; /* what the world's options look at of a line */

static int setup_plain(void **state)
{
    (void)setup(state);
    w.set->v[0].kind = SOURCE_FILE;
    w.set->v[0].decode = decode_plain;
    stop();
    start();
    return 0;
}

/* Write at `at`, as somebody does who never looks where the end is. */
static void write_at(off_t at, struct str text)
{
    int fd = open(w.log, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text.p, text.n, at), text.n);
    (void)close(fd);
}

/* Zeros that are bytes, for which no file system can tell that they are none. */
static void write_zeros(off_t from, off_t to)
{
    char zeros[64 << 10] = {0};

    for (off_t at = from; at < to; at += (off_t)sizeof(zeros))
        write_at(at, (struct str){zeros, to - at < (off_t)sizeof(zeros) ? (size_t)(to - at)
                                                                        : sizeof(zeros)});
}

static void a_line_behind_a_hole(off_t hole, bool is_sparse)
{
    if (!is_sparse)
        write_zeros(0, hole);
    write_at(hole, STR(T "stdout F behind\n" T "stdout F next\n"));
    while (read_some(100) == TAIL_MORE)
        ;
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("stdout|behind\nstdout|next\n");
    assert_int_equal(w.t->file->planned.p[0].end, w.t->pos);
    assert_int_equal(w.t->file->planned.n, 1);
    assert_int_equal(metric_get(METRIC_HOLE_BYTES), hole);
}

static void the_line_behind_a_hole_is_whole(void **state)
{
    static const off_t HOLES[] = {1,        63,           4096,         LINE_MAX - 1,
                                  LINE_MAX, LINE_MAX + 1, 3 * LINE_MAX, (off_t)20 << 20};

    for (size_t i = 0; i < sizeof(HOLES) / sizeof(HOLES[0]); i++)
        for (int sparse = 0; sparse < 2; sparse++) {
            a_line_behind_a_hole(HOLES[i], sparse == 1);
            (void)teardown(state);
            (void)setup(state);
        }
    a_line_behind_a_hole((off_t)8 << 40, true);
}

static void a_hole_may_come_before_its_line(void **state)
{
    const off_t before = sizeof(T "stdout F one\n") - 1, hole = (off_t)30 << 20;

    (void)state;
    append(STR(T "stdout F one\n"));
    write_zeros(before, hole);
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_int_equal(w.t->zeros, hole);
    write_at(hole, STR(T "stdout F t"));
    while (read_some(1000) == TAIL_MORE)
        ;
    append(STR("wo\n" T "stdout F three\n"));
    while (read_some(1000) == TAIL_MORE)
        ;
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("stdout|one\nstdout|two\nstdout|three\n");
    assert_int_equal(metric_get(METRIC_HOLE_BYTES), hole - before);
}

/* It is a long line because of its text, not because of what is in front. */
static void a_long_line_behind_a_hole_is_cut_at_its_own_length(void **state)
{
    char xs[1000];
    const off_t hole = (off_t)3 << 20;

    (void)state;
    memset(xs, 'x', sizeof(xs));
    write_at(hole, STR("x"));
    for (int i = 0; i < 600; i++)
        append((struct str){xs, sizeof(xs)});
    append(STR("\nnext\n"));
    deliver_everything();
    assert_true(str_find(buf_str(&w.lines), STR("xx truncated=600001\nnext\n")) != SIZE_MAX);
    assert_int_equal(w.lines.n, 2000 + sizeof(" truncated=600001\nnext\n") - 1);
}

static void an_unfinished_line_is_given_up_without_its_zeros(void **state)
{
    (void)state;
    w.rd.partial_timeout = 0;
    write_at(3 << 20, STR("unfinished"));
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_true(tail_is_due(w.t, &w.rd, time_mono()));
    tail_expire(w.t, &w.rd, w.c, time_mono());
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("unfinished partial=true\n");
}

static void room_for_lines_is_waited_for(void **state)
{
    const off_t room = 300 << 10;

    (void)state;
    w.rd.partial_timeout = 0;
    append(STR("one\n"));
    assert_int_equal(truncate(w.log, room), 0);
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_false(tail_is_due(w.t, &w.rd, time_mono()));
    write_at(4, STR("two\n"));
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_false(tail_is_due(w.t, &w.rd, time_mono()));
    seal();
    die_and_return();
    w.rd.partial_timeout = 0;
    write_at(8, STR("three\n"));
    while (read_some(1000) == TAIL_MORE)
        ;
    w.t->unlinked = true; /* nobody writes any more */
    assert_true(tail_is_due(w.t, &w.rd, time_mono()));
    tail_expire(w.t, &w.rd, w.c, time_mono());
    deliver_everything();
    expect_lines("one\ntwo\nthree\n");
    assert_int_equal(w.t->file->planned.n, 1);
    assert_int_equal(w.t->file->planned.p[0].end, room);
}

/* `written` bytes are there, behind which there is room up to `room`.  What of it is no line yet is
 * given up without the room, and what is written there later is read. */
static void lines_in_room(size_t written, off_t room, bool is_sparse)
{
    struct buf text;
    uint64_t end;

    buf_init(&text, 4 << 20);
    buf_add_str(&text, STR("one\nt"));
    while (text.n < written)
        buf_add_char(&text, 'w');
    write_at(0, buf_str(&text));
    if (is_sparse)
        assert_int_equal(truncate(w.log, room), 0);
    else
        write_zeros((off_t)text.n, room);
    w.rd.partial_timeout = 10 * NS_PER_S;
    while (read_some(1000) == TAIL_MORE)
        ;
    end = tail_end(w.t);
    assert_int_equal(end, text.n);
    assert_false(tail_is_due(w.t, &w.rd, w.t->seen_at));
    assert_true(tail_is_due(w.t, &w.rd, w.t->seen_at + w.rd.partial_timeout));
    tail_expire(w.t, &w.rd, w.c, w.t->seen_at + w.rd.partial_timeout);
    assert_int_equal(w.t->pos, end);
    assert_false(tail_is_due(w.t, &w.rd, time_mono() + NS_PER_H));
    write_at((off_t)text.n, STR("o\nthree\n"));
    buf_fini(&text);
    seal();
    die_and_return();
    deliver_everything();
    assert_true(str_ends(buf_str(&w.lines), STR("\no\nthree\n")));
    assert_true(str_find(buf_str(&w.lines), STR("w partial=true\n")) != SIZE_MAX);
    assert_int_equal(w.stored, 4);
    assert_int_equal(metric_get(METRIC_HOLE_BYTES), 0);
}

static void a_line_that_is_unfinished_leaves_its_room(void **state)
{
    static const size_t WRITTEN[] = {7, 4096, LINE_MAX - 1, LINE_MAX, LINE_MAX + 10};

    (void)state;
    for (size_t i = 0; i < sizeof(WRITTEN) / sizeof(WRITTEN[0]); i++)
        for (int k = 0; k < 4; k++) {
            (void)teardown(state);
            (void)setup_plain(state);
            w.max_line = 1 << 20;
            stop();
            start();
            lines_in_room(WRITTEN[i], k < 2 ? (off_t)WRITTEN[i] + 100 : (off_t)20 << 20,
                          k % 2 == 0);
        }
}

/* It takes its time, also where no size changes. */
static void a_line_that_grows_in_its_room_is_waited_for(void **state)
{
    dur_ns before;

    (void)state;
    w.rd.partial_timeout = 10 * NS_PER_S;
    write_at(0, STR("one\nt"));
    assert_int_equal(truncate(w.log, 4096), 0);
    while (read_some(1000) == TAIL_MORE)
        ;
    before = w.t->seen_at;
    write_at(5, STR("w"));
    assert_int_equal(tail_look(w.t), TAIL_SAME);
    assert_int_equal(tail_end(w.t), 5);
    tail_written(w.t); /* who knows how much: that is no end of it, nor of what lags */
    assert_false(w.t->caught_up);
    assert_int_equal(tail_end(w.t), 4096);
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_true(w.t->seen_at > before);
    assert_int_equal(truncate(w.log, 8192), 0); /* more of it */
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_int_equal(tail_end(w.t), 6);
    write_at(6, STR("o\n"));
    deliver_everything();
    expect_lines("one\ntwo\n");
}

static void the_last_line_of_a_log_has_no_room(void **state)
{
    (void)state;
    w.rd.partial_timeout = 0;
    write_at(0, STR("one\ntw"));
    assert_int_equal(truncate(w.log, 4096), 0);
    while (read_some(1000) == TAIL_MORE)
        ;
    w.t->unlinked = true;
    assert_true(tail_is_due(w.t, &w.rd, time_mono()));
    tail_expire(w.t, &w.rd, w.c, time_mono());
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("one\ntw partial=true\n");
    assert_int_equal(w.t->file->planned.p[0].end, 4096);
    assert_true(tail_is_settled(w.t));
    assert_int_equal(metric_get(METRIC_HOLE_BYTES), 4096 - 6);
}

/* Writers that are done give it back; what is less than was written is another log. */
static void room_may_be_given_back(void **state)
{
    (void)state;
    write_at(0, STR("one\n"));
    assert_int_equal(truncate(w.log, 4096), 0);
    deliver_everything();
    write_at(4, STR("two\n"));
    assert_int_equal(truncate(w.log, 8), 0);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    deliver_everything();
    assert_int_equal(tail_look(w.t), TAIL_SAME);
    assert_true(tail_is_settled(w.t));
    expect_lines("one\ntwo\n");
    assert_int_equal(truncate(w.log, 4096), 0);
    deliver_everything();
    assert_int_equal(truncate(w.log, 7), 0);
    assert_int_equal(tail_look(w.t), TAIL_REPLACED);
}

/* Before it was read what is in it, or known that there is any. */
static void room_that_was_not_looked_at_may_be_given_back(void **state)
{
    (void)state;
    write_at(0, STR("one\n"));
    assert_int_equal(truncate(w.log, 4096), 0);
    deliver_everything();
    write_at(4, STR("two\nthree\nfour\n"));
    assert_int_equal(read_some(1), TAIL_MORE);
    assert_int_equal(truncate(w.log, 19), 0);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    deliver_everything();
    assert_int_equal(truncate(w.log, 4096), 0);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    write_at(19, STR("five\n"));
    assert_int_equal(truncate(w.log, 24), 0);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    deliver_everything();
    expect_lines("one\ntwo\nthree\nfour\nfive\n");
}

/* What is all room has nothing to tell it by: filled, copied and cut it is another. */
static void room_that_was_filled_and_cut_is_sought(void **state)
{
    (void)state;
    assert_int_equal(truncate(w.log, 1 << 20), 0);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    while (read_some(1000) == TAIL_MORE)
        ;
    write_at(0, STR("one\ntwo\n"));
    assert_int_equal(truncate(w.log, 0), 0);
    assert_int_equal(tail_look(w.t), TAIL_REPLACED);
}

/* Deep in zeros that were passed: part of the line all the same, and again after a kill. */
static void what_was_written_deep_into_room_is_shipped(void **state)
{
    (void)state;
    w.rd.partial_timeout = 0;
    write_at(0, STR("one\n"));
    assert_int_equal(truncate(w.log, 20 << 20), 0);
    while (read_some(1000) == TAIL_MORE)
        ;
    write_at(10 << 20, STR("deep\n"));
    w.t->unlinked = true;
    while (read_some(1000) == TAIL_MORE)
        ;
    tail_expire(w.t, &w.rd, w.c, time_mono());
    seal();
    die_and_return();
    deliver_everything();
    expect_lines("one\ndeep\n");
}

/* Of what was passed over it is not known for ever that it is zeros. */
static void a_line_may_begin_in_room_that_was_passed(void **state)
{
    const off_t room = (off_t)20 << 20;

    (void)state;
    w.rd.partial_timeout = 0;
    write_at(0, STR("one\n"));
    assert_int_equal(truncate(w.log, room), 0);
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_int_equal(w.t->zeros, room);
    write_at(4, STR("tw"));
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_true(tail_is_due(w.t, &w.rd, time_mono()));
    tail_expire(w.t, &w.rd, w.c, time_mono());
    write_at(7, STR("ree\nfour\n")); /* a zero of his own */
    deliver_everything();
    expect_lines("one\ntw partial=true\nree\nfour\n");
}

/* Zeros in front of lines are no room: they are what the log is told by, before it is read and
 * after. */
static void a_hole_is_what_a_log_is_told_by(void **state)
{
    (void)state;
    write_at(1 << 20, STR("one\n"));
    tail_register(w.t, &w.rd);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    tail_learn(w.t, &w.rd);
    assert_int_equal(w.t->file->head_len, CHECKPOINT_HEAD_MAX);
    (void)teardown(state);
    (void)setup_plain(state);
    write_at(1 << 20, STR("one\n"));
    assert_int_equal(truncate(w.log, 2 << 20), 0); /* and room */
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_int_equal(w.t->file->head_len, CHECKPOINT_HEAD_MAX);
    assert_int_equal(w.t->pos, (1 << 20) + 4);
}

/* Zeros alone are nothing to tell a log by. */
static void a_log_may_begin_as_room(void **state)
{
    (void)state;
    assert_int_equal(truncate(w.log, 1 << 20), 0);
    assert_int_equal(tail_look(w.t), TAIL_GREW);
    while (read_some(1000) == TAIL_MORE)
        ;
    assert_int_equal(tail_end(w.t), 0);
    tail_learn(w.t, &w.rd);
    write_at(0, STR("one\n"));
    assert_int_equal(tail_look(w.t), TAIL_SAME);
    deliver_everything();
    assert_int_equal(w.t->pos, 4);
    expect_lines("one\n");
}

static void a_log_may_begin_and_end_with_zeros(void **state)
{
    (void)state;
    write_at(1 << 20, STR("one\n"));
    assert_int_equal(truncate(w.log, 2 << 20), 0);
    w.rd.partial_timeout = 0;
    while (read_some(1000) == TAIL_MORE)
        ;
    w.t->drained = true;
    tail_expire(w.t, &w.rd, w.c, time_mono());
    deliver_everything();
    assert_int_equal(w.t->file->planned.p[0].end, 2 << 20);
    assert_int_equal(tail_is_file(&w.t->from, w.t->file), 1);
}

/* While we were away it was cut once more; it begins with zeros as before. */
static void a_hole_where_a_line_was_read_is_another_file(void **state)
{
    struct checkpoint_file *f;

    (void)state;
    write_at(1 << 20, STR("one\n"));
    deliver_everything();
    f = w.t->file;
    assert_int_equal(tail_is_file(&w.t->from, f), 1);
    append(STR("two\n"));
    assert_int_equal(tail_is_file(&w.t->from, f), 1);
    assert_int_equal(truncate(w.log, 0), 0);
    write_at((1 << 20) + 8, STR("three\n"));
    assert_int_equal(tail_is_file(&w.t->from, f), 0);
    expect_lines("one\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_line_behind_a_hole_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hole_may_come_before_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_line_behind_a_hole_is_cut_at_its_own_length,
                                        setup_plain, teardown),
        cmocka_unit_test_setup_teardown(an_unfinished_line_is_given_up_without_its_zeros,
                                        setup_plain, teardown),
        cmocka_unit_test_setup_teardown(room_for_lines_is_waited_for, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(a_line_that_is_unfinished_leaves_its_room, setup_plain,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_that_grows_in_its_room_is_waited_for, setup_plain,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_last_line_of_a_log_has_no_room, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(room_may_be_given_back, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(room_that_was_not_looked_at_may_be_given_back, setup_plain,
                                        teardown),
        cmocka_unit_test_setup_teardown(room_that_was_filled_and_cut_is_sought, setup_plain,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_written_deep_into_room_is_shipped, setup_plain,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_may_begin_in_room_that_was_passed, setup_plain,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_hole_is_what_a_log_is_told_by, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(a_log_may_begin_as_room, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(a_log_may_begin_and_end_with_zeros, setup_plain, teardown),
        cmocka_unit_test_setup_teardown(a_hole_where_a_line_was_read_is_another_file, setup_plain,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
