/* collector/config_files.c - contract: config_files.h. */
#include "collector/config_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TLS_FILES = 3, FILES = 5 };

struct named {
    const char *option;
    struct str path;
};

/* The first TLS_FILES are those of TLS.  Those that are not used are empty. */
static void find_all(const struct config *c, struct named ret[FILES])
{
    bool kube = c->kube.api.n > 0;

    ret[0] = (struct named){"server.ca", c->tls ? c->ca : STR_NULL};
    ret[1] = (struct named){"server.cert", c->tls ? c->cert : STR_NULL};
    ret[2] = (struct named){"server.key", c->tls ? c->key : STR_NULL};
    ret[3] = (struct named){"kubernetes.token_file", kube ? c->kube.token_file : STR_NULL};
    ret[4] = (struct named){"kubernetes.ca_file", kube ? c->kube.ca_file : STR_NULL};
}

/* As policy.c understands names. */
static bool is_plain(struct str path)
{
    bool first = true;

    while (path.n > 0) {
        struct str part = str_cut(&path, '/');
        if ((part.n == 0 && !first) || str_eq(part, STR(".")) || str_eq(part, STR("..")))
            return false;
        first = false;
    }
    return true;
}

void config_files_check_names(const struct config_check *k, const struct config *c)
{
    struct named v[FILES];

    find_all(c, v);
    for (size_t i = 0; i < FILES; i++)
        if (!is_plain(v[i].path))
            config_check_complain(k, v[i].option,
                                  "a path may not have . or .. or an empty name in it: write down "
                                  "where the file is");
}

/* errno; 0: it is a file, and ours to read. */
static int look_at(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r = 0;
    struct stat st;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) < 0)
        r = errno;
    else if (!S_ISREG(st.st_mode))
        r = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    (void)close(fd);
    return r;
}

void config_files_check(const struct config_check *k, const struct config *c)
{
    struct named v[FILES];

    find_all(c, v);
    for (size_t i = 0; i < TLS_FILES; i++) {
        int failed = v[i].path.n == 0 || !is_plain(v[i].path) ? 0 : look_at(v[i].path.p);
        char why[128];
        struct str text;
        if (failed == 0)
            continue;
        text = arena_printf(k->a, "%s: %s", v[i].path.p,
                            failed == EINVAL ? "not a regular file"
                                             : strerror_r(failed, why, sizeof(why)));
        config_check_complain(k, v[i].option,
                              text.p == NULL ? "the file cannot be opened" : text.p);
    }
}
