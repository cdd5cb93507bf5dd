/*
 * wire/forward_record.h - what an entry of any fluent client says: a line, attributes, and of
 * Docker's own driver the container.
 *
 * The rules are the same wherever such a client connects, to the server or to a collector:
 * docs/formats/forward.md.
 */
#ifndef LOGQ_WIRE_FORWARD_RECORD_H
#define LOGQ_WIRE_FORWARD_RECORD_H

#include "wire/forward_parse.h"

struct forward_record {
    struct str line;
    bool is_docker;               /* of Docker's fluentd driver, with a line; then with */
    struct str stream, container; /* "stdout" or "stderr"; its name without the slash */
    struct label *attrs;          /* in the order they came; the caller's, room for max_attrs + 1 */
    size_t n_attrs, max_attrs;    /* of keys and metadata; the tag is one more */
};

/*
 * Read `e`, of a message with `tag`, into *ret, whose `attrs` and `max_attrs` are set.  The line is
 * key log, else message, else msg if that is a string, else all of the record as JSON, made in `a`;
 * other texts are those of the entry.  ERR_LIMIT, ERR_NOMEM.
 */
int forward_record_read(const struct forward_entry *e, struct str tag, struct arena *a,
                        struct forward_record *ret, struct err *err);

#endif
