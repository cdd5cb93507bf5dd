/*
 * base/log.h - the programs' own log: one line of key=value per event, to stderr.
 *
 *     log_warn("spool.full", LOG_U64("dropped", n), LOG_STR("file", path));
 *     -> 2026-11-21T19:14:38.773Z warn spool.full dropped=3 file="/var/log/a b.log"
 *
 * Event names are dotted and stable; keys follow; values with blanks, quotes, = or control codes
 * are quoted, a value over 1 KiB is cut ("abc"+17: 17 bytes more), a line over 4 KiB ends in
 * log_cut=true. Never a secret, never the text of a log line.  Only programs log (collector,
 * server, cli); libraries return errors.  Any thread; a line is written with one write(2); plain
 * text, no colour.
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

/* clang-format off */
#define LOG_STR(k, v) {.key = (k), .kind = LOG_KIND_STR, .s = (v)}       /* struct str */
#define LOG_Z(k, v)   {.key = (k), .kind = LOG_KIND_STR, .s = str_of(v)} /* char * */
#define LOG_I64(k, v) {.key = (k), .kind = LOG_KIND_I64, .i = (v)}
#define LOG_U64(k, v) {.key = (k), .kind = LOG_KIND_U64, .u = (v)}
#define LOG_F64(k, v) {.key = (k), .kind = LOG_KIND_F64, .f = (v)}
#define LOG_ERR(e)    {.key = "error", .kind = LOG_KIND_STR, .s = str_of((e)->text)} /* struct err * */
/* clang-format on */

void log_set_level(enum log_level least); /* INFO unless set */
void log_set_program(const char *name);   /* shown behind the time; borrowed for ever */

/* Write the line unless `level` is under the least; errno is kept.  Called by the macros below. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Lines that stderr did not take, whole or in part, since the start. */
uint64_t log_lost(void);

/* At least one field is needed: say what it is about. */
#define LOG_LIST(...)         ((const struct log_field[]){__VA_ARGS__, {.key = NULL}})
#define log_debug(event, ...) log_write(LOG_LEVEL_DEBUG, event, LOG_LIST(__VA_ARGS__))
#define log_info(event, ...)  log_write(LOG_LEVEL_INFO, event, LOG_LIST(__VA_ARGS__))
#define log_warn(event, ...)  log_write(LOG_LEVEL_WARN, event, LOG_LIST(__VA_ARGS__))
#define log_error(event, ...) log_write(LOG_LEVEL_ERROR, event, LOG_LIST(__VA_ARGS__))

#endif
