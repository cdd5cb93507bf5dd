/* collector/tail_read.c - contract: tail.h, tail_turn.h.  Bytes to lines to records. */
#include "base/log.h"
#include "base/obj.h"
#include "collector/keep.h"
#include "collector/metrics.h"
#include "collector/tail_turn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    SKIP_BYTES = 256 << 10,
    LONG_BYTES = 8 << 20, /* of a line that is longer than we look at, in one turn */
    LOOK_BYTES = 1 << 20, /* of zeros that were passed before */
    FIELDS_MAX = DECODE_ATTRS_MAX + 8,
};

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

void turn_emit(struct turn *u, const struct join_record *rec, const struct piece *p)
{
    struct label fields[FIELDS_MAX], attrs[DECODE_ATTRS_MAX];
    size_t n_attrs = p == NULL ? 0 : p->n_attrs;
    struct join_record out = *rec;
    char number[32];
    size_t n = 0;

    if (u->c == NULL) {
        if (u->look)
            turn_look(u, rec);
        else
            u->lost++;
        return;
    }
    if (n_attrs > 0)
        memcpy(attrs, p->attrs, n_attrs * sizeof(attrs[0]));
    if (!turn_process(u, rec, &out.text, attrs, n_attrs))
        return;
    if (out.text.n > u->rd->limits.max_line) {
        out.text.n = u->rd->limits.max_line;
        out.total = rec->total > out.text.n ? rec->total : out.text.n + 1;
    } else if (rec->total == rec->text.n) {
        out.total = out.text.n; /* shorter or longer, it is whole */
    }
    if (rec->stream != DECODE_NONE) /* first: the server has a fast path for this shape */
        fields[n++] = (struct label){STR("stream"),
                                     rec->stream == DECODE_STDERR ? STR("stderr") : STR("stdout")};
    fields[n++] = (struct label){STR("log"), out.text};
    add_marks(&out, number, fields, &n);
    for (size_t i = 0; i < n_attrs && n < FIELDS_MAX; i++)
        if (!is_reserved(attrs[i].name))
            fields[n++] = attrs[i];
    chunk_add_entry(u->c, rec->ts, fields, n);
    INVARIANT(u->whole || !chunk_is_over(u->c)); /* CHUNK_SLACK holds any one record */
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
    turn_end_run(u, start);
    copy = arena_alloc(u->c->arena, sizeof(*copy));
    if (copy != NULL && labels_copy(u->c->arena, &merged, copy, &err) == 0)
        u->labels = copy;
}

void turn_fill(struct turn *u, const struct join_record *rec)
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

/* What is found out of a line in one turn is kept for the next, if this reads on: it speaks of what
 * is there now, not of bytes that are read again. */
static bool reads_on(const struct turn *u)
{
    return u->c != NULL && !u->whole;
}

/* Zeros in front of a line are a hole that a writer left who goes on behind what was cut off
 * (copytruncate under a program that opened its log without O_APPEND), no text of his. */
static struct str behind_zeros(struct str text)
{
    size_t n = 0;

    while (n < text.n && text.p[n] == '\0')
        n++;
    return str_sub(text, n, text.n);
}

/* So many zeros were passed over, with the line behind them. */
static void count_hole(const struct turn *u, uint64_t n)
{
    if (n > 0 && reads_on(u))
        metric_add(METRIC_HOLE_BYTES, n);
}

/* In front of a line: do rates open for the record that it may end, or else for itself? */
static bool reopens(struct turn *u, const struct piece *p)
{
    const struct multiline *m = u->t->multi;
    bool r = m != NULL && m->s[p->stream].open && turn_reopens(u, m->s[p->stream].ts);

    return turn_reopens(u, p->ts) || r;
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

    if (text.n > 0 && text.p[0] == '\0')
        text = behind_zeros(text);
    count_hole(u, end - 1 - start - missing - text.n);
    if (text.n == 0 && t->source->kind != SOURCE_FILE)
        return; /* no runtime writes it: not a record, only a byte to be passed over */
    if (!t->source->decode(&u->rd->decoder, text, &p))
        p = (struct piece){.last = true, .raw = true, .text = text};
    if (p.none)
        return;
    p.missing += missing;
    if (p.ts == 0)
        p.ts = t->last_ts;
    seg.ts = seg.first = t->last_ts = p.ts;
    if (reopens(u, &p))
        turn_end_run(u, start);
    if (p.n_labels > 0 || u->labels != NULL) /* one without has the file's, not those before it */
        relabel(u, &p, start);
    if (join_add(&t->join, &p, &seg, u->now, &u->rd->limits, &rec) == 1) {
        u->held++;
        return;
    }
    rec.partial = rec.partial || p.partial;
    turn_record(u, &rec, &p, &seg);
    if (!p.raw)
        join_done(&t->join, p.stream, &u->rd->limits);
    if (u->border)
        turn_end_run(u, end);
}

/* ---- bytes ---- */

/* What is looked for in bytes that the reader's buffer need not hold. */
enum mark { LINE_END, TEXT /* the first byte behind zeros */ };

static const char *find_mark(const char *p, size_t n, enum mark mark)
{
    const char *end = p + n;

    if (mark == LINE_END)
        return memchr(p, '\n', n);
    if (*p == '\0' && memcmp(p, p + 1, n - 1) == 0)
        return NULL;
    while (p < end && *p == '\0')
        p++;
    return p;
}

/* The first such place from *at on.  0: *at is there.  1: there is none before `to`, or the end;
 * *at is there.  2: nor in the next `most` bytes, *at is behind these.  ERR_IO. */
static int find(struct turn *u, enum mark mark, uint64_t *at, uint64_t to, uint64_t most,
                struct err *err)
{
    char piece[16 << 10];

    while (*at < to && most > 0) {
        size_t want = to - *at < sizeof(piece) ? (size_t)(to - *at) : sizeof(piece);
        ssize_t n = reader_read(&u->t->from, piece, want, *at);
        const char *found = n <= 0 ? NULL : find_mark(piece, (size_t)n, mark);
        if (n < 0)
            return err_sys(err, "read at %llu", (unsigned long long)*at);
        if (n == 0)
            return 1;
        if (found != NULL) {
            *at += (uint64_t)(found - piece);
            return 0;
        }
        *at += (uint64_t)n;
        most -= (uint64_t)n < most ? (uint64_t)n : most;
        if (piece[n - 1] == '\0')
            *at = reader_pass_hole(&u->t->from, *at, to);
    }
    return *at < to ? 2 : 1;
}

static void grow_buffer(struct tail_reader *rd)
{
    rd->cap = rd->cap * 2 < rd->line_max ? rd->cap * 2 : rd->line_max;
    rd->buf = mem_grow(rd->buf, rd->cap);
}

/* What was just read was read from what the file is: a writer that cuts it and begins anew does
 * that at any moment, also after it was looked at.  Before anything of it is used. */
static int check(struct turn *u, struct err *err)
{
    int r = tail_is_current(u->t);

    if (r < 0)
        return err_sys(err, "read the beginning");
    u->changed = u->changed || r == 0;
    return r == 1 ? 0 : err_set(err, ERR_CORRUPT, "it was cut or rewritten meanwhile");
}

/* The first byte that is no zero; as find.  Of zeros that were passed before, those that take room
 * on the disk are not all gone through again: only where they begin something may stand now. */
static int find_text(struct turn *u, uint64_t *at, uint64_t to, uint64_t most, struct err *err)
{
    int found = find(u, TEXT, at, to, LOOK_BYTES, err);

    if (found != 2)
        return found;
    if (reads_on(u) && u->t->zeros > *at)
        *at = u->t->zeros < to ? u->t->zeros : to;
    return find(u, TEXT, at, to, most, err);
}

/* `all`: there is nothing else behind.  Nobody writes to what is no plain file. */
static void set_room(struct tail *t, uint64_t from, uint64_t to, bool all)
{
    t->room = from;
    t->room_end = to;
    t->has_room = all && reader_is_plain(&t->from);
}

/* The line at `start` begins with zeros: *text is the first byte behind them.  As take_long_line;
 * 1: they go on to the end or `to`. */
static int pass_zeros(struct turn *u, uint64_t start, uint64_t *text, uint64_t to, bool *stopped,
                      struct err *err)
{
    bool on = reads_on(u);
    int r, found;

    found = find_text(u, text, to, on ? LONG_BYTES : UINT64_MAX, err);
    r = found < 0 ? found : check(u, err);
    if (r < 0)
        return r;
    if (on) {
        u->t->zeros = *text;
        set_room(u->t, start, *text, found == 1);
    }
    *stopped = found == 2;
    return found == 0 ? 0 : 1;
}

/* `n` bytes at `text` are in the buffer, of the unfinished line at `start`.  Where they end in
 * zeros and nothing else follows, that is room for lines that are to come.  1: it is, or (*stopped)
 * others have their turn before it is known.  0: it is none.  ERR_IO. */
static int find_room(struct turn *u, uint64_t start, uint64_t text, size_t n, uint64_t to,
                     bool *stopped, struct err *err)
{
    struct tail *t = u->t;
    uint64_t at = text + n;
    int found;

    if (!reads_on(u) || u->rd->buf[n - 1] != '\0')
        return 0;
    if (t->room <= at && t->room_end > at)
        at = t->room_end;
    found = find(u, TEXT, &at, to, LONG_BYTES, err);
    if (found < 0)
        return found;
    while (n > 0 && u->rd->buf[n - 1] == '\0')
        n--;
    set_room(t, n > 0 ? text + n : start, at, found == 1);
    *stopped = found == 2;
    return found == 0 ? 0 : 1;
}

/* The line at `start` is longer than we look at: its text begins at `text`, that much of it is in
 * the buffer.  *ret is where it ends, 0: not before `to`, or (*stopped) others have their turn
 * before more of it is looked at.  As turn_lines. */
static int take_long_line(struct turn *u, uint64_t start, uint64_t text, uint64_t to, uint64_t *ret,
                          bool *stopped, struct err *err)
{
    struct tail_reader *rd = u->rd;
    bool on = reads_on(u);
    uint64_t at = text + rd->cap;
    int r, found;

    if (on && u->t->scanned > at)
        at = u->t->scanned;
    found = find(u, LINE_END, &at, to, on ? LONG_BYTES : UINT64_MAX, err);
    r = found < 0 ? found : check(u, err);
    if (r < 0)
        return r;
    if (on)
        u->t->scanned = at;
    if (found == 0)
        take_line(u, (struct str){rd->buf, rd->cap}, start, at + 1, at - text - rd->cap);
    *ret = found == 0 ? at + 1 : 0;
    *stopped = found == 2;
    return 0;
}

/* No line ends in the `n` bytes at *text that are in the buffer, of the line at `start`.  0: read
 * at *text, again or on.  1: there is nothing more now, or (*stopped) others have their turn.  2:
 * it is longer than we look at. */
static int pass_unfinished(struct turn *u, uint64_t start, uint64_t *text, size_t n, uint64_t to,
                           bool *stopped, struct err *err)
{
    struct tail_reader *rd = u->rd;
    int r;

    if (n == rd->cap && rd->buf[0] == '\0')
        return pass_zeros(u, start, text, to, stopped, err);
    r = find_room(u, start, *text, n, to, stopped, err);
    if (r < 0)
        return r;
    if (r == 1 || n < rd->cap)
        return 1;
    if (rd->cap == rd->line_max)
        return 2;
    grow_buffer(rd);
    return 0;
}

/* Behind the line that ends at `end`: is the chunk full, or the turn over? */
static bool must_stop(const struct turn *u, uint64_t end, uint64_t stop)
{
    return reads_on(u) && (chunk_is_full(u->c) || end >= stop || turn_is_crowded(u));
}

int turn_lines(struct turn *u, uint64_t *at, uint64_t to, uint64_t stop, bool *stopped,
               struct err *err)
{
    struct tail_reader *rd = u->rd;
    uint64_t text = *at; /* of the line at *at: behind its zeros */

    *stopped = false;
    while (*at < to && !*stopped) {
        size_t want = to - text < rd->cap ? (size_t)(to - text) : rd->cap;
        ssize_t n = reader_read(&u->t->from, rd->buf, want, text);
        const char *p = rd->buf, *nl;
        if (n < 0)
            return err_sys(err, "read at %llu", (unsigned long long)text);
        if (n == 0)
            return 0;
        if (check(u, err) < 0)
            return err->code;
        while ((nl = memchr(p, '\n', (size_t)(rd->buf + n - p))) != NULL) {
            uint64_t end = text + (uint64_t)(nl + 1 - rd->buf);
            take_line(u, (struct str){p, (size_t)(nl - p)}, *at, end, 0);
            p = nl + 1;
            *at = end;
            *stopped = must_stop(u, end, stop);
            if (*stopped)
                break;
        }
        if (p != rd->buf) {
            tail_remember(u->t, rd->buf, (size_t)(p - rd->buf), *at);
        } else {
            uint64_t end;
            int r = pass_unfinished(u, *at, &text, (size_t)n, to, stopped, err);
            if (r == 0)
                continue;
            if (r == 2)
                r = take_long_line(u, *at, text, to, &end, stopped, err);
            else
                return r < 0 ? r : 0;
            if (r < 0 || end == 0)
                return r;
            *at = end;
            *stopped = must_stop(u, end, stop);
        }
        text = *at;
    }
    return 0;
}

int turn_last_line(struct turn *u, uint64_t start, uint64_t end, struct err *err)
{
    struct tail_reader *rd = u->rd;
    struct join_record rec = {.partial = true};
    uint64_t text = start;
    int found = find(u, TEXT, &text, end, UINT64_MAX, err);
    size_t want;
    ssize_t n;

    if (found < 0)
        return found;
    while (rd->cap < rd->line_max && end - text > rd->cap)
        grow_buffer(rd);
    want = end - text < rd->cap ? (size_t)(end - text) : rd->cap;
    n = want == 0 ? 0 : reader_read(&u->t->from, rd->buf, want, text);
    if (n < 0 || (size_t)n < want || (found == 1 && text < end))
        return n < 0 ? err_sys(err, "read at %llu", (unsigned long long)text)
                     : err_set(err, ERR_CORRUPT, "the file ends before %llu",
                               (unsigned long long)end);
    if (check(u, err) < 0)
        return err->code;
    count_hole(u, text - start);
    if (want == 0)
        return 0; /* nothing but zeros */
    rec.ts = u->t->last_ts;
    rec.text = str_sub((struct str){rd->buf, want}, 0, rd->limits.max_line);
    rec.total = end - text;
    rec.file = u->t->file;
    rec.end = end;
    rec.raw = u->t->source->kind != SOURCE_FILE;
    turn_emit(u, &rec, NULL);
    return 0;
}

/* ---- reading on ---- */

/* A line without a time of its own gets that of the line before it; one of a plain or JSON file, if
 * that is of another turn, when it was read. */
struct turn turn_begin(struct tail *t, struct tail_reader *rd, struct chunk *c, uint64_t start)
{
    struct turn u = {.t = t, .rd = rd, .c = c, .run_start = start, .now = time_mono()};

    rd->fills.n = 0;
    u.mark = c == NULL ? 0 : c->entries;
    rd->decoder.keys = &t->source->keys;
    if (t->last_ts == 0 || t->source->kind == SOURCE_FILE || t->source->kind == SOURCE_JSON)
        t->last_ts = time_now();
    u.ts = t->last_ts;
    turn_begin_state(&u);
    return u;
}

/* Before it is read: *ret is what it is now.  TAIL_END: go on. */
static enum tail_result look_first(struct tail *t, struct tail_reader *rd, struct reader_stat *ret,
                                   struct err *err)
{
    int r;

    OBJ_CHECK(t, TAIL_MAGIC);
    if (reader_stat(&t->from, ret) < 0) {
        (void)err_sys(err, "stat %s", t->path);
        return TAIL_FAILED;
    }
    t->unlinked = ret->unlinked;
    r = tail_identify(t, rd, ret->size);
    if (r < 0)
        (void)err_sys(err, "read the beginning of %s", t->path);
    return r < 0 ? TAIL_FAILED : r == 0 ? TAIL_CHANGED : TAIL_END;
}

enum tail_result tail_read(struct tail *t, struct tail_reader *rd, struct chunk *c, size_t quantum,
                           struct err *err)
{
    struct turn u;
    struct reader_stat st;
    uint64_t before = t->pos, end = tail_end(t);
    enum tail_result first = look_first(t, rd, &st, err);
    bool stopped;
    int r;

    if (first != TAIL_END)
        return first;
    if (t->from.kept != NULL) /* damage that was come upon in front of pos */
        (void)keep_reader_skip(t->from.kept, t->pos);
    u = turn_begin(t, rd, c, t->pos);
    t->has_room = false;
    r = turn_lines(&u, &t->pos, st.is_sure ? st.size : UINT64_MAX, t->pos + quantum, &stopped, err);
    turn_end_run(&u, t->pos);
    if (!reader_is_plain(&t->from))
        (void)reader_stat(&t->from, &st); /* it has succeeded before */
    if (r == 0 && !stopped && st.damaged) {
        errno = EBADMSG;
        r = err_sys(err, "read at %llu", (unsigned long long)st.size);
    }
    t->seen = st.size;
    t->ends_in_zero = t->ends_in_zero || t->has_room;
    if (tail_end(t) != end)
        t->seen_at = u.now;
    metric_add(METRIC_READ_BYTES, t->pos - before);
    t->begun = t->begun || t->pos > before;
    if (before == 0 && t->pos > 0)
        tail_learn(t, rd); /* zeros at its beginning are no room, then */
    t->caught_up = r == 0 && !stopped;
    if (t->scanned < t->pos)
        t->scanned = t->pos;
    if (u.changed)
        return TAIL_CHANGED;
    if (r < 0) {
        (void)err_wrap(err, "%s", t->path);
        return TAIL_FAILED;
    }
    return stopped ? TAIL_MORE : TAIL_END;
}

/* Not far back: a file may be longer than anybody could read. */
void tail_skip(struct tail *t, struct tail_reader *rd)
{
    struct reader_stat st;
    uint64_t least, end = 0;

    if (reader_stat(&t->from, &st) < 0 || st.size == 0 || st.size < t->pos)
        return;
    least = st.size - t->pos > rd->line_max ? st.size - rd->line_max : t->pos;
    for (uint64_t at = st.size; at > least && end == 0;) {
        size_t want = at - least < SKIP_BYTES ? (size_t)(at - least) : SKIP_BYTES;
        ssize_t n = reader_read(&t->from, rd->buf, want, at - want);
        const char *nl = n < 0 ? NULL : memrchr(rd->buf, '\n', (size_t)n);
        if (nl != NULL)
            end = at - want + (uint64_t)(nl - rd->buf) + 1;
        at -= want;
    }
    if (end == 0)
        end = least == t->pos ? t->pos : st.size;
    checkpoint_skip(rd->checkpoint, t->file, 0, end);
    t->pos = t->scanned = end;
}

enum tail_result tail_pass(struct tail *t, struct tail_reader *rd, struct err *err)
{
    uint64_t before = t->pos;
    struct reader_stat st;
    enum tail_result first = look_first(t, rd, &st, err);

    if (first != TAIL_END)
        return first;
    tail_forget_held(t, rd);
    t->holes_due = false;
    if (reader_is_plain(&t->from))
        tail_skip(t, rd);
    if (t->unlinked || !reader_is_plain(&t->from)) { /* nobody ends its last line */
        checkpoint_skip(rd->checkpoint, t->file, 0, st.size);
        t->pos = t->scanned = st.size;
    }
    t->seen = t->pos;
    t->caught_up = true;
    metric_add(METRIC_EXCLUDED_BYTES, t->pos > before ? t->pos - before : 0);
    return TAIL_END;
}
