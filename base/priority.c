/* base/priority.c - see priority.h. */
#include "base/priority.h"

#include "base/time.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RESET_ON_FORK = 1 };

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

void priority_set(enum priority p)
{
    static const struct {
        int nice; /* at least */
        uint64_t turn;
    } WANTED[] = {
        [PRIORITY_PROMPT] = {-20, (uint64_t)(NS_PER_MS * 3 / 10)},
        [PRIORITY_BULK] = {5, (uint64_t)(10 * NS_PER_MS)},
        [PRIORITY_LATER] = {10, (uint64_t)(10 * NS_PER_MS)},
    };
    int now = getpriority(PRIO_PROCESS, 0); /* of this thread alone, as all of this */
    struct attributes a = {
        .size = sizeof(a),
        .policy = SCHED_OTHER,
        .flags = RESET_ON_FORK,
        .nice = now > WANTED[p].nice ? now : WANTED[p].nice,
        .runtime = WANTED[p].turn,
    };

    if (sched_getscheduler(0) == SCHED_OTHER && syscall(SYS_sched_setattr, 0, &a, 0) == 0)
        return;
    (void)setpriority(PRIO_PROCESS, 0, a.nice); /* refused is refused */
}
