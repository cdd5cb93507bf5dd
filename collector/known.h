/*
 * collector/known.h - what was known of containers, so that it is known when they are gone.
 *
 * A container's files go with it, and its log may still be read: from a descriptor, from a copy in
 * keep/, from what rotation left; by this process or by the next one.  So what was found out is
 * written down at once, in "containers" of the state directory (docs/formats/containers.md), and
 * kept until others need the room.  The file is appended to and now and then made anew; it is a
 * memory and no more: one that is lost, damaged or cannot be written costs names and hints of
 * containers that are gone, and is no error.  Bounded in entries and bytes, here and on the disk.
 * Loop thread.
 */
#ifndef LOGQ_COLLECTOR_KNOWN_H
#define LOGQ_COLLECTOR_KNOWN_H

#include "collector/meta.h"

#define KNOWN_FILE "containers"

enum {
    KNOWN_MAX = 4096,           /* containers */
    KNOWN_BYTES_MAX = 2 << 20,  /* of all together */
    KNOWN_ENTRY_MAX = 16 << 10, /* of one: what is longer is not remembered */
};

struct known;

/* Read what was written down.  Borrows `state_fd`. */
struct known *known_open(int state_fd);
void known_close(struct known **pk);

/* What `key` was told to be last, in `a`; has_hints is set.  false: nothing is known, or `a` is
 * full. */
bool known_get(struct known *k, struct str key, struct arena *a, struct meta *ret);
/* From now on that; written down if it is new. */
void known_put(struct known *k, struct str key, const struct meta *m);

size_t known_count(const struct known *k);

#endif
