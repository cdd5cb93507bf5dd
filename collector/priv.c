/*
 * collector/priv.c - contract: priv.h.
 *
 * The parent is a loop over poll(2).  It uses no event loop and no TLS, so that a worker can be
 * forked from it at any time and begins with clean memory.
 *
 * A configuration that was read again is the next worker's only when the one that runs works by it:
 * a certificate that is none is found out there, and would keep every other worker from starting.
 */
#include "collector/priv.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "collector/channel.h"
#include "collector/gate.h"
#include "collector/journal_process.h"
#include "collector/opener_remote.h"
#include "collector/priv_files.h"
#include "collector/priv_listen.h"
#include "collector/sandbox.h"
#include "collector/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BACKOFF_MIN_MS = 200,
    BACKOFF_MAX_MS = 5000,
    STEADY_MS = 30000, /* a worker that lived that long did not die of its start */
    JOURNAL_AGAIN_MS = 2000,
    STOP_MS = 20000,  /* to end after it was told to; it drains for five seconds */
    ANSWER_MS = 5000, /* that the worker waits for us */
    SEND_S = 10,      /* to take what it is sent: it may not keep us from our signals */
};

struct priv {
    const char *path;
    struct config *config;
    struct config *next; /* read again, and no worker has said yet that it works by it; or NULL */
    int next_fd;         /* its text, while there is no worker to ask; -1 */
    bool read_again;     /* when that is settled */
    priv_worker_fn *run;
    struct policy *policy;
    struct priv_files openers;
    int state_fd, signals;
    int files, orders; /* from the worker, who wants files opened; to it; -1: there is none */
    size_t max_fds;
    struct priv_listen listen;
    int gate; /* the worker's end of the channel to it, kept for the next worker; -1 */
    pid_t self, worker, gate_pid, journal;
    bool started, stopping;
    bool journal_killed; /* by us, and it is not gone yet */
    int stop_signal;
    dur_ns born_at, next_at, stop_at, journal_at; /* 0: not set */
    uint64_t backoff_ms, restarts;
    int exit_code; /* -1: go on */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* ---- sandboxes ---- */

/* What the kernel does not offer is said, and is the end where it is required. */
static int confine(const struct priv *p, int r, const char *who, struct err *err)
{
    if (r == 0 || r != ERR_UNSUPPORTED || p->config->sandbox_required)
        return r;
    log_warn("sandbox.missing", LOG_Z("process", who), LOG_ERR(err));
    return 0;
}

static int confine_worker(const struct priv *p, struct err *err)
{
    int r = sandbox_drop(NULL, 0, err);

    if (r == 0)
        r = confine(p, sandbox_files(p->state_fd, err), "worker", err);
    if (r == 0)
        r = confine(p, sandbox_syscalls(SANDBOX_WORKER, err), "worker", err);
    return r;
}

/* ---- the gate ---- */

static void add_socket(struct gate_sockets *s, struct str path)
{
    if (path.n > 0 && s->n < GATE_SOCKETS_MAX)
        s->engines[s->n++] = path;
}

static struct gate_sockets find_sockets(const struct config *c)
{
    struct gate_sockets s = {.n = 0};

    for (size_t i = 0; i < c->n_sources; i++)
        add_socket(&s, config_engine_socket(&c->sources[i]));
    for (size_t i = 0; i < c->targets.n && s.n_servers < GATE_SOCKETS_MAX; i++)
        if (str_starts(c->targets.v[i], STR("unix:")))
            s.servers[s.n_servers++] = str_from(c->targets.v[i], sizeof("unix:") - 1);
    return s;
}

static _Noreturn void be_gate(struct priv *p, const struct gate_sockets *sockets, int channel)
{
    struct err err;
    sigset_t none;
    int r;

    (void)sigemptyset(&none);
    (void)signal(SIGTERM, SIG_IGN); /* its end is that nobody asks any more */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_NAME, "logq-gate");
    priv_listen_close(&p->listen);
    r = sandbox_drop(NULL, 0, &err);
    if (r == 0)
        r = confine(p, sandbox_syscalls(SANDBOX_GATE, &err), "gate", &err);
    if (r < 0)
        log_error("sandbox.failed", LOG_Z("process", "gate"), LOG_ERR(&err));
    _exit(r < 0 ? EXIT_FAILURE : gate_run(sockets, channel));
}

static int start_gate(struct priv *p, struct err *err)
{
    struct gate_sockets sockets = find_sockets(p->config);
    int pair[2], r;
    pid_t pid;

    if (sockets.n == 0 && sockets.n_servers == 0)
        return 0;
    r = channel_pair(pair, err);
    if (r < 0)
        return r;
    pid = fork();
    if (pid < 0) {
        r = err_sys(err, "fork");
    } else if (pid == 0) {
        (void)close(pair[0]);
        be_gate(p, &sockets, pair[1]);
    } else {
        p->gate_pid = pid;
        p->gate = pair[0];
    }
    (void)close(pair[1]);
    if (pid < 0)
        (void)close(pair[0]);
    return r;
}

/* ---- orders ---- */

static void order(const struct priv *p, enum priv_order_type type, int fd)
{
    struct priv_order o = {.type = type, .signal = p->stop_signal};
    struct err err;

    if (p->orders >= 0) /* one that is gone needs none */
        (void)channel_send(p->orders, &o, sizeof(o), fd, &err);
}

static void offer_next(struct priv *p)
{
    if (p->next_fd < 0 || p->orders < 0)
        return;
    order(p, PRIV_RELOAD, p->next_fd);
    close_fd(&p->next_fd);
}

/* ---- the journal ---- */

static _Noreturn void be_journal(struct priv *p, const struct config_source *s, int channel)
{
    pid_t parent = p->self;

    close_fd(&p->signals);
    close_fd(&p->files);
    close_fd(&p->orders);
    close_fd(&p->gate);
    priv_listen_close(&p->listen);
    close_fd(&p->next_fd);
    close_fd(&p->state_fd);
    _exit(journal_process_run(p->config, s, parent, channel));
}

/* For the worker that runs now; it reads on where that one says. */
static int start_journal(struct priv *p, struct err *err)
{
    const struct config_source *s = config_find_source(p->config, CONFIG_JOURNALD);
    int pair[2], r = 0;
    pid_t pid;

    p->journal_at = 0;
    if (s == NULL || p->journal != 0 || p->worker == 0 || p->stopping)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, "socket pair");
    pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        be_journal(p, s, pair[1]);
    }
    if (pid < 0) {
        r = err_sys(err, "fork");
    } else {
        p->journal = pid;
        p->journal_killed = false;
        order(p, PRIV_JOURNAL, pair[0]);
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    return r;
}

static void kill_journal(struct priv *p)
{
    if (p->journal != 0) {
        (void)kill(p->journal, SIGKILL);
        p->journal_killed = true;
    }
}

/* Another one, when this one is gone. */
static void restart_journal(struct priv *p)
{
    kill_journal(p);
    if (p->journal == 0)
        p->journal_at = time_mono();
}

static void journal_died(struct priv *p, int status)
{
    bool by_us = p->journal_killed; /* else SIGKILL is somebody's, say for want of memory */
    bool left = WIFEXITED(status) && WEXITSTATUS(status) == 0; /* by the worker */

    p->journal = 0;
    if (p->stopping)
        return;
    if (!by_us && !left && p->worker != 0)
        log_warn("journal.died", LOG_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
                 LOG_I64("code", WIFEXITED(status) ? WEXITSTATUS(status) : -1));
    p->journal_at = time_mono() + (by_us ? 0 : JOURNAL_AGAIN_MS * NS_PER_MS);
}

/* ---- the worker ---- */

/* What a worker that was taken over would try; for tests. */
static void start_program(void)
{
    char *argv[] = {NULL}, *envp[] = {NULL};

    (void)execve("/bin/true", argv, envp);
}

/* In the child.  Returns its exit code. */
static int be_worker(struct priv *p, int files, int orders)
{
    struct priv_worker w = {.path = p->path,
                            .config = p->config,
                            .orders = orders,
                            .state_fd = p->state_fd,
                            .max_fds = p->max_fds,
                            .restarts = p->restarts};
    bool taken_over = fault_hit("worker.exec");
    struct err err;
    sigset_t none;
    int r;

    (void)sigemptyset(&none);
    (void)signal(SIGTERM, SIG_IGN); /* signals to all of the group are the parent's to take */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_NAME, "logq-worker");
    close_fd(&p->signals);
    priv_listen_take(&p->listen, p->config, &w.metrics_fd, w.forward_fds);
    r = sandbox_die_with(p->self, &err);
    if (r == 0)
        r = confine_worker(p, &err);
    p->config = NULL; /* the worker's */
    if (r < 0) {
        log_error("sandbox.failed", LOG_Z("process", "worker"), LOG_ERR(&err));
        config_free(&w.config);
        return EXIT_FAILURE;
    }
    if (taken_over)
        start_program();
    w.parent = p->self;
    w.opener = opener_remote(-1, files, p->gate, ANSWER_MS);
    r = p->run(&w);
    opener_free(&w.opener);
    (void)close(files);
    (void)close(orders);
    return r;
}

/* 1: we are the child, and it has ended with p->exit_code. */
static int spawn(struct priv *p, struct err *err)
{
    int files[2], orders[2], r = priv_listen_metrics(&p->listen, p->config, err);
    pid_t pid;

    if (r == 0)
        r = priv_listen_forward(&p->listen, p->config, err);
    if (r == 0)
        r = channel_pair(files, err);
    if (r < 0)
        return r;
    r = channel_pair(orders, err);
    if (r < 0) {
        (void)close(files[0]);
        (void)close(files[1]);
        return r;
    }
    pid = fork();
    if (pid == 0) {
        (void)close(files[0]);
        (void)close(orders[0]);
        p->exit_code = be_worker(p, files[1], orders[1]);
        return 1;
    }
    (void)close(files[1]);
    (void)close(orders[1]);
    p->files = files[0];
    p->orders = orders[0];
    channel_limit_sending(p->files, SEND_S);
    channel_limit_sending(p->orders, SEND_S);
    if (pid < 0) {
        r = err_sys(err, "fork");
        close_fd(&p->files);
        close_fd(&p->orders);
        return r;
    }
    p->worker = pid;
    p->born_at = time_mono();
    p->listen.had_worker = true;
    p->next_at = 0;
    offer_next(p);
    restart_journal(p);
    return 0;
}

/* It died by itself: another one goes on where the journal says, after a while. */
static void worker_died(struct priv *p, int status)
{
    bool lived = time_mono() - p->born_at >= STEADY_MS * NS_PER_MS;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

    p->worker = 0;
    close_fd(&p->files);
    close_fd(&p->orders);
    priv_files_end(&p->openers);
    kill_journal(p);                         /* what it has told nobody will be asked for again */
    if (p->next != NULL && p->next_fd < 0) { /* perhaps of it: not another one */
        log_error("config.reload_failed", LOG_Z("error", "the worker died meanwhile"));
        config_free(&p->next);
    }
    if (p->stopping || (!p->started && code >= 0)) {
        p->exit_code = code >= 0 ? code : EXIT_FAILURE;
        return;
    }
    p->backoff_ms = p->backoff_ms == 0 || lived ? BACKOFF_MIN_MS : 2 * p->backoff_ms;
    if (p->backoff_ms > BACKOFF_MAX_MS)
        p->backoff_ms = BACKOFF_MAX_MS;
    p->next_at = time_mono() + (dur_ns)p->backoff_ms * NS_PER_MS;
    p->restarts++;
    log_error("worker.died", LOG_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
              LOG_I64("code", code), LOG_U64("restart_ms", p->backoff_ms));
}

static void reap(struct priv *p)
{
    pid_t pid;
    int status;
    bool failed;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == p->worker) {
            worker_died(p, status);
        } else if (priv_files_ended(&p->openers, pid, status, &failed)) {
            if (failed && p->worker > 0) /* it would go on asking like that */
                (void)kill(p->worker, SIGKILL);
        } else if (pid == p->journal) {
            journal_died(p, status);
        } else if (pid == p->gate_pid) { /* it cannot be made again: its rights are given up */
            p->gate_pid = 0;
            log_error("gate.died", LOG_I64("status", status));
            if (p->exit_code < 0 && !p->stopping)
                p->exit_code = EXIT_FAILURE;
        }
    }
}

/* ---- signals ---- */

static void stop(struct priv *p, int signal)
{
    p->stopping = true;
    p->stop_signal = signal;
    p->stop_at = time_mono() + STOP_MS * NS_PER_MS;
    order(p, PRIV_STOP, -1);
    if (p->worker == 0)
        p->exit_code = EXIT_SUCCESS;
}

/* A descriptor of a copy of `text`. */
static int copy_of(struct str text, struct err *err)
{
    int fd = memfd_create("logq-config", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(err, "memory for a configuration");
    if (file_pwrite_all(fd, text.p, text.n, 0, err) < 0) {
        (void)close(fd);
        return ERR_IO;
    }
    return fd;
}

static void add_policy(struct policy *policy, struct config **config)
{
    /* Both ways of podman: which one it is the worker finds out. */
    struct source_set *set = source_set_new(*config, NULL, true);

    policy_add(policy, set);
    *config = source_set_release(&set);
}

static void reload(struct priv *p)
{
    struct config *config = NULL;
    struct conf_errors errors;
    struct buf text;
    struct err err;
    int fd = -1, r;

    buf_init(&text, CONFIG_FILE_MAX);
    r = file_read(AT_FDCWD, p->path, &text, &err);
    if (r == 0)
        r = config_parse(p->path, p->config->dir, buf_str(&text), &config, &errors, &err);
    if (r == 0)
        fd = copy_of(buf_str(&text), &err);
    buf_fini(&text);
    p->read_again = false;
    if (r < 0 || fd < 0) {
        for (size_t i = 0; config != NULL && i < errors.n && i < CONF_ERRORS_MAX; i++)
            log_error("config.mistake", LOG_STR("text", errors.v[i]));
        log_error("config.reload_failed", LOG_ERR(&err));
        config_free(&config);
        order(p, PRIV_RELOAD_FAILED, -1);
        return;
    }
    add_policy(p->policy, &config); /* to find out whether it works the worker opens its files */
    priv_files_renew(&p->openers);
    config_free(&p->next);
    close_fd(&p->next_fd);
    p->next = config;
    p->next_fd = fd;
    offer_next(p);
}

/* A signal to reload. */
static void want_reload(struct priv *p)
{
    if (p->next != NULL && p->next_fd < 0)
        p->read_again = true; /* one after the other: an answer has to be to the last question */
    else
        reload(p);
}

/* The worker's answer. */
static void settle_reload(struct priv *p, bool works)
{
    if (works && p->next != NULL && p->next_fd < 0) {
        config_free(&p->config);
        p->config = p->next;
        p->next = NULL;
    }
    config_free(&p->next);
    close_fd(&p->next_fd);
    restart_journal(p); /* it may be asked for something else now */
}

static void take_signal(struct priv *p)
{
    struct signalfd_siginfo s;

    if (read(p->signals, &s, sizeof(s)) != (ssize_t)sizeof(s))
        return;
    if (s.ssi_signo == SIGCHLD)
        reap(p);
    else if (s.ssi_signo == SIGHUP && !p->stopping)
        want_reload(p);
    else if (s.ssi_signo != SIGHUP)
        stop(p, (int)s.ssi_signo);
}

/* ---- the loop ---- */

static void take_report(struct priv *p)
{
    struct priv_order o;
    struct err err;
    size_t n = 0;
    int fd, r = channel_receive(p->orders, &o, sizeof(o), &n, &fd, &err);

    if (fd >= 0)
        (void)close(fd);
    if (r != 0)
        close_fd(&p->orders); /* its end is told by a signal */
    else if (n == sizeof(o) && o.type == PRIV_STARTED)
        p->started = true;
    else if (n == sizeof(o) && (o.type == PRIV_RELOADED || o.type == PRIV_RELOAD_FAILED))
        settle_reload(p, o.type == PRIV_RELOADED);
    mem_forget_code(); /* what is left to do is little, and seldom */
}

static void take_question(struct priv *p)
{
    struct err err;
    int r = priv_files_serve(&p->openers, p->policy, p->files, &err);

    if (r != 0)
        close_fd(&p->files);
    if (r < 0) { /* it would go on without finding a file any more: another one takes over */
        log_error("opener.failed", LOG_ERR(&err));
        if (p->worker > 0)
            (void)kill(p->worker, SIGKILL);
    }
}

static int wait_ms(const struct priv *p)
{
    dur_ns at = p->stop_at != 0 ? p->stop_at : p->next_at, left;

    if (p->journal_at != 0 && (at == 0 || p->journal_at < at))
        at = p->journal_at;
    if (at == 0)
        return -1;
    left = at - time_mono();
    return left <= 0 ? 0 : (int)(left / NS_PER_MS) + 1;
}

/* 1: we are a worker that has ended. */
static int look_at_clock(struct priv *p)
{
    dur_ns now = time_mono();
    struct err err;
    int r;

    if (p->stop_at != 0 && now >= p->stop_at && p->worker != 0) {
        log_error("worker.stuck", LOG_I64("pid", p->worker));
        (void)kill(p->worker, SIGKILL);
        p->stop_at = 0;
    }
    if (p->journal_at != 0 && now >= p->journal_at && start_journal(p, &err) < 0) {
        log_error("journal.not_started", LOG_ERR(&err));
        p->journal_at = now + BACKOFF_MAX_MS * NS_PER_MS;
    }
    if (p->next_at == 0 || now < p->next_at || p->stopping)
        return 0;
    r = spawn(p, &err);
    if (r < 0) {
        log_error("worker.not_started", LOG_ERR(&err));
        p->next_at = now + BACKOFF_MAX_MS * NS_PER_MS;
    }
    return r == 1;
}

static void loop(struct priv *p)
{
    while (p->exit_code < 0) {
        struct pollfd fds[3] = {{.fd = p->signals, .events = POLLIN},
                                {.fd = p->files, .events = POLLIN},
                                {.fd = p->orders, .events = POLLIN}};
        if (poll(fds, 3, wait_ms(p)) < 0)
            continue; /* EINTR: nothing else is possible here */
        if (fds[2].revents != 0)
            take_report(p);
        if (fds[1].revents != 0)
            take_question(p);
        if (fds[0].revents != 0)
            take_signal(p);
        if (p->read_again && p->next == NULL && !p->stopping)
            reload(p);
        if (look_at_clock(p) == 1)
            return;
    }
}

/* ---- the beginning ---- */

static int catch_signals(struct priv *p, struct err *err)
{
    sigset_t all;

    (void)sigemptyset(&all);
    (void)sigaddset(&all, SIGTERM);
    (void)sigaddset(&all, SIGINT);
    (void)sigaddset(&all, SIGHUP);
    (void)sigaddset(&all, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &all, NULL) < 0)
        return err_sys(err, "signals");
    p->signals = signalfd(-1, &all, SFD_CLOEXEC);
    return p->signals < 0 ? err_sys(err, "signals") : 0;
}

/* Every file that is followed is a descriptor of the worker's. */
static void raise_limit(struct priv *p)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return;
    p->max_fds = (size_t)l.rlim_cur;
    l.rlim_cur = l.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &l) == 0)
        p->max_fds = (size_t)l.rlim_max;
}

static int give_up_rights(struct priv *p, struct err *err)
{
    const char *name = p->config->user.p;
    bool is_root = geteuid() == 0;
    struct sandbox_user user;
    int r;

    if (is_root && !sandbox_find_user(name, &user)) {
        if (p->config->sandbox_required)
            return err_set(err, ERR_DENIED, "privileges.user: there is no user '%s'", name);
        log_warn("privileges.no_such_user", LOG_Z("user", name),
                 LOG_I64("instead", SANDBOX_NOBODY));
    }
    if (is_root && !sandbox_may_become(&user)) {
        if (p->config->sandbox_required)
            return err_set(err, ERR_DENIED, "root may not become user %u", (unsigned)user.uid);
        log_warn("privileges.still_root", LOG_I64("not", user.uid));
        is_root = false;
    }
    r = statedir_open(p->config->state_dir.p, is_root ? &user : NULL, &p->state_fd, err);
    if (r == 0)
        r = start_gate(p, err); /* it is who we are now */
    if (r == 0)
        r = sandbox_drop(is_root ? &user : NULL, SANDBOX_CAP(CAP_DAC_READ_SEARCH), err);
    if (r == 0)
        r = confine(p, sandbox_syscalls(SANDBOX_FILES, err), "parent", err);
    if (r == 0)
        log_info("privileges.dropped", LOG_I64("uid", geteuid()),
                 LOG_Z("capabilities", sandbox_caps() == 0 ? "none" : "dac_read_search"));
    return r;
}

int priv_run(const char *path, struct config *config, priv_worker_fn *worker)
{
    struct priv p = {.path = path,
                     .config = config,
                     .run = worker,
                     .state_fd = -1,
                     .signals = -1,
                     .files = -1,
                     .orders = -1,
                     .gate = -1,
                     .next_fd = -1,
                     .exit_code = -1};
    struct err err;
    int r;

    priv_listen_init(&p.listen);
    raise_limit(&p);
    p.self = getpid();
    p.policy = policy_new();
    add_policy(p.policy, &p.config);
    r = catch_signals(&p, &err);
    p.listen.signals = p.signals;
    if (r == 0) /* with the rights of the start: the directory may be root's */
        r = priv_listen_forward(&p.listen, p.config, &err);
    if (r == 0)
        r = give_up_rights(&p, &err);
    if (r == 0)
        r = spawn(&p, &err);
    if (r == 0)
        loop(&p);
    if (r < 0) {
        log_error("collector.failed", LOG_ERR(&err));
        p.exit_code = EXIT_FAILURE;
    }
    priv_listen_fini(&p.listen);
    policy_free(&p.policy);
    config_free(&p.config);
    config_free(&p.next);
    close_fd(&p.next_fd);
    close_fd(&p.files);
    close_fd(&p.orders);
    close_fd(&p.gate);
    close_fd(&p.signals);
    close_fd(&p.state_fd);
    return p.exit_code;
}
