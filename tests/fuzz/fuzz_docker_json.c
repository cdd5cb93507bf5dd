/* Fuzz target: collector/decode_json and decode_events on one line each; the fast scan agrees with
 * the general one. */
#include "collector/decode.h"

#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* With a blank in front the fast scan gives up, and the general reader takes the same line. */
static void compare(struct decoder *fast, struct decoder *slow, struct str line)
{
    char *copy = malloc(line.n + 1);
    struct piece a, b;

    if (copy == NULL)
        return;
    copy[0] = ' ';
    memcpy(copy + 1, line.p, line.n);
    if (decode_json(fast, line, &a) && decode_json(slow, (struct str){copy, line.n + 1}, &b)) {
        INVARIANT(a.ts == b.ts && a.stream == b.stream && a.last == b.last);
        INVARIANT(str_eq(a.text, b.text));
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str line = {(const char *)data, size};
    struct decoder d, other;
    struct piece p;

    if (size == 0)
        return 0;
    decoder_init(&d);
    decoder_init(&other);
    compare(&d, &other, line);
    if (decode_docker_event(&d, line, &p))
        INVARIANT(p.ts > 0 && p.n_labels > 0 && p.n_attrs <= DECODE_ATTRS_MAX);
    if (decode_podman_event(&d, line, &p))
        INVARIANT(p.n_labels > 0 && p.n_attrs <= DECODE_ATTRS_MAX);
    (void)decode_gap(&d, line, &p);
    decoder_fini(&d);
    decoder_fini(&other);
    return 0;
}
