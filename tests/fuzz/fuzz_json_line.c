/* Fuzz target: decode_json_line and trace_step on one line each, with keys and without. */
#include "collector/decode.h"

#include "base/obj.h"
#include "collector/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct str line, const struct decode_keys *keys)
{
    struct decoder d;
    struct piece p;

    decoder_init(&d);
    d.keys = keys;
    if (decode_json_line(&d, line, &p)) {
        INVARIANT(p.last && p.n_attrs <= DECODE_ATTRS_MAX);
        for (size_t i = 0; i < p.n_attrs; i++)
            INVARIANT(p.attrs[i].name.n > 0 && p.attrs[i].value.p != NULL);
    }
    decoder_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct decode_keys KEYS = {{"a.t", 3}, {"l", 1}, {"m", 1}};
    static const struct trace_rule AUTO = {.format = TRACE_AUTO};
    struct str text = {(const char *)data, size};
    unsigned state = 0;

    decode(text, NULL);
    decode(text, &KEYS);
    while (text.n > 0)
        (void)trace_step(&AUTO, &state, str_cut(&text, '\n'));
    return 0;
}
