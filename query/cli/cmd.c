/* query/cli/cmd.c - see cmd.h. */
#include "query/cli/cmd.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

enum { SAY_MAX = 1 << 20 };

ts_ns cmd_end(const struct args *args)
{
    return args->has_to ? args->to : args->to + CMD_AHEAD;
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

/* Line `number` of the query, and a caret under `column`, which counts code points. */
static void show_place(struct str query, unsigned number, unsigned column)
{
    struct str line = STR("");
    struct buf out;

    for (unsigned i = 0; i < number && query.p != NULL; i++)
        line = str_cut(&query, '\n');
    buf_init(&out, SAY_MAX);
    buf_add_z(&out, "  ");
    add_harmless(&out, line);
    buf_add_z(&out, "\n  ");
    for (unsigned i = 1; i < column && i <= line.n + 1; i++)
        buf_add_char(&out, ' ');
    buf_add_z(&out, "^\n");
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
    advice = remote_advice(c->remote, fail, err->code);
    if (advice != NULL)
        cmd_say("%s", advice);
    if (query.p != NULL && fail->line > 0 && fail->column > 0)
        show_place(query, fail->line, fail->column);
    if (c->out->broken)
        return CMD_SERVER;
    switch (fail->status) {
    case 400:
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
    int r = query_parse(text, ret, &fail.line, &fail.column, &err);

    if (r < 0)
        (void)cmd_fail(c, text, &fail, &err);
    return r;
}
