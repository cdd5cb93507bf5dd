/*
 * collector/meta_cri.c - /var/log/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log says it
 * all.
 *
 * Neither a namespace nor a pod's name may hold an underscore, so the cuts are exact.
 */
#include "collector/meta.h"

#include <stddef.h>
#include <string.h>

struct str meta_dir(struct str path)
{
    size_t n = path.n;

    while (n > 0 && path.p[n - 1] != '/')
        n--;
    return str_sub(path, 0, n > 1 ? n - 1 : n);
}

struct str meta_base(struct str path)
{
    size_t n = path.n;

    while (n > 0 && path.p[n - 1] != '/')
        n--;
    return str_from(path, n);
}

bool meta_take_string(struct json_reader *r, struct arena *a, struct str *ret)
{
    struct str text = STR_NULL;
    struct err err;

    if (json_string_or_null(r, a, &text, &err) < 0)
        return false;
    if (text.p == NULL)
        return true; /* null */
    *ret = arena_str(a, text);
    return ret->p != NULL;
}

const struct meta_field *meta_field_find(const struct meta_field *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, name))
            return &v[i];
    return NULL;
}

struct str *meta_field_of(void *object, const struct meta_field *field)
{
    return (struct str *)(void *)((char *)object + field->at);
}

/* Higher wins: the first of these that a container has is its app. */
static int app_rank(struct str key)
{
    if (str_eq(key, STR("app.kubernetes.io/name")))
        return 3;
    if (str_eq(key, STR("app")))
        return 2;
    return str_eq(key, STR("com.docker.compose.service")) ? 1 : 0;
}

static const struct meta_field NAMES[] = {
    {STR_INIT("io.kubernetes.pod.namespace"), offsetof(struct meta, namespace)},
    {STR_INIT("io.kubernetes.pod.name"), offsetof(struct meta, pod)},
    {STR_INIT("io.kubernetes.pod.uid"), offsetof(struct meta, pod_uid)},
    {STR_INIT("io.kubernetes.container.name"), offsetof(struct meta, name)},
};
enum { N_NAMES = sizeof(NAMES) / sizeof(NAMES[0]) };

static const struct meta_field *find_name(struct str name)
{
    return meta_field_find(NAMES, N_NAMES, name);
}

bool meta_is_wanted(struct str name)
{
    return app_rank(name) > 0 || find_name(name) != NULL || str_starts(name, STR("logq.io/"));
}

void meta_take_hint(struct str name, struct str value, struct profile_hints *ret)
{
    if (str_eq(name, STR("logq.io/exclude")))
        ret->exclude = value;
    else if (str_eq(name, STR("logq.io/redact")))
        ret->redact = value;
    else if (str_eq(name, STR("logq.io/multiline")))
        ret->multiline = value;
}

void meta_take_label(struct str name, struct str value, int *rank, struct meta *ret)
{
    const struct meta_field *field = find_name(name);
    int mine = app_rank(name);

    if (field != NULL)
        *meta_field_of(ret, field) = value;
    else
        meta_take_hint(name, value, &ret->hints);
    if (mine > *rank && value.n > 0) {
        *rank = mine;
        ret->app = value;
    }
}

bool meta_take_labels(struct json_reader *r, struct arena *a, struct meta *ret)
{
    struct json_token key;
    struct err err;
    int rank = 0;
    int e = json_object_or_null(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0) {
        struct str value = STR_NULL, name = json_text(&key, a);
        if (name.p == NULL || (meta_is_wanted(name) && !meta_take_string(r, a, &value)))
            return false;
        meta_take_label(name, value, &rank, ret);
    }
    return e == 1;
}

int meta_cri(struct str log_path, struct arena *a, struct meta *ret)
{
    struct str file = meta_base(log_path);
    struct str container = meta_base(meta_dir(log_path));
    struct str pod = meta_base(meta_dir(meta_dir(log_path)));
    struct str namespace = str_cut(&pod, '_');
    struct str name = str_cut(&pod, '_');
    size_t dot = str_find_char(file, '.');

    memset(ret, 0, sizeof(*ret));
    if (namespace.n == 0 || name.n == 0 || pod.n == 0) {
        /* No pod's directory: whoever wrote this named the file, or else the directory, after the
         * source. */
        struct str stem = str_sub(file, 0, dot);
        uint64_t number;
        ret->name = arena_str(a, str_to_u64(stem, &number) ? container : stem);
        return 0;
    }
    ret->name = arena_str(a, container);
    ret->namespace = arena_str(a, namespace);
    ret->pod = arena_str(a, name);
    ret->pod_uid = arena_str(a, pod);
    ret->restart = arena_str(a, str_sub(file, 0, dot));
    return 0;
}
