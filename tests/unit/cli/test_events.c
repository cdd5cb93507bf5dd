/* query/cli/events.c: wherever the bytes are cut, the same events come. */
#include "query/cli/events.h"

#include "tests/lib/check.h"

#include <string.h>

struct seen {
    struct buf text;
    const char *stop_at; /* data */
    int with;
};

static int note(void *arg, struct str name, struct str data, struct err *err)
{
    struct seen *s = arg;

    (void)err;
    buf_addf(&s->text, "[%.*s|%.*s]", STR_ARG(name), STR_ARG(data));
    return s->stop_at != NULL && str_eq(data, str_of(s->stop_at)) ? s->with : 0;
}

static const char STREAM[] =
    ":\n\nid: 7\ndata: {\"a\":1}\n\nevent: dropped\ndata: {\"entries\":3}\n\n"
    "data:x: y\r\ndata: z\r\n\r\nid: 8\n\nretry: 5\nevent: e\n\n"
    "data\n\ndata: last\n\ndata: not over\n";
static const char SEEN[] = "[|{\"a\":1}][dropped|{\"entries\":3}][|x: y\nz][|][|last]";

static void the_same_events_wherever_it_is_cut(void **state)
{
    struct str all = str_of(STREAM);

    (void)state;
    for (size_t cut = 0; cut <= all.n; cut++) {
        struct seen s = {.stop_at = NULL};
        struct events e;
        struct err err;

        buf_init(&s.text, 4096);
        events_init(&e);
        assert_int_equal(events_take(&e, str_sub(all, 0, cut), note, &s, &err), 0);
        assert_int_equal(events_take(&e, str_from(all, cut), note, &s, &err), 0);
        check_str(buf_str(&s.text), SEEN);
        events_fini(&e);
        buf_fini(&s.text);
    }
}

static void what_comes_behind_a_stop_is_kept(void **state)
{
    struct seen s = {.stop_at = "{\"entries\":3}", .with = 1};
    struct events e;
    struct err err;

    (void)state;
    buf_init(&s.text, 4096);
    events_init(&e);
    assert_int_equal(events_take(&e, str_of(STREAM), note, &s, &err), 1);
    check_str(buf_str(&s.text), "[|{\"a\":1}][dropped|{\"entries\":3}]");
    assert_int_equal(events_take(&e, STR(""), note, &s, &err), 0);
    check_str(buf_str(&s.text), SEEN);
    events_fini(&e);
    buf_fini(&s.text);
}

static void an_error_is_passed_on(void **state)
{
    struct seen s = {.stop_at = "last", .with = ERR_IO};
    struct events e;
    struct err err;

    (void)state;
    buf_init(&s.text, 4096);
    events_init(&e);
    assert_int_equal(events_take(&e, str_of(STREAM), note, &s, &err), ERR_IO);
    events_fini(&e);
    buf_fini(&s.text);
}

static void an_event_without_an_end_is_refused(void **state)
{
    static char much[1 << 20];
    struct events e;
    struct err err;
    int r = 0;

    (void)state;
    memset(much, 'x', sizeof(much));
    events_init(&e);
    for (int i = 0; r == 0 && i < 100; i++)
        r = events_take(&e, (struct str){much, sizeof(much)}, note, NULL, &err);
    assert_int_equal(r, ERR_LIMIT);
    events_fini(&e);
}

CHECK_MAIN(cmocka_unit_test(the_same_events_wherever_it_is_cut),
           cmocka_unit_test(what_comes_behind_a_stop_is_kept),
           cmocka_unit_test(an_error_is_passed_on),
           cmocka_unit_test(an_event_without_an_end_is_refused))
