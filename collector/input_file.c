/*
 * collector/input_file.c - contract: input_file.h.
 *
 * Only the first file of a slot that is not drained is read on; it is drained when it was read to
 * its end DRAIN_MS after its successor appeared, and then what it holds of an unfinished record
 * goes to the successor.  inotify says where to look; a sweep looks at every open file from time
 * to time, a walk at every path, so a lost event costs a delay and nothing else.
 */
#include "collector/input_file.h"

#include "base/log.h"
#include "base/obj.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"
#include "collector/notice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUANTUM = 128 << 10,
    SPOOL_BYTES = 1 << 30,
    SOON_MS = 50,
    RETRY_MS = 10000, /* a file that could not be read */
    FAILED_MAX = 10000,
    MISSED_MAX = 10000,
    UNSEEN_MAX = 256, /* names a second */
};

/* ---- the queue of files to read ---- */

void input_file_make_ready(struct input_file *in, struct tail *t)
{
    if (t->queued || (t->failed != 0 && time_mono() - t->failed_at < RETRY_MS * NS_PER_MS))
        return;
    t->queued = true;
    t->next_ready = NULL;
    *in->ready_last = t;
    in->ready_last = &t->next_ready;
}

static struct tail *take_ready(struct input_file *in)
{
    struct tail *t = in->ready;

    if (t == NULL)
        return NULL;
    in->ready = t->next_ready;
    if (in->ready == NULL)
        in->ready_last = &in->ready;
    t->queued = false;
    return t;
}

/* Cut `t` out of a list; false: it is not in it. */
static bool cut(struct tail **at, const struct tail *t, struct tail ***last)
{
    while (*at != NULL && *at != t)
        at = &(*at)->next_ready;
    if (*at == NULL)
        return false;
    if (last != NULL && *last == &(*at)->next_ready)
        *last = at;
    *at = t->next_ready;
    return true;
}

void input_file_unready(struct input_file *in, struct tail *t)
{
    if (!t->queued)
        return;
    if (!cut(&in->ready, t, &in->ready_last))
        INVARIANT(cut(&in->waiting, t, NULL));
    t->queued = false;
}

/* Its turn comes when its server has room. */
static void set_aside(struct input_file *in, struct tail *t)
{
    t->queued = true;
    t->next_ready = in->waiting;
    in->waiting = t;
}

static void again(void *self)
{
    struct input_file *in = self;
    struct tail *t;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    while ((t = in->waiting) != NULL) {
        in->waiting = t->next_ready;
        t->queued = false;
        input_file_make_ready(in, t);
    }
}

void input_file_call_ready(struct input_file *in)
{
    if (in->ready != NULL)
        in->opt.ready(in->opt.arg);
}

struct tail *input_file_successor(const struct tail *t)
{
    for (size_t i = 0; i + 1 < t->slot->tails.n; i++)
        if (t->slot->tails.p[i] == t)
            return t->slot->tails.p[i + 1];
    return NULL;
}

/* Is a part of it still to be built again? */
bool input_file_is_held_back(const struct input_file *in, const struct checkpoint_file *f)
{
    for (size_t i = 0; i < in->waiting_parts.n; i++) {
        const struct checkpoint_chunk *c =
            checkpoint_chunk_find(in->opt.checkpoint, in->waiting_parts.p[i].chunk);
        if (c != NULL && c->parts.p[in->waiting_parts.p[i].i].file == f)
            return true;
    }
    return false;
}

bool input_file_is_oldest(const struct tail *t)
{
    for (size_t i = 0; i < t->slot->tails.n && t->slot->tails.p[i] != t; i++)
        if (!t->slot->tails.p[i]->drained && !t->slot->tails.p[i]->sought)
            return false;
    return true;
}

bool input_file_may_read(const struct input_file *in, const struct tail *t)
{
    if (!input_file_is_oldest(t))
        return false;
    if (!reader_is_plain(&t->from) && in->unpacking != NULL && in->unpacking != t)
        return false; /* it takes memory: one at a time */
    return t->described && !t->sought && !input_file_is_held_back(in, t->file);
}

void input_file_complain(struct input_file *in, const char *path, int why)
{
    void *before = map_get(in->failed, str_of(path));
    char text[128];

    metric_add(METRIC_FILES_UNREADABLE, 1);
    if (before == (void *)(intptr_t)why)
        return; /* once per file and cause */
    (void)map_put(in->failed, str_of(path), (void *)(intptr_t)why);
    log_error("file.unreadable", LOG_Z("file", path),
              LOG_Z("error", strerror_r(why, text, sizeof(text))));
}

/* ---- what inotify says ---- */

static void on_rescan(void *arg)
{
    struct input_file *in = arg;

    input_file_walk(in);
    input_file_save(in);
    input_file_call_ready(in);
}

static void on_found(void *arg, void *tag, const char *path, const struct stat *st)
{
    struct input_file *in = arg;

    in->source = tag;
    in->found = input_file_found(in, path, st);
}

static void on_vanished(void *arg, void *tag, const char *dir)
{
    (void)tag;
    input_file_missed(arg, MISSED_DIR, str_of(dir));
}

static void on_looked(void *arg, const char *dir)
{
    input_file_saw(arg, dir);
}

static void on_file(void *arg, int wd)
{
    struct input_file *in = arg;
    struct tail *t = map_get(in->by_watch, (struct str){(const char *)&wd, sizeof(wd)});
    enum tail_look look;

    if (t == NULL)
        return;
    /* Now, not when there is room to read on: it may be cut again before that. */
    look = tail_look(t);
    if (look == TAIL_REPLACED)
        input_file_replaced(in, t);
    if (look == TAIL_SAME)
        tail_written(t);
    if (look == TAIL_SAME && t->seen == 0) { /* written, copied and cut since it was empty? */
        t->slot->is_new = true;
        input_file_look_later(in, t->slot);
    }
    input_file_make_ready(in, t);
}

static void on_denied(void *arg, const char *dir, int why)
{
    input_file_complain(arg, dir, why);
}

static void on_came(void *arg, const char *path, bool by_rename)
{
    input_file_came(arg, path, by_rename);
}

static void on_went(void *arg, const char *path)
{
    input_file_went(arg, path);
}

static void on_overflow(void *arg)
{
    struct input_file *in = arg;
    struct tail **t;

    in->settled_at = time_mono();
    VEC_EACH(&in->tails, t)
        input_file_make_ready(in, *t);
    /* The walk may be why the next events are lost: they are not let be all we do. */
    loop_timer_start(in->rescan, SOON_MS + (uint64_t)(in->walk_took / NS_PER_MS) * 4, 0);
}

static void on_settled(void *arg, bool all)
{
    struct input_file *in = arg;

    if (in->has_new)
        input_file_save(in);
    in->has_new = false;
    if (all)
        in->settled_at = time_mono();
    input_file_tell_unseen(in, time_mono());
    input_file_call_ready(in);
}

/* ---- the seam ---- */

void input_file_gap(struct input_file *in, const char *cause, const struct checkpoint_file *f,
                    uint64_t start, uint64_t end)
{
    struct notice_gap gap = {.cause = cause,
                             .path = str_of(f->path),
                             .file_id = str_of(f->id),
                             .start = start,
                             .end = end};
    struct checkpoint_file *counted = checkpoint_file_find(in->opt.checkpoint, f->no);
    struct err err;

    if (counted != NULL)
        counted->lost += end - start;
    if (notice_gap_begin(in->opt.own, &gap, &err) < 0) /* synced with the others: before a plan */
        log_error("gap.not_written", LOG_ERR(&err));
}

void input_file_read_failed(struct tail *t, const struct err *err)
{
    metric_add(METRIC_FILES_UNREADABLE, 1);
    if (t->failed != (err->sys == 0 ? EIO : err->sys)) /* once per file and cause */
        log_error("file.unreadable", LOG_ERR(err));
    t->failed = err->sys == 0 ? EIO : err->sys;
    t->failed_at = time_mono();
}

/* Is one in front of it, of which nothing more can be read either and which is still to come?
 * What older ones hold ends in that. */
static bool is_behind_another_end(const struct tail *t)
{
    const struct tail *before = NULL;

    for (size_t i = 0; i < t->slot->tails.n && t->slot->tails.p[i] != t; i++)
        if (!t->slot->tails.p[i]->drained)
            before = t->slot->tails.p[i];
    return before != NULL && before->from.fd < 0 && !before->sought;
}

void input_file_end(struct input_file *in, struct tail *t)
{
    t->caught_up = true;
    t->drained = !tail_is_holding(t) && (input_file_is_oldest(t) || is_behind_another_end(t));
    if (t->drained) {
        input_file_unready(in, t);
        input_file_soon(in);
    } else {
        input_file_make_ready(in, t);
    }
}

static void lose(struct input_file *in, struct tail *t, const char *cause, uint64_t start,
                 uint64_t end)
{
    input_file_gap(in, cause, t->file, start, end);
    checkpoint_skip(in->opt.checkpoint, t->file, start, end);
}

void input_file_lose_held(struct input_file *in, struct tail *t, const char *cause)
{
    uint64_t start, end;

    if (!t->holes_due)
        return;
    for (checkpoint_file_hole(t->file, t->resumed, &start, &end); start < end;
         checkpoint_file_hole(t->file, t->resumed, &start, &end))
        lose(in, t, cause, start, end);
    t->holes_due = false; /* what is held goes on nowhere */
}

void input_file_give_up(struct input_file *in, struct tail *t, const char *cause)
{
    uint64_t end = t->file->seen > t->seen ? t->file->seen : t->seen;

    if (end < t->pos)
        end = t->pos;
    input_file_lose_held(in, t, cause);
    if (t->from.kept == NULL || end > t->pos) /* else it is known that nothing else was there */
        input_file_gap(in, cause, t->file, t->pos, end);
    checkpoint_skip(in->opt.checkpoint, t->file, t->pos, end);
    keep_writer_free(&t->keeping);
    reader_close(&t->from);
    if (in->unpacking == t)
        in->unpacking = NULL;
    t->pos = t->scanned = t->seen = end;
    t->unlinked = true;
    t->failed = 0;
    input_file_end(in, t);
}

/* What is left of a file of which nothing more can be read. */
static void flush(struct input_file *in, struct tail *t, struct chunk *c)
{
    tail_flush(t, &in->reader, c);
    t->caught_up = t->drained = true;
    input_file_soon(in);
}

/* Some of a kept log is damaged: what is held when reading cannot get at it again, or what is next.
 * Behind it reading goes on.  false: nothing is behind it. */
static bool pass_damage(struct input_file *in, struct tail *t, struct chunk *c)
{
    uint64_t to = keep_reader_skip(t->from.kept, t->pos);

    if (t->holes_due) {
        input_file_lose_held(in, t, "spool_damaged");
        tail_flush(t, &in->reader, c);
    } else if (to > t->pos && to < keep_reader_end(t->from.kept)) {
        tail_flush(t, &in->reader, c); /* it does not go on */
        lose(in, t, "spool_damaged", t->pos, to);
        t->pos = t->scanned = to;
    } else {
        return false;
    }
    t->failed = 0;
    input_file_make_ready(in, t);
    return true;
}

/* Nobody writes to it any more, and all of it is there. */
static bool is_whole(struct tail *t)
{
    struct reader_stat st;

    return !reader_is_plain(&t->from) && reader_stat(&t->from, &st) == 0 && st.is_sure;
}

static void turn_failed(struct input_file *in, struct tail *t, struct chunk *c,
                        const struct err *err)
{
    bool is_kept = t->from.kept != NULL;

    input_file_read_failed(t, err);
    reader_rest(&t->from);
    if (in->unpacking == t) { /* it is tried again after a while: not while others wait */
        in->unpacking = NULL;
        input_file_soon(in);
    }
    if ((err->sys == EBADMSG && !(is_kept && c != NULL && pass_damage(in, t, c))) ||
        (err->code == ERR_CORRUPT && t->holes_due && is_whole(t)))
        input_file_give_up(in, t, is_kept ? "spool_damaged" : "file_damaged");
}

/* One that nobody wants. */
static void pass(struct input_file *in, struct tail *t)
{
    struct err err;
    enum tail_result result = tail_pass(t, &in->reader, &err);

    if (result == TAIL_FAILED)
        turn_failed(in, t, NULL, &err);
    else if (result == TAIL_CHANGED)
        input_file_replaced(in, t);
    else if (!t->drained && input_file_successor(t) != NULL)
        input_file_soon(in);
}

bool input_file_is_over(const struct tail *t)
{
    bool is_at_end = t->caught_up && t->pos == tail_end(t) && t->seen >= t->until;

    return t->unasked && (t->pos >= t->until || is_at_end);
}

/* No input asks for more of it; what it holds may be a record yet. */
static void rest(struct input_file *in, struct tail *t, struct chunk *c)
{
    t->seen = t->until = t->pos;
    t->caught_up = true;
    reader_rest(&t->from);
    if (tail_is_due(t, &in->reader, time_mono()))
        tail_expire(t, &in->reader, c, time_mono());
}

/* One turn of one file. */
static void turn(struct input_file *in, struct tail *t, struct chunk *c)
{
    size_t quantum = in->opt.quantum;
    enum tail_result result;
    struct err err;

    if (t->from.fd < 0) {
        flush(in, t, c);
        return;
    }
    if (t->profile->excluded) {
        pass(in, t);
        return;
    }
    if (!reader_is_plain(&t->from))
        in->unpacking = t;
    if (t->holes_due && tail_look(t) == TAIL_REPLACED) {
        input_file_replaced(in, t); /* what it held is in its copy, or nowhere */
        return;
    }
    if (t->holes_due && tail_resume(t, &in->reader, &err) < 0) {
        t->holes_due = true;
        t->looked = UINT64_MAX; /* it may have been written anew, and be as long */
        turn_failed(in, t, c, &err);
        return;
    }
    if (input_file_is_over(t)) {
        rest(in, t, c);
        return;
    }
    if (t->unasked && t->until - t->pos < quantum)
        quantum = (size_t)(t->until - t->pos);
    result = tail_read(t, &in->reader, c, quantum, &err);
    if (result == TAIL_FAILED) {
        turn_failed(in, t, c, &err);
        return;
    }
    t->failed = 0;
    if (result == TAIL_CHANGED)
        input_file_replaced(in, t);
    if (result != TAIL_END) {
        input_file_make_ready(in, t);
        return;
    }
    reader_rest(&t->from);
    if (in->unpacking == t) {
        in->unpacking = NULL;
        input_file_soon(in); /* the next of them */
    }
    if (tail_is_due(t, &in->reader, time_mono()))
        tail_expire(t, &in->reader, c, time_mono());
    else if (!t->drained && input_file_successor(t) != NULL)
        input_file_soon(in);
}

/* The server that has, or will have, the beginning of the record that goes on in `t`. */
static uint32_t server_of_held(const struct tail *t)
{
    for (int i = 0; i < DECODE_STREAMS; i++) {
        const struct multiline_stream *lines = t->multi == NULL ? NULL : &t->multi->s[i];
        if (lines != NULL && lines->held.n > 0 && lines->held.p[0].file != t->file)
            return lines->held.p[0].file->server;
        if (t->join.s[i].held.n > 0 && t->join.s[i].held.p[0].file != t->file)
            return t->join.s[i].held.p[0].file->server;
    }
    return 0;
}

static int deliver(void *self, const struct input_sink *sink)
{
    struct input_file *in = self;
    struct chunk *c;
    struct tail *t;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    while ((t = take_ready(in)) != NULL) {
        if (!input_file_may_read(in, t)) /* the tick asks again */
            continue;
        if (t->file == NULL)
            tail_register(t, &in->reader);
        c = sink->chunk(sink->arg, t->file, server_of_held(t));
        if (c == NULL) {
            set_aside(in, t);
            continue;
        }
        turn(in, t, c);
        return 0;
    }
    return 1;
}

/* The journal was begun anew, or is an old one: which files may be stored twice, and from where. */
static void tell_renewed(struct input_file *in)
{
    const struct checkpoint *cp = in->opt.checkpoint;
    bool is_old = checkpoint_renewal(cp) == CHECKPOINT_OLD;
    struct err err;
    int r;

    if (checkpoint_renewal(cp) == CHECKPOINT_SAME)
        return;
    r = notice_incarnation(in->opt.own, cp, NULL, 0, 0, &err);
    for (size_t i = 0; r == 0 && i < in->tails.n; i++) {
        const struct tail *t = in->tails.p[i];
        uint64_t from = is_old ? 0 : t->pos;
        struct reader_stat st;
        if (t->file != NULL && !(is_old && t->adopted) && reader_stat(&t->from, &st) == 0 &&
            st.size > from)
            r = notice_incarnation(in->opt.own, cp, t->file, from, st.size, &err);
    }
    if (r == 0)
        r = spool_sync(in->opt.own, &err);
    if (r == 0)
        checkpoint_told(in->opt.checkpoint);
    else
        log_error("incarnation.not_written", LOG_ERR(&err));
}

static int start(void *self, struct err *err)
{
    static const struct watch_handler HANDLER = {on_found,  on_vanished, on_looked,
                                                 on_file,   on_overflow, on_settled,
                                                 on_denied, on_came,     on_went};
    struct input_file *in = self;
    int r = watch_open(in->opt.loop, in->set->opener, &HANDLER, in, &in->watch, err);

    if (r < 0)
        return r;
    own_find(&in->own);
    in->tick = loop_timer_new(in->opt.loop, input_file_tick, in);
    in->rescan = loop_timer_new(in->opt.loop, on_rescan, in);
    in->started = true;
    /* After a loss of the journal nobody knows what of the files was read. */
    in->first_scan = checkpoint_file_at(in->opt.checkpoint, 0) == NULL &&
                     checkpoint_renewal(in->opt.checkpoint) == CHECKPOINT_SAME;
    input_file_load(in);
    input_file_load_drops(in);
    input_file_take_kept(in); /* in front of what has their names now */
    input_file_glob(in);
    in->first_scan = false;
    input_file_look_all(in);
    tell_renewed(in);
    input_file_save(in);
    in->settled_at = time_mono();
    input_file_soon(in);
    input_file_call_ready(in);
    return 0;
}

static void stop(void *self)
{
    struct input_file *in = self;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    loop_timer_free(&in->tick);
    loop_timer_free(&in->rescan);
    watch_close(&in->watch);
    in->started = false;
    input_file_tell_unseen(in, INT64_MAX); /* what would have had to wait, too */
}

void input_file_tell_old(struct input_file *in)
{
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    tell_renewed(in);
    input_file_call_ready(in);
}

struct input input_file_input(struct input_file *in)
{
    static const struct input_ops OPS = {"file", start, stop, input_file_resume, deliver, again};

    return (struct input){&OPS, in};
}

void input_file_acked(struct input_file *in)
{
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    input_file_forget_dead(in);
}

/* What is there of it is read as before; what nobody goes on writing is read to its end anyway. */
static void unask(struct input_file *in, struct tail *t)
{
    struct reader_stat st;

    if (t->source->is_spool || !reader_is_plain(&t->from) || reader_stat(&t->from, &st) < 0)
        return;
    t->unasked = true;
    t->until = st.size;
    input_file_make_ready(in, t);
}

void input_file_set_sources(struct input_file *in, struct source_set *set)
{
    struct tail **t;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    source_set_unref(&in->set);
    in->set = source_set_ref(set);
    in->reader.partial_timeout = set->config->partial_timeout;
    in->reader.multiline_timeout = set->config->multiline_timeout;
    VEC_EACH(&in->tails, t) {
        const struct source *source = input_file_source_of(in, (*t)->slot->path);
        if (source != NULL) {
            tail_set_source(*t, source);
            if ((*t)->unasked)
                input_file_make_ready(in, *t); /* it has grown, perhaps */
            (*t)->unasked = false;
        } else if (!(*t)->unasked) {
            unask(in, *t);
        }
    }
    input_file_take_kept(in);
    input_file_glob(in);
    input_file_call_ready(in);
}

void input_file_describe_again(struct input_file *in, struct str uid)
{
    struct tail **t;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    VEC_EACH(&in->tails, t) {
        struct str of = labels_get(&(*t)->attrs, STR("pod_uid"));
        if (of.n > 0 && (uid.n == 0 || str_eq(of, uid)))
            tail_describe_again(*t);
    }
}

int input_file_open(const struct input_file_options *opt, struct source_set *set,
                    struct input_file **ret, struct err *err)
{
    struct input_file *in = mem_new(sizeof(*in));
    int r;

    in->magic = INPUT_FILE_MAGIC;
    in->opt = *opt;
    if (in->opt.quantum == 0)
        in->opt.quantum = QUANTUM;
    if (in->opt.spool_bytes == 0)
        in->opt.spool_bytes = SPOOL_BYTES;
    in->set = source_set_ref(set);
    tail_reader_init(&in->reader, opt->checkpoint, opt->max_line, opt->partial_timeout);
    in->reader.multiline_timeout = set->config->multiline_timeout;
    in->slots = map_new(0, input_file_slot_free);
    in->by_inode = map_new(0, NULL);
    in->by_watch = map_new(0, NULL);
    in->failed = map_new(FAILED_MAX, NULL);
    in->missed = map_new(MISSED_MAX, free);
    in->unseen = map_new(UNSEEN_MAX, free);
    in->ready_last = &in->ready;
    r = keep_open(opt->state_fd, checkpoint_incarnation(opt->checkpoint), &in->keep, err);
    if (r < 0) {
        input_file_free(&in);
        return r;
    }
    checkpoint_pass_numbers(opt->checkpoint, keep_next(in->keep)); /* what is kept keeps its own */
    *ret = in;
    return 0;
}

void input_file_free(struct input_file **pin)
{
    struct input_file *in = *pin;

    if (in == NULL)
        return;
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    stop(in);
    while (in->tails.n > 0)
        tail_free(&in->tails.p[--in->tails.n], &in->reader);
    VEC_FINI(&in->tails);
    VEC_FINI(&in->looks);
    watch_close(&in->watch);
    map_free(&in->slots);
    map_free(&in->by_inode);
    map_free(&in->by_watch);
    map_free(&in->failed);
    map_free(&in->missed);
    map_free(&in->unseen);
    VEC_FINI(&in->dead);
    VEC_FINI(&in->waiting_parts);
    loop_timer_free(&in->drain);
    keep_close(&in->keep);
    tail_reader_fini(&in->reader);
    source_set_unref(&in->set);
    in->magic = 0;
    free(in);
    *pin = NULL;
}

size_t input_file_count(const struct input_file *in)
{
    return in->tails.n;
}
