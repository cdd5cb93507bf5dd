/*
 * base/log.c - see log.h.
 *
 * Why no allocation and no lock: the log must work when memory is out and from any thread.  A line
 * is made on the stack, bounded, and leaves with one write(2), which keeps lines of several threads
 * apart.  What a value says may come from outside, so nothing in it can end the line, look like
 * another field, or move a terminal's cursor.  Never any colour.
 */
#include "base/log.h"

#include "base/time.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096,
    VALUE_MAX_BYTES = 1024, /* of one value, before escaping */
};

static const char CUT_MARK[] = " log_cut=true";

/* A line in the making.  Room for CUT_MARK and the newline is kept free. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
    bool cut;
};

static _Atomic int least_level = LOG_LEVEL_INFO;
static _Atomic(const char *) program;
static _Atomic uint64_t lost;

static const char *const LEVEL_NAMES[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

void log_set_level(enum log_level least)
{
    atomic_store(&least_level, (int)least);
}

void log_set_program(const char *name)
{
    atomic_store(&program, name);
}

uint64_t log_lost(void)
{
    return atomic_load(&lost);
}

/* All of it or nothing; after the first that did not fit, nothing more. */
static void add(struct line *l, const char *p, size_t n)
{
    size_t room = sizeof(l->text) - sizeof(CUT_MARK) - l->n;

    if (l->cut || n > room) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->n, p, n);
    l->n += n;
}

static void add_z(struct line *l, const char *z)
{
    add(l, z, strlen(z));
}

static void addf(struct line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void addf(struct line *l, const char *fmt, ...)
{
    char text[64];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    add(l, text, n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void add_time(struct line *l)
{
    char text[TIME_TEXT_MAX];
    struct str t = time_format_rfc3339(time_now(), text);

    add(l, t.p, sizeof("2026-11-21T19:14:38.773") - 1);
    add(l, "Z", 1);
}

/* ---- values ---- */

/* How many bytes of the character at `i` may be shown as they are: 0 for control codes (C1 too,
 * terminals obey U+009B) and for what is not UTF-8. */
static size_t shown_length(struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (c < 0x80)
        return c >= 0x20 && c != 0x7f;
    if (n > s.n - i || utf8_valid(str_sub(s, i, n)) < n)
        return 0;
    return c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0 ? 0 : n;
}

static bool is_bare(struct str s)
{
    size_t n;

    for (size_t i = 0; i < s.n; i += n) {
        n = shown_length(s, i);
        if (n == 0 || strchr(" \"\\=", s.p[i]) != NULL)
            return false;
    }
    return s.n > 0;
}

static void add_escaped_byte(struct line *l, char c)
{
    switch (c) {
    case '"':
        add(l, "\\\"", 2);
        break;
    case '\\':
        add(l, "\\\\", 2);
        break;
    case '\n':
        add(l, "\\n", 2);
        break;
    case '\r':
        add(l, "\\r", 2);
        break;
    case '\t':
        add(l, "\\t", 2);
        break;
    default:
        addf(l, "\\x%02x", (unsigned)(unsigned char)c);
        break;
    }
}

/* Between quotes: characters as they are, control codes and ill-formed bytes as \xNN. */
static void add_quoted(struct line *l, struct str s)
{
    size_t i = 0;

    add(l, "\"", 1);
    while (i < s.n) {
        size_t n = shown_length(s, i);
        if (n == 0 || s.p[i] == '"' || s.p[i] == '\\') {
            add_escaped_byte(l, s.p[i]);
            i++;
        } else {
            add(l, s.p + i, n);
            i += n;
        }
    }
    add(l, "\"", 1);
}

/* A value over VALUE_MAX_BYTES is cut, and how much is missing stands behind it: "abc"+17. */
static void add_str(struct line *l, struct str s)
{
    struct str head = str_sub(s, 0, VALUE_MAX_BYTES);

    if (is_bare(head) && head.n == s.n)
        add(l, s.p, s.n);
    else
        add_quoted(l, head);
    if (head.n < s.n)
        addf(l, "+%zu", s.n - head.n);
}

static void add_field(struct line *l, const struct log_field *f)
{
    add(l, " ", 1);
    add_z(l, f->key);
    add(l, "=", 1);
    switch (f->kind) {
    case LOG_KIND_STR:
        add_str(l, f->s);
        break;
    case LOG_KIND_I64:
        addf(l, "%" PRId64, f->i);
        break;
    case LOG_KIND_U64:
        addf(l, "%" PRIu64, f->u);
        break;
    case LOG_KIND_F64:
        addf(l, "%.6g", f->f);
        break;
    }
}

/* One write(2).  What stderr does not take is lost, and counted: there is nowhere else to say it.
 */
static void put(const struct line *l)
{
    ssize_t n;

    do {
        n = write(STDERR_FILENO, l->text, l->n);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)l->n)
        atomic_fetch_add(&lost, 1);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    int saved = errno;
    const char *name = atomic_load(&program);
    struct line l;

    if ((int)level < atomic_load(&least_level))
        return;
    l.n = 0;
    l.cut = false;
    add_time(&l);
    if (name != NULL) {
        add(&l, " ", 1);
        add_z(&l, name);
    }
    add(&l, " ", 1);
    add_z(&l, LEVEL_NAMES[level]);
    add(&l, " ", 1);
    add_z(&l, event);
    for (; fields->key != NULL; fields++)
        add_field(&l, fields);
    if (l.cut) {
        memcpy(l.text + l.n, CUT_MARK, sizeof(CUT_MARK) - 1);
        l.n += sizeof(CUT_MARK) - 1;
    }
    l.text[l.n++] = '\n';
    put(&l);
    errno = saved;
}
