/*
 * collector/opener.h - the only way to files, directories and sockets that belong to others.
 *
 * What parses hostile bytes has no rights of its own: it asks, and a process with more rights
 * answers with descriptors (opener_remote.h asks, opener_serve.h answers).  A NULL opener is this
 * process itself: tests, and whoever has the rights already.  Calls block; loop thread only.
 *
 * Errors: err->sys is the errno in every case.  ERR_GONE: there is no such name (ENOENT, ENOTDIR).
 * ERR_DENIED: no right to it, or it lies where the configuration does not send us.  ERR_IO: the
 * rest.
 */
#ifndef LOGQ_COLLECTOR_OPENER_H
#define LOGQ_COLLECTOR_OPENER_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/stat.h>

enum opener_kind {
    OPENER_LOG,  /* a log, or what rotation made of it */
    OPENER_META, /* a file in which a runtime keeps what it knows of a container */
    OPENER_CONF, /* named by the configuration itself: certificates, a token */
};

/* What a listing tells of what each name leads to. */
enum opener_stats {
    OPENER_NO_STATS,
    OPENER_STATS,     /* names that lead nowhere are left out */
    OPENER_STATS_ALL, /* with st_mode 0 for those */
};

struct opener;
typedef void opener_entry_fn(void *arg, const char *name, const struct stat *st);

struct opener_ops {
    int (*open)(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                struct err *err);
    int (*stat)(struct opener *o, const char *path, struct stat *ret, struct err *err);
    int (*list)(struct opener *o, const char *dir, enum opener_stats stats, opener_entry_fn *fn,
                void *arg, struct err *err);
    int (*inotify)(struct opener *o, int *ret, struct err *err);
    int (*watch_dir)(struct opener *o, int inotify, const char *dir, int *ret, struct err *err);
    int (*watch_file)(struct opener *o, int inotify, int fd, int *ret, struct err *err);
    int (*connect)(struct opener *o, const char *socket, int *ret, struct err *err);
    void (*free)(struct opener *o);
};

struct opener { /* the beginning of every implementation */
    const struct opener_ops *ops;
};

void opener_free(struct opener **po);

/* Open for reading, without blocking, close-on-exec.  The caller owns *ret. */
int opener_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                struct err *err);
/* What `path` leads to. */
int opener_stat(struct opener *o, const char *path, struct stat *ret, struct err *err);
/* Call fn for each name in `dir` but . and .., after all were read: fn may use the opener.  `st` is
 * what the name leads to (its st_mode is 0 where that cannot be told now), NULL without stats.
 * ERR_LIMIT: more than 64 MiB of names. */
int opener_list(struct opener *o, const char *dir, enum opener_stats stats, opener_entry_fn *fn,
                void *arg, struct err *err);
/* The whole of a file appended to `b`; ERR_LIMIT when over b->max. */
int opener_read(struct opener *o, enum opener_kind kind, const char *path, struct buf *b,
                struct err *err);

/* An inotify descriptor, the caller's to read and close.  There is one at a time. */
int opener_inotify(struct opener *o, int *ret, struct err *err);
/* Add to it: names that come in a directory; writes to an open file, whatever its name, and that a
 * name of it went.  *ret is the watch. */
int opener_watch_dir(struct opener *o, int inotify, const char *dir, int *ret, struct err *err);
int opener_watch_file(struct opener *o, int inotify, int fd, int *ret, struct err *err);

/* A stream socket connected to the unix socket `path`, which does not block. */
int opener_connect(struct opener *o, const char *path, int *ret, struct err *err);

/* May what failed with errno `sys` succeed later, while everything is where it is?  Not what does
 * not exist (ERR_GONE), what we are not to open, and names that are none. */
bool opener_may_pass(int sys);

/* For implementations: errno `sys` as this header's errors. */
int opener_err(struct err *err, int sys, const char *what, const char *path);
/* And what this process itself does. */
extern const struct opener_ops opener_local;

#endif
