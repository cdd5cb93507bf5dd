/*
 * collector/kube.h - asks the Kubernetes API server which pods this node has, and what they are
 * labelled.
 *
 * Lists them, page by page, then watches for what changes, and goes on for ever; what it learns is
 * put into kube_pods.h and its file.  Nothing waits for it but a log of a pod that nobody knows,
 * and that no longer than two seconds.  Needs `list` and `watch` of pods, no more.  Loop thread
 * only.
 */
#ifndef LOGQ_COLLECTOR_KUBE_H
#define LOGQ_COLLECTOR_KUBE_H

#include "base/json.h"
#include "collector/config.h"
#include "collector/kube_pods.h"
#include "collector/opener.h"
#include "wire/loop.h"

#define KUBE_CACHE "kube.cache"

struct kube;

struct kube_options {
    struct loop *loop;
    struct opener *opener;                   /* borrowed: to the token and the CA */
    const struct config_kube *config;        /* copied */
    struct kube_pods *pods;                  /* borrowed: what is learned goes there */
    int state_fd;                            /* borrowed: where its file is */
    uint64_t backoff_min_ms, backoff_max_ms; /* 0: 200 and 30,000 */
    /* What the logs of pod `uid` are labelled by has changed. */
    void (*changed)(void *arg, struct str uid);
    void *arg;
};

/* Begin.  What is wrong with the address, the token or the CA shows when it is asked, and is tried
 * again. */
struct kube *kube_open(const struct kube_options *opt);
void kube_free(struct kube **pk);

/* Members of /health: is it known what there is, how many pods, how long ago the server was heard.
 */
void kube_health(const struct kube *k, struct json_writer *w);

/* Take the file of an earlier run into `pods`, which is empty.  1: there is none.  ERR_CORRUPT,
 * ERR_IO: it is of no use. */
int kube_load(int state_fd, struct kube_pods *pods, struct err *err);

#endif
