/*
 * server/server.c - start, reload, drain and stop.
 *
 * Start order: lock, store (replays the WAL), rules, listeners, addresses.json last: who finds that
 * file can connect. Stop order is the reverse in spirit: stop accepting, let what is under way be
 * acknowledged, flush, close.
 *
 * Invariants
 *   (1) rooms are opened after what they use and closed before it;
 *   (2) a reload builds everything anew before it replaces anything: a bad file changes nothing.
 */
#include "server/server.h"

#include "base/file.h"
#include "base/log.h"
#include "base/obj.h"
#include "base/priority.h"
#include "query/query.h"
#include "server/addresses.h"
#include "server/alerts.h"
#include "server/api.h"
#include "server/auth.h"
#include "server/collectors.h"
#include "server/descriptors.h"
#include "server/ingest.h"
#include "server/listen_forward.h"
#include "server/metrics.h"
#include "server/peers.h"
#include "server/rules.h"
#include "server/stream_limit.h"
#include "server/workers.h"
#include "storage/keyring.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DRAIN_POLL_MS = 20,
    DRAIN_MAX_MS = 15000,
    ERRORS_TEXT_MAX = 64 << 10,
    CONF_TEXT_MAX = 16 << 20,
    COLLECTORS_SAVE_MS = 30000,
};

struct running {
    struct server s;
    const char *config;
    struct addresses *addresses;
    struct loop_timer *drain_timer;
    struct loop_timer *save_timer; /* of collectors */
    dur_ns drain_deadline;
    char temporary[64]; /* --dev without --data; "" otherwise */
};

/* `errors` may be NULL or empty: then it is `err`.  The exit code. */
static int print_errors(const struct conf_errors *errors, const struct err *err)
{
    size_t n = errors == NULL ? 0 : errors->n;
    size_t shown = n < CONF_ERRORS_MAX ? n : CONF_ERRORS_MAX;

    for (size_t i = 0; i < shown; i++)
        (void)fprintf(stderr, "%.*s\n", STR_ARG(errors->v[i]));
    if (n > shown)
        (void)fprintf(stderr, "... and %zu more\n", n - shown);
    if (n == 0)
        (void)fprintf(stderr, "logq-server: %s\n", err->text);
    return 2;
}

/* The log's line says what is wrong, but only one thing. */
static void print_further_errors(const struct conf_errors *errors, const struct err *err)
{
    if (errors->n > 1)
        (void)print_errors(errors, err);
}

static int make_tls(const struct server_conf *c, struct tls_ctx **http, struct tls_ctx **forward,
                    struct err *err)
{
    struct tls_files files = {.cert = server_conf_path(c, c->http.cert, c->arena),
                              .key = server_conf_path(c, c->http.key, c->arena),
                              .server = true};
    int r = tls_ctx_new(&files, http, err);

    files.cert = server_conf_path(c, c->forward.cert, c->arena);
    files.key = server_conf_path(c, c->forward.key, c->arena);
    files.ca = server_conf_path(c, c->forward.client_ca, c->arena);
    files.require_client_cert = true;
    return r < 0 ? r : tls_ctx_new(&files, forward, err);
}

/* What the configuration names: a start would stop at these.  The exit code. */
static int check_files(const struct server_conf *c)
{
    struct auth *auth = NULL;
    struct tls_ctx *http = NULL, *forward = NULL;
    struct rules *rules = NULL;
    struct buf errors, warnings;
    struct err err;
    int code = 0;

    buf_init(&errors, ERRORS_TEXT_MAX);
    buf_init(&warnings, ERRORS_TEXT_MAX);
    if (auth_new(c, false, &auth, &err) < 0)
        code = print_errors(NULL, &err);
    if (make_tls(c, &http, &forward, &err) < 0)
        code = print_errors(NULL, &err);
    if (rules_load(server_conf_path(c, c->rules_dir, c->arena), &errors, &warnings, &rules, &err) <
        0)
        code = errors.n > 0 ? 2 : print_errors(NULL, &err);
    (void)fprintf(stderr, "%.*s%.*s", STR_ARG(buf_str(&errors)), STR_ARG(buf_str(&warnings)));
    auth_free(&auth);
    tls_ctx_unref(&http);
    tls_ctx_unref(&forward);
    rules_unref(&rules);
    buf_fini(&errors);
    buf_fini(&warnings);
    return code;
}

int server_check(const char *config)
{
    struct conf_errors errors = {0};
    struct server_conf conf;
    struct buf out;
    struct err err;
    int code;

    buf_init(&out, CONF_TEXT_MAX);
    if (server_conf_load(config, &conf, &errors, &err) < 0) {
        code = print_errors(&errors, &err);
    } else {
        code = check_files(&conf);
        server_conf_print(&conf, &out);
        if (buf_err(&out, "the effective configuration", &err) < 0 ||
            fwrite(out.p, 1, out.n, stdout) != out.n) {
            (void)fputs("logq-server: the effective configuration could not be written\n", stderr);
            code = 1;
        }
    }
    server_conf_free(&conf);
    buf_fini(&out);
    return code;
}

/* ---- configuration ---- */

/* Data, key and (without a file) everything else of a --dev server live in one directory. */
static int place_dev(struct running *run, const char *data, struct err *err)
{
    struct server_conf *conf = &run->s.conf;
    char path[PATH_MAX];
    int r = file_make_dirs(AT_FDCWD, data, 0700, err);

    if (r < 0)
        return r;
    if (realpath(data, path) == NULL)
        return err_sys(err, "resolve '%s'", data);
    conf->data_dir = arena_str(conf->arena, str_of(path));
    conf->master_key = arena_printf(conf->arena, "%s/master.key", path);
    if (run->config == NULL)
        conf->dir = conf->data_dir;
    return access(conf->master_key.p, F_OK) == 0 ? 0 : keyring_make_master(conf->master_key.p, err);
}

static int refuse_dev(const char *option, struct str address, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "%s: '%.*s' is not loopback, and --dev switches protection off: use 127.0.0.1",
                   option, STR_ARG(address));
}

static int load_dev(struct running *run, const struct server_options *opt, struct err *err)
{
    struct server_conf *conf = &run->s.conf;
    struct conf_errors errors = {0};
    const char *data = opt->data;
    int r;

    if (data == NULL) {
        (void)snprintf(run->temporary, sizeof(run->temporary), "/tmp/logq-dev-XXXXXX");
        if (mkdtemp(run->temporary) == NULL) {
            run->temporary[0] = '\0'; /* not ours to remove */
            return err_sys(err, "make a temporary directory");
        }
        data = run->temporary;
    }
    if (opt->config == NULL)
        r = server_conf_dev(data, conf, err);
    else if ((r = server_conf_load(opt->config, conf, &errors, err)) < 0)
        print_further_errors(&errors, err);
    if (r < 0)
        return r;
    if (!server_conf_is_loopback(conf->http.listen))
        return refuse_dev("http.listen", conf->http.listen, err);
    if (!server_conf_is_loopback(conf->forward.listen))
        return refuse_dev("forward.listen", conf->forward.listen, err);
    return place_dev(run, data, err);
}

static int load_conf(struct running *run, const struct server_options *opt, struct err *err)
{
    struct conf_errors errors = {0};
    int r;

    if (opt->dev)
        return load_dev(run, opt, err);
    r = server_conf_load(opt->config, &run->s.conf, &errors, err);
    if (r < 0)
        print_further_errors(&errors, err);
    return r;
}

/* ---- start ---- */

static void observe(void *arg, struct str tenant, struct batch *b)
{
    struct server *s = arg;

    if (s->alerts != NULL)
        alerts_observe(s->alerts, tenant, b);
    if (s->api != NULL)
        api_observe(s->api, tenant, b);
}

/* Any thread. */
static void forget(void *arg, struct str tenant)
{
    struct server *s = arg;

    if (s->results != NULL)
        query_cache_forget(s->results, tenant);
}

/* Any thread of the store. */
static void on_notice(void *arg, const char *event, const char *text)
{
    (void)arg;
    log_error(event, LOG_Z("error", text));
}

static int open_store(struct server *s, bool recover, struct err *err)
{
    const struct server_conf *c = &s->conf;
    struct store_options opt = {
        .dir = server_conf_path(c, c->data_dir, c->arena),
        .master_key = server_conf_path(c, c->master_key, c->arena),
        .decode = ingest_decode,
        .decode_arg = &s->memory,
        .observe = observe,
        .observe_arg = s,
        .forget = forget,
        .forget_arg = s,
        .notice = on_notice,
        .head_bytes = (size_t)c->storage.head_bytes,
        .flush_age = c->storage.flush_age,
        .wal_bytes = (uint64_t)c->storage.wal_bytes,
        .retention = c->storage.retention,
        .max_bytes = (uint64_t)c->storage.max_bytes,
        .ballast_bytes =
            c->storage.ballast_bytes == 0 ? UINT64_MAX : (uint64_t)c->storage.ballast_bytes,
        .clock_jump = c->storage.clock_jump,
        .drop_oldest = c->storage.disk_full == DISK_FULL_DROP_OLDEST,
        .recover = recover,
        .cache_bytes = (size_t)c->query.cache_bytes,
        .query_threads = (unsigned)c->query.threads,
        .budget = &s->memory,
    };
    int r;

    s->streams = stream_limit_new((size_t)c->storage.max_streams);
    r = retention_load(c, &s->retention, err);
    if (r < 0)
        return r;
    opt.retention_rules = s->retention.rules;
    opt.n_retention_rules = s->retention.n;
    return store_open(&opt, &s->store, err);
}

static int open_alerts(struct server *s, struct err *err)
{
    struct buf errors;
    int r;

    buf_init(&errors, ERRORS_TEXT_MAX);
    r = alerts_open(s, &errors, &s->alerts, err);
    if (errors.n > 0)
        (void)fwrite(errors.p, 1, errors.n, stderr);
    buf_fini(&errors);
    return r;
}

/* ---- the list of collectors ---- */

/* On a worker, or at the end. */
static void save_collectors(void *arg)
{
    struct server *s = arg;
    struct err err;

    if (collectors_save(s->collectors, s->store, &err) < 0)
        log_error("collectors.not_saved", LOG_ERR(&err));
}

static void on_save(void *arg)
{
    struct server *s = arg;

    (void)workers_run(s->workers, STR("collectors"), save_collectors, s); /* else the next time */
}

static int open_collectors(struct running *run, struct err *err)
{
    struct server *s = &run->s;
    size_t lost;
    int r = collectors_load(s->collectors, s->store, &lost, err);

    if (r < 0)
        return err_wrap(err, "list of collectors");
    if (lost > 0)
        log_error("collectors.lost", LOG_U64("pages", lost));
    run->save_timer = loop_timer_new(s->loop, on_save, s);
    loop_timer_start(run->save_timer, COLLECTORS_SAVE_MS, COLLECTORS_SAVE_MS);
    return 0;
}

static int open_rooms(struct running *run, bool recover, struct err *err)
{
    struct server *s = &run->s;
    int r = loop_new(&s->loop, err);

    s->peers = peers_new();
    s->collectors = collectors_new();
    if (r == 0)
        r = auth_new(&s->conf, s->dev, &s->auth, err);
    if (r == 0)
        r = workers_new((unsigned)s->conf.query.workers, (size_t)s->conf.query.concurrent,
                        &s->workers, err);
    if (s->conf.query.results_bytes > 0)
        s->results = query_cache_new((size_t)s->conf.query.results_bytes, &s->memory);
    if (r == 0)
        r = open_store(s, recover, err);
    if (r == 0)
        r = stream_limit_learn(s->streams, s->store, &s->memory, err);
    if (r == 0)
        r = open_collectors(run, err);
    if (r == 0)
        r = open_alerts(s, err);
    if (r == 0)
        r = api_open(s, &s->api, err);
    if (r == 0)
        r = listen_forward_open(s, false, &s->forward, err);
    if (r == 0 && s->conf.forward_local.n > 0)
        r = listen_forward_open(s, true, &s->forward_local, err);
    return r;
}

/* Last, when signals are heeded: who finds the addresses may ask for the end at once. */
static int publish(struct running *run, struct err *err)
{
    struct server *s = &run->s;
    int r = addresses_publish(
        run->addresses, api_address(s->api), listen_forward_address(s->forward),
        s->forward_local == NULL ? NULL : listen_forward_address(s->forward_local), err);

    if (r == 0)
        alerts_start(s->alerts);
    return r;
}

static void close_rooms(struct running *run)
{
    struct server *s = &run->s;

    loop_timer_free(&run->drain_timer);
    loop_timer_free(&run->save_timer);
    if (s->store != NULL)
        store_stop(s->store); /* sessions and pushes end when their appends have */
    listen_forward_close(&s->forward_local);
    listen_forward_close(&s->forward);
    workers_free(&s->workers); /* their calls use the api; api_cut has cancelled them */
    api_close(&s->api);
    alerts_close(&s->alerts);
    if (s->store != NULL)
        save_collectors(s);
    collectors_free(&s->collectors);
    stream_limit_free(&s->streams); /* nobody asks any more; it may still read the store */
    store_close(&s->store);
    query_cache_free(&s->results); /* the store says what it has to forget */
    retention_fini(&s->retention);
    auth_free(&s->auth);
    if (s->loop != NULL)
        loop_free(&s->loop);
    peers_free(&s->peers);
    addresses_free(&run->addresses);
    server_conf_free(&s->conf);
}

/* ---- reload and drain, on the main loop ---- */

/* An option that was changed and has no effect must not go unnoticed. */
static void warn_waiting(const struct server *s, struct server_conf *conf)
{
    struct buf names;

    if (s->dev) { /* there --data decides, not the file */
        conf->data_dir = s->conf.data_dir;
        conf->master_key = s->conf.master_key;
    }
    buf_init(&names, ERRORS_TEXT_MAX);
    server_conf_waiting(&s->conf, conf, &names);
    if (names.n > 0)
        log_warn("config.needs_restart", LOG_STR("options", buf_str(&names)));
    buf_fini(&names);
}

/* Keeps (2).  Certificates, tokens, rules and the log level take effect; the rest needs a restart.
 */
static int reload(struct running *run, struct err *err)
{
    struct server *s = &run->s;
    struct server_conf conf;
    struct conf_errors errors = {0};
    struct auth *auth = NULL;
    struct tls_ctx *http = NULL, *forward = NULL;
    struct buf rule_errors;
    int r = server_conf_load(run->config, &conf, &errors, err);

    buf_init(&rule_errors, ERRORS_TEXT_MAX);
    if (r < 0)
        print_further_errors(&errors, err);
    if (r == 0)
        r = auth_new(&conf, s->dev, &auth, err);
    if (r == 0 && !s->dev)
        r = make_tls(&conf, &http, &forward, err);
    if (r == 0)
        r = alerts_reload(s->alerts, &rule_errors, err);
    if (r == 0) {
        api_take_auth(s->api, auth);
        log_set_level((enum log_level)conf.log_level);
        warn_waiting(s, &conf);
        if (!s->dev) {
            api_set_tls(s->api, http);
            listen_forward_set_tls(s->forward, forward);
        }
    } else {
        auth_free(&auth);
        if (rule_errors.n > 0)
            (void)fwrite(rule_errors.p, 1, rule_errors.n, stderr);
    }
    tls_ctx_unref(&http);
    tls_ctx_unref(&forward);
    buf_fini(&rule_errors);
    server_conf_free(&conf);
    return r;
}

static void on_reload(void *arg, int signum)
{
    struct running *run = arg;
    struct err err;

    (void)signum;
    if (run->config == NULL)
        return;
    if (reload(run, &err) < 0) {
        metric_add(METRIC_CONFIG_RELOAD_FAILED, 1);
        log_error("config.reload_failed", LOG_Z("file", run->config), LOG_ERR(&err));
        return;
    }
    metric_add(METRIC_CONFIG_RELOADS, 1);
    log_info("config.reloaded", LOG_Z("file", run->config));
}

static void stop_loop(struct running *run)
{
    loop_timer_stop(run->drain_timer);
    api_cut(run->s.api);
    loop_stop(run->s.loop);
}

static void look_drained(void *arg)
{
    struct running *run = arg;
    struct server *s = &run->s;
    bool idle = api_is_idle(s->api) && listen_forward_is_idle(s->forward) &&
                (s->forward_local == NULL || listen_forward_is_idle(s->forward_local));

    if (!idle && time_mono() < run->drain_deadline)
        return;
    if (!idle)
        log_warn("server.drain_timeout", LOG_I64("after_ms", DRAIN_MAX_MS));
    stop_loop(run);
}

static void on_stop(void *arg, int signum)
{
    struct running *run = arg;
    struct server *s = &run->s;

    if (s->draining) {
        stop_loop(run); /* asked twice: at once */
        return;
    }
    log_info("server.draining", LOG_I64("signal", signum));
    s->draining = true;
    api_drain(s->api);
    listen_forward_drain(s->forward);
    if (s->forward_local != NULL)
        listen_forward_drain(s->forward_local);
    run->drain_deadline = time_mono() + DRAIN_MAX_MS * NS_PER_MS;
    loop_timer_start(run->drain_timer, 0, DRAIN_POLL_MS);
}

static int serve(struct running *run, struct err *err)
{
    struct server *s = &run->s;
    int r;

    run->drain_timer = loop_timer_new(s->loop, look_drained, run);
    r = loop_on_signal(s->loop, SIGTERM, on_stop, run, err);
    if (r == 0)
        r = loop_on_signal(s->loop, SIGINT, on_stop, run, err);
    if (r == 0)
        r = loop_on_signal(s->loop, SIGHUP, on_reload, run, err);
    if (r == 0)
        r = publish(run, err);
    if (r < 0)
        return r;
    if (s->dev)
        log_warn("server.dev", LOG_STR("data", s->conf.data_dir),
                 LOG_Z("kept", run->temporary[0] == '\0' ? "yes" : "no, removed at exit"),
                 LOG_Z("note", "no TLS, no login: whoever is on this host may do all"));
    log_info("server.ready", LOG_Z(s->dev ? "http" : "https", api_address(s->api)),
             LOG_Z("forward", listen_forward_address(s->forward)), LOG_Z("version", LOGQ_VERSION));
    priority_set(
        PRIORITY_BULK); /* no ack waits for it; what it starts from here on gives way too */
    loop_run(s->loop);
    return 0;
}

int server_run(const struct server_options *opt)
{
    struct running *run = mem_new(sizeof(*run));
    struct err err;
    int code = 0;

    run->s.magic = SERVER_MAGIC;
    run->s.dev = opt->dev;
    run->config = opt->config;
    log_set_program("logq-server");
    (void)signal(SIGPIPE, SIG_IGN);
    metrics_setup();
    if (load_conf(run, opt, &err) < 0) {
        code = 2;
    } else {
        log_set_level((enum log_level)run->s.conf.log_level);
        run->s.connections = descriptors_share(run->s.conf.forward_local.n > 0 ? 3 : 2);
        run->s.memory =
            (struct mem_budget){.name = "server", .limit = (size_t)run->s.conf.memory_bytes};
        if (addresses_lock(run->s.conf.dir.p, &run->addresses, &err) < 0 ||
            open_rooms(run, opt->recover, &err) < 0 || serve(run, &err) < 0)
            code = 1;
    }
    if (code != 0)
        log_error("server.failed", LOG_ERR(&err));
    close_rooms(run);
    if (run->temporary[0] != '\0')
        (void)file_remove_tree(AT_FDCWD, run->temporary,
                               &err); /* a leftover in /tmp harms nobody */
    if (code == 0)
        log_info("server.stopped", LOG_Z("version", LOGQ_VERSION));
    free(run);
    return code;
}
