/*
 * collector/checkpoint.c - contract: checkpoint.h; bytes: docs/formats/checkpoint.md.
 *
 * Why a journal of our own and not a database: one record is 64 bytes, a chunk costs one write and
 * one fdatasync, and reading it all at start takes milliseconds.  Records wait in a buffer until
 * the next sync, so that several chunks share one fdatasync.
 *
 * Invariants
 *   (1) memory says what the file will say once the buffer is written;
 *   (2) file and chunk numbers only grow, through rewriting too; a file's salt is drawn with its
 *       number, so that a journal that was put back from a copy, which draws the same numbers
 *       again, does not name another file what the server knows already.
 */
#include "collector/checkpoint.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/checkpoint_internal.h"
#include "collector/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { JOURNAL_MAX = 256 << 20 }; /* a journal over this was not written by us */
static const char NAME[] = "checkpoint";

/* ---- files and ranges in memory ---- */

static struct str number_key(const uint64_t *no)
{
    return (struct str){(const char *)no, sizeof(*no)};
}

/* Give `f` a name and a place. */
static void file_enter(struct checkpoint *c, struct checkpoint_file *f, uint64_t no, uint32_t salt)
{
    f->no = no;
    f->salt = salt;
    (void)snprintf(f->id, sizeof(f->id), "%016" PRIx64 "-%" PRIx64 "-%08" PRIx32, c->incarnation,
                   no, salt);
    f->index = c->files.n;
    VEC_PUSH(&c->files, f);
    INVARIANT(map_put(c->by_no, number_key(&f->no), f)); /* it has no limit */
    if (no >= c->next_file)
        c->next_file = no + 1; /* keeps (2) */
}

struct checkpoint_file *checkpoint_add_file(struct checkpoint *c, uint64_t no, uint32_t salt)
{
    struct checkpoint_file *f = mem_new(sizeof(*f));

    f->path = mem_dup("", 0);
    file_enter(c, f, no, salt);
    return f;
}

static void file_free(struct checkpoint_file *f)
{
    VEC_FINI(&f->drops);
    VEC_FINI(&f->planned);
    free(f->path);
    free(f);
}

void checkpoint_remove_file(struct checkpoint *c, struct checkpoint_file *f)
{
    struct checkpoint_file *last = c->files.p[--c->files.n];

    c->files.p[f->index] = last;
    last->index = f->index;
    (void)map_remove(c->by_no, number_key(&f->no));
    file_free(f);
}

/* Put [start, end) into the sorted set. */
void checkpoint_add_range(struct checkpoint_file *f, uint64_t start, uint64_t end)
{
    size_t i = 0, last;

    if (start >= end)
        return;
    while (i < f->planned.n && f->planned.p[i].end < start)
        i++;
    last = i;
    while (last < f->planned.n && f->planned.p[last].start <= end) {
        if (f->planned.p[last].start < start)
            start = f->planned.p[last].start;
        if (f->planned.p[last].end > end)
            end = f->planned.p[last].end;
        last++;
    }
    if (last == i) {
        VEC_RESERVE(&f->planned, f->planned.n + 1);
        memmove(&f->planned.p[i + 1], &f->planned.p[i],
                (f->planned.n - i) * sizeof(f->planned.p[0]));
        f->planned.n++;
    } else {
        memmove(&f->planned.p[i + 1], &f->planned.p[last],
                (f->planned.n - last) * sizeof(f->planned.p[0]));
        f->planned.n -= last - i - 1;
    }
    f->planned.p[i] = (struct checkpoint_range){start, end};
}

uint64_t checkpoint_file_end(const struct checkpoint_file *f)
{
    return f->planned.n == 0 ? 0 : f->planned.p[f->planned.n - 1].end;
}

void checkpoint_file_hole(const struct checkpoint_file *f, uint64_t from, uint64_t *start,
                          uint64_t *end)
{
    *start = *end = from;
    for (size_t i = 0; i < f->planned.n; i++) {
        if (f->planned.p[i].start > *start) {
            *end = f->planned.p[i].start;
            return;
        }
        if (f->planned.p[i].end > *start)
            *start = f->planned.p[i].end;
    }
    *end = *start;
}

struct checkpoint_file *checkpoint_file_at(const struct checkpoint *c, size_t i)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    return i < c->files.n ? c->files.p[i] : NULL;
}

struct checkpoint_file *checkpoint_file_find(const struct checkpoint *c, uint64_t no)
{
    return map_get(c->by_no, number_key(&no));
}

/* ---- chunks in memory ---- */

static void chunk_free(struct checkpoint_chunk *chunk)
{
    VEC_FINI(&chunk->parts);
    free(chunk);
}

struct checkpoint_chunk *checkpoint_add_chunk(struct checkpoint *c, uint64_t no)
{
    struct checkpoint_chunk *chunk = mem_new(sizeof(*chunk));

    chunk->no = no;
    VEC_PUSH(&c->chunks, chunk);
    if (no >= c->next_chunk)
        c->next_chunk = no + 1; /* keeps (2) */
    return chunk;
}

void checkpoint_take_part(struct checkpoint_chunk *chunk, struct checkpoint_part part)
{
    VEC_PUSH(&chunk->parts, part);
    part.file->unacked++;
    checkpoint_add_range(part.file, part.start, part.end);
}

/* Unknown numbers pass: an ack that came twice, or one of a chunk that a compaction has left out.
 */
bool checkpoint_remove_chunk(struct checkpoint *c, uint64_t no)
{
    for (size_t i = 0; i < c->chunks.n; i++) {
        struct checkpoint_chunk *chunk = c->chunks.p[i];
        if (chunk->no != no)
            continue;
        for (size_t p = 0; p < chunk->parts.n; p++)
            chunk->parts.p[p].file->unacked--;
        VEC_REMOVE(&c->chunks, i);
        chunk_free(chunk);
        return true;
    }
    return false;
}

struct checkpoint_chunk *checkpoint_chunk_at(const struct checkpoint *c, size_t i)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    return i < c->chunks.n ? c->chunks.p[i] : NULL;
}

struct checkpoint_chunk *checkpoint_chunk_find(const struct checkpoint *c, uint64_t no)
{
    for (size_t i = 0; i < c->chunks.n; i++)
        if (c->chunks.p[i]->no == no)
            return c->chunks.p[i];
    return NULL;
}

uint64_t checkpoint_file_certain(const struct checkpoint *c, const struct checkpoint_file *f)
{
    uint64_t n = f->planned.n > 0 && f->planned.p[0].start == 0 ? f->planned.p[0].end : 0;

    for (size_t i = 0; i < c->chunks.n; i++)
        for (size_t k = 0; k < c->chunks.p[i]->parts.n; k++) {
            const struct checkpoint_part *p = &c->chunks.p[i]->parts.p[k];
            if (p->file == f && p->start < n)
                n = p->start;
        }
    return n;
}

/* ---- servers in memory ---- */

void checkpoint_add_server(struct checkpoint *c, uint32_t id, char *address)
{
    struct checkpoint_server s = {.id = id, .address = address};

    for (size_t i = 0; i < c->servers.n; i++) {
        if (c->servers.p[i].id != id)
            continue;
        free(c->servers.p[i].address);
        c->servers.p[i].address = address;
        return;
    }
    VEC_PUSH(&c->servers, s);
}

bool checkpoint_has_use(const struct checkpoint *c, const struct checkpoint_server *s)
{
    if (s->asked_for)
        return true;
    for (size_t i = 0; i < c->files.n; i++)
        if (c->files.p[i]->server == s->id)
            return true;
    for (size_t i = 0; i < c->chunks.n; i++)
        if (c->chunks.p[i]->server == s->id)
            return true;
    return false;
}

const char *checkpoint_server_address(const struct checkpoint *c, uint32_t server)
{
    for (size_t i = 0; i < c->servers.n; i++)
        if (c->servers.p[i].id == server)
            return c->servers.p[i].address;
    return "";
}

/* ---- changes ---- */

uint32_t checkpoint_server(struct checkpoint *c, const char *address)
{
    uint32_t id = 1;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    for (size_t i = 0; i < c->servers.n; i++) {
        if (strcmp(c->servers.p[i].address, address) == 0) {
            c->servers.p[i].asked_for = true;
            return c->servers.p[i].id;
        }
        if (c->servers.p[i].id >= id)
            id = c->servers.p[i].id + 1;
    }
    checkpoint_add_server(c, id, mem_dup(address, strlen(address)));
    c->servers.p[c->servers.n - 1].asked_for = true;
    checkpoint_put_server(c, &c->servers.p[c->servers.n - 1]);
    return id;
}

void checkpoint_file_set_server(struct checkpoint *c, struct checkpoint_file *f, uint32_t server)
{
    if (f->server == server)
        return;
    f->server = server;
    checkpoint_file_changed(c, f);
}

size_t checkpoint_leave(struct checkpoint *c, uint32_t from, uint32_t to)
{
    size_t n = 0;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    for (size_t i = 0; i < c->files.n; i++) {
        if (c->files.p[i]->server != from)
            continue;
        c->files.p[i]->server = to;
        n++;
    }
    if (n > 0)
        checkpoint_put_leave(c, from, to);
    return n;
}

void checkpoint_move(struct checkpoint *c, uint64_t no, uint32_t server, bool maybe_twice)
{
    struct checkpoint_chunk *chunk = checkpoint_chunk_find(c, no);

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    INVARIANT(chunk != NULL);
    chunk->server = server;
    chunk->maybe_twice = chunk->maybe_twice || maybe_twice;
    checkpoint_put_move(c, chunk);
}

static int draw(void *ret, size_t n, struct err *err)
{
    return getrandom(ret, n, 0) == (ssize_t)n ? 0 : err_sys(err, "random number");
}

static uint32_t draw_salt(void)
{
    struct err err;
    uint32_t salt = 0;

    INVARIANT(draw(&salt, sizeof(salt), &err) == 0); /* it did at open */
    return salt;
}

struct checkpoint_file *checkpoint_file_new(struct checkpoint *c, uint64_t dev, uint64_t ino,
                                            const char *path)
{
    struct checkpoint_file *f;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    f = checkpoint_add_file(c, c->next_file, draw_salt());
    f->dev = dev;
    f->ino = ino;
    free(f->path);
    f->path = mem_dup(path, strlen(path));
    checkpoint_put_file(c, f);
    return f;
}

struct checkpoint_file *checkpoint_file_again(struct checkpoint *c, uint64_t no, uint32_t salt,
                                              const char *path)
{
    struct checkpoint_file *f;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (checkpoint_file_find(c, no) != NULL)
        return NULL;
    f = checkpoint_add_file(c, no, salt);
    free(f->path);
    f->path = mem_dup(path, strlen(path));
    checkpoint_put_file(c, f);
    return f;
}

void checkpoint_pass_numbers(struct checkpoint *c, uint64_t next)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (next > c->next_file)
        c->next_file = next; /* keeps (2) */
}

void checkpoint_file_changed(struct checkpoint *c, struct checkpoint_file *f)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    checkpoint_put_file(c, f);
}

void checkpoint_file_set_path(struct checkpoint *c, struct checkpoint_file *f, const char *path)
{
    if (strcmp(f->path, path) == 0)
        return;
    free(f->path);
    f->path = mem_dup(path, strlen(path));
    checkpoint_file_changed(c, f);
}

void checkpoint_file_forget(struct checkpoint *c, struct checkpoint_file *f)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    INVARIANT(f->unacked == 0);
    checkpoint_put_forget(c, f->no);
    checkpoint_remove_file(c, f);
}

uint64_t checkpoint_plan(struct checkpoint *c, uint32_t server, const struct checkpoint_part *parts,
                         size_t n)
{
    struct checkpoint_chunk *chunk;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    INVARIANT(n > 0 && n < CHECKPOINT_PARTS_MAX);
    chunk = checkpoint_add_chunk(c, c->next_chunk);
    chunk->server = server;
    for (size_t i = 0; i < n; i++)
        checkpoint_take_part(chunk, parts[i]);
    checkpoint_put_plan(c, chunk);
    return chunk->no;
}

bool checkpoint_is_part(const struct checkpoint_part *a, const struct checkpoint_part *b)
{
    return a->file == b->file && a->start == b->start && a->end == b->end;
}

bool checkpoint_replan(struct checkpoint *c, uint64_t no, const struct checkpoint_part *parts,
                       size_t n)
{
    struct checkpoint_chunk *chunk = checkpoint_chunk_find(c, no);
    bool changed = false;
    size_t k = 0;

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    for (size_t i = 0; chunk != NULL && i < chunk->parts.n && k < n; i++) {
        const struct checkpoint_part *p = &chunk->parts.p[i];
        if (!checkpoint_is_part(p, &parts[k]))
            continue;
        changed = changed || p->count != parts[k].count || p->rules != parts[k].rules;
        k++;
    }
    if (!changed || k < n)
        return false;
    k = 0;
    for (size_t i = 0; k < n; i++)
        if (checkpoint_is_part(&chunk->parts.p[i], &parts[k]))
            chunk->parts.p[i] = parts[k++];
    checkpoint_put_plan(c, chunk);
    return true;
}

struct checkpoint_drop *checkpoint_drop_find(struct checkpoint_file *f, const char *name)
{
    struct checkpoint_drop *d;

    VEC_EACH(&f->drops, d)
        if (strcmp(d->name, name) == 0)
            return d;
    return NULL;
}

struct checkpoint_drop *checkpoint_add_drop(struct checkpoint_file *f, const char *name)
{
    struct checkpoint_drop *d = checkpoint_drop_find(f, name), none = {.count = 0};

    if (d != NULL)
        return d;
    (void)str_to_z(str_of(name), none.name, sizeof(none.name));
    VEC_PUSH(&f->drops, none);
    return &f->drops.p[f->drops.n - 1];
}

void checkpoint_dropped(struct checkpoint *c, struct checkpoint_file *f, const char *name,
                        uint64_t count, uint64_t bytes)
{
    struct checkpoint_drop *d = checkpoint_add_drop(f, name);

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    d->count += count;
    d->bytes += bytes;
    checkpoint_put_drop(c, f, d);
}

void checkpoint_drop_told(struct checkpoint *c, struct checkpoint_file *f,
                          struct checkpoint_drop *d)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    d->told_count = d->count;
    d->told_bytes = d->bytes;
    checkpoint_put_drop(c, f, d);
}

void checkpoint_skip(struct checkpoint *c, struct checkpoint_file *f, uint64_t start, uint64_t end)
{
    struct checkpoint_range range = {start, end};

    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (start >= end)
        return;
    checkpoint_add_range(f, start, end);
    checkpoint_put_range(c, f, range);
}

void checkpoint_seen(struct checkpoint *c, struct checkpoint_file *f, uint64_t size)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (size <= f->seen)
        return;
    f->seen = size;
    checkpoint_put_seen(c, f);
}

void checkpoint_kept(struct checkpoint *c, struct checkpoint_file *f, uint64_t start, uint64_t end)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (f->kept.start == start && f->kept.end == end)
        return;
    f->kept = (struct checkpoint_range){start, end};
    checkpoint_put_kept(c, f);
}

void checkpoint_ack(struct checkpoint *c, uint64_t no)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (!checkpoint_remove_chunk(c, no))
        return;
    checkpoint_put_ack(c, no);
    checkpoint_disk_write(c);
    (void)fault_hit("checkpoint.acked");
}

/* ---- life ---- */

/*
 * A new incarnation with what is certain of the files that are known.  What was planned and not
 * acknowledged may be stored or not, and so may what the journal does not say any more: all of
 * that is read again, under new ids.
 */
static int renew(struct checkpoint *c, enum checkpoint_renewal why, struct err *err)
{
    size_t n = c->files.n;
    int r;

    c->renewal = why;
    c->previous = c->incarnation;
    r = draw(&c->incarnation, sizeof(c->incarnation), err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        struct checkpoint_file *f = c->files.p[i];
        uint64_t end = checkpoint_file_certain(c, f);
        f->planned.n = 0;
        checkpoint_add_range(f, 0, end);
    }
    while (c->chunks.n > 0)
        (void)checkpoint_remove_chunk(c, c->chunks.p[0]->no);
    for (c->files.n = 0; c->files.n < n;) {
        struct checkpoint_file *f = c->files.p[c->files.n];
        (void)map_remove(c->by_no, number_key(&f->no));
        file_enter(c, f, c->next_file, draw_salt());
    }
    metric_add(METRIC_INCARNATIONS, 1);
    return 0;
}

/* `bytes`: the journal that was found. */
static int take_over(struct checkpoint *c, struct str bytes, struct err *err)
{
    struct checkpoint_loaded found;
    int r = checkpoint_records_load(c, bytes, &found, err);

    if (r < 0)
        return r;
    if (!found.damaged)
        return checkpoint_disk_open(c, found.used, bytes.n, found.torn, err);
    r = renew(c, CHECKPOINT_DAMAGED, err);
    return r < 0 ? r : checkpoint_disk_begin(c, err);
}

static int begin(struct checkpoint *c, struct err *err)
{
    int r = 0;

    if (checkpoint_disk_has_past(c))
        r = renew(c, CHECKPOINT_LOST, err);
    else
        r = draw(&c->incarnation, sizeof(c->incarnation), err);
    return r < 0 ? r : checkpoint_disk_begin(c, err);
}

static int open_journal(struct checkpoint *c, struct err *err)
{
    struct buf bytes;
    int r;

    buf_init(&bytes, JOURNAL_MAX);
    r = file_read(c->dir_fd, NAME, &bytes, err);
    if (r == 0)
        r = take_over(c, buf_str(&bytes), err);
    else if (r == ERR_GONE)
        r = begin(c, err);
    buf_fini(&bytes);
    return r;
}

int checkpoint_open(int dir_fd, struct checkpoint **ret, struct err *err)
{
    struct checkpoint *c = mem_new(sizeof(*c));
    int r;

    c->magic = CHECKPOINT_MAGIC;
    c->dir_fd = dir_fd;
    c->next_file = c->next_chunk = 1;
    c->by_no = map_new(0, NULL);
    r = open_journal(c, err);
    if (r < 0) {
        checkpoint_close(&c);
        return err_wrap(err, "journal of positions");
    }
    *ret = c;
    return 0;
}

enum checkpoint_renewal checkpoint_renewal(const struct checkpoint *c)
{
    return c->renewal;
}

uint64_t checkpoint_incarnation(const struct checkpoint *c)
{
    return c->incarnation;
}

uint64_t checkpoint_previous(const struct checkpoint *c)
{
    return c->previous;
}

void checkpoint_is_old(struct checkpoint *c, uint64_t next)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (next > c->next_file)
        c->next_file = next; /* keeps (2) */
    c->renewal = CHECKPOINT_OLD;
    checkpoint_put_old(c);
}

uint64_t checkpoint_next_file(const struct checkpoint *c)
{
    return c->next_file;
}

void checkpoint_told(struct checkpoint *c)
{
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    if (c->renewal == CHECKPOINT_SAME)
        return;
    c->renewal = CHECKPOINT_SAME;
    checkpoint_put_told(c);
}

void checkpoint_close(struct checkpoint **pc)
{
    struct checkpoint *c = *pc;
    struct checkpoint_file **f;
    struct checkpoint_chunk **chunk;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CHECKPOINT_MAGIC);
    checkpoint_disk_close(c);
    VEC_EACH(&c->chunks, chunk)
        chunk_free(*chunk);
    VEC_EACH(&c->files, f)
        file_free(*f);
    for (size_t i = 0; i < c->servers.n; i++)
        free(c->servers.p[i].address);
    VEC_FINI(&c->servers);
    VEC_FINI(&c->chunks);
    VEC_FINI(&c->files);
    VEC_FINI(&c->waiting);
    map_free(&c->by_no);
    c->magic = 0;
    free(c);
    *pc = NULL;
}
