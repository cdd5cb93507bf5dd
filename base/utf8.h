/* base/utf8.h - is it UTF-8, and if not, make it so for display.  Stored bytes are never changed.
 */
#ifndef LOGQ_BASE_UTF8_H
#define LOGQ_BASE_UTF8_H

#include "base/buf.h"
#include "base/str.h"

/* Length of the longest valid prefix (RFC 3629: no surrogates, no overlong forms); s.n if all of it
 * is. */
size_t utf8_valid(struct str s);

/* The first `n` bytes of `s`, all of it if it is shorter, without a character that is cut there. */
struct str utf8_cut(struct str s, size_t n);

/* Append `s` to `b`, each maximal ill-formed part as U+FFFD. */
void utf8_repair(struct buf *b, struct str s);

/* Columns that `s`, which is UTF-8 without control characters, takes on a terminal: two for what is
 * wide (Chinese, Japanese, Korean, pictures), none for what combines or joins. */
size_t utf8_columns(struct str s);

/* Code point `cp` (<= 0x10FFFF) as UTF-8 at `dst`, which has room for 4 bytes; how many it takes.
 */
size_t utf8_encode(uint32_t cp, char *dst);
/* Append it. */
void utf8_add(struct buf *b, uint32_t cp);

#endif
