/*
 * tests/sweep/sweep_io.c - the n-th call that changes a file fails, or is the last before the
 * process or the machine dies, for every n: what was acknowledged is there once, and nothing that
 * was not sent.
 *
 *     sweep_io [EVERY [STORY [FAULT [N]]]]
 *
 * EVERY: only every so many-th n (1: all).  STORY, FAULT: only that one; N: only that call.
 *
 * A story prepares a store, is armed, and does one thing (flush, compact, delete ...).  Then a
 * process of its own opens what is left, looks, does the same thing again without faults, and
 * sends everything again: what is there by then is there exactly once.
 */
#include "storage/backup.h"
#include "storage/verify.h"
#include "tests/lib/feed.h"
#include "tests/sweep/io_shim.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNKS = 14, LINES = 12, OLD = 4, DELETED_FROM = 4, DELETED_TO = 7, SECONDS_MAX = 60 };

enum {
    OK,
    CANNOT_OPEN = 10, /* exit codes of those who look */
    WRONG,
};

/* Shared with the processes. */
struct notes {
    bool acked[CHUNKS];
    bool later[CHUNKS]; /* than what is looked at */
    bool deleted;       /* the request was accepted */
    bool sure;          /* and all of it done */
    unsigned backups;   /* begun */
    char path[TMPDIR_PATH_MAX];
    char wrong[512];
};
static struct notes *notes;

struct story {
    const char *name;
    void (*prepare)(struct feed *f);
    int (*act)(struct feed *f); /* below zero: it failed, which may be */
    void (*check)(unsigned chunk, bool *may_miss, bool *must_miss, bool at_end); /* or NULL */
};

/* ---- chunks ---- */

/* Chunk i: a part of a file of its own and its lines.  The first OLD are of the first day, others
 * of the second and third; those of DELETED_FROM ... are of an app that a request names. */
static void chunk(char *ret, size_t cap, unsigned i)
{
    size_t n = (size_t)snprintf(ret, cap, "P f%u %u %u %d\n", i, i * 10, i * 10 + 10, LINES);
    ts_ns day = FEED_DAY + (i < OLD ? 0 : 1 + i % 2) * NS_PER_DAY;

    for (unsigned k = 0; k < LINES; k++)
        n += (size_t)snprintf(ret + n, cap - n,
                              "R %" PRId64 " %s chunk %u line %u took %u ms id %08x\n",
                              day + (ts_ns)(i * 1000 + k) * NS_PER_MS,
                              i >= DELETED_FROM && i < DELETED_TO ? "gone" : "app", i, k,
                              i * 37 % 100, i * 2654435761u + k);
}

static enum store_outcome put(struct feed *f, unsigned i)
{
    static char text[64 << 10];
    enum store_outcome out;

    chunk(text, sizeof(text), i);
    out = feed_answer(feed_send(f, "t", "peer", text, ""), NULL);
    if (out == STORE_STORED || out == STORE_DUPLICATE)
        notes->acked[i] = true;
    return out;
}

static void put_some(struct feed *f, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        (void)put(f, i);
}

static void must_flush(struct feed *f)
{
    struct err err;

    if (store_flush(f->s, &err) < 0)
        fail_msg("prepare: %s", err.text);
}

/* ---- stories ---- */

static void prepare_segments(struct feed *f)
{
    for (unsigned i = 0; i < 9; i += 3) {
        put_some(f, i, i + 3);
        must_flush(f);
    }
    put_some(f, 9, 12);
}

static void prepare_head(struct feed *f)
{
    put_some(f, 0, 10);
}

static int act_append(struct feed *f)
{
    put_some(f, 10, CHUNKS);
    return 0;
}

static int act_flush(struct feed *f)
{
    struct err err;
    int r = store_flush(f->s, &err);

    put_some(f, 12, CHUNKS);
    return store_flush(f->s, &err) < 0 ? -1 : r;
}

static int act_compact(struct feed *f)
{
    struct err err;
    int r = store_compact(f->s, &err);

    put_some(f, 12, CHUNKS);
    return r;
}

/* The first day is past retention, the others are not. */
static int act_retain(struct feed *f)
{
    struct err err;

    time_set(FEED_DAY + 21 * NS_PER_DAY + NS_PER_H);
    put_some(f, 12, CHUNKS);
    return store_retire(f->s, time_now(), &err);
}

static void check_retain(unsigned i, bool *may_miss, bool *must_miss, bool at_end)
{
    *may_miss = i < OLD;
    *must_miss = i < OLD && at_end;
}

static int act_delete(struct feed *f)
{
    struct err err;
    struct matcher m;
    struct store_delete d = {.query = STR("{app=\"gone\"}"),
                             .user = STR("admin"),
                             .matchers = &m,
                             .n_matchers = 1,
                             .from = 0,
                             .to = INT64_MAX};
    int r;

    if (matcher_init(&m, MATCH_EQ, STR("app"), STR("gone"), &err) < 0)
        return -1;
    r = store_delete_add(f->s, STR("t"), &d, &err);
    matcher_fini(&m);
    notes->deleted = notes->deleted || r == 0;
    for (int i = 0; r == 0 && i < 3; i++) {
        r = store_flush(f->s, &err);
        time_set(time_now() + 13 * NS_PER_H);
        if (r == 0)
            r = store_retire(f->s, time_now(), &err);
        if (r == 0)
            r = store_compact(f->s, &err);
    }
    return r;
}

static void check_delete(unsigned i, bool *may_miss, bool *must_miss, bool at_end)
{
    bool named = i >= DELETED_FROM && i < DELETED_TO;

    *may_miss = named;
    *must_miss = named && (notes->deleted || at_end);
}

static void backup_paths(unsigned i, char to[2][TMPDIR_PATH_MAX + 24])
{
    (void)snprintf(to[0], TMPDIR_PATH_MAX + 24, "%s/backup%u", notes->path, i);
    (void)snprintf(to[1], TMPDIR_PATH_MAX + 24, "%s/keys%u", notes->path, i);
}

static int act_backup(struct feed *f)
{
    char to[2][TMPDIR_PATH_MAX + 24];
    struct backup_options opt = {.to = to[0], .keyring_to = to[1]};
    struct backup_result res;
    struct err err;
    int r;

    backup_paths(notes->backups++, to);
    r = backup_store(f->s, &opt, &res, &err);
    put_some(f, 12, CHUNKS);
    return r;
}

/* A WAL is there; prepare closed nothing. */
static int act_recover(struct feed *f)
{
    struct err err;

    if (store_open(&f->opt, &f->s, &err) < 0 || store_wait_replay(f->s, &err) < 0)
        return -1;
    put_some(f, 10, CHUNKS);
    return store_flush(f->s, &err);
}

static const struct story STORIES[] = {
    {"append", prepare_head, act_append, NULL},
    {"flush", prepare_segments, act_flush, NULL},
    {"compact", prepare_segments, act_compact, NULL},
    {"retain", prepare_segments, act_retain, check_retain},
    {"delete", prepare_segments, act_delete, check_delete},
    {"backup", prepare_segments, act_backup, NULL},
    {"recover", prepare_head, act_recover, NULL},
    {"recover_segments", prepare_segments, act_recover, NULL},
};
static const char *const FAULTS[] = {"eio",  "enospc",     "short", "torn",
                                     "kill", "kill_after", "lost",  "lost_after"};

/* ---- processes ---- */

static void init(struct feed *f, const char *path)
{
    memset(f, 0, sizeof(*f));
    (void)snprintf(f->data, sizeof(f->data), "%s/data", path);
    (void)snprintf(f->master, sizeof(f->master), "%s/master.key", path);
    f->opt = (struct store_options){.dir = f->data,
                                    .master_key = f->master,
                                    .decode = feed_decode,
                                    .wal_bytes = 1 << 20,
                                    .ballast_bytes = UINT64_MAX,
                                    .min_free = 1e-9,
                                    .retention = 20 * NS_PER_DAY,
                                    .query_threads = 1,
                                    .no_compaction = true};
    time_set(FEED_DAY + 2 * NS_PER_DAY);
    (void)alarm(SECONDS_MAX);
}

static void open_or_exit(struct feed *f)
{
    struct err err;

    if (store_open(&f->opt, &f->s, &err) == 0 && store_wait_replay(f->s, &err) == 0)
        return;
    (void)snprintf(notes->wrong, sizeof(notes->wrong), "it does not open: %s", err.text);
    _exit(CANNOT_OPEN);
}

static bool is_recovery(const struct story *s)
{
    return s->act == act_recover;
}

/* Prepare; what is left behind has no process. */
static int prepare(const struct story *s, const char *path)
{
    struct feed f;
    struct err err;

    init(&f, path);
    if (keyring_make_master(f.master, &err) < 0)
        return WRONG;
    open_or_exit(&f);
    s->prepare(&f);
    return OK;
}

/* The process that things happen to. */
static int victim(const struct story *s, const char *path, enum io_fault fault, unsigned long n)
{
    char aside[TMPDIR_PATH_MAX + 8];
    struct feed f;
    struct err err;

    (void)snprintf(aside, sizeof(aside), "%s/aside", path);
    init(&f, path);
    io_shim_watch(path, aside);
    if (is_recovery(s)) {
        io_shim_arm(fault, n);
    } else {
        if (keyring_make_master(f.master, &err) < 0)
            return WRONG;
        open_or_exit(&f);
        s->prepare(&f);
        io_shim_arm(fault, n);
    }
    notes->sure = s->act(&f) == 0;
    (void)io_shim_disarm();
    if (n % 2 == 0 && f.s != NULL) /* half of them end well, half just end */
        store_close(&f.s);
    return OK;
}

static size_t lines_of(struct str text, unsigned i)
{
    size_t n = 0;

    for (unsigned k = 0; k < LINES; k++) {
        struct str rest = text;
        char want[48];
        size_t at;
        (void)snprintf(want, sizeof(want), "chunk %u line %u took", i, k);
        while ((at = str_find(rest, str_of(want))) != SIZE_MAX) {
            rest = str_from(rest, at + 1);
            n++;
            if (n > (size_t)k + 1)
                return SIZE_MAX; /* one of them twice */
        }
    }
    return n;
}

/* Exit with a word about it unless all is as it must be. */
static void look(struct feed *f, const struct story *s, const char *when, bool resent)
{
    struct buf b;
    size_t total, known = 0;

    buf_init(&b, 8 << 20);
    total = feed_read(f, "t", &b);
    for (unsigned i = 0; i < CHUNKS; i++) {
        bool may_miss = (!notes->acked[i] || notes->later[i]) && !resent;
        bool must_miss = false;
        size_t n = lines_of(buf_str(&b), i);
        if (s->check != NULL && !may_miss)
            s->check(i, &may_miss, &must_miss, resent);
        known += n == SIZE_MAX ? 0 : n;
        if ((n == LINES && !must_miss) || (n == 0 && may_miss))
            continue;
        (void)snprintf(notes->wrong, sizeof(notes->wrong),
                       "%s: chunk %u has %zd of %d lines; acknowledged %d, may be missing %d, must "
                       "be %d",
                       when, i, (ssize_t)n, LINES, notes->acked[i], may_miss, must_miss);
        _exit(WRONG);
    }
    if (known != total) {
        (void)snprintf(notes->wrong, sizeof(notes->wrong), "%s: %zu lines, but %zu are known", when,
                       total, known);
        _exit(WRONG);
    }
    buf_fini(&b);
}

static void again(struct feed *f, const struct story *s)
{
    int r = 0;

    if (is_recovery(s))
        put_some(f, 10, CHUNKS);
    else
        r = s->act(f);
    if (r < 0) {
        (void)snprintf(notes->wrong, sizeof(notes->wrong), "without faults it fails as well");
        _exit(WRONG);
    }
}

static void note_damage(void *arg, const struct verify_finding *f)
{
    if (f->kind == VERIFY_DAMAGE && notes->wrong[0] == '\0')
        (void)snprintf(notes->wrong, sizeof(notes->wrong), "%s: %s: %s", (const char *)arg, f->file,
                       f->text);
}

/* Whatever happened, nothing is damaged. */
static void verify(const struct feed *f, const char *when)
{
    struct verify_options opt = {.dir = f->data, .master_key = f->master};
    char text[64];
    struct verify_result res;
    struct err err;

    (void)snprintf(text, sizeof(text), "verified when %s", when);
    if (verify_structure(&opt, note_damage, text, &res, &err) < 0)
        (void)snprintf(notes->wrong, sizeof(notes->wrong), "%s: %s", text, err.text);
    if (notes->wrong[0] != '\0')
        _exit(WRONG);
}

/* One that has a MANIFEST is whole. */
static void look_at_backup(const struct feed *f, const struct story *s, unsigned i)
{
    char to[2][TMPDIR_PATH_MAX + 24], name[2][TMPDIR_PATH_MAX + 48];
    struct backup_restore opt = {.from = to[0], .keyring = name[0], .data = name[1]};
    struct backup_result res;
    struct verify_result verified;
    struct feed b = *f;
    struct err err;

    backup_paths(i, to);
    (void)snprintf(name[0], sizeof(name[0]), "%s/MANIFEST", to[0]);
    if (access(name[0], F_OK) != 0)
        return;
    (void)snprintf(name[0], sizeof(name[0]), "%s/keyring.db", to[1]);
    (void)snprintf(name[1], sizeof(name[1]), "%s/restored%u", notes->path, i);
    if (backup_restore(&opt, &res, &verified, &err) < 0) {
        (void)snprintf(notes->wrong, sizeof(notes->wrong), "backup: %s", err.text);
        _exit(WRONG);
    }
    b.opt.dir = name[1];
    open_or_exit(&b);
    for (unsigned k = 12; k < CHUNKS; k++)
        notes->later[k] = true;
    look(&b, s, "restored", false);
    memset(notes->later, 0, sizeof(notes->later));
    store_close(&b.s);
}

static int looker(const struct story *s, const char *path)
{
    struct feed f;
    struct err err;
    bool late = notes->deleted || s->act == act_retain;

    init(&f, path);
    if (late)
        time_set(FEED_DAY + (s->act == act_retain ? 21 : 4) * NS_PER_DAY + 2 * NS_PER_H);
    verify(&f, "left behind");
    open_or_exit(&f);
    look(&f, s, "opened", false);
    again(&f, s);
    look(&f, s, "done again", false);
    for (unsigned i = 0; i < notes->backups; i++)
        look_at_backup(&f, s, i);
    for (unsigned i = 0; i < CHUNKS; i++) { /* what was retained away is new to nobody */
        enum store_outcome out = put(&f, i);
        if (out == STORE_STORED || out == STORE_DUPLICATE)
            continue;
        (void)snprintf(notes->wrong, sizeof(notes->wrong), "chunk %u again: outcome %d", i,
                       (int)out);
        _exit(WRONG);
    }
    if (s->check == NULL) {
        look(&f, s, "sent again", true);
        if (store_flush(f.s, &err) < 0 || store_compact(f.s, &err) < 0) {
            (void)snprintf(notes->wrong, sizeof(notes->wrong), "at the end: %s", err.text);
            _exit(WRONG);
        }
        look(&f, s, "compacted", true);
    }
    store_close(&f.s);
    open_or_exit(&f);
    if (s->check == NULL)
        look(&f, s, "opened again", true);
    store_close(&f.s);
    verify(&f, "closed");
    return OK;
}

/* ---- the sweep ---- */

enum role { PREPARE, VICTIM, LOOKER };

static int run(enum role role, const struct story *s, const char *path, enum io_fault fault,
               unsigned long n)
{
    int status = -1;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0)
        _exit(role == PREPARE  ? prepare(s, path)
              : role == VICTIM ? victim(s, path, fault, n)
                               : looker(s, path));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        abort();
    return status;
}

/* False: wrong, and why is printed.  *fired: the n-th call came. */
static bool try_one(const struct story *s, enum io_fault fault, unsigned long n, bool *fired)
{
    char path[TMPDIR_PATH_MAX], aside[TMPDIR_PATH_MAX + 8];
    int dir = tmpdir_open(path);
    const char *why = NULL;
    int status;

    memset(notes, 0, sizeof(*notes));
    memcpy(notes->path, path, sizeof(notes->path));
    (void)snprintf(aside, sizeof(aside), "%s/aside", path);
    if (mkdir(aside, 0700) != 0)
        abort();
    status = is_recovery(s) ? run(PREPARE, s, path, fault, 0) : 0;
    if (status == 0)
        status = run(VICTIM, s, path, fault, n);
    *fired = io_shim_met()[0] != '\0';
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        why = "the victim hangs";
    else if (!WIFSIGNALED(status) ? WEXITSTATUS(status) != 0 : WTERMSIG(status) != SIGKILL)
        why = "the victim breaks";
    if (why == NULL) {
        status = run(LOOKER, s, path, fault, n);
        if (WIFSIGNALED(status))
            why = WTERMSIG(status) == SIGALRM ? "who looks hangs" : "who looks breaks";
        else if (WEXITSTATUS(status) != 0)
            why = notes->wrong[0] != '\0' ? notes->wrong : "who looks fails";
    }
    if (why != NULL)
        (void)printf("%s %s %lu (%s): %s\n", s->name, FAULTS[fault], n, io_shim_met(), why);
    (void)fflush(stdout);
    tmpdir_close(dir);
    return why == NULL;
}

struct range {
    unsigned long every;
    const char *story, *fault;
    unsigned long only;
};

static unsigned sweep_one(const struct story *s, enum io_fault fault, const struct range *r,
                          unsigned long *runs)
{
    unsigned failed = 0;
    bool fired = true;

    for (unsigned long n = r->only != 0 ? r->only : 1 + (fault * 7 % r->every); fired;
         n += r->every) {
        failed += try_one(s, fault, n, &fired) ? 0 : 1;
        (*runs)++;
        if (r->only != 0)
            break;
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct range r = {.every = argc > 1 ? strtoul(argv[1], NULL, 10) : 1,
                      .story = argc > 2 ? argv[2] : NULL,
                      .fault = argc > 3 ? argv[3] : NULL,
                      .only = argc > 4 ? strtoul(argv[4], NULL, 10) : 0};
    unsigned failed = 0;
    unsigned long runs = 0;

    if (r.every == 0)
        return 2;
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK | X_OK) == 0)
        (void)setenv("TMPDIR", "/dev/shm", 1);
    io_shim_init();
    notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (notes == MAP_FAILED)
        return 2;
    for (size_t i = 0; i < sizeof(STORIES) / sizeof(*STORIES); i++) {
        if (r.story != NULL && strcmp(r.story, STORIES[i].name) != 0)
            continue;
        for (int k = 0; k < IO_FAULTS; k++)
            if (r.fault == NULL || strcmp(r.fault, FAULTS[k]) == 0)
                failed += sweep_one(&STORIES[i], (enum io_fault)k, &r, &runs);
    }
    (void)printf("%lu runs, %u failed\n", runs, failed);
    return failed == 0 && runs != 0 ? 0 : 1;
}
