/*
 * tests/tools/feed.c - writes the log of a container as its runtime would, and rotates it.
 *
 *     feed [options] PATH
 *
 * Line n of the log says "n=0000000007 xxx...".  Prints one JSON object per file that it began, in
 * order, when it is done with it: which lines ended in it, how many bytes it has, and whether it
 * still exists.  With -i every line's place is written to a file, so that a lost range can be said
 * in lines.  SIGTERM ends it after a whole line; SIGUSR1 rotates.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { PIECE = 16 << 10, KEEP_MAX = 1000, BATCH = 256 << 10, PATH_BYTES = 4096 };

enum format { FORMAT_CRI, FORMAT_DOCKER, FORMAT_PLAIN };
enum rotation {
    ROTATE_NONE,
    ROTATE_RENAME,       /* x.log -> x.log.1 -> x.log.2, or a stamp; a new x.log */
    ROTATE_COPYTRUNCATE, /* a copy as x.log.1, x.log is cut to nothing */
    ROTATE_OVER,         /* a new file is renamed over the old one, which loses its name (podman) */
    ROTATE_UNLINK,       /* the old one is removed, then a new one is made */
};
enum compress { COMPRESS_NONE, COMPRESS_ALL, COMPRESS_OLD };

struct feed {
    enum format format;
    enum rotation rotation;
    enum compress compress;
    bool stamps, both_streams;
    uint64_t first, lines, rate; /* lines 0: until a signal; rate 0: as fast as it goes */
    uint64_t rotate_lines, rotate_ms;
    unsigned keep;
    size_t pad;
    uint64_t long_every;
    size_t long_bytes;
    const char *path;
    FILE *index;

    int fd;
    unsigned no;                   /* of the file, from 1 */
    uint64_t file_bytes;           /* written into it */
    uint64_t file_first, file_end; /* lines that ended in it */
    char names[KEEP_MAX][PATH_BYTES];
    unsigned n_names; /* newest first */
    unsigned stamp;
    char *batch;
    size_t n;
};

static volatile sig_atomic_t stopped, rotate_now;

static void on_signal(int sig)
{
    if (sig == SIGUSR1)
        rotate_now = 1;
    else
        stopped = 1;
}

__attribute__((noreturn)) static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void flush(struct feed *f)
{
    for (size_t at = 0; at < f->n;) {
        ssize_t r = write(f->fd, f->batch + at, f->n - at);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            fail("write");
        at += (size_t)r;
    }
    f->n = 0;
}

static void put(struct feed *f, const char *p, size_t n)
{
    while (n > 0) {
        size_t room = BATCH - f->n, take = n < room ? n : room;
        memcpy(f->batch + f->n, p, take);
        f->n += take;
        f->file_bytes += take;
        p += take;
        n -= take;
        if (f->n == BATCH)
            flush(f);
    }
}

static void open_log(struct feed *f)
{
    f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (f->fd < 0)
        fail(f->path);
    f->no++;
    f->file_bytes = 0;
    f->file_first = f->file_end;
}

static void tell(const struct feed *f, const char *name)
{
    struct stat st;

    if (fstat(f->fd, &st) < 0)
        fail("stat");
    printf("{\"no\": %u, \"inode\": %llu, \"first\": %" PRIu64 ", \"end\": %" PRIu64
           ", \"bytes\": %" PRIu64 ", \"name\": \"%s\"}\n",
           f->no, (unsigned long long)st.st_ino, f->file_first, f->file_end, f->file_bytes, name);
    (void)fflush(stdout);
}

/* ---- rotation ---- */

static void copy_to(const char *from, const char *to, bool packed)
{
    char piece[64 << 10], tmp[PATH_BYTES + 8];
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    ssize_t n;
    gzFile gz = NULL;

    (void)snprintf(tmp, sizeof(tmp), "%s%s", to, packed ? ".tmp" : "");
    out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (in < 0 || out < 0 || (packed && (gz = gzdopen(out, "wb1")) == NULL))
        fail(to);
    while ((n = read(in, piece, sizeof(piece))) > 0)
        if (packed ? gzwrite(gz, piece, (unsigned)n) != (int)n : write(out, piece, (size_t)n) != n)
            fail(tmp);
    if (packed ? gzclose(gz) != Z_OK : close(out) != 0)
        fail(tmp);
    (void)close(in);
    if (packed && rename(tmp, to) < 0)
        fail(to);
}

static void compress_name(char name[PATH_BYTES])
{
    char packed[PATH_BYTES + 4];

    if (strlen(name) > 3 && strcmp(name + strlen(name) - 3, ".gz") == 0)
        return;
    (void)snprintf(packed, sizeof(packed), "%s.gz", name);
    copy_to(name, packed, true);
    if (unlink(name) < 0)
        fail(name);
    (void)snprintf(name, PATH_BYTES, "%.*s", PATH_BYTES - 1, packed);
}

/* Make room for one more old file at the front: with numbers every name moves up. */
static void shift(struct feed *f, char name[PATH_BYTES])
{
    while (f->n_names >= f->keep && f->n_names > 0)
        if (unlink(f->names[--f->n_names]) < 0)
            fail("unlink");
    for (unsigned i = f->n_names; i > 0; i--) {
        char *old = f->names[i - 1], *new = f->names[i];
        size_t n = strlen(old);
        bool packed = n > 3 && strcmp(old + n - 3, ".gz") == 0;
        if (f->stamps)
            memcpy(new, old, n + 1);
        else
            (void)snprintf(new, PATH_BYTES, "%s.%u%s", f->path, i + 1, packed ? ".gz" : "");
        if (!f->stamps && rename(old, new) < 0)
            fail(new);
    }
    if (f->stamps)
        (void)snprintf(name, PATH_BYTES, "%s.20261121-%06u", f->path, ++f->stamp);
    else
        (void)snprintf(name, PATH_BYTES, "%s.1", f->path);
    (void)snprintf(f->names[0], PATH_BYTES, "%s", name);
    f->n_names++;
}

static void compress_old(struct feed *f)
{
    for (unsigned i = f->compress == COMPRESS_OLD ? 1 : 0; i < f->n_names; i++)
        compress_name(f->names[i]);
}

static void rotate_rename(struct feed *f)
{
    char name[PATH_BYTES];

    shift(f, name);
    if (rename(f->path, name) < 0)
        fail(name);
    tell(f, name);
    (void)close(f->fd);
    open_log(f);
    if (f->compress != COMPRESS_NONE)
        compress_old(f);
}

static void rotate_copytruncate(struct feed *f)
{
    char name[PATH_BYTES];

    shift(f, name);
    copy_to(f->path, name, false);
    if (ftruncate(f->fd, 0) < 0)
        fail("truncate");
    tell(f, name);
    f->no++;
    f->file_bytes = 0;
    f->file_first = f->file_end;
    if (f->compress != COMPRESS_NONE)
        compress_old(f);
}

static void rotate_away(struct feed *f)
{
    char tmp[PATH_BYTES];
    const char *path = f->path;
    int old = f->fd;

    tell(f, "");
    if (f->rotation == ROTATE_OVER) {
        (void)snprintf(tmp, sizeof(tmp), "%s.tmp", path);
        f->path = tmp;
        open_log(f);
        f->path = path;
        if (rename(tmp, path) < 0)
            fail(tmp);
    } else {
        if (unlink(path) < 0)
            fail(path);
        open_log(f);
    }
    (void)close(old);
}

static void rotate(struct feed *f)
{
    flush(f);
    rotate_now = 0;
    if (f->rotation == ROTATE_RENAME)
        rotate_rename(f);
    else if (f->rotation == ROTATE_COPYTRUNCATE)
        rotate_copytruncate(f);
    else if (f->rotation != ROTATE_NONE)
        rotate_away(f);
}

/* ---- lines ---- */

static const char *stamp_now(void)
{
    static char text[64];
    static time_t last;
    static struct tm tm;
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (ts.tv_sec != last)
        (void)gmtime_r(&ts.tv_sec, &tm);
    last = ts.tv_sec;
    (void)snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900,
                   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec);
    return text;
}

static void put_piece(struct feed *f, const char *text, size_t n, bool last, bool is_stderr)
{
    const char *stream = is_stderr ? "stderr" : "stdout";
    char head[128];
    int len;

    if (f->format == FORMAT_CRI) {
        len = snprintf(head, sizeof(head), "%s %s %c ", stamp_now(), stream, last ? 'F' : 'P');
        put(f, head, (size_t)len);
        put(f, text, n);
        put(f, "\n", 1);
    } else if (f->format == FORMAT_DOCKER) {
        put(f, "{\"log\":\"", 8);
        put(f, text, n);
        len = snprintf(head, sizeof(head), "%s\",\"stream\":\"%s\",\"time\":\"%s\"}\n",
                       last ? "\\n" : "", stream, stamp_now());
        put(f, head, (size_t)len);
    } else {
        put(f, text, n);
        if (last)
            put(f, "\n", 1);
    }
}

/* A line may be cut in pieces, and a rotation may come between two of them. */
static void put_line(struct feed *f, uint64_t no, char *text, bool turn)
{
    bool is_long = f->long_every > 0 && no % f->long_every == 0;
    size_t len = is_long ? f->long_bytes : f->pad + 13;
    bool is_stderr = f->both_streams && no % 2 == 1;
    uint64_t start = f->file_bytes;
    unsigned file = f->no;
    char number[24];

    (void)snprintf(number, sizeof(number), "n=%010" PRIu64 " ", no);
    memcpy(text, number, 13);
    for (size_t at = 0; at < len;) {
        size_t n = len - at < PIECE ? len - at : PIECE;
        put_piece(f, text + at, n, at + n == len, is_stderr);
        at += n;
        if (at < len && turn) {
            rotate(f);
            turn = false;
        }
    }
    f->file_end = no + 1;
    if (f->index != NULL)
        fprintf(f->index, "%" PRIu64 " %u %" PRIu64 " %u %" PRIu64 "\n", no, file, start, f->no,
                f->file_bytes);
    if (turn)
        rotate(f);
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void pause_for(struct feed *f, uint64_t begin, uint64_t done)
{
    uint64_t due, now;

    if (f->rate == 0)
        return;
    due = begin + done * (uint64_t)(1e9 / (double)f->rate);
    now = now_ns();
    if (due > now + 1000000) { /* a millisecond ahead: then what is there is written */
        struct timespec ts = {(time_t)((due - now) / 1000000000u),
                              (long)((due - now) % 1000000000u)};
        flush(f);
        (void)nanosleep(&ts, NULL);
    }
}

static void run(struct feed *f)
{
    uint64_t begin = now_ns(), turned = begin, in_file = 0, done = 0;
    size_t longest = f->long_bytes > f->pad + 13 ? f->long_bytes : f->pad + 13;
    char *text = malloc(longest + 1);

    if (text == NULL)
        fail("malloc");
    memset(text, 'x', longest);
    open_log(f);
    while (!stopped && (f->lines == 0 || done < f->lines)) {
        bool turn = rotate_now != 0 || (f->rotate_lines > 0 && ++in_file == f->rotate_lines);
        if (f->rotate_ms > 0 && now_ns() - turned >= f->rotate_ms * 1000000) {
            turn = true;
            turned = now_ns();
        }
        if (turn)
            in_file = 0;
        put_line(f, f->first + done, text, turn);
        done++;
        pause_for(f, begin, done);
    }
    flush(f);
    tell(f, f->path);
    (void)close(f->fd);
    free(text);
}

/* ---- options ---- */

static unsigned choose(const char *given, const char *const *names)
{
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcmp(given, names[i]) == 0)
            return i;
    (void)fprintf(stderr, "feed: unknown value %s\n", given);
    exit(2);
}

static void usage(void)
{
    (void)fputs("feed [options] PATH\n"
                " -f cri|docker|plain    what the lines look like\n"
                " -n LINES -s FIRST      how many (0: until SIGTERM), and the first one's number\n"
                " -r RATE                lines a second, 0: as fast as it goes\n"
                " -b BYTES               of text behind the number\n"
                " -l EVERY:BYTES         each so many-th line is that long, in pieces of 16 KiB\n"
                " -e                     lines with odd numbers go to stderr\n"
                " -R none|rename|copytruncate|over|unlink\n"
                " -E LINES, -T MS        rotate after so many lines, after so many milliseconds\n"
                " -k KEEP                old files that are kept\n"
                " -S                     old files are called .20261121-000001, not .1\n"
                " -z none|all|old        old files are compressed: all, or all but the newest\n"
                " -i FILE                write each line's place there: line, number of the file\n"
                "                        where it begins, offset, that where it ends, offset\n",
                stderr);
    exit(2);
}

static void parse(struct feed *f, int argc, char **argv)
{
    static const char *const FORMATS[] = {"cri", "docker", "plain", NULL};
    static const char *const ROTATIONS[] = {"none", "rename", "copytruncate",
                                            "over", "unlink", NULL};
    static const char *const COMPRESS[] = {"none", "all", "old", NULL};
    int c;

    while ((c = getopt(argc, argv, "f:n:s:r:b:l:eR:E:T:k:Sz:i:")) != -1) {
        uint64_t v = optarg == NULL ? 0 : strtoull(optarg, NULL, 10);
        switch (c) {
        case 'f':
            f->format = (enum format)choose(optarg, FORMATS);
            break;
        case 'n':
            f->lines = v;
            break;
        case 's':
            f->first = f->file_end = v;
            break;
        case 'r':
            f->rate = v;
            break;
        case 'b':
            f->pad = v;
            break;
        case 'l':
            f->long_every = v;
            if (strchr(optarg, ':') == NULL)
                usage();
            f->long_bytes = strtoull(strchr(optarg, ':') + 1, NULL, 10);
            break;
        case 'e':
            f->both_streams = true;
            break;
        case 'R':
            f->rotation = (enum rotation)choose(optarg, ROTATIONS);
            break;
        case 'E':
            f->rotate_lines = v;
            break;
        case 'T':
            f->rotate_ms = v;
            break;
        case 'k':
            f->keep = (unsigned)v;
            break;
        case 'S':
            f->stamps = true;
            break;
        case 'z':
            f->compress = (enum compress)choose(optarg, COMPRESS);
            break;
        case 'i':
            f->index = fopen(optarg, "we");
            break;
        default:
            usage();
        }
    }
    if (optind + 1 != argc || f->keep == 0 || f->keep >= KEEP_MAX || f->pad > 1 << 20 ||
        (f->long_every > 0 && f->long_bytes < 13))
        usage();
    f->path = argv[optind];
}

int main(int argc, char **argv)
{
    static struct feed f = {.first = 1, .file_end = 1, .pad = 60, .keep = 5, .lines = 1000};
    struct sigaction action = {.sa_handler = on_signal};

    parse(&f, argc, argv);
    f.batch = malloc(BATCH);
    if (f.batch == NULL)
        fail("malloc");
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGUSR1, &action, NULL);
    run(&f);
    if (f.index != NULL && fclose(f.index) != 0)
        fail("index");
    free(f.batch);
    return 0;
}
