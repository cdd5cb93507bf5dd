/* collector/refused.c - contract: refused.h. */
#include "collector/refused.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char DIR_NAME[] = "refused";
static const char SUFFIX[] = ".fwd";
enum { NAME_BYTES = 32 };

struct kept {
    uint64_t no, bytes;
};

struct refused {
    unsigned magic;
#define REFUSED_MAGIC 0x0ef05ed1u
    int dir_fd;
    uint64_t max_bytes, bytes;
    VEC(struct kept) kept; /* oldest first */
};

static int by_number(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    return x->no < y->no ? -1 : x->no > y->no;
}

static int take_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct refused *r = arg;
    struct kept k = {.no = 0};
    struct stat st;
    char *end = NULL;

    (void)err;
    k.no = strtoull(name, &end, 10);
    if (end == name || strcmp(end, SUFFIX) != 0 || fstatat(dir_fd, name, &st, 0) < 0)
        return 0;
    k.bytes = (uint64_t)st.st_size;
    r->bytes += k.bytes;
    VEC_PUSH(&r->kept, k);
    return 0;
}

int refused_open(int state_fd, uint64_t max_bytes, struct refused **ret, struct err *err)
{
    struct refused *r = mem_new(sizeof(*r));
    int e;

    r->magic = REFUSED_MAGIC;
    r->max_bytes = max_bytes;
    r->dir_fd = -1;
    e = file_make_dirs(state_fd, DIR_NAME, 0700, err);
    if (e == 0)
        e = file_open_dir(state_fd, DIR_NAME, &r->dir_fd, err);
    if (e == 0)
        e = file_walk(r->dir_fd, take_entry, r, err);
    if (e < 0) {
        refused_free(&r);
        return err_wrap(err, "refused chunks");
    }
    if (r->kept.n > 1)
        qsort(r->kept.p, r->kept.n, sizeof(r->kept.p[0]), by_number);
    *ret = r;
    return 0;
}

static void name_of(uint64_t no, char name[NAME_BYTES])
{
    (void)snprintf(name, NAME_BYTES, "%" PRIu64 "%s", no, SUFFIX);
}

static void drop_oldest(struct refused *r)
{
    char name[NAME_BYTES];

    name_of(r->kept.p[0].no, name);
    (void)unlinkat(r->dir_fd, name, 0);
    r->bytes -= r->kept.p[0].bytes;
    VEC_REMOVE(&r->kept, 0);
    metric_add(METRIC_REFUSED_DROPPED, 1);
}

void refused_keep(struct refused *r, uint64_t no, struct str message)
{
    struct kept k = {.no = no, .bytes = message.n};
    char name[NAME_BYTES];
    struct err err;

    OBJ_CHECK(r, REFUSED_MAGIC);
    while (r->kept.n > 0 && r->bytes + message.n > r->max_bytes)
        drop_oldest(r);
    if (message.n > r->max_bytes) {
        metric_add(METRIC_REFUSED_DROPPED, 1);
        return;
    }
    name_of(no, name);
    if (file_replace(r->dir_fd, name, 0600, message, &err) < 0) {
        metric_add(METRIC_REFUSED_DROPPED, 1);
        log_error("refused.not_kept", LOG_ERR(&err));
        return;
    }
    r->bytes += message.n;
    VEC_PUSH(&r->kept, k);
}

void refused_free(struct refused **pr)
{
    struct refused *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, REFUSED_MAGIC);
    if (r->dir_fd >= 0)
        (void)close(r->dir_fd);
    VEC_FINI(&r->kept);
    r->magic = 0;
    free(r);
    *pr = NULL;
}
