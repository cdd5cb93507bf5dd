/*
 * collector/opener_serve.h - the other side of opener_remote: names come in, descriptors go out.
 *
 * What it gives is policy.h's to say, by name before anything is touched and by where it was once
 * it is open.  Nothing is read from what it opens.
 */
#ifndef LOGQ_COLLECTOR_OPENER_SERVE_H
#define LOGQ_COLLECTOR_OPENER_SERVE_H

#include "collector/policy.h"

struct opener_serve;

/* `p` is borrowed; it may grow. */
struct opener_serve *opener_serve_new(const struct policy *p);
void opener_serve_free(struct opener_serve **ps);

/* Wait for a question on `channel` and answer it.  1: nobody asks any more.  ERR_IO. */
int opener_serve_one(struct opener_serve *s, int channel, struct err *err);

#endif
