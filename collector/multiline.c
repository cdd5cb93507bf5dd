/* collector/multiline.c - contract: multiline.h. */
#include "collector/multiline.h"

#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

static bool fits(const struct multiline_stream *s, struct str line,
                 const struct join_limits *limits)
{
    return s->total < limits->max_line && line.n < limits->max_line - s->total;
}

enum trace_step multiline_step(struct multiline_stream *s, const struct trace_rule *rule,
                               struct str line, const struct join_limits *limits)
{
    enum trace_step step;

    if (!s->open)
        s->state = 0;
    step = trace_step(rule, &s->state, line);
    if (step == TRACE_GOES_ON && s->open && !fits(s, line, limits))
        return TRACE_BEGINS;
    return step;
}

bool multiline_has_room(const struct multiline_stream *s, const struct join_record *rec)
{
    return s->pieces <= MULTILINE_PIECES_MAX && rec->pieces <= MULTILINE_PIECES_MAX - s->pieces;
}

/* As much of `text` as max_line and the budget allow; what was cut before stays cut. */
static void add_text(struct multiline_stream *s, struct str text, const struct join_limits *limits)
{
    size_t room = s->text.n < limits->max_line ? limits->max_line - s->text.n : 0;
    size_t n = text.n < room ? text.n : room;
    struct err err;

    if (s->text.n == s->total && n > 0 &&
        (limits->budget == NULL || mem_budget_take(limits->budget, n, &err) == 0)) {
        s->charged += limits->budget == NULL ? 0 : n;
        s->text.max = limits->max_line;
        buf_add(&s->text, text.p, n);
    }
    s->total += text.n;
}

static struct str put(char **at, struct str s)
{
    struct str r = {*at, s.n};

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return r;
}

/* As far as the budget allows: who writes lines decides how much they say. */
static void keep_attrs(struct multiline_stream *s, const struct piece *p,
                       const struct join_limits *limits)
{
    size_t n = 0;
    struct err err;
    char *at;

    if (p == NULL || p->n_attrs == 0)
        return;
    for (size_t i = 0; i < p->n_attrs; i++)
        n += sizeof(struct label) + p->attrs[i].name.n + p->attrs[i].value.n;
    if (limits->budget != NULL && mem_budget_take(limits->budget, n, &err) < 0)
        return;
    s->charged += limits->budget == NULL ? 0 : n;
    s->attrs = mem_new(n);
    s->n_attrs = p->n_attrs;
    at = (char *)(s->attrs + s->n_attrs);
    for (size_t i = 0; i < p->n_attrs; i++) {
        s->attrs[i].name = put(&at, p->attrs[i].name);
        s->attrs[i].value = put(&at, p->attrs[i].value);
    }
}

int multiline_hold(struct multiline_stream *s, const struct join_record *rec,
                   const struct join_segment *last, const struct piece *p, dur_ns now,
                   const struct join_limits *limits)
{
    if (!s->open) {
        s->open = true;
        s->ts = rec->ts;
        s->total = 0;
        s->lines = s->pieces = 0;
        s->after = 0;
        keep_attrs(s, p, limits);
    } else {
        add_text(s, STR("\n"), limits);
    }
    add_text(s, rec->text, limits);
    s->total += rec->total - rec->text.n;
    s->lines++;
    s->pieces += rec->pieces;
    s->grown = now;
    for (size_t i = 0; i < rec->n_held; i++)
        join_segments_hold(&s->held, &rec->held[i]);
    join_segments_hold(&s->held, last);
    return s->lines < MULTILINE_LINES_MAX && s->total < limits->max_line ? 1 : 0;
}

void multiline_record(const struct multiline *m, enum decode_stream stream, struct join_record *ret,
                      struct piece *piece)
{
    const struct multiline_stream *s = &m->s[stream];
    struct str text = buf_str(&s->text);

    if (s->text.n == s->total) /* not cut: an empty line at the end is none of the trace */
        while (text.n > 0 && text.p[text.n - 1] == '\n')
            text.n--;
    *ret = (struct join_record){.ts = s->ts,
                                .stream = stream,
                                .text = text,
                                .total = s->text.n == s->total ? text.n : s->total,
                                .held = s->held.p,
                                .n_held = s->held.n};
    if (s->held.n > 0) {
        ret->file = s->held.p[s->held.n - 1].file;
        ret->end = s->held.p[s->held.n - 1].end;
    }
    *piece = (struct piece){
        .ts = s->ts, .stream = stream, .last = true, .attrs = s->attrs, .n_attrs = s->n_attrs};
}

static void give_back(struct multiline_stream *s, const struct join_limits *limits)
{
    if (s->charged > 0 && limits->budget != NULL)
        mem_budget_give(limits->budget, s->charged);
    s->charged = 0;
}

void multiline_done(struct multiline_stream *s, const struct join_limits *limits)
{
    enum { KEEP = 4096 };

    give_back(s, limits);
    s->open = false;
    s->total = 0;
    s->held.n = 0;
    free(s->attrs);
    s->attrs = NULL;
    s->n_attrs = 0;
    if (s->text.cap > KEEP) { /* thousands of quiet files must not keep a trace each */
        buf_fini(&s->text);
        buf_init(&s->text, limits->max_line);
    }
    buf_clear(&s->text);
    if (s->held.cap > 16)
        VEC_FINI(&s->held);
}

bool multiline_is_open(const struct multiline *m)
{
    for (int i = 0; m != NULL && i < DECODE_STREAMS; i++)
        if (m->s[i].open)
            return true;
    return false;
}

static void free_stream(struct multiline_stream *s, const struct join_limits *limits)
{
    give_back(s, limits);
    buf_fini(&s->text);
    VEC_FINI(&s->held);
    free(s->attrs);
}

/* The lines of `text` are behind those of `s`: what state does that make? */
static void follow(struct multiline_stream *s, const struct trace_rule *rule, struct str text)
{
    while (text.n > 0)
        (void)trace_step(rule, &s->state, str_cut(&text, '\n'));
}

static void move_stream(struct multiline_stream *from, struct multiline_stream *to,
                        const struct trace_rule *rule, const struct join_limits *limits)
{
    struct multiline_stream later = *to;
    struct join_segment *seg;

    *to = *from;
    memset(from, 0, sizeof(*from));
    to->after = 0; /* was a place in the other file */
    if (later.open) {
        add_text(to, STR("\n"), limits);
        add_text(to, buf_str(&later.text), limits);
        to->total += later.total - later.text.n;
        to->lines += later.lines;
        to->pieces += later.pieces;
        to->grown = later.grown;
        VEC_EACH(&later.held, seg)
            join_segments_add(&to->held, seg);
        follow(to, rule, buf_str(&later.text));
    }
    free_stream(&later, limits);
}

void multiline_move(struct multiline *from, struct multiline *to, const struct trace_rule *rule,
                    const struct join_limits *limits)
{
    for (int i = 0; i < DECODE_STREAMS; i++)
        if (from->s[i].open)
            move_stream(&from->s[i], &to->s[i], rule, limits);
}

void multiline_free(struct multiline **pm, const struct join_limits *limits)
{
    for (int i = 0; *pm != NULL && i < DECODE_STREAMS; i++)
        free_stream(&(*pm)->s[i], limits);
    free(*pm);
    *pm = NULL;
}
