/* collector/seats.c - contract: seats.h. */
#include "collector/seats.h"

#include "base/obj.h"

void seats_add(struct seats *s, struct seat *seat)
{
    INVARIANT(s->n < SEATS_MAX);
    seat->next = s->first;
    seat->link = &s->first;
    if (seat->next != NULL)
        seat->next->link = &seat->next;
    s->first = seat;
    s->n++;
}

void seats_remove(struct seats *s, struct seat *seat)
{
    if (seat->link == NULL)
        return;
    *seat->link = seat->next;
    if (seat->next != NULL)
        seat->next->link = seat->link;
    seat->link = NULL;
    s->n--;
}

struct holder {
    uint64_t peer;
    size_t n;
};

/* Who would have most: `peer`, if nobody has more. */
static uint64_t find_greatest(const struct seats *s, uint64_t peer)
{
    struct holder all[SEATS_MAX + 1] = {{peer, 1}};
    size_t n = 1, greatest = 0;

    for (const struct seat *seat = s->first; seat != NULL; seat = seat->next) {
        size_t i = 0;
        while (i < n && all[i].peer != seat->peer)
            i++;
        if (i == n)
            all[n++] = (struct holder){seat->peer, 0};
        all[i].n++;
    }
    for (size_t i = 1; i < n; i++)
        if (all[i].n > all[greatest].n)
            greatest = i;
    return all[greatest].peer;
}

struct seat *seats_choose(const struct seats *s, uint64_t peer, dur_ns idle_since)
{
    uint64_t greatest = find_greatest(s, peer);
    struct seat *found = NULL;

    for (struct seat *seat = s->first; seat != NULL; seat = seat->next)
        if (seat->peer == greatest && (found == NULL || seat->used_at < found->used_at))
            found = seat;
    return found != NULL && greatest == peer && found->used_at > idle_since ? NULL : found;
}
