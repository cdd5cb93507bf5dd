/*
 * server/ingest.c - see ingest.h: which decoder, and what they share (ingest_build.h).
 *
 * Records whose attributes are the same share one array in the batch's arena (struct
 * ingest_shared): in a chunk of our collector most records differ only in their level, so an array
 * is made per (stream, level) and not per record.
 */
#include "server/ingest.h"

#include "base/json.h"
#include "base/service.h"
#include "server/ingest_build.h"
#include "server/metrics.h"

#include <stdio.h>
#include <string.h>

enum { BATCH_MAX = 1 << 30 };

/* ---- decisions, as JSON ---- */

void ingest_decided_pack(const struct ingest_decided *d, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_u64(&w, "v", 1);
    json_put_kv_str(&w, "host", d->host);
    json_put_key(&w, STR("parts"));
    json_put_bool(&w, d->may_have_parts);
    json_put_kv_u64(&w, "payload_bytes", d->payload_bytes);
    json_put_key(&w, STR("forced"));
    labels_put_json(&w, &d->forced);
    json_put_object_end(&w);
}

static int parse_forced(struct json_reader *r, struct arena *a, struct labels *ret, struct err *err)
{
    struct json_token key, value;
    int n = json_object(r, err);

    ret->n = 0;
    ret->v = arena_alloc(a, RECORD_LABELS_MAX * sizeof(*ret->v));
    if (n == 0 && ret->v == NULL)
        return arena_err(a, err);
    while (n == 0 && (n = json_member(r, &key, err)) == 0) {
        n = json_next(r, &value, err);
        if (n == 0 && (value.type != JSON_STRING || ret->n == RECORD_LABELS_MAX))
            return err_set(err, ERR_CORRUPT, "decisions: bad forced labels");
        if (n == 0) {
            struct label l = {json_text(&key, a), json_text(&value, a)};
            if (l.name.p == NULL || l.value.p == NULL)
                return arena_err(a, err);
            ret->v[ret->n++] = l;
        }
    }
    if (n < 0)
        return n;
    ret->n = labels_sort(ret->v, ret->n);
    return 0;
}

/* The value of a member that we know; what it is not is left as it was. */
static int parse_scalar(struct json_reader *r, struct str key, struct arena *a,
                        struct ingest_decided *ret, struct err *err)
{
    struct json_token value;
    uint64_t number;
    int n = json_next(r, &value, err);

    if (n < 0)
        return n;
    if (value.type == JSON_OBJECT || value.type == JSON_ARRAY)
        return err_set(err, ERR_CORRUPT, "'%.*s' is no plain value", STR_ARG(key));
    if (str_eq(key, STR("parts"))) {
        ret->may_have_parts = value.type == JSON_TRUE;
    } else if (str_eq(key, STR("host"))) {
        ret->host = json_text(&value, a);
        if (ret->host.p == NULL)
            return arena_err(a, err);
    } else if (str_to_u64(value.raw, &number)) {
        ret->payload_bytes = (size_t)number;
    }
    return 0;
}

static bool is_scalar(struct str key)
{
    return str_eq(key, STR("host")) || str_eq(key, STR("parts")) ||
           str_eq(key, STR("payload_bytes"));
}

/* Members that a newer server wrote are passed over, whatever they hold. */
static int parse_decided(struct str text, struct arena *a, struct ingest_decided *ret,
                         struct err *err)
{
    struct json_reader r;
    struct json_token key;
    int n = json_reader_init_object(&r, text, err);

    while (n == 0 && (n = json_member(&r, &key, err)) == 0) {
        if (str_eq(key.raw, STR("forced")))
            n = parse_forced(&r, a, &ret->forced, err);
        else if (is_scalar(key.raw))
            n = parse_scalar(&r, key.raw, a, ret, err);
    }
    return n < 0 ? err_wrap(err, "decisions") : 0;
}

/* ---- building blocks ---- */

static struct str clip(struct str s, size_t max, unsigned metric)
{
    if (s.n > max) {
        metric_add(metric, 1);
        s.n = max;
    }
    return s;
}

int ingest_build_stream(struct ingest_build *ib, struct label *v, size_t n,
                        const struct labels *forced, uint32_t *ret, struct err *err)
{
    struct labels l = {v, 0};

    for (size_t i = 0; i < n; i++)
        v[i].value = clip(v[i].value, RECORD_LABEL_VALUE_MAX, METRIC_INGEST_TRUNCATED_LABEL);
    for (size_t i = 0; i < forced->n; i++)
        v[n++] = forced->v[i]; /* of two with one name labels_sort keeps the later */
    l.n = labels_sort(v, n);
    if (labels_get(&l, STR("service_name")).p == NULL) {
        v[l.n].name = STR("service_name");
        v[l.n].value = service_name(&l);
        l.n = labels_sort(v, l.n + 1);
    }
    if (l.n > RECORD_LABELS_MAX)
        return err_set(err, ERR_LIMIT, "a stream with %zu labels; %d are allowed", l.n,
                       (int)RECORD_LABELS_MAX);
    return batch_stream(ib->b, &l, ret, err);
}

static struct str claimed_text(struct ingest_build *ib, ts_ns ts)
{
    char text[TIME_TEXT_MAX];

    return arena_str(ib->b->arena, time_format_rfc3339nano(ts, text));
}

static void add_clipped(struct label *v, size_t *n, const struct label *from, size_t count)
{
    for (size_t i = 0; i < count; i++, (*n)++) {
        v[*n].name = clip(from[i].name, RECORD_LABEL_NAME_MAX, METRIC_INGEST_TRUNCATED_LABEL);
        v[*n].value = clip(from[i].value, INGEST_ATTR_VALUE_MAX, METRIC_INGEST_TRUNCATED_LABEL);
    }
}

/* The record's attributes: the shared ones, its own, and what we have to say about it. */
static int make_attrs(struct ingest_build *ib, const struct ingest_shared *shared,
                      const struct ingest_item *item, struct record *rec, ts_ns claimed,
                      struct err *err)
{
    struct arena *a = ib->b->arena;
    size_t room = RECORD_ATTRS_MAX - INGEST_OWN_ATTRS;
    size_t n_shared = shared->n_attr < room ? shared->n_attr : room;
    size_t n_own = item->n_attr < room - n_shared ? item->n_attr : room - n_shared;
    size_t dropped = shared->n_attr + item->n_attr - n_shared - n_own;
    struct label *v = arena_alloc(a, (n_shared + n_own + INGEST_OWN_ATTRS) * sizeof(*v));
    size_t n = 0;
    struct str other;
    enum level level;

    if (v == NULL)
        return arena_err(a, err);
    add_clipped(v, &n, shared->attr, n_shared);
    add_clipped(v, &n, item->attr, n_own);
    level = level_of(&ib->b->streams[rec->stream], v, n, rec->line, &other);
    v[n].name = STR("detected_level"); /* over what a client has said, which level_of has seen */
    v[n++].value = level == LEVEL_OTHER ? other : level_name(level);
    if (dropped > 0) {
        metric_add(METRIC_INGEST_TRUNCATED_LABEL, dropped);
        v[n++] = (struct label){STR("attributes_dropped"), arena_printf(a, "%zu", dropped)};
    }
    if (item->line.n > rec->line.n)
        v[n++] = (struct label){STR("truncated"), arena_printf(a, "%zu", item->line.n)};
    if (claimed != 0)
        v[n++] = (struct label){STR("ts_claimed"), claimed_text(ib, claimed)};
    for (size_t i = n_shared + n_own; i < n; i++)
        if (v[i].value.p == NULL)
            return arena_err(a, err);
    rec->n_attr = (uint32_t)labels_sort(v, n);
    rec->attr = v;
    return 0;
}

static enum level shared_level(const struct ingest_build *ib, struct ingest_shared *shared)
{
    struct str ignored; /* make_attrs asks again */

    if (!shared->is_asked)
        shared->given =
            level_given(&ib->b->streams[shared->stream], shared->attr, shared->n_attr, &ignored);
    shared->is_asked = true;
    return shared->given;
}

int ingest_build_add(struct ingest_build *ib, struct ingest_shared *shared,
                     const struct ingest_item *item, struct err *err)
{
    struct record rec = {.ts = item->ts, .stream = shared->stream};
    enum level level;
    ts_ns claimed = 0;
    int r;

    rec.line = clip(item->line, RECORD_LINE_MAX, METRIC_INGEST_TRUNCATED);
    if (item->ts > ib->received && item->ts - ib->received > INGEST_FUTURE_MAX_S * NS_PER_S) {
        ib->times.ahead++;
        claimed = item->ts;
        rec.ts = ib->received;
    }
    if (rec.ts < time_day_start(ib->received) - INGEST_LATE_S * NS_PER_S)
        ib->times.late++;
    if (item->n_attr > 0 || claimed != 0 || rec.line.n < item->line.n) {
        r = make_attrs(ib, shared, item, &rec, claimed, err);
        return r < 0 ? r : batch_add(ib->b, &rec, err);
    }
    level = shared_level(ib, shared);
    if (level == LEVEL_UNKNOWN)
        level = level_of_line(rec.line);
    if (shared->made[level] == NULL) {
        r = make_attrs(ib, shared, item, &rec, 0, err);
        if (r < 0)
            return r;
        shared->made[level] = rec.attr;
        shared->n_made[level] = rec.n_attr;
    }
    rec.attr = shared->made[level];
    rec.n_attr = shared->n_made[level];
    return batch_add(ib->b, &rec, err);
}

/* ---- what is refused ---- */

void ingest_build_refuse(struct ingest_build *ib, const struct err *why)
{
    if (ib->refused.n_why < INGEST_REFUSALS_SHOWN)
        ib->refused.why[ib->refused.n_why] = *why;
    ib->refused.n_why++;
}

void ingest_refused_print(const struct ingest_refused *r, uint64_t stored, struct buf *out)
{
    uint64_t shown = r->n_why < INGEST_REFUSALS_SHOWN ? r->n_why : INGEST_REFUSALS_SHOWN;

    buf_addf(out, "push: %llu of %llu entries refused%s: ", (unsigned long long)r->entries,
             (unsigned long long)(r->entries + stored),
             stored > 0 ? ", the others are stored" : "");
    for (uint64_t i = 0; i < shown; i++)
        buf_addf(out, "%s%s", i > 0 ? "; " : "", r->why[i].text);
    if (r->n_why > shown)
        buf_addf(out, "; and %llu more of such", (unsigned long long)(r->n_why - shown));
}

int ingest_decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct ingest_times ignored;

    return ingest_decode_times(arg, p, ret, &ignored, NULL, err);
}

int ingest_decode_times(void *arg, const struct store_payload *p, struct batch **ret,
                        struct ingest_times *times, struct ingest_refused *refused, struct err *err)
{
    struct batch *b = batch_new(arg, BATCH_MAX);
    struct ingest_build ib = {.b = b, .received = p->received};
    struct ingest_decided d = {0};
    int r = parse_decided(p->decided, b->arena, &d, err);

    if (r == 0) {
        switch (p->kind) {
        case INGEST_FORWARD:
            r = ingest_forward(&ib, p, &d, err);
            break;
        case INGEST_PUSH_JSON:
            r = ingest_push(&ib, p, &d, err);
            break;
        case INGEST_PUSH_PROTO:
            r = ingest_push_proto(&ib, p, &d, err);
            break;
        case INGEST_IMPORT:
            r = ingest_import(&ib, p, err);
            break;
        default:
            r = err_set(err, ERR_INVALID, "a payload of kind %u: made by a newer logq-server",
                        p->kind);
        }
    }
    if (r < 0) {
        batch_unref(&b);
        return r;
    }
    metric_add(METRIC_INGEST_RECORDS, b->n_records);
    *ret = b;
    *times = ib.times;
    if (refused != NULL)
        *refused = ib.refused;
    return 0;
}
