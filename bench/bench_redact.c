/*
 * bench/bench_redact.c - what it costs to look for secrets: bench_redact FILE [TYPE...]
 *
 * Every line of FILE (the text behind CRI's head, if it has one) goes through the given detectors,
 * bearer cloud_key jwt card private_key without any.  Prints one JSON object: MB of line text per
 * CPU second, the best of five runs, how many lines were changed, and the same for the pass that
 * looks for hints alone, with AVX2 and without.
 */
#include "base/file.h"
#include "collector/metrics.h"
#include "collector/redact_detect.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 5, FILE_BYTES = 512 << 20, SCRATCH_BYTES = 8 << 20 };

enum way { WHOLE, HINTS, PORTABLE };

struct bench {
    struct str text;
    struct redact *redact;
    struct redact_needles needles;
    struct redact_scratch scratch;
    uint64_t bytes, changed, hints;
};

static double cpu_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void count(void *arg, size_t at, unsigned hints)
{
    struct bench *b = arg;

    (void)at;
    (void)hints;
    b->hints++;
}

static void one_line(struct bench *b, struct str line, enum way way)
{
    const char *before = line.p;
    struct redact_flow flow = {.in_key = false};

    b->bytes += line.n + 1;
    if (way == HINTS)
        redact_scan(&b->needles, line, count, b);
    else if (way == PORTABLE)
        redact_scan_portable(&b->needles, line, count, b);
    else
        redact_text(b->redact, &line, &flow, &b->scratch);
    b->changed += line.p != before;
}

static double run(struct bench *b, enum way way)
{
    double best = 0;

    for (int i = 0; i < RUNS; i++) {
        struct str rest = b->text;
        double began = cpu_seconds(), speed;
        b->bytes = b->changed = b->hints = 0;
        while (rest.n > 0) {
            struct str line = str_cut(&rest, '\n');
            size_t head = str_find(str_sub(line, 0, 64), STR(" F "));
            one_line(b, head == SIZE_MAX ? line : str_from(line, head + 3), way);
        }
        speed = (double)b->bytes / 1e6 / (cpu_seconds() - began);
        best = speed > best ? speed : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    unsigned types = argc > 2 ? 0 : REDACT_ALL & ~(1u << REDACT_EMAIL | 1u << REDACT_IP);
    struct bench b = {.text = STR_NULL};
    struct buf file;
    struct err err;
    double whole, hints, portable;

    buf_init(&file, FILE_BYTES);
    if (argc < 2 || file_read(AT_FDCWD, argv[1], &file, &err) < 0)
        return EXIT_FAILURE;
    for (int i = 2; i < argc; i++)
        types |= redact_by_name(str_of(argv[i]));
    metrics_setup();
    b.text = buf_str(&file);
    b.redact = redact_new(types, NULL);
    if (b.redact == NULL)
        return EXIT_FAILURE;
    redact_detect_needles(types, &b.needles);
    redact_scratch_init(&b.scratch, SCRATCH_BYTES);
    hints = run(&b, HINTS);
    printf("{\"hints\": %llu, ", (unsigned long long)b.hints);
    portable = run(&b, PORTABLE);
    whole = run(&b, WHOLE);
    printf("\"redact_mb_per_cpu_s\": %.0f, \"changed\": %llu, \"hints_mb_per_cpu_s\": %.0f, "
           "\"portable_mb_per_cpu_s\": %.0f}\n",
           whole, (unsigned long long)b.changed, hints, portable);
    redact_scratch_fini(&b.scratch);
    redact_free(&b.redact);
    buf_fini(&file);
    return EXIT_SUCCESS;
}
