/* wire/forward_record.c - contract: forward_record.h. */
#include "wire/forward_record.h"

#include "base/json.h"

enum { RECORD_JSON_MAX = 64 << 20, DOCKER_ID = 64 };

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

static int render(const struct forward_entry *e, struct arena *a, struct str *ret, struct err *err)
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
        *ret = arena_str(a, buf_str(&out));
        r = ret->p == NULL ? arena_err(a, err) : 0;
    }
    buf_fini(&out);
    return r;
}

static bool is_stream(struct str name)
{
    return str_eq(name, STR("stdout")) || str_eq(name, STR("stderr"));
}

/* container_id, container_name "/name", source, and a line. */
static bool is_docker(const struct forward_entry *e)
{
    const struct forward_field *id = field_named(e, STR("container_id"));
    const struct forward_field *source = field_named(e, STR("source"));

    return id != NULL && id->text.n == DOCKER_ID && field_named(e, STR("container_name")) != NULL &&
           source != NULL && is_stream(source->text);
}

static void add_attr(struct forward_record *ret, struct str name, struct str value)
{
    if (ret->n_attrs < ret->max_attrs)
        ret->attrs[ret->n_attrs++] = (struct label){name, value};
}

/* Whatever is not the line. */
static void place_fields(const struct forward_entry *e, const struct forward_field *line,
                         struct forward_record *ret)
{
    bool has_stream = false, has_container = false; /* a map may name a key many times */

    for (size_t i = 0; i < e->n_fields; i++) {
        const struct forward_field *field = &e->fields[i];
        if (line == NULL || field == line)
            continue; /* without a line field the line holds all of them */
        if (ret->is_docker && !has_stream && str_eq(field->key, STR("source"))) {
            ret->stream = field->text;
            has_stream = true;
        } else if (ret->is_docker && !has_container && str_eq(field->key, STR("container_name"))) {
            ret->container = str_from(field->text, str_starts(field->text, STR("/")));
            has_container = true;
        } else {
            add_attr(ret, field->key, field->text);
        }
    }
    for (size_t i = 0; i < e->n_meta; i++)
        add_attr(ret, e->meta[i].key, e->meta[i].text);
}

int forward_record_read(const struct forward_entry *e, struct str tag, struct arena *a,
                        struct forward_record *ret, struct err *err)
{
    const struct forward_field *line = line_field(e);

    ret->is_docker = line != NULL && is_docker(e);
    ret->stream = ret->container = STR_NULL;
    ret->n_attrs = 0;
    place_fields(e, line, ret);
    ret->attrs[ret->n_attrs++] = (struct label){STR("fluent.tag"), tag};
    if (line == NULL)
        return render(e, a, &ret->line, err);
    ret->line = line->text;
    return 0;
}
