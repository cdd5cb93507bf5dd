/*
 * storage/store*.c, flush.c: killed at any place, all that was acknowledged is there once, and
 * nothing that was not sent.
 *
 * A process of its own dies at each hit of each fault point; on a slow disk its many fsyncs may
 * take longer than 20 s.
 */
#include "tests/lib/feed.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY2 (FEED_DAY + NS_PER_DAY)

/* "P f <start> <start + 10> 1" and a record that names it, on one of two days. */
static const char *chunk(char *ret, size_t cap, unsigned i)
{
    int64_t ts = (i % 2 == 0 ? FEED_DAY : DAY2) + (int64_t)i;

    (void)snprintf(ret, cap, "P f %u %u 1\nR %" PRId64 " app line %u\n", i * 10, i * 10 + 10, ts,
                   i);
    return ret;
}

enum { CHUNKS = 8 };

/* The process that dies: stores CHUNKS chunks with flushes between, and writes down what was
 * acknowledged. */
static int victim(const char *data, const char *master, const char *acked)
{
    struct feed f = {.opt = {
                         .dir = data,
                         .master_key = master,
                         .decode = feed_decode,
                         .wal_bytes = 4 << 20,
                         .ballast_bytes = UINT64_MAX,
                     }};
    int fd = open(acked, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct err err;
    char text[128];

    if (fd < 0 || store_open(&f.opt, &f.s, &err) != 0)
        return 1;
    for (unsigned i = 0; i < CHUNKS; i++) {
        char c = (char)i;
        enum store_outcome out = feed_put(&f, "t", chunk(text, sizeof(text), i));
        if (out == STORE_STORED && write(fd, &c, 1) != 1)
            return 1;
        if (i % 3 == 2)
            (void)store_flush(f.s, &err);
    }
    store_close(&f.s);
    return 0;
}

/* Run it with `fault`; true: it died of it. */
static bool run_victim(const struct feed *f, const char *fault, const char *acked)
{
    char variable[80];
    char *const env[] = {variable, NULL};
    int status = 0;
    pid_t pid;

    (void)snprintf(variable, sizeof(variable), "LOGQ_FAULT=%s", fault);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execle("/proc/self/exe", "test_store_crash", "victim", f->data, f->master, acked,
                     (char *)NULL, env);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    else
        assert_int_equal(WTERMSIG(status), SIGKILL);
    return !WIFEXITED(status);
}

static size_t times_in(struct str text, unsigned i)
{
    char line[32];
    size_t n = 0;
    size_t at;

    (void)snprintf(line, sizeof(line), "line %u\n", i);
    while ((at = str_find(text, str_of(line))) != SIZE_MAX) {
        text = str_from(text, at + strlen(line));
        n++;
    }
    return n;
}

static void check_survivors(struct feed *f, const char *fault, const char *acked)
{
    struct buf b, acks;
    struct err err;
    char text[128];
    size_t n;

    buf_init(&b, 1 << 20);
    buf_init(&acks, 1 << 10);
    if (file_read(AT_FDCWD, acked, &acks, &err) != 0)
        acks.n = 0; /* died before the first */
    feed_open(f);
    n = feed_read(f, "t", &b);
    for (unsigned i = 0; i < CHUNKS; i++) {
        size_t times = times_in(buf_str(&b), i);
        bool is_acked = acks.n != 0 && memchr(acks.p, (int)i, acks.n) != NULL;
        if (times > 1 || (is_acked && times != 1))
            fail_msg("%s: line %u is there %zu times, acknowledged %d", fault, i, times, is_acked);
        n -= times;
    }
    assert_int_equal(n, 0);                 /* nothing else */
    for (unsigned i = 0; i < CHUNKS; i++) { /* the sender repeats what it got no answer for */
        enum store_outcome out = feed_put(f, "t", chunk(text, sizeof(text), i));
        if (out != (times_in(buf_str(&b), i) == 1 ? STORE_DUPLICATE : STORE_STORED))
            fail_msg("%s: chunk %u again gives %d", fault, i, (int)out);
    }
    feed_reopen(f);
    buf_clear(&b);
    assert_int_equal(feed_read(f, "t", &b), CHUNKS);
    for (unsigned i = 0; i < CHUNKS; i++)
        assert_int_equal(times_in(buf_str(&b), i), 1);
    buf_fini(&b);
    buf_fini(&acks);
}

static void killed_anywhere_all_that_was_acknowledged_is_there_once(void **state)
{
    static const char *const POINTS[] = {
        "wal.create",   "wal.write",         "wal.sync",       "wal.synced",
        "flush.day",    "segment.published", "catalog.commit", "partition.committed",
        "flush.commit", "meta.commit",       "flush.swapped",  "db.commit",
        "file.rename",
    };
    static const unsigned HITS[] = {1, 2, 4};
    unsigned died = 0;
    (void)state;

    for (size_t p = 0; p < sizeof(POINTS) / sizeof(*POINTS); p++) {
        for (size_t k = 0; k < sizeof(HITS) / sizeof(*HITS); k++) {
            struct feed f;
            char fault[64], acked[TMPDIR_PATH_MAX + 8];

            feed_init(&f);
            (void)snprintf(fault, sizeof(fault), "%s:kill:%u", POINTS[p], HITS[k]);
            (void)snprintf(acked, sizeof(acked), "%s/acked", f.path);
            died += run_victim(&f, fault, acked) ? 1 : 0;
            check_survivors(&f, fault, acked);
            feed_fini(&f);
        }
    }
    assert_true(died > 2 * sizeof(POINTS) / sizeof(*POINTS));
}

/* Dies with everything in the WAL, then again and again while that is replayed. */
static void killed_during_a_replay_it_begins_anew(void **state)
{
    static const char *const POINTS[] = {"replay.body:kill:1", "replay.body:kill:3",
                                         "replay.body:kill:5"};
    struct feed f;
    char acked[TMPDIR_PATH_MAX + 8];
    (void)state;

    feed_init(&f);
    (void)snprintf(acked, sizeof(acked), "%s/acked", f.path);
    assert_true(run_victim(&f, "flush.day:kill:1", acked)); /* three chunks of eight */
    for (size_t p = 0; p < sizeof(POINTS) / sizeof(*POINTS); p++)
        (void)run_victim(&f, POINTS[p], acked); /* or it ends before that many are there */
    check_survivors(&f, "replay.body", acked);
    feed_fini(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_all_that_was_acknowledged_is_there_once),
        cmocka_unit_test(killed_during_a_replay_it_begins_anew),
    };

    if (argc == 5 && strcmp(argv[1], "victim") == 0)
        return victim(argv[2], argv[3], argv[4]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
