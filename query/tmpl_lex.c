/*
 * query/tmpl_lex.c - a template's text to tokens, see tmpl_internal.h.
 *
 * Text outside of {{ }} is one token; blanks inside are tokens too, because ` -}}` and `$x :=` need
 * them.
 */
#include "query/tmpl_internal.h"

#include <string.h>

bool tmpl_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Bytes of letters beyond ASCII count as letters: scripts of all languages may name things. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void tmpl_lex_init(struct tmpl_lexer *l, struct str text, struct arena *a)
{
    *l = (struct tmpl_lexer){.text = text, .line = 1, .arena = a};
}

static char peek(const struct tmpl_lexer *l, size_t ahead)
{
    return ahead < l->text.n - l->pos ? l->text.p[l->pos + ahead] : '\0';
}

static bool at_end(const struct tmpl_lexer *l)
{
    return l->pos == l->text.n;
}

static struct str rest(const struct tmpl_lexer *l)
{
    return str_from(l->text, l->pos);
}

/* The next `n` bytes are a token. */
static void emit(struct tmpl_lexer *l, enum tmpl_token_kind kind, size_t n, struct tmpl_token *ret)
{
    *ret = (struct tmpl_token){kind, l->pos, l->line, {l->text.p + l->pos, n}};
    if (kind == TMPL_T_TEXT || kind == TMPL_T_SPACE || kind == TMPL_T_STRING) /* no others have */
        for (size_t i = 0; i < ret->text.n; i++)
            l->line += ret->text.p[i] == '\n';
    l->pos += ret->text.n;
}

static void fail(struct tmpl_lexer *l, struct tmpl_token *ret, const char *what, struct str about)
{
    struct str text = about.p == NULL
                          ? str_of(what)
                          : arena_printf(l->arena, "%s%.*s", what, STR_ARG(str_sub(about, 0, 60)));

    *ret = (struct tmpl_token){TMPL_T_ERROR, l->pos, l->line, text};
    l->failed = true;
}

/* Is the lexer at }}, or at -}} behind a blank?  *n: bytes of it. */
static bool at_right(const struct tmpl_lexer *l, size_t *n)
{
    char c = peek(l, 0);
    bool behind_blank = l->pos > 0 && tmpl_is_blank(l->text.p[l->pos - 1]);

    *n = 2;
    if (c != '}' && c != '-') /* nearly always */
        return false;
    *n = behind_blank && str_starts(rest(l), STR("-}}")) ? 3 : 2;
    return *n == 3 || str_starts(rest(l), STR("}}"));
}

/* ---- outside ---- */

static void skip(struct tmpl_lexer *l, size_t n)
{
    struct tmpl_token ignored;

    emit(l, TMPL_T_TEXT, n, &ignored);
}

/* A comment, from its {{ on: passed, and the blanks behind it if it says so.  false: it is broken.
 */
static bool pass_comment(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    size_t end = str_find(rest(l), STR("*/"));
    size_t n;

    if (end == SIZE_MAX) {
        fail(l, ret, "unclosed comment", STR_NULL);
        return false;
    }
    skip(l, end + 2);
    if (str_starts(rest(l), STR(" -}}"))) {
        skip(l, 4);
        l->trim = true;
        return true;
    }
    if (!at_right(l, &n) || n == 3) {
        fail(l, ret, "comment ends before closing delimiter", STR_NULL);
        return false;
    }
    skip(l, n);
    return true;
}

/* The token that stands outside of {{ }} from here on, or {{ itself. */
static void lex_text(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    for (;;) {
        size_t open;
        size_t n;
        bool trims;

        if (l->trim) {
            n = 0;
            while (tmpl_is_blank(peek(l, n)))
                n++;
            skip(l, n);
            l->trim = false;
        }
        open = str_find(rest(l), STR("{{"));
        n = open == SIZE_MAX ? rest(l).n : open;
        if (n == 0 && open == SIZE_MAX) {
            emit(l, TMPL_T_EOF, 0, ret);
            return;
        }
        trims = open != SIZE_MAX && peek(l, open + 2) == '-' && tmpl_is_blank(peek(l, open + 3));
        if (n > 0) {
            emit(l, TMPL_T_TEXT, n, ret);
            while (trims && ret->text.n > 0 && tmpl_is_blank(ret->text.p[ret->text.n - 1]))
                ret->text.n--;
            if (ret->text.n > 0)
                return;
            continue;
        }
        n = trims ? 4 : 2;
        if (!str_starts(str_from(rest(l), n), STR("/*"))) {
            l->inside = true;
            l->parens = 0;
            emit(l, TMPL_T_LEFT, trims ? 3 : 2, ret);
            return;
        }
        if (!pass_comment(l, ret))
            return;
    }
}

/* ---- inside ---- */

/* May a word end `n` bytes on? */
static bool at_terminator(const struct tmpl_lexer *l, size_t n)
{
    char c = peek(l, n);

    return n >= l->text.n - l->pos || tmpl_is_blank(c) || c == '.' || c == ',' || c == '|' ||
           c == ':' || c == ')' || c == '(' || (c == '}' && peek(l, n + 1) == '}');
}

static void bad_character(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    size_t n;
    uint32_t c = tmpl_rune(rest(l), &n);
    struct str text = arena_printf(l->arena, "U+%04X '%.*s'", c, (int)n, l->text.p + l->pos);

    fail(l, ret, "bad character ", text);
}

static size_t word_length(const struct tmpl_lexer *l, size_t from)
{
    size_t n = from;

    while (is_word(peek(l, n)))
        n++;
    return n;
}

static void lex_word(struct tmpl_lexer *l, enum tmpl_token_kind kind, size_t n,
                     struct tmpl_token *ret)
{
    if (!at_terminator(l, n)) {
        skip(l, n);
        bad_character(l, ret);
        return;
    }
    emit(l, kind, n, ret);
}

static void lex_identifier(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    static const struct {
        const char *word;
        enum tmpl_token_kind kind;
    } words[] = {
        {"if", TMPL_T_IF},       {"else", TMPL_T_ELSE},         {"end", TMPL_T_END},
        {"range", TMPL_T_RANGE}, {"with", TMPL_T_WITH},         {"define", TMPL_T_DEFINE},
        {"block", TMPL_T_BLOCK}, {"template", TMPL_T_TEMPLATE}, {"break", TMPL_T_BREAK},
        {"nil", TMPL_T_NIL},     {"continue", TMPL_T_CONTINUE}, {"true", TMPL_T_BOOL},
        {"false", TMPL_T_BOOL},
    };
    size_t n = word_length(l, 0);
    enum tmpl_token_kind kind = TMPL_T_IDENTIFIER;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (words[i].word[0] == peek(l, 0) && str_eq(str_sub(rest(l), 0, n), str_of(words[i].word)))
            kind = words[i].kind;
    lex_word(l, kind, n, ret);
}

/* "...", '...': one line, with escapes. */
static void lex_quoted(struct tmpl_lexer *l, char quote, struct tmpl_token *ret)
{
    const char *what =
        quote == '"' ? "unterminated quoted string" : "unterminated character constant";
    size_t n = 1;

    for (;; n++) {
        char c = peek(l, n);
        if (n >= rest(l).n || c == '\n') {
            fail(l, ret, what, STR_NULL);
            return;
        }
        if (c == '\\' && n + 1 < rest(l).n && peek(l, n + 1) != '\n')
            n++;
        else if (c == quote)
            break;
    }
    emit(l, quote == '"' ? TMPL_T_STRING : TMPL_T_RUNE, n + 1, ret);
}

static void lex_raw(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    size_t n = str_find_char(str_from(rest(l), 1), '`');

    if (n == SIZE_MAX)
        fail(l, ret, "unterminated raw quoted string", STR_NULL);
    else
        emit(l, TMPL_T_STRING, n + 2, ret);
}

static size_t digits_length(const struct tmpl_lexer *l, size_t from, const char *digits)
{
    size_t n = from;

    while (peek(l, n) != '\0' && strchr(digits, peek(l, n)) != NULL)
        n++;
    return n;
}

static void lex_number(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    const char *digits = "0123456789_";
    size_t n = peek(l, 0) == '+' || peek(l, 0) == '-' ? 1 : 0;
    char base = (char)(peek(l, n + 1) | 0x20);

    if (peek(l, n) == '0' && (base == 'x' || base == 'o' || base == 'b')) {
        digits = base == 'x' ? "0123456789abcdefABCDEF_" : base == 'o' ? "01234567_" : "01_";
        n += 2;
    } else {
        base = '0';
    }
    n = digits_length(l, n, digits);
    if (peek(l, n) == '.')
        n = digits_length(l, n + 1, digits);
    if ((base == '0' && (peek(l, n) | 0x20) == 'e') ||
        (base == 'x' && (peek(l, n) | 0x20) == 'p')) {
        n++;
        if (peek(l, n) == '+' || peek(l, n) == '-')
            n++;
        n = digits_length(l, n, "0123456789_");
    }
    if (is_word(peek(l, n)) || peek(l, n) == '+' || peek(l, n) == '-' || n == 0)
        fail(l, ret, "bad number syntax: ",
             arena_printf(l->arena, "\"%.*s\"", STR_ARG(str_sub(rest(l), 0, n < 40 ? n + 1 : 40))));
    else
        emit(l, TMPL_T_NUMBER, n, ret);
}

/* A sign that is a token of its own. */
static void lex_sign(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    char c = peek(l, 0);
    size_t n;

    if (c == '(' || c == '|' || c == '=') {
        l->parens += c == '(';
        emit(l, c == '(' ? TMPL_T_OPEN : c == '|' ? TMPL_T_PIPE : TMPL_T_ASSIGN, 1, ret);
    } else if (c == ')') {
        l->parens -= l->parens > 0; /* else the parser finds it in its way */
        emit(l, TMPL_T_CLOSE, 1, ret);
    } else if (c == ':') {
        if (peek(l, 1) == '=')
            emit(l, TMPL_T_DECLARE, 2, ret);
        else
            fail(l, ret, "expected :=", STR_NULL);
    } else if (c > ' ' && c < 0x7f) {
        emit(l, TMPL_T_CHAR, 1, ret);
    } else {
        uint32_t code = tmpl_rune(rest(l), &n);
        fail(l, ret, "unrecognized character in action: ",
             arena_printf(l->arena, "U+%04X", (unsigned)code));
    }
}

static void lex_right(struct tmpl_lexer *l, size_t n, struct tmpl_token *ret)
{
    if (l->parens > 0) {
        fail(l, ret, "unclosed left paren", STR_NULL);
        return;
    }
    l->inside = false;
    l->trim = n == 3;
    emit(l, TMPL_T_RIGHT, n, ret);
}

static void lex_inside(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    char c = peek(l, 0);
    size_t n;

    if (at_right(l, &n)) {
        lex_right(l, n, ret);
    } else if (at_end(l)) {
        fail(l, ret, "unclosed action", STR_NULL);
    } else if (tmpl_is_blank(c)) {
        for (n = 1; tmpl_is_blank(peek(l, n));)
            n++;
        emit(l, TMPL_T_SPACE, n, ret);
    } else if (c == '"' || c == '\'') {
        lex_quoted(l, c, ret);
    } else if (c == '`') {
        lex_raw(l, ret);
    } else if (c == '$') {
        lex_word(l, TMPL_T_VARIABLE, word_length(l, 1), ret);
    } else if (c == '.' && !is_digit(peek(l, 1))) {
        n = word_length(l, 1);
        lex_word(l, n == 1 ? TMPL_T_DOT : TMPL_T_FIELD, n, ret);
    } else if (c == '.' || c == '+' || c == '-' || is_digit(c)) {
        lex_number(l, ret);
    } else if (is_word(c)) {
        lex_identifier(l, ret);
    } else {
        lex_sign(l, ret);
    }
}

void tmpl_lex_next(struct tmpl_lexer *l, struct tmpl_token *ret)
{
    if (l->failed)
        *ret = (struct tmpl_token){TMPL_T_EOF, l->pos, l->line, STR("")};
    else if (l->inside)
        lex_inside(l, ret);
    else
        lex_text(l, ret);
}
