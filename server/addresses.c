/* server/addresses.c - see addresses.h. */
#include "server/addresses.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/obj.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char NAME[] = "addresses.json";

struct addresses {
    unsigned magic;
#define ADDRESSES_MAGIC 0xadd2e55eu
    int run_fd, lock_fd;
};

int addresses_lock(const char *dir, struct addresses **ret, struct err *err)
{
    struct addresses *a = mem_new(sizeof(*a));
    char path[PATH_MAX];
    int r = 0;

    a->magic = ADDRESSES_MAGIC;
    a->run_fd = a->lock_fd = -1;
    if ((size_t)snprintf(path, sizeof(path), "%s/run", dir) >= sizeof(path))
        r = err_set(err, ERR_INVALID, "'%s' is too long a path", dir);
    if (r == 0)
        r = file_make_dirs(AT_FDCWD, path, 0700, err);
    if (r == 0)
        r = file_open_dir(AT_FDCWD, path, &a->run_fd, err);
    if (r == 0)
        r = file_lock(a->run_fd, "lock", &a->lock_fd, err) < 0 ? err_wrap(err, "%s", path) : 0;
    if (r == 0 && unlinkat(a->run_fd, NAME, 0) < 0 && errno != ENOENT)
        r = err_sys(err, "remove what a server that died left in '%s'", path);
    if (r == 0)
        *ret = a;
    else
        addresses_free(&a);
    return r;
}

static void put_list(struct json_writer *w, const char *key, const char *address)
{
    json_put_key(w, str_of(key));
    if (address == NULL) {
        json_put_null(w);
        return;
    }
    json_put_array(w);
    json_put_string(w, str_of(address));
    json_put_array_end(w);
}

int addresses_publish(struct addresses *a, const char *https, const char *forward,
                      const char *local, struct err *err)
{
    struct json_writer w;
    struct buf text;
    int r;

    OBJ_CHECK(a, ADDRESSES_MAGIC);
    buf_init(&text, 4096);
    json_writer_init(&w, &text);
    json_put_object(&w);
    json_put_kv_u64(&w, "pid", (uint64_t)getpid());
    put_list(&w, "https", https);
    put_list(&w, "forward", forward);
    json_put_key(&w, STR("forward_local"));
    if (local == NULL)
        json_put_null(&w);
    else
        json_put_string(&w, str_of(local));
    json_put_object_end(&w);
    buf_add_char(&text, '\n');
    r = buf_err(&text, NAME, err);
    if (r == 0)
        r = file_replace(a->run_fd, NAME, 0644, buf_str(&text), err);
    buf_fini(&text);
    return r;
}

void addresses_free(struct addresses **pa)
{
    struct addresses *a = *pa;

    if (a == NULL)
        return;
    OBJ_CHECK(a, ADDRESSES_MAGIC);
    if (a->lock_fd >= 0) {
        (void)unlinkat(a->run_fd, NAME, 0); /* absent when we never got that far */
        (void)close(a->lock_fd);
    }
    if (a->run_fd >= 0)
        (void)close(a->run_fd);
    a->magic = 0;
    free(a);
    *pa = NULL;
}
