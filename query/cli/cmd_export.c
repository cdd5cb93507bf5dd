/*
 * query/cli/cmd_export.c - `logq export QUERY FILE`: lines of a span, byte for byte, into a file.
 *
 * Oldest first.  When the connection breaks it is resumed behind the last whole line.  The file
 * appears under its name when all is in it.
 */
#include "query/cli/cmd.h"
#include "query/cli/params.h"
#include "wire/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 64 << 20,
    PIECE = 1 << 20, /* compressed at once */
    PARAMS_MAX = 1 << 20,
    ZSTD_LEVEL = 6,
    GZIP_LEVEL = 5,
    TRIES = 6,
    FIRST_WAIT_MS = 250,
};

struct saving {
    int fd;
    enum codec codec;
    struct codec_writer *writer;
    struct buf part;  /* of a line whose end has not come yet */
    struct buf lines; /* whole ones, to be compressed */
    struct buf packed;
    uint64_t count;
    int64_t last_ts;   /* of the last whole line */
    uint64_t last_seq; /* 0: none yet */
};

static int write_all(int fd, struct str s, struct err *err)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_sys(err, "write the export");
        s = str_from(s, (size_t)n);
    }
    return 0;
}

static int flush(struct saving *s, struct err *err)
{
    int level = s->codec == CODEC_ZSTD ? ZSTD_LEVEL : GZIP_LEVEL;
    int r = 0;

    if (s->lines.n == 0)
        return 0;
    if (s->codec == CODEC_NONE) {
        r = write_all(s->fd, buf_str(&s->lines), err);
    } else {
        buf_clear(&s->packed);
        r = codec_pack(s->writer, s->codec, level, buf_str(&s->lines), &s->packed, err);
        if (r == 0)
            r = write_all(s->fd, buf_str(&s->packed), err);
    }
    buf_clear(&s->lines);
    return r;
}

/* {"ts_ns":"T","seq":N, ... */
static bool read_place(struct str line, int64_t *ts, uint64_t *seq)
{
    static const char BEFORE[] = "{\"ts_ns\":\"";
    static const char BETWEEN[] = "\"seq\":";
    struct str rest = str_from(line, sizeof(BEFORE) - 1);

    if (!str_starts(line, STR(BEFORE)) || !str_to_i64(str_cut(&rest, '"'), ts))
        return false;
    (void)str_cut(&rest, ',');
    if (!str_starts(rest, STR(BETWEEN)))
        return false;
    rest = str_from(rest, sizeof(BETWEEN) - 1);
    return str_to_u64(str_cut(&rest, ','), seq);
}

static int take_line(struct saving *s, struct str line, struct err *err)
{
    if (line.n == 0)
        return 0;
    if (str_starts(line, STR("{\"error\":")))
        return err_set(err, ERR_IO, "the answer is incomplete: %.*s",
                       (int)(line.n < 200 ? line.n : 200), line.p);
    if (!read_place(line, &s->last_ts, &s->last_seq))
        return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
    buf_add_str(&s->lines, line);
    buf_add_char(&s->lines, '\n');
    s->count++;
    if (buf_err(&s->lines, "line of the server's answer", err) < 0)
        return err->code;
    return s->lines.n >= PIECE ? flush(s, err) : 0;
}

static int take_bytes(void *arg, struct str bytes, struct err *err)
{
    struct saving *s = arg;
    int r = 0;

    while (r == 0 && bytes.n > 0) {
        size_t end = str_find_char(bytes, '\n');
        buf_add_str(&s->part, str_sub(bytes, 0, end == SIZE_MAX ? bytes.n : end));
        r = buf_err(&s->part, "line of the server's answer", err);
        if (r < 0 || end == SIZE_MAX)
            break;
        r = take_line(s, buf_str(&s->part), err);
        buf_clear(&s->part);
        bytes = str_from(bytes, end + 1);
    }
    return r;
}

static int ask(struct cmd *c, struct saving *s, struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {
        .path = "/api/v1/export", .idle_ms = CMD_IDLE_MS, .body = take_bytes, .arg = s};
    struct buf params;
    int r;

    buf_init(&params, PARAMS_MAX);
    buf_clear(&s->part);
    params_add(&params, "query", str_of(c->args->words[0]));
    params_add_ts(&params, "start", s->last_seq > 0 ? s->last_ts : c->args->from);
    params_add_ts(&params, "end", cmd_end(c->args));
    params_add(&params, "direction", STR("forward"));
    params_add(&params, "form", STR("exact"));
    if (s->last_seq > 0)
        params_add_u64(&params, "after_seq", s->last_seq);
    req.params = buf_str(&params);
    r = remote_call(c->remote, &req, fail, err);
    buf_fini(&params);
    return r;
}

/* Until it is whole; each line that came in between begins the patience anew. */
static int run(struct cmd *c, struct saving *s, struct remote_failure *fail, struct err *err)
{
    uint64_t wait = FIRST_WAIT_MS;
    int tries = 0;

    for (;;) {
        uint64_t before = s->count;
        struct err ignored;
        int r = ask(c, s, fail, err);
        if (r == 0)
            return flush(s, err);
        if (r == ERR_CANCELLED || r == ERR_INVALID || r == ERR_DENIED || s->last_seq == 0)
            return r;
        if (s->count > before) {
            tries = 0;
            wait = FIRST_WAIT_MS;
        }
        if (++tries > TRIES)
            return r;
        cmd_say("%s; going on behind the last line", err->text);
        if (remote_wait(c->remote, wait, &ignored) < 0)
            return r;
        wait *= 2;
    }
}

static enum codec codec_of(const char *file)
{
    struct str name = str_of(file);

    if (str_ends(name, STR(".zst")) || str_ends(name, STR(".zstd")))
        return CODEC_ZSTD;
    return str_ends(name, STR(".gz")) ? CODEC_GZIP : CODEC_NONE;
}

static int save(struct cmd *c, struct saving *s, struct remote_failure *fail, struct err *err)
{
    int r;

    s->writer = codec_writer_new();
    buf_init(&s->part, LINE_MAX_BYTES);
    buf_init(&s->lines, LINE_MAX_BYTES + PIECE + 1);
    buf_init(&s->packed, (size_t)2 * (LINE_MAX_BYTES + PIECE));
    r = run(c, s, fail, err);
    codec_writer_free(&s->writer);
    buf_fini(&s->part);
    buf_fini(&s->lines);
    buf_fini(&s->packed);
    return r;
}

/* Into FILE.part, then under its name. */
static int save_file(struct cmd *c, struct saving *s, const char *file, struct remote_failure *fail,
                     struct err *err)
{
    char part[4096];
    int r = 0;

    if (snprintf(part, sizeof(part), "%s.part", file) >= (int)sizeof(part))
        return err_set(err, ERR_INVALID, "the name of the file is too long");
    s->fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (s->fd < 0)
        return err_sys(err, "create '%s'", part);
    r = save(c, s, fail, err);
    if (r == 0 && fsync(s->fd) != 0)
        r = err_sys(err, "fsync '%s'", part);
    (void)close(s->fd); /* synced, or of no use */
    if (r == 0 && rename(part, file) != 0)
        r = err_sys(err, "rename to '%s'", file);
    if (r < 0)
        (void)unlink(part); /* the error is told */
    return r;
}

int cmd_export(struct cmd *c)
{
    const char *file = c->args->words[1];
    struct saving s = {.fd = STDOUT_FILENO, .codec = codec_of(file)};
    struct remote_failure fail = {0};
    struct query *q = NULL;
    struct err err;
    int r;

    if (cmd_parse(c, str_of(c->args->words[0]), &q) < 0)
        return CMD_USAGE;
    query_unref(&q);
    r = strcmp(file, "-") == 0 ? save(c, &s, &fail, &err) : save_file(c, &s, file, &fail, &err);
    if (r < 0)
        return cmd_fail(c, str_of(c->args->words[0]), &fail, &err);
    cmd_say("%llu lines", (unsigned long long)s.count);
    return s.count > 0 ? CMD_FOUND : CMD_NOTHING;
}
