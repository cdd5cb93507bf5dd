/*
 * server/api.h - the HTTPS side: router and endpoint families (api_*.c).
 *
 * Handlers run on the main loop and must not block; api_async moves the rest to the workers and
 * back.
 */
#ifndef LOGQ_SERVER_API_H
#define LOGQ_SERVER_API_H

#include "server/auth.h"
#include "server/server.h"
#include "wire/http.h"

int api_open(struct server *s, struct api **ret, struct err *err);
const char *api_address(const struct api *a);
void api_set_tls(struct api *a, struct tls_ctx *tls);
void api_drain(struct api *a);
bool api_is_idle(const struct api *a);
void api_close(struct api **pa);

#endif
