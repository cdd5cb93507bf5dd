/* tests/lib/naive_data.c - see naive_data.h. */
#include "tests/lib/naive_data.h"

#include "base/obj.h"
#include "tests/lib/records.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 12, LINE_MAX = 1 << 20, MIX = 4 };

/* 2026-01-10T00:00:00Z */
#define DAY (INT64_C(1768003200) * NS_PER_S)

static const char *const WORD[] = {"request", "served", "error",   "timeout", "user",   "GET",
                                   "block",   "blk_",   "session", "10.0.0.", "Failed", "null"};
static const char *const LEVEL[] = {"info", "warn", "error", "debug"};

size_t naive_below(uint64_t *rng, size_t n)
{
    return (size_t)(records_random(rng) >> 11) % n;
}

static unsigned under(uint64_t *rng, unsigned n)
{
    return (unsigned)naive_below(rng, n);
}

static const char *word(uint64_t *rng)
{
    return WORD[under(rng, sizeof(WORD) / sizeof(*WORD))];
}

static int templated(char *p, size_t cap, uint64_t *rng)
{
    switch (under(rng, 7)) {
    case 0:
        return snprintf(p, cap, "Accepted password for user%u from 10.0.%u.%u port %u ssh2",
                        under(rng, 9), under(rng, 4), under(rng, 256), 1024 + under(rng, 60000));
    case 1:
        return snprintf(p, cap, "%s served in %u.%03u ms, id=%05u", word(rng), under(rng, 30),
                        under(rng, 1000), under(rng, 100000));
    case 2:
        return snprintf(p, cap, "Received block blk_%s%" PRIu64 " of size %u",
                        under(rng, 2) ? "-" : "", records_random(rng) >> under(rng, 40),
                        under(rng, 3) ? 67108864 : under(rng, 67108864));
    case 3:
        return snprintf(p, cap, "[%02u:%02u:%02u] %s: %s %s", under(rng, 24), under(rng, 60),
                        under(rng, 60), LEVEL[under(rng, 4)], word(rng), word(rng));
    case 4:
        return snprintf(p, cap, "worker %u: %u%% done (%u/%u)", under(rng, 8), under(rng, 101),
                        under(rng, 50), 50u);
    case 5:
        return snprintf(p, cap, "0x%08x: page fault at %016" PRIx64, under(rng, 1 << 30),
                        records_random(rng));
    default:
        return snprintf(p, cap, "connection closed");
    }
}

static int json(char *p, size_t cap, uint64_t *rng)
{
    switch (under(rng, 5)) {
    case 0:
        return snprintf(p, cap,
                        "{\"level\":\"%s\",\"msg\":\"%s %s\",\"n\":%u,\"took\":%u.%02u,\"ok\":%s}",
                        LEVEL[under(rng, 4)], word(rng), word(rng), under(rng, 1000),
                        under(rng, 20), under(rng, 100), under(rng, 2) ? "true" : "false");
    case 1:
        return snprintf(p, cap,
                        "{\"user\": {\"id\": %u, \"name\": \"u\\u00e9%u\\n\"}, \"tags\": [%u, "
                        "null], \"n\": %d}",
                        under(rng, 100), under(rng, 5), under(rng, 3), (int)under(rng, 9) - 4);
    case 2:
        return snprintf(p, cap, "{\"n\":\"%03u\",\"n\":%u,\"empty\":\"\",\"nil\":null}",
                        under(rng, 50), under(rng, 50));
    case 3: /* broken */
        return snprintf(p, cap, "{\"level\":\"%s\",\"n\":%u,\"msg\":\"cut he", LEVEL[under(rng, 4)],
                        under(rng, 90));
    default:
        return snprintf(p, cap, "{\"n\":%ue%u,\"level\":\"%s\",\"id\":\"%016" PRIx64 "\"}%s",
                        under(rng, 90), under(rng, 4), LEVEL[under(rng, 4)], records_random(rng),
                        under(rng, 6) ? "" : " tail");
    }
}

static int logfmt(char *p, size_t cap, uint64_t *rng)
{
    switch (under(rng, 4)) {
    case 0:
        return snprintf(p, cap, "level=%s n=%u took=%ums msg=\"%s %s\"", LEVEL[under(rng, 4)],
                        under(rng, 500), under(rng, 2000), word(rng), word(rng));
    case 1:
        return snprintf(p, cap, "ts=2026-01-10T%02u:%02u:%02uZ caller=main.c:%u n=%u.%u flag",
                        under(rng, 24), under(rng, 60), under(rng, 60), under(rng, 900),
                        under(rng, 9), under(rng, 10));
    case 2:
        return snprintf(p, cap, "n=%02u empty= q=\"\" path=\"/a\\\"%u\" level=%s", under(rng, 99),
                        under(rng, 9), LEVEL[under(rng, 4)]);
    default:
        return snprintf(p, cap, "n=%u a==1 \"b\"=2 level=%s n=%u =x", under(rng, 20),
                        LEVEL[under(rng, 4)], under(rng, 20));
    }
}

static int access_log(char *p, size_t cap, uint64_t *rng)
{
    return snprintf(p, cap,
                    "%u.%u.%u.%u - %s [%02u/Jan/2026:%02u:%02u:%02u +0000] \"%s /%s/%u HTTP/1.1\" "
                    "%u %u \"-\" \"curl/7.%u\"",
                    under(rng, 256), under(rng, 256), under(rng, 3), under(rng, 9),
                    under(rng, 3) ? "-" : "bob", 1 + under(rng, 28), under(rng, 24), under(rng, 60),
                    under(rng, 60), under(rng, 4) ? "GET" : "POST", word(rng), under(rng, 300),
                    under(rng, 5) ? 200u : 404u, under(rng, 50000), under(rng, 90));
}

static int ids(char *p, size_t cap, uint64_t *rng)
{
    uint64_t a = records_random(rng);
    uint64_t b = records_random(rng);
    bool upper = under(rng, 4) == 0;

    if (under(rng, 5) == 0)
        return snprintf(p, cap, "token=%s%016" PRIx64 "%s%016" PRIx64 "%s%016" PRIx64,
                        under(rng, 2) ? "sk_live_" : "", a, under(rng, 2) ? "-" : "", b,
                        under(rng, 3) ? "_" : ".", a ^ b);
    if (under(rng, 3) == 0)
        return snprintf(p, cap, upper ? "trace %016" PRIX64 "%016" PRIX64 : "t=%" PRIx64 "%" PRIx64,
                        a, b >> under(rng, 60));
    return snprintf(p, cap,
                    upper ? "%08X-%04X-%04X-%04X-%012" PRIX64 " x"
                          : "id %08x-%04x-%04x-%04x-%012" PRIx64,
                    (unsigned)a, (unsigned)(a >> 32) & 0xffff, (unsigned)(a >> 48),
                    (unsigned)b & 0xffff, b >> 16);
}

/* Arbitrary bytes, of an alphabet that is sometimes small. */
static int noise(char *p, uint64_t *rng)
{
    static const char few[] = "a0\r\n\t \xff\xfe\xc3\x11 \x1f\x80";
    int n = (int)under(rng, under(rng, 8) ? 24 : 300);

    for (int i = 0; i < n; i++) {
        p[i] = (char)under(rng, 256);
        if (under(rng, 4) != 0)
            p[i] = few[under(rng, sizeof(few))]; /* with its NUL */
    }
    return n;
}

static int numbers(char *p, size_t cap, uint64_t *rng)
{
    uint64_t v = records_random(rng) >> under(rng, 64);

    switch (under(rng, 8)) {
    case 0:
        return snprintf(p, cap, "%0*" PRIu64, 1 + (int)under(rng, 24), v);
    case 1:
        return snprintf(p, cap, "n=%0*" PRIu64 ";", 1 + (int)under(rng, 6), v % 1000);
    case 2:
        return snprintf(p, cap, "v %" PRIu64 "%" PRIu64 "%" PRIu64, v, v, v);
    case 3:
        return snprintf(p, cap, "%s%u.%0*u", under(rng, 3) ? "-" : "+", under(rng, 100),
                        1 + (int)under(rng, 5), under(rng, 1000));
    case 4:
        return snprintf(p, cap, "%u.%u.%u.%03u %u:%02u", under(rng, 300), under(rng, 300),
                        under(rng, 300), under(rng, 300), under(rng, 100), under(rng, 60));
    case 5:
        return snprintf(p, cap, "x%ux%uy%u", under(rng, 10), under(rng, 100), under(rng, 1000));
    case 6:
        return snprintf(p, cap, "%" PRIu64 " ", UINT64_MAX - under(rng, 3));
    default:
        return snprintf(p, cap, "n=%" PRIu64, v);
    }
}

static int letters(char *p, size_t cap, uint64_t *rng)
{
    static const char *const v[] = {"\xc3\xa9t\xc3\x89",
                                    "K\xe2\x84\xaa"
                                    "k",
                                    "stra\xc3\x9f"
                                    "e",
                                    "\xce\xa3\xcf\x83\xcf\x82",
                                    "\xc4\xb0i\xc4\xb1I",
                                    "\xc5\xbfsS",
                                    "\xf0\x9f\x98\x80",
                                    "\xe6\x97\xa5\xe6\x9c\xac",
                                    "\xed\xa0\x80",
                                    "\xc3",
                                    "a\xcc\x81",
                                    "ERROR",
                                    "Error",
                                    "erRor"};
    int n = 0;

    for (unsigned i = 1 + under(rng, 5); i > 0; i--)
        n += snprintf(p + n, cap - (size_t)n, "%s%s", v[under(rng, sizeof(v) / sizeof(*v))],
                      under(rng, 2) ? " " : "");
    return n;
}

/* Of all this only the size is remarkable. */
static int giant(char *p, uint64_t *rng)
{
    int n = under(rng, 3) == 0 ? LINE_MAX - (int)under(rng, 2) : (int)under(rng, 40000);
    unsigned step = 1 + under(rng, 9);

    for (int i = 0; i < n; i++)
        p[i] = under(rng, 64) == 0 ? ' ' : (char)('a' + (unsigned)i * step / 3 % 26);
    return n;
}

/* The same as an earlier one but for a byte or two. */
static int mutated(char *p, struct str of, uint64_t *rng)
{
    size_t n = of.n < 2000 ? of.n : 2000;

    memcpy(p, of.p, n);
    if (n == 0)
        return 0;
    if (under(rng, 3) == 0)
        p[naive_below(rng, n)] = (char)under(rng, 256);
    else
        p[naive_below(rng, n)] = (char)('0' + under(rng, 43));
    if (under(rng, 5) == 0)
        memmove(p, p + 1, --n);
    return (int)n;
}

static struct str make_line(struct naive_data *d, char *p, unsigned kind, uint64_t *rng)
{
    const size_t cap = 2000;
    int n;

    switch (kind) {
    case 0:
    case 1:
        n = templated(p, cap, rng);
        break;
    case 2:
        n = json(p, cap, rng);
        break;
    case 3:
        n = logfmt(p, cap, rng);
        break;
    case 4:
        n = access_log(p, cap, rng);
        break;
    case 5:
        n = ids(p, cap, rng);
        break;
    case 6:
        n = noise(p, rng);
        break;
    case 7:
        n = numbers(p, cap, rng);
        break;
    case 8:
        n = letters(p, cap, rng);
        break;
    case 9:
        n = d->n == 0 ? 0 : mutated(p, d->v[naive_below(rng, d->n)].line, rng);
        break;
    case 10:
        n = under(rng, 40) == 0 ? giant(p, rng) : templated(p, cap, rng);
        break;
    default:
        n = under(rng, 3) == 0 ? 0 : snprintf(p, cap, "%s", word(rng));
        break;
    }
    return arena_str(d->arena, (struct str){p, (size_t)n});
}

static void make_streams(struct naive_data *d, uint64_t *rng)
{
    static const unsigned COUNTS[] = {1, 2, 3, 7, 20, 60, 300};

    d->n_streams = COUNTS[under(rng, 7)];
    d->stream = arena_alloc(d->arena, d->n_streams * sizeof(*d->stream));
    for (unsigned i = 0; i < d->n_streams; i++) {
        struct label *v = arena_alloc(d->arena, 4 * sizeof(*v));
        size_t n = 0;
        v[n++] = (struct label){STR("app"), arena_printf(d->arena, "app-%u", i % 7)};
        v[n++] = (struct label){STR("pod"), arena_printf(d->arena, "p\"\n\xc3\xa9-%u", i)};
        if (i % 3 == 1)
            v[n++] = (struct label){STR("env"), i % 2 == 0 ? STR("prod") : STR("dev")};
        if (i % 11 == 5)
            v[n++] = (struct label){STR("zone"), arena_printf(d->arena, "z%u\xff", i)};
        d->stream[i] = (struct labels){v, labels_sort(v, n)};
    }
}

static void make_attrs(struct naive_data *d, struct naive_record *r, unsigned rich, uint64_t *rng)
{
    struct label *v;
    size_t n = 0;

    if (rich == 0 || under(rng, 8) == 0)
        return;
    v = arena_alloc(d->arena, 6 * sizeof(*v));
    v[n++] = (struct label){STR("detected_level"), str_of(LEVEL[under(rng, 4)])};
    if (rich > 1 && under(rng, 3) != 0)
        v[n++] = (struct label){STR("trace_id"),
                                arena_printf(d->arena, "%016" PRIx64, records_random(rng))};
    if (rich > 1 && under(rng, 2) != 0)
        v[n++] = (struct label){STR("code"), arena_printf(d->arena, "%03u", under(rng, 30))};
    if (rich > 2 && under(rng, 20) == 0)
        v[n++] = (struct label){arena_printf(d->arena, "key_%u", under(rng, 1000)),
                                (struct str){"\0\xff", 2}};
    if (rich > 2 && under(rng, 50) == 0)
        v[n++] = (struct label){STR("app"), STR("of the record")};
    r->n_attr = (uint32_t)labels_sort(v, n);
    r->attr = v;
}

/* Nearly ascending; some the same; some late by anything. */
static ts_ns make_time(const struct naive_data *d, size_t i, size_t n, dur_ns span, uint64_t *rng)
{
    ts_ns ts = d->from + (ts_ns)((double)span * (double)i / (double)n);

    if (i > 0 && under(rng, 6) == 0)
        return d->v[i - 1].ts;
    if (under(rng, 20) == 0)
        return d->from + (ts_ns)(records_random(rng) % (uint64_t)span);
    ts += (ts_ns)under(rng, 2000000) * (under(rng, 2) ? 1 : 1000);
    return ts < d->from + span ? ts : d->from + span - 1;
}

void naive_data_make(struct naive_data *ret, uint64_t seed, size_t n, const struct str *text,
                     size_t n_text)
{
    static const dur_ns SPANS[] = {NS_PER_S,     NS_PER_MIN,     20 * NS_PER_MIN,
                                   6 * NS_PER_H, 3 * NS_PER_DAY, 8 * NS_PER_DAY};
    uint64_t rng = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    char *p = mem_new(LINE_MAX);
    unsigned mix[MIX], rich, own;
    dur_ns span;

    *ret = (struct naive_data){.arena = arena_new(NULL, 0)};
    make_streams(ret, &rng);
    span = SPANS[under(&rng, 6)];
    ret->from = DAY + (ts_ns)under(&rng, 24) * NS_PER_H;
    ret->to = ret->from + span;
    rich = under(&rng, 4);
    own = under(&rng, 2); /* a stream has a kind of its own */
    for (size_t i = 0; i < MIX; i++)
        mix[i] = under(&rng, KINDS);
    ret->v = arena_alloc(ret->arena, n * sizeof(*ret->v));
    for (size_t i = 0; i < n; i++) {
        struct naive_record *r = &ret->v[i];
        r->tenant = under(&rng, 4) == 0;
        r->stream = (uint32_t)under(&rng, ret->n_streams);
        r->ts = make_time(ret, i, n, span, &rng);
        r->line = n_text != 0
                      ? arena_str(ret->arena, text[i % n_text])
                      : make_line(ret, p, mix[own ? r->stream % MIX : under(&rng, MIX)], &rng);
        make_attrs(ret, r, rich, &rng);
        ret->n = i + 1;
    }
    free(p);
}

void naive_data_fini(struct naive_data *d)
{
    arena_free(&d->arena);
}
