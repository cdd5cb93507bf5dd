/*
 * query/cli/cmd_export.c - `logq export QUERY FILE`: lines of a span, byte for byte, into a file.
 *
 * Oldest first.  The span is cut into pieces, --parallel of them are fetched at once, each into
 * FILE.part.N; FILE.state says what of each is there.  When all are whole they are put together,
 * and the file appears under its name.  An export that fails leaves its parts when there is a point
 * in going on with them: after --parallel or --resume.
 */
#include "query/cli/cmd.h"
#include "query/cli/piece.h"
#include "query/cli/progress.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECES_EACH = 4, /* per connection: times are not evenly full */
    PIECES_MAX = 64,
    STATE_MAX = 1 << 20,
    CHUNK = 256 << 10,
    PATH_BYTES = 4096,
};
static const char STATE_HEAD[] = "logq export 1";

struct part {
    struct export *export;
    struct piece piece;
    char path[PATH_BYTES];
    /* guarded by the export's mutex */
    struct piece_place saved; /* what is known to lie in the file */
    dur_ns reached;           /* of the piece's span */
};

struct export
{
    struct cmd *c;
    const char *file;
    char state[PATH_BYTES]; /* path */
    ts_ns from, to;
    enum codec codec;
    struct part *part; /* owned */
    size_t n;
    struct progress progress;
    atomic_bool stop;
    /* guards the rest, the state file and progress */
    pthread_mutex_t mutex;
    size_t next; /* part to be fetched */
    int failed;  /* the first failure, and all about it */
    struct err err;
    struct remote_failure fail;
};

static enum codec codec_of(const char *file)
{
    struct str name = str_of(file);

    if (str_ends(name, STR(".zst")) || str_ends(name, STR(".zstd")))
        return CODEC_ZSTD;
    return str_ends(name, STR(".gz")) ? CODEC_GZIP : CODEC_NONE;
}

static uint64_t lines_of(const struct export *x)
{
    uint64_t n = 0;

    for (size_t i = 0; i < x->n; i++)
        n += x->part[i].piece.at.count;
    return n;
}

/* ---- the state: a line of what is exported, and one a part ---- */

static void put_key(const struct export *x, struct buf *out)
{
    buf_addf(out, "%s %d ", STATE_HEAD, (int)x->codec);
    quote_add(out, str_of(x->c->context->url));
    buf_add_char(out, ' ');
    quote_add(out, str_of(x->c->context->tenant != NULL ? x->c->context->tenant : ""));
    buf_add_char(out, ' ');
    quote_add(out, str_of(x->c->args->words[0]));
    buf_add_char(out, '\n');
}

static int save_state(const struct export *x, struct err *err)
{
    struct buf out;
    int r;

    buf_init(&out, STATE_MAX);
    put_key(x, &out);
    buf_addf(&out, "%" PRId64 " %" PRId64 " %zu\n", x->from, x->to, x->n);
    for (size_t i = 0; i < x->n; i++) {
        const struct piece_place *at = &x->part[i].saved;

        buf_addf(&out, "%" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %d\n", at->bytes, at->count,
                 at->ts, at->seq, (int)at->done);
    }
    r = buf_err(&out, "state of the export", err);
    if (r == 0)
        r = file_replace(AT_FDCWD, x->state, 0600, buf_str(&out), err);
    buf_fini(&out);
    return r;
}

static bool take_u64(struct str *line, uint64_t *ret)
{
    return str_to_u64(str_cut(line, ' '), ret);
}

static bool take_i64(struct str *line, int64_t *ret)
{
    return str_to_i64(str_cut(line, ' '), ret);
}

static bool read_part(struct str line, struct piece_place *ret)
{
    uint64_t done = 0;
    bool ok = take_u64(&line, &ret->bytes) && take_u64(&line, &ret->count) &&
              take_i64(&line, &ret->ts) && take_u64(&line, &ret->seq) && take_u64(&line, &done);

    ret->done = done == 1;
    return ok && line.n == 0;
}

/* Fill from, to, and the places of `at`; *n parts.  0; 1: there is no state; ERR_INVALID. */
static int load_state(struct export *x, struct piece_place *at, size_t *n, struct err *err)
{
    struct buf text, key;
    struct str rest;
    uint64_t parts = 0;
    bool ok;
    int r;

    buf_init(&text, STATE_MAX);
    buf_init(&key, STATE_MAX);
    r = file_read(AT_FDCWD, x->state, &text, err);
    if (r == ERR_GONE)
        r = 1;
    rest = buf_str(&text);
    put_key(x, &key);
    if (r == 0 && !str_starts(rest, buf_str(&key)))
        r = err_set(err, ERR_INVALID, "'%.100s' is of another query, server, tenant or form",
                    x->state);
    if (r == 0) {
        struct str line;

        rest = str_from(rest, key.n);
        line = str_cut(&rest, '\n');
        ok = take_i64(&line, &x->from) && take_i64(&line, &x->to) && take_u64(&line, &parts) &&
             parts > 0 && parts <= PIECES_MAX && x->from <= x->to;
        for (size_t i = 0; ok && i < parts; i++)
            ok = read_part(str_cut(&rest, '\n'), &at[i]);
        *n = (size_t)parts;
        if (!ok)
            r = err_set(err, ERR_CORRUPT, "'%.100s' is damaged: export without --resume", x->state);
    }
    buf_fini(&text);
    buf_fini(&key);
    return r;
}

/* ---- parts ---- */

static int on_mark(void *arg, const struct piece_place *at, struct err *err)
{
    struct part *p = arg;
    int r;

    (void)pthread_mutex_lock(&p->export->mutex);
    p->saved = *at;
    r = save_state(p->export, err);
    (void)pthread_mutex_unlock(&p->export->mutex);
    return r;
}

/* Pieces side by side are as far as one would be that has done as much. */
static void on_step(void *arg, ts_ns ts, size_t bytes)
{
    struct part *p = arg;
    struct export *x = p->export;
    ts_ns at = x->from;

    (void)pthread_mutex_lock(&x->mutex);
    p->reached = ts - p->piece.from;
    for (size_t i = 0; x->progress.on && i < x->n; i++)
        at += x->part[i].reached;
    progress_step(&x->progress, at, bytes);
    (void)pthread_mutex_unlock(&x->mutex);
}

/* The pieces of the span, as far as `at` says that they are there (NULL: not at all). */
static void make_parts(struct export *x, size_t n, const struct piece_place *at)
{
    dur_ns each = (x->to - x->from) / (dur_ns)n;

    x->n = n;
    x->part = mem_new(n * sizeof(*x->part));
    for (size_t i = 0; i < n; i++) {
        struct part *p = &x->part[i];

        p->export = x;
        p->piece = (struct piece){.query = str_of(x->c->args->words[0]),
                                  .from = x->from + (dur_ns)i * each,
                                  .to = i + 1 < n ? x->from + (dur_ns)(i + 1) * each : x->to,
                                  .fd = -1,
                                  .codec = x->codec,
                                  .stop = &x->stop,
                                  .step = on_step,
                                  .arg = p};
        if (at != NULL)
            p->piece.at = p->saved = at[i];
        if (p->piece.at.seq > 0)
            p->reached = p->piece.at.ts - p->piece.from;
    }
}

/* The part's file as its place says: nothing behind it. */
static int open_part(struct part *p, struct err *err)
{
    struct piece *piece = &p->piece;
    off_t end;

    piece->fd = open(p->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (piece->fd < 0)
        return err_sys(err, "create '%.100s'", p->path);
    end = lseek(piece->fd, 0, SEEK_END);
    if (end < 0 || (uint64_t)end < piece->at.bytes)
        return err_set(err, ERR_CORRUPT, "'%.100s' is shorter than it was: export without --resume",
                       p->path);
    if (ftruncate(piece->fd, (off_t)piece->at.bytes) != 0 ||
        lseek(piece->fd, (off_t)piece->at.bytes, SEEK_SET) < 0)
        return err_sys(err, "cut '%.100s'", p->path);
    return 0;
}

static void note_failure(struct export *x, int r, const struct remote_failure *fail,
                         const struct err *err)
{
    (void)pthread_mutex_lock(&x->mutex);
    if (x->failed == 0 && r < 0) {
        x->failed = r;
        x->fail = *fail;
        x->err = *err;
    }
    x->stop = true;
    (void)pthread_mutex_unlock(&x->mutex);
}

/* The next part that is not there yet; NULL: none. */
static struct part *take_part(struct export *x)
{
    struct part *p = NULL;

    (void)pthread_mutex_lock(&x->mutex);
    while (p == NULL && x->next < x->n && !x->stop) {
        if (!x->part[x->next].piece.at.done)
            p = &x->part[x->next];
        x->next++;
    }
    (void)pthread_mutex_unlock(&x->mutex);
    return p;
}

/* One connection's work; on a thread of its own, with a loop of its own. */
static void *fetch(void *arg)
{
    struct export *x = arg;
    struct remote_failure fail = {0};
    struct remote *remote = NULL;
    struct err err;
    int r = remote_open(x->c->context, &remote, &err);

    if (r == 0)
        r = remote_catch_signals(remote, &err); /* what has come is to be kept */
    if (r == 0)
        remote_watch(remote, &x->stop);
    for (struct part *p = NULL; r == 0 && (p = take_part(x)) != NULL;)
        r = piece_run(&p->piece, remote, &fail, &err);
    if (r < 0)
        note_failure(x, r, &fail, &err);
    remote_free(&remote);
    return NULL;
}

static void fetch_all(struct export *x)
{
    pthread_t threads[PIECES_MAX];
    size_t started = 0, wanted = (size_t)x->c->args->parallel;

    while (started < wanted && started < x->n &&
           pthread_create(&threads[started], NULL, fetch, x) == 0)
        started++;
    if (started == 0)
        (void)fetch(x); /* it tells by note_failure */
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
}

/* ---- the file ---- */

static int append(int to, const struct part *p, char *chunk, struct err *err)
{
    uint64_t at = 0;
    int r = 0;

    while (r == 0 && at < p->piece.at.bytes) {
        ssize_t n = pread(p->piece.fd, chunk, CHUNK, (off_t)at);

        if (n <= 0)
            return n == 0 ? err_set(err, ERR_CORRUPT, "'%.100s' has become shorter", p->path)
                          : err_sys(err, "read '%.100s'", p->path);
        r = file_write_all(to, chunk, (size_t)n, err);
        at += (uint64_t)n;
    }
    return r;
}

/* All parts behind the first, then that one under the file's name.  Until then the state holds. */
static int join(struct export *x, struct err *err)
{
    struct part *first = &x->part[0];
    char *chunk = mem_new(CHUNK);
    int r = 0;

    for (size_t i = 1; r == 0 && i < x->n; i++)
        r = append(first->piece.fd, &x->part[i], chunk, err);
    free(chunk);
    if (r == 0 && fsync(first->piece.fd) != 0)
        r = err_sys(err, "fsync '%.100s'", first->path);
    if (r == 0 && rename(first->path, x->file) != 0)
        r = err_sys(err, "rename to '%.100s'", x->file);
    return r;
}

static void remove_parts(const struct export *x)
{
    for (size_t i = 0; i < x->n; i++)
        (void)unlink(x->part[i].path); /* the first has been renamed, or its failure is told */
    (void)unlink(x->state);
}

static int name_files(struct export *x, struct err *err)
{
    bool fits = true;

    for (size_t i = 0; i < x->n; i++)
        fits &= snprintf(x->part[i].path, PATH_BYTES, "%s.part.%zu", x->file, i) < PATH_BYTES;
    return fits ? 0 : err_set(err, ERR_INVALID, "the name of the file is too long");
}

static int prepare(struct export *x, struct err *err)
{
    struct piece_place at[PIECES_MAX] = {{0}};
    bool kept = x->c->args->parallel > 1 || x->c->args->resume;
    size_t n = x->c->args->parallel > 1 ? (size_t)x->c->args->parallel * PIECES_EACH : 1;
    int r = 1;

    if (snprintf(x->state, sizeof(x->state), "%s.state", x->file) >= (int)sizeof(x->state))
        return err_set(err, ERR_INVALID, "the name of the file is too long");
    if (x->c->args->resume)
        r = load_state(x, at, &n, err);
    if (r < 0)
        return r;
    make_parts(x, n, r == 0 ? at : NULL);
    r = name_files(x, err);
    for (size_t i = 0; r == 0 && i < x->n; i++) {
        if (kept)
            x->part[i].piece.mark = on_mark;
        r = open_part(&x->part[i], err);
    }
    return r == 0 && kept ? save_state(x, err) : r;
}

static int save_file(struct export *x, struct err *err)
{
    bool kept = x->c->args->parallel > 1 || x->c->args->resume;
    struct stat st;
    int r;

    if (stat(x->file, &st) == 0 && !S_ISREG(st.st_mode)) /* asked now, not when all has come */
        return err_set(err, ERR_INVALID, "'%.100s' is %s", x->file,
                       S_ISDIR(st.st_mode) ? "a directory" : "no regular file; -: stdout");
    r = prepare(x, err);
    if (r < 0)
        return r; /* what is there of an earlier one stays */
    progress_begin(&x->progress, x->c, str_of(x->c->args->words[0]), x->from, x->to);
    fetch_all(x);
    progress_end(&x->progress);
    r = x->failed;
    if (r < 0)
        *err = x->err;
    else
        r = join(x, err);
    if (r == 0 || !kept)
        remove_parts(x);
    else if (lines_of(x) > 0)
        cmd_say("%" PRIu64 " lines are kept: the same with --resume goes on", lines_of(x));
    return r;
}

static int save_stdout(struct export *x, struct err *err)
{
    make_parts(x, 1, NULL);
    x->part[0].piece.fd = STDOUT_FILENO;
    progress_begin(&x->progress, x->c, str_of(x->c->args->words[0]), x->from, x->to);
    x->failed = piece_run(&x->part[0].piece, x->c->remote, &x->fail, err);
    progress_end(&x->progress);
    x->c->out->deserted = x->failed < 0 && err->sys == EPIPE;
    return x->failed;
}

static int run(struct cmd *c)
{
    struct export x = {.c = c,
                       .file = c->args->words[1],
                       .codec = codec_of(c->args->words[1]),
                       .from = c->args->from,
                       .to = cmd_end(c->args),
                       .mutex = PTHREAD_MUTEX_INITIALIZER};
    bool to_stdout = strcmp(x.file, "-") == 0;
    struct err err;
    uint64_t lines;
    int r = to_stdout ? save_stdout(&x, &err) : save_file(&x, &err);

    for (size_t i = 0; !to_stdout && i < x.n; i++)
        if (x.part[i].piece.fd >= 0)
            (void)close(x.part[i].piece.fd); /* synced, or of no use */
    lines = lines_of(&x);
    free(x.part);
    if (r < 0)
        return r == ERR_INVALID && x.fail.status == 0
                   ? (cmd_say("%s", err.text), CMD_USAGE)
                   : cmd_fail(c, str_of(c->args->words[0]), &x.fail, &err);
    cmd_say("%" PRIu64 " lines", lines);
    return lines > 0 ? CMD_FOUND : CMD_NOTHING;
}

int cmd_export(struct cmd *c)
{
    struct query *q = NULL;
    bool is_one;

    if (cmd_parse(c, str_of(c->args->words[0]), &q) < 0)
        return CMD_USAGE;
    is_one = query_may_follow(q) || query_kind(q) != QUERY_LOG;
    query_unref(&q);
    if (!is_one) {
        cmd_say(
            "dedup does not go with export, which may be taken up in the middle: use `logq query "
            "-n 0 -o jsonl`");
        return CMD_USAGE;
    }
    if (strcmp(c->args->words[1], "-") == 0 && (c->args->parallel > 1 || c->args->resume)) {
        cmd_say("--parallel and --resume need a file");
        return CMD_USAGE;
    }
    return run(c);
}
