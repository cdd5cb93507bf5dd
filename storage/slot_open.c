/*
 * storage/slot_open.c - a packed column made ready to read.  Contract: slot.h; format:
 * docs/formats/slot.md.
 *
 * The bytes may be hostile: every length is checked against what is there before it is used, every
 * id against its dictionary, and the stamp's numbers and lengths against the values, since readers
 * trust the stamp before they see a value.  Classes alone are believed: they can make an answer
 * wrong, nothing else.
 */
#include "storage/le.h"
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <string.h>

enum { CHUNK = 1024 }; /* numbers decoded at a time */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "slot: %s", what);
}

/* n items of `size` bytes, aligned, not zeroed. */
static void *room(struct arena *a, size_t n, size_t size)
{
    enum { ALIGN = 16 };
    char *p = n > (SIZE_MAX - ALIGN) / size ? NULL : arena_bytes(a, n * size + ALIGN);

    return p == NULL ? NULL : p + (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
}

static int open_int(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                    struct slot_view *v, struct err *err)
{
    uint64_t *number = room(a, n, sizeof(*number));
    struct slot_number c;
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;
    int r;

    if (number == NULL)
        return arena_err(a, err);
    r = slot_number_open(&in, n, a, &c, err);
    for (size_t at = 0; r == 0 && at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        r = slot_number_read(&c, m, number + at, err);
        for (size_t i = at; r == 0 && i < at + m; i++) {
            min = number[i] < min ? number[i] : min;
            max = number[i] > max ? number[i] : max;
        }
    }
    if (r < 0)
        return r;
    if (in.n != 0)
        return corrupt("bytes behind the numbers", err);
    if (min < s->min || max > s->max)
        return corrupt("a number outside of its stamp", err);
    v->kind = SLOT_VIEW_INT;
    v->number = number;
    v->width = s->width;
    return 0;
}

/* Lengths of n values, then their bytes, which are all of the rest. */
static int open_text(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                     struct slot_view *v, struct err *err)
{
    uint32_t *end = room(a, n, sizeof(*end));
    uint64_t length[CHUNK];
    struct slot_number c;
    uint64_t total = 0;
    int r;

    if (end == NULL)
        return arena_err(a, err);
    r = slot_number_open(&in, n, a, &c, err);
    if (r == 0 && in.n > SLOT_TEXT_MAX)
        r = corrupt("too much text", err);
    for (size_t at = 0; r == 0 && at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        uint64_t min = UINT64_MAX;
        uint64_t max = 0;
        r = slot_number_read(&c, m, length, err);
        for (size_t i = 0; r == 0 && i < m; i++) {
            min = length[i] < min ? length[i] : min;
            max = length[i] > max ? length[i] : max;
            total += length[i];
            end[at + i] = (uint32_t)total;
        }
        /* At most 1024 * 256 MiB were added: no wrap was possible. */
        if (r == 0 && (min < s->min_len || max > s->max_len || total > in.n))
            r = corrupt("a length outside of its stamp", err);
    }
    if (r == 0 && total != in.n)
        r = corrupt("bytes behind the text", err);
    if (r < 0)
        return r;
    v->kind = SLOT_VIEW_TEXT;
    v->text = in;
    v->end = end;
    return 0;
}

/* ids, checked against `count`. */
static int get_ids(struct str in, size_t n, size_t count, uint32_t *id, struct err *err)
{
    const uint8_t *p = (const uint8_t *)in.p;
    uint32_t greatest = 0;

    if (count <= 256)
        for (size_t i = 0; i < n; i++)
            id[i] = p[i];
    else
        for (size_t i = 0; i < n; i++)
            id[i] = le_get16(p + 2 * i);
    for (size_t i = 0; i < n; i++)
        greatest = id[i] > greatest ? id[i] : greatest;
    return greatest < count ? 0 : corrupt("id outside of the dictionary", err);
}

static int open_dict(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                     struct slot_view *v, struct err *err)
{
    struct slot_view entries = {0};
    struct str *entry;
    uint32_t *id;
    uint64_t count;
    size_t bytes;
    int r;

    if (!varint_get(&in, &count) || count == 0 || count > n || count > SLOT_DICT_MAX)
        return corrupt("size of the dictionary", err);
    if (n > in.n / (count <= 256 ? 1 : 2))
        return corrupt("ids are cut", err);
    bytes = n * (count <= 256 ? 1 : 2);
    id = room(a, n, sizeof(*id));
    entry = room(a, (size_t)count, sizeof(*entry));
    if (id == NULL || entry == NULL)
        return arena_err(a, err);
    r = get_ids(in, n, (size_t)count, id, err);
    if (r == 0)
        r = open_text(s, str_from(in, bytes), (size_t)count, a, &entries, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        entry[i] = slot_value(&entries, i, NULL);
    v->kind = SLOT_VIEW_DICT;
    v->id = id;
    v->entry = entry;
    v->n_entries = (size_t)count;
    return 0;
}

int slot_open(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
              struct slot_view *ret, struct err *err)
{
    struct slot_view v = {.n = n};
    int r = 0;

    if (n == 0)
        return corrupt("no values", err);
    if (bytes.n != s->bytes || (s->kind == SLOT_CONST && bytes.n > 0))
        return corrupt("not as many bytes as in its stamp", err);
    switch (s->kind) {
    case SLOT_CONST:
        v.kind = SLOT_VIEW_CONST;
        v.constant = s->constant;
        break;
    case SLOT_INT:
        r = open_int(s, bytes, n, a, &v, err);
        break;
    case SLOT_DICT:
        r = open_dict(s, bytes, n, a, &v, err);
        break;
    case SLOT_TEXT:
        r = open_text(s, bytes, n, a, &v, err);
        break;
    case SLOT_HEX:
    case SLOT_PATTERN:
    case SLOT_KINDS:
        r = corrupt("unknown kind", err);
        break;
    }
    if (r == 0)
        *ret = v;
    return r;
}
