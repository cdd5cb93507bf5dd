/*
 * collector/tail.c - contract: tail.h.
 *
 * A turn reads some bytes and ends in parts: the bytes it decoded, without those that open records
 * hold.  When such a record is completed in a later turn, the bytes it held are parts of that
 * turn's chunk, in front ("fills").  So (1) each byte is in at most one part; (2) all bytes of a
 * record are in parts of one chunk, the record counts in the part that has its last byte; (3) hence
 * a chunk can be built again from the bytes of its parts alone, in their order.
 */
#include "collector/tail.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/metrics.h"

#include <errno.h>
#include <stdio.h>
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
    FIELDS_MAX = DECODE_ATTRS_MAX + 8,
};

/* A stretch of reading and the run of bytes that it has decoded so far. */
struct turn {
    struct tail *t;
    struct tail_reader *rd;
    struct chunk *c;             /* NULL: joins only (resume) */
    uint64_t run_start;          /* where the part that is being made begins */
    uint64_t mark;               /* entries in c at that place */
    ts_ns ts;                    /* what a line without a time would get at that place */
    const struct labels *labels; /* of this run, when lines bring their own */
    bool whole; /* rebuild: the part is given, runs are not ended and nothing stops */
    dur_ns now;
    uint64_t lost; /* records that had no chunk to go to */
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
static bool identify(struct tail *t, struct tail_reader *rd, uint64_t size)
{
    if (t->file == NULL)
        tail_register(t, rd);
    if (size < t->pos || !has_head(t, t->file, size))
        return false;
    learn_head(t, rd, size);
    return true;
}

/* ---- parts ---- */

static int by_place(const void *a, const void *b)
{
    const struct join_segment *x = a, *y = b;

    if (x->file->no != y->file->no)
        return x->file->no < y->file->no ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void add_part(struct turn *u, struct checkpoint_range range, ts_ns ts, uint64_t count)
{
    struct checkpoint_part part = {.file = u->t->file,
                                   .start = range.start,
                                   .end = range.end,
                                   .ts = ts,
                                   .count = (uint32_t)count};

    chunk_add_part(u->c, &part, u->labels != NULL ? u->labels : &u->t->labels, &u->t->attrs);
}

/* Bytes that were held when earlier parts were made, of records that are complete now. */
static void add_fills(struct turn *u)
{
    struct join_segment *v = u->rd->fills.p;
    size_t n = u->rd->fills.n;

    if (n == 0)
        return;
    qsort(v, n, sizeof(*v), by_place);
    for (size_t i = 0; i < n;) {
        struct checkpoint_part part = {.file = v[i].file, .start = v[i].start, .end = v[i].end};
        for (i++; i < n && v[i].file == part.file && v[i].start == part.end; i++)
            part.end = v[i].end;
        if ((i < n ? v[i].file : u->t->file) != part.file)
            part.flags = CHECKPOINT_CARRY;
        chunk_add_part(u->c, &part, NULL, NULL);
    }
    u->rd->fills.n = 0;
}

/* The part of `seg` that lies in the run [run_start, end), into rd->held. */
static void clip_held(struct turn *u, const struct join_segment *seg, uint64_t end)
{
    struct join_segment part = *seg;

    if (seg->file != u->t->file || seg->end <= u->run_start || seg->start >= end)
        return;
    if (seg->start < u->run_start) { /* it goes on from an earlier run: nothing stands between */
        part.start = u->run_start;
        part.mark = u->mark;
    }
    join_segments_add(&u->rd->held, &part);
}

/* What of this run is held by open records, in order. */
static void find_held(struct turn *u, uint64_t end)
{
    u->rd->held.n = 0;
    for (int i = 0; i < DECODE_STREAMS; i++)
        for (size_t k = 0; k < u->t->join.s[i].held.n; k++)
            clip_held(u, &u->t->join.s[i].held.p[k], end);
    if (u->rd->held.n > 1)
        qsort(u->rd->held.p, u->rd->held.n, sizeof(u->rd->held.p[0]), by_place);
}

/* Make parts of [run_start, end) and begin the next run there. */
static void end_run(struct turn *u, uint64_t end)
{
    uint64_t at = u->run_start, mark = u->mark;
    ts_ns ts = u->ts;
    struct join_segment *seg;

    if (u->c == NULL || u->whole)
        return;
    add_fills(u);
    find_held(u, end);
    VEC_EACH(&u->rd->held, seg) {
        if (seg->start > at)
            add_part(u, (struct checkpoint_range){at, seg->start}, ts, seg->mark - mark);
        at = seg->end;
        mark = seg->mark;
        ts = seg->ts;
    }
    if (end > at)
        add_part(u, (struct checkpoint_range){at, end}, ts, u->c->entries - mark);
    join_compact(&u->t->join);
    u->run_start = end;
    u->mark = u->c->entries;
    u->ts = u->t->last_ts;
}

/* ---- records ---- */

static bool is_reserved(struct str name)
{
    return str_eq(name, STR("log")) || str_eq(name, STR("stream")) ||
           str_eq(name, STR("partial")) || str_eq(name, STR("truncated")) ||
           str_eq(name, STR("undecoded"));
}

static void add_marks(const struct join_record *rec, char number[32], struct label *fields,
                      size_t *n)
{
    if (rec->total > rec->text.n) {
        (void)snprintf(number, 32, "%llu", (unsigned long long)rec->total);
        fields[(*n)++] = (struct label){STR("truncated"), str_of(number)};
        metric_add(METRIC_RECORDS_TRUNCATED, 1);
    }
    if (rec->partial) {
        fields[(*n)++] = (struct label){STR("partial"), STR("true")};
        metric_add(METRIC_RECORDS_PARTIAL, 1);
    }
    if (rec->raw) {
        fields[(*n)++] = (struct label){STR("undecoded"), STR("true")};
        metric_add(METRIC_RECORDS_UNDECODED, 1);
    }
}

static void emit(struct turn *u, const struct join_record *rec, const struct piece *p)
{
    struct label fields[FIELDS_MAX];
    char number[32];
    size_t n = 0;

    if (u->c == NULL) {
        u->lost++;
        return;
    }
    if (rec->stream != DECODE_NONE) /* first: the server has a fast path for this shape */
        fields[n++] = (struct label){STR("stream"),
                                     rec->stream == DECODE_STDERR ? STR("stderr") : STR("stdout")};
    fields[n++] = (struct label){STR("log"), rec->text};
    add_marks(rec, number, fields, &n);
    for (size_t i = 0; p != NULL && i < p->n_attrs && n < FIELDS_MAX; i++)
        if (!is_reserved(p->attrs[i].name))
            fields[n++] = p->attrs[i];
    chunk_add_entry(u->c, rec->ts, fields, n);
    metric_add(METRIC_RECORDS, 1);
}

/* The run's labels are now the file's and those of this line; they live with the chunk. */
static void relabel(struct turn *u, const struct piece *p, uint64_t start)
{
    struct label v[RECORD_LABELS_MAX + 8];
    struct labels merged = {v, 0};
    struct labels *copy;
    struct err err;

    if (u->c == NULL)
        return;
    for (size_t i = 0; i < u->t->labels.n && merged.n < RECORD_LABELS_MAX; i++)
        v[merged.n++] = u->t->labels.v[i];
    for (size_t i = 0; i < p->n_labels && merged.n < RECORD_LABELS_MAX + 8; i++)
        v[merged.n++] = p->labels[i];
    merged.n = labels_sort(v, merged.n);
    if (merged.n > RECORD_LABELS_MAX)
        merged.n = RECORD_LABELS_MAX;
    if (u->labels != NULL && labels_equal(u->labels, &merged))
        return;
    end_run(u, start);
    copy = arena_alloc(u->c->arena, sizeof(*copy));
    if (copy != NULL && labels_copy(u->c->arena, &merged, copy, &err) == 0)
        u->labels = copy;
}

/* The bytes that a finished record held before this run have to be shipped with it. */
static void take_fills(struct turn *u, const struct join_record *rec)
{
    for (size_t i = 0; i < rec->n_held; i++) {
        struct join_segment seg = rec->held[i];
        if (seg.file == u->t->file && seg.start >= u->run_start)
            continue;
        if (seg.file == u->t->file && seg.end > u->run_start)
            seg.end = u->run_start;
        join_segments_add(&u->rd->fills, &seg);
    }
}

/* The line at [start, end), `missing` bytes of which are not in `text`. */
static void take_line(struct turn *u, struct str text, uint64_t start, uint64_t end,
                      uint64_t missing)
{
    struct tail *t = u->t;
    struct join_segment seg = {
        .file = t->file, .start = start, .end = end, .mark = u->c == NULL ? 0 : u->c->entries};
    struct join_record rec;
    struct piece p;

    if (text.n == 0 && t->source->kind != SOURCE_FILE)
        return; /* no runtime writes it: not a record, only a byte to be passed over */
    if (!t->source->decode(&u->rd->decoder, text, &p))
        p = (struct piece){.last = true, .raw = true, .text = text};
    p.missing = missing;
    if (p.ts == 0)
        p.ts = t->last_ts;
    seg.ts = t->last_ts = p.ts;
    if (p.n_labels > 0)
        relabel(u, &p, start);
    if (join_add(&t->join, &p, &seg, u->now, &u->rd->limits, &rec) == 1)
        return;
    emit(u, &rec, &p);
    if (rec.n_held > 0)
        take_fills(u, &rec);
    if (!p.raw)
        join_done(&t->join, p.stream, &u->rd->limits);
}

/* ---- bytes ---- */

/* Like pread, as much as there is up to n. */
static ssize_t read_some(int fd, char *p, size_t n, uint64_t offset)
{
    size_t done = 0;

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

/* The end of the line that goes on at `from`, in bytes that the reader's buffer need not hold; 0:
 * none before `to`. */
static uint64_t find_newline(struct turn *u, uint64_t from, uint64_t to)
{
    char piece[16 << 10];

    while (from < to) {
        size_t want = to - from < sizeof(piece) ? (size_t)(to - from) : sizeof(piece);
        ssize_t n = read_some(u->t->fd, piece, want, from);
        const char *nl = n <= 0 ? NULL : memchr(piece, '\n', (size_t)n);
        if (nl != NULL)
            return from + (uint64_t)(nl - piece) + 1;
        if (n <= 0)
            return 0;
        from += (uint64_t)n;
    }
    return 0;
}

static void grow_buffer(struct tail_reader *rd)
{
    rd->cap = rd->cap * 2 < rd->line_max ? rd->cap * 2 : rd->line_max;
    rd->buf = mem_grow(rd->buf, rd->cap);
}

/* A line that is longer than we look at: its beginning is in the buffer.  Returns where it ends, 0:
 * not before `to`. */
static uint64_t take_long_line(struct turn *u, uint64_t start, uint64_t to)
{
    struct tail_reader *rd = u->rd;
    bool on = u->c != NULL && !u->whole; /* `scanned` speaks of what is read on, not of old bytes */
    uint64_t from = start + rd->cap, end;

    if (on && u->t->scanned > from)
        from = u->t->scanned;
    end = find_newline(u, from, to);
    if (on)
        u->t->scanned = end != 0 ? end : to;
    if (end != 0)
        take_line(u, (struct str){rd->buf, rd->cap}, start, end, end - 1 - start - rd->cap);
    return end;
}

/* Behind the line that begins at `start`: is the chunk full, or the turn over? */
static bool must_stop(const struct turn *u, uint64_t start, uint64_t stop)
{
    return u->c != NULL && !u->whole && (chunk_is_full(u->c) || start >= stop);
}

/* Decode whole lines from *at up to `to`, and stop where the chunk is full or `stop` is passed.
 * Bytes behind the last newline are left.  *at moves; *left: how many of the bytes up to `to` were
 * not looked at because of a stop. */
static int take_lines(struct turn *u, uint64_t *at, uint64_t to, uint64_t stop, bool *stopped,
                      struct err *err)
{
    struct tail_reader *rd = u->rd;

    *stopped = false;
    while (*at < to && !*stopped) {
        size_t want = to - *at < rd->cap ? (size_t)(to - *at) : rd->cap;
        ssize_t n = read_some(u->t->fd, rd->buf, want, *at);
        const char *p = rd->buf, *nl;
        if (n < 0)
            return err_sys(err, "read at %llu", (unsigned long long)*at);
        if (n == 0)
            return 0;
        while ((nl = memchr(p, '\n', (size_t)(rd->buf + n - p))) != NULL) {
            uint64_t start = *at + (uint64_t)(p - rd->buf);
            take_line(u, (struct str){p, (size_t)(nl - p)}, start, start + (uint64_t)(nl - p) + 1,
                      0);
            p = nl + 1;
            *stopped = must_stop(u, start, stop);
            if (*stopped)
                break;
        }
        if (p == rd->buf && (size_t)n == rd->cap && rd->cap < rd->line_max) {
            grow_buffer(rd);
        } else if (p == rd->buf && (size_t)n == rd->cap) {
            uint64_t end = take_long_line(u, *at, to);
            if (end == 0)
                return 0;
            *stopped = must_stop(u, *at, stop);
            *at = end;
        } else if (p == rd->buf) {
            return 0; /* an unfinished line */
        }
        *at += (uint64_t)(p - rd->buf);
    }
    return 0;
}

/* ---- reading on ---- */

/* A line without a time of its own gets that of the line before it; one of a plain file when it was
 * read. */
static struct turn begin_turn(struct tail *t, struct tail_reader *rd, struct chunk *c,
                              uint64_t start)
{
    struct turn u = {.t = t, .rd = rd, .c = c, .run_start = start, .now = time_mono()};

    rd->fills.n = 0;
    u.mark = c == NULL ? 0 : c->entries;
    if (t->last_ts == 0 || t->source->kind == SOURCE_FILE)
        t->last_ts = time_now();
    u.ts = t->last_ts;
    return u;
}

enum tail_result tail_read(struct tail *t, struct tail_reader *rd, struct chunk *c, size_t quantum,
                           struct err *err)
{
    struct turn u;
    struct stat st;
    uint64_t size, before = t->pos;
    bool stopped;
    int r;

    OBJ_CHECK(t, TAIL_MAGIC);
    if (fstat(t->fd, &st) < 0) {
        (void)err_sys(err, "stat %s", t->path);
        return TAIL_FAILED;
    }
    size = (uint64_t)st.st_size;
    t->unlinked = st.st_nlink == 0;
    if (!identify(t, rd, size))
        return TAIL_CHANGED;
    u = begin_turn(t, rd, c, t->pos);
    if (size != t->seen)
        t->seen_at = u.now;
    t->seen = size;
    r = take_lines(&u, &t->pos, size, t->pos + quantum, &stopped, err);
    end_run(&u, t->pos);
    metric_add(METRIC_READ_BYTES, t->pos - before);
    t->caught_up = r == 0 && !stopped;
    if (t->pos > before || t->scanned < t->pos)
        t->scanned = t->pos;
    if (r < 0) {
        (void)err_wrap(err, "%s", t->path);
        return TAIL_FAILED;
    }
    return stopped ? TAIL_MORE : TAIL_END;
}

void tail_skip(struct tail *t, struct tail_reader *rd)
{
    struct stat st;
    uint64_t end = 0;

    if (fstat(t->fd, &st) < 0 || st.st_size == 0)
        return;
    for (uint64_t at = (uint64_t)st.st_size; at > 0 && end == 0;) {
        size_t want = at < READ_BYTES ? (size_t)at : READ_BYTES;
        ssize_t n = read_some(t->fd, rd->buf, want, at - want);
        const char *nl = n < 0 ? NULL : memrchr(rd->buf, '\n', (size_t)n);
        if (nl != NULL)
            end = at - want + (uint64_t)(nl - rd->buf) + 1;
        at -= want;
    }
    checkpoint_skip(rd->checkpoint, t->file, 0, end);
    t->pos = t->scanned = end;
}

int tail_resume(struct tail *t, struct tail_reader *rd, struct err *err)
{
    struct turn u = begin_turn(t, rd, NULL, 0);
    uint64_t start, end = 0;
    bool stopped;

    t->holes_due = false;
    for (;;) {
        uint64_t at;
        checkpoint_file_hole(t->file, end, &start, &end);
        if (start >= end)
            break;
        at = start;
        if (take_lines(&u, &at, end, UINT64_MAX, &stopped, err) < 0)
            return err_wrap(err, "%s", t->path);
    }
    if (u.lost > 0) { /* limits were changed while it was held */
        metric_add(METRIC_GAPS, u.lost);
        log_error("file.held_lost", LOG_Z("file", t->path), LOG_U64("records", u.lost));
    }
    return 0;
}

/* ---- unfinished lines ---- */

static bool stream_is_due(const struct tail *t, const struct tail_reader *rd, int s, dur_ns now)
{
    return t->join.s[s].open && t->caught_up && now - t->join.s[s].grown >= rd->partial_timeout;
}

static bool line_is_due(const struct tail *t, const struct tail_reader *rd, dur_ns now)
{
    return t->seen > t->pos && t->caught_up && now - t->seen_at >= rd->partial_timeout;
}

bool tail_is_due(const struct tail *t, const struct tail_reader *rd, dur_ns now)
{
    for (int s = 0; s < DECODE_STREAMS; s++)
        if (stream_is_due(t, rd, s, now))
            return true;
    return line_is_due(t, rd, now);
}

/* The open record of stream `s`, with parts for every byte it holds: the last of them counts it. */
static void flush_stream(struct turn *u, enum decode_stream s)
{
    struct join_record rec;

    if (join_flush(&u->t->join, s, &rec) == 1)
        return;
    emit(u, &rec, NULL);
    for (size_t i = 0; i < rec.n_held; i++) {
        bool last = i + 1 == rec.n_held;
        struct checkpoint_part part = {.file = rec.held[i].file,
                                       .start = rec.held[i].start,
                                       .end = rec.held[i].end,
                                       .count = last};
        if (last)
            part.flags = s == DECODE_STDERR ? CHECKPOINT_FLUSH_STDERR : CHECKPOINT_FLUSH_STDOUT;
        else if (rec.held[i + 1].file != part.file)
            part.flags = CHECKPOINT_CARRY;
        chunk_add_part(u->c, &part, &u->t->labels, &u->t->attrs);
    }
    join_done(&u->t->join, s, &u->rd->limits);
}

/* The bytes [start, end) without a newline, as a record. */
static int flush_line(struct turn *u, uint64_t start, uint64_t end, struct err *err)
{
    struct tail_reader *rd = u->rd;
    struct join_record rec = {.partial = true};
    size_t want;
    ssize_t n;

    while (rd->cap < rd->line_max && end - start > rd->cap)
        grow_buffer(rd);
    want = end - start < rd->cap ? (size_t)(end - start) : rd->cap;
    n = read_some(u->t->fd, rd->buf, want, start);
    if (n < 0 || (size_t)n < want)
        return n < 0 ? err_sys(err, "read at %llu", (unsigned long long)start)
                     : err_set(err, ERR_CORRUPT, "the file ends before %llu",
                               (unsigned long long)end);
    rec.ts = u->t->last_ts;
    rec.text = str_sub((struct str){rd->buf, want}, 0, rd->limits.max_line);
    rec.total = end - start;
    rec.raw = u->t->source->kind != SOURCE_FILE;
    emit(u, &rec, NULL);
    return 0;
}

void tail_expire(struct tail *t, struct tail_reader *rd, struct chunk *c, dur_ns now)
{
    struct turn u = begin_turn(t, rd, c, t->pos);
    struct err err;

    OBJ_CHECK(t, TAIL_MAGIC);
    for (int s = 0; s < DECODE_STREAMS; s++)
        if (stream_is_due(t, rd, s, now))
            flush_stream(&u, (enum decode_stream)s);
    if (line_is_due(t, rd, now) && flush_line(&u, t->pos, t->seen, &err) == 0) {
        struct checkpoint_part part = {.file = t->file,
                                       .start = t->pos,
                                       .end = t->seen,
                                       .ts = t->last_ts,
                                       .count = 1,
                                       .flags = CHECKPOINT_FLUSH_LINE};
        chunk_add_part(c, &part, &t->labels, &t->attrs);
        t->pos = t->scanned = t->seen;
    }
}

uint64_t tail_renew(struct tail *t, struct tail_reader *rd, struct chunk *c)
{
    struct turn u = begin_turn(t, rd, c, t->pos);
    uint64_t lost = t->seen > t->pos ? t->seen - t->pos : 0;

    OBJ_CHECK(t, TAIL_MAGIC);
    for (int s = 0; s < DECODE_STREAMS; s++)
        flush_stream(&u, (enum decode_stream)s);
    if (t->file != NULL) {
        t->file->dead = true;
        t->file->user = NULL;
        t->file = NULL;
    }
    t->pos = t->seen = t->scanned = 0;
    t->caught_up = false;
    metric_add(METRIC_FILES_TRUNCATED, 1);
    return lost;
}

/* ---- again ---- */

/* The bytes of `part` into the chunk, entries without their part. */
static int feed_part(struct turn *u, const struct checkpoint_part *part, struct err *err)
{
    uint64_t at = part->start;
    bool stopped;
    int r = take_lines(u, &at, part->end, UINT64_MAX, &stopped, err);

    if (r == 0 && (part->flags & CHECKPOINT_FLUSH_LINE) != 0 && at < part->end) {
        r = flush_line(u, at, part->end, err);
        at = part->end;
    }
    if (r == 0 && at < part->end)
        r = err_set(err, ERR_CORRUPT, "the file ends before %llu", (unsigned long long)part->end);
    for (int s = DECODE_STDOUT; r == 0 && s <= DECODE_STDERR; s++) {
        struct join_record rec;
        int flag = s == DECODE_STDERR ? CHECKPOINT_FLUSH_STDERR : CHECKPOINT_FLUSH_STDOUT;
        if ((part->flags & flag) == 0 || join_flush(&u->t->join, (enum decode_stream)s, &rec) != 0)
            continue;
        emit(u, &rec, NULL);
        join_done(&u->t->join, (enum decode_stream)s, &u->rd->limits);
    }
    u->rd->fills.n = 0; /* parts say already where the held bytes are */
    return r;
}

int tail_rebuild(struct tail *t, struct tail_reader *rd, struct chunk *c,
                 const struct checkpoint_part *part, struct tail *next, struct err *err)
{
    struct turn u = begin_turn(t, rd, c, part->start);
    struct checkpoint_part made = *part;
    struct chunk_mark before = chunk_mark(c);
    int r;

    OBJ_CHECK(t, TAIL_MAGIC);
    u.whole = true;
    t->last_ts = part->ts;
    r = feed_part(&u, part, err);
    if (r < 0) {
        chunk_back(c, before);
        for (int s = 0; s < DECODE_STREAMS; s++)
            join_done(&t->join, (enum decode_stream)s, &rd->limits);
        return err_wrap(err, "%s", t->path);
    }
    if ((part->flags & CHECKPOINT_CARRY) != 0 && next != NULL)
        join_move(&t->join, &next->join, &rd->limits);
    made.count = (uint32_t)(c->entries - u.mark);
    if (made.count != part->count)
        log_warn("chunk.count_differs", LOG_Z("file", t->path), LOG_U64("planned", part->count),
                 LOG_U64("found", made.count));
    chunk_add_part(c, &made, u.labels != NULL ? u.labels : &t->labels, &t->attrs);
    return 0;
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
