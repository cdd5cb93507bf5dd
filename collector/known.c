/*
 * collector/known.c - contract: known.h.
 *
 * An entry is kept as the text that stands in the file: compared with, written again and parsed
 * when it is asked for, which is once in a log's life.
 *
 * Invariants
 *   (1) the file holds every entry as it is now, unless is_behind: then it is made anew at the next
 *       chance;
 *   (2) the file is at most twice what its entries need, and some more.
 */
#include "collector/known.h"

#include "base/crc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/record.h"
#include "collector/metrics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SUM_BYTES = 9,     /* of a line: eight digits and a blank */
    SLACK = 64 << 10,  /* of what is not needed any more in the file */
    FILE_MAX = 8 << 20 /* what is larger is not ours */
};

struct entry {
    struct entry *older, *newer; /* by when it was needed last */
    struct str key;              /* owned; any bytes */
    char *text;                  /* owned */
    size_t n;                    /* of text */
};

struct known {
    unsigned magic;
#define KNOWN_MAGIC 0x4b0370f1u
    int dir_fd, fd; /* fd: -1 until there is a file */
    uint64_t size;  /* of the file */
    size_t bytes;   /* of all entries' lines */
    struct map *by_key;
    struct entry *oldest, *newest;
    bool is_behind;
};

/* ---- an entry's text ---- */

static const struct meta_field FIELDS[] = {
    {STR_INIT("id"), offsetof(struct meta, id)},
    {STR_INIT("name"), offsetof(struct meta, name)},
    {STR_INIT("image"), offsetof(struct meta, image)},
    {STR_INIT("image_digest"), offsetof(struct meta, image_digest)},
    {STR_INIT("app"), offsetof(struct meta, app)},
    {STR_INIT("namespace"), offsetof(struct meta, namespace)},
    {STR_INIT("pod"), offsetof(struct meta, pod)},
    {STR_INIT("pod_uid"), offsetof(struct meta, pod_uid)},
    {STR_INIT("restart"), offsetof(struct meta, restart)},
    {STR_INIT("exclude"), offsetof(struct meta, hints.exclude)},
    {STR_INIT("redact"), offsetof(struct meta, hints.redact)},
    {STR_INIT("multiline"), offsetof(struct meta, hints.multiline)},
};
enum { N_FIELDS = sizeof(FIELDS) / sizeof(FIELDS[0]) };

static void format(struct buf *out, struct str key, const struct meta *m)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "key", key);
    for (size_t i = 0; i < N_FIELDS; i++) {
        const struct str *s = (const void *)((const char *)m + FIELDS[i].at);
        if (s->n == 0)
            continue;
        json_put_key(&w, FIELDS[i].name);
        json_put_string(&w, str_sub(*s, 0, RECORD_LABEL_VALUE_MAX));
    }
    json_put_object_end(&w);
}

/* Members that nobody knows are of another version: passed over. */
static bool take_member(struct json_reader *r, struct str name, struct arena *a, struct str *key,
                        struct meta *ret)
{
    const struct meta_field *field = meta_field_find(FIELDS, N_FIELDS, name);

    if (str_eq(name, STR("key")))
        return meta_take_string(r, a, key);
    return field == NULL || meta_take_string(r, a, meta_field_of(ret, field));
}

static bool parse(struct str text, struct arena *a, struct str *key, struct meta *ret)
{
    struct json_reader r;
    struct json_token t;
    struct err err;
    int e;

    *key = STR_NULL;
    memset(ret, 0, sizeof(*ret));
    e = json_reader_init_object(&r, text, &err);
    while (e == 0 && (e = json_member(&r, &t, &err)) == 0)
        if (!take_member(&r, t.raw, a, key, ret))
            return false;
    ret->has_hints = true;
    return e == 1 && key->n > 0;
}

/* ---- entries ---- */

static size_t line_bytes(const struct entry *e)
{
    return SUM_BYTES + e->n + 1;
}

static void unlink_entry(struct known *k, struct entry *e)
{
    *(e->older == NULL ? &k->oldest : &e->older->newer) = e->newer;
    *(e->newer == NULL ? &k->newest : &e->newer->older) = e->older;
    e->older = e->newer = NULL;
}

static void link_newest(struct known *k, struct entry *e)
{
    e->older = k->newest;
    *(k->newest == NULL ? &k->oldest : &k->newest->newer) = e;
    k->newest = e;
}

static void drop_entry(struct known *k, struct entry *e)
{
    k->bytes -= line_bytes(e);
    unlink_entry(k, e);
    (void)map_remove(k->by_key, e->key);
    free((char *)(uintptr_t)e->key.p);
    free(e->text);
    free(e);
}

static struct entry *find(struct known *k, struct str key)
{
    struct entry *e = map_get(k->by_key, key);

    if (e != NULL) {
        unlink_entry(k, e);
        link_newest(k, e);
    }
    return e;
}

/* `text` is copied. */
static void set(struct known *k, struct str key, struct str text)
{
    struct entry *e = find(k, key);

    if (e == NULL) {
        e = mem_new(sizeof(*e));
        e->key = (struct str){mem_dup(key.p, key.n), key.n};
        (void)map_put(k->by_key, key, e);
        link_newest(k, e);
    } else {
        k->bytes -= line_bytes(e);
        free(e->text);
    }
    e->text = mem_dup(text.p, text.n);
    e->n = text.n;
    k->bytes += line_bytes(e);
    while (map_count(k->by_key) > KNOWN_MAX || k->bytes > KNOWN_BYTES_MAX)
        drop_entry(k, k->oldest);
    metric_set(METRIC_KNOWN, map_count(k->by_key));
}

/* ---- the file ---- */

static void add_line(struct buf *out, struct str text)
{
    buf_addf(out, "%08" PRIx32 " ", crc32c(0, text.p, text.n));
    buf_add_str(out, text);
    buf_add_char(out, '\n');
}

static void failed(struct known *k, const struct err *err)
{
    metric_add(METRIC_KNOWN_FAILED, 1);
    if (!k->is_behind)
        log_warn("containers.not_written", LOG_ERR(err));
    k->is_behind = true;
}

static int open_file(struct known *k, struct err *err)
{
    int fd = openat(k->dir_fd, KNOWN_FILE, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "open %s", KNOWN_FILE);
    if (k->fd >= 0)
        (void)close(k->fd);
    k->fd = fd;
    return 0;
}

/* Keeps (1) and (2). */
static void make_anew(struct known *k)
{
    struct buf text;
    struct err err;
    int r;

    buf_init(&text, FILE_MAX);
    for (const struct entry *e = k->oldest; e != NULL; e = e->newer)
        add_line(&text, (struct str){e->text, e->n});
    r = buf_err(&text, KNOWN_FILE, &err);
    if (r == 0)
        r = file_replace(k->dir_fd, KNOWN_FILE, 0600, buf_str(&text), &err);
    if (r == 0)
        r = open_file(k, &err);
    if (r < 0) {
        failed(k, &err);
    } else {
        k->size = text.n;
        k->is_behind = false;
    }
    buf_fini(&text);
}

static void append(struct known *k, struct str text)
{
    struct buf line;
    struct err err;

    if (k->is_behind || k->fd < 0 || k->size > 2 * (uint64_t)k->bytes + SLACK) {
        make_anew(k);
        return;
    }
    buf_init(&line, KNOWN_ENTRY_MAX + SUM_BYTES + 1);
    add_line(&line, text);
    if (file_pwrite_all(k->fd, line.p, line.n, k->size, &err) < 0) {
        /* a part of it is a line that breaks its sum, and the next form of the file has none */
        failed(k, &err);
    } else {
        k->size += line.n;
    }
    buf_fini(&line);
}

/* The text of a line; p == NULL: it is damaged. */
static struct str checked(struct str line)
{
    char sum[SUM_BYTES];
    struct str text = str_from(line, SUM_BYTES);

    if (line.n <= SUM_BYTES || text.n > KNOWN_ENTRY_MAX)
        return STR_NULL;
    (void)snprintf(sum, sizeof(sum), "%08" PRIx32, crc32c(0, text.p, text.n));
    return memcmp(sum, line.p, SUM_BYTES - 1) == 0 && line.p[SUM_BYTES - 1] == ' ' ? text
                                                                                   : STR_NULL;
}

/* false: not all of it is as we write it. */
static bool take_lines(struct known *k, struct str text)
{
    struct arena *a = arena_new(NULL, 4 * KNOWN_ENTRY_MAX);
    bool ok = text.n == 0 || text.p[text.n - 1] == '\n';

    while (text.n > 0) {
        struct str line = checked(str_cut(&text, '\n')), key;
        struct meta m;
        if (line.p != NULL && parse(line, a, &key, &m))
            set(k, key, line);
        else
            ok = false;
        arena_reset(a);
    }
    arena_free(&a);
    return ok;
}

static void load(struct known *k)
{
    struct buf text;
    struct err err;
    int r;

    buf_init(&text, FILE_MAX);
    r = file_read(k->dir_fd, KNOWN_FILE, &text, &err);
    if (r == 0 && take_lines(k, buf_str(&text)))
        r = open_file(k, &err);
    else
        k->is_behind = r != ERR_GONE;
    if (r < 0 && r != ERR_GONE)
        log_warn("containers.unreadable", LOG_ERR(&err));
    else if (k->is_behind)
        log_warn("containers.damaged", LOG_U64("known", map_count(k->by_key)));
    if (k->fd >= 0)
        k->size = text.n;
    buf_fini(&text);
    if (k->is_behind)
        make_anew(k);
}

struct known *known_open(int state_fd)
{
    struct known *k = mem_new(sizeof(*k));

    k->magic = KNOWN_MAGIC;
    k->dir_fd = state_fd;
    k->fd = -1;
    k->by_key = map_new(0, NULL);
    load(k);
    return k;
}

void known_close(struct known **pk)
{
    struct known *k = *pk;

    if (k == NULL)
        return;
    OBJ_CHECK(k, KNOWN_MAGIC);
    while (k->oldest != NULL)
        drop_entry(k, k->oldest);
    map_free(&k->by_key);
    if (k->fd >= 0)
        (void)close(k->fd);
    k->magic = 0;
    free(k);
    *pk = NULL;
}

bool known_get(struct known *k, struct str key, struct arena *a, struct meta *ret)
{
    const struct entry *e;
    struct str same;

    OBJ_CHECK(k, KNOWN_MAGIC);
    e = find(k, key);
    return e != NULL && parse((struct str){e->text, e->n}, a, &same, ret);
}

void known_put(struct known *k, struct str key, const struct meta *m)
{
    const struct entry *e;
    struct buf text;

    OBJ_CHECK(k, KNOWN_MAGIC);
    buf_init(&text, KNOWN_ENTRY_MAX);
    format(&text, key, m);
    e = find(k, key);
    if (text.over) {
        metric_add(METRIC_KNOWN_FAILED, 1);
    } else if (e == NULL || !str_eq((struct str){e->text, e->n}, buf_str(&text))) {
        set(k, key, buf_str(&text));
        append(k, buf_str(&text));
    } else if (k->is_behind) {
        make_anew(k);
    }
    buf_fini(&text);
}

size_t known_count(const struct known *k)
{
    return map_count(k->by_key);
}
