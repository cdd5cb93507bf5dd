/*
 * tests/fuzz/ingest_check.h - what holds for every batch that ingest_decode makes, of any bytes.
 *
 * Its limits are kept, decoding the same payload again gives the same records (a replay of the
 * write-ahead log relies on it), and a budget gets back what it gave.
 */
#ifndef LOGQ_TESTS_FUZZ_INGEST_CHECK_H
#define LOGQ_TESTS_FUZZ_INGEST_CHECK_H

#include "base/obj.h"
#include "server/ingest.h"

#include <stdlib.h>
#include <string.h>

enum {
    INGEST_CHECK_MEMORY = 64 << 20,
    INGEST_CHECK_ATTR_MAX = 64 << 10,
    INGEST_CHECK_AHEAD_S = 600,
};

#define INGEST_CHECK_RECEIVED (INT64_C(1768003200) * NS_PER_S)

static inline void ingest_check_labels(const struct label *v, size_t n, size_t max_value)
{
    for (size_t i = 0; i < n; i++) {
        INVARIANT(v[i].name.n <= RECORD_LABEL_NAME_MAX);
        INVARIANT(v[i].value.n > 0 && v[i].value.n <= max_value);
        INVARIANT(i == 0 || str_cmp(v[i - 1].name, v[i].name) < 0);
    }
}

static inline void ingest_check_batch(const struct batch *b)
{
    uint32_t next = 0;

    for (uint32_t i = 0; i < b->n_streams; i++) {
        INVARIANT(b->streams[i].n > 0 && b->streams[i].n <= RECORD_LABELS_MAX);
        ingest_check_labels(b->streams[i].v, b->streams[i].n, RECORD_LABEL_VALUE_MAX);
        for (size_t k = 0; k < b->streams[i].n; k++)
            INVARIANT(label_name_ok(b->streams[i].v[k].name));
        INVARIANT(labels_get(&b->streams[i], STR("service_name")).n > 0);
    }
    for (uint32_t i = 0; i < b->n_records; i++) {
        const struct record *r = &b->records[i];
        INVARIANT(r->stream < b->n_streams);
        INVARIANT(r->line.n <= RECORD_LINE_MAX && r->n_attr <= RECORD_ATTRS_MAX);
        INVARIANT(r->ts <= INGEST_CHECK_RECEIVED + INGEST_CHECK_AHEAD_S * NS_PER_S);
        ingest_check_labels(r->attr, r->n_attr, INGEST_CHECK_ATTR_MAX);
    }
    for (uint32_t i = 0; i < b->n_parts; i++) {
        const struct record_part *p = &b->parts[i];
        INVARIANT(p->file_id.n <= RECORD_FILE_ID_MAX && p->start <= p->end);
        INVARIANT(p->first == next && p->count <= b->n_records - next);
        next += p->count;
    }
    INVARIANT(b->n_parts == 0 || next == b->n_records);
}

static inline void ingest_check_same(const struct batch *a, const struct batch *b)
{
    INVARIANT(a->n_records == b->n_records && a->n_streams == b->n_streams);
    INVARIANT(a->n_parts == b->n_parts);
    for (uint32_t i = 0; i < a->n_records; i++) {
        const struct record *x = &a->records[i], *y = &b->records[i];
        INVARIANT(x->ts == y->ts && str_eq(x->line, y->line) && x->n_attr == y->n_attr);
        INVARIANT(labels_equal(&a->streams[x->stream], &b->streams[y->stream]));
        for (uint32_t k = 0; k < x->n_attr; k++)
            INVARIANT(str_eq(x->attr[k].name, y->attr[k].name) &&
                      str_eq(x->attr[k].value, y->attr[k].value));
    }
}

/* Decode `bytes` twice; `limit` of memory, 0: plenty. */
static inline void ingest_check(uint32_t kind, const struct ingest_decided *d, struct str bytes,
                                size_t limit)
{
    struct mem_budget m = {.name = "fuzz", .limit = limit == 0 ? INGEST_CHECK_MEMORY : limit};
    struct store_payload p = {.kind = kind,
                              .tenant = STR("default"),
                              .peer = STR("peer"),
                              .received = INGEST_CHECK_RECEIVED,
                              .bytes = bytes};
    struct batch *first = NULL, *again = NULL;
    struct buf decided;
    struct err err;

    buf_init(&decided, 64 << 10);
    ingest_decided_pack(d, &decided);
    p.decided = buf_str(&decided);
    if (ingest_decode(&m, &p, &first, &err) == 0) {
        ingest_check_batch(first);
        if (limit == 0 && ingest_decode(&m, &p, &again, &err) == 0)
            ingest_check_same(first, again);
        else
            INVARIANT(limit != 0 || err.code == ERR_NOMEM);
    } else {
        INVARIANT(err.code < 0 && memchr(err.text, '\0', sizeof(err.text)) != NULL);
    }
    batch_unref(&first);
    batch_unref(&again);
    INVARIANT(m.used == 0);
    buf_fini(&decided);
}

#endif
