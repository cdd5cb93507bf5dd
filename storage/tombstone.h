/*
 * storage/tombstone.h - a delete request: which records are no more.  A legal hold names records in
 * the same way (store_hold.c).
 *
 * It names streams (matchers), times, line filters and the last record there was when it was made
 * (`seq`): what arrives later is never hidden by it.  Immutable after tombstone_new but for its
 * state, which the store's mutex guards; counted, any thread.
 */
#ifndef LOGQ_STORAGE_TOMBSTONE_H
#define LOGQ_STORAGE_TOMBSTONE_H

#include "base/match.h"
#include "storage/store.h"

struct tombstone;

/* A copy of everything in `d` but its id, created and state, which are set here.  ERR_INVALID: a
 * pattern does not compile; ERR_LIMIT: too large. */
int tombstone_new(uint64_t id, uint64_t tenant_id, const struct store_delete *d, uint64_t seq,
                  struct tombstone **ret, struct err *err);
struct tombstone *tombstone_ref(struct tombstone *t);
void tombstone_unref(struct tombstone **pt);

/* As bytes, for meta.db; and back.  ERR_CORRUPT. */
void tombstone_put(const struct tombstone *t, enum store_delete_state state, struct buf *out);
int tombstone_get(uint64_t id, struct str bytes, struct tombstone **ret, struct err *err);

uint64_t tombstone_id(const struct tombstone *t);
uint64_t tombstone_tenant(const struct tombstone *t);
uint64_t tombstone_seq(const struct tombstone *t);
enum store_delete_state tombstone_state(const struct tombstone *t);
void tombstone_set_state(struct tombstone *t, enum store_delete_state state);
/* What counted when its segments were marked in this process (store_erase.c); UINT64_MAX: they were
 * not. */
uint64_t tombstone_marked(const struct tombstone *t);
void tombstone_set_marked(struct tombstone *t, uint64_t marked);
/* What the door shows; what it points to lives with t. */
void tombstone_describe(const struct tombstone *t, struct store_delete *ret);

ts_ns tombstone_from(const struct tombstone *t);
ts_ns tombstone_to(const struct tombstone *t);          /* exclusive */
bool tombstone_has_matchers(const struct tombstone *t); /* else it names all streams */
bool tombstone_has_filters(const struct tombstone *t);
bool tombstone_hits_stream(const struct tombstone *t, const struct labels *l);
bool tombstone_hits_line(const struct tombstone *t, struct str line);

#endif
