/* collector/module/journal_module.c - contract: journal_module.h. */
#include "collector/module/journal_module.h"

#include "base/mem.h"
#include "base/obj.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

struct journal {
    unsigned magic;
#define JOURNAL_MAGIC 0x10a12a1du
    sd_journal *sd;
};

/* libsystemd returns errors as -errno. */
static int fail(struct err *err, int r, const char *what)
{
    errno = -r;
    (void)err_sys(err, "journal: %s", what);
    if (r == -ENOENT)
        err->code = ERR_GONE;
    return err->code;
}

static void journal_close(struct journal **pj)
{
    struct journal *j = *pj;

    if (j == NULL)
        return;
    OBJ_CHECK(j, JOURNAL_MAGIC);
    sd_journal_close(j->sd);
    j->magic = 0;
    free(j);
    *pj = NULL;
}

static int journal_open(const char *directory, size_t threshold, struct journal **ret,
                        struct err *err)
{
    struct journal *j = mem_new(sizeof(*j));
    int r;

    j->magic = JOURNAL_MAGIC;
    r = directory == NULL ? sd_journal_open(&j->sd, SD_JOURNAL_LOCAL_ONLY)
                          : sd_journal_open_directory(&j->sd, directory, 0);
    if (r >= 0)
        r = sd_journal_set_data_threshold(j->sd, threshold);
    if (r < 0) {
        r = fail(err, r, "open");
        journal_close(&j);
        return r;
    }
    *ret = j;
    return 0;
}

static int journal_fd(struct journal *j, struct err *err)
{
    int fd;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    fd = sd_journal_get_fd(j->sd);
    return fd < 0 ? fail(err, fd, "descriptor") : fd;
}

static int journal_process(struct journal *j, struct err *err)
{
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_process(j->sd);
    if (r < 0)
        return fail(err, r, "process");
    return r == SD_JOURNAL_INVALIDATE;
}

/* The last entry's boot is this one: each begins with lines of the kernel. */
static int seek_boot(struct journal *j)
{
    sd_id128_t boot;
    uint64_t us;
    int r = sd_journal_get_monotonic_usec(j->sd, &us, &boot);

    return r < 0 ? r : sd_journal_seek_monotonic_usec(j->sd, boot, 0);
}

static int journal_seek(struct journal *j, enum journal_seek to, struct err *err)
{
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    if (to != JOURNAL_SEEK_HEAD) {
        r = sd_journal_seek_tail(j->sd);
        if (r >= 0)
            r = sd_journal_previous(j->sd);
        if (r < 0)
            return fail(err, r, "seek the last entry");
        if (r > 0 && to == JOURNAL_SEEK_BOOT) {
            r = seek_boot(j);
            return r < 0 ? fail(err, r, "seek the boot") : 0;
        }
        if (r > 0)
            return 0;
    }
    r = sd_journal_seek_head(j->sd);
    if (r < 0)
        return fail(err, r, "seek the first entry");
    return to == JOURNAL_SEEK_LAST;
}

static int journal_seek_cursor(struct journal *j, const char *cursor, struct err *err)
{
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_seek_cursor(j->sd, cursor);
    return r < 0 ? fail(err, r, "seek a cursor") : 0;
}

static int journal_next(struct journal *j, struct err *err)
{
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_next(j->sd);
    sd_journal_restart_data(j->sd);
    return r < 0 ? fail(err, r, "next") : r == 0;
}

static int journal_cursor(struct journal *j, char *ret, size_t cap, struct err *err)
{
    char *text = NULL;
    size_t n;
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_get_cursor(j->sd, &text);
    if (r < 0)
        return fail(err, r, "cursor");
    n = strlen(text);
    if (n < cap)
        memcpy(ret, text, n + 1);
    free(text);
    return n < cap ? 0 : err_set(err, ERR_LIMIT, "journal: a cursor of %zu bytes", n);
}

static int journal_realtime(struct journal *j, uint64_t *us, struct err *err)
{
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_get_realtime_usec(j->sd, us);
    return r < 0 ? fail(err, r, "time") : 0;
}

static int journal_field(struct journal *j, struct str *ret)
{
    size_t n = 0;
    const void *p;
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_enumerate_data(j->sd, &p, &n);
    if (r <= 0)
        return r < 0 ? ERR_IO : 1;
    *ret = (struct str){p, n};
    return 0;
}

static int journal_get(struct journal *j, const char *field, struct str *ret)
{
    size_t n = 0, name = strlen(field) + 1; /* what comes begins with FIELD= */
    const void *p;
    int r;

    OBJ_CHECK(j, JOURNAL_MAGIC);
    r = sd_journal_get_data(j->sd, field, &p, &n);
    if (r == -ENOENT)
        return 1;
    if (r < 0 || n < name)
        return ERR_IO;
    *ret = (struct str){(const char *)p + name, n - name};
    return 0;
}

__attribute__((visibility("default"))) const struct journal_module logq_journal_module = {
    .version = JOURNAL_MODULE_VERSION,
    .open = journal_open,
    .close = journal_close,
    .fd = journal_fd,
    .process = journal_process,
    .seek = journal_seek,
    .seek_cursor = journal_seek_cursor,
    .next = journal_next,
    .cursor = journal_cursor,
    .realtime = journal_realtime,
    .field = journal_field,
    .get = journal_get,
};
