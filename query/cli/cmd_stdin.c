/*
 * query/cli/cmd_stdin.c - `logq query --stdin`: LogQL over a pipe, without a server.
 *
 * Each line is a record of the stream {source="stdin"}.  Its time is its own when it begins with an
 * RFC 3339 time, else that of the line before, else that of reading it.  A log query answers as the
 * lines come; a metric query when all have come, at the time of the newest.
 */
#include "query/cli/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PIECE = 256 << 10,
    HELD_MAX = 1 << 30, /* of a metric query; log queries hold a piece */
    LINE_HELD_MAX = 2 * RECORD_LINE_MAX,
};

static const char SELECTOR[] = "{source=\"stdin\"}";

struct piped {
    struct cmd *c;
    struct query *query;
    bool is_log;
    struct batch *batch;
    uint32_t stream;
    struct buf part; /* of a line whose end has not come yet */
    ts_ns last;      /* time of the last record; 0: none had one */
    uint64_t seq;
    uint64_t cut;          /* lines over RECORD_LINE_MAX */
    struct distinct *seen; /* by the query's dedup, in all batches */
    bool enough;           /* --limit */
    struct err *err;
};

static ts_ns time_of(struct piped *p, struct str line)
{
    struct str rest = line, word = str_cut(&rest, ' ');
    ts_ns ts;

    if (word.n <= TIME_TEXT_MAX && time_parse_rfc3339(word, &ts))
        p->last = ts;
    return p->last != 0 ? p->last : time_now();
}

static int start_batch(struct piped *p, struct err *err)
{
    static struct label label = {STR_INIT("source"), STR_INIT("stdin")};
    const struct labels labels = {&label, 1};

    p->batch = batch_new(NULL, HELD_MAX);
    return batch_stream(p->batch, &labels, &p->stream, err);
}

static int add_line(struct piped *p, struct str line, struct err *err)
{
    struct record rec = {.seq = ++p->seq, .stream = p->stream};

    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    rec.ts = time_of(p, line);
    if (line.n > RECORD_LINE_MAX) {
        line.n = RECORD_LINE_MAX;
        p->cut++;
    }
    rec.line = arena_str(p->batch->arena, line);
    if (rec.line.p == NULL)
        return err_set(err, ERR_LIMIT, "a metric query holds all lines, and these are over %d MiB",
                       HELD_MAX >> 20);
    return batch_add(p->batch, &rec, err);
}

static int show(void *arg, const struct query_entry *e)
{
    struct piped *p = arg;
    const struct args *a = p->c->args;
    int r = output_entry(p->c->out, e, p->err);

    p->enough = a->has_limit && a->limit > 0 && p->c->out->entries >= a->limit;
    return r < 0 ? r : p->enough;
}

static int run_piece(struct piped *p, struct err *err)
{
    const struct query_params params = {.seen = p->seen};
    int r = 0;

    if (!p->is_log || p->batch->n_records == 0)
        return 0;
    p->err = err;
    r = query_run_batch(p->query, p->batch, &params, show, p, err);
    batch_unref(&p->batch);
    if (r == 0)
        r = start_batch(p, err);
    return r < 0 ? r : output_flush(p->c->out, err);
}

static int take_bytes(struct piped *p, struct str bytes, struct err *err)
{
    int r = 0;

    while (r == 0 && bytes.n > 0) {
        size_t end = str_find_char(bytes, '\n');
        struct str head = str_sub(bytes, 0, end == SIZE_MAX ? bytes.n : end);

        if (p->part.n <= RECORD_LINE_MAX) /* of what is longer the end is not needed */
            buf_add_str(&p->part, str_sub(head, 0, LINE_HELD_MAX - RECORD_LINE_MAX));
        if (end == SIZE_MAX)
            break;
        r = add_line(p, buf_str(&p->part), err);
        buf_clear(&p->part);
        bytes = str_from(bytes, end + 1);
    }
    return r;
}

static int read_all(struct piped *p, struct err *err)
{
    char *piece = mem_new(PIECE);
    int r = start_batch(p, err);

    while (r == 0 && !p->enough) {
        ssize_t n = read(STDIN_FILENO, piece, PIECE);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = err_sys(err, "read standard input");
        if (n > 0)
            r = take_bytes(p, (struct str){piece, (size_t)n}, err);
        if (n == 0 && p->part.n > 0)
            r = add_line(p, buf_str(&p->part), err);
        if (r == 0)
            r = run_piece(p, err);
        if (n <= 0)
            break;
    }
    free(piece);
    return r;
}

/* ---- metric queries ---- */

static int by_time(const void *a, const void *b)
{
    const struct record *x = a, *y = b;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int add_rows(struct rows *rows, const struct query_result *result, bool timed,
                    struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < result->n; i++) {
        const struct query_series *s = &result->series[i];
        struct rows_cell cells[3] = {{.ts = 0}};

        r = labels_copy(rows_arena(rows), &s->labels, &cells[1].labels, err);
        for (size_t k = 0; r == 0 && k < s->n; k++) {
            cells[0].ts = s->ts[k];
            cells[2].value = s->value[k];
            r = rows_add(rows, timed ? cells : cells + 1, err);
        }
        if (r < 0)
            break;
    }
    return r;
}

static int run_metric(struct piped *p, struct rows *rows, struct err *err)
{
    struct batch *b = p->batch;
    struct query_params params = {.limits = {.memory_bytes = HELD_MAX}};
    struct query_result *result = NULL;
    int r;

    if (b->n_records == 0)
        return 0;
    qsort(b->records, b->n_records, sizeof(*b->records), by_time);
    params.step = p->c->args->step;
    params.start = params.end = b->records[b->n_records - 1].ts;
    if (params.step > 0) { /* steps end where the last record is */
        dur_ns span = params.end - b->records[0].ts;

        params.start = params.end - span / params.step * params.step;
    }
    r = query_run_batch_metric(p->query, b, &params, &result, err);
    if (r == 0)
        r = add_rows(rows, result, params.step > 0, err);
    query_result_free(&result);
    return r < 0 ? r : rows_print(rows, p->c->out, err);
}

static int answer_metric(struct piped *p, bool *found, struct err *err)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"value", ROWS_VALUE}};
    struct rows *rows = p->c->args->step > 0 ? rows_new(COLUMNS, 3) : rows_new(COLUMNS + 1, 2);
    int r = run_metric(p, rows, err);

    *found = rows_count(rows) > 0;
    rows_free(&rows);
    return r;
}

/* ---- all of it ---- */

static const char *misplaced(const struct args *a, bool is_log)
{
    if (a->has_span || a->has_to)
        return "--stdin takes all lines there are: --since, --from and --to do not go with it";
    if (a->follow || a->histogram || a->before + a->after > 0 ||
        a->direction != ARGS_DIRECTION_AUTO)
        return "--follow, --histogram, --direction and lines of context do not go with --stdin";
    if (a->lenient || a->top_series)
        return "--lenient and --top-series are the server's, and do not go with --stdin";
    if (is_log && a->step > 0)
        return "--step is for metric queries, and this is a log query";
    return !is_log && a->has_limit ? "--limit is for log queries, and this is a metric query"
                                   : NULL;
}

static int answer(struct piped *p, struct str text)
{
    struct remote_failure none = {0};
    bool found = false;
    struct err err;
    int r;

    buf_init(&p->part, LINE_HELD_MAX + RECORD_LINE_MAX);
    p->seen = query_seen_new(HELD_MAX);
    r = read_all(p, &err);
    if (r == 0 && p->is_log) {
        found = p->c->out->entries > 0;
        r = output_finish(p->c->out, &err);
    } else if (r == 0) {
        r = answer_metric(p, &found, &err);
    }
    batch_unref(&p->batch);
    buf_fini(&p->part);
    query_seen_free(&p->seen);
    if (p->cut > 0)
        cmd_say("%" PRIu64 " lines were longer than %d bytes and have been cut", p->cut,
                RECORD_LINE_MAX);
    if (r == ERR_INVALID || r == ERR_LIMIT)
        none.status = 400; /* as a server would say of the query, or of --step */
    if (r < 0)
        return cmd_fail(p->c, text, &none, &err);
    return found ? CMD_FOUND : CMD_NOTHING;
}

int cmd_stdin(struct cmd *c, struct str text)
{
    struct piped p = {.c = c};
    const char *problem;
    struct buf whole;
    int code = CMD_USAGE;

    text = str_trim(text);
    buf_init(&whole, QUERY_TEXT_MAX + sizeof(SELECTOR));
    if (text.n > 0 && (text.p[0] == '|' || text.p[0] == '!')) {
        buf_addf(&whole, "%s ", SELECTOR);
        buf_add_str(&whole, text);
        text = buf_str(&whole);
    }
    if (cmd_parse(c, text, &p.query) == 0) {
        p.is_log = query_kind(p.query) == QUERY_LOG;
        problem = misplaced(c->args, p.is_log);
        if (problem != NULL)
            cmd_say("%s", problem);
        else
            code = answer(&p, text);
    }
    query_unref(&p.query);
    buf_fini(&whole);
    return code;
}
