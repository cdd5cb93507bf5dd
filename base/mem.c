/*
 * base/mem.c - see mem.h.
 *
 * A budget is charged leaf first, then its parents; when one of them refuses, what was charged
 * below it is given back, so a refusal leaves all counters as they were.
 */
#include "base/mem.h"

#include "base/obj.h"

#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OBJECT_SEGMENTS_MAX = 16 }; /* linkers make four or five */

_Noreturn static void out_of_memory(size_t bytes)
{
    (void)fprintf(stderr, "out of memory: %zu bytes\n", bytes);
    abort();
}

void *mem_new(size_t bytes)
{
    void *p = calloc(1, bytes == 0 ? 1 : bytes);

    if (p == NULL)
        out_of_memory(bytes);
    return p;
}

void *mem_grow(void *p, size_t bytes)
{
    void *q = realloc(p, bytes == 0 ? 1 : bytes);

    if (q == NULL)
        out_of_memory(bytes);
    return q;
}

char *mem_dup(const char *p, size_t n)
{
    char *q;

    INVARIANT(n < SIZE_MAX);
    q = malloc(n + 1);
    if (q == NULL)
        out_of_memory(n + 1);
    if (n > 0)
        memcpy(q, p, n);
    q[n] = '\0';
    return q;
}

static bool charge(struct mem_budget *b, size_t bytes)
{
    size_t limit = b->limit == 0 ? SIZE_MAX : b->limit;
    size_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    size_t peak;

    do {
        if (bytes > limit || used > limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    used += bytes;
    peak = atomic_load_explicit(&b->peak, memory_order_relaxed);
    while (used > peak && !atomic_compare_exchange_weak_explicit(
                              &b->peak, &peak, used, memory_order_relaxed, memory_order_relaxed))
        ;
    return true;
}

static void uncharge(struct mem_budget *b, size_t bytes)
{
    size_t was = atomic_fetch_sub_explicit(&b->used, bytes, memory_order_relaxed);

    INVARIANT(was >= bytes);
}

void mem_keep(size_t bytes)
{
    int n = bytes > INT_MAX ? INT_MAX : (int)bytes;

    (void)mallopt(M_MMAP_THRESHOLD, n); /* 0: not this allocator's */
    (void)mallopt(M_TRIM_THRESHOLD, n);
}

void mem_trim(void)
{
    (void)malloc_trim(0); /* 0: there was nothing to give */
}

/* Pages of a private mapping that were written are lost by this: relocated ones, where the linker
 * could not keep them among those that may be written. */
static bool has_relocated_code(const struct dl_phdr_info *o)
{
    for (size_t i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Dyn) *d = (const ElfW(Dyn) *)(o->dlpi_addr + o->dlpi_phdr[i].p_vaddr);
        for (; o->dlpi_phdr[i].p_type == PT_DYNAMIC && d->d_tag != DT_NULL; d++)
            if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
                return true;
    }
    return false;
}

static int forget_object(struct dl_phdr_info *o, size_t bytes, void *arg)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct {
        uintptr_t from, to;
    } v[OBJECT_SEGMENTS_MAX];
    size_t n = 0;

    (void)bytes;
    (void)arg;
    if (has_relocated_code(o))
        return 0;
    for (size_t i = 0; i < o->dlpi_phnum && n < OBJECT_SEGMENTS_MAX; i++) {
        const ElfW(Phdr) *h = &o->dlpi_phdr[i];
        uintptr_t from = o->dlpi_addr + h->p_vaddr;
        if (h->p_type != PT_LOAD || (h->p_flags & PF_W) != 0)
            continue;
        v[n].from = from & ~(page - 1);
        v[n++].to = from + h->p_filesz;
    }
    for (; n > 0; n--) /* behind the headers, which lie in one of them; refused for the kernel's */
        (void)madvise((void *)v[n - 1].from, v[n - 1].to - v[n - 1].from, MADV_DONTNEED);
    return 0;
}

void mem_forget_code(void)
{
    (void)dl_iterate_phdr(forget_object, NULL);
}

int mem_budget_take(struct mem_budget *b, size_t bytes, struct err *err)
{
    for (struct mem_budget *at = b; at != NULL; at = at->parent) {
        if (charge(at, bytes))
            continue;
        atomic_fetch_add_explicit(&at->refused, 1, memory_order_relaxed);
        for (struct mem_budget *below = b; below != at; below = below->parent)
            uncharge(below, bytes);
        return err_set(err, ERR_NOMEM, "memory budget '%s' of %zu bytes is used up",
                       at->name == NULL ? "?" : at->name, at->limit);
    }
    return 0;
}

void mem_budget_give(struct mem_budget *b, size_t bytes)
{
    for (; b != NULL; b = b->parent)
        uncharge(b, bytes);
}
