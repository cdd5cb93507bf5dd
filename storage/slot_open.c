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

void *slot_room(struct arena *a, size_t n, size_t size)
{
    enum { ALIGN = 16 };
    char *p = n > (SIZE_MAX - ALIGN) / size ? NULL : arena_bytes(a, n * size + ALIGN);

    return p == NULL ? NULL : p + (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
}

static int open_int(const struct slot_stamp *s, struct str in, struct arena *a, struct slot_view *v,
                    struct err *err)
{
    const size_t n = v->n;
    uint64_t *number = slot_room(a, n, sizeof(*number));
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

int slot_numbers_each(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                      slot_numbers_fn *fn, void *arg, struct err *err)
{
    uint64_t number[CHUNK];
    struct slot_number c;
    int r;

    if (s->kind != SLOT_INT)
        return 1;
    if (bytes.n != s->bytes)
        return corrupt("not as many bytes as in its stamp", err);
    r = slot_number_open(&bytes, n, a, &c, err);
    for (size_t at = 0; r == 0 && at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        r = slot_number_read(&c, m, number, err);
        if (r == 0)
            fn(arg, number, m, at);
    }
    return r;
}

/* Lengths of n values, then their bytes, which are all of the rest. */
static int open_lengths(const struct slot_stamp *s, struct str in, struct arena *a,
                        struct slot_view *v, struct err *err)
{
    const size_t n = v->n;
    uint32_t *end = slot_room(a, n, sizeof(*end));
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

/* Each value ended by a newline; copied, so that none is left between them. */
static int open_lines(const struct slot_stamp *s, struct str in, struct arena *a,
                      struct slot_view *v, struct err *err)
{
    const size_t n = v->n;
    uint32_t *end;
    char *text;
    char *to;

    if (in.n < n || in.n - n > SLOT_TEXT_MAX)
        return corrupt("too little or too much text", err);
    end = slot_room(a, n, sizeof(*end));
    to = text = arena_bytes(a, in.n - n);
    if (end == NULL || text == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        const char *stop = in.n == 0 ? NULL : memchr(in.p, '\n', in.n);
        size_t bytes;
        if (stop == NULL)
            return corrupt("a line is cut", err);
        bytes = (size_t)(stop - in.p);
        /* Never more than there is room for: each line so far and to come has its newline. */
        if (bytes < s->min_len || bytes > s->max_len || bytes > in.n - (n - i))
            return corrupt("a length outside of its stamp", err);
        memcpy(to, in.p, bytes);
        to += bytes;
        end[i] = (uint32_t)(to - text);
        in = str_from(in, bytes + 1);
    }
    if (in.n != 0)
        return corrupt("bytes behind the lines", err);
    v->kind = SLOT_VIEW_TEXT;
    v->text = (struct str){text, (size_t)(to - text)};
    v->end = end;
    return 0;
}

/* Strings in any way, to the end of `in`, as TEXT. */
static int open_strings(const struct slot_stamp *s, struct str in, bool inner, struct arena *a,
                        struct slot_view *v, struct err *err)
{
    struct str rest = str_from(in, 1);

    if (in.n < 1)
        return corrupt("no strings", err);
    switch ((uint8_t)in.p[0]) {
    case SLOT_WAY_LINES:
        return open_lines(s, rest, a, v, err);
    case SLOT_WAY_HEX:
        if (s->min_len != s->max_len)
            return corrupt("hex digits of more than one length", err);
        return slot_hex_open(rest, v->n, s->min_len, a, v, err);
    case SLOT_WAY_JOINED:
        if (s->min_len != s->max_len)
            return corrupt("times of more than one length", err);
        return slot_joined_open(rest, v->n, s->min_len, a, v, err);
    case SLOT_WAY_PATTERN:
        if (inner)
            return corrupt("a pattern in a pattern", err);
        return slot_pattern_open(s, rest, v->n, a, v, err);
    case SLOT_WAY_FORMS:
        if (inner)
            return corrupt("forms in a pattern", err);
        return slot_forms_text(s, rest, v->n, a, v, err);
    default:
        return open_lengths(s, in, a, v, err);
    }
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

/* What stands in front of a dictionary's strings. */
static int take_dict_head(struct str *in, size_t n, size_t *ret_count, struct str *ids,
                          struct err *err)
{
    uint64_t count;
    size_t bytes;

    if (!varint_get(in, &count) || count == 0 || count > n || count > SLOT_DICT_MAX)
        return corrupt("size of the dictionary", err);
    if (n > in->n / (count <= 256 ? 1 : 2))
        return corrupt("ids are cut", err);
    bytes = n * (count <= 256 ? 1 : 2);
    *ids = str_sub(*in, 0, bytes);
    *in = str_from(*in, bytes);
    *ret_count = (size_t)count;
    return 0;
}

int slot_dict_pick(const struct slot_place *at, struct slot_place *ret, struct err *err)
{
    const uint8_t *p;
    struct str ids;
    int r;

    *ret = *at;
    r = take_dict_head(&ret->bytes, at->n, &ret->n, &ids, err);
    if (r < 0)
        return r;
    p = (const uint8_t *)ids.p;
    ret->i = ret->n <= 256 ? p[at->i] : le_get16(p + 2 * at->i);
    return ret->i < ret->n ? 0 : corrupt("id outside of the dictionary", err);
}

int slot_peek(const struct slot_stamp *s, struct str bytes, size_t n, struct str *ret,
              struct err *err)
{
    struct str ids;
    size_t count;
    int r = 0;

    if (s->kind != SLOT_DICT && s->kind != SLOT_TEXT)
        return 1;
    if (s->kind == SLOT_DICT)
        r = take_dict_head(&bytes, n, &count, &ids, err);
    if (r < 0)
        return r;
    if (bytes.n == 0)
        return corrupt("no strings", err);
    switch ((uint8_t)bytes.p[0]) {
    case SLOT_WAY_HEX:
    case SLOT_WAY_PATTERN:
    case SLOT_WAY_JOINED:
    case SLOT_WAY_FORMS:
        return 1;
    default:
        *ret = bytes;
        return 0;
    }
}

bool slot_pairs(const struct slot_stamp *s, struct str bytes, size_t n, uint8_t ret[SLOT_PAIRS])
{
    enum { PIECE = 16 << 10, MANY = SLOT_PAIRS * 8 / 2 };
    struct str text = STR_NULL;
    unsigned count = 0;
    struct err err;

    if (s->kind == SLOT_PATTERN)
        return slot_forms_pairs(s, bytes, n, ret);
    if (slot_peek(s, bytes, n, &text, &err) != 0)
        return false;
    memset(ret, 0, SLOT_PAIRS);
    for (size_t at = 0; at + 1 < text.n && count <= MANY; at += PIECE) {
        size_t end = text.n - 1 - at < PIECE ? text.n - 1 : at + PIECE;
        for (size_t i = at; i < end; i++) {
            unsigned bit = slot_pair_of((uint8_t)text.p[i], (uint8_t)text.p[i + 1]);
            ret[bit / 8] = (uint8_t)(ret[bit / 8] | 1u << bit % 8);
        }
        count = 0;
        for (size_t i = 0; i < SLOT_PAIRS; i++)
            count += (unsigned)__builtin_popcount(ret[i]);
    }
    return count <= MANY;
}

int slot_lines_open(const struct slot_stamp *s, struct str bytes, struct str *ret)
{
    if (s->kind != SLOT_TEXT || bytes.n == 0 || (uint8_t)bytes.p[0] != SLOT_WAY_LINES)
        return 1;
    *ret = str_from(bytes, 1);
    return 0;
}

static int open_dict(const struct slot_stamp *s, struct str in, bool inner, struct arena *a,
                     struct slot_view *v, struct err *err)
{
    const size_t n = v->n;
    struct slot_view entries = {0};
    struct str *entry;
    uint32_t *id;
    struct str ids;
    size_t count;
    int r = take_dict_head(&in, n, &count, &ids, err);

    if (r < 0)
        return r;
    id = slot_room(a, n, sizeof(*id));
    entry = slot_room(a, count, sizeof(*entry));
    if (id == NULL || entry == NULL)
        return arena_err(a, err);
    r = get_ids(ids, n, count, id, err);
    entries.n = count;
    if (r == 0)
        r = open_strings(s, in, inner, a, &entries, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        entry[i] = slot_value(&entries, i, NULL);
    v->kind = SLOT_VIEW_DICT;
    v->id = id;
    v->entry = entry;
    v->n_entries = count;
    return 0;
}

static int open_column(const struct slot_stamp *s, struct str in, bool inner, struct arena *a,
                       struct slot_view *v, struct err *err)
{
    if (v->n == 0)
        return corrupt("no values", err);
    if (in.n != s->bytes || (s->kind == SLOT_CONST && in.n > 0))
        return corrupt("not as many bytes as in its stamp", err);
    switch (s->kind) {
    case SLOT_CONST:
        v->kind = SLOT_VIEW_CONST;
        v->constant = s->constant;
        return 0;
    case SLOT_INT:
        return open_int(s, in, a, v, err);
    case SLOT_DICT:
        return open_dict(s, in, inner, a, v, err);
    case SLOT_TEXT:
    case SLOT_HEX:
    case SLOT_PATTERN:
        return open_strings(s, in, inner, a, v, err);
    case SLOT_KINDS:
        break;
    }
    return corrupt("unknown kind", err);
}

int slot_open(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
              struct slot_view *ret, struct err *err)
{
    struct slot_view v = {.n = n};
    int r = open_column(s, bytes, false, a, &v, err);

    if (r == 0)
        *ret = v;
    return r;
}

int slot_open_inner(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                    struct slot_view *ret, struct err *err)
{
    struct slot_view v = {.n = n};
    int r = open_column(s, bytes, true, a, &v, err);

    if (r == 0)
        *ret = v;
    return r;
}
