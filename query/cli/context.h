/*
 * query/cli/context.h - which server, and as whom: flags, then environment, then the user's file.
 *
 * The file may name several servers.  One chosen by --server is taken as it stands there: neither
 * the environment's address nor its token has a say, so that no token reaches another server.  Else
 * LOGQ_SERVER or `server` in the file choose, and the environment comes first.
 *
 * The file is $XDG_CONFIG_HOME/logq/config.yaml, else ~/.config/logq/config.yaml.  Each setting is
 * looked up by itself, so that a flag may change the tenant and nothing else.
 */
#ifndef LOGQ_QUERY_CLI_CONTEXT_H
#define LOGQ_QUERY_CLI_CONTEXT_H

#include "base/arena.h"
#include "query/cli/args.h"

/* What the environment says; NULL or "" counts as not set.  Borrowed until context_load returns. */
struct context_env {
    const char *addr, *token, *ca_file, *tenant, *server; /* LOGQ_* */
    const char *config_home, *home;                       /* XDG_CONFIG_HOME, HOME */
};

struct context_query { /* saved in the file */
    struct str name, query;
};

struct context {
    const char *url;     /* as configured, for messages */
    bool tls;            /* https */
    const char *address; /* "host:port" or "[::1]:port", for wire/stream.h */
    const char *prefix;  /* path before every endpoint; "" or "/..." without a slash at its end */
    const char *ca;      /* PEM file; NULL: the system's */
    const char *token;   /* NULL: none */
    const char *tenant;  /* NULL: what the token means */
    const struct context_query *queries;
    size_t n_queries;
    const struct str *servers; /* names */
    size_t n_servers;
    struct arena *arena; /* owns all of the above */
};

/*
 * Fill *ret; context_fini it also after a failure.  ERR_INVALID, ERR_IO, ERR_LIMIT: a sentence for
 * the user.  A token is refused with http:// to anything but this host: it would cross the network
 * in the clear.
 */
int context_load(const struct args *args, const struct context_env *env, struct context *ret,
                 struct err *err);
void context_fini(struct context *c);

/* The query saved as `name`, NUL-terminated; ERR_INVALID suggests the nearest one. */
int context_query(const struct context *c, struct str name, const char **ret, struct err *err);

#endif
