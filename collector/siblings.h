/*
 * collector/siblings.h - rotated files: x.log.1, 0.log.20261121-191438 beside x.log, 0.log.
 *
 * Compressed (.gz, .zst) and half-made (.tmp) ones are passed over.  Blocking calls on small
 * directories.
 */
#ifndef LOGQ_COLLECTOR_SIBLINGS_H
#define LOGQ_COLLECTOR_SIBLINGS_H

#include "collector/checkpoint.h"
#include "collector/opener.h"

#include <sys/stat.h>

/* Where file `f` is now: any name in the directory of its path.  1: nowhere. */
int siblings_locate(struct opener *o, const struct checkpoint_file *f, char *path, size_t cap,
                    struct stat *st);
/* Is all of `f` (found as *st) planned and acknowledged? */
bool siblings_is_done(const struct checkpoint_file *f, const struct stat *st);

struct siblings_self {
    const char *path;
    uint64_t dev, ino;
};

/*
 * File `self` has just taken the name self->path.  Call fn, oldest first, for the siblings that
 * have to be read before it: those in the journal that are not read to their end, and those that
 * are younger than a file in the journal. With none in the journal they are older than we are:
 * nothing.  Entries of siblings that are no more become dead.
 */
typedef void siblings_fn(void *arg, const char *path, const struct stat *st);
void siblings_find(struct opener *o, struct checkpoint *c, const struct siblings_self *self,
                   siblings_fn *fn, void *arg);

#endif
