/*
 * Unit tests of collector/input_file_keep: logs that are deleted before they were read, with the
 * whole collector round it.  The server holds its acks back, so that only a window is sent.
 */
#include "base/fault.h"
#include "collector/keep_format.h"
#include "collector/le.h"
#include "tests/unit/collector/collector_world.h"
#include "wire/codec.h"

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIR "logs/" ID
#define LOG DIR "/" ID "-json.log"
#define MORE                                                                                       \
    "chunk: {delay: 10ms, bytes: 4KiB, bytes_busy: 4KiB, window: 1}\npartial_timeout: "            \
    "100ms\nspool: "
#define SMALL  MORE "{bytes: 64KiB}\n"
#define LARGE  MORE "{bytes: 1MiB}\n"
#define OTHER  "  - {type: file, paths: ['@/other/*.log']}\n"
#define DOCKER "  - {type: docker, paths: ['@/logs/*/*-json.log']}\n"

enum { LINES = 500 };

static unsigned seed = 1;
static const char *labels, *ending; /* of the container, of each line */

#define LINE_BYTES(noise)                                                                          \
    (sizeof("{\"log\":\"n=000000 \\n\",\"stream\":\"stdout\",\"time\":"                            \
            "\"2026-11-21T19:14:38.000000000Z\"}\n") -                                             \
     1 + (noise))

/* A container's log of LINES lines; `noise` does not pack. */
static void write_log(unsigned noise)
{
    struct buf text;

    buf_init(&text, 1 << 24);
    assert_int_equal(file_make_dirs(w.dir, DIR, 0700, &err), 0);
    buf_addf(&text, "{\"Name\":\"/web\",\"Config\":{\"Image\":\"shop:1\",\"Labels\":{%s}}}",
             labels);
    buf_add_char(&text, '\0');
    world_write(DIR "/config.v2.json", text.p);
    buf_clear(&text);
    for (unsigned i = 0; i < LINES; i++) {
        buf_addf(&text, "{\"log\":\"n=%06u ", i);
        for (unsigned k = 0; k < noise; k++) {
            seed = seed * 1664525u + 1013904223u;
            buf_add_char(&text, (char)('0' + (seed >> 16) % 64 + ((seed >> 16) % 64 >= 44)));
        }
        buf_addf(&text, "%s\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T19:14:38.%09uZ\"}\n",
                 ending, i);
    }
    buf_add_char(&text, '\0');
    world_write(LOG, text.p);
    buf_fini(&text);
}

static void delete_log(void)
{
    assert_int_equal(file_remove_tree(w.dir, DIR, &err), 0);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* As SIGTERM ends it, with a server that does not answer. */
static void world_stop(void)
{
    bool done = false;

    collector_drain(w.collector, 50 * NS_PER_MS, set_flag, &done);
    WAIT_FOR(w.loop, done);
    world_die();
}

static bool has_sent(void *arg)
{
    (void)arg;
    return w.server.held.n > 0;
}

/* The first window was sent, the rest of the log is deleted, and we end. */
static void read_begin_delete_and_stop(const char *more)
{
    w.server.hold_acks = true;
    world_start(more, DOCKER);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    delete_log();
    world_stop();
    w.server.hold_acks = false;
}

static size_t count_lines(void)
{
    size_t n = 0;
    char text[32];

    for (unsigned i = 0; i < LINES; i++) {
        (void)snprintf(text, sizeof(text), "stdout|n=%06u", i);
        n += str_find(buf_str(&w.server.lines), str_of(text)) != SIZE_MAX;
    }
    return n;
}

static bool keep_is_empty(void *arg)
{
    (void)arg;
    return metric_get(METRIC_SPOOL_BYTES) == 0;
}

static void a_log_deleted_before_it_was_read_survives_our_end(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_true(count_lines() < LINES);
    w.server.show_labels = true;
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(w.server.records, LINES); /* and none twice */
    world_wait("app=web container=web host=h image=shop:1");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(metric_get(METRIC_UNRESOLVED), 0);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

/* A disk that stutters, no descriptor left: it is there, so it is read later, and what was on its
 * way is built again then. */
static void what_cannot_be_read_of_keep_for_a_while_is_not_lost(void **state)
{
    static const char *const POINTS[] = {"keep.look", "keep.open"};

    for (size_t i = 0; i < sizeof(POINTS) / sizeof(POINTS[0]); i++) {
        (void)world_teardown(state);
        (void)world_setup(state);
        write_log(20);
        read_begin_delete_and_stop(SMALL);
        fault_start(POINTS[i]);
        assert_true(fault_next());
        world_start(SMALL, DOCKER);
        assert_int_equal(metric_get(METRIC_FILES_UNREADABLE), 1);
        world_wait_records(LINES);
        assert_int_equal(w.server.records, LINES);
        assert_int_equal(count_lines(), LINES);
        assert_int_equal(metric_get(METRIC_GAPS), 0);
        while (fault_next())
            ;
        wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
    }
}

/* Its labels were gone with it; the parts that were planned are the same, and so is what is new. */
static void what_a_deleted_container_asked_for_is_still_done(void **state)
{
    (void)state;
    labels = "\"logq.io/redact\":\"email\"";
    ending = " by joe@example.org";
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES);
    assert_int_equal(str_find(buf_str(&w.server.lines), STR("joe")), SIZE_MAX);
    world_check_once("n=000000");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void what_is_kept_waits_through_more_ends(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    for (int i = 0; i < 2; i++) {
        w.server.hold_acks = true;
        world_start(SMALL, DOCKER);
        world_wait_metric(METRIC_CHUNKS_REBUILT, 1 + (unsigned)i);
        if (i == 0)
            world_stop();
        else
            world_die();
        w.server.hold_acks = false;
    }
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_log_that_is_there_again_is_another(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(file_make_dirs(w.dir, DIR, 0700, &err), 0);
    world_write(LOG,
                "{\"log\":\"new\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T19:15:00Z\"}\n");
    world_start(SMALL, DOCKER);
    world_wait_records(LINES + 1);
    assert_int_equal(count_lines(), LINES);
    world_check_once("stdout|new");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_lost_journal_loses_nothing_that_is_kept(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(unlinkat(w.dir, "state/checkpoint", 0), 0);
    world_start(SMALL, DOCKER);
    world_wait("n=000499");
    assert_int_equal(count_lines(), LINES);
    world_wait("\"cause\":\"journal_lost\",\"file\":");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

/* A journal that knows of no log is put back over the one that has drawn the number of ours. */
static void put_old_journal_back(void)
{
    struct buf old;

    buf_init(&old, 4 << 20);
    world_start(SMALL, DOCKER);
    world_stop();
    assert_int_equal(file_read(w.dir, "state/checkpoint", &old, &err), 0);
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(file_replace(w.dir, "state/checkpoint", 0600, buf_str(&old), &err), 0);
    buf_fini(&old);
}

static void an_old_journal_finds_what_is_kept_under_its_own_id(void **state)
{
    (void)state;
    put_old_journal_back();
    for (int i = 0; i < 2; i++) { /* killed while it is read, too */
        w.server.hold_acks = i == 0;
        world_start(SMALL, DOCKER);
        world_wait_records(i == 0 ? 1 : LINES);
        if (i == 0)
            world_die();
    }
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES); /* the server knows what it has */
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(metric_get(METRIC_SPOOL_ORPHANS), 0);
}

/* What was kept could not be read at first, and another log drew its number. */
static void what_is_kept_is_no_other_log_of_its_number(void **state)
{
    static const char other[] =
        "logs/fedcba9876543210fedcba9876543210fedcba9876543210fedcba98765432"
        "10";
    char log[256];

    (void)state;
    put_old_journal_back();
    world_rename("state/keep", "state/aside");
    assert_int_equal(file_make_dirs(w.dir, other, 0700, &err), 0);
    (void)snprintf(log, sizeof(log), "%s/%s-json.log", other, strrchr(other, '/') + 1);
    world_write(log,
                "{\"log\":\"other\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T19:15:00Z\"}\n");
    world_start(SMALL, DOCKER);
    world_wait("other");
    world_die();
    assert_int_equal(unlinkat(w.dir, "state/keep", AT_REMOVEDIR), 0);
    world_rename("state/aside", "state/keep");
    world_start(SMALL, DOCKER);
    world_wait("n=000499");
    assert_int_equal(count_lines(), LINES);
    world_check_once("other");
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(metric_get(METRIC_SPOOL_ORPHANS), 0);
}

/* Records of the journal (docs/formats/checkpoint.md). */
enum { RECORD_BYTES = 64, SEEN = 7, KEPT = 10 };

/* Where the first of type `type`, and if it is SEEN, of at least that size, is in `journal`; its
 * end if there is none. */
static size_t find_record(struct buf *journal, uint8_t type, uint64_t size)
{
    size_t at;

    buf_init(journal, 4 << 20);
    assert_int_equal(file_read(w.dir, "state/checkpoint", journal, &err), 0);
    for (at = RECORD_BYTES; at < journal->n; at += RECORD_BYTES) {
        const uint8_t *rec = (const uint8_t *)journal->p + at;
        if (rec[4] == type && (type != SEEN || le_get(rec + 16, 8) >= size))
            break;
    }
    return at;
}

static bool is_promised(void)
{
    struct buf journal;
    bool found = find_record(&journal, KEPT, 0) < journal.n;

    buf_fini(&journal);
    return found;
}

/* As if we had been killed before the journal said what lies in keep/. */
static void forget_promises(void)
{
    struct buf journal;
    size_t at = find_record(&journal, KEPT, 0);

    assert_true(at < journal.n);
    memset(journal.p + at, 0, journal.n - at);
    assert_int_equal(file_replace(w.dir, "state/checkpoint", 0600, buf_str(&journal), &err), 0);
    buf_fini(&journal);
}

static void what_was_kept_before_the_journal_said_so_is_read_and_removed(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    forget_promises();
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(metric_get(METRIC_SPOOL_ORPHANS), 0);
}

/* Else the next kill, with the power, would take what was planned of it. */
static void what_is_read_from_keep_is_promised(void **state)
{
    static const char *const INPUTS[] = {DOCKER, OTHER};

    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    for (size_t i = 0; i < sizeof(INPUTS) / sizeof(INPUTS[0]); i++) {
        forget_promises();
        w.server.hold_acks = true;
        world_start(SMALL, INPUTS[i]);
        world_wait_metric(METRIC_CHUNKS_REBUILT, 1 + (unsigned)i);
        world_die();
        assert_true(is_promised());
    }
}

struct cut {
    off_t size;
};

static int cut_one(void *arg, int dir_fd, const char *name, struct err *e)
{
    const struct cut *cut = arg;
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);

    (void)e;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, cut->size), 0);
    (void)close(fd);
    return 0;
}

static void what_the_journal_promised_and_is_gone_is_a_gap(void **state)
{
    struct cut cut = {200};
    int dir;

    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(file_open_dir(w.dir, "state/keep", &dir, &err), 0);
    assert_int_equal(file_walk(dir, cut_one, &cut, &err), 0);
    (void)close(dir);
    world_start(SMALL, DOCKER);
    world_wait("spool_damaged");
    assert_true(metric_get(METRIC_GAP_BYTES) > 0);
    assert_true(count_lines() < LINES);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

/* Frame `n` of `file`, 0 the names; *at is where its head is. */
static struct keep_frame nth_frame(const struct buf *file, int n, size_t *at)
{
    struct keep_frame frame;

    *at = KEEP_HEAD_BYTES;
    for (int i = 0;; i++) {
        assert_int_equal(keep_parse_frame((const uint8_t *)file->p + *at, &frame, &err), 0);
        if (i == n)
            return frame;
        *at += KEEP_FRAME_BYTES + frame.stored;
    }
}

/* Nothing is whole of frame `*arg` and those behind it. */
static int tear_one(void *arg, int dir_fd, const char *name, struct err *e)
{
    const int *n = arg;
    struct buf file;
    size_t at;

    buf_init(&file, 1 << 24);
    assert_int_equal(file_read(dir_fd, name, &file, e), 0);
    (void)nth_frame(&file, *n, &at);
    assert_int_equal(file_replace(dir_fd, name, 0600, (struct str){file.p, at + 5}, e), 0);
    buf_fini(&file);
    return 0;
}

/* As if we had been killed while frame `n` was written. */
static void tear(int n)
{
    int dir;

    forget_promises();
    assert_int_equal(file_open_dir(w.dir, "state/keep", &dir, &err), 0);
    assert_int_equal(file_walk(dir, tear_one, &n, &err), 0);
    (void)close(dir);
}

static void what_nobody_can_read_in_keep_is_removed_and_counted(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        if (n > 0) {
            (void)world_teardown(state);
            (void)world_setup(state);
        }
        write_log(20);
        read_begin_delete_and_stop(SMALL);
        tear(n);
        world_start(SMALL, DOCKER);
        world_wait_metric(METRIC_SPOOL_ORPHANS, 1);
        assert_int_equal(metric_get(METRIC_SPOOL_BYTES), 0);
        assert_int_equal(metric_get(METRIC_FILES_RECOVERED), 0);
        world_wait("file_gone");
    }
}

static bool is_size_noted(void *arg)
{
    struct buf journal;
    bool found = find_record(&journal, SEEN, *(const uint64_t *)arg) < journal.n;

    buf_fini(&journal);
    return found;
}

static void compress_log(void)
{
    struct codec_writer *writer = codec_writer_new();
    struct buf text, packed;

    buf_init(&text, 1 << 24);
    buf_init(&packed, 1 << 24);
    assert_int_equal(file_read(w.dir, LOG, &text, &err), 0);
    assert_int_equal(codec_pack(writer, CODEC_GZIP, 1, buf_str(&text), &packed, &err), 0);
    assert_int_equal(file_replace(w.dir, LOG ".1.gz", 0600, buf_str(&packed), &err), 0);
    assert_int_equal(unlinkat(w.dir, LOG, 0), 0);
    codec_writer_free(&writer);
    buf_fini(&text);
    buf_fini(&packed);
}

static void the_rest_of_what_was_kept_in_part_is_found_compressed(void **state)
{
    uint64_t size = LINES * LINE_BYTES(1500);

    (void)state;
    write_log(1500); /* three frames */
    w.server.hold_acks = true;
    world_start(LARGE, DOCKER);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    wait_check(w.loop, is_size_noted, &size, "its size to be noted");
    compress_log();
    world_stop();
    w.server.hold_acks = false;
    tear(2);
    world_start(LARGE, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(metric_get(METRIC_SPOOL_BYTES), 0);
}

struct hole {
    size_t in; /* the byte behind the frame's beginning that is another */
    uint32_t raw;
};

static int damage_one(void *arg, int dir_fd, const char *name, struct err *e)
{
    struct hole *hole = arg;
    struct buf file;
    size_t at;

    buf_init(&file, 1 << 24);
    assert_int_equal(file_read(dir_fd, name, &file, e), 0);
    hole->raw = nth_frame(&file, 2, &at).raw;
    file.p[at + hole->in] = (char)(file.p[at + hole->in] ^ 1);
    assert_int_equal(file_replace(dir_fd, name, 0600, buf_str(&file), e), 0);
    buf_fini(&file);
    return 0;
}

static void only_what_is_damaged_of_a_kept_log_is_a_gap(void **state)
{
    static const size_t PLACES[] = {KEEP_FRAME_BYTES + 100, 13};

    for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
        struct hole hole = {.in = PLACES[i]};
        int dir;
        if (i > 0) {
            (void)world_teardown(state);
            (void)world_setup(state);
        }
        write_log(1500); /* three frames */
        read_begin_delete_and_stop(LARGE);
        assert_int_equal(file_open_dir(w.dir, "state/keep", &dir, &err), 0);
        assert_int_equal(file_walk(dir, damage_one, &hole, &err), 0);
        (void)close(dir);
        world_start(LARGE, DOCKER);
        world_wait("n=000499");
        world_wait("spool_damaged");
        wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
        assert_int_equal(metric_get(METRIC_GAPS), 1);
        assert_int_equal(metric_get(METRIC_GAP_BYTES), hole.raw);
        assert_int_equal(hole.raw % LINE_BYTES(1500), 0);
        assert_int_equal(count_lines(), LINES - hole.raw / LINE_BYTES(1500));
    }
}

static int damage_last(void *arg, int dir_fd, const char *name, struct err *e)
{
    struct buf file;
    size_t at;

    (void)arg;
    buf_init(&file, 1 << 24);
    assert_int_equal(file_read(dir_fd, name, &file, e), 0);
    (void)nth_frame(&file, 1, &at);
    file.p[at + 13] = (char)(file.p[at + 13] ^ 1);
    assert_int_equal(file_replace(dir_fd, name, 0600, buf_str(&file), e), 0);
    buf_fini(&file);
    return 0;
}

#define J(text, stream)                                                                            \
    "{\"log\":\"" text "\",\"stream\":\"" stream "\",\"time\":\"2026-11-21T19:14:38Z\"}\n"

static void write_json(const char *text)
{
    assert_int_equal(file_make_dirs(w.dir, DIR, 0700, &err), 0);
    world_write(DIR "/config.v2.json",
                "{\"Name\":\"/web\",\"Config\":{\"Image\":\"shop:1\",\"Labels\":{}}}");
    world_write(LOG, text);
}

/* What was held in a part of keep/ that is gone stops nobody. */
static void what_was_held_in_a_damaged_end_of_a_kept_log_is_a_gap(void **state)
{
    int dir;

    (void)state;
    w.server.hold_acks = true;
    write_json(J("one\\n", "stdout") J("held", "stdout") J("behind\\n", "stderr"));
    world_start("partial_timeout: 1h\n", DOCKER);
    world_wait("behind");
    delete_log();
    world_stop();
    w.server.hold_acks = false;
    assert_int_equal(file_open_dir(w.dir, "state/keep", &dir, &err), 0);
    assert_int_equal(file_walk(dir, damage_last, NULL, &err), 0);
    (void)close(dir);
    world_start("partial_timeout: 1h\n", DOCKER);
    write_json(J("new\\n", "stdout"));
    world_wait("new");
}

static void what_is_over_the_budget_is_a_gap(void **state)
{
    (void)state;
    write_log(1000); /* ten times spool.bytes */
    read_begin_delete_and_stop(SMALL);
    assert_true(metric_get(METRIC_SPOOL_DROPPED_BYTES) > 0);
    world_start(SMALL, DOCKER);
    world_wait("spool_full");
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

/* File systems give the numbers of removed files out again, and the server may be away for long. */
static void what_took_the_inode_of_a_log_that_was_given_up_is_followed(void **state)
{
    enum { NEW = 32 };
    unsigned followed;
    char name[64];

    (void)state;
    write_log(1000);
    w.server.hold_acks = true;
    world_start(SMALL, DOCKER);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    delete_log();
    world_wait_metric(METRIC_SPOOL_DROPPED_BYTES, 1);
    followed = (unsigned)metric_get(METRIC_FILES_OPEN);
    assert_int_equal(file_make_dirs(w.dir, "logs/new", 0700, &err), 0);
    for (int i = 0; i < NEW; i++) {
        (void)snprintf(name, sizeof(name), "logs/new/%d-json.log", i);
        world_write(name, "{\"log\":\"new\\n\",\"stream\":\"stdout\",\"time\":"
                          "\"2026-11-21T19:14:38.000000000Z\"}\n");
    }
    world_wait_metric(METRIC_FILES_OPEN, followed + NEW);
}

static void what_no_input_wants_goes_first(void **state)
{
    (void)state;
    write_log(300);
    read_begin_delete_and_stop(LARGE);
    assert_true(metric_get(METRIC_SPOOL_BYTES) > 64 << 10);
    world_start(SMALL, OTHER);
    world_wait("spool_full");
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
    assert_true(metric_get(METRIC_GAP_BYTES) > 0);
}

/* A plain log of `lines` KiB that do not pack. */
static void write_noise(const char *name, unsigned lines)
{
    struct buf text;

    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < lines << 10; i++) {
        seed = seed * 1664525u + 1013904223u;
        buf_add_char(&text, i % 1024 == 1023 ? '\n' : (char)('0' + (seed >> 16) % 64));
    }
    buf_add_char(&text, '\0');
    world_write(name, text.p);
    buf_fini(&text);
}

#define OLD "  - {type: file, paths: ['@/old/*.log']}\n"

static bool drops_again(void *arg)
{
    return metric_get(METRIC_SPOOL_DROPPED_BYTES) > *(const uint64_t *)arg;
}

static void what_no_input_wants_goes_when_there_is_too_much_again(void **state)
{
    uint64_t before = 0;

    (void)state;
    assert_int_equal(file_make_dirs(w.dir, "old", 0700, &err), 0);
    assert_int_equal(file_make_dirs(w.dir, "other", 0700, &err), 0);
    write_noise("old/a.log", 150);
    write_noise("old/b.log", 150);
    w.server.hold_acks = true;
    world_start(LARGE, OLD);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    assert_int_equal(unlinkat(w.dir, "old/a.log", 0), 0);
    assert_int_equal(unlinkat(w.dir, "old/b.log", 0), 0);
    world_stop();
    assert_true(metric_get(METRIC_SPOOL_BYTES) > 200 << 10);
    write_noise("other/c.log", 700);
    before = metric_get(METRIC_SPOOL_DROPPED_BYTES);
    world_start(MORE "{bytes: 150KiB}\n", OTHER);
    wait_check(w.loop, drops_again, &before, "one to go");
    assert_in_range(metric_get(METRIC_SPOOL_BYTES), 1, 150 << 10); /* the other stays */
    before = metric_get(METRIC_SPOOL_DROPPED_BYTES);
    assert_int_equal(unlinkat(w.dir, "other/c.log", 0), 0);
    wait_check(w.loop, drops_again, &before, "the other to go");
    w.server.hold_acks = false;
    forward_server_release(&w.server);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

static int setup(void **state)
{
    labels = ending = "";
    return world_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_deleted_before_it_was_read_survives_our_end),
        TEST(what_cannot_be_read_of_keep_for_a_while_is_not_lost),
        TEST(what_a_deleted_container_asked_for_is_still_done),
        TEST(what_is_kept_waits_through_more_ends),
        TEST(a_log_that_is_there_again_is_another),
        TEST(a_lost_journal_loses_nothing_that_is_kept),
        TEST(an_old_journal_finds_what_is_kept_under_its_own_id),
        TEST(what_is_kept_is_no_other_log_of_its_number),
        TEST(what_was_kept_before_the_journal_said_so_is_read_and_removed),
        TEST(what_is_read_from_keep_is_promised),
        TEST(what_nobody_can_read_in_keep_is_removed_and_counted),
        TEST(the_rest_of_what_was_kept_in_part_is_found_compressed),
        TEST(what_the_journal_promised_and_is_gone_is_a_gap),
        TEST(only_what_is_damaged_of_a_kept_log_is_a_gap),
        TEST(what_was_held_in_a_damaged_end_of_a_kept_log_is_a_gap),
        TEST(what_is_over_the_budget_is_a_gap),
        TEST(what_took_the_inode_of_a_log_that_was_given_up_is_followed),
        TEST(what_no_input_wants_goes_first),
        TEST(what_no_input_wants_goes_when_there_is_too_much_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
