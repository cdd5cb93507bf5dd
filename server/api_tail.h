/*
 * server/api_tail.h - the connections that follow a query.  Only for api.c.
 *
 * Main loop only.
 */
#ifndef LOGQ_SERVER_API_TAIL_H
#define LOGQ_SERVER_API_TAIL_H

#include "server/api.h"

struct api_tails;

struct api_tails *api_tails_new(struct api *a);
/* Say goodbye to all of them: the server stops. */
void api_tails_end(struct api_tails *t);
/* Credentials have changed: who may not follow any more is told and cut. */
void api_tails_recheck(struct api_tails *t);
/* When there are none left. */
void api_tails_free(struct api_tails **pt);

#endif
