/*
 * collector/priv_files.h - the processes that open files: forked from the parent, one at a time.
 *
 * A name may lie in a file system whose server is gone, and then the one that looks at it does not
 * come back.  So this is not the parent's own work, who has to hear signals, and it is not one
 * process for ever: whoever asked gives up on it and has another one made (opener_remote.h).
 * Rights, user and filter are the parent's.
 */
#ifndef LOGQ_COLLECTOR_PRIV_FILES_H
#define LOGQ_COLLECTOR_PRIV_FILES_H

#include "collector/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PRIV_FILES_MAX = 5 }; /* that there can be: one that answers, the others hang */

struct priv_files {
    pid_t v[PRIV_FILES_MAX]; /* the last one is asked now */
    size_t n;
};

/* Take a packet from `channel`, by which somebody wants one that goes by `policy`, and answer with
 * an int32_t, an errno or 0, and a channel to it.  1: nobody asks any more.  ERR_IO. */
int priv_files_serve(struct priv_files *f, const struct policy *policy, int channel,
                     struct err *err);
/* Another policy holds: the one that is asked now ends.  All do: nobody is there to ask them. */
void priv_files_renew(const struct priv_files *f);
void priv_files_end(const struct priv_files *f);
/* Child `pid` has ended.  false: it is none of these.  *failed: what it was asked was no question,
 * and whoever asks like that should not go on. */
bool priv_files_ended(struct priv_files *f, pid_t pid, int status, bool *failed);

#endif
