/* collector/reader.c - contract: reader.h. */
#include "collector/reader.h"

#include "base/fault.h"
#include "base/mem.h"
#include "collector/keep.h"
#include "wire/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_BYTES = 64 << 10, STEP_BYTES = 64 << 10, TAIL_BYTES = 1024 };

/* window[0] is byte `base` of the log. */
struct unpacker {
    struct codec_reader *codec; /* NULL: resting */
    char *input;
    uint64_t taken; /* packed bytes given to the codec */
    char *window;
    size_t n, cap;
    uint64_t base;
    bool all_fed;
    bool ended, damaged; /* at base + n */
    bool was_damaged;    /* at size */
    uint64_t size;       /* as much is known to be there, */
    bool is_sure;        /* and no more */
};

bool reader_is_packed(struct str name)
{
    return str_ends(name, STR(".gz")) || str_ends(name, STR(".zst"));
}

void reader_open(struct reader *r, int fd, bool packed)
{
    r->fd = fd;
    r->packed = packed ? mem_new(sizeof(*r->packed)) : NULL;
    r->kept = NULL;
}

void reader_open_kept(struct reader *r, struct keep_reader *kept)
{
    r->fd = keep_reader_fd(kept);
    r->packed = NULL;
    r->kept = kept;
}

bool reader_is_plain(const struct reader *r)
{
    return r->packed == NULL && r->kept == NULL;
}

void reader_rest(struct reader *r)
{
    struct unpacker *u = r->packed;

    if (r->kept != NULL)
        keep_reader_rest(r->kept);
    if (u == NULL)
        return;
    codec_reader_free(&u->codec);
    free(u->input);
    free(u->window);
    u->input = u->window = NULL;
    u->n = u->cap = 0;
    u->base = u->taken = 0;
    u->all_fed = u->ended = u->damaged = false;
}

bool reader_is_resting(const struct reader *r)
{
    if (r->kept != NULL)
        return keep_reader_is_resting(r->kept);
    return r->packed == NULL || r->packed->codec == NULL;
}

void reader_close(struct reader *r)
{
    reader_rest(r);
    free(r->packed);
    r->packed = NULL;
    if (r->kept != NULL) {
        keep_reader_free(&r->kept); /* and with it fd */
        r->fd = -1;
    }
    if (r->fd >= 0)
        (void)close(r->fd);
    r->fd = -1;
}

/* ---- plain ---- */

static ssize_t read_plain(int fd, char *p, size_t n, uint64_t offset)
{
    size_t done = 0;

    if (fault_hit("reader.read")) {
        errno = EIO;
        return -1;
    }
    while (done < n) {
        ssize_t r = pread(fd, p + done, n - done, (off_t)(offset + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

/* ---- packed ---- */

static int begin(struct reader *r)
{
    struct unpacker *u = r->packed;
    struct err err;
    ssize_t n;

    reader_rest(r);
    u->input = mem_new(INPUT_BYTES);
    u->codec = codec_reader_new();
    n = read_plain(r->fd, u->input, 4, 0);
    if (n < 0)
        return -1;
    if (codec_reader_start(u->codec, codec_sniff((struct str){u->input, (size_t)n}), STR(""),
                           SIZE_MAX, &err) < 0) {
        errno = ENOMEM;
        return -1;
    }
    codec_reader_feed(u->codec, STR(""), false);
    return 0;
}

static void end(struct unpacker *u, bool damaged)
{
    u->ended = u->is_sure = true;
    u->damaged = u->was_damaged = damaged;
}

/* Input for the codec.  -1: the packed file cannot be read. */
static int feed(struct reader *r)
{
    struct unpacker *u = r->packed;
    ssize_t n;

    if (fault_hit("reader.unpack")) {
        errno = EIO;
        return -1;
    }
    n = read_plain(r->fd, u->input, INPUT_BYTES, u->taken);
    if (n < 0)
        return -1;
    u->taken += (uint64_t)n;
    codec_reader_feed(u->codec, (struct str){u->input, (size_t)n}, n == 0);
    u->all_fed = n == 0;
    return 0;
}

/* Some more bytes behind the window's; or the end.  -1: the packed file cannot be read. */
static int unpack_some(struct reader *r)
{
    struct unpacker *u = r->packed;
    struct err err;
    size_t n = 0;
    int e;

    if (u->cap - u->n < STEP_BYTES) {
        u->cap = u->n + STEP_BYTES > 2 * u->cap ? u->n + STEP_BYTES : 2 * u->cap;
        u->window = mem_grow(u->window, u->cap);
    }
    e = codec_reader_pull(u->codec, u->window + u->n, u->cap - u->n, &n, &err);
    if (e < 0 || (e == 1 && u->all_fed))
        end(u, e < 0);
    else if (e == 1)
        return feed(r);
    u->n += n;
    if (u->base + u->n > u->size)
        u->size = u->base + u->n;
    return 0;
}

/* Make the window begin at `offset`, or end before it where the log does. */
static int seek(struct reader *r, uint64_t offset)
{
    struct unpacker *u = r->packed;

    if ((u->codec == NULL || offset < u->base) && begin(r) < 0)
        return -1;
    for (;;) {
        size_t drop = offset - u->base < u->n ? (size_t)(offset - u->base) : u->n;
        if (drop > 0 && drop < u->n)
            memmove(u->window, u->window + drop, u->n - drop);
        u->n -= drop;
        u->base += drop;
        if (u->base == offset || u->ended)
            return 0;
        if (unpack_some(r) < 0)
            return -1;
    }
}

static ssize_t read_packed(struct reader *r, char *p, size_t n, uint64_t offset)
{
    struct unpacker *u = r->packed;

    if (seek(r, offset) < 0)
        return -1;
    while (u->base == offset && u->n < n && !u->ended)
        if (unpack_some(r) < 0)
            return -1;
    if (u->base != offset || u->n == 0) {
        errno = EBADMSG;
        return u->damaged ? -1 : 0;
    }
    if (n > u->n)
        n = u->n;
    memcpy(p, u->window, n);
    return (ssize_t)n;
}

ssize_t reader_read(struct reader *r, char *p, size_t n, uint64_t offset)
{
    if (r->kept != NULL)
        return keep_reader_read(r->kept, p, n, offset);
    return r->packed == NULL ? read_plain(r->fd, p, n, offset) : read_packed(r, p, n, offset);
}

uint64_t reader_pass_hole(const struct reader *r, uint64_t offset, uint64_t to)
{
    struct stat st;
    off_t data;

    /* its size first: what is written behind that is no hole */
    if (!reader_is_plain(r) || fstat(r->fd, &st) < 0 || (uint64_t)st.st_size <= offset)
        return offset;
    data = lseek(r->fd, (off_t)offset, SEEK_DATA);
    if (data < 0)
        data = errno == ENXIO ? st.st_size : (off_t)offset;
    return (uint64_t)data < to ? (uint64_t)data : to;
}

int reader_stat(const struct reader *r, struct reader_stat *ret)
{
    const struct unpacker *u = r->packed;
    struct stat st;

    if (fstat(r->fd, &st) < 0)
        return -1;
    ret->unlinked = st.st_nlink == 0 || r->kept != NULL;
    ret->disk = r->kept != NULL ? 0 : (uint64_t)st.st_blocks * 512;
    ret->is_sure = u == NULL || u->is_sure;
    ret->damaged = r->kept != NULL ? keep_reader_is_damaged(r->kept) : u != NULL && u->was_damaged;
    if (r->kept != NULL)
        ret->size = keep_reader_end(r->kept);
    else if (u == NULL)
        ret->size = (uint64_t)st.st_size;
    else
        ret->size = u->is_sure ? u->size : u->size + 1;
    return 0;
}

/* What a read of `n` bytes that returned `got` says of there being as many. */
static int has_got(ssize_t got, size_t n)
{
    if (got < 0 && errno != EBADMSG)
        return -1;
    return got >= 0 && (size_t)got == n;
}

int reader_reaches(struct reader *r, uint64_t size)
{
    struct reader_stat st;
    char c;

    if (r->packed != NULL && size > r->packed->size && !r->packed->is_sure)
        return has_got(read_packed(r, &c, 1, size - 1), 1);
    return reader_stat(r, &st) < 0 ? -1 : st.size >= size;
}

bool reader_is_claimed(const struct reader *r, uint64_t size)
{
    struct reader plain = {.fd = r->fd};
    struct reader_stat st;
    unsigned char p[4];

    if (reader_stat(&plain, &st) < 0 || st.size < 18 ||
        reader_read(&plain, (char *)p, sizeof(p), st.size - sizeof(p)) != sizeof(p))
        return false;
    return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) ==
           (uint32_t)size;
}

int reader_have_same_bytes(struct reader *a, struct reader *b)
{
    struct reader *plain = a->packed == NULL ? a : b, *other = plain == a ? b : a;
    char last[2][TAIL_BYTES];
    struct reader_stat st;
    uint64_t size;
    size_t n;
    int r;

    if (plain->packed != NULL)
        return 0;
    if (reader_stat(plain, &st) < 0)
        return -1;
    size = st.size;
    r = reader_reaches(other, size);
    if (r < 0 || (r == 0 && reader_stat(other, &st) < 0))
        return -1;
    if (r == 0)
        size = st.size;
    n = size < TAIL_BYTES ? (size_t)size : TAIL_BYTES;
    if (n == 0)
        return 0;
    r = has_got(reader_read(a, last[0], n, size - n), n);
    if (r == 1)
        r = has_got(reader_read(b, last[1], n, size - n), n);
    return r == 1 ? memcmp(last[0], last[1], n) == 0 : r;
}
