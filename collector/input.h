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

struct input_ops {
    const char *name;
    /* Begin to look and listen. */
    int (*start)(void *self, struct err *err);
    /* No more deliver or appends after this; then free(self) whatever it owns by its own _free. */
    void (*stop)(void *self);
    /* Inputs with files; both NULL for the others. */
    /* Build planned chunk `plan` again in the empty `c`, the parts that can be built; the others
     * are reported as gaps. 1: a file's labels are not known yet, ask again. */
    int (*resume)(void *self, const struct checkpoint_chunk *plan, struct chunk *c);
    /* Put about one quantum of one file into `c`.  1: there is nothing to read now. */
    int (*deliver)(void *self, struct chunk *c);
};

struct input {
    const struct input_ops *ops;
    void *self;
};

#endif
