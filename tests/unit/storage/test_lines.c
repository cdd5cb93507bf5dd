/* storage/lines_*.c: lines and attributes of every kind through plan and frames and back, and plans
 * and frames that nobody encoded. */
#include "storage/lines.h"

#include "base/mem.h"
#include "tests/lib/bytes.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1 << 16, FRAMES_MAX = 4096 };

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(uint64_t below)
{
    return records_random(&seed) % below;
}

/* What was encoded, plain, and which frames somebody asked for. */
struct stored {
    struct str plan;
    struct str frame[FRAMES_MAX];
    unsigned asked[FRAMES_MAX];
    size_t n_frames;
    struct arena *arena;
};

static struct stored *keep(const struct lines_encoded *l)
{
    struct stored *s = mem_new(sizeof(*s));

    s->arena = arena_new(NULL, 0);
    s->plan = arena_str(s->arena, l->plan);
    assert_true(l->n_frames <= FRAMES_MAX);
    s->n_frames = l->n_frames;
    for (size_t i = 0; i < l->n_frames; i++)
        s->frame[i] = arena_str(s->arena, l->frame[i].bytes);
    return s;
}

static void forget(struct stored *s)
{
    arena_free(&s->arena);
    free(s);
}

static int give(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct stored *s = arg;

    if (index >= s->n_frames)
        return err_set(err, ERR_CORRUPT, "no such frame");
    s->asked[index]++;
    *ret = s->frame[index];
    return 0;
}

static struct lines *open_lines(struct stored *s, size_t n, struct arena *a,
                                struct lines_plan **plan)
{
    struct lines *l = NULL;
    struct err err;

    if (lines_plan_new(s->plan, n, NULL, plan, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal((*plan)->n_frames, s->n_frames);
    assert_int_equal(lines_open(*plan, give, s, a, &l, &err), 0);
    return l;
}

/* ---- lines ---- */

/* Some rows, here and there, of lines of which nothing is open yet. */
static void check_picks(struct stored *s, const struct str *line, size_t n)
{
    struct arena *a = arena_new(NULL, 0);
    struct lines_plan *plan = NULL;
    struct lines *l = open_lines(s, n, a, &plan);

    for (size_t k = 0; k < 40; k++) {
        size_t i = k == 0 ? n - 1 : rnd(n);
        struct str got = STR_NULL;
        struct err err;
        if (lines_render(l, i, a, &got, &err) < 0)
            fail_msg("row %zu alone: %s", i, err.text);
        if (!str_eq(got, line[i]))
            fail_msg("row %zu alone: '%.*s' is not '%.*s'", i, STR_ARG(got), STR_ARG(line[i]));
    }
    lines_plan_free(&plan);
    arena_free(&a);
}

/* Every row one by one, all at once, by its length, and by the rows of its template. */
static void check_lines(struct stored *s, const struct str *line, size_t n)
{
    struct arena *a = arena_new(NULL, 0);
    struct arena *out = arena_new(NULL, 0);
    struct lines_plan *plan = NULL;
    struct lines *l = open_lines(s, n, a, &plan);
    struct lines_ids ids;
    const uint32_t *end;
    struct str text;
    struct err err;

    assert_int_equal(lines_text(l, &text, &end, &err), 0);
    assert_int_equal(lines_ids(l, &ids, &err), 0);
    for (size_t i = 0; i < n; i++) {
        size_t from = i == 0 ? 0 : end[i - 1];
        struct str got = STR_NULL;
        const uint32_t *length = NULL;
        if (lines_render(l, i, out, &got, &err) < 0)
            fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(
            lines_lengths(l, ids.template == NULL ? 0 : ids.template[i], &length, &err), 0);
        assert_int_equal(length[ids.rank == NULL ? i : ids.rank[i]], line[i].n);
        if (!str_eq(got, line[i]) || !str_eq(str_sub(text, from, end[i] - from), line[i]))
            fail_msg("row %zu: '%.*s' is not '%.*s'", i, STR_ARG(got), STR_ARG(line[i]));
        if (ids.template != NULL) {
            const uint32_t *rows = NULL;
            assert_int_equal(lines_rows(l, ids.template[i], &rows, &err), 0);
            assert_int_equal(rows[ids.rank[i]], i);
        }
        arena_reset(out);
    }
    lines_plan_free(&plan);
    arena_free(&out);
    arena_free(&a);
    check_picks(s, line, n);
}

static struct str noise(struct arena *a, size_t n)
{
    char *p = arena_bytes(a, n + 1);

    for (size_t i = 0; i < n; i++)
        p[i] = (char)rnd(256);
    return (struct str){p, n};
}

static struct str many_numbers(struct arena *a, unsigned count)
{
    struct buf b;
    struct str s;

    buf_init(&b, 1 << 20);
    for (unsigned i = 0; i < count; i++)
        buf_addf(&b, "%u,", (unsigned)rnd(100000));
    s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static struct str number(struct arena *a)
{
    static const char *const odd[] = {"0",
                                      "-0",
                                      "+5",
                                      "007",
                                      "1e5",
                                      "18446744073709551615",
                                      "18446744073709551616",
                                      "00000000000000000000000001",
                                      "-9223372036854775808",
                                      "0x1f",
                                      "1.50",
                                      ".5",
                                      "5.",
                                      "",
                                      "1 "};

    if (rnd(3) == 0)
        return str_of(odd[rnd(sizeof(odd) / sizeof(odd[0]))]);
    if (rnd(2) == 0)
        return arena_printf(a, "%04u", (unsigned)rnd(10000));
    return arena_printf(a, "%llu", (unsigned long long)(records_random(&seed) >> rnd(64)));
}

static struct str shaped_line(struct arena *a, unsigned kind)
{
    struct str n = number(a);
    unsigned x = (unsigned)rnd(1000);

    switch (kind) {
    case 0:
        return arena_printf(a, "request %.*s took %u ms from 10.0.%u.%u", STR_ARG(n), x, x % 256,
                            x % 251);
    case 1:
        return arena_printf(a,
                            "{\"id\":%.*s,\"msg\":\"user %u\\n \\u00e9\",\"a\":[1,%u],\"x\":{"
                            "\"y\":\"\",\"z\":null}}",
                            STR_ARG(n), x, x);
    case 2:
        return arena_printf(a, "ts=%.*s level=info msg=\"got \\\"%u\\\" of 9\" empty= k=\"\"",
                            STR_ARG(n), x);
    case 3:
        return arena_printf(a,
                            "1.2.3.%u - - [22/Nov/2026:01:02:%02u +0000] \"GET /p/%u HTTP/1.1\" "
                            "200 %u \"-\" \"curl/8\"",
                            x % 256, x % 60, x, x * 7);
    case 4:
        return arena_printf(a, "id %08x-1111-4222-8333-%012x done", x * 2654435761u, x);
    case 5:
        return arena_printf(a, "%c%c%u \x1a%u%%s {} <*> \x7f", 0x11, 0x01, x, x % 3);
    default:
        return arena_printf(a, "%s", x % 2 == 0 ? "nothing varies here" : "");
    }
}

/* Lines as they come, and as nobody wants them. */
static struct str any_line(struct arena *a, bool nasty)
{
    static const char wild[] = "a 1\0b 22\r\xff\xfe\xc3( 333\n4";

    switch (nasty ? rnd(24) : 23) {
    case 0:
        return STR("");
    case 1:
        return noise(a, rnd(200));
    case 2:
        return (struct str){wild, rnd(sizeof(wild))};
    case 3:
        return many_numbers(a, 200);
    case 4:
        return many_numbers(a, (unsigned)rnd(131));
    case 5:
        return number(a);
    case 6: /* a line cut off anywhere */
        return str_sub(shaped_line(a, (unsigned)rnd(7)), 0, rnd(60));
    default:
        return shaped_line(a, (unsigned)rnd(7));
    }
}

static void check_encoded(struct lines_encoder *e, const struct str *line, size_t n)
{
    struct lines_encoded l;
    struct stored *s;
    struct err err;

    assert_int_equal(lines_encode(e, line, n, &l, &err), 0);
    s = keep(&l);
    check_lines(s, line, n);
    forget(s);
}

static void any_lines_come_back(void **state)
{
    struct lines_encoder *e[2] = {lines_encoder_new(false), lines_encoder_new(true)};
    struct str *line = malloc(ROWS_MAX * sizeof(*line));

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct arena *a = arena_new(NULL, 0);
        size_t n = round < 20 ? round + 1 : 1 + rnd(2500);
        for (size_t i = 0; i < n; i++)
            line[i] = any_line(a, round % 3 != 0);
        check_encoded(e[round % 2], line, n);
        arena_free(&a);
    }
    lines_encoder_free(&e[0]);
    lines_encoder_free(&e[1]);
    free(line);
}

static void long_lines_come_back(void **state)
{
    static const size_t lengths[] = {65534, 65535, 65536, 65537, 1 << 20};
    struct lines_encoder *e = lines_encoder_new(false);
    struct arena *a = arena_new(NULL, 0);
    struct str line[40];

    (void)state;
    for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++) {
        size_t n = lengths[i % 5];
        char *p = arena_bytes(a, n);
        memset(p, i % 2 == 0 ? '7' : 'x', n);
        if (i % 3 == 0)
            p[n / 2] = ' ';
        line[i] = (struct str){p, n};
    }
    check_encoded(e, line, sizeof(line) / sizeof(line[0]));
    check_encoded(e, line + 4, 1);
    arena_free(&a);
    lines_encoder_free(&e);
}

/* Each line a template of its own: no more of them are kept than there is support for. */
static void a_template_for_each_line_is_none(void **state)
{
    struct lines_encoder *e = lines_encoder_new(false);
    struct str *line = malloc(ROWS_MAX * sizeof(*line));
    struct arena *a = arena_new(NULL, 0);
    struct lines_plan *plan = NULL;
    struct lines_encoded l;
    struct stored *s;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ROWS_MAX; i++) {
        char word[12];
        size_t n = 4 + i % 8;
        for (size_t k = 0; k < n; k++)
            word[k] = (char)('a' + (i >> 2 * k) % 26);
        line[i] = arena_printf(a, "%.*s %zu %.*s", (int)n, word, i, (int)n, word);
    }
    assert_int_equal(lines_encode(e, line, ROWS_MAX, &l, &err), 0);
    s = keep(&l);
    assert_int_equal(lines_plan_new(s->plan, ROWS_MAX, NULL, &plan, &err), 0);
    assert_true(plan->n_templates <= LINES_TEMPLATES_MAX + 1);
    lines_plan_free(&plan);
    check_lines(s, line, ROWS_MAX);
    forget(s);
    arena_free(&a);
    lines_encoder_free(&e);
    free(line);
}

static void equal_lines_give_equal_bytes(void **state)
{
    struct lines_encoder *used = lines_encoder_new(false);
    struct lines_encoder *fresh = lines_encoder_new(false);
    struct arena *a = arena_new(NULL, 0);
    struct str line[2000];
    struct lines_encoded l;
    struct stored *s[2];
    struct err err;

    (void)state;
    for (size_t i = 0; i < 2000; i++)
        line[i] = any_line(a, true);
    assert_int_equal(lines_encode(used, line + 900, 700, &l, &err), 0);
    assert_int_equal(lines_encode(used, line, 2000, &l, &err), 0);
    s[0] = keep(&l);
    assert_int_equal(lines_encode(fresh, line, 2000, &l, &err), 0);
    s[1] = keep(&l);
    assert_true(str_eq(s[0]->plan, s[1]->plan));
    assert_int_equal(s[0]->n_frames, s[1]->n_frames);
    for (size_t i = 0; i < s[0]->n_frames; i++)
        assert_true(str_eq(s[0]->frame[i], s[1]->frame[i]));
    assert_int_equal(lines_encode_raw(fresh, line, 2000, &l, &err), 0);
    forget(s[1]);
    s[1] = keep(&l);
    check_lines(s[1], line, 2000);
    forget(s[0]);
    forget(s[1]);
    arena_free(&a);
    lines_encoder_free(&used);
    lines_encoder_free(&fresh);
}

/* One row of one template costs the ids and the columns of that template, each frame once. */
static void a_row_reads_what_its_template_needs(void **state)
{
    struct lines_encoder *e = lines_encoder_new(false);
    struct str *line = malloc(20000 * sizeof(*line));
    struct arena *a = arena_new(NULL, 0);
    struct lines_plan *plan = NULL;
    struct lines_encoded enc;
    struct stored *s;
    struct lines *l;
    struct str got;
    struct err err;
    unsigned asked = 0;

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        unsigned long long x = records_random(&seed);
        line[i] = i % 2 == 0 ? arena_printf(a, "left %llu", x) : arena_printf(a, "right %llu", x);
    }
    assert_int_equal(lines_encode(e, line, 20000, &enc, &err), 0);
    s = keep(&enc);
    l = open_lines(s, 20000, a, &plan);
    assert_int_equal(plan->n_templates, 2);
    assert_int_equal(s->n_frames, 3); /* ids, and two columns that are large enough to be alone */
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(lines_render(l, 7, a, &got, &err), 0);
        assert_true(str_eq(got, line[7]));
        assert_int_equal(s->asked[0], 1);
        asked = s->asked[1] + s->asked[2];
        assert_int_equal(asked, 1);
    }
    lines_plan_free(&plan);
    forget(s);
    arena_free(&a);
    lines_encoder_free(&e);
    free(line);
}

/* ---- attributes ---- */

static struct lines_attr_row any_attrs(struct arena *a, unsigned shape)
{
    static const char *const name[] = {"a", "b\xff", "detected_level", "trace_id", "user", "z"};
    uint32_t n = shape == 7 ? 200 : 6;
    struct label *v = arena_alloc(a, n * sizeof(*v));
    uint32_t m = 0;

    if (shape == 7) /* more than a template has slots */
        for (; m < n; m++)
            v[m] = (struct label){arena_printf(a, "k%03u", m), number(a)};
    for (uint32_t i = 0; shape < 6 && i < n; i++)
        if ((shape >> i % 3 & 1) != 0 || rnd(9) == 0)
            v[m++] = (struct label){str_of(name[i]), rnd(20) == 0 ? noise(a, rnd(30)) : number(a)};
    if (shape == 6)
        v[m++] = (struct label){arena_printf(a, "k%u", (unsigned)rnd(100000)), STR_NULL};
    return (struct lines_attr_row){v, m};
}

static void check_attrs(struct stored *s, const struct lines_attr_row *row, size_t n)
{
    struct arena *a = arena_new(NULL, 0);
    struct lines_plan *plan = NULL;
    struct lines *l = open_lines(s, n, a, &plan);

    for (size_t i = 0; i < n; i++) {
        const struct label *v = NULL;
        uint32_t m = 0;
        struct err err;
        assert_int_equal(lines_attrs(l, i, a, &v, &m, &err), 0);
        assert_int_equal(m, row[i].n);
        for (uint32_t k = 0; k < m; k++) {
            assert_true(str_eq(v[k].name, row[i].attr[k].name));
            assert_true(str_eq(v[k].value, row[i].attr[k].value));
        }
    }
    lines_plan_free(&plan);
    arena_free(&a);
}

static void any_attributes_come_back(void **state)
{
    struct lines_encoder *e = lines_encoder_new(false);
    struct lines_attr_row *row = malloc(3000 * sizeof(*row));
    struct lines_encoded l;
    struct err err;

    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        struct arena *a = arena_new(NULL, 0);
        size_t n = round < 10 ? round + 1 : 1 + rnd(1500);
        size_t some = 0;
        for (size_t i = 0; i < n; i++) {
            row[i] = any_attrs(a, (unsigned)rnd(round % 4 == 0 ? 3 : 8));
            some += row[i].n;
        }
        assert_int_equal(lines_encode_attrs(e, row, n, &l, &err), 0);
        assert_int_equal(l.plan.n > 0, some > 0);
        if (some > 0) {
            struct stored *s = keep(&l);
            check_attrs(s, row, n);
            forget(s);
        }
        arena_free(&a);
    }
    memset(row, 0, 10 * sizeof(*row));
    assert_int_equal(lines_encode_attrs(e, row, 10, &l, &err), 0);
    assert_int_equal(l.plan.n + l.n_frames, 0); /* nobody has any: nothing is stored */
    lines_encoder_free(&e);
    free(row);
}

/* ---- from strangers ---- */

static void flip_bit(char *p, size_t n)
{
    uint64_t bit = rnd(8 * n);

    p[bit / 8] = (char)((unsigned char)p[bit / 8] ^ 1u << bit % 8);
}

static bool is_refusal(int r)
{
    return r == ERR_CORRUPT || r == ERR_LIMIT || r == ERR_NOMEM;
}

/* Read all that can be read: rows or errors, within the budget. */
static unsigned read_hostile(struct stored *s, size_t n, bool attrs)
{
    struct mem_budget budget = {.name = "query", .limit = 32 << 20};
    struct arena *a = arena_new(&budget, 0);
    struct lines_plan *plan = NULL;
    struct lines *l = NULL;
    struct str got;
    const uint32_t *end;
    unsigned refused = 0;
    struct err err;
    int r = lines_plan_new(s->plan, n, &budget, &plan, &err);

    if (r == 0)
        r = lines_open(plan, give, s, a, &l, &err);
    assert_true(r == 0 || is_refusal(r));
    refused += r != 0;
    for (size_t i = 0; r == 0 && i < n; i += 1 + n / 16) {
        const struct label *v = NULL;
        uint32_t m = 0;
        int q = attrs ? lines_attrs(l, i, a, &v, &m, &err) : lines_render(l, i, a, &got, &err);
        assert_true(q == 0 || is_refusal(q));
        refused += q != 0;
    }
    if (r == 0) {
        int q = lines_text(l, &got, &end, &err);
        assert_true(q == 0 || is_refusal(q));
        refused += q != 0;
    }
    lines_plan_free(&plan);
    arena_free(&a);
    assert_true(budget.used == 0);
    return refused > 0;
}

static unsigned damage(struct stored *s, size_t n, bool attrs, unsigned round)
{
    struct str *victim =
        round % 2 == 0 || s->n_frames == 0 ? &s->plan : &s->frame[rnd(s->n_frames)];
    struct str whole = *victim;
    char *copy = bytes_exact(whole);
    unsigned refused = 0;

    victim->p = copy;
    if (whole.n > 0 && round % 8 == 7)
        victim->n = rnd(whole.n);
    else
        for (uint64_t flips = 1 + rnd(3); whole.n > 0 && flips > 0; flips--)
            flip_bit(copy, whole.n);
    refused = read_hostile(s, n, attrs);
    *victim = whole;
    free(copy);
    return refused;
}

static void damaged_plans_and_frames_end_in_an_error(void **state)
{
    struct lines_encoder *e = lines_encoder_new(false);
    struct arena *a = arena_new(NULL, 0);
    struct str line[300];
    struct lines_attr_row row[300];
    struct lines_encoded l;
    unsigned refused = 0;
    struct err err;

    (void)state;
    for (unsigned batch = 0; batch < 4; batch++) {
        struct stored *s;
        for (size_t i = 0; i < 300; i++) {
            line[i] = any_line(a, batch % 2 != 0);
            row[i] = any_attrs(a, (unsigned)rnd(8));
        }
        if (batch < 2)
            assert_int_equal(lines_encode(e, line, 300, &l, &err), 0);
        else
            assert_int_equal(lines_encode_attrs(e, row, 300, &l, &err), 0);
        s = keep(&l);
        for (unsigned round = 0; round < 1000; round++)
            refused += damage(s, 300, batch >= 2, round);
        forget(s);
    }
    assert_true(refused > 1000);
    arena_free(&a);
    lines_encoder_free(&e);
}

/* A few bytes that claim to be very much. */
static void a_plan_that_lies_costs_nothing(void **state)
{
    static const char *const liars[] = {
        "",
        "00",
        "01 01 00",
        "8120 01 00 00000000",                   /* 4097 templates in four bytes */
        "01 ffffffffffffffffff01 00 01010101",   /* columns without end */
        "01 01 ff7f 00 0a 01 00 00 00 00",       /* frames without columns */
        "01 01 00 00 0b 01 00 00 00 00",         /* eleven of ten rows */
        "01 01 00 00 0a 01 ffffffff0f 00 00 00", /* a piece of 4 GiB */
        "01 01 00 05 0a 02 00 00 00 00",         /* more slots than columns */
        "01 01 00 09 0a 01 00 00 00 00",         /* a kind that is none */
    };
    struct mem_budget budget = {.name = "query", .limit = 64 << 10};

    (void)state;
    for (size_t i = 0; i < sizeof(liars) / sizeof(liars[0]); i++) {
        struct arena *a = arena_new(NULL, 0);
        struct lines_plan *plan = NULL;
        struct str in = bytes(a, liars[i]);
        char *exact = bytes_exact(in);
        struct err err;
        assert_int_equal(lines_plan_new((struct str){exact, in.n}, 10, &budget, &plan, &err),
                         ERR_CORRUPT);
        assert_null(plan);
        free(exact);
        arena_free(&a);
    }
    assert_true(budget.used == 0);
    assert_true(budget.peak <= 8192);
}

/* A constant of some size for each of many rows must not become memory without end. */
static void rendering_stays_in_its_arena(void **state)
{
    struct lines_encoder *e = lines_encoder_new(false);
    struct mem_budget budget = {.name = "query", .limit = 4 << 20};
    struct arena *all = arena_new(NULL, 0);
    struct arena *a = arena_new(&budget, 0);
    struct str *line = malloc(2000 * sizeof(*line));
    struct lines_plan *plan = NULL;
    struct lines_encoded enc;
    struct stored *s;
    struct lines *l;
    const uint32_t *end;
    struct str got;
    struct err err;

    (void)state;
    got = many_numbers(all, 1000); /* more than a template has slots: a constant, raw */
    for (size_t i = 0; i < 2000; i++)
        line[i] = got;
    assert_int_equal(lines_encode(e, line, 2000, &enc, &err), 0);
    s = keep(&enc);
    assert_true(s->plan.n < 10000);
    l = open_lines(s, 2000, a, &plan);
    assert_int_equal(lines_text(l, &got, &end, &err), ERR_NOMEM);
    lines_plan_free(&plan);
    forget(s);
    arena_free(&a);
    arena_free(&all);
    assert_true(budget.used == 0);
    lines_encoder_free(&e);
    free(line);
}

/* Values are picked while that costs less than opening their columns, then these are opened. */
static void few_rows_open_no_column(void **state)
{
    enum { N = 20000, FEW = 30, MANY = 400 };
    struct lines_encoder *e = lines_encoder_new(false);
    struct str *line = malloc(N * sizeof(*line));
    struct arena *a = arena_new(NULL, 0);
    struct arena *in = arena_new(NULL, 0);
    struct arena *out = arena_new(NULL, 0);
    struct lines_plan *plan = NULL;
    struct lines_encoded enc;
    struct stored *s;
    struct lines *l;
    struct str got;
    struct err err;
    size_t before;

    (void)state;
    for (size_t i = 0; i < N; i++)
        line[i] = arena_printf(a, "id %016llx", (unsigned long long)rnd(UINT64_MAX));
    assert_int_equal(lines_encode(e, line, N, &enc, &err), 0);
    s = keep(&enc);
    l = open_lines(s, N, in, &plan);
    before = arena_used(in);
    for (size_t i = 0; i < MANY; i++) {
        if (i == FEW)
            assert_true(arena_used(in) - before < N); /* opened it has 20 bytes a row */
        assert_int_equal(lines_render(l, N - 1 - 7 * i, out, &got, &err), 0);
        assert_true(str_eq(got, line[N - 1 - 7 * i]));
    }
    assert_true(arena_used(in) - before > 20 * N);
    before = arena_used(in);
    assert_int_equal(lines_render(l, 3, out, &got, &err), 0);
    assert_int_equal(arena_used(in), before);
    lines_plan_free(&plan);
    forget(s);
    arena_free(&a);
    arena_free(&in);
    arena_free(&out);
    lines_encoder_free(&e);
    free(line);
}

CHECK_MAIN(cmocka_unit_test(any_lines_come_back), cmocka_unit_test(long_lines_come_back),
           cmocka_unit_test(a_template_for_each_line_is_none),
           cmocka_unit_test(equal_lines_give_equal_bytes),
           cmocka_unit_test(a_row_reads_what_its_template_needs),
           cmocka_unit_test(few_rows_open_no_column), cmocka_unit_test(any_attributes_come_back),
           cmocka_unit_test(damaged_plans_and_frames_end_in_an_error),
           cmocka_unit_test(a_plan_that_lies_costs_nothing),
           cmocka_unit_test(rendering_stays_in_its_arena))
