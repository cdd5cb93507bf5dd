/*
 * server/tail_out.c - what followers are told: frames, and their way to the client.
 *
 * A frame is put together on the hub's thread, once for all of a class, and posted to the main loop
 * piece by piece; there it waits, as the one copy that it is, until the connection takes it.
 */
#include "base/obj.h"
#include "server/metrics.h"
#include "server/tail_priv.h"

#include <stdlib.h>

enum {
    CLIENT_BYTES = 1 << 20, /* on the way to one client; more only to finish a frame */
    FRAME_BYTES = 1 << 20,  /* of entries in one frame, unless one alone has more */
    PIECE_MAX = 128 << 20,
};

struct tail_piece {
    struct tail *tail;          /* a reference */
    struct tail_output *output; /* a reference; NULL: the tail has failed */
    struct tail_piece *next;
    struct err why;
};

/* ---- pieces ---- */

static size_t cost_of(const struct tail_piece *p)
{
    return sizeof(*p) + (p->output == NULL ? 0 : p->output->n);
}

/* NULL: there is no memory for it.  `o` NULL: it says that the tail has failed. */
static struct tail_piece *piece_new(struct tail *t, struct tail_output *o)
{
    struct tail_piece *p;
    struct err ignored;

    if (o != NULL && mem_budget_take(&t->hub->budget, sizeof(*p), &ignored) < 0)
        return NULL;
    p = mem_new(sizeof(*p));
    p->tail = tail_ref(t);
    p->output = o == NULL ? NULL : tail_output_ref(o);
    atomic_fetch_add(&t->queued, cost_of(p));
    return p;
}

static void piece_free(struct tail_piece *p)
{
    struct tail *t = p->tail;

    atomic_fetch_sub(&t->queued, cost_of(p));
    if (p->output != NULL)
        mem_budget_give(&t->hub->budget, sizeof(*p));
    tail_output_unref(&p->output);
    tail_unref(t);
    free(p);
}

/* ---- main loop ---- */

static struct tail_piece *take_first(struct tail *t)
{
    struct tail_piece *p = t->waiting_out;

    t->waiting_out = p->next;
    if (p->next == NULL)
        t->end = &t->waiting_out;
    return p;
}

/* What waits, as far as the client takes it; `all`: even if he does not. */
static void pump(struct tail *t, bool all)
{
    (void)tail_ref(t); /* who takes bytes may close it */
    while (t->waiting_out != NULL && !t->closed && (all || !t->is_full)) {
        struct tail_piece *p = take_first(t);
        if (!t->opt.bytes(t->opt.arg, (struct str){p->output->bytes, p->output->n}))
            t->is_full = true;
        piece_free(p);
    }
    tail_unref(t);
}

static void on_piece(void *arg)
{
    struct tail_piece *p = arg;
    struct tail *t = p->tail;

    if (t->closed) {
        piece_free(p);
    } else if (p->output == NULL) {
        pump(t, true);
        if (!t->closed)
            t->opt.failed(t->opt.arg, &p->why);
        piece_free(p);
    } else {
        *t->end = p;
        t->end = &p->next;
        pump(t, false);
    }
}

void tail_resume(struct tail *t)
{
    OBJ_CHECK(t, SERVER_TAIL_MAGIC);
    t->is_full = false;
    pump(t, false);
}

void tail_out_close(struct tail *t)
{
    while (t->waiting_out != NULL)
        piece_free(take_first(t));
}

/* ---- the hub's thread ---- */

static void post_piece(struct tail *t, struct tail_piece *p)
{
    if (!loop_post(t->hub->server->loop, on_piece, p))
        piece_free(p); /* the server stops; the hub still counts the tail */
}

/* false: there is no memory for it. */
static bool post(struct tail *t, struct tail_output *o)
{
    struct tail_piece *p = piece_new(t, o);

    if (p != NULL)
        post_piece(t, p);
    return p != NULL;
}

void tail_out_fail(struct tail *t, const struct err *why)
{
    struct tail_piece *p = piece_new(t, NULL);

    p->why = *why;
    post_piece(t, p);
}

bool tail_out_give(struct tail *t, const struct tail_class *c)
{
    if (c->output == NULL)
        return true;
    if (!post(t, c->output))
        return false;
    metric_add(METRIC_TAIL_ENTRIES, c->n_entries);
    metric_add(METRIC_TAIL_DROPPED, c->n_dropped);
    return true;
}

void tail_out_free_entries(struct tail_hub *h, struct tail_entries *v)
{
    for (size_t i = 0; i < v->n; i++)
        tail_entry_free(&v->p[i], &h->budget);
    v->n = 0;
}

void tail_out_lose(struct tail *t)
{
    metric_add(METRIC_TAIL_DROPPED, 1);
    t->n_dropped++;
}

static void drop(struct tail *t, struct tail_entry *e)
{
    tail_out_lose(t);
    if (t->dropped.n == TAIL_DROPPED_SHOWN) {
        tail_entry_free(&e, &t->hub->budget);
        return;
    }
    tail_entry_strip(&e, &t->hub->budget);
    VEC_PUSH(&t->dropped, e);
}

bool tail_out_has_room(const struct tail *t)
{
    return t->queued <= CLIENT_BYTES;
}

/* One frame with up to TAIL_FRAME_ENTRIES of `v`, and what was dropped before it.  false: it could
 * not be. */
static bool tell_frame(struct tail *t, struct tail_entry **v, size_t n)
{
    struct tail_hub *h = t->hub;
    struct tail_frame f = {.entries = v,
                           .n = n,
                           .dropped = t->dropped.p,
                           .n_dropped = t->dropped.n,
                           .all_dropped = t->n_dropped};
    struct tail_output *o = NULL;
    struct buf out;
    bool told;

    buf_init(&out, PIECE_MAX);
    tail_frame_put(&out, t->opt.form, t->opt.categorize, &f);
    if (!out.over)
        o = tail_output_new(buf_str(&out), &h->budget);
    buf_fini(&out);
    told = o != NULL && post(t, o);
    if (told && h->writing != NULL)
        tail_class_add(h->writing, o, n, t->n_dropped);
    tail_output_unref(&o);
    if (!told)
        return false;
    metric_add(METRIC_TAIL_ENTRIES, n);
    tail_out_free_entries(h, &t->dropped);
    t->n_dropped = 0;
    return true;
}

/* How many of the entries go into one frame. */
static size_t frame_entries(struct tail_entry *const *v, size_t n)
{
    size_t bytes = v[0]->bytes;
    size_t k = 1;

    while (k < n && k < TAIL_FRAME_ENTRIES && v[k]->bytes <= FRAME_BYTES &&
           bytes + v[k]->bytes <= FRAME_BYTES)
        bytes += v[k++]->bytes;
    return k;
}

void tail_out_tell(struct tail *t)
{
    size_t at = 0;

    while (at < t->ready.n && tail_out_has_room(t)) {
        size_t n = frame_entries(t->ready.p + at, t->ready.n - at);
        if (!tell_frame(t, t->ready.p + at, n))
            break;
        for (; n > 0; n--)
            tail_entry_free(&t->ready.p[at++], &t->hub->budget);
    }
    for (; at < t->ready.n; at++)
        drop(t, t->ready.p[at]);
    t->ready.n = 0;
    if (t->n_dropped > 0 && tail_out_has_room(t))
        (void)tell_frame(t, NULL, 0); /* else it is tried again */
}
