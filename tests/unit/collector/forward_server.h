/*
 * tests/unit/collector/forward_server.h - a small Forward server on a loop: keeps sets of ranges
 * like the real one, and does with acks what a test wants.
 */
#ifndef LOGQ_TESTS_UNIT_COLLECTOR_FORWARD_SERVER_H
#define LOGQ_TESTS_UNIT_COLLECTOR_FORWARD_SERVER_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/vec.h"
#include "tests/lib/check.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"
#include "wire/loop.h"
#include "wire/stream.h"

#include <stdlib.h>
#include <string.h>

enum { FORWARD_SERVER_TEXT = 64 << 20 };

struct forward_server_range {
    char id[64];
    uint64_t start, end;
};

struct forward_server {
    struct loop *loop;
    struct listener *listener;
    struct stream *stream; /* the newest connection; NULL: none */
    struct buf in;
    struct forward_frame frame;
    VEC(struct forward_server_range) ranges;
    struct buf lines; /* "stream|text key=value ...\n" of what was stored, with labels in front when
                         asked */
    bool show_labels;
    bool show_marks; /* "?" behind what may be stored twice */
    size_t records, messages, connections, repeated;
    /* What to do. */
    bool hold_acks;      /* gather tokens in `held` */
    unsigned lose_after; /* store this many messages, cut the connection instead of the last ack; 0:
                            never */
    const char *refuse;  /* code: refuse every message */
    const char *refuse_line; /* refuse the parts that have this line */
    bool half; /* refuse every part that is not marked maybe_twice, as if half of it were stored */
    VEC(char *) held;
    bool overlapped;           /* a part overlapped another in part */
    size_t marked;             /* parts that were stored and said maybe_twice */
    size_t abouts;             /* messages about the sender */
    struct forward_about last; /* without its texts */
    char host[64];
    bool mute;           /* do not answer these */
    uint64_t known_next; /* of incarnation 5, for the answer to a hello; 0: nothing is said */
};

static inline void forward_server_answer(struct forward_server *f, struct str token,
                                         const char *refuse)
{
    struct buf b;

    buf_init(&b, 4096);
    if (refuse != NULL)
        forward_pack_refusal(&b, token, str_of(refuse), STR("because"));
    else
        forward_pack_ack(&b, token);
    if (f->stream != NULL)
        stream_write(f->stream, buf_str(&b));
    buf_fini(&b);
}

static inline void forward_server_ack(struct forward_server *f, struct str token)
{
    forward_server_answer(f, token, f->refuse);
}

/* Answer what was held, newest first. */
static inline void forward_server_release(struct forward_server *f)
{
    while (f->held.n > 0) {
        char *token = f->held.p[--f->held.n];
        forward_server_ack(f, str_of(token));
        free(token);
    }
}

static inline bool forward_server_knows(struct forward_server *f, const struct forward_part *p)
{
    for (size_t i = 0; i < f->ranges.n; i++) {
        const struct forward_server_range *r = &f->ranges.p[i];
        if (!str_eq(p->file_id, str_of(r->id)) || p->start >= r->end || p->end <= r->start)
            continue;
        if (p->start < r->start || p->end > r->end)
            f->overlapped = true;
        return true;
    }
    return false;
}

static inline void forward_server_store(struct forward_server *f, const struct forward_part *p,
                                        const struct forward_entry *e)
{
    f->records++;
    if (f->show_labels)
        for (size_t i = 0; i < p->labels.n; i++)
            buf_addf(&f->lines, "%.*s=%.*s ", STR_ARG(p->labels.v[i].name),
                     STR_ARG(p->labels.v[i].value));
    for (size_t i = 0; i < e->n_fields; i++)
        if (str_eq(e->fields[i].key, STR("stream")))
            buf_addf(&f->lines, "%.*s|", STR_ARG(e->fields[i].text));
    for (size_t i = 0; i < e->n_fields; i++)
        if (str_eq(e->fields[i].key, STR("log")))
            buf_add_str(&f->lines, e->fields[i].text);
    for (size_t i = 0; i < e->n_fields; i++)
        if (!str_eq(e->fields[i].key, STR("log")) && !str_eq(e->fields[i].key, STR("stream")))
            buf_addf(&f->lines, " %.*s=%.*s", STR_ARG(e->fields[i].key),
                     STR_ARG(e->fields[i].text));
    if (f->show_marks && p->maybe_twice)
        buf_add_char(&f->lines, '?');
    buf_add_char(&f->lines, '\n');
}

/* The first pass over a message: which parts have f->refuse_line. */
static inline void forward_server_judge(struct forward_server *f, const struct forward_message *m,
                                        bool *refused)
{
    static const struct forward_limits LIMITS = {0};
    struct arena *a = arena_new(NULL, FORWARD_SERVER_TEXT);
    struct forward_reader *r = forward_reader_new();
    struct forward_entry e;
    struct err err;

    assert_int_equal(forward_reader_start(r, m, &LIMITS, 1, a, &err), 0);
    for (size_t i = 0; i < m->n_parts; i++)
        for (uint32_t k = 0; k < m->parts[i].count; k++) {
            assert_int_equal(forward_reader_next(r, &e, &err), 0);
            for (size_t n = 0; n < e.n_fields; n++)
                if (str_eq(e.fields[n].key, STR("log")) &&
                    str_eq(e.fields[n].text, str_of(f->refuse_line)))
                    refused[i] = true;
        }
    forward_reader_free(&r);
    arena_free(&a);
}

static inline void forward_server_about(struct forward_server *f, const struct forward_message *m)
{
    struct buf b;

    f->abouts++;
    f->last = m->about;
    (void)str_to_z(m->about.hello.host, f->host, sizeof(f->host));
    f->last.hello.host = f->last.hello.version = STR_NULL;
    if (f->mute)
        return;
    if (f->known_next == 0 || !m->about.has_hello) {
        forward_server_ack(f, m->chunk);
        return;
    }
    buf_init(&b, 4096);
    forward_about_answer(&b, m->chunk, 5, f->known_next);
    stream_write(f->stream, buf_str(&b));
    buf_fini(&b);
}

static inline void forward_server_take(struct forward_server *f, struct str message)
{
    static const struct forward_limits LIMITS = {0};
    struct arena *a = arena_new(NULL, FORWARD_SERVER_TEXT);
    struct forward_reader *r = forward_reader_new();
    bool refused[FORWARD_PARTS_MAX] = {false}, some = false;
    struct forward_message m;
    struct forward_entry e;
    struct err err;

    if (forward_parse(message, &LIMITS, a, &m, &err) < 0 ||
        forward_reader_start(r, &m, &LIMITS, 1, a, &err) < 0)
        fail_msg("%s", err.text);
    if (m.kind == FORWARD_HEARTBEAT && m.n_parts == 0) {
        forward_server_about(f, &m);
        forward_reader_free(&r);
        arena_free(&a);
        return;
    }
    f->messages++;
    if (f->half && m.n_parts > 0 && !m.parts[0].maybe_twice) {
        forward_server_answer(f, m.chunk, "EXISTS");
        forward_reader_free(&r);
        arena_free(&a);
        return;
    }
    if (f->refuse_line != NULL)
        forward_server_judge(f, &m, refused);
    for (size_t i = 0; i < m.n_parts && f->refuse == NULL; i++) {
        const struct forward_part *p = &m.parts[i];
        bool known = forward_server_knows(f, p);
        struct forward_server_range range = {.start = p->start, .end = p->end};
        f->repeated += known;
        for (uint32_t k = 0; k < p->count; k++) {
            if (forward_reader_next(r, &e, &err) != 0)
                fail_msg("fewer entries than the parts say");
            if (!known && !refused[i])
                forward_server_store(f, p, &e);
        }
        some = some || refused[i];
        if (refused[i])
            continue;
        (void)str_to_z(p->file_id, range.id, sizeof(range.id));
        f->marked += !known && p->maybe_twice;
        if (!known)
            VEC_PUSH(&f->ranges, range);
    }
    if (f->lose_after > 0 && --f->lose_after == 0) {
        (void)err_set(&err, ERR_CANCELLED, "the test cuts here");
        stream_close(f->stream, &err);
        f->stream = NULL;
    } else if (f->hold_acks) {
        VEC_PUSH(&f->held, mem_dup(m.chunk.p, m.chunk.n));
    } else if (some) {
        struct buf b;
        buf_init(&b, 64 << 10);
        forward_pack_refused_parts(&b, m.chunk, STR("LIMIT"), STR("because"), refused, m.n_parts);
        stream_write(f->stream, buf_str(&b));
        buf_fini(&b);
    } else {
        forward_server_ack(f, m.chunk);
    }
    forward_reader_free(&r);
    arena_free(&a);
}

static inline void forward_server_data(struct stream *s, struct str bytes, void *arg)
{
    static const struct forward_limits LIMITS = {0};
    struct forward_server *f = arg;
    struct err err;

    if (s != f->stream)
        return;
    buf_add_str(&f->in, bytes);
    while (f->in.n > 0 && s == f->stream) {
        size_t n = 0;
        int r = forward_frame_scan(&f->frame, buf_str(&f->in), &LIMITS, &n, &err);
        if (r < 0)
            fail_msg("%s", err.text);
        if (r == 1)
            return;
        forward_server_take(f, (struct str){f->in.p, n});
        buf_drop(&f->in, n);
        memset(&f->frame, 0, sizeof(f->frame));
    }
}

static inline void forward_server_closed(struct stream *s, const struct err *why, void *arg)
{
    struct forward_server *f = arg;

    (void)why;
    if (f->stream == s)
        f->stream = NULL;
}

static inline void forward_server_accept(struct stream *s, void *arg)
{
    static const struct stream_handler HANDLER = {.data = forward_server_data,
                                                  .closed = forward_server_closed};
    struct forward_server *f = arg;

    f->connections++;
    f->stream = s;
    buf_clear(&f->in);
    memset(&f->frame, 0, sizeof(f->frame));
    stream_set_handler(s, &HANDLER, f);
}

static inline void forward_server_open(struct forward_server *f, struct loop *l,
                                       const char *address, struct tls_ctx *tls)
{
    struct listener_options opt = {.stream = {.tls = tls}};
    struct err err;

    memset(f, 0, sizeof(*f));
    f->loop = l;
    buf_init(&f->in, FORWARD_SERVER_TEXT);
    buf_init(&f->lines, FORWARD_SERVER_TEXT);
    if (listener_open(l, address, &opt, forward_server_accept, f, &f->listener, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void forward_server_close(struct forward_server *f)
{
    struct err err;

    listener_close(&f->listener);
    if (f->stream != NULL) {
        (void)err_set(&err, ERR_CANCELLED, "the test ends");
        stream_close(f->stream, &err);
        f->stream = NULL;
    }
    while (f->held.n > 0)
        free(f->held.p[--f->held.n]);
    VEC_FINI(&f->held);
    VEC_FINI(&f->ranges);
    buf_fini(&f->in);
    buf_fini(&f->lines);
}

#endif
