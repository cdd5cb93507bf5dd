/*
 * query/tmpl_text.c - functions of templates that work on text, see tmpl_internal.h.
 *
 * Those with a capital letter take the text first, as Go's package strings does; the others last,
 * so that it may come through a pipe.  A result that is a part of an argument is no copy.
 */
#include "query/tmpl_internal.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <wctype.h>

/* tmpl_fn_NAME is one call, of its arguments v, that sets *ret. */
#define TMPL_FN(name, call)                                                                        \
    int tmpl_fn_##name(struct tmpl_run *r, const struct tmpl_value *v, size_t n,                   \
                       struct tmpl_value *ret)                                                     \
    {                                                                                              \
        (void)r;                                                                                   \
        (void)n;                                                                                   \
        return call;                                                                               \
    }

static int give(struct tmpl_value *ret, struct tmpl_value v)
{
    *ret = v;
    return 0;
}

/* ---- letters ---- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static locale_t unicode; /* what is a letter; set once, never freed.  (locale_t)0: ASCII alone */

static void make_locale(void)
{
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static bool have_unicode(void)
{
    (void)pthread_once(&once, make_locale);
    return unicode != (locale_t)0;
}

static uint32_t change_case(uint32_t c, bool up)
{
    if (c < 0x80) {
        if (up)
            return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
        return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
    }
    if (!have_unicode())
        return c;
    return (uint32_t)(up ? towupper_l((wint_t)c, unicode) : towlower_l((wint_t)c, unicode));
}

static bool is_space(uint32_t c)
{
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

static bool is_separator(uint32_t c)
{
    if (c < 0x80)
        return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                 c == '_');
    if (have_unicode() && iswalnum_l((wint_t)c, unicode))
        return false;
    return is_space(c);
}

enum letter_case { LOWER, UPPER, TITLE };

static int map_case(struct tmpl_run *r, struct str s, enum letter_case to, struct tmpl_value *ret)
{
    size_t from = r->out.n;
    bool start = true;
    bool changed = false;
    size_t n;

    for (struct str left = s; left.n > 0; left = str_from(left, n)) {
        uint32_t c = tmpl_rune(left, &n);
        uint32_t mapped = to == TITLE && !start ? c : change_case(c, to != LOWER);
        start = is_separator(c);
        changed |= mapped != c || (n == 1 && c >= 0x80);
        utf8_add(&r->out, mapped);
    }
    if (changed)
        return tmpl_take(r, &r->out, from, ret);
    r->out.n = from;
    *ret = tmpl_of_str(s);
    return 0;
}

TMPL_FN(lower, map_case(r, v[0].s, LOWER, ret))
TMPL_FN(upper, map_case(r, v[0].s, UPPER, ret))
TMPL_FN(title, map_case(r, v[0].s, TITLE, ret))

/* ---- trimming ---- */

/* Bytes of the last character. */
static size_t last_rune(struct str s, uint32_t *c)
{
    for (size_t n = s.n < 4 ? s.n : 4; n > 1; n--) {
        size_t width;
        *c = tmpl_rune(str_from(s, s.n - n), &width);
        if (width == n)
            return n;
    }
    *c = tmpl_rune(str_from(s, s.n - 1), &(size_t){0});
    return 1;
}

static bool in_set(uint32_t c, const struct str *set)
{
    size_t n;

    if (set == NULL)
        return is_space(c);
    for (struct str left = *set; left.n > 0; left = str_from(left, n))
        if (tmpl_rune(left, &n) == c)
            return true;
    return false;
}

/* Without characters of `set` (NULL: blanks) at its ends. */
static struct str trim(struct str s, const struct str *set, bool left, bool right)
{
    uint32_t c;
    size_t n;

    while (left && s.n > 0 && in_set(tmpl_rune(s, &n), set))
        s = str_from(s, n);
    while (right && s.n > 0) {
        n = last_rune(s, &c);
        if (!in_set(c, set))
            break;
        s.n -= n;
    }
    return s;
}

/* A set of n characters against a text of m: n * m looks, paid for beforehand. */
static int trim_with(struct tmpl_run *r, struct str s, struct str set, unsigned sides,
                     struct tmpl_value *ret)
{
    int x = tmpl_step(r, s.n / TMPL_STEP_BYTES * set.n); /* both are at most some MiB */

    if (x < 0)
        return x;
    *ret = tmpl_of_str(trim(s, &set, (sides & 1) != 0, (sides & 2) != 0));
    return 0;
}

TMPL_FN(trim_space, give(ret, tmpl_of_str(trim(v[0].s, NULL, true, true))))
TMPL_FN(trim_cut, trim_with(r, v[0].s, v[1].s, 3, ret))
TMPL_FN(trim_left, trim_with(r, v[0].s, v[1].s, 1, ret))
TMPL_FN(trim_right, trim_with(r, v[0].s, v[1].s, 2, ret))
TMPL_FN(trim_all, trim_with(r, v[1].s, v[0].s, 3, ret))

static int without_prefix(struct str s, struct str prefix, struct tmpl_value *ret)
{
    *ret = tmpl_of_str(str_starts(s, prefix) ? str_from(s, prefix.n) : s);
    return 0;
}

static int without_suffix(struct str s, struct str suffix, struct tmpl_value *ret)
{
    *ret = tmpl_of_str(str_ends(s, suffix) ? str_sub(s, 0, s.n - suffix.n) : s);
    return 0;
}

TMPL_FN(go_trim_prefix, without_prefix(v[0].s, v[1].s, ret))
TMPL_FN(go_trim_suffix, without_suffix(v[0].s, v[1].s, ret))
TMPL_FN(trim_prefix, without_prefix(v[1].s, v[0].s, ret))
TMPL_FN(trim_suffix, without_suffix(v[1].s, v[0].s, ret))

/* ---- searching ---- */

TMPL_FN(contains, give(ret, tmpl_of_bool(str_find(v[1].s, v[0].s) != SIZE_MAX)))
TMPL_FN(has_prefix, give(ret, tmpl_of_bool(str_starts(v[1].s, v[0].s))))
TMPL_FN(has_suffix, give(ret, tmpl_of_bool(str_ends(v[1].s, v[0].s))))

/* At most `max` times (< 0: all); an empty `old` is found before each character and at the end. */
static int replace(struct tmpl_run *r, struct str s, struct str old, struct str new, int64_t max,
                   struct tmpl_value *ret)
{
    size_t from = r->out.n;
    int64_t count = 0;

    while (max < 0 || count < max) {
        size_t at = str_find(s, old);
        if (at == SIZE_MAX)
            break;
        if (old.n == 0 && count > 0) {
            size_t n = 0;
            if (s.n == 0)
                break;
            (void)tmpl_rune(s, &n);
            buf_add_str(&r->out, str_sub(s, 0, n));
            s = str_from(s, n);
        }
        buf_add_str(&r->out, str_sub(s, 0, at));
        buf_add_str(&r->out, new);
        s = str_from(s, at + old.n);
        count++;
        if (r->out.over)
            break;
    }
    if (count == 0) {
        *ret = tmpl_of_str(s);
        return 0;
    }
    buf_add_str(&r->out, s);
    return tmpl_take(r, &r->out, from, ret);
}

TMPL_FN(go_replace, replace(r, v[0].s, v[1].s, v[2].s, v[3].i, ret))
TMPL_FN(replace, replace(r, v[2].s, v[0].s, v[1].s, -1, ret))

/* ---- parts: these count bytes ---- */

int tmpl_fn_trunc(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int64_t count = v[0].i;
    struct str s = v[1].s;

    (void)r;
    (void)n;
    if (count >= 0)
        s = str_sub(s, 0, (size_t)count);
    else if (0 - (uint64_t)count < s.n)
        s = str_from(s, s.n - (size_t)(0 - (uint64_t)count));
    *ret = tmpl_of_str(s);
    return 0;
}

static int bad_end(struct tmpl_run *r, int64_t end, size_t length)
{
    if (end < 0)
        return tmpl_fail(r, "runtime error: slice bounds out of range [:%" PRId64 "]", end);
    return tmpl_fail(r, "runtime error: slice bounds out of range [:%" PRId64 "] with length %zu",
                     end, length);
}

int tmpl_fn_substr(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int64_t start = v[0].i;
    int64_t end = v[1].i;
    struct str s = v[2].s;

    (void)n;
    if (start < 0) {
        if (end < 0 || (uint64_t)end > s.n)
            return bad_end(r, end, s.n);
        *ret = tmpl_of_str(str_sub(s, 0, (size_t)end));
        return 0;
    }
    if (end < 0 || (uint64_t)end > s.n)
        end = (int64_t)s.n;
    if (start > end)
        return tmpl_fail(r, "runtime error: slice bounds out of range [%" PRId64 ":%" PRId64 "]",
                         start, end);
    *ret = tmpl_of_str(str_sub(s, (size_t)start, (size_t)(end - start)));
    return 0;
}

/* ---- making ---- */

static int add_times(struct tmpl_run *r, struct str s, int64_t times)
{
    if (times < 0)
        return tmpl_fail(r, "strings: negative Repeat count");
    if (s.n > 0 && (uint64_t)times > TMPL_OUT_MAX / s.n)
        return tmpl_fail(r, "a text of more than %d bytes", TMPL_OUT_MAX);
    for (int64_t i = 0; i < times && s.n > 0 && !r->out.over; i++)
        buf_add_str(&r->out, s);
    return 0;
}

int tmpl_fn_repeat(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    size_t from = r->out.n;
    int x = add_times(r, v[1].s, v[0].i);

    (void)n;
    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

static int indent(struct tmpl_run *r, int64_t blanks, struct str s, const char *before,
                  struct tmpl_value *ret)
{
    size_t from = r->out.n;
    bool more;
    int x;

    buf_add_z(&r->out, before);
    do {
        size_t line = str_find_char(s, '\n');
        more = line != SIZE_MAX;
        x = add_times(r, STR(" "), blanks);
        if (x < 0)
            return x;
        buf_add_str(&r->out, str_sub(s, 0, more ? line + 1 : SIZE_MAX));
        s = str_from(s, more ? line + 1 : s.n);
    } while (more && !r->out.over);
    return tmpl_take(r, &r->out, from, ret);
}

TMPL_FN(indent, indent(r, v[0].i, v[1].s, "", ret))
TMPL_FN(nindent, indent(r, v[0].i, v[1].s, "\n", ret))

/* ---- aligning: these count characters ---- */

/* Byte offset of character `count`. */
static size_t rune_offset(struct str s, size_t count)
{
    size_t at = 0;
    size_t n;

    for (; count > 0 && at < s.n; count--, at += n)
        (void)tmpl_rune(str_from(s, at), &n);
    return at;
}

int tmpl_fn_align_left(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                       struct tmpl_value *ret)
{
    size_t have = tmpl_count_runes(v[1].s);
    size_t from = r->out.n;
    int x;

    (void)n;
    if (v[0].i < 0 || (uint64_t)v[0].i <= have) {
        *ret = tmpl_of_str(v[0].i < 0 ? v[1].s
                                      : str_sub(v[1].s, 0, rune_offset(v[1].s, (size_t)v[0].i)));
        return 0;
    }
    buf_add_str(&r->out, v[1].s);
    x = add_times(r, STR(" "), v[0].i - (int64_t)have);
    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

int tmpl_fn_align_right(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                        struct tmpl_value *ret)
{
    size_t have = tmpl_count_runes(v[1].s);
    size_t from = r->out.n;
    int x;

    (void)n;
    if (v[0].i < 0 || (uint64_t)v[0].i <= have) {
        *ret = tmpl_of_str(
            v[0].i < 0 ? v[1].s : str_from(v[1].s, rune_offset(v[1].s, have - (size_t)v[0].i)));
        return 0;
    }
    x = add_times(r, STR(" "), v[0].i - (int64_t)have);
    buf_add_str(&r->out, v[1].s);
    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}
