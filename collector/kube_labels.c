/* collector/kube_labels.c - contract: kube_labels.h. */
#include "collector/kube_labels.h"

#include "collector/metrics.h"

#include <fnmatch.h>
#include <string.h>

enum { NAME_BYTES = 512, ATTRS_ROOM = KUBE_LABELS_ATTRS_MAX + 3 };

static bool fits(const struct conf_strs *globs, const char *name)
{
    for (size_t i = 0; i < globs->n; i++)
        if (fnmatch(globs->v[i].p, name, 0) == 0) /* conf.h: NUL-terminated */
            return true;
    return false;
}

/* Names that say whose log it is. */
static bool is_ours(struct str name)
{
    static const char *const NAMES[] = {"host",  "source", "runtime", "namespace", "pod",
                                        "image", "stream", "app",     "container", "level"};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (str_eq(name, str_of(NAMES[i])))
            return true;
    return false;
}

/* `prefix` and the label's name as one of ours, in the arena. */
static struct str name_of(const char *prefix, struct str name, struct arena *a)
{
    struct buf text;
    struct str made = STR_NULL;

    buf_init(&text, NAME_BYTES);
    buf_add_z(&text, prefix);
    kube_pod_label_name(name, &text);
    if (!text.over)
        made = arena_str(a, buf_str(&text));
    buf_fini(&text);
    return made;
}

/* `room`: bytes that there may be yet of both kinds. */
static void put(struct labels *l, size_t max, size_t *room, struct str name, struct str value)
{
    if (name.n == 0 || value.n == 0)
        return;
    if (l->n == max || name.n + value.n > *room) {
        metric_add(METRIC_KUBE_REFUSED, 1);
        return;
    }
    *room -= name.n + value.n;
    l->v[l->n++] = (struct label){name, value};
}

static void take_labels(const struct kube_pod *pod, const struct config_kube *config, size_t room,
                        struct arena *a, struct kube_labels *ret)
{
    size_t max_attrs = ret->attrs.n + KUBE_LABELS_ATTRS_MAX;
    char z[NAME_BYTES];

    for (size_t i = 0; i < pod->n_labels; i++) {
        const struct label *l = &pod->labels[i];
        struct str name = name_of("", l->name, a);
        (void)str_to_z(l->name, z, sizeof(z));
        if (fits(&config->labels, z) && !is_ours(name))
            put(&ret->labels, KUBE_LABELS_MAX, &room, name, l->value);
        else if (fits(&config->attributes, z))
            put(&ret->attrs, max_attrs, &room, name_of("label_", l->name, a), l->value);
    }
}

static void prefer(struct str *to, struct str other)
{
    if (other.n > 0)
        *to = other;
}

int kube_labels_find(const struct kube_pods *pods, const struct config_kube *config, struct meta *m,
                     struct arena *a, struct kube_labels *ret)
{
    size_t room = KUBE_LABELS_BYTES_MAX;
    struct profile_hints hints;
    struct kube_pod pod;

    memset(ret, 0, sizeof(*ret));
    if (pods == NULL || m->pod_uid.n == 0)
        return 0;
    if (!kube_pods_find(pods, m->pod_uid, m->namespace, m->pod, a, &pod))
        return 1;
    ret->labels.v = arena_alloc(a, KUBE_LABELS_MAX * sizeof(struct label));
    ret->attrs.v = arena_alloc(a, ATTRS_ROOM * sizeof(struct label));
    if (ret->labels.v == NULL || ret->attrs.v == NULL)
        return 1;
    put(&ret->attrs, ATTRS_ROOM, &room, STR("node"), pod.node); /* first: labels leave no room */
    put(&ret->attrs, ATTRS_ROOM, &room, STR("owner"), pod.owner);
    put(&ret->attrs, ATTRS_ROOM, &room, STR("owner_kind"), pod.owner_kind);
    take_labels(&pod, config, room, a, ret);
    if (m->image.n == 0)
        m->image = kube_pod_image(&pod, m->name);
    prefer(&m->app, kube_pod_label(&pod, STR("app")));
    prefer(&m->app, kube_pod_label(&pod, STR("app.kubernetes.io/name")));
    kube_pod_hints(&pod, m->name, &hints);
    prefer(&m->hints.exclude, hints.exclude);
    prefer(&m->hints.redact, hints.redact);
    prefer(&m->hints.multiline, hints.multiline);
    return 0;
}
