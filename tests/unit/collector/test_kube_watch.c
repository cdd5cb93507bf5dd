/* Unit tests of collector/kube_watch: streams cut anywhere, pages, and what is neither. */
#include "collector/kube_watch.h"

#include "base/hash.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static struct kube_watch w;
static struct buf seen;
static struct arena *a;
static struct err err;
static int stop_at; /* this line ends the feed; 0: none does */

static int setup(void **state)
{
    (void)state;
    kube_watch_init(&w);
    buf_init(&seen, 16 << 20);
    a = arena_new(NULL, 1 << 20);
    stop_at = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kube_watch_fini(&w);
    buf_fini(&seen);
    arena_free(&a);
    return 0;
}

static int on_line(void *arg, struct str line)
{
    (void)arg;
    buf_add_str(&seen, line);
    buf_add_char(&seen, '|');
    return stop_at > 0 && --stop_at == 0 ? 7 : 0;
}

static int feed(const char *text)
{
    return kube_watch_feed(&w, str_of(text), on_line, NULL);
}

static void lines_are_the_same_however_they_are_cut(void **state)
{
    static const char TEXT[] =
        "{\"a\":1}\n\n{\"b\":\"x y\"}\r\n  \n{\"c\":[1,2,3]}\n{\"d\":4}\nrest";

    (void)state;
    for (uint64_t round = 0; round < 2000; round++) {
        struct str rest = STR(TEXT);
        uint64_t dice = round;
        kube_watch_begin(&w);
        buf_clear(&seen);
        while (rest.n > 0) {
            size_t n;
            dice = hash_bytes(&dice, sizeof(dice), 1);
            n = 1 + (size_t)(dice % 9);
            assert_int_equal(kube_watch_feed(&w, str_sub(rest, 0, n), on_line, NULL), 0);
            rest = str_from(rest, n);
        }
        check_str(buf_str(&seen), "{\"a\":1}|{\"b\":\"x y\"}|{\"c\":[1,2,3]}|{\"d\":4}|");
    }
    assert_int_equal(feed("!\n"), 0);
    assert_true(str_ends(buf_str(&seen), STR("|rest!|")));
}

static void a_new_stream_forgets_half_a_line(void **state)
{
    (void)state;
    assert_int_equal(feed("half"), 0);
    kube_watch_begin(&w);
    assert_int_equal(feed("whole\n"), 0);
    check_str(buf_str(&seen), "whole|");
}

static void who_has_had_enough_ends_it(void **state)
{
    (void)state;
    stop_at = 2;
    assert_int_equal(feed("a\nb\nc\n"), 7);
    check_str(buf_str(&seen), "a|b|");
}

static void a_line_that_is_too_long_is_passed_over(void **state)
{
    size_t n = KUBE_WATCH_LINE_MAX + 1;
    char *line = malloc(n + 2);

    (void)state;
    assert_non_null(line);
    memset(line, 'x', n);
    memcpy(line + n, "\n", 2);
    assert_int_equal(feed("a\n"), 0);
    assert_int_equal(feed(line), 0); /* at once */
    line[n] = '\0';
    assert_int_equal(feed(line), 0); /* and in pieces */
    assert_int_equal(feed(line), 0);
    assert_int_equal(feed("yy\nb\n"), 0);
    check_str(buf_str(&seen), "a|b|");
    assert_int_equal(w.too_long, 2);
    line[n - 1] = '\n'; /* the longest that is taken */
    assert_int_equal(feed(line), 0);
    assert_int_equal(seen.n, 4 + n);
    free(line);
}

static void a_stream_has_an_end(void **state)
{
    (void)state;
    w.bytes = KUBE_WATCH_STREAM_MAX - 2;
    assert_int_equal(feed("a\n"), 0);
    assert_int_equal(feed("b\n"), ERR_LIMIT);
    kube_watch_begin(&w);
    assert_int_equal(feed("c\n"), 0);
    check_str(buf_str(&seen), "a|c|");
}

static enum kube_watch_type type_of(const char *line)
{
    struct kube_watch_event e;

    if (kube_watch_event(str_of(line), a, &e, &err) < 0)
        fail_msg("%s: %s", line, err.text);
    check_str(e.object, "{\"x\":[1]}");
    return e.type;
}

static void events_are_told_apart(void **state)
{
    static const char *const BAD[] = {"",
                                      "7",
                                      "{}",
                                      "{\"type\":\"ADDED\"}",
                                      "{\"object\":{}}",
                                      "{\"type\":1,\"object\":{}}",
                                      "{\"type\":\"ADDED\",\"object\":{}",
                                      "{\"type\":\"ADDED\",\"object\":{}}{}"};
    struct kube_watch_event e;

    (void)state;
    assert_int_equal(type_of("{\"type\":\"ADDED\",\"object\":{\"x\":[1]}}"), KUBE_WATCH_SET);
    assert_int_equal(type_of("{\"object\":{\"x\":[1]},\"type\":\"MODIFIED\"}"), KUBE_WATCH_SET);
    assert_int_equal(type_of("{\"type\":\"DELETED\",\"object\":{\"x\":[1]},\"z\":{}}"),
                     KUBE_WATCH_DELETED);
    assert_int_equal(type_of("{\"type\":\"BOOKMARK\",\"object\":{\"x\":[1]}}"),
                     KUBE_WATCH_BOOKMARK);
    assert_int_equal(type_of("{\"type\":\"ERROR\",\"object\":{\"x\":[1]}}"), KUBE_WATCH_ERROR);
    assert_int_equal(type_of("{\"type\":\"NEWS\",\"object\":{\"x\":[1]}}"), KUBE_WATCH_OTHER);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_int_equal(kube_watch_event(str_of(BAD[i]), a, &e, &err), ERR_CORRUPT);
}

static int code_of(const char *object)
{
    struct kube_watch_status s;

    kube_watch_status(str_of(object), a, &s);
    return s.code;
}

static struct str message_of(const char *object)
{
    struct kube_watch_status s;

    kube_watch_status(str_of(object), a, &s);
    return s.message;
}

static void an_error_has_a_code_and_a_message(void **state)
{
    (void)state;
    assert_int_equal(code_of("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}"), 410);
    assert_int_equal(code_of("{\"code\":\"410\"}"), 0);
    assert_int_equal(code_of("{\"code\":-1}"), 0);
    assert_int_equal(code_of("{\"code\":99999999999999999999}"), 0);
    assert_int_equal(code_of("null"), 0);
    assert_int_equal(code_of("{"), 0);
    assert_int_equal(code_of("<html>"), 0);
    check_str(message_of("{\"message\":\"pods is forbidden: \\u0022x\\u0022\",\"code\":403}"),
              "pods is forbidden: \"x\"");
    assert_int_equal(message_of("{\"code\":403}").n, 0);
    assert_int_equal(message_of("{\"message\":{\"a\":1}}").n, 0);
    assert_int_equal(message_of("no").n, 0);
}

static void on_object(void *arg, struct str object)
{
    (void)on_line(arg, object);
}

static int page(const char *text, struct kube_watch_page *ret)
{
    buf_clear(&seen);
    return kube_watch_page(str_of(text), a, on_object, NULL, ret, &err);
}

static void a_page_has_items_and_where_to_go_on(void **state)
{
    struct kube_watch_page got;

    (void)state;
    assert_int_equal(
        page("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{"
             "\"resourceVersion\":\"77\",\"continue\":\"e\\u0079J=\",\"remainingItemCount\":"
             "3},\"items\":[{\"a\":1},{\"b\":{\"c\":[]}}]}\n",
             &got),
        0);
    check_str(got.version, "77");
    check_str(got.more, "eyJ=");
    check_str(buf_str(&seen), "{\"a\":1}|{\"b\":{\"c\":[]}}|");
    assert_int_equal(page("{\"items\":null,\"metadata\":{\"resourceVersion\":\"9\"}}", &got), 0);
    assert_int_equal(got.more.n, 0);
    assert_int_equal(seen.n, 0);
}

static void what_is_no_list_is_not_taken_for_an_empty_one(void **state)
{
    static const char *const BAD[] = {
        "",
        "<html>",
        "{}",
        "{\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":\"1\"}}",
        "{\"metadata\":{},\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":7},\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":\"1&x\"},\"items\":[]}",
        "{\"metadata\":[],\"items\":[]}",
        "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":{}}",
        "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[1}",
        "{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}x",
    };
    struct kube_watch_page got;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (page(BAD[i], &got) != ERR_CORRUPT)
            fail_msg("'%s' was taken", BAD[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(lines_are_the_same_however_they_are_cut), TEST(a_new_stream_forgets_half_a_line),
           TEST(who_has_had_enough_ends_it), TEST(a_line_that_is_too_long_is_passed_over),
           TEST(a_stream_has_an_end), TEST(events_are_told_apart),
           TEST(an_error_has_a_code_and_a_message), TEST(a_page_has_items_and_where_to_go_on),
           TEST(what_is_no_list_is_not_taken_for_an_empty_one))
