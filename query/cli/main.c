/*
 * query/cli/main.c - `logq`: parse the words, find the server, run one command.
 */
#include "query/cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { HELP_MAX = 1 << 16 };

static cmd_fn *const COMMANDS[] = {
    [ARGS_QUERY] = cmd_query,   [ARGS_TAIL] = cmd_tail,     [ARGS_LABELS] = cmd_labels,
    [ARGS_SERIES] = cmd_series, [ARGS_DELETE] = cmd_delete, [ARGS_EXPORT] = cmd_export,
    [ARGS_IMPORT] = cmd_import, [ARGS_VERIFY] = cmd_verify, [ARGS_ADMIN] = cmd_admin,
};

static int print_help(enum args_command command)
{
    struct buf out;

    buf_init(&out, HELP_MAX);
    args_help(&out, command);
    (void)fwrite(out.p, 1, out.n, stdout); /* fflush tells of any failure */
    buf_fini(&out);
    return fflush(stdout) == 0 ? CMD_FOUND : CMD_SERVER;
}

/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
static struct context_env read_env(void)
{
    return (struct context_env){.addr = getenv("LOGQ_ADDR"),
                                .token = getenv("LOGQ_TOKEN"),
                                .ca_file = getenv("LOGQ_CA_FILE"),
                                .tenant = getenv("LOGQ_TENANT"),
                                .config_home = getenv("XDG_CONFIG_HOME"),
                                .home = getenv("HOME")};
}

static struct output_env look_at_stdout(void)
{
    return (struct output_env){.terminal = isatty(STDOUT_FILENO) == 1,
                               .no_color = getenv("NO_COLOR"),
                               .term = getenv("TERM")};
}
/* NOLINTEND(concurrency-mt-unsafe) */

static int run(const struct args *args)
{
    const struct context_env env = read_env();
    const struct output_env to = look_at_stdout();
    struct context ctx;
    struct remote *remote = NULL;
    struct output out;
    struct err err;
    int r = context_load(args, &env, &ctx, &err);

    if (r == 0)
        r = remote_open(&ctx, &remote, &err);
    if (r == 0) {
        struct cmd c = {args, remote, &out};
        output_init(&out, STDOUT_FILENO, args, &to);
        r = COMMANDS[args->command](&c);
        output_fini(&out);
    } else {
        cmd_say("%s", err.text);
        r = CMD_USAGE;
    }
    remote_free(&remote);
    context_fini(&ctx);
    return r;
}

int main(int argc, char **argv)
{
    struct args args;
    struct err err;

    tzset(); /* localtime_r need not */
    if (args_parse(argc, argv, time_now(), &args, &err) < 0) {
        cmd_say("%s", err.text);
        (void)fputs("Try `logq --help`.\n", stderr);
        return CMD_USAGE;
    }
    if (args.help)
        return print_help(args.command);
    if (args.version) {
        (void)puts("logq " LOGQ_VERSION);
        return fflush(stdout) == 0 ? CMD_FOUND : CMD_SERVER;
    }
    return run(&args);
}
