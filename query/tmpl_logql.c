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
    {"Replace", "sssi", tmpl_fn_go_replace},
    {"ToLower", "s", tmpl_fn_lower},
    {"ToUpper", "s", tmpl_fn_upper},
    {"Trim", "ss", tmpl_fn_trim_cut},
    {"TrimLeft", "ss", tmpl_fn_trim_left},
    {"TrimPrefix", "ss", tmpl_fn_go_trim_prefix},
    {"TrimRight", "ss", tmpl_fn_trim_right},
    {"TrimSpace", "s", tmpl_fn_trim_space},
    {"TrimSuffix", "ss", tmpl_fn_go_trim_suffix},
    {"__line__", "", fn_line},
    {"__timestamp__", "", fn_timestamp},
    {"add", "a*", tmpl_fn_add},
    {"addf", "a*", tmpl_fn_addf},
    {"alignLeft", "is", tmpl_fn_align_left},
    {"alignRight", "is", tmpl_fn_align_right},
    {"b64dec", "s", tmpl_fn_b64dec},
    {"b64enc", "s", tmpl_fn_b64enc},
    {"bytes", "s", tmpl_fn_bytes},
    {"ceil", "a", tmpl_fn_ceil},
    {"contains", "ss", tmpl_fn_contains},
    {"count", "ss", tmpl_fn_count},
    {"date", "sa", tmpl_fn_date},
    {"default", "aa*", fn_default},
    {"div", "aa", tmpl_fn_div},
    {"divf", "aa*", tmpl_fn_divf},
    {"duration", "s", tmpl_fn_duration},
    {"duration_seconds", "s", tmpl_fn_duration},
    {"float64", "a", tmpl_fn_float},
    {"floor", "a", tmpl_fn_floor},
    {"fromJson", "s", tmpl_fn_from_json},
    {"hasPrefix", "ss", tmpl_fn_has_prefix},
    {"hasSuffix", "ss", tmpl_fn_has_suffix},
    {"indent", "is", tmpl_fn_indent},
    {"int", "a", tmpl_fn_int},
    {"lower", "s", tmpl_fn_lower},
    {"max", "aa*", tmpl_fn_max},
    {"maxf", "aa*", tmpl_fn_maxf},
    {"min", "aa*", tmpl_fn_min},
    {"minf", "aa*", tmpl_fn_minf},
    {"mod", "aa", tmpl_fn_mod},
    {"mul", "aa*", tmpl_fn_mul},
    {"mulf", "aa*", tmpl_fn_mulf},
    {"nindent", "is", tmpl_fn_nindent},
    {"now", "", tmpl_fn_now},
    {"regexReplaceAll", "sss", tmpl_fn_regexp_replace},
    {"regexReplaceAllLiteral", "sss", tmpl_fn_regexp_replace_literal},
    {"repeat", "is", tmpl_fn_repeat},
    {"replace", "sss", tmpl_fn_replace},
    {"round", "aif*", tmpl_fn_round},
    {"sub", "aa", tmpl_fn_sub},
    {"subf", "aa*", tmpl_fn_subf},
    {"substr", "iis", tmpl_fn_substr},
    {"title", "s", tmpl_fn_title},
    {"toDate", "ss", tmpl_fn_to_date},
    {"toDateInZone", "sss", tmpl_fn_to_date_in_zone},
    {"trim", "s", tmpl_fn_trim_space},
    {"trimAll", "ss", tmpl_fn_trim_all},
    {"trimPrefix", "ss", tmpl_fn_trim_prefix},
    {"trimSuffix", "ss", tmpl_fn_trim_suffix},
    {"trunc", "is", tmpl_fn_trunc},
    {"unixEpoch", "t", tmpl_fn_unix_epoch},
    {"unixEpochMillis", "t", tmpl_fn_unix_millis},
    {"unixEpochNanos", "t", tmpl_fn_unix_nanos},
    {"unixToTime", "s", tmpl_fn_unix_to_time},
    {"upper", "s", tmpl_fn_upper},
    {"urldecode", "s", tmpl_fn_urldecode},
    {"urlencode", "s", tmpl_fn_urlencode},
    {NULL, NULL, NULL},
};
