/* collector/journal_process.c - contract: journal_process.h. */
#include "collector/journal_process.h"

#include "base/file.h"
#include "base/log.h"
#include "collector/journal_reader.h"
#include "collector/modules.h"
#include "collector/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { THRESHOLD_SLACK = 64, SYSTEM_DIRS = 2 };

static const char *const SYSTEM[SYSTEM_DIRS] = {"/var/log/journal", "/run/log/journal"};

static int confine(const struct config *c, const struct config_source *s, struct err *err)
{
    const char *const own[] = {s->directory.p};
    bool is_own = s->directory.n > 0;
    int r = sandbox_drop(NULL, SANDBOX_CAP(CAP_DAC_READ_SEARCH), err);

    if (r == 0) {
        r = sandbox_reading(is_own ? own : SYSTEM, is_own ? 1 : SYSTEM_DIRS, err);
        if (r == ERR_UNSUPPORTED && !c->sandbox_required) {
            log_warn("sandbox.missing", LOG_Z("process", "journal"), LOG_ERR(err));
            r = sandbox_drop(NULL, 0, err); /* not the right to read everything */
        }
    }
    if (r == 0) {
        r = sandbox_syscalls(SANDBOX_JOURNAL, err);
        if (r == ERR_UNSUPPORTED && !c->sandbox_required) {
            log_warn("sandbox.missing", LOG_Z("process", "journal"), LOG_ERR(err));
            r = 0;
        }
    }
    return r;
}

/* libsystemd passes over what it may not read, and the journal would seem to be empty. */
static int check_file(void *arg, int dir_fd, const char *name, struct err *err)
{
    bool *told = arg;
    struct err why;
    int fd;

    (void)err;
    if (*told || !str_ends(str_of(name), STR(".journal")))
        return 0;
    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && (errno == EACCES || errno == EPERM)) {
        (void)err_sys(&why, "open %s", name);
        log_error("journal.unreadable", LOG_ERR(&why));
        *told = true;
    }
    if (fd >= 0)
        (void)close(fd);
    return 0;
}

static int check_dir(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct err why;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return check_file(arg, dir_fd, name, err);
    (void)file_walk(fd, check_file, arg, &why); /* only to be told */
    (void)close(fd);
    return 0;
}

static void check_readable(const char *dir)
{
    bool told = false;
    struct err err;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        if (errno != ENOENT) {
            (void)err_sys(&err, "open %s", dir);
            log_error("journal.unreadable", LOG_ERR(&err));
        }
        return;
    }
    (void)file_walk(fd, check_dir, &told, &err);
    (void)close(fd);
}

static int read_journal(const struct config *c, const struct config_source *s,
                        const struct journal_module *m, struct journal_pages *pages, int channel,
                        struct err *err)
{
    struct journal_reader_options opt = {.module = m,
                                         .channel = channel,
                                         .since = s->since,
                                         .matches = s->matches,
                                         .max_line = (size_t)c->max_line,
                                         .pages = pages};
    const char *dir = s->directory.n > 0 ? s->directory.p : NULL;
    int r;

    if (dir != NULL)
        check_readable(dir);
    for (size_t i = 0; dir == NULL && i < SYSTEM_DIRS; i++)
        check_readable(SYSTEM[i]);
    r = m->open(dir, opt.max_line + THRESHOLD_SLACK, &opt.journal, err);
    if (r < 0)
        return r;
    log_info("journal.following", LOG_Z("directory", dir == NULL ? "the system's" : dir));
    r = journal_reader_run(&opt, err);
    m->close(&opt.journal);
    return r;
}

int journal_process_run(const struct config *c, const struct config_source *s, pid_t parent,
                        int channel)
{
    const struct journal_module *m = NULL;
    struct journal_pages pages;
    const void *symbol;
    struct err err;
    sigset_t none;
    int r;

    (void)sigemptyset(&none);
    (void)signal(SIGTERM, SIG_IGN); /* its end is that nobody listens any more */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_NAME, "logq-journal");
    journal_pages_init(&pages); /* before the sandbox would refuse it */
    r = modules_load(JOURNAL_MODULE_FILE, JOURNAL_MODULE_SYMBOL, &symbol, &err);
    if (r == 0) {
        m = symbol;
        if (m->version != JOURNAL_MODULE_VERSION)
            r = err_set(&err, ERR_UNSUPPORTED, JOURNAL_MODULE_FILE " is of another version");
    }
    if (r == 0)
        r = sandbox_die_with(parent, &err);
    if (r == 0)
        r = confine(c, s, &err);
    if (r == 0)
        r = read_journal(c, s, m, &pages, channel, &err);
    journal_pages_fini(&pages);
    if (r < 0)
        log_error("journal.failed", LOG_ERR(&err));
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
