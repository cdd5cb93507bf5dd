/*
 * collector/oci.c - contract: oci.h.
 *
 * A directory is looked into again when its time has changed; also while nothing could be read of
 * it, because a runtime makes the directory first and may be writing the file right now.
 */
#include "collector/oci.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/metrics.h"
#include "collector/oci_bundle.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARSED_MAX = 256 << 10, ROOTS_MAX = 64 };

static const char *const FILES[] = {"state.json", "config.json", "userdata/config.json"};
enum { N_FILES = sizeof(FILES) / sizeof(FILES[0]) };

/* Another one: it was changed. */
struct stamp {
    uint64_t ino, size;
    int64_t s, ns;
};

struct item {
    struct stamp dir, file;
    unsigned round; /* the last look that has seen it */
    unsigned tries; /* looks in vain */
    void *block;    /* owned: texts of `is`; NULL: nothing is known */
    size_t bytes;
    struct oci_bundle is;
};

struct root {
    char *path;
    struct map *items; /* by id */
    dur_ns looked_at;  /* 0: never */
    unsigned round;
    bool is_partial; /* not all could be read at the last look */
};

struct oci {
    unsigned magic;
#define OCI_MAGIC 0x0c1b0d7eu
    struct opener *opener;
    dur_ns pause;
    VEC(struct root *) roots;
    size_t bytes; /* of all blocks */
    size_t reads; /* still allowed in this look */
};

struct oci *oci_new(struct opener *o, dur_ns pause)
{
    struct oci *x = mem_new(sizeof(*x));

    x->magic = OCI_MAGIC;
    x->opener = o;
    x->pause = pause;
    return x;
}

static void free_item(void *value)
{
    struct item *i = value;

    free(i->block);
    free(i);
}

void oci_free(struct oci **px)
{
    struct oci *x = *px;

    if (x == NULL)
        return;
    OBJ_CHECK(x, OCI_MAGIC);
    while (x->roots.n > 0) {
        struct root *r = x->roots.p[--x->roots.n];
        map_free(&r->items);
        free(r->path);
        free(r);
    }
    VEC_FINI(&x->roots);
    x->magic = 0;
    free(x);
    *px = NULL;
}

/* NULL: there are too many. */
static struct root *root_of(struct oci *x, struct str path)
{
    struct root *r;

    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    for (size_t i = 0; i < x->roots.n; i++)
        if (str_eq(str_of(x->roots.p[i]->path), path))
            return x->roots.p[i];
    if (x->roots.n == ROOTS_MAX)
        return NULL;
    r = mem_new(sizeof(*r));
    r->path = mem_dup(path.p, path.n);
    r->items = map_new(OCI_ITEMS_MAX, free_item);
    VEC_PUSH(&x->roots, r);
    return r;
}

/* ---- one container ---- */

static struct stamp stamp_of(const struct stat *st)
{
    return (struct stamp){.ino = st->st_ino,
                          .size = (uint64_t)st->st_size,
                          .s = st->st_mtim.tv_sec,
                          .ns = st->st_mtim.tv_nsec};
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return a->ino == b->ino && a->size == b->size && a->s == b->s && a->ns == b->ns;
}

static bool is_younger(const struct stamp *a, const struct stamp *b)
{
    return a->s != b->s ? a->s > b->s : a->ns > b->ns;
}

static void keep(struct oci *x, struct item *i, const struct oci_bundle *is)
{
    x->bytes -= i->bytes;
    free(i->block);
    i->block = oci_bundle_copy(is, &i->is, &i->bytes);
    x->bytes += i->bytes;
}

static bool parse(struct oci *x, struct item *i, struct str text)
{
    struct arena *a = arena_new(NULL, PARSED_MAX);
    struct oci_bundle is;
    bool ok = x->bytes < OCI_BYTES_MAX && oci_bundle_parse(text, a, &is);

    if (ok)
        keep(x, i, &is);
    arena_free(&a);
    return ok;
}

/* false: it is not there, or cannot be understood now. */
static bool read_file(struct oci *x, struct item *i, const char *path)
{
    struct stat st;
    struct stamp now;
    struct buf text;
    struct err err;
    bool ok;

    if (opener_stat(x->opener, path, &st, &err) < 0)
        return false;
    now = stamp_of(&st);
    if (i->block != NULL && is_same(&i->file, &now))
        return true;
    x->reads--;
    metric_add(METRIC_STATE_READS, 1);
    buf_init(&text, OCI_BUNDLE_MAX);
    ok = opener_read(x->opener, OPENER_META, path, &text, &err) == 0 && parse(x, i, buf_str(&text));
    buf_fini(&text);
    if (ok)
        i->file = now;
    else
        metric_add(METRIC_STATE_BAD, 1);
    return ok;
}

static void read_item(struct oci *x, const struct root *r, const char *id, struct item *i)
{
    char path[PATH_MAX];

    for (size_t k = 0; k < N_FILES; k++) {
        int n = snprintf(path, sizeof(path), "%s/%s/%s", r->path, id, FILES[k]);
        if (n > 0 && (size_t)n < sizeof(path) && read_file(x, i, path)) {
            i->tries = 0;
            return;
        }
    }
    i->tries++;
}

/* ---- a look at all of them ---- */

struct look {
    struct oci *x;
    struct root *r;
};

static bool is_id(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < n; i++)
        if ((name[i] < 'a' || name[i] > 'z') && (name[i] < 'A' || name[i] > 'Z') &&
            (name[i] < '0' || name[i] > '9') && strchr("_.-", name[i]) == NULL)
            return false;
    return n > 0 && name[0] != '.';
}

static void see(void *arg, const char *name, const struct stat *st)
{
    struct look *l = arg;
    struct stamp now = stamp_of(st);
    struct item *i;

    if (!S_ISDIR(st->st_mode) || !is_id(name))
        return;
    i = map_get(l->r->items, str_of(name));
    if (i == NULL) {
        if (map_count(l->r->items) >= OCI_ITEMS_MAX)
            return;
        i = mem_new(sizeof(*i));
        (void)map_put(l->r->items, str_of(name), i);
    }
    i->round = l->r->round;
    if (is_same(&i->dir, &now) && (i->block != NULL || i->tries >= OCI_TRIES_MAX))
        return;
    if (l->x->reads < N_FILES) {
        l->r->is_partial = true;
        return;
    }
    if (!is_same(&i->dir, &now))
        i->tries = 0;
    i->dir = now;
    read_item(l->x, l->r, name, i);
}

static void forget_gone(struct oci *x, struct root *r)
{
    struct str id;
    void *value;

    for (size_t pos = 0; map_next(r->items, &pos, &id, &value);) {
        const struct item *i = value;
        if (i->round == r->round)
            continue;
        x->bytes -= i->bytes;
        (void)map_remove(r->items, id);
    }
}

static void look(struct oci *x, struct root *r)
{
    struct look l = {x, r};
    dur_ns now = time_mono();
    struct err err;
    int got;

    if (r->looked_at != 0 && now - r->looked_at < x->pause)
        return;
    r->round++;
    r->is_partial = false;
    x->reads = OCI_READS_MAX;
    got = opener_list(x->opener, r->path, OPENER_STATS, see, &l, &err);
    if (got == 0 || got == ERR_GONE) /* no such runtime here, mostly */
        forget_gone(x, r);
    else if (got != ERR_DENIED) /* which will not be otherwise in a moment */
        r->is_partial = true;
    r->looked_at = time_mono();
}

/* ---- the one that is wanted ---- */

struct search {
    const struct meta *want;
    struct str log;
    const struct item *best, *pod; /* NULL: none */
    struct str best_id;            /* lives with the map */
    bool is_exact, has_pod;
};

static bool is_of_pod(const struct meta *m, const struct meta *want)
{
    return m->pod_uid.n > 0 && str_eq(m->pod_uid, want->pod_uid) && str_eq(m->pod, want->pod) &&
           str_eq(m->namespace, want->namespace);
}

/* Does it say itself that it is, or is not, the one of this log? */
static bool is_said(const struct search *s, const struct oci_bundle *b, bool *is_it)
{
    if (b->log_path.n > 0)
        *is_it = str_ends(b->log_path, s->log);
    else if (b->meta.restart.n > 0)
        *is_it = str_eq(b->meta.restart, s->want->restart);
    else
        return false;
    return true;
}

static void consider(struct search *s, struct str id, const struct item *i)
{
    bool is_it = true, said;

    if (i->block == NULL || !is_of_pod(&i->is.meta, s->want))
        return;
    s->has_pod = true;
    if (i->is.is_sandbox) {
        s->pod = i;
        return;
    }
    if (!str_eq(i->is.meta.name, s->want->name))
        return;
    said = is_said(s, &i->is, &is_it);
    if (!is_it || (s->is_exact && !said) ||
        (s->best != NULL && s->is_exact == said && !is_younger(&i->file, &s->best->file)))
        return;
    s->best = i;
    s->best_id = id;
    s->is_exact = said;
}

static void search_root(struct search *s, const struct root *r)
{
    struct str id;
    void *value;

    for (size_t pos = 0; map_next(r->items, &pos, &id, &value);)
        consider(s, id, value);
}

static struct str either(struct arena *a, struct str one, const struct str *other)
{
    return arena_str(a, one.n > 0 || other == NULL ? one : *other);
}

static void tell_pod(const struct search *s, struct arena *a, struct meta *ret)
{
    const struct meta *p = &s->pod->is.meta;

    ret->app = arena_str(a, p->app);
    ret->hints.exclude = arena_str(a, p->hints.exclude);
    ret->hints.redact = arena_str(a, p->hints.redact);
    ret->hints.multiline = arena_str(a, p->hints.multiline);
    ret->has_hints = true;
}

static void tell(const struct search *s, struct arena *a, struct oci_found *ret)
{
    const struct meta *m = &s->best->is.meta, *p = s->pod == NULL ? NULL : &s->pod->is.meta;

    ret->is_exact = s->is_exact;
    ret->meta.id = arena_str(a, s->best_id);
    ret->meta.image = arena_str(a, m->image);
    ret->meta.image_digest = arena_str(a, m->image_digest);
    ret->meta.app = either(a, m->app, p == NULL ? NULL : &p->app);
    ret->meta.hints.exclude = either(a, m->hints.exclude, p == NULL ? NULL : &p->hints.exclude);
    ret->meta.hints.redact = either(a, m->hints.redact, p == NULL ? NULL : &p->hints.redact);
    ret->meta.hints.multiline =
        either(a, m->hints.multiline, p == NULL ? NULL : &p->hints.multiline);
    ret->meta.has_hints = true;
}

enum oci_result oci_find(struct oci *x, const struct conf_strs *roots, const struct meta *want,
                         struct str log, struct arena *a, struct oci_found *ret)
{
    struct search s = {.want = want, .log = log};
    bool is_partial = false;

    OBJ_CHECK(x, OCI_MAGIC);
    for (size_t i = 0; i < roots->n; i++) {
        struct root *r = root_of(x, roots->v[i]);
        if (r == NULL)
            continue;
        look(x, r);
        search_root(&s, r);
        is_partial = is_partial || r->is_partial;
    }
    memset(ret, 0, sizeof(*ret));
    if (s.pod != NULL)
        tell_pod(&s, a, &ret->pod);
    if (s.best == NULL)
        return s.has_pod || is_partial ? OCI_LATER : OCI_NONE;
    tell(&s, a, ret);
    return OCI_FOUND;
}
