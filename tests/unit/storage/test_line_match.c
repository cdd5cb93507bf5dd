/* storage/line_match.c against asking of every line. */
#include "storage/line_match.h"

#include "base/obj.h"
#include "base/regexp.h"

#include "tests/lib/check.h"

#include <ctype.h>
#include <stdio.h>

enum { ROWS_MAX = 600, LINE_BYTES = 400, ALTERNATIVES = 3, PATTERN_MAX = 200 };

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % n;
}

/* ---- a block that counts what is read of it ---- */

struct block {
    struct lines_encoder *encoder;
    struct lines_encoded enc;
    struct lines_plan *plan;
    struct lines *lines;
    struct arena *arena;
    struct str line[ROWS_MAX];
    size_t n;
    char *text;
    size_t used;
    size_t frames_read;
};

static int give_frame(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct block *b = arg;

    (void)err;
    assert_true(index < b->enc.n_frames);
    b->frames_read++;
    *ret = b->enc.frame[index].bytes;
    return 0;
}

static void block_init(struct block *b)
{
    *b = (struct block){.encoder = lines_encoder_new(false)};
    b->text = mem_new((size_t)ROWS_MAX * LINE_BYTES);
    b->arena = arena_new(NULL, 0);
}

static void block_reset(struct block *b)
{
    lines_plan_free(&b->plan);
    arena_reset(b->arena);
    b->n = b->used = b->frames_read = 0;
}

static void block_fini(struct block *b)
{
    block_reset(b);
    arena_free(&b->arena);
    lines_encoder_free(&b->encoder);
    free(b->text);
}

static void add_line(struct block *b, struct str line)
{
    assert_true(b->n < ROWS_MAX && line.n <= LINE_BYTES);
    memcpy(b->text + b->used, line.p, line.n);
    b->line[b->n++] = (struct str){b->text + b->used, line.n};
    b->used += line.n;
}

static void block_open(struct block *b)
{
    struct err err;

    assert_int_equal(lines_encode(b->encoder, b->line, b->n, &b->enc, &err), 0);
    if (lines_plan_new(b->enc.plan, b->n, NULL, &b->plan, &err) < 0)
        fail_msg("%s", err.text);
}

/* Which rows pass, by reading columns. */
static void match(struct block *b, const struct line_match *m, uint64_t *selected,
                  struct line_match_stats *stats)
{
    struct err err;
    int r = lines_open(b->plan, give_frame, b, b->arena, &b->lines, &err);

    *stats = (struct line_match_stats){0};
    b->frames_read = 0;
    if (r == 0)
        r = line_match_block(m, b->lines, selected, b->arena, stats, &err);
    if (r < 0)
        fail_msg("%s", err.text);
}

/* ---- random lines ---- */

static void put_line(struct block *b, unsigned kind, unsigned i)
{
    static const char *const WORDS[] = {"error", "Timeout", "disk", "task", "GET", "Kafka", "blk_"};
    char line[LINE_BYTES];
    const char *word = WORDS[rnd(7)];
    int n;

    switch (kind) {
    case 0:
        n = snprintf(line, sizeof(line), "Received block blk_%u_%u of size %u from /10.%u.0.%u:%u",
                     1073740000u + (unsigned)rnd(3000), 1000 + (unsigned)rnd(9000),
                     (unsigned)rnd(100000), (unsigned)rnd(4), (unsigned)rnd(250),
                     (unsigned)rnd(65536));
        break;
    case 1:
        n = snprintf(line, sizeof(line),
                     "{\"level\":\"%s\",\"msg\":\"%s took %u\",\"id\":\"%08x%08x\",\"n\":%u}", word,
                     WORDS[rnd(7)], (unsigned)rnd(50), (unsigned)rnd(1u << 31),
                     (unsigned)rnd(1u << 31), i);
        break;
    case 2:
        n = snprintf(line, sizeof(line), "ts=%04u-%02u t=%03u.%03u level=%s user=u%u ok=%s", 2020u,
                     (unsigned)rnd(12), (unsigned)rnd(1000), (unsigned)rnd(1000), word,
                     (unsigned)rnd(30), rnd(2) == 0 ? "true" : "false");
        break;
    case 3:
        n = snprintf(line, sizeof(line), "%s %llu %02u:%02u:%02u,%03u x%uy", word,
                     (unsigned long long)(seed >> rnd(60)), (unsigned)rnd(24), (unsigned)rnd(60),
                     (unsigned)rnd(60), (unsigned)rnd(1000), (unsigned)rnd(10));
        break;
    case 4:
        n = snprintf(line, sizeof(line), "caf\xc3\xa9 %u \xe2\x84\xaa%u ta\xc5\xbfk\xff%u",
                     (unsigned)rnd(100), (unsigned)rnd(10), (unsigned)rnd(1000));
        break;
    case 6:
        n = snprintf(
            line, sizeof(line), "trace=%016llx%08x%08x span=%015llx id=%08x-%04x-%04x X%010X;",
            (unsigned long long)rnd(UINT64_MAX), (unsigned)rnd(1u << 31), (unsigned)rnd(1u << 31),
            (unsigned long long)rnd(UINT64_C(1) << 60), (unsigned)rnd(1u << 31),
            (unsigned)rnd(1u << 16), (unsigned)rnd(1u << 16), (unsigned)rnd(1u << 31));
        break;
    case 7:
        n = snprintf(line, sizeof(line), "2026-03-0%uT17:%02u:%02u.%09uZ up", 1 + i / 300,
                     i / 60 % 60, i % 60, (unsigned)rnd(1000000000));
        break;
    case 8:
        if (rnd(4) == 0)
            n = snprintf(line, sizeof(line), "{\"path\":\"/%s\",\"ok\":1}", word);
        else
            n = snprintf(line, sizeof(line), "{\"path\":\"/v1/%s/%u%s\",\"ok\":1}", word,
                         (unsigned)rnd(UINT64_C(1) << rnd(32)), rnd(3) == 0 ? "/cart9" : "");
        break;
    default:
        n = (int)rnd(20);
        for (int k = 0; k < n; k++)
            line[k] = rnd(3) == 0 ? (char)rnd(256) : "abks019 -:\""[rnd(11)];
        break;
    }
    add_line(b, (struct str){line, (size_t)n});
}

static void fill(struct block *b)
{
    size_t n = 1 + rnd(ROWS_MAX - 1);
    unsigned first = (unsigned)rnd(9);
    unsigned kinds = 1 + (unsigned)rnd(9);

    block_reset(b);
    for (unsigned i = 0; i < n; i++)
        put_line(b, rnd(30) == 0 ? 5 : (first + (unsigned)rnd(kinds)) % 9, i);
    block_open(b);
}

/* ---- random filters ---- */

struct filter {
    struct scan_filter f;
    char buf[ALTERNATIVES][PATTERN_MAX];
    struct str text[ALTERNATIVES];
    struct regexp *re[ALTERNATIVES];
    const struct regexp *list[ALTERNATIVES];
};

static struct str cut_out(const struct block *b)
{
    struct str line = b->line[rnd(b->n)];
    size_t from = rnd(line.n + 1);
    size_t n = rnd(rnd(3) == 0 ? 40 : 9);

    if (rnd(4) == 0) { /* a whole word: an id, a number */
        while (from > 0 && isalnum((unsigned char)line.p[from - 1]))
            from--;
        for (n = 0; from + n < line.n && n < 40; n++)
            if (!isalnum((unsigned char)line.p[from + n]) && line.p[from + n] != '-')
                break;
    }
    return str_sub(line, from, n);
}

static void append(char *buf, size_t *n, const char *z)
{
    size_t len = strlen(z);

    if (len + 1 < PATTERN_MAX - *n) {
        memcpy(buf + *n, z, len + 1);
        *n += len;
    }
}

/* A pattern that has something to do with the text: parts of it in other words. */
static void put_pattern(char *buf, struct str text)
{
    size_t n = 0;

    buf[0] = '\0';
    if (rnd(3) == 0)
        append(buf, &n, "(?i)");
    if (rnd(12) == 0)
        append(buf, &n, "^");
    if (rnd(12) == 0)
        append(buf, &n, ".*");
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        char z[8];
        (void)snprintf(z, sizeof(z), c >= 0x80 ? "." : isalnum(c) ? "%c" : "\\x%02x", c);
        if (isdigit(c) && rnd(4) == 0)
            append(buf, &n, rnd(2) == 0 ? "\\d" : "\\d+");
        else if (isalpha(c) && rnd(8) == 0)
            append(buf, &n, rnd(2) == 0 ? "\\w+" : "[a-z]");
        else if (rnd(20) == 0)
            append(buf, &n, rnd(2) == 0 ? ".*" : "[^x]{1,3}");
        else if (rnd(20) == 0)
            append(buf, &n, "(?:a|9|)");
        else
            append(buf, &n, z);
        if (rnd(25) == 0)
            append(buf, &n, "?");
    }
    if (rnd(12) == 0)
        append(buf, &n, "$");
    if (rnd(12) == 0)
        append(buf, &n, "|Kafka 7");
    if (rnd(30) == 0)
        append(buf, &n, "\\pL?"); /* no automaton */
}

static void make_filter(struct filter *f, const struct block *b)
{
    struct err err;

    *f = (struct filter){.f = {.op = (enum scan_filter_op)rnd(4)}};
    f->f.n = rnd(4) == 0 ? 2 + rnd(2) : 1;
    f->f.text = f->text;
    f->f.re = f->list;
    for (size_t i = 0; i < f->f.n; i++) {
        if (f->f.op == SCAN_CONTAINS || f->f.op == SCAN_CONTAINS_NOT) {
            struct str s = cut_out(b);
            memcpy(f->buf[i], s.p, s.n);
            if (s.n > 0 && rnd(3) == 0)
                f->buf[i][rnd(s.n)] = (char)('0' + rnd(10));
            f->text[i] = (struct str){f->buf[i], s.n};
            continue;
        }
        do
            put_pattern(f->buf[i], cut_out(b));
        while (regexp_new(str_of(f->buf[i]), false, &f->re[i], &err) < 0);
        f->list[i] = f->re[i];
    }
}

static void free_filter(struct filter *f)
{
    for (size_t i = 0; i < ALTERNATIVES; i++)
        regexp_free(&f->re[i]);
}

static bool naive(const struct filter *f, struct str line)
{
    bool negative = f->f.op == SCAN_CONTAINS_NOT || f->f.op == SCAN_MATCHES_NOT;
    bool found = false;

    for (size_t i = 0; i < f->f.n; i++)
        found = found || (f->re[i] == NULL ? str_find(line, f->text[i]) != SIZE_MAX
                                           : regexp_matches(f->re[i], line));
    return found != negative;
}

static void check_filter(struct block *b, const struct filter *f)
{
    uint64_t selected[(ROWS_MAX + 63) / 64] = {0};
    uint64_t was[(ROWS_MAX + 63) / 64] = {0};
    bool sparse = rnd(2) == 0;
    bool any = false;
    struct line_match *m = NULL;
    struct line_match_stats stats;
    struct err err;

    for (size_t i = 0; i < b->n; i++)
        if (!sparse || rnd(3) == 0)
            selected[i / 64] |= UINT64_C(1) << (i % 64);
    memcpy(was, selected, sizeof(was));
    assert_int_equal(line_match_new(&f->f, &m, &err), 0);
    match(b, m, selected, &stats);
    for (size_t i = 0; i < b->n; i++) {
        bool want = naive(f, b->line[i]);
        bool got = (selected[i / 64] >> (i % 64) & 1) != 0;
        bool asked = (was[i / 64] >> (i % 64) & 1) != 0;
        any = any || want;
        if (got != (want && asked))
            fail_msg("op %d, '%.*s' on '%.*s': %d", (int)f->f.op, PATTERN_MAX, f->buf[0],
                     STR_ARG(b->line[i]), got);
        assert_int_equal(line_match_line(m, b->line[i]), want);
    }
    assert_true(line_match_plan(m, b->plan) || !any);
    line_match_free(&m);
}

static void check_filters(struct block *b)
{
    for (unsigned i = 0; i < 40; i++) {
        struct filter f;
        make_filter(&f, b);
        check_filter(b, &f);
        free_filter(&f);
    }
}

static void passes_what_passes_line_by_line(void **state)
{
    struct block b;

    (void)state;
    block_init(&b);
    for (unsigned round = 0; round < 60; round++) {
        fill(&b);
        check_filters(&b);
    }
    block_fini(&b);
}

/* Paths, most with an id: a column of a few forms. */
static void paths_with_ids_pass_as_their_lines_do(void **state)
{
    struct block b;

    (void)state;
    block_init(&b);
    for (unsigned round = 0; round < 30; round++) {
        block_reset(&b);
        for (unsigned i = 0; i < ROWS_MAX; i++)
            put_line(&b, 8, i);
        block_open(&b);
        check_filters(&b);
    }
    block_fini(&b);
}

/* ---- what is read ---- */

static void fill_blocks(struct block *b)
{
    block_reset(b);
    for (unsigned i = 0; i < ROWS_MAX; i++) {
        char line[LINE_BYTES];
        int n = snprintf(line, sizeof(line), "Received block blk_%u_%u src: /10.1.0.%u:%u size %u",
                         1073741825u + (unsigned)rnd(800000), 1000 + (unsigned)rnd(9000),
                         (unsigned)rnd(250), 30000 + (unsigned)rnd(30000), (unsigned)rnd(9999999));
        if (i == 77)
            n = snprintf(line, sizeof(line),
                         "Received block blk_1074150032_4092 src: /10.1.0.7:30303 size 100");
        add_line(b, (struct str){line, (size_t)n});
    }
    block_open(b);
    assert_int_equal(b->plan->n_templates, 1);
}

struct reading {
    size_t hits, memory;
    uint64_t columns, rendered;
    bool plan;
};

static struct reading read_for(struct block *b, enum scan_filter_op op, const char *text)
{
    uint64_t selected[(ROWS_MAX + 63) / 64];
    struct str literal = str_of(text);
    struct regexp *re = NULL;
    const struct regexp *list[1];
    struct scan_filter f = {.op = op, .n = 1, .text = &literal, .re = list};
    struct line_match *m = NULL;
    struct line_match_stats stats;
    struct reading ret = {0};
    struct err err;

    memset(selected, 0xff, sizeof(selected));
    if (op == SCAN_MATCHES || op == SCAN_MATCHES_NOT) {
        assert_int_equal(regexp_new(literal, false, &re, &err), 0);
        list[0] = re;
    }
    assert_int_equal(line_match_new(&f, &m, &err), 0);
    ret.memory = arena_used(b->arena);
    match(b, m, selected, &stats);
    ret.memory = arena_used(b->arena) - ret.memory;
    for (size_t i = 0; i < ROWS_MAX; i++)
        ret.hits += selected[i / 64] >> (i % 64) & 1;
    ret.columns = stats.columns;
    ret.rendered = stats.rendered;
    ret.plan = line_match_plan(m, b->plan);
    if (stats.columns == 0)
        assert_int_equal(b->frames_read, 0);
    line_match_free(&m);
    regexp_free(&re);
    return ret;
}

static void text_between_slots_costs_no_column(void **state)
{
    struct block b;
    struct reading r;

    (void)state;
    block_init(&b);
    fill_blocks(&b);
    r = read_for(&b, SCAN_CONTAINS, "block blk_");
    assert_int_equal(r.hits, ROWS_MAX);
    assert_int_equal(r.columns, 0);
    r = read_for(&b, SCAN_CONTAINS_NOT, " src: /");
    assert_int_equal(r.hits, 0);
    assert_int_equal(r.columns, 0);
    assert_false(r.plan);
    r = read_for(&b, SCAN_MATCHES, "(?i)RECEIVED.*SRC");
    assert_int_equal(r.hits, ROWS_MAX);
    assert_int_equal(r.columns, 0);
    r = read_for(&b, SCAN_MATCHES, "blk_\\d+_\\d+ src");
    assert_int_equal(r.hits, ROWS_MAX);
    assert_int_equal(r.columns, 0);
    block_fini(&b);
}

static void what_cannot_be_there_costs_no_column(void **state)
{
    static const char *const ABSENT[] = {
        "nosuchtext",     "blk_107415003x", "blk_2074150032", "12345678901",
        "size 123456789", "10.1.0.1234",    "blk_107374182_", "9_99999",
    };
    struct block b;

    (void)state;
    block_init(&b);
    fill_blocks(&b);
    for (size_t i = 0; i < sizeof(ABSENT) / sizeof(ABSENT[0]); i++) {
        struct reading r = read_for(&b, SCAN_CONTAINS, ABSENT[i]);
        if (r.hits != 0 || r.columns != 0 || r.plan)
            fail_msg("%s: %zu hits, %d columns", ABSENT[i], r.hits, (int)r.columns);
    }
    block_fini(&b);
}

static void an_id_costs_its_own_column(void **state)
{
    struct block b;
    struct reading r;

    (void)state;
    block_init(&b);
    fill_blocks(&b);
    r = read_for(&b, SCAN_CONTAINS, "blk_1074150032");
    assert_int_equal(r.hits, 1);
    assert_int_equal(r.columns, 1);
    assert_int_equal(r.rendered, 0);
    assert_true(r.plan);
    r = read_for(&b, SCAN_CONTAINS, "1074150032_4092");
    assert_int_equal(r.hits, 1);
    assert_true(r.columns <= 2);
    r = read_for(&b, SCAN_MATCHES, "(?i)BLK_10741500[23]2_");
    assert_int_equal(r.columns, 1);
    block_fini(&b);
}

static void fill_ids(struct block *b)
{
    block_reset(b);
    for (unsigned i = 0; i < ROWS_MAX; i++) {
        char line[LINE_BYTES];
        int n = snprintf(line, sizeof(line), "done trace=\"%016llx%016llx\" at 17:%02u:%02u.%09uZ",
                         (unsigned long long)rnd(UINT64_MAX), (unsigned long long)rnd(UINT64_MAX),
                         i / 60, i % 60, (unsigned)rnd(100000000));
        if (i == 77)
            n = snprintf(line, sizeof(line),
                         "done trace=\"0123456789abcdef0011223344556677\" at 17:01:17.912345678Z");
        add_line(b, (struct str){line, (size_t)n});
    }
    block_open(b);
    assert_int_equal(b->plan->n_templates, 1);
}

static void ids_are_compared_as_they_are_packed(void **state)
{
    static const char *const FOUND[] = {
        "0123456789abcdef0011223344556677",
        "\"0123456789abcdef001122334455667",
        "f001122334455",
        "9abcdef0011223344",
        "3344556677\" at 17:01",
        "91234567",
        "17:01:17.9123",
        "912345678Z",
    };
    struct block b;

    (void)state;
    block_init(&b);
    fill_ids(&b);
    for (size_t i = 0; i < sizeof(FOUND) / sizeof(FOUND[0]); i++) {
        struct reading r = read_for(&b, SCAN_CONTAINS, FOUND[i]);
        if (r.hits != 1 || r.rendered != 0)
            fail_msg("%s: %zu hits, %d rendered", FOUND[i], r.hits, (int)r.rendered);
    }
    assert_int_equal(read_for(&b, SCAN_CONTAINS, "0123456789abcdef0011223344556678").hits, 0);
    assert_int_equal(read_for(&b, SCAN_CONTAINS, "0123456789ABCDEF0011223344556677").hits, 0);
    assert_int_equal(read_for(&b, SCAN_CONTAINS, "912345679Z").hits, 0);
    assert_int_equal(read_for(&b, SCAN_MATCHES, "(?i)0123456789ABCDEF0011223344556677").hits, 1);
    block_fini(&b);
}

/* However many ways lead to it: each needs tables of digits, none all numbers and forms again. */
static void forms_are_opened_once(void **state)
{
    enum { WAYS = 26, WAY_BYTES = 12000 };
    char pattern[WAYS * 12 + 1];
    size_t n = 0;
    struct block b;
    struct reading r;

    (void)state;
    block_init(&b);
    for (unsigned i = 0; i < ROWS_MAX; i++) {
        char line[LINE_BYTES];
        int len = snprintf(line, sizeof(line), "{\"by\":\"%c\",\"path\":\"/%s/%u\"}",
                           'A' + (int)(i % WAYS), rnd(3) == 0 ? "items" : "orders",
                           1000 + (unsigned)rnd(2000000000));
        add_line(&b, (struct str){line, (size_t)len});
    }
    block_open(&b);
    assert_int_equal(b.plan->n_templates, 1);
    for (unsigned i = 0; i < WAYS; i++)
        n += (size_t)snprintf(pattern + n, sizeof(pattern) - n, "%s%c[^A-Z]*%02u",
                              i == 0 ? "" : "|", 'A' + (int)i, 10 + i);
    r = read_for(&b, SCAN_MATCHES, pattern);
    assert_int_equal(r.rendered, 0);
    assert_in_range(r.hits, 1, ROWS_MAX);
    assert_true(r.memory < (size_t)WAYS * WAY_BYTES);
    block_fini(&b);
}

CHECK_MAIN(cmocka_unit_test(ids_are_compared_as_they_are_packed),
           cmocka_unit_test(passes_what_passes_line_by_line),
           cmocka_unit_test(paths_with_ids_pass_as_their_lines_do),
           cmocka_unit_test(forms_are_opened_once),
           cmocka_unit_test(text_between_slots_costs_no_column),
           cmocka_unit_test(what_cannot_be_there_costs_no_column),
           cmocka_unit_test(an_id_costs_its_own_column))
