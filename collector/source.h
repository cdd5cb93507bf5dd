/*
 * collector/source.h - what to read and how to label it: the inputs of one configuration, ready for
 * use.
 *
 * Counted: files that are followed keep the set they were found by, so a reload can bring a new
 * one.  Loop thread.
 */
#ifndef LOGQ_COLLECTOR_SOURCE_H
#define LOGQ_COLLECTOR_SOURCE_H

#include "collector/config.h"
#include "collector/decode.h"
#include "collector/opener.h"
#include "collector/profile.h"
#include "collector/trace.h"

/* Where it is, containers are CRI-O's. */
#define SOURCE_CRIO_SOCKET "/var/run/crio/crio.sock"

enum source_kind {
    SOURCE_DOCKER,
    SOURCE_CRI,
    SOURCE_PODMAN,
    SOURCE_FILE,
    SOURCE_JSON,
    SOURCE_PODMAN_EVENTS_FILE,
    SOURCE_SPOOL_DOCKER, /* events taken from a socket and written down by us (spool.h) */
    SOURCE_SPOOL_PODMAN,
    SOURCE_SPOOL_OWN,      /* our own gap records */
    SOURCE_SPOOL_FORWARD,  /* what fluent clients have sent (input_forward.h) */
    SOURCE_SPOOL_JOURNALD, /* entries of the journal */
};

struct kube_pods;
struct source_set;
struct containers;

struct source {
    struct source_set *set;
    enum source_kind kind;
    decode_fn *decode;
    struct decode_keys keys; /* SOURCE_JSON */
    struct trace_rule trace; /* which lines are one record */
    struct pattern *start;   /* owned: of such a rule; NULL: none */
    struct conf_strs paths, exclude;
    bool from_end, is_spool;
    struct rules_rates *rates;        /* owned; of all its files together; NULL: each has its own */
    const struct config_source *conf; /* NULL: of our own, or not configured any more */
};

struct source_set {
    unsigned refs;
    struct config *config;        /* owned */
    struct opener *opener;        /* borrowed: the way to logs and to what is beside them */
    struct profiles *profiles;    /* owned */
    const struct kube_pods *pods; /* borrowed; NULL: Kubernetes is not asked */
    /* Borrowed, set by who made the set: how containers are known; NULL: by what is beside their
     * logs alone. */
    struct containers *containers;
    const char *cri_runtime; /* whose logs in CRI's format are; NULL: not known yet */
    struct source *v;
    size_t n;
};

/* Takes `config`, borrows `o`.  Which of podman's two ways of telling events is used is decided by
 * input_events.h. */
struct source_set *source_set_new(struct config *config, struct opener *o, bool podman_by_file);
struct source_set *source_set_ref(struct source_set *s);
void source_set_unref(struct source_set **ps);
/* From now on logs of pods have what `pods` knows of them, which must outlive the set. */
void source_set_pods(struct source_set *s, const struct kube_pods *pods);
/* The only reference is given up, and the configuration is the caller's again. */
struct config *source_set_release(struct source_set **ps);

/* Where podman writes its events when nothing else is said. */
struct str source_podman_events_file(const struct config_source *conf);

/* Which lines are one record by the input's options.  *start is what it looks for, patterns_free it
 * when *ret is not used any more; NULL: nothing. */
void source_trace(const struct config_source *conf, struct trace_rule *ret, struct pattern **start);

struct source_description {
    struct labels labels, attrs;   /* of everything that comes from there, sorted */
    const struct profile *profile; /* what is done to it; the set's */
    bool is_unresolved;            /* its container has no name, or its pod is not known */
};

/*
 * Describe `path`, in `a`.  1: the container cannot be named yet, or its pod is not known; with
 * `last_try` it is called by its id and marked unresolved, and goes without the pod's labels.
 */
int source_describe(const struct source *s, struct str path, bool last_try, struct arena *a,
                    struct source_description *ret);
/* What is done to records of which no more is known than `labels` (NULL: not even those), that
 * detectors `types` were asked for once, and what is remembered of the container of `path` (may be
 * empty). */
const struct profile *source_profile(const struct source *s, struct str path,
                                     const struct labels *labels, unsigned types);

#endif
