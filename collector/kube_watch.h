/*
 * collector/kube_watch.h - what the Kubernetes API answers: a list of pods, page by page, and a
 * watch, which is a stream of events, one JSON object a line.
 *
 * HTTP and its chunks are wire/http_client's; this takes the bodies apart.  Every length is
 * bounded: a line, an object in it, a page, and all of a stream.  No I/O; one thread at a time.
 */
#ifndef LOGQ_COLLECTOR_KUBE_WATCH_H
#define LOGQ_COLLECTOR_KUBE_WATCH_H

#include "base/arena.h"
#include "base/buf.h"

enum {
    KUBE_WATCH_LINE_MAX = 4 << 20, /* etcd takes an object of 1.5 MiB */
    KUBE_WATCH_PAGE_MAX = 8 << 20,
    KUBE_WATCH_STREAM_MAX = 512 << 20, /* then the stream is begun anew */
    KUBE_WATCH_VERSION_MAX = 128,
    KUBE_WATCH_CONTINUE_MAX = 8 << 10,
};

/* ---- lines ---- */

struct kube_watch {
    struct buf line;   /* the beginning of one */
    bool skipping;     /* it was too long: up to its end */
    uint64_t bytes;    /* of the stream so far */
    uint64_t too_long; /* lines that were passed over */
};

/* Anything but 0 ends kube_watch_feed, which returns it. */
typedef int kube_watch_line_fn(void *arg, struct str line);

void kube_watch_init(struct kube_watch *w);
void kube_watch_begin(struct kube_watch *w); /* a new stream */
void kube_watch_fini(struct kube_watch *w);

/* The next bytes of the stream: fn for each line that is whole, but for blank ones, without its
 * end.  ERR_LIMIT: the stream is over its maximum. */
int kube_watch_feed(struct kube_watch *w, struct str bytes, kube_watch_line_fn *fn, void *arg);

/* ---- what is in them ---- */

enum kube_watch_type {
    KUBE_WATCH_SET, /* ADDED or MODIFIED */
    KUBE_WATCH_DELETED,
    KUBE_WATCH_BOOKMARK,
    KUBE_WATCH_ERROR,
    KUBE_WATCH_OTHER,
};

struct kube_watch_event {
    enum kube_watch_type type;
    struct str object; /* JSON */
};

/* ERR_CORRUPT: it is no event. */
int kube_watch_event(struct str line, struct arena *a, struct kube_watch_event *ret,
                     struct err *err);

/* What a Status object says: in an ERROR event, or as the body of a refusal. */
struct kube_watch_status {
    int code;           /* as of HTTP; 0: it has none */
    struct str message; /* a view of `object`, or in the arena; empty: it has none */
};

/* What is no such object says nothing. */
void kube_watch_status(struct str object, struct arena *a, struct kube_watch_status *ret);

struct kube_watch_page {
    struct str version; /* resourceVersion of the list */
    struct str more;    /* what to ask for the next page with; empty: it was the last */
};

/* A page of a list; fn for each object in it, which cannot stop it (ERR_CORRUPT may come after some
 * of them). */
typedef void kube_watch_object_fn(void *arg, struct str object);
int kube_watch_page(struct str text, struct arena *a, kube_watch_object_fn *fn, void *arg,
                    struct kube_watch_page *ret, struct err *err);

/* May it stand in a request as it is? */
bool kube_watch_version_ok(struct str version);

#endif
