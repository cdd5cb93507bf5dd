/*
 * server/api_collectors.c - the collectors of the caller's tenants.
 *
 * For the role admin: names of hosts and addresses are in it.
 */
#include "server/api_priv.h"

#include "server/collectors.h"

static void work_list(struct api_call *c)
{
    struct collectors *all = c->api->server->collectors;

    if (all == NULL)
        buf_add_z(&c->body, "[]");
    else
        collectors_print(all, c->caller.tenants, c->caller.n_tenants, &c->body);
    c->status = 200;
}

void api_collectors(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct api_call *c = api_call_new(a, x, caller);

    if (c == NULL)
        return;
    c->work = work_list;
    api_call_start(c);
}
