/* storage/backup_files.c - see backup_files.h. */
#include "storage/backup_files.h"

#include "base/file.h"
#include "base/mem.h"

#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

static const char FIRST[] = "logq backup 1\n";

/* ---- files ---- */

/* Read `fd`, write to `to` (-1: nowhere). */
static int pump(int fd, int to, uint64_t limit, uint64_t *bytes, uint8_t *hash, struct err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char *chunk = mem_new(CHUNK);
    uint64_t done = 0;
    int r = 0;

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        r = err_set(err, ERR_NOMEM, "no memory for a hash");
    while (r == 0 && done < limit) {
        uint64_t want = limit - done < CHUNK ? limit - done : CHUNK;
        ssize_t n = read(fd, chunk, (size_t)want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = err_sys(err, "read");
        if (n <= 0)
            break;
        if (EVP_DigestUpdate(ctx, chunk, (size_t)n) != 1)
            r = err_set(err, ERR_NOMEM, "no memory for a hash");
        else if (to >= 0)
            r = file_write_all(to, chunk, (size_t)n, err);
        done += (uint64_t)n;
    }
    if (r == 0 && hash != NULL && EVP_DigestFinal_ex(ctx, hash, NULL) != 1)
        r = err_set(err, ERR_NOMEM, "no memory for a hash");
    EVP_MD_CTX_free(ctx);
    free(chunk);
    *bytes = done;
    return r;
}

static int open_for(int dir, const char *path, struct err *err)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd >= 0)
        return fd;
    return errno == ENOENT ? err_set(err, ERR_GONE, "there is no '%s'", path)
                           : err_sys(err, "open '%s'", path);
}

int backup_files_hash(int dir, const char *path, uint64_t *bytes, uint8_t ret[CRYPT_SHA256],
                      struct err *err)
{
    int fd = open_for(dir, path, err);
    int r;

    if (fd < 0)
        return fd;
    r = pump(fd, -1, UINT64_MAX, bytes, ret, err);
    (void)close(fd); /* only read from */
    return r < 0 ? err_wrap(err, "'%s'", path) : 0;
}

int backup_files_copy(const struct backup_copy *c, uint64_t *bytes, uint8_t *hash, struct err *err)
{
    int from = open_for(c->from_dir, c->from, err);
    int to;
    int r = 0;

    if (from < 0)
        return from;
    to = openat(c->to_dir, c->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0)
        r = err_sys(err, "create '%s'", c->to);
    else
        r = pump(from, to, c->limit, bytes, hash, err);
    if (r == 0 && fsync(to) != 0)
        r = err_sys(err, "fsync '%s'", c->to);
    if (to >= 0 && close(to) != 0 && r == 0)
        r = err_sys(err, "close '%s'", c->to);
    (void)close(from); /* only read from */
    return r < 0 ? err_wrap(err, "copy '%s'", c->from) : 0;
}

/* ---- manifest ---- */

static void add_hex(struct buf *b, const uint8_t *hash)
{
    for (size_t i = 0; i < CRYPT_SHA256; i++)
        buf_addf(b, "%02x", hash[i]);
}

void backup_manifest_begin(struct buf *b)
{
    buf_add_z(b, FIRST);
}

void backup_manifest_add(struct buf *b, const struct backup_file *f)
{
    buf_add_z(b, f->is_root ? "root " : "sha256 ");
    add_hex(b, f->hash);
    buf_addf(b, " %" PRIu64 " %s\n", f->bytes, f->path);
}

void backup_manifest_end(struct buf *b, uint64_t count)
{
    struct str all = buf_str(b);
    uint8_t hash[CRYPT_SHA256];

    crypt_sha256(&all, 1, hash);
    buf_addf(b, "end %" PRIu64 " ", count);
    add_hex(b, hash);
    buf_add_char(b, '\n');
}

static bool read_hex(struct str s, uint8_t ret[CRYPT_SHA256])
{
    if (s.n != 2 * (size_t)CRYPT_SHA256)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit > 15)
            return false;
        ret[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : ret[i / 2] | digit);
    }
    return true;
}

/* Below the directory, whoever wrote it. */
static bool is_path(struct str s)
{
    struct str rest = s;

    if (s.n == 0 || s.n >= BACKUP_PATH_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '/'))
            return false;
    }
    while (rest.p != NULL) {
        struct str part = str_cut(&rest, '/');
        if (part.n == 0 || part.p[0] == '.')
            return false;
    }
    return true;
}

static int corrupt(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "MANIFEST is damaged or not complete");
}

static int read_file(struct str line, struct backup_file *ret)
{
    struct str kind = str_cut(&line, ' ');
    struct str hash = str_cut(&line, ' ');
    struct str bytes = str_cut(&line, ' ');

    ret->is_root = str_eq(kind, STR("root"));
    if ((!ret->is_root && !str_eq(kind, STR("sha256"))) || !read_hex(hash, ret->hash) ||
        !str_to_u64(bytes, &ret->bytes) || !is_path(line))
        return -1;
    (void)str_to_z(line, ret->path, sizeof(ret->path));
    return 0;
}

/* The last line holds for all before. */
static bool is_end(struct str text, struct str line, uint64_t count)
{
    struct str all = {text.p, (size_t)(line.p - text.p)};
    uint8_t said[CRYPT_SHA256];
    uint8_t hash[CRYPT_SHA256];
    uint64_t n = 0;

    (void)str_cut(&line, ' ');
    if (!str_to_u64(str_cut(&line, ' '), &n) || n != count || !read_hex(line, said))
        return false;
    crypt_sha256(&all, 1, hash);
    return memcmp(hash, said, sizeof(hash)) == 0;
}

int backup_manifest_read(struct str text, backup_file_fn *fn, void *arg, struct err *err)
{
    struct str rest = text;
    uint64_t count = 0;

    if (!str_starts(text, STR(FIRST)) || !str_ends(text, STR("\n")))
        return corrupt(err);
    rest = str_from(rest, sizeof(FIRST) - 1);
    for (;;) {
        struct str line = str_cut(&rest, '\n');
        struct backup_file f;
        int r;
        if (str_starts(line, STR("end ")))
            return is_end(text, line, count) && rest.n == 0 ? 0 : corrupt(err);
        if (rest.p == NULL || read_file(line, &f) < 0)
            return corrupt(err);
        count++;
        r = fn == NULL ? 0 : fn(arg, &f, err);
        if (r < 0)
            return r;
    }
}
