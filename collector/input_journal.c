/*
 * collector/input_journal.c - contract: input_journal.h.
 *
 * Where we are is told by the last line of the spool.  It ends in
 *
 *     "at":"<cursor of its entry>","open":[["<key>","<cursor>"],...]}
 *
 * `open` names the records that are not whole yet, the oldest first, and is not there if there are
 * none.  Reading begins with the first entry that one of them has; entries up to `at` are known,
 * and only pieces of what is open are taken of them.
 *
 * A journal in which no container logs has no such lines, and its old files are removed all the
 * same.  So the place is also in the file POSITION, from time to time; it is never behind what is
 * spooled, and written only while nothing is open.
 *
 * Invariants
 *   (1) what is told in a line's `at` and `open` is what makes the lines after it the next ones;
 *   (2) lines are appended in the order of the journal, and wait in `out` until they are synced;
 *   (3) POSITION is written only when nothing waits there.
 */
#include "collector/input_journal.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/record.h"
#include "collector/journal_joins.h"
#include "collector/journal_place.h"
#include "collector/journal_streams.h"
#include "collector/metrics.h"
#include "collector/notice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    READ_BYTES = 128 << 10,
    TURN_BYTES = 1 << 20, /* of one turn: others want to be served, too */
    IN_MAX = JOURNAL_FRAME_MAX + READ_BYTES + 16,
    LINE_ROOM = 16 << 10, /* what a text may grow by in JSON; beyond it is cut */
    OUT_MAX = 16 << 20,
    END_BYTES = 32 << 10, /* of a line: `at` and `open` are in there */
    TICK_MS = 250,
    DAMAGE_MS = 1000, /* what cannot be read meanwhile is one gap */
    SAVE_MS = 60000,
    POSITION_MAX = 512,
    STREAMS_MAX = 4096,
    ATTR_MAX = 256,
};

static const char POSITION[] = "journald.position";

/* A record that was open when we were stopped. */
struct resumed {
    char key[JOURNAL_KEY_MAX];
    char cursor[JOURNAL_CURSOR_MAX];
    bool found;
};

struct input_journal {
    unsigned magic;
#define INPUT_JOURNAL_MAGIC 0x10a1210bu
    struct input_journal_options opt;
    size_t max_line;
    dur_ns partial_timeout;
    struct spool *spool;
    struct journal_joins *joins;
    struct journal_streams *streams;
    struct redact_scratch redacted;
    struct loop_timer *timer;
    int fd; /* to the reader; -1: none */
    uv_poll_t *poll;
    bool polling;
    struct buf in, out, quoted;  /* out: lines that are not on the disk yet */
    char at[JOURNAL_CURSOR_MAX]; /* of the last entry that is dealt with; "": none */
    struct resumed resumed[JOURNAL_JOINS_MAX];
    size_t n_resumed;
    bool replaying; /* up to `at` entries are known */
    bool caught_up; /* the reader has nothing more */
    bool save;      /* `at` has moved since POSITION was written */
    bool append_failed;
    uint64_t n_damaged; /* entries that cannot be read, and are not told */
    dur_ns damaged_since;
    unsigned attached;
    dur_ns saved_at;
};

/* ---- the place ---- */

/* `later` is behind `than` in the journal, or one of them is none. */
static bool is_later(struct str later, struct str than)
{
    struct journal_place a, b;

    if (!journal_place_parse(later, &a))
        return false;
    return !journal_place_parse(than, &b) || journal_place_cmp(&a, &b) > 0;
}

static bool take_text(struct json_reader *r, struct arena *a, char *ret, size_t cap)
{
    struct json_token t;
    struct err err;
    struct str text;

    if (json_next(r, &t, &err) < 0 || t.type != JSON_STRING)
        return false;
    text = json_text(&t, a);
    if (text.p == NULL || text.n >= cap)
        return false;
    (void)str_to_z(text, ret, cap);
    return true;
}

/* The array behind "open". */
static bool take_open(struct input_journal *in, struct json_reader *r, struct arena *a)
{
    struct json_token t;
    struct err err;

    if (json_next(r, &t, &err) < 0 || t.type != JSON_ARRAY)
        return false;
    for (;;) {
        struct resumed *v = &in->resumed[in->n_resumed];
        if (json_next(r, &t, &err) < 0)
            return false;
        if (t.type == JSON_ARRAY_END)
            return true;
        if (t.type != JSON_ARRAY || in->n_resumed == JOURNAL_JOINS_MAX ||
            !take_text(r, a, v->key, sizeof(v->key)) ||
            !take_text(r, a, v->cursor, sizeof(v->cursor)) || json_next(r, &t, &err) < 0 ||
            t.type != JSON_ARRAY_END)
            return false;
        in->n_resumed++;
    }
}

/* `end` is a line's end: `"at":"...","open":[...]}`, behind a brace now. */
static bool take_end(struct input_journal *in, struct str end, struct arena *a)
{
    struct json_reader r;
    struct json_token t;
    struct err err;
    int e = json_reader_init_object(&r, end, &err);

    while (e == 0 && (e = json_member(&r, &t, &err)) == 0)
        if ((str_eq(t.raw, STR("at")) && !take_text(&r, a, in->at, sizeof(in->at))) ||
            (str_eq(t.raw, STR("open")) && !take_open(in, &r, a)))
            return false;
    return e == 1 && in->at[0] != '\0';
}

/* From the last line of the spool: quotes inside of a text are escaped, so the last ,"at":" is its
 * own. */
static int find_in_spool(struct input_journal *in, struct err *err)
{
    static const char MARK[] = ",\"at\":\"";
    char *bytes = mem_new(END_BYTES), *mark = NULL;
    struct arena *a = arena_new(NULL, 4 * END_BYTES);
    size_t n = 0;
    int r = spool_end(in->spool, bytes, END_BYTES, &n, err);

    for (size_t i = n; r == 0 && mark == NULL && i >= sizeof(MARK); i--)
        if (memcmp(bytes + i - sizeof(MARK) + 1, MARK, sizeof(MARK) - 1) == 0)
            mark = bytes + i - sizeof(MARK) + 1;
    if (mark != NULL) {
        *mark = '{';
        if (!take_end(in, (struct str){mark, n - (size_t)(mark - bytes)}, a)) {
            in->at[0] = '\0';
            in->n_resumed = 0;
            mark = NULL;
        }
    }
    if (r == 0 && n > 0 && mark == NULL)
        log_error("journal.place_lost", LOG_Z("spool", SPOOL_JOURNALD));
    arena_free(&a);
    free(bytes);
    return r;
}

static int find_place(struct input_journal *in, struct err *err)
{
    struct buf text;
    struct str saved;
    int r = find_in_spool(in, err);

    buf_init(&text, POSITION_MAX);
    if (r == 0)
        r = file_read(in->opt.state_fd, POSITION, &text, err);
    if (r == ERR_GONE || r == ERR_LIMIT)
        r = 0;
    saved = str_trim(buf_str(&text));
    if (r == 0 && saved.n < sizeof(in->at) && is_later(saved, str_of(in->at))) {
        (void)str_to_z(saved, in->at, sizeof(in->at));
        in->n_resumed = 0;
    }
    buf_fini(&text);
    return r;
}

static void tell_gap(struct input_journal *in, const char *cause, const char *text)
{
    struct notice_gap gap = {.cause = cause,
                             .path = in->opt.conf->directory.n > 0 ? in->opt.conf->directory
                                                                   : STR("journal"),
                             .text = str_of(text)};
    struct err err;

    in->saved_at = 0; /* and soon where we are now, so that it is not said again */
    if (notice_gap(in->opt.own, &gap, &err) < 0)
        log_error("gap.not_written", LOG_ERR(&err));
}

static void tell_damage(struct input_journal *in)
{
    char text[128];

    if (in->n_damaged == 0)
        return;
    (void)snprintf(text, sizeof(text), "at most %llu entries could not be read",
                   (unsigned long long)in->n_damaged);
    in->n_damaged = 0;
    tell_gap(in, "journal_unreadable", text);
}

static void save_place(struct input_journal *in)
{
    struct buf text;
    struct err err;

    tell_damage(in); /* it is in front of where the next one begins */
    if (!in->save || in->replaying || in->out.n > 0 || journal_joins_count(in->joins) > 0)
        return; /* keeps (3) */
    buf_init(&text, POSITION_MAX);
    buf_addf(&text, "%s\n", in->at);
    in->saved_at = time_mono();
    if (file_replace(in->opt.state_fd, POSITION, 0600, buf_str(&text), &err) < 0)
        log_warn("journal.place_not_saved", LOG_ERR(&err));
    else
        in->save = false;
    buf_fini(&text);
}

static void set_place(struct input_journal *in, struct str cursor)
{
    if (cursor.n == 0 || cursor.n >= sizeof(in->at))
        return;
    (void)str_to_z(cursor, in->at, sizeof(in->at));
    in->save = true;
}

/* ---- records to lines ---- */

/* An entry of a container; else it is what `matches` asked for. */
static bool is_container(const struct journal_frame *f)
{
    return f->v[JOURNAL_ID].n > 0 || f->v[JOURNAL_NAME].n > 0;
}

static struct str runtime_of(const struct journal_frame *f)
{
    if (!is_container(f))
        return STR_NULL;
    if (str_eq(f->v[JOURNAL_COMM], STR("dockerd")))
        return STR("docker");
    return str_eq(f->v[JOURNAL_COMM], STR("conmon")) ? STR("podman") : STR_NULL;
}

static struct str app_of(const struct journal_frame *f)
{
    if (is_container(f))
        return f->v[JOURNAL_NAME];
    return f->v[JOURNAL_IDENTIFIER].n > 0 ? f->v[JOURNAL_IDENTIFIER] : f->v[JOURNAL_UNIT];
}

static void add(struct label *v, size_t *n, const char *name, struct str value)
{
    if (value.n > 0)
        v[(*n)++] = (struct label){str_of(name), str_sub(value, 0, ATTR_MAX)};
}

/* The labels that select is about; unsorted, at most 8. */
static size_t labels_of(const struct journal_frame *f, struct label v[8])
{
    size_t n = 0;

    add(v, &n, "app", app_of(f));
    add(v, &n, "container", f->v[JOURNAL_NAME]);
    add(v, &n, "image", f->v[JOURNAL_IMAGE]);
    add(v, &n, "runtime", runtime_of(f));
    add(v, &n, "source", is_container(f) ? STR("container") : STR_NULL);
    return n;
}

static const struct profile *find_profile(const struct input_journal *in,
                                          const struct journal_frame *f)
{
    const struct config *c = in->opt.set->config;
    struct label v[8 + 1 + 2 * RECORD_LABELS_MAX];
    struct labels all = {v, 0};

    all.n = labels_of(f, v);
    v[all.n++] = (struct label){STR("host"), c->host};
    for (size_t i = 0; i < c->labels.n && i < RECORD_LABELS_MAX; i++)
        v[all.n++] = c->labels.v[i];
    for (size_t i = 0; i < in->opt.conf->labels.n && i < RECORD_LABELS_MAX; i++)
        v[all.n++] = in->opt.conf->labels.v[i];
    all.n = labels_sort(v, all.n);
    return profile_of_log(in->opt.set->profiles, in->opt.conf, &all, NULL);
}

/* Of this container and stream. */
static struct journal_stream *find_stream(struct input_journal *in, const struct journal_frame *f)
{
    char name[JOURNAL_KEY_MAX];
    struct journal_frame whole = *f;
    struct journal_stream *s;

    whole.v[JOURNAL_PARTIAL_ID] = STR_NULL;
    if (!is_container(f))
        whole.v[JOURNAL_NAME] = app_of(f);
    s = journal_streams_get(in->streams, journal_joins_key(&whole, name));
    if (s->profile == NULL)
        s->profile = find_profile(in, f);
    return s;
}

static void put_text(struct json_writer *w, const char *key, struct str value)
{
    if (value.n > 0)
        json_put_kv_str(w, key, str_sub(value, 0, ATTR_MAX));
}

/* `text` as a JSON string in in->quoted, cut where that would be longer than a reader of lines
 * takes.  Returns the bytes of it that are in there. */
static size_t quote(struct input_journal *in, struct str text)
{
    size_t limit = in->max_line + LINE_ROOM;

    for (;;) {
        buf_clear(&in->quoted);
        json_quote(&in->quoted, text);
        if (!in->quoted.over && in->quoted.n <= limit)
            return text.n;
        if (in->quoted.over)
            text.n /= 2;
        else /* what it may be, if the rest grows like all of it */
            text.n = (size_t)((double)text.n * (double)limit / (double)in->quoted.n);
        text.n -= text.n / 64 + (text.n > 0);
    }
}

static void put_stream(struct json_writer *w, const struct journal_frame *f)
{
    struct str priority = f->v[JOURNAL_PRIORITY];
    static const char *const LEVELS[] = {"fatal", "fatal", "critical", "error",
                                         "warn",  "info",  "info",     "debug"};

    if (is_container(f)) /* both runtimes log stderr with 3, stdout with 6 */
        put_text(w, "stream", str_eq(priority, STR("3")) ? STR("stderr") : STR("stdout"));
    else if (priority.n == 1 && priority.p[0] >= '0' && priority.p[0] <= '7')
        put_text(w, "level", str_of(LEVELS[priority.p[0] - '0']));
}

/* One line behind in->out. */
static void put_line(struct input_journal *in, const struct journal_record *rec, struct str text)
{
    const struct journal_frame *f = &rec->head;
    size_t whole = rec->text.n, kept = quote(in, text);
    struct json_writer w;

    json_writer_init(&w, &in->out);
    json_put_object(&w);
    json_put_key(&w, STR("time"));
    json_put_i64(&w, f->time);
    put_stream(&w, f);
    put_text(&w, "container", f->v[JOURNAL_NAME]);
    put_text(&w, "container_id", f->v[JOURNAL_ID]);
    put_text(&w, "image", f->v[JOURNAL_IMAGE]);
    put_text(&w, "runtime", runtime_of(f));
    put_text(&w, "app", app_of(f));
    if (!is_container(f))
        put_text(&w, "unit", f->v[JOURNAL_UNIT]);
    json_put_key(&w, STR("line"));
    json_put_raw(&w, buf_str(&in->quoted));
    if (rec->total > whole || kept < text.n)
        json_put_kv_u64(&w, "cut", rec->total - whole + (text.n - kept));
    if (rec->partial) {
        json_put_key(&w, STR("partial"));
        json_put_bool(&w, true);
    }
    json_put_kv_str(&w, "at", str_of(in->at)); /* keeps (1) */
    if (journal_joins_count(in->joins) > 0) {
        json_put_key(&w, STR("open"));
        journal_joins_put(in->joins, &w);
    }
    json_put_object_end(&w);
    buf_add_char(&in->out, '\n');
    INVARIANT(!in->out.over);
    metric_add(METRIC_JOURNAL_RECORDS, 1);
}

/* Not even the spool has secrets. */
static void redact_line(struct input_journal *in, struct journal_stream *s,
                        const struct journal_record *rec, struct str *text)
{
    bool has_keys = (s->profile->redact_types >> REDACT_PRIVATE_KEY & 1) != 0;
    struct redact_flow flow = {
        .in_key = has_keys && s->in_key && (!s->maybe || redact_is_key_line(*text)),
        .begins_cut = s->cut,
        .ends_cut = rec->partial || rec->total > rec->text.n,
    };

    redact_text(s->profile->redact, text, &flow, &in->redacted);
    s->in_key = has_keys && flow.in_key;
    s->maybe = false; /* now it is known */
    s->cut = rec->partial;
}

static void take_record(struct input_journal *in, const struct journal_record *rec)
{
    struct journal_stream *s = find_stream(in, &rec->head);
    struct str text = rec->text;

    if (s->profile->excluded) {
        metric_add(METRIC_EXCLUDED_BYTES, rec->total);
        return; /* the place is written down with a later one */
    }
    if (rec->total == text.n && is_container(&rec->head) && str_ends(text, STR("\n")))
        text.n--; /* conmon logs the end of the line, too */
    if (s->profile->redact != NULL)
        redact_line(in, s, rec, &text);
    put_line(in, rec, text);
}

/* ---- entries ---- */

/* Is it a piece of what was open, and not older than its beginning? */
static bool is_resumed(struct input_journal *in, const struct journal_frame *f)
{
    char name[JOURNAL_KEY_MAX];
    struct str key = journal_joins_key(f, name);

    for (size_t i = 0; i < in->n_resumed; i++) {
        struct resumed *v = &in->resumed[i];
        if (!str_eq(key, str_of(v->key)))
            continue;
        if (str_eq(f->v[JOURNAL_CURSOR], str_of(v->cursor)))
            v->found = true;
        return v->found;
    }
    return false;
}

static void end_replay(struct input_journal *in)
{
    in->replaying = false;
    in->n_resumed = 0;
}

/* true: it is one that we had before we were stopped. */
static bool is_known(struct input_journal *in, const struct journal_frame *f)
{
    struct str cursor = f->v[JOURNAL_CURSOR];
    struct journal_record rec;

    if (!in->replaying)
        return false;
    if (is_later(cursor, str_of(in->at))) {
        end_replay(in);
        return false;
    }
    if (journal_joins_is_piece(f) && is_resumed(in, f))
        (void)journal_joins_add(in->joins, f, time_mono(), &rec);
    if (str_eq(cursor, str_of(in->at)))
        end_replay(in);
    metric_add(METRIC_JOURNAL_REPEATED, 1);
    return true;
}

static void take_entry(struct input_journal *in, const struct journal_frame *f)
{
    struct journal_record rec;

    in->caught_up = false;
    if (is_known(in, f))
        return;
    while (journal_joins_give_up(in->joins, f, &rec))
        take_record(in, &rec);
    set_place(in, f->v[JOURNAL_CURSOR]);
    if (journal_joins_add(in->joins, f, time_mono(), &rec) == 0)
        take_record(in, &rec);
}

static void take_gap(struct input_journal *in, const struct journal_frame *f)
{
    char text[128];

    if (f->total > 0)
        (void)snprintf(text, sizeof(text), "at most %llu entries were removed unread",
                       (unsigned long long)f->total);
    else
        (void)snprintf(text, sizeof(text), "entries were removed unread, nobody knows how many");
    tell_gap(in, "journal_vacuumed", text);
}

/* Where some entries cannot be read there may be many such, between others: not each is a gap. */
static void take_damage(struct input_journal *in, const struct journal_frame *f)
{
    if (in->replaying && !is_later(f->v[JOURNAL_CURSOR], str_of(in->at)))
        return; /* it was counted before */
    end_replay(in);
    metric_add(METRIC_JOURNAL_UNREADABLE, f->total);
    if (in->n_damaged == 0)
        in->damaged_since = time_mono();
    in->n_damaged += f->total;
    set_place(in, f->v[JOURNAL_CURSOR]);
}

static void take_here(struct input_journal *in, const struct journal_frame *f)
{
    struct str cursor = f->v[JOURNAL_CURSOR];
    bool first = in->at[0] == '\0';

    in->caught_up = true;
    end_replay(in);
    if (is_later(cursor, str_of(in->at)))
        set_place(in, cursor);
    if (first)
        save_place(in); /* "from now on" is this moment, also for the next of us */
}

static bool take_frame(struct input_journal *in, const struct journal_frame *f)
{
    switch (f->type) {
    case JOURNAL_ENTRY:
        take_entry(in, f);
        return true;
    case JOURNAL_GAP:
        take_gap(in, f);
        return true;
    case JOURNAL_DAMAGE:
        take_damage(in, f);
        return true;
    case JOURNAL_HERE:
        take_here(in, f);
        return true;
    case JOURNAL_START:
    case JOURNAL_TYPES:
        break;
    }
    return false;
}

/* ---- the reader ---- */

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void detach(struct input_journal *in)
{
    if (in->fd < 0)
        return;
    (void)uv_poll_stop(in->poll);
    uv_close((uv_handle_t *)in->poll, on_poll_closed);
    in->poll = NULL;
    (void)close(in->fd);
    in->fd = -1;
    in->polling = in->caught_up = false;
    buf_clear(&in->in);
}

/* Whole frames of what came.  false: it breaks the format. */
static bool take_frames(struct input_journal *in)
{
    struct str rest = buf_str(&in->in);
    struct journal_frame f;
    struct err err;
    size_t used = 0;
    int r;

    while ((r = journal_frame_take(rest, &f, &used, &err)) == 0) {
        if (!take_frame(in, &f))
            r = err_set(&err, ERR_CORRUPT, "not for us");
        if (r < 0)
            break;
        rest = str_from(rest, used);
        if (in->out.n > OUT_MAX / 2)
            break; /* the rest when this is written */
    }
    buf_drop(&in->in, in->in.n - rest.n);
    if (r < 0)
        log_error("journal.broken", LOG_ERR(&err));
    return r >= 0;
}

/* What was made of it, to the disk.  false: not now. */
static bool append(struct input_journal *in)
{
    struct err err;
    int r;

    if (in->out.n == 0)
        return true;
    r = spool_append(in->spool, buf_str(&in->out), &err);
    if (r == 0) {
        r = spool_sync(in->spool, &err);
        if (r < 0)
            spool_again(in->spool, in->out.n); /* with what comes behind it meanwhile */
    }
    if (r == 0)
        buf_clear(&in->out);
    else if (!in->append_failed)
        log_error("journal.not_written", LOG_ERR(&err));
    in->append_failed = r < 0;
    return r == 0;
}

/* Is there room for more?  What waits for the server is bounded. */
static bool has_room(struct input_journal *in)
{
    uint64_t total = 0;
    struct err err;

    if (spool_total(in->spool, &total, &err) < 0)
        return true; /* it is a look, no more: appending will say what is wrong */
    return total < INPUT_JOURNAL_SPOOL_MAX;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void set_polling(struct input_journal *in, bool on)
{
    if (in->fd < 0 || in->polling == on)
        return;
    in->polling = on;
    if (on)
        (void)uv_poll_start(in->poll, UV_READABLE, on_readable);
    else
        (void)uv_poll_stop(in->poll);
    if (!on)
        metric_add(METRIC_JOURNAL_PAUSES, 1);
}

/* false: the reader is gone. */
static bool receive(struct input_journal *in, size_t *got)
{
    char *room = buf_room(&in->in, READ_BYTES);
    ssize_t n;

    *got = 0;
    if (room == NULL)
        return false; /* a frame that is longer than any */
    n = recv(in->fd, room, READ_BYTES, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    in->in.n += (size_t)n;
    *got = (size_t)n;
    return n > 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct input_journal *in = poll->data;
    bool there = take_frames(in); /* what is left of the last turn */
    size_t got = 1;

    (void)status;
    (void)events;
    for (size_t turn = 0; there && got > 0 && turn < TURN_BYTES && in->out.n < OUT_MAX / 2;
         turn += got) {
        there = receive(in, &got);
        if (!take_frames(in))
            there = false;
    }
    if (!append(in) || !has_room(in))
        set_polling(in, false);
    if (!there)
        detach(in); /* another one will be sent */
}

static void give_up_stale(struct input_journal *in)
{
    struct journal_record rec;

    while (in->out.n < OUT_MAX / 2 &&
           journal_joins_stale(in->joins, time_mono() - in->partial_timeout, &rec))
        take_record(in, &rec);
}

static void on_tick(void *arg)
{
    struct input_journal *in = arg;

    if (append(in) && in->fd >= 0 && (!in->polling || in->in.n > 0) && has_room(in)) {
        set_polling(in, true);
        if (!take_frames(in)) {
            detach(in);
            return;
        }
        (void)append(in);
    }
    if (in->caught_up && in->out.n == 0) { /* else what is next is only late */
        give_up_stale(in);
        (void)append(in);
    }
    if (in->n_damaged > 0 && time_mono() - in->damaged_since >= DAMAGE_MS * NS_PER_MS)
        tell_damage(in);
    if (time_mono() - in->saved_at >= SAVE_MS * NS_PER_MS)
        save_place(in);
}

void input_journal_attach(struct input_journal *in, int fd)
{
    struct journal_frame f = {.type = JOURNAL_START};
    struct buf start;
    ssize_t n;

    OBJ_CHECK(in, INPUT_JOURNAL_MAGIC);
    detach(in);
    if (in->attached++ > 0)
        metric_add(METRIC_JOURNAL_RESTARTS, 1);
    if (in->n_resumed > 0) { /* the one before did not come to the end of what is known */
        journal_joins_free(&in->joins);
        in->joins = journal_joins_new(in->max_line);
        for (size_t i = 0; i < in->n_resumed; i++)
            in->resumed[i].found = false;
    }
    in->replaying = in->at[0] != '\0';
    f.v[JOURNAL_CURSOR] = in->n_resumed > 0 ? str_of(in->resumed[0].cursor) : str_of(in->at);
    buf_init(&start, 1024);
    journal_frame_put(&start, &f);
    n = send(fd, start.p, start.n, MSG_NOSIGNAL);
    if (n != (ssize_t)start.n) { /* into an empty socket: then nobody is there */
        log_warn("journal.not_started", LOG_I64("sent", n));
        (void)close(fd);
    } else {
        in->fd = fd;
        in->poll = mem_new(sizeof(*in->poll));
        in->poll->data = in;
        (void)uv_poll_init(loop_uv(in->opt.loop), in->poll, fd);
        set_polling(in, true);
    }
    buf_fini(&start);
}

int input_journal_open(const struct input_journal_options *opt, struct input_journal **ret,
                       struct err *err)
{
    const struct config *c = opt->set->config;
    struct input_journal *in = mem_new(sizeof(*in));
    int r;

    in->magic = INPUT_JOURNAL_MAGIC;
    in->opt = *opt;
    in->max_line = (size_t)c->max_line;
    in->partial_timeout = c->partial_timeout;
    in->fd = -1;
    in->saved_at = time_mono();
    buf_init(&in->in, IN_MAX);
    buf_init(&in->out, OUT_MAX);
    buf_init(&in->quoted, 8 * in->max_line + LINE_ROOM);
    redact_scratch_init(&in->redacted, 8 * in->max_line);
    in->joins = journal_joins_new(in->max_line);
    in->streams = journal_streams_new(STREAMS_MAX);
    in->timer = loop_timer_new(opt->loop, on_tick, in);
    r = spool_open(opt->state_fd, SPOOL_JOURNALD, &in->spool, err);
    if (r == 0)
        r = find_place(in, err);
    if (r < 0) {
        input_journal_free(&in);
        return r;
    }
    loop_timer_start(in->timer, TICK_MS, TICK_MS);
    *ret = in;
    return 0;
}

void input_journal_free(struct input_journal **pin)
{
    struct input_journal *in = *pin;

    if (in == NULL)
        return;
    OBJ_CHECK(in, INPUT_JOURNAL_MAGIC);
    detach(in); /* what is not written down is read again */
    tell_damage(in);
    loop_timer_free(&in->timer);
    journal_joins_free(&in->joins);
    journal_streams_free(&in->streams);
    redact_scratch_fini(&in->redacted);
    buf_fini(&in->in);
    buf_fini(&in->out);
    buf_fini(&in->quoted);
    spool_close(&in->spool);
    in->magic = 0;
    free(in);
    *pin = NULL;
}
