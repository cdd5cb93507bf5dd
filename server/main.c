/* server/main.c - `logq-server`: arguments, and nothing else. */
#include "base/file.h"
#include "server/init.h"
#include "server/offline.h"
#include "server/server.h"

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: logq-server init DIR [--name HOST]...       make a first installation in DIR\n"
    "       logq-server run --config FILE [--recover]   serve\n"
    "       logq-server run --dev [--data DIR] [--config FILE]\n"
    "                                                   loopback only, plain HTTP, no login\n"
    "       logq-server check --config FILE             validate, print the effective "
    "configuration\n"
    "       logq-server cert collector NAME --out DIR [--dir DIR] [--tenant T]\n"
    "       logq-server cert server --out DIR [--dir DIR] [--name HOST]...\n"
    "                                                   a certificate from init's authority "
    "in --dir (default .)\n"
    "       logq-server verify --structure --config FILE [--output table|json] [--no-keys]\n"
    "                                                   is the data as it was written? the server "
    "does not run\n"
    "       logq-server backup --config FILE --to DIR [--with-keyring DIR]\n"
    "       logq-server restore --from DIR --data DIR [--keyring FILE]\n"
    "                                                   of a server that does not run\n"
    "       logq-server --version | --help\n";

enum { NAMES_MAX = 64 };

struct arguments {
    struct server_options run;
    const char *out, *dir, *tenant, *output, *to, *from, *keyring, *with_keyring;
    bool structure, no_keys;
    const char *names[NAMES_MAX];
    size_t n_names;
    char **words; /* what is no option */
    int n_words;
};

static char PROGRAM[] = "logq-server";

static int usage(const char *why)
{
    if (why != NULL)
        (void)fprintf(stderr, "logq-server: %s\n", why);
    (void)fputs(USAGE, stderr);
    return 2;
}

static int parse(int argc, char **argv, struct arguments *a)
{
    static const struct option OPTIONS[] = {
        {"config", required_argument, NULL, 'c'},  {"data", required_argument, NULL, 'd'},
        {"dev", no_argument, NULL, 'D'},           {"recover", no_argument, NULL, 'r'},
        {"name", required_argument, NULL, 'n'},    {"out", required_argument, NULL, 'o'},
        {"dir", required_argument, NULL, 'i'},     {"tenant", required_argument, NULL, 't'},
        {"structure", no_argument, NULL, 's'},     {"no-keys", no_argument, NULL, 'k'},
        {"to", required_argument, NULL, 'T'},      {"from", required_argument, NULL, 'F'},
        {"keyring", required_argument, NULL, 'K'}, {"with-keyring", required_argument, NULL, 'W'},
        {"output", required_argument, NULL, 'O'},  {NULL, 0, NULL, 0}};
    int c;

    a->dir = ".";
    a->tenant = "default";
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): no thread yet */
    while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        switch (c) {
        case 'c':
            a->run.config = optarg;
            break;
        case 'd':
            a->run.data = optarg;
            break;
        case 'D':
            a->run.dev = true;
            break;
        case 'r':
            a->run.recover = true;
            break;
        case 'n':
            if (a->n_names == NAMES_MAX)
                return -1;
            a->names[a->n_names++] = optarg;
            break;
        case 'o':
            a->out = optarg;
            break;
        case 'i':
            a->dir = optarg;
            break;
        case 't':
            a->tenant = optarg;
            break;
        case 's':
            a->structure = true;
            break;
        case 'k':
            a->no_keys = true;
            break;
        case 'O':
            a->output = optarg;
            break;
        case 'T':
            a->to = optarg;
            break;
        case 'F':
            a->from = optarg;
            break;
        case 'K':
            a->keyring = optarg;
            break;
        case 'W':
            a->with_keyring = optarg;
            break;
        default:
            return -1;
        }
    }
    a->words = argv + optind;
    a->n_words = argc - optind;
    return 0;
}

static int report(int r, const struct err *err)
{
    if (r == 0)
        return 0;
    (void)fprintf(stderr, "logq-server: %s\n", err->text);
    return r == ERR_EXISTS || r == ERR_INVALID ? 2 : 1;
}

static int run_cert(const struct arguments *a)
{
    struct err err;

    if (a->out == NULL)
        return usage("cert needs --out DIR");
    if (a->n_words == 2 && strcmp(a->words[0], "collector") == 0)
        return report(init_collector_cert(a->dir, a->words[1], a->tenant, a->out, &err), &err);
    if (a->n_words == 1 && strcmp(a->words[0], "server") == 0)
        return report(init_server_cert(a->dir, a->names, a->n_names, a->out, &err), &err);
    return usage("cert needs `collector NAME` or `server`");
}

static int run_verify(const struct arguments *a)
{
    bool json = a->output != NULL && strcmp(a->output, "json") == 0;
    struct offline_verify o = {.config = a->run.config, .json = json, .no_keys = a->no_keys};

    if (!a->structure || a->run.config == NULL || a->n_words > 0)
        return usage("verify needs --structure and --config FILE");
    if (a->output != NULL && !json && strcmp(a->output, "table") != 0)
        return usage("--output is table or json");
    return offline_verify(&o);
}

static int run_backup(const struct arguments *a)
{
    const struct offline_backup o = {a->run.config, a->to, a->with_keyring};

    if (a->run.config == NULL || a->to == NULL || a->n_words > 0)
        return usage("backup needs --config FILE and --to DIR");
    return offline_backup(&o);
}

static int run_restore(const struct arguments *a)
{
    const struct offline_restore o = {a->from, a->keyring, a->run.data};

    if (a->from == NULL || a->run.data == NULL || a->n_words > 0)
        return usage("restore needs --from DIR and --data DIR");
    return offline_restore(&o);
}

static int run_verb(const char *verb, const struct arguments *a)
{
    char why[128];
    struct err err;

    if (strcmp(verb, "cert") == 0)
        return run_cert(a);
    if (strcmp(verb, "verify") == 0)
        return run_verify(a);
    if (strcmp(verb, "backup") == 0)
        return run_backup(a);
    if (strcmp(verb, "restore") == 0)
        return run_restore(a);
    if (strcmp(verb, "init") == 0)
        return a->n_words != 1 ? usage("init needs one DIR")
                               : report(init_server(a->words[0], a->names, a->n_names, &err), &err);
    if (strcmp(verb, "run") != 0 && strcmp(verb, "check") != 0) {
        (void)snprintf(why, sizeof(why), "no such command: '%.60s'", verb);
        return usage(why);
    }
    if (a->n_words > 0) {
        (void)snprintf(why, sizeof(why), "%s takes no '%.60s'", verb, a->words[0]);
        return usage(why);
    }
    if (strcmp(verb, "check") == 0)
        return a->run.config == NULL ? usage("check needs --config FILE")
                                     : server_check(a->run.config);
    return a->run.config == NULL && !a->run.dev ? usage("run needs --config FILE or --dev")
                                                : server_run(&a->run);
}

/*
 * Memory that is given back stays away.  Blocks, batches and arenas come and go by the megabyte on
 * a dozen threads; by default the C library keeps a heap for each thread and raises its bound for
 * mapping with every large block it frees, and the peaks of all threads add up for ever (measured
 * over 1 GB of ingest with compaction: 310 MB, so 220 MB at the peak and 128 MB after it).  Large
 * chunks of arenas would then be mapped, and zeroed by the kernel, for each block anew: of these
 * the process keeps some itself, ARENA_STASH_MAX at most (base/arena.h).
 */
static void bound_heaps(void)
{
    (void)mallopt(M_ARENA_MAX, 2); /* these three cannot fail with these values */
    (void)mallopt(M_MMAP_THRESHOLD, 256 << 10);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

static int run_words(int argc, char **argv)
{
    struct arguments a = {0};
    const char *verb = argc > 1 ? argv[1] : "";
    bool help = strcmp(verb, "help") == 0;

    for (int i = 1; i < argc; i++)
        help |= strcmp(argv[i], "--help") == 0;
    if (strcmp(verb, "--version") == 0) {
        (void)printf("logq-server %s\n", LOGQ_VERSION);
        return 0;
    }
    if (help) {
        (void)fputs(USAGE, stdout);
        return 0;
    }
    if (argc < 2)
        return usage("a command is needed");
    argv[1] = PROGRAM; /* getopt would name the command */
    if (parse(argc - 1, argv + 1, &a) < 0)
        return usage(NULL);
    return run_verb(verb, &a);
}

int main(int argc, char **argv)
{
    struct err err;
    int code;

    if (file_hold_standard(&err) < 0)
        return 1; /* nobody is there to tell */
    bound_heaps();
    code = run_words(argc, argv);
    if (code != 0 || (fflush(stdout) == 0 && ferror(stdout) == 0))
        return code;
    (void)fprintf(stderr, "logq-server: standard output cannot be written\n");
    return 1;
}
