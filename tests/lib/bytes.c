/* tests/lib/bytes.c - see bytes.h. */
#include "tests/lib/bytes.h"

#include "base/mem.h"
#include "tests/lib/check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    fail_msg("'%c' is no hex digit", c);
    return 0;
}

struct str bytes(struct arena *a, const char *text)
{
    char *out = arena_bytes(a, strlen(text) + 1);
    size_t n = 0;
    const char *p;

    assert_non_null(out);
    for (p = text; *p != '\0'; p++) {
        if (*p == '\'') {
            for (p++; *p != '\''; p++) {
                assert_true(*p != '\0');
                out[n++] = *p;
            }
        } else if (!isspace((unsigned char)*p)) {
            assert_true(p[1] != '\0');
            out[n++] = (char)(nibble(p[0]) << 4 | nibble(p[1]));
            p++;
        }
    }
    return (struct str){out, n};
}

struct str bytes_repeat(struct arena *a, struct str unit, size_t n)
{
    char *out = arena_bytes(a, unit.n * n + 1);
    size_t i;

    assert_non_null(out);
    for (i = 0; i < n; i++)
        memcpy(out + i * unit.n, unit.p, unit.n);
    return (struct str){out, unit.n * n};
}

struct str bytes_join(struct arena *a, struct str first, struct str second)
{
    char *out = arena_bytes(a, first.n + second.n + 1);

    assert_non_null(out);
    if (first.n > 0)
        memcpy(out, first.p, first.n);
    if (second.n > 0)
        memcpy(out + first.n, second.p, second.n);
    return (struct str){out, first.n + second.n};
}

char *bytes_exact(struct str s)
{
    char *out = malloc(s.n > 0 ? s.n : 1);

    assert_non_null(out);
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    return out;
}
