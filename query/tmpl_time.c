/* query/tmpl_time.c - functions and methods of templates on times, see tmpl_internal.h. */
#include "query/tmpl_internal.h"

#include "query/layout.h"

#include <inttypes.h>

__extension__ typedef __int128 wide; /* seconds of all years in nanoseconds */

enum { ZONE_STEPS = 64 }; /* what finding a zone costs: it may read a file */

/* Times stay so far inside of 64 bits that nothing on the way to a date overflows. */
static const int64_t FARTHEST = INT64_C(1) << 55;

static struct tmpl_value time_of(int64_t sec, int32_t nsec, const struct zone *zone)
{
    sec = sec > FARTHEST ? FARTHEST : sec < -FARTHEST ? -FARTHEST : sec;
    return (struct tmpl_value){.kind = TMPL_TIME, .nsec = nsec, .t = {sec, zone}};
}

struct tmpl_value tmpl_time_of_ns(ts_ns t)
{
    int64_t nsec = t % NS_PER_S;
    bool before = nsec < 0;

    return time_of(t / NS_PER_S - before, (int32_t)(before ? nsec + NS_PER_S : nsec), NULL);
}

static struct instant instant_of(const struct tmpl_value *v)
{
    return (struct instant){v->t.sec, v->nsec, v->t.zone};
}

static void civil_of_value(const struct tmpl_value *v, struct civil *ret)
{
    struct zone_offset o;

    zone_at(v->t.zone, v->t.sec, &o);
    civil_of(v->t.sec + o.seconds, ret);
}

void tmpl_time_print(const struct tmpl_value *v, struct buf *out)
{
    struct instant t;

    if (v->kind == TMPL_TIME) {
        t = instant_of(v);
        layout_print(STR("2006-01-02 15:04:05.999999999 -0700 MST"), &t, out);
    } else if (v->kind == TMPL_MONTH && v->i >= 1 && v->i <= 12) {
        buf_add_z(out, layout_month((unsigned)v->i));
    } else if (v->kind == TMPL_WEEKDAY && v->i >= 0 && v->i <= 6) {
        buf_add_z(out, layout_weekday((unsigned)v->i));
    } else if (v->kind == TMPL_DURATION) {
        tmpl_duration_print(v->i, out);
    }
}

/* ---- functions ---- */

int tmpl_fn_now(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)v;
    (void)n;
    *ret = tmpl_time_of_ns(time_now());
    return 0;
}

static int print_layout(struct tmpl_run *r, struct str layout, const struct instant *t,
                        struct tmpl_value *ret)
{
    size_t from = r->out.n;

    layout_print(layout, t, &r->out);
    return tmpl_take(r, &r->out, from, ret);
}

/* Layout, and a time or seconds since 1970; of anything else: now. */
int tmpl_fn_date(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    struct tmpl_value t = v[1];
    struct instant i;

    (void)n;
    if (v[1].kind == TMPL_INT || v[1].kind == TMPL_INT64)
        t = time_of(v[1].i, 0, NULL);
    else if (v[1].kind != TMPL_TIME)
        t = tmpl_time_of_ns(time_now());
    t.t.zone = NULL;
    i = instant_of(&t);
    return print_layout(r, v[0].s, &i, ret);
}

/* 0001-01-01, what Go has for a time that could not be read. */
static struct tmpl_value zero_time(void)
{
    return time_of(INT64_C(-62135596800), 0, NULL);
}

static int parse(struct tmpl_run *r, struct str layout, struct str text, const struct zone *zone,
                 struct tmpl_value *ret)
{
    struct zone made;
    struct instant t;

    if (!layout_parse(layout, text, zone, &made, &t)) {
        *ret = zero_time();
        return 0;
    }
    if (t.zone == &made) {
        struct zone *kept = tmpl_alloc(r, sizeof(*kept));
        if (kept == NULL)
            return tmpl_full(r);
        *kept = made;
        t.zone = kept;
    }
    *ret = time_of(t.unix_s, t.nsec, t.zone);
    return 0;
}

int tmpl_fn_to_date(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    (void)n;
    return parse(r, v[0].s, v[1].s, NULL, ret);
}

/* Layout, zone, text.  A zone that there is not is UTC. */
int tmpl_fn_to_date_in_zone(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                            struct tmpl_value *ret)
{
    const struct zone *zone = NULL;

    (void)n;
    if (tmpl_step(r, ZONE_STEPS) < 0)
        return ERR_INVALID;
    (void)zone_find(v[1].s, &zone);
    return parse(r, v[0].s, v[2].s, zone, ret);
}

static int64_t scaled(const struct tmpl_value *v, int64_t per_second)
{
    uint64_t u = (uint64_t)v->t.sec * (uint64_t)per_second + /* wraps, as it does in Go */
                 (uint64_t)(v->nsec / (NS_PER_S / per_second));

    return (int64_t)u;
}

static int print_number(struct tmpl_run *r, int64_t i, struct tmpl_value *ret)
{
    struct str text = arena_printf(r->in->arena, "%" PRId64, i);

    if (text.p == NULL)
        return arena_err(r->in->arena, r->err);
    *ret = tmpl_of_str(text);
    return 0;
}

int tmpl_fn_unix_epoch(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                       struct tmpl_value *ret)
{
    (void)n;
    return print_number(r, v[0].t.sec, ret);
}

int tmpl_fn_unix_millis(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                        struct tmpl_value *ret)
{
    (void)n;
    return print_number(r, scaled(&v[0], 1000), ret);
}

int tmpl_fn_unix_nanos(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                       struct tmpl_value *ret)
{
    (void)n;
    return print_number(r, scaled(&v[0], NS_PER_S), ret);
}

static int not_an_int(struct tmpl_run *r, struct str s)
{
    struct buf quoted;
    int x;

    buf_init(&quoted, 1024);
    tmpl_quote(&quoted, s, false);
    x = tmpl_fail(r, "unable to parse time '%.*s': strconv.ParseInt: parsing %.*s: invalid syntax",
                  STR_ARG(s), STR_ARG(buf_str(&quoted)));
    buf_fini(&quoted);
    return x;
}

/* Days, seconds, milli-, micro- or nanoseconds since 1970: the number of digits tells which. */
int tmpl_fn_unix_to_time(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                         struct tmpl_value *ret)
{
    struct str s = v[0].s;
    struct str shown = str_sub(s, 0, 80);
    int64_t i;
    int64_t unit = s.n == 13 ? 1000 : s.n == 16 ? 1000000 : s.n == 19 ? NS_PER_S : 1;

    (void)n;
    if (!str_to_i64(s.n > 0 && s.p[0] == '+' ? str_from(s, 1) : s, &i))
        return not_an_int(r, shown);
    if (s.n == 5)
        *ret = time_of(i * 86400, 0, NULL);
    else if (s.n == 10 || unit > 1)
        *ret = time_of(i / unit - (i % unit < 0),
                       (int32_t)((i % unit + (i % unit < 0 ? unit : 0)) * (NS_PER_S / unit)), NULL);
    else
        return tmpl_fail(r, "unable to parse time '%.*s'", STR_ARG(shown));
    return 0;
}

/* ---- methods ---- */

static int of_int(struct tmpl_value *ret, enum tmpl_kind kind, int64_t i)
{
    *ret = tmpl_of_int(kind, i);
    return 0;
}

#define METHOD(name, kind, value)                                                                  \
    static int name(struct tmpl_run *r, const struct tmpl_value *v, size_t n,                      \
                    struct tmpl_value *ret)                                                        \
    {                                                                                              \
        struct civil c;                                                                            \
                                                                                                   \
        (void)r;                                                                                   \
        (void)n;                                                                                   \
        civil_of_value(&v[0], &c);                                                                 \
        return of_int(ret, kind, value);                                                           \
    }
METHOD(m_unix, TMPL_INT64, v[0].t.sec)
METHOD(m_milli, TMPL_INT64, scaled(&v[0], 1000))
METHOD(m_micro, TMPL_INT64, scaled(&v[0], 1000000))
METHOD(m_nano, TMPL_INT64, scaled(&v[0], NS_PER_S))
METHOD(m_year, TMPL_INT, c.year)
METHOD(m_month, TMPL_MONTH, c.month)
METHOD(m_day, TMPL_INT, c.day)
METHOD(m_hour, TMPL_INT, c.hour)
METHOD(m_minute, TMPL_INT, c.minute)
METHOD(m_second, TMPL_INT, c.second)
METHOD(m_nanosecond, TMPL_INT, v[0].nsec)
METHOD(m_yearday, TMPL_INT, c.yearday)
METHOD(m_weekday, TMPL_WEEKDAY, c.weekday)
#undef METHOD

static int m_format(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    struct instant t = instant_of(&v[0]);

    (void)n;
    return print_layout(r, v[1].s, &t, ret);
}

static int m_string(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    size_t from = r->out.n;

    (void)n;
    tmpl_time_print(&v[0], &r->out);
    return tmpl_take(r, &r->out, from, ret);
}

static int m_utc(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = v[0];
    ret->t.zone = NULL;
    return 0;
}

/* What a time has beyond a multiple of `d` since the year 1, where Go counts from. */
static int64_t beyond(const struct tmpl_value *t, int64_t d)
{
    wide ns = ((wide)t->t.sec + 62135596800) * NS_PER_S + t->nsec;
    int64_t rest = (int64_t)(ns % d);

    return rest < 0 ? rest + d : rest;
}

static struct tmpl_value later(const struct tmpl_value *t, int64_t d)
{
    int64_t nsec = t->nsec + d % NS_PER_S;
    int64_t carry = nsec < 0 ? -1 : nsec >= NS_PER_S;

    return time_of(t->t.sec + d / NS_PER_S + carry, (int32_t)(nsec - carry * NS_PER_S), t->t.zone);
}

static int m_add(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = later(&v[0], v[1].i);
    return 0;
}

/* As far as 64 bits go. */
static int m_sub(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    wide d = ((wide)v[0].t.sec - v[1].t.sec) * NS_PER_S + v[0].nsec - v[1].nsec;

    (void)r;
    (void)n;
    return of_int(ret, TMPL_DURATION,
                  d > INT64_MAX   ? INT64_MAX
                  : d < INT64_MIN ? INT64_MIN
                                  : (int64_t)d);
}

static int m_truncate(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = v[1].i <= 0 ? v[0] : later(&v[0], -beyond(&v[0], v[1].i));
    return 0;
}

static int m_round(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int64_t d = v[1].i;
    int64_t rest = d <= 0 ? 0 : beyond(&v[0], d);

    (void)r;
    (void)n;
    *ret = later(&v[0], rest < d - rest || d <= 0 ? -rest : d - rest);
    return 0;
}

/* Years, months, days; what is too many for a month runs into the next. */
static int m_add_date(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    enum { MOST = 1 << 30 };
    struct civil c;
    int64_t month;
    int64_t local;

    (void)n;
    for (int i = 1; i <= 3; i++)
        if (v[i].i > MOST || v[i].i < -MOST)
            return tmpl_fail(r, "a date too far away");
    civil_of_value(&v[0], &c);
    month = (int64_t)c.month - 1 + v[2].i;
    c.year += v[1].i + month / 12 - (month % 12 < 0);
    c.month = (unsigned)(month % 12 + (month % 12 < 0 ? 12 : 0)) + 1;
    local = civil_seconds(&c) + v[3].i * 86400;
    *ret = time_of(zone_instant(v[0].t.zone, local), v[0].nsec, v[0].t.zone);
    return 0;
}

static int order(const struct tmpl_value *a, const struct tmpl_value *b)
{
    if (a->t.sec != b->t.sec)
        return a->t.sec < b->t.sec ? -1 : 1;
    return (a->nsec > b->nsec) - (a->nsec < b->nsec);
}

static int m_before(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_bool(order(&v[0], &v[1]) < 0);
    return 0;
}

static int m_after(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_bool(order(&v[0], &v[1]) > 0);
    return 0;
}

static int m_equal(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_bool(order(&v[0], &v[1]) == 0);
    return 0;
}

static int m_compare(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                     struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    return of_int(ret, TMPL_INT, order(&v[0], &v[1]));
}

static int m_is_zero(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                     struct tmpl_value *ret)
{
    struct tmpl_value zero = zero_time();

    (void)r;
    (void)n;
    *ret = tmpl_of_bool(order(&v[0], &zero) == 0);
    return 0;
}

static const struct tmpl_func *method_of_time(struct str name)
{
    static const struct tmpl_func methods[] = {
        {"Format", "ts", m_format},
        {"Unix", "t", m_unix},
        {"UnixMilli", "t", m_milli},
        {"UnixMicro", "t", m_micro},
        {"UnixNano", "t", m_nano},
        {"Year", "t", m_year},
        {"Month", "t", m_month},
        {"Day", "t", m_day},
        {"Hour", "t", m_hour},
        {"Minute", "t", m_minute},
        {"Second", "t", m_second},
        {"Nanosecond", "t", m_nanosecond},
        {"YearDay", "t", m_yearday},
        {"Weekday", "t", m_weekday},
        {"Add", "td", m_add},
        {"Sub", "tt", m_sub},
        {"AddDate", "tiii", m_add_date},
        {"Truncate", "td", m_truncate},
        {"Round", "td", m_round},
        {"Compare", "tt", m_compare},
        {"Local", "t", m_utc},
        {"UTC", "t", m_utc},
        {"Before", "tt", m_before},
        {"After", "tt", m_after},
        {"Equal", "tt", m_equal},
        {"IsZero", "t", m_is_zero},
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(name, str_of(methods[i].name)))
            return &methods[i];
    return NULL;
}

const struct tmpl_func *tmpl_time_method(enum tmpl_kind kind, struct str name)
{
    static const struct tmpl_func string = {"String", "a", m_string};

    if (kind != TMPL_TIME && kind != TMPL_DURATION && kind != TMPL_MONTH && kind != TMPL_WEEKDAY)
        return NULL;
    if (str_eq(name, str_of(string.name)))
        return &string;
    return kind == TMPL_TIME       ? method_of_time(name)
           : kind == TMPL_DURATION ? tmpl_duration_method(name)
                                   : NULL;
}
