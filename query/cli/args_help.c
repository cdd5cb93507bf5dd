/* query/cli/args_help.c - what `--help` prints, and the manual pages: both from args_table.h. */
#include "query/cli/args_table.h"

#include <string.h>

enum { FLAG_WIDTH = 28, NAME_WIDTH = 12, OPERANDS_WIDTH = 14 };

static const char CODES[] = "0 found, 1 nothing found, 2 usage, 3 server or network, 4 denied.";
static const char CREDENTIALS[] =
    "Address and credentials come from flags, then LOGQ_ADDR, LOGQ_TOKEN,\n"
    "LOGQ_CA_FILE and LOGQ_TENANT, then ~/.config/logq/config.yaml.\n"
    "Without an address it is http://127.0.0.1:3100.\n";
static const char FIRST_STEPS[] =
    "  What there is     logq labels\n"
    "  What comes        logq tail '{app=\"web\"}'\n"
    "  What there was    logq query '{app=\"web\"} |= \"error\"' --since 2h\n"
    "  Without a server  zcat app.log.gz | logq query --stdin '| json | status >= 500'\n";

static bool has_group(enum args_command command, enum flag_group group)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if (ARGS_FLAGS[i].group == group && (ARGS_FLAGS[i].commands & OF(command)) != 0)
            return true;
    return false;
}

static const char *codes_of(enum args_command command)
{
    return ARGS_TABLE[command].codes != NULL ? ARGS_TABLE[command].codes : CODES;
}

/* ---- help ---- */

static void add_flag(struct buf *out, enum args_command command, const struct flag *f)
{
    size_t at = out->n;

    if (f->letter != 0)
        buf_addf(out, "  -%c, --%s", f->letter, f->name);
    else
        buf_addf(out, "      --%s", f->name);
    if (f->value != NULL)
        buf_addf(out, " %s", f->value);
    buf_addf(out, "%*s%s\n", out->n - at < FLAG_WIDTH ? (int)(FLAG_WIDTH - (out->n - at)) : 1, "",
             args_flag_help(command, f));
}

static void add_flags(struct buf *out, enum args_command command)
{
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        if (!has_group(command, (enum flag_group)g))
            continue;
        buf_addf(out, "\n%s\n", ARGS_GROUPS[g]);
        for (size_t i = 0; i < FLAG_COUNT; i++)
            if (ARGS_FLAGS[i].group == g && (ARGS_FLAGS[i].commands & OF(command)) != 0)
                add_flag(out, command, &ARGS_FLAGS[i]);
    }
}

static void add_examples(struct buf *out, enum args_command command)
{
    buf_add_z(out, "\nExamples\n");
    for (size_t i = 0; i < COMMAND_EXAMPLES; i++) {
        struct str rest = str_of(ARGS_TABLE[command].examples[i]);
        struct str what = str_cut(&rest, '\n');

        buf_addf(out, "  %.*s:\n    %.*s\n", STR_ARG(what), STR_ARG(rest));
    }
}

static void add_commands(struct buf *out)
{
    buf_add_z(out, "Usage: logq COMMAND [FLAGS] [OPERANDS]\n\nCommands\n");
    for (unsigned i = ARGS_QUERY; i < ARGS_COUNT; i++) {
        const struct command *c = &ARGS_TABLE[i];

        if (!c->is_hidden)
            buf_addf(out, "  %-*s%-*s%s\n", NAME_WIDTH, c->name, OPERANDS_WIDTH, c->operands,
                     c->help);
    }
}

/* A line for each way to call it. */
static void add_usage(struct buf *out, enum args_command command)
{
    struct str rest = args_usage(command);
    const char *head = "Usage:";

    do {
        struct str way = str_cut(&rest, '\n');

        buf_addf(out, "%6s logq %s [FLAGS]%s%.*s\n", head, ARGS_TABLE[command].name,
                 way.n == 0 ? "" : " ", STR_ARG(way));
        head = "";
    } while (rest.p != NULL);
    if (args_more(command) != NULL)
        buf_addf(out, "\n%s\n", args_more(command));
}

void args_help(struct buf *out, enum args_command command)
{
    const struct command *c = &ARGS_TABLE[command];
    bool asks = (ARGS_FLAGS[FLAG_ADDR].commands & OF(command)) != 0;

    if (command == ARGS_NONE) {
        add_commands(out);
        buf_addf(out, "\nFirst steps\n%s", FIRST_STEPS);
    } else {
        buf_addf(out, "logq %s - %s\n\n", c->name, c->help);
        add_usage(out, command);
    }
    add_flags(out, command);
    if (command == ARGS_NONE)
        buf_add_z(out, "\n`logq COMMAND --help` lists a command's flags and shows examples.\n");
    else
        add_examples(out, command);
    if (c->is_query)
        buf_addf(out, "\n@NAME for %s is a query saved under that name in config.yaml.\n",
                 strstr(c->operands, "SELECTOR") != NULL ? "SELECTOR" : "QUERY");
    if (asks || command == ARGS_NONE)
        buf_addf(out, "\n%s", CREDENTIALS);
    buf_addf(out, "%sExit: %s\n", asks || command == ARGS_NONE ? "" : "\n", codes_of(command));
}

/* ---- roff ---- */

/* Text of the page: nothing in it is roff. */
static void add_roff(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool at_start = i == 0 || s.p[i - 1] == '\n';

        if (at_start && (s.p[i] == '.' || s.p[i] == '\''))
            buf_add_z(out, "\\&");
        switch (s.p[i]) {
        case '\\':
            buf_add_z(out, "\\e");
            break;
        case '-':
            buf_add_z(out, "\\-");
            break;
        case '\'':
            buf_add_z(out, "\\(aq");
            break;
        case '"':
            buf_add_z(out, "\\(dq");
            break;
        case '~':
            buf_add_z(out, "\\(ti");
            break;
        case '^':
            buf_add_z(out, "\\(ha");
            break;
        case '`':
            buf_add_z(out, "\\(ga");
            break;
        default:
            buf_add_char(out, s.p[i]);
        }
    }
}

static void add_roff_line(struct buf *out, const char *macro, const char *text)
{
    buf_add_z(out, macro);
    add_roff(out, str_of(text));
    buf_add_char(out, '\n');
}

static void add_roff_flags(struct buf *out, enum args_command command)
{
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        if (!has_group(command, (enum flag_group)g))
            continue;
        buf_addf(out, ".SS \"%s\"\n", ARGS_GROUPS[g]);
        for (size_t i = 0; i < FLAG_COUNT; i++) {
            const struct flag *f = &ARGS_FLAGS[i];

            if (f->group != g || (f->commands & OF(command)) == 0)
                continue;
            buf_add_z(out, ".TP\n\\fB");
            if (f->letter != 0)
                buf_addf(out, "\\-%c\\fR, \\fB", f->letter);
            buf_add_z(out, "\\-\\-");
            add_roff(out, str_of(f->name));
            buf_add_z(out, "\\fR");
            if (f->value != NULL)
                buf_addf(out, " \\fI%s\\fR", f->value);
            buf_add_char(out, '\n');
            add_roff_line(out, "", args_flag_help(command, f));
        }
    }
}

static void add_roff_commands(struct buf *out)
{
    buf_add_z(out, ".SH COMMANDS\n");
    for (unsigned i = ARGS_QUERY; i < ARGS_COUNT; i++) {
        const struct command *c = &ARGS_TABLE[i];

        if (c->is_hidden)
            continue;
        buf_addf(out, ".TP\n\\fB%s\\fR %s\n", c->name, c->operands);
        add_roff(out, str_of(c->help));
        buf_addf(out, "; see \\fBlogq\\-%s\\fR(1)\n", c->name);
    }
}

static void add_roff_examples(struct buf *out, enum args_command command)
{
    buf_add_z(out, ".SH EXAMPLES\n");
    for (size_t i = 0; i < COMMAND_EXAMPLES; i++) {
        struct str rest = str_of(ARGS_TABLE[command].examples[i]);
        struct str what = str_cut(&rest, '\n');

        if (i > 0)
            buf_add_z(out, ".PP\n");
        add_roff(out, what);
        buf_add_z(out, ":\n.PP\n.RS 4\n.nf\n");
        add_roff(out, rest);
        buf_add_z(out, "\n.fi\n.RE\n");
    }
}

static void add_roff_usage(struct buf *out, enum args_command command)
{
    struct str rest = args_usage(command);
    bool first = true;

    do {
        struct str way = str_cut(&rest, '\n');

        if (!first)
            buf_add_z(out, ".br\n");
        first = false;
        buf_addf(out, "\\fBlogq %s\\fR [\\fIFLAGS\\fR] ", ARGS_TABLE[command].name);
        add_roff(out, way);
        buf_add_char(out, '\n');
    } while (rest.p != NULL);
    if (args_more(command) == NULL)
        return;
    buf_add_z(out, command == ARGS_ADMIN ? ".SH DESCRIPTION\n.nf\n" : ".SH DESCRIPTION\n");
    add_roff(out, str_of(args_more(command)));
    buf_add_z(out, command == ARGS_ADMIN ? "\n.fi\n" : "\n");
}

void args_man(struct buf *out, enum args_command command)
{
    const struct command *c = &ARGS_TABLE[command];
    bool whole = command == ARGS_NONE;
    const char *dash = whole ? "" : "\\-";
    const char *name = whole ? "" : c->name;

    buf_addf(out, ".TH LOGQ%s", dash);
    for (const char *p = name; *p != '\0'; p++)
        buf_add_char(out, (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p));
    buf_addf(out, " 1 \"\" \"logq %s\"\n.SH NAME\nlogq%s%s \\- ", LOGQ_VERSION, dash, name);
    add_roff_line(out, "", whole ? "ask a log server, in LogQL" : c->help);
    buf_add_z(out, ".SH SYNOPSIS\n");
    if (whole) {
        buf_add_z(out, "\\fBlogq COMMAND\\fR [\\fIFLAGS\\fR] [\\fIOPERANDS\\fR]\n");
        add_roff_commands(out);
    } else {
        add_roff_usage(out, command);
    }
    buf_add_z(out, ".SH OPTIONS\n");
    add_roff_flags(out, command);
    if (whole) {
        buf_add_z(out, ".SH EXAMPLES\n.nf\n");
        add_roff(out, str_of(FIRST_STEPS));
        buf_add_z(out, ".fi\n");
    } else {
        add_roff_examples(out, command);
    }
    buf_add_z(out, ".SH FILES\n");
    add_roff(out, STR("~/.config/logq/config.yaml"));
    buf_add_z(out, ": the server, named servers, saved queries (\\fB@NAME\\fR)\n"
                   ".SH ENVIRONMENT\nLOGQ_ADDR, LOGQ_TOKEN, LOGQ_CA_FILE, LOGQ_TENANT, "
                   "LOGQ_SERVER, LOGQ_PAGER, PAGER, NO_COLOR.\nWithout an address it is "
                   "http://127.0.0.1:3100.\n.SH EXIT STATUS\n");
    add_roff_line(out, "", codes_of(command));
}
