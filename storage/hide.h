/*
 * storage/hide.h - what a reader of one tenant must not see: deleted records, and records of
 * streams whose retention is over while their day still stands.
 *
 * One snapshot per tenant, immutable and counted: a view takes a reference.  NULL hides nothing, so
 * that nobody pays who has neither delete requests nor rules.  A reader asks
 *     once a stream   hide_stream   NULL: never anything; else what could apply
 *     once a block    hide_span     nothing, all of it, or some (then its rollups do not count)
 *     once a row      hide_row      only where some
 * Expiry goes by whole days and by receive time, as the dropping of partitions does: a record of a
 * day that is over stays as long as it (or its segment) came within the period.
 */
#ifndef LOGQ_STORAGE_HIDE_H
#define LOGQ_STORAGE_HIDE_H

#include "base/arena.h"
#include "base/labels.h"
#include "storage/store.h"

struct hide;
struct tombstone;

struct hide_list {
    struct tombstone *const *v;
    size_t n;
};

/* Rules that speak of tenant `name`, with the period of all other streams; `gone` are tombstones of
 * the tenant that still hide.  Streams that `held` (n 0: none) names are never hidden; with it the
 * default period hides, too, where there are no rules, since its day does not go.  NULL when
 * nothing is ever hidden.  Everything in `opt` is borrowed for good, the tombstones get a
 * reference. */
struct hide *hide_new(const struct store_options *opt, struct str name, struct hide_list gone,
                      struct hide_list held);
struct hide *hide_ref(struct hide *h); /* NULL: NULL */
void hide_unref(struct hide **ph);

/* Are all streams that `now` spares spared by h, too? */
bool hide_spares(const struct hide *h, const struct hide *now);

/* Do both have the same tombstones, and spare the same? */
bool hide_same(const struct hide *a, const struct hide *b);

/* The largest id of its tombstones; 0: none. */
uint64_t hide_newest(const struct hide *h);

/* Can age take away a row of `ts` or later that is still seen, soon after `now`? */
bool hide_may_expire(const struct hide *h, ts_ns ts, ts_ns now);

/* How long a stream is kept: the first rule that speaks of it, else opt->retention; 0: for ever.
 * The same without a snapshot. */
dur_ns hide_period(const struct store_options *opt, struct str tenant, const struct labels *l);
/* No stream of the tenant is kept shorter than *least, nor longer than *most; 0: for ever. */
void hide_bounds(const struct store_options *opt, struct str tenant, dur_ns *least, dur_ns *most);

/* What could apply to one stream; in the arena of hide_stream, alive as long as the snapshot. */
struct hide_stream {
    ts_ns expired_before; /* rows before it, if received before `cutoff` too; INT64_MIN: none */
    ts_ns cutoff;
    const struct tombstone **tombstones;
    size_t n;
};
/* *ret: NULL when nothing ever applies (always, for h == NULL).  ERR_NOMEM. */
int hide_stream(const struct hide *h, const struct labels *l, ts_ns now, struct arena *a,
                const struct hide_stream **ret, struct err *err);

/* Of some rows; all bounds inclusive. */
struct hide_span {
    ts_ns min_ts, max_ts;
    ts_ns max_received; /* INT64_MAX where not known */
    uint64_t min_seq, max_seq;
};
enum hide_verdict { HIDE_NOTHING, HIDE_ALL, HIDE_SOME };
enum hide_verdict hide_span(const struct hide_stream *hs, const struct hide_span *span);

/* Does the answer for this row depend on its line? */
bool hide_needs_line(const struct hide_stream *hs, ts_ns ts, uint64_t seq);
/* `line` is looked at only when hide_needs_line. */
bool hide_row(const struct hide_stream *hs, ts_ns ts, uint64_t seq, ts_ns received,
              struct str line);

#endif
