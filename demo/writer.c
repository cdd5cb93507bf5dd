/*
 * demo/writer.c - a small program that logs like a web shop: what the demo's container runs.
 *
 * Linked statically, so that it is the whole image of a container.  `writer` writes to stdout;
 * `writer --cri FILE` writes CRI lines to a file, for hosts without a container runtime.  --lines N
 * ends after N lines (default: goes on until killed), --every MS between lines (default 200).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned random_state = 2463534242u;

static unsigned draw(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % n;
}

/* The i-th line into `dst`; returns whether it belongs on stderr. */
static int compose(char *dst, size_t cap, unsigned i)
{
    static const char *const PATHS[] = {"/",          "/cart",       "/checkout",
                                        "/api/items", "/api/orders", "/login"};
    static const char *const USERS[] = {"ada", "linus", "grace", "dennis", "barbara"};
    unsigned kind = i % 5;
    if (kind == 3) {
        (void)snprintf(dst, cap,
                       "{\"level\":\"info\",\"msg\":\"order placed\",\"order\":%u,\"user\":\"%s\","
                       "\"total\":%u.%02u}",
                       10000 + i, USERS[draw(5)], 5 + draw(200), draw(100));
        return 0;
    }
    if (kind == 4 && draw(2) == 0) {
        (void)snprintf(dst, cap,
                       "level=error msg=\"payment refused\" order=%u user=%s code=%u duration=%ums",
                       10000 + i, USERS[draw(5)], 402 + draw(3), 20 + draw(900));
        return 1;
    }
    (void)snprintf(dst, cap, "10.0.%u.%u \"GET %s HTTP/1.1\" %u %u %ums", draw(4), 2 + draw(250),
                   PATHS[draw(6)], draw(20) == 0 ? 500u : 200u, 200 + draw(9000), 1 + draw(300));
    return 0;
}

static void put_cri(FILE *out, const char *line, int is_err)
{
    struct timespec now;
    struct tm tm;
    char day[32];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)fprintf(out, "%s.%09ldZ %s F %s\n", day, now.tv_nsec, is_err ? "stderr" : "stdout", line);
    (void)fflush(out);
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"cri", required_argument, NULL, 'c'},
                                            {"lines", required_argument, NULL, 'n'},
                                            {"every", required_argument, NULL, 'e'},
                                            {NULL, 0, NULL, 0}};
    unsigned long lines = 0, every = 200;
    const char *cri = NULL;
    FILE *file = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        if (c == 'c')
            cri = optarg;
        else if (c == 'n')
            lines = strtoul(optarg, NULL, 10);
        else if (c == 'e')
            every = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (cri != NULL && (file = fopen(cri, "ae")) == NULL) {
        perror(cri);
        return 1;
    }
    for (unsigned i = 0; lines == 0 || i < lines; i++) {
        char line[256];
        int is_err = compose(line, sizeof(line), i);
        FILE *out = is_err ? stderr : stdout;
        if (file != NULL) {
            put_cri(file, line, is_err);
        } else {
            (void)fprintf(out, "%s\n", line);
            (void)fflush(out);
        }
        (void)usleep((useconds_t)(every * 1000));
    }
    return file != NULL && fclose(file) != 0;
}
