/*
 * server/api_priv.h - what the endpoint families share.  Only for api*.c.
 *
 * Handlers are called on the main loop, but api_push: it is called on a loop of its own, too.
 *
 * An api_call is one request that outlives its handler: it is made on the main loop, worked on by a
 * worker, finished on the main loop, and survives a client that goes away in between (then `x` is
 * NULL and `cancel` set).
 *
 * Invariant
 *   (1) a loop stops after api_cut only, which takes `x` from every call: whoever cannot post to
 *       the loop any more is the call's only owner, on whatever thread, and frees it.
 */
#ifndef LOGQ_SERVER_API_PRIV_H
#define LOGQ_SERVER_API_PRIV_H

#include "query/query.h"
#include "server/api.h"
#include "server/loki_time.h"

#include <pthread.h>
#include <stdatomic.h>

struct api {
    unsigned magic;
#define API_MAGIC 0xa9153c77u
    struct server *server;
    struct http_server *http;   /* NULL after api_cut */
    struct loop *pushes;        /* owned; handles pushes and nothing else, on its own thread */
    pthread_mutex_t letting_in; /* guards server->auth, for that thread */
    struct workers *exports;    /* owned; apart, for an export waits as long as its client reads */
    struct workers *admin;      /* owned; apart, for a compaction takes minutes */
    struct api_compaction *compaction; /* owned; the last one that was asked for */
    struct tail_hub *hub;              /* owned */
    struct api_tails *tails;           /* owned; the main loop's */
};

struct api_call {
    unsigned magic;
#define API_CALL_MAGIC 0xca11f00du
    struct api *api;
    struct http_exchange *x; /* loop thread only; NULL once the client is gone */
    struct loop *loop;
    struct arena *arena;       /* the call's own: parameters outlive the exchange */
    struct auth_caller caller; /* in `arena` */
    atomic_bool cancel;
    _Atomic dur_ns gone_at; /* of time_mono, set before `cancel` */
    dur_ns began;
    void (*work)(struct api_call *c); /* on a worker */
    /* The answer, set by `work`: */
    int status;
    const char *type;
    struct buf body;
    size_t charged; /* of body, to the server's budget */
    bool gzip;      /* the client takes it */
    bool packed;    /* body is */
    /* Parameters of the families, parsed on the loop: */
    struct query *query;
    struct query_params params;
    struct query_waiting waiting; /* of params */
    struct mem_budget budget;     /* of scans without a query around them, together, */
    dur_ns deadline;              /* and when they must be over; 0: none has begun */
    struct str name;              /* label name, or what else is named */
    struct str second;            /* a second name */
    uint64_t max;                 /* of fields or values */
    struct matcher *matchers;     /* several selectors: one after another */
    struct query **selectors;     /* owned */
    size_t n_selectors;
    bool categorize;
    bool wants_cursor;
    bool force;
    bool by_label; /* volumes */
    bool wait;     /* compaction */
};

typedef void api_fn(struct api *a, struct http_exchange *x, const struct auth_caller *caller);

/* Endpoint families. */
api_fn api_query_range, api_query_instant, api_format_query;                   /* api_query.c */
api_fn api_explain;                                                            /* api_explain.c */
api_fn api_export;                                                             /* api_export.c */
api_fn api_labels, api_label_values, api_series, api_detected_labels;          /* api_labels.c */
api_fn api_index_stats, api_index_volume, api_index_volume_range;              /* api_index.c */
api_fn api_detected_fields, api_detected_values;                               /* api_detected.c */
api_fn api_tail;                                                               /* api_tail.c */
api_fn api_patterns;                                                           /* api_patterns.c */
api_fn api_delete;                                                             /* api_delete.c */
api_fn api_admin_flush, api_admin_compact, api_admin_verify, api_admin_backup; /* api_admin.c */
api_fn api_hold;                                                               /* api_hold.c */
api_fn api_collectors, api_collectors_overlap, api_collectors_ranges; /* api_collectors.c */
api_fn api_push, api_import;                                          /* api_push.c */
api_fn api_ready, api_metrics, api_buildinfo, api_page, api_rules, api_alerts; /* api_status.c */
api_fn api_config, api_drilldown_limits, api_loki_rules;                       /* api_status.c */

/* api_admin.c: what is known of compactions that an operator asked for. */
struct api_compaction *api_compaction_new(struct server *s);
void api_compaction_free(struct api_compaction **pc); /* none is under way */

/* A call for this exchange; watches for the client's end.  NULL: no memory, 503 was answered. */
struct api_call *api_call_new(struct api *a, struct http_exchange *x,
                              const struct auth_caller *caller);
/* Run c->work on a worker, then answer with status, type and body, and free.  Answers 429 by itself
 * when too many wait. */
void api_call_start(struct api_call *c);
/* The same on the threads for operators' work. */
void api_call_start_apart(struct api_call *c);
void api_call_free(struct api_call **pc);
/* Answer with the error instead of starting, and free. */
void api_call_refuse(struct api_call *c, const struct err *err);
/* Set the answer to an error in Loki's form: text/plain, the bare message. */
void api_call_fail(struct api_call *c, const struct err *err);
int api_status_of(const struct err *err); /* ERR_* -> HTTP status */

/* Answer at once; packed if it is long and the client takes that (then *body is packed, too). */
void api_reply(struct http_exchange *x, int status, const char *type, struct buf *body);

/* Answer at once, in Loki's form. */
void api_fail(struct http_exchange *x, const struct err *err);

/* The same for an error at a place in a query's text; below the message that line and a caret. */
void api_fail_at(struct http_exchange *x, const struct err *err, struct str text, unsigned line,
                 unsigned column);
/* A parse error as people read it: the message, and what stands below it. */
void api_print_place(struct buf *out, const struct err *err, struct str text, unsigned line,
                     unsigned column);

/* Parse parameter `name` as LogQL into *ret; answers 400 itself and returns < 0. */
int api_parse_query(struct http_exchange *x, const char *name, struct query **ret);
/* The same for `query` of who only reads: where query.empty_selector, or that of all the caller's
 * tenants, says so it may take all streams. */
int api_parse_read(const struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                   struct query **ret);
/* start, end, since -> params->start, end; without start it is since, or `fallback`, before the end
 * or before now, whichever is earlier.  ERR_INVALID. */
int api_parse_range(struct http_exchange *x, dur_ns fallback, struct query_params *p,
                    struct err *err);
/* A selector, the `nth` value of parameter `name`; NULL in *ret: it is `{}` or nothing.  One that
 * may take all streams otherwise, as {a!="b"}, is refused but for `all`.  Answers 400 itself and
 * returns < 0. */
int api_parse_selector(struct http_exchange *x, const char *name, size_t nth, bool all,
                       struct query **ret);
/* before, after: lines around hits of `q`, in p->before and p->after.  ERR_INVALID. */
int api_parse_context(struct http_exchange *x, const struct query *q, struct query_params *p,
                      struct err *err);
/* A cursor of an answer before, in p->cursor, or the empty text: there is none yet.  *wanted: the
 * parameter is there.  ERR_INVALID. */
int api_parse_cursor(struct http_exchange *x, const struct query *q, struct query_params *p,
                     bool *wanted, struct err *err);
/* true or false, false when it is absent.  ERR_INVALID. */
int api_parse_flag(struct http_exchange *x, const char *name, bool *ret, struct err *err);
/* A whole number from 1 to `max`.  ERR_INVALID, ERR_LIMIT: they name the parameter. */
int api_parse_count(struct http_exchange *x, const char *name, uint64_t max, uint64_t *ret,
                    struct err *err);
/* Parameter `step` in p->step, by default loki_default_step.  ERR_INVALID; ERR_LIMIT: more than
 * `max` steps. */
int api_parse_step(struct http_exchange *x, struct query_params *p, size_t max, struct err *err);
/* Edges of steps that lie on multiples of p->step, the first and the last cut off where the range
 * ends: into edge[steps + 3]; returns how many. */
size_t api_step_edges(const struct query_params *p, ts_ns *edge);
ts_ns api_step_floor(ts_ns t, dur_ns step);
/* ERR_INVALID for parameter `name`: "'value' is no WHAT". */
int api_bad_param(struct err *err, const char *name, struct str value, const char *what);
/* Header X-Loki-Response-Encoding-Flags says categorize-labels. */
bool api_wants_categories(const struct http_exchange *x);
/* Tenants, limits, budget, cancel of this call. */
void api_fill_params(struct api_call *c);
/* The same in the request of a scan that no query stands around, from where the work begins. */
void api_fill_scan(struct api_call *c, struct scan_request *req);
/* Such work has failed with `r`: says how to raise the limit that was reached.  Returns `r`. */
int api_explain_scan(const struct api_call *c, int r, struct err *err);
/* A call that runs `q` with `p`, both filled in and counted as a query; takes q over.  NULL: it was
 * answered. */
struct api_call *api_call_query(struct api *a, struct http_exchange *x,
                                const struct auth_caller *caller, struct query *q,
                                const struct query_params *p);

#endif
