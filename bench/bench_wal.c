/*
 * bench/bench_wal.c - the write path without the network: how fast chunks are answered, and how
 * fast a store is open and whole again after it was killed with a full WAL.
 *
 *     bench_wal DIR acks [SENDERS] [SECONDS] [GROUP_DELAY_US]
 *     bench_wal DIR replay [MB]
 *
 * acks: SENDERS threads, each sends a chunk of 50 lines, waits for its answer, and sends the next.
 * replay: a child process fills a WAL of MB with chunks of 2,000 lines as our collector packs them
 * (not compressed) and dies; the parent opens the store.  One JSON object a line.
 */
#include "base/file.h"
#include "base/mem.h"
#include "server/ingest.h"
#include "storage/keyring.h"
#include "storage/store.h"
#include "wire/forward_pack.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WINDOW = 16, ACKS_MAX = 1 << 22 };

static char master[4096], data[4096];

_Noreturn static void die(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    _exit(1);
}

static double cpu_seconds(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double seconds_since(dur_ns t)
{
    return (double)(time_mono() - t) / 1e9;
}

static void print(const char *name, double value, const char *unit, const char *note)
{
    (void)printf(
        "{\"suite\":\"wal\",\"name\":\"%s\",\"value\":%.4f,\"unit\":\"%s\",\"note\":\"%s\"}\n",
        name, value, unit, note);
    (void)fflush(stdout);
}

/* ---- chunks ---- */

struct chunk {
    struct store_append a;
    struct buf bytes, decided;
    sem_t *done;
    char peer[32];
};

/* `lines` lines of file `file`, the n-th chunk of it. */
static void fill(struct chunk *c, unsigned file, uint64_t n, unsigned lines)
{
    struct label labels[] = {{STR("app"), STR("shop")}, {STR("container"), STR_NULL}};
    struct label attrs[] = {{STR("container_id"), STR("4f1c2a9b7e6d5c3b2a190817f6e5d4c3")}};
    struct forward_part part = {.count = lines, .labels = {labels, 2}, .attrs = {attrs, 1}};
    struct ingest_decided d = {.may_have_parts = true, .payload_bytes = 256 << 20};
    struct buf payload;
    char name[32], token[25], line[256];

    (void)snprintf(name, sizeof(name), "shop-%u", file);
    labels[1].value = part.file_id = str_of(name);
    part.start = n * 1000000;
    part.end = part.start + 1000000;
    buf_init(&payload, 64 << 20);
    for (unsigned i = 0; i < lines; i++) {
        uint64_t x = (n * lines + i) * 2654435761u;
        struct label fields[] = {{STR("stream"), STR("stdout")}, {STR("log"), STR_NULL}};
        int len = snprintf(
            line, sizeof(line),
            "time=\"2026-01-10T10:%02u:%02u.%03uZ\" level=info msg=\"order placed\" "
            "order=%08" PRIx64 " user=%" PRIu64 " amount=%u.%02u path=/api/v1/orders "
            "duration_ms=%u trace=%016" PRIx64,
            (unsigned)(n / 60 % 60), (unsigned)(n % 60), i % 1000, x & 0xffffffff, x % 100000,
            (unsigned)(x % 900), (unsigned)(x % 100), (unsigned)(x % 977), x * 0x9e3779b97f4a7c15u);
        fields[1].value = (struct str){line, (size_t)len};
        forward_pack_entry(&payload, time_now(), fields, 2);
    }
    forward_token(&part, 1, token);
    buf_clear(&c->bytes);
    forward_pack_chunk(&c->bytes, &(struct forward_chunk){.tag = STR("logq"),
                                                          .payload = buf_str(&payload),
                                                          .n_entries = lines,
                                                          .token = str_of(token),
                                                          .parts = &part,
                                                          .n_parts = 1});
    buf_fini(&payload);
    buf_clear(&c->decided);
    ingest_decided_pack(&d, &c->decided);
    (void)snprintf(c->peer, sizeof(c->peer), "collector-%u", file);
}

static void on_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct chunk *c = a->arg;

    if (outcome != STORE_STORED)
        die("append", err);
    (void)sem_post(c->done);
}

static void send(struct store *s, struct chunk *c)
{
    struct err err;

    c->a.payload = (struct store_payload){.kind = INGEST_FORWARD,
                                          .tenant = STR("default"),
                                          .peer = str_of(c->peer),
                                          .decided = buf_str(&c->decided),
                                          .received = store_receive_time(s),
                                          .bytes = buf_str(&c->bytes)};
    c->a.done = on_done;
    c->a.arg = c;
    if (ingest_decode(NULL, &c->a.payload, &c->a.batch, &err) < 0)
        die("decode", &err);
    store_append(s, &c->a);
}

static void chunk_init(struct chunk *c, sem_t *done)
{
    memset(c, 0, sizeof(*c));
    buf_init(&c->bytes, 64 << 20);
    buf_init(&c->decided, 64 << 10);
    c->done = done;
}

static struct store_options options(void)
{
    return (struct store_options){.dir = data, .master_key = master, .decode = ingest_decode};
}

/* ---- acks ---- */

struct acks {
    struct store *s;
    atomic_bool stop;
    _Atomic uint64_t n;
    dur_ns *took;
};

struct sender {
    struct acks *acks;
    unsigned number;
    pthread_t thread;
};

static void *send_main(void *arg)
{
    struct sender *sender = arg;
    struct acks *acks = sender->acks;
    struct chunk c;
    sem_t done;

    (void)sem_init(&done, 0, 0);
    chunk_init(&c, &done);
    for (uint64_t n = 0; !acks->stop; n++) {
        dur_ns begin;
        uint64_t at;
        fill(&c, sender->number, n, 50);
        begin = time_mono();
        send(acks->s, &c);
        while (sem_wait(&done) != 0)
            ;
        at = atomic_fetch_add(&acks->n, 1);
        if (at < ACKS_MAX)
            acks->took[at] = time_mono() - begin;
    }
    buf_fini(&c.bytes);
    buf_fini(&c.decided);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const dur_ns *x = a;
    const dur_ns *y = b;

    return (*x > *y) - (*x < *y);
}

static void run_acks(unsigned senders, unsigned seconds, dur_ns delay)
{
    struct store_options opt = options();
    struct acks acks = {.took = mem_new(ACKS_MAX * sizeof(dur_ns))};
    struct sender *all = mem_new(senders * sizeof(*all));
    struct store_stats st;
    struct err err;
    double cpu;
    size_t n;

    opt.group_delay = delay;
    if (store_open(&opt, &acks.s, &err) < 0)
        die("open", &err);
    for (unsigned i = 0; i < senders; i++) {
        all[i] = (struct sender){.acks = &acks, .number = i};
        (void)pthread_create(&all[i].thread, NULL, send_main, &all[i]);
    }
    (void)sleep(seconds);
    acks.stop = true;
    for (unsigned i = 0; i < senders; i++)
        (void)pthread_join(all[i].thread, NULL);
    store_stats(acks.s, &st);
    cpu = cpu_seconds();
    n = (size_t)acks.n < ACKS_MAX ? (size_t)acks.n : ACKS_MAX;
    qsort(acks.took, n, sizeof(*acks.took), by_value);
    print("acks_per_s", (double)acks.n / seconds, "1/s", "chunks of 50 lines");
    print("ack_ms_p50", (double)acks.took[n / 2] / 1e6, "ms", "");
    print("ack_ms_p99", (double)acks.took[n * 99 / 100] / 1e6, "ms", "");
    print("chunks_per_sync", (double)acks.n / (double)st.wal_syncs, "", "");
    print("syncs_per_s", (double)st.wal_syncs / seconds, "1/s", "");
    print("acks_per_cpu_s", (double)acks.n / cpu, "1/s", "packing included");
    store_close(&acks.s);
}

/* ---- replay ---- */

static void fill_wal(uint64_t mb)
{
    struct store_options opt = options();
    struct chunk chunks[WINDOW];
    struct store_stats st = {0};
    struct store *s = NULL;
    struct err err;
    sem_t done;

    (void)sem_init(&done, 0, WINDOW);
    opt.head_bytes = (size_t)16 << 30;
    opt.wal_bytes = UINT64_C(64) << 30;
    opt.flush_age = NS_PER_DAY;
    if (store_open(&opt, &s, &err) < 0)
        die("open", &err);
    for (unsigned i = 0; i < WINDOW; i++)
        chunk_init(&chunks[i], &done);
    for (uint64_t n = 0; st.wal_bytes < mb * 1000000; n++) {
        while (sem_wait(&done) != 0) /* answers come in order: the oldest is free */
            ;
        fill(&chunks[n % WINDOW], (unsigned)(n % 20), n / 20, 2000);
        send(s, &chunks[n % WINDOW]);
        store_stats(s, &st);
    }
    for (unsigned i = 0; i < WINDOW; i++)
        (void)sem_wait(&done);
    store_stats(s, &st);
    print("wal_rows", (double)st.records, "rows", "");
    print("wal_line_mb", (double)st.line_bytes / 1e6, "MB", "");
    (void)kill(getpid(), SIGKILL);
}

static double pss_mb(void)
{
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    double kb = 0;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, "Pss:", 4) == 0)
            kb = strtod(line + 4, NULL);
    if (f != NULL)
        (void)fclose(f);
    return kb / 1024;
}

static void run_replay(uint64_t mb)
{
    struct store_options opt = options();
    struct store *s = NULL;
    struct store_stats st;
    struct err err;
    dur_ns begin;
    double cpu;
    double peak = 0;
    pid_t pid = fork();

    if (pid == 0)
        fill_wal(mb);
    (void)waitpid(pid, NULL, 0);
    begin = time_mono();
    cpu = cpu_seconds();
    if (store_open(&opt, &s, &err) < 0)
        die("open", &err);
    print("open_s", seconds_since(begin), "s", "store_open returns, chunks are taken");
    print("open_cpu_s", cpu_seconds() - cpu, "s", "");
    for (unsigned n = 0; store_state(s, NULL, 0) == STORE_REPLAYING; n++) {
        double now = n % 50 == 0 ? pss_mb() : 0; /* a dear question */
        peak = now > peak ? now : peak;
        (void)usleep(2000);
    }
    print("ready_s", seconds_since(begin), "s", "all records are back");
    store_stats(s, &st);
    print("replay_mb_per_s", (double)st.replay_bytes / 1e6 / seconds_since(begin), "MB/s",
          "of WAL, flushes on the way included");
    print("replay_cpu_s", cpu_seconds() - cpu, "s", "");
    print("replay_pss_peak_mb", peak, "MB", "");
    print("replay_flushes", (double)st.flushes, "", "");
    store_close(&s);
    print("closed_s", seconds_since(begin), "s", "all in segments");
    print("closed_cpu_s", cpu_seconds() - cpu, "s", "");
}

static unsigned number(int argc, char **argv, int i, unsigned fallback)
{
    return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    struct err err;

    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench_wal DIR acks [SENDERS] [SECONDS] [GROUP_DELAY_US]\n"
                              "       bench_wal DIR replay [MB]\n");
        return 2;
    }
    (void)snprintf(data, sizeof(data), "%s/data", argv[1]);
    (void)snprintf(master, sizeof(master), "%s/master.key", argv[1]);
    if (file_make_dirs(AT_FDCWD, argv[1], 0700, &err) < 0 || keyring_make_master(master, &err) < 0)
        die("prepare", &err);
    if (strcmp(argv[2], "acks") == 0)
        run_acks(number(argc, argv, 3, 200), number(argc, argv, 4, 5),
                 (dur_ns)number(argc, argv, 5, 0) * NS_PER_US);
    else
        run_replay(number(argc, argv, 3, 256));
    return 0;
}
