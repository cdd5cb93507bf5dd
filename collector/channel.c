/* collector/channel.c - contract: channel.h. */
#include "collector/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(4 * sizeof(int))]; /* more than is ever sent, so that all are seen */
};

int channel_pair(int ret[2], struct err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
        return err_sys(err, "socket pair");
    return 0;
}

void channel_limit_sending(int channel, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};

    (void)setsockopt(channel, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

int channel_send(int channel, const void *p, size_t n, int fd, struct err *err)
{
    char copy[CHANNEL_PACKET_MAX];
    struct iovec part = {copy, n};
    union control control;
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t r;

    if (n > sizeof(copy))
        return err_set(err, ERR_LIMIT, "a packet of %zu bytes", n);
    memcpy(copy, p, n); /* an iovec is not const */
    if (fd >= 0) {
        struct cmsghdr *c;
        memset(&control, 0, sizeof(control));
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(sizeof(int));
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    do
        r = sendmsg(channel, &m, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r < 0 && (errno == EPIPE || errno == ECONNRESET))
        return err_set(err, ERR_GONE, "the other process is gone");
    return r < 0 ? err_sys(err, "send to the other process") : 0;
}

/* The first descriptor; the others are closed. */
static int take_fd(struct msghdr *m)
{
    int first = -1;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        size_t n = c->cmsg_len < CMSG_LEN(0) ? 0 : (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (first < 0)
                first = fd;
            else
                (void)close(fd);
        }
    }
    return first;
}

int channel_receive(int channel, void *p, size_t cap, size_t *n, int *fd, struct err *err)
{
    struct iovec part = {p, cap};
    union control control;
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    ssize_t r;

    *fd = -1;
    do
        r = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno == ECONNRESET)
        return 1;
    if (r < 0)
        return err_sys(err, "receive from the other process");
    *fd = take_fd(&m);
    if (r == 0 || (m.msg_flags & MSG_TRUNC) != 0) {
        if (*fd >= 0)
            (void)close(*fd);
        *fd = -1;
        if (r == 0)
            return 1;
        return err_set(err, ERR_CORRUPT, "a packet of more than %zu bytes", cap);
    }
    *n = (size_t)r;
    return 0;
}
