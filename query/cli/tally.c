/*
 * query/cli/tally.c - see tally.h.
 *
 * Counts are kept by step, or by second, which all steps that are chosen are made of; those of the
 * time that came last are at hand, since most lines come in order.
 */
#include "query/cli/tally.h"

#include "base/level.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

enum { TIMES_MAX = 2000000 };

struct counts {
    uint64_t lines[LEVEL_COUNT];
};

struct tally {
    dur_ns step, unit;
    struct map *times;     /* from a time to struct counts, owned */
    struct counts *counts; /* at `at`; NULL: none came yet */
    ts_ns at;
    ts_ns first, last; /* of the lines */
};

struct tally *tally_new(dur_ns step)
{
    struct tally *t = mem_new(sizeof(*t));

    t->step = step;
    t->unit = step > 0 ? step : NS_PER_S;
    t->times = map_new(TIMES_MAX, free);
    return t;
}

void tally_free(struct tally **pt)
{
    struct tally *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    map_free(&t->times);
    free(t);
}

static struct str key_of(const ts_ns *at)
{
    return (struct str){(const char *)at, sizeof(*at)};
}

/* NULL: there are too many. */
static struct counts *counts_at(struct tally *t, ts_ns at)
{
    struct counts *c =
        t->counts != NULL && at == t->at ? t->counts : map_get(t->times, key_of(&at));

    if (c != NULL)
        return c;
    c = mem_new(sizeof(*c));
    if (map_put(t->times, key_of(&at), c))
        return c;
    free(c);
    return NULL;
}

int tally_add(struct tally *t, ts_ns ts, struct str level, struct err *err)
{
    ts_ns at = bars_floor(ts, t->unit);
    struct counts *c = counts_at(t, at);
    enum level known = level.n == 0 ? LEVEL_UNKNOWN : LEVEL_OTHER;

    if (c == NULL)
        return err_set(err, ERR_LIMIT,
                       "lines of more than %d different times: give a longer --step", TIMES_MAX);
    (void)level_by_name(level, &known);
    c->lines[known]++;
    t->first = t->counts == NULL || ts < t->first ? ts : t->first;
    t->last = t->counts == NULL || ts > t->last ? ts : t->last;
    t->counts = c;
    t->at = at;
    return 0;
}

int tally_bars(const struct tally *t, struct bars **ret, struct err *err)
{
    dur_ns step = t->step > 0 ? t->step : bars_choose_step(t->first, t->last);
    struct str key;
    size_t pos = 0;
    void *value;
    int r;

    *ret = NULL;
    if (t->counts == NULL)
        return 0;
    /* Where time itself ends, its last step begins before. */
    r = bars_new(bars_floor(t->first, step), t->last < INT64_MAX ? t->last + 1 : t->last, step, ret,
                 err);
    if (r < 0)
        return r;
    while (map_next(t->times, &pos, &key, &value)) {
        const struct counts *c = value;
        ts_ns at;

        memcpy(&at, key.p, sizeof(at));
        for (unsigned k = 0; k < LEVEL_COUNT; k++)
            if (c->lines[k] > 0)
                bars_add(*ret, at, k == LEVEL_OTHER ? STR("other") : level_name((enum level)k),
                         c->lines[k]);
    }
    return 0;
}
