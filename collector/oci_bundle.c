/*
 * collector/oci_bundle.c - contract: oci_bundle.h.
 *
 * Who may write what: the pairs of a container are its runtime's, but Labels and Annotations of
 * CRI-O hold what users gave their pods.  So of these only an app and hints are taken, never whose
 * log it is.
 */
#include "collector/oci_bundle.h"

#include "base/mem.h"
#include "base/record.h"

#include <stddef.h>
#include <string.h>

static const struct meta_field NAMES[] = {
    {STR_INIT("io.kubernetes.cri.sandbox-namespace"), offsetof(struct oci_bundle, meta.namespace)},
    {STR_INIT("io.kubernetes.cri.sandbox-name"), offsetof(struct oci_bundle, meta.pod)},
    {STR_INIT("io.kubernetes.cri.sandbox-uid"), offsetof(struct oci_bundle, meta.pod_uid)},
    {STR_INIT("io.kubernetes.cri.container-name"), offsetof(struct oci_bundle, meta.name)},
    {STR_INIT("io.kubernetes.cri.image-name"), offsetof(struct oci_bundle, meta.image)},
    {STR_INIT("io.kubernetes.cri-o.ImageName"), offsetof(struct oci_bundle, meta.image)},
    {STR_INIT("io.kubernetes.cri-o.ImageRef"), offsetof(struct oci_bundle, meta.image_digest)},
    {STR_INIT("io.kubernetes.container.restartCount"), offsetof(struct oci_bundle, meta.restart)},
    {STR_INIT("io.kubernetes.cri-o.LogPath"), offsetof(struct oci_bundle, log_path)},
};
enum { N_NAMES = sizeof(NAMES) / sizeof(NAMES[0]) };

static const struct meta_field *find_name(struct str name)
{
    return meta_field_find(NAMES, N_NAMES, name);
}

static bool is_type(struct str name)
{
    return str_eq(name, STR("io.kubernetes.cri.container-type")) ||
           str_eq(name, STR("io.kubernetes.cri-o.ContainerType"));
}

static bool is_users(struct str name)
{
    return str_eq(name, STR("io.kubernetes.cri-o.Labels")) ||
           str_eq(name, STR("io.kubernetes.cri-o.Annotations"));
}

static bool is_wanted(struct str name)
{
    return find_name(name) != NULL || is_type(name) || is_users(name) || meta_is_wanted(name);
}

static void take_missing(struct str *to, struct str value)
{
    if (to->n == 0)
        *to = value;
}

/* An object in a text.  One that is not understood says nothing. */
static void take_users(struct str text, struct arena *a, struct meta *ret)
{
    struct meta said = {.id = STR_NULL};
    struct json_reader r;

    json_reader_init(&r, text);
    if (!meta_take_labels(&r, a, &said))
        return;
    take_missing(&ret->app, said.app);
    take_missing(&ret->hints.exclude, said.hints.exclude);
    take_missing(&ret->hints.redact, said.hints.redact);
    take_missing(&ret->hints.multiline, said.hints.multiline);
}

struct taking {
    struct arena *a;
    struct oci_bundle *to;
    int rank; /* of its app */
};

/* The value is in the arena. */
static void take(struct taking *t, struct str name, struct str value)
{
    const struct meta_field *field = find_name(name);

    if (field != NULL)
        *meta_field_of(t->to, field) = value;
    else if (is_type(name))
        t->to->is_sandbox = str_eq(value, STR("sandbox"));
    else if (is_users(name))
        take_users(value, t->a, &t->to->meta);
    else
        meta_take_label(name, value, &t->rank, &t->to->meta);
}

/* {"name": "value", ...} or null */
static bool take_object(struct json_reader *r, struct taking *t)
{
    struct json_token key;
    struct err err;
    int e = json_object_or_null(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0) {
        struct str name = json_text(&key, t->a), value = STR_NULL;
        if (name.p == NULL)
            return false;
        if (!is_wanted(name))
            continue;
        if (!meta_take_string(r, t->a, &value))
            return false;
        take(t, name, value);
    }
    return e == 1;
}

/* ["name=value", ...] or null */
static bool take_list(struct json_reader *r, struct taking *t)
{
    struct json_token v;
    struct err err;

    if (json_next(r, &v, &err) < 0 || (v.type != JSON_ARRAY && v.type != JSON_NULL))
        return false;
    while (v.type != JSON_NULL) {
        struct str name, value;
        if (json_next(r, &v, &err) < 0)
            return false;
        if (v.type == JSON_ARRAY_END)
            break;
        if (v.type != JSON_STRING)
            return false;
        value = json_text(&v, t->a);
        if (value.p == NULL)
            return false;
        name = str_cut(&value, '=');
        if (!is_wanted(name))
            continue;
        value = arena_str(t->a, value);
        if (value.p == NULL)
            return false;
        take(t, name, value);
    }
    return true;
}

/* "config" of a state.json */
static bool take_config(struct json_reader *r, struct taking *t)
{
    struct json_token key;
    struct err err;
    int e = json_object(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0)
        if (str_eq(key.raw, STR("labels")) && !take_list(r, t))
            return false;
    return e == 1;
}

bool oci_bundle_parse(struct str text, struct arena *a, struct oci_bundle *ret)
{
    struct taking t = {.a = a, .to = ret};
    struct json_reader r;
    struct json_token key;
    struct err err;
    int e;

    memset(ret, 0, sizeof(*ret));
    e = json_reader_init_object(&r, text, &err);
    while (e == 0 && (e = json_member(&r, &key, &err)) == 0)
        if ((str_eq(key.raw, STR("annotations")) && !take_object(&r, &t)) ||
            (str_eq(key.raw, STR("config")) && !take_config(&r, &t)))
            return false;
    ret->meta.has_hints = true;
    return e == 1;
}

static const size_t TEXTS[] = {
    offsetof(struct oci_bundle, meta.namespace),
    offsetof(struct oci_bundle, meta.pod),
    offsetof(struct oci_bundle, meta.pod_uid),
    offsetof(struct oci_bundle, meta.name),
    offsetof(struct oci_bundle, meta.image),
    offsetof(struct oci_bundle, meta.image_digest),
    offsetof(struct oci_bundle, meta.restart),
    offsetof(struct oci_bundle, meta.app),
    offsetof(struct oci_bundle, meta.hints.exclude),
    offsetof(struct oci_bundle, meta.hints.redact),
    offsetof(struct oci_bundle, meta.hints.multiline),
    offsetof(struct oci_bundle, log_path),
};
enum { N_TEXTS = sizeof(TEXTS) / sizeof(TEXTS[0]) };

static struct str *text_of(struct oci_bundle *b, size_t i)
{
    return (struct str *)(void *)((char *)b + TEXTS[i]);
}

void *oci_bundle_copy(const struct oci_bundle *from, struct oci_bundle *ret, size_t *bytes)
{
    size_t n = 1;
    char *block, *at;

    *ret = *from;
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct str *s = text_of(ret, i);
        *s = str_sub(*s, 0, RECORD_LABEL_VALUE_MAX);
        n += s->n;
    }
    *bytes = n;
    block = at = mem_new(n);
    for (size_t i = 0; i < N_TEXTS; i++) {
        struct str *s = text_of(ret, i);
        if (s->n > 0)
            memcpy(at, s->p, s->n);
        s->p = at;
        at += s->n;
    }
    return block;
}
