/*
 * collector/decode_journal.c - entries of the journal, as input_journal.c writes them down.
 *
 * A JSON object a line: a record (journal_line.h) with labels container, image, runtime, source and
 * app, attributes container_id, image_digest, unit and level; what rules have dropped, as of a
 * notice (journal_drops.h); or how far the journal has come, which is none (journal_state.h).
 */
#include "collector/decode.h"

#include "base/json.h"
#include "base/record.h"
#include "collector/journal_state.h"

#include <string.h>

static void add(struct label *v, size_t *n, const char *name, struct str value)
{
    v[(*n)++] = (struct label){str_of(name), str_sub(value, 0, RECORD_LABEL_VALUE_MAX)};
}

/* Which member is which label or attribute. */
static const char *const LABELS[] = {"app", "container", "image", "runtime"};
static const char *const ATTRS[] = {"container_id", "image_digest", "level", "unit"};

static bool is_among(const char *const *names, size_t n, struct str name, const char **ret)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, str_of(names[i]))) {
            *ret = names[i];
            return true;
        }
    return false;
}

struct members {
    struct label labels[8], attrs[8];
    size_t n_labels, n_attrs;
};

static void take_text(struct members *m, struct str key, struct str text, struct piece *p)
{
    const char *name;

    if (str_eq(key, STR("line")))
        p->text = text;
    else if (str_eq(key, STR("stream")))
        p->stream = str_eq(text, STR("stderr")) ? DECODE_STDERR : DECODE_STDOUT;
    else if (is_among(LABELS, sizeof(LABELS) / sizeof(LABELS[0]), key, &name) && m->n_labels < 6)
        add(m->labels, &m->n_labels, name, text);
    else if (is_among(ATTRS, sizeof(ATTRS) / sizeof(ATTRS[0]), key, &name) && m->n_attrs < 6)
        add(m->attrs, &m->n_attrs, name, text);
}

static bool take_member(struct decoder *d, struct json_reader *r, struct str key, struct members *m,
                        struct piece *p)
{
    struct json_token t;
    struct err err;
    struct str text;
    int64_t n;

    if (json_next(r, &t, &err) < 0)
        return false;
    if (t.type == JSON_STRING) {
        text = json_text(&t, d->arena);
        if (text.p == NULL)
            return false;
        take_text(m, key, text, p);
        return true;
    }
    if (str_eq(key, STR("partial"))) {
        p->partial = t.type == JSON_TRUE;
        return t.type == JSON_TRUE || t.type == JSON_FALSE;
    }
    if (t.type != JSON_NUMBER || !str_to_i64(t.raw, &n))
        return false;
    if (str_eq(key, STR("time")))
        p->ts = n;
    else if (str_eq(key, STR("cut")) && n > 0)
        p->missing = (uint64_t)n;
    return true;
}

/* What the decoder has room for. */
static void finish(struct decoder *d, struct members *m, struct piece *p)
{
    bool is_container = false;

    for (size_t i = 0; i < m->n_labels; i++)
        is_container = is_container || str_eq(m->labels[i].name, STR("container"));
    for (size_t i = 0; i < m->n_attrs; i++)
        is_container = is_container || str_eq(m->attrs[i].name, STR("container_id"));
    if (is_container)
        add(m->labels, &m->n_labels, "source", STR("container"));
    memcpy(d->labels, m->labels, m->n_labels * sizeof(d->labels[0]));
    memcpy(d->attrs, m->attrs, m->n_attrs * sizeof(d->attrs[0]));
    p->labels = d->labels;
    p->attrs = d->attrs;
    p->n_labels = labels_sort(d->labels, m->n_labels);
    p->n_attrs = labels_sort(d->attrs, m->n_attrs);
}

static bool decode_drop(struct decoder *d, struct str line, struct piece *ret)
{
    if (!decode_gap(d, line, ret))
        return false;
    d->labels[0] = (struct label){STR("source"), STR("logq")};
    ret->labels = d->labels;
    ret->n_labels = 1;
    return true;
}

bool decode_journal(struct decoder *d, struct str line, struct piece *ret)
{
    struct members m = {.n_labels = 0};
    struct piece got = {.last = true};
    struct json_reader r;
    struct json_token t;
    struct err err;
    int e;

    if (str_starts(line, STR(JOURNAL_STATE_BEGIN))) {
        *ret = (struct piece){.last = true, .none = true};
        return true;
    }
    if (str_starts(line, STR(JOURNAL_DROP_BEGIN)))
        return decode_drop(d, line, ret);
    arena_reset(d->arena);
    e = json_reader_init_object(&r, line, &err);
    while (e == 0 && (e = json_member(&r, &t, &err)) == 0)
        if (!take_member(d, &r, t.raw, &m, &got))
            return false;
    if (e < 0 || got.text.p == NULL || str_trim(json_rest(&r)).n > 0)
        return false;
    finish(d, &m, &got);
    *ret = got;
    return true;
}
