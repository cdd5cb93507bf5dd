/* query/cli/cmd_fmt.c - `logq fmt QUERY`: a query's canonical text; no server is asked. */
#include "query/cli/cmd.h"

#include "base/file.h"

#include <string.h>
#include <unistd.h>

enum { CANONICAL_MAX = 4 * QUERY_TEXT_MAX, PIECE = 4096 };

static int read_stdin(struct buf *out, struct err *err)
{
    char piece[PIECE];
    ssize_t n;

    while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0)
        buf_add(out, piece, (size_t)n);
    return n < 0 ? err_sys(err, "read standard input") : buf_err(out, "query", err);
}

int cmd_fmt(struct cmd *c)
{
    struct str text = str_of(c->args->words[0]);
    struct remote_failure fail = {.status = 400};
    struct buf typed, out;
    struct err err;
    int r = 0, code;

    buf_init(&typed, QUERY_TEXT_MAX);
    buf_init(&out, CANONICAL_MAX);
    if (str_eq(text, STR("-"))) {
        r = read_stdin(&typed, &err);
        text = str_trim(buf_str(&typed));
    }
    if (r == 0)
        r = query_format_all(text, &out, &fail.line, &fail.column, &err);
    if (r == 0) {
        fail.status = 0;
        buf_add_char(&out, '\n');
        r = output_text(c->out, buf_str(&out), &err);
    }
    if (r == 0)
        r = output_flush(c->out, &err);
    code = r < 0 ? cmd_fail(c, text, &fail, &err) : CMD_FOUND;
    buf_fini(&typed);
    buf_fini(&out);
    return code;
}
