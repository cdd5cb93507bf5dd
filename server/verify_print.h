/*
 * server/verify_print.h - a verification's findings and counts, gathered, then as JSON or a table.
 */
#ifndef LOGQ_SERVER_VERIFY_PRINT_H
#define LOGQ_SERVER_VERIFY_PRINT_H

#include "base/buf.h"
#include "storage/verify.h"

enum { VERIFY_PRINT_FINDINGS = 10000 /* shown; all are counted */ };

struct verify_print {
    struct buf findings; /* JSON objects with commas between */
    struct buf lines;    /* the same for people */
    uint64_t n;
};

void verify_print_init(struct verify_print *p);
void verify_print_fini(struct verify_print *p);

/* verify_report_fn; arg: the verify_print */
void verify_print_add(void *arg, const struct verify_finding *f);

/* What came of it: 0 intact, 1 damage, 5 something could not be checked. */
int verify_print_code(const struct verify_result *r);

void verify_print_json(const struct verify_print *p, const struct verify_result *r,
                       struct buf *out);
void verify_print_table(const struct verify_print *p, const struct verify_result *r,
                        struct buf *out);

#endif
