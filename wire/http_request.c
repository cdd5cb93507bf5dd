/*
 * wire/http_request.c - llhttp in strict mode with bounds around it.  Contract: http_request.h.
 *
 * llhttp finds the borders; it bounds nothing, and it leaves rules that need the whole head to us
 * (one Host, one way to say how long the body is).  The head is gathered in one buffer and cut up
 * when it is complete, so that views into it stay.
 *
 * Invariants
 *   (1) while the head is incomplete, `head_used` bytes were fed and never more than
 * `header_bytes`; (2) body.n <= body_max, and `charged` >= body.n once a budget is set.
 */
#include "wire/http_request.h"

#include "base/obj.h"
#include "base/vec.h"
#include "wire/http_params.h"

#include <llhttp.h>
#include <string.h>

enum { HEADERS_MAX = 128, CHARGE_STEP = 64 * 1024 };

struct span { /* in `head` */
    size_t from, n;
};

struct header {
    struct span name, value;
};

struct http_request {
    unsigned magic;
#define HTTP_REQUEST_MAGIC 0x4f7d10b5u
    llhttp_t parser;
    size_t header_bytes;
    size_t head_used;
    bool head_done, done;
    bool after_lf; /* the last byte of head fed was a line feed */
    bool in_value; /* the next bytes of a value continue the last header */
    int status;    /* set by a callback that found fault */
    const char *problem;

    struct buf head; /* target, then names and values, then the decoded path */
    struct span target, path, query;
    VEC(struct header) headers;
    size_t trailer_bytes;
    bool chunked, keeps_alive, expects_continue;
    size_t announced;

    struct buf body;
    size_t body_max;
    struct mem_budget *budget;
    size_t charged;
};

static int refuse(struct http_request *r, int status, const char *problem)
{
    r->status = status;
    r->problem = problem;
    return -1;
}

static struct http_request *of(llhttp_t *p)
{
    return p->data;
}

static struct str view(const struct http_request *r, struct span s)
{
    return (struct str){r->head.p == NULL ? "" : r->head.p + s.from, s.n};
}

static void extend(struct http_request *r, struct span *s, const char *p, size_t n)
{
    if (s->n == 0)
        s->from = r->head.n;
    buf_add(&r->head, p, n); /* keeps (1): bounded by what is fed */
    s->n += n;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    extend(of(p), &of(p)->target, at, n);
    return 0;
}

static int count_trailer(struct http_request *r, size_t n)
{
    if (n > r->header_bytes - r->trailer_bytes)
        return refuse(r, 431, "the trailers are too large");
    r->trailer_bytes += n;
    return 0;
}

static int begin_header(struct http_request *r)
{
    struct header none = {0};

    if (r->headers.n >= HEADERS_MAX)
        return refuse(r, 431, "too many headers");
    VEC_PUSH(&r->headers, none);
    r->in_value = false;
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct http_request *r = of(p);

    if (r->head_done)
        return count_trailer(r, n);
    if ((r->headers.n == 0 || r->in_value) && begin_header(r) < 0)
        return -1;
    extend(r, &r->headers.p[r->headers.n - 1].name, at, n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_request *r = of(p);

    if (r->head_done)
        return count_trailer(r, n);
    extend(r, &r->headers.p[r->headers.n - 1].value, at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    of(p)->in_value = true; /* also for an empty value, which has no on_value */
    return 0;
}

static size_t count_headers(const struct http_request *r, struct str name, struct str *ret_first)
{
    size_t n = 0;

    for (size_t i = 0; i < r->headers.n; i++)
        if (str_eq_nocase(view(r, r->headers.p[i].name), name) && n++ == 0)
            *ret_first = str_trim(view(r, r->headers.p[i].value));
    return n;
}

static int check_framing(struct http_request *r)
{
    struct str value = STR_NULL;
    uint64_t length = 0;
    size_t n = count_headers(r, STR("transfer-encoding"), &value);

    if (n > 0) {
        if (r->parser.http_minor == 0)
            return refuse(r, 400, "HTTP/1.0 has no Transfer-Encoding");
        if (n > 1 || !str_eq_nocase(value, STR("chunked")))
            return refuse(r, 501, "the only Transfer-Encoding understood is chunked");
        r->chunked = true;
    }
    n = count_headers(r, STR("content-length"), &value);
    if (n > 1 || (n == 1 && r->chunked))
        return refuse(r, 400, "the length of the body is given more than once");
    if (n == 1) {
        if (!str_to_u64(value, &length) || length > SIZE_MAX)
            return refuse(r, 400, "Content-Length is no number");
        r->announced = (size_t)length;
    }
    return 0;
}

static int check_target(struct http_request *r)
{
    struct str s = view(r, r->target);
    size_t mark;
    char *dst;
    size_t n;

    if (str_starts(s, STR("http://")) || str_starts(s, STR("https://"))) {
        struct str rest = str_from(s, str_find(s, STR("//")) + 2);
        size_t slash = str_find_char(rest, '/');

        if (slash == SIZE_MAX)
            return refuse(r, 400, "the request target has no path");
        s = str_from(rest, slash);
    }
    if (!str_starts(s, STR("/")) && !str_eq(s, STR("*")))
        return refuse(r, 400, "the request target is no path");
    mark = str_find_char(s, '?');
    if (mark != SIZE_MAX)
        r->query = (struct span){(size_t)(s.p - r->head.p) + mark + 1, s.n - mark - 1};
    s = str_sub(s, 0, mark);
    mark = (size_t)(s.p - r->head.p); /* buf_room may move the buffer */
    dst = buf_room(&r->head, s.n);
    if (dst == NULL)
        return refuse(r, 431, "the request target is too long");
    n = http_params_unescape((struct str){r->head.p + mark, s.n}, false, dst);
    if (n == SIZE_MAX || memchr(dst, '\0', n) != NULL)
        return refuse(r, 400, "the path has a malformed percent escape");
    r->path = (struct span){r->head.n, n};
    r->head.n += n;
    return 0;
}

static int check_head(struct http_request *r)
{
    struct str value = STR_NULL;
    size_t n;

    if (r->head.over)
        return refuse(r, 503, "no memory for requests at the moment");
    if (r->parser.http_major != 1 || r->parser.http_minor > 1)
        return refuse(r, 505, "only HTTP/1.0 and 1.1 are spoken here");
    if (r->parser.method == HTTP_CONNECT)
        return refuse(r, 501, "CONNECT is for proxies");
    n = count_headers(r, STR("host"), &value);
    if (n > 1 || (n == 0 && r->parser.http_minor == 1))
        return refuse(r, 400, "a request has one Host header");
    n = count_headers(r, STR("expect"), &value);
    if (n > 0 && !str_eq_nocase(value, STR("100-continue")))
        return refuse(r, 417, "the only expectation understood is 100-continue");
    r->expects_continue = n > 0 && r->parser.http_minor == 1;
    return check_framing(r) < 0 ? -1 : check_target(r);
}

static int on_head(llhttp_t *p)
{
    struct http_request *r = of(p);

    r->head_done = true;
    if (check_head(r) < 0)
        return -1;
    p->upgrade = 0; /* an offer that we decline by answering as HTTP/1.1 */
    r->keeps_alive = llhttp_should_keep_alive(p) != 0;
    return HPE_PAUSED;
}

static int charge(struct http_request *r, size_t want)
{
    struct err err;
    size_t more;

    if (r->budget == NULL || want <= r->charged)
        return 0;
    more = want - r->charged;
    if (more < CHARGE_STEP)
        more = CHARGE_STEP;
    if (mem_budget_take(r->budget, more, &err) < 0)
        return refuse(r, 503, "no memory for request bodies at the moment");
    r->charged += more;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http_request *r = of(p);

    if (n > r->body_max - r->body.n)
        return refuse(r, 413, "the body is too large");
    if (charge(r, r->body.n + n) < 0)
        return -1;
    buf_add(&r->body, at, n);
    return r->body.over ? refuse(r, 503, "no memory for request bodies at the moment") : 0;
}

static int on_message(llhttp_t *p)
{
    of(p)->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t SETTINGS = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_message,
};

struct http_request *http_request_new(size_t header_bytes)
{
    struct http_request *r = mem_new(sizeof(*r));

    r->magic = HTTP_REQUEST_MAGIC;
    r->header_bytes = header_bytes;
    llhttp_init(&r->parser, HTTP_REQUEST, &SETTINGS);
    r->parser.data = r;
    buf_init(&r->head, 2 * header_bytes); /* a path is there twice, as sent and decoded */
    buf_init(&r->body, 0);
    return r;
}

void http_request_free(struct http_request **pr)
{
    struct http_request *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
    if (r->charged > 0)
        mem_budget_give(r->budget, r->charged);
    buf_fini(&r->head);
    buf_fini(&r->body);
    VEC_FINI(&r->headers);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

static enum http_request_step bad(struct http_request *r)
{
    if (r->problem == NULL) {
        r->status = 400;
        r->problem = llhttp_get_error_reason(&r->parser); /* a constant text */
        if (r->problem == NULL || r->problem[0] == '\0')
            r->problem = "this is not HTTP";
    }
    return HTTP_REQUEST_BAD;
}

/* A header over several lines (obs-fold) reads differently to everybody whom it meets on its way,
 * and llhttp lets it pass even in strict mode. */
static bool is_folded(struct http_request *r, struct str head)
{
    for (size_t i = 0; i < head.n; i++) {
        char c = head.p[i];

        if (r->after_lf && (c == ' ' || c == '\t'))
            return true;
        r->after_lf = c == '\n';
    }
    return false;
}

enum http_request_step http_request_feed(struct http_request *r, struct str *bytes)
{
    struct str s = *bytes;
    bool had_head;
    llhttp_errno_t e;
    size_t used;

    OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
    INVARIANT(!r->done && r->problem == NULL);
    had_head = r->head_done;
    if (!had_head)
        s = str_sub(s, 0, r->header_bytes - r->head_used);
    else if (llhttp_get_errno(&r->parser) == HPE_PAUSED)
        llhttp_resume(&r->parser);
    e = llhttp_execute(&r->parser, s.p, s.n);
    used = e == HPE_OK ? s.n : (size_t)(llhttp_get_error_pos(&r->parser) - s.p);
    if (e != HPE_OK && e != HPE_PAUSED)
        return bad(r);
    if (!had_head && is_folded(r, str_sub(s, 0, used))) {
        (void)refuse(r, 400, "a header goes over several lines");
        return bad(r);
    }
    *bytes = str_from(*bytes, used);
    if (!had_head)
        r->head_used += used;
    if (e == HPE_PAUSED)
        return r->done ? HTTP_REQUEST_DONE : HTTP_REQUEST_HEAD;
    if (!r->head_done && r->head_used >= r->header_bytes) {
        (void)refuse(r, 431, "request line and headers are too large: long parameters go by POST");
        return bad(r);
    }
    return HTTP_REQUEST_MORE;
}

void http_request_allow_body(struct http_request *r, size_t max, struct mem_budget *budget)
{
    OBJ_CHECK(r, HTTP_REQUEST_MAGIC);
    INVARIANT(r->body.n == 0 && r->charged == 0);
    r->body_max = max;
    r->budget = budget;
    buf_init(&r->body, max);
}

int http_request_problem(const struct http_request *r, const char **ret_text)
{
    *ret_text = r->problem;
    return r->status;
}

struct str http_request_method(const struct http_request *r)
{
    return str_of(llhttp_method_name((llhttp_method_t)r->parser.method));
}

struct str http_request_path(const struct http_request *r)
{
    return view(r, r->path);
}

struct str http_request_query(const struct http_request *r)
{
    return view(r, r->query);
}

struct str http_request_header(const struct http_request *r, struct str name)
{
    struct str value = STR_NULL;

    (void)count_headers(r, name, &value);
    return value;
}

bool http_request_has_body(const struct http_request *r)
{
    return r->chunked || r->announced > 0;
}

size_t http_request_announced(const struct http_request *r)
{
    return r->announced;
}

bool http_request_keeps_alive(const struct http_request *r)
{
    return r->keeps_alive;
}

bool http_request_is_1_0(const struct http_request *r)
{
    return r->parser.http_minor == 0;
}

bool http_request_expects_continue(const struct http_request *r)
{
    return r->expects_continue;
}

struct str http_request_body(const struct http_request *r)
{
    return buf_str(&r->body);
}
