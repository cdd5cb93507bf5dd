/*
 * bench/bench_compact.c - what compaction costs, and what it brings.
 *
 *     bench_compact DIR FLUSH_MB FILE...
 *
 * Each file is a stream; its lines go in, 200 of each file in turn, a millisecond and some jitter
 * apart, and are flushed each time FLUSH_MB of them are there.  Then everything is compacted and
 * compacted again.  One JSON object a line; MB are of lines with their newlines.
 */
#include "base/file.h"
#include "base/mem.h"
#include "storage/keyring.h"
#include "storage/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 200 };

struct input {
    const char *name;
    FILE *file;
    uint64_t lines;
};

static ts_ns now; /* of the next record */

_Noreturn static void die(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print(const char *name, double value, const char *unit)
{
    (void)printf("{\"suite\":\"compact\",\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n", name,
                 value, unit);
    (void)fflush(stdout);
}

/* Payload: the name of the app, the first time, then the lines, a newline behind each. */
static int decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct batch *b = batch_new(NULL, 0);
    struct str text = arena_str(b->arena, p->bytes);
    struct label v[] = {{STR("app"), str_cut(&text, '\n')}};
    struct labels l = {v, 1};
    struct record rec = {.ts = 0};
    uint64_t jitter = 1;
    int r = str_to_i64(str_cut(&text, '\n'), &rec.ts) ? batch_stream(b, &l, &rec.stream, err)
                                                      : err_set(err, ERR_INVALID, "no time");

    (void)arg;
    while (r == 0 && text.n > 0) {
        rec.line = str_cut(&text, '\n');
        jitter = jitter * UINT64_C(6364136223846793005) + 1442695040888963407u;
        rec.ts += NS_PER_MS + (ts_ns)(jitter >> 44);
        r = batch_add(b, &rec, err);
    }
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

static void done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    if (outcome != STORE_STORED)
        die("append", err);
    (void)sem_post(a->arg);
}

/* Up to LINES lines of `in`; how many bytes. */
static size_t put(struct store *s, struct input *in)
{
    struct store_append a = {.done = done};
    struct buf text;
    struct err err;
    char *line = NULL;
    size_t cap = 0;
    size_t bytes = 0;
    sem_t answered;
    char head[64];
    unsigned n = 0;

    buf_init(&text, 1 << 30);
    buf_add_str(&text, str_of(in->name));
    (void)snprintf(head, sizeof(head), "\n%" PRId64 "\n", now);
    buf_add_str(&text, str_of(head));
    for (; n < LINES; n++) {
        ssize_t got = getline(&line, &cap, in->file);
        if (got <= 0)
            break;
        buf_add(&text, line, (size_t)got);
        bytes += (size_t)got;
    }
    free(line);
    in->lines += n;
    now += 2 * LINES * NS_PER_MS;
    if (n > 0) {
        a.payload = (struct store_payload){.kind = 1,
                                           .tenant = STR("t"),
                                           .peer = STR("p"),
                                           .received = store_receive_time(s),
                                           .bytes = buf_str(&text)};
        if (decode(NULL, &a.payload, &a.batch, &err) < 0)
            die("decode", &err);
        (void)sem_init(&answered, 0, 0);
        a.arg = &answered;
        store_append(s, &a);
        (void)sem_wait(&answered);
        (void)sem_destroy(&answered);
    }
    buf_fini(&text);
    return bytes;
}

static void flush(struct store *s)
{
    struct err err;

    if (store_flush(s, &err) < 0)
        die("flush", &err);
}

/* All lines of all files; bytes. */
static uint64_t fill(struct store *s, struct input *in, size_t n, uint64_t flush_bytes)
{
    uint64_t total = 0;
    uint64_t last = 0;
    bool any = true;

    while (any) {
        any = false;
        for (size_t i = 0; i < n; i++) {
            size_t bytes = put(s, &in[i]);
            total += bytes;
            any = any || bytes > 0;
            if (total - last >= flush_bytes) {
                last = total;
                flush(s);
            }
        }
    }
    flush(s);
    return total;
}

static void run(struct store *s, uint64_t raw)
{
    double cpu = cpu_seconds();
    struct store_stats before, after;
    struct rusage u;
    struct err err;

    store_stats(s, &before);
    if (store_compact(s, &err) < 0)
        die("compact", &err);
    cpu = cpu_seconds() - cpu;
    store_stats(s, &after);
    print("segments_before", (double)before.segments, "segments");
    print("segments_after", (double)after.segments, "segments");
    print("stored_before", (double)before.segment_bytes, "bytes");
    print("stored_after", (double)after.segment_bytes, "bytes");
    print("stored_after_by_before",
          (double)after.segment_bytes / (double)(before.segment_bytes + 1), "ratio");
    print("raw_by_stored_after", (double)raw / (double)(after.segment_bytes + 1), "ratio");
    print("compact_cpu", cpu, "s");
    print("compact_raw_per_cpu", (double)raw / 1e6 / cpu, "MB/s");
    print("compact_stored_per_cpu",
          (double)(after.compacted_bytes_in - before.compacted_bytes_in) / 1e6 / cpu, "MB/s");
    (void)getrusage(RUSAGE_SELF, &u);
    print("rss_peak", (double)u.ru_maxrss / 1e3, "MB");
}

int main(int argc, char **argv)
{
    struct store_options opt = {.decode = decode, .no_compaction = true};
    struct input *in;
    struct store *s = NULL;
    char data[4096];
    char master[4096];
    struct err err;
    uint64_t raw;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: bench_compact DIR FLUSH_MB FILE...\n");
        return 2;
    }
    (void)snprintf(data, sizeof(data), "%s/data", argv[1]);
    (void)snprintf(master, sizeof(master), "%s/master.key", argv[1]);
    opt.dir = data;
    opt.master_key = master;
    now = time_now() - time_now() % NS_PER_DAY;
    if (keyring_make_master(master, &err) < 0 || store_open(&opt, &s, &err) < 0)
        die("open", &err);
    in = mem_new((size_t)argc * sizeof(*in));
    for (int i = 3; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        in[i - 3] = (struct input){slash == NULL ? argv[i] : slash + 1, fopen(argv[i], "re"), 0};
        if (in[i - 3].file == NULL) {
            perror(argv[i]);
            return 1;
        }
    }
    raw = fill(s, in, (size_t)argc - 3, strtoull(argv[2], NULL, 10) * 1000000);
    print("raw", (double)raw, "bytes");
    run(s, raw);
    for (int i = 3; i < argc; i++)
        (void)fclose(in[i - 3].file);
    free(in);
    store_close(&s);
    return 0;
}
