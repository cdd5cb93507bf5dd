/*
 * server/webhook.h - one attempt to POST a notification.
 *
 * Over libcurl: no redirects, no proxy, http and https only.  Headers webhook-id (stable over
 * retries) and webhook-timestamp are those of Standard Webhooks.  delivery.c turns the wheels.
 */
#ifndef LOGQ_SERVER_WEBHOOK_H
#define LOGQ_SERVER_WEBHOOK_H

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

#include <curl/curl.h>

struct webhook_target {
    const char *url;
    const char *bearer_token_file; /* NULL: none; read for each attempt */
    dur_ns timeout;                /* of an attempt; 0: 10 s */
};

struct webhook; /* an attempt; one thread */

enum webhook_outcome {
    WEBHOOK_DELIVERED, /* 2xx */
    WEBHOOK_RETRY,     /* no answer, 5xx, 408, 429 */
    WEBHOOK_REFUSED,   /* any other answer: the same again would be refused again */
};

struct webhook_result {
    enum webhook_outcome outcome;
    long status;        /* 0: no answer */
    dur_ns retry_after; /* what the receiver asked for; 0: nothing */
    char why[200];      /* if not delivered */
};

/* `id`, `body` and the target are borrowed until webhook_free.  `sent` is the time of the attempt.
 * ERR_IO: the token cannot be read; ERR_NOMEM. */
int webhook_new(const struct webhook_target *t, const char *id, ts_ns sent, struct str body,
                struct webhook **ret, struct err *err);
CURL *webhook_handle(struct webhook *w); /* to be performed; its private pointer is the caller's */
void webhook_result(struct webhook *w, CURLcode code, struct webhook_result *ret);
void webhook_free(struct webhook **pw); /* out of every multi handle */

/* scheme://host of a URL: the rest may hold secrets and is not for logs. */
struct str webhook_origin(struct str url);

#endif
