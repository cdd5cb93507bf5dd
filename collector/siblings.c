/* collector/siblings.c - contract: siblings.h. */
#include "collector/siblings.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIBLINGS_MAX = 1000, PATH_BYTES = CHECKPOINT_PATH_MAX };

struct sibling {
    char *path;
    struct stat st;
};
struct siblings {
    VEC(struct sibling) v;
};

static size_t dir_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
}

/* Does `name` rotate `base`: base itself, or base with a suffix that can be read? */
static bool is_sibling(const char *name, const char *base)
{
    size_t n = strlen(base);
    struct str s = str_of(name);

    if (strncmp(name, base, n) != 0 || (name[n] != '\0' && name[n] != '.' && name[n] != '-'))
        return false;
    return !str_ends(s, STR(".gz")) && !str_ends(s, STR(".zst")) && !str_ends(s, STR(".tmp"));
}

struct listing {
    struct siblings *ret;
    const char *base; /* NULL: every regular file */
    struct str dir;
};

static void take_entry(void *arg, const char *name, const struct stat *st)
{
    const struct listing *l = arg;
    struct sibling s = {.st = *st};
    char path[PATH_BYTES];

    if (l->ret->v.n == SIBLINGS_MAX || (l->base != NULL && !is_sibling(name, l->base)) ||
        !S_ISREG(st->st_mode))
        return;
    if (snprintf(path, sizeof(path), "%.*s/%s", STR_ARG(l->dir), name) >= (int)sizeof(path))
        return;
    s.path = mem_dup(path, strlen(path));
    VEC_PUSH(&l->ret->v, s);
}

/* Every regular file beside `path` that is a sibling of `base`. */
static void list(struct opener *o, const char *path, const char *base, struct siblings *ret)
{
    struct listing l = {ret, base, {path, dir_length(path)}};
    char dir[PATH_BYTES];
    struct err err;

    if (l.dir.n > 0 && l.dir.n < sizeof(dir)) /* a directory that is gone has none */
        (void)opener_list(o, str_to_z(l.dir, dir, sizeof(dir)), true, take_entry, &l, &err);
}

static void clear(struct siblings *s)
{
    for (size_t i = 0; i < s->v.n; i++)
        free(s->v.p[i].path);
    VEC_FINI(&s->v);
}

static bool is_it(const struct checkpoint_file *f, const struct stat *st)
{
    return f->ino == st->st_ino && !f->dead;
}

int siblings_locate(struct opener *o, const struct checkpoint_file *f, char *path, size_t cap,
                    struct stat *st)
{
    struct siblings all = {.v = {.p = NULL}};
    int r = 1;

    list(o, f->path, NULL, &all);
    for (size_t i = 0; i < all.v.n && r != 0; i++) {
        if (!is_it(f, &all.v.p[i].st) || strlen(all.v.p[i].path) >= cap)
            continue;
        (void)snprintf(path, cap, "%s", all.v.p[i].path);
        *st = all.v.p[i].st;
        r = 0;
    }
    clear(&all);
    return r;
}

bool siblings_is_done(const struct checkpoint_file *f, const struct stat *st)
{
    return f->unacked == 0 && f->planned.n == 1 && f->planned.p[0].start == 0 &&
           f->planned.p[0].end == (uint64_t)st->st_size;
}

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = &((const struct sibling *)a)->st.st_mtim;
    const struct timespec *y = &((const struct sibling *)b)->st.st_mtim;

    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static const struct checkpoint_file *in_journal(const struct checkpoint *c, const struct stat *st)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(c, i)) != NULL; i++)
        if (is_it(f, st) && f->dev == st->st_dev)
            return f;
    return NULL;
}

/* Journal entries of this name that no file of it is any more, and that nobody reads. */
static void bury(struct checkpoint *c, const char *path, const struct siblings *all)
{
    struct checkpoint_file *f;

    for (size_t i = 0; (f = checkpoint_file_at(c, i)) != NULL; i++) {
        bool there = f->user != NULL || f->dead || strcmp(f->path, path) != 0;
        for (size_t k = 0; k < all->v.n && !there; k++)
            there = is_it(f, &all->v.p[k].st);
        if (!there)
            f->dead = true;
    }
}

void siblings_find(struct opener *o, struct checkpoint *c, const struct siblings_self *self,
                   siblings_fn *fn, void *arg)
{
    const char *slash = strrchr(self->path, '/');
    struct siblings all = {.v = {.p = NULL}};
    bool known = false; /* one that was followed is older than what comes now */

    list(o, self->path, slash == NULL ? self->path : slash + 1, &all);
    if (all.v.n > 1)
        qsort(all.v.p, all.v.n, sizeof(all.v.p[0]), by_age);
    for (size_t i = 0; i < all.v.n; i++) {
        const struct sibling *s = &all.v.p[i];
        const struct checkpoint_file *f = in_journal(c, &s->st);
        if (s->st.st_dev == self->dev && s->st.st_ino == self->ino)
            continue;
        if (f != NULL)
            known = true;
        if (known && (f == NULL || !siblings_is_done(f, &s->st)))
            fn(arg, s->path, &s->st);
    }
    bury(c, self->path, &all);
    clear(&all);
}
