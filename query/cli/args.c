/*
 * query/cli/args.c - flags in, struct args out.  Contract: args.h.
 *
 * getopt_long does the GNU part (permutation, --flag=value, abbreviations, --); its texts are
 * replaced by ours, which name the flag as it was typed and suggest the nearest known one.
 */
#include "query/cli/args.h"

#include "base/near.h"
#include "base/obj.h"

#include <getopt.h>
#include <string.h>

enum flag_id {
    FLAG_OUTPUT,
    FLAG_SINCE,
    FLAG_FROM,
    FLAG_TO,
    FLAG_LIMIT,
    FLAG_DIRECTION,
    FLAG_FOLLOW,
    FLAG_STEP,
    FLAG_FORCE,
    FLAG_STRUCTURE,
    FLAG_WITH_KEYRING,
    FLAG_ADDR,
    FLAG_TOKEN_FILE,
    FLAG_CA,
    FLAG_TENANT,
    FLAG_UTC,
    FLAG_LOCAL,
    FLAG_COLOR,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_COUNT,
};

/* Whose flag it is: a bit per command. */
#define OF(command) (1u << (command))
#define OF_QUERY    OF(ARGS_QUERY)
#define OF_LINES    (OF(ARGS_QUERY) | OF(ARGS_TAIL))
#define OF_SPANS    (OF_LINES | OF(ARGS_LABELS) | OF(ARGS_SERIES) | OF(ARGS_DELETE) | OF(ARGS_EXPORT))
#define OF_ASKS     (OF_SPANS | OF(ARGS_IMPORT) | OF(ARGS_VERIFY) | OF(ARGS_ADMIN))
#define OF_PRINTS   ((OF_SPANS & ~OF(ARGS_EXPORT)) | OF(ARGS_VERIFY) | OF(ARGS_ADMIN))
#define OF_ALL      (OF_ASKS | OF(ARGS_NONE))

struct flag {
    const char *name;
    char letter;       /* 0: none */
    unsigned commands; /* OF_* */
    const char *value; /* how help names the value; NULL: takes none */
    const char *help;
};

static const struct flag FLAGS[FLAG_COUNT] = {
    [FLAG_SINCE] = {"since", 0, OF_SPANS | OF(ARGS_ADMIN), "SPAN",
                    "start that long ago: 15m, 1h30m, 2d (1h)"},
    [FLAG_FROM] = {"from", 0, OF_SPANS | OF(ARGS_ADMIN), "TIME",
                   "start there: RFC 3339, or how long ago (15m), or now"},
    [FLAG_TO] = {"to", 0, (OF_SPANS | OF(ARGS_ADMIN)) & ~OF(ARGS_TAIL), "TIME",
                 "stop before there; same forms (now)"},
    [FLAG_LIMIT] = {"limit", 'n', OF_LINES, "N",
                    "at most N lines, the newest (1000; tail: 10); 0: all"},
    [FLAG_DIRECTION] =
        {"direction", 0, OF_QUERY, "WAY",
         "forward: oldest lines, oldest first; backward: newest lines, newest first"},
    [FLAG_FOLLOW] = {"follow", 'f', OF_LINES, NULL,
                     "go on with lines as they arrive (as tail does)"},
    [FLAG_STEP] = {"step", 0, OF_QUERY, "SPAN", "metric query: a value at each step of the span"},
    [FLAG_FORCE] = {"force", 0, OF(ARGS_DELETE), NULL,
                    "cancel: also a request that may be done in part"},
    [FLAG_STRUCTURE] = {"structure", 0, OF(ARGS_VERIFY), NULL,
                        "check every hash, checksum and catalog row"},
    [FLAG_WITH_KEYRING] = {"with-keyring", 0, OF(ARGS_ADMIN), "DIR",
                           "backup: copy the keyring there, not beside the data"},
    [FLAG_OUTPUT] = {"output", 'o', OF_PRINTS, "FORM",
                     "table, raw, jsonl, json, csv or logfmt (table on a terminal, else raw)"},
    [FLAG_UTC] = {"utc", 0, OF_PRINTS, NULL,
                  "show times in UTC (default where stdout is no terminal)"},
    [FLAG_LOCAL] = {"local", 0, OF_PRINTS, NULL,
                    "show times in the local zone (default on a terminal)"},
    [FLAG_COLOR] = {"color", 0, OF_PRINTS, "WHEN", "auto, always or never (auto: on a terminal)"},
    [FLAG_ADDR] = {"addr", 0, OF_ASKS, "URL", "server: https://host:3100 (LOGQ_ADDR)"},
    [FLAG_TOKEN_FILE] = {"token-file", 0, OF_ASKS, "FILE",
                         "file that holds the token (LOGQ_TOKEN)"},
    [FLAG_CA] = {"ca", 0, OF_ASKS, "FILE", "certificates to trust, PEM (LOGQ_CA_FILE)"},
    [FLAG_TENANT] = {"tenant", 0, OF_ASKS, "NAME", "tenant, or several: a|b (LOGQ_TENANT)"},
    [FLAG_HELP] = {"help", 'h', OF_ALL, NULL, "print this and exit"},
    [FLAG_VERSION] = {"version", 'V', OF_ALL, NULL, "print the version and exit"},
};

static const struct {
    const char *name, *operands, *help;
    size_t min_words, max_words;
} COMMANDS[] = {
    [ARGS_QUERY] = {"query", "QUERY",
                    "run a LogQL query: lines of a log query, values of a metric query", 1, 1},
    [ARGS_TAIL] = {"tail", "QUERY", "print the newest lines, then new ones as they arrive", 1, 1},
    [ARGS_LABELS] = {"labels", "[NAME]", "list label names, or the values of one label", 0, 1},
    [ARGS_SERIES] = {"series", "SELECTOR...", "list the streams that match", 1, 64},
    [ARGS_DELETE] = {"delete", "QUERY", "delete what matches (or: list, cancel ID)", 1, 2},
    [ARGS_EXPORT] = {"export", "QUERY FILE",
                     "write the lines of a span to a file: .zst, .gz, else plain; -: stdout", 2, 2},
    [ARGS_IMPORT] = {"import", "FILE", "store the lines of an export; -: stdin", 1, 1},
    [ARGS_VERIFY] = {"verify", "", "is what the server stores as it was written? (--structure)", 0,
                     0},
    [ARGS_ADMIN] = {"admin", "VERB",
                    "flush, compact, backup DIR, or hold list | add REASON | release ID", 1, 3},
};
enum { COMMANDS_N = sizeof(COMMANDS) / sizeof(COMMANDS[0]) };

static const char *const OUTPUTS[] = {
    [FORMAT_TABLE] = "table", [FORMAT_RAW] = "raw", [FORMAT_JSONL] = "jsonl",
    [FORMAT_JSON] = "json",   [FORMAT_CSV] = "csv", [FORMAT_LOGFMT] = "logfmt",
};
static const char *const COLORS[] = {"auto", "always", "never"};
static const char *const DIRECTIONS[] = {"", "forward", "backward"};

/* What getopt leaves to be decided when all flags are known. */
struct span {
    const char *since, *from, *to;
    unsigned seen; /* bit per flag_id */
    bool utc, local;
};

static int choose(enum flag_id id, const char *const *names, size_t n, const char *value,
                  unsigned *ret, struct err *err)
{
    struct buf known;
    struct near near;
    int r;

    near_begin(&near, str_of(value));
    buf_init(&known, 256);
    for (size_t i = 0; i < n; i++) {
        if (names[i][0] == '\0')
            continue;
        if (strcmp(names[i], value) == 0) {
            buf_fini(&known);
            *ret = (unsigned)i;
            return 0;
        }
        near_offer(&near, str_of(names[i]));
        buf_addf(&known, "%s%s", known.n == 0 ? "" : i + 1 < n ? ", " : " or ", names[i]);
    }
    if (near.best.p != NULL)
        r = err_set(err, ERR_INVALID, "--%s cannot be '%.60s', did you mean '%.*s'?",
                    FLAGS[id].name, value, STR_ARG(near.best));
    else
        r = err_set(err, ERR_INVALID, "--%s cannot be '%.60s': it is %.*s", FLAGS[id].name, value,
                    STR_ARG(buf_str(&known)));
    buf_fini(&known);
    return r;
}

static int choose_form(enum flag_id id, const char *value, struct args *a, struct err *err)
{
    unsigned i = 0;
    int r;

    if (id == FLAG_OUTPUT) {
        r = choose(id, OUTPUTS, sizeof(OUTPUTS) / sizeof(OUTPUTS[0]), value, &i, err);
        a->output = (enum format_kind)i;
        a->has_output = true;
    } else if (id == FLAG_COLOR) {
        r = choose(id, COLORS, sizeof(COLORS) / sizeof(COLORS[0]), value, &i, err);
        a->color = (enum args_color)i;
    } else {
        r = choose(id, DIRECTIONS, sizeof(DIRECTIONS) / sizeof(DIRECTIONS[0]), value, &i, err);
        a->direction = (enum args_direction)i;
    }
    return r;
}

static int take_flag(enum flag_id id, const char *value, struct args *a, struct span *span,
                     struct err *err)
{
    span->seen |= 1u << id;
    switch (id) {
    case FLAG_OUTPUT:
    case FLAG_COLOR:
    case FLAG_DIRECTION:
        return choose_form(id, value, a, err);
    case FLAG_SINCE:
        span->since = value;
        return 0;
    case FLAG_FROM:
        span->from = value;
        return 0;
    case FLAG_TO:
        span->to = value;
        return 0;
    case FLAG_LIMIT:
        a->has_limit = true;
        if (!str_to_u64(str_of(value), &a->limit))
            return err_set(err, ERR_INVALID, "--limit needs a whole number, not '%.60s'", value);
        return 0;
    case FLAG_STEP:
        if (!dur_parse(str_of(value), false, &a->step) || a->step <= 0)
            return err_set(err, ERR_INVALID, "--step needs a span like 1m, not '%.60s'", value);
        return 0;
    case FLAG_FOLLOW:
        a->follow = true;
        return 0;
    case FLAG_FORCE:
        a->force = true;
        return 0;
    case FLAG_STRUCTURE:
        a->structure = true;
        return 0;
    case FLAG_WITH_KEYRING:
        a->with_keyring = value;
        return 0;
    case FLAG_ADDR:
        a->addr = value;
        return 0;
    case FLAG_TOKEN_FILE:
        a->token_file = value;
        return 0;
    case FLAG_CA:
        a->ca = value;
        return 0;
    case FLAG_TENANT:
        a->tenant = value;
        return 0;
    case FLAG_UTC:
        a->zone = ARGS_ZONE_UTC;
        return 0;
    case FLAG_LOCAL:
        a->zone = ARGS_ZONE_LOCAL;
        return 0;
    case FLAG_HELP:
        a->help = true;
        return 0;
    case FLAG_VERSION:
        a->version = true;
        return 0;
    case FLAG_COUNT:
        break;
    }
    INVARIANT(!"flag without a case");
    return ERR_INVALID;
}

/* RFC 3339, "now", or a span: that long ago. */
static int parse_when(enum flag_id id, const char *text, ts_ns now, ts_ns *ret, struct err *err)
{
    dur_ns ago;

    if (strcmp(text, "now") == 0) {
        *ret = now;
        return 0;
    }
    if (time_parse_rfc3339(str_of(text), ret))
        return 0;
    if (dur_parse(str_of(text), false, &ago)) {
        *ret = now - ago;
        return 0;
    }
    return err_set(
        err, ERR_INVALID,
        "--%s needs a time like 2026-11-21T19:14:38Z, or how long ago like 15m, not '%.60s'",
        FLAGS[id].name, text);
}

static int settle_span(const struct span *span, ts_ns now, struct args *a, struct err *err)
{
    dur_ns since = NS_PER_H;
    int r = 0;

    a->has_span = span->since != NULL || span->from != NULL;
    a->has_to = span->to != NULL;
    a->to = now;
    if (span->since != NULL && span->from != NULL)
        return err_set(err, ERR_INVALID, "--since and --from exclude each other");
    if (span->since != NULL && (!dur_parse(str_of(span->since), false, &since) || since <= 0))
        return err_set(err, ERR_INVALID, "--since needs a span like 1h, not '%.60s'", span->since);
    if (span->to != NULL)
        r = parse_when(FLAG_TO, span->to, now, &a->to, err);
    if (r < 0)
        return r;
    /* --since counts from now; without it the hour before --to is meant. */
    a->from = (span->since != NULL ? now : a->to) - since;
    if (span->from != NULL)
        r = parse_when(FLAG_FROM, span->from, now, &a->from, err);
    if (r < 0)
        return r;
    if (a->from > a->to)
        return err_set(err, ERR_INVALID, "the span ends before it starts");
    return 0;
}

/* getopt's '?' and ':' as one of our sentences. */
static int complain(int c, const char *word, struct err *err)
{
    struct near near;
    struct str name = str_of(word);
    size_t eq;

    if (c == ':' && optopt < 256)
        return err_set(err, ERR_INVALID, "-%c needs a value", optopt);
    if (c == ':')
        return err_set(err, ERR_INVALID, "--%s needs a value", FLAGS[optopt - 256].name);
    if (optopt >= 256)
        return err_set(err, ERR_INVALID, "--%s takes no value", FLAGS[optopt - 256].name);
    if (optopt != 0)
        return err_set(err, ERR_INVALID, "unknown flag -%c", optopt);
    name = str_from(name, 2);
    eq = str_find_char(name, '=');
    if (eq != SIZE_MAX)
        name.n = eq;
    near_begin(&near, name);
    for (size_t i = 0; i < FLAG_COUNT; i++)
        near_offer(&near, str_of(FLAGS[i].name));
    if (name.n > 60)
        name.n = 60;
    if (near.best.p != NULL)
        return err_set(err, ERR_INVALID, "unknown flag --%.*s, did you mean --%.*s?", STR_ARG(name),
                       STR_ARG(near.best));
    return err_set(err, ERR_INVALID, "unknown or ambiguous flag --%.*s", STR_ARG(name));
}

/* The table in getopt's own form: values from 256 on are flag ids, letters stand for themselves. */
static void make_getopt(struct option *longs, char *shorts)
{
    size_t n = 0;

    shorts[n++] = ':'; /* a missing value is told apart */
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        longs[i] =
            (struct option){.name = FLAGS[i].name,
                            .has_arg = FLAGS[i].value != NULL ? required_argument : no_argument,
                            .val = 256 + (int)i};
        if (FLAGS[i].letter == 0)
            continue;
        shorts[n++] = FLAGS[i].letter;
        if (FLAGS[i].value != NULL)
            shorts[n++] = ':';
    }
    longs[FLAG_COUNT] = (struct option){0};
    shorts[n] = '\0';
}

static enum flag_id flag_of(int c)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (c == 256 + (int)i || (c < 256 && FLAGS[i].letter == c))
            return (enum flag_id)i;
    }
    INVARIANT(!"getopt returned what is not in the table");
    return FLAG_COUNT;
}

static int find_command(const char *word, enum args_command *ret, struct err *err)
{
    struct near near;

    near_begin(&near, str_of(word));
    for (unsigned i = ARGS_QUERY; i < COMMANDS_N; i++) {
        if (strcmp(word, COMMANDS[i].name) == 0) {
            *ret = (enum args_command)i;
            return 0;
        }
        near_offer(&near, str_of(COMMANDS[i].name));
    }
    if (near.best.p != NULL)
        return err_set(err, ERR_INVALID, "unknown command '%.60s', did you mean '%.*s'?", word,
                       STR_ARG(near.best));
    return err_set(err, ERR_INVALID, "unknown command '%.60s'", word);
}

/* Operands, and that every flag given is one of this command's. */
static int check_command(const struct args *a, const struct span *span, struct err *err)
{
    const char *name = COMMANDS[a->command].name;

    for (unsigned i = 0; i < FLAG_COUNT; i++) {
        if ((span->seen >> i & 1) != 0 && (FLAGS[i].commands & OF(a->command)) == 0)
            return err_set(err, ERR_INVALID, "%s knows no --%s", name, FLAGS[i].name);
    }
    if (a->n_words < COMMANDS[a->command].min_words)
        return err_set(err, ERR_INVALID, "%s needs %s", name, COMMANDS[a->command].operands);
    if (a->n_words > COMMANDS[a->command].max_words)
        return err_set(err, ERR_INVALID, "%s: one operand too many: '%.60s'%s", name,
                       a->words[COMMANDS[a->command].max_words],
                       a->command == ARGS_QUERY || a->command == ARGS_TAIL
                           ? " (is the query in quotes?)"
                           : "");
    return 0;
}

int args_parse(int argc, char **argv, ts_ns now, struct args *ret, struct err *err)
{
    struct option longs[FLAG_COUNT + 1];
    char shorts[2 * FLAG_COUNT + 2];
    struct span span = {0};
    struct args a = {0};
    int c, r;

    make_getopt(longs, shorts);
    opterr = 0;
    optind = 0; /* glibc: start anew */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): args.h says so */
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (c == '?' || c == ':')
            return complain(c, argv[optind - 1], err);
        r = take_flag(flag_of(c), optarg, &a, &span, err);
        if (r < 0)
            return r;
    }
    if (optind < argc && strcmp(argv[optind], "help") == 0) {
        a.help = true;
        optind++;
    }
    if (optind < argc) {
        r = find_command(argv[optind], &a.command, err);
        if (r < 0)
            return r;
        a.words = argv + optind + 1;
        a.n_words = (size_t)(argc - optind - 1);
    }
    if (!a.help && !a.version) {
        if (a.command == ARGS_NONE)
            return err_set(err, ERR_INVALID, "a command is needed");
        r = check_command(&a, &span, err);
        if (r == 0)
            r = settle_span(&span, now, &a, err);
        if (r < 0)
            return r;
    }
    a.follow = a.follow || a.command == ARGS_TAIL;
    *ret = a;
    return 0;
}

void args_help(struct buf *out, enum args_command command)
{
    if (command == ARGS_NONE) {
        buf_add_z(out, "Usage: logq COMMAND [FLAGS] [OPERANDS]\n\nCommands\n");
        for (unsigned i = ARGS_QUERY; i < COMMANDS_N; i++)
            buf_addf(out, "  %-8s%-13s%s\n", COMMANDS[i].name, COMMANDS[i].operands,
                     COMMANDS[i].help);
    } else {
        buf_addf(out, "Usage: logq %s [FLAGS] %s\n\n%s\n", COMMANDS[command].name,
                 COMMANDS[command].operands, COMMANDS[command].help);
    }
    buf_add_z(out, "\nFlags\n");
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        size_t at = out->n;

        if ((FLAGS[i].commands & OF(command)) == 0)
            continue;
        if (FLAGS[i].letter != 0)
            buf_addf(out, "  -%c, --%s", FLAGS[i].letter, FLAGS[i].name);
        else
            buf_addf(out, "      --%s", FLAGS[i].name);
        if (FLAGS[i].value != NULL)
            buf_addf(out, " %s", FLAGS[i].value);
        buf_addf(out, "%*s%s\n", out->n - at < 26 ? (int)(26 - (out->n - at)) : 1, "",
                 FLAGS[i].help);
    }
    if (command == ARGS_NONE)
        buf_add_z(out, "\n`logq COMMAND --help` lists a command's flags.\n");
    buf_add_z(out, "\nAddress and credentials come from flags, then LOGQ_ADDR, LOGQ_TOKEN,\n"
                   "LOGQ_CA_FILE and LOGQ_TENANT, then ~/.config/logq/config.yaml.\n"
                   "Exit: 0 found, 1 nothing found, 2 usage, 3 server or network, 4 denied.\n");
}
