/*
 * wire/listener.c - accepting connections.  Contract: stream.h.
 *
 * Why accept(2) by hand over uv_poll: libuv 1.44 can neither set SO_REUSEPORT nor tell us that
 * descriptors ran out (it closes what waits, uncounted).  Here a shortage pauses accepting; those
 * who wait stay in the backlog, and the pause is counted.
 *
 * Invariant
 *   (1) the struct lives until listener_close and until the last of its streams has ended: streams
 * count themselves in `streams` and `refused`.
 */
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "wire/loop_priv.h"
#include "wire/stream_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
    ACCEPT_BATCH = 16, /* then others on the loop get their turn */
    ENDING_MAX = 16,   /* streams over the maximum: those for which others end */
    RETRY_MS = 100,
};

struct listener {
    unsigned magic;
#define LISTENER_MAGIC 0x8d21c6f4u
    struct loop *loop;
    struct loop_item item;
    uv_poll_t poll;
    int fd;
    bool closed;
    struct loop_timer *retry;
    struct listener_options opt; /* .stream.tls counted */
    listener_fn *fn;
    void *arg;
    unsigned refs; /* ourselves until the handle is closed, each stream, a running accept loop */
    unsigned streams;
    uint64_t refused;
    uint64_t starved;
    char address[ADDRESS_TEXT_MAX];
    struct sockaddr_un path; /* unix: what to remove at the end, if it is still this file: */
    dev_t path_dev;
    ino_t path_ino;
};

static void unref(struct listener *ls)
{
    if (--ls->refs > 0)
        return;
    tls_ctx_unref(&ls->opt.stream.tls);
    ls->magic = 0;
    free(ls);
}

static void on_moved_ended(void *arg)
{
    struct listener *ls = arg;

    OBJ_CHECK(ls, LISTENER_MAGIC);
    ls->streams--;
    unref(ls);
}

void listener_stream_ended(struct listener *ls, bool handshake_failed)
{
    OBJ_CHECK(ls, LISTENER_MAGIC);
    if (!loop_is_current(ls->loop)) {
        loop_post_awaited(ls->loop, on_moved_ended, ls); /* it was open: no handshake failed */
        return;
    }
    ls->streams--;
    if (handshake_failed)
        ls->refused++;
    unref(ls);
}

static void read_uid(struct stream_accepted *a)
{
    struct ucred who;
    socklen_t n = sizeof(who);

    a->has_uid = getsockopt(a->fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0;
    if (a->has_uid)
        a->uid = who.uid;
}

/* For one more; one is refused in any case. */
static bool make_room(struct listener *ls)
{
    ls->refused++;
    return ls->opt.make_room != NULL && ls->streams < ls->opt.max_streams + ENDING_MAX &&
           ls->opt.make_room(ls->arg);
}

static void admit(struct listener *ls, struct stream_accepted *a)
{
    struct err err;

    if (ls->streams >= ls->opt.max_streams && !make_room(ls)) {
        (void)close(a->fd);
        return;
    }
    if (a->peer.any.sa_family == AF_UNIX)
        read_uid(a);
    a->ls = ls;
    a->fn = ls->fn;
    a->arg = ls->arg;
    if (stream_accept(ls->loop, a, &ls->opt.stream, &err) < 0) {
        ls->refused++;
        return;
    }
    ls->refs++; /* keeps (1): a stream ends from the loop, not before we are back there */
    ls->streams++;
}

static bool is_shortage(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

static void on_acceptable(uv_poll_t *p, int status, int events)
{
    struct listener *ls = p->data;

    (void)status;
    (void)events;
    ls->refs++; /* `fn` may close us */
    for (int i = 0; i < ACCEPT_BATCH && !ls->closed; i++) {
        struct stream_accepted a = {.fd = -1};
        socklen_t n = sizeof(a.peer);

        if (fault_hit("listener.accept"))
            errno = EMFILE;
        else
            a.fd = accept4(ls->fd, &a.peer.any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (a.fd >= 0) {
            admit(ls, &a);
        } else if (is_shortage(errno)) {
            ls->starved++;
            (void)uv_poll_stop(&ls->poll);
            loop_timer_start(ls->retry, RETRY_MS, 0);
            break;
        } else if (errno == EAGAIN) {
            break;
        } /* else that connection died while it waited: the next one */
    }
    unref(ls);
}

static void watch(void *arg)
{
    struct listener *ls = arg;

    (void)uv_poll_start(&ls->poll, UV_READABLE, on_acceptable);
}

/* A socket file that nobody answers on is left over from a program that died. */
static int remove_stale(const struct sockaddr_un *un, socklen_t n, struct err *err)
{
    struct stat st;
    int fd, r;

    if (lstat(un->sun_path, &st) != 0)
        return err_sys(err, "socket '%s'", un->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_EXISTS, "'%s' exists and is no socket", un->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "make a socket");
    r = connect(fd, (const struct sockaddr *)un, n);
    if (r == 0 || errno != ECONNREFUSED)
        r = err_set(err, ERR_EXISTS, "another program listens on '%s'", un->sun_path);
    else
        r = unlink(un->sun_path) == 0 ? 0 : err_sys(err, "remove stale socket '%s'", un->sun_path);
    (void)close(fd);
    return r;
}

int listener_give_unix(const char *path, mode_t mode, gid_t gid, struct err *err)
{
    int r = 0, fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char self[32];
    struct stat st;

    if (fd < 0)
        return err_sys(err, "look at socket '%s'", path);
    (void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) != 0)
        r = err_sys(err, "look at socket '%s'", path);
    else if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
        r = err_set(err, ERR_DENIED, "'%s' is not the socket that was bound there", path);
    else if (gid != (gid_t)-1 && fchownat(fd, "", (uid_t)-1, gid, AT_EMPTY_PATH) != 0)
        r = err_sys(err, "give '%s' to group %u", path, (unsigned)gid);
    else if ((st.st_mode & 07777) != mode && chmod(self, mode) != 0) /* fchmod needs a file */
        r = err_sys(err, "mode of socket '%s'", path);
    (void)close(fd);
    return r;
}

static int bind_unix(int fd, mode_t mode, const struct address *a, struct err *err)
{
    const struct sockaddr_un *un = &a->socket.un;
    int r;

    /* The file gets the mode of the socket, so that it is at no time wider than it should be; then
     * it is given back what the umask took. */
    if (fchmod(fd, mode) != 0)
        return err_sys(err, "mode of a socket");
    if (bind(fd, &a->socket.any, a->socket_n) != 0) {
        if (errno != EADDRINUSE)
            return err_sys(err, "listen on '%s'", un->sun_path);
        r = remove_stale(un, a->socket_n, err);
        if (r < 0)
            return r;
        if (bind(fd, &a->socket.any, a->socket_n) != 0)
            return err_sys(err, "listen on '%s'", un->sun_path);
    }
    return listener_give_unix(un->sun_path, mode, (gid_t)-1, err);
}

/* And remember which file it is, to remove it at the end. */
static int bind_own_unix(struct listener *ls, const struct address *a, struct err *err)
{
    struct stat st;
    int r = bind_unix(ls->fd, ls->opt.unix_mode, a, err);

    if (r < 0)
        return r;
    ls->path = a->socket.un;
    if (lstat(ls->path.sun_path, &st) != 0)
        return err_sys(err, "listen on '%s'", ls->path.sun_path);
    ls->path_dev = st.st_dev;
    ls->path_ino = st.st_ino;
    return 0;
}

int listener_bind_unix(const char *address, mode_t mode, int *ret, struct err *err)
{
    struct address a;
    int fd, r = address_parse(address, &a, err);

    if (r < 0)
        return r;
    if (a.kind != ADDRESS_UNIX)
        return err_set(err, ERR_INVALID, "'%s' is no unix socket", address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(err, "make a socket");
    r = bind_unix(fd, mode, &a, err);
    if (r < 0)
        (void)close(fd);
    else
        *ret = fd;
    return r;
}

static int bind_ip(struct listener *ls, const struct address *a, const char *text, struct err *err)
{
    int on = 1;

    if (setsockopt(ls->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (ls->opt.reuse_port &&
         setsockopt(ls->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        bind(ls->fd, &a->socket.any, a->socket_n) != 0)
        return err_sys(err, "listen on %s", text);
    return 0;
}

/* Blocking; programs listen at their start.  The first address of a name is taken. */
static int resolve(struct address *a, struct err *err)
{
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int r = getaddrinfo(a->host, a->port, &hints, &found);

    if (r != 0)
        return err_set(err, ERR_IO, "resolve '%s': %s", a->host, gai_strerror(r));
    memcpy(&a->socket, found->ai_addr, found->ai_addrlen);
    a->socket_n = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int open_socket(struct listener *ls, const char *text, struct err *err)
{
    struct address a;
    union address_socket bound;
    socklen_t n = sizeof(bound);
    int r = address_parse(text, &a, err);

    if (r == 0 && a.kind == ADDRESS_NAME)
        r = resolve(&a, err);
    if (r < 0)
        return r;
    if (ls->opt.bound_fd == 0) {
        ls->fd = socket(a.socket.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (ls->fd < 0)
            return err_sys(err, "make a socket");
        r = a.kind == ADDRESS_UNIX ? bind_own_unix(ls, &a, err) : bind_ip(ls, &a, text, err);
    }
    if (r < 0)
        return r;
    memset(&bound, 0, sizeof(bound));
    if (listen(ls->fd, (int)ls->opt.backlog) != 0 || getsockname(ls->fd, &bound.any, &n) != 0)
        return err_sys(err, "listen on %s", text);
    if (a.kind == ADDRESS_UNIX)
        (void)str_to_z(str_of(text), ls->address, sizeof(ls->address));
    else
        (void)address_format(&bound, ls->address);
    return 0;
}

static void close_socket(struct listener *ls)
{
    struct stat st;

    if (ls->path_ino != 0 && lstat(ls->path.sun_path, &st) == 0 && st.st_dev == ls->path_dev &&
        st.st_ino == ls->path_ino)
        (void)unlink(ls->path.sun_path); /* best effort: a leftover is found stale by the next */
    if (ls->fd >= 0)
        (void)close(ls->fd);
    ls->fd = -1;
}

static void on_poll_closed(uv_handle_t *h)
{
    struct listener *ls = h->data;

    unref(ls);
}

static void shut(struct listener *ls)
{
    if (ls->closed)
        return;
    ls->closed = true;
    loop_item_remove(&ls->item);
    loop_timer_free(&ls->retry);
    uv_close((uv_handle_t *)&ls->poll, on_poll_closed); /* takes the fd out of epoll at once */
    close_socket(ls);
}

static void close_item(struct loop_item *i)
{
    struct listener *ls = (struct listener *)(void *)((char *)i - offsetof(struct listener, item));

    ls->retry = NULL; /* a silent item as we are: the loop frees it itself */
    shut(ls);
}

int listener_open(struct loop *l, const char *address, const struct listener_options *opt,
                  listener_fn *fn, void *arg, struct listener **ret, struct err *err)
{
    struct listener *ls = mem_new(sizeof(*ls));
    int r;

    ls->magic = LISTENER_MAGIC;
    ls->loop = l;
    ls->fd = opt->bound_fd == 0 ? -1 : opt->bound_fd;
    ls->refs = 1;
    ls->fn = fn;
    ls->arg = arg;
    ls->opt = *opt;
    if (ls->opt.stream.tls != NULL)
        ls->opt.stream.tls = tls_ctx_ref(ls->opt.stream.tls);
    ls->opt.stream.server_name = NULL;
    if (ls->opt.unix_mode == 0)
        ls->opt.unix_mode = 0600;
    if (ls->opt.max_streams == 0)
        ls->opt.max_streams = 10000;
    if (ls->opt.backlog == 0)
        ls->opt.backlog = 512;
    r = open_socket(ls, address, err);
    if (r == 0) {
        r = uv_poll_init(loop_uv(l), &ls->poll, ls->fd);
        if (r < 0)
            r = loop_uv_err(err, r, "listen on %s", address);
    }
    if (r < 0) {
        close_socket(ls);
        unref(ls);
        return r;
    }
    ls->poll.data = ls;
    ls->retry = loop_timer_new(l, watch, ls);
    loop_item_add(l, &ls->item, LOOP_ITEM_SILENT, close_item);
    watch(ls);
    *ret = ls;
    return 0;
}

const char *listener_address(const struct listener *ls)
{
    OBJ_CHECK(ls, LISTENER_MAGIC);
    return ls->address;
}

void listener_set_tls(struct listener *ls, struct tls_ctx *tls)
{
    struct tls_ctx *old;

    OBJ_CHECK(ls, LISTENER_MAGIC);
    old = ls->opt.stream.tls;
    ls->opt.stream.tls = tls == NULL ? NULL : tls_ctx_ref(tls);
    tls_ctx_unref(&old);
}

uint64_t listener_refused(const struct listener *ls)
{
    OBJ_CHECK(ls, LISTENER_MAGIC);
    return ls->refused;
}

uint64_t listener_starved(const struct listener *ls)
{
    OBJ_CHECK(ls, LISTENER_MAGIC);
    return ls->starved;
}

void listener_close(struct listener **pls)
{
    struct listener *ls = *pls;

    if (ls == NULL)
        return;
    OBJ_CHECK(ls, LISTENER_MAGIC);
    *pls = NULL;
    shut(ls);
}
