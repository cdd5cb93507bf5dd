/* collector/priv_files.c - contract: priv_files.h. */
#include "collector/priv_files.h"

#include "base/log.h"
#include "collector/channel.h"
#include "collector/opener_serve.h"
#include "collector/sandbox.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child.  Nothing of what the parent holds open is its business, least of all the other ends
 * of channels: their end is how everybody hears of the end of others. */
static _Noreturn void be_files(const struct policy *policy, pid_t parent, int channel)
{
    struct opener_serve *serve = opener_serve_new(policy);
    struct err err;
    int r;

    (void)prctl(PR_SET_NAME,
                "logq-files"); /* signals to the group stay blocked, as in the parent */
    if (channel > STDERR_FILENO + 1)
        (void)close_range(STDERR_FILENO + 1, (unsigned)channel - 1, 0);
    (void)close_range((unsigned)channel + 1, UINT_MAX, 0);
    r = sandbox_die_with(parent, &err);
    while (r == 0)
        r = opener_serve_one(serve, channel, &err);
    if (r < 0)
        log_error("opener.failed", LOG_ERR(&err));
    opener_serve_free(&serve);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Returns the channel to it, or -errno. */
static int start(struct priv_files *f, const struct policy *policy)
{
    pid_t pid, self = getpid();
    struct err err;
    int pair[2];

    if (f->n == PRIV_FILES_MAX)
        return -EAGAIN;
    if (channel_pair(pair, &err) < 0)
        return -EMFILE;
    pid = fork();
    if (pid == 0)
        be_files(policy, self, pair[0]);
    (void)close(pair[0]);
    if (pid < 0) {
        (void)close(pair[1]);
        return -ENOMEM;
    }
    f->v[f->n++] = pid;
    return pair[1];
}

int priv_files_serve(struct priv_files *f, const struct policy *policy, int channel,
                     struct err *err)
{
    int32_t sys;
    char want;
    size_t n = 0;
    int fd, r = channel_receive(channel, &want, sizeof(want), &n, &fd, err);

    if (r != 0)
        return r;
    if (fd >= 0)
        (void)close(fd);
    fd = start(f, policy);
    sys = fd < 0 ? -fd : 0;
    r = channel_send(channel, &sys, sizeof(sys), fd, err);
    if (fd >= 0)
        (void)close(fd);
    return r == ERR_GONE ? 1 : r;
}

void priv_files_renew(const struct priv_files *f)
{
    if (f->n > 0)
        (void)kill(f->v[f->n - 1], SIGKILL);
}

void priv_files_end(const struct priv_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        (void)kill(f->v[i], SIGKILL);
}

bool priv_files_ended(struct priv_files *f, pid_t pid, int status, bool *failed)
{
    size_t i = 0;

    *failed = WIFEXITED(status) && WEXITSTATUS(status) != EXIT_SUCCESS;
    while (i < f->n && f->v[i] != pid)
        i++;
    if (i == f->n)
        return false;
    for (f->n--; i < f->n; i++)
        f->v[i] = f->v[i + 1];
    return true;
}
