/* collector/bound.c - contract: bound.h. */
#include "collector/bound.h"

#include <unistd.h>

bool bound_is(const struct bound *b, struct str address)
{
    return b->fd >= 0 && str_starts(address, STR("unix:")) &&
           str_eq(str_from(address, sizeof("unix:") - 1), str_of(b->at.sun_path));
}

void bound_remove(struct bound *b)
{
    if (b->fd < 0)
        return;
    (void)unlink(b->at.sun_path); /* best effort */
    (void)close(b->fd);
    b->fd = -1;
}

void bound_arrange(struct bound *v, size_t n, struct conf_strs want)
{
    for (size_t i = 0; i < n && i < want.n; i++)
        for (size_t k = 0; k < n; k++)
            if (bound_is(&v[k], want.v[i])) {
                struct bound found = v[k];
                v[k] = v[i];
                v[i] = found;
                break;
            }
    for (size_t i = 0; i < n; i++)
        if (i >= want.n || !bound_is(&v[i], want.v[i]))
            bound_remove(&v[i]);
}
