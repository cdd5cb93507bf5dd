/* Fuzz target: decode_forward and forward_line_is_end on one line; and the input as a text, which
 * has to come back from a line of its own. */
#include "collector/forward_line.h"

#include "base/obj.h"
#include "collector/decode.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LINE = 4096, OUT_MAX = 1 << 20 };

static void read_line(struct str line)
{
    struct hash128 id;
    struct decoder d;
    struct piece p;
    bool has_id;

    decoder_init(&d);
    if (decode_forward(&d, line, &p)) {
        INVARIANT(p.last && p.n_attrs <= DECODE_ATTRS_MAX && p.n_labels > 0);
        for (size_t i = 0; i < p.n_attrs; i++)
            INVARIANT(p.attrs[i].name.p != NULL && p.attrs[i].value.n > 0);
    }
    (void)forward_line_is_end(line, &has_id, &id);
    decoder_fini(&d);
}

static void write_line(struct str text)
{
    struct label attrs[2] = {{text, text}, {STR("fluent.tag"), text}};
    struct forward_record rec = {.line = text, .attrs = attrs, .n_attrs = 2};
    struct decoder d;
    struct piece p;
    struct buf out;

    decoder_init(&d);
    buf_init(&out, OUT_MAX);
    (void)forward_line_add(&out, 1, &rec, MAX_LINE);
    forward_line_end(&out, 0, 1, NULL);
    INVARIANT(!out.over && str_find_char(buf_str(&out), '\n') == out.n - 1);
    INVARIANT(decode_forward(&d, str_sub(buf_str(&out), 0, out.n - 1), &p));
    INVARIANT(p.text.n + p.missing == text.n && p.text.n <= MAX_LINE);
    INVARIANT(p.text.n == 0 || memcmp(p.text.p, text.p, p.text.n) == 0);
    buf_fini(&out);
    decoder_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};

    read_line(s);
    write_line(s);
    return 0;
}
