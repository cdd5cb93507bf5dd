/*
 * bench/bench_partitions.c - many partitions, and many streams in one.
 *
 *     bench_partitions make DIR TENANTS DAYS     records of each tenant on each day
 *     bench_partitions open DIR                  open the store; query one tenant; memory,
 * descriptors bench_partitions streams DIR STREAMS       that many streams in one day; then label
 * queries
 *
 * One JSON line a figure.  DIR is made, with a master key beside its data; use a new one.
 */
#include "base/file.h"
#include "base/mem.h"
#include "query/query.h"
#include "storage/keyring.h"
#include "storage/scan.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY0 (INT64_C(1768003200) * NS_PER_S)

enum { BATCH_STREAMS = 500 };

static void die(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static double seconds(void)
{
    return (double)time_mono() / 1e9;
}

static double cpu(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A line of /proc/self/status in MB. */
static double memory(const char *name)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    double mb = 0;

    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            mb = strtod(line + strlen(name) + 1, NULL) / 1024;
    if (f != NULL)
        (void)fclose(f);
    return mb;
}

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (d != NULL && readdir(d) != NULL) /* NOLINT(concurrency-mt-unsafe): a stream of our own */
        n++;
    if (d != NULL)
        (void)closedir(d);
    return n - 3; /* ., .., and d itself */
}

static void say(const char *what, double value, const char *unit)
{
    (void)printf("{\"bench\":\"partitions\",\"what\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n",
                 what, value, unit);
    (void)fflush(stdout);
}

static int decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err)
{
    (void)arg;
    (void)p;
    (void)ret;
    return err_set(err, ERR_UNSUPPORTED, "flush before you stop: the bench decodes nothing");
}

static struct store *open_store(const char *dir)
{
    static char data[4096], master[4096];
    struct store_options opt = {.dir = data, .master_key = master, .decode = decode};
    struct store *s = NULL;
    struct err err;

    (void)snprintf(data, sizeof(data), "%s/data", dir);
    (void)snprintf(master, sizeof(master), "%s/master.key", dir);
    (void)mkdir(dir, 0700);
    (void)keyring_make_master(master, &err); /* it may be there */
    if (store_open(&opt, &s, &err) < 0)
        die("open", &err);
    return s;
}

/* ---- appending ---- */

struct sent {
    struct store_append a;
    double began;
    bool done;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards what is under way */
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static double acks[1 << 20];
static size_t n_acks;

static void on_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct sent *s = a->arg;

    if (outcome != STORE_STORED)
        die("append", err);
    (void)pthread_mutex_lock(&mutex);
    if (n_acks < sizeof(acks) / sizeof(acks[0]))
        acks[n_acks++] = seconds() - s->began;
    s->done = true;
    (void)pthread_cond_signal(&answered);
    (void)pthread_mutex_unlock(&mutex);
}

static void append(struct store *s, const char *tenant, struct batch *b)
{
    struct sent one = {.began = seconds()};

    one.a.payload = (struct store_payload){.tenant = str_of(tenant),
                                           .peer = STR("bench"),
                                           .decided = STR("d"),
                                           .received = store_receive_time(s),
                                           .bytes = STR("x")};
    one.a.batch = b;
    one.a.done = on_done;
    one.a.arg = &one;
    store_append(s, &one.a);
    (void)pthread_mutex_lock(&mutex);
    while (!one.done)
        (void)pthread_cond_wait(&answered, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static struct label pair(const char *name, struct str value)
{
    return (struct label){str_of(name), value};
}

/* The labels that a container has. */
static void add_record(struct batch *b, unsigned long long i, ts_ns ts)
{
    unsigned long long h = i * UINT64_C(0x9e3779b97f4a7c15);
    struct label v[8];
    struct labels l = {v, 0};
    struct record rec = {.ts = ts, .line = STR("GET /index.html 200 17 ms")};
    struct err err;

    v[l.n++] = pair("app", arena_printf(b->arena, "app-%llu", i % 400));
    v[l.n++] = pair("container_id", arena_printf(b->arena, "%016llx", h));
    v[l.n++] = pair("host", arena_printf(b->arena, "node-%llu.example.net", i % 1000));
    v[l.n++] = pair("namespace", arena_printf(b->arena, "team-%llu", i % 50));
    v[l.n++] = pair("pod", arena_printf(b->arena, "web-%llx", h >> 20));
    v[l.n++] = pair("source", STR("container"));
    if (batch_stream(b, &l, &rec.stream, &err) < 0 || batch_add(b, &rec, &err) < 0)
        die("batch", &err);
}

static void flush(struct store *s)
{
    struct err err;

    if (store_flush(s, &err) < 0)
        die("flush", &err);
}

static void make(const char *dir, unsigned tenants, unsigned days)
{
    struct store *s = open_store(dir);
    double began = seconds();

    for (unsigned t = 0; t < tenants; t++) {
        char name[32];
        struct batch *b = batch_new(NULL, 0);
        (void)snprintf(name, sizeof(name), "tenant-%u", t);
        for (unsigned d = 0; d < days; d++)
            for (unsigned i = 0; i < 5; i++)
                add_record(b, i, DAY0 + d * NS_PER_DAY + i * NS_PER_MIN);
        append(s, name, b);
        if (t % 50 == 49)
            flush(s);
    }
    store_close(&s);
    say("make", seconds() - began, "s");
}

/* ---- asking ---- */

struct counter {
    size_t n;
};

static int count_stream(void *arg, const struct labels *l)
{
    (void)l;
    ((struct counter *)arg)->n++;
    return 0;
}

static int count_text(void *arg, struct str text)
{
    (void)text;
    ((struct counter *)arg)->n++;
    return 0;
}

static struct scan_request request_of(const struct str *tenant, struct query *q)
{
    struct scan_request req = {.tenants = tenant,
                               .n_tenants = 1,
                               .from = DAY0,
                               .to = DAY0 + 400 * NS_PER_DAY,
                               .need_line = true};

    (void)query_selector(q, &req.matchers, &req.n_matchers);
    return req;
}

static size_t run_scan(struct store *s, const struct scan_request *req)
{
    struct scan *sc = NULL;
    struct batch *b = NULL;
    struct err err;
    size_t n = 0;
    int r = scan_open(s, req, &sc, &err);

    while (r == 0) {
        r = scan_next(sc, &b, &err);
        if (r == 0) {
            n += b->n_records;
            batch_unref(&b);
        }
    }
    if (r < 0)
        die("scan", &err);
    scan_close(&sc);
    return n;
}

/* One question three times: the first is cold, the last is told. */
static void ask(struct store *s, const char *tenant, const char *what, const char *selector,
                const char *label)
{
    struct str t = str_of(tenant);
    struct query *q = NULL;
    struct err err;
    struct counter c = {.n = 0};
    double cold = 0, warm = 0;
    char name[128];

    if (query_parse(str_of(selector), &q, NULL, NULL, &err) < 0)
        die(selector, &err);
    for (int i = 0; i < 3; i++) {
        struct scan_request req = request_of(&t, q);
        double began = seconds();
        int r = 0;
        c.n = 0;
        if (label == NULL)
            c.n = run_scan(s, &req);
        else if (strcmp(label, "series") == 0)
            r = scan_streams(s, &req, count_stream, &c, &err);
        else
            r = scan_labels(s, &req, str_of(label), count_text, &c, &err);
        if (r < 0)
            die(what, &err);
        warm = (seconds() - began) * 1e3;
        if (i == 0)
            cold = warm;
    }
    (void)snprintf(name, sizeof(name), "%s, cold (%zu found)", what, c.n);
    say(name, cold, "ms");
    (void)snprintf(name, sizeof(name), "%s, warm", what);
    say(name, warm, "ms");
    query_unref(&q);
}

static void open_all(const char *dir)
{
    double began = seconds();
    double used = cpu();
    struct store *s = open_store(dir);

    say("open", seconds() - began, "s");
    say("open, CPU", cpu() - used, "s");
    say("memory after open", memory("VmRSS"), "MB");
    say("descriptors after open", descriptors(), "");
    ask(s, "tenant-1", "query of every day", "{app=\"app-1\"}", NULL);
    ask(s, "tenant-2", "query that no day matches", "{app=\"none\"}", NULL);
    ask(s, "tenant-3", "label values of every day", "{app=~\".+\"}", "app");
    say("memory after queries", memory("VmRSS"), "MB");
    say("memory peak", memory("VmHWM"), "MB");
    say("descriptors after queries", descriptors(), "");
    store_close(&s);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

static void *append_all(void *arg)
{
    void **args = arg;
    struct store *s = args[0];
    unsigned long long n = *(unsigned long long *)args[1];

    for (unsigned long long i = 0; i < n; i += BATCH_STREAMS) {
        struct batch *b = batch_new(NULL, 0);
        for (unsigned long long k = i; k < i + BATCH_STREAMS && k < n; k++)
            add_record(b, k, DAY0 + (ts_ns)k * 1000);
        append(s, "t", b);
    }
    return NULL;
}

static void many_streams(const char *dir, unsigned long long n)
{
    struct store *s = open_store(dir);
    void *args[2] = {s, &n};
    pthread_t thread;
    double began = seconds();
    char selector[128];

    if (pthread_create(&thread, NULL, append_all, args) != 0)
        exit(1);
    (void)pthread_join(thread, NULL);
    say("append", seconds() - began, "s");
    flush(s);
    say("append and flush", seconds() - began, "s");
    say("append and flush, CPU", cpu(), "s");
    qsort(acks, n_acks, sizeof(*acks), by_value);
    say("ack p50", acks[n_acks / 2] * 1e3, "ms");
    say("ack p99", acks[n_acks - 1 - n_acks / 100] * 1e3, "ms");
    say("ack slowest", acks[n_acks - 1] * 1e3, "ms");
    say("memory peak, writing", memory("VmHWM"), "MB");
    store_close(&s);
    s = open_store(dir);
    (void)snprintf(selector, sizeof(selector), "{container_id=\"%016llx\"}",
                   n / 2 * UINT64_C(0x9e3779b97f4a7c15));
    ask(s, "t", "exact stream", selector, NULL);
    ask(s, "t", "values of app", "{app=~\".+\"}", "app");
    ask(s, "t", "names", "{source=\"container\"}", "");
    ask(s, "t", "values of host where app=app-7", "{app=\"app-7\"}", "host");
    ask(s, "t", "series of one host", "{host=\"node-77.example.net\"}", "series");
    ask(s, "t", "values of container_id", "{source=\"container\"}", "container_id");
    ask(s, "t", "streams by a pattern of pod", "{pod=~\"web-.*abc.*\"}", "series");
    say("memory", memory("VmRSS"), "MB");
    say("memory peak", memory("VmHWM"), "MB");
    say("descriptors", descriptors(), "");
    store_close(&s);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "make") == 0)
        make(argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    else if (argc == 3 && strcmp(argv[1], "open") == 0)
        open_all(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "streams") == 0)
        many_streams(argv[2], strtoull(argv[3], NULL, 10));
    else
        return fprintf(stderr, "usage: bench_partitions make DIR TENANTS DAYS | open DIR | "
                               "streams DIR STREAMS\n") < 0
                   ? 1
                   : 2;
    return 0;
}
