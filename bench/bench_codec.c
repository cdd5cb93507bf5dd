/*
 * bench/bench_codec.c - what the line encoder makes of files of lines: bytes by kind, and speed.
 *
 *     bench_codec [--small] [--numbers LEVEL] [--text LEVEL] [--block-mb N] [--columns N] FILE...
 *
 * Each FILE is cut into blocks as the store cuts them (8 MiB or 65,536 rows), its lines are encoded
 * and every frame is compressed; then all is read back and compared byte for byte.  --small is what
 * compaction does.  Prints one JSON object a file: bytes of the compressed frames by what they
 * hold, MB of lines over CPU seconds.  --columns prints the N columns that cost most, each
 * compressed alone.
 */
#include "base/err.h"
#include "base/mem.h"
#include "storage/lines.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

enum { ROWS_MAX = 65536, KINDS = LINES_TEXT + 1 };

struct options {
    bool small;
    int level[KINDS]; /* of zstd, by enum lines_content */
    size_t block_bytes;
    size_t columns;
};

struct frame {
    char *stored; /* owned */
    size_t n, plain;
};

struct block {
    size_t rows;
    struct frame *frame; /* frame[0] is the plan, frame[1 + i] data frame i */
    size_t n_frames;
};

struct totals {
    size_t rows, raw, plan, content[KINDS], slots[SLOT_KINDS], columns, templates, raw_rows;
    double encode, compress, decode;
};

struct cost {
    size_t bytes, rows;
    char *name; /* owned */
};

struct run {
    const struct options *opt;
    struct lines_encoder *encoder;
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    struct totals sum;
    struct cost *cost;
    size_t n_costs;
};

static double cpu_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "bench_codec: %s: %s\n", what, why);
    exit(1);
}

static struct str read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    long n;
    char *p;

    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0)
        die(path, "cannot be read");
    rewind(f);
    p = mem_new((size_t)n + 1);
    if (fread(p, 1, (size_t)n, f) != (size_t)n)
        die(path, "cannot be read");
    (void)fclose(f);
    return (struct str){p, (size_t)n};
}

static struct frame compress(struct run *r, struct str plain, int level)
{
    size_t bound = ZSTD_compressBound(plain.n);
    struct frame f = {.stored = mem_new(bound), .plain = plain.n};

    f.n = ZSTD_compressCCtx(r->cctx, f.stored, bound, plain.p, plain.n, level);
    if (ZSTD_isError(f.n))
        die("zstd", ZSTD_getErrorName(f.n));
    return f;
}

static struct block encode(struct run *r, const struct str *line, size_t n)
{
    struct lines_encoded out;
    struct block b = {.rows = n};
    struct err err;
    double t = cpu_seconds();

    if (lines_encode(r->encoder, line, n, &out, &err) < 0)
        die("encode", err.text);
    r->sum.encode += cpu_seconds() - t;
    t = cpu_seconds();
    b.n_frames = out.n_frames + 1;
    b.frame = mem_new(b.n_frames * sizeof(*b.frame));
    b.frame[0] = compress(r, out.plan, r->opt->level[LINES_TEXT]);
    r->sum.plan += b.frame[0].n;
    for (size_t i = 0; i < out.n_frames; i++) {
        enum lines_content c = out.frame[i].content;
        b.frame[i + 1] = compress(r, out.frame[i].bytes, r->opt->level[c]);
        r->sum.content[c] += b.frame[i + 1].n;
    }
    r->sum.compress += cpu_seconds() - t;
    r->sum.rows += n;
    return b;
}

struct source {
    struct run *run;
    const struct block *block;
    struct arena *arena;
};

static int decompress(struct source *s, size_t index, struct str *ret, struct err *err)
{
    const struct frame *f = &s->block->frame[index];
    char *p = arena_bytes(s->arena, f->plain);
    size_t n;

    if (p == NULL)
        return arena_err(s->arena, err);
    n = ZSTD_decompressDCtx(s->run->dctx, p, f->plain, f->stored, f->n);
    if (n != f->plain)
        return err_set(err, ERR_CORRUPT, "frame %zu does not decompress", index);
    *ret = (struct str){p, n};
    return 0;
}

static int give_frame(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    return decompress(arg, (size_t)index + 1, ret, err);
}

/* What each column costs, compressed alone. */
static void note_columns(struct run *r, struct source *s, const struct lines_plan *p)
{
    static const char *const kinds[] = {"const", "int", "dict", "text", "hex", "pattern"};

    for (size_t t = 0; t < p->n_templates; t++) {
        for (size_t k = 0; k < p->template[t].n_slots; k++) {
            const struct lines_column *c = &p->column[p->template[t].first_column + k];
            struct str piece = p->template[t].piece[k];
            struct str tail = str_from(piece, piece.n > 40 ? piece.n - 40 : 0);
            struct str plain;
            struct frame f;
            struct err err;
            char name[160];
            if (c->stamp.bytes == 0 || give_frame(s, c->frame, &plain, &err) < 0)
                continue;
            f = compress(r, str_sub(plain, c->offset, c->stamp.bytes), r->opt->level[LINES_TEXT]);
            free(f.stored);
            (void)snprintf(name, sizeof(name), "%-7s plain %u t%zu.%zu after '%.*s'",
                           kinds[c->stamp.kind], c->stamp.bytes, t, k, STR_ARG(tail));
            r->cost = mem_grow(r->cost, (r->n_costs + 1) * sizeof(*r->cost));
            r->cost[r->n_costs++] =
                (struct cost){f.n, p->template[t].rows, mem_dup(name, strlen(name))};
        }
    }
}

static void note_plan(struct run *r, const struct lines_plan *p)
{
    r->sum.columns += p->n_columns;
    r->sum.templates += p->n_templates;
    for (size_t i = 0; i < p->n_columns; i++)
        r->sum.slots[p->column[i].stamp.kind] += p->column[i].stamp.bytes;
    for (size_t i = 0; i < p->n_templates; i++)
        if (p->template[i].kind == TEMPLATE_RAW)
            r->sum.raw_rows += p->template[i].rows;
}

/* Read the block back and compare it with its lines. */
static void verify(struct run *r, const struct block *b, const struct str *line)
{
    struct source s = {.run = r, .block = b, .arena = arena_new(NULL, 0)};
    struct lines_plan *plan = NULL;
    struct lines *lines;
    const uint32_t *end;
    struct str text;
    struct err err;
    double t = cpu_seconds();

    if (decompress(&s, 0, &text, &err) < 0 ||
        lines_plan_new(text, b->rows, NULL, &plan, &err) < 0 ||
        lines_open(plan, give_frame, &s, s.arena, &lines, &err) < 0 ||
        lines_text(lines, &text, &end, &err) < 0)
        die("decode", err.text);
    r->sum.decode += cpu_seconds() - t;
    for (size_t i = 0; i < b->rows; i++) {
        size_t from = i == 0 ? 0 : end[i - 1];
        if (!str_eq(str_sub(text, from, end[i] - from), line[i]))
            die("verify", "a line did not come back");
    }
    note_plan(r, plan);
    if (r->opt->columns > 0)
        note_columns(r, &s, plan);
    lines_plan_free(&plan);
    arena_free(&s.arena);
}

static void run_block(struct run *r, const struct str *line, size_t n)
{
    struct block b = encode(r, line, n);

    verify(r, &b, line);
    for (size_t i = 0; i < b.n_frames; i++)
        free(b.frame[i].stored);
    free(b.frame);
}

static int dearer(const void *a, const void *b)
{
    size_t x = ((const struct cost *)a)->bytes;
    size_t y = ((const struct cost *)b)->bytes;

    return (x < y) - (x > y);
}

static void print_costs(struct run *r)
{
    if (r->n_costs == 0)
        return;
    qsort(r->cost, r->n_costs, sizeof(*r->cost), dearer);
    for (size_t i = 0; i < r->n_costs; i++) {
        if (i < r->opt->columns)
            (void)printf("  %8zu B %6.2f bits/row  rows %zu  %s\n", r->cost[i].bytes,
                         8.0 * (double)r->cost[i].bytes / (double)r->cost[i].rows, r->cost[i].rows,
                         r->cost[i].name);
        free(r->cost[i].name);
    }
    free(r->cost);
    r->cost = NULL;
    r->n_costs = 0;
}

static void print_totals(const char *path, const struct totals *s)
{
    const char *slash = strrchr(path, '/');
    size_t total =
        s->plan + s->content[LINES_IDS] + s->content[LINES_NUMBERS] + s->content[LINES_TEXT];
    double mb = (double)s->raw / 1e6;

    (void)printf("{\"file\":\"%s\",\"raw\":%zu,\"rows\":%zu,\"bytes\":%zu,\"ratio\":%.2f,"
                 "\"plan\":%zu,\"ids\":%zu,\"numbers\":%zu,\"text\":%zu,",
                 slash == NULL ? path : slash + 1, s->raw, s->rows, total,
                 (double)s->raw / (double)total, s->plan, s->content[LINES_IDS],
                 s->content[LINES_NUMBERS], s->content[LINES_TEXT]);
    (void)printf("\"templates\":%zu,\"columns\":%zu,\"raw_rows\":%zu,\"plain_int\":%zu,"
                 "\"plain_dict\":%zu,\"plain_text\":%zu,\"plain_hex\":%zu,\"plain_pattern\":%zu,",
                 s->templates, s->columns, s->raw_rows, s->slots[SLOT_INT], s->slots[SLOT_DICT],
                 s->slots[SLOT_TEXT], s->slots[SLOT_HEX], s->slots[SLOT_PATTERN]);
    (void)printf("\"encode_mb_s\":%.0f,\"with_zstd_mb_s\":%.0f,\"decode_mb_s\":%.0f}\n",
                 mb / s->encode, mb / (s->encode + s->compress), mb / s->decode);
}

static void run_file(struct run *r, const char *path)
{
    struct str text = read_all(path);
    struct str rest = text;
    struct str *line = mem_new(ROWS_MAX * sizeof(*line));
    size_t bytes = 0;
    size_t n = 0;

    r->sum = (struct totals){.raw = text.n};
    while (rest.n > 0) {
        line[n] = str_cut(&rest, '\n');
        bytes += line[n++].n;
        if (n == ROWS_MAX || bytes >= r->opt->block_bytes || rest.n == 0) {
            run_block(r, line, n);
            bytes = n = 0;
        }
    }
    print_totals(path, &r->sum);
    print_costs(r);
    free(line);
    free((char *)(uintptr_t)text.p);
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"small", no_argument, NULL, 's'},         {"numbers", required_argument, NULL, 'n'},
        {"text", required_argument, NULL, 't'},    {"block-mb", required_argument, NULL, 'b'},
        {"columns", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0},
    };
    struct options o = {.level = {1, 1, 1}, .block_bytes = 8 << 20};
    int c;

    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 's':
            o.small = true;
            break;
        case 'n':
            o.level[LINES_IDS] = o.level[LINES_NUMBERS] = atoi(optarg);
            break;
        case 't':
            o.level[LINES_TEXT] = atoi(optarg);
            break;
        case 'b':
            o.block_bytes = (size_t)(atof(optarg) * (1 << 20));
            break;
        case 'c':
            o.columns = (size_t)atoi(optarg);
            break;
        default:
            exit(2);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse_options(argc, argv);
    struct run r = {.opt = &o,
                    .encoder = lines_encoder_new(o.small),
                    .cctx = ZSTD_createCCtx(),
                    .dctx = ZSTD_createDCtx()};

    for (int i = optind; i < argc; i++)
        run_file(&r, argv[i]);
    lines_encoder_free(&r.encoder);
    (void)ZSTD_freeCCtx(r.cctx);
    (void)ZSTD_freeDCtx(r.dctx);
    return 0;
}
