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
 *
 * What cannot be opened or read now (a disk that stutters, no descriptor left, no answer) may be
 * any of this: nothing is concluded from it.  Entries that it may be wait, and the slot is looked
 * at again after RETRY_MS, then after twice as long, and so on.
 */
#include "collector/input_file_internal.h"

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
    RETRY_MS = 1000,   /* to look again at what could not be read, and longer each time, */
    RETRY_MAX_MS = 30000,
    SOUGHT_MAX = 8, /* of a slot: files that were cut, and nobody knows yet of a copy */
};

/* ---- siblings ---- */

/* For questions that open or read: 1: yes, 0: no, -1: nobody can tell now, and in->unreadable is
 * set. */

/* Open it in *ret.  0: it is not there, or never to be opened. */
static int open_sibling(struct input_file *in, const struct sibling *b, struct reader *ret)
{
    int fd = input_file_open_log(in, b->path);
    struct stat st;

    if (fd < 0)
        return fd == INPUT_FILE_LATER ? -1 : 0;
    if (fstat(fd, &st) < 0 || st.st_ino != b->st.st_ino || st.st_dev != b->st.st_dev) {
        (void)close(fd);
        in->name_went = true; /* to another file */
        return 0;
    }
    reader_open(ret, fd, b->is_packed);
    return 1;
}

/* false: some of them could not be seen. */
static bool list(struct input_file *in, const char *path, struct siblings *ret)
{
    struct err err;
    int r = siblings_list(in->set->opener, path, ret, &err);

    if (r == 0 || !opener_may_pass(err.sys))
        return true;
    errno = err.sys;
    (void)input_file_told(in, path, -1);
    return false;
}

void input_file_look_later(struct input_file *in, struct slot *s)
{
    s->look_at = 0;
    if (s->look_due)
        return;
    s->look_due = true;
    VEC_PUSH(&in->looks, s);
}

/* What it was about could not be read. */
static void look_after_a_while(struct input_file *in, struct slot *s)
{
    s->retry_ms = s->retry_ms == 0 ? RETRY_MS : 2 * s->retry_ms;
    if (s->retry_ms > RETRY_MAX_MS)
        s->retry_ms = RETRY_MAX_MS;
    input_file_look_later(in, s);
    s->look_at = time_mono() + (dur_ns)s->retry_ms * NS_PER_MS;
}

/* Is open sibling `b` known by its inode?  Those of files that are gone are used again, and rotated
 * ones are written over.  -1 with errno only. */
static int is_of_inode(struct input_file *in, const struct sibling *b, struct reader *from)
{
    const struct checkpoint_file *f = input_file_find_inode(in, b->st.st_dev, b->st.st_ino);
    struct tail *t = f == NULL ? NULL : f->user;
    struct checkpoint_file head;

    if (t != NULL && input_file_successor(t) != NULL && tail_look(t) == TAIL_REPLACED) {
        bool went = in->name_went;
        input_file_replaced(in, t); /* it lists, too */
        in->name_went = in->name_went || went;
        return input_file_find_inode(in, b->st.st_dev, b->st.st_ino) != NULL;
    }
    if (f == NULL || t != NULL)
        return f != NULL;
    head = (struct checkpoint_file){.head_len = f->head_len, .head_hash = f->head_hash};
    return tail_is_file(from, &head);
}

/* Is all of `f`, which is `from`, planned and acknowledged?  -1 with errno only. */
static int is_done(const struct checkpoint_file *f, struct reader *from)
{
    uint64_t end = checkpoint_file_end(f);
    struct reader_stat st;
    int r;

    if (f->unacked > 0 || f->planned.n != 1 || f->planned.p[0].start != 0)
        return 0;
    if (from->packed == NULL)
        return reader_stat(from, &st) < 0 ? -1 : st.size == end;
    if (reader_is_claimed(from, end))
        return 1;
    r = reader_reaches(from, end + 1);
    return r < 0 ? r : !r;
}

/* The file of entry `f`, which is followed or one of `all`. */
static int has_bytes_of(struct input_file *in, const struct siblings *all,
                        const struct checkpoint_file *f, struct reader *from)
{
    struct tail *t = f->user;
    struct reader other;
    int same = 0;

    if (t != NULL)
        return t->from.fd < 0 ? 0 : reader_have_same_bytes(from, &t->from);
    for (size_t i = 0; i < all->v.n; i++) {
        if (all->v.p[i].entry != f)
            continue;
        same = open_sibling(in, &all->v.p[i], &other);
        if (same == 1) {
            same = reader_have_same_bytes(from, &other);
            reader_close(&other);
        }
        break;
    }
    return same;
}

/* ---- content that was replaced ---- */

/* As the other questions. */
static int find_old_content_once(struct input_file *in, const struct tail *t, struct reader *ret,
                                 struct stat *st)
{
    struct siblings all;
    int found = 0;
    bool blind;

    in->name_went = false;
    blind = !list(in, t->slot->path, &all);
    for (size_t i = all.v.n; i > 0 && found != 1; i--) { /* the newest first */
        const struct sibling *b = &all.v.p[i - 1];
        int is;
        if (!b->is_rotated || strcmp(b->path, t->slot->path) == 0)
            continue;
        is = open_sibling(in, b, ret);
        if (is == 1) {
            is = is_of_inode(in, b, ret);
            is = is == 0 ? tail_is_copy(t, ret) : is == 1 ? 0 : is;
            is = input_file_told(in, b->path, is);
            if (is != 1)
                reader_close(ret);
        }
        if (is != 0)
            found = is;
        *st = b->st;
    }
    siblings_fini(&all);
    return found == 0 && blind ? -1 : found;
}

/* A copy of what `t` was, as copytruncate makes one before it cuts. */
static int find_old_content(struct input_file *in, const struct tail *t, struct reader *ret,
                            struct stat *st)
{
    int found = find_old_content_once(in, t, ret, st);

    for (int i = 2; i <= LISTINGS_MAX && found == 0 && in->name_went; i++) {
        metric_add(METRIC_LISTINGS_STALE, 1);
        found = find_old_content_once(in, t, ret, st);
    }
    return found;
}

/* `old`, which was cut, goes on in `copy`, file `st`. */
static void go_on_in_copy(struct input_file *in, struct tail *old, struct reader *copy,
                          const struct stat *st)
{
    uint64_t seen = old->seen > old->file->seen ? old->seen : old->file->seen;
    struct reader_stat copied;

    old->from = *copy;
    old->dev = st->st_dev;
    old->ino = st->st_ino;
    input_file_bind(in, old->file, st->st_dev, st->st_ino);
    metric_add(METRIC_FILES_RECOVERED, 1);
    if (reader_stat(copy, &copied) == 0 && copied.is_sure && seen > copied.size) {
        /* written between copying and cutting */
        input_file_gap(in, "truncated", old->file, copied.size, seen);
        old->seen = old->file->seen = copied.size;
    }
}

/* There is no such file any more. */
static void end_without_copy(struct input_file *in, struct tail *old)
{
    struct checkpoint_file *f = old->file;
    uint64_t seen = old->seen > f->seen ? old->seen : f->seen;

    old->unlinked = true;
    input_file_lose_held(in, old, "truncated");
    if (seen > old->pos) {
        input_file_gap(in, "truncated", f, old->pos, seen);
        checkpoint_skip(in->opt.checkpoint, f, old->pos, seen); /* reported once */
        old->scanned = old->seen = old->pos = seen;
    }
    input_file_end(in, old);
}

static size_t count_sought(const struct slot *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->tails.n; i++)
        n += s->tails.p[i]->sought;
    return n;
}

/* Look for the copy of `old`, which was cut.  -1: it is not known yet whether there is one. */
static int seek_copy(struct input_file *in, struct tail *old)
{
    struct reader copy;
    struct stat st;
    int found = find_old_content(in, old, &copy, &st);

    old->sought = found < 0 && (old->sought || count_sought(old->slot) < SOUGHT_MAX);
    if (old->sought)
        return -1;
    old->caught_up = false;
    if (found == 1) {
        go_on_in_copy(in, old, &copy, &st);
        input_file_make_ready(in, old);
    } else {
        end_without_copy(in, old);
    }
    return found == 1;
}

/* Once more, where it is not known yet. */
static void seek_again(struct input_file *in, const struct slot *s)
{
    for (size_t i = 0; i < s->tails.n; i++)
        if (s->tails.p[i]->sought)
            (void)seek_copy(in, s->tails.p[i]);
}

/* What the log was, up to `seen`, is sought for `old`, of which nothing can be read. */
static void seek_content(struct input_file *in, struct tail *old, uint64_t seen)
{
    static const char *const COPY[] = {"not known yet", "none", "found"};
    struct checkpoint_file *f = old->file;
    uint64_t pos = old->pos;
    int found;

    old->seen = seen;
    old->caught_up = true; /* while it is sought */
    found = seek_copy(in, old);
    log_info("file.truncated", LOG_Z("file", old->path),
             LOG_U64("unread_bytes", seen > pos ? seen - pos : 0), LOG_Z("copy", COPY[found + 1]));
    if (found < 0) { /* the next start has to know as much */
        checkpoint_seen(in->opt.checkpoint, f, seen);
        look_after_a_while(in, old->slot);
    }
}

/* A rotated file has other content now: what that is, a copy of a younger one perhaps, a listing
 * tells. */
static void was_written_over(struct input_file *in, struct tail *t)
{
    uint64_t seen = t->seen > t->file->seen ? t->seen : t->file->seen;

    input_file_unbind(in, t);
    reader_close(&t->from);
    t->has_room = t->ends_in_zero = false;
    metric_add(METRIC_FILES_TRUNCATED, 1);
    seek_content(in, t, seen);
    input_file_look_later(in, t->slot);
}

void input_file_replaced(struct input_file *in, struct tail *t)
{
    struct checkpoint_file *f = t->file;
    uint64_t seen = t->seen > f->seen ? t->seen : f->seen;
    struct tail *old;

    if (input_file_successor(t) != NULL) {
        was_written_over(in, t);
        return;
    }
    old = tail_split(t);
    t->until = 0; /* of what it is now nothing was there */
    input_file_drop_inode(in, f);
    input_file_add_tail(in, t->slot, old, t);
    seek_content(in, old, seen);
    tail_register(t, &in->reader);
    input_file_slot_add_file(in, t->slot, t->file);
    (void)tail_look(t); /* should it be cut again before it is read, that much is known of it */
    input_file_make_ready(in, t);
}

/* ---- which sibling is which ---- */

/* Is sibling `b`, of which the journal knows nothing, only another form of a file that it does
 * know: a copy in the making, or compressed already while the plain one is still there? */
static int is_twin(struct input_file *in, const struct slot *s, const struct siblings *all,
                   const struct sibling *b, struct reader *from)
{
    for (size_t i = 0; i < s->of.n; i++) {
        const struct checkpoint_file *f = s->of.p[i];
        struct checkpoint_file head = {.head_len = f->head_len, .head_hash = f->head_hash};
        int r;
        if (f->head_len == 0 || (!b->is_packed && f->user != input_file_newest(s)))
            continue;
        r = tail_is_file(from, &head);
        if (r == 1)
            r = has_bytes_of(in, all, f, from);
        if (input_file_told(in, b->path, r) != 0)
            return r;
    }
    return 0;
}

/* Is sibling `b` the file of entry `f`, as its inode says? */
static int has_beginning_of(struct input_file *in, const struct sibling *b,
                            const struct checkpoint_file *f)
{
    struct reader from;
    int r = open_sibling(in, b, &from);

    if (r != 1)
        return r;
    r = input_file_told(in, b->path, tail_is_file(&from, f));
    reader_close(&from);
    return r;
}

/* Entries by inode: followed ones are believed, others when their beginning is right. */
static void match_inodes(struct input_file *in, const struct slot *s, struct siblings *all)
{
    for (size_t i = 0; i < all->v.n; i++) {
        struct sibling *b = &all->v.p[i];
        struct checkpoint_file *f = input_file_find_inode(in, b->st.st_dev, b->st.st_ino);
        int is = 1;
        for (size_t k = 0; f == NULL && k < s->of.n; k++)
            if (s->of.p[k]->ino == b->st.st_ino && s->of.p[k]->user == NULL)
                f = s->of.p[k]; /* some devices are renumbered at boot */
        if (f == NULL || (f->user == NULL && strcmp(f->path, s->path) != 0))
            continue;
        if (f->user == NULL)
            is = has_beginning_of(in, b, f);
        b->is_unread = is < 0;
        if (is != 0)
            b->entry = f;
    }
}

static struct sibling *sibling_of(struct siblings *all, const struct checkpoint_file *f)
{
    for (size_t i = 0; i < all->v.n; i++)
        if (all->v.p[i].entry == f)
            return &all->v.p[i];
    return NULL;
}

/* What keeps an entry that has no file from being lost. */
struct doubt {
    bool is_unsure; /* one that may be its copy was not whole yet, */
    bool waits;     /* or could not be read */
};

/* A copy of `f`, whose own file is gone or cut. */
static struct sibling *find_copy(struct input_file *in, const struct slot *s, struct siblings *all,
                                 struct checkpoint_file *f, struct doubt *doubt)
{
    const struct sibling *last = all->v.n == 0 ? NULL : &all->v.p[all->v.n - 1];
    const struct sibling *base = last != NULL && strcmp(last->path, s->path) == 0 ? last : NULL;
    bool is_cut = base != NULL && base->st.st_ino == f->ino;

    for (size_t i = 0; i < all->v.n && f->head_len > 0; i++) {
        struct sibling *b = &all->v.p[i];
        struct reader from;
        int same;
        if (!b->is_rotated || b->entry != NULL || b == base || (!b->is_packed && !is_cut))
            continue;
        same = open_sibling(in, b, &from);
        if (same == 1) {
            same = input_file_told(in, b->path, tail_is_file(&from, f));
            if (same == 0 && b->is_packed && reader_reaches(&from, f->head_len) != 1)
                doubt->is_unsure = true;
            reader_close(&from);
        }
        if (same == 1)
            return b;
        doubt->waits = doubt->waits || same < 0;
    }
    return NULL;
}

/* Every entry of the slot that is not followed gets its sibling, or is lost: then s->older_gone is
 * set if it was older than what is there now. */
static void match_rest(struct input_file *in, struct slot *s, struct siblings *all)
{
    const struct tail *last = input_file_newest(s);
    bool missed = false;

    for (size_t i = s->of.n; i > 0; i--) {
        struct checkpoint_file *f = s->of.p[i - 1];
        struct sibling *b = sibling_of(all, f);
        struct doubt doubt = {false, in->blind || input_file_waits_in_keep(in, f)};
        if (f->user != NULL || b != NULL)
            continue;
        b = find_copy(in, s, all, f, &doubt);
        if (b != NULL) {
            b->entry = f;
            input_file_bind(in, f, b->st.st_dev, b->st.st_ino);
            continue;
        }
        if (doubt.waits) {
            in->unreadable = true;
            continue;
        }
        if (s->missed_at == 0)
            s->missed_at = time_mono();
        doubt.is_unsure = doubt.is_unsure || in->name_went;
        if (time_mono() - s->missed_at < (doubt.is_unsure ? UNSURE_MS : MISSED_MS) * NS_PER_MS) {
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
static int is_in_making(const struct sibling *b, struct reader *from)
{
    ts_ns written = b->st.st_mtim.tv_sec * NS_PER_S + b->st.st_mtim.tv_nsec;
    int r = b->is_packed ? reader_reaches(from, CHECKPOINT_HEAD_MAX) : 1;
    struct reader_stat st;

    if (r != 0)
        return r < 0 ? r : 0;
    return (reader_stat(from, &st) < 0 || st.damaged || st.size == 0) &&
           time_now() - written < MAKING_MS * NS_PER_MS;
}

/* The log was cut, and nobody has noticed yet: what seems new is the copy of what it was. */
static bool is_cut_unnoticed(struct input_file *in, const struct slot *s)
{
    struct tail *t = input_file_newest(s);

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
    int r;

    if (b->entry != NULL)
        return input_file_told(in, b->path, is_done(b->entry, from)) == 0;
    if (input_file_told(in, b->path, is_of_inode(in, b, from)) != 0)
        return false;
    r = input_file_told(in, b->path, is_in_making(b, from));
    if (r == 1)
        in->look_again = true;
    return r == 0 && is_twin(in, s, all, b, from) == 0 && !in->name_went &&
           !is_cut_unnoticed(in, s);
}

/* Where sibling `i` has its place among those of the slot that are followed, by their names now:
 * what was opened as the log itself may have been rotated since, too.  NULL: it is the last. */
static const struct tail *behind_sibling(const struct slot *s, const struct siblings *all, size_t i)
{
    const struct tail *newest = input_file_newest(s);

    for (size_t k = i + 1; k < all->v.n; k++) {
        const struct checkpoint_file *f = all->v.p[k].entry;
        if (f != NULL && f->user != NULL && ((struct tail *)f->user)->slot == s)
            return f->user;
    }
    for (size_t k = 0; k < i; k++)
        if (newest != NULL && newest->file != NULL && all->v.p[k].entry == newest->file)
            return NULL;
    return newest != NULL && newest->from.kept != NULL ? NULL : newest;
}

/* Follow what has to be read, oldest first: behind one whose name went nothing is. */
static void follow_siblings(struct input_file *in, struct slot *s, struct siblings *all)
{
    bool known = s->older_gone;

    for (size_t i = 0; i < all->v.n && !in->name_went; i++) {
        const struct sibling *b = &all->v.p[i];
        struct checkpoint_file *f = b->entry;
        struct reader from;
        struct tail *t;
        known = known || f != NULL;
        if (b->is_unread || (f != NULL && f->user != NULL) ||
            (f == NULL && ((!known && !is_ours(in, s, b)) || !b->is_rotated)) ||
            strcmp(b->path, s->path) == 0 || open_sibling(in, b, &from) != 1)
            continue;
        if (!is_to_read(in, s, all, b, &from)) {
            reader_close(&from);
            continue;
        }
        reader_rest(&from);
        log_info("file.found", LOG_Z("file", b->path), LOG_Z("of", s->path));
        metric_add(METRIC_FILES_RECOVERED, 1);
        t = input_file_follow(in, s->path, &from, f, behind_sibling(s, all, i));
        if (t != NULL)
            t->came = true; /* whatever event there is, it is not of its name now */
    }
}

static bool is_excluded(const struct source *source, const char *path)
{
    for (size_t i = 0; i < source->exclude.n; i++)
        if (watch_matches(source->exclude.v[i], path))
            return true;
    return false;
}

const struct source *input_file_source_of(const struct input_file *in, const char *path)
{
    for (size_t i = 0; i < in->set->n; i++)
        for (size_t p = 0; p < in->set->v[i].paths.n; p++)
            if (watch_matches(in->set->v[i].paths.v[p], path) && !is_excluded(&in->set->v[i], path))
                return &in->set->v[i];
    return NULL;
}

/* By one listing; in->name_went: it was not true any more. */
static void look_once(struct input_file *in, struct slot *s, bool is_last)
{
    struct siblings all;

    in->look_again = in->name_went = in->unreadable = false;
    in->blind = !list(in, s->path, &all);
    match_inodes(in, s, &all);
    if (!in->name_went || is_last) /* who renames without end does not keep entries for ever */
        match_rest(in, s, &all);
    follow_siblings(in, s, &all);
    siblings_fini(&all);
    if (in->name_went)
        metric_add(METRIC_LISTINGS_STALE, 1);
    else if (!in->unreadable)
        s->is_new = s->older_gone = false;
}

void input_file_look(struct input_file *in, struct slot *s)
{
    const struct source *before = in->source;
    const struct tail *newest = input_file_newest(s);
    bool was_busy = s->busy, is_back;

    in->source =
        newest != NULL && !newest->unasked ? newest->source : input_file_source_of(in, s->path);
    in->look_again = in->name_went = in->unreadable = false;
    s->busy = true; /* it must not vanish under our hands */
    seek_again(in, s);
    if (in->source != NULL) { /* else nobody wants it now: perhaps after another reload */
        look_once(in, s, false);
        for (int i = 2; i <= LISTINGS_MAX && in->name_went; i++)
            look_once(in, s, i == LISTINGS_MAX);
    }
    is_back = s->retry_ms > 0 && !in->unreadable && count_sought(s) == 0;
    if (is_back)
        s->retry_ms = 0;
    if (in->look_again || in->name_went)
        input_file_look_later(in, s);
    else if (in->unreadable || count_sought(s) > 0)
        look_after_a_while(in, s);
    if (is_back && in->source != NULL) /* what has its name now could not be opened, perhaps */
        (void)input_file_found(in, s->path, NULL);
    s->busy = was_busy;
    in->source = before;
    input_file_slot_check(in, s);
}

bool input_file_may_come(const struct input_file *in, const struct checkpoint_file *f)
{
    const struct slot *s = map_get(in->slots, str_of(f->path));

    return f->user == NULL && !f->dead && s != NULL &&
           (s->look_due || input_file_waits_in_keep(in, f));
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

/* ---- globs ---- */

/* Only what is there at the first start counts as old. */
static void skip_old(struct input_file *in, struct tail *t)
{
    if (in->first_scan && in->source->from_end && !t->adopted && t->slot->tails.n == 1)
        tail_skip(t, &in->reader);
}

static bool is_wanted(const struct input_file *in, const char *path)
{
    return !is_excluded(in->source, path) && !own_is(&in->own, str_of(path));
}

/* The journal's entry for an open file that nobody follows; *ret NULL: there is none.  -1 and
 * errno: nobody can tell now. */
static int find_entry(struct input_file *in, const char *path, const struct stat *st,
                      struct reader *from, struct checkpoint_file **ret)
{
    struct checkpoint_file *f = input_file_find_inode(in, st->st_dev, st->st_ino), *best = f;
    struct slot *s = map_get(in->slots, str_of(path));
    int r = f == NULL ? 0 : tail_is_file(from, f);

    if (r == 0)
        best = NULL;
    for (size_t i = 0; r == 0 && s != NULL && i < s->of.n;
         i++) { /* renumbered devices; the inode cut */
        struct checkpoint_file *old = s->of.p[i];
        int is;
        if (old->ino != st->st_ino || old->user != NULL || (best != NULL && old->no < best->no))
            continue;
        is = tail_is_file(from, old);
        if (is < 0)
            return -1;
        if (is == 1)
            best = old;
    }
    if (best == NULL && f != NULL) { /* cut, or used again: the slot looks for what it was */
        input_file_drop_inode(in, f);
        input_file_look_later(in, input_file_slot_of(in, f->path));
    }
    *ret = best;
    return r < 0 ? r : 0;
}

/* Is `path`, file `st`, a copy of one that is followed: in the making, when it will be told apart
 * later, or made just now? */
static int is_copy_of_followed(struct input_file *in, const char *path, const struct stat *st,
                               struct reader *from)
{
    const char *end = path + strlen(path);

    while (end > path && end[-1] != '/') {
        struct str name = {path, (size_t)(--end - path)};
        const struct slot *s = strchr(".-_", *end) == NULL ? NULL : map_get(in->slots, name);
        struct tail *t = s == NULL ? NULL : input_file_newest(s);
        int same;
        if (t == NULL || t->from.fd < 0)
            continue;
        if (tail_look(t) == TAIL_REPLACED)
            input_file_replaced(in, t);
        else
            seek_again(in, s);
        same = input_file_find_inode(in, st->st_dev, st->st_ino) != NULL
                   ? 1
                   : reader_have_same_bytes(from, &t->from);
        if (same != 0)
            return same;
    }
    return 0;
}

/* By this name or another. */
static struct tail *followed(const struct input_file *in, const struct stat *st)
{
    const struct checkpoint_file *f = input_file_find_inode(in, st->st_dev, st->st_ino);

    return f == NULL ? NULL : f->user;
}

/* Is open file `from` to be followed under `path`, as *ret or (NULL) as a new one?  As the others.
 */
static int is_to_follow(struct input_file *in, const char *path, const struct stat *st,
                        struct reader *from, struct checkpoint_file **ret)
{
    int r = find_entry(in, path, st, from, ret);

    if (r == 0 && *ret == NULL)
        r = is_copy_of_followed(in, path, st, from);
    else if (r == 0 && strcmp((*ret)->path, path) != 0)
        r = is_done(*ret, from);
    r = input_file_told(in, path, r);
    return r < 0 ? r : !r;
}

struct tail *input_file_found(struct input_file *in, const char *path, const struct stat *listed)
{
    struct checkpoint_file *f = NULL;
    struct reader from;
    struct tail *t;
    struct stat st;
    struct err err;
    int fd, r;

    if (!is_wanted(in, path))
        return NULL;
    t = listed == NULL ? NULL : followed(in, listed);
    if (t != NULL)
        return t;
    if (opener_stat(in->set->opener, path, &st, &err) < 0) {
        if (err.code != ERR_GONE)
            input_file_complain(in, path, err.sys);
        else
            input_file_missed(in, MISSED_NAME, str_of(path));
        return NULL;
    }
    t = followed(in, &st);
    if (!S_ISREG(st.st_mode) || t != NULL)
        return t;
    in->name_went = false;
    fd = input_file_open_log(in, path);
    reader_open(&from, fd < 0 ? -1 : fd, reader_is_packed(str_of(path)));
    if (from.fd < 0) {
        reader_close(&from);
        if (in->name_went)
            input_file_missed(in, MISSED_NAME, str_of(path));
        return NULL;
    }
    r = fstat(from.fd, &st);
    t = r < 0 ? NULL : followed(in, &st);
    if (r < 0 || t != NULL) { /* the name went to another file */
        reader_close(&from);
        return t;
    }
    r = is_to_follow(in, path, &st, &from, &f);
    if (r != 1) { /* or not yet: it is come upon again */
        in->unfollowed = in->unfollowed || r < 0;
        reader_close(&from);
        return NULL;
    }
    t = input_file_follow(in, path, &from, f, NULL);
    if (t == NULL)
        return NULL;
    skip_old(in, t);
    if (in->source->is_spool || t->adopted)
        return t;
    /* Its first file that we see need not be the first that there was. */
    t->slot->is_new = t->slot->is_new || (!in->is_first && t->slot->of.n == 1);
    if (t->slot->is_new || t->slot->of.n > 1)
        input_file_look(in, t->slot);
    return t;
}

void input_file_glob(struct input_file *in)
{
    dur_ns begin = time_mono();

    in->is_first = true;
    in->unfollowed = false;
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

    in->unfollowed = false;
    watch_walk(in->watch);
    in->walked_at = time_mono();
    in->walk_took = in->walked_at - begin;
}
