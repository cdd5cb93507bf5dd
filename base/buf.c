/*
 * base/buf.c - see buf.h.
 *
 * One byte more than `cap` is allocated, so that vsnprintf has a place for its NUL when the text
 * just fits.
 */
#include "base/buf.h"

#include "base/obj.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max == SIZE_MAX ? max - 1 : max};
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->over = false;
}

/* Room for n more bytes, or `over`. */
static bool reserve(struct buf *b, size_t n)
{
    size_t cap;
    char *p;

    if (b->over)
        return false;
    if (b->p != NULL && n <= b->cap - b->n)
        return true;
    if (n > b->max - b->n) {
        b->over = true;
        return false;
    }
    cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    if (cap < b->n + n)
        cap = b->n + n;
    if (cap < BUF_FIRST && BUF_FIRST <= b->max)
        cap = BUF_FIRST;
    p = realloc(b->p, cap + 1);
    if (p == NULL) {
        b->over = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_z(struct buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void buf_add_char(struct buf *b, char c)
{
    if (reserve(b, 1))
        b->p[b->n++] = c;
}

void buf_add_i64(struct buf *b, int64_t v)
{
    char text[20]; /* "-9223372036854775808" */
    size_t at = sizeof(text);
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (v < 0)
        text[--at] = '-';
    buf_add(b, text + at, sizeof(text) - at);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_addv(b, fmt, ap);
    va_end(ap);
}

void buf_addv(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    size_t room;
    int n;

    if (!reserve(b, 0))
        return;
    room = b->cap - b->n;
    va_copy(again, ap);
    n = vsnprintf(b->p + b->n, room + 1, fmt, ap);
    if (n < 0)
        b->over = true;
    else if ((size_t)n <= room)
        b->n += (size_t)n;
    else if (reserve(b, (size_t)n)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

char *buf_room(struct buf *b, size_t n)
{
    return reserve(b, n) ? b->p + b->n : NULL;
}

void buf_drop(struct buf *b, size_t n)
{
    INVARIANT(n <= b->n);
    b->n -= n;
    if (n > 0 && b->n > 0)
        memmove(b->p, b->p + n, b->n);
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

int buf_err(const struct buf *b, const char *what, struct err *err)
{
    if (!b->over)
        return 0;
    return err_set(err, ERR_LIMIT, "%s is over %zu bytes", what, b->max);
}
