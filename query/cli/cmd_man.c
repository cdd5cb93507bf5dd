/* query/cli/cmd_man.c - `logq man [COMMAND]`: a manual page, made from the tables of flags. */
#include "query/cli/cmd.h"

enum { PAGE_MAX = 1 << 18 };

int cmd_man(struct cmd *c)
{
    enum args_command page = ARGS_NONE;
    struct remote_failure none = {0};
    struct buf out;
    struct err err;
    int r;

    if (c->args->n_words > 0 && args_find(c->args->words[0], &page, &err) < 0) {
        cmd_say("%s", err.text);
        return CMD_USAGE;
    }
    buf_init(&out, PAGE_MAX);
    args_man(&out, page);
    r = output_text(c->out, buf_str(&out), &err);
    if (r == 0)
        r = output_flush(c->out, &err);
    buf_fini(&out);
    return r < 0 ? cmd_fail(c, STR_NULL, &none, &err) : CMD_FOUND;
}
