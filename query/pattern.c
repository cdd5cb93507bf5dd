/* query/pattern.c - see pattern.h. */
#include "query/pattern.h"

#include "base/hash.h"

#include <string.h>

/* ---- reading ---- */

static bool is_name_char(char c, bool first)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (!first && c >= '0' && c <= '9');
}

/* Bytes of the capture that `s` begins with, brackets included, or 0. */
static size_t capture_length(struct str s)
{
    size_t n = 1;

    if (s.n == 0 || s.p[0] != '<')
        return 0;
    while (n < s.n && is_name_char(s.p[n], n == 1))
        n++;
    return n > 1 && n < s.n && s.p[n] == '>' ? n + 1 : 0;
}

/* Cut the next piece off *s, which is not empty and begins with a capture of *capture bytes, or 0;
 * which is then said of the rest. */
static struct pattern_piece cut_piece(struct str *s, size_t *capture)
{
    struct pattern_piece piece = {.is_capture = *capture > 0};
    size_t n = *capture;

    if (n > 0) {
        piece.text = str_sub(*s, 1, n - 2);
        *s = str_from(*s, n);
        *capture = capture_length(*s);
        return piece;
    }
    for (n = 1; n < s->n && *capture == 0; n += *capture == 0)
        *capture = s->p[n] == '<' ? capture_length(str_from(*s, n)) : 0;
    piece.text = str_sub(*s, 0, n);
    *s = str_from(*s, n);
    return piece;
}

/* At least as many as there are pieces. */
static size_t count_pieces(struct str s)
{
    size_t n = 1;

    for (size_t i = 0; i + 1 < s.n; i++)
        n += s.p[i] == '<' && is_name_char(s.p[i + 1], true) ? 2 : 0;
    return n;
}

static bool has_name(const struct pattern_piece *p)
{
    return p->is_capture && !str_eq(p->text, STR("_"));
}

/* The first capture whose name an earlier one has, or NULL.  `slots` (a power of two, more than
 * twice the pieces) is zero. */
static const struct pattern_piece *find_twin(const struct pattern *p, uint32_t *slots,
                                             size_t n_slots)
{
    for (size_t i = 0; i < p->n; i++) {
        struct str name = p->v[i].text;
        size_t at;
        if (!has_name(&p->v[i]))
            continue;
        at = (size_t)hash_bytes(name.p, name.n, 0) & (n_slots - 1);
        for (; slots[at] != 0; at = (at + 1) & (n_slots - 1))
            if (str_eq(p->v[slots[at] - 1].text, name))
                return &p->v[i];
        slots[at] = (uint32_t)i + 1;
    }
    return NULL;
}

static int check_names(const struct pattern *p, struct arena *a, struct err *err)
{
    const struct pattern_piece *twin;
    uint32_t *slots;
    size_t n_slots = 16;
    size_t named = 0;

    while (n_slots < 2 * p->n + 1)
        n_slots *= 2;
    for (size_t i = 0; i < p->n; i++)
        named += has_name(&p->v[i]);
    if (named == 0)
        return err_set(err, ERR_INVALID, "pattern: at least one named capture must be supplied");
    slots = arena_alloc(a, n_slots * sizeof(*slots));
    if (slots == NULL)
        return arena_err(a, err);
    twin = find_twin(p, slots, n_slots);
    if (twin != NULL)
        return err_set(err, ERR_INVALID, "pattern: duplicate capture name '%.*s'",
                       STR_ARG(str_sub(twin->text, 0, 80)));
    return 0;
}

int pattern_parse(struct str text, bool is_stage, struct arena *a, struct pattern *ret,
                  struct err *err)
{
    struct pattern_piece *v = arena_room(a, count_pieces(text), sizeof(*v));
    size_t capture = capture_length(text);
    size_t i = 0;

    if (v == NULL)
        return arena_err(a, err);
    for (; text.n > 0; i++) {
        v[i] = cut_piece(&text, &capture);
        if (i > 0 && v[i].is_capture && v[i - 1].is_capture)
            return err_set(err, ERR_INVALID,
                           "pattern: found consecutive capture '<%.*s><%.*s>': text is needed "
                           "between them",
                           STR_ARG(str_sub(v[i - 1].text, 0, 40)),
                           STR_ARG(str_sub(v[i].text, 0, 40)));
        if (!is_stage && has_name(&v[i]))
            return err_set(err, ERR_INVALID,
                           "pattern: named captures are not allowed here: write <_> for <%.*s>",
                           STR_ARG(str_sub(v[i].text, 0, 80)));
    }
    *ret = (struct pattern){.v = v, .n = i};
    return is_stage ? check_names(ret, a, err) : 0;
}

/* ---- matching ---- */

bool pattern_matches(const struct pattern *p, struct str line)
{
    if (p->n == 0)
        return line.n == 0;
    for (size_t i = 0; i < p->n; i++) {
        size_t at;
        if (p->v[i].is_capture)
            continue;
        at = str_find(line, p->v[i].text);
        if (at == SIZE_MAX || (i > 0 && at == 0))
            return false; /* not there, or nothing for the capture before it */
        line = str_from(line, at + p->v[i].text.n);
    }
    return (line.n > 0) == p->v[p->n - 1].is_capture;
}

void pattern_walk_init(struct pattern_walk *w, const struct pattern *p, struct str line)
{
    *w = (struct pattern_walk){.p = p, .at = p->n, .rest = line};
    if (p->n == 0 || line.n == 0)
        return;
    if (p->v[0].is_capture) {
        w->at = 0;
    } else if (str_starts(line, p->v[0].text)) {
        w->at = 1;
        w->rest = str_from(line, p->v[0].text.n);
    }
}

bool pattern_next(struct pattern_walk *w, struct str *name, struct str *value)
{
    while (w->at < w->p->n) {
        const struct pattern_piece *capture = &w->p->v[w->at];
        size_t end = SIZE_MAX;
        *value = w->rest;
        if (w->at + 1 < w->p->n)
            end = str_find(w->rest, capture[1].text);
        if (end == SIZE_MAX) {
            w->at = w->p->n; /* the last one, or its end is missing */
        } else {
            *value = str_sub(w->rest, 0, end);
            w->rest = str_from(w->rest, end + capture[1].text.n);
            w->at += 2;
        }
        if (!has_name(capture))
            continue;
        *name = capture->text;
        return true;
    }
    return false;
}
