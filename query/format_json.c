/* query/format_json.c - answers in Loki's JSON, see format.h. */
#include "query/format.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/obj.h"
#include "query/group.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- statistics ---- */

/* Names of what we do not count stand with 0, because clients expect them. */
static void write_store(struct json_writer *w, const struct scan_stats *s)
{
    json_put_key(w, STR("store"));
    json_put_object(w);
    json_put_kv_u64(w, "totalChunksRef", s->blocks);
    json_put_kv_u64(w, "totalChunksDownloaded", s->blocks_read);
    json_put_kv_u64(w, "chunksDownloadTime", 0);
    json_put_key(w, STR("chunk"));
    json_put_object(w);
    json_put_kv_u64(w, "headChunkBytes", 0);
    json_put_kv_u64(w, "headChunkLines", 0);
    json_put_kv_u64(w, "decompressedBytes", s->line_bytes);
    json_put_kv_u64(w, "decompressedLines", s->lines);
    json_put_kv_u64(w, "compressedBytes", s->stored_bytes_read);
    json_put_kv_u64(w, "totalDuplicates", 0);
    json_put_kv_u64(w, "postFilterLines", s->lines_out);
    json_put_object_end(w);
    json_put_object_end(w);
}

static void write_summary(struct json_writer *w, const struct query_stats *s)
{
    double seconds = s->seconds > 1e-9 ? s->seconds : 1e-9;

    json_put_key(w, STR("summary"));
    json_put_object(w);
    json_put_kv_u64(w, "bytesProcessedPerSecond", (uint64_t)((double)s->scan.line_bytes / seconds));
    json_put_kv_u64(w, "linesProcessedPerSecond", (uint64_t)((double)s->scan.lines / seconds));
    json_put_kv_u64(w, "totalBytesProcessed", s->scan.line_bytes);
    json_put_kv_u64(w, "totalLinesProcessed", s->scan.lines);
    json_put_key(w, STR("execTime"));
    json_put_f64(w, s->seconds);
    json_put_kv_u64(w, "queueTime", 0);
    json_put_kv_u64(w, "subqueries", 0);
    json_put_kv_u64(w, "totalEntriesReturned", s->entries);
    json_put_kv_u64(w, "splits", 0);
    json_put_kv_u64(w, "shards", 0);
    json_put_kv_u64(w, "totalPostFilterLines", s->pipeline_lines);
    json_put_kv_u64(w, "totalStructuredMetadataBytesProcessed", 0);
    json_put_object_end(w);
}

static void write_stats(struct json_writer *w, const struct query_stats *s)
{
    static const struct scan_stats none;

    json_put_key(w, STR("stats"));
    json_put_object(w);
    write_summary(w, s);
    json_put_key(w, STR("querier"));
    json_put_object(w);
    write_store(w, &s->scan);
    json_put_object_end(w);
    json_put_key(w, STR("ingester"));
    json_put_object(w);
    json_put_kv_u64(w, "totalReached", 1);
    json_put_kv_u64(w, "totalChunksMatched", s->scan.head_batches);
    json_put_kv_u64(w, "totalBatches", 0);
    json_put_kv_u64(w, "totalLinesSent", 0);
    write_store(w, &none);
    json_put_object_end(w);
    json_put_object_end(w);
}

/* ---- the frame of an answer ---- */

static void begin(struct json_writer *w, struct buf *out, const char *type)
{
    json_writer_init(w, out);
    json_put_object(w);
    json_put_kv_str(w, "status", STR("success"));
    json_put_key(w, STR("data"));
    json_put_object(w);
    json_put_kv_str(w, "resultType", str_of(type));
}

void format_loki_warnings(struct json_writer *w, const struct query_stats *q)
{
    const struct scan_stats *s = &q->scan;
    struct buf text;

    if (s->damaged_blocks == 0 && s->partial[0] == '\0' && q->failed_lines == 0 &&
        q->series_left_out == 0)
        return;
    buf_init(&text, 512);
    json_put_key(w, STR("warnings"));
    json_put_array(w);
    if (s->partial[0] != '\0') {
        buf_addf(&text, "the answer is incomplete: %s", s->partial);
        json_put_string(w, buf_str(&text));
        buf_clear(&text);
    }
    if (s->damaged_blocks > 0) {
        buf_addf(&text, "the answer is incomplete: %" PRIu64 " damaged blocks were passed over: %s",
                 s->damaged_blocks, s->damage);
        json_put_string(w, buf_str(&text));
        buf_clear(&text);
    }
    if (q->failed_lines > 0) {
        buf_addf(&text, "%" PRIu64 " lines that a stage could not read were left out",
                 q->failed_lines);
        json_put_string(w, buf_str(&text));
        buf_clear(&text);
    }
    if (q->series_left_out > 0) {
        buf_addf(&text,
                 "%" PRIu64 " series over the limit were left out; those with the greatest "
                 "values are shown",
                 q->series_left_out);
        json_put_string(w, buf_str(&text));
    }
    json_put_array_end(w);
    buf_fini(&text);
}

static void end(struct json_writer *w, const struct query_stats *stats)
{
    write_stats(w, stats);
    json_put_object_end(w);
    format_loki_warnings(w, stats);
    json_put_object_end(w);
}

/* ---- cursors ---- */

void format_cursor(struct buf *out, const struct query_cursor *c)
{
    buf_addf(out, "%" PRId64 "_%" PRIu64 "_%" PRIu64, c->ts, c->seq, c->nth);
}

bool format_cursor_parse(struct str text, struct query_cursor *ret)
{
    struct str rest = text;
    struct str ts = str_cut(&rest, '_');
    struct str seq = str_cut(&rest, '_');

    ret->set = true;
    return str_to_i64(ts, &ret->ts) && str_to_u64(seq, &ret->seq) && str_to_u64(rest, &ret->nth);
}

/* ---- streams ---- */

struct value_text {
    struct str json;
    struct value_text *next;
};

struct stream {
    struct value_text *first, *last;
};

struct format_streams {
    unsigned magic;
#define FORMAT_STREAMS_MAGIC 0xf0a7c5e1u
    bool categorize;
    struct arena *arena;
    struct arena *scratch;
    struct groups groups; /* data: struct stream */
    struct buf value;
};

struct format_streams *format_streams_new(bool categorize, struct mem_budget *budget,
                                          size_t max_bytes)
{
    enum { VALUE_MAX = 16 << 20 }; /* a line of 1 MiB with all its labels, each byte escaped */
    struct format_streams *f = mem_new(sizeof(*f));

    f->magic = FORMAT_STREAMS_MAGIC;
    f->categorize = categorize;
    f->arena = arena_new(budget, max_bytes);
    f->scratch = arena_new(budget, 0);
    groups_init(&f->groups, f->arena);
    buf_init(&f->value, VALUE_MAX);
    return f;
}

void format_streams_free(struct format_streams **pf)
{
    struct format_streams *f = *pf;

    *pf = NULL;
    if (f == NULL)
        return;
    OBJ_CHECK(f, FORMAT_STREAMS_MAGIC);
    buf_fini(&f->value);
    arena_free(&f->scratch);
    arena_free(&f->arena);
    f->magic = 0;
    free(f);
}

static void write_value(struct buf *out, const struct query_entry *e, bool categorize)
{
    struct json_writer w;
    char ns[32];

    json_writer_init(&w, out);
    json_put_array(&w);
    (void)snprintf(ns, sizeof(ns), "%" PRId64, e->ts);
    json_put_string(&w, str_of(ns));
    json_put_string(&w, e->line);
    if (categorize || e->is_context) {
        json_put_object(&w);
        if (e->is_context) {
            json_put_key(&w, STR("context"));
            json_put_bool(&w, true);
        }
        if (categorize && e->meta.n > 0) {
            json_put_key(&w, STR("structuredMetadata"));
            labels_put_json(&w, &e->meta);
        }
        if (categorize && e->parsed.n > 0) {
            json_put_key(&w, STR("parsed"));
            labels_put_json(&w, &e->parsed);
        }
        json_put_object_end(&w);
    }
    json_put_array_end(&w);
}

/* The next label of several sorted lists, which it is taken off; NULL: there is none. */
static const struct label *least_label(struct labels *from, size_t n)
{
    struct labels *least = NULL;

    for (size_t i = 0; i < n; i++)
        if (from[i].n > 0 && (least == NULL || str_cmp(from[i].v[0].name, least->v[0].name) < 0))
            least = &from[i];
    if (least == NULL)
        return NULL;
    least->n--;
    return least->v++;
}

/* All labels of an entry in one sorted list; the kinds have no name in common. */
static int merge_labels(struct arena *a, const struct query_entry *e, struct labels *ret,
                        struct err *err)
{
    struct labels from[] = {e->stream, e->meta, e->parsed};
    const struct label *l;

    ret->n = 0;
    ret->v = arena_alloc(a, (e->stream.n + e->meta.n + e->parsed.n) * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(a, err);
    while ((l = least_label(from, 3)) != NULL)
        ret->v[ret->n++] = *l;
    return 0;
}

void format_loki_entry(struct buf *stream, struct buf *value, const struct query_entry *e,
                       bool categorize)
{
    struct labels from[] = {e->stream, e->meta, e->parsed};
    const struct label *l;
    struct json_writer w;

    json_writer_init(&w, stream);
    json_put_object(&w);
    while ((l = least_label(from, categorize ? 1 : 3)) != NULL) {
        json_put_key(&w, l->name);
        json_put_string(&w, l->value);
    }
    json_put_object_end(&w);
    write_value(value, e, categorize);
}

int format_streams_add(struct format_streams *f, const struct query_entry *e, struct err *err)
{
    struct labels l = e->stream;
    struct value_text *v;
    struct stream *s;
    struct group *g;
    int r = 0;

    OBJ_CHECK(f, FORMAT_STREAMS_MAGIC);
    arena_reset(f->scratch);
    if (!f->categorize)
        r = merge_labels(f->scratch, e, &l, err);
    if (r == 0)
        r = groups_find(&f->groups, &l, &g, err);
    if (r != 0)
        return r;
    if (g->data == NULL)
        g->data = arena_alloc(f->arena, sizeof(struct stream));
    s = g->data;
    v = arena_alloc(f->arena, sizeof(*v));
    if (s == NULL || v == NULL)
        return arena_err(f->arena, err);
    buf_clear(&f->value);
    write_value(&f->value, e, f->categorize);
    r = buf_err(&f->value, "entry", err);
    if (r < 0)
        return r;
    v->json = arena_str(f->arena, buf_str(&f->value));
    if (v->json.p == NULL)
        return arena_err(f->arena, err);
    if (s->last == NULL)
        s->first = v;
    else
        s->last->next = v;
    s->last = v;
    return 0;
}

static void write_cursor(struct json_writer *w, const struct query_cursor *c)
{
    struct buf text;

    if (!c->set)
        return;
    buf_init(&text, 100);
    format_cursor(&text, c);
    json_put_kv_str(w, "cursor", buf_str(&text));
    buf_fini(&text);
}

void format_loki_streams(struct buf *out, struct format_streams *f, const struct query_stats *stats)
{
    struct json_writer w;

    OBJ_CHECK(f, FORMAT_STREAMS_MAGIC);
    begin(&w, out, "streams");
    if (f->categorize) {
        json_put_key(&w, STR("encodingFlags"));
        json_put_array(&w);
        json_put_string(&w, STR("categorize-labels"));
        json_put_array_end(&w);
    }
    json_put_key(&w, STR("result"));
    json_put_array(&w);
    for (size_t i = 0; i < f->groups.n; i++) {
        const struct group *g = f->groups.v[i];
        json_put_object(&w);
        json_put_key(&w, STR("stream"));
        labels_put_json(&w, &g->labels);
        json_put_key(&w, STR("values"));
        json_put_array(&w);
        for (const struct value_text *v = ((const struct stream *)g->data)->first; v != NULL;
             v = v->next)
            json_put_raw(&w, v->json);
        json_put_array_end(&w);
        json_put_object_end(&w);
    }
    json_put_array_end(&w);
    write_cursor(&w, &stats->next);
    end(&w, stats);
}

/* ---- metrics ---- */

/* [seconds with at most three decimals, "value"] */
static void write_point(struct json_writer *w, struct buf *scratch, ts_ns ts, double value)
{
    int64_t ms = ts / NS_PER_MS;
    int64_t part = ms % 1000 < 0 ? -(ms % 1000) : ms % 1000;

    json_put_array(w);
    buf_clear(scratch);
    if (part != 0)
        buf_addf(scratch, "%s%" PRId64 ".%03" PRId64, ms < 0 && ms > -1000 ? "-" : "", ms / 1000,
                 part);
    else
        buf_add_i64(scratch, ms / 1000);
    json_put_raw(w, buf_str(scratch));
    buf_clear(scratch);
    format_value(scratch, value);
    json_put_string(w, buf_str(scratch));
    json_put_array_end(w);
}

static void write_series(struct json_writer *w, struct buf *scratch, const struct query_series *s,
                         bool matrix)
{
    json_put_object(w);
    json_put_key(w, STR("metric"));
    labels_put_json(w, &s->labels);
    json_put_key(w, matrix ? STR("values") : STR("value"));
    if (matrix) {
        json_put_array(w);
        for (size_t i = 0; i < s->n; i++)
            write_point(w, scratch, s->ts[i], s->value[i]);
        json_put_array_end(w);
    } else {
        write_point(w, scratch, s->ts[0], s->value[0]);
    }
    json_put_object_end(w);
}

void format_loki_result(struct buf *out, const struct query_result *r,
                        const struct query_stats *stats)
{
    static const char *const types[] = {"scalar", "vector", "matrix"};
    struct json_writer w;
    struct buf scratch;

    buf_init(&scratch, 1024);
    begin(&w, out, types[r->type]);
    json_put_key(&w, STR("result"));
    if (r->type == QUERY_SCALAR) {
        write_point(&w, &scratch, r->series[0].ts[0], r->series[0].value[0]);
    } else {
        json_put_array(&w);
        for (size_t i = 0; i < r->n; i++)
            write_series(&w, &scratch, &r->series[i], r->type == QUERY_MATRIX);
        json_put_array_end(&w);
    }
    end(&w, stats);
    buf_fini(&scratch);
}
