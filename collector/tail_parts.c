/*
 * collector/tail_parts.c - contract: tail.h, tail_turn.h.  Which bytes a chunk's records are.
 *
 * A turn reads some bytes and ends in parts: the bytes it decoded, without those that open records
 * hold.  When such a record is completed in a later turn, the bytes it held are parts of that
 * turn's chunk, in front ("fills").  So (1) each byte is in at most one part; (2) all bytes of a
 * record are in parts of one chunk, the record counts in the part that has its last byte; (3) hence
 * a chunk can be built again from the bytes of its parts alone, in their order.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/metrics.h"
#include "collector/tail_turn.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Who writes a log decides what stands between the pieces of its records, and so how many parts
 * there are.  A message has FORWARD_PARTS_MAX at most, for all of them.
 */
enum { RECORD_PARTS = MULTILINE_PIECES_MAX + JOIN_PIECES_MAX, FEW = 8 };
_Static_assert(CHUNK_PARTS_MAX + 2 * RECORD_PARTS + FEW < FORWARD_PARTS_MAX,
               "a chunk that is not full has room for what is open of both streams");
_Static_assert(TURN_CROWDED + RECORD_PARTS + FEW < FORWARD_PARTS_MAX,
               "behind a turn that is not crowded one more line has room");

/* ---- parts ---- */

static int by_place(const void *a, const void *b)
{
    const struct join_segment *x = a, *y = b;

    if (x->file->no != y->file->no)
        return x->file->no < y->file->no ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

/* A part of the run that is being ended: its records are those between two marks. */
struct stretch {
    uint64_t start, end;
    ts_ns ts;
    uint64_t mark;
};

/* `labels`: of its lines, in the chunk's arena; NULL: the file's. */
static void put_part(struct chunk *c, struct tail *t, const struct checkpoint_part *part,
                     const struct labels *labels)
{
    chunk_hold(c, t->names);
    chunk_add_part(c, part, labels != NULL ? labels : &t->labels, &t->attrs);
}

/* Make a part of `s` (empty: none); the next one begins at `next`, its records at `mark`. */
static void add_part(struct turn *u, const struct stretch *s, uint64_t next, uint64_t mark)
{
    struct checkpoint_part part = {.file = u->t->file,
                                   .start = s->start,
                                   .end = s->end,
                                   .ts = s->ts,
                                   .count = (uint32_t)(mark - s->mark),
                                   .flags = (uint16_t)turn_end_flags(u, s->end, next)};

    if (s->start == s->end)
        return;
    turn_put_state(u, &part);
    put_part(u->c, u->t, &part, u->labels);
}

/* Bytes that were held when earlier parts were made, of records that are complete now. */
static void add_fills(struct turn *u)
{
    struct join_segment *v = u->rd->fills.p;
    size_t n = u->rd->fills.n;

    if (n == 0)
        return;
    qsort(v, n, sizeof(*v), by_place);
    for (size_t i = 0; i < n;) {
        struct checkpoint_part part = {.file = v[i].file,
                                       .start = v[i].start,
                                       .end = v[i].end,
                                       .ts = v[i].first,
                                       .flags = CHECKPOINT_FILL,
                                       .rules = u->t->profile->mark};
        for (i++; i < n && v[i].file == part.file && v[i].start == part.end; i++)
            part.end = v[i].end;
        if ((i < n ? v[i].file : u->t->file) != part.file)
            part.flags |= CHECKPOINT_CARRY;
        chunk_add_part(u->c, &part, NULL, NULL);
    }
    u->rd->fills.n = 0;
}

/* The part of `seg` that lies in the run [run_start, end), into rd->held. */
static void clip_held(struct turn *u, const struct join_segment *seg, uint64_t end)
{
    struct join_segment part = *seg;

    if (seg->file != u->t->file || seg->end <= u->run_start || seg->start >= end)
        return;
    if (seg->start < u->run_start) { /* it goes on from an earlier run: nothing stands between */
        part.start = u->run_start;
        part.mark = u->mark;
    }
    join_segments_add(&u->rd->held, &part);
}

/* What of this run is held by open records, in order. */
static void find_held(struct turn *u, uint64_t end)
{
    const struct multiline *m = u->t->multi;

    u->rd->held.n = 0;
    for (int i = 0; i < DECODE_STREAMS; i++) {
        for (size_t k = 0; k < u->t->join.s[i].held.n; k++)
            clip_held(u, &u->t->join.s[i].held.p[k], end);
        for (size_t k = 0; m != NULL && k < m->s[i].held.n; k++)
            clip_held(u, &m->s[i].held.p[k], end);
    }
    if (u->rd->held.n > 1)
        qsort(u->rd->held.p, u->rd->held.n, sizeof(u->rd->held.p[0]), by_place);
}

/* From now on nobody needs to know what stood between lines that are held. */
static void forget_borders(struct tail *t)
{
    join_compact(&t->join);
    for (int i = 0; t->multi != NULL && i < DECODE_STREAMS; i++)
        join_segments_compact(&t->multi->s[i].held);
}

/*
 * Make parts of [run_start, end) and begin the next run there.  A record that a later line ended
 * (tail_multi.c) is in the payload where that line came.  If that line is held, nothing stands
 * between what is held and the part before: the record is counted there.
 */
void turn_end_run(struct turn *u, uint64_t end)
{
    struct stretch part = {u->run_start, u->run_start, u->ts, u->mark}, next = part;
    struct join_segment *seg;

    if (u->c == NULL || u->whole)
        return;
    add_fills(u);
    find_held(u, end);
    VEC_EACH(&u->rd->held, seg) {
        if (seg->start > next.start) {
            add_part(u, &part, next.start, next.mark);
            part = next;
            part.end = seg->start;
        }
        next = (struct stretch){seg->end, seg->end, seg->ts, seg->mark};
    }
    if (end > next.start) {
        add_part(u, &part, next.start, next.mark);
        part = next;
        part.end = end;
    }
    add_part(u, &part, UINT64_MAX, u->c->entries);
    forget_borders(u->t);
    u->run_start = end;
    u->held = 0;
    u->mark = u->c->entries;
    u->ts = u->t->last_ts;
    turn_begin_state(u);
}

/* ---- unfinished lines ---- */

static bool stream_is_due(const struct tail *t, const struct tail_reader *rd, int s, dur_ns now)
{
    return t->join.s[s].open && t->caught_up && now - t->join.s[s].grown >= rd->partial_timeout;
}

/* A piece that waits for its end may be the next line of the record. */
static bool record_is_due(const struct tail *t, const struct tail_reader *rd, int s, dur_ns now)
{
    return t->multi != NULL && t->multi->s[s].open && !t->join.s[s].open && t->caught_up &&
           now - t->multi->s[s].grown >= rd->multiline_timeout;
}

/* Zeros up to the end are room for lines that are to come, unless nobody can write any more. */
static uint64_t end_of_lines(const struct tail *t)
{
    return t->unlinked || t->drained ? t->seen : tail_end(t);
}

static bool line_is_due(const struct tail *t, const struct tail_reader *rd, dur_ns now)
{
    return end_of_lines(t) > t->pos && t->caught_up && now - t->seen_at >= rd->partial_timeout;
}

bool tail_is_due(const struct tail *t, const struct tail_reader *rd, dur_ns now)
{
    for (int s = 0; s < DECODE_STREAMS; s++)
        if (stream_is_due(t, rd, s, now) || record_is_due(t, rd, s, now))
            return true;
    return line_is_due(t, rd, now);
}

void turn_add_held(struct turn *u, const struct join_record *rec, uint64_t entries, unsigned flags)
{
    for (size_t i = 0; i < rec->n_held; i++) {
        bool last = i + 1 == rec->n_held;
        struct checkpoint_part part = {.file = rec->held[i].file,
                                       .start = rec->held[i].start,
                                       .end = rec->held[i].end,
                                       .ts = rec->held[i].first,
                                       .count = last ? (uint32_t)(u->c->entries - entries) : 0};
        part.flags = last ? (uint16_t)flags : CHECKPOINT_FILL;
        if (!last && rec->held[i + 1].file != part.file)
            part.flags |= CHECKPOINT_CARRY;
        turn_put_state(u, &part);
        put_part(u->c, u->t, &part, NULL);
    }
}

/* The open record of stream `s`, with parts for every byte it holds: the last of them counts it.
 * So what came before it is over. */
static void flush_stream(struct turn *u, enum decode_stream s)
{
    struct join_record rec;
    uint64_t before;

    turn_end_record(u, s);
    if (join_flush(&u->t->join, s, &rec) == 1)
        return;
    turn_open_rates(u, rec.ts);
    before = u->c->entries;
    turn_emit(u, &rec, NULL);
    turn_add_held(u, &rec, before,
                  s == DECODE_STDERR ? CHECKPOINT_FLUSH_STDERR : CHECKPOINT_FLUSH_STDOUT);
    join_done(&u->t->join, s, &u->rd->limits);
    turn_begin_state(u);
}

/* What stands up to `end` without a newline is a line; false: it cannot be read. */
static bool end_line(struct turn *u, uint64_t end)
{
    struct tail *t = u->t;
    uint64_t before = u->c->entries;
    struct err err;
    struct checkpoint_part part = {
        .file = t->file, .start = t->pos, .end = end, .flags = CHECKPOINT_FLUSH_LINE};

    turn_open_rates(u, t->last_ts);
    if (turn_last_line(u, t->pos, end, &err) < 0)
        return false;
    part.ts = t->last_ts;
    part.count = (uint32_t)(u->c->entries - before);
    turn_put_state(u, &part);
    put_part(u->c, t, &part, NULL);
    t->pos = t->scanned = end;
    turn_begin_state(u);
    return true;
}

void tail_expire(struct tail *t, struct tail_reader *rd, struct chunk *c, dur_ns now)
{
    struct turn u = turn_begin(t, rd, c, t->pos);
    bool is_due = line_is_due(t, rd, now);
    uint64_t end = tail_end(t);

    OBJ_CHECK(t, TAIL_MAGIC);
    for (int s = 0; s < DECODE_STREAMS; s++)
        if (stream_is_due(t, rd, s, now)) {
            flush_stream(&u, (enum decode_stream)s);
            t->begun = true; /* nothing of an older file goes in front of it any more */
        } else if (record_is_due(t, rd, s, now) || is_due) {
            turn_end_record(&u, (enum decode_stream)s);
        }
    if (is_due && (end == t->pos || end_line(&u, end)) && end_of_lines(t) > end)
        (void)end_line(&u, end_of_lines(t)); /* nothing but zeros */
}

void tail_flush(struct tail *t, struct tail_reader *rd, struct chunk *c)
{
    struct turn u = turn_begin(t, rd, c, t->pos);

    OBJ_CHECK(t, TAIL_MAGIC);
    for (int s = 0; s < DECODE_STREAMS; s++)
        flush_stream(&u, (enum decode_stream)s);
}

/* ---- again ---- */

int tail_resume(struct tail *t, struct tail_reader *rd, struct err *err)
{
    struct tail_given_up open;
    struct turn u;
    uint64_t start, end = t->resumed;
    bool stopped;
    int r = 0;

    t->holes_due = false;
    tail_look_back(t, rd, &open);
    u = turn_begin(t, rd, NULL, 0);
    while (r == 0) {
        checkpoint_file_hole(t->file, end, &start, &end);
        if (start >= end)
            break;
        t->resumed = start;
        r = turn_lines(&u, &t->resumed, end, UINT64_MAX, &stopped, err);
        if (r == 0 && t->resumed < end)
            r = err_set(err, ERR_CORRUPT, "the file ends before %llu", (unsigned long long)end);
    }
    tail_was_given_up(t, &open);
    if (u.lost > 0) { /* limits were changed while it was held */
        metric_add(METRIC_GAPS, u.lost);
        log_error("file.held_lost", LOG_Z("file", t->path), LOG_U64("records", u.lost));
    }
    return r < 0 ? err_wrap(err, "%s", t->path) : 0;
}

/* What is open of stream `s` ends here: several lines are a whole record, pieces a partial one. */
static void end_stream(struct turn *u, enum decode_stream s)
{
    struct join_record rec;

    turn_end_record(u, s);
    if (join_flush(&u->t->join, s, &rec) != 0)
        return;
    turn_emit(u, &rec, NULL);
    join_done(&u->t->join, s, &u->rd->limits);
}

/* The end of a part that is built again, as its flags say. */
static void end_part(struct turn *u, unsigned flags)
{
    bool first = (flags & CHECKPOINT_STDERR_FIRST) != 0,
         err = (flags & CHECKPOINT_FLUSH_STDERR) != 0;

    if (err && first)
        end_stream(u, DECODE_STDERR);
    if ((flags & CHECKPOINT_FLUSH_STDOUT) != 0) {
        end_stream(u, DECODE_NONE);
        end_stream(u, DECODE_STDOUT);
    }
    if (err && !first)
        end_stream(u, DECODE_STDERR);
}

/* The bytes of `part` into the chunk, entries without their part. */
static int feed_part(struct turn *u, const struct checkpoint_part *part, struct err *err)
{
    uint64_t at = part->start;
    bool stopped;
    int r;

    if (fault_hit("tail.rebuild")) {
        errno = EIO;
        return err_sys(err, "read at %llu", (unsigned long long)at);
    }
    r = turn_lines(u, &at, part->end, UINT64_MAX, &stopped, err);
    if (r == 0 && (part->flags & CHECKPOINT_FLUSH_LINE) != 0 && at < part->end) {
        r = turn_last_line(u, at, part->end, err);
        at = part->end;
    }
    if (r == 0 && at < part->end)
        r = err_set(err, ERR_CORRUPT, "the file ends before %llu", (unsigned long long)part->end);
    if (r == 0)
        end_part(u, part->flags);
    u->rd->fills.n = 0; /* parts say already where the held bytes are */
    return r;
}

/* It has other records than it was planned with.  What rules drop now and did not before counts;
 * which of them are the same nobody knows, so bytes are in proportion. */
static void differs(const struct turn *u, const struct checkpoint_part *planned, uint32_t found)
{
    uint64_t less = found < planned->count ? planned->count - found : 0;

    log_warn("chunk.count_differs", LOG_Z("file", u->t->path), LOG_U64("planned", planned->count),
             LOG_U64("found", found));
    metric_add(METRIC_REBUILT_OTHERWISE, 1);
    if (less > u->dropped)
        less = u->dropped;
    if (u->others && less > 0)
        chunk_add_drops(u->c, planned->file, "rules_changed", less,
                        (uint64_t)((double)u->dropped_bytes * (double)less / (double)u->dropped));
}

int tail_rebuild(struct tail *t, struct tail_reader *rd, struct chunk *c,
                 const struct checkpoint_part *part, struct tail *next, struct err *err)
{
    struct turn u = turn_begin(t, rd, c, part->start);
    struct checkpoint_part made = *part;
    struct chunk_mark before = chunk_mark(c);
    int r;

    OBJ_CHECK(t, TAIL_MAGIC);
    u.whole = true;
    turn_set_state(&u, part);
    t->last_ts = part->ts;
    r = feed_part(&u, part, err);
    if (r == 0 && chunk_is_over(c)) /* it was planned with other options */
        r = err_set(err, ERR_LIMIT, "more than a chunk has room for");
    if (r < 0) {
        chunk_back(c, before);
        tail_forget_held(t, rd);
        return err_wrap(err, "%s", t->path);
    }
    if ((part->flags & CHECKPOINT_CARRY) != 0 && next != NULL)
        tail_hand_over(t, next, rd);
    made.count = (uint32_t)(c->entries - u.mark);
    if (made.count != part->count)
        differs(&u, part, made.count);
    made.closed = (uint16_t)u.closed;
    made.rules = t->profile->mark;
    put_part(c, t, &made, u.labels);
    return 0;
}
