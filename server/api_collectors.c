/*
 * server/api_collectors.c - the collectors of the caller's tenants, and what of theirs may lie on
 * several servers.
 *
 * For the role admin: names of hosts and addresses are in it.  A collector that left a server for
 * another one marks what both may have; which of it they both have is seen by asking one for the
 * marked ranges and the other for what it has of these files.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/mem.h"
#include "server/collectors.h"

#include <stdlib.h>

enum { FILES_MAX = 100, RANGES_MAX = 5000 };

static void work_list(struct api_call *c)
{
    struct collectors *all = c->api->server->collectors;

    if (all == NULL)
        buf_add_z(&c->body, "[]");
    else
        collectors_print(all, c->caller.tenants, c->caller.n_tenants, &c->body);
    c->status = 200;
}

static void start(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                  void (*work)(struct api_call *c))
{
    struct api_call *c = api_call_new(a, x, caller);

    if (c == NULL)
        return;
    c->work = work;
    api_call_start(c);
}

void api_collectors(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, work_list);
}

/* ---- overlaps ---- */

/* Is that sender of one of the caller's tenants? */
static bool may_see(const struct api_call *c, struct str peer)
{
    const struct server *s = c->api->server;
    struct str tenant = collectors_tenant(peer, s->dev ? STR("default") : s->conf.forward.tenant);

    for (size_t i = 0; i < c->caller.n_tenants; i++)
        if (str_eq(c->caller.tenants[i], tenant))
            return true;
    return false;
}

struct printer {
    const struct api_call *c;
    struct json_writer w;
};

static void print_range(struct json_writer *w, struct str peer, struct str file,
                        const struct store_range *range)
{
    json_put_object(w);
    json_put_kv_str(w, "name", collectors_name(peer));
    json_put_kv_str(w, "identity", peer);
    json_put_kv_str(w, "file", file);
    json_put_kv_u64(w, "start", range->start);
    json_put_kv_u64(w, "end", range->end);
    json_put_object_end(w);
}

static int print_overlap(void *arg, struct str peer, struct str file,
                         const struct store_range *range)
{
    struct printer *p = arg;

    if (may_see(p->c, peer))
        print_range(&p->w, peer, file, range);
    return 0;
}

static void work_overlap(struct api_call *c)
{
    struct printer p = {.c = c};

    json_writer_init(&p.w, &c->body);
    json_put_array(&p.w);
    (void)store_overlaps(c->api->server->store, print_overlap, &p); /* it returns 0 */
    json_put_array_end(&p.w);
    c->status = 200;
}

void api_collectors_overlap(struct api *a, struct http_exchange *x,
                            const struct auth_caller *caller)
{
    start(a, x, caller, work_overlap);
}

/* ---- what is stored of a file ---- */

static void print_file(struct api_call *c, struct json_writer *w, struct str file)
{
    struct store_range *found = mem_new(RANGES_MAX * sizeof(*found));
    size_t n = store_ranges(c->api->server->store, c->name, file, found, RANGES_MAX);

    for (size_t i = 0; i < n && i < RANGES_MAX; i++)
        print_range(w, c->name, file, &found[i]);
    free(found);
}

static void work_ranges(struct api_call *c)
{
    struct str rest = c->second;
    struct json_writer w;

    json_writer_init(&w, &c->body);
    json_put_array(&w);
    while (may_see(c, c->name) && rest.p != NULL)
        print_file(c, &w, str_cut(&rest, ','));
    json_put_array_end(&w);
    c->status = 200;
}

void api_collectors_ranges(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct str peer = http_param(x, "identity", 0), files = http_param(x, "files", 0);
    struct api_call *c;
    struct err err;
    size_t n = 1;

    for (size_t i = 0; i < files.n; i++)
        n += files.p[i] == ',';
    c = api_call_new(a, x, caller);
    if (c == NULL)
        return;
    c->work = work_ranges;
    c->name = arena_str(c->arena, peer);
    c->second = arena_str(c->arena, files);
    if (peer.n == 0 || files.n == 0) {
        (void)err_set(&err, ERR_INVALID, "parameters 'identity' and 'files' are needed");
        api_call_refuse(c, &err);
    } else if (n > FILES_MAX) {
        (void)err_set(&err, ERR_LIMIT, "%zu files at once, at most %d", n, FILES_MAX);
        api_call_refuse(c, &err);
    } else if (c->name.p == NULL || c->second.p == NULL) {
        (void)arena_err(c->arena, &err);
        api_call_refuse(c, &err);
    } else {
        api_call_start(c);
    }
}
