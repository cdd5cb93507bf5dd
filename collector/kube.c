/*
 * collector/kube.c - contract: kube.h.
 *
 * One request at a time: pages of a list until there are no more, then a watch from the list's
 * resourceVersion, which the server ends after some minutes and which then is begun again from the
 * newest version that it told.  410 Gone says that this version is too old: the list is read again.
 * So it is when a stream is not understood, and when two watches in a row have told nothing: a
 * bookmark comes within two minutes, unless the versions went back (etcd was restored), when it
 * would be silent until they are again where they were.
 *
 * The first list may come from the server's cache (resourceVersion=0), which spares the cluster
 * when all its nodes start at once, and may ignore `limit`.  When that is too large or too old, it
 * is read exactly, in pages.
 *
 * The file is written beside and renamed, not synced: after a crash of the machine it may be an
 * older one or none, which its checksum tells, and costs the labels of one outage.
 *
 * Invariants
 *   (1) while `client` is set a request is under way and the timer does not run; else it does;
 *   (2) after kube_free (`orphan`) nothing but `client` and our own memory is touched.
 */
#include "collector/kube.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/backoff.h"
#include "collector/kube_watch.h"
#include "collector/metrics.h"
#include "wire/http_client.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BACKOFF_MIN_MS = 200,
    BACKOFF_MAX_MS = 30000,
    RETRY_MAX_S = 120, /* of what a busy server asks for */
    WATCH_MAX_S = 300, /* a watch is between half of it and all of it */
    LIST_IDLE_MS = 30000,
    WATCH_GRACE_MS = 30000, /* to end after its time */
    STEADY_MS = 1000,       /* a watch that lived that long was one */
    SILENT_MAX = 2,
    LIMIT = 50, /* pods a page */
    PAGES_MAX = 512,
    TICK_MS = 5000,
    SAVE_MS = 1000,
    PEM_MAX = 1 << 20,
    TOKEN_MAX = 64 << 10,
    TARGET_MAX = 32 << 10,
    STATUS_MAX = 16 << 10, /* of what the server says of a refusal */
    SCRATCH_MAX = 2 * KUBE_WATCH_LINE_MAX,
};

#define TMP KUBE_CACHE ".tmp"

enum phase { KUBE_LISTING, KUBE_WATCHING };

struct kube {
    unsigned magic;
#define KUBE_MAGIC 0x6b0be4a1u
    struct kube_options opt; /* without config */
    char *api, *address, *host, *prefix;
    char *node, *token_file, *ca_file;
    struct tls_ctx *tls;
    struct buf ca; /* that tls was made of */
    struct http_client *client;
    struct loop_timer *timer, *tick, *save;
    struct backoff backoff, life; /* life: of a watch */
    struct arena *scratch;

    enum phase phase;
    struct buf page, more; /* more: of the next page; empty: the first */
    unsigned limit, pages;
    bool exact; /* the list must not come from a cache */
    struct kube_watch watch;
    char version[KUBE_WATCH_VERSION_MAX + 1];

    /* Of the request under way. */
    int status;
    int code;          /* of the watch's ERROR event; 0: there was none */
    struct buf reason; /* the Status object of either */
    uint64_t retry_ms;
    dur_ns began_at;
    bool told; /* an event, or a bookmark */

    dur_ns heard_at;
    unsigned silent; /* watches in a row that told nothing */
    uint64_t saved;  /* kube_pods_changes */
    bool synced;     /* a list was complete, since when it is watched */
    bool failed;     /* and that was logged, as: */
    int failed_status, failed_code;
    bool full; /* a pod had no room since the list began, and that was logged */
    bool save_due, save_failed, orphan;
};

/* ---- the file ---- */

int kube_load(int state_fd, struct kube_pods *pods, struct err *err)
{
    struct buf text;
    int r;

    buf_init(&text, KUBE_PODS_FILE_MAX);
    r = file_read(state_fd, KUBE_CACHE, &text, err);
    if (r == 0)
        r = kube_pods_load(pods, buf_str(&text), err);
    buf_fini(&text);
    if (r == 0)
        metric_set(METRIC_KUBE_PODS, kube_pods_count(pods));
    return r == ERR_GONE ? 1 : r;
}

static int write_file(const struct kube *k, struct str text, struct err *err)
{
    int r, fd = openat(k->opt.state_fd, TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, "create %s", TMP);
    r = file_write_all(fd, text.p, text.n, err);
    if (close(fd) < 0 && r == 0)
        r = err_sys(err, "close %s", TMP);
    if (r == 0 && renameat(k->opt.state_fd, TMP, k->opt.state_fd, KUBE_CACHE) < 0)
        r = err_sys(err, "rename %s", TMP);
    if (r < 0)
        (void)unlinkat(k->opt.state_fd, TMP, 0); /* best effort */
    return r;
}

static void save(void *arg)
{
    struct kube *k = arg;
    uint64_t changes = kube_pods_changes(k->opt.pods);
    struct buf text;
    struct err err;
    int r;

    k->save_due = false;
    if (changes == k->saved)
        return;
    buf_init(&text, KUBE_PODS_FILE_MAX);
    kube_pods_save(k->opt.pods, &text);
    r = buf_err(&text, "the cache of pods", &err);
    if (r == 0)
        r = write_file(k, buf_str(&text), &err);
    buf_fini(&text);
    if (r == 0)
        k->saved = changes;
    else if (!k->save_failed)
        log_error("kubernetes.not_saved", LOG_ERR(&err));
    k->save_failed = r < 0;
}

/* Once more changes have come together; what could not be written is tried again with the tick. */
static void save_soon(struct kube *k)
{
    metric_set(METRIC_KUBE_PODS, kube_pods_count(k->opt.pods));
    if (k->save_due || kube_pods_changes(k->opt.pods) == k->saved)
        return;
    k->save_due = true;
    loop_timer_start(k->save, SAVE_MS, 0);
}

static void on_tick(void *arg)
{
    struct kube *k = arg;

    kube_pods_expire(k->opt.pods);
    metric_set(METRIC_KUBE_AGE, (uint64_t)((time_mono() - k->heard_at) / NS_PER_S));
    save_soon(k);
}

/* ---- what comes next ---- */

static void ask_in(struct kube *k, uint64_t ms)
{
    loop_timer_start(k->timer, ms, 0);
}

static void list_anew(struct kube *k)
{
    k->phase = KUBE_LISTING;
    k->pages = 0;
    k->silent = 0;
    buf_clear(&k->more);
}

static const char *refusal(int status)
{
    switch (status) {
    case 401:
        return "the token is not accepted";
    case 403:
        return "the ServiceAccount may not list and watch pods";
    case 410:
        return "the version is too old";
    case 429:
        return "it is too busy";
    default:
        return "it was refused";
    }
}

/* Once, and again when it is of another kind. */
static void log_failure(struct kube *k, const char *what, int code, const char *text)
{
    struct kube_watch_status said;

    if (k->failed && k->failed_status == k->status && k->failed_code == code)
        return;
    arena_reset(k->scratch);
    kube_watch_status(buf_str(&k->reason), k->scratch, &said);
    log_warn("kubernetes.failed", LOG_Z("api", k->api), LOG_Z("asked", what),
             LOG_I64("status", k->status), LOG_Z("error", text),
             LOG_STR(said.message.n > 0 ? "said" : NULL, said.message));
    k->failed_status = k->status;
    k->failed_code = code;
}

/* Later again, as it is now.  `code`: of the error; 0: the server refused it. */
static void fail(struct kube *k, const char *what, int code, const char *text)
{
    uint64_t wait = backoff_next_ms(&k->backoff);

    metric_add(METRIC_KUBE_ERRORS, 1);
    log_failure(k, what, code, text);
    k->failed = true;
    ask_in(k, wait > k->retry_ms ? wait : k->retry_ms);
}

static void well(struct kube *k)
{
    if (k->failed || !k->synced)
        log_info("kubernetes.connected", LOG_Z("api", k->api),
                 LOG_U64("pods", kube_pods_count(k->opt.pods)));
    k->failed = false;
}

/* ---- pods ---- */

/* true: *pod is what `object` says, in the scratch arena. */
static bool parse(struct kube *k, struct str object, struct kube_pod *pod)
{
    struct err err;

    arena_reset(k->scratch);
    if (kube_pod_parse(object, k->scratch, pod, &err) < 0) {
        metric_add(METRIC_KUBE_REFUSED, 1);
        log_debug("kubernetes.refused", LOG_ERR(&err));
        return false;
    }
    return true;
}

static void put(struct kube *k, const struct kube_pod *pod)
{
    struct err err;
    int r = kube_pods_put(k->opt.pods, pod, &err);

    if (r < 0 || pod->cut)
        metric_add(METRIC_KUBE_REFUSED, 1);
    if (r == ERR_LIMIT && !k->full)
        log_warn("kubernetes.full", LOG_STR("namespace", pod->namespace), LOG_STR("pod", pod->name),
                 LOG_ERR(&err));
    k->full = k->full || r == ERR_LIMIT;
    if (r < 0)
        log_debug("kubernetes.refused", LOG_ERR(&err));
    else if (r == 0)
        k->opt.changed(k->opt.arg, pod->uid);
}

static void on_item(void *arg, struct str object)
{
    struct kube *k = arg;
    struct kube_pod pod;

    if (parse(k, object, &pod))
        put(k, &pod);
}

/* ---- a watch ---- */

static void take_version(struct kube *k, const struct kube_pod *pod)
{
    if (kube_watch_version_ok(pod->version))
        (void)str_to_z(pod->version, k->version, sizeof(k->version));
}

/* The server ends a watch by saying why. */
static int take_error(struct kube *k, struct str object)
{
    struct kube_watch_status s;

    kube_watch_status(object, k->scratch, &s);
    k->code = s.code == 0 ? 500 : s.code;
    buf_add_str(&k->reason, object);
    return 1;
}

static int take_event(struct kube *k, const struct kube_watch_event *e)
{
    struct kube_pod pod;

    switch (e->type) {
    case KUBE_WATCH_ERROR:
        return take_error(k, e->object);
    case KUBE_WATCH_OTHER:
        return 0;
    case KUBE_WATCH_SET:
    case KUBE_WATCH_DELETED:
    case KUBE_WATCH_BOOKMARK:
        break;
    }
    if (!parse(k, e->object, &pod))
        return 0;
    take_version(k, &pod);
    if (e->type == KUBE_WATCH_SET)
        put(k, &pod);
    else if (e->type == KUBE_WATCH_DELETED)
        kube_pods_remove(k->opt.pods, &pod);
    return 0;
}

static int on_line(void *arg, struct str line)
{
    struct kube *k = arg;
    struct kube_watch_event e;
    struct err err;
    int r;

    metric_add(METRIC_KUBE_EVENTS, 1);
    k->told = true;
    arena_reset(k->scratch);
    r = kube_watch_event(line, k->scratch, &e, &err);
    return r < 0 ? ERR_CORRUPT : take_event(k, &e);
}

/* ---- requests ---- */

/* A server that is busy says when it would rather be asked again. */
static uint64_t retry_after_ms(const struct http_client *c)
{
    uint64_t s;

    if (!str_to_u64(http_client_header(c, "Retry-After"), &s))
        return 0;
    return (s > RETRY_MAX_S ? RETRY_MAX_S : s) * 1000;
}

static void on_head(struct http_client *c, int status, void *arg)
{
    struct kube *k = arg;

    if (k->orphan)
        return;
    k->status = status;
    if (status != 200) {
        k->retry_ms = retry_after_ms(c);
        return;
    }
    k->heard_at = time_mono();
    if (k->phase == KUBE_WATCHING) {
        metric_add(METRIC_KUBE_WATCHES, 1);
        well(k);
    }
}

static void on_body(struct http_client *c, struct str bytes, void *arg)
{
    struct kube *k = arg;
    uint64_t too_long = k->watch.too_long;
    int r;

    if (k->orphan)
        return;
    if (k->status != 200) {
        buf_add_str(&k->reason, bytes);
        if (k->reason.over)
            http_client_cancel(c);
        return;
    }
    k->heard_at = time_mono();
    if (k->phase == KUBE_LISTING) {
        buf_add_str(&k->page, bytes);
        if (k->page.over)
            http_client_cancel(c);
        return;
    }
    r = kube_watch_feed(&k->watch, bytes, on_line, k);
    metric_add(METRIC_KUBE_REFUSED, k->watch.too_long - too_long);
    if (r < 0 && k->code == 0)
        k->code = r == ERR_LIMIT ? 0 : 500;
    if (r != 0)
        http_client_cancel(c);
    save_soon(k);
}

/* A page could not be had, or not so. */
static void list_failed(struct kube *k, int code, const char *text)
{
    bool is_large = k->page.over, is_old = k->status == 410;

    list_anew(k);
    if ((is_large || is_old) && !k->exact)
        k->exact = true;
    else if (is_large && k->limit > 1)
        k->limit /= 2;
    fail(k, "list", is_large ? ERR_LIMIT : code, is_large ? "more than 8 MiB" : text);
}

static void page_done(struct kube *k)
{
    struct kube_watch_page page;
    struct arena *a = arena_new(NULL, KUBE_WATCH_PAGE_MAX);
    struct err err;
    int r;

    if (k->pages++ == 0) {
        kube_pods_begin_list(k->opt.pods);
        k->full = false;
    }
    r = kube_watch_page(buf_str(&k->page), a, on_item, k, &page, &err);
    if (r == 0 && page.more.n > 0 && k->pages == PAGES_MAX)
        r = err_set(&err, ERR_LIMIT, "more than %d pages", PAGES_MAX);
    if (r < 0) {
        arena_free(&a);
        list_failed(k, err.code, err.text);
        return;
    }
    metric_add(METRIC_KUBE_LISTS, 1);
    buf_clear(&k->more);
    buf_add_str(&k->more, page.more);
    (void)str_to_z(page.version, k->version, sizeof(k->version));
    arena_free(&a);
    if (k->more.n == 0) {
        kube_pods_end_list(k->opt.pods);
        k->exact = false;
        k->limit = LIMIT;
        k->phase = KUBE_WATCHING;
        well(k);
        k->synced = true;
    }
    save_soon(k);
    ask_in(k, 0);
}

static void list_done(struct kube *k, const struct err *err)
{
    if (k->page.over || (k->status == 200 && err->code != 0))
        list_failed(k, err->code, err->text);
    else if (k->status == 200)
        page_done(k);
    else if (k->status == 0)
        list_failed(k, err->code, err->text);
    else
        list_failed(k, 0, refusal(k->status));
    buf_fini(&k->page); /* pages are seldom and large */
    buf_init(&k->page, KUBE_WATCH_PAGE_MAX);
}

static void watch_done(struct kube *k, const struct err *err)
{
    bool was_steady = time_mono() - k->began_at >= STEADY_MS * NS_PER_MS;

    if (was_steady && k->status == 200)
        backoff_reset(&k->backoff);
    if (k->status == 410 || k->code == 410) {
        k->exact = true; /* what a cache has may be as old */
        list_anew(k);
        ask_in(k, backoff_next_ms(&k->backoff));
    } else if (k->code != 0) {
        list_anew(k);
        fail(k, "watch", ERR_CORRUPT, "the stream told an error, or is not understood");
    } else if (k->status == 0) {
        fail(k, "watch", err->code, err->text);
    } else if (k->status != 200) {
        if (k->status == 400)
            list_anew(k);
        fail(k, "watch", 0, refusal(k->status));
    } else if (err->code != 0 && err->code != ERR_CANCELLED) {
        fail(k, "watch", err->code, err->text);
    } else {
        k->silent = k->told ? 0 : k->silent + 1;
        if (k->silent == SILENT_MAX)
            list_anew(k);
        ask_in(k, was_steady ? 0 : backoff_next_ms(&k->backoff));
    }
}

static void destroy(struct kube *k)
{
    loop_timer_free(&k->timer);
    loop_timer_free(&k->tick);
    loop_timer_free(&k->save);
    kube_watch_fini(&k->watch);
    buf_fini(&k->page);
    buf_fini(&k->more);
    buf_fini(&k->reason);
    buf_fini(&k->ca);
    arena_free(&k->scratch);
    tls_ctx_unref(&k->tls);
    free(k->api);
    free(k->address);
    free(k->host);
    free(k->prefix);
    free(k->node);
    free(k->token_file);
    free(k->ca_file);
    k->magic = 0;
    free(k);
}

static void on_done(struct http_client *c, const struct err *err, void *arg)
{
    struct kube *k = arg;

    (void)c;
    k->client = NULL;
    if (k->orphan)
        destroy(k);
    else if (k->phase == KUBE_LISTING)
        list_done(k, err);
    else
        watch_done(k, err);
}

/* ---- asking ---- */

/* The CA as its file is now; a new one makes new rules for the peer. */
static int look_at_ca(struct kube *k, struct err *err)
{
    struct tls_files files = {.ca = k->ca_file[0] == '\0' ? NULL : k->ca_file};
    struct tls_ctx *tls;
    struct buf text;
    int r = 0;

    if (files.ca == NULL && k->tls != NULL)
        return 0;
    buf_init(&text, PEM_MAX);
    if (files.ca != NULL)
        r = opener_read(k->opt.opener, OPENER_CONF, k->ca_file, &text, err);
    if (r == 0 && text.n == 0 && files.ca != NULL)
        r = err_set(err, ERR_INVALID, "'%s' is empty", k->ca_file);
    if (r == 0 && (k->tls == NULL || !str_eq(buf_str(&text), buf_str(&k->ca)))) {
        files.ca_pem = buf_str(&text);
        r = tls_ctx_new(&files, &tls, err);
        if (r == 0) {
            tls_ctx_unref(&k->tls);
            k->tls = tls;
            buf_clear(&k->ca);
            buf_add_str(&k->ca, buf_str(&text));
        }
    }
    buf_fini(&text);
    return r < 0 ? err_wrap(err, "kubernetes.ca_file") : 0;
}

/* "Bearer <token>", as its file is now; nothing without a file. */
static int read_token(struct kube *k, struct buf *header, struct err *err)
{
    struct buf text;
    int r;

    if (k->token_file[0] == '\0')
        return 0;
    buf_init(&text, TOKEN_MAX);
    r = opener_read(k->opt.opener, OPENER_CONF, k->token_file, &text, err);
    if (r == 0) {
        buf_add_z(header, "Bearer ");
        buf_add_str(header, str_trim(buf_str(&text)));
    }
    if (text.n > 0)
        explicit_bzero(text.p, text.n);
    buf_fini(&text);
    return r < 0 ? err_wrap(err, "kubernetes.token_file") : 0;
}

static void add_escaped(struct buf *out, struct str s)
{
    static const char HEX[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            c == '-' || c == '.' || c == '_' || c == '~') {
            buf_add_char(out, (char)c);
        } else {
            buf_add_char(out, '%');
            buf_add_char(out, HEX[c >> 4]);
            buf_add_char(out, HEX[c & 15]);
        }
    }
}

static uint64_t write_target(struct kube *k, struct buf *out)
{
    uint64_t seconds;

    buf_addf(out, "%s/api/v1/pods?fieldSelector=spec.nodeName%%3D", k->prefix);
    add_escaped(out, str_of(k->node));
    if (k->phase == KUBE_LISTING) {
        buf_addf(out, "&limit=%u", k->limit);
        if (k->more.n > 0) {
            buf_add_z(out, "&continue=");
            add_escaped(out, buf_str(&k->more));
        } else if (!k->exact) {
            buf_add_z(out, "&resourceVersion=0");
        }
        buf_add_char(out, '\0');
        return LIST_IDLE_MS;
    }
    seconds = backoff_next_ms(&k->life) / 1000 + 1;
    buf_addf(out, "&watch=true&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s",
             (unsigned)seconds, k->version);
    buf_add_char(out, '\0');
    return seconds * 1000 + WATCH_GRACE_MS;
}

static int start_request(struct kube *k, struct buf *target, struct buf *token, struct err *err)
{
    static const struct http_client_handler HANDLER = {on_head, on_body, on_done};
    struct label headers[3] = {{STR("Accept"), STR("application/json")},
                               {STR("User-Agent"), STR("logq-collector/" LOGQ_VERSION)}};
    struct http_client_request req = {
        .address = k->address, .method = "GET", .host = k->host, .headers = headers};
    int r = look_at_ca(k, err);

    if (r == 0)
        r = read_token(k, token, err);
    if (r < 0)
        return r;
    headers[2] = (struct label){STR("Authorization"), buf_str(token)};
    req.n_headers = token->n > 0 ? 3U : 2U;
    req.idle_ms = write_target(k, target);
    req.target = target->p;
    req.tls = k->tls;
    r = buf_err(target, "a request", err);
    return r < 0 ? r : http_client_start(k->opt.loop, &req, &HANDLER, k, &k->client, err);
}

static void ask(void *arg)
{
    struct kube *k = arg;
    struct buf target, token;
    struct err err;
    int r;

    k->status = k->code = 0;
    k->retry_ms = 0;
    k->told = false;
    buf_clear(&k->reason);
    k->began_at = time_mono();
    kube_watch_begin(&k->watch);
    buf_init(&target, TARGET_MAX);
    buf_init(&token, TOKEN_MAX + 16);
    r = start_request(k, &target, &token, &err);
    if (token.n > 0)
        explicit_bzero(token.p, token.n);
    buf_fini(&token);
    buf_fini(&target);
    if (r < 0) {
        k->client = NULL;
        if (k->phase == KUBE_LISTING)
            list_failed(k, err.code, err.text);
        else
            fail(k, "watch", err.code, err.text);
    }
}

/* ---- life ---- */

static char *copy(struct str s)
{
    return mem_dup(s.p == NULL ? "" : s.p, s.n);
}

static bool has_port(struct str host)
{
    size_t n = host.n;

    while (n > 0 && host.p[n - 1] >= '0' && host.p[n - 1] <= '9')
        n--;
    return n > 0 && n < host.n && host.p[n - 1] == ':' &&
           (host.p[0] != '[' || (n > 1 && host.p[n - 2] == ']'));
}

/* https://host:port/prefix */
static void take_address(struct kube *k, struct str api)
{
    struct str rest = str_from(api, sizeof("https://") - 1);
    size_t slash = str_find_char(rest, '/');
    struct str host = slash == SIZE_MAX ? rest : str_sub(rest, 0, slash);
    struct str prefix = slash == SIZE_MAX ? STR_NULL : str_from(rest, slash);
    struct buf address;

    while (str_ends(prefix, STR("/")))
        prefix.n--;
    buf_init(&address, host.n + 8);
    buf_add_str(&address, host);
    if (!has_port(host))
        buf_add_z(&address, ":443");
    k->api = copy(api);
    k->host = copy(host);
    k->prefix = copy(prefix);
    k->address = copy(buf_str(&address));
    buf_fini(&address);
}

struct kube *kube_open(const struct kube_options *opt)
{
    struct kube *k = mem_new(sizeof(*k));

    k->magic = KUBE_MAGIC;
    k->opt = *opt;
    k->opt.config = NULL;
    take_address(k, opt->config->api);
    k->node = copy(opt->config->node);
    k->token_file = copy(opt->config->token_file);
    k->ca_file = copy(opt->config->ca_file);
    k->backoff.min_ms = opt->backoff_min_ms == 0 ? BACKOFF_MIN_MS : opt->backoff_min_ms;
    k->backoff.max_ms = opt->backoff_max_ms == 0 ? BACKOFF_MAX_MS : opt->backoff_max_ms;
    k->life.min_ms = k->life.max_ms = WATCH_MAX_S * 1000;
    k->limit = LIMIT;
    k->heard_at = time_mono();
    k->saved = kube_pods_changes(opt->pods);
    buf_init(&k->ca, PEM_MAX);
    buf_init(&k->page, KUBE_WATCH_PAGE_MAX);
    buf_init(&k->more, KUBE_WATCH_CONTINUE_MAX);
    buf_init(&k->reason, STATUS_MAX);
    kube_watch_init(&k->watch);
    k->scratch = arena_new(NULL, SCRATCH_MAX);
    k->timer = loop_timer_new(opt->loop, ask, k);
    k->tick = loop_timer_new(opt->loop, on_tick, k);
    k->save = loop_timer_new(opt->loop, save, k);
    loop_timer_start(k->tick, TICK_MS, TICK_MS);
    ask_in(k, 0);
    return k;
}

void kube_free(struct kube **pk)
{
    struct kube *k = *pk;

    if (k == NULL)
        return;
    OBJ_CHECK(k, KUBE_MAGIC);
    *pk = NULL;
    save(k);
    k->orphan = true; /* keeps (2) */
    loop_timer_stop(k->timer);
    loop_timer_stop(k->tick);
    loop_timer_stop(k->save);
    if (k->client == NULL)
        destroy(k);
    else
        http_client_cancel(k->client);
}

void kube_health(const struct kube *k, struct json_writer *w)
{
    OBJ_CHECK(k, KUBE_MAGIC);
    json_put_key(w, STR("kubernetes"));
    json_put_object(w);
    json_put_key(w, STR("synced"));
    json_put_bool(w, k->synced);
    json_put_key(w, STR("failing"));
    json_put_bool(w, k->failed);
    json_put_kv_u64(w, "pods", kube_pods_count(k->opt.pods));
    json_put_kv_u64(w, "age_s", (uint64_t)((time_mono() - k->heard_at) / NS_PER_S));
    json_put_object_end(w);
}
