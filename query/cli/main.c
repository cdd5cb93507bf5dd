/*
 * query/cli/main.c - `logq`: parse the words, find the server, run one command.
 */
#include "query/cli/args.h"

#include <stdio.h>

enum { HELP_MAX = 1 << 16, EXIT_USAGE = 2 };

static int print_help(enum args_command command)
{
    struct buf out;

    buf_init(&out, HELP_MAX);
    args_help(&out, command);
    (void)fwrite(out.p, 1, out.n, stdout); /* fflush tells of any failure */
    buf_fini(&out);
    return fflush(stdout) == 0 ? 0 : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct args args;
    struct err err;

    if (args_parse(argc, argv, time_now(), &args, &err) < 0) {
        (void)fprintf(stderr, "logq: %s\nTry `logq --help`.\n", err.text);
        return EXIT_USAGE;
    }
    if (args.help)
        return print_help(args.command);
    if (args.version) {
        (void)puts("logq " LOGQ_VERSION);
        return 0;
    }
    (void)fprintf(stderr, "logq: no command can be run by this build\n");
    return EXIT_USAGE;
}
