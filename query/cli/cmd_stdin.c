/*
 * query/cli/cmd_stdin.c - `logq query --stdin`: LogQL over a pipe, without a server.
 *
 * Each line is a record of the stream {source="stdin"}, with the service_name and the
 * detected_level that a server would give it.  Its time is its own when it begins with an RFC 3339
 * time, else that of the line before, else that of reading it.  A log query answers as the lines
 * come; a metric query and a histogram when all have come.
 */
#include "query/cli/cmd.h"
#include "query/cli/surround.h"
#include "query/cli/tally.h"

#include "base/level.h"
#include "base/service.h"

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
    uint64_t hits;
    bool enough;             /* --limit */
    struct surround *around; /* -A, -B, -C; NULL: none */
    struct tally *tally;     /* --histogram; NULL: none */
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

/* What lines of stdin have, and lines alone. */
static const struct labels *stream_labels(void)
{
    static struct label v[] = {{STR_INIT("service_name"), {NULL, 0}},
                               {STR_INIT("source"), STR_INIT("stdin")}};
    static const struct labels labels = {v, 2};

    if (v[0].value.p == NULL)
        v[0].value = service_name(&(const struct labels){v + 1, 1});
    return &labels;
}

static int start_batch(struct piped *p, struct err *err)
{
    p->batch = batch_new(NULL, HELD_MAX);
    return batch_stream(p->batch, stream_labels(), &p->stream, err);
}

/* One for each level: the records point to them. */
static const struct label *level_label(enum level level)
{
    static struct label v[LEVEL_COUNT];

    v[level] = (struct label){STR("detected_level"), level_name(level)};
    return &v[level];
}

static int add_line(struct piped *p, struct str line, struct err *err)
{
    struct record rec = {.seq = ++p->seq, .stream = p->stream, .n_attr = 1};

    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    rec.ts = time_of(p, line);
    if (line.n > RECORD_LINE_MAX) {
        line.n = RECORD_LINE_MAX;
        p->cut++;
    }
    rec.attr = level_label(level_of_line(line));
    rec.line = arena_str(p->batch->arena, line);
    if (rec.line.p == NULL)
        return err_set(err, ERR_LIMIT, "a metric query holds all lines, and these are over %d MiB",
                       HELD_MAX >> 20);
    return batch_add(p->batch, &rec, err);
}

static struct str level_in(const struct query_entry *e)
{
    const struct labels *kinds[] = {&e->parsed, &e->meta, &e->stream};
    struct str level = STR_NULL;

    for (size_t i = 0; level.p == NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        level = labels_get(kinds[i], STR("detected_level"));
    return level.p == NULL ? STR("") : level;
}

static int show(void *arg, const struct query_entry *e)
{
    struct piped *p = arg;
    const struct args *a = p->c->args;
    int r;

    if (p->tally != NULL)
        r = tally_add(p->tally, e->ts, level_in(e), p->err);
    else if (p->around != NULL)
        r = surround_hit(p->around, e, p->err);
    else
        r = output_entry(p->c->out, e, p->err);
    p->hits++;
    p->enough = a->has_limit && a->limit > 0 && p->hits >= a->limit;
    return r < 0 ? r : p->enough;
}

/* Are lines still to come of any use? */
static bool is_over(const struct piped *p)
{
    return p->enough && (p->around == NULL || !surround_wants_more(p->around));
}

static int run_piece(struct piped *p, struct err *err)
{
    const struct query_params params = {.seen = p->seen};
    int r = 0;

    if (!p->is_log || p->batch->n_records == 0)
        return 0;
    p->err = err;
    if (p->around != NULL)
        surround_lines(p->around, p->batch);
    if (!p->enough)
        r = query_run_batch(p->query, p->batch, &params, show, p, err);
    if (r == 0 && p->around != NULL)
        r = surround_rest(p->around, err);
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

    while (r == 0 && !is_over(p)) {
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

/* ---- histograms ---- */

static int answer_histogram(struct piped *p, struct err *err)
{
    struct bars *b = NULL;
    int r = tally_bars(p->tally, &b, err);

    if (b != NULL) {
        r = bars_print(b, p->c->out, err);
        bars_free(&b);
    }
    return r;
}

/* ---- all of it ---- */

static const char *misplaced(const struct args *a, bool is_log)
{
    if (a->has_span || a->has_to)
        return "--stdin takes all lines there are: --since, --from and --to do not go with it";
    if (a->follow)
        return "--stdin shows lines as they come, without --follow: tail -f FILE | logq query "
               "--stdin QUERY";
    if (a->direction != ARGS_DIRECTION_AUTO)
        return "--stdin shows lines in the order they come: --direction does not go with it";
    if (a->lenient || a->top_series)
        return "--lenient and --top-series are the server's, and do not go with --stdin";
    if (!is_log && (a->has_limit || a->histogram || a->columns != NULL || a->before + a->after > 0))
        return "--limit, --histogram, --columns and lines of context are for log queries, and "
               "this is a metric query";
    if (a->histogram && (a->has_limit || a->columns != NULL || a->before + a->after > 0))
        return "--limit, --columns and lines of context do not go with --histogram";
    if (is_log && a->step > 0 && !a->histogram)
        return "--step is for metric queries and histograms, and this is a log query";
    return NULL;
}

/* A selector that lines of stdin cannot match finds nothing, whatever they say. */
static void look_at_selector(void *arg, struct str text, enum query_place place)
{
    struct buf labels;
    struct query *q = NULL;
    const struct matcher *m;
    struct err ignored;
    size_t n;

    (void)arg;
    if (place != QUERY_AT_INDEX || query_parse_all(text, &q, NULL, NULL, &ignored) < 0)
        return;
    if (query_selector(q, &m, &n) && !matchers_match(m, n, stream_labels())) {
        buf_init(&labels, 4096);
        labels_format(&labels, stream_labels());
        cmd_say("no line can match %.*s: lines of stdin have the labels %.*s alone; leave the "
                "selector out, or ask for what is in the line: --stdin '|= \"text\"'",
                STR_ARG(text), STR_ARG(buf_str(&labels)));
        buf_fini(&labels);
    }
    query_unref(&q);
}

static int answer(struct piped *p, struct str text)
{
    struct remote_failure none = {0};
    bool found = false;
    struct err err;
    int r;

    buf_init(&p->part, LINE_HELD_MAX + RECORD_LINE_MAX);
    p->seen = query_seen_new(HELD_MAX);
    query_explain(p->query, look_at_selector, NULL);
    r = read_all(p, &err);
    found = p->hits > 0;
    if (r == 0 && p->tally != NULL) {
        r = answer_histogram(p, &err);
    } else if (r == 0 && p->is_log) {
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
    if (text.n == 0 || text.p[0] == '|' || text.p[0] == '!') {
        buf_addf(&whole, "%s ", SELECTOR);
        buf_add_str(&whole, text);
        text = buf_str(&whole);
    }
    if (cmd_parse(c, text, &p.query) == 0) {
        p.is_log = query_kind(p.query) == QUERY_LOG;
        problem = misplaced(c->args, p.is_log);
        if (c->args->histogram)
            p.tally = tally_new(c->args->step);
        if (c->args->before + c->args->after > 0)
            p.around = surround_new(c->out, c->args->before, c->args->after);
        if (problem != NULL)
            cmd_say("%s", problem);
        else
            code = answer(&p, text);
        surround_free(&p.around);
        tally_free(&p.tally);
    }
    query_unref(&p.query);
    buf_fini(&whole);
    return code;
}
