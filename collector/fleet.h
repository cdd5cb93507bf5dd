/*
 * collector/fleet.h - several servers: which of them are there, and who takes over from one that is
 * not.
 *
 * A file stays with one server.  One that has not answered for the failover time is left: what it
 * has is handed to the owner (`left`), who sends it to the next.  It is not gone back to by itself;
 * new files go to the first that is there, in the order of the configuration.  When nobody answers,
 * nobody moves.  With one server this is a ship.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_FLEET_H
#define LOGQ_COLLECTOR_FLEET_H

#include "collector/ship.h"

struct fleet;

enum { FLEET_MAX = 16 };

struct fleet_options {
    const struct str *addresses; /* NUL-terminated; copied */
    size_t n;                    /* 1..FLEET_MAX */
    struct ship_options ship;    /* of each; its address is not looked at */
    dur_ns failover;
};

struct fleet_handler {
    struct ship_handler ship; /* those of all servers; known: of the first hello to each, the
                                 later ones only tell what we said ourselves */
    /* Server `from` is given up, `to` is there: take the chunks of the one (fleet_take), and send
     * no more to it. */
    void (*left)(void *arg, size_t from, size_t to);
};

/* Begins to connect to all of them. */
struct fleet *fleet_new(struct loop *l, const struct fleet_options *opt,
                        const struct fleet_handler *h, void *arg);
void fleet_free(struct fleet **pf);

/* Where a new file goes.  -1: not known yet, ask again at `room`. */
int fleet_choose(const struct fleet *f);

/* As ship.h, of server `i`. */
bool fleet_has_room(const struct fleet *f, size_t i);
size_t fleet_in_flight(const struct fleet *f, size_t i);
void fleet_add(struct fleet *f, size_t i, uint64_t no, const char token[CHUNK_TOKEN_BYTES],
               struct buf *message);
bool fleet_take(struct fleet *f, size_t i, uint64_t *no, struct buf *message,
                char token[CHUNK_TOKEN_BYTES], bool *sent);

/* Of all together. */
size_t fleet_in_flight_all(const struct fleet *f);
size_t fleet_connected(const struct fleet *f); /* how many are */
void fleet_set_tls(struct fleet *f, struct tls_ctx *tls);

#endif
