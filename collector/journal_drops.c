/* collector/journal_drops.c - contract: journal_drops.h. */
#include "collector/journal_drops.h"

#include "base/time.h"
#include "base/vec.h"

#include <string.h>

void journal_drops_fini(struct journal_drops *d)
{
    VEC_FINI(d);
}

static struct journal_drop *find(const struct journal_drops *d, const struct journal_drop *want)
{
    for (size_t i = d->n; i > 0; i--) { /* most likely one of the last */
        struct journal_drop *v = &d->p[i - 1];
        if (strcmp(v->rule, want->rule) == 0 && strcmp(v->id, want->id) == 0 &&
            strcmp(v->name, want->name) == 0)
            return v;
    }
    return NULL;
}

static void count(struct journal_drops *d, struct journal_drop *new)
{
    struct journal_drop *v = find(d, new);

    if (v == NULL && d->n >= JOURNAL_DROPS_MAX) {
        new->id[0] = new->name[0] = '\0'; /* of these there are as many as rules */
        v = find(d, new);
    }
    if (v != NULL) {
        v->count += new->count;
        v->bytes += new->bytes;
    } else if (d->n < JOURNAL_DROPS_MAX + CONFIG_RULES_MAX) {
        VEC_PUSH(d, *new);
    }
}

/* What is cut is cut at the same place each time. */
static void set(char *ret, size_t cap, struct str text)
{
    (void)str_to_z(str_sub(text, 0, cap - 1), ret, cap);
}

void journal_drops_add(struct journal_drops *d, const char *rule, const struct journal_frame *f,
                       uint64_t bytes)
{
    struct journal_drop new = {.count = 1, .bytes = bytes};

    set(new.rule, sizeof(new.rule), str_of(rule));
    set(new.id, sizeof(new.id), f->v[JOURNAL_ID]);
    set(new.name, sizeof(new.name), f->v[JOURNAL_NAME]);
    count(d, &new);
}

void journal_drops_put(const struct journal_drops *d, struct json_writer *w)
{
    json_put_array(w);
    for (size_t i = 0; i < d->n; i++) {
        const struct journal_drop *v = &d->p[i];
        json_put_array(w);
        json_put_string(w, str_of(v->rule));
        json_put_string(w, str_of(v->id));
        json_put_string(w, str_of(v->name));
        json_put_u64(w, v->count);
        json_put_u64(w, v->bytes);
        json_put_array_end(w);
    }
    json_put_array_end(w);
}

static bool take_text(struct json_reader *r, struct arena *a, char *ret, size_t cap)
{
    struct err err;
    struct str text = {0};

    if (json_string_or_null(r, a, &text, &err) < 0 || text.p == NULL)
        return false;
    set(ret, cap, text);
    return true;
}

static bool take_number(struct json_reader *r, uint64_t *ret)
{
    struct json_token t;
    struct err err;

    return json_next(r, &t, &err) == 0 && t.type == JSON_NUMBER && str_to_u64(t.raw, ret);
}

bool journal_drops_take(struct journal_drops *d, struct json_reader *r, struct arena *a)
{
    struct json_token t;
    struct err err;

    if (json_next(r, &t, &err) < 0 || t.type != JSON_ARRAY)
        return false;
    for (;;) {
        struct journal_drop new;
        if (json_next(r, &t, &err) < 0)
            return false;
        if (t.type == JSON_ARRAY_END)
            return true;
        if (t.type != JSON_ARRAY || !take_text(r, a, new.rule, sizeof(new.rule)) ||
            !take_text(r, a, new.id, sizeof(new.id)) ||
            !take_text(r, a, new.name, sizeof(new.name)) || !take_number(r, &new.count) ||
            !take_number(r, &new.bytes) || json_next(r, &t, &err) < 0 || t.type != JSON_ARRAY_END)
            return false;
        count(d, &new);
    }
}

void journal_drops_tell(struct journal_drops *d, struct str journal, struct buf *out)
{
    char now[TIME_TEXT_MAX];

    for (size_t i = 0; i < d->n; i++) {
        const struct journal_drop *v = &d->p[i];
        struct json_writer w;
        json_writer_init(&w, out);
        json_put_object(&w);
        json_put_kv_str(&w, "drop", str_of(v->rule)); /* first: by that the line is known */
        json_put_key(&w, STR("time"));
        json_put_string(&w, time_format_rfc3339(time_now(), now));
        json_put_kv_str(&w, "file", journal);
        if (v->name[0] != '\0')
            json_put_kv_str(&w, "container", str_of(v->name));
        if (v->id[0] != '\0')
            json_put_kv_str(&w, "container_id", str_of(v->id));
        json_put_kv_u64(&w, "count", v->count);
        json_put_kv_u64(&w, "bytes", v->bytes);
        json_put_object_end(&w);
        buf_add_char(out, '\n');
    }
    d->n = 0;
}
