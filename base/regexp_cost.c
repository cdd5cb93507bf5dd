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
    COST_SEEK = 2000,    /* [: without :], whose end RE2 seeks in all that follows */
    COST_REPEAT = 2,
    REPEAT_MAX = 1000, /* RE2 refuses more */
    OVER = REGEXP_COST_MAX + 1
};

struct group {
    uint32_t sum;  /* of the group so far */
    uint32_t last; /* of what a repetition would repeat */
};

struct reader {
    struct str s;
    size_t at;
    bool folded;     /* some (?i) came: taken for the whole rest */
    bool unended;    /* no :] is behind here */
    size_t captures; /* groups opened so far that keep what they match */
    struct group v[REGEXP_COST_DEPTH];
    size_t n;
};

static uint32_t capped(uint64_t v)
{
    return v > OVER ? OVER : (uint32_t)v;
}

static char peek(const struct reader *r, size_t ahead)
{
    return ahead < r->s.n - r->at ? r->s.p[r->at + ahead] : '\0';
}

static void add(struct reader *r, uint32_t cost)
{
    struct group *g = &r->v[r->n - 1];

    g->last = cost;
    g->sum = capped((uint64_t)g->sum + cost);
}

static uint32_t char_cost(const struct reader *r)
{
    return r->folded ? COST_FOLDED : COST_CHAR;
}

/* The cost of the escape at r->at, which is passed. */
static uint32_t read_escape(struct reader *r)
{
    char c = peek(r, 1);

    r->at += r->s.n - r->at > 1 ? 2 : 1;
    if (c == 'p' || c == 'P') { /* \pL, \p{Greek} */
        size_t n = 1;
        while (peek(r, 0) == '{' && n < r->s.n - r->at && peek(r, n - 1) != '}')
            n++;
        r->at += n < r->s.n - r->at ? n : r->s.n - r->at;
        return COST_UNICODE;
    }
    if (c != '\0' && strchr("dDwWsS", c) != NULL)
        return COST_CLASS;
    return char_cost(r);
}

/* The cost of [:alpha:] at r->at, which is passed; 0: there is none. */
static uint32_t read_posix(struct reader *r)
{
    size_t end = SIZE_MAX;

    if (peek(r, 0) != '[' || peek(r, 1) != ':')
        return 0;
    if (!r->unended)
        end = str_find(str_from(r->s, r->at + 2), STR(":]"));
    if (end == SIZE_MAX) {
        r->unended = true; /* nor behind it */
        r->at++;
        return COST_SEEK;
    }
    r->at += end + 4;
    return COST_CLASS;
}

/* The cost of what stands in a class at r->at, which is passed: a character or an escape. */
static uint32_t read_class_char(struct reader *r)
{
    if (peek(r, 0) == '\\')
        return read_escape(r);
    r->at++;
    return char_cost(r);
}

/* The cost of the class whose bracket is at r->at, which is passed. */
static uint32_t read_class(struct reader *r)
{
    uint64_t cost = COST_CLASS;
    bool first = true;

    r->at++;
    if (peek(r, 0) == '^') {
        cost += COST_ANY;
        r->at++;
    }
    for (; r->at < r->s.n && (first || peek(r, 0) != ']'); first = false) {
        bool is_set = peek(r, 0) == '\\' && strchr("dDwWsSpP", peek(r, 1)) != NULL;
        uint32_t posix = read_posix(r);
        if (posix > 0) {
            cost = capped(cost + posix);
            continue;
        }
        cost += read_class_char(r);
        if (!is_set && peek(r, 0) == '-' && r->s.n - r->at > 1 && peek(r, 1) != ']') {
            r->at++; /* a range; a bracket at its end begins nothing */
            cost += read_class_char(r);
        }
        cost = capped(cost);
    }
    if (r->at < r->s.n)
        r->at++;
    return capped(cost);
}

/* What {n}, {n,} or {n,m} at r->at multiplies by; 0: the brace stands for itself. */
static uint32_t read_count(struct reader *r)
{
    uint32_t v[2] = {0, 0};
    size_t i = 1;
    size_t part = 0;

    for (;; i++) {
        char c = peek(r, i);
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
    r->at += i + 1;
    v[0] = v[0] > v[1] ? v[0] : v[1];
    return v[0] == 0 ? 1 : v[0];
}

static void read_repeat(struct reader *r)
{
    struct group *g = &r->v[r->n - 1];
    uint32_t times = read_count(r);
    uint32_t last = g->last;

    if (times == 0) {
        add(r, char_cost(r));
        r->at++;
        return;
    }
    g->last = capped((uint64_t)last * times + COST_REPEAT);
    g->sum = capped((uint64_t)g->sum - last + g->last);
}

/* (, (?P<name>, (?flags: and (?flags) at r->at; false: too deep. */
static bool open_group(struct reader *r)
{
    r->at++;
    if (peek(r, 0) != '?' || peek(r, 1) == '<' || (peek(r, 1) == 'P' && peek(r, 2) == '<'))
        r->captures++;
    if (peek(r, 0) == '?') {
        r->at++;
        while (peek(r, 0) != '\0' && strchr("imsU-", peek(r, 0)) != NULL) {
            r->folded = r->folded || peek(r, 0) == 'i';
            r->at++;
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

    r->at++;
    if (r->n > 1)
        r->n--;
    add(r, sum);
}

/* \Q...\E */
static void read_quoted(struct reader *r)
{
    struct str rest = str_from(r->s, r->at + 2);
    size_t end = str_find(rest, STR("\\E"));
    size_t n = end == SIZE_MAX ? rest.n : end;

    add(r, capped((uint64_t)n * char_cost(r)));
    r->at += 2 + n;
}

/* Characters that stand for themselves, of which a repetition repeats the last. */
static void read_plain(struct reader *r)
{
    static const bool is_sign[256] = {
        ['('] = true, [')'] = true, ['['] = true, ['\\'] = true, ['{'] = true,
        ['*'] = true, ['+'] = true, ['?'] = true, ['.'] = true,
    };
    size_t from = r->at;

    while (r->at < r->s.n && !is_sign[(unsigned char)r->s.p[r->at]])
        r->at++;
    add(r, capped((uint64_t)(r->at - from) * char_cost(r)));
    r->v[r->n - 1].last = char_cost(r);
}

static bool step(struct reader *r)
{
    switch (peek(r, 0)) {
    case '(':
        return open_group(r);
    case ')':
        close_group(r);
        return true;
    case '[':
        add(r, read_class(r));
        return true;
    case '\\':
        if (peek(r, 1) == 'Q')
            read_quoted(r);
        else
            add(r, read_escape(r));
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
    r->at++;
    return true;
}

uint32_t regexp_cost(struct str pattern)
{
    struct reader r = {.s = pattern, .n = 1};
    uint64_t sum = 0;

    while (r.at < r.s.n && r.v[r.n - 1].sum < OVER)
        if (!step(&r))
            return OVER;
    for (size_t i = 0; i < r.n; i++)
        sum += r.v[i].sum;
    return capped(sum);
}

size_t regexp_groups(struct str pattern, size_t max)
{
    struct reader r = {.s = pattern, .n = 1};

    while (r.at < r.s.n && r.captures < max && step(&r))
        ;
    return r.captures;
}
