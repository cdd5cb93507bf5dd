/* query/cli/args_more.c - what help and manual say of a command beyond its flags. */
#include "query/cli/args_table.h"

#define ADMIN "Needs a token of role admin."

static const struct {
    const char *usage; /* a line for each way to call it; NULL: the operands */
    const char *more;  /* lines that fit on a screen; NULL: nothing */
} MORE[ARGS_COUNT] = {
    [ARGS_QUERY] =
        {NULL,
         "QUERY is LogQL. A log query is a selector of streams, {app=\"web\"}, and stages\n"
         "behind it: |= \"text\", | json, | status >= 500. It prints the newest lines,\n"
         "oldest first. A metric query, such as sum by (app) (count_over_time({app=~\".+\"}\n"
         "|= \"error\" [5m])), prints its values at --to, or now; with --step those over the\n"
         "time asked for. `logq labels` lists what a selector can name, `logq fields` what\n"
         "the lines hold."},
    [ARGS_TAIL] =
        {NULL, "Prints what is stored already, then each line as soon as the server has stored\n"
               "it, until Ctrl-C. A server that goes away is waited for, and what came meanwhile\n"
               "is printed then, nothing twice."},
    [ARGS_LABELS] =
        {NULL,
         "These are the labels of streams, which a selector can name: {app=\"web\"}. What is\n"
         "in the lines `logq fields` finds."},
    [ARGS_SERIES] = {NULL,
                     "A stream is listed with all its labels if it matches one of the selectors:\n"
                     "{name=\"value\", ...}, with =, !=, =~ or !~ (regular expressions); {}: all."},
    [ARGS_STATS] = {NULL,
                    "SELECTOR is {name=\"value\", ...}; without it, everything. No line is read."},
    [ARGS_VOLUME] =
        {NULL, "SELECTOR is {name=\"value\", ...}; without it, everything. No line is read. With\n"
               "--step each row has the time at which its SPAN ends."},
    [ARGS_PATTERNS] =
        {NULL, "SELECTOR is {name=\"value\", ...}. Prints the number of lines, their level, and\n"
               "the template, with <_> for what varies: user <_> logged in."},
    [ARGS_FIELDS] =
        {NULL, "Looks at the newest lines that match, and prints which fields | json or | logfmt\n"
               "would find in them, and their attributes: what stages can ask for."},
    [ARGS_FMT] =
        {"QUERY\n-",
         "Prints the query in one line, or laid out in several where it is long. No server\n"
         "is asked."},
    [ARGS_EXPLAIN] =
        {NULL, "Runs the query as `logq query` does and throws its answer away. Prints for each\n"
               "part of it where it is done (at the index, blocks, columns or records), then\n"
               "what was pruned and what was read."},
    [ARGS_DELETE] =
        {"QUERY\nlist\ncancel ID",
         "QUERY is a selector, with or without line filters: {app=\"web\"} |= \"text\". What\n"
         "is stored and matches is hidden at once and gone from the disk within a day. For\n"
         "12 hours `cancel` takes it back; ID is as `list` prints it.\n" ADMIN},
    [ARGS_EXPORT] =
        {NULL, "Writes a JSON object a line, oldest first, which `logq import` stores again byte\n"
               "for byte. FILE appears when it is whole. With --parallel or --resume an export\n"
               "that fails keeps what came, and the same command with --resume goes on."},
    [ARGS_IMPORT] =
        {NULL, "FILE is one of `logq export`, compressed or not. Lines keep their times and\n"
               "labels. It may be repeated: within a day the server stores the same file once.\n"
               "Needs a token of role writer or admin."},
    [ARGS_VERIFY] =
        {NULL,
         "The server checks all of its storage. Prints a finding a line, then counts.\n" ADMIN},
    [ARGS_ADMIN] =
        {"flush\ncompact\nbackup DIR\nhold list\nhold add REASON [SELECTOR]\nhold release ID",
         "flush    writes what is in memory into segments\n"
         "compact  rewrites the segments of all days now, and shows how far it is\n"
         "backup   copies everything to DIR, an empty directory on the server's host\n"
         "hold     keeps a span's records of the streams of SELECTOR, or of all, from\n"
         "         being destroyed, whatever retention and delete requests say\n" ADMIN},
    [ARGS_COLLECTORS] =
        {NULL, "Prints host, version, when each was seen last, what it lags behind, its gaps,\n"
               "and when its certificate ends.\n" ADMIN},
    [ARGS_COMPLETION] =
        {"bash\nzsh\nfish",
         "Commands, flags, servers, saved queries; labels and values from the server."},
};

struct str args_usage(enum args_command command)
{
    const char *usage = MORE[command].usage;

    return str_of(usage != NULL ? usage : ARGS_TABLE[command].operands);
}

const char *args_more(enum args_command command)
{
    return MORE[command].more;
}
