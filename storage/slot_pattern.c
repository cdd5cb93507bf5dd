/*
 * storage/slot_pattern.c - strings that differ in their numbers alone, or between a common
 * beginning and end.  Contract: slot_internal.h; format: docs/formats/slot.md.
 *
 * Addresses, times, decimals: each run of decimal digits is a column of its own, what stands
 * between is the same in all values.  Where that fails, what all values begin and end with is cut
 * off, if then hex digits or random letters are left.
 */
#include "base/mem.h"
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <stdlib.h>
#include <string.h>

void slot_pattern_fini(struct slot_pattern *p)
{
    free(p->value);
    buf_fini(&p->columns);
    *p = (struct slot_pattern){0};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where the run of digits at `at` ends. */
static size_t digits_end(struct str s, size_t at)
{
    while (at < s.n && is_digit(s.p[at]))
        at++;
    return at;
}

/* Pieces and the number of slots as in the first value. */
static bool cut_first(struct slot_pattern *p, struct str s)
{
    size_t from = 0;
    size_t at = 0;

    p->n_slots = 0;
    for (;;) {
        while (at < s.n && !is_digit(s.p[at]))
            at++;
        p->piece[p->n_slots] = str_sub(s, from, at - from);
        if (at == s.n)
            break;
        if (p->n_slots == SLOT_PATTERN_SLOTS)
            return false;
        p->n_slots++;
        at = from = digits_end(s, at);
    }
    return p->n_slots > 0;
}

/* Cut value i of n the same way. */
static bool cut(struct slot_pattern *p, struct str s, size_t i, size_t n)
{
    size_t at = 0;

    for (size_t k = 0; k < p->n_slots; k++) {
        struct str piece = p->piece[k];
        size_t end;
        if (piece.n > s.n - at || memcmp(s.p + at, piece.p, piece.n) != 0)
            return false;
        at += piece.n;
        end = digits_end(s, at);
        if (end == at)
            return false;
        p->value[k * n + i] = (struct str){s.p + at, end - at};
        at = end;
    }
    return str_eq(str_from(s, at), p->piece[p->n_slots]);
}

void slot_pattern_room(struct slot_pattern *p, size_t n)
{
    if (p->columns.max == 0)
        buf_init(&p->columns, SIZE_MAX);
    buf_clear(&p->columns);
    if (n <= p->cap)
        return;
    p->value = mem_grow(p->value, n * sizeof(*p->value));
    p->cap = n;
}

bool slot_pattern_numbers(struct slot_pattern *p, const struct str *v, size_t n)
{
    if (!cut_first(p, v[0]))
        return false;
    slot_pattern_room(p, n * p->n_slots);
    for (size_t i = 0; i < n; i++)
        if (!cut(p, v[i], i, n))
            return false;
    return true;
}

bool slot_pattern_frame(struct slot_pattern *p, const struct str *v, size_t n)
{
    size_t head = v[0].n;
    size_t tail = v[0].n;

    for (size_t i = 1; i < n && head + tail > 0; i++) {
        size_t m = v[i].n < v[0].n ? v[i].n : v[0].n;
        size_t k = 0;
        while (k < head && k < m && v[i].p[k] == v[0].p[k])
            k++;
        head = k;
        for (k = 0; k < tail && k < m && v[i].p[v[i].n - 1 - k] == v[0].p[v[0].n - 1 - k];)
            k++;
        tail = k;
    }
    for (size_t i = 0; i < n; i++) {
        if (head > v[i].n)
            head = v[i].n;
        if (tail > v[i].n - head)
            tail = v[i].n - head;
    }
    if (head + tail == 0)
        return false;
    p->n_slots = 1;
    p->piece[0] = str_sub(v[0], 0, head);
    p->piece[1] = str_from(v[0], v[0].n - tail);
    slot_pattern_room(p, n);
    for (size_t i = 0; i < n; i++)
        p->value[i] = str_sub(v[i], head, v[i].n - head - tail);
    return true;
}

void slot_pattern_put(struct slot_pattern *p, struct slot_encoder *inner, size_t n, bool small,
                      struct buf *out)
{
    struct slot_stamp stamp[SLOT_PATTERN_SLOTS];

    for (size_t k = 0; k < p->n_slots; k++)
        slot_encode(inner, p->value + k * n, n, small, &p->columns, &stamp[k]);
    buf_add_char(out, SLOT_WAY_PATTERN);
    varint_put(out, p->n_slots);
    for (size_t k = 0; k <= p->n_slots; k++) {
        varint_put(out, p->piece[k].n);
        buf_add_str(out, p->piece[k]);
    }
    for (size_t k = 0; k < p->n_slots; k++)
        slot_stamp_put(out, &stamp[k]);
    buf_add_str(out, buf_str(&p->columns));
}

/* ---- read ---- */

_Static_assert((int)SLOT_PARTS_MAX == (int)SLOT_PATTERN_SLOTS, "parts are the slots of a pattern");

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "pattern slot: %s", what);
}

/* What is read of a pattern. */
struct pattern {
    size_t n, n_slots;
    struct str piece[SLOT_PATTERN_SLOTS + 1];
    struct slot_view view[SLOT_PATTERN_SLOTS];
};

/* Pieces, stamps and the bytes of each column. */
int slot_pattern_parts(struct str in, struct slot_parts *p, struct err *err)
{
    uint64_t n;

    if (!varint_get(&in, &n) || n == 0 || n > SLOT_PATTERN_SLOTS)
        return corrupt("number of slots", err);
    p->n = (size_t)n;
    p->joined = false;
    for (size_t k = 0; k <= p->n; k++) {
        if (!varint_get(&in, &n) || n > in.n)
            return corrupt("a piece is cut", err);
        p->piece[k] = str_sub(in, 0, (size_t)n);
        in = str_from(in, (size_t)n);
    }
    for (size_t k = 0; k < p->n; k++)
        if (slot_stamp_take(&in, &p->stamp[k], err) < 0)
            return ERR_CORRUPT;
    for (size_t k = 0; k < p->n; k++) {
        if (p->stamp[k].bytes > in.n)
            return corrupt("a column is cut", err);
        p->bytes[k] = str_sub(in, 0, p->stamp[k].bytes);
        in = str_from(in, p->stamp[k].bytes);
    }
    return in.n == 0 ? 0 : corrupt("bytes behind the columns", err);
}

int slot_parts_open(const struct slot_stamp *s, struct str bytes, struct slot_parts *ret,
                    struct err *err)
{
    struct str rest = str_from(bytes, 1);

    if (s->kind != SLOT_PATTERN || bytes.n == 0)
        return 1;
    if ((uint8_t)bytes.p[0] == SLOT_WAY_JOINED)
        return s->min_len == s->max_len ? slot_joined_parts(rest, s->min_len, ret, err) : 1;
    return (uint8_t)bytes.p[0] == SLOT_WAY_PATTERN ? slot_pattern_parts(rest, ret, err) : 1;
}

int slot_part_open(const struct slot_parts *p, size_t part, size_t n, struct arena *a,
                   struct slot_view *ret, struct err *err)
{
    if (p->joined)
        return slot_joined_part(p, part, n, a, ret, err);
    return slot_open_inner(&p->stamp[part], p->bytes[part], n, a, ret, err);
}

static int open_columns(struct str in, struct pattern *p, struct arena *a, struct err *err)
{
    struct slot_parts parts;
    int r = slot_pattern_parts(in, &parts, err);

    if (r < 0)
        return r;
    p->n_slots = parts.n;
    memcpy(p->piece, parts.piece, sizeof(p->piece));
    for (size_t k = 0; k < p->n_slots && r == 0; k++)
        r = slot_part_open(&parts, k, p->n, a, &p->view[k], err);
    return r;
}

/* Where each value ends; ERR_CORRUPT when that is too far, or a length is not as in the stamp. */
static int find_ends(const struct slot_stamp *s, const struct pattern *p, uint32_t *end,
                     struct err *err)
{
    uint64_t fixed = 0;
    uint64_t total = 0;

    for (size_t k = 0; k <= p->n_slots; k++)
        fixed += p->piece[k].n;
    for (size_t i = 0; i < p->n; i++) {
        uint64_t length = fixed;
        for (size_t k = 0; k < p->n_slots; k++)
            length += slot_value_bytes(&p->view[k], i);
        if (length < s->min_len || length > s->max_len)
            return corrupt("a length outside of its stamp", err);
        total += length;
        if (total > SLOT_TEXT_MAX)
            return corrupt("too much text", err);
        end[i] = (uint32_t)total;
    }
    return 0;
}

static char *put_str(char *to, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        to[i] = s.p[i];
    return to + s.n;
}

static void write_text(const struct pattern *p, char *to)
{
    for (size_t i = 0; i < p->n; i++) {
        for (size_t k = 0; k < p->n_slots; k++) {
            const struct slot_view *v = &p->view[k];
            to = put_str(to, p->piece[k]);
            if (v->kind == SLOT_VIEW_INT)
                to += slot_print(v->number[i], v->width, to);
            else
                to = put_str(to, slot_value(v, i, NULL));
        }
        to = put_str(to, p->piece[p->n_slots]);
    }
}

int slot_pattern_open(const struct slot_stamp *s, struct str in, size_t n, struct arena *a,
                      struct slot_view *ret, struct err *err)
{
    struct pattern p = {.n = n};
    uint32_t *end;
    char *text;
    int r = open_columns(in, &p, a, err);

    if (r < 0)
        return r;
    end = slot_room(a, n, sizeof(*end));
    if (end == NULL)
        return arena_err(a, err);
    r = find_ends(s, &p, end, err);
    if (r < 0)
        return r;
    text = arena_bytes(a, end[n - 1]);
    if (text == NULL)
        return arena_err(a, err);
    write_text(&p, text);
    ret->kind = SLOT_VIEW_TEXT;
    ret->text = (struct str){text, end[n - 1]};
    ret->end = end;
    return 0;
}
