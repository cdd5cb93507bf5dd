/*
 * query/cli/args_table.h - every command and every flag of `logq`, once.
 *
 * Parsing (args.c), help and manual pages (args_help.c) and completion (cmd_complete.c) are made
 * from these two tables, so that none of them can tell another story.
 */
#ifndef LOGQ_QUERY_CLI_ARGS_TABLE_H
#define LOGQ_QUERY_CLI_ARGS_TABLE_H

#include "query/cli/args.h"

enum flag_id {
    FLAG_SINCE,
    FLAG_FROM,
    FLAG_TO,
    FLAG_LIMIT,
    FLAG_DIRECTION,
    FLAG_FOLLOW,
    FLAG_STEP,
    FLAG_BEFORE,
    FLAG_AFTER,
    FLAG_CONTEXT,
    FLAG_LENIENT,
    FLAG_TOP_SERIES,
    FLAG_STDIN,
    FLAG_BY,
    FLAG_LABELS,
    FLAG_SAMPLE,
    FLAG_FORCE,
    FLAG_STRUCTURE,
    FLAG_WITH_KEYRING,
    FLAG_OVERLAP,
    FLAG_ALSO,
    FLAG_PARALLEL,
    FLAG_RESUME,
    FLAG_OUTPUT,
    FLAG_COLUMNS,
    FLAG_HISTOGRAM,
    FLAG_UTC,
    FLAG_LOCAL,
    FLAG_COLOR,
    FLAG_NO_PAGER,
    FLAG_PROGRESS,
    FLAG_SERVER,
    FLAG_ADDR,
    FLAG_TOKEN_FILE,
    FLAG_CA,
    FLAG_TENANT,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_COUNT,
};

/* Headings of help. */
enum flag_group { GROUP_WHAT, GROUP_SHOW, GROUP_SERVER, GROUP_OTHER, GROUP_COUNT };

/* Whose flag it is: a bit per command. */
#define OF(command) (1u << (command))

struct flag {
    const char *name;
    char letter; /* 0: none */
    enum flag_group group;
    unsigned commands; /* OF() */
    const char *value; /* how help names the value; NULL: takes none */
    const char *help;
};

enum { COMMAND_EXAMPLES = 3, ARGS_SELECTORS_MAX = 64 };

struct command {
    const char *name, *operands, *help;
    size_t min_words, max_words;
    bool is_query;     /* its first operand is LogQL, or @NAME of a saved one; of series each is */
    bool is_hidden;    /* not for people */
    const char *codes; /* exit codes, where they are its own */
    const char *examples[COMMAND_EXAMPLES]; /* "what it does\n" "logq ..." */
};

extern const struct flag ARGS_FLAGS[FLAG_COUNT];
/* What `f`, one of ARGS_FLAGS, does for this command: some flags mean something else for each. */
const char *args_flag_help(enum args_command command, const struct flag *f);
extern const struct command ARGS_TABLE[ARGS_COUNT];
/* The ways to call it, a line each, without its name and flags. */
struct str args_usage(enum args_command command);
/* What it does, in lines that fit on a screen; NULL: its one sentence says it all. */
const char *args_more(enum args_command command);
extern const char *const ARGS_GROUPS[GROUP_COUNT];

/* Words of --output, --color and --direction, by their enums. */
enum { ARGS_OUTPUTS = 6, ARGS_COLORS = 3, ARGS_DIRECTIONS = 3 };
extern const char *const ARGS_OUTPUT_NAMES[ARGS_OUTPUTS];
extern const char *const ARGS_COLOR_NAMES[ARGS_COLORS];
extern const char *const ARGS_DIRECTION_NAMES[ARGS_DIRECTIONS];

#endif
