/*
 * collector/input_journal.c - contract: input_journal.h.
 *
 * What is done to an entry is what is done to a line of a file, in the same order: pieces are
 * joined, lines that belong together are, rules decide, secrets are taken out.  It is all done in
 * front of the spool (docs/adr/0018-the-journal-in-a-process-of-its-own.md): many containers are in
 * one of its files, and what is remembered of each of them is more than the bits of a part.
 *
 * Where we are is told by the spool (journal_state.h).  Reading begins with the first entry that a
 * record has which was not whole yet; entries up to `at` are known, and only what is open is made
 * of them again.
 *
 * A journal in which no container logs has no such lines, and its old files are removed all the
 * same.  So the place is also in the file POSITION, from time to time; it is never behind what is
 * spooled, and written only while nothing is open.
 *
 * Invariants
 *   (1) what a state in the spool tells is what makes the lines after it the next ones;
 *   (2) lines are appended in the order of the journal, and wait in `out` until they are synced;
 *   (3) POSITION is written only when nothing waits there, nor drops that were not told.
 */
#include "collector/input_journal.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/record.h"
#include "collector/journal_line.h"
#include "collector/journal_place.h"
#include "collector/journal_state.h"
#include "collector/journal_whose.h"
#include "collector/metrics.h"
#include "collector/notice.h"
#include "collector/patterns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    READ_BYTES = 128 << 10,
    SYNC_BYTES = 512 << 10,
    LOOK_BYTES = 1 << 20, /* written after which it is looked how much waits */
    TURN_BYTES = 1 << 20, /* of one turn: others want to be served, too */
    IN_MAX = JOURNAL_FRAME_MAX + READ_BYTES + 16,
    OUT_MAX = 16 << 20,
    TICK_MS = 250,
    DAMAGE_MS = 1000,   /* what cannot be read meanwhile is one gap */
    STATE_MS = 1000,    /* drops alone are a reason to write how far we are */
    TELL_MS = 10000,    /* and to tell of them */
    ASK_MS = 2000,      /* what a container is may be found out later, */
    ASK_PAUSE_MS = 250, /* and is asked for so often */
    SAVE_MS = 60000,
    POSITION_MAX = 512,
    STREAMS_MAX = 4096,
    META_BYTES = 256 << 10,
};

static const char POSITION[] = "journald.position";

struct input_journal {
    unsigned magic;
#define INPUT_JOURNAL_MAGIC 0x10a1210bu
    struct input_journal_options opt;
    size_t max_line;
    dur_ns partial_timeout, multiline_timeout;
    struct spool *spool;
    struct journal_joins *joins;
    struct journal_streams *streams;
    struct journal_lines *lines; /* of these streams */
    struct trace_rule trace;     /* of the input */
    struct pattern *start;       /* owned: of that; NULL: none */
    struct label common_v[1 + 2 * RECORD_LABELS_MAX];
    struct labels common; /* of all streams */
    struct redact_scratch redacted;
    struct loop_timer *timer;
    int fd; /* to the reader; -1: none */
    uv_poll_t *poll;
    bool polling;
    struct buf in, out, quoted; /* out: lines that are not on the disk yet */
    struct journal_state state; /* its `open` is what was open when we were stopped */
    bool replaying;             /* up to `at` entries are known */
    bool caught_up;             /* the reader has nothing more */
    bool stated;                /* what is in `out` ends in a state */
    bool save;                  /* `at` has moved since POSITION was written */
    bool append_failed;
    size_t unlooked;    /* bytes written since it was looked how much waits */
    uint64_t n_damaged; /* entries that cannot be read, and are not told */
    dur_ns damaged_since;
    dur_ns dropped_since; /* drops that no state has; 0: there are none */
    unsigned attached;
    dur_ns saved_at, told_at;
};

/* ---- the place ---- */

static bool is_behind(const struct input_journal *in, struct str cursor)
{
    return journal_state_is_later(cursor, str_of(in->state.at));
}

static int find_place(struct input_journal *in, struct err *err)
{
    struct journal_state *s = &in->state;
    struct buf text;
    struct str saved;
    int r = journal_state_load(s, in->spool, err);

    buf_init(&text, POSITION_MAX);
    if (r == 0)
        r = file_read(in->opt.state_fd, POSITION, &text, err);
    if (r == ERR_GONE || r == ERR_LIMIT)
        r = 0;
    saved = str_trim(buf_str(&text));
    if (r == 0 && saved.n < sizeof(s->at) && is_behind(in, saved)) {
        (void)str_to_z(saved, s->at, sizeof(s->at));
        journal_state_forget_open(s);
    }
    buf_fini(&text);
    return r;
}

static struct str path_of(const struct input_journal *in)
{
    return in->opt.conf->directory.n > 0 ? in->opt.conf->directory : STR("journal");
}

static void tell_gap(struct input_journal *in, const char *cause, const char *text)
{
    struct notice_gap gap = {.cause = cause, .path = path_of(in), .text = str_of(text)};
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
    if (!in->save || in->replaying || in->out.n > 0 || journal_joins_count(in->joins) > 0 ||
        journal_lines_count(in->lines) > 0 || in->state.drops.n > 0)
        return; /* keeps (3) */
    buf_init(&text, POSITION_MAX);
    buf_addf(&text, "%s\n", in->state.at);
    in->saved_at = time_mono();
    if (file_replace(in->opt.state_fd, POSITION, 0600, buf_str(&text), &err) < 0)
        log_warn("journal.place_not_saved", LOG_ERR(&err));
    else
        in->save = false;
    buf_fini(&text);
}

static void set_place(struct input_journal *in, struct str cursor)
{
    if (cursor.n == 0 || cursor.n >= sizeof(in->state.at))
        return;
    (void)str_to_z(cursor, in->state.at, sizeof(in->state.at));
    in->save = true;
}

/* ---- streams ---- */

static void set_common(struct input_journal *in)
{
    const struct config *c = in->opt.set->config;
    struct labels *l = &in->common;

    l->v = in->common_v;
    l->v[l->n++] = (struct label){STR("host"), c->host};
    for (size_t i = 0; i < c->labels.n && i < RECORD_LABELS_MAX; i++)
        l->v[l->n++] = c->labels.v[i];
    for (size_t i = 0; i < in->opt.conf->labels.n && i < RECORD_LABELS_MAX; i++)
        l->v[l->n++] = in->opt.conf->labels.v[i];
    l->n = labels_sort(l->v, l->n);
}

static const struct profile *find_profile(const struct input_journal *in,
                                          const struct journal_stream *s,
                                          const struct journal_frame *f,
                                          const struct profile_hints *hints)
{
    struct label v[JOURNAL_LABELS_MAX + 1 + 2 * RECORD_LABELS_MAX];
    struct labels all = {v, journal_line_labels(f, s, v)};

    for (size_t i = 0; i < in->common.n; i++)
        v[all.n++] = in->common.v[i];
    all.n = labels_sort(v, all.n);
    return profile_of_log(in->opt.set->profiles, in->opt.conf, &all, hints);
}

static void set_text(char **to, struct str text)
{
    if (text.n == 0)
        return;
    free(*to);
    *to = mem_dup(text.p, text.n);
}

/* What is done to it, by the container of `f`. */
static void describe(struct input_journal *in, struct journal_stream *s,
                     const struct journal_frame *f)
{
    struct arena *a = arena_new(NULL, META_BYTES);
    dur_ns now = time_mono();
    struct meta m;
    bool is_known = journal_whose_find(in->opt.set, in->opt.conf, f, a, &m) == 0;

    if (s->since == 0)
        s->since = now;
    s->again_at =
        is_known || now - s->since >= ASK_MS * NS_PER_MS ? 0 : now + ASK_PAUSE_MS * NS_PER_MS;
    if (s->profile == NULL || is_known || m.has_hints) { /* what was known once stays */
        set_text(&s->app, m.app);
        set_text(&s->image, m.image);
        set_text(&s->image_digest, m.image_digest);
        s->profile = find_profile(in, s, f, &m.hints);
        s->trace = profile_trace(s->profile, &in->trace);
    }
    arena_free(&a);
}

/* Of this container and stream, or unit. */
static struct journal_stream *find_stream(struct input_journal *in, const struct journal_frame *f)
{
    char name[JOURNAL_KEY_MAX];
    struct journal_stream *s = journal_streams_get(in->streams, journal_line_key(f, name));

    if (s->profile == NULL || (s->again_at != 0 && time_mono() >= s->again_at))
        describe(in, s, f);
    return s;
}

/* ---- records to lines ---- */

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

static void drop(struct input_journal *in, const struct journal_record *rec,
                 const struct rules_decision *d, const char *rule)
{
    journal_drops_add(&in->state.drops, rule, &rec->head, rec->text.n);
    rules_dropped(d, rec->text.n);
    if (in->dropped_since == 0)
        in->dropped_since = time_mono();
}

static bool keeps(struct input_journal *in, struct journal_stream *s,
                  const struct journal_record *rec)
{
    const struct profile *p = s->profile;
    struct label level = {STR("level"), journal_line_level(&rec->head)};
    struct str place = rec->head.v[JOURNAL_CURSOR];
    struct rules_record r = {.line = rec->text,
                             .stream = journal_line_stream(&rec->head),
                             .ts = rec->head.time,
                             .labels = &in->common,
                             .attrs = &level,
                             .n_attrs = level.value.n > 0,
                             .place = hash_bytes(place.p, place.n, 0)};
    struct rules_decision d;

    (void)rules_reopen_in(p->rules, p->of, r.ts, &s->rates);
    d = rules_decide(p->rules, p->of, s->rates.closed, &r);
    if (d.limit != 0)
        rules_count_in(p->rules, &d, r.ts, &s->rates);
    if (d.by != RULES_KEEP)
        drop(in, rec, &d, rules_name(p->rules, d.rule));
    return d.by == RULES_KEEP;
}

/* A whole record: into `out` what is left of it. */
static void finish(struct input_journal *in, struct journal_stream *s,
                   const struct journal_record *rec)
{
    struct journal_line line = {.head = &rec->head,
                                .stream = s,
                                .text = rec->text,
                                .cut = rec->total - rec->text.n,
                                .partial = rec->partial};
    bool kept = s->profile->of == 0 || keeps(in, s, rec);

    if (rec->lines > 1)
        metric_add(METRIC_RECORDS_MULTILINE, 1);
    if (s->profile->redact != NULL)
        redact_line(in, s, rec, &line.text); /* of dropped ones too: a key may begin in them */
    if (!kept)
        return;
    journal_line_put(&in->out, &line, in->max_line, &in->quoted);
    INVARIANT(!in->out.over);
    in->stated = false;
    metric_add(METRIC_JOURNAL_RECORDS, 1);
}

static void end_lines(struct input_journal *in, struct journal_stream *s)
{
    struct journal_record rec;

    journal_lines_end(in->lines, s, &rec);
    finish(in, s, &rec);
}

/* conmon logs the end of the line, too. */
static struct journal_record trimmed(const struct journal_record *rec)
{
    struct journal_record r = *rec;

    if (r.total == r.text.n && journal_line_is_container(&r.head) && str_ends(r.text, STR("\n"))) {
        r.text.n--;
        r.total--;
    }
    return r;
}

/* `got` ends with the entry at `end`. */
static void take_record(struct input_journal *in, const struct journal_record *got, struct str end)
{
    struct journal_stream *s = find_stream(in, &got->head), *oldest;
    struct journal_record rec = trimmed(got);
    enum trace_step step;

    if (s->profile->excluded) {
        metric_add(METRIC_EXCLUDED_BYTES, rec.total);
        return; /* the place is written down with a later one */
    }
    step = journal_lines_step(in->lines, s, &rec);
    if (s->held != NULL && step != TRACE_GOES_ON)
        end_lines(in, s);
    if (step == TRACE_ALONE) {
        finish(in, s, &rec);
        return;
    }
    oldest = s->held == NULL ? journal_lines_oldest(in->lines) : NULL;
    if (oldest != NULL)
        end_lines(in, oldest);
    if (journal_lines_hold(in->lines, s, &rec, end, time_mono()) == 0)
        end_lines(in, s);
}

/* ---- entries that we had before ---- */

/* Of the records that were open the one that is called `key`, if its first entry was read again. */
static struct journal_open *find_open(struct input_journal *in, struct str key, bool is_lines,
                                      struct str cursor)
{
    for (size_t i = 0; i < in->state.n_open; i++) {
        struct journal_open *v = &in->state.open[i];
        if ((v->end[0] != '\0') != is_lines || v->key != journal_state_key(key))
            continue;
        if (journal_place_is(str_of(v->begin), str_of(in->state.at), cursor))
            (void)str_to_z(key, v->whole, sizeof(v->whole));
        if (str_eq(str_of(v->whole), key))
            return v;
    }
    return NULL;
}

/* Lines that belonged to a record then do so now, whatever they look like. */
static void hold_again(struct input_journal *in, const struct journal_record *got, struct str end)
{
    struct journal_stream *s = find_stream(in, &got->head);
    struct journal_record rec = trimmed(got);

    if (s->profile->excluded)
        return;
    (void)journal_lines_step(in->lines, s, &rec);
    (void)journal_lines_hold(in->lines, s, &rec, end, time_mono());
}

static void replay(struct input_journal *in, const struct journal_frame *f)
{
    char name[JOURNAL_KEY_MAX];
    struct str cursor = f->v[JOURNAL_CURSOR];
    struct journal_open *lines = find_open(in, journal_line_key(f, name), true, cursor);
    struct journal_open *piece = !journal_joins_is_piece(f)
                                     ? NULL
                                     : find_open(in, journal_joins_key(f, name), false, cursor);
    struct journal_record rec;

    if ((lines == NULL && piece == NULL) || journal_joins_add(in->joins, f, time_mono(), &rec) != 0)
        return;
    if (lines != NULL && journal_place_is(str_of(lines->end), str_of(in->state.at), cursor))
        lines->ended = true;
    if (lines != NULL && lines->ended) /* else it was whole in front of that */
        hold_again(in, &rec, cursor);
}

static void end_replay(struct input_journal *in)
{
    in->replaying = false;
    journal_state_forget_open(&in->state);
}

/* true: it is one that we had before we were stopped. */
static bool is_known(struct input_journal *in, const struct journal_frame *f)
{
    struct str cursor = f->v[JOURNAL_CURSOR];

    if (!in->replaying)
        return false;
    if (is_behind(in, cursor)) {
        end_replay(in);
        return false;
    }
    replay(in, f);
    if (str_eq(cursor, str_of(in->state.at)))
        end_replay(in);
    metric_add(METRIC_JOURNAL_REPEATED, 1);
    return true;
}

/* ---- entries ---- */

static void take_entry(struct input_journal *in, const struct journal_frame *f)
{
    struct journal_record rec;

    in->caught_up = false;
    if (is_known(in, f))
        return;
    while (journal_joins_give_up(in->joins, f, &rec))
        take_record(in, &rec, STR_NULL);
    set_place(in, f->v[JOURNAL_CURSOR]);
    if (journal_joins_add(in->joins, f, time_mono(), &rec) == 0)
        take_record(in, &rec, f->v[JOURNAL_CURSOR]);
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
    if (in->replaying && !is_behind(in, f->v[JOURNAL_CURSOR]))
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
    bool first = in->state.at[0] == '\0';

    in->caught_up = true;
    end_replay(in);
    if (is_behind(in, cursor))
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

    if (!in->stated) {
        journal_state_put(&in->state, in->joins, in->lines, &in->out); /* keeps (1) */
        INVARIANT(!in->out.over);
        in->stated = true;
        in->dropped_since = 0;
    }
    if (in->out.n == 0)
        return true;
    r = spool_append(in->spool, buf_str(&in->out), &err);
    if (r == 0) {
        r = spool_sync(in->spool, &err);
        if (r < 0)
            spool_again(in->spool, in->out.n); /* with what comes behind it meanwhile */
    }
    if (r == 0) {
        in->unlooked += in->out.n;
        buf_clear(&in->out);
    } else if (!in->append_failed)
        log_error("journal.not_written", LOG_ERR(&err));
    in->append_failed = r < 0;
    return r == 0;
}

/* Is there room for more?  What waits for the server is bounded.  A look walks the directory, so it
 * is for the next LOOK_BYTES. */
static bool has_room(struct input_journal *in)
{
    uint64_t total = 0;
    struct err err;

    if (in->polling && in->unlooked < LOOK_BYTES)
        return true;
    in->unlooked = 0;
    if (spool_total(in->spool, &total, &err) < 0)
        return true; /* it is a look, no more: appending will say what is wrong */
    return total + LOOK_BYTES < INPUT_JOURNAL_SPOOL_MAX;
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
    /* While more is coming a sync is worth some more; the timer sees to the rest. */
    if ((in->caught_up || !there || in->out.n >= SYNC_BYTES) && (!append(in) || !has_room(in)))
        set_polling(in, false);
    if (!there)
        detach(in); /* another one will be sent */
}

static void give_up_stale(struct input_journal *in)
{
    struct journal_record rec;

    struct journal_stream *s;
    dur_ns now = time_mono();

    while (in->out.n < OUT_MAX / 2 &&
           journal_joins_stale(in->joins, now - in->partial_timeout, &rec))
        take_record(in, &rec, STR_NULL);
    while (in->out.n < OUT_MAX / 2 &&
           (s = journal_lines_stale(in->lines, now - in->multiline_timeout)) != NULL)
        end_lines(in, s);
}

/* What was dropped is written down now and then, and told less often. */
static void tell_drops(struct input_journal *in)
{
    dur_ns now = time_mono();

    if (in->state.drops.n > 0 && now - in->told_at >= TELL_MS * NS_PER_MS) {
        journal_drops_tell(&in->state.drops, path_of(in), &in->out);
        in->told_at = now;
        in->stated = false;
    } else if (in->dropped_since != 0 && now - in->dropped_since >= STATE_MS * NS_PER_MS) {
        in->stated = false;
    }
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
    if (in->caught_up && in->out.n == 0) /* else what is next is only late */
        give_up_stale(in);
    if (in->out.n < OUT_MAX / 2 && in->state.n_open == 0) { /* else a state would lose these */
        tell_drops(in);
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
    if (in->state.n_open > 0) { /* the one before did not come to the end of what is known */
        journal_joins_free(&in->joins);
        in->joins = journal_joins_new(in->max_line);
        journal_lines_free(&in->lines);
        in->lines = journal_lines_new(in->max_line);
        for (size_t i = 0; i < in->state.n_open; i++) {
            in->state.open[i].whole[0] = '\0';
            in->state.open[i].ended = false;
        }
    }
    in->replaying = in->state.at[0] != '\0';
    f.v[JOURNAL_CURSOR] = str_of(in->state.n_open > 0 ? in->state.from : in->state.at);
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
    in->multiline_timeout = c->multiline_timeout;
    in->fd = -1;
    in->stated = true;
    in->saved_at = in->told_at = time_mono();
    buf_init(&in->in, IN_MAX);
    buf_init(&in->out, OUT_MAX);
    buf_init(&in->quoted, 8 * in->max_line + JOURNAL_LINE_ROOM);
    redact_scratch_init(&in->redacted, 8 * in->max_line);
    in->joins = journal_joins_new(in->max_line);
    in->streams = journal_streams_new(STREAMS_MAX);
    in->lines = journal_lines_new(in->max_line);
    journal_state_init(&in->state);
    source_trace(opt->conf, &in->trace, &in->start);
    set_common(in);
    in->timer = loop_timer_new(opt->loop, on_tick, in);
    r = spool_open(opt->state_fd, SPOOL_JOURNALD, &in->spool, err);
    if (r == 0)
        r = find_place(in, err);
    if (r < 0) {
        input_journal_free(&in);
        return r;
    }
    if (in->state.drops.n > 0) /* it is time since the one before us stopped */
        in->told_at -= TELL_MS * NS_PER_MS;
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
    journal_lines_free(&in->lines);
    journal_streams_free(&in->streams);
    journal_state_fini(&in->state);
    patterns_free(&in->start);
    redact_scratch_fini(&in->redacted);
    buf_fini(&in->in);
    buf_fini(&in->out);
    buf_fini(&in->quoted);
    spool_close(&in->spool);
    in->magic = 0;
    free(in);
    *pin = NULL;
}
