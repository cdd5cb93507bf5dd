/*
 * collector/meta_docker.c - <id>/config.v2.json, which Docker replaces atomically whenever
 * something changes.
 */
#include "collector/meta.h"

#include <string.h>

enum { CONFIG_MAX = 8 << 20 };

/* "Config": Image and Labels. */
static bool take_config(struct json_reader *r, struct arena *a, struct meta *ret)
{
    struct json_token key;
    struct err err;
    int e = json_object(r, &err);

    while (e == 0 && (e = json_member(r, &key, &err)) == 0) {
        bool ok = true;
        if (str_eq(key.raw, STR("Image")))
            ok = meta_take_string(r, a, &ret->image);
        else if (str_eq(key.raw, STR("Labels")))
            ok = meta_take_labels(r, a, ret);
        if (!ok)
            return false;
    }
    return e == 1;
}

static bool parse(struct str text, struct arena *a, struct meta *ret)
{
    struct str name = STR_NULL;
    struct json_reader r;
    struct json_token key;
    struct err err;
    int e = json_reader_init_object(&r, text, &err);

    while (e == 0 && (e = json_member(&r, &key, &err)) == 0) {
        bool ok = true;
        if (str_eq(key.raw, STR("ID")))
            ok = meta_take_string(&r, a, &ret->id);
        else if (str_eq(key.raw, STR("Name")))
            ok = meta_take_string(&r, a, &name);
        else if (str_eq(key.raw, STR("Image")))
            ok = meta_take_string(&r, a, &ret->image_digest);
        else if (str_eq(key.raw, STR("Config")))
            ok = take_config(&r, a, ret);
        if (!ok)
            return false;
    }
    if (ret->name.n == 0) /* else the name that Kubernetes gave it */
        ret->name = str_from(name, str_starts(name, STR("/")) ? 1 : 0);
    return e == 1 && ret->name.n > 0;
}

int meta_docker(struct opener *o, struct str log_path, struct str docker_root, struct arena *a,
                struct meta *ret)
{
    struct str dir = meta_dir(log_path);
    struct str id = meta_base(dir);
    struct meta found = {.id = STR_NULL};
    struct str path;
    struct buf text;
    struct err err;
    bool ok;

    memset(ret, 0, sizeof(*ret));
    ret->id = arena_str(a, id);
    if (docker_root.n > 0)
        path = arena_printf(a, "%.*s/%.*s/config.v2.json", STR_ARG(docker_root), STR_ARG(id));
    else
        path = arena_printf(a, "%.*s/config.v2.json", STR_ARG(dir));
    if (path.p == NULL)
        return 1;
    buf_init(&text, CONFIG_MAX);
    ok = opener_read(o, OPENER_META, path.p, &text, &err) == 0 && parse(buf_str(&text), a, &found);
    buf_fini(&text);
    if (!ok)
        return 1;
    if (found.id.n == 0)
        found.id = ret->id;
    found.has_hints = true;
    *ret = found;
    return 0;
}
