/* Pushes in protobuf and snappy, and the other ways to pack a body. */
#include "tests/unit/server/caller.h"

#include <snappy-c.h>
#include <zlib.h>

/* ---- protobuf by hand ---- */

static void put_varint(struct buf *b, uint64_t v)
{
    for (; v > 127; v >>= 7)
        buf_add_char(b, (char)(unsigned char)(0x80u | (v & 0x7f)));
    buf_add_char(b, (char)(unsigned char)v);
}

static void put_bytes(struct buf *b, unsigned field, struct str s)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, s.n);
    buf_add_str(b, s);
}

static void put_number(struct buf *b, unsigned field, uint64_t v)
{
    put_varint(b, field << 3);
    put_varint(b, v);
}

static void put_entry(struct buf *stream, uint64_t seconds, uint64_t ns, const char *line,
                      const char *name)
{
    struct buf time, pair, entry;

    buf_init(&time, 64);
    buf_init(&pair, 1024);
    buf_init(&entry, 1 << 16);
    put_number(&time, 1, seconds);
    put_number(&time, 2, ns);
    put_bytes(&entry, 1, buf_str(&time));
    put_bytes(&entry, 2, str_of(line));
    if (name != NULL) {
        put_bytes(&pair, 1, str_of(name));
        put_bytes(&pair, 2, STR("v"));
        put_bytes(&entry, 3, buf_str(&pair));
    }
    put_bytes(stream, 2, buf_str(&entry));
    buf_fini(&time);
    buf_fini(&pair);
    buf_fini(&entry);
}

static void pack(struct buf *out, struct str body)
{
    size_t n = snappy_max_compressed_length(body.n);
    char *p = buf_room(out, n);

    assert_non_null(p);
    assert_int_equal(snappy_compress(body.p, body.n, p, &n), SNAPPY_OK);
    out->n += n;
}

static struct request proto_of(struct buf *packed, struct str body)
{
    struct request r;

    buf_init(packed, 1 << 20);
    pack(packed, body);
    r = push_of(buf_str(packed));
    r.type = "application/x-protobuf";
    return r;
}

static void protobuf_is_taken_as_json_is(void **state)
{
    struct fixture *f = *state;
    struct buf stream, body, packed;
    struct request r;

    buf_init(&stream, 1 << 16);
    buf_init(&body, 1 << 16);
    put_entry(&stream, 1768003200, 7, "first", NULL);
    put_bytes(&stream, 1, STR("{app=\"web\", env=\"a\\\"b\"}")); /* behind an entry: any order */
    put_entry(&stream, 1768003200, 8, "second", "trace");
    put_number(&stream, 3, UINT64_MAX); /* a hash, which nobody needs */
    put_bytes(&body, 1, buf_str(&stream));
    put_bytes(&body, 9, STR("from the future"));
    r = proto_of(&packed, buf_str(&body));
    check(f, &r, 204, NULL);
    r.encoding = "snappy"; /* some say so */
    check(f, &r, 204, NULL);
    feed_check(&f->w->feed, "default", "first\nfirst\nsecond\nsecond\n");
    check_get(f, "/loki/api/v1/series?" DAY, 200,
              "[{\"app\":\"web\",\"env\":\"a\\\"b\",\"service_name\":\"web\"}]");
    check_get(f,
              "/loki/api/v1/query_range?query={app=%22web%22}|trace=%22v%22&direction=forward&" DAY,
              200, "[\"1768003200000000008\",\"second\"]");
    buf_fini(&stream);
    buf_fini(&body);
    buf_fini(&packed);
}

static void a_push_without_entries_is_fine(void **state)
{
    struct fixture *f = *state;
    struct buf packed;
    struct request r = proto_of(&packed, STR(""));

    check(f, &r, 204, NULL);
    buf_fini(&packed);
}

/* Durable is what could be, then the client hears of the rest. */
static void a_push_may_be_stored_in_part(void **state)
{
    struct fixture *f = *state;
    struct buf stream, body, packed;
    struct request r = push_of(STR(
        "{\"streams\":[{\"stream\":{\"a b\":\"c\"},\"values\":[[\"1768003200000000001\",\"bad\"]]},"
        "{\"stream\":{\"app\":\"web\"},\"values\":[[\"1768003200000000002\",\"good\"]]}]}"));

    check(f, &r, 400,
          "push: 1 of 2 entries refused, the others are stored: 'a b' is no label name");
    feed_check(&f->w->feed, "default", "good\n");
    buf_init(&body, 1 << 16);
    for (int i = 0; i < 4; i++) {
        static const char *const LABELS[] = {"{app=web}", "{}", "{a=\"b\"}", "{a=\"b\"}"};
        buf_init(&stream, 1 << 16);
        put_bytes(&stream, 1, str_of(LABELS[i]));
        put_entry(&stream, 1768003200, 3, i < 2 ? "bad" : "fine", NULL);
        put_bytes(&body, 1, buf_str(&stream));
        buf_fini(&stream);
    }
    r = proto_of(&packed, buf_str(&body));
    check(f, &r, 400, "push: 2 of 4 entries refused, the others are stored: labels of the stream");
    check(f, &r, 400, "; error at least one label pair is required per stream\n");
    feed_check(&f->w->feed, "default", "good\nfine\nfine\nfine\nfine\n");
    assert_int_equal(metric_get(METRIC_PUSH_REFUSED_RECORDS), 5);
    assert_int_equal(metric_get(METRIC_PUSH_REJECTED), 3);
    buf_fini(&packed);
    buf_fini(&body);
}

static void protobuf_that_cannot_be_says_why(void **state)
{
    static const struct {
        const char *labels;
        uint64_t seconds, ns;
        const char *says;
    } CASES[] = {
        {"{}", 1, 1, "at least one label pair is required per stream"},
        {"{app=web}", 1, 1, "labels of the stream at byte 4"},
        {"{app=\"web\"} ", 1, 1000000000, "timestamp at byte"},
        {"{app=\"web\"}", INT64_MAX, 1, "timestamp at byte"},
    };
    struct fixture *f = *state;
    struct buf stream, body, packed;
    struct request r;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        buf_init(&stream, 1 << 16);
        buf_init(&body, 1 << 16);
        put_bytes(&stream, 1, str_of(CASES[i].labels));
        put_entry(&stream, CASES[i].seconds, CASES[i].ns, "x", NULL);
        put_bytes(&body, 1, buf_str(&stream));
        r = proto_of(&packed, buf_str(&body));
        check(f, &r, 400, CASES[i].says);
        buf_fini(&packed);
        buf_fini(&body);
        buf_fini(&stream);
    }
    r = proto_of(&packed, STR("\x0a\x05{app"));
    check(f, &r, 400, "the protobuf breaks off at byte 0");
    r.body = STR("{\"streams\":[]}"); /* JSON under the wrong name */
    check(f, &r, 400, "not snappy");
    feed_check(&f->w->feed, "default", "");
    buf_fini(&packed);
}

/* Every way to cut a message short is an error or a shorter push, never more. */
static void protobuf_cut_anywhere_is_no_crash(void **state)
{
    struct fixture *f = *state;
    struct buf stream, body, packed;

    buf_init(&stream, 1 << 16);
    buf_init(&body, 1 << 16);
    put_bytes(&stream, 1, STR("{a=\"b\"}"));
    put_entry(&stream, 1768003200, 7, "first", "trace");
    put_bytes(&body, 1, buf_str(&stream));
    for (size_t n = 1; n < body.n; n++) {
        struct request r = proto_of(&packed, str_sub(buf_str(&body), 0, n));
        check(f, &r, 400, "breaks off");
        buf_fini(&packed);
    }
    buf_fini(&body);
    buf_fini(&stream);
}

/* ---- packings ---- */

static void pack_deflate(struct buf *out, struct str s, int window)
{
    union {
        const char *in;
        Bytef *z;
    } from = {.in = s.p};
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = from.z;
    z.avail_in = (uInt)s.n;
    z.next_out = (Bytef *)buf_room(out, 4096);
    z.avail_out = 4096;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n += 4096 - z.avail_out;
    (void)deflateEnd(&z);
}

static void deflate_comes_with_a_header_or_without(void **state)
{
    struct fixture *f = *state;
    struct request r;
    struct buf b;

    for (int raw = 0; raw <= 1; raw++) {
        buf_init(&b, 1 << 16);
        pack_deflate(&b, STR(ONE_LINE), raw == 1 ? -15 : 15);
        r = push_of(buf_str(&b));
        r.encoding = "deflate";
        check(f, &r, 204, NULL);
        r.body.n -= 6;
        check(f, &r, 400, NULL);
        buf_fini(&b);
    }
    buf_init(&b, 1 << 16);
    pack(&b, STR(ONE_LINE));
    r = push_of(buf_str(&b));
    r.encoding = "snappy";
    check(f, &r, 204, NULL);
    feed_check(&f->w->feed, "default", "hello\nhello\nhello\n");
    buf_fini(&b);
}

/* ---- imports ---- */

static void import(struct fixture *f, const char *number, const char *line)
{
    struct request r = {.method = "POST", .token = ADMIN};
    char target[512], body[256];

    (void)snprintf(target, sizeof(target), "/api/v1/import?batch=%s", number);
    (void)snprintf(body, sizeof(body),
                   "{\"ts_ns\":\"1768003200000000007\",\"labels\":{\"a\":\"b\"},\"line\":\"%s\"}",
                   line);
    r.target = target;
    r.body = str_of(body);
    check(f, &r, 204, NULL);
}

/* A number that is as long as an identity may be leaves no room in it for what tells two apart. */
static void a_batch_is_stored_once_however_its_number_is_written(void **state)
{
    struct fixture *f = *state;
    char number[302];

    memset(number, '0', sizeof(number));
    number[sizeof(number) - 2] = '7';
    number[sizeof(number) - 1] = '\0';
    import(f, number, "one");
    import(f, number, "two");
    import(f, "7", "one");
    feed_check(&f->w->feed, "default", "one\ntwo\n");
}

CHECK_MAIN(T(protobuf_is_taken_as_json_is), T(a_push_without_entries_is_fine),
           T(a_push_may_be_stored_in_part), T(protobuf_that_cannot_be_says_why),
           T(protobuf_cut_anywhere_is_no_crash), T(deflate_comes_with_a_header_or_without),
           T(a_batch_is_stored_once_however_its_number_is_written))
