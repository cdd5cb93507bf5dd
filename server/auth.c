/*
 * server/auth.c - see auth.h.
 *
 * A token file is read once; what stays in memory is the SHA-256 of the token.  All tokens are
 * compared, each in constant time, so that the time of a refusal tells nothing.
 */
#include "server/auth.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHA256_BYTES = 32,
    TOKEN_FILE_MAX = 4096,
    TOKEN_MIN = 16,
    BASIC_MAX = 2048,
    TENANT_MAX = 150,
    TENANTS_MAX = 8
};

struct known {
    unsigned char digest[SHA256_BYTES];
    const struct server_conf_token *conf;
};

struct auth {
    unsigned magic;
#define AUTH_MAGIC 0xa0714b3cu
    bool dev;
    struct arena *arena;
    struct known *tokens;
    size_t n_tokens;
};

bool auth_tenant_ok(struct str name)
{
    static const char ALLOWED[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!_.*'()-";

    if (name.n == 0 || name.n > TENANT_MAX || str_eq(name, STR(".")) || str_eq(name, STR("..")))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (memchr(ALLOWED, name.p[i], sizeof(ALLOWED) - 1) == NULL)
            return false;
    return true;
}

static void digest_of(struct str token, unsigned char ret[SHA256_BYTES])
{
    (void)EVP_Digest(token.p, token.n, ret, NULL, EVP_sha256(),
                     NULL); /* fails only without memory */
}

/* The configuration may be freed before us: copy what we keep. */
static const struct server_conf_token *copy_token(struct auth *a,
                                                  const struct server_conf_token *from)
{
    struct server_conf_token *t = arena_alloc(a->arena, sizeof(*t));

    *t = *from;
    t->name = arena_str(a->arena, from->name);
    t->tenants.v = arena_alloc(a->arena, (from->tenants.n + 1) * sizeof(*t->tenants.v));
    for (size_t i = 0; i < from->tenants.n; i++)
        t->tenants.v[i] = arena_str(a->arena, from->tenants.v[i]);
    return t;
}

static int load_token(struct auth *a, const struct server_conf *conf,
                      const struct server_conf_token *t, struct err *err)
{
    const char *path = server_conf_path(conf, t->token_file, a->arena);
    struct known *k = &a->tokens[a->n_tokens];
    struct buf text;
    struct str token;
    int r;

    for (size_t i = 0; i < t->tenants.n; i++)
        if (!str_eq(t->tenants.v[i], STR("*")) && !auth_tenant_ok(t->tenants.v[i]))
            return err_set(err, ERR_INVALID, "token '%.*s': '%.*s' is no tenant name",
                           STR_ARG(t->name), STR_ARG(t->tenants.v[i]));
    buf_init(&text, TOKEN_FILE_MAX);
    r = file_read(AT_FDCWD, path, &text, err);
    token = str_trim(buf_str(&text));
    if (r == 0 && (token.n < TOKEN_MIN || memchr(token.p, '\n', token.n) != NULL))
        r = err_set(err, ERR_INVALID, "%s: one line of at least %d characters expected", path,
                    (int)TOKEN_MIN);
    if (r == 0)
        digest_of(token, k->digest);
    for (size_t i = 0; r == 0 && i < a->n_tokens; i++) /* else one's role would hide the other's */
        if (CRYPTO_memcmp(k->digest, a->tokens[i].digest, SHA256_BYTES) == 0)
            r = err_set(err, ERR_INVALID, "the same as token '%.*s': each needs one of its own",
                        STR_ARG(a->tokens[i].conf->name));
    if (r == 0) {
        k->conf = copy_token(a, t);
        a->n_tokens++;
        explicit_bzero(text.p, text.n);
    }
    buf_fini(&text);
    return r < 0 ? err_wrap(err, "token '%.*s'", STR_ARG(t->name)) : 0;
}

int auth_new(const struct server_conf *conf, bool dev, struct auth **ret, struct err *err)
{
    struct auth *a = mem_new(sizeof(*a));
    int r = 0;

    a->magic = AUTH_MAGIC;
    a->dev = dev;
    a->arena = arena_new(NULL, 0);
    a->tokens = arena_alloc(a->arena, (conf->n_tokens + 1) * sizeof(*a->tokens));
    for (size_t i = 0; r == 0 && !dev && i < conf->n_tokens; i++)
        r = load_token(a, conf, &conf->tokens[i], err);
    if (r < 0)
        auth_free(&a);
    else
        *ret = a;
    return r;
}

void auth_free(struct auth **pa)
{
    struct auth *a = *pa;

    if (a == NULL)
        return;
    OBJ_CHECK(a, AUTH_MAGIC);
    arena_free(&a->arena);
    a->magic = 0;
    free(a);
    *pa = NULL;
}

static int deny(struct err *err, int status, const char *text)
{
    int r = err_set(err, status == 503 ? ERR_NOMEM : ERR_DENIED, "%s", text);

    err->sys = status;
    return r;
}

/* The token in "Bearer T" or "Basic base64(name:T)"; STR_NULL if there is none. */
static struct str token_in(struct str header, struct arena *arena)
{
    struct str rest = str_trim(header);
    struct str scheme = str_cut(&rest, ' ');
    unsigned char *plain;
    int n;

    rest = str_trim(rest);
    if (str_eq_nocase(scheme, STR("Bearer")))
        return rest;
    if (!str_eq_nocase(scheme, STR("Basic")) || rest.n == 0 || rest.n > BASIC_MAX ||
        rest.n % 4 != 0)
        return STR_NULL;
    plain = arena_alloc(arena, rest.n);
    if (plain == NULL)
        return STR_NULL;
    n = EVP_DecodeBlock(plain, (const unsigned char *)rest.p, (int)rest.n);
    if (n < 0)
        return STR_NULL;
    n -= (rest.p[rest.n - 1] == '=') + (rest.p[rest.n - 2] == '=');
    scheme = (struct str){(const char *)plain, (size_t)n};
    (void)str_cut(&scheme, ':'); /* the name is for the sender's own records */
    return scheme;
}

static const struct server_conf_token *find_token(const struct auth *a, struct str token)
{
    const struct server_conf_token *found = NULL;
    unsigned char digest[SHA256_BYTES];

    digest_of(token, digest);
    for (size_t i = 0; i < a->n_tokens; i++)
        if (CRYPTO_memcmp(digest, a->tokens[i].digest, sizeof(digest)) == 0)
            found = a->tokens[i].conf;
    return found;
}

static bool may_use(const struct server_conf_token *t, struct str tenant)
{
    for (size_t i = 0; i < t->tenants.n; i++)
        if (str_eq(t->tenants.v[i], STR("*")) || str_eq(t->tenants.v[i], tenant))
            return true;
    return false;
}

static int add_tenant(struct auth_caller *ret, struct str tenant, struct arena *arena,
                      struct err *err)
{
    for (size_t i = 0; i < ret->n_tenants; i++)
        if (str_eq(ret->tenants[i], tenant))
            return 0; /* named twice: what is read twice would be answered twice */
    if (ret->n_tenants == TENANTS_MAX)
        return deny(err, 403, "too many tenants in X-Scope-OrgID");
    ret->tenants[ret->n_tenants] = arena_str(arena, tenant);
    if (ret->tenants[ret->n_tenants++].p == NULL)
        return deny(err, 503, "no memory for this request now");
    return 0;
}

static int imply_tenant(const struct auth *a, const struct server_conf_token *t,
                        struct arena *arena, struct auth_caller *ret, struct err *err)
{
    if (a->dev)
        return add_tenant(ret, STR("default"), arena, err);
    if (t->tenants.n != 1 || str_eq(t->tenants.v[0], STR("*")))
        return deny(err, 401,
                    "no org id: this token may use several tenants, name one in X-Scope-OrgID");
    return add_tenant(ret, t->tenants.v[0], arena, err);
}

/* `t` is not looked at under --dev. */
static int choose_tenants(const struct auth *a, const struct server_conf_token *t, struct str scope,
                          struct arena *arena, struct auth_caller *ret, struct err *err)
{
    struct str rest = scope;

    if (scope.n == 0)
        return imply_tenant(a, t, arena, ret, err);
    while (rest.p != NULL) {
        struct str tenant = str_cut(&rest, '|');
        int r;
        if (!auth_tenant_ok(tenant) || (!a->dev && !may_use(t, tenant)))
            return deny(err, 403, "this token may not use the tenant named in X-Scope-OrgID");
        r = add_tenant(ret, tenant, arena, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int auth_check(const struct auth *a, const struct auth_request *req, struct arena *arena,
               struct auth_caller *ret, struct err *err)
{
    const struct server_conf_token *t = NULL;

    OBJ_CHECK(a, AUTH_MAGIC);
    memset(ret, 0, sizeof(*ret));
    ret->name = STR("dev");
    ret->role = ROLE_ADMIN;
    if (!a->dev) {
        if (req->authorization.n == 0)
            return deny(err, 401, "a token is needed: Authorization: Bearer TOKEN");
        t = find_token(a, token_in(req->authorization, arena));
        if (t == NULL)
            return deny(err, 403, "unknown token");
        if (req->use == AUTH_WRITE && t->role == ROLE_READER)
            return deny(err, 403, "this token may only read");
        if (req->use != AUTH_WRITE && t->role == ROLE_WRITER)
            return deny(err, 403, "this token may only push");
        ret->name = arena_str(arena, t->name);
        ret->role = (enum server_role)t->role;
    }
    if (req->use == AUTH_STATUS)
        return 0;
    if (req->use == AUTH_WRITE && str_find_char(req->scope, '|') != SIZE_MAX)
        return deny(err, 403, "pushes go to one tenant");
    return choose_tenants(a, t, req->scope, arena, ret, err);
}
