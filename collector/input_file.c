/*
 * collector/input_file.c - contract: input_file.h.
 *
 * A slot is a path that a glob matched, with the files that have had that name, oldest first.  Only
 * the first that is not drained is read on; it is drained when it was read to its end DRAIN_MS
 * after its successor appeared, and then what it holds of an unfinished record goes to the
 * successor.  inotify says where to look; a sweep each second looks at every open file, a glob
 * every ten seconds at every path, so a lost event costs a delay and nothing else.
 */
#include "collector/input_file.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/obj.h"
#include "collector/metrics.h"
#include "collector/notice.h"
#include "collector/own.h"
#include "collector/siblings.h"
#include "collector/tail.h"
#include "collector/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    QUANTUM = 128 << 10,
    SWEEP_MS = 1000,
    SOON_MS = 50, /* while something is about to happen */
    GLOB_MS = 10000,
    DRAIN_MS = 100,   /* a writer may use the old file that long after the new one is there */
    LINGER_MS = 5000, /* and its descriptor is kept that long when it was removed, */
    MOVED_MS = 60000, /* and that long when it has a new name: some writers are told late */
    RETRY_MS = 10000, /* a file that could not be read */
    FAILED_MAX = 10000,
};

struct slot {
    char *path;
    VEC(struct tail *) tails;
};

struct input_file {
    unsigned magic;
#define INPUT_FILE_MAGIC 0x1f11e5edu
    struct input_file_options opt;
    struct source_set *set;
    struct tail_reader reader;
    struct watch *watch;
    struct loop_timer *tick, *rescan;
    struct own own;
    struct map *slots;    /* path -> struct slot */
    struct map *by_inode; /* dev, ino -> struct tail */
    struct map *by_watch; /* wd -> struct tail */
    struct map *failed;   /* path -> errno that was logged, as a pointer */
    VEC(struct tail *) tails;
    struct tail *ready, **ready_last;
    const struct source *source; /* while globbing */
    dur_ns globbed_at, swept_at;
    bool started, first_scan, soon;
};

/* ---- keys ---- */

struct inode {
    uint64_t dev, ino;
};

static struct str inode_key(const struct inode *i)
{
    return (struct str){(const char *)i, sizeof(*i)};
}

static struct tail *find_inode(const struct input_file *in, uint64_t dev, uint64_t ino)
{
    struct inode i = {dev, ino};

    return map_get(in->by_inode, inode_key(&i));
}

/* ---- the queue of files to read ---- */

static void make_ready(struct input_file *in, struct tail *t)
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

static void unready(struct input_file *in, struct tail *t)
{
    struct tail **at = &in->ready;

    if (!t->queued)
        return;
    while (*at != t)
        at = &(*at)->next_ready;
    *at = t->next_ready;
    if (in->ready_last == &t->next_ready)
        in->ready_last = at;
    t->queued = false;
}

static void call_ready(struct input_file *in)
{
    if (in->ready != NULL)
        in->opt.ready(in->opt.arg);
}

static void look_soon(struct input_file *in)
{
    if (in->soon || !in->started)
        return;
    in->soon = true;
    loop_timer_start(in->tick, SOON_MS, 0);
}

/* ---- slots ---- */

static void slot_free(void *p)
{
    struct slot *s = p;

    VEC_FINI(&s->tails);
    free(s->path);
    free(s);
}

static struct slot *slot_of(struct input_file *in, const char *path)
{
    struct slot *s = map_get(in->slots, str_of(path));

    if (s != NULL)
        return s;
    s = mem_new(sizeof(*s));
    s->path = mem_dup(path, strlen(path));
    if (!map_put(in->slots, str_of(path), s)) {
        slot_free(s);
        return NULL;
    }
    return s;
}

/* The file that is read after `t`; NULL: there is none. */
static struct tail *successor(const struct tail *t)
{
    for (size_t i = 0; i + 1 < t->slot->tails.n; i++)
        if (t->slot->tails.p[i] == t)
            return t->slot->tails.p[i + 1];
    return NULL;
}

/* Is it this file's turn?  A drained one may grow a little, too. */
static bool may_read(const struct tail *t)
{
    for (size_t i = 0; i < t->slot->tails.n && t->slot->tails.p[i] != t; i++)
        if (!t->slot->tails.p[i]->drained)
            return false;
    return t->described;
}

/* Behind all others, or in front of the last. */
static void slot_add(struct slot *s, struct tail *t, bool before_last)
{
    VEC_PUSH(&s->tails, t);
    if (before_last && s->tails.n > 1) {
        s->tails.p[s->tails.n - 1] = s->tails.p[s->tails.n - 2];
        s->tails.p[s->tails.n - 2] = t;
    }
    t->slot = s;
    for (size_t i = 0; i + 1 < s->tails.n; i++)
        if (s->tails.p[i]->successor_at == 0)
            s->tails.p[i]->successor_at = time_mono();
}

/* ---- files ---- */

static void complain(struct input_file *in, const char *path, int why)
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

/* -1: it cannot be, and that is said unless it is not there at all. */
static int open_log(struct input_file *in, const char *path)
{
    struct err err;
    int fd;

    if (fault_hit("input.open"))
        (void)opener_err(&err, EACCES, "open", path);
    else if (opener_open(in->set->opener, OPENER_LOG, path, &fd, &err) == 0)
        return fd;
    if (err.code != ERR_GONE)
        complain(in, path, err.sys);
    return -1;
}

/* The journal's entry for an open file: same inode, same head.  One that is the inode but not the
 * content is dead. */
static struct checkpoint_file *find_entry(struct input_file *in, struct tail *t)
{
    struct checkpoint_file *f, *best = NULL;

    for (size_t i = 0; (f = checkpoint_file_at(in->opt.checkpoint, i)) != NULL; i++) {
        bool same_dev = f->dev == t->dev ||
                        strcmp(f->path, t->path) == 0; /* some devices are renumbered at boot */
        if (f->ino != t->ino || !same_dev || f->user != NULL || f->dead)
            continue;
        if (!tail_is_file(t, f))
            f->dead = true;
        else if (best == NULL || f->no > best->no)
            best = f;
    }
    return best;
}

/* Follow an open file as one of those that have had the name `path`; takes fd.  NULL: it cannot be.
 */
static struct tail *follow(struct input_file *in, int fd, const char *path, bool before_last)
{
    struct slot *s = slot_of(in, path);
    struct tail *t = NULL;
    struct checkpoint_file *f;
    struct inode key;
    struct err err;

    if (s == NULL || tail_open(fd, path, in->source, &t, &err) < 0) {
        if (s == NULL)
            (void)close(fd);
        return NULL;
    }
    key = (struct inode){t->dev, t->ino};
    (void)map_put(in->by_inode, inode_key(&key), t);
    VEC_PUSH(&in->tails, t);
    slot_add(s, t, before_last);
    f = find_entry(in, t);
    if (f != NULL) {
        tail_adopt(t, f);
        checkpoint_file_set_path(in->opt.checkpoint, f, path);
    } else {
        tail_register(t, &in->reader);
    }
    t->wd = watch_file(in->watch, fd);
    if (t->wd >= 0)
        (void)map_put(in->by_watch, (struct str){(const char *)&t->wd, sizeof(t->wd)}, t);
    (void)map_remove(in->failed, str_of(path));
    metric_set(METRIC_FILES_OPEN, in->tails.n);
    log_debug("file.open", LOG_Z("file", path), LOG_U64("position", t->pos));
    (void)tail_describe(t);
    make_ready(in, t);
    look_soon(in);
    return t;
}

/* Stop following; its journal entry stays unless the file is gone. */
static void let_go(struct input_file *in, struct tail *t)
{
    struct inode key = {t->dev, t->ino};
    struct checkpoint_file *f = t->file;
    struct slot *s = t->slot;
    bool gone = t->unlinked;

    unready(in, t);
    if (map_get(in->by_inode, inode_key(&key)) == t)
        (void)map_remove(in->by_inode, inode_key(&key));
    if (t->wd >= 0) {
        (void)map_remove(in->by_watch, (struct str){(const char *)&t->wd, sizeof(t->wd)});
        watch_drop(in->watch, t->wd);
    }
    for (size_t i = 0; i < s->tails.n; i++)
        if (s->tails.p[i] == t) {
            VEC_REMOVE(&s->tails, i);
            break;
        }
    for (size_t i = 0; i < in->tails.n; i++)
        if (in->tails.p[i] == t) {
            VEC_REMOVE(&in->tails, i);
            break;
        }
    log_debug("file.close", LOG_Z("file", t->path), LOG_U64("position", t->pos));
    tail_free(&t, &in->reader);
    if (f != NULL && gone)
        f->dead = true;
    if (s->tails.n == 0) {
        char *path = mem_dup(s->path, strlen(s->path)); /* the key must outlive the slot */
        (void)map_remove(in->slots, str_of(path));
        free(path);
    }
    metric_set(METRIC_FILES_OPEN, in->tails.n);
}

static void forget_dead(struct input_file *in)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(in->opt.checkpoint, i)) != NULL;) {
        if (f->dead && f->unacked == 0 && f->user == NULL)
            checkpoint_file_forget(in->opt.checkpoint, f);
        else
            i++;
    }
}

void input_file_acked(struct input_file *in)
{
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    forget_dead(in);
}

/* ---- looking ---- */

/* Only what is there at the first start counts as old. */
static void skip_old(struct input_file *in, struct tail *t)
{
    struct slot *s = t->slot;

    if (in->first_scan && in->source->from_end && !t->adopted && s->tails.n == 1)
        tail_skip(t, &in->reader);
}

struct sibling_find {
    struct input_file *in;
    const char *path;
};

/* A file that had the slot's name between two looks, or is the rest of one that was followed before
 * a restart. */
static void found_sibling(void *arg, const char *path, const struct stat *st)
{
    const struct sibling_find *find = arg;
    struct input_file *in = find->in;
    int fd;

    if (find_inode(in, st->st_dev, st->st_ino) != NULL)
        return;
    fd = open_log(in, path);
    if (fd < 0)
        return;
    (void)follow(in, fd, find->path, true);
}

/* `t` has just taken the name of a file that we know: find what had the name in between. */
static void look_for_siblings(struct input_file *in, struct tail *t)
{
    struct sibling_find find = {in, t->slot->path};
    struct siblings_self self = {t->slot->path, t->dev, t->ino};

    siblings_find(in->set->opener, in->opt.checkpoint, &self, found_sibling, &find);
}

static bool is_wanted(const struct input_file *in, const char *path)
{
    for (size_t i = 0; i < in->source->exclude.n; i++)
        if (watch_matches(in->source->exclude.v[i], path))
            return false;
    return !own_is(&in->own, str_of(path));
}

static void found(void *arg, const char *path)
{
    struct input_file *in = arg;
    struct tail *t;
    struct stat st;
    struct err err;
    int fd;

    if (!is_wanted(in, path))
        return;
    if (opener_stat(in->set->opener, path, &st, &err) < 0) {
        if (err.code != ERR_GONE) /* a link whose file is gone is nothing to report */
            complain(in, path, err.sys);
        return;
    }
    if (!S_ISREG(st.st_mode))
        return;
    if (find_inode(in, st.st_dev, st.st_ino) != NULL)
        return; /* followed already, by this name or another */
    fd = open_log(in, path);
    if (fd < 0)
        return;
    t = follow(in, fd, path, false);
    if (t == NULL)
        return;
    skip_old(in, t);
    if (!in->source->is_spool && !t->adopted)
        look_for_siblings(in, t);
}

static void glob_all(struct input_file *in)
{
    in->globbed_at = time_mono();
    for (size_t i = 0; i < in->set->n; i++) {
        in->source = &in->set->v[i];
        for (size_t p = 0; p < in->source->paths.n; p++)
            watch_glob(in->watch, in->source->paths.v[p], found, in);
    }
}

/* What is known has to survive us, before there is anything to send too: a file that was seen and
 * rotated away is found again only by the journal.  Who sends hears whether it went well. */
static void save_files(struct input_file *in)
{
    checkpoint_sync_begin(in->opt.checkpoint);
}

static void on_rescan(void *arg)
{
    struct input_file *in = arg;

    glob_all(in);
    save_files(in);
    call_ready(in);
}

static void on_dirs(void *arg)
{
    struct input_file *in = arg;
    dur_ns since = time_mono() - in->globbed_at;

    /* Many containers starting at once are one look, not a hundred. */
    loop_timer_start(in->rescan, since < SOON_MS * NS_PER_MS ? SOON_MS : 0, 0);
}

static void on_file(void *arg, int wd)
{
    struct input_file *in = arg;
    struct tail *t = map_get(in->by_watch, (struct str){(const char *)&wd, sizeof(wd)});

    if (t != NULL)
        make_ready(in, t);
}

static void on_denied(void *arg, const char *dir, int why)
{
    complain(arg, dir, why);
}

static void on_overflow(void *arg)
{
    struct input_file *in = arg;
    struct tail **t;

    VEC_EACH(&in->tails, t)
        make_ready(in, *t);
    loop_timer_start(in->rescan, 0, 0);
}

static void on_settled(void *arg)
{
    call_ready(arg);
}

/* ---- from time to time ---- */

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
    struct tail *next = successor(t);
    dur_ns quiet = t->successor_at > t->seen_at ? t->successor_at : t->seen_at;

    if (t->drained || next == NULL)
        return;
    if (!t->caught_up || t->holes_due || !may_read(t) || now - quiet < DRAIN_MS * NS_PER_MS) {
        make_ready(in, t);
        in->soon = true;
        return;
    }
    t->drained = true;
    join_move(&t->join, &next->join, &in->reader.limits);
    make_ready(in, next);
}

/* true: it was let go. */
static bool finish(struct input_file *in, struct tail *t, dur_ns now)
{
    if (t->queued || !t->caught_up || !tail_is_settled(t) ||
        now - t->seen_at < LINGER_MS * NS_PER_MS)
        return false;
    if (t->source->is_spool && !t->unlinked && spool_has_later(t->path)) {
        (void)unlink(t->path); /* all of it is at the server */
        t->unlinked = true;
    }
    if (!t->unlinked && !(t->drained && now - t->successor_at >= MOVED_MS * NS_PER_MS &&
                          now - t->seen_at >= MOVED_MS * NS_PER_MS && has_moved(in, t)))
        return false;
    let_go(in, t);
    return true;
}

static void sweep(struct input_file *in, dur_ns now)
{
    in->swept_at = now;
    for (size_t i = in->tails.n; i > 0; i--) {
        struct tail *t = in->tails.p[i - 1];
        struct stat st;
        if (fstat(t->fd, &st) == 0) {
            t->unlinked = st.st_nlink == 0;
            if ((uint64_t)st.st_size != t->seen || !t->caught_up)
                make_ready(in, t);
        }
        if (tail_is_due(t, &in->reader, now))
            make_ready(in, t);
        (void)finish(in, t, now);
    }
    metric_set(METRIC_LAG_BYTES, input_file_lag(in));
    forget_dead(in);
}

static void on_tick(void *arg)
{
    struct input_file *in = arg;
    dur_ns now = time_mono();

    in->soon = false;
    for (size_t i = 0; i < in->tails.n; i++) {
        struct tail *t = in->tails.p[i];
        if (!tail_describe(t))
            in->soon = true;
        else if (!t->caught_up)
            make_ready(in, t);
        drain(in, t, now);
    }
    if (now - in->swept_at >= SWEEP_MS * NS_PER_MS)
        sweep(in, now);
    if (now - in->globbed_at >= GLOB_MS * NS_PER_MS)
        glob_all(in);
    save_files(in);
    loop_timer_start(in->tick, in->soon ? SOON_MS : SWEEP_MS, 0);
    call_ready(in);
}

/* ---- the seam ---- */

static void report_gap(struct input_file *in, const char *cause, const struct checkpoint_file *f,
                       uint64_t start, uint64_t end)
{
    struct notice_gap gap = {.cause = cause,
                             .path = str_of(f->path),
                             .file_id = str_of(f->id),
                             .start = start,
                             .end = end};
    struct err err;

    if (notice_gap(in->opt.own, &gap, &err) < 0)
        log_error("gap.not_written", LOG_ERR(&err));
}

static void content_changed(struct input_file *in, struct tail *t, struct chunk *c)
{
    struct checkpoint_file *f = t->file;
    uint64_t pos = t->pos;
    uint64_t lost = tail_renew(t, &in->reader, c);

    log_warn("file.truncated", LOG_Z("file", t->path), LOG_U64("lost_bytes", lost));
    if (lost > 0 && f != NULL)
        report_gap(in, "truncated", f, pos, pos + lost);
}

static void read_failed(struct tail *t, const struct err *err)
{
    metric_add(METRIC_FILES_UNREADABLE, 1);
    if (t->failed != (err->sys == 0 ? EIO : err->sys)) /* once per file and cause */
        log_error("file.unreadable", LOG_ERR(err));
    t->failed = err->sys == 0 ? EIO : err->sys;
    t->failed_at = time_mono();
}

/* One turn of one file. */
static void turn(struct input_file *in, struct tail *t, struct chunk *c)
{
    enum tail_result result;
    struct err err;

    if (t->holes_due && tail_resume(t, &in->reader, &err) < 0) {
        t->holes_due = true;
        read_failed(t, &err);
        return;
    }
    result = tail_read(t, &in->reader, c, in->opt.quantum, &err);
    if (result == TAIL_FAILED) {
        read_failed(t, &err);
        return;
    }
    t->failed = 0;
    if (result == TAIL_CHANGED)
        content_changed(in, t, c);
    if (result != TAIL_END)
        make_ready(in, t);
    else if (tail_is_due(t, &in->reader, time_mono()))
        tail_expire(t, &in->reader, c, time_mono());
    else if (!t->drained && successor(t) != NULL)
        look_soon(in);
}

static int deliver(void *self, struct chunk *c)
{
    struct input_file *in = self;
    struct tail *t;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    while ((t = take_ready(in)) != NULL) {
        if (!may_read(t)) /* the tick asks again */
            continue;
        turn(in, t, c);
        return 0;
    }
    return 1;
}

static const struct source *source_of(const struct input_file *in, const char *path)
{
    for (size_t i = 0; i < in->set->n; i++)
        for (size_t p = 0; p < in->set->v[i].paths.n; p++)
            if (watch_matches(in->set->v[i].paths.v[p], path))
                return &in->set->v[i];
    return NULL;
}

/* What was followed before the restart, is not read to its end, and has another name or none now.
 */
static void find_renamed(struct input_file *in)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(in->opt.checkpoint, i)) != NULL; i++) {
        char path[CHECKPOINT_PATH_MAX];
        struct stat st;
        if (f->user != NULL || f->dead)
            continue;
        if (siblings_locate(in->set->opener, f, path, sizeof(path), &st) != 0) {
            f->dead = true;
            continue;
        }
        in->source = source_of(in, f->path);
        if (in->source != NULL && !siblings_is_done(f, &st))
            found_sibling(&(struct sibling_find){in, f->path}, path, &st);
    }
}

/* The journal was begun anew: which files may be stored twice, and from where. */
static void tell_renewed(struct input_file *in)
{
    const struct checkpoint *cp = in->opt.checkpoint;
    struct err err;
    int r;

    if (checkpoint_renewal(cp) == CHECKPOINT_SAME)
        return;
    r = notice_incarnation(in->opt.own, cp, NULL, 0, 0, &err);
    for (size_t i = 0; r == 0 && i < in->tails.n; i++) {
        const struct tail *t = in->tails.p[i];
        struct stat st;
        if (fstat(t->fd, &st) == 0 && (uint64_t)st.st_size > t->pos)
            r = notice_incarnation(in->opt.own, cp, t->file, t->pos, (uint64_t)st.st_size, &err);
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
    static const struct watch_handler HANDLER = {on_dirs, on_file, on_overflow, on_settled,
                                                 on_denied};
    struct input_file *in = self;
    int r = watch_open(in->opt.loop, in->set->opener, &HANDLER, in, &in->watch, err);

    if (r < 0)
        return r;
    own_find(&in->own);
    in->tick = loop_timer_new(in->opt.loop, on_tick, in);
    in->rescan = loop_timer_new(in->opt.loop, on_rescan, in);
    in->started = true;
    /* After a loss of the journal nobody knows what of the files was read. */
    in->first_scan = checkpoint_file_at(in->opt.checkpoint, 0) == NULL &&
                     checkpoint_renewal(in->opt.checkpoint) == CHECKPOINT_SAME;
    glob_all(in);
    in->first_scan = false;
    find_renamed(in);
    tell_renewed(in);
    save_files(in);
    loop_timer_start(in->tick, SOON_MS, 0);
    call_ready(in);
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
}

/* Is part `i` the last of its file in this chunk?  Then nothing may stay open behind it. */
static bool is_last_of_file(const struct checkpoint_chunk *plan, size_t i)
{
    const struct checkpoint_part *p = plan->parts.p;

    for (size_t k = i + 1; k < plan->parts.n; k++)
        if (p[k].file == p[i].file)
            return false;
    return (p[i].flags & CHECKPOINT_CARRY) == 0;
}

static int resume(void *self, const struct checkpoint_chunk *plan, struct chunk *c)
{
    struct input_file *in = self;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    for (size_t i = 0; i < plan->parts.n; i++) {
        struct tail *t = plan->parts.p[i].file->user;
        if (t != NULL && !tail_describe(t))
            return 1;
    }
    for (size_t i = 0; i < plan->parts.n; i++) {
        struct checkpoint_part part = plan->parts.p[i];
        struct tail *t = part.file->user;
        struct tail *next = i + 1 < plan->parts.n ? plan->parts.p[i + 1].file->user : NULL;
        struct err err;
        if (is_last_of_file(plan, i))
            part.flags |= CHECKPOINT_FLUSH_STDOUT | CHECKPOINT_FLUSH_STDERR;
        if (t == NULL)
            report_gap(in, "file_gone", part.file, part.start, part.end);
        else if (tail_rebuild(t, &in->reader, c, &part, next, &err) < 0) {
            log_error("chunk.not_rebuilt", LOG_ERR(&err));
            report_gap(in, "file_changed", part.file, part.start, part.end);
        }
    }
    metric_add(METRIC_CHUNKS_REBUILT, 1);
    return 0;
}

struct input input_file_input(struct input_file *in)
{
    static const struct input_ops OPS = {"file", start, stop, resume, deliver};

    return (struct input){&OPS, in};
}

void input_file_set_sources(struct input_file *in, struct source_set *set)
{
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    source_set_unref(&in->set);
    in->set = source_set_ref(set);
    in->reader.partial_timeout = set->config->partial_timeout;
    glob_all(in);
    call_ready(in);
}

int input_file_open(const struct input_file_options *opt, struct source_set *set,
                    struct input_file **ret, struct err *err)
{
    struct input_file *in = mem_new(sizeof(*in));

    (void)err;
    in->magic = INPUT_FILE_MAGIC;
    in->opt = *opt;
    if (in->opt.quantum == 0)
        in->opt.quantum = QUANTUM;
    in->set = source_set_ref(set);
    tail_reader_init(&in->reader, opt->checkpoint, opt->max_line, opt->partial_timeout);
    in->slots = map_new(0, slot_free);
    in->by_inode = map_new(0, NULL);
    in->by_watch = map_new(0, NULL);
    in->failed = map_new(FAILED_MAX, NULL);
    in->ready_last = &in->ready;
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
    watch_close(&in->watch);
    map_free(&in->slots);
    map_free(&in->by_inode);
    map_free(&in->by_watch);
    map_free(&in->failed);
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

uint64_t input_file_lag(const struct input_file *in)
{
    uint64_t lag = 0;

    for (size_t i = 0; i < in->tails.n; i++)
        if (in->tails.p[i]->seen > in->tails.p[i]->pos)
            lag += in->tails.p[i]->seen - in->tails.p[i]->pos;
    return lag;
}
