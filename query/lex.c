/*
 * query/lex.c - see lex.h.
 *
 * Invariants
 *   (1) pos <= text.n, and every byte at or past text.n is not read: peek() gives 0 there;
 *   (2) each call but at the end moves pos forward, so lexing ends.
 */
#include "query/lex.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "query/units.h"

#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

enum {
    LONG = 32,
    DIGITS = 15, /* of a number that a double holds */
};

static const struct {
    const char *text; /* words in small letters */
    size_t n;
} kinds[TOKEN_KINDS] = {
#define X(kind, text) [TOKEN_##kind] = {text, sizeof(text) - 1},
    LEX_CLASSES(X) LEX_SIGNS(X) LEX_KEYWORDS(X) LEX_RANGE_OPS(X) LEX_VECTOR_OPS(X)
        LEX_OTHER_FUNCTIONS(X)
#undef X
};

const char *lex_kind_name(enum token_kind kind)
{
    return kinds[kind].text;
}

void lex_init(struct lexer *l, struct str text, struct arena *a)
{
    *l = (struct lexer){.text = text, .at = {1, 1}, .arena = a};
    for (int k = TOKEN_BY; k < TOKEN_KINDS; k++) {
        size_t letter = (size_t)(kinds[k].text[0] - 'a');
        l->lengths[letter] |= UINT32_C(1) << kinds[k].n;
        l->next[k] = l->first[letter];
        l->first[letter] = (uint8_t)k;
    }
    if (str_starts(text, STR(BYTE_ORDER_MARK))) /* as some editors put in front */
        l->pos = sizeof(BYTE_ORDER_MARK) - 1;
}

static char peek(const struct lexer *l, size_t ahead)
{
    if (ahead >= l->text.n - l->pos)
        return '\0';
    return l->text.p[l->pos + ahead];
}

/* The same of bytes below 0x80 that are there and no line's end. */
static void skip_plain(struct lexer *l, size_t n)
{
    l->pos += n;
    l->at.column += (unsigned)n;
}

/* What has no line's end in it, but is not short. */
static bool skip_long(struct lexer *l, size_t n)
{
    const char *p = l->text.p + l->pos;
    unsigned chars = 0;

    if (n < LONG || n > l->text.n - l->pos || memchr(p, '\n', n) != NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)p[i] & 0xc0) != 0x80;
    l->pos += n;
    l->at.column += chars;
    return true;
}

static void skip(struct lexer *l, size_t n)
{
    if (skip_long(l, n))
        return;
    for (; n > 0 && l->pos < l->text.n; n--) {
        char c = l->text.p[l->pos++];
        if (c == '\n') {
            l->at.line++;
            l->at.column = 1;
        } else if (((unsigned char)c & 0xc0) != 0x80) {
            l->at.column++;
        }
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What a byte may be: part of a word, or a sign of its own whatever follows. */
enum { WORD = 255 };
/* clang-format off */
static const uint8_t byte_is[256] = {
    ['a'] = WORD, ['b'] = WORD, ['c'] = WORD, ['d'] = WORD, ['e'] = WORD, ['f'] = WORD,
    ['g'] = WORD, ['h'] = WORD, ['i'] = WORD, ['j'] = WORD, ['k'] = WORD, ['l'] = WORD,
    ['m'] = WORD, ['n'] = WORD, ['o'] = WORD, ['p'] = WORD, ['q'] = WORD, ['r'] = WORD,
    ['s'] = WORD, ['t'] = WORD, ['u'] = WORD, ['v'] = WORD, ['w'] = WORD, ['x'] = WORD,
    ['y'] = WORD, ['z'] = WORD, ['A'] = WORD, ['B'] = WORD, ['C'] = WORD, ['D'] = WORD,
    ['E'] = WORD, ['F'] = WORD, ['G'] = WORD, ['H'] = WORD, ['I'] = WORD, ['J'] = WORD,
    ['K'] = WORD, ['L'] = WORD, ['M'] = WORD, ['N'] = WORD, ['O'] = WORD, ['P'] = WORD,
    ['Q'] = WORD, ['R'] = WORD, ['S'] = WORD, ['T'] = WORD, ['U'] = WORD, ['V'] = WORD,
    ['W'] = WORD, ['X'] = WORD, ['Y'] = WORD, ['Z'] = WORD, ['0'] = WORD, ['1'] = WORD,
    ['2'] = WORD, ['3'] = WORD, ['4'] = WORD, ['5'] = WORD, ['6'] = WORD, ['7'] = WORD,
    ['8'] = WORD, ['9'] = WORD, ['_'] = WORD,
    [','] = TOKEN_COMMA, ['{'] = TOKEN_OPEN_BRACE, ['}'] = TOKEN_CLOSE_BRACE,
    ['('] = TOKEN_OPEN_PAREN, [')'] = TOKEN_CLOSE_PAREN, ['+'] = TOKEN_ADD,
    ['*'] = TOKEN_MUL, ['%'] = TOKEN_MOD, ['^'] = TOKEN_POW,
};
/* clang-format on */
_Static_assert((int)TOKEN_KINDS < (int)WORD, "kinds fit");

static bool is_word(char c)
{
    return byte_is[(unsigned char)c] == WORD;
}

static bool is_comment(const struct lexer *l)
{
    return peek(l, 0) == '/' && peek(l, 1) == '*';
}

/* False: it does not end, and stays. */
static bool skip_comment(struct lexer *l)
{
    size_t n = str_find(str_from(l->text, l->pos + 2), STR("*/"));

    if (n == SIZE_MAX)
        return false;
    skip(l, n + 4);
    return true;
}

static void skip_blanks(struct lexer *l)
{
    while (l->pos < l->text.n) {
        char c = l->text.p[l->pos];
        if (c > '/')
            return; /* nearly always */
        if (c == ' ') {
            skip_plain(l, 1);
        } else if (is_blank(c)) {
            skip(l, 1);
        } else if (c == '#' || (c == '/' && peek(l, 1) == '/')) {
            while (l->pos < l->text.n && peek(l, 0) != '\n')
                skip(l, 1);
        } else if (!is_comment(l) || !skip_comment(l)) {
            return;
        }
    }
}

/* ---- strings ---- */

/* Value of `n` digits of base 8 or 16 at p, or UINT32_MAX if one is none. */
static uint32_t digits_value(const char *p, size_t n, unsigned base)
{
    uint32_t v = 0;

    for (size_t i = 0; i < n; i++) {
        if (base == 8 ? p[i] < '0' || p[i] > '7' : !is_hex(p[i]))
            return UINT32_MAX;
        v = v * base + (uint32_t)(is_digit(p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    }
    return v;
}

/* The numeric escape behind a backslash at s.p[*at]; moves *at past it. */
static bool numeric_escape(struct buf *out, struct str s, size_t *at)
{
    char c = s.p[*at];
    size_t n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 3;
    size_t from = *at + (n != 3);
    uint32_t v;

    if ((n == 3 && !is_digit(c)) || n > s.n - from)
        return false;
    v = digits_value(s.p + from, n, n == 3 ? 8 : 16);
    *at = from + n;
    if (n <= 3) {
        if (v > 0xff)
            return false;
        buf_add_char(out, (char)v);
        return true;
    }
    if (v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return false;
    utf8_add(out, v);
    return true;
}

/* Append `s`, the inside of a double-quoted string, with its escapes resolved. */
static bool unescape(struct buf *out, struct str s)
{
    static const char letters[] = "abfnrtv\\\"";
    static const char values[] = "\a\b\f\n\r\t\v\\\"";

    for (size_t at = 0; at < s.n;) {
        const char *letter;
        if (s.p[at] != '\\') {
            buf_add_char(out, s.p[at++]);
            continue;
        }
        if (++at == s.n)
            return false;
        letter = s.p[at] == '\0' ? NULL : strchr(letters, s.p[at]);
        if (letter != NULL) {
            buf_add_char(out, values[letter - letters]);
            at++;
        } else if (!numeric_escape(out, s, &at)) {
            return false;
        }
    }
    return true;
}

bool lex_unescape(struct str s, struct arena *a, struct str *ret)
{
    struct buf out;
    bool ok = true;

    *ret = s;
    if (str_find_char(s, '\\') == SIZE_MAX)
        return true;
    buf_init(&out, 2 * s.n); /* an escape takes at least as many bytes as it makes */
    ok = unescape(&out, s);
    if (ok) {
        *ret = arena_str(a, buf_str(&out));
        ok = ret->p != NULL;
    }
    buf_fini(&out);
    return ok;
}

/* Bytes of the string that begins here up to its last quote, or 0: there is none. */
static size_t string_length(const struct lexer *l, bool *escaped)
{
    struct str s = str_from(l->text, l->pos);
    size_t n = 1;

    if (s.p[0] == '`') {
        size_t end = str_find_char(str_from(s, 1), '`');
        return end == SIZE_MAX ? 0 : end + 1;
    }
    while (n < s.n && s.p[n] != '"' && s.p[n] != '\n') {
        *escaped |= s.p[n] == '\\';
        n += s.p[n] == '\\' ? 2 : 1;
    }
    return n < s.n && s.p[n] == '"' ? n : 0;
}

static int lex_string(struct lexer *l, struct token *t, struct err *err)
{
    bool escaped = false;
    size_t n = string_length(l, &escaped);

    if (n == 0)
        return err_set(err, ERR_INVALID, "literal not terminated");
    t->kind = TOKEN_STRING;
    t->text = str_sub(l->text, l->pos, n + 1);
    t->string = str_sub(t->text, 1, n - 1);
    skip(l, n + 1);
    if (utf8_valid(t->string) != t->string.n)
        return err_set(err, ERR_INVALID, "invalid UTF-8 rune");
    if (!escaped || lex_unescape(t->string, l->arena, &t->string))
        return 0;
    if (t->string.p == NULL)
        return arena_err(l->arena, err);
    return err_set(err, ERR_INVALID, "invalid char escape");
}

/* ---- numbers, durations, sizes ---- */

/* Bytes of the number that starts at pos + from. */
static size_t number_length(const struct lexer *l, size_t from)
{
    size_t n = from;
    char next = (char)(peek(l, n + 1) | 0x20);
    bool based = peek(l, n) == '0' && (next == 'x' || next == 'b' || next == 'o');
    bool hex = based && (peek(l, n + 1) | 0x20) == 'x';
    char exponent = hex ? 'p' : 'e';

    n += based ? 2 : 0;
    while (is_digit(peek(l, n)) || peek(l, n) == '_' || (hex && is_hex(peek(l, n))))
        n++;
    if (peek(l, n) == '.') {
        n++;
        while (is_digit(peek(l, n)) || peek(l, n) == '_' || (hex && is_hex(peek(l, n))))
            n++;
    }
    if ((peek(l, n) | 0x20) == exponent) {
        size_t digits = n + 1;
        if (peek(l, digits) == '+' || peek(l, digits) == '-')
            digits++;
        if (is_digit(peek(l, digits))) {
            n = digits;
            while (is_digit(peek(l, n)) || peek(l, n) == '_')
                n++;
        }
    }
    return n - from;
}

/* May the byte stand in a duration, but for the one that is not ASCII? */
static bool is_of_duration(char c)
{
    switch (c) {
    case 'n':
    case 'u':
    case 'm':
    case 's':
    case 'h':
    case 'd':
    case 'w':
    case 'y':
    case '.':
        return true;
    default:
        return is_digit(c);
    }
}

/* Length of what could be a duration from pos + from on: digits, dots and letters of its units. */
static size_t duration_length(const struct lexer *l, size_t from)
{
    size_t n = from;

    for (;; n++) {
        char c = peek(l, n);
        if (c == '\xc2' && peek(l, n + 1) == '\xb5')
            n++;
        else if (!is_of_duration(c))
            return n - from;
    }
}

static bool lex_duration(struct lexer *l, size_t sign, size_t digits, struct token *t)
{
    size_t n = sign + digits;
    struct str text;

    n += duration_length(l, n);
    if (n == sign + digits || is_digit(peek(l, n - 1)))
        return false; /* no unit at the end: also Go's bare 0 */
    text = str_sub(l->text, l->pos, n);
    if (!units_parse_range(text, &t->duration) &&
        units_parse_go_duration(text, &t->duration, NULL) != UNITS_OK)
        return false;
    t->kind = TOKEN_DURATION;
    t->text = text;
    skip(l, n);
    return true;
}

static bool lex_bytes(struct lexer *l, size_t digits, struct token *t)
{
    size_t n = digits;

    while (peek(l, n) > '9' && strchr("BikKMGTP", peek(l, n)) != NULL)
        n++;
    if (n == digits || units_parse_bytes(str_sub(l->text, l->pos, n), &t->bytes, NULL) != UNITS_OK)
        return false;
    t->kind = TOKEN_BYTES;
    t->text = str_sub(l->text, l->pos, n);
    skip_plain(l, n);
    return true;
}

/* Digits alone, few and with nothing behind them that may be part of it: nearly all numbers. */
static bool lex_digits(struct lexer *l, struct token *t)
{
    const char *from = l->text.p + l->pos;
    size_t left = l->text.n - l->pos;
    uint64_t v = 0;
    size_t n = 0;

    for (; n < left && n < DIGITS && is_digit(from[n]); n++)
        v = v * 10 + (uint64_t)(from[n] - '0');
    if (n == 0 || (n < left && (is_word(from[n]) || from[n] == '.' || (from[n] & 0x80) != 0)))
        return false;
    t->kind = TOKEN_NUMBER;
    t->text = (struct str){from, n};
    t->number = (double)v;
    skip_plain(l, n);
    return true;
}

static int lex_number(struct lexer *l, struct token *t, struct err *err)
{
    size_t n = lex_digits(l, t) ? 0 : number_length(l, 0);

    if (n == 0)
        return 0; /* it is done */
    if (lex_duration(l, 0, n, t) || lex_bytes(l, n, t))
        return 0;
    t->kind = TOKEN_NUMBER;
    t->text = str_sub(l->text, l->pos, n);
    if (!units_parse_float(t->text, &t->number))
        return err_set(err, ERR_INVALID, "unable to parse literal as a float: \"%.*s\"",
                       (int)(n < 40 ? n : 40), t->text.p);
    skip_plain(l, n);
    return 0;
}

static int lex_range(struct lexer *l, struct token *t, struct err *err)
{
    struct str rest = str_from(l->text, l->pos);
    size_t n = str_find_char(rest, ']');

    if (n == SIZE_MAX)
        return err_set(err, ERR_INVALID, "missing closing ']' in duration");
    t->kind = TOKEN_RANGE;
    t->text = str_sub(rest, 0, n + 1);
    if (!units_parse_range(str_sub(rest, 1, n - 1), &t->duration))
        return err_set(err, ERR_INVALID, "not a valid duration string: \"%.*s\"",
                       (int)(n - 1 < 40 ? n - 1 : 40), rest.p + 1);
    skip(l, n + 1);
    return 0;
}

/* ---- words ---- */

/* Bytes of the code point at pos + from if it may stand in a name (`first`: at its start), else 0.
 */
static size_t name_char(const struct lexer *l, size_t from, bool first)
{
    char c = peek(l, from);
    struct str rest;
    size_t n;
    uint32_t cp;

    if (is_word(c))
        return !first || !is_digit(c);
    if ((unsigned char)c < 0xc2)
        return 0;
    n = (unsigned char)c >= 0xf0 ? 4 : (unsigned char)c >= 0xe0 ? 3 : 2;
    rest = str_sub(l->text, l->pos + from, n);
    if (rest.n < n || utf8_valid(rest) < n)
        return 0;
    cp = (unsigned char)c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        cp = cp << 6 | ((unsigned char)rest.p[i] & 0x3fu);
    /* Letters of every script; signs and symbols are in these blocks. */
    if (cp < 0xaa || (cp >= 0xab && cp < 0xc0 && cp != 0xb5 && cp != 0xba) || cp == 0xd7 ||
        cp == 0xf7 || (cp >= 0x2000 && cp < 0x2c00) || (cp >= 0x3000 && cp < 0x3005) ||
        (cp >= 0xd800 && cp < 0xf900) || (cp >= 0xfe00 && cp < 0xfe70) ||
        (cp >= 0xfeff && cp < 0xff21) || (cp >= 0x1f000 && cp < 0x20000) || cp >= 0xe0000)
        return 0;
    return n;
}

static bool word_at(const struct lexer *l, size_t from, const char *word)
{
    return str_eq_nocase(str_sub(l->text, l->pos + from, strlen(word)), str_of(word));
}

static size_t blanks_at(const struct lexer *l, size_t from)
{
    while (is_blank(peek(l, from)))
        from++;
    return from;
}

/* Does a call follow a word that ends at pos + from: `(`, `by (` or `without (`? */
static bool call_follows(const struct lexer *l, size_t from)
{
    from = blanks_at(l, from);
    if (word_at(l, from, "by"))
        from = blanks_at(l, from + 2);
    else if (word_at(l, from, "without"))
        from = blanks_at(l, from + 7);
    return peek(l, from) == '(';
}

/* Does a word of this length begin so? */
static bool may_be_word(const struct lexer *l, struct str text)
{
    char c = (char)(text.p[0] | 0x20);

    return c >= 'a' && c <= 'z' && text.n < 32 && (l->lengths[c - 'a'] >> text.n & 1) != 0;
}

/* Of what may be one. */
static enum token_kind word_kind(const struct lexer *l, struct str text)
{
    for (uint8_t k = l->first[(text.p[0] | 0x20) - 'a']; k != 0; k = l->next[k])
        if (kinds[k].n == text.n && str_eq_nocase(text, (struct str){kinds[k].text, text.n}))
            return k < TOKEN_RATE || call_follows(l, text.n) ? (enum token_kind)k
                                                             : TOKEN_IDENTIFIER;
    return TOKEN_IDENTIFIER;
}

/* Bytes of the name that begins here, which may have others in it than those of words. */
static size_t name_length(const struct lexer *l)
{
    size_t n = 0;

    for (size_t c = name_char(l, 0, true); c > 0; c = name_char(l, n, false))
        n += c;
    return n;
}

static int lex_word(struct lexer *l, struct token *t)
{
    const char *from = l->text.p + l->pos;
    const char *end = l->text.p + l->text.n;
    const char *p = from;
    bool plain;

    while (p < end && is_word(*p))
        p++;
    plain = p == end || (unsigned char)*p < 0x80; /* nearly all of them */
    t->text = (struct str){from, plain ? (size_t)(p - from) : name_length(l)};
    t->kind = TOKEN_IDENTIFIER;
    if (may_be_word(l, t->text))
        t->kind = word_kind(l, t->text);
    (plain ? skip_plain : skip)(l, t->text.n);
    return 0;
}

/* ---- signs ---- */

static bool lex_flag(struct lexer *l, struct token *t)
{
    static const char *const flags[] = {"--strict", "--keep-empty", "--arrays"};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct str flag = str_of(flags[i]);
        if (!str_eq(str_sub(l->text, l->pos, flag.n), flag) || name_char(l, flag.n, false) > 0 ||
            peek(l, flag.n) == '-')
            continue;
        t->kind = TOKEN_FLAG;
        t->text = str_sub(l->text, l->pos, flag.n);
        skip(l, flag.n);
        return true;
    }
    return false;
}

/* The sign that begins with `c`, and `d` behind it; *n: its bytes.  END: none does. */
static enum token_kind sign_of(char c, char d, size_t *n)
{
    static const enum token_kind one[] = {
        [','] = TOKEN_COMMA,      ['{'] = TOKEN_OPEN_BRACE,  ['}'] = TOKEN_CLOSE_BRACE,
        ['('] = TOKEN_OPEN_PAREN, [')'] = TOKEN_CLOSE_PAREN, ['|'] = TOKEN_PIPE,
        ['='] = TOKEN_EQ,         ['>'] = TOKEN_GT,          ['<'] = TOKEN_LT,
        ['+'] = TOKEN_ADD,        ['-'] = TOKEN_SUB,         ['*'] = TOKEN_MUL,
        ['/'] = TOKEN_DIV,        ['%'] = TOKEN_MOD,         ['^'] = TOKEN_POW,
    };

    *n = 2;
    if (c == '|' && (d == '=' || d == '~' || d == '>'))
        return d == '=' ? TOKEN_PIPE_EXACT : d == '~' ? TOKEN_PIPE_MATCH : TOKEN_PIPE_PATTERN;
    if (c == '!' && (d == '=' || d == '~' || d == '>'))
        return d == '=' ? TOKEN_NEQ : d == '~' ? TOKEN_NRE : TOKEN_NPA;
    if (c == '=' && (d == '=' || d == '~'))
        return d == '=' ? TOKEN_CMP_EQ : TOKEN_RE;
    if (d == '=' && (c == '>' || c == '<'))
        return c == '>' ? TOKEN_GTE : TOKEN_LTE;
    *n = 1;
    return (unsigned char)c < sizeof(one) / sizeof(one[0]) ? one[(unsigned char)c] : TOKEN_END;
}

static int lex_sign(struct lexer *l, struct token *t, struct err *err)
{
    char c = peek(l, 0);
    size_t n;
    enum token_kind k = sign_of(c, peek(l, 1), &n);

    if (k != TOKEN_END) {
        t->kind = k;
        t->text = (struct str){l->text.p + l->pos, n};
        skip_plain(l, n);
        return 0;
    }
    if ((unsigned char)c >= ' ' && (unsigned char)c < 0x7f)
        return err_set(err, ERR_INVALID, "syntax error: unexpected '%c'", c);
    return err_set(err, ERR_INVALID, "syntax error: unexpected character");
}

int lex_next(struct lexer *l, struct token *ret, struct err *err)
{
    uint8_t is;
    char c;

    skip_blanks(l);
    *ret = (struct token){.kind = TOKEN_END, .at = l->at};
    if (l->pos == l->text.n)
        return 0;
    c = l->text.p[l->pos];
    is = byte_is[(unsigned char)c];
    if (is == WORD && !is_digit(c))
        return lex_word(l, ret);
    if (is != 0 && is != WORD) {
        ret->kind = (enum token_kind)is;
        ret->text = (struct str){l->text.p + l->pos, 1};
        skip_plain(l, 1);
        return 0;
    }
    if (c == '"' || c == '`')
        return lex_string(l, ret, err);
    if (is_digit(c) || (c == '.' && is_digit(peek(l, 1))))
        return lex_number(l, ret, err);
    if (c == '-' && peek(l, 1) == '-' && peek(l, 2) >= 'a' && lex_flag(l, ret))
        return 0;
    if (c == '-' && is_digit(peek(l, 1)) && lex_duration(l, 1, 0, ret))
        return 0;
    if (c == '[')
        return lex_range(l, ret, err);
    if (is_comment(l))
        return err_set(err, ERR_INVALID, "comment not terminated");
    if ((unsigned char)c >= 0x80 && name_char(l, 0, true) > 0)
        return lex_word(l, ret);
    return lex_sign(l, ret, err);
}
