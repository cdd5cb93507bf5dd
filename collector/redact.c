/* collector/redact.c - contract: redact.h. */
#include "collector/redact.h"

#include "base/mem.h"
#include "base/obj.h"
#include "collector/metrics.h"
#include "collector/redact_detect.h"

#include <stdlib.h>
#include <string.h>

enum {
    FINDS = 256,           /* of one pattern in one text: each may go through all of it; */
    FINDS_BYTES = 1 << 20, /* so many bytes in any case, for short ones */
};

struct redact {
    unsigned magic;
#define REDACT_MAGIC 0x4edac7edu
    unsigned types;
    struct redact_needles needles;
    const struct redact_patterns *patterns;
};

static const char *const NAMES[REDACT_TYPES] = {"bearer", "cloud_key", "jwt",         "card",
                                                "email",  "ip",        "private_key", "pattern"};
static const unsigned METRICS[REDACT_TYPES] = {
    METRIC_REDACTED_BEARER, METRIC_REDACTED_CLOUD_KEY, METRIC_REDACTED_JWT, METRIC_REDACTED_CARD,
    METRIC_REDACTED_EMAIL,  METRIC_REDACTED_IP,        METRIC_REDACTED_KEY, METRIC_REDACTED_PATTERN,
};

unsigned redact_by_name(struct str name)
{
    for (unsigned i = 0; i < REDACT_PATTERN; i++)
        if (str_eq(name, str_of(NAMES[i])))
            return 1u << i;
    return 0;
}

struct redact *redact_new(unsigned types, const struct redact_patterns *patterns)
{
    struct redact *r;

    if (types == 0 && (patterns == NULL || patterns->n == 0))
        return NULL;
    r = mem_new(sizeof(*r));
    r->magic = REDACT_MAGIC;
    r->types = types;
    r->patterns = patterns;
    redact_detect_needles(types, &r->needles);
    return r;
}

void redact_free(struct redact **pr)
{
    struct redact *r = *pr;

    if (r == NULL)
        return;
    OBJ_CHECK(r, REDACT_MAGIC);
    r->magic = 0;
    free(r);
    *pr = NULL;
}

/* ---- one text ---- */

struct work {
    const struct redact *r;
    struct str text;
    struct buf *out;
    size_t done;   /* of the text: copied, or taken out */
    size_t looked; /* of a line of JSON: up to there it is known what is in strings; */
    size_t escape; /* the last byte or escape that was looked at begins there */
    bool in_string;
    bool is_open; /* a private key goes on behind the text */
};

/* It seems to be JSON: nobody reads all of it to know. */
static bool is_json(struct str text)
{
    if (text.p[0] == '[' && text.p[text.n - 1] == ']' && text.p[1] != '\0')
        return strchr("[{\"- 0123456789", text.p[1]) != NULL;
    return text.p[0] == '{';
}

/* Look at a line of JSON up to `at`, or to the end of the escape that it is in the middle of.
 * Places are asked for in order. */
static void look(struct work *w, size_t at)
{
    while (w->looked < at) {
        w->escape = w->looked;
        if (w->text.p[w->looked] == '"')
            w->in_string = !w->in_string;
        else if (w->text.p[w->looked] == '\\' && w->in_string)
            w->looked += w->text.n - w->looked > 1 && w->text.p[w->looked + 1] == 'u' ? 5 : 1;
        w->looked++;
    }
    if (w->looked > w->text.n)
        w->looked = w->text.n;
}

static bool is_number(char c)
{
    return (c >= '0' && c <= '9') || (c != '\0' && strchr("+-.eE", c) != NULL);
}

/* Of a number of JSON all is taken out, and what stands for it has to be a string.  false: it is
 * none, or in a string. */
static bool widen_number(struct work *w, size_t *start, size_t *end)
{
    for (size_t i = *start; i < *end; i++)
        if (w->text.p[i] < '0' || w->text.p[i] > '9')
            return false;
    look(w, *start);
    if (w->in_string)
        return false;
    while (*start > w->done && is_number(w->text.p[*start - 1]))
        --*start;
    while (*end < w->text.n && is_number(w->text.p[*end]))
        ++*end;
    return true;
}

/* What begins or ends in the middle of an escape takes it along: half of one is no JSON. */
static void widen_escapes(struct work *w, size_t *start, size_t *end)
{
    if (*start >= w->looked) {
        look(w, *start);
        if (w->looked > *start)
            *start = w->escape;
    }
    look(w, *end);
    if (w->looked > *end)
        *end = w->looked;
}

/* Take text[start..end) out; what of it is out already stays so. */
static void take_out(struct work *w, size_t start, size_t end, struct str name)
{
    bool is_string = is_json(w->text) && widen_number(w, &start, &end);
    const char *quote = is_string ? "\"" : "";

    if (start > w->done)
        buf_add(w->out, w->text.p + w->done, start - w->done);
    buf_addf(w->out, "%s[redacted:%.*s]%s", quote, STR_ARG(name), quote);
    w->done = end;
}

static void on_hint(void *arg, size_t at, unsigned hints)
{
    struct work *w = arg;
    struct redact_place place = {at, hints, at};
    struct redact_span span;

    while (redact_detect(w->r->types, w->text, &place, w->done, &span)) {
        take_out(w, span.start, span.end, str_of(NAMES[span.type]));
        metric_add(METRICS[span.type], 1);
        if (span.type == REDACT_PRIVATE_KEY && redact_detect_is_open(w->text, span))
            w->is_open = true;
    }
}

/* What may be a piece of a secret, from where nothing was taken out yet up to `end`. */
static void take_cut(struct work *w, size_t start, size_t end)
{
    if (start < w->done)
        start = w->done;
    if (start >= end)
        return;
    take_out(w, start, end, STR("cut"));
    metric_add(METRIC_REDACTED_CUT, 1);
}

static bool has_keys(const struct redact *r)
{
    return (r->types >> REDACT_PRIVATE_KEY & 1) != 0;
}

/* The rest of what began in a text before. */
static void go_on(struct work *w, const struct redact_flow *flow)
{
    bool in_key =
        flow->in_key || (flow->begins_cut && has_keys(w->r) && redact_detect_is_cut_key(w->text));
    size_t n = 0;

    if (in_key)
        n = redact_detect_go_on(w->text, flow->begins_cut, &w->is_open);
    if (n > 0) {
        take_out(w, 0, n, str_of(NAMES[REDACT_PRIVATE_KEY]));
        metric_add(METRIC_REDACTED_KEY, 1);
    }
    if (flow->begins_cut)
        take_cut(w, 0, redact_detect_cut_head(w->text));
}

/* The beginning of what goes on where nobody can see it. */
static void cut_off(struct work *w)
{
    size_t at = redact_detect_cut_key(w->text);

    if (at < w->text.n && has_keys(w->r))
        w->is_open = true;
    else
        at = redact_detect_cut_tail(w->text);
    take_cut(w, at, w->text.n);
}

/* What is left of the text to `out`, if anything was taken out. */
static bool finish(struct work *w)
{
    if (w->done == 0)
        return false;
    buf_add(w->out, w->text.p + w->done, w->text.n - w->done);
    return true;
}

/* What a pattern was not looked for in any more. */
static void take_rest(struct work *w, size_t from, struct str name)
{
    if (from < w->done)
        from = w->done;
    if (from >= w->text.n)
        return;
    take_out(w, from, w->text.n, name);
    metric_add(METRIC_REDACTED_UNSEARCHED, 1);
}

static void by_pattern(struct work *w, const struct redact_pattern *p)
{
    size_t left = w->text.n < FINDS_BYTES / FINDS ? FINDS_BYTES / (w->text.n + 1) : FINDS;
    struct str match;
    size_t from = 0;

    while (from <= w->text.n && patterns_find(p->pattern, w->text, from, &match)) {
        size_t start = (size_t)(match.p - w->text.p), end = start + match.n;
        if (match.n > 0 && is_json(w->text))
            widen_escapes(w, &start, &end);
        if (end > w->done && match.n > 0) {
            take_out(w, start, end, p->name);
            metric_add(METRIC_REDACTED_PATTERN, 1);
        }
        from = end > from ? end : from + 1;
        if (--left == 0) {
            take_rest(w, from, p->name);
            return;
        }
    }
}

bool redact_is_key_line(struct str text)
{
    return redact_detect_is_key_line(text);
}

void redact_text(const struct redact *r, struct str *text, struct redact_flow *flow,
                 struct redact_scratch *s)
{
    struct work w = {.r = r, .text = *text, .out = &s->v[0]};

    OBJ_CHECK(r, REDACT_MAGIC);
    buf_clear(w.out);
    if (flow != NULL)
        go_on(&w, flow);
    if (r->types != 0)
        redact_scan(&r->needles, w.text, on_hint, &w);
    if (flow != NULL && flow->ends_cut)
        cut_off(&w);
    if (finish(&w))
        *text = buf_str(w.out);
    if (flow != NULL)
        flow->in_key = w.is_open;
    for (size_t i = 0; r->patterns != NULL && i < r->patterns->n; i++) {
        struct buf *out = w.out == &s->v[0] ? &s->v[1] : &s->v[0];
        w = (struct work){.r = r, .text = *text, .out = out};
        buf_clear(out);
        by_pattern(&w, &r->patterns->v[i]);
        if (finish(&w))
            *text = buf_str(out);
        else
            w.out = out == &s->v[0] ? &s->v[1] : &s->v[0]; /* the text is still there */
    }
}

void redact_scratch_init(struct redact_scratch *s, size_t max)
{
    buf_init(&s->v[0], max);
    buf_init(&s->v[1], max);
}

void redact_scratch_fini(struct redact_scratch *s)
{
    buf_fini(&s->v[0]);
    buf_fini(&s->v[1]);
}
