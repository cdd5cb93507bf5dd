/*
 * base/buf.h - a growing byte buffer that states its maximum.
 *
 * Appends never fail half-way: they append all or nothing.  After the first that did not fit,
 * `over` is set and later appends do nothing, so a writer may append many pieces and test once. One
 * thread.
 */
#ifndef LOGQ_BASE_BUF_H
#define LOGQ_BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>

struct buf {
    char *p;    /* owned */
    size_t n;   /* bytes used */
    size_t cap; /* bytes held */
    size_t max; /* never grows past this */
    bool over;  /* something did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);  /* frees; the buf may be used again after buf_init */
void buf_clear(struct buf *b); /* n = 0, over = false; keeps the memory */

void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_z(struct buf *b, const char *z);
void buf_add_char(struct buf *b, char c);
void buf_add_i64(struct buf *b, int64_t v); /* decimal */
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addv(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/* Room for `n` more bytes at the returned place (then set b->n yourself); NULL when it would not
 * fit. */
char *buf_room(struct buf *b, size_t n);

/* Drop the first `n` bytes, n <= b->n. */
void buf_drop(struct buf *b, size_t n);

struct str buf_str(const struct buf *b); /* view, valid until the next change */
int buf_err(const struct buf *b, const char *what, struct err *err); /* ERR_LIMIT if over, else 0 */

#endif
