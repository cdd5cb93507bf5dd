/* server/main.c - `logq-server`: arguments, and nothing else. */
#include "server/init.h"
#include "server/server.h"

#include <getopt.h>
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
    "                                                   a client certificate from init's authority "
    "in --dir (default .)\n"
    "       logq-server --version | --help\n";

enum { NAMES_MAX = 64 };

struct arguments {
    struct server_options run;
    const char *out, *dir, *tenant;
    const char *names[NAMES_MAX];
    size_t n_names;
    char **words; /* what is no option */
    int n_words;
};

static int usage(const char *why)
{
    if (why != NULL)
        (void)fprintf(stderr, "logq-server: %s\n", why);
    (void)fputs(USAGE, stderr);
    return 2;
}

static int parse(int argc, char **argv, struct arguments *a)
{
    static const struct option OPTIONS[] = {{"config", required_argument, NULL, 'c'},
                                            {"data", required_argument, NULL, 'd'},
                                            {"dev", no_argument, NULL, 'D'},
                                            {"recover", no_argument, NULL, 'r'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"out", required_argument, NULL, 'o'},
                                            {"dir", required_argument, NULL, 'i'},
                                            {"tenant", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    int c;

    a->dir = ".";
    a->tenant = "default";
    while ((c = getopt_long(argc, argv, "", OPTIONS, NULL)) !=
           -1) { /* NOLINT(concurrency-mt-unsafe): no thread yet */
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

int main(int argc, char **argv)
{
    struct arguments a = {0};
    struct err err;
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "--version") == 0) {
        (void)printf("logq-server %s\n", LOGQ_VERSION);
        return 0;
    }
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
        (void)fputs(USAGE, stdout);
        return 0;
    }
    if (argc < 2 || parse(argc - 1, argv + 1, &a) < 0)
        return usage(NULL);
    if (strcmp(verb, "init") == 0 && a.n_words == 1)
        return report(init_server(a.words[0], a.names, a.n_names, &err), &err);
    if (strcmp(verb, "run") == 0 && a.n_words == 0)
        return a.run.config == NULL && !a.run.dev ? usage("run needs --config FILE or --dev")
                                                  : server_run(&a.run);
    if (strcmp(verb, "check") == 0 && a.n_words == 0)
        return a.run.config == NULL ? usage("check needs --config FILE")
                                    : server_check(a.run.config);
    if (strcmp(verb, "cert") == 0 && a.n_words == 2 && strcmp(a.words[0], "collector") == 0)
        return a.out == NULL
                   ? usage("cert needs --out DIR")
                   : report(init_collector_cert(a.dir, a.words[1], a.tenant, a.out, &err), &err);
    return usage(*verb == '\0' ? NULL : "no such command, or not its arguments");
}
