/*
 * query/cli/cmd_complete.c - `logq __complete WORD...`: what could stand for the last word.
 *
 * Commands, flags and their values come from the tables, names and values of labels from the
 * server.  Each line is a whole word; nothing is ever said on stderr, for a prompt is there.
 */
#include "query/cli/args_table.h"
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

#include <string.h>

enum { ANSWER_MAX = 64 << 20, PARAMS_MAX = 1 << 16, PATH_BYTES = 2048, ASK_MS = 3000 };

struct completing {
    struct cmd *c;
    struct str fixed; /* of the word that is being typed: what is no part of the question */
    struct str word;  /* the rest of it */
    struct buf out;
};

/* The first `n` bytes of the word are settled. */
static void settle(struct completing *x, size_t n)
{
    x->fixed.n += n;
    x->word = str_from(x->word, n);
}

/* `before` is the part of the word that stays. */
static void offer(struct completing *x, struct str before, struct str found, const char *behind)
{
    struct str typed = str_from(x->word, before.n);

    if (!str_starts(found, typed) || str_find_char(found, '\n') != SIZE_MAX)
        return;
    buf_add_str(&x->out, x->fixed);
    buf_add_str(&x->out, before);
    buf_add_str(&x->out, found);
    buf_addf(&x->out, "%s\n", behind);
}

static void offer_commands(struct completing *x)
{
    for (unsigned i = ARGS_QUERY; i < ARGS_COUNT; i++)
        if (!ARGS_TABLE[i].is_hidden)
            offer(x, STR(""), str_of(ARGS_TABLE[i].name), "");
}

static void offer_flags(struct completing *x, enum args_command command)
{
    for (size_t i = 0; i < FLAG_COUNT; i++)
        if ((ARGS_FLAGS[i].commands & OF(command)) != 0)
            offer(x, STR("--"), str_of(ARGS_FLAGS[i].name), "");
}

static void offer_names(struct completing *x, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (names[i][0] != '\0')
            offer(x, STR(""), str_of(names[i]), "");
}

/* ---- what the server knows ---- */

/* How what is found is written. */
enum writing { PLAIN, QUOTED, QUOTED_BUT_FIRST /* the first quote is there already */ };

static void ask(struct completing *x, const char *path, struct str before, enum writing how,
                const char *behind)
{
    static const struct rows_column COLUMNS[] = {{"text", ROWS_TEXT}};
    struct remote_request req = {.path = path, .idle_ms = ASK_MS};
    struct rows *rows = rows_new(COLUMNS, 1);
    struct remote_failure fail;
    struct buf params, body;
    struct err err;

    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    cmd_add_span(x->c, &params);
    req.params = buf_str(&params);
    if (x->c->remote != NULL && remote_fetch(x->c->remote, &req, &body, &fail, &err) == 0 &&
        loki_strings(buf_str(&body), rows, &err) == 0) {
        for (size_t i = 0; i < rows_count(rows); i++) {
            struct buf found;

            buf_init(&found, ANSWER_MAX);
            if (how != PLAIN)
                quote_add(&found, rows_text(rows, i));
            else
                buf_add_str(&found, rows_text(rows, i));
            offer(x, before, str_from(buf_str(&found), how == QUOTED_BUT_FIRST ? 1 : 0), behind);
            buf_fini(&found);
        }
    }
    buf_fini(&params);
    buf_fini(&body);
    rows_free(&rows);
}

static void ask_labels(struct completing *x, struct str before, const char *behind)
{
    ask(x, "/loki/api/v1/labels", before, PLAIN, behind);
}

static void offer_values(struct completing *x, struct str name, struct str before, enum writing how)
{
    char path[PATH_BYTES];
    struct buf text;

    if (!label_name_ok(name) || name.n > PATH_BYTES / 2)
        return;
    buf_init(&text, sizeof(path));
    buf_addf(&text, "/loki/api/v1/label/%.*s/values", STR_ARG(name));
    (void)str_to_z(buf_str(&text), path, sizeof(path));
    ask(x, path, before, how, "");
    buf_fini(&text);
}

/* ---- where in the line we are ---- */

/* Whether the character at *i stands in quotes, or is one; *quote is the one that is open, else 0.
 * What a backslash escapes is stepped over. */
static bool is_quoted(struct str text, size_t *i, char *quote)
{
    char ch = text.p[*i];

    if (*quote == '"' && ch == '\\') {
        ++*i;
    } else if (*quote != '\0') {
        if (ch == *quote)
            *quote = '\0';
    } else if (ch == '"' || ch == '`') {
        *quote = ch;
    } else {
        return false;
    }
    return true;
}

/* Behind {...}: the stage that the last bar begins, if it has been begun by no more than a word. */
static void offer_stages(struct completing *x, size_t from)
{
    static const char *const stages[] = {
        "json",   "json --arrays", "logfmt",       "regexp",     "pattern",
        "unpack", "line_format",   "label_format", "decolorize", "drop",
        "keep",   "dedup",         "dedup by (",   "any(",       "unwrap"};
    size_t start = 0;
    char quote = '\0';

    for (size_t i = from; i < x->word.n; i++) {
        if (is_quoted(x->word, &i, &quote))
            start = 0;
        else if (x->word.p[i] == '|')
            start = i + 1;
    }
    if (quote != '\0' || start == 0)
        return;
    while (start < x->word.n && x->word.p[start] == ' ')
        start++;
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
        offer(x, str_sub(x->word, 0, start), str_of(stages[i]), "");
}

/* Inside of {...}: a name, or what stands in quotes behind it. */
static void offer_in_selector(struct completing *x, bool piped)
{
    size_t start = 1, value = 0; /* of the name; of the value, 0: not in one */
    bool quoted = false;
    struct str name;

    for (size_t i = 1; i < x->word.n; i++) {
        char ch = x->word.p[i];

        if (quoted && ch == '\\') {
            i++;
        } else if (ch == '"') {
            quoted = !quoted;
            value = quoted ? i + 1 : 0;
        } else if (!quoted && ch == '}') {
            if (piped)
                offer_stages(x, i + 1);
            return;
        } else if (!quoted && (ch == ',' || ch == ' ')) {
            start = i + 1;
        }
    }
    name = str_from(x->word, start);
    if (quoted)
        name.n = value - start;
    while (name.n > 0 && strchr("=!~\"", name.p[name.n - 1]) != NULL)
        name.n--;
    if (quoted)
        offer_values(x, name, str_sub(x->word, 0, value), QUOTED_BUT_FIRST);
    else if (str_find_char(name, '=') != SIZE_MAX || str_find_char(name, '!') != SIZE_MAX)
        return; /* a value is there, and no comma behind it */
    else if (x->word.p[x->word.n - 1] == '=' || x->word.p[x->word.n - 1] == '~')
        offer_values(x, name, x->word, QUOTED);
    else
        ask_labels(x, str_sub(x->word, 0, start), "=\"");
}

/* Where the last selector of a metric query begins; SIZE_MAX: there is none. */
static size_t find_selector(struct str text)
{
    size_t at = SIZE_MAX;
    char quote = '\0';

    for (size_t i = 0; i < text.n; i++) {
        if (is_quoted(text, &i, &quote))
            continue;
        if (text.p[i] == '{')
            at = i;
        else if (text.p[i] == '[')
            at = SIZE_MAX; /* its range: it is over */
    }
    return at;
}

/* `piped`: stages may follow the selector. */
static void offer_query(struct completing *x, bool piped)
{
    if (x->word.n == 0)
        buf_add_z(&x->out, "{\n");
    if (x->word.n == 0 || x->word.p[0] == '@')
        for (size_t i = 0; i < x->c->context->n_queries; i++) {
            struct buf name;

            buf_init(&name, PATH_BYTES);
            buf_addf(&name, "@%.*s", STR_ARG(x->c->context->queries[i].name));
            offer(x, STR(""), buf_str(&name), "");
            buf_fini(&name);
        }
    else if (x->word.p[0] == '{' || piped) {
        size_t at = find_selector(x->word);

        if (at == SIZE_MAX)
            return;
        settle(x, at);
        offer_in_selector(x, piped);
    }
}

/* The flag that `word` is; FLAG_COUNT: none. */
static size_t find_flag(const char *word)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, ARGS_FLAGS[i].name) == 0)
            return i;
        if (word[0] == '-' && ARGS_FLAGS[i].letter != 0 && word[1] == ARGS_FLAGS[i].letter &&
            word[2] == '\0')
            return i;
    }
    return FLAG_COUNT;
}

/* The last of a list: what is before the last comma stays. */
static void offer_listed(struct completing *x, const char *const *names, size_t n)
{
    size_t at = x->word.n;

    while (at > 0 && x->word.p[at - 1] != ',')
        at--;
    settle(x, at);
    offer_names(x, names, n);
    ask_labels(x, STR(""), "");
}

static void offer_flag_value(struct completing *x, size_t flag)
{
    static const char *const columns[] = {"time", "level", "origin", "line", "labels"};

    if (flag == FLAG_OUTPUT)
        offer_names(x, ARGS_OUTPUT_NAMES, ARGS_OUTPUTS);
    else if (flag == FLAG_COLOR || flag == FLAG_PROGRESS)
        offer_names(x, ARGS_COLOR_NAMES, ARGS_COLORS);
    else if (flag == FLAG_DIRECTION)
        offer_names(x, ARGS_DIRECTION_NAMES, ARGS_DIRECTIONS);
    else if (flag == FLAG_BY)
        offer_listed(x, NULL, 0);
    else if (flag == FLAG_COLUMNS)
        offer_listed(x, columns, sizeof(columns) / sizeof(columns[0]));
    else if (flag == FLAG_SERVER || flag == FLAG_ALSO)
        for (size_t i = 0; i < x->c->context->n_servers; i++)
            offer(x, STR(""), x->c->context->servers[i], "");
}

/* `first` is the operand before it. */
static void offer_second(struct completing *x, enum args_command command, const char *first)
{
    static const char *const holds[] = {"list", "add", "release"};

    if (command == ARGS_ADMIN && strcmp(first, "hold") == 0)
        offer_names(x, holds, sizeof(holds) / sizeof(holds[0]));
}

static void offer_operand(struct completing *x, enum args_command command, size_t index)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    static const char *const deletes[] = {"list", "cancel"};
    static const char *const admins[] = {"flush", "compact", "backup", "hold"};

    if (command == ARGS_NONE || (command == ARGS_MAN && index == 0))
        offer_commands(x);
    else if (command == ARGS_LABELS && index == 0)
        ask_labels(x, STR(""), "");
    else if (command == ARGS_COMPLETION && index == 0)
        offer_names(x, shells, sizeof(shells) / sizeof(shells[0]));
    else if (command == ARGS_ADMIN && index == 0)
        offer_names(x, admins, sizeof(admins) / sizeof(admins[0]));
    if (command == ARGS_DELETE && index == 0)
        offer_names(x, deletes, sizeof(deletes) / sizeof(deletes[0]));
    if (command == ARGS_SERIES || (ARGS_TABLE[command].is_query && index == 0))
        offer_query(x, command != ARGS_SERIES && command != ARGS_STATS && command != ARGS_VOLUME &&
                           command != ARGS_PATTERNS);
}

/* --flag=VALUE: the flag, and the value is what is asked for; FLAG_COUNT: something else. */
static size_t take_flag(struct completing *x)
{
    size_t at = str_find_char(x->word, '=');
    char name[64];
    size_t flag;

    if (at == SIZE_MAX || at >= sizeof(name) || x->word.p[0] != '-')
        return FLAG_COUNT;
    flag = find_flag(str_to_z(str_sub(x->word, 0, at), name, sizeof(name)));
    if (flag < FLAG_COUNT)
        settle(x, at + 1);
    return flag;
}

static void offer_all(struct completing *x)
{
    const struct args *a = x->c->args;
    enum args_command command = ARGS_NONE;
    size_t flag = FLAG_COUNT, operands = 0;
    const char *before = "";
    struct err err;

    for (size_t i = 0; i + 1 < a->n_words; i++) {
        if (flag < FLAG_COUNT && ARGS_FLAGS[flag].value != NULL) {
            flag = FLAG_COUNT; /* this word is its value */
            continue;
        }
        flag = find_flag(a->words[i]);
        if (a->words[i][0] == '-')
            continue;
        if (command != ARGS_NONE) {
            operands++;
            before = a->words[i];
        } else if (args_find(a->words[i], &command, &err) < 0) {
            return;
        }
    }
    if (flag == FLAG_COUNT)
        flag = take_flag(x);
    if (flag < FLAG_COUNT && ARGS_FLAGS[flag].value != NULL)
        offer_flag_value(x, flag);
    else if (x->word.n > 0 && x->word.p[0] == '-')
        offer_flags(x, command);
    else if (operands == 1)
        offer_second(x, command, before);
    else
        offer_operand(x, command, operands);
}

int cmd_complete(struct cmd *c)
{
    const struct args *a = c->args;
    struct str word = a->n_words > 0 ? str_of(a->words[a->n_words - 1]) : STR("");
    struct completing x = {.c = c, .fixed = str_sub(word, 0, 0), .word = word};
    struct err err;

    buf_init(&x.out, ANSWER_MAX);
    offer_all(&x);
    (void)output_text(c->out, buf_str(&x.out), &err); /* nobody is there to tell */
    (void)output_flush(c->out, &err);
    buf_fini(&x.out);
    return CMD_FOUND;
}
