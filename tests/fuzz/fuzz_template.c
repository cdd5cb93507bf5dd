/*
 * A line of any bytes: its slots ascend within it, so that pieces and slots are the line; and the
 * names of slots, from pieces that are the line's own or, by the first byte, of another kind.
 */
#include "storage/template.h"

#include "base/err.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name_fields(enum template_kind kind, const struct str *piece, size_t n)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct template_field *f;
    struct err err;

    if (template_fields(kind, piece, n, a, &f, &err) == 0) {
        for (size_t i = 0; i < n; i++) {
            if (f[i].whole > TEMPLATE_ARRAY || (f[i].path.n > 0 && f[i].path.p == NULL))
                abort();
        }
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str piece[TEMPLATE_SLOTS_MAX + 1];
    struct template_line l;
    struct str line;
    size_t at = 0;

    if (size == 0)
        return 0;
    line = (struct str){(const char *)data + 1, size - 1};
    template_split(line, &l);
    if (l.n_slots > TEMPLATE_SLOTS_MAX)
        abort();
    for (uint32_t i = 0; i < l.n_slots; i++) {
        if (l.slot[i].at < at || l.slot[i].at > line.n || l.slot[i].n > line.n - l.slot[i].at)
            abort();
        piece[i] = str_sub(line, at, l.slot[i].at - at);
        at = l.slot[i].at + l.slot[i].n;
    }
    piece[l.n_slots] = str_from(line, at);
    name_fields(l.kind, piece, l.n_slots);
    name_fields((enum template_kind)(data[0] % TEMPLATE_KINDS), piece, l.n_slots);
    return 0;
}
