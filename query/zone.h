/*
 * query/zone.h - time zones by name, from the system's zoneinfo.
 *
 * A zone that was found stays for the life of the program and never changes: any thread may use it.
 * There are as many as the system has files.  TZ and the C library's idea of a local zone play no
 * part: "Local" is UTC, so that an answer does not depend on where it is computed.
 */
#ifndef LOGQ_QUERY_ZONE_H
#define LOGQ_QUERY_ZONE_H

#include "base/str.h"

enum { ZONE_ABBREV_MAX = 15 };

/* What holds at one instant. */
struct zone_offset {
    int32_t seconds;                  /* east of UTC */
    char abbrev[ZONE_ABBREV_MAX + 1]; /* "CEST"; "": it has none */
};

struct zone_rules;

struct zone {                       /* NULL stands for UTC */
    const struct zone_rules *rules; /* NULL: always `fixed` */
    struct zone_offset fixed;
};

/* "Europe/Berlin", "UTC", "" and "Local" (both UTC).  false: there is none such. */
bool zone_find(struct str name, const struct zone **ret);

void zone_at(const struct zone *z, int64_t unix_s, struct zone_offset *ret);
/* The instant at which clocks show what they show in UTC at `local_s`; of two, or none, as Go. */
int64_t zone_instant(const struct zone *z, int64_t local_s);
/* The offset that has this abbreviation around that time. */
bool zone_abbrev(const struct zone *z, struct str abbrev, int64_t unix_s, int32_t *ret);

/* ---- days ---- */

struct civil {
    int64_t year;
    unsigned month, day; /* from 1 on */
    unsigned hour, minute, second;
    unsigned weekday; /* 0 is Sunday */
    unsigned yearday; /* from 1 on */
};

void civil_of(int64_t local_s, struct civil *ret);
/* Seconds since 1970-01-01T00:00; fields as they may be in a date. */
int64_t civil_seconds(const struct civil *c);
unsigned civil_month_days(int64_t year, unsigned month);

#endif
