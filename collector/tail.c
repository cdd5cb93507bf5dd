/* collector/tail.c - contract: tail.h.  A file's life and identity. */
#include "collector/tail.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/tail_turn.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_BYTES = 256 << 10,
    LINE_SLACK = 64 << 10, /* what a line may have around max_line of text */
    JOINS_BYTES = 64 << 20,
    LABELS_BYTES = 256 << 10,
    DESCRIBE_MS = 2000, /* how long a container may stay unknown */
};

void tail_reader_init(struct tail_reader *rd, struct checkpoint *checkpoint, size_t max_line,
                      dur_ns partial_timeout)
{
    memset(rd, 0, sizeof(*rd));
    decoder_init(&rd->decoder);
    rd->cap = READ_BYTES;
    rd->buf = mem_new(rd->cap);
    rd->line_max = max_line + LINE_SLACK > READ_BYTES ? max_line + LINE_SLACK : READ_BYTES;
    rd->joins = (struct mem_budget){.name = "unfinished lines", .limit = JOINS_BYTES};
    rd->limits = (struct join_limits){.max_line = max_line, .budget = &rd->joins};
    rd->partial_timeout = partial_timeout;
    rd->checkpoint = checkpoint;
}

void tail_reader_fini(struct tail_reader *rd)
{
    decoder_fini(&rd->decoder);
    free(rd->buf);
    VEC_FINI(&rd->fills);
    VEC_FINI(&rd->held);
}

int tail_open(int fd, const char *path, const struct source *source, struct tail **ret,
              struct err *err)
{
    struct tail *t;
    struct stat st;
    int r = 0;

    if (fstat(fd, &st) < 0)
        r = err_sys(err, "stat");
    else if (!S_ISREG(st.st_mode))
        r = err_set(err, ERR_INVALID, "not a regular file");
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    t = mem_new(sizeof(*t));
    t->magic = TAIL_MAGIC;
    t->fd = fd;
    t->dev = st.st_dev;
    t->ino = st.st_ino;
    t->path = mem_dup(path, strlen(path));
    t->set = source_set_ref(source->set);
    t->source = source;
    t->arena = arena_new(NULL, LABELS_BYTES);
    t->wd = -1;
    t->opened_at = t->seen_at = time_mono();
    *ret = t;
    return 0;
}

void tail_free(struct tail **pt, struct tail_reader *rd)
{
    struct tail *t = *pt;

    if (t == NULL)
        return;
    OBJ_CHECK(t, TAIL_MAGIC);
    if (t->file != NULL)
        t->file->user = NULL;
    join_fini(&t->join, &rd->limits);
    arena_free(&t->arena);
    source_set_unref(&t->set);
    (void)close(t->fd);
    free(t->path);
    t->magic = 0;
    free(t);
    *pt = NULL;
}

bool tail_describe(struct tail *t)
{
    bool last = time_mono() - t->opened_at >= DESCRIBE_MS * NS_PER_MS;

    if (t->described)
        return true;
    arena_reset(t->arena);
    t->described =
        source_describe(t->source, str_of(t->path), last, t->arena, &t->labels, &t->attrs) == 0 ||
        last;
    if (t->described && last)
        log_warn("file.unresolved", LOG_Z("file", t->path));
    return t->described;
}

/* ---- identity ---- */

/* Hash of the first n bytes; false: they cannot be read. */
static bool head_hash(const struct tail *t, uint32_t n, uint64_t *ret)
{
    char head[CHECKPOINT_HEAD_MAX];
    ssize_t got = pread(t->fd, head, n, 0);

    if (got < 0 || (uint32_t)got != n)
        return false;
    *ret = hash_bytes(head, n, 0);
    return true;
}

/* Does the file begin as `f` says?  One that was empty when it was seen begins with anything. */
static bool has_head(const struct tail *t, const struct checkpoint_file *f, uint64_t size)
{
    uint64_t hash;

    if (f->head_len == 0)
        return true;
    return size >= f->head_len && head_hash(t, f->head_len, &hash) && hash == f->head_hash;
}

bool tail_is_file(struct tail *t, const struct checkpoint_file *f)
{
    struct stat st;

    return fstat(t->fd, &st) == 0 && (uint64_t)st.st_size >= checkpoint_file_end(f) &&
           has_head(t, f, (uint64_t)st.st_size);
}

void tail_adopt(struct tail *t, struct checkpoint_file *f)
{
    INVARIANT(t->file == NULL && f->user == NULL);
    t->file = f;
    f->user = t;
    f->dev = t->dev;
    f->ino = t->ino;
    t->pos = t->seen = t->scanned = checkpoint_file_end(f);
    t->holes_due = t->adopted = true;
}

/* As much of its head as there is to tell it by; written down when that has doubled. */
static void learn_head(struct tail *t, struct tail_reader *rd, uint64_t size)
{
    uint32_t len = size < CHECKPOINT_HEAD_MAX ? (uint32_t)size : CHECKPOINT_HEAD_MAX;
    struct checkpoint_file *f = t->file;
    uint64_t hash;

    if (len <= f->head_len || (len < CHECKPOINT_HEAD_MAX && len < 2 * f->head_len) ||
        !head_hash(t, len, &hash))
        return;
    f->head_len = len;
    f->head_hash = hash;
    checkpoint_file_changed(rd->checkpoint, f);
}

void tail_register(struct tail *t, struct tail_reader *rd)
{
    struct stat st;

    INVARIANT(t->file == NULL);
    t->file = checkpoint_file_new(rd->checkpoint, t->dev, t->ino, t->path);
    t->file->user = t;
    if (fstat(t->fd, &st) == 0)
        learn_head(t, rd, (uint64_t)st.st_size);
}

/* A file of `size` bytes is about to be read.  false: it is not what it was. */
bool tail_identify(struct tail *t, struct tail_reader *rd, uint64_t size)
{
    if (t->file == NULL)
        tail_register(t, rd);
    if (size < t->pos || !has_head(t, t->file, size))
        return false;
    learn_head(t, rd, size);
    return true;
}

bool tail_is_settled(const struct tail *t)
{
    const struct checkpoint_file *f = t->file;

    if (t->pos < t->seen || join_is_open(&t->join))
        return false;
    if (f == NULL)
        return t->pos == 0;
    return f->unacked == 0 && (t->pos == 0 || (f->planned.n == 1 && f->planned.p[0].start == 0 &&
                                               f->planned.p[0].end == t->pos));
}
