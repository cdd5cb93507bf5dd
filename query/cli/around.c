/* query/cli/around.c - see around.h. */
#include "query/cli/around.h"

#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 512 << 20, ENTRY_MAX = 64 << 20, SELECTOR_MAX = 1 << 20, SAME_TIME_MAX = 64 };
#define REACH NS_PER_DAY

struct line {
    ts_ns ts;
    uint64_t seq;
    struct str stream; /* its selector */
    struct str json;
    bool is_hit;
};

/* Lines [first, first + n) of `shown`, all of one stream, without a known gap. */
struct group {
    size_t first, n;
};

struct around {
    struct cmd *c;
    struct arena *arena; /* owns all texts */
    VEC(struct line) hits;
    VEC(struct line) near; /* of one hit; before it: newest first */
    VEC(struct line) shown;
    VEC(struct group) groups;
    const struct line *hit; /* whose neighbours are asked for */
    size_t wanted;
    bool is_before; /* it is what lies before the hit */
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

/* ---- hits ---- */

static int take_hit(void *arg, const struct query_entry *e, struct str json, struct err *err)
{
    struct around *x = arg;
    struct line l = {.ts = e->ts, .seq = e->seq, .is_hit = true};
    struct buf selector;

    buf_init(&selector, SELECTOR_MAX);
    labels_format(&selector, &e->stream);
    l.stream = arena_str(x->arena, buf_str(&selector));
    l.json = arena_str(x->arena, json);
    buf_fini(&selector);
    if (l.stream.p == NULL || l.json.p == NULL)
        return err_set(err, ERR_LIMIT, "too many hits for lines of context: use a smaller --limit");
    VEC_PUSH(&x->hits, l);
    return 0;
}

/* ---- neighbours ---- */

static int take_near(void *arg, const struct query_entry *e, struct str json, struct err *err)
{
    struct around *x = arg;
    struct line l = {.ts = e->ts, .seq = e->seq, .stream = x->hit->stream};

    if (compare(&l, x->hit) == 0 || (e->ts == x->hit->ts && e->seq > x->hit->seq && x->is_before))
        return 0;
    l.json = arena_str(x->arena, json);
    if (l.json.p == NULL)
        return err_set(err, ERR_LIMIT, "too many lines of context: use a smaller --limit");
    if (x->near.n < x->wanted)
        VEC_PUSH(&x->near, l);
    return 0;
}

/* What lies before the hit, newest first. */
static int ask_before(struct around *x, struct remote_failure *fail, struct err *err)
{
    struct export_request q = {.query = x->hit->stream,
                               .from = x->hit->ts - REACH,
                               .to = x->hit->ts + 1,
                               .backward = true,
                               .limit = x->c->args->before + SAME_TIME_MAX,
                               .idle_ms = CMD_IDLE_MS};

    x->near.n = 0;
    x->wanted = x->c->args->before;
    x->is_before = true; /* those behind the hit at the same time are passed over */
    return x->wanted == 0 ? 0 : export_run(x->c->remote, &q, take_near, x, fail, err);
}

static int ask_after(struct around *x, struct remote_failure *fail, struct err *err)
{
    struct export_request q = {.query = x->hit->stream,
                               .from = x->hit->ts,
                               .to = x->hit->ts + REACH,
                               .after_seq = x->hit->seq,
                               .limit = x->c->args->after,
                               .idle_ms = CMD_IDLE_MS};

    x->near.n = 0;
    x->wanted = x->c->args->after;
    x->is_before = false;
    return x->wanted == 0 ? 0 : export_run(x->c->remote, &q, take_near, x, fail, err);
}

/* ---- groups ---- */

/* Append a line of the hit's set; sets come stream by stream, hit by hit. */
static void add(struct around *x, const struct line *l, bool *is_new)
{
    struct group *g = x->groups.n > 0 ? &x->groups.p[x->groups.n - 1] : NULL;
    const struct line *last = g != NULL ? &x->shown.p[x->shown.n - 1] : NULL;
    bool meets = last != NULL && str_eq(last->stream, l->stream) && compare(l, last) <= 0;

    if (meets) { /* it is there already, and later lines of the set go on behind it */
        *is_new = false;
        for (size_t i = x->shown.n; l->is_hit && i > g->first; i--)
            if (compare(&x->shown.p[i - 1], l) == 0)
                x->shown.p[i - 1] = *l;
        return;
    }
    if (*is_new)
        VEC_PUSH(&x->groups, ((struct group){x->shown.n, 0}));
    *is_new = false;
    VEC_PUSH(&x->shown, *l);
    x->groups.p[x->groups.n - 1].n++;
}

static int add_sets(struct around *x, struct remote_failure *fail, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < x->hits.n; i++) {
        bool is_new = true;

        x->hit = &x->hits.p[i];
        r = ask_before(x, fail, err);
        for (size_t k = x->near.n; r == 0 && k > 0; k--)
            add(x, &x->near.p[k - 1], &is_new);
        add(x, x->hit, &is_new);
        if (r == 0)
            r = ask_after(x, fail, err);
        for (size_t k = 0; r == 0 && k < x->near.n; k++)
            add(x, &x->near.p[k], &is_new);
    }
    return r;
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
            const struct line *l = &x->shown.p[group->first + i];
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
    int r = export_resume(c->remote, q, take_hit, &x, fail, err);

    *hits = x.hits.n;
    if (r == 0 && x.hits.n > 0) {
        qsort(x.hits.p, x.hits.n, sizeof(*x.hits.p), by_stream);
        r = add_sets(&x, fail, err);
    }
    if (r == 0 && x.groups.n > 0) {
        qsort_r(x.groups.p, x.groups.n, sizeof(*x.groups.p), by_first, x.shown.p);
        r = print(&x, err);
    }
    VEC_FINI(&x.hits);
    VEC_FINI(&x.near);
    VEC_FINI(&x.shown);
    VEC_FINI(&x.groups);
    arena_free(&x.arena);
    return r;
}
