/*
 * collector/input_file_rebuild.c - contract: input_file_internal.h.  Chunks that were planned
 * before a start are built again of the same bytes, so that the server knows them.
 *
 * A part waits while its file is still looked for or cannot be read for a moment, and with it those
 * that one record holds together; what cannot be built for good is a gap.
 */
#include "base/log.h"
#include "base/obj.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"

#include <errno.h>
#include <stdlib.h>

enum { REBUILD_MS = 1000 }; /* a file that could not be read is not tried again before that */

/* Is part `i` the last of its file in this chunk?  Then nothing may stay open behind it. */
static bool is_last_of_file(const struct checkpoint_chunk *plan, size_t i)
{
    const struct checkpoint_part *p = plan->parts.p;

    for (size_t k = i + 1; k < plan->parts.n; k++)
        if (p[k].file == p[i].file)
            return false;
    return (p[i].flags & CHECKPOINT_CARRY) == 0;
}

/* Where part `i` of chunk `no` is in in->waiting_parts; its end: nowhere. */
static size_t find_waiting(const struct input_file *in, uint64_t no, size_t i)
{
    size_t at = 0;

    while (at < in->waiting_parts.n &&
           (in->waiting_parts.p[at].chunk != no || in->waiting_parts.p[at].i != i))
        at++;
    return at;
}

static bool is_waiting(const struct input_file *in, uint64_t no, size_t i)
{
    return find_waiting(in, no, i) < in->waiting_parts.n;
}

/* It was not to be built the first time. */
static bool was_put_off(const struct input_file *in, uint64_t no)
{
    for (size_t i = 0; i < in->waiting_parts.n; i++)
        if (in->waiting_parts.p[i].chunk == no)
            return true;
    return false;
}

/* Reading it has failed just now: that may pass. */
static bool has_just_failed(const struct tail *t)
{
    return t != NULL && t->failed != 0 && time_mono() - t->failed_at < REBUILD_MS * NS_PER_MS;
}

static bool is_sought(const struct tail *t)
{
    return t != NULL && t->sought;
}

/* Does part `i` have to wait: for its file, or, because one goes on with what the other holds, for
 * the part before it or behind it?  `waits` says it of the others. */
static bool has_to_wait(const struct input_file *in, const struct checkpoint_chunk *plan, size_t i,
                        const bool *waits)
{
    const struct checkpoint_part *p = plan->parts.p;

    if (i > 0 && waits[i - 1] && (p[i - 1].flags & CHECKPOINT_CARRY) != 0)
        return true;
    if (i + 1 < plan->parts.n && waits[i + 1] && (p[i].flags & CHECKPOINT_CARRY) != 0)
        return true;
    for (size_t k = 0; k < i; k++)
        if (waits[k] && p[k].file == p[i].file)
            return true;
    return is_sought(p[i].file->user) || has_just_failed(p[i].file->user) ||
           input_file_may_come(in, p[i].file);
}

/* Those of the parts to be built (all, or `again` those that were put off) that have to wait. */
static void find_waits(const struct input_file *in, const struct checkpoint_chunk *plan, bool again,
                       bool *waits)
{
    for (bool more = true; more;) { /* one may wait for the one behind it */
        more = false;
        for (size_t i = 0; i < plan->parts.n; i++) {
            if (waits[i] || (again && !is_waiting(in, plan->no, i)) ||
                !has_to_wait(in, plan, i, waits))
                continue;
            waits[i] = more = true;
        }
    }
}

/* What cannot be built of a chunk. */
struct lost {
    const char *cause;
    const struct checkpoint_file *file;
    uint64_t start, end;
};

/* A chunk that is built, and what is a gap when that is done. */
struct building {
    const struct checkpoint_chunk *plan;
    struct chunk *c;
    VEC(struct lost) lost;
};

static void lose_built(struct building *b, const struct checkpoint_file *file, uint64_t start,
                       uint64_t end)
{
    struct lost lost = {"file_gone", file, start, end};

    VEC_PUSH(&b->lost, lost);
}

static void lose_held_of(void *arg, const struct join_segment *seg)
{
    lose_built(arg, seg->file, seg->start, seg->end);
}

static const char *why_not_rebuilt(const struct tail *t, const struct checkpoint_part *part,
                                   const struct err *err)
{
    if (t != NULL && err->code == ERR_LIMIT)
        return "chunk_too_large";
    if (t != NULL && t->from.kept == NULL)
        return "file_changed";
    return part->end <= part->file->kept.end ? "spool_damaged" : "file_gone";
}

/* NULL: nothing more can be read of it; what it holds then has its own turn. */
static struct tail *readable(const struct checkpoint_file *f)
{
    struct tail *t = f->user;

    return t != NULL && t->from.fd >= 0 ? t : NULL;
}

/* From file to file what is held goes on, so `next` is that of part i + 1.  If that is gone, it
 * ends here.  If this part cannot be built, what is held is lost with it.  1: its file cannot be
 * read now. */
static int build_part(struct input_file *in, struct building *b, size_t i)
{
    const struct checkpoint_chunk *plan = b->plan;
    struct checkpoint_part part = plan->parts.p[i];
    struct tail *t = readable(part.file);
    struct tail *next = i + 1 < plan->parts.n ? readable(plan->parts.p[i + 1].file) : NULL;
    const uint16_t BOTH = CHECKPOINT_FLUSH_STDOUT | CHECKPOINT_FLUSH_STDERR;
    size_t before = b->lost.n;
    struct err err;

    if ((part.flags & CHECKPOINT_CARRY) != 0 && next == NULL)
        part.flags = (uint16_t)((part.flags & ~CHECKPOINT_CARRY) | BOTH);
    else if (is_last_of_file(plan, i))
        part.flags |= BOTH;
    if (t != NULL)
        tail_each_held(t, lose_held_of, b);
    lose_built(b, part.file, part.start, part.end);
    if (t != NULL && tail_rebuild(t, &in->reader, b->c, &part, next, &err) == 0) {
        t->failed = 0;
        b->lost.n = before;
    } else if (t != NULL && err.code == ERR_IO && err.sys != EBADMSG) {
        input_file_read_failed(t, &err);
        return 1;
    } else if (t != NULL) {
        log_error("chunk.not_rebuilt", LOG_ERR(&err));
    }
    for (size_t k = before; k < b->lost.n; k++)
        b->lost.p[k].cause = why_not_rebuilt(t, &part, &err);
    if (t != NULL)
        reader_rest(&t->from);
    return 0;
}

/* Nothing of it was built: some of its files could not be read.  Those of other parts may be read
 * on already: what they hold is theirs. */
static void build_nothing(struct input_file *in, struct building *b, const bool *waits, bool again)
{
    for (size_t i = 0; i < b->plan->parts.n; i++) {
        struct tail *t = b->plan->parts.p[i].file->user;
        if (t == NULL || waits[i] || (again && !is_waiting(in, b->plan->no, i)))
            continue;
        tail_forget_held(t, &in->reader);
        reader_rest(&t->from);
    }
    chunk_clear(b->c);
    b->lost.n = 0;
}

/* All that has not to wait.  1: some of that has to, too. */
static int build(struct input_file *in, const struct checkpoint_chunk *plan, const bool *waits,
                 struct chunk *c)
{
    struct building b = {.plan = plan, .c = c};
    bool again = was_put_off(in, plan->no);
    struct lost *lost;
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->parts.n; i++)
        if (!waits[i] && (!again || is_waiting(in, plan->no, i)))
            r = build_part(in, &b, i);
    if (r != 0)
        build_nothing(in, &b, waits, again);
    for (size_t i = 0; r == 0 && i < plan->parts.n; i++) {
        struct waiting_part part = {plan->no, i};
        size_t at = find_waiting(in, plan->no, i);
        if (waits[i] && !again)
            VEC_PUSH(&in->waiting_parts, part);
        else if (!waits[i] && at < in->waiting_parts.n)
            VEC_REMOVE(&in->waiting_parts, at);
    }
    VEC_EACH(&b.lost, lost)
        input_file_gap(in, lost->cause, lost->file, lost->start, lost->end);
    VEC_FINI(&b.lost);
    return r;
}

/* What is to be done with the parts of `plan`. */
struct outlook {
    bool *waits;
    bool some, any, unknown; /* wait; can be built; labels of one are not known yet */
};

static void look_out(const struct input_file *in, const struct checkpoint_chunk *plan, bool again,
                     struct outlook *ret)
{
    ret->some = ret->any = ret->unknown = false;
    find_waits(in, plan, again, ret->waits);
    for (size_t i = 0; i < plan->parts.n; i++) {
        struct tail *t = plan->parts.p[i].file->user;
        bool due = !again || is_waiting(in, plan->no, i);
        ret->some = ret->some || ret->waits[i];
        ret->any = ret->any || (due && !ret->waits[i]);
        if (due && t != NULL && !tail_describe(t))
            ret->unknown = true;
    }
}

int input_file_resume(void *self, const struct checkpoint_chunk *plan, struct chunk *c)
{
    struct input_file *in = self;
    bool again = was_put_off(in, plan->no);
    struct outlook o = {.waits = mem_new((plan->parts.n + 1) * sizeof(*o.waits))};
    int r;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    do {
        look_out(in, plan, again, &o);
        if (c == NULL)
            r = o.any && !o.unknown ? 0 : 2;
        else if (o.unknown)
            r = 1;
        else
            r = o.some ? 2 : 0;
    } while (c != NULL && !o.unknown && build(in, plan, o.waits, c) != 0);
    if (c != NULL && r != 1)
        metric_add(METRIC_CHUNKS_REBUILT, !again);
    free(o.waits);
    return r;
}
