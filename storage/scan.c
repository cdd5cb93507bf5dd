/* storage/scan.c - the door: from names of tenants to views.  Contract: scan.h; rooms:
 * scan_internal.h. */
#include "storage/scan.h"

#include "base/mem.h"
#include "storage/scan_internal.h"

#include <stdlib.h>
#include <string.h>

enum { TENANTS_MAX = 1024 };

/* A tenant that is named twice is still read once. */
static bool is_repeated(const struct scan_request *req, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (str_eq(req->tenants[k], req->tenants[i]))
            return true;
    return false;
}

static int take_views(struct store *s, const struct scan_request *req, struct store_view **ret,
                      size_t *ret_n, struct err *err)
{
    struct store_view *views;
    size_t n = 0;
    int r = 0;

    if (req->n_tenants > TENANTS_MAX)
        return err_set(err, ERR_LIMIT, "%zu tenants in one query", req->n_tenants);
    views = mem_new(req->n_tenants * sizeof(*views) + 1);
    for (size_t i = 0; r == 0 && i < req->n_tenants; i++) {
        if (is_repeated(req, i))
            continue;
        r = store_view_take(s, req->tenants[i], req->from, req->to, &views[n], err);
        n += r == 0;
    }
    if (r < 0) {
        while (n > 0)
            view_release(&views[--n]);
        free(views);
        return r;
    }
    *ret = views;
    *ret_n = n;
    return 0;
}

int scan_open(struct store *s, const struct scan_request *req, struct scan **ret, struct err *err)
{
    struct store_view *views = NULL;
    size_t n = 0;
    int r = take_views(s, req, &views, &n, err);

    if (r == 0)
        r = scan_open_views(views, n, req, ret, err);
    free(views);
    return r;
}

int scan_count(struct store *s, const struct scan_count *c, struct scan_stats *stats,
               struct err *err)
{
    struct scan_request req = c->req;
    struct store_view *views = NULL;
    size_t n = 0;
    int r;

    memset(stats, 0, sizeof(*stats));
    req.from = c->edge[0];
    req.to = c->edge[c->n_edges - 1];
    r = take_views(s, &req, &views, &n, err);
    if (r == 0)
        r = scan_count_views(views, n, c, stats, err);
    free(views);
    return r;
}

int scan_patterns(struct store *s, const struct scan_patterns *p, uint64_t *left_out,
                  struct scan_stats *stats, struct err *err)
{
    struct scan_request req = p->req;
    struct store_view *views = NULL;
    size_t n = 0;
    int r;

    *left_out = 0;
    memset(stats, 0, sizeof(*stats));
    req.from = p->edge[0];
    req.to = p->edge[p->n_edges - 1];
    r = take_views(s, &req, &views, &n, err);
    if (r == 0)
        r = scan_patterns_views(views, n, p, left_out, stats, err);
    free(views);
    return r;
}

int scan_streams(struct store *s, const struct scan_request *req, scan_stream_fn *fn, void *arg,
                 struct err *err)
{
    struct store_view *views = NULL;
    size_t n = 0;
    int r = take_views(s, req, &views, &n, err);

    if (r == 0)
        r = scan_streams_views(views, n, req, fn, arg, err);
    free(views);
    return r;
}

int scan_spans(struct store *s, const struct scan_request *req, struct scan_span *spans, size_t n,
               struct err *err)
{
    struct scan_request all = *req;
    struct store_view *views = NULL;
    size_t n_views = 0;
    int r;

    all.from = INT64_MAX;
    all.to = INT64_MIN;
    for (size_t i = 0; i < n; i++) {
        all.from = spans[i].from < all.from ? spans[i].from : all.from;
        all.to = spans[i].to > all.to ? spans[i].to : all.to;
    }
    r = take_views(s, &all, &views, &n_views, err);
    if (r == 0)
        scan_spans_views(views, n_views, spans, n);
    free(views);
    return r;
}

int scan_labels(struct store *s, const struct scan_request *req, struct str name, scan_text_fn *fn,
                void *arg, struct err *err)
{
    const struct scan_texts to = {name, fn, arg};
    struct store_view *views = NULL;
    size_t n = 0;
    int r = take_views(s, req, &views, &n, err);

    if (r == 0)
        r = scan_labels_views(views, n, req, &to, err);
    free(views);
    return r;
}
