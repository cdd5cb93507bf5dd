/*
 * query/cli/context.c - see context.h.
 */
#include "query/cli/context.h"

#include "base/conf.h"
#include "base/file.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>

enum {
    ARENA_MAX = 4 << 20, /* never reached: the kernel's bound on a word is 128 KiB */
    FILE_MAX = 64 << 10,
    TOKEN_MAX = 4096,
};

static const char DEFAULT_URL[] = "http://127.0.0.1:3100"; /* what `logq-server run --dev` serves */

struct file {
    struct str addr, token, token_file, ca, tenant;
};

#define OPTION(name, kind, text)                                                                   \
    {                                                                                              \
        .path = #name, .type = (kind), .offset = offsetof(struct file, name), .fallback = "",      \
        .help = (text)                                                                             \
    }
static const struct conf_option OPTIONS[] = {
    OPTION(addr, CONF_STR, "server: https://host:3100"),
    OPTION(token, CONF_SECRET, "token; better in a file of its own"),
    OPTION(token_file, CONF_STR, "file that holds the token"),
    OPTION(ca, CONF_STR, "certificates to trust, PEM; else the system's"),
    OPTION(tenant, CONF_STR, "tenant, or several: a|b"),
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
                      const struct file *file, const char *dir, struct context *c, struct err *err)
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

int context_load(const struct args *args, const struct context_env *env, struct context *ret,
                 struct err *err)
{
    struct file file = {0};
    const char *dir;
    int r = 0;

    *ret = (struct context){.arena = arena_new(NULL, ARENA_MAX)};
    dir = dir_of(env, ret->arena);
    if (dir != NULL)
        r = load_file(dir, ret->arena, &file, err);
    if (r < 0)
        return r;
    ret->url = first_of(ret->arena, args->addr, env->addr, file.addr.p);
    if (ret->url == NULL)
        ret->url = DEFAULT_URL;
    ret->ca = first_of(ret->arena, args->ca, env->ca_file, resolve(ret->arena, dir, file.ca));
    ret->tenant = first_of(ret->arena, args->tenant, env->tenant, file.tenant.p);
    r = parse_url(ret, err);
    if (r == 0)
        r = find_token(args, env, &file, dir, ret, err);
    if (r < 0)
        return r;
    if (ret->address == NULL || ret->prefix == NULL)
        return arena_err(ret->arena, err);
    if (ret->token != NULL && !ret->tls && !is_this_host(ret->address))
        return err_set(err, ERR_INVALID,
                       "%.80s: the token would cross the network in the clear: use https://",
                       ret->url);
    return 0;
}

void context_fini(struct context *c)
{
    arena_free(&c->arena);
    *c = (struct context){0};
}
