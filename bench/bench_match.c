/*
 * bench/bench_match.c - how fast filters find rows in blocks of templates and columns.
 *
 *     bench_match [--runs N] DIR [FILTER...]
 *
 * DIR is what bench_logs wrote.  Its lines are cut into blocks by stream, as after compaction,
 * encoded, and each frame is compressed and kept in memory.  Then each filter goes over all blocks:
 * plan first, then the columns that it needs, decompressed anew each time.  FILTER is
 * "=text" or "~pattern"; without any, a set that stands for what people ask.
 * Prints one JSON object a filter: rows found, CPU ms for 200 MB of lines (median of N), of these
 * for plans and for decompression; blocks passed by their plan, columns, plain bytes of
 * frames, rows written out.
 */
#include "base/regexp.h"
#include "base/vec.h"
#include "storage/line_match.h"

#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <zstd.h>

enum {
    ROWS_MAX = 65536,
    BLOCK_BYTES = 8 << 20,
    LEVEL = 1,
    GAIN = 8,
    PATH_BYTES = 4096,
    RUNS_MAX = 99
};

struct row {
    struct str time, line;
    uint32_t stream, number;
};

struct frame {
    char *stored;
    size_t n, plain;
};

struct block {
    size_t rows;
    struct lines_plan *plan;
    struct frame *frame;
};

struct bench {
    VEC(struct row) row;
    uint32_t streams;
    VEC(struct block) block;
    size_t raw, stored;
    size_t plan_bytes, plan_stored, plan_held; /* of plans: as written, compressed, decoded */
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    struct arena *arena;
    const struct block *open; /* whose frames are asked for */
    size_t plain;             /* bytes decompressed */
    double unpack;            /* seconds that took */
};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_match: %s\n", what);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- lines ---- */

static struct str read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    struct str s;
    char *p;

    if (f == NULL || fstat(fileno(f), &st) != 0)
        die(path);
    p = mem_new((size_t)st.st_size + 1);
    s = (struct str){p, (size_t)st.st_size};
    if (fread(p, 1, s.n, f) != s.n)
        die(path);
    (void)fclose(f);
    return s;
}

/* "time stream F line", as bench_logs writes them. */
static void take_lines(struct bench *b, struct str text)
{
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');
        struct row r = {.stream = b->streams, .number = (uint32_t)b->row.n};
        r.time = str_cut(&line, ' ');
        (void)str_cut(&line, ' ');
        (void)str_cut(&line, ' ');
        r.line = line;
        b->raw += line.n + 1;
        VEC_PUSH(&b->row, r);
    }
    b->streams++;
}

static void walk(struct bench *b, const char *dir)
{
    struct dirent **entry = NULL;
    int n = scandir(dir, &entry, NULL, alphasort);

    if (n < 0)
        die(dir);
    for (int i = 0; i < n; i++) {
        char path[PATH_BYTES];
        struct stat st;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.' && stat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                walk(b, path);
            else
                take_lines(b, read_file(path));
        }
        free(entry[i]);
    }
    free(entry);
}

static int by_time(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;
    int c = str_cmp(x->time, y->time);

    return c != 0 ? c : (x->number > y->number) - (x->number < y->number);
}

static int by_stream(const void *a, const void *b)
{
    const struct row *x = a;
    const struct row *y = b;

    return x->stream != y->stream ? (x->stream > y->stream) - (x->stream < y->stream)
                                  : by_time(a, b);
}

/* ---- blocks ---- */

static struct frame compress(struct bench *b, struct str plain)
{
    size_t cap = ZSTD_compressBound(plain.n);
    struct frame f = {.stored = mem_new(cap), .plain = plain.n};

    f.n = ZSTD_compressCCtx(b->cctx, f.stored, cap, plain.p, plain.n, LEVEL);
    if (ZSTD_isError(f.n))
        die("compression");
    if (f.n >= plain.n - plain.n / GAIN) { /* as block_encode.c does */
        memcpy(f.stored, plain.p, plain.n);
        f.n = plain.n;
    }
    f.stored = mem_grow(f.stored, f.n + 1);
    b->stored += f.n;
    return f;
}

static void add_block(struct bench *b, struct lines_encoder *e, struct row *row, size_t n)
{
    struct str *line = mem_new(n * sizeof(*line));
    struct block block = {.rows = n};
    struct lines_encoded enc;
    struct frame plan;
    struct err err;

    for (size_t i = 0; i < n; i++)
        line[i] = row[i].line;
    if (lines_encode(e, line, n, &enc, &err) < 0 ||
        lines_plan_new(enc.plan, n, NULL, &block.plan, &err) < 0)
        die(err.text);
    block.frame = mem_new(enc.n_frames * sizeof(*block.frame) + 1);
    for (size_t i = 0; i < enc.n_frames; i++)
        block.frame[i] = compress(b, enc.frame[i].bytes);
    plan = compress(b, enc.plan);
    b->plan_bytes += enc.plan.n;
    b->plan_stored += plan.n;
    b->plan_held += lines_plan_held(block.plan);
    free(plan.stored);
    free(line);
    VEC_PUSH(&b->block, block);
}

static void make_blocks(struct bench *b)
{
    struct lines_encoder *e = lines_encoder_new(true);
    size_t from = 0;
    size_t bytes = 0;

    qsort(b->row.p, b->row.n, sizeof(*b->row.p), by_stream);
    for (size_t i = 0; i < b->row.n; i++) {
        bytes += b->row.p[i].line.n;
        if (i + 1 < b->row.n && i + 1 - from < ROWS_MAX && bytes < BLOCK_BYTES)
            continue;
        add_block(b, e, b->row.p + from, i + 1 - from);
        from = i + 1;
        bytes = 0;
    }
    lines_encoder_free(&e);
}

static int give_frame(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    struct bench *b = arg;
    const struct frame *f = &b->open->frame[index];
    char *plain = arena_bytes(b->arena, f->plain + 1);
    double start = cpu_seconds();

    if (plain == NULL)
        return arena_err(b->arena, err);
    if (f->n == f->plain)
        memcpy(plain, f->stored, f->plain);
    else if (ZSTD_decompressDCtx(b->dctx, plain, f->plain, f->stored, f->n) != f->plain)
        return err_set(err, ERR_CORRUPT, "frame");
    b->plain += f->plain;
    b->unpack += cpu_seconds() - start;
    *ret = (struct str){plain, f->plain};
    return 0;
}

/* ---- filters ---- */

struct result {
    size_t hits, blocks;
    double seconds, plan_seconds, unpack_seconds;
    struct line_match_stats stats;
};

static void filter_block(struct bench *b, const struct line_match *m, struct result *r)
{
    uint64_t selected[ROWS_MAX / 64];
    struct lines *l;
    struct err err;

    arena_reset(b->arena);
    memset(selected, 0, sizeof(selected));
    memset(selected, 0xff, b->open->rows / 8);
    for (size_t i = b->open->rows / 8 * 8; i < b->open->rows; i++)
        selected[i / 64] |= UINT64_C(1) << (i % 64);
    if (lines_open(b->open->plan, give_frame, b, b->arena, &l, &err) < 0 ||
        line_match_block(m, l, selected, b->arena, &r->stats, &err) < 0)
        die(err.text);
    for (size_t w = 0; w < ROWS_MAX / 64; w++)
        r->hits += (size_t)__builtin_popcountll(selected[w]);
    r->blocks++;
}

static struct result run(struct bench *b, const struct scan_filter *f)
{
    struct result r = {.hits = 0};
    struct line_match *m = NULL;
    struct block *block;
    struct err err;
    double start;
    bool *pass = mem_new(b->block.n + 1);

    b->plain = 0;
    b->unpack = 0;
    start = cpu_seconds();
    if (line_match_new(f, &m, &err) < 0)
        die(err.text);
    for (size_t i = 0; i < b->block.n; i++)
        pass[i] = line_match_plan(m, b->block.p[i].plan);
    r.plan_seconds = cpu_seconds() - start;
    VEC_EACH(&b->block, block) {
        b->open = block;
        if (pass[block - b->block.p])
            filter_block(b, m, &r);
    }
    line_match_free(&m);
    r.seconds = cpu_seconds() - start;
    r.unpack_seconds = b->unpack;
    free(pass);
    return r;
}

static int by_seconds(const void *a, const void *b)
{
    const struct result *x = a;
    const struct result *y = b;

    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static void bench_filter(struct bench *b, const char *what, size_t runs)
{
    struct str text = str_of(what + 1);
    struct regexp *re = NULL;
    const struct regexp *list[1];
    struct scan_filter f = {.op = what[0] == '=' ? SCAN_CONTAINS : SCAN_MATCHES, .n = 1};
    struct result r[RUNS_MAX];
    double per = 200e6 / (double)b->raw * 1e3;
    struct err err;

    f.text = &text;
    f.re = list;
    if (f.op == SCAN_MATCHES && regexp_new(text, false, &re, &err) < 0)
        die(err.text);
    list[0] = re;
    for (size_t i = 0; i < runs; i++)
        r[i] = run(b, &f);
    qsort(r, runs, sizeof(r[0]), by_seconds);
    (void)printf(
        "{\"filter\":\"%s\",\"rows\":%zu,\"ms_per_200mb\":%.2f,\"plan_ms\":%.2f,\"unpack_ms\":%.2f,"
        "\"blocks\":%zu,\"columns\":%" PRIu64 ",\"plain_bytes\":%zu,\"asked\":%" PRIu64 "}\n",
        what, r[0].hits, r[runs / 2].seconds * per, r[runs / 2].plan_seconds * per,
        r[runs / 2].unpack_seconds * per, r[0].blocks, r[0].stats.columns, b->plain,
        r[0].stats.rendered);
    regexp_free(&re);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"runs", 1, NULL, 'r'}, {NULL, 0, NULL, 0}};
    static const char *const FILTERS[] = {
        "=needle-1",
        "=74150",
        "=blk_1074150032_40920",
        "=nosuchsubstr",
        "=payment authorised",
        "=8414aed5",
        "=10.1.34.22",
        "~(?i)PAYMENT authorised",
        "~(?i)exception",
        "~(?i)task",
        "~status=?.?:5\\d\\d",
        "~took=\\d{4}",
        "~HTTP/1.1. (404|50[03])",
        "~[a-f]{9}",
        "~\\b5\\d\\d\\b",
        "~(GET|POST) .*9999",
    };
    struct bench b = {.raw = 0};
    size_t runs = 5;
    int c;

    while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
        runs = c == 'r' ? strtoul(optarg, NULL, 10) : 0;
    if (optind >= argc || runs == 0 || runs > RUNS_MAX)
        die("usage: bench_match [--runs N] DIR [FILTER...]");
    b.cctx = ZSTD_createCCtx();
    b.dctx = ZSTD_createDCtx();
    b.arena = arena_new(NULL, 0);
    walk(&b, argv[optind]);
    make_blocks(&b);
    (void)printf("{\"lines\":%zu,\"raw\":%zu,\"stored\":%zu,\"blocks\":%zu,"
                 "\"plans\":%zu,\"plans_stored\":%zu,\"plans_held\":%zu}\n",
                 b.row.n, b.raw, b.stored, b.block.n, b.plan_bytes, b.plan_stored, b.plan_held);
    for (int i = optind + 1; i < argc; i++)
        bench_filter(&b, argv[i], runs);
    for (size_t i = 0; optind + 1 == argc && i < sizeof(FILTERS) / sizeof(FILTERS[0]); i++)
        bench_filter(&b, FILTERS[i], runs);
    return 0;
}
