/*
 * tests/unit/wire/forward_fixture.h - a message through all three steps, its entries as text.
 *
 * One line an entry: "<ts_ns> key=<kind>:<text> ...", metadata behind "|".  Kinds: n(il) b(ool)
 * i(nt) f(loat) s(tr) j(son) t(ime).
 */
#ifndef LOGQ_TESTS_UNIT_WIRE_FORWARD_FIXTURE_H
#define LOGQ_TESTS_UNIT_WIRE_FORWARD_FIXTURE_H

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"
#include "wire/forward_parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_NOW = 1000 };

struct fixture {
    struct arena *build; /* for the test's own bytes */
    struct arena *arena; /* what the decoder gets */
    struct forward_reader *reader;
    struct forward_limits limits;
    struct forward_message msg;
    struct buf text; /* the entries */
    char *exact;     /* the message, exactly its size */
    struct err err;
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->build = arena_new(NULL, 0);
    f->arena = arena_new(NULL, (size_t)32 << 20);
    f->reader = forward_reader_new();
    buf_init(&f->text, (size_t)64 << 20);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    free(f->exact);
    buf_fini(&f->text);
    forward_reader_free(&f->reader);
    arena_free(&f->arena);
    arena_free(&f->build);
    free(f);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* Steps 1 and 2, on a copy of exactly its size. */
static inline int fixture_parse(struct fixture *f, struct str s)
{
    struct forward_frame frame = {0};
    size_t n;
    int r;

    free(f->exact);
    f->exact = bytes_exact(s);
    arena_reset(f->arena);
    s.p = f->exact;
    memset(&f->err, 0, sizeof(f->err));
    r = forward_frame_scan(&frame, s, &f->limits, &n, &f->err);
    if (r != 0)
        return r;
    assert_int_equal(n, s.n);
    return forward_parse(s, &f->limits, f->arena, &f->msg, &f->err);
}

static inline void fixture_fields(struct buf *b, const struct forward_field *v, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        buf_addf(b, " %.*s=%c:%.*s", STR_ARG(v[i].key), "nbifsjt"[v[i].type], STR_ARG(v[i].text));
}

/* Step 3: all entries into f->text. */
static inline int fixture_entries(struct fixture *f)
{
    struct forward_entry e;
    int r;

    buf_clear(&f->text);
    r = forward_reader_start(f->reader, &f->msg, &f->limits, FIXTURE_NOW, f->arena, &f->err);
    while (r == 0) {
        r = forward_reader_next(f->reader, &e, &f->err);
        if (r != 0)
            break;
        buf_addf(&f->text, "%" PRId64, e.ts);
        fixture_fields(&f->text, e.fields, e.n_fields);
        if (e.n_meta > 0)
            buf_add_z(&f->text, " |");
        fixture_fields(&f->text, e.meta, e.n_meta);
        buf_add_char(&f->text, '\n');
    }
    return r < 0 ? r : 0;
}

static inline int fixture_read(struct fixture *f, struct str s)
{
    int r = fixture_parse(f, s);

    return r == 0 ? fixture_entries(f) : r;
}

/* The whole of it: `text` in the notation of bytes.h gives `entries`. */
static inline void check_reads(struct fixture *f, const char *text, const char *entries)
{
    int r = fixture_read(f, bytes(f->build, text));

    if (r != 0)
        fail_msg("%d: %s", r, f->err.text);
    check_str(buf_str(&f->text), entries);
}

/* It fails with `code` and a text that has `why` in it. */
static inline void check_refuses(struct fixture *f, const char *text, int code, const char *why)
{
    int r = fixture_read(f, bytes(f->build, text));

    assert_int_equal(r, code);
    assert_int_equal(f->err.code, code);
    if (strstr(f->err.text, why) == NULL)
        fail_msg("'%s' has no '%s'", f->err.text, why);
}

/* A bin32 or str32 of `payload` in [ 't', payload, options ]. */
static inline struct str fixture_packed(struct fixture *f, const char *head, struct str payload,
                                        const char *options)
{
    char size[16];
    struct str s = bytes(f->build, head);

    (void)snprintf(size, sizeof(size), "%08zx", payload.n);
    s = bytes_join(f->build, s, bytes(f->build, size));
    s = bytes_join(f->build, s, payload);
    return bytes_join(f->build, s, bytes(f->build, options));
}

#endif
