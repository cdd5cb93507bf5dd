/*
 * collector/input_file_follow.c - contract: input_file_internal.h.  What is followed: slots, the
 * journal's entries for them, and files from when they are opened until they are let go.
 */
#include "base/fault.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESERVED_FDS = 64 /* for all that is no log */ };

/* ---- keys ---- */

struct inode {
    uint64_t dev, ino;
};

static struct str inode_key(const struct inode *i)
{
    return (struct str){(const char *)i, sizeof(*i)};
}

struct checkpoint_file *input_file_find_inode(const struct input_file *in, uint64_t dev,
                                              uint64_t ino)
{
    struct inode i = {dev, ino};

    return map_get(in->by_inode, inode_key(&i));
}

static void put_inode(struct input_file *in, struct checkpoint_file *f)
{
    struct inode i = {f->dev, f->ino};

    if (f->ino == 0)
        return; /* it lies in keep/ */
    (void)map_put(in->by_inode, inode_key(&i), f);
}

void input_file_drop_inode(struct input_file *in, const struct checkpoint_file *f)
{
    struct inode i = {f->dev, f->ino};

    if (map_get(in->by_inode, inode_key(&i)) == f)
        (void)map_remove(in->by_inode, inode_key(&i));
}

/* `f` is file (dev, ino) now. */
void input_file_bind(struct input_file *in, struct checkpoint_file *f, uint64_t dev, uint64_t ino)
{
    if (f->dev == dev && f->ino == ino && input_file_find_inode(in, dev, ino) == f)
        return;
    input_file_drop_inode(in, f);
    f->dev = dev;
    f->ino = ino;
    put_inode(in, f);
    checkpoint_file_changed(in->opt.checkpoint, f);
}

/* ---- slots ---- */

void input_file_slot_free(void *p)
{
    struct slot *s = p;

    VEC_FINI(&s->tails);
    VEC_FINI(&s->of);
    free(s->path);
    free(s);
}

struct slot *input_file_slot_of(struct input_file *in, const char *path)
{
    struct slot *s = map_get(in->slots, str_of(path));

    if (s != NULL)
        return s;
    s = mem_new(sizeof(*s));
    s->path = mem_dup(path, strlen(path));
    (void)map_put(in->slots, str_of(path), s); /* no limit, cannot be full */
    return s;
}

/* It may be empty now. */
void input_file_slot_check(struct input_file *in, struct slot *s)
{
    char *path;

    if (s->tails.n > 0 || s->of.n > 0 || s->look_due || s->busy)
        return;
    path = mem_dup(s->path, strlen(s->path)); /* the key must outlive the slot */
    (void)map_remove(in->slots, str_of(path));
    free(path);
}

/* Behind all others, or in front of `before`. */
static void slot_add(struct slot *s, struct tail *t, const struct tail *before)
{
    size_t i;

    VEC_PUSH(&s->tails, t);
    for (i = s->tails.n - 1; before != NULL && i > 0 && s->tails.p[i] != before; i--)
        s->tails.p[i] = s->tails.p[i - 1];
    s->tails.p[i] = t;
    t->slot = s;
    for (i = 0; i + 1 < s->tails.n; i++)
        if (s->tails.p[i]->successor_at == 0)
            s->tails.p[i]->successor_at = time_mono();
}

struct tail *input_file_newest(const struct slot *s)
{
    return s->tails.n == 0 ? NULL : s->tails.p[s->tails.n - 1];
}

void input_file_slot_add_file(struct input_file *in, struct slot *s, struct checkpoint_file *f)
{
    VEC_PUSH(&s->of, f);
    put_inode(in, f);
}

static void slot_drop_file(struct slot *s, const struct checkpoint_file *f)
{
    for (size_t i = 0; i < s->of.n; i++)
        if (s->of.p[i] == f) {
            VEC_REMOVE(&s->of, i);
            return;
        }
}

void input_file_load(struct input_file *in)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(in->opt.checkpoint, i)) != NULL; i++)
        if (!f->dead)
            input_file_slot_add_file(in, input_file_slot_of(in, f->path), f);
}

/* ---- the end of an entry ---- */

static void bury(struct input_file *in, struct checkpoint_file *f)
{
    struct slot *s = input_file_slot_of(in, f->path);

    input_file_drop_inode(in, f);
    slot_drop_file(s, f);
    s->lost += f->lost;
    input_file_slot_check(in, s);
    if (keep_bytes(in->keep) > 0) /* also what the journal does not speak of */
        keep_remove(in->keep, f->no);
    if (!f->dead)
        VEC_PUSH(&in->dead, f);
    f->dead = true;
}

static void lose_range(struct input_file *in, struct checkpoint_file *f, const char *cause,
                       uint64_t start, uint64_t end)
{
    input_file_gap(in, cause, f, start, end);
    checkpoint_skip(in->opt.checkpoint, f, start, end); /* reported once */
}

void input_file_lose(struct input_file *in, struct checkpoint_file *f, const char *cause)
{
    uint64_t start, end = 0;

    for (;;) {
        checkpoint_file_hole(f, end, &start, &end);
        if (start >= end)
            break;
        lose_range(in, f, cause, start, end);
    }
    start = checkpoint_file_end(f);
    if (start < f->kept.end) {
        lose_range(in, f, "spool_damaged", start, f->kept.end);
        start = f->kept.end;
    }
    if (start < f->seen)
        lose_range(in, f, cause, start, f->seen);
    bury(in, f);
}

void input_file_forget_dead(struct input_file *in)
{
    size_t left = 0;

    for (size_t i = 0; i < in->dead.n; i++) {
        struct checkpoint_file *f = in->dead.p[i];
        if (f->unacked == 0 && f->user == NULL) {
            if (!input_file_tell_drops(in, f))
                spool_missed(in->opt.own)->others++;
            checkpoint_file_forget(in->opt.checkpoint, f);
        } else {
            in->dead.p[left++] = f;
        }
    }
    in->dead.n = left;
}

static void unwatch(struct input_file *in, struct tail *t)
{
    if (t->wd < 0)
        return;
    (void)map_remove(in->by_watch, (struct str){(const char *)&t->wd, sizeof(t->wd)});
    if (in->watch != NULL)
        watch_drop(in->watch, t->wd);
    t->wd = -1;
}

/* Is all of it at the server that was ever seen? */
static bool has_all(const struct checkpoint_file *f)
{
    uint64_t end = checkpoint_file_end(f);

    return end >= f->seen && end >= f->kept.end;
}

/* What lies in keep/ of it is at the server; what should lie there and does not, is damage. */
static void release_kept(struct input_file *in, struct checkpoint_file *f)
{
    keep_remove(in->keep, f->no);
    if (checkpoint_file_end(f) >= f->kept.end)
        checkpoint_kept(in->opt.checkpoint, f, 0, 0);
}

void input_file_let_go(struct input_file *in, struct tail *t)
{
    struct checkpoint_file *f = t->file;
    struct slot *s = t->slot;
    bool is_ghost = t->from.fd < 0, is_kept = t->from.kept != NULL, gone = t->unlinked;

    input_file_unready(in, t);
    unwatch(in, t);
    for (size_t i = 0; i < s->tails.n; i++)
        if (s->tails.p[i] == t) {
            VEC_REMOVE(&s->tails, i);
            break;
        }
    in->tails.p[t->index] = in->tails.p[--in->tails.n];
    in->tails.p[t->index]->index = t->index;
    if (in->unpacking == t)
        in->unpacking = NULL;
    log_debug("file.close", LOG_Z("file", t->path), LOG_U64("position", t->pos));
    tail_free(&t, &in->reader);
    metric_set(METRIC_FILES_OPEN, in->tails.n);
    if (is_ghost)
        bury(in, f);
    else if (is_kept && (has_all(f) || input_file_source_of(in, s->path) == NULL))
        input_file_lose(in, f, "file_gone");
    else if (is_kept || gone) { /* it, or the rest of it, may live on compressed */
        release_kept(in, f);
        input_file_look_later(in, s);
    }
}

/* ---- following ---- */

/* Numbers are given out from below: one near the limit means that connections and the journal would
 * soon find none. */
static bool has_room(const struct input_file *in, int fd)
{
    if (in->opt.max_fds == 0 || (size_t)fd + RESERVED_FDS < in->opt.max_fds)
        return true;
    (void)close(fd);
    return false;
}

int input_file_open_log(struct input_file *in, const char *path)
{
    struct err err;
    int fd;

    if (fault_hit("input.open")) {
        (void)opener_err(&err, EACCES, "open", path);
    } else if (opener_open(in->set->opener, OPENER_LOG, path, &fd, &err) == 0) {
        if (has_room(in, fd))
            return fd;
        (void)opener_err(&err, EMFILE, "open", path);
    }
    if (err.code == ERR_GONE)
        in->name_went = true; /* it has another name now, perhaps */
    errno = err.sys;
    if (err.code != ERR_GONE)
        (void)input_file_told(in, path, -1);
    return opener_may_pass(err.sys) ? INPUT_FILE_LATER : -1;
}

int input_file_told(struct input_file *in, const char *path, int r)
{
    int why = errno;

    if (r >= 0) {
        if (map_remove(in->failed, str_of(path)))
            log_info("file.readable", LOG_Z("file", path));
        return r;
    }
    in->unreadable = in->unreadable || opener_may_pass(why);
    input_file_complain(in, path, why);
    return r;
}

void input_file_add_tail(struct input_file *in, struct slot *s, struct tail *t,
                         const struct tail *before)
{
    t->index = in->tails.n;
    VEC_PUSH(&in->tails, t);
    slot_add(s, t, before);
    metric_set(METRIC_FILES_OPEN, in->tails.n);
    (void)tail_describe(t);
    input_file_make_ready(in, t);
    input_file_soon(in);
}

struct tail *input_file_follow(struct input_file *in, const char *path, struct reader *from,
                               struct checkpoint_file *f, const struct tail *before)
{
    struct slot *s = input_file_slot_of(in, path);
    struct tail *t;
    struct err err;

    if (tail_open(from, s->path, in->source, &t, &err) < 0)
        return NULL;
    if (f != NULL) {
        struct slot *was = input_file_slot_of(in, f->path);
        slot_drop_file(was, f);
        input_file_drop_inode(in, f);
        if (was != s)
            input_file_slot_check(in, was);
        tail_adopt(t, f);
        checkpoint_file_set_path(in->opt.checkpoint, f, s->path);
    } else {
        tail_register(t, &in->reader);
    }
    input_file_slot_add_file(in, s, t->file);
    if (reader_is_plain(&t->from))
        t->wd = watch_file(in->watch, t->from.fd);
    if (t->wd >= 0)
        (void)map_put(in->by_watch, (struct str){(const char *)&t->wd, sizeof(t->wd)}, t);
    (void)input_file_told(in, s->path, 0);
    log_debug("file.open", LOG_Z("file", s->path), LOG_U64("position", t->pos));
    reader_rest(&t->from);
    input_file_add_tail(in, s, t, before);
    in->has_new = true;
    input_file_saw(in, s->path);
    return t;
}

void input_file_unbind(struct input_file *in, struct tail *t)
{
    unwatch(in, t);
    input_file_drop_inode(in, t->file);
    t->dev = t->ino = t->file->dev = t->file->ino = 0;
    checkpoint_file_changed(in->opt.checkpoint, t->file);
}
