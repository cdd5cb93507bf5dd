/*
 * query/cli/args.h - the words behind `logq`: one command, its flags, its operands.
 *
 * All flags stand in one table in args.c: parsing, checks and help come from it.
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
    ARGS_DELETE,
    ARGS_EXPORT,
    ARGS_IMPORT,
    ARGS_VERIFY,
    ARGS_ADMIN
};
enum args_color { ARGS_COLOR_AUTO, ARGS_COLOR_ALWAYS, ARGS_COLOR_NEVER };
enum args_zone { ARGS_ZONE_AUTO, ARGS_ZONE_UTC, ARGS_ZONE_LOCAL };
/* AUTO: the newest lines, printed oldest first. */
enum args_direction { ARGS_DIRECTION_AUTO, ARGS_DIRECTION_FORWARD, ARGS_DIRECTION_BACKWARD };

/* What was asked for; all pointers are into argv. */
struct args {
    enum args_command command;
    bool help, version;
    char *const *words; /* operands behind the command */
    size_t n_words;

    const char *addr, *token_file, *ca, *tenant; /* NULL: not given */
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
    const char *with_keyring; /* admin backup: where the keyring goes; NULL: nowhere */
    dur_ns step;              /* 0: an instant */
};

/*
 * Parse argv (which may be permuted) with `now` as what times are relative to.  ERR_INVALID: a
 * sentence for the user.  With help or version set nothing else is checked.  One thread: getopt has
 * state.
 */
int args_parse(int argc, char **argv, ts_ns now, struct args *ret, struct err *err);

/* Append the help of one command, or of the program for ARGS_NONE. */
void args_help(struct buf *out, enum args_command command);

#endif
