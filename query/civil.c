/* query/civil.c - days of the Gregorian calendar, see zone.h. */
#include "query/zone.h"

enum { DAY_S = 86400, ERA_DAYS = 146097, EPOCH_DAYS = 719468 /* from 0000-03-01 */ };

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

unsigned civil_month_days(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Years begin in March here: the day that a leap year has more is the last. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

int64_t civil_seconds(const struct civil *c)
{
    return days_of(c->year, c->month, c->day) * DAY_S + (int64_t)c->hour * 3600 +
           (int64_t)c->minute * 60 + (int64_t)c->second;
}

void civil_of(int64_t local_s, struct civil *ret)
{
    int64_t days = local_s / DAY_S - (local_s % DAY_S < 0);
    int64_t rest = local_s - days * DAY_S;
    int64_t shifted = days + EPOCH_DAYS;
    int64_t era = (shifted >= 0 ? shifted : shifted - (ERA_DAYS - 1)) / ERA_DAYS;
    int64_t of_era = shifted - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;

    ret->day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
    ret->month = (unsigned)(month < 10 ? month + 3 : month - 9);
    ret->year = year + era * 400 + (ret->month <= 2);
    ret->hour = (unsigned)(rest / 3600);
    ret->minute = (unsigned)(rest / 60 % 60);
    ret->second = (unsigned)(rest % 60);
    ret->weekday = (unsigned)(((days + 4) % 7 + 7) % 7);
    ret->yearday = (unsigned)(days - days_of(ret->year, 1, 1) + 1);
}
