/*
 * storage/backup_restore.c - a backup becomes a data directory again.  Contract: backup.h.
 *
 * It is put together beside its place, as DATA.restoring, checked there, and renamed: a restore
 * that was interrupted leaves nothing that a server could open.
 */
#include "base/file.h"
#include "base/mem.h"
#include "storage/backup.h"
#include "storage/backup_files.h"
#include "storage/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct restore {
    const struct backup_restore *opt;
    struct backup_result *ret;
    int from, to;
};

static int take_file(void *arg, const struct backup_file *f, struct err *err)
{
    struct restore *rs = arg;
    const struct backup_copy c = {rs->from, rs->to, f->path, f->path, UINT64_MAX};
    uint8_t hash[CRYPT_SHA256];
    char dir[BACKUP_PATH_MAX];
    uint64_t bytes = 0;
    char *slash;
    int r = 0;

    (void)snprintf(dir, sizeof(dir), "%s", f->path);
    slash = strrchr(dir, '/');
    if (slash != NULL) {
        *slash = '\0';
        r = file_make_dirs(rs->to, dir, 0700, err);
    }
    if (r == 0)
        r = backup_files_copy(&c, &bytes, hash, err);
    if (r == ERR_GONE)
        return err_set(err, ERR_CORRUPT, "the backup lacks '%s'", f->path);
    if (r < 0)
        return r;
    if (bytes != f->bytes || (!f->is_root && memcmp(hash, f->hash, sizeof(hash)) != 0))
        return err_set(err, ERR_CORRUPT, "'%s' of the backup is not what MANIFEST says", f->path);
    rs->ret->files++;
    rs->ret->bytes += bytes;
    return 0;
}

static int take_all(struct restore *rs, struct err *err)
{
    struct buf text;
    int r;

    buf_init(&text, BACKUP_MANIFEST_MAX);
    r = file_read(rs->from, "MANIFEST", &text, err);
    if (r == ERR_GONE)
        r = err_set(err, ERR_CORRUPT, "'%s' is no backup, or one that did not come to its end",
                    rs->opt->from);
    if (r == 0)
        r = backup_manifest_read(buf_str(&text), NULL, NULL, err); /* all of it, first */
    if (r == 0)
        r = backup_manifest_read(buf_str(&text), take_file, rs, err);
    buf_fini(&text);
    if (r == 0)
        r = file_make_dirs(rs->to, "wal", 0700, err); /* also when there was no file in it */
    if (r == 0 && rs->opt->keyring != NULL) {
        const struct backup_copy c = {AT_FDCWD, rs->to, rs->opt->keyring, "keyring.db", UINT64_MAX};
        uint64_t bytes;
        r = backup_files_copy(&c, &bytes, NULL, err);
    }
    return r;
}

struct first {
    char text[320];
};

static void hear(void *arg, const struct verify_finding *f)
{
    struct first *first = arg;

    if (f->kind == VERIFY_DAMAGE && first->text[0] == '\0')
        (void)snprintf(first->text, sizeof(first->text), "%.100s: %.200s", f->file, f->text);
}

static int check(const struct restore *rs, const char *tmp, struct verify_result *ret,
                 struct err *err)
{
    struct verify_options opt = {.dir = tmp};
    struct first first = {.text = ""};
    uint64_t keyring_findings = rs->opt->keyring == NULL ? 1 : 0; /* that there is none */
    int r = verify_structure(&opt, hear, &first, ret, err);

    if (r == 0 && ret->damage > keyring_findings)
        r = err_set(err, ERR_CORRUPT, "the backup is damaged: %.200s", first.text);
    return r;
}

/* The directory that holds `path`, made durable. */
static int sync_parent(const char *path, struct err *err)
{
    char *copy = mem_dup(path, strlen(path));
    char *slash = strrchr(copy, '/');
    int fd = -1;
    int r;

    if (slash == copy)
        slash[1] = '\0';
    else if (slash != NULL)
        *slash = '\0';
    r = file_open_dir(AT_FDCWD, slash == NULL ? "." : copy, &fd, err);
    if (r == 0)
        r = file_sync_dir(fd, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    free(copy);
    return r;
}

/* Only an empty directory gives way to a rename. */
static int put_in_place(const char *tmp, const char *data, struct err *err)
{
    if (rename(tmp, data) == 0)
        return sync_parent(data, err);
    if (errno == ENOTEMPTY || errno == EEXIST)
        return err_set(err, ERR_EXISTS, "'%s' is not empty", data);
    return err_sys(err, "rename to '%s'", data);
}

static int see_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    return err_set(err, ERR_EXISTS, "'%s' is not empty: '%.60s' is there", (const char *)arg, name);
}

/* Asked before hours of copying. */
static int check_empty(const char *data, struct err *err)
{
    int fd = -1;
    int r = file_open_dir(AT_FDCWD, data, &fd, err);

    if (r == ERR_GONE)
        return 0;
    if (r == 0)
        r = file_walk(fd, see_entry, (void *)(uintptr_t)data, err);
    if (fd >= 0)
        (void)close(fd); /* a directory */
    return r;
}

int backup_restore(const struct backup_restore *opt, struct backup_result *ret,
                   struct verify_result *verified, struct err *err)
{
    struct restore rs = {.opt = opt, .ret = ret, .from = -1, .to = -1};
    struct err ignored; /* of tidying up: the next restore begins with it */
    char tmp[PATH_MAX];
    int r;

    *ret = (struct backup_result){0};
    *verified = (struct verify_result){0};
    if (snprintf(tmp, sizeof(tmp), "%s.restoring", opt->data) >= (int)sizeof(tmp))
        return err_set(err, ERR_INVALID, "a path is too long");
    r = check_empty(opt->data, err);
    if (r == 0)
        r = file_open_dir(AT_FDCWD, opt->from, &rs.from, err);
    if (r == 0)
        r = file_remove_tree(AT_FDCWD, tmp, err); /* of a restore that was interrupted */
    if (r == 0)
        r = file_make_dirs(AT_FDCWD, tmp, 0700, err);
    if (r == 0)
        r = file_open_dir(AT_FDCWD, tmp, &rs.to, err);
    if (r == 0)
        r = take_all(&rs, err);
    if (r == 0)
        r = check(&rs, tmp, verified, err);
    if (r == 0 && syncfs(rs.to) != 0) /* directories; files are durable */
        r = err_sys(err, "sync '%s'", tmp);
    if (r == 0)
        r = put_in_place(tmp, opt->data, err);
    if (r < 0 && rs.to >= 0)
        (void)file_remove_tree(AT_FDCWD, tmp, &ignored);
    if (rs.to >= 0)
        (void)close(rs.to); /* directories */
    if (rs.from >= 0)
        (void)close(rs.from);
    return r < 0 ? err_wrap(err, "restore") : 0;
}
