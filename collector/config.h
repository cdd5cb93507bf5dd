/*
 * collector/config.h - collector.yaml as a struct.
 *
 * Every option, its default and its meaning: the table in config.c, from which the commented
 * example config/collector.yaml is printed too.
 */
#ifndef LOGQ_COLLECTOR_CONFIG_H
#define LOGQ_COLLECTOR_CONFIG_H

#include "base/conf.h"
#include "base/labels.h"

enum {
    CONFIG_FILE_MAX = 1 << 20,
    CONFIG_LISTEN_MAX = 4, /* addresses of the input forward */
};

enum config_input {
    CONFIG_DOCKER,
    CONFIG_CRI,
    CONFIG_PODMAN,
    CONFIG_FILE,
    CONFIG_JSON,
    CONFIG_DOCKER_EVENTS,
    CONFIG_PODMAN_EVENTS,
    CONFIG_FORWARD,
    CONFIG_JOURNALD,
};
enum config_read_from { CONFIG_READ_START, CONFIG_READ_END };
enum config_compress { CONFIG_COMPRESS_NONE, CONFIG_COMPRESS_GZIP, CONFIG_COMPRESS_ZSTD };

/* Which containers of an input: all of these labels, with globs for values. */
struct config_select {
    struct labels include, exclude;
};

enum { CONFIG_ROOTS_MAX = 16 };
struct config_source {
    int type;                        /* enum config_input */
    struct conf_strs paths, exclude; /* globs */
    int read_from;                   /* enum config_read_from */
    struct str docker_root;          /* where <id>/config.v2.json are; empty: beside the log */
    struct str runtime;              /* label `runtime` for cri; empty: found by looking */
    struct conf_strs runtime_state;  /* cri, journald: see config_runtime_state */
    struct str socket, events_file;  /* engines */
    struct str directory;            /* journald: of its files; empty: the system's */
    int since;                       /* journald: enum journal_since */
    struct conf_strs matches;        /* journald: FIELD=value, beside containers */
    struct labels labels;            /* more stream labels */
    struct config_select select;
    bool hints; /* what a container's own labels ask for is done */
    struct {
        int format;       /* enum trace_format, never TRACE_START */
        struct str start; /* pattern of a record's first line; empty: none */
    } multiline;
    struct str time_key, level_key, message_key; /* json */
    struct {
        struct conf_strs listen;     /* addresses */
        struct str mode_text, group; /* of unix sockets; empty group: ours */
        unsigned mode;
        int64_t spool_bytes;
    } forward;
};

enum config_then { CONFIG_KEEP, CONFIG_DROP };

/* What to do with records that fit all of `if`; the first rule that fits decides. */
enum { CONFIG_RULES_MAX = 64, CONFIG_RATES_MAX = 8, CONFIG_RULE_NAME_MAX = 16 };
struct config_rule {
    struct str name; /* shorter than CONFIG_RULE_NAME_MAX, unique */
    struct str line, pattern, stream;
    struct conf_strs levels;
    struct labels labels;
    int then; /* enum config_then */
    struct str sample_text;
    double sample;       /* of what is kept: 0..1 */
    int64_t rate, burst; /* records a second; 0: any number */
};

struct config_pattern {
    struct str name, pattern;
};
struct config_redact {
    struct conf_strs detectors;
    struct config_pattern *patterns;
    size_t n_patterns;
};

/* The API server, asked for the pods of this node; `api` empty: it is not. */
struct config_kube {
    struct str api, node, token_file, ca_file;
    struct conf_strs labels, attributes; /* globs of pod labels */
};

enum { CONFIG_SERVERS_MAX = 16, CONFIG_CHUNK_MAX = 4 << 20 };

struct config {
    struct str address, ca, cert, key, server_name;
    struct conf_strs servers; /* as configured */
    struct conf_strs targets; /* where to send to, at least one: the servers, or the address */
    bool tls;
    struct str state_dir, host;
    struct labels labels;
    int64_t chunk_bytes, chunk_bytes_busy, window_bytes, window_chunks;
    dur_ns chunk_delay, ack_timeout, partial_timeout, multiline_timeout, status_every, failover;
    int compress; /* enum config_compress */
    int64_t compress_level, max_line, refused_bytes, spool_bytes;
    struct str metrics_listen;
    struct str user; /* who we become when started as root */
    bool sandbox_required;
    struct conf_strs follow_into;
    int log_level; /* enum log_level */
    struct config_redact redact;
    struct config_kube kube;
    struct config_rule *rules;
    size_t n_rules;
    struct config_source *sources;
    size_t n_sources;

    struct str dir;      /* of the configuration file, absolute */
    struct arena *arena; /* owned: all texts */
};

/* Read and check `path`, and whether the files of TLS can be opened: so only with the rights to.
 * ERR_INVALID: *errors tells all that is wrong (its texts live in *ret, which the caller frees in
 * either case).  ERR_GONE, ERR_IO: the file cannot be read; then *ret is
 * NULL. */
int config_load(const char *path, struct config **ret, struct conf_errors *errors, struct err *err);
/* The same of `text`, that stood in `path` in the absolute directory `dir` (empty: is found out);
 * no file is opened. */
int config_parse(const char *path, struct str dir, struct str text, struct config **ret,
                 struct conf_errors *errors, struct err *err);
/* The unix socket of an engine that `s` asks for events, the usual one unless it is named; empty
 * for other inputs. */
struct str config_engine_socket(const struct config_source *s);
/* The input of type `type`; NULL: there is none.  Of those of engines and forward there is one at
 * most. */
const struct config_source *config_find_source(const struct config *c, int type);
void config_free(struct config **pc);

/* The effective configuration as YAML. */
void config_print(struct buf *out, const struct config *c);

/* The commented example with every option. */
void config_print_example(struct buf *out);

/* The usual globs of a type, used when a source names none; n == 0 for types that need paths. */
struct conf_strs config_default_paths(int type);

/* Directories in which runtimes keep a directory per container, the usual ones unless they are
 * named; none for inputs of other types than cri and journald. */
struct conf_strs config_runtime_state(const struct config_source *s);

#endif
