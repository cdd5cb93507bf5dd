/*
 * collector/pipeline_move.c - everything of one server goes to another: it does not answer, or is
 * not in the configuration any more.  Contract and invariants: pipeline_internal.h.
 *
 * The journal says it first, on the disk; a chunk that the one may have stored is marked, so that
 * the other's readers know that it may be there twice; and a record tells what was moved.
 */
#include "base/log.h"
#include "collector/notice.h"
#include "collector/pipeline_internal.h"

/* What is moved, for the record that says so. */
struct moving {
    struct pipeline *p;
    struct lane *from, *to;
    struct notice_failover told;
};

/* The journal says it; `sent`: a server may have it. */
static const struct checkpoint_chunk *move_plan(struct moving *m, uint64_t no, bool sent)
{
    struct checkpoint_chunk *c = checkpoint_chunk_find(m->p->opt.checkpoint, no);

    checkpoint_move(m->p->opt.checkpoint, no, m->to->server, sent);
    m->told.chunks++;
    for (size_t i = 0; sent && i < c->parts.n; i++) {
        m->told.ranges += c->parts.p[i].end > c->parts.p[i].start;
        m->told.bytes += c->parts.p[i].end - c->parts.p[i].start;
    }
    return c;
}

/* Mark the message of a chunk that may be stored twice, once.  Keeps (4). */
static void mark_twice(const struct checkpoint_chunk *c, struct buf *message)
{
    char token[CHUNK_TOKEN_BYTES];
    struct buf marked;
    struct err err;
    int r;

    if (!c->maybe_twice)
        return;
    buf_init(&marked, message->max + PIPELINE_MESSAGE_SLACK);
    r = chunk_mark_twice(buf_str(message), token, &marked, &err);
    if (r == 0) {
        buf_fini(message);
        *message = marked;
        return;
    }
    buf_fini(&marked);
    if (r != ERR_EXISTS) /* it was marked when it was moved before */
        log_error("chunk.not_marked", LOG_ERR(&err));
}

static void move_sent(struct moving *m)
{
    struct sealed s = {.lane = pipeline_index_of(m->p, m->to), .mark = UINT64_MAX};
    bool sent;

    while (fleet_take(m->p->fleet, pipeline_index_of(m->p, m->from), &s.no, &s.message, s.token,
                      &sent)) {
        mark_twice(move_plan(m, s.no, sent || s.no < m->p->first_new), &s.message);
        VEC_PUSH(&m->p->sealed, s);
        m->to->sealed++;
    }
}

static void move_sealed(struct moving *m)
{
    for (size_t i = 0; i < m->p->sealed.n; i++) {
        struct sealed *s = &m->p->sealed.p[i];
        if (s->lane != pipeline_index_of(m->p, m->from))
            continue;
        mark_twice(move_plan(m, s->no, s->no < m->p->first_new), &s->message);
        s->lane = pipeline_index_of(m->p, m->to);
        s->mark = UINT64_MAX;
        m->from->sealed--;
        m->to->sealed++;
    }
}

static void move_unbuilt(struct moving *m)
{
    for (size_t i = 0; i < m->p->put_off.n; i++) {
        const struct put_off *o = &m->p->put_off.p[i];
        if (!o->on_its_way &&
            checkpoint_chunk_find(m->p->opt.checkpoint, o->no)->server == m->from->server)
            (void)move_plan(m, o->no, true);
    }
    for (size_t i = 0; i < m->p->again.n; i++) {
        const struct checkpoint_chunk *c =
            checkpoint_chunk_find(m->p->opt.checkpoint, m->p->again.p[i]);
        if (c->server == m->from->server)
            (void)move_plan(m, c->no, true);
    }
}

static void tell_moved(const struct moving *m)
{
    struct err err;

    if (m->told.files + m->told.chunks == 0)
        return;
    if (notice_failover(m->p->opt.own, &m->told, &err) < 0)
        log_error("failover.not_written", LOG_ERR(&err));
    (void)notice_retry(m->p->opt.own);
}

void pipeline_on_left(void *arg, size_t from, size_t to)
{
    struct pipeline *p = arg;
    struct moving m = {.p = p, .from = &p->lanes[from], .to = &p->lanes[to]};
    struct checkpoint *cp = p->opt.checkpoint;

    m.told.from = checkpoint_server_address(cp, m.from->server);
    m.told.to = checkpoint_server_address(cp, m.to->server);
    move_sent(&m);
    move_sealed(&m);
    move_unbuilt(&m);
    m.told.files = checkpoint_leave(cp, m.from->server, m.to->server);
    p->again_mark = checkpoint_mark(cp);
    for (size_t i = 0; i < p->sealed.n; i++)
        if (p->sealed.p[i].mark == UINT64_MAX)
            p->sealed.p[i].mark = p->again_mark;
    if (pipeline_is_filling(m.from)) /* planned for nobody yet */
        pipeline_seal_lane(p, m.from, m.to);
    m.from->had_no_room = false;
    m.to->had_no_room = true; /* files that waited for the one wait for the other */
    tell_moved(&m);
    pipeline_wake(p);
}

void pipeline_leave_strangers(struct pipeline *p)
{
    struct checkpoint *cp = p->opt.checkpoint;
    struct moving m = {.p = p, .to = &p->lanes[0]};
    struct checkpoint_file *f;
    struct checkpoint_chunk *c;

    m.told.from = "";
    m.told.to = checkpoint_server_address(cp, m.to->server);
    for (size_t i = 0; (f = checkpoint_file_at(cp, i)) != NULL; i++)
        if (f->server != 0 && pipeline_lane_of(p, f->server) == NULL) {
            m.told.from = checkpoint_server_address(cp, f->server);
            m.told.files += checkpoint_leave(cp, f->server, 0);
        }
    for (size_t i = 0; (c = checkpoint_chunk_at(cp, i)) != NULL; i++)
        if (pipeline_lane_of(p, c->server) == NULL) {
            m.told.from = checkpoint_server_address(cp, c->server);
            (void)move_plan(&m, c->no, c->server != 0);
        }
    p->again_mark = m.told.files + m.told.chunks > 0 ? checkpoint_mark(cp) : 0;
    if (m.told.ranges > 0)
        tell_moved(&m);
}
