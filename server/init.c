/*
 * server/init.c - see init.h.
 *
 * Secrets are written 0600 in directories 0700, each by file_replace (whole or not at all).  The
 * authority's key stays in tls/ca.key so that `cert collector` works; a careful operator moves it
 * away, and says so to himself by what init prints.
 */
#include "server/init.h"

#include "base/arena.h"
#include "base/file.h"
#include "server/auth.h"
#include "server/pki.h"
#include "storage/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PEM_MAX = 64 << 10,
    CA_DAYS = 3650,
    CERT_DAYS = 365,
    TOKEN_CHARS = 43,
    FIXED_NAMES = 4,
    NAMES_MAX = 64
};

static const char SERVER_YAML[] = "# logq-server.  Every option with its meaning: "
                                  "config/server.yaml, or `logq-server check --config FILE`.\n"
                                  "http:\n"
                                  "  listen: %s:3100\n"
                                  "  cert: tls/server.crt\n"
                                  "  key: tls/server.key\n"
                                  "forward:\n"
                                  "  listen: %s:24224\n"
                                  "  cert: tls/server.crt\n"
                                  "  key: tls/server.key\n"
                                  "  client_ca: tls/ca.crt\n"
                                  "data_dir: data\n"
                                  "master_key: master.key\n"
                                  "rules_dir: rules\n"
                                  "tokens:\n"
                                  "  - name: admin\n"
                                  "    token_file: admin.token\n"
                                  "    tenants: [default]\n"
                                  "    role: admin\n";

static const char COLLECTOR_YAML[] =
    "# logq-collector on the server's own host.  Every option with its meaning: "
    "config/collector.yaml.\n"
    "server:\n"
    "  address: 127.0.0.1:24224\n"
    "  ca: ca.crt\n"
    "  cert: client.crt\n"
    "  key: client.key\n"
    "state_dir: /var/lib/logq-collector\n"
    "inputs:\n"
    "  - type: docker\n"
    "    paths: [/var/lib/docker/containers/*/*-json.log]\n"
    "  - type: cri\n"
    "    paths: [/var/log/pods/*/*/*.log]\n"
    "  - type: podman\n"
    "    paths: ['/var/lib/containers/storage/*-containers/*/userdata/ctr.log']\n"
    "  - type: docker_events\n"
    "    socket: /var/run/docker.sock\n"
    "  - type: podman_events\n"
    "    socket: /run/podman/podman.sock\n"
    "    events_file: /run/libpod/events/events.log\n";

static int refuse_entry(void *arg, int dir_fd, const char *name, struct err *err)
{
    (void)dir_fd;
    return err_set(err, ERR_EXISTS,
                   "'%s' is not empty (it holds '%s'): init only fills an empty directory",
                   (const char *)arg, name);
}

static int open_empty(const char *dir, int *ret, struct err *err)
{
    union {
        const char *in;
        void *out;
    } name = {.in = dir}; /* file_walk's argument is not const */
    int fd = -1;
    int r = file_make_dirs(AT_FDCWD, dir, 0700, err);

    if (r == 0)
        r = file_open_dir(AT_FDCWD, dir, &fd, err);
    if (r == 0)
        r = file_walk(fd, refuse_entry, name.out, err);
    if (r == 0)
        *ret = fd;
    else if (fd >= 0)
        (void)close(fd);
    return r;
}

/* `lq_` and 43 characters of base62: 256 bits. */
static int make_token(char ret[TOKEN_CHARS + 5], struct err *err)
{
    static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = 0;

    memcpy(ret, "lq_", 3);
    while (n < TOKEN_CHARS) {
        unsigned char byte;
        if (RAND_bytes(&byte, 1) != 1)
            return err_set(err, ERR_IO, "the system has no random bytes");
        if (byte < 248) /* 4 * 62: no character more likely than another */
            ret[3 + n++] = BASE62[byte % 62];
    }
    ret[3 + n] = '\n';
    ret[4 + n] = '\0';
    return 0;
}

/* A certificate and its key, as PEM. */
struct pair {
    struct buf cert, key;
};

static void pair_init(struct pair *p)
{
    buf_init(&p->cert, PEM_MAX);
    buf_init(&p->key, PEM_MAX);
}

static void pair_clear(struct pair *p)
{
    if (p->key.n > 0)
        explicit_bzero(p->key.p, p->key.n);
    buf_clear(&p->cert);
    buf_clear(&p->key);
}

static void pair_fini(struct pair *p)
{
    pair_clear(p);
    buf_fini(&p->cert);
    buf_fini(&p->key);
}

/* Write and clear. */
static int write_pair(int dir_fd, const char *cert_name, const char *key_name, struct pair *p,
                      struct err *err)
{
    int r = file_replace(dir_fd, key_name, 0600, buf_str(&p->key), err);

    if (r == 0)
        r = file_replace(dir_fd, cert_name, 0644, buf_str(&p->cert), err);
    pair_clear(p);
    return r;
}

static bool name_ok(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* `name` and `tenant` were looked at. */
static int issue_client(const struct pki *ca, const char *name, const char *tenant, int dir_fd,
                        struct pair *p, struct err *err)
{
    char uri[320]; /* 150 of a tenant, 64 of a name */
    struct pki_request req = {.common_name = name, .uri = uri, .client = true, .days = CERT_DAYS};
    int r;

    (void)snprintf(uri, sizeof(uri), "logq://%s/collector/%s", tenant, name);
    r = pki_issue(ca, &req, &p->cert, &p->key, err);
    if (r == 0)
        r = write_pair(dir_fd, "client.crt", "client.key", p, err);
    if (r == 0)
        r = pki_print(ca, &p->cert, NULL, err);
    if (r == 0)
        r = file_replace(dir_fd, "ca.crt", 0644, buf_str(&p->cert), err);
    pair_clear(p);
    return r;
}

static void name_host(char ret[HOST_NAME_MAX + 1])
{
    memset(ret, 0, HOST_NAME_MAX + 1);
    if (gethostname(ret, HOST_NAME_MAX) != 0 || !name_ok(ret))
        (void)str_to_z(STR("localhost"), ret, HOST_NAME_MAX + 1); /* no name for a certificate */
}

/* Ours on this host, and `names`. */
static int issue_server(const struct pki *ca, const char *const *names, size_t n_names, int dir_fd,
                        struct pair *p, struct err *err)
{
    const char *all[NAMES_MAX + FIXED_NAMES];
    char host[HOST_NAME_MAX + 1];
    struct pki_request req = {
        .common_name = "logq-server", .names = all, .server = true, .days = CERT_DAYS};
    int r;

    name_host(host);
    all[req.n_names++] = "localhost";
    all[req.n_names++] = "127.0.0.1";
    all[req.n_names++] = "::1";
    if (strcmp(host, "localhost") != 0)
        all[req.n_names++] = host;
    for (size_t i = 0; i < n_names; i++)
        all[req.n_names++] = names[i];
    r = pki_issue(ca, &req, &p->cert, &p->key, err);
    return r < 0 ? r : write_pair(dir_fd, "server.crt", "server.key", p, err);
}

static int make_tls(int fd, const char *const *names, size_t n_names, struct err *err)
{
    char host[HOST_NAME_MAX + 1];
    struct pki *ca = NULL;
    struct pair pair;
    int tls = -1, collector = -1;
    int r = pki_new("logq authority", CA_DAYS, &ca, err);

    pair_init(&pair);
    name_host(host);
    if (r == 0)
        r = file_open_dir(fd, "tls", &tls, err);
    if (r == 0)
        r = file_open_dir(fd, "collector", &collector, err);
    if (r == 0)
        r = pki_print(ca, &pair.cert, &pair.key, err);
    if (r == 0)
        r = write_pair(tls, "ca.crt", "ca.key", &pair, err);
    if (r == 0)
        r = issue_server(ca, names, n_names, tls, &pair, err);
    if (r == 0)
        r = issue_client(ca, host, "default", collector, &pair, err);
    if (tls >= 0)
        (void)close(tls);
    if (collector >= 0)
        (void)close(collector);
    pair_fini(&pair);
    pki_free(&ca);
    return r;
}

/* What init makes in its directory. */
static const char *const DIRECTORIES[] = {"tls", "collector", "data", "rules", "run"};
static const char *const FILES[] = {"server.yaml", "admin.token", "master.key"};
enum {
    N_DIRECTORIES = sizeof(DIRECTORIES) / sizeof(DIRECTORIES[0]),
    N_FILES = sizeof(FILES) / sizeof(FILES[0])
};

static int make_directories(int fd, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < N_DIRECTORIES; i++)
        r = file_make_dirs(fd, DIRECTORIES[i], 0700, err);
    return r;
}

/* The directory was empty: after a failure it is again, so that the next try is not refused. */
static void take_back(int fd)
{
    struct err ignored; /* why init failed matters more */

    for (size_t i = 0; i < N_DIRECTORIES; i++)
        (void)file_remove_tree(fd, DIRECTORIES[i], &ignored);
    for (size_t i = 0; i < N_FILES; i++)
        (void)unlinkat(fd, FILES[i], 0);
}

static int make_texts(int fd, const char *dir, const char *listen, struct err *err)
{
    char token[TOKEN_CHARS + 5];
    char path[PATH_MAX];
    struct buf text;
    int r = make_token(token, err);

    buf_init(&text, PEM_MAX);
    buf_addf(&text, SERVER_YAML, listen, listen);
    if (r == 0)
        r = file_replace(fd, "server.yaml", 0644, buf_str(&text), err);
    if (r == 0)
        r = file_replace(fd, "admin.token", 0600, str_of(token), err);
    if (r == 0)
        r = file_replace(fd, "collector/collector.yaml", 0644, STR(COLLECTOR_YAML), err);
    explicit_bzero(token, sizeof(token));
    if ((size_t)snprintf(path, sizeof(path), "%s/master.key", dir) >= sizeof(path) && r == 0)
        r = err_set(err, ERR_INVALID, "'%s' is too long a path", dir);
    if (r == 0)
        r = keyring_make_master(path, err);
    buf_fini(&text);
    return r;
}

int init_server(const char *dir, const char *const *names, size_t n_names, struct err *err)
{
    int fd = -1;
    int r;

    if (n_names > NAMES_MAX)
        return err_set(err, ERR_INVALID, "more than %d names", NAMES_MAX);
    r = open_empty(dir, &fd, err);
    if (r < 0)
        return r;
    r = make_directories(fd, err);
    if (r == 0)
        r = make_tls(fd, names, n_names, err);
    if (r == 0)
        r = make_texts(fd, dir, n_names > 0 ? "0.0.0.0" : "127.0.0.1", err);
    if (r < 0)
        take_back(fd);
    (void)close(fd);
    if (r < 0)
        return r;
    (void)printf(
        "made %s: server.yaml, tls/, admin.token, master.key, collector/, rules/\n"
        "next:\n"
        "  logq-server run --config %s/server.yaml\n"
        "  logq-collector run --config %s/collector/collector.yaml\n"
        "  export LOGQ_ADDR=https://127.0.0.1:3100 LOGQ_CA_FILE=%s/tls/ca.crt LOGQ_TOKEN=$(cat "
        "%s/admin.token)\n"
        "  logq query '{source=\"container\"}'\n"
        "keep a copy of master.key apart from data/: without it nothing stored can be read.\n",
        dir, dir, dir, dir, dir);
    if (n_names == 0)
        (void)printf("it listens on loopback; with --name HOST at init, or by `listen:` in "
                     "server.yaml, on more.\n");
    return 0;
}

/* The authority that init left in `dir`. */
static int load_authority(const char *dir, struct pki **ret, struct err *err)
{
    char cert_path[PATH_MAX], key_path[PATH_MAX];
    int r;

    if ((size_t)snprintf(cert_path, sizeof(cert_path), "%s/tls/ca.crt", dir) >= sizeof(cert_path) ||
        (size_t)snprintf(key_path, sizeof(key_path), "%s/tls/ca.key", dir) >= sizeof(key_path))
        return err_set(err, ERR_INVALID, "'%s' is too long a path", dir);
    r = pki_load(cert_path, key_path, ret, err);
    return r < 0 ? err_wrap(err, "--dir is the directory that init made") : 0;
}

/* `out`, made if absent, where `name` must not be yet. */
static int open_out(const char *out, const char *name, int *ret, struct err *err)
{
    int fd = -1;
    int r = file_make_dirs(AT_FDCWD, out, 0700, err);

    if (r == 0)
        r = file_open_dir(AT_FDCWD, out, &fd, err);
    if (r == 0 && faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        r = err_set(err, ERR_EXISTS, "'%s/%s' is there already", out, name);
    if (r == 0)
        *ret = fd;
    else if (fd >= 0)
        (void)close(fd);
    return r;
}

int init_server_cert(const char *dir, const char *const *names, size_t n_names, const char *out,
                     struct err *err)
{
    struct pki *ca = NULL;
    struct pair pair;
    int fd = -1;
    int r;

    if (n_names > NAMES_MAX)
        return err_set(err, ERR_INVALID, "more than %d names", NAMES_MAX);
    pair_init(&pair);
    r = load_authority(dir, &ca, err);
    if (r == 0)
        r = open_out(out, "server.key", &fd, err);
    if (r == 0)
        r = issue_server(ca, names, n_names, fd, &pair, err);
    if (r == 0)
        (void)printf("made %s: server.crt, server.key for localhost, this host's name and %zu "
                     "more\nput both where server.yaml says, then send the server SIGHUP\n",
                     out, n_names);
    if (fd >= 0)
        (void)close(fd);
    pair_fini(&pair);
    pki_free(&ca);
    return r;
}

int init_collector_cert(const char *dir, const char *name, const char *tenant, const char *out,
                        struct err *err)
{
    struct pki *ca = NULL;
    struct pair pair;
    int fd = -1;
    int r;

    if (!name_ok(name))
        return err_set(err, ERR_INVALID,
                       "'%s' is no collector name: 1 to 64 of letters, digits, . _ -", name);
    if (!auth_tenant_ok(str_of(tenant)))
        return err_set(err, ERR_INVALID,
                       "'%s' is no tenant name: 1 to 150 of letters, digits, !_.*'()-", tenant);
    pair_init(&pair);
    r = load_authority(dir, &ca, err);
    if (r == 0)
        r = open_out(out, "client.key", &fd, err);
    if (r == 0)
        r = issue_client(ca, name, tenant, fd, &pair, err);
    if (r == 0)
        (void)printf("made %s: ca.crt, client.crt, client.key for collector %s, tenant %s\n", out,
                     name, tenant);
    if (fd >= 0)
        (void)close(fd);
    pair_fini(&pair);
    pki_free(&ca);
    return r;
}
