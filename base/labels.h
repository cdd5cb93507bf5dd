/*
 * base/labels.h - a sorted set of name="value" pairs: the identity of a stream.
 *
 * Names match [A-Za-z_][A-Za-z0-9_]*, each once, sorted by bytes; values are bytes, never empty (a
 * label without a value is absent).  Text form: {a="b", c="d"}, values quoted as Go's %q quotes.
 */
#ifndef LOGQ_BASE_LABELS_H
#define LOGQ_BASE_LABELS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"

struct json_writer;

struct label {
    struct str name, value;
};

struct labels {
    struct label *v; /* sorted by name */
    size_t n;
};

bool label_name_ok(struct str name);

/* Sort `v`; drop pairs with empty values; for a name given twice the later one wins.  Returns the
 * new count. */
size_t labels_sort(struct label *v, size_t n);

struct str labels_get(const struct labels *l, struct str name); /* STR_NULL (p == NULL) if absent */
bool labels_equal(const struct labels *a, const struct labels *b);
int labels_cmp(const struct labels *a, const struct labels *b); /* a total order */
struct hash128 labels_hash(const struct labels *l);

/* Deep copy into `a`; ERR_LIMIT or ERR_NOMEM when it is full. */
int labels_copy(struct arena *a, const struct labels *from, struct labels *ret, struct err *err);

void labels_format(struct buf *b, const struct labels *l);

/* As an object {"a":"b"}; what is no UTF-8 as U+FFFD. */
void labels_put_json(struct json_writer *w, const struct labels *l);

/* Parse the text form (blanks free, trailing comma allowed) into `a`.  ERR_INVALID names the
 * column. */
int labels_parse(struct arena *a, struct str text, struct labels *ret, struct err *err);

/* Append `s` in double quotes, escaped as Go's strconv.Quote does (\" \\ \n \t \xNN for invalid
 * bytes). */
void quote_add(struct buf *b, struct str s);

#endif
