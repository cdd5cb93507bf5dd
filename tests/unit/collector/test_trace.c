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

/* As OpenJDK 17 prints it: a text of several lines. */
static void java_text_of_several_lines(void **state)
{
    (void)state;
    expect_auto_too(
        TRACE_JAVA,
        ">Exception in thread \"main\" java.lang.IllegalStateException: Failed to load context\n"
        "|    Reason: bad bean\n"
        "|\tDetail: x\n"
        "|\tat T.f(T.java:1)\n"
        "|\tat T.main(T.java:1)\n"
        "|Caused by: java.lang.RuntimeException: inner\n"
        "|  indented cause\n"
        "|\tat T.f(T.java:1)\n"
        "|\tat T.main(T.java:1)\n"
        "|\tat java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)\n"
        "|\tat "
        "java.base/"
        "jdk.internal.reflect.NativeMethodAccessorImpl.invoke(NativeMethodAccessorImpl.java:77)\n"
        "|\tat "
        "java.base/"
        "jdk.internal.reflect.DelegatingMethodAccessorImpl.invoke(DelegatingMethodAccessorImpl."
        "java:43)\n"
        "|\tat java.base/java.lang.reflect.Method.invoke(Method.java:569)\n"
        "|\tat jdk.compiler/com.sun.tools.javac.launcher.Main.execute(Main.java:419)\n"
        "|\tat jdk.compiler/com.sun.tools.javac.launcher.Main.run(Main.java:192)\n"
        "|\tat jdk.compiler/com.sun.tools.javac.launcher.Main.main(Main.java:132)\n"
        "=10:00:01 INFO on\n");
    expect(TRACE_AUTO, ">E1122 1 sync.go:7] Error: no\n=ready\n=  indented\n"
                       ">E1122 1 sync.go:7] Error: no\n=\n=  indented\n");
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

/* As CPython 3.11 prints them; a line of a text that is not indented could be any program's. */
static void python_groups_and_texts(void **state)
{
    (void)state;
    expect_auto_too(TRACE_PYTHON,
                    ">Traceback (most recent call last):\n"
                    "|  File \"/srv/app.py\", line 5, in <module>\n"
                    "|    f(1)\n"
                    "|  File \"/srv/app.py\", line 2, in f\n"
                    "|    if n: f(n-1)\n"
                    "|          ^^^^^^\n"
                    "|ValueError: first\n"
                    "|  second, indented\n"
                    "|\n"
                    "|During handling of the above exception, another exception occurred:\n"
                    "|\n"
                    "|  + Exception Group Traceback (most recent call last):\n"
                    "|  |   File \"/srv/app.py\", line 8, in <module>\n"
                    "|  |     raise ExceptionGroup(\"many\", [e, KeyError(\"x\"), "
                    "ExceptionGroup(\"in\", [OSError(2, \"gone\")])])\n"
                    "|  | ExceptionGroup: many (3 sub-exceptions)\n"
                    "|  +-+---------------- 1 ----------------\n"
                    "|    | Traceback (most recent call last):\n"
                    "|    |   File \"/srv/app.py\", line 5, in <module>\n"
                    "|    |     f(1)\n"
                    "|    |   File \"/srv/app.py\", line 2, in f\n"
                    "|    |     if n: f(n-1)\n"
                    "|    |           ^^^^^^\n"
                    "|    |   File \"/srv/app.py\", line 3, in f\n"
                    "|    |     raise ValueError(\"first\")\n"
                    "|    | ValueError: first\n"
                    "|    | a note\n"
                    "|    +---------------- 2 ----------------\n"
                    "|    | KeyError: 'x'\n"
                    "|    +---------------- 3 ----------------\n"
                    "|    | ExceptionGroup: in (1 sub-exception)\n"
                    "|    +-+---------------- 1 ----------------\n"
                    "|      | FileNotFoundError: [Errno 2] gone\n"
                    "|      +------------------------------------\n"
                    "=INFO:root:ready\n"
                    "=  indented text\n");
    expect_auto_too(TRACE_PYTHON, ">Traceback (most recent call last):\n"
                                  "|  File \"x.py\", line 1, in f\n|ValueError: one\n=two\n");
}

/* A panic that the runtime began itself and one that was called; of a signal, with registers. */
static void go_panics(void **state)
{
    (void)state;
    expect_auto_too(
        TRACE_GO,
        ">panic: runtime error: invalid memory address or nil pointer dereference [recovered]\n"
        "|\tpanic: runtime error: invalid memory address or nil pointer dereference\n"
        "|[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4f5a3c]\n"
        "|\n"
        "|goroutine 7 [running]:\n"
        "|testing.tRunner.func1.2({0x520440, 0x64d7d0})\n"
        "|\t/usr/local/go/src/testing/testing.go:1631 +0x24a\n"
        "|testing.tRunner.func1()\n"
        "|\t/usr/local/go/src/testing/testing.go:1634 +0x377\n"
        "|panic({0x520440?, 0x64d7d0?})\n"
        "|\t/usr/local/go/src/runtime/panic.go:770 +0x132\n"
        "|example.com/tree.(*Node).Left(...)\n"
        "|\t/src/tree/tree.go:14\n"
        "|example.com/tree.Build[...](0x0?)\n"
        "|\t/src/tree/tree.go:31 +0x1c\n"
        "|created by testing.(*T).Run in goroutine 1\n"
        "|\t/usr/local/go/src/testing/testing.go:1742 +0x390\n"
        "|\n"
        "|goroutine 1 gp=0xc0000061c0 m=nil [chan receive, 2 minutes]:\n"
        "|runtime.gopark(0xc00019fd30?, 0xc000176ba0?, 0x40?, 0x21?, 0x18?)\n"
        "|\t/usr/local/go/src/runtime/proc.go:402 +0xce fp=0xc000197760 sp=0xc000197740 "
        "pc=0x43cd2e\n"
        "|main.main()\n"
        "|\t/src/main.go:9 +0x1d\n"
        "|runtime.goexit({})\n"
        "|\t/usr/local/go/src/runtime/asm_amd64.s:1695 +0x1\n"
        "|exit status 2\n"
        "=ready (tcp)\n"
        ">SIGQUIT: quit\n"
        "|PC=0x46a701 m=0 sigcode=0\n"
        "|\n"
        "|goroutine 0 [idle]:\n"
        "|runtime.futex()\n"
        "|\t/usr/local/go/src/runtime/sys_linux_amd64.s:557 +0x21\n"
        "|rax    0xca\n"
        "|r10    0x0\n"
        "|rflags 0x286\n"
        "|cs     0x33\n"
        "=status 0x33\n"
        ">panic: old\n"
        "|\n"
        "|goroutine 8 [running]:\n"
        "|panic(0x8b98a0, 0xbff5e0)\n"
        "|\t/usr/local/go/src/runtime/panic.go:502 +0x229\n"
        "|main.test_http()\n"
        "=panic button (pressed)\n");
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

/* As rustc 1.95 prints them, with the number of the thread. */
static void rust_with_threads(void **state)
{
    (void)state;
    expect_auto_too(
        TRACE_RUST,
        "=\n"
        ">thread 'w 1' (28753) panicked at m.rs:2:97:\n"
        "|assertion `left == right` failed: sizes\n"
        "|  left: 0\n"
        "| right: 3\n"
        "|stack backtrace:\n"
        "|   0: __rustc::rust_begin_unwind\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689:5\n"
        "|   1: core::panicking::panic_fmt\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/panicking.rs:80:14\n"
        "|   2: core::panicking::assert_failed_inner\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/panicking.rs:434:23\n"
        "|   3: core::panicking::assert_failed::<usize, usize>\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/panicking.rs:394:5\n"
        "|   4: m::main::{{closure}}\n"
        "|note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n"
        "|\n"
        ">thread 'main' (28752) panicked at m.rs:5:7:\n"
        "|no value\n"
        "|stack backtrace:\n"
        "|   0: __rustc::rust_begin_unwind\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/std/src/panicking.rs:689:5\n"
        "|   1: core::panicking::panic_fmt\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/panicking.rs:80:14\n"
        "|   2: core::panicking::panic_display::<&str>\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/panicking.rs:259:5\n"
        "|   3: core::option::expect_failed\n"
        "|             at "
        "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/option.rs:2245:5\n"
        "|   4: core::option::Option<T>::expect\n"
        "|   5: m::main\n"
        "|   6: core::ops::function::FnOnce::call_once\n"
        "|note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n"
        "=listening\n");
    expect(TRACE_AUTO, "=thread 'main' (x) panicked at m.rs:1:1:\n"
                       "=thread 'main' () panicked at m.rs:1:1:\n"
                       "=thread 'main(1) panicked at m.rs:1:1:\n"
                       "=thread ' panicked at m.rs:1:1:\n");
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
           cmocka_unit_test(java_text_of_several_lines), cmocka_unit_test(python_groups_and_texts),
           cmocka_unit_test(go_panics), cmocka_unit_test(rust_with_threads),
           cmocka_unit_test(dotnet), cmocka_unit_test(rust), cmocka_unit_test(ruby),
           cmocka_unit_test(node), cmocka_unit_test(lines_of_every_day_stand_alone),
           cmocka_unit_test(frames_without_a_head_are_one_record),
           cmocka_unit_test(a_language_that_was_not_asked_for_is_not_looked_for),
           cmocka_unit_test(a_start_decides_alone),
           cmocka_unit_test(a_carriage_return_is_no_part_of_a_line))
