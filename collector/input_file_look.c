/*
 * collector/input_file_look.c - contract: input_file_internal.h.  Which file is which.
 *
 * A file is found again by its inode, and believed when its beginning is the one that the journal
 * remembers.  Where the inode is gone or has another content, the file itself may still be there:
 * copytruncate copies it and cuts the original, compression writes it anew and removes it.  Copies
 * are known by their content alone, so they are only looked for among the rotated names, and only
 * where such a rotation explains them: a plain copy when the original lies cut in its place, a
 * packed one when the original is gone.
 *
 * Rotation goes on meanwhile, and moves every name: what a listing says of a name is true of what
 * is opened by it only if that is the file that was listed.  Where it is not, nothing is followed
 * or given up by this listing, another is made.
 */
#include "collector/input_file_internal.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/metrics.h"
#include "collector/siblings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MISSED_MS = 900,   /* a file that is nowhere is looked for that long, */
    MAKING_MS = 10000, /* so old, a compressed file is as whole as it will be */
    UNSURE_MS = 60000, /* and that long while another is being compressed, it seems */
    LISTINGS_MAX = 4,  /* at once, while names move; then with the next tick again */
    RESERVED_FDS = 64, /* for all that is no log */
};

/* ---- keys ---- */

struct inode {
    uint64_t dev, ino;
};

static struct str inode_key(const struct inode *i)
{
    return (struct str){(const char *)i, sizeof(*i)};
}

static struct checkpoint_file *find_inode(const struct input_file *in, uint64_t dev, uint64_t ino)
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

static void drop_inode(struct input_file *in, const struct checkpoint_file *f)
{
    struct inode i = {f->dev, f->ino};

    if (map_get(in->by_inode, inode_key(&i)) == f)
        (void)map_remove(in->by_inode, inode_key(&i));
}

/* `f` is file (dev, ino) now. */
static void bind(struct input_file *in, struct checkpoint_file *f, uint64_t dev, uint64_t ino)
{
    if (f->dev == dev && f->ino == ino && find_inode(in, dev, ino) == f)
        return;
    drop_inode(in, f);
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

static struct slot *slot_of(struct input_file *in, const char *path)
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
static void slot_check(struct input_file *in, struct slot *s)
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

static void slot_add_file(struct input_file *in, struct slot *s, struct checkpoint_file *f)
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
            slot_add_file(in, slot_of(in, f->path), f);
}

/* ---- the end of an entry ---- */

static void bury(struct input_file *in, struct checkpoint_file *f)
{
    struct slot *s = slot_of(in, f->path);

    drop_inode(in, f);
    slot_drop_file(s, f);
    s->lost += f->lost;
    slot_check(in, s);
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
            input_file_tell_drops(in, f);
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

/* -1: it cannot be, and that is said unless it is not there at all. */
static int open_log(struct input_file *in, const char *path)
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
    else
        input_file_complain(in, path, err.sys);
    return -1;
}

static void add_tail(struct input_file *in, struct slot *s, struct tail *t,
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

static struct tail *follow(struct input_file *in, struct slot *s, struct reader *from,
                           struct checkpoint_file *f, const struct tail *before)
{
    struct tail *t;
    struct err err;

    if (tail_open(from, s->path, in->source, &t, &err) < 0)
        return NULL;
    if (f != NULL) {
        struct slot *was = slot_of(in, f->path);
        slot_drop_file(was, f);
        drop_inode(in, f);
        if (was != s)
            slot_check(in, was);
        tail_adopt(t, f);
        checkpoint_file_set_path(in->opt.checkpoint, f, s->path);
    } else {
        tail_register(t, &in->reader);
    }
    slot_add_file(in, s, t->file);
    if (reader_is_plain(&t->from))
        t->wd = watch_file(in->watch, t->from.fd);
    if (t->wd >= 0)
        (void)map_put(in->by_watch, (struct str){(const char *)&t->wd, sizeof(t->wd)}, t);
    (void)map_remove(in->failed, str_of(s->path));
    log_debug("file.open", LOG_Z("file", s->path), LOG_U64("position", t->pos));
    reader_rest(&t->from);
    add_tail(in, s, t, before);
    in->has_new = true;
    input_file_saw(in, s->path);
    return t;
}

struct tail *input_file_follow(struct input_file *in, const char *path, struct reader *from,
                               struct checkpoint_file *f, const struct tail *before)
{
    return follow(in, slot_of(in, path), from, f, before);
}

void input_file_unbind(struct input_file *in, struct tail *t)
{
    unwatch(in, t);
    drop_inode(in, t->file);
    t->dev = t->ino = t->file->dev = t->file->ino = 0;
    checkpoint_file_changed(in->opt.checkpoint, t->file);
}

/* ---- siblings ---- */

/* The file whose turn comes last: the one that is written to. */
static struct tail *newest(const struct slot *s)
{
    return s->tails.n == 0 ? NULL : s->tails.p[s->tails.n - 1];
}

static bool open_sibling(struct input_file *in, const struct sibling *b, struct reader *ret)
{
    int fd = open_log(in, b->path);
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0 || st.st_ino != b->st.st_ino || st.st_dev != b->st.st_dev) {
        (void)close(fd);
        in->name_went = true; /* to another file */
        return false;
    }
    reader_open(ret, fd, b->is_packed);
    return true;
}

/* Is open sibling `b` known by its inode?  Those of files that are gone are used again. */
static bool is_of_inode(struct input_file *in, const struct sibling *b, struct reader *from)
{
    const struct checkpoint_file *f = find_inode(in, b->st.st_dev, b->st.st_ino);

    return f != NULL && (f->user != NULL || tail_is_file(from, &(struct checkpoint_file){
                                                                   .head_len = f->head_len,
                                                                   .head_hash = f->head_hash,
                                                               }));
}

/* Is all of `f`, which is `from`, planned and acknowledged? */
static bool is_done(const struct checkpoint_file *f, struct reader *from)
{
    uint64_t end = checkpoint_file_end(f);
    struct reader_stat st;

    if (f->unacked > 0 || f->planned.n != 1 || f->planned.p[0].start != 0)
        return false;
    if (from->packed != NULL)
        return reader_is_claimed(from, end) || !reader_reaches(from, end + 1);
    return reader_stat(from, &st) == 0 && st.size == end;
}

/* The file of entry `f`, which is followed or one of `all`. */
static bool has_bytes_of(struct input_file *in, const struct siblings *all,
                         const struct checkpoint_file *f, struct reader *from)
{
    struct tail *t = f->user;
    struct reader other;
    bool same = false;

    if (t != NULL)
        return t->from.fd >= 0 && reader_have_same_bytes(from, &t->from);
    for (size_t i = 0; i < all->v.n; i++)
        if (all->v.p[i].entry == f && open_sibling(in, &all->v.p[i], &other)) {
            same = reader_have_same_bytes(from, &other);
            reader_close(&other);
            break;
        }
    return same;
}

/* Is sibling `b`, of which the journal knows nothing, only another form of a file that it does
 * know: a copy in the making, or compressed already while the plain one is still there? */
static bool is_twin(struct input_file *in, const struct slot *s, const struct siblings *all,
                    const struct sibling *b, struct reader *from)
{
    for (size_t i = 0; i < s->of.n; i++) {
        const struct checkpoint_file *f = s->of.p[i];
        struct checkpoint_file head = {.head_len = f->head_len, .head_hash = f->head_hash};
        if (!b->is_packed && f->user != newest(s))
            continue;
        if (f->head_len > 0 && tail_is_file(from, &head) && has_bytes_of(in, all, f, from))
            return true;
    }
    return false;
}

/* Entries by inode: followed ones are believed, others when their beginning is right. */
static void match_inodes(struct input_file *in, const struct slot *s, struct siblings *all)
{
    for (size_t i = 0; i < all->v.n; i++) {
        struct sibling *b = &all->v.p[i];
        struct checkpoint_file *f = find_inode(in, b->st.st_dev, b->st.st_ino);
        struct reader from;
        for (size_t k = 0; f == NULL && k < s->of.n; k++)
            if (s->of.p[k]->ino == b->st.st_ino && s->of.p[k]->user == NULL)
                f = s->of.p[k]; /* some devices are renumbered at boot */
        if (f == NULL || (f->user == NULL && strcmp(f->path, s->path) != 0))
            continue;
        if (f->user != NULL) {
            b->entry = f;
        } else if (open_sibling(in, b, &from)) {
            if (tail_is_file(&from, f))
                b->entry = f;
            reader_close(&from);
        }
    }
}

static struct sibling *sibling_of(struct siblings *all, const struct checkpoint_file *f)
{
    for (size_t i = 0; i < all->v.n; i++)
        if (all->v.p[i].entry == f)
            return &all->v.p[i];
    return NULL;
}

/* A copy of `f`, whose own file is gone or cut.  *is_unsure: one could not be read yet. */
static struct sibling *find_copy(struct input_file *in, const struct slot *s, struct siblings *all,
                                 struct checkpoint_file *f, bool *is_unsure)
{
    const struct sibling *last = all->v.n == 0 ? NULL : &all->v.p[all->v.n - 1];
    const struct sibling *base = last != NULL && strcmp(last->path, s->path) == 0 ? last : NULL;
    bool is_cut = base != NULL && base->st.st_ino == f->ino;

    for (size_t i = 0; i < all->v.n && f->head_len > 0; i++) {
        struct sibling *b = &all->v.p[i];
        struct reader from;
        bool same;
        if (!b->is_rotated || b->entry != NULL || b == base || (!b->is_packed && !is_cut))
            continue;
        if (!open_sibling(in, b, &from))
            continue;
        same = tail_is_file(&from, f);
        if (!same && b->is_packed && !reader_reaches(&from, f->head_len))
            *is_unsure = true;
        reader_close(&from);
        if (same)
            return b;
    }
    return NULL;
}

/* Every entry of the slot that is not followed gets its sibling, or is lost: then s->older_gone is
 * set if it was older than what is there now. */
static void match_rest(struct input_file *in, struct slot *s, struct siblings *all)
{
    const struct tail *last = newest(s);
    bool missed = false;

    for (size_t i = s->of.n; i > 0; i--) {
        struct checkpoint_file *f = s->of.p[i - 1];
        struct sibling *b = sibling_of(all, f);
        bool is_unsure = false;
        if (f->user != NULL || b != NULL)
            continue;
        b = find_copy(in, s, all, f, &is_unsure);
        if (b != NULL) {
            b->entry = f;
            bind(in, f, b->st.st_dev, b->st.st_ino);
            continue;
        }
        if (s->missed_at == 0)
            s->missed_at = time_mono();
        is_unsure = is_unsure || in->name_went;
        if (time_mono() - s->missed_at < (is_unsure ? UNSURE_MS : MISSED_MS) * NS_PER_MS) {
            in->look_again = true; /* it was renamed while the directory was read, perhaps */
            missed = true;
            continue;
        }
        if (last == NULL || last->ino != f->ino)
            s->older_gone = true;
        input_file_lose(in, f, "file_gone");
    }
    if (!missed)
        s->missed_at = 0;
}

/* It has no entry: was it written since we look? */
static bool is_ours(const struct input_file *in, const struct slot *s, const struct sibling *b)
{
    return s->is_new && b->st.st_mtim.tv_sec >= in->began / NS_PER_S;
}

/* Is it being compressed, and so little of it there that nobody can tell whose it is? */
static bool is_in_making(const struct sibling *b, struct reader *from)
{
    ts_ns written = b->st.st_mtim.tv_sec * NS_PER_S + b->st.st_mtim.tv_nsec;
    struct reader_stat st;

    return b->is_packed && !reader_reaches(from, CHECKPOINT_HEAD_MAX) &&
           (reader_stat(from, &st) < 0 || st.damaged || st.size == 0) &&
           time_now() - written < MAKING_MS * NS_PER_MS;
}

/* The log was cut, and nobody has noticed yet: what seems new is the copy of what it was. */
static bool is_cut_unnoticed(struct input_file *in, const struct slot *s)
{
    struct tail *t = newest(s);

    if (t == NULL || tail_look(t) != TAIL_REPLACED)
        return false;
    input_file_replaced(in, t);
    in->name_went = true;
    return true;
}

/* Does open sibling `b` have to be read? */
static bool is_to_read(struct input_file *in, const struct slot *s, const struct siblings *all,
                       const struct sibling *b, struct reader *from)
{
    if (b->entry != NULL)
        return !is_done(b->entry, from);
    if (is_of_inode(in, b, from))
        return false;
    if (is_in_making(b, from)) {
        in->look_again = true;
        return false;
    }
    return !is_twin(in, s, all, b, from) && !in->name_went && !is_cut_unnoticed(in, s);
}

/* Follow what has to be read, oldest first: behind one whose name went nothing is. */
static void follow_siblings(struct input_file *in, struct slot *s, struct siblings *all)
{
    bool known = s->older_gone;

    for (size_t i = 0; i < all->v.n && !in->name_went; i++) {
        const struct sibling *b = &all->v.p[i];
        struct checkpoint_file *f = b->entry;
        const struct tail *before;
        struct reader from;
        known = known || f != NULL;
        if ((f != NULL && f->user != NULL) ||
            (f == NULL && ((!known && !is_ours(in, s, b)) || !b->is_rotated)) ||
            strcmp(b->path, s->path) == 0 || !open_sibling(in, b, &from))
            continue;
        if (!is_to_read(in, s, all, b, &from)) {
            reader_close(&from);
            continue;
        }
        reader_rest(&from);
        log_info("file.found", LOG_Z("file", b->path), LOG_Z("of", s->path));
        metric_add(METRIC_FILES_RECOVERED, 1);
        before = newest(s);
        (void)follow(in, s, &from, f, before != NULL && before->from.kept != NULL ? NULL : before);
    }
}

const struct source *input_file_source_of(const struct input_file *in, const char *path)
{
    for (size_t i = 0; i < in->set->n; i++)
        for (size_t p = 0; p < in->set->v[i].paths.n; p++)
            if (watch_matches(in->set->v[i].paths.v[p], path))
                return &in->set->v[i];
    return NULL;
}

/* By one listing; in->name_went: it was not true any more. */
static void look_once(struct input_file *in, struct slot *s, bool is_last)
{
    struct siblings all;

    in->look_again = in->name_went = false;
    siblings_list(in->set->opener, s->path, &all);
    match_inodes(in, s, &all);
    if (!in->name_went || is_last) /* who renames without end does not keep entries for ever */
        match_rest(in, s, &all);
    follow_siblings(in, s, &all);
    siblings_fini(&all);
    if (in->name_went)
        metric_add(METRIC_LISTINGS_STALE, 1);
    else
        s->is_new = s->older_gone = false;
}

void input_file_look(struct input_file *in, struct slot *s)
{
    const struct source *before = in->source;

    in->source = s->tails.n > 0 ? newest(s)->source : input_file_source_of(in, s->path);
    in->look_again = in->name_went = false;
    s->busy = true;           /* it must not vanish under our hands */
    if (in->source != NULL) { /* else nobody wants it now: perhaps after another reload */
        look_once(in, s, false);
        for (int i = 2; i <= LISTINGS_MAX && in->name_went; i++)
            look_once(in, s, i == LISTINGS_MAX);
    }
    s->busy = false;
    if (in->look_again || in->name_went)
        input_file_look_later(in, s);
    in->source = before;
    slot_check(in, s);
}

void input_file_look_later(struct input_file *in, struct slot *s)
{
    if (s->look_due)
        return;
    s->look_due = true;
    VEC_PUSH(&in->looks, s);
}

void input_file_look_all(struct input_file *in)
{
    VEC(struct slot *) due = {0};
    struct str path;
    void *value;

    for (size_t pos = 0; map_next(in->slots, &pos, &path, &value);) {
        struct slot *s = value;
        for (size_t i = 0; i < s->of.n; i++)
            if (s->of.p[i]->user == NULL) {
                VEC_PUSH(&due, s);
                break;
            }
    }
    for (size_t i = 0; i < due.n; i++)
        input_file_look(in, due.p[i]);
    VEC_FINI(&due);
}

/* ---- content that was replaced ---- */

static bool find_old_content_once(struct input_file *in, const struct tail *t, struct reader *ret,
                                  struct stat *st)
{
    struct siblings all;
    bool found = false;

    in->name_went = false;
    siblings_list(in->set->opener, t->slot->path, &all);
    for (size_t i = all.v.n; i > 0 && !found; i--) { /* the newest first */
        const struct sibling *b = &all.v.p[i - 1];
        if (!b->is_rotated || strcmp(b->path, t->slot->path) == 0 || !open_sibling(in, b, ret))
            continue;
        found = !is_of_inode(in, b, ret) && tail_is_copy(t, ret);
        if (!found)
            reader_close(ret);
        *st = b->st;
    }
    siblings_fini(&all);
    return found;
}

/* A copy of what `t` was, as copytruncate makes one before it cuts. */
static bool find_old_content(struct input_file *in, const struct tail *t, struct reader *ret,
                             struct stat *st)
{
    bool found = find_old_content_once(in, t, ret, st);

    for (int i = 2; i <= LISTINGS_MAX && !found && in->name_went; i++) {
        metric_add(METRIC_LISTINGS_STALE, 1);
        found = find_old_content_once(in, t, ret, st);
    }
    return found;
}

void input_file_replaced(struct input_file *in, struct tail *t)
{
    struct checkpoint_file *f = t->file;
    uint64_t pos = t->pos, seen = t->seen > f->seen ? t->seen : f->seen;
    struct reader_stat copied = {0};
    struct reader copy;
    struct tail *old;
    struct stat st;
    bool found = find_old_content(in, t, &copy, &st);

    if (found)
        (void)reader_stat(&copy, &copied); /* it was read a moment ago */
    old = tail_split(t, found ? &copy : NULL);
    drop_inode(in, f);
    if (found) {
        old->dev = st.st_dev;
        old->ino = st.st_ino;
        bind(in, f, st.st_dev, st.st_ino);
        metric_add(METRIC_FILES_RECOVERED, 1);
    } else {
        old->unlinked = true; /* there is no such file any more */
    }
    log_info("file.truncated", LOG_Z("file", t->path),
             LOG_U64("unread_bytes", seen > pos ? seen - pos : 0),
             LOG_Z("copy", found ? "found" : "none"));
    if (!found && seen > pos) {
        input_file_gap(in, "truncated", f, pos, seen);
        checkpoint_skip(in->opt.checkpoint, f, pos, seen); /* reported once */
        old->pos = old->scanned = old->seen = seen;
    }
    if (found && copied.is_sure && seen > copied.size) { /* written between copying and cutting */
        input_file_gap(in, "truncated", f, copied.size, seen);
        f->seen = copied.size;
    }
    tail_register(t, &in->reader);
    slot_add_file(in, t->slot, t->file);
    add_tail(in, t->slot, old, t);
    input_file_make_ready(in, t);
}

/* ---- globs ---- */

/* Only what is there at the first start counts as old. */
static void skip_old(struct input_file *in, struct tail *t)
{
    if (in->first_scan && in->source->from_end && !t->adopted && t->slot->tails.n == 1)
        tail_skip(t, &in->reader);
}

static bool is_wanted(const struct input_file *in, const char *path)
{
    for (size_t i = 0; i < in->source->exclude.n; i++)
        if (watch_matches(in->source->exclude.v[i], path))
            return false;
    return !own_is(&in->own, str_of(path));
}

/* The journal's entry for an open file that nobody follows. */
static struct checkpoint_file *find_entry(struct input_file *in, const char *path,
                                          const struct stat *st, struct reader *from)
{
    struct checkpoint_file *f = find_inode(in, st->st_dev, st->st_ino), *best = NULL;
    struct slot *s = map_get(in->slots, str_of(path));

    if (f != NULL && tail_is_file(from, f))
        return f;
    for (size_t i = 0; s != NULL && i < s->of.n; i++) { /* renumbered devices; the inode cut */
        struct checkpoint_file *old = s->of.p[i];
        if (old->ino == st->st_ino && old->user == NULL && tail_is_file(from, old) &&
            (best == NULL || old->no > best->no))
            best = old;
    }
    if (best == NULL && f != NULL) { /* cut, or used again: the slot looks for what it was */
        drop_inode(in, f);
        input_file_look_later(in, slot_of(in, f->path));
    }
    return best;
}

/* Is `path`, file `st`, a copy of one that is followed: in the making, when it will be told apart
 * later, or made just now? */
static bool is_copy_of_followed(struct input_file *in, const char *path, const struct stat *st,
                                struct reader *from)
{
    const char *end = path + strlen(path);

    while (end > path && end[-1] != '/') {
        struct str name = {path, (size_t)(--end - path)};
        const struct slot *s = strchr(".-_", *end) == NULL ? NULL : map_get(in->slots, name);
        struct tail *t = s == NULL ? NULL : newest(s);
        if (t == NULL || t->from.fd < 0)
            continue;
        if (tail_look(t) == TAIL_REPLACED)
            input_file_replaced(in, t);
        if (find_inode(in, st->st_dev, st->st_ino) != NULL ||
            reader_have_same_bytes(from, &t->from))
            return true;
    }
    return false;
}

/* By this name or another. */
static bool is_followed(const struct input_file *in, const struct stat *st)
{
    const struct checkpoint_file *f = find_inode(in, st->st_dev, st->st_ino);

    return f != NULL && f->user != NULL;
}

void input_file_found(struct input_file *in, const char *path)
{
    struct checkpoint_file *f;
    struct reader from;
    struct tail *t;
    struct stat st;
    struct err err;

    if (!is_wanted(in, path))
        return;
    if (opener_stat(in->set->opener, path, &st, &err) < 0) {
        if (err.code != ERR_GONE)
            input_file_complain(in, path, err.sys);
        else
            input_file_missed(in, MISSED_NAME, str_of(path));
        return;
    }
    if (!S_ISREG(st.st_mode) || is_followed(in, &st))
        return;
    in->name_went = false;
    reader_open(&from, open_log(in, path), reader_is_packed(str_of(path)));
    if (from.fd < 0) {
        reader_close(&from);
        if (in->name_went)
            input_file_missed(in, MISSED_NAME, str_of(path));
        return;
    }
    if (fstat(from.fd, &st) < 0 || is_followed(in, &st)) { /* the name went to another file */
        reader_close(&from);
        return;
    }
    f = find_entry(in, path, &st, &from);
    if (f != NULL ? strcmp(f->path, path) != 0 && is_done(f, &from)
                  : is_copy_of_followed(in, path, &st, &from)) {
        reader_close(&from);
        return;
    }
    t = follow(in, slot_of(in, path), &from, f, NULL);
    if (t == NULL)
        return;
    skip_old(in, t);
    if (in->source->is_spool || t->adopted)
        return;
    /* Its first file that we see need not be the first that there was. */
    t->slot->is_new = t->slot->is_new || (!in->is_first && t->slot->of.n == 1);
    if (t->slot->is_new || t->slot->of.n > 1)
        input_file_look(in, t->slot);
}

void input_file_glob(struct input_file *in)
{
    dur_ns begin = time_mono();

    in->is_first = true;
    in->began = time_now();
    watch_forget(in->watch);
    for (size_t i = 0; i < in->set->n; i++)
        for (size_t p = 0; p < in->set->v[i].paths.n; p++)
            watch_add(in->watch, in->set->v[i].paths.v[p], &in->set->v[i]);
    in->is_first = false;
    in->walked_at = time_mono();
    in->walk_took = in->walked_at - begin;
}

void input_file_walk(struct input_file *in)
{
    dur_ns begin = time_mono();

    watch_walk(in->watch);
    in->walked_at = time_mono();
    in->walk_took = in->walked_at - begin;
}
