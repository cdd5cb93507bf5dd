/*
 * base/intern.c - see intern.h.
 *
 * Slots hold a number and 32 bits of the hash, which say where it belongs and rule out nearly all
 * other strings, so that growing touches no string.  Strings lie in chunks that do not move.
 */
#include "base/intern.h"

#include "base/arena.h"
#include "base/hash.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FIRST_SLOTS = 64, CHUNK = 1024, AHEAD = 16 };

struct slot {
    uint32_t number; /* + 1; 0: free */
    uint32_t hash;
};

struct intern {
    unsigned magic;
#define INTERN_MAGIC 0x17e4a3c9u
    struct mem_budget *budget; /* borrowed; may be NULL */
    struct arena *arena;       /* owned: strings, and chunks of views of them */
    size_t max_bytes, bytes;   /* of strings; 0: no maximum */
    uint32_t max, n;
    struct slot *slots; /* owned; a power of two of them, at most 3/4 not free */
    size_t n_slots;
    struct str **chunk; /* owned; of CHUNK strings each */
    size_t n_chunks;
    uint64_t seed;
};

struct intern *intern_new(struct mem_budget *budget, uint32_t max, size_t max_bytes)
{
    struct intern *in = mem_new(sizeof(*in));

    in->magic = INTERN_MAGIC;
    in->budget = budget;
    in->arena = arena_new(budget, 0);
    in->max = max;
    in->max_bytes = max_bytes;
    in->n_chunks = (size_t)max / CHUNK + 1;
    in->chunk = mem_new(in->n_chunks * sizeof(struct str *));
    if (getrandom(&in->seed, sizeof(in->seed), GRND_NONBLOCK) != (ssize_t)sizeof(in->seed))
        in->seed = (uint64_t)(uintptr_t)in;
    return in;
}

void intern_free(struct intern **pi)
{
    struct intern *in = *pi;

    *pi = NULL;
    if (in == NULL)
        return;
    OBJ_CHECK(in, INTERN_MAGIC);
    mem_budget_give(in->budget, in->n_slots * sizeof(*in->slots));
    arena_free(&in->arena);
    free(in->slots);
    free((void *)in->chunk);
    in->magic = 0;
    free(in);
}

static void put(struct slot *slots, size_t n_slots, struct slot s)
{
    size_t i = s.hash & (n_slots - 1);

    while (slots[i].number != 0)
        i = (i + 1) & (n_slots - 1);
    slots[i] = s;
}

static int grow(struct intern *in, struct err *err)
{
    size_t n = in->n_slots == 0 ? FIRST_SLOTS : 2 * in->n_slots;
    struct slot *slots;
    int r = mem_budget_take(in->budget, n * sizeof(*slots), err);

    if (r < 0)
        return r;
    slots = calloc(n, sizeof(*slots));
    if (slots == NULL) {
        mem_budget_give(in->budget, n * sizeof(*slots));
        return err_set(err, ERR_NOMEM, "out of memory for %zu slots", n);
    }
    for (size_t i = 0; i < in->n_slots; i++)
        if (in->slots[i].number != 0)
            put(slots, n, in->slots[i]);
    mem_budget_give(in->budget, in->n_slots * sizeof(*slots));
    free(in->slots);
    in->slots = slots;
    in->n_slots = n;
    return 0;
}

/* A string that is not there yet. */
static int add(struct intern *in, struct str key, uint32_t hash, struct err *err)
{
    struct str **chunk = &in->chunk[in->n / CHUNK];
    char *p;
    int r = 0;

    if (in->n == in->max || (in->max_bytes != 0 && key.n > in->max_bytes - in->bytes))
        return 1;
    if ((size_t)in->n + 1 > in->n_slots / 4 * 3)
        r = grow(in, err);
    if (r < 0)
        return r;
    if (*chunk == NULL)
        *chunk = arena_room(in->arena, CHUNK, sizeof(struct str));
    p = arena_bytes(in->arena, key.n + 1);
    if (*chunk == NULL || p == NULL)
        return arena_err(in->arena, err);
    if (key.n > 0)
        memcpy(p, key.p, key.n);
    (*chunk)[in->n % CHUNK] = (struct str){p, key.n};
    in->bytes += key.n;
    in->n++;
    put(in->slots, in->n_slots, (struct slot){in->n, hash});
    return 0;
}

static uint32_t hash_of(const struct intern *in, struct str key)
{
    return (uint32_t)hash_bytes(key.p, key.n, in->seed);
}

static int find(struct intern *in, struct str key, uint32_t hash, uint32_t *ret, struct err *err)
{
    int r;

    for (size_t i = hash; in->n_slots > 0; i++) {
        const struct slot *s = &in->slots[i & (in->n_slots - 1)];
        if (s->number == 0)
            break;
        if (s->hash == hash && str_eq(intern_key(in, s->number - 1), key)) {
            *ret = s->number - 1;
            return 0;
        }
    }
    r = add(in, key, hash, err);
    if (r == 0)
        *ret = in->n - 1;
    return r;
}

int intern_find(struct intern *in, struct str key, uint32_t *ret, struct err *err)
{
    OBJ_CHECK(in, INTERN_MAGIC);
    return find(in, key, hash_of(in, key), ret, err);
}

/* The string that a key may be, or NULL; the next step fetches what this one has named. */
static const struct str *candidate(const struct intern *in, uint32_t hash)
{
    const struct slot *s = &in->slots[hash & (in->n_slots - 1)];

    return s->number == 0 || s->hash != hash
               ? NULL
               : &in->chunk[(s->number - 1) / CHUNK][(s->number - 1) % CHUNK];
}

/* Slots, then views, then strings. */
static void fetch(const struct intern *in, const uint32_t *hash, size_t n)
{
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(&in->slots[hash[i] & (in->n_slots - 1)]);
    for (size_t i = 0; i < n; i++)
        __builtin_prefetch(candidate(in, hash[i]));
    for (size_t i = 0; i < n; i++) {
        const struct str *s = candidate(in, hash[i]);
        if (s != NULL)
            __builtin_prefetch(s->p);
    }
}

int intern_find_all(struct intern *in, const struct str *key, size_t n, uint32_t *ret,
                    struct err *err)
{
    uint32_t hash[AHEAD];
    int r = 0;

    OBJ_CHECK(in, INTERN_MAGIC);
    for (size_t at = 0; r == 0 && at < n; at += AHEAD) {
        size_t m = n - at < AHEAD ? n - at : AHEAD;
        for (size_t i = 0; i < m; i++)
            hash[i] = hash_of(in, key[at + i]);
        if (in->n_slots > 0)
            fetch(in, hash, m);
        for (size_t i = 0; r == 0 && i < m; i++)
            r = find(in, key[at + i], hash[i], &ret[at + i], err);
    }
    return r;
}

uint32_t intern_count(const struct intern *in)
{
    return in->n;
}

struct str intern_key(const struct intern *in, uint32_t number)
{
    INVARIANT(number < in->n);
    return in->chunk[number / CHUNK][number % CHUNK];
}
