/* Unit tests of collector/redact: what each detector takes out, and what only looks like it. */
#include "tests/unit/collector/redact_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct str clean(unsigned types, const char *text)
{
    return clean_bytes(types, str_of(text));
}

struct sample {
    const char *text, *clean; /* NULL: nothing is taken out */
};

/* Each alone, and somewhere in a longer line, and with every detector on. */
static void check_samples(const char *type, const struct sample *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *want = v[i].clean == NULL ? v[i].text : v[i].clean;
        check_str(clean(redact_by_name(str_of(type)), v[i].text), want);
        for (size_t at = 0; at < 70; at++) {
            char text[2048], expected[2048], before[80];
            memset(before, '#', at);
            before[at] = '\0';
            (void)snprintf(text, sizeof(text), "%s %s %s", before, v[i].text, before);
            (void)snprintf(expected, sizeof(expected), "%s %s %s", before, want, before);
            check_str(clean(redact_by_name(str_of(type)), text), expected);
        }
    }
}
#define CHECK(type, v) check_samples(type, v, sizeof(v) / sizeof((v)[0]))

static void bearer(void **state)
{
    static const struct sample V[] = {
        {"Authorization: Bearer mF_9.B5f-4.1JqM", "Authorization: Bearer [redacted:bearer]"},
        {"authorization: bearer abcd1234==", "authorization: bearer [redacted:bearer]"},
        {"\"BEARER  a1b2c3d4\"", "\"BEARER  [redacted:bearer]\""},
        {"Bearer abcdefghijklmnopqrst", "Bearer [redacted:bearer]"},
        {"{\"h\":\"Bearer x/y+z~0123\",\"n\":1}", "{\"h\":\"Bearer [redacted:bearer]\",\"n\":1}"},
        {"?h=Bearer%20a1b2c3d4%3D%3D&x", "?h=Bearer%20[redacted:bearer]&x"},
        {"Bearer\\u0020a1b2c3d4", "Bearer\\u0020[redacted:bearer]"},
        {"h=Bearer+a1b2c3d4&x", "h=Bearer+[redacted:bearer]&x"},
        {"\"Bearer ab\\/cd\\u002Bef12\\u003d\"", "\"Bearer [redacted:bearer]\""},
        {"bearer of good news", NULL},
        {"bearer certificate", NULL},
        {"Bearer a1b2c3d", NULL},
        {"Bearer", NULL},
        {"forbearer 12", NULL},
        {"a rer 12345678901234567890", NULL},
    };

    (void)state;
    CHECK("bearer", V);
}

static void cloud_keys(void **state)
{
    static const struct sample V[] = {
        {"AKIAIOSFODNN7EXAMPLE", "[redacted:cloud_key]"},
        {"key=ASIAIOSFODNN7EXAMPLE,x", "key=[redacted:cloud_key],x"},
        {"aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
         "aws_secret_access_key = [redacted:cloud_key]"},
        {"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
         "AWS_SECRET_ACCESS_KEY=[redacted:cloud_key]"},
        {"{\"SecretAccessKey\": \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}",
         "{\"SecretAccessKey\": \"[redacted:cloud_key]\"}"},
        {"AIzaSyA-0123456789abcdefghijklmnopqrstu", "[redacted:cloud_key]"},
        {"ya29.a0AfH6SMBx1234567890abc", "[redacted:cloud_key]"},
        {"ghp_0123456789abcdefghijABCDEFGHIJ012345", "[redacted:cloud_key]"},
        {"ghs_0123456789abcdefghijABCDEFGHIJ012345", "[redacted:cloud_key]"},
        {"github_pat_11ABCDEFG0abcdefghijkl_mn", "[redacted:cloud_key]"},
        {"glpat-abcDEF123456-7890_xyz", "[redacted:cloud_key]"},
        {"xoxb-123456789012-abcdefABCDEF", "[redacted:cloud_key]"},
        {"sk_live_0123456789abcdefABCDEFgh", "[redacted:cloud_key]"},
        {"rk_live_0123456789abcdefABCDEFgh", "[redacted:cloud_key]"},
        {"dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
         "[redacted:cloud_key]"},
        {"AccountKey=0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789abcdef==;",
         "AccountKey=[redacted:cloud_key];"},
        {"{\"secretAccessKey\":\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"}",
         "{\"secretAccessKey\":\"[redacted:cloud_key]\"}"},
        {"secretAccessKey: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
         "secretAccessKey: [redacted:cloud_key]"},
        {"<SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey>",
         "<SecretAccessKey>[redacted:cloud_key]</SecretAccessKey>"},
        {"\\u003cSecretAccessKey\\u003ewJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\\u003c",
         "\\u003cSecretAccessKey\\u003e[redacted:cloud_key]\\u003c"},
        {"{\"SecretAccessKey\":\"\\/JalrXUtnFEMI\\/K7MDENG\\/bPxRfiCYEXAMPLE\\u002BEY\"}",
         "{\"SecretAccessKey\":\"[redacted:cloud_key]\"}"},
        {"{\\\"SecretAccessKey\\\": \\\"wJalrXUtnFEMI\\\\\\/K7MDENG/bPxRfiCYEXAMPLEKEY\\\"}",
         "{\\\"SecretAccessKey\\\": \\\"[redacted:cloud_key]\\\"}"},
        {"AccountKey\\u003d01234567890123456789012345678901234567890123456789012345678901234567"
         "89\\u002B123456789abcdef\\u003d\\u003d;",
         "AccountKey\\u003d[redacted:cloud_key];"},
        {"ya29.c.b0AXv0zTPx-1234567890.abc_d end", "[redacted:cloud_key] end"},
        {"ya29.a0AfH6SMBx1234567890abc. Then", "[redacted:cloud_key]. Then"},
        {"glpat-abcDEF123456-7890_xyz.01.0z1abcdef", "[redacted:cloud_key]"},
        {"xapp-1-A0123456789-1234567890123-abcdef", "[redacted:cloud_key]"},
        {"xoxc-123456789012-abcdefABCDEF", "[redacted:cloud_key]"},
        {"d=xoxd-abcdefABCDEF%2B0123%2F456%3D; x", "d=[redacted:cloud_key]; x"},
        {"xoxe-1-abcdefABCDEF0123456789", "[redacted:cloud_key]"},
        {"xoxe.xoxp-1-abcdefABCDEF0123456789", "[redacted:cloud_key]"},
        {"ghp_0123456789abcdefghijABCDEFGHIJ012345_6", "[redacted:cloud_key]"},
        {"AKIAIOSFODNN7EXAMPL", NULL},
        {"AKIAIOSFODNN7EXAMPLEX", NULL},
        {"xAKIAIOSFODNN7EXAMPLE", NULL},
        {"AKIAiosfodnn7example", NULL},
        {"ACCEPTED", NULL},
        {"ghp_short", NULL},
        {"task_live_0123456789abcdefABCDEFgh", NULL},
        {"SecretAccessKey is set", NULL},
        {"AccountKey=short", NULL},
        {"webapp-12345678901234567890", NULL},
        {"secretAccessKey: a/relative/path/of/some/file/as/long/as/it", NULL},
        {"boxox-1", NULL},
    };

    (void)state;
    CHECK("cloud_key", V);
}

static void jwt(void **state)
{
    static const struct sample V[] = {
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
         "[redacted:jwt]"},
        {"t=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.; next", "t=[redacted:jwt]; next"},
        {"eyJhbGciOiJSU0EifQ.encryptedkey.iv123456.ciphertext.tag12345 end", "[redacted:jwt] end"},
        {"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc. Then", "token [redacted:jwt]. Then"},
        {"eyJhbGciOiJIUzI1NiJ9", NULL},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", NULL},
        {"keyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.x", NULL},
        {"eyJ.eyJ.x", NULL},
        {"eyJhbGciOiJIUzI1NiJ9..abcdefgh", NULL},
    };

    (void)state;
    CHECK("jwt", V);
}

static void cards(void **state)
{
    static const struct sample V[] = {
        {"4111111111111111", "[redacted:card]"},
        {"4111 1111 1111 1111", "[redacted:card]"},
        {"4111-1111-1111-1111", "[redacted:card]"},
        {"378282246310005", "[redacted:card]"},
        {"3782 822463 10005", "[redacted:card]"},
        {"5555555555554444,", "[redacted:card],"},
        {"2223003122003222", "[redacted:card]"},
        {"6011111111111117", "[redacted:card]"},
        {"30569309025904", "[redacted:card]"},
        {"3530111333300000", "[redacted:card]"},
        {"4111111111111111 5555555555554444", "[redacted:card] [redacted:card]"},
        {"4111 1111 1111 1111 5555 5555 5555 4444", "[redacted:card] [redacted:card]"},
        {"4222222222222", "[redacted:card]"},
        {"{\"m\":\"x: 4111111111111111\"}", "{\"m\":\"x: [redacted:card]\"}"},
        {"2200770212727079", "[redacted:card]"}, /* Mir */
        {"6759649826438453", "[redacted:card]"}, /* Maestro */
        {"4111111111111112", NULL},              /* checksum */
        {"1111111111111117", NULL},              /* nobody's */
        {"411111111111111", NULL},               /* a digit short */
        {"41111111111111111", NULL},             /* one too many */
        {"x4111111111111111", NULL},             /* part of a word */
        {"4111111111111111ab", NULL},            /* a hash */
        {"0.4111111111111111", NULL},            /* a fraction */
        {"4111111111111111.5", NULL},            /* a number */
        {"1700000000123456789", NULL},           /* a time */
        {"2026-11-21 10-11-12 2026", NULL},      /* dates */
        {"41 11 11 11 11 11 11 11", NULL},       /* no such groups */
        {"4111 1111-1111 1111", NULL},           /* nor separators */
        {"--------------------------------", NULL},
    };

    (void)state;
    CHECK("card", V);
}

static void emails(void **state)
{
    static const struct sample V[] = {
        {"joe@example.com", "[redacted:email]"},
        {"<joe.doe+tag@mail.example.co.uk>", "<[redacted:email]>"},
        {"to=a@b.de, cc=c@d.io.", "to=[redacted:email], cc=[redacted:email]."},
        {"{\"mail\":\"x_y%z@ex-ample.org\"}", "{\"mail\":\"[redacted:email]\"}"},
        {"bob@example.com-to", "[redacted:email]-to"},
        {"<joe@xn--bcher-kva.xn--p1ai>", "<[redacted:email]>"},
        {"/u?mail=bob%40example.com&x", "/u?mail=[redacted:email]&x"},
        {"/u%3Fmail%3Dbob.b%2Btag%40example.com%26x", "/u%3Fmail%3D[redacted:email]%26x"},
        {"mail%3Dbob%2540example.com", "mail%3D[redacted:email]"},
        {"bob\\u002Btag@example.com", "[redacted:email]"},
        {"\\u0027bob@example.com\\u0027", "\\u0027[redacted:email]\\u0027"},
        {"/%40babel%2Fcore", NULL},
        {"x%40localhost", NULL},
        {"getty@tty1.service-x", NULL},
        {"user@localhost", NULL},
        {"getty@tty1.service", NULL},
        {"@example.com", NULL},
        {"pkg@1.2.3", NULL},
        {"image@sha256:abcdef", NULL},
        {"a@-b.com", NULL},
        {"joe.@example.com", NULL},
        {"a@b.c", NULL},
    };

    (void)state;
    CHECK("email", V);
}

static void addresses(void **state)
{
    static const struct sample V[] = {
        {"10.0.0.1", "[redacted:ip]"},
        {"from 192.168.17.255:8080.", "from [redacted:ip]:8080."},
        {"[::1]:80", "[[redacted:ip]]:80"},
        {"2001:db8::ff00:42:8329", "[redacted:ip]"},
        {"fe80::1%eth0", "[redacted:ip]%eth0"},
        {"src=2001:0db8:85a3:0000:0000:8a2e:0370:7334,", "src=[redacted:ip],"},
        {"ip:2001:db8::1", "ip:[redacted:ip]"},
        {"::ffff:10.1.2.3", "[redacted:ip]"},
        {"10.0.0.1..10.0.0.9", "[redacted:ip]..[redacted:ip]"},
        {"host_10.1.2.3_up", "host_[redacted:ip]_up"},
        {"source:2001:db8::1", "source:[redacted:ip]"},
        {"node:2001:0db8:85a3:0000:0000:8a2e:0370:7334", "node:[redacted:ip]"},
        {"node:::1", "node:[redacted:ip]"},
        {"module::abc::def", NULL},
        {"{\"Type\":\"face::Cafe::dad\"}", NULL},
        {"10.0.0.256", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4.5", NULL},
        {"v1.2.3.4", NULL},
        {"1.2.3.4-rc1x5", "[redacted:ip]-rc1x5"},
        {"01.02.03.04", NULL},
        {"12:34:56", NULL},
        {"12:34:56.789", NULL},
        {"00:1a:2b:3c:4d:5e", NULL},
        {"std::vector", NULL},
        {"Foo::bar(::baz)", NULL},
        {"a: b: c:", NULL},
        {"::", NULL},
    };

    (void)state;
    CHECK("ip", V);
}

#define BEGIN_KEY "-----BEGIN RSA PRIVATE KEY-----"
#define END_KEY   "-----END RSA PRIVATE KEY-----"

static void private_keys(void **state)
{
    static const struct sample V[] = {
        {BEGIN_KEY "\nMIIEow+/=\nabc\n" END_KEY " tail", "[redacted:private_key] tail"},
        {"{\"k\":\"-----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY-----\\n\"}",
         "{\"k\":\"[redacted:private_key]\\n\"}"},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n\"quoted\"",
         "[redacted:private_key]\"quoted\""},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMII=\n-----END "
         "ENCRYPTED PRIVATE KEY-----",
         "[redacted:private_key]"},
        {"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", NULL},
        {"-----BEGIN PUBLIC KEY-----\nMII", NULL},
        {"-----BEGIN PRIVATE KEY", NULL},
        {"-----END PRIVATE KEY-----", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(V) / sizeof(V[0]); i++)
        check_str(clean(redact_by_name(STR("private_key")), V[i].text),
                  V[i].clean == NULL ? V[i].text : V[i].clean);
}

#define BODY "MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpI"
#define WIDE BODY "\\n" BODY

/* A key that a program prints line by line: each line is a record. */
static void a_key_in_many_records(void **state)
{
    static const struct sample V[] = {
        {"before", NULL},
        {"dump: " BEGIN_KEY, "dump: [redacted:private_key]"},
        {"Proc-Type: 4,ENCRYPTED", "[redacted:private_key]"},
        {"", NULL},
        {"MIIEowIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpI",
         "[redacted:private_key]"},
        {"MII+/=", "[redacted:private_key]"},
        {END_KEY " done", "[redacted:private_key] done"},
        {"MII+/=", NULL},
        {BEGIN_KEY, "[redacted:private_key]"},
        {"MII+/=", "[redacted:private_key]"},
        {"Server started, all is well.", NULL}, /* it was cut off */
        {"MII+/=", NULL},
        {BEGIN_KEY, "[redacted:private_key]"}, /* all of its lines in one */
        {WIDE WIDE WIDE, "[redacted:private_key]"},
        {END_KEY, "[redacted:private_key]"},
    };
    struct redact_flow flow = {.in_key = false};

    (void)state;
    redact = redact_new(redact_by_name(STR("private_key")), NULL);
    for (size_t i = 0; i < sizeof(V) / sizeof(V[0]); i++) {
        struct str s = str_of(V[i].text);
        redact_text(redact, &s, &flow, &scratch);
        check_str(s, V[i].clean == NULL ? V[i].text : V[i].clean);
    }
}

static void a_key_may_be_as_long_as_its_record(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_z(&text, "key " BEGIN_KEY "\n");
    while (text.n < 100 << 10)
        buf_add_z(&text, BODY "\n");
    buf_add_z(&text, END_KEY " end");
    buf_add_char(&text, '\0');
    check_str(clean(redact_by_name(STR("private_key")), text.p), "key [redacted:private_key] end");
    buf_fini(&text);
}

/* `text`, cut in two anywhere: neither half may show what lies between `from` and `to`, not even
 * four bytes of it. */
static void check_cuts(const char *text, const char *from, const char *to)
{
    struct str secret = str_from(str_of(text), str_find(str_of(text), str_of(from)));

    secret.n = str_find(secret, str_of(to));
    for (size_t at = 0; at < strlen(text); at++) {
        struct str halves[2] = {str_sub(str_of(text), 0, at), str_from(str_of(text), at)};
        struct redact_flow flow = {.ends_cut = true};
        redact_free(&redact);
        redact = redact_new(REDACT_ALL, NULL);
        for (size_t h = 0; h < 2; h++) {
            redact_text(redact, &halves[h], &flow, &scratch);
            for (size_t i = 0; i + 4 <= secret.n; i++)
                if (str_find(halves[h], str_sub(secret, i, 4)) != SIZE_MAX)
                    fail_msg("cut at %zu: '%.*s'", at, STR_ARG(halves[h]));
            flow.begins_cut = true;
            flow.ends_cut = false;
        }
    }
}

static void a_secret_that_is_cut_in_two_shows_nothing(void **state)
{
    struct str s = STR("auth: Bearer abc"), rest = STR("d12345 of joe");
    struct redact_flow flow = {.ends_cut = true};

    (void)state;
    redact = redact_new(REDACT_ALL, NULL);
    redact_text(redact, &s, &flow, &scratch);
    check_str(s, "auth: Bearer [redacted:cut]");
    flow = (struct redact_flow){.begins_cut = true};
    redact_text(redact, &rest, &flow, &scratch);
    check_str(rest, "[redacted:cut] joe");
    check_cuts("auth: Bearer qzwvyxkj0123456789== ok", "qz", " ok");
    check_cuts("paid by 4111 1111 1111 1111, thanks", "4111", ", thanks");
    check_cuts("t=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3; next", "eyJ", "; next");
    check_cuts("key ASIAIOSFODNN7EXAMPLE of it", "ASIA", " of");
    check_cuts("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY gone", "wJal",
               " gone");
    check_cuts("mail to qzwv.yxkj@example.com now", "qzwv", "@");
}

static void a_key_that_is_cut_anywhere_shows_nothing(void **state)
{
    (void)state;
    check_cuts("a key -----BEGIN EC PRIVATE KEY-----\n" BODY "\n" BODY
               "\n-----END EC PRIVATE KEY----- behind",
               "MII", "-----END");
    check_cuts("{\"key\":\"-----BEGIN PRIVATE KEY-----\\n" BODY "\\n" BODY
               "\\n-----END PRIVATE KEY-----\\n\"}",
               "MII", "-----END");
}

static void all_at_once(void **state)
{
    uint64_t before = metric_get(METRIC_REDACTED_IP);

    (void)state;
    check_str(clean(REDACT_ALL,
                    "10.0.0.1 joe@example.com 4111111111111111 Bearer 0123456789 "
                    "AKIAIOSFODNN7EXAMPLE eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ9.x " BEGIN_KEY
                    "\nMII\n" END_KEY),
              "[redacted:ip] [redacted:email] [redacted:card] Bearer [redacted:bearer] "
              "[redacted:cloud_key] [redacted:jwt] [redacted:private_key]");
    check_str(clean(REDACT_ALL, "{\"card\":4111111111111111,\"a\":1}"),
              "{\"card\":\"[redacted:card]\",\"a\":1}");
    assert_int_equal(metric_get(METRIC_REDACTED_IP), before + 1);
    assert_null(redact_new(0, NULL));
    assert_int_equal(redact_by_name(STR("pattern")), 0);
    assert_int_equal(redact_by_name(STR("ipv4")), 0);
}

static void patterns_of_the_configuration(void **state)
{
    struct redact_pattern v[2] = {{STR("badge"), NULL}, {STR("word"), NULL}};
    struct redact_patterns patterns = {v, 2};
    struct str s = STR("badge=123456 and badge=654321, hush at 10.0.0.1");
    struct err err;

    (void)state;
    assert_int_equal(patterns_new(STR("badge=(\\d{6})"), &v[0].pattern, &err), 0);
    assert_int_equal(patterns_new(STR("hush|x*"), &v[1].pattern, &err), 0);
    redact = redact_new(redact_by_name(STR("ip")), &patterns);
    redact_text(redact, &s, NULL, &scratch);
    check_str(s, "badge=[redacted:badge] and badge=[redacted:badge], [redacted:word] at "
                 "[redacted:ip]");
    redact_free(&redact);
    redact = redact_new(0, &patterns);
    s = STR("nothing here");
    redact_text(redact, &s, NULL, &scratch);
    check_str(s, "nothing here");
    patterns_free(&v[0].pattern);
    patterns_free(&v[1].pattern);
    assert_int_equal(patterns_new(STR("(open"), &v[0].pattern, &err), ERR_INVALID);
}

/* Each match of this pattern goes through all that is behind it. */
static void a_pattern_is_found_so_often_and_no_more(void **state)
{
    struct redact_pattern v[1] = {{STR("x"), NULL}};
    struct redact_patterns patterns = {v, 1};
    uint64_t found = metric_get(METRIC_REDACTED_PATTERN);
    uint64_t rests = metric_get(METRIC_REDACTED_UNSEARCHED);
    struct str s = STR("x and x");
    struct err err;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < 64 << 10; i++)
        buf_add_char(&text, 'x');
    assert_int_equal(patterns_new(STR("x(?:.*y)?"), &v[0].pattern, &err), 0);
    redact = redact_new(0, &patterns);
    redact_text(redact, &s, NULL, &scratch);
    check_str(s, "[redacted:x] and [redacted:x]");
    assert_int_equal(metric_get(METRIC_REDACTED_PATTERN), found + 2);
    s = buf_str(&text);
    redact_text(redact, &s, NULL, &scratch);
    assert_int_equal(metric_get(METRIC_REDACTED_PATTERN), found + 2 + 256);
    assert_int_equal(metric_get(METRIC_REDACTED_UNSEARCHED), rests + 1);
    assert_int_equal(s.n, 257 * strlen("[redacted:x]")); /* nothing is shown */
    redact_free(&redact);
    patterns_free(&v[0].pattern);
    buf_fini(&text);
}

/* One line of `unit` over and over.  What a detector does for one hint must not grow with the line:
 * these took minutes. */
static void check_line_of(const char *unit, const char *end, size_t bytes)
{
    char *text = malloc(bytes + 64);
    size_t n = 0;

    assert_non_null(text);
    for (; n + strlen(unit) < bytes; n += strlen(unit))
        memcpy(text + n, unit, strlen(unit));
    (void)snprintf(text + n, 64, "%s", end);
    (void)clean(REDACT_ALL, text);
    free(text);
}

static void a_line_full_of_hints_takes_no_longer_than_another(void **state)
{
    static const char *const UNITS[] = {
        "eyJ",        "eyJaaaaaaaa.", "xoxb-",
        "glpat-",     "-AIza",        "4111111111111111 ",
        "s_key=",     "ghp_",         "SecretAccessKey",
        "a@b.cd",     "1.1.",         "-----BEGIN PRIVATE KEY-----",
        "::1 ",       "bearer ",      "@",
        "4111-",      "ya29.",        "glpat-a.",
        "Bearer+",    "Bearer%20",    "\\n\\u003d",
        "%40",        "a%40b.cd",     "xoxd-/%2F",
        "\\\\",       "\\u002B@",     "-----BEGIN PRIVATE KEY-----\\/",
        "xoxb-ya29.", "source:::1",   "\x1b[0m",
        "1.1..",      "%2540a",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
        check_line_of(UNITS[i], "", 1 << 20);
        check_line_of(UNITS[i], "_", 1 << 20);
    }
}

static void a_token_may_be_long(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_add_z(&text, "t=ya29.c.");
    while (text.n < 3000)
        buf_add_z(&text, "b0AXv0zTP_x-1");
    buf_add_z(&text, ".c end");
    buf_add_char(&text, '\0');
    check_str(clean(redact_by_name(STR("cloud_key")), text.p), "t=[redacted:cloud_key] end");
    buf_fini(&text);
}

/* Hints in what was taken out already, each with a long way to its end. */
static void hints_in_a_key_take_no_longer(void **state)
{
    static const char HEAD[] = "-----BEGIN PRIVATE KEY-----", UNIT[] = "-glpat-";
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 21);
    buf_add_z(&text, HEAD);
    while (text.n < 1 << 20)
        buf_add_z(&text, UNIT);
    buf_add_z(&text, " a.b");
    buf_add_char(&text, '\0');
    check_str(clean(REDACT_ALL, text.p), "[redacted:private_key].b");
    buf_fini(&text);
}

/* A key and a run of numbers hinted at by one byte: none of the numbers goes through the key once
 * more.  It took minutes. */
static void cards_behind_a_key_take_no_longer(void **state)
{
    enum { CARDS = 30000 };
    struct buf text;
    struct str s;

    (void)state;
    buf_init(&text, 1 << 21);
    buf_add_z(&text, "           -----BEGIN PRIVATE KEY-----");
    while (text.n < 500 << 10)
        buf_add_z(&text, "MIIEow+/");
    buf_add_z(&text, "-----END PRIVATE KEY-----");
    for (size_t i = 0; i < CARDS; i++)
        buf_add_z(&text, " 4111111111111111");
    buf_add_char(&text, '\0');
    s = clean(REDACT_ALL, text.p);
    assert_int_equal(s.n, strlen("           [redacted:private_key]") +
                              CARDS * strlen(" [redacted:card]"));
    assert_int_equal(str_find(s, STR("4111")), SIZE_MAX);
    buf_fini(&text);
}

static void many_cards_in_one_run(void **state)
{
    (void)state;
    check_str(
        clean(redact_by_name(STR("card")), "4111111111111111 5500005555555559 4111111111111111 12"),
        "[redacted:card] [redacted:card] [redacted:card] 12");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(bearer), TEST(cloud_keys), TEST(jwt), TEST(cards), TEST(emails), TEST(addresses),
           TEST(private_keys), TEST(a_key_in_many_records),
           TEST(a_key_may_be_as_long_as_its_record),
           TEST(a_secret_that_is_cut_in_two_shows_nothing),
           TEST(a_key_that_is_cut_anywhere_shows_nothing), TEST(all_at_once),
           TEST(patterns_of_the_configuration), TEST(a_pattern_is_found_so_often_and_no_more),
           TEST(a_line_full_of_hints_takes_no_longer_than_another), TEST(many_cards_in_one_run),
           TEST(a_token_may_be_long), TEST(hints_in_a_key_take_no_longer),
           TEST(cards_behind_a_key_take_no_longer))
