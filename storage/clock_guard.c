/*
 * storage/clock_guard.c - see clock_guard.h.
 *
 * The boot clock counts suspended time too, so a machine that slept has not jumped.  Small steps
 * forward are believed, but no more than `jump` in an hour of the boot clock together: many small
 * steps are no way around.
 */
#include "storage/clock_guard.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static dur_ns boot_clock(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_BOOTTIME, &t); /* always there */
    return (dur_ns)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* "" when it cannot be found out: then nothing is carried over. */
static void read_boot_id(char ret[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, ret, 36);

    ret[n == 36 ? 36 : 0] = '\0';
    if (fd >= 0)
        (void)close(fd); /* only read from */
}

void clock_guard_init(struct clock_guard *g, dur_ns jump, dur_ns settle,
                      const struct clock_guard_state *before)
{
    memset(g, 0, sizeof(*g));
    (void)pthread_mutex_init(&g->mutex, NULL); /* cannot fail for a default mutex here */
    g->jump = jump;
    g->settle = settle;
    g->boot_clock = boot_clock;
    read_boot_id(g->boot_id);
    g->trusted = time_now() - boot_clock();
    if (before != NULL && before->boot[0] != '\0' && strcmp(before->boot, g->boot_id) == 0)
        g->trusted = before->trusted;
    g->anchor = g->trusted;
    g->anchor_at = boot_clock();
}

void clock_guard_fini(struct clock_guard *g)
{
    (void)pthread_mutex_destroy(&g->mutex);
}

static void believe(struct clock_guard *g, int64_t offset, dur_ns boot)
{
    g->trusted = offset;
    g->since = 0;
    if (boot - g->anchor_at >= NS_PER_H || offset < g->anchor) {
        g->anchor = offset;
        g->anchor_at = boot;
    }
}

/* Under mutex: what to make of a clock that is ahead. */
static void doubt(struct clock_guard *g, int64_t offset, dur_ns boot)
{
    if (g->since == 0 || llabs(offset - g->seen) > g->jump) {
        g->seen = offset;
        g->since = boot;
    } else if (boot - g->since >= g->settle) {
        g->anchor = offset;
        g->anchor_at = boot;
        believe(g, offset, boot);
    }
}

ts_ns clock_guard_now(struct clock_guard *g, bool *suspect)
{
    ts_ns wall = time_now();
    dur_ns boot = g->boot_clock();
    int64_t offset = wall - boot;

    (void)pthread_mutex_lock(&g->mutex);
    if (g->jump == 0 || offset - g->anchor <= g->jump)
        believe(g, offset, boot);
    else
        doubt(g, offset, boot);
    wall = boot + g->trusted;
    if (suspect != NULL)
        *suspect = g->since != 0;
    (void)pthread_mutex_unlock(&g->mutex);
    return wall;
}

void clock_guard_state(struct clock_guard *g, struct clock_guard_state *ret)
{
    memset(ret, 0, sizeof(*ret));
    (void)pthread_mutex_lock(&g->mutex);
    memcpy(ret->boot, g->boot_id, sizeof(ret->boot));
    ret->trusted = g->trusted;
    (void)pthread_mutex_unlock(&g->mutex);
}

dur_ns clock_guard_ahead(struct clock_guard *g)
{
    dur_ns ret;

    (void)pthread_mutex_lock(&g->mutex);
    ret = g->since == 0 ? 0 : g->seen - g->trusted;
    (void)pthread_mutex_unlock(&g->mutex);
    return ret;
}
