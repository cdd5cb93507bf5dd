/*
 * collector/gate.c - contract: gate.h.
 *
 * Everything blocks but what is passed on: the worker waits for our answer anyway, and a connect to
 * a unix socket does not wait.
 */
#include "collector/gate.h"

#include "base/mem.h"
#include "base/vec.h"
#include "collector/opener.h"
#include "collector/opener_ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 256, PASS_BYTES = 16 << 10, PASSES_MAX = 64, DIGITS_MAX = 20 };

/* An engine's connection and the worker's end. */
struct pass {
    int engine, worker;
    char head[HEAD_MAX]; /* of the request */
    size_t head_n;
    bool asked; /* the request went through */
    char *kept; /* bytes of the engine that the worker has no room for yet, [at, n) */
    size_t at, n;
};

struct gate {
    const struct gate_sockets *sockets;
    int channel;
    VEC(struct pass) passes;
    struct opener_ask ask;
    struct opener_answer answer;
};

/* ---- the request ---- */

int gate_check(struct str head, struct err *err)
{
    static const char BEFORE[] = "GET /events?since=";
    static const char AFTER[] = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    size_t at = head.n < sizeof(BEFORE) - 1 ? head.n : sizeof(BEFORE) - 1, digits = 0, n;

    if (memcmp(head.n == 0 ? "" : head.p, BEFORE, at) != 0)
        return err_set(err, ERR_DENIED, "not a request for events");
    while (at < head.n && head.p[at] >= '0' && head.p[at] <= '9' && digits <= DIGITS_MAX) {
        at++;
        digits++;
    }
    n = head.n - at;
    if (n == 0)
        return 0;
    if (digits == 0 || digits > DIGITS_MAX || n > sizeof(AFTER) - 1 ||
        memcmp(head.p + at, AFTER, n) != 0)
        return err_set(err, ERR_DENIED, "more than a request for events");
    return n == sizeof(AFTER) - 1;
}

/* ---- passing on ---- */

static void drop(struct gate *g, size_t i)
{
    struct pass *p = &g->passes.p[i];

    (void)close(p->engine);
    (void)close(p->worker);
    free(p->kept);
    VEC_REMOVE(&g->passes, i);
}

/* From the worker: the request, and nothing behind it.  false: this pass is over. */
static bool take_request(struct pass *p)
{
    struct err err;
    ssize_t n = recv(p->worker, p->head + p->head_n, sizeof(p->head) - p->head_n, 0);
    int r;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0 || p->asked)
        return false;
    p->head_n += (size_t)n;
    r = gate_check((struct str){p->head, p->head_n}, &err);
    if (r < 0)
        return false;
    p->asked = r == 1;
    return r == 0 || send(p->engine, p->head, p->head_n, MSG_NOSIGNAL) == (ssize_t)p->head_n;
}

/* What is kept, to the worker.  false: over. */
static bool give_kept(struct pass *p)
{
    while (p->at < p->n) {
        ssize_t n = send(p->worker, p->kept + p->at, p->n - p->at, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        p->at += (size_t)n;
    }
    return true;
}

static bool take_answer(struct pass *p)
{
    ssize_t n = recv(p->engine, p->kept, PASS_BYTES, 0);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    p->at = 0;
    p->n = (size_t)n;
    return give_kept(p);
}

static bool turn(struct pass *p, short worker, short engine)
{
    if ((worker & POLLOUT) != 0 && !give_kept(p))
        return false;
    if ((worker & (POLLIN | POLLHUP | POLLERR)) != 0 && !take_request(p))
        return false;
    return (engine & (POLLIN | POLLHUP | POLLERR)) == 0 || p->at < p->n || take_answer(p);
}

/* ---- questions ---- */

static bool is_among(const struct str *paths, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(paths[i], str_of(path)))
            return true;
    return false;
}

/* The descriptor for the worker; -errno. */
static int connect_to(struct gate *g, const char *path)
{
    struct pass p = {.engine = -1};
    bool engine = is_among(g->sockets->engines, g->sockets->n, path);
    struct err why;
    int pair[2];

    if (!engine && !is_among(g->sockets->servers, g->sockets->n_servers, path))
        return -EPERM;
    if (engine && g->passes.n >= PASSES_MAX)
        return -EAGAIN;
    if (opener_connect(NULL, path, &p.engine, &why) < 0)
        return why.sys == 0 ? -EIO : -why.sys;
    if (!engine)
        return p.engine;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
        int r = -errno;
        (void)close(p.engine);
        return r;
    }
    p.worker = pair[0];
    p.kept = mem_new(PASS_BYTES);
    VEC_PUSH(&g->passes, p);
    return pair[1];
}

/* false: nobody asks any more. */
static bool answer(struct gate *g)
{
    struct err err;
    size_t n = 0;
    int with, fd, r = channel_receive(g->channel, &g->ask, sizeof(g->ask), &n, &with, &err);

    if (with >= 0)
        (void)close(with);
    if (r != 0)
        return r == ERR_CORRUPT;
    if (n <= OPENER_ASK_HEAD || g->ask.path_bytes != n - OPENER_ASK_HEAD ||
        memchr(g->ask.path, '\0', g->ask.path_bytes) != g->ask.path + g->ask.path_bytes - 1)
        return true; /* whoever does not know how to ask gets no answer */
    fd = g->ask.op == OPENER_OP_CONNECT ? connect_to(g, g->ask.path) : -ENOSYS;
    memset(&g->answer, 0, OPENER_ANSWER_HEAD);
    g->answer.tag = g->ask.tag;
    g->answer.sys = fd < 0 ? -fd : 0;
    r = channel_send(g->channel, &g->answer, OPENER_ANSWER_HEAD, fd, &err);
    if (fd >= 0)
        (void)close(fd);
    return r == 0;
}

int gate_run(const struct gate_sockets *sockets, int channel)
{
    struct gate g = {.sockets = sockets, .channel = channel};
    struct pollfd fds[1 + 2 * PASSES_MAX];
    bool open = true;

    while (open) {
        nfds_t n = 0;
        fds[n++] = (struct pollfd){.fd = channel, .events = POLLIN};
        for (size_t i = 0; i < g.passes.n; i++) {
            const struct pass *p = &g.passes.p[i];
            bool full = p->at < p->n;
            fds[n++] = (struct pollfd){.fd = p->worker, .events = full ? POLLOUT : POLLIN};
            fds[n++] = (struct pollfd){.fd = full ? -1 : p->engine, .events = POLLIN};
        }
        if (poll(fds, n, -1) < 0)
            continue;
        for (size_t i = (n - 1) / 2; i > 0; i--)
            if (!turn(&g.passes.p[i - 1], fds[2 * i - 1].revents, fds[2 * i].revents))
                drop(&g, i - 1);
        if (fds[0].revents != 0)
            open = answer(&g);
    }
    while (g.passes.n > 0)
        drop(&g, g.passes.n - 1);
    VEC_FINI(&g.passes);
    return EXIT_SUCCESS;
}
