/*
 * An automaton against base/regexp: where it answers, both must agree, and what it says every match
 * holds must be there.  Input: pattern, line feed, text.
 */
#include "storage/dfa.h"

#include "base/obj.h"
#include "base/regexp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PATTERN_MAX = 200, TEXT_MAX = 2000 };

static bool has_needle(const struct dfa_needle *w, struct str text)
{
    for (size_t at = 0; at + w->n <= text.n; at++) {
        size_t i = 0;
        while (i < w->n && ((uint8_t)text.p[at + i] == w->byte[i] ||
                            (uint8_t)text.p[at + i] == (w->byte[i] ^ w->fold[i])))
            i++;
        if (i == w->n)
            return true;
    }
    return false;
}

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((uint8_t)text.p[i] >= 0x80)
            return false;
    return true;
}

static void compare(const struct dfa *d, struct str text, bool is)
{
    const struct dfa_needle *w = &d->needle[0];
    unsigned state = DFA_FIRST;
    unsigned verdict = dfa_end(d, dfa_run(d, DFA_FIRST, text));

    for (size_t i = 0; i < text.n; i++) {
        INVARIANT(!d->dead[state] || !is);
        state = dfa_step(d, state, (uint8_t)text.p[i]);
    }
    INVARIANT(dfa_end(d, state) == verdict);
    INVARIANT(verdict == DFA_UNKNOWN || (verdict == DFA_MATCH) == is);
    if (verdict == DFA_MATCH && w->n > 0 && (!w->ascii || is_ascii(text)))
        INVARIANT(has_needle(w, text));
    if (w->whole && w->n > 0 && has_needle(w, text))
        INVARIANT(verdict == DFA_MATCH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n};
    struct str pattern = str_cut(&text, '\n');
    struct regexp *re = NULL;
    struct dfa *d = NULL;
    struct err err;

    if (pattern.n > PATTERN_MAX || text.n > TEXT_MAX)
        return 0;
    if (regexp_new(pattern, false, &re, &err) == 0) {
        const struct regexp *const list[] = {re};
        const struct scan_filter f = {.op = SCAN_MATCHES, .re = list, .n = 1};
        if (dfa_new(&f, &d, &err) == 0)
            compare(d, text, regexp_matches(re, text));
    }
    dfa_free(&d);
    regexp_free(&re);
    return 0;
}
