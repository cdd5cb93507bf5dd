/*
 * collector/podman_lists.c - contract: podman_lists.h.
 *
 * A list is an array of {"id", "names": [...], "metadata"}, where metadata is JSON in a string with
 * "image-name", "image-id" and "name".
 */
#include "collector/podman_lists.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/record.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 16 << 20, ONE_MAX = 1 << 20 };

/* A container; its texts stand behind it. */
struct container {
    struct str name, image, image_digest;
};

struct list {
    char *path;
    struct map *containers; /* by id */
    struct stat st;         /* of the file when it was read; st_ino 0: it never was */
    dur_ns read_at;         /* or tried to be; 0: never */
};

struct podman_lists {
    unsigned magic;
#define PODMAN_LISTS_MAGIC 0x90d11575u
    struct opener *opener;
    dur_ns pause;
    VEC(struct list *) v;
};

struct podman_lists *podman_lists_new(struct opener *o, dur_ns pause)
{
    struct podman_lists *l = mem_new(sizeof(*l));

    l->magic = PODMAN_LISTS_MAGIC;
    l->opener = o;
    l->pause = pause;
    return l;
}

void podman_lists_free(struct podman_lists **pl)
{
    struct podman_lists *l = *pl;

    if (l == NULL)
        return;
    OBJ_CHECK(l, PODMAN_LISTS_MAGIC);
    while (l->v.n > 0) {
        struct list *one = l->v.p[--l->v.n];
        map_free(&one->containers);
        free(one->path);
        free(one);
    }
    VEC_FINI(&l->v);
    l->magic = 0;
    free(l);
    *pl = NULL;
}

/* ---- a list's text ---- */

/* {"image-name": ..., "image-id": ..., "name": ...} */
static bool take_metadata(struct str text, struct arena *a, struct meta *ret)
{
    struct str name = STR_NULL;
    struct json_reader r;
    struct json_token key;
    struct err err;
    int e = json_reader_init_object(&r, text, &err);

    while (e == 0 && (e = json_member(&r, &key, &err)) == 0) {
        bool ok = true;
        if (str_eq(key.raw, STR("image-name")))
            ok = meta_take_string(&r, a, &ret->image);
        else if (str_eq(key.raw, STR("image-id")))
            ok = meta_take_string(&r, a, &ret->image_digest);
        else if (str_eq(key.raw, STR("name")))
            ok = meta_take_string(&r, a, &name);
        if (!ok)
            return false;
    }
    if (e == 1 && name.n > 0)
        ret->name = name;
    return e == 1;
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
    int e;

    memset(ret, 0, sizeof(*ret));
    while ((e = json_member(r, &key, &err)) == 0) {
        bool ok = true;
        if (str_eq(key.raw, STR("id")))
            ok = meta_take_string(r, a, &ret->id);
        else if (str_eq(key.raw, STR("names")))
            ok = take_first(r, a, &ret->name);
        else if (str_eq(key.raw, STR("metadata")))
            ok = meta_take_string(r, a, &metadata);
        if (!ok)
            return false;
    }
    if (e == 1 && metadata.n > 0)
        (void)take_metadata(metadata, a, ret); /* what it says as far as it can be read */
    return e == 1;
}

static struct str put(char **at, struct str s)
{
    struct str r = {*at, s.n};

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return r;
}

static void keep(struct map *to, const struct meta *m)
{
    struct str name = str_sub(m->name, 0, RECORD_LABEL_VALUE_MAX);
    struct str image = str_sub(m->image, 0, RECORD_LABEL_VALUE_MAX);
    struct str digest = str_sub(m->image_digest, 0, RECORD_LABEL_VALUE_MAX);
    struct container *c = mem_new(sizeof(*c) + name.n + image.n + digest.n);
    char *at = (char *)(c + 1);

    c->name = put(&at, name);
    c->image = put(&at, image);
    c->image_digest = put(&at, digest);
    if (!map_put(to, m->id, c))
        free(c);
}

/* What stands in front of damage is taken: other containers are not to suffer from it. */
static void take_list(struct str text, struct map *to)
{
    struct arena *scratch = arena_new(NULL, ONE_MAX);
    struct json_reader r;
    struct json_token t;
    struct err err;
    struct meta m;

    json_reader_init(&r, text);
    if (json_next(&r, &t, &err) == 0 && t.type == JSON_ARRAY) {
        while (json_next(&r, &t, &err) == 0 && t.type == JSON_OBJECT &&
               take_container(&r, scratch, &m)) {
            if (m.id.n > 0 && m.id.n <= PODMAN_LISTS_ID_MAX && m.name.n > 0)
                keep(to, &m);
            arena_reset(scratch);
        }
    }
    arena_free(&scratch);
}

/* ---- files ---- */

static struct list *list_of(struct podman_lists *l, const char *path)
{
    struct list *one;

    for (size_t i = 0; i < l->v.n; i++)
        if (strcmp(l->v.p[i]->path, path) == 0)
            return l->v.p[i];
    if (l->v.n == PODMAN_LISTS_MAX) { /* the oldest makes room */
        one = l->v.p[0];
        map_free(&one->containers);
        free(one->path);
        VEC_REMOVE(&l->v, 0);
    } else {
        one = mem_new(sizeof(*one));
    }
    memset(one, 0, sizeof(*one));
    one->path = mem_dup(path, strlen(path));
    one->containers = map_new(PODMAN_LISTS_CONTAINERS_MAX, free);
    VEC_PUSH(&l->v, one);
    return one;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What is known stays where it cannot be read now; one that is too large is empty until it is
 * another. */
static void read_anew(struct podman_lists *l, struct list *one, const struct stat *st)
{
    struct buf text;
    struct err err;
    int r;

    buf_init(&text, FILE_MAX);
    r = opener_read(l->opener, OPENER_META, one->path, &text, &err);
    if (r == 0 || r == ERR_LIMIT) {
        map_free(&one->containers);
        one->containers = map_new(PODMAN_LISTS_CONTAINERS_MAX, free);
        one->st = *st; /* as it was before: what comes meanwhile is seen the next time */
    }
    if (r == 0)
        take_list(buf_str(&text), one->containers);
    buf_fini(&text);
    one->read_at = time_mono();
}

static bool is_due(const struct podman_lists *l, const struct list *one, const struct stat *st)
{
    return !is_same(&one->st, st) && (one->read_at == 0 || time_mono() - one->read_at >= l->pause);
}

bool podman_lists_find(struct podman_lists *l, const char *path, struct str id, struct arena *a,
                       struct meta *ret)
{
    const struct container *c;
    struct list *one;
    struct stat st;
    struct err err;

    OBJ_CHECK(l, PODMAN_LISTS_MAGIC);
    if (opener_stat(l->opener, path, &st, &err) < 0)
        return false;
    one = list_of(l, path);
    if (is_due(l, one, &st))
        read_anew(l, one, &st);
    c = map_get(one->containers, id);
    if (c == NULL)
        return false;
    ret->name = arena_str(a, c->name);
    ret->image = arena_str(a, c->image);
    ret->image_digest = arena_str(a, c->image_digest);
    return ret->name.p != NULL && ret->image.p != NULL && ret->image_digest.p != NULL;
}
