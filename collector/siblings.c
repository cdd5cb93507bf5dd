/*
 * collector/siblings.c - contract: siblings.h.
 *
 * Why names before times: a clock that jumps, or a compression of all old files at once, puts times
 * out of order; numbers and dates in names are what the rotation itself goes by.
 */
#include "collector/siblings.h"

#include "base/mem.h"
#include "base/str.h"
#include "collector/reader.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIBLINGS_MAX = 10000,
    PATH_BYTES = 4096,
    NUMBER_MAX = 5, /* digits; more are a date */
    PAIRS_MAX = 100,
};

/* What stands behind the base and its separator, without .gz; n == 0: `name` is none of its. */
static struct str suffix_of(const char *name, const char *base)
{
    size_t n = strlen(base);
    struct str s = str_of(name);

    if (strncmp(name, base, n) != 0 || (name[n] != '.' && name[n] != '-' && name[n] != '_'))
        return STR("");
    if (str_ends(s, STR(".gz")))
        s.n -= 3;
    else if (str_ends(s, STR(".zst")))
        s.n -= 4;
    return str_from(s, n + 1);
}

bool siblings_is_rotated(const char *name, const char *base)
{
    struct str suffix = suffix_of(name, base);
    bool has_digit = false;

    if (str_eq(suffix, STR("old")) || str_eq(suffix, STR("bak")))
        return true;
    for (size_t i = 0; i < suffix.n; i++) {
        unsigned char c = (unsigned char)suffix.p[i];
        if (isdigit(c))
            has_digit = true;
        else if (strchr("-_.:+TZ", c) == NULL)
            return false;
    }
    return has_digit;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

struct listing {
    struct siblings *ret;
    const char *base;
    struct str dir;
    bool is_blind; /* one of ours could not be looked at */
};

static void take_entry(void *arg, const char *name, const struct stat *st)
{
    struct listing *l = arg;
    struct sibling s = {.st = *st};
    char path[PATH_BYTES];

    if (st->st_mode == 0 && (strcmp(name, l->base) == 0 || siblings_is_rotated(name, l->base)))
        l->is_blind = true;
    if (l->ret->v.n == SIBLINGS_MAX || !S_ISREG(st->st_mode))
        return;
    if (snprintf(path, sizeof(path), "%.*s/%s", STR_ARG(l->dir), name) >= (int)sizeof(path))
        return;
    s.path = mem_dup(path, strlen(path));
    s.is_rotated = strcmp(name, l->base) == 0 || siblings_is_rotated(name, l->base);
    s.is_packed = s.is_rotated && reader_is_packed(str_of(name));
    VEC_PUSH(&l->ret->v, s);
}

/* ---- order ---- */

enum naming { NAMED_OTHERWISE, NAMED_BY_NUMBER, NAMED_BY_DATE };

static enum naming naming_of(struct str suffix)
{
    for (size_t i = 0; i < suffix.n; i++)
        if (!isdigit((unsigned char)suffix.p[i]))
            return i >= 4 ? NAMED_BY_DATE : NAMED_OTHERWISE;
    return suffix.n <= NUMBER_MAX ? NAMED_BY_NUMBER : NAMED_BY_DATE;
}

struct place {
    int group; /* others, rotated ones, the base */
    uint64_t number;
    struct str date;
    struct timespec time;
    size_t i;
};

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* As text, but digits as the numbers they are: .10 comes behind .9. */
static int compare_dates(struct str a, struct str b)
{
    const char *p = a.p, *p_end = a.p + a.n;
    const char *q = b.p, *q_end = b.p + b.n;

    while (p < p_end && q < q_end) {
        const char *x = p, *y = q;
        int r;
        while (is_digit(p, p_end) && *p == '0')
            x = ++p;
        while (is_digit(q, q_end) && *q == '0')
            y = ++q;
        while (is_digit(p, p_end))
            p++;
        while (is_digit(q, q_end))
            q++;
        if (p - x != q - y)
            return p - x < q - y ? -1 : 1;
        r = p == x ? 0 : memcmp(x, y, (size_t)(p - x));
        if (r == 0 && p < p_end && q < q_end)
            r = (unsigned char)*p++ - (unsigned char)*q++;
        if (r != 0)
            return r;
    }
    return (p < p_end) - (q < q_end);
}

static int by_age(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int r = x->group - y->group;

    if (r == 0)
        r = compare_u64(y->number, x->number); /* .2 is older than .1 */
    if (r == 0)
        r = compare_dates(x->date, y->date);
    if (r == 0)
        r = compare_u64((uint64_t)x->time.tv_sec, (uint64_t)y->time.tv_sec);
    if (r == 0)
        r = compare_u64((uint64_t)x->time.tv_nsec, (uint64_t)y->time.tv_nsec);
    return r != 0 ? r : compare_u64(x->i, y->i);
}

/* How all old files of `base` are named; NAMED_OTHERWISE when they differ in that. */
static enum naming common_naming(const struct siblings *s, const char *base)
{
    enum naming all = NAMED_OTHERWISE;
    bool is_first = true;

    for (size_t i = 0; i < s->v.n; i++) {
        struct str suffix = suffix_of(base_of(s->v.p[i].path), base);
        if (!s->v.p[i].is_rotated || suffix.n == 0)
            continue;
        if (!is_first && naming_of(suffix) != all)
            return NAMED_OTHERWISE;
        all = naming_of(suffix);
        is_first = false;
    }
    return all;
}

/* Most rotations count up with age (x.log.2 is older than x.log.1), some programs count the other
 * way: all their files' times say so. */
static bool counts_forwards(const struct place *p, size_t n)
{
    size_t forwards = 0, backwards = 0;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && k < PAIRS_MAX; k++)
            if (p[i].group == 1 && p[k].group == 1 && p[i].number < p[k].number) {
                if (p[i].time.tv_sec < p[k].time.tv_sec)
                    forwards++;
                else if (p[i].time.tv_sec > p[k].time.tv_sec)
                    backwards++;
            }
    return forwards > 0 && backwards == 0;
}

static void sort(struct siblings *s, const char *base)
{
    enum naming naming = common_naming(s, base);
    struct place *places = mem_new((s->v.n + 1) * sizeof(*places));
    struct sibling *sorted = mem_new((s->v.n + 1) * sizeof(*sorted));

    for (size_t i = 0; i < s->v.n; i++) {
        const struct sibling *v = &s->v.p[i];
        struct str suffix = suffix_of(base_of(v->path), base);
        struct place *p = &places[i];
        p->i = i;
        p->group = !v->is_rotated ? 0 : suffix.n > 0 ? 1 : 2;
        p->time = v->st.st_mtim;
        if (p->group == 1 && naming == NAMED_BY_NUMBER)
            p->number = strtoull(suffix.p, NULL, 10);
        else if (p->group == 1 && naming == NAMED_BY_DATE)
            p->date = suffix;
    }
    if (naming == NAMED_BY_NUMBER && counts_forwards(places, s->v.n))
        for (size_t i = 0; i < s->v.n; i++)
            places[i].number = UINT64_MAX - places[i].number;
    qsort(places, s->v.n, sizeof(*places), by_age);
    for (size_t i = 0; i < s->v.n; i++)
        sorted[i] = s->v.p[places[i].i];
    if (s->v.n > 0)
        memcpy(s->v.p, sorted, s->v.n * sizeof(*sorted));
    free(places);
    free(sorted);
}

int siblings_list(struct opener *o, const char *path, struct siblings *ret, struct err *err)
{
    const char *base = base_of(path);
    struct listing l = {ret, base, {path, base == path ? 0 : (size_t)(base - path - 1)}, false};
    char dir[PATH_BYTES];
    int r = 0;

    ret->v.p = NULL;
    ret->v.n = ret->v.cap = 0;
    if (l.dir.n > 0 && l.dir.n < sizeof(dir)) /* a directory that is gone has none */
        r = opener_list(o, str_to_z(l.dir, dir, sizeof(dir)), OPENER_STATS, take_entry, &l, err);
    sort(ret, base);
    if (r == 0 && l.is_blind)
        return opener_err(err, EIO, "look at what lies beside", path);
    return r == ERR_GONE ? 0 : r;
}

void siblings_fini(struct siblings *s)
{
    for (size_t i = 0; i < s->v.n; i++)
        free(s->v.p[i].path);
    VEC_FINI(&s->v);
}
