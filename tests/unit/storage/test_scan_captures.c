/* storage/scan_captures.c: what is told of the captures of a template's lines holds for each. */
#include "storage/scan_captures.h"

#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <stdlib.h>

enum { LINES = 300, ROUNDS = 100, PATTERNS = 40, PIECES_MAX = 16, FRAMES_MAX = 256 };

static uint64_t seed = 88172645463325252u;

static unsigned under(unsigned n)
{
    return (unsigned)(records_random(&seed) % n);
}

struct stored {
    struct str frame[FRAMES_MAX];
    struct arena *arena;
    struct lines_plan *plan;
    struct lines *lines;
};

static int give(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct stored *s = arg;
    (void)err;

    *ret = s->frame[index];
    return 0;
}

static void store(struct stored *s, struct lines_encoder *e, const struct str *line, size_t n)
{
    struct lines_encoded l;
    struct err err;

    s->arena = arena_new(NULL, 0);
    assert_int_equal(lines_encode(e, line, n, &l, &err), 0);
    assert_true(l.n_frames <= FRAMES_MAX);
    for (size_t i = 0; i < l.n_frames; i++)
        s->frame[i] = arena_str(s->arena, l.frame[i].bytes);
    assert_int_equal(lines_plan_new(l.plan, n, NULL, &s->plan, &err), 0);
    assert_int_equal(lines_open(s->plan, give, s, s->arena, &s->lines, &err), 0);
}

static void drop(struct stored *s)
{
    lines_plan_free(&s->plan);
    arena_free(&s->arena);
}

/* The captures of one line, by piece; STR_NULL: absent. */
static void walk(const struct scan_pattern *p, struct str line, struct str *ret)
{
    size_t i = 0;

    for (size_t k = 0; k < p->n; k++)
        ret[k] = STR_NULL;
    if (line.n == 0)
        return;
    if (!p->v[0].is_capture) {
        if (!str_starts(line, p->v[0].text))
            return;
        line = str_from(line, p->v[i++].text.n);
    }
    for (; i < p->n; i += 2) {
        size_t end = i + 1 < p->n ? str_find(line, p->v[i + 1].text) : SIZE_MAX;
        ret[i] = str_sub(line, 0, end);
        if (end == SIZE_MAX)
            return;
        line = str_from(line, end + p->v[i + 1].text.n);
    }
}

static uint64_t told[CAPTURE_UNKNOWN + 1];

static void check_line(struct stored *s, const struct scan_pattern *p,
                       const struct scan_captures *c, size_t t, size_t rank, struct str line)
{
    struct str want[PIECES_MAX];

    walk(p, line, want);
    for (size_t i = 0; i < p->n; i++) {
        const struct slot_view *v = NULL;
        struct str is = STR_NULL;
        char room[SLOT_ROOM];
        struct err err;
        if (!p->v[i].is_capture || c->v[i].kind == CAPTURE_UNKNOWN)
            continue;
        if (c->v[i].kind == CAPTURE_CONST)
            is = c->v[i].text;
        if (c->v[i].kind == CAPTURE_SLOT) {
            assert_int_equal(lines_slot(s->lines, t, c->v[i].slot, &v, &err), 0);
            is = slot_value(v, rank, room);
        }
        if ((is.p == NULL) != (want[i].p == NULL) || !str_eq(is, want[i]))
            fail_msg("piece %zu of %.*s is not %.*s", i, STR_ARG(line), STR_ARG(is));
    }
}

static void check_all(struct stored *s, const struct scan_pattern *p, const struct str *line,
                      size_t n)
{
    struct scan_captures *c = arena_alloc(s->arena, s->plan->n_templates * sizeof(*c));
    struct lines_ids ids;
    struct err err;

    assert_int_equal(lines_ids(s->lines, &ids, &err), 0);
    for (size_t t = 0; t < s->plan->n_templates; t++) {
        assert_int_equal(scan_captures(p, s->plan, t, s->arena, &c[t], &err), 0);
        for (size_t i = 0; i < p->n; i++)
            told[c[t].v[i].kind] += p->v[i].is_capture;
    }
    for (size_t i = 0; i < n; i++) {
        size_t t = ids.template == NULL ? 0 : ids.template[i];
        check_line(s, p, &c[t], t, ids.rank == NULL ? i : ids.rank[i], line[i]);
    }
}

/* Lines of one form whose words and numbers are short and alike, so that literals stand in them,
 * across their ends, and nowhere. */
static struct str make_line(struct arena *a, unsigned form)
{
    static const char *const WORD[] = {"a", "ab", "b-", "-a", "", "x1", "a b", "=", "1a"};
    const char *w = WORD[under(9)];
    const char *u = WORD[under(under(3) == 0 ? 9 : 3)];
    unsigned n = under(3) == 0 ? 7 : under(300);

    switch (form) {
    case 0:
        return arena_printf(a, "level=%s n=%u took=%ums msg=\"%s %u\"", u, n, under(90), w, n);
    case 1:
        return arena_printf(a, "{\"a\":\"%s\",\"n\":%u,\"ab\":\"%s\"}", w, n, u);
    case 2:
        return arena_printf(a,
                            "1.2.3.%u - %s [10/Oct/2025:13:55:%02u +0000] \"GET /%s HTTP/1.1\" "
                            "200 %u",
                            under(250), under(2) == 0 ? "-" : "ab", under(60), u, n);
    case 3:
        return arena_printf(a, "a %u b-%u ab%u-%ua", n, under(9), under(12), under(3));
    case 4:
        return arena_printf(a, "%u%s %u", n, u, under(20));
    default:
        return arena_printf(a, "%s", w);
    }
}

static struct scan_pattern make_pattern(struct scan_piece *v)
{
    static const struct str LITERAL[] = {
        STR_INIT(" "),   STR_INIT("a"),    STR_INIT("ab"),      STR_INIT("-"),  STR_INIT("- "),
        STR_INIT("="),   STR_INIT(" n="),  STR_INIT("\""),      STR_INIT("1"),  STR_INIT("level="),
        STR_INIT("\":"), STR_INIT("{\""),  STR_INIT(",\"n\":"), STR_INIT("7"),  STR_INIT(" b-"),
        STR_INIT(" ["),  STR_INIT("] \""), STR_INIT("ms "),     STR_INIT("a "), STR_INIT(" - "),
    };
    size_t n = 1 + under(7);
    bool is_capture = under(2) == 0;

    for (size_t i = 0; i < n; i++, is_capture = !is_capture)
        v[i] = (struct scan_piece){is_capture ? STR("c") : LITERAL[under(20)], is_capture};
    return (struct scan_pattern){v, n};
}

static void captures_hold_for_every_line(void **state)
{
    struct lines_encoder *e = lines_encoder_new(false);
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct arena *a = arena_new(NULL, 0);
        struct str line[LINES];
        struct stored s;
        unsigned forms = 1 + under(6);
        unsigned first = under(6);
        for (size_t i = 0; i < LINES; i++)
            line[i] = make_line(a, (first + under(forms)) % 6);
        store(&s, e, line, LINES);
        for (unsigned k = 0; k < PATTERNS; k++) {
            struct scan_piece v[PIECES_MAX];
            struct scan_pattern p = make_pattern(v);
            check_all(&s, &p, line, LINES);
        }
        drop(&s);
        arena_free(&a);
    }
    lines_encoder_free(&e);
    for (unsigned i = 0; i <= CAPTURE_UNKNOWN; i++)
        assert_true(told[i] > 50);
}

/* Each capture of an access log as its users write it, by what it is. */
static void captures_of_an_access_log_are_slots(void **state)
{
    static const struct scan_piece v[] = {
        {STR_INIT("ip"), true},      {STR_INIT(" - "), false}, {STR_INIT("user"), true},
        {STR_INIT(" ["), false},     {STR_INIT("time"), true}, {STR_INIT("] \""), false},
        {STR_INIT("method"), true},  {STR_INIT(" "), false},   {STR_INIT("path"), true},
        {STR_INIT(" HTTP/"), false}, {STR_INIT("_"), true},    {STR_INIT("\" "), false},
        {STR_INIT("status"), true},  {STR_INIT(" "), false},   {STR_INIT("bytes"), true},
    };
    const struct scan_pattern p = {v, sizeof(v) / sizeof(*v)};
    struct lines_encoder *e = lines_encoder_new(false);
    struct arena *a = arena_new(NULL, 0);
    struct str line[LINES];
    struct scan_captures c;
    struct stored s;
    struct err err;
    (void)state;

    for (size_t i = 0; i < LINES; i++)
        line[i] = arena_printf(
            a, "10.0.%u.%u - %s [10/Oct/2025:13:%02u:%02u +0000] \"%s /p/%u HTTP/1.1\" %u %u",
            under(9), under(250), under(2) == 0 ? "-" : "ab", under(60), under(60),
            under(2) == 0 ? "GET" : "POST", under(100), under(2) == 0 ? 200u : 404u, under(9000));
    store(&s, e, line, LINES);
    assert_int_equal(s.plan->n_templates, 1);
    assert_int_equal(scan_captures(&p, s.plan, 0, s.arena, &c, &err), 0);
    for (size_t i = 0; i < p.n; i += 2) {
        enum scan_capture_kind want = i == 4    ? CAPTURE_UNKNOWN /* a time and its zone */
                                      : i == 10 ? CAPTURE_CONST
                                                : CAPTURE_SLOT;
        assert_int_equal(c.v[i].kind, want);
    }
    assert_int_equal(c.n_sure, p.n);
    check_all(&s, &p, line, LINES);
    drop(&s);
    arena_free(&a);
    lines_encoder_free(&e);
}

CHECK_MAIN(cmocka_unit_test(captures_hold_for_every_line),
           cmocka_unit_test(captures_of_an_access_log_are_slots))
