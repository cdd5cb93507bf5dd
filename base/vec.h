/*
 * base/vec.h - a typed growing array, for counts that the program itself bounds.
 *
 *     VEC(struct label) v = {0};
 *     VEC_PUSH(&v, item);
 *     VEC_FINI(&v);
 *
 * Growth aborts when memory is out (mem_grow): check a count that came from outside against a limit
 * before pushing.  One thread.
 */
#ifndef LOGQ_BASE_VEC_H
#define LOGQ_BASE_VEC_H

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *p;                                                                                   \
        size_t n, cap;                                                                             \
    }

#define VEC_RESERVE(v, want)                                                                       \
    do {                                                                                           \
        size_t vec_want_ = (want);                                                                 \
        if (vec_want_ > (v)->cap) {                                                                \
            size_t vec_cap_ = (v)->cap == 0 ? 8 : (v)->cap;                                        \
            while (vec_cap_ < vec_want_)                                                           \
                vec_cap_ *= 2;                                                                     \
            (v)->p = mem_grow((v)->p, vec_cap_ * sizeof(*(v)->p));                                 \
            (v)->cap = vec_cap_;                                                                   \
        }                                                                                          \
    } while (0)

#define VEC_PUSH(v, item)                                                                          \
    do {                                                                                           \
        VEC_RESERVE(v, (v)->n + 1);                                                                \
        (v)->p[(v)->n++] = (item);                                                                 \
    } while (0)

/* Remove element `i`, keeping the order. */
#define VEC_REMOVE(v, i)                                                                           \
    do {                                                                                           \
        size_t vec_i_ = (i);                                                                       \
        memmove(&(v)->p[vec_i_], &(v)->p[vec_i_ + 1], ((v)->n - vec_i_ - 1) * sizeof(*(v)->p));    \
        (v)->n--;                                                                                  \
    } while (0)

#define VEC_EACH(v, it) for ((it) = (v)->p; (it) != NULL && (it) < (v)->p + (v)->n; (it)++)

#define VEC_FINI(v)                                                                                \
    do {                                                                                           \
        free((v)->p);                                                                              \
        (v)->p = NULL;                                                                             \
        (v)->n = (v)->cap = 0;                                                                     \
    } while (0)

#endif
