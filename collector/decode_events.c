/*
 * collector/decode_events.c - what container engines say about themselves, one JSON object a line.
 *
 * The record's line is the object as it came.  Beside it: labels container, image, action, and as
 * attributes the object's id and whatever its Attributes hold.  Two shapes: the API's (Docker, and
 * podman's service for both of its APIs) and the one of podman's events file.  An action is cut at
 * its first ": ", because behind it stands a command line; podman's "died" is stored as Docker's
 * "die", so that one query finds both.
 */
#include "collector/decode.h"

#include "base/json.h"
#include "base/record.h"

#include <string.h>

struct event {
    struct str type, action, id, name, image;
    ts_ns ts;
};

static bool take_string(struct decoder *d, struct json_reader *r, struct str *ret)
{
    struct err err;

    return json_string_or_null(r, d->arena, ret, &err) == 0;
}

static void add_attr(struct decoder *d, struct piece *ret, struct str name, struct str value)
{
    if (ret->n_attrs == DECODE_ATTRS_MAX || name.n == 0 || value.n == 0)
        return;
    d->attrs[ret->n_attrs++] = (struct label){str_sub(name, 0, RECORD_LABEL_NAME_MAX),
                                              str_sub(value, 0, RECORD_LABEL_VALUE_MAX)};
}

/* {"k": "v", ...} or null, as attributes; name and image are told apart. */
static bool take_attributes(struct decoder *d, struct json_reader *r, struct event *e,
                            struct piece *ret)
{
    struct json_token key;
    struct err err;
    int x = json_object_or_null(r, &err);

    while (x == 0 && (x = json_member(r, &key, &err)) == 0) {
        struct str name = json_text(&key, d->arena), value = STR_NULL;
        if (name.p == NULL || !take_string(d, r, &value))
            return false;
        if (str_eq(name, STR("name")))
            e->name = value;
        else if (str_eq(name, STR("image")))
            e->image = value;
        else
            add_attr(d, ret, name, value);
    }
    return x == 1;
}

static bool take_actor(struct decoder *d, struct json_reader *r, struct event *e, struct piece *ret)
{
    struct json_token key;
    struct err err;
    int x = json_object(r, &err);

    while (x == 0 && (x = json_member(r, &key, &err)) == 0)
        if ((str_eq(key.raw, STR("ID")) && !take_string(d, r, &e->id)) ||
            (str_eq(key.raw, STR("Attributes")) && !take_attributes(d, r, e, ret)))
            return false;
    return x == 1;
}

static bool take_number(struct json_reader *r, int64_t scale, ts_ns *ret)
{
    struct json_token v;
    struct err err;
    int64_t n;

    if (json_next(r, &v, &err) < 0 || v.type != JSON_NUMBER || !str_to_i64(v.raw, &n) || n < 0 ||
        n > INT64_MAX / scale)
        return false;
    *ret = n * scale;
    return true;
}

static bool take_api_member(struct decoder *d, struct json_reader *r, struct str key,
                            struct event *e, struct piece *ret)
{
    ts_ns seconds = 0;

    if (str_eq(key, STR("Type")))
        return take_string(d, r, &e->type);
    if (str_eq(key, STR("Action")))
        return take_string(d, r, &e->action);
    if (str_eq(key, STR("Actor")))
        return take_actor(d, r, e, ret);
    if (str_eq(key, STR("timeNano")))
        return take_number(r, 1, &e->ts);
    if (str_eq(key, STR("time"))) {
        if (!take_number(r, NS_PER_S, &seconds))
            return false;
        if (e->ts == 0)
            e->ts = seconds;
    }
    return true;
}

static bool take_file_member(struct decoder *d, struct json_reader *r, struct str key,
                             struct event *e, struct piece *ret)
{
    struct err err;
    struct json_token v;
    struct str text = STR_NULL;

    if (str_eq(key, STR("Type")))
        return take_string(d, r, &e->type);
    if (str_eq(key, STR("Status")))
        return take_string(d, r, &e->action);
    if (str_eq(key, STR("ID")))
        return take_string(d, r, &e->id);
    if (str_eq(key, STR("Name")))
        return take_string(d, r, &e->name);
    if (str_eq(key, STR("Image")))
        return take_string(d, r, &e->image);
    if (str_eq(key, STR("Time")))
        return take_string(d, r, &text) && time_parse_rfc3339(text, &e->ts);
    if (str_eq(key, STR("Attributes"))) {
        /* A container's labels: one called name or image is not the container's own. */
        struct str name = e->name, image = e->image;
        bool ok = take_attributes(d, r, e, ret);
        e->name = name;
        e->image = image;
        return ok;
    }
    if (str_eq(key, STR("ContainerExitCode"))) {
        if (json_next(r, &v, &err) < 0 || v.type != JSON_NUMBER)
            return false;
        add_attr(d, ret, STR("exitCode"), v.raw);
    }
    return true;
}

static void add_label(struct decoder *d, struct piece *ret, struct str name, struct str value)
{
    d->labels[ret->n_labels++] = (struct label){name, str_sub(value, 0, RECORD_LABEL_VALUE_MAX)};
}

/* Labels and attributes from what was found. */
static void finish(struct decoder *d, const struct event *e, struct piece *ret)
{
    bool is_container = str_eq(e->type, STR("container"));
    size_t colon = str_find(e->action, STR(": "));
    struct str action = str_sub(e->action, 0, colon);

    if (str_eq(action, STR("died")))
        action = STR("die");
    add_label(d, ret, STR("action"), action);
    if (is_container) {
        add_label(d, ret, STR("container"), e->name);
        add_label(d, ret, STR("image"), e->image);
        add_attr(d, ret, STR("container_id"), e->id);
    } else {
        add_attr(d, ret, STR("object_id"), e->id);
        add_attr(d, ret, STR("object_name"), e->name);
    }
    if (colon != SIZE_MAX)
        add_attr(d, ret, STR("action_detail"), str_from(e->action, colon + 2));
    add_attr(d, ret, STR("event_type"), e->type);
    ret->n_labels = labels_sort(d->labels, ret->n_labels);
    ret->n_attrs = labels_sort(d->attrs, ret->n_attrs);
    ret->labels = d->labels;
    ret->attrs = d->attrs;
}

/* One member, of which the key was read; false: it is not as it should be. */
typedef bool member_fn(struct decoder *d, struct json_reader *r, struct str key, struct event *e,
                       struct piece *ret);

static bool decode_event(struct decoder *d, struct str line, member_fn *member, struct piece *ret)
{
    struct piece got = {.last = true, .text = line};
    struct event e = {.ts = 0};
    struct json_reader r;
    struct json_token t;
    struct err err;
    int x;

    arena_reset(d->arena);
    x = json_reader_init_object(&r, line, &err);
    while (x == 0 && (x = json_member(&r, &t, &err)) == 0)
        if (!member(d, &r, t.raw, &e, &got))
            return false;
    if (x < 0 || str_trim(json_rest(&r)).n > 0 || e.action.n == 0 || e.type.n == 0 || e.ts == 0)
        return false;
    got.ts = e.ts;
    finish(d, &e, &got);
    *ret = got;
    return true;
}

bool decode_docker_event(struct decoder *d, struct str line, struct piece *ret)
{
    return decode_event(d, line, take_api_member, ret);
}

bool decode_podman_event(struct decoder *d, struct str line, struct piece *ret)
{
    return decode_event(d, line, take_file_member, ret);
}

/* One member of a gap record: "time" is its time, all else become attributes. */
static bool take_gap_member(struct decoder *d, struct json_reader *r, const struct json_token *key,
                            struct piece *ret)
{
    struct json_token v;
    struct str name = json_text(key, d->arena);
    struct str text;
    struct err err;

    if (name.p == NULL || json_next(r, &v, &err) < 0 ||
        (v.type != JSON_STRING && v.type != JSON_NUMBER))
        return false;
    text = v.type == JSON_STRING ? json_text(&v, d->arena) : v.raw;
    if (str_eq(name, STR("time")))
        return time_parse_rfc3339(text, &ret->ts);
    add_attr(d, ret, name, text);
    return true;
}

bool decode_gap(struct decoder *d, struct str line, struct piece *ret)
{
    struct piece got = {.last = true, .text = line};
    struct json_reader r;
    struct json_token t;
    struct err err;
    int e;

    arena_reset(d->arena);
    e = json_reader_init_object(&r, line, &err);
    while (e == 0 && (e = json_member(&r, &t, &err)) == 0)
        if (!take_gap_member(d, &r, &t, &got))
            return false;
    if (e < 0)
        return false;
    got.n_attrs = labels_sort(d->attrs, got.n_attrs);
    got.attrs = d->attrs;
    *ret = got;
    return true;
}
