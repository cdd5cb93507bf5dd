/*
 * query/exec.h - one run of a query: its limits, its memory, and records from a source.
 *
 * A run sees the store through `struct source`, whose one real form wraps storage/scan.h; tests put
 * records of their own behind it.  Everything a run holds is charged to its budget, and time and
 * cancellation are looked at per batch and every few hundred records and steps.
 */
#ifndef LOGQ_QUERY_EXEC_H
#define LOGQ_QUERY_EXEC_H

#include "query/entry.h"
#include "query/plan.h"
#include "query/query.h"

/* As scan_open, scan_next, scan_stats, scan_close, scan_streams, scan_count and scan_spans. */
struct source {
    void *arg;
    int (*open)(void *arg, const struct scan_request *req, void **ret, struct err *err);
    int (*next)(void *scan, struct batch **ret, struct err *err);
    void (*stats)(void *scan, struct scan_stats *ret);
    void (*close)(void *scan);
    int (*streams)(void *arg, const struct scan_request *req, scan_stream_fn *fn, void *fn_arg,
                   struct err *err);
    int (*count)(void *arg, const struct scan_count *c, struct scan_stats *stats,
                 struct err *err); /* NULL: there are records alone */
    int (*spans)(void *arg, const struct scan_request *req, struct scan_span *spans, size_t n,
                 struct err *err); /* NULL: it may change at any time */
};

struct exec {
    const struct source *source;
    const struct query_params *params;
    struct query_limits limits; /* with defaults filled in */
    struct mem_budget budget;
    struct arena *arena; /* what lives as long as the run */
    struct query_stats stats;
    dur_ns started; /* monotonic */
    unsigned ticks;
};

void exec_init(struct exec *x, const struct source *s, const struct query_params *p);
/* Fills *stats (may be NULL) and releases everything.  `result` and *err get their last form: how
 * to raise a limit that was reached.  Returns `result`. */
int exec_fini(struct exec *x, int result, struct query_stats *stats, struct err *err);

/* Is the time from start to end within the limit?  ERR_LIMIT. */
int exec_check_length(const struct exec *x, struct err *err);

/* Is there time left, and is the answer still wanted?  ERR_TIMEOUT, ERR_CANCELLED. */
int exec_look(struct exec *x, struct err *err);
/* Count a unit of work; now and then look at the clock.  Errors as exec_look. */
int exec_tick(struct exec *x, struct err *err);
/* The same for what stages did beyond a unit: one record may keep a template busy. */
int exec_work(struct exec *x, struct entry *e, struct err *err);

/* What a scan is asked beyond its plan. */
struct exec_scan {
    const struct plan_scan *plan;
    ts_ns from, to; /* half-open */
    enum scan_order order;
    bool need_line, need_attrs;
    enum scan_parser parser; /* as those of scan_request */
    const struct str *field;
    size_t n_fields;
    size_t batch_records; /* 0: the scan's default */
    size_t expect;        /* records that will be taken; 0: all */
};
/* Call fn for every record.  0; what fn returned if not 0 (it ends the scan); or the scan's error.
 */
typedef int exec_record_fn(void *arg, const struct batch *b, const struct record *rec,
                           struct err *err);
int exec_each(struct exec *x, const struct exec_scan *scan, exec_record_fn *fn, void *arg,
              struct err *err);
/* As scan_count; c->req is filled in here.  1 also when the source cannot count. */
int exec_count(struct exec *x, const struct exec_scan *scan, struct scan_count *c, struct err *err);
/* Call fn for each stream that the scan may meet; as scan_streams. */
int exec_streams(struct exec *x, const struct exec_scan *scan, scan_stream_fn *fn, void *arg,
                 struct err *err);

/* As scan_spans; the source has them. */
int exec_spans(struct exec *x, struct scan_span *spans, size_t n, struct err *err);

/* a + b, held at the ends of the range. */
ts_ns exec_add(ts_ns a, dur_ns b);

/* exec_log.c, exec_metric.c: all of a run; contracts of query_run_log and query_run_metric. */
struct exec_sink {
    query_entry_fn *fn;
    void *arg;
};
int exec_log(const struct ast *a, const struct source *s, const struct query_params *p,
             const struct exec_sink *sink, struct query_stats *stats, struct err *err);
int exec_metric(const struct ast *a, const struct source *s, const struct query_params *p,
                struct query_result **ret, struct query_stats *stats, struct err *err);

#endif
