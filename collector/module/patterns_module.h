/*
 * collector/module/patterns_module.h - what logq-collector-patterns.so has to offer: base/regexp.h
 * behind pointers.
 *
 * Program and module are built together and installed together; the version is there to say so
 * when they are not.
 */
#ifndef LOGQ_COLLECTOR_MODULE_PATTERNS_MODULE_H
#define LOGQ_COLLECTOR_MODULE_PATTERNS_MODULE_H

#include "base/err.h"
#include "base/str.h"

#define PATTERNS_MODULE_FILE   "logq-collector-patterns.so"
#define PATTERNS_MODULE_SYMBOL "logq_patterns_module"
enum { PATTERNS_MODULE_VERSION = 1 };

struct regexp;

struct patterns_module {
    unsigned version;
    int (*compile)(struct str pattern, struct regexp **ret, struct err *err);
    void (*free)(struct regexp **pr);
    bool (*matches)(const struct regexp *r, struct str text);
    size_t (*captures)(const struct regexp *r);
    bool (*capture)(const struct regexp *r, struct str text, size_t from, struct str *ret,
                    size_t n);
};

/* The one symbol that the module exports. */
extern const struct patterns_module logq_patterns_module;

#endif
