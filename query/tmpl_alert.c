/*
 * query/tmpl_alert.c - the functions of the texts of alerts: those of Prometheus that need no
 * query.  Numbers print as Prometheus prints them: rule files and receivers expect its texts.
 */
#include "query/tmpl_internal.h"

#include "query/units.h"

#include <math.h>

/* ---- numbers for people ---- */

static bool print_special(struct buf *out, double v)
{
    if (isnan(v))
        buf_add_z(out, "NaN");
    else if (isinf(v))
        buf_add_z(out, v > 0 ? "+Inf" : "-Inf");
    return !isfinite(v);
}

static void print_digits(struct buf *out, double v) /* %.4g */
{
    if (!print_special(out, v))
        buf_addf(out, "%.4g", v);
}

static void print_scaled(struct buf *out, double v, double step, const char *const *up, size_t n_up,
                         const char *unit)
{
    static const char *const DOWN[] = {"m", "u", "n", "p", "f", "a", "z", "y"};
    const char *prefix = "";

    if (fabs(v) >= 1) {
        for (size_t i = 0; i < n_up && fabs(v) >= step; i++) {
            prefix = up[i];
            v /= step;
        }
    } else {
        for (size_t i = 0; i < 8 && fabs(v) < 1; i++) {
            prefix = DOWN[i];
            v *= 1000;
        }
    }
    buf_addf(out, "%.4g%s%s", v, prefix, unit);
}

static void humanize(struct buf *out, double v)
{
    static const char *const UP[] = {"k", "M", "G", "T", "P", "E", "Z", "Y"};

    if (!(fabs(v) > 0) || isinf(v)) /* zero and NaN too */
        print_digits(out, v);
    else
        print_scaled(out, v, 1000, UP, 8, "");
}

static void humanize_1024(struct buf *out, double v)
{
    static const char *const UP[] = {"ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"};

    if (!(fabs(v) > 1) || isinf(v))
        print_digits(out, v);
    else
        print_scaled(out, v, 1024, UP, 8, "");
}

static void humanize_duration(struct buf *out, double v)
{
    const char *sign = v < 0 ? "-" : "";
    double a = fabs(v);
    uint64_t s;

    if (print_special(out, v))
        return;
    if (a < 1) {
        if (a > 0)
            print_scaled(out, v, 1000, NULL, 0, "s");
        else
            buf_add_z(out, "0s");
        return;
    }
    s = a < 9e18 ? (uint64_t)a : UINT64_C(9000000000000000000);
    if (s >= 86400)
        buf_addf(out, "%s%ud %uh %um %us", sign, (unsigned)(s / 86400), (unsigned)(s / 3600 % 24),
                 (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else if (s >= 3600)
        buf_addf(out, "%s%uh %um %us", sign, (unsigned)(s / 3600), (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else if (s >= 60)
        buf_addf(out, "%s%um %us", sign, (unsigned)(s / 60), (unsigned)(s % 60));
    else
        buf_addf(out, "%s%.4gs", sign, a);
}

/* ---- functions ---- */

typedef void human_fn(struct buf *out, double v);

/* A number, or text that is one. */
static int number_of(struct tmpl_run *r, const struct tmpl_value *v, double *ret)
{
    struct str shown;

    if (v->kind == TMPL_FLOAT)
        *ret = v->f;
    else if (tmpl_is_int(v))
        *ret = (double)v->i;
    else if (v->kind != TMPL_STRING)
        return tmpl_fail(r, "a value of type %s is no number", tmpl_type_name(v));
    else if (!units_parse_float(v->s, ret)) {
        shown = str_sub(v->s, 0, 80);
        return tmpl_fail(r, "\"%.*s\" is no number", STR_ARG(shown));
    }
    return 0;
}

static int print_human(struct tmpl_run *r, const struct tmpl_value *v, human_fn *fn,
                       struct tmpl_value *ret)
{
    size_t from = r->out.n;
    double number = 0;
    int x = number_of(r, v, &number);

    if (x < 0)
        return x;
    fn(&r->out, number);
    return tmpl_take(r, &r->out, from, ret);
}

static int fn_humanize(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                       struct tmpl_value *ret)
{
    (void)n;
    return print_human(r, &v[0], humanize, ret);
}

static int fn_humanize_1024(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                            struct tmpl_value *ret)
{
    (void)n;
    return print_human(r, &v[0], humanize_1024, ret);
}

static int fn_humanize_duration(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                                struct tmpl_value *ret)
{
    (void)n;
    return print_human(r, &v[0], humanize_duration, ret);
}

static void humanize_percentage(struct buf *out, double v)
{
    print_digits(out, v * 100);
    buf_add_char(out, '%');
}

static int fn_humanize_percentage(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                                  struct tmpl_value *ret)
{
    (void)n;
    return print_human(r, &v[0], humanize_percentage, ret);
}

/* Seconds since 1970 as a time. */
static int fn_to_time(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    double seconds = 0;
    int x = number_of(r, &v[0], &seconds);

    (void)n;
    if (x < 0)
        return x;
    if (!(fabs(seconds) < 9e9))
        return tmpl_fail(r, "%g is no time", seconds);
    *ret = tmpl_time_of_ns((ts_ns)(seconds * 1e9));
    return 0;
}

static int fn_humanize_timestamp(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                                 struct tmpl_value *ret)
{
    struct tmpl_value t;
    size_t from = r->out.n;
    int x = fn_to_time(r, v, n, &t);

    if (x < 0)
        return x;
    tmpl_time_print(&t, &r->out);
    return tmpl_take(r, &r->out, from, ret);
}

/* Prometheus' durations to seconds. */
static int fn_parse_duration(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                             struct tmpl_value *ret)
{
    struct str shown = str_sub(v[0].s, 0, 80);
    dur_ns d;

    (void)n;
    if (!dur_parse(v[0].s, false, &d))
        return tmpl_fail(r, "not a valid duration string: \"%.*s\"", STR_ARG(shown));
    *ret = tmpl_of_float((double)d / (double)NS_PER_S);
    return 0;
}

static int fn_match(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    struct tmpl_value count;
    int x = tmpl_fn_count(r, v, n, &count);

    *ret = tmpl_of_bool(x == 0 && count.i > 0);
    return x;
}

/* Pattern, replacement, text. */
static int fn_replace_all(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                          struct tmpl_value *ret)
{
    const struct tmpl_value turned[] = {v[0], v[2], v[1]};

    return tmpl_fn_regexp_replace(r, turned, n, ret);
}

const struct tmpl_func tmpl_alert_funcs[] = {
    {"humanize", "a", fn_humanize},
    {"humanize1024", "a", fn_humanize_1024},
    {"humanizeDuration", "a", fn_humanize_duration},
    {"humanizePercentage", "a", fn_humanize_percentage},
    {"humanizeTimestamp", "a", fn_humanize_timestamp},
    {"match", "ss", fn_match},
    {"parseDuration", "s", fn_parse_duration},
    {"reReplaceAll", "sss", fn_replace_all},
    {"title", "s", tmpl_fn_title},
    {"toLower", "s", tmpl_fn_lower},
    {"toTime", "a", fn_to_time},
    {"toUpper", "s", tmpl_fn_upper},
    {NULL, NULL, NULL},
};
