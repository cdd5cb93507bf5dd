/*
 * query/cli/pager.h - a program that shows what does not fit on the screen.
 */
#ifndef LOGQ_QUERY_CLI_PAGER_H
#define LOGQ_QUERY_CLI_PAGER_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* LOGQ_PAGER, else PAGER, else less where there is one; NULL: none is wanted.  Borrowed from the
 * environment. */
const char *pager_choose(void);

/* Run `command` by the shell with a pipe to it; its output is ours.  The keyboard's interrupt is
 * the pager's from here on.  ERR_IO. */
int pager_start(const char *command, pid_t *pid, int *fd, struct err *err);
/* Close the pipe and wait until the reader has seen enough.  false: the shell could not run it, and
 * nobody has seen anything; it has said so. */
bool pager_end(pid_t pid, int fd);

#endif
