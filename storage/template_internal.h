/*
 * storage/template_internal.h - what the files of template.h share: a line with a bit for every
 * byte, and slots being added.
 *
 * One pass classifies the bytes, 64 to a word; from then on words, numbers and quotes are found by
 * counting zeros, which costs a few nanoseconds each however long they are.
 */
#ifndef LOGQ_STORAGE_TEMPLATE_INTERNAL_H
#define LOGQ_STORAGE_TEMPLATE_INTERNAL_H

#include "storage/template.h"

enum {
    TEMPLATE_LINE_MAX = 64 << 10, /* longer lines are RAW */
    TEMPLATE_WORDS = TEMPLATE_LINE_MAX / 64 + 1,
};

/* Bit i % 64 of [i / 64]: byte i is one.  Bits behind the line are 0 up to the next whole word and
 * in one word more. */
struct template_cut {
    struct str line;
    struct template_line *ret;
    bool whole;                     /* messages are not cut */
    bool overflow;                  /* a slot too many was asked for */
    uint32_t equals;                /* how many `=` there are */
    uint64_t word[TEMPLATE_WORDS];  /* A-Z a-z 0-9 */
    uint64_t digit[TEMPLATE_WORDS]; /* 0-9 */
    uint64_t quote[TEMPLATE_WORDS]; /* `"` and `\` */
};

/* The first bit that is set in [i, end), or `end`. */
static inline uint32_t template_next_one(const uint64_t *m, uint32_t i, uint32_t end)
{
    uint64_t w;

    if (i >= end)
        return end;
    w = m[i / 64] >> (i % 64);
    if (w != 0) {
        i += (uint32_t)__builtin_ctzll(w);
        return i < end ? i : end;
    }
    for (i = (i / 64 + 1) * 64; i < end; i += 64) {
        if (m[i / 64] != 0) {
            i += (uint32_t)__builtin_ctzll(m[i / 64]);
            return i < end ? i : end;
        }
    }
    return end;
}

/* The first bit that is not set in [i, end), or `end`. */
static inline uint32_t template_next_zero(const uint64_t *m, uint32_t i, uint32_t end)
{
    uint64_t w;

    if (i >= end)
        return end;
    w = ~m[i / 64] >> (i % 64);
    if (w != 0) {
        i += (uint32_t)__builtin_ctzll(w);
        return i < end ? i : end;
    }
    for (i = (i / 64 + 1) * 64; i < end; i += 64) {
        if (~m[i / 64] != 0) {
            i += (uint32_t)__builtin_ctzll(~m[i / 64]);
            return i < end ? i : end;
        }
    }
    return end;
}

/* The least j in [low, i] with all of [j, i) set. */
static inline uint32_t template_run_start(const uint64_t *m, uint32_t i, uint32_t low)
{
    while (i > low) {
        uint32_t at = i - 1;
        uint64_t w = ~m[at / 64] << (63 - at % 64);

        if (w != 0) {
            at = i - (uint32_t)__builtin_clzll(w);
            return at > low ? at : low;
        }
        i = at / 64 * 64;
    }
    return low;
}

static inline void template_add(struct template_cut *c, uint32_t at, uint32_t end)
{
    struct template_line *l = c->ret;

    if (l->n_slots == TEMPLATE_SLOTS_MAX) {
        c->overflow = true;
        return;
    }
    l->slot[l->n_slots++] = (struct template_slot){at, end - at};
}

/* The numbers, ids and mixed words of [from, to) as slots. */
void template_cut_text(struct template_cut *c, uint32_t from, uint32_t to);

/* The value [from, to) of a message-like key: cut as text when it holds a digit, else one slot. */
void template_cut_message(struct template_cut *c, uint32_t from, uint32_t to);
bool template_key_is_message(struct str key);

/* Behind the closing quote of the string whose first byte, behind the quote, is at `i`; 0: none, or
 * an escape that JSON does not know. */
uint32_t template_string_end(const struct template_cut *c, uint32_t i, uint32_t end);

/* Each: whether the line is of that kind; if not, slots may have been added. */
bool template_cut_json(struct template_cut *c);
bool template_cut_logfmt(struct template_cut *c);
bool template_cut_access(struct template_cut *c);

#endif
