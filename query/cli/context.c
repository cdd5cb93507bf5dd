/*
 * query/cli/context.c - see context.h.
 */
#include "query/cli/context.h"

#include "base/conf.h"
#include "base/file.h"
#include "base/near.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>

enum {
    ARENA_MAX = 4 << 20, /* never reached: the kernel's bound on a word is 128 KiB */
    FILE_MAX = 64 << 10,
    TOKEN_MAX = 4096,
};

static const char DEFAULT_URL[] = "http://127.0.0.1:3100"; /* what `logq-server run --dev` serves */

/* Where a server is, and as whom. */
struct place {
    struct str name; /* of `servers` */
    struct str addr, token, token_file, ca, tenant;
};

struct file {
    struct place top; /* the server without a name */
    struct str server;
    struct place *servers;
    size_t n_servers;
    struct context_query *queries;
    size_t n_queries;
};

#define OPTION(in, field, key, kind, without, text)                                                \
    {                                                                                              \
        .path = (key), .type = (kind), .offset = offsetof(struct in, field),                       \
        .fallback = (without), .help = (text)                                                      \
    }
#define PLACE(in, at)                                                                              \
    OPTION(in, at addr, "addr", CONF_STR, "", "server: https://host:3100"),                        \
        OPTION(in, at token, "token", CONF_SECRET, "", "token; better in a file of its own"),      \
        OPTION(in, at token_file, "token_file", CONF_STR, "", "file that holds the token"),        \
        OPTION(in, at ca, "ca", CONF_STR, "", "certificates to trust, PEM; else the system's"),    \
        OPTION(in, at tenant, "tenant", CONF_STR, "", "tenant, or several: a|b")
static const struct conf_option SERVER_OPTIONS[] = {
    OPTION(place, name, "name", CONF_STR, NULL, "what --server calls it"), PLACE(place, )};
static const struct conf_option QUERY_OPTIONS[] = {
    OPTION(context_query, name, "name", CONF_STR, NULL, "what @NAME calls it"),
    OPTION(context_query, query, "query", CONF_STR, NULL, "LogQL")};
static const struct conf_option OPTIONS[] = {
    PLACE(file, top.),
    OPTION(file, server, "server", CONF_STR, "", "the server of `servers` that is meant"),
    {.path = "servers",
     .type = CONF_MAPS,
     .offset = offsetof(struct file, servers),
     .fallback = "[]",
     .help = "servers with names",
     .sub = SERVER_OPTIONS,
     .n_sub = sizeof(SERVER_OPTIONS) / sizeof(SERVER_OPTIONS[0]),
     .sub_size = sizeof(struct place),
     .count_offset = offsetof(struct file, n_servers)},
    {.path = "queries",
     .type = CONF_MAPS,
     .offset = offsetof(struct file, queries),
     .fallback = "[]",
     .help = "queries with names",
     .sub = QUERY_OPTIONS,
     .n_sub = sizeof(QUERY_OPTIONS) / sizeof(QUERY_OPTIONS[0]),
     .sub_size = sizeof(struct context_query),
     .count_offset = offsetof(struct file, n_queries)},
};

/* ---- the user's file ---- */

static const char *join(struct arena *a, const char *dir, const char *name)
{
    return arena_printf(a, "%s/%s", dir, name).p;
}

/* A path in the file counts from the file's directory. */
static const char *resolve(struct arena *a, const char *dir, struct str path)
{
    if (path.n == 0)
        return NULL;
    return path.p[0] == '/' ? path.p : join(a, dir, path.p);
}

static const char *dir_of(const struct context_env *env, struct arena *a)
{
    if (env->config_home != NULL &&
        env->config_home[0] == '/') /* relative ones are to be ignored */
        return join(a, env->config_home, "logq");
    if (env->home != NULL && env->home[0] != '\0')
        return join(a, env->home, ".config/logq");
    return NULL;
}

/* Absent is fine: *ret stays empty. */
static int load_file(const char *dir, struct arena *a, struct file *ret, struct err *err)
{
    struct conf_errors errors;
    const char *path = join(a, dir, "config.yaml");
    struct buf text;
    int r;

    buf_init(&text, FILE_MAX);
    r = file_read(AT_FDCWD, path, &text, err);
    if (r == ERR_GONE) {
        buf_fini(&text);
        return 0;
    }
    if (r == 0)
        r = conf_load(path, buf_str(&text), OPTIONS, sizeof(OPTIONS) / sizeof(OPTIONS[0]), ret, a,
                      &errors, err);
    buf_fini(&text);
    return r;
}

/* ---- the token ---- */

static int check_token(struct str token, const char *from, struct err *err)
{
    if (token.n == 0)
        return err_set(err, ERR_INVALID, "%s holds no token", from);
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return err_set(err, ERR_INVALID, "%s holds more than a token", from);
    }
    return 0;
}

static int read_token(const char *path, struct context *c, struct err *err)
{
    struct buf text;
    struct str token;
    int r;

    buf_init(&text, TOKEN_MAX);
    r = file_read(AT_FDCWD, path, &text, err);
    token = str_trim(buf_str(&text));
    if (r == 0)
        r = check_token(token, path, err);
    if (r == 0)
        c->token = arena_str(c->arena, token).p;
    if (text.n > 0)
        explicit_bzero(text.p, text.n);
    buf_fini(&text);
    return r;
}

static int find_token(const struct args *args, const struct context_env *env,
                      const struct place *file, const char *dir, struct context *c, struct err *err)
{
    struct str token = str_trim(str_of(env->token));

    if (args->token_file != NULL)
        return read_token(args->token_file, c, err);
    if (token.n > 0) {
        c->token = arena_str(c->arena, token).p;
        return check_token(token, "LOGQ_TOKEN", err);
    }
    if (file->token_file.n > 0)
        return read_token(resolve(c->arena, dir, file->token_file), c, err);
    if (file->token.n > 0) {
        c->token = file->token.p;
        return check_token(file->token, "token in config.yaml", err);
    }
    return 0;
}

/* ---- the address ---- */

static int bad_url(const char *url, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "server address '%.80s': %s", url, why);
}

/* host, host:port, [v6] or [v6]:port; *ret gets where the port begins behind its colon, n without.
 */
static int find_port(struct str authority, const char *url, size_t *ret, struct err *err)
{
    size_t colon = str_find_char(authority, ':');
    size_t bracket = str_find_char(authority, ']');
    uint64_t port;

    *ret = authority.n;
    if (authority.n > 0 && authority.p[0] == '[') {
        if (bracket == SIZE_MAX || bracket == 1)
            return bad_url(url, "no host", err);
        colon = bracket + 1 < authority.n ? bracket + 1 : SIZE_MAX;
        if (colon != SIZE_MAX && authority.p[colon] != ':')
            return bad_url(url, "what stands behind ] is no port", err);
    }
    if (authority.n == 0 || colon == 0)
        return bad_url(url, "no host", err);
    if (colon == SIZE_MAX)
        return 0;
    if (!str_to_u64(str_from(authority, colon + 1), &port) || port < 1 || port > 65535)
        return bad_url(url, "the port is not within 1..65535", err);
    *ret = colon + 1;
    return 0;
}

static int parse_url(struct context *c, struct err *err)
{
    struct str rest = str_of(c->url), authority;
    size_t slash, port;
    int r;

    if (str_starts(rest, STR("https://"))) {
        c->tls = true;
        rest = str_from(rest, 8);
    } else if (str_starts(rest, STR("http://"))) {
        rest = str_from(rest, 7);
    } else {
        return bad_url(c->url, "it must begin with https:// or http://", err);
    }
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] <= ' ' || rest.p[i] > '~' || strchr("?#@\\", rest.p[i]) != NULL)
            return bad_url(c->url, "blanks, ?, #, @ and \\ do not belong there", err);
    }
    slash = str_find_char(rest, '/');
    authority = str_sub(rest, 0, slash);
    rest = slash == SIZE_MAX ? STR("") : str_from(rest, slash);
    while (rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    r = find_port(authority, c->url, &port, err);
    if (r < 0)
        return r;
    if (port < authority.n)
        c->address = arena_str(c->arena, authority).p;
    else
        c->address = arena_printf(c->arena, "%.*s:%s", STR_ARG(authority), c->tls ? "443" : "80").p;
    c->prefix = arena_str(c->arena, rest).p;
    return 0;
}

static bool is_this_host(const char *address)
{
    struct str a = str_of(address);
    bool is_v4 = address[strspn(address, "0123456789.")] == ':';

    return (is_v4 && str_starts(a, STR("127."))) || str_starts(a, STR("localhost:")) ||
           str_starts(a, STR("[::1]:"));
}

/* ---- all of it ---- */

/* The first that is set, as a copy. */
static const char *first_of(struct arena *a, const char *flag, const char *env, const char *file)
{
    const char *all[] = {flag, env, file};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i] != NULL && all[i][0] != '\0')
            return arena_str(a, str_of(all[i])).p;
    }
    return NULL;
}

/* The server that is meant: --server's, LOGQ_SERVER's, or the file's.  ERR_INVALID. */
static int choose_place(const struct args *args, const struct context_env *env,
                        const struct file *file, const struct place **ret, struct err *err)
{
    struct str name = str_of(args->server);
    struct near near;

    *ret = &file->top;
    if (name.n == 0)
        name = str_of(env->server);
    if (name.n == 0)
        name = file->server;
    if (name.n == 0)
        return 0;
    near_begin(&near, name);
    for (size_t i = 0; i < file->n_servers; i++) {
        near_offer(&near, file->servers[i].name);
        if (str_eq(file->servers[i].name, name)) {
            *ret = &file->servers[i];
            return 0;
        }
    }
    if (near.best.p != NULL)
        return err_set(err, ERR_INVALID, "config.yaml has no server '%.*s', did you mean '%.*s'?",
                       (int)(name.n < 60 ? name.n : 60), name.p, STR_ARG(near.best));
    return err_set(err, ERR_INVALID, "config.yaml has no server '%.*s'",
                   (int)(name.n < 60 ? name.n : 60), name.p);
}

static int keep_lists(struct context *c, const struct file *file, struct err *err)
{
    struct str *names = arena_alloc(c->arena, (file->n_servers + 1) * sizeof(*names));

    if (names == NULL)
        return arena_err(c->arena, err);
    for (size_t i = 0; i < file->n_servers; i++)
        names[i] = file->servers[i].name;
    c->servers = names;
    c->n_servers = file->n_servers;
    c->queries = file->queries;
    c->n_queries = file->n_queries;
    return 0;
}

static int fill(struct context *c, const struct args *args, const struct context_env *env,
                const struct place *place, const char *dir, struct err *err)
{
    int r;

    c->url = first_of(c->arena, args->addr, env->addr, place->addr.p);
    if (c->url == NULL)
        c->url = DEFAULT_URL;
    c->ca = first_of(c->arena, args->ca, env->ca_file, resolve(c->arena, dir, place->ca));
    c->tenant = first_of(c->arena, args->tenant, env->tenant, place->tenant.p);
    r = parse_url(c, err);
    if (r == 0)
        r = find_token(args, env, place, dir, c, err);
    if (r < 0)
        return r;
    if (c->address == NULL || c->prefix == NULL)
        return arena_err(c->arena, err);
    if (c->token != NULL && !c->tls && !is_this_host(c->address))
        return err_set(err, ERR_INVALID,
                       "%.80s: the token would cross the network in the clear: use https://",
                       c->url);
    return 0;
}

int context_load(const struct args *args, const struct context_env *env, struct context *ret,
                 struct err *err)
{
    static const struct context_env nothing = {0};
    const struct place *place = NULL;
    struct file file = {0};
    const char *dir;
    int r = 0;

    *ret = (struct context){.arena = arena_new(NULL, ARENA_MAX)};
    dir = dir_of(env, ret->arena);
    if (dir != NULL)
        r = load_file(dir, ret->arena, &file, err);
    if (r == 0)
        r = keep_lists(ret, &file, err);
    if (r == 0)
        r = choose_place(args, env, &file, &place, err);
    return r < 0 ? r : fill(ret, args, args->server != NULL ? &nothing : env, place, dir, err);
}

int context_query(const struct context *c, struct str name, const char **ret, struct err *err)
{
    struct near near;

    near_begin(&near, name);
    for (size_t i = 0; i < c->n_queries; i++) {
        near_offer(&near, c->queries[i].name);
        if (str_eq(c->queries[i].name, name)) {
            *ret = c->queries[i].query.p;
            return 0;
        }
    }
    if (name.n > 60)
        name.n = 60;
    if (near.best.p != NULL)
        return err_set(err, ERR_INVALID, "no query is saved as @%.*s, did you mean @%.*s?",
                       STR_ARG(name), STR_ARG(near.best));
    return err_set(err, ERR_INVALID, "no query is saved as @%.*s: see `queries` in config.yaml",
                   STR_ARG(name));
}

void context_fini(struct context *c)
{
    arena_free(&c->arena);
    *c = (struct context){0};
}
