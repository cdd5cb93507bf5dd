/*
 * bench/bench_logs.c - the logs that benches read: seeded, so that two machines measure the same
 * bytes.
 *
 *     bench_logs --dir DIR [--bytes N] [--streams K] [--seed S] [--start NS] [--hours H] [--peer
 * FILE]
 *
 * Writes CRI files DIR/<namespace>_<pod>_<uid>/<container>/0.log for K pods of six applications:
 * JSON, logfmt, access log and plain text, with realistic ids, addresses and durations, about 200
 * bytes a line.  Streams write in bursts, times have nanosecond jitter and are spread over H hours
 * that end at S.  N counts line text plus one newline a line, without CRI's own bytes.  One line in
 * a million holds "needle-<seed>"; prints a JSON summary.  --peer writes the same records once
 * more, one JSON object a line (_time, namespace, pod, container, stream, _msg), in the order of
 * their times, for a peer that takes those.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LINE_MAX_BYTES = 1024, APPS = 6, BURST_MAX = 12 };

static uint64_t state[2];

static uint64_t next_random(void) /* xorshift128+ */
{
    uint64_t a = state[0], b = state[1];
    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return state[1] + b;
}

static unsigned draw(unsigned n)
{
    return (unsigned)((next_random() >> 11) % n);
}

static double draw_unit(void)
{
    return (double)(next_random() >> 11) / 9007199254740992.0;
}

/* Few values often, many seldom: what users, paths and addresses are like. */
static unsigned draw_skewed(unsigned n)
{
    double u = draw_unit();
    return (unsigned)((double)n * u * u * u);
}

static double draw_duration_ms(void)
{
    return exp(1.5 + 1.6 * (draw_unit() + draw_unit() + draw_unit() - 1.5) * 1.2);
}

static const char *const PATHS[] = {
    "/api/v1/orders",      "/api/v1/orders/%u",  "/api/v1/items/%u", "/api/v1/users/%u/cart",
    "/static/app.js",      "/static/style.css",  "/healthz",         "/login",
    "/api/v1/search?q=%u", "/api/v1/payments/%u"};
static const char *const AGENTS[] = {
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148",
    "curl/8.5.0", "kube-probe/1.30", "Go-http-client/2.0"};
static const char *const LEVELS[] = {"info", "info",  "info",  "info", "info",
                                     "info", "debug", "debug", "warn", "error"};
static const char *const MESSAGES[] = {
    "request handled",        "cache miss",        "order placed",   "payment authorised",
    "retrying upstream call", "session refreshed", "query finished", "message published"};

static void put_ip(char *dst)
{
    unsigned i = draw_skewed(20000);
    (void)sprintf(dst, "10.%u.%u.%u", 1 + i / 62500, i / 250 % 250, 1 + i % 250);
}

static void put_hex(char *dst, unsigned digits)
{
    static const char HEX[] = "0123456789abcdef";
    for (unsigned i = 0; i < digits; i++)
        dst[i] = HEX[next_random() >> 17 & 15];
    dst[digits] = '\0';
}

static void put_path(char *dst, size_t cap)
{
    const char *path = PATHS[draw_skewed(10)];
    const char *number = strchr(path, '%');
    int n = number == NULL ? (int)strlen(path) : (int)(number - path);
    (void)snprintf(dst, cap, "%.*s", n, path);
    if (number != NULL)
        (void)snprintf(dst + n, cap - (size_t)n, "%u%s", 1000 + draw_skewed(500000), number + 2);
}

static unsigned draw_status(void)
{
    static const unsigned STATUS[] = {200, 200, 200, 200, 200, 200, 201, 204,
                                      304, 301, 404, 404, 400, 403, 500, 503};
    return STATUS[draw(100) < 88 ? draw(8) : draw(16)];
}

static int compose_json(char *dst, uint64_t seq)
{
    char ip[20], trace[33], path[64];
    put_ip(ip);
    put_hex(trace, 32);
    put_path(path, sizeof(path));
    return snprintf(dst, LINE_MAX_BYTES,
                    "{\"level\":\"%s\",\"msg\":\"%s\",\"method\":\"GET\",\"path\":\"%s\","
                    "\"status\":%u,\"duration_ms\":%.3f,"
                    "\"client\":\"%s\",\"user\":%u,\"trace_id\":\"%s\",\"bytes\":%u,\"n\":%" PRIu64
                    "}",
                    LEVELS[draw(10)], MESSAGES[draw(8)], path, draw_status(), draw_duration_ms(),
                    ip, 1000 + draw_skewed(90000), trace, draw_skewed(200000), seq);
}

static int compose_logfmt(char *dst, uint64_t seq)
{
    char span[17];
    put_hex(span, 16);
    return snprintf(dst, LINE_MAX_BYTES,
                    "level=%s component=%s msg=\"%s\" tenant=team-%u rows=%u took=%.2fms span=%s "
                    "retries=%u queue=%s offset=%" PRIu64,
                    LEVELS[draw(10)], draw(2) ? "worker" : "scheduler", MESSAGES[draw(8)],
                    draw_skewed(40), draw_skewed(5000), draw_duration_ms(), span,
                    draw(20) == 0 ? draw(4) : 0, draw(3) ? "default" : "priority", seq);
}

static int compose_access(char *dst, uint64_t seq, int64_t ns)
{
    char ip[20], path[64], when[40];
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    put_ip(ip);
    put_path(path, sizeof(path));
    (void)gmtime_r(&s, &tm);
    (void)strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    (void)seq;
    return snprintf(dst, LINE_MAX_BYTES,
                    "%s - - [%s] \"%s %s HTTP/1.1\" %u %u \"-\" \"%s\" rt=%.3f", ip, when,
                    draw(6) ? "GET" : "POST", path, draw_status(), draw_skewed(90000),
                    AGENTS[draw_skewed(5)], draw_duration_ms() / 1000);
}

static int compose_java(char *dst, uint64_t seq, int64_t ns)
{
    char block[12], ip[20];
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    char when[32];
    put_ip(ip);
    (void)snprintf(block, sizeof(block), "%u", 1073741825 + draw(800000));
    (void)gmtime_r(&s, &tm);
    (void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    return snprintf(dst, LINE_MAX_BYTES,
                    "%s,%03d %s [DataXceiver-%u] org.example.store.BlockReceiver: Received block "
                    "blk_%s_%u src: /%s:%u dest: "
                    "/10.1.0.7:50010 of size %u duration: %u seq %" PRIu64,
                    when, (int)(ns / 1000000 % 1000), draw(50) ? "INFO " : "WARN ", draw(64), block,
                    1000 + draw(90000), ip, 30000 + draw(30000), draw_skewed(134217728),
                    draw_skewed(90000000), seq);
}

static int compose_klog(char *dst, uint64_t seq, int64_t ns)
{
    char uid[9];
    put_hex(uid, 8);
    return snprintf(dst, LINE_MAX_BYTES,
                    "I%04u %02u:%02u:%02u.%06u       1 reconciler.go:%u] \"Reconciled object\" "
                    "kind=\"Deployment\" namespace=\"team-%u\" "
                    "name=\"app-%u\" uid=\"%s-4b1c-11ef-9d3e-0242ac120002\" generation=%u "
                    "elapsed=\"%.1fms\" n=%" PRIu64,
                    1121u, (unsigned)(ns / 3600000000000 % 24), (unsigned)(ns / 60000000000 % 60),
                    (unsigned)(ns / 1000000000 % 60), (unsigned)(ns / 1000 % 1000000),
                    120 + draw(30), draw_skewed(40), draw_skewed(300), uid, 1 + draw_skewed(90),
                    draw_duration_ms(), seq);
}

static int compose_redis(char *dst, uint64_t seq, int64_t ns)
{
    (void)ns;
    return snprintf(dst, LINE_MAX_BYTES,
                    "1:M %u changes in %u seconds. Saving... Background saving started by pid %u, "
                    "%u MB of memory used by copy-on-write, key count %" PRIu64,
                    1 + draw(10000), 60 * (1 + draw(5)), 20 + draw(30000), draw(64), seq);
}

static const char *const APP[APPS] = {"shop", "nginx", "worker", "datanode", "operator", "cache"};

struct pod {
    FILE *file;
    unsigned app, index;
};

static int compose(char *dst, unsigned app, uint64_t seq, int64_t ns)
{
    switch (app) {
    case 0:
        return compose_json(dst, seq);
    case 1:
        return compose_access(dst, seq, ns);
    case 2:
        return compose_logfmt(dst, seq);
    case 3:
        return compose_java(dst, seq, ns);
    case 4:
        return compose_klog(dst, seq, ns);
    default:
        return compose_redis(dst, seq, ns);
    }
}

static FILE *open_pod(const char *dir, unsigned i)
{
    char path[512], uid[9];
    put_hex(uid, 8);
    (void)snprintf(path, sizeof(path), "%s/team-%u_%s-%u_%s-0000-4000-8000-0000000%05x", dir, i % 8,
                   APP[i % APPS], i, uid, i);
    (void)mkdir(path, 0755);
    (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", APP[i % APPS]);
    (void)mkdir(path, 0755);
    (void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/0.log");
    return fopen(path, "we");
}

/* Only quotes and backslashes need escaping in what compose makes. */
static void put_json_text(FILE *f, const char *line, int n)
{
    for (int i = 0; i < n; i++) {
        if (line[i] == '"' || line[i] == '\\')
            (void)fputc('\\', f);
        (void)fputc(line[i], f);
    }
}

static void put_record(FILE *peer, const struct pod *pod, int64_t ns, const char *line, int n)
{
    static time_t cached;
    static char day[32];
    const char *stream;
    time_t s = (time_t)(ns / 1000000000);
    if (s != cached) {
        struct tm tm;
        (void)gmtime_r(&s, &tm);
        (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
        cached = s;
    }
    stream = pod->app != 3 && draw(12) == 0 ? "stderr" : "stdout";
    (void)fprintf(pod->file, "%s.%09" PRId64 "Z %s F %.*s\n", day, ns % 1000000000, stream, n,
                  line);
    if (peer == NULL)
        return;
    (void)fprintf(peer,
                  "{\"_time\":\"%s.%09" PRId64 "Z\",\"namespace\":\"team-%u\",\"pod\":\"%s-%u\","
                  "\"container\":\"%s\",\"stream\":\"%s\",\"_msg\":\"",
                  day, ns % 1000000000, pod->index % 8, APP[pod->app], pod->index, APP[pod->app],
                  stream);
    put_json_text(peer, line, n);
    (void)fputs("\"}\n", peer);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"dir", 1, NULL, 'd'},     {"bytes", 1, NULL, 'b'},
                                            {"streams", 1, NULL, 'k'}, {"seed", 1, NULL, 's'},
                                            {"start", 1, NULL, 't'},   {"hours", 1, NULL, 'h'},
                                            {"peer", 1, NULL, 'p'},    {NULL, 0, NULL, 0}};
    FILE *peer = NULL;
    const char *dir = NULL;
    uint64_t bytes = 1000000000, seed = 1, done = 0, seq = 0, needles = 0;
    unsigned streams = 200;
    int64_t end = 0;
    double hours = 1;
    int c;

    while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (c) {
        case 'd':
            dir = optarg;
            break;
        case 'b':
            bytes = strtoull(optarg, NULL, 10);
            break;
        case 'k':
            streams = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        case 't':
            end = strtoll(optarg, NULL, 10);
            break;
        case 'h':
            hours = strtod(optarg, NULL);
            break;
        case 'p':
            peer = fopen(optarg, "we");
            if (peer == NULL) {
                perror(optarg);
                return 1;
            }
            break;
        default:
            return 2;
        }
    }
    if (dir == NULL || streams == 0 || streams > 10000) {
        (void)fprintf(stderr, "usage: bench_logs --dir DIR [--bytes N] [--streams K] [--seed S] "
                              "[--start NS] [--hours H] [--peer FILE]\n");
        return 2;
    }
    state[0] = seed * 0x9e3779b97f4a7c15u + 1;
    state[1] = seed ^ 0xd1b54a32d192ed03u;
    struct pod *pods = calloc(streams, sizeof(*pods));
    if (pods == NULL)
        return 1;
    for (unsigned i = 0; i < streams; i++) {
        pods[i].app = i % APPS;
        pods[i].index = i;
        pods[i].file = open_pod(dir, i);
        if (pods[i].file == NULL) {
            perror(dir);
            return 1;
        }
    }
    /* mean gap such that `bytes` of 200-byte lines fill the hours */
    double gap = hours * 3.6e12 / ((double)bytes / 200.0);
    int64_t now = end - (int64_t)(hours * 3.6e12);
    char line[LINE_MAX_BYTES];
    while (done < bytes) {
        struct pod *pod = &pods[draw_skewed(streams)];
        for (unsigned burst = 1 + draw(BURST_MAX); burst > 0 && done < bytes; burst--) {
            now += 1 + (int64_t)(-log(1.0 - draw_unit()) * gap);
            int n = compose(line, pod->app, seq, now);
            if (seq % 1000000 == 500000) {
                n += snprintf(line + n, sizeof(line) - (size_t)n, " needle-%" PRIu64, seed);
                needles++;
            }
            put_record(peer, pod, now, line, n);
            done += (uint64_t)n + 1;
            seq++;
        }
    }
    for (unsigned i = 0; i < streams; i++)
        if (fclose(pods[i].file) != 0)
            return 1;
    if (peer != NULL && fclose(peer) != 0)
        return 1;
    free(pods);
    (void)printf("{\"bytes\":%" PRIu64 ",\"lines\":%" PRIu64 ",\"streams\":%u,\"needles\":%" PRIu64
                 ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64 "}\n",
                 done, seq, streams, needles, end - (int64_t)(hours * 3.6e12), now);
    return 0;
}
