/*
 * collector/taken.c - contract: taken.h.
 *
 * A ring of hashes, oldest first, and an open table of their places in it.  The hashes are good
 * already: some of their bits are the place in the table.
 */
#include "collector/taken.h"

#include "base/buf.h"
#include "base/crc.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/le.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64, MOST = 1 << 20, HEAD_BYTES = 12, ID_BYTES = 16, CRC_BYTES = 4, VERSION = 1 };

static const char MAGIC[4] = {'L', 'Q', 'T', 'K'};

struct taken {
    unsigned magic;
#define TAKEN_MAGIC 0x7a4e4a11u
    struct hash128 *ring;
    size_t max, cap, n, first; /* cap is a power of two, or max */
    uint32_t *table;           /* place in the ring + 1; 0: empty */
    size_t slots;              /* a power of two, at least 2 * cap */
};

struct taken *taken_new(size_t max)
{
    struct taken *k = mem_new(sizeof(*k));

    INVARIANT(max > 0 && max <= MOST);
    k->magic = TAKEN_MAGIC;
    k->max = max;
    return k;
}

void taken_free(struct taken **pk)
{
    struct taken *k = *pk;

    if (k == NULL)
        return;
    OBJ_CHECK(k, TAKEN_MAGIC);
    free(k->ring);
    free(k->table);
    k->magic = 0;
    free(k);
    *pk = NULL;
}

size_t taken_count(const struct taken *k)
{
    OBJ_CHECK(k, TAKEN_MAGIC);
    return k->n;
}

static size_t home_of(const struct taken *k, const struct hash128 *id)
{
    return (size_t)id->lo & (k->slots - 1);
}

static bool same(const struct hash128 *a, const struct hash128 *b)
{
    return a->lo == b->lo && a->hi == b->hi;
}

/* Where `id` is in the table, or the empty slot where it would be. */
static size_t find(const struct taken *k, const struct hash128 *id)
{
    size_t at = home_of(k, id);

    while (k->table[at] != 0 && !same(&k->ring[k->table[at] - 1], id))
        at = (at + 1) & (k->slots - 1);
    return at;
}

bool taken_has(const struct taken *k, const struct hash128 *id)
{
    OBJ_CHECK(k, TAKEN_MAGIC);
    return k->n > 0 && k->table[find(k, id)] != 0;
}

/* Twice as many; the ring is straight again after it. */
static void grow(struct taken *k)
{
    size_t cap = k->cap == 0 ? FIRST_CAP : 2 * k->cap;
    struct hash128 *ring;

    if (cap > k->max)
        cap = k->max;
    ring = mem_new(cap * sizeof(*ring));
    for (size_t i = 0; i < k->n; i++)
        ring[i] = k->ring[(k->first + i) % k->cap];
    free(k->ring);
    k->ring = ring;
    k->cap = cap;
    k->first = 0;
    free(k->table);
    for (k->slots = FIRST_CAP; k->slots < 2 * cap; k->slots *= 2)
        ;
    k->table = mem_new(k->slots * sizeof(*k->table));
    for (size_t i = 0; i < k->n; i++)
        k->table[find(k, &k->ring[i])] = (uint32_t)i + 1;
}

/* Take the oldest out of the table: what stood behind it because of it moves up. */
static void forget_oldest(struct taken *k)
{
    size_t hole = find(k, &k->ring[k->first]), at = hole;

    for (;;) {
        size_t home;
        at = (at + 1) & (k->slots - 1);
        if (k->table[at] == 0)
            break;
        home = home_of(k, &k->ring[k->table[at] - 1]);
        if (((at - home) & (k->slots - 1)) >= ((at - hole) & (k->slots - 1))) {
            k->table[hole] = k->table[at];
            hole = at;
        }
    }
    k->table[hole] = 0;
    k->first = (k->first + 1) % k->cap;
    k->n--;
}

void taken_add(struct taken *k, const struct hash128 *id)
{
    size_t place;

    if (taken_has(k, id))
        return;
    if (k->n == k->cap && k->cap < k->max)
        grow(k);
    else if (k->n == k->cap)
        forget_oldest(k);
    place = (k->first + k->n) % k->cap;
    k->ring[place] = *id;
    k->n++;
    k->table[find(k, id)] = (uint32_t)place + 1;
}

/* ---- the file ---- */

int taken_save(const struct taken *k, int dir_fd, struct err *err)
{
    uint8_t head[HEAD_BYTES], id[ID_BYTES], crc[CRC_BYTES];
    struct buf out;
    int r;

    OBJ_CHECK(k, TAKEN_MAGIC);
    buf_init(&out, HEAD_BYTES + k->n * ID_BYTES + CRC_BYTES);
    memcpy(head, MAGIC, sizeof(MAGIC));
    le_put(head + 4, VERSION, 4);
    le_put(head + 8, k->n, 4);
    buf_add(&out, head, sizeof(head));
    for (size_t i = 0; i < k->n; i++) {
        const struct hash128 *h = &k->ring[(k->first + i) % k->cap];
        le_put(id, h->lo, 8);
        le_put(id + 8, h->hi, 8);
        buf_add(&out, id, sizeof(id));
    }
    le_put(crc, crc32c(0, out.p, out.n), 4);
    buf_add(&out, crc, sizeof(crc));
    r = buf_err(&out, TAKEN_FILE, err);
    if (r == 0)
        r = file_replace(dir_fd, TAKEN_FILE, 0600, buf_str(&out), err);
    buf_fini(&out);
    return r;
}

static bool is_whole(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;

    return s.n >= HEAD_BYTES + CRC_BYTES && memcmp(p, MAGIC, sizeof(MAGIC)) == 0 &&
           le_get(p + 4, 4) == VERSION && le_get(p + 8, 4) <= MOST &&
           s.n == HEAD_BYTES + (size_t)le_get(p + 8, 4) * ID_BYTES + CRC_BYTES &&
           le_get(p + s.n - CRC_BYTES, 4) == crc32c(0, p, s.n - CRC_BYTES);
}

int taken_load(struct taken *k, int dir_fd, struct err *err)
{
    struct buf text;
    int r;

    OBJ_CHECK(k, TAKEN_MAGIC);
    buf_init(&text, HEAD_BYTES + (size_t)MOST * ID_BYTES + CRC_BYTES);
    r = file_read(dir_fd, TAKEN_FILE, &text, err);
    if (r == 0 && !is_whole(buf_str(&text)))
        r = err_set(err, ERR_CORRUPT, "%s: damaged, or of another version", TAKEN_FILE);
    for (size_t at = HEAD_BYTES; r == 0 && at + CRC_BYTES < text.n; at += ID_BYTES) {
        const uint8_t *p = (const uint8_t *)text.p + at;
        struct hash128 id = {.lo = le_get(p, 8), .hi = le_get(p + 8, 8)};
        taken_add(k, &id);
    }
    buf_fini(&text);
    return r;
}
