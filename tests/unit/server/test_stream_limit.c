/* server/stream_limit.c: known streams pass, new ones up to the limit, all or none of a batch; or
 * part by part; what the store has of today is known after a start. */
#include "server/stream_limit.h"

#include "tests/lib/feed.h"

#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1768003200) * NS_PER_S)

/* Offer streams {n="from"} ... {n="to - 1"}. */
static int offer(struct stream_limit *l, const char *tenant, int from, int to, ts_ns now,
                 struct err *err)
{
    struct batch *b = batch_new(NULL, 0);
    int r;

    for (int i = from; i < to; i++) {
        char text[16];
        struct label v[1] = {{STR("n"), STR_NULL}};
        struct labels ls = {v, 1};
        uint32_t index;
        (void)snprintf(text, sizeof(text), "%d", i);
        v[0].value = str_of(text);
        assert_int_equal(batch_stream(b, &ls, &index, err), 0);
        assert_int_equal(batch_add(b, &(struct record){.stream = index, .ts = now}, err), 0);
    }
    r = stream_limit_admit(l, str_of(tenant), b, now, err);
    batch_unref(&b);
    return r;
}

static void new_streams_are_taken_up_to_the_limit(void **state)
{
    struct stream_limit *l = stream_limit_new(1000);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 990, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 500, 1000, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 999, 1001, NOW, &err), ERR_LIMIT);
    assert_string_equal(err.text,
                        "tenant 't' has 1000 streams today (storage.max_streams), none is "
                        "added: {n=\"1000\"}");
    assert_int_equal(offer(l, "t", 0, 1000, NOW, &err), 0); /* known ones */
    assert_int_equal(offer(l, "u", 0, 1000, NOW, &err), 0); /* another tenant */
    stream_limit_free(&l);
}

/* All its entries were refused. */
static void a_stream_without_records_takes_no_place(void **state)
{
    struct stream_limit *l = stream_limit_new(2);
    struct batch *b = batch_new(NULL, 0);
    struct err err;
    (void)state;

    for (int i = 0; i < 5; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        struct label v[1] = {{STR("n"), str_of(text)}};
        struct labels ls = {v, 1};
        uint32_t index;
        assert_int_equal(batch_stream(b, &ls, &index, &err), 0);
    }
    assert_int_equal(stream_limit_admit(l, STR("t"), b, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 0, 2, NOW, &err), 0);
    assert_int_equal(stream_limit_admit(l, STR("t"), b, NOW, &err), 0);
    assert_int_equal(batch_add(b, &(struct record){.stream = 3, .ts = NOW}, &err), 0);
    assert_int_equal(stream_limit_admit(l, STR("t"), b, NOW, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "{n=\"d\"}"));
    batch_unref(&b);
    stream_limit_free(&l);
}

static void a_batch_is_taken_whole_or_not_at_all(void **state)
{
    struct stream_limit *l = stream_limit_new(10);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 8, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 8, 11, NOW, &err), ERR_LIMIT);
    assert_int_equal(offer(l, "t", 8, 10, NOW, &err), 0); /* nothing of the other was counted */
    stream_limit_free(&l);
}

static void the_next_day_begins_anew(void **state)
{
    struct stream_limit *l = stream_limit_new(3);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 3, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 3, 4, NOW, &err), ERR_LIMIT);
    assert_int_equal(offer(l, "t", 3, 6, NOW + NS_PER_DAY, &err), 0);
    stream_limit_free(&l);
}

/* What was received before midnight may be read after what was received behind it. */
static void a_day_that_is_over_does_not_come_back(void **state)
{
    struct stream_limit *l = stream_limit_new(3);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 3, NOW + NS_PER_DAY, &err), 0);
    assert_int_equal(offer(l, "t", 0, 1, NOW, &err), 0);
    assert_int_equal(offer(l, "t", 3, 4, NOW + NS_PER_DAY, &err), ERR_LIMIT);
    stream_limit_free(&l);
}

static void without_a_limit_everything_is_taken(void **state)
{
    struct stream_limit *l = stream_limit_new(0);
    struct err err;
    (void)state;

    assert_int_equal(offer(l, "t", 0, 5000, NOW, &err), 0);
    assert_int_equal(offer(NULL, "t", 0, 5000, NOW, &err), 0);
    stream_limit_free(&l);
}

/* ---- part by part ---- */

/* Parts of one letter each: a record of {n=letter}; "aB": one part of two, b of stream=stderr; '-':
 * a part without records, '!': one of what a collector says; ' ' begins the next.  Returns which
 * are refused, as text. */
static const char *parts(struct stream_limit *l, const char *text, int want)
{
    static char ret[32];
    struct batch *b = batch_new(NULL, 0);
    struct record_part part = {.file_id = STR("f"), .end = 1};
    bool refused[16];
    struct err err;

    for (const char *c = text;; c++) {
        char name = (char)(*c | 0x20);
        struct label v[2] = {{STR("n"), {&name, 1}}, {STR("stream"), STR("stderr")}};
        struct labels ls = {v, *c >= 'A' && *c <= 'Z' ? 2 : 1};
        struct record rec = {.line = STR("line")};
        if (*c == ' ' || *c == '\0') {
            assert_int_equal(batch_add_part(b, &part, &err), 0);
            part.first = b->n_records;
            part.count = 0;
            part.file_id.p = part.file_id.p[0] == 'f' ? "g" : "f";
        }
        if (*c == '\0')
            break;
        if (*c == ' ')
            continue;
        if (*c == '=') { /* of the same file as the one before it */
            part.file_id.p = part.file_id.p[0] == 'f' ? "g" : "f";
            continue;
        }
        if (*c == '-')
            continue;
        if (*c == '!')
            v[0] = (struct label){STR("source"), STR("logq")};
        assert_int_equal(batch_stream(b, &ls, &rec.stream, &err), 0);
        assert_int_equal(batch_add(b, &rec, &err), 0);
        part.count++;
    }
    assert_int_equal(stream_limit_admit_parts(l, STR("t"), b, NOW, refused, &err), want);
    for (uint32_t i = 0; i < b->n_parts; i++)
        ret[i] = refused[i] ? 'x' : '.';
    ret[b->n_parts] = '\0';
    batch_unref(&b);
    return ret;
}

static void only_parts_with_new_streams_are_refused(void **state)
{
    struct stream_limit *l = stream_limit_new(2);
    (void)state;

    assert_string_equal(parts(l, "a b", 0), "..");
    assert_string_equal(parts(l, "c a d b", ERR_LIMIT), "x.x.");
    assert_string_equal(parts(l, "- =c - a", ERR_LIMIT), "xx..");
    assert_string_equal(parts(l, "- c a", ERR_LIMIT), ".x."); /* the bytes of another file */
    assert_string_equal(parts(l, "a b", 0), "..");
    stream_limit_free(&l);
}

static void the_first_ones_that_fit_are_taken(void **state)
{
    struct stream_limit *l = stream_limit_new(2);
    (void)state;

    assert_string_equal(parts(l, "a b c a", ERR_LIMIT), "..x.");
    assert_string_equal(parts(l, "c b", ERR_LIMIT), "x.");
    stream_limit_free(&l);
}

/* What is refused of a container must be all of a part. */
static void stdout_and_stderr_of_a_part_go_together(void **state)
{
    struct stream_limit *l = stream_limit_new(1);
    (void)state;

    assert_string_equal(parts(l, "a", 0), ".");
    assert_string_equal(parts(l, "aA cC", ERR_LIMIT), ".x");
    assert_string_equal(parts(l, "A", 0), ".");
    stream_limit_free(&l);
}

static void what_collectors_say_has_room_beyond_the_limit(void **state)
{
    struct stream_limit *l = stream_limit_new(1);
    (void)state;

    assert_string_equal(parts(l, "a", 0), ".");
    assert_string_equal(parts(l, "! b", ERR_LIMIT), ".x");
    stream_limit_free(&l);
}

/* ---- after a start ---- */

static void what_the_store_has_of_today_is_known(void **state)
{
    struct stream_limit *l = stream_limit_new(2);
    struct feed f;
    struct err err;
    char text[64];
    int r = ERR_TIMEOUT;
    (void)state;

    feed_init(&f);
    feed_open(&f);
    (void)snprintf(text, sizeof(text), "R %lld old x\n", (long long)store_receive_time(f.s));
    assert_int_equal(feed_put(&f, "t", text), STORE_STORED);
    feed_reopen(&f);
    assert_int_equal(stream_limit_learn(l, f.s, NULL, &err), 0);
    for (dur_ns end = time_mono() + 60 * NS_PER_S; r == ERR_TIMEOUT && time_mono() < end;)
        r = offer(l, "t", 0, 3, store_receive_time(f.s), &err);
    assert_int_equal(r, ERR_LIMIT);
    assert_int_equal(offer(l, "t", 0, 2, store_receive_time(f.s), &err), ERR_LIMIT);
    assert_int_equal(offer(l, "t", 0, 1, store_receive_time(f.s), &err), 0);
    stream_limit_free(&l);
    feed_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(new_streams_are_taken_up_to_the_limit),
           cmocka_unit_test(a_stream_without_records_takes_no_place),
           cmocka_unit_test(a_batch_is_taken_whole_or_not_at_all),
           cmocka_unit_test(the_next_day_begins_anew),
           cmocka_unit_test(a_day_that_is_over_does_not_come_back),
           cmocka_unit_test(without_a_limit_everything_is_taken),
           cmocka_unit_test(only_parts_with_new_streams_are_refused),
           cmocka_unit_test(the_first_ones_that_fit_are_taken),
           cmocka_unit_test(stdout_and_stderr_of_a_part_go_together),
           cmocka_unit_test(what_collectors_say_has_room_beyond_the_limit),
           cmocka_unit_test(what_the_store_has_of_today_is_known))
