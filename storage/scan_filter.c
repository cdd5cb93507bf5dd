/* storage/scan_filter.c - the line filters of a scan, made ready (line_match.h). */
#include "storage/scan_internal.h"

#include "base/mem.h"

#include <stdlib.h>

enum { FILTERS_MAX = 1 << 12 };

int scan_filter_init(struct scan *sc, struct err *err)
{
    const struct scan_request *req = &sc->req;
    int r = 0;

    if (req->n_filters > FILTERS_MAX)
        return err_set(err, ERR_LIMIT, "%zu line filters in one query are too many: at most %d",
                       req->n_filters, FILTERS_MAX);
    sc->match = mem_new(req->n_filters * sizeof(struct line_match *) + 1);
    for (size_t i = 0; r == 0 && i < req->n_filters; i++)
        r = line_match_new(&req->filters[i], &sc->match[i], err);
    return r;
}

void scan_filter_free(struct scan *sc)
{
    for (size_t i = 0; sc->match != NULL && i < sc->req.n_filters; i++)
        line_match_free(&sc->match[i]);
    free((void *)sc->match);
    sc->match = NULL;
}

bool scan_filter_line(const struct scan *sc, struct str line)
{
    for (size_t i = 0; i < sc->req.n_filters; i++)
        if (!line_match_line(sc->match[i], line))
            return false;
    return true;
}
