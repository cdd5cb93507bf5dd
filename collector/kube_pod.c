/* collector/kube_pod.c - contract: kube_pod.h. */
#include "collector/kube_pod.h"

#include "base/json.h"
#include "base/time.h"
#include "base/utf8.h"
#include "collector/meta.h"

#include <string.h>

/* What the API allows itself, and a little more. */
enum { TEXT_MAX = 256, LABEL_NAME_MAX = 320, IMAGE_MAX = 1024 };

enum { CRON_LATE_MAX_S = 7 * 24 * 3600, CRON_EARLY_MAX_S = 60 };

#define MIRROR STR("kubernetes.io/config.mirror")

struct parse {
    struct json_reader r;
    struct arena *a;
    struct kube_pod *pod;
    struct str mirror, created;
    struct profile_hints from_labels;
    struct err *err;
};

typedef int member_fn(struct parse *p, struct str key, void *to);

/* What is ill-formed would be another text once it is written. */
static bool is_fine(struct str s, size_t max)
{
    return s.n <= max && utf8_valid(s) == s.n;
}

/* The value that comes next; one that is no string, or longer than `max`, is none. */
static int take_text(struct parse *p, size_t max, struct str *ret)
{
    struct json_reader value;
    struct json_token t;
    struct str raw, text;
    int r = json_skip(&p->r, &raw, p->err);

    if (r < 0)
        return r;
    json_reader_init(&value, raw);
    r = json_next(&value, &t, p->err);
    if (r < 0)
        return r;
    *ret = STR_NULL;
    if (t.type != JSON_STRING)
        return 0;
    text = json_text(&t, p->a);
    if (text.p == NULL)
        return arena_err(p->a, p->err);
    if (is_fine(text, max))
        *ret = text;
    else
        p->pod->cut = true;
    return 0;
}

/* Call fn with each key of the object that comes next (null: none): it reads the value, or not. */
static int each_member(struct parse *p, member_fn *fn, void *to)
{
    struct json_token t;
    int r = json_object_or_null(&p->r, p->err);

    while (r == 0 && (r = json_member(&p->r, &t, p->err)) == 0) {
        struct str key = json_text(&t, p->a);
        r = key.p == NULL ? arena_err(p->a, p->err) : fn(p, key, to);
    }
    return r < 0 ? r : 0;
}

/* Call fn for each object in the array that comes next (null: none). */
static int each_item(struct parse *p, member_fn *fn, void *to, int (*done)(struct parse *, void *))
{
    struct json_token t;
    int r = json_next(&p->r, &t, p->err);

    if (r < 0 || t.type == JSON_NULL)
        return r;
    if (t.type != JSON_ARRAY)
        return err_set(p->err, ERR_CORRUPT, "no array at byte %zu of a pod", t.offset);
    for (;;) {
        struct json_reader behind;
        struct str raw;
        r = json_skip(&p->r, &raw, p->err);
        if (r != 0)
            return r < 0 ? r : 0;
        behind = p->r;
        json_reader_init(&p->r, raw);
        r = each_member(p, fn, to);
        p->r = behind;
        if (r == 0)
            r = done(p, to);
        if (r < 0)
            return r;
    }
}

/* ---- metadata ---- */

static void put(struct parse *p, struct label *v, size_t *n, size_t max, struct label item)
{
    if (*n < max)
        v[(*n)++] = item;
    else
        p->pod->cut = true;
}

static int take_label(struct parse *p, struct str key, void *to)
{
    struct str value;
    int r = take_text(p, TEXT_MAX, &value);

    (void)to;
    if (r < 0 || value.n == 0)
        return r;
    if (!is_fine(key, LABEL_NAME_MAX)) {
        p->pod->cut = true;
        return 0;
    }
    meta_take_hint(key, value, &p->from_labels);
    put(p, p->pod->labels, &p->pod->n_labels, KUBE_POD_LABELS_MAX, (struct label){key, value});
    return 0;
}

/* <container>.logq.io/<hint>: names of containers have no dot in them. */
static bool is_of_container(struct str key)
{
    struct profile_hints hints = {.types = 0};
    struct str rest = key, container = str_cut(&rest, '.');

    meta_take_hint(rest, container, &hints);
    return hints.exclude.n + hints.redact.n + hints.multiline.n > 0;
}

static int take_annotation(struct parse *p, struct str key, void *to)
{
    bool is_mirror = str_eq(key, MIRROR), is_own = is_of_container(key);
    struct kube_pod *pod = p->pod;
    struct str value;
    int r;

    (void)to;
    if (!is_mirror && !is_own && !str_starts(key, STR("logq.io/")))
        return 0;
    r = take_text(p, TEXT_MAX, &value);
    if (r < 0 || value.n == 0)
        return r;
    if (is_mirror)
        p->mirror = value;
    else if (is_own)
        put(p, pod->own, &pod->n_own, is_fine(key, LABEL_NAME_MAX) ? KUBE_POD_OWN_MAX : 0,
            (struct label){key, value});
    else
        meta_take_hint(key, value, &pod->hints);
    return 0;
}

struct owner {
    struct str kind, name;
    bool is_controller;
};

static int take_owner(struct parse *p, struct str key, void *to)
{
    struct owner *o = to;
    struct str raw;
    int r;

    if (str_eq(key, STR("kind")))
        return take_text(p, TEXT_MAX, &o->kind);
    if (str_eq(key, STR("name")))
        return take_text(p, TEXT_MAX, &o->name);
    if (!str_eq(key, STR("controller")))
        return 0;
    r = json_skip(&p->r, &raw, p->err);
    o->is_controller = r == 0 && str_eq(raw, STR("true"));
    return r;
}

static int lower(struct parse *p, struct str s, struct str *ret)
{
    char *to = arena_bytes(p->a, s.n);

    if (to == NULL)
        return arena_err(p->a, p->err);
    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 'a' - 'A') : s.p[i];
    *ret = (struct str){to, s.n};
    return 0;
}

static int put_owner(struct parse *p, void *to)
{
    struct owner *o = to;
    int r = 0;

    if (o->is_controller && o->kind.n > 0 && o->name.n > 0) {
        r = lower(p, o->kind, &p->pod->owner_kind);
        p->pod->owner = o->name;
    }
    *o = (struct owner){.is_controller = false};
    return r;
}

static int take_metadata(struct parse *p, struct str key, void *to)
{
    struct kube_pod *pod = p->pod;
    struct owner owner = {.is_controller = false};

    (void)to;
    if (str_eq(key, STR("uid")))
        return take_text(p, KUBE_POD_UID_MAX, &pod->uid);
    if (str_eq(key, STR("namespace")))
        return take_text(p, TEXT_MAX, &pod->namespace);
    if (str_eq(key, STR("name")))
        return take_text(p, TEXT_MAX, &pod->name);
    if (str_eq(key, STR("resourceVersion")))
        return take_text(p, TEXT_MAX, &pod->version);
    if (str_eq(key, STR("creationTimestamp")))
        return take_text(p, TEXT_MAX, &p->created);
    if (str_eq(key, STR("labels")))
        return each_member(p, take_label, NULL);
    if (str_eq(key, STR("annotations")))
        return each_member(p, take_annotation, NULL);
    if (str_eq(key, STR("ownerReferences")))
        return each_item(p, take_owner, &owner, put_owner);
    return 0;
}

/* ---- spec ---- */

static int take_container(struct parse *p, struct str key, void *to)
{
    struct label *c = to;

    if (str_eq(key, STR("name")))
        return take_text(p, TEXT_MAX, &c->name);
    if (str_eq(key, STR("image")))
        return take_text(p, IMAGE_MAX, &c->value);
    return 0;
}

static int put_container(struct parse *p, void *to)
{
    struct label *c = to;

    if (c->name.n > 0 && c->value.n > 0)
        put(p, p->pod->images, &p->pod->n_images, KUBE_POD_CONTAINERS_MAX, *c);
    *c = (struct label){STR_NULL, STR_NULL};
    return 0;
}

static int take_spec(struct parse *p, struct str key, void *to)
{
    struct label c = {STR_NULL, STR_NULL};

    (void)to;
    if (str_eq(key, STR("nodeName")))
        return take_text(p, TEXT_MAX, &p->pod->node);
    if (str_eq(key, STR("containers")) || str_eq(key, STR("initContainers")) ||
        str_eq(key, STR("ephemeralContainers")))
        return each_item(p, take_container, &c, put_container);
    return 0;
}

static int take_top(struct parse *p, struct str key, void *to)
{
    if (str_eq(key, STR("metadata")))
        return each_member(p, take_metadata, to);
    if (str_eq(key, STR("spec")))
        return each_member(p, take_spec, to);
    return 0;
}

/* ---- the whole ---- */

static void prefer(struct str *to, struct str other)
{
    if (to->n == 0)
        *to = other;
}

/* A deployment makes replica sets called <itself>-<hash of the template>, and these the pods. */
static void find_deployment(struct kube_pod *pod)
{
    struct str hash = kube_pod_label(pod, STR("pod-template-hash"));
    size_t n = pod->owner.n;

    if (!str_eq(pod->owner_kind, STR("replicaset")) || hash.n == 0 || n < hash.n + 2 ||
        !str_ends(pod->owner, hash) || pod->owner.p[n - hash.n - 1] != '-')
        return;
    pod->owner_kind = STR("deployment");
    pod->owner = str_sub(pod->owner, 0, n - hash.n - 1);
}

/*
 * A cron job makes jobs called <itself>-<minute since 1970 that it was due in>, and these the pods.
 * Only the job itself says so, which we may not read; but who else calls a job by the minute that
 * it begins in?  (A date, 20261122, would be a minute of the year 2008.)
 */
static void find_cron_job(struct kube_pod *pod, struct str created)
{
    size_t dash = pod->owner.n;
    int64_t minute, late_s;
    struct str number;
    ts_ns at;

    while (dash > 0 && pod->owner.p[dash - 1] != '-')
        dash--;
    number = str_from(pod->owner, dash);
    if (!str_eq(pod->owner_kind, STR("job")) || dash < 2 || number.n != 8 || number.p[0] == '0' ||
        !str_to_i64(number, &minute) || !time_parse_rfc3339(created, &at))
        return;
    late_s = at / NS_PER_S - minute * 60;
    if (late_s < -CRON_EARLY_MAX_S || late_s > CRON_LATE_MAX_S)
        return;
    pod->owner_kind = STR("cronjob");
    pod->owner = str_sub(pod->owner, 0, dash - 1);
}

int kube_pod_parse(struct str object, struct arena *a, struct kube_pod *ret, struct err *err)
{
    struct parse p = {.a = a, .pod = ret, .err = err};
    struct json_token t;
    int r;

    memset(ret, 0, sizeof(*ret));
    json_reader_init(&p.r, object);
    r = each_member(&p, take_top, NULL);
    if (r == 0)
        r = json_next(&p.r, &t, err);
    if (r == 0 && str_trim(json_rest(&p.r)).n > 0)
        r = err_set(err, ERR_CORRUPT, "something stands behind a pod");
    if (r < 0)
        return r;
    prefer(&ret->hints.exclude, p.from_labels.exclude);
    prefer(&ret->hints.redact, p.from_labels.redact);
    prefer(&ret->hints.multiline, p.from_labels.multiline);
    if (p.mirror.n > 0 && p.mirror.n <= KUBE_POD_UID_MAX)
        ret->uid = p.mirror;
    find_deployment(ret);
    find_cron_job(ret, p.created);
    return 0;
}

static void put_text(struct json_writer *w, const char *key, struct str value)
{
    if (value.n > 0)
        json_put_kv_str(w, key, value);
}

static void put_owners(struct json_writer *w, const struct kube_pod *pod)
{
    if (pod->owner.n == 0)
        return;
    json_put_key(w, STR("ownerReferences"));
    json_put_array(w);
    json_put_object(w);
    json_put_kv_str(w, "kind", pod->owner_kind);
    json_put_kv_str(w, "name", pod->owner);
    json_put_key(w, STR("controller"));
    json_put_bool(w, true);
    json_put_object_end(w);
    json_put_array_end(w);
}

static void put_metadata(struct json_writer *w, const struct kube_pod *pod)
{
    put_text(w, "uid", pod->uid);
    put_text(w, "namespace", pod->namespace);
    put_text(w, "name", pod->name);
    json_put_key(w, STR("labels"));
    json_put_object(w);
    for (size_t i = 0; i < pod->n_labels; i++) {
        json_put_key(w, pod->labels[i].name);
        json_put_string(w, pod->labels[i].value);
    }
    json_put_object_end(w);
    json_put_key(w, STR("annotations"));
    json_put_object(w);
    put_text(w, "logq.io/exclude", pod->hints.exclude);
    put_text(w, "logq.io/redact", pod->hints.redact);
    put_text(w, "logq.io/multiline", pod->hints.multiline);
    for (size_t i = 0; i < pod->n_own; i++) {
        json_put_key(w, pod->own[i].name);
        json_put_string(w, pod->own[i].value);
    }
    json_put_object_end(w);
    put_owners(w, pod);
}

void kube_pod_write(const struct kube_pod *pod, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_key(&w, STR("metadata"));
    json_put_object(&w);
    put_metadata(&w, pod);
    json_put_object_end(&w);
    json_put_key(&w, STR("spec"));
    json_put_object(&w);
    put_text(&w, "nodeName", pod->node);
    json_put_key(&w, STR("containers"));
    json_put_array(&w);
    for (size_t i = 0; i < pod->n_images; i++) {
        json_put_object(&w);
        json_put_kv_str(&w, "name", pod->images[i].name);
        json_put_kv_str(&w, "image", pod->images[i].value);
        json_put_object_end(&w);
    }
    json_put_array_end(&w);
    json_put_object_end(&w);
    json_put_object_end(&w);
}

static struct str find(const struct label *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, name))
            return v[i].value;
    return STR_NULL;
}

struct str kube_pod_label(const struct kube_pod *pod, struct str name)
{
    return find(pod->labels, pod->n_labels, name);
}

struct str kube_pod_image(const struct kube_pod *pod, struct str container)
{
    return find(pod->images, pod->n_images, container);
}

void kube_pod_hints(const struct kube_pod *pod, struct str container, struct profile_hints *ret)
{
    *ret = pod->hints;
    for (size_t i = 0; i < pod->n_own; i++) {
        struct str rest = pod->own[i].name;
        if (str_eq(str_cut(&rest, '.'), container))
            meta_take_hint(rest, pod->own[i].value, ret);
    }
}

void kube_pod_label_name(struct str name, struct buf *out)
{
    if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9'))
        buf_add_char(out, '_');
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        buf_add_char(out, ok ? c : '_');
    }
}
