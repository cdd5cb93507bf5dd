/* Unit tests of collector/trace: what programs print when they fail, and what they print else. */
#include "collector/trace.h"

#include "tests/lib/check.h"

#include <string.h>

/*
 * `text` holds lines, each with a mark in front: '=' a record by itself, '>' begins one, '|' goes
 * on.
 */
static void expect(enum trace_format format, const char *text)
{
    static const char MARKS[] = "=>|";
    struct trace_rule rule = {.format = format};
    struct str rest = str_of(text);
    unsigned state = 0;

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        enum trace_step step = trace_step(&rule, &state, str_from(line, 1));
        if (MARKS[step] != line.p[0])
            fail_msg("format %d: '%.*s' is taken for '%c'", (int)format, STR_ARG(line),
                     MARKS[step]);
        if (step == TRACE_ALONE)
            assert_int_equal(state, 0);
    }
}

static void expect_auto_too(enum trace_format format, const char *text)
{
    expect(format, text);
    expect(TRACE_AUTO, text);
}

static void java(void **state)
{
    (void)state;
    expect_auto_too(TRACE_JAVA,
                    "=2026-11-22 10:00:00 INFO main - ready\n"
                    ">Exception in thread \"main\" java.lang.RuntimeException: no\n"
                    "|\tat com.acme.Main.run(Main.java:17)\n"
                    "|\tat java.base/java.lang.Thread.run(Thread.java:829)\n"
                    "|\tSuppressed: java.io.IOException: close\n"
                    "|\t\tat com.acme.Main.close(Main.java:3)\n"
                    "|Caused by: java.sql.SQLException: gone\n"
                    "|\tat com.acme.Db.ask(Db.java:99)\n"
                    "|\t... 2 more\n"
                    "|\t... 12 common frames omitted\n"
                    "=2026-11-22 10:00:01 INFO main - on\n"
                    ">2026-11-22 ERROR o.s.Boot - failed: java.lang.NullPointerException\n"
                    "|\tat com.acme.Main.run(Main.java:17)\n"
                    ">java.lang.StackOverflowError\n"
                    "|\tat com.acme.Deep.dive(Deep.java:1)\n");
}

static void python(void **state)
{
    (void)state;
    expect_auto_too(TRACE_PYTHON, ">Traceback (most recent call last):\n"
                                  "|  File \"/app/main.py\", line 10, in <module>\n"
                                  "|    run()\n"
                                  "|    ^^^^^\n"
                                  "|ValueError: no\n"
                                  "|\n"
                                  "|During handling of the above exception, another exception "
                                  "occurred:\n"
                                  "|\n"
                                  "|Traceback (most recent call last):\n"
                                  "|  File \"/app/main.py\", line 12, in <module>\n"
                                  "|KeyError: 'x'\n"
                                  "=INFO:root:ready\n"
                                  ">ERROR:root:Traceback (most recent call last):\n"
                                  "|  File \"/app/main.py\", line 1, in f\n"
                                  "|app.errors.Gone\n"
                                  "=ready\n");
}

static void go(void **state)
{
    (void)state;
    expect_auto_too(TRACE_GO,
                    ">panic: runtime error: invalid memory address or nil pointer dereference\n"
                    "|[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4a]\n"
                    "|\n"
                    "|goroutine 1 [running]:\n"
                    "|main.(*T).f(0x1, {0x2, 0x3})\n"
                    "|\t/src/main.go:7 +0x1d\n"
                    "|main.main()\n"
                    "|\t/src/main.go:3 +0x17\n"
                    "|created by main.start in goroutine 1\n"
                    "|\t/src/main.go:12 +0x25\n"
                    "|exit status 2\n"
                    "=listening on :8080 (tcp)\n"
                    ">fatal error: all goroutines are asleep - deadlock!\n"
                    "|\n"
                    "|goroutine 1 [chan receive]:\n"
                    "|main.main()\n");
}

static void dotnet(void **state)
{
    (void)state;
    expect_auto_too(TRACE_DOTNET,
                    ">Unhandled exception. System.InvalidOperationException: no\n"
                    "| ---> System.ArgumentNullException: Value cannot be null. (Parameter 'x')\n"
                    "|   at Acme.Db.Ask(String x) in /src/Db.cs:line 9\n"
                    "|   --- End of inner exception stack trace ---\n"
                    "|   at Acme.Program.Main(String[] args) in /src/Program.cs:line 5\n"
                    "|--- End of stack trace from previous location ---\n"
                    "|   at Acme.Program.<Main>(String[] args)\n"
                    "=info: Microsoft.Hosting.Lifetime[0]\n");
}

static void rust(void **state)
{
    (void)state;
    expect_auto_too(TRACE_RUST, ">thread 'main' panicked at src/main.rs:4:5:\n"
                                "|index out of bounds: the len is 3 but the index is 99\n"
                                "|stack backtrace:\n"
                                "|   0: rust_begin_unwind\n"
                                "|             at /rustc/9fc6/library/std/src/panicking.rs:645:5\n"
                                "|   1: core::panicking::panic_fmt\n"
                                "|note: run with `RUST_BACKTRACE=full` for a verbose backtrace\n"
                                "=listening\n"
                                ">thread 'w' panicked at 'no', src/main.rs:2:5\n"
                                "|note: run with `RUST_BACKTRACE=1` to display a backtrace\n"
                                "=ready\n");
    expect(TRACE_RUST, ">Error: cannot read the file\n"
                       "|\n"
                       "|Caused by:\n"
                       "|    No such file or directory (os error 2)\n"
                       "=done\n");
}

static void ruby(void **state)
{
    (void)state;
    expect_auto_too(TRACE_RUBY, ">app.rb:3:in `fail': no (RuntimeError)\n"
                                "|\tfrom app.rb:7:in `run'\n"
                                "|\tfrom app.rb:9:in `<main>'\n"
                                "=ready\n"
                                ">/srv/app.rb:3:in 'Foo#bar': no (ArgumentError)\n"
                                "|/srv/lib/x.rb:12:in 'Foo#baz'\n"
                                "=I, [2026-11-22T10:00:00.1 #1]  INFO -- : ready\n");
}

static void node(void **state)
{
    (void)state;
    expect_auto_too(TRACE_NODE, ">/srv/app.js:10\n"
                                "|    throw new TypeError('no');\n"
                                "|    ^\n"
                                "|\n"
                                "|TypeError: no\n"
                                "|    at run (/srv/app.js:10:11)\n"
                                "|    at node:internal/main/run_main_module:23:47 {\n"
                                "|  code: 'ERR_NO',\n"
                                "|  [cause]: undefined\n"
                                "|}\n"
                                "=listening on 3000\n"
                                ">Error: connect ECONNREFUSED 127.0.0.1:5432\n"
                                "|    at TCPConnectWrap.afterConnect (node:net:1555:16)\n"
                                "=ready\n");
}

/* No line of these may wait for another. */
static void lines_of_every_day_stand_alone(void **state)
{
    (void)state;
    expect(TRACE_AUTO, "=10.0.0.1 - - [22/Aug/2026:10:00:00 +0000] \"GET /Error HTTP/1.1\" 200 5\n"
                       "={\"level\":\"error\",\"msg\":\"failed\",\"error\":\"timeout\"}\n"
                       "=I0822 10:00:00.1 1 reconciler.go:7] \"Reconciled\" name=\"a\"\n"
                       "=1:M 22 Aug 2026 10:00:00.1 * Background saving terminated\n"
                       "=  indented text\n"
                       "=\n"
                       "=:\n"
                       "=at the end\n"
                       "=from: somebody\n"
                       "=Errors: 5\n");
}

/* The head is lost, or of a shape that is not known: the frames at least are together. */
static void frames_without_a_head_are_one_record(void **state)
{
    (void)state;
    expect(TRACE_AUTO, "=com.acme.Boom happened\n"
                       "|\tat com.acme.Main.run(Main.java:17)\n"
                       "|\tat com.acme.Main.main(Main.java:3)\n"
                       "=ready\n"
                       "|  File \"x.py\", line 1, in f\n"
                       "|    g()\n"
                       "|ValueError: no\n"
                       "=ready\n");
}

static void a_language_that_was_not_asked_for_is_not_looked_for(void **state)
{
    (void)state;
    expect(TRACE_GO, "=java.lang.Error: no\n=\tat a.B.c(D.java:1)\n=Traceback (most recent call "
                     "last):\n");
    expect(TRACE_PYTHON, "=panic: no\n=goroutine 1 [running]:\n");
    expect(TRACE_NONE, "=panic: no\n=\tat x\n");
}

static bool begins_with_digit(const void *arg, struct str line)
{
    (void)arg;
    return line.n > 0 && line.p[0] >= '0' && line.p[0] <= '9';
}

static void a_start_decides_alone(void **state)
{
    struct trace_rule rule = {.format = TRACE_START, .starts = begins_with_digit};
    unsigned s = 0;

    (void)state;
    assert_int_equal(trace_step(&rule, &s, STR("1 one")), TRACE_BEGINS);
    assert_int_equal(trace_step(&rule, &s, STR("panic: x")), TRACE_GOES_ON);
    assert_int_equal(trace_step(&rule, &s, STR("")), TRACE_GOES_ON);
    assert_int_equal(trace_step(&rule, &s, STR("2 two")), TRACE_BEGINS);
}

static void a_carriage_return_is_no_part_of_a_line(void **state)
{
    (void)state;
    expect(TRACE_AUTO, ">Traceback (most recent call last):\r\n|  File \"x.py\", line 1\r\n"
                       "|ValueError\r\n|\r\n=done\r\n");
}

CHECK_MAIN(cmocka_unit_test(java), cmocka_unit_test(python), cmocka_unit_test(go),
           cmocka_unit_test(dotnet), cmocka_unit_test(rust), cmocka_unit_test(ruby),
           cmocka_unit_test(node), cmocka_unit_test(lines_of_every_day_stand_alone),
           cmocka_unit_test(frames_without_a_head_are_one_record),
           cmocka_unit_test(a_language_that_was_not_asked_for_is_not_looked_for),
           cmocka_unit_test(a_start_decides_alone),
           cmocka_unit_test(a_carriage_return_is_no_part_of_a_line))
