/*
 * collector/sandbox.h - giving up rights for good: user, capabilities, system calls, files.
 *
 * Each step works on the calling process and whatever it forks, and cannot be taken back.  What the
 * kernel does not offer is ERR_UNSUPPORTED: the caller decides whether that is enough.
 */
#ifndef LOGQ_COLLECTOR_SANDBOX_H
#define LOGQ_COLLECTOR_SANDBOX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sandbox_user {
    uid_t uid;
    gid_t gid;
};

enum { SANDBOX_NOBODY = 65534 };

/* The user `name`, or the one with that number, whose group is the same number unless he is known;
 * false: there is none, and *ret is the one who owns nothing. */
bool sandbox_find_user(const char *name, struct sandbox_user *ret);

/* The group `name`, or the one with that number; false: there is none. */
bool sandbox_find_group(const char *name, gid_t *ret);

/* May we become `u` and give files to him: are the capabilities there, does he exist in our user
 * namespace? */
bool sandbox_may_become(const struct sandbox_user *u);

/* Bits of capabilities that are kept, by CAP_* number. */
#define SANDBOX_CAP(number) (UINT64_C(1) << (number))

/* Become `u` (NULL: stay who we are) with no other groups, keep of the capabilities we have those
 * in `caps`, let no program that is started gain any, and be no business of debuggers.  ERR_DENIED:
 * we may not become `u`. */
int sandbox_drop(const struct sandbox_user *u, uint64_t caps, struct err *err);
/* Those that are in effect. */
uint64_t sandbox_caps(void);

/* Die at once when `parent` does.  After the last change of user.  ERR_GONE: it is dead already. */
int sandbox_die_with(pid_t parent, struct err *err);

enum sandbox_profile {
    SANDBOX_FILES,   /* who opens files and forks: everything but what attackers live on */
    SANDBOX_GATE,    /* sockets that are connected and passed on */
    SANDBOX_JOURNAL, /* files to be read, and a socket that is there already */
    SANDBOX_WORKER,  /* sockets of the network (never unix ones), files by descriptor and in its own
                        directory */
};

/* System calls: what is not on the profile's list fails with EPERM, what has no business here
 * (execve, ptrace, mount, modules, keys ...) is the end of the process. */
int sandbox_syscalls(enum sandbox_profile profile, struct err *err);

/* Files: all below state_fd, reading of what a resolver and TLS need, and nothing else. */
int sandbox_files(int state_fd, struct err *err);
/* Files: reading of what is below `paths` and of libraries.  A path that is not there now stays
 * closed. */
int sandbox_reading(const char *const *paths, size_t n, struct err *err);

#endif
