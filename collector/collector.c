/* collector/collector.c - contract: collector.h. */
#include "collector/collector.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/backoff.h"
#include "collector/certs.h"
#include "collector/containers.h"
#include "collector/input_events.h"
#include "collector/input_file.h"
#include "collector/input_forward.h"
#include "collector/input_journal.h"
#include "collector/kube.h"
#include "collector/metrics.h"
#include "collector/opener_remote.h"
#include "collector/pipeline.h"
#include "collector/source.h"
#include "wire/http.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ENGINES = 2,
    METRICS_MAX = 1 << 20,
    FILES_MAX = 64 << 20,
    CERTS_AGAIN_MS = 1100,
    CERTS_PARTS = 20, /* of what is left of its life */
    CERTS_MOST_S = 60,
    LISTEN_AGAIN_MIN_MS = 500,
    LISTEN_AGAIN_MAX_MS = 30000,
    LOCK_RETRY_MS = 50,
    LAST_LOOK_MS = 10,
};

static const char ADDRESSES[] = "addresses.json";

struct collector {
    unsigned magic;
#define COLLECTOR_MAGIC 0xc0111ec7u
    struct loop *loop;
    struct opener *opener;      /* borrowed; NULL: we have the rights ourselves */
    struct source_set *set;     /* holds the configuration */
    struct source_set *started; /* the one of the start: what a reload cannot change */
    int state_fd, lock_fd;
    size_t max_fds;
    pid_t pid; /* that the world knows us by */
    ts_ns started_at;
    struct checkpoint *checkpoint;
    struct containers *containers;
    struct spool *own;
    struct pipeline *pipeline;
    struct kube_pods *pods; /* NULL: Kubernetes was never asked */
    struct kube *kube;      /* NULL: it is not now */
    struct certs *certs;
    struct loop_timer *certs_timer; /* of the end of a certificate */
    bool certs_told;                /* that it comes */
    bool certs_changed;             /* not every connection uses them yet */
    bool certs_again;               /* they are to be looked at, whatever the time */
    struct input_file *files;
    struct input_events *engines[ENGINES]; /* Docker, podman; NULL: not asked for */
    struct input_forward *forward;         /* NULL: not asked for */
    struct input_journal *journal;         /* NULL: not asked for */
    struct http_server *http;
    struct loop_timer *http_timer; /* NULL: we listen for it, or need not */
    struct backoff http_backoff;
    struct loop_timer *last_look; /* what was written last is being read */
    dur_ns read_until, drain_until;
    unsigned draining; /* things that are not done yet */
    loop_fn *drain_done;
    void *drain_arg;
};

static const struct config *config_of(const struct collector *c)
{
    return c->set->config;
}

/* ---- TLS ---- */

/* For ship.h.  A second later they are looked at once more: now may be too soon after the last
 * look, and one of them may be on its way. */
static struct tls_ctx *on_renew(void *arg)
{
    struct collector *c = arg;

    c->certs_changed = certs_look(c->certs) || c->certs_changed;
    c->certs_again = true;
    loop_timer_start(c->certs_timer, CERTS_AGAIN_MS, 0);
    return certs_current(c->certs);
}

/* How long until the certificate is looked at again, whether there is a connection or not. */
static uint64_t certs_wait_ms(const struct certs *certs)
{
    ts_ns now = time_now(), due = certs_due(certs);
    ts_ns wait = due - now;

    if (wait <= 0) {
        wait = (tls_ctx_not_after(certs_current(certs)) - now) / CERTS_PARTS;
        if (wait > CERTS_MOST_S * NS_PER_S)
            wait = CERTS_MOST_S * NS_PER_S;
    }
    if (wait > NS_PER_H) /* clocks are set */
        wait = NS_PER_H;
    return wait < NS_PER_S ? 1000 : (uint64_t)(wait / NS_PER_MS) + 1;
}

static void on_certs(void *arg)
{
    struct collector *c = arg;
    bool due;

    if (certs_current(c->certs) == NULL)
        return;
    due = time_now() >= certs_due(c->certs);
    if ((due || c->certs_again) && certs_look(c->certs))
        c->certs_changed = true;
    c->certs_again = false;
    if (c->certs_changed) {
        pipeline_set_tls(c->pipeline, certs_current(c->certs));
        c->certs_told = c->certs_changed = false;
    } else if (due && !c->certs_told) {
        char text[TIME_TEXT_MAX];
        c->certs_told = true;
        log_warn(
            "certificate.ends", LOG_STR("file", config_of(c)->cert),
            LOG_STR("at", time_format_rfc3339(tls_ctx_not_after(certs_current(c->certs)), text)));
    }
    loop_timer_start(c->certs_timer, certs_wait_ms(c->certs), 0);
}

/* ---- engines ---- */

/* Podman need not run a service: then its events file is read.  What the configuration names
 * decides; if it names neither, the socket where one takes us. */
static bool podman_by_file(struct opener *o, const struct config *config)
{
    const struct config_source *s = config_find_source(config, CONFIG_PODMAN_EVENTS);
    struct err err;
    int fd;

    if (s == NULL || s->socket.n > 0)
        return false;
    if (s->events_file.n > 0 || opener_connect(o, config_engine_socket(s).p, &fd, &err) < 0)
        return true;
    (void)close(fd);
    return false;
}

static void stop_engines(struct collector *c)
{
    for (size_t i = 0; i < ENGINES; i++)
        input_events_free(&c->engines[i]);
    input_journal_free(&c->journal);
}

static void on_container(void *arg, const char *name, struct str id)
{
    struct collector *c = arg;

    input_file_expect(c->files, strcmp(name, SPOOL_DOCKER) == 0 ? SOURCE_DOCKER : SOURCE_PODMAN,
                      id);
}

static int start_journal(struct collector *c, struct err *err)
{
    struct input_journal_options opt = {.loop = c->loop,
                                        .set = c->set,
                                        .conf = config_find_source(config_of(c), CONFIG_JOURNALD),
                                        .own = c->own,
                                        .state_fd = c->state_fd};

    return opt.conf == NULL ? 0 : input_journal_open(&opt, &c->journal, err);
}

void collector_set_journal(struct collector *c, int fd)
{
    OBJ_CHECK(c, COLLECTOR_MAGIC);
    if (c->journal != NULL)
        input_journal_attach(c->journal, fd);
    else
        (void)close(fd); /* of a configuration that is gone */
}

static int start_engines(struct collector *c, struct err *err)
{
    static const int TYPES[ENGINES] = {CONFIG_DOCKER_EVENTS, CONFIG_PODMAN_EVENTS};
    static const char *const NAMES[ENGINES] = {SPOOL_DOCKER, SPOOL_PODMAN};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ENGINES; i++) {
        const struct config_source *s = config_find_source(config_of(c), TYPES[i]);
        struct input_events_options opt = {.loop = c->loop,
                                           .name = NAMES[i],
                                           .opener = c->opener,
                                           .own = c->own,
                                           .state_fd = c->state_fd,
                                           .redact =
                                               profile_of_other(c->set->profiles, false)->redact,
                                           .started = on_container,
                                           .arg = c};
        struct input in;
        if (s == NULL ||
            (s->type == CONFIG_PODMAN_EVENTS && podman_by_file(c->opener, config_of(c))))
            continue;
        opt.socket = config_engine_socket(s);
        r = input_events_open(&opt, &c->engines[i], err);
        if (r < 0)
            break;
        in = input_events_input(c->engines[i]);
        r = in.ops->start(in.self, err);
    }
    return r < 0 ? r : start_journal(c, err);
}

/* ---- Kubernetes ---- */

static void on_pod(void *arg, struct str uid)
{
    struct collector *c = arg;

    input_file_describe_again(c->files, uid);
}

static void load_pods(struct collector *c)
{
    struct err err;

    if (c->pods != NULL)
        return;
    c->pods = kube_pods_new();
    if (kube_load(c->state_fd, c->pods, &err) < 0)
        log_warn("kubernetes.cache_unusable", LOG_ERR(&err));
}

/* As the configuration says now; one that works by the same goes on.  true: it was begun anew. */
static bool start_kube(struct collector *c, const struct config_kube *old)
{
    const struct config_kube *k = &config_of(c)->kube;
    struct kube_options opt = {
        .loop = c->loop, .opener = c->opener, .config = k, .changed = on_pod, .arg = c};
    bool stays = old != NULL && str_eq(k->api, old->api) && str_eq(k->node, old->node) &&
                 str_eq(k->token_file, old->token_file) && str_eq(k->ca_file, old->ca_file);

    if (!stays)
        kube_free(&c->kube);
    if (k->api.n == 0)
        return false;
    load_pods(c);
    source_set_pods(c->set, c->pods);
    if (c->kube != NULL)
        return false;
    opt.pods = c->pods;
    opt.state_fd = c->state_fd;
    c->kube = kube_open(&opt);
    return true;
}

/* ---- /metrics, /health ---- */

static void reply_health(struct collector *c, struct http_exchange *x)
{
    struct input_file_lag lag = input_file_lag(c->files);
    struct buf out;
    struct json_writer w;

    buf_init(&out, METRICS_MAX);
    json_writer_init(&w, &out);
    json_put_object(&w);
    json_put_key(&w, STR("connected"));
    json_put_bool(&w, pipeline_is_connected(c->pipeline));
    json_put_kv_u64(&w, "unacked_chunks", pipeline_in_flight(c->pipeline));
    json_put_kv_u64(&w, "files", input_file_count(c->files));
    json_put_kv_u64(&w, "lag_bytes", lag.bytes);
    json_put_kv_u64(&w, "lag_s", (uint64_t)(lag.age / NS_PER_S));
    json_put_kv_u64(&w, "worker_restarts", metric_get(METRIC_WORKER_RESTARTS));
    json_put_key(&w, STR("hanging"));
    json_put_array(&w);
    for (size_t i = 0; opener_remote_hanging(c->opener, i) != NULL; i++)
        json_put_string(&w, str_of(opener_remote_hanging(c->opener, i)));
    json_put_array_end(&w);
    if (c->kube != NULL)
        kube_health(c->kube, &w);
    json_put_object_end(&w);
    buf_add_char(&out, '\n');
    http_reply(x, 200, "application/json", buf_str(&out));
    buf_fini(&out);
}

static void on_request(struct http_exchange *x, void *arg)
{
    struct buf out;

    if (!str_eq(http_method(x), STR("GET"))) {
        http_replyf(x, 405, "only GET\n");
    } else if (str_eq(http_path(x), STR("/health"))) {
        reply_health(arg, x);
    } else if (str_eq(http_path(x), STR("/metrics"))) {
        buf_init(&out, METRICS_MAX);
        metric_write(&out);
        http_reply(x, 200, "text/plain; version=0.0.4", buf_str(&out));
        buf_fini(&out);
    } else if (str_eq(http_path(x), STR("/files"))) {
        const struct collector *c = arg;
        buf_init(&out, FILES_MAX);
        input_file_list(c->files, &out);
        http_reply(x, 200, "application/json", buf_str(&out));
        buf_fini(&out);
    } else {
        http_replyf(x, 404, "there is /metrics, /health and /files\n");
    }
}

/* Where others find the ports that were chosen. */
static int write_addresses(struct collector *c, struct err *err)
{
    struct buf out;
    struct json_writer w;
    int r;

    buf_init(&out, 4096);
    json_writer_init(&w, &out);
    json_put_object(&w);
    json_put_kv_u64(&w, "pid", (uint64_t)c->pid);
    if (c->http != NULL)
        json_put_kv_str(&w, "metrics", str_of(http_server_address(c->http)));
    if (c->forward != NULL) {
        const char *address;
        json_put_key(&w, STR("forward"));
        json_put_array(&w);
        for (size_t i = 0; (address = input_forward_address(c->forward, i)) != NULL; i++)
            json_put_string(&w, str_of(address));
        json_put_array_end(&w);
    }
    json_put_object_end(&w);
    r = file_replace(c->state_fd, ADDRESSES, 0644, buf_str(&out), err);
    buf_fini(&out);
    return r;
}

static void on_listening(void *arg)
{
    struct collector *c = arg;
    struct err err;

    if (write_addresses(c, &err) < 0)
        log_warn("addresses.not_written", LOG_ERR(&err));
}

static int open_http(struct collector *c, int bound_fd, struct err *err)
{
    struct listener_options listen = {.max_streams = 32, .bound_fd = bound_fd};
    static const struct http_options HTTP = {.idle_ms = 10000};
    int r = http_server_open(c->loop, c->started->config->metrics_listen.p, &listen, &HTTP,
                             on_request, c, &c->http, err);

    if (r == 0)
        log_info("metrics.listening", LOG_Z("address", http_server_address(c->http)));
    return r;
}

static void open_http_again(void *arg)
{
    struct collector *c = arg;
    struct err err;

    if (open_http(c, 0, &err) == 0)
        on_listening(c);
    else
        loop_timer_start(c->http_timer, backoff_next_ms(&c->http_backoff), 0);
}

static int start_http(struct collector *c, const struct collector_rights *rights, struct err *err)
{
    struct str address = config_of(c)->metrics_listen;
    int fd = rights == NULL ? 0 : rights->metrics_fd, r;

    if (address.n == 0 || fd < 0)
        return 0;
    r = open_http(c, fd, err);
    if (r < 0 && rights != NULL && rights->go_on) {
        log_error("listen.failed", LOG_Z("option", "metrics.listen"), LOG_STR("address", address),
                  LOG_ERR(err));
        c->http_backoff =
            (struct backoff){.min_ms = LISTEN_AGAIN_MIN_MS, .max_ms = LISTEN_AGAIN_MAX_MS};
        c->http_timer = loop_timer_new(c->loop, open_http_again, c);
        loop_timer_start(c->http_timer, backoff_next_ms(&c->http_backoff), 0);
        return 0;
    }
    return r < 0 ? err_wrap(err, "metrics.listen") : 0;
}

/* ---- fluent clients ---- */

static int open_forward(struct collector *c, const struct collector_rights *rights, struct err *err)
{
    const struct config_source *s = config_find_source(config_of(c), CONFIG_FORWARD);
    struct input_forward_options opt = {.loop = c->loop,
                                        .bound_fds = rights == NULL ? NULL : rights->forward_fds,
                                        .go_on = rights != NULL && rights->go_on,
                                        .listening = on_listening,
                                        .arg = c,
                                        .state_fd = c->state_fd,
                                        .max_line = (size_t)config_of(c)->max_line};

    if (s == NULL)
        return 0;
    opt.listen = s->forward.listen;
    opt.mode = s->forward.mode;
    opt.spool_bytes = (uint64_t)s->forward.spool_bytes;
    return input_forward_open(&opt, &c->forward, err);
}

/* ---- life ---- */

static void on_ready(void *arg)
{
    struct collector *c = arg;

    pipeline_wake(c->pipeline);
}

static void on_acked(void *arg)
{
    struct collector *c = arg;

    input_file_acked(c->files);
}

/* Who held it may be dying right now. */
static int lock_state(struct collector *c, dur_ns wait, struct err *err)
{
    dur_ns end = time_mono() + wait;
    int r;

    while ((r = file_lock(c->state_fd, "lock", &c->lock_fd, err)) == ERR_EXISTS &&
           time_mono() < end)
        (void)usleep(LOCK_RETRY_MS * 1000);
    return r;
}

static int open_state(struct collector *c, const struct collector_rights *rights, struct err *err)
{
    const char *dir = config_of(c)->state_dir.p;
    uint64_t cut;
    int r = 0;

    if (rights != NULL) {
        c->state_fd = fcntl(rights->state_fd, F_DUPFD_CLOEXEC, 0);
        if (c->state_fd < 0)
            r = err_sys(err, "dup");
    } else {
        r = file_make_dirs(AT_FDCWD, dir, 0700, err);
        if (r == 0)
            r = file_open_dir(AT_FDCWD, dir, &c->state_fd, err);
    }
    if (r == 0)
        r = lock_state(c, rights == NULL ? 0 : rights->lock_wait, err);
    if (r == 0)
        r = checkpoint_open(c->state_fd, &c->checkpoint, err);
    if (r == 0)
        r = spool_open(c->state_fd, SPOOL_OWN, &c->own, err);
    if (r < 0)
        return err_wrap(err, "state_dir %s", dir);
    c->containers = containers_open(c->state_fd, c->opener);
    c->set->containers = c->containers;
    cut = metric_get(METRIC_CHECKPOINT_CUT);
    if (cut > 0)
        log_warn("checkpoint.cut", LOG_U64("bytes", cut));
    if (checkpoint_renewal(c->checkpoint) != CHECKPOINT_SAME)
        log_error(checkpoint_renewal(c->checkpoint) == CHECKPOINT_OLD    ? "checkpoint.old"
                  : checkpoint_renewal(c->checkpoint) == CHECKPOINT_LOST ? "checkpoint.lost"
                                                                         : "checkpoint.damaged",
                  LOG_Z("state_dir", dir));
    return 0;
}

/* What the server shows to `logq collectors`. */
static void on_about(void *arg, bool is_hello, struct forward_about *ret)
{
    const struct collector *c = arg;

    if (is_hello) {
        ret->hello.version = STR(LOGQ_VERSION);
        ret->hello.host = str_sub(config_of(c)->host, 0, FORWARD_ABOUT_TEXT_MAX);
        ret->hello.started_ns = (uint64_t)c->started_at;
    }
    ret->status.files = c->files == NULL ? 0 : input_file_count(c->files);
    ret->status.lag_bytes = metric_get(METRIC_LAG_BYTES);
    ret->status.lag_s = metric_get(METRIC_LAG_SECONDS);
    ret->status.gaps = metric_get(METRIC_GAPS);
    ret->status.gap_bytes = metric_get(METRIC_GAP_BYTES);
    ret->status.twice_bytes = metric_get(METRIC_MAYBE_TWICE_BYTES);
    ret->status.restarts = metric_get(METRIC_WORKER_RESTARTS);
}

/* A server knows more of our journal than it says itself. */
static void on_old_journal(void *arg, uint64_t next)
{
    struct collector *c = arg;

    log_error("checkpoint.old", LOG_U64("next_file", checkpoint_next_file(c->checkpoint)),
              LOG_U64("known", next));
    checkpoint_is_old(c->checkpoint, next);
    input_file_tell_old(c->files);
}

static int open_pipeline(struct collector *c, struct err *err)
{
    static const enum codec CODECS[] = {CODEC_NONE, CODEC_GZIP, CODEC_ZSTD};
    const struct config *k = config_of(c);
    struct pipeline_options opt = {
        .loop = c->loop,
        .checkpoint = c->checkpoint,
        .own = c->own,
        .state_fd = c->state_fd,
        .chunk = {.bytes = (size_t)k->chunk_bytes,
                  .bytes_busy = (size_t)k->chunk_bytes_busy,
                  .codec = CODECS[k->compress],
                  .level = (int)k->compress_level},
        .chunk_delay = k->chunk_delay,
        .refused_bytes = (uint64_t)k->refused_bytes,
        .fleet = {.addresses = k->targets.v, .n = k->targets.n, .failover = k->failover},
        .acked = on_acked,
        .about = on_about,
        .old_journal = on_old_journal,
        .arg = c,
    };
    int r = certs_open(c->opener, k, &c->certs, err);

    if (r < 0)
        return r;
    opt.fleet.ship.tls = certs_current(c->certs);
    opt.fleet.ship.renew = on_renew;
    opt.fleet.ship.renew_arg = c;
    opt.fleet.ship.opener = c->opener;
    opt.fleet.ship.server_name = k->server_name.n > 0 ? k->server_name.p : NULL;
    opt.fleet.ship.window_chunks = (size_t)k->window_chunks;
    opt.fleet.ship.window_bytes = (size_t)k->window_bytes;
    opt.fleet.ship.ack_timeout = k->ack_timeout;
    opt.fleet.ship.status_ms = (uint64_t)(k->status_every / NS_PER_MS);
    c->certs_timer = loop_timer_new(c->loop, on_certs, c);
    r = pipeline_open(&opt, &c->pipeline, err);
    if (r == 0)
        loop_timer_start(c->certs_timer, 0, 0);
    return r;
}

static int open_files(struct collector *c, struct err *err)
{
    struct input_file_options opt = {
        .loop = c->loop,
        .checkpoint = c->checkpoint,
        .own = c->own,
        .state_fd = c->state_fd,
        .max_fds = c->max_fds,
        .spool_bytes = (uint64_t)config_of(c)->spool_bytes,
        .max_line = (size_t)config_of(c)->max_line,
        .partial_timeout = config_of(c)->partial_timeout,
        .ready = on_ready,
        .arg = c,
    };
    struct input in;
    int r = input_file_open(&opt, c->set, &c->files, err);

    if (r < 0)
        return r;
    in = input_file_input(c->files);
    r = in.ops->start(in.self, err);
    if (r == 0)
        pipeline_start(c->pipeline, in);
    return r;
}

int collector_open(struct loop *l, const struct collector_rights *rights, struct config *config,
                   struct collector **ret, struct err *err)
{
    struct collector *c = mem_new(sizeof(*c));
    int r;

    c->magic = COLLECTOR_MAGIC;
    c->loop = l;
    c->started_at = time_now();
    c->opener = rights == NULL ? NULL : rights->opener;
    c->max_fds = rights == NULL ? 0 : rights->max_fds;
    c->pid = rights == NULL ? getpid() : rights->pid;
    c->set = source_set_new(config, c->opener, podman_by_file(c->opener, config));
    c->started = source_set_ref(c->set);
    c->state_fd = c->lock_fd = -1;
    r = open_state(c, rights, err);
    if (r == 0)
        r = open_pipeline(c, err);
    if (r == 0)
        r = start_http(c, rights, err);
    if (r == 0)
        r = start_engines(c, err);
    if (r == 0) /* before anybody reads its spool */
        r = open_forward(c, rights, err);
    if (r == 0 && (c->http != NULL || c->forward != NULL))
        r = write_addresses(c, err);
    if (r == 0)
        (void)start_kube(c, NULL); /* what an earlier run knew is there when logs are opened */
    if (r == 0)
        r = open_files(c, err);
    if (r < 0) {
        collector_free(&c);
        return r;
    }
    *ret = c;
    return 0;
}

static bool same(struct str a, struct str b)
{
    return str_eq(a, b);
}

static bool same_servers(const struct config *a, const struct config *b)
{
    bool ok = a->targets.n == b->targets.n;

    for (size_t i = 0; ok && i < a->targets.n; i++)
        ok = same(a->targets.v[i], b->targets.v[i]);
    return ok;
}

static void name_option(struct buf *names, bool differs, const char *name)
{
    if (differs)
        buf_addf(names, "%s%s", names->n > 0 ? ", " : "", name);
}

/* The gate (gate.h) knows the sockets that were configured when it began. */
static bool has_new_socket(const struct config *old, const struct config *new)
{
    for (size_t i = 0; i < new->n_sources; i++) {
        struct str path = config_engine_socket(&new->sources[i]);
        bool known = path.n == 0;
        for (size_t k = 0; k < old->n_sources && !known; k++)
            known = str_eq(config_engine_socket(&old->sources[k]), path);
        if (!known)
            return true;
    }
    return false;
}

static bool same_forward(const struct config *a, const struct config *b)
{
    const struct config_source *x = config_find_source(a, CONFIG_FORWARD);
    const struct config_source *y = config_find_source(b, CONFIG_FORWARD);
    bool ok = (x == NULL) == (y == NULL);

    if (!ok || x == NULL)
        return ok;
    ok = x->forward.listen.n == y->forward.listen.n && x->forward.mode == y->forward.mode &&
         same(x->forward.group, y->forward.group) &&
         x->forward.spool_bytes == y->forward.spool_bytes;
    for (size_t i = 0; ok && i < x->forward.listen.n; i++)
        ok = same(x->forward.listen.v[i], y->forward.listen.v[i]);
    return ok;
}

/* What a reload does not reach, if it is other than what runs. */
static void warn_unreloadable(const struct config *old, const struct config *new)
{
    struct buf names;

    buf_init(&names, 1024);
    name_option(&names, !same_servers(old, new), old->address.n > 0 ? "server.address" : "servers");
    name_option(&names, old->failover != new->failover, "server.failover");
    name_option(&names, !same(old->server_name, new->server_name), "server.server_name");
    name_option(&names, old->tls != new->tls, "server.tls");
    name_option(&names, old->status_every != new->status_every, "server.status_every");
    name_option(&names, !same(old->state_dir, new->state_dir), "state_dir");
    name_option(&names, old->chunk_bytes != new->chunk_bytes, "chunk.bytes");
    name_option(&names, old->chunk_bytes_busy != new->chunk_bytes_busy, "chunk.bytes_busy");
    name_option(&names, old->chunk_delay != new->chunk_delay, "chunk.delay");
    name_option(&names, old->window_chunks != new->window_chunks, "chunk.window");
    name_option(&names, old->window_bytes != new->window_bytes, "chunk.window_bytes");
    name_option(&names, old->compress != new->compress, "compress");
    name_option(&names, old->compress_level != new->compress_level, "compress_level");
    name_option(&names, old->ack_timeout != new->ack_timeout, "ack_timeout");
    name_option(&names, old->max_line != new->max_line, "max_line");
    name_option(&names, old->refused_bytes != new->refused_bytes, "refused_bytes");
    name_option(&names, old->spool_bytes != new->spool_bytes, "spool.bytes");
    name_option(&names, !same(old->user, new->user), "privileges.user");
    name_option(&names, old->sandbox_required != new->sandbox_required, "privileges.required");
    name_option(&names, has_new_socket(old, new), "inputs.socket");
    name_option(&names, !same_forward(old, new), "inputs.listen");
    name_option(&names, !same(old->metrics_listen, new->metrics_listen), "metrics.listen");
    if (names.n > 0)
        log_warn("config.needs_restart", LOG_STR("options", buf_str(&names)));
    buf_fini(&names);
}

int collector_reload(struct collector *c, struct config *config, struct err *err)
{
    struct source_set *before = c->set;
    struct certs *certs;
    bool asks_anew;
    int r;

    OBJ_CHECK(c, COLLECTOR_MAGIC);
    r = certs_open(c->opener, config, &certs, err);
    if (r < 0) {
        config_free(&config);
        return r;
    }
    warn_unreloadable(c->started->config, config);
    stop_engines(c); /* they borrow from the old set */
    c->set = source_set_new(config, c->opener, podman_by_file(c->opener, config));
    c->set->containers = c->containers;
    asks_anew = start_kube(c, &before->config->kube);
    source_set_unref(&before);
    if (certs_current(certs) != NULL && certs_current(c->certs) != NULL) {
        certs_free(&c->certs);
        c->certs = certs;
        c->certs_told = false;
        pipeline_set_tls(c->pipeline, certs_current(c->certs));
        loop_timer_start(c->certs_timer, certs_wait_ms(c->certs), 0);
    } else {
        certs_free(&certs); /* server.tls needs a restart */
    }
    input_file_set_sources(c->files, c->set);
    if (asks_anew) /* of pods that are known already no change is told */
        input_file_describe_again(c->files, STR_NULL);
    return start_engines(c, err);
}

static void on_drained(void *arg)
{
    struct collector *c = arg;

    if (--c->draining == 0)
        c->drain_done(c->drain_arg);
}

/* Nothing more is read: what is planned is to be acknowledged. */
static void drain(struct collector *c)
{
    struct input in = input_file_input(c->files);
    dur_ns left = c->drain_until - time_mono();

    loop_timer_free(&c->last_look);
    in.ops->stop(in.self);
    c->draining = 2;
    pipeline_drain(c->pipeline, left > 0 ? left : 0, on_drained, c);
    input_file_drain(c->files, on_drained, c);
}

static void on_last_look(void *arg)
{
    struct collector *c = arg;

    if (time_mono() >= c->read_until || !pipeline_is_connected(c->pipeline) ||
        input_file_is_caught_up(c->files))
        drain(c);
}

void collector_drain(struct collector *c, dur_ns timeout, loop_fn *done, void *arg)
{
    dur_ns now = time_mono();

    OBJ_CHECK(c, COLLECTOR_MAGIC);
    stop_engines(c);
    if (c->forward != NULL)
        input_forward_stop(c->forward);
    c->drain_done = done;
    c->drain_arg = arg;
    c->drain_until = now + timeout;
    c->read_until = now + timeout / 2;
    if (!pipeline_is_connected(c->pipeline)) {
        drain(c);
        return;
    }
    input_file_look_last(c->files);
    c->last_look = loop_timer_new(c->loop, on_last_look, c);
    loop_timer_start(c->last_look, LAST_LOOK_MS, LAST_LOOK_MS);
}

const char *collector_metrics_address(const struct collector *c)
{
    return c->http == NULL ? NULL : http_server_address(c->http);
}

void collector_free(struct collector **pc)
{
    struct collector *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, COLLECTOR_MAGIC);
    stop_engines(c);
    if (c->http != NULL || c->forward != NULL)
        (void)unlinkat(c->state_fd, ADDRESSES, 0);
    loop_timer_free(&c->last_look);
    loop_timer_free(&c->http_timer);
    if (c->http != NULL)
        http_server_close(&c->http);
    input_forward_free(&c->forward);
    kube_free(&c->kube);
    pipeline_free(&c->pipeline);
    loop_timer_free(&c->certs_timer);
    certs_free(&c->certs);
    input_file_free(&c->files);
    spool_close(&c->own);
    checkpoint_close(&c->checkpoint);
    source_set_unref(&c->set);
    source_set_unref(&c->started);
    kube_pods_free(&c->pods); /* the sets borrow it */
    containers_close(&c->containers);
    if (c->lock_fd >= 0)
        (void)close(c->lock_fd);
    if (c->state_fd >= 0)
        (void)close(c->state_fd);
    c->magic = 0;
    free(c);
    *pc = NULL;
}
