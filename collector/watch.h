/*
 * collector/watch.h - finds files by globs and hears when directories and files change (inotify).
 *
 * A hint only: whoever uses it looks at everything from time to time as well, because the kernel
 * drops events when there are too many and allows a limited number of watches.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_WATCH_H
#define LOGQ_COLLECTOR_WATCH_H

#include "base/str.h"
#include "collector/opener.h"
#include "wire/loop.h"

struct watch;

struct watch_handler {
    /* `path` matches the glob of `tag`.  Also when it has been told before.  `st` is what it led to
     * when its directory was listed; NULL where nobody has looked. */
    void (*found)(void *arg, void *tag, const char *path, const struct stat *st);
    /* A directory on the way of that glob was there, and was gone before it could be looked into.
     */
    void (*vanished)(void *arg, void *tag, const char *dir);
    /* It was looked into; whatever comes into it is found. */
    void (*looked)(void *arg, const char *dir);
    void (*file)(void *arg, int wd); /* the file of this watch was written to, or lost a name */
    void (*overflow)(void *arg);     /* events were lost: look at everything */
    /* After a batch of the above; `all`: nothing more was to be told. */
    void (*settled)(void *arg, bool all);
    void (*denied)(void *arg, const char *dir, int why); /* errno: a glob cannot go on there */
    /* The name `path`, which matches, was given to a file, by a rename or to a new one; it may be
     * another one's by now.  Right after `found`.  And: the file that had it has another name. */
    void (*came)(void *arg, const char *path, bool by_rename);
    void (*went)(void *arg, const char *path);
};

/* `o` is borrowed: the way to the directories. */
int watch_open(struct loop *l, struct opener *o, const struct watch_handler *h, void *arg,
               struct watch **ret, struct err *err);
void watch_close(struct watch **pw);

/*
 * A glob (copied) to look out for, and what belongs to it.  Every path that matches is found now,
 * at each _walk, and when it comes: then only the directory that it is in is looked at, because the
 * directories on the way are watched, also the nearest that exists when the rest does not.
 */
void watch_add(struct watch *w, struct str pattern, void *tag);
/* All globs again. */
void watch_walk(struct watch *w);
/* Look out for no glob any more. */
void watch_forget(struct watch *w);

/* Could all be watched that was asked for?  Then nothing is missed but what an overflow tells. */
bool watch_is_complete(const struct watch *w);

/* Watch an open file, whatever it is called now; -1: not possible. */
int watch_file(struct watch *w, int fd);
void watch_drop(struct watch *w, int wd);

/* Does `path` match the glob?  * and ? do not match a slash. */
bool watch_matches(struct str pattern, const char *path);

#endif
