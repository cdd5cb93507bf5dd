/*
 * Patterns: a pattern in (?:...) means the same but hides its plain text from the reader in
 * regexp_re2.cc, so both must give one answer.  Input: pattern, line feed, text.
 */
#include "base/regexp.h"

#include "base/obj.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PATTERN_MAX = 200, TEXT_MAX = 2000 };

static struct regexp *compile(struct str pattern, bool anchored)
{
    struct regexp *r = NULL;
    struct err err;

    return regexp_new(pattern, anchored, &r, &err) == 0 ? r : NULL;
}

static void compare(struct str pattern, struct str hidden, struct str text, bool anchored)
{
    struct regexp *a = compile(pattern, anchored);
    struct regexp *b = compile(hidden, anchored);

    if (a != NULL && b != NULL) {
        struct str found = STR_NULL;
        bool yes = regexp_matches(a, text);
        INVARIANT(yes == regexp_matches(b, text));
        INVARIANT(!yes || str_find(text, regexp_required(a)) != SIZE_MAX);
        if (regexp_capture(a, text, 0, &found, 1)) {
            INVARIANT(yes);
            INVARIANT(text.n == 0 || (found.p >= text.p && found.p + found.n <= text.p + text.n));
        }
    }
    regexp_free(&a);
    regexp_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n};
    struct str pattern = str_cut(&text, '\n');
    char hidden[PATTERN_MAX + 4] = "(?:";

    if (pattern.n > PATTERN_MAX || text.n > TEXT_MAX)
        return 0;
    if (pattern.n > 0)
        memcpy(hidden + 3, pattern.p, pattern.n);
    hidden[3 + pattern.n] = ')';
    compare(pattern, (struct str){hidden, pattern.n + 4}, text, false);
    compare(pattern, (struct str){hidden, pattern.n + 4}, text, true);
    return 0;
}
