/* query/tmpl_value.c - values of the template language: types, truth, maps, text's characters. */
#include "query/tmpl_internal.h"

#include "base/utf8.h"

#include <math.h>

const char *tmpl_type_name(const struct tmpl_value *v)
{
    switch (v->kind) {
    case TMPL_NONE:
        return "<nil>";
    case TMPL_BOOL:
        return "bool";
    case TMPL_INT:
        return "int";
    case TMPL_INT64:
        return "int64";
    case TMPL_MONTH:
        return "time.Month";
    case TMPL_WEEKDAY:
        return "time.Weekday";
    case TMPL_DURATION:
        return "time.Duration";
    case TMPL_UINT8:
        return "uint8";
    case TMPL_FLOAT:
        return "float64";
    case TMPL_STRING:
        return "string";
    case TMPL_TIME:
        return "time.Time";
    case TMPL_LIST:
        return "[]interface {}";
    case TMPL_MAP:
        return v->map->type != NULL ? v->map->type : "map[string]interface {}";
    case TMPL_LABELS:
        return "map[string]string";
    }
    return "";
}

bool tmpl_is_int(const struct tmpl_value *v)
{
    return v->kind >= TMPL_INT && v->kind <= TMPL_UINT8;
}

static bool labels_are_empty(const struct tmpl_labels *l)
{
    struct labels all = {NULL, 0};
    struct err ignored;

    return l->all(l->arg, &all, &ignored) == 0 && all.n == 0;
}

bool tmpl_is_true(const struct tmpl_value *v)
{
    switch (v->kind) {
    case TMPL_NONE:
        return false;
    case TMPL_BOOL:
        return v->b;
    case TMPL_INT:
    case TMPL_INT64:
    case TMPL_MONTH:
    case TMPL_WEEKDAY:
    case TMPL_DURATION:
    case TMPL_UINT8:
        return v->i != 0;
    case TMPL_FLOAT:
        return v->f < 0 || v->f > 0 || isnan(v->f);
    case TMPL_STRING:
        return v->s.n > 0;
    case TMPL_TIME:
        return true;
    case TMPL_LIST:
        return v->list->n > 0;
    case TMPL_MAP:
        return v->map->type != NULL || v->map->n > 0;
    case TMPL_LABELS:
        return !labels_are_empty(v->labels);
    }
    return false;
}

/* ---- maps ---- */

bool tmpl_map_get(const struct tmpl_value *map, struct str key, struct tmpl_value *ret)
{
    size_t lo = 0;
    size_t hi;

    if (map->kind == TMPL_LABELS) {
        struct str s = map->labels->get(map->labels->arg, key);
        *ret = tmpl_of_str(s.p == NULL ? STR("") : s);
        return s.p != NULL;
    }
    for (hi = map->map->n; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        int order = str_cmp(map->map->v[mid].key, key);
        if (order == 0) {
            *ret = map->map->v[mid].value;
            ret->boxed = map->map->type == NULL;
            return true;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret = (struct tmpl_value){.kind = TMPL_NONE, .boxed = true};
    return false;
}

int tmpl_labels_map(struct tmpl_run *r, const struct tmpl_value *v, struct labels *ret)
{
    return v->labels->all(v->labels->arg, ret, r->err);
}

int tmpl_len(struct tmpl_run *r, const struct tmpl_value *v, size_t *ret)
{
    struct labels all = {NULL, 0};
    int x = 0;

    if (v->kind == TMPL_STRING) {
        *ret = v->s.n;
    } else if (v->kind == TMPL_LIST) {
        *ret = v->list->n;
    } else if (v->kind == TMPL_MAP && v->map->type == NULL) {
        *ret = v->map->n;
    } else if (v->kind == TMPL_LABELS) {
        x = tmpl_labels_map(r, v, &all);
        *ret = all.n;
    } else if (v->kind == TMPL_NONE) {
        x = tmpl_fail(r, "len of nil pointer");
    } else {
        x = tmpl_fail(r, "len of type %s", tmpl_type_name(v));
    }
    return x;
}

/* ---- characters ---- */

uint32_t tmpl_rune(struct str s, size_t *n)
{
    unsigned char c = (unsigned char)s.p[0];
    uint32_t code;

    *n = 1;
    if (c < 0x80)
        return c;
    *n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || s.n < *n || utf8_valid(str_sub(s, 0, *n)) < *n) {
        *n = 1;
        return 0xfffd;
    }
    code = c & (0x7fu >> *n);
    for (size_t i = 1; i < *n; i++)
        code = code << 6 | ((unsigned char)s.p[i] & 0x3fu);
    return code;
}

size_t tmpl_count_runes(struct str s)
{
    size_t count = 0;
    size_t n;

    for (size_t at = 0; at < s.n; at += n, count++)
        (void)tmpl_rune(str_from(s, at), &n);
    return count;
}
