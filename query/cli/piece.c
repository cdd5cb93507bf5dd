/* query/cli/piece.c - see piece.h. */
#include "query/cli/piece.h"

#include "base/file.h"
#include "query/cli/cmd.h"
#include "query/cli/params.h"

#include <unistd.h>

enum {
    LINE_MAX_BYTES = 64 << 20,
    FRAME = 1 << 20,       /* compressed at once */
    MARK_EVERY = 16 << 20, /* bytes of lines between marks */
    PARAMS_MAX = 1 << 20,
    ZSTD_LEVEL = 6,
    GZIP_LEVEL = 5,
    TRIES = 6, /* without a line in between */
    FIRST_WAIT_MS = 250,
};

struct saving {
    struct piece *piece;
    struct codec_writer *writer;
    struct buf part;  /* of a line whose end has not come yet */
    struct buf lines; /* whole ones, to be compressed */
    struct buf packed;
    struct piece_place now; /* as piece->at, with `lines` counted in */
    size_t unmarked;        /* bytes of lines since the last mark */
    bool gave_up;           /* the server did */
};

static int mark(struct saving *s, struct err *err)
{
    s->unmarked = 0;
    if (s->piece->mark == NULL)
        return 0;
    if (fdatasync(s->piece->fd) != 0)
        return err_sys(err, "fdatasync of the export");
    return s->piece->mark(s->piece->arg, &s->piece->at, err);
}

/* What `lines` holds into the file, as one frame. */
static int flush(struct saving *s, struct err *err)
{
    struct piece *p = s->piece;
    struct str out = buf_str(&s->lines);
    int r = 0;

    if (s->lines.n == 0)
        return 0;
    if (p->codec != CODEC_NONE) {
        buf_clear(&s->packed);
        r = codec_pack(s->writer, p->codec, p->codec == CODEC_ZSTD ? ZSTD_LEVEL : GZIP_LEVEL, out,
                       &s->packed, err);
        out = buf_str(&s->packed);
    }
    if (r == 0)
        r = file_write_all(p->fd, out.p, out.n, err);
    s->now.bytes += out.n;
    s->unmarked += s->lines.n;
    buf_clear(&s->lines);
    if (r == 0)
        p->at = s->now;
    return r == 0 && s->unmarked >= MARK_EVERY ? mark(s, err) : r;
}

/* {"ts_ns":"T","seq":N, ... */
static bool read_place(struct str line, ts_ns *ts, uint64_t *seq)
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

/* The place moves with the line alone: it is where a later run goes on, whatever ends this one. */
static int take_line(struct saving *s, struct str line, struct err *err)
{
    ts_ns ts;
    uint64_t seq;

    if (line.n == 0)
        return 0;
    if (str_starts(line, STR("{\"error\":"))) {
        s->gave_up = true;
        return err_set(err, ERR_IO, "the answer is incomplete: %.*s",
                       (int)(line.n < 200 ? line.n : 200), line.p);
    }
    if (!read_place(line, &ts, &seq))
        return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
    if (s->piece->stop != NULL && *s->piece->stop)
        return err_set(err, ERR_CANCELLED, "interrupted");
    buf_add_str(&s->lines, line);
    buf_add_char(&s->lines, '\n');
    s->now.ts = ts;
    s->now.seq = seq;
    s->now.count++;
    if (s->piece->step != NULL)
        s->piece->step(s->piece->arg, ts, line.n);
    if (buf_err(&s->lines, "line of the server's answer", err) < 0)
        return err->code;
    return s->lines.n >= FRAME ? flush(s, err) : 0;
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

static int ask(struct saving *s, struct remote *remote, struct remote_failure *fail,
               struct err *err)
{
    const struct piece *p = s->piece;
    struct remote_request req = {
        .path = "/api/v1/export", .idle_ms = CMD_IDLE_MS, .body = take_bytes, .arg = s};
    struct buf params;
    int r;

    buf_init(&params, PARAMS_MAX);
    buf_clear(&s->part);
    s->gave_up = false;
    params_add(&params, "query", p->query);
    params_add_ts(&params, "start", s->now.seq > 0 ? s->now.ts : p->from);
    params_add_ts(&params, "end", p->to);
    params_add(&params, "direction", STR("forward"));
    params_add(&params, "form", STR("exact"));
    if (s->now.seq > 0)
        params_add_u64(&params, "after_seq", s->now.seq);
    req.params = buf_str(&params);
    r = remote_call(remote, &req, fail, err);
    fail->is_cut |= s->gave_up;
    buf_fini(&params);
    return r;
}

/* Until it is whole; each line that came in between begins the patience anew. */
static int run(struct saving *s, struct remote *remote, struct remote_failure *fail,
               struct err *err)
{
    uint64_t wait = FIRST_WAIT_MS;
    int tries = 0;

    for (;;) {
        uint64_t before = s->now.count;
        struct err ignored;
        int r = ask(s, remote, fail, err);

        if (r == 0)
            return flush(s, err);
        if (!fail->is_cut || s->now.seq == 0 || remote_is_interrupted(remote))
            return r;
        if (s->now.count > before) {
            tries = 0;
            wait = FIRST_WAIT_MS;
        }
        if (++tries > TRIES)
            return r;
        cmd_say("%s; going on behind the last line", err->text);
        if (remote_wait(remote, wait, &ignored) < 0)
            return r;
        wait *= 2;
    }
}

int piece_run(struct piece *p, struct remote *r, struct remote_failure *fail, struct err *err)
{
    struct saving s = {.piece = p, .writer = codec_writer_new(), .now = p->at};
    struct err ignored;
    int e;

    buf_init(&s.part, LINE_MAX_BYTES);
    buf_init(&s.lines, LINE_MAX_BYTES + FRAME + 1);
    buf_init(&s.packed, (size_t)2 * (LINE_MAX_BYTES + FRAME));
    e = run(&s, r, fail, err);
    if (e == 0) {
        p->at.done = true;
        e = mark(&s, err);
    } else if (s.now.seq > 0 && flush(&s, &ignored) == 0) {
        (void)mark(&s, &ignored); /* what has come need not come again; the first error is told */
    }
    codec_writer_free(&s.writer);
    buf_fini(&s.part);
    buf_fini(&s.lines);
    buf_fini(&s.packed);
    return e;
}
