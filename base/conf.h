/*
 * base/conf.h - typed, self-documenting options from YAML.
 *
 * A program declares a table; from it come loading with defaults, the checks, all error messages of
 * a file at once ("file:line:column: message", at most CONF_ERRORS_MAX), and printing of the
 * effective configuration.  Unknown keys are errors.  An option without a value, or with null,
 * counts as absent.
 *
 * Scalars may hold ${env:NAME} or ${env:NAME:-default} (for NAME unset or empty; no } in the
 * default); an unset NAME without a default is an error.  $${env: stands for the text ${env:
 * itself.
 *
 *     struct my_conf {
 *         struct str listen;
 *         struct my_input *inputs;
 *         size_t n_inputs;
 *     };
 *     static const struct conf_option OPTIONS[] = {
 *         {.path = "http.listen", .type = CONF_STR, .offset = offsetof(struct my_conf, listen),
 *          .fallback = "127.0.0.1:3100", .help = "address of the API"},
 *         {.path = "inputs", .type = CONF_MAPS, .offset = offsetof(struct my_conf, inputs),
 *          .fallback = "[]", .help = "what to read", .sub = INPUTS, .n_sub = 3,
 *          .sub_size = sizeof(struct my_input),
 *          .count_offset = offsetof(struct my_conf, n_inputs)},
 *     };
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
    const char *path; /* dotted: "forward.listen"; unique, no option is a section of another */
    enum conf_type type;
    size_t offset;                 /* of the field in the target struct */
    const char *fallback;          /* the default, as YAML text; NULL: required */
    const char *help;              /* one sentence */
    int64_t min, max;              /* INT, BYTES, DUR (ns): both inclusive, when max > min */
    const char *const *choices;    /* ENUM: names, NULL-terminated */
    const struct conf_option *sub; /* MAPS */
    size_t n_sub, sub_size, count_offset;
};

struct conf_errors {
    size_t n;                       /* errors found, may be over CONF_ERRORS_MAX */
    struct str v[CONF_ERRORS_MAX];  /* each "file:line:column: message"; in the arena */
    struct str of[CONF_ERRORS_MAX]; /* the option, section or list that has no value for it, as
                                       conf_complain takes it; "": the file; NULL: none */
    size_t n_warnings;              /* the same for what is no error: log them */
    struct str warnings[CONF_ERRORS_MAX];
};

/*
 * Load `text` (named `file` in messages) into `target`, a zeroed struct; strings live in `a`,
 * *errors is cleared first.  All fields are set, those not in the file from their fallbacks.
 * ERR_INVALID: errors->n > 0, err holds the first, and `target` is for further checks alone: what
 * conf_is_wrong tells of is zero, or has less in it.  ERR_LIMIT, ERR_NOMEM: `a` is full.
 */
int conf_load(const char *file, struct str text, const struct conf_option *options, size_t n,
              void *target, struct arena *a, struct conf_errors *errors, struct err *err);

/* Add an error of the program's own (e.g. two options that exclude each other), at the value of
 * option `path` if the file has it, else at 1:1.  In a list the index is a part of the path:
 * "inputs.0.path"; where one value stands for a list it is that value's place. */
void conf_complain(struct conf_errors *errors, struct arena *a, const char *file, struct str text,
                   const char *path, const char *message);

/* Has conf_load not found a value for option `path` (as above), or for what it lies in or holds?
 * true, too, where there were more errors than are kept. */
bool conf_is_wrong(const struct conf_errors *errors, const char *path);

/* Append the effective configuration as YAML that loads again unchanged, but for secrets: "(set)"
 * loads as if the option were absent, with a warning (or, if it is required, an error). */
void conf_print(struct buf *out, const struct conf_option *options, size_t n, const void *target);

/* Append the same table as a commented example: help text, type, default.  It loads where no option
 * is required. */
void conf_print_example(struct buf *out, const struct conf_option *options, size_t n);

/* 67108864 as "64MiB": the shortest form that CONF_BYTES reads back; `dst` holds TIME_TEXT_MAX
 * bytes. */
struct str conf_format_bytes(int64_t bytes, char *dst);

#endif
