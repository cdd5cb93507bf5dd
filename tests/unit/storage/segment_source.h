/*
 * tests/unit/storage/segment_source.h - rows for segments, and copies of segments.
 */
#ifndef LOGQ_TESTS_UNIT_STORAGE_SEGMENT_SOURCE_H
#define LOGQ_TESTS_UNIT_STORAGE_SEGMENT_SOURCE_H

#include "storage/objstore.h"
#include "storage/segment_reader.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"
#include "tests/lib/tmpdir.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t KEY[CRYPT_KEY] = "0123456789abcdef0123456789abcde";
static const struct segment_options OPT = {
    .tenant_id = 7, .day = 20261121, .key = KEY, .wal_from = 100, .wal_to = 200};

struct source {
    struct batch *batch[3];
    struct segment_row *rows;
    size_t n;
};

/* Rows of three batches that share some streams. */
static inline struct source make_source(uint64_t seed, uint32_t n, uint32_t streams, bool nasty)
{
    struct source s = {.rows = malloc(3 * n * sizeof(*s.rows))};

    for (size_t k = 0; k < 3; k++) {
        struct records_options opt = {.seed = seed + k,
                                      .n = n,
                                      .n_streams = streams + (uint32_t)k,
                                      .first_seq = 1 + k * n,
                                      .from = INT64_C(1795219200000000000),
                                      .span = NS_PER_H,
                                      .nasty = nasty};
        s.batch[k] = records_make(&opt);
        for (uint32_t i = 0; i < n; i++)
            s.rows[s.n++] = (struct segment_row){s.batch[k], i, opt.from + (ts_ns)k};
    }
    return s;
}

static inline void free_source(struct source *s)
{
    for (size_t k = 0; k < 3; k++)
        batch_unref(&s->batch[k]);
    free(s->rows);
}

static inline struct segment_info *write_source(struct objstore *os, const struct source *s)
{
    struct segment_info *info = NULL;
    struct err err;

    if (segment_writer_write(os, &OPT, s->rows, s->n, &info, &err) < 0)
        fail_msg("%s", err.text);
    return info;
}

/* All of `uuid` into one; *rebuilt (may be NULL): filters that were made anew. */
static inline int copy_all(struct objstore *os, uint8_t (*uuid)[SEGMENT_UUID], size_t n,
                           size_t *rebuilt, struct segment_info **ret, struct err *err)
{
    struct segment_options opt = OPT;
    struct segment_part parts[3] = {{NULL, NULL}};
    struct segment_info *info[3] = {NULL};
    struct segment_reader *r[3] = {NULL};
    struct segment_writer *w = NULL;
    struct err why;
    int rc = 0;

    opt.class = SEGMENT_STRICT;
    opt.level = 1;
    opt.replaces = uuid[0];
    opt.n_replaces = (uint32_t)n;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = segment_reader_open(os, uuid[i], KEY, &r[i], err);
        if (rc == 0)
            rc = segment_reader_info(r[i], NULL, &info[i], err);
        parts[i] = (struct segment_part){r[i], info[i]};
    }
    if (rc == 0)
        rc = segment_writer_open_copy(os, &opt, parts, n, &w, err);
    while (rc == 0)
        rc = segment_writer_copy(w, err);
    if (rc == 1)
        rc = segment_writer_finish(w, ret, err);
    if (w != NULL && rebuilt != NULL)
        *rebuilt = segment_writer_rebuilt(w, &why);
    segment_writer_free(&w);
    for (size_t i = 0; i < n; i++) {
        segment_info_free(&info[i]);
        segment_reader_free(&r[i]);
    }
    return rc;
}

#endif
