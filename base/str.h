/*
 * base/str.h - a borrowed view of bytes.
 *
 * Not NUL-terminated, may hold any byte.  Whoever stores one says in a comment until when it is
 * valid.
 */
#ifndef LOGQ_BASE_STR_H
#define LOGQ_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p; /* may be NULL when n == 0 */
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NULL     ((struct str){NULL, 0})
/* The same as an initializer of static storage, where C11 wants a constant. */
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
/* printf("%.*s", STR_ARG(s)): at most INT_MAX bytes. */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_of(const char *z); /* view of a NUL-terminated string; NULL gives STR_NULL */
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
int str_cmp(struct str a, struct str b);        /* byte order, like memcmp; shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
size_t str_find(struct str s,
                struct str needle); /* offset of the first hit, SIZE_MAX if none; "" hits at 0 */
size_t str_find_char(struct str s, char c);              /* same for one byte */
struct str str_sub(struct str s, size_t from, size_t n); /* clamped to s */
struct str str_from(struct str s, size_t from); /* s without its first `from` bytes, clamped */
struct str str_trim(struct str s);              /* without leading and trailing blanks, \t \r \n */

/* Cut `*rest` at the first `sep`: returns what stood before it and moves *rest behind it.  With no
 * sep left it returns all of *rest and sets *rest to STR_NULL. */
struct str str_cut(struct str *rest, char sep);

/* The whole of `s` as a decimal number; false (and *ret untouched) if it is none or does not fit.
 */
bool str_to_u64(struct str s, uint64_t *ret);
bool str_to_i64(struct str s, int64_t *ret);
bool str_to_f64(struct str s, double *ret); /* strtod syntax without blanks; at most 63 bytes */

/* Copy into `dst` of `cap` bytes, cut to fit, NUL-terminated; returns dst. */
char *str_to_z(struct str s, char *dst, size_t cap);

#endif
