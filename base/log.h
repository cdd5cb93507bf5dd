/*
 * base/log.h - the programs' own log: one line of key=value per event, to stderr.
 *
 *     log_warn("spool.full", LOG_U64("dropped", n), LOG_STR("file", path));
 *     -> 2026-11-21T19:14:38.773Z warn spool.full dropped=3 file="/var/log/a b.log"
 *
 * Event names are dotted and stable; keys follow; values with blanks or quotes are quoted.  Never a secret,
 * never the text of a log line.  Only programs log (collector, server, cli); libraries return errors.  Any
 * thread; a line is written with one write(2).
 */
#ifndef LOGQ_BASE_LOG_H
#define LOGQ_BASE_LOG_H

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key; /* NULL ends the list */
    enum { LOG_KIND_STR, LOG_KIND_I64, LOG_KIND_U64, LOG_KIND_F64 } kind;
    struct str s;
    int64_t i;
    uint64_t u;
    double f;
};

#define LOG_STR(k, v)  {.key = (k), .kind = LOG_KIND_STR, .s = (v)}           /* struct str */
#define LOG_Z(k, v)    {.key = (k), .kind = LOG_KIND_STR, .s = str_of(v)}     /* char * */
#define LOG_I64(k, v)  {.key = (k), .kind = LOG_KIND_I64, .i = (v)}
#define LOG_U64(k, v)  {.key = (k), .kind = LOG_KIND_U64, .u = (v)}
#define LOG_F64(k, v)  {.key = (k), .kind = LOG_KIND_F64, .f = (v)}
#define LOG_ERR(e)     {.key = "error", .kind = LOG_KIND_STR, .s = str_of((e)->text)} /* struct err * */

void log_set_level(enum log_level least);
void log_set_program(const char *name); /* shown behind the time; borrowed for ever */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* At least one field is needed: say what it is about. */
#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, event, (const struct log_field[]){__VA_ARGS__, {.key = NULL}})
#define log_info(event, ...)  log_write(LOG_LEVEL_INFO, event, (const struct log_field[]){__VA_ARGS__, {.key = NULL}})
#define log_warn(event, ...)  log_write(LOG_LEVEL_WARN, event, (const struct log_field[]){__VA_ARGS__, {.key = NULL}})
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, (const struct log_field[]){__VA_ARGS__, {.key = NULL}})

#endif
