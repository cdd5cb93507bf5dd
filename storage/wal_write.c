/*
 * storage/wal_write.c - bodies into frames into preallocated files.  Contract: wal.h.
 *
 * Why preallocated: a full disk is found out before there is something to lose.  Why small groups
 * write zeros ahead of them: what is reserved and not yet written costs a commit of the file
 * system's journal with each fdatasync (an extent becomes a written one), which takes turns of its
 * threads on the processor and waits for what others have written; where zeros stand, an fdatasync
 * writes the data alone.  A large group would write most of it twice for little.  Why a file is
 * published by rename: a *.wal whose header is bad is then always damage, never a crash while it
 * was made.  Why a random key per file: frame numbers are then safe nonces.
 *
 * Invariants
 *   (1) positions grow: a file's base is at or past the end of every byte of the file before it;
 *   (2) a body lies within one file;
 *   (3) after a failed write or fdatasync nothing more is written to that file, and the header of
 *       the next one says from where on what stands before it is void: from `committed` on, also
 *       when frames of the failed group had become durable, in that file or the one before; a file
 *       that follows a full one says that all of that counts;
 *   (4) `synced` in a frame is never past what an fdatasync has confirmed.
 */
#include "storage/wal.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/wal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OUT_MAX = 4 << 20,
    OUT_FULL = 1 << 20,
    SMALL = 32 << 10,  /* written at once, at most: zeros go ahead of it */
    AHEAD = 256 << 10, /* of them */
};

/* Draw uuid and key of the file and put its header together. */
static int make_header(struct wal *w, struct wal_header *h, char ret[WAL_HEADER], struct err *err)
{
    uint8_t key[CRYPT_KEY];
    int r;

    *h = (struct wal_header){
        .number = w->next_number,
        .base = w->next_base,
        .after = w->next_after,
    };
    r = crypt_random(h->uuid, sizeof(h->uuid), err);
    if (r == 0)
        r = crypt_random(key, sizeof(key), err);
    if (r < 0)
        return r;
    wal_format_header(h, ret);
    r = crypt_wrap(w->key, (struct str){ret, WAL_HEADER_AAD}, key, h->wrapped, err);
    if (r == 0) {
        wal_format_header(h, ret);
        crypt_free(&w->crypt);
        w->crypt = crypt_new(key);
    }
    crypt_wipe(key, sizeof(key));
    return r;
}

/* A file of `size` bytes with this header, durable under `name`; its descriptor. */
static int publish(struct wal *w, const char *name, uint64_t size, const char *header, int *ret,
                   struct err *err)
{
    char tmp[WAL_NAME + 8];
    int r = 0;
    int fd;

    (void)snprintf(tmp, sizeof(tmp), "%s.tmp", name);
    fd = openat(w->dir_fd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, "create '%s'", tmp);
    do
        errno = fault_hit("wal.create") ? ENOSPC : posix_fallocate(fd, 0, (off_t)size);
    while (errno == EINTR);
    if (errno != 0)
        r = err_sys(err, "reserve %llu bytes for '%s'", (unsigned long long)size, tmp);
    if (r == 0)
        r = file_pwrite_all(fd, header, WAL_HEADER, 0, err);
    if (r == 0 && (fault_hit("wal.create") || fsync(fd) != 0))
        r = err_sys(err, "fsync '%s'", tmp);
    if (r == 0 && renameat(w->dir_fd, tmp, w->dir_fd, name) != 0)
        r = err_sys(err, "rename '%s'", tmp);
    if (r < 0)
        (void)unlinkat(w->dir_fd, tmp, 0); /* the first failure is what is reported */
    if (r == 0)
        r = file_sync_dir(w->dir_fd, err);
    if (r < 0) {
        (void)close(fd); /* given up */
        return r;
    }
    *ret = fd;
    return 0;
}

static int new_file(struct wal *w, uint64_t need, struct err *err)
{
    struct wal_file file = {.end = UINT64_MAX};
    uint64_t size = w->file_bytes - WAL_HEADER < need ? need + WAL_HEADER : w->file_bytes;
    char header[WAL_HEADER];
    char name[WAL_NAME + 1];
    int r;

    INVARIANT(w->fd < 0);
    wal_format_name(w->next_number, name);
    r = make_header(w, &file.header, header, err);
    if (r == 0)
        r = publish(w, name, size, header, &w->fd, err);
    if (r < 0) {
        /* The name may exist and not be durable: it is made again with the same number. */
        w->fd = -1;
        return err_wrap(err, "new WAL file");
    }
    w->base = file.header.base;
    w->size = size;
    w->offset = w->file_synced = w->written = WAL_HEADER;
    w->frames = 0;
    w->next_number++;
    (void)pthread_mutex_lock(&w->mutex);
    VEC_PUSH(&w->files, file);
    (void)pthread_mutex_unlock(&w->mutex);
    return 0;
}

/* No more goes into the current file. */
static void end_file(struct wal *w)
{
    if (w->fd < 0)
        return;
    if (ftruncate(w->fd, (off_t)w->offset) < 0) {
        /* it only gives back what was reserved: nice to have */
    }
    (void)close(w->fd); /* synced, or given up */
    w->fd = -1;
    buf_clear(&w->out);
    w->next_base = w->base + w->offset; /* keeps (1) */
    (void)pthread_mutex_lock(&w->mutex);
    w->files.p[w->files.n - 1].end = w->next_base;
    (void)pthread_mutex_unlock(&w->mutex);
}

/* Zeros behind what was just written, within what is reserved. */
static int write_ahead(struct wal *w, struct err *err)
{
    static char zeros[AHEAD]; /* never written to: the kernel's one page of zeros */
    uint64_t left = w->size > w->offset ? w->size - w->offset : 0;
    size_t n = left < AHEAD ? (size_t)left : AHEAD;
    int r = file_pwrite_all(w->fd, zeros, n, w->offset, err);

    if (r < 0)
        return err_wrap(err, "write the WAL");
    w->written = w->offset + n;
    return 0;
}

static int write_out(struct wal *w, struct err *err)
{
    size_t n = w->out.n;
    int r;

    if (n == 0)
        return 0;
    if (fault_hit("wal.write")) {
        errno = ENOSPC;
        return err_sys(err, "write the WAL");
    }
    r = file_pwrite_all(w->fd, w->out.p, n, w->offset - n, err);
    if (r < 0)
        return err_wrap(err, "write the WAL");
    buf_clear(&w->out);
    if (w->offset <= w->written)
        return 0;
    w->written = w->offset;
    return n <= SMALL ? write_ahead(w, err) : 0;
}

static int sync_file(struct wal *w, struct err *err)
{
    int r;

    if (w->fd < 0 || w->file_synced == w->offset)
        return 0;
    r = write_out(w, err);
    if (r < 0)
        return r;
    if (fault_hit("wal.sync")) {
        errno = EIO;
        return err_sys(err, "fdatasync the WAL");
    }
    if (fdatasync(w->fd) != 0)
        return err_sys(err, "fdatasync the WAL");
    atomic_fetch_add(&w->syncs, 1);
    w->file_synced = w->offset; /* keeps (4) */
    return 0;
}

/* Seal what is in w->plain as the next frame. */
static int add_frame(struct wal *w, uint8_t flags, struct err *err)
{
    struct wal_frame f = {
        .length = (uint32_t)(w->plain.n + CRYPT_TAG),
        .flags = flags,
        .number = w->frames,
        .position = w->base + w->offset,
        .synced = w->base + w->file_synced,
    };
    uint8_t nonce[CRYPT_NONCE];
    char *at = buf_room(&w->out, WAL_FRAME + f.length);
    int r;

    INVARIANT(at != NULL); /* OUT_MAX holds OUT_FULL and two frames */
    wal_format_frame(&f, at);
    crypt_nonce(f.number, nonce);
    r = crypt_seal(w->crypt, nonce, (struct str){at, WAL_FRAME}, buf_str(&w->plain), at + WAL_FRAME,
                   err);
    if (r < 0)
        return r;
    w->out.n += WAL_FRAME + f.length;
    w->offset += WAL_FRAME + f.length;
    w->frames++;
    return w->out.n >= OUT_FULL ? write_out(w, err) : 0;
}

/* Make room for `need` bytes in one file; keeps (2). */
static int make_room(struct wal *w, uint64_t need, struct err *err)
{
    int r;

    if (w->fd >= 0 && w->size - w->offset >= need)
        return 0;
    r = sync_file(w, err);
    if (r < 0)
        return r;
    if (w->fd >= 0)
        w->next_after = w->base + w->offset;
    end_file(w);
    return new_file(w, need, err);
}

int wal_append(struct wal *w, const struct str *pieces, size_t n, uint64_t *ret, struct err *err)
{
    struct str rest = STR_NULL;
    uint64_t total = 0;
    uint64_t left;
    uint8_t flags = WAL_FIRST;
    size_t next = 0;
    int r;

    OBJ_CHECK(w, WAL_MAGIC);
    for (size_t i = 0; i < n; i++)
        total += pieces[i].n;
    if (total > WAL_BODY_MAX)
        return err_set(err, ERR_LIMIT, "%llu bytes do not fit the WAL", (unsigned long long)total);
    r = make_room(w, total + (total / WAL_CHUNK + 1) * (WAL_FRAME + CRYPT_TAG), err);
    left = total;
    while (r == 0 && (flags & WAL_LAST) == 0) {
        buf_clear(&w->plain);
        while (w->plain.n < WAL_CHUNK && w->plain.n < left) {
            struct str part;
            while (rest.n == 0)
                rest = pieces[next++];
            part = str_sub(rest, 0, WAL_CHUNK - w->plain.n);
            buf_add_str(&w->plain, part);
            rest = str_from(rest, part.n);
        }
        left -= w->plain.n;
        if (left == 0)
            flags |= WAL_LAST;
        r = add_frame(w, flags, err);
        flags &= WAL_LAST;
    }
    if (r == 0)
        *ret = w->base + w->offset;
    return r;
}

int wal_sync(struct wal *w, struct err *err)
{
    int r;

    OBJ_CHECK(w, WAL_MAGIC);
    r = sync_file(w, err);
    if (r == 0 && w->fd >= 0)
        atomic_store(&w->committed, w->base + w->offset);
    return r;
}

void wal_fail(struct wal *w)
{
    OBJ_CHECK(w, WAL_MAGIC);
    end_file(w);
    w->next_after = atomic_load(&w->committed); /* keeps (3) */
}

int wal_trim(struct wal *w, uint64_t position, struct err *err)
{
    char name[WAL_NAME + 1];

    OBJ_CHECK(w, WAL_MAGIC);
    for (;;) {
        bool has;
        (void)pthread_mutex_lock(&w->mutex);
        has = w->holds == 0 && w->files.n != 0 && w->files.p[0].end <= position;
        if (has) {
            wal_format_name(w->files.p[0].header.number, name);
            atomic_store(&w->trimmed, w->files.p[0].end);
        }
        (void)pthread_mutex_unlock(&w->mutex);
        if (!has)
            return 0;
        if (unlinkat(w->dir_fd, name, 0) != 0 && errno != ENOENT) {
            return err_sys(err, "remove WAL file '%s'", name);
        }
        (void)pthread_mutex_lock(&w->mutex);
        VEC_REMOVE(&w->files, 0);
        (void)pthread_mutex_unlock(&w->mutex);
    }
}

void wal_hold(struct wal *w)
{
    OBJ_CHECK(w, WAL_MAGIC);
    (void)pthread_mutex_lock(&w->mutex);
    w->holds++;
    (void)pthread_mutex_unlock(&w->mutex);
}

void wal_release(struct wal *w)
{
    OBJ_CHECK(w, WAL_MAGIC);
    (void)pthread_mutex_lock(&w->mutex);
    INVARIANT(w->holds > 0);
    w->holds--;
    (void)pthread_mutex_unlock(&w->mutex);
}

uint64_t wal_position(const struct wal *w)
{
    OBJ_CHECK(w, WAL_MAGIC);
    return atomic_load(&w->committed);
}

uint64_t wal_behind(struct wal *w, uint64_t position)
{
    uint64_t committed = wal_position(w);
    const struct wal_file *f;
    uint64_t sum = 0;

    (void)pthread_mutex_lock(&w->mutex);
    VEC_EACH(&w->files, f) {
        uint64_t end = f->end == UINT64_MAX ? committed : f->end;
        uint64_t from = f->header.base < position ? position : f->header.base;
        sum += end > from ? end - from : 0;
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return sum;
}

void wal_stats(struct wal *w, struct wal_stats *ret)
{
    uint64_t committed = wal_position(w);
    const struct wal_file *f;

    *ret = (struct wal_stats){
        .syncs = atomic_load(&w->syncs),
        .replayed_bodies = atomic_load(&w->replayed_bodies),
        .torn_bytes = atomic_load(&w->torn_bytes),
        .skipped_frames = atomic_load(&w->skipped_frames),
        .past_bytes = atomic_load(&w->past_bytes),
        .again_bytes = atomic_load(&w->again_bytes),
    };
    (void)pthread_mutex_lock(&w->mutex);
    ret->files = w->files.n;
    VEC_EACH(&w->files, f) {
        uint64_t end = f->end == UINT64_MAX ? committed : f->end;
        ret->bytes += end > f->header.base ? end - f->header.base : 0;
    }
    (void)pthread_mutex_unlock(&w->mutex);
}

void wal_close(struct wal **pw)
{
    struct wal *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, WAL_MAGIC);
    end_file(w);
    crypt_free(&w->crypt);
    buf_fini(&w->out);
    buf_fini(&w->plain);
    VEC_FINI(&w->files);
    VEC_FINI(&w->past);
    (void)pthread_mutex_destroy(&w->mutex);
    crypt_wipe(w, sizeof(*w));
    free(w);
    *pw = NULL;
}
