/*
 * server/rule_place.c - see rule_place.h.
 *
 * The value and the file are walked side by side: equal bytes go together; a break of the file and
 * the blanks behind it go with one blank or break of the value, or with nothing.  Where the two
 * disagree the walk gives up, so a place is either right or that of the whole value.
 */
#include "server/rule_place.h"

struct walk {
    struct str text, value;
    size_t at, done;          /* offsets in them */
    size_t indent;            /* blanks that belong to a block; SIZE_MAX: all of a line */
    struct rule_place place;  /* of text.p[at] */
    bool quoted_once, folded; /* '...'; breaks may be one blank */
};

static char peek(const struct walk *w)
{
    if (w->at == w->text.n)
        return '\0';
    return w->text.p[w->at];
}

static void step(struct walk *w)
{
    unsigned char c = (unsigned char)w->text.p[w->at++];

    if (c == '\n') {
        w->place.line++;
        w->place.column = 1;
    } else if ((c & 0xc0) != 0x80) {
        w->place.column++;
    }
}

static void skip_blanks(struct walk *w, size_t most)
{
    for (size_t i = 0; i < most && (peek(w) == ' ' || peek(w) == '\t'); i++)
        step(w);
}

static void go_to(struct walk *w, unsigned line, unsigned column)
{
    w->place = (struct rule_place){1, 1};
    while (w->at < w->text.n && w->place.line < line)
        step(w);
    while (w->at < w->text.n && w->place.column < column && peek(w) != '\n')
        step(w);
}

/* Blanks and breaks of the file that are one blank (or some breaks) of the value. */
static bool pass_break(struct walk *w)
{
    char want = w->value.p[w->done];

    if (want != ' ' && want != '\n')
        return false;
    if (w->indent == SIZE_MAX)
        skip_blanks(w, SIZE_MAX);
    if (peek(w) == '\r')
        step(w);
    if (peek(w) != '\n' || (want == ' ' && !w->folded))
        return false;
    step(w);
    skip_blanks(w, w->indent);
    w->done++;
    return true;
}

static bool pass_byte(struct walk *w)
{
    if (w->at == w->text.n || peek(w) != w->value.p[w->done] || peek(w) == '\n')
        return false;
    if (w->quoted_once && peek(w) == '\'')
        step(w);
    step(w);
    w->done++;
    return true;
}

/* To the first byte of the value; false for what is not understood. */
static bool begin(struct walk *w, const struct yaml_node *node)
{
    size_t first_blanks = 0;
    char c = peek(w);

    w->folded = c != '|';
    w->indent = SIZE_MAX;
    if (!node->quoted)
        return true;
    if (c == '"' || c == '\'') {
        w->quoted_once = c == '\'';
        step(w);
        return true;
    }
    if (c != '|' && c != '>')
        return false;
    while (w->at < w->text.n && peek(w) != '\n')
        step(w);
    if (w->at < w->text.n)
        step(w);
    while (first_blanks < w->value.n && w->value.p[first_blanks] == ' ')
        first_blanks++;
    w->indent = 0;
    while (w->at + w->indent < w->text.n && w->text.p[w->at + w->indent] == ' ')
        w->indent++;
    w->indent = w->indent > first_blanks ? w->indent - first_blanks : 0;
    skip_blanks(w, w->indent);
    return true;
}

struct rule_place rule_place_of(struct str text, const struct yaml_node *node, size_t offset)
{
    struct rule_place whole = {node->line, node->column};
    struct walk w = {.text = text, .value = node->text};

    if (offset > node->text.n)
        offset = node->text.n;
    go_to(&w, node->line, node->column);
    if (!begin(&w, node))
        return whole;
    while (w.done < offset) {
        if (!pass_byte(&w) && !pass_break(&w))
            return whole;
    }
    return w.place;
}
