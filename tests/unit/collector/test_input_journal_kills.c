/* Unit tests of collector/input_journal: whatever a journal holds, and whenever it is killed, each
 * record is at the server once, and what was dropped is told exactly. */
#include "tests/unit/collector/journal_input_world.h"

#include "base/mem.h"

#include <stdlib.h>

enum { STREAMS = 4, RECORDS = 12, ENTRIES_MAX = 2000, TEXT_MAX = 64 };

/* What a driver logs, and what has to become of it. */
struct script {
    struct {
        unsigned stream;
        bool is_piece;
        char id[16], ordinal[8], text[TEXT_MAX];
    } v[ENTRIES_MAX];
    size_t n;
    char records[STREAMS * RECORDS][8 * TEXT_MAX]; /* as the server has them */
    size_t n_records, n_noise;
};

static unsigned next(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

/* One line of a stream in up to three pieces: Docker's are numbered. */
static void add_line(struct script *s, unsigned *seed, unsigned stream, unsigned line,
                     const char *text)
{
    size_t len = strlen(text), pieces = 1 + (next(seed, 3) == 0) * next(seed, 3);

    for (size_t i = 0; i < pieces; i++) {
        size_t from = len * i / pieces, to = len * (i + 1) / pieces;
        bool more = i + 1 < pieces, numbered = pieces > 1 && stream % 2 == 0;
        assert_true(s->n < ENTRIES_MAX);
        s->v[s->n].stream = stream;
        s->v[s->n].is_piece = more;
        (void)snprintf(s->v[s->n].id, sizeof(s->v[0].id), "%x",
                       numbered ? 1000 * stream + line : 0);
        (void)snprintf(s->v[s->n].ordinal, sizeof(s->v[0].ordinal), "%zu", numbered ? i + 1 : 0);
        (void)snprintf(s->v[s->n++].text, TEXT_MAX, "%.*s", (int)(to - from), text + from);
    }
}

/* A record of a stream: a plain line, noise, or a trace. */
static void add_record(struct script *s, unsigned *seed, unsigned stream, unsigned no)
{
    char text[TEXT_MAX], *whole = s->records[s->n_records];
    unsigned kind = no + 1 == RECORDS ? 0 : next(seed, 3), lines = 1 + next(seed, 4), at = 0;

    if (kind < 2) {
        (void)snprintf(text, sizeof(text), "%s %u-%u.", kind == 0 ? "plain" : "noise", stream, no);
        add_line(s, seed, stream, 100 * no, text);
        s->n_noise += kind;
        s->n_records += kind == 0;
        (void)strcpy(whole, text);
        return;
    }
    for (unsigned i = 0; i <= lines; i++) {
        if (i == 0)
            (void)snprintf(text, sizeof(text), "java.lang.IllegalStateException: %u-%u.", stream,
                           no);
        else
            (void)snprintf(text, sizeof(text), "\tat a.b.C%u.d(C.java:%u-%u.)", i, stream, no);
        add_line(s, seed, stream, 100 * no + i, text);
        at += (unsigned)snprintf(whole + at, sizeof(s->records[0]) - at, "%s%s", i == 0 ? "" : "\n",
                                 text);
    }
    s->n_records++;
}

/* Streams one behind the other become streams that are mixed; each stays in its order. */
static void mix(struct script *s, unsigned *seed, const size_t begin[STREAMS + 1])
{
    struct script *old = mem_new(sizeof(*old));
    size_t at[STREAMS];

    memcpy(old, s, sizeof(*old));
    memcpy(at, begin, sizeof(at));
    for (size_t n = 0; n < s->n;) {
        unsigned stream = next(seed, STREAMS);
        for (unsigned run = 1 + next(seed, 4); run > 0 && at[stream] < begin[stream + 1]; run--)
            s->v[n++] = old->v[at[stream]++];
    }
    free(old);
}

static struct script *make_script(unsigned *seed)
{
    struct script *s = mem_new(sizeof(*s));
    size_t begin[STREAMS + 1] = {0};

    for (unsigned stream = 0; stream < STREAMS; stream++) {
        for (unsigned no = 0; no < RECORDS; no++)
            add_record(s, seed, stream, no);
        begin[stream + 1] = s->n;
    }
    mix(s, seed, begin);
    return s;
}

static void say_of(const struct script *s, size_t i)
{
    char name[16];
    struct journal_frame f;

    (void)snprintf(name, sizeof(name), "c%u", s->v[i].stream / 2);
    f = journal_entry((unsigned)i + 1, name, s->v[i].text);
    f.v[JOURNAL_ID] = STR_NULL;
    f.v[JOURNAL_PRIORITY] = s->v[i].stream % 2 == 0 ? STR("6") : STR("3");
    if (s->v[i].is_piece)
        f.v[JOURNAL_PARTIAL] = STR("true");
    if (s->v[i].ordinal[0] != '0') {
        f.v[JOURNAL_PARTIAL_ID] = str_of(s->v[i].id);
        f.v[JOURNAL_ORDINAL] = str_of(s->v[i].ordinal);
    }
    say(f);
}

/* The entry at `place`. */
static size_t find_entry(const struct script *s)
{
    for (size_t i = 0; i < s->n && place[0] != '\0'; i++)
        if (strcmp(place, journal_cursor((unsigned)i + 1)) == 0)
            return i;
    assert_string_equal(place, "");
    return 0;
}

static bool all_is_there(void *arg)
{
    const struct script *s = arg;

    return w.server.records >= s->n_records; /* of notices there are more */
}

static size_t told(void)
{
    static const char MARK[] = " count=";
    struct str rest = buf_str(&w.server.lines);
    size_t sum = 0, at;

    while ((at = str_find(rest, STR(MARK))) != SIZE_MAX) {
        rest = str_from(rest, at + sizeof(MARK) - 1);
        sum += (size_t)strtoul(rest.p, NULL, 10);
    }
    return sum;
}

static bool all_is_told(void *arg)
{
    const struct script *s = arg;

    return told() >= s->n_noise;
}

static void kill_at_any_moment(unsigned seed)
{
    struct script *s = make_script(&seed);
    size_t kills = 0;

    begin(NOISE, JAVA);
    for (size_t i = 0; i < s->n; i++) {
        say_of(s, i);
        for (unsigned turns = next(&seed, 4); turns > 0; turns--)
            (void)uv_run(loop_uv(w.loop), UV_RUN_NOWAIT);
        if (next(&seed, (unsigned)s->n / 8) != 0 || kills == 8)
            continue;
        if (kills++ % 3 == 2)
            attach();
        else
            again(NOISE, JAVA);
        i = find_entry(s) - 1; /* goes on with that one */
    }
    wait_check(w.loop, all_is_there, s, "all records");
    again(NOISE, JAVA);
    for (size_t i = find_entry(s); i < s->n; i++)
        say_of(s, i);
    wait_check(w.loop, all_is_told, s, "all that was dropped");
    for (size_t i = 0; i < s->n_records; i++) {
        char text[8 * TEXT_MAX + 2];
        (void)snprintf(text, sizeof(text), "|%s\n", s->records[i]);
        world_check_once(text);
    }
    assert_int_equal(told(), s->n_noise);
    free(s);
}

static void killed_at_any_moment_all_is_there_once(void **state)
{
    kill_at_any_moment(1);
    for (unsigned seed = 2; seed <= 6; seed++) {
        (void)teardown(state);
        (void)setup(state);
        kill_at_any_moment(seed);
    }
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(killed_at_any_moment_all_is_there_once, setup, teardown))
