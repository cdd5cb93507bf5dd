/* query/cli/lines.c - see lines.h. */
#include "query/cli/lines.h"

#include "base/vec.h"
#include "query/cli/progress.h"

enum { HELD_MAX = 512 << 20, ENTRY_MAX = 64 << 20 };

struct lines {
    struct output *out;
    struct follow *follow;
    struct progress *progress;
    struct arena *arena;  /* owns held */
    VEC(struct str) held; /* JSON, newest first */
};

static int show(struct lines *l, const struct query_entry *e, struct err *err)
{
    if (l->follow != NULL && !follow_offer(l->follow, (struct follow_mark){e->ts, e->seq}))
        return 0;
    return output_entry(l->out, e, err);
}

static int take(void *arg, const struct query_entry *e, struct str json, struct err *err)
{
    struct lines *l = arg;

    if (l->progress != NULL)
        progress_step(l->progress, e->ts, json.n);
    return show(l, e, err);
}

static int hold(void *arg, const struct query_entry *e, struct str json, struct err *err)
{
    struct lines *l = arg;
    struct str copy = arena_str(l->arena, json);

    if (l->progress != NULL)
        progress_step(l->progress, e->ts, json.n);
    if (copy.p == NULL)
        return err_set(err, ERR_LIMIT,
                       "the newest %zu lines are all that memory holds: use a smaller --limit, or "
                       "--direction backward, which prints them as they come",
                       l->held.n);
    VEC_PUSH(&l->held, copy);
    return 0;
}

static int show_held(struct lines *l, struct err *err)
{
    struct arena *a = arena_new(NULL, ENTRY_MAX);
    int r = 0;

    for (size_t i = l->held.n; r == 0 && i > 0; i--) {
        struct query_entry e;

        arena_reset(a);
        r = format_entry_parse(l->held.p[i - 1], a, &e, err);
        if (r == 0)
            r = show(l, &e, err);
    }
    arena_free(&a);
    return r;
}

static enum follow_answer judge(const struct lines_request *q, int e,
                                const struct remote_failure *fail)
{
    if (fail->is_partial || (e < 0 && q->export.backward))
        return FOLLOW_PARTIAL;
    return e < 0 ? FOLLOW_CUT : FOLLOW_WHOLE;
}

int lines_show(struct remote *r, struct output *out, const struct lines_request *q,
               struct remote_failure *fail, struct err *err)
{
    struct lines l = {.out = out, .follow = q->follow, .progress = q->progress};
    struct err later;
    int e, shown = 0;
    /* A follower asks for the rest by itself. */
    export_runner *run = l.follow != NULL ? export_run : export_resume;

    if (q->newest_last) {
        l.arena = arena_new(NULL, HELD_MAX);
        e = run(r, &q->export, hold, &l, fail, err);
        if (l.progress != NULL)
            progress_end(l.progress);
        shown = show_held(&l, &later);
        arena_free(&l.arena);
        VEC_FINI(&l.held);
    } else {
        e = run(r, &q->export, take, &l, fail, err);
    }
    if (l.follow != NULL)
        follow_end(l.follow, judge(q, e < 0 ? e : shown, fail));
    if (e == 0 && shown < 0) {
        *err = later;
        e = shown;
    }
    return e;
}
