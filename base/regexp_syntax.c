/*
 * base/regexp_syntax.c - see regexp_syntax.h.
 *
 * RE2 takes milliseconds for a large pattern until it comes to what is wrong at its end, since it
 * builds a tree of all before it.  Here the same grammar is read without building anything.  What
 * takes the empty text, and the names of groups, are seen on the same way.
 */
#include "base/regexp_syntax.h"

#include "base/utf8.h"

#include <string.h>

enum { REPEAT_MAX = 1000, NUMBER_MAX = 100000000, RUNE_MAX = 0x10ffff, LEVELS = 250 };

/* What of a group, or of all, takes the empty text so far. */
struct level {
    bool some;   /* one of the alternatives that ended */
    bool before; /* all of this alternative but what was read last */
    bool last;   /* that: what a repetition would repeat */
};

struct reader {
    struct str s;
    size_t at;
    size_t depth;    /* open groups */
    size_t deepest;  /* as many were open at once */
    bool may_repeat; /* something stands before */
    bool unended;    /* no :] is behind here */
    size_t repeat;   /* where the repetition just before begins; SIZE_MAX: there is none */
    struct regexp_fault fault;
    struct level level;         /* of the innermost group */
    struct level outer[LEVELS]; /* of those around it; none are kept of what is deeper */
    struct str *names;          /* where to put the names of groups, or NULL */
    size_t groups, max;         /* that keep what they match; how many names there is room for */
};

static char peek(const struct reader *r, size_t ahead)
{
    return ahead < r->s.n - r->at ? r->s.p[r->at + ahead] : '\0';
}

static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_more(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The fault reaches from `from` over `n` bytes, and to the end of the character there. */
static bool fail(struct reader *r, enum regexp_fault_kind kind, size_t from, size_t n)
{
    n = n < r->s.n - from ? n : r->s.n - from;
    while (from + n < r->s.n && is_more(r->s.p[from + n]))
        n++;
    r->fault = (struct regexp_fault){kind, str_sub(r->s, from, n)};
    return false;
}

/* ---- what takes the empty text ---- */

static void add(struct reader *r, bool takes_empty)
{
    r->level.before = r->level.before && r->level.last;
    r->level.last = takes_empty;
}

/* Characters, of which a repetition repeats the last. */
static void add_text(struct reader *r, struct str text)
{
    size_t n = 1;

    while (n < text.n && is_more(text.p[n]))
        n++;
    if (text.n > n)
        add(r, false);
    if (text.n > 0)
        add(r, false);
}

static void end_alternative(struct reader *r)
{
    r->level.some = r->level.some || (r->level.before && r->level.last);
    r->level.before = r->level.last = true;
}

static void push_level(struct reader *r)
{
    if (r->depth < LEVELS)
        r->outer[r->depth] = r->level;
    r->depth++;
    r->deepest = r->depth > r->deepest ? r->depth : r->deepest;
    r->level = (struct level){.before = true, .last = true};
}

static void pop_level(struct reader *r)
{
    bool takes_empty;

    end_alternative(r);
    takes_empty = r->level.some;
    r->depth--;
    if (r->depth < LEVELS)
        r->level = r->outer[r->depth];
    add(r, takes_empty);
}

/* ---- characters ---- */

/* The character at r->at, which is passed. */
static uint32_t read_rune(struct reader *r)
{
    unsigned char c = (unsigned char)r->s.p[r->at++];
    uint32_t v = c < 0x80 ? c : c < 0xe0 ? c & 0x1f : c < 0xf0 ? c & 0x0f : c & 0x07;

    for (; is_more(peek(r, 0)); r->at++)
        v = v << 6 | ((unsigned char)peek(r, 0) & 0x3f);
    return v;
}

/* \xff, \x{10ffff} */
static bool read_hex(struct reader *r, uint32_t *ret)
{
    size_t n = 3;
    uint32_t v = 0;

    if (peek(r, 2) != '{') {
        while (is_more(peek(r, n)))
            n++;
        if (hex(peek(r, 2)) < 0 || hex(peek(r, 3)) < 0) /* RE2 takes two characters */
            return fail(r, REGEXP_FAULT_PIECE, r->at, n + 1);
        *ret = (uint32_t)(hex(peek(r, 2)) * 16 + hex(peek(r, 3)));
        r->at += 4;
        return true;
    }
    for (; hex(peek(r, n)) >= 0; n++) {
        v = v * 16 + (uint32_t)hex(peek(r, n));
        if (v > RUNE_MAX)
            return fail(r, REGEXP_FAULT_PIECE, r->at, n + 1);
    }
    if (n == 3 || peek(r, n) != '}')
        return fail(r, REGEXP_FAULT_PIECE, r->at, n + 1);
    *ret = v;
    r->at += n + 1;
    return true;
}

/* The escape of one character at r->at, which is passed. */
static bool read_escape(struct reader *r, uint32_t *ret)
{
    char c = peek(r, 1);

    if (r->s.n - r->at < 2)
        return fail(r, REGEXP_FAULT_PIECE, r->at, 1);
    if (c == 'x')
        return read_hex(r, ret);
    if (c >= '0' && c <= '7' && (c == '0' || (peek(r, 2) >= '0' && peek(r, 2) <= '7'))) {
        *ret = 0;
        r->at++;
        for (int i = 0; i < 3 && peek(r, 0) >= '0' && peek(r, 0) <= '7'; i++, r->at++)
            *ret = *ret * 8 + (uint32_t)(peek(r, 0) - '0');
        return true;
    }
    if (is_digit(c) || (unsigned char)c >= 0x80 || (is_alpha(c) && !is_in(c, "nrtafv")))
        return fail(r, REGEXP_FAULT_PIECE, r->at, 2);
    *ret = c == 'n'   ? '\n'
           : c == 'r' ? '\r'
           : c == 't' ? '\t'
           : c == 'a' ? '\a'
           : c == 'f' ? '\f'
           : c == 'v' ? '\v'
                      : (unsigned char)c;
    r->at += 2;
    return true;
}

/* \pL, \p{Lu}: the general categories are known. */
static bool read_unicode(struct reader *r)
{
    static const char all[] = " L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm "
                              "Sc Sk So Z Zs Zl Zp C Cc Cf Co Cs Any ";
    char name[8] = " ";
    size_t n = 0;

    if (peek(r, 2) != '{') {
        name[1] = peek(r, 2);
        n = 1;
    } else {
        while (n < 4 && is_alpha(peek(r, 3 + n))) {
            name[1 + n] = peek(r, 3 + n);
            n++;
        }
        if (peek(r, 3 + n) != '}')
            return false; /* RE2 knows */
    }
    name[1 + n] = ' ';
    if (n == 0 || !is_alpha(name[1]) || strstr(all, name) == NULL)
        return false; /* RE2 knows */
    r->at += peek(r, 2) == '{' ? n + 4 : 3;
    return true;
}

/* ---- classes ---- */

/* [:alpha:] at r->at, which is passed; *ret: there is one. */
static bool read_posix(struct reader *r, bool *ret)
{
    static const char all[] = " alnum alpha ascii blank cntrl digit graph lower print punct space "
                              "upper word xdigit ";
    char name[10] = " ";
    size_t skip = peek(r, 2) == '^' ? 3 : 2;
    size_t n;

    *ret = false;
    if (peek(r, 0) != '[' || peek(r, 1) != ':')
        return true;
    n = r->unended ? SIZE_MAX : str_find(str_from(r->s, r->at + 2), STR(":]"));
    r->unended = n == SIZE_MAX; /* then nor behind it */
    if (r->unended)
        return true;
    *ret = true;
    if (n + 2 > skip && n + 2 - skip < 8)
        memcpy(name + 1, r->s.p + r->at + skip, n + 2 - skip);
    name[strlen(name)] = ' ';
    if (strlen(name) < 3 || strstr(all, name) == NULL)
        return fail(r, REGEXP_FAULT_IN_CLASS, r->at, n + 4);
    r->at += n + 4;
    return true;
}

static bool read_class_char(struct reader *r, size_t from, uint32_t *ret)
{
    if (peek(r, 0) != '\\') {
        *ret = read_rune(r);
        return true;
    }
    if (read_escape(r, ret))
        return true;
    if (r->fault.piece.n > 1) { /* with what is before it in its range */
        struct str p = r->fault.piece;
        return fail(r, REGEXP_FAULT_IN_CLASS, from, (size_t)(p.p - r->s.p) + p.n - from);
    }
    return false;
}

/* A character or a range. */
static bool read_range(struct reader *r)
{
    size_t from = r->at;
    uint32_t low;
    uint32_t high;

    if (!read_class_char(r, from, &low))
        return false;
    if (peek(r, 0) != '-' || r->s.n - r->at < 2 || peek(r, 1) == ']')
        return true;
    r->at++;
    if (!read_class_char(r, from, &high))
        return false;
    return high >= low || fail(r, REGEXP_FAULT_IN_CLASS, from, r->at - from);
}

static bool read_class(struct reader *r)
{
    size_t from = r->at++;
    bool first = true;

    if (peek(r, 0) == '^')
        r->at++;
    for (; r->at < r->s.n && (first || peek(r, 0) != ']'); first = false) {
        bool is_posix;
        if (!read_posix(r, &is_posix))
            return false;
        if (is_posix)
            continue;
        if (peek(r, 0) == '\\' && is_in(peek(r, 1), "pP")) {
            if (!read_unicode(r))
                return false;
        } else if (peek(r, 0) == '\\' && is_in(peek(r, 1), "dDsSwW")) {
            r->at += 2;
        } else if (!read_range(r)) {
            return false;
        }
    }
    if (r->at == r->s.n)
        return fail(r, REGEXP_FAULT_CLASS, from, r->s.n - from);
    r->at++;
    return true;
}

/* ---- groups ---- */

/* Of `n` bytes to its content. */
static bool open_group(struct reader *r, size_t n)
{
    r->at += n;
    push_level(r);
    r->may_repeat = false;
    return true;
}

static bool open_capture(struct reader *r, size_t n, struct str name)
{
    if (r->groups < r->max)
        r->names[r->groups] = name;
    r->groups++;
    return open_group(r, n);
}

/* Length of (?P<name> or (?<name> at r->at, whose name is at r->at + `from`; 0: that is none. */
static size_t name_end(const struct reader *r, size_t from)
{
    size_t n = from;

    while (is_alpha(peek(r, n)) || is_digit(peek(r, n)) || peek(r, n) == '_')
        n++;
    return n > from && peek(r, n) == '>' ? n + 1 : 0;
}

static bool read_name(struct reader *r, size_t from)
{
    size_t n = name_end(r, from);

    if (n > 0)
        return open_capture(r, n, str_sub(r->s, r->at + from, n - 1 - from));
    n = str_find(str_from(r->s, r->at), STR(">"));
    if (n == SIZE_MAX)
        return fail(r, REGEXP_FAULT_PIECE, r->at, r->s.n - r->at);
    return fail(r, REGEXP_FAULT_GROUP, r->at, n + 1);
}

/* (, (?P<name>, (?<name>, (?flags: and (?flags) at r->at */
static bool read_group(struct reader *r)
{
    bool negated = false;
    bool any = true;

    if (peek(r, 1) != '?')
        return open_capture(r, 1, STR_NULL);
    if (peek(r, 2) == 'P' && peek(r, 3) == '<')
        return read_name(r, 4);
    if (peek(r, 2) == '<' && name_end(r, 3) > 0)
        return read_name(r, 3);
    for (size_t n = 2;; n++) {
        char c = peek(r, n);
        if (is_in(c, "imsU")) {
            any = true;
        } else if (c == '-' && !negated) {
            negated = true;
            any = false;
        } else if (is_in(c, ":)") && any) {
            if (c == ':')
                return open_group(r, n + 1);
            r->at += n + 1;
            return true;
        } else {
            return fail(r, REGEXP_FAULT_PIECE, r->at, n + 1);
        }
    }
}

/* ---- repetitions ---- */

/* An integer at *n, which is passed; -1: there is none. */
static int read_number(const struct reader *r, size_t *n)
{
    int v = 0;

    if (!is_digit(peek(r, *n)) || (peek(r, *n) == '0' && is_digit(peek(r, *n + 1))))
        return -1;
    for (; is_digit(peek(r, *n)); ++*n) {
        if (v >= NUMBER_MAX)
            return -1;
        v = v * 10 + (peek(r, *n) - '0');
    }
    return v;
}

/* Length of {n}, {n,} or {n,m} at r->at; 0: the brace stands for itself.  *least: the n. */
static size_t counted(const struct reader *r, bool *is_size, int *least)
{
    size_t n = 1;
    int low = read_number(r, &n);
    int high = low;

    if (low < 0)
        return 0;
    if (peek(r, n) == ',') {
        n++;
        high = peek(r, n) == '}' ? low : read_number(r, &n);
        if (high < 0)
            return 0;
    }
    *is_size = low <= high && high <= REPEAT_MAX;
    *least = low;
    return peek(r, n) == '}' ? n + 1 : 0;
}

/* `before`: where the repetition just before begins, or SIZE_MAX. */
static bool read_repeat(struct reader *r, size_t before)
{
    size_t from = r->at;
    bool is_size = true;
    int least = peek(r, 0) == '+';
    size_t n = peek(r, 0) == '{' ? counted(r, &is_size, &least) : 1;

    if (n == 0) {
        r->at++;
        r->may_repeat = true;
        add(r, false);
        return true;
    }
    r->at += n;
    if (peek(r, 0) == '?')
        r->at++;
    if (before != SIZE_MAX)
        return fail(r, REGEXP_FAULT_REPEATED, before, r->at - before);
    if (!is_size)
        return fail(r, REGEXP_FAULT_REPEATED, from, r->at - from);
    if (!r->may_repeat)
        return fail(r, REGEXP_FAULT_PIECE, from, r->at - from);
    r->repeat = from;
    r->level.last = r->level.last || least == 0;
    return true;
}

/* ---- all of it ---- */

/* \Q...\E */
static bool read_quoted(struct reader *r)
{
    struct str rest = str_from(r->s, r->at + 2);
    size_t end = str_find(rest, STR("\\E"));

    add_text(r, str_sub(rest, 0, end));
    if (end != 0 && rest.n > 0)
        r->may_repeat = true;
    r->at += end == SIZE_MAX ? 2 + rest.n : 4 + end;
    return true;
}

static bool read_backslash(struct reader *r)
{
    uint32_t rune;

    if (peek(r, 1) == 'Q')
        return read_quoted(r);
    r->may_repeat = true;
    add(r, false);
    if (is_in(peek(r, 1), "pP"))
        return read_unicode(r);
    if (is_in(peek(r, 1), "BAz"))
        r->level.last = true; /* they stand in the place of the character that was added */
    if (is_in(peek(r, 1), "dDsSwWbBAz")) {
        r->at += 2;
        return true;
    }
    return read_escape(r, &rune);
}

/* Characters that stand for themselves, and dots. */
static bool read_plain(struct reader *r)
{
    static const bool is_sign[256] = {
        ['('] = true, [')'] = true, ['|'] = true, ['['] = true, ['\\'] = true, ['{'] = true,
        ['*'] = true, ['+'] = true, ['?'] = true, ['^'] = true, ['$'] = true,
    };
    size_t from = r->at;

    while (r->at < r->s.n && !is_sign[(unsigned char)r->s.p[r->at]])
        r->at++;
    add_text(r, str_sub(r->s, from, r->at - from));
    r->may_repeat = true;
    return true;
}

/* False: a fault, or it cannot be told. */
static bool step(struct reader *r)
{
    size_t before = r->repeat;

    r->repeat = SIZE_MAX;
    switch (peek(r, 0)) {
    case '(':
        return read_group(r);
    case ')':
        if (r->depth == 0) {
            r->fault.kind = REGEXP_FAULT_CLOSE;
            return false;
        }
        pop_level(r);
        break;
    case '^':
    case '$':
        add(r, true);
        break;
    case '|':
        r->at++;
        r->may_repeat = false;
        end_alternative(r);
        return true;
    case '[':
        r->may_repeat = true;
        add(r, false);
        return read_class(r);
    case '\\':
        return read_backslash(r);
    case '{':
    case '*':
    case '+':
    case '?':
        return read_repeat(r, before);
    default:
        return read_plain(r);
    }
    r->at++;
    r->may_repeat = true;
    return true;
}

static void begin(struct reader *r, struct str pattern)
{
    r->s = pattern;
    r->at = r->depth = r->deepest = r->groups = r->max = 0;
    r->may_repeat = r->unended = false;
    r->repeat = SIZE_MAX;
    r->fault = (struct regexp_fault){REGEXP_FAULT_NONE, STR_NULL};
    r->level = (struct level){.before = true, .last = true};
    r->names = NULL;
}

/* False: a fault, or it cannot be told. */
static bool read_all(struct reader *r)
{
    if (utf8_valid(r->s) != r->s.n)
        return false;
    while (r->at < r->s.n)
        if (!step(r))
            return false;
    if (r->depth > 0)
        r->fault.kind = REGEXP_FAULT_OPEN;
    return r->depth == 0;
}

struct regexp_fault regexp_syntax(struct str pattern)
{
    struct reader r;

    begin(&r, pattern);
    (void)read_all(&r); /* why it stopped is in the fault */
    return r.fault;
}

enum regexp_empty regexp_takes_empty(struct str pattern)
{
    struct reader r;

    begin(&r, pattern);
    if (!read_all(&r) || r.deepest > LEVELS)
        return REGEXP_EMPTY_UNKNOWN;
    end_alternative(&r);
    return r.level.some ? REGEXP_EMPTY_YES : REGEXP_EMPTY_NO;
}

size_t regexp_names(struct str pattern, struct str *ret, size_t max)
{
    struct reader r;

    begin(&r, pattern);
    r.names = ret;
    r.max = max;
    return read_all(&r) && r.groups <= max ? r.groups : SIZE_MAX;
}
