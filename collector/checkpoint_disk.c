/*
 * collector/checkpoint_disk.c - the journal's way to the disk.
 *
 * The file has room: zeros that were written before there was anything to say, so a sync neither
 * changes its size nor asks for blocks.  When the room is used up it is written anew, short, into
 * `checkpoint.spare`, which then takes its name while the old one becomes the spare: on a full disk
 * the journal goes on.
 *
 * A write and its fdatasync are a job.  A thread runs it, or the caller of checkpoint_sync.
 *
 * Invariants
 *   (1) memory says what the file will say once all that waits is written; so a job that rewrites
 *       takes everything from memory, and what is added while it runs comes behind it;
 *   (2) after a write or fdatasync that failed nobody knows what the file holds: the next job
 *       rewrites;
 *   (3) while a job is with the thread nobody else touches the journal's descriptor.
 */
#include "collector/checkpoint_internal.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/obj.h"
#include "collector/metrics.h"
#include "wire/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
    ROOM_STEP = 1 << 20,
    ZEROS_BYTES = 256 << 10,
    KEEP_BYTES = 256 << 10,
};
static const char NAME[] = "checkpoint";
static const char SPARE[] = "checkpoint.spare";
static const char BAD[] = "checkpoint.bad";
static const char PAST[] = "spool"; /* made after the first journal */
static char zeros[ZEROS_BYTES];

/* What has to be written, and how it went. */
struct job {
    bool rewrite, keep_old;
    VEC(uint8_t) bytes;
    int dir_fd, fd;
    uint64_t offset, room; /* of the journal there is; room: what it has after, too */
    uint64_t want;         /* room it should have */
    uint64_t mark;
    struct err err;
    int r;
};

enum job_state { JOB_NONE, JOB_GIVEN, JOB_DONE };

struct checkpoint_disk {
    unsigned magic;
#define CHECKPOINT_DISK_MAGIC 0xd15c7a3eu
    int fd;
    uint64_t size, room; /* bytes of records, and of the file */
    uint64_t synced;     /* bytes that an fdatasync has seen */
    uint64_t told;       /* of these, in the last mark */
    uint64_t durable;    /* mark */
    bool broken;         /* (2) */
    struct job job;
    /* The thread. */
    bool attached, stop;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards state, stop, and job while it is given */
    pthread_cond_t cond;
    enum job_state state;
    uv_async_t done;
    checkpoint_synced_fn *fn;
    void *arg;
    struct checkpoint *owner;
};

/* ---- jobs: these run on the thread ---- */

static int data_sync(int fd, struct err *err)
{
    if (fault_hit("file.fdatasync")) {
        errno = EIO;
        return err_sys(err, "fdatasync %s", NAME);
    }
    return fdatasync(fd) < 0 ? err_sys(err, "fdatasync %s", NAME) : 0;
}

static int fill(int fd, uint64_t from, uint64_t to, struct err *err)
{
    int r = 0;

    while (r == 0 && from < to) {
        size_t n = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);
        r = file_pwrite_all(fd, zeros, n, from, err);
        from += n;
    }
    return r;
}

static int append(struct job *j, struct err *err)
{
    int r = 0;

    if (j->want > j->room)
        r = fill(j->fd, j->room, j->want, err);
    if (r < 0)
        return r;
    if (j->want > j->room)
        j->room = j->want;
    r = file_pwrite_all(j->fd, j->bytes.p, j->bytes.n, j->offset, err);
    return r < 0 ? r : data_sync(j->fd, err);
}

/* A spare for the next rewrite, if there is room on the disk. */
static void make_spare(int dir_fd)
{
    int fd = openat(dir_fd, SPARE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct err err;

    if (fd < 0)
        return; /* there is one, or there will be another try */
    if (fill(fd, 0, ROOM_STEP, &err) < 0)
        (void)unlinkat(dir_fd, SPARE, 0);
    (void)close(fd);
}

/* The journal's bytes into the spare, zeros behind them. */
static int write_spare(struct job *j, int fd, struct err *err)
{
    struct stat st;
    struct err no_room;
    uint64_t size;
    int r;

    if (fstat(fd, &st) < 0)
        return err_sys(err, "stat %s", SPARE);
    size = (uint64_t)st.st_size;
    r = file_pwrite_all(fd, j->bytes.p, j->bytes.n, 0, err);
    if (r == 0 && size > j->bytes.n)
        r = fill(fd, j->bytes.n, size, err);
    if (size < j->bytes.n)
        size = j->bytes.n;
    if (r == 0 && size < j->want && fill(fd, size, j->want, &no_room) == 0)
        size = j->want; /* if it cannot be had now, then when it is needed */
    j->room = size;
    return r < 0 ? r : data_sync(fd, err);
}

/* The spare takes the journal's name. */
static int publish(const struct job *j, struct err *err)
{
    bool kept = false;

    if (fault_hit("file.rename")) {
        errno = EIO;
        return err_sys(err, "rename %s", SPARE);
    }
    if (j->keep_old) {
        (void)unlinkat(j->dir_fd, BAD, 0);
        kept = linkat(j->dir_fd, NAME, j->dir_fd, BAD, 0) == 0; /* there may be none */
    }
    if (renameat2(j->dir_fd, SPARE, j->dir_fd, NAME, RENAME_EXCHANGE) < 0 &&
        renameat(j->dir_fd, SPARE, j->dir_fd, NAME) < 0)
        return err_sys(err, "rename %s", SPARE);
    if (kept)
        (void)unlinkat(j->dir_fd, SPARE, 0); /* it is the one that is kept */
    return file_sync_dir(j->dir_fd, err);
}

static int rewrite(struct job *j, struct err *err)
{
    int fd = openat(j->dir_fd, SPARE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return err_sys(err, "open %s", SPARE);
    r = write_spare(j, fd, err);
    if (r == 0)
        r = publish(j, err);
    if (r < 0) {
        (void)unlinkat(j->dir_fd, SPARE, 0); /* whatever it is: the next try gets another */
        (void)close(fd);
        return r;
    }
    make_spare(j->dir_fd);
    j->fd = fd;
    return 0;
}

static void run(struct job *j)
{
    j->r = j->rewrite ? rewrite(j, &j->err) : append(j, &j->err);
}

static void *thread_main(void *arg)
{
    struct checkpoint_disk *d = arg;

    pthread_mutex_lock(&d->mutex);
    while (!d->stop) {
        if (d->state != JOB_GIVEN) {
            (void)pthread_cond_wait(&d->cond, &d->mutex);
            continue;
        }
        pthread_mutex_unlock(&d->mutex);
        run(&d->job);
        pthread_mutex_lock(&d->mutex);
        d->state = JOB_DONE;
        (void)pthread_cond_broadcast(&d->cond);
        (void)uv_async_send(&d->done);
    }
    pthread_mutex_unlock(&d->mutex);
    return NULL;
}

/* ---- making and ending a job: loop thread ---- */

static uint64_t round_up(uint64_t n)
{
    return (n + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
}

/* What thousands of files needed once is not kept. */
#define SHRINK(v)                                                                                  \
    do {                                                                                           \
        (v)->n = 0;                                                                                \
        if ((v)->cap > KEEP_BYTES)                                                                 \
            VEC_FINI(v);                                                                           \
    } while (0)

static void take_waiting(struct job *j, struct checkpoint *c)
{
    size_t at = j->bytes.n;

    VEC_RESERVE(&j->bytes, at + c->waiting.n);
    if (c->waiting.n > 0)
        memcpy(j->bytes.p + at, c->waiting.p, c->waiting.n);
    j->bytes.n += c->waiting.n;
    SHRINK(&c->waiting);
}

static void reserve_first(struct job *j)
{
    VEC_RESERVE(&j->bytes, CHECKPOINT_RECORD_BYTES);
    j->bytes.n = CHECKPOINT_RECORD_BYTES;
}

static void make_job(struct checkpoint *c)
{
    struct checkpoint_disk *d = c->disk;
    uint64_t need = d->size + CHECKPOINT_RECORD_BYTES + c->waiting.n;
    struct job *j = &d->job;

    j->mark = c->added;
    j->dir_fd = c->dir_fd;
    j->fd = d->fd;
    j->offset = d->size;
    j->room = j->want = d->room;
    j->rewrite = d->broken || (need > d->room && 2 * checkpoint_live_bytes(c) <= d->room);
    j->bytes.n = 0;
    if (j->rewrite) {
        checkpoint_put_everything(c); /* keeps (1) */
        j->mark = c->added;
        reserve_first(j);
        take_waiting(j, c);
        checkpoint_make_header(c, j->bytes.n, j->bytes.p);
        j->want = round_up(2 * (uint64_t)j->bytes.n);
        return;
    }
    if (need > d->room)
        j->want = round_up(need + need / 2);
    if (d->synced > d->told) {
        reserve_first(j);
        checkpoint_make_synced(j->bytes.p, d->synced);
        d->told = d->synced;
    }
    take_waiting(j, c);
}

/* Returns what the job returned. */
static int end_job(struct checkpoint *c, struct err *err)
{
    struct checkpoint_disk *d = c->disk;
    struct job *j = &d->job;

    metric_add(j->r == 0 ? METRIC_CHECKPOINT_SYNCS : METRIC_CHECKPOINT_FAILED, 1);
    (void)fault_hit("checkpoint.planned"); /* a place to be killed at */
    if (j->r < 0) {
        d->broken = true;
        *err = j->err;
        return j->r;
    }
    if (j->rewrite) {
        if (d->fd >= 0)
            (void)close(d->fd); /* the old file: all of it is in the new one */
        d->fd = j->fd;
        d->size = d->told = 0;
        d->broken = j->keep_old = false;
        metric_add(METRIC_CHECKPOINT_COMPACTIONS, 1);
    }
    d->size += j->bytes.n;
    d->room = j->room;
    d->synced = d->size;
    if (j->rewrite)
        d->told = d->size; /* the header says it */
    d->durable = j->mark;
    SHRINK(&j->bytes);
    return 0;
}

static bool is_idle(const struct checkpoint *c)
{
    const struct checkpoint_disk *d = c->disk;

    return !d->broken && c->waiting.n == 0 && d->size == d->synced;
}

/* Wait for the job that is with the thread, if there is one. */
static void wait_for_job(struct checkpoint *c)
{
    struct checkpoint_disk *d = c->disk;
    struct err err;
    bool done;

    if (!d->attached)
        return;
    pthread_mutex_lock(&d->mutex);
    while (d->state == JOB_GIVEN)
        (void)pthread_cond_wait(&d->cond, &d->mutex);
    done = d->state == JOB_DONE;
    d->state = JOB_NONE;
    pthread_mutex_unlock(&d->mutex);
    if (done)
        (void)end_job(c, &err); /* a failure marks the journal broken: what comes next mends it */
}

static bool is_busy(struct checkpoint_disk *d)
{
    bool busy;

    if (!d->attached)
        return false;
    pthread_mutex_lock(&d->mutex);
    busy = d->state != JOB_NONE;
    pthread_mutex_unlock(&d->mutex);
    return busy;
}

int checkpoint_sync(struct checkpoint *c, struct err *err)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    wait_for_job(c);
    if (is_idle(c))
        return 0;
    make_job(c);
    run(&c->disk->job);
    return end_job(c, err);
}

void checkpoint_sync_begin(struct checkpoint *c)
{
    struct checkpoint_disk *d = c->disk;
    struct err err;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (!d->attached) {
        (void)checkpoint_sync(c, &err); /* it marks the journal broken, and is counted */
        return;
    }
    if (is_busy(d) || is_idle(c))
        return;
    make_job(c);
    pthread_mutex_lock(&d->mutex);
    d->state = JOB_GIVEN;
    (void)pthread_cond_broadcast(&d->cond);
    pthread_mutex_unlock(&d->mutex);
}

static void on_done(uv_async_t *a)
{
    struct checkpoint_disk *d = a->data;
    struct err err;
    bool done;
    int r = 0;

    if (d->owner == NULL)
        return;
    pthread_mutex_lock(&d->mutex);
    done = d->state == JOB_DONE;
    if (done)
        d->state = JOB_NONE;
    pthread_mutex_unlock(&d->mutex);
    if (done)
        r = end_job(d->owner, &err);
    d->fn(d->arg, r < 0 ? &err : NULL); /* also if somebody has waited for that job meanwhile */
}

void checkpoint_disk_write(struct checkpoint *c)
{
    struct checkpoint_disk *d = c->disk;
    struct err err;

    if (d->broken || is_busy(d) || d->size + c->waiting.n > d->room)
        return; /* keeps (3); it goes with the next sync */
    if (file_pwrite_all(d->fd, c->waiting.p, c->waiting.n, d->size, &err) < 0) {
        d->broken = true;
        return;
    }
    d->size += c->waiting.n;
    c->waiting.n = 0;
}

uint64_t checkpoint_mark(const struct checkpoint *c)
{
    return c->added;
}

bool checkpoint_is_durable(const struct checkpoint *c, uint64_t mark)
{
    return c->disk->durable >= mark;
}

/* ---- life ---- */

static struct checkpoint_disk *disk_new(struct checkpoint *c)
{
    struct checkpoint_disk *d = mem_new(sizeof(*d));

    d->magic = CHECKPOINT_DISK_MAGIC;
    d->fd = -1;
    d->owner = c;
    return d;
}

int checkpoint_disk_open(struct checkpoint *c, uint64_t used, uint64_t room, bool torn,
                         struct err *err)
{
    struct checkpoint_disk *d = c->disk = disk_new(c);
    int r = 0;

    d->fd = openat(c->dir_fd, NAME, O_RDWR | O_CLOEXEC);
    if (d->fd < 0)
        return err_sys(err, "open %s", NAME);
    d->size = d->synced = used;
    d->room = room;
    /* A torn tail must not come back behind records that are written over its beginning. */
    if (torn)
        r = fill(d->fd, used, room, err);
    if (r == 0)
        r = data_sync(d->fd, err);
    if (r == 0)
        make_spare(c->dir_fd);
    return r;
}

int checkpoint_disk_begin(struct checkpoint *c, struct err *err)
{
    c->disk = disk_new(c);
    c->disk->broken = true;
    c->disk->job.keep_old = true;
    return checkpoint_sync(c, err);
}

bool checkpoint_disk_has_past(const struct checkpoint *c)
{
    return faccessat(c->dir_fd, SPARE, F_OK, 0) == 0 || faccessat(c->dir_fd, PAST, F_OK, 0) == 0;
}

/* After the job that it runs, if any. */
static void stop_thread(struct checkpoint_disk *d)
{
    pthread_mutex_lock(&d->mutex);
    while (d->state == JOB_GIVEN)
        (void)pthread_cond_wait(&d->cond, &d->mutex);
    d->stop = true;
    (void)pthread_cond_broadcast(&d->cond);
    pthread_mutex_unlock(&d->mutex);
    (void)pthread_join(d->thread, NULL);
    (void)pthread_mutex_destroy(&d->mutex);
    (void)pthread_cond_destroy(&d->cond);
}

static int start_thread(struct checkpoint_disk *d, struct err *err)
{
    sigset_t all, before;
    int r;

    (void)pthread_mutex_init(&d->mutex, NULL);
    (void)pthread_cond_init(&d->cond, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
    r = pthread_create(&d->thread, NULL, thread_main, d);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return err_set(err, ERR_NOMEM, "thread of the journal: %s", strerror(r));
    (void)pthread_setname_np(d->thread, "journal");
    return 0;
}

int checkpoint_attach(struct checkpoint *c, struct loop *l, checkpoint_synced_fn *fn, void *arg,
                      struct err *err)
{
    struct checkpoint_disk *d = c->disk;
    int r;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    INVARIANT(!d->attached);
    d->fn = fn;
    d->arg = arg;
    d->done.data = d;
    r = start_thread(d, err);
    if (r < 0)
        return r;
    r = uv_async_init(loop_uv(l), &d->done, on_done);
    if (r < 0) {
        stop_thread(d);
        return err_set(err, ERR_NOMEM, "journal: %s", uv_strerror(r));
    }
    d->attached = true;
    return 0;
}

static void disk_free(struct checkpoint_disk *d)
{
    if (d->fd >= 0)
        (void)close(d->fd);
    VEC_FINI(&d->job.bytes);
    d->magic = 0;
    free(d);
}

static void on_closed(uv_handle_t *h)
{
    disk_free(h->data);
}

void checkpoint_disk_close(struct checkpoint *c)
{
    struct checkpoint_disk *d = c->disk;

    if (d == NULL)
        return;
    OBJ_CHECK(d, CHECKPOINT_DISK_MAGIC);
    c->disk = NULL;
    d->owner = NULL;
    if (!d->attached) {
        disk_free(d);
        return;
    }
    stop_thread(d);
    uv_close((uv_handle_t *)&d->done, on_closed); /* the loop may have a call under way to it */
}
