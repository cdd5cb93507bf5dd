/* storage/view.c - giving a view back.  Contract: view.h. */
#include "storage/view.h"

#include "storage/hide.h"

#include <stdlib.h>

uint64_t view_visible(const struct store_view *v, int32_t day)
{
    for (size_t i = 0; i < v->n_late; i++)
        if (v->late[i].day == day)
            return v->late[i].visible;
    return v->visible;
}

void view_release(struct store_view *v)
{
    for (size_t i = 0; i < v->n_batch; i++)
        batch_unref(&v->batch[i]);
    free(v->batch);
    free(v->day);
    free(v->late);
    if (v->is_pinned)
        partition_cache_unpin(v->partitions, &v->pin);
    hide_unref(&v->hide);
    *v = (struct store_view){0};
}
