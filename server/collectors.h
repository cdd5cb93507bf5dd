/*
 * server/collectors.h - the collectors that have said hello: who they are, when they were here
 * last, how far behind, until when their certificate holds.
 *
 * One entry per tenant, name in the certificate and host (a certificate may be shared by the hosts
 * of a cluster).  At most COLLECTORS_MAX; a further one takes the place of the one that was here
 * longest ago and is not connected.  Kept across restarts: collectors_save is called from time to
 * time.  Thread-safe.
 */
#ifndef LOGQ_SERVER_COLLECTORS_H
#define LOGQ_SERVER_COLLECTORS_H

#include "base/buf.h"
#include "base/time.h"
#include "storage/store.h"
#include "wire/forward_about.h"

enum { COLLECTORS_MAX = 10000 };

struct collectors;
struct collectors_entry;

/* Whose a certificate's name is: "logq://<tenant>/collector/<name>", else `fallback`. */
struct str collectors_tenant(struct str identity, struct str fallback);
/* Its last part, or all of it. */
struct str collectors_name(struct str identity);

struct collectors *collectors_new(void);
/* All connections have left. */
void collectors_free(struct collectors **pc);

/* What was saved, once, before anybody enters (blocking).  Pages that cannot be read are left out
 * and counted in *lost. */
int collectors_load(struct collectors *c, struct store *s, size_t *lost, struct err *err);
/* Save what has changed (blocking, any thread). */
int collectors_save(struct collectors *c, struct store *s, struct err *err);

/* Who connects, by certificate; all borrowed during the call. */
struct collectors_peer {
    struct str tenant, identity, address;
    ts_ns not_after; /* of its certificate; 0: none */
};

/*
 * A connection has said hello.  *known is the highest `next` that this incarnation has told us
 * before, 0: none.  The entry is the connection's until collectors_leave; NULL: there is no room,
 * counted.
 */
struct collectors_entry *collectors_enter(struct collectors *c, const struct collectors_peer *peer,
                                          const struct forward_about *about, uint64_t *known);
/* Sets *pe to NULL, which it may be. */
void collectors_leave(struct collectors *c, struct collectors_entry **pe);
/* It says more of itself: the incarnation that its connection began with (an entry may have several
 * connections, of several).  `e` may be NULL here and below. */
void collectors_note(struct collectors *c, struct collectors_entry *e, uint64_t incarnation,
                     const struct forward_about *about);
/* A chunk of its was answered. */
void collectors_count(struct collectors *c, struct collectors_entry *e, enum store_outcome outcome);

/* Append all of these tenants as a JSON array, in order of tenant, name and host. */
void collectors_print(struct collectors *c, const struct str *tenants, size_t n, struct buf *out);
size_t collectors_n(struct collectors *c);

#endif
