/*
 * tests/lib/hook.h - a real HTTP receiver of webhooks on loopback, on a thread of its own.
 *
 * It keeps what it got and answers from a script of status codes, the last of which goes on for
 * ever; 0 closes the connection without an answer.  One connection at a time, one request each.
 */
#ifndef LOGQ_TESTS_LIB_HOOK_H
#define LOGQ_TESTS_LIB_HOOK_H

#include "base/mem.h"
#include "base/str.h"
#include "base/time.h"
#include "tests/lib/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOOK_MAX = 64, HOOK_BYTES = 1 << 20, HOOK_WAIT_S = 60 };

struct hook_request {
    char *head, *body; /* owned */
    dur_ns at;         /* monotonic */
};

struct hook {
    int fd;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t came;
    int script[HOOK_MAX]; /* ends in -1 */
    const char *header;   /* of each answer, with its \r\n; may be NULL */
    struct hook_request got[HOOK_MAX];
    size_t n;
};

/* Head and body into `r`; false: no whole request came. */
static inline bool hook_read(int fd, struct hook_request *r)
{
    char *text = mem_new(HOOK_BYTES);
    size_t n = 0;
    size_t want = SIZE_MAX;
    const char *end = NULL;

    while (n < want && n < HOOK_BYTES - 1) {
        ssize_t got = read(fd, text + n, HOOK_BYTES - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        end = strstr(text, "\r\n\r\n");
        if (end != NULL && want == SIZE_MAX) {
            const char *length = strstr(text, "Content-Length: ");
            want = (size_t)(end - text) + 4 +
                   (length == NULL ? 0 : strtoull(length + strlen("Content-Length: "), NULL, 10));
        }
    }
    if (end != NULL && n == want) {
        r->head = mem_dup(text, (size_t)(end - text) + 2);
        r->body = mem_dup(end + 4, n - (size_t)(end - text) - 4);
        r->at = time_mono();
    }
    free(text);
    return r->head != NULL;
}

static inline void *hook_run(void *arg)
{
    struct hook *h = arg;
    int fd;

    while ((fd = accept(h->fd, NULL, NULL)) >= 0) {
        struct hook_request r = {NULL, NULL, 0};
        char answer[256];
        int status = 0;
        if (hook_read(fd, &r)) {
            (void)pthread_mutex_lock(&h->lock);
            status = h->script[0];
            if (h->script[1] != -1)
                memmove(h->script, h->script + 1, sizeof(h->script) - sizeof(h->script[0]));
            (void)snprintf(
                answer, sizeof(answer),
                "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\nConnection: close\r\n%s\r\n", status,
                h->header == NULL ? "" : h->header);
            if (status != 0)
                (void)!write(fd, answer, strlen(answer)); /* the sender then tries again */
            if (h->n < HOOK_MAX)
                h->got[h->n++] = r;
            (void)pthread_cond_broadcast(&h->came);
            (void)pthread_mutex_unlock(&h->lock);
        }
        (void)close(fd);
    }
    return NULL;
}

/* `script`: status codes, ended by -1. */
static inline void hook_answer(struct hook *h, const int *script, const char *header)
{
    size_t i = 0;

    (void)pthread_mutex_lock(&h->lock);
    for (; i + 1 < HOOK_MAX && script[i] != -1; i++)
        h->script[i] = script[i];
    h->script[i] = -1;
    h->header = header;
    (void)pthread_mutex_unlock(&h->lock);
}

static inline void hook_open(struct hook *h, const int *script)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);

    memset(h, 0, sizeof(*h));
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->came, NULL);
    hook_answer(h, script, NULL);
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(h->fd >= 0);
    assert_int_equal(bind(h->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(h->fd, 16), 0);
    assert_int_equal(getsockname(h->fd, (struct sockaddr *)&at, &n), 0);
    (void)snprintf(h->url, sizeof(h->url), "http://127.0.0.1:%u/hook", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&h->thread, NULL, hook_run, h), 0);
}

/* Until it got `n` requests in all; returns them.  They stay where they are until hook_close. */
static inline const struct hook_request *hook_wait(struct hook *h, size_t n)
{
    struct timespec end;
    size_t got;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += HOOK_WAIT_S;
    (void)pthread_mutex_lock(&h->lock);
    while (h->n < n && pthread_cond_timedwait(&h->came, &h->lock, &end) == 0)
        ;
    got = h->n;
    (void)pthread_mutex_unlock(&h->lock);
    if (got < n)
        fail_msg("%zu requests came, not %zu", got, n);
    return h->got;
}

static inline size_t hook_count(struct hook *h)
{
    size_t n;

    (void)pthread_mutex_lock(&h->lock);
    n = h->n;
    (void)pthread_mutex_unlock(&h->lock);
    return n;
}

/* The value of a header of a request; "" if absent. */
static inline struct str hook_header(const struct hook_request *r, const char *name)
{
    struct str rest = str_of(r->head);

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        struct str key = str_cut(&line, ':');
        if (str_eq_nocase(key, str_of(name)))
            return str_trim(line);
    }
    return STR("");
}

static inline void hook_close(struct hook *h)
{
    (void)shutdown(h->fd, SHUT_RDWR); /* ends accept */
    (void)pthread_join(h->thread, NULL);
    (void)close(h->fd);
    for (size_t i = 0; i < h->n; i++) {
        free(h->got[i].head);
        free(h->got[i].body);
    }
    (void)pthread_mutex_destroy(&h->lock);
    (void)pthread_cond_destroy(&h->came);
}

#define HOOK_SCRIPT(...) ((const int[]){__VA_ARGS__, -1})

#endif
