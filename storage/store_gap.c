/*
 * storage/store_gap.c - what a start with `recover` passed over becomes records that say so.
 * Contract: store_internal.h.
 */
#include "base/map.h"
#include "base/mem.h"
#include "storage/store_internal.h"
#include "storage/wal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAPS_MAX = 1000, TENANTS_TOLD = 64 };

void store_gap_note(struct store *s, const struct wal_body *body)
{
    struct store_gap gap = {.from = body->from, .to = body->position};

    (void)snprintf(gap.file, sizeof(gap.file), "%s", body->file);
    if (s->gaps.n < GAPS_MAX) /* the rest is counted in wal_skipped_frames */
        VEC_PUSH(&s->gaps, gap);
}

int store_gap_give_up(struct store *s, const struct wal_body *body, int r, struct err *err)
{
    if (r < 0 && r != ERR_NOMEM && r != ERR_CANCELLED && s->opt.recover) {
        struct wal_body gap = *body;
        gap.from = body->position - body->bytes.n;
        store_gap_note(s, &gap);
        return 1;
    }
    return r < 0 ? err_wrap(err, "replay of WAL file '%s'", body->file) : 0;
}

int store_gap_batch(const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct label v[] = {{STR("service_name"), STR("logq")}, {STR("source"), STR("logq")}};
    struct labels labels = {v, 2};
    struct batch *b = batch_new(NULL, 1 << 20);
    struct record rec = {.ts = p->received, .line = arena_str(b->arena, p->bytes)};
    int r;

    r = rec.line.p == NULL ? arena_err(b->arena, err) : batch_stream(b, &labels, &rec.stream, err);
    if (r == 0)
        r = batch_add(b, &rec, err);
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

struct gap_append {
    struct store_append a;
    struct store *store;
    char *tenant, *line; /* owned */
};

static void gap_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct gap_append *g = a->arg;

    (void)err; /* a store that cannot store says so by its state */
    if (outcome == STORE_STORED)
        store_kick_flush(g->store); /* which then lets go of the damaged file */
    free(g->tenant);
    free(g->line);
    free(g);
}

static void append_gap(struct store *s, const struct store_gap *gap, struct str tenant)
{
    struct gap_append *g = mem_new(sizeof(*g));
    char line[256];
    struct err err;

    (void)snprintf(line, sizeof(line),
                   "{\"gap\":{\"source\":\"wal\",\"file\":\"%s\",\"from\":%" PRIu64
                   ",\"to\":%" PRIu64 "}}",
                   gap->file, gap->from, gap->to);
    g->store = s;
    g->tenant = mem_dup(tenant.p, tenant.n);
    g->line = mem_dup(line, strlen(line));
    g->a.arg = g;
    g->a.done = gap_done;
    g->a.payload = (struct store_payload){
        .kind = STORE_KIND_GAP,
        .tenant = {g->tenant, tenant.n},
        .received = store_receive_time(s),
        .bytes = str_of(g->line),
    };
    if (store_gap_batch(&g->a.payload, &g->a.batch, &err) == 0)
        store_append(s, &g->a);
    else
        gap_done(&g->a, STORE_FAILED, &err); /* cannot be: a small line in a batch of 1 MB */
}

void store_gap_tell(struct store *s)
{
    struct str told[TENANTS_TOLD];
    size_t n = 0;
    size_t pos = 0;
    struct str name;
    void *value;

    if (s->gaps.n == 0)
        return;
    /* What was lost may have been anybody's: every tenant is told. */
    (void)pthread_mutex_lock(&s->mutex);
    while (n < TENANTS_TOLD && map_next(s->tenants, &pos, &name, &value))
        told[n++] = str_of(((struct store_tenant *)value)->name);
    (void)pthread_mutex_unlock(&s->mutex);
    if (n == 0)
        told[n++] = STR("default");
    for (size_t i = 0; i < s->gaps.n; i++)
        for (size_t t = 0; t < n; t++)
            append_gap(s, &s->gaps.p[i], told[t]);
    s->gaps.n = 0;
}
