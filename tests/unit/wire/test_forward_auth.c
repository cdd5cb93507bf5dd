/* The shared-key handshake, against digests computed elsewhere. */
#include "wire/forward_auth.h"

#include "tests/unit/wire/forward_fixture.h"

#define CLIENT_DIGEST                                                                              \
    "14a196f3297d44cdad145976b66ad00183ae8f0054b5c176f1e455768faf8da9"                             \
    "091bda6d0633d2854750fef48fa29d023294281c44d4d3d6e27171cdeb27172e"
#define SERVER_DIGEST                                                                              \
    "55859dac4b365c1a2a0d0ec9343ff67b657eee61efa424724bd17e69917d2347"                             \
    "0e65a4745b4274286b2c027ecc9b4871b3328ece8c4be62c28fc7a54ab40683e"

#define NO_KEY_DIGEST                                                                              \
    "dde823108843ea4384edd1ab1c01a0e6c7bd7ce5a04375424c293548e4d7e839"                             \
    "7dd4ba22507364eaeff636511c2aeb43632defc92d20e44c163ab94156bea4c6"

/* Salt "pepper", host names client.example and logs.example, key "secret", nonce 00 01 .. 0f. */
static const struct forward_auth fixed = {
    .nonce = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static int check(struct fixture *f, const char *digest, const char *key, struct buf *out)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "96 a4 'PING' ae 'client.example' a6 'pepper' d9 %02zx '%s' a0 a0",
                   strlen(digest), digest);
    assert_int_equal(fixture_parse(f, bytes(f->build, text)), 0);
    assert_int_equal(f->msg.kind, FORWARD_PING);
    return forward_auth_check(&fixed, &f->msg, str_of(key), STR("logs.example"), out, &f->err);
}

static void helo_draws_anew_each_time(void **state)
{
    struct fixture *f = *state;
    struct forward_auth a, b;
    struct buf out;
    struct str want;

    buf_init(&out, 1023); /* one read of Fluent Bit */
    assert_int_equal(forward_auth_helo(&a, &out, &f->err), 0);
    want = bytes(f->build, "92 a4 'HELO' 83 a5 'nonce' c4 10");
    want = bytes_join(f->build, want, (struct str){(const char *)a.nonce, 16});
    want = bytes_join(f->build, want, bytes(f->build, "a4 'auth' c4 10"));
    want = bytes_join(f->build, want, (struct str){(const char *)a.salt, 16});
    want = bytes_join(f->build, want, bytes(f->build, "a9 'keepalive' c3"));
    assert_true(str_eq(buf_str(&out), want));
    assert_int_equal(forward_auth_helo(&b, &out, &f->err), 0);
    assert_memory_not_equal(a.nonce, b.nonce, 16);
    assert_memory_not_equal(a.salt, b.salt, 16);
    buf_fini(&out);
}

static void the_right_key_is_welcome_and_answered_with_proof(void **state)
{
    struct fixture *f = *state;
    struct str want;
    struct buf out;

    buf_init(&out, 1023);
    assert_int_equal(check(f, CLIENT_DIGEST, "secret", &out), 0);
    want = bytes(f->build, "95 a4 'PONG' c3 a0 ac 'logs.example' d9 80 '" SERVER_DIGEST "'");
    assert_true(str_eq(buf_str(&out), want));
    buf_fini(&out);
}

static void anything_else_is_denied_without_proof(void **state)
{
    static const char upper[] = "14A196F3297D44CDAD145976B66AD00183AE8F0054B5C176F1E455768FAF8DA9"
                                "091BDA6D0633D2854750FEF48FA29D023294281C44D4D3D6E27171CDEB27172E";
    struct fixture *f = *state;
    const struct {
        const char *digest, *key;
    } wrong[] = {
        {CLIENT_DIGEST, "Secret"}, {SERVER_DIGEST, "secret"},     {"", "secret"},
        {upper, "secret"},         {CLIENT_DIGEST "0", "secret"}, {NO_KEY_DIGEST, ""},
    };
    struct str want;
    struct buf out;
    size_t i;

    want = bytes(f->build, "95 a4 'PONG' c2 b3 'shared_key mismatch' a0 a0");
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        buf_init(&out, 1023);
        assert_int_equal(check(f, wrong[i].digest, wrong[i].key, &out), ERR_DENIED);
        assert_true(str_eq(buf_str(&out), want));
        buf_fini(&out);
    }
}

static void data_where_ping_is_due_is_denied(void **state)
{
    struct fixture *f = *state;
    struct buf out;

    assert_int_equal(fixture_parse(f, bytes(f->build, "93 a1 't' 07 80")), 0);
    buf_init(&out, 1023);
    assert_int_equal(
        forward_auth_check(&fixed, &f->msg, STR("secret"), STR("logs.example"), &out, &f->err),
        ERR_DENIED);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

CHECK_MAIN(T(helo_draws_anew_each_time), T(the_right_key_is_welcome_and_answered_with_proof),
           T(anything_else_is_denied_without_proof), T(data_where_ping_is_due_is_denied))
