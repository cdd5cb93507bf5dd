/*
 * collector/meta_podman.c - names and images from the storage's containers.json.
 *
 * A log is at <graph>/<driver>-containers/<id>/userdata/ctr.log;
 * <graph>/<driver>-containers/containers.json (and volatile-containers.json for those that are
 * removed at exit) lists all of them: podman_lists.h.  The labels of a container are only in
 * podman's database: its app is its name.  Its annotations are in the OCI configuration
 * userdata/config.json: hints come from there.
 */
#include "collector/meta.h"

#include "collector/oci_bundle.h"
#include "collector/podman_lists.h"

#include <string.h>

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

static bool look_in(struct podman_lists *lists, const char *name, struct str container,
                    struct arena *a, struct meta *ret)
{
    struct str path = arena_printf(a, "%.*s/%s", STR_ARG(meta_dir(container)), name);

    return path.p != NULL && podman_lists_find(lists, path.p, meta_base(container), a, ret);
}

int meta_podman(struct opener *o, struct podman_lists *lists, struct str log_path, struct arena *a,
                struct meta *ret)
{
    struct str container = meta_dir(meta_dir(log_path)); /* without userdata/ctr.log */
    struct podman_lists *mine = lists == NULL ? podman_lists_new(o, 0) : lists;
    bool ok;

    memset(ret, 0, sizeof(*ret));
    ret->id = arena_str(a, meta_base(container));
    look_for_hints(o, log_path, a, ret);
    ok = look_in(mine, "containers.json", container, a, ret) ||
         look_in(mine, "volatile-containers.json", container, a, ret);
    if (lists == NULL)
        podman_lists_free(&mine);
    return ok ? 0 : 1;
}
