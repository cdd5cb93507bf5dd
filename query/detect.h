/*
 * query/detect.h - DOOR: which fields a sample of lines has, of what type, and how many values
 * each.
 *
 * Fed with the entries of a log query: their attributes, what the query's own parsers made, and
 * what `json`, else `logfmt`, finds in the line.  One thread; what it holds is charged to a budget
 * and bounded by the limits given.
 */
#ifndef LOGQ_QUERY_DETECT_H
#define LOGQ_QUERY_DETECT_H

#include "query/query.h"

enum detect_type {
    DETECT_STRING,
    DETECT_INT,
    DETECT_FLOAT,
    DETECT_BOOLEAN,
    DETECT_DURATION,
    DETECT_BYTES,
};
enum { DETECT_JSON = 1, DETECT_LOGFMT = 2 };

struct detect_field {
    struct str name;        /* as a label of a query behind that parser */
    enum detect_type type;  /* of all its values: what differs is a string, int and float a float */
    uint64_t values;        /* distinct ones */
    unsigned parsers;       /* DETECT_JSON | DETECT_LOGFMT that find it; 0: an attribute */
    const struct str *path; /* keys from the outermost in; n_path 0 unless JSON has it */
    size_t n_path;
};

struct detect;

/* At most `max_fields` fields; further ones are left out.  `watch` (may be empty, borrowed): keep
 * up to `max_values` values of this field.  `budget` may be NULL. */
struct detect *detect_new(size_t max_fields, struct str watch, size_t max_values,
                          struct mem_budget *budget);
void detect_free(struct detect **pd);

/* ERR_NOMEM, ERR_LIMIT. */
int detect_add(struct detect *d, const struct query_entry *e, struct err *err);

/* What was found, sorted by name; lives with d, until the next detect_add. */
const struct detect_field *detect_fields(struct detect *d, size_t *n);
/* The values of `watch`, sorted; likewise. */
const struct str *detect_values(struct detect *d, size_t *n);

const char *detect_type_name(enum detect_type t); /* "string", "int" ... */

#endif
