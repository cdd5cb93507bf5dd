/* Unit tests of collector/journal_reader over a journal in memory: entries that come, files that
 * are removed.  The other end is the test. */
#include "collector/journal_reader.h"

#include "base/buf.h"
#include "tests/lib/check.h"
#include "tests/unit/collector/journal_world.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES_MAX = 64, N_FIELDS = 3 };

struct entry {
    unsigned no;
    const char *container, *unit, *text; /* NULL: there is none; "!": it cannot be read */
};

struct journal {
    pthread_mutex_t lock; /* of what follows, but for `at`, which is the reader's */
    struct entry v[ENTRIES_MAX];
    size_t n;
    unsigned removed; /* numbers up to it are gone */
    bool changed;     /* files came or went */
    unsigned at;      /* number of the entry it is at */
    unsigned field;   /* the next one of it */
    int event;
    int sought; /* counts what was sought */
};

static struct journal journal;
static struct journal_reader_options opt;
static int channel; /* the test's end */
static pthread_t thread;
static int result;
static struct err err, reader_err;
static struct buf in; /* what came and is not dropped yet */
static size_t used;   /* of it, by the last frame */
static struct journal_frame got;

/* ---- the journal ---- */

static const struct entry *entry_behind(struct journal *j, unsigned no)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->v[i].no > no && j->v[i].no > j->removed)
            return &j->v[i];
    return NULL;
}

static int fake_fd(struct journal *j, struct err *e)
{
    (void)e;
    return j->event;
}

static int fake_process(struct journal *j, struct err *e)
{
    uint64_t n;
    bool changed;

    (void)e;
    (void)!read(j->event, &n, sizeof(n)); /* none: it was only time */
    (void)pthread_mutex_lock(&j->lock);
    changed = j->changed;
    j->changed = false;
    (void)pthread_mutex_unlock(&j->lock);
    return changed;
}

static int fake_seek(struct journal *j, enum journal_seek to, struct err *e)
{
    uint64_t one = 1;
    int r = 0;

    (void)e;
    (void)pthread_mutex_lock(&j->lock);
    j->at = 0;
    if (to == JOURNAL_SEEK_LAST) {
        r = j->n == 0;
        j->at = j->n == 0 ? 0 : j->v[j->n - 1].no;
    }
    (void)pthread_mutex_unlock(&j->lock);
    (void)!write(j->sought, &one, sizeof(one)); /* a counter has room */
    return r;
}

static int fake_seek_cursor(struct journal *j, const char *cursor, struct err *e)
{
    (void)e;
    j->at = 0;
    for (unsigned no = 1; no < 256; no++)
        if (strcmp(journal_cursor(no), cursor) == 0)
            j->at = no - 1; /* the next one is it, or what comes behind it */
    return 0;
}

static int fake_next(struct journal *j, struct err *e)
{
    const struct entry *next;

    (void)e;
    (void)pthread_mutex_lock(&j->lock);
    j->field = 0;
    next = entry_behind(j, j->at);
    if (next != NULL)
        j->at = next->no;
    (void)pthread_mutex_unlock(&j->lock);
    return next == NULL;
}

static int fake_cursor(struct journal *j, char *ret, size_t cap, struct err *e)
{
    (void)e;
    (void)str_to_z(str_of(journal_cursor(j->at)), ret, cap);
    return 0;
}

static int fake_realtime(struct journal *j, uint64_t *us, struct err *e)
{
    (void)e;
    *us = 1000 + j->at;
    return 0;
}

/* Fields of the entry it is at, in the order they have there; NULL: there is none. */
static const char *const FIELDS[N_FIELDS] = {"CONTAINER_NAME", "_SYSTEMD_UNIT", "MESSAGE"};

static const char *value_of(struct journal *j, unsigned field)
{
    const char *value = NULL;

    (void)pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->n; i++)
        if (j->v[i].no == j->at)
            value = field == 0 ? j->v[i].container : field == 1 ? j->v[i].unit : j->v[i].text;
    (void)pthread_mutex_unlock(&j->lock);
    return value;
}

/* As libsystemd: it does not get over one that cannot be read. */
static int fake_field(struct journal *j, struct str *ret)
{
    static char text[64];
    const char *value = NULL;

    while (j->field < N_FIELDS && (value = value_of(j, j->field)) == NULL)
        j->field++;
    if (value == NULL)
        return 1;
    if (strcmp(value, "!") == 0)
        return ERR_IO;
    (void)snprintf(text, sizeof(text), "%s=%s", FIELDS[j->field++], value);
    *ret = str_of(text);
    return 0;
}

static int fake_get(struct journal *j, const char *field, struct str *ret)
{
    const char *value = NULL;

    for (unsigned i = 0; i < N_FIELDS; i++)
        if (strcmp(FIELDS[i], field) == 0)
            value = value_of(j, i);
    if (value == NULL)
        return 1;
    if (strcmp(value, "!") == 0)
        return ERR_IO;
    *ret = str_of(value);
    return 0;
}

static const struct journal_module FAKE = {.version = JOURNAL_MODULE_VERSION,
                                           .fd = fake_fd,
                                           .process = fake_process,
                                           .seek = fake_seek,
                                           .seek_cursor = fake_seek_cursor,
                                           .next = fake_next,
                                           .cursor = fake_cursor,
                                           .realtime = fake_realtime,
                                           .field = fake_field,
                                           .get = fake_get};

/* ---- the test's side ---- */

static void wake(bool changed)
{
    uint64_t one = 1;

    (void)pthread_mutex_lock(&journal.lock);
    journal.changed = journal.changed || changed;
    (void)pthread_mutex_unlock(&journal.lock);
    assert_int_equal(write(journal.event, &one, sizeof(one)), sizeof(one));
}

static void log_entry(struct entry e)
{
    (void)pthread_mutex_lock(&journal.lock);
    assert_true(journal.n < ENTRIES_MAX);
    journal.v[journal.n++] = e;
    (void)pthread_mutex_unlock(&journal.lock);
}

static void vacuum(unsigned up_to)
{
    (void)pthread_mutex_lock(&journal.lock);
    journal.removed = up_to;
    (void)pthread_mutex_unlock(&journal.lock);
}

static int setup(void **state)
{
    int pair[2];

    (void)state;
    memset(&journal, 0, sizeof(journal));
    (void)pthread_mutex_init(&journal.lock, NULL);
    journal.event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    journal.sought = eventfd(0, EFD_CLOEXEC);
    assert_true(journal.event >= 0 && journal.sought >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    channel = pair[0];
    opt = (struct journal_reader_options){
        .module = &FAKE, .journal = &journal, .channel = pair[1], .max_line = 16};
    buf_init(&in, 1 << 20);
    used = 0;
    return 0;
}

static void *run(void *arg)
{
    (void)arg;
    result = journal_reader_run(&opt, &reader_err);
    (void)close(opt.channel);
    return NULL;
}

static void start(const char *cursor)
{
    struct journal_frame f = {.type = JOURNAL_START};
    struct buf b;

    buf_init(&b, 4096);
    f.v[JOURNAL_CURSOR] = str_of(cursor);
    journal_frame_put(&b, &f);
    assert_int_equal(send(channel, b.p, b.n, 0), (ssize_t)b.n);
    buf_fini(&b);
    assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
}

static void stop(void)
{
    (void)close(channel);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static int teardown(void **state)
{
    (void)state;
    (void)close(journal.event);
    (void)close(journal.sought);
    (void)pthread_mutex_destroy(&journal.lock);
    buf_fini(&in);
    return 0;
}

/* The next frame; it stays valid until the one after it. */
static void take(enum journal_type type)
{
    int r;

    buf_drop(&in, used);
    used = 0;
    while ((r = journal_frame_take(buf_str(&in), &got, &used, &err)) == 1) {
        char *room = buf_room(&in, 4096);
        ssize_t n = recv(channel, room, 4096, 0);
        assert_true(n > 0);
        in.n += (size_t)n;
    }
    assert_int_equal(r, 0);
    assert_int_equal(got.type, type);
}

static void take_text(const char *text)
{
    take(JOURNAL_ENTRY);
    check_str(got.v[JOURNAL_MESSAGE], text);
}

static void containers_are_told_and_nothing_else(void **state)
{
    (void)state;
    opt.since = JOURNAL_SINCE_ALL;
    log_entry((struct entry){1, "web", NULL, "one"});
    log_entry((struct entry){2, NULL, "cron.service", "two"});
    log_entry((struct entry){3, "web", NULL, "a text that is longer than a line"});
    log_entry((struct entry){4, NULL, "ssh.service", "four"});
    start("");
    take_text("one");
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(1));
    assert_true(got.time == 1001 * NS_PER_US);
    take_text("a text that is l");
    assert_int_equal(got.total, 33);
    take(JOURNAL_HERE);
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(4));
    log_entry((struct entry){5, "web", NULL, NULL});
    wake(false);
    take_text("");
    stop();
    assert_int_equal(result, 0);
}

static void matches_are_told_beside_them(void **state)
{
    struct str match = STR_INIT("_SYSTEMD_UNIT=ssh.service");

    (void)state;
    opt.since = JOURNAL_SINCE_BOOT;
    opt.matches = (struct conf_strs){&match, 1};
    log_entry((struct entry){1, NULL, "cron.service", "one"});
    log_entry((struct entry){2, NULL, "ssh.service", "two"});
    start("");
    take_text("two");
    take(JOURNAL_HERE);
    stop();
}

static void from_now_on_is_told_at_once(void **state)
{
    (void)state;
    log_entry((struct entry){1, "web", NULL, "old"});
    start("");
    take(JOURNAL_HERE);
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(1));
    log_entry((struct entry){2, "web", NULL, "new"});
    wake(false);
    take_text("new");
    stop();
}

static void an_empty_journal_is_followed_from_its_first_entry(void **state)
{
    uint64_t n;

    (void)state;
    start("");
    assert_int_equal(read(journal.sought, &n, sizeof(n)), sizeof(n));
    log_entry((struct entry){1, "web", NULL, "first"});
    wake(true);
    take_text("first");
    stop();
}

static void reading_goes_on_with_the_entry_it_is_told(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++)
        log_entry((struct entry){i, "web", NULL, i == 1 ? "one" : i == 2 ? "two" : "three"});
    start(journal_cursor(2));
    take_text("two");
    take_text("three");
    take(JOURNAL_HERE);
    stop();
}

static void an_entry_that_is_gone_is_a_gap(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 9; i++)
        log_entry((struct entry){i, "web", NULL, "x"});
    vacuum(6);
    start(journal_cursor(2));
    take(JOURNAL_GAP);
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(2));
    assert_int_equal(got.total, 4);
    take_text("x");
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(7));
    stop();
}

static void one_that_is_gone_with_nothing_behind_it_is_none(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 9; i++)
        log_entry((struct entry){i, "web", NULL, "x"});
    vacuum(6);
    start(journal_cursor(6));
    take_text("x");
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(7));
    stop();
}

static void files_that_go_while_we_follow_are_looked_into(void **state)
{
    (void)state;
    opt.since = JOURNAL_SINCE_ALL;
    log_entry((struct entry){1, "web", NULL, "one"});
    start("");
    take_text("one");
    take(JOURNAL_HERE);
    vacuum(1); /* what is read, only */
    log_entry((struct entry){2, "web", NULL, "two"});
    wake(true);
    take_text("two");
    take(JOURNAL_HERE);
    vacuum(4);
    log_entry((struct entry){5, "web", NULL, "five"});
    wake(true);
    take(JOURNAL_GAP);
    assert_int_equal(got.total, 2);
    take_text("five");
    stop();
}

/* An empty line would stand for it. */
static void what_cannot_be_read_is_told_and_no_line(void **state)
{
    (void)state;
    opt.since = JOURNAL_SINCE_ALL;
    log_entry((struct entry){1, "web", NULL, "one"});
    log_entry((struct entry){2, "web", NULL, "!"});
    log_entry((struct entry){3, "!", NULL, "whose?"});
    log_entry((struct entry){4, NULL, "!", "nobody's"}); /* its unit is not asked for */
    log_entry((struct entry){5, "web", NULL, "five"});
    log_entry((struct entry){6, "web", NULL, "!"});
    start("");
    take_text("one");
    take(JOURNAL_DAMAGE);
    assert_int_equal(got.total, 2);
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(3));
    take_text("five");
    take(JOURNAL_DAMAGE);
    assert_int_equal(got.total, 1);
    check_str(got.v[JOURNAL_CURSOR], journal_cursor(6));
    take(JOURNAL_HERE);
    stop();
    assert_int_equal(result, 0);
}

static void a_worker_that_says_anything_else_is_left(void **state)
{
    (void)state;
    log_entry((struct entry){1, "web", NULL, "old"});
    start("");
    take(JOURNAL_HERE);
    assert_int_equal(send(channel, "x", 1, 0), 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(channel);
    assert_int_equal(result, 0);
}

static void a_match_is_a_field_and_a_value(void **state)
{
    (void)state;
    assert_true(journal_reader_is_match(STR("_SYSTEMD_UNIT=a b=c")));
    assert_true(journal_reader_is_match(STR("A1=x")));
    assert_false(journal_reader_is_match(STR("A1=")));
    assert_false(journal_reader_is_match(STR("1A=x")));
    assert_false(journal_reader_is_match(STR("unit=x")));
    assert_false(journal_reader_is_match(STR("=x")));
    assert_false(journal_reader_is_match(STR("UNIT")));
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(containers_are_told_and_nothing_else, setup, teardown),
    cmocka_unit_test_setup_teardown(matches_are_told_beside_them, setup, teardown),
    cmocka_unit_test_setup_teardown(from_now_on_is_told_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(an_empty_journal_is_followed_from_its_first_entry, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(reading_goes_on_with_the_entry_it_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(an_entry_that_is_gone_is_a_gap, setup, teardown),
    cmocka_unit_test_setup_teardown(one_that_is_gone_with_nothing_behind_it_is_none, setup,
                                    teardown),
    cmocka_unit_test_setup_teardown(files_that_go_while_we_follow_are_looked_into, setup, teardown),
    cmocka_unit_test_setup_teardown(what_cannot_be_read_is_told_and_no_line, setup, teardown),
    cmocka_unit_test_setup_teardown(a_worker_that_says_anything_else_is_left, setup, teardown),
    cmocka_unit_test(a_match_is_a_field_and_a_value))
