/* collector/certs.c - contract: certs.h. */
#include "collector/certs.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20, FILES = 3 };

/* By which a file is told from another one. */
struct stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec changed;
};

static const char *const WHAT[FILES] = {"certificate", "key", "CA"};

struct certs {
    unsigned magic;
#define CERTS_MAGIC 0xce275f11u
    struct opener *opener;
    char *path[FILES]; /* owned; NULL: without TLS */
    struct stamp stamp[FILES];
    struct tls_ctx *tls;
    dur_ns looked_at;
    bool told; /* that they cannot be used */
};

static int take_stamp(struct certs *c, size_t i, struct stamp *ret, struct err *err)
{
    struct stat st;
    int fd, r = opener_open(c->opener, OPENER_CONF, c->path[i], &fd, err);

    if (r < 0)
        return err_wrap(err, "%s", WHAT[i]);
    r = fstat(fd, &st) < 0 ? err_sys(err, "%s '%s'", WHAT[i], c->path[i]) : 0;
    (void)close(fd);
    if (r == 0)
        *ret = (struct stamp){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    return r;
}

static bool same(const struct stamp *a, const struct stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static int take_stamps(struct certs *c, struct stamp ret[FILES], struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < FILES; i++)
        r = take_stamp(c, i, &ret[i], err);
    return r;
}

static int load(struct certs *c, struct tls_ctx **ret, struct err *err)
{
    struct tls_files files = {.cert = c->path[0], .key = c->path[1], .ca = c->path[2]};
    struct buf b[FILES];
    int r = 0;

    for (size_t i = 0; i < FILES; i++)
        buf_init(&b[i], PEM_MAX);
    for (size_t i = 0; r == 0 && i < FILES; i++) {
        r = opener_read(c->opener, OPENER_CONF, c->path[i], &b[i], err);
        if (r < 0)
            (void)err_wrap(err, "%s", WHAT[i]);
    }
    files.cert_pem = buf_str(&b[0]);
    files.key_pem = buf_str(&b[1]);
    files.ca_pem = buf_str(&b[2]);
    if (r == 0)
        r = tls_ctx_new(&files, ret, err);
    if (b[1].n > 0)
        explicit_bzero(b[1].p, b[1].n);
    for (size_t i = 0; i < FILES; i++)
        buf_fini(&b[i]);
    return r;
}

/* The stamps come first: what is written while we read is another file the next time. */
static int renew(struct certs *c, const struct stamp stamps[FILES], struct err *err)
{
    struct tls_ctx *tls;
    int r = load(c, &tls, err);

    if (r < 0)
        return r;
    tls_ctx_unref(&c->tls);
    c->tls = tls;
    memcpy(c->stamp, stamps, sizeof(c->stamp));
    metric_set(METRIC_CERTIFICATE_ENDS, (uint64_t)(tls_ctx_not_after(tls) / NS_PER_S));
    return 0;
}

bool certs_look(struct certs *c)
{
    struct stamp now[FILES];
    bool differs = false;
    struct err err;
    int r;

    OBJ_CHECK(c, CERTS_MAGIC);
    if (c->tls == NULL || time_mono() - c->looked_at < NS_PER_S)
        return false;
    c->looked_at = time_mono();
    r = take_stamps(c, now, &err);
    for (size_t i = 0; r == 0 && i < FILES; i++)
        differs = differs || !same(&now[i], &c->stamp[i]);
    if (differs)
        r = renew(c, now, &err);
    if (r < 0) {
        metric_add(METRIC_CERTIFICATE_UNUSABLE, 1);
        if (!c->told)
            log_error("certificate.unusable", LOG_ERR(&err));
    } else if (differs) {
        metric_add(METRIC_CERTIFICATE_RENEWED, 1);
        log_info("certificate.renewed", LOG_Z("file", c->path[0]));
    }
    c->told = r < 0;
    return r == 0 && differs;
}

struct tls_ctx *certs_current(const struct certs *c)
{
    return c->tls;
}

ts_ns certs_due(const struct certs *c)
{
    ts_ns from, to;

    if (c->tls == NULL)
        return 0;
    from = tls_ctx_not_before(c->tls);
    to = tls_ctx_not_after(c->tls);
    return to - (to - from) / 5;
}

int certs_open(struct opener *o, const struct config *config, struct certs **ret, struct err *err)
{
    const struct str paths[FILES] = {config->cert, config->key, config->ca};
    struct certs *c = mem_new(sizeof(*c));
    struct stamp stamps[FILES];
    int r = 0;

    c->magic = CERTS_MAGIC;
    c->opener = o;
    for (size_t i = 0; config->tls && i < FILES; i++)
        c->path[i] = mem_dup(paths[i].p, paths[i].n);
    if (config->tls)
        r = take_stamps(c, stamps, err);
    if (r == 0 && config->tls)
        r = renew(c, stamps, err);
    if (r < 0) {
        certs_free(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void certs_free(struct certs **pc)
{
    struct certs *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CERTS_MAGIC);
    for (size_t i = 0; i < FILES; i++)
        free(c->path[i]);
    tls_ctx_unref(&c->tls);
    c->magic = 0;
    free(c);
    *pc = NULL;
}
