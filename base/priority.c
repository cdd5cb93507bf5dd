/* base/priority.c - see priority.h. */
#include "base/priority.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    RESET_ON_FORK = 1,
    REAL_TIME = 1, /* the lowest such priority */
    SPAN_NS = 100 * 1000 * 1000,
    SHARE_NS = SPAN_NS / 5, /* of a span, of real-time work */
};

/* struct sched_attr as the kernel's first version of it has it; C libraries do not agree on who
 * declares it. */
struct attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; /* of a turn, ns */
    uint64_t deadline;
    uint64_t period;
};

static const struct {
    int nice; /* at least */
    uint64_t turn;
} WANTED[] = {
    [PRIORITY_PROMPT] = {-20, (uint64_t)(NS_PER_MS * 3 / 10)},
    [PRIORITY_BULK] = {5, (uint64_t)(3 * NS_PER_MS)},
    [PRIORITY_LATER] = {10, (uint64_t)(3 * NS_PER_MS)},
};

static bool set_fair(enum priority p, int nice)
{
    struct attributes a = {
        .size = sizeof(a),
        .policy = SCHED_OTHER,
        .flags = RESET_ON_FORK,
        .nice = nice,
        .runtime = WANTED[p].turn,
    };

    return syscall(SYS_sched_setattr, 0, &a, 0) == 0;
}

void priority_set(enum priority p)
{
    int now = getpriority(PRIO_PROCESS, 0); /* of this thread alone, as all of this */
    int nice = now > WANTED[p].nice ? now : WANTED[p].nice;

    if (sched_getscheduler(0) == SCHED_OTHER && set_fair(p, nice))
        return;
    (void)setpriority(PRIO_PROCESS, 0, nice); /* refused is refused */
}

static dur_ns cpu_time(void)
{
    struct timespec t = {0, 0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (dur_ns)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void set_real(struct priority_pace *p, bool real)
{
    struct sched_param param = {.sched_priority = REAL_TIME};

    if (!real) {
        struct sched_param none = {0};
        if (!set_fair(PRIORITY_PROMPT, getpriority(PRIO_PROCESS, 0))) /* giving up is free */
            (void)sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
    } else if (sched_getscheduler(0) != (SCHED_OTHER | SCHED_RESET_ON_FORK) ||
               sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) != 0) {
        p->refused = true;
    }
    p->real = real && !p->refused;
}

void priority_pace(struct priority_pace *p)
{
    dur_ns now = time_mono();

    if (p->refused)
        return;
    if (now - p->began >= SPAN_NS || p->began == 0) {
        p->began = now;
        p->cpu = cpu_time();
        if (!p->real)
            set_real(p, true);
    } else if (p->real && cpu_time() - p->cpu >= SHARE_NS) {
        set_real(p, false);
    }
}
