/* Unit tests of wire/http_request and wire/http_params: bytes in, a request or a refusal out. */
#include "wire/http_request.h"

#include "tests/lib/check.h"
#include "wire/http_params.h"

#include <string.h>

enum { HEADER_BYTES = 16 * 1024 };

/* Feed all of `text` in pieces of `step` bytes, allowing `max` bytes of body; *left is what was not
 * used. */
static enum http_request_step feed(struct http_request *r, struct str text, size_t step, size_t max,
                                   struct str *left)
{
    enum http_request_step got = HTTP_REQUEST_MORE;

    while (text.n > 0) {
        struct str piece = str_sub(text, 0, step);
        size_t before = piece.n;

        got = http_request_feed(r, &piece);
        text = str_from(text, before - piece.n);
        if (got == HTTP_REQUEST_HEAD) {
            if (!http_request_has_body(r)) {
                got = HTTP_REQUEST_DONE;
                break;
            }
            http_request_allow_body(r, max, NULL);
        } else if (got != HTTP_REQUEST_MORE) {
            break;
        }
    }
    if (left != NULL)
        *left = text;
    return got;
}

static int status_of(const char *text)
{
    struct http_request *r = http_request_new(HEADER_BYTES);
    const char *why = NULL;
    int status = 0;

    switch (feed(r, str_of(text), SIZE_MAX, 100, NULL)) {
    case HTTP_REQUEST_BAD:
        status = http_request_problem(r, &why);
        assert_non_null(why);
        break;
    case HTTP_REQUEST_DONE:
        status = 200;
        break;
    case HTTP_REQUEST_MORE:
    case HTTP_REQUEST_HEAD:
        break;
    }
    http_request_free(&r);
    return status;
}

static void a_request_is_read_whole_at_any_cut(void **state)
{
    static const char TEXT[] =
        "POST /a%20b/c?x=1&y=%2f HTTP/1.1\r\nHost: h\r\nEmpty:\r\nX-Thing:   two words  \r\n"
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTr: x\r\n\r\n"
        "GET / HTTP/1.1\r\n";

    (void)state;
    for (size_t step = 1; step < sizeof(TEXT); step++) {
        struct http_request *r = http_request_new(HEADER_BYTES);
        struct str left = STR_NULL;

        assert_int_equal(feed(r, str_of(TEXT), step, 100, &left), HTTP_REQUEST_DONE);
        check_str(http_request_method(r), "POST");
        check_str(http_request_path(r), "/a b/c");
        check_str(http_request_query(r), "x=1&y=%2f");
        check_str(http_request_header(r, STR("x-thing")), "two words");
        assert_non_null(http_request_header(r, STR("empty")).p);
        check_str(http_request_header(r, STR("empty")), "");
        assert_null(http_request_header(r, STR("absent")).p);
        check_str(http_request_body(r), "hello world");
        assert_true(http_request_keeps_alive(r));
        check_str(left, "GET / HTTP/1.1\r\n");
        http_request_free(&r);
    }
}

static void a_body_of_known_length_ends_where_it_says(void **state)
{
    struct http_request *r = http_request_new(HEADER_BYTES);
    struct str left = STR_NULL;

    (void)state;
    assert_int_equal(feed(r, STR("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET"),
                          SIZE_MAX, 3, &left),
                     HTTP_REQUEST_DONE);
    check_str(http_request_body(r), "abc");
    assert_int_equal(http_request_announced(r), 3);
    check_str(left, "GET");
    http_request_free(&r);
}

/* The first of these passes when llhttp was built without LLHTTP_STRICT_MODE. */
static void what_smuggles_or_misleads_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(status_of("GET / HTTP/1.1\nHost: a\n\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    assert_int_equal(status_of("GET / HTTP/1.0\r\n\r\n"), 200);
    assert_int_equal(
        status_of(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            "0\r\n\r\n"),
        400);
    assert_int_equal(
        status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        400);
    assert_int_equal(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"), 400);
    assert_int_equal(
        status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na"),
        400);
    assert_int_equal(
        status_of(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        501);
    assert_int_equal(
        status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 400);
    assert_int_equal(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                     400);
}

static void a_folded_header_is_refused_at_any_cut(void **state)
{
    static const char TEXT[] = "PUT / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n";
    static const char FINE[] = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n b";

    (void)state;
    for (size_t step = 1; step < sizeof(TEXT); step++) {
        struct http_request *r = http_request_new(HEADER_BYTES);

        assert_int_equal(feed(r, str_of(TEXT), step, 0, NULL), HTTP_REQUEST_BAD);
        http_request_free(&r);
        r = http_request_new(HEADER_BYTES);
        assert_int_equal(feed(r, str_of(FINE), step, 10, NULL), HTTP_REQUEST_DONE);
        check_str(http_request_body(r), " b");
        http_request_free(&r);
    }
}

static void each_refusal_has_its_status(void **state)
{
    (void)state;
    assert_int_equal(status_of("NONSENSE\r\n\r\n"), 400);
    assert_int_equal(status_of("\x16\x03\x01\x02"), 400);
    assert_int_equal(status_of("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_int_equal(status_of("GET /%0 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_int_equal(status_of("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_int_equal(status_of("GET http://h HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_int_equal(status_of("GET http://h/x HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(status_of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_int_equal(status_of("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417);
    assert_int_equal(
        status_of("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"
                  "0123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567890123456789"),
        413);
}

static void an_offer_to_upgrade_is_declined(void **state)
{
    struct http_request *r = http_request_new(HEADER_BYTES);
    struct str left = STR_NULL;

    (void)state;
    assert_int_equal(
        feed(r, STR("GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nGET"),
             SIZE_MAX, 0, &left),
        HTTP_REQUEST_DONE);
    check_str(left, "GET");
    http_request_free(&r);
}

static void headers_are_bounded(void **state)
{
    static const char LINE[] = "X-Filler: 0123456789012345678901234567890123456789\r\n";
    struct http_request *r = http_request_new(1024);
    enum http_request_step got;
    struct str s = STR("GET / HTTP/1.1\r\n");
    const char *why;
    size_t fed = s.n;

    (void)state;
    got = http_request_feed(r, &s);
    while (got == HTTP_REQUEST_MORE && fed < 4096) {
        s = str_of(LINE);
        got = http_request_feed(r, &s);
        fed += sizeof(LINE) - 1;
    }
    assert_int_equal(got, HTTP_REQUEST_BAD);
    assert_int_equal(http_request_problem(r, &why), 431);
    assert_in_range(fed, 1024, 1024 + sizeof(LINE));
    http_request_free(&r);
}

static void trailers_are_bounded(void **state)
{
    static const char LINE[] = "X-Filler: 0123456789012345678901234567890123456789\r\n";
    struct http_request *r = http_request_new(1024);
    enum http_request_step got;
    const char *why;

    (void)state;
    got = feed(r, STR("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
               SIZE_MAX, 10, NULL);
    for (int i = 0; got == HTTP_REQUEST_MORE && i < 100; i++) {
        struct str s = str_of(LINE);
        got = http_request_feed(r, &s);
    }
    assert_int_equal(got, HTTP_REQUEST_BAD);
    assert_int_equal(http_request_problem(r, &why), 431);
    http_request_free(&r);
}

static void a_body_is_charged_to_the_budget_and_given_back(void **state)
{
    struct mem_budget budget = {.name = "test", .limit = 100 * 1024};
    char body[1000];
    const char *why;
    int refused = 0;

    (void)state;
    memset(body, 'x', sizeof(body));
    for (int want = 50; want <= 200; want += 150) { /* kilobytes: fits, does not */
        struct http_request *r = http_request_new(HEADER_BYTES);
        struct str head = STR("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        enum http_request_step got = http_request_feed(r, &head);

        assert_int_equal(got, HTTP_REQUEST_HEAD);
        http_request_allow_body(r, 1000000, &budget);
        for (int i = 0; i < want && got != HTTP_REQUEST_BAD; i++) {
            struct str s = {body, sizeof(body)};
            got = http_request_feed(r, &s);
        }
        if (got == HTTP_REQUEST_BAD) {
            refused++;
            assert_int_equal(http_request_problem(r, &why), 503);
        } else {
            assert_in_range(budget.used, (size_t)want * 1000, budget.limit);
        }
        http_request_free(&r);
        assert_int_equal(budget.used, 0);
    }
    assert_int_equal(refused, 1);
}

static void parameters_are_decoded_in_order(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct http_params p = {0};
    struct err err;

    (void)state;
    assert_int_equal(
        http_params_parse(a, STR("a=1+2&b&&=v&a=%E2%82%AC%26"), STR("c=x=y"), &p, &err), 0);
    assert_int_equal(p.n, 5);
    check_str(p.v[0].name, "c"); /* the form first */
    check_str(p.v[0].value, "x=y");
    check_str(p.v[1].name, "a");
    check_str(p.v[1].value, "1 2");
    check_str(p.v[2].name, "b");
    check_str(p.v[2].value, "");
    check_str(p.v[3].name, "");
    check_str(p.v[3].value, "v");
    check_str(p.v[4].value, "\xE2\x82\xAC&");
    assert_int_equal(http_params_parse(a, STR("a=%4"), STR_NULL, &p, &err), ERR_INVALID);
    assert_int_equal(http_params_parse(a, STR("%g0=1"), STR_NULL, &p, &err), ERR_INVALID);
    assert_int_equal(p.n, 5); /* untouched */
    arena_free(&a);
}

static void the_number_of_parameters_is_bounded(void **state)
{
    static char many[2 * HTTP_PARAMS_MAX + 2];
    struct arena *a = arena_new(NULL, 0);
    struct http_params p = {0};
    struct err err;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(many); i += 2)
        memcpy(many + i, "a&", 2);
    assert_int_equal(
        http_params_parse(a, (struct str){many, 2 * HTTP_PARAMS_MAX - 1}, STR_NULL, &p, &err), 0);
    assert_int_equal(p.n, HTTP_PARAMS_MAX);
    assert_int_equal(
        http_params_parse(a, (struct str){many, 2 * HTTP_PARAMS_MAX + 1}, STR_NULL, &p, &err),
        ERR_LIMIT);
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(a_request_is_read_whole_at_any_cut),
           cmocka_unit_test(a_body_of_known_length_ends_where_it_says),
           cmocka_unit_test(what_smuggles_or_misleads_is_refused),
           cmocka_unit_test(a_folded_header_is_refused_at_any_cut),
           cmocka_unit_test(each_refusal_has_its_status),
           cmocka_unit_test(an_offer_to_upgrade_is_declined), cmocka_unit_test(headers_are_bounded),
           cmocka_unit_test(trailers_are_bounded),
           cmocka_unit_test(a_body_is_charged_to_the_budget_and_given_back),
           cmocka_unit_test(parameters_are_decoded_in_order),
           cmocka_unit_test(the_number_of_parameters_is_bounded))
