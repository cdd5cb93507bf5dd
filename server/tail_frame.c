/* server/tail_frame.c - see tail_frame.h. */
#include "server/tail_frame.h"

#include "base/json.h"
#include "base/obj.h"
#include "query/format.h"
#include "server/websocket.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENTRY_MAX = 16 << 20, /* a line of 1 MiB, each byte escaped, with all its labels */
    FRAME_MAX = 64 << 20,
};

static int copy_entry(const struct query_entry *e, const struct buf *stream,
                      const struct buf *value, struct mem_budget *budget, struct tail_entry **ret,
                      struct err *err)
{
    size_t bytes = sizeof(struct tail_entry) + stream->n + value->n;
    struct tail_entry *copy;
    char *text;
    int r = buf_err(stream, "the labels of an entry", err);

    if (r == 0)
        r = buf_err(value, "an entry", err);
    if (r == 0)
        r = mem_budget_take(budget, bytes, err);
    if (r < 0)
        return r;
    copy = mem_new(bytes);
    text = (char *)(copy + 1);
    memcpy(text, stream->p, stream->n);
    memcpy(text + stream->n, value->p, value->n);
    *copy = (struct tail_entry){.ts = e->ts,
                                .seq = e->seq,
                                .stream = {text, stream->n},
                                .value = {text + stream->n, value->n},
                                .bytes = bytes};
    *ret = copy;
    return 0;
}

int tail_entry_new(const struct query_entry *e, enum tail_form form, bool categorize,
                   struct mem_budget *budget, struct tail_entry **ret, struct err *err)
{
    struct buf stream, value;
    int r;

    buf_init(&stream, ENTRY_MAX);
    buf_init(&value, ENTRY_MAX);
    format_loki_entry(&stream, &value, e, categorize);
    if (form == TAIL_EVENTS) {
        buf_clear(&value);
        format_entry_json(&value, e);
    }
    r = copy_entry(e, &stream, &value, budget, ret, err);
    buf_fini(&stream);
    buf_fini(&value);
    return r;
}

void tail_entry_free(struct tail_entry **pe, struct mem_budget *budget)
{
    struct tail_entry *e = *pe;

    *pe = NULL;
    if (e == NULL)
        return;
    mem_budget_give(budget, e->bytes);
    free(e);
}

void tail_entry_strip(struct tail_entry **pe, struct mem_budget *budget)
{
    struct tail_entry *e = *pe;
    size_t bytes = sizeof(*e) + e->stream.n;

    mem_budget_give(budget, e->bytes - bytes);
    e = mem_grow(e, bytes);
    e->bytes = bytes;
    e->stream.p = (const char *)(e + 1);
    e->value = STR_NULL;
    *pe = e;
}

/* ---- Loki's JSON ---- */

static void put_ns(struct json_writer *w, ts_ns ts)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRId64, ts);
    json_put_string(w, str_of(text));
}

/* Entries of one stream together; frames are short enough to look for them again and again. */
static void put_streams(struct json_writer *w, const struct tail_frame *f)
{
    bool told[TAIL_FRAME_ENTRIES] = {false};

    json_put_key(w, STR("streams"));
    json_put_array(w);
    for (size_t i = 0; i < f->n; i++) {
        if (told[i])
            continue;
        json_put_object(w);
        json_put_key(w, STR("stream"));
        json_put_raw(w, f->entries[i]->stream);
        json_put_key(w, STR("values"));
        json_put_array(w);
        for (size_t k = i; k < f->n; k++) {
            if (told[k] || !str_eq(f->entries[k]->stream, f->entries[i]->stream))
                continue;
            told[k] = true;
            json_put_raw(w, f->entries[k]->value);
        }
        json_put_array_end(w);
        json_put_object_end(w);
    }
    json_put_array_end(w);
}

static void put_dropped(struct json_writer *w, const struct tail_frame *f)
{
    json_put_key(w, STR("dropped_entries"));
    json_put_array(w);
    for (size_t i = 0; i < f->n_dropped; i++) {
        json_put_object(w);
        json_put_key(w, STR("labels"));
        json_put_raw(w, f->dropped[i]->stream);
        json_put_key(w, STR("timestamp"));
        put_ns(w, f->dropped[i]->ts);
        json_put_object_end(w);
    }
    json_put_array_end(w);
}

static void put_websocket(struct buf *out, bool categorize, const struct tail_frame *f)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, FRAME_MAX);
    json_writer_init(&w, &json);
    json_put_object(&w);
    put_streams(&w, f);
    if (f->n_dropped > 0)
        put_dropped(&w, f);
    if (categorize) {
        json_put_key(&w, STR("encodingFlags"));
        json_put_array(&w);
        json_put_string(&w, STR("categorize-labels"));
        json_put_array_end(&w);
    }
    json_put_object_end(&w);
    out->over |= json.over;
    if (!json.over)
        websocket_put(out, WEBSOCKET_TEXT, buf_str(&json));
    buf_fini(&json);
}

/* ---- events ---- */

static void put_events(struct buf *out, const struct tail_frame *f)
{
    if (f->all_dropped > 0)
        buf_addf(out, "event: dropped\ndata: {\"entries\":%" PRIu64 "}\n\n", f->all_dropped);
    for (size_t i = 0; i < f->n; i++) {
        buf_addf(out, "id: %" PRIu64 "\ndata: ", f->entries[i]->seq);
        buf_add_str(out, f->entries[i]->value);
        buf_add_z(out, "\n\n");
    }
}

void tail_frame_put(struct buf *out, enum tail_form form, bool categorize,
                    const struct tail_frame *f)
{
    INVARIANT(f->n <= TAIL_FRAME_ENTRIES);
    if (form == TAIL_EVENTS)
        put_events(out, f);
    else
        put_websocket(out, categorize, f);
}
