/* query/cli/around.c - see around.h. */
#include "query/cli/around.h"

#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 512 << 20, ENTRY_MAX = 64 << 20, SELECTOR_MAX = 1 << 20 };
#define REACH NS_PER_DAY /* no further from a hit the server looks */

struct line {
    ts_ns ts;
    uint64_t seq;
    struct str stream; /* its selector */
    struct str json;
    bool is_hit;
};

/* Lines [first, first + n), all of one stream, without a known gap. */
struct group {
    size_t first, n;
};

struct around {
    struct cmd *c;
    struct arena *arena; /* owns all texts */
    VEC(struct line) lines;
    VEC(struct group) groups;
    uint64_t hits;
};

static int compare(const struct line *a, const struct line *b)
{
    if (a->ts != b->ts)
        return a->ts < b->ts ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static int by_stream(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int r = str_cmp(x->stream, y->stream);

    return r != 0 ? r : compare(x, y);
}

static int take(void *arg, const struct query_entry *e, struct str json, struct err *err)
{
    struct around *x = arg;
    struct line l = {.ts = e->ts, .seq = e->seq, .is_hit = !e->is_context};
    struct buf selector;

    buf_init(&selector, SELECTOR_MAX);
    labels_format(&selector, &e->stream);
    l.stream = arena_str(x->arena, buf_str(&selector));
    l.json = arena_str(x->arena, json);
    buf_fini(&selector);
    if (l.stream.p == NULL || l.json.p == NULL)
        return err_set(err, ERR_LIMIT, "too many lines of context: use a smaller --limit");
    x->hits += l.is_hit;
    VEC_PUSH(&x->lines, l);
    return 0;
}

/* ---- groups ---- */

/* Of the stream's lines from `i` on: how many come before the next hit.  `end`: its last one. */
static size_t until_hit(const struct around *x, size_t i, size_t end)
{
    size_t n = 0;

    while (i + n < end && !x->lines.p[i + n].is_hit)
        n++;
    return n;
}

/*
 * Lines of one stream, [first, end), in order.  Between two hits there is a gap unless there are
 * fewer lines than what belongs to the one and what belongs to the other: then these overlap.
 */
static void split(struct around *x, size_t first, size_t end)
{
    const struct args *a = x->c->args;
    const struct line *l = x->lines.p;
    size_t hit = first + until_hit(x, first, end), begin = first;

    while (hit < end) {
        size_t next = hit + 1 + until_hit(x, hit + 1, end), stop = hit + 1;
        bool meets =
            next < end && next - stop < a->before + a->after && l[next].ts - l[hit].ts < REACH;

        if (!meets) {
            while (stop < next && stop - hit <= a->after && l[stop].ts - l[hit].ts <= REACH)
                stop++;
            VEC_PUSH(&x->groups, ((struct group){begin, stop - begin}));
            begin = stop;
        }
        hit = next;
    }
}

static void split_all(struct around *x)
{
    size_t first = 0;

    for (size_t i = 1; i <= x->lines.n; i++) {
        if (i < x->lines.n && str_eq(x->lines.p[i].stream, x->lines.p[first].stream))
            continue;
        split(x, first, i);
        first = i;
    }
}

static int by_first(const void *a, const void *b, void *arg)
{
    const struct group *x = a, *y = b;
    const struct line *lines = arg;

    return compare(&lines[x->first], &lines[y->first]);
}

static int print(struct around *x, struct err *err)
{
    struct output *o = x->c->out;
    bool color = o->form.color;
    bool for_people = o->form.kind == FORMAT_TABLE || o->form.kind == FORMAT_RAW;
    struct arena *a = arena_new(NULL, ENTRY_MAX);
    int r = 0;

    for (size_t g = 0; r == 0 && g < x->groups.n; g++) {
        const struct group *group = &x->groups.p[g];

        if (g > 0 && for_people)
            r = output_text(o, STR("--\n"), err);
        for (size_t i = 0; r == 0 && i < group->n; i++) {
            const struct line *l = &x->lines.p[group->first + i];
            struct query_entry e;

            arena_reset(a);
            r = format_entry_parse(l->json, a, &e, err);
            o->form.color = color && l->is_hit;
            if (r == 0)
                r = output_entry(o, &e, err);
        }
    }
    o->form.color = color;
    arena_free(&a);
    return r;
}

/* ---- all of it ---- */

static void look_for_changes(void *arg, struct str text, enum query_place place)
{
    static const char *const changes[] = {"| drop", "| keep", "| label_format"};
    const char **found = arg;

    (void)place;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        if (str_starts(text, str_of(changes[i])))
            *found = changes[i];
}

bool around_is_possible(const struct query *q, const char **ret)
{
    *ret = NULL;
    query_explain(q, look_for_changes, ret);
    return *ret == NULL;
}

int around_show(struct cmd *c, const struct export_request *q, uint64_t *hits,
                struct remote_failure *fail, struct err *err)
{
    struct around x = {.c = c, .arena = arena_new(NULL, HELD_MAX)};
    int r = export_run(c->remote, q, take, &x, fail, err);

    *hits = x.hits;
    if (r == 0 && x.lines.n > 0) {
        qsort(x.lines.p, x.lines.n, sizeof(*x.lines.p), by_stream);
        split_all(&x);
        qsort_r(x.groups.p, x.groups.n, sizeof(*x.groups.p), by_first, x.lines.p);
        r = print(&x, err);
    }
    VEC_FINI(&x.lines);
    VEC_FINI(&x.groups);
    arena_free(&x.arena);
    return r;
}
