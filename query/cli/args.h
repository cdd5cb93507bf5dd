/*
 * query/cli/args.h - the words behind `logq`: one command, its flags, its operands.
 *
 * Commands and flags stand in two tables (args_table.h): parsing, checks, help and manual come from
 * them.
 */
#ifndef LOGQ_QUERY_CLI_ARGS_H
#define LOGQ_QUERY_CLI_ARGS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/time.h"
#include "query/format.h"

enum args_command {
    ARGS_NONE,
    ARGS_QUERY,
    ARGS_TAIL,
    ARGS_LABELS,
    ARGS_SERIES,
    ARGS_STATS,
    ARGS_VOLUME,
    ARGS_PATTERNS,
    ARGS_FIELDS,
    ARGS_FMT,
    ARGS_EXPLAIN,
    ARGS_DELETE,
    ARGS_EXPORT,
    ARGS_IMPORT,
    ARGS_VERIFY,
    ARGS_ADMIN,
    ARGS_COLLECTORS,
    ARGS_COMPLETION,
    ARGS_MAN,
    ARGS_COMPLETE,
    ARGS_COUNT
};
enum args_color { ARGS_COLOR_AUTO, ARGS_COLOR_ALWAYS, ARGS_COLOR_NEVER };
enum args_zone { ARGS_ZONE_AUTO, ARGS_ZONE_UTC, ARGS_ZONE_LOCAL };
/* AUTO: the newest lines, printed oldest first. */
enum args_direction { ARGS_DIRECTION_AUTO, ARGS_DIRECTION_FORWARD, ARGS_DIRECTION_BACKWARD };

/* What was asked for; all pointers are into argv (main.c puts a saved query in for @NAME). */
struct args {
    enum args_command command;
    bool help, version;
    const char *const *words; /* operands behind the command */
    size_t n_words;

    const char *server, *addr, *token_file, *ca, *tenant; /* NULL: not given */
    bool has_output;
    enum format_kind output;
    enum args_color color;
    enum args_zone zone;

    bool has_span;  /* --since or --from was given */
    ts_ns from, to; /* from <= to; set also by default: the hour up to now */
    bool has_to;
    bool has_limit;
    uint64_t limit; /* 0: all */
    enum args_direction direction;
    bool follow;
    bool force;               /* delete cancel */
    bool structure;           /* verify */
    bool overlap;             /* collectors */
    const char *also;         /* collectors --overlap: a second server; NULL: none */
    const char *with_keyring; /* admin backup: where the keyring goes; NULL: nowhere */
    dur_ns step;              /* 0: an instant */
    uint64_t before, after;   /* lines of context */
    bool from_stdin;
    const char *by;    /* labels with commas between; NULL: not given */
    uint64_t sample;   /* lines; 0: not given */
    uint64_t parallel; /* at least 1 */
    bool resume;
    const char *columns; /* NULL: not given */
    bool histogram;
    bool by_label;            /* series */
    bool lenient, top_series; /* of a metric query: docs/api.md */
    bool no_pager;
    enum args_color progress;
};

/*
 * Parse argv (which may be permuted) with `now` as what times are relative to.  ERR_INVALID: a
 * sentence for the user.  With help or version set nothing else is checked.  One thread: getopt has
 * state.
 */
int args_parse(int argc, char **argv, ts_ns now, struct args *ret, struct err *err);

/* Is its first operand a query? */
bool args_takes_query(enum args_command command);

/* The command of that name; ERR_INVALID suggests the nearest one.  ARGS_COMPLETE is not found. */
int args_find(const char *word, enum args_command *ret, struct err *err);

/* Append the help of one command, or of the program for ARGS_NONE; the same as a manual page. */
void args_help(struct buf *out, enum args_command command);
void args_man(struct buf *out, enum args_command command);

#endif
