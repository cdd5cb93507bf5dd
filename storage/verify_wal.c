/*
 * storage/verify_wal.c - every frame of the WAL that was durable.
 *
 * As a start reads it (docs/formats/wal.md, "Reading again"), but that nothing is removed or made:
 * a bad frame is damage when a later file, or a good frame behind it, proves that it was durable;
 * else it begins a torn tail.  Beside a running store what is judged ends where the store said at
 * the beginning that all is durable.
 */
#include "storage/verify_internal.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"
#include "storage/keyring.h"
#include "storage/le.h"
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCAN = 1 << 20, FILE_NAME = WAL_NAME + 8 };

struct file {
    struct wal_header header;
    uint64_t number, size, limit; /* limit: frames that end past this position are void */
    bool good;                    /* its header is */
};

struct look {
    struct verify *v;
    VEC(struct file) files;
    bool has_key;
    uint8_t key[CRYPT_KEY];
    uint64_t durable;  /* beside a running store; else UINT64_MAX */
    uint64_t expected; /* number of the next frame */
    char *sealed, *plain;
};

static void name_file(const struct file *f, char ret[FILE_NAME])
{
    char name[WAL_NAME + 1];

    wal_format_name(f->number, name);
    (void)snprintf(ret, FILE_NAME, "wal/%s", name);
}

static int note_file(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct look *l = arg;
    struct file f = {.limit = UINT64_MAX};

    (void)dir_fd;
    (void)err;
    if (wal_format_parse_name(name, &f.number))
        VEC_PUSH(&l->files, f);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    const struct file *x = a;
    const struct file *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static int open_file(struct look *l, const struct file *f)
{
    char name[FILE_NAME];

    name_file(f, name);
    return openat(l->v->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static int read_header(struct look *l, struct file *f, struct err *err)
{
    struct verify_finding where = {.block = -1, .offset = 0};
    char bytes[WAL_HEADER];
    char name[FILE_NAME];
    struct stat st;
    int fd = open_file(l, f);
    int r = 0;

    if (fd < 0 && errno == ENOENT)
        return 0; /* trimmed meanwhile */
    name_file(f, name);
    where.file = name;
    if (fd < 0 || fstat(fd, &st) != 0)
        r = err_sys(err, "open WAL file");
    if (r == 0)
        r = file_pread_all(fd, bytes, sizeof(bytes), 0, err);
    if (r == 0)
        r = wal_format_parse_header(bytes, &f->header, err);
    if (r == 0 && f->header.number != f->number)
        r = err_set(err, ERR_CORRUPT, "its header has another number than its name");
    if (r == 0)
        f->size = (uint64_t)st.st_size;
    f->good = r == 0;
    if (fd >= 0)
        (void)close(fd); /* only read from */
    return r < 0 ? verify_note(l->v, &where, err) : 0;
}

/* Numbers and positions follow each other; limits. */
static void check_order(struct look *l)
{
    struct verify_finding where = {.block = -1, .offset = -1};
    char name[FILE_NAME];

    for (size_t i = 0; i < l->files.n; i++) {
        const struct file *f = &l->files.p[i];
        const struct file *before = i == 0 ? NULL : &l->files.p[i - 1];
        name_file(f, name);
        where.file = name;
        if (before != NULL && before->number + 1 != f->number)
            verify_tell(l->v, VERIFY_DAMAGE, &where, "the WAL file before this one is missing");
        if (!f->good)
            continue;
        if (before == NULL && l->v->store == NULL && f->header.after > l->v->wal_pos)
            verify_tell(l->v, VERIFY_DAMAGE, &where, "WAL files before this one are missing");
        if (before != NULL && before->good && f->header.base < before->header.base + before->size)
            verify_tell(l->v, VERIFY_DAMAGE, &where, "it begins within the one before");
        for (size_t k = 0; k < i; k++)
            if (f->header.after < l->files.p[k].limit)
                l->files.p[k].limit = f->header.after;
    }
}

/* ---- frames ---- */

struct reader {
    struct look *l;
    const struct file *f;
    struct crypt *crypt; /* NULL without keys */
    char name[FILE_NAME];
    int fd;
    bool is_last;
};

/* 1: no good frame is at `off`. */
static int read_frame(struct reader *rd, uint64_t off, struct wal_frame *f, struct err *err)
{
    uint8_t nonce[CRYPT_NONCE];
    char head[WAL_FRAME];
    int r;

    if (rd->f->size < WAL_FRAME || off > rd->f->size - WAL_FRAME)
        return 1;
    r = file_pread_all(rd->fd, head, sizeof(head), off, err);
    if (r < 0)
        return r == ERR_CORRUPT ? 1 : r;
    if (!wal_format_parse_frame(head, f) || f->position != rd->f->header.base + off ||
        f->length > rd->f->size - off - WAL_FRAME)
        return 1;
    if (rd->crypt == NULL)
        return 0;
    r = file_pread_all(rd->fd, rd->l->sealed, f->length, off + WAL_FRAME, err);
    if (r < 0)
        return r == ERR_CORRUPT ? 1 : r;
    crypt_nonce(f->number, nonce);
    r = crypt_open(rd->crypt, nonce, (struct str){head, WAL_FRAME},
                   (struct str){rd->l->sealed, f->length}, rd->l->plain, err);
    return r < 0 ? 1 : 0;
}

struct behind {
    uint64_t good;   /* offset of the first good frame; 0: none */
    uint64_t number; /* of it */
    uint64_t synced, last_set;
};

static int look_at(struct reader *rd, const char *chunk, size_t n, uint64_t off, struct behind *b,
                   struct err *err)
{
    struct str rest = {chunk, n};
    char magic[4];

    le_put32(magic, WAL_FRAME_MAGIC);
    for (size_t i = n; i > 0; i--) {
        if (chunk[i - 1] != 0) {
            b->last_set = off + i;
            break;
        }
    }
    for (;;) {
        size_t hit = str_find(rest, (struct str){magic, 4});
        uint64_t place = off + (uint64_t)(rest.p - chunk) + hit;
        struct wal_frame f;
        int r;
        if (hit == SIZE_MAX)
            return 0;
        r = read_frame(rd, place, &f, err);
        if (r < 0)
            return r;
        if (r == 0 && b->good == 0) {
            b->good = place;
            b->number = f.number;
        }
        if (r == 0 && f.synced > b->synced)
            b->synced = f.synced;
        rest = str_from(rest, hit + 1);
    }
}

static int look_behind(struct reader *rd, uint64_t bad, struct behind *ret, struct err *err)
{
    char *chunk = mem_new(SCAN + 3);
    uint64_t off = bad;
    int r = 0;

    *ret = (struct behind){.last_set = bad};
    while (r == 0 && off < rd->f->size) {
        uint64_t left = rd->f->size - off;
        size_t n = left < SCAN + 3 ? (size_t)left : SCAN + 3;
        r = file_pread_all(rd->fd, chunk, n, off, err);
        if (r == 0)
            r = look_at(rd, chunk, n, off, ret, err);
        off += n <= SCAN ? n : SCAN; /* a magic may lie across */
    }
    free(chunk);
    return r;
}

/* 0: go on at the new *off; 1: the file ends here. */
static int judge(struct reader *rd, uint64_t *off, struct err *err)
{
    struct verify *v = rd->l->v;
    const struct verify_finding where = {.file = rd->name, .block = -1, .offset = (int64_t)*off};
    uint64_t position = rd->f->header.base + *off;
    struct behind b;
    int r;

    if (position >= rd->l->durable)
        return 1;
    r = look_behind(rd, *off, &b, err);
    if (r < 0)
        return r;
    if (v->store == NULL && rd->is_last && b.synced <= position) {
        v->ret->wal_torn_bytes += b.last_set - *off;
        return 1;
    }
    verify_tell(v, VERIFY_DAMAGE, &where, "the frame is damaged, and it was durable");
    if (b.good == 0)
        return 1;
    *off = b.good;
    rd->l->expected = b.number;
    return 0;
}

static int read_frames(struct reader *rd, struct err *err)
{
    uint64_t base = rd->f->header.base;
    uint64_t off = WAL_HEADER;
    int r = 0;

    rd->l->expected = 0;
    while (r == 0 && off < rd->f->size && base + off < rd->f->limit) {
        struct wal_frame f;
        r = verify_is_cancelled(rd->l->v, err);
        if (r == 0)
            r = read_frame(rd, off, &f, err);
        if (r < 0)
            return r;
        if (r == 1 || f.number != rd->l->expected) {
            r = judge(rd, &off, err);
            continue;
        }
        off += WAL_FRAME + (uint64_t)f.length;
        if (base + off > rd->f->limit)
            break;
        rd->l->expected++;
        rd->l->v->ret->wal_frames++;
        if (base + off > rd->l->v->wal_end)
            rd->l->v->wal_end = base + off;
    }
    return r < 0 ? r : 0;
}

static int check_file(struct look *l, size_t i, struct err *err)
{
    const struct file *f = &l->files.p[i];
    struct reader rd = {.l = l, .f = f, .is_last = f->limit == UINT64_MAX};
    const struct verify_finding where = {.file = rd.name, .block = -1, .offset = WAL_HEADER_AAD};
    uint8_t key[CRYPT_KEY];
    char bytes[WAL_HEADER];
    int r = 0;

    name_file(f, rd.name);
    l->v->ret->wal_files++;
    if (!f->good)
        return 0;
    rd.fd = open_file(l, f);
    if (rd.fd < 0)
        return 0; /* trimmed meanwhile */
    if (l->has_key) {
        wal_format_header(&f->header, bytes);
        r = crypt_unwrap(l->key, (struct str){bytes, WAL_HEADER_AAD}, f->header.wrapped, key, err);
        if (r == 0)
            rd.crypt = crypt_new(key);
        crypt_wipe(key, sizeof(key));
    }
    if (r == 0)
        r = read_frames(&rd, err);
    crypt_free(&rd.crypt);
    (void)close(rd.fd); /* only read from */
    return r < 0 ? verify_note(l->v, &where, err) : 0;
}

int verify_wal(struct verify *v, struct err *err)
{
    const struct verify_finding where = {.file = "wal", .block = -1, .offset = -1};
    struct look l = {.v = v, .durable = UINT64_MAX};
    int fd = -1;
    int r;

    v->wal_end = v->wal_pos;
    if (v->store != NULL) {
        l.durable = wal_position(v->store->wal);
        v->wal_end = UINT64_MAX; /* it grows meanwhile */
    }
    if (v->keyring != NULL)
        l.has_key = keyring_wal(v->keyring, l.key, err) == 0;
    r = file_open_dir(v->dir_fd, "wal", &fd, err);
    if (r == 0)
        r = file_walk(fd, note_file, &l, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    if (r < 0)
        r = verify_note(v, &where, err);
    if (l.files.n > 1)
        qsort(l.files.p, l.files.n, sizeof(*l.files.p), by_number);
    l.sealed = mem_new(WAL_CHUNK + CRYPT_TAG);
    l.plain = mem_new(WAL_CHUNK);
    for (size_t i = 0; r == 0 && i < l.files.n; i++)
        r = read_header(&l, &l.files.p[i], err);
    if (r == 0)
        check_order(&l);
    for (size_t i = 0; r == 0 && i < l.files.n; i++)
        r = check_file(&l, i, err);
    crypt_wipe(l.plain, WAL_CHUNK);
    crypt_wipe(l.key, sizeof(l.key));
    free(l.sealed);
    free(l.plain);
    VEC_FINI(&l.files);
    return r;
}
