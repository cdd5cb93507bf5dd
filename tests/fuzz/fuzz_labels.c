/* Label text: parsing ends, and what parses comes back from its printed form unchanged. */
#include "base/labels.h"

#include "base/obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct labels l;
    struct labels again;
    struct err err;
    struct buf b;

    buf_init(&b, 4 << 20);
    if (labels_parse(a, (struct str){(const char *)data, n}, &l, &err) == 0) {
        for (size_t i = 1; i < l.n; i++)
            INVARIANT(str_cmp(l.v[i - 1].name, l.v[i].name) < 0);
        labels_format(&b, &l);
        arena_reset(a); /* l is gone: compare the printed forms */
        if (labels_parse(a, buf_str(&b), &again, &err) == 0) {
            size_t was = b.n;
            labels_format(&b, &again);
            INVARIANT(b.over || str_eq(str_sub(buf_str(&b), 0, was), str_from(buf_str(&b), was)));
        } else {
            INVARIANT(err.code == ERR_LIMIT);
        }
    }
    buf_fini(&b);
    arena_free(&a);
    return 0;
}
