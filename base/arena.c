/*
 * base/arena.c - see arena.h.
 *
 * Chunks form a list, oldest first.  A new chunk is as large as all before it together (4 KiB .. 1
 * MiB), so that a small arena costs little and a large one wastes at most half.  A piece that would
 * leave most of a chunk unused gets one of its own, and the current chunk stays current.
 *
 * Large chunks that no arena needs any more go to a stash of the process, of at most
 * ARENA_STASH_MAX bytes: the kernel takes as long to map and zero a megabyte as a query has to look
 * at a block.  What is in the stash is charged to nobody.
 *
 * Invariants
 *   (1) used <= max, and the budget is charged with exactly `held`, spare chunks included;
 *   (2) `cur` is in the list; chunks behind it that are not `cur` are full or of one piece.
 *
 * Under AddressSanitizer bytes that are not handed out are poisoned, with a gap behind each piece,
 * so that a use after arena_reset or past the end of a piece is found.
 */
#include "base/arena.h"

#include "base/obj.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __has_feature
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

enum { ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };
enum { STASH_LEAST = 128 << 10, STASH_MOST = 4 << 20 }; /* of one chunk */

struct chunk {
    struct chunk *next;
    size_t cap, used;
    _Alignas(ALIGN) char bytes[];
};

struct arena {
    unsigned magic;
#define ARENA_MAGIC 0xa7e4a001u
    struct mem_budget *budget; /* may be NULL; borrowed */
    size_t max;
    size_t used;               /* asked for by callers */
    size_t held;               /* charged: chunks with their headers */
    struct chunk *first, *cur; /* list; where small pieces come from */
    struct chunk *spare;       /* kept by arena_recycle, without a piece */
    struct err failed;         /* why the last refusal */
};

/* ---- the stash ---- */

static struct {
    pthread_mutex_t lock;
    struct chunk *first;
    size_t bytes; /* chunks with their headers */
} stash = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t chunk_total(const struct chunk *c)
{
    return c->cap + sizeof(*c);
}

/* false: it stays with the caller. */
static bool stash_put(struct chunk *c)
{
    size_t total = chunk_total(c);
    bool fits;

    if (total < STASH_LEAST || total > STASH_MOST)
        return false;
    (void)pthread_mutex_lock(&stash.lock);
    fits = total <= ARENA_STASH_MAX - stash.bytes;
    if (fits) {
        c->next = stash.first;
        stash.first = c;
        stash.bytes += total;
    }
    (void)pthread_mutex_unlock(&stash.lock);
    return fits;
}

/* The smallest chunk of `cap` bytes or up to half as many more, or NULL. */
static struct chunk *stash_take(size_t cap)
{
    struct chunk **best = NULL;
    struct chunk *c = NULL;

    if (cap < STASH_LEAST / 2 || cap > STASH_MOST)
        return NULL;
    (void)pthread_mutex_lock(&stash.lock);
    for (struct chunk **at = &stash.first; *at != NULL; at = &(*at)->next)
        if ((*at)->cap >= cap && (*at)->cap - cap <= cap / 2 &&
            (best == NULL || (*at)->cap < (*best)->cap))
            best = at;
    if (best != NULL) {
        c = *best;
        *best = c->next;
        stash.bytes -= chunk_total(c);
    }
    (void)pthread_mutex_unlock(&stash.lock);
    return c;
}

size_t arena_stash_bytes(void)
{
    size_t bytes;

    (void)pthread_mutex_lock(&stash.lock);
    bytes = stash.bytes;
    (void)pthread_mutex_unlock(&stash.lock);
    return bytes;
}

/* ---- chunks ---- */

struct arena *arena_new(struct mem_budget *budget, size_t max_bytes)
{
    struct arena *a = mem_new(sizeof(*a));

    a->magic = ARENA_MAGIC;
    a->budget = budget;
    a->max = max_bytes == 0 ? SIZE_MAX : max_bytes;
    return a;
}

static size_t chunk_size(const struct arena *a, size_t bytes)
{
    size_t cap = a->held;

    if (cap < CHUNK_MIN)
        cap = CHUNK_MIN;
    if (cap > CHUNK_MAX)
        cap = CHUNK_MAX;
    cap -= sizeof(struct chunk);
    if (cap > a->max) /* more is never asked for */
        cap = a->max;
    return cap < bytes ? bytes : cap;
}

static void chunk_free(struct arena *a, struct chunk *c)
{
    size_t total = chunk_total(c);

    ASAN_POISON_MEMORY_REGION(c->bytes, c->cap);
    if (!stash_put(c)) {
        ASAN_UNPOISON_MEMORY_REGION(c->bytes, c->cap);
        free(c);
    }
    a->held -= total;
    if (a->budget != NULL)
        mem_budget_give(a->budget, total);
}

static void free_list(struct arena *a, struct chunk *c)
{
    while (c != NULL) {
        struct chunk *next = c->next;
        chunk_free(a, c);
        c = next;
    }
}

/* The smallest spare chunk with room for `bytes`, or NULL. */
static struct chunk *take_spare(struct arena *a, size_t bytes)
{
    struct chunk **best = NULL;
    struct chunk *c;

    for (struct chunk **at = &a->spare; *at != NULL; at = &(*at)->next)
        if ((*at)->cap >= bytes && (best == NULL || (*at)->cap < (*best)->cap))
            best = at;
    if (best == NULL)
        return NULL;
    c = *best;
    *best = c->next;
    return c;
}

/* Charge for `total` bytes; spare chunks go before that fails. */
static int charge(struct arena *a, size_t total)
{
    int r;

    if (a->budget == NULL)
        return 0;
    r = mem_budget_take(a->budget, total, &a->failed);
    if (r < 0 && a->spare != NULL) {
        free_list(a, a->spare);
        a->spare = NULL;
        r = mem_budget_take(a->budget, total, &a->failed);
    }
    return r;
}

/* A chunk out of the stash, charged; NULL: there is none, or no budget for it. */
static struct chunk *take_stashed(struct arena *a, size_t cap)
{
    struct chunk *c = stash_take(cap);

    if (c == NULL)
        return NULL;
    if (a->budget != NULL && mem_budget_take(a->budget, chunk_total(c), &a->failed) < 0) {
        if (!stash_put(c)) {
            ASAN_UNPOISON_MEMORY_REGION(c->bytes, c->cap);
            free(c);
        }
        return NULL;
    }
    a->held += chunk_total(c);
    return c;
}

static struct chunk *chunk_new(struct arena *a, size_t bytes)
{
    size_t cap = chunk_size(a, bytes);
    size_t total = cap + sizeof(struct chunk);
    struct chunk *c;

    if (total < cap) {
        (void)err_set(&a->failed, ERR_NOMEM, "a piece of %zu bytes", bytes);
        return NULL;
    }
    c = take_stashed(a, cap);
    if (c != NULL)
        return c;
    if (charge(a, total) < 0) {
        /* Near the end of the budget, ask for no more than is needed. */
        cap = bytes;
        total = cap + sizeof(struct chunk);
        if (charge(a, total) < 0)
            return NULL;
    }
    c = malloc(total);
    if (c == NULL) {
        if (a->budget != NULL)
            mem_budget_give(a->budget, total);
        (void)err_set(&a->failed, ERR_NOMEM, "out of memory for %zu bytes", total);
        return NULL;
    }
    c->cap = cap;
    ASAN_POISON_MEMORY_REGION(c->bytes, cap);
    a->held += total;
    return c;
}

/* A chunk with room for `bytes`, linked in behind cur; NULL with a->failed set. */
static struct chunk *chunk_add(struct arena *a, size_t bytes)
{
    struct chunk *c = take_spare(a, bytes);

    if (c == NULL)
        c = chunk_new(a, bytes);
    if (c == NULL)
        return NULL;
    c->used = 0;
    if (a->cur == NULL) {
        c->next = NULL;
        a->first = a->cur = c;
    } else {
        c->next = a->cur->next;
        a->cur->next = c;
        if (c->cap - bytes >= a->cur->cap - a->cur->used)
            a->cur = c; /* keeps (2): the fuller of both is left behind */
    }
    return c;
}

static size_t padding(const struct chunk *c, size_t align)
{
    return (align - (c->used & (align - 1))) & (align - 1);
}

static char *take(struct arena *a, size_t bytes, size_t align)
{
    struct chunk *c = a->cur;
    size_t pad = 0;
    char *p;

    OBJ_CHECK(a, ARENA_MAGIC);
    if (bytes > a->max - a->used || bytes > SIZE_MAX / 2) {
        (void)err_set(&a->failed, ERR_LIMIT, "over the limit of %zu bytes", a->max);
        return NULL;
    }
    if (c != NULL)
        pad = padding(c, align);
    if (c == NULL || pad > c->cap - c->used || bytes + GAP > c->cap - c->used - pad) {
        c = chunk_add(a, bytes + GAP);
        if (c == NULL)
            return NULL;
        pad = 0;
    }
    p = c->bytes + c->used + pad;
    c->used += pad + bytes + GAP;
    a->used += bytes; /* keeps (1) */
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return p;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    char *p = take(a, bytes, ALIGN);

    if (p != NULL)
        memset(p, 0, bytes);
    return p;
}

void *arena_room(struct arena *a, size_t n, size_t size)
{
    if (size > 0 && n > SIZE_MAX / size) {
        (void)err_set(&a->failed, ERR_LIMIT, "%zu pieces of %zu bytes", n, size);
        return NULL;
    }
    return take(a, n * size, ALIGN);
}

char *arena_bytes(struct arena *a, size_t bytes)
{
    return take(a, bytes, 1);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = s.n == SIZE_MAX ? NULL : take(a, s.n + 1, 1);

    if (p == NULL)
        return STR_NULL;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_list again;
    char *p = NULL;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    if (n >= 0)
        p = take(a, (size_t)n + 1, 1);
    if (p != NULL)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return p == NULL ? STR_NULL : (struct str){p, (size_t)n};
}

int arena_err(const struct arena *a, struct err *err)
{
    OBJ_CHECK(a, ARENA_MAGIC);
    if (a->failed.code == 0)
        return err_set(err, ERR_LIMIT, "no room for the text");
    *err = a->failed;
    return err->code;
}

size_t arena_used(const struct arena *a)
{
    OBJ_CHECK(a, ARENA_MAGIC);
    return a->used;
}

size_t arena_held(const struct arena *a)
{
    OBJ_CHECK(a, ARENA_MAGIC);
    return a->held;
}

void arena_reset(struct arena *a)
{
    struct chunk *keep = a->first;

    OBJ_CHECK(a, ARENA_MAGIC);
    a->used = 0;
    a->failed = (struct err){0};
    free_list(a, a->spare);
    a->spare = NULL;
    if (keep != NULL && keep->cap > CHUNK_MAX) { /* one huge piece: not worth keeping */
        free_list(a, keep);
        keep = NULL;
    } else if (keep != NULL) {
        free_list(a, keep->next);
        keep->next = NULL;
        keep->used = 0;
        ASAN_POISON_MEMORY_REGION(keep->bytes, keep->cap);
    }
    a->first = a->cur = keep;
}

void arena_recycle(struct arena *a, size_t bytes)
{
    struct chunk *from[2] = {a->first, a->spare};
    size_t kept = 0;

    OBJ_CHECK(a, ARENA_MAGIC);
    a->used = 0;
    a->failed = (struct err){0};
    a->first = a->cur = a->spare = NULL;
    for (size_t i = 0; i < 2; i++)
        for (struct chunk *c = from[i], *next; c != NULL; c = next) {
            next = c->next;
            if (c->cap > bytes - kept) {
                chunk_free(a, c);
                continue;
            }
            kept += c->cap;
            ASAN_POISON_MEMORY_REGION(c->bytes, c->cap);
            c->next = a->spare;
            a->spare = c;
        }
}

void arena_free(struct arena **pa)
{
    struct arena *a = *pa;

    if (a == NULL)
        return;
    OBJ_CHECK(a, ARENA_MAGIC);
    free_list(a, a->first);
    free_list(a, a->spare);
    a->magic = 0;
    free(a);
    *pa = NULL;
}
