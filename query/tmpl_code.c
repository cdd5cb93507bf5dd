/*
 * query/tmpl_code.c - functions of templates for codings, patterns and JSON, see tmpl_internal.h.
 */
#include "query/tmpl_internal.h"

#include "base/hex.h"
#include "base/json.h"
#include "base/utf8.h"
#include "query/units.h"

#include <stdlib.h>
#include <string.h>

/* ---- base 64 ---- */

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int tmpl_fn_b64enc(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    struct str s = v[0].s;
    char *p = s.n > TMPL_OUT_MAX ? NULL : tmpl_bytes(r, (s.n + 2) / 3 * 4);
    size_t at = 0;

    (void)n;
    if (p == NULL)
        return s.n > TMPL_OUT_MAX ? tmpl_fail(r, "too long a text") : tmpl_full(r);
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        uint32_t bits = (uint32_t)(unsigned char)s.p[i] << 16;
        bits |= left > 1 ? (uint32_t)(unsigned char)s.p[i + 1] << 8 : 0;
        bits |= left > 2 ? (uint32_t)(unsigned char)s.p[i + 2] : 0;
        p[at++] = BASE64[bits >> 18];
        p[at++] = BASE64[bits >> 12 & 63];
        p[at++] = left > 1 ? BASE64[bits >> 6 & 63] : '=';
        p[at++] = left > 2 ? BASE64[bits & 63] : '=';
    }
    *ret = tmpl_of_str((struct str){p, at});
    return 0;
}

static void skip_line_ends(struct str s, size_t *at)
{
    while (*at < s.n && (s.p[*at] == '\n' || s.p[*at] == '\r'))
        ++*at;
}

/* The `=` behind `count` letters of the last four, at s.p[*at]. */
static bool pass_padding(struct str s, unsigned count, size_t *at, size_t *fault)
{
    *fault = *at;
    if (count < 2)
        return false;
    ++*at;
    if (count == 2) {
        skip_line_ends(s, at);
        *fault = *at == s.n ? s.n : *at - 1;
        if (*at == s.n || s.p[*at] != '=')
            return false;
        ++*at;
    }
    skip_line_ends(s, at);
    *fault = *at;
    return *at == s.n;
}

/* Line ends are passed over, the padding may be missing.  false: *fault is the offset of what is
 * wrong. */
static bool decode64(struct str s, char *out, size_t *n, size_t *fault)
{
    uint32_t bits = 0;
    unsigned count = 0; /* of the four */
    size_t at = 0;

    *n = 0;
    for (skip_line_ends(s, &at); at < s.n && s.p[at] != '='; skip_line_ends(s, &at)) {
        const char *hit = s.p[at] == '\0' ? NULL : strchr(BASE64, s.p[at]);
        *fault = at++;
        if (hit == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(hit - BASE64);
        if (++count == 4) {
            out[(*n)++] = (char)(bits >> 16);
            out[(*n)++] = (char)(bits >> 8);
            out[(*n)++] = (char)bits;
            bits = count = 0;
        }
    }
    if (at == s.n && count < 2) {
        *fault = at - count;
        return count == 0;
    }
    if (at < s.n && !pass_padding(s, count, &at, fault))
        return false;
    out[(*n)++] = (char)(bits >> (count == 2 ? 4 : 10));
    if (count > 2)
        out[(*n)++] = (char)(bits >> 2);
    return true;
}

/* Of what is none the text says so: it does not fail. */
int tmpl_fn_b64dec(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    char *p = tmpl_bytes(r, v[0].s.n + 4);
    size_t length;
    size_t fault = 0;
    struct str text;

    (void)n;
    if (p == NULL)
        return tmpl_full(r);
    if (decode64(v[0].s, p, &length, &fault)) {
        *ret = tmpl_of_str((struct str){p, length});
        return 0;
    }
    text = arena_printf(r->in->arena, "illegal base64 data at input byte %zu", fault);
    if (text.p == NULL)
        return arena_err(r->in->arena, r->err);
    *ret = tmpl_of_str(text);
    return 0;
}

/* ---- URLs ---- */

void tmpl_url_encode(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.' || c == '~')
            buf_add_char(out, c);
        else if (c == ' ')
            buf_add_char(out, '+');
        else
            buf_addf(out, "%%%02X", (unsigned char)c);
    }
}

int tmpl_fn_urlencode(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    size_t from = r->out.n;

    (void)n;
    tmpl_url_encode(&r->out, v[0].s);
    return tmpl_take(r, &r->out, from, ret);
}

int tmpl_fn_urldecode(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    struct str s = v[0].s;
    char *p = tmpl_bytes(r, s.n);
    size_t at = 0;

    (void)n;
    if (p == NULL)
        return tmpl_full(r);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            p[at++] = s.p[i] == '+' ? ' ' : s.p[i];
            continue;
        }
        if (s.n - i < 3 || hex_digit(s.p[i + 1]) < 0 || hex_digit(s.p[i + 2]) < 0) {
            struct buf quoted;
            int x;
            buf_init(&quoted, 64);
            tmpl_quote(&quoted, str_sub(s, i, 3), false);
            x = tmpl_fail(r, "invalid URL escape %.*s", STR_ARG(buf_str(&quoted)));
            buf_fini(&quoted);
            return x;
        }
        p[at++] = (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2]));
        i += 2;
    }
    *ret = tmpl_of_str((struct str){p, at});
    return 0;
}

/* ---- patterns ---- */

struct matching {
    const struct regexp *re;
    struct str text;
    struct str group[REGEXP_MAX_CAPTURES];
    size_t n_groups;
};

static int begin_matching(struct tmpl_run *r, struct str pattern, struct str text,
                          struct matching *ret)
{
    int x = tmpl_regexp(r, pattern, &ret->re);

    if (x < 0)
        return x;
    ret->text = text;
    ret->n_groups = regexp_captures(ret->re) + 1;
    if (ret->n_groups > REGEXP_MAX_CAPTURES)
        return tmpl_fail(r, "a pattern of more than %d groups", REGEXP_MAX_CAPTURES - 1);
    return 0;
}

static size_t offset_of(const struct matching *m, size_t *end)
{
    size_t at = (size_t)(m->group[0].p - m->text.p);

    *end = at + m->group[0].n;
    return at;
}

/* The next match from `at` on, paid for. */
static int match(struct tmpl_run *r, struct matching *m, size_t at, size_t n_groups, bool *found)
{
    size_t cost = 1 + (m->text.n - at) / TMPL_STEP_BYTES;

    int x = tmpl_step(r, cost);

    if (x < 0)
        return x;
    *found = regexp_capture(m->re, m->text, at, m->group, n_groups);
    return 0;
}

static size_t rune_width(struct str s, size_t at)
{
    size_t n = 0;

    if (at < s.n)
        (void)tmpl_rune(str_from(s, at), &n);
    return n;
}

int tmpl_fn_count(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    struct matching m;
    int64_t count = 0;
    size_t before = SIZE_MAX; /* end of the last match */
    int x = begin_matching(r, v[0].s, v[1].s.p == NULL ? STR("") : v[1].s, &m);

    (void)n;
    for (size_t at = 0; x == 0 && at <= m.text.n;) {
        bool found = false;
        size_t begin;
        size_t end;
        x = match(r, &m, at, 1, &found);
        if (x < 0 || !found)
            break;
        begin = offset_of(&m, &end);
        count += begin != end || begin != before; /* none that is empty right behind another */
        if (end == at)
            at += at < m.text.n ? rune_width(m.text, at) : 1;
        else
            at = end;
        before = end;
    }
    *ret = tmpl_of_int(TMPL_INT, count);
    return x;
}

/* The group called `name`, a number or a name. */
static struct str group_text(const struct matching *m, struct str name)
{
    uint64_t number;

    if (str_to_u64(name, &number))
        return number < m->n_groups ? m->group[number] : STR_NULL;
    for (size_t i = 1; i < m->n_groups; i++)
        if (str_eq(regexp_capture_name(m->re, i), name) && m->group[i].p != NULL)
            return m->group[i];
    return STR_NULL;
}

static size_t name_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z') ||
                       (s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_'))
        n++;
    return n;
}

/* $1, ${name}, $$ in `s` stand for what the match has. */
static void add_expanded(struct buf *out, const struct matching *m, struct str s)
{
    while (s.n > 0 && !out->over) {
        size_t dollar = str_find_char(s, '$');
        bool brace;
        size_t n;
        buf_add_str(out, str_sub(s, 0, dollar));
        if (dollar == SIZE_MAX)
            return;
        s = str_from(s, dollar + 1);
        if (s.n > 0 && s.p[0] == '$') {
            buf_add_char(out, '$');
            s = str_from(s, 1);
            continue;
        }
        brace = s.n > 0 && s.p[0] == '{';
        n = name_length(str_from(s, brace));
        if (n == 0 || (brace && (n + 1 >= s.n || s.p[n + 1] != '}'))) {
            buf_add_char(out, '$');
            continue;
        }
        buf_add_str(out, group_text(m, str_sub(s, brace, n)));
        s = str_from(s, n + (brace ? 2 : 0));
    }
}

static int replace_all(struct tmpl_run *r, const struct tmpl_value *v, bool expand,
                       struct tmpl_value *ret)
{
    struct matching m;
    size_t from = r->out.n;
    size_t done = 0; /* the text up to here is in the output */
    int x = begin_matching(r, v[0].s, v[1].s.p == NULL ? STR("") : v[1].s, &m);

    for (size_t at = 0; x == 0 && at <= m.text.n && !r->out.over;) {
        bool found = false;
        size_t begin;
        size_t end;
        size_t width;
        x = match(r, &m, at, expand ? m.n_groups : 1, &found);
        if (x < 0 || !found)
            break;
        begin = offset_of(&m, &end);
        buf_add_str(&r->out, str_sub(m.text, done, begin - done));
        if (end > done || begin == 0) {
            if (expand)
                add_expanded(&r->out, &m, v[2].s);
            else
                buf_add_str(&r->out, v[2].s);
        }
        done = end;
        width = rune_width(m.text, at);
        at = at + width > end ? at + width : at + 1 > end ? at + 1 : end;
    }
    if (x < 0)
        return x;
    buf_add_str(&r->out, str_from(m.text, done));
    return tmpl_take(r, &r->out, from, ret);
}

int tmpl_fn_regexp_replace(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                           struct tmpl_value *ret)
{
    (void)n;
    return replace_all(r, v, true, ret);
}

int tmpl_fn_regexp_replace_literal(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                                   struct tmpl_value *ret)
{
    (void)n;
    return replace_all(r, v, false, ret);
}

/* ---- JSON ---- */

/* 0: *ret is the value whose first token is `tok`; 1: the text is broken; < 0: no room. */
static int read_value(struct tmpl_run *r, struct json_reader *j, const struct json_token *tok,
                      struct tmpl_value *ret);

static int read_text(struct tmpl_run *r, const struct json_token *tok, struct str *ret)
{
    size_t from = r->out.n;
    struct tmpl_value copy;
    int x;

    *ret = json_text(tok, r->in->arena);
    if (ret->p == NULL)
        return arena_err(r->in->arena, r->err);
    if (utf8_valid(*ret) == ret->n)
        return 0;
    utf8_repair(&r->out, *ret);
    x = tmpl_take(r, &r->out, from, &copy);
    if (x == 0)
        *ret = copy.s;
    return x;
}

/* Make room for one more of `size` bytes; they double. */
static void *grow(struct tmpl_run *r, void *p, size_t n, size_t size)
{
    void *q;

    if (n > 0 && (n < 4 || (n & (n - 1)) != 0))
        return p;
    q = tmpl_alloc(r, (n == 0 ? 4 : 2 * n) * size);
    if (q != NULL && n > 0)
        memcpy(q, p, n * size);
    return q;
}

static int read_list(struct tmpl_run *r, struct json_reader *j, struct tmpl_value *ret)
{
    struct tmpl_list *list = tmpl_alloc(r, sizeof(*list));
    struct tmpl_value *v = NULL;
    struct err ignored;
    struct json_token tok;

    if (list == NULL)
        return tmpl_full(r);
    for (;;) {
        int x;
        if (json_next(j, &tok, &ignored) < 0)
            return 1;
        if (tok.type == JSON_ARRAY_END)
            break;
        v = grow(r, v, list->n, sizeof(*v));
        if (v == NULL)
            return tmpl_full(r);
        x = read_value(r, j, &tok, &v[list->n]);
        if (x != 0)
            return x;
        list->n++;
    }
    list->v = v;
    *ret = (struct tmpl_value){.kind = TMPL_LIST, .list = list};
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct tmpl_pair *x = a;
    const struct tmpl_pair *y = b;
    int order = str_cmp(x->key, y->key);

    if (order != 0)
        return order;
    return x->value.nsec < y->value.nsec ? -1 : 1; /* the order in which they came */
}

/* Sort by key; of a key given twice the last counts. */
static size_t sort_pairs(struct tmpl_pair *v, size_t n)
{
    size_t kept = 0;

    if (n == 0)
        return 0;
    qsort(v, n, sizeof(*v), by_key);
    for (size_t i = 0; i < n; i++) {
        if (i + 1 < n && str_eq(v[i].key, v[i + 1].key))
            continue;
        v[kept++] = v[i];
    }
    return kept;
}

static int read_map(struct tmpl_run *r, struct json_reader *j, struct tmpl_value *ret)
{
    struct tmpl_map *map = tmpl_alloc(r, sizeof(*map));
    struct tmpl_pair *v = NULL;
    struct err ignored;
    struct json_token tok;
    size_t n = 0;

    if (map == NULL)
        return tmpl_full(r);
    for (;; n++) {
        int x;
        if (json_next(j, &tok, &ignored) < 0)
            return 1;
        if (tok.type == JSON_OBJECT_END)
            break;
        v = grow(r, v, n, sizeof(*v));
        if (v == NULL)
            return tmpl_full(r);
        x = read_text(r, &tok, &v[n].key);
        if (x == 0 && json_next(j, &tok, &ignored) < 0)
            return 1;
        if (x == 0)
            x = read_value(r, j, &tok, &v[n].value);
        if (x != 0)
            return x;
        v[n].value.nsec = (int32_t)n;
    }
    *map = (struct tmpl_map){.v = v, .n = sort_pairs(v, n)};
    *ret = (struct tmpl_value){.kind = TMPL_MAP, .map = map};
    return 0;
}

static int read_value(struct tmpl_run *r, struct json_reader *j, const struct json_token *tok,
                      struct tmpl_value *ret)
{
    double f;

    *ret = (struct tmpl_value){.kind = TMPL_NONE};
    if (tmpl_step(r, 1) < 0)
        return ERR_INVALID;
    if (tok->type == JSON_OBJECT)
        return read_map(r, j, ret);
    if (tok->type == JSON_ARRAY)
        return read_list(r, j, ret);
    if (tok->type == JSON_STRING) {
        ret->kind = TMPL_STRING;
        return read_text(r, tok, &ret->s);
    }
    if (tok->type == JSON_NUMBER) {
        if (!units_parse_float(tok->raw, &f))
            return 1;
        *ret = tmpl_of_float(f);
    } else if (tok->type == JSON_TRUE || tok->type == JSON_FALSE) {
        *ret = tmpl_of_bool(tok->type == JSON_TRUE);
    }
    return tok->type == JSON_END;
}

/* Text that is no JSON is no value. */
int tmpl_fn_from_json(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    struct json_reader j;
    struct json_token tok;
    struct err ignored;
    int x = 1;

    (void)n;
    json_reader_init(&j, v[0].s);
    if (json_next(&j, &tok, &ignored) == 0)
        x = read_value(r, &j, &tok, ret);
    if (x < 0)
        return x;
    if (x == 1 || json_next(&j, &tok, &ignored) < 0 || tok.type != JSON_END ||
        str_trim(json_rest(&j)).n > 0)
        *ret = (struct tmpl_value){.kind = TMPL_NONE};
    return 0;
}
