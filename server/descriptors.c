/* server/descriptors.c - see descriptors.h. */
#include "server/descriptors.h"

#include <limits.h>
#include <sys/resource.h>

enum { KEPT_MIN = 128, KEPT_MAX = 2048 };

unsigned descriptors_share_of(unsigned long long limit, unsigned listeners)
{
    unsigned long long kept = limit / 4;
    unsigned long long share;

    if (kept < KEPT_MIN)
        kept = KEPT_MIN;
    if (kept > KEPT_MAX)
        kept = KEPT_MAX;
    share = limit > kept ? (limit - kept) / listeners : 0;
    if (share > INT_MAX)
        return INT_MAX;
    return share == 0 ? 1 : (unsigned)share;
}

unsigned descriptors_share(unsigned listeners)
{
    struct rlimit l = {0, 0}, most;

    (void)getrlimit(RLIMIT_NOFILE, &l); /* fails for limits that there are not */
    most = (struct rlimit){l.rlim_max, l.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &most) == 0)
        l = most;
    return descriptors_share_of(l.rlim_cur, listeners);
}
