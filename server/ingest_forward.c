/*
 * server/ingest_forward.c - one Forward message into records.
 *
 * Two kinds of sender.  Our collector names parts (option `lq`): labels and attributes come once
 * per part, an entry is {stream, log} and what little else it has.  Everybody else sends maps: the
 * line is key `log`, else `message`, else `msg` if it is a string, else the record as JSON; other
 * keys become attributes; Docker's own driver is recognised by its keys and gets the labels a
 * container has.
 */
#include "server/ingest_build.h"

#include "base/json.h"
#include "server/metrics.h"
#include "wire/forward_parse.h"

#include <string.h>

enum { STREAM_NAMES = 3, RECORD_JSON_MAX = 64 << 20 };

struct forward_ingest {
    struct ingest_build *ib;
    const struct ingest_decided *d;
    struct forward_reader *reader;
    struct label *attr; /* scratch of one record: limits.fields of them, in the arena */
    size_t max_attr;
};

/* ---- our collector ---- */

/* The streams of one part: without a name, stdout, stderr, made when first met. */
struct part_streams {
    const struct forward_part *part;
    bool made[STREAM_NAMES];
    struct ingest_shared shared[STREAM_NAMES];
};

static unsigned stream_slot(struct str name)
{
    if (str_eq(name, STR("stdout")))
        return 1;
    return str_eq(name, STR("stderr")) ? 2 : 0;
}

static int shared_of(struct forward_ingest *f, struct part_streams *ps, struct str name,
                     struct ingest_shared **ret, struct err *err)
{
    unsigned slot = stream_slot(name);
    const struct labels *l = &ps->part->labels;
    struct label *v;
    int r;

    *ret = &ps->shared[slot];
    if (ps->made[slot])
        return 0;
    v = arena_alloc(f->ib->b->arena, (l->n + f->d->forced.n + 2) * sizeof(*v));
    if (v == NULL)
        return arena_err(f->ib->b->arena, err);
    if (l->n > 0)
        memcpy(v, l->v, l->n * sizeof(*v));
    v[l->n] = (struct label){STR("stream"), slot == 0 ? STR_NULL : name};
    r = ingest_build_stream(f->ib, v, l->n + 1, &f->d->forced, &ps->shared[slot].stream, err);
    ps->shared[slot].attr = ps->part->attrs.v;
    ps->shared[slot].n_attr = ps->part->attrs.n;
    ps->made[slot] = r == 0;
    return r;
}

static int add_own_entry(struct forward_ingest *f, struct part_streams *ps,
                         const struct forward_entry *e, struct err *err)
{
    struct ingest_item item = {.ts = e->ts, .attr = f->attr};
    struct ingest_shared *shared;
    struct str stream = STR_NULL;
    int r;

    for (size_t i = 0; i < e->n_fields; i++) {
        const struct forward_field *field = &e->fields[i];
        if (str_eq(field->key, STR("log")))
            item.line = field->text;
        else if (str_eq(field->key, STR("stream")) && stream_slot(field->text) > 0)
            stream = field->text;
        else if (item.n_attr < f->max_attr)
            f->attr[item.n_attr++] = (struct label){field->key, field->text};
    }
    r = shared_of(f, ps, stream, &shared, err);
    return r < 0 ? r : ingest_build_add(f->ib, shared, &item, err);
}

static int add_part(struct forward_ingest *f, const struct forward_part *part, struct err *err)
{
    struct part_streams ps = {.part = part};
    struct record_part rp = {.file_id = part->file_id,
                             .start = part->start,
                             .end = part->end,
                             .first = f->ib->b->n_records,
                             .count = part->count,
                             .maybe_twice = part->maybe_twice};
    struct forward_entry e;

    for (uint32_t i = 0; i < part->count; i++) {
        int r = forward_reader_next(f->reader, &e, err);
        if (r == 1)
            return err_set(err, ERR_CORRUPT, "part '%.*s' counts %u entries, the message has fewer",
                           STR_ARG(part->file_id), part->count);
        if (r == 0)
            r = add_own_entry(f, &ps, &e, err);
        if (r < 0)
            return r;
    }
    return batch_add_part(f->ib->b, &rp, err);
}

static int add_parts(struct forward_ingest *f, const struct forward_message *m, struct err *err)
{
    struct forward_entry e;
    int r = 0;

    for (size_t i = 0; r == 0 && i < m->n_parts; i++)
        r = add_part(f, &m->parts[i], err);
    if (r == 0)
        r = forward_reader_next(f->reader, &e, err);
    if (r == 0)
        return err_set(err, ERR_CORRUPT, "the message has more entries than its parts count");
    return r < 0 ? r : 0;
}

/* ---- everybody else ---- */

static const struct forward_field *field_named(const struct forward_entry *e, struct str key)
{
    for (size_t i = 0; i < e->n_fields; i++)
        if (str_eq(e->fields[i].key, key))
            return &e->fields[i];
    return NULL;
}

/* The field that is the line; NULL: none, the whole record is. */
static const struct forward_field *line_field(const struct forward_entry *e)
{
    const struct forward_field *line = field_named(e, STR("log"));

    if (line == NULL)
        line = field_named(e, STR("message"));
    if (line == NULL) {
        line = field_named(e, STR("msg"));
        if (line != NULL && line->type != FORWARD_STR)
            line = NULL;
    }
    return line;
}

static int render_record(struct forward_ingest *f, const struct forward_entry *e, struct str *ret,
                         struct err *err)
{
    struct json_writer w;
    struct buf out;
    int r;

    buf_init(&out, RECORD_JSON_MAX);
    json_writer_init(&w, &out);
    json_put_object(&w);
    for (size_t i = 0; i < e->n_fields; i++) {
        const struct forward_field *field = &e->fields[i];
        json_put_key(&w, field->key);
        if (field->type == FORWARD_STR || field->type == FORWARD_TIME)
            json_put_string(&w, field->text);
        else
            json_put_raw(&w, field->text);
    }
    json_put_object_end(&w);
    r = buf_err(&out, "record as JSON", err);
    if (r == 0) {
        *ret = arena_str(f->ib->b->arena, buf_str(&out));
        r = ret->p == NULL ? arena_err(f->ib->b->arena, err) : 0;
    }
    buf_fini(&out);
    return r;
}

/* Docker's fluentd driver: container_id, container_name "/name", source, log. */
static bool is_docker(const struct forward_entry *e)
{
    const struct forward_field *id = field_named(e, STR("container_id"));
    const struct forward_field *source = field_named(e, STR("source"));

    return id != NULL && id->text.n == 64 && field_named(e, STR("container_name")) != NULL &&
           source != NULL && stream_slot(source->text) > 0;
}

/* Five of ours at most, forced ones, service_name. */
struct foreign_labels {
    struct label v[8 + RECORD_LABELS_MAX];
    size_t n;
};

static void add_label(struct foreign_labels *l, struct str name, struct str value)
{
    l->v[l->n++] = (struct label){name, value};
}

/* Sort the fields into labels and attributes (f->attr). */
static size_t place_fields(struct forward_ingest *f, const struct forward_entry *e,
                           const struct forward_field *line, struct str tag,
                           struct foreign_labels *labels)
{
    bool docker = is_docker(e);
    bool has_stream = false, has_container = false; /* a map may name a key many times */
    size_t n = 0;

    add_label(labels, STR("host"), f->d->host);
    add_label(labels, STR("source"), docker ? STR("container") : STR("forward"));
    if (docker)
        add_label(labels, STR("runtime"), STR("docker"));
    for (size_t i = 0; i < e->n_fields; i++) {
        const struct forward_field *field = &e->fields[i];
        if (line == NULL || field == line)
            continue; /* without a line field the line holds all of them */
        if (docker && !has_stream && str_eq(field->key, STR("source"))) {
            add_label(labels, STR("stream"), field->text);
            has_stream = true;
        } else if (docker && !has_container && str_eq(field->key, STR("container_name"))) {
            add_label(labels, STR("container"),
                      str_from(field->text, str_starts(field->text, STR("/"))));
            has_container = true;
        } else if (n < f->max_attr) {
            f->attr[n++] = (struct label){field->key, field->text};
        }
    }
    for (size_t i = 0; i < e->n_meta && n < f->max_attr; i++)
        f->attr[n++] = (struct label){e->meta[i].key, e->meta[i].text};
    f->attr[n++] = (struct label){STR("fluent.tag"), tag};
    return n;
}

static int add_foreign(struct forward_ingest *f, const struct forward_message *m, struct err *err)
{
    struct forward_entry e;
    int r;

    while ((r = forward_reader_next(f->reader, &e, err)) == 0) {
        const struct forward_field *line = line_field(&e);
        struct foreign_labels labels = {.n = 0};
        struct ingest_item item = {.ts = e.ts, .attr = f->attr};
        struct ingest_shared shared = {0};

        item.n_attr = place_fields(f, &e, line, m->tag, &labels);
        if (line != NULL)
            item.line = line->text;
        else
            r = render_record(f, &e, &item.line, err);
        if (r == 0)
            r = ingest_build_stream(f->ib, labels.v, labels.n, &f->d->forced, &shared.stream, err);
        if (r == 0)
            r = ingest_build_add(f->ib, &shared, &item, err);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : 0;
}

int ingest_forward(struct ingest_build *ib, const struct store_payload *p,
                   const struct ingest_decided *d, struct err *err)
{
    struct forward_limits limits = {.message_bytes = p->bytes.n, .payload_bytes = d->payload_bytes};
    struct forward_ingest f = {.ib = ib, .d = d, .max_attr = 1000};
    struct forward_message m;
    /* An uncompressed message is copied once, for its lines stay where they are. */
    int r = forward_parse(p->bytes, &limits, ib->b->arena, &m, err);

    if (r == 0) {
        struct str copy = arena_str(ib->b->arena, m.codec == CODEC_NONE ? p->bytes : m.tag);
        if (copy.p == NULL)
            return arena_err(ib->b->arena, err);
        if (m.codec == CODEC_NONE)
            r = forward_parse(copy, &limits, ib->b->arena, &m, err);
        else
            m.tag = copy;
    }
    if (r < 0)
        return r;
    f.attr = arena_alloc(ib->b->arena, (f.max_attr + 1) * sizeof(*f.attr));
    if (f.attr == NULL)
        return arena_err(ib->b->arena, err);
    f.reader = forward_reader_new();
    r = forward_reader_start(f.reader, &m, &limits, p->received, ib->b->arena, err);
    if (r == 0)
        r = d->may_have_parts && m.n_parts > 0 ? add_parts(&f, &m, err) : add_foreign(&f, &m, err);
    metric_add(METRIC_INGEST_SKIPPED, forward_reader_skipped(f.reader));
    forward_reader_free(&f.reader);
    return r;
}
