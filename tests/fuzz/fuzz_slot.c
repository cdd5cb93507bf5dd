/*
 * tests/fuzz/fuzz_slot.c - a stamp and a column, both hostile; and values that must come back.
 *
 *     u8 0: u16 n, a stamp, the rest is the column's bytes
 *     u8 1: values, each u8 length and its bytes
 */
#include "storage/slot.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 4096 };

/* Every value can be looked at, keeps to the stamp, and is as long as is said. */
static void look(const struct slot_stamp *s, const struct slot_view *v)
{
    volatile char seen = 0;

    for (size_t i = 0; i < v->n; i++) {
        char room[SLOT_ROOM];
        struct str got = slot_value(v, i, room);
        if (got.n != slot_value_bytes(v, i) || got.n < s->min_len || got.n > s->max_len)
            abort();
        if (got.n > 0)
            seen = (char)(seen ^ got.p[0] ^ got.p[got.n - 1]);
    }
}

static void try_open(struct str in, struct arena *a)
{
    struct slot_stamp s;
    struct slot_view v;
    struct err err;
    size_t n;

    if (in.n < 2)
        return;
    n = 1 + (size_t)((uint8_t)in.p[0] | (uint8_t)in.p[1] << 8);
    in = str_from(in, 2);
    if (slot_stamp_take(&in, &s, &err) == 0 && slot_open(&s, in, n, a, &v, &err) == 0)
        look(&s, &v);
}

static void try_values(struct str in, struct arena *a)
{
    static struct str value[VALUES_MAX];
    struct slot_encoder *e = slot_encoder_new();
    struct slot_stamp s;
    struct slot_view v;
    struct err err;
    struct buf out;
    size_t n = 0;

    while (in.n > 0 && n < VALUES_MAX) {
        size_t bytes = (uint8_t)in.p[0];
        in = str_from(in, 1);
        value[n] = str_sub(in, 0, bytes);
        in = str_from(in, bytes);
        n++;
    }
    if (n > 0) {
        buf_init(&out, 64 << 20);
        slot_encode(e, value, n, n % 2 == 0, &out, &s);
        if (slot_open(&s, buf_str(&out), n, a, &v, &err) < 0)
            abort();
        look(&s, &v);
        for (size_t i = 0; i < n; i++) {
            char room[SLOT_ROOM];
            if (!str_eq(slot_value(&v, i, room), value[i]))
                abort();
        }
        buf_fini(&out);
    }
    slot_encoder_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = (size_t)64 << 20};
    struct arena *a = arena_new(&budget, 0);
    struct str in = {(const char *)data, size};

    if (size > 0 && data[0] == 0)
        try_open(str_from(in, 1), a);
    else if (size > 0)
        try_values(str_from(in, 1), a);
    arena_free(&a);
    if (budget.used != 0 || budget.peak > budget.limit)
        abort();
    return 0;
}
