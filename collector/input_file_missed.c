/*
 * collector/input_file_missed.c - contract: input_file_internal.h.  Containers that were gone
 * before their log could be opened.
 *
 * Three things tell of one: a log's name came and was gone when it was opened; so was its
 * directory; an engine says that a container has started, and nothing of it was ever seen.  Each is
 * looked into again a little later, because events of a directory and of an engine come in no
 * order, and because a name may be a link to a file that is yet to come.
 *
 * Who may write into a directory can make any number of these at once.  So those of one name are
 * counted, and told once a second, and what is told together is synced together.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/input_file_internal.h"
#include "collector/metrics.h"
#include "collector/notice.h"

#include <stdlib.h>
#include <string.h>

enum {
    WAIT_MS = 1000,
    WAIT_CONTAINER_MS = 2000,
    GIVE_UP_MS = 60000, /* a link that leads nowhere: after that only walks look at it */
    TELL_MS = 1000,
    ID_BYTES = 64,
    PATH_BYTES = 4096,
};

struct missed {
    enum missed_kind kind;
    dur_ns since;
};

struct unseen {
    uint64_t count; /* not told yet */
    dur_ns told_at; /* 0: never */
};

/* ---- containers ---- */

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* The container's id in a path; else all of it. */
static struct str key_of(struct str path)
{
    size_t run = 0;

    for (size_t i = 0; i <= path.n; i++) {
        if (i < path.n && is_hex(path.p[i])) {
            run++;
            continue;
        }
        if (run == ID_BYTES)
            return str_sub(path, i - ID_BYTES, ID_BYTES);
        run = 0;
    }
    return path;
}

static uint64_t hash_of(struct str key)
{
    return hash_bytes(key.n == 0 ? "" : key.p, key.n, 0);
}

static bool has(const uint64_t ring[INPUT_FILE_IDS], uint64_t hash)
{
    for (size_t i = 0; i < INPUT_FILE_IDS; i++)
        if (ring[i] == hash)
            return true;
    return false;
}

void input_file_saw(struct input_file *in, const char *path)
{
    struct str key = key_of(str_of(path));
    uint64_t hash = hash_of(key);

    /* The same one several times in a row: its directory, its log. */
    if (key.n == ID_BYTES &&
        in->seen_ids[(in->next_seen + INPUT_FILE_IDS - 1) % INPUT_FILE_IDS] != hash)
        in->seen_ids[in->next_seen++ % INPUT_FILE_IDS] = hash;
}

/* Was a file of it ever followed, or is one known from before? */
static bool has_slot(const struct input_file *in, struct str part)
{
    struct str path;
    void *slot;

    for (size_t pos = 0; map_next(in->slots, &pos, &path, &slot);)
        if (str_find(path, part) != SIZE_MAX)
            return true;
    return false;
}

/* ---- reports ---- */

/* `path` may be empty.  Synced with the next tick. */
static void write_gap(struct input_file *in, struct str path, struct str key, uint64_t count,
                      struct str text)
{
    struct notice_gap gap = {.cause = "never_opened",
                             .path = path,
                             .container_id = key.n == ID_BYTES ? key : STR_NULL,
                             .text = text,
                             .count = count};
    struct err err;

    if (notice_gap_begin(in->opt.own, &gap, &err) < 0)
        log_error("gap.not_written", LOG_ERR(&err));
}

static void report(struct input_file *in, enum missed_kind kind, struct str name)
{
    struct str key = key_of(name);
    uint64_t hash = hash_of(key);

    if (has(in->reported_ids, hash))
        return;
    in->reported_ids[in->next_reported++ % INPUT_FILE_IDS] = hash;
    metric_add(METRIC_NEVER_OPENED, 1);
    write_gap(in, kind == MISSED_CONTAINER ? STR_NULL : name, key, 1,
              STR("gone before its log could be opened"));
}

static void replaced_unseen(struct input_file *in, const char *path)
{
    struct str name = str_of(path);
    struct unseen *u;

    if (own_is(&in->own, name))
        return;
    metric_add(METRIC_NEVER_OPENED, 1);
    u = map_get(in->unseen, name);
    if (u == NULL) {
        u = mem_new(sizeof(*u));
        if (!map_put(in->unseen, name, u)) {
            free(u);
            in->unseen_others++;
            return;
        }
    }
    u->count++;
}

static bool is_tellable(dur_ns told_at, dur_ns now)
{
    return told_at == 0 || now - told_at >= TELL_MS * NS_PER_MS;
}

void input_file_tell_unseen(struct input_file *in, dur_ns now)
{
    struct str name;
    void *value;

    for (size_t pos = 0; map_next(in->unseen, &pos, &name, &value);) {
        struct unseen *u = value;
        if (!is_tellable(u->told_at, now))
            continue;
        if (u->count == 0) {
            (void)map_remove(in->unseen, name);
            continue;
        }
        write_gap(in, name, key_of(name), u->count, STR("replaced before it could be opened"));
        u->count = 0;
        u->told_at = now;
    }
    if (in->unseen_others > 0 && is_tellable(in->others_told_at, now)) {
        write_gap(in, STR_NULL, STR_NULL, in->unseen_others,
                  STR("replaced before they could be opened, under more names than are told"));
        in->unseen_others = 0;
        in->others_told_at = now;
    }
}

/* The file that had the name may have been renamed, and be there under another: now, and not much
 * longer.  Once a second for each name. */
static void look_around(struct input_file *in, struct str name)
{
    struct slot *s = map_get(in->slots, name);

    if (s != NULL && !s->busy)
        input_file_look(in, s);
}

void input_file_missed(struct input_file *in, enum missed_kind kind, struct str name)
{
    struct missed *m;

    if (own_is(&in->own, name) || map_get(in->missed, name) != NULL)
        return;
    m = mem_new(sizeof(*m));
    m->kind = kind;
    m->since = time_mono();
    if (!map_put(in->missed, name, m)) {
        free(m);
        report(in, kind, name); /* too many at once to look again */
    } else if (kind == MISSED_NAME) {
        look_around(in, name);
    }
}

void input_file_expect(struct input_file *in, enum source_kind kind, struct str id)
{
    bool wanted = false;

    OBJ_CHECK(in, INPUT_FILE_MAGIC);
    for (size_t i = 0; i < in->set->n; i++)
        wanted = wanted || in->set->v[i].kind == kind;
    if (wanted && id.n == ID_BYTES && !has(in->seen_ids, hash_of(id)) && !has_slot(in, id))
        input_file_missed(in, MISSED_CONTAINER, id);
}

/* ---- names that came ---- */

/*
 * Each time a name is given to a file there is an event, and for each event a file should be
 * opened: the one that it is about, or a later one, whose event then finds it followed.  So a
 * rename for which no file is left was about one that was replaced before it was opened, however
 * the events and what we do lie between each other.  A walk may open a file before its event: until
 * all events were taken, that is expected.
 */
void input_file_came(struct input_file *in, const char *path, bool by_rename)
{
    struct slot *s = map_get(in->slots, str_of(path));
    struct tail *t = in->found;

    if (s == NULL || t == NULL || t->slot != s)
        return;
    for (size_t i = 0; i < s->tails.n; i++) {
        struct tail *opened = s->tails.p[i];
        if (!opened->came && opened->opened_at > in->settled_at) {
            opened->came = true;
            return;
        }
    }
    if (s->went > 0 && s->went_at > in->settled_at)
        s->went--; /* it has another name now */
    else if (!t->came)
        t->came = true; /* or it is a link that was made anew */
    else if (by_rename)
        replaced_unseen(in, path);
}

void input_file_went(struct input_file *in, const char *path)
{
    struct slot *s = map_get(in->slots, str_of(path));

    if (s == NULL)
        return;
    if (s->went_at <= in->settled_at)
        s->went = 0;
    s->went++;
    s->went_at = time_mono();
}

/* ---- a second look ---- */

struct search {
    const char *name;
    bool found;
};

static void compare(void *arg, const char *name, const struct stat *st)
{
    struct search *s = arg;

    (void)st;
    s->found = s->found || strcmp(name, s->name) == 0;
}

/* Also when it leads nowhere. */
static bool has_name(const struct input_file *in, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct search s = {slash + 1, false};
    char dir[PATH_BYTES];
    struct err err;

    (void)str_to_z((struct str){path, (size_t)(slash - path)}, dir, sizeof(dir));
    (void)opener_list(in->set->opener, *dir == '\0' ? "/" : dir, OPENER_NO_STATS, compare, &s,
                      &err);
    return s.found;
}

static bool is_followed(const struct input_file *in, const char *path)
{
    const struct slot *s = map_get(in->slots, str_of(path));

    return s != NULL && s->tails.n > 0;
}

/* true: nothing more is to be done about it. */
static bool look_at_name(struct input_file *in, const char *path, dur_ns age)
{
    struct slot *s = map_get(in->slots, str_of(path));

    in->source = input_file_source_of(in, path);
    if (in->source == NULL)
        return true;
    if (s != NULL) /* what came may have been renamed, and nothing else need come for a long time */
        input_file_look(in, s);
    if (is_followed(in, path))
        return true;
    (void)input_file_found(in, path, NULL);
    if (is_followed(in, path))
        return true;
    if (has_name(in, path))
        return age >= GIVE_UP_MS * NS_PER_MS;
    report(in, MISSED_NAME, str_of(path));
    return true;
}

static void look_at_dir(struct input_file *in, const char *path)
{
    struct stat st;
    struct err err;

    if (opener_stat(in->set->opener, path, &st, &err) < 0 && err.code == ERR_GONE &&
        !has_slot(in, str_of(path)))
        report(in, MISSED_DIR, str_of(path));
}

static bool look_at(struct input_file *in, const struct missed *m, struct str name, dur_ns age)
{
    char path[PATH_BYTES];

    if (age < (m->kind == MISSED_CONTAINER ? WAIT_CONTAINER_MS : WAIT_MS) * NS_PER_MS)
        return false;
    if (name.n >= sizeof(path))
        return true;
    (void)str_to_z(name, path, sizeof(path));
    if (m->kind == MISSED_NAME)
        return look_at_name(in, path, age);
    if (m->kind == MISSED_DIR)
        look_at_dir(in, path);
    else if (!has(in->seen_ids, hash_of(name)) && !has_slot(in, name))
        report(in, m->kind, name);
    return true;
}

void input_file_look_at_missed(struct input_file *in, dur_ns now)
{
    struct str name;
    void *m;

    for (size_t pos = 0; map_next(in->missed, &pos, &name, &m);)
        if (look_at(in, m, name, now - ((const struct missed *)m)->since))
            (void)map_remove(in->missed, name);
}
