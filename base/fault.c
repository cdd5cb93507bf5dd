/*
 * base/fault.c - see fault.h.
 *
 * Nearly every run has no fault armed: fault_hit then costs one relaxed load.  All else is under
 * one mutex. The environment is read once, at the first hit of any point; a LOGQ_FAULT_FILE is read
 * anew at every hit.
 */
#include "base/fault.h"

#ifndef LOGQ_FAULTS

static bool ran;

void fault_start(const char *prefix)
{
    (void)prefix;
    ran = false;
}

bool fault_next(void)
{
    bool first = !ran;

    ran = true;
    return first;
}

#else

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 1024, NAME_MAX_BYTES = 64, ARMED_MAX = 16 };
enum action { ACTION_NONE, ACTION_FAIL, ACTION_KILL, ACTION_STOP };

struct armed {
    char name[NAME_MAX_BYTES];
    enum action action;
    unsigned long at, seen; /* fires at the at-th hit */
};

/* What one text "NAME:ACTION:K,..." armed. */
struct plan {
    char text[TEXT_MAX];
    struct armed v[ARMED_MAX];
    size_t n;
};

/* The lock guards everything but `awake`, which is false only while nothing can possibly fire. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool awake = true;
static bool env_read;
static const char *file_path; /* LOGQ_FAULT_FILE or NULL */
static struct plan from_env, from_file;
static const char *each_prefix; /* NULL: no FAULT_EACH is running */
static unsigned each_target, each_seen;
static bool each_fired;

static enum action action_of(const char *word)
{
    if (strcmp(word, "fail") == 0)
        return ACTION_FAIL;
    if (strcmp(word, "kill") == 0)
        return ACTION_KILL;
    if (strcmp(word, "stop") == 0)
        return ACTION_STOP;
    return ACTION_NONE;
}

static void complain(const char *item)
{
    (void)fprintf(stderr, "fault: cannot read '%s' (NAME:fail|kill|stop:K)\n", item);
}

/* One NAME:ACTION[:K]; K is 1 if it is not given. */
static void arm(struct plan *plan, char *item)
{
    char whole[TEXT_MAX];
    char *rest = item;
    const char *name = strsep(&rest, ":");
    const char *action = strsep(&rest, ":");
    struct armed *a = &plan->v[plan->n];

    (void)snprintf(whole, sizeof(whole), "%s", item);
    if (plan->n == ARMED_MAX || action == NULL || strlen(name) >= NAME_MAX_BYTES ||
        action_of(action) == ACTION_NONE) {
        complain(whole);
        return;
    }
    (void)snprintf(a->name, sizeof(a->name), "%s", name);
    a->action = action_of(action);
    a->at = rest == NULL ? 1 : strtoul(rest, NULL, 10);
    a->seen = 0;
    plan->n++;
}

/* Take `text` as the plan unless it is the one we have; its counts start anew. */
static void plan_set(struct plan *plan, const char *text)
{
    char copy[TEXT_MAX];
    char *rest = copy;
    char *item;

    if (strcmp(plan->text, text) == 0)
        return;
    (void)snprintf(plan->text, sizeof(plan->text), "%s", text);
    (void)snprintf(copy, sizeof(copy), "%s", plan->text);
    plan->n = 0;
    while ((item = strsep(&rest, ",\n")) != NULL)
        if (item[0] != '\0')
            arm(plan, item);
}

static void plan_load(struct plan *plan, const char *path)
{
    char text[TEXT_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;

    if (fd >= 0) {
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd);
    }
    text[n < 0 ? 0 : n] = '\0'; /* absent: nothing is armed */
    plan_set(plan, text);
}

static enum action plan_hit(struct plan *plan, const char *name)
{
    enum action action = ACTION_NONE;

    for (size_t i = 0; i < plan->n; i++) {
        struct armed *a = &plan->v[i];
        if (strcmp(a->name, name) == 0 && ++a->seen == a->at)
            action = a->action;
    }
    return action;
}

static bool each_hit(const char *name)
{
    if (each_prefix == NULL || each_fired || strncmp(name, each_prefix, strlen(each_prefix)) != 0)
        return false;
    each_fired = ++each_seen == each_target;
    return each_fired;
}

static void read_environment(void)
{
    const char *text = getenv("LOGQ_FAULT");

    env_read = true;
    file_path = getenv("LOGQ_FAULT_FILE");
    if (text != NULL)
        plan_set(&from_env, text);
}

static enum action decide(const char *name)
{
    enum action action;

    (void)pthread_mutex_lock(&lock);
    if (!env_read)
        read_environment();
    if (file_path != NULL)
        plan_load(&from_file, file_path);
    action = plan_hit(&from_env, name);
    if (action == ACTION_NONE)
        action = plan_hit(&from_file, name);
    if (each_hit(name))
        action = ACTION_FAIL;
    if (from_env.n == 0 && file_path == NULL && each_prefix == NULL)
        atomic_store_explicit(&awake, false, memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
    return action;
}

bool fault_hit(const char *name)
{
    enum action action;

    if (!atomic_load_explicit(&awake, memory_order_relaxed))
        return false;
    action = decide(name);
    if (action == ACTION_KILL)
        (void)kill(getpid(), SIGKILL);
    while (action == ACTION_KILL || action == ACTION_STOP)
        (void)pause(); /* a signal's handler returns to here */
    return action == ACTION_FAIL;
}

void fault_start(const char *prefix)
{
    (void)pthread_mutex_lock(&lock);
    each_prefix = prefix;
    each_target = 0;
    each_fired = true; /* so that fault_next begins */
    atomic_store_explicit(&awake, true, memory_order_relaxed);
    (void)pthread_mutex_unlock(&lock);
}

bool fault_next(void)
{
    bool more;

    (void)pthread_mutex_lock(&lock);
    more = each_fired;
    if (more) {
        each_target++;
        each_seen = 0;
        each_fired = false;
    } else {
        each_prefix = NULL;
    }
    (void)pthread_mutex_unlock(&lock);
    return more;
}

#endif
