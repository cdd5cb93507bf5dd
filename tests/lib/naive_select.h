/*
 * tests/lib/naive_select.h - which records: matchers, line filters and a range, drawn at random
 * from the records themselves, and whether a record is one of them.
 *
 * Literals are cut out of lines wherever it falls; patterns come from a small grammar over pieces
 * of lines.  Header only, so that tests of other floors need no patterns.
 */
#ifndef LOGQ_TESTS_LIB_NAIVE_SELECT_H
#define LOGQ_TESTS_LIB_NAIVE_SELECT_H

#include "base/match.h"
#include "base/utf8.h"
#include "storage/scan.h"
#include "tests/lib/naive_data.h"
#include "tests/lib/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAIVE_ALTERNATIVES = 3, NAIVE_FILTERS = 4, NAIVE_MATCHERS = 3 };

struct naive_filter {
    enum scan_filter_op op;
    struct str text[NAIVE_ALTERNATIVES]; /* literals, or patterns */
    struct regexp *re[NAIVE_ALTERNATIVES];
    size_t n;
};

struct naive_select {
    unsigned tenants; /* bits */
    struct matcher m[NAIVE_MATCHERS];
    size_t n_m;
    struct naive_filter f[NAIVE_FILTERS];
    size_t n_f;
    ts_ns from, to;
};

/* ---- literals and patterns ---- */

/* A piece of some line that is long enough for it to be an id, or a part of one. */
static inline struct str naive_long_literal(struct naive_data *d, uint64_t *rng)
{
    size_t want = 32 + naive_below(rng, 40);
    struct str line = STR_NULL;

    for (unsigned i = 0; i < 20 && line.n < want; i++)
        line = d->v[naive_below(rng, d->n)].line;
    return str_sub(line, line.n < want ? 0 : naive_below(rng, line.n - want + 1), want);
}

/* A piece of some line, mostly short; sometimes a byte of it is another. */
static inline struct str naive_literal(struct naive_data *d, uint64_t *rng)
{
    static const size_t LENGTHS[] = {1, 1, 2, 3, 4, 6, 9, 14, 30, 200};
    struct str line = d->v[naive_below(rng, d->n)].line;
    size_t want = 1 + naive_below(rng, LENGTHS[naive_below(rng, 10)]);
    struct str s = str_sub(line, naive_below(rng, line.n + 1), want);

    s = arena_str(d->arena, naive_below(rng, 6) == 0 ? naive_long_literal(d, rng) : s);
    if (s.n > 0 && naive_below(rng, 8) == 0)
        ((char *)(uintptr_t)s.p)[naive_below(rng, s.n)] =
            (char)(naive_below(rng, 3) == 0 ? naive_below(rng, 256) : '0' + naive_below(rng, 10));
    return s;
}

static inline void naive_quote(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            buf_addf(b, "\\x%02x", c);
        else if (c < 0x80 && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            buf_addf(b, "\\%c", c);
        else
            buf_add_char(b, (char)c);
    }
}

static inline void naive_pattern_add(struct naive_data *d, struct buf *b, unsigned depth,
                                     uint64_t *rng)
{
    static const char *const ATOMS[] = {
        ".",
        ".*",
        ".+",
        ".*?",
        "[0-9]+",
        "\\d{1,3}",
        "[a-f0-9]{4}",
        "[^ ]+",
        "\\w+",
        "\\s",
        "\\b",
        "\\B",
        "^",
        "$",
        "\\pL",
        "(?s:.)",
        "[[:alpha:]]",
        "\\d",
        "[^0-9]",
        "\xc3\xa9",
        "[k-s]",
        "0*",
        "x?",
        "(?m:^)",
        "(?m:$)",
        "\\S{2,}",
        "(?i:error)",
        "(?i:k)",
        "[\\x00-\\x1f]",
        "\\x{fffd}",
        "\\A",
        "\\z",
        "\\D+",
        "(?:ab|a)?",
        "[1-5][0-9]*",
    };
    size_t pieces = 1 + naive_below(rng, 3);

    for (; pieces > 0; pieces--) {
        size_t which = naive_below(rng, depth > 2 ? 8 : 11);
        struct str s;
        if (which < 5) {
            s = naive_literal(d, rng);
            naive_quote(b, str_sub(s, 0, utf8_valid(s)));
        } else if (which < 8) {
            buf_add_z(b, ATOMS[naive_below(rng, sizeof(ATOMS) / sizeof(*ATOMS))]);
        } else {
            buf_add_z(b, which == 8 ? "(" : "(?:");
            naive_pattern_add(d, b, depth + 1, rng);
            for (size_t more = naive_below(rng, 3); more > 0; more--) {
                buf_add_char(b, '|');
                naive_pattern_add(d, b, depth + 1, rng);
            }
            buf_add_z(b, naive_below(rng, 4) == 0 ? ")?" : ")");
        }
    }
}

static inline struct str naive_pattern(struct naive_data *d, uint64_t *rng)
{
    struct buf b;
    struct str ret;

    buf_init(&b, 1 << 14);
    if (naive_below(rng, 4) == 0)
        buf_add_z(&b, "(?i)");
    if (naive_below(rng, 2) == 0)
        naive_pattern_add(d, &b, 0, rng);
    else if (naive_below(rng, 2) == 0)
        naive_quote(&b, naive_literal(d, rng));
    else {
        naive_pattern_add(d, &b, 2, rng);
        buf_add_char(&b, '|');
        naive_pattern_add(d, &b, 2, rng);
    }
    ret = arena_str(d->arena, (struct str){b.p, utf8_valid(buf_str(&b))});
    buf_fini(&b);
    return ret;
}

static inline void naive_filter_draw(struct naive_data *d, struct naive_filter *f, uint64_t *rng)
{
    struct err err;

    memset(f, 0, sizeof(*f));
    f->op = (enum scan_filter_op)naive_below(rng, 4);
    if (f->op == SCAN_CONTAINS_NOT && naive_below(rng, 2) == 0)
        f->op = SCAN_CONTAINS;
    f->n = naive_below(rng, 3) == 0 ? 1 + naive_below(rng, NAIVE_ALTERNATIVES) : 1;
    for (size_t i = 0; i < f->n; i++) {
        if (f->op == SCAN_CONTAINS || f->op == SCAN_CONTAINS_NOT) {
            f->text[i] = naive_literal(d, rng);
            continue;
        }
        f->text[i] = naive_pattern(d, rng);
        while (regexp_new(f->text[i], false, &f->re[i], &err) < 0)
            f->text[i] = naive_pattern(d, rng);
    }
}

static inline bool naive_filter_passes(const struct naive_filter *f, struct str line)
{
    bool found = false;

    for (size_t i = 0; i < f->n && !found; i++)
        found = f->re[i] != NULL ? regexp_matches(f->re[i], line)
                                 : str_find(line, f->text[i]) != SIZE_MAX;
    return found == (f->op == SCAN_CONTAINS || f->op == SCAN_MATCHES);
}

/* ---- matchers ---- */

static inline void naive_matcher_draw(struct naive_data *d, struct matcher *m, uint64_t *rng)
{
    static const char *const NAMES[] = {"app", "app", "pod", "env", "zone", "none"};
    static const char *const PATTERNS[] = {"app-[0-3]",      ".*",     ".+",
                                           "prod|dev",       "",       "app-1|app-5",
                                           "(?s)p.*[13579]", "app.*|", "[^\\n]+"};
    const struct labels *l = &d->stream[naive_below(rng, d->n_streams)];
    struct str name = str_of(NAMES[naive_below(rng, 6)]);
    enum match_op op = (enum match_op)naive_below(rng, 4);
    struct str value = labels_get(l, name);
    struct err err;

    if (op == MATCH_RE || op == MATCH_NRE)
        value = str_of(PATTERNS[naive_below(rng, 9)]);
    else if (value.p == NULL || naive_below(rng, 8) == 0)
        value = STR("");
    if (matcher_init(m, op, name, value, &err) < 0)
        abort();
}

static inline void naive_range_draw(const struct naive_data *d, ts_ns *from, ts_ns *to,
                                    uint64_t *rng)
{
    ts_ns a = d->v[naive_below(rng, d->n)].ts;
    ts_ns b = d->v[naive_below(rng, d->n)].ts;

    switch (naive_below(rng, 6)) {
    case 0:
        *from = a < b ? a : b;
        *to = a < b ? b : a;
        break;
    case 1:
        *from = a;
        *to = a + 1;
        break;
    case 2:
        *from = a + (ts_ns)naive_below(rng, 2);
        *to = INT64_MAX;
        break;
    default:
        *from = naive_below(rng, 2) ? 0 : d->from;
        *to = naive_below(rng, 2) ? INT64_MAX : d->to;
    }
}

/* ---- all of it ---- */

static inline void naive_select_draw(struct naive_data *d, struct naive_select *s, uint64_t *rng)
{
    memset(s, 0, sizeof(*s));
    s->tenants = naive_below(rng, 3) != 0 ? 3 : 1 + (unsigned)naive_below(rng, 2);
    naive_range_draw(d, &s->from, &s->to, rng);
    for (size_t n = naive_below(rng, 3) == 0 ? naive_below(rng, NAIVE_MATCHERS + 1) : 0; n > 0; n--)
        naive_matcher_draw(d, &s->m[s->n_m++], rng);
    for (size_t n = naive_below(rng, 4) == 0 ? naive_below(rng, NAIVE_FILTERS + 1) : 1; n > 0; n--)
        naive_filter_draw(d, &s->f[s->n_f++], rng);
}

static inline void naive_select_fini(struct naive_select *s)
{
    for (size_t i = 0; i < NAIVE_MATCHERS; i++)
        matcher_fini(&s->m[i]);
    for (size_t i = 0; i < NAIVE_FILTERS; i++)
        for (size_t k = 0; k < NAIVE_ALTERNATIVES; k++)
            regexp_free(&s->f[i].re[k]);
}

/* Put one behind the others and no longer count it. */
static inline void naive_drop_filter(struct naive_select *s, size_t i)
{
    struct naive_filter f = s->f[i];

    memmove(&s->f[i], &s->f[i + 1], (s->n_f - i - 1) * sizeof(s->f[0]));
    s->f[--s->n_f] = f;
}

static inline void naive_drop_matcher(struct naive_select *s, size_t i)
{
    struct matcher m = s->m[i];

    memmove(&s->m[i], &s->m[i + 1], (s->n_m - i - 1) * sizeof(s->m[0]));
    s->m[--s->n_m] = m;
}

static inline bool naive_selects(const struct naive_select *s, const struct naive_data *d,
                                 const struct naive_record *r)
{
    if ((s->tenants >> r->tenant & 1) == 0 || r->ts < s->from || r->ts >= s->to ||
        !matchers_match(s->m, s->n_m, &d->stream[r->stream]))
        return false;
    for (size_t i = 0; i < s->n_f; i++)
        if (!naive_filter_passes(&s->f[i], r->line))
            return false;
    return true;
}

/* As scan.h wants it; `f` holds NAIVE_FILTERS. */
static inline void naive_scan_filters(const struct naive_select *s, struct scan_filter *f)
{
    for (size_t i = 0; i < s->n_f; i++)
        f[i] = (struct scan_filter){.op = s->f[i].op,
                                    .text = s->f[i].text,
                                    .re = (const struct regexp *const *)s->f[i].re,
                                    .n = s->f[i].n};
}

/* "quoted", at most a few hundred bytes of it. */
static inline void naive_show(struct buf *b, struct str s)
{
    quote_add(b, str_sub(s, 0, 300));
    if (s.n > 300)
        buf_addf(b, "...(%zu bytes)", s.n);
}

static inline void naive_select_show(struct buf *b, const struct naive_select *s)
{
    static const char *const MATCH[] = {"=", "!=", "=~", "!~"};
    static const char *const OP[] = {"|=", "!=", "|~", "!~"};

    buf_addf(b, "tenants %u from %lld to %lld {", s->tenants, (long long)s->from, (long long)s->to);
    for (size_t i = 0; i < s->n_m; i++) {
        buf_addf(b, "%s%.*s%s", i == 0 ? "" : ", ", STR_ARG(s->m[i].name), MATCH[s->m[i].op]);
        naive_show(b, s->m[i].value);
    }
    buf_add_char(b, '}');
    for (size_t i = 0; i < s->n_f; i++) {
        for (size_t k = 0; k < s->f[i].n; k++) {
            buf_addf(b, " %s ", k == 0 ? OP[s->f[i].op] : "or");
            naive_show(b, s->f[i].text[k]);
        }
    }
}

#endif
