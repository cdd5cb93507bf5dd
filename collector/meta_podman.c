/*
 * collector/meta_podman.c - names and images from the storage's containers.json.
 *
 * A log is at <graph>/<driver>-containers/<id>/userdata/ctr.log;
 * <graph>/<driver>-containers/containers.json (and volatile-containers.json for those that are
 * removed at exit) lists {"id", "names": [...], "metadata"}, where metadata is JSON in a string
 * with "image-name" and "name".  The labels of a container are only in podman's database: its app
 * is its name.  Its annotations are in the OCI configuration userdata/config.json: hints come from
 * there.
 */
#include "collector/meta.h"

#include "collector/oci_bundle.h"

#include <string.h>

enum { LIST_MAX = 16 << 20 };

/* {"image-name": ..., "image-id": ..., "name": ...} */
static bool take_metadata(struct str text, struct arena *a, struct meta *ret)
{
    struct str name = STR_NULL;
    struct json_reader r;
    struct json_token key;
    struct err err;

    json_reader_init(&r, text);
    if (json_next(&r, &key, &err) < 0 || key.type != JSON_OBJECT)
        return false;
    for (;;) {
        bool ok;
        if (json_next(&r, &key, &err) < 0)
            return false;
        if (key.type == JSON_OBJECT_END)
            break;
        if (str_eq(key.raw, STR("image-name")))
            ok = meta_take_string(&r, a, &ret->image);
        else if (str_eq(key.raw, STR("image-id")))
            ok = meta_take_string(&r, a, &ret->image_digest);
        else if (str_eq(key.raw, STR("name")))
            ok = meta_take_string(&r, a, &name);
        else
            ok = json_skip(&r, NULL, &err) == 0;
        if (!ok)
            return false;
    }
    if (name.n > 0)
        ret->name = name;
    return true;
}

/* The first of an array of strings. */
static bool take_first(struct json_reader *r, struct arena *a, struct str *ret)
{
    struct json_token v;
    struct err err;

    if (json_next(r, &v, &err) < 0)
        return false;
    if (v.type == JSON_NULL)
        return true;
    if (v.type != JSON_ARRAY)
        return false;
    for (;;) {
        struct str text;
        if (json_next(r, &v, &err) < 0)
            return false;
        if (v.type == JSON_ARRAY_END)
            return true;
        if (v.type != JSON_STRING)
            return false;
        text = json_text(&v, a);
        if (ret->n == 0 && text.p != NULL)
            *ret = arena_str(a, text);
    }
}

/* One container of the list, behind its {. */
static bool take_container(struct json_reader *r, struct arena *a, struct meta *ret)
{
    struct json_token key;
    struct err err;
    struct str metadata = STR_NULL;

    memset(ret, 0, sizeof(*ret));
    for (;;) {
        bool ok;
        if (json_next(r, &key, &err) < 0)
            return false;
        if (key.type == JSON_OBJECT_END)
            break;
        if (str_eq(key.raw, STR("id")))
            ok = meta_take_string(r, a, &ret->id);
        else if (str_eq(key.raw, STR("names")))
            ok = take_first(r, a, &ret->name);
        else if (str_eq(key.raw, STR("metadata")))
            ok = meta_take_string(r, a, &metadata);
        else
            ok = json_skip(r, NULL, &err) == 0;
        if (!ok)
            return false;
    }
    return metadata.n == 0 || take_metadata(metadata, a, ret);
}

/* Only the container that is asked for is kept: the others' texts stay in `scratch`. */
static bool find(struct str text, struct str id, struct arena *scratch, struct meta *ret)
{
    struct json_reader r;
    struct json_token t;
    struct err err;

    json_reader_init(&r, text);
    if (json_next(&r, &t, &err) < 0 || t.type != JSON_ARRAY)
        return false;
    for (;;) {
        arena_reset(scratch);
        if (json_next(&r, &t, &err) < 0 || t.type != JSON_OBJECT)
            return false;
        if (!take_container(&r, scratch, ret))
            return false;
        if (str_eq(ret->id, id))
            return ret->name.n > 0;
    }
}

struct podman_of {
    struct str id, dir; /* of the container, of the lists */
};

static bool look_in(struct opener *o, const char *list, const struct podman_of *c, struct arena *a,
                    struct meta *ret)
{
    struct arena *scratch = arena_new(NULL, LIST_MAX);
    struct str path = arena_printf(a, "%.*s/%s", STR_ARG(c->dir), list);
    struct meta found = {.id = STR_NULL};
    struct buf text;
    struct err err;
    bool ok;

    buf_init(&text, LIST_MAX);
    ok = path.p != NULL && opener_read(o, OPENER_META, path.p, &text, &err) == 0 &&
         find(buf_str(&text), c->id, scratch, &found);
    if (ok) {
        ret->name = arena_str(a, found.name);
        ret->image = arena_str(a, found.image);
        ret->image_digest = arena_str(a, found.image_digest);
    }
    buf_fini(&text);
    arena_free(&scratch);
    return ok;
}

static void look_for_hints(struct opener *o, struct str log_path, struct arena *a, struct meta *ret)
{
    struct str path = arena_printf(a, "%.*s/config.json", STR_ARG(meta_dir(log_path)));
    struct oci_bundle is;
    struct buf text;
    struct err err;

    buf_init(&text, OCI_BUNDLE_MAX);
    if (path.p != NULL && opener_read(o, OPENER_META, path.p, &text, &err) == 0 &&
        oci_bundle_parse(buf_str(&text), a, &is)) {
        ret->hints = is.meta.hints;
        ret->has_hints = true;
    }
    buf_fini(&text);
}

int meta_podman(struct opener *o, struct str log_path, struct arena *a, struct meta *ret)
{
    struct str container = meta_dir(meta_dir(log_path)); /* without userdata/ctr.log */
    struct podman_of c = {meta_base(container), meta_dir(container)};

    memset(ret, 0, sizeof(*ret));
    ret->id = arena_str(a, c.id);
    look_for_hints(o, log_path, a, ret);
    if (look_in(o, "containers.json", &c, a, ret) ||
        look_in(o, "volatile-containers.json", &c, a, ret))
        return 0;
    return 1;
}
