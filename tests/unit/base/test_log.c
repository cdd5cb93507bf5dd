/* base/log.c: one line, whatever the values say. */
#include "base/log.h"

#include "base/time.h"
#include "tests/lib/check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 16384 };

/* stderr goes to a pipe from begin to end; what was written is in `text` then. */
struct capture {
    int saved, in;
    char text[TEXT_MAX];
};

static void capture_begin(struct capture *c)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    c->saved = dup(STDERR_FILENO);
    assert_true(c->saved >= 0);
    assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(fds[1]);
    c->in = fds[0];
}

static struct str capture_end(struct capture *c)
{
    ssize_t n = read(c->in, c->text, sizeof(c->text));

    (void)dup2(c->saved, STDERR_FILENO);
    (void)close(c->saved);
    (void)close(c->in);
    return (struct str){c->text, n < 0 ? 0 : (size_t)n};
}

/* What stands behind the "a=" of a line with this one value. */
static struct str shown(struct capture *c, struct str value)
{
    struct str line;
    struct str head = STR("2001-09-09T01:46:40.123Z info t a=");

    capture_begin(c);
    log_info("t", LOG_STR("a", value));
    line = capture_end(c);
    assert_true(str_starts(line, head));
    assert_true(str_ends(line, STR("\n")));
    line = str_from(line, head.n);
    line.n--;
    assert_int_equal(str_find_char(line, '\n'), SIZE_MAX);
    return line;
}

static int setup(void **state)
{
    (void)state;
    time_set(INT64_C(1000000000123456789));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    time_unset();
    log_set_level(LOG_LEVEL_INFO);
    log_set_program(NULL);
    return 0;
}

static void a_line_has_time_level_event_and_fields(void **state)
{
    struct capture c;
    struct err err = {.text = "no such file"};
    (void)state;

    capture_begin(&c);
    log_warn("spool.full", LOG_U64("dropped", UINT64_MAX), LOG_Z("file", "/var/log/a b.log"),
             LOG_I64("left", -3), LOG_F64("share", 0.25), LOG_ERR(&err));
    check_str(capture_end(&c),
              "2001-09-09T01:46:40.123Z warn spool.full dropped=18446744073709551615 "
              "file=\"/var/log/a b.log\" left=-3 share=0.25 error=\"no such file\"\n");
    log_set_program("logq-server");
    capture_begin(&c);
    log_error("x.y", LOG_Z("a", "b"));
    check_str(capture_end(&c), "2001-09-09T01:46:40.123Z logq-server error x.y a=b\n");
}

static void lines_under_the_level_are_not_written(void **state)
{
    struct capture c;
    (void)state;

    capture_begin(&c);
    log_debug("d", LOG_U64("n", 1));
    log_set_level(LOG_LEVEL_ERROR);
    log_warn("w", LOG_U64("n", 2));
    log_error("e", LOG_U64("n", 3));
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("d", LOG_U64("n", 4));
    check_str(capture_end(&c), "2001-09-09T01:46:40.123Z error e n=3\n"
                               "2001-09-09T01:46:40.123Z debug d n=4\n");
}

static void a_value_cannot_break_its_line(void **state)
{
    struct capture c;
    (void)state;

    check_str(shown(&c, STR("plain/path-1.2:3")), "plain/path-1.2:3");
    check_str(shown(&c, STR("")), "\"\"");
    check_str(shown(&c, STR_NULL), "\"\"");
    check_str(shown(&c, STR("a b")), "\"a b\"");
    check_str(shown(&c, STR("a=b")), "\"a=b\"");
    check_str(shown(&c, STR("say \"x\" \\")), "\"say \\\"x\\\" \\\\\"");
    check_str(shown(&c, STR("1\n2\r3\t4")), "\"1\\n2\\r3\\t4\"");
    check_str(shown(&c, STR("\x1b[31mred\x7f")), "\"\\x1b[31mred\\x7f\"");
    check_str(shown(&c, STR("a\0b")), "\"a\\x00b\"");
    check_str(shown(&c, STR("gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9d\x84\x9e")),
              "gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9d\x84\x9e");
    check_str(shown(&c, STR("c1\xc2\x9b!")), "\"c1\\xc2\\x9b!\"");
    check_str(shown(&c, STR("bad\xff \xc3\xbc\xe2\x82 ok")), "\"bad\\xff \xc3\xbc\\xe2\\x82 ok\"");
    check_str(shown(&c, STR("end\xc2")), "\"end\\xc2\"");
}

static void a_long_value_is_cut_and_says_so(void **state)
{
    struct capture c;
    char text[1500];
    struct str line;
    (void)state;

    memset(text, 'x', sizeof(text));
    line = shown(&c, (struct str){text, sizeof(text)});
    assert_int_equal(line.n, 1 + 1024 + 1 + 4);
    assert_true(str_ends(line, STR("x\"+476")));
    line = shown(&c, (struct str){text, 1024});
    assert_int_equal(line.n, 1024);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    struct capture c;
    char text[1024];
    struct str value = {text, sizeof(text)};
    struct str line;
    (void)state;

    memset(text, '\n', sizeof(text)); /* twice as long when it is escaped */
    capture_begin(&c);
    log_info("t", LOG_STR("a", value), LOG_STR("b", value), LOG_STR("c", value),
             LOG_STR("d", value), LOG_U64("e", 5));
    line = capture_end(&c);
    assert_true(line.n <= 4096);
    assert_true(line.n > 4000);
    assert_true(str_ends(line, STR(" log_cut=true\n")));
    assert_int_equal(str_find_char(line, '\n'), line.n - 1);
}

static void what_stderr_does_not_take_is_counted(void **state)
{
    struct capture c;
    uint64_t before = log_lost();
    (void)state;

    capture_begin(&c);
    (void)close(c.in); /* and SIGPIPE is for the program to ignore */
    (void)close(STDERR_FILENO);
    errno = EINVAL;
    log_error("e", LOG_U64("n", 3));
    assert_int_equal(errno, EINVAL);
    (void)dup2(c.saved, STDERR_FILENO);
    (void)close(c.saved);
    assert_int_equal(log_lost(), before + 1);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

CHECK_MAIN(LOG_TEST(a_line_has_time_level_event_and_fields),
           LOG_TEST(lines_under_the_level_are_not_written), LOG_TEST(a_value_cannot_break_its_line),
           LOG_TEST(a_long_value_is_cut_and_says_so), LOG_TEST(a_long_line_is_cut_and_says_so),
           LOG_TEST(what_stderr_does_not_take_is_counted))
