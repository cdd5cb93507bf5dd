/* collector/source.c - contract: source.h. */
#include "collector/source.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/record.h"
#include "collector/containers.h"
#include "collector/kube_labels.h"
#include "collector/meta.h"
#include "collector/metrics.h"
#include "collector/patterns.h"
#include "collector/spool.h"

#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = RECORD_LABELS_MAX, SHORT_ID = 12, RECALL_BYTES = 128 << 10 };

static decode_fn *decoder_of(enum source_kind kind)
{
    switch (kind) {
    case SOURCE_DOCKER:
        return decode_json;
    case SOURCE_CRI:
    case SOURCE_PODMAN:
        return decode_cri;
    case SOURCE_PODMAN_EVENTS_FILE:
        return decode_podman_event;
    case SOURCE_SPOOL_DOCKER:
    case SOURCE_SPOOL_PODMAN:
        return decode_docker_event;
    case SOURCE_SPOOL_OWN:
        return decode_gap;
    case SOURCE_SPOOL_FORWARD:
        return decode_forward;
    case SOURCE_SPOOL_JOURNALD:
        return decode_journal;
    case SOURCE_JSON:
        return decode_json_line;
    case SOURCE_FILE:
        break;
    }
    return decode_plain;
}

struct str source_podman_events_file(const struct config_source *conf)
{
    return conf->events_file.n > 0 ? conf->events_file : STR("/run/libpod/events/events.log");
}

/* Which lines are one record. */
static bool is_start(const void *arg, struct str line)
{
    return patterns_matches(arg, line);
}

void source_trace(const struct config_source *conf, struct trace_rule *ret, struct pattern **start)
{
    struct err err;

    *start = NULL;
    *ret = (struct trace_rule){.format = (enum trace_format)conf->multiline.format};
    if (conf->multiline.start.n == 0)
        return;
    INVARIANT(patterns_new(conf->multiline.start, start, &err) == 0); /* config.c has tried it */
    *ret = (struct trace_rule){.format = TRACE_START, .starts = is_start, .arg = *start};
}

static struct source *add(struct source_set *s, enum source_kind kind)
{
    struct source *v = &s->v[s->n++];

    v->set = s;
    v->kind = kind;
    v->decode = decoder_of(kind);
    return v;
}

static struct conf_strs one_path(struct arena *a, struct str path)
{
    struct conf_strs v = {arena_alloc(a, sizeof(struct str)), 1};

    if (v.v == NULL)
        return (struct conf_strs){NULL, 0};
    v.v[0] = path;
    return v;
}

static struct source *add_spool(struct source_set *s, enum source_kind kind, const char *name)
{
    struct source *v = add(s, kind);
    struct config *c = s->config;

    v->is_spool = true;
    if (kind == SOURCE_SPOOL_FORWARD) /* where one of its files ends is nobody's business */
        v->rates = mem_new(sizeof(*v->rates));
    v->paths = one_path(c->arena, arena_printf(c->arena, "%.*s/" SPOOL_DIR "/%s/*" SPOOL_SUFFIX,
                                               STR_ARG(c->state_dir), name));
    return v;
}

static void add_input(struct source_set *s, const struct config_source *conf, bool podman_by_file)
{
    struct source *v;

    switch ((enum config_input)conf->type) {
    case CONFIG_DOCKER:
    case CONFIG_CRI:
    case CONFIG_PODMAN:
    case CONFIG_FILE:
    case CONFIG_JSON:
        v = add(s, (enum source_kind)conf->type);
        v->paths = conf->paths.n > 0 ? conf->paths : config_default_paths(conf->type);
        v->exclude = conf->exclude;
        v->from_end = conf->read_from == CONFIG_READ_END;
        v->conf = conf;
        v->keys = (struct decode_keys){conf->time_key, conf->level_key, conf->message_key};
        source_trace(conf, &v->trace, &v->start);
        return;
    case CONFIG_PODMAN_EVENTS:
        if (podman_by_file) {
            v = add(s, SOURCE_PODMAN_EVENTS_FILE);
            v->paths = one_path(s->config->arena, source_podman_events_file(conf));
            v->conf = conf;
        }
        return;
    case CONFIG_DOCKER_EVENTS:
    case CONFIG_FORWARD:
    case CONFIG_JOURNALD:
        return; /* what comes from there is in a spool */
    }
}

struct source_set *source_set_new(struct config *config, struct opener *o, bool podman_by_file)
{
    struct source_set *s = mem_new(sizeof(*s));
    struct err err;

    s->refs = 1;
    s->config = config;
    INVARIANT(profiles_new(config, &s->profiles, &err) == 0); /* config.c has tried it */
    s->opener = o;
    s->v = mem_new((config->n_sources + 5) * sizeof(*s->v));
    for (size_t i = 0; i < config->n_sources; i++)
        add_input(s, &config->sources[i], podman_by_file);
    (void)add_spool(s, SOURCE_SPOOL_DOCKER, SPOOL_DOCKER);
    (void)add_spool(s, SOURCE_SPOOL_PODMAN, SPOOL_PODMAN);
    (void)add_spool(s, SOURCE_SPOOL_OWN, SPOOL_OWN);
    add_spool(s, SOURCE_SPOOL_FORWARD, SPOOL_FORWARD)->conf =
        config_find_source(config, CONFIG_FORWARD);
    add_spool(s, SOURCE_SPOOL_JOURNALD, SPOOL_JOURNALD)->conf =
        config_find_source(config, CONFIG_JOURNALD);
    return s;
}

struct source_set *source_set_ref(struct source_set *s)
{
    s->refs++;
    return s;
}

void source_set_unref(struct source_set **ps)
{
    struct source_set *s = *ps;

    *ps = NULL;
    if (s == NULL || --s->refs > 0)
        return;
    profiles_free(&s->profiles);
    for (size_t i = 0; i < s->n; i++) {
        patterns_free(&s->v[i].start);
        if (s->v[i].rates != NULL)
            free(s->v[i].rates->buckets);
        free(s->v[i].rates);
    }
    config_free(&s->config);
    free(s->v);
    free(s);
}

void source_set_pods(struct source_set *s, const struct kube_pods *pods)
{
    s->pods = pods;
}

struct config *source_set_release(struct source_set **ps)
{
    struct config *config = (*ps)->config;

    INVARIANT((*ps)->refs == 1);
    profiles_free(&(*ps)->profiles); /* they borrow from it */
    (*ps)->config = NULL;
    source_set_unref(ps);
    return config;
}

/* ---- labels ---- */

struct set {
    struct arena *a;
    struct label v[2 * LABELS_MAX + 16];
    size_t n;
};

/* A longer value would make a message that no server takes. */
static void put_any(struct set *s, struct str name, struct str value)
{
    if (s->n < sizeof(s->v) / sizeof(s->v[0]))
        s->v[s->n++] = (struct label){name, str_sub(value, 0, RECORD_LABEL_VALUE_MAX)};
}

static void put(struct set *s, const char *name, struct str value)
{
    if (value.n > 0)
        put_any(s, str_of(name), value);
}

/* An empty one takes the place of what was put before. */
static void put_all(struct set *s, const struct labels *l)
{
    for (size_t i = 0; i < l->n; i++)
        put_any(s, l->v[i].name, l->v[i].value);
}

static int finish(struct set *s, struct labels *ret)
{
    struct labels sorted = {s->v, labels_sort(s->v, s->n)};
    struct err err;

    if (sorted.n > LABELS_MAX)
        sorted.n = LABELS_MAX;
    return labels_copy(s->a, &sorted, ret, &err);
}

/* Asked for once; a question that was given up is no answer. */
static const char *cri_runtime(struct source_set *s)
{
    struct stat st;
    struct err err;
    int r;

    if (s->cri_runtime != NULL)
        return s->cri_runtime;
    r = opener_stat(s->opener, SOURCE_CRIO_SOCKET, &st, &err);
    if (r == 0)
        s->cri_runtime = "cri-o";
    else if (r == ERR_GONE || r == ERR_DENIED)
        s->cri_runtime = "containerd";
    return r == 0 ? "cri-o" : "containerd";
}

static struct str runtime_of(const struct source *s)
{
    switch (s->kind) {
    case SOURCE_DOCKER:
    case SOURCE_SPOOL_DOCKER:
        return STR("docker");
    case SOURCE_PODMAN:
    case SOURCE_PODMAN_EVENTS_FILE:
    case SOURCE_SPOOL_PODMAN:
        return STR("podman");
    case SOURCE_CRI:
        return s->conf->runtime.n > 0 ? s->conf->runtime : str_of(cri_runtime(s->set));
    case SOURCE_FILE:
    case SOURCE_JSON:
    case SOURCE_SPOOL_OWN:
    case SOURCE_SPOOL_FORWARD: /* its lines say */
    case SOURCE_SPOOL_JOURNALD:
        break;
    }
    return STR_NULL;
}

static struct str source_of(enum source_kind kind)
{
    switch (kind) {
    case SOURCE_FILE:
    case SOURCE_JSON:
        return STR("file");
    case SOURCE_SPOOL_OWN:
        return STR("logq");
    case SOURCE_SPOOL_FORWARD:
        return STR("forward");
    case SOURCE_SPOOL_JOURNALD:
        return STR("journald"); /* of entries of containers: decode_journal.c */
    case SOURCE_SPOOL_DOCKER:
        return STR("docker_events");
    case SOURCE_SPOOL_PODMAN:
    case SOURCE_PODMAN_EVENTS_FILE:
        return STR("podman_events");
    case SOURCE_DOCKER:
    case SOURCE_CRI:
    case SOURCE_PODMAN:
        break;
    }
    return STR("container");
}

/* Of a program, not of the engine or of us: rules, select and hints are for these. */
static bool is_log(const struct source *s)
{
    switch (s->kind) {
    case SOURCE_DOCKER:
    case SOURCE_CRI:
    case SOURCE_PODMAN:
    case SOURCE_FILE:
    case SOURCE_JSON:
        return true;
    case SOURCE_SPOOL_FORWARD:
        return s->conf != NULL;
    case SOURCE_PODMAN_EVENTS_FILE:
    case SOURCE_SPOOL_DOCKER:
    case SOURCE_SPOOL_PODMAN:
    case SOURCE_SPOOL_OWN:
    case SOURCE_SPOOL_JOURNALD:
        break;
    }
    return false;
}

const struct profile *source_profile(const struct source *s, struct str path,
                                     const struct labels *labels, unsigned types)
{
    static const struct labels NONE = {NULL, 0};
    struct profile_hints hints = {.types = 0};
    const struct profile *p;
    struct arena *a;

    if (!is_log(s)) /* events were redacted before they were spooled */
        return profile_of_other(s->set->profiles, s->is_spool && s->kind != SOURCE_SPOOL_FORWARD);
    a = arena_new(NULL, RECALL_BYTES);
    if (path.n > 0)
        containers_hints(s->set->containers, s->conf, path, a, &hints);
    hints.types = types;
    p = profile_of_log(s->set->profiles, s->conf, labels == NULL ? &NONE : labels, &hints);
    arena_free(&a);
    return p;
}

int source_describe(const struct source *s, struct str path, bool last_try, struct arena *a,
                    struct source_description *ret)
{
    struct set l = {.a = a}, t = {.a = a};
    const struct config *c = s->set->config;
    struct containers_question q = {s->set->opener, s->conf, path, last_try};
    struct kube_labels pod = {{NULL, 0}, {NULL, 0}};
    struct meta m;
    bool unknown = containers_find(s->set->containers, &q, a, &m) != 0;
    bool no_pod = !unknown && kube_labels_find(s->set->pods, &c->kube, &m, a, &pod) != 0;

    if ((unknown || no_pod) && !last_try)
        return 1;
    if (!unknown && s->set->pods != NULL && !no_pod)
        containers_set_hints(s->set->containers, s->conf, path, &m.hints);
    if (no_pod) {
        metric_add(METRIC_KUBE_UNKNOWN, 1);
        containers_hints(s->set->containers, s->conf, path, a, &m.hints);
    }
    put_all(&l, &pod.labels); /* first: what we say ourselves wins */
    put_all(&t, &pod.attrs);
    if (unknown) {
        m.name = str_sub(m.id, 0, SHORT_ID);
        put(&t, "unresolved", STR("true"));
        metric_add(METRIC_UNRESOLVED, 1);
    }
    put(&l, "host", c->host);
    put(&l, "source", source_of(s->kind));
    put(&l, "runtime", runtime_of(s));
    put(&l, "namespace", m.namespace);
    put(&l, "pod", m.pod);
    put(&l, "container", m.name);
    put(&l, "image", m.image);
    put(&l, "app", m.app.n > 0 ? m.app : m.name);
    put_all(&l, &c->labels);
    if (s->conf != NULL)
        put_all(&l, &s->conf->labels); /* the later of two with one name wins */
    put(&t, "container_id", m.id);
    put(&t, "image_digest", m.image_digest);
    put(&t, "pod_uid", m.pod_uid);
    put(&t, "restart", m.restart);
    if (s->kind == SOURCE_FILE || s->kind == SOURCE_JSON)
        put(&t, "file", path);
    ret->is_unresolved = unknown || no_pod;
    if (finish(&l, &ret->labels) != 0 || finish(&t, &ret->attrs) != 0)
        return 1;
    ret->profile = is_log(s) ? profile_of_log(s->set->profiles, s->conf, &ret->labels, &m.hints)
                             : source_profile(s, STR_NULL, NULL, 0);
    return 0;
}
