/*
 * storage/dfa_parse.c - patterns into trees: the part of RE2's syntax that people write.
 *
 * RE2 has accepted the pattern before, so what is read here is known to be right; whatever this
 * reader has doubts about (classes of Unicode, (?m), \B, octal, \Q, \C ...) ends in "not known",
 * which costs speed and never an answer.
 *
 * Characters beyond ASCII are their bytes when they stand for themselves.  Where a class, `.` or a
 * folded letter could take one, the bytes above 0x7f are `unknown`.  Two such characters fold to
 * ASCII letters, U+212A to k and U+017F to s: behind (?i) they stand beside those.
 */
#include "storage/dfa_nfa.h"

#include <ctype.h>

enum { DEPTH_MAX = 100, REPEAT_MAX = 1000, UNREADABLE = -1, KELVIN = 0x212a, LONG_S = 0x17f };

static const char KELVIN_BYTES[] = "\xe2\x84\xaa";
static const char LONG_S_BYTES[] = "\xc5\xbf";

struct parser {
    const char *p, *end;
    struct arena *a;
    bool fold, dot_nl; /* flags where the reader stands */
    bool full;         /* the arena is */
    int depth;
};

/* A class under way: ASCII members, and whether it may have others. */
struct members {
    bool ascii[128];
    bool high;
};

static struct dfa_tree *make(struct parser *ps, enum dfa_tree_kind kind)
{
    struct dfa_tree *t = arena_alloc(ps->a, sizeof(*t));

    if (t == NULL)
        ps->full = true;
    else
        t->kind = kind;
    return t;
}

static bool at(const struct parser *ps, char c)
{
    return ps->p < ps->end && *ps->p == c;
}

static bool at_text(const struct parser *ps, const char *z)
{
    return str_starts((struct str){ps->p, (size_t)(ps->end - ps->p)}, str_of(z));
}

/* One character; the pattern is UTF-8, which RE2 has checked. */
static int take_char(struct parser *ps)
{
    unsigned char first = (unsigned char)*ps->p++;
    unsigned more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    unsigned cp = first & (more == 0 ? 0x7fu : 0x3fu >> more);

    if (first >= 0x80 && (more == 0 || (size_t)(ps->end - ps->p) < more))
        return UNREADABLE;
    for (; more > 0; more--)
        cp = cp << 6 | ((unsigned char)*ps->p++ & 0x3fu);
    return (int)cp;
}

/* \x41, \x{1F600}; behind the x. */
static int take_hex(struct parser *ps)
{
    bool braced = at(ps, '{');
    int cp = 0;
    int digits = 0;

    if (braced)
        ps->p++;
    while (ps->p < ps->end && isxdigit((unsigned char)*ps->p) && digits < (braced ? 6 : 2)) {
        int c = tolower((unsigned char)*ps->p++);
        cp = cp * 16 + (isdigit(c) ? c - '0' : c - 'a' + 10);
        digits++;
    }
    if (digits == 0 || (!braced && digits != 2) || (braced && !at(ps, '}')) || cp > 0x10ffff)
        return UNREADABLE;
    if (braced)
        ps->p++;
    return cp;
}

/* The character that an escape stands for; behind the backslash. */
static int take_escape(struct parser *ps)
{
    static const char NAMES[] = "ntrfva";
    static const char MEANS[] = "\n\t\r\f\v\a";
    const char *name;
    unsigned char c;

    if (ps->p >= ps->end)
        return UNREADABLE;
    c = (unsigned char)*ps->p++;
    if (c == 'x')
        return take_hex(ps);
    if (c < 0x80 && ispunct(c) && c != '_')
        return c;
    name = c == 0 ? NULL : strchr(NAMES, c);
    return name == NULL ? UNREADABLE : MEANS[name - NAMES];
}

/* ---- classes ---- */

static bool is_perl(int c, char name)
{
    switch (name) {
    case 'd':
        return c >= '0' && c <= '9';
    case 's':
        return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
    default:
        return isalnum(c) || c == '_';
    }
}

static bool is_posix(int c, const char *name)
{
    static const struct {
        const char *name;
        int (*is)(int);
    } KNOWN[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                 {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                 {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};

    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
        if (strcmp(KNOWN[i].name, name) == 0)
            return KNOWN[i].is(c) != 0;
    return strcmp(name, "ascii") == 0 || (strcmp(name, "word") == 0 && is_perl(c, 'w'));
}

static bool is_posix_name(const char *name)
{
    for (int c = 0; c < 128; c++)
        if (is_posix(c, name))
            return true;
    return false;
}

static void add_ascii(struct members *m, int c, bool fold)
{
    m->ascii[c] = true;
    if (!fold || !isalpha(c))
        return;
    m->ascii[c ^ 0x20] = true;
    if (tolower(c) == 'k' || tolower(c) == 's')
        m->high = true;
}

static void add_range(struct members *m, int from, int to, bool fold)
{
    for (int c = from; c <= to && c < 128; c++)
        add_ascii(m, c, fold);
    if (to >= 128)
        m->high = true;
    if (fold && from <= LONG_S && to >= LONG_S)
        add_ascii(m, 's', fold);
    if (fold && from <= KELVIN && to >= KELVIN)
        add_ascii(m, 'k', fold);
}

/* \d \w \s and their negations, behind the backslash; false: it is none of them. */
static bool take_perl(struct parser *ps, struct members *m)
{
    char name;
    bool negated;

    if (ps->p >= ps->end || *ps->p == '\0' || strchr("dwsDWS", *ps->p) == NULL)
        return false;
    negated = isupper((unsigned char)*ps->p) != 0;
    name = (char)tolower((unsigned char)*ps->p++);
    for (int c = 0; c < 128; c++)
        if (is_perl(c, name) != negated)
            add_ascii(m, c, ps->fold && !negated);
    m->high = m->high || negated;
    return true;
}

/* [:alpha:] and [:^alpha:]; 1: not known. */
static int take_posix(struct parser *ps, struct members *m)
{
    const char *from = ps->p + 2;
    bool negated = from < ps->end && *from == '^';
    char name[8] = "";
    size_t n = 0;

    if (negated)
        from++;
    while (from + n < ps->end && from[n] != ':' && n + 1 < sizeof(name))
        n++;
    memcpy(name, from, n);
    ps->p = from + n;
    if (!at_text(ps, ":]") || !is_posix_name(name))
        return 1;
    ps->p += 2;
    for (int c = 0; c < 128; c++)
        if (is_posix(c, name) != negated)
            add_ascii(m, c, ps->fold && !negated);
    m->high = m->high || negated;
    return 0;
}

static int take_class_char(struct parser *ps)
{
    if (ps->p >= ps->end)
        return UNREADABLE;
    if (!at(ps, '\\'))
        return take_char(ps);
    ps->p++;
    return take_escape(ps);
}

static struct dfa_tree *make_class(struct parser *ps, const struct members *m, bool negated)
{
    struct dfa_tree *t = make(ps, DFA_TREE_CHAR);

    if (t == NULL)
        return NULL;
    for (unsigned c = 0; c < 128; c++)
        if (m->ascii[c] != negated)
            dfa_set_add(t->set.yes, c);
    if (m->high || negated)
        t->set.unknown[2] = t->set.unknown[3] = UINT64_MAX;
    return t;
}

/* Behind the '['. */
static int take_class(struct parser *ps, struct dfa_tree **ret)
{
    struct members m = {.high = false};
    bool negated = at(ps, '^');

    if (negated)
        ps->p++;
    for (bool first = true; first || !at(ps, ']'); first = false) {
        int from;
        int to;
        if (at_text(ps, "[:")) {
            if (take_posix(ps, &m) != 0)
                return 1;
            continue;
        }
        if (at(ps, '\\')) {
            ps->p++;
            if (take_perl(ps, &m))
                continue;
            ps->p--;
        }
        to = from = take_class_char(ps);
        if (at(ps, '-') && ps->end - ps->p > 1 && ps->p[1] != ']') {
            ps->p++;
            to = take_class_char(ps);
        }
        if (from == UNREADABLE || to == UNREADABLE || to < from)
            return 1;
        add_range(&m, from, to, ps->fold);
    }
    ps->p++;
    *ret = make_class(ps, &m, negated);
    return 0;
}

/* ---- characters ---- */

static void prepend(struct dfa_tree *parent, struct dfa_tree *child)
{
    if (child == NULL)
        return;
    child->before = parent->last;
    parent->last = child;
}

static struct dfa_tree *make_byte(struct parser *ps, uint8_t byte)
{
    struct dfa_tree *t = make(ps, DFA_TREE_CHAR);

    if (t != NULL)
        dfa_set_add(t->set.yes, byte);
    return t;
}

/* A letter in both cases, and the characters beyond ASCII that fold to it. */
static struct dfa_tree *make_folded(struct parser *ps, int cp)
{
    int low = cp == KELVIN ? 'k' : cp == LONG_S ? 's' : tolower(cp);
    struct members m = {.high = false};
    struct dfa_tree *t;

    if (cp >= 128 && cp != KELVIN && cp != LONG_S) {
        m.high = true;
        return make_class(ps, &m, false);
    }
    add_ascii(&m, low, true);
    m.high = false;
    t = make_class(ps, &m, false);
    if (t != NULL && low == 'k')
        t->extra = STR(KELVIN_BYTES);
    if (t != NULL && low == 's')
        t->extra = STR(LONG_S_BYTES);
    return t;
}

/* UTF-8 of a character that stands for itself.  U+FFFD may also stand for a byte that is no UTF-8.
 */
static int make_char(struct parser *ps, int cp, struct dfa_tree **ret)
{
    struct dfa_tree *t;
    unsigned more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;

    if (cp == UNREADABLE || cp == 0xfffd || (cp >= 0xd800 && cp < 0xe000))
        return 1;
    if (ps->fold && (cp >= 128 || isalpha(cp))) {
        *ret = make_folded(ps, cp);
        return 0;
    }
    if (cp < 128) {
        *ret = make_byte(ps, (uint8_t)cp);
        return 0;
    }
    *ret = t = make(ps, DFA_TREE_CAT);
    if (t == NULL)
        return 0;
    prepend(t, make_byte(ps, (uint8_t)((0xff00u >> (more + 1) & 0xff) | (unsigned)cp >> 6 * more)));
    while (more-- > 0)
        prepend(t, make_byte(ps, (uint8_t)(0x80 | ((unsigned)cp >> 6 * more & 0x3f))));
    return 0;
}

static struct dfa_tree *make_look(struct parser *ps, enum dfa_look look)
{
    struct dfa_tree *t = make(ps, DFA_TREE_LOOK);

    if (t != NULL)
        t->look = look;
    return t;
}

/* ---- expressions ---- */

static int take_alternatives(struct parser *ps, struct dfa_tree **ret);

/* Flags behind "(?": up to ')' or ':'. */
static int take_flags(struct parser *ps)
{
    bool on = true;

    for (; ps->p < ps->end && *ps->p != ')' && *ps->p != ':'; ps->p++) {
        if (*ps->p == 'i')
            ps->fold = on;
        else if (*ps->p == 's')
            ps->dot_nl = on;
        else if (*ps->p == '-' && on)
            on = false;
        else if (*ps->p != 'U' && (*ps->p != 'm' || on))
            return 1;
    }
    return ps->p >= ps->end;
}

/* Behind the '('.  *ret stays NULL when it only set flags. */
static int take_group(struct parser *ps, struct dfa_tree **ret)
{
    bool fold = ps->fold;
    bool dot_nl = ps->dot_nl;
    int r;

    if (at_text(ps, "?P<") || at_text(ps, "?<")) {
        while (ps->p < ps->end && *ps->p != '>')
            ps->p++;
        ps->p++;
    } else if (at(ps, '?')) {
        ps->p++;
        if (take_flags(ps) != 0)
            return 1;
        if (*ps->p++ == ')')
            return 0;
    }
    if (++ps->depth > DEPTH_MAX)
        return 1;
    r = take_alternatives(ps, ret);
    if (r != 0)
        return r;
    ps->depth--;
    if (!at(ps, ')'))
        return 1;
    ps->p++;
    ps->fold = fold;
    ps->dot_nl = dot_nl;
    return 0;
}

/* Behind the backslash, outside of a class. */
static int take_backslash(struct parser *ps, struct dfa_tree **ret)
{
    static const char LOOKS[] = "Azb";
    static const enum dfa_look MEANS[] = {DFA_LOOK_BEGIN, DFA_LOOK_END, DFA_LOOK_WORD};
    struct members m = {.high = false};
    const char *look = ps->p < ps->end && *ps->p != '\0' ? strchr(LOOKS, *ps->p) : NULL;

    if (look != NULL) {
        ps->p++;
        *ret = make_look(ps, MEANS[look - LOOKS]);
        return 0;
    }
    if (take_perl(ps, &m)) {
        *ret = make_class(ps, &m, false);
        return 0;
    }
    return make_char(ps, take_escape(ps), ret);
}

/* One thing that a repetition may follow; *ret NULL: there is none (flags). */
static int take_atom(struct parser *ps, struct dfa_tree **ret)
{
    struct members m = {.high = true};
    char c = *ps->p;

    if (strchr("[(.^$\\", c) == NULL || c == '\0')
        return make_char(ps, take_char(ps), ret);
    ps->p++;
    switch (c) {
    case '[':
        return take_class(ps, ret);
    case '(':
        return take_group(ps, ret);
    case '.':
        memset(m.ascii, true, sizeof(m.ascii));
        m.ascii['\n'] = ps->dot_nl;
        *ret = make_class(ps, &m, false);
        return 0;
    case '^':
        *ret = make_look(ps, DFA_LOOK_BEGIN);
        return 0;
    case '$':
        *ret = make_look(ps, DFA_LOOK_END);
        return 0;
    default:
        return take_backslash(ps, ret);
    }
}

static int take_number(struct parser *ps)
{
    int n = 0;

    if (ps->p >= ps->end || !isdigit((unsigned char)*ps->p))
        return UNREADABLE;
    while (ps->p < ps->end && isdigit((unsigned char)*ps->p) && n <= REPEAT_MAX)
        n = n * 10 + (*ps->p++ - '0');
    return n;
}

/* {2}, {2,} or {2,5}; false: the brace stands for itself. */
static bool take_counts(struct parser *ps, int *min, int *max)
{
    const char *from = ps->p++;

    *min = *max = take_number(ps);
    if (*min >= 0 && at(ps, ',')) {
        ps->p++;
        *max = at(ps, '}') ? DFA_MANY : take_number(ps);
        if (*max == UNREADABLE && !at(ps, '}'))
            *min = UNREADABLE;
    }
    if (*min >= 0 && at(ps, '}')) {
        ps->p++;
        return true;
    }
    ps->p = from;
    return false;
}

/* The repetition behind an atom, if there is one. */
static int take_repeat(struct parser *ps, struct dfa_tree **atom)
{
    int min = 0;
    int max = DFA_MANY;
    struct dfa_tree *t;

    if (at(ps, '{')) {
        if (!take_counts(ps, &min, &max))
            return 0;
    } else if (at(ps, '*') || at(ps, '+') || at(ps, '?')) {
        min = *ps->p == '+' ? 1 : 0;
        max = *ps->p == '?' ? 1 : DFA_MANY;
        ps->p++;
    } else {
        return 0;
    }
    if (at(ps, '?'))
        ps->p++; /* lazy */
    if (*atom == NULL || min > REPEAT_MAX || max > REPEAT_MAX || (max != DFA_MANY && max < min))
        return 1;
    t = make(ps, DFA_TREE_REPEAT);
    if (t == NULL)
        return 0;
    t->min = min;
    t->max = max;
    t->last = *atom;
    *atom = t;
    return at(ps, '*') || at(ps, '+') || at(ps, '?') ||
           (at(ps, '{') && take_counts(ps, &min, &max));
}

static int take_sequence(struct parser *ps, struct dfa_tree **ret)
{
    struct dfa_tree *t = make(ps, DFA_TREE_CAT);

    *ret = t;
    while (t != NULL && ps->p < ps->end && *ps->p != '|' && *ps->p != ')') {
        struct dfa_tree *atom = NULL;
        int r;
        if (at(ps, '*') || at(ps, '+') || at(ps, '?'))
            return 1;
        r = take_atom(ps, &atom);
        if (r == 0 && !ps->full)
            r = take_repeat(ps, &atom);
        if (r != 0 || ps->full)
            return r;
        prepend(t, atom);
    }
    return 0;
}

static int take_alternatives(struct parser *ps, struct dfa_tree **ret)
{
    struct dfa_tree *t = make(ps, DFA_TREE_ALT);

    *ret = t;
    while (t != NULL) {
        struct dfa_tree *one = NULL;
        int r = take_sequence(ps, &one);
        if (r != 0 || ps->full)
            return r;
        prepend(t, one);
        if (!at(ps, '|'))
            break;
        ps->p++;
    }
    if (t != NULL && t->last->before == NULL)
        *ret = t->last;
    return 0;
}

int dfa_parse_regexp(struct str pattern, struct arena *a, struct dfa_tree **ret, struct err *err)
{
    struct parser ps = {.p = pattern.p, .end = pattern.p + pattern.n, .a = a};
    int r = take_alternatives(&ps, ret);

    if (ps.full)
        return arena_err(a, err);
    return r != 0 || ps.p < ps.end;
}

int dfa_parse_literal(struct str text, struct arena *a, struct dfa_tree **ret, struct err *err)
{
    struct parser ps = {.a = a};
    struct dfa_tree *t = make(&ps, DFA_TREE_CAT);

    for (size_t i = 0; i < text.n && !ps.full; i++)
        prepend(t, make_byte(&ps, (uint8_t)text.p[i]));
    if (ps.full)
        return arena_err(a, err);
    *ret = t;
    return 0;
}
