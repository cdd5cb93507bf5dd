/*
 * query/cli/cmd_import.c - `logq import FILE`: the lines of an export, stored again.
 *
 * In batches, each tried again until it is answered.  A batch has its number in the file: the
 * server stores the same batch under the same number once, so that a whole import may be repeated
 * within a day.
 */
#include "query/cli/cmd.h"
#include "query/cli/params.h"
#include "wire/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 1 << 20,
    BATCH_LINES = 5000,
    LINE_MAX_BYTES = 64 << 20,
    CHUNK = 256 << 10,
    PARAMS_MAX = 256,
    TRIES = 8,
    FIRST_WAIT_MS = 250,
};

struct sending {
    struct cmd *c;
    struct buf batch;
    size_t lines; /* in it */
    uint64_t batches, count;
    struct remote_failure fail;
};

/* A busy or full server, and a network that fails, get another chance. */
static bool may_retry(const struct remote_failure *fail, int code)
{
    return code != ERR_CANCELLED &&
           (fail->status == 0 || fail->status == 429 || fail->status >= 500);
}

static int send_batch(struct sending *s, struct err *err)
{
    struct remote_request req = {
        .path = "/api/v1/import", .method = "POST", .idle_ms = CMD_IDLE_MS};
    uint64_t wait = FIRST_WAIT_MS;
    struct buf params, answer;
    int r = 0;

    if (s->lines == 0)
        return 0;
    buf_init(&params, PARAMS_MAX);
    buf_init(&answer, CHUNK);
    params_add_u64(&params, "batch", ++s->batches);
    req.params = buf_str(&params);
    req.upload = buf_str(&s->batch);
    for (int i = 0; i < TRIES; i++, wait *= 2) {
        struct err ignored;
        r = remote_fetch(s->c->remote, &req, &answer, &s->fail, err);
        if (r == 0 || !may_retry(&s->fail, r) || i + 1 == TRIES)
            break;
        cmd_say("%s; trying again", err->text);
        if (remote_wait(s->c->remote, wait, &ignored) < 0)
            break;
    }
    buf_fini(&params);
    buf_fini(&answer);
    s->count += s->lines;
    s->lines = 0;
    buf_clear(&s->batch);
    return r < 0 ? err_wrap(err, "batch %llu", (unsigned long long)s->batches) : 0;
}

static int take_line(struct sending *s, struct str line, struct err *err)
{
    int r = 0;

    if (line.n == 0)
        return 0;
    if (s->lines >= BATCH_LINES || (s->lines > 0 && s->batch.n + line.n > BATCH_BYTES))
        r = send_batch(s, err);
    buf_add_str(&s->batch, line);
    buf_add_char(&s->batch, '\n');
    s->lines++;
    return r == 0 ? buf_err(&s->batch, "a line", err) : r;
}

/* Lines of a file, unpacked piece by piece. */
static int take_file(struct sending *s, struct str file, struct err *err)
{
    struct codec_reader *reader = codec_reader_new();
    char *chunk = mem_new(CHUNK);
    struct buf part;
    int r = codec_reader_start(reader, codec_sniff(file), file, SIZE_MAX, err);

    buf_init(&part, LINE_MAX_BYTES);
    while (r == 0) {
        struct str bytes = {chunk, 0};
        r = codec_reader_pull(reader, chunk, CHUNK, &bytes.n, err);
        while (r == 0 && bytes.n > 0) {
            size_t end = str_find_char(bytes, '\n');
            buf_add_str(&part, str_sub(bytes, 0, end == SIZE_MAX ? bytes.n : end));
            r = buf_err(&part, "a line of the file", err);
            if (r < 0 || end == SIZE_MAX)
                break;
            r = take_line(s, buf_str(&part), err);
            buf_clear(&part);
            bytes = str_from(bytes, end + 1);
        }
    }
    if (r == 1)
        r = take_line(s, buf_str(&part), err);
    buf_fini(&part);
    free(chunk);
    codec_reader_free(&reader);
    return r < 0 ? r : send_batch(s, err);
}

/* What comes out of a pipe, as a file that nobody else sees. */
static int copy_pipe(int from, const char *name, struct err *err)
{
    char *chunk = mem_new(CHUNK);
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ssize_t n = 1;

    if (fd < 0)
        (void)err_sys(err, "open a temporary file");
    while (fd >= 0 && (n = read(from, chunk, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write(fd, chunk, (size_t)n) != n) {
            (void)err_sys(err, "copy '%s'", name);
            (void)close(fd);
            fd = -1;
        }
    }
    free(chunk);
    return fd;
}

/* A descriptor of a regular file, or < 0.  ERR_GONE: there is none by that name; ERR_INVALID. */
static int open_file(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), copy;
    struct stat st;

    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_GONE, "there is no '%s'", path);
    if (fd < 0 || fstat(fd, &st) != 0) {
        (void)err_sys(err, "open '%s'", path);
    } else if (S_ISDIR(st.st_mode)) {
        (void)err_set(err, ERR_INVALID, "'%s' is a directory", path);
    } else if (S_ISREG(st.st_mode)) {
        return fd;
    } else {
        copy = copy_pipe(fd, path, err);
        (void)close(fd); /* only read from */
        return copy < 0 ? ERR_IO : copy;
    }
    if (fd >= 0)
        (void)close(fd); /* only read from */
    return err->code;
}

static int import(struct sending *s, const char *path, struct err *err)
{
    bool piped = strcmp(path, "-") == 0;
    int fd = piped ? copy_pipe(STDIN_FILENO, "standard input", err) : open_file(path, err);
    struct stat st = {0};
    void *p;
    int r;

    if (fd < 0)
        return err->code;
    if (fstat(fd, &st) != 0 || st.st_size == 0) {
        (void)close(fd); /* only read from */
        return 0;
    }
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    (void)close(fd); /* only read from */
    if (p == MAP_FAILED)
        return err_sys(err, "read '%s'", path);
    r = take_file(s, (struct str){p, (size_t)st.st_size}, err);
    (void)munmap(p, (size_t)st.st_size);
    return r;
}

int cmd_import(struct cmd *c)
{
    struct sending s = {.c = c};
    struct err err;
    int r;

    buf_init(&s.batch, (size_t)LINE_MAX_BYTES + BATCH_BYTES);
    r = import(&s, c->args->words[0], &err);
    buf_fini(&s.batch);
    if (r < 0 && s.batches == 0 && (r == ERR_GONE || r == ERR_INVALID)) {
        cmd_say("%s", err.text);
        return CMD_USAGE;
    }
    if (r < 0)
        return cmd_fail(c, STR_NULL, &s.fail, &err);
    cmd_say("%llu lines", (unsigned long long)s.count);
    return s.count > 0 ? CMD_FOUND : CMD_NOTHING;
}
