/*
 * collector/join.c - contract: join.h.
 *
 * The usual record is one piece and passes through without a copy.
 */
#include "collector/join.h"

#include "base/obj.h"

void join_segments_add(struct join_segments *v, const struct join_segment *seg)
{
    VEC_PUSH(v, *seg);
}

void join_segments_hold(struct join_segments *v, const struct join_segment *seg)
{
    struct join_segment *last = v->n == 0 ? NULL : &v->p[v->n - 1];

    if (last != NULL && last->file == seg->file && last->end == seg->start &&
        last->mark == seg->mark) {
        last->end = seg->end;
        last->ts = seg->ts;
    } else {
        join_segments_add(v, seg);
    }
}

void join_segments_compact(struct join_segments *v)
{
    size_t n = 0;

    for (size_t k = 0; k < v->n; k++) {
        struct join_segment *last = n == 0 ? NULL : &v->p[n - 1];
        v->p[k].mark = 0;
        if (last != NULL && last->file == v->p[k].file && last->end == v->p[k].start) {
            last->end = v->p[k].end;
            last->ts = v->p[k].ts;
        } else {
            v->p[n++] = v->p[k];
        }
    }
    v->n = n;
}

static void give_back(struct join_stream *s, const struct join_limits *limits)
{
    if (s->charged > 0 && limits->budget != NULL)
        mem_budget_give(limits->budget, s->charged);
    s->charged = 0;
}

void join_fini(struct join *j, const struct join_limits *limits)
{
    for (int i = 0; i < DECODE_STREAMS; i++) {
        give_back(&j->s[i], limits);
        buf_fini(&j->s[i].text);
        VEC_FINI(&j->s[i].held);
    }
}

/* Append as much of `text` as max_line and the budget allow. */
static void add_text(struct join_stream *s, struct str text, const struct join_limits *limits)
{
    size_t room = s->text.n < limits->max_line ? limits->max_line - s->text.n : 0;
    size_t n = text.n < room ? text.n : room;
    struct err err;

    if (s->text.n != s->total) /* cut before: what comes now does not follow */
        n = 0;
    if (n == 0 || (limits->budget != NULL && mem_budget_take(limits->budget, n, &err) < 0))
        return;
    s->charged += limits->budget == NULL ? 0 : n;
    s->text.max = limits->max_line;
    buf_add(&s->text, text.p, n);
}

static void fill_record(const struct join_stream *s, enum decode_stream stream, bool partial,
                        struct join_record *ret)
{
    *ret = (struct join_record){
        .ts = s->ts,
        .stream = stream,
        .text = buf_str(&s->text),
        .total = s->total,
        .partial = partial,
        .pieces = s->pieces,
        .held = s->held.p,
        .n_held = s->held.n,
    };
    if (s->held.n > 0) {
        ret->file = s->held.p[s->held.n - 1].file;
        ret->end = s->held.p[s->held.n - 1].end;
    }
}

/* The record ends with the line of `seg`. */
static void fill_ended(const struct join_stream *s, const struct piece *p, bool partial,
                       const struct join_segment *seg, struct join_record *ret)
{
    fill_record(s, p->stream, partial, ret);
    ret->file = seg->file;
    ret->end = seg->end;
}

int join_add(struct join *j, const struct piece *p, const struct join_segment *seg, dur_ns now,
             const struct join_limits *limits, struct join_record *ret)
{
    struct join_stream *s = &j->s[p->stream];

    if (p->raw ||
        (!s->open && p->last)) { /* a raw line is a record of its own, in the middle too */
        *ret = (struct join_record){
            .ts = p->ts,
            .stream = p->raw ? DECODE_NONE : p->stream,
            .text = str_sub(p->text, 0, limits->max_line),
            .total = p->text.n + p->missing,
            .raw = p->raw,
            .pieces = 1,
            .file = seg->file,
            .end = seg->end,
        };
        return 0;
    }
    if (!s->open) {
        s->open = true;
        s->ts = p->ts;
        s->total = 0;
        s->pieces = 0;
    }
    s->pieces++;
    s->grown = now;
    add_text(s, p->text, limits);
    s->total += p->text.n + p->missing;
    if (p->last) {
        fill_ended(s, p, false, seg, ret);
        return 0;
    }
    if (s->total >= (uint64_t)limits->max_line * JOIN_FACTOR || s->pieces >= JOIN_PIECES_MAX) {
        fill_ended(s, p, true, seg, ret);
        return 0;
    }
    join_segments_hold(&s->held, seg);
    return 1;
}

int join_flush(struct join *j, enum decode_stream stream, struct join_record *ret)
{
    if (!j->s[stream].open)
        return 1;
    fill_record(&j->s[stream], stream, true, ret);
    return 0;
}

void join_done(struct join *j, enum decode_stream stream, const struct join_limits *limits)
{
    struct join_stream *s = &j->s[stream];

    if (!s->open)
        return;
    give_back(s, limits);
    s->open = false;
    s->total = 0;
    s->held.n = 0;
    buf_fini(&s->text); /* thousands of quiet files must not keep a line each */
    buf_init(&s->text, limits->max_line);
    if (s->held.cap > 16)
        VEC_FINI(&s->held);
}

static void move_stream(struct join_stream *from, struct join_stream *to,
                        const struct join_limits *limits)
{
    struct join_stream later = *to;
    struct join_segment *seg;

    *to = *from;
    *from = (struct join_stream){.open = false};
    if (later.open) {
        add_text(to, buf_str(&later.text), limits);
        to->total += later.total;
        to->pieces += later.pieces;
        to->grown = later.grown;
        VEC_EACH(&later.held, seg)
            join_segments_add(&to->held, seg);
    }
    give_back(&later, limits);
    buf_fini(&later.text);
    VEC_FINI(&later.held);
}

void join_move(struct join *from, struct join *to, const struct join_limits *limits)
{
    for (int i = 0; i < DECODE_STREAMS; i++)
        if (from->s[i].open)
            move_stream(&from->s[i], &to->s[i], limits);
}

bool join_is_open(const struct join *j)
{
    for (int i = 0; i < DECODE_STREAMS; i++)
        if (j->s[i].open)
            return true;
    return false;
}

void join_compact(struct join *j)
{
    for (int i = 0; i < DECODE_STREAMS; i++)
        join_segments_compact(&j->s[i].held);
}
