/* query/cli/follow.c - see follow.h. */
#include "query/cli/follow.h"

static int compare(struct follow_mark a, struct follow_mark b)
{
    if (a.ts != b.ts)
        return a.ts < b.ts ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

void follow_init(struct follow *f, ts_ns from)
{
    *f = (struct follow){.bound = {from, 0}};
}

void follow_fini(struct follow *f)
{
    VEC_FINI(&f->seen);
    VEC_FINI(&f->now);
}

void follow_start_at(struct follow *f, struct follow_mark m)
{
    size_t drop = 0;

    if (compare(m, f->bound) <= 0)
        return;
    f->bound = m;
    while (drop < f->seen.n && compare(f->seen.p[drop], m) <= 0)
        drop++;
    if (drop > 0 && drop < f->seen.n)
        memmove(f->seen.p, f->seen.p + drop, (f->seen.n - drop) * sizeof(*f->seen.p));
    f->seen.n -= drop; /* keeps (2) */
}

void follow_begin(struct follow *f)
{
    f->now.n = 0;
    f->at = 0;
}

/* Forget the older half; keeps (2). */
static void shorten(struct follow *f)
{
    size_t half = f->now.n / 2;

    f->bound = f->now.p[half - 1];
    memmove(f->now.p, f->now.p + half, (f->now.n - half) * sizeof(*f->now.p));
    f->now.n -= half;
    f->shortened++;
}

static void remember(struct follow *f, struct follow_mark m)
{
    if (f->now.n == FOLLOW_MARKS_MAX)
        shorten(f);
    VEC_PUSH(&f->now, m);
}

bool follow_offer(struct follow *f, struct follow_mark m)
{
    bool is_new;

    while (f->at < f->seen.n && compare(f->seen.p[f->at], m) < 0)
        f->at++; /* it is not there any more: deleted meanwhile */
    if (f->now.n == 0)
        f->oldest = m;
    is_new = f->at == f->seen.n || compare(f->seen.p[f->at], m) != 0;
    if (!is_new)
        f->at++;
    remember(f, m);
    return is_new;
}

void follow_end(struct follow *f, ts_ns now)
{
    /* What a question that broke off did not come to has been shown all the same. */
    while (f->at < f->seen.n)
        remember(f, f->seen.p[f->at++]);
    VEC_RESERVE(&f->seen, f->now.n);
    if (f->now.n > 0)
        memcpy(f->seen.p, f->now.p, f->now.n * sizeof(*f->now.p));
    f->seen.n = f->now.n;
    f->now.n = 0;
    f->at = f->seen.n;
    if (f->seen.n > 0) {
        /* A line from the future must not hide those of all others. */
        ts_ns newest = f->seen.p[f->seen.n - 1].ts;
        follow_start_at(f, (struct follow_mark){(newest < now ? newest : now) - FOLLOW_BACK, 0});
    }
}
