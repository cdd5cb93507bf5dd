/*
 * collector/kube_pods.c - contract: kube_pods.h.
 *
 * A pod is kept as its text (kube_pod.h) and parsed when a log asks for it, which is once or twice
 * in its life: a text is small, and two of them are compared at once.
 */
#include "collector/kube_pods.h"

#include "base/crc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "logq kube cache 1 "

enum { KEY_MAX = 1 << 10 };

struct entry {
    struct str text; /* owned */
    ts_ns gone_at;   /* 0: it is there */
    uint64_t list;   /* the newest list that it was in */
};

struct kube_pods {
    unsigned magic;
#define KUBE_PODS_MAGIC 0x90d5cac4u
    struct map *pods; /* "uid/namespace/name" -> entry */
    size_t bytes;     /* of all texts */
    uint64_t list, changes;
    struct arena *scratch;
};

static void entry_free(void *v)
{
    struct entry *e = v;

    free((void *)(uintptr_t)e->text.p);
    free(e);
}

struct kube_pods *kube_pods_new(void)
{
    struct kube_pods *p = mem_new(sizeof(*p));

    p->magic = KUBE_PODS_MAGIC;
    p->pods = map_new(KUBE_PODS_MAX, entry_free);
    p->scratch = arena_new(NULL, 1 << 20);
    return p;
}

void kube_pods_free(struct kube_pods **pp)
{
    struct kube_pods *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    map_free(&p->pods);
    arena_free(&p->scratch);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

/* In `key`; empty: it is no pod's.  Names have no slash in them. */
static struct str key_of(struct str uid, struct str namespace, struct str name, char key[KEY_MAX])
{
    const struct str parts[3] = {uid, namespace, name};
    size_t n = 0;

    for (int i = 0; i < 3; i++) {
        if (parts[i].n == 0 || parts[i].n >= KEY_MAX - n)
            return STR_NULL;
        if (i > 0)
            key[n++] = '/';
        memcpy(key + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    return (struct str){key, n};
}

static void drop(struct kube_pods *p, struct str key, const struct entry *e)
{
    p->bytes -= e->text.n;
    p->changes++;
    (void)map_remove(p->pods, key);
}

/* The pod that has been gone for longest.  false: all are there. */
static bool drop_oldest(struct kube_pods *p)
{
    struct entry *oldest = NULL;
    struct str key, of = STR_NULL;
    void *value;

    for (size_t pos = 0; map_next(p->pods, &pos, &key, &value);) {
        struct entry *e = value;
        if (e->gone_at != 0 && (oldest == NULL || e->gone_at < oldest->gone_at)) {
            oldest = e;
            of = key;
        }
    }
    if (oldest == NULL)
        return false;
    drop(p, of, oldest);
    return true;
}

static int make_room(struct kube_pods *p, size_t bytes, bool is_new, struct err *err)
{
    while ((is_new && map_count(p->pods) >= KUBE_PODS_MAX) ||
           p->bytes + bytes > KUBE_PODS_BYTES_MAX)
        if (!drop_oldest(p))
            return err_set(err, ERR_LIMIT, "%zu pods are known already", map_count(p->pods));
    return 0;
}

static void set_text(struct kube_pods *p, struct entry *e, struct str text)
{
    p->bytes += text.n;
    p->bytes -= e->text.n;
    free((void *)(uintptr_t)e->text.p);
    e->text = (struct str){mem_dup(text.p, text.n), text.n};
}

/* 1: nothing changed. */
static int put_text(struct kube_pods *p, struct str key, struct str text, ts_ns gone_at,
                    struct err *err)
{
    struct entry *e = map_get(p->pods, key);
    bool same = e != NULL && str_eq(e->text, text);
    int r;

    if (e != NULL) {
        p->changes += e->gone_at != gone_at;
        e->gone_at = gone_at; /* so it does not make room for itself */
        e->list = p->list;
    }
    if (same)
        return 1;
    r = make_room(p, text.n, e == NULL, err);
    if (r < 0)
        return r;
    if (e == NULL) {
        e = mem_new(sizeof(*e));
        e->gone_at = gone_at;
        e->list = p->list;
        INVARIANT(map_put(p->pods, key, e));
    }
    set_text(p, e, text);
    p->changes++;
    return 0;
}

int kube_pods_put(struct kube_pods *p, const struct kube_pod *pod, struct err *err)
{
    char z[KEY_MAX];
    struct str key = key_of(pod->uid, pod->namespace, pod->name, z);
    struct buf text;
    int r;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    if (key.n == 0)
        return err_set(err, ERR_INVALID, "a pod without uid, namespace or name");
    buf_init(&text, KUBE_PODS_TEXT_MAX);
    kube_pod_write(pod, &text);
    r = buf_err(&text, "a pod", err);
    if (r == 0)
        r = put_text(p, key, buf_str(&text), 0, err);
    buf_fini(&text);
    return r;
}

void kube_pods_remove(struct kube_pods *p, const struct kube_pod *pod)
{
    char z[KEY_MAX];
    struct str key = key_of(pod->uid, pod->namespace, pod->name, z);
    struct entry *e;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    e = key.n == 0 ? NULL : map_get(p->pods, key);
    if (e == NULL || e->gone_at != 0)
        return;
    e->gone_at = time_now();
    p->changes++;
}

void kube_pods_begin_list(struct kube_pods *p)
{
    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    p->list++;
}

void kube_pods_end_list(struct kube_pods *p)
{
    struct str key;
    void *value;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    for (size_t pos = 0; map_next(p->pods, &pos, &key, &value);) {
        struct entry *e = value;
        if (e->list == p->list || e->gone_at != 0)
            continue;
        e->gone_at = time_now();
        p->changes++;
    }
}

void kube_pods_expire(struct kube_pods *p)
{
    ts_ns now = time_now();
    struct str key;
    void *value;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    for (size_t pos = 0; map_next(p->pods, &pos, &key, &value);) {
        struct entry *e = value;
        if (e->gone_at > now) /* the clock was set back */
            e->gone_at = now;
        if (e->gone_at != 0 && now - e->gone_at >= KUBE_PODS_KEEP_S * NS_PER_S)
            drop(p, key, e);
    }
}

bool kube_pods_find(const struct kube_pods *p, struct str uid, struct str namespace,
                    struct str name, struct arena *a, struct kube_pod *ret)
{
    char z[KEY_MAX];
    struct str key = key_of(uid, namespace, name, z);
    const struct entry *e;
    struct err err;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    e = key.n == 0 ? NULL : map_get(p->pods, key);
    return e != NULL && kube_pod_parse(e->text, a, ret, &err) == 0 &&
           str_eq(ret->namespace, namespace) && str_eq(ret->name, name);
}

size_t kube_pods_count(const struct kube_pods *p)
{
    return map_count(p->pods);
}

uint64_t kube_pods_changes(const struct kube_pods *p)
{
    return p->changes;
}

/* ---- the file ---- */

void kube_pods_save(const struct kube_pods *p, struct buf *out)
{
    struct buf lines;
    struct str key;
    void *value;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    buf_init(&lines, KUBE_PODS_FILE_MAX);
    for (size_t pos = 0; map_next(p->pods, &pos, &key, &value);) {
        const struct entry *e = value;
        buf_addf(&lines, "%" PRId64 " ", e->gone_at);
        buf_add_str(&lines, e->text);
        buf_add_char(&lines, '\n');
    }
    buf_addf(out, FORMAT "%08" PRIx32 "\n", crc32c(0, lines.p, lines.n));
    buf_add_str(out, buf_str(&lines));
    buf_fini(&lines);
}

/* The lines behind the head, if they are those that it speaks of. */
static int take_head(struct str text, struct str *lines, struct err *err)
{
    struct str rest = text, head = str_cut(&rest, '\n');
    char want[16];

    (void)snprintf(want, sizeof(want), "%08" PRIx32, crc32c(0, rest.p, rest.n));
    if (!str_starts(head, STR(FORMAT)))
        return err_set(err, ERR_CORRUPT, "it does not begin with \"" FORMAT "\"");
    if (!str_eq(str_from(head, sizeof(FORMAT) - 1), str_of(want)))
        return err_set(err, ERR_CORRUPT, "its checksum is wrong");
    *lines = rest;
    return 0;
}

static int load_line(struct kube_pods *p, struct str line, struct err *err)
{
    struct str number = str_cut(&line, ' '), key = STR_NULL;
    struct kube_pod pod;
    char z[KEY_MAX];
    int64_t gone_at;
    int r;

    arena_reset(p->scratch);
    if (!str_to_i64(number, &gone_at) || gone_at < 0)
        return err_set(err, ERR_CORRUPT, "a line without a time");
    r = kube_pod_parse(line, p->scratch, &pod, err);
    if (r == 0)
        key = key_of(pod.uid, pod.namespace, pod.name, z);
    if (r == 0 && (key.n == 0 || line.n > KUBE_PODS_TEXT_MAX || map_get(p->pods, key) != NULL))
        r = err_set(err, ERR_CORRUPT, "a line that is no pod, or one that was there");
    if (r == 0)
        r = put_text(p, key, line, gone_at, err);
    return r < 0 ? r : 0;
}

int kube_pods_load(struct kube_pods *p, struct str text, struct err *err)
{
    struct str lines;
    int r;

    OBJ_CHECK(p, KUBE_PODS_MAGIC);
    r = take_head(text, &lines, err);
    while (r == 0 && lines.n > 0)
        r = load_line(p, str_cut(&lines, '\n'), err);
    if (r < 0) {
        map_free(&p->pods);
        p->pods = map_new(KUBE_PODS_MAX, entry_free);
        p->bytes = 0;
        err->code = ERR_CORRUPT; /* whatever it was, the file is no good */
        return ERR_CORRUPT;
    }
    arena_reset(p->scratch);
    return 0;
}
