/*
 * base/visible.c - see visible.h.
 *
 * Besides control characters, which a terminal obeys, there are those of Unicode that set the
 * direction of writing or have no width: with them a line looks like another than it is.
 */
#include "base/visible.h"

#include "base/utf8.h"

#include <stdint.h>

static bool is_ascii(char c)
{
    return (unsigned char)c < 0x80;
}

/* Persian, Indian scripts and composed pictures join their characters with these; between ASCII
 * they do nothing but hide. */
static bool joins(struct str s, size_t at, uint32_t cp)
{
    return (cp == 0x200c || cp == 0x200d) && at > 0 && !is_ascii(s.p[at - 1]) && at + 3 < s.n &&
           !is_ascii(s.p[at + 3]);
}

/* Length of the character at `at` which is not to come out as it is, and *cp; 0: it may. */
static size_t hidden(struct str s, size_t at, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s.p + at;
    size_t n = s.n - at;

    *cp = p[0];
    if (p[0] < ' ' || p[0] == 0x7f)
        return 1;
    if (n < 2 || (p[1] & 0xc0) != 0x80)
        return 0;
    *cp = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    if (p[0] == 0xc2 || p[0] == 0xd8)
        return *cp < 0xa0 || *cp == 0x061c ? 2 : 0;
    if ((p[0] != 0xe2 && p[0] != 0xef) || n < 3 || (p[2] & 0xc0) != 0x80)
        return 0;
    *cp = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    if (joins(s, at, *cp))
        return 0;
    return (*cp >= 0x200b && *cp <= 0x200f) || (*cp >= 0x2028 && *cp <= 0x202e) ||
                   (*cp >= 0x2060 && *cp <= 0x206f) || *cp == 0xfeff
               ? 3
               : 0;
}

void visible_add(struct buf *out, struct str s, bool tabs)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n;) {
        uint32_t cp;
        size_t n = hidden(s, i, &cp);

        if (n == 0 || (tabs && cp == '\t')) {
            i++;
            continue;
        }
        utf8_repair(out, str_sub(s, from, i - from));
        buf_addf(out, cp < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)cp);
        from = i += n;
    }
    utf8_repair(out, str_from(s, from));
}
