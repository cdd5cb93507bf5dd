/*
 * wire/http_params.c - percent-encoding, query strings, form bodies.  Contract: http_params.h.
 */
#include "wire/http_params.h"

#include "base/hex.h"

size_t http_params_unescape(struct str s, bool plus_is_blank, char *dst)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '+' && plus_is_blank) {
            c = ' ';
        } else if (c == '%') {
            int high = s.n - i > 2 ? hex_digit(s.p[i + 1]) : -1;
            int low = s.n - i > 2 ? hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                return SIZE_MAX;
            c = (char)(unsigned char)(high * 16 + low);
            i += 2;
        }
        dst[n++] = c;
    }
    return n;
}

static size_t count_pieces(struct str s)
{
    size_t n = s.n > 0;

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '&')
            n++;
    return n;
}

static int unescape(struct arena *a, struct str s, struct str *ret, struct err *err)
{
    char *p = arena_bytes(a, s.n + 1);
    size_t n;

    if (p == NULL)
        return arena_err(a, err);
    n = http_params_unescape(s, true, p);
    if (n == SIZE_MAX)
        return err_set(err, ERR_INVALID, "a parameter has a malformed percent escape");
    *ret = (struct str){p, n};
    return 0;
}

static int add(struct arena *a, struct str text, struct http_params *ret, struct err *err)
{
    while (text.n > 0) {
        struct str value = str_cut(&text, '&');
        struct str name;
        int r;

        if (value.n == 0)
            continue;
        name = str_cut(&value, '=');
        r = unescape(a, name, &ret->v[ret->n].name, err);
        if (r == 0)
            r = unescape(a, value, &ret->v[ret->n].value, err);
        if (r < 0)
            return r;
        ret->n++;
    }
    return 0;
}

int http_params_parse(struct arena *a, struct str query, struct str form, struct http_params *ret,
                      struct err *err)
{
    size_t max = count_pieces(query) + count_pieces(form);
    struct http_params found = {0};
    int r;

    if (max > HTTP_PARAMS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d parameters", HTTP_PARAMS_MAX);
    if (max == 0) {
        *ret = found;
        return 0;
    }
    found.v = arena_alloc(a, max * sizeof(*found.v));
    if (found.v == NULL)
        return arena_err(a, err);
    r = add(a, form, &found, err);
    if (r == 0)
        r = add(a, query, &found, err);
    if (r == 0)
        *ret = found;
    return r;
}
