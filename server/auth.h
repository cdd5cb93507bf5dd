/*
 * server/auth.h - who is calling, and which tenants he may use.
 *
 * Immutable once loaded: a reload makes a new one and frees the old, so it is for one thread (the
 * main loop's), and a caller holds nothing of it.  Tokens are kept as SHA-256, compared in constant
 * time.
 */
#ifndef LOGQ_SERVER_AUTH_H
#define LOGQ_SERVER_AUTH_H

#include "base/arena.h"
#include "base/err.h"
#include "server/server_conf.h"

struct auth;

enum auth_use {
    AUTH_READ,
    AUTH_WRITE,
    AUTH_STATUS /* of the server, no tenant's data: X-Scope-OrgID does not matter */
};

struct auth_caller {
    struct str name; /* of the token; "dev" under --dev */
    enum server_role role;
    struct str tenants[8]; /* chosen by X-Scope-OrgID or implied, each once; none for AUTH_STATUS */
    size_t n_tenants;
};

/* Whose turn among tenants his requests take (workers.h); lives with *c. */
static inline struct str auth_lane(const struct auth_caller *c)
{
    return c->n_tenants > 0 ? c->tenants[0] : STR_NULL;
}

/* Read the token files.  ERR_INVALID names the file. */
int auth_new(const struct server_conf *conf, bool dev, struct auth **ret, struct err *err);
void auth_free(struct auth **pa);

/* What a request says about who sends it; both may be empty. */
struct auth_request {
    struct str authorization; /* header: Bearer T, or Basic with the token as password */
    struct str scope;         /* header X-Scope-OrgID; "a|b" only for reading */
    enum auth_use use;
};

/* Strings in *ret are copied into the arena.  ERR_DENIED or ERR_NOMEM (the arena is full), with the
 * HTTP status (401, 403, 503) in err->sys. */
int auth_check(const struct auth *a, const struct auth_request *req, struct arena *arena,
               struct auth_caller *ret, struct err *err);

/* A tenant name as Loki allows it. */
bool auth_tenant_ok(struct str name);

#endif
