/*
 * collector/tail_multi.c - contract: tail.h, tail_turn.h.  Records of several lines.
 *
 * Such a record is over when a line comes that is none of it, which may be much later and in
 * another turn.  Then (1) if some of it lies in this run, it goes into the payload here and the
 * bytes before the run become fills, as with a join; should the line that ended it be held itself,
 * the part before says so by a flag, because a rebuild does not see that line.  (2) If all of it
 * lies before the run, the run is ended in front of that line, and the record has parts of its own,
 * the last of which says that it is whole.  So a rebuild puts each record where it was.
 */
#include "base/obj.h"
#include "collector/metrics.h"
#include "collector/tail_turn.h"

static void pass(struct turn *u, const struct join_record *rec, const struct piece *p)
{
    turn_emit(u, rec, p);
    if (rec->n_held > 0)
        turn_fill(u, rec);
}

/* What is held of stream `s` into the chunk; its bytes are the caller's business until _done. */
static void emit(struct turn *u, enum decode_stream s, struct join_record *rec)
{
    struct piece p;

    multiline_record(u->t->multi, s, rec, &p);
    turn_emit(u, rec, &p);
    if (u->t->multi->s[s].lines > 1)
        metric_add(METRIC_RECORDS_MULTILINE, 1);
}

void turn_end_record(struct turn *u, enum decode_stream s)
{
    struct multiline *m = u->t->multi;
    struct join_record rec;
    uint64_t before;

    if (m == NULL || !m->s[s].open)
        return;
    turn_open_rates(u, m->s[s].ts);
    before = u->c->entries;
    emit(u, s, &rec);
    if (!u->whole) {
        turn_add_held(u, &rec, before,
                      s == DECODE_STDERR ? CHECKPOINT_FLUSH_STDERR : CHECKPOINT_FLUSH_STDOUT);
        turn_begin_state(u); /* a private key may have begun in it */
    }
    multiline_done(&m->s[s], &u->rd->limits);
}

/* It is over within this run, (1). */
static void end_here(struct turn *u, enum decode_stream s)
{
    struct join_record rec;

    emit(u, s, &rec);
    turn_fill(u, &rec);
    multiline_done(&u->t->multi->s[s], &u->rd->limits);
}

static bool has_bytes_in_run(const struct turn *u, const struct multiline_stream *s)
{
    const struct join_segment *last = &s->held.p[s->held.n - 1];

    return u->whole || (last->file == u->t->file && last->end > u->run_start);
}

/* The line at `start`, the last of `rec`, is none of what is held of `s`.  true: (1). */
static bool end_before(struct turn *u, enum decode_stream s, uint64_t start,
                       struct join_record *rec)
{
    if (has_bytes_in_run(u, &u->t->multi->s[s])) {
        end_here(u, s);
        return true;
    }
    turn_end_run(u, start);
    if (rec->n_held > 0) { /* their borders were forgotten */
        rec->held = u->t->join.s[s].held.p;
        rec->n_held = u->t->join.s[s].held.n;
    }
    turn_end_record(u, s);
    u->mark = u->c->entries;
    turn_open_rates(u, rec->ts); /* that the record before has used up */
    return false;
}

void turn_record(struct turn *u, struct join_record *rec, const struct piece *p,
                 struct join_segment *last)
{
    struct tail *t = u->t;
    const struct join_limits *limits = &u->rd->limits;
    struct multiline_stream *s;
    enum trace_step step;
    bool here = false;

    if (rec->raw || u->look ||
        (t->multi == NULL && t->trace.format == TRACE_NONE && u->c != NULL)) {
        pass(u, rec, p);
        return;
    }
    if (t->multi == NULL)
        t->multi = mem_new(sizeof(*t->multi));
    s = &t->multi->s[rec->stream];
    step = rec->partial ? TRACE_ALONE : multiline_step(s, &t->trace, rec->text, limits);
    if (step == TRACE_GOES_ON && s->open && !multiline_has_room(s, rec))
        step = TRACE_BEGINS;
    if (u->c == NULL) { /* held before the restart, so it belongs to what is held */
        (void)multiline_hold(s, rec, last, p, u->now, limits);
        return;
    }
    if (s->open && step != TRACE_GOES_ON)
        here = end_before(u, rec->stream, last->start, rec);
    if (step == TRACE_ALONE) {
        pass(u, rec, p);
        return;
    }
    last->mark = u->c->entries;
    u->held++;
    if (multiline_hold(s, rec, last, p, u->now, limits) == 0)
        end_here(u, rec->stream);
    else if (here)
        s->after = last->start;
}

static bool ends_between(const struct multiline_stream *s, const struct turn *u, uint64_t end,
                         uint64_t next)
{
    return s->open && s->after > u->run_start && s->after >= end && s->after < next;
}

unsigned turn_end_flags(const struct turn *u, uint64_t end, uint64_t next)
{
    const struct multiline_stream *s = u->t->multi == NULL ? NULL : u->t->multi->s;
    unsigned flags = 0;

    if (s == NULL)
        return 0;
    if (ends_between(&s[DECODE_NONE], u, end, next) ||
        ends_between(&s[DECODE_STDOUT], u, end, next))
        flags = CHECKPOINT_FLUSH_STDOUT;
    if (!ends_between(&s[DECODE_STDERR], u, end, next))
        return flags;
    if (flags != 0 && s[DECODE_STDERR].after < s[DECODE_STDOUT].after)
        flags |= CHECKPOINT_STDERR_FIRST;
    return flags | CHECKPOINT_FLUSH_STDERR;
}
