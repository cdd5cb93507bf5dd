/*
 * collector/trace.c - contract: trace.h.
 *
 * A trace has a head and lines that go on.  Heads are what a line has at a colon or at its end
 * ("...Exception: text", "Traceback (most recent call last):", "x.rb:1:in `f'") or how it begins
 * ("panic: ").  What goes on depends on the language and, for some, on what came before: the state
 * is language * PHASES + phase.
 */
#include "collector/trace.h"

#include <string.h>

enum { HEAD_LOOK = 1024, PHASES = 8 };

enum phase {
    PHASE_FRAMES,  /* lines that look like frames go on */
    PHASE_MESSAGE, /* rust: the next line is the text; node: lines of source until the error */
    PHASE_END,     /* python: its last line was here; another trace may be chained to it */
    PHASE_GAP,     /* python: an empty line behind that */
    PHASE_CHAIN,   /* python: "During handling ..." */
    PHASE_OBJECT,  /* node: members of the error, until } */
    PHASE_TEXT,    /* java, .NET, auto: the error's text, of which indented lines go on */
};

static unsigned state_of(enum trace_format f, enum phase p)
{
    return (unsigned)f * PHASES + (unsigned)p;
}

/* ---- pieces of lines ---- */

static bool has(struct str s, const char *prefix, size_t n)
{
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}
#define HAS(s, literal) has((s), (literal), sizeof(literal) - 1)

static bool ends(struct str s, const char *suffix, size_t n)
{
    return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}
#define ENDS(s, literal) ends((s), (literal), sizeof(literal) - 1)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* How many blanks it begins with. */
static size_t indent(struct str s)
{
    size_t n = 0;

    while (n < s.n && is_blank(s.p[n]))
        n++;
    return n;
}

/* Digits at `at`, then `what`. */
static bool number_then(struct str s, size_t at, const char *what)
{
    size_t n = at;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    return n > at && str_starts(str_from(s, n), str_of(what));
}

/* Is what stands in front of a colon, or the whole line, the name of an error? */
static bool is_error_name(struct str s)
{
    return ENDS(s, "Exception") || ENDS(s, "Error") || ENDS(s, "Throwable") ||
           ENDS(s, "Unhandled exception");
}

/* ---- heads ---- */

struct head {
    bool error, python, ruby;
};

static struct head find_head(struct str line)
{
    struct head h = {false, false, false};
    struct str look = str_sub(line, 0, HEAD_LOOK);
    const char *at = look.p, *end = look.p + look.n, *colon;

    while (at < end && (colon = memchr(at, ':', (size_t)(end - at))) != NULL) {
        struct str before = {look.p, (size_t)(colon - look.p)};
        struct str after = {colon + 1, (size_t)(end - colon) - 1};
        h.error = h.error || is_error_name(before);
        h.ruby = h.ruby || HAS(after, "in `") || HAS(after, "in '");
        h.python = h.python || (after.n == 0 && ENDS(before, "Traceback (most recent call last)"));
        at = colon + 1;
    }
    h.error = h.error || is_error_name(line);
    return h;
}

static bool is_go_head(struct str s)
{
    return HAS(s, "panic: ") || HAS(s, "fatal error: ") || HAS(s, "SIGSEGV: ") ||
           HAS(s, "SIGABRT: ") || HAS(s, "SIGQUIT: ") || HAS(s, "runtime: ") ||
           HAS(s, "unexpected fault address ") || (HAS(s, "goroutine ") && ENDS(s, "]:"));
}

static bool is_rust_head(struct str s)
{
    size_t at = str_find(s, STR(" panicked at ")), n;

    if (!HAS(s, "thread '") || at >= s.n)
        return false;
    n = at;
    if (s.p[n - 1] == ')') { /* since 1.91 with the thread's number: 'main' (4711) */
        for (n--; n > 0 && is_digit(s.p[n - 1]);)
            n--;
        if (n == at - 1 || n < 2 || s.p[n - 1] != '(' || s.p[n - 2] != ' ')
            return false;
        n -= 2;
    }
    return n > sizeof("thread '") - 1 && s.p[n - 1] == '\'';
}

/* "/srv/app.js:10" or "file:///srv/app.mjs:10" and nothing else: lines of source follow. */
static bool is_node_place(struct str s)
{
    size_t n = s.n;

    if (!HAS(s, "/") && !HAS(s, "file:///") && !HAS(s, "node:"))
        return false;
    while (n > 0 && is_digit(s.p[n - 1]))
        n--;
    return n < s.n && n > 3 && s.p[n - 1] == ':' && s.p[n - 2] != ' ' &&
           memchr(s.p, ' ', s.n) == NULL;
}

/* ---- lines that go on ---- */

static bool java_goes_on(struct str s, size_t in)
{
    struct str t = str_from(s, in);

    if (HAS(t, "Caused by: ") || HAS(t, "Suppressed: ") || HAS(t, "nested exception is:"))
        return true;
    if (in == 0)
        return false;
    return HAS(t, "at ") || HAS(t, "eval at ") || HAS(t, "- locked ") || HAS(t, "- waiting ") ||
           HAS(t, "- parking ") ||
           (HAS(t, "... ") && (number_then(t, 4, " more") || number_then(t, 4, " common frames")));
}

/* Of another error, whose text stands behind it. */
static bool is_cause(struct str t)
{
    return HAS(t, "Caused by: ") || HAS(t, "Suppressed: ") || HAS(t, "---> ");
}

static bool dotnet_goes_on(struct str s, size_t in)
{
    struct str t = str_from(s, in);

    return (in > 0 && (HAS(t, "at ") || HAS(t, "---> "))) ||
           HAS(t, "--- End of inner exception stack trace ---") ||
           HAS(t, "--- End of stack trace from previous location");
}

static bool ruby_goes_on(struct str s, size_t in)
{
    struct str t = str_from(s, in);
    size_t at;

    if (in > 0 && (HAS(t, "from ") || number_then(t, 0, ": from ")))
        return true;
    at = str_find(t, STR(":in "));
    return at < t.n && at > 0 && is_digit(t.p[at - 1]) && at + 4 < t.n &&
           (t.p[at + 4] == '`' || t.p[at + 4] == '\'') && memchr(t.p, ' ', at) == NULL;
}

/* "rax    0x4d9e1c", of a process that a signal has ended. */
static bool is_register(struct str s)
{
    size_t n = 0, from;

    while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || is_digit(s.p[n])))
        n++;
    from = n;
    while (from < s.n && s.p[from] == ' ')
        from++;
    if (n < 2 || n > 6 || (n == 6 && !HAS(s, "rflags")) || from == n || from < 7 || from > 8 ||
        !HAS(str_from(s, from), "0x"))
        return false;
    for (from += 2; from < s.n && (is_digit(s.p[from]) || (s.p[from] >= 'a' && s.p[from] <= 'f'));)
        from++;
    return from == s.n;
}

static bool go_goes_on(struct str s, size_t in)
{
    size_t paren;

    if (s.n == 0 || s.p[0] == '\t' || HAS(s, "goroutine ") || HAS(s, "[signal ") ||
        HAS(s, "created by ") || HAS(s, "...additional frames elided...") ||
        HAS(s, "exit status ") || HAS(s, "runtime stack:") || HAS(s, "[recovered]") ||
        HAS(s, "[originating from ") || HAS(s, "PC=0x") || is_register(s))
        return true;
    if (in > 0 || s.p[s.n - 1] != ')')
        return false;
    if (HAS(s, "panic(")) /* the only one without a package */
        return true;
    paren = str_find_char(s, '('); /* main.(*T).f(0x1, 0x2) */
    return paren > 0 && paren < s.n && memchr(s.p, ' ', paren) == NULL &&
           memchr(s.p, '.', paren) != NULL;
}

static bool rust_goes_on(struct str s, size_t in)
{
    return s.n == 0 || in > 0 || HAS(s, "stack backtrace:") || HAS(s, "note: ") ||
           HAS(s, "Caused by:") || HAS(s, "Location:");
}

static bool is_node_frame(struct str s, size_t in)
{
    struct str t = str_from(s, in);

    return in > 0 && (HAS(t, "at ") || HAS(t, "[cause]: ") || HAS(t, "[errors]: ") ||
                      HAS(t, "... ") || HAS(t, "[stack]: "));
}

static bool node_goes_on(unsigned *state, struct str s, size_t in)
{
    enum phase phase = *state % PHASES;

    if (phase == PHASE_MESSAGE) { /* source, a caret, an empty line, the error */
        if (in < s.n && in == 0 && find_head(s).error)
            *state = state_of(TRACE_NODE, PHASE_FRAMES);
        return true;
    }
    if (phase == PHASE_OBJECT) {
        if (in == 0 && HAS(s, "}"))
            *state = state_of(TRACE_NODE, PHASE_FRAMES);
        return in > 0 || HAS(s, "}");
    }
    if (!is_node_frame(s, in))
        return false;
    if (ENDS(s, " {"))
        *state = state_of(TRACE_NODE, PHASE_OBJECT);
    return true;
}

static bool is_python_link(struct str s)
{
    return HAS(s, "During handling of the above exception") ||
           HAS(s, "The above exception was the direct cause");
}

/* "    +------": nothing of a group of exceptions comes behind it, but of one around it. */
static bool is_group_end(struct str t)
{
    size_t n = 1;

    while (n < t.n && t.p[n] == '-')
        n++;
    return n > 2 && n == t.n && t.p[0] == '+';
}

static bool python_goes_on(unsigned *state, struct str s, size_t in)
{
    enum phase phase = *state % PHASES, next = phase;

    if (phase == PHASE_FRAMES)
        next = in > 0 && !is_group_end(str_from(s, in)) ? PHASE_FRAMES : PHASE_END;
    else if (phase == PHASE_END && in > 0 && in < s.n) /* of its text, or the next of a group */
        next = PHASE_END;
    else if (s.n == 0)
        next = phase == PHASE_END ? PHASE_GAP : phase;
    else if (is_python_link(s))
        next = PHASE_CHAIN;
    else if (phase == PHASE_CHAIN && find_head(s).python)
        next = PHASE_FRAMES;
    else
        return false;
    *state = state_of(TRACE_PYTHON, next);
    return phase != PHASE_GAP || next != PHASE_GAP; /* one empty line at most */
}

static bool is_python_frame(struct str s, size_t in)
{
    return in > 0 && HAS(str_from(s, in), "File \"") && str_find(s, STR("\", line ")) < s.n;
}

/* An error of java, .NET, or one whose language its first frame tells. */
static bool error_goes_on(unsigned *state, struct str s, size_t in)
{
    enum trace_format f = (enum trace_format)(*state / PHASES);
    bool is_auto = f == TRACE_AUTO, in_text = *state % PHASES == PHASE_TEXT;

    if (is_auto && is_node_frame(s, in) && (ENDS(s, " {") || str_find(s, STR(".js:")) < s.n)) {
        *state = state_of(TRACE_NODE, PHASE_FRAMES);
        return node_goes_on(state, s, in);
    }
    if (is_auto && in_text && is_python_frame(s, in)) {
        *state = state_of(TRACE_PYTHON, PHASE_FRAMES);
        return true;
    }
    if (java_goes_on(s, in) || dotnet_goes_on(s, in) ||
        (is_auto && (ruby_goes_on(s, in) || is_node_frame(s, in)))) {
        *state = state_of(f, is_cause(str_from(s, in)) ? PHASE_TEXT : PHASE_FRAMES);
        return true;
    }
    return in_text && in > 0 && in < s.n;
}

static bool goes_on(unsigned *state, struct str s)
{
    size_t in = indent(s);

    switch ((enum trace_format)(*state / PHASES)) {
    case TRACE_JAVA: /* its frames, .NET's and node's begin alike */
    case TRACE_DOTNET:
    case TRACE_AUTO:
        return error_goes_on(state, s, in);
    case TRACE_GO:
        return go_goes_on(s, in);
    case TRACE_PYTHON:
        return python_goes_on(state, s, in);
    case TRACE_RUST:
        if (*state % PHASES == PHASE_MESSAGE) {
            *state = state_of(TRACE_RUST, PHASE_FRAMES);
            return true;
        }
        return rust_goes_on(s, in);
    case TRACE_RUBY:
        return ruby_goes_on(s, in);
    case TRACE_NODE:
        return node_goes_on(state, s, in);
    case TRACE_NONE:
    case TRACE_START:
        break;
    }
    return false;
}

/* ---- which language ---- */

static bool asks_for(enum trace_format rule, enum trace_format f)
{
    return rule == TRACE_AUTO || rule == f;
}

/* The state behind a line that is the head of a trace; 0: it is none. */
static unsigned head_state(enum trace_format rule, struct str s)
{
    bool of_error =
        rule == TRACE_JAVA || rule == TRACE_DOTNET || rule == TRACE_NODE || rule == TRACE_AUTO;
    struct head h;

    if (asks_for(rule, TRACE_GO) && is_go_head(s))
        return state_of(TRACE_GO, PHASE_FRAMES);
    if (asks_for(rule, TRACE_RUST) && is_rust_head(s))
        return state_of(TRACE_RUST, ENDS(s, ":") ? PHASE_MESSAGE : PHASE_FRAMES);
    if (rule == TRACE_RUST && HAS(s, "Error: "))
        return state_of(TRACE_RUST, PHASE_FRAMES);
    if (asks_for(rule, TRACE_NODE) && is_node_place(s))
        return state_of(TRACE_NODE, PHASE_MESSAGE);
    if (rule == TRACE_GO || rule == TRACE_RUST)
        return 0;
    h = find_head(s);
    if (h.python && asks_for(rule, TRACE_PYTHON))
        return state_of(TRACE_PYTHON, PHASE_FRAMES);
    if (h.ruby && asks_for(rule, TRACE_RUBY))
        return state_of(TRACE_RUBY, PHASE_FRAMES);
    if (of_error && (h.error || HAS(s, "Exception in thread ")))
        return state_of(rule, rule == TRACE_NODE ? PHASE_FRAMES : PHASE_TEXT);
    return 0;
}

/* The state behind a frame that stands alone, its head being lost or of another shape. */
static unsigned frame_state(enum trace_format rule, struct str s)
{
    size_t in = indent(s);

    if (asks_for(rule, TRACE_PYTHON) && is_python_frame(s, in))
        return state_of(TRACE_PYTHON, PHASE_FRAMES);
    if ((asks_for(rule, TRACE_JAVA) && java_goes_on(s, in)) ||
        (asks_for(rule, TRACE_DOTNET) && dotnet_goes_on(s, in)) ||
        (asks_for(rule, TRACE_NODE) && is_node_frame(s, in)))
        return state_of(rule, PHASE_FRAMES);
    if (in > 0 && asks_for(rule, TRACE_RUBY) && ruby_goes_on(s, in))
        return state_of(TRACE_RUBY, PHASE_FRAMES);
    return 0;
}

enum trace_step trace_step(const struct trace_rule *rule, unsigned *state, struct str line)
{
    unsigned before = *state, next;

    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (rule->format == TRACE_START) {
        *state = state_of(TRACE_START, PHASE_FRAMES);
        return rule->starts(rule->arg, line) ? TRACE_BEGINS : TRACE_GOES_ON;
    }
    if (rule->format == TRACE_NONE) {
        *state = 0;
        return TRACE_ALONE;
    }
    if (before != 0 && goes_on(state, line))
        return TRACE_GOES_ON;
    next = line.n == 0 ? 0 : head_state(rule->format, line);
    if (next != 0) {
        *state = next;
        return TRACE_BEGINS;
    }
    *state = line.n == 0 ? 0 : frame_state(rule->format, line);
    if (*state == 0)
        return TRACE_ALONE;
    return before == 0 ? TRACE_GOES_ON : TRACE_BEGINS;
}

bool trace_by_name(struct str name, enum trace_format *ret)
{
    static const char *const NAMES[] = {"none",   "auto", "java", "go",  "python",
                                        "dotnet", "rust", "ruby", "node"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (str_eq(name, str_of(NAMES[i]))) {
            *ret = (enum trace_format)i;
            return true;
        }
    return false;
}
