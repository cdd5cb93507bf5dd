/* collector/chars.c - contract: chars.h. */
#include "collector/chars.h"

#include <string.h>

enum {
    BACKSLASHES_MAX = 8, /* of one escape: JSON in JSON in JSON in JSON */
    ESCAPE_MAX = 6,      /* \u003d */
    COLOUR_MAX = 16,     /* between [ and m */
};

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool chars_is_hex(char c)
{
    return hex_of(c) >= 0;
}

size_t chars_run(struct str text, size_t at, unsigned classes)
{
    while (at < text.n && chars_is(text.p[at], classes))
        at++;
    return at;
}

/* ---- escapes ---- */

/* `digits` hex digits at `at`, as a number; -1: they are not there. */
static int hex_at(struct str text, size_t at, size_t digits)
{
    int v = 0;

    if (at > text.n || text.n - at < digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_of(text.p[at + i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* `head` bytes and `digits` of hex behind them. */
static size_t by_number(struct str text, size_t at, size_t head, size_t digits, char *ret)
{
    int v = hex_at(text, at + head, digits);

    if (v < 0)
        return 0;
    *ret = '\xff';
    if (v < 128)
        *ret = (char)v;
    return head + digits;
}

/* What follows the backslashes before `at`. */
static size_t by_letter(struct str text, size_t at, char *ret)
{
    static const char LETTERS[] = "bfnrt\"'/", MEANINGS[] = "\b\f\n\r\t\"'/";
    const char *letter;

    if (at >= text.n || text.p[at] == '\0')
        return 0;
    if (text.p[at] == 'u')
        return by_number(text, at, 1, 4, ret);
    if (text.p[at] == 'x')
        return by_number(text, at, 1, 2, ret);
    letter = strchr(LETTERS, text.p[at]);
    if (letter == NULL)
        return 0;
    *ret = MEANINGS[letter - LETTERS];
    return 1;
}

size_t chars_escape(struct str text, size_t at, char *ret)
{
    size_t n = 0, rest;

    if (at >= text.n)
        return 0;
    if (text.p[at] == '%')
        return by_number(text, at, 1, 2, ret);
    while (n <= BACKSLASHES_MAX && at + n < text.n && text.p[at + n] == '\\')
        n++;
    if (n == 0 || n > BACKSLASHES_MAX)
        return 0;
    rest = by_letter(text, at + n, ret);
    return rest == 0 ? 0 : n + rest;
}

/* Is `lead` `back` bytes before `at`, and an escape from there to `at`? */
static bool reaches(struct str text, size_t at, size_t back, char lead)
{
    char c;

    return at >= back && text.p[at - back] == lead && chars_escape(text, at - back, &c) == back;
}

static bool ends_escape(struct str text, size_t at)
{
    return reaches(text, at, 2, '\\') || reaches(text, at, 6, '\\') || reaches(text, at, 3, '%') ||
           reaches(text, at, 4, '\\');
}

/* \e[1;32m, the first of it as a byte or as an escape of one. */
static bool ends_colour(struct str text, size_t at)
{
    size_t n = 1;

    if (at < 3 || text.p[at - 1] != 'm')
        return false;
    while (n < at && n < COLOUR_MAX &&
           (chars_is(text.p[at - 1 - n], CHARS_DIGIT) || text.p[at - 1 - n] == ';'))
        n++;
    if (n + 2 > at || text.p[at - 1 - n] != '[')
        return false;
    return text.p[at - 2 - n] == '\x1b' || ends_escape(text, at - 1 - n);
}

bool chars_ends_escape(struct str text, size_t at)
{
    return ends_escape(text, at) || ends_colour(text, at);
}

size_t chars_behind_escape(struct str text, size_t at)
{
    for (size_t back = 1; back < ESCAPE_MAX && back <= at; back++) {
        char c;
        if (text.p[at - back] != '\\')
            continue;
        if (chars_escape(text, at - back, &c) > back)
            return at - back + chars_escape(text, at - back, &c);
        break;
    }
    return at;
}

size_t chars_escaped_run(struct str text, size_t at, unsigned classes, size_t max, size_t *n)
{
    for (*n = 0; at < text.n && *n < max; ++*n) {
        size_t bytes = 1;
        char c = text.p[at];
        if (c == '\\' || c == '%')
            bytes = chars_escape(text, at, &c);
        if (bytes == 0 || !chars_is(c, classes))
            break;
        at += bytes;
    }
    return at;
}

size_t chars_gap(struct str text, size_t at, const char *set, size_t max)
{
    for (; max > 0 && at < text.n; max--) {
        size_t bytes = 1;
        char c = text.p[at];
        if (c == '\\' || c == '%')
            bytes = chars_escape(text, at, &c);
        if (bytes == 0 || c == '\0' || strchr(set, c) == NULL)
            break;
        at += bytes;
    }
    return at;
}
