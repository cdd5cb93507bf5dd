/*
 * Unit test of the whole collector with two servers.  The property: whatever servers do (are
 * killed, are silent, lose what was not synced), whatever is done to logs (renamed, copied and cut,
 * packed, deleted), and whenever the collector ends, each line is on one server at least, on none
 * twice, and on both only where one of them was told so.
 *
 * What is deleted while nobody holds it is gone, so where logs are deleted the collector is ended,
 * not killed.
 */
#include "tests/unit/collector/collector_world.h"

#define T    "2026-11-21T19:14:38Z "
#define CRI  "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define BUSY "chunk: {delay: 10ms, window: 2}\nack_timeout: 400ms\n"
#define LONG "ack_timeout: 1h\n"

enum { LOGS = 3, STEPS = 40, LINES_MAX = 4000, OLD_MAX = 40, NAME_BYTES = 64 };

struct server {
    struct forward_server *forward;
    char address[64];
    bool is_down, is_slow;      /* slow: acks are held back, and it has not synced since */
    size_t synced, synced_from; /* bytes of lines, ranges */
    unsigned char lines[LINES_MAX], marked[LINES_MAX];
};

static struct forward_server second;
static struct server servers[2];
static unsigned seed, n_lines;
static bool may_delete;

static unsigned rnd(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static int setup(void **state)
{
    int r = world_setup(state);

    forward_server_open(&second, w.loop, "127.0.0.1:0", NULL);
    memset(servers, 0, sizeof(servers));
    servers[0].forward = &w.server;
    servers[1].forward = &second;
    for (int i = 0; i < 2; i++) {
        (void)snprintf(servers[i].address, sizeof(servers[i].address), "%s",
                       listener_address(servers[i].forward->listener));
        servers[i].forward->show_marks = true;
    }
    (void)snprintf(w.servers, sizeof(w.servers), "['%s', '%s']", servers[0].address,
                   servers[1].address);
    n_lines = 0;
    return r;
}

static int teardown(void **state)
{
    collector_free(&w.collector);
    forward_server_close(&second);
    return world_teardown(state);
}

static bool is_later(void *arg)
{
    return time_mono() >= *(const dur_ns *)arg;
}

/* The loop turns for `ms`: some of what is done here takes its time, as falling silent does. */
static void live(unsigned ms)
{
    struct loop_timer *t = loop_timer_new(w.loop, wait_tick, NULL);
    dur_ns until = time_mono() + ms * NS_PER_MS;

    loop_timer_start(t, 5, 5);
    wait_check(w.loop, is_later, &until, "time");
    loop_timer_free(&t);
}

/* ---- servers ---- */

static void forget_acks(struct server *s)
{
    while (s->forward->held.n > 0)
        free(s->forward->held.p[--s->forward->held.n]);
    s->is_slow = s->forward->hold_acks = false;
}

static void cut(struct server *s)
{
    if (s->forward->stream != NULL)
        stream_close(s->forward->stream, NULL);
    s->forward->stream = NULL;
    forget_acks(s);
}

static void be_slow(struct server *s)
{
    if (s->is_slow || s->is_down)
        return;
    s->is_slow = s->forward->hold_acks = true;
    s->synced = s->forward->lines.n;
    s->synced_from = s->forward->ranges.n;
}

static void answer(struct server *s)
{
    if (!s->is_slow)
        return;
    s->is_slow = s->forward->hold_acks = false;
    forward_server_release(s->forward);
}

/* With what it had not synced, or without. */
static void go_down(struct server *s)
{
    if (s->is_down)
        return;
    s->is_down = true;
    listener_close(&s->forward->listener);
    if (s->is_slow && rnd(2) == 0) {
        s->forward->lines.n = s->synced;
        s->forward->ranges.n = s->synced_from;
    }
    cut(s);
}

static void come_up(struct server *s)
{
    struct listener_options opt = {0};

    if (!s->is_down)
        return;
    s->is_down = false;
    if (listener_open(w.loop, s->address, &opt, forward_server_accept, s->forward,
                      &s->forward->listener, &err) < 0)
        fail_msg("%s", err.text);
}

/* ---- logs ---- */

/* Lines, some of them in pieces with one of the other stream between. */
static void write_some(void)
{
    unsigned n = 1 + rnd(30);
    char name[NAME_BYTES];
    struct buf text;

    buf_init(&text, 1 << 16);
    for (unsigned i = 0; i < n && n_lines + 2 < LINES_MAX; i++) {
        unsigned how = rnd(8);
        const char *stream = how % 2 == 0 ? "stdout" : "stderr";
        if (how < 6) {
            buf_addf(&text, T "%s F <%u >\n", stream, n_lines++);
            continue;
        }
        buf_addf(&text, T "%s P <%u \n", stream, n_lines++);
        if (rnd(2) == 0)
            buf_addf(&text, T "%s F <%u >\n", how % 2 == 0 ? "stderr" : "stdout", n_lines++);
        buf_addf(&text, T "%s F >\n", stream);
    }
    buf_add_char(&text, '\0');
    (void)snprintf(name, sizeof(name), "logs/%u.log", rnd(LOGS));
    world_write(name, text.p);
    buf_fini(&text);
}

static void old_name(char name[NAME_BYTES], unsigned log, unsigned age, const char *ending)
{
    (void)snprintf(name, NAME_BYTES, "logs/%u.log.%u%s", log, age, ending);
}

static bool is_there(const char *name)
{
    return faccessat(w.dir, name, F_OK, 0) == 0;
}

/* As gzip does it. */
static void pack(const char *name, const char *packed)
{
    if (!is_there(name))
        return;
    world_copy(name, packed, true);
    assert_int_equal(unlinkat(w.dir, name, 0), 0);
}

static void rotate(void)
{
    static const char *const ENDINGS[] = {"", ".gz"};
    unsigned log = rnd(LOGS), age = 1 + rnd(3);
    char from[NAME_BYTES], to[NAME_BYTES];

    for (unsigned i = OLD_MAX; i > 0; i--)
        for (int k = 0; k < 2; k++) {
            old_name(from, log, i, ENDINGS[k]);
            old_name(to, log, i + 1, ENDINGS[k]);
            (void)renameat(w.dir, from, w.dir, to); /* most are not there */
        }
    (void)snprintf(from, sizeof(from), "logs/%u.log", log);
    old_name(to, log, 1, "");
    if (!is_there(from))
        return;
    if (rnd(2) == 0)
        world_copytruncate(from, to, false);
    else
        world_rename(from, to);
    if (may_delete)
        return;
    old_name(from, log, age, "");
    old_name(to, log, age, ".gz");
    pack(from, to);
}

/* The old ones of a log, perhaps itself: all that is not new to us. */
static void delete_some(void)
{
    unsigned log = rnd(LOGS);
    char name[NAME_BYTES];

    live(60);
    for (unsigned i = 1; i <= OLD_MAX; i++) {
        old_name(name, log, i, "");
        (void)unlinkat(w.dir, name, 0);
    }
    (void)snprintf(name, sizeof(name), "logs/%u.log", log);
    if (rnd(2) == 0)
        (void)unlinkat(w.dir, name, 0);
}

/* ---- the collector ---- */

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void start_again(void)
{
    bool done = false;

    if (may_delete) {
        collector_drain(w.collector, (rnd(2) == 0 ? 1 : 200) * NS_PER_MS, set_flag, &done);
        WAIT_FOR(w.loop, done);
    }
    world_die();
    if (!may_delete && rnd(3) == 0)
        rotate();
    world_start(rnd(2) == 0 ? BUSY : LONG, CRI);
}

static void step(void)
{
    struct server *s = &servers[rnd(2)];

    write_some();
    switch (rnd(10)) {
    case 0:
    case 1:
        rotate();
        break;
    case 2:
        go_down(s);
        break;
    case 3:
        come_up(s);
        break;
    case 4:
        be_slow(s);
        break;
    case 5:
        answer(s);
        break;
    case 6:
        cut(s);
        break;
    case 7:
        start_again();
        break;
    case 8:
        if (may_delete)
            delete_some();
        break;
    default:
        break;
    }
    live(rnd(5) == 0 ? 350 : rnd(20));
}

/* ---- what came of it ---- */

static void count(struct server *s)
{
    struct str all = buf_str(&s->forward->lines);

    memset(s->lines, 0, sizeof(s->lines));
    memset(s->marked, 0, sizeof(s->marked));
    while (all.n > 0) {
        struct str line = str_cut(&all, '\n');
        size_t at = str_find_char(line, '<');
        uint64_t no;
        struct str rest = at < line.n ? str_from(line, at + 1) : STR_NULL;
        if (!str_to_u64(str_cut(&rest, ' '), &no) || no >= LINES_MAX)
            continue;
        s->lines[no]++;
        s->marked[no] = line.p[line.n - 1] == '?';
    }
}

static bool all_are_there(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++)
        count(&servers[i]);
    for (unsigned i = 0; i < n_lines; i++)
        if (servers[0].lines[i] + servers[1].lines[i] == 0)
            return false;
    return true;
}

static void any(unsigned from)
{
    seed = from;
    world_start(BUSY, CRI);
    for (int i = 0; i < STEPS; i++)
        step();
    for (int i = 0; i < 2; i++) {
        come_up(&servers[i]);
        answer(&servers[i]);
    }
    wait_check(w.loop, all_are_there, NULL, "all lines, on one of both");
    for (unsigned i = 0; i < n_lines; i++) {
        bool both = servers[0].lines[i] > 0 && servers[1].lines[i] > 0;
        if (servers[0].lines[i] > 1 || servers[1].lines[i] > 1)
            fail_msg("seed %u: line %u is there twice", from, i);
        if (both && !servers[0].marked[i] && !servers[1].marked[i])
            fail_msg("seed %u: line %u is on both, and nobody was told", from, i);
    }
    assert_false(w.server.overlapped || second.overlapped);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void each_line_arrives_whatever_is_killed(void **state)
{
    (void)state;
    may_delete = false;
    any(11);
}

static void each_line_arrives_whatever_is_deleted(void **state)
{
    (void)state;
    may_delete = true;
    any(13);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(each_line_arrives_whatever_is_killed), TEST(each_line_arrives_whatever_is_deleted))
