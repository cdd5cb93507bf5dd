/* query/cli/pager.c - see pager.h. */
#include "query/cli/pager.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
static bool is_in_path(const char *name)
{
    struct str rest = str_of(getenv("PATH"));
    char path[4096];

    while (rest.n > 0) {
        struct str dir = str_cut(&rest, ':');

        if (dir.n > 0 &&
            snprintf(path, sizeof(path), "%.*s/%s", STR_ARG(dir), name) < (int)sizeof(path) &&
            access(path, X_OK) == 0)
            return true;
    }
    return false;
}

const char *pager_choose(void)
{
    const char *names[] = {getenv("LOGQ_PAGER"), getenv("PAGER")};

    for (size_t i = 0; i < 2; i++)
        if (names[i] != NULL)
            return names[i][0] == '\0' || strcmp(names[i], "cat") == 0 ? NULL : names[i];
    return is_in_path("less") ? "less" : NULL;
}

/* In the child; does not return. */
static void run(const char *command, int from)
{
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)setenv("LESS", "FRX", 0); /* leave colours and the screen as they are */
    if (dup2(from, STDIN_FILENO) >= 0)
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}
/* NOLINTEND(concurrency-mt-unsafe) */

int pager_start(const char *command, pid_t *pid, int *fd, struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_sys(err, "pipe");
    *pid = fork();
    if (*pid == 0)
        run(command, ends[0]);
    (void)close(ends[0]); /* the child's, or of no use */
    if (*pid < 0) {
        int r = err_sys(err, "fork");

        (void)close(ends[1]);
        return r;
    }
    (void)signal(SIGINT, SIG_IGN);
    *fd = ends[1];
    return 0;
}

bool pager_end(pid_t pid, int fd)
{
    enum { NOT_EXECUTABLE = 126, NOT_FOUND = 127 }; /* exit codes of sh */
    int status = 0;

    (void)close(fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return !WIFEXITED(status) ||
           (WEXITSTATUS(status) != NOT_EXECUTABLE && WEXITSTATUS(status) != NOT_FOUND);
}
