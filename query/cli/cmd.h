/*
 * query/cli/cmd.h - the commands, one file each (cmd_<name>.c), and how they fail.
 *
 * A command prints its results on stdout, says on stderr what went wrong, and returns the exit
 * code of the program.
 */
#ifndef LOGQ_QUERY_CLI_CMD_H
#define LOGQ_QUERY_CLI_CMD_H

#include "query/cli/args.h"
#include "query/cli/context.h"
#include "query/cli/output.h"
#include "query/cli/remote.h"
#include "query/cli/rows.h"

enum {
    CMD_FOUND = 0,
    CMD_NOTHING = 1,
    CMD_USAGE = 2,
    CMD_SERVER = 3, /* or the network, or stdout */
    CMD_DENIED = 4,
    CMD_DAMAGED = 1,    /* verify */
    CMD_INCOMPLETE = 5, /* verify: something could not be checked */
};

struct cmd {
    const struct args *args;
    const struct context *context;
    const struct context_env *env; /* what the context was made from */
    struct remote *remote; /* NULL: the command asks no server, or (__complete) there is none */
    struct output *out;
};

typedef int cmd_fn(struct cmd *c);
cmd_fn cmd_query, cmd_tail, cmd_labels, cmd_series, cmd_delete, cmd_verify, cmd_admin, cmd_export,
    cmd_import, cmd_stats, cmd_volume, cmd_patterns, cmd_fields, cmd_fmt, cmd_explain,
    cmd_completion, cmd_man, cmd_complete, cmd_collectors;
/* query --stdin and query --histogram; `text` has been parsed once, but for --stdin. */
int cmd_stdin(struct cmd *c, struct str text);
int cmd_histogram(struct cmd *c, struct str text);

enum {
    CMD_IDLE_MS = 600000, /* a query may think that long before its first byte */
    CMD_WARNINGS_MAX = 64 << 10
};
/* --to, or now and QUERY_AHEAD: the server takes records of at most that far ahead of its clock. */
ts_ns cmd_end(const struct args *args);

/* One line on stderr: "logq: ...", without what a terminal would obey. */
void cmd_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Each line of it. */
void cmd_say_lines(struct str text);

/* Say a static text to people, if stderr is a terminal, when the answer has been shown. */
void cmd_note(struct cmd *c, const char *text);
/* The exit code of an answer with nothing in it; says so where it was about the last hour only
 * because nothing else had been asked for. */
int cmd_nothing(struct cmd *c);

/* Say `err`; with a place in `query` (p == NULL: none) also that line of it and a caret below.
 * Returns the exit code.  Nothing is said when only stdout's reader has gone: then 0. */
int cmd_fail(const struct cmd *c, struct str query, const struct remote_failure *fail,
             const struct err *err);

/* Parse `text` on this side, so that mistakes need no server.  < 0: said, the exit code is
 * CMD_USAGE.  May it take all streams?  That is the server's to say.  On success the caller owns
 * *ret. */
int cmd_parse(const struct cmd *c, struct str text, struct query **ret);

/* The end of a command that answers with rows: print them if `r` is 0, else say `fail` and `err`,
 * as cmd_fail does.  Frees *rows.  Returns the exit code. */
int cmd_print_rows(struct cmd *c, struct rows **rows, int r, struct str query,
                   const struct remote_failure *fail, struct err *err);

/* A question whose answer is a list of rows. */
typedef int cmd_read_fn(struct str json, struct rows *rows, struct err *err);
struct cmd_question {
    const char *path;
    struct str query; /* its parameter; an error may be about a place in it; STR_NULL: none */
    cmd_read_fn *read;
    const struct rows_column *columns;
    size_t n_columns;
    uint64_t limit; /* rows that are printed; 0: all */
};
enum { CMD_PARAMS_MAX = 8 << 20 };
/* Ask it with the query, the span and what is in `params` already, and print the rows.  Releases
 * `params`.  Returns the exit code. */
int cmd_list(struct cmd *c, const struct cmd_question *q, struct buf *params);

/* The span's parameters start and end, with an open end ahead of our clock; with --step at the end
 * of a step, since that is the time of a step's value. */
void cmd_add_span(const struct cmd *c, struct buf *params);
/* For an answer that is no list: is there the form of -o?  < 0: no, said, the exit code is
 * CMD_USAGE. */
int cmd_check_form(const struct cmd *c);
/* The selector that is operand `i`, or `{}`; one that is none has been complained about: < 0. */
int cmd_selector(const struct cmd *c, size_t i, struct str *ret);

#endif
