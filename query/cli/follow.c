/* query/cli/follow.c - see follow.h. */
#include "query/cli/follow.h"

#include "base/obj.h"

#include <stdlib.h>

static int compare(struct follow_mark a, struct follow_mark b)
{
    if (a.seq != b.seq)
        return a.seq < b.seq ? -1 : 1;
    return (a.ts > b.ts) - (a.ts < b.ts);
}

static int compare_marks(const void *a, const void *b)
{
    return compare(*(const struct follow_mark *)a, *(const struct follow_mark *)b);
}

void follow_init(struct follow *f, ts_ns from)
{
    *f = (struct follow){.floor = {from, 0}, .gap = {.is_open = true, .from = from}};
}

void follow_fini(struct follow *f)
{
    VEC_FINI(&f->shown);
}

void follow_start_at(struct follow *f, struct follow_mark m)
{
    f->floor = m;
}

static void sort(struct follow *f)
{
    if (f->n_sorted < f->shown.n)
        qsort(f->shown.p, f->shown.n, sizeof(*f->shown.p), compare_marks);
    f->n_sorted = f->shown.n;
}

/* Forget the first half; keeps (2). */
static void shorten(struct follow *f)
{
    size_t half;

    sort(f);
    half = f->shown.n / 2;
    f->forgotten = f->shown.p[half - 1].seq;
    memmove(f->shown.p, f->shown.p + half, (f->shown.n - half) * sizeof(*f->shown.p));
    f->shown.n -= half;
    f->n_sorted = f->shown.n;
    if (!f->gap.is_open)
        f->done = f->forgotten;
}

static void remember(struct follow *f, struct follow_mark m)
{
    if (f->shown.n == FOLLOW_MARKS_MAX)
        shorten(f);
    VEC_PUSH(&f->shown, m);
    f->quiet_from = 0;
    if (m.ts > f->newest)
        f->newest = m.ts;
}

static bool was_shown(const struct follow *f, struct follow_mark m)
{
    return f->n_sorted > 0 && compare(m, f->shown.p[f->n_sorted - 1]) <= 0 &&
           bsearch(&m, f->shown.p, f->n_sorted, sizeof(m), compare_marks) != NULL;
}

bool follow_tell(struct follow *f, struct follow_mark m)
{
    if (was_shown(f, m))
        return false;
    remember(f, m);
    return true;
}

void follow_hear(struct follow *f, ts_ns until)
{
    if (f->gap.is_open || until <= f->heard)
        return;
    f->heard = until;
    if (f->quiet_from == 0)
        f->quiet_from = until;
}

/* About the earliest time of a line that was stored behind all that was told.  How far the lines'
 * times are from those at which they come shows in the newest one; nothing else is taken of a clock
 * but how long it was quiet. */
static ts_ns due(const struct follow *f, ts_ns now)
{
    ts_ns told = f->quiet_from != 0 && f->quiet_from < now ? f->quiet_from : now;
    dur_ns quiet = f->quiet_from != 0 ? f->heard - f->quiet_from : 0;
    ts_ns from = f->newest == 0 ? f->floor.ts : f->newest;

    if (from > told)
        from = told; /* a line from the future must not hide those of all others */
    return quiet > FOLLOW_BACK_QUIET ? from + quiet - FOLLOW_BACK_QUIET : from;
}

void follow_miss(struct follow *f, ts_ns now, dur_ns back)
{
    ts_ns from = due(f, now) - back;

    if (f->gap.is_open) {
        if (from < f->gap.from)
            f->gap.from = from;
        return;
    }
    f->gap.is_open = true;
    f->gap.from = from;
    f->gap.done = f->done;
    f->gap.newest = f->newest;
}

struct follow_mark follow_ask(struct follow *f)
{
    sort(f);
    f->offered.n = 0;
    return f->gap.from > f->floor.ts ? (struct follow_mark){f->gap.from, 0} : f->floor;
}

bool follow_offer(struct follow *f, struct follow_mark m)
{
    INVARIANT(f->gap.is_open);
    if (f->offered.n++ == 0)
        f->offered.first = m;
    f->offered.last = m;
    /* A server that begins to count anew has newer lines. */
    if ((m.seq <= f->gap.done && m.ts <= f->gap.newest) || was_shown(f, m))
        return false;
    remember(f, m);
    return true;
}

void follow_end(struct follow *f, enum follow_answer answer)
{
    sort(f);
    if (answer == FOLLOW_CUT && f->offered.n > 0 && f->offered.last.ts - FOLLOW_BACK > f->gap.from)
        f->gap.from = f->offered.last.ts - FOLLOW_BACK;
    if (answer != FOLLOW_WHOLE)
        return;
    f->gap.is_open = false;
    if (f->forgotten > f->done)
        f->done = f->forgotten;
}
