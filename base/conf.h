/*
 * base/conf.h - typed, self-documenting options from YAML.
 *
 * A program declares a table; from it come loading with defaults, the checks, all error messages of a file at
 * once ("file:line:column: message", at most CONF_ERRORS_MAX), and printing of the effective configuration.
 * Unknown keys are errors.  Scalars may hold ${env:NAME} or ${env:NAME:-default}; an unset NAME without a
 * default is an error.
 *
 *     struct my_conf { struct str listen; int64_t max_bytes; dur_ns age; bool on; struct conf_strs files;
 *                      struct my_input *inputs; size_t n_inputs; };
 *     static const struct conf_option OPTIONS[] = {
 *         {.path = "http.listen", .type = CONF_STR, .offset = offsetof(struct my_conf, listen),
 *          .fallback = "127.0.0.1:3100", .help = "address of the API"},
 *         {.path = "inputs", .type = CONF_MAPS, .offset = offsetof(struct my_conf, inputs), .sub = INPUTS, .n_sub = 3,
 *          .sub_size = sizeof(struct my_input), .count_offset = offsetof(struct my_conf, n_inputs)}, ...
 */
#ifndef LOGQ_BASE_CONF_H
#define LOGQ_BASE_CONF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"

enum { CONF_ERRORS_MAX = 20 };

enum conf_type {
    CONF_STR,    /* struct str, NUL-terminated */
    CONF_SECRET, /* struct str; printed as "(set)" */
    CONF_INT,    /* int64_t, within min..max when max > min */
    CONF_BOOL,   /* bool: true or false */
    CONF_BYTES,  /* int64_t: 1000, 64KB, 64MB, 1GB (decimal), 64KiB, 64MiB, 1GiB (binary) */
    CONF_DUR,    /* dur_ns: as dur_parse */
    CONF_ENUM,   /* int: index into `choices` */
    CONF_STRS,   /* struct conf_strs: a list of strings, or one string */
    CONF_LABELS, /* struct labels (base/labels.h): a map of label name to string */
    CONF_MAPS,   /* a list of maps: pointer to an array of sub_size structs, and their count */
};

struct conf_strs {
    struct str *v;
    size_t n;
};

struct conf_option {
    const char *path; /* dotted: "forward.listen"; unique */
    enum conf_type type;
    size_t offset;        /* of the field in the target struct */
    const char *fallback; /* the default, as YAML text; NULL: required */
    const char *help;     /* one sentence */
    int64_t min, max;     /* INT, BYTES, DUR (ns) */
    const char *const *choices; /* ENUM: names, NULL-terminated */
    const struct conf_option *sub; /* MAPS */
    size_t n_sub, sub_size, count_offset;
};

struct conf_errors {
    size_t n;                      /* errors found, may be over CONF_ERRORS_MAX */
    struct str v[CONF_ERRORS_MAX]; /* each "file:line:column: message"; in the arena */
};

/* Load `text` (named `file` in messages) into `target`, a zeroed struct; strings live in `a`.  All fields are
 * set, those not in the file from their fallbacks.  ERR_INVALID: errors->n > 0; `target` must not be used. */
int conf_load(const char *file, struct str text, const struct conf_option *options, size_t n, void *target,
              struct arena *a, struct conf_errors *errors, struct err *err);

/* Add an error of the program's own (e.g. two options that exclude each other), at the place of option `path` if
 * the file has it, else at 1:1. */
void conf_complain(struct conf_errors *errors, struct arena *a, const char *file, struct str text,
                   const char *path, const char *message);

/* The effective configuration as YAML that loads again unchanged, secrets as "(set)" (which loads as unset,
 * and says so). */
void conf_print(struct buf *out, const struct conf_option *options, size_t n, const void *target);

/* The same table as a commented example: help text, type, default. */
void conf_print_example(struct buf *out, const struct conf_option *options, size_t n);

#endif
