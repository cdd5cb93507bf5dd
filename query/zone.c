/*
 * query/zone.c - see zone.h.  Files are TZif (RFC 8536): of version 2 and up the second, 64 bit
 * part and the rule behind it, which says what holds after the last transition.
 *
 * The table of zones is written under a lock and grows only; an entry never changes again.
 */
#include "query/zone.h"

#include "base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_MAX_BYTES = 64,
    FILE_MAX_BYTES = 1 << 17,
    HEADER_BYTES = 44,
    ZONES_MAX = 2048, /* far more than a system has */
    TYPES_MAX = 256
};

/* When summer time begins or ends in a year. */
struct change {
    char kind; /* M: day of a week of a month; J: day, never February 29; 0: day from 0 on */
    int month, week, day;
    int32_t time; /* seconds of that day */
};

struct zone_rules {
    struct zone zone;
    char name[NAME_MAX_BYTES + 1];
    int64_t *when; /* ascending */
    unsigned char *type;
    size_t n_when;
    struct zone_offset *types;
    bool *summer;
    size_t n_types;
    bool has_rule; /* behind the last transition */
    bool has_summer;
    struct zone_offset std, dst;
    struct change begin, end;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards zones and n_zones */
static struct zone_rules *zones[ZONES_MAX];
static size_t n_zones;

/* ---- the rule ---- */

static bool rule_name(struct str *s, char *ret)
{
    size_t n = 0;

    if (s->n > 0 && s->p[0] == '<') {
        n = str_find_char(*s, '>');
        if (n == SIZE_MAX || n - 1 > ZONE_ABBREV_MAX)
            return false;
        (void)str_to_z(str_sub(*s, 1, n - 1), ret, ZONE_ABBREV_MAX + 1);
        *s = str_from(*s, n + 1);
        return true;
    }
    while (n < s->n && ((s->p[n] >= 'A' && s->p[n] <= 'Z') || (s->p[n] >= 'a' && s->p[n] <= 'z')))
        n++;
    if (n < 3 || n > ZONE_ABBREV_MAX)
        return false;
    (void)str_to_z(str_sub(*s, 0, n), ret, ZONE_ABBREV_MAX + 1);
    *s = str_from(*s, n);
    return true;
}

static bool rule_number(struct str *s, int *ret)
{
    int v = 0;
    size_t n = 0;

    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9' && v < 10000; n++)
        v = v * 10 + (s->p[n] - '0');
    *s = str_from(*s, n);
    *ret = v;
    return n > 0;
}

static bool rule_sign(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_from(*s, 1);
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool rule_time(struct str *s, int32_t *ret)
{
    bool negative = rule_sign(s, '-');
    int v = 0;
    int32_t sum = 0;

    if (!negative)
        (void)rule_sign(s, '+');
    for (int32_t unit = 3600; unit > 0; unit /= 60) {
        if (!rule_number(s, &v) || v > 200)
            return false;
        sum += v * unit;
        if (!rule_sign(s, ':'))
            break;
    }
    *ret = negative ? -sum : sum;
    return true;
}

static bool rule_change(struct str *s, struct change *ret)
{
    *ret = (struct change){.time = 7200};
    if (!rule_sign(s, ','))
        return false;
    if (rule_sign(s, 'M')) {
        ret->kind = 'M';
        if (!rule_number(s, &ret->month) || !rule_sign(s, '.') || !rule_number(s, &ret->week) ||
            !rule_sign(s, '.') || !rule_number(s, &ret->day) || ret->month < 1 || ret->month > 12 ||
            ret->week < 1 || ret->week > 5 || ret->day > 6)
            return false;
    } else {
        ret->kind = rule_sign(s, 'J') ? 'J' : '0';
        if (!rule_number(s, &ret->day) || ret->day > 365 || (ret->kind == 'J' && ret->day < 1))
            return false;
    }
    return !rule_sign(s, '/') || rule_time(s, &ret->time);
}

/* CET-1CEST,M3.5.0,M10.5.0/3 */
static bool parse_rule(struct zone_rules *z, struct str s)
{
    int32_t west;

    if (!rule_name(&s, z->std.abbrev) || !rule_time(&s, &west))
        return false;
    z->std.seconds = -west;
    if (s.n == 0)
        return true;
    if (!rule_name(&s, z->dst.abbrev))
        return false;
    z->dst.seconds = z->std.seconds + 3600;
    if (s.n > 0 && s.p[0] != ',') {
        if (!rule_time(&s, &west))
            return false;
        z->dst.seconds = -west;
    }
    z->has_summer = true;
    return rule_change(&s, &z->begin) && rule_change(&s, &z->end) && s.n == 0;
}

/* Clock time of a change in `year`, as seconds. */
static int64_t change_in(const struct change *c, int64_t year)
{
    struct civil d = {.year = year, .month = 1, .day = 1};
    struct civil first;
    int64_t start = civil_seconds(&d);
    int day;

    if (c->kind != 'M') {
        bool skips = c->kind == 'J' && civil_month_days(year, 2) == 29 && c->day >= 60;
        return start + (int64_t)(c->day - (c->kind == 'J') + skips) * 86400 + c->time;
    }
    d.month = (unsigned)c->month;
    civil_of(civil_seconds(&d), &first);
    day = 1 + (c->day - (int)first.weekday + 7) % 7 + (c->week - 1) * 7;
    while (day > (int)civil_month_days(year, d.month))
        day -= 7;
    d.day = (unsigned)day;
    return civil_seconds(&d) + c->time;
}

static const struct zone_offset *by_rule(const struct zone_rules *z, int64_t unix_s)
{
    struct civil c;
    int64_t begin;
    int64_t end;
    bool summer;

    if (!z->has_summer)
        return &z->std;
    civil_of(unix_s + z->std.seconds, &c);
    begin = change_in(&z->begin, c.year) - z->std.seconds;
    end = change_in(&z->end, c.year) - z->dst.seconds;
    summer = begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
    return summer ? &z->dst : &z->std;
}

/* ---- the file ---- */

static int64_t big_endian(const char *p, size_t n)
{
    uint64_t v = (unsigned char)p[0] & 0x80 ? UINT64_MAX : 0;
    int64_t i;

    for (size_t k = 0; k < n; k++)
        v = v << 8 | (unsigned char)p[k];
    memcpy(&i, &v, sizeof(i));
    return i;
}

struct counts {
    size_t utc, std, leap, when, types, chars;
};

/* The header at the beginning of *s, which is moved past it. */
static bool read_header(struct str *s, struct counts *ret)
{
    size_t *to[] = {&ret->utc, &ret->std, &ret->leap, &ret->when, &ret->types, &ret->chars};

    if (s->n < HEADER_BYTES || !str_starts(*s, STR("TZif")))
        return false;
    for (size_t i = 0; i < 6; i++) {
        int64_t v = big_endian(s->p + 20 + 4 * i, 4);
        if (v < 0 || v > FILE_MAX_BYTES)
            return false;
        *to[i] = (size_t)v;
    }
    *s = str_from(*s, HEADER_BYTES);
    return true;
}

static size_t body_bytes(const struct counts *c, size_t time_bytes)
{
    return c->when * (time_bytes + 1) + c->types * 6 + c->chars + c->leap * (time_bytes + 4) +
           c->std + c->utc;
}

static bool read_types(struct zone_rules *z, const struct counts *c, const char *p)
{
    const char *chars = p + c->types * 6;

    for (size_t i = 0; i < c->types; i++, p += 6) {
        size_t at = (unsigned char)p[5];
        struct str abbrev = at < c->chars ? (struct str){chars + at, c->chars - at} : STR_NULL;
        z->types[i].seconds = (int32_t)big_endian(p, 4);
        z->summer[i] = p[4] != 0;
        abbrev = str_sub(abbrev, 0, str_find_char(abbrev, '\0'));
        if (abbrev.n > ZONE_ABBREV_MAX || abbrev.n == 0)
            return false;
        (void)str_to_z(abbrev, z->types[i].abbrev, sizeof(z->types[i].abbrev));
    }
    return true;
}

static bool read_file(struct zone_rules *z, struct str s)
{
    struct counts c;
    char version;

    if (!read_header(&s, &c) || body_bytes(&c, 4) > s.n)
        return false;
    version = s.p[4 - HEADER_BYTES];
    if (version < '2')
        return false;
    s = str_from(s, body_bytes(&c, 4));
    if (!read_header(&s, &c) || body_bytes(&c, 8) > s.n || c.types == 0 || c.types > TYPES_MAX)
        return false;
    z->when = mem_new(c.when * sizeof(*z->when) + 1);
    z->type = mem_new(c.when + 1);
    z->types = mem_new(c.types * sizeof(*z->types));
    z->summer = mem_new(c.types);
    z->n_when = c.when;
    z->n_types = c.types;
    for (size_t i = 0; i < c.when; i++) {
        z->when[i] = big_endian(s.p + 8 * i, 8);
        z->type[i] = (unsigned char)s.p[8 * c.when + i];
        if (z->type[i] >= c.types || (i > 0 && z->when[i] <= z->when[i - 1]))
            return false;
    }
    if (!read_types(z, &c, s.p + 9 * c.when))
        return false;
    s = str_trim(str_from(s, body_bytes(&c, 8)));
    z->has_rule = s.n > 0;
    return s.n == 0 || parse_rule(z, s);
}

static void free_rules(struct zone_rules *z)
{
    free(z->when);
    free(z->type);
    free(z->types);
    free(z->summer);
    free(z);
}

/* No way out of the directory; and nothing that is no name. */
static bool name_ok(struct str name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES || name.p[0] == '/' || name.p[0] == '.' ||
        str_find(name, STR("..")) != SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '/' || c == '+' || c == '-'))
            return false;
    }
    return true;
}

/* NULL: there is none. */
static struct zone_rules *load(struct str name)
{
    static const char *const dirs[] = {"/usr/share/zoneinfo", "/usr/lib/zoneinfo"};
    struct zone_rules *z = mem_new(sizeof(*z));
    char *data = mem_new(FILE_MAX_BYTES);
    bool ok = false;

    (void)str_to_z(name, z->name, sizeof(z->name));
    z->zone.rules = z;
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && !ok; i++) {
        char path[128];
        ssize_t n;
        int fd;
        (void)snprintf(path, sizeof(path), "%s/%s", dirs[i], z->name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : read(fd, data, FILE_MAX_BYTES);
        if (fd >= 0)
            (void)close(fd);
        ok = n > 0 && read_file(z, (struct str){data, (size_t)n});
    }
    free(data);
    if (ok)
        return z;
    free_rules(z);
    return NULL;
}

static const struct zone *find_known(struct str name)
{
    for (size_t i = 0; i < n_zones; i++)
        if (str_eq(str_of(zones[i]->name), name))
            return &zones[i]->zone;
    return NULL;
}

bool zone_find(struct str name, const struct zone **ret)
{
    struct zone_rules *fresh;

    *ret = NULL;
    if (name.n == 0 || str_eq(name, STR("UTC")) || str_eq(name, STR("Local")))
        return true;
    if (!name_ok(name))
        return false;
    (void)pthread_mutex_lock(&lock);
    *ret = find_known(name);
    (void)pthread_mutex_unlock(&lock);
    if (*ret != NULL)
        return true;
    fresh = load(name); /* not under the lock: this reads a file */
    if (fresh == NULL)
        return false;
    (void)pthread_mutex_lock(&lock);
    *ret = find_known(name);
    if (*ret == NULL && n_zones < ZONES_MAX) {
        zones[n_zones++] = fresh;
        *ret = &fresh->zone;
        fresh = NULL;
    }
    (void)pthread_mutex_unlock(&lock);
    if (fresh != NULL)
        free_rules(fresh);
    return *ret != NULL;
}

/* ---- asking ---- */

static const struct zone_offset *offset_at(const struct zone_rules *z, int64_t unix_s)
{
    size_t lo = 0;
    size_t hi = z->n_when;

    if (z->has_rule && (hi == 0 || unix_s >= z->when[hi - 1]))
        return by_rule(z, unix_s);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (z->when[mid] <= unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo > 0)
        return &z->types[z->type[lo - 1]];
    for (size_t i = 0; i < z->n_types; i++)
        if (!z->summer[i])
            return &z->types[i];
    return &z->types[0];
}

void zone_at(const struct zone *z, int64_t unix_s, struct zone_offset *ret)
{
    if (z == NULL)
        *ret = (struct zone_offset){0, "UTC"};
    else
        *ret = z->rules == NULL ? z->fixed : *offset_at(z->rules, unix_s);
}

int64_t zone_instant(const struct zone *z, int64_t local_s)
{
    struct zone_offset o;

    zone_at(z, local_s, &o);
    zone_at(z, local_s - o.seconds, &o);
    return local_s - o.seconds;
}

bool zone_abbrev(const struct zone *z, struct str abbrev, int64_t unix_s, int32_t *ret)
{
    struct zone_offset o;
    bool found = false;

    if (z == NULL || z->rules == NULL) {
        zone_at(z, unix_s, &o);
        *ret = o.seconds;
        return str_eq(str_of(o.abbrev), abbrev);
    }
    for (size_t i = 0; i < z->rules->n_types; i++) {
        const struct zone_offset *t = &z->rules->types[i];
        if (!str_eq(str_of(t->abbrev), abbrev))
            continue;
        if (!found)
            *ret = t->seconds;
        found = true;
        zone_at(z, unix_s - t->seconds, &o);
        if (str_eq(str_of(o.abbrev), abbrev)) {
            *ret = o.seconds;
            return true;
        }
    }
    return found;
}
