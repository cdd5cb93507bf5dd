/*
 * query/tmpl_logql.c - the functions of line_format and label_format: Loki's, which are Go's own
 * and a choice of sprig's.  docs/logql.md lists them.
 */
#include "query/tmpl_internal.h"

static int fn_default(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    (void)r;
    *ret = n > 1 && (tmpl_is_true(&v[1])) ? v[1] : v[0];
    return 0;
}

static int fn_line(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)v;
    (void)n;
    *ret = tmpl_of_str(r->in->line);
    return 0;
}

static int fn_timestamp(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                        struct tmpl_value *ret)
{
    (void)v;
    (void)n;
    *ret = tmpl_time_of_ns(r->in->ts);
    return 0;
}

const struct tmpl_func tmpl_logql_funcs[] = {
    {"__line__", "", fn_line},
    {"__timestamp__", "", fn_timestamp},
    {"ToLower", "s", tmpl_fn_lower},
    {"ToUpper", "s", tmpl_fn_upper},
    {"Replace", "sssi", tmpl_fn_go_replace},
    {"Trim", "ss", tmpl_fn_trim_cut},
    {"TrimLeft", "ss", tmpl_fn_trim_left},
    {"TrimRight", "ss", tmpl_fn_trim_right},
    {"TrimPrefix", "ss", tmpl_fn_go_trim_prefix},
    {"TrimSuffix", "ss", tmpl_fn_go_trim_suffix},
    {"TrimSpace", "s", tmpl_fn_trim_space},
    {"lower", "s", tmpl_fn_lower},
    {"upper", "s", tmpl_fn_upper},
    {"title", "s", tmpl_fn_title},
    {"trim", "s", tmpl_fn_trim_space},
    {"trimAll", "ss", tmpl_fn_trim_all},
    {"trimPrefix", "ss", tmpl_fn_trim_prefix},
    {"trimSuffix", "ss", tmpl_fn_trim_suffix},
    {"trunc", "is", tmpl_fn_trunc},
    {"substr", "iis", tmpl_fn_substr},
    {"replace", "sss", tmpl_fn_replace},
    {"repeat", "is", tmpl_fn_repeat},
    {"contains", "ss", tmpl_fn_contains},
    {"hasPrefix", "ss", tmpl_fn_has_prefix},
    {"hasSuffix", "ss", tmpl_fn_has_suffix},
    {"indent", "is", tmpl_fn_indent},
    {"nindent", "is", tmpl_fn_nindent},
    {"alignLeft", "is", tmpl_fn_align_left},
    {"alignRight", "is", tmpl_fn_align_right},
    {"default", "aa*", fn_default},
    {"b64enc", "s", tmpl_fn_b64enc},
    {"b64dec", "s", tmpl_fn_b64dec},
    {"urlencode", "s", tmpl_fn_urlencode},
    {"urldecode", "s", tmpl_fn_urldecode},
    {"regexReplaceAll", "sss", tmpl_fn_regexp_replace},
    {"regexReplaceAllLiteral", "sss", tmpl_fn_regexp_replace_literal},
    {"count", "ss", tmpl_fn_count},
    {"fromJson", "s", tmpl_fn_from_json},
    {"int", "a", tmpl_fn_int},
    {"float64", "a", tmpl_fn_float},
    {"add", "a*", tmpl_fn_add},
    {"sub", "aa", tmpl_fn_sub},
    {"mul", "aa*", tmpl_fn_mul},
    {"div", "aa", tmpl_fn_div},
    {"mod", "aa", tmpl_fn_mod},
    {"addf", "a*", tmpl_fn_addf},
    {"subf", "aa*", tmpl_fn_subf},
    {"mulf", "aa*", tmpl_fn_mulf},
    {"divf", "aa*", tmpl_fn_divf},
    {"max", "aa*", tmpl_fn_max},
    {"min", "aa*", tmpl_fn_min},
    {"maxf", "aa*", tmpl_fn_maxf},
    {"minf", "aa*", tmpl_fn_minf},
    {"ceil", "a", tmpl_fn_ceil},
    {"floor", "a", tmpl_fn_floor},
    {"round", "aif*", tmpl_fn_round},
    {"bytes", "s", tmpl_fn_bytes},
    {"duration", "s", tmpl_fn_duration},
    {"duration_seconds", "s", tmpl_fn_duration},
    {"now", "", tmpl_fn_now},
    {"date", "sa", tmpl_fn_date},
    {"toDate", "ss", tmpl_fn_to_date},
    {"toDateInZone", "sss", tmpl_fn_to_date_in_zone},
    {"unixEpoch", "t", tmpl_fn_unix_epoch},
    {"unixEpochMillis", "t", tmpl_fn_unix_millis},
    {"unixEpochNanos", "t", tmpl_fn_unix_nanos},
    {"unixToTime", "s", tmpl_fn_unix_to_time},
    {NULL, NULL, NULL},
};
