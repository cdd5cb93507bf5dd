/*
 * tests/fuzz/fuzz_redact.c - any text through all detectors.
 *
 * The pass with AVX2 and the one without find the same hints, and what the output has is bytes of
 * the input around marks.  JSON stays JSON.  The first byte says which detectors there are.
 */
#include "base/hash.h"
#include "base/json.h"
#include "base/obj.h"
#include "collector/redact_detect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash, n;
    size_t last;
};

static void see(void *arg, size_t at, unsigned hints)
{
    struct seen *s = arg;
    uint64_t both[2] = {at, hints};

    INVARIANT(hints != 0 && (s->n == 0 || at > s->last));
    s->hash = hash_bytes(both, sizeof(both), s->hash);
    s->last = at;
    s->n++;
}

static void check_ways(unsigned types, struct str text)
{
    struct redact_needles needles;
    struct seen a = {0}, b = {0};

    redact_detect_needles(types, &needles);
    redact_scan(&needles, text, see, &a);
    redact_scan_portable(&needles, text, see, &b);
    INVARIANT(a.n == b.n && a.hash == b.hash);
}

/* Every byte of the text that is in `clean`, in order, but for the marks. */
static void check_output(struct str text, struct str clean)
{
    const struct str mark = STR("[redacted:");
    size_t at = 0;

    for (size_t i = 0; i < clean.n; i++) {
        struct str rest = str_from(clean, i);
        if (str_starts(rest, mark) && !str_starts(str_from(text, at), mark)) {
            i += str_find_char(rest, ']');
            continue;
        }
        if (clean.p[i] == '"') /* around a number of JSON: the text has none */
            continue;
        while (at < text.n && text.p[at] != clean.p[i])
            at++;
        INVARIANT(at < text.n);
        at++;
    }
}

/* An object, and nothing behind it. */
static bool is_json(struct str text)
{
    struct json_reader r;
    struct err err;

    json_reader_init(&r, text);
    return str_starts(text, STR("{")) && json_skip(&r, NULL, &err) == 0 && json_rest(&r).n == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data + 1, size - 1}, clean;
    unsigned types;
    struct redact_scratch scratch;
    struct redact *r;
    struct redact_flow flow = {.in_key = false};

    if (size == 0)
        return 0;
    types = (data[0] & REDACT_ALL) == 0 ? REDACT_ALL : data[0] & REDACT_ALL;
    check_ways(types, text);
    redact_scratch_init(&scratch, 8 << 20);
    r = redact_new(types, NULL);
    clean = text;
    redact_text(r, &clean, &flow, &scratch);
    if (str_find_char(text, '"') == SIZE_MAX && str_find(text, STR("[redacted:")) == SIZE_MAX)
        check_output(text, clean);
    if (clean.p != text.p)
        INVARIANT(str_find(clean, STR("[redacted:")) != SIZE_MAX);
    INVARIANT(!is_json(text) || is_json(clean));
    redact_free(&r);
    redact_scratch_fini(&scratch);
    return 0;
}
