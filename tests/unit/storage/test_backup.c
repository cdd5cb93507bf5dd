/*
 * storage/backup*.c: while records arrive, are flushed, compacted and retired, a backup has every
 * record that was acknowledged before it began, once; one that died has no MANIFEST; a damaged one
 * is refused.
 */
#include "storage/backup.h"

#include "storage/verify.h"
#include "tests/lib/feed.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PER_CHUNK = 20, CHUNKS = 60 };

/* ---- load ---- */

struct load {
    struct feed *f;
    _Atomic uint64_t acked, most; /* chunks; the writer waits at `most` */
    atomic_bool stop, busy;
    pthread_t writer, keeper;
};

/* Lines 20 * chunk .. of three days. */
static void put_chunk(struct feed *f, uint64_t chunk)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    for (uint64_t i = chunk * PER_CHUNK; i < (chunk + 1) * PER_CHUNK; i++)
        buf_addf(&text, "R %" PRId64 " s%" PRIu64 " line %" PRIu64 "\n",
                 FEED_DAY + (ts_ns)(i % 3) * NS_PER_DAY + (ts_ns)i * NS_PER_S, i % 5, i);
    buf_add_char(&text, '\0');
    assert_int_equal(feed_put(f, "t", text.p), STORE_STORED);
    buf_fini(&text);
}

static void *write_chunks(void *arg)
{
    struct load *l = arg;

    for (uint64_t i = atomic_load(&l->acked); !l->stop; i++) {
        while (i >= atomic_load(&l->most) && !l->stop)
            (void)usleep(1000);
        put_chunk(l->f, i);
        atomic_store(&l->acked, i + 1);
    }
    return NULL;
}

/* What a store does by itself, without pause. */
static void *keep(void *arg)
{
    struct load *l = arg;
    struct err err;

    while (!l->stop) {
        char text[100];
        (void)snprintf(text, sizeof(text), "R %" PRId64 " x old", FEED_DAY - 5 * NS_PER_DAY);
        if (feed_put(l->f, "old", text) != STORE_STORED || store_flush(l->f->s, &err) != 0 ||
            store_compact(l->f->s, &err) != 0 ||
            store_retire(l->f->s, time_now() + 9 * NS_PER_DAY, &err) != 0)
            fail_msg("%s", err.text);
        l->busy = true;
    }
    return NULL;
}

static void start(struct load *l)
{
    assert_int_equal(pthread_create(&l->writer, NULL, write_chunks, l), 0);
    assert_int_equal(pthread_create(&l->keeper, NULL, keep, l), 0);
}

static void end(struct load *l)
{
    l->stop = true;
    (void)pthread_join(l->writer, NULL);
    (void)pthread_join(l->keeper, NULL);
}

static void open_feed(struct feed *f)
{
    static const struct store_retention_rule RULE = {.tenant = STR_INIT("old"),
                                                     .period = NS_PER_DAY};

    feed_init(f);
    f->opt.no_compaction = true;
    f->opt.retention_rules = &RULE;
    f->opt.n_retention_rules = 1;
    f->opt.wal_bytes = 256 << 10;
    feed_open(f);
}

/* ---- looking ---- */

struct paths {
    char to[100], keyring[100], keyring_file[120], data[100];
};

static struct paths paths_of(const struct feed *f, int n)
{
    struct paths p;

    (void)snprintf(p.to, sizeof(p.to), "%s/backup%d", f->path, n);
    (void)snprintf(p.keyring, sizeof(p.keyring), "%s/keys%d", f->path, n);
    (void)snprintf(p.keyring_file, sizeof(p.keyring_file), "%s/keyring.db", p.keyring);
    (void)snprintf(p.data, sizeof(p.data), "%s/restored%d", f->path, n);
    return p;
}

static void hear(void *arg, const struct verify_finding *f)
{
    char *first = arg;

    if (f->kind != VERIFY_NOTE && first[0] == '\0')
        (void)snprintf(first, 400, "%.100s: %.250s", f->file, f->text);
}

static void check_intact(const struct feed *f, const char *dir)
{
    struct verify_options opt = {.dir = dir, .master_key = f->master};
    struct verify_result result;
    char first[400] = "";
    struct err err;

    if (verify_structure(&opt, hear, first, &result, &err) != 0)
        fail_msg("verify: %s", err.text);
    if (first[0] != '\0')
        fail_msg("%s", first);
    assert_true(result.with_keys);
}

/* Lines 0 .. n - 1 are there once; later ones at most once.  Returns how many there are. */
static uint64_t check_lines(struct feed *f, uint64_t n)
{
    uint64_t most = n + (uint64_t)CHUNKS * PER_CHUNK * 100;
    uint8_t *seen = calloc(most, 1);
    uint64_t count = 0;
    struct buf text;
    struct str rest;

    assert_non_null(seen);
    buf_init(&text, 256 << 20);
    (void)feed_read(f, "t", &text);
    rest = buf_str(&text);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        uint64_t i = 0;
        assert_true(str_to_u64(str_from(line, 5), &i) && i < most);
        if (seen[i]++ != 0)
            fail_msg("line %" PRIu64 " is there twice", i);
        count++;
    }
    for (uint64_t i = 0; i < n; i++)
        if (seen[i] == 0)
            fail_msg("line %" PRIu64 " of %" PRIu64 " is lost", i, n);
    buf_fini(&text);
    free(seen);
    return count;
}

static void restore(const struct feed *f, const struct paths *p)
{
    const struct backup_restore opt = {p->to, p->keyring_file, p->data};
    struct verify_result verified;
    struct backup_result result;
    struct err err;

    (void)f;
    if (backup_restore(&opt, &result, &verified, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(result.files > 0);
    assert_int_equal(verified.damage, 0);
}

/* Restored, verified, opened: has the first `chunks` once. */
static void check_backup(struct feed *f, const struct paths *p, uint64_t chunks)
{
    struct feed other = *f;

    restore(f, p);
    check_intact(f, p->data);
    (void)snprintf(other.data, sizeof(other.data), "%.71s", p->data);
    other.opt.dir = other.data;
    other.s = NULL;
    feed_open(&other);
    (void)check_lines(&other, chunks * PER_CHUNK);
    put_chunk(&other, 1000 * 1000); /* it goes on */
    store_close(&other.s);
    check_intact(f, p->data);
}

/* ---- tests ---- */

/* Wait until the keeper ends what it is at. */
static void round_of_keeper(struct load *l)
{
    l->busy = false;
    while (!l->busy)
        (void)usleep(1000);
}

static void under_load_nothing_is_lost(void **state)
{
    struct load l = {.acked = 0};
    uint64_t chunks[3];
    struct feed f;
    struct err err;

    (void)state;
    open_feed(&f);
    l.f = &f;
    start(&l);
    for (int i = 0; i < 3; i++) {
        struct paths p = paths_of(&f, i);
        struct backup_options opt = {.to = p.to, .keyring_to = p.keyring};
        struct backup_result result;
        atomic_store(&l.most, (uint64_t)(i + 1) * CHUNKS / 3);
        while (atomic_load(&l.acked) < atomic_load(&l.most))
            (void)usleep(1000);
        round_of_keeper(&l); /* which may have flushed before the first ack */
        round_of_keeper(&l);
        chunks[i] = atomic_load(&l.acked);
        atomic_store(&l.most, chunks[i] + CHUNKS); /* while it is made, more comes */
        if (backup_store(f.s, &opt, &result, &err) != 0)
            fail_msg("%s", err.text);
        assert_true(result.files > 3 && result.bytes > 0 && result.linked_bytes > 0);
        assert_int_equal(backup_store(f.s, &opt, &result, &err), ERR_EXISTS);
    }
    end(&l);
    store_close(&f.s);
    check_intact(&f, f.data);
    for (int i = 0; i < 3; i++) {
        struct paths p = paths_of(&f, i);
        check_backup(&f, &p, chunks[i]);
    }
    feed_fini(&f);
}

static void of_a_stopped_server(void **state)
{
    struct paths p;
    struct backup_options opt;
    struct backup_result result;
    struct feed f;
    struct err err;

    (void)state;
    open_feed(&f);
    p = paths_of(&f, 0);
    opt = (struct backup_options){.to = p.to, .keyring_to = p.keyring};
    put_chunk(&f, 0);
    put_chunk(&f, 1);
    assert_int_equal(backup_dir(f.data, &opt, &result, &err), ERR_EXISTS); /* it runs */
    store_close(&f.s);
    if (backup_dir(f.data, &opt, &result, &err) != 0)
        fail_msg("%s", err.text);
    check_backup(&f, &p, 2);
    feed_fini(&f);
}

static void places_that_are_refused(void **state)
{
    struct backup_options opt = {.to = NULL};
    struct backup_result result;
    char inside[120];
    struct paths p;
    struct feed f;
    struct err err;

    (void)state;
    open_feed(&f);
    put_chunk(&f, 0);
    p = paths_of(&f, 0);
    (void)snprintf(inside, sizeof(inside), "%s/inside", f.data);
    opt.to = inside;
    assert_int_equal(backup_store(f.s, &opt, &result, &err), ERR_INVALID);
    (void)snprintf(inside, sizeof(inside), "%s/keys", p.to);
    opt = (struct backup_options){.to = p.to, .keyring_to = inside};
    assert_int_equal(backup_store(f.s, &opt, &result, &err), ERR_INVALID);
    opt = (struct backup_options){.to = f.data};
    assert_int_equal(backup_store(f.s, &opt, &result, &err), ERR_EXISTS);
    feed_fini(&f);
}

static void flip(const char *dir, const char *name, off_t at)
{
    char path[300];
    uint8_t byte;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

static int try_restore(const struct paths *p, struct err *err)
{
    const struct backup_restore opt = {p->to, p->keyring_file, p->data};
    struct verify_result verified;
    struct backup_result result;
    int r = backup_restore(&opt, &result, &verified, err);

    if (r < 0)
        assert_int_not_equal(access(p->data, F_OK), 0);
    return r;
}

/* Every file that MANIFEST names, one bit in its middle; and MANIFEST itself. */
static void a_damaged_backup_is_refused(void **state)
{
    struct backup_options opt;
    struct backup_result result;
    struct buf manifest;
    struct str rest;
    struct paths p;
    struct feed f;
    struct err err;
    int dir = -1;

    (void)state;
    open_feed(&f);
    p = paths_of(&f, 0);
    put_chunk(&f, 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    put_chunk(&f, 1);
    opt = (struct backup_options){.to = p.to, .keyring_to = p.keyring};
    assert_int_equal(backup_store(f.s, &opt, &result, &err), 0);
    store_close(&f.s);
    assert_int_equal(file_open_dir(AT_FDCWD, p.to, &dir, &err), 0);
    buf_init(&manifest, 1 << 20);
    assert_int_equal(file_read(dir, "MANIFEST", &manifest, &err), 0);
    rest = buf_str(&manifest);
    (void)str_cut(&rest, '\n');
    while (!str_starts(rest, STR("end "))) {
        struct str line = str_cut(&rest, '\n');
        char name[200];
        uint64_t bytes = 0;
        (void)str_cut(&line, ' ');
        (void)str_cut(&line, ' ');
        assert_true(str_to_u64(str_cut(&line, ' '), &bytes) && bytes > 0);
        (void)str_to_z(line, name, sizeof(name));
        flip(p.to, name, (off_t)bytes / 2);
        if (try_restore(&p, &err) != ERR_CORRUPT)
            fail_msg("%s: a flipped bit went unseen", name);
        flip(p.to, name, (off_t)bytes / 2);
    }
    for (size_t at = 0; at < manifest.n; at += 7) {
        flip(p.to, "MANIFEST", (off_t)at);
        assert_int_equal(try_restore(&p, &err), ERR_CORRUPT);
        flip(p.to, "MANIFEST", (off_t)at);
    }
    assert_int_equal(try_restore(&p, &err), 0);
    (void)close(dir);
    buf_fini(&manifest);
    feed_fini(&f);
}

#ifdef LOGQ_FAULTS
static void victim(const char *data, const char *master, const char *to)
{
    struct feed f = {.dir = -1};
    struct backup_options opt = {.to = to};
    struct backup_result result;
    struct err err;

    f.opt = (struct store_options){.dir = data,
                                   .master_key = master,
                                   .decode = feed_decode,
                                   .ballast_bytes = UINT64_MAX,
                                   .no_compaction = true,
                                   .min_free = 1e-9};
    feed_open(&f);
    put_chunk(&f, 10 + (uint64_t)(to[strlen(to) - 1] - '0')); /* for the WAL */
    (void)backup_store(f.s, &opt, &result, &err);
    _exit(0); /* it was to die before */
}

static void killed_in_the_middle_it_is_none(void **state)
{
    static const char *const POINTS[] = {"backup.segment:kill:1", "backup.segment:kill:3",
                                         "backup.wal:kill:1"};
    struct feed f;
    struct err err;

    (void)state;
    open_feed(&f);
    put_chunk(&f, 0);
    assert_int_equal(store_flush(f.s, &err), 0);
    for (uint64_t i = 1; i < 5; i++)
        put_chunk(&f, i);
    store_close(&f.s);
    for (int i = 0; i < 3; i++) {
        struct paths p = paths_of(&f, i);
        char fault[100];
        char *env[] = {fault, NULL};
        int status = 0;
        pid_t pid;
        (void)snprintf(fault, sizeof(fault), "LOGQ_FAULT=%s", POINTS[i]);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)execle("/proc/self/exe", "test_backup", "victim", f.data, f.master, p.to,
                         (char *)NULL, env);
            _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(try_restore(&p, &err), ERR_CORRUPT);
        feed_open(&f);
        (void)check_lines(&f, (uint64_t)5 * PER_CHUNK);
        store_close(&f.s);
        check_intact(&f, f.data);
    }
    feed_fini(&f);
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_load_nothing_is_lost),
        cmocka_unit_test(of_a_stopped_server),
        cmocka_unit_test(places_that_are_refused),
        cmocka_unit_test(a_damaged_backup_is_refused),
#ifdef LOGQ_FAULTS
        cmocka_unit_test(killed_in_the_middle_it_is_none),
#endif
    };

#ifdef LOGQ_FAULTS
    if (argc == 5 && strcmp(argv[1], "victim") == 0)
        victim(argv[2], argv[3], argv[4]);
#else
    (void)argc;
    (void)argv;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
