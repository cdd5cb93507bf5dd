/*
 * query/format_place.c - the line of a query that an error is about, see format.h.
 *
 * A query may be one line of 128 KiB: what is shown is cut to what a terminal holds, around the
 * place.
 */
#include "query/format.h"

#include "base/utf8.h"

enum { SHOWN = 100, BEFORE = 70 }; /* code points: of the line; of those before the place */

#define RED   "\x1b[1;31m"
#define RESET "\x1b[0m"

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Where code point `n` (from 0) of `s` begins; s.n behind the last one. */
static size_t at_point(struct str s, size_t n)
{
    size_t i = 0;

    for (; i < s.n; i++)
        if (!continues(s.p[i]) && n-- == 0)
            break;
    return i;
}

static size_t count_points(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += !continues(s.p[i]);
    return n;
}

/* Append `s`, which is UTF-8, without what a terminal obeys; each code point stays one. */
static void add_plain(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool is_c1 = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;

        buf_add_char(out, c < ' ' || c == 0x7f || is_c1 ? ' ' : s.p[i]);
        i += is_c1;
    }
}

void format_place(struct buf *out, struct str text, unsigned line, unsigned column, bool color)
{
    struct str shown = STR("");
    struct buf whole;
    size_t place, from, points;

    for (unsigned i = 0; i < line && text.p != NULL; i++)
        shown = str_cut(&text, '\n');
    buf_init(&whole, 3 * shown.n + 1);
    utf8_repair(&whole, shown);
    shown = buf_str(&whole);
    points = count_points(shown);
    place = column == 0 ? 0 : column - 1;
    place = place < points ? place : points;
    from = points <= SHOWN || place < BEFORE ? 0 : place - BEFORE;
    shown = str_from(shown, at_point(shown, from));
    buf_add_z(out, from > 0 ? "  ..." : "  ");
    add_plain(out, str_sub(shown, 0, at_point(shown, SHOWN)));
    buf_add_z(out, points - from > SHOWN ? "...\n  " : "\n  ");
    for (size_t i = from > 0 ? 3 : 0; i > 0; i--)
        buf_add_char(out, ' ');
    for (size_t i = utf8_columns(str_sub(shown, 0, at_point(shown, place - from))); i > 0; i--)
        buf_add_char(out, ' ');
    buf_add_z(out, color ? RED "^" RESET "\n" : "^\n");
    buf_fini(&whole);
}
