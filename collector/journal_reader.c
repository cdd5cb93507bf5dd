/*
 * collector/journal_reader.c - contract: journal_reader.h.
 *
 * Rotation renames files and makes new ones, vacuuming removes old ones; libsystemd finds that out
 * in process().  What it had open is read to its end before, so nothing is lost by it, unless files
 * came and went while the worker did not take anything.  So after each such change we look for the
 * entry that we were at: where it is gone, and what comes next is not what followed it, there is a
 * gap, and the worker is told.  The same holds for the entry that the worker wants to begin with.
 */
#include "collector/journal_reader.h"

#include "base/buf.h"
#include "base/time.h"
#include "collector/journal_fields.h"
#include "collector/journal_place.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SEND_AT = 64 << 10,
    PAUSE_MS = 25, /* after each look: equal news are one */
    LOOK_MS = 10000,
    HERE_EVERY_MS = 10000, /* tell where we are when nothing else was told */
    ENTRY_BYTES = 1024,    /* of the files, that an entry touches beside its message, about */
    GONE = 1,
};

struct reader {
    struct journal_reader_options opt;
    struct buf out;
    struct journal_fields_options source;
    struct journal_fields fields; /* of the entry we are at */
    char at[JOURNAL_CURSOR_MAX];  /* of the entry that was looked at last; "": none */
    bool unsure;                  /* it is gone: was what comes next behind it? */
    bool told;                    /* an entry, since HERE */
    bool moved;                   /* since HERE */
    uint64_t n_damaged;           /* such entries that are not told yet, and the last of them: */
    char damaged_at[JOURNAL_CURSOR_MAX];
    dur_ns here_at;
};

bool journal_reader_is_match(struct str s)
{
    size_t eq = str_find_char(s, '=');

    if (eq == SIZE_MAX || eq == 0 || eq >= JOURNAL_FIELD_NAME_MAX || eq + 1 == s.n ||
        s.n > JOURNAL_VALUE_MAX)
        return false;
    for (size_t i = 0; i < eq; i++)
        if (s.p[i] != '_' && (s.p[i] < 'A' || s.p[i] > 'Z') &&
            (i == 0 || s.p[i] < '0' || s.p[i] > '9'))
            return false;
    return true;
}

/* ---- to the worker ---- */

/* GONE: nobody is there any more. */
static int flush(struct reader *rd, struct err *err)
{
    size_t at = 0;

    if (buf_err(&rd->out, "frame", err) < 0)
        return ERR_LIMIT;
    while (at < rd->out.n) {
        ssize_t n = send(rd->opt.channel, rd->out.p + at, rd->out.n - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE || errno == ECONNRESET ? GONE
                                                         : err_sys(err, "send to the worker");
        at += (size_t)n;
    }
    buf_clear(&rd->out);
    return 0;
}

static int put(struct reader *rd, const struct journal_frame *f, struct err *err)
{
    journal_frame_put(&rd->out, f);
    return rd->out.n >= SEND_AT || rd->out.over ? flush(rd, err) : 0;
}

/* Entries that are gone between `from` and the one we are at, at most; 0: not known. */
static uint64_t lost_between(const struct journal_place *from, const struct journal_place *to)
{
    return str_eq(from->source, to->source) && to->number > from->number
               ? to->number - from->number - 1
               : 0;
}

/* The entry we were at, rd->at, is gone, and `next` is what we found behind it. */
static int judge_gap(struct reader *rd, const char *next, struct err *err)
{
    struct journal_frame f = {.type = JOURNAL_GAP};
    struct journal_place from, to;

    rd->unsure = false;
    f.v[JOURNAL_CURSOR] = str_of(rd->at);
    if (journal_place_parse(str_of(rd->at), &from) && journal_place_parse(str_of(next), &to)) {
        if (journal_place_follows(&from, &to))
            return 0;
        f.total = lost_between(&from, &to);
    }
    return put(rd, &f, err);
}

/* ---- entries ---- */

/* When it was logged, as far as the sender said; else when it was received. */
static int time_of(struct reader *rd, ts_ns *ret, struct err *err)
{
    uint64_t us = 0;
    int r = 0;

    if (!str_to_u64(journal_fields_get(&rd->fields, JOURNAL_SOURCE_TIME), &us))
        r = rd->opt.module->realtime(rd->opt.journal, &us, err);
    *ret = us > INT64_MAX / NS_PER_US ? INT64_MAX : (ts_ns)us * NS_PER_US;
    return r;
}

/* Those that follow each other are one frame. */
static int tell_damage(struct reader *rd, struct err *err)
{
    struct journal_frame f = {.type = JOURNAL_DAMAGE, .total = rd->n_damaged};

    if (rd->n_damaged == 0)
        return 0;
    f.v[JOURNAL_CURSOR] = str_of(rd->damaged_at);
    rd->n_damaged = 0;
    return put(rd, &f, err);
}

static int tell_entry(struct reader *rd, struct err *err)
{
    struct journal_frame f = {.type = JOURNAL_ENTRY, .total = rd->fields.v[JOURNAL_MESSAGE].total};
    int r = time_of(rd, &f.time, err);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < JOURNAL_FIELDS; i++)
        f.v[i] = journal_fields_get(&rd->fields, i);
    f.v[JOURNAL_CURSOR] = str_of(rd->at);
    if (f.v[JOURNAL_MESSAGE].p == NULL)
        f.v[JOURNAL_MESSAGE] = STR("");
    rd->told = true;
    r = tell_damage(rd, err);
    return r == 0 ? put(rd, &f, err) : r;
}

static void count_pages(struct reader *rd, size_t bytes)
{
    if (rd->opt.pages != NULL)
        journal_pages_count(rd->opt.pages, bytes);
}

/* The entry that we are at now, whose cursor is `cursor`. */
static int take_entry(struct reader *rd, const char *cursor, struct err *err)
{
    int r = rd->unsure ? judge_gap(rd, cursor, err) : 0;

    if (r != 0)
        return r;
    (void)str_to_z(str_of(cursor), rd->at, sizeof(rd->at));
    rd->moved = true;
    journal_fields_read(&rd->fields, &rd->source);
    count_pages(rd, ENTRY_BYTES + rd->fields.v[JOURNAL_MESSAGE].total);
    /* Also where nobody can say whether it is wanted; better none than half of one. */
    if (rd->fields.is_damaged) {
        rd->n_damaged++;
        (void)str_to_z(str_of(cursor), rd->damaged_at, sizeof(rd->damaged_at));
        return 0;
    }
    return journal_fields_are_wanted(&rd->fields) ? tell_entry(rd, err) : 0;
}

/* All that is there.  GONE. */
static int drain(struct reader *rd, struct err *err)
{
    char cursor[JOURNAL_CURSOR_MAX];
    int r;

    while ((r = rd->opt.module->next(rd->opt.journal, err)) == 0) {
        r = rd->opt.module->cursor(rd->opt.journal, cursor, sizeof(cursor), err);
        if (r == 0)
            r = take_entry(rd, cursor, err);
        if (r != 0)
            return r;
    }
    return r < 0 ? r : 0;
}

/* ---- places ---- */

/* Where we were is where the next entry is looked for, whatever happened to the files.  It is told
 * once more if `again`. */
static int find_place(struct reader *rd, bool again, struct err *err)
{
    const struct journal_module *m = rd->opt.module;
    char cursor[JOURNAL_CURSOR_MAX];
    int r;

    if (rd->at[0] == '\0')
        return m->seek(rd->opt.journal, JOURNAL_SEEK_HEAD, err);
    r = m->seek_cursor(rd->opt.journal, rd->at, err);
    if (r == 0)
        r = m->next(rd->opt.journal, err);
    if (r < 0)
        return r;
    rd->unsure = true;
    if (r == 1)
        return 0; /* it is gone, and nothing came behind it so far */
    r = m->cursor(rd->opt.journal, cursor, sizeof(cursor), err);
    if (r < 0)
        return r;
    if (strcmp(cursor, rd->at) != 0)
        return take_entry(rd, cursor, err);
    rd->unsure = false;
    return again ? take_entry(rd, cursor, err) : 0;
}

/* The worker has no place: begin where the configuration says. */
static int find_beginning(struct reader *rd, struct err *err)
{
    static const enum journal_seek TO[] = {
        [JOURNAL_SINCE_NOW] = JOURNAL_SEEK_LAST,
        [JOURNAL_SINCE_BOOT] = JOURNAL_SEEK_BOOT,
        [JOURNAL_SINCE_ALL] = JOURNAL_SEEK_HEAD,
    };
    const struct journal_module *m = rd->opt.module;
    int r = m->seek(rd->opt.journal, TO[rd->opt.since], err);

    if (r != 0 || rd->opt.since != JOURNAL_SINCE_NOW)
        return r < 0 ? r : 0;
    rd->moved = true; /* from now on, also for the next of us */
    return m->cursor(rd->opt.journal, rd->at, sizeof(rd->at), err);
}

/* All is told that there is: say so, at once where something was told, else from time to time. */
static int say_here(struct reader *rd, struct err *err)
{
    struct journal_frame f = {.type = JOURNAL_HERE};
    dur_ns now = time_mono();
    int r = tell_damage(rd, err);

    if (r == 0 && rd->moved && (rd->told || now - rd->here_at >= HERE_EVERY_MS * NS_PER_MS)) {
        f.v[JOURNAL_CURSOR] = str_of(rd->at);
        rd->moved = rd->told = false;
        rd->here_at = now;
        r = put(rd, &f, err);
    }
    return r == 0 ? flush(rd, err) : r;
}

/* ---- from the worker ---- */

static int receive_start(struct reader *rd, struct err *err)
{
    char bytes[4096];
    struct journal_frame f;
    size_t have = 0, used = 0;
    ssize_t n;
    int r;

    for (;;) {
        r = journal_frame_take((struct str){bytes, have}, &f, &used, err);
        if (r != 1)
            break;
        n = recv(rd->opt.channel, bytes + have, sizeof(bytes) - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET)
            return err_sys(err, "receive from the worker");
        if (n <= 0)
            return GONE;
        have += (size_t)n;
    }
    if (r < 0)
        return r;
    if (f.type != JOURNAL_START || used != have || f.v[JOURNAL_CURSOR].n >= sizeof(rd->at))
        return err_set(err, ERR_CORRUPT, "not a beginning");
    (void)str_to_z(f.v[JOURNAL_CURSOR], rd->at, sizeof(rd->at));
    return 0;
}

/* GONE: the worker is; it says nothing after its beginning. */
static int await(struct reader *rd, int fd, int ms, struct err *err)
{
    struct pollfd fds[2] = {{.fd = rd->opt.channel, .events = POLLIN},
                            {.fd = fd, .events = POLLIN}};

    if (poll(fds, 2, ms) < 0 && errno != EINTR)
        return err_sys(err, "poll");
    return fds[0].revents != 0 ? GONE : 0;
}

/* What happened to the files meanwhile. */
static int look(struct reader *rd, struct err *err)
{
    int r = rd->opt.module->process(rd->opt.journal, err);

    if (r != 1)
        return r;
    r = find_place(rd, false, err);
    count_pages(rd, JOURNAL_PAGES_BYTES);
    return r;
}

static int run(struct reader *rd, struct err *err)
{
    int fd = rd->opt.module->fd(rd->opt.journal, err); /* before anything is read: it watches */
    int r = fd < 0 ? fd : receive_start(rd, err);

    if (r == 0)
        r = rd->at[0] == '\0' ? find_beginning(rd, err) : find_place(rd, true, err);
    count_pages(rd, JOURNAL_PAGES_BYTES);                  /* whoever seeks touches all files */
    rd->here_at = time_mono() - HERE_EVERY_MS * NS_PER_MS; /* at once */
    while (r == 0) {
        r = drain(rd, err);
        if (r == 0)
            r = say_here(rd, err);
        if (r == 0)
            r = await(rd, -1, PAUSE_MS, err);
        if (r == 0)
            r = await(rd, fd, LOOK_MS, err);
        if (r == 0)
            r = look(rd, err);
    }
    return r == GONE ? 0 : r;
}

int journal_reader_run(const struct journal_reader_options *opt, struct err *err)
{
    struct reader rd = {.opt = *opt,
                        .source = {.module = opt->module,
                                   .journal = opt->journal,
                                   .matches = opt->matches,
                                   .max_line = opt->max_line}};
    int r;

    buf_init(&rd.out, SEND_AT + JOURNAL_FRAME_MAX + 16);
    journal_fields_init(&rd.fields);
    r = run(&rd, err);
    journal_fields_fini(&rd.fields);
    buf_fini(&rd.out);
    return r;
}
