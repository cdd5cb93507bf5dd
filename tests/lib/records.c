/* tests/lib/records.c - see records.h. */
#include "tests/lib/records.h"

#include "base/obj.h"

#include <stdio.h>
#include <string.h>

enum { WORDS = 12, LONG_LINE = 1 << 20 };

#ifdef __SANITIZE_THREAD__ /* their bytes cost nearly all of the time there, and share nothing */
enum { LONG_OF = 4 };
#else
enum { LONG_OF = 1 };
#endif

static const char *const WORD[WORDS] = {"request", "served",  "in",    "ms",
                                        "error",   "timeout", "GET",   "/health",
                                        "200",     "user=7",  "retry", "\xc3\xa9t\xc3\xa9"};

uint64_t records_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct str plain_line(struct batch *b, uint64_t *rng)
{
    char line[200];
    size_t n = 0;

    for (uint64_t words = 1 + records_random(rng) % 9; words > 0; words--)
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%s ", WORD[records_random(rng) % WORDS]);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "id=%u",
                          (unsigned)(records_random(rng) % 100000));
    return arena_str(b->arena, (struct str){line, n});
}

static struct str nasty_line(struct batch *b, uint64_t *rng)
{
    static const char bytes[] = "a\0b\r\xff\xfe\xc3(";
    char *p;

    switch (records_random(rng) % 40) {
    case 0:
        if (records_random(rng) % LONG_OF != 0)
            return plain_line(b, rng);
        p = arena_bytes(b->arena, LONG_LINE);
        for (size_t i = 0; i < LONG_LINE; i++)
            p[i] = (char)('a' + i * i % 23);
        return (struct str){p, LONG_LINE};
    case 1:
    case 2:
    case 3:
        return STR("");
    case 4:
    case 5:
        return arena_str(b->arena, (struct str){bytes, sizeof(bytes) - 1});
    default:
        return plain_line(b, rng);
    }
}

static void add_attr(struct label *v, uint32_t *n, struct str name, struct str value)
{
    v[(*n)++] = (struct label){name, value};
}

static void make_attrs(struct batch *b, uint64_t *rng, bool nasty, struct record *rec)
{
    static const char *const level[] = {"info", "warn", "error"};
    struct label *v = arena_alloc(b->arena, 6 * sizeof(*v));
    uint32_t n = 0;

    if (records_random(rng) % 8 == 0)
        return;
    if (nasty && records_random(rng) % 10 == 0)
        add_attr(v, &n, arena_printf(b->arena, "key_%u", (unsigned)records_random(rng)),
                 STR("once"));
    add_attr(v, &n, STR("detected_level"), str_of(level[records_random(rng) % 3]));
    if (records_random(rng) % 3 != 0)
        add_attr(v, &n, STR("trace_id"),
                 arena_printf(b->arena, "%016llx", (unsigned long long)records_random(rng)));
    if (nasty && records_random(rng) % 10 == 0)
        add_attr(v, &n, STR("zz"), (struct str){"\0\xff", 2});
    rec->n_attr = (uint32_t)labels_sort(v, n);
    rec->attr = v;
}

static uint32_t make_stream(struct batch *b, uint32_t i)
{
    char app[24];
    char pod[24];
    struct label v[] = {{STR("app"), {app, 0}}, {STR("host"), STR("h1")}, {STR("pod"), {pod, 0}}};
    struct labels l = {v, i % 5 == 4 ? 2 : 3};
    struct err err;
    uint32_t ret = 0;

    v[0].value.n = (size_t)snprintf(app, sizeof(app), "app-%u", i % 7);
    v[2].value.n = (size_t)snprintf(pod, sizeof(pod), "p\"\n-%u", i);
    if (l.n == 2) /* without a pod the app must tell them apart */
        v[0].value.n = (size_t)snprintf(app, sizeof(app), "solo-%u", i);
    INVARIANT(batch_stream(b, &l, &ret, &err) == 0);
    return ret;
}

struct batch *records_make(const struct records_options *opt)
{
    struct batch *b = batch_new(NULL, 0);
    uint64_t rng = opt->seed * 0x9e3779b97f4a7c15u + 88172645463325252u;
    uint32_t streams = opt->n_streams == 0 ? 1 : opt->n_streams;
    struct err err;

    for (uint32_t i = 0; i < opt->n; i++) {
        struct record rec = {.seq = opt->first_seq + i};
        dur_ns at = opt->span / opt->n * i + (dur_ns)(records_random(&rng) % 1000) * 1000;
        if (records_random(&rng) % 20 == 0) /* late */
            at = (dur_ns)(records_random(&rng) % (uint64_t)opt->span);
        rec.ts = opt->from + (at < opt->span ? at : opt->span - 1);
        if (records_random(&rng) % 6 == 0 && i > 0) /* equal times happen */
            rec.ts = b->records[i - 1].ts;
        rec.stream = make_stream(b, (uint32_t)(records_random(&rng) % streams));
        rec.line = opt->nasty ? nasty_line(b, &rng) : plain_line(b, &rng);
        make_attrs(b, &rng, opt->nasty, &rec);
        INVARIANT(batch_add(b, &rec, &err) == 0);
    }
    return b;
}

const char *records_differ(const struct batch *a, const struct record *x, const struct batch *b,
                           const struct record *y)
{
    if (x->seq != y->seq)
        return "seq";
    if (x->ts != y->ts)
        return "ts";
    if (!str_eq(x->line, y->line))
        return "line";
    if (!labels_equal(&a->streams[x->stream], &b->streams[y->stream]))
        return "labels";
    if (x->n_attr != y->n_attr)
        return "count of attributes";
    for (uint32_t i = 0; i < x->n_attr; i++)
        if (!str_eq(x->attr[i].name, y->attr[i].name) ||
            !str_eq(x->attr[i].value, y->attr[i].value))
            return "attributes";
    return NULL;
}
