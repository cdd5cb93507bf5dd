/*
 * collector/input_file_tick.c - contract: input_file_internal.h.  From time to time: what no event
 * tells.
 */
#include "base/log.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"
#include "collector/notice.h"

#include <sys/stat.h>

enum {
    SWEEP_MS = 1000,
    SOON_MS = 50, /* while something is about to happen */
    GLOB_MS = 60000,
    GLOB_AGAIN_MS = 10000, /* where something cannot be watched or opened */
    WALK_SHARE = 200,      /* of our time, at most one in so many goes to it, */
    WALK_AGAIN_SHARE = 20, /* or in so many */
    DRAIN_MS = 100,        /* a writer may use the old file that long after the new one is there */
    LINGER_MS = 5000,      /* and its descriptor is kept that long when it was removed, */
    MOVED_MS = 60000,      /* and that long when it has a new name: some writers are told late */
    QUIET_MS = 30000,      /* a file that inotify watches is looked at that often all the same */
    NOTE_FILES = 1000,     /* with more than that, not every byte is noted */
    NOTE_BYTES = 256 << 10,
};

void input_file_soon(struct input_file *in)
{
    if (in->soon || !in->started)
        return;
    in->soon = true;
    loop_timer_start(in->tick, SOON_MS, 0);
}

/* What is known has to survive us, before there is anything to send too: a file that was seen and
 * rotated away is found again only by the journal.  Who sends hears whether it went well. */
void input_file_save(struct input_file *in)
{
    /* Gaps, before the journal passes over them; it says why not. */
    (void)notice_retry(in->opt.own);
    checkpoint_sync_begin(in->opt.checkpoint);
}

/* Its name is another file's now, or nobody's. */
static bool has_moved(const struct input_file *in, const struct tail *t)
{
    struct stat st;
    struct err err;

    return opener_stat(in->set->opener, t->path, &st, &err) < 0 || st.st_ino != t->ino ||
           st.st_dev != t->dev;
}

static void drain(struct input_file *in, struct tail *t, dur_ns now)
{
    struct tail *next = input_file_successor(t);
    dur_ns quiet = t->successor_at > t->seen_at ? t->successor_at : t->seen_at;

    if (t->drained || t->sought || next == NULL)
        return;
    if (t->from.fd < 0 || !t->caught_up || t->holes_due || !input_file_may_read(in, t) ||
        input_file_is_held_back(in, next->file) || now - quiet < DRAIN_MS * NS_PER_MS) {
        input_file_make_ready(in, t);
        in->soon = true;
        return;
    }
    t->drained = true;
    if (!next->begun) /* else it was read while this one could not be, and goes on with nothing */
        tail_hand_over(t, next, &in->reader);
    input_file_make_ready(in, next);
}

/* true: it was let go. */
static bool finish(struct input_file *in, struct tail *t, dur_ns now)
{
    bool is_spool = t->source->is_spool, is_over = input_file_is_over(t);

    if (t->queued || !t->caught_up || !tail_is_settled(t) ||
        (!t->drained && !input_file_is_oldest(t)) ||
        (!is_spool && !is_over && t->from.fd >= 0 && now - t->seen_at < LINGER_MS * NS_PER_MS))
        return false;
    if (is_spool && !t->unlinked) {
        if (tail_look(t) != TAIL_SAME) { /* we write to it, and nobody has told us yet */
            input_file_make_ready(in, t);
            return false;
        }
        t->unlinked = spool_retire(in->opt.state_fd, t->path); /* all of it is at the server */
    }
    if (!t->unlinked && !is_over &&
        !(t->drained && now - t->successor_at >= MOVED_MS * NS_PER_MS &&
          now - t->seen_at >= MOVED_MS * NS_PER_MS && has_moved(in, t)))
        return false;
    input_file_let_go(in, t);
    return true;
}

/* Should it vanish while we are away, what was not read is known to be lost. */
static void note_size(struct input_file *in, struct tail *t)
{
    uint64_t end = tail_end(t);
    uint64_t grown = end > t->file->seen ? end - t->file->seen : 0;

    if (grown == 0 || end == t->pos || (in->tails.n > NOTE_FILES && grown < NOTE_BYTES))
        return;
    tail_learn(t, &in->reader);
    checkpoint_seen(in->opt.checkpoint, t->file, end);
}

/* Nothing is expected of it: inotify tells what comes.  In case that is lost it is looked at from
 * time to time, one file now, another then. */
static bool is_quiet(struct tail *t, dur_ns now)
{
    if (t->wd >= 0 && t->caught_up && !t->unlinked && input_file_successor(t) == NULL &&
        now - t->looked_at < QUIET_MS * NS_PER_MS)
        return true;
    /* The first time anywhere in the period, then once in each. */
    t->looked_at = t->looked_at == 0 ? now - (dur_ns)(t->ino % QUIET_MS) * NS_PER_MS : now;
    return false;
}

static void sweep(struct input_file *in, dur_ns now)
{
    in->swept_at = now;
    for (size_t i = in->tails.n; i > 0; i--) {
        struct tail *t = in->tails.p[i - 1];
        bool passes = input_file_is_over(t) || is_quiet(t, now);
        bool is_told_by_size = tail_end(t) == t->seen, is_new = t->caught_up;
        enum tail_look look = passes ? TAIL_SAME : tail_look(t);
        if (look == TAIL_REPLACED)
            input_file_replaced(in, t);
        if (look != TAIL_SAME || !t->caught_up || tail_is_due(t, &in->reader, now) ||
            (!passes && !is_told_by_size) || (input_file_is_over(t) && t->pos < t->seen))
            input_file_make_ready(in, t);
        if (look != TAIL_GREW || !is_new) /* else it may be room, which reading tells */
            note_size(in, t);
        (void)finish(in, t, now);
    }
    input_file_look_at_lag(in, now);
    input_file_forget_dead(in);
}

/* Until all is walked again: now and then, because events may be lost that nobody tells of. */
static dur_ns walk_pause(const struct input_file *in)
{
    bool heard = watch_is_complete(in->watch) && map_count(in->failed) == 0 && !in->unfollowed;
    dur_ns pause = (heard ? GLOB_MS : GLOB_AGAIN_MS) * NS_PER_MS;
    dur_ns least = in->walk_took * (heard ? WALK_SHARE : WALK_AGAIN_SHARE);

    return pause > least ? pause : least;
}

static void look_at_due(struct input_file *in, dur_ns now)
{
    size_t waiting = 0;

    for (size_t n = in->looks.n; n > 0; n--) { /* those that are added meanwhile wait */
        struct slot *s = in->looks.p[0];
        VEC_REMOVE(&in->looks, 0);
        if (s->look_at > now) {
            VEC_PUSH(&in->looks, s);
        } else {
            s->look_due = false;
            input_file_look(in, s);
        }
    }
    for (size_t i = 0; i < in->looks.n; i++)
        waiting += in->looks.p[i]->retry_ms > 0;
    metric_set(METRIC_FILES_WAITING, waiting + in->keep_waits);
}

void input_file_look_last(struct input_file *in)
{
    input_file_walk(in);
    for (size_t i = in->tails.n; i > 0; i--) {
        struct tail *t = in->tails.p[i - 1];
        if (tail_look(t) == TAIL_REPLACED)
            input_file_replaced(in, t);
        input_file_make_ready(in, t);
    }
    input_file_save(in);
    input_file_call_ready(in);
}

bool input_file_is_caught_up(const struct input_file *in)
{
    struct tail *const *t;

    VEC_EACH(&in->tails, t)
        if ((*t)->failed == 0 &&
            ((*t)->queued ||
             ((*t)->from.fd >= 0 && (!(*t)->caught_up || multiline_is_open((*t)->multi)))))
            return false;
    return true;
}

void input_file_tick(void *arg)
{
    struct input_file *in = arg;
    dur_ns now = time_mono();

    in->soon = false;
    for (size_t i = 0; i < in->tails.n; i++) {
        struct tail *t = in->tails.p[i];
        if (!tail_describe(t))
            in->soon = true;
        else if (!t->caught_up)
            input_file_make_ready(in, t);
        drain(in, t, now);
    }
    if (now - in->swept_at >= SWEEP_MS * NS_PER_MS) {
        sweep(in, now);
        input_file_take_kept_again(in, now);
        look_at_due(in, now);
        input_file_look_at_missed(in, now);
        input_file_tell_unseen(in, now);
        in->keeping = true;
    }
    if (in->keeping)
        input_file_keep(in, now);
    if (now - in->walked_at >= walk_pause(in))
        input_file_walk(in);
    input_file_tell_all_drops(in, now);
    input_file_save(in);
    loop_timer_start(in->tick, in->soon ? SOON_MS : SWEEP_MS, 0);
    input_file_call_ready(in);
}
