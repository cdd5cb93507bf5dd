/*
 * storage/store_decide.c, store_commit.c: two connections of one collector send chunks of the same
 * files at once, shuffled, repeated, cut differently; every byte range is stored exactly once.
 */
#include "storage/store.h"

#include "tests/lib/feed.h"
#include "tests/lib/records.h"

enum { UNITS = 60, FILES = 2, SENDERS = 2, ROUNDS = 3 };

struct sender {
    struct feed *f;
    uint64_t rng;
    pthread_t thread;
    unsigned stored, duplicate, refused, other;
};

/* Units [from, to) of a file: ten bytes and one record each. */
static struct feed_chunk *send_units(struct feed *f, unsigned file, unsigned from, unsigned to)
{
    struct feed_chunk *c;
    struct buf b;

    buf_init(&b, 1 << 16);
    buf_addf(&b, "P file%u %u %u %u\n", file, from * 10, to * 10, to - from);
    for (unsigned i = from; i < to; i++)
        buf_addf(&b, "R %u app file %u unit %u\n", i + 1, file, i);
    buf_add_char(&b, '\0');
    c = feed_send(f, "t", "collector", b.p, "");
    buf_fini(&b);
    return c;
}

static void note(struct sender *s, enum store_outcome out)
{
    s->stored += out == STORE_STORED ? 1 : 0;
    s->duplicate += out == STORE_DUPLICATE ? 1 : 0;
    s->refused += out == STORE_REFUSED ? 1 : 0;
    s->other += out == STORE_FAILED ? 1 : 0;
}

/* Chunks of one to three units in a shuffled order, several under way; each unit alone at last. */
static void *send_all(void *arg)
{
    struct sender *s = arg;
    struct feed_chunk *under_way[8];
    size_t n = 0;

    for (unsigned i = 0; i < ROUNDS * UNITS; i++) {
        unsigned from = (unsigned)(records_random(&s->rng) % UNITS);
        unsigned len = 1 + (unsigned)(records_random(&s->rng) % 3);
        unsigned to = from + len > UNITS ? UNITS : from + len;
        unsigned file = (unsigned)(records_random(&s->rng) % FILES);
        if (n == sizeof(under_way) / sizeof(*under_way)) {
            for (size_t k = 0; k < n; k++)
                note(s, feed_answer(under_way[k], NULL));
            n = 0;
        }
        under_way[n++] = send_units(s->f, file, from, to);
    }
    for (size_t k = 0; k < n; k++)
        note(s, feed_answer(under_way[k], NULL));
    for (unsigned i = 0; i < FILES * UNITS; i++) {
        unsigned unit = (i * 7) % UNITS;
        note(s, feed_answer(send_units(s->f, i / UNITS, unit, unit + 1), NULL));
    }
    return NULL;
}

static void each_unit_is_there_once(struct feed *f)
{
    struct store_range r[2];
    struct buf b;

    buf_init(&b, 1 << 20);
    assert_int_equal(feed_read(f, "t", &b), FILES * UNITS);
    for (unsigned i = 0; i < FILES * UNITS; i++) {
        char line[64];
        int n = snprintf(line, sizeof(line), "file %u unit %u\n", i / UNITS, i % UNITS);
        assert_true(str_find(buf_str(&b), (struct str){line, (size_t)n}) != SIZE_MAX);
    }
    buf_fini(&b);
    for (unsigned i = 0; i < FILES; i++) {
        char file[16];
        int n = snprintf(file, sizeof(file), "file%u", i);
        assert_int_equal(store_ranges(f->s, STR("collector"), (struct str){file, (size_t)n}, r, 2),
                         1);
        assert_true(r[0].start == 0 && r[0].end == UNITS * 10);
    }
}

static void two_connections_store_every_byte_range_exactly_once(void **state)
{
    struct sender s[SENDERS];
    struct feed f;
    struct err err;
    unsigned duplicate = 0;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    for (unsigned i = 0; i < SENDERS; i++) {
        s[i] = (struct sender){.f = &f, .rng = 77 + i};
        assert_int_equal(pthread_create(&s[i].thread, NULL, send_all, &s[i]), 0);
    }
    assert_int_equal(store_flush(f.s, &err), 0); /* flushes cut in between */
    assert_int_equal(store_flush(f.s, &err), 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(s[i].thread, NULL), 0);
        assert_int_equal(s[i].other, 0);
        duplicate += s[i].duplicate;
    }
    assert_true(duplicate > UNITS);
    each_unit_is_there_once(&f);
    feed_reopen(&f);
    each_unit_is_there_once(&f);
    feed_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(two_connections_store_every_byte_range_exactly_once))
