/* storage/compact_pick.c - see compact_pick.h. */
#include "storage/compact_pick.h"

#include "storage/block.h"

#define HALF_DAY_END (COMPACT_STORED_MAX / 4)

/* One attempt at choosing. */
struct picker {
    const struct catalog_row *rows;
    size_t n;
    const struct compact_rule *rule;
    ts_ns next;
};

static bool may_touch(const struct picker *p, const struct catalog_row *row)
{
    return row->todo != CATALOG_ALONE && row->wal_to <= p->rule->horizon &&
           (row->class == SEGMENT_ORDINARY || row->level < COMPACT_STRICT_LEVEL);
}

/* When the hour in which its last row came is over, and what was on its way then is stored. */
static ts_ns closed_at(const struct catalog_row *row)
{
    ts_ns hour = row->max_received - row->max_received % NS_PER_H;

    return hour > INT64_MAX - 2 * NS_PER_H ? INT64_MAX : hour + NS_PER_H + COMPACT_LATE;
}

static bool has_come(struct picker *p, ts_ns at)
{
    if (p->rule->all || at <= p->rule->now)
        return true;
    p->next = at < p->next ? at : p->next;
    return false;
}

/* What merging costs in memory and on disk. */
struct load {
    size_t n;
    uint64_t open, stored;
};

/* false: it would be too much with this one. */
static bool load_add(struct load *l, const struct catalog_row *row)
{
    uint64_t block = BLOCK_RAW_TARGET + BLOCK_ROW_ALONE;
    uint64_t open = row->class == SEGMENT_STRICT ? 0
                    : row->raw_bytes < block     ? row->raw_bytes
                                                 : block;

    if (l->n > 0 && (l->n == COMPACT_INPUTS || open > COMPACT_OPEN_MAX - l->open ||
                     row->stored_bytes > COMPACT_STORED_MAX - l->stored))
        return false;
    l->n++;
    l->open += open < COMPACT_OPEN_MAX - l->open ? open : COMPACT_OPEN_MAX - l->open;
    l->stored += row->stored_bytes < COMPACT_STORED_MAX - l->stored
                     ? row->stored_bytes
                     : COMPACT_STORED_MAX - l->stored;
    return true;
}

/* How many from `first` on belong together by `fits`, within the limits; *is_full: those ended it.
 */
typedef bool fits_fn(struct picker *p, const struct catalog_row *first,
                     const struct catalog_row *row);

static size_t run_from(struct picker *p, size_t first, fits_fn *fits, bool *is_full)
{
    const struct catalog_row *head = &p->rows[first];
    struct load l = {.n = 0};
    size_t i = first;

    *is_full = false;
    for (; i < p->n && p->rows[i].class == head->class; i++) {
        if (!may_touch(p, &p->rows[i]) || !fits(p, head, &p->rows[i]))
            break;
        if (!load_add(&l, &p->rows[i])) {
            *is_full = true;
            break;
        }
    }
    return i - first;
}

static bool is_fresh(struct picker *p, const struct catalog_row *first,
                     const struct catalog_row *row)
{
    (void)p;
    (void)first;
    return row->level == 0;
}

static bool is_closed(struct picker *p, const struct catalog_row *first,
                      const struct catalog_row *row)
{
    (void)first;
    return row->level == 0 && has_come(p, closed_at(row));
}

static bool is_alike(struct picker *p, const struct catalog_row *first,
                     const struct catalog_row *row)
{
    (void)p;
    return row->level > 0 && row->level == first->level;
}

static bool is_old(struct picker *p, const struct catalog_row *first, const struct catalog_row *row)
{
    (void)p;
    (void)first;
    return row->level > 0 && row->stored_bytes <= HALF_DAY_END &&
           (row->class == SEGMENT_ORDINARY || row->level == 1);
}

/* Does the largest of them weigh no more than the others together? */
static bool is_even(const struct picker *p, size_t first, size_t n)
{
    uint64_t sum = 0;
    uint64_t most = 0;

    for (size_t i = first; i < first + n; i++) {
        sum += p->rows[i].stored_bytes;
        most = p->rows[i].stored_bytes > most ? p->rows[i].stored_bytes : most;
    }
    return most <= sum / 2;
}

/* Is the run that starts at `first` worth it?  How long it is. */
static size_t fresh_run(struct picker *p, size_t first)
{
    const struct catalog_row *row = &p->rows[first];
    bool is_full;
    size_t n;

    if (row->level > 0)
        return 0;
    n = run_from(p, first, is_closed, &is_full);
    if (n > (row->class == SEGMENT_STRICT ? 1 : 0))
        return n;
    n = run_from(p, first, is_fresh, &is_full);
    return n >= COMPACT_MANY && is_full ? n : 0;
}

static size_t alike_run(struct picker *p, size_t first)
{
    bool is_full;
    size_t n = run_from(p, first, is_alike, &is_full);

    if (p->rows[first].class == SEGMENT_STRICT && n > COMPACT_MANY)
        n = COMPACT_MANY;
    return n >= COMPACT_MANY ? n : 0;
}

static size_t old_run(struct picker *p, size_t first)
{
    ts_ns day_end = time_of_day(p->rule->day) + NS_PER_DAY + COMPACT_DAY_LATE;
    bool is_full;
    size_t n = run_from(p, first, is_old, &is_full);

    if (p->rows[first].class == SEGMENT_STRICT && n > COMPACT_MANY)
        n = COMPACT_MANY;
    return n >= 2 && is_even(p, first, n) && has_come(p, day_end) ? n : 0;
}

static size_t due_run(struct picker *p, size_t first)
{
    const struct catalog_row *row = &p->rows[first];

    return row->todo == CATALOG_DUE && row->class == SEGMENT_ORDINARY ? 1 : 0;
}

/* In this order: what is written together small is not yet there to be written together large. */
typedef size_t run_fn(struct picker *p, size_t first);
static run_fn *const RUNS[] = {due_run, fresh_run, alike_run, old_run};

bool compact_pick(const struct catalog_row *rows, size_t n, const struct compact_rule *rule,
                  struct compact_choice *ret, ts_ns *next)
{
    struct picker p = {rows, n, rule, INT64_MAX};

    *next = INT64_MAX;
    for (size_t k = 0; k < sizeof(RUNS) / sizeof(*RUNS); k++) {
        for (size_t i = 0; i < n; i++) {
            size_t run = may_touch(&p, &rows[i]) ? RUNS[k](&p, i) : 0;
            if (run == 0)
                continue;
            *ret = (struct compact_choice){i, run, false};
            for (size_t m = i; m < i + run; m++)
                ret->due = ret->due || rows[m].todo == CATALOG_DUE;
            return true;
        }
    }
    *next = p.next;
    return false;
}
