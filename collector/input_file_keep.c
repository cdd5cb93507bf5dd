/*
 * collector/input_file_keep.c - contract: input_file_internal.h.  Logs that were deleted before
 * they were read.
 *
 * A log that has lost its last name stays on the disk as long as we hold it open, so as a rule
 * nothing has to be done but to read it.  It is copied to keep/ (packed, a tenth of its size) when
 * such logs take more than 1/SHARE of spool.bytes, and when we end.  Pinned and kept together stay
 * below spool.bytes: beyond that the oldest goes, and is a gap of the bytes that were not read.
 * Logs that are over it only because they are not packed yet have GRACE_MS for that.
 *
 * A copy is made of everything that is not certainly at the server, also of what is on its way: a
 * chunk that was planned must be built again from the same bytes.  Killed between writing some of
 * it and saying so in the journal, we find more in keep/ than was promised: that is read like the
 * rest, and promised before anything is planned of it.
 */
#include "base/log.h"
#include "base/obj.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"
#include "collector/notice.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHARE = 4,
    STEP_BYTES = 4 << 20, /* at a time */
    QUIET_MS = 5000,      /* so long after its last byte a deleted log has no writer any more */
    RETRY_MS = 10000,
    RETRY_OVER_MS = 500,
    GRACE_MS = 10000,
    READ_RETRY_MS = 1000, /* what is in keep/ and cannot be read, and longer each time, */
    READ_RETRY_MAX_MS = 30000,
};

/* ---- which ---- */

static bool is_pinned(const struct tail *t)
{
    return t->unlinked && t->from.fd >= 0 && t->from.kept == NULL && !t->source->is_spool;
}

/* Is there something that only this file has? */
static bool is_needed(const struct input_file *in, const struct tail *t)
{
    return !t->caught_up || t->file->unacked > 0 ||
           checkpoint_file_certain(in->opt.checkpoint, t->file) < t->seen;
}

static bool is_quiet(const struct tail *t, dur_ns now)
{
    return now - t->seen_at >= QUIET_MS * NS_PER_MS;
}

/* Before something is given up for want of room it is tried often. */
static dur_ns retry_after(const struct input_file *in)
{
    return (in->over_since != 0 ? RETRY_OVER_MS : RETRY_MS) * NS_PER_MS;
}

/* Is it its turn to be copied while we run?  Packed ones are not: reading and copying at once would
 * unpack them again and again. */
static bool may_copy(const struct input_file *in, const struct tail *t, dur_ns now)
{
    uint64_t end = t->keeping == NULL ? 0 : keep_end(t->keeping);

    if (!is_pinned(t) || !reader_is_plain(&t->from) || !is_needed(in, t) ||
        (t->keep_failed_at != 0 && now - t->keep_failed_at < retry_after(in)))
        return false;
    return is_quiet(t, now) || t->seen >= end + KEEP_RAW_MAX;
}

static bool is_older(const struct tail *t, const struct tail *than)
{
    return than == NULL || t->file->no < than->file->no;
}

/* ---- copying ---- */

static int begin(struct input_file *in, struct tail *t, struct err *err)
{
    const struct checkpoint_file *f = t->file;
    struct keep_head head = {.incarnation = checkpoint_incarnation(in->opt.checkpoint),
                             .no = f->no,
                             .salt = f->salt,
                             .head_len = f->head_len,
                             .head_hash = f->head_hash,
                             .dev = f->dev,
                             .ino = f->ino,
                             .start = checkpoint_file_certain(in->opt.checkpoint, f)};
    struct keep_names names = {.path = str_of(f->path),
                               .described = tail_describe(t),
                               .labels = t->labels,
                               .attrs = t->attrs};

    return keep_begin(in->keep, &head, &names, &t->keeping, err);
}

/* Whole lines as far as there are any: a copy that ends early ends with one. */
static size_t cut_at_line(const char *p, size_t n)
{
    const char *nl = n < KEEP_RAW_MAX ? NULL : memrchr(p, '\n', n);

    return nl == NULL ? n : (size_t)(nl - p) + 1;
}

/* Some more of it; *more: and that is not all.  With `all` less than a frame, too. */
static int copy_some(struct tail *t, bool all, bool *more, struct err *err)
{
    char *p = mem_new(KEEP_RAW_MAX);
    size_t done = 0;
    int r = 0;

    *more = true;
    while (r == 0 && *more && done < STEP_BYTES) {
        ssize_t n = reader_read(&t->from, p, KEEP_RAW_MAX, keep_end(t->keeping));
        size_t take;
        if (n < 0)
            r = err_sys(err, "read %s", t->path);
        *more = n > 0 && (all || n == KEEP_RAW_MAX);
        if (!*more)
            break;
        take = cut_at_line(p, (size_t)n);
        r = keep_put(t->keeping, (struct str){p, take}, err);
        done += take;
    }
    free(p);
    return r;
}

/* One step.  What was copied counts even when the next byte could not be: keep and journal say so.
 */
static int copy(struct input_file *in, struct tail *t, bool all, bool *more, struct err *err)
{
    struct err why;
    int synced, r = t->keeping != NULL ? 0 : begin(in, t, err);

    *more = false;
    if (r < 0)
        return r;
    r = copy_some(t, all, more, err);
    synced = keep_sync(t->keeping, &why);
    if (synced == 0)
        checkpoint_kept(in->opt.checkpoint, t->file, keep_start(t->keeping), keep_end(t->keeping));
    else if (r == 0)
        *err = why;
    return r < 0 ? r : synced;
}

static void stop_copying(struct input_file *in, struct tail *t)
{
    keep_writer_free(&t->keeping);
    keep_remove(in->keep, t->file->no);
    checkpoint_kept(in->opt.checkpoint, t->file, 0, 0);
}

static void copy_failed(struct tail *t, dur_ns now, const struct err *err)
{
    metric_add(METRIC_SPOOL_FAILED, 1);
    if (t->keep_failed_at == 0) /* once; it is tried again and counted */
        log_error("spool.failed", LOG_Z("file", t->path), LOG_ERR(err));
    t->keep_failed_at = now;
}

/* All of it is in keep/: from now on it is read from there, and its place on the disk is free. */
static void move(struct input_file *in, struct tail *t)
{
    struct keep_reader *kept;
    struct err err;

    if (keep_read(in->keep, t->file->no, keep_end(t->keeping), &kept, &err) < 0) {
        copy_failed(t, time_mono(), &err);
        stop_copying(in, t);
        return;
    }
    log_info("file.kept", LOG_Z("file", t->path), LOG_U64("start", keep_start(t->keeping)),
             LOG_U64("end", keep_end(t->keeping)));
    keep_writer_free(&t->keeping);
    reader_close(&t->from);
    reader_open_kept(&t->from, kept);
    input_file_unbind(in, t);
    t->disk = 0;
}

/* ---- the budget ---- */

static bool is_same(const struct checkpoint *c, const struct keep_head *h,
                    const struct checkpoint_file *f)
{
    return h->incarnation == checkpoint_incarnation(c) && h->no == f->no && h->salt == f->salt;
}

/* The journal's entry.  After a renewal numbers are others: then by what the log looked like. */
static struct checkpoint_file *find_entry(const struct checkpoint *c, const struct keep_head *h,
                                          const struct keep_names *names)
{
    struct checkpoint_file *f = checkpoint_file_find(c, h->no);

    if (f != NULL && is_same(c, h, f))
        return f;
    if (h->incarnation == checkpoint_incarnation(c))
        return NULL;
    for (size_t i = 0; (f = checkpoint_file_at(c, i)) != NULL; i++)
        if (f->user == NULL && !f->dead && f->kept.end > 0 &&
            str_eq(str_of(f->path), names->path) && f->kept.start == h->start &&
            f->head_len == h->head_len && f->head_hash == h->head_hash)
            return f;
    return NULL;
}

/* What no input wants is the first to go. */
static void drop_unwanted(void *arg, const struct keep_head *head, const struct keep_names *names)
{
    struct input_file *in = arg;
    struct checkpoint *c = in->opt.checkpoint;
    struct checkpoint_file *f = find_entry(c, head, names);

    if (f == NULL || f->user != NULL || !is_same(c, head, f) ||
        (in->keep_waits && input_file_source_of(in, f->path) != NULL))
        return;
    if (keep_bytes(in->keep) <= in->opt.spool_bytes) {
        in->has_unwanted = true; /* for the next time */
        return;
    }
    if (f->kept.end > checkpoint_file_end(f))
        metric_add(METRIC_SPOOL_DROPPED_BYTES, f->kept.end - checkpoint_file_end(f));
    if (f->kept.end > f->seen)
        checkpoint_seen(c, f, f->kept.end);
    checkpoint_kept(c, f, 0, 0);
    input_file_lose(in, f, "spool_full");
    keep_remove(in->keep, head->no);
}

/* The oldest of which something is unread; NULL: there is none. */
static struct tail *oldest_unread(const struct input_file *in)
{
    struct tail *oldest = NULL;

    for (size_t i = 0; i < in->tails.n; i++) {
        struct tail *t = in->tails.p[i];
        if ((is_pinned(t) || t->from.kept != NULL) && t->seen > t->pos && is_older(t, oldest))
            oldest = t;
    }
    return oldest;
}

static uint64_t count_pinned(const struct input_file *in)
{
    uint64_t bytes = 0, n = 0;

    for (size_t i = 0; i < in->tails.n; i++)
        if (is_pinned(in->tails.p[i])) {
            bytes += in->tails.p[i]->disk;
            n++;
        }
    metric_set(METRIC_FILES_PINNED, n);
    metric_set(METRIC_PINNED_BYTES, bytes);
    return bytes;
}

/* What is on its way stays: killed now, it is built again from there. */
static void drop(struct input_file *in, struct tail *t)
{
    struct checkpoint_file *f = t->file;
    uint64_t pos = t->pos, end = 0;
    struct err err;

    metric_add(METRIC_SPOOL_DROPPED_BYTES, t->seen - t->pos);
    if (is_pinned(t)) /* its inode will be the next log's, long before all is acknowledged */
        input_file_unbind(in, t);
    input_file_give_up(in, t, "spool_full");
    if (f->unacked == 0 || f->kept.end == 0 || keep_cut(in->keep, f->no, pos, &end, &err) < 0) {
        keep_remove(in->keep, f->no);
        end = 0;
    }
    if (end < f->kept.end)
        checkpoint_kept(in->opt.checkpoint, f, end == 0 ? 0 : f->kept.start, end);
}

/* Must something go now? */
static bool is_over(struct input_file *in, uint64_t pinned, dur_ns now)
{
    if (pinned + keep_bytes(in->keep) <= in->opt.spool_bytes) {
        in->over_since = 0;
        return false;
    }
    if (in->over_since == 0)
        in->over_since = now;
    return keep_bytes(in->keep) > in->opt.spool_bytes ||
           now - in->over_since >= GRACE_MS * NS_PER_MS;
}

/* Returns what is pinned then. */
static uint64_t drop_oldest(struct input_file *in, dur_ns now)
{
    uint64_t pinned = count_pinned(in);
    struct tail *t;
    struct err err;

    if (keep_bytes(in->keep) > in->opt.spool_bytes && in->has_unwanted) {
        in->has_unwanted = false;
        if (keep_each(in->keep, drop_unwanted, in, &err) < 0)
            log_error("spool.failed", LOG_ERR(&err));
    }
    while (is_over(in, pinned, now) && (t = oldest_unread(in)) != NULL) {
        drop(in, t);
        pinned = count_pinned(in);
    }
    return pinned;
}

void input_file_keep(struct input_file *in, dur_ns now)
{
    uint64_t pinned = drop_oldest(in, now);
    struct tail *t = NULL;
    struct err err;
    bool more;

    in->keeping = false;
    if (pinned <= in->opt.spool_bytes / SHARE)
        return;
    for (size_t i = 0; i < in->tails.n; i++)
        if (may_copy(in, in->tails.p[i], now) && is_older(in->tails.p[i], t))
            t = in->tails.p[i];
    if (t == NULL)
        return;
    if (copy(in, t, is_quiet(t, now), &more, &err) < 0) {
        copy_failed(t, now, &err);
        if (t->keeping != NULL)
            stop_copying(in, t); /* the room may be what others need to go on */
    } else {
        t->keep_failed_at = 0;
        if (!more && is_quiet(t, now))
            move(in, t);
    }
    in->keeping = in->soon = true;
}

/* ---- the end ---- */

/* 1: there is more of it. */
static int keep_at_end(struct input_file *in, struct tail *t)
{
    bool is_new = t->keeping == NULL, more;
    struct err err;

    if (t->from.fd < 0)
        return 0;
    (void)tail_look(t);
    if (!is_pinned(t) || !is_needed(in, t))
        return 0;
    if (is_new && !reader_is_plain(&t->from))
        reader_rest(&t->from);
    if (copy(in, t, true, &more, &err) < 0) {
        checkpoint_seen(in->opt.checkpoint, t->file,
                        t->seen); /* the next start says what is lost */
        copy_failed(t, time_mono(), &err);
        return 0;
    }
    if (!more)
        log_info("file.kept", LOG_Z("file", t->path), LOG_U64("start", keep_start(t->keeping)),
                 LOG_U64("end", keep_end(t->keeping)));
    return more;
}

/* The oldest that takes room in keep/ and is not read; NULL: there is none. */
static struct tail *oldest_kept(const struct input_file *in)
{
    struct tail *oldest = NULL;

    for (size_t i = 0; i < in->tails.n; i++) {
        struct tail *t = in->tails.p[i];
        if ((t->keeping != NULL || t->from.kept != NULL) && t->seen > t->pos && is_older(t, oldest))
            oldest = t;
    }
    return oldest;
}

/* Within the budget.  Of what is only pinned nothing is left afterwards, but giving that up makes
 * no room. */
static void fit(struct input_file *in)
{
    struct tail *t;

    while (keep_bytes(in->keep) > in->opt.spool_bytes && (t = oldest_kept(in)) != NULL)
        drop(in, t);
}

static int youngest_first(const void *a, const void *b)
{
    const struct tail *x = *(struct tail *const *)a, *y = *(struct tail *const *)b;

    return x->file->no > y->file->no ? -1 : x->file->no < y->file->no;
}

/* So what does not fit any more is the oldest. */
static void sort_tails(struct input_file *in)
{
    if (in->tails.n > 1)
        qsort(in->tails.p, in->tails.n, sizeof(in->tails.p[0]), youngest_first);
    for (size_t i = 0; i < in->tails.n; i++)
        in->tails.p[i]->index = i;
}

static void on_drain(void *arg)
{
    struct input_file *in = arg;
    struct err err;

    for (; in->drained_to < in->tails.n; in->drained_to++) {
        struct tail *t = in->tails.p[in->drained_to];
        int r = keep_at_end(in, t);
        fit(in);
        if (r == 1) { /* acks have their turn */
            loop_timer_start(in->drain, 0, 0);
            return;
        }
        if (t->keeping != NULL)
            input_file_unbind(in, t);
    }
    (void)notice_retry(in->opt.own);
    if (checkpoint_sync(in->opt.checkpoint, &err) < 0)
        log_error("checkpoint.failed", LOG_ERR(&err));
    in->drain_done(in->drain_arg);
}

void input_file_drain(struct input_file *in, loop_fn *done, void *arg)
{
    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    INVARIANT(!in->started && in->drain == NULL);
    in->drain_done = done;
    in->drain_arg = arg;
    in->drained_to = 0;
    sort_tails(in);
    in->drain = loop_timer_new(in->opt.loop, on_drain, in);
    loop_timer_start(in->drain, 0, 0);
}

/* ---- the next start ---- */

/* What was written when we were killed, and the journal had not said yet: from now on it does, so
 * that what is planned of it can be built again after the next kill, too. */
static void promise(struct input_file *in, struct checkpoint_file *f, struct keep_reader *kept)
{
    uint64_t end = keep_reader_end(kept);
    struct err err;

    if (end <= f->kept.end)
        return;
    if (keep_reader_sync(kept, &err) == 0) {
        checkpoint_kept(in->opt.checkpoint, f, keep_reader_start(kept), end);
        return;
    }
    metric_add(METRIC_SPOOL_FAILED, 1);
    log_error("spool.failed", LOG_Z("file", f->path), LOG_ERR(&err));
}

/* NULL: nothing of `f` can be read; it is looked for elsewhere, and lost. */
static struct keep_reader *open_kept(struct input_file *in, struct checkpoint_file *f)
{
    struct keep_reader *kept;
    struct err err;

    if (keep_read(in->keep, f->no, f->kept.end, &kept, &err) < 0) {
        in->keep_waits = in->keep_waits || err.code == ERR_IO;
        input_file_complain(in, f->path, err.sys);
        return NULL;
    }
    (void)input_file_told(in, f->path, 0);
    if (f->kept.end == 0 && keep_reader_end(kept) == keep_reader_start(kept)) {
        keep_reader_free(&kept);
        keep_remove_orphan(in->keep, f->no, "nothing of its log is whole");
        return NULL;
    }
    promise(in, f, kept);
    return kept;
}

/* The first that is read after `f`, if it could not be read when it was its turn; NULL: nobody. */
static const struct tail *younger(const struct input_file *in, const struct checkpoint_file *f)
{
    const struct slot *s = map_get(in->slots, str_of(f->path));

    for (size_t i = 0; s != NULL && i < s->tails.n; i++)
        if (s->tails.p[i]->file != NULL && s->tails.p[i]->file->no > f->no)
            return s->tails.p[i];
    return NULL;
}

static void read_from_keep(struct input_file *in, struct checkpoint_file *f,
                           const struct keep_names *names)
{
    struct keep_reader *kept = open_kept(in, f);
    struct reader from;
    struct tail *t;

    if (kept == NULL)
        return;
    reader_open_kept(&from, kept);
    log_info("file.found", LOG_Z("file", "keep"), LOG_Z("of", f->path));
    metric_add(METRIC_FILES_RECOVERED, 1);
    t = input_file_follow(in, f->path, &from, f, younger(in, f));
    if (t == NULL)
        return;
    t->unlinked = true;
    if (names->described)
        tail_set_names(t, &names->labels, &names->attrs);
}

/* Nobody asks for it now. */
static void know_extent(struct input_file *in, struct checkpoint_file *f)
{
    struct keep_reader *kept = f->kept.end > 0 ? NULL : open_kept(in, f);

    keep_reader_free(&kept);
}

static void set_head(struct input_file *in, const struct keep_head *head, struct checkpoint_file *f)
{
    f->head_len = head->head_len; /* nor may another file be taken for it */
    f->head_hash = head->head_hash;
    checkpoint_file_changed(in->opt.checkpoint, f);
}

/* The number is on the disk first: drawn again after a kill, it would be another log's, and put
 * that in place of this one. */
static int adopt(struct input_file *in, const struct keep_head *head, struct checkpoint_file *f,
                 struct err *err)
{
    int r;

    set_head(in, head, f);
    r = checkpoint_sync(in->opt.checkpoint, err);
    return r < 0 ? r : keep_adopt(in->keep, head, f->no, f->salt, err);
}

/* No entry is there for what lies in keep/.  Of this incarnation it has a number already, which an
 * older journal that was put back does not know. */
static struct checkpoint_file *enter(struct input_file *in, const struct keep_head *head,
                                     const char *path)
{
    struct checkpoint *c = in->opt.checkpoint;
    struct checkpoint_file *f = NULL;

    if (head->incarnation == checkpoint_incarnation(c))
        f = checkpoint_file_again(c, head->no, head->salt, path);
    if (f == NULL)
        return checkpoint_file_new(c, 0, 0, path);
    set_head(in, head, f);
    return f;
}

static void take(void *arg, const struct keep_head *head, const struct keep_names *names)
{
    struct input_file *in = arg;
    struct checkpoint *c = in->opt.checkpoint;
    struct checkpoint_file *f = find_entry(c, head, names);
    char path[CHECKPOINT_PATH_MAX + 1];
    struct err err;
    bool is_new = f == NULL;

    if (f != NULL && f->user != NULL)
        return;
    in->source = input_file_source_of(in, str_to_z(names->path, path, sizeof(path)));
    if (in->source == NULL)
        in->has_unwanted = true; /* until a reload, or for good */
    if (is_new)                  /* also if nobody asks for it: what nobody knows nobody removes */
        f = enter(in, head, path);
    if (checkpoint_file_end(f) < head->start) /* all of that was at the server */
        checkpoint_skip(c, f, checkpoint_file_end(f), head->start);
    if (!is_same(c, head, f) && adopt(in, head, f, &err) < 0) {
        log_error("spool.failed", LOG_Z("file", path), LOG_ERR(&err));
        in->keep_waits = true;
        if (is_new) { /* the next try draws another number */
            f->dead = true;
            VEC_PUSH(&in->dead, f);
        }
        return;
    }
    if (in->source != NULL)
        read_from_keep(in, f, names);
    else
        know_extent(in, f);
}

void input_file_take_kept(struct input_file *in)
{
    bool waited = in->keep_waits;
    struct err err;

    in->keep_waits = false;
    if (keep_each(in->keep, take, in, &err) < 0) {
        in->keep_waits = true;
        if (!waited) /* once; it is tried again and counted */
            log_error("spool.unreadable", LOG_ERR(&err));
    } else if (waited && !in->keep_waits) {
        log_info("spool.readable", LOG_Z("directory", "keep"));
    }
    in->keep_ms = !in->keep_waits ? 0 : in->keep_ms == 0 ? READ_RETRY_MS : 2 * in->keep_ms;
    if (in->keep_ms > READ_RETRY_MAX_MS)
        in->keep_ms = READ_RETRY_MAX_MS;
    in->keep_at = time_mono() + (dur_ns)in->keep_ms * NS_PER_MS;
}

void input_file_take_kept_again(struct input_file *in, dur_ns now)
{
    if (in->keep_waits && now >= in->keep_at)
        input_file_take_kept(in);
}

bool input_file_waits_in_keep(const struct input_file *in, const struct checkpoint_file *f)
{
    return in->keep_waits && (f->kept.end > 0 || keep_has(in->keep, f->no));
}
