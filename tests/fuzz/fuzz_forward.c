/*
 * tests/fuzz/fuzz_forward.c - a connection's bytes: framing, messages, all entries.
 *
 * The first byte chooses the limits, so that both the defaults and tight ones are met.  Found along
 * the way: framing byte by byte agrees with framing at once, and what one message takes from its
 * arena stays in proportion.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "wire/forward_parse.h"

#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_MAX = 1 << 20, ARENA_MAX = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sink;

static void touch(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += (unsigned char)s.p[i];
}

static void touch_fields(const struct forward_field *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        touch(v[i].key);
        touch(v[i].text);
    }
}

static void read_entries(struct forward_reader *r, const struct forward_message *m,
                         const struct forward_limits *limits, struct arena *a)
{
    struct forward_entry e;
    struct err err;

    if (forward_reader_start(r, m, limits, 1, a, &err) < 0)
        return;
    while (forward_reader_next(r, &e, &err) == 0) {
        touch_fields(e.fields, e.n_fields);
        touch_fields(e.meta, e.n_meta);
    }
}

static void read_message(struct str s, const struct forward_limits *limits)
{
    struct arena *a = arena_new(NULL, ARENA_MAX);
    struct forward_reader *r = forward_reader_new();
    struct forward_message m;
    struct err err;

    if (forward_parse(s, limits, a, &m, &err) == 0) {
        touch(m.tag);
        touch(m.chunk);
        for (size_t i = 0; i < m.n_parts; i++) {
            INVARIANT(m.parts[i].start <= m.parts[i].end);
            touch(m.parts[i].file_id);
        }
        for (size_t i = 0; i < 5 && m.kind == FORWARD_PING; i++)
            touch(m.ping[i]);
        read_entries(r, &m, limits, a);
    }
    forward_reader_free(&r);
    arena_free(&a);
}

/* Fed one byte more each time, framing comes to the same end. */
static void frame_slowly(struct str s, const struct forward_limits *limits, int want, size_t want_n)
{
    struct forward_frame f;
    struct err err;
    size_t n = 0, i;
    int r = 1;

    memset(&f, 0, sizeof(f));
    for (i = 0; i <= s.n && r == 1; i++)
        r = forward_frame_scan(&f, str_sub(s, 0, i), limits, &n, &err);
    INVARIANT(r == want);
    INVARIANT(r != 0 || n == want_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forward_limits limits = {.payload_bytes = PAYLOAD_MAX};
    struct forward_frame f;
    struct err err;
    struct str s;
    size_t n = 0;
    int r;

    if (size == 0)
        return 0;
    if (data[0] & 1) {
        limits = (struct forward_limits){
            .message_bytes = 200, .payload_bytes = 300, .depth = 5, .entries = 3, .fields = 3};
    }
    s = (struct str){(const char *)data + 1, size - 1};
    do {
        memset(&f, 0, sizeof(f));
        r = forward_frame_scan(&f, s, &limits, &n, &err);
        frame_slowly(s, &limits, r, n);
        if (r == 0) {
            read_message(str_sub(s, 0, n), &limits);
            s = str_from(s, n);
        }
    } while (r == 0 && s.n > 0);
    read_message(s, &limits); /* step 2 alone is safe as well */
    return 0;
}
