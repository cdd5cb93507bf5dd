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
    size_t word;   /* up to there what is not in strings is known to be no value of JSON */
    bool is_json;  /* known since something was taken out */
    bool in_string;
    bool is_open; /* a private key goes on behind the text */
};

/* It seems to be JSON: nobody reads all of it to know. */
static bool is_json(struct str text)
{
    static const struct str LITERALS[] = {STR_INIT("true"), STR_INIT("false"), STR_INIT("null")};
    struct str first;

    text = str_trim(text);
    if (!str_starts(text, STR("[")) || !str_ends(text, STR("]")))
        return str_starts(text, STR("{"));
    first = str_trim(str_from(text, 1));
    for (size_t i = 0; i < sizeof(LITERALS) / sizeof(LITERALS[0]); i++)
        if (str_starts(first, LITERALS[i]))
            return true;
    return first.n > 0 && first.p[0] != '\0' && strchr("[{\"-0123456789]", first.p[0]) != NULL;
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

/* The end of the digits at `at`. */
static size_t digits_end(struct str text, size_t at)
{
    while (at < text.n && text.p[at] >= '0' && text.p[at] <= '9')
        at++;
    return at;
}

static bool is_number(struct str s)
{
    size_t at = str_starts(s, STR("-")) ? 1 : 0, end = digits_end(s, at);

    if (end > at && end + 1 < s.n && s.p[end] == '.') {
        at = end + 1;
        end = digits_end(s, at);
    }
    if (end > at && end + 1 < s.n && (s.p[end] == 'e' || s.p[end] == 'E')) {
        at = end + (s.p[end + 1] == '+' || s.p[end + 1] == '-' ? 2 : 1);
        end = digits_end(s, at);
    }
    return end > at && end == s.n;
}

/* Where the string ends that the text begins with; 0: there is none, or it does not end. */
static size_t string_end(struct str s)
{
    size_t at = 1;

    if (s.n < 2 || s.p[0] != '"')
        return 0;
    while (at < s.n && s.p[at] != '"')
        at += s.p[at] == '\\' ? 2 : 1;
    return at < s.n ? at + 1 : 0;
}

/* A value of JSON with no others in it. */
static bool is_scalar(struct str s)
{
    return is_number(s) || (s.n > 0 && string_end(s) == s.n) || str_eq(s, STR("true")) ||
           str_eq(s, STR("false")) || str_eq(s, STR("null"));
}

/* One, or some out of an array. */
static bool are_scalars(struct str s)
{
    for (;;) {
        size_t end = string_end(s), comma = str_find_char(str_from(s, end), ',');
        size_t n = comma == SIZE_MAX ? s.n : end + comma;
        if (!is_scalar(str_trim(str_sub(s, 0, n))))
            return false;
        if (n == s.n)
            return true;
        s = str_trim(str_from(s, n + 1));
    }
}

/* Between scalars of JSON. */
static bool is_between(char c)
{
    return c != '\0' && strchr(" \t\r\n:,[]{}", c) != NULL;
}

static bool is_of_word(char c)
{
    return c != '"' && !is_between(c);
}

/* What is taken out of a number of JSON or of a literal takes all of it along, and what stands for
 * it has to be a string.  If it may begin and end anywhere (`any`; else it is one if it is all
 * digits), what is between them stays.  false: it is none, or in a string. */
static bool widen_scalar(struct work *w, size_t *start, size_t *end, bool any)
{
    size_t first = *start, last = *end;

    if (!any && digits_end(w->text, first) < last)
        return false;
    look(w, first);
    if (w->in_string || first < w->word)
        return false;
    while (any && first < last && is_between(w->text.p[first]))
        first++;
    while (any && first < last && is_between(w->text.p[last - 1]))
        last--;
    if (first == last)
        return false;
    while (is_of_word(w->text.p[first]) && first > w->done && is_of_word(w->text.p[first - 1]))
        first--;
    while (is_of_word(w->text.p[last - 1]) && last < w->text.n && is_of_word(w->text.p[last]))
        last++;
    if (!are_scalars(str_sub(w->text, first, last - first))) {
        w->word = last;
        return false;
    }
    *start = first;
    *end = last;
    return true;
}

/* What begins or ends in the middle of an escape takes it along: half of one is no JSON. */
static void widen_escapes(struct work *w, size_t *start, size_t *end)
{
    look(w, *start);
    if (w->looked > *start && w->escape >= w->done)
        *start = w->escape;
    look(w, *end);
    if (w->looked > *end)
        *end = w->looked;
}

/* Take text[start..end) out; what of it is out already stays so.  `any`: it may begin and end
 * anywhere. */
static void take_out(struct work *w, size_t start, size_t end, struct str name, bool any)
{
    const char *quote = "";

    if (w->done == 0)
        w->is_json = is_json(w->text);
    if (start < w->done)
        start = w->done;
    if (w->is_json && widen_scalar(w, &start, &end, any))
        quote = "\"";
    else if (w->is_json && any)
        widen_escapes(w, &start, &end);
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
        take_out(w, span.start, span.end, str_of(NAMES[span.type]), false);
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
    take_out(w, start, end, STR("cut"), false);
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
        take_out(w, 0, n, str_of(NAMES[REDACT_PRIVATE_KEY]), false);
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
    take_out(w, from, w->text.n, name, false);
    metric_add(METRIC_REDACTED_UNSEARCHED, 1);
}

static void by_pattern(struct work *w, const struct redact_pattern *p)
{
    size_t left = w->text.n < FINDS_BYTES / FINDS ? FINDS_BYTES / (w->text.n + 1) : FINDS;
    struct str match;
    size_t from = 0;

    while (from <= w->text.n && patterns_find(p->pattern, w->text, from, &match)) {
        size_t start = (size_t)(match.p - w->text.p), end = start + match.n;
        if (end > w->done && match.n > 0) {
            take_out(w, start, end, p->name, true);
            end = w->done;
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
