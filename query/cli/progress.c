/* query/cli/progress.c - see progress.h. */
#include "query/cli/progress.h"

#include "query/cli/loki.h"
#include "query/cli/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
    FIRST_MS = 1000,
    EVERY_MS = 250,
    EVERY_LINE_MS = 1000, /* where lines stay: no terminal */
    LOOK_EVERY = 64,      /* entries between looks at the clock */
    PARAMS_MAX = 1 << 20,
    ANSWER_MAX = 1 << 20,
    TEXT_MAX = 512,
};

/* The selector at the beginning of a log query's canonical text. */
static struct str selector_of(struct str text)
{
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        if (quoted && text.p[i] == '\\')
            i++;
        else if (text.p[i] == '"')
            quoted = !quoted;
        else if (text.p[i] == '}' && !quoted)
            return str_sub(text, 0, i + 1);
    }
    return STR("{}");
}

/* What the index says; of no matter if it does not. */
static void ask_index(struct progress *p, const struct cmd *c, struct str query)
{
    static const struct rows_column COLUMNS[] = {{"streams", ROWS_VALUE},
                                                 {"blocks", ROWS_VALUE},
                                                 {"lines", ROWS_VALUE},
                                                 {"bytes", ROWS_BYTES}};
    struct remote_request req = {.path = "/loki/api/v1/index/stats", .idle_ms = CMD_IDLE_MS};
    struct rows *rows = rows_new(COLUMNS, 4);
    struct buf canonical, params, body;
    struct remote_failure fail;
    struct err err;

    buf_init(&canonical, 4 * QUERY_TEXT_MAX);
    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    if (query_format(query, &canonical, NULL, NULL, &err) == 0) {
        params_add(&params, "query", selector_of(buf_str(&canonical)));
        params_add_ts(&params, "start", p->from);
        params_add_ts(&params, "end", p->to);
        req.params = buf_str(&params);
        if (remote_fetch(c->remote, &req, &body, &fail, &err) == 0 &&
            loki_stats(buf_str(&body), rows, &err) == 0 && rows_count(rows) > 0) {
            p->blocks = rows_cells(rows, 0)[1].value;
            p->bytes = rows_cells(rows, 0)[3].value;
        }
    }
    buf_fini(&canonical);
    buf_fini(&params);
    buf_fini(&body);
    rows_free(&rows);
}

void progress_begin(struct progress *p, const struct cmd *c, struct str query, ts_ns from, ts_ns to)
{
    enum args_color when = c->args->progress;

    *p = (struct progress){.from = from,
                           .to = to < time_now() ? to : time_now(), /* beyond it there is little */
                           .terminal = isatty(STDERR_FILENO) == 1,
                           .began = time_mono()};
    p->on = when == ARGS_COLOR_AUTO ? p->terminal && !c->out->terminal : when == ARGS_COLOR_ALWAYS;
    if (p->on)
        ask_index(p, c, query);
}

void progress_print(const struct progress *p, ts_ns at, dur_ns elapsed, struct buf *out)
{
    double span = (double)(p->to - p->from);
    double share = span <= 0 ? 1 : (double)(p->backward ? p->to - at : at - p->from) / span;
    double seconds = (double)elapsed / 1e9;

    share = share < 0 ? 0 : share > 1 ? 1 : share;
    buf_addf(out, "%3.0f %%, %" PRIu64 " lines, ", 100 * share, p->entries);
    rows_add_bytes(out, (double)p->line_bytes);
    if (p->blocks > 0) {
        buf_addf(out, ", block %.0f of %.0f, ", share * p->blocks, p->blocks);
        rows_add_bytes(out, share * p->bytes);
        buf_add_z(out, " of ");
        rows_add_bytes(out, p->bytes);
        buf_add_z(out, " read");
    }
    if (share > 0.01 && share < 1) {
        uint64_t left = (uint64_t)(seconds / share - seconds);

        buf_addf(out, ", %" PRIu64 ":%02u left", left / 60, (unsigned)(left % 60));
    }
}

static void draw(struct progress *p, ts_ns at, dur_ns now)
{
    struct buf text;

    buf_init(&text, TEXT_MAX);
    progress_print(p, at, now - p->began, &text);
    if (p->terminal)
        (void)fprintf(stderr, "\r\x1b[K%.*s", STR_ARG(buf_str(&text)));
    else
        (void)fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&text)));
    (void)fflush(stderr);
    buf_fini(&text);
    p->shown = now;
    p->drawn = true;
}

void progress_step(struct progress *p, ts_ns ts, size_t bytes)
{
    dur_ns now, every = (p->terminal ? EVERY_MS : EVERY_LINE_MS) * NS_PER_MS;

    p->entries++;
    p->line_bytes += bytes;
    if (!p->on || p->entries % LOOK_EVERY != 0)
        return;
    now = time_mono();
    if (now - p->began >= FIRST_MS * NS_PER_MS && now - p->shown >= every)
        draw(p, ts, now);
}

void progress_end(struct progress *p)
{
    if (p->drawn && p->terminal)
        (void)fprintf(stderr, "\r\x1b[K");
    p->drawn = false;
}
