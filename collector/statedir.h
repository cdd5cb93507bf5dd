/* collector/statedir.h - the state directory, made and handed to the user who works in it. */
#ifndef LOGQ_COLLECTOR_STATEDIR_H
#define LOGQ_COLLECTOR_STATEDIR_H

#include "collector/sandbox.h"

/* Open `path`, made if need be.  With `owner` it and what is in it become his, when it is a state
 * directory: with a journal in it, or with nothing that is not ours.  ERR_INVALID: it holds other
 * things. */
int statedir_open(const char *path, const struct sandbox_user *owner, int *ret, struct err *err);

#endif
