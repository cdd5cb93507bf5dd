/*
 * query/cli/cmd_histogram.c - `logq query --histogram`: a log query's lines by time and level, as
 * bars.
 *
 * Asked as a metric query, sum by (detected_level) (count_over_time(QUERY [step])), so that no line
 * is carried; bars stand at the ends of steps.  Where stdout is no terminal the numbers are rows.
 */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

enum {
    PARAMS_MAX = 1 << 20,
    ANSWER_MAX = 64 << 20,
    BARS = 30,
    BARS_MAX = 2000,
    LEVELS = 8,
    WIDTH_DEFAULT = 80,
    BAR_LEAST = 4,
    SIDE_WIDTH = 32, /* time and count beside a bar */
};

static const struct {
    const char *name, *color;
    char plain; /* without colours */
} LEVEL[LEVELS] = {
    {"fatal", "\x1b[1;31m", 'F'}, {"critical", "\x1b[1;31m", 'C'},
    {"error", "\x1b[31m", 'E'},   {"warn", "\x1b[33m", 'W'},
    {"info", "\x1b[32m", 'I'},    {"debug", "\x1b[36m", 'D'},
    {"trace", "\x1b[36m", 'T'},   {"unknown", "", '#'},
};

struct bars {
    ts_ns from;
    dur_ns step;
    size_t n;
    uint64_t rows[BARS_MAX][LEVELS];
    uint64_t most; /* of one bar */
};

/* A step that people read easily, so that there are about BARS of them. */
static dur_ns choose_step(dur_ns span)
{
    static const dur_ns nice[] = {NS_PER_S,       2 * NS_PER_S,    5 * NS_PER_S,    10 * NS_PER_S,
                                  15 * NS_PER_S,  30 * NS_PER_S,   NS_PER_MIN,      2 * NS_PER_MIN,
                                  5 * NS_PER_MIN, 10 * NS_PER_MIN, 15 * NS_PER_MIN, 30 * NS_PER_MIN,
                                  NS_PER_H,       2 * NS_PER_H,    3 * NS_PER_H,    6 * NS_PER_H,
                                  12 * NS_PER_H,  NS_PER_DAY};

    for (size_t i = 0; i < sizeof(nice) / sizeof(nice[0]); i++)
        if (span / nice[i] <= BARS)
            return nice[i];
    return (span / BARS / NS_PER_DAY + 1) * NS_PER_DAY;
}

static size_t level_of(struct str name)
{
    for (size_t i = 0; i + 1 < LEVELS; i++)
        if (str_eq_nocase(name, str_of(LEVEL[i].name)))
            return i;
    return LEVELS - 1;
}

static int ask(struct cmd *c, struct str text, const struct bars *b, struct rows *rows,
               struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {.path = "/loki/api/v1/query_range", .idle_ms = CMD_IDLE_MS};
    char step[TIME_TEXT_MAX];
    struct str step_text = dur_format(b->step, step);
    struct buf params, body, query, warnings;
    int r;

    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    buf_init(&query, 2 * QUERY_TEXT_MAX);
    buf_init(&warnings, CMD_WARNINGS_MAX);
    buf_addf(&query, "sum by (detected_level) (count_over_time(%.*s [%.*s]))", STR_ARG(text),
             STR_ARG(step_text));
    params_add(&params, "query", buf_str(&query));
    params_add_ts(&params, "start", b->from + b->step);
    params_add_ts(&params, "end", b->from + (dur_ns)b->n * b->step);
    params_add(&params, "step", step_text);
    req.params = buf_str(&params);
    r = remote_fetch(c->remote, &req, &body, fail, err);
    if (r == 0)
        r = loki_result(buf_str(&body), true, rows, &warnings, err);
    cmd_say_lines(buf_str(&warnings));
    buf_fini(&params);
    buf_fini(&body);
    buf_fini(&query);
    buf_fini(&warnings);
    return r;
}

static void gather(struct bars *b, const struct rows *rows)
{
    for (size_t i = 0; i < rows_count(rows); i++) {
        const struct rows_cell *cell = rows_cells(rows, i);
        struct str level = labels_get(&cell[1].labels, STR("detected_level"));
        dur_ns off = cell[0].ts - b->from - b->step;
        size_t at = off < 0 ? 0 : (size_t)(off / b->step);

        if (at < b->n && cell[2].value > 0 && cell[2].value < 1e18)
            b->rows[at][level_of(level)] += (uint64_t)cell[2].value;
    }
    for (size_t i = 0; i < b->n; i++) {
        uint64_t sum = 0;

        for (size_t k = 0; k < LEVELS; k++)
            sum += b->rows[i][k];
        b->most = sum > b->most ? sum : b->most;
    }
}

static size_t width_of_terminal(const struct output *o)
{
    struct winsize w;

    if (ioctl(o->fd, TIOCGWINSZ, &w) != 0 || w.ws_col == 0)
        return WIDTH_DEFAULT;
    return w.ws_col > SIDE_WIDTH + BAR_LEAST ? w.ws_col : SIDE_WIDTH + BAR_LEAST;
}

static void add_time(struct buf *out, ts_ns ts, bool utc)
{
    time_t seconds = (time_t)(ts / NS_PER_S);
    struct tm tm;
    char text[64];

    if ((utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm)) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
        buf_add_z(out, text);
}

/* Parts by level; each ends where the sum so far says, so that the whole is not rounded up. */
static void add_bar(struct buf *out, const uint64_t *rows, uint64_t most, size_t width, bool color)
{
    uint64_t sum = 0;
    size_t drawn = 0;

    for (size_t k = 0; k < LEVELS; k++) {
        size_t end;

        if (rows[k] == 0)
            continue;
        sum += rows[k];
        end = (size_t)((double)sum / (double)most * (double)width + 0.999);
        end = end > width ? width : end;
        if (color)
            buf_add_z(out, LEVEL[k].color);
        for (; drawn < end; drawn++) {
            if (color)
                buf_add_z(out, "\xe2\x96\x88"); /* a full block */
            else
                buf_add_char(out, LEVEL[k].plain);
        }
        if (color)
            buf_add_z(out, "\x1b[0m");
    }
}

static int draw(struct cmd *c, const struct bars *b, struct err *err)
{
    struct output *o = c->out;
    size_t width = width_of_terminal(o) - SIDE_WIDTH;
    int r = 0;

    for (size_t i = 0; r == 0 && b->most > 0 && i < b->n; i++) {
        uint64_t sum = 0;

        for (size_t k = 0; k < LEVELS; k++)
            sum += b->rows[i][k];
        add_time(&o->buf, b->from + (dur_ns)i * b->step, o->form.utc);
        buf_addf(&o->buf, " %9" PRIu64 " ", sum);
        if (sum > 0)
            add_bar(&o->buf, b->rows[i], b->most, width, o->form.color);
        r = output_text(o, STR("\n"), err);
    }
    return r < 0 ? r : output_flush(o, err);
}

/* The same as rows: of other forms, and for other programs. */
static int list(struct cmd *c, const struct bars *b, struct err *err)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"level", ROWS_TEXT}, {"lines", ROWS_VALUE}};
    struct rows *rows = rows_new(COLUMNS, 3);
    int r = 0;

    for (size_t i = 0; i < b->n; i++) {
        for (size_t k = 0; r == 0 && k < LEVELS; k++) {
            const struct rows_cell cells[3] = {{.ts = b->from + (dur_ns)i * b->step},
                                               {.text = str_of(LEVEL[k].name)},
                                               {.value = (double)b->rows[i][k]}};

            if (b->rows[i][k] > 0)
                r = rows_add(rows, cells, err);
        }
    }
    if (r == 0)
        r = rows_print(rows, c->out, err);
    rows_free(&rows);
    return r;
}

int cmd_histogram(struct cmd *c, struct str text)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"value", ROWS_VALUE}};
    const struct args *a = c->args;
    dur_ns span = a->to - a->from;
    struct bars *b;
    struct remote_failure fail = {0};
    struct rows *rows;
    struct err err;
    int r, code;

    b = mem_new(sizeof(*b));
    b->step = a->step > 0 ? a->step : choose_step(span);
    b->from = a->from - a->from % b->step;
    b->n = (size_t)((a->to - b->from + b->step - 1) / b->step);
    if (span <= 0 || b->n > BARS_MAX) {
        cmd_say(span <= 0 ? "the span is empty" : "more than %d bars: use a longer --step",
                (int)BARS_MAX);
        free(b);
        return CMD_USAGE;
    }
    rows = rows_new(COLUMNS, 3);
    r = ask(c, text, b, rows, &fail, &err);
    gather(b, rows);
    if (r == 0)
        r = c->out->form.kind == FORMAT_TABLE ? draw(c, b, &err) : list(c, b, &err);
    if (r < 0)
        code = cmd_fail(c, text, &fail, &err);
    else
        code = b->most > 0 ? CMD_FOUND : cmd_nothing(c);
    rows_free(&rows);
    free(b);
    return code;
}
