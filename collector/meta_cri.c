/*
 * collector/meta_cri.c - /var/log/pods/<namespace>_<pod>_<uid>/<container>/<restart>.log says it
 * all.
 *
 * Neither a namespace nor a pod's name may hold an underscore, so the cuts are exact.
 */
#include "collector/meta.h"

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
    struct json_token v;
    struct err err;
    struct str text;

    if (json_next(r, &v, &err) < 0)
        return false;
    if (v.type == JSON_NULL)
        return true;
    if (v.type != JSON_STRING)
        return false;
    text = json_text(&v, a);
    *ret = text.p == NULL ? STR_NULL : arena_str(a, text);
    return ret->p != NULL;
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

void meta_take_hint(struct str name, struct str value, struct profile_hints *ret)
{
    if (!str_starts(name, STR("logq.io/")))
        return;
    if (str_eq(name, STR("logq.io/exclude")))
        ret->exclude = value;
    else if (str_eq(name, STR("logq.io/redact")))
        ret->redact = value;
    else if (str_eq(name, STR("logq.io/multiline")))
        ret->multiline = value;
}

bool meta_take_labels(struct json_reader *r, struct arena *a, struct meta *ret)
{
    struct json_token key;
    struct err err;
    int best = 0;

    if (json_next(r, &key, &err) < 0 || (key.type != JSON_OBJECT && key.type != JSON_NULL))
        return false;
    while (key.type != JSON_NULL) {
        struct str value = STR_NULL, name;
        int rank;
        if (json_next(r, &key, &err) < 0)
            return false;
        if (key.type == JSON_OBJECT_END)
            break;
        name = json_text(&key, a);
        if (key.type != JSON_KEY || name.p == NULL || !meta_take_string(r, a, &value))
            return false;
        rank = app_rank(name);
        if (rank > best && value.n > 0) {
            best = rank;
            ret->app = value;
        }
        if (str_eq(name, STR("io.kubernetes.pod.namespace")))
            ret->namespace = value;
        else if (str_eq(name, STR("io.kubernetes.pod.name")))
            ret->pod = value;
        else if (str_eq(name, STR("io.kubernetes.pod.uid")))
            ret->pod_uid = value;
        else if (str_eq(name, STR("io.kubernetes.container.name")))
            ret->name = value;
        else
            meta_take_hint(name, value, &ret->hints);
    }
    return true;
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
