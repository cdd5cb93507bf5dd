/*
 * collector/siblings.h - rotated files: x.log.1, 0.log.20261121-191438.gz beside x.log, 0.log.
 *
 * Only names are known here, and what the directory says of them; which journal entry is which file
 * is input_file_look.c's business.  Blocking calls on small directories.
 */
#ifndef LOGQ_COLLECTOR_SIBLINGS_H
#define LOGQ_COLLECTOR_SIBLINGS_H

#include "base/vec.h"
#include "collector/opener.h"

#include <stdbool.h>
#include <sys/stat.h>

struct checkpoint_file;

struct sibling {
    char *path;
    struct stat st;
    bool is_rotated; /* its name is one that rotation of the base makes, or the base's own */
    bool is_packed;
    struct checkpoint_file *entry; /* the caller's: the journal's entry for it */
    bool is_unread;                /* the caller's: whether it is, cannot be told now */
};
struct siblings {
    VEC(struct sibling) v;
};

/* Is `name` what rotation makes of `base`: a number, a date, .old or .bak behind it, and perhaps
 * .gz or .zst? The base itself is not. */
bool siblings_is_rotated(const char *name, const char *base);

/*
 * Every regular file in the directory of `path`, oldest first as far as they are rotated: by the
 * numbers or dates in their names, or, when these are of several kinds, by the time of their last
 * write.  The file at `path` itself is the last of them; others stand in front.  *ret is whole,
 * even if there are none, when the directory is gone.  As opener_list fails, or ERR_IO with the
 * errno for a rotated file that cannot be looked at now: then what there is of *ret is what could
 * be seen.
 */
int siblings_list(struct opener *o, const char *path, struct siblings *ret, struct err *err);
void siblings_fini(struct siblings *s);

#endif
