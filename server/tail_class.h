/*
 * server/tail_class.h - followers that ask the same, and what one batch gives all of them.
 *
 * Two hundred people look at the same page: the first of them is followed as if he were alone, and
 * the bytes that he gets are handed to the others.  Output is counted and never changes, any
 * thread; classes belong to the thread of the hub.
 */
#ifndef LOGQ_SERVER_TAIL_CLASS_H
#define LOGQ_SERVER_TAIL_CLASS_H

#include "base/mem.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes for clients. */
struct tail_output {
    _Atomic unsigned refs;
    struct mem_budget *budget; /* borrowed */
    size_t n;
    char bytes[];
};
/* A copy, with one reference; charged to `budget` (may be NULL) once, however many share it, until
 * the last has left it.  NULL: there is no memory for it. */
struct tail_output *tail_output_new(struct str bytes, struct mem_budget *budget);
struct tail_output *tail_output_ref(struct tail_output *o);
void tail_output_unref(struct tail_output **po); /* *po may be NULL */

struct tail_class {
    struct tail_class *next;
    char *key; /* owned */
    size_t key_bytes;
    unsigned users;
    uint64_t answered;          /* the number of the batch whose answer is known; 0: none */
    struct tail_output *output; /* what it is; NULL: nothing */
    size_t n_entries;           /* in there */
    uint64_t n_dropped;         /* which it says were left out */
    bool is_more;               /* than one output: it cannot be handed on */
};

/* The class of `key` in the list *first, made if there is none, with one more user. */
struct tail_class *tail_class_get(struct tail_class **first, struct str key);
/* One user less; *pc is NULL then. */
void tail_class_put(struct tail_class **first, struct tail_class **pc);
/* Its first user gets this now; and what it was is forgotten. */
void tail_class_add(struct tail_class *c, struct tail_output *o, size_t n_entries,
                    uint64_t n_dropped);
void tail_class_forget(struct tail_class *c);

#endif
