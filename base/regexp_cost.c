/*
 * base/regexp_cost.c - see regexp_cost.h.
 *
 * RE2 bounds the program that it compiles, but not what it builds on the way there: a few KiB of
 * counted repetitions or of Unicode classes are hundreds of megabytes and seconds.  Here a pattern
 * is read once, without building anything: characters, classes and groups have a cost, and a
 * repetition multiplies that of what stands before it.  The groups are counted on the same way.
 */
#include "base/regexp_cost.h"

#include <string.h>

enum {
    COST_CHAR = 1,
    COST_FOLDED = 6, /* (?i) */
    COST_ANY = 10,   /* the shapes of UTF-8 */
    COST_CLASS = 8,
    COST_UNICODE = 2000, /* \pL and its like have hundreds of ranges */
    COST_REPEAT = 2,
    SEEK_BYTES = 64,   /* that RE2 passes at the cost of one, seeking the end of [: */
    REPEAT_MAX = 1000, /* RE2 refuses more */
    OVER = REGEXP_COST_MAX + 1
};

struct group {
    uint32_t sum;  /* of the group so far */
    uint32_t last; /* of what a repetition would repeat */
};

/* Where in the pattern, and what came before. */
struct place {
    struct str s;
    size_t at;
    bool folded;     /* some (?i) came: taken for the whole rest */
    bool unended;    /* no :] is behind here */
    uint32_t sought; /* the cost of seeking one, which no repetition multiplies */
};

struct reader {
    struct place place;
    size_t captures; /* groups opened so far that keep what they match */
    struct group v[REGEXP_COST_DEPTH];
    size_t n;
};

static uint32_t capped(uint64_t v)
{
    return v > OVER ? OVER : (uint32_t)v;
}

static char peek(const struct place *p, size_t ahead)
{
    return ahead < p->s.n - p->at ? p->s.p[p->at + ahead] : '\0';
}

static uint32_t char_cost(const struct place *p)
{
    return p->folded ? COST_FOLDED : COST_CHAR;
}

/* The cost of the escape at p->at, which is passed. */
static uint32_t read_escape(struct place *p)
{
    char c = peek(p, 1);

    p->at += p->s.n - p->at > 1 ? 2 : 1;
    if (c == 'p' || c == 'P') { /* \pL, \p{Greek} */
        size_t n = 1;
        while (peek(p, 0) == '{' && n < p->s.n - p->at && peek(p, n - 1) != '}')
            n++;
        p->at += n < p->s.n - p->at ? n : p->s.n - p->at;
        return COST_UNICODE;
    }
    if (c != '\0' && strchr("dDwWsS", c) != NULL)
        return COST_CLASS;
    return char_cost(p);
}

/* The cost of [:alpha:] at p->at, which is passed; 0: there is none. */
static uint32_t read_posix(struct place *p)
{
    size_t end = SIZE_MAX;

    if (peek(p, 0) != '[' || peek(p, 1) != ':')
        return 0;
    if (!p->unended)
        end = str_find(str_from(p->s, p->at + 2), STR(":]"));
    if (end == SIZE_MAX) {
        p->unended = true; /* nor behind it */
        p->sought = capped(p->sought + (p->s.n - p->at) / SEEK_BYTES);
        return 0;
    }
    p->at += end + 4;
    return COST_CLASS;
}

/* The cost of what stands in a class at p->at, which is passed: a character or an escape. */
static uint32_t read_class_char(struct place *p)
{
    if (peek(p, 0) == '\\')
        return read_escape(p);
    p->at++;
    return char_cost(p);
}

/* The cost of the class whose bracket is at p->at, which is passed. */
static uint32_t read_class(struct place *p)
{
    uint64_t cost = COST_CLASS;
    bool first = true;

    p->at++;
    if (peek(p, 0) == '^') {
        cost += COST_ANY;
        p->at++;
    }
    for (; p->at < p->s.n && (first || peek(p, 0) != ']'); first = false) {
        bool is_set = peek(p, 0) == '\\' && strchr("dDwWsSpP", peek(p, 1)) != NULL;
        uint32_t posix = read_posix(p);
        if (posix > 0) {
            cost = capped(cost + posix);
            continue;
        }
        cost += read_class_char(p);
        if (!is_set && peek(p, 0) == '-' && p->s.n - p->at > 1 && peek(p, 1) != ']') {
            p->at++; /* a range; a bracket at its end begins nothing */
            cost += read_class_char(p);
        }
        cost = capped(cost);
    }
    if (p->at < p->s.n)
        p->at++;
    return capped(cost);
}

static void add(struct reader *r, uint32_t cost)
{
    struct group *g = &r->v[r->n - 1];

    g->last = cost;
    g->sum = capped((uint64_t)g->sum + cost);
}

/* What {n}, {n,} or {n,m} at r->place.at multiplies by; 0: the brace stands for itself. */
static uint32_t read_count(struct reader *r)
{
    uint32_t v[2] = {0, 0};
    size_t i = 1;
    size_t part = 0;

    for (;; i++) {
        char c = peek(&r->place, i);
        if (c >= '0' && c <= '9')
            v[part] = v[part] > REPEAT_MAX ? v[part] : v[part] * 10 + (uint32_t)(c - '0');
        else if (c == ',' && part == 0)
            part = 1;
        else if (c == '}')
            break;
        else
            return 0;
    }
    if (i == 1)
        return 0;
    r->place.at += i + 1;
    v[0] = v[0] > v[1] ? v[0] : v[1];
    return v[0] == 0 ? 1 : v[0];
}

static void read_repeat(struct reader *r)
{
    struct group *g = &r->v[r->n - 1];
    uint32_t times = read_count(r);
    uint32_t last = g->last;

    if (times == 0) {
        add(r, char_cost(&r->place));
        r->place.at++;
        return;
    }
    g->last = capped((uint64_t)last * times + COST_REPEAT);
    g->sum = capped((uint64_t)g->sum - last + g->last);
}

/* (, (?P<name>, (?flags: and (?flags) at r->place.at; false: too deep. */
static bool open_group(struct reader *r)
{
    r->place.at++;
    if (peek(&r->place, 0) != '?' || peek(&r->place, 1) == '<' ||
        (peek(&r->place, 1) == 'P' && peek(&r->place, 2) == '<'))
        r->captures++;
    if (peek(&r->place, 0) == '?') {
        r->place.at++;
        while (peek(&r->place, 0) != '\0' && strchr("imsU-", peek(&r->place, 0)) != NULL) {
            r->place.folded = r->place.folded || peek(&r->place, 0) == 'i';
            r->place.at++;
        }
    }
    if (r->n == REGEXP_COST_DEPTH)
        return false;
    r->v[r->n++] = (struct group){.sum = COST_CHAR};
    return true;
}

static void close_group(struct reader *r)
{
    uint32_t sum = r->v[r->n - 1].sum;

    r->place.at++;
    if (r->n > 1)
        r->n--;
    add(r, sum);
}

/* \Q...\E */
static void read_quoted(struct reader *r)
{
    struct str rest = str_from(r->place.s, r->place.at + 2);
    size_t end = str_find(rest, STR("\\E"));
    size_t n = end == SIZE_MAX ? rest.n : end;

    add(r, capped((uint64_t)n * char_cost(&r->place)));
    r->place.at += 2 + n;
}

/* Characters that stand for themselves, of which a repetition repeats the last. */
static void read_plain(struct reader *r)
{
    static const bool is_sign[256] = {
        ['('] = true, [')'] = true, ['['] = true, ['\\'] = true, ['{'] = true,
        ['*'] = true, ['+'] = true, ['?'] = true, ['.'] = true,
    };
    size_t from = r->place.at;

    while (r->place.at < r->place.s.n && !is_sign[(unsigned char)r->place.s.p[r->place.at]])
        r->place.at++;
    add(r, capped((uint64_t)(r->place.at - from) * char_cost(&r->place)));
    r->v[r->n - 1].last = char_cost(&r->place);
}

static bool step(struct reader *r)
{
    switch (peek(&r->place, 0)) {
    case '(':
        return open_group(r);
    case ')':
        close_group(r);
        return true;
    case '[':
        add(r, read_class(&r->place));
        return true;
    case '\\':
        if (peek(&r->place, 1) == 'Q')
            read_quoted(r);
        else
            add(r, read_escape(&r->place));
        return true;
    case '{':
        read_repeat(r);
        return true;
    case '*':
    case '+':
    case '?':
        r->v[r->n - 1].sum = capped((uint64_t)r->v[r->n - 1].sum + COST_REPEAT);
        break;
    case '.':
        add(r, COST_ANY);
        break;
    default:
        read_plain(r);
        return true;
    }
    r->place.at++;
    return true;
}

uint32_t regexp_cost(struct str pattern)
{
    struct reader r = {.place = {.s = pattern}, .n = 1};
    uint64_t sum = 0;

    while (r.place.at < pattern.n && r.v[r.n - 1].sum < OVER)
        if (!step(&r))
            return OVER;
    for (size_t i = 0; i < r.n; i++)
        sum += r.v[i].sum;
    return capped(sum + r.place.sought);
}

size_t regexp_class_end(struct str pattern, size_t at, bool *unended)
{
    struct place p = {.s = pattern, .at = at, .unended = *unended};

    (void)read_class(&p);
    *unended = p.unended;
    return p.at;
}

size_t regexp_groups(struct str pattern, size_t max)
{
    struct reader r = {.place = {.s = pattern}, .n = 1};

    while (r.place.at < pattern.n && r.captures < max && step(&r))
        ;
    return r.captures;
}
