/*
 * query/cli/main.c - `logq`: parse the words, find the server, run one command.
 */
#include "query/cli/args_table.h"
#include "query/cli/cmd.h"

#include "base/file.h"
#include "query/cli/pager.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { HELP_MAX = 1 << 16 };

/* `asks`: the command talks to a server. */
static const struct {
    cmd_fn *run;
    bool asks;
} COMMANDS[ARGS_COUNT] = {
    [ARGS_QUERY] = {cmd_query, true},
    [ARGS_TAIL] = {cmd_tail, true},
    [ARGS_LABELS] = {cmd_labels, true},
    [ARGS_SERIES] = {cmd_series, true},
    [ARGS_STATS] = {cmd_stats, true},
    [ARGS_VOLUME] = {cmd_volume, true},
    [ARGS_PATTERNS] = {cmd_patterns, true},
    [ARGS_FIELDS] = {cmd_fields, true},
    [ARGS_FMT] = {cmd_fmt, false},
    [ARGS_EXPLAIN] = {cmd_explain, true},
    [ARGS_DELETE] = {cmd_delete, true},
    [ARGS_EXPORT] = {cmd_export, true},
    [ARGS_IMPORT] = {cmd_import, true},
    [ARGS_VERIFY] = {cmd_verify, true},
    [ARGS_ADMIN] = {cmd_admin, true},
    [ARGS_COMPLETION] = {cmd_completion, false},
    [ARGS_COLLECTORS] = {cmd_collectors, true},
    [ARGS_MAN] = {cmd_man, false},
    [ARGS_COMPLETE] = {cmd_complete, true},
};

/* Returns the exit code: a reader that has gone has seen enough. */
static int print(struct str text)
{
    struct err err;

    if (file_write_all(STDOUT_FILENO, text.p, text.n, &err) == 0 || err.sys == EPIPE)
        return CMD_FOUND;
    cmd_say("standard output: %s", err.text);
    return CMD_SERVER;
}

static int print_help(enum args_command command)
{
    struct buf out;
    int code;

    buf_init(&out, HELP_MAX);
    args_help(&out, command);
    code = print(buf_str(&out));
    buf_fini(&out);
    return code;
}

/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
static struct context_env read_env(void)
{
    return (struct context_env){.addr = getenv("LOGQ_ADDR"),
                                .token = getenv("LOGQ_TOKEN"),
                                .ca_file = getenv("LOGQ_CA_FILE"),
                                .tenant = getenv("LOGQ_TENANT"),
                                .server = getenv("LOGQ_SERVER"),
                                .config_home = getenv("XDG_CONFIG_HOME"),
                                .home = getenv("HOME")};
}

static struct output_env look_at_output(void)
{
    return (struct output_env){.terminal = isatty(STDOUT_FILENO) == 1,
                               .errors_terminal = isatty(STDERR_FILENO) == 1,
                               .no_color = getenv("NO_COLOR"),
                               .term = getenv("TERM"),
                               .pager = pager_choose()};
}
/* NOLINTEND(concurrency-mt-unsafe) */

/* @NAME for a query: what is saved under that name.  `words` holds the operands. */
static int unfold(const struct context *ctx, struct args *args, const char **words, struct err *err)
{
    size_t queries = args->command == ARGS_SERIES ? args->n_words : 1;
    int r = 0;

    if (!args_takes_query(args->command))
        return 0;
    for (size_t i = 0; r == 0 && i < args->n_words; i++) {
        words[i] = args->words[i];
        if (i < queries && words[i][0] == '@')
            r = context_query(ctx, str_of(words[i] + 1), &words[i], err);
    }
    args->words = words;
    return r;
}

static int run(struct args *args)
{
    const struct context_env env = read_env();
    const struct output_env to = look_at_output();
    bool asks = COMMANDS[args->command].asks && !args->from_stdin;
    bool is_prompt = args->command == ARGS_COMPLETE; /* goes on without a server */
    const char *words[ARGS_SELECTORS_MAX];           /* no command takes more */
    struct context ctx;
    struct remote *remote = NULL;
    struct output out;
    struct err err;
    int r = context_load(args, &env, &ctx, &err);

    if (r < 0 && !asks && !is_prompt)
        r = 0; /* only the saved queries are of interest */
    if (r == 0)
        r = unfold(&ctx, args, words, &err);
    if (r == 0 && asks)
        r = remote_open(&ctx, &remote, &err);
    output_init(&out, STDOUT_FILENO, args, &to);
    if (r == 0 && args->columns != NULL)
        r = output_columns(&out, args->columns, &err);
    if (r == 0 || is_prompt) {
        struct cmd c = {args, &ctx, &env, remote, &out};

        r = COMMANDS[args->command].run(&c);
    } else {
        cmd_say("%s", err.text);
        r = CMD_USAGE;
    }
    if (!output_fini(&out)) {
        cmd_say("no pager, and nothing shown: correct LOGQ_PAGER or PAGER, or use --no-pager");
        r = CMD_USAGE;
    }
    if (out.note != NULL)
        cmd_say("%s", out.note);
    remote_free(&remote);
    context_fini(&ctx);
    return r;
}

/* Of the command that was meant, where there is one. */
static void point_to_help(int argc, char **argv)
{
    const char *name = "";
    enum args_command command;
    struct err ignored;

    for (int i = 1; i < argc && name[0] == '\0'; i++)
        if (args_find(argv[i], &command, &ignored) == 0)
            name = argv[i];
    (void)fprintf(stderr, "Try `logq %s%s--help`.\n", name, name[0] == '\0' ? "" : " ");
}

int main(int argc, char **argv)
{
    struct args args;
    struct err err;

    if (file_hold_standard(&err) < 0)
        return CMD_SERVER;          /* nobody is there to tell */
    tzset();                        /* localtime_r need not */
    (void)signal(SIGPIPE, SIG_IGN); /* a write tells as much */
    if (args_parse(argc, argv, time_now(), &args, &err) < 0) {
        cmd_say("%s", err.text);
        point_to_help(argc, argv);
        return CMD_USAGE;
    }
    if (args.help)
        return print_help(args.command);
    if (args.version)
        return print(STR("logq " LOGQ_VERSION "\n"));
    return run(&args);
}
