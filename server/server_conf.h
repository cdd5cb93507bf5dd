/*
 * server/server_conf.h - server.yaml as a struct.  config/server.yaml is the commented example.
 */
#ifndef LOGQ_SERVER_SERVER_CONF_H
#define LOGQ_SERVER_SERVER_CONF_H

#include "base/conf.h"
#include "base/labels.h"

enum server_role {
    ROLE_ADMIN,
    ROLE_READER,
    ROLE_WRITER
}; /* admin: all; reader: query; writer: push */

enum server_disk_full { DISK_FULL_STOP, DISK_FULL_DROP_OLDEST };

struct server_conf_token {
    struct str name;          /* shown in logs */
    struct str token_file;    /* one line; relative to the file's directory */
    struct conf_strs tenants; /* "*": any */
    int role;                 /* enum server_role */
};

struct server_conf_webhook {
    struct str url;
    bool send_resolved;
    struct str bearer_token_file; /* may be empty */
    dur_ns timeout;
};

struct server_conf_retention {
    struct str tenant, selector; /* empty: all */
    dur_ns period;
    int64_t max_bytes;
};

enum server_conf_choice { SERVER_CONF_INHERIT, SERVER_CONF_FALSE, SERVER_CONF_TRUE };

struct server_conf_tenant_limits { /* 0: as for all tenants */
    struct str tenant;
    dur_ns query_timeout, max_query_length, max_query_range;
    int64_t max_query_memory, max_query_bytes_read, max_query_series, max_entries;
    int empty_selector; /* enum server_conf_choice */
};

struct server_conf {
    struct arena *arena; /* owns all strings */
    struct str dir;      /* directory of the file: relative paths start here */

    struct str data_dir, master_key;
    struct {
        struct str listen, cert, key;
        bool metrics_public;
        int64_t max_body_bytes;
    } http;
    struct {
        struct str listen, cert, key, client_ca;
        struct str tenant; /* of collectors whose certificate names none */
        int64_t threads;   /* 0: one per CPU, at most 4 */
        int64_t max_message_bytes, max_payload_bytes;
        int64_t window_bytes; /* per connection: bytes not yet acknowledged before reading stops */
        int64_t max_connections;
        dur_ns message_time;
    } forward;
    struct str forward_local; /* "unix:/path" or a loopback address; empty: off */
    struct str forward_local_tenant, forward_local_shared_key;
    struct labels forward_local_labels;
    struct server_conf_token *tokens;
    size_t n_tokens;
    struct {
        dur_ns retention; /* 0: keep */
        int64_t max_bytes, max_streams;
        struct server_conf_retention *retention_rules;
        size_t n_retention_rules;
        int64_t head_bytes, wal_bytes, ballast_bytes;
        dur_ns flush_age;
        dur_ns clock_jump; /* 0: every clock is believed */
        int disk_full;     /* enum server_disk_full */
    } storage;
    struct {
        dur_ns time;
        int64_t memory_bytes, cache_bytes, results_bytes, threads, line_bytes, series, entries,
            tails, workers, concurrent;
        bool empty_selector;
        dur_ns length; /* 0: any */
        dur_ns range;  /* 0: any */
        struct server_conf_tenant_limits *tenant_limits;
        size_t n_tenant_limits;
    } query;
    int64_t memory_bytes; /* the whole server's budget */
    struct str rules_dir;
    struct {
        struct server_conf_webhook *webhooks;
        size_t n_webhooks;
        struct str external_url;
    } alerting;
    int log_level;
};

enum { SERVER_CONF_FORCED_MAX = 16 /* labels of forward_local_labels */ };

/* Load `path`.  *ret is overwritten; server_conf_free it whatever the outcome.  ERR_INVALID: errors
 * holds the sentences; ERR_GONE, ERR_IO, ERR_LIMIT: the file cannot be read.  Any thread. */
int server_conf_load(const char *path, struct server_conf *ret, struct conf_errors *errors,
                     struct err *err);
/* All defaults, for --dev without a file; paths start at `dev_data`. */
int server_conf_dev(const char *dev_data, struct server_conf *ret, struct err *err);
void server_conf_free(struct server_conf *c);
/* Append as YAML, defaults filled in, secrets as "(set)"; overflow shows in the buf. */
void server_conf_print(const struct server_conf *c, struct buf *out);
/* The commented example that is config/server.yaml. */
void server_conf_print_example(struct buf *out);
/* Append the names of options, with ", " between, in which `c` differs from what runs and which
 * only a restart changes. */
void server_conf_waiting(const struct server_conf *running, const struct server_conf *c,
                         struct buf *out);
/* `path` resolved against the file's directory, NUL-terminated, in `a`; NULL: `a` is full. */
const char *server_conf_path(const struct server_conf *c, struct str path, struct arena *a);
/* Can only programs on this host connect there?  An IP of loopback, localhost, a unix socket. */
bool server_conf_is_loopback(struct str address);

#endif
