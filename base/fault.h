/*
 * base/fault.h - named places where a test makes things go wrong.  Nothing in release builds.
 *
 * In code:      if (fault_hit("file.fsync")) { errno = ENOSPC; return err_sys(...); }
 * In a test:    FAULT_EACH("file") { ... }   runs the body again and again, failing the 1st, 2nd,
 * 3rd ... point whose name starts with "file", until none is left.  One thread. From outside:
 * LOGQ_FAULT="wal.synced:kill:3" in the environment sends SIGKILL to the process at the third hit
 *               of that point; "NAME:fail:K" makes the K-th hit fail, "NAME:stop:K" blocks that
 * thread for ever. Several, separated by commas.  With LOGQ_FAULT_FILE=PATH the text is read from
 * that file at each hit of a point named in it, so that a test can arm a running program; a fired
 * one is not fired again while the file's text stays the same.
 */
#ifndef LOGQ_BASE_FAULT_H
#define LOGQ_BASE_FAULT_H

#include <stdbool.h>

#ifdef LOGQ_FAULTS
bool fault_hit(const char *name); /* true: fail here.  Any thread. */
#else
static inline bool fault_hit(const char *name)
{
    (void)name;
    return false;
}
#endif

void fault_start(const char *prefix);
bool fault_next(void);
#define FAULT_EACH(prefix) for (fault_start(prefix); fault_next();)

#endif
