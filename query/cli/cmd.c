/* query/cli/cmd.c - see cmd.h. */
#include "query/cli/cmd.h"

#include "base/utf8.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"
#include "query/query.h"

#include <stdarg.h>
#include <stdio.h>

enum { SAY_MAX = 1 << 20, ANSWER_MAX = 512 << 20 };

ts_ns cmd_end(const struct args *args)
{
    return args->has_to ? args->to : args->to + QUERY_AHEAD;
}

/* Append `s` as UTF-8, control characters as blanks. */
static void add_harmless(struct buf *out, struct str s)
{
    size_t from = out->n;

    utf8_repair(out, s);
    for (size_t i = from; i < out->n; i++) {
        unsigned char c = (unsigned char)out->p[i];
        unsigned char next = i + 1 < out->n ? (unsigned char)out->p[i + 1] : 0;

        if (c < ' ' || c == 0x7f)
            out->p[i] = ' ';
        else if (c == 0xc2 && next < 0xa0) /* a control character of two bytes */
            out->p[i] = out->p[i + 1] = ' ';
    }
}

void cmd_say(const char *fmt, ...)
{
    struct buf text, line;
    va_list ap;

    buf_init(&text, SAY_MAX);
    buf_init(&line, 4 * SAY_MAX);
    va_start(ap, fmt);
    buf_addv(&text, fmt, ap);
    va_end(ap);
    buf_add_z(&line, "logq: ");
    add_harmless(&line, buf_str(&text));
    buf_add_char(&line, '\n');
    (void)fwrite(line.p, 1, line.n, stderr); /* there is nobody to tell that it failed */
    buf_fini(&text);
    buf_fini(&line);
}

void cmd_say_lines(struct str text)
{
    while (text.n > 0) {
        struct str line = str_cut(&text, '\n');

        cmd_say("%.*s", STR_ARG(line));
    }
}

void cmd_note(struct cmd *c, const char *text)
{
    if (c->out->errors_terminal)
        c->out->note = text;
}

int cmd_nothing(struct cmd *c)
{
    if (!c->args->has_span && !c->args->has_to)
        cmd_note(c, "nothing in the last hour: --since 1d looks further back");
    return CMD_NOTHING;
}

/* The line of the query, and a caret. */
static void show_place(const struct cmd *c, struct str query, const struct remote_failure *fail)
{
    struct buf out;

    buf_init(&out, SAY_MAX);
    format_place(&out, query, fail->line, fail->column, c->out->color_errors);
    (void)fwrite(out.p, 1, out.n, stderr);
    buf_fini(&out);
}

int cmd_fail(const struct cmd *c, struct str query, const struct remote_failure *fail,
             const struct err *err)
{
    const char *advice;

    if (c->out->deserted)
        return CMD_FOUND;
    cmd_say("%s", err->text);
    advice = c->remote == NULL ? NULL : remote_advice(c->remote, fail, err->code);
    if (advice != NULL)
        cmd_say("%s", advice);
    if (query.p != NULL && fail->line > 0 && fail->column > 0)
        show_place(c, query, fail);
    if (c->out->broken)
        return CMD_SERVER;
    switch (fail->status) {
    case 400:
    case 404:
    case 409:
        return CMD_USAGE;
    case 401:
    case 403:
        return CMD_DENIED;
    default:
        return CMD_SERVER;
    }
}

int cmd_parse(const struct cmd *c, struct str text, struct query **ret)
{
    struct remote_failure fail = {.status = 400};
    struct err err;
    int r = query_parse_all(text, ret, &fail.line, &fail.column, &err);

    if (r < 0)
        (void)cmd_fail(c, text, &fail, &err);
    return r;
}

static int fetch(struct cmd *c, const struct cmd_question *q, struct buf *params, struct rows *rows,
                 struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {.path = q->path, .idle_ms = CMD_IDLE_MS};
    struct buf body, warnings;
    int r;

    *fail = (struct remote_failure){0};
    if (q->query.p != NULL)
        params_add(params, "query", q->query);
    cmd_add_span(c, params);
    req.params = buf_str(params);
    buf_init(&body, ANSWER_MAX);
    r = buf_err(params, "parameters", err);
    if (r == 0)
        r = remote_fetch(c->remote, &req, &body, fail, err);
    if (r == 0)
        r = q->read(buf_str(&body), rows, err);
    buf_init(&warnings, CMD_WARNINGS_MAX);
    if (r == 0)
        loki_warnings(buf_str(&body), &warnings);
    cmd_say_lines(buf_str(&warnings));
    buf_fini(&warnings);
    buf_fini(&body);
    return r;
}

int cmd_print_rows(struct cmd *c, struct rows **rows, int r, struct str query,
                   const struct remote_failure *fail, struct err *err)
{
    int code;

    if (r == 0)
        r = rows_print(*rows, c->out, err);
    if (r < 0)
        code = cmd_fail(c, query, fail, err);
    else
        code = rows_count(*rows) > 0 ? CMD_FOUND : CMD_NOTHING;
    rows_free(rows);
    return code;
}

int cmd_list(struct cmd *c, const struct cmd_question *q, struct buf *params)
{
    struct rows *rows = rows_new(q->columns, q->n_columns);
    struct remote_failure fail;
    struct err err;
    int r, code;

    rows_limit(rows, q->limit);
    r = fetch(c, q, params, rows, &fail, &err);
    buf_fini(params);
    if (r == 0)
        r = rows_print(rows, c->out, &err);
    if (r < 0)
        code = cmd_fail(c, q->query, &fail, &err);
    else
        code = rows_count(rows) > 0 ? CMD_FOUND : cmd_nothing(c);
    rows_free(&rows);
    return code;
}

void cmd_add_span(const struct cmd *c, struct buf *params)
{
    dur_ns step = c->args->step;
    ts_ns end = cmd_end(c->args);

    if (!c->args->has_to && step > 0 && end > 0 && end <= INT64_MAX - step)
        end += (step - end % step) % step;
    params_add_ts(params, "start", c->args->from);
    params_add_ts(params, "end", end);
}

int cmd_check_form(const struct cmd *c)
{
    const struct args *a = c->args;

    if (!a->has_output || (a->output != FORMAT_CSV && a->output != FORMAT_LOGFMT))
        return 0;
    cmd_say("there is no -o %s of this: table, raw, jsonl or json",
            a->output == FORMAT_CSV ? "csv" : "logfmt");
    return ERR_INVALID;
}

int cmd_selector(const struct cmd *c, size_t i, struct str *ret)
{
    struct str text = c->args->n_words > i ? str_of(c->args->words[i]) : STR("{}");
    const struct matcher *matchers;
    struct query *q = NULL;
    size_t n;
    bool ok;

    *ret = text;
    if (str_eq(str_trim(text), STR("{}"))) /* everything; no query, but the API takes it */
        return 0;
    if (cmd_parse(c, text, &q) < 0)
        return ERR_INVALID;
    ok = query_selector(q, &matchers, &n);
    query_unref(&q);
    if (ok)
        return 0;
    cmd_say("a selector is needed, {name=\"value\", ...} and nothing more: %.*s",
            (int)(text.n < 200 ? text.n : 200), text.p);
    return ERR_INVALID;
}
