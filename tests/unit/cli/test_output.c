/* query/cli/output.c: which form where, pieces, and readers that go away. */
#include "query/cli/output.h"

#include "tests/lib/check.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct query_entry entry_of(const char *line)
{
    return (struct query_entry){.ts = NS_PER_S, .seq = 1, .line = str_of(line)};
}

static void a_terminal_gets_a_coloured_table_in_local_time(void **state)
{
    struct args args = {0};
    struct output o;

    (void)state;
    output_init(&o, 1, &args, &(struct output_env){.terminal = true, .term = "xterm"});
    assert_int_equal(o.form.kind, FORMAT_TABLE);
    assert_true(o.form.color);
    assert_false(o.form.utc);
    assert_true(output_fini(&o));
}

static void anything_else_gets_raw_lines(void **state)
{
    struct args args = {0};
    struct output o;

    (void)state;
    output_init(&o, 1, &args, &(struct output_env){.terminal = false, .term = "xterm"});
    assert_int_equal(o.form.kind, FORMAT_RAW);
    assert_false(o.form.color);
    assert_true(o.form.utc);
    assert_true(output_fini(&o));
}

/* What goes to a stderr of the same kind is coloured by the same rule. */
static bool colored(enum args_color color, struct output_env env)
{
    struct args args = {.color = color};
    struct output o;
    bool ret;

    env.errors_terminal = env.terminal;
    output_init(&o, 1, &args, &env);
    ret = o.form.color;
    assert_int_equal(o.color_errors, ret);
    assert_true(output_fini(&o));
    return ret;
}

static void colour_can_be_refused_and_demanded(void **state)
{
    (void)state;
    assert_true(colored(ARGS_COLOR_AUTO, (struct output_env){.terminal = true, .no_color = ""}));
    assert_false(colored(ARGS_COLOR_AUTO,
                         (struct output_env){.terminal = true, .no_color = "1", .term = "xterm"}));
    assert_false(colored(ARGS_COLOR_AUTO, (struct output_env){.terminal = true, .term = "dumb"}));
    assert_false(colored(ARGS_COLOR_NEVER, (struct output_env){.terminal = true, .term = "xterm"}));
    assert_true(colored(ARGS_COLOR_ALWAYS,
                        (struct output_env){.terminal = false, .no_color = "1", .term = "dumb"}));
}

static void flags_choose_form_and_zone(void **state)
{
    struct args args = {.has_output = true, .output = FORMAT_CSV, .zone = ARGS_ZONE_LOCAL};
    struct output o;

    (void)state;
    output_init(&o, 1, &args, &(struct output_env){.terminal = false});
    assert_int_equal(o.form.kind, FORMAT_CSV);
    assert_false(o.form.utc);
    args.zone = ARGS_ZONE_UTC;
    output_init(&o, 1, &args, &(struct output_env){.terminal = true});
    assert_true(o.form.utc);
    assert_true(output_fini(&o));
}

static void read_all(int fd, struct buf *out)
{
    char piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) > 0)
        buf_add(out, piece, (size_t)n);
}

static void check_listing(enum format_kind kind, size_t n, const char *want)
{
    struct args args = {.has_output = true, .output = kind};
    struct query_entry e = entry_of("a,b");
    struct output o;
    struct buf got;
    struct err err;
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    buf_init(&got, 1 << 16);
    output_init(&o, fd[1], &args, &(struct output_env){.terminal = false});
    for (size_t i = 0; i < n; i++)
        assert_int_equal(output_entry(&o, &e, &err), 0);
    assert_int_equal(output_finish(&o, &err), 0);
    assert_int_equal(o.entries, n);
    assert_true(output_fini(&o));
    close(fd[1]);
    read_all(fd[0], &got);
    close(fd[0]);
    check_str(buf_str(&got), want);
    buf_fini(&got);
}

#define JSON                                                                                       \
    "{\"ts\":\"1970-01-01T00:00:01.000000000Z\",\"ts_ns\":\"1000000000\",\"seq\":1,\"labels\":{}," \
    "\"attributes\":{},\"parsed\":{},\"line\":\"a,b\"}"

static void each_form_begins_and_ends_as_it_should(void **state)
{
    (void)state;
    check_listing(FORMAT_RAW, 2, "a,b\na,b\n");
    check_listing(FORMAT_JSONL, 2, JSON "\n" JSON "\n");
    check_listing(FORMAT_JSON, 0, "[]\n");
    check_listing(FORMAT_JSON, 2, "[\n" JSON ",\n" JSON "\n]\n");
    check_listing(FORMAT_CSV, 1,
                  "time,level,origin,labels,line\n1970-01-01T00:00:01.000000000Z,,,{},\"a,b\"\n");
    check_listing(FORMAT_LOGFMT, 1, "ts=1970-01-01T00:00:01.000000000Z line=a,b\n");
    check_listing(FORMAT_TABLE, 0, "");
}

static void a_reader_that_went_away_is_noticed(void **state)
{
    struct args args = {0};
    struct query_entry e = entry_of("x");
    struct output o;
    struct err err;
    int fd[2];

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fd), 0);
    output_init(&o, fd[1], &args, &(struct output_env){.terminal = false});
    assert_false(output_is_deserted(&o));
    close(fd[0]);
    assert_int_equal(output_entry(&o, &e, &err), 0); /* not written yet */
    assert_false(o.deserted);
    assert_int_equal(output_flush(&o, &err), ERR_IO);
    assert_true(o.deserted);
    assert_false(o.broken);
    o.deserted = false;
    assert_true(output_is_deserted(&o)); /* without writing */
    assert_true(output_fini(&o));
    close(fd[1]);
}

static void a_write_that_fails_otherwise_is_no_desertion(void **state)
{
    struct args args = {0};
    struct query_entry e = entry_of("x");
    struct output o;
    struct err err;

    (void)state;
    output_init(&o, -1, &args, &(struct output_env){.terminal = true});
    assert_int_equal(output_entry(&o, &e, &err), ERR_IO); /* a terminal gets each at once */
    assert_true(o.broken);
    assert_false(o.deserted);
    assert_true(output_fini(&o));
}

CHECK_MAIN(cmocka_unit_test(a_terminal_gets_a_coloured_table_in_local_time),
           cmocka_unit_test(anything_else_gets_raw_lines),
           cmocka_unit_test(colour_can_be_refused_and_demanded),
           cmocka_unit_test(flags_choose_form_and_zone),
           cmocka_unit_test(each_form_begins_and_ends_as_it_should),
           cmocka_unit_test(a_reader_that_went_away_is_noticed),
           cmocka_unit_test(a_write_that_fails_otherwise_is_no_desertion))
