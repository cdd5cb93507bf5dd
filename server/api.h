/*
 * server/api.h - the HTTPS side: router and endpoint families (api_*.c).
 *
 * Handlers run on the main loop, that of pushes on one of its own, and must not block;
 * api_call_start (api_priv.h) moves the rest to the workers and back.
 */
#ifndef LOGQ_SERVER_API_H
#define LOGQ_SERVER_API_H

#include "server/auth.h"
#include "server/server.h"
#include "wire/http.h"

/* Listen on conf.http.listen.  Errors name the address or the certificate. */
int api_open(struct server *s, struct api **ret, struct err *err);
const char *api_address(const struct api *a); /* as bound; until api_cut */
void api_set_tls(struct api *a, struct tls_ctx *tls);
void api_drain(struct api *a); /* stop listening; what is under way goes on */
/* From here on `next`, which it takes, is server->auth; what goes on for long is judged again.  On
 * the loop. */
void api_take_auth(struct api *a, struct auth *next);
/* For followers: a batch became durable.  As a store_observe_fn, `arg` apart; never blocks. */
void api_observe(struct api *a, struct str tenant, struct batch *b);
/* No request is being answered, and all answers are out. */
bool api_is_idle(const struct api *a);
/* Close all connections: calls under way are cancelled and have nobody left to answer, so that from
 * here on each is freed by whoever finds the loop stopped.  On the loop, before it stops. */
void api_cut(struct api *a);
/* After api_cut, the end of the workers and store_stop: nothing works on a call any more. */
void api_close(struct api **pa);

#endif
