/* query/cli/bars.c - see bars.h. */
#include "query/cli/bars.h"

#include "query/cli/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

enum {
    BARS = 30,
    LEVELS = 9,
    WIDTH_DEFAULT = 80,
    BAR_LEAST = 4,
    SIDE_WIDTH = 32, /* time and count beside a bar */
};

static const struct {
    const char *name, *color;
    char plain; /* without colours */
} LEVEL[LEVELS] = {
    {"fatal", "\x1b[1;31m", 'F'}, {"critical", "\x1b[1;31m", 'C'}, {"error", "\x1b[31m", 'E'},
    {"warn", "\x1b[33m", 'W'},    {"info", "\x1b[32m", 'I'},       {"debug", "\x1b[36m", 'D'},
    {"trace", "\x1b[36m", 'T'},   {"other", "\x1b[34m", 'O'},      {"unknown", "", '#'},
};
enum { OTHER = LEVELS - 2, UNKNOWN = LEVELS - 1 };

struct bars {
    ts_ns from;
    dur_ns step;
    size_t n;
    uint64_t most; /* of one bar */
    uint64_t rows[BARS_MAX][LEVELS];
};

/* `from` <= `to`, which may lie further apart than dur_ns reaches. */
static uint64_t span_of(ts_ns from, ts_ns to)
{
    return (uint64_t)to - (uint64_t)from;
}

dur_ns bars_choose_step(ts_ns from, ts_ns to)
{
    uint64_t span = from < to ? span_of(from, to) : 0;
    static const dur_ns nice[] = {NS_PER_S,       2 * NS_PER_S,    5 * NS_PER_S,    10 * NS_PER_S,
                                  15 * NS_PER_S,  30 * NS_PER_S,   NS_PER_MIN,      2 * NS_PER_MIN,
                                  5 * NS_PER_MIN, 10 * NS_PER_MIN, 15 * NS_PER_MIN, 30 * NS_PER_MIN,
                                  NS_PER_H,       2 * NS_PER_H,    3 * NS_PER_H,    6 * NS_PER_H,
                                  12 * NS_PER_H,  NS_PER_DAY};

    for (size_t i = 0; i < sizeof(nice) / sizeof(nice[0]); i++)
        if (span / (uint64_t)nice[i] <= BARS)
            return nice[i];
    return (dur_ns)(span / BARS / NS_PER_DAY + 1) * NS_PER_DAY;
}

ts_ns bars_floor(ts_ns ts, dur_ns step)
{
    ts_ns rest = ts % step, floor;

    return __builtin_sub_overflow(ts, rest < 0 ? rest + step : rest, &floor) ? INT64_MIN : floor;
}

int bars_new(ts_ns from, ts_ns to, dur_ns step, struct bars **ret, struct err *err)
{
    ts_ns first = bars_floor(from, step);
    struct bars *b;
    uint64_t n;

    if (to <= from)
        return err_set(err, ERR_INVALID, "the span is empty");
    n = (span_of(first, to) - 1) / (uint64_t)step + 1;
    if (n > BARS_MAX)
        return err_set(err, ERR_INVALID, "more than %d bars: use a longer --step", (int)BARS_MAX);
    b = mem_new(sizeof(*b));
    b->from = first;
    b->step = step;
    b->n = n;
    *ret = b;
    return 0;
}

void bars_free(struct bars **pb)
{
    free(*pb);
    *pb = NULL;
}

/* Bars may span more than dur_ns reaches. */
static ts_ns begin_of(const struct bars *b, size_t i)
{
    return (ts_ns)((uint64_t)b->from + i * (uint64_t)b->step);
}

ts_ns bars_from(const struct bars *b)
{
    return b->from;
}

ts_ns bars_to(const struct bars *b)
{
    ts_ns end;

    return __builtin_add_overflow(begin_of(b, b->n - 1), b->step, &end) ? INT64_MAX : end;
}

dur_ns bars_step(const struct bars *b)
{
    return b->step;
}

static size_t level_of(struct str name)
{
    if (name.n == 0)
        return UNKNOWN;
    for (size_t i = 0; i < LEVELS; i++)
        if (str_eq_nocase(name, str_of(LEVEL[i].name)))
            return i;
    return OTHER;
}

void bars_add(struct bars *b, ts_ns ts, struct str level, uint64_t lines)
{
    uint64_t at = span_of(b->from, ts) / (uint64_t)b->step;
    uint64_t *row, sum = 0;

    if (ts < b->from || at >= b->n)
        return;
    row = b->rows[at];
    row[level_of(level)] += lines;
    for (size_t k = 0; k < LEVELS; k++)
        sum += row[k];
    b->most = sum > b->most ? sum : b->most;
}

bool bars_have_any(const struct bars *b)
{
    return b->most > 0;
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

static int draw(const struct bars *b, struct output *o, struct err *err)
{
    size_t width = width_of_terminal(o) - SIDE_WIDTH;
    int r = 0;

    for (size_t i = 0; r == 0 && b->most > 0 && i < b->n; i++) {
        uint64_t sum = 0;

        for (size_t k = 0; k < LEVELS; k++)
            sum += b->rows[i][k];
        add_time(&o->buf, begin_of(b, i), o->form.utc);
        buf_addf(&o->buf, " %9" PRIu64 " ", sum);
        if (sum > 0)
            add_bar(&o->buf, b->rows[i], b->most, width, o->form.color);
        r = output_text(o, STR("\n"), err);
    }
    return r < 0 ? r : output_flush(o, err);
}

/* The same as rows: of other forms, and for other programs. */
static int list(const struct bars *b, struct output *o, struct err *err)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"level", ROWS_TEXT}, {"lines", ROWS_VALUE}};
    struct rows *rows = rows_new(COLUMNS, 3);
    int r = 0;

    for (size_t i = 0; i < b->n; i++) {
        for (size_t k = 0; r == 0 && k < LEVELS; k++) {
            const struct rows_cell cells[3] = {{.ts = begin_of(b, i)},
                                               {.text = str_of(LEVEL[k].name)},
                                               {.value = (double)b->rows[i][k]}};

            if (b->rows[i][k] > 0)
                r = rows_add(rows, cells, err);
        }
    }
    if (r == 0)
        r = rows_print(rows, o, err);
    rows_free(&rows);
    return r;
}

int bars_print(const struct bars *b, struct output *o, struct err *err)
{
    return o->form.kind == FORMAT_TABLE ? draw(b, o, err) : list(b, o, err);
}
