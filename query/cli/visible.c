/* query/cli/visible.c - see visible.h. */
#include "query/cli/visible.h"

#include "base/utf8.h"

enum { TEXT_MAX = 16 << 20 };

void visible_add(struct buf *out, struct str s)
{
    struct buf clean;

    buf_init(&clean, TEXT_MAX);
    utf8_repair(&clean, s);
    for (size_t i = 0; i < clean.n; i++) {
        unsigned char c = (unsigned char)clean.p[i];
        unsigned char next = i + 1 < clean.n ? (unsigned char)clean.p[i + 1] : 0;

        if (c == 0xc2 && next < 0xa0) {
            buf_addf(out, "\\x%02x", (unsigned)next);
            i++;
        } else if (c < ' ' || c == 0x7f) {
            buf_addf(out, "\\x%02x", (unsigned)c);
        } else {
            buf_add_char(out, clean.p[i]);
        }
    }
    out->over |= clean.over;
    buf_fini(&clean);
}
