/*
 * query/cli/output.h - stdout: which form, which colours, and what to do when nobody reads.
 *
 * Bytes are gathered and written in large pieces; on a terminal each entry goes out at once.
 */
#ifndef LOGQ_QUERY_CLI_OUTPUT_H
#define LOGQ_QUERY_CLI_OUTPUT_H

#include "query/cli/args.h"

#include <sys/types.h>

/* What is known of the place the output goes to. */
struct output_env {
    bool terminal;
    bool errors_terminal; /* stderr is one */
    const char *no_color; /* NO_COLOR: any text but "" means no colour; may be NULL */
    const char *term;     /* TERM; may be NULL */
    const char *pager;    /* what shows what does not fit on the screen; NULL: nothing does */
};

struct columns;

struct output {
    int fd; /* borrowed */
    bool terminal;
    bool color_errors; /* what goes to stderr */
    bool errors_terminal;
    const char *note; /* to be said on stderr when all is shown, static; NULL: nothing */
    struct format_options form;
    struct buf buf;
    uint64_t entries;        /* printed */
    bool deserted;           /* the reader went away */
    bool broken;             /* a write failed otherwise */
    struct columns *columns; /* owned; NULL: the form's own */
    /* Until more has come than fits on the screen, nothing is written; then a pager is started. */
    const char *pager;  /* to be started yet; NULL: none */
    size_t screen;      /* lines that fit */
    size_t lines, seen; /* of buf: lines in its first `seen` bytes */
    pid_t pager_pid;    /* 0: none runs */
};

void output_init(struct output *o, int fd, const struct args *args, const struct output_env *env);
/* What is not flushed is lost.  Waits for the pager, if one runs.  false: it could not be run, and
 * nobody has seen what went to it. */
bool output_fini(struct output *o);
/* Show these columns of entries.  ERR_INVALID. */
int output_columns(struct output *o, const char *list, struct err *err);

/* Print one line of a log query.  ERR_IO: deserted or broken says why; ERR_LIMIT. */
int output_entry(struct output *o, const struct query_entry *e, struct err *err);
/* Print bytes that have their form already. */
int output_text(struct output *o, struct str text, struct err *err);
/* All of it out: at the end, or where somebody waits for it. */
int output_flush(struct output *o, struct err *err);
/* The end of a listing of entries. */
int output_finish(struct output *o, struct err *err);

/* Look without writing: has the reader gone?  Sets o->deserted. */
bool output_is_deserted(struct output *o);

#endif
