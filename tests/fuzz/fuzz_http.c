/*
 * tests/fuzz/fuzz_http.c - HTTP requests from a hostile client.
 *
 * The first byte says in what pieces the rest is fed, so that every border inside the parser is
 * met.  Whatever comes, bounds hold, views lie inside the request, and the cut makes no difference
 * to the outcome.
 */
#include "base/obj.h"
#include "wire/http_params.h"
#include "wire/http_request.h"

#include <stdint.h>
#include <string.h>

enum { HEADER_BYTES = 2048, BODY_MAX = 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    unsigned requests;
    int status;
    size_t bytes; /* of all paths and bodies, of the complete requests */
};

static void look_at(const struct http_request *r, struct outcome *o)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct http_params p = {0};
    struct err err;

    o->requests++;
    o->bytes += http_request_path(r).n + http_request_body(r).n;
    INVARIANT(http_request_body(r).n <= BODY_MAX);
    INVARIANT(http_request_path(r).n <= HEADER_BYTES);
    INVARIANT(memchr(http_request_path(r).p, 0, http_request_path(r).n) == NULL);
    INVARIANT(http_request_is_1_0(r) || http_request_header(r, STR("host")).p != NULL);
    if (http_params_parse(a, http_request_query(r), http_request_body(r), &p, &err) == 0)
        for (size_t i = 0; i < p.n; i++)
            INVARIANT(p.v[i].name.n + p.v[i].value.n <= HEADER_BYTES + BODY_MAX);
    arena_free(&a);
}

static struct outcome run(struct str s, size_t step)
{
    struct outcome o = {0};

    while (s.n > 0 && o.status == 0) {
        struct http_request *r = http_request_new(HEADER_BYTES);
        bool complete = false;
        const char *why;

        while (s.n > 0 && !complete && o.status == 0) {
            struct str piece = str_sub(s, 0, step);
            size_t before = piece.n;

            switch (http_request_feed(r, &piece)) {
            case HTTP_REQUEST_MORE:
                INVARIANT(piece.n == 0);
                break;
            case HTTP_REQUEST_HEAD:
                complete = !http_request_has_body(r);
                http_request_allow_body(r, BODY_MAX, NULL);
                break;
            case HTTP_REQUEST_DONE:
                complete = true;
                break;
            case HTTP_REQUEST_BAD:
                o.status = http_request_problem(r, &why);
                INVARIANT(why != NULL && o.status >= 400 && o.status <= 599);
                break;
            }
            s = str_from(s, before - piece.n);
        }
        if (complete)
            look_at(r, &o);
        http_request_free(&r);
    }
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s;
    struct outcome whole, pieces;

    if (size == 0)
        return 0;
    s = (struct str){(const char *)data + 1, size - 1};
    whole = run(s, SIZE_MAX);
    pieces = run(s, (size_t)data[0] + 1);
    INVARIANT(whole.requests == pieces.requests);
    INVARIANT(whole.bytes == pieces.bytes);
    INVARIANT((whole.status == 0) == (pieces.status == 0));
    return 0;
}
