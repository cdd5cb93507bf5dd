/*
 * query/op_decolorize.c - the stage `decolorize`, see op.h.
 *
 * Takes the escape sequences of terminals (ECMA-48) out of a line: ESC or CSI with its parameters
 * up to the final byte; ESC ] and its like up to BEL or ESC \; other pairs of ESC and a byte.  One
 * that the end of the line cuts off stays.
 */
#include "query/op.h"

#include <string.h>

enum { ESC = 0x1b, BEL = 0x07 };

static bool between(struct str s, size_t at, unsigned char low, unsigned char high)
{
    return at < s.n && (unsigned char)s.p[at] >= low && (unsigned char)s.p[at] <= high;
}

/* Bytes of a sequence's parameters and its final byte from s.p[at] on; 0: broken. */
static size_t control_end(struct str s, size_t at)
{
    while (between(s, at, 0x30, 0x3f))
        at++;
    while (between(s, at, 0x20, 0x2f))
        at++;
    return between(s, at, 0x40, 0x7e) ? at + 1 : 0;
}

/* The place behind BEL or ESC \. */
static size_t string_end(struct str s, size_t at)
{
    for (; at < s.n; at++) {
        if (s.p[at] == BEL)
            return at + 1;
        if (s.p[at] == ESC)
            return at + 1 < s.n && s.p[at + 1] == '\\' ? at + 2 : 0;
    }
    return 0;
}

/* Length of the escape sequence that `s` begins with, or 0. */
static size_t sequence_length(struct str s)
{
    size_t at = 1;

    if (s.n >= 2 && s.p[0] == '\xc2' && s.p[1] == '\x9b')
        return control_end(s, 2);
    if (s.n < 2 || s.p[0] != ESC)
        return 0;
    if (s.p[1] == '[')
        return control_end(s, 2);
    if (strchr("]PX^_", s.p[1]) != NULL && s.p[1] != '\0')
        return string_end(s, 2);
    while (between(s, at, 0x20, 0x2f))
        at++;
    return between(s, at, 0x30, 0x7e) ? at + 1 : 0;
}

int op_decolorize(struct entry *e, struct err *err)
{
    struct str s = e->line;
    size_t n = 0;
    char *to;

    if (str_find_char(s, ESC) == SIZE_MAX && str_find(s, STR("\xc2\x9b")) == SIZE_MAX)
        return 1;
    to = arena_bytes(e->arena, s.n);
    if (to == NULL)
        return arena_err(e->arena, err);
    while (s.n > 0) {
        size_t skip = sequence_length(s);
        if (skip == 0)
            to[n++] = s.p[0];
        s = str_from(s, skip == 0 ? 1 : skip);
    }
    e->line = (struct str){to, n};
    return 1;
}
