/*
 * collector/config.c - the table of options, and the way from a file to the struct.  The checks
 * that concern more than one option are config_check.c.
 *
 * Paths of certificates and of state_dir are relative to the directory of the configuration file,
 * so that a directory made by the server's `init` can be copied as it is.
 */
#include "collector/config.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/record.h"
#include "collector/config_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_MAX = 16 << 20 };

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static const char *const TYPES[] = {"docker",        "cri",           "podman",  "file",     "json",
                                    "docker_events", "podman_events", "forward", "journald", NULL};
/* As enum journal_since. */
static const char *const SINCE[] = {"now", "boot", "all", NULL};
static const char *const READ_FROM[] = {"start", "end", NULL};
static const char *const COMPRESS[] = {"none", "gzip", "zstd", NULL};
/* As enum trace_format. */
static const char *const FORMATS[] = {"none",   "auto", "java", "go",   "python",
                                      "dotnet", "rust", "ruby", "node", NULL};
static const char *const THEN[] = {"keep", "drop", NULL};
static const char *const LEVELS[] = {"debug", "info", "warn", "error", NULL};

#define IN(field) offsetof(struct config_source, field)
static const struct conf_option SOURCE[] = {
    {.path = "type",
     .type = CONF_ENUM,
     .offset = IN(type),
     .choices = TYPES,
     .help = "docker (json-file), cri (containerd, CRI-O), podman (k8s-file), file (plain lines), "
             "json (a JSON object a line), docker_events, podman_events, forward (fluent clients), "
             "journald"},
    {.path = "paths",
     .type = CONF_STRS,
     .offset = IN(paths),
     .fallback = "[]",
     .help = "globs; empty: where the runtime keeps its logs"},
    {.path = "exclude",
     .type = CONF_STRS,
     .offset = IN(exclude),
     .fallback = "[]",
     .help = "globs of whole paths to leave alone"},
    {.path = "read_from",
     .type = CONF_ENUM,
     .offset = IN(read_from),
     .choices = READ_FROM,
     .fallback = "start",
     .help = "where to begin in files that are there at the first start"},
    {.path = "docker_root",
     .type = CONF_STR,
     .offset = IN(docker_root),
     .fallback = "",
     .help = "docker: directory of <id>/config.v2.json; empty: beside the log"},
    {.path = "runtime",
     .type = CONF_STR,
     .offset = IN(runtime),
     .fallback = "",
     .help = "cri: label runtime; empty: cri-o where its socket is, else containerd"},
    {.path = "runtime_state",
     .type = CONF_STRS,
     .offset = IN(runtime_state),
     .fallback = "[]",
     .help = "cri: directories of <id>/state.json or <id>/config.json, journald: of Docker's and "
             "podman's containers, from which ids, images and hints come; empty: the usual ones; "
             "none: nothing is looked for"},
    {.path = "socket",
     .type = CONF_STR,
     .offset = IN(socket),
     .fallback = "",
     .help = "docker_events, podman_events: unix socket of the engine; empty: the usual one"},
    {.path = "events_file",
     .type = CONF_STR,
     .offset = IN(events_file),
     .fallback = "",
     .help = "podman_events: events file, read where there is no socket; empty: the usual one"},
    {.path = "directory",
     .type = CONF_STR,
     .offset = IN(directory),
     .fallback = "",
     .help = "journald: where the journal's files are; empty: those of this host"},
    {.path = "since",
     .type = CONF_ENUM,
     .offset = IN(since),
     .choices = SINCE,
     .fallback = "now",
     .help = "journald: where to begin at the first start: now, boot, or all that is there"},
    {.path = "matches",
     .type = CONF_STRS,
     .offset = IN(matches),
     .fallback = "[]",
     .help = "journald: FIELD=value, entries to take beside those of containers"},
    {.path = "labels",
     .type = CONF_LABELS,
     .offset = IN(labels),
     .fallback = "{}",
     .help = "more stream labels for this input"},
    {.path = "select.include",
     .type = CONF_LABELS,
     .offset = IN(select.include),
     .fallback = "{}",
     .help = "only logs that have all of these labels; values may be globs"},
    {.path = "select.exclude",
     .type = CONF_LABELS,
     .offset = IN(select.exclude),
     .fallback = "{}",
     .help = "not those that have all of these"},
    {.path = "hints",
     .type = CONF_BOOL,
     .offset = IN(hints),
     .fallback = "true",
     .help = "do what a container's labels or annotations logq.io/exclude, logq.io/redact and "
             "logq.io/multiline ask for"},
    {.path = "time_key",
     .type = CONF_STR,
     .offset = IN(time_key),
     .fallback = "",
     .help = "json: member with the time, a nested one as a.b; empty: time, timestamp, ts or "
             "@timestamp"},
    {.path = "level_key",
     .type = CONF_STR,
     .offset = IN(level_key),
     .fallback = "",
     .help = "json: member with the level; empty: the server finds it"},
    {.path = "message_key",
     .type = CONF_STR,
     .offset = IN(message_key),
     .fallback = "",
     .help = "json: member that is the line, all others become attributes; empty: the line stays "
             "as it is"},
    {.path = "multiline.format",
     .type = CONF_ENUM,
     .offset = IN(multiline.format),
     .choices = FORMATS,
     .fallback = "none",
     .help = "lines that are one record: stack traces of none, java, go, python, dotnet, rust, "
             "ruby, node, or auto for all of these"},
    {.path = "multiline.start",
     .type = CONF_STR,
     .offset = IN(multiline.start),
     .fallback = "",
     .help = "or RE2 pattern that is found in the first line of each record"},
    {.path = "listen",
     .type = CONF_STRS,
     .offset = IN(forward.listen),
     .fallback = "[]",
     .help = "forward: where fluent clients connect, at most 4 of unix:/path, 127.0.0.1:port and "
             "[::1]:port"},
    {.path = "listen_mode",
     .type = CONF_STR,
     .offset = IN(forward.mode_text),
     .fallback = "0660",
     .help = "forward: mode of a unix socket; who may write to it may log"},
    {.path = "listen_group",
     .type = CONF_STR,
     .offset = IN(forward.group),
     .fallback = "",
     .help = "forward: group of a unix socket, a name or a number; empty: ours"},
    {.path = "spool_bytes",
     .type = CONF_BYTES,
     .offset = IN(forward.spool_bytes),
     .fallback = "256MiB",
     .min = 1 << 20,
     .max = INT64_C(1) << 40,
     .help = "forward: disk for what the server has not acknowledged yet; beyond it nothing is "
             "read from the clients"},
};

#define RULE(field) offsetof(struct config_rule, field)
static const struct conf_option RULES[] = {
    {.path = "name",
     .type = CONF_STR,
     .offset = RULE(name),
     .fallback = "",
     .help = "in metrics and drop records, at most 15 of a-z 0-9 _ -; empty: rule<number>"},
    {.path = "if.line",
     .type = CONF_STR,
     .offset = RULE(line),
     .fallback = "",
     .help = "text that the line holds"},
    {.path = "if.pattern",
     .type = CONF_STR,
     .offset = RULE(pattern),
     .fallback = "",
     .help = "RE2 pattern that is found in the line"},
    {.path = "if.level",
     .type = CONF_STRS,
     .offset = RULE(levels),
     .fallback = "[]",
     .help = "one of these levels: trace, debug, info, warn, error, critical, fatal, unknown"},
    {.path = "if.stream",
     .type = CONF_STR,
     .offset = RULE(stream),
     .fallback = "",
     .help = "stdout or stderr"},
    {.path = "if.labels",
     .type = CONF_LABELS,
     .offset = RULE(labels),
     .fallback = "{}",
     .help = "labels of the log; values may be globs"},
    {.path = "then",
     .type = CONF_ENUM,
     .offset = RULE(then),
     .choices = THEN,
     .fallback = "keep",
     .help = "keep or drop"},
    {.path = "sample",
     .type = CONF_STR,
     .offset = RULE(sample_text),
     .fallback = "1",
     .help = "keep this part of them: 0.01 is one in a hundred"},
    {.path = "rate",
     .type = CONF_INT,
     .offset = RULE(rate),
     .fallback = "0",
     .min = 0,
     .max = 1000000000,
     .help = "keep at most so many a second of each stream of a file; 0: any number"},
    {.path = "burst",
     .type = CONF_INT,
     .offset = RULE(burst),
     .fallback = "0",
     .min = 0,
     .max = 1000000000,
     .help = "and so many at once; 0: as many as rate"},
};

static const struct conf_option PATTERN[] = {
    {.path = "name",
     .type = CONF_STR,
     .offset = offsetof(struct config_pattern, name),
     .help = "stands in the place of what was found: [redacted:name]"},
    {.path = "pattern",
     .type = CONF_STR,
     .offset = offsetof(struct config_pattern, pattern),
     .help = "RE2 pattern; with a group only what the first one matches is taken out"},
};

#define AT(field) offsetof(struct config, field)
static const struct conf_option OPTIONS[] = {
    {.path = "server.address",
     .type = CONF_STR,
     .offset = AT(address),
     .fallback = "",
     .help = "Forward listener of logq-server: host:port or unix:/path"},
    {.path = "servers",
     .type = CONF_STRS,
     .offset = AT(servers),
     .fallback = "[]",
     .help = "instead of server.address several, at most 16: each file goes to one of them"},
    {.path = "server.failover",
     .type = CONF_DUR,
     .offset = AT(failover),
     .fallback = "30s",
     .min = 100 * NS_PER_MS,
     .max = NS_PER_H,
     .help = "a server that does not answer for this long is left for the next of servers"},
    {.path = "server.tls",
     .type = CONF_BOOL,
     .offset = AT(tls),
     .fallback = "true",
     .help = "mutual TLS; false only towards this host"},
    {.path = "server.ca",
     .type = CONF_STR,
     .offset = AT(ca),
     .fallback = "",
     .help = "certificates that the server's must come from"},
    {.path = "server.cert",
     .type = CONF_STR,
     .offset = AT(cert),
     .fallback = "",
     .help = "our certificate: who we are to the server"},
    {.path = "server.key", .type = CONF_STR, .offset = AT(key), .fallback = "", .help = "its key"},
    {.path = "server.server_name",
     .type = CONF_STR,
     .offset = AT(server_name),
     .fallback = "",
     .help = "name to look for in the server's certificate; empty: the host of the address"},
    {.path = "server.status_every",
     .type = CONF_DUR,
     .offset = AT(status_every),
     .fallback = "15s",
     .min = 100 * NS_PER_MS,
     .max = NS_PER_H,
     .help = "how often the server is told how we are: lag, gaps (logq collectors)"},
    {.path = "state_dir",
     .type = CONF_STR,
     .offset = AT(state_dir),
     .fallback = "/var/lib/logq-collector",
     .help = "journal of positions, received events, refused chunks"},
    {.path = "host",
     .type = CONF_STR,
     .offset = AT(host),
     .fallback = "",
     .help = "label host; empty: the host name"},
    {.path = "labels",
     .type = CONF_LABELS,
     .offset = AT(labels),
     .fallback = "{}",
     .help = "more stream labels for everything"},
    {.path = "chunk.bytes",
     .type = CONF_BYTES,
     .offset = AT(chunk_bytes),
     .fallback = "256KiB",
     .min = 4096,
     .max = CONFIG_CHUNK_MAX,
     .help = "a chunk is sent when it holds this much"},
    {.path = "chunk.bytes_busy",
     .type = CONF_BYTES,
     .offset = AT(chunk_bytes_busy),
     .fallback = "512KiB",
     .min = 4096,
     .max = CONFIG_CHUNK_MAX,
     .help = "or this much while there is more to read at once"},
    {.path = "chunk.delay",
     .type = CONF_DUR,
     .offset = AT(chunk_delay),
     .fallback = "200ms",
     .min = 0,
     .max = 60 * NS_PER_S,
     .help = "or when it is this old"},
    {.path = "chunk.window",
     .type = CONF_INT,
     .offset = AT(window_chunks),
     .fallback = "8",
     .min = 1,
     .max = 256,
     .help = "chunks sent and not acknowledged, at most"},
    {.path = "chunk.window_bytes",
     .type = CONF_BYTES,
     .offset = AT(window_bytes),
     .fallback = "8MB",
     .min = 1 << 16,
     .max = 1 << 30,
     .help = "bytes sent and not acknowledged, at most"},
    {.path = "compress",
     .type = CONF_ENUM,
     .offset = AT(compress),
     .choices = COMPRESS,
     .fallback = "zstd",
     .help = "of chunks on the wire"},
    {.path = "compress_level",
     .type = CONF_INT,
     .offset = AT(compress_level),
     .fallback = "1",
     .min = 1,
     .max = 9,
     .help = "1 is fast, 9 is small"},
    {.path = "ack_timeout",
     .type = CONF_DUR,
     .offset = AT(ack_timeout),
     .fallback = "30s",
     .min = NS_PER_MS,
     .max = NS_PER_H,
     .help = "without an ack for this long: connect anew and send again"},
    {.path = "max_line",
     .type = CONF_BYTES,
     .offset = AT(max_line),
     .fallback = "1MiB",
     .min = 1024,
     .max = RECORD_LINE_MAX,
     .help = "a longer line is cut and marked truncated=<its length>"},
    {.path = "partial_timeout",
     .type = CONF_DUR,
     .offset = AT(partial_timeout),
     .fallback = "5s",
     .min = NS_PER_MS,
     .max = NS_PER_H,
     .help = "an unfinished line that does not grow for this long is sent with partial=true"},
    {.path = "multiline_timeout",
     .type = CONF_DUR,
     .offset = AT(multiline_timeout),
     .fallback = "1s",
     .min = NS_PER_MS,
     .max = NS_PER_H,
     .help = "a record of several lines that does not grow for this long is whole"},
    {.path = "refused_bytes",
     .type = CONF_BYTES,
     .offset = AT(refused_bytes),
     .fallback = "64MB",
     .min = 0,
     .max = INT64_C(1) << 40,
     .help = "room in state_dir/refused for chunks the server will never take"},
    {.path = "spool.bytes",
     .type = CONF_BYTES,
     .offset = AT(spool_bytes),
     .fallback = "1GiB",
     .min = 1 << 16,
     .max = INT64_C(1) << 44,
     .help = "disk for logs that were deleted before they were read: in their place, while we hold "
             "them open, and in state_dir/keep"},
    {.path = "metrics.listen",
     .type = CONF_STR,
     .offset = AT(metrics_listen),
     .fallback = "",
     .help = "address of /metrics, /health and /files on this host; empty: none"},
    {.path = "privileges.user",
     .type = CONF_STR,
     .offset = AT(user),
     .fallback = "logq-collector",
     .help = "who to become when started as root, a name or a number; where there is no such user, "
             "65534 or, with required, an end"},
    {.path = "privileges.required",
     .type = CONF_BOOL,
     .offset = AT(sandbox_required),
     .fallback = "false",
     .help = "true: do not start where there is no such user, or the kernel cannot confine the "
             "process that parses"},
    {.path = "privileges.follow_into",
     .type = CONF_STRS,
     .offset = AT(follow_into),
     .fallback = "[/var/log/pods, /var/lib/docker/containers, /var/lib/containers]",
     .help = "directories that a link among the logs may lead to, beside those of the inputs"},
    {.path = "log_level",
     .type = CONF_ENUM,
     .offset = AT(log_level),
     .choices = LEVELS,
     .fallback = "info",
     .help = "of this program's own log on stderr"},
    {.path = "redact.detectors",
     .type = CONF_STRS,
     .offset = AT(redact.detectors),
     .fallback = "[]",
     .help = "what to take out of lines and attributes before anything leaves this host: bearer, "
             "cloud_key, jwt, card, email, ip, private_key"},
    {.path = "redact.patterns",
     .type = CONF_MAPS,
     .offset = AT(redact.patterns),
     .fallback = "[]",
     .help = "the same by patterns of your own",
     .sub = PATTERN,
     .n_sub = sizeof(PATTERN) / sizeof(PATTERN[0]),
     .sub_size = sizeof(struct config_pattern),
     .count_offset = AT(redact.n_patterns)},
    {.path = "kubernetes.api",
     .type = CONF_STR,
     .offset = AT(kube.api),
     .fallback = "",
     .help = "https:// address of the API server, to label the logs of this node's pods; empty: it "
             "is not asked"},
    {.path = "kubernetes.node",
     .type = CONF_STR,
     .offset = AT(kube.node),
     .fallback = "",
     .help = "name of this node, whose pods are asked for"},
    {.path = "kubernetes.token_file",
     .type = CONF_STR,
     .offset = AT(kube.token_file),
     .fallback = SERVICE_ACCOUNT "/token",
     .help = "token of the ServiceAccount, read before each request; empty: none is sent"},
    {.path = "kubernetes.ca_file",
     .type = CONF_STR,
     .offset = AT(kube.ca_file),
     .fallback = SERVICE_ACCOUNT "/ca.crt",
     .help = "certificates that the API server's must come from; empty: those of the system"},
    {.path = "kubernetes.labels",
     .type = CONF_STRS,
     .offset = AT(kube.labels),
     .fallback = "[]",
     .help = "globs of the pod labels that are stream labels"},
    {.path = "kubernetes.attributes",
     .type = CONF_STRS,
     .offset = AT(kube.attributes),
     .fallback = "['*']",
     .help = "globs of those that are attributes, label_<name>; a stream label is none"},
    {.path = "rules",
     .type = CONF_MAPS,
     .offset = AT(rules),
     .fallback = "[]",
     .help = "which records of logs to keep; the first that fits decides, others are kept",
     .sub = RULES,
     .n_sub = sizeof(RULES) / sizeof(RULES[0]),
     .sub_size = sizeof(struct config_rule),
     .count_offset = AT(n_rules)},
    {.path = "inputs",
     .type = CONF_MAPS,
     .offset = AT(sources),
     .fallback = "[]",
     .help = "what to read",
     .sub = SOURCE,
     .n_sub = sizeof(SOURCE) / sizeof(SOURCE[0]),
     .sub_size = sizeof(struct config_source),
     .count_offset = AT(n_sources)},
};
enum { N_OPTIONS = sizeof(OPTIONS) / sizeof(OPTIONS[0]) };

const struct config_source *config_find_source(const struct config *c, int type)
{
    for (size_t i = 0; i < c->n_sources; i++)
        if (c->sources[i].type == type)
            return &c->sources[i];
    return NULL;
}

/* The configuration file's directory. */
static int find_dir(struct arena *a, const char *file, struct str *ret, struct err *err)
{
    const char *slash = strrchr(file, '/');
    char *real;

    if (slash == NULL)
        real = realpath(".", NULL);
    else {
        char *dir = mem_dup(file, (size_t)(slash - file) + 1);
        real = realpath(dir, NULL);
        free(dir);
    }
    if (real == NULL)
        return err_sys(err, "directory of %s", file);
    *ret = arena_str(a, str_of(real));
    free(real);
    return ret->p == NULL ? arena_err(a, err) : 0;
}

/* Make `*s` absolute: it is meant from the configuration file's directory. */
static int anchor(const struct config *c, struct str *s, struct err *err)
{
    struct str whole;

    if (s->n == 0 || s->p[0] == '/')
        return 0;
    whole = arena_printf(c->arena, "%.*s/%.*s", STR_ARG(c->dir), STR_ARG(*s));
    if (whole.p == NULL)
        return arena_err(c->arena, err);
    *s = whole;
    return 0;
}

static int finish(struct config *c, const char *file, struct str dir, struct err *err)
{
    char name[256] = "";
    int r = 0;

    c->targets = c->servers.n > 0 ? c->servers : (struct conf_strs){&c->address, 1};

    if (c->host.n == 0) {
        if (gethostname(name, sizeof(name) - 1) < 0)
            return err_sys(err, "host name");
        c->host = arena_str(c->arena, str_of(name));
    }
    if (dir.n > 0)
        c->dir = arena_str(c->arena, dir);
    else
        r = find_dir(c->arena, file, &c->dir, err);
    if (r == 0)
        r = anchor(c, &c->ca, err);
    if (r == 0)
        r = anchor(c, &c->cert, err);
    if (r == 0)
        r = anchor(c, &c->key, err);
    if (r == 0)
        r = anchor(c, &c->state_dir, err);
    if (r == 0)
        r = anchor(c, &c->kube.token_file, err);
    if (r == 0)
        r = anchor(c, &c->kube.ca_file, err);
    return r;
}

static int sum_up(const char *path, const struct conf_errors *errors, struct err *err)
{
    if (errors->n == 0)
        return 0;
    return err_set(err, ERR_INVALID, "%s: %zu mistakes", path, errors->n);
}

int config_parse(const char *path, struct str dir, struct str text, struct config **ret,
                 struct conf_errors *errors, struct err *err)
{
    struct arena *a = arena_new(NULL, ARENA_MAX);
    struct config *c = mem_new(sizeof(*c));
    struct config_check k = {path, text, errors, a};
    int r;

    memset(errors, 0, sizeof(*errors));
    r = conf_load(path, text, OPTIONS, N_OPTIONS, c, a, errors, err);
    c->arena = a;
    *ret = c;
    if (r < 0 && r != ERR_INVALID)
        return r;
    config_check(&k, c); /* also of what has mistakes: all of them are told */
    r = finish(c, path, dir, err);
    if (r == 0)
        config_check_own(&k, c);
    return r == 0 ? sum_up(path, errors, err) : r;
}

int config_load(const char *path, struct config **ret, struct conf_errors *errors, struct err *err)
{
    struct buf text;
    int r;

    memset(errors, 0, sizeof(*errors));
    *ret = NULL;
    buf_init(&text, CONFIG_FILE_MAX);
    r = file_read(AT_FDCWD, path, &text, err);
    if (r == 0)
        r = config_parse(path, STR_NULL, buf_str(&text), ret, errors, err);
    if (r == 0 || (r == ERR_INVALID && errors->n > 0)) {
        config_files_check(&(struct config_check){path, buf_str(&text), errors, (*ret)->arena},
                           *ret);
        r = sum_up(path, errors, err);
    }
    buf_fini(&text);
    return r;
}

void config_free(struct config **pc)
{
    if (*pc == NULL)
        return;
    arena_free(&(*pc)->arena);
    free(*pc);
    *pc = NULL;
}

void config_print(struct buf *out, const struct config *c)
{
    conf_print(out, OPTIONS, N_OPTIONS, c);
}

void config_print_example(struct buf *out)
{
    conf_print_example(out, OPTIONS, N_OPTIONS);
}
