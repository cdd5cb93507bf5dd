/*
 * collector/chars.h - the alphabets that secrets are written in, and the escapes between them.
 *
 * Escapes are those of JSON, with any number of backslashes up to eight for JSON inside of JSON,
 * \xHH as programs and nginx write it, and the %HH of addresses.  Pure functions; none looks
 * further than an escape is long, or the run that it follows.
 */
#ifndef LOGQ_COLLECTOR_CHARS_H
#define LOGQ_COLLECTOR_CHARS_H

#include "base/str.h"

enum {
    CHARS_DIGIT = 1,
    CHARS_UPPER = 2,
    CHARS_LOWER = 4,
    CHARS_UNDER = 8,
    CHARS_DASH = 16,
    CHARS_BASE64 = 32, /* + and / */
    CHARS_TOKEN = 64,  /* _ - + / . ~ */
    CHARS_EQUAL = 128,
    CHARS_ALNUM = CHARS_DIGIT | CHARS_UPPER | CHARS_LOWER,
    CHARS_WORD = CHARS_ALNUM | CHARS_UNDER,
};

static inline unsigned chars_class(char c)
{
    if (c >= '0' && c <= '9')
        return CHARS_DIGIT;
    if (c >= 'A' && c <= 'Z')
        return CHARS_UPPER;
    if (c >= 'a' && c <= 'z')
        return CHARS_LOWER;
    switch (c) {
    case '_':
        return CHARS_UNDER | CHARS_TOKEN;
    case '-':
        return CHARS_DASH | CHARS_TOKEN;
    case '+':
    case '/':
        return CHARS_BASE64 | CHARS_TOKEN;
    case '.':
    case '~':
        return CHARS_TOKEN;
    case '=':
        return CHARS_EQUAL;
    default:
        return 0;
    }
}

static inline bool chars_is(char c, unsigned classes)
{
    return (chars_class(c) & classes) != 0;
}

bool chars_is_hex(char c);

/* The end of the run of `classes` that begins at `at`. */
size_t chars_run(struct str text, size_t at, unsigned classes);

/* Is there something of `classes` right before, or at, byte `at`? */
static inline bool chars_before(struct str text, size_t at, unsigned classes)
{
    return at > 0 && chars_is(text.p[at - 1], classes);
}

static inline bool chars_at(struct str text, size_t at, unsigned classes)
{
    return at < text.n && chars_is(text.p[at], classes);
}

/* ---- escapes ---- */

/* The bytes of the escape that begins at `at`, and in *ret what it stands for, '\xff' if that is
 * not ASCII.  0: there is none. */
size_t chars_escape(struct str text, size_t at, char *ret);

/* Does an escape end right before `at`, or a terminal's colour (\u001b[0m)? */
bool chars_ends_escape(struct str text, size_t at);

/* Is there something of `classes` right before `at` that is of a word?  The n of \n and the m of a
 * colour are not.  Most places are in the middle of a word: so this looks before it asks. */
static inline bool chars_glued(struct str text, size_t at, unsigned classes)
{
    const char *p = text.p + at;

    if (!chars_before(text, at, classes))
        return false;
    if (at < 2 || !(p[-2] == '\\' || p[-1] == 'm' || (at > 2 && p[-3] == '%') ||
                    (at > 3 && p[-4] == '\\') || (at > 5 && p[-6] == '\\')))
        return true;
    return !chars_ends_escape(text, at);
}

/* `at`, or the end of the escape with a backslash in the middle of which it is. */
size_t chars_behind_escape(struct str text, size_t at);

/* The end of the run of at most `max` of `classes`, escaped ones too, that begins at `at`, and in
 * *n how many they are. */
size_t chars_escaped_run(struct str text, size_t at, unsigned classes, size_t max, size_t *n);

/* The same for a gap between words: at most `max` of the characters of `set`. */
size_t chars_gap(struct str text, size_t at, const char *set, size_t max);

#endif
