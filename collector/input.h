/*
 * collector/input.h - the seam between inputs and the pipeline.
 *
 * An input with files (input_file.h) delivers records into chunks and can build a planned chunk
 * again.  An input without (engine events, later audit and the like) appends lines to a spool
 * (spool.h), which is a file that the first kind reads: so there is one road to the server, with
 * one set of rules.  All calls on the loop thread.
 */
#ifndef LOGQ_COLLECTOR_INPUT_H
#define LOGQ_COLLECTOR_INPUT_H

#include "collector/chunk.h"

/* Where records go: what is being filled for the server of `f`.  `like`: of a record that is not
 * finished, its bytes' server, whose file this goes on with; 0: there is none.  NULL: there is no
 * room now; `again` is called when there is. */
struct input_sink {
    struct chunk *(*chunk)(void *arg, struct checkpoint_file *f, uint32_t like);
    void *arg;
};

struct input_ops {
    const char *name;
    /* Begin to look and listen. */
    int (*start)(void *self, struct err *err);
    /* No more deliver or appends after this; then free(self) whatever it owns by its own _free. */
    void (*stop)(void *self);
    /* Inputs with files; all NULL for the others. */
    /* Build planned chunk `plan` again in the empty `c`, the parts that can be built; the others
     * are reported as gaps.  1: a file's labels are not known yet, ask again.  2: some of its files
     * cannot be read now: ask again for the parts of those, when the ones in `c` were acknowledged
     * and resume with a NULL `c` is 0, not 2; until then these files are not read on. */
    int (*resume)(void *self, const struct checkpoint_chunk *plan, struct chunk *c);
    /* Put about one quantum of one file into the chunk that is its.  1: there is nothing to read
     * now, or no room for what there is. */
    int (*deliver)(void *self, const struct input_sink *sink);
    /* There may be room for files that had none. */
    void (*again)(void *self);
};

struct input {
    const struct input_ops *ops;
    void *self;
};

#endif
