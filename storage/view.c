/* storage/view.c - giving a view back.  Contract: view.h. */
#include "storage/view.h"

#include "storage/hide.h"

#include <stdlib.h>

void view_release(struct store_view *v)
{
    for (size_t i = 0; i < v->n_batch; i++)
        batch_unref(&v->batch[i]);
    free(v->batch);
    free(v->day);
    if (v->is_pinned)
        partition_cache_unpin(v->partitions, &v->pin);
    hide_unref(&v->hide);
    *v = (struct store_view){0};
}
